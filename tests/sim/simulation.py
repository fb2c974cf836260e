"""One simulation: clients, janitor and troubles on one cloud until time is up, then repair, drain and judgement."""

from __future__ import annotations

import json
import math
import random
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import eventlet

from swiftqueue import head
from swiftqueue.history import Recorder, Verdict, check, operations, story

from . import clients, lines, publishing, singles, troubles
from .clients import DEAD, JOBS, Client, Shared
from .cloud import ACCOUNT, Cloud
from .hub import START, Hub, run
from .judgement import Problem, judge
from .lines import LineClient
from .profiles import Profile, of_seed
from .publishing import COPIES, HOOK, Publisher, PublishingShared, Subscriber, Webhook

BUSY = 45  # seconds for which the clients go on
BUSY_WITH_JANITOR = 130  # what was acked is kept for 60 seconds
QUIET = 140  # seconds without a message after which none will come: longer than any lease
DRAIN = 2000  # seconds in which a queue without trouble gives out everything it holds


@dataclass
class Report:
    """What a simulation did, and what was wrong with it. Problems of no message have None for its value."""

    seed: int
    profile: Profile
    verdict: Verdict
    events: list[dict[str, Any]]
    trace: list[str]
    requests: int
    problems: list[Problem]

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
    with _pages_of(profile.page):
        return run(seed, lambda hub: _simulate(hub, seed, profile, traced))


def _pages_of(messages: int) -> AbstractContextManager:
    """Head pages of so many messages, and the rest in proportion."""
    if not messages:
        return nullcontext()
    return patch.multiple(head, PAGE=messages, _LOOK_ROWS=2 * messages, _MOST_HELD=2 * messages)


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
    shared = (PublishingShared if profile.publishes else Shared)(
        cloud, Recorder(lambda: round(hub.now - START, 4), events.append),
                    hub.now + (BUSY_WITH_JANITOR if profile.janitor else BUSY))
    attributes = {}
    if not (profile.purges or profile.fifo or profile.publishes) and chance.random() < 0.2:
        shared.queues = (JOBS, DEAD)
        attributes = {'_max_claim_count': chance.randint(1, 3), '_dead_letter_queue': DEAD}
    if profile.shards > 1:
        attributes['_shards'] = chance.randint(1 if profile.grows else 2, profile.shards)
    if profile.fifo:
        attributes['_fifo'] = True
    if profile.publishes:
        _begin_to_publish(shared, chance)
    first = (Publisher if profile.publishes else Client)(shared, 'first', seed)
    while first.call('PUT', '', attributes).phase != 'ok':
        first.sleep(1)
    threads = [eventlet.spawn(*each) for each in _cast(shared, seed, profile, chance)]
    for thread in threads:
        thread.wait()
    cloud.calm()
    drained = _finish(shared, seed, profile.janitor)
    history = operations(events)
    verdict = check(history, skew=profile.skew, overlaps_fatal=profile.exclusive)
    problems = judge(history, verdict, profile, shared)
    problems += [(text, None) for text in (*shared.trouble, *cloud.errors.texts)]
    if not drained:
        problems.append(('the queue cannot be drained', None))
    return Report(seed, profile, verdict, events, trace, len(trace) or requests, problems)


def _cast(shared: Shared, seed: int, profile: Profile, chance: random.Random) -> list[tuple]:
    """Everybody who takes part, as a function and its arguments."""
    def client(name: str) -> Client:
        return Client(shared, name, seed)
    if profile.fifo:
        return _cast_of_lines(shared, seed, profile, chance)
    if profile.publishes:
        return _cast_of_publishing(shared, seed, profile, chance)
    cast: list[tuple] = [(clients.produce, client(f'producer {number}'), chance.randint(5, 9))
                         for number in range(chance.choice((2, 2, 3)))]
    worker = clients.cling if chance.random() < 0.2 else clients.work
    cast += [(worker, client(f'worker {number}')) for number in range(chance.choice((2, 3, 4)))]
    if profile.singly:
        cast += [(singles.work, singles.SingleClient(shared, f'single worker {number}', seed)) for number in range(2)]
    if chance.random() < 0.2:
        cast.append((clients.read, client('reader')))
    if chance.random() < 0.3:
        cast.append((clients.delete_some, client('deleter'), chance.randint(1, 4)))
    if profile.purges:
        cast.append((clients.empty_sometimes, client('purger'), chance.randint(1, 3)))
    if profile.grows:
        cast.append((clients.grow, client('operator'), chance.randint(1, 4)))
    return cast + _others(shared, seed, profile)


