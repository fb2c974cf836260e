"""Messaging v2: messages, as clients see them."""

import hashlib
import json

import pytest
from wire.transcript import ANY, keep, play

MESSAGES = '/v2/queues/jobs/messages'
NONE = {'messages': [], 'links': []}
OTHER = {'Client-ID': '0c31b2a8-6d3c-4c0e-9f8b-0a9c4f0f7f11'}
ID = r'[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}'


def post(*bodies, names=(), **more):
    """A step that posts messages, and keeps their ids under the names."""
    sent = {'messages': [{'body': body, **more} for body in bodies]}
    return (f'POST {MESSAGES}', sent, 201,
            {'resources': [keep(name, f'{MESSAGES}/({ID})') for name in names] or [ANY] * len(bodies)})


def shown(name, body, age=0, ttl=3600, claim=''):
    return {'id': f'${name}', 'href': f'{MESSAGES}/${name}{claim}', 'ttl': ttl, 'age': age, 'body': body}


TRANSCRIPTS = {
    'posting creates the queue and tells where the messages are': [
        (f'POST {MESSAGES}', {'messages': [{'body': {'a': [1, 'ü', None]}, 'ttl': 60}, {'body': 2}]}, 201,
         ({'resources': [keep('one', f'{MESSAGES}/({ID})'), keep('two', f'{MESSAGES}/({ID})')]},
          {'Location': f'{MESSAGES}?ids=$one,$two', 'Content-Type': 'application/json; charset=UTF-8'})),
        ('GET /v2/queues', None, 200, {'queues': [{'name': 'jobs', 'href': '/v2/queues/jobs'}], 'links': [ANY]}),
        5,
        (f'GET {MESSAGES}/$one', None, 200, shown('one', {'a': [1, 'ü', None]}, age=5, ttl=60)),
        (f'GET {MESSAGES}?ids=$two,$one', None, 200,
         {'messages': [shown('two', 2, age=5), shown('one', {'a': [1, 'ü', None]}, age=5, ttl=60)]}),
    ],
    'fields of a message that nobody knows are passed over': [
        (f'POST {MESSAGES}', {'messages': [{'body': 1, 'id': 'mine', 'ttl': None}], 'more': 1}, 201, ANY),
    ],
    'a message lives as long as its queue says': [
        ('PUT /v2/queues/jobs', {'_default_message_ttl': 100}, 201, None),
        post(1, names=['one']),
        99,
        (f'GET {MESSAGES}/$one', None, 200, shown('one', 1, age=99, ttl=100)),
        1,
        (f'GET {MESSAGES}/$one', None, 404, {'title': 'Not found', 'description': 'There is no such message.'}),
        (f'GET {MESSAGES}?echo=true', None, 200, NONE),
    ],
    'a client does not see its own messages unless it asks for them': [
        post(1, names=['one']),
        (f'GET {MESSAGES}', None, 200, NONE),
        (f'GET {MESSAGES}?echo=false', None, 200, NONE),
        (f'GET {MESSAGES}?echo=true', None, 200, {'messages': [shown('one', 1)], 'links': [ANY]}),
        (f'GET {MESSAGES}', None, 200, {'messages': [shown('one', 1)], 'links': [ANY]}, OTHER),
    ],
    'a Client-ID with and without dashes is one client': [
        post(1),
        (f'GET {MESSAGES}', None, 200, NONE, {'Client-ID': '3381AF922B9E11E3B19171861300734C'}),
    ],
    'a reader goes on where it was, also after it has read everything': [
        post(1, 2, 3),
        (f'GET {MESSAGES}?limit=2', None, 200,
         {'messages': [{'body': 1, 'id': ANY, 'href': ANY, 'ttl': ANY, 'age': ANY}, ANY],
          'links': [{'rel': 'next', 'href': keep('next', rf'({MESSAGES}\?limit=2&marker=[\w-]+)')}]}, OTHER),
        ('GET $next', None, 200, {'messages': [ANY], 'links': [{'rel': 'next', 'href': keep('next')}]}, OTHER),
        ('GET $next', None, 200, NONE, OTHER),
        post(4, names=['four']),
        ('GET $next', None, 200, {'messages': [shown('four', 4)], 'links': [ANY]}, OTHER),
    ],
    'ten messages are a page unless another number is asked for': [
        post(*range(25)),
        (f'GET {MESSAGES}?echo=1', None, 200, {'messages': [ANY] * 10, 'links': [ANY]}),
        (f'GET {MESSAGES}?echo=1&limit=20', None, 200, {'messages': [ANY] * 20, 'links': [ANY]}),
    ],
    'the place of a large batch does not name every message': [
        (f'POST {MESSAGES}', {'messages': [{'body': 1}] * 21}, 201, (ANY, {'Location': MESSAGES})),
    ],
    'a marker that is none finds nothing': [
        post(1),
        (f'GET {MESSAGES}?echo=1&marker=none', None, 200, NONE),
    ],
    'a queue that is not there has no messages': [
        (f'GET {MESSAGES}', None, 200, NONE),
        (f'GET {MESSAGES}?ids=a,b', None, 404, {'title': 'Not found', 'description': ANY}),
        (f'GET {MESSAGES}/a', None, 404, {'title': 'Not found', 'description': ANY}),
        (f'DELETE {MESSAGES}/a', None, 204, None),
        (f'DELETE {MESSAGES}?ids=a,b', None, 204, None),
        (f'DELETE {MESSAGES}?pop=1', None, 200, {'messages': []}),
        ('GET /v2/queues', None, 200, {'queues': [], 'links': []}),
    ],
    'claimed and delayed messages are listed only on demand': [
        post(1, names=['one']),
        ('POST /v2/queues/jobs/claims', None, 201, ANY),
        post(2, names=['two'], delay=60),
        post(3, names=['three']),
        (f'GET {MESSAGES}?echo=1', None, 200, {'messages': [shown('three', 3)], 'links': [ANY]}),
        (f'GET {MESSAGES}?echo=1&include_delayed=true', None, 200,
         {'messages': [shown('three', 3), shown('two', 2)], 'links': [ANY]}),
        (f'GET {MESSAGES}?echo=1&include_claimed=true', None, 200, {'messages': [ANY, ANY], 'links': [ANY]}),
        61,
        (f'GET {MESSAGES}?echo=1', None, 200,
         {'messages': [shown('three', 3, age=61), shown('two', 2, age=61)], 'links': [ANY]}),
    ],
    'a delay can be the default of a queue': [
        ('PUT /v2/queues/jobs', {'_default_message_delay': 30}, 201, None),
        post(1),
        post(2, delay=10, names=['two']),
        (f'DELETE {MESSAGES}?pop=5', None, 200, {'messages': []}),
        11,
        (f'DELETE {MESSAGES}?pop=5', None, 200,
         {'messages': [{'id': '$two', 'ttl': 3600, 'age': 11, 'body': 2, 'claim_id': ANY, 'claim_count': 1}]}),
    ],
    'messages are deleted one by one or together, also those that are not there': [
        post(1, 2, 3, names=['one', 'two', 'three']),
        (f'DELETE {MESSAGES}/$one', None, 204, None),
        (f'DELETE {MESSAGES}/$one', None, 204, None),
        (f'DELETE {MESSAGES}?ids=$one,$two,none', None, 204, None),
        (f'GET {MESSAGES}?ids=$one,$two,$three', None, 200, {'messages': [shown('three', 3)]}),
    ],
    'a claimed message is deleted by its id only together with others': [
        post(1, 2, names=['one', 'two']),
        ('POST /v2/queues/jobs/claims', None, 201, ANY),
        (f'DELETE {MESSAGES}/$one', None, 403, {'title': 'Not authorized', 'description': ANY}),
        (f'DELETE {MESSAGES}?ids=$one', None, 204, None),
        (f'GET {MESSAGES}?ids=$one,$two', None, 200, {'messages': [ANY]}),
    ],
    'popping hands messages out for good': [
        post(1, 2, 3, names=['one', 'two', 'three']),
        (f'DELETE {MESSAGES}?pop=2', None, 200, {'messages': [
            {'id': '$one', 'ttl': 3600, 'age': 0, 'body': 1, 'claim_id': ANY, 'claim_count': 1},
            {'id': '$two', 'ttl': 3600, 'age': 0, 'body': 2, 'claim_id': ANY, 'claim_count': 1}]}),
        (f'DELETE {MESSAGES}?pop=2', None, 200, {'messages': [ANY]}),
        (f'DELETE {MESSAGES}?pop=2', None, 200, {'messages': []}),
    ],
}


