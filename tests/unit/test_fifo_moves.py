"""Move tasks of FIFO queues: nothing is lost or doubled, and each group stays in order, whoever dies when."""

from itertools import count

import eventlet
import pytest
from greenlet import GreenletExit
from janitors import ACCOUNT
from world import World

from swiftqueue.errors import Invalid, QueueNotFound
from swiftqueue.fifo import WINDOW
from swiftqueue.ids import sequence_number
from swiftqueue.model import NO_DESTINATION, NO_SOURCE, NewMessage
from swiftqueue.mover import LEASE

BODIES = ['a1', 'a2', 'b1', 'a3']
RETRY = 61  # seconds after which a move that was left half-done is tried anew


class Died(GreenletExit):
    """A process is no more: nothing in it catches this."""


class Scene:
    """Dead letters of the FIFO queue ``jobs``, which two proxies serve. The first letter of a body is its group.

    ``subrequests`` of 1: they come in one order.
    """

    def __init__(self, bodies=BODIES, **options):
        self.world = World(**{'subrequests': 1, 'min_claim_ttl': 1} | options)
        self.tick = self.world.tick
        self.world.queue('dead').create({'_fifo': True})
        self.world.queue('jobs').create({'_fifo': True, '_max_claim_count': 1, '_dead_letter_queue': 'dead'})
        for body in bodies:
            self.post(body)
        self.kill(len(bodies))
        self.tick(2)

    def post(self, body, name='jobs', **fields):
        """The message's id."""
        self.tick()
        posted, = self.world.queue(name).messages.post([NewMessage(body, group=body[0], deduplication=body, **fields)])
        assert posted.error is None
        return posted.id

    def kill(self, number):
        """Have what is in the queue die, until there are so many dead letters."""
        for _ in range(9):
            if self.count('dead') == number:
                return
            self.world.queue('jobs').single_claims.create_each(10, 1)
            self.tick(2)
        raise AssertionError(self.count('dead'))

    def tasks(self, proxy=0):
        return self.world.queue('dead', proxy).move_tasks

    def count(self, name):
        return self.world.queue(name).stats().total

    def run(self, *proxies):
        """Until nobody is at work in these, by default in all."""
        while any(self.world.engines[proxy].movers for proxy in proxies or (0, 1)):
            eventlet.sleep(0)

    def move(self, *given, **options):
        """What became of a task."""
        self.tasks().start(*given, **options)
        self.run()
        return self.tasks().list()[0]

    def settle(self):
        """Until a task has come to its end; the second proxy is asked again and again."""
        for _ in range(5):
            self.tick(LEASE + 1)
            task, = self.tasks(1).list()
            self.run(1)
            if task.status != 'running':
                return task
        raise AssertionError(task)

    def receive(self, name, limit=10, proxy=1):
        self.tick(2)
        return self.world.queue(name, proxy).single_claims.create_each(limit, 30)

    def drain(self, name, proxy=1):
        """Receive and delete all there is; the bodies in their order."""
        found = []
        for _ in range(9):
            for claim in self.receive(name, proxy=proxy):
                assert self.world.queue(name, proxy).single_claims.ack_one(claim.id)
                found.append(claim.messages[0].body)
        return found


def of_group(found, group):
    return [body for body in found if body[0] == group]


def assert_in_order(found, bodies=BODIES):
    """All of them once, and each group in its order."""
    assert sorted(found) == sorted(bodies)
    for group in {body[0] for body in bodies}:
        assert of_group(found, group) == of_group(bodies, group)


def test_messages_go_back_in_order_and_are_new_ones():
    scene = Scene()
    old = [claim.messages[0].id for claim in scene.receive('dead')]
    scene.tick(31)
    fresh = scene.post('a4')
    task = scene.move()
    assert (task.status, task.to_move, task.moved) == ('completed', 4, 4)
    claims = scene.receive('jobs')
    assert_in_order([claim.messages[0].body for claim in claims], ['a4', *BODIES])
    for claim in claims:
        message, = claim.messages
        assert (message.group, message.deduplication) == (message.body[0], message.body)
        if message.body != 'a4':
            assert (message.deliveries, message.deliveries_before, message.source) == (1, 0, '')
            assert message.id not in old and sequence_number(message.id) > sequence_number(fresh)
    assert scene.count('dead') == 0


def test_they_go_where_they_are_sent():
    scene = Scene()
    scene.world.queue('third').create({'_fifo': True})
    scene.post('c1', 'dead')
    scene.tick(1)
    assert scene.move('third').moved == 5
    assert_in_order(scene.drain('third'), [*BODIES, 'c1'])


def test_more_than_a_page():
    bodies = [f'{group}{number}' for number in range(60) for group in 'abcd']
    scene = Scene([])
    for group in 'abcd':
        scene.world.queue('dead').messages.post([NewMessage(body, group=group, deduplication=body)
                                                 for body in of_group(bodies, group)])
    scene.tick(1)
    assert scene.move('jobs').moved == 240
    found = []
    while claims := scene.receive('jobs'):
        for claim in claims:
            found.append(claim.messages[0].body)
            scene.world.queue('jobs', 1).single_claims.ack_one(claim.id)
    assert_in_order(found, bodies)


