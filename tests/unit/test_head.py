"""The head page: late listings, busy entries, failures, and many takers at once."""

from urllib.parse import parse_qs

import eventlet
import pytest
from world import ACCOUNT, World

from swiftqueue import head as head_module
from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.errors import Unavailable
from swiftqueue.head import CLOCK_SKEW, KNOWN_SECONDS, PAGE, Head, Source, claims_between, look_back, take
from swiftqueue.model import NewMessage
from swiftqueue.names import (
    ClaimState,
    claim_name,
    claims_container,
    message_name,
    messages_container,
)
from swiftqueue.shards import Shards

ALL = {0, 1, 2}
BUSY = 30


@pytest.fixture
def world():
    world = World()
    queue = world.queue()
    queue.create()
    record = queue.record()
    world.generation = record.generation
    world.messages = messages_container('jobs', record.generation)
    world.claims = claims_container('jobs', record.generation)
    world.looks = []  # heads that are to be looked at again
    world.start = {}  # how a worker tells others where its page begins
    yield world
    world.swift.assert_no_leaks()


@pytest.fixture
def head():
    return Head()


def source(world, seconds=1, proxy=0, app=None):
    swift = world.queue(proxy=proxy).swift
    swift.app = app or world.swift
    return Source(Shards(swift, 'jobs', world.generation, [0]), seconds, BUSY,
                  lambda: swift.cache.bell('jobs'), world.clock, world.clock, look_back=world.looks.append,
                  **world.start)


def post(world, *bodies, **fields):
    """Posted without a ring of this worker's bell."""
    posted = world.queue(proxy=1).messages.post([NewMessage(body, **fields) for body in bodies])
    world.tick()
    return [one.id for one in posted]


def put_claim(world, message_id, delivery=1, ttl=60, **fields):
    """A claim through another proxy."""
    now = world.clock()
    state = ClaimState('core', ttl, 0, now, now + ttl, now + ttl, **fields)
    status = world.queue(proxy=1).swift.create(
        world.claims, claim_name(message_id, delivery), state.content(),
        state.headers('etag'), now)
    assert status == 201
    world.tick()
    return state


def taken(world, head, count=10, **fields):
    return [entry.id for entry in take(head, count, source(world, **fields))]


def listings(world):
    return len([call for call in world.swift.calls
                if call.method == 'GET' and call.container == world.messages and not call.obj])


def free(head):
    for entry in head.entries.values():
        entry.busy_until = 0


def test_candidates_are_the_oldest_and_nobody_is_offered_them_again(world, head):
    ids = post(world, *range(5))
    assert taken(world, head, 2) == ids[:2]
    assert taken(world, head, 2) == ids[2:4]
    assert taken(world, head, 2) == ids[4:]
    assert taken(world, head, 2) == []


def test_a_busy_entry_comes_back_by_itself(world, head):
    ids = post(world, 'a')
    assert taken(world, head) == ids
    world.clock.advance(BUSY - 1)
    assert taken(world, head) == []
    world.clock.advance(1)
    assert taken(world, head) == ids


def test_what_is_claimed_delayed_or_expired_is_no_candidate(world, head):
    claimed, released, ran_out, free_one = post(world, *'abcd', ttl=1000)
    post(world, 'delayed', delay=100)
    post(world, 'short', ttl=60)
    put_claim(world, claimed, ttl=500)
    put_claim(world, released, ttl=500, released=True)
    put_claim(world, ran_out, ttl=60)
    world.clock.advance(60)
    found = take(head, 10, source(world))
    assert {entry.id: entry.delivery for entry in found} == {released: 1, ran_out: 1, free_one: 0}


def test_a_claim_keeps_its_message_a_candidate_past_its_own_expiry(world, head):
    message_id, = post(world, 'a', ttl=60)
    put_claim(world, message_id, ttl=80)
    world.clock.advance(70)
    assert taken(world, head) == []
    world.queue().swift.extend(world.messages, message_name(message_id), int(world.clock()) + 100)
    put_claim(world, message_id, 2, ttl=80, released=True)
    head.known.clear()
    world.clock.advance(2)
    assert taken(world, head) == [message_id]


