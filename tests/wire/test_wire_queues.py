"""Messaging v2: queues, metadata, statistics and purge, as clients see them."""

import pytest
from wire.transcript import ANY, keep, play

PATCH = {'Content-Type': 'application/openstack-messaging-v2.0-json-patch'}
DEFAULTS = {
    '_max_messages_post_size': 262144,
    '_default_message_ttl': 3600,
    '_default_message_delay': 0,
    '_dead_letter_queue': None,
    '_dead_letter_queue_messages_ttl': None,
    '_max_claim_count': None,
    '_enable_encrypt_messages': False,
}

TRANSCRIPTS = {
    'a queue is created once and its metadata is not touched again': [
        ('PUT /v2/queues/jobs', {'colour': 'red'}, 201, (None, {'Location': '/v2/queues/jobs'})),
        ('PUT /v2/queues/jobs', {'colour': 'blue'}, 204, (None, {'Location': '/v2/queues/jobs'})),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS | {'colour': 'red'}),
    ],
    'metadata is optional': [
        ('PUT /v2/queues/jobs', None, 201, None),
        ('PUT /v2/queues/jobs.2_b-C', {}, 201, None),
        ('GET /v2/queues/jobs.2_b-C', None, 200, DEFAULTS),
    ],
    'a slash at the end changes nothing': [
        ('PUT /v2/queues/jobs/', None, 201, (None, {'Location': '/v2/queues/jobs'})),
        ('GET /v2/queues/', None, 200, {'queues': [ANY], 'links': [ANY]}),
    ],
    'a queue that is not there has the defaults': [
        ('GET /v2/queues/jobs', None, 200, DEFAULTS),
        ('GET /v2/queues', None, 200, {'queues': [], 'links': []}),
    ],
    'reserved metadata that is set is shown, and falls back to the default when it is empty': [
        ('PUT /v2/queues/jobs', {'_default_message_ttl': 120, '_max_claim_count': None}, 201, None),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS | {'_default_message_ttl': 120}),
    ],
    'a queue can be deleted twice': [
        ('PUT /v2/queues/jobs', None, 201, None),
        ('DELETE /v2/queues/jobs', None, 204, None),
        ('DELETE /v2/queues/jobs', None, 204, None),
        ('GET /v2/queues', None, 200, {'queues': [], 'links': []}),
    ],
    'queues are listed by name, page by page': [
        *[(f'PUT /v2/queues/{name}', None, 201, None) for name in 'cab'],
        ('GET /v2/queues?limit=2', None, 200, {
            'queues': [{'name': 'a', 'href': '/v2/queues/a'}, {'name': 'b', 'href': '/v2/queues/b'}],
            'links': [{'rel': 'next', 'href': keep('next', r'(/v2/queues\?limit=2&marker=b)')}]}),
        ('GET $next', None, 200, {'queues': [{'name': 'c', 'href': '/v2/queues/c'}],
                                  'links': [{'rel': 'next', 'href': keep('next')}]}),
        ('GET $next', None, 200, {'queues': [], 'links': []}),
    ],
    'queues are listed with their metadata, filtered by it, by name, and counted': [
        ('PUT /v2/queues/red-1', {'colour': 'red'}, 201, None),
        ('PUT /v2/queues/blue-1', {'colour': 'blue'}, 201, None),
        ('GET /v2/queues?detailed=true&colour=red', None, 200, {
            'queues': [{'name': 'red-1', 'href': '/v2/queues/red-1', 'metadata': DEFAULTS | {'colour': 'red'}}],
            'links': [ANY]}),
        ('GET /v2/queues?name=blue', None, 200, {'queues': [{'name': 'blue-1', 'href': ANY}], 'links': [ANY]}),
        ('GET /v2/queues?with_count=on&limit=1', None, 200, {'queues': [ANY], 'links': [ANY], 'count': 2}),
        ('GET /v2/queues?colour=green&with_count=1', None, 200, {'queues': [], 'links': [], 'count': 2}),
    ],
    'metadata is changed by a patch': [
        ('PUT /v2/queues/jobs', {'colour': 'red', 'a/b~c': 1, 'd~1': 2}, 201, None),
        ('PATCH /v2/queues/jobs', [{'op': 'add', 'path': '/metadata/size', 'value': [1]},
                                   {'op': 'replace', 'path': '/metadata/colour', 'value': 'blue'},
                                   {'op': 'remove', 'path': '/metadata/a~1b~0c'},
                                   {'op': 'remove', 'path': '/metadata/d~01'},
                                   {'op': 'replace', 'path': '/metadata/_default_message_ttl', 'value': 120}],
         200, DEFAULTS | {'colour': 'blue', 'size': [1], '_default_message_ttl': 120}, PATCH),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS | {'colour': 'blue', 'size': [1], '_default_message_ttl': 120}),
        ('PATCH /v2/queues/jobs', [{'op': 'remove', 'path': '/metadata/_default_message_ttl'},
                                   {'op': 'remove', 'path': '/metadata/_max_claim_count'}],
         200, DEFAULTS | {'colour': 'blue', 'size': [1]}, PATCH),
    ],
    'a patch that fails changes nothing': [
        ('PUT /v2/queues/jobs', {'colour': 'red'}, 201, None),
        ('PATCH /v2/queues/jobs', [{'op': 'replace', 'path': '/metadata/colour', 'value': 'blue'},
                                   {'op': 'replace', 'path': '/metadata/size', 'value': 1}],
         409, {'title': 'Resource conflict', 'description': 'There is no size to replace.'}, PATCH),
        ('PATCH /v2/queues/jobs', [{'op': 'remove', 'path': '/metadata/size'}], 409,
         {'title': 'Resource conflict', 'description': 'There is no size to remove.'}, PATCH),
        ('PATCH /v2/queues/jobs', [{'op': 'add', 'path': '/metadata/_default_message_ttl', 'value': 1}], 400,
         {'title': 'Invalid API request', 'description': ANY}, PATCH),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS | {'colour': 'red'}),
    ],
    'a queue that is not there cannot be patched': [
        ('PATCH /v2/queues/jobs', [{'op': 'add', 'path': '/metadata/a', 'value': 1}], 404,
         {'title': 'Not found', 'description': 'There is no queue jobs.'}, PATCH),
    ],
    'a queue may have several shards': [
        ('PUT /v2/queues/jobs', {'_shards': 4, 'colour': 'red'}, 201, None),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS | {'_shards': 4, 'colour': 'red'}),
        ('PUT /v2/queues/jobs', {'_shards': 8}, 204, None),
        ('GET /v2/queues?detailed=true', None, 200, {'links': [ANY], 'queues': [
            {'name': 'jobs', 'href': ANY, 'metadata': DEFAULTS | {'_shards': 4, 'colour': 'red'}}]}),
        ('GET /v2/queues?_shards=4', None, 200, {'links': [ANY], 'queues': [ANY]}),
        ('POST /v2/queues/jobs/messages', {'messages': [{'body': number} for number in range(9)]}, 201, ANY),
        ('GET /v2/queues/jobs/messages?echo=true&limit=2', None, 200, {
            'messages': [ANY, ANY], 'links': [ANY]}),
    ],
    'a single shard is not spoken of': [
        ('PUT /v2/queues/jobs', {'_shards': 1}, 201, None),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS),
        ('PATCH /v2/queues/jobs', [{'op': 'replace', 'path': '/metadata/_shards', 'value': 1}], 200, DEFAULTS, PATCH),
        ('PATCH /v2/queues/jobs', [{'op': 'remove', 'path': '/metadata/_shards'}], 200, DEFAULTS, PATCH),
    ],
    'shards can be added and not taken away': [
        ('PUT /v2/queues/jobs', None, 201, None),
        ('PATCH /v2/queues/jobs', [{'op': 'replace', 'path': '/metadata/_shards', 'value': 4}],
         200, DEFAULTS | {'_shards': 4}, PATCH),
        ('PATCH /v2/queues/jobs', [{'op': 'add', 'path': '/metadata/_shards', 'value': 6}],
         200, DEFAULTS | {'_shards': 6}, PATCH),
        ('PATCH /v2/queues/jobs', [{'op': 'replace', 'path': '/metadata/_shards', 'value': 5}], 400,
         {'title': 'Invalid API request',
          'description': 'The queue has 6 shards already, and can only get more.'}, PATCH),
        ('PATCH /v2/queues/jobs', [{'op': 'remove', 'path': '/metadata/_shards'},
                                   {'op': 'add', 'path': '/metadata/colour', 'value': 'red'}],
         200, DEFAULTS | {'_shards': 6, 'colour': 'red'}, PATCH),
        ('POST /v2/queues/jobs/purge', {}, 204, None),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS | {'_shards': 6, 'colour': 'red'}),
        ('DELETE /v2/queues/jobs', None, 204, None),
        ('PUT /v2/queues/jobs', None, 201, None),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS),
    ],
    **{f'{value!r} is no number of shards': [
        ('PUT /v2/queues/jobs', {'_shards': value}, 400, {
            'title': 'Invalid API request', 'description': '_shards must be an integer from 1 to 64.'}),
        ('GET /v2/queues', None, 200, {'queues': [], 'links': []}),
        ('PUT /v2/queues/jobs', None, 201, None),
        ('PATCH /v2/queues/jobs', [{'op': 'add', 'path': '/metadata/_shards', 'value': value}], 400, {
            'title': 'Invalid API request', 'description': '_shards must be an integer from 1 to 64.'}, PATCH),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS),
    ] for value in (0, -1, 65, 2.5, 4.0, '4', True, [], {})},
    'statistics count what is there': [
        ('GET /v2/queues/jobs/stats', None, 200, {'messages': {'claimed': 0, 'free': 0, 'total': 0}}),
        ('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]}, 201,
         {'resources': [keep('first')]}),
        10,
        ('POST /v2/queues/jobs/messages', {'messages': [{'body': 2}]}, 201, {'resources': [keep('last')]}),
        ('POST /v2/queues/jobs/claims?limit=1', None, 201, {'messages': [ANY]}),
        ('GET /v2/queues/jobs/stats', None, 200, {'messages': {
            'claimed': 1, 'free': 1, 'total': 2,
            'oldest': {'age': 10, 'created': '2027-01-15T08:00:00Z', 'href': keep('held', r'($first\?claim_id=.+)')},
            'newest': {'age': 0, 'created': '2027-01-15T08:00:10Z', 'href': '$last'}}}),
    ],
    'a purge takes everything, also what is claimed or delayed': [
        ('PUT /v2/queues/jobs', {'colour': 'red'}, 201, None),
        ('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}, {'body': 2}, {'body': 3, 'delay': 60}]}, 201, ANY),
        ('POST /v2/queues/jobs/claims?limit=1', None, 201, ANY),
        ('POST /v2/queues/jobs/purge', None, 204, None),
        ('GET /v2/queues/jobs/stats', None, 200, {'messages': {'claimed': 0, 'free': 0, 'total': 0}}),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS | {'colour': 'red'}),
    ],
    'a purge of subscriptions alone leaves the messages': [
        ('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]}, 201, ANY),
        ('POST /v2/queues/jobs/purge', {'resource_types': ['subscriptions']}, 204, None),
        ('GET /v2/queues/jobs/messages?echo=true', None, 200, {'messages': [ANY], 'links': [ANY]}),
        ('POST /v2/queues/jobs/purge', {'resource_types': ['messages']}, 204, None),
        ('GET /v2/queues/jobs/messages?echo=true', None, 200, {'messages': [], 'links': []}),
    ],
    'a queue that is not there can be purged': [
        ('POST /v2/queues/jobs/purge', {}, 204, None),
        ('GET /v2/queues', None, 200, {'queues': [], 'links': []}),
    ],
    'the owner sees who else may use the queue': [
        ('PUT /v2/queues/jobs', {'_read_acl': 'test:guest'}, 201, None),
        ('GET /v2/queues/jobs', None, 200, DEFAULTS | {'_read_acl': 'test:guest'}),
    ],
}


