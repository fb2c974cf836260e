"""Whole requests, valid but for one to three parts, through the real filter: see oracles.py for what must hold."""

import re
from dataclasses import replace

import pytest
from fuzz.effort import examples
from fuzz.oracles import ask
from fuzz.strategies import FAULTS, JOBS, bodies, make_wire, plain, requests, valid_requests
from hypothesis import given
from hypothesis import strategies as st

from swiftqueue.errors import Invalid
from swiftqueue.limits import Options
from swiftqueue.middleware.identity import account_of

OPTIONS = [{}, {}, {'client_id_uuid_safe': 'off', 'enable_checksum': True},
           {'message_delete_with_claim_id': True, 'inline_limit': 0}]


def look_around(wire):
    """What the stranger has, and that the tester's account still answers."""
    for path in ('/v2/queues', JOBS, f'{JOBS}/stats', f'{JOBS}/messages'):
        assert ask(wire, plain('GET', path)).status == 200
    page = ask(wire, plain('GET', f'{JOBS}/messages', {'echo': '1', 'include_claimed': '1'}, user='stranger'))
    return [message['body'] for message in page.json['messages']]


@pytest.mark.parametrize('number', range(len(valid_requests())))
def test_the_requests_to_begin_with_are_good(number):
    valid = valid_requests()[number]
    sent = plain(valid.method, valid.path, valid.query, valid.document, valid.headers)
    assert ask(make_wire(), sent).status < 400


@pytest.mark.parametrize('number', range(len(valid_requests())))
@pytest.mark.parametrize('spoil', FAULTS)
def test_no_single_fault_breaks_out_or_breaks_down(spoil, number):
    wire = make_wire()
    for count, sent in enumerate(spoil(valid_requests()[number])):
        if count % 50 == 49 and sent.method != 'GET':
            wire = make_wire()  # what there was may be gone
        ask(wire, sent)


@examples(150)
@given(st.sampled_from(OPTIONS), st.lists(requests(), min_size=1, max_size=6))
def test_nothing_that_is_sent_breaks_out_or_breaks_down(options, attack):
    wire = make_wire(**options)
    for sent in attack:
        ask(wire, sent)
    if all(sent.user != 'stranger' for sent in attack):
        assert look_around(wire) == ['not for you']


@examples(250)
@given(st.sampled_from([valid for valid in valid_requests() if valid.document is not None]).flatmap(
    lambda valid: st.tuples(st.just(valid), bodies(valid.document))))
def test_no_body_breaks_out_or_breaks_down(spoiled):
    valid, body = spoiled
    wire = make_wire()
    for sent in (replace(plain(valid.method, valid.path, valid.query, headers=valid.headers), body=body),
                 plain('GET', '/v2/queues', {'detailed': 'true'}), plain('GET', JOBS),
                 plain('GET', f'{JOBS}/messages', {'echo': '1', 'include_delayed': '1'}),
                 plain('POST', f'{JOBS}/claims')):
        ask(wire, sent)


# -- whose account it is ---------------------------------------------------------------------------

OPEN = Options(allow_anonymous=True)
names = st.one_of(st.text(st.characters(exclude_categories=['Cs']), max_size=300), st.sampled_from([
    'p', 'AUTH_p', '../AUTH_p', 'p/q', 'p%2Fq', 'p%252Fq', 'AUTH_', 'x' * 195, 'x' * 196, '\x00', '.', '..', '\r\nX: 1',
]))


@examples(300)
@given(names, names)
def test_without_authentication_every_project_has_an_account_of_its_own(one, other):
    accounts = []
    for project in (one, other):
        try:
            accounts.append(account_of({}, project, OPEN))
        except Invalid:
            assert len(project) > 256
            return
    assert all(re.fullmatch(r'AUTH_[A-Za-z0-9_.~%-]*', account) and len(account) <= 205 for account in accounts)
    assert (accounts[0] == accounts[1]) == (one.removeprefix('AUTH_') == other.removeprefix('AUTH_'))


@examples(300)
@given(names)
def test_with_authentication_no_project_leads_out_of_the_accounts(project):
    try:
        account = account_of({'swift.authorize': None}, project, OPEN)
    except Invalid:
        return
    assert account.startswith('AUTH_') and '/' not in account and account.isprintable()
    assert len(account.encode()) <= 256
