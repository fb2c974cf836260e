"""What waiting costs, and how soon it ends: ``python tests/bench/waiting.py``.

Starts a cluster of its own (3 nodes, 3 replicas, 2 proxies), once with memcached and once without. Prints

* the Swift requests per second that one worker makes while many clients wait on empty queues, read from its log;
* the time from the answer to a post through one proxy to the answer of a waiter on the other one, and the same from
  the beginning of the post.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from swiftqueue.cluster import Cluster

WAIT = 20  # seconds
SETTLE = 15  # seconds between the first request and the beginning of the measurement


class Client:
    """One connection to one proxy."""

    def __init__(self, url: str):
        address = urlsplit(url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=WAIT + 30)
        self.headers = {'Client-ID': str(uuid.uuid4()), 'X-Project-Id': 'bench', 'Content-Type': 'application/json'}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        sent = b'' if body is None else json.dumps(body).encode()
        self.connection.request(method, f'/v2/queues{path}', sent, self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None

    def claim(self, queue: str, wait: int = WAIT) -> Any:
        status, content = self.ask('POST', f'/{queue}/claims?limit=1&wait={wait}', {'ttl': 300, 'grace': 60})
        assert status in (201, 204), content
        return content

    def post(self, queue: str) -> None:
        status, content = self.ask('POST', f'/{queue}/messages', {'messages': [{'body': 'wake up', 'ttl': 3600}]})
        assert status == 201, content


def swift_requests(cluster: Cluster, number: int) -> Counter[str]:
    """The sub-requests of a proxy's queue filter so far, by method."""
    log = cluster.process('proxy', number).log
    return Counter(line.partition(' HTTP/')[0].split()[-2] for line in log.read_text().splitlines() if ' MQ ' in line)


def cpu_seconds(cluster: Cluster, number: int) -> float:
    fields = Path(f'/proc/{cluster.process("proxy", number).pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def cost(cluster: Cluster, queues: int, waiters: int, seconds: float) -> str:
    """While that many clients wait again and again."""
    url, stop = cluster.urls[0], threading.Event()
    names = [f'cost-{uuid.uuid4().hex[:8]}-{number}' for number in range(queues)]
    for name in names:
        Client(url).ask('PUT', f'/{name}')
    errors: Counter[str] = Counter()
    polls: Counter[str] = Counter()

    def wait(number: int) -> None:
        time.sleep(number * 2 / waiters)
        client = Client(url)
        while not stop.is_set():
            try:
                client.claim(names[number % queues])
                polls['done'] += 1
            except (AssertionError, OSError, http.client.HTTPException) as error:
                errors[repr(error)[:100]] += 1
    threads = [threading.Thread(target=wait, args=(number,), daemon=True) for number in range(waiters)]
    for thread in threads:
        thread.start()
    time.sleep(SETTLE)
    began, before, cpu = time.monotonic(), swift_requests(cluster, 1), cpu_seconds(cluster, 1)
    time.sleep(seconds)
    spent = swift_requests(cluster, 1) - before
    lasted, cpu = time.monotonic() - began, cpu_seconds(cluster, 1) - cpu
    stop.set()
    for thread in threads:
        thread.join()
    return (f'{waiters} waiters on {queues} queues: {spent.total() / lasted:.1f} Swift requests/s '
            f'({", ".join(f"{method} {count / lasted:.1f}" for method, count in spent.most_common())}), '
            f'{100 * cpu / lasted:.0f} % of a CPU, {polls["done"]} polls in all, errors: {dict(errors) or "none"}')


def latency(cluster: Cluster, times: int) -> str:
    """A post through the first proxy, a waiter on the second."""
    queue = f'latency-{uuid.uuid4().hex[:8]}'
    poster, waiter = Client(cluster.urls[0]), Client(cluster.urls[1])
    poster.ask('PUT', f'/{queue}')
    from_begin, from_answer = [], []
    for number in range(times):
        woken: list[float] = []

        def wait(woken: list[float] = woken) -> None:
            if waiter.claim(queue):
                woken.append(time.monotonic())
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(1 + number % 20 / 10)  # at any moment between two listings
        began = time.monotonic()
        poster.post(queue)
        answered = time.monotonic()
        thread.join()
        assert woken, 'a waiter was not woken'
        from_begin.append(woken[0] - began)
        from_answer.append(woken[0] - answered)
    return '; '.join(f'{what}: median {1000 * statistics.median(values):.0f} ms, p99 '
                     f'{1000 * statistics.quantiles(values, n=100, method="inclusive")[98]:.0f} ms, '
                     f'most {1000 * max(values):.0f} ms'
                     for what, values in (('after the answer to the post', from_answer),
                                          ('after its beginning', from_begin)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--queues', type=int, default=20)
    parser.add_argument('--waiters', type=int, default=200)
    parser.add_argument('--seconds', type=float, default=40, help='for how long requests are counted')
    parser.add_argument('--posts', type=int, default=100, help='how many waiters are woken')
    arguments = parser.parse_args()
    for memcached in (True, False):
        # Without authentication: tokens are in memcached too.
        with tempfile.TemporaryDirectory() as folder, \
                Cluster(folder, nodes=3, replicas=3, proxies=2, auth=False, verbose=True) as cluster:
            print('with memcached' if memcached else 'without memcached', flush=True)
            if not memcached:
                cluster.cache.kill()
            print('  woken', latency(cluster, arguments.posts), flush=True)
            print(' ', cost(cluster, arguments.queues, arguments.waiters, arguments.seconds), flush=True)


if __name__ == '__main__':
    main()
