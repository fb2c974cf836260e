"""Messaging v1.1 and v1, and which versions there are."""

import pytest
from wire.transcript import ANY, keep, play

from swiftqueue.middleware.zaqar_versions import VERSIONS

QUEUES = '/messaging/v1/queues'
JOBS = f'{QUEUES}/jobs'
HREF = '/v1/queues/jobs'  # of what is told, as by a server that knows nothing of what stands before its paths
ID = r'[0-9a-f-]{36}'
NO_ID = {'Client-ID': None}


def error(status, title='Invalid API request'):
    return {'title': {400: title, 403: 'Not authorized', 404: 'Not found', 405: 'Method not allowed'}[status],
            'description': ANY}


def version(number, status, updated, kind, path):
    return {'id': number, 'status': status, 'updated': updated, 'links': [{'href': path, 'rel': 'self'}],
            'media-types': [{'base': 'application/json', 'type': f'application/vnd.openstack.messaging-{kind}+json'}]}


LISTED = [version('2', 'CURRENT', '2014-9-24T04:06:47Z', 'v2', '/v2/'),
          version('1.1', 'DEPRECATED', '2014-9-24T04:06:47Z', 'v1_1', '/v1.1/'),
          version('1', 'DEPRECATED', '2014-9-11T17:47:05Z', 'v1', '/messaging/v1/')]

POST = (f'POST {JOBS}/messages', [{'body': 1, 'ttl': 60}, {'body': 2, 'ttl': 300}], 201, (
    {'resources': [keep('one', f'{HREF}/messages/({ID})'), keep('two', f'{HREF}/messages/({ID})')], 'partial': False},
    {'Location': f'{HREF}/messages?ids=$one,$two'}))
CREATE = (f'PUT {JOBS}', None, 201, (None, {'Location': HREF}))