@pytest.mark.parametrize('title', TRANSCRIPTS)
def test_transcript(wire, title):
    play(wire, TRANSCRIPTS[title])


def test_the_place_of_a_batch_fits_into_a_header(make_wire):
    wire = make_wire(max_messages_per_page=1000)
    for count in (100, 101, 1000):
        answer = wire.request(f'POST {MESSAGES}', {'messages': [{'body': 1}] * count})
        assert ('ids' in answer.headers['Location']) == (count <= 100)
        assert len(answer.headers['Location']) < 4096


BAD_BATCHES = [
    {}, [], [1], {'messages': []}, {'messages': {}}, {'messages': [1]}, {'messages': [{}]}, {'messages': [{'ttl': 60}]},
    {'messages': [{'body': 1}, {'ttl': 60}]}, b'', b'{"messages": [{"body": NaN}]}', b'{"messages": [{"body": \xff}]}',
]


@pytest.mark.parametrize('batch', BAD_BATCHES, ids=str)
def test_a_batch_must_be_well_formed(wire, batch):
    answer = wire.request(f'POST {MESSAGES}', batch)
    assert (answer.status, answer.json['title']) == (400, 'Invalid request body')
    assert wire.request('GET /v2/queues').json['queues'] == []


@pytest.mark.parametrize('message', [
    {'ttl': 59}, {'ttl': 1209601}, {'ttl': '60'}, {'ttl': 60.0}, {'ttl': True}, {'delay': -1}, {'delay': 901},
    {'delay': '1'}, {'ephemeral': 'yes'}, {'ephemeral': 1}], ids=str)
