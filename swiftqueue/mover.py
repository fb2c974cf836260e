"""The mover: the green thread that does the work of one move task, in one of the proxies.

It goes through the queue page by page, from its head, and moves what nobody holds, until it finds nothing more. Every
few seconds it says how far it is and that it is still there, and looks whether it is to stop: since the task is to be
cancelled, because another process has taken it up, or because the queue was purged or deleted, and its tasks with it.

What has come into the queue since the task was started is no business of it, or a message that fails again and again
would go round for ever: an id tells when, for a message that was moved has a new one.

In a FIFO queue a page is of lines, one for each group. A line goes on when its first message is gone, and ends at one
that stays; then no more of that group is moved until all has been gone through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from eventlet import Timeout

from swiftqueue import ids
from swiftqueue.errors import QueueError, QueueNotFound, Unavailable
from swiftqueue.groups import group_of, lines
from swiftqueue.head import Entry, Head, look_on, note_claims, read_row
from swiftqueue.model import NO_DESTINATION, NO_SOURCE
from swiftqueue.moves import begin, is_moving
from swiftqueue.names import Record, TaskState, message_name
from swiftqueue.swift import GenerationGone

if TYPE_CHECKING:
    from swiftqueue.queues import Queue

LEASE = 30  # seconds after which a task is taken up by others
BEAT = 2  # seconds between two reports of a mover
_RETRY = 2  # seconds after something failed
_PAGE = 200  # messages in one listing


class _Stop(Exception):
    """There is nothing more to do here."""


class Mover:
    """``detached`` gives the queue, for a while; ``state`` is the task as it was written last."""

    def __init__(self, detached: Callable[[], Queue], record: Record, number: int, state: TaskState):
        self.detached = detached
        self.queue = detached()
        self.engine = self.queue.engine
        self.record = record
        self.number = number
        self.state = state
        self.beat_at = self.free_at = self.engine.monotonic()
        self.until = message_name(ids.floor(state.started_at))
        self.trouble: QueueError | None = None
        self.failure = ''
        # Of a FIFO queue, as long as it is gone through: groups whose first message stays, and messages that are gone.
        self.waiting: set[str] = set()
        self.gone: set[str] = set()

    def run(self) -> None:
        """To the end of the task, or of this process's part in it."""
        logger, name = self.queue.swift.logger, self.queue.name
        try:
            # A clock that is behind that of who started it would give ids from before the start.
            self.engine.sleep(max(0, self.state.started_at - self.engine.clock()))
            while not self._is_done():
                if self.trouble:
                    logger.warning('swiftqueue: moving messages of %s has to wait: %s', name, self.trouble)
                    self.engine.sleep(_RETRY)
            self._end('failed' if self.failure else 'completed')
        except _Stop:
            pass
        except (QueueError, Timeout) as error:  # it is taken up again later
            logger.warning('swiftqueue: the move task of %s is left for now: %s', name, error)
        except Exception:  # the outermost edge of a green thread, which has no caller to tell
            logger.exception('swiftqueue: the move task of %s failed', name)
        finally:
            self.engine.movers.discard(self.queue.key)

    def _is_done(self) -> bool:
        """Go through the queue once: whether nothing was left to move and nothing went wrong. Raises _Stop."""
        before, self.trouble, self.failure = self.state.moved, None, ''
        self.waiting, self.gone = set(), set()
        try:
            for page in self._pages_in_order() if self.record.fifo else self._pages():
                self._move_all(page)
        except Unavailable as error:
            self.trouble = error
        except (GenerationGone, QueueNotFound):
            raise _Stop from None
        return not self.trouble and self.state.moved == before

    def _pages(self) -> Iterator[list[deque[Entry]]]:
        """What may be moved, page by page; each a line of its own."""
        after, complete = '', False
        while not complete:
            self._beat()
            shards, now = self.queue.shards(self.record), self.engine.clock()
            rows, complete = shards.page(_PAGE, message_name(after) if after else '', self.until)
            page = [read_row(row, now) for row in rows]
            note_claims(page, shards)
            after = page[-1].id if page else after
            yield [deque([entry]) for entry in page if is_moving(entry) or entry.free(self.engine.clock())]

    def _pages_in_order(self) -> Iterator[list[deque[Entry]]]:
        """What may be moved of each group, but for those that wait; until nothing is left."""
        while True:
            self._beat()
            head, source, page = Head(), self.queue.source(self.record), []
            while not page and look_on(head, source):
                now = self.engine.clock()
                early = [entry for entry in head.entries.values() if message_name(entry.id) < self.until]
                head.complete |= len(early) < len(head.entries)
                entries = [entry for entry in early if entry.id not in self.gone and not entry.gone]
                if any(is_moving(entry) and entry.claim.live(now) for entry in entries):
                    self.trouble = Unavailable('whoever began to move a message is given a minute for it')
                page = [line for line in lines(entries, now, head.delay) if group_of(line[0]) not in self.waiting]
            if not page:
                return
            yield page

    def _move_all(self, page: list[deque[Entry]]) -> None:
        size = min(self.engine.options.subrequests, self.state.rate or self.engine.options.subrequests)
        while page:
            batch, page = page[:size], page[size:]
            self._beat()
            self._pace(len(batch))
            moved = sum(self.queue.swift.at_most(lambda line: self._move(line[0]), batch))
            self.state = replace(self.state, moved=self.state.moved + moved)
            for line in batch:
                entry = line.popleft()
                if not entry.gone:
                    self.waiting.add(group_of(entry))
                    continue
                self.gone.add(entry.id)
                if line:
                    page.append(line)

    def _move(self, entry: Entry) -> bool:
        """Whether the message was moved. Nothing is raised: one must not keep the others back."""
        try:
            if self.record.fifo and self.engine.clock() >= entry.keep_until:  # in line until it is gone
                self.queue.claims.look_at_expired(self.record, entry)
                return False
            destination = self.state.destination or self._source(entry)
            if not destination and not is_moving(entry):
                self.failure = NO_SOURCE
                return False
            return begin(self.queue, self.record, entry, destination)
        except QueueNotFound:
            self.failure = NO_DESTINATION
        except QueueError as error:
            self.trouble = error
        return False

    def _source(self, entry: Entry) -> str:
        envelope = entry.envelope or self.queue.messages.read(self.record, entry.id)
        return envelope.source if envelope else ''

    def _pace(self, count: int) -> None:
        """Wait until so many more may be moved."""
        if self.state.rate:
            now = self.engine.monotonic()
            if self.free_at > now:
                self.engine.sleep(self.free_at - now)
            self.free_at = max(self.free_at, now) + count / self.state.rate

    # -- the lease --

    def _beat(self) -> None:
        """Report, if it is time to. Raises _Stop if there is nothing more to do, and Unavailable."""
        if self.engine.monotonic() < self.beat_at:
            return
        self.queue = self.detached()  # what it has learned of Swift is old by now
        tasks = self.queue.move_tasks
        if self.queue.record().generation != self.record.generation:
            raise _Stop
        there = tasks.read(self.record, self.number)
        if there is None or there.worker != self.state.worker:
            raise _Stop
        if tasks.is_cancelled(self.record, self.number):
            self._end('cancelled')
            raise _Stop
        self._write(held_until=self.engine.clock() + LEASE)
        self.beat_at = self.engine.monotonic() + BEAT

    def _end(self, status: str) -> None:
        self._write(status=status, failure=self.failure if status == 'failed' else '')
        self.queue.move_tasks.hint('')

    def _write(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)
        self.queue.move_tasks.write(self.record, self.number, self.state)
