"""The shards of a queue: in which container a message is, and how a page comes out of all of them.

A container is one database with one writer per replica, so a busy queue spreads over several. A message's id says in
which it is, and its claims are in the claims container of the same number. Ephemeral ones have a shard of their own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

from swiftqueue.ids import shard_of
from swiftqueue.names import claims_container, messages_container, sent_container
from swiftqueue.swift import Swift

_SPARE = 8  # rows asked of a shard beyond one and a half times its share, since chance deals them out
_ROUNDS = 4  # of listings for one page

Row = dict[str, Any]
_name = itemgetter('name')


@dataclass
class _Part:
    """What of a page is in one shard, as far as it was listed."""

    container: str
    marker: str
    rows: list[Row] = field(default_factory=list)
    whole: bool = False  # nothing comes after its rows


@dataclass(frozen=True)
class Shards:
    """Those of one generation of a queue."""

    swift: Swift
    queue: str
    generation: str
    numbers: Sequence[int]
    fifo: bool = False  # a page must show all that was acknowledged

    def messages(self, message_id: str) -> str:
        """The container of the message."""
        return messages_container(self.queue, self.generation, shard_of(message_id))

    def claims(self, message_id: str) -> str:
        """The container of the message's claims."""
        return claims_container(self.queue, self.generation, shard_of(message_id))

    def containers(self) -> list[str]:
        found = [container(self.queue, self.generation, shard) for shard in self.numbers
                 for container in (messages_container, claims_container)]
        return [*found, sent_container(self.queue, self.generation)] if self.fifo else found

    def page(self, limit: int, marker: str = '', end_marker: str = '') -> tuple[list[Row], bool]:
        """Rows of messages in order of their ids, and whether there are no more; if there are, they may be fewer.

        Each shard is asked for little more than its share, and again where that was not enough. So rows at the end
        are left out if a shard may have some before them. If one shard cannot be listed, nothing is: a part would
        pass for the whole. Raises GenerationGone, Unavailable.
        """
        parts = [_Part(messages_container(self.queue, self.generation, shard), marker) for shard in self.numbers]
        short, missing = parts, limit
        for _ in range(_ROUNDS):
            share = limit if len(parts) == 1 else min(limit, 3 * missing // (2 * len(short)) + _SPARE)
            self.swift.at_most(lambda part: self._read_on(part, share, end_marker), short)  # noqa: B023
            rows = sorted(chain.from_iterable(part.rows for part in parts), key=_name)
            unread = [part for part in parts if not part.whole]
            if not unread:
                return rows[:limit], len(rows) <= limit
            end = min(part.marker for part in unread)
            known = bisect_right(rows, end, key=_name)
            if known >= limit:
                break
            missing = limit - known
            short = [part for part in unread if len(rows) < limit or part.marker < rows[limit - 1]['name']]
        return rows[:min(known, limit)], False

    def last(self) -> str:
        """The name of the last message that is stored in a FIFO queue; '' if there is none. Raises as :meth:`page`."""
        rows, _ = self.swift.listing_of_most(messages_container(self.queue, self.generation), limit=1, reverse=True)
        return rows[0]['name'] if rows else ''

    def _read_on(self, part: _Part, limit: int, end_marker: str) -> None:
        if self.fifo:
            rows, part.whole = self.swift.listing_of_most(
                part.container, marker=part.marker, end_marker=end_marker, limit=limit)
        else:
            rows = self.swift.listing(part.container, marker=part.marker, end_marker=end_marker, limit=limit)
            part.whole = len(rows) < limit
        part.rows += rows
        if rows:
            part.marker = rows[-1]['name']
