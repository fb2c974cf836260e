"""Ephemeral messages: where they are, what they cost, and what their loss does to the others of their queue."""

from dataclasses import replace

import pytest
from janitors import HOUR, bodies, clean_sweep, containers, meanwhile, stored
from storage_policies import NAMES, deprecate  # noqa: F401 (a fixture)
from world import ACCOUNT, World

from swiftqueue.errors import Invalid, Unavailable
from swiftqueue.flavors import Flavors, Pools
from swiftqueue.ids import EPHEMERAL, shard_of
from swiftqueue.model import NewMessage
from swiftqueue.names import Flavor, Pool, claims_container, messages_container, parse_container, queue_container

LARGE = 'x' * 9000  # too large for a row


@pytest.fixture
def make_world(deprecate):  # noqa: F811
    def make(attributes=None, ephemeral_policy='silver', **options):
        world = World(ephemeral_policy=ephemeral_policy, **options)
        world.swift.policies = list(NAMES)
        world.queue().create(attributes)
        world.queue().record()
        world.tick()
        return world
    return make


@pytest.fixture
def world(make_world):
    return make_world()


def post(world, *texts, ephemeral=True, proxy=0, **fields):
    world.tick()
    posted = world.queue(proxy=proxy).messages.post([NewMessage(each, ephemeral=ephemeral, **fields) for each in texts])
    assert [one.error for one in posted] == [None] * len(texts)
    return [one.id for one in posted]


def is_ephemeral(message_id):
    return shard_of(message_id) == EPHEMERAL


def spent(world, act):
    with world.swift.recording() as calls:
        act()
    methods = [call.method for call in calls]
    return {method: methods.count(method) for method in sorted(set(methods))}


def places(world):
    """(kind, shard, policy) of each container of the queue but its record."""
    return {(kind, shard, NAMES[replica.policy])
            for container, replica in world.swift.containers_on(0, ACCOUNT).items()
            for kind, queue, _, shard in [parse_container(container)] if (kind, queue) != ('queue', 'jobs')}


def in_place(call):
    """Whether it is about an object on the ephemeral messages' only server."""
    return bool(call.obj) and parse_container(call.container)[3] == EPHEMERAL


def lose_server(world):
    world.swift.fail(in_place, 503, times=float('inf'))


ORDINARY = {('messages', 0, 'Policy-0'), ('claims', 0, 'Policy-0')}
PLACE = {('messages', EPHEMERAL, 'silver'), ('claims', EPHEMERAL, 'silver')}


# -- where they are --------------------------------------------------------------------------------

def test_the_first_ephemeral_message_makes_the_place_and_all_are_in_one_order(world):
    posted = post(world, 0, 1, ephemeral=False)
    assert places(world) == ORDINARY
    posted += post(world, 2, 3)
    posted += post(world, 4, ephemeral=None)
    posted += post(world, 5, proxy=1)
    assert places(world) == ORDINARY | PLACE
    assert [is_ephemeral(each) for each in posted] == [False, False, True, True, False, True]
    generation = world.queue().record().generation
    assert {name[1:] for container, name in world.swift.live_objects(ACCOUNT)
            if container == messages_container('jobs', generation, EPHEMERAL)} == set(filter(is_ephemeral, posted))
    assert bodies(world) == [0, 1, 2, 3, 4, 5] and world.queue().stats().total == 6
    claim = world.queue(proxy=1).claims.create(4)
    assert [message.body for message in claim.messages] == [0, 1, 2, 3]
    assert len([name for container, name in world.swift.live_objects(ACCOUNT)
                if container == claims_container('jobs', generation, EPHEMERAL)]) == 2
    world.tick()
    world.queue().claims.renew(claim.id)
    for message in claim.messages:
        world.queue(proxy=1).claims.ack(message.id, claim.id)
    assert bodies(world) == [4, 5]


def test_a_page_may_end_within_either_kind(world):
    for number in range(20):
        post(world, number, ephemeral=number % 3 == 0)
    found, marker = [], None
    for _ in range(7):
        page = world.queue().messages.list(marker, 3)
        found += [message.body for message in page.items]
        marker = page.marker
    assert found == list(range(20))


