"""The janitor: removes what queues leave behind in Swift.

=======================================  ============================================================
left behind                              what becomes of it
=======================================  ============================================================
claims whose message was acked           deleted, once nobody can see the message's row any more
names of messages that are gone          the pointers from them are deleted
messages that expired, their rows left   deleted, where Swift's own expirer did not
deduplication ids that expired           the same
a generation that a purge ended          emptied; what was posted to it after the purge is moved
the generations of a deleted queue       emptied, because they are marked as ended
subscriptions that ended, or whose       deleted, and what is on its way to their webhooks; so is what the notifier
queue did                                has not brought to the subscribers of a deleted queue
queues that nobody has used for as long  deleted, if there is nothing in them
as their owner lets them be idle
empty containers of no queue             deleted after a day
messages of no queue, without a mark     left alone: the operator is told
=======================================  ============================================================

Everything it does may be done again, by another janitor too and at the same time, and it may die between any two
steps. Two rules keep it from doing harm. It takes nothing for gone or over on one replica's word: it asks all of
them, and comes back later if one is silent. And it removes nothing for want of something: only for a mark that says
so, for a later record, or for a message's tombstone.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import md5
from itertools import chain, groupby, islice
from operator import attrgetter
from typing import Any

from eventlet import Timeout

from swiftqueue import idle, ids
from swiftqueue.errors import QueueError, Unavailable
from swiftqueue.fifo import WINDOW
from swiftqueue.head import CLOCK_SKEW
from swiftqueue.janitor_replicas import Objects, Replicas
from swiftqueue.names import (
    CLAIM,
    CLAIMS_END,
    ENDED,
    NAMED,
    NAMED_END,
    NUL,
    POINTS_TO,
    WEBHOOK,
    Record,
    claims_container,
    decode_row,
    message_name,
    messages_container,
    parse_claim,
    parse_claim_header,
    parse_claim_state,
    parse_container,
    parse_envelope,
    parse_message,
    parse_published,
    parse_record,
    parse_subscription,
    pointer_content,
    pointer_headers,
    pointer_name,
    published_container,
    queue_container,
    queue_of,
    sent_container,
    subscription_name,
)
from swiftqueue.swift import TICK, GenerationGone, Response, Swift, modified_at

PAGE = 1000  # rows in one listing
WRITES = 5000  # in one queue, before the next one has its turn

Row = dict[str, Any]


@dataclass(frozen=True)
class Ages:
    """How long, in seconds, things are left alone that somebody may still need."""

    retention: float = 60  # a claim after its message's end or its own, a message after its expiry
    settled: float = 600  # a generation's containers after its end: no request is under way that long
    untraced: float = 3600  # a claim whose message left not even a tombstone
    orphaned: float = 86400  # empty containers that no queue knows of


@dataclass
class Tally:
    """What one pass did; in a dry run, what it would have done."""

    queues: int = 0  # looked at
    claims: int = 0  # claim objects removed
    messages: int = 0  # removed
    moved: int = 0  # messages moved to their queue's present generation
    containers: int = 0  # removed
    unfinished: int = 0  # queues with more to do
    errors: int = 0  # queues left for the next pass because something failed
    seconds: float = 0

    def __str__(self) -> str:
        return (f'{self.queues} queues seen; removed: {self.claims} claims, {self.messages} messages, '
                f'{self.containers} containers; moved: {self.moved} messages; {self.unfinished} queues '
                f'unfinished; {self.errors} errors; {self.seconds:.1f} seconds')


class _Enough(Exception):
    """This queue has had its share of the pass."""


class Janitor:
    """Cleans queues, and remembers from pass to pass how far it has looked.

    ``swift`` makes the sub-requests for one account. ``pace`` is called before every write, ``say`` with
    every write in words.
    """

    def __init__(self, swift: Callable[[str], Swift], replicas: Replicas, logger: logging.Logger, *,
                 ages: Ages | None = None, dry_run: bool = False, page: int = PAGE,
                 pace: Callable[[], None] = lambda: None, say: Callable[[str], None] = lambda text: None):
        self.swift = swift
        self.replicas = replicas
        self.logger = logger
        self.ages = ages or Ages()
        self.dry_run = dry_run
        self.page = page
        self.pace = pace
        self.say = say
        self.warned: set[tuple[str, str]] = set()
        self.idle_at: dict[tuple[str, str], float] = {}  # when a queue that has been seen may have been idle too long
        self.unfinished: list[tuple[str, str]] = []  # queues that the last sweep left with more to do
        self.cursors: dict[tuple[str, str], str] = {}  # (account, container): last row looked at for its expiry

    def sweep(self, queues: Iterable[tuple[str, str]], *, thorough: bool = False) -> Tally:
        """Clean these queues, given as (account, queue); what fails in one does not stop the others.

        Unless ``thorough``, a queue with very much to clean is left unfinished.
        """
        tally, began = Tally(), time.monotonic()
        self.unfinished = []
        for account, queue in queues:
            tally.queues += 1
            self.idle_at.pop((account, queue), None)
            try:
                _Visit(self, account, queue, tally, thorough).run()
            except _Enough:
                tally.unfinished += 1
                self.unfinished.append((account, queue))
            except QueueError as error:
                tally.errors += 1
                self.logger.warning('swiftqueue: %s/%s is left for the next pass: %s', account, queue, error)
            except (Exception, Timeout):
                tally.errors += 1
                self.logger.exception('swiftqueue: cleaning %s/%s failed', account, queue)
        tally.seconds = time.monotonic() - began
        return tally


def queues_of(swift: Swift) -> list[tuple[str, str]]:
    """(account, queue) of all that the account has or had and not everything of is gone. Raises Unavailable."""
    names: set[str] = set()
    marker = ''
    while rows := swift.listing(prefix=NUL, marker=marker):
        marker = rows[-1]['name']
        names |= {queue for row in rows if (queue := queue_of(row['name']))}
    return [(swift.account, name) for name in sorted(names)]


@dataclass(frozen=True)
class _Generation:
    """One shard of one generation of a queue as the account lists it."""

    name: str
    messages: str  # container
    claims: str  # container
    sent: str  # container, '' if it has none
    put_at: float  # when the younger of them was created or marked
    has_messages: bool
    has_claims: bool


class _Visit:
    """One look at one queue."""

    def __init__(self, janitor: Janitor, account: str, queue: str, tally: Tally, thorough: bool):
        self.janitor = janitor
        self.ages = janitor.ages
        self.swift = janitor.swift(account)
        self.account = account
        self.queue = queue
        self.tally = tally
        self.thorough = thorough
        self.writes = 0

    def run(self) -> None:
        generations = self._generations()
        # Only now: whoever wrote into a generation had read a record that names it. So the record is that
        # one or a later one, and a generation with something in it that the record does not name is over.
        record = self._record()
        if record and self._give_up_if_unused(record, generations):
            return
        for name, shards in groupby(generations, lambda generation: generation.name):
            if record and name == record.generation:
                for shard in shards:
                    self._tidy(shard)
            else:
                self._over(list(shards), record)
        self._look_at_subscriptions(record)

    def _generations(self) -> list[_Generation]:
        put_at: dict[tuple[str, int], float] = {}
        sent: dict[tuple[str, int], str] = {}
        for prefix in (messages_container(self.queue), claims_container(self.queue, '').removesuffix(NUL + '0'),
                       sent_container(self.queue)):
            for row in self.swift.listing(prefix=prefix):
                if found := parse_container(row['name']):
                    put_at[found[2:]] = max(put_at.get(found[2:], 0), modified_at(row))
                    if found[0] == 'sent':
                        sent[found[2:]] = row['name']
        return [self._generation(*each, sent.get(each, ''), put_at[each]) for each in sorted(put_at)]

    def _generation(self, name: str, shard: int, sent: str, put_at: float) -> _Generation:
        messages, claims = messages_container(self.queue, name, shard), claims_container(self.queue, name, shard)
        return _Generation(name, messages, claims, sent, put_at, self._holds_any(messages), self._holds_any(claims))

    def _holds_any(self, container: str) -> bool:
        try:
            return bool(self.swift.listing(container, limit=1))
        except GenerationGone:
            return False

    def _record(self) -> Record | None:
        """The record, if all replicas agree. To one that missed a purge, the living generation would be over."""
        headers = self.janitor.replicas.headers(self.account, queue_container(self.queue))
        found = [parse_record(each) for each in headers]
        if len({record and record.generation for record in found}) > 1:
            raise Unavailable('The replicas of its record do not agree.')
        if found[0] is None:
            self._remove_given_up(headers)
            return None
        same = all(record.attributes == found[0].attributes for record in found)
        return replace(found[0], shards=max(record.shards for record in found),
                       used_at=max(record.used_at for record in found), attributes=found[0].attributes if same else {})

    # -- queues that nobody uses --

    def _give_up_if_unused(self, record: Record, generations: list[_Generation]) -> bool:
        """Mark the record if the queue is idle for longer than its owner lets it be and no replica has anything of it.

        What should come late into its containers is kept, a day from now on, and moved if the queue is created again.
        """
        idle_at = idle.idle_at(record)
        if idle_at is None or record.subscribed_at or record.moving:
            return False
        if self.swift.clock() < idle_at + CLOCK_SKEW:
            self.janitor.idle_at[self.account, self.queue] = idle_at + CLOCK_SKEW
            return False
        containers = {container for generation in generations for container in (generation.messages, generation.claims)}
        for shard in record.shard_numbers:  # which the account's listing may be late with
            containers |= {messages_container(self.queue, record.generation, shard),
                           claims_container(self.queue, record.generation, shard)}
        if any(int(headers.get('x-container-object-count', 0)) for container in containers
               for headers in self.janitor.replicas.headers(self.account, container)):
            return False
        for generation in generations:
            self._write(f'keep container {generation.messages!r} for a day', self.swift.post_container,
                        generation.messages, {})
        self._write(f'give up queue {self.queue}, which nobody uses', idle.mark, self.swift, self.queue, record)
        self.janitor.idle_at[self.account, self.queue] = self.swift.clock() + self.ages.settled
        return True

    def _remove_given_up(self, headers: list[dict[str, str]]) -> None:
        """Delete a record that all replicas have marked for so long that nobody can have read it without the mark."""
        marks = [idle.marked_at(each) for each in headers]
        if all(marks) and self.swift.clock() - max(map(idle.given_up_at, headers)) >= self.ages.settled:
            self._write(f'delete queue {self.queue}', self.swift.delete_container, queue_container(self.queue),
                        max(marks))

    # -- generations that are over --

    def _over(self, shards: list[_Generation], record: Record | None) -> None:
        headers = [self.janitor.replicas.headers(self.account, shard.messages) for shard in shards]
        ended_at = max(map(_ended_at, headers))
        for shard, own in zip(shards, headers, strict=True):
            if ended_at and not _ended_at(own):  # one that whoever deleted the queue did not know of
                self._write(f'mark {shard.messages!r} as ended', self.swift.post_container, shard.messages,
                            {ENDED: f'{ended_at:.5f}'})
        for shard, own in zip(shards, headers, strict=True):
            if record:
                self._outdated(shard, record, own, ended_at)
            else:
                self._without_record(shard, ended_at)

    def _outdated(self, generation: _Generation, record: Record, headers: list[dict[str, str]],
                  ended_at: float) -> None:
        cutoff = ended_at = max(ended_at, record.purged_at)
        created_at = min((Response(204, each, b'').timestamp for each in headers if each), default=0)
        if created_at > cutoff + CLOCK_SKEW:
            # Two proxies created the queue at once, and this is the one that lost. What is in it was all
            # posted since, even a dead letter that is much older itself.
            cutoff = 0
        self._empty(generation, cutoff, record)
        self._drop(generation, ended_at)

    def _without_record(self, generation: _Generation, ended_at: float) -> None:
        now = self.swift.clock()
        if ended_at:
            if now - ended_at >= self.ages.retention:
                self._empty(generation, math.inf, None)
                self._drop(generation, ended_at)
        elif not (generation.has_messages or generation.has_claims):
            if now - generation.put_at >= self.ages.orphaned:
                self._drop(generation, 0)
        elif (self.account, generation.messages) not in self.janitor.warned:
            self.janitor.warned.add((self.account, generation.messages))
            self.janitor.logger.warning(
                'swiftqueue: orphan: %r in %s has messages or claims, but no queue %s exists and nothing says that '
                'it was deleted', generation.messages, self.account, self.queue)

    def _empty(self, generation: _Generation, cutoff: float, target: Record | None) -> None:
        """Delete everything, but move to the queue as it is now what was posted after ``cutoff``."""
        if generation.has_messages:
            for rows in self._pages(generation.messages):
                self._each(lambda row: self._dispose(generation, row, cutoff, target), rows)
        if generation.has_claims:
            for rows in self._pages(generation.claims):
                self._delete_claims(generation, ([row] for row in rows))
        self._forget_sent(generation, 0)

    def _dispose(self, generation: _Generation, row: Row, cutoff: float, target: Record | None) -> None:
        there = None
        if ids.available_at(parse_message(row['name'])) > cutoff:  # it was posted then or before, by its delay
            there = self.swift.get_newest(generation.messages, row['name'])
        envelope = there and parse_envelope(json.loads(there.body))
        if envelope and envelope.created_at > cutoff and envelope.expires_at > self.swift.clock():
            self._write(f'move message {parse_message(row["name"])} of generation {generation.name}',
                        self._move, generation, row, there, target)
            self.tally.moved += 1
        else:
            self._delete_message(generation, row)

    def _move(self, generation: _Generation, row: Row, there: Response, target: Record) -> None:
        """Store first, then delete. Stored under its own instant, a repeated move never brings back what was acked."""
        value = decode_row(row['hash'])
        limit = len(row['hash']) if value and 'body' in value else 0  # what its proxy allowed for the row
        message_id = target.fit(parse_message(row['name']))
        content, envelope = there.body, parse_envelope(json.loads(there.body))
        if envelope.name and not self._point(target, envelope.name, message_id, there.timestamp):
            envelope = replace(envelope, name='')  # there it is another message's
            content = envelope.content()
        headers = envelope.row(md5(content, usedforsecurity=False).hexdigest(), limit)
        container = messages_container(self.queue, target.generation, ids.shard_of(message_id))
        self.swift.store(container, message_name(message_id), content,
                         headers | {'X-Delete-At': there.headers['x-delete-at']}, there.timestamp,
                         mine=attrgetter('untouched'))
        self.swift.delete(generation.messages, row['name'])

    def _point(self, target: Record, name: str, message_id: str, timestamp: float) -> bool:
        """Whether the name now leads to the message in the queue's present generation."""
        container, pointer, content = claims_container(self.queue, target.generation), pointer_name(name), \
            pointer_content(name, message_id)
        self.swift.create(container, pointer, content, pointer_headers(content, message_id), timestamp)
        there = self.swift.head_newest(container, pointer)
        return there is not None and there.headers[POINTS_TO.lower()] == message_id

    def _drop(self, generation: _Generation, ended_at: float) -> None:
        """Delete the containers, the messages' last, since it has the mark; not before it is sure that they are empty.

        A container deleted on two replicas would come back with the rows of the third, but without its mark.
        """
        if self.swift.clock() - max(ended_at, generation.put_at) < self.ages.settled:
            return
        self._drop_empty(*filter(None, (generation.sent, generation.claims, generation.messages)))

    def _drop_empty(self, *containers: str) -> None:
        """Delete the containers in this order, up to the first that a replica has something in."""
        for container in containers:
            found = [headers for headers in self.janitor.replicas.headers(self.account, container) if headers]
            if any(int(headers['x-container-object-count']) for headers in found):
                return
            if not found:
                continue
            if self._write(f'delete container {container!r}', self.swift.delete_container, container) is False:
                return
            self.tally.containers += 1

    # -- subscriptions --

    def _look_at_subscriptions(self, record: Record | None) -> None:
        for row in self.swift.listing(prefix=published_container(self.queue)):
            container, (_, born) = row['name'], parse_published(row['name'])
            if record and born == record.born:
                for rows in self._pages(container, subscription_name(), subscription_name()[:-1] + '\x01'):
                    self._each(lambda row: self._remove_if_ended(container, row), rows)  # noqa: B023
                continue
            ended_at = _ended_at(self.janitor.replicas.headers(self.account, container))
            if record and born < record.born:
                ended_at = ended_at or record.begun_at
            if ended_at and self.swift.clock() - ended_at >= self.ages.retention:
                for rows in self._pages(container):
                    self._each(lambda row: self._remove_published(container, row['name']), rows)  # noqa: B023
                if self.swift.clock() - max(ended_at, modified_at(row)) >= self.ages.settled:
                    self._drop_empty(container)

    def _remove_if_ended(self, container: str, row: Row) -> None:
        """A row may be late, and an object say that somebody has renewed it."""
        if value := decode_row(row['hash']):
            if self.swift.clock() - parse_subscription(value).expires_at < self.ages.retention:
                return
        there = self.swift.get_newest(container, row['name'])
        if there and self.swift.clock() - parse_subscription(json.loads(there.body)).expires_at >= self.ages.retention:
            self._remove_published(container, row['name'], there.timestamp + TICK)

    def _remove_published(self, container: str, name: str, as_of: float | None = None) -> None:
        """A subscription, its webhook first, or what was posted for all of them."""
        if name.startswith(subscription_name()):
            self._end(WEBHOOK + name.removeprefix(subscription_name()))
        self._write(f'delete {name!r} in {container!r}', self.swift.delete_as_of, container, name,
                    self.swift.clock() if as_of is None else as_of)

    def _end(self, queue: str) -> None:
        """Delete a queue as its owner would."""
        containers = [row['name'] for row in self.swift.listing(prefix=messages_container(queue))]
        for container in containers:
            self._write(f'mark {container!r} as ended', self.swift.post_container, container,
                        {ENDED: f'{self.swift.clock():.5f}'})
        if containers:
            self._write(f'delete queue {queue}', self.swift.delete_container, queue_container(queue))

    # -- the generation that the record names --

    def _tidy(self, generation: _Generation) -> None:
        if generation.has_claims:
            self._remove_finished_claims(generation)
            self._remove_idle_pointers(generation)
        if generation.has_messages:
            self._remove_expired_messages(generation)
        self._forget_sent(generation, WINDOW + self.ages.retention)

    def _forget_sent(self, generation: _Generation, age: float) -> None:
        """Delete the deduplication ids that are as old as that; most have expired, and the object expirer was there."""
        for rows in self._pages(generation.sent) if generation.sent else ():
            self._each(lambda row: self._write(f'forget a deduplication id of generation {generation.name}',
                                               self.swift.delete, generation.sent, row['name']),
                       [row for row in rows if self.swift.clock() - modified_at(row) >= age])

    def _remove_finished_claims(self, generation: _Generation) -> None:
        rows = chain.from_iterable(self._pages(generation.claims, end_marker=CLAIMS_END))
        claims = ((message_id, list(deliveries)) for message_id, deliveries in
                  groupby(rows, lambda row: parse_claim(row['name'])[0]))
        while batch := dict(islice(claims, self.janitor.page)):
            over = {message_id: deliveries for message_id, deliveries in batch.items()
                    if self._is_over(generation, deliveries[-1])}
            if over:
                # Right below the first, and right behind the last.
                marker, end_marker = message_name(min(over))[:-1], message_name(max(over)) + '\x01'
                for page in self._pages(generation.messages, marker, end_marker):
                    for row in page:
                        over.pop(parse_message(row['name']), None)
            if gone := over and self._gone(generation, over):
                self._unlist(generation, gone)
                self._delete_claims(generation, [over[message_id] for message_id in gone])

    def _remove_idle_pointers(self, generation: _Generation) -> None:
        """Those from names to messages that are gone, one page a pass, as with expired messages.

        Each as it was when it was listed: a sender may have it point to a new message at any moment.
        """
        key, settled = (self.account, generation.claims), self.swift.clock() - self.ages.settled
        while True:
            rows = self.swift.listing(generation.claims, marker=self.janitor.cursors.pop(key, NAMED),
                                      end_marker=NAMED_END, limit=self.janitor.page)
            old = [row for row in rows if modified_at(row) < settled]
            leads_to = dict(zip(self._each(lambda row: self._leads_to(generation, row), old), old, strict=True))
            gone = set(leads_to) - self._listed(generation, leads_to)
            self._each(lambda message_id: self._remove_if_idle(generation, message_id, leads_to[message_id]),  # noqa: B023
                       sorted(gone))
            if len(rows) < self.janitor.page:
                return
            self.janitor.cursors[key] = rows[-1]['name']
            if not self.thorough:
                return

    def _leads_to(self, generation: _Generation, row: Row) -> str:
        """The id of the message that a pointer leads to; '' if another janitor was faster."""
        if value := decode_row(row['hash']):
            return value['id']
        there = self.swift.head_newest(generation.claims, row['name'])
        return there.headers[POINTS_TO.lower()] if there else ''

    def _listed(self, generation: _Generation, message_ids: Iterable[str]) -> set[str]:
        """Those of the messages that one page of each of their shards shows; it saves asking for each."""
        shards: dict[str, list[str]] = {}
        for each in filter(None, message_ids):
            container = messages_container(self.queue, generation.name, ids.shard_of(each))
            shards.setdefault(container, []).append(message_name(each))
        return {parse_message(row['name']) for container, names in shards.items()
                for row in self.swift.listing(container, marker=min(names)[:-1], limit=self.janitor.page)}

    def _remove_if_idle(self, generation: _Generation, message_id: str, row: Row) -> None:
        container = messages_container(self.queue, generation.name, ids.shard_of(message_id)) if message_id else ''
        if container and self.swift.head_newest(container, message_name(message_id)) is None:
            self._write(f'forget the name of message {message_id} of generation {generation.name}',
                        self.swift.delete_as_of, generation.claims, row['name'], modified_at(row) + TICK)

    def _is_over(self, generation: _Generation, row: Row) -> bool:
        """Whether the claim ended a while ago, and was neither made nor changed lately."""
        now = self.swift.clock()
        if now - modified_at(row) < self.ages.retention:
            return False
        value = decode_row(row['hash'])
        if value is not None:
            state = parse_claim_state(value)
        else:
            there = self.swift.head_newest(generation.claims, row['name'])
            state = there and parse_claim_header(there.headers[CLAIM.lower()])
        return state is None or state.released or now - state.expires_at >= self.ages.retention

    def _gone(self, generation: _Generation, claims: dict[str, list[Row]]) -> dict[str, float]:
        """Those of the messages that were deleted long enough ago, and when."""
        with self.janitor.replicas.objects(self.account, generation.messages) as messages:
            found = self._each(lambda item: self._gone_at(generation, messages, *item), claims.items())
        return {message_id: gone_at for message_id, gone_at in zip(claims, found, strict=True) if gone_at}

    def _gone_at(self, generation: _Generation, messages: Objects, message_id: str, rows: list[Row]) -> float | None:
        gone_at, age = messages.deleted_at(message_name(message_id)), self.ages.retention
        if not gone_at:
            gone_at, age = self._known_gone_at(generation, message_id, rows)
        return gone_at if gone_at and self.swift.clock() - gone_at >= age else None

    def _known_gone_at(self, generation: _Generation, message_id: str, rows: list[Row]) -> tuple[float, float]:
        """When the message was deleted, as far as Swift knows, and how long ago it has to be; 0 if it was not."""
        # An expired object looks deleted, with its own instant for that of the tombstone; this tells them apart.
        message = self.swift.request('HEAD', generation.messages, message_name(message_id),
                                     headers={'X-Newest': 'true', 'X-Backend-Open-Expired': 'true'})
        if message.status == 200:
            return 0, 0
        if message.status != 404:
            raise Unavailable(f'Swift answered {message.status}.')
        # A tombstone is reclaimed in time; then the claim has to be old itself.
        if message.timestamp:
            return message.timestamp, self.ages.retention
        return modified_at(rows[-1]), self.ages.untraced

    def _unlist(self, generation: _Generation, gone: dict[str, float]) -> None:
        """Have no replica list these messages, now or later: from its listing they would be handed out again.

        One that missed both post and ack may hear of the post first, long after it has been asked.
        """
        self._write(f'mark {len(gone)} messages of generation {generation.name} as deleted',
                    self.janitor.replicas.mark_deleted, self.account, generation.messages,
                    {message_name(message_id): gone_at for message_id, gone_at in gone.items()})

    def _delete_claims(self, generation: _Generation, claims: Iterable[list[Row]]) -> None:
        """The claims of each of some messages, then their rows. If we die in between, they are deleted once more."""
        deleted_at: dict[str, float] = {}
        with self.janitor.replicas.objects(self.account, generation.claims) as objects:
            def delete(rows: list[Row]) -> None:
                for row in rows:  # the last one last: to whoever looks meanwhile, it is the last
                    now = self.swift.clock()
                    self._delete_claim(generation, objects, row, now)
                    deleted_at[row['name']] = now
            try:
                self._each(delete, claims)
            finally:
                if deleted_at:
                    self._write(f'take {len(deleted_at)} claims of generation {generation.name} off the list',
                                self.janitor.replicas.mark_deleted, self.account, generation.claims, deleted_at)

    def _remove_expired_messages(self, generation: _Generation) -> None:
        """One page a pass, on from where the last pass stopped: a long queue of large rows is costly to list."""
        key = self.account, generation.messages
        while True:
            now = self.swift.clock()
            rows = self.swift.listing(
                generation.messages, marker=self.janitor.cursors.pop(key, ''), limit=self.janitor.page,
                end_marker=message_name(ids.floor(now - self.ages.retention)))
            self._each(lambda row: self._remove_if_expired(generation, row),
                       [row for row in rows if now - _expires_at(row) >= self.ages.retention])  # noqa: B023
            if len(rows) < self.janitor.page:
                return
            self.janitor.cursors[key] = rows[-1]['name']
            if not self.thorough:
                return

    def _remove_if_expired(self, generation: _Generation, row: Row) -> None:
        """Only the object knows whether a claim made it live longer. Deleting one that has expired removes its row."""
        if self.swift.head_newest(generation.messages, row['name']) is None:
            self._delete_message(generation, row)

    # -- reading and writing --

    def _pages(self, container: str, marker: str = '', end_marker: str = '') -> Iterator[list[Row]]:
        """The container's rows, page by page. Raises _Enough in between."""
        while True:
            try:
                rows = self.swift.listing(container, marker=marker, end_marker=end_marker, limit=self.janitor.page)
            except GenerationGone:  # another janitor has been here
                return
            if rows:
                yield rows
            if len(rows) < self.janitor.page:
                return
            if self.writes >= WRITES and not self.thorough:
                raise _Enough
            marker = rows[-1]['name']

    def _each(self, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """What ``work`` makes of every item, several at once; then raises what went wrong first, if anything did."""
        def attempt(item: Any) -> Any:
            try:
                return work(item)
            except QueueError as error:
                return error
        results = self.swift.at_most(attempt, items)
        for result in results:
            if isinstance(result, QueueError):
                raise result
        return results

    def _delete_message(self, generation: _Generation, row: Row) -> None:
        self._write(f'delete message {parse_message(row["name"])} of generation {generation.name}',
                    self.swift.delete, generation.messages, row['name'])
        self.tally.messages += 1

    def _delete_claim(self, generation: _Generation, objects: Objects, row: Row, now: float) -> None:
        """Its row stays, if all replicas do as they are told."""
        def delete() -> None:
            if not objects.delete(row['name'], now):
                self.swift.delete(generation.claims, row['name'])
        message_id, delivery = parse_claim(row['name'])
        self._write(f'delete claim {delivery} of message {message_id} of generation {generation.name}', delete)
        self.tally.claims += 1

    def _write(self, words: str, work: Callable, *arguments: Any) -> Any:
        """Do it and return its result; in a dry run, only say so."""
        self.janitor.say(f'{self.account}/{self.queue}: {words}')
        self.writes += 1
        if self.janitor.dry_run:
            return None
        self.janitor.pace()
        return work(*arguments)


def _ended_at(headers: list[dict[str, str]]) -> float:
    """When the queue was deleted, by the replicas of a messages container; 0 if it was not."""
    return max((float(each.get(ENDED.lower()) or 0) for each in headers), default=0)


def _expires_at(row: Row) -> float:
    """When the message expires unless a claim keeps it; the earliest it can, where the row does not say."""
    value = decode_row(row['hash'])
    return ids.available_at(parse_message(row['name'])) if value is None else parse_envelope(value).expires_at