def test_a_message_from_a_clock_ahead_is_a_candidate_at_once(world, head):
    world.engines[1].ids.clock = lambda: world.clock() + CLOCK_SKEW - 1
    ids = post(world, 'a')
    assert taken(world, head) == ids


def test_what_this_worker_acked_stays_gone_whatever_a_late_listing_says(world, head):
    acked, left = post(world, 'a', 'b')
    world.swift.lagging = ALL
    world.queue().swift.delete(world.messages, message_name(acked))
    head.forget(acked, world.clock())
    for _ in range(5):
        world.clock.advance((KNOWN_SECONDS - 10) / 5)
        assert acked not in taken(world, head)
        free(head)
    assert listings(world) > 1
    world.swift.deliver_rows()
    world.clock.advance(KNOWN_SECONDS)
    assert taken(world, head) == [left]
    assert acked not in head.known  # nothing is remembered for ever


def test_what_was_acked_before_the_first_listing_is_not_offered(world, head):
    acked, left = post(world, 'a', 'b')
    head.forget(acked, world.clock())
    assert taken(world, head) == [left]


def test_what_this_worker_claimed_stands_over_a_late_listing(world, head):
    message_id, = post(world, 'a')
    entry, = take(head, 1, source(world))
    world.swift.lagging = ALL
    state = put_claim(world, message_id, ttl=KNOWN_SECONDS - 20)
    entry.delivery, entry.claim, entry.busy_until = 1, state, 0
    head.note(entry, world.clock())
    for _ in range(3):
        world.clock.advance(10)
        assert taken(world, head) == []
    world.clock.advance(10)
    entry, = take(head, 1, source(world))  # it ran out, although no listing has ever shown it
    assert (entry.id, entry.delivery) == (message_id, 1)


def test_a_renewal_this_worker_made_stands_over_a_late_row(world, head):
    message_id, = post(world, 'a')
    old = put_claim(world, message_id, ttl=30)
    assert taken(world, head) == []
    renewed = ClaimState('core', 120, 0, world.clock(), world.clock() + 120, world.clock() + 120)
    head.learn(message_id, 1, renewed)
    head.note(head.entries[message_id], world.clock())
    world.clock.advance(old.ttl)
    assert taken(world, head) == []


def test_a_release_through_another_proxy_is_heard_from_the_listing(world, head):
    message_id, = post(world, 'a')
    entry, = take(head, 1, source(world))
    state = put_claim(world, message_id, ttl=600)
    entry.delivery, entry.claim, entry.busy_until = 1, state, 0
    head.note(entry, world.clock())
    released = state.release()
    world.queue(proxy=1).swift.store(
        world.claims, claim_name(message_id, 1), released.content(),
        released.headers('etag'), world.clock())
    world.clock.advance(5)
    assert taken(world, head) == [message_id]


def test_a_later_delivery_through_another_proxy_is_heard_from_the_listing(world, head):
    message_id, = post(world, 'a')
    take(head, 1, source(world))
    put_claim(world, message_id, 1, released=True)
    put_claim(world, message_id, 2, ttl=600)
    world.clock.advance(BUSY + 1)
    assert taken(world, head) == []
    assert head.entries[message_id].delivery == 2


@pytest.mark.parametrize('failing', ['messages', 'claims'])
@pytest.mark.parametrize('age', [0, 0.5, 1.5, 2.5])
def test_a_listing_that_fails_says_so_and_leaves_a_usable_page(world, head, age, failing):
    ids = post(world, *'abc')
    if age:
        assert taken(world, head, 1) == ids[:1]
        world.clock.advance(age)
        world.queue(proxy=1).ring()
    container = getattr(world, failing)
    world.swift.fail(lambda call: call.container == container, 503, times=2)
    offered = []
    for _ in range(3):
        try:
            offered += taken(world, head)
        except Unavailable:
            continue
        break
    assert offered == ids[1 if age else 0:]
    assert len(offered) == len(set(offered))


