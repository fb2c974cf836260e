"""Queues that the janitor deletes when nobody has used them for as long as their owner lets them be idle."""

import pytest
from janitors import DAY, ModelReplicas, clean_sweep, containers, delete, meanwhile, stored, sweep
from world import World

from swiftqueue.errors import Invalid, QueueNotFound
from swiftqueue.janitor import Ages
from swiftqueue.model import NewMessage
from swiftqueue.named import Selection
from swiftqueue.names import NUL, queue_container

SPAN = 400
RECORD, MESSAGES = queue_container('jobs'), f'{NUL}messages{NUL}jobs'
SETTLED = Ages().settled  # seconds


@pytest.fixture
def world():
    world = World()
    world.queue().create({'_idle_expiry': SPAN})
    world.tick()
    yield world
    world.swift.assert_no_leaks()


def is_there(world):
    clean_sweep(world)
    return world.queue(proxy=1).read_record() is not None


def post(world, ttl=3600, **fields):
    world.tick()
    posted, = world.queue().messages.post([NewMessage('x', ttl, **fields)])
    return posted


USES = {
    'post': lambda queue: queue.messages.delete([queue.messages.post([NewMessage('x')])[0].id]),
    'list': lambda queue: queue.messages.list(),
    'claim': lambda queue: queue.claims.create(1),
    'wait': lambda queue: queue.claims.create(1, wait=20),
    'pop': lambda queue: queue.claims.pop(1),
    'receive': lambda queue: queue.single_claims.create_each(1, 60),
    'stats': lambda queue: queue.stats(),
    'send named': lambda queue: queue.named.list(Selection(limit=1)),
    'configure': lambda queue: queue.configure(lambda attributes: attributes | {'a': 1}),
    'purge': lambda queue: queue.purge(),
}


def test_a_queue_that_nobody_uses_is_deleted_and_its_containers_follow(world):
    world.tick(SPAN)
    assert is_there(world)
    world.tick(10)
    assert not is_there(world)
    world.tick(SETTLED + 1)
    clean_sweep(world)
    assert containers(world, 'queue') == []
    assert containers(world, 'messages')
    world.tick(DAY)
    clean_sweep(world)
    assert containers(world, 'messages') == containers(world, 'claims') == []


@pytest.mark.parametrize('use', USES)
def test_every_use_keeps_it_for_as_long_again(world, use):
    world.tick(0.9 * SPAN)
    USES[use](world.queue())
    world.tick(0.9 * SPAN)
    assert is_there(world)
    world.tick(DAY)  # by then even a message's claims are gone
    for _ in range(3):
        clean_sweep(world)
        world.tick(SPAN)
    assert not is_there(world)


def test_without_the_attribute_it_is_kept_for_ever():
    world = World()
    world.queue().create({'other': 1})
    world.tick(100 * DAY)
    assert is_there(world)


def test_no_queue_with_a_message_is_deleted(world):
    post(world, ttl=10 * SPAN)
    for _ in range(9):
        world.tick(SPAN)
        assert is_there(world)
    world.tick(2 * SPAN)
    clean_sweep(world)  # which removes what is left of the message
    assert not is_there(world)


@pytest.mark.parametrize('state', ['delayed', 'claimed'])
def test_nor_one_whose_message_nobody_can_see(world, state):
    post(world, ttl=10 * SPAN, delay=800 if state == 'delayed' else 0)
    if state == 'claimed':
        assert world.queue().claims.create(1, 10 * SPAN, 60)
    world.tick(2 * SPAN)
    assert is_there(world)


@pytest.mark.parametrize('moment', [('GET', ''), ('GET', MESSAGES), ('POST', RECORD)], ids=['first', 'middle', 'last'])
def test_a_message_that_is_posted_while_the_janitor_looks_is_not_lost(world, moment):
    world.tick(2 * SPAN)
    posted = meanwhile(world, lambda call: (call.method, call.container.rpartition(NUL + '1')[0] or call.container)
                       == moment, lambda: post(world).error)
    assert is_there(world) and posted == [None]
    message, = world.queue(proxy=1).messages.list().items
    assert message.body == 'x'


