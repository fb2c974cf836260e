"""``--janitor``: how fast one janitor removes the claims of acked messages, beside how fast messages are acked.

It is a janitor in a process of its own that waits for nothing (``tests/cluster/hasty_janitor.py``). No other one runs,
and none of Swift's daemons.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import operations
from bench.load import Client, repeat
from bench.operations import Ground
from bench.report import number
from bench.stage import Stage

WANTED = 100  # claims per second and process
CLIENTS = 8
CLAIM_SECONDS = 20
CONFIGURATION: dict[str, Any] = {
    'options': {'min_claim_ttl': str(CLAIM_SECONDS), 'min_claim_grace': '0'},
    'settings': {'swiftqueue-janitor': {'swiftqueue-janitor': {'requests_per_second': '0'}}},
}
_HASTY = Path(__file__).parents[1] / 'cluster' / 'hasty_janitor.py'
_CLAIM = json.dumps({'ttl': CLAIM_SECONDS, 'grace': 0}).encode()


def run(stage: Stage, acks: int, say: Callable[[str], None]) -> list[tuple[str, ...]]:
    """The cells of a table."""
    ground = Ground(CLIENTS, 256)
    times = -(-acks // (10 * CLIENTS))
    say(f'posting, claiming and acking {10 * CLIENTS * times} messages')
    with stage.connected(CLIENTS) as clients:
        created = repeat(clients[:1], lambda client: operations.create(ground, 'work'))
        posted = repeat(clients, partial(operations.post_10, ground), times=times)
        acked = repeat(clients, partial(_claim_and_ack, ground), times=times)
    if failures := created.failures + posted.failures + acked.failures:
        raise RuntimeError(next(iter(failures)))
    say('waiting for the claims to run out')
    time.sleep(CLAIM_SECONDS)
    conf = stage.cluster.data / 'etc' / 'swiftqueue-janitor.conf'
    say('a pass of the janitor')
    before = stage.cpu()
    tally, cpu = _pass(conf)
    swift = (stage.cpu() - before).total()
    say(f'{tally}')
    _, idle = _pass(conf)
    claims, rate = tally['claims'], tally['claims'] / tally['seconds']
    if not claims:
        raise RuntimeError('the janitor found nothing to remove')
    own = max(cpu - idle, 0.001)
    return [
        ('', 'measured'),
        ('claims removed per second', number(rate)),
        (f'of at least {WANTED}', 'met' if rate >= WANTED else 'missed'),
        ('messages acked per second before, 8 clients', number(acked.rate)),
        ('removed over acked', number(rate / acked.rate)),
        ("janitor's CPU ms per claim", number(1000 * own / claims)),
        ("claims per second of the janitor's CPU", number(claims / own)),
        ('Swift servers\' CPU ms per claim', number(1000 * swift / claims)),
        ('errors', str(tally['errors'])),
    ]


def _claim_and_ack(ground: Ground, client: Client) -> operations.Operation:
    answer = yield from operations.ask('POST', f'{ground.queue()}/claims?limit=10', 201, 204, body=_CLAIM)
    messages = answer.json()['messages'] if answer.status == 201 else []
    for message in messages:
        yield from operations.ask('DELETE', message['href'], 204)
    return len(messages)


def _pass(conf: Path) -> tuple[dict[str, Any], float]:
    """What one pass did, and its CPU seconds."""
    before = _children()
    done = subprocess.run([sys.executable, str(_HASTY), str(conf)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout), _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
