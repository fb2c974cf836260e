"""Messaging v2: claims, as clients see them."""

import pytest
from wire.transcript import ANY, keep, play

MESSAGES = '/v2/queues/jobs/messages'
CLAIMS = '/v2/queues/jobs/claims'
ID = r'[0-9a-f-]{36}'


def post(*bodies, names=(), **more):
    sent = {'messages': [{'body': body, **more} for body in bodies]}
    return (f'POST {MESSAGES}', sent, 201,
            {'resources': [keep(name, f'{MESSAGES}/({ID})') for name in names] or [ANY] * len(bodies)})


def claimed(name, body, age=0, count=1, claim='claim'):
    return {'id': f'${name}', 'href': f'{MESSAGES}/${name}?claim_id=${claim}', 'ttl': 3600, 'age': age, 'body': body,
            'claim_count': count}


def claim(number=1, sent=None, query='', name='claim'):
    """A step that claims that many messages and keeps the claim's id."""
    return (f'POST {CLAIMS}{query}', sent, 201,
            ({'messages': [ANY] * number}, {'Location': keep(name, f'{CLAIMS}/([A-Za-z0-9_-]+)')}))


def refusal(status):
    return {'title': {400: 'Invalid API request', 403: 'Not authorized', 404: 'Not found'}[status], 'description': ANY}