def test_nor_one_that_is_posted_while_the_janitor_is_faster(world):
    """The mark is there first, and the use, which had not seen it, takes it away."""
    world.tick(2 * SPAN)
    swept = meanwhile(world, lambda call: (call.method, call.container) == ('POST', RECORD), lambda: sweep(world))
    assert post(world).error is None and swept[0].errors == 0
    assert is_there(world)
    assert len(world.queue(proxy=1).messages.list().items) == 1


def test_a_change_of_attributes_counts_although_the_janitor_is_faster(world):
    world.tick(2 * SPAN)
    swept = meanwhile(world, lambda call: (call.method, call.container) == ('POST', RECORD), lambda: sweep(world))
    world.queue().configure(lambda attributes: attributes | {'colour': 'red'})
    assert swept[0].errors == 0 and is_there(world)


@pytest.mark.parametrize('when', ['before', 'as the record goes'])
def test_a_queue_that_is_created_again_stays(world, when):
    world.tick(2 * SPAN)
    clean_sweep(world)

    def create():
        world.tick()
        return world.queue().create({'colour': 'red'})
    world.tick(SETTLED + 1)
    created = [create()] if when == 'before' else meanwhile(
        world, lambda call: (call.method, call.container) == ('DELETE', RECORD), create)
    clean_sweep(world)
    assert created == [True]
    assert world.queue(proxy=1).read_record().attributes == {'colour': 'red'}
    world.tick(2 * SPAN)
    assert is_there(world)


def test_a_queue_that_was_given_up_can_be_deleted_and_leaves_the_list(world):
    for end in (lambda: world.queue().delete(), lambda: (world.tick(SETTLED + 1), clean_sweep(world))):
        world.queue().create({'_idle_expiry': SPAN})
        world.tick(2 * SPAN)
        assert not is_there(world)
        end()
        assert world.queue().account.queues().items == []
        world.tick()


def test_who_posts_right_behind_the_janitor_is_told_and_nothing_is_stored(world):
    world.queue(proxy=1).record()
    world.tick(1.5 * SPAN)
    world.queue(proxy=1).read_record()  # which is two seconds old at most when the post reads it
    assert not is_there(world)
    with pytest.raises(QueueNotFound):
        if error := world.queue(proxy=1).messages.post([NewMessage('x')])[0].error:
            raise error
    assert stored(world, 'messages') == []


def test_a_message_that_lands_late_is_moved_to_the_queue_that_is_created_again(world):
    world.queue().messages.list()
    record = world.queue().record()
    world.tick(1.5 * SPAN)
    assert not is_there(world)
    late = world.queue()
    message_id, envelope = late.messages._new(NewMessage('late', 3600), record, '', 0)
    late.messages.store(record, message_id, envelope, envelope.created_at)
    world.tick()
    world.queue().create()
    clean_sweep(world)
    assert [message.body for message in world.queue(proxy=1).messages.list().items] == ['late']


def test_a_replica_that_does_not_answer_keeps_it(world):
    world.tick(2 * SPAN)
    silent = ModelReplicas(world.swift, lambda verb, index: index == 2)
    assert sweep(world, replicas=silent).errors == 1
    assert world.queue().read_record()


def test_it_says_that_it_is_used_four_times_a_span_and_not_more_often(world):
    def cost():
        world.tick()
        with world.swift.recording() as calls:
            world.queue().messages.post([NewMessage('x') for _ in range(5)])
        return sorted(call.method for call in calls if call.method in ('POST', 'PUT'))
    assert cost() == ['PUT'] * 5
    world.tick(SPAN / 4)
    assert cost() == ['POST'] + ['PUT'] * 5
    assert cost() == ['PUT'] * 5


def test_a_proxy_with_a_fast_clock_does_not_keep_the_owner_from_deleting_it(world):
    fast, now = world.engines[1], world.clock
    fast.clock = lambda: now() + 3
    world.tick(SPAN)
    world.queue(proxy=1).messages.list()
    delete(world)
    assert world.queue().read_record() is None


@pytest.mark.parametrize('value', [0, 119, -1, '400', True, 2 ** 31])
def test_a_span_that_is_none_is_refused(world, value):
    with pytest.raises(Invalid):
        world.queue('other').create({'_idle_expiry': value})
