"""The claim protocol against what Swift really does: overlapping writers, late rows, skewed clocks, lost replies.

Where a guard is taken out to show what it is for, the test says so: a trap that does not snap proves nothing.
"""

import eventlet
import pytest
from eventlet.event import Event
from world import ACCOUNT, World

from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.claims import Claims
from swiftqueue.errors import ClaimNotFound, MessageClaimed, ReceiptInvalid, Unavailable
from swiftqueue.ids import Ids
from swiftqueue.model import NewMessage
from swiftqueue.names import claim_name, claims_container, message_name, messages_container, parse_container

CLAIMS, MESSAGES = '\x00claims\x00', '\x00messages\x00'


def post(world, *bodies, proxy=0, **fields):
    world.tick()
    posted = world.queue(proxy=proxy).messages.post([NewMessage(body, **fields) for body in bodies])
    return [one.id for one in posted]


def claim(world, proxy=0, limit=10, ttl=60, grace=60):
    world.tick()
    return world.queue(proxy=proxy).claims.create(limit, ttl, grace)


def bodies(made):
    return [message.body for message in made.messages] if made else []


def ack(world, made, proxy=0):
    world.tick()
    for message in made.messages:
        world.queue(proxy=proxy).claims.ack(message.id, made.id)


def a_world(**options):
    world = World(**options)
    world.queue().create()
    world.tick()
    return world


def claim_puts(world):
    return [call for call in world.swift.calls if call.method == 'PUT' and CLAIMS in call.path and call.obj]


def in_the_gap(world, act):
    """Run ``act`` once, between the check and the commit of the next claim PUT."""
    results = []

    def hook(call):
        if call.method == 'PUT' and CLAIMS in call.path:
            world.swift.on_commit = None
            results.append(act())
    world.swift.on_commit = hook
    return results


# -- two writers at once ---------------------------------------------------------------------------

def test_without_any_guard_both_overlapping_writers_are_told_201(monkeypatch):
    monkeypatch.setattr(Claims, '_is_ours', lambda *args: True)
    world = a_world(cache=False)
    post(world, 'a')
    inner = in_the_gap(world, lambda: claim(world, proxy=1))
    outer = claim(world, proxy=0)
    assert bodies(outer) == bodies(inner[0]) == ['a']


def test_without_memcached_reading_back_leaves_one_winner():
    world = a_world(cache=False)
    post(world, 'a')
    inner = in_the_gap(world, lambda: claim(world, proxy=1))
    outer = claim(world, proxy=0)
    assert sorted([bodies(outer), bodies(inner[0])]) == [[], ['a']]


def test_the_gate_keeps_the_second_writer_from_trying():
    world = a_world()
    post(world, 'a')
    inner = in_the_gap(world, lambda: claim(world, proxy=1))
    outer = claim(world, proxy=0)
    assert (bodies(outer), bodies(inner[0])) == (['a'], [])
    assert len(claim_puts(world)) == 1


def test_the_gate_opens_by_itself_after_a_proxy_died_behind_it():
    world = a_world()
    message_id, = post(world, 'a')
    generation = world.queue().record().generation
    entered = world.queue().swift.cache.enter_gate(
        claims_container('jobs', generation), claim_name(message_id, 1), world.options.gate_seconds)
    assert entered is True
    assert claim(world) is None
    world.clock.advance(world.options.gate_seconds + 1)
    assert bodies(claim(world)) == ['a']


def test_the_gate_opens_at_once_after_a_put_that_failed():
    world = a_world()
    post(world, 'a')
    world.swift.fail(('PUT', CLAIMS), 503, times=1)
    with pytest.raises(Unavailable):
        claim(world)
    world.clock.advance(2)
    assert bodies(claim(world, proxy=1)) == ['a']


def test_a_claim_whose_reply_was_lost_is_given_back_at_once():
    world = a_world()
    post(world, 'a')
    world.swift.fail(('PUT', CLAIMS), 503, times=1, after_work=True)
    with pytest.raises(Unavailable):
        claim(world, ttl=10000)
    world.clock.advance(2)
    assert bodies(claim(world, proxy=1)) == ['a']


