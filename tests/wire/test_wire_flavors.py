"""Messaging v2: pools and flavors, as operators and tenants see them."""

import pytest
from storage_policies import NAMES, deprecate  # noqa: F401 (a fixture)
from wire.transcript import ANY, play

ERROR = {'title': ANY, 'description': ANY}
PATCH = {'Content-Type': 'application/openstack-messaging-v2.0-json-patch'}
CAPABILITIES = ['CLAIMS', 'DURABILITY', 'AOD']
SILVER, GOLD = ({'uri': f'swift://{name}', 'weight': 10} for name in ('silver', 'gold'))


@pytest.fixture
def wire(make_wire, deprecate):  # noqa: F811
    wire = make_wire()
    wire.swift.policies = list(NAMES)
    return wire


def pool(name, **shown):
    return {'href': f'/v2/pools/{name}', 'name': name, **shown}


def flavor(name, **shown):
    return {'href': f'/v2/flavors/{name}', 'name': name, 'capabilities': CAPABILITIES, **shown}


TRANSCRIPTS = {
    'there are no pools and no flavors': [
        ('GET /v2/pools', None, 200, {'pools': [], 'links': []}),
        ('GET /v2/flavors/', None, 200, {'flavors': [], 'links': []}),
        ('GET /v2/pools/a', None, 404, ERROR),
        ('PATCH /v2/pools/a', {'weight': 1}, 404, ERROR),
        ('GET /v2/flavors/a', None, 404, ERROR),
        ('DELETE /v2/pools/a', None, 204, None),
        ('DELETE /v2/flavors/a', None, 204, None),
    ],
    'a pool is defined, changed and removed': [
        ('PUT /v2/pools/s', SILVER | {'options': {'a': 1}}, 201, (None, {'Location': '/v2/pools/s'})),
        ('GET /v2/pools/s', None, 200, pool('s', **SILVER)),
        ('GET /v2/pools/s?detailed=true', None, 200, pool('s', **SILVER, options={'a': 1})),
        ('PATCH /v2/pools/s', {'weight': 0}, 200, pool('s', uri='swift://silver', weight=0, options={'a': 1})),
        ('PUT /v2/pools/s', GOLD, 201, None),
        ('GET /v2/pools/s?detailed=1', None, 200, pool('s', **GOLD, options={})),
        ('DELETE /v2/pools/s', None, 204, None),
        ('GET /v2/pools/s', None, 404, ERROR),
    ],
    'a flavor is defined, changed and removed, and its pools cannot go before it': [
        ('PUT /v2/pools/s', SILVER, 201, None),
        ('PUT /v2/pools/g', GOLD, 201, None),
        ('PUT /v2/flavors/f', {'pool_list': ['s'], 'capabilities': ['FIFO']}, 201,
         (None, {'Location': '/v2/flavors/f'})),
        ('GET /v2/flavors/f', None, 200, flavor('f', pool_list=['s'])),
        ('PATCH /v2/flavors/f', {'claims_pool': 'g', 'shards': 2, 'limits': {'max_shards': 4}}, 200,
         flavor('f', pool_list=['s'], claims_pool='g', shards=2, limits={'max_shards': 4})),
        ('DELETE /v2/pools/s', None, 403, ERROR),
        ('DELETE /v2/pools/g', None, 403, ERROR),
        ('PATCH /v2/flavors/f', {'claims_pool': None, 'shards': None, 'limits': None}, 200,
         flavor('f', pool_list=['s'])),
        ('DELETE /v2/pools/g', None, 204, None),
        ('DELETE /v2/flavors/f', None, 204, None),
        ('DELETE /v2/pools/s', None, 204, None),
    ],
    'a flavor of ephemeral messages does not call them durable': [
        ('PUT /v2/pools/s', SILVER, 201, None),
        ('PUT /v2/flavors/f', {'pool_list': ['s'], 'ephemeral': True}, 201, None),
        ('GET /v2/flavors/f', None, 200, flavor('f', pool_list=['s'], ephemeral=True) | {
            'capabilities': ['CLAIMS', 'AOD']}),
        ('PUT /v2/queues/q', {'_flavor': 'f'}, 201, None),
        ('PATCH /v2/flavors/f', {'ephemeral': None}, 200, flavor('f', pool_list=['s'])),
        ('POST /v2/queues/q/messages', {'messages': [{'body': 1}, {'body': 2, 'ephemeral': False}]}, 201, ANY),
    ],
    'definitions are listed by name, page by page': [
        ('PUT /v2/pools/s', SILVER, 201, None),
        *[(f'PUT /v2/flavors/{name}', {'pool_list': ['s']}, 201, None) for name in 'cab'],
        ('GET /v2/flavors?limit=2', None, 200, {
            'flavors': [flavor('a', pool_list=['s']), flavor('b', pool_list=['s'])],
            'links': [{'rel': 'next', 'href': '/v2/flavors?limit=2&marker=b'}]}),
        ('GET /v2/flavors?limit=2&marker=b', None, 200, {
            'flavors': [flavor('c', pool_list=['s'])],
            'links': [{'rel': 'next', 'href': '/v2/flavors?limit=2&marker=c'}]}),
        ('GET /v2/flavors?marker=c', None, 200, {'flavors': [], 'links': []}),
        ('GET /v2/pools?detailed=true', None, 200, {'pools': [pool('s', **SILVER, options={})], 'links': [ANY]}),
        ('GET /v2/pools?limit=21', None, 400, ERROR),
        ('GET /v2/pools?marker=a%2Fb', None, 400, ERROR),
    ],
    'pools that cannot be': [
        ('PUT /v2/pools/s', SILVER, 201, None),
        ('PUT /v2/pools/t', SILVER, 409, ERROR),
        *[('PUT /v2/pools/p', sent, 400, ERROR) for sent in (
            None, [], {}, {'uri': 'swift://gold'}, {'weight': 1}, GOLD | {'weight': -1}, GOLD | {'weight': '1'},
            GOLD | {'weight': True}, GOLD | {'weight': 1.5}, GOLD | {'uri': 'mongodb://gold'}, GOLD | {'uri': 7},
            GOLD | {'uri': 'swift://tin'}, GOLD | {'uri': 'swift://old'}, GOLD | {'uri': 'swift://'},
            GOLD | {'options': []}, GOLD | {'options': {'a': 'x' * 5000}}, GOLD | {'flavor': 'f'}, GOLD | {'a': 1})],
        ('PUT /v2/pools/' + 'x' * 65, GOLD, 400, ERROR),
        ('PUT /v2/pools/a:b', GOLD, 400, ERROR),
        ('PATCH /v2/pools/s', {}, 400, ERROR),
        ('PATCH /v2/pools/s', {'weight': None}, 400, ERROR),
        ('GET /v2/pools', None, 200, {'pools': [pool('s', **SILVER)], 'links': [ANY]}),
    ],
    'flavors that cannot be': [
        ('PUT /v2/pools/s', SILVER, 201, None),
        *[('PUT /v2/flavors/f', sent, 400, ERROR) for sent in (
            {}, *({'pool_list': pools} for pools in ([], None, 's', ['t'], [['s']], ['s'] * 101)),
            *({'pool_list': ['s'], key: value} for key, value in (
                ('claims_pool', 't'), ('claims_pool', 7), ('shards', 0), ('shards', 65), ('shards', '2'),
                ('ephemeral', 1), ('limits', []), ('limits', {'max_wait': 1}), ('limits', {'max_message_ttl': 59}),
                ('limits', {'max_message_ttl': 1209601}), ('limits', {'max_shards': True}), ('colour', 'red'))),
            {'pool_list': ['s'], 'shards': 3, 'limits': {'max_shards': 2}})],
        ('GET /v2/flavors', None, 200, {'flavors': [], 'links': []}),
    ],
}