@pytest.mark.parametrize('title', TRANSCRIPTS)
def test_transcript(wire, title):
    play(wire, TRANSCRIPTS[title])


BAD_METADATA = [
    b'[]', b'"text"', b'1', b'null', b'{', b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}', b'\xff\xfe{\x00}\x00',
    b'{"a": 9223372036854775808}', b'{"a": -9223372036854775809}', b'{"a": ' + b'[' * 101 + b']' * 101 + b'}',
    b'[' * 50000, b'{"a": ' + b'9' * 5000 + b'}',
]


@pytest.mark.parametrize('body', BAD_METADATA, ids=lambda body: repr(body[:30]))
def test_metadata_must_be_a_json_object(wire, body):
    answer = wire.request('PUT /v2/queues/jobs', body)
    assert (answer.status, answer.json['title']) == (400, 'Invalid request body')
    assert wire.request('GET /v2/queues').json['queues'] == []


BAD_ATTRIBUTES = [
    {'_default_message_ttl': 59}, {'_default_message_ttl': 1209601}, {'_default_message_ttl': '60'},
    {'_default_message_ttl': True}, {'_max_messages_post_size': 0}, {'_max_messages_post_size': 262145},
    {'_default_message_delay': 901}, {'_default_message_delay': -1}, {'_max_claim_count': 'many'},
    {'_dead_letter_queue': '../x'}, {'_dead_letter_queue': 'jobs'}, {'_dead_letter_queue_messages_ttl': 59},
    {'_enable_encrypt_messages': 1}, {'_enable_encrypt_messages': True}, {'_retry_policy': []},
    {'_retry_policy': {'minimum_delay': 9, 'maximum_delay': 10}}, {'_flavor': 'fast'}, {'_read_acl': 'a\nb'},
]