def test_a_failure_on_a_later_page_leaves_what_the_earlier_ones_had(world, head):
    ids = post(world, *range(PAGE + 5))
    world.swift.fail(('GET', world.messages), 503, times=1, skip=1)
    first = source(world).least
    assert taken(world, head, PAGE + 5) == ids[:first]
    assert taken(world, head, PAGE + 5) == ids[first:]


def test_a_queue_of_claimed_messages_is_looked_through_page_by_page(world, head, monkeypatch):
    monkeypatch.setattr(head_module, 'PAGE', 4)
    ids = post(world, *range(10))
    for message_id in ids[:9]:
        put_claim(world, message_id)
    assert taken(world, head, 1) == ids[9:]
    assert listings(world) == 3


def test_a_page_is_as_long_as_its_use(world, head):
    ids = post(world, *range(300))
    pages = []
    for wanted in (1, 40, 1, 1):
        take(head, wanted, source(world))
        pages.append(len(head.entries))
        world.clock.advance(1)
    # 41 are at work then, and twice the 40 that were taken may be wanted.
    assert pages == [50, 50, 41 + 2 * 40, 50]
    for message_id in ids[:120]:
        put_claim(world, message_id)
    world.clock.advance(5)
    assert len(taken(world, head, 1)) == 1
    world.clock.advance(1)
    assert len(taken(world, head, 1)) == 1
    assert 120 < len(head.entries) <= PAGE


def test_a_page_is_used_for_its_second_and_then_listed_again(world, head):
    post(world, *range(10))
    for _ in range(3):
        take(head, 1, source(world))
        world.clock.advance(0.3)
    assert listings(world) == 1
    world.clock.advance(0.2)
    take(head, 1, source(world))
    assert listings(world) == 2


def test_an_empty_queue_is_listed_again_when_a_bell_rings_or_two_seconds_have_passed(world, head):
    for _ in range(8):
        assert taken(world, head) == []
        world.clock.advance(0.2)
    assert listings(world) == 1
    ids = post(world, 'a')  # rings
    assert taken(world, head) == ids
    assert listings(world) == 2
    world.cache.down = True
    ids = post(world, 'b')
    world.clock.advance(2)
    assert taken(world, head) == ids


def slow(world):
    """A Swift whose listings let other green threads run first."""
    def app(environ, start_response):
        if environ['REQUEST_METHOD'] == 'GET':
            for _ in range(3):
                eventlet.sleep()
        return world.swift(environ, start_response)
    return app


def test_takers_at_once_share_one_listing_and_get_different_messages(world, head):
    ids = post(world, *range(40))
    threads = [eventlet.spawn(taken, world, head, 5, app=slow(world)) for _ in range(8)]
    shares = [thread.wait() for thread in threads]
    assert sorted(sum(shares, [])) == ids
    assert listings(world) == 1


def test_takers_behind_one_that_fails_try_for_themselves(world, head):
    ids = post(world, *range(4))
    world.swift.fail(('GET', world.messages), 503, times=1)
    threads = [eventlet.spawn(taken, world, head, 2, app=slow(world)) for _ in range(3)]
    with pytest.raises(Unavailable):
        threads[0].wait()
    assert threads[1].wait() + threads[2].wait() == ids


def test_a_taker_that_is_killed_lets_the_next_one_in(world, head):
    ids = post(world, 'a')
    killed = eventlet.spawn(taken, world, head, app=slow(world))
    eventlet.sleep()
    killed.kill()
    with eventlet.Timeout(5):
        assert taken(world, head) == ids


