"""Message groups: whose turn it is on a page of messages.

In a FIFO queue a group is a line: its first message is the only one that may be had, and while somebody has it, none.
In any other queue a group is a tenant, and one that has much in flight stands back for those that have less.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swiftqueue.head import Entry


def group_of(entry: Entry) -> str:
    return entry.envelope.group if entry.envelope else ''


def first_of_each(entries: Iterable[Entry], now: float, delay: int) -> Iterator[Entry]:
    """The first message of each group that is not gone, where it may be had and none of the group is in flight.

    One that has expired by its envelope is among them: only whoever looks at it knows whether a claim made it live
    longer, and until then the group waits.
    """
    first: dict[str, Entry] = {}
    busy = set()
    for entry in entries:
        if not entry.gone:
            first.setdefault(group_of(entry), entry)
            if _is_in_flight(entry, now):
                busy.add(group_of(entry))
    return (entry for group, entry in first.items() if group not in busy and _may_be_had(entry, now, delay))


def lines(entries: Iterable[Entry], now: float, delay: int) -> list[deque[Entry]]:
    """Of each group all that may be had one after the other, where none of the group is in flight."""
    entries = list(entries)
    found = {group_of(first): deque() for first in first_of_each(entries, now, delay)}
    whole = set(found)
    for entry in entries:
        if group_of(entry) in whole and not entry.gone:
            if _may_be_had(entry, now, delay):
                found[group_of(entry)].append(entry)
            else:
                whole.discard(group_of(entry))
    return list(found.values())


def next_of(entry: Entry, entries: Iterable[Entry], now: float, delay: int) -> Iterator[Entry]:
    """What comes after the entry in its group, up to the first that may not be had or has expired."""
    for each in entries:
        if each.id > entry.id and not each.gone and group_of(each) == group_of(entry):
            if not _may_be_had(each, now, delay) or now >= each.keep_until:
                return
            yield each


def _may_be_had(entry: Entry, now: float, delay: int) -> bool:
    """The delay is the queue's own of today, and counts from the post; without one no clock matters."""
    held_back = delay and entry.envelope and now < entry.envelope.created_at + delay
    return not (entry.early or _is_in_flight(entry, now) or held_back)


def _is_in_flight(entry: Entry, now: float) -> bool:
    return now < entry.busy_until or entry.claim is not None and entry.claim.live(now)


def fairly(entries: Iterable[Entry], before: Iterable[Entry], now: float,
           far: Callable[[Entry], bool] | None = None) -> Iterator[Entry]:
    """Free messages, always the oldest of the group that has the fewest in flight.

    What this yields is in flight from then on. ``before`` are more that may be. Those of no group are one. Those that
    are ``far`` come last in their group, and a group whose first one is far after those that have as few in flight.
    """
    in_flight: Counter[str] = Counter()
    free: dict[str, deque[Entry]] = {}
    for entry in {each.id: each for each in chain(before, entries)}.values():
        if entry.free(now):
            free.setdefault(group_of(entry), deque()).append(entry)
        elif not entry.gone and _is_in_flight(entry, now):
            in_flight[group_of(entry)] += 1
    if far:
        free = {group: deque(sorted(line, key=far)) for group, line in free.items()}

    def turn(group: str, count: int) -> tuple[int, bool, str, str]:
        first = free[group][0]
        return count, bool(far and far(first)), first.id, group
    turns = [turn(group, in_flight[group]) for group in free]
    heapq.heapify(turns)
    while turns:
        count, *_, group = heapq.heappop(turns)
        yield free[group].popleft()
        if free[group]:
            heapq.heappush(turns, turn(group, count + 1))
