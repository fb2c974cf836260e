"""The janitor and queues of several shards."""

from janitors import (
    DAY,
    HOUR,
    MINUTE,
    ack,
    bodies,
    claim,
    clean_sweep,
    containers,
    delete,
    generation_of,
    post,
    post_late,
    purge,
    stored,
    sweep,
    swift_of,
)
from world import ACCOUNT, World

from swiftqueue.ids import in_shard, shard_of
from swiftqueue.janitor import Ages
from swiftqueue.names import ENDED, message_name, messages_container, parse_container

SETTLED = Ages().settled


def sharded(shards=3, **options):
    world = World(**options)
    world.queue().create({'_shards': shards})
    world.tick()
    return world


def shards_used(world, kind):
    return {parse_container(container)[3] for container, _ in world.swift.live_objects(ACCOUNT)
            if parse_container(container)[0] == kind}


def test_finished_claims_and_expired_messages_of_every_shard_are_removed():
    world = sharded()
    post(world, *range(6))
    ack(world, claim(world, 6))
    post(world, *range(6), ttl=60)
    assert shards_used(world, 'claims') == shards_used(world, 'messages') == {0, 1, 2}
    world.tick(HOUR)
    tally = clean_sweep(world)
    assert (tally.claims, tally.messages) == (6, 6)
    assert world.swift.live_objects(ACCOUNT) == []


def test_what_is_in_use_stays():
    world = sharded()
    post(world, *range(6))
    claim(world, 3, ttl=3 * HOUR)
    world.tick(MINUTE * 30)
    clean_sweep(world)
    assert len(stored(world, 'messages')) == 6 and len(stored(world, 'claims')) == 3
    assert bodies(world) == list(range(6))


def test_what_was_posted_to_a_generation_that_is_over_is_moved_shard_by_shard():
    world = sharded(cache=False)
    late = post_late(world, *'abcdef')
    assert bodies(world) == []
    assert clean_sweep(world).moved == 6
    assert bodies(world) == list('abcdef')
    generation = generation_of(world)
    for shard in range(3):
        assert [row['name'] for row in world.swift.rows(ACCOUNT, messages_container('jobs', generation, shard))] == [
            message_name(each) for each in late if shard_of(each) == shard]
    world.tick(SETTLED)
    assert clean_sweep(world).containers == 6
    assert len(containers(world, 'messages')) == len(containers(world, 'claims')) == 3


def test_what_was_posted_to_a_queue_of_more_shards_finds_a_place_in_its_successor():
    world = sharded(8, cache=False)
    world.queue(proxy=1).record()
    delete(world)
    world.queue().create({'_shards': 2})
    late = post(world, *range(8), proxy=1)
    assert {shard_of(each) for each in late} == set(range(8))
    for _ in range(2):
        clean_sweep(world)
    assert sorted(bodies(world)) == list(range(8))
    assert [message.body for message in world.queue().messages.get(late)] == [
        number for number, each in enumerate(late) if shard_of(each) < 2]
    assert len(world.queue().messages.get([in_shard(each, 0) for each in late if shard_of(each) >= 2])) == 6


def test_an_ack_reaches_a_message_that_is_yet_to_be_moved_to_another_shard():
    world = sharded(8, cache=False)
    world.queue(proxy=1).record()
    delete(world)
    world.queue().create({'_shards': 2})
    late = post(world, *range(8), proxy=1)
    held = claim(world, 8, proxy=1)
    assert {message.id for message in held.messages} == set(late)
    ack(world, held, proxy=0)
    clean_sweep(world)
    assert bodies(world) == []
    assert stored(world, 'messages') == []


def test_a_delete_reaches_a_message_that_is_yet_to_be_moved_to_another_shard():
    for one_by_one in (False, True):
        world = sharded(8, cache=False)
        world.queue(proxy=1).record()
        delete(world)
        world.queue().create({'_shards': 2})
        late = post(world, *range(8), proxy=1)
        world.tick()
        if one_by_one:
            for each in late:
                world.queue().messages.delete_unclaimed(each)
        else:
            world.queue().messages.delete(late)
        clean_sweep(world)
        assert bodies(world) == []


def test_a_message_that_died_on_its_way_to_another_shard_arrives_once():
    world = sharded(8, cache=False)
    world.queue(proxy=1).record()
    delete(world)
    world.queue().create({'_shards': 2})
    post(world, *range(8), proxy=1)
    world.swift.fail(('DELETE', '\x00messages\x00'), 503, times=24)
    sweep(world)
    world.swift.heal()
    clean_sweep(world)
    assert sorted(bodies(world)) == list(range(8))
    assert len(stored(world, 'messages')) == 8


def test_all_shards_of_a_deleted_queue_are_removed():
    world = sharded()
    post(world, *range(6))
    claim(world, 4)
    purge(world)
    post(world, *range(6))
    delete(world)
    world.tick(DAY)
    clean_sweep(world)
    world.tick(DAY)
    clean_sweep(world)
    assert world.swift.containers(ACCOUNT) == []


def _unmark(world, generation, shard):
    swift_of(world).post_container(messages_container('jobs', generation, shard), {ENDED: ''})


def test_a_shard_that_the_deletion_did_not_know_of_ends_with_the_others():
    for again in (False, True):
        world = sharded()
        generation = generation_of(world)
        post(world, *range(6))
        delete(world)
        _unmark(world, generation, 1)
        world.tick()
        if again:
            world.queue().create({'_shards': 3})
        world.tick(DAY)
        clean_sweep(world)
        assert stored(world, 'messages') == []
        world.tick(DAY)
        clean_sweep(world)
        assert len(containers(world, 'messages')) == (3 if again else 0)


def test_a_shard_without_a_mark_has_one_before_the_others_are_removed():
    world = sharded()
    generation = generation_of(world)
    post(world, *range(6))
    delete(world)
    _unmark(world, generation, 1)
    world.tick(DAY)
    world.swift.fail(('DELETE', messages_container('jobs', generation, 1)), 503, times=99)
    sweep(world)
    world.swift.heal()
    marked = world.swift.request('HEAD', f'/v1/{ACCOUNT}/{messages_container("jobs", generation, 1)}',
                                 {'X-Backend-Allow-Reserved-Names': 'true'})
    assert float(marked.headers[ENDED]) > 0
    for _ in range(2):
        world.tick(DAY)
        clean_sweep(world)
    assert world.swift.containers(ACCOUNT) == []
