"""Fan-out: what was posted to a queue or topic is brought to the queues of its subscribers.

A webhook has a queue too, which only the notifier takes from; so to be brought there is the same for all. Each copy
has an id made of the message's and the subscription's, and carries the instant of the message as X-Timestamp. So two
notifiers at one post, or one that died half-way, write the same thing; and where the copy was acked in between, its
tombstone is newer and the repeated PUT changes nothing.

A FIFO queue is given a copy as if it were posted there just now, or it would come before what was received already. Its
deduplication id is the message's id, so it is posted once, though only for as long as that is known.

What could not be brought to a subscriber stays for it alone. It then fails at once for the rest of a pass, so that the
others need not wait for it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from swiftqueue import ids
from swiftqueue.container_servers import Containers
from swiftqueue.errors import QueueError, QueueNotFound
from swiftqueue.fifo import Fifo
from swiftqueue.model import Subscription
from swiftqueue.names import TOPIC, Envelope, Post, Record, decode_row, parse_post, post_name
from swiftqueue.swift import GenerationGone, modified_at
from swiftqueue.webhooks import notification

if TYPE_CHECKING:
    from swiftqueue.queues import Queue

PAGE = 100  # posts in one listing


class Fanout:
    """One pass over what was posted to one queue."""

    def __init__(self, queue: Queue, record: Record, containers: Containers):
        self.queue = queue
        self.record = record
        self.containers = containers
        self.engine = queue.engine
        self.swift = queue.swift
        self.container = queue.subscriptions.container(record)
        self.subscriptions: list[Subscription] = []
        self.failed: dict[str, QueueError] = {}  # by the subscription's id
        self.found = 0  # posts

    def run(self) -> None:
        """Bring every post to everybody who can be reached. Raises Unavailable.

        Who subscribed before a post was made is found only by a look after the post was.
        """
        self._read_subscriptions()
        try:
            for rows in self.swift.pages(self.container, prefix=post_name(), limit=PAGE):
                self.found += len(rows)
                self._read_subscriptions()
                for error in self.swift.at_most(self._try, rows):
                    if error:
                        raise error
        except GenerationGone:
            return

    def _read_subscriptions(self) -> None:
        self.subscriptions = self.queue.subscriptions.surely_all(self.record, self.containers)

    def _try(self, row: dict[str, Any]) -> QueueError | None:
        """Bring one post to its subscribers; the error that says that not even this can be told."""
        gate_seconds = self.engine.options.gate_seconds
        if self.swift.cache.enter_gate(self.container, row['name'], gate_seconds) is False:
            return None  # another notifier is at it, or was a moment ago
        try:
            if not self._bring(row):
                self.swift.cache.open_gate(self.container, row['name'])
        except QueueError as error:
            self.swift.cache.open_gate(self.container, row['name'])
            return error
        return None

    def _bring(self, row: dict[str, Any]) -> bool:
        """Whether the post is done with."""
        value = decode_row(row['hash'])
        late = self.engine.clock() - modified_at(row) >= self.engine.options.gate_seconds  # or it is gone for long
        if late or value is None:
            there = self.swift.get_newest(self.container, row['name'])
            value = there and json.loads(there.body)
        post = value and parse_post(value)
        if post is None or self.engine.clock() >= post.expires_at:
            self.swift.delete(self.container, row['name'])  # also the row, where that is all there is
            return True
        wanted = [each for each in self.subscriptions if each.confirmed and (post.to is None or each.id in post.to)]
        left = [each.id for each, done in zip(wanted, self.swift.at_most(
            lambda each: self._bring_to(each, post), wanted), strict=True) if not done]
        if not left:
            self.swift.delete(self.container, row['name'])
        elif left != list(post.to or ()):
            post_id = row['name'].removeprefix(post_name())
            self.queue.subscriptions.store_post(self.record, post_id, Post(post.messages, tuple(left)),
                                                self.engine.clock())
        return not left

    def _bring_to(self, subscription: Subscription, post: Post) -> bool:
        if subscription.id in self.failed:
            return False
        target = self.queue.account.queue(subscription.queue) if subscription.queue \
            else self.queue.account.webhook(subscription.id)
        try:
            if self._is_early(target, post):
                return False
            for message_id, envelope in post.messages:
                if self.engine.clock() < envelope.expires_at:
                    self._copy(subscription, target, message_id, envelope)
        except QueueError as error:
            self.failed[subscription.id] = error
            return False
        target.ring()
        return True

    def _is_early(self, target: Queue, post: Post) -> bool:
        """Whether a FIFO queue has to wait for delayed messages: there, they would be given out at once."""
        now = self.engine.clock()
        delayed = any(ids.available_at(message_id) > now for message_id, _ in post.messages)
        return delayed and self._made(target).fifo

    def _copy(self, subscription: Subscription, target: Queue, message_id: str, envelope: Envelope) -> None:
        if not subscription.queue:
            envelope = notification(self.queue.name, message_id, envelope)
        copy_id = ids.derived(message_id, subscription.id)

        def store(record: Record) -> None:
            if record.fifo:
                group = envelope.group or self.queue.name.removeprefix(TOPIC)
                Fifo(target).copy(record, replace(envelope, group=group, deduplication=message_id))
            else:
                target.messages.store(record, copy_id, envelope, envelope.created_at, mine=attrgetter('untouched'))

        target.with_generation(store, record=self._made(target))

    def _made(self, target: Queue) -> Record:
        """The target's record; it is created if it is not there."""
        try:
            return target.record()
        except QueueNotFound:
            target.ensure({})
            return target.record()
