"""One setting (clients, size) measured round by round, raw Swift and the queue in turn."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bench import operations
from bench.load import Sample, repeat
from bench.operations import Ground, Group, Measure
from bench.stage import Stage

_FIRST_GUESS = 100  # messages per second, for how much to lay ready


@dataclass
class Taken:
    """One measurement. CPU seconds are those of the whole measurement, by kind of process."""

    sample: Sample
    requests: Counter[str] = field(default_factory=Counter)
    cpu: Counter[str] = field(default_factory=Counter)
    in_vain: int = 0  # deliveries whose acks were refused, or that had been handled already


class Setting:
    """Measures ``groups`` on ``stage`` with so many clients and bodies of ``size`` bytes, ``seconds`` each.

    ``say`` is told of each step. Results are in ``taken``, by name of the measure, one for each round.
    """

    def __init__(self, stage: Stage, groups: Sequence[Group], clients: int, size: int, seconds: float,
                 say: Callable[[str], None]):
        self.stage = stage
        self.groups = groups
        self.seconds = seconds
        self.say = say
        self.ground = Ground(clients, size, stage.account)
        self.taken: dict[str, list[Taken]] = defaultdict(list)
        self.zones: list[Counter[str]] = []  # CPU seconds for each message of its life, one for each round

    def prepare(self) -> None:
        """Queues, containers and a page to list; then everything short once, so that nothing is measured cold."""
        with self.stage.connected(1) as clients:
            self._succeed(repeat(clients, partial(operations.prepare, self.ground)))
        for group in self.groups:
            for measure in group:
                if measure.takes <= 1 and measure.unit != 'lives':
                    self._measure(measure, 0)
        self.taken.clear()

    def round(self, number: int) -> None:
        """Every measure once. In every other round the raw ones come last in their groups."""
        for group in self.groups:
            for measure in reversed(group) if number % 2 else group:
                taken = self._measure(measure, self.seconds)
                self.say(f'{measure.name:22} {taken.sample.rate:8.1f} {measure.unit}/s')

    def trace(self) -> None:
        """Where the proxies' CPU time goes while messages live their lives, apart from all that is timed."""
        self._lay_ready(operations.MEASURES['life'], 0)
        with self.stage.connected(self.ground.clients) as clients:
            _, before = self.stage.requests('on')
            sample = repeat(clients, partial(operations.life, self.ground), seconds=self.seconds)
            _, after = self.stage.requests('off')
        self.zones.append(Counter({zone: (after[zone] - before[zone]) / sample.messages for zone in after}))

    def finish(self) -> None:
        """Delete the queues."""
        with self.stage.connected(1) as clients:
            self._succeed(repeat(clients, partial(operations.clean, self.ground)))

    def _measure(self, measure: Measure, seconds: float) -> Taken:
        self._lay_ready(measure, seconds)
        with self.stage.connected(self.ground.clients) as clients:
            if measure.first:
                missing = [client for client in clients if client.number not in self.ground.held]
                if missing:
                    self._succeed(repeat(missing, partial(measure.first, self.ground)))
            settled = seconds >= 1  # a shorter one is only tried out
            if settled:  # nothing is to pay for what was measured before
                self.stage.settle()
            requests, cpu, in_vain = self.stage.requests()[0], self.stage.cpu(), self.ground.in_vain
            sample = repeat(clients, partial(measure.operation, self.ground), seconds=seconds)
            if settled:  # what is left to be done afterwards has its cost, too
                self.stage.settle()
            taken = Taken(sample, self.stage.requests()[0] - requests, self.stage.cpu() - cpu,
                          self.ground.in_vain - in_vain)
        self.taken[measure.name].append(taken)
        return taken

    def _lay_ready(self, measure: Measure, seconds: float) -> None:
        """As many objects or messages as the measure may use up."""
        if not measure.takes:
            return
        rate = max((taken.sample.rate for taken in self.taken[measure.name]), default=_FIRST_GUESS)
        wanted = math.ceil(1.5 * rate * seconds) + 3 * measure.takes * self.ground.clients
        with self.stage.connected(8) as clients:
            while not measure.raw and self.ground.waiting < wanted:
                self._succeed(repeat(clients, partial(operations.supply, self.ground)))
            while measure.raw and len(self.ground.objects) < wanted:
                self._succeed(repeat(clients, partial(operations.raw_put, self.ground), times=10))

    def _succeed(self, sample: Sample) -> None:
        if sample.failures:
            raise RuntimeError(f'the bench cannot go on: {next(iter(sample.failures))}')
