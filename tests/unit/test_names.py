"""Stored names and formats: they come back as they went in, and they fit where Swift puts them."""

import doctest
import importlib
import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from swift.common.request_helpers import get_reserved_name
from world import ACCOUNT, World

import swiftqueue
from swiftqueue.errors import TooLarge
from swiftqueue.ids import floor, in_shard
from swiftqueue.limits import MAX_INLINE
from swiftqueue.names import (
    ATTRIBUTES,
    CLAIM,
    GENERATION,
    KEPT_ROW,
    ROW,
    SHARDS,
    ClaimState,
    Envelope,
    Record,
    claim_name,
    claims_container,
    decode_row,
    decode_text,
    encode_row,
    encode_text,
    message_name,
    messages_container,
    parse_claim,
    parse_claim_header,
    parse_claim_state,
    parse_container,
    parse_envelope,
    parse_message,
    parse_record,
    queue_container,
)

HEADER_LINE = 8192 - 2  # what eventlet reads of one line, without its CRLF
XATTR = 3500  # what ext4 holds of an object's metadata, less what Swift itself puts there
ID = '01a3185c-5000-7abc-9def-0123456789ab'
MD5 = 'd41d8cd98f00b204e9800998ecf8427e'


def nested(depth):
    value = None
    for _ in range(depth):
        value = {'deeper': [value]}
    return value


NASTY = [
    None, True, False, 0, -0.5, 1e300, 5e-324, 2 ** 63, -10 ** 4000, '', 'text', [], {}, {'': ''},
    ''.join(map(chr, range(256))), '\r\nX-Evil: 1', '\x00', '"; mq=abc, ;', '\ud800',
    '\udfff\ud800', '\U0001f600\u2028\ufeff\uffff', 'é', 'e\u0301',
    {'\ud800\r\n': '\ud800'}, nested(100), [0] * 3000]

ENVELOPE = Envelope(body='b', created_at=1.25, ttl=60, delay=0, expires_at=61.25, client_id='me')
STATE = ClaimState(claim='c' * 42, ttl=60, grace=30, renewed_at=1.5, expires_at=61.5,
                   keep_until=91.5)
RECORD = Record('g1', 1.5, 61.5, {'colour': 'red'})


def sources_with_examples():
    root = Path(swiftqueue.__file__).parent
    return sorted(path.relative_to(root.parent).with_suffix('') for path in root.rglob('*.py')
                  if '>>> ' in path.read_text('utf-8'))


@pytest.mark.parametrize('source', sources_with_examples(), ids=str)
def test_the_examples_in_docstrings_are_true(source):
    failed, tried = doctest.testmod(importlib.import_module('.'.join(source.parts)))
    assert tried and not failed


# -- names ----------------------------------------------------------------------------------------

def test_our_names_are_what_swift_calls_reserved():
    assert queue_container('jobs') == get_reserved_name('queue', 'jobs')
    assert messages_container('jobs', 'g1', 3) == get_reserved_name('messages', 'jobs', 'g1', '3')
    assert claims_container('jobs', 'g1') == get_reserved_name('claims', 'jobs', 'g1', '0')
    assert message_name(ID) == get_reserved_name(ID)
    assert claim_name(ID, 7) == get_reserved_name(ID, '000000007')


@pytest.mark.parametrize('queue', ['jobs', 'a', '-', '...', 'x' * 64])
def test_containers_tell_their_kind_queue_generation_and_shard(queue):
    assert parse_container(queue_container(queue)) == ('queue', queue, '', 0)
    assert parse_container(messages_container(queue, 'g-1', 12)) == ('messages', queue, 'g-1', 12)
    assert parse_container(claims_container(queue, 'g-1')) == ('claims', queue, 'g-1', 0)


