"""The head page: what one worker knows of a queue's oldest messages, shared by all its claimers for about a second.

A listing is one random replica's view, late and out of order. So the page is only a list of candidates: what this
worker itself did since (took, claimed, acked) stands over it, and the claim protocol decides about the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice, takewhile
from typing import Any

from eventlet.semaphore import Semaphore

from swiftqueue import ids
from swiftqueue.errors import QueueError
from swiftqueue.groups import fairly, first_of_each, next_of
from swiftqueue.names import (
    ClaimState,
    Envelope,
    decode_row,
    message_name,
    parse_claim,
    parse_claim_state,
    parse_envelope,
    parse_message,
)
from swiftqueue.shards import Shards
from swiftqueue.swift import LISTING_LIMIT, Swift

PAGE = 200  # messages in one listing, as long as there is something of use
PAGE_OF_GROUPS = 2000  # where messages have groups: a quiet one may stand far behind a noisy one
CLOCK_SKEW = 5  # seconds by which a proxy's clock may be ahead of ours
KNOWN_SECONDS = 60  # how long our own doings stand over what listings say
_RUNG = object()  # no bell ever shows this
_SCAN = 20  # pages looked through before a claimer gets what was found so far
_MOST_CARRIED = 4 * 2 ** 20  # bytes that the rows of a page longer than that may carry
_LOOK_SECONDS = 5  # between looks at the part before the page
_FIRST_LOOK_SECONDS = 1  # the same, while some of it was never looked at
_LOOK_ROWS = 1000  # listed in one of them
_MOST_HELD = 20000  # messages before the page that are kept in mind

Listing = Callable[..., list[dict[str, Any]]]


@dataclass
class Entry:
    """One message of the page. ``delivery`` is the number of its last claim, 0 before the first."""

    id: str
    envelope: Envelope | None  # None where the row says nothing but the name
    delivery: int = 0
    claim: ClaimState | None = None  # of that delivery; None if not known
    listed_at: float = 0  # before the listing that showed it
    busy_until: float = 0  # somebody is at it; an instant, so that none is held back for ever
    gone: bool = False  # acked or expired, as far as this worker knows
    ended: bool = False  # for sure; else a post that is under way may look the same
    seen_at: float = 0  # when this worker last did something about it
    replicas: Collection[tuple[int, int]] | None = None  # regions and zones where they are, once somebody asked
    doubtful: bool = False  # some replica does not list it, so it may be gone
    early: bool = False  # the page may lack what was posted before it

    @property
    def keep_until(self) -> float:
        """Until when the message is to be kept: its own expiry, or later if a claim asked for it."""
        own = self.envelope.expires_at if self.envelope else 0
        return max(own, self.claim.keep_until if self.claim else 0)

    def free(self, now: float) -> bool:
        """Whether a claimer may try for it."""
        if now < self.busy_until or self.gone or (self.claim and self.claim.live(now)):
            return False
        if self.envelope is None:
            return ids.available_at(self.id) <= now
        return available(self.id, self.envelope, now) and now < self.keep_until

    def of_use(self, now: float) -> bool:
        """Whether a claimer may have it, now or later."""
        return not self.gone and (self.envelope is None or now < self.keep_until)

    @property
    def free_at(self) -> float:
        """From when on, as far as this is known, nobody is at it and no delay or claim keeps it back."""
        if self.gone:
            return math.inf
        delayed = self.envelope is None or self.envelope.delay
        return max(self.busy_until, self.claim.expires_at if self.claim and not self.claim.released else 0,
                   ids.available_at(self.id) if delayed else 0)


def available(message_id: str, envelope: Envelope, now: float) -> bool:
    """Only a delay makes a message wait; an id from a clock ahead of ours does not."""
    return envelope.delay == 0 or ids.available_at(message_id) <= now


@dataclass
class Head:
    """The page of one queue and generation."""

    entries: dict[str, Entry] = field(default_factory=dict)  # by id, oldest first
    listed_at: float = float('-inf')  # on the monotonic clock
    complete: bool = False  # nothing comes after the last entry
    bell: Any = None  # what the bell showed before the listing
    known: dict[str, Entry] = field(default_factory=dict)  # what this worker did something about
    lock: Semaphore = field(default_factory=Semaphore)
    used_at: float = 0  # on the monotonic clock
    start: str = ''  # the id behind which the page begins
    told: str = ''  # the last start that other workers were told of, or told of themselves
    hinted: bool = False  # the start is another worker's, and what is before it was not all looked at here
    held: dict[str, Entry] = field(default_factory=dict)  # those before it that may become free
    looked_to: str = ''  # up to which id the part before the page was listed again
    looked_at: float = 0  # on the monotonic clock; infinite while somebody is at it
    rings: int = 0  # of this worker
    taken: int = 0  # from the page, since it was listed
    grouped: bool = False  # some of its messages have groups
    fifo: bool = False
    delay: int = 0  # of a FIFO queue, which knows no other
    length: int = PAGE  # of the next listing; of a FIFO queue's page
    most: int = LISTING_LIMIT  # rows in one listing, going by what those of the last one carry
    due: dict[str, float] = field(default_factory=dict)  # by id: until when nearer ones may be preferred to it
    policies: dict[str, int] = field(default_factory=dict)  # of the containers in which messages are
    ephemeral_at: float = 0  # when ephemeral messages may be tried for, which Swift did not give

    def ring(self) -> None:
        """This worker has put something into the queue that the page does not show."""
        self.bell = _RUNG
        self.rings += 1

    def free(self, now: float, near: Callable[[Entry], bool] | None = None) -> Iterator[Entry]:
        """Those that a claimer may try for, in the order in which they are to be had.

        Where order means nothing, those that are ``near`` come first, and those that were passed over for long enough.
        """
        if self.fifo:
            return first_of_each(self.entries.values(), now, self.delay)

        def far(entry: Entry) -> bool:
            return now < self.due.get(entry.id, math.inf) and not near(entry)
        if self.grouped:
            return fairly(self.entries.values(), self.held.values(), now, near and far)
        free = (entry for entry in self.entries.values() if entry.free(now))
        return iter(sorted(free, key=far)) if near else free

    def note_turns(self, found: list[Entry], now: float, patience: float) -> None:
        """Note what stood before any of those that were found, and from when on it is to be had in its turn."""
        last, chosen = max((entry.id for entry in found), default=''), {entry.id for entry in found}
        for entry in chain(self.held.values() if self.grouped else (), self.entries.values()):
            if entry.id < last and entry.id not in chosen and entry.free(now):
                self.due.setdefault(entry.id, now + patience)

    def following(self, entry: Entry, now: float, most: int) -> list[Entry]:
        """Up to so many that may be had along with the entry, of its group in a FIFO queue."""
        return list(islice(next_of(entry, self.entries.values(), now, self.delay), most))

    def put_off(self, until: float) -> None:
        """Offer no ephemeral message before that instant."""
        self.ephemeral_at = until
        self.hold_back(chain(self.entries.values(), self.held.values()))

    def hold_back(self, entries: Iterable[Entry]) -> None:
        """Those of them that are put off; mostly none are, and a page is long."""
        for entry in entries if self.ephemeral_at else ():
            if ids.shard_of(entry.id) == ids.EPHEMERAL:
                entry.busy_until = max(entry.busy_until, self.ephemeral_at)

    def forget(self, message_id: str, now: float) -> None:
        """The message is gone: offer it no more, whatever a late listing says."""
        entry = self._find(message_id) or Entry(message_id, None)
        entry.gone = entry.ended = True
        self.note(entry, now)

    def learn(self, message_id: str, delivery: int, claim: ClaimState) -> None:
        """A claim that this worker just wrote; its row may be late."""
        entry = self._find(message_id)
        if entry and entry.delivery <= delivery:
            entry.delivery, entry.claim = delivery, claim

    def _find(self, message_id: str) -> Entry | None:
        return self.entries.get(message_id) or self.known.get(message_id) or self.held.get(message_id)

    def note(self, entry: Entry, now: float) -> None:
        """Remember what was just done about the entry."""
        entry.seen_at = now
        self.known[entry.id] = entry


@dataclass(frozen=True)
class Source:
    """Where a head page comes from."""

    shards: Shards
    seconds: float  # how long a page may be used
    busy_seconds: float  # how long a claimer may be at an entry
    bell: Callable[[], Any]
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    least: int = 50  # messages in the first listing of a page, from which few may be taken
    after: str = ''  # the id behind which the page begins
    delayed: bool = False  # whether it goes on with what only a delay keeps back
    queue_delay: int = 0  # that of a FIFO queue
    read: Callable[[str], Envelope | None] = lambda message_id: None  # a message whose row does not show it
    near: Callable[[Entry], bool] | None = None  # whether a message is to be preferred, if any are
    patience: float = 0  # for how long another one may be passed over
    look_back: Callable[[Head], None] = lambda head: None  # has :func:`look_back` called, beside the request
    start: Callable[[], str] = lambda: ''  # where another worker's page begins: an id, or '' if nobody can tell
    tell_start: Callable[[str], None] = lambda message_id: None  # where ours does


def refresh(head: Head, source: Source, seconds: float) -> bool:
    """List the page again if a bell rang since, or that many seconds have passed; whether that was done."""
    with head.lock:
        if source.monotonic() - head.listed_at < seconds and source.bell() == head.bell:
            return False
        _load(head, source)
        return True


def take(head: Head, count: int, source: Source, *, runs: bool = False) -> list[Entry]:
    """Up to ``count`` candidates, oldest first, marked as busy; the caller notes what became of each.

    ``runs``: of a FIFO queue, as few of its groups as have so many messages that may be had one after the other.

    In any other queue near ones go before. What they were preferred to, on this page, is noted when that happens first,
    and has its turn among them once the source's patience is over. Where too few are near, others fill up.
    """
    with head.lock:
        age = source.monotonic() - head.listed_at
        cached = age < 2 * source.seconds
        if not cached:
            _load(head, source)
        found = _free(head, count, source, runs)
        # A page that has what is asked for serves its second out, and one that has nothing two, unless a bell rang.
        if cached and (found and age >= source.seconds or len(found) < count and source.bell() != head.bell):
            _load(head, source)
            found = _free(head, count, source, runs)
        pages = 1
        # What is of no use takes no room, as it is skipped, unless it stands behind something that is found.
        while len(found) < (1 if head.fifo else count) and pages < _SCAN and len(head.entries) <= LISTING_LIMIT:
            if head.complete and (found or not head.hinted):
                break
            try:
                (_begin_anew if head.complete else _go_on)(head, source)
            except QueueError:
                if not found:
                    raise
                break
            found = _free(head, count, source, runs)
            pages += 1
        now = source.clock()
        if source.near and not head.fifo:
            head.note_turns(found, now, source.patience)
        for entry in found:
            entry.busy_until = now + source.busy_seconds
            head.note(entry, now)
        head.taken += len(found)
        if head.start != head.told:
            head.told = head.start
            source.tell_start(head.start)
        return found


def look_on(head: Head, source: Source) -> bool:
    """List the page of a FIFO queue, or a longer one if it was listed before; whether there was more to list."""
    with head.lock:
        if head.complete:
            return False
        (_go_on if head.entries else _load)(head, source)
        return True


def _free(head: Head, count: int, source: Source, runs: bool) -> list[Entry]:
    now = source.clock()
    _skip(head, now)
    if not (runs and head.fifo):
        return list(islice(head.free(now, source.near), count))
    found = []
    for entry in head.free(now):
        if count <= 0:
            break
        found.append(entry)
        count -= 1 + len(head.following(entry, now, count))
    return found


def _load(head: Head, source: Source) -> None:
    now = source.clock()
    head.known = {entry.id: entry for entry in head.known.values()
                  if now - entry.seen_at < KNOWN_SECONDS}
    head.bell = source.bell()
    listed_at = source.monotonic()
    if head.listed_at == -math.inf:
        head.start = head.told = source.start()
        head.hinted = bool(head.start)
    if head.start and listed_at - head.looked_at >= (_FIRST_LOOK_SECONDS if head.hinted else _LOOK_SECONDS):
        head.looked_at = math.inf
        source.look_back(head)
    # What is behind the start now was before it once, and is listed.
    free_again = sorted(entry.id for entry in head.held.values() if entry.id <= head.start and entry.free(now))
    busy = sum(not entry.free(now) for entry in head.entries.values())
    head.due = {each: until for each, until in head.due.items() if each in head.entries or now - until < KNOWN_SECONDS}
    # Few of many are near, and up to a page behind another worker's start may be at work.
    least = PAGE if source.near or head.hinted else source.least
    head.entries, head.complete = {each: head.held[each] for each in free_again}, False
    head.fifo, head.delay = source.shards.fifo, source.queue_delay
    if head.fifo:
        head.length = max(PAGE, head.length // 2)
        _list_fifo(head, source)
    else:
        head.length = PAGE
        _extend(head, source, PAGE_OF_GROUPS if head.grouped else min(PAGE, max(least, busy + 2 * head.taken)))
    head.listed_at, head.taken = listed_at, 0


def _go_on(head: Head, source: Source) -> None:
    """Look further than to the page's end, and further each time."""
    if not head.fifo:
        _extend(head, source, head.length)
        head.length = max(PAGE, min(2 * head.length, head.most))
    elif head.length >= LISTING_LIMIT:
        head.complete = True  # as far as anybody looks
    else:
        head.length = min(5 * head.length, LISTING_LIMIT)
        _list_fifo(head, source)