TRANSCRIPTS = {
    'a claim holds messages, oldest first': [
        post(1, 2, 3, names=['one', 'two', 'three']),
        5,
        (f'POST {CLAIMS}?limit=2', {'ttl': 100, 'grace': 60}, 201,
         ({'messages': [{'id': '$one', 'href': keep('href', rf'({MESSAGES}/$one\?claim_id=.*)'), 'ttl': 3600, 'age': 5,
                         'body': 1, 'claim_count': 1}, ANY]},
          {'Location': keep('claim', f'{CLAIMS}/(.*)')})),
        7,
        (f'GET {CLAIMS}/$claim', None, 200,
         {'age': 7, 'ttl': 100, 'grace': 60, 'href': f'{CLAIMS}/$claim',
          'messages': [claimed('one', 1, 12), claimed('two', 2, 12)]}),
        (f'GET {MESSAGES}/$one', None, 200,
         {'id': '$one', 'href': f'{MESSAGES}/$one?claim_id=$claim', 'ttl': 3600, 'age': 12, 'body': 1}),
        (f'POST {CLAIMS}', {}, 201, {'messages': [ANY]}),
        (f'POST {CLAIMS}', {}, 204, None),
    ],
    'a claim without a body has the defaults, and null is a default too': [
        post(1, 2),
        claim(query='?limit=1'),
        (f'GET {CLAIMS}/$claim', None, 200, {'age': 0, 'ttl': 300, 'grace': 60, 'href': ANY, 'messages': [ANY]}),
        claim(sent={'ttl': None, 'grace': None}),
        (f'GET {CLAIMS}/$claim', None, 200, {'age': 0, 'ttl': 300, 'grace': 60, 'href': ANY, 'messages': [ANY]}),
    ],
    'who holds a message deletes it': [
        post(1, 2, names=['one', 'two']),
        claim(2),
        (f'DELETE {MESSAGES}/$one?claim_id=$claim', None, 204, None),
        (f'DELETE {MESSAGES}/$one?claim_id=$claim', None, 204, None),
        (f'GET {CLAIMS}/$claim', None, 200,
         {'age': 0, 'ttl': 300, 'grace': 60, 'href': ANY, 'messages': [claimed('two', 2)]}),
    ],
    'who does not hold a message does not delete it': [
        post(1, 2, names=['one', 'two']),
        claim(query='?limit=1', name='mine'),
        claim(query='?limit=1', name='yours'),
        (f'DELETE {MESSAGES}/$one', None, 403, refusal(403)),
        (f'DELETE {MESSAGES}/$one?claim_id=$yours', None, 403, refusal(403)),
        (f'DELETE {MESSAGES}/$one?claim_id=forged', None, 400, refusal(400)),
        (f'DELETE {CLAIMS}/$mine', None, 204, None),
        (f'DELETE {MESSAGES}/$one?claim_id=$mine', None, 400, refusal(400)),
        (f'GET {MESSAGES}/$one', None, 200, ANY),
    ],
    'a message that is gone needs no claim to be deleted': [
        post(1, 2, names=['one', 'two']),
        claim(query='?limit=1'),
        (f'DELETE {MESSAGES}/$one?claim_id=$claim', None, 204, None),
        (f'DELETE {MESSAGES}/$one', None, 204, None),
        (f'DELETE {MESSAGES}?pop=1', None, 200, ANY),
        (f'DELETE {MESSAGES}/$two', None, 204, None),
    ],
    'a claim that ran out deletes nothing': [
        post(1, names=['one']),
        claim(sent={'ttl': 60}, name='first'),
        61,
        (f'DELETE {MESSAGES}/$one?claim_id=$first', None, 400, refusal(400)),
        (f'GET {CLAIMS}/$first', None, 404, refusal(404)),
        claim(name='second'),
        (f'GET {CLAIMS}/$second', None, 200, {'age': 0, 'ttl': 300, 'grace': 60, 'href': ANY, 'messages': [
            claimed('one', 1, age=61, count=2, claim='second')]}),
        (f'DELETE {MESSAGES}/$one?claim_id=$first', None, 403, refusal(403)),
        (f'DELETE {MESSAGES}/$one?claim_id=$second', None, 204, None),
    ],
    'a renewed claim runs from now on': [
        post(1),
        claim(sent={'ttl': 60}),
        50,
        (f'PATCH {CLAIMS}/$claim', {'ttl': 100, 'grace': 60}, 204, None),
        50,
        (f'GET {CLAIMS}/$claim', None, 200, {'age': 50, 'ttl': 100, 'grace': 60, 'href': ANY, 'messages': [ANY]}),
        (f'PATCH {CLAIMS}/$claim', {}, 204, None),
        (f'GET {CLAIMS}/$claim', None, 200, {'age': 0, 'ttl': 300, 'grace': 60, 'href': ANY, 'messages': [ANY]}),
        301,
        (f'PATCH {CLAIMS}/$claim', {'ttl': 100}, 404, refusal(404)),
    ],
    'a released message can be claimed again at once': [
        post(1, names=['one']),
        claim(),
        (f'DELETE {CLAIMS}/$claim', None, 204, None),
        (f'DELETE {CLAIMS}/$claim', None, 204, None),
        (f'GET {CLAIMS}/$claim', None, 404, refusal(404)),
        claim(name='again'),
        (f'GET {MESSAGES}/$one', None, 200, {'id': '$one', 'href': f'{MESSAGES}/$one?claim_id=$again', 'ttl': 3600,
                                             'age': 0, 'body': 1}),
    ],
    'a message that is claimed too often goes to the dead-letter queue': [
        ('PUT /v2/queues/jobs', {'_max_claim_count': 1, '_dead_letter_queue': 'dead'}, 201, None),
        post(1, names=['one']),
        claim(),
        (f'DELETE {CLAIMS}/$claim', None, 204, None),
        2,
        (f'POST {CLAIMS}', {}, 204, None),
        ('GET /v2/queues/dead/messages?echo=1', None, 200, {'messages': [
            {'id': '$one', 'href': '/v2/queues/dead/messages/$one', 'ttl': 3600, 'age': 2, 'body': 1}],
            'links': [ANY]}),
    ],
    'a queue that is not there has nothing to claim': [
        (f'POST {CLAIMS}', {'ttl': 60}, 204, None),
        (f'GET {CLAIMS}/none', None, 404, refusal(404)),
        (f'PATCH {CLAIMS}/none', {'ttl': 60}, 404, refusal(404)),
        (f'DELETE {CLAIMS}/none', None, 204, None),
        ('GET /v2/queues', None, 200, {'queues': [], 'links': []}),
    ],
    'many messages are deleted with the ids of their claims': [
        post(1, 2, 3, 4, names=['one', 'two', 'three', 'four']),
        claim(2, query='?limit=2', name='mine'),
        claim(query='?limit=1', name='yours'),
        (f'DELETE {MESSAGES}?ids=$one,$three&claim_ids=$mine,$yours', None, 204, None),
        (f'DELETE {MESSAGES}?ids=$two&claim_ids=$yours', None, 403, refusal(403)),
        (f'DELETE {MESSAGES}?ids=$four&claim_ids=$mine', None, 400, refusal(400)),
        (f'GET {MESSAGES}?ids=$one,$two,$three,$four', None, 200, {'messages': [ANY, ANY]}),
    ],
    'a refusal does not keep the other messages from being deleted': [
        post(1, 2, names=['one', 'two']),
        claim(1, query='?limit=1'),
        (f'DELETE {MESSAGES}?ids=$two,$one&claim_ids=$claim', None, 400, refusal(400)),
        (f'GET {MESSAGES}?ids=$one,$two', None, 200, {'messages': [ANY]}),
    ],
}