@pytest.mark.parametrize('container', [
    '', '\x00', '\x00\x00', 'photos', 'queue', 'queue\x00jobs', '\x00queue',
    '\x00queue\x00jobs\x00', '\x00versions\x00photos', '\x00messages\x00jobs',
    '\x00messages\x00jobs\x00', '\x00messages\x00jobs\x00g1', 'x\x00messages\x00jobs\x00g1\x000',
    'messages\x00jobs\x00g1\x000', '\x00messages\x00jobs\x00g1\x000\x00',
    '\x00messages\x00jobs\x00g1\x00', '\x00messages\x00jobs\x00g1\x0065', '\x00messages\x00jobs\x00g1\x0001',
    '\x00messages\x00jobs\x00g1\x00-1', '\x00messages\x00jobs\x00g1\x00\u0660',
    '\x00Claims\x00jobs\x00g1\x000', 'x\x00queue\x00jobs'])
def test_a_container_of_somebody_else_is_known_as_foreign(container):
    assert parse_container(container) is None


def test_the_prefix_of_a_queues_containers_covers_no_other_queue():
    prefix = messages_container('jobs')
    assert messages_container('jobs', 'g1').startswith(prefix)
    for other in ('job', 'jobs2', 'jobs.', 'Jobs'):
        assert not messages_container(other, 'g1').startswith(prefix)
    assert queue_container('jobs').startswith(queue_container())


@pytest.mark.parametrize('delivery', [1, 9, 10, 99, 100, 999_999])
def test_object_names_tell_message_and_delivery(delivery):
    assert parse_claim(claim_name(ID, delivery)) == (ID, delivery)
    assert parse_message(message_name(ID)) == ID


def test_claims_sort_by_message_and_then_by_delivery():
    ids = [floor(instant) for instant in (1.0, 1.001, 2.0)]
    deliveries = (1, 2, 9, 10, 100, 999_999)
    names = [claim_name(each, delivery) for each in ids for delivery in deliveries]
    assert names == sorted(names)
    for name in names[6:12]:
        assert message_name(ids[1]) < name < message_name(ids[2])


# -- text in headers ------------------------------------------------------------------------------

def test_any_bytes_survive_as_text():
    chance = random.Random(3)
    for length in range(200):
        data = chance.randbytes(length)
        text = encode_text(data)
        assert re.fullmatch('[A-Za-z0-9_-]*', text)
        assert decode_text(text) == data


@pytest.mark.parametrize('text', [
    'A', 'AB', 'ABC', 'AA==', 'AA=', 'AAAAA', 'A A', 'AAAA\n', '\nAAAA', 'AA\r\nAA', '++++',
    '////', 'AA.A', 'é', '\u0660AAA', '\ud800AAA', '====', 'AAAA===='])
def test_text_that_we_do_not_write_is_no_text(text):
    with pytest.raises(ValueError):
        decode_text(text)


@pytest.mark.parametrize('etag', ['', MD5, f'"{MD5}"', f'{MD5}-2', f'{MD5}; slo_etag=abc', '; mq'])
def test_a_row_that_somebody_else_wrote_carries_nothing(etag):
    assert decode_row(etag) is None


def test_what_another_filter_adds_behind_our_row_is_passed_over():
    assert decode_row(encode_row(MD5, {'x': 1}) + '; symlink_target=a/b') == {'x': 1}


# -- the envelope ---------------------------------------------------------------------------------

def row_of(headers):
    """What a row will show, from the one header that says so."""
    (name, text), = headers.items()
    assert re.fullmatch('[ -~]*', text)
    assert len(f'{name}: {text}') <= HEADER_LINE
    assert name == ROW or len(name + text) < XATTR
    return text


@pytest.mark.parametrize('body', NASTY, ids=range(len(NASTY)))
def test_a_message_survives_in_its_object_and_in_its_row(body):
    envelope = replace(ENVELOPE, body=body, client_id='\ud800\r\n\x00', attributes={'\n': body},
                       claims_before=3)
    assert parse_envelope(json.loads(envelope.content())) == envelope
    row = parse_envelope(decode_row(row_of(envelope.row(MD5, MAX_INLINE))))
    assert row == envelope or row == replace(envelope, body=None, attributes={}, complete=False)


def test_a_message_without_extras_survives_too():
    assert parse_envelope(json.loads(ENVELOPE.content())) == ENVELOPE
    assert parse_envelope(decode_row(row_of(ENVELOPE.row(MD5, MAX_INLINE)))) == ENVELOPE