def test_claims_that_cannot_be_handed_out_are_given_back_at_once():
    """Redeliveries are read before they are handed out, and that fails."""
    world = a_world()
    post(world, 'a', 'b')
    world.queue().claims.release(claim(world).id)
    world.swift.fail(('GET', MESSAGES + 'jobs'), 503, times=100, skip=1)  # not the listing
    with pytest.raises(Unavailable):
        claim(world, proxy=1, ttl=10000)
    world.swift.heal()
    world.clock.advance(2)
    assert bodies(claim(world)) == ['a', 'b']


def test_a_second_page_that_cannot_be_listed_does_not_waste_the_first(monkeypatch):
    monkeypatch.setattr('swiftqueue.head.PAGE', 2)
    world = a_world()
    ids = post(world, *range(3))
    generation = world.queue().record().generation
    world.queue().swift.cache.enter_gate(claims_container('jobs', generation), claim_name(ids[1], 1), 30)
    world.swift.fail(('GET', MESSAGES), 503, times=100, skip=1)
    assert bodies(claim(world, limit=3)) == [0]


def test_a_put_that_took_too_long_counts_as_lost():
    world = a_world()
    post(world, 'a')
    in_the_gap(world, lambda: world.clock.advance(world.options.confirm_limit + 1))
    assert claim(world) is None
    world.clock.advance(61)
    assert bodies(claim(world, proxy=1)) == ['a']


def test_a_claim_of_many_is_right_about_what_it_won():
    """One of three is taken in the gap: the claim must name the two that are ours, and work."""
    world = a_world(cache=False)
    ids = post(world, 'a', 'b', 'c')
    generation = world.queue().record().generation
    stolen = {}

    def steal():
        stolen['claim'] = claim(world, proxy=1, limit=1)
    in_the_gap(world, steal)
    made = claim(world, proxy=0)
    assert bodies(stolen['claim']) + bodies(made) in (['a', 'b', 'c'], ['b', 'c'])
    won = {message.id for message in made.messages}
    assert set(ids) == won | ({message.id for message in stolen['claim'].messages} if stolen['claim'] else set())
    assert bodies(world.queue().claims.get(made.id)) == bodies(made)
    ack(world, made)
    assert {row['name'][1:] for row in world.swift.rows(ACCOUNT, messages_container('jobs', generation))} == (
        set(ids) - won)


# -- what is old must not count --------------------------------------------------------------------

def test_a_page_from_before_the_ack_does_not_bring_the_message_back():
    world = a_world()
    post(world, 'a', 'b')
    assert bodies(claim(world, proxy=1, limit=1)) == ['a']  # proxy 1 has the page with 'b' now
    made = claim(world, proxy=0)
    assert bodies(made) == ['b']
    ack(world, made)
    assert claim(world, proxy=1) is None


def test_a_claim_removed_by_the_janitor_cannot_be_made_again_from_an_old_page():
    """A proxy sleeps between its listing and its PUT, so long that the claim object is gone again."""
    world = a_world(cache=False)
    message_id, = post(world, 'a')
    generation = world.queue().record().generation

    def the_whole_life():
        made = claim(world, proxy=1)
        assert bodies(made) == ['a']
        ack(world, made)
        world.tick()
        world.queue().swift.delete(claims_container('jobs', generation), claim_name(message_id, 1))

    queue = world.queue(proxy=0)
    create = queue.swift.create

    def sleepy(*args):
        the_whole_life()
        return create(*args)
    queue.swift.create = sleepy
    assert queue.claims.create(10, 60, 60) is None


@pytest.mark.parametrize('delete', [
    lambda messages, message_id: messages.delete([message_id]),
    lambda messages, message_id: messages.delete_unclaimed(message_id)])
def test_a_message_deleted_without_a_claim_is_not_claimed_from_a_late_row(delete):
    world = a_world()
    message_id, = post(world, 'a')
    world.swift.lagging = {0, 1, 2}
    delete(world.queue().messages, message_id)
    for _ in range(3):
        assert claim(world, proxy=1) is None
        world.clock.advance(world.options.gate_seconds + 1)


@pytest.mark.parametrize('cache', [True, False])
def test_a_claim_that_overlaps_a_delete_without_one_is_not_taken_over(cache):
    """The delete creates claim 1 as well. If both are told 201, nobody may go on from what it says of the message."""
    world = a_world(cache=cache)
    message_id, = post(world, 'a')
    deletes = []

    def begin_to_delete():
        world.swift.fail(('DELETE', MESSAGES), 503, times=3)  # it does not get to its end
        try:
            world.queue(proxy=1).messages.delete_unclaimed(message_id)
        except Unavailable:
            deletes.append('failed')
        world.swift.heal()
    in_the_gap(world, begin_to_delete)
    made = claim(world, proxy=0)
    assert deletes == ['failed']
    assert bodies(made) == ['a']
    world.clock.advance(3)
    assert claim(world, proxy=1) is None
    ack(world, made)
    assert world.queue().stats().total == 0


