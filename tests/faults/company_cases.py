"""Faults where more than producers and workers of one queue take part: message groups, subscribers, notifiers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from sim.lines import check_lines

from faults.injections import killed
from faults.rig import NODES, require
from faults.trial import Case, Trial
from swiftqueue.cluster import Process
from swiftqueue.history import Operation
from swiftqueue.stress_load import Client, Run, body_of, work

ALL = ('post', 'claim', 'ack')
GROUPS = 6
TRIES = 3  # of a post to a FIFO queue, with one deduplication id
COPIES = 2


def servers_of_a_node(trial: Trial) -> list[Process]:
    return [trial.cluster.process(kind, NODES[-1]) for kind in ('account', 'container', 'object')]


# -- FIFO queues -----------------------------------------------------------------------------------

def kill_node_and_proxy(trial: Trial) -> None:
    with killed(*servers_of_a_node(trial), trial.rig.proxies[1]), trial.window(*ALL):
        trial.wait()


def produce_in_groups(run: Run, number: int) -> None:
    """Post through Amazon SQS; who gets no answer sends the same again, through the other proxy."""
    proxies = cycle([boto3.client(
        'sqs', endpoint_url=url, region_name='us-east-1', aws_access_key_id=run.access.user,
        aws_secret_access_key=run.access.key, config=Config(retries={'max_attempts': 0}, read_timeout=60))
        for url in run.plan.endpoints])
    url = next(proxies).get_queue_url(QueueName=run.plan.queue)['QueueUrl']
    while run.loading:
        value = next(run.values)
        run.owed.add(value)
        posted = run.recorder.invoke('post', worker=f'producer-{number}', value=value, ttl=run.plan.message_ttl)
        phase, status = 'info', ''
        for _ in range(TRIES):
            try:
                next(proxies).send_message(
                    QueueUrl=url, MessageBody=body_of(value, run.plan.size), MessageGroupId=str(value % GROUPS),
                    MessageDeduplicationId=str(value))
                phase, status = 'ok', 200
                break
            except (BotoCoreError, ClientError) as error:
                status = type(error).__name__
                run.errors['post', status] += 1
        run.recorder.answer(posted, phase, status=status)


def keeps_order(trial: Trial, history: list[Operation]) -> None:
    """The checker of the simulation looks at the order of each group, and at what was in flight at once."""
    ids: dict[Any, set[str]] = defaultdict(set)
    for each in history:
        for message in each.messages:
            ids[message['value']].add(message['message_id'])
    lines = {each.value: each.value % GROUPS for each in history if each.op == 'post'}
    seen = SimpleNamespace(lines=lines, batches=[], repeated=set(), ids=ids, posted={})
    problems = list(check_lines(history, seen, skew=0, exclusive=True))
    trial.problems += [f'{what}: message {value}' for what, value in problems]
    trial.saw(f'{GROUPS} message groups in order' if not problems else 'order was broken')


# -- subscribers -----------------------------------------------------------------------------------

class Publisher(Client):
    """Posts to the topic. To the history, a message is one for each subscriber."""

    kind = 'topics'

    def publish(self, value: int) -> str:
        recorder, plan = self.run.recorder, self.plan
        values = [_copy(value, number) for number in range(COPIES)]
        self.run.owed.update(values)
        numbers = [recorder.invoke('post', worker=self.name, value=each, ttl=plan.message_ttl) for each in values]
        answer = self.send('POST', '/messages', {'messages': [
            {'ttl': plan.message_ttl, 'body': body_of(value, plan.size)}]})
        for number in numbers:
            recorder.answer(number, answer.phase, status=answer.status)
        return answer.phase


class Subscriber(Client):
    """Works on one of the subscribers' queues."""

    def __init__(self, run: Run, name: str, number: int):
        super().__init__(run, name, number)
        self.number = number % COPIES
        self.plan = _plan_of_copy(run, self.number)

    def value(self, body: Any) -> int | str:
        value = super().value(body)
        return _copy(value, self.number) if isinstance(value, int) else value


def _copy(value: int, number: int) -> str:
    return f'{value} in copy {number}'


def _plan_of_copy(run: Run, number: int) -> Any:
    return replace(run.plan, queue=f'{run.plan.queue}-{number}')


def publish(run: Run, number: int) -> None:
    client = Publisher(run, f'producer-{number}', number)
    with client.session:
        while run.loading:
            time.sleep(0.1 if client.publish(next(run.values)) == 'ok' else 0.5)  # each is two to be acked


@contextmanager
def subscribed(trial: Trial) -> Iterator[None]:
    """Two queues subscribe to a topic of the queue's name, and a notifier runs."""
    client = Publisher(trial.run, 'owner', 0)
    with client.session:
        require(client.send('PUT', '').phase == 'ok', 'the topic is created')
        for number in range(COPIES):
            subscriber = f'queue://{trial.queue}-{number}'
            require(client.send('POST', '/subscriptions', {'subscriber': subscriber}).status == 201,
                    'queues can subscribe')
    trial.notifier = _notifier(trial)
    try:
        yield
    finally:
        trial.notifier.kill()
        trial.notifier.wait()


def _notifier(trial: Trial) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-c', 'import sys; from swiftqueue.cli import main; sys.exit(main())', 'notifier', '--daemon',
         str(trial.cluster.data / 'etc' / 'swiftqueue-notifier.conf')],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_node_and_notifier(trial: Trial) -> None:
    """Another notifier takes over, and is killed in turn."""
    with killed(*servers_of_a_node(trial)), trial.window(*ALL):
        for _ in range(3):
            trial.notifier.kill()
            trial.notifier.wait()
            trial.wait(1)
            trial.notifier = _notifier(trial)
            trial.wait(trial.seconds / 3)


CASES = (
    Case('F31', 'kill -9 of all servers of a node and of a proxy, with a FIFO queue', 'I1-I5, order per group',
         kill_node_and_proxy, auth=True, attributes={'_fifo': True}, produce=produce_in_groups, judge=keeps_order,
         plan={'producers': 3}),
    Case('F32', 'kill -9 of all servers of a node, and of the notifier three times, with a topic and two subscribers',
         'I1-I5 at each subscriber', kill_node_and_notifier, company=subscribed, produce=publish,
         work=partial(work, kind=Subscriber)),
)
