"""The values that cross the engine's border. Durations are seconds; instants end in ``_at`` and are Unix times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Place:
    """A region of the cluster's rings, or one of its zones."""

    region: int
    zone: int | None = None

    def has_any(self, replicas: Iterable[tuple[int, int]]) -> bool:
        """Whether one of the replicas, each a region and a zone, is here."""
        return any(region == self.region and self.zone in (None, zone) for region, zone in replicas)


@dataclass(frozen=True)
class NewMessage:
    """A message to post. ``ttl`` and ``delay`` of None take the queue's defaults.

    ``size`` is what its door counts, in bytes, to be held against the queue's limit for one message. ``group`` is the
    message group; ``deduplication`` is an id that a FIFO queue takes once in five minutes. ``ephemeral`` is
    whether it may be kept where it can be lost, None what its queue says.
    """

    body: Any
    ttl: int | None = None
    delay: int | None = None
    attributes: dict[str, Any] | None = None
    size: int = 0
    group: str = ''
    deduplication: str = ''
    ephemeral: bool | None = None


@dataclass(frozen=True)
class Message:
    """A message as a reader or a claimer sees it.

    ``source`` is the queue from which it was moved as a dead letter, ``deliveries_before`` how often it had been
    delivered until then. ``name`` is what its sender calls it, if it chose to.
    """

    id: str
    body: Any
    ttl: int
    delay: int
    created_at: float
    available_at: float
    expires_at: float
    client_id: str
    attributes: dict[str, Any] = field(default_factory=dict)
    claim_id: str | None = None  # of the claim that holds it now
    deliveries: int = 0
    source: str = ''
    deliveries_before: int = 0
    group: str = ''
    deduplication: str = ''
    name: str = ''
    held_until: float = 0  # by a claim or a delay; 0 if it is free


@dataclass(frozen=True)
class Posted:
    """What became of one message of a batch: stored if ``error`` is None."""

    id: str
    error: Exception | None = None


@dataclass(frozen=True)
class Claim:
    """Messages handed to one holder until ``expires_at``; ``id`` is the receipt for all of them."""

    id: str
    ttl: int
    grace: int
    renewed_at: float
    expires_at: float
    messages: list[Message]


@dataclass(frozen=True)
class Page:
    """One page of a listing; ``marker`` continues after it and is None at a listing's end."""

    items: list[Any]
    marker: str | None = None


@dataclass(frozen=True)
class QueueInfo:
    """A queue and its attributes.

    The instants are those of its creation, its last change, and its last purge, 0 if there was none.
    """

    name: str
    attributes: dict[str, Any]
    created_at: float = 0
    changed_at: float = 0
    purged_at: float = 0


@dataclass(frozen=True)
class Stats:
    """Counts of one queue now. ``total`` = claimed + delayed + available ones."""

    total: int
    claimed: int
    delayed: int
    oldest: Message | None
    newest: Message | None


@dataclass(frozen=True)
class MoveTask:
    """A task that moves the messages of one queue, each to the ``destination`` or, without one, to its source.

    ``rate`` is the most per second, 0 for none. ``status`` is ``running``, ``cancelling``, ``cancelled``,
    ``completed`` or ``failed``; then ``failure`` is one of those below. ``to_move`` counts what there was at its start.
    """

    id: str
    destination: str
    rate: int
    started_at: float
    to_move: int
    moved: int
    status: str
    failure: str = ''


NO_SOURCE = 'no source'  # some messages are no dead letters, and no destination was given
NO_DESTINATION = 'no destination'  # the queue that messages were to go to does not exist


@dataclass(frozen=True)
class Subscription:
    """Who is to be given what is posted to a queue or topic: ``subscriber`` is a URL.

    It ends ``ttl`` seconds after ``renewed_at``. An unconfirmed one is given nothing.
    """

    id: str
    subscriber: str
    ttl: int
    renewed_at: float
    confirmed: bool
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def expires_at(self) -> float:
        return self.renewed_at + self.ttl

    @property
    def queue(self) -> str:
        """The queue that is subscribed; '' for a webhook."""
        scheme, _, name = self.subscriber.partition('://')
        return name if scheme == 'queue' else ''
