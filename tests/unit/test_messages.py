"""Messages: what becomes of each in a batch, where bodies are kept, and what a listing reads."""

import json

import pytest
from world import ACCOUNT, KEY, World

from swiftqueue.errors import Invalid, QuotaExceeded, TooLarge, Unavailable
from swiftqueue.ids import is_id
from swiftqueue.messages import MAX_BATCH
from swiftqueue.model import NewMessage
from swiftqueue.names import (
    claims_container,
    decode_row,
    message_name,
    messages_container,
)
from swiftqueue.queues import Engine
from swiftqueue.swift import LISTING_LIMIT


@pytest.fixture
def world():
    return made()


def made(**options):
    world = World(**options)
    world.queue().create()
    world.tick()
    return world


def box(world):
    return messages_container('jobs', world.queue().record().generation)


def post(world, *bodies, proxy=0, **fields):
    world.tick()
    posted = world.queue(proxy=proxy).messages.post(
        [NewMessage(body, **fields) for body in bodies], 'client')
    world.tick()
    return posted


def listed(world, **options):
    page = world.queue(proxy=1).messages.list(limit=20, **options)
    return [message.body for message in page.items]


def gets(calls):
    """(listings, objects read)"""
    reads = [call for call in calls if call.method == 'GET']
    return len([call for call in reads if not call.obj]), len([call for call in reads if call.obj])


def in_batch(*numbers):
    """Match the PUTs of some messages of a batch, by the order of their ids."""
    seen = []

    def match(call):
        if call.method != 'PUT' or not call.obj:
            return False
        if call.obj not in seen:
            seen.append(call.obj)
        return seen.index(call.obj) in numbers
    return match


# -- batches --------------------------------------------------------------------------------------

@pytest.mark.parametrize('failure', [503, 507, 422, 'timeout', OSError('reset')], ids=str)
def test_each_message_of_a_batch_has_its_own_outcome(world, failure):
    world.swift.fail(in_batch(1, 3), failure, times=100)
    posted = post(world, *range(5))
    assert [type(one.error) for one in posted] == [
        type(None), Unavailable, type(None), Unavailable, type(None)]
    assert listed(world) == [0, 2, 4]
    assert all(is_id(one.id) for one in posted) and len({one.id for one in posted}) == 5


def test_a_batch_of_which_nothing_was_stored_says_so(world):
    world.swift.fail(lambda call: call.method == 'PUT', 503, times=100)
    posted = post(world, 1, 2, 3)
    assert [type(one.error) for one in posted] == [Unavailable] * 3
    assert listed(world) == []


def test_a_quota_that_runs_out_amid_a_batch_is_told_for_each(world):
    world.swift.fail(in_batch(2, 3), 413, times=100)
    posted = post(world, *range(4))
    assert [type(one.error) for one in posted[2:]] == [QuotaExceeded] * 2
    assert [one.error for one in posted[:2]] == [None, None]


@pytest.mark.parametrize('batch', [
    [], [NewMessage('x')] * (MAX_BATCH + 1),
    *([NewMessage('good'), NewMessage('bad', **options)] for options in (
        {'ttl': 59}, {'ttl': 1209601}, {'ttl': True}, {'delay': -1}, {'delay': 901},
        {'delay': '1'}))])
def test_a_bad_batch_stores_nothing(world, batch):
    with world.swift.recording() as calls:
        with pytest.raises(Invalid):
            world.queue().messages.post(batch)
    assert not [call for call in calls if call.method == 'PUT']


def test_a_batch_may_be_as_large_as_the_queue_says(world):
    world.queue().configure(lambda attributes: {'_max_messages_post_size': 10})
    world.tick()
    assert world.queue().messages.post([NewMessage('x')], size=10)[0].error is None
    with pytest.raises(TooLarge):
        world.queue().messages.post([NewMessage('x')], size=11)


@pytest.mark.parametrize('cached', [True, False])
def test_a_message_for_a_generation_that_is_gone_is_stored_in_the_present_one(cached):
    world = World(cache=False)  # so that nobody hears of the change
    world.queue().create()
    if cached:
        post(world, 'old')
    other = world.queue(proxy=1)
    old = box(world)
    other.purge()
    for name in world.swift.rows(ACCOUNT, old):
        other.swift.delete(old, name['name'])
    world.tick()
    assert other.swift.delete_container(old)
    with world.swift.recording() as calls:
        assert [one.error for one in post(world, 'new')] == [None]
    assert [call.status for call in calls if call.method == 'PUT'] == [404, 201]
    assert listed(world) == ['new']


