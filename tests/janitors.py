"""What the tests of the janitor share: a world to clean, and janitors that ask the model's replicas one by one."""

import logging
from contextlib import contextmanager, suppress

from model_swift.objects import deleted_row
from model_swift.storage import answers_at_once
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
    """The model's replicas, asked one by one; ``visit`` says how late they are, see `model_swift.storage.Visit`."""

    def __init__(self, model, visit=answers_at_once):
        self.model = model
        self.visit = visit

    def headers(self, account, container):
        def head(replica):
            answer = replica and replica.head()
            return {key.lower(): value for key, value in answer.headers.items()} if answer and answer.good else {}
        return self._each(head, account, container)

    def listings(self, account, container, prefix):
        def rows(replica):
            return [replica.row(name) for name in replica.names(prefix=prefix, limit=10000)] \
                if replica and not replica.deleted else []
        found = []
        for index in range(self.model.replicas):
            with suppress(Unavailable):
                found.append(self._ask(index, rows, account, container))
        if len(found) <= self.model.replicas // 2:
            raise Unavailable('too few replicas answer')
        return found

    def mark_deleted(self, account, container, deleted_at):
        def merge(replica):
            for name, instant in deleted_at.items() if replica else ():
                replica.merge_row(deleted_row(name, Timestamp(instant)))
            return replica is not None
        if not all(self._each(merge, account, container)):
            raise Unavailable('a replica has no such container')

    @contextmanager
    def objects(self, account, container):
        if not all(self.headers(account, container)):
            raise Unavailable('a replica has no such container')
        yield ModelObjects(self.model, account, container, self.visit)

    def _each(self, ask, account, container):
        return [self._ask(index, ask, account, container) for index in range(self.model.replicas)]

    def _ask(self, index, ask, account, container):
        if self.visit('ask', index) or index in self.model.silent('containers'):
            raise Unavailable(f'replica {index} does not answer')
        self.model.catch_up()
        return ask(self.model.container_replicas(account, container)[index])


class ModelObjects:
    """One container's objects on the model's replicas, without a proxy in between."""

    def __init__(self, model, account, container, visit):
        self.model = model
        self.where = account, container
        self.visit = visit

    def deleted_at(self, name):
        answers = self._ask('HEAD', name, self.model.clock(), (404,))
        return max((float(Timestamp(each.headers.get('X-Backend-Timestamp', '0'))) for each in answers), default=0)

    def delete(self, name, instant):
        return bool(self._ask('DELETE', name, instant, (204, 404)))

    def _ask(self, method, name, at, wanted):
        answers = []
        for index in range(self.model.replicas):
            answer = self.model.ask_object_server(index, method, *self.where, name, at, self.visit,
                                                  open_expired=True)
            if answer is None or answer.status not in wanted:
                return []
            answers.append(answer)
        return answers


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
