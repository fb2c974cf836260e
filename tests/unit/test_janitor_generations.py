"""The janitor and the generations of a queue: purges, deleted queues, and proxies that had not heard of either."""

import pytest
from janitors import (
    DAY,
    HOUR,
    MINUTE,
    a_world,
    ack,
    bodies,
    claim,
    clean_sweep,
    containers,
    delete,
    generation_of,
    is_peek,
    janitor_of,
    meanwhile,
    post,
    post_late,
    purge,
    stored,
    sweep,
    swift_of,
)
from world import ACCOUNT, World

from swiftqueue import ids
from swiftqueue.errors import ReceiptInvalid, Unavailable
from swiftqueue.janitor import Ages
from swiftqueue.names import (
    ENDED,
    Envelope,
    Record,
    claims_container,
    message_name,
    messages_container,
    parse_container,
    queue_container,
)

SETTLED = Ages().settled


# -- generations that a purge ended ----------------------------------------------------------------

def test_what_a_purge_left_is_removed_the_containers_after_a_while():
    world = a_world()
    world.tick(DAY)
    post(world, 'a', 'b', 'c')
    claim(world, 2)
    purge(world)
    assert len(containers(world, 'messages')) == 2
    tally = clean_sweep(world)
    assert (tally.messages, tally.claims, tally.moved, tally.containers) == (3, 2, 0, 0)
    world.tick(SETTLED)
    with world.swift.recording() as calls:
        assert clean_sweep(world).containers == 2
    deleted = [parse_container(call.container)[0] for call in calls if call.method == 'DELETE']
    assert deleted == ['claims', 'messages']
    assert containers(world, 'messages') == [messages_container('jobs', generation_of(world))]
    assert containers(world, 'claims') == [claims_container('jobs', generation_of(world))]
    assert stored(world, 'messages') == stored(world, 'claims') == []


def test_a_delayed_message_that_was_posted_before_the_purge_is_removed_though_its_id_is_later():
    world = a_world()
    post(world, 'a', delay=600)
    purge(world)
    tally = clean_sweep(world)
    assert (tally.messages, tally.moved) == (1, 0)


def test_a_message_posted_to_the_old_generation_after_the_purge_is_moved():
    world = a_world(cache=False)
    post(world, 'before')
    made = post_late(world, 'late')
    assert bodies(world) == []
    tally = clean_sweep(world)
    assert (tally.moved, tally.messages) == (1, 1)
    assert bodies(world) == ['late']
    found = claim(world).messages[0]
    assert (found.id, found.body, found.ttl) == (made[0], 'late', HOUR)


def test_a_moved_message_expires_when_it_would_have():
    world = a_world(cache=False)
    post_late(world, 'late', ttl=300)
    clean_sweep(world)
    world.tick(200)
    assert bodies(world) == ['late']
    world.tick(100)
    assert bodies(world) == []
    world.swift.run_expirer()
    assert not world.swift.rows(ACCOUNT, messages_container('jobs', generation_of(world)))


def test_a_late_message_is_moved_although_it_was_claimed():
    world = a_world(cache=False)
    world.queue(proxy=1).record()
    purge(world, proxy=0)
    post(world, 'late', proxy=1)
    assert claim(world, proxy=1)
    assert clean_sweep(world).claims == 1
    world.tick(3)
    assert claim(world).messages[0].body == 'late'


@pytest.mark.parametrize('swept_before', [False, True])
def test_a_late_message_that_was_acked_through_a_proxy_that_knows_better_does_not_come_back(swept_before):
    """The claim is in the old generation and the ack comes to the new one."""
    world = a_world(cache=False)
    late, = post_late(world, 'late')
    held = claim(world, proxy=1)
    world.tick(3)
    if swept_before:
        clean_sweep(world)
        with pytest.raises(ReceiptInvalid):  # it is available in the new generation already
            ack(world, held)
        ack(world, claim(world))
    else:
        ack(world, held)
        clean_sweep(world)
    world.tick(3)
    assert claim(world) is None
    assert bodies(world) == []


