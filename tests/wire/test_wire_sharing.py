"""Messaging v2: signed URLs, as their giver and their taker see them."""

import pytest

POST = {'messages': [{'body': 1}]}


def headers(url, **changed):
    """What a client sends who was given the URL."""
    sent = {'URL-Signature': url['signature'], 'URL-Expires': url['expires'], 'URL-Methods': ','.join(url['methods']),
            'URL-Paths': ','.join(url['paths']), 'X-Project-Id': url['project']}
    return sent | {name.replace('_', '-'): value for name, value in changed.items()}


@pytest.fixture
def jobs(wire):
    wire.request('POST /v2/queues/jobs/messages', POST)
    wire.request('POST /v2/queues/more/messages', POST)


def share(wire, **document):
    answer = wire.request('POST /v2/queues/jobs/share', document)
    assert answer.status == 200, answer.body
    return answer.json


def test_a_shared_queue_is_read_for_a_day(wire, jobs):
    url = share(wire)
    assert url == {'paths': ['/v2/queues/jobs/messages'], 'methods': ['GET'], 'project': 'test',
                   'expires': '2027-01-16T08:00:00', 'signature': url['signature']}
    answer = wire.request('GET /v2/queues/jobs/messages?echo=1', user=None, headers=headers(url))
    assert [message['body'] for message in answer.json['messages']] == [1]
    assert wire.request(f'GET {answer.json["messages"][0]["href"]}', user=None, headers=headers(url)).status == 200
    wire.clock.advance(86400)
    assert wire.request('GET /v2/queues/jobs/messages', user=None, headers=headers(url)).status == 404


def test_a_url_says_which_paths_and_methods_until_when(wire, jobs):
    url = share(wire, paths=['messages', 'claims'], methods=['POST', 'DELETE', 'GET'],
                expires='2027-01-15T10:00:00+01:00')
    assert url['paths'] == ['/v2/queues/jobs/claims', '/v2/queues/jobs/messages']
    assert url['methods'] == ['DELETE', 'GET', 'POST']
    assert url['expires'] == '2027-01-15T09:00:00'
    granted = headers(url)
    assert wire.request('POST /v2/queues/jobs/messages', POST, user=None, headers=granted).status == 201
    claim = wire.request('POST /v2/queues/jobs/claims', user=None, headers=granted)
    assert claim.status == 201
    for message in claim.json['messages']:
        assert wire.request(f'DELETE {message["href"]}', user=None, headers=granted).status == 204
    assert wire.request(f'PATCH {claim.headers["Location"]}', {}, user=None, headers=granted).status == 404
    assert wire.request(f'DELETE {claim.headers["Location"]}', user=None, headers=granted).status == 204


def test_a_url_may_create_its_queue(wire):
    granted = headers(share(wire, methods=['POST']))
    assert wire.request('POST /v2/queues/jobs/messages', POST, user=None, headers=granted).status == 201
    assert wire.accounts_touched() == {'AUTH_test'}


@pytest.mark.parametrize('line', [
    'GET /v2/queues/more/messages', 'GET /v2/queues/jobs', 'GET /v2/queues', 'GET /v2/queues/jobs/stats', 'GET /v2',
    'GET /v2/ping', 'GET /v2/health', 'POST /v2/queues/jobs/messages', 'DELETE /v2/queues/jobs/messages?pop=1',
    'DELETE /v2/queues/jobs', 'POST /v2/queues/jobs/share', 'POST /v2/queues/jobs/claims', 'PUT /v2/queues/jobs'])
@pytest.mark.parametrize('user', [None, 'tester', 'stranger'])
def test_a_url_opens_nothing_that_it_does_not_name(wire, jobs, line, user):
    before = len(wire.swift.calls)
    answer = wire.request(line, POST if 'POST' in line else None, user=user, headers=headers(share(wire)))
    assert (answer.status, answer.json) == (404, {'title': 'Not found', 'description':
                                                  'The signature is not valid for this request.'})
    assert len([call for call in wire.swift.calls[before:] if call.method not in ('GET', 'HEAD')]) == 0