@pytest.mark.parametrize('metadata', BAD_ATTRIBUTES, ids=str)
def test_reserved_metadata_must_make_sense(wire, metadata):
    answer = wire.request('PUT /v2/queues/jobs', metadata)
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')


def test_metadata_of_65536_bytes_is_the_most(wire):
    empty = len(b'{"text": ""}')
    assert wire.request('PUT /v2/queues/jobs', {'text': 'x' * (65536 - empty)}).status == 201
    assert wire.request('PUT /v2/queues/more', {'text': 'x' * (65536 - empty + 1)}).status == 400


BAD_PATCHES = [
    {}, [1], [{}], [{'op': 'add', 'path': '/metadata/a'}], [{'op': 'replace', 'path': '/metadata/a'}],
    [{'op': 'move', 'path': '/metadata/a', 'value': 1}], [{'op': ['add'], 'path': '/metadata/a', 'value': 1}],
    [{'op': 'add', 'path': 'metadata/a', 'value': 1}], [{'op': 'add', 'path': '/metadata', 'value': 1}],
    [{'op': 'add', 'path': '/metadata/', 'value': 1}], [{'op': 'add', 'path': '/other/a', 'value': 1}],
    [{'op': 'add', 'path': '/metadata/a/b', 'value': 1}], [{'op': 'add', 'path': '/metadata/a~2', 'value': 1}],
    [{'op': 'add', 'path': 7, 'value': 1}], [{'op': 'add', 'value': 1}],
]


