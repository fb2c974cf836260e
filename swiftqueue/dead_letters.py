"""Dead letters: messages that were delivered as often as their queue allows move to another queue.

Who moves one claims it first. The move is a PUT there and a DELETE here. It carries the instant of the last claim
that was allowed as X-Timestamp. So two proxies
that move one message, or one that died half-way, write the same thing; and when the dead letter was acked in between,
its tombstone is newer and the repeated PUT changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from swiftqueue.attributes import FIFO
from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.errors import QueueError, QueueNotFound, Unavailable
from swiftqueue.head import Entry
from swiftqueue.ids import in_shard
from swiftqueue.names import Envelope, Record

if TYPE_CHECKING:
    from swiftqueue.queues import Queue


def is_dead(record: Record, entry: Entry) -> bool:
    """Whether the message's next delivery would be one too many."""
    if not record.attributes.get('_dead_letter_queue') or not record.attributes.get('_max_claim_count'):
        return False
    before = entry.envelope.claims_before if entry.envelope else 0
    return entry.delivery + 1 - before > record.attributes['_max_claim_count']


def bury(queue: Queue, record: Record, entry: Entry, win: Callable[[], bool]) -> None:
    """Move the message if its next claim can be won; what goes wrong leaves it for another claimer, a while later.

    Without that claim, a holder who renews just now would not learn that the message is gone.
    """
    try:
        envelope = queue.messages.read(record, entry.id, newest=True)
        if envelope is None:
            entry.gone = True
        elif entry.envelope is None and not is_dead(record, replace(entry, envelope=envelope)):
            entry.envelope = envelope  # the row had not told
        elif win():
            _move(queue, record, entry.id, envelope)
    except QueueError as error:
        queue.swift.logger.warning('swiftqueue: a dead letter of %s stays for now: %s', queue.name, error)


def _move(queue: Queue, record: Record, message_id: str, envelope: Envelope) -> None:
    last = ClaimObjects(queue, record).read(message_id, envelope.claims_before + record.attributes['_max_claim_count'])
    if last is None:
        raise Unavailable('the claim that was its last is not there')
    now, ttl = queue.engine.clock(), record.attributes.get('_dead_letter_queue_messages_ttl')
    if ttl:
        envelope = replace(envelope, ttl=ttl, expires_at=now + ttl)
    envelope = replace(envelope, expires_at=max(envelope.expires_at, last.keep_until, now + 1), source=queue.name,
                       name='',  # which is one of that queue
                       deliveries_before=envelope.deliveries_before + record.attributes['_max_claim_count'])
    target = queue.account.queue(record.attributes['_dead_letter_queue'])
    try:
        target.record()
    except QueueNotFound:
        # Where its letters were, too, and of the same kind.
        target.ensure({FIFO: True} if record.fifo else {}, replace(queue.placed(record).placement, limits={}))

    # However many shards the target has when somebody tries again: it has to be the same object then.
    moved_id = in_shard(message_id, 0)

    def store(there: Record) -> None:
        before, _ = target.messages.last_claim(there, moved_id)
        target.messages.store(there, moved_id, replace(envelope, claims_before=before), last.renewed_at)

    target.with_generation(store)
    target.ring()
    queue.messages.remove(record, message_id)
