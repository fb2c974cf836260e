"""Messaging v2: what every request must bring, and what the service says of itself."""

import io

import eventlet
import pytest
from wire.transcript import ANY, play

from swiftqueue.middleware import frontend
from swiftqueue.middleware.zaqar_versions import VERSIONS

HOME = VERSIONS['2'].home
UUID = '3381af92-2b9e-11e3-b191-71861300734c'


def error(title):
    return {'title': title, 'description': ANY}


TRANSCRIPTS = {
    'the versions are told to anybody': [
        ('GET /', None, 300, ({'versions': [{
            'id': '2', 'status': 'CURRENT', 'updated': '2014-9-24T04:06:47Z',
            'media-types': [{'base': 'application/json', 'type': 'application/vnd.openstack.messaging-v2+json'}],
            'links': [{'href': '/v2/', 'rel': 'self'}]}]}, {'Content-Type': 'application/json; charset=UTF-8'}),
         {'X-Auth-Token': None, 'Client-ID': None}),
        ('HEAD /', None, 300, None, {'X-Auth-Token': None, 'Client-ID': None}),
        ('POST /', None, 405, (error('Method not allowed'), {'Allow': 'GET, HEAD'})),
    ],
    'the home document': [
        ('GET /v2/', None, 200, (HOME, {'Content-Type': 'application/json-home', 'Cache-Control': 'max-age=86400'})),
        ('GET /v2', None, 200, HOME),
        ('GET /v2/', None, 400, error('Invalid API request'), {'Client-ID': None}),
        ('GET /v2/', None, 401, error('Unauthorized'), {'X-Auth-Token': None}),
    ],
    'a ping': [
        ('GET /v2/ping', None, 204, None),
        ('HEAD /v2/ping', None, 204, None),
        ('GET /v2/ping', None, 400, error('Invalid API request'), {'Client-ID': None}),
    ],
    'the health of the storage': [
        ('GET /v2/health', None, 200, {'storage_reachable': True}),
    ],
    'paths that nobody knows': [
        *[(f'GET {path}', None, 404, error('Not found')) for path in (
            '/v2/nothing', '/v2/queues/jobs/nothing', '/v2/queues/jobs/messages/a/b', '/v2//queues',
            '/v2/queues//stats', '/v2/topics/news/claims', '/v2/topics/news/share', '/v2/pools/a/b', '/v2/flavors/a/b',
            '/v2/{queue_name}')],
    ],
    'methods that nobody knows': [
        ('POST /v2/queues', None, 405, (error('Method not allowed'), {'Allow': 'GET'})),
        ('POST /v2/queues/jobs', None, 405, (error('Method not allowed'), {'Allow': 'DELETE, GET, PATCH, PUT'})),
        ('HEAD /v2/queues/jobs', None, 405, (None, {'Allow': 'DELETE, GET, PATCH, PUT'})),
        ('GET /v2/queues/jobs/claims', None, 405, (error('Method not allowed'), {'Allow': 'POST'})),
        ('OPTIONS /v2/queues/jobs/messages', None, 405, (error('Method not allowed'), {'Allow': 'DELETE, GET, POST'})),
    ],
}


@pytest.mark.parametrize('title', TRANSCRIPTS)
def test_transcript(wire, title):
    play(wire, TRANSCRIPTS[title])


@pytest.mark.parametrize('version', VERSIONS.values(), ids=VERSIONS)
def test_a_home_document_lists_what_there_is_and_nothing_else(version):
    listed = {}
    for resource in version.home['resources'].values():
        path = resource['href-template'].partition('{?')[0]
        listed.setdefault(path, set()).update(resource['hints']['allow'])
    served = {version.path + path: set(methods) for path, methods in version.routes.items() if path}
    for path in ('/ping', '/health'):
        served.get(version.path + path, set()).discard('HEAD')
    assert listed == served


def test_health_tells_when_the_storage_cannot_be_reached(wire):
    wire.swift.fail(('GET', '/'), 503, times=100)
    answer = wire.request('GET /v2/health')
    assert (answer.status, answer.json) == (503, {'storage_reachable': False})


@pytest.mark.parametrize('client_id, status', [
    (UUID, 200), (UUID.upper(), 200), (UUID.replace('-', ''), 200), (None, 400), ('', 400), ('client', 400),
    (UUID + '0', 400), ('{' + UUID + '}', 400), (UUID.replace('9', '_'), 400), ('x' * 36, 400), ('\xff' * 32, 400)])
