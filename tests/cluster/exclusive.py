#!/usr/bin/env python3
"""Workers on every proxy claim and delete messages: each message must be delivered, and to one worker.

Starts a cluster of its own (3 nodes, 3 replicas, 2 proxies), or uses the proxies named with --url. Prints what
happened and exits with status 1 if a message was lost or delivered twice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

import requests

from swiftqueue.cluster import Cluster


@dataclass
class Outcome:
    """Which message was handed out how often, and what the service refused."""

    posted: int
    deliveries: Counter = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def lost(self) -> int:
        return self.posted - len(self.deliveries)

    @property
    def duplicates(self) -> int:
        return sum(self.deliveries.values()) - len(self.deliveries)

    def __str__(self) -> str:
        return (f'{self.posted} messages: {len(self.deliveries)} delivered, {self.lost} lost, '
                f'{self.duplicates} delivered twice, {len(self.problems)} problems, {self.seconds:.1f} s')


def session(url: str) -> requests.Session:
    answer = requests.get(f'{url}/auth/v1.0', headers={'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'},
                          timeout=30)
    answer.raise_for_status()
    opened = requests.Session()
    opened.headers.update({'X-Auth-Token': answer.headers['X-Auth-Token'], 'Client-ID': str(uuid.uuid4())})
    return opened


def produce(urls: list[str], queue: str, count: int) -> None:
    client = session(urls[0])
    for start in range(0, count, 20):
        batch = [{'body': number, 'ttl': 3600} for number in range(start, min(start + 20, count))]
        url = urls[start // 20 % len(urls)]
        answer = client.post(f'{url}/v2/queues/{queue}/messages', json={'messages': batch}, timeout=60)
        assert answer.status_code == 201, answer.text


def consume(url: str, queue: str, outcome: Outcome, deadline: float) -> None:
    """Claim and delete until every message has been seen, or time is up."""
    client = session(url)
    while len(outcome.deliveries) < outcome.posted and time.monotonic() < deadline:
        answer = client.post(f'{url}/v2/queues/{queue}/claims?limit=5', json={'ttl': 300, 'grace': 60}, timeout=60)
        if answer.status_code not in (201, 204):
            outcome.problems.append(f'claim: {answer.status_code} {answer.text}')
            continue
        for message in answer.json()['messages'] if answer.status_code == 201 else []:
            with outcome.lock:
                outcome.deliveries[message['body']] += 1
            deleted = client.delete(url + message['href'], timeout=60)
            if deleted.status_code != 204:
                outcome.problems.append(f'delete: {deleted.status_code} {deleted.text}')


def run(urls: list[str], messages: int, workers: int, seconds: float = 300) -> Outcome:
    """Post the messages, let the workers have them, and say how it went."""
    queue = f'exclusive-{uuid.uuid4().hex[:8]}'
    produce(urls, queue, messages)
    outcome, began = Outcome(messages), time.monotonic()
    threads = [threading.Thread(target=consume, daemon=True, args=(
        urls[number % len(urls)], queue, outcome, began + seconds)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.seconds = time.monotonic() - began
    left = session(urls[0]).get(f'{urls[0]}/v2/queues/{queue}/stats', timeout=60).json()['messages']['total']
    if left:
        outcome.problems.append(f'{left} messages left in the queue')
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--messages', type=int, default=500)
    parser.add_argument('--workers', type=int, default=16)
    parser.add_argument('--url', action='append', help='a running proxy; repeatable')
    arguments = parser.parse_args()
    if arguments.url:
        outcome = run(arguments.url, arguments.messages, arguments.workers)
    else:
        with tempfile.TemporaryDirectory() as folder, Cluster(folder, nodes=3, replicas=3, proxies=2) as cluster:
            outcome = run(cluster.urls, arguments.messages, arguments.workers)
    print(outcome)
    for problem in outcome.problems[:10]:
        print(problem)
    return 1 if outcome.lost or outcome.duplicates or outcome.problems else 0


if __name__ == '__main__':
    sys.exit(main())
