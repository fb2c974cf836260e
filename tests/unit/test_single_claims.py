"""Claims of one message each: a receipt per delivery, a ttl of 0, an ack after the end."""

from dataclasses import replace

import pytest
from world import World

from swiftqueue.errors import Invalid, MessageNotFound, QueueError, QueueNotFound, ReceiptInvalid, TooLarge
from swiftqueue.model import NewMessage

CLAIMS = '\x00claims\x00'


@pytest.fixture
def world():
    world = World()
    world.queue().create()
    world.tick()
    yield world
    world.swift.assert_no_leaks()


def post(world, *bodies, **fields):
    posted = world.queue().messages.post([NewMessage(body, **fields) for body in bodies])
    assert not [each for each in posted if each.error]
    world.tick()
    return [each.id for each in posted]


def claim(world, limit=10, ttl=30, proxy=0):
    world.tick()
    return world.queue(proxy=proxy).single_claims.create_each(limit, ttl)


def ack(world, one, proxy=0):
    world.tick()
    return world.queue(proxy=proxy).single_claims.ack_one(one.id)


def renew(world, one, ttl, proxy=0):
    world.tick()
    return world.queue(proxy=proxy).single_claims.renew_one(one.id, ttl)


def bodies(claims):
    return [each.messages[0].body for each in claims]


def total(world):
    world.tick()
    return world.queue().stats().total


# -- create ----------------------------------------------------------------------------------------

def test_every_message_has_a_claim_of_its_own(world):
    post(world, 'a', 'b', 'c')
    claims = claim(world)
    assert bodies(claims) == ['a', 'b', 'c']
    assert len({each.id for each in claims}) == 3
    assert [len(each.messages) for each in claims] == [1, 1, 1]
    assert claim(world, proxy=1) == []


def test_what_happens_to_one_does_not_happen_to_the_others(world):
    post(world, 'a', 'b', 'c')
    acked, renewed, left = claim(world)
    assert ack(world, acked)
    assert renew(world, renewed, 300, proxy=1)
    world.clock.advance(31)
    assert bodies(claim(world, proxy=1)) == ['c']
    assert left.id


def test_fresh_and_returned_messages_are_claimed_together(world):
    post(world, 'returned')
    renew(world, *claim(world), 0)
    post(world, 'fresh')
    claims = claim(world, proxy=1)
    assert [each.messages[0].deliveries for each in claims] == [2, 1]
    assert [ack(world, each) for each in claims] == [True, True]
    assert total(world) == 0


def test_its_receipt_is_good_for_the_verbs_of_other_claims_too(world):
    post(world, 'a')
    one, = claim(world)
    world.queue().claims.renew(one.id, 100)
    assert [message.body for message in world.queue(proxy=1).claims.get(one.id).messages] == ['a']
    world.queue().claims.ack(one.messages[0].id, one.id)
    assert total(world) == 0


def test_a_ttl_of_0_delivers_without_hiding(world):
    post(world, 'a')
    first, = claim(world, ttl=0)
    second, = claim(world, ttl=0, proxy=1)
    assert (first.messages[0].deliveries, second.messages[0].deliveries) == (1, 2)
    assert ack(world, second)
    assert total(world) == 0


def test_ttl_and_wait_are_the_queues_unless_said_otherwise():
    world = World(max_wait=3)
    world.queue().create({'_default_claim_ttl': 7, '_default_wait': 20})
    world.tick()
    before = world.clock()
    assert world.queue().single_claims.create_each(1, wait=0) == []
    assert world.clock() == before
    post(world, 'a')
    one, = world.queue().single_claims.create_each(1)
    assert one.ttl == 7


def test_the_operator_may_allow_less_than_the_queue_says():
    world = World(max_messages_per_claim_or_pop=2)
    world.queue().create({'_default_claim_ttl': 43200})
    post(world, 'a', 'b', 'c')
    assert bodies(claim(world, limit=10)) == ['a', 'b']
    world.engines[0].options = replace(world.options, max_claim_ttl=600)
    one, = world.queue().single_claims.create_each(1)
    assert one.ttl == 600