def test_a_message_out_of_limits_is_refused_with_its_whole_batch(wire, message):
    answer = wire.request(f'POST {MESSAGES}', {'messages': [{'body': 1}, {'body': 2} | message]})
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')
    assert wire.request('GET /v2/queues/jobs/stats').json['messages']['total'] == 0


def test_a_post_of_262144_bytes_is_the_most(wire):
    text = 'x' * (262144 - len(json.dumps({'messages': [{'body': ''}]})))
    assert wire.request(f'POST {MESSAGES}', {'messages': [{'body': text}]}).status == 201
    answer = wire.request(f'POST {MESSAGES}', {'messages': [{'body': text + 'x'}]})
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')


def test_a_queue_may_take_less_in_one_post(wire):
    wire.request('PUT /v2/queues/jobs', {'_max_messages_post_size': 100})
    assert wire.request(f'POST {MESSAGES}', {'messages': [{'body': 'x' * 50}]}).status == 201
    assert wire.request(f'POST {MESSAGES}', {'messages': [{'body': 'x' * 100}]}).status == 400


@pytest.mark.parametrize('query', ['limit=0', 'limit=21', 'limit=-1', 'limit=ten', 'echo=perhaps',
                                   'include_claimed=2', 'include_delayed=none', 'wait=21', 'wait=-1', 'wait=0.5',
                                   'ids=' + ','.join('abcdefghijklmnopqrstu'), 'ids=,'])
def test_bad_parameters_of_a_listing_are_refused(wire, query):
    answer = wire.request(f'GET {MESSAGES}?{query}')
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')


@pytest.mark.parametrize('query', ['', 'ids=a&pop=1', 'pop=0', 'pop=21', 'pop=all', 'claim_ids=a',
                                   'ids=' + ','.join('abcdefghijklmnopqrstu')])
def test_what_to_delete_must_be_clear(wire, query):
    answer = wire.request(f'DELETE {MESSAGES}?{query}')
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')


def test_true_and_false_have_many_names(wire):
    wire.request(f'POST {MESSAGES}', {'messages': [{'body': 1}]})
    for names, number in ((('true', 'True', 't', 'yes', 'y', '1', 'on'), 1),
                          (('false', 'False', 'f', 'no', 'n', '0', 'off', ''), 0)):
        for name in names:
            assert len(wire.request(f'GET {MESSAGES}?echo={name}').json['messages']) == number


def test_an_age_is_whole_seconds_and_never_negative(wire):
    wire.request(f'POST {MESSAGES}', {'messages': [{'body': 1}]})
    for seconds, age in ((0.9, 0), (1, 1), (-1.8, 0), (-0.01, 0)):
        wire.clock.advance(seconds)
        [message] = wire.request(f'GET {MESSAGES}?echo=1&include_delayed=1').json['messages']
        assert message['age'] == age


def test_a_checksum_is_shown_on_demand(make_wire):
    wire = make_wire(enable_checksum=True)
    wire.request(f'POST {MESSAGES}', {'messages': [{'body': {'ü': 1}}]})
    [message] = wire.request(f'GET {MESSAGES}?echo=1').json['messages']
    assert message['checksum'] == 'MD5:' + hashlib.md5(b'{"\\u00fc": 1}').hexdigest()
    [message] = wire.request('POST /v2/queues/jobs/claims').json['messages']
    assert message['checksum'].startswith('MD5:')


def test_a_batch_stored_in_part_is_no_success(wire):
    wire.request('PUT /v2/queues/jobs')
    wire.swift.fail(lambda call: call.method == 'PUT' and call.obj, 503, times=3, skip=1)
    answer = wire.request(f'POST {MESSAGES}', {'messages': [{'body': 1}, {'body': 2}, {'body': 3}]})
    assert answer.status == 503
    stored = [message['href'] for message in wire.request(f'GET {MESSAGES}?echo=1').json['messages']]
    assert len(stored) == 2
    assert sorted(answer.json['resources']) == stored
    assert answer.json['description'].startswith('2 of 3 messages were stored')


def test_a_batch_of_which_nothing_is_stored_fails_as_a_whole(wire):
    wire.request('PUT /v2/queues/jobs')
    wire.swift.fail(('PUT', '/'), 503, times=100)
    answer = wire.request(f'POST {MESSAGES}', {'messages': [{'body': 1}, {'body': 2}]})
    assert (answer.status, answer.json['title']) == (503, 'Service temporarily unavailable')
    assert 'resources' not in answer.json
    assert int(answer.headers['Retry-After']) > 0


@pytest.mark.parametrize('body', [{'deep': {'er': []}}, 'lone \ud800 surrogate', '\x00\r\n', -2 ** 63, 1.5, None, ''],
                         ids=repr)
def test_any_json_is_a_body_and_comes_back_as_it_was(wire, body):
    wire.request(f'POST {MESSAGES}', {'messages': [{'body': body}]})
    [message] = wire.request('POST /v2/queues/jobs/claims').json['messages']
    assert message['body'] == body
