"""Move tasks: all that is in a queue of dead letters goes back to where it came from, or to a queue that was named.

A task is an object in the queue's present generation, created with If-None-Match: * under the number after the last
one; so of two that start at once one wins, and a queue has one active task at most. That it is to be cancelled is an
object of its own, which whoever works never overwrites. The work is done by a green thread of some proxy, see mover.py.

The task says who does the work and until when it is his. If that instant passes (the process is no more), whichever
proxy hears of the queue takes the task up: it is asked about tasks, or it reads the queue's record for any request, and
the record carries the hint that there is one. Two may believe that they are to do it, for a few seconds at most. That
is no harm, because each message's move is guarded by its claim, see moves.py; they are only twice as fast.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import eventlet

from swiftqueue.errors import (
    Invalid,
    MoveTaskNotFound,
    MoveTaskOver,
    MoveTaskRunning,
    NoDeadLetterQueue,
    QueueError,
    Unavailable,
)
from swiftqueue.limits import check_integer
from swiftqueue.messages import delete_at
from swiftqueue.model import MoveTask
from swiftqueue.mover import LEASE, Mover
from swiftqueue.names import (
    TASKS,
    Record,
    TaskState,
    cancel_name,
    claims_container,
    parse_claim,
    parse_task,
    task_name,
)
from swiftqueue.swift import GenerationGone

if TYPE_CHECKING:
    from swiftqueue.queues import Queue

MOST_RATE = 500  # messages per second
KEPT = 10  # tasks that are remembered
KEEP = 15 * 86400  # seconds for which one is: no message, so no task either, lives longer
_LOOK_SECONDS = 15  # between two looks whether a task has been left alone
_TRIES = 3


class MoveTasks:
    """The move tasks of a queue, on behalf of one request."""

    def __init__(self, queue: Queue):
        self.queue = queue
        self.engine = queue.engine
        self.swift = queue.swift

    # -- verbs --

    def start(self, destination: str = '', rate: int = 0) -> MoveTask:
        """Begin to move what is in the queue now and nobody holds, ``rate`` messages per second at most.

        Each goes to the queue from which it came as a dead letter, or to the ``destination``. Raises Invalid,
        NoDeadLetterQueue, MoveTaskRunning, QueueNotFound for either queue, Unauthorized, Forbidden, Unavailable.
        """
        queue = self.queue
        queue.allow('owner')
        check_integer('rate', rate, 0, MOST_RATE)
        if queue.fifo != (queue.account.queue(destination) if destination else queue).fifo:
            raise Invalid('Source queue and destination queue must be of the same type.')
        if not self._is_dead_letter_queue():
            raise NoDeadLetterQueue('No queue sends its dead letters here.')
        stats = queue.stats()
        state = TaskState(self.engine.ids.new(), destination, rate, self.engine.clock(),
                          stats.total - stats.claimed - stats.delayed, self.engine.token_bytes(8).hex(), 0)
        return queue.with_generation(lambda record: self._start(record, state))

    def _is_dead_letter_queue(self) -> bool:
        marker = ''
        while True:
            page = self.queue.account.queues(marker, 1, metadata={'_dead_letter_queue': self.queue.name})
            if page.items or not page.marker:
                return bool(page.items)
            marker = page.marker

    def _start(self, record: Record, state: TaskState) -> MoveTask:
        for _ in range(_TRIES):
            last = self._last(record)
            there = last and self.read(record, last)
            if there and there.status == 'running':
                self._take_up(record, last, there)
                raise MoveTaskRunning('The messages of this queue are being moved already.')
            state = replace(state, held_until=self.engine.clock() + LEASE)
            if self._create(record, last + 1, state):
                self._work(record, last + 1, state)
                self.hint(state.id)
                if last >= KEPT:
                    for name in (task_name, cancel_name):
                        self.swift.delete(self._container(record), name(last + 1 - KEPT))
                return self._shown(record, last + 1, state)
        raise Unavailable('Somebody else starts tasks at the same time.')

    def list(self, limit: int = 1) -> list[MoveTask]:
        """The last tasks, the latest first. Raises Invalid, QueueNotFound, Unauthorized, Forbidden, Unavailable."""
        self.queue.allow('read')
        check_integer('limit', limit, 1, KEPT)
        return self.queue.with_generation(lambda record: [
            self._shown(record, number, state) for number, state in self._latest(record, limit)])

    def cancel(self, task_id: str) -> MoveTask:
        """Have a task end as soon as may be; what was moved stays where it is.

        Raises MoveTaskNotFound, MoveTaskOver, QueueNotFound, Unauthorized, Forbidden, Unavailable.
        """
        self.queue.allow('owner')
        return self.queue.with_generation(lambda record: self._cancel(record, task_id))

    def _cancel(self, record: Record, task_id: str) -> MoveTask:
        for number, state in self._latest(record, KEPT):
            if state.id == task_id:
                if state.status != 'running' or self.is_cancelled(record, number):
                    raise MoveTaskOver('The task is over, or soon will be.')
                now = self.engine.clock()
                self.swift.store(self._container(record), cancel_name(number), b'{}',
                                 {'X-Delete-At': str(delete_at(state.started_at + KEEP))}, now)
                return self._shown(record, number, state)
        raise MoveTaskNotFound('There is no such task.')

    # -- objects --

    def _container(self, record: Record) -> str:
        return claims_container(self.queue.name, record.generation)

    def _last(self, record: Record) -> int:
        """The number of the last task; 0 if there was none. A row may be late."""
        container = self._container(record)
        rows = self.swift.listing(container, prefix=TASKS)
        number = parse_claim(rows[-1]['name'])[1] if rows else 0
        while self.swift.head_newest(container, task_name(number + 1)):
            number += 1
        return number

    def _latest(self, record: Record, limit: int) -> list[tuple[int, TaskState]]:
        last = self._last(record)
        numbers = range(last, max(0, last - limit), -1)
        found = [(number, state) for number, state in zip(numbers, self.swift.at_most(
            lambda number: self.read(record, number), numbers), strict=True) if state]
        if found:
            self._take_up(record, *found[0])
        return found

    def read(self, record: Record, number: int) -> TaskState | None:
        """Raises Unavailable."""
        response = self.swift.get_newest(self._container(record), task_name(number))
        return response and parse_task(response.body)

    def is_cancelled(self, record: Record, number: int) -> bool:
        """Whether somebody wants the task to end. Raises Unavailable."""
        return self.swift.head_newest(self._container(record), cancel_name(number)) is not None

    def _create(self, record: Record, number: int, state: TaskState) -> bool:
        """Whether the task is there now and ours; a 201 alone does not say so, see claims.py."""
        container = self._container(record)
        status = self.swift.create(container, task_name(number), state.content(), _headers(state), self.engine.clock())
        if status == 404:
            raise GenerationGone(container)
        if status not in (201, 202, 412):
            raise Unavailable(f'Swift answered {status} to a task.')
        there = status == 201 and self.read(record, number)
        return bool(there) and there.worker == state.worker

    def write(self, record: Record, number: int, state: TaskState) -> None:
        """Raises GenerationGone, Unavailable."""
        self.swift.store(self._container(record), task_name(number), state.content(), _headers(state),
                         self.engine.clock())

    def hint(self, task_id: str) -> None:
        """Have the queue's record say that there is that task, or none for ''; if that fails, others hear later."""
        try:
            self.queue.hint_at_move(task_id)
        except QueueError as error:
            self.swift.logger.warning('swiftqueue: no hint at the move task of %s: %s', self.queue.name, error)

    def _shown(self, record: Record, number: int, state: TaskState) -> MoveTask:
        status = state.status
        if status == 'running' and self.is_cancelled(record, number):
            status = 'cancelling'
        return MoveTask(state.id, state.destination, state.rate, state.started_at, state.to_move, state.moved,
                        status, state.failure)

    # -- work --

    def notice(self) -> None:
        """The record says that there may be a task to do; look, once in a while, whether somebody does it."""
        key, now = self.queue.key, self.engine.monotonic()
        looked_at = self.engine.moves_looked_at
        if key not in self.engine.movers and now - looked_at.get(key, -math.inf) >= _LOOK_SECONDS:
            looked_at[key] = now
            eventlet.spawn_n(self.queue.detached().move_tasks.look)

    def look(self) -> None:
        """Take up the last task if it was left alone; in a green thread of its own."""
        try:
            record = self.queue.record()
            if not any(state.status == 'running' for _, state in self._latest(record, 1)):
                self.hint('')
                self.engine.moves_looked_at.pop(self.queue.key, None)
        except QueueError as error:
            self.swift.logger.warning('swiftqueue: cannot look at the move task of %s: %s', self.queue.name, error)

    def _take_up(self, record: Record, number: int, state: TaskState) -> None:
        """Go on with a task that was left alone, if nobody else does. Raises Unavailable."""
        now = self.engine.clock()
        if state.status != 'running' or now < state.held_until or self.queue.key in self.engine.movers:
            return
        # Who comes second through the gate leaves it to the first; where there is no gate, the last one to write.
        gate = self.swift.cache.enter_gate(self._container(record), f'{task_name(number)} {state.held_until}', LEASE)
        if gate is not False:
            state = replace(state, worker=self.engine.token_bytes(8).hex(), held_until=now + LEASE)
            self.write(record, number, state)
            self._work(record, number, state)

    def _work(self, record: Record, number: int, state: TaskState) -> None:
        self.engine.movers.add(self.queue.key)
        # Of the request nothing must live as long as the task.
        eventlet.spawn_n(Mover(self.queue.detached().detached, record, number, state).run)


def _headers(state: TaskState) -> dict[str, str]:
    # It never changes: then the object-expirer's own containers hear of it once.
    return {'X-Delete-At': str(delete_at(state.started_at + KEEP))}
