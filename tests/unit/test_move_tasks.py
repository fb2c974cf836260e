"""Move tasks: nothing is lost or doubled, whoever dies when, and somebody always goes on."""

from collections import Counter
from itertools import count

import eventlet
import pytest
from greenlet import GreenletExit
from janitors import ACCOUNT, DAY, clean_sweep, stored
from world import World

from swiftqueue.errors import MoveTaskNotFound, MoveTaskOver, MoveTaskRunning, NoDeadLetterQueue, QueueNotFound
from swiftqueue.model import NO_DESTINATION, NewMessage
from swiftqueue.mover import LEASE
from swiftqueue.names import parse_container

BODIES = ['a', 'b', 'c']


class Died(GreenletExit):
    """A process is no more: nothing in it catches this."""


class Scene:
    """Dead letters of two queues, which two proxies serve. ``subrequests`` of 1: they come in one order."""

    def __init__(self, bodies=BODIES, **options):
        self.world = World(**{'subrequests': 1, 'min_claim_ttl': 1} | options)
        self.tick = self.world.tick
        self.world.queue('dead').create()
        for name in ('jobs', 'more'):
            self.world.queue(name).create({'_max_claim_count': 1, '_dead_letter_queue': 'dead'})
        for number, body in enumerate(bodies):
            self.post(body, 'jobs' if number % 2 else 'more')
        for name in ('jobs', 'more'):
            self.world.queue(name).claims.create(20, 1)
            self.tick(2)
            assert self.world.queue(name).claims.create(20) is None  # that has buried them
        self.tick(2)
        assert self.count('dead') == len(bodies)

    def post(self, body, name):
        self.tick()
        posted, = self.world.queue(name).messages.post([NewMessage(body)])
        assert posted.error is None

    def tasks(self, proxy=0):
        return self.world.queue('dead', proxy).move_tasks

    def count(self, name):
        return self.world.queue(name).stats().total

    def run(self):
        """Until nobody is at work, in no process."""
        while any(engine.movers for engine in self.world.engines):
            eventlet.sleep(0)

    def settle(self):
        """Until a task has come to its end; the second proxy is asked again and again."""
        for _ in range(5):
            self.tick(LEASE + 1)
            task, = self.tasks(1).list()
            self.run()
            if task.status not in ('running', 'cancelling'):
                return task
        raise AssertionError(task)

    def drain(self, *names, proxy=1):
        """Claim and delete all there is; how often each body was handed out."""
        found = Counter()
        for name in names:
            for _ in range(3):
                self.tick(2)
                claim = self.world.queue(name, proxy).claims.create(20)
                for message in claim.messages if claim else ():
                    self.tick()
                    self.world.queue(name, proxy).claims.ack(message.id, claim.id)
                    found[message.body] += 1
        return found


def test_a_task_moves_each_message_to_its_source():
    scene = Scene()
    task = scene.tasks().start()
    assert (task.status, task.to_move, task.moved) == ('running', 3, 0)
    scene.run()
    task, = scene.tasks().list()
    assert (task.status, task.moved, task.failure) == ('completed', 3, '')
    assert scene.drain('jobs') == Counter('b')
    assert scene.drain('more') == Counter('ac')
    assert scene.count('dead') == 0


# -- those who die ---------------------------------------------------------------------------------

@pytest.mark.parametrize('after_work', [False, True], ids=['before', 'after'])
@pytest.mark.parametrize('acked', [False, True], ids=['', 'acked meanwhile'])
def test_a_mover_may_die_at_any_request(after_work, acked):
    for number in count():
        scene = Scene()
        scene.tasks().start()
        fault = scene.world.swift.fail(lambda call: True, Died(), skip=number, after_work=after_work)
        scene.run()
        scene.world.swift.heal()
        if not fault.hits:
            break
        found = scene.drain('jobs', 'more') if acked else Counter()
        task = scene.settle()
        assert task.status == 'completed', number
        scene.tick(LEASE + 61)
        assert found + scene.drain('jobs', 'more', 'dead', 'jobs', 'more') == Counter(BODIES), number
        assert [scene.count(name) for name in ('jobs', 'more', 'dead')] == [0, 0, 0], number
    assert number > 15


