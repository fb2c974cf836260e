"""Queues that are deleted when nobody has used them for a while: their attribute ``_idle_expiry`` says how long.

Whoever uses such a queue writes to its record before anything else, but only where a quarter of the span has passed
since the last time. So the record's own timestamp says when the queue was last used, and a request that found it
younger has three quarters of the span for its work.

The janitor looks for records that are older than the span, of queues in which no replica has anything. It does not
delete them, because Swift forgets the metadata of a container also when a later write has it stay. It marks them, as
of right after their last use: any use is later than that and takes the mark away, whichever arrives first, as does any
change of the record. A queue whose record is marked is none to all who read it. Once nobody can be about who has read
it without the mark, the record is deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlet.semaphore import Semaphore

from swiftqueue.attributes import IDLE_EXPIRY
from swiftqueue.errors import QueueNotFound
from swiftqueue.names import IDLE, Record, queue_container
from swiftqueue.swift import TICK, Swift

if TYPE_CHECKING:
    from swiftqueue.queues import Queue

_TIMES = 4  # in the span


def idle_at(record: Record) -> float | None:
    """When the queue may be deleted, unless somebody uses it until then; None if it may not."""
    span = record.attributes.get(IDLE_EXPIRY)
    return record.used_at + span if span else None


def use(queue: Queue, record: Record) -> Record:
    """The record, which says by now that the queue is in use.

    Raises QueueNotFound if the janitor was faster, Unavailable.
    """
    if not _looks_unused(queue, record):
        return record
    with queue.engine.reading.setdefault(queue.key, Semaphore()):  # one of many requests for all
        current = queue.recent_record() or queue.read_record()
        if current and _looks_unused(queue, current):
            queue.write_headers({}, max(queue.engine.clock(), current.used_at + 2 * TICK))
    if current is None:
        raise QueueNotFound(f'There is no queue {queue.name}.')
    return current


def _looks_unused(queue: Queue, record: Record) -> bool:
    span = record.attributes.get(IDLE_EXPIRY)
    return bool(span) and queue.engine.clock() - record.used_at >= span / _TIMES


def mark(swift: Swift, queue: str, record: Record) -> None:
    """Have it be no queue any more, unless somebody uses it just now. Raises Unavailable."""
    swift.post_container(queue_container(queue), {IDLE: f'{swift.clock():.5f}'}, record.used_at + TICK)


def given_up_at(headers: dict[str, str]) -> float:
    """When the record was marked; 0 if it is not. Header names are in lower case."""
    return float(headers.get(IDLE.lower()) or 0)


def marked_at(headers: dict[str, str]) -> float:
    """The instant as of which a marked record may be deleted, and be it by who creates the queue; 0 for others."""
    return float(headers['x-backend-put-timestamp']) + TICK if given_up_at(headers) else 0.0