def test_the_rate():
    scene = Scene([f'a{number}' for number in range(8)], subrequests=10)
    began = scene.world.clock()
    assert scene.move(rate=2).moved == 8
    assert 8 / 2 - 1 <= scene.world.clock() - began < 8 / 2 + 3


# -- deduplication ---------------------------------------------------------------------------------

def test_a_message_is_moved_although_its_deduplication_id_was_seen():
    """Within the five minutes of its first post; and whoever repeats that post is answered as before."""
    scene = Scene([])
    first = scene.post('a1')
    scene.kill(1)
    scene.tick(1)
    assert scene.move().moved == 1
    assert scene.post('a1') == first
    assert scene.drain('jobs') == ['a1']
    scene.tick(WINDOW)
    again = scene.post('a1')  # the move did not begin the five minutes anew
    assert again != first
    scene.kill(1)
    scene.tick(1)
    scene.move()
    assert scene.drain('jobs') == ['a1']


def test_two_messages_of_one_deduplication_id_are_moved():
    scene = Scene([])
    for _ in range(2):
        scene.post('a1')
        scene.tick(WINDOW + 1)
    scene.kill(2)
    scene.tick(1)
    assert scene.move().moved == 2
    assert scene.drain('jobs') == ['a1', 'a1']


# -- groups in flight, and messages that stay ------------------------------------------------------

@pytest.mark.parametrize('given_back', [False, True])
def test_of_a_group_in_flight_nothing_is_moved(given_back):
    scene = Scene()
    held = scene.receive('dead', 2)
    assert [claim.messages[0].body for claim in held] == ['a1', 'a2']
    if given_back:  # its mate keeps it
        scene.world.queue('dead').single_claims.renew_one(held[0].id, 0)
    assert scene.move().moved == 1
    assert scene.drain('jobs') == ['b1']
    scene.tick(31)
    assert scene.move().moved == 3
    assert scene.drain('jobs') == ['a1', 'a2', 'a3']


def test_a_consumer_who_takes_a_message_meanwhile_keeps_its_group():
    scene = Scene()
    held = []

    def take(call):
        if 'move' not in call.path and call.method == 'PUT' and '\x00claims\x00dead' in call.path and not held:
            held.append(None)
            held[:] = scene.receive('dead')
        return False
    scene.world.swift.fail(take)
    scene.move()
    scene.world.swift.heal()
    taken = [claim.messages[0].body for claim in held]
    assert taken
    for group in 'ab':
        mine, moved = of_group(taken, group), of_group(scene.drain('jobs'), group)
        assert not (mine and moved)
    scene.tick(31)
    scene.move()
    assert scene.count('dead') == 0


def test_a_message_with_nowhere_to_go_keeps_its_group():
    scene = Scene([])
    scene.post('a0', 'dead')
    for body in BODIES:
        scene.post(body)
    scene.kill(5)
    scene.tick(2)
    task = scene.move()
    assert (task.status, task.failure, task.moved) == ('failed', NO_SOURCE, 1)
    assert scene.drain('jobs') == ['b1']
    assert scene.drain('dead') == ['a0', 'a1', 'a2', 'a3']


def test_an_expired_message_keeps_nothing_back():
    scene = Scene([])
    for number, ttl in enumerate((60, 600)):
        scene.post(f'a{number}', 'dead', ttl=ttl)
    scene.tick(70)
    assert scene.move('jobs').moved == 1
    assert scene.drain('jobs') == ['a1']


def test_only_queues_of_one_kind():
    scene = Scene(['a1'])
    scene.world.queue('plain').create({'_max_claim_count': 1, '_dead_letter_queue': 'other'})
    scene.world.queue('other').create()
    for source, destination in (('dead', 'plain'), ('other', 'jobs')):
        with pytest.raises(Invalid):
            scene.world.queue(source).move_tasks.start(destination)
    with pytest.raises(QueueNotFound):
        scene.tasks().start('none')
    scene.world.queue('jobs').delete()
    scene.tick(3)
    scene.world.queue('jobs').create({'_max_claim_count': 1, '_dead_letter_queue': 'dead'})
    task = scene.move()
    assert (task.status, task.failure) == ('failed', NO_DESTINATION)
    assert scene.drain('dead') == ['a1']


def test_a_dead_letter_queue_that_is_missing_is_made_of_the_same_kind():
    scene = Scene([])
    scene.world.queue('dead').delete()
    scene.tick(3)
    for body in BODIES:
        scene.post(body)
    for _ in range(9):
        scene.world.queue('jobs').single_claims.create_each(10, 1)
        scene.tick(2)
    assert scene.world.queue('dead').fifo
    assert_in_order(scene.drain('dead'))


# -- those who die ---------------------------------------------------------------------------------

class Deadly:
    """What asks container servers, for one proxy, whose process dies after a call."""

    def __init__(self, majorities, strikes):
        self.majorities, self.strikes = majorities, strikes

    def __getattr__(self, name):
        def call(*args, **options):
            answer = getattr(self.majorities, name)(*args, **options)
            if self.strikes():
                raise Died
            return answer
        return call


