"""Waiting, on simulated time: what it costs, what ends it, and the watch over the bells."""

import eventlet
import pytest
from place import BELL, Place, is_claim, run, simulated

from swiftqueue.errors import Forbidden, Invalid, Unavailable
from swiftqueue.waiting import ECHO, WATCH

# -- what it costs ---------------------------------------------------------------------------------

@simulated()
def test_two_hundred_who_wait_on_twenty_empty_queues_cost_ten_swift_requests_a_second(place):
    names = [f'q{number}' for number in range(20)]
    place.create(*names)
    stop_at = place.hub.now + 100

    def wait_again_and_again(name):
        while place.hub.now < stop_at:
            assert place.queue(name).claims.create(1, wait=20) is None
    for number in range(200):
        place.spawn(lambda name=names[number % 20]: wait_again_and_again(name))
        place.sleep(0.01)
    place.sleep(10)
    before = len(place.swift.calls)
    place.sleep(60)
    spent = place.swift.calls[before:]
    assert len(spent) <= 10 * 60
    for name in names:
        of_this = [call for call in spent if f'\x00{name}\x00' in call.container and call.method == 'GET']
        assert 60 / 3 <= len(of_this) <= 60 / 2
    assert {call.method for call in spent} == {'GET', 'HEAD'}


@pytest.mark.parametrize('cache', [True, False])
def test_an_empty_queue_is_listed_once_in_two_seconds_whoever_waits_and_however_many_poll(cache):
    def main(hub):
        place = Place(hub, cache=cache)
        place.create()
        stop_at = hub.now + 40

        def poll():
            while hub.now < stop_at:
                assert place.queue().claims.create(1) is None
                place.sleep(0.05)
        for _ in range(5):
            place.claim(wait=20)
            place.read(wait=20, client_id='reader')
            place.spawn(poll)
        place.sleep(1)
        before = len(place.swift.calls)
        place.sleep(18)
        # Those who take and those who read look at different places, so each line may list.
        listed = place.listings(before)
        assert len(listed) <= 2 * 9 + 2
        for wait in place.waits:
            wait.thread.wait()
    run('poll', main)


@simulated()
def test_nobody_waits_and_nothing_is_asked(place):
    place.create()
    place.claim(wait=1).result()
    place.sleep(1)
    before = len(place.swift.calls)
    place.sleep(60)
    assert len(place.swift.calls) == before
    assert not place.engines[0].waiting._watched


@simulated()
def test_one_ring_is_not_one_listing_for_each_who_waits(place):
    place.create()
    waits = [place.claim() for _ in range(10)]
    place.sleep(1)
    before = len(place.swift.calls)
    place.post('one', proxy=1)
    place.sleep(ECHO + BELL)
    assert [wait.over for wait in waits] == [True] + [False] * 9
    assert len(place.listings(before)) <= 2  # for the ring, and its echo
    assert len([call for call in place.swift.calls[before:] if call.method == 'PUT']) == 2  # the message, the claim


@simulated()
def test_who_waits_is_not_authorized_again_and_again_but_before_he_waits(place):
    asked = []

    def authorize(request):
        asked.append(request.method)
    place.create()
    place.claim(wait=10, **{'swift.authorize': authorize}).result()
    assert asked == ['PUT']


@simulated()
def test_those_who_come_at_the_same_moment_read_the_record_once(place):
    place.create()
    place.sleep(5)
    before = len(place.swift.calls)
    for _ in range(10):
        eventlet.spawn_n(lambda: place.queue().claims.create(1))
    place.sleep(1)
    assert sorted(call.method for call in place.swift.calls[before:]) == ['GET', 'HEAD']


# -- what ends it ----------------------------------------------------------------------------------

@simulated()
def test_it_ends_when_the_time_is_over(place):
    place.create()
    for seconds in (1, 7, 20):
        waiter = place.claim(wait=seconds)
        assert waiter.result() == []
        assert seconds <= waiter.ended_at - waiter.began_at < seconds + 2 * WATCH


@pytest.mark.parametrize('seconds', [21, -1, 1.5, True, '5', None])
def test_so_long_nobody_may_wait(seconds):
    def main(hub):
        place = Place(hub)
        place.create()
        for verb in (place.queue().claims.create, place.queue().claims.pop, place.queue().messages.list):
            with pytest.raises(Invalid, match='wait must be an integer from 0 to 20'):
                verb(wait=seconds)
        assert place.nobody_waits()
    run('too long', main)


@simulated()
def test_what_is_wrong_is_said_at_once_although_others_wait(place):
    place.create()
    place.claim(wait=5)
    place.sleep(1)

    def forbid(request):
        from swift.common.swob import HTTPForbidden
        return HTTPForbidden(request=request)
    for wrong, error in ((place.claim(limit=100), Invalid), (place.claim(ttl=0), Invalid),
                         (place.claim(**{'swift.authorize': forbid}), Forbidden)):
        with pytest.raises(error):
            wrong.result()
        assert wrong.ended_at - wrong.began_at < 0.5


