"""Claims prefer messages with a replica where the claimer is, and pass none over for too long."""

import random
from collections import Counter

import pytest
from world import World

from swiftqueue.errors import Invalid
from swiftqueue.limits import check_place
from swiftqueue.locality import LOCAL, REMOTE, Claimer
from swiftqueue.model import NewMessage, Place
from swiftqueue.named import Selection
from swiftqueue.names import message_name
from swiftqueue.queues import Engine

PATIENCE = 10
HERE, THERE = 1, 2  # zones


class Zones:
    """A world whose messages have one replica each, in the zones that the test says; a body is the message's number."""

    def __init__(self, **options):
        self.world = World(**{'locality_patience': PATIENCE, 'max_messages_per_claim_or_pop': 100} | options)
        self.counted = Counter()
        self.of = {}  # zone, by the name of the message object
        self.asked = []  # policies and containers that were asked for
        for engine in self.world.engines:
            engine.locate, engine.statistics = self.locate, self.count

    def locate(self, policy, account, container, name):
        self.asked.append((policy, account, container))
        return [(1, self.of[name])]

    def count(self, name, number):
        self.counted[name] += number

    def create(self, **attributes):
        self.world.queue().create(attributes)
        self.world.tick()
        return self

    def post(self, *zones, group=''):
        """A message in each of the zones, in this order."""
        first = len(self.of)
        posted = self.world.queue().messages.post([
            NewMessage(first + number, group=group, deduplication=f'{group} {first + number}' if group else '')
            for number in range(len(zones))])
        assert not [each for each in posted if each.error]
        self.of |= {message_name(each.id): zone for each, zone in zip(posted, zones, strict=True)}
        self.world.tick()

    def queue(self, place='r1z1', proxy=0):
        self.world.tick()
        queue = self.world.queue(proxy=proxy)
        queue.account.claimer = Claimer(check_place(place)) if place else None
        return queue

    def claim(self, limit=10, place='r1z1', proxy=0, ttl=600):
        claim = self.queue(place, proxy).claims.create(limit, ttl)
        return [message.body for message in claim.messages] if claim else []


@pytest.fixture
def zones():
    zones = Zones().create()
    yield zones
    zones.world.swift.assert_no_leaks()


# -- what a place is -------------------------------------------------------------------------------

@pytest.mark.parametrize('text, place', [
    ('r1', Place(1)), ('r1z2', Place(1, 2)), ('r0z0', Place(0, 0)), ('r12z345', Place(12, 345))])
def test_places_are_written_as_in_swifts_affinities(text, place):
    assert check_place(text) == place


@pytest.mark.parametrize('text', [
    'r', 'z1', 'r1z', 'r1z2=100', 'r1, r2', 'R1', 'r-1', 'r1 z2', 'r1z2\n', 'r\u0661', 'r' + '1' * 10, ''])
def test_nothing_else_is_a_place(text):
    with pytest.raises(Invalid, match='r1z2'):
        check_place(text)


@pytest.mark.parametrize('text, here', [('r1z1', True), ('r1', True), ('r1z2', False), ('r2z1', False), ('r2', True)])
def test_any_replica_there_will_do(text, here):
    assert check_place(text).has_any([(1, 1), (2, 3)]) is here


# -- who is preferred ------------------------------------------------------------------------------

def test_near_messages_are_claimed_first_and_in_their_order(zones):
    zones.post(THERE, HERE, THERE, HERE, HERE, THERE)
    assert zones.claim(2) == [1, 3]
    assert zones.claim(1, 'r1z2') == [0]
    assert zones.claim(1) == [4]


def test_where_too_few_are_near_the_others_fill_the_claim(zones):
    zones.post(THERE, HERE, THERE, THERE)
    assert zones.claim(3) == [1, 0, 2]
    assert zones.claim(3) == [3]


def test_nobody_is_preferred_where_nobody_says_where_he_is(zones):
    zones.post(THERE, HERE, THERE)
    assert zones.claim(3, place=None) == [0, 1, 2]
    assert not zones.asked and not zones.counted


def test_a_region_is_all_its_zones(zones):
    zones.post(THERE, HERE)
    assert zones.claim(1, 'r1') == [0]
    assert zones.claim(1, 'r2') == [1]


def test_the_ring_is_that_of_the_policy_in_which_the_messages_are(zones):
    zones.post(HERE)
    zones.claim()
    queue = zones.queue()
    container = queue.shards(queue.record()).containers()[0]
    assert {*zones.asked} == {(queue.swift.policy(container), 'AUTH_test', container)}


def test_every_way_of_taking_messages_prefers_those_near(zones):
    zones.post(THERE, THERE, HERE, THERE, HERE, HERE, THERE, HERE)
    assert [message.body for message in zones.queue().claims.pop(1)] == [2]
    assert [claim.messages[0].body for claim in zones.queue().single_claims.create_each(1)] == [4]
    assert [message.body for message in zones.queue().named.change_many(Selection(limit=1), hide=60)] == [5]
    assert [message.body for message in zones.queue().named.delete_many(Selection(limit=1))] == [7]


