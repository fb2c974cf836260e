"""``make celery``: a Celery application whose broker is Amazon SQS, on a cluster of three nodes with two proxies.

Many small tasks on some workers, each of which has to run once; and a worker that is killed, whose task another one has
to run. Both with a queue that Celery makes, and with one that was made before (``predefined_queues``).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

from amazon import installed, service

LIMIT = 600  # seconds for anything
HIDDEN = 3  # seconds that a task of a killed worker stays invisible


@dataclass
class Application:
    """One queue with workers that may be at different proxies. A context manager: they are gone after it."""

    urls: list[str]
    folder: Path
    predefined: bool = False
    visibility: int = 1800
    queue: str = field(default_factory=lambda: f'celery-{uuid.uuid4().hex[:12]}')
    running: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Application:
        self.log = self.folder / f'{self.queue}.log'
        self.log.touch()
        self.sqs = service.client(self.urls[0])
        self.address = self.sqs.create_queue(QueueName=self.queue, Attributes={
            'VisibilityTimeout': str(self.visibility)})['QueueUrl'] if self.predefined else ''
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.running.close()
        self.sqs.delete_queue(QueueUrl=self._address())

    def _address(self) -> str:
        return self.address or self.sqs.get_queue_url(QueueName=self.queue)['QueueUrl']

    def _environment(self, url: str) -> dict[str, str]:
        return installed.environment(url, **{
            'PYTHONPATH': str(installed.HERE.parent), 'TASKS_BROKER': f'sqs://test%3Atester:testing@{urlsplit(url).netloc}',
            'TASKS_QUEUE': self.queue, 'TASKS_PREDEFINED': self.address, 'TASKS_LOG': str(self.log),
            'TASKS_VISIBILITY': str(self.visibility)})

    def worker(self, url: str) -> subprocess.Popen:
        """A new one, with a process for its tasks; they are one process group."""
        name = f'worker-{uuid.uuid4().hex[:8]}'
        with open(self.folder / f'{name}.log', 'w') as log:
            worker = subprocess.Popen(
                [sys.executable, '-m', 'celery', '--app', 'amazon.tasks', 'worker', '--concurrency', '1', '--hostname',
                 f'{name}@here', '--loglevel', 'WARNING'],
                env=self._environment(url), stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        self.running.callback(kill, worker)
        return worker

    def send(self, code: str) -> None:
        """Run it with the tasks, once for each proxy at the same time; ``proxy`` is the number of its proxy."""
        senders = [subprocess.Popen([sys.executable, '-c', f'from amazon.tasks import *\nproxy = {number}\n{code}'],
                                    env=self._environment(url)) for number, url in enumerate(self.urls)]
        for sender in senders:
            self.running.callback(sender.kill)
        assert not any([sender.wait(LIMIT) for sender in senders]), 'a task could not be sent'

    def ran(self) -> list[tuple[str, int, int]]:
        """What the tasks noted: the word, the task's number, and the process."""
        return [(word, int(number), int(pid)) for word, number, pid in
                map(str.split, self.log.read_text().splitlines())]

    def left(self) -> int:
        """Messages that are in the queue, whatever state they are in."""
        shown = self.sqs.get_queue_attributes(QueueUrl=self._address(), AttributeNames=['All'])['Attributes']
        return sum(int(text) for name, text in shown.items() if name.startswith('ApproximateNumberOfMessages'))


def kill(worker: subprocess.Popen) -> None:
    """At once, with the processes of its tasks."""
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, 'it took too long'
        time.sleep(0.1)


@dataclass
class Outcome:
    """``ran``: how often each task ran. ``left``: messages that no worker acked."""

    tasks: int
    ran: Counter[int]
    left: int
    seconds: float
    shares: list[int]

    @property
    def good(self) -> bool:
        return self.left == 0 and self.ran == Counter(range(self.tasks))

    def __str__(self) -> str:
        return (f'{self.tasks} tasks: {len(self.ran)} ran, {sum(self.ran.values()) - len(self.ran)} times more than '
                f'once, {self.left} messages left, {self.seconds:.1f} s, '
                f'{self.tasks / self.seconds:.0f} tasks/s; on each worker {", ".join(map(str, self.shares))}')


def run_tasks(urls: list[str], folder: Path, tasks: int, workers: int, predefined: bool) -> Outcome:
    """Send them while the workers run them, and say how often each one ran."""
    with Application(urls, folder, predefined) as application:
        began = time.monotonic()
        started = [application.worker(url) for url, _ in zip(cycle(urls), range(workers))]
        application.send(f'for number in range(proxy, {tasks}, {len(urls)}): count.delay(number)')
        wait_until(lambda: len(application.ran()) >= tasks and application.left() == 0)
        seconds = time.monotonic() - began
        for worker in started:
            worker.terminate()  # what it has in hand is run first
        for worker in started:
            worker.wait(LIMIT)
        ran = application.ran()
        shares = Counter(pid for _, _, pid in ran)
        return Outcome(tasks, Counter(number for _, number, _ in ran), application.left(), seconds,
                       sorted(shares.values()))


def kill_a_worker(urls: list[str], folder: Path, predefined: bool) -> float:
    """Its task, which acks late, has to be run by another worker; after how many seconds it was."""
    with Application(urls, folder, predefined, visibility=HIDDEN) as application:
        victim = application.worker(urls[0])
        application.send('if not proxy: hang.delay(7)')
        wait_until(lambda: bool(application.ran()))
        kill(victim)
        began = time.monotonic()
        application.worker(urls[-1])
        wait_until(lambda: 'end' in [word for word, _, _ in application.ran()])
        seconds = time.monotonic() - began
        wait_until(lambda: application.left() == 0)
        (first, _, one), *others = application.ran()
        assert [word for word, _, _ in others] == ['begin', 'end'] and first == 'begin', application.ran()
        assert {pid for _, _, pid in others} != {one}
        return seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog='make celery', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tasks', type=int, default=1000, help='default: %(default)s')
    parser.add_argument('--workers', type=int, default=4, help='default: %(default)s')
    parser.add_argument('--rounds', type=int, default=3, help='default: %(default)s')
    service.add_url(parser)
    arguments = parser.parse_args()
    good = True
    with service.proxies(arguments.url) as urls, tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            predefined = number % 2 == 1
            print(f'round {number + 1}, a queue that {"was there" if predefined else "Celery makes"}:', flush=True)
            outcome = run_tasks(urls, Path(folder), arguments.tasks, arguments.workers, predefined)
            print(f'  {outcome}', flush=True)
            seconds = kill_a_worker(urls, Path(folder), predefined)
            print(f'  a worker was killed: another one had done its task {seconds:.1f} s later', flush=True)
            good = good and outcome.good
    print('every task ran once' if good else 'BROKEN: not every task ran once')
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
