"""Who may do what, and what no request can reach."""

import copy
import io
from functools import cache
from uuid import UUID

import pytest
from swift.common.middleware.keystoneauth import KeystoneAuth
from wire.transcript import no_syslog, send

EVERYTHING = [
    ('GET /v2/queues', None), ('PUT /v2/queues/jobs', {}), ('GET /v2/queues/jobs', None),
    ('DELETE /v2/queues/jobs', None), ('GET /v2/queues/jobs/stats', None), ('POST /v2/queues/jobs/share', {}),
    ('POST /v2/queues/jobs/purge', {}), ('POST /v2/queues/jobs/purge', {'resource_types': ['subscriptions']}),
    ('POST /v2/queues/jobs/messages', {'messages': [{'body': 'x'}]}), ('GET /v2/queues/jobs/messages', None),
    ('GET /v2/queues/jobs/messages?ids={id}', None), ('DELETE /v2/queues/jobs/messages?ids={id}', None),
    ('DELETE /v2/queues/jobs/messages?ids={id}&claim_ids={claim}', None),
    ('DELETE /v2/queues/jobs/messages?pop=1', None), ('GET /v2/queues/jobs/messages/{id}', None),
    ('DELETE /v2/queues/jobs/messages/{id}', None), ('DELETE /v2/queues/jobs/messages/{id}?claim_id={claim}', None),
    ('POST /v2/queues/jobs/claims', {}), ('GET /v2/queues/jobs/claims/{claim}', None),
    ('PATCH /v2/queues/jobs/claims/{claim}', {'ttl': 100}), ('DELETE /v2/queues/jobs/claims/{claim}', None),
    ('GET /v2/queues/jobs/subscriptions', None), ('POST /v2/queues/jobs/subscriptions', {}),
    ('GET /v2/queues/jobs/subscriptions/{subscription}', None),
    ('PATCH /v2/queues/jobs/subscriptions/{subscription}', {'ttl': 100}),
    ('PUT /v2/queues/jobs/subscriptions/{subscription}/confirm', {'confirmed': True}),
    ('DELETE /v2/queues/jobs/subscriptions/{subscription}', None),
    ('GET /v2/topics', None), ('PUT /v2/topics/jobs', {}), ('POST /v2/topics/jobs/subscriptions', {}),
    ('GET /v2/health', None),
]
PATCH = {'Content-Type': 'application/openstack-messaging-v2.0-json-patch'}
ADD = [{'op': 'add', 'path': '/metadata/a', 'value': 1}]


@pytest.fixture
def jobs(wire):
    """A queue of the tester's with two messages, one of them claimed; its lines to fill in."""
    wire.request('PUT /v2/queues/jobs', {'colour': 'red'})
    wire.request('POST /v2/queues/jobs/messages', {'messages': [{'body': 'secret'}, {'body': 'secret'}]})
    claim = wire.request('POST /v2/queues/jobs/claims?limit=1')
    subscription = wire.request('POST /v2/queues/jobs/subscriptions', {'subscriber': 'queue://secret'})
    wire.swift.calls.clear()
    return {'id': claim.json['messages'][0]['id'], 'claim': claim.headers['Location'].rsplit('/', 1)[1],
            'subscription': subscription.json['subscription_id']}


def state(wire):
    """What another's request could have changed."""
    counts = wire.request('GET /v2/queues/jobs/stats').json['messages']
    return (wire.request('GET /v2/queues/jobs').json, counts['total'], counts['claimed'],
            wire.request('GET /v2/queues/jobs/subscriptions').json)


@pytest.mark.parametrize('line, sent', EVERYTHING, ids=[line for line, _ in EVERYTHING])
@pytest.mark.parametrize('who', ['guest', 'stranger'])
def test_who_has_no_right_can_do_nothing(wire, jobs, line, sent, who):
    before = state(wire)
    answer = wire.request(line.format(**jobs), sent, user=who, headers={'X-Project-Id': 'AUTH_test'})
    assert (answer.status, answer.json['title']) == (403, 'Not authorized')
    assert b'secret' not in answer.body
    assert state(wire) == before
    assert wire.accounts_touched() == {'AUTH_test'}


