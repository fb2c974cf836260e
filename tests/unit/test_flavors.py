"""Where a queue's flavor puts its containers, and what becomes of it when definitions change or cannot be read."""

import pytest
from storage_policies import NAMES, deprecate  # noqa: F401 (a fixture)
from world import World

from swiftqueue.errors import Invalid, Unavailable
from swiftqueue.flavors import KNOWN_SECONDS, Flavors, Pools
from swiftqueue.model import NewMessage
from swiftqueue.names import Flavor, Pool, parse_container


@pytest.fixture
def world(deprecate):  # noqa: F811
    world = World()
    world.swift.policies = list(NAMES)
    for name in ('silver', 'gold'):
        pools(world).put(name, Pool(name, 1))
    return world


def pools(world, proxy=0):
    return Pools(world.engines[proxy], world.queue(proxy=proxy).swift)


def flavors(world, proxy=0):
    return Flavors(world.engines[proxy], world.queue(proxy=proxy).swift)


def define(world, *names, proxy=0, **more):
    flavors(world, proxy).put('f', Flavor(list(names), **more))
    world.tick()


def create(world, name='jobs', proxy=0, **attributes):
    try:
        return world.queue(name, proxy).create({'_flavor': 'f', **attributes})
    finally:
        world.tick()


def places(world, name='jobs'):
    """(kind, policy) of each container of the queue but its record, those of the newest generation."""
    found = {}
    for container, replica in world.swift.containers_on(0, 'AUTH_test').items():
        kind, queue, generation, shard = parse_container(container)
        if kind != 'queue' and queue == name:
            found.setdefault(generation, set()).add((kind, shard, NAMES[replica.policy]))
    return found[max(found)] if found else set()


def test_a_queue_is_put_where_its_flavor_says_and_stays_there(world):
    define(world, 'silver', claims_pool='gold', shards=2)
    create(world)
    two = {(kind, shard, policy) for kind, policy in (('messages', 'silver'), ('claims', 'gold')) for shard in (0, 1)}
    assert places(world) == two
    define(world, 'gold')
    flavors(world).delete('f')
    world.tick(60)
    world.queue().purge()
    assert places(world) == two
    world.queue().configure(lambda attributes: attributes | {'_shards': 3})
    assert places(world) == two | {('messages', 2, 'silver'), ('claims', 2, 'gold')}


def test_a_queue_that_is_deleted_leaves_no_placement_to_the_next_of_its_name(world):
    define(world, 'silver')
    create(world)
    world.queue().delete()
    world.tick()
    world.queue().create()
    world.tick()
    world.queue().purge()
    assert places(world) == {('messages', 0, 'Policy-0'), ('claims', 0, 'Policy-0')}


def test_pools_share_queues_by_weight(world):
    for name, weight in (('silver', 1), ('gold', 3)):
        pools(world).put(name, Pool(name, weight))
    define(world, 'silver', 'gold')
    chosen = [flavors(world).place('f')[1].messages for _ in range(400)]
    assert 60 < chosen.count(NAMES.index('silver')) < 140
    assert set(chosen) == {NAMES.index('silver'), NAMES.index('gold')}


def test_a_pool_without_weight_takes_no_queues(world):
    pools(world).put('silver', Pool('silver', 0))
    define(world, 'silver', 'gold')
    assert {flavors(world).place('f')[1].messages for _ in range(20)} == {NAMES.index('gold')}
    define(world, 'silver')
    world.tick(KNOWN_SECONDS)
    with pytest.raises(Invalid, match='takes no queues'):
        create(world)
    assert places(world) == set()


def test_another_proxy_hears_of_a_new_flavor_at_once_and_of_a_change_in_seconds(world):
    with pytest.raises(Invalid, match='no flavor'):
        create(world, 'early', proxy=1)
    define(world, 'silver')
    assert create(world, 'first', proxy=1)
    define(world, 'gold')
    assert create(world, 'second', proxy=0) and places(world, 'second') >= {('messages', 0, 'gold')}
    world.tick(KNOWN_SECONDS)
    assert create(world, 'third', proxy=1) and places(world, 'third') >= {('messages', 0, 'gold')}
    flavors(world).delete('f')
    world.tick(KNOWN_SECONDS)
    with pytest.raises(Invalid, match='no flavor'):
        create(world, 'late', proxy=1)


def test_no_queue_of_a_flavor_is_created_while_that_cannot_be_read(world):
    define(world, 'silver')
    create(world)
    world.tick(KNOWN_SECONDS)
    fault = world.swift.fail(('GET', '/v1/.swiftqueue/'), 503, times=100)
    with pytest.raises(Unavailable):
        create(world, 'other')
    assert places(world, 'other') == set()
    assert world.queue('plain').create()
    world.queue().messages.post([NewMessage('x')])
    world.queue().purge()
    assert places(world) == {('messages', 0, 'silver'), ('claims', 0, 'silver')}
    assert fault is not None and any(call.account == '.swiftqueue' and call.status == 503 for call in world.swift.calls)


def test_new_containers_of_a_queue_in_a_deprecated_policy_go_where_its_flavor_says_then(world, deprecate):  # noqa: F811
    define(world, 'silver', limits={'max_shards': 5})
    create(world)
    deprecate('silver')
    world.tick(KNOWN_SECONDS)
    grow = lambda attributes: attributes | {'_shards': 2}  # noqa: E731
    for change in (world.queue().purge, lambda: world.queue().configure(grow)):
        with pytest.raises(Invalid, match='takes no queues'):
            change()
    world.queue().configure(lambda attributes: attributes | {'colour': 'red'})
    define(world, 'silver', 'gold', limits={'max_shards': 9})
    world.tick(KNOWN_SECONDS)
    world.queue().purge()
    assert places(world) == {('messages', 0, 'gold'), ('claims', 0, 'gold')}
    flavors(world).delete('f')
    world.tick(KNOWN_SECONDS)
    world.queue().purge()
    assert places(world) == {('messages', 0, 'gold'), ('claims', 0, 'gold')}
    assert world.queue().record().placement.limits == {'max_shards': 5}


def test_a_dead_letter_queue_is_made_where_its_queue_is_but_with_no_limits(world):
    define(world, 'silver', claims_pool='gold', limits={'max_shards': 2})
    create(world, _dead_letter_queue='dead', _max_claim_count=1)
    world.queue().messages.post([NewMessage('x')])
    world.queue().claims.release(world.queue().claims.create(1).id)
    world.tick(2)
    assert world.queue().claims.create(1) is None
    assert [message.body for message in world.queue('dead').messages.list().items] == ['x']
    assert places(world, 'dead') == {('messages', 0, 'silver'), ('claims', 0, 'gold')}
    assert world.queue('dead').record().placement.limits == {}


def test_a_limit_never_goes_beyond_an_option_that_was_lowered_later(world):
    define(world, 'silver', limits={'max_message_ttl': 5000})
    create(world)
    options = World(max_message_ttl=4000).options.within(world.queue().record().placement.limits)
    assert (options.max_message_ttl, options.default_message_ttl) == (4000, 3600)