def test_a_row_may_be_as_long_as_the_limit_and_no_longer():
    for size in range(2000, 2010):  # some of them need base64's last bits, some do not
        envelope = replace(ENVELOPE, body='x' * size)
        whole = envelope.row(MD5, MAX_INLINE)
        assert envelope.row(MD5, len(whole[ROW])) == whole
        small = row_of(envelope.row(MD5, len(whole[ROW]) - 1))
        assert parse_envelope(decode_row(small)) == replace(envelope, body=None, complete=False)


def test_a_row_without_its_body_keeps_what_a_listing_needs():
    envelope = replace(ENVELOPE, body='x' * 5000, attributes={'a': 'x' * 5000}, claims_before=9,
                       client_id='\U0001f600' * 36)
    small = parse_envelope(decode_row(row_of(envelope.row(MD5, 4096))))
    assert small == replace(envelope, body=None, attributes={}, complete=False)


def test_a_row_without_its_body_is_stored_with_the_object_and_one_with_it_is_not():
    assert set(replace(ENVELOPE, body='x' * 5000).row(MD5, 4096)) == {KEPT_ROW}
    assert set(ENVELOPE.row(MD5, 0)) == {KEPT_ROW}
    assert set(ENVELOPE.row(MD5, 4096)) == {ROW}


def test_a_body_of_null_is_a_body():
    envelope = replace(ENVELOPE, body=None)
    assert parse_envelope(decode_row(row_of(envelope.row(MD5, MAX_INLINE)))).complete


def test_keys_that_a_later_version_adds_are_passed_over():
    assert parse_envelope(json.loads(ENVELOPE.content()) | {'later': [1]}) == ENVELOPE
    assert parse_claim_state(json.loads(STATE.content()) | {'later': [1]}) == STATE
    headers = {name.lower(): value for name, value in RECORD.headers().items()}
    generation = GENERATION.lower()
    headers[generation] = json.dumps(json.loads(headers[generation]) | {'later': 1})
    headers['x-container-sysmeta-swiftqueue-later'] = 'x'
    assert parse_record(headers) == RECORD


# -- the claim ------------------------------------------------------------------------------------

def test_a_claim_survives_in_its_object_its_row_and_its_header():
    members = ((ID, 1, 1_800_000_000), (floor(5), 999_999, 0))
    state = replace(STATE, members=members)
    assert parse_claim_state(json.loads(state.content())) == state
    headers = state.headers(MD5)
    assert parse_claim_state(decode_row(headers[KEPT_ROW])) == STATE  # members only in the object
    assert parse_claim_header(headers[CLAIM]) == STATE
    released = state.release()
    assert parse_claim_header(released.headers(MD5)[CLAIM]).released
    assert not state.released and released == replace(state, released=True)


def test_every_claim_fits_in_its_headers():
    most = replace(STATE, ttl=2 ** 31, grace=2 ** 31, renewed_at=1 / 3 + 2e9,
                   expires_at=1 / 3 + 2e9, keep_until=1 / 3 + 4e9, released=True,
                   members=((ID, 999_999, 2 ** 31),) * 100)
    assert sum(len(name + text) for name, text in most.headers(MD5).items()) < XATTR
    assert all(re.fullmatch('[ -~]*', text) for text in most.headers(MD5).values())


def test_a_claim_lives_until_it_runs_out_or_is_released():
    assert STATE.live(61.4) and not STATE.live(61.5)
    assert not STATE.release().live(2)


# -- the queue's record ---------------------------------------------------------------------------

def stored(record):
    """The record's headers as a response has them: empty ones are not there."""
    return {name.lower(): value for name, value in record.headers().items() if value}


@pytest.mark.parametrize('value', NASTY, ids=range(len(NASTY)))
def test_a_record_survives_in_headers(value):
    record = replace(RECORD, attributes={'value': value, '\r\n\x00\ud800': value})
    assert all(re.fullmatch('[ -~]*', line) for line in record.headers().values())
    assert parse_record(stored(record)) == record


