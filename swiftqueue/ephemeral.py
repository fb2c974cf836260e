"""Ephemeral messages: those whose sender can bear their loss, kept where that is cheap.

They are in one more shard of their queue, whose containers are in the storage policy that the operator names. So they
are listed, claimed and purged with all others, in one order. The first of them makes the shard. Where there can be none
a message is an ordinary one: in a FIFO queue, whose order needs majorities, and as long as the policy takes no new
containers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swiftqueue import policies
from swiftqueue.attributes import EPHEMERAL
from swiftqueue.errors import Invalid, QueueError
from swiftqueue.model import NewMessage
from swiftqueue.names import Record

if TYPE_CHECKING:
    from swiftqueue.queues import Queue


def is_wanted(message: NewMessage, record: Record) -> bool:
    """Whether the message is to be ephemeral. Raises Invalid."""
    if message.ephemeral is None:
        return bool(record.attributes.get(EPHEMERAL))
    if not isinstance(message.ephemeral, bool):
        raise Invalid('ephemeral must be true or false.')
    return message.ephemeral


def policy_of(record: Record) -> int | None:
    """The index of the policy of the queue's ephemeral messages, if there is one and it takes new containers."""
    return record.ephemeral if record.ephemeral is not None and policies.name_of(record.ephemeral) else None


def place(queue: Queue, record: Record) -> Record | None:
    """The record of a queue that has the shard, which is made if need be; None if there can be none."""
    policy = policies.open_policy(queue.engine.options.ephemeral_policy)
    if policy is None or record.fifo:
        return None
    if record.ephemeral is None:
        try:
            record = queue.make_place(policy) or record
        except QueueError as error:
            queue.swift.logger.warning('swiftqueue: %s has no place for ephemeral messages: %s', queue.name, error)
    return record if policy_of(record) is not None else None
