"""``--locality``: how many messages are delivered where they have a replica, with and without a preference for those.

Three nodes are three zones. There is one replica of everything, so each message is in one of them, and a proxy in each,
whose clients say that they are there. Without the preference (``locality_patience = 0``) it is counted all the same.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import operations
from bench.load import Client, Operation, Sample, repeat
from bench.operations import CLAIM, Ground
from bench.report import number
from bench.results import quantile
from bench.stage import Stage, own_cluster

ZONES = 3
CLIENTS = 6  # that work, as many in each zone
SECONDS = 6
BACKLOG = 1200  # messages
HEAD = ('', 'preference', 'local', 'messages per s', 'p50 ms', 'p99 ms', 'Swift requests per message')

# What stands in the queue before, which zones have clients, and whether these also post.
SCENES = {
    'a backlog, workers in three zones': (BACKLOG, (1, 2, 3), False),
    'a backlog, workers in one zone': (BACKLOG, (1,), False),
    'posted as they work, workers in three zones': (0, (1, 2, 3), True),
}


def run(say: Callable[[str], None]) -> list[tuple[str, ...]]:
    """The cells of a table."""
    lines = []
    for preference, options in (('no', {'locality_patience': '0'}), ('yes', {})):
        say(f'starting a cluster; preference: {preference}')
        with tempfile.TemporaryDirectory(prefix='swiftqueue-bench-') as folder, \
                own_cluster(Path(folder), ZONES, replicas=1, daemons=False, options=options) as stage:
            for scene in SCENES:
                lines.append(_line(stage, scene, preference))
                say(', '.join(lines[-1]))
    return [HEAD, *sorted(lines, key=lambda line: [*SCENES].index(line[0]))]


def _line(stage: Stage, scene: str, preference: str) -> tuple[str, ...]:
    backlog, zones, posting = SCENES[scene]
    ground, told = Ground(CLIENTS, 256), Counter()
    with stage.connected(ZONES * (CLIENTS // len(zones))) as clients:
        # The n-th client is connected to the n-th proxy, and so on.
        workers = [client for client in clients if 1 + client.number % ZONES in zones]
        _succeed(repeat(clients[:1], lambda client: operations.create(ground, 'work')))
        _succeed(repeat(clients, partial(operations.post_10, ground), times=backlog // 10 // len(clients)))
        before, _ = stage.requests()
        sample = repeat(workers, partial(_post_and_work if posting else _work, ground, told), seconds=SECONDS)
        _succeed(sample)
        spent = (stage.requests()[0] - before).total()
    return (scene, preference, f'{told["local"] / told["all"]:.0%}', number(sample.rate),
            number(1000 * quantile(sample.latencies, 0.5)), number(1000 * quantile(sample.latencies, 0.99)),
            number(spent / sample.messages))


def _work(ground: Ground, told: Counter[str], client: Client) -> Operation:
    answer = yield from operations.ask(
        'POST', f'{ground.queue()}/claims?limit=10', 201, 204, body=CLAIM,
        headers={'X-Queue-Locality': f'r1z{1 + client.number % ZONES}'})
    if answer.status == 204:
        return 0
    local, _, delivered = answer.headers['x-queue-local'].partition('/')
    told.update({'local': int(local), 'all': int(delivered)})
    messages = answer.json()['messages']
    ids, claim_id = ','.join(each['id'] for each in messages), answer.headers['location'].rpartition('/')[2]
    yield from operations.ask('DELETE', f'{ground.queue()}/messages?ids={ids}&claim_ids={claim_id}', 204)
    return len(messages)


def _post_and_work(ground: Ground, told: Counter[str], client: Client) -> Operation:
    yield from operations.post_10(ground, client)
    return (yield from _work(ground, told, client))


def _succeed(sample: Sample) -> None:
    if sample.failures:
        raise RuntimeError(next(iter(sample.failures)))