def test_a_delete_without_a_claim_sees_the_claim_whose_row_is_late():
    world = a_world()
    message_id, = post(world, 'a')
    world.swift.lagging = {0, 1, 2}
    world.queue().claims.release(claim(world).id)
    made = claim(world)
    with pytest.raises(MessageClaimed):
        world.queue(proxy=1).messages.delete_unclaimed(message_id)
    ack(world, made)


def test_a_lagging_replica_that_still_lists_an_acked_message_does_not_bring_it_back():
    world = a_world(seed=3)
    post(world, 'a')
    world.swift.lagging = {0, 1}
    made = claim(world)
    ack(world, made)
    for _ in range(20):
        world.clock.advance(30)
        assert claim(world, proxy=1) is None
        assert claim(world, proxy=0) is None


def test_a_claim_whose_row_is_late_still_runs_out():
    """No replica shows the claim, so only its object tells that there was one, and that it is over."""
    world = a_world()
    post(world, 'a')
    world.swift.lagging = {0, 1, 2}
    assert bodies(claim(world)) == ['a']
    world.clock.advance(59)
    assert claim(world, proxy=1) is None
    world.clock.advance(5)
    again = claim(world, proxy=1)
    assert bodies(again) == ['a']
    assert again.messages[0].deliveries == 2


def test_a_renewal_whose_row_is_late_still_holds():
    world = a_world()
    post(world, 'a')
    made = claim(world)
    world.swift.lagging = {0, 1, 2}
    world.clock.advance(50)
    world.queue().claims.renew(made.id, 60, 60)
    world.clock.advance(30)
    assert claim(world, proxy=1) is None
    assert claim_puts(world)[-1].path.endswith('\x00000000001')  # no number was used up


def test_a_claim_of_mixed_deliveries_is_acked_though_its_rows_are_late():
    world = a_world()
    post(world, 'returned')
    world.queue().claims.release(claim(world).id)
    post(world, 'fresh')
    world.swift.lagging = {0, 1, 2}
    made = claim(world, proxy=1)
    assert [message.deliveries for message in made.messages] == [2, 1]
    ack(world, made)
    world.swift.deliver_rows()
    assert world.queue().stats().total == 0


def test_a_late_row_does_not_hide_its_message_for_good():
    world = a_world()
    world.swift.lagging = {0, 1, 2}
    post(world, 'late')
    world.swift.lagging = set()
    world.clock.advance(3)
    post(world, 'early')
    assert bodies(claim(world)) == ['early']
    world.swift.deliver_rows()
    world.clock.advance(3)
    assert bodies(claim(world)) == ['late']


def test_a_listing_that_fails_is_not_an_empty_queue():
    world = a_world()
    post(world, 'a')
    world.swift.fail(('GET', MESSAGES), 503, times=1)
    with pytest.raises(Unavailable):
        claim(world)
    assert bodies(claim(world)) == ['a']


def test_claims_that_cannot_be_listed_are_not_taken_for_none():
    world = a_world()
    post(world, 'a')
    claim(world)
    world.swift.fail(('GET', CLAIMS), 503, times=1)
    world.clock.advance(3)
    with pytest.raises(Unavailable):
        claim(world, proxy=1)
    assert claim(world, proxy=1) is None


# -- renewal against expiry ------------------------------------------------------------------------

def expired_and_known(world):
    """A message whose claim is about to run out, and a second proxy that will notice."""
    post(world, 'a')
    made = claim(world, ttl=60)
    world.clock.advance(58)
    return made


def renewed_in_the_gap(world, made):
    """The holder renews while the next claim is written: by its clock, which is behind, there is still time."""
    def renew():
        now = world.clock.now
        world.clock.now = now - 3
        try:
            world.queue(proxy=0).claims.renew(made.id, 600, 60)
        except ClaimNotFound:
            return False
        finally:
            world.clock.now = now
        return True
    return in_the_gap(world, renew)