def merged(*written):
    """What Swift keeps of headers that were written at different instants: of each, the last one."""
    kept = {}
    for _, headers in sorted(written, key=lambda each: each[0]):
        kept |= {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in kept.items() if value}


@pytest.mark.parametrize('shards', [1, 2, 63, 64])
def test_a_record_tells_its_shards(shards):
    assert parse_record(stored(replace(RECORD, shards=shards))) == replace(RECORD, shards=shards)


def test_shards_from_somewhere_else_are_passed_over():
    for number in ('0', '65', '-1', '01', 'x', '', '2.5'):
        assert parse_record(stored(RECORD) | {f'{SHARDS}{number}'.lower(): 'y'}).shards == 1


def test_whatever_is_written_at_the_same_time_a_queue_never_gets_fewer_shards():
    chance = random.Random(11)
    for _ in range(500):
        written, most, read = [(0, replace(RECORD, shards=2).headers())], 2, [1, 2]
        for _ in range(chance.randint(1, 8)):
            # Each change knows what one of the replicas knew at some time, and its clock may be wrong.
            known = replace(RECORD, shards=chance.choice(read), written_at=chance.uniform(0, 9))
            grown = replace(known, shards=chance.randint(known.shards, 64))
            headers = chance.choice((
                grown.attribute_headers() | grown.shard_headers(known.shards),
                known.attribute_headers(), known.generation_headers()))
            most = max(most, grown.shards if any(name.startswith(SHARDS) for name in headers) else 0)
            written.append((known.written_at, headers))
            read.append(parse_record(merged(*written)).shards)
        assert read[-1] == most


def test_a_queue_that_grew_step_by_step_has_few_headers():
    record, headers = RECORD, stored(RECORD)
    for shards in range(2, 65):
        grown = replace(record, shards=shards)
        headers = merged((0, headers), (1, grown.shard_headers(record.shards)))
        record = parse_record(headers)
        assert record.shards == shards
    assert len(headers) == len(stored(RECORD)) + 1


def test_a_message_from_elsewhere_fits_into_any_queue():
    for shard in range(64):
        message_id = in_shard(ID, shard)
        assert replace(RECORD, shards=shard + 1).fit(message_id) == message_id
        assert replace(RECORD, shards=max(1, shard)).fit(message_id) == in_shard(ID, 0)


@pytest.mark.parametrize('headers', [{}, {'x-timestamp': '1'}, {(ATTRIBUTES + '0').lower(): 'x'}])
def test_a_container_without_a_record_is_no_queue(headers):
    assert parse_record(headers) is None


def text_of(letters, size):
    return ''.join(random.Random(5).choices(letters, k=size))


def test_a_long_record_fits_in_header_lines():
    record = replace(RECORD, attributes={'text': text_of('0123456789abcdef', 65_000)})
    lines = [f'{name}: {value}\r\n' for name, value in record.headers().items()]
    assert sum(map(len, lines)) > 40_000  # long enough to mean something
    assert max(map(len, lines)) <= HEADER_LINE
    assert sum(map(len, lines)) < 60_000  # of 65536, with room for what the proxy adds
    assert parse_record(stored(record)) == record


def test_a_record_that_does_not_fit_is_refused():
    letters = ''.join(map(chr, range(32, 127)))
    with pytest.raises(TooLarge):
        replace(RECORD, attributes={'text': text_of(letters, 60_000)}).headers()


def test_a_record_that_shrinks_leaves_nothing_behind():
    world = World()
    world.queue().create({'text': text_of('0123456789abcdef', 60_000)})

    def lines():
        response = world.swift.request(
            'HEAD', f'/v1/{ACCOUNT}/{queue_container("jobs")}',
            {'X-Backend-Allow-Reserved-Names': 'true'})
        return [name for name in response.headers if name.startswith(ATTRIBUTES)]
    assert len(lines()) > 1
    world.tick()
    world.queue().configure(lambda attributes: {'text': 'short'})
    assert len(lines()) == 1
    assert world.queue(proxy=1).attributes()['text'] == 'short'