def test_a_queue_says_what_its_messages_are_and_a_message_has_the_last_word(make_world):
    world = make_world({'_ephemeral': True})
    assert [is_ephemeral(post(world, 1, ephemeral=each)[0]) for each in (None, False, True)] == [True, False, True]
    world.queue().configure(lambda attributes: {})
    world.tick()
    assert not is_ephemeral(post(world, 1, ephemeral=None)[0])


def test_what_is_no_boolean_is_refused(world):
    for wrong in (1, 0, 'true', []):
        with pytest.raises(Invalid, match='ephemeral must be true or false'):
            post(world, 1, ephemeral=wrong)
        with pytest.raises(Invalid, match='_ephemeral must be true or false'):
            world.queue('other').create({'_ephemeral': wrong})
        with pytest.raises(Invalid):
            Flavors(world.engines[0], world.queue().swift).check('f', Flavor(['p'], ephemeral=wrong))
    assert places(world) == ORDINARY


@pytest.mark.parametrize('own, is_it', [({}, True), ({'_ephemeral': False}, False)])
def test_a_flavor_says_what_the_messages_of_its_queues_are(world, own, is_it):
    service = world.engines[0], world.queue().swift
    Pools(*service).put('p', Pool('gold', 1))
    Flavors(*service).put('f', Flavor(['p'], ephemeral=True))
    world.queue('new').create({'_flavor': 'f', **own})
    world.tick()
    assert world.queue('new').attributes()['_ephemeral'] is is_it
    done, = world.queue('new').messages.post([NewMessage(1)])
    assert is_ephemeral(done.id) is is_it


# -- what they cost --------------------------------------------------------------------------------

def test_what_ephemeral_messages_cost(world):
    assert spent(world, lambda: post(world, 1, ephemeral=False)) == {'PUT': 1}
    assert spent(world, lambda: post(world, 1)) == {'HEAD': 1, 'POST': 1, 'PUT': 3}
    world.queue().record()
    assert spent(world, lambda: post(world, *range(10))) == {'PUT': 10}
    assert spent(world, lambda: post(world, 1, ephemeral=False)) == {'PUT': 1}
    world.tick(3)
    world.queue().record()
    assert spent(world, lambda: world.queue().claims.create(10)) == {'GET': 4, 'PUT': 10}
    assert spent(world, lambda: world.queue().purge()) == {'HEAD': 1, 'POST': 1, 'PUT': 4}
    world.tick()
    grow = {'_shards': 2}
    assert spent(world, lambda: world.queue().configure(lambda attributes: grow)) == {'HEAD': 1, 'POST': 1, 'PUT': 2}


# -- where there is no place -----------------------------------------------------------------------

@pytest.mark.parametrize('policy', ['', 'unknown', 'old'])
def test_without_a_policy_that_takes_containers_they_are_ordinary_messages_and_cost_no_more(make_world, policy):
    world = make_world(ephemeral_policy=policy)
    assert spent(world, lambda: post(world, 1, 2)) == {'PUT': 2}
    assert (places(world), bodies(world)) == (ORDINARY, [1, 2])


def test_in_a_fifo_queue_they_are_ordinary_messages(make_world):
    world = make_world({'_fifo': True, '_ephemeral': True, '_content_deduplication': True})
    posted = post(world, '1', '2', group='g')
    assert not any(map(is_ephemeral, posted)) and bodies(world) == ['1', '2']
    with pytest.raises(Invalid):
        post(world, '3', group='g', ephemeral='yes')


def test_a_queue_of_64_shards_has_one_more_for_them(make_world):
    world = make_world({'_shards': 64})
    ordinary = world.queue().messages.post([NewMessage(number, ephemeral=False) for number in range(128)])
    assert {shard_of(one.id) for one in ordinary} == set(range(64))
    assert {shard_of(each) for each in post(world, 'x', 'y')} == {EPHEMERAL}
    assert len(places(world)) == 2 * 65 and places(world) > PLACE
    assert len(world.queue().messages.list(limit=20).items) == 20 and world.queue().stats().total == 130