def test_a_renewal_that_lands_while_the_next_claim_is_written_wins_or_loses_but_not_both():
    world = a_world()
    made = expired_and_known(world)
    world.clock.advance(4)
    renewed = renewed_in_the_gap(world, made)
    taken = claim(world, proxy=1)
    assert renewed, 'the renewal did not run inside the claim'
    assert not (renewed[0] and taken)
    world.clock.advance(1300)
    assert bodies(claim(world, proxy=1)) == ['a']


def steps_back(world):
    """What a claimer does that finds the claim before its own renewed."""
    assert claim(world, proxy=1, ttl=60) is None


def fails_to_look(world):
    world.swift.fail(('HEAD', CLAIMS), 503, times=1, skip=3)  # the look after its PUT
    with pytest.raises(Unavailable):
        claim(world, proxy=1, ttl=60)
    world.swift.heal()


def dies(world):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Claims, '_supersede', lambda *args: False)
        steps_back(world)


@pytest.mark.parametrize('attributes', [{}, {'_max_claim_count': 2, '_dead_letter_queue': 'dead'}])
@pytest.mark.parametrize('fail', [steps_back, fails_to_look, dies])
def test_a_renewed_claim_holds_though_a_later_one_was_begun(fail, attributes):
    """The later one is the last one then. Whoever goes by that alone would hold the message, too, or bury it."""
    world = World()
    world.queue().create(attributes)
    made = expired_and_known(world)
    world.clock.advance(4)
    renewed = renewed_in_the_gap(world, made)
    fail(world)
    assert renewed == [True]
    for _ in range(3):
        world.clock.advance(65)
        assert claim(world, proxy=1) is None
        assert claim(world, proxy=0) is None
    with pytest.raises(MessageClaimed):
        world.queue(proxy=1).messages.delete_unclaimed(made.messages[0].id)
    assert world.queue().stats().total == 1
    ack(world, made)
    assert world.queue().stats().total == 0


def test_a_renewal_that_comes_after_the_next_claim_is_refused():
    world = a_world()
    made = expired_and_known(world)
    world.clock.advance(4)
    taken = claim(world, proxy=1)
    assert bodies(taken) == ['a']
    world.clock.now -= 4  # the old holder's clock
    with pytest.raises(ClaimNotFound):
        world.queue(proxy=0).claims.renew(made.id, 60, 60)
    world.clock.now += 4
    with pytest.raises((ReceiptInvalid, MessageClaimed)):
        world.queue(proxy=0).claims.ack(made.messages[0].id, made.id)
    ack(world, taken, proxy=1)


def test_a_renewal_that_was_under_way_when_the_claim_was_ended_is_refused(monkeypatch):
    world = a_world()
    post(world, 'a')
    made = claim(world, ttl=60)
    world.clock.advance(40)
    taken, named = [], Claims._named

    def named_and_taken_over(*args):
        state = named(*args)
        world.clock.now += 30  # the claimer's clock
        taken.append(claim(world, proxy=1))
        world.clock.now -= 30
        return state
    monkeypatch.setattr(Claims, '_named', named_and_taken_over)
    with pytest.raises(ClaimNotFound):
        world.queue().claims.renew(made.id, 60, 60)
    assert bodies(taken[0]) == ['a']
    with pytest.raises((ReceiptInvalid, MessageClaimed)):
        ack(world, made)
    ack(world, taken[0])


def test_a_renewal_is_refused_whose_claim_was_ended_though_the_one_after_it_was_given_up():
    world = a_world()
    made = expired_and_known(world)
    failures = []

    def claim_and_give_up():
        world.clock.advance(4)
        world.swift.fail(('GET', MESSAGES + 'jobs'), 503, times=100, skip=1)  # not the listing
        try:
            claim(world, proxy=1)
        except Unavailable:
            failures.append('given up')
        world.swift.heal()
    in_the_gap(world, claim_and_give_up)
    with pytest.raises(ClaimNotFound):
        world.queue().claims.renew(made.id, 600, 60)
    assert failures == ['given up']
    world.clock.advance(3)
    assert bodies(claim(world, proxy=1)) == ['a']


def test_a_claim_that_was_nobodys_does_not_end_the_one_before():
    world = a_world()
    made = expired_and_known(world)
    world.clock.advance(4)
    renewed_in_the_gap(world, made)
    steps_back(world)
    world.clock.advance(594)
    world.queue().claims.renew(made.id, 60, 60)  # so late that it looks for later claims
    ack(world, made)


