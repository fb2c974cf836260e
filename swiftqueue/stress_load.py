"""The load of ``swiftqueue stress``: producers, workers, and what they say to a service that speaks Messaging v2.

Producers post unique integers in batches. Workers claim messages and ack them, and now and then crash, come too late,
renew or release. Every request goes into a history (:mod:`swiftqueue.history`).
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any, TextIO

import requests

from swiftqueue.history import Recorder

TIMEOUT = (5, 60)  # seconds to connect, and to wait for an answer
MESSAGE_TTL = 3600  # seconds, if the service allows that
FATES = {'renew': 0.05, 'release': 0.02, 'late': 0.02}  # of claims, besides those whose worker crashes
MARGIN = 1  # seconds that the drain goes on when nothing is missing and the last lease has run out


class CannotRun(Exception):
    """There is nothing to put under load; the text says why."""


@dataclass(frozen=True)
class Plan:
    """What is to be done. Durations are seconds, sizes bytes."""

    endpoints: tuple[str, ...]
    queue: str
    seconds: float = 30
    producers: int = 2
    workers: int = 8
    crash_rate: float = 0.05
    claim_ttl: float = 60
    claim_grace: int = 60
    message_ttl: int = MESSAGE_TTL
    claim_limit: int = 10
    batch: int = 10
    size: int = 100
    settle: float = 60
    seed: int = 0

    def check(self) -> None:
        """Raises CannotRun."""
        if min(self.producers, self.workers, self.claim_limit, self.batch) < 1 or not 0 <= self.crash_rate <= 1:
            raise CannotRun('at least one producer, one worker, and one message at a time are needed, '
                            'and a crash rate from 0 to 1')


@dataclass
class Access:
    """What requests say about who sends them. A token can be renewed if there is a user."""

    endpoint: str = ''
    user: str = ''
    key: str = ''
    headers: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def log_in(self, refused: str | None = None) -> None:
        """Get a token, unless another thread has replaced the refused one. Raises CannotRun."""
        with self.lock:
            if not self.user or self.headers.get('X-Auth-Token') != refused:
                return
            try:
                answer = requests.get(f'{self.endpoint}/auth/v1.0', timeout=TIMEOUT, headers={
                    'X-Auth-User': self.user, 'X-Auth-Key': self.key})
            except requests.RequestException as error:
                raise CannotRun(f'no answer from {self.endpoint}: {error}') from None
            if 'X-Auth-Token' not in answer.headers:
                raise CannotRun(f'{self.user} got no token at {answer.url}: {answer.status_code} {answer.reason}')
            self.headers = self.headers | {'X-Auth-Token': answer.headers['X-Auth-Token']}


@dataclass(frozen=True)
class Answer:
    phase: str  # as in a history
    status: int | str  # or the name of an error
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Run:
    """What the threads share. ``log`` gets the history."""

    def __init__(self, plan: Plan, access: Access, log: TextIO):
        self.plan, self.access, self.log = plan, access, log
        self.recorder = Recorder(time.monotonic, self._write)
        self.values = count(1)
        self.loading = True  # producers post, workers crash
        self.over = False
        self.owed: set[int] = set()  # messages that may be there and have not been acked
        self.disturbed_at = time.monotonic()  # when last a claim was answered by anything but "empty", or renewed
        self.empty_at = 0.0  # the invocation of the last claim that was answered so
        self.counts: Counter[str] = Counter()
        self.errors: Counter[tuple[str, int | str]] = Counter()
        self._ops: dict[int, str] = {}

    def _write(self, event: dict[str, Any]) -> None:
        self.log.write(json.dumps(event) + '\n')
        if event['phase'] == 'invoke':
            self._ops[event['id']] = event['op']
            return
        op = self._ops.pop(event['id'])
        self.counts[f'{op} {event["phase"]}'] += 1
        self.counts['deliveries'] += len(event.get('messages', ()))
        if event['phase'] != 'ok':
            self.errors[op, event.get('status', '')] += 1

    @property
    def quiet(self) -> bool:
        """Whether what is not here by now will not come any more."""
        patience = self.plan.settle if self.owed else MARGIN
        return self.empty_at > self.disturbed_at + self.plan.claim_ttl + patience


class Connection:
    """Requests of one client about the queue, sent to all endpoints in turn, each once."""

    kind = 'queues'  # or topics

    def __init__(self, plan: Plan, access: Access, number: int = 0):
        self.plan, self.access = plan, access
        first = number % len(plan.endpoints)
        self._endpoints = cycle(plan.endpoints[first:] + plan.endpoints[:first])
        self.session = requests.Session()
        self.session.headers['Client-ID'] = str(uuid.uuid4())

    def send(self, method: str, path: str, body: Any = None, **params: Any) -> Answer:
        headers = self.access.headers
        try:
            got = self.session.request(
                method, f'{next(self._endpoints)}/v2/{self.kind}/{self.plan.queue}{path}', json=body, params=params,
                headers=headers, timeout=TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            return Answer('info', type(error).__name__)
        if got.status_code == 401:
            with suppress(CannotRun):
                self.access.log_in(headers.get('X-Auth-Token'))
        phase = 'ok' if 200 <= got.status_code < 300 else 'fail' if got.status_code < 500 else 'info'
        try:
            content = got.json() if got.content else None
        except ValueError:
            return Answer('info' if phase == 'ok' else phase, 'not JSON' if phase == 'ok' else got.status_code)
        return Answer(phase, got.status_code, content, got.headers)

    def lease(self) -> dict[str, float]:
        """What to say of a claim that is wanted."""
        return {'ttl': self.plan.claim_ttl, 'grace': self.plan.claim_grace}


class Client(Connection):
    """A producer or a worker. What it asks for and gets goes into the history."""

    def __init__(self, run: Run, name: str, number: int):
        super().__init__(run.plan, run.access, number)
        self.run, self.name = run, name

    def _do(self, op: str, method: str, path: str, body: Any = None, said: dict[str, Any] | None = None,
            **params: Any) -> Answer:
        """An operation whose answer tells nothing but its status."""
        number = self.run.recorder.invoke(op, worker=self.name, **said or {})
        answer = self.send(method, path, body, **params)
        self.run.recorder.answer(number, answer.phase, status=answer.status)
        return answer

    def post(self, values: list[int]) -> Answer:
        plan, recorder = self.plan, self.run.recorder
        self.run.owed.update(values)
        numbers = [recorder.invoke('post', worker=self.name, value=value, ttl=plan.message_ttl) for value in values]
        answer = self.send('POST', '/messages', {'messages': [
            {'ttl': plan.message_ttl, 'body': body_of(value, plan.size)} for value in values]})
        for number in numbers:
            recorder.answer(number, answer.phase, status=answer.status)
        if answer.phase == 'fail':
            self.run.owed.difference_update(values)
        return answer

    def claim(self, limit: int) -> list[dict[str, Any]]:
        """What was claimed: for each message its value, receipt and id."""
        plan, run = self.plan, self.run
        began = time.monotonic()
        number = run.recorder.invoke('claim', worker=self.name, ttl=plan.claim_ttl)
        answer = self.send('POST', '/claims', self.lease(), limit=limit)
        phase, status, messages = answer.phase, answer.status, []
        if phase == 'ok' and answer.content:
            try:
                receipt = answer.headers['Location'].rstrip('/').rpartition('/')[2]
                messages = [{'value': self.value(message['body']), 'receipt': receipt,
                             'message_id': message['id']} for message in answer.content['messages']]
            except (KeyError, TypeError):
                phase, status = 'info', 'not a claim'
        run.recorder.answer(number, phase, status=status, messages=messages)
        if phase == 'ok' and not messages:
            run.empty_at = max(run.empty_at, began)
        else:
            run.disturbed_at = time.monotonic()
        return messages

    def value(self, body: Any) -> int | str:
        """What the history calls a message that came."""
        return value_of(body, self.plan.size)

    def ack(self, message: dict[str, Any]) -> Answer:
        answer = self._do('ack', 'DELETE', f'/messages/{message["message_id"]}', said=message,
                          claim_id=message['receipt'])
        if answer.phase == 'ok':
            self.run.owed.discard(message['value'])
        return answer

    def renew(self, receipt: str) -> Answer:
        answer = self._do('renew', 'PATCH', f'/claims/{receipt}', self.lease(),
                          {'receipt': receipt, 'ttl': self.plan.claim_ttl})
        self.run.disturbed_at = time.monotonic()
        return answer

    def release(self, receipt: str) -> Answer:
        return self._do('release', 'DELETE', f'/claims/{receipt}', said={'receipt': receipt})


def body_of(value: int, size: int) -> str:
    """The payload that names a message, about ``size`` bytes of it, so that a damaged one shows."""
    text = f'{value}:'
    return text * max(1, size // len(text))


def value_of(body: Any, size: int) -> int | str:
    """The message's value; for a payload that nobody posted its text."""
    number = body.partition(':')[0] if isinstance(body, str) else ''
    if number.isdecimal() and body == body_of(int(number), size):
        return int(number)
    return repr(body)[:200]


