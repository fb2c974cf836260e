"""Waiting, on simulated time: what wakes, and who is served."""

import pytest
from place import BELL, LOST, STEP, Place, bodies, is_claim, run, simulated

from swiftqueue.errors import QueueNotFound
from swiftqueue.waiting import ECHO, PAUSE, WATCH

# -- what wakes ------------------------------------------------------------------------------------

@pytest.mark.parametrize('cache', [True, False])
def test_a_post_in_the_same_process_wakes_at_once(cache):
    def main(hub):
        place = Place(hub, cache=cache)
        place.create()
        for number in range(5):
            waiter = place.claim()
            place.sleep(1 + number * WATCH / 5)
            place.post(number)
            posted_at = hub.now
            assert waiter.result() == [number]
            assert waiter.ended_at - posted_at <= 6 * STEP  # the requests it takes
    run('at once', main)


@simulated()
def test_a_post_in_another_process_wakes_by_the_bell(place):
    place.create()
    taker, reader = place.claim(), place.read(include_claimed=True)
    place.sleep(1)
    place.post('one', proxy=1)
    posted_at = place.hub.now
    assert taker.result() == reader.result() == ['one']
    assert max(taker.ended_at, reader.ended_at) - posted_at < BELL


@pytest.mark.parametrize('trouble', ['none at all', 'down', 'bell lost'])
def test_without_the_bell_a_post_is_found_within_three_seconds(trouble):
    def main(hub):
        place = Place(hub, cache=trouble != 'none at all')
        place.create()
        for pause in (0.3, 1, 1.7, 2.4, 4):
            waiter = place.claim()
            place.sleep(pause)
            if trouble == 'down':
                place.cache.down = True
            place.post(pause, proxy=1)
            posted_at = hub.now
            if trouble == 'bell lost':
                place.cache.wipe()
            assert waiter.result() == [pause]
            assert waiter.ended_at - posted_at < LOST
    run(trouble, main)


@simulated()
def test_a_row_that_is_later_than_the_bell_is_found_soon(place):
    place.create()
    waiter = place.claim()
    place.sleep(1)
    place.swift.lagging = {0, 1, 2}
    place.post('late', proxy=1)
    posted_at = place.hub.now
    place.sleep(0.4)
    place.swift.lagging = set()
    place.swift.deliver_rows()
    assert waiter.result() == ['late']
    assert waiter.ended_at - posted_at < ECHO + BELL


@simulated()
def test_a_message_wakes_when_its_delay_is_over(place):
    place.create()
    taker, reader = place.claim(), place.read(include_claimed=True)
    place.sleep(0.5)
    place.post('later', proxy=1, delay=7)
    posted_at = place.hub.now
    assert taker.result() == reader.result() == ['later']
    for wait in (taker, reader):
        assert 7 - STEP <= wait.ended_at - posted_at < 7 + BELL


@simulated()
def test_a_message_wakes_when_the_claim_on_it_runs_out_or_is_released(place):
    place.create()
    place.post('again')
    assert place.claim(ttl=5, proxy=1).result() == ['again']
    claimed_at = place.hub.now
    taker, reader = place.claim(), place.read()
    assert taker.result() == ['again']
    assert 5 - BELL <= taker.ended_at - claimed_at < 5 + LOST
    place.sleep(0.5)
    assert not reader.over  # the next one held it already
    claim = place.queue(proxy=1).claims
    place.post('more')
    held = claim.create(5)
    taker = place.claim()
    place.sleep(1)
    claim.release(held.id)
    released_at = place.hub.now
    assert taker.result() == ['more']
    assert taker.ended_at - released_at < BELL
    place.post('for the reader')
    reader.thread.wait()


@simulated()
def test_who_waits_for_a_queue_that_is_not_there_hears_of_its_first_message(place):
    waiter = place.claim()
    place.sleep(5)
    place.queue(proxy=1).create()
    place.post('first', proxy=1)
    posted_at = place.hub.now
    assert waiter.result() == ['first']
    assert waiter.ended_at - posted_at < BELL
    waits = [place.claim(wait=20, name='none') for _ in range(10)]
    place.sleep(3)
    before = len(place.swift.calls)
    place.sleep(16)
    assert len(place.swift.calls) - before <= 2 * 4 + 2  # two requests in four seconds
    for waiter in waits:
        with pytest.raises(QueueNotFound):
            waiter.result()
        assert 20 <= waiter.ended_at - waiter.began_at < 20 + 2 * WATCH