def _begin_anew(head: Head, source: Source) -> None:
    """Behind another worker's start there is nothing to be had, so look at what is before it."""
    head.start, head.hinted, head.entries, head.complete = '', False, {}, False
    _go_on(head, source)


def _list_fifo(head: Head, source: Source) -> None:
    """The page of a FIFO queue: all from one listing, from the very beginning.

    A message is had before another one only if whoever listed the other one would have seen it, so there are no two
    listings here, and nothing is skipped.
    """
    page, head.complete = _list(head, source, source.after, '', head.length)
    for entry in page:
        if (entry.envelope is None or entry.doubtful) and not entry.gone:
            # Without the envelope nobody can tell its group, and what is gone would keep it waiting.
            envelope = source.read(entry.id)
            entry.envelope, entry.gone, entry.doubtful = envelope or entry.envelope, envelope is None, False
            if envelope:
                head.note(entry, source.clock())
    head.entries = {entry.id: entry for entry in page}


def _skip(head: Head, now: float) -> None:
    """Begin behind what comes first and is not free, if that is a page or more."""
    if head.fifo:
        return
    first = list(takewhile(lambda entry: not entry.free(now), head.entries.values()))
    if len(first) >= PAGE:
        for entry in first:
            del head.entries[entry.id]
        _hold(head, first, now)
        head.start = max(head.start, first[-1].id)