V1 = {
    'every version is told, and where it is': [
        (f'{method} {path}', None, 300, {'versions': LISTED} if method == 'GET' else None, NO_ID)
        for path in ('/', '/messaging', '/messaging/') for method in ('GET', 'HEAD')
    ],
    'below its own path there is every version': [
        ('GET /messaging/v2/ping', None, 204, None),
        ('GET /messaging/v1.1/ping', None, 204, None),
        ('GET /messaging/v1/health', None, 204, None),
        ('PUT /messaging/v2/queues/jobs', None, 201, (None, {'Location': '/v2/queues/jobs'})),
        ('GET /messaging/nothing', None, 404, error(404)),
        ('GET /messaging//v2/ping', None, 404, error(404)),
    ],
    'v1 says what it has, and that it is well': [
        ('GET /messaging/v1', None, 200, (VERSIONS['1'].home, {'Content-Type': 'application/json-home'}), NO_ID),
        ('GET /messaging/v1/health', None, 204, None, NO_ID),
        ('HEAD /messaging/v1/health', None, 204, None),
    ],
    'a queue in v1': [
        (f'GET {QUEUES}', None, 204, None, NO_ID),
        (f'HEAD {JOBS}', None, 404, None, NO_ID),
        (f'GET {JOBS}', None, 404, error(404)),
        (f'GET {JOBS}/stats', None, 404, error(404)),
        (f'GET {JOBS}/metadata', None, 404, error(404)),
        (f'PUT {JOBS}/metadata', {'colour': 'red'}, 404, error(404)),
        (f'PUT {JOBS}', {'colour': 'red'}, 201, (None, {'Location': HREF}), NO_ID),
        (f'PUT {JOBS}', None, 204, (None, {'Location': HREF})),
        (f'HEAD {JOBS}', None, 204, (None, {'Content-Location': HREF}), NO_ID),
        (f'GET {JOBS}', None, 204, (None, {'Content-Location': HREF})),
        (f'GET {JOBS}/stats', None, 200, (
            {'messages': {'claimed': 0, 'free': 0, 'total': 0}}, {'Content-Location': f'{HREF}/stats'}), NO_ID),
        (f'GET {QUEUES}?limit=5', None, 200, (
            {'queues': [{'name': 'jobs', 'href': HREF}],
             'links': [{'rel': 'next', 'href': '/v1/queues?limit=5&marker=jobs'}]},
            {'Content-Location': '/v1/queues?limit=5'}), NO_ID),
        (f'GET {QUEUES}?marker=jobs', None, 204, None),
        (f'DELETE {JOBS}', None, 204, None, NO_ID),
        (f'DELETE {JOBS}', None, 204, None),
        (f'HEAD {JOBS}', None, 404, None),
    ],
    'the metadata of a queue in v1': [
        CREATE,
        (f'GET {JOBS}/metadata', None, 200, ({}, {'Content-Location': f'{HREF}/metadata'})),
        (f'PUT {JOBS}/metadata', {'colour': 'red', 'size': 3}, 204, (None, {'Location': f'{HREF}/metadata'}), NO_ID),
        (f'GET {JOBS}/metadata', None, 200, {'colour': 'red', 'size': 3}, NO_ID),
        (f'PUT {JOBS}/metadata', {'colour': 'blue'}, 204, None),
        (f'GET {QUEUES}?detailed=true', None, 200,
         {'queues': [{'name': 'jobs', 'href': HREF, 'metadata': {'colour': 'blue'}}], 'links': [ANY]}),
        *[(f'PUT {JOBS}/metadata', bad, 400, error(400, 'Invalid request body')) for bad in ([], None, b'{', 7)],
        (f'PUT {JOBS}/metadata', {'_default_message_ttl': 100}, 400, error(400)),
        (f'GET {JOBS}/metadata', None, 200, {'colour': 'blue'}),
        (f'PUT {JOBS}/metadata', {}, 204, None),
        (f'GET {JOBS}/metadata', None, 200, {}),
    ],
    'what other versions have set is not shown in v1, and stays': [
        ('PUT /v2/queues/jobs', {'colour': 'red', '_read_acl': 'test:guest', '_shards': 2, '_max_claim_count': 3}, 201,
         None),
        (f'GET {JOBS}/metadata', None, 200, {'colour': 'red'}),
        (f'PUT {JOBS}/metadata', {'colour': 'blue'}, 204, None),
        ('GET /v1.1/queues/jobs', None, 200,
         {'colour': 'blue', '_read_acl': 'test:guest', '_shards': 2, '_max_claim_count': 3}),
    ],
    'messages in v1': [
        (f'POST {JOBS}/messages', [{'body': 1, 'ttl': 60}], 404, error(404)),
        (f'GET {JOBS}/messages', None, 204, None),
        CREATE, POST, 5,
        (f'GET {JOBS}/messages?echo=true&limit=1', None, 200, (
            {'messages': [{'href': f'{HREF}/messages/$one', 'ttl': 60, 'age': 5, 'body': 1}],
             'links': [{'rel': 'next', 'href': keep('next', rf'({HREF}/messages\?limit=1&echo=true&marker=.+)')}]},
            {'Content-Location': f'{HREF}/messages?echo=true&limit=1'})),
        ('GET /messaging$next', None, 200, {'messages': [ANY], 'links': [{'rel': 'next', 'href': keep('next')}]}),
        ('GET /messaging$next', None, 204, None),
        (f'GET {JOBS}/messages', None, 204, None),  # they are one's own
        (f'GET {JOBS}/messages/$two', None, 200, (
            {'href': f'{HREF}/messages/$two', 'ttl': 300, 'age': 5, 'body': 2},
            {'Content-Location': f'{HREF}/messages/$two'}), NO_ID),
        (f'GET {JOBS}/messages?ids=$two,$one', None, 200, (
            [{'href': f'{HREF}/messages/$two', 'ttl': 300, 'age': 5, 'body': 2}, ANY],
            {'Content-Location': f'{HREF}/messages?ids=$two,$one'}), NO_ID),
        (f'DELETE {JOBS}/messages/$two', None, 204, None, NO_ID),
        (f'DELETE {JOBS}/messages?ids=$one,$two', None, 204, None, NO_ID),
        (f'GET {JOBS}/messages?ids=$one,$two', None, 204, None),
        (f'GET {JOBS}/messages/$one', None, 404, error(404)),
    ],
    'what v1 asks of messages': [
        CREATE,
        *[(f'POST {JOBS}/messages', bad, 400, error(400, 'Invalid request body')) for bad in (
            {'messages': [{'body': 1, 'ttl': 60}]}, [], [1], [{'body': 1}], [{'ttl': 60}], None, b'[')],
        *[(f'POST {JOBS}/messages', [{'body': 1, 'ttl': ttl}], 400, error(400)) for ttl in (59, '60', 1209601)],
        (f'POST {JOBS}/messages', [{'body': 1, 'ttl': 60}], 400, error(400), NO_ID),
        (f'POST {JOBS}/messages', [{'body': 1, 'ttl': 60}], 400, error(400), {'Client-ID': 'x'}),
        (f'GET {JOBS}/messages?echo=true', None, 400, error(400), NO_ID),
        (f'GET {JOBS}/messages?limit=21', None, 400, error(400)),
        (f'DELETE {JOBS}/messages', None, 400, error(400)),
        (f'DELETE {JOBS}/messages?pop=1', None, 400, error(400)),
        (f'DELETE {JOBS}/messages?ids=1&pop=1', None, 204, None),
        (f'GET {JOBS}/stats', None, 200, {'messages': {'claimed': 0, 'free': 0, 'total': 0}}),
    ],
    'a delay means nothing to v1, but that of the queue does': [
        ('PUT /v2/queues/jobs', {'_default_message_delay': 10}, 201, None),
        (f'POST {JOBS}/messages', [{'body': 1, 'ttl': 60, 'delay': 'never'}], 201, ANY),
        (f'GET {JOBS}/messages?echo=true&include_delayed=true', None, 204, None), 11,
        (f'GET {JOBS}/messages?echo=true', None, 200, ANY),
    ],
    'claims in v1': [
        (f'POST {JOBS}/claims', {'ttl': 100, 'grace': 60}, 204, None, NO_ID),
        CREATE, POST, 3,
        (f'POST {JOBS}/claims?limit=1', {'ttl': 100, 'grace': 60}, 201, (
            [{'href': keep('href', rf'({HREF}/messages/$one\?claim_id=.+)'), 'ttl': 60, 'age': 3, 'body': 1}],
            {'Location': keep('claim', f'({HREF}/claims/.+)')}), NO_ID),
        (f'GET {JOBS}/stats', None, 200, {'messages': {
            'claimed': 1, 'free': 1, 'total': 2, 'oldest': {'age': 3, 'created': ANY, 'href': '$href'},
            'newest': {'age': 3, 'created': ANY, 'href': f'{HREF}/messages/$two'}}}),
        4,
        ('GET /messaging$claim', None, 200, (
            {'age': 4, 'ttl': 100, 'grace': 60, 'href': '$claim',
             'messages': [{'href': '$href', 'ttl': 60, 'age': 7, 'body': 1}]}, {'Content-Location': '$claim'}), NO_ID),
        ('PATCH /messaging$claim', {'ttl': 200}, 204, None, NO_ID),
        ('GET /messaging$claim', None, 200, {'age': 0, 'ttl': 200, 'grace': ANY, 'href': '$claim', 'messages': [ANY]}),
        (f'DELETE {JOBS}/messages/$one', None, 403, error(403)),
        ('DELETE /messaging$href', None, 204, None, NO_ID),
        (f'POST {JOBS}/claims', {'ttl': 100, 'grace': 60}, 201, (
            [{'href': keep('href'), 'ttl': 300, 'age': 7, 'body': 2}], {'Location': keep('claim')})),
        ('DELETE /messaging$claim', None, 204, None, NO_ID),
        ('GET /messaging$claim', None, 404, error(404)),
        ('PATCH /messaging$claim', {'ttl': 100}, 404, error(404)),
        ('DELETE /messaging$href', None, 400, error(400)),
        (f'POST {JOBS}/claims', {'ttl': 100, 'grace': 60}, 201, ANY),
    ],
    'what v1 asks of claims': [
        CREATE, POST,
        *[(f'POST {JOBS}/claims', bad, 400, error(400, 'Invalid request body')) for bad in (
            None, {}, {'ttl': 100}, {'grace': 100}, [100, 100], b'{')],
        *[(f'POST {JOBS}/claims', bad, 400, error(400)) for bad in (
            {'ttl': 59, 'grace': 60}, {'ttl': 60, 'grace': 43201}, {'ttl': '60', 'grace': 60})],
        (f'POST {JOBS}/claims?limit=21', {'ttl': 100, 'grace': 60}, 400, error(400)),
        *[(f'PATCH {JOBS}/claims/none', bad, 400, error(400, 'Invalid request body')) for bad in (
            None, {}, {'grace': 100}, [])],
    ],
    'what v1 has not': [
        *[(f'{line}', None, 404, error(404)) for line in (
            'GET /messaging/v1/ping', f'POST {JOBS}/purge', f'POST {JOBS}/share', 'GET /messaging/v1/pools')],
        (f'PATCH {JOBS}', None, 405, (error(405), {'Allow': 'DELETE, GET, HEAD, PUT'})),
    ],
}

