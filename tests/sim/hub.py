"""Eventlet on simulated time: what waits, waits no real time, and chance decides nothing that the seed does not.

Green threads, semaphores, pools and timeouts of the code under test all wait in eventlet's hub. So a hub of our own is
all it takes to run that code unchanged and to decide what happens next: the hub always runs what is due first, and sets
its clock to that instant. How long each step takes is the seed's choice, and so is the order of the steps.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, TypeVar

import eventlet
from eventlet import hubs
from greenlet import GreenletExit, getcurrent

START = 1_800_000_000.0  # when a simulation begins

Result = TypeVar('Result')


class Stuck(Exception):
    """Nothing is left that could wake up those who wait."""


class Hub(hubs.hub.BaseHub):
    """The hub of one simulation."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: self.now)
        self.now = START
        self.chance = random.Random()
        self._due: list[tuple[float, float, int, Callable[[], Any]]] = []
        self._numbers = count()

    @staticmethod
    def is_available() -> bool:
        return True

    def pause(self, seconds: float) -> None:
        """Let others run for that time; as eventlet.sleep, but cheaper."""
        self._add(seconds, getcurrent().switch)
        self.greenlet.switch()

    def _add(self, seconds: float, wake: Callable[[], Any]) -> None:
        # Chance decides between those that wait for no time at all.
        order = self.chance.random() if seconds <= 0 else 0
        heapq.heappush(self._due, (self.now + seconds, order, next(self._numbers), wake))

    def add_timer(self, timer: Callable[[], Any]) -> float:
        self._add(timer.seconds, timer)
        return self.now + timer.seconds

    def timer_canceled(self, timer: Any) -> None:
        """A cancelled timer does nothing when its time comes."""

    def run(self, *args: Any, **kwargs: Any) -> None:
        while self._due:
            at, _, _, wake = heapq.heappop(self._due)
            self.now = max(self.now, at)
            try:
                wake()
            except GreenletExit:
                raise
            except BaseException:  # a green thread has ended; whoever waits for it will hear of this
                continue
        raise Stuck('everybody waits for somebody else')


def run(seed: object, main: Callable[[Hub], Result]) -> Result:
    """What ``main`` returns in a world of its own, where it is the first green thread. Raises what it raises.

    Eventlet has one hub per thread, hence the thread: the hub of the caller's thread is left alone.
    """
    def simulate() -> Result:
        hubs.use_hub(Hub)
        hub = hubs.get_hub()
        hub.chance = random.Random(f'{seed} order')
        try:
            return eventlet.spawn(main, hub).wait()
        finally:
            hub.greenlet.throw(GreenletExit)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(simulate).result()