def _hold(head: Head, entries: list[Entry], now: float) -> None:
    for entry in entries:
        if entry.of_use(now) and (entry.id in head.held or len(head.held) < _MOST_HELD):
            if entry.envelope and now >= entry.busy_until:  # there may be many; whoever claims one reads it
                entry.envelope = replace(entry.envelope, body=None, attributes={}, complete=False)
            head.held[entry.id] = entry


def look_back(head: Head, source: Source) -> None:
    """List some of the part before the page once more, for late rows and for what was released elsewhere.

    No claimer is to wait for it. Raises GenerationGone, Unavailable.
    """
    try:
        after = head.looked_to
        page, complete = _read(head, source, after, message_name(head.start) + '\x01', _LOOK_ROWS)
        with head.lock:
            now = source.clock()
            head.held = {entry.id: entry for entry in head.held.values() if entry.of_use(now)}
            page = _all_known(head, page)
            _hold(head, page, now)
            head.looked_to = '' if complete else page[-1].id
            head.hinted = head.hinted and not complete
            free = [entry.id for entry in page if entry.free(now)]
            if free:
                head.bell = _RUNG
            if any(message_id not in head.held for message_id in free):
                head.start = after  # more than can be kept in mind: the page begins there again
    finally:
        head.looked_at = source.monotonic()


