"""Flavors and pools: in which storage policies queues may be put, with which limits. Operators define them.

A *pool* stands for a storage policy. A *flavor* names the pools that a queue of it may be put in. It is read when a
queue is created, and the queue's record keeps what it said. So no queue depends on its flavor afterwards, whatever
becomes of it. That is also why a definition that cannot be read just now is an error: a queue that was put somewhere
else because of that would stay there.

Each definition is an object of its own in an account of the service, and is read from the newest of its replicas. For a
moment a worker may act on what it has read; it never remembers that there was none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from swiftqueue import policies
from swiftqueue.errors import DefinitionNotFound, Invalid, PolicyTaken, PoolInUse, Unavailable
from swiftqueue.limits import FLAVOR_LIMITS, check_definition_name, check_integer
from swiftqueue.model import Page
from swiftqueue.names import FLAVORS, POOLS, Flavor, Placement, Pool, parse_definition
from swiftqueue.swift import GenerationGone, Swift

if TYPE_CHECKING:
    from swiftqueue.queues import Engine

KNOWN_SECONDS = 5  # for which a worker may act on a definition it has read
MAX_PER_PAGE = 20
_MAX_WEIGHT = 1_000_000
_MAX_POOLS = 100  # of one flavor
_MAX_OPTIONS = 4096  # bytes

Definition = Pool | Flavor


class Definitions:
    """Those of one kind. Who may do what is for the doors to say, since no account's rights have to do with it."""

    container: str
    kind: type
    word: str

    def __init__(self, engine: Engine, swift: Swift):
        self.engine = engine
        self.swift = swift.service()

    def page(self, marker: str = '', limit: int | None = None) -> Page:
        """(name, definition) in order of their names, after ``marker``. Raises Invalid, Unavailable."""
        limit = 10 if limit is None else check_integer('limit', limit, 1, MAX_PER_PAGE)
        names = self._names(marker, limit)
        found = zip(names, self.swift.at_most(self.read, names), strict=True)
        return Page([(name, each) for name, each in found if each], names[-1] if names else None)

    def get(self, name: str) -> Any:
        """Raises Invalid, DefinitionNotFound, Unavailable."""
        definition = self.read(check_definition_name(name))
        if definition is None:
            raise DefinitionNotFound(f'There is no {self.word} {name}.')
        return definition

    def put(self, name: str, definition: Any) -> None:
        """Define it, or define it anew. Raises Invalid, PolicyTaken, Unavailable."""
        self.check(check_definition_name(name), definition)
        self.swift.put_container(self.container)
        self._forget(name)
        if not self.swift.store(self.container, name, definition.content(), {}, self.engine.clock()):
            raise Unavailable(f'The {self.word} was changed at the same time.')

    def change(self, name: str, change: Callable[[Any], Any]) -> Any:
        """Define it as what ``change`` makes of it, and return that. Raises as :meth:`get` and :meth:`put`."""
        changed = change(self.get(name))
        self.put(name, changed)
        return changed

    def delete(self, name: str) -> None:
        """One that is not there is fine too. Raises Invalid, PoolInUse, Unavailable."""
        if self.read(check_definition_name(name)):
            self._forget(name)
            self.swift.delete(self.container, name)

    def recent(self, name: str) -> Any:
        """The definition, or what it was some seconds ago; None if there is none. Raises Unavailable."""
        known, key, now = self.engine.definitions, (self.container, name), self.engine.monotonic()
        if key in known and now - known[key][1] < KNOWN_SECONDS:
            return known[key][0]
        known.pop(key, None)
        if definition := self.read(name):
            known[key] = definition, now
        return definition

    def read(self, name: str) -> Any:
        """The definition as Swift has it now; None if there is none. Raises Unavailable."""
        response = self.swift.get_newest(self.container, name)
        return response and parse_definition(self.kind, response.body)

    def every(self) -> list[tuple[str, Any]]:
        """(name, definition) of all. Raises Unavailable."""
        found, page = [], self.page(limit=MAX_PER_PAGE)
        while page.marker:
            found += page.items
            page = self.page(page.marker, MAX_PER_PAGE)
        return found

    def check(self, name: str, definition: Any) -> None:
        """Raises Invalid, PolicyTaken, Unavailable."""
        raise NotImplementedError  # each kind has rules of its own

    def _names(self, marker: str, limit: int) -> list[str]:
        try:
            return [row['name'] for row in self.swift.listing(self.container, marker=marker, limit=limit)]
        except GenerationGone:  # nothing was ever defined
            return []

    def _forget(self, name: str) -> None:
        self.engine.definitions.pop((self.container, name), None)


