"""Posting to a FIFO queue: an id that sorts behind all that was acknowledged, and each deduplication id only once.

The order of a group is that of its messages' ids, and it needs neither clocks nor memcached:

* Who posts asks a majority of the container's replicas for the last message, and takes a later id. Who posts several
  messages to a group stores the next one when the last one is stored and listed.
* A post is acknowledged when a majority of the replicas lists it (:meth:`Messages.store`).
* Who receives looks at a listing of a majority. So what was acknowledged before a message was posted is on every page
  that shows this message, with a smaller id, unless it is gone. See groups.py and head.py for the rest.

Of two messages that are posted to a group at one moment either may be the first. That also the later one is not
received first needs them to be posted one after the other; so whoever posts waits for the others, as far as memcached
can tell.

A deduplication id has an object with the id of the message that it stands for; it is written before the message and
lives for five minutes, whatever becomes of the message. Who finds one does not post again. If there is not even a
tombstone of that message, or if it is not listed, its sender died half-way, and whoever comes with the same
deduplication id takes its place: with an id of his own, since a message that comes late must not come before those that
were received meanwhile.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from swiftqueue.attributes import max_message_size
from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.errors import Invalid, QueueError, Unavailable
from swiftqueue.limits import check_size
from swiftqueue.model import NewMessage, Posted
from swiftqueue.names import (
    Envelope,
    Record,
    claim_name,
    message_name,
    parse_envelope,
    parse_message,
    sent_container,
    sent_name,
    to_json,
)
from swiftqueue.swift import TICK, GenerationGone

if TYPE_CHECKING:
    from swiftqueue.queues import Queue

WINDOW = 300  # seconds for which a deduplication id is known
_TURN_SECONDS = 10  # that a turn lasts at most, and that anybody waits for it
_PAUSE = 0.02  # seconds between looks whether it is our turn
_PATIENCE = 2  # seconds for somebody who registers the same deduplication id
_TRIES = 3


@dataclass(frozen=True)
class _Sent:
    """What a deduplication id stands for."""

    message_id: str
    created_at: float

    def content(self) -> bytes:
        return to_json({'id': self.message_id, 'created_at': self.created_at})

    def headers(self) -> dict[str, str]:
        return {'X-Delete-At': str(int(self.created_at) + WINDOW + 1)}


class Fifo:
    """Posts to one FIFO queue, on behalf of one request."""

    def __init__(self, queue: Queue):
        self.queue = queue
        self.engine = queue.engine
        self.swift = queue.swift

    def post(self, messages: list[NewMessage], client_id: str) -> list[Posted]:
        """What became of each. Where one cannot be stored now, those after it in its group fail too.

        Raises Invalid, QueueNotFound, Unavailable.
        """
        record = self.queue.record()
        for message in messages:
            if not message.group:
                raise Invalid('A message in a FIFO queue needs a message group.')
            if not (message.deduplication or record.attributes.get('_content_deduplication')):
                raise Invalid('The queue should either have ContentBasedDeduplication enabled or '
                              'MessageDeduplicationId provided explicitly')
            if message.delay:
                raise Invalid('In a FIFO queue only the queue has a delay.')
        groups: dict[str, list[int]] = {}
        for number, message in enumerate(messages):
            groups.setdefault(message.group, []).append(number)
        posted: dict[int, Posted] = {}

        def post_group(numbers: list[int]) -> None:
            failure = None
            for number in numbers:
                try:
                    if failure:
                        raise Unavailable(f'A message before it in its group failed: {failure}')
                    posted[number] = Posted(self.queue.with_generation(
                        lambda record: self._post(record, messages[number], client_id), record=record))  # noqa: B023
                except QueueError as error:
                    posted[number] = Posted('', error)
                    if not isinstance(error, Invalid):  # what can never be posted keeps nothing waiting
                        failure = error
        self.swift.at_most(post_group, groups.values())
        return [posted[number] for number in range(len(messages))]

    def _post(self, record: Record, message: NewMessage, client_id: str) -> str:
        """The message's id. Raises GenerationGone and what makes the post fail."""
        check_size('The message', message.size, max_message_size(record.attributes, self.queue.options(record)))
        ttl = self.queue.messages.ttl(message, record)
        with self.turn(record, message.group) as began:
            return self._post_now(record, message, client_id, ttl, began)

    def copy(self, record: Record, envelope: Envelope) -> None:
        """Post what was posted to another queue, in its group, behind all that is here, until it would end there.

        Not again if its deduplication id is known here. Raises GenerationGone and what makes the post fail.
        """
        message = NewMessage(envelope.body, attributes=envelope.attributes, group=envelope.group,
                             deduplication=envelope.deduplication)
        ttl = max(1, math.ceil(envelope.expires_at - self.engine.clock()))
        with self.turn(record, message.group) as began:
            self._post_now(record, message, envelope.client_id, ttl, began)

    def _post_now(self, record: Record, message: NewMessage, client_id: str, ttl: int, began: float) -> str:
        attributes = record.attributes
        ours = _Sent(self.new_id(record), self.engine.clock())
        deduplication = message.deduplication or sha256(_text(message.body)).hexdigest()
        scope = message.group if attributes.get('_deduplication_scope') == 'group' else ''
        name = sent_name(scope, deduplication)
        sent = self._register(record, name, ours)
        if sent != ours:
            if self.is_stored(record, sent.message_id):
                return sent.message_id
            self._take_over(record, name, ours)
        envelope = Envelope(
            body=message.body, created_at=ours.created_at, ttl=ttl, delay=0, expires_at=ours.created_at + ttl,
            client_id=client_id, attributes=message.attributes or {}, group=message.group,
            deduplication=deduplication)
        self.store(record, ours.message_id, envelope, began)
        if sent != ours:
            # Not before ours is stored: its sender may just now be told that all is well.
            self.queue.messages.remove(record, sent.message_id)
        return ours.message_id

    def new_id(self, record: Record) -> str:
        """An id behind that of any message that was acknowledged and is there. For whoever has his turn."""
        return self.engine.ids.after(self._last(record))

    def _last(self, record: Record) -> str:
        name = self.queue.shards(record).last()
        # What memcached knows is for sequence numbers: they rise although the last message may be gone.
        return max(parse_message(name) if name else '', self.swift.cache.last(self.queue.name) or '')

    def store(self, record: Record, message_id: str, envelope: Envelope, began: float) -> None:
        """Store a message with a :meth:`new_id` of the turn that ``began`` then. Raises GenerationGone, Unavailable."""
        if self.engine.monotonic() - began > _TURN_SECONDS / 2:
            raise Unavailable('The post took too long: others may have had their turn.')
        if not self.queue.messages.store(record, message_id, envelope, envelope.created_at):
            raise Unavailable('The post took too long: somebody else has taken it over, or has the message already.')
        self.swift.cache.set_last(self.queue.name, message_id)

    def is_stored(self, record: Record, message_id: str) -> bool:
        """Whether the message is stored, and listed then, or was stored and is gone.

        One that nobody has listed was never acknowledged. Unless somebody has claimed it, it does not count.
        """
        container, name = self.queue.shards(record).messages(message_id), message_name(message_id)
        there = self.swift.get_newest(container, name)
        if there is None:
            return self.swift.changed_at(container, name) > 0  # a delete may be under way
        listed, _ = self.swift.listing_of_most(container, marker=name[:-1], end_marker=name + '\x01', limit=1)
        if not listed and self._forestall(record, message_id):
            return False
        self.queue.messages.show(record, message_id, parse_envelope(json.loads(there.body)), there.written_at)
        return True

    def _forestall(self, record: Record, message_id: str) -> bool:
        """Whether the message was never claimed; then nobody claims it without reading it, until it is deleted."""
        objects = ClaimObjects(self.queue, record)
        gate = objects.container(message_id), claim_name(message_id, 1)
        if not self.swift.cache.enter_gate(*gate, self.engine.options.gate_seconds):
            return False
        forestalled = objects.forestall(message_id)
        if not forestalled:
            self.swift.cache.open_gate(*gate)
        return forestalled

    @contextmanager
    def turn(self, record: Record, group: str) -> Iterator[float]:
        """Nobody else posts to the group meanwhile, as far as memcached can tell and if nobody takes very long.

        Gives the instant at which it began.
        """
        where = sent_container(self.queue.name, record.generation), f'turn {group}'
        began = self.engine.monotonic()
        entered = self.swift.cache.enter_gate(*where, _TURN_SECONDS)
        while entered is False and self.engine.monotonic() - began < _TURN_SECONDS:
            self.engine.sleep(_PAUSE)
            entered = self.swift.cache.enter_gate(*where, _TURN_SECONDS)
        try:
            yield self.engine.monotonic()
        finally:
            if entered:
                self.swift.cache.open_gate(*where)

    # -- deduplication --

    def _take_over(self, record: Record, name: str, ours: _Sent) -> None:
        """Have the deduplication id stand for ours. Raises GenerationGone, Unavailable."""
        self.swift.store(sent_container(self.queue.name, record.generation), name, ours.content(), ours.headers(),
                         self.engine.clock())

    def _register(self, record: Record, name: str, ours: _Sent) -> _Sent:
        """What the deduplication id stands for: ours, if nobody sent it before. Raises GenerationGone, Unavailable.

        The protocol is that of claims (claims.py): a gate, a conditional PUT, and a look at what became of it where
        the gate could not speak.
        """
        container, options = sent_container(self.queue.name, record.generation), self.engine.options
        timestamp = ours.created_at
        for _ in range(_TRIES):
            entered_at = self.engine.monotonic()
            gate = self.swift.cache.enter_gate(container, name, options.gate_seconds)
            if gate is False and (there := self._wait_for(container, name)):
                return there
            status = self.swift.create(container, name, ours.content(), ours.headers(), timestamp)
            if status == 404:
                raise GenerationGone(container)
            if status not in (201, 202, 412):
                self.swift.cache.open_gate(container, name)
                raise Unavailable(f'Swift answered {status} to a deduplication id.')
            quick = self.engine.monotonic() - entered_at <= options.confirm_limit
            if status == 201 and gate and quick:
                return ours
            if there := self._read(container, name):
                return there
            # The one before has expired, and its tombstone is from a faster clock.
            timestamp = max(self.engine.clock(), self.swift.changed_at(container, name) + TICK)
        raise Unavailable('A deduplication id cannot be stored.')

    def _wait_for(self, container: str, name: str) -> _Sent | None:
        """What somebody else registers at this moment; None if he seems to have died."""
        began = self.engine.monotonic()
        while True:
            there = self._read(container, name)
            if there or self.engine.monotonic() - began >= _PATIENCE:
                return there
            self.engine.sleep(5 * _PAUSE)

    def _read(self, container: str, name: str) -> _Sent | None:
        response = self.swift.get_newest(container, name)
        if response is None:
            return None
        value = json.loads(response.body)
        return _Sent(value['id'], value['created_at'])


def _text(body: object) -> bytes:
    return body.encode('utf-8', 'surrogatepass') if isinstance(body, str) else to_json(body)