def test_a_late_message_that_has_expired_is_removed():
    world = a_world(cache=False)
    post_late(world, 'late', ttl=60)
    world.tick(2 * MINUTE)
    tally = clean_sweep(world)
    assert (tally.moved, tally.messages) == (0, 1)
    assert stored(world, 'messages') == []


def test_a_late_message_that_has_expired_is_removed_though_a_claim_kept_it():
    """With the generation the claim is over."""
    world = a_world(cache=False)
    world.queue(proxy=1).record()
    purge(world, proxy=0)
    post(world, 'late', proxy=1, ttl=60)
    assert claim(world, proxy=1, ttl=HOUR)
    world.tick(2 * MINUTE)
    assert len(stored(world, 'messages')) == 1
    tally = clean_sweep(world)
    assert (tally.moved, tally.messages) == (0, 1)


def test_a_moved_message_can_be_read_from_its_row_as_before():
    world = a_world(cache=False)
    post_late(world, 'late')
    clean_sweep(world)
    with world.swift.recording() as calls:
        assert bodies(world) == ['late']
    assert not [call for call in calls if call.obj]


def test_a_late_message_whose_body_is_not_in_its_row_is_moved_whole():
    world = a_world(cache=False)
    post_late(world, 'x' * 20000)
    assert clean_sweep(world).moved == 1
    assert bodies(world) == ['x' * 20000]


def test_a_janitor_that_dies_between_storing_and_deleting_is_made_good_by_the_next():
    world = a_world(cache=False)
    post_late(world, 'late')
    world.swift.fail(('DELETE', '\x00messages\x00'), times=10)
    assert sweep(world).errors == 1
    world.swift.heal()
    clean_sweep(world)
    assert bodies(world) == ['late']
    assert len(stored(world, 'messages')) == 1


def test_a_repeated_move_does_not_bring_back_what_was_acked_since():
    world = a_world(cache=False)
    post_late(world, 'late')
    world.swift.fail(('DELETE', '\x00messages\x00'), times=10)
    sweep(world)
    world.swift.heal()
    world.tick(3)
    ack(world, claim(world))
    clean_sweep(world)
    assert stored(world, 'messages') == []


def test_a_repeated_move_does_not_shorten_what_a_claim_has_made_longer():
    world = a_world(cache=False)
    post_late(world, 'late', ttl=300)
    world.swift.fail(('DELETE', '\x00messages\x00'), times=10)
    sweep(world)
    world.swift.heal()
    world.tick(3)
    held = claim(world, ttl=HOUR)
    clean_sweep(world)
    world.tick(HOUR / 2)
    assert stored(world, 'messages') == [message_name(held.messages[0].id)]


def test_two_janitors_at_once_move_a_message_once():
    world = a_world(cache=False)
    post_late(world, *range(5))
    others = []

    def hook(call):
        world.swift.on_commit = None
        others.append(clean_sweep(world))
    world.swift.on_commit = hook
    mine = clean_sweep(world)
    assert others[0].moved > 0 and mine.moved > 0
    assert sorted(bodies(world)) == list(range(5))
    assert len(stored(world, 'messages')) == 5


def test_two_janitors_at_once_remove_everything_without_an_error():
    world = a_world()
    post(world, *range(5))
    claim(world, 3)
    purge(world)
    world.tick(SETTLED)
    results = []

    def hook(call):
        world.swift.on_commit = None
        results.append(clean_sweep(world))
    world.swift.on_commit = hook
    results.append(clean_sweep(world))
    assert len(results) == 2
    assert stored(world, 'messages') == stored(world, 'claims') == []
    assert len(containers(world, 'messages')) == len(containers(world, 'claims')) == 1


def test_two_proxies_that_create_a_queue_at_once_keep_each_others_messages():
    world = World(cache=False)
    def create_too():
        world.queue(proxy=1).create()
        return post(world, 'through the other', proxy=1)
    meanwhile(world, lambda call: call.method == 'PUT' and call.container == queue_container('jobs'), create_too)
    world.queue(proxy=0).create()
    post(world, 'through the one')
    assert len(containers(world, 'messages')) == 2
    clean_sweep(world)
    assert sorted(bodies(world)) == ['through the one', 'through the other']