@pytest.mark.parametrize('line, sent', EVERYTHING, ids=[line for line, _ in EVERYTHING])
@pytest.mark.parametrize('who', ['nobody', 'wrong token', 'foreign token'])
def test_who_is_not_known_is_turned_away_before_anything_is_read(wire, jobs, line, sent, who):
    class Unread(io.RawIOBase):
        def read(self, size=-1):
            raise AssertionError('the body was read')

    token = {'nobody': None, 'wrong token': 'AUTH_tk00000000000000000000000000000000', 'foreign token': 'xyz'}[who]
    calls = len(wire.swift.calls)
    answer = wire.request(line.format(**jobs), user=None,
                          headers={'X-Auth-Token': token, 'X-Project-Id': 'AUTH_test', 'Content-Length': '10'},
                          **{'wsgi.input': Unread()})
    assert answer.status == 401
    assert 'Www-Authenticate' in answer.headers
    assert len(wire.swift.calls) == calls


def test_a_strangers_queue_of_the_same_name_is_another_one(wire, jobs):
    for line, sent in EVERYTHING:
        answer = wire.request(line.format(**jobs), sent, user='stranger')
        assert answer.status in (200, 201, 204, 400, 404), line
        assert b'secret' not in answer.body
    assert wire.request('PATCH /v2/queues/jobs', ADD, user='stranger', headers=PATCH).status == 200
    assert wire.request('GET /v2/queues/jobs').json['colour'] == 'red'
    assert wire.request('GET /v2/queues/jobs/stats').json['messages']['claimed'] == 1
    assert wire.accounts_touched() == {'AUTH_test', 'AUTH_other'}


def test_only_the_owner_can_change_a_queue(wire, jobs):
    for who in ('guest', 'stranger'):
        answer = wire.request('PATCH /v2/queues/jobs', ADD, user=who, headers=PATCH | {'X-Project-Id': 'test'})
        assert answer.status == 403
    assert 'a' not in wire.request('GET /v2/queues/jobs').json


