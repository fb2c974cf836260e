"""The storage nodes: every replica of everything, and how rows travel between them."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from swift.common.utils import Timestamp

from .answers import Answer, read_replicas
from .containers import ContainerReplica
from .objects import ObjectReplica
from .stamps import stamp

# Called before a replica is asked or written (what for, its number). What a proxy reads is 'read objects' and the like,
# 'ask' is to be asked with no proxy in between. It may let time pass
# and others run. The seconds it gives are how late the replica is: 0 for one that answers,
# inf for one that never does anything; after any other time it does what it was asked to,
# but nobody is left to hear its answer.
Visit = Callable[[str, int], float]


def answers_at_once(what: str, replica: int) -> float:
    return 0


class ReplicaDown(ConnectionError):
    """The replica that was asked for directly does not answer."""


@dataclass(frozen=True)
class PendingRow:
    """A row update that has not reached its container replica yet."""

    replica: int
    container: tuple[str, str]
    row: dict
    due_at: float


class Storage:
    """N storage nodes, each with one replica of every account, container and object.

    Who is silent (all sets hold replica numbers and may be changed at any time): `down`
    nodes as a whole, or only the `down_accounts`, `down_containers` and `down_objects`
    servers. A silent replica gets nothing until `replicate`, or `deliver_rows` for rows.

    `shunned` object servers answer, but not to proxies that read: these have had errors of them.

    How listings lag: rows for the replicas in `lagging` wait for `deliver_rows`; besides,
    a row waits with probability `lag_chance`, for up to `lag_seconds` if that is not None.

    Who is read first: a random replica, or `first_replica` if that is not None.
    """

    def __init__(self, clock: Callable[[], float], rng: random.Random,
                 replicas: int) -> None:
        self.clock = clock
        self.rng = rng
        self.replicas = replicas
        self.down: set[int] = set()
        self.down_accounts: set[int] = set()
        self.down_containers: set[int] = set()
        self.down_objects: set[int] = set()
        self.shunned: set[int] = set()
        self.lagging: set[int] = set()
        self.lag_chance = 0.0
        self.lag_seconds: float | None = None
        self.first_replica: int | None = None
        self.account_names: set[str] = set()
        self._containers: dict[tuple[str, str], list[ContainerReplica | None]] = {}
        self._objects: dict[tuple[str, str, str], list[ObjectReplica]] = {}
        self._pending: list[PendingRow] = []
        self._postponed: list[tuple[float, Callable[[], object]]] = []

    # What the proxy asks of the nodes

    def silent(self, kind: str) -> set[int]:
        """Replicas that do not answer; kind is 'accounts', 'containers' or 'objects'."""
        return self.down | getattr(self, f'down_{kind}')

    def read(self, kind: str, ask: Callable[[int], Answer], visit: Visit, *,
             newest: bool = False) -> Answer:
        """The answer of the replicas to a GET or HEAD, in random order."""
        order = self.shuffled()
        if self.first_replica is not None:
            order.sort(key=lambda replica: replica != self.first_replica)

        def answer(replica: int) -> Answer | None:
            if visit(f'read {kind}', replica) or replica in self.silent(kind) \
                    or kind == 'objects' and replica in self.shunned:
                return None
            return ask(replica)
        return read_replicas(
            order, answer, newest=newest, heed_tombstones=kind == 'objects',
            unproven_misses=min(1, self.replicas - 1))

    def shuffled(self) -> list[int]:
        """The replicas' numbers in random order."""
        order = list(range(self.replicas))
        self.rng.shuffle(order)
        return order

    def postpone(self, seconds: float, work: Callable[[], object]) -> None:
        """Have it done at the first request after that time; never if the time is infinite."""
        if seconds < float('inf'):
            self._postponed.append((self.clock() + seconds, work))

    def container_replicas(self, account: str,
                           container: str) -> list[ContainerReplica | None]:
        return self._containers.get((account, container)) or [None] * self.replicas

    def create_container(self, replica: int, account: str, container: str,
                         put_timestamp: Timestamp, policy: int) -> ContainerReplica:
        replicas = self._containers.setdefault((account, container), [None] * self.replicas)
        created = ContainerReplica(stamp(Timestamp(self.clock()).internal), put_timestamp, policy)
        replicas[replica] = created
        return created

    def containers_on(self, replica: int, account: str) -> dict[str, ContainerReplica]:
        """The account as one replica knows it: its own live containers, sorted."""
        return {name: replicas[replica]
                for (owner, name), replicas in sorted(self._containers.items())
                if owner == account and replicas[replica] and not replicas[replica].deleted}

    def object_replicas(self, account: str, container: str, obj: str) -> list[ObjectReplica]:
        key = (account, container, obj)
        if key not in self._objects:
            self._objects[key] = [ObjectReplica() for _ in range(self.replicas)]
        return self._objects[key]

    def send_row(self, replica: int, account: str, container: str, row: dict) -> None:
        """Update a container replica now, or later if it lags or cannot be reached."""
        waits = replica in self.lagging or self.rng.random() < self.lag_chance
        due_at = float('inf')
        if waits and self.lag_seconds is not None:
            due_at = self.clock() + self.rng.uniform(0, self.lag_seconds)
        pending = PendingRow(replica, (account, container), row, due_at)
        if waits or not self._deliver(pending):
            self._pending.append(pending)

    def _deliver(self, pending: PendingRow) -> bool:
        target = self.container_replicas(*pending.container)[pending.replica]
        if target is None or pending.replica in self.silent('containers'):
            return False
        target.merge_row(pending.row)
        return True

    def catch_up(self) -> None:
        """Do what was postponed until now, and deliver the rows that are due."""
        now = self.clock()
        if self._postponed:
            due = sorted((each for each in self._postponed if each[0] <= now), key=lambda each: each[0])
            self._postponed = [each for each in self._postponed if each[0] > now]
            for _, work in due:
                work()
        if self.lag_seconds is not None and any(pending.due_at <= now for pending in self._pending):
            self._pending = [pending for pending in self._pending
                             if pending.due_at > now or not self._deliver(pending)]

    # What the background daemons do, on demand

    def deliver_rows(self, chance: float = 1) -> int:
        """Deliver the waiting rows (the object-updaters) and give how many still wait.

        With a chance below 1 each row is delivered or not: the updaters of different
        servers know nothing of each other, so a later row may well arrive first.
        """
        self._pending = [pending for pending in self._pending
                         if self.rng.random() >= chance or not self._deliver(pending)]
        return len(self._pending)

    def replicate(self) -> None:
        """Bring all replicas that answer to the same, newest state (the replicators)."""
        up = [replica for replica in range(self.replicas)
              if replica not in self.silent('containers')]
        for (account, container), replicas in self._containers.items():
            known = [replicas[replica] for replica in up if replicas[replica] is not None]
            for replica in up:
                for other in known:
                    if replicas[replica] is None:
                        self.create_container(replica, account, container,
                                              other.put_timestamp, other.policy)
                    if other is not replicas[replica]:
                        replicas[replica].absorb(other)
        up = [replica for replica in range(self.replicas)
              if replica not in self.silent('objects')]
        for replicas in self._objects.values():
            for replica in up:
                for other in up:
                    if replica != other:
                        replicas[replica].absorb(replicas[other])

    # What tests look at

    def containers(self, account: str) -> list[str]:
        """Names of the containers that are live on any replica."""
        return sorted({name for replica in range(self.replicas)
                       for name in self.containers_on(replica, account)})

    def rows(self, account: str, container: str) -> list[dict]:
        """The listing as it will be once every waiting row has arrived everywhere."""
        merged = ContainerReplica(Timestamp.zero(), Timestamp.zero(), 0)
        for replica in self.container_replicas(account, container):
            if replica is not None:
                merged.absorb(replica)
        for pending in self._pending:
            if pending.container == (account, container):
                merged.merge_row(pending.row)
        return [merged.row(name) for name in merged.names(limit=merged.object_count)]

    def live_objects(self, account: str) -> list[tuple[str, str]]:
        """(container, name) of what is neither deleted nor expired, in any container.

        The newest write among the replicas decides; whether a row exists does not.
        """
        now = Timestamp(self.clock())
        found = []
        for (owner, container, name), replicas in sorted(self._objects.items()):
            newest = ObjectReplica()
            for replica in replicas:
                newest.absorb(replica)
            if owner == account and newest.look(now).live:
                found.append((container, name))
        return found

    def replica_listing(self, replica: int, account: str, container: str, marker: str = '',
                        end_marker: str = '', limit: int = 10000) -> list[str]:
        """Names that one replica lists, asked directly; none if it lacks the container.

        :raises ReplicaDown: the replica does not answer
        """
        if replica in self.silent('containers'):
            raise ReplicaDown(f'container replica {replica} of {account}/{container!r}')
        self.catch_up()
        asked = self.container_replicas(account, container)[replica]
        return asked.names(marker, end_marker, limit=limit) if asked else []