def test_more_claims_than_one_listing_holds_are_all_looked_at(world, monkeypatch):
    monkeypatch.setattr(head_module, 'LISTING_LIMIT', 3)
    ids = post(world, *range(4))
    for message_id in ids[:3]:
        for delivery in (1, 2, 3):
            put_claim(world, message_id, delivery, released=True)
    app = world.swift
    swift = source(world).shards.swift

    def three_rows(environ, start_response):
        environ['QUERY_STRING'] = environ['QUERY_STRING'].replace('limit=10000', 'limit=3')
        return app(environ, start_response)
    swift.app = three_rows
    claims = claims_between(swift, world.claims, ids[0], ids[-1])
    assert {message_id: delivery for message_id, (delivery, _) in claims.items()} == \
        dict.fromkeys(ids[:3], 3)
    only = claims_between(swift, world.claims, ids[1], ids[1])
    assert list(only) == [ids[1]]


def test_a_claim_without_a_row_of_ours_counts_as_a_delivery(world):
    message_id, = post(world, 'a')
    response = world.swift.request(
        'PUT', f'/v1/{ACCOUNT}/{world.claims}/{claim_name(message_id, 1)}',
        {'X-Backend-Allow-Reserved-Names': 'true', 'Content-Type': 'application/json'}, b'{}')
    assert response.status_int == 201
    swift = source(world).shards.swift
    assert claims_between(swift, world.claims, message_id, message_id) == {message_id: (1, None)}


# -- a head of the queue that nobody can have ------------------------------------------------------

@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(head_module, 'PAGE', 5)
    monkeypatch.setattr(head_module, '_SCAN', 3)


def until_taken(world, head, polls=10):
    """What is taken in the end, and how many listings the last poll took."""
    for _ in range(polls):
        world.tick(2.5)
        with world.swift.recording() as calls:
            found = taken(world, head)
        while world.looks:
            look_back(world.looks.pop(), source(world))
        if found:
            return found, len(calls)
    return [], None


def test_expired_messages_at_the_head_do_not_keep_a_claimer_from_the_rest(world, head, small_pages):
    post(world, *range(60), ttl=60)
    world.clock.advance(61)
    fresh = post(world, 'fresh')
    assert until_taken(world, head)[0] == fresh
    fresh = post(world, 'another')
    found, listings = until_taken(world, head)
    assert found == fresh
    assert listings == 2


def test_messages_in_flight_at_the_head_are_passed_over_and_taken_when_their_claims_run_out(world, head, small_pages):
    held = post(world, *range(30))
    for message_id in held:
        put_claim(world, message_id, ttl=600)
    fresh = post(world, 'fresh')
    assert until_taken(world, head)[0] == fresh
    assert until_taken(world, head, polls=3)[0] == []
    world.clock.advance(600)
    assert until_taken(world, head)[0] == held[:10]


def test_what_happened_before_the_page_is_noticed_after_a_while(world, head, small_pages):
    """A release through another proxy, and a row that comes late."""
    held = post(world, *range(20))
    states = {message_id: put_claim(world, message_id, ttl=6000) for message_id in held}
    world.swift.lagging = ALL
    late = post(world, 'late')
    world.swift.lagging = set()
    fresh = post(world, *range(6))
    assert until_taken(world, head)[0] == fresh
    for message_id in fresh:
        put_claim(world, message_id, ttl=6000)
    assert until_taken(world, head, polls=4)[0] == []
    assert head.start > late[0]
    world.swift.deliver_rows()
    ClaimObjects(world.queue(proxy=1), world.queue(proxy=1).record()).release(held[7], 1, states[held[7]])
    found = until_taken(world, head, polls=20)[0]
    found += until_taken(world, head, polls=20)[0] if len(found) < 2 else []
    assert sorted(found) == sorted([held[7], *late])


def test_pages_grow_while_nothing_is_of_use_and_do_not_pile_up(world, head, small_pages, monkeypatch):
    monkeypatch.setattr(head_module, '_SCAN', 10)
    monkeypatch.setattr(head_module, '_MOST_CARRIED', 14 * 1000)
    post(world, *range(10), ttl=60)
    post(world, *['x' * 1000] * 40, ttl=60)
    world.clock.advance(61)
    fresh = post(world, *range(3))
    with world.swift.recording() as calls:
        assert taken(world, head, 1) == fresh[:1]
    limits = [int(parse_qs(call.query)['limit'][0]) for call in calls if call.container == world.messages]
    # What the rows before carry is all that is known of those that come.
    assert limits[:3] == [5, 5, 10]
    assert max(limits[3:]) < 14
    assert head.start and len(head.entries) < 3 + 5