@pytest.mark.parametrize('limit, ttl', [(0, 30), (1, -1), (1, 43201), (1, True), ('1', 30)])
def test_what_makes_no_sense_is_refused(world, limit, ttl):
    with pytest.raises(Invalid):
        world.queue().single_claims.create_each(limit, ttl)


def test_without_a_queue_there_is_nothing(world):
    for act in (lambda queue: queue.create_each(1), lambda queue: queue.ack_one('x'),
                lambda queue: queue.renew_one('x', 1)):
        with pytest.raises(QueueNotFound):
            act(world.queue('none').single_claims)


def test_no_message_goes_to_two_workers_on_two_proxies(world):
    post(world, *range(60))
    seen = []
    while taken := claim(world, limit=3) + claim(world, limit=5, proxy=1):
        seen += bodies(taken)
    assert sorted(seen) == list(range(60))


def test_dead_letters_leave_on_the_delivery_that_would_be_one_too_many(world):
    world.queue('dead').create()
    world.queue('work').create({'_max_claim_count': 2, '_dead_letter_queue': 'dead'})
    world.tick()
    world.queue('work').messages.post([NewMessage('poison')])
    for _ in range(2):
        one, = world.queue('work').single_claims.create_each(1, 10)
        world.clock.advance(11)
    assert world.queue('work').single_claims.create_each(1, 10) == []
    world.tick()
    dead, = world.queue('dead').single_claims.create_each(1, 10)
    message = dead.messages[0]
    assert (message.id, message.source, message.deliveries_before, message.deliveries) == (
        one.messages[0].id, 'work', 2, 1)


# -- when it was first claimed ---------------------------------------------------------------------

def test_the_first_delivery_is_remembered(world):
    post(world, 'a')
    one, = claim(world)
    first_at = world.clock()
    assert world.queue().single_claims.first_claimed_at(one) == pytest.approx(first_at, abs=0.01)
    for proxy in (1, 0, 1):
        world.clock.advance(31)
        one, = claim(world, proxy=proxy)
    assert world.queue().single_claims.first_claimed_at(one) == pytest.approx(first_at, abs=0.01)


# -- ack -------------------------------------------------------------------------------------------

def test_an_ack_deletes_and_may_be_repeated(world):
    post(world, 'a')
    one, = claim(world)
    assert ack(world, one)
    assert ack(world, one, proxy=1)
    world.clock.advance(100)
    assert claim(world) == [] and total(world) == 0


@pytest.mark.parametrize('proxy', [0, 1])
def test_an_ack_after_the_end_deletes_what_was_not_delivered_again(world, proxy):
    post(world, 'a')
    one, = claim(world)
    world.clock.advance(31)
    assert ack(world, one, proxy)
    assert claim(world, proxy=1 - proxy) == []
    assert total(world) == 0


def test_an_ack_after_a_later_delivery_deletes_nothing(world):
    post(world, 'a')
    first, = claim(world)
    world.clock.advance(31)
    second, = claim(world, proxy=1)
    assert not ack(world, first)
    assert total(world) == 1
    assert ack(world, second, proxy=1)
    assert total(world) == 0


def test_an_ack_after_a_later_delivery_that_also_ran_out_deletes_nothing(world):
    post(world, 'a')
    first, = claim(world)
    world.clock.advance(31)
    claim(world, proxy=1)
    world.clock.advance(31)
    assert not ack(world, first)
    assert bodies(claim(world)) == ['a']


def test_an_ack_of_what_was_given_back_deletes_it_unless_it_was_delivered_again(world):
    post(world, 'a', 'b')
    a, b = claim(world)
    for each in (a, b):
        renew(world, each, 0)
    again, = claim(world, limit=1, proxy=1)
    assert bodies([again]) == ['a']
    assert not ack(world, a)
    assert ack(world, b)
    assert total(world) == 1


