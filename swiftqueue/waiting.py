"""Waiting: requests that stay until there is something for them, and meanwhile cost Swift next to nothing.

Those who wait at a queue stand in a *line*, one for those who take messages away and one for readers. A line looks at
the queue once for all who stand in it, at a page that is listed

* when the queue's bell rings: at once where the bell was rung in this process, and within :data:`WATCH` seconds where
  it was rung in another one, because one green thread looks at all bells again and again;
* a moment after a ring once more, because the row may be later than the bell;
* every few seconds in any case, because a bell can be lost.

That a delay is over or a claim runs out is known from the page, without a listing. Only for whom there may be
something makes a request of his own: takers in the order in which they came, as many as the page has messages for.
"""

from __future__ import annotations

import logging
import math
from bisect import insort
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import eventlet
from eventlet.event import Event
from eventlet.semaphore import Semaphore

from swiftqueue.errors import QueueError, QueueNotFound
from swiftqueue.head import PAGE, Entry, Head, refresh
from swiftqueue.limits import check_integer

if TYPE_CHECKING:
    from swiftqueue.names import Record
    from swiftqueue.queues import Engine, Queue

WATCH = 0.1  # seconds between two looks at the bells
PAUSE = 2  # least seconds between two listings while no bell rings
ECHO = 0.5  # seconds from a ring to the second look
_GIVEN_UP = 1  # seconds between two looks whether those who asked are still there
_JITTER = 0.5  # seconds by which a pause is longer, by chance
_RECORD = 20  # seconds for which a line acts on what it knows of its queue, while no bell rings

Result = TypeVar('Result')


@dataclass(eq=False)
class Waiter:
    """One request that waits."""

    queue: Queue
    number: int  # in the order of coming
    deadline: float  # on the monotonic clock
    most: int = 0  # messages that a taker would take
    sees: Callable[[Entry, float], bool] | None = None  # whether a reader would be shown a message at an instant
    after: str = ''  # the id behind which a reader reads
    delayed: bool = False  # whether a reader is also shown what a delay keeps back
    called: Event | None = None  # while it sleeps
    again: bool = False  # it was called while it was looking

    @property
    def asleep(self) -> bool:
        return self.called is not None

    def sleep(self) -> bool:
        """Until it is called: whether because there may be something for it, and not because it has waited enough."""
        if self.again:
            self.again = False
            return True
        self.called = Event()
        return self.called.wait()

    def call(self) -> None:
        """There may be something for it."""
        if self.asleep:
            self._wake(True)
        else:
            self.again = True

    def call_off(self) -> None:
        """It has waited enough; if it is looking just now, let it look."""
        if self.asleep:
            self._wake(False)

    def _wake(self, hopeful: bool) -> None:
        called, self.called = self.called, None
        called.send(hopeful)


@dataclass(eq=False)
class Line:
    """Those who wait at one queue for the same kind of thing. What is not implemented here each kind has in its way."""

    page: Head
    bell: Any  # what it showed before the last look
    looked_at: float  # on the monotonic clock
    pause: float = PAUSE  # until the next look
    waiters: list[Waiter] = field(default_factory=list)
    rung: bool = False  # in this process, since the last look
    free_at: float = math.inf  # when something on the page becomes free by itself
    trouble: QueueError | None = None  # with the last look
    lock: Semaphore = field(default_factory=Semaphore)  # held by who looks

    def refresh(self, queue: Queue, record: Record, seconds: float) -> bool:
        """List the page again if a bell rang or it is older than that; whether that was done."""
        raise NotImplementedError

    def hopeful(self, listed: bool, now: float) -> list[Waiter]:
        """Those who may find something on the page, or beyond its end if it was just listed."""
        raise NotImplementedError

    def hope(self, waiter: Waiter, now: float) -> bool:
        """Whether there may be something for who comes now."""
        raise NotImplementedError

    def wake(self, listed: bool, now: float) -> None:
        for waiter in self.hopeful(listed, now):
            waiter.call()
        self.note(now)

    def note(self, now: float) -> None:
        """Note when to wake somebody next."""
        self.free_at = min((at for entry in self.page.entries.values() if (at := entry.free_at) > now),
                           default=math.inf)


class Takers(Line):
    """They look at the head page, which all who claim in this process share."""

    def refresh(self, queue: Queue, record: Record, seconds: float) -> bool:
        self.page = queue.head(record)
        return refresh(self.page, queue.source(record), seconds)

    def _free(self, now: float) -> int:
        return sum(1 for _ in self.page.free(now))

    def hopeful(self, listed: bool, now: float) -> list[Waiter]:
        free, found = self._free(now), []
        if free == 0 and listed and not self.page.complete:
            free = 1  # further back there may be more
        # Those who are looking most likely do so for what they will find.
        for waiter in sorted(self.waiters, key=lambda each: not each.asleep):
            if free > 0:
                free -= waiter.most
                found.append(waiter)
        return found

    def hope(self, waiter: Waiter, now: float) -> bool:
        return self._free(now) > sum(other.most for other in self.waiters)


