"""What the tests of the janitor share: a world to clean, and janitors that ask the model's replicas one by one."""

import logging

from model_swift.objects import deleted_row
from swift.common.utils import Timestamp
from world import ACCOUNT, World

from swiftqueue.errors import Unavailable
from swiftqueue.janitor import Janitor
from swiftqueue.model import NewMessage
from swiftqueue.names import parse_container
from swiftqueue.swift import Swift

MINUTE, HOUR, DAY = 60, 3600, 86400
LOGGER = logging.getLogger('swiftqueue')


class ModelReplicas:
    """The model's container replicas, asked one by one."""

    def __init__(self, model):
        self.model = model

    def _each(self, ask, account, container):
        if silent := self.model.silent('containers'):
            raise Unavailable(f'replica {min(silent)} does not answer')
        return [replica and ask(index, replica) for index, replica in
                enumerate(self.model.container_replicas(account, container))]

    def headers(self, account, container):
        def head(index, replica):
            answer = replica.head()
            return {key.lower(): value for key, value in answer.headers.items()} if answer.good else {}
        return [headers or {} for headers in self._each(head, account, container)]

    def mark_deleted(self, account, container, deleted_at):
        def merge(index, replica):
            for name, instant in deleted_at.items():
                replica.merge_row(deleted_row(name, Timestamp(instant)))
            return True
        if not all(self._each(merge, account, container)):
            raise Unavailable('a replica has no such container')


def swift_of(world, account=ACCOUNT):
    return Swift(world.swift, {}, account, logger=LOGGER, clock=world.clock)


def janitor_of(world, replicas=None, **options):
    return Janitor(lambda account: swift_of(world, account), replicas or ModelReplicas(world.swift), LOGGER, **options)


def sweep(world, *queues, thorough=True, **options):
    tally = janitor_of(world, **options).sweep(
        [(ACCOUNT, queue) for queue in queues or ('jobs',)], thorough=thorough)
    world.swift.assert_no_leaks()
    return tally


def clean_sweep(world, *queues, **options):
    """A sweep in which nothing may fail."""
    tally = sweep(world, *queues, **options)
    assert tally.errors == 0
    return tally


def a_world(**options):
    world = World(**options)
    world.queue().create()
    world.tick()
    return world


def generation_of(world, queue='jobs', proxy=0):
    return world.queue(queue, proxy=proxy).read_record().generation


def post(world, *bodies, proxy=0, **fields):
    world.tick()
    posted = world.queue(proxy=proxy).messages.post([NewMessage(body, **fields) for body in bodies])
    assert [one.error for one in posted] == [None] * len(bodies)
    return [one.id for one in posted]


def claim(world, limit=10, ttl=60, grace=60, proxy=0):
    world.tick()
    return world.queue(proxy=proxy).claims.create(limit, ttl, grace)


def ack(world, claimed, proxy=0):
    world.tick()
    for message in claimed.messages:
        world.queue(proxy=proxy).claims.ack(message.id, claimed.id)


def bodies(world, queue='jobs'):
    """What a reader finds in the queue, claimed or not."""
    world.tick(3)  # longer than a worker acts on what it has read
    return [message.body for message in world.queue(queue).messages.list(limit=20, include_claimed=True).items]


def containers(world, kind, queue='jobs'):
    return [name for name in world.swift.containers(ACCOUNT) if (parse_container(name) or ('',))[:2] == (kind, queue)]


def stored(world, kind, queue='jobs'):
    """Names of the live objects of that kind, whether or not any listing shows them."""
    return [name for container, name in world.swift.live_objects(ACCOUNT)
            if parse_container(container)[:2] == (kind, queue)]


def acked(world, count=1):
    """Messages that were claimed and acked, a minute's claim on each; the instant is right after."""
    made = post(world, *range(count))
    ack(world, claim(world, count))
    assert {name[1:37] for name in stored(world, 'claims')} >= set(made)
    return made


def meanwhile(world, matches, act):
    """Run ``act`` once, right before the first call that matches; its result is in the list."""
    begun, results = [], []

    def look(call):
        if not begun and matches(call):
            begun.append(call)
            results.append(act())
        return False
    world.swift.fail(look)
    return results


def purge(world, proxy=0):
    world.tick()
    world.queue(proxy=proxy).purge()
    world.tick()


def post_late(world, *texts, **fields):
    """Post through a proxy that has not heard of a purge. Only without a cache is that possible."""
    world.queue(proxy=1).record()
    purge(world, proxy=0)
    return post(world, *texts, proxy=1, **fields)


def delete(world, queue='jobs'):
    world.tick()
    world.queue(queue).delete()
    world.tick()


def is_peek(call):
    """The janitor's first look into a container."""
    return call.method == 'GET' and call.container and 'limit=1&' in call.query + '&'