def _extend(head: Head, source: Source, limit: int) -> None:
    """Append the next page. Delayed messages lie behind the end."""
    page, head.complete = _list(
        head, source, max(next(reversed(head.entries), ''), head.start, source.after),
        '' if source.delayed else message_name(ids.floor(source.clock() + CLOCK_SKEW)), limit)
    head.entries.update((entry.id, entry) for entry in page)


def _list(head: Head, source: Source, after: str, end_marker: str, limit: int) -> tuple[list[Entry], bool]:
    page, complete = _read(head, source, after, end_marker, limit)
    return _all_known(head, page), complete


def _read(head: Head, source: Source, after: str, end_marker: str, limit: int) -> tuple[list[Entry], bool]:
    """Entries as listings show them, and whether there are no more."""
    listed_at = source.clock()
    rows, complete = source.shards.page(limit, message_name(after) if after else '', end_marker)
    page = [read_row(row, listed_at) for row in rows]
    note_claims(page, source.shards)
    head.grouped = head.grouped or any(entry.envelope and entry.envelope.group for entry in page)
    if rows:
        head.most = min(LISTING_LIMIT, _MOST_CARRIED * len(rows) // sum(len(row['hash']) for row in rows))
    return page, complete


def _all_known(head: Head, page: list[Entry]) -> list[Entry]:
    page = [_known(head, entry) for entry in page]
    head.hold_back(page)
    return page


def _known(head: Head, entry: Entry) -> Entry:
    """The entry we already know, unless the listing knows of a later delivery."""
    known = head.known.get(entry.id) or head.held.get(entry.id)
    if known is None or (known.delivery < entry.delivery and not known.gone):
        if known:
            entry.envelope = entry.envelope or known.envelope
        return entry
    if known.delivery == entry.delivery and entry.claim:
        # The same delivery: its row may tell of a renewal or a release through another proxy.
        if known.claim is None or entry.claim.renewed_at > known.claim.renewed_at or entry.claim.released:
            known.claim = entry.claim
    if head.fifo and not known.ended:
        known.gone = False  # that held for the last page, whose messages were posted before somebody looked
    known.listed_at, known.doubtful, known.early = entry.listed_at, entry.doubtful, entry.early
    known.envelope = entry.envelope or known.envelope  # the listed one may have been changed by its sender
    return known


def read_row(row: dict[str, Any], listed_at: float = 0) -> Entry:
    """The entry of a messages container's row, without its claims."""
    value = decode_row(row['hash'])
    return Entry(parse_message(row['name']), value and parse_envelope(value), listed_at=listed_at,
                 doubtful=row.get('doubtful', False), early=row.get('early', False))


def note_claims(page: list[Entry], shards: Shards) -> None:
    """Fill in the last claim of each entry of a page that is in order of ids."""
    parts: dict[str, list[Entry]] = {}
    for entry in page:
        parts.setdefault(shards.claims(entry.id), []).append(entry)

    def note(container: str) -> None:
        part = parts[container]
        claims = claims_between(shards.swift, container, part[0].id, part[-1].id)
        for entry in part:
            entry.delivery, entry.claim = claims.get(entry.id, (0, None))
    shards.swift.at_most(note, parts)


def claims_between(swift: Swift, container: str, first_id: str, last_id: str,
                   ) -> dict[str, tuple[int, ClaimState | None]]:
    """Of every claimed message in that range of ids: its last delivery number and that claim's state."""
    last: dict[str, tuple[int, ClaimState | None]] = {}
    marker = message_name(first_id)
    end_marker = message_name(last_id) + '\x01'  # right behind the claims of the last one
    while True:
        rows = swift.listing(container, marker=marker, end_marker=end_marker)
        for row in rows:  # in order of their names, so later deliveries come last
            message_id, delivery = parse_claim(row['name'])
            value = decode_row(row['hash'])
            last[message_id] = delivery, None if value is None else parse_claim_state(value)
        if len(rows) < LISTING_LIMIT:
            return last
        marker = rows[-1]['name']
