"""Stored names, rows, records, markers and receipts: what is written is read back, and what is not was not written."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from fuzz.effort import examples
from fuzz.oracles import HEADER_LINE, ask
from fuzz.strategies import JOBS, known, plain
from hypothesis import given
from hypothesis import strategies as st

from swiftqueue import ids
from swiftqueue.errors import Invalid, ReceiptInvalid, TooLarge
from swiftqueue.limits import MAX_INLINE, check_queue_name
from swiftqueue.markers import MOST, Marker
from swiftqueue.names import (
    KEPT_ROW,
    ROW,
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
from swiftqueue.receipts import TOKEN, Receipt, sign, verify

surrogates = st.text(st.characters(), max_size=20)  # lone ones too
json_values = st.one_of(
    st.none(), st.booleans(), st.integers(-2 ** 63, 2 ** 63 - 1), st.floats(allow_nan=False, allow_infinity=False),
    surrogates, st.deferred(lambda: st.lists(json_values, max_size=3)),
    st.deferred(lambda: st.dictionaries(surrogates, json_values, max_size=3)))
instants = st.floats(0, 2 ** 35)
seconds = st.integers(0, 2 ** 31)
queue_names = st.from_regex(r'\A[A-Za-z0-9_.-]{1,80}\Z').filter(lambda name: name not in ('.', '..'))
message_ids = st.builds(lambda instant, low: ids.floor(instant)[:24] + f'{low:012x}', instants,
                        st.integers(0, 2 ** 48 - 1))
envelopes = st.builds(Envelope, body=json_values, created_at=instants, ttl=seconds, delay=seconds, expires_at=instants,
                      client_id=surrogates, attributes=st.dictionaries(surrogates, json_values, max_size=2),
                      claims_before=seconds)
states = st.builds(ClaimState, claim=surrogates, ttl=seconds, grace=seconds, renewed_at=instants, expires_at=instants,
                   keep_until=instants, released=st.booleans(),
                   members=st.lists(st.tuples(message_ids, seconds, seconds), max_size=5).map(tuple))
all_receipts = st.builds(Receipt, message_ids, st.integers(1, 2 ** 32 - 1), st.binary(min_size=TOKEN, max_size=TOKEN),
                         st.booleans())


def is_a_header(name, value):
    """Whether Swift takes it as a header line."""
    return (name + value).isascii() and (name + value).isprintable() and len(name) + len(value) + 4 < HEADER_LINE


# -- names -----------------------------------------------------------------------------------------

@examples(100)
@given(queue_names, st.integers(0, 2 ** 40), st.integers(0, ids.SHARDS - 1), message_ids, st.integers(1, 999_999_999))
def test_names_come_back(queue, generation, shard, message_id, delivery):
    generation = f'{generation:011x}-00000000'
    assert parse_container(queue_container(queue)) == ('queue', queue, '', 0)
    assert parse_container(messages_container(queue, generation, shard)) == ('messages', queue, generation, shard)
    assert parse_container(claims_container(queue, generation, shard)) == ('claims', queue, generation, shard)
    assert parse_message(message_name(message_id)) == message_id
    assert parse_claim(claim_name(message_id, delivery)) == (message_id, delivery)
    assert ids.is_id(message_id)


@examples(200)
@given(message_ids, st.integers(0, ids.SHARDS - 1), st.integers(0, ids.SHARDS - 1))
def test_an_id_is_the_same_in_every_shard_but_for_the_shard(message_id, first, second):
    moved = ids.in_shard(message_id, first)
    assert ids.is_id(moved) and ids.shard_of(moved) == first
    assert ids.available_at(moved) == ids.available_at(message_id)
    assert ids.in_shard(moved, second) == ids.in_shard(message_id, second)
    assert ids.in_shard(moved, ids.shard_of(message_id)) == message_id


@examples(100)
@given(message_ids, message_ids, st.integers(1, 999_999_998), st.integers(1, 999_999_998))
def test_names_sort_as_ids_and_deliveries_do(first, second, earlier, later):
    assert (claim_name(first, earlier) < claim_name(second, later)) == ((first, earlier) < (second, later))


@examples(300)
@given(st.one_of(st.text(max_size=70), queue_names.flatmap(lambda name: st.sampled_from([
    name + '\x00', name + '\n', name + '/', '/' + name, name.replace('a', '\u0430'), name + '\u0308', '\x00' + name]))))
def test_a_name_that_passes_is_of_the_grammar(name):
    try:
        check_queue_name(name)
    except Invalid:
        return
    assert set(name) <= set('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-')
    assert 1 <= len(name) <= 80 and name.strip('.')


# -- rows ------------------------------------------------------------------------------------------

@examples(200)
@given(st.binary(max_size=200))
def test_text_comes_back(data):
    assert decode_text(encode_text(data)) == data


@examples(300)
@given(st.text(max_size=30) | st.text('AZaz09-_=+/ \n', max_size=30))
def test_there_is_one_text_for_each_value(text):
    try:
        data = decode_text(text)
    except ValueError:
        return
    assert encode_text(data) == text


@examples(150)
@given(envelopes, st.integers(0, MAX_INLINE))
def test_a_message_comes_back_from_its_content_and_from_its_row(envelope, limit):
    assert parse_envelope(json.loads(envelope.content())) == envelope
    [(name, row)] = envelope.row('d' * 32, limit).items()
    read = parse_envelope(decode_row(row))
    if name == ROW:
        assert read == envelope and len(row) <= limit
    else:
        assert name == KEPT_ROW and not read.complete
        assert (read.ttl, read.delay, read.expires_at, read.claims_before) == (
            envelope.ttl, envelope.delay, envelope.expires_at, envelope.claims_before)
    assert is_a_header(name, row)


@examples(150)
@given(states)
def test_a_claim_comes_back(state):
    assert parse_claim_state(json.loads(state.content())) == state
    headers = state.headers('d' * 32)
    for read in (parse_claim_state(decode_row(headers[KEPT_ROW])),
                 *(parse_claim_header(value) for name, value in headers.items() if name != KEPT_ROW)):
        assert (read.claim, read.released, read.expires_at, read.keep_until) == (
            state.claim, state.released, state.expires_at, state.keep_until)
    assert all(is_a_header(name, value) for name, value in headers.items())


@examples(150)
@given(st.dictionaries(surrogates, json_values, max_size=5), instants, st.integers(0, 9000))
def test_a_record_comes_back_or_is_refused(attributes, instant, padding):
    attributes = attributes | {'padding': ''.join(chr(32 + number * number % 90) for number in range(padding))}
    record = Record('g1', instant, round(instant, 5), attributes)
    try:
        headers = record.headers()
    except TooLarge:
        return
    assert all(is_a_header(name, value) for name, value in headers.items())
    assert parse_record({name.lower(): value for name, value in headers.items()}) == record


@examples(200)
@given(st.text(max_size=60))
def test_a_row_of_somebody_else_is_no_row_of_ours(etag):
    try:
        value = decode_row(etag)
    except ValueError:
        assert '; mq=' in etag
        return
    assert value is None or encode_row('', value).partition('; mq=')[2]


# -- receipts --------------------------------------------------------------------------------------

KEY, PLACE = b'key', ('AUTH_test', 'jobs')
ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'


@examples(150)
@given(all_receipts)
def test_a_receipt_comes_back(receipt):
    assert verify(KEY, *PLACE, sign(KEY, *PLACE, receipt.core)) == receipt


def changed(text):
    """The text with one character replaced, left out, or put in."""
    places = st.integers(0, len(text) - 1)
    letters = st.one_of(st.sampled_from(ALPHABET), st.sampled_from('=+/ \n\r\x00\xff\ud800'), st.characters())
    return st.one_of(
        st.tuples(places, letters).map(lambda change: text[:change[0]] + change[1] + text[change[0] + 1:]),
        places.map(lambda at: text[:at] + text[at + 1:]),
        st.tuples(places, letters).map(lambda change: text[:change[0]] + change[1] + text[change[0]:]),
    ).filter(lambda other: other != text)


@examples(400)
@given(all_receipts.map(lambda receipt: sign(KEY, *PLACE, receipt.core)).flatmap(changed))
def test_a_changed_receipt_is_refused(text):
    with pytest.raises(ReceiptInvalid):
        verify(KEY, *PLACE, text)


@examples(60)
@given(st.data())
def test_a_changed_receipt_costs_no_request(wire, data):
    forged = data.draw(changed(known()['claim']).filter(lambda text: '/' not in text))
    ask(wire, plain('GET', JOBS))  # so that the queue's record is at hand
    before = len(wire.swift.calls)
    for method, document in (('GET', None), ('PATCH', {'ttl': 60}), ('DELETE', None)):
        answer = ask(wire, plain(method, f'{JOBS}/claims/{quote(forged, errors="surrogatepass")}', document=document))
        assert answer.status == (204 if method == 'DELETE' else 404)
    assert ask(wire, plain('DELETE', f'{JOBS}/messages/{known()["held"]}', {'claim_id': forged})).status == 400
    assert len(wire.swift.calls) == before


@examples(100)
@given(all_receipts, st.text(max_size=20), st.text(max_size=20), st.binary(max_size=20))
def test_a_receipt_is_good_for_one_place_and_one_key(receipt, account, queue, key):
    text = sign(KEY, *PLACE, receipt.core)
    for where in ((key, *PLACE), (KEY, account, PLACE[1]), (KEY, PLACE[0], queue)):
        if where != (KEY, *PLACE):
            with pytest.raises(ReceiptInvalid):
                verify(*where, text)


# -- markers ---------------------------------------------------------------------------------------

markers = st.builds(lambda done, now: Marker().after(done, now), st.lists(message_ids, max_size=130), instants)


@examples(150)
@given(markers)
def test_a_marker_comes_back_and_fits_into_a_link(marker):
    assert Marker.parse(str(marker)) == marker
    assert len(marker.seen) <= MOST and len(str(marker)) < HEADER_LINE // 4


@examples(150)
@given(markers, st.lists(message_ids, max_size=30), instants)
def test_a_reader_is_done_with_what_was_shown(marker, done, now):
    before = [each for each in done if marker.has(each)]
    after = marker.after(done, now)
    assert all(after.has(each) for each in before)
    assert after.floor >= marker.floor
    if len(marker.seen) + len(done) <= MOST:
        assert all(after.has(each) for each in done)


@examples(300)
@given(st.one_of(st.text(max_size=50), st.text(ALPHABET, max_size=200), st.binary(max_size=300).map(encode_text),
                 st.binary(max_size=300).map(lambda data: encode_text(data[:8 + (len(data) - 8) // 10 * 10]))))
def test_any_text_is_a_marker_or_none(text):
    marker = Marker.parse(text)
    if marker is not None:
        assert Marker.parse(str(marker)) == marker
        marker.has(ids.floor(1))
        assert marker.start == '' or ids.is_id(marker.start) or len(marker.start) == 36
        marker.after([ids.floor(5)], 100)


@examples(60)
@given(st.one_of(st.text(max_size=50), st.text(ALPHABET, max_size=500), st.binary(max_size=500).map(encode_text)))
def test_a_marker_of_garbage_is_never_worse_than_an_empty_page(wire, text):
    assert ask(wire, plain('GET', f'{JOBS}/messages', {'marker': text})).status == 200
    assert ask(wire, plain('GET', '/v2/queues', {'marker': text})).status in (200, 400)