@pytest.mark.parametrize('changed', [
    {'URL_Signature': 'x'}, {'URL_Signature': ''}, {'URL_Signature': '\xff'}, {'URL_Expires': '2028-01-15T08:00:00'},
    {'URL_Expires': ''}, {'URL_Expires': 'tomorrow'}, {'URL_Expires': None}, {'URL_Methods': 'DELETE,GET'},
    {'URL_Methods': None}, {'URL_Paths': '/v2/queues/more/messages'}, {'URL_Paths': '/'}, {'URL_Paths': ''},
    {'URL_Paths': '.*'}, {'URL_Paths': None}, {'X_Project_Id': 'other'}, {'X_Project_Id': None}, {'X_Project_Id': ''},
    {'X_Project_Id': 'AUTH_test'}, {'URL_Expires': '0001-01-01T00:00:00+14:00'},
    {'URL_Expires': '9999-12-31T23:59:59.999999-14:00'}], ids=str)
def test_a_url_cannot_be_changed(wire, jobs, changed):
    granted = headers(share(wire))
    answer = wire.request('GET /v2/queues/jobs/messages', user=None, headers=granted | {
        name.replace('_', '-'): value for name, value in changed.items()})
    assert answer.status == 404
    assert wire.accounts_touched() == {'AUTH_test'}


def test_where_the_project_header_does_not_come_through_another_one_does(wire, jobs):
    granted = headers(share(wire), X_Project_Id=None, URL_Project='test')
    assert wire.request('GET /v2/queues/jobs/messages', user=None, headers=granted).status == 200


def test_the_same_time_may_be_written_in_another_way(wire, jobs):
    granted = headers(share(wire), URL_Expires='2027-01-16T08:00:00Z')
    assert wire.request('GET /v2/queues/jobs/messages', user=None, headers=granted).status == 200


@pytest.mark.parametrize('document', [
    {'path': 'messages'}, {'paths': ['queues']}, {'paths': ['../more/messages']}, {'paths': 'messages'},
    {'paths': [['messages']]}, {'methods': 'GET'}, {'methods': ['TRACE']}, {'methods': ['GET,DELETE']},
    {'methods': [1]}, {'expires': 1900000000}, {'expires': '2020-01-01T00:00:00'}, {'expires': 'soon'},
    {'expires': '2027-01-15T08:00:00'}, {'expires': ['2030-01-01T00:00:00']}, []], ids=str)
def test_a_url_that_makes_no_sense_is_not_made(wire, document):
    assert wire.request('POST /v2/queues/jobs/share', document or b'[]').status == 400


def test_without_a_key_nothing_is_shared(make_wire):
    wire = make_wire()
    answer = wire.request('POST /v2/queues/jobs/share', {})
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')


@pytest.mark.parametrize('key', ['', 'another secret'])
def test_without_the_key_that_it_was_signed_with_no_signature_is_good(make_wire, key):
    wire = make_wire(signed_url_key=key)
    url = make_wire(signed_url_key='secret').request('POST /v2/queues/jobs/share', {}).json
    assert wire.request('GET /v2/queues/jobs/messages', user=None, headers=headers(url)).status == 404


def test_what_is_shared_is_the_project_that_the_caller_names(wire):
    answer = wire.request('POST /v2/queues/jobs/share', {}, headers={'X-Project-Id': 'AUTH_test'})
    assert answer.json['project'] == 'AUTH_test'
    granted = headers(answer.json)
    assert wire.request('GET /v2/queues/jobs/messages', user=None, headers=granted).status == 200


@pytest.mark.parametrize('project', ['p', 'p/q', 'p%2Fq', '\xc3\xbc', 'x' * 250, 'a,b', 'a b'])
def test_without_authentication_a_url_opens_the_project_that_gave_it(make_wire, project):
    wire = make_wire(auth=False, allow_anonymous=True, signed_url_key='secret')
    owner = {'X-Project-Id': project}
    wire.request('POST /v2/queues/jobs/messages', POST, headers=owner)
    url = wire.request('POST /v2/queues/jobs/share', {}, headers=owner).json
    shown = wire.request('GET /v2/queues/jobs/messages?echo=1', headers=headers(url) | owner)
    assert (shown.status, len(shown.json['messages'])) == (200, 1)
    assert len(wire.accounts_touched()) == 1


def test_a_project_whose_signature_nobody_would_take_cannot_share(make_wire):
    wire = make_wire(auth=False, allow_anonymous=True, signed_url_key='secret')
    assert wire.request('POST /v2/queues/jobs/share', {}, headers={'X-Project-Id': 'a\\nb'}).status == 400
