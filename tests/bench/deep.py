"""``--deep``: what a claim costs in long queues, beside an almost empty one.

The rows of long queues are written straight into the container databases on the nodes' disks, with no objects behind
them: a first claim of a small message reads its row and nothing else. Swift's daemons and the janitor do not run, since
they would remove what is to be measured.

*Very first* is the first claim that anybody makes in a queue, and *first* the first one of another worker, after that;
*cold* is one after a pause, when the worker acts on nothing any more that it has read of the messages; *warm* are
claims one after the other. All queues take turns. What is asked of Swift beside a claim, when that is answered, counts
as the claim's.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import Any

from bench import operations
from bench.load import Client, repeat
from bench.operations import Ground
from bench.report import number
from bench.results import quantile
from bench.stage import Stage, log_in
from swiftqueue import ids
from swiftqueue.cluster import Cluster
from swiftqueue.names import (
    GENERATION,
    KEPT_ROW,
    ROW,
    ClaimState,
    Envelope,
    claim_name,
    claims_container,
    message_name,
    messages_container,
    queue_container,
)

Row = dict[str, Any]

MOST = 1.5  # times what a claim costs in an almost empty queue
FEW = 500  # messages that are there to be claimed
COLD_TRIES = 8
FIRST_TRIES = 3  # each in a queue of its own
PAUSE = 2.5  # seconds, longer than a worker acts on what it has read
WARM_SECONDS = 3
ROUNDS = 3
_BATCH = 10_000  # rows in one commit
_COLUMNS = ('very first', 'first', 'cold', 'warm')
PROXIES = 2


@dataclass
class Case:
    """What lies in a queue, and what that showed: latencies in seconds, Swift requests per claim."""

    name: str
    fill: Callable[[Databases, str, int], None]  # databases, queue, size of a long queue
    user: tuple[str, str] = ('test:tester', 'testing')
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by column
    requests: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    empty: int = 0  # claims that were told that there is nothing

    def times(self, plain: Case, column: str) -> float:
        """How many times the latency of the plain queue."""
        return quantile(self.latencies[column], 0.5) / quantile(plain.latencies[column], 0.5)

    def cost(self, column: str) -> float:
        """Swift requests per claim."""
        each = self.requests[column]
        return sum(each) / len(each)


class Databases:
    """The databases of one account's containers on a cluster's disks."""

    def __init__(self, cluster: Cluster, account: str):
        from swift.common import utils
        from swift.common.ring import Ring
        utils.set_swift_dir(str(cluster.data / 'etc'))
        self._cluster = cluster
        self._account = account
        self._rings = {kind: Ring(str(cluster.data / 'etc'), ring_name=kind) for kind in ('account', 'container')}

    def generation(self, queue: str) -> str:
        """The generation of a queue that was just created."""
        record = next(self._brokers('container', queue_container(queue)))
        return json.loads(record.metadata[GENERATION][0])['generation']

    def add(self, container: str, rows: Iterable[Row]) -> None:
        """Rows of objects, each a name, an etag and an instant."""
        rows = [{'name': row['name'], 'created_at': f'{row["at"]:016.5f}', 'size': 1, 'etag': row['etag'],
                 'content_type': 'application/json', 'deleted': 0, 'storage_policy_index': 0} for row in rows]
        self._merge(self._brokers('container', container), rows)

    def add_containers(self, names: Iterable[str], at: float) -> None:
        """Rows of containers, in the account's databases."""
        rows = [{'name': name, 'put_timestamp': f'{at:016.5f}', 'delete_timestamp': '0', 'object_count': 0,
                 'bytes_used': 0, 'deleted': 0, 'storage_policy_index': 0} for name in names]
        self._merge(self._brokers('account'), rows)

    def _merge(self, brokers: Iterable[Any], rows: list[Row]) -> None:
        for broker in brokers:
            for start in range(0, len(rows), _BATCH):
                broker.merge_items([dict(row) for row in rows[start:start + _BATCH]])

    def _brokers(self, kind: str, *container: str) -> Iterator[Any]:
        """One for each replica."""
        from swift.account.backend import AccountBroker
        from swift.common import utils
        from swift.container.backend import ContainerBroker
        partition, nodes = self._rings[kind].get_nodes(self._account, *container)
        digest = utils.hash_path(self._account, *container)
        for node in nodes:
            folder = self._cluster.device(node['zone']) / utils.storage_directory(f'{kind}s', partition, digest)
            broker = {'account': AccountBroker, 'container': ContainerBroker}[kind]
            yield broker(str(Path(folder) / f'{digest}.db'), account=self._account,
                         **{'container': container[0]} if container else {})


# -- what lies in the queues -----------------------------------------------------------------------

def _messages(count: int, since: float, ttl: float = operations.TTL, body: str = 'x' * 256) -> list[Row]:
    """Rows of messages, a millisecond apart."""
    rows = []
    for place in range(count):
        at = since + place / 1000
        envelope = Envelope(body, at, int(ttl), 0, at + ttl, operations.CLIENT_ID)
        etag = md5(envelope.content(), usedforsecurity=False).hexdigest()
        rows.append({'name': message_name(ids.floor(at)), 'etag': envelope.row(etag, 4096)[ROW], 'at': at})
    return rows


def _claims(messages: Iterable[Row], until: float) -> Iterator[Row]:
    """Rows of the first claims of these messages."""
    for message in messages:
        state = ClaimState('AA', 300, 60, message['at'], until, until + 60)
        etag = md5(state.content(), usedforsecurity=False).hexdigest()
        yield {'name': claim_name(message['name'][1:], 1), 'etag': state.headers(etag)[KEPT_ROW], 'at': message['at']}