NEWER = '/v1.1/queues/jobs'

V1_1 = {
    'the service in v1.1': [
        ('GET /v1.1/', None, 200, (VERSIONS['1.1'].home, {'Content-Type': 'application/json-home'})),
        ('GET /v1.1/ping', None, 204, None),
        ('GET /v1.1/health', None, 200, {'storage_reachable': True}),
        *[(f'GET {path}', None, 400, error(400), NO_ID) for path in (
            '/v1.1', '/v1.1/ping', '/v1.1/queues', NEWER, f'{NEWER}/stats')],
    ],
    'a queue in v1.1': [
        ('GET /v1.1/queues', None, 200, {'queues': [], 'links': []}),
        (f'GET {NEWER}', None, 200, {}),
        (f'GET {NEWER}/stats', None, 200, {'messages': {'claimed': 0, 'free': 0, 'total': 0}}),
        (f'PUT {NEWER}', {'colour': 'red', '_max_claim_count': 3}, 201, (None, {'Location': NEWER})),
        (f'PUT {NEWER}', {'colour': 'blue'}, 204, None),
        (f'GET {NEWER}', None, 200, {'colour': 'red', '_max_claim_count': 3}),
        ('GET /v1.1/queues?detailed=true&colour=blue&name=x&with_count=true', None, 200, {
            'queues': [{'name': 'jobs', 'href': NEWER, 'metadata': {'colour': 'red', '_max_claim_count': 3}}],
            'links': [{'rel': 'next', 'href': '/v1.1/queues?detailed=true&marker=jobs'}]}),
        (f'PUT {NEWER}-2', {'_max_claim_count': 'many'}, 400, error(400)),
        (f'HEAD {NEWER}', None, 405, (None, {'Allow': 'DELETE, GET, PUT'})),
        (f'PATCH {NEWER}', [], 405, error(405)),
        *[(f'POST {NEWER}/{each}', None, 404, error(404)) for each in ('purge', 'share', 'metadata')],
        (f'DELETE {NEWER}', None, 204, None),
    ],
    'messages and claims in v1.1': [
        (f'GET {NEWER}/messages', None, 200, {'messages': [], 'links': []}),
        (f'POST {NEWER}/messages', {'messages': [{'body': 1}, {'body': 2, 'ttl': 100, 'delay': 'never'}]}, 201, (
            {'resources': [keep('one', f'{NEWER}/messages/({ID})'), keep('two', f'{NEWER}/messages/({ID})')]},
            {'Location': f'{NEWER}/messages?ids=$one,$two'})),
        (f'GET {NEWER}/messages?echo=true&limit=1&include_delayed=maybe', None, 200, {
            'messages': [{'id': '$one', 'href': f'{NEWER}/messages/$one', 'ttl': 3600, 'age': 0, 'body': 1}],
            'links': [{'rel': 'next', 'href': keep('next', rf'({NEWER}/messages\?limit=1&echo=true&marker=.+)')}]}),
        ('GET $next', None, 200, {'messages': [ANY], 'links': [ANY]}),
        (f'POST {NEWER}/claims?limit=1', None, 201, (
            {'messages': [{'id': '$one', 'href': keep('href', rf'({NEWER}/messages/$one\?claim_id=.+)'), 'ttl': 3600,
                           'age': 0, 'body': 1}]}, {'Location': keep('claim', f'({NEWER}/claims/.+)')})),
        ('PATCH $claim', {'ttl': 100, 'grace': 60}, 204, None),
        ('GET $claim', None, 200, {'age': 0, 'ttl': 100, 'grace': 60, 'href': '$claim', 'messages': [
            {'id': '$one', 'href': '$href', 'ttl': 3600, 'age': 0, 'body': 1}]}),
        (f'DELETE {NEWER}/messages/$one', None, 403, error(403)),
        ('DELETE $href', None, 204, None),
        ('DELETE $claim', None, 204, None),
        (f'DELETE {NEWER}/messages?pop=5', None, 200, {'messages': [
            {'id': '$two', 'ttl': 100, 'age': 0, 'body': 2, 'claim_id': ANY}]}),
        (f'DELETE {NEWER}/messages?pop=5', None, 200, {'messages': []}),
        (f'POST {NEWER}/claims', {}, 204, None),
        (f'GET {NEWER}/messages?ids=$one', None, 404, error(404)),
        (f'GET {NEWER}/messages/$one', None, 404, error(404)),
        (f'DELETE {NEWER}/messages', None, 400, error(400)),
        (f'POST {NEWER}/messages', [{'body': 1, 'ttl': 60}], 400, error(400, 'Invalid request body')),
    ],
}