@pytest.mark.parametrize('ahead', [2, 30, 3600])
def test_a_receipt_is_refused_after_a_later_delivery_whatever_the_clock_says_of_its_ttl(ahead):
    world = a_world()
    post(world, 'a')
    made = claim(world, ttl=3700)
    world.clock.advance(3699 - ahead)
    world.clock.now += ahead + 2
    taken = claim(world, proxy=1)
    assert bodies(taken) == ['a']
    world.clock.now -= ahead + 2
    with pytest.raises((ReceiptInvalid, MessageClaimed)):
        ack(world, made)
    with pytest.raises(ClaimNotFound):
        world.queue().claims.renew(made.id)
    ack(world, taken)
    assert world.queue().stats().total == 0


def test_the_loser_of_two_equal_deliveries_cannot_ack(monkeypatch):
    monkeypatch.setattr(Claims, '_is_ours', lambda *args: True)
    world = a_world(cache=False)
    post(world, 'a')
    inner = in_the_gap(world, lambda: claim(world, proxy=1))
    outer = claim(world, proxy=0)
    there = ClaimObjects(world.queue(), world.queue().record()).read(outer.messages[0].id, 1)
    winner, loser = (outer, inner[0]) if world.queue().sign(there.claim) == outer.id else (inner[0], outer)
    with pytest.raises((ReceiptInvalid, MessageClaimed)):
        ack(world, loser)
    ack(world, winner)
    assert world.queue().stats().total == 0


# -- posts -----------------------------------------------------------------------------------------

def test_a_post_whose_reply_was_lost_is_stored_once():
    world = a_world()
    world.swift.fail(('PUT', MESSAGES), 503, times=1, after_work=True)
    post(world, 'a')
    assert world.queue().stats().total == 1


def test_a_post_whose_reply_was_lost_does_not_bring_back_what_was_acked_since():
    world = a_world()

    def lost_reply_and_ack(call):
        return call.method == 'PUT' and MESSAGES in call.path and bool(call.obj)
    fault = world.swift.fail(lost_reply_and_ack, 503, times=1, after_work=True)
    queue = world.queue(proxy=0)
    request = queue.swift.request
    acked = []

    def between(*args, **kwargs):
        response = request(*args, **kwargs)
        if fault.hits and not acked:
            acked.append(True)
            made = claim(world, proxy=1)
            assert bodies(made) == ['a']
            ack(world, made, proxy=1)
        return response
    queue.swift.request = between
    posted, = queue.messages.post([NewMessage('a')])
    assert posted.error is None and acked
    generation = world.queue().record().generation
    assert world.swift.rows(ACCOUNT, messages_container('jobs', generation)) == []
    world.clock.advance(100)
    assert claim(world) is None


def test_a_202_is_not_success():
    """Something newer sits under the message's name and stays: the post must not say that it stored it."""
    world = a_world()
    queue = world.queue()
    world.swift.fail(('PUT', MESSAGES), 202, times=100)
    world.swift.fail(('HEAD', MESSAGES), 200, times=100)
    posted, = queue.messages.post([NewMessage('a')])
    assert isinstance(posted.error, Unavailable)


def test_a_batch_reports_each_message_by_itself():
    world = a_world()
    stored = []

    def every_other(call):
        if call.method == 'PUT' and MESSAGES in call.path and call.obj:
            stored.append(call.obj)
            return sorted(set(stored)).index(call.obj) % 2 == 1
        return False
    world.swift.fail(every_other, 503, times=100)
    posted = world.queue().messages.post([NewMessage(number) for number in range(6)])
    good = [one.id for one in posted if one.error is None]
    assert 0 < len(good) < 6
    world.swift.heal()
    world.clock.advance(3)
    assert [message.id for message in world.queue().messages.list(limit=20).items] == good


def test_a_post_into_a_generation_that_is_gone_finds_the_new_one():
    world = a_world(cache=False)
    post(world, 'warm', proxy=1)
    old = world.queue().record().generation
    world.tick()
    world.queue(proxy=0).purge()
    swift = world.queue().swift
    world.tick()
    for row in swift.listing(messages_container('jobs', old)):
        swift.delete(messages_container('jobs', old), row['name'])
    world.tick()
    assert swift.delete_container(messages_container('jobs', old))
    post(world, 'new', proxy=1)
    assert [message.body for message in world.queue(proxy=0).messages.list().items] == ['new']