@pytest.mark.parametrize('patch', BAD_PATCHES, ids=str)
def test_a_patch_must_be_well_formed(wire, patch):
    wire.request('PUT /v2/queues/jobs')
    answer = wire.request('PATCH /v2/queues/jobs', patch, headers=PATCH)
    assert (answer.status, answer.json['title']) == (400, 'Invalid request body')


@pytest.mark.parametrize('media_type', [None, 'application/json', PATCH['Content-Type'] + '; charset=UTF-8'])
def test_a_patch_of_another_type_is_not_understood(wire, media_type):
    wire.request('PUT /v2/queues/jobs')
    answer = wire.request('PATCH /v2/queues/jobs', [], headers={'Content-Type': media_type})
    assert (answer.status, answer.json['title']) == (415, 'Unsupported media type')


def test_the_operator_says_how_many_shards_there_may_be(make_wire):
    wire = make_wire(default_shards=2, max_shards=3)
    assert wire.request('GET /v2/queues/jobs').json['_shards'] == 2
    answer = wire.request('PUT /v2/queues/jobs', {'_shards': 4})
    assert (answer.status, answer.json['description']) == (400, '_shards must be an integer from 1 to 3.')
    assert wire.request('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]}).status == 201
    assert wire.request('GET /v2/queues/jobs').json['_shards'] == 2
    answer = wire.request('PATCH /v2/queues/jobs', [{'op': 'replace', 'path': '/metadata/_shards', 'value': 4}],
                          headers=PATCH)
    assert (answer.status, answer.json['description']) == (400, '_shards must be an integer from 1 to 3.')


@pytest.mark.parametrize('query', ['limit=0', 'limit=21', 'limit=x', 'limit=1.5', 'limit=1_0', 'limit=1&limit=2',
                                   'detailed=maybe', 'with_count=2', 'marker=../x', 'marker=%00'])
def test_bad_parameters_of_a_listing_are_refused(wire, query):
    answer = wire.request(f'GET /v2/queues?{query}')
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')


@pytest.mark.parametrize('body', [{'resource_types': ['queues']}, {'resource_types': 'messages'}, {'types': []}, [1]],
                         ids=str)
def test_a_purge_of_anything_else_is_refused(wire, body):
    wire.request('POST /v2/queues/jobs/messages', {'messages': [{'body': 1}]})
    answer = wire.request('POST /v2/queues/jobs/purge', body)
    assert (answer.status, answer.json['title']) == (400, 'Invalid request body')
    assert wire.request('GET /v2/queues/jobs/stats').json['messages']['total'] == 1
