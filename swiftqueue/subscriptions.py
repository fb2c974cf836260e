"""Subscriptions to one queue or topic, and what is posted for those who subscribe.

A post to a queue that somebody subscribes to is stored once more, whole, as one object for all subscribers. The
notifier brings it from there to each of them (fanout.py), so a post costs the same however many there are, and what
becomes of the queue's own messages matters to no subscriber. That there are subscriptions is in the queue's record,
which a post reads anyway.

A subscription's id is made of its subscriber, so two that are made at once are one.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import md5, sha256
from itertools import chain, count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from swiftqueue import sources
from swiftqueue.attributes import check_retry_policy
from swiftqueue.container_servers import Containers, merge
from swiftqueue.errors import (
    Forbidden,
    Invalid,
    QueueNotFound,
    SubscriptionExists,
    SubscriptionNotFound,
    Unavailable,
)
from swiftqueue.limits import check_integer, check_queue_name, check_size
from swiftqueue.messages import delete_at
from swiftqueue.model import Page, Subscription
from swiftqueue.names import (
    NUL,
    ROW,
    SUBSCRIBED,
    Envelope,
    Post,
    Record,
    decode_row,
    parse_subscription,
    post_name,
    published_container,
    row_of,
    subscription_name,
    to_json,
    write_subscription,
)
from swiftqueue.swift import TICK, GenerationGone

if TYPE_CHECKING:
    from swiftqueue.queues import Queue

DEFAULT_TTL = 3600
MIN_TTL = 60
MAX_TTL = 2 ** 31 - 1
MAX_SUBSCRIBER = 2048  # characters
MAX_OPTIONS = 16384  # bytes of JSON
CONFIRM_SECONDS = 3 * 86400  # for which a webhook is asked whether it wants to be one
ASK_AGAIN = 60  # seconds after which it is asked again for the asking

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# Of the connection or of the request that carries them, which the notifier makes.
_OUR_HEADERS = ('connection', 'content-length', 'expect', 'host', 'keep-alive', 'te', 'trailer', 'transfer-encoding',
                'upgrade')

Row = dict[str, Any]


class Subscriptions:
    """The subscriptions to a queue, on behalf of one request. All is for the queue's owner alone."""

    def __init__(self, queue: Queue):
        self.queue = queue
        self.engine = queue.engine
        self.swift = queue.swift

    # -- verbs --

    def create(self, subscriber: str, ttl: int | None = None, options: dict[str, Any] | None = None, *,
               ask: Callable[[str], dict[str, Any]] | None = None) -> str:
        """The id of a new subscription, or of one with this subscriber that is not confirmed yet.

        A webhook is unconfirmed, and is sent what ``ask`` makes of an id that is to be confirmed. Raises
        SubscriptionExists, Invalid, QueueNotFound, Unauthorized, Forbidden, Unavailable.
        """
        self.queue.allow('owner')
        check_subscriber(subscriber)
        options = self._check_options(options)
        ttl = DEFAULT_TTL if ttl is None else check_integer('ttl', ttl, MIN_TTL, MAX_TTL)
        record = self._record()
        if record.fifo:
            raise Invalid('A FIFO queue has no subscribers.')
        there, written_at = self._with_subscriber(record, subscriber)
        if there and there.confirmed:
            self._show(record, there, written_at)  # whoever was told 503 may be told 409 now
            raise SubscriptionExists('There is a subscription with this subscriber already.')
        if not there:
            self._check_number(record)
        new = there or Subscription(self._new_id(record, subscriber), subscriber, ttl, self.engine.clock(),
                                    self._needs_no_word(subscriber), options)
        self._announce(record)
        if not there and not self._store(record, new, self.engine.clock()):
            raise Unavailable('Such a subscription was deleted just now.')
        self._ask(record, new, ask)
        return new.id

    def list(self, marker: str = '', limit: int | None = None) -> Page:
        """A page of subscriptions, in order of their ids, after the one that is the marker. Raises as :meth:`get`."""
        self.queue.allow('owner')
        most = self.engine.options.max_subscriptions_per_page
        limit = min(10, most) if limit is None else check_integer('limit', limit, 1, most)
        found = []
        for subscription in self.all(self._record(), marker):
            found.append(subscription)
            if len(found) == limit:
                break
        return Page(found, found[-1].id if found else None)

    def get(self, subscription_id: str) -> Subscription:
        """Raises SubscriptionNotFound, QueueNotFound, Unauthorized, Forbidden, Unavailable."""
        self.queue.allow('owner')
        return self._get(self._record(), subscription_id)[0]

    def update(self, subscription_id: str, subscriber: str | None = None, ttl: int | None = None,
               options: dict[str, Any] | None = None, *, ask: Callable[[str], dict[str, Any]] | None = None) -> None:
        """Change what is not None; another webhook has to confirm anew. Raises as :meth:`create` and :meth:`get`."""
        self.queue.allow('owner')
        record = self._record()
        old, written_at = self._get(record, subscription_id)
        new = old
        if options is not None:
            new = replace(new, options=self._check_options(options))
        if ttl is not None:
            new = replace(new, ttl=check_integer('ttl', ttl, MIN_TTL, MAX_TTL), renewed_at=self.engine.clock())
        if subscriber is not None and subscriber != old.subscriber:
            check_subscriber(subscriber)
            if self._with_subscriber(record, subscriber)[0]:
                raise SubscriptionExists('There is a subscription with this subscriber already.')
            new = replace(new, subscriber=subscriber, confirmed=self._needs_no_word(subscriber))
        self._announce(record)
        self._change(record, new, written_at)
        if new.subscriber != old.subscriber:
            self.queue.account.webhook(old.id).delete()  # the old one's messages are not for the new one
            self._ask(record, new, ask)

    def confirm(self, subscription_id: str, confirmed: bool, *, proven: bool = False) -> None:
        """Begin or stop to give it what is posted; ``proven``: the caller was sent the id to be confirmed.

        Raises as :meth:`get`; and Forbidden, because nobody else can say that a webhook wants to be one.
        """
        self.queue.allow('owner')
        record = self._record()
        if proven:
            subscription_id = self._asked(record, subscription_id)
        subscription, written_at = self._get(record, subscription_id)
        if confirmed and not (proven or self._needs_no_word(subscription.subscriber)):
            raise Forbidden('Only the subscriber can confirm this, with what it was sent.')
        self._change(record, replace(subscription, confirmed=confirmed), written_at)

    def delete(self, subscription_id: str) -> None:
        """End it, and what is on its way to a webhook; one that is not there is no error. Raises the usual."""
        self.queue.allow('owner')
        try:
            record = self._record()
            self._get(record, subscription_id)
        except (QueueNotFound, SubscriptionNotFound):
            return
        self._delete(record, subscription_id)

    def delete_all(self) -> None:
        """Raises QueueNotFound and the usual; then some may be deleted, and the same call may be made again."""
        self.queue.allow('owner')
        record = self._record()
        self.swift.at_most(lambda each: self._delete(record, each.id), list(self.all(record, expired=True)))

    # -- for the engine --

    def publish(self, record: Record, messages: tuple[tuple[str, Envelope], ...]) -> None:
        """Leave messages that were posted for the notifier. Raises Unavailable, QuotaExceeded."""
        if messages:
            self.store_post(record, self.engine.ids.new(), Post(messages), self.engine.clock())

    def store_post(self, record: Record, post_id: str, post: Post, timestamp: float) -> None:
        content = post.content()
        headers = {'X-Delete-At': str(delete_at(post.expires_at))} | self._row(content)
        self._put(record, post_name(post_id), content, headers, timestamp)

    def container(self, record: Record) -> str:
        return published_container(self.queue.name, record.born)

    def all(self, record: Record, after: str = '', *, expired: bool = False) -> Iterator[Subscription]:
        """Those that a listing shows, in order of their ids. Raises Unavailable."""
        if not record.subscribed_at:
            return
        try:
            for rows in self.swift.pages(self.container(record), prefix=subscription_name(),
                                         marker=subscription_name(after) if after else ''):
                for subscription in self.swift.at_most(lambda row: self._read_row(record, row), rows):
                    if subscription and (expired or self.engine.clock() < subscription.expires_at):
                        yield subscription
        except GenerationGone:
            return

    def surely_all(self, record: Record, containers: Containers) -> list[Subscription]:
        """:meth:`all`, for who must not miss one that a container server has not heard of. Raises Unavailable."""
        rows, doubtful = merge(containers.listings(self.swift.account, self.container(record), subscription_name()))
        found = self.swift.at_most(lambda row: self._read_row(record, row, newest=row['name'] in doubtful), rows)
        return [each for each in found if each and self.engine.clock() < each.expires_at]

    def newest(self, record: Record, subscription_id: str) -> Subscription | None:
        """The subscription as it is now, None if it has ended. Raises Unavailable."""
        try:
            return self._get(record, subscription_id)[0]
        except SubscriptionNotFound:
            return None

    def _read_row(self, record: Record, row: Row, *, newest: bool = False) -> Subscription | None:
        value = None if newest else decode_row(row['hash'])
        if value is None:
            read = self.swift.get_newest if newest else self.swift.get
            there = read(self.container(record), row['name'])
            value = there and json.loads(there.body)
        return value and parse_subscription(value)

    # -- inside --

    def _record(self) -> Record:
        """As it is now. Raises QueueNotFound."""
        record = self.queue.read_record()
        if record is None:
            raise QueueNotFound(f'There is no {self.queue.name}.')
        return record

    def _get(self, record: Record, subscription_id: str) -> tuple[Subscription, float]:
        """The subscription, and the instant of its object."""
        if _is_id(subscription_id) and record.subscribed_at:
            there = self.swift.get_newest(self.container(record), subscription_name(subscription_id))
            subscription = there and parse_subscription(json.loads(there.body))
            if subscription and self.engine.clock() < subscription.expires_at:
                return subscription, there.timestamp
        raise SubscriptionNotFound('There is no such subscription.')

    def _with_subscriber(self, record: Record, subscriber: str) -> tuple[Subscription | None, float]:
        """As :meth:`_get`, the one that has this subscriber: by its id where it began with it, else by the listing."""
        listed = (each.id for each in self.all(record) if each.subscriber == subscriber)
        for subscription_id in chain([self._id(record, subscriber)], listed):
            try:
                there, written_at = self._get(record, subscription_id)
            except SubscriptionNotFound:
                continue
            if there.subscriber == subscriber:
                return there, written_at
        return None, 0

    def _asked(self, record: Record, asked_id: str) -> str:
        """The id of the subscription whose subscriber was asked to confirm that id.

        It is the id of the subscriber as it is now: what one webhook was sent must not confirm another one that has
        taken its place since. Raises SubscriptionNotFound.
        """
        for each in self.all(record):
            if self._id(record, each.subscriber) == asked_id:
                return each.id
        raise SubscriptionNotFound('There is no such subscription.')

    def _check_number(self, record: Record) -> None:
        most = self.engine.options.max_subscriptions
        if sum(1 for _ in self.all(record)) >= most:
            raise Invalid(f'There are {most} subscriptions already, and can be no more.')

    def _id(self, record: Record, subscriber: str, turn: int = 0) -> str:
        parts = self.swift.account, self.queue.name, record.born, subscriber, str(turn)
        return str(uuid.UUID(bytes=sha256(NUL.join(parts).encode()).digest()[:16], version=5))

    def _new_id(self, record: Record, subscriber: str) -> str:
        """The id for the subscriber: another one where a subscription began with it and has another one by now.

        Of two who subscribe it at once both get the same.
        """
        for turn in count():
            new_id = self._id(record, subscriber, turn)
            try:
                there, _ = self._get(record, new_id)
            except SubscriptionNotFound:
                break
            if there.subscriber == subscriber:
                break
        return new_id

    def _announce(self, record: Record) -> None:
        """Have every post be stored for subscribers too, and notifiers look for it. Raises QueueNotFound, Unavailable.

        Done at every change, so that a notifier sees from the instants that somebody is at it.
        """
        if not record.subscribed_at:
            self.swift.put_container(self.container(record))
        now = max(self.engine.clock(), record.subscribed_at + TICK)
        self.queue.write_headers({SUBSCRIBED: f'{now:.5f}'}, now)
        sources.add(self.swift, self.queue.name)

    def _ask(self, record: Record, subscription: Subscription, ask: Callable[[str], dict[str, Any]] | None) -> None:
        """Send the webhook what it has to answer, but not again and again."""
        if subscription.confirmed or ask is None or self.swift.cache.enter_gate(
                'confirmation', subscription.subscriber, ASK_AGAIN) is False:
            return
        webhook, now = self.queue.account.webhook(subscription.id), self.engine.clock()
        ttl = min(subscription.ttl, CONFIRM_SECONDS)
        webhook.ensure({})
        asked_id = self._id(record, subscription.subscriber)
        question = Envelope(ask(asked_id), created_at=now, ttl=ttl, delay=0, expires_at=now + ttl)
        webhook.with_generation(lambda record: webhook.messages.store(record, self.engine.ids.new(), question, now))
        self.queue.ring()  # which the notifiers hear

    def _change(self, record: Record, subscription: Subscription, written_at: float) -> None:
        """Store what was read a moment ago, changed; one that was deleted since stays deleted."""
        if not self._store(record, subscription, written_at + TICK):
            raise SubscriptionNotFound('There is no such subscription.')

    def _store(self, record: Record, subscription: Subscription, timestamp: float) -> bool:
        """Whether it is stored, and listed by a majority: a notifier that missed it would give it no post."""
        content = write_subscription(subscription)
        stored = self._put(record, subscription_name(subscription.id), content, self._row(content), timestamp)
        if stored:
            self._show(record, subscription, timestamp)
        return stored

    def _show(self, record: Record, subscription: Subscription, timestamp: float) -> None:
        content = write_subscription(subscription)
        etag = self._row(content).get(ROW, md5(content, usedforsecurity=False).hexdigest())
        self.swift.show(self.container(record), subscription_name(subscription.id), etag, len(content), timestamp)

    def _put(self, record: Record, name: str, content: bytes, headers: dict[str, str], timestamp: float) -> bool:
        container = self.container(record)
        try:
            return self.swift.store(container, name, content, headers, timestamp)
        except GenerationGone:  # whoever was the first to subscribe has not come that far, or a server is late
            self.swift.put_container(container)
        try:
            return self.swift.store(container, name, content, headers, timestamp)
        except GenerationGone:
            raise Unavailable('The container of the subscriptions is not there yet.') from None

    def _row(self, content: bytes) -> dict[str, str]:
        return row_of(content, md5(content, usedforsecurity=False).hexdigest(), self.engine.inline_limit)

    def _delete(self, record: Record, subscription_id: str) -> None:
        self.queue.account.webhook(subscription_id).delete()
        self.swift.delete(self.container(record), subscription_name(subscription_id))

    def _needs_no_word(self, subscriber: str) -> bool:
        return subscriber.startswith('queue:') or not self.engine.options.confirm_webhooks

    def _check_options(self, options: Any) -> dict[str, Any]:
        options = {} if options is None else options
        if not isinstance(options, dict):
            raise Invalid('options must be an object.')
        check_size('options', len(to_json(options)), MAX_OPTIONS)
        headers = options.get('post_headers', {})
        if not isinstance(headers, dict) or not all(map(_is_header, headers.items())):
            raise Invalid('options.post_headers must be an object of HTTP headers; some are not for you to set.')
        if not isinstance(options.get('post_data', ''), str):
            raise Invalid('options.post_data must be a string.')
        check_retry_policy('options._retry_policy', options.get('_retry_policy', {}), self.engine.options)
        return options


def check_subscriber(subscriber: Any) -> None:
    """Raises Invalid for what no subscription can have."""
    if not isinstance(subscriber, str) or not 1 <= len(subscriber) <= MAX_SUBSCRIBER \
            or not subscriber.isascii() or not subscriber.isprintable() or ' ' in subscriber:
        raise Invalid(f'subscriber must be a URL of at most {MAX_SUBSCRIBER} printable ASCII characters.')
    scheme, _, rest = subscriber.partition('://')
    if scheme == 'queue':
        check_queue_name(rest)
        return
    if scheme not in ('http', 'https'):
        raise Invalid('subscriber must begin with one of queue://, http://, https://.')
    try:
        url = urlsplit(subscriber)
        port = url.port
    except ValueError:
        raise Invalid('subscriber is not a URL.') from None
    if not url.hostname or port == 0:
        raise Invalid('subscriber names no host.')
    if '@' in url.netloc:
        raise Invalid('subscriber must not have a user or password; options.post_headers can have credentials.')


def _is_header(item: tuple[str, Any]) -> bool:
    name, value = item
    return bool(_HEADER.fullmatch(name)) and name.lower() not in _OUR_HEADERS \
        and isinstance(value, str) and value.isascii() and value.isprintable()


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False