def test_a_client_id_is_a_uuid(wire, client_id, status):
    answer = wire.request('GET /v2/queues', headers={'Client-ID': client_id})
    assert answer.status == status
    if status == 400:
        assert answer.json['title'] == 'Invalid API request'


@pytest.mark.parametrize('client_id, status', [
    ('x' * 10, 200), ('x' * 36, 200), ('x' * 9, 400), ('x' * 37, 400), (None, 400), ('tab\tin the middle', 400),
    ('\xff' * 20, 400)])
def test_a_client_id_may_be_any_short_text_if_the_operator_wants(make_wire, client_id, status):
    wire = make_wire(client_id_uuid_safe='off')
    assert wire.request('GET /v2/queues', headers={'Client-ID': client_id}).status == status


@pytest.mark.parametrize('accept, status', [
    ('application/json', 200), ('application/*', 200), ('*/*', 200), ('text/html, */*;q=0.1', 200),
    ('application/json-home', 200), ('APPLICATION/JSON ; Q=1', 200), ('', 200), (None, 200),
    ('text/html', 406), ('application/json;q=0', 406), ('application/json; q=0.000, */*', 406),
    ('application/xml', 406), ('application/json;q=0.0,text/html', 406), (',', 406), ('json', 406)])
def test_the_client_must_take_json(wire, accept, status):
    answer = wire.request('GET /v2/queues', headers={'Accept': accept})
    assert answer.status == status


def test_a_form_is_no_json(wire):
    form = {'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8'}
    answer = wire.request('PUT /v2/queues/jobs', b'a=1', headers=form)
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')
    assert wire.request('PUT /v2/queues/jobs', headers=form).status == 201


# -- the project -----------------------------------------------------------------------------------

@pytest.mark.parametrize('project, status', [
    ('p', 200), ('with a space', 200), ('x' * 256, 200), ('../\x00', 200), ('\xc3\xbc' * 256, 200), ('\xff', 200),
    ('x' * 257, 400), ('', 400), (None, 400)])
def test_without_authentication_the_project_is_what_the_client_says(make_wire, project, status):
    wire = make_wire(auth=False, allow_anonymous=True)
    assert wire.request('GET /v2/queues', headers={'X-Project-Id': project}).status == status


def test_anonymous_projects_do_not_share_their_queues(make_wire):
    wire = make_wire(auth=False, allow_anonymous=True)
    projects = ['p', 'p/', 'p%2F', 'P', 'p ', 'x' * 250, 'x' * 251, '\xff', '%FF', '../AUTH_p']
    for project in projects:
        assert wire.request('PUT /v2/queues/jobs', headers={'X-Project-Id': project}).status == 201, project
    accounts = wire.accounts_touched()
    assert len(accounts) == len(projects)
    assert all(account.startswith('AUTH_') and len(account) <= 205 for account in accounts)


def test_a_project_may_be_named_by_its_account(make_wire):
    wire = make_wire(auth=False, allow_anonymous=True)
    assert wire.request('PUT /v2/queues/jobs', headers={'X-Project-Id': 'p'}).status == 201
    assert wire.request('PUT /v2/queues/jobs', headers={'X-Project-Id': 'AUTH_p'}).status == 204


# -- bodies ----------------------------------------------------------------------------------------

class Trickle(io.RawIOBase):
    """A body that never ends, and counts what was taken of it."""

    def __init__(self):
        self.taken = 0

    def read(self, size=-1):
        assert size > 0
        self.taken += size
        return b'[' * size


def test_a_body_without_length_is_read_up_to_the_limit(wire):
    body = Trickle()
    answer = wire.request('POST /v2/queues/jobs/messages', headers={'Transfer-Encoding': 'chunked'},
                          **{'wsgi.input': body})
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')
    assert body.taken == 262145


def test_a_chunked_body_is_as_good_as_any(wire):
    answer = wire.request('POST /v2/queues/jobs/messages', headers={'Transfer-Encoding': 'chunked'},
                          **{'wsgi.input': io.BytesIO(b'{"messages": [{"body": 1}]}')})
    assert answer.status == 201


@pytest.mark.parametrize('length', ['262145', '99999999999999999999'])
def test_a_body_that_says_it_is_too_long_is_not_read(wire, length):
    body = Trickle()
    answer = wire.request('POST /v2/queues/jobs/messages', headers={'Content-Length': length}, **{'wsgi.input': body})
    assert (answer.status, body.taken) == (400, 0)