@simulated()
def test_a_purge_moves_those_who_wait_to_the_new_generation(place):
    place.create()
    taker, reader = place.claim(), place.read(include_claimed=True)
    place.sleep(1)
    place.queue(proxy=1).purge()
    place.sleep(1)
    place.post('new', proxy=1)
    posted_at = place.hub.now
    assert taker.result() == reader.result() == ['new']
    assert taker.ended_at - posted_at < BELL


@simulated(cache=False)
def test_without_memcached_too_a_purge_is_heard_of_while_waiting(place):
    place.create()
    taker, reader = place.claim(wait=20), place.read(wait=20, include_claimed=True)
    place.sleep(1)
    place.queue(proxy=1).purge()
    place.post('new', proxy=1)
    place.sleep(19.5)
    assert place.claim(wait=5).result() == ['new']
    taker.thread.wait()
    assert reader.result() in ([], ['new'])


@simulated()
def test_many_messages_of_one_post_wake_as_many(place):
    place.create()
    waits = [place.claim() for _ in range(7)]
    place.sleep(1)
    place.watch = lambda environ: place.sleep(0.3) if is_claim(environ) else None
    place.post(*range(5), proxy=1)
    posted_at = place.hub.now
    place.sleep(1)
    assert sorted(body for wait in waits if wait.over for body in wait.result()) == [0, 1, 2, 3, 4]
    assert [wait.over for wait in waits] == [True] * 5 + [False] * 2
    assert max(wait.ended_at for wait in waits[:5]) - posted_at < 0.3 + BELL  # not one after the other
    place.post(5, 6)
    assert sorted(waits[5].result() + waits[6].result()) == [5, 6]


@simulated()
def test_a_pop_waits_like_a_claim(place):
    place.create()
    waiter = place.spawn(lambda: place.queue().claims.pop(1, wait=20))
    place.sleep(1)
    place.post('one', 'two', proxy=1)
    assert waiter.result() == ['one']
    assert place.claim(wait=0).result() == ['two']
    assert place.spawn(lambda: place.queue().claims.pop(1, wait=2)).result() == []


@simulated()
def test_what_comes_while_one_looks_in_vain_is_looked_for_at_once(place):
    place.create()
    looks = []

    def look():
        looks.append(place.hub.now)
        if len(looks) == 2:
            place.sleep(0.2)
            place.post('second')  # too late for this look
            place.sleep(0.2)
        return 'found' if len(looks) == 3 else None
    waiter = place.spawn(lambda: place.engines[0].waiting.take(place.queue(), look, 20, 1))
    place.sleep(1)
    place.post('first')
    place.sleep(0.5)
    assert waiter.thread.wait() == 'found'
    assert looks[2] - looks[1] < 0.4 + ECHO / 2


# -- who is served ---------------------------------------------------------------------------------

@simulated()
def test_who_came_first_is_served_first(place):
    place.create()
    waits = []
    for _ in range(6):
        waits.append(place.claim())
        place.sleep(0.1)
    for number, wait in enumerate(waits):
        place.sleep(0.7)
        place.post(number, proxy=number % 2)
        assert wait.result() == [number]


@simulated()
def test_who_came_first_is_first_in_the_line_although_his_first_look_took_longer(place):
    place.create()
    place.sleep(PAUSE)
    slow = iter([0.5])
    place.watch = lambda environ: place.sleep(next(slow, 0))
    first = place.claim()
    second = place.spawn(lambda: place.engines[0].waiting.take(place.queue(), lambda: None, 5, 1))  # looks quickly
    place.sleep(1)
    line, = place.engines[0].waiting.lines.values()
    assert len(line.waiters) == 2
    place.post('one')
    assert first.result() == ['one']
    assert not second.over


@simulated()
def test_who_comes_later_does_not_get_before_who_waits(place):
    place.create()
    place.post('one', proxy=1)
    first = place.claim(wait=0)
    assert first.result() == ['one']
    waits = [place.claim(limit=2), place.claim()]
    place.sleep(1)
    place.post('two', 'three', proxy=1)
    late, impatient = place.claim(), place.claim(wait=0)
    assert waits[0].result() == ['two', 'three']
    assert impatient.result() == []
    place.post('four', proxy=1)
    assert waits[1].result() == ['four']
    place.post('five', 'six', proxy=1)
    impatient = place.claim(wait=0)  # there is enough for both
    assert {late.result()[0], impatient.result()[0]} == {'five', 'six'}