def test_where_the_place_cannot_be_made_they_are_ordinary_messages(world):
    world.swift.fail(lambda call: call.method == 'PUT' and not call.obj, 503, times=3 * 3)
    assert not is_ephemeral(post(world, 1)[0])
    world.swift.heal()
    assert is_ephemeral(post(world, 2)[0])
    assert bodies(world) == [1, 2]


def test_a_place_whose_policy_is_deprecated_takes_no_more_and_does_not_outlive_a_purge(world, deprecate):  # noqa: F811
    assert is_ephemeral(post(world, 1)[0])
    deprecate('silver')
    assert not is_ephemeral(post(world, 2)[0])
    assert bodies(world) == [1, 2]
    assert world.queue().configure(lambda attributes: {'_shards': 2})['_shards'] == 2  # that needs no place
    for engine in world.engines:
        engine.options = replace(engine.options, ephemeral_policy='gold')
    assert not is_ephemeral(post(world, 2)[0])
    world.queue().purge()
    world.tick()
    assert world.queue().record().ephemeral is None
    assert is_ephemeral(post(world, 3)[0]) and bodies(world) == [3]
    assert ('messages', EPHEMERAL, 'gold') in places(world)


# -- several proxies -------------------------------------------------------------------------------

def is_record_write(call):
    return call.method == 'POST' and call.container == queue_container('jobs')


@pytest.mark.parametrize('cache', [True, False])
@pytest.mark.parametrize('act, others', [
    (lambda world: post(world, 'other', proxy=1), ['other']),
    (lambda world: post(world, 'other', proxy=1, ephemeral=False), ['other']),
    (lambda world: world.queue(proxy=1).configure(lambda attributes: attributes | {'_shards': 3}), []),
    (lambda world: world.queue(proxy=1).purge() or post(world, 'other', proxy=1), ['other'])])
def test_what_happens_while_the_place_is_made_loses_nothing(make_world, cache, act, others):
    world = make_world(cache=cache)
    happened = meanwhile(world, is_record_write, lambda: act(world))
    post(world, 'mine')
    assert happened
    world.tick(3)
    post(world, 'after', proxy=1)
    clean_sweep(world)  # what was posted to a generation that was purged meanwhile is moved
    assert sorted(bodies(world)) == sorted(['mine', 'after', *others])
    assert world.queue().read_record().ephemeral == NAMES.index('silver')


def test_a_proxy_that_has_not_heard_of_the_place_serves_what_is_in_it(make_world):
    world = make_world(cache=False)
    world.queue(proxy=1).record()
    message_id, = post(world, 1)
    world.tick()
    claim = world.queue().claims.create(1)
    assert [message.body for message in world.queue(proxy=1).messages.get([message_id])] == [1]
    world.queue(proxy=1).claims.ack(message_id, claim.id)
    assert bodies(world) == []


# -- what goes wrong with it -----------------------------------------------------------------------

def test_what_the_place_does_not_take_is_an_ordinary_message_in_the_same_order(world):
    post(world, 0)
    lose_server(world)
    posted = post(world, 1, 2) + post(world, 3, ephemeral=False)
    assert not any(map(is_ephemeral, posted))
    assert bodies(world) == [0, 1, 2, 3]


def test_a_post_fails_only_if_nothing_takes_the_message(world):
    post(world, 0)
    world.swift.fail(('PUT', '\x00messages\x00'), 503, times=float('inf'))
    posted, = world.queue().messages.post([NewMessage(1, ephemeral=True)])
    assert isinstance(posted.error, Unavailable)


@pytest.mark.parametrize('direct', [False, True])
@pytest.mark.parametrize('take', [
    lambda queue: queue.claims.create(1).messages,
    lambda queue: [message for claim in queue.single_claims.create_each(1, 60) for message in claim.messages],
    lambda queue: queue.claims.pop(1)])
