"""Rows that got lost: how to tell that one is missing although its message is not, and how to write it again.

Swift may acknowledge an object before its row is safe, and a row that is lost everywhere is never made good: the object
is there, but no listing shows it and nobody is given the message. Two rules keep a repair from doing harm. What was
acked must not come back, so every primary node of the object is asked for a tombstone, and one that cannot be asked
stops the repair. And a row is written with the timestamps of its object, so Swift drops it wherever something later is
known, such as a deletion.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from hashlib import md5
from itertools import islice
from typing import Any, NamedTuple

from swift.common.direct_client import (
    direct_get_account,
    direct_get_container,
    direct_get_object,
    direct_head_container,
    direct_head_object,
    direct_put_container_object,
)
from swift.common.exceptions import ClientException
from swift.common.ring import Ring
from swift.common.storage_policy import POLICIES
from swift.common.utils import Timestamp, readconf

from swiftqueue.direct import Node, answer
from swiftqueue.errors import Unavailable
from swiftqueue.limits import MAX_INLINE
from swiftqueue.names import (
    KEPT_ROW,
    SOURCES,
    has_rows_that_matter,
    parse_container,
    parse_published,
    parse_record,
    parse_source,
    queue_container,
    queue_of,
    row_etag,
)
from swiftqueue.swift import SERVICE_ACCOUNT

PAGE = 1000  # rows in one listing
RECLAIM_AGE = 604800  # Swift's default

NEVER = Timestamp(0)
POLICY = 'X-Backend-Storage-Policy-Index'

Headers = dict[str, str]


class Place(NamedTuple):
    """An object's name, in full."""

    account: str
    container: str
    name: str

    @property
    def queue(self) -> tuple[str, str] | None:
        """The account and the queue that it is about, if it is found by its row; None for any other object."""
        if (self.account, self.container) == (SERVICE_ACCOUNT, SOURCES):
            return parse_source(self.name)
        return (self.account, queue_of(self.container)) if has_rows_that_matter(self.container) else None


class Fate(Enum):
    """What became of an object that was found on a disk, in words for a report."""

    LISTED = 'listed'
    RESTORED = 'its row was missing and is there again'
    MISSING = 'its row is missing'
    DELETED = 'acked or deleted'
    EXPIRED = 'expired'
    OVER = 'of a generation that is over'
    OLD = 'its row is missing, but it is older than reclaim_age and may have been acked'