@pytest.mark.parametrize('after_work', [False, True], ids=['before', 'after'])
def test_who_claims_finishes_what_a_dead_mover_began(after_work):
    """Nobody asks for the task any more."""
    for number in count():
        scene = Scene()
        scene.tasks().start()
        fault = scene.world.swift.fail(lambda call: True, Died(), skip=number, after_work=after_work)
        scene.run()
        scene.world.swift.heal()
        if not fault.hits:
            break
        scene.world.engines[1].movers.add((ACCOUNT, 'dead'))  # it has other things to do
        found = Counter()
        for _ in range(3):
            scene.tick(61)
            found += scene.drain('dead', 'jobs', 'more')
        assert found == Counter(BODIES), number


@pytest.mark.parametrize('fault', [{'status': 503}, {'status': 'timeout'}, {'status': 503, 'after_work': True},
                                   {'status': ConnectionError()}], ids=['503', 'timeout', 'reply lost', 'exception'])
def test_any_request_of_a_mover_may_fail(fault):
    for number in count():
        scene = Scene()
        scene.tasks().start()
        hit = scene.world.swift.fail(lambda call: True, skip=number, times=4, **fault)
        scene.run()
        scene.world.swift.heal()
        task = scene.settle()
        assert task.status == 'completed', number
        scene.tick(LEASE + 61)
        assert scene.drain('jobs', 'more', 'dead') == Counter(BODIES), number
        if not hit.hits:
            break


@pytest.mark.parametrize('cache', [True, False])
def test_two_at_work_move_each_message_once(cache):
    bodies = [str(number) for number in range(30)]
    scene = Scene(bodies, subrequests=3, cache=cache)
    scene.tasks().start(rate=10)
    eventlet.sleep(0)
    scene.world.clock.advance(LEASE + 1)  # as if the first one had been frozen so long
    assert scene.tasks(1).list()[0].status == 'running'
    assert all(engine.movers for engine in scene.world.engines)
    while all(engine.movers for engine in scene.world.engines):
        eventlet.sleep(0)
    assert scene.count('dead') > 0  # one of them has learned of the other, and has stopped
    scene.run()
    task = scene.settle()
    assert task.status == 'completed'
    assert scene.drain('jobs', 'more', 'jobs', 'more', 'dead') == Counter(bodies)


def test_any_use_of_the_queue_brings_a_task_back_to_life():
    scene = Scene()
    scene.tasks().start()
    scene.world.swift.fail(lambda call: call.method == 'PUT', Died())
    scene.run()
    scene.world.swift.heal()
    scene.tick(LEASE + 1)
    scene.world.queue('dead', proxy=1).stats()
    eventlet.sleep(0)
    scene.run()
    task, = scene.tasks().list()
    assert (task.status, task.moved) == ('completed', 3)
    with scene.world.swift.recording() as calls:  # and the record says no more that there is a task
        scene.tick(100)
        scene.world.queue('dead', proxy=1).record()
        eventlet.sleep(0)
    assert [call.method for call in calls] == ['HEAD']


def test_who_works_is_left_alone():
    scene = Scene(range(10))  # work for as long as this takes
    task = scene.tasks().start(rate=1)
    for proxy in (0, 1):
        assert scene.tasks(proxy).list()[0].status == 'running'
        scene.world.queue('dead', proxy).stats()
    eventlet.sleep(0)
    assert not scene.world.engines[1].movers
    with pytest.raises(MoveTaskRunning):
        scene.tasks(1).start()
    scene.run()
    assert scene.tasks().list()[0].id == task.id


# -- cancelling ------------------------------------------------------------------------------------

def test_a_task_whose_mover_died_can_be_cancelled():
    scene = Scene()
    task = scene.tasks().start()
    scene.world.swift.fail(lambda call: call.method == 'PUT', Died())
    scene.run()
    scene.world.swift.heal()
    assert scene.tasks(1).cancel(task.id).status == 'cancelling'
    assert scene.tasks(1).list()[0].status == 'cancelling'
    assert scene.settle().status in ('cancelling', 'cancelled')
    assert scene.tasks().list()[0].status == 'cancelled'
    with pytest.raises(MoveTaskOver):
        scene.tasks().cancel(task.id)
    with pytest.raises(MoveTaskNotFound):
        scene.tasks().cancel(scene.world.engines[0].ids.new())
    scene.tasks().start()
    scene.run()
    assert scene.drain('jobs', 'more', 'dead') == Counter(BODIES)


# -- what is moved, and how fast -------------------------------------------------------------------