def test_a_generation_that_is_gone_twice_is_given_up(world):
    with world.swift.recording() as calls:
        world.swift.fail(in_batch(0), 404, times=100)
        posted, = post(world, 'x')
    assert isinstance(posted.error, Unavailable)
    assert len([call for call in calls if call.method == 'PUT']) == 2


# -- where bodies are kept ------------------------------------------------------------------------

def row_length(world, body):
    """Of the row of a message with that body, if it is inline."""
    post(world, body)
    row, = world.swift.rows(ACCOUNT, box(world))
    assert 'body' in decode_row(row['hash'])
    return len(row['hash'])


@pytest.mark.parametrize('over, objects_read', [(0, 0), (1, 1)])
def test_a_body_over_the_inline_limit_costs_one_get_when_listed(over, objects_read):
    body = 'x' * 1000
    limit = row_length(made(inline_limit=7500), body)
    world = made(inline_limit=limit - over)
    post(world, body)
    with world.swift.recording() as calls:
        assert listed(world, include_claimed=True) == [body]
    assert gets(calls) == (1, objects_read)


def test_a_page_of_large_messages_costs_one_get_each(world):
    post(world, *('x' * 5000 + str(number) for number in range(6)), 'small')
    with world.swift.recording() as calls:
        assert len(listed(world, include_claimed=True)) == 7
    assert gets(calls) == (1, 6)


def test_messages_that_are_passed_over_are_not_read(world):
    post(world, 'x' * 5000)
    with world.swift.recording() as calls:
        assert listed(world, include_claimed=True, client_id='client') == []
    assert gets(calls) == (1, 0)


@pytest.mark.parametrize('body', ['secret', {'deep': ['secret']}, 'secret' * 1000])
def test_no_body_is_in_a_row_where_objects_are_encrypted(world, body):
    engine = Engine(world.options, KEY, encrypted=True, clock=world.clock, monotonic=world.clock)
    world.engines.append(engine)
    world.queue(proxy=2).messages.post(
        [NewMessage(body, attributes={'name': 'secret'})], 'client')
    world.tick()
    row, = world.swift.rows(ACCOUNT, box(world))
    assert 'secret' not in json.dumps(decode_row(row['hash']))
    message, = world.queue().messages.list().items
    assert (message.body, message.attributes) == (body, {'name': 'secret'})
    claim = world.queue(proxy=2).claims.create(1)
    assert claim.messages[0].body == body
    for container in (box(world), claims_container('jobs', world.queue().record().generation)):
        for row in world.swift.rows(ACCOUNT, container):
            assert 'secret' not in json.dumps(decode_row(row['hash']))


@pytest.mark.parametrize('body', ['small', 'x' * 5000])
def test_a_row_that_lost_what_we_wrote_is_read_from_its_object(world, body):
    posted, = post(world, body)
    plain = world.swift.request(
        'POST', f'/v1/{ACCOUNT}/{box(world)}/{message_name(posted.id)}',
        {'X-Backend-Allow-Reserved-Names': 'true', 'X-Delete-At': str(int(world.clock()) + 3600)})
    assert plain.status_int == 202
    world.tick()
    assert listed(world) == [body]
    assert world.queue().stats().total == 1
    assert [message.body for message in world.queue().claims.create(1).messages] == [body]


def test_a_message_that_was_acked_while_it_was_listed_is_left_out(world):
    posted, kept = post(world, 'x' * 5000, 'y' * 5000)
    world.swift.lagging = {0, 1, 2}
    world.queue().messages.delete([posted.id])
    with world.swift.recording() as calls:
        assert listed(world) == ['y' * 5000]
    assert gets(calls)[1] == 2


def test_a_delete_that_reached_one_replica_only_stands_in_a_newest_read(world):
    posted, = post(world, 'x')

    def two_fall_silent(call):
        if call.method == 'DELETE':
            world.swift.down_objects = {1, 2}
    world.swift.on_commit = two_fall_silent
    with pytest.raises(Unavailable):
        world.queue().messages.delete([posted.id])
    world.swift.on_commit = None
    world.swift.heal()
    for _ in range(10):  # whichever replica answers first
        assert world.queue().messages.read(world.queue().record(), posted.id, newest=True) is None


@pytest.mark.parametrize('part', ['listing', 'object', 'claims'])
def test_a_page_that_could_not_be_read_whole_is_no_page(world, part):
    post(world, 'x' * 5000, 'small')
    container = claims_container('jobs', world.queue().record().generation) if part == 'claims' \
        else box(world)
    world.swift.fail(lambda call: call.container == container and call.method == 'GET'
                     and bool(call.obj) == (part == 'object'), 503)
    with pytest.raises(Unavailable):
        listed(world)
    assert len(listed(world)) == 2