def test_an_acl_opens_a_queue_for_reading_and_for_writing(wire):
    wire.request('PUT /v2/queues/jobs', {'_read_acl': 'other:stranger', '_write_acl': 'test:guest'})
    wire.request('POST /v2/queues/jobs/messages', {'messages': [{'body': 'news'}]})
    stranger = {'user': 'stranger', 'headers': {'X-Project-Id': 'AUTH_test'}}
    shown = wire.request('GET /v2/queues/jobs', **stranger).json
    assert '_default_message_ttl' in shown
    assert not {'_read_acl', '_write_acl'} & set(shown)
    assert wire.request('GET /v2/queues/jobs/messages?echo=1', **stranger).json['messages'][0]['body'] == 'news'
    assert wire.request('POST /v2/queues/jobs/claims', {}, **stranger).status == 403
    assert wire.request('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]}, **stranger).status == 403
    assert wire.request('DELETE /v2/queues/jobs', **stranger).status == 403
    assert wire.request('GET /v2/queues/jobs/messages', user='guest').status == 403
    assert wire.request('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]}, user='guest').status == 201
    [message, _] = wire.request('POST /v2/queues/jobs/claims', {}, user='guest').json['messages']
    assert wire.request(f'DELETE {message["href"]}', user='guest').status == 204
    assert wire.request('POST /v2/queues/jobs/share', {}, user='guest').status == 403


def test_referer_grants_do_not_open_a_queue(wire):
    wire.request('PUT /v2/queues/jobs', {'_read_acl': '.r:*,.rlistings'})
    answer = wire.request('GET /v2/queues/jobs/messages', user='stranger',
                          headers={'X-Project-Id': 'test', 'Referer': 'http://example.com/'})
    assert answer.status == 403


def test_a_receipt_is_good_in_its_own_queue_and_account_only(wire, jobs):
    ack = f'DELETE /v2/queues/{{}}/messages/{jobs["id"]}?claim_id={jobs["claim"]}'
    wire.request('PUT /v2/queues/more')
    assert wire.request(ack.format('more')).status == 400
    wire.request('PUT /v2/queues/jobs', user='stranger')
    assert wire.request(ack.format('jobs'), user='stranger').status == 400
    assert wire.request(f'GET /v2/queues/jobs/claims/{jobs["claim"]}', user='stranger').status == 404
    assert wire.request(ack.format('jobs')).status == 204


@pytest.mark.parametrize('environ', [
    {'REMOTE_USER': '.wsgi.tempurl'}, {'REMOTE_USER': '.wsgi.formpost'}, {'REMOTE_USER': '.wsgi.pre_authed'},
    {'swift.authorize_override': True, 'REMOTE_USER': 'test,test:tester,AUTH_test'}], ids=str)
def test_grants_for_single_objects_do_not_open_a_queue(wire, environ):
    granted = {'swift.authorize': lambda request: None} | environ
    answer = send(wire.filter, 'GET /v2/queues', headers={'Client-ID': str(UUID(int=1))}, **granted)
    assert answer.status == 403
    assert wire.swift.calls == []


NAMES = ['..', '.', '../AUTH_other', 'jobs/../../AUTH_other', 'a\x00b', '\x00queue\x00jobs', 'a\rb', 'a\r\nX-Evil: 1',
         'a b', 'a%2Fb', '%2e%2e', 'a?b', 'a\\b', 'j\xc3\xb6bs', '\xff', 'x' * 81, 'a;b', 'a,b', '*', '\xe2\x80\xa5']


@pytest.mark.parametrize('name', NAMES, ids=ascii)
@pytest.mark.parametrize('rest', ['', '/messages', '/claims', '/stats', '/purge', '/share'])
def test_a_name_that_no_queue_can_have_reaches_nothing(wire, name, rest):
    for method in ('GET', 'PUT', 'POST', 'PATCH', 'DELETE'):
        answer = wire.request(f'{method} /', {}, headers=PATCH, PATH_INFO=f'/v2/queues/{name}{rest}')
        assert answer.status in (400, 404, 405)
        assert not any('\r' in value or '\n' in value for value in answer.headers.values())
    assert wire.swift.calls == []


IDS = ['..', '../../x', 'a\x00b', '\x00', 'a\r\nb', '%00', '01a1fb10-e992-753c-92c7-914bfc46274e\x00', 'x' * 500,
       'j\xc3\xb6b', '\xff', '01A1FB10-E992-753C-92C7-914BFC46274E', '=', '-', 'AAAA']


@pytest.mark.parametrize('name', IDS, ids=ascii)
def test_ids_that_nobody_gave_out_reach_nothing(wire, jobs, name):
    for rest, method in (('messages', 'GET'), ('messages', 'DELETE'), ('claims', 'GET'), ('claims', 'PATCH'),
                         ('claims', 'DELETE')):
        answer = wire.request(f'{method} /', {}, PATH_INFO=f'/v2/queues/jobs/{rest}/{name}')
        assert answer.status in (204, 404), answer.body
    queries = ('GET', 'ids=..,%00,%2Fa'), ('DELETE', 'ids=..,%00,%2Fa'), ('GET', 'marker=%00%2F..')
    for method, query in queries:
        assert wire.request(f'{method} /v2/queues/jobs/messages?{query}').status in (200, 204, 404)
    assert wire.request('GET /v2/queues/jobs/stats').json['messages']['total'] == 2
    assert wire.accounts_touched() == {'AUTH_test'}
    assert all(name not in call.path for call in wire.swift.calls if len(name) > 1)


@pytest.mark.parametrize('project', ['other', 'AUTH_other', 'AUTH_other/', '../AUTH_other', 'test/../AUTH_other',
                                     'test\x00', 'test\r\nX: 1', '\xff', 'AUTH_', 'x' * 257, 'x' * 252, 'SERVICE_test'],
                         ids=ascii)
def test_a_project_that_is_not_the_callers_reaches_nothing(wire, project):
    answer = wire.request('PUT /v2/queues/jobs', {}, headers={'X-Project-Id': project})
    assert answer.status in (400, 403)
    assert wire.accounts_touched() == set()


def test_an_empty_project_is_the_callers_own(wire):
    assert wire.request('PUT /v2/queues/jobs', {}, headers={'X-Project-Id': ''}).status == 201
    assert wire.accounts_touched() == {'AUTH_test'}


def test_a_guest_cannot_use_the_dead_letter_queue_of_another_account(wire):
    wire.request('PUT /v2/queues/jobs', {'_dead_letter_queue': 'dead', '_max_claim_count': 1}, user='stranger')
    wire.request('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]}, user='stranger')
    claim = wire.request('POST /v2/queues/jobs/claims', {}, user='stranger').headers['Location']
    wire.request(f'DELETE {claim}', user='stranger')
    wire.clock.advance(2)
    wire.request('POST /v2/queues/jobs/claims', {}, user='stranger')
    assert wire.accounts_touched() == {'AUTH_other'}


@cache
def keystone():
    with no_syslog():
        return KeystoneAuth(None, {})


def through_keystone(wire, line, sent=None, **headers):
    """A request as Keystone's token filter leaves it, through Swift's own filter for it."""
    auth = copy.copy(keystone())
    auth.app = wire.filter
    return send(auth, line, sent, {'Client-ID': str(UUID(int=1))} | {
        name.replace('_', '-'): value for name, value in headers.items()}, **{'swift.cache': wire.cache})


TOKEN = {'X_Identity_Status': 'Confirmed', 'X_Project_Id': 'a1b2', 'X_Project_Name': 'proj', 'X_User_Id': 'u1',
         'X_User_Name': 'joe', 'X_Roles': 'swiftoperator'}


def test_behind_keystone_the_account_is_the_tokens_project(wire):
    assert through_keystone(wire, 'PUT /v2/queues/jobs', **TOKEN).status == 201
    assert wire.accounts_touched() == {'AUTH_a1b2'}


def test_behind_keystone_a_role_is_needed(wire):
    for role in ('', 'member'):
        assert through_keystone(wire, 'PUT /v2/queues/jobs', **TOKEN | {'X_Roles': role}).status == 403
    assert wire.accounts_touched() == set()


def test_behind_keystone_a_request_without_a_token_is_turned_away(wire):
    assert through_keystone(wire, 'PUT /v2/queues/jobs', **TOKEN | {'X_Identity_Status': 'Invalid'}).status == 401
    assert through_keystone(wire, 'PUT /v2/queues/jobs', X_Project_Id='a1b2').status == 401
    assert wire.accounts_touched() == set()


@pytest.mark.parametrize('prefix, account', [('AUTH', 'AUTH_test'), ('AUTH_', 'AUTH_test'), ('', 'test'),
                                             ('Q', 'Q_test')])
def test_the_account_has_the_resellers_prefix(make_wire, prefix, account):
    wire = make_wire(auth=False, reseller_prefix=prefix)
    answer = wire.request('PUT /v2/queues/jobs', REMOTE_USER='test,test:joe',
                          **{'swift.authorize': lambda request: None})
    assert answer.status == 201
    assert wire.accounts_touched() == {account}


def test_a_token_without_a_project_opens_nothing(wire):
    token = {name: value for name, value in TOKEN.items() if not name.startswith('X_Project')}
    assert through_keystone(wire, 'GET /v2/queues', **token).status == 401
    assert wire.swift.calls == []


@pytest.mark.parametrize('project', ['test', 'AUTH_test', '', None])
def test_allow_anonymous_does_not_open_what_an_auth_filter_guards(make_wire, project):
    wire = make_wire(allow_anonymous=True)
    answer = wire.request('GET /v2/queues/jobs/messages', user=None, headers={'X-Project-Id': project})
    assert answer.status == 401
    assert wire.swift.calls == []


def test_a_project_that_swift_could_not_name_an_account_after_is_refused(make_wire):
    wire = make_wire(auth=False)
    for project, status in (('x' * 251, 201), ('x' * 252, 400), ('\xc3\xbc' * 126, 400)):
        answer = wire.request('PUT /v2/queues/jobs', headers={'X-Project-Id': project}, REMOTE_USER='admin,admin:joe',
                              **{'swift.authorize': lambda request: None})
        assert answer.status == status
    assert wire.accounts_touched() == {'AUTH_' + 'x' * 251}


def test_no_header_of_a_client_reaches_swift(wire):
    wire.request('PUT /v2/queues/jobs', {}, headers={'X-Container-Read': '.r:*', 'X-Timestamp': '1', 'X-Delete-At': '1',
                                                     'X-Container-Meta-A': 'b', 'X-Newest': 'true', 'If-Match': 'x',
                                                     'X-Account-Meta-Temp-Url-Key': 'k'})
    for call in wire.swift.calls:
        assert not {'X-Container-Read', 'X-Delete-At', 'X-Container-Meta-A', 'X-Newest', 'If-Match',
                    'X-Account-Meta-Temp-Url-Key'} & set(call.headers)
        assert call.headers.get('X-Timestamp') != '1'
