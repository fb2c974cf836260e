"""Which queues anybody subscribes to, in all accounts: a list in the service's own account, for the notifiers.

An entry is an object ``ACCOUNT/QUEUE``, written at each subscription. A notifier that finds no subscriptions takes it
off the list as of the instant at which it was written, so one that is made meanwhile stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from swiftqueue.errors import Unavailable
from swiftqueue.names import SOURCES, parse_source
from swiftqueue.swift import TICK, GenerationGone, Swift, modified_at


@dataclass(frozen=True)
class Source:
    """A queue that somebody subscribed to at that instant or before."""

    account: str
    queue: str
    listed_at: float


def add(swift: Swift, queue: str) -> None:
    """Have notifiers look at the queue. Raises Unavailable."""
    if not swift.service().enlist(SOURCES, f'{swift.account}/{queue}'):
        raise Unavailable('The queue was taken off the list of the notifiers.')


def remove(swift: Swift, source: Source) -> None:
    """Take the queue off the list unless it was put there again. Raises Unavailable."""
    swift.service().delete_as_of(SOURCES, f'{source.account}/{source.queue}', source.listed_at + TICK)


def listed(swift: Swift) -> Iterator[Source]:
    """All that are on the list. Raises Unavailable."""
    try:
        for rows in swift.service().pages(SOURCES):
            for row in rows:
                yield Source(*parse_source(row['name']), modified_at(row))
    except GenerationGone:  # nobody has ever subscribed to anything
        return