def test_who_looks_back_may_fail_and_does_so_for_no_claimer(world, head, small_pages):
    for message_id in post(world, *range(10)):
        put_claim(world, message_id, ttl=600)
    fresh = post(world, *range(3))
    assert taken(world, head, 1) == fresh[:1]
    world.tick(6)
    assert taken(world, head, 1) == fresh[1:2]
    behind, = world.looks
    world.swift.fail(('GET', world.claims), 503, times=1)
    with pytest.raises(Unavailable):
        look_back(behind, source(world))
    world.tick(4)
    assert taken(world, head, 1) == fresh[2:]
    assert len(world.looks) == 1
    world.tick(4)
    assert taken(world, head, 1) == []
    assert len(world.looks) == 2  # once in five seconds, whatever became of it


def test_a_claim_is_answered_whether_the_look_back_it_sets_off_fails_or_not(world, small_pages, caplog):
    for message_id in post(world, *range(10)):
        put_claim(world, message_id, ttl=600)
    fresh = post(world, *range(2))
    for message_id in fresh:
        world.tick(6)
        assert [message.id for message in world.queue().claims.create(1).messages] == [message_id]
    world.swift.fail(('GET', world.claims), 503, times=1)
    for _ in range(3):
        eventlet.sleep()
    assert 'the head of jobs cannot be listed' in caplog.text


@pytest.mark.parametrize('acked', [False, True])
def test_what_somebody_finds_who_looks_back_is_offered_at_once_unless_it_was_acked(world, head, small_pages, acked):
    world.swift.lagging = ALL
    late, = post(world, 'late')
    world.swift.lagging = set()
    for message_id in post(world, *range(10)):
        put_claim(world, message_id, ttl=600)
    assert taken(world, head, 1) == []
    assert head.start > late
    world.swift.deliver_rows()

    def meanwhile(environ, start_response):
        if acked and environ['PATH_INFO'].endswith(world.claims):
            head.forget(late, world.clock())
        return world.swift(environ, start_response)
    look_back(head, source(world, app=meanwhile))
    assert taken(world, head) == ([] if acked else [late])


def test_more_releases_than_can_be_kept_in_mind_begin_the_page_again(world, head, small_pages, monkeypatch):
    monkeypatch.setattr(head_module, '_MOST_HELD', 5)
    held = post(world, *range(20))
    states = {message_id: put_claim(world, message_id, ttl=6000) for message_id in held}
    assert until_taken(world, head, polls=3)[0] == []
    assert head.start > held[10]
    there = ClaimObjects(world.queue(proxy=1), world.queue(proxy=1).record())
    for message_id in held:
        there.release(message_id, 1, states[message_id])
    found = []
    for _ in range(2):
        found += until_taken(world, head)[0]
        for message_id in found:
            head.forget(message_id, world.clock())
    assert found == held


def test_an_ack_before_the_page_is_remembered(world, head, small_pages):
    held = post(world, *range(10))
    for message_id in held:
        put_claim(world, message_id, ttl=60)
    assert until_taken(world, head, polls=2)[0] == []
    head.forget(held[0], world.clock())
    world.clock.advance(60)
    assert until_taken(world, head)[0] == held[1:]


# -- where another worker's page begins ------------------------------------------------------------

@pytest.fixture
def told(world):
    """What this world's workers know of each other's pages: the last start that one told of, '' at first."""
    starts = ['']
    world.start = dict(start=lambda: starts[-1], tell_start=starts.append)
    return starts


def claimed(world, count):
    """Messages that another worker has claimed for long."""
    ids = post(world, *range(count), ttl=10000)
    return {message_id: put_claim(world, message_id, ttl=6000) for message_id in ids}


