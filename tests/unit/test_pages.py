"""Pages that readers share: when they are listed again, and what is never shown from them."""

import eventlet
import pytest
from world import World

from swiftqueue import ids
from swiftqueue.errors import Unavailable
from swiftqueue.model import NewMessage
from swiftqueue.names import Envelope


@pytest.fixture
def world():
    world = World()
    world.queue().create()
    for proxy in (0, 1):
        world.queue(proxy=proxy).record()
    world.tick()
    return world


def post(world, *bodies, proxy=0):
    posted = world.queue(proxy=proxy).messages.post([NewMessage(body) for body in bodies])
    world.tick()
    return [one.id for one in posted]


def read(world, marker=None, proxy=0, **options):
    page = world.queue(proxy=proxy).messages.list(marker, 20, include_claimed=True, **options)
    return [message.body for message in page.items], page.marker


def listings(world, act):
    """What ``act`` gives, and how many listings it took."""
    with world.swift.recording() as calls:
        result = act()
    return result, sum(call.method == 'GET' for call in calls)


def test_all_who_read_one_page_within_a_second_cost_one_listing(world):
    post(world, 'a', 'b')
    pages, cost = listings(world, lambda: [read(world)[0] for _ in range(10)])
    assert pages == [['a', 'b']] * 10
    assert cost == 1
    world.tick(world.options.head_seconds)
    assert listings(world, lambda: read(world)[0]) == (['a', 'b'], 1)


def test_all_who_read_one_page_at_once_cost_one_listing(world):
    post(world, 'a')
    _, cost = listings(world, lambda: [
        reader.wait() for reader in [eventlet.spawn(read, world) for _ in range(10)]])
    assert cost == 1


def test_who_reads_on_from_elsewhere_has_a_page_of_his_own(world):
    post(world, 'a')
    _, marker = read(world)
    world.tick(20)
    post(world, 'b')
    (bodies, _), cost = listings(world, lambda: read(world, marker))
    assert (bodies, cost) == (['b'], 1)
    assert listings(world, lambda: read(world)[0]) == (['a', 'b'], 1)


@pytest.mark.parametrize('cache', [True, False])
def test_what_was_posted_through_the_same_proxy_is_seen_at_once(cache):
    world = World(cache=cache)
    world.queue().create()
    assert read(world)[0] == []
    post(world, 'a')
    assert read(world)[0] == ['a']
    post(world, 'b')
    assert read(world)[0] == ['a', 'b']


def test_what_was_posted_through_another_proxy_is_seen_at_once_if_the_bell_is_heard(world):
    assert read(world)[0] == []
    post(world, 'a', proxy=1)
    assert read(world)[0] == ['a']


def test_what_was_posted_through_another_proxy_is_seen_within_a_second_without_a_cache():
    world = World(cache=False)
    world.queue().create()
    assert read(world)[0] == []
    post(world, 'a', proxy=1)
    world.tick(world.options.head_seconds)
    assert read(world)[0] == ['a']


def test_no_page_is_kept_where_the_operator_wants_none():
    world = World(head_seconds=0)
    world.queue().create()
    post(world, 'a')
    assert listings(world, lambda: [read(world)[0] for _ in range(3)]) == ([['a']] * 3, 3)


def test_a_listing_that_failed_is_not_kept(world):
    post(world, 'a')
    world.swift.fail(lambda call: call.method == 'GET', 503)
    with pytest.raises(Unavailable):
        read(world)
    assert read(world)[0] == ['a']


def test_what_this_proxy_acked_or_claimed_since_is_not_shown_from_the_page(world):
    post(world, 'a', 'b', 'c')
    shown = lambda: [message.body for message in world.queue().messages.list(limit=20).items]  # noqa: E731
    assert shown() == ['a', 'b', 'c'] == read(world)[0]
    claim = world.queue().claims.create(1)
    (left, everything), cost = listings(world, lambda: (shown(), read(world)[0]))
    assert (left, everything, cost) == (['b', 'c'], ['a', 'b', 'c'], 0)
    world.tick()
    world.queue().claims.ack(claim.messages[0].id, claim.id)
    (left, everything), cost = listings(world, lambda: (shown(), read(world)[0]))
    assert (left, everything, cost) == (['b', 'c'], ['b', 'c'], 0)


def test_what_is_released_is_shown_again(world):
    post(world, 'a')
    claim = world.queue().claims.create(1)
    shown = lambda: [message.body for message in world.queue().messages.list(limit=20).items]  # noqa: E731
    assert shown() == []
    world.tick()
    world.queue().claims.release(claim.id)
    assert shown() == ['a']


def test_expiry_and_delay_are_judged_at_the_moment_of_reading(world):
    world.queue().messages.post([NewMessage('brief', ttl=60), NewMessage('late', delay=60)])
    assert read(world)[0] == ['brief']
    world.tick(59.5)
    assert read(world)[0] == ['brief']
    world.tick(0.6)
    (bodies, _), cost = listings(world, lambda: read(world))
    assert (bodies, cost) == (['late'], 0)


def test_a_marker_from_a_shared_page_waits_for_late_rows_as_long_as_any_other(world):
    """Its floor is counted from the listing, not from the moment at which somebody else was shown the page."""
    listed_at = world.clock() + 9.3
    post(world, 'early')
    world.tick(listed_at - world.clock())
    read(world)
    world.tick(0.9)
    (bodies, marker), cost = listings(world, lambda: read(world))
    assert (bodies, cost) == (['early'], 0)
    queue, instant = world.queue(), listed_at - 9.5
    queue.messages.store(queue.record(), ids.floor(instant), Envelope('late', instant, 600, 0, instant + 600), instant)
    world.tick(2)
    assert read(world, marker)[0] == ['late']