@pytest.mark.parametrize('coding, status', [('chunked', 201), (' Chunked', 201), ('gzip, chunked', 400),
                                            ('identity', 400), ('xchunked', 400)])
def test_a_body_is_sent_in_chunks_or_not_coded_at_all(wire, coding, status):
    answer = wire.request('PUT /v2/queues/jobs', headers={'Transfer-Encoding': coding},
                          **{'wsgi.input': io.BytesIO(b'{}')})
    assert answer.status == status


@pytest.mark.parametrize('broken', [eventlet.wsgi.ChunkReadError('bad size'), OSError('reset'), ValueError('bad')])
def test_after_a_body_that_cannot_be_read_the_connection_is_not_used_again(wire, broken):
    class Input(io.RawIOBase):
        def read(self, size=-1):
            raise broken

        def discard(self):
            raise AssertionError('what is left of the body would be taken for a request')

    stream = Input()
    answer = wire.request('PUT /v2/queues/jobs', headers={'Transfer-Encoding': 'chunked'},
                          **{'wsgi.input': stream, 'eventlet.input': stream})
    assert (answer.status, answer.json['title']) == (400, 'Invalid request body')
    with pytest.raises(eventlet.wsgi.ChunkReadError):
        stream.discard()


def test_a_body_that_breaks_off_is_refused(wire):
    answer = wire.request('POST /v2/queues/jobs/messages', headers={'Content-Length': '100'},
                          **{'wsgi.input': io.BytesIO(b'{"messages": [{"body": 1}]}')})
    assert (answer.status, answer.json['title']) == (400, 'Invalid request body')


def test_a_body_that_trickles_in_too_slowly_is_given_up(wire, monkeypatch):
    class Slow(io.RawIOBase):
        def read(self, size=-1):
            eventlet.sleep(0.001)
            return b' '

    monkeypatch.setattr(frontend, 'BODY_SECONDS', 0.02)
    answer = wire.request('POST /v2/queues/jobs/messages', headers={'Content-Length': '200000'},
                          **{'wsgi.input': Slow()})
    assert (answer.status, answer.json['title']) == (408, 'Request timeout')


# -- faults ----------------------------------------------------------------------------------------

EVERYTHING = [
    ('PUT /v2/queues/more', {}), ('GET /v2/queues/jobs', None), ('GET /v2/queues', None),
    ('GET /v2/queues/jobs/stats', None), ('DELETE /v2/queues/jobs', None), ('POST /v2/queues/jobs/purge', {}),
    ('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]}), ('GET /v2/queues/jobs/messages', None),
    ('GET /v2/queues/jobs/messages/01a1fb10-e992-753c-92c7-914bfc46274e', None),
    ('DELETE /v2/queues/jobs/messages/01a1fb10-e992-753c-92c7-914bfc46274e', None),
    ('DELETE /v2/queues/jobs/messages?pop=1', None), ('POST /v2/queues/jobs/claims', {}),
]


@pytest.mark.parametrize('line, sent', EVERYTHING, ids=lambda part: part if isinstance(part, str) else '')
def test_trouble_in_the_storage_is_503_and_tells_when_to_come_back(wire, line, sent):
    wire.request('PUT /v2/queues/jobs')
    wire.clock.advance(60)
    wire.swift.fail(lambda call: True, 503, times=1000)
    answer = wire.request(line, sent)
    assert (answer.status, answer.json['title']) == (503, 'Service temporarily unavailable')
    assert answer.json['description'].endswith('Please try again in a few seconds.')
    assert int(answer.headers['Retry-After']) > 0


def test_a_fault_of_ours_is_logged_once_and_tells_the_client_nothing(wire, monkeypatch, caplog):
    monkeypatch.setattr(wire.engine, 'ids', None)
    answer = wire.request('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]})
    assert (answer.status, answer.json['title']) == (500, 'Internal server error')
    assert 'NoneType' not in answer.body.decode()
    [record] = [each for each in caplog.records if each.exc_info]
    assert answer.headers['X-Openstack-Request-Id'] in record.getMessage()


def test_a_full_account_is_told_apart_from_trouble(wire):
    wire.request('PUT /v2/queues/jobs')
    wire.swift.fail(('PUT', '/'), 413, times=100)
    answer = wire.request('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]})
    assert (answer.status, answer.json['title']) == (403, 'Quota exceeded')


def test_an_answer_carries_the_id_of_the_request(wire):
    answer = wire.request('GET /v2/queues')
    assert answer.headers['X-Openstack-Request-Id'] == answer.headers['X-Trans-Id']
