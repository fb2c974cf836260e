"""What goes wrong on a larger scale: servers fall silent, processes die or freeze, memcached forgets."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .cloud import Cloud


def make(cloud: Cloud, chance: random.Random, kinds: tuple[str, ...], every: float, until: float) -> None:
    """One trouble after the other, on average with ``every`` seconds in between, each over before the next."""
    while cloud.hub.now < until:
        cloud.hub.pause(chance.expovariate(1 / every))
        kind = chance.choice(kinds)
        cloud.trace('trouble', kind, '', '', '')
        TROUBLES[kind](cloud, chance)
        cloud.trace('trouble', kind, '', 'over', '')


def _crash(cloud: Cloud, chance: random.Random) -> None:
    cloud.restart(chance.choice(cloud.processes))


def _pause(cloud: Cloud, chance: random.Random) -> None:
    """A process does nothing for longer than a lease, or even than a claim is kept after the ack."""
    process = chance.choice(cloud.processes)
    process.frozen_until = cloud.hub.now + chance.choice((3, 12, 35, 100))
    cloud.hub.pause(process.frozen_until - cloud.hub.now)


def _silence(name: str) -> Callable[[Cloud, random.Random], None]:
    """One replica's servers do not answer for a while. What they have missed may come soon after, or much later."""
    def silence(cloud: Cloud, chance: random.Random) -> None:
        replica = chance.randrange(cloud.swift.replicas)
        cloud.silence(getattr(cloud.swift, name), replica, chance.choice((1, 5, 20, 80)))
        if chance.random() < 0.5:
            cloud.hub.pause(chance.uniform(0, 10))
            # Object-updaters run each for itself, so rows arrive in any order.
            cloud.swift.deliver_rows(chance.choice((0.3, 1)))
        if chance.random() < 0.5:
            cloud.swift.replicate()
    return silence


def _shunned(cloud: Cloud, chance: random.Random) -> None:
    """An object server misses something; then a proxy that has had errors of all others reads from that one alone."""
    replica = chance.randrange(cloud.swift.replicas)
    with _for_a_while(cloud, chance):
        cloud.swift.down_objects.add(replica)
    cloud.swift.down_objects.discard(replica)
    process = chance.choice(cloud.processes)
    with _for_a_while(cloud, chance):
        process.shunned = set(range(cloud.swift.replicas)) - {replica}
    process.shunned = set()


@contextmanager
def _for_a_while(cloud: Cloud, chance: random.Random) -> Iterator[None]:
    yield
    cloud.hub.pause(chance.choice((0.5, 3, 10)))


def _cache_down(cloud: Cloud, chance: random.Random) -> None:
    with _for_a_while(cloud, chance):
        cloud.caches[0].down = True
    cloud.caches[0].down = False


def _cache_wiped(cloud: Cloud, chance: random.Random) -> None:
    cloud.caches[0].wipe()


def _keys_lost(cloud: Cloud, chance: random.Random) -> None:
    cloud.caches[0].lose(lambda key: chance.random() < 0.3)


def _cache_split(cloud: Cloud, chance: random.Random) -> None:
    """One process takes memcached for dead and goes to another one."""
    process = chance.choice(cloud.processes)
    with _for_a_while(cloud, chance):
        process.cache = cloud.caches[1]
    process.cache = cloud.caches[0]


TROUBLES: dict[str, Callable[[Cloud, random.Random], None]] = {
    'crash': _crash,
    'pause': _pause,
    'silent node': _silence('down'),
    'silent objects': _silence('down_objects'),
    'silent containers': _silence('down_containers'),
    'shunned': _shunned,
    'cache down': _cache_down,
    'cache wiped': _cache_wiped,
    'keys lost': _keys_lost,
    'cache split': _cache_split,
}