@pytest.fixture
def wire(make_wire):
    return make_wire(api_versions=('2', '1.1', '1'), signed_url_key='secret')


@pytest.mark.parametrize('title', V1)
def test_v1(wire, title):
    play(wire, V1[title])


@pytest.mark.parametrize('title', V1_1)
def test_v1_1(wire, title):
    play(wire, V1_1[title])


@pytest.mark.parametrize('on, off', [
    ('2', ['/v1.1/queues', '/v1/queues', '/v1.1']), ('1.1', ['/v2/queues', '/v2', '/v1.1x', '/v1']),
    ('1', ['/v2/queues', '/v1.1/queues', '/v1/queues'])])
def test_a_version_that_is_off_leaves_its_paths_to_swift(make_wire, on, off):
    wire = make_wire(api_versions=(on,))
    assert [version['id'] for version in wire.request('GET /').json['versions']] == [on]
    for path in off:
        before = len(wire.swift.calls)
        wire.request(f'GET {path}')
        assert wire.swift.calls[before].path == path
    for version in {'2', '1.1', '1'} - {on}:
        assert wire.request(f'GET /messaging/v{version}/queues').status == 404
    assert wire.request(f'GET /messaging/v{on}/queues').status in (200, 204)


def test_v1_is_not_well_when_the_storage_cannot_be_reached(wire):
    wire.swift.fail(('GET', '/'), 503, times=100)
    answer = wire.request('GET /messaging/v1/health')
    assert (answer.status, answer.json) == (503, {'storage_reachable': False})