@pytest.mark.parametrize('title', TRANSCRIPTS)
def test_transcript(wire, title):
    play(wire, TRANSCRIPTS[title])


WITH_CLAIM_ID_ONLY = [
    post(1, 2, 3, names=['one', 'two', 'three']),
    (f'DELETE {MESSAGES}/$one', None, 400, refusal(400)),
    (f'DELETE {MESSAGES}?ids=$one,$two', None, 400, refusal(400)),
    claim(3),
    (f'DELETE {MESSAGES}/$one?claim_id=$claim', None, 204, None),
    (f'DELETE {MESSAGES}?ids=$two,$three&claim_ids=$claim', None, 204, None),
    ('GET /v2/queues/jobs/stats', None, 200, {'messages': {'claimed': 0, 'free': 0, 'total': 0}}),
]


def test_the_operator_may_demand_a_claim_id_for_every_deletion(make_wire):
    play(make_wire(message_delete_with_claim_id=True), WITH_CLAIM_ID_ONLY)


@pytest.mark.parametrize('sent, query', [
    ({'ttl': 59}, ''), ({'ttl': 43201}, ''), ({'grace': 59}, ''), ({'grace': 43201}, ''), ({'ttl': '60'}, ''),
    ({'ttl': True}, ''), ({}, '?limit=0'), ({}, '?limit=21'), ({}, '?limit=some'), ({}, '?wait=21'), ({}, '?wait=x')])
def test_a_claim_out_of_limits_is_refused(wire, sent, query):
    wire.request(f'POST {MESSAGES}', {'messages': [{'body': 1}]})
    answer = wire.request(f'POST {CLAIMS}{query}', sent)
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')
    assert wire.request('GET /v2/queues/jobs/stats').json['messages']['claimed'] == 0


@pytest.mark.parametrize('line, sent', [('POST', b'[]'), ('POST', b'{'), ('PATCH', b''), ('PATCH', b'[]')])
def test_the_terms_of_a_claim_are_a_json_object(wire, line, sent):
    wire.request(f'POST {MESSAGES}', {'messages': [{'body': 1}]})
    path = CLAIMS if line == 'POST' else wire.request(f'POST {CLAIMS}').headers['Location']
    answer = wire.request(f'{line} {path}', sent)
    assert (answer.status, answer.json['title']) == (400, 'Invalid request body')


@pytest.mark.parametrize('terms', [{'ttl': 59}, {'ttl': 43201}, {'grace': 43201}, {'ttl': 'x'}], ids=str)
def test_a_claim_is_not_renewed_out_of_limits(wire, terms):
    wire.request(f'POST {MESSAGES}', {'messages': [{'body': 1}]})
    path = wire.request(f'POST {CLAIMS}').headers['Location']
    assert wire.request(f'PATCH {path}', terms).status == 400
    assert wire.request(f'GET {path}').json['ttl'] == 300