def test_the_rate():
    scene = Scene([str(number) for number in range(20)], subrequests=10)
    scene.tasks().start(rate=4)
    began = scene.world.clock()
    scene.run()
    assert scene.tasks().list()[0].moved == 20
    assert 20 / 4 - 1 <= scene.world.clock() - began < 20 / 4 + 2


def test_what_somebody_holds_or_sends_later_stays():
    scene = Scene()
    held = scene.world.queue('dead').claims.create(1)
    scene.tick()
    assert scene.tasks().start().to_move == 2
    scene.tick(1)
    scene.post('new', 'dead')
    scene.run()
    assert scene.tasks().list()[0].status == 'completed'
    scene.world.queue('dead').claims.release(held.id)
    assert scene.drain('dead') == Counter([held.messages[0].body, 'new'])


def test_a_message_that_dies_again_is_not_moved_twice():
    scene = Scene([str(number) for number in range(8)])
    scene.tasks().start(rate=1)
    for _ in range(4):
        eventlet.sleep(0)
    assert scene.world.engines[0].movers
    again = scene.world.queue('more').claims.create(20, 1)
    scene.tick(2)
    scene.world.queue('more').claims.create(20)  # that buries them
    scene.run()
    task, = scene.tasks().list()
    assert (task.status, task.moved) == ('completed', 8)
    assert scene.drain('dead') == Counter(message.body for message in again.messages)


def test_a_purge_ends_a_task():
    scene = Scene([str(number) for number in range(8)])
    scene.tasks().start(rate=1)
    for _ in range(3):
        eventlet.sleep(0)
    scene.tick(1)
    scene.world.queue('dead', proxy=1).purge()
    scene.tick(3)
    scene.run()
    assert scene.tasks().list() == []
    assert scene.drain('dead') == Counter()
    assert 0 < sum(scene.drain('jobs', 'more').values()) < 8
    scene.tick(LEASE + 1)
    scene.post('x', 'dead')
    scene.tick(1)
    scene.tasks(1).start('more')
    scene.run()
    assert scene.tasks().list()[0].moved == 1


def test_a_destination_that_goes_leaves_messages_where_they_are():
    scene = Scene()
    scene.world.queue('third').create()
    scene.tasks().start('third')
    scene.world.swift.fail(lambda call: bool(call.method == 'PUT' and call.obj and parse_container(
        call.container)[1] == 'third'), 404, times=99)
    scene.tick()
    scene.world.queue('third', proxy=1).delete()
    scene.run()
    task, = scene.tasks().list()
    assert (task.status, task.failure, task.moved) == ('failed', NO_DESTINATION, 0)
    scene.world.swift.heal()
    assert scene.drain('dead') == Counter(BODIES)


def test_what_starts_no_task():
    scene = Scene([])
    with pytest.raises(NoDeadLetterQueue):
        scene.world.queue('jobs').move_tasks.start()
    with pytest.raises(QueueNotFound):
        scene.tasks().start('none')
    with pytest.raises(QueueNotFound):
        scene.world.queue('none').move_tasks.start()
    assert scene.tasks().list() == []


def test_of_two_that_start_at_once_one_wins():
    scene = Scene()
    refused = []

    def also(call):
        if call.method == 'PUT' and 'move' in call.obj and not refused:
            refused.append(None)
            scene.tasks(1).start(rate=1)
        return False
    scene.world.swift.fail(also)
    with pytest.raises(MoveTaskRunning):
        scene.tasks(0).start(rate=1)
    assert refused
    scene.run()
    assert len(scene.tasks().list(10)) == 1


# -- what is left behind ---------------------------------------------------------------------------

def test_the_janitor_leaves_tasks_alone_until_they_are_old():
    scene = Scene()
    task = scene.tasks().start()
    scene.run()
    scene.tick(DAY)
    clean_sweep(scene.world, 'dead', 'jobs', 'more')
    assert [each.id for each in scene.tasks().list(10)] == [task.id]
    assert len(stored(scene.world, 'claims', 'dead')) == 1  # those of the messages are gone
    scene.tick(15 * DAY)
    assert scene.tasks().list() == []
    scene.post('x', 'dead')
    scene.tick(1)
    scene.tasks().start('jobs')
    scene.run()
    assert scene.tasks().list()[0].moved == 1
    scene.world.queue('dead').delete()
    for _ in range(2):
        scene.tick(DAY)
        clean_sweep(scene.world, 'dead')
    assert stored(scene.world, 'claims', 'dead') == []