@pytest.mark.parametrize('title', TRANSCRIPTS)
def test_transcript(wire, title):
    play(wire, TRANSCRIPTS[title], user='operator')


def define(wire, **more):
    play(wire, [('PUT /v2/pools/s', SILVER, 201, None), ('PUT /v2/pools/g', GOLD, 201, None),
                ('PUT /v2/flavors/f', {'pool_list': ['s'], **more}, 201, None)], user='operator')


def test_a_queue_shows_its_flavor_and_keeps_to_its_limits(wire):
    define(wire, claims_pool='g', shards=2, limits={
        'max_message_ttl': 600, 'max_message_delay': 5, 'max_messages_post_size': 2000, 'max_shards': 3})
    path = '/v2/queues/jobs'

    def message(**more):
        return {'messages': [{'body': 'b', **more}]}

    def change(**metadata):
        return [{'op': 'add', 'path': f'/metadata/{key}', 'value': value} for key, value in metadata.items()]
    play(wire, [
        *[(f'PUT {path}', {'_flavor': 'f', key: value}, 400, ERROR) for key, value in (
            ('_default_message_ttl', 601), ('_default_message_delay', 6), ('_max_messages_post_size', 2001),
            ('_shards', 4))],
        (f'PUT {path}', {'_flavor': 'f'}, 201, None),
        (f'GET {path}', None, 200, {
            '_flavor': 'f', '_shards': 2, '_default_message_ttl': 600, '_max_messages_post_size': 2000,
            '_default_message_delay': 0, '_dead_letter_queue': None, '_dead_letter_queue_messages_ttl': None,
            '_max_claim_count': None, '_enable_encrypt_messages': False}),
        (f'POST {path}/messages', message(ttl=601), 400, ERROR),
        (f'POST {path}/messages', message(delay=6), 400, ERROR),
        (f'POST {path}/messages', {'messages': [{'body': 'x' * 2000}]}, 400, ERROR),
        (f'POST {path}/messages', message(), 201, ANY),
        (f'GET {path}/messages?echo=true', None, 200, {'messages': [
            {'id': ANY, 'href': ANY, 'age': 0, 'body': 'b', 'ttl': 600}], 'links': ANY}),
        *[(f'PATCH {path}', change(**wrong), 400, ERROR, PATCH) for wrong in (
            {'_shards': 4}, {'_default_message_ttl': 601}, {'_flavor': 'g'}, {'_flavor': None})],
        (f'PATCH {path}', [{'op': 'remove', 'path': '/metadata/_flavor'}], 400, ERROR, PATCH),
        (f'PATCH {path}', change(_shards=3, _flavor='f'), 200, ANY, PATCH),
        ('PUT /v2/queues/plain', None, 201, None),
        ('PATCH /v2/queues/plain', change(_flavor='f'), 400, ERROR, PATCH),
    ])