def test_the_others_are_claimed_while_no_server_has_the_ephemeral_ones(make_world, take, direct):
    world = make_world(direct=direct)
    post(world, *range(30))
    post(world, 'durable', 'too', ephemeral=False)
    world.queue().record()
    slow = []

    def look(call):
        """Each try takes so long that who looks for others one after the other would come round to the first again."""
        if in_place(call):
            slow.append(call)
            world.tick(0.5)
        return in_place(call)
    world.swift.fail(look, 503, times=float('inf'))
    assert [message.body for message in take(world.queue())] == ['durable']
    assert [message.body for message in take(world.queue())] == ['too']
    assert world.queue().claims.create(1) is None and slow
    world.swift.heal()
    world.tick(60)  # until their gates open
    assert len(world.queue().claims.create(20).messages) == 20


def test_where_nothing_else_is_a_claim_waits_for_what_can_be_had(world):
    post(world, 1)
    lose_server(world)
    assert world.queue().claims.create(1) is None and world.queue().single_claims.create_each(1, 60, wait=5) == []


def test_a_claim_of_several_has_those_that_it_can_have(world):
    for number in range(6):
        post(world, number, ephemeral=number % 2 == 0)
    lose_server(world)
    claim = world.queue().claims.create(10)
    assert [message.body for message in claim.messages] == [1, 3, 5]
    world.tick()
    world.queue().claims.renew(claim.id)
    for message in claim.messages:
        world.queue().claims.ack(message.id, claim.id)
    assert world.queue().stats().total == 3


def test_the_others_are_listed_while_no_server_has_the_ephemeral_ones(world):
    post(world, 0, LARGE)
    post(world, 1, LARGE, ephemeral=False)
    lose_server(world)
    assert bodies(world) == [0, 1, LARGE]  # of the first the row has everything
    assert world.queue().stats().total == 4
    world.swift.heal()
    assert bodies(world) == [0, LARGE, 1, LARGE]
    world.swift.fail(lambda call: call.method == 'GET' and call.obj, 503, times=float('inf'))
    with pytest.raises(Unavailable):  # an ordinary one is never passed over
        bodies(world)


# -- their end -------------------------------------------------------------------------------------

def test_purge_deletion_and_janitor_do_with_the_place_what_they_do_with_any_shard(world):
    post(world, 1, 2, 3)
    claim = world.queue().claims.create(3)
    world.tick()
    world.queue().claims.ack(claim.messages[0].id, claim.id)
    for _ in range(2):  # messages that expired, then their claims
        world.tick(2 * HOUR)
        clean_sweep(world)
    assert stored(world, 'claims') == stored(world, 'messages') == []
    post(world, 4)
    world.queue().purge()
    world.tick()
    assert bodies(world) == []
    post(world, 5)
    assert bodies(world) == [5]
    world.tick(2 * HOUR)
    clean_sweep(world)
    assert places(world) == ORDINARY | PLACE and len(containers(world, 'messages')) == 2
    world.queue().delete()
    world.tick(HOUR)
    clean_sweep(world)
    assert containers(world, 'messages') == containers(world, 'claims') == []


def test_a_deletion_marks_the_place_also_when_the_account_does_not_list_it(world):
    post(world, 1)
    listing = f'prefix={messages_container("jobs")}'.replace('\x00', '%00')
    world.swift.fail(lambda call: call.method == 'GET' and listing in call.query, 404, times=9)
    with world.swift.recording() as calls:
        world.queue().delete()
    assert {parse_container(call.container)[3] for call in calls if call.method == 'POST'} == {0, EPHEMERAL}


def test_a_dead_letter_is_kept_as_an_ordinary_message(make_world):
    world = make_world({'_dead_letter_queue': 'dead', '_max_claim_count': 1})
    message_id, = post(world, 'letter')
    world.queue().claims.release(world.queue().claims.create(1).id)
    world.tick(3)
    assert world.queue().claims.create(1) is None
    letter, = world.queue('dead').messages.list().items
    assert (letter.body, is_ephemeral(message_id), is_ephemeral(letter.id)) == ('letter', True, False)


def test_a_queue_of_the_same_name_begins_without_a_place(world):
    post(world, 1)
    world.queue().delete()
    world.tick()
    world.queue().create()
    assert world.queue().read_record().ephemeral is None