class Pools(Definitions):
    container, kind, word = POOLS, Pool, 'pool'

    def check(self, name: str, pool: Pool) -> None:
        check_integer('weight', pool.weight, 0, _MAX_WEIGHT)
        if not isinstance(pool.policy, str) or policies.open_policy(pool.policy) is None:
            raise Invalid(f'There is no storage policy {pool.policy!r} that takes new containers.')
        if not isinstance(pool.options, dict) or len(pool.content()) > _MAX_OPTIONS:
            raise Invalid(f'options must be an object of less than {_MAX_OPTIONS} bytes.')
        for other, there in self.every():
            if other != name and policies.open_policy(there.policy) == policies.open_policy(pool.policy):
                raise PolicyTaken(f'The pool {other} has the storage policy {pool.policy} already.')

    def delete(self, name: str) -> None:
        for flavor, there in Flavors(self.engine, self.swift).every():
            if name in (*there.pools, there.claims_pool):
                raise PoolInUse(f'The flavor {flavor} has the pool {name}.')
        super().delete(name)


class Flavors(Definitions):
    container, kind, word = FLAVORS, Flavor, 'flavor'

    def check(self, name: str, flavor: Flavor) -> None:
        options, pools = self.engine.options, flavor.pools
        if not isinstance(pools, list) or not 1 <= len(pools) <= _MAX_POOLS:
            raise Invalid(f'A flavor has a list of 1 to {_MAX_POOLS} pools.')
        for pool in [*pools, *([] if flavor.claims_pool is None else [flavor.claims_pool])]:
            if self._pools.read(check_definition_name(pool)) is None:
                raise Invalid(f'There is no pool {pool}.')
        if not isinstance(flavor.limits, dict):
            raise Invalid('limits must be an object.')
        for limit, value in flavor.limits.items():
            if limit not in FLAVOR_LIMITS:
                raise Invalid(f'A flavor cannot limit {limit!r}, only {", ".join(FLAVOR_LIMITS)}.')
            least = FLAVOR_LIMITS[limit]
            check_integer(limit, value, getattr(options, least) if isinstance(least, str) else least,
                          getattr(options, limit))
        if not isinstance(flavor.ephemeral, bool):
            raise Invalid('ephemeral must be true or false.')
        if flavor.shards is not None:
            check_integer('shards', flavor.shards, 1, options.within(flavor.limits).max_shards)

    def place(self, name: str) -> tuple[Flavor, Placement]:
        """The flavor, and where a new queue of it is to be put. Raises Invalid, Unavailable."""
        flavor = self.recent(name)
        if flavor is None:
            raise Invalid(f'There is no flavor {name!r}.')
        messages = self._choose(flavor.pools)
        claims = messages if flavor.claims_pool is None else self._policy(flavor.claims_pool)[0]
        if messages is None or claims is None:
            raise Invalid(f'The flavor {name} takes no queues: its pools have no weight, or their storage policies '
                          'are deprecated.')
        return flavor, Placement(messages, claims, flavor.limits)

    def _choose(self, pools: list[str]) -> int | None:
        """The policy of one of the pools that take queues, each as often as its weight says."""
        able = [(policy, weight) for policy, weight in map(self._policy, pools) if policy is not None and weight]
        point = able and self.engine.random_bits(32) * sum(weight for _, weight in able) >> 32
        for policy, weight in able:
            if point < weight:
                return policy
            point -= weight
        return None

    def _policy(self, pool: str) -> tuple[int | None, int]:
        """The index of a pool's policy, if it takes new containers, and the pool's weight."""
        there = self._pools.recent(pool)
        return (policies.open_policy(there.policy), there.weight) if there else (None, 0)

    @property
    def _pools(self) -> Pools:
        return Pools(self.engine, self.swift)
