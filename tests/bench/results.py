"""What the rounds of a measurement come to: medians, percentiles, ratios to raw Swift, and the targets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.operations import MEASURES
from bench.rounds import Setting, Taken


@dataclass(frozen=True)
class Row:
    """One measure at one setting. Times are seconds; per message, or whatever else the measure counts."""

    name: str
    clients: int
    size: int
    rate: float  # per second
    unit: str
    ratio: float | None  # to the raw measure beside it
    p50: float | None  # of an operation
    p99: float | None
    requests: float  # Swift requests of the queue
    methods: dict[str, float]
    cpu: dict[str, float]  # by kind of process, the client's too
    empty: int  # operations that handled no message
    failures: dict[str, int]
    in_vain: int = 0  # deliveries whose acks were refused, or that had been handled already


@dataclass(frozen=True)
class Target:
    """The least that a ratio to raw Swift should be, or, with ``most``, the most that a share should be."""

    name: str
    wanted: float
    most: bool = False

    def met(self, value: float) -> bool:
        return value <= self.wanted if self.most else value >= self.wanted


FILTER_SHARE = "filter's CPU / proxy's CPU for its Swift requests"
TARGETS = (
    Target('post 1', 0.95),
    Target('post 10', 1.1),
    Target('list 20 with claimed', 15),
    Target('list 20', 10),
    Target('claim 10 + ack each', 0.9),
    Target('claim 1 + ack', 0.8),
    Target(FILTER_SHARE, 0.25, most=True),
)


def quantile(values: Iterable[float], share: float) -> float | None:
    """The least value that ``share`` of all values do not exceed; None of nothing.

    >>> quantile([3, 1, 2, 4], 0.5), quantile([3, 1, 2, 4], 0.99)
    (2, 4)
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def ratio(rates: Sequence[float], raw: Sequence[float]) -> float | None:
    """The median of what each round says; None where there is nothing raw to compare with."""
    ratios = [ours / theirs for ours, theirs in zip(rates, raw, strict=False) if theirs]
    return median(ratios) if ratios else None


def rows(setting: Setting) -> list[Row]:
    """One for each measure, in the order of the table."""
    return [_row(setting, name) for name in MEASURES if setting.taken[name]]


def _row(setting: Setting, name: str) -> Row:
    taken = setting.taken[name]
    beside = setting.taken[MEASURES[name].beside] if MEASURES[name].beside else []
    latencies = [latency for each in taken for latency in each.sample.latencies]
    # A mixed load counts what was acked, and pays for what was posted.
    messages = sum(each.sample.messages for each in taken) or math.nan
    requests = sum((each.requests for each in taken), Counter())
    cpu = sum((each.cpu for each in taken), Counter())
    cpu['client'] = sum(each.sample.client_cpu for each in taken)
    return Row(
        name=name, clients=setting.ground.clients, size=setting.ground.size, rate=median(_rates(taken)),
        unit=MEASURES[name].unit, ratio=ratio(_rates(taken), _rates(beside)),
        p50=quantile(latencies, 0.5), p99=quantile(latencies, 0.99), requests=requests.total() / messages,
        methods={method: count / messages for method, count in sorted(requests.items())},
        cpu={kind: seconds / messages for kind, seconds in sorted(cpu.items())},
        empty=sum(each.sample.empty for each in taken),
        failures=dict(sum((each.sample.failures for each in taken), Counter())),
        in_vain=sum(each.in_vain for each in taken))


def _rates(taken: Iterable[Taken]) -> list[float]:
    return [each.sample.rate for each in taken]


def filter_share(setting: Setting) -> float | None:
    """CPU time of the queue filter itself over that of its Swift requests, for messages from post to ack."""
    shares = [each['queue'] / swift for each in setting.zones if (swift := sum(
        seconds for zone, seconds in each.items() if zone.startswith('swift ')))]
    return median(shares) if shares else None


def judged(table: Sequence[Row], share: float | None) -> list[tuple[Target, float]]:
    """The targets of which there is a figure, and that."""
    figures = {row.name: row.ratio for row in table} | {FILTER_SHARE: share}
    return [(target, figures[target.name]) for target in TARGETS if figures.get(target.name) is not None]


def zones(setting: Setting) -> dict[str, float]:
    """CPU seconds of the proxies for a message from post to ack, by zone; nothing if that was not traced."""
    names = sorted({zone for each in setting.zones for zone in each})
    return {zone: median(each[zone] for each in setting.zones) for zone in names}