def test_a_receipt_of_another_queue_or_nobodys_is_refused(world):
    world.queue('other').create()
    post(world, 'a')
    one, = claim(world)
    for receipt in (one.id, one.id[:-1] + 'x', '', 'x', 'ü', '\x00', one.id * 2):
        queue = world.queue('other' if receipt == one.id else 'jobs').single_claims
        with pytest.raises(ReceiptInvalid):
            queue.ack_one(receipt)
        with pytest.raises(ReceiptInvalid):
            queue.renew_one(receipt, 10)
    assert total(world) == 1


def test_an_ack_from_before_a_purge_does_no_harm(world):
    post(world, 'a')
    one, = claim(world)
    world.queue(proxy=1).purge()
    world.tick()
    assert ack(world, one)
    post(world, 'b')
    assert ack(world, one)
    assert bodies(claim(world)) == ['b']


def test_a_late_ack_that_meets_the_next_claim_deletes_or_is_refused(world):
    """The ack comes while the next claim is written, from a proxy whose clock is ahead of the end."""
    post(world, 'a')
    first, = claim(world)
    world.clock.advance(31)
    acked = []

    def hook(call):
        if call.method == 'PUT' and CLAIMS in call.path:
            world.swift.on_commit = None
            acked.append(world.queue().single_claims.ack_one(first.id))
    world.swift.on_commit = hook
    taken = claim(world, proxy=1)
    assert len(acked) == 1
    assert bool(acked[0]) != bool(taken)
    world.clock.advance(100)
    left = claim(world)
    assert (not left) if acked[0] else bodies(left) == ['a']


# -- renew -----------------------------------------------------------------------------------------

def test_renewing_hides_for_longer_or_shorter(world):
    post(world, 'a', 'b')
    longer, shorter = claim(world)
    assert renew(world, longer, 100) and renew(world, shorter, 5, proxy=1)
    world.clock.advance(6)
    assert bodies(claim(world, ttl=200)) == ['b']
    world.clock.advance(90)
    assert claim(world) == []
    world.clock.advance(5)
    assert bodies(claim(world)) == ['a']


def test_renewing_by_0_gives_back(world):
    post(world, 'a')
    one, = claim(world)
    assert renew(world, one, 0)
    again, = claim(world, proxy=1)
    assert again.messages[0].deliveries == 2


def test_renewing_what_ran_out_does_nothing(world):
    post(world, 'a')
    one, = claim(world)
    world.clock.advance(31)
    assert not renew(world, one, 100)
    again, = claim(world, proxy=1)
    assert not renew(world, one, 100) and not renew(world, one, 0)
    assert renew(world, again, 100, proxy=1)


def test_renewing_what_is_acked_is_refused(world):
    post(world, 'a')
    one, = claim(world)
    ack(world, one)
    with pytest.raises(MessageNotFound):
        renew(world, one, 100)


@pytest.mark.parametrize('ttl', [-1, 43201, None, '30', True])
def test_renewing_by_no_sensible_time_is_refused(world, ttl):
    post(world, 'a')
    one, = claim(world)
    with pytest.raises(Invalid):
        renew(world, one, ttl)


# -- what else the engine has for them -------------------------------------------------------------

def test_a_message_that_is_too_large_fails_by_itself(world):
    world.queue().create()
    world.queue('small').create({'_max_message_size': 10})
    world.tick()
    posted = world.queue('small').messages.post([NewMessage('x', size=10), NewMessage('y', size=11)])
    assert posted[0].error is None
    assert isinstance(posted[1].error, TooLarge) and posted[1].error.most == 10
    assert world.queue('small').stats().total == 1