def _others(shared: Shared, seed: int, profile: Profile) -> list[tuple]:
    """The janitor, and what goes wrong."""
    cast: list[tuple] = []
    if profile.janitor:
        cast.append((clients.clean, Client(shared, 'janitor', seed), 30))
    if profile.trouble:
        cast.append((troubles.make, shared.cloud, random.Random(f'{seed} trouble'), profile.troubles,
                     profile.trouble, shared.stop_at))
    return cast


def _cast_of_lines(shared: Shared, seed: int, profile: Profile, chance: random.Random) -> list[tuple]:
    def client(name: str) -> LineClient:
        return LineClient(shared, name, seed)
    cast: list[tuple] = [(lines.produce, client(f'producer {number}'), chance.randint(6, 12))
                         for number in range(chance.choice((2, 3)))]
    cast += [(singles.work, client(f'worker {number}')) for number in range(chance.choice((2, 3, 4)))]
    cast.append((clients.work, client('worker of another door')))
    return cast + _others(shared, seed, profile)


def _begin_to_publish(shared: PublishingShared, chance: random.Random) -> None:
    shared.topic = chance.random() < 0.5
    places = COPIES[:chance.choice((1, 2, 2))]
    shared.queues = places if shared.topic else (JOBS, *places)
    never = dict.fromkeys((*places, *((HOOK,) if chance.random() < 0.5 else ())), math.inf)
    shared.sure_from = never if shared.topic else {JOBS: 0, **never}


def _cast_of_publishing(shared: PublishingShared, seed: int, profile: Profile, chance: random.Random) -> list[tuple]:
    cast: list[tuple] = [(clients.produce, Publisher(shared, f'producer {number}', seed), chance.randint(5, 9))
                         for number in range(2)]
    for place in shared.sure_from:
        if place != JOBS:
            cast.append((publishing.subscribe, Publisher(shared, f'subscriber of {place}', seed), place,
                         chance.choice((0, 0, 5))))
    for queue in shared.queues:
        worker = Subscriber(shared, f'worker of {queue}', seed)
        worker.queue = queue
        cast.append((clients.work, worker))
    webhook = Webhook(Client(shared, 'webhook', seed))
    cast += [(publishing.notify, Client(shared, f'notifier {number}', seed), webhook) for number in range(2)]
    return cast + _others(shared, seed, profile)


def _finish(shared: Shared, seed: int, janitor: bool) -> bool:
    """Repair what was broken and take out all messages; whether that came to an end."""
    publishes = isinstance(shared, PublishingShared)
    cloud, last = shared.cloud, (Subscriber if publishes else Client)(shared, 'last', seed)
    last.sleep(60)  # what was late may still arrive
    cloud.repair()
    number = shared.history.invoke('drain')
    # What is in a generation that is over, or that lost against another at its queue's creation, comes by the janitor.
    drained = clients.drain(last, QUIET, DRAIN, publishes or shared.emptied is not None or len(shared.queues) > 1,
                            publishing.notifier(last) if publishes else None)
    shared.history.answer(number, 'ok' if drained else 'fail')
    if janitor:
        _clean_up(last)
    return drained


def _clean_up(client: Client) -> None:
    """Whatever the janitor removes from the empty queue, nothing may come back, and nothing may be left."""
    cloud = client.cloud
    for seconds in (100, 4000):
        client.sleep(seconds)
        cloud.sweep(thorough=True)
        cloud.repair()
        for _ in clients.everywhere(client):
            client.claim(20, 120)
    left = [place for place in cloud.swift.live_objects(ACCOUNT) if not publishing.stays(*place)]
    client.shared.trouble += [f'left behind in {container!r}: {name!r}' for container, name in left]