def test_nobody_but_operators_sees_pools_and_flavors_or_touches_them(wire):
    define(wire)
    before = len(wire.swift.calls)
    for kind, body in (('pools', GOLD), ('flavors', {'pool_list': ['s']})):
        for line in (f'GET /v2/{kind}', f'GET /v2/{kind}/s', f'PUT /v2/{kind}/s', f'PATCH /v2/{kind}/s',
                     f'DELETE /v2/{kind}/s'):
            sent = body if line.startswith('P') else None
            assert [wire.request(line, sent, user=user).status for user in ('tester', 'guest', 'stranger', None)] == [
                403, 403, 403, 401], line
    assert len(wire.swift.calls) == before


@pytest.mark.parametrize('roles, admin_role, status', [
    (['admin'], 'admin', 200), (['Admin', 'member'], 'admin', 200), (['member'], 'admin', 403), (['admin'], '', 403),
    ([''], '', 403)])
def test_a_role_of_keystones_may_be_that_of_operators(make_wire, roles, admin_role, status):
    wire = make_wire(auth=False, admin_role=admin_role)
    environ = {'keystone.identity': {'tenant': ('p', 'p'), 'roles': roles}, 'swift.authorize': lambda request: None}
    assert wire.request('GET /v2/flavors', **environ).status == status


def test_where_no_credentials_are_needed_everybody_is_an_operator(make_wire):
    wire = make_wire(auth=False, allow_anonymous=True)
    assert wire.request('GET /v2/flavors', headers={'X-Project-Id': 'p'}).status == 200