class Rows:
    """The rows of messages, of claims and of what subscribers wait for, as each container server has them.

    ``reclaim_age`` is how long, in seconds, Swift is sure to remember that an object was deleted. With ``dry_run``
    nothing is written. All methods raise Unavailable if a server that matters cannot be asked.
    """

    def __init__(self, swift_dir: str, *, reclaim_age: float = RECLAIM_AGE, dry_run: bool = False,
                 clock: Callable[[], float] = time.time):
        self.swift_dir = swift_dir
        self.reclaim_age = reclaim_age
        self.dry_run = dry_run
        self.clock = clock
        self.ring = Ring(swift_dir, ring_name='container')

    def has_account(self, account: str) -> bool:
        ring = Ring(self.swift_dir, ring_name='account')
        partition, nodes = ring.get_nodes(account)
        return _any(nodes, lambda node: answer(
            node, partial(direct_get_account, node, partition, account, limit=1)) is not None)

    def has_queue(self, account: str, queue: str) -> bool:
        partition, nodes = self.ring.get_nodes(account, queue_container(queue))
        return _any(nodes, lambda node: answer(
            node, partial(direct_head_container, node, partition, account, queue_container(queue))) is not None)

    def is_current(self, account: str, container: str) -> bool:
        """Whether the container is of the generation in use, as all replicas of its queue's record say.

        Of any other nothing must come back: its queue was purged or deleted, and the rest is the janitor's. What is
        for subscribers outlives a purge, and the list of the queues that have some no queue's end.
        """
        if account == SERVICE_ACCOUNT:
            return True
        published = parse_published(container)
        queue, of = published or parse_container(container)[1:3]
        records = [parse_record({key.lower(): value for key, value in headers.items()})
                   for _, headers in self._heads(account, queue_container(queue))]
        generations = {record and (record.born if published else record.generation) for record in records}
        if len(generations) > 1:
            raise Unavailable(f'the replicas of the record of queue {queue} do not agree')
        return generations == {of}

    def unlisted(self, account: str, container: str, names: Iterable[str]) -> list[str]:
        """Those of the objects that no replica of the container lists."""
        missing = set(names)
        partition, nodes = self.ring.get_nodes(account, container)
        failure = None
        for node in nodes:
            try:
                missing -= _listed(node, partition, account, container, missing)
            except Unavailable as error:
                failure = error
            if not missing:
                return []
        if failure:
            raise failure
        return sorted(missing)

    def is_listed(self, place: Place) -> bool:
        """Whether any replica of the container lists the object; Swift's replication tells the others then."""
        partition, nodes = self.ring.get_nodes(place.account, place.container)
        return _any(nodes, lambda node: any(row['name'] == place.name for row in _list(
            node, partition, place.account, place.container, prefix=place.name, limit=1)))

    def restore(self, place: Place, policy: int) -> Fate:
        """Write the row of an object that no replica lists, unless the object is gone.

        ``policy`` is the index of the storage policy that the object was found in.
        """
        # Replication makes a database where there is none. Where a row of another policy is needed, it is Swift's
        # container-reconciler that has to bring the two together.
        containers = [(node, headers) for node, headers in self._heads(place.account, place.container) if headers]
        if {headers[POLICY] for _, headers in containers} != {str(policy)}:
            raise Unavailable('its container is missing or has another storage policy')
        copy = self._newest(place, policy)
        if copy is None:
            return Fate.DELETED
        if copy.expired(self.clock()):
            return Fate.EXPIRED
        if self.clock() - float(copy.stored_at) >= self.reclaim_age:
            return Fate.OLD
        if self.dry_run:
            return Fate.MISSING
        row = copy.row()
        partition, _ = self.ring.get_nodes(place.account, place.container)
        for node, _ in containers:
            answer(node, partial(direct_put_container_object, node, partition, *place, headers=row))
        # To list it, a server commits it. If none shows it, they know of a later deletion.
        return Fate.RESTORED if self.is_listed(place) else Fate.DELETED

    def _heads(self, account: str, container: str) -> list[tuple[Node, Headers]]:
        """Each primary node, and what it says of the container; nothing where there is none."""
        partition, nodes = self.ring.get_nodes(account, container)
        return [(node, answer(node, partial(direct_head_container, node, partition, account, container)) or {})
                for node in nodes]

    def _newest(self, place: Place, policy: int) -> _Copy | None:
        """The newest copy; None if the object was deleted since.

        The first handoff nodes are asked too, because a deletion may have gone there while primaries were down. But
        they may be silent.
        """
        ring = POLICIES.get_object_ring(policy, self.swift_dir)
        partition, primaries = ring.get_nodes(*place)
        copies = [_look(place, policy, node, partition) for node in primaries]
        for node in islice(ring.get_more_nodes(partition), len(primaries)):
            try:
                copies.append(_look(place, policy, node, partition))
            except Unavailable:
                pass
        newest = max(copies, key=lambda copy: (copy.stored_at, copy.changed_at))
        deleted_at = max(copy.deleted_at for copy in copies)
        if newest.stored_at == deleted_at == NEVER:
            raise Unavailable('it is on none of the nodes that should have it')
        return newest if newest.stored_at > deleted_at else None


