"""What the tests of the notifier share: notifiers over a world, and a webhook in memory."""

import logging

from janitors import ModelReplicas
from world import ACCOUNT, World

from swiftqueue.model import NewMessage
from swiftqueue.notifier import Notifier
from swiftqueue.queues import Account, Queue
from swiftqueue.swift import Swift
from swiftqueue.webhooks import CONFIRMATION, NotSent

LOGGER = logging.getLogger('swiftqueue')
HOOK = 'https://hooks.example.com/a'


class Webhooks:
    """Everybody on the other side: what was sent, as (URL, body), and who does not take it."""

    def __init__(self):
        self.sent = []
        self.tries = 0
        self.down = set()  # URLs

    def __call__(self, subscription, body):
        self.tries += 1
        if subscription.subscriber in self.down:
            raise NotSent('it is down')
        self.sent.append((subscription.subscriber, body))

    def bodies(self, url=HOOK):
        return [body['body'] for where, body in self.sent if where == url and body['Message_Type'] != CONFIRMATION]


def swift_of(world, account):
    return Swift(world.swift, {'swift.cache': world.cache}, account, logger=LOGGER, clock=world.clock,
                 majorities=world.engines[0].majorities)


def notifier_of(world, send=None, proxy=1):
    """Knows nothing but what is in Swift, like one that has just been started."""
    return Notifier(world.engines[proxy], lambda account: swift_of(world, account), ModelReplicas(world.swift),
                    send or Webhooks(), LOGGER)


def run(world, send=None, **options):
    world.tick()
    notifier_of(world, send, **options).run_once()
    world.swift.assert_no_leaks()
    world.tick(3)  # longer than a worker acts on what it has read


def subscribe(world, subscriber, name='jobs', confirm=True, **fields):
    """The id of the subscription; the subscriber agrees to it."""
    world.tick()
    subscriptions = world.queue(name).subscriptions
    subscription_id = subscriptions.create(subscriber, ask=lambda _: {'Message_Type': CONFIRMATION}, **fields)
    world.tick()
    if confirm and not subscriber.startswith('queue'):
        subscriptions.confirm(subscription_id, True, proven=True)
    world.tick()
    return subscription_id


def post(queue, *sent, **fields):
    posted = queue.messages.post([NewMessage(body, **fields) for body in sent])
    assert [one.error for one in posted] == [None] * len(sent)
    return [one.id for one in posted]


def bodies(world, name):
    if world.queue(name).read_record() is None:
        return []
    return [message.body for message in world.queue(name).messages.list(limit=20, include_claimed=True).items]


def topic(world, name):
    return world.queue().account.topic(name)


def a_world(**options):
    world = World(**options)
    world.queue().create()
    world.tick()
    return world


__all__ = ['ACCOUNT', 'HOOK', 'Account', 'Queue', 'Webhooks', 'a_world', 'bodies', 'notifier_of', 'post', 'run',
           'subscribe', 'swift_of', 'topic']
