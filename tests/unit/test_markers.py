"""Markers: whatever the order in which rows show up, a reader gets each message exactly once."""

import random

import pytest
from model_swift import Clock
from world import World

from swiftqueue.ids import Ids
from swiftqueue.markers import MOST, WINDOW, Marker
from swiftqueue.model import NewMessage
from swiftqueue.names import encode_text

SEEDS = range(3)


def arrivals(seed, seconds, rate, late):
    """Ids, each with the instant at which its row shows up."""
    chance, clock = random.Random(seed), Clock()
    sources = [Ids(clock, chance.getrandbits) for _ in range(3)]
    found = []
    for _ in range(int(seconds * rate)):
        clock.advance(chance.expovariate(rate))
        found.append((chance.choice(sources).new(), clock() + chance.uniform(0, late)))
    return found


def follow(rows, seed):
    """What a reader gets who comes by now and then, until every row is there.

    Each time it takes all that is shown and not behind its marker, which travels as text.
    """
    chance, clock, text, got = random.Random(seed), Clock(), None, []
    last = max(shown_at for _, shown_at in rows)
    while not text or clock() < last:
        clock.advance(chance.choice([0, 0.01, 0.5, 3]))
        marker = Marker.parse(text)
        page = sorted(each for each, shown_at in rows
                      if shown_at <= clock() and not marker.has(each))
        assert all(each > marker.start for each in page)  # where a listing may begin
        got += page
        text = str(marker.after(page, clock()))
    return got


@pytest.mark.parametrize('seed', SEEDS)
def test_late_rows_are_read_once(seed):
    rows = arrivals(seed, seconds=60, rate=0.5 * MOST / WINDOW, late=0.99 * WINDOW)
    got = follow(rows, seed)
    assert got != sorted(got)  # some did show up behind the marker
    assert sorted(got) == sorted(each for each, _ in rows)


@pytest.mark.parametrize('seed', SEEDS)
def test_nothing_is_read_twice_though_more_arrives_than_a_marker_holds(seed):
    rows = arrivals(seed, seconds=15, rate=3 * MOST / WINDOW, late=2 * WINDOW)
    got = follow(rows, seed)
    assert len(got) == len(set(got))


@pytest.mark.parametrize('seed', SEEDS)
def test_rows_in_time_are_read_once_though_more_arrive_than_a_marker_holds(seed):
    rows = arrivals(seed, seconds=15, rate=3 * MOST / WINDOW, late=0)
    assert follow(rows, seed) == [each for each, _ in rows]


def read(world, marker, limit, proxy=0):
    page = world.queue(proxy=proxy).messages.list(marker, limit, include_claimed=True)
    return [message.body for message in page.items], page.marker


@pytest.mark.parametrize('limit', [1, 4, 20])
@pytest.mark.parametrize('seed', SEEDS)
def test_readers_of_a_queue_with_lagging_rows_get_each_message_once(seed, limit):
    world, chance = World(seed=seed), random.Random(seed)
    world.swift.lag_chance, world.swift.lag_seconds = 0.5, 0.9 * WINDOW
    world.queue().create()
    got, marker, posted = [], None, 0
    for _ in range(40):
        world.tick(chance.choice([0.001, 0.5, 2]))
        batch = [NewMessage(posted + number) for number in range(chance.randrange(1, 9))]
        world.queue(proxy=chance.randrange(2)).messages.post(batch)
        posted += len(batch)
        for _ in range(chance.randrange(3)):
            bodies, marker = read(world, marker, limit, chance.randrange(2))
            got += bodies
    world.tick(0.95 * WINDOW)
    bodies = None
    while bodies != []:
        bodies, marker = read(world, marker, limit)
        got += bodies
    assert sorted(got) == list(range(posted))


def test_late_rows_that_did_not_fit_in_a_page_are_in_the_next_one():
    world = World()
    world.queue().create()
    world.swift.lagging = {0, 1, 2}
    world.queue().messages.post([NewMessage('late'), NewMessage('late too')])
    world.swift.lagging = set()
    world.queue().messages.post([NewMessage('in time')])
    bodies, marker = read(world, None, 1)
    assert bodies == ['in time']
    world.tick(WINDOW - 1)
    assert world.swift.deliver_rows() == 0
    world.tick(2)
    bodies, marker = read(world, marker, 1)
    assert bodies == ['late']
    bodies, marker = read(world, marker, 1)
    assert bodies == ['late too']


def test_a_floor_is_never_left_behind():
    """What has been settled stays settled, also for a proxy whose clock is an hour behind."""
    rows = arrivals(1, seconds=60, rate=5, late=0)
    marker = Marker().after([each for each, _ in rows], Clock()() + 61)
    back = marker.after([], Clock()() - 3600)
    assert back.floor == marker.floor and all(back.has(each) for each, _ in rows)


def test_a_marker_fits_in_a_url():
    ids = [each for each, _ in arrivals(2, seconds=5, rate=200, late=0)]
    for count in (1, MOST, MOST + 1, len(ids)):
        text = str(Marker().after(ids[:count], Clock()() + 5))
        assert len(text) < 1500
        assert set(text) <= set('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')


def test_a_marker_comes_back_from_its_text():
    ids = [each for each, _ in arrivals(3, seconds=30, rate=5, late=0)]
    for count, now in ((0, Clock()()), (1, Clock()()), (len(ids), Clock()() + 30)):
        marker = Marker().after(ids[:count], now)
        assert Marker.parse(str(marker)) == marker


@pytest.mark.parametrize('text', [None, ''])
def test_no_marker_is_the_start(text):
    assert Marker.parse(text) == Marker()
    assert not Marker().has(Ids(Clock()).new())


GARBAGE = [
    'x', 'AAAA', 'AAAAAAAAAA', 'AAAAAAAAAAB', encode_text(bytes(8)) + '=', encode_text(bytes(9)),
    encode_text(bytes(17)), ' ' + encode_text(bytes(8)), '01a3185c-5000-7abc-9def-0123456789ab',
    'é' * 11, '\ud800' * 11, '\U0001f600', '\x00', 'None', '../..']


@pytest.mark.parametrize('text', GARBAGE)
def test_a_text_that_is_no_marker_gives_an_empty_page(text):
    assert Marker.parse(text) is None
    world = World()
    world.queue().create()
    world.queue().messages.post([NewMessage('x')])
    page = world.queue().messages.list(text)
    assert (page.items, page.marker) == ([], None)


def test_a_marker_that_somebody_made_up_does_no_harm():
    world, chance = World(), random.Random(4)
    world.queue().create()
    world.queue().messages.post([NewMessage(number) for number in range(3)])
    world.tick()
    for _ in range(50):
        text = encode_text(chance.randbytes(8 + 10 * chance.choice([0, 1, 50, 600])))
        page = world.queue().messages.list(text)
        assert Marker.parse(page.marker) is not None
    everything = encode_text(bytes(8) + chance.randbytes(6000))
    assert [message.body for message in world.queue().messages.list(everything).items] == [0, 1, 2]
