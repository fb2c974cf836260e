"""Moves: how one message goes from its queue into another, and nobody gets it twice.

Who moves one claims it first, by a claim that nobody gets to see and that says where the message goes: the queue there,
and a new id. Then come a PUT there and a DELETE here. All that the PUT stores follows from the message and that claim.
So whoever finds such a claim (the next mover at once, a claimer when it has run out) carries the move out once more,
and that changes nothing: the same object is stored under the same instant, and once it was acked there its tombstone is
newer. As long as the claim stands nobody claims the message by the next number, so it is never in both queues for those
who claim.

Unlike a dead letter a message takes a new id. The queue it goes to is mostly the one it once came from, and there its
old id has a tombstone and claims already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swiftqueue import ids
from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.errors import QueueError, QueueNotFound
from swiftqueue.head import Entry
from swiftqueue.names import Envelope, Move, Record

if TYPE_CHECKING:
    from swiftqueue.queues import Queue


def is_moving(entry: Entry) -> bool:
    """Whether somebody has begun to move the message, as far as this worker knows."""
    return entry.claim is not None and entry.claim.move is not None and not entry.claim.released


def begin(queue: Queue, record: Record, entry: Entry, destination: str) -> bool:
    """Move a message that nobody holds, or one that is being moved; whether that was done.

    Not so if somebody was faster. Raises QueueNotFound if the destination is not there; the message then stays. And
    Unavailable; then somebody has to try again.
    """
    if not is_moving(entry):
        engine, target = queue.engine, queue.account.queue(destination)
        there = target.record()
        move = Move(destination, engine.ids.new(shard=engine.random_bits(32) % there.shards),
                    there.attributes.get('_default_message_ttl') or target.options(there).default_message_ttl)
        if queue.claims.win_to_move(record, entry, move):
            return _carry_out(queue, record, entry)
    return _carry_on(queue, record, entry)


def finish(queue: Queue, record: Record, entry: Entry) -> None:
    """Carry out a move that was left half-done; what goes wrong leaves it for another claimer, a while later."""
    try:
        _carry_on(queue, record, entry)
    except QueueError as error:
        queue.swift.logger.warning('swiftqueue: a move out of %s was not carried out: %s', queue.name, error)


def _carry_on(queue: Queue, record: Record, entry: Entry) -> bool:
    """:func:`_carry_out` of what somebody else has begun, if that was not given up since."""
    if is_moving(entry):
        entry.claim = ClaimObjects(queue, record).read(entry.id, entry.delivery)
    return is_moving(entry) and _carry_out(queue, record, entry)


def _carry_out(queue: Queue, record: Record, entry: Entry) -> bool:
    """What the entry's claim says; whether the message was still here. Raises QueueNotFound, Unavailable."""
    envelope, move = queue.messages.read(record, entry.id, newest=True), entry.claim.move
    if envelope is None:
        entry.gone = True
        return False
    target, sent_at = queue.account.queue(move.queue), ids.available_at(move.id)
    moved = Envelope(envelope.body, sent_at, move.ttl, delay=0, expires_at=sent_at + move.ttl,
                     client_id=envelope.client_id, attributes=envelope.attributes, group=envelope.group,
                     deduplication=envelope.deduplication)

    def store(there: Record) -> None:
        if moved.expires_at > queue.engine.clock() + 1:  # Swift takes nothing that has expired; then it is over there
            target.messages.store(there, there.fit(move.id), moved, sent_at)
    try:
        target.with_generation(store)
    except QueueNotFound:
        ClaimObjects(queue, record).release(entry.id, entry.delivery, entry.claim)
        raise
    target.ring()
    queue.messages.remove(record, entry.id)
    return True
