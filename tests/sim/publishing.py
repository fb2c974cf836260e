"""Who publishes, who subscribes, and the notifiers in between.

To the history, a message is as many as there are places to which it comes: the subscribers' queues, a webhook, and the
queue it is posted to, if that is no topic. So each copy is judged as any message is: what was answered comes, what was
not may come, what was acked stays away. It has to come where the post began after the subscription was answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import eventlet

from swiftqueue.model import Subscription
from swiftqueue.names import queue_of, subscription_name
from swiftqueue.queues import RECORD_SECONDS
from swiftqueue.webhooks import NotSent

from .clients import JOBS, LONG, Client, Shared

COPIES = ('copy-0', 'copy-1')
HOOK = 'https://hook.example.com/'
DIES_AFTER = 20  # seconds, on average, for which a notifier lives


@dataclass
class PublishingShared(Shared):
    """``sure_from`` says of each place from when on what is posted has to come there."""

    topic: bool = False
    sure_from: dict[str, float] = field(default_factory=dict)


class Publisher(Client):
    """A client of the topic or queue that is subscribed to."""

    shared: PublishingShared

    @property
    def kind(self) -> str:
        return 'topics' if self.shared.topic else 'queues'

    def values(self, bodies: range) -> list[str]:
        return [_value(body, place) for place in self.shared.sure_from for body in bodies]

    def sure(self, values: list[str]) -> set[str]:
        now = self.cloud.hub.now
        return {value for value in values if now >= self.shared.sure_from[value.partition(' in ')[2]]}


class Subscriber(Client):
    """A client of one of the queues."""

    def value(self, body: dict[str, Any]) -> str:
        return _value(body['value'], self.queue)


class Webhook:
    """What notifiers send to; it takes its time, and fails as everything else does."""

    def __init__(self, client: Client):
        self.client = client

    def __call__(self, subscription: Subscription, message: dict[str, Any]) -> None:
        client, profile = self.client, self.client.cloud.profile
        client.sleep(client.chance.uniform(0, 0.5))
        if client.likely(10 * profile.refused):
            raise NotSent('refused')
        value = _value(message['body']['value'], HOOK)
        client.shared.ended.add(value)
        client.history.answer(client.history.invoke('pop', limit=1, worker=client.name), 'ok',
                              messages=[{'value': value}])
        if client.likely(10 * profile.unanswered):
            raise NotSent('the answer got lost')


def _value(body: int, place: str) -> str:
    return f'{body} in {place}'


def subscribe(client: Publisher, place: str, after: float = 0) -> None:
    """Subscribe until it is answered."""
    subscriber = place if place == HOOK else f'queue://{place}'
    client.sleep(after)
    while client.call('POST', '/subscriptions', {'subscriber': subscriber, 'ttl': LONG}).status not in (201, 409):
        if not client.goes_on:
            return
        client.sleep(1)
    # Without memcached a proxy may not have heard of it for so long.
    client.shared.sure_from[place] = client.cloud.hub.now + (0 if client.cloud.profile.exclusive else RECORD_SECONDS)


def notify(client: Client, webhook: Callable[[Subscription, Any], None]) -> None:
    """A notifier, and when it has died another one."""
    while client.goes_on:
        process, notifier = client.cloud.notifier(client.name, webhook)
        eventlet.spawn_after(client.chance.expovariate(1 / DIES_AFTER), setattr, process, 'alive', False)
        while client.goes_on and process.alive:
            client.cloud.look(notifier)
            client.sleep(client.chance.uniform(0, 4))


def notifier(client: Client) -> Callable[[], None]:
    """A look of a notifier that does not die."""
    _, notifier = client.cloud.notifier('last notifier', Webhook(client))
    return lambda: client.cloud.look(notifier)


def stays(container: str, name: str) -> bool:
    """Whether an object is there as long as nobody unsubscribes or deletes the topic."""
    return name.startswith(subscription_name()) or queue_of(container) == f'topic:{JOBS}'