# -- clocks ----------------------------------------------------------------------------------------

@pytest.mark.parametrize('skew', [-3600, -30, -2, 2, 30, 3600])
def test_two_proxies_with_different_clocks_lose_nothing(skew):
    world = a_world()
    fast = world.engines[1]
    fast.clock = lambda: world.clock.now + skew
    fast.ids = Ids(fast.clock)
    post(world, 'by 0', proxy=0, ttl=10000)
    post(world, 'by 1', proxy=1, ttl=10000)
    delivered = []
    for _ in range(200):
        for proxy in (0, 1):
            made = claim(world, proxy=proxy, limit=1)
            delivered += bodies(made)
            if made:
                ack(world, made, proxy=1 - proxy if abs(skew) < 60 else proxy)
        world.clock.advance(30)
    assert sorted(set(delivered)) == ['by 0', 'by 1']
    assert world.queue().stats().total == 0


# -- the cache -------------------------------------------------------------------------------------

def test_everything_works_while_the_cache_is_down():
    world = a_world()
    world.cache.down = True
    post(world, *range(6))
    first, second = claim(world, proxy=0, limit=3), claim(world, proxy=1, limit=3)
    assert sorted(bodies(first) + bodies(second)) == list(range(6))
    ack(world, first, proxy=1)
    ack(world, second, proxy=0)
    assert world.queue().stats().total == 0


def test_a_wiped_cache_gives_nothing_out_twice():
    world = a_world()
    post(world, *range(6))
    first = claim(world, proxy=0, limit=3)
    world.cache.wipe()
    second = claim(world, proxy=1, limit=6)
    assert sorted(bodies(first) + bodies(second)) == list(range(6))


# -- dead letters ----------------------------------------------------------------------------------

def test_a_dead_letter_is_moved_once_though_the_mover_dies_half_way():
    world = World()
    world.queue().create({'_max_claim_count': 1, '_dead_letter_queue': 'dead'})
    world.tick()
    post(world, 'poison')
    made = claim(world)
    world.queue().claims.release(made.id)
    world.swift.fail(('DELETE', MESSAGES), 503, times=3)  # all tries of one delete
    assert claim(world) is None
    world.clock.advance(2)
    dead = world.queue('dead').claims.create(10, 60, 60)
    assert bodies(dead) == ['poison']
    world.tick()
    world.queue('dead').claims.ack(dead.messages[0].id, dead.id)
    for deaths in (1, 0):  # moves it again, to where it was acked
        world.swift.fail(('DELETE', MESSAGES), 503, times=3 * deaths)
        world.clock.advance(65)
        assert claim(world, proxy=1) is None
    world.clock.advance(100)
    assert world.queue('dead').stats().total == 0
    assert world.queue().stats().total == 0


def test_a_dead_letter_stays_while_its_queue_cannot_take_it():
    world = World()
    world.queue().create({'_max_claim_count': 1, '_dead_letter_queue': 'dead'})
    world.queue('dead').create()
    world.tick()
    post(world, 'poison')
    world.queue().claims.release(claim(world).id)
    world.swift.fail(('PUT', '\x00messages\x00dead'), 503, times=3)
    assert claim(world) is None
    assert world.queue().stats().total == 1
    world.clock.advance(65)
    assert claim(world) is None
    assert (world.queue().stats().total, world.queue('dead').stats().total) == (0, 1)


def test_a_claim_renewed_while_its_message_is_about_to_be_buried_keeps_it_or_is_refused():
    world = World()
    world.queue().create({'_max_claim_count': 1, '_dead_letter_queue': 'dead'})
    made = expired_and_known(world)
    world.clock.advance(4)
    renewed = renewed_in_the_gap(world, made)
    assert claim(world, proxy=1) is None
    assert renewed == [True]
    assert world.queue().stats().total == 1
    ack(world, made)
    assert world.queue().stats().total == 0


# -- pop -------------------------------------------------------------------------------------------

def test_a_pop_that_cannot_delete_hands_the_message_out_and_it_comes_again():
    world = a_world()
    post(world, 'a')
    world.swift.fail(('DELETE', MESSAGES), 503, times=3)
    assert [message.body for message in world.queue().claims.pop(1)] == ['a']
    world.clock.advance(61)
    assert [message.body for message in world.queue().claims.pop(1)] == ['a']
    world.clock.advance(61)
    assert world.queue().claims.pop(1) == []