def dying(number, bodies):
    """A scene whose mover died after its request of that number, and whether it came so far.

    Requests are those to Swift and those to container servers.
    """
    scene, seen = Scene(bodies), count()

    def strikes(_=None):
        return next(seen) == number
    scene.tasks().start()
    scene.world.swift.fail(strikes, Died(), after_work=True)
    engine = scene.world.engines[0]
    engine.majorities, sound = Deadly(engine.majorities, strikes), engine.majorities
    scene.run()
    engine.majorities = sound
    scene.world.swift.heal()
    return scene, next(seen) > number


@pytest.mark.parametrize('consumers', [False, True], ids=['', 'with consumers'])
def test_a_mover_may_die_after_any_request(consumers):
    bodies = ['a1', 'a2', 'b1']
    for number in count():
        scene, died = dying(number, bodies)
        if not died:
            break
        scene.post('a9')
        found = scene.drain('jobs') if consumers else []
        assert scene.settle().status == 'completed', number
        found += scene.drain('jobs')
        assert sorted(found) == ['a1', 'a2', 'a9', 'b1'], number
        assert found.index('a1') < found.index('a2'), number
        assert [scene.count(name) for name in ('jobs', 'dead')] == [0, 0], number
    assert number > 30


def test_who_receives_finishes_what_a_dead_mover_began():
    """Nobody asks for the task any more. Of each group those that are had in a queue are had in order."""
    bodies = ['a1', 'a2', 'b1']
    for number in count():
        scene, died = dying(number, bodies)
        if not died:
            break
        scene.world.engines[1].movers.add((ACCOUNT, 'dead'))  # it has other things to do
        there, here = scene.drain('jobs'), []
        for _ in range(3):
            scene.tick(RETRY)
            here += scene.drain('dead')
            there += scene.drain('jobs')
        assert sorted(here + there) == bodies, number
        assert all(found == sorted(found) for found in (of_group(there, 'a'), of_group(here, 'a'))), number


@pytest.mark.parametrize('consumers', [False, True], ids=['', 'with consumers'])
def test_a_mover_may_be_frozen_at_any_request(consumers):
    """Somebody else does all of its work, and consumers receive it, before it goes on where it was."""
    bodies = ['a1', 'a2']

    def frozen_at(number):
        """A scene, what was received meanwhile, and whether it came so far."""
        scene, seen, found = Scene(bodies), count(), []

        def freeze(_):
            if next(seen) == number:
                assert scene.settle().status == 'completed'
                found.extend(scene.drain('jobs') if consumers else ())
            return False
        scene.tasks().start()
        scene.world.swift.fail(freeze)
        scene.run()
        scene.world.swift.heal()
        return scene, found, next(seen) > number

    for number in count():
        scene, found, frozen = frozen_at(number)
        if not frozen:
            break
        assert found + scene.drain('jobs') == bodies, number
        assert [scene.count(name) for name in ('jobs', 'dead')] == [0, 0], number
    assert number > 15


@pytest.mark.parametrize('fault', [{'status': 503}, {'status': 503, 'after_work': True}], ids=['503', 'reply lost'])
def test_any_request_of_a_mover_may_fail(fault):
    bodies = ['a1', 'a2']
    for number in count():
        scene = Scene(bodies)
        scene.tasks().start()
        hit = scene.world.swift.fail(lambda call: True, skip=number, times=4, **fault)
        scene.run()
        scene.world.swift.heal()
        assert scene.settle().status == 'completed', number
        assert scene.drain('jobs') == bodies, number
        assert scene.count('dead') == 0, number
        if not hit.hits:
            break


@pytest.mark.parametrize('cache', [True, False])
def test_two_at_work_move_each_message_once(cache):
    bodies = [f'{group}{number}' for number in range(5) for group in 'abcd']
    scene = Scene(bodies, subrequests=3, cache=cache)
    scene.tasks().start(rate=5)
    eventlet.sleep(0)
    scene.world.clock.advance(LEASE + 1)  # as if the first one had been frozen so long
    assert scene.tasks(1).list()[0].status == 'running'
    assert all(engine.movers for engine in scene.world.engines)
    scene.run()
    assert scene.settle().status == 'completed'
    assert_in_order(scene.drain('jobs'), bodies)


# -- how dead letters come there -------------------------------------------------------------------

def test_who_buries_may_die_after_any_request():
    """And whoever receives dead letters meanwhile has each once, in order."""
    bodies = ['a1', 'a2']
    for number in count():
        scene = Scene([])
        for body in bodies:
            scene.post(body)
        assert len(scene.receive('jobs')) == 2
        scene.tick(31)
        fault = scene.world.swift.fail(lambda call: True, Died(), skip=number, after_work=True)
        try:
            scene.world.queue('jobs').single_claims.create_each(10, 1)
        except Died:
            pass
        scene.world.swift.heal()
        if not fault.hits:
            break
        found = scene.drain('dead')
        for _ in range(2):
            scene.tick(RETRY)
            assert scene.receive('jobs') == [], number
        assert found + scene.drain('dead') == bodies, number
        assert scene.count('jobs') == 0, number
    assert number > 15