@simulated(max_waiters_per_account=3, max_waiters_per_worker=5)
def test_past_the_cap_the_answer_comes_at_once(place):
    def waiting_of(account):
        queue = place.queue(account=account)
        queue.create()
        return place.spawn(lambda: queue.claims.create(wait=5))
    waits = [waiting_of(account) for account in ['AUTH_a'] * 4 + ['AUTH_b'] * 4]
    place.sleep(1)
    over = [wait.over for wait in waits]
    assert over == [False] * 3 + [True] + [False] * 2 + [True] * 2
    assert all(wait.result() == [] for wait in waits)
    again = waiting_of('AUTH_a')
    place.sleep(1)
    assert not again.over  # places are free again
    other = place.spawn(lambda: place.queue(proxy=1, account='AUTH_a').claims.create(wait=2))
    assert other.result() == [] and other.ended_at - other.began_at >= 2


@simulated(max_waiters_per_account=0)
def test_past_the_cap_what_is_there_is_found(place):
    place.create()
    place.post('one')
    assert place.claim().result() == ['one']
    late = place.claim()
    assert late.result() == [] and late.ended_at - late.began_at < 0.5


@simulated(max_waiters_per_account=3)
def test_who_hangs_up_frees_the_place_and_gets_nothing(place):
    place.create()
    waits = [place.claim() for _ in range(3)]
    place.sleep(1)
    assert place.claim().over
    waits[0].here = waits[1].here = False
    place.sleep(1 + 2 * WATCH)
    assert [wait.over for wait in waits] == [True, True, False]
    more = place.claim()

    def hang_up(environ):
        if environ['REQUEST_METHOD'] == 'PUT':  # so late that nobody looks any more whether he is still there
            waits[2].here = False
    place.watch = hang_up
    place.post('one')
    posted_at = place.hub.now
    assert more.result() == ['one']
    assert more.ended_at - posted_at < WATCH
    assert more.thread.wait().messages[0].deliveries == 1
    assert [wait.result() for wait in waits] == [[], [], []]


@simulated()
def test_who_hangs_up_while_a_claim_is_made_gives_it_back(place):
    place.create()
    first, second = place.claim(), place.claim()
    place.sleep(1)

    def hang_up(environ):
        if is_claim(environ):
            first.here = False
    place.watch = hang_up
    place.post('one', proxy=1)
    posted_at = place.hub.now
    assert second.result() == ['one']
    assert first.result() == []
    assert second.ended_at - posted_at < 2 * BELL
    assert second.thread.wait().messages[0].deliveries == 2


@simulated()
def test_swift_failing_for_a_while_is_waited_out(place):
    place.create()
    waiter = place.claim(wait=20)
    place.sleep(1)
    place.swift.fail(('GET', '\x00messages\x00'), 503, times=2)
    place.sleep(6)
    assert not waiter.over
    in_vain = place.claim(wait=5)
    place.post('one', proxy=1)
    assert waiter.result() == ['one']
    assert in_vain.result() == []


@simulated()
def test_who_waits_in_vain_is_not_told_that_there_is_nothing_if_nobody_could_look(place):
    place.create()
    taker, reader = place.claim(wait=10), place.read(wait=10)
    place.sleep(1)
    place.swift.fail(('GET', '\x00messages\x00'), 503, times=1000)
    place.sleep(5)
    late = place.claim(wait=5)
    for wait in (late, taker, reader):
        with pytest.raises(Unavailable):
            wait.result()
    assert taker.ended_at - taker.began_at >= 10


@simulated()
def test_an_error_of_ones_own_ends_only_ones_own_waiting(place):
    place.create()
    first, second = place.claim(), place.claim()
    place.sleep(1)
    place.swift.fail(('PUT', '\x00claims\x00'), 503, times=1)
    place.post('one', proxy=1)
    with pytest.raises(Unavailable):
        first.result()
    assert second.result() == ['one']


# -- the watch -------------------------------------------------------------------------------------

@simulated()
def test_an_outage_of_memcached_is_logged_once(place):
    place.create()
    for _ in range(3):
        place.claim(wait=20)
    place.sleep(1)
    place.cache.down = True
    place.sleep(10)
    place.cache.down = False
    place.sleep(5)
    place.post('one', proxy=1)
    assert place.waits[0].result() == ['one']
    assert [record.levelname for record in place.logged] == ['WARNING']
    assert 'memcached' in place.logged[0].getMessage()


@simulated()
def test_the_watch_survives_what_goes_wrong(place):
    place.create()
    waiter = place.claim(wait=20)
    place.sleep(1)
    get_multi = place.cache.get_multi
    failures = []

    def fail(*_arguments):
        failures.append(place.hub.now)
        raise RuntimeError('what nobody thought of')
    place.cache.get_multi = fail
    place.sleep(3)
    place.cache.get_multi = get_multi
    place.post('one', proxy=1)
    assert waiter.result() == ['one']
    assert failures
    assert str(place.logged[0].exc_info[1]) == 'what nobody thought of'


@simulated()
def test_all_bells_are_read_in_one_request_and_only_while_somebody_waits(place):
    names = [f'q{number}' for number in range(20)]
    place.create(*names)
    asked = []
    get_multi = place.cache.get_multi

    def count(keys, server_key):
        asked.append((place.hub.now, len(keys)))
        return get_multi(keys, server_key)
    for name in names:
        for _ in range(3):
            place.claim(wait=10, name=name)
            place.read(wait=10, name=name)
    place.sleep(1)
    place.cache.get_multi = count
    place.sleep(1)
    many = [number for _, number in asked if number > 1]
    assert 1 / WATCH - 1 <= len(many) <= 1 / WATCH + 1
    assert set(many) == {20}
    for wait in place.waits:
        wait.thread.wait()
    place.sleep(1)
    asked.clear()
    place.sleep(10)
    assert not asked