def test_an_old_dead_letter_in_the_generation_that_lost_a_race_is_kept():
    world = World()
    world.tick()
    lost, now = world.queue(), world.clock()
    lost.create()
    record = lost.read_record()
    letter = Envelope('letter', now - HOUR, 2 * HOUR, 0, now + HOUR)
    lost.messages.store(record, ids.floor(now - HOUR), letter, now - 300)
    world.tick()
    _name_generation(world, 'later', world.clock() - 60)
    assert clean_sweep(world).moved == 1
    assert bodies(world) == ['letter']


def _name_generation(world, generation, purged_at):
    """Create a generation and write a record that names it."""
    swift, now = swift_of(world), world.clock()
    for container in (messages_container('jobs', generation), claims_container('jobs', generation)):
        swift.put_container(container)
    swift.put_container(queue_container('jobs'), Record(generation, purged_at, now, {}).headers(), now)


def test_a_replica_that_missed_the_purge_does_not_make_the_living_generation_seem_over():
    world = a_world(cache=False)
    world.swift.down_containers = {2}
    purge(world)
    post(world, 'living')
    held = claim(world, ttl=HOUR)
    world.swift.down_containers = set()
    world.swift.deliver_rows()
    world.swift.first_replica = 2
    tally = sweep(world)
    assert (tally.moved, tally.claims, tally.messages, tally.errors) == (0, 0, 0, 1)
    world.swift.first_replica = 0
    ack(world, held)


def test_no_generation_is_touched_while_a_replica_of_the_record_is_silent():
    world = a_world()
    post(world, 'a')
    purge(world)
    world.swift.down_containers = {2}
    tally = sweep(world)
    assert (tally.messages, tally.errors) == (0, 1)


def test_a_generation_that_a_purge_has_begun_and_not_yet_named_is_left_alone():
    world = a_world()
    world.tick(DAY)
    world.swift.fail(('POST', '\x00queue\x00'), times=3)
    with pytest.raises(Unavailable):
        world.queue().purge()
    assert len(containers(world, 'messages')) == 2
    world.tick()
    assert clean_sweep(world).containers == 0
    world.tick(SETTLED)
    assert clean_sweep(world).containers == 2


def test_a_generation_that_is_named_while_the_janitor_looks_is_left_alone():
    """It is in the account's listing, and only then does the record name it."""
    world = a_world(cache=False)
    world.swift.fail(('POST', '\x00queue\x00'), times=3)
    with pytest.raises(Unavailable):
        world.queue().purge()
    begun = max(parse_container(name)[2] for name in containers(world, 'messages'))

    def name_and_use():
        world.tick(3)
        _name_generation(world, begun, world.clock())
        post(world, 'new')
        return claim(world, ttl=HOUR)
    results = meanwhile(world, is_peek, name_and_use)
    tally = clean_sweep(world)
    assert results[0].messages[0].body == 'new'
    assert (tally.moved, tally.claims) == (0, 0)
    ack(world, results[0])


def test_a_container_in_which_one_replica_still_lists_something_is_not_deleted():
    world = a_world()
    post(world, 'a')
    world.swift.lagging = {1}
    purge(world)
    world.tick(SETTLED)
    world.swift.first_replica = 0
    old = containers(world, 'messages')
    clean_sweep(world)
    assert containers(world, 'messages') == old
    world.swift.lagging = set()
    world.swift.deliver_rows()
    clean_sweep(world)
    assert len(containers(world, 'messages')) == 1


def test_containers_that_an_earlier_pass_removed_are_not_counted_again():
    world = a_world()
    purge(world)
    world.tick(SETTLED)
    world.swift.fail(lambda call: call.method == 'DELETE' and '\x00messages' in call.path, times=3)
    first = sweep(world)
    assert (first.containers, first.errors) == (1, 1)
    assert clean_sweep(world).containers == 1


# -- queues that were deleted ----------------------------------------------------------------------

def test_everything_of_a_deleted_queue_goes():
    world = a_world()
    post(world, 'a', 'b')
    claim(world, 1)
    purge(world)
    post(world, 'c')
    delete(world)
    world.tick(SETTLED)
    tally = clean_sweep(world)
    assert (tally.messages, tally.claims, tally.containers) == (3, 1, 4)
    assert world.swift.containers(ACCOUNT) == []
    assert world.swift.live_objects(ACCOUNT) == []