def _few(databases: Databases, queue: str, long: int) -> None:
    databases.add(messages_container(queue, databases.generation(queue)), _messages(FEW, time.time() - 600))


def _waiting(databases: Databases, queue: str, long: int) -> None:
    databases.add(messages_container(queue, databases.generation(queue)), _messages(long, time.time() - 1800))


def _in_flight(databases: Databases, queue: str, long: int) -> None:
    held = _messages(long // 10, time.time() - 1800)
    generation = databases.generation(queue)
    databases.add(messages_container(queue, generation), held)
    databases.add(claims_container(queue, generation), _claims(held, time.time() + 3600))
    _few(databases, queue, long)


def _expired(databases: Databases, queue: str, long: int) -> None:
    databases.add(messages_container(queue, databases.generation(queue)),
                  _messages(long, time.time() - 1800, ttl=60, body='x'))
    _few(databases, queue, long)


def _acked(databases: Databases, queue: str, long: int) -> None:
    databases.add(claims_container(queue, databases.generation(queue)),
                  _claims(_messages(long, time.time() - 1800), time.time() - 60))
    _few(databases, queue, long)


def _many_queues(databases: Databases, queue: str, long: int) -> None:
    names = [f'other-{place}' for place in range(long // 100)]
    databases.add_containers([each for name in names for each in (
        queue_container(name), messages_container(name, 'g'), claims_container(name, 'g'))], time.time())
    _few(databases, queue, long)


def cases(long: int) -> list[Case]:
    """The almost empty queue first."""
    return [
        Case('almost empty', _few),
        Case(f'{long} messages waiting', _waiting),
        Case(f'{long // 10} in flight at the head', _in_flight),
        Case(f'{long} expired rows at the head', _expired),
        Case(f'{long} claims of acked messages', _acked),
        Case(f'{long // 100} more queues in the account', _many_queues,
             ('test2:tester2', 'testing2')),
    ]


# -- measuring -------------------------------------------------------------------------------------

def run(stage: Stage, long: int, say: Callable[[str], None]) -> list[tuple[str, ...]]:
    """The cells of a table."""
    say('rows are written straight into the databases; no daemons, no janitor')
    all_cases, queues = cases(long), []
    for attempt in range(FIRST_TRIES):
        _close(queues)
        queues = [(case, *_prepared(stage, case, long, say)) for case in all_cases]
        for case, ground, client, other in queues:
            say(f'first, {attempt + 1} of {FIRST_TRIES}: {case.name}')
            _try(stage, case, 'very first', ground, other)
            _try(stage, case, 'first', ground, client)
    # The last of these queues is the one that is measured further.
    for attempt in range(COLD_TRIES):
        time.sleep(PAUSE)
        say(f'cold, {attempt + 1} of {COLD_TRIES}')
        for case, ground, client, _ in queues:
            _try(stage, case, 'cold', ground, client)
    for attempt in range(ROUNDS):
        for case, ground, client, _ in queues:
            say(f'warm, {attempt + 1} of {ROUNDS}: {case.name}')
            _try(stage, case, 'warm', ground, client, WARM_SECONDS)
    _close(queues)
    return _table(all_cases)


def _close(queues: Iterable[tuple[Case, Ground, Client, Client]]) -> None:
    for _, _, *clients in queues:
        for client in clients:
            client.close()


def _prepared(stage: Stage, case: Case, long: int, say: Callable[[str], None]) -> tuple[Ground, Client, Client]:
    """A queue, and a client of each of two workers."""
    say(f'filling: {case.name}')
    headers, storage_url = log_in(stage.urls[0], *case.user)
    ground, (client, other) = Ground(1, 256), [Client(url, 0, headers) for url in stage.urls[:PROXIES]]
    _succeed(client, lambda client: operations.create(ground, 'work'))
    case.fill(Databases(stage.cluster, storage_url.rpartition('/')[2]), f'{ground.name}-work', long)
    return ground, client, other


def _claim(ground: Ground, client: Client) -> operations.Operation:
    answer = yield from operations.claim(ground, client)
    return len(answer.json()['messages']) if answer else 0


def _try(stage: Stage, case: Case, column: str, ground: Ground, client: Client, seconds: float = 0) -> None:
    """Claim, and note what that took and how often there was nothing, although there was."""
    before = stage.requests()[0]
    sample = repeat([client], partial(_claim, ground), seconds=seconds)
    if sample.failures:
        raise RuntimeError(next(iter(sample.failures)))
    stage.settle()  # what goes on beside a claim
    case.latencies[column] += sample.latencies
    case.requests[column].append((stage.requests()[0] - before).total() / sample.operations)
    case.empty += sample.empty


def _succeed(client: Client, operation: Callable[[Client], operations.Operation]) -> None:
    sample = repeat([client], operation)
    if sample.failures:
        raise RuntimeError(next(iter(sample.failures)))


def _table(measured: list[Case]) -> list[tuple[str, ...]]:
    plain = measured[0]
    cells = [('claim 1 of', *(f'{column} {what}' for column in _COLUMNS for what in ('ms', 'times', 'requests')),
              'found nothing', f'at most {MOST} times')]
    for case in measured:
        good = not case.empty and all(
            case.times(plain, column) <= MOST and case.cost(column) <= MOST * plain.cost(column)
            for column in _COLUMNS if column != 'very first')
        figures = [number(figure) for column in _COLUMNS for figure in (
            1000 * quantile(case.latencies[column], 0.5), case.times(plain, column), case.cost(column))]
        cells.append((case.name, *figures, str(case.empty), 'met' if good else 'missed'))
    return cells
