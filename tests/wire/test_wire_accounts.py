"""The list of all accounts that have queues, which Burrow's door shows to operators."""

import json

import pytest
from janitors import LOGGER
from wire.burrow import Burrow

from swiftqueue import accounts
from swiftqueue.swift import Swift

ALL = 'GET /burrow/v1.0'


def swift_of(wire, account):
    return Swift(wire.swift, {}, account, logger=LOGGER, clock=wire.clock)


def ask(wire, query=''):
    answer = wire.request(ALL + query, user='operator')
    assert answer.status in (200, 404), answer
    return answer.json if answer.status == 200 else []


@pytest.fixture
def three(wire):
    """Three accounts that the janitor has listed, in the order of the list; the last one holds no message."""
    names = sorted(('AUTH_test', 'AUTH_other', 'AUTH_admin'), key=accounts.number_of)
    for name in names:
        Burrow(wire, name, 'operator').put('/q/m')
        accounts.add(swift_of(wire, name))
    Burrow(wire, names[2], 'operator').delete('/q/m')
    return names[:2]


def test_operators_see_the_accounts_that_hold_a_message(wire, three):
    assert ask(wire) == three
    assert ask(wire, '?detail=all') == [{'id': name} for name in three]
    assert wire.request(f'{ALL}?detail=none', user='operator').status == 204
    assert wire.request(ALL).status == 403


def test_the_list_is_paged(wire, three):
    assert ask(wire, '?limit=1') == three[:1]
    assert ask(wire, f'?limit=5&marker={three[0]}') == three[1:]
    assert ask(wire, f'?marker={three[1]}') == []
    assert ask(wire, '?limit=1&marker=AUTH_nobody') == three[:1]


@pytest.mark.parametrize('query', ['?limit=0', '?limit=x', '?detail=bad', '?marker=a%00b', '?marker=a%2Fb'])
def test_a_bad_page_is_refused(wire, three, query):
    assert wire.request(ALL + query, user='operator').status == 400


def test_where_no_janitor_has_been_there_is_nothing(wire):
    Burrow(wire).put('/q/m')
    answer = wire.request(ALL, user='operator')
    assert (answer.status, answer.body) == (404, b'Account not found')


def test_who_gives_others_a_right_is_listed_at_once(wire):
    wire.request('PUT /v2/queues/q', {})
    assert not list(accounts.listed(swift_of(wire, 'AUTH_test')))
    wire.request('PUT /v2/queues/shared', {'_write_acl': 'other'})
    assert list(accounts.listed(swift_of(wire, 'AUTH_test'))) == ['AUTH_test']
    patch = json.dumps([{'op': 'add', 'path': '/metadata/_read_acl', 'value': 'test'}]).encode()
    wire.request('PUT /v2/queues/q', {}, user='stranger')
    answer = wire.request('PATCH /v2/queues/q', patch, user='stranger', headers={
        'Content-Type': 'application/openstack-messaging-v2.0-json-patch'})
    assert answer.status == 200, answer
    assert set(accounts.listed(swift_of(wire, 'AUTH_test'))) == {'AUTH_test', 'AUTH_other'}


def test_a_number_that_two_accounts_have_is_neithers(wire, monkeypatch):
    swift = swift_of(wire, 'AUTH_test')
    accounts.add(swift)
    number = accounts.number_of('AUTH_test')
    assert accounts.find(swift, number) == 'AUTH_test'
    monkeypatch.setattr(accounts, 'number_of', lambda account: number)
    accounts.add(swift_of(wire, 'AUTH_other'))
    assert accounts.find(swift, number) is None


def test_where_nobody_needs_credentials_everybody_sees_all_accounts(make_wire):
    wire = make_wire(auth=False, allow_anonymous=True)
    Burrow(wire, 'eday').put('/q/m')
    assert wire.request(ALL).status == 404
    accounts.add(swift_of(wire, 'AUTH_eday'))
    assert wire.request(ALL).json == wire.request(f'{ALL}?limit=1&marker=nobody').json == ['AUTH_eday']
    assert wire.accounts_touched() == {'AUTH_eday', '.swiftqueue'}


def test_all_accounts_cannot_be_deleted(wire, three):
    answers = [wire.request('DELETE /burrow/v1.0', user=user).status for user in (None, 'tester', 'operator')]
    assert answers == [401, 403, 501]
    assert ask(wire) == three
