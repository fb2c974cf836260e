"""What the worst requests cost: bytes read, memory, sub-requests. Nothing here looks at a clock.

A pattern or a loop that takes time with the square of its input, or worse, would keep these tests from ending.
"""

from __future__ import annotations

import tracemalloc
from io import RawIOBase

import pytest
from fuzz.effort import examples
from fuzz.oracles import MOST_BODY, Sent, ask, bound
from fuzz.strategies import CLIENT_ID, JOBS, PATCH_TYPE, known, make_wire, plain
from hypothesis import given
from hypothesis import strategies as st

from swiftqueue import claims, ids, queues
from swiftqueue.errors import Invalid, QueueError
from swiftqueue.limits import check_queue_name
from swiftqueue.markers import Marker
from swiftqueue.middleware import json_patch, zaqar
from swiftqueue.middleware.frontend import MAX_DEPTH, BadBody, Request, parse_json
from swiftqueue.receipts import verify

PER_BYTE = 80  # bytes of memory for one byte of JSON: the most is an empty object or list for each three


def fill(unit, size=MOST_BODY, start=b'[', end=b'0]'):
    return start + unit * ((size - len(start) - len(end)) // len(unit)) + end


def peak(work):
    """The most memory in use at a time while ``work`` was done."""
    tracemalloc.start()
    try:
        work()
    except QueueError:
        pass
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most


BOMBS = {
    'lists': fill(b'[],'), 'objects': fill(b'{},'), 'numbers': fill(b'1,'), 'floats': fill(b'0.5,'),
    'keys': b'{' + b','.join(b'"%d":0' % number for number in range(25000)) + b'}',
    'one key': fill(b'"a":0,', start=b'{', end=b'"a":0}'),
    'open lists': b'[' * MOST_BODY, 'open objects': fill(b'{"":', start=b'', end=b''), 'nested': fill(b'[[[[]]]],'),
    'digits': b'9' * MOST_BODY, 'fraction': b'0.' + b'9' * (MOST_BODY - 2), 'exponent': b'1e' + b'9' * (MOST_BODY - 2),
    'text': b'"' + b'\xf0\x9f\x98\x80' * (MOST_BODY // 4 - 1) + b'"', 'escapes': fill(b'\\ud83d', start=b'"', end=b'"'),
    'open text': b'"' * MOST_BODY, 'blanks': b' ' * MOST_BODY, 'no utf-8': b'\xff' * MOST_BODY,
    'minus': b'-' * MOST_BODY, 'deep at the end': fill(b'[],', end=b'[' * 500 + b']' * 500 + b']'),
}


@pytest.mark.parametrize('name', BOMBS)
def test_the_memory_for_a_document_is_bounded(name):
    document = BOMBS[name]
    assert len(document) <= MOST_BODY + 2000
    assert peak(lambda: parse_json(document)) < PER_BYTE * MOST_BODY


@pytest.mark.parametrize('depth, good', [(MAX_DEPTH, True), (MAX_DEPTH + 1, False), (5000, False), (131072, False)])
@pytest.mark.parametrize('opening, closing', [(b'[', b']'), (b'{"a":', b'}')])
def test_depth_is_bounded(depth, good, opening, closing):
    document = opening * (depth - 1) + b'[]' + closing * (depth - 1)
    if good:
        parse_json(document)
    else:
        with pytest.raises(BadBody):
            parse_json(document)


LIMITED = [('POST', f'{JOBS}/messages', MOST_BODY), ('PUT', '/v2/queues/more', 65536), ('PATCH', JOBS, 65536),
           ('POST', f'{JOBS}/claims', 65536), ('POST', f'{JOBS}/purge', 65536), ('POST', f'{JOBS}/share', 65536)]


LOTS = '/v2/queues/lots'


class Endless(RawIOBase):
    """A body that goes on for ever, a little at a time."""

    taken = 0

    def __init__(self, piece):
        self.piece = piece

    def read(self, size=-1):
        assert size > 0, 'read without a bound'
        data = self.piece[:size]
        self.taken += len(data)
        return data


@pytest.mark.parametrize('method, path, limit', LIMITED)
@pytest.mark.parametrize('piece', [b'[', b'[' * 7, b' ' * 65536])
def test_no_body_is_read_beyond_its_limit(wire, method, path, limit, piece):
    body = Endless(piece)
    answer = wire.request(f'{method} {path}', headers={'Transfer-Encoding': 'chunked', 'Content-Type': PATCH_TYPE},
                          **{'wsgi.input': body})
    assert (answer.status, body.taken) == (400, limit + 1)


@pytest.mark.parametrize('method, path, limit', LIMITED)
def test_a_body_that_says_it_is_too_large_is_not_read(wire, method, path, limit):
    body = Endless(b'x')
    answer = wire.request(f'{method} {path}', headers={'Content-Length': str(limit + 1), 'Content-Type': PATCH_TYPE},
                          **{'wsgi.input': body})
    assert (answer.status, body.taken) == (400, 0)


@examples(100)
@given(st.one_of(st.text('0123456789+-_ xe,\xb2', max_size=30), st.integers(0, 10 ** 6000).map(
    lambda number: '9' * (number % 6000))), st.text('chunked, gzipCHUNKED\t', max_size=20))
def test_a_content_length_is_a_small_number_or_refused(length, coding):
    request = Request({'REQUEST_METHOD': 'PUT', 'CONTENT_LENGTH': length, 'HTTP_TRANSFER_ENCODING': coding})
    try:
        size = request._content_length
    except Invalid:
        return
    assert size is None and coding.strip().lower() == 'chunked' or size == int(length or 0) < 10 ** 20


# -- the work of one request -----------------------------------------------------------------------

MANY = ','.join(known()['held'] for _ in range(1000))
REFUSED = [
    *(('GET', f'{JOBS}/messages?limit={limit}') for limit in ('0', '21', '-1', '9' * 18, '9' * 4000)),
    *(('POST', f'{JOBS}/claims?limit={limit}') for limit in ('0', '21', '9' * 18)),
    *(('DELETE', f'{JOBS}/messages?pop={limit}') for limit in ('0', '21', '9' * 18)),
    *(('GET', f'/v2/queues?limit={limit}') for limit in ('0', '21', '9' * 18)),
    ('POST', f'{JOBS}/claims?wait=1000000'), ('GET', f'{JOBS}/messages?wait=21'),
    ('GET', f'{JOBS}/messages?ids={MANY}'), ('DELETE', f'{JOBS}/messages?ids={MANY}'),
    ('DELETE', f'{JOBS}/messages?ids=a&claim_ids={MANY}'), ('GET', f'{JOBS}/messages?' + '&ids=a' * 1000),
    ('GET', f'{JOBS}/messages?ids=' + ',' * 8000), ('DELETE', f'{JOBS}/messages?pop=1&ids=a'),
]


@pytest.mark.parametrize('method, target', REFUSED, ids=[f'{method} {target[:60]}' for method, target in REFUSED])
def test_more_than_is_allowed_is_refused_before_anything_is_done(wire, method, target):
    ask(wire, plain('GET', JOBS))  # so that the queue's record is at hand
    calls = len(wire.swift.calls)
    assert ask(wire, Sent(method, target, {'Client-ID': CLIENT_ID})).status == 400
    assert len(wire.swift.calls) == calls


@pytest.mark.parametrize('count, status', [(1000, 201), (1001, 400), (20000, 400)])
def test_a_post_makes_one_request_for_each_message(wire, count, status):
    with wire.swift.recording() as calls:
        messages = b','.join([b'{"body":1}'] * count)
        answer = wire.request(f'POST {JOBS}/messages', b'{"messages":[' + messages + b']}')
    assert answer.status == status
    assert len(calls) <= 1 + (count if status == 201 else 0)


def test_every_id_with_every_claim_id_is_the_most_work_there_is():
    wire = make_wire()
    for _ in range(2):
        wire.request(f'POST {JOBS}/messages', {'messages': [{'body': number} for number in range(20)]})
    claims = [wire.request(f'POST {JOBS}/claims?limit=1').headers['Location'].rpartition('/')[2] for _ in range(20)]
    page = wire.request(f'GET {JOBS}/messages?echo=1&limit=20').json['messages']
    sent = plain('DELETE', f'{JOBS}/messages', {'ids': ','.join(message['id'] for message in page),
                                                'claim_ids': ','.join(claims)})
    assert ask(wire, sent).status == 400  # they are in nobody's hands
    assert bound(sent) < 2000


def test_a_filter_looks_at_so_many_queues_and_says_where_to_go_on(monkeypatch):
    monkeypatch.setattr(queues, '_FILTERED', 3)
    wire = make_wire()
    for number in range(40):
        wire.request(f'PUT /v2/queues/q{number}', {'late': number >= 38})
    with wire.swift.recording() as calls:
        first = wire.request('GET /v2/queues?late=true').json
    assert first['queues'] == [] and len(calls) <= 10 + 30
    [link] = first['links']
    found = wire.request(f'GET {link["href"]}').json
    assert [queue['name'] for queue in found['queues']] == ['q38', 'q39']


def test_many_dead_messages_do_not_hold_up_one_claimer(monkeypatch):
    monkeypatch.setattr(claims, '_MOST_BURIED', 10)
    wire = make_wire()
    wire.request(f'POST {LOTS}/messages', {'messages': [{'body': number} for number in range(40)]})
    for _ in range(2):
        assert len(wire.request(f'POST {LOTS}/claims?limit=20', {'ttl': 60}).json['messages']) == 20
    wire.clock.advance(61)
    wire.request(f'PATCH {LOTS}', [{'op': 'add', 'path': '/metadata/_max_claim_count', 'value': 1},
                                   {'op': 'add', 'path': '/metadata/_dead_letter_queue', 'value': 'dead'}],
                 headers={'Content-Type': PATCH_TYPE})
    moved = []
    for _ in range(4):
        assert ask(wire, plain('POST', f'{LOTS}/claims')).status == 204
        moved.append(wire.request('GET /v2/queues/dead/stats').json['messages']['total'])
        wire.clock.advance(2)
    assert moved == [10, 20, 30, 40]


# -- the time that patterns and parsers take -------------------------------------------------------

PATTERNS = {
    'patch': lambda text: json_patch.parse([{'op': 'remove', 'path': '/metadata/' + text}]),
    'queue': check_queue_name, 'id': ids.is_id, 'marker': Marker.parse,
    'receipt': lambda text: verify(b'key', 'a', 'q', text), 'accept': zaqar._admits_json,
    'json': lambda text: parse_json(text.encode('utf-8', 'surrogatepass')),
    'params': lambda text: Request({'REQUEST_METHOD': 'GET', 'QUERY_STRING': text}).params,
}


@pytest.mark.parametrize('unit', ['a', '~', '~0', '~1/', 'a~', '0', '-', '.', 'A=', '=', ',', ';q=', '*/*,', '\x00',
                                  '[', '"', '\\', '%', '&a', '&a=1', '+', '\xff'])
@pytest.mark.parametrize('name', PATTERNS)
def test_no_text_keeps_a_parser_busy(name, unit):
    size = 65536 if name in ('patch', 'json') else 8192  # of a body, or of a line of the request
    text = unit * (size // len(unit))
    for candidate in (text, text + '!', 'a' + text, text + '\n'):
        try:
            PATTERNS[name](candidate)
        except QueueError:
            pass


def test_a_patch_of_many_operations_is_one_change(wire):
    patch = [{'op': 'add', 'path': f'/metadata/k{number % 7}', 'value': number} for number in range(1200)]
    with wire.swift.recording() as calls:
        answer = ask(wire, plain('PATCH', JOBS, document=patch, headers={'Content-Type': PATCH_TYPE}))
    assert answer.status == 200 and len(calls) <= 3
