"""``make workers``: many boto3 workers at two proxies receive and delete; each message must go to one of them.

What they ask and get is a history (:mod:`swiftqueue.history`), which is judged at the end. With ``--groups`` the queue
is a FIFO queue, and within each group nothing may overtake.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from amazon.service import add_url, client, proxies
from swiftqueue.history import Operation, Recorder, Verdict, check, operations

BATCH = 10
TTL = 345600  # seconds that a message lives by default
PATIENCE = 30  # seconds without a message, besides the visibility timeout, after which what is missing is lost

Value = tuple[int, int]  # a message: its group and its number in it


@dataclass
class Outcome:
    verdict: Verdict
    overtaken: list[Value]
    left: dict[str, int]
    seconds: float
    shares: list[int]

    @property
    def problems(self) -> dict[str, Any]:
        """What should not have been, by name."""
        found = self.verdict.violations | {
            'not drained': not self.verdict.drained, 'received again': self.verdict.duplicated,
            'out of order': self.overtaken, 'left': {name: count for name, count in self.left.items() if count}}
        return {name: what for name, what in found.items() if what}

    def __str__(self) -> str:
        return (f'{self.verdict}\n  {len(self.overtaken)} out of order, left: {self.left}, '
                f'{self.verdict.acks / self.seconds:.0f} messages/s, by the workers: '
                f'{", ".join(map(str, self.shares))}')


@dataclass
class Load:
    """What the threads share. Without ``groups`` the queue is a standard one."""

    urls: list[str]
    messages: int
    groups: int
    visibility: int
    events: list[dict[str, Any]] = field(default_factory=list)
    shares: list[int] = field(default_factory=list)  # how many each worker has deleted
    disturbed_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.recorder = Recorder(time.monotonic, self.events.append)
        name = f'workers-{uuid.uuid4().hex[:12]}'
        attributes = {'VisibilityTimeout': str(self.visibility)}
        if self.groups:
            name, attributes = f'{name}.fifo', attributes | {'FifoQueue': 'true', 'ContentBasedDeduplication': 'true'}
        self.queue = client(self.urls[0]).create_queue(QueueName=name, Attributes=attributes)['QueueUrl']

    @property
    def over(self) -> bool:
        quiet = time.monotonic() - self.disturbed_at
        return sum(self.shares) >= self.messages or quiet > self.visibility + PATIENCE

    def values(self) -> list[Value]:
        """The messages in the order in which they are sent; those of a group are not all in a row."""
        groups = self.groups or 1
        return [(number % groups, number // groups) for number in range(self.messages)]

    def send(self) -> None:
        """One batch after the other, so that it is known what came before what, at all proxies in turn."""
        clients, values = cycle([client(url) for url in self.urls]), self.values()
        for start in range(0, len(values), BATCH):
            batch = values[start:start + BATCH]
            numbers = [self.recorder.invoke('post', value=value, ttl=TTL) for value in batch]
            answer = next(clients).send_message_batch(QueueUrl=self.queue, Entries=[
                {'Id': str(place), 'MessageBody': '{}:{}'.format(*value),
                 **({'MessageGroupId': f'group-{value[0]}'} if self.groups else {})}
                for place, value in enumerate(batch)])
            assert 'Failed' not in answer, answer
            for number in numbers:
                self.recorder.answer(number, 'ok')

    def work(self, worker: int, url: str) -> None:
        sqs = client(url)
        while not self.over:
            for message in self.receive(sqs):
                number = self.recorder.invoke('ack', **message)
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message['receipt'])
                self.recorder.answer(number, 'ok')
                self.shares[worker] += 1

    def receive(self, sqs: Any) -> list[dict[str, Any]]:
        number = self.recorder.invoke('claim', ttl=self.visibility)
        answer = sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=5, WaitTimeSeconds=1)
        found = [{'value': tuple(map(int, message['Body'].split(':'))), 'receipt': message['ReceiptHandle']}
                 for message in answer.get('Messages', [])]
        self.recorder.answer(number, 'ok', messages=found)
        if found:
            self.disturbed_at = time.monotonic()
        return found

    def drain(self) -> None:
        """Once the workers are done there must be nothing more, at any proxy."""
        number = self.recorder.invoke('drain')
        late = [message for url in self.urls for message in self.receive(client(url))]
        self.recorder.answer(number, 'info' if late else 'ok')


def out_of_order(history: Iterable[Operation]) -> list[Value]:
    """Messages that were received while an earlier one of their group was neither deleted nor before them in the same
    answer."""
    history = list(history)
    deleted_at = {each.value: each.invoked_at for each in reversed(history) if each.op == 'ack'}
    found = []
    for claim in history:
        here = set()
        for group, number in (message['value'] for message in claim.messages):
            waiting = {earlier for earlier in range(number)
                       if deleted_at.get((group, earlier), math.inf) > claim.answered_at}
            if waiting - {earlier for other, earlier in here if other == group}:
                found.append((group, number))
            here.add((group, number))
    return found


def run(urls: list[str], messages: int = 1000, workers: int = 16, groups: int = 0, visibility: int = 60) -> Outcome:
    """Send the messages while workers at all proxies receive and delete them, and judge what they saw."""
    load = Load(urls, messages, groups, visibility, shares=[0] * workers)
    began = time.monotonic()
    with ThreadPoolExecutor(workers + 1) as pool:
        threads = [pool.submit(load.work, number, url) for number, url in zip(range(workers), cycle(urls))]
        threads.append(pool.submit(load.send))
    for thread in threads:
        thread.result()
    seconds = time.monotonic() - began
    load.drain()
    history = operations(load.events)
    shown = client(urls[0]).get_queue_attributes(QueueUrl=load.queue, AttributeNames=['All'])['Attributes']
    client(urls[0]).delete_queue(QueueUrl=load.queue)
    return Outcome(check(history, overlaps_fatal=True), out_of_order(history) if groups else [],
                   {name: int(text) for name, text in shown.items() if name.startswith('ApproximateNumberOfMessages')},
                   seconds, sorted(load.shares))


def main() -> int:
    parser = argparse.ArgumentParser(prog='make workers', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--messages', type=int, default=1000, help='default: %(default)s')
    parser.add_argument('--workers', type=int, default=16, help='default: %(default)s')
    parser.add_argument('--groups', type=int, default=0, help='of a FIFO queue (default: a standard queue)')
    add_url(parser)
    arguments = parser.parse_args()
    with proxies(arguments.url) as urls:
        outcome = run(urls, arguments.messages, arguments.workers, arguments.groups)
    print(outcome)
    for name, what in outcome.problems.items():
        print(f'BROKEN: {name}: {what}')
    return 1 if outcome.problems else 0


if __name__ == '__main__':
    sys.exit(main())
