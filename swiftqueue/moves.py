"""Moves: how one message goes from its queue into another, and nobody gets it twice.

Who moves one claims it first, by a claim that nobody gets to see and that says where the message goes: the queue there,
and a new id. Then come a PUT there and a DELETE here. All that the PUT stores follows from the message and that claim.
So whoever finds such a claim (the next mover at once, a claimer when it has run out) carries the move out once more,
and that changes nothing: the same object is stored under the same instant, and once it was acked there its tombstone is
newer. As long as the claim stands nobody claims the message by the next number, so it is never in both queues for those
who claim.

Unlike a dead letter a message takes a new id. The queue it goes to is mostly the one it once came from, and there its
old id has a tombstone and claims already.

Between FIFO queues that is not enough: what is stored late under an id that was chosen early might come before messages
that are in flight there. So each try to move a message is a claim of its own, with an id behind all that is there by
then. Others leave the message alone until that claim has run out. Who comes next looks whether a former try had stored
it; if not, he stores it under his own id, and only then withdraws what may come of the former ones. Its group waits
meanwhile: nothing of it is moved or received before its first message, and that is claimed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swiftqueue import ids
from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.errors import QueueError, QueueNotFound
from swiftqueue.fifo import Fifo
from swiftqueue.head import Entry
from swiftqueue.names import Envelope, Move, Record

if TYPE_CHECKING:
    from swiftqueue.queues import Queue


def is_moving(entry: Entry) -> bool:
    """Whether somebody has begun to move the message, as far as this worker knows."""
    return entry.claim is not None and entry.claim.move is not None and not entry.claim.released


def begin(queue: Queue, record: Record, entry: Entry, destination: str) -> bool:
    """Move a message that nobody holds, or one that is being moved; whether that was done.

    Not so if somebody was faster. Raises QueueNotFound if there is no such destination, of the queue's own kind; the
    message then stays. And Unavailable; then somebody has to try again.
    """
    if record.fifo:
        return _move_in_order(queue, record, entry, destination)
    if not is_moving(entry):
        target, there = _destination(queue, record, destination)
        move = Move(destination, queue.engine.ids.new(shard=queue.engine.random_bits(32) % there.shards),
                    _ttl(target, there))
        if queue.claims.win_to_move(record, entry, move):
            return _carry_out(queue, record, entry)
    return _carry_on(queue, record, entry)


def finish(queue: Queue, record: Record, entry: Entry) -> None:
    """Carry out a move that was left half-done; what goes wrong leaves it for another claimer, a while later."""
    try:
        if record.fifo:
            _move_in_order(queue, record, entry, entry.claim.move.queue)
        else:
            _carry_on(queue, record, entry)
    except QueueError as error:
        queue.swift.logger.warning('swiftqueue: a move out of %s was not carried out: %s', queue.name, error)


def _destination(queue: Queue, record: Record, name: str) -> tuple[Queue, Record]:
    """Raises QueueNotFound, also for a queue of the other kind: it is none that these messages can come from."""
    target = queue.account.queue(name)
    there = target.record()
    if there.fifo != record.fifo:
        raise QueueNotFound(f'There is no queue {name} of the same kind.')
    return target, there


def _ttl(target: Queue, there: Record) -> int:
    return there.attributes.get('_default_message_ttl') or target.options(there).default_message_ttl


def _moved(envelope: Envelope, sent_at: float, ttl: int) -> Envelope:
    """The message as it begins anew."""
    return Envelope(envelope.body, sent_at, ttl, delay=0, expires_at=sent_at + ttl, client_id=envelope.client_id,
                    attributes=envelope.attributes, group=envelope.group, deduplication=envelope.deduplication)


# -- in a queue without order ----------------------------------------------------------------------

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
    sent_at = ids.available_at(move.id)
    moved = _moved(envelope, sent_at, move.ttl)

    def store(there: Record) -> None:
        if moved.expires_at > queue.engine.clock() + 1:  # Swift takes nothing that has expired; then it is over there
            target.messages.store(there, there.fit(move.id), moved, sent_at)
    try:
        target, _ = _destination(queue, record, move.queue)
        target.with_generation(store)
    except QueueNotFound:
        _give_up(queue, record, entry)
        raise
    _leave(queue, record, entry, target)
    return True


def _give_up(queue: Queue, record: Record, entry: Entry) -> None:
    """The message stays, and can be claimed again."""
    ClaimObjects(queue, record).release(entry.id, entry.delivery, entry.claim)


def _leave(queue: Queue, record: Record, entry: Entry, target: Queue) -> None:
    target.ring()
    queue.messages.remove(record, entry.id)
    entry.gone = True


# -- between FIFO queues ---------------------------------------------------------------------------

def _move_in_order(queue: Queue, record: Record, entry: Entry, destination: str) -> bool:
    """One try to move a message, the first of its group; to where a former try was to bring it. As :func:`begin`."""
    if is_moving(entry):
        destination = entry.claim.move.queue
    try:
        target, _ = _destination(queue, record, destination)
        if not target.with_generation(lambda there: _store_in_order(queue, record, entry, target, there)):
            return False
    except QueueNotFound:
        if is_moving(entry):
            _give_up(queue, record, entry)
        raise
    _leave(queue, record, entry, target)
    return True


def _store_in_order(queue: Queue, record: Record, entry: Entry, target: Queue, there: Record) -> bool:
    """Whether the message is in the target now, and is ours to be removed here. Raises as :func:`begin`."""
    fifo, group = Fifo(target), entry.envelope.group
    with fifo.turn(there, group) as began:
        move = Move(target.name, fifo.new_id(there), _ttl(target, there))
        if not queue.claims.win_to_move(record, entry, move):
            return False
        envelope = queue.messages.read(record, entry.id, newest=True)
        if envelope is None:
            entry.gone = True
            return False
        former = _former_ids(queue, record, entry)
        stored = next((each for each in former if fifo.is_stored(there, each)), None)
        if not stored:
            fifo.store(there, move.id, _moved(envelope, queue.engine.clock(), move.ttl), began)
        for each in former:
            if each != stored:
                target.messages.remove(there, each)
    return True


def _former_ids(queue: Queue, record: Record, entry: Entry) -> list[str]:
    """The ids under which former tries were to store the message where it goes, the last one first."""
    objects, found, number = ClaimObjects(queue, record), [], entry.delivery - 1
    while number and (there := objects.read(entry.id, number)) and (there.move or not there.claim):
        if there.move and there.move.queue == entry.claim.move.queue:
            found.append(there.move.id)
        number -= 1
    return found
