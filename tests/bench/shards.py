"""``--shards``: what the single writer of a container costs, and what several shards change.

First rows are written straight to one container server, into one container and into four in turn: what a container
replica takes at most, and the CPU time of a row. Then messages are posted, claimed and acked in a queue of one shard
and in one of four. No daemons run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from bench import operations
from bench.load import Client, Sample, repeat
from bench.operations import Ground
from bench.report import number
from bench.results import quantile
from bench.stage import Stage
from swiftqueue.names import Envelope

CLIENTS = 8
SHARDS = 4
SECONDS = 5
ROUNDS = 3

HEAD = ('', 'per s', 'p50 ms', 'p99 ms', 'container servers, CPU ms', 'all servers, CPU ms')


def run(stage: Stage, say: Callable[[str], None]) -> list[tuple[str, ...]]:
    """The cells of a table; times are per row or message."""
    measures = {f'rows into {_containers(shards)} of one server': partial(_write_rows, stage, shards)
                for shards in (1, SHARDS)}
    for shards in (1, SHARDS):
        ground = Ground(CLIENTS, 256, shards=shards)
        with stage.connected(1) as clients:
            _succeed(repeat(clients, lambda client: operations.create(ground, 'work')))  # noqa: B023
        measures |= {f'post 10, {_shards(shards)}': partial(_work, stage, ground, operations.post_10),
                     f'claim 10 + ack each, {_shards(shards)}': partial(
                         _work, stage, ground, operations.claim_10_and_ack)}
    taken: dict[str, list[tuple[Sample, float, float]]] = {name: [] for name in measures}
    for attempt in range(ROUNDS):
        for name, measure in measures.items():
            before = stage.cpu_by_process()
            sample = measure()
            _succeed(sample)
            spent = stage.cpu_by_process() - before
            containers = sum(seconds for process, seconds in spent.items() if process.startswith('container'))
            taken[name].append((sample, containers / sample.messages, spent.total() / sample.messages))
            say(f'{attempt + 1} of {ROUNDS}: {name}: {sample.rate:.1f}/s')
    return [HEAD, *(_line(name, each) for name, each in taken.items())]


def _line(name: str, taken: list[tuple[Sample, float, float]]) -> tuple[str, ...]:
    latencies = [latency for sample, _, _ in taken for latency in sample.latencies]
    return (name, number(_median([sample.rate for sample, _, _ in taken])),
            number(1000 * quantile(latencies, 0.5)), number(1000 * quantile(latencies, 0.99)),
            *(number(1000 * _median([each[place] for each in taken])) for place in (1, 2)))


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _containers(shards: int) -> str:
    return 'one container' if shards == 1 else f'{shards} containers'


def _shards(shards: int) -> str:
    return 'one shard' if shards == 1 else f'{shards} shards'


def _succeed(sample: Sample) -> None:
    if sample.failures:
        raise RuntimeError(next(iter(sample.failures)))


# -- rows ------------------------------------------------------------------------------------------

def _write_rows(stage: Stage, shards: int) -> Sample:
    server = stage.cluster.process('container', 1)
    device = stage.cluster.device(1).name
    paths = [f'/{device}/{900 + shard}/AUTH_rows/{shards}-{shard}' for shard in range(shards)]
    clients = [Client(f'http://127.0.0.1:{server.port}', each, {'X-Backend-Storage-Policy-Index': '0'})
               for each in range(CLIENTS)]
    try:
        _succeed(repeat(clients[:1], lambda client: _put_containers(paths)))
        return repeat(clients, partial(_put_row, paths, count(int(1000 * time.time()))), seconds=SECONDS)
    finally:
        for client in clients:
            client.close()


def _put_containers(paths: list[str]) -> operations.Operation:
    for path in paths:
        yield from operations.ask('PUT', path, 201, 202, headers={'X-Timestamp': f'{time.time():016.5f}'})


def _put_row(paths: list[str], numbers: Any, client: Client) -> operations.Operation:
    turn, now = next(numbers), time.time()
    envelope = Envelope('x' * 256, now, operations.TTL, 0, now + operations.TTL, operations.CLIENT_ID)
    row, = envelope.row('d41d8cd98f00b204e9800998ecf8427e', 4096).values()
    yield from operations.ask('PUT', f'{paths[turn % len(paths)]}/{turn:015d}', 201, headers={
        'X-Timestamp': f'{now:016.5f}', 'X-Size': '256', 'X-Content-Type': 'application/json', 'X-Etag': row})
    return 1


# -- messages --------------------------------------------------------------------------------------

def _work(stage: Stage, ground: Ground, operation: Callable[[Ground, Client], operations.Operation]) -> Sample:
    with stage.connected(CLIENTS) as clients:
        return repeat(clients, partial(operation, ground), seconds=SECONDS)