def produce(run: Run, number: int) -> None:
    """Post until the load is over."""
    client = Client(run, f'producer-{number}', number)
    with client.session:
        while run.loading:
            if client.post([next(run.values) for _ in range(run.plan.batch)]).phase != 'ok':
                time.sleep(0.5)


def work(run: Run, number: int, kind: Callable[[Run, str, int], Client] = Client) -> None:
    """Claim and ack until the run is over, as one worker after another."""
    chance = random.Random(f'{run.plan.seed}/{number}')
    for life in count(1):
        if not _live(kind(run, f'worker-{number}.{life}', number), chance):
            return


def _live(client: Client, chance: random.Random) -> bool:
    """Claim and ack until the run is over or the worker crashes; whether it did."""
    run, plan = client.run, client.run.plan
    late: list[tuple[float, list[dict[str, Any]]]] = []  # when to come back, and to what
    with client.session:
        while not run.over:
            while late and late[0][0] < time.monotonic():
                _ack_all(client, late.pop(0)[1])
            # In the drain one by one, so that even the shortest lease is long enough.
            held = client.claim(plan.claim_limit if run.loading else 1)
            if not held:
                time.sleep(chance.uniform(0.1, 0.4))
                continue
            fate = _fate(plan.crash_rate, chance) if run.loading else 'work'
            done = len(held) if fate in ('work', 'renew') else chance.randrange(len(held))
            if fate == 'renew':
                client.renew(held[0]['receipt'])
            _ack_all(client, held[:done])
            if fate == 'crash':
                return True
            if fate == 'release':
                client.release(held[0]['receipt'])
            elif fate == 'late':
                late.append((time.monotonic() + 1.1 * plan.claim_ttl, held[done:]))
    return False


def _fate(crash_rate: float, chance: random.Random) -> str:
    """What becomes of a worker with a claim. All but ``work`` and ``renew`` leave some of it undone."""
    if chance.random() < crash_rate:
        return 'crash'
    return chance.choices(['work', *FATES], [1 - sum(FATES.values()), *FATES.values()])[0]


def _ack_all(client: Client, messages: list[dict[str, Any]]) -> None:
    for message in messages:
        client.ack(message)  # refused or not: that says nothing of the others