def test_a_worker_begins_where_another_one_found_something(world, head, small_pages, told):
    claimed(world, 12)
    fresh = post(world, *range(4))
    assert until_taken(world, head)[0][:1] == fresh[:1]
    assert head.start == told[-1] != ''
    for message_id in fresh[:2]:
        put_claim(world, message_id)
    world.looks.clear()
    with world.swift.recording() as calls:
        assert taken(world, Head(), 1) == fresh[2:3]
    assert len(calls) == 2  # what comes, and its claims


def test_what_others_have_at_work_behind_their_start_takes_no_second_listing(world, told):
    held = list(claimed(world, 120))
    fresh = post(world, 'fresh')
    told.append(held[0])
    with world.swift.recording() as calls:
        assert taken(world, Head(), 1) == fresh
    assert len(calls) == 2


def test_a_start_is_told_once_and_so_is_that_it_was_given_up(world, head, small_pages, told, monkeypatch):
    monkeypatch.setattr(head_module, '_MOST_HELD', 5)
    states = claimed(world, 20)
    for _ in range(3):
        assert until_taken(world, head, polls=1)[0] == []
    assert told == ['', head.start]
    there = ClaimObjects(world.queue(proxy=1), world.queue(proxy=1).record())
    for message_id, state in states.items():
        there.release(message_id, 1, state)
    assert until_taken(world, head)[0]
    assert head.start == told[-1] == ''


def test_where_nothing_is_behind_another_ones_start_what_is_before_it_is_looked_through_at_once(
        world, head, small_pages, told):
    held = list(claimed(world, 10))
    assert until_taken(world, head, polls=2)[0] == []
    assert told[-1] == held[-1]
    world.clock.advance(6000)
    other = Head()
    world.swift.fail(('GET', world.messages), 503, times=1, skip=1)
    with pytest.raises(Unavailable):
        taken(world, other, 3)
    assert taken(world, other, 3) == held[:3]  # nor did the failure make it pass for empty
    assert taken(world, other, 10) == held[3:]


def test_what_is_before_another_ones_start_is_looked_at_every_second_and_then_every_five(
        world, head, small_pages, told, monkeypatch):
    monkeypatch.setattr(head_module, '_LOOK_ROWS', 10)
    states = claimed(world, 25)
    post(world, *range(40))
    take(head, 1, source(world))
    world.looks.clear()
    other, looked_at = Head(), []
    for second in range(14):
        assert len(take(other, 1, source(world))) == 1
        if world.looks:
            looked_at.append(second)
            look_back(world.looks.pop(), source(world))
        world.tick(1)
    assert looked_at == [0, 1, 2, 7, 12]
    assert set(other.held) >= set(states)
    world.clock.advance(6000)  # it has all of them in mind
    assert taken(world, other, 25) == list(states)


def test_workers_tell_each_other_of_one_generation(world, small_pages):
    for message_id in post(world, *range(12)):
        put_claim(world, message_id, ttl=600)
    queues = [world.queue(proxy=proxy) for proxy in (0, 1)]
    first, second = post(world, *range(2))
    assert [message.id for message in queues[0].claims.create(1).messages] == [first]
    with world.swift.recording() as calls:
        assert [message.id for message in queues[1].claims.create(1).messages] == [second]
    assert [call.method for call in calls if call.container in (world.messages, world.claims)] == ['GET', 'GET', 'PUT']
    starts = [queue.head(queue.record()).start for queue in queues]
    assert starts[0] == starts[1] != ''
    queues[0].purge()
    message_id, = post(world, 'after')
    for queue in queues:
        assert queue.head(queue.record()).start == ''
    assert [message.id for message in queues[1].claims.create(10).messages] == [message_id]


def test_what_a_worker_kept_in_mind_is_forgotten_when_nobody_has_claimed_for_a_minute(world):
    queue = world.queue()
    known = queue.head(queue.record())
    world.clock.advance(KNOWN_SECONDS)
    assert queue.head(queue.record()) is known
    world.clock.advance(KNOWN_SECONDS + world.options.locality_patience + 1)
    assert queue.head(queue.record()) is not known