def test_a_description_tells_when(world):
    created = world.queue().describe()
    assert created.created_at == pytest.approx(world.clock(), abs=1)
    assert (created.name, created.purged_at) == ('jobs', 0)
    world.clock.advance(100)
    changed_at = world.clock()
    world.queue().configure(lambda attributes: attributes | {'colour': 'red'})
    changed = world.queue().describe()
    assert (changed.created_at, changed.attributes['colour']) == (created.created_at, 'red')
    assert changed.changed_at == pytest.approx(changed_at, abs=0.01)
    world.clock.advance(100)
    purged_at = world.clock()
    world.queue().purge()
    purged = world.queue().describe()
    assert (purged.created_at, purged.purged_at) == (created.created_at, pytest.approx(purged_at, abs=0.01))
    with pytest.raises(QueueNotFound):
        world.queue('none').describe()


def test_queues_are_listed_by_prefix(world):
    for name in ('a', 'b-1', 'b-2', 'b-3', 'c'):
        world.queue(name).create()
    account = world.queue('any').account
    assert [info.name for info in account.queues(prefix='b-', limit=1000, most=1000).items] == ['b-1', 'b-2', 'b-3']
    page = account.queues(prefix='b-', limit=2, most=1000)
    assert ([info.name for info in page.items], page.marker) == (['b-1', 'b-2'], 'b-2')
    assert [info.name for info in account.queues('b-2', 2, prefix='b-', most=1000).items] == ['b-3']
    assert [info.name for info in account.queues(prefix='x', limit=2, most=2).items] == []


# -- with any one sub-request failing --------------------------------------------------------------

FAULTS = [{'status': 500}, {'status': 503}, {'status': 'timeout'}, {'status': ConnectionError('broke')},
          {'status': 503, 'after_work': True}, {'status': 503, 'times': 100}]
LEASE = 200  # seconds after which nobody holds anything any more


def scenes(prepare, act):
    """``act`` with the first, the second, ... of its sub-requests failing: the world and what came of it."""
    for fault in FAULTS:
        for skip in range(50):
            world = World(seed=skip)
            world.queue().create()
            post(world, 'a', 'b')
            prepared = prepare(world)
            world.tick(3)  # what is known of the record is old
            failing = world.swift.fail(lambda call: True, skip=skip, **fault)
            try:
                outcome = act(world, *prepared)
            except QueueError as error:
                outcome = error
            world.swift.heal()
            yield world, outcome
            if not failing.hits:
                assert skip > 1 and not isinstance(outcome, QueueError)
                break
        else:
            raise AssertionError('it took more sub-requests than anything should')


def all_left(world):
    """Everything that can still be claimed, through the other proxy, once all leases are over."""
    world.clock.advance(LEASE)
    left = []
    while claims := claim(world, proxy=1):
        left += bodies(claims)
        for each in claims:
            assert ack(world, each, proxy=1)
    return sorted(left)


def test_a_claim_that_fails_half_way_loses_nothing():
    for world, _ in scenes(lambda world: (), claim):
        assert all_left(world) == ['a', 'b']


@pytest.mark.parametrize('later', [0, 31])
def test_an_ack_that_fails_half_way_is_not_taken_for_done(later):
    def prepare(world):
        one, _ = claim(world)
        world.clock.advance(later)
        return (one,)
    for world, outcome in scenes(prepare, ack):
        assert outcome is True or isinstance(outcome, QueueError), outcome
        assert all_left(world) in ([['b']] if outcome is True else [['b'], ['a', 'b']])


@pytest.mark.parametrize('ttl', [0, 60])
def test_a_renewal_that_fails_half_way_loses_nothing(ttl):
    for world, outcome in scenes(lambda world: claim(world)[:1], lambda world, one: renew(world, one, ttl)):
        assert outcome is True or isinstance(outcome, QueueError), outcome
        if outcome is True and ttl:
            world.clock.advance(40)
            assert bodies(claim(world, proxy=1)) == ['b']
        assert all_left(world) == ['a', 'b'] or outcome is True and ttl