# -- bodies as deep as doors take them ------------------------------------------------------------

def deeper(frames, act):
    """``act`` from further down the stack, as for a request that came through a long pipeline."""
    return act() if frames == 0 else deeper(frames - 1, act)


def test_a_nested_body_comes_back_also_deep_down_the_stack(world):
    body = None
    for _ in range(100):
        body = [body]
    post(world, body, 'next')
    assert deeper(300, lambda: listed(world)) == [body, 'next']
    assert len(deeper(300, lambda: world.queue().claims.create(10)).messages) == 2


# -- deleting and counting ------------------------------------------------------------------------

def test_deleting_many_goes_on_past_one_that_fails(world):
    posted = post(world, 1, 2, 3)
    world.swift.fail(('DELETE', posted[1].id), 503, times=3)
    with pytest.raises(Unavailable):
        world.queue().messages.delete([one.id for one in posted])
    assert listed(world) == [2]
    world.queue().messages.delete([one.id for one in posted])
    world.tick(world.options.head_seconds)  # the other proxy has listed already
    assert listed(world) == []


def test_what_is_no_id_costs_no_request(world):
    world.queue().record()
    with world.swift.recording() as calls:
        for text in ('', '..', 'x' * 36, '01A3185C-5000-7ABC-9DEF-0123456789AB', '\x00'):
            world.queue().messages.delete([text])
            world.queue().messages.delete_unclaimed(text)
            assert world.queue().messages.get([text]) == []
    assert calls == []


def test_an_id_named_twice_is_one_message(world):
    posted, = post(world, 'x')
    assert len(world.queue().messages.get([posted.id, posted.id])) == 1
    with world.swift.recording() as calls:
        world.queue().messages.delete([posted.id, posted.id])
    assert len([call for call in calls if call.method == 'DELETE']) == 1


def test_counts_go_past_the_end_of_one_listing(world, monkeypatch):
    post(world, *range(7))
    monkeypatch.setattr('swiftqueue.messages.LISTING_LIMIT', 3)
    stats = world.queue().stats()
    assert (stats.total, stats.oldest.body, stats.newest.body) == (7, 0, 6)
    assert LISTING_LIMIT > 3


def test_counts_tell_the_oldest_and_newest_that_still_live(world):
    post(world, 'short', ttl=60)
    post(world, 'old')
    post(world, 'new')
    post(world, 'late', delay=300)
    world.clock.advance(61)
    world.queue().claims.create(1)
    stats = world.queue(proxy=1).stats()
    assert (stats.total, stats.claimed, stats.delayed) == (3, 1, 1)
    assert (stats.oldest.body, stats.newest.body) == ('old', 'late')


def test_a_message_lives_as_long_as_its_last_claim_asked_for(world):
    posted, = post(world, 'x', ttl=60)
    world.clock.advance(50)
    world.queue().claims.create(1, ttl=60, grace=60)
    world.clock.advance(50)
    assert (world.queue().stats().total, world.queue().stats().claimed) == (1, 1)
    assert len(world.queue().messages.get([posted.id])) == 1
    world.clock.advance(50)
    assert listed(world) == ['x']
    assert (world.queue().stats().total, world.queue().stats().claimed) == (1, 0)
    world.clock.advance(50)
    assert listed(world) == [] and world.queue().stats().total == 0
    assert world.queue().messages.get([posted.id]) == []


def test_a_message_that_its_claim_keeps_is_listed_with_the_claimed(world):
    post(world, 'x', ttl=60)
    world.clock.advance(50)
    world.queue().claims.create(1, ttl=60, grace=60)
    world.clock.advance(20)
    assert listed(world) == []
    assert listed(world, include_claimed=True) == ['x']


def test_a_page_looks_past_what_it_leaves_out(world):
    for number in range(30):
        world.tick()
        world.queue().messages.post([NewMessage(number)], 'theirs' if number % 10 == 9 else 'mine')
    world.tick()
    page = world.queue().messages.list(limit=2, client_id='mine')
    assert [message.body for message in page.items] == [9, 19]
    page = world.queue().messages.list(page.marker, limit=2, client_id='mine')
    assert [message.body for message in page.items] == [29]


@pytest.mark.parametrize('limit', [0, -1, 21, True, '5', 2.0])
def test_a_limit_that_the_operator_did_not_allow_is_refused(world, limit):
    with pytest.raises(Invalid):
        world.queue().messages.list(limit=limit)
