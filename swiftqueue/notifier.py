"""The notifier: brings what is posted to subscribers, and sends to webhooks.

It looks at every queue that somebody subscribes to: at once when the queue's bell rings, and every so often in any
case, because a bell can be lost. What it knows is in Swift, so another one, or the same after a restart, goes on where
it was. Any number of them may run.

What is on its way to a webhook is in a queue of its own, and is claimed like any other message: the claim says that a
notifier is at it and, when it failed, until when nobody need try again; its number is that of the tries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from eventlet import GreenPool, Timeout

from swiftqueue import retries, sources
from swiftqueue.container_servers import Containers
from swiftqueue.errors import QueueError, QueueNotFound
from swiftqueue.fanout import Fanout
from swiftqueue.model import Claim, Subscription
from swiftqueue.names import SUBSCRIBED, Record, queue_container
from swiftqueue.queues import Account, Engine, Queue
from swiftqueue.sources import Source
from swiftqueue.swift import TICK, Swift
from swiftqueue.webhooks import CONFIRMATION, NotSent

AT_ONCE = 10  # messages that are sent to one webhook at the same time
TURN = 20  # seconds for which a webhook is sent to, before others have their turn
ABANDONED = 3600  # seconds after which nobody can be in the middle of subscribing

Key = tuple[str, str]  # account and queue


class Notifier:
    """``swift`` makes the sub-requests for one account, ``send`` raises NotSent.

    ``hold`` is for how many seconds a message is held while it is sent: longer than that may take. At most ``workers``
    queues and as many webhooks have its attention at the same time, no more than a quarter of them of one account.
    """

    def __init__(self, engine: Engine, swift: Callable[[str], Swift], containers: Containers,
                 send: Callable[[Subscription, Any], None], logger: logging.Logger, *, workers: int = 100,
                 hold: int = 30):
        self.engine = engine
        self.swift = swift
        self.containers = containers
        self.send = send
        self.logger = logger
        self.hold = hold
        self.share = max(1, workers // 4)
        self.queues = GreenPool(workers)
        self.webhooks = GreenPool(workers)
        self.sources: dict[Key, Source] = {}
        self.busy: set[Key] = set()  # queues and webhooks that have its attention
        self.bells: dict[Key, Any] = {}  # what each showed before the last look

    def run_once(self) -> None:
        """One look at everything; back when nothing is left that could be done now. Raises Unavailable."""
        self.read_sources()
        self.look()
        self.queues.waitall()
        self.webhooks.waitall()

    def read_sources(self) -> None:
        """Learn which queues somebody subscribes to. Raises Unavailable."""
        self.sources = {(each.account, each.queue): each for each in sources.listed(self.swift(''))}
        self.bells = {key: bell for key, bell in self.bells.items() if key in self.sources}

    def look(self, *, rung: bool = False) -> None:
        """Have all queues looked at, or those whose bell has rung since the last look."""
        keys = self._shuffled(self.sources)  # or the last ones would always be the last
        bells = self._bells(keys)
        for key, bell in zip(keys, bells, strict=True):
            if rung and bell == self.bells.get(key):
                continue
            if key not in self.busy and self._has_room(key[0]):
                self.bells[key] = bell
                self.busy.add(key)
                self.queues.spawn_n(self._safely, key, self._look_at, self.sources[key])

    def _shuffled(self, items: Iterable[Any]) -> list[Any]:
        return sorted(items, key=lambda _: self.engine.random_bits(32))

    def _bells(self, keys: list[Key]) -> list[Any]:
        caches = [self.swift(account).cache for account, _ in keys]
        names = [cache.bell_key(queue) for cache, (_, queue) in zip(caches, keys, strict=True)]
        return caches and caches[0].bells(names) or [None] * len(keys)

    def _has_room(self, account: str) -> bool:
        return sum(busy == account for busy, _ in self.busy) < self.share

    def _safely(self, key: Key, work: Callable[..., None], *arguments: Any) -> None:
        """What goes wrong with one leaves it for a later look, and is no other's matter."""
        try:
            work(*arguments)
        except QueueError as error:
            self.logger.warning('swiftqueue: %s/%s is left for a later look: %s', *key, error)
        except (Exception, Timeout):
            self.logger.exception('swiftqueue: looking at %s/%s failed', *key)
        finally:
            self.busy.discard(key)

    # -- one queue --

    def _look_at(self, source: Source) -> None:
        account = Account(self.engine, self.swift(source.account))
        queue = Queue(account, source.queue)
        record = queue.read_record()
        if not (record and record.subscribed_at):
            self._retire(queue, record, source)
            return
        fanout = Fanout(queue, record, self.containers)
        fanout.run()
        for failed, error in fanout.failed.items():
            self.logger.warning('swiftqueue: subscription %s of %s/%s has to wait: %s', failed, source.account,
                                source.queue, error)
        if not (fanout.subscriptions or fanout.found):
            self._retire(queue, record, source)
        for subscription in self._shuffled(fanout.subscriptions):
            key = source.account, subscription.id
            if subscription.queue or key in self.busy:
                continue
            if self.webhooks.free() > 0 and self._has_room(source.account):  # or it has its turn at another look
                self.busy.add(key)
                self.webhooks.spawn_n(self._safely, key, self._serve, queue, record, subscription.id)

    def _retire(self, queue: Queue, record: Record | None, source: Source) -> None:
        """Nobody subscribes any more: posts need not be stored twice, nor the queue be looked at.

        Both as of the instant that was read, so that whoever subscribes just now is later.
        """
        subscribed_at = record.subscribed_at if record else 0
        if self.engine.clock() - max(source.listed_at, subscribed_at) < ABANDONED:
            return
        if not subscribed_at and any(SUBSCRIBED.lower() in headers for headers in self.containers.headers(
                source.account, queue_container(source.queue))):
            return  # one of them is late
        if subscribed_at:
            queue.write_headers({SUBSCRIBED: ''}, subscribed_at + TICK)
        sources.remove(queue.swift, source)

    # -- one webhook --

    def _serve(self, queue: Queue, record: Record, subscription_id: str) -> None:
        """Send what is to be sent now.

        To whom is read after what: somebody who has confirmed since is to be given what came since, and one who has
        unsubscribed is not.
        """
        webhook = queue.account.webhook(subscription_id)
        began = self.engine.monotonic()
        while self.engine.monotonic() - began < TURN:
            try:
                claims = webhook.single_claims.create_each(AT_ONCE, self.hold, wait=0)
            except QueueNotFound:
                return
            if not claims:
                return
            subscription = queue.subscriptions.newest(record, subscription_id)
            policy = retries.policy_of(subscription.options.get('_retry_policy') or {} if subscription else {},
                                       record.attributes.get('_retry_policy') or {})
            for error in webhook.swift.at_most(
                    lambda claim: self._deliver(webhook, subscription, policy, claim), claims):  # noqa: B023
                if error:
                    raise error

    def _deliver(self, webhook: Queue, subscription: Subscription | None, policy: dict[str, Any],
                 claim: Claim) -> QueueError | None:
        message, = claim.messages
        question = message.body['Message_Type'] == CONFIRMATION
        if question:
            policy = {}  # nobody who has not agreed to it is asked as often as the tenant likes
        try:
            if subscription is None or not (question or subscription.confirmed):
                webhook.single_claims.ack_one(claim.id)
                return None
            try:
                self.send(subscription, message.body)
            except NotSent as reason:
                self._put_off(webhook, subscription, claim, retries.delay(policy, message.deliveries), reason)
            else:
                webhook.single_claims.ack_one(claim.id)
        except QueueError as error:
            return error
        return None

    def _put_off(self, webhook: Queue, subscription: Subscription, claim: Claim, delay: int | None,
                 reason: NotSent) -> None:
        if delay is None:
            self.logger.warning('swiftqueue: message %s is not sent to %s, after %d tries: %s', claim.messages[0].id,
                                subscription.subscriber, claim.messages[0].deliveries, reason)
            webhook.single_claims.ack_one(claim.id)
        else:
            webhook.single_claims.renew_one(claim.id, min(delay, self.engine.options.max_claim_ttl))