def test_a_batch_of_which_v1_stored_a_part_is_no_success(wire):
    wire.request(f'PUT {JOBS}')
    wire.swift.fail(('PUT', 'messages'), 503, times=4)
    answer = wire.request(f'POST {JOBS}/messages', [{'body': number, 'ttl': 60} for number in range(20)])
    assert (answer.status, answer.json['partial']) == (503, True)
    total = wire.request(f'GET {JOBS}/stats').json['messages']['total']
    assert 0 < len(answer.json['resources']) == total < 20


@pytest.mark.parametrize('path', [QUEUES, f'{JOBS}/metadata', '/v1.1/queues', '/messaging/v1/health', '/messaging/v2'])
def test_whoever_asks_needs_a_token(wire, path):
    answer = wire.request(f'GET {path}', user=None)
    assert (answer.status, answer.json['title']) == (401, 'Unauthorized')


@pytest.mark.parametrize('project, status', [('p', 204), (None, 400), ('', 400)])
def test_without_authentication_v1_needs_a_project_too(make_wire, project, status):
    wire = make_wire(auth=False, allow_anonymous=True, api_versions=('1',))
    assert wire.request(f'GET {QUEUES}', headers={'X-Project-Id': project}).status == status


def test_rights_are_those_of_v2(wire):
    wire.request('PUT /v2/queues/jobs', {'_read_acl': 'test:guest', '_write_acl': ''})
    wire.request('PUT /v2/queues/mine')
    expected = {f'GET {JOBS}': 204, f'GET {JOBS}/metadata': 200, f'GET {JOBS}/stats': 200, f'PUT {JOBS}/metadata': 403,
                f'DELETE {JOBS}': 403, f'PUT {QUEUES}/more': 403, f'GET {QUEUES}': 403, f'GET {QUEUES}/mine': 403,
                f'GET {QUEUES}/none': 403, f'POST {JOBS}/claims': 403, f'POST {JOBS}/messages': 403}
    sent = {f'PUT {JOBS}/metadata': {}, f'POST {JOBS}/claims': {'ttl': 60, 'grace': 60},
            f'POST {JOBS}/messages': [{'body': 1, 'ttl': 60}]}
    assert {line: wire.request(line, sent.get(line), user='guest').status for line in expected} == expected


@pytest.mark.parametrize('path', [f'{JOBS}/messages', '/v1.1/queues/jobs/messages'])
def test_a_signed_url_is_for_v2_alone(wire, path):
    wire.request('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]})
    signed = wire.request('POST /v2/queues/jobs/share', {}).json
    headers = {'URL-Signature': signed['signature'], 'URL-Expires': signed['expires'], 'URL-Methods': 'GET',
               'URL-Paths': '/v2/queues/jobs/messages', 'X-Project-Id': signed['project']}
    assert wire.request(f'GET {path}', headers=headers, user=None).status == 404
    assert wire.request('GET /messaging/v2/queues/jobs/messages?echo=true', headers=headers, user=None).status == 200


def test_no_long_or_odd_query_comes_back_in_a_header(wire):
    wire.request(f'PUT {JOBS}')
    for query in ('marker=' + 'x' * 5000, 'marker=\xff', 'marker=a\tb'):
        answer = wire.request(f'GET {JOBS}/messages?{query}')
        assert 'Content-Location' not in answer.headers