@simulated()
def test_nobody_starves(place):
    """Each worker takes one message after the other; of those who wait, none is passed over."""
    place.create()
    taken = [0] * 8
    stop_at = place.hub.now + 60

    def work(number):
        while place.hub.now < stop_at:
            claim = place.queue(proxy=number % 2).claims.create(1, wait=20)
            if claim:
                taken[number] += 1
                place.queue(proxy=number % 2).claims.ack(claim.messages[0].id, claim.id)
    for number in range(8):
        place.spawn(lambda number=number: work(number))
    place.sleep(1)
    for number in range(160):
        place.post(number, proxy=number % 2)
        place.sleep(0.3)
    place.sleep(5)
    assert sum(taken) == 160
    for proxy in (0, 1):
        share = taken[proxy::2]
        assert max(share) - min(share) <= 2, taken


@simulated()
def test_each_message_goes_to_one_of_those_who_wait_in_two_processes(place):
    place.create()
    waits = [place.claim(proxy=number % 2) for number in range(20)]
    place.sleep(1)
    for start in range(0, 20, 4):
        place.post(*range(start, start + 4), proxy=start // 4 % 2)
        place.sleep(0.05)
    assert sorted(body for wait in waits for body in wait.result()) == list(range(20))


@simulated()
def test_every_reader_is_shown_a_message(place):
    place.create()
    place.post('old')
    page = place.queue().messages.list()
    waits = [place.read(page.marker, proxy=number % 2) for number in range(6)]
    place.sleep(1)
    assert not any(wait.over for wait in waits)
    place.post('new')
    assert [wait.result() for wait in waits] == [['new']] * 6


@simulated()
def test_a_reader_that_waits_in_vain_gets_a_marker_to_go_on_from(place):
    place.create()
    place.post('old')
    marker = place.queue().messages.list().marker
    page = place.spawn(lambda: place.queue().messages.list(marker, wait=3)).thread.wait()
    assert page.items == [] and page.marker
    place.post('new')
    assert bodies(place.queue().messages.list(page.marker)) == ['new']


@simulated()
def test_a_reader_is_not_woken_by_what_it_will_not_be_shown(place):
    place.create()
    own, anybody = place.read(client_id='me', wait=10), place.read(wait=10)
    delayed = place.read(include_delayed=True, wait=10)
    place.sleep(1)
    before = len(place.swift.calls)
    place.post('mine', client_id='me', proxy=1, delay=60)
    assert delayed.result() == ['mine']
    assert place.claim(wait=0).result() == []
    place.post('mine too', client_id='me', proxy=1)
    assert anybody.result() == ['mine too']
    place.sleep(1)
    looked = len(place.listings(before))
    assert own.result() == []
    # What it shares with others goes on, and nothing of its own.
    assert len(place.listings(before)) - looked <= 10 / PAUSE
    claimed = place.claim(wait=0, limit=5)
    assert claimed.result() == ['mine too']
    without, including = place.read(wait=5), place.read(include_claimed=True, wait=5)
    assert (without.result(), including.result()) == ([], ['mine too'])


@simulated()
def test_readers_share_their_listings(place):
    place.create()
    place.post(*range(5))
    marker = place.queue().messages.list().marker
    for _ in range(30):
        place.read(marker, wait=20)
    place.sleep(1)
    before = len(place.listings())
    place.sleep(18)
    assert len(place.listings()) - before <= 18 / PAUSE


@simulated()
def test_takers_find_what_lies_behind_a_page_full_of_claimed_messages(place):
    place.create()
    for start in range(0, 250, 50):
        place.post(*range(start, start + 50))
    held = 0
    while held < 250:
        held += len(place.queue(proxy=1).claims.create(20, 1000).messages)
    waiter = place.claim(wait=10)
    place.sleep(1)
    place.post('behind', proxy=1)
    assert waiter.result() == ['behind']


@simulated()
def test_a_late_row_wakes_the_reader_that_has_not_got_beyond_it(place):
    place.create()
    place.swift.lagging = {0, 1, 2}
    place.post('late')
    place.swift.lagging = set()
    place.sleep(1)
    place.post('on time')
    behind = place.queue().messages.list().marker
    place.sleep(20)
    beyond = place.queue().messages.list(behind).marker
    readers = [place.read(beyond, wait=10), place.read(behind, wait=10), place.read(beyond, wait=10)]
    place.sleep(1)
    place.swift.deliver_rows()
    assert [reader.result() for reader in readers] == [[], ['late'], []]


@simulated()
def test_readers_find_what_lies_behind_more_than_a_page(place):
    place.create()
    reader = place.read(client_id='me', wait=20)
    place.sleep(1)
    for start in range(0, 250, 50):
        place.post(*range(start, start + 50), client_id='me', proxy=1)
    assert not reader.over
    place.post('behind', proxy=1)
    assert reader.result() == ['behind']
