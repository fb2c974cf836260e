"""Which messages have a replica near to whoever claims them, and how many of those that he got had.

What follows from it is decided where candidates are taken: see :func:`swiftqueue.head.take`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swiftqueue.model import Place
from swiftqueue.names import Record, message_name

if TYPE_CHECKING:
    from swiftqueue.head import Entry
    from swiftqueue.queues import Queue

LOCAL, REMOTE = 'queue.deliveries.local', 'queue.deliveries.remote'  # names of the counters in StatsD

Near = Callable[['Entry'], bool]


@dataclass
class Claimer:
    """Whoever claims in one request: where he is, and how many messages from there and elsewhere he was given."""

    place: Place
    local: int = 0
    remote: int = 0


def nearness(queue: Queue, record: Record) -> Near | None:
    """Whether a message has a replica where the claimer is; None if nobody knows where that is.

    The ring is in memory, and tells it in a few microseconds.
    """
    claimer, locate = queue.account.claimer, queue.engine.locate
    if claimer is None or locate is None:
        return None
    shards, policies = queue.shards(record), queue.head(record).policies

    def near(entry: Entry) -> bool:
        if entry.replicas is None:
            container = shards.messages(entry.id)
            if container not in policies:
                policy = queue.swift.policy(container)  # at hand, as the container was just listed
                if policy is None:
                    return False
                policies[container] = policy
            entry.replicas = locate(policies[container], queue.swift.account, container, message_name(entry.id))
        return claimer.place.has_any(entry.replicas)
    return near


def count_near(queue: Queue, record: Record, delivered: Iterable[Entry]) -> None:
    """Count what a claimer was given, for himself and for the operator, if it is known where he is."""
    near = nearness(queue, record)
    if near is None:
        return
    found = [near(entry) for entry in delivered]
    claimer, local, remote = queue.account.claimer, found.count(True), found.count(False)
    claimer.local += local
    claimer.remote += remote
    for name, number in ((LOCAL, local), (REMOTE, remote)):
        if number:
            queue.engine.statistics(name, number)