def test_the_messages_of_several_shards(zones):
    zones.world.queue().delete()
    zones.world.tick()
    zones.create(_shards=4)
    zones.post(*[THERE, HERE] * 20)
    assert [number % 2 for number in zones.claim(25)] == [1] * 20 + [0] * 5
    assert len({container for _, _, container in zones.asked}) == 4


# -- for how long ----------------------------------------------------------------------------------

def test_who_was_passed_over_for_long_enough_has_his_turn(zones):
    zones.post(THERE, THERE, *[HERE] * 40)
    zones.world.tick(1000)  # that they have waited says nothing: so did the others
    assert zones.claim(1) == [2]
    zones.world.tick(PATIENCE - 1)
    assert zones.claim(1) == [3]
    zones.world.tick(1)
    assert zones.claim(3) == [0, 1, 4]


def test_who_comes_back_does_not_begin_to_wait_again(zones):
    zones.post(THERE, *[HERE] * 40)
    assert zones.claim(1) == [1]
    zones.world.tick(PATIENCE)
    assert zones.claim(1, ttl=60) == [0]
    zones.world.tick(60)
    assert zones.claim(1) == [0]


def test_who_is_behind_all_that_was_claimed_has_not_been_passed_over(zones):
    zones.post(HERE, THERE, HERE)
    assert zones.claim(1) == [0]
    zones.world.tick(PATIENCE)
    assert zones.claim(1) == [2]


def test_without_patience_nobody_is_passed_over_and_what_is_near_is_counted():
    zones = Zones(locality_patience=0).create()
    zones.post(THERE, HERE)
    assert zones.claim(1) == [0]
    assert zones.claim(1) == [1]
    assert zones.counted == {LOCAL: 1, REMOTE: 1}


def run(seed, patience):
    """Posts for some seconds, and a claim each second until nothing is left; when each message was delivered."""
    zones, chance = Zones(locality_patience=patience).create(), random.Random(seed)
    limit, delivered, second = chance.randint(1, 2), {}, 0
    while second < 15 or len(delivered) < len(zones.of):
        if second < 15:
            zones.post(*chance.choices((1, 2, 3), (2, 2, 1), k=chance.randint(1, 4 * limit)))
        found = zones.claim(limit, f'r1z{chance.choice((1, 1, 2))}', ttl=10000)
        assert found
        delivered |= dict.fromkeys(found, second)
        zones.world.tick(1)
        second += 1
    return delivered, zones.counted[LOCAL]


@pytest.mark.parametrize('seed', range(3))
def test_nobody_is_delivered_later_than_he_would_have_been_by_more_than_the_patience(seed):
    preferring, local = run(seed, PATIENCE)
    plain, local_by_chance = run(seed, 0)
    assert preferring.keys() == plain.keys()
    assert max(at - plain[number] for number, at in preferring.items()) <= PATIENCE + 1  # a claim comes once a second
    assert local > local_by_chance


# -- where order means something -------------------------------------------------------------------

def test_a_fifo_queue_keeps_its_order_and_is_counted():
    zones = Zones().create(_fifo=True)
    zones.post(THERE, HERE, group='a')
    zones.post(THERE, HERE, group='b')
    assert [claim.messages[0].body for claim in zones.queue().single_claims.create_each(4)] == [0, 1, 2, 3]
    assert zones.counted == {LOCAL: 2, REMOTE: 2}


def test_among_groups_it_is_first_the_turn_of_who_has_the_fewest_in_flight(zones):
    zones.post(THERE, *[HERE] * 10, group='noisy')
    assert zones.claim(2) == [1, 2]
    zones.post(THERE, THERE, HERE, group='quiet')
    zones.world.tick(3)
    assert zones.claim(3) == [13, 11, 3]  # the noisy one goes before where it has as few and is near


def test_a_far_message_of_a_group_waits_no_longer_than_any_other(zones):
    zones.post(THERE, *[HERE] * 10, group='a')
    zones.post(*[HERE] * 10, group='b')
    assert zones.claim(2) == [1, 11]
    zones.world.tick(PATIENCE)
    assert zones.claim(2) == [0, 12]


# -- what is told ----------------------------------------------------------------------------------

def test_deliveries_are_counted_for_the_claimer_and_for_the_operator(zones):
    zones.post(HERE, THERE, HERE)
    queue = zones.queue()
    assert len(queue.claims.create(10).messages) == 3
    assert (queue.account.claimer.local, queue.account.claimer.remote) == (2, 1)
    zones.post(THERE)
    assert len(zones.queue().single_claims.create_each(10)) == 1
    assert zones.claim() == []
    assert zones.counted == {LOCAL: 2, REMOTE: 2}


def test_where_nobody_has_the_rings_nothing_is_preferred_and_nothing_told(zones):
    zones.world.engines[0] = Engine(zones.world.options, b'k', clock=zones.world.clock, monotonic=zones.world.clock)
    zones.post(THERE, HERE)
    queue = zones.queue()
    assert [message.body for message in queue.claims.create(1).messages] == [0]
    assert (queue.account.claimer.local, queue.account.claimer.remote) == (0, 0)


def test_who_claims_from_a_queue_of_another_account_is_where_he_was():
    account = World().queue().account
    account.claimer = Claimer(Place(1, 2))
    assert account.other('AUTH_friend').claimer is account.claimer