def test_a_deleted_queue_is_left_alone_for_a_minute():
    world = a_world()
    post(world, 'a')
    delete(world)
    world.tick(59)
    assert clean_sweep(world).messages == 0
    world.tick(2)
    assert clean_sweep(world).messages == 1


def test_a_post_that_came_while_the_queue_was_deleted_is_deleted_with_it():
    world = a_world(cache=False)
    world.queue(proxy=1).record()
    delete(world)
    post(world, 'late', proxy=1)
    world.tick(2 * MINUTE)
    assert clean_sweep(world).messages == 1
    assert stored(world, 'messages') == []


def test_a_queue_created_again_does_not_have_the_messages_of_the_old_one():
    world = a_world()
    post(world, 'old')
    delete(world)
    world.queue().create()
    post(world, 'new')
    clean_sweep(world)
    assert bodies(world) == ['new']
    world.tick(SETTLED)
    clean_sweep(world)
    assert len(containers(world, 'messages')) == len(containers(world, 'claims')) == 1


def test_the_mark_of_a_deleted_queue_is_seen_though_one_replica_missed_it():
    world = a_world()
    post(world, 'old')
    meanwhile(world, lambda call: call.method == 'POST', lambda: world.swift.down_containers.add(2))
    meanwhile(world, lambda call: call.method == 'DELETE', world.swift.down_containers.clear)
    delete(world)
    world.queue().create()
    world.swift.first_replica = 2
    assert clean_sweep(world).moved == 0
    assert bodies(world) == []


def test_a_message_posted_through_a_late_proxy_after_the_queue_was_created_again_is_moved():
    world = a_world(cache=False)
    post(world, 'old')
    world.queue(proxy=1).record()
    delete(world)
    world.queue(proxy=0).create()
    post(world, 'late', proxy=1)
    assert clean_sweep(world).moved == 1
    assert bodies(world) == ['late']


def _lose_record(world):
    world.tick()
    response = swift_of(world).request('DELETE', queue_container('jobs'))
    assert response.status == 204


def test_without_a_record_and_without_a_mark_nothing_is_removed_and_the_operator_is_told_once(caplog):
    world = a_world()
    post(world, 'a')
    claim(world)
    _lose_record(world)
    world.tick(30 * MINUTE)
    cleaner = janitor_of(world)
    for _ in range(2):
        tally = cleaner.sweep([(ACCOUNT, 'jobs')], thorough=True)
        assert (tally.messages, tally.claims, tally.containers, tally.errors) == (0, 0, 0, 0)
    assert len(stored(world, 'messages')) == len(stored(world, 'claims')) == 1
    assert caplog.text.count('orphan') == 1


def test_empty_containers_that_no_queue_knows_of_go_after_a_day():
    world = a_world()
    _lose_record(world)
    world.tick(DAY - MINUTE)
    assert clean_sweep(world).containers == 0
    world.tick(2 * MINUTE)
    assert clean_sweep(world).containers == 2
    assert world.swift.containers(ACCOUNT) == []


def test_a_record_that_only_one_replica_has_keeps_everything():
    world = a_world()
    post(world, 'a')
    swift_of(world).post_container(messages_container('jobs', generation_of(world)),
                                   {ENDED: f'{world.clock():.5f}'})
    world.swift.down_containers = {1}
    _lose_record(world)
    world.swift.down_containers = set()
    world.tick(HOUR / 2)
    tally = sweep(world)
    assert (tally.messages, tally.errors) == (0, 1)




def test_a_queue_that_was_created_again_for_want_of_its_record_loses_nothing():
    """A HEAD of the record is answered 404 while it is there, as servers that are down can make Swift do."""
    world = a_world()
    post(world, 'old')
    world.tick(10 * MINUTE)
    world.swift.fail(('HEAD', '\x00queue\x00'), 404, times=1)
    assert world.queue().read_record() is None
    world.swift.fail(('HEAD', '\x00queue\x00'), 404, times=1)
    world.queue().create()
    world.tick(10 * MINUTE)
    assert clean_sweep(world).moved == 1
    assert [message.body for message in world.queue().messages.list().items] == ['old']