def test_nothing_of_one_tenant_is_stored_elsewhere():
    world = a_world()
    post(world, 'a')
    ack(world, claim(world))
    world.queue().purge()
    assert {call.account for call in world.swift.calls} == {ACCOUNT}
    assert all(parse_container(call.container) for call in world.swift.calls if call.container)


def test_an_unread_redelivery_is_dropped_if_the_message_was_acked():
    """The claim was released, then the message deleted without a claim; the old page still offers it."""
    world = a_world(cache=False)
    message_id, = post(world, 'a')
    made = claim(world, proxy=0)
    world.queue(proxy=0).claims.release(made.id)
    world.clock.advance(3)
    post(world, 'b')
    assert bodies(claim(world, proxy=1, limit=1)) == ['a']
    generation = world.queue().record().generation
    world.tick()
    world.queue().swift.delete(messages_container('jobs', generation), message_name(message_id))
    world.clock.advance(61)
    assert bodies(claim(world, proxy=0)) == ['b']


# -- what a row does not show ----------------------------------------------------------------------

LONG = 'x' * 5000


def claim_through(world, around, limit=1):
    """A claim, each of whose Swift requests goes through ``around``; what it is of: 'read', 'claim' or something else.

    ``around`` is a generator that is run up to its ``yield`` before the request.
    """
    queue = world.queue()

    def app(environ, start_response):
        method, path = environ['REQUEST_METHOD'], environ['PATH_INFO']
        what = 'read' if method == 'GET' and MESSAGES in path and path.count('/') > 3 else \
            'claim' if method == 'PUT' and CLAIMS in path else ''
        for _ in around(what):
            answer = world.swift(environ, start_response)
        return answer
    queue.swift.app = app
    with eventlet.Timeout(5):
        return queue.claims.create(limit, 60, 60)


def test_a_long_message_is_read_while_its_claim_is_written():
    world, read = a_world(), Event()
    post(world, LONG)

    def around(what):
        if what == 'claim':
            read.wait()
        yield
        if what == 'read':
            read.send()
    assert bodies(claim_through(world, around)) == [LONG]


@pytest.mark.parametrize('named', [False, True])
def test_what_is_claimed_again_and_what_its_sender_may_change_is_read_when_the_claim_is_there(named):
    world, done = a_world(), []
    if named:
        world.queue().named.put('report', NewMessage(LONG))
    else:
        post(world, LONG)
        claim(world)
    world.tick(61)

    def around(what):
        if what == 'claim':
            for _ in range(3):
                eventlet.sleep(0)
        yield
        done.append(what)
    assert bodies(claim_through(world, around)) == [LONG]
    assert 'read' in done[done.index('claim'):]


@pytest.mark.parametrize('messages, at_once', [(1, 2), (5, 10), (6, 6), (10, 10)])
def test_no_more_is_asked_of_swift_at_once_for_that_than_the_operator_allows(messages, at_once):
    world, under_way, most = a_world(subrequests=10), set(), []
    post(world, *[LONG] * messages)

    def around(what):
        mine = object()
        under_way.add(mine)
        most.append(len(under_way))
        for _ in range(3):
            eventlet.sleep(0)
        yield
        under_way.discard(mine)
    assert len(claim_through(world, around, messages).messages) == messages
    assert max(most) == at_once


def reads_of(calls):
    return [call.status for call in calls if call.method == 'GET' and MESSAGES in call.path and call.obj]


def test_a_long_message_that_cannot_be_read_early_is_read_later():
    world = a_world()
    post(world, LONG)
    world.swift.fail(lambda call: call.method == 'GET' and MESSAGES in call.path and call.obj, times=1)
    with world.swift.recording() as calls:
        assert bodies(claim(world)) == [LONG]
    assert reads_of(calls) == [503, 200]


def test_who_reads_early_and_does_not_get_the_claim_gets_nothing():
    world = a_world()
    post(world, LONG)
    world.swift.lagging = {0, 1, 2}
    assert bodies(claim(world, proxy=1)) == [LONG]
    world.cache.wipe()
    with world.swift.recording() as calls:
        assert claim(world) is None
        eventlet.sleep(0)
    assert reads_of(calls) == [200]
    assert [call.status for call in calls if call.method == 'PUT'] == [412]
