"""One simulation: clients, janitor and troubles on one cloud until time is up, then repair, drain and judgement."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import eventlet

from swiftqueue.history import Operation, Recorder, Verdict, check, operations, story

from . import clients, troubles
from .clients import Client, Shared
from .cloud import Cloud
from .hub import START, Hub, run
from .profiles import Profile, of_seed

BUSY = 45  # seconds for which the clients go on
BUSY_WITH_JANITOR = 130  # what was acked is kept for 60 seconds
QUIET = 140  # seconds without a message after which none will come: longer than any lease
DRAIN = 2000  # seconds in which a queue without trouble gives out everything it holds


@dataclass
class Report:
    """What a simulation did, and what was wrong with it. ``problems``: (what, the message's value or None)."""

    seed: int
    profile: Profile
    verdict: Verdict
    events: list[dict[str, Any]]
    trace: list[str]
    requests: int
    seconds: float  # simulated
    problems: list[tuple[str, Any]] = field(default_factory=list)

    def history(self) -> str:
        return ''.join(json.dumps(event) + '\n' for event in self.events)

    def story(self) -> str:
        """The history around the messages that have a problem."""
        lines = [json.dumps(event) for event in self.events]
        parts = [f'seed {self.seed}, profile {self.profile.name}: {len(self.problems)} problems']
        for what, value in self.problems:
            parts.append(what if value is None else f'message {value}: {what}')
            if value is not None:
                parts += ['    ' + line for line in story(lines, value)]
        return '\n'.join(parts)


def simulate(seed: int, profile: Profile | None = None, *, traced: bool = False) -> Report:
    """Run the simulation of that seed; the same seed does the same, whatever else has run before."""
    profile = profile or of_seed(seed)
    return run(seed, lambda hub: _simulate(hub, seed, profile, traced))


def _simulate(hub: Hub, seed: int, profile: Profile, traced: bool) -> Report:
    chance = random.Random(f'{seed} {profile.name}')
    trace: list[str] = []

    def note(*words: Any) -> None:
        trace.append(f'{hub.now - START:9.4f} ' + ' '.join(str(word).replace('\x00', '|') for word in words))

    requests = 0

    def count(*words: Any) -> None:
        nonlocal requests
        requests += 1
    events: list[dict[str, Any]] = []
    cloud = Cloud(hub, seed, profile, chance.choice((2, 2, 3)), note if traced else count)
    shared = Shared(cloud, Recorder(lambda: round(hub.now - START, 4), events.append),
                    hub.now + (BUSY_WITH_JANITOR if profile.janitor else BUSY))
    first = Client(shared, 'first', seed)
    while first.call('PUT', '', {}).phase != 'ok':
        first.sleep(1)
    threads = [eventlet.spawn(*each) for each in _cast(shared, seed, profile, chance)]
    for thread in threads:
        thread.wait()
    cloud.calm()
    drained = _finish(shared, seed, profile.janitor)
    report = Report(seed, profile, check(operations(events), skew=profile.skew, overlaps_fatal=profile.exclusive),
                    events, trace, len(trace) or requests, hub.now - START)
    report.problems = _problems(shared, report, drained)
    return report


def _cast(shared: Shared, seed: int, profile: Profile, chance: random.Random) -> list[tuple]:
    """Everybody who takes part, as a function and its arguments."""
    def client(name: str) -> Client:
        return Client(shared, name, seed)
    cast: list[tuple] = [(clients.produce, client(f'producer {number}'), chance.randint(5, 9))
                         for number in range(chance.choice((2, 2, 3)))]
    worker = clients.cling if chance.random() < 0.2 else clients.work
    cast += [(worker, client(f'worker {number}')) for number in range(chance.choice((2, 3, 4)))]
    if chance.random() < 0.2:
        cast.append((clients.read, client('reader')))
    if chance.random() < 0.3:
        cast.append((clients.delete_some, client('deleter'), chance.randint(1, 4)))
    if profile.purges:
        cast.append((clients.empty_sometimes, client('purger'), chance.randint(1, 3)))
    if profile.janitor:
        cast.append((clients.clean, client('janitor'), 30))
    if profile.trouble:
        cast.append((troubles.make, shared.cloud, random.Random(f'{seed} trouble'), profile.troubles,
                     profile.trouble, shared.stop_at))
    return cast


def _finish(shared: Shared, seed: int, janitor: bool) -> bool:
    """Repair what was broken and take out all messages; whether that came to an end."""
    cloud, last = shared.cloud, Client(shared, 'last', seed)
    last.sleep(60)  # what was late may still arrive
    cloud.repair()
    number = shared.history.invoke('drain')
    drained = clients.drain(last, QUIET, DRAIN, shared.emptied is not None)
    shared.history.answer(number, 'ok' if drained else 'fail')
    if janitor:
        _clean_up(last)
    return drained


def _clean_up(client: Client) -> None:
    """Whatever the janitor removes from the empty queue, nothing may come back."""
    for seconds in (100, 4000):
        client.sleep(seconds)
        client.cloud.sweep(thorough=True)
        client.cloud.repair()
        for _ in clients.through_each(client):
            client.claim(20, 120)


def _problems(shared: Shared, report: Report, drained: bool) -> list[tuple[str, Any]]:
    history = operations(report.events)
    deleted = {each.value for each in history if each.op == 'ack' and not each.receipt}
    first_end = {}
    for each in sorted(history, key=attrgetter('answered_at')):
        if each.op == 'ack' and each.phase == 'ok':
            first_end.setdefault(each.value, each)
    problems = [('deleted, returned' if name == 'returned' and not first_end[value].receipt else name, value)
                for name, values in report.verdict.violations.items() for value in values
                if not (name in ('lost', 'vanished') and (value in deleted or _doubtful(shared, report, value)))]
    if report.profile.exclusive and not report.profile.purges:
        problems += _refused(history)
    problems += [(text, None) for text in (*shared.trouble, *shared.cloud.errors.texts)]
    if not drained:
        problems.append(('the queue cannot be drained', None))
    return problems


def _doubtful(shared: Shared, report: Report, value: int) -> bool:
    """Whether the message may have been posted to a queue that was deleted, by a proxy that saw a stale record."""
    return report.profile.stale_records and shared.emptied is not None and value >= shared.emptied


def _refused(history: list[Operation]) -> Iterator[tuple[str, Any]]:
    """Acks and renewals that were refused although the claim had surely not run out."""
    until: dict[str, float] = {}
    held: dict[str, Any] = {}
    for each in sorted(history, key=attrgetter('invoked_at')):
        if each.op == 'claim' and each.messages:
            receipt = each.messages[0]['receipt']
            until[receipt], held[receipt] = each.invoked_at + each.ttl, each.messages[0]['value']
        elif each.op in ('renew', 'release') and each.phase != 'fail':
            # Whether its lease is longer now is not asked: it may be shorter, or over.
            until[each.receipt] = 0
        elif each.op in ('ack', 'renew') and each.phase == 'fail' and each.answered_at < until.get(each.receipt, 0):
            yield f'{each.op} refused', each.value if each.op == 'ack' else held[each.receipt]
