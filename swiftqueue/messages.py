"""Messages of one queue: post, list, get, delete, count.

Posting stores one object per message and reports each by itself. Listing reads rows, which carry the small messages
whole. Expiry is judged by the envelope, never by whether Swift has removed the object.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import md5
from typing import TYPE_CHECKING

from swiftqueue import ephemeral, ids
from swiftqueue.attributes import max_message_size
from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.errors import Invalid, MessageClaimed, QueueError, Unavailable
from swiftqueue.fifo import Fifo
from swiftqueue.head import CLOCK_SKEW, Entry, available, claims_between, note_claims, read_row
from swiftqueue.limits import check_integer, check_size
from swiftqueue.markers import Behind, Marker
from swiftqueue.model import Message, NewMessage, Page, Posted, Stats
from swiftqueue.names import (
    ClaimState,
    Envelope,
    Record,
    claim_name,
    message_name,
    parse_envelope,
)
from swiftqueue.pages import Listed
from swiftqueue.swift import LISTING_LIMIT, GenerationGone, Response

if TYPE_CHECKING:
    from swiftqueue.queues import Queue

MAX_BATCH = 1000  # messages in one post
MAX_CLIENT_ID = 64  # characters; every row carries it
_SCAN = 50  # pages looked through for one page of answers
_MOST_ROWS = 1000  # in one of them


def delete_at(instant: float) -> int:
    """X-Delete-At for something to be kept until ``instant``: whole seconds, never early."""
    return math.ceil(instant)


class Messages:
    """The messages of a queue, on behalf of one request."""

    def __init__(self, queue: Queue):
        self.queue = queue
        self.engine = queue.engine
        self.swift = queue.swift

    # -- post --

    def post(self, messages: list[NewMessage], client_id: str = '', *, size: int = 0) -> list[Posted]:
        """Store the messages; what became of each, in their order.

        ``size`` is that of the whole batch in bytes, held against the queue's limit; a message that is larger than
        the queue's limit for one fails by itself. A delayed message's ttl starts when it becomes available. Raises
        Invalid, TooLarge, QueueNotFound, Unauthorized, Forbidden, Unavailable, before anything is stored.
        """
        self.queue.allow('write')
        record = self.queue.record()
        attributes = record.attributes
        options = self.queue.options(record)
        if not 1 <= len(messages) <= MAX_BATCH:
            raise Invalid(f'A post takes 1 to {MAX_BATCH} messages.')
        if len(client_id) > MAX_CLIENT_ID:
            raise Invalid(f'A client id has at most {MAX_CLIENT_ID} characters.')
        check_size('The messages', size,
                   attributes.get('_max_messages_post_size') or options.max_messages_post_size)
        loose = [ephemeral.is_wanted(message, record) for message in messages]
        if record.fifo:
            posted = Fifo(self.queue).post(messages, client_id)
        else:
            posted = self._post_all(record, messages, client_id, loose)
        if any(one.error is None for one in posted):
            self.queue.ring()
        return posted

    def _post_all(self, record: Record, messages: list[NewMessage], client_id: str, loose: list[bool]) -> list[Posted]:
        """``loose`` says which of them are ephemeral, if the queue has a place for those."""
        place = ephemeral.place(self.queue, record) if any(loose) else None
        record = place or record
        # In turn from a shard by chance, so that no rhythm of two queues or posters fills some shards more than others.
        first = self.engine.random_bits(32) if record.shards > 1 else 0
        shards = [ids.EPHEMERAL if place and each else (first + number) % record.shards
                  for number, each in enumerate(loose)]
        batch = [(*self._new(message, record, client_id, shard), message.size)
                 for message, shard in zip(messages, shards, strict=True)]
        posted = self.swift.at_most(lambda new: self._post(record, *new), batch)
        if record.subscribed_at:
            posted = self._publish(record, posted, [envelope for _, envelope, _ in batch])
        return posted

    def _publish(self, record: Record, posted: list[Posted], envelopes: list[Envelope]) -> list[Posted]:
        """Leave for the notifier what was stored; where that fails, so does the post, though the message is there."""
        stored = tuple((one.id, envelope) for one, envelope in zip(posted, envelopes, strict=True) if not one.error)
        try:
            self.queue.subscriptions.publish(record, stored)
        except QueueError as error:
            return [one if one.error else Posted(one.id, error) for one in posted]
        return posted

    def _new(self, message: NewMessage, record: Record, client_id: str, shard: int) -> tuple[str, Envelope]:
        attributes, options = record.attributes, self.queue.options(record)
        ttl = self.ttl(message, record)
        delay = attributes.get('_default_message_delay') or options.default_message_delay
        if message.delay is not None:
            delay = check_integer('delay', message.delay, 0, options.max_message_delay)
        message_id = self.engine.ids.new(delay, shard)
        available_at = ids.available_at(message_id)
        return message_id, Envelope(
            body=message.body, created_at=available_at - delay, ttl=ttl, delay=delay,
            expires_at=available_at + ttl, client_id=client_id, attributes=message.attributes or {},
            group=message.group)

    def ttl(self, message: NewMessage, record: Record) -> int:
        """That of a new message, in seconds. Raises Invalid."""
        options = self.queue.options(record)
        if message.ttl is not None:
            return check_integer('ttl', message.ttl, options.min_message_ttl, options.max_message_ttl)
        return record.attributes.get('_default_message_ttl') or options.default_message_ttl

    def _post(self, record: Record, message_id: str, envelope: Envelope, size: int) -> Posted:
        def store(record: Record) -> None:
            nonlocal message_id
            message_id = record.fit(message_id)  # the queue may be another one by now
            self.store(record, message_id, envelope, envelope.created_at)
        try:
            check_size('The message', size, max_message_size(record.attributes, self.queue.options(record)))
            try:
                self.queue.with_generation(store, record=record)
            except Unavailable:
                if not record.may_lose(message_id):
                    raise
                message_id = ids.in_shard(message_id, self.engine.random_bits(32) % record.shards)
                self.queue.with_generation(store, record=record)  # an ordinary one, then
        except QueueError as error:
            return Posted(message_id, error)
        return Posted(message_id)

    def store(self, record: Record, message_id: str, envelope: Envelope, timestamp: float, *,
              mine: Callable[[Response], bool] | None = None) -> bool:
        """Store one message. With one timestamp, a repeated store never brings back what was acked since.

        False if it was. ``mine`` says of what is there already whether it is to be stored again. In a FIFO queue the
        message is listed by a majority of replicas then, and nobody passes it over. Raises GenerationGone,
        QuotaExceeded, Unavailable.
        """
        content = envelope.content()
        etag = md5(content, usedforsecurity=False).hexdigest()
        headers = {'X-Delete-At': str(delete_at(envelope.expires_at))} | envelope.row(etag, self.engine.inline_limit)
        stored = self.swift.store(self.queue.shards(record).messages(message_id), message_name(message_id), content,
                                  headers, timestamp, mine=mine)
        if stored and record.fifo:
            self.show(record, message_id, envelope, timestamp)
        return stored

    def show(self, record: Record, message_id: str, envelope: Envelope, timestamp: float) -> None:
        """Have a majority of the container's replicas list a message that is stored. Raises Unavailable."""
        content = envelope.content()
        etag = md5(content, usedforsecurity=False).hexdigest()
        if not self.engine.encrypted:  # else whoever needs it reads the message
            etag, = envelope.row(etag, self.engine.inline_limit).values()
        self.swift.show(self.queue.shards(record).messages(message_id), message_name(message_id), etag, len(content),
                        timestamp)

    # -- read --

    def list(self, marker: str | None = None, limit: int | None = None, *, client_id: str | None = None,
             include_claimed: bool = False, include_delayed: bool = False, wait: int = 0,
             show_claims: bool = False, after: str | None = None, most: int | None = None) -> Page:
        """A page of messages, oldest first, that come after the marker, or after a message if ``after`` is its id.

        ``client_id``: leave out this client's own. ``show_claims``: tell of each message who holds it, also where that
        does not matter for what is listed. The page's marker is never None, so that a reader can come
        back for what is posted later. ``wait`` is for how many seconds to wait for the first message, and ``most`` the
        most that ``limit`` may be. Raises Invalid, QueueNotFound, Unauthorized, Forbidden, Unavailable.
        """
        self.queue.allow('read')
        most = most or self.engine.options.max_messages_per_page
        limit = min(10, most) if limit is None else check_integer('limit', limit, 1, most)
        position = Marker.parse(marker) if after is None else Behind(after)
        if position is None:
            return Page([])
        page = Page([], str(position))

        def look() -> Page | None:
            nonlocal page
            page = self.queue.with_generation(
                lambda record: self._list(record, position, limit, client_id, include_claimed, include_delayed,
                                          show_claims))
            return page if page.items else None

        def sees(entry: Entry, now: float) -> bool:
            if position.has(entry.id):
                return False
            if entry.envelope is None:  # only the message itself could tell
                return include_delayed or ids.available_at(entry.id) <= now
            return (now < entry.keep_until and (include_delayed or available(entry.id, entry.envelope, now))
                    and self._is_shown(entry, now, client_id, include_claimed))

        self.engine.waiting.read(self.queue, look, wait, sees, position.start, include_delayed)
        return page

    def _list(self, record: Record, position: Marker | Behind, limit: int, client_id: str | None,
              include_claimed: bool, include_delayed: bool, show_claims: bool) -> Page:
        found: list[Entry] = []
        done: list[str] = []
        scan_from, asked, up_to = position.start, limit + len(position.seen), ''
        for _ in range(_SCAN):
            now = self.engine.clock()
            listed = self._page(record, scan_from, asked, include_delayed, include_claimed and not show_claims)
            for entry in self._since(record, listed):
                if len(found) == limit:
                    break
                up_to = entry.id
                if position.has(entry.id):
                    continue
                if entry.envelope is None or now >= entry.keep_until:
                    done.append(entry.id)
                elif include_delayed or available(entry.id, entry.envelope, now):
                    done.append(entry.id)
                    if self._is_shown(entry, now, client_id, include_claimed):
                        found.append(entry)
            if len(found) == limit:
                break
            if listed.complete:
                up_to = ''  # the end of the queue
                break
            scan_from, asked = listed.entries[-1].id, min(2 * asked, _MOST_ROWS)
        messages = self.swift.at_most(lambda entry: self._complete(record, entry), found)
        return Page([message for message in messages if message],
                    str(position.after(done, listed.listed_at, up_to)))

    def _page(self, record: Record, after: str, limit: int, include_delayed: bool, without_claims: bool) -> Listed:
        """A page that this process may have listed a moment ago for somebody else."""
        head = self.queue.head(record)

        def listing() -> Listed:
            now = self.engine.clock()
            entries, complete = self._entries(record, after, limit, None if include_delayed else now,
                                              with_claims=not without_claims)
            if without_claims and any(now >= entry.keep_until for entry in entries):
                note_claims(entries, self.queue.shards(record))  # a claim may keep a message beyond its ttl
            return Listed(entries, complete, now)

        key = (*self.queue.key, record.generation, *record.shard_numbers, after, limit, include_delayed, without_claims)
        return self.engine.pages.get(key, lambda: (self.swift.cache.bell(self.queue.name), head.rings), listing)

    def _since(self, record: Record, listed: Listed) -> Iterator[Entry]:
        """The page's entries, with what this process did about them after it was listed."""
        known = self.queue.head(record).known
        for entry in listed.entries:
            now = known.get(entry.id)
            if now and now.seen_at >= listed.listed_at:
                if now.gone:
                    entry = replace(entry, envelope=None)
                elif now.delivery >= entry.delivery:
                    entry = replace(entry, delivery=now.delivery, claim=now.claim)
            yield entry

    def _is_shown(self, entry: Entry, now: float, client_id: str | None, include_claimed: bool) -> bool:
        own = client_id is not None and entry.envelope.client_id == client_id
        held = not include_claimed and entry.claim is not None and entry.claim.live(now)
        return not own and not held

    def _entries(self, record: Record, after: str, limit: int, until: float | None, *,
                 with_claims: bool) -> tuple[list[Entry], bool]:
        """One page of rows as entries, and whether there are no more.

        ``until`` leaves out what a delay keeps back beyond that instant.
        """
        shards = self.queue.shards(record)
        rows, complete = shards.page(
            limit, message_name(after) if after else '',
            message_name(ids.floor(until + CLOCK_SKEW)) if until is not None else '')
        entries = [read_row(row) for row in rows]
        if with_claims:
            note_claims(entries, shards)
        plain = [entry for entry in entries if entry.envelope is None]
        for entry, envelope in zip(plain, self.swift.at_most(lambda entry: self._look_at(record, entry.id), plain),
                                   strict=True):
            entry.envelope = envelope
        return entries, complete

    def _complete(self, record: Record, entry: Entry) -> Message | None:
        """The message of a row, from its object where the row did not hold it whole."""
        envelope = entry.envelope
        if envelope is not None and not envelope.complete:
            envelope = self._look_at(record, entry.id)
        return envelope and self.message(entry.id, envelope, entry.claim, entry.delivery)

    def _look_at(self, record: Record, message_id: str) -> Envelope | None:
        """:meth:`read` of one among many, for which an ephemeral message that cannot be read is not there."""
        try:
            return self.read(record, message_id)
        except Unavailable:
            if not record.may_lose(message_id):
                raise
            return None

    def read(self, record: Record, message_id: str, *, newest: bool = False) -> Envelope | None:
        """The stored message, None if it was acked or has expired; unless it is the ``newest``, that may be old news.

        Raises Unavailable.
        """
        read = self.swift.get_newest if newest else self.swift.get
        response = read(self.queue.shards(record).messages(message_id), message_name(message_id))
        return response and parse_envelope(json.loads(response.body))

    def message(self, message_id: str, envelope: Envelope, claim: ClaimState | None = None,
                deliveries: int = 0) -> Message:
        """What a caller sees of it."""
        now = self.engine.clock()
        live = claim is not None and claim.live(now)
        held_until = max(claim.expires_at if live else 0,
                         0 if available(message_id, envelope, now) else ids.available_at(message_id))
        return Message(
            id=message_id, body=envelope.body, ttl=envelope.ttl, delay=envelope.delay,
            created_at=envelope.created_at, available_at=ids.available_at(message_id),
            expires_at=envelope.expires_at, client_id=envelope.client_id, attributes=envelope.attributes,
            claim_id=self.queue.sign(claim.claim) if live and claim.claim else None,
            deliveries=max(0, deliveries - envelope.claims_before), source=envelope.source,
            deliveries_before=envelope.deliveries_before, group=envelope.group,
            deduplication=envelope.deduplication, name=envelope.name, held_until=held_until)

    def get(self, message_ids: list[str]) -> list[Message]:
        """Those of the messages that are there, in the order asked for.

        Raises QueueNotFound, Unauthorized, Forbidden, Unavailable.
        """
        self.queue.allow('read')
        wanted = [each for each in dict.fromkeys(message_ids) if ids.is_id(each)]
        return self.queue.with_generation(lambda record: [
            message for message in self.swift.at_most(lambda each: self._get(record, each), wanted) if message])

    def _get(self, record: Record, message_id: str) -> Message | None:
        envelope = self.read(record, message_id)
        if envelope is None:
            return None
        delivery, claim = self.last_claim(record, message_id)
        if self.engine.clock() >= max(envelope.expires_at, claim.keep_until if claim else 0):
            return None
        return self.message(message_id, envelope, claim, delivery)

    def last_claim(self, record: Record, message_id: str) -> tuple[int, ClaimState | None]:
        """The message's last delivery number and what its row says of that claim; (0, None) before the first."""
        try:
            claims = claims_between(self.swift, self.queue.shards(record).claims(message_id), message_id, message_id)
        except GenerationGone:
            if record.fit(message_id) == message_id:
                raise
            return 0, None  # the id is made up: the queue has no such shard
        return claims.get(message_id, (0, None))

    # -- delete --

    def delete(self, message_ids: list[str]) -> None:
        """Delete messages without a receipt, claimed or not; what is not there is no error.

        Raises QueueNotFound, Unauthorized, Forbidden, Unavailable; then some may be deleted, and the same call
        may be made again.
        """
        self.queue.allow('write')
        record = self.queue.record()
        wanted = [name for each in dict.fromkeys(message_ids) if ids.is_id(each) for name in record.called(each)]

        def delete(message_id: str) -> None:
            self.remove(record, message_id)
            ClaimObjects(self.queue, record).forestall(message_id)
        for error in self._attempt_each(delete, wanted):
            if error:
                raise error

    def remove_all(self, record: Record, message_ids: list[str]) -> list[QueueError | None]:
        """:meth:`remove` of each, and what went wrong with it."""
        return self._attempt_each(lambda message_id: self.remove(record, message_id), message_ids)

    def _attempt_each(self, act: Callable[[str], None], message_ids: list[str]) -> list[QueueError | None]:
        def attempt(message_id: str) -> QueueError | None:
            try:
                act(message_id)
            except QueueError as error:
                return error
            return None
        return self.swift.at_most(attempt, message_ids)

    def delete_unclaimed(self, message_id: str) -> None:
        """Delete a message unless somebody holds it. Raises MessageClaimed, and what :meth:`delete` raises."""
        self.queue.allow('write')
        if ids.is_id(message_id):
            self.queue.with_generation(lambda record: [
                self._delete_unclaimed(record, each) for each in record.called(message_id)])

    def _delete_unclaimed(self, record: Record, message_id: str) -> None:
        objects = ClaimObjects(self.queue, record)
        # As a claimer does: or the two of us may both be told 201, and whoever comes next would believe our claim.
        alone = self.swift.cache.enter_gate(objects.container(message_id), claim_name(message_id, 1),
                                            self.engine.options.gate_seconds)
        if not (alone and objects.forestall(message_id)):
            listed, _ = self.last_claim(record, message_id)
            claims = objects.open(message_id, objects.last(message_id, listed))
            if any(claim.live(self.engine.clock()) for _, claim in claims):
                if self.read(record, message_id, newest=True) is None:
                    return  # it was acked; the claim object outlives it
                raise MessageClaimed('The message is claimed; its claim id is needed to delete it.')
        self.remove(record, message_id)
        if not alone:
            objects.forestall(message_id)

    def remove(self, record: Record, message_id: str) -> None:
        """The end of a message. Only for who has the right to: it leaves a tombstone whatever is there."""
        container, name = self.queue.shards(record).messages(message_id), message_name(message_id)
        deleted_at = self.swift.delete(container, name)
        self.queue.head(record).forget(message_id, self.engine.clock())
        if record.fifo:
            self._let_group_go_on(container, name, deleted_at)

    def _let_group_go_on(self, container: str, name: str, deleted_at: float) -> None:
        """Where its row stayed, the group of a message that is gone would wait until its claim runs out."""
        try:
            self.swift.hide(container, name, deleted_at)
        except QueueError as error:
            self.swift.logger.warning('swiftqueue: %r waits for late rows: %s', container, error)
        self.queue.ring()

    # -- count --

    def stats(self) -> Stats:
        """Counts of what is neither acked nor expired."""
        return self.queue.with_generation(self._stats)

    def _stats(self, record: Record) -> Stats:
        now, queue_delay = self.engine.clock(), record.attributes.get('_default_message_delay') or 0
        total = claimed = delayed = 0
        oldest = newest = None
        after, complete = '', False
        while not complete:
            page, complete = self._entries(record, after, LISTING_LIMIT, None, with_claims=True)
            for entry in page:
                if entry.envelope is None or now >= entry.keep_until:
                    continue
                total += 1
                claimed += bool(entry.claim and entry.claim.live(now))
                if record.fifo:
                    delayed += bool(queue_delay) and now < entry.envelope.created_at + queue_delay
                else:
                    delayed += not available(entry.id, entry.envelope, now)
                oldest, newest = oldest or entry, entry
            after = page[-1].id if page else ''
        return Stats(total, claimed, delayed, *(
            entry and self.message(entry.id, entry.envelope, entry.claim, entry.delivery)
            for entry in (oldest, newest)))