@dataclass(frozen=True)
class _Copy:
    """What one object server has of an object: a copy, a tombstone or nothing. The headers are its answer to a HEAD."""

    place: Place
    policy: int
    node: Node
    partition: int
    found: bool
    headers: Headers

    def _instant(self, header: str) -> Timestamp:
        return Timestamp(self.headers.get(header, 0))

    @property
    def stored_at(self) -> Timestamp:
        return self._instant('X-Backend-Data-Timestamp') if self.found else NEVER

    @property
    def changed_at(self) -> Timestamp:
        """When its expiry was moved last, or it was stored."""
        return self._instant('X-Backend-Timestamp') if self.found else NEVER

    @property
    def deleted_at(self) -> Timestamp:
        return NEVER if self.found else self._instant('X-Backend-Timestamp')

    def expired(self, now: float) -> bool:
        return 0 < int(self.headers.get('X-Delete-At', 0)) <= now

    def row(self) -> Headers:
        """The headers with which an object server sends the row. Raises Unavailable."""
        return {
            'X-Timestamp': self.stored_at.internal,
            'X-Meta-Timestamp': self.changed_at.internal,
            'X-Size': self.headers.get('X-Object-Sysmeta-Ec-Content-Length') or self.headers['Content-Length'],
            'X-Content-Type': self.headers['Content-Type'],
            'X-Etag': self._row_etag(),
            POLICY: str(self.policy),
        }

    def _row_etag(self) -> str:
        """The etag with what rides in it, if that can be had: whoever reads a row without asks for the object."""
        if KEPT_ROW in self.headers:
            return self.headers[KEPT_ROW]
        etag = self.headers.get('X-Object-Sysmeta-Ec-Etag') or self.headers['Etag'].strip('"')
        found = answer(self.node, partial(
            direct_get_object, self.node, self.partition, *self.place, headers={POLICY: str(self.policy)}))
        content = found[1] if found else b''
        if md5(content, usedforsecurity=False).hexdigest() != etag:  # a piece of an erasure-coded object, or damaged
            return etag
        return row_etag(self.place.container, content, etag, MAX_INLINE)


def _look(place: Place, policy: int, node: Node, partition: int) -> _Copy:
    """Raises Unavailable."""
    # Without the second header an expired object looks deleted, with its own timestamp for that of the tombstone.
    headers = {POLICY: str(policy), 'X-Backend-Open-Expired': 'true'}

    def head() -> tuple[bool, Headers]:
        try:
            return True, direct_head_object(node, partition, *place, headers=headers)
        except ClientException as error:
            if error.http_status != 404:
                raise
            return False, error.http_headers
    return _Copy(place, policy, node, partition, *answer(node, head))


def reclaim_age(conf_file: str) -> float:
    """The least ``reclaim_age`` that any section of an object server's configuration has. Raises OSError."""
    sections = readconf(conf_file).values()
    return min((float(section['reclaim_age']) for section in sections
                if isinstance(section, dict) and 'reclaim_age' in section), default=RECLAIM_AGE)


def _any(nodes: list[Node], question: Callable[[Node], bool]) -> bool:
    """Whether any node says yes, asked in any order. Raises Unavailable if none does and one cannot be asked."""
    failure = None
    for node in random.sample(nodes, len(nodes)):
        try:
            if question(node):
                return True
        except Unavailable as error:
            failure = error
    if failure:
        raise failure
    return False


def _list(node: Node, partition: int, account: str, container: str, **bounds: Any) -> list[dict[str, Any]]:
    listing = answer(node, partial(direct_get_container, node, partition, account, container,
                                   headers={'X-Backend-Record-Type': 'object'}, **bounds))
    return listing[1] if listing else []


def _listed(node: Node, partition: int, account: str, container: str, names: set[str]) -> set[str]:
    """Those of the objects that the node lists."""
    found: set[str] = set()
    # Right below the first, and right behind the last.
    marker, end_marker = min(names)[:-1], max(names) + '\x01'
    while len(found) < len(names):
        rows = _list(node, partition, account, container, marker=marker, end_marker=end_marker, limit=PAGE)
        found |= names & {row['name'] for row in rows}
        if len(rows) < PAGE:
            break
        marker = rows[-1]['name']
    return found