@dataclass(eq=False)
class Readers(Line):
    """They look at a page of their own, since they are further on than the head of the queue."""

    after: str = ''  # the id behind which the page begins
    delayed: bool = False  # whether it shows what a delay keeps back

    def refresh(self, queue: Queue, record: Record, seconds: float) -> bool:
        after = min((each.after for each in self.waiters), default=self.after)  # all may have left by now
        delayed = any(each.delayed for each in self.waiters)
        listed = refresh(self.page, queue.source(record, least=PAGE, after=after, delayed=delayed), seconds)
        if listed:
            self.after, self.delayed = after, delayed
        return listed

    def _sees(self, waiter: Waiter, now: float) -> bool:
        return any(waiter.sees(entry, now) for entry in self.page.entries.values())

    def hopeful(self, listed: bool, now: float) -> list[Waiter]:
        beyond = listed and not self.page.complete
        return [waiter for waiter in self.waiters if beyond or self._sees(waiter, now)]

    def hope(self, waiter: Waiter, now: float) -> bool:
        return (not self.page.complete or waiter.after < self.after or waiter.delayed > self.delayed
                or self._sees(waiter, now))


class Waiting:
    """All who wait in one process."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.lines: dict[tuple[str, str, type[Line]], Line] = {}
        self.waiters: Counter[str] = Counter()  # how many, by account
        self._numbers = count()
        self._watched = False
        self._deaf_until = 0.0  # on the monotonic clock; memcached does not answer
        self._deaf = False
        self._look_around_at = 0.0  # on the monotonic clock

    # -- what the engine's verbs call --

    def take(self, queue: Queue, look: Callable[[], Result | None], seconds: int, most: int, *,
             undo: Callable[[Result], None] | None = None) -> Result | None:
        """What ``look``, which takes up to ``most`` messages, finds within some seconds; something false if nothing.

        Who comes later does not get before who waits. ``undo`` is for what was found when nobody was there any more
        to hear of it. Raises Invalid for so many seconds, and what ``look`` raises.
        """
        waiter = Waiter(queue, next(self._numbers), self._deadline(seconds), most)
        return self._wait(Takers, waiter, look, seconds, undo)

    def read(self, queue: Queue, look: Callable[[], Result | None], seconds: int,
             sees: Callable[[Entry, float], bool], after: str, delayed: bool) -> Result | None:
        """What ``look``, which shows messages, finds within some seconds; something false if nothing.

        The other parameters are what a :class:`Waiter` says of a reader. Raises as :meth:`take`.
        """
        waiter = Waiter(queue, next(self._numbers), self._deadline(seconds), sees=sees, after=after, delayed=delayed)
        return self._wait(Readers, waiter, look, seconds) if seconds else look()

    def ring(self, key: tuple[str, str]) -> None:
        """In this process something was put into the queue."""
        for kind in (Takers, Readers):
            line = self.lines.get((*key, kind))
            if line:
                line.rung = True
                line.page.ring()
                if self.engine.monotonic() - line.looked_at >= WATCH:  # or the next round of the watch does it
                    self._spawn_look(line)

    # -- one who waits --

    def _deadline(self, seconds: int) -> float:
        check_integer('wait', seconds, 0, self.engine.options.max_wait)
        return self.engine.monotonic() + seconds

    def _wait(self, kind: type[Line], waiter: Waiter, look: Callable[[], Result | None], seconds: int,
              undo: Callable[[Result], None] | None = None) -> Result | None:
        queue = waiter.queue
        key, trouble, found = (*queue.key, kind), None, None
        line, began_at = self.lines.get(key), self.engine.monotonic()
        bell = queue.swift.cache.bell(queue.name) if seconds and not line else None
        try:
            if not line or self._has_hope(line, waiter):
                found = look()
            else:
                trouble = line.trouble
        except QueueNotFound as error:
            trouble = error
        if not found and seconds and self._has_place(queue.account.swift.account):
            line = self.lines.get(key)
            if line is None:
                line = self.lines[key] = self._new_line(kind, queue, bell, began_at, trouble)
            found, trouble = self._stand(key, line, waiter, look, undo)
        if trouble and not found:
            raise trouble
        return found

    def _has_hope(self, line: Line, waiter: Waiter) -> bool:
        cache = waiter.queue.swift.cache
        if line.rung or line.lock.locked() or cache.bell(waiter.queue.name) not in (None, line.bell):
            self._look(line)
        if not line.waiters:
            return True  # they have all left meanwhile
        if line.trouble:
            return not isinstance(line.trouble, QueueNotFound)
        return line.hope(waiter, self.engine.clock())

    def _has_place(self, account: str) -> bool:
        options = self.engine.options
        return (self.waiters.total() < options.max_waiters_per_worker
                and self.waiters[account] < options.max_waiters_per_account)

    def _new_line(self, kind: type[Line], queue: Queue, bell: Any, began_at: float,
                  trouble: QueueError | None) -> Line:
        """A line of one who has looked for himself since ``began_at``, and what that look has told."""
        known = self.engine.records.get(queue.key)
        page = queue.head(known.record) if known and kind is Takers else Head(bell=bell, listed_at=began_at)
        line = kind(page, bell, began_at, self._pause(), trouble=trouble)
        line.note(self.engine.clock())
        return line

    def _stand(self, key: tuple[str, str, type[Line]], line: Line, waiter: Waiter,
               look: Callable[[], Result | None], undo: Callable[[Result], None] | None,
               ) -> tuple[Result | None, QueueError | None]:
        """Stand in the line until something is found or the time is over; then also the line's trouble."""
        account, found = waiter.queue.account, None
        insort(line.waiters, waiter, key=lambda each: each.number)  # his own first look may have taken longer
        self.waiters[account.swift.account] += 1
        self._watch()
        try:
            while not found and waiter.sleep() and not account.given_up():
                try:
                    found = look()
                except QueueNotFound as error:
                    line.trouble = error
                line.note(self.engine.clock())
            if found and undo and account.given_up():
                undo(found)
                found = None
        finally:
            self.waiters -= Counter([account.swift.account])
            line.waiters.remove(waiter)
            if not line.waiters:
                del self.lines[key]
            elif isinstance(line, Takers):
                line.wake(bool(found), self.engine.clock())
        return found, line.trouble

    # -- looking for all --

    def _look(self, line: Line) -> None:
        """List the line's page again if it is time, and wake those who may find something."""
        with line.lock:
            if not line.waiters:
                return
            queue = line.waiters[0].queue
            bell = queue.swift.cache.bell(queue.name)
            rung, line.rung, line.bell = line.rung or bell not in (None, line.bell), False, bell
            line.looked_at = self.engine.monotonic()
            try:
                refresh_line = partial(line.refresh, queue, seconds=line.pause)
                listed = queue.with_generation(refresh_line) if rung else queue.with_generation(refresh_line, _RECORD)
            except QueueError as error:
                line.trouble, line.pause = error, self._pause()
                if isinstance(error, QueueNotFound):
                    line.pause *= 2  # to find that out takes two requests
                return
            line.trouble = None
            if rung or listed:
                line.pause = ECHO if rung else self._pause()
        line.wake(listed, self.engine.clock())

    def _pause(self) -> float:
        return PAUSE + _JITTER * self.engine.random_bits(16) / 2 ** 16

    def _spawn_look(self, line: Line) -> None:
        if not line.lock.locked():
            eventlet.spawn_n(_survive, line.waiters[0].queue.swift.logger, self._look, line)

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            eventlet.spawn_n(self._keep_watch)

    def _keep_watch(self) -> None:
        """As long as anybody waits."""
        try:
            while self.lines:
                line = next(iter(self.lines.values()))
                _survive(line.waiters[0].queue.swift.logger, self._look_around)
                self.engine.sleep(WATCH)
        finally:
            self._watched = False
            for line in self.lines.values():  # this thread was killed
                self._call_off(line, lambda waiter: True)

    def _look_around(self) -> None:
        bells, now = self._bells(), self.engine.monotonic()
        if now >= self._look_around_at:
            self._look_around_at = now + _GIVEN_UP
            for line in self.lines.values():
                self._call_off(line, lambda waiter: waiter.queue.account.given_up())
        for (account, name, _), line in self.lines.items():
            self._call_off(line, lambda waiter: now >= waiter.deadline)
            if line.rung or bells.get((account, name), line.bell) != line.bell \
                    or now >= (line.looked_at if line.trouble else line.page.listed_at) + line.pause \
                    or self.engine.clock() >= line.free_at:
                self._spawn_look(line)

    def _call_off(self, line: Line, over: Callable[[Waiter], bool]) -> None:
        for waiter in line.waiters:
            if over(waiter):
                waiter.call_off()

    def _bells(self) -> dict[tuple[str, str], Any]:
        """What the bells of all lines show, by queue; nothing where nobody can tell."""
        now = self.engine.monotonic()
        if now < self._deaf_until:
            return {}
        queues = {line.waiters[0].queue.key: line.waiters[0].queue for line in self.lines.values()}
        swift = next(iter(queues.values())).swift
        shown = swift.cache.bells([queue.swift.cache.bell_key(queue.name) for queue in queues.values()])
        if shown is None and swift.cache.ring is not None and not self._deaf:
            swift.logger.warning('swiftqueue: memcached does not answer; those who wait may hear of messages '
                                 'up to %d seconds late', PAUSE + 1)
        self._deaf, self._deaf_until = shown is None, now + PAUSE if shown is None else 0
        return dict(zip(queues, shown, strict=True)) if shown else {}


def _survive(logger: logging.Logger, function: Callable, *arguments: Any) -> None:
    """The outermost edge of a green thread, which has no caller to tell."""
    try:
        function(*arguments)
    except Exception:
        logger.exception('swiftqueue: an error while requests wait')
