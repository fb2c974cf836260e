"""What clients do to a queue in a simulation, and how they write it into the history.

Each is a green thread. A client makes every request through any of the proxies, and knows nothing but the answers.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from swiftqueue.history import Recorder
from swiftqueue.queues import RECORD_SECONDS

from .cloud import Cloud, Crashed

JOBS, DEAD = 'jobs', 'dead'  # queues; not every simulation has the second one
LONG = 100_000  # seconds: a ttl that nothing here outlives
SHORT = 60
PATCH = 'application/openstack-messaging-v2.0-json-patch'


@dataclass
class Answer:
    """``status`` is 0 where no answer came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: Any = None

    @property
    def phase(self) -> str:
        """What the history calls it."""
        return {2: 'ok', 4: 'fail'}.get(self.status // 100, 'info')


@dataclass
class Held:
    """A message in a client's hands."""

    id: str
    value: int


@dataclass
class Shared:
    """What all clients of a simulation have in common."""

    cloud: Cloud
    history: Recorder
    stop_at: float  # no client begins anything after it
    queues: tuple[str, ...] = (JOBS,)
    posted: dict[int, str] = field(default_factory=dict)  # ids of the messages that were stored for sure, by value
    ended: set[int] = field(default_factory=set)  # values of those that are of no interest any more
    producers: int = 0  # still at work
    posts: int = 0
    emptied: int | None = None  # how many there were when the queue was first purged or deleted
    lines: dict[int, str] = field(default_factory=dict)  # groups of a FIFO queue's messages, by value
    batches: list[list[int]] = field(default_factory=list)  # values of messages that were posted at once
    repeated: set[int] = field(default_factory=set)  # values of those that had to be sent again
    ids: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))  # all under which a value was seen
    trouble: list[str] = field(default_factory=list)  # what no answer should look like

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be done, as far as anybody knows."""
        return not self.producers and self.ended.issuperset(self.posted)


class Client:
    """One client: its name, its own chance, and the verbs."""

    kind = 'queues'  # or topics

    def __init__(self, shared: Shared, name: str, seed: object):
        self.shared = shared
        self.cloud = shared.cloud
        self.history = shared.history
        self.name = name
        self.chance = random.Random(f'{seed} {name}')
        self.queue = JOBS
        self.via: int | None = None  # number of the process that gets all requests, if it is to be one

    @property
    def goes_on(self) -> bool:
        return self.cloud.hub.now < self.shared.stop_at

    def sleep(self, seconds: float) -> None:
        self.cloud.hub.pause(seconds)

    def likely(self, chance: float) -> bool:
        return self.chance.random() < chance

    # -- one request --

    def call(self, method: str, path: str, body: Any = None, *, media_type: str = 'application/json',
             **query: Any) -> Answer:
        processes = self.cloud.processes
        process = self.chance.choice(processes) if self.via is None else processes[self.via]
        self.cloud.trace(self.name, method, path, '->', process.name)
        sent = b'' if body is None else json.dumps(body).encode()
        try:
            status, headers, content = process.request(
                method, f'/{self.kind}/{self.queue}{path}', urlencode(query), sent, media_type)
        except Crashed:
            return Answer()
        if status >= 500 and status != 503:
            self.shared.trouble.append(f'{self.name} got {status} for {method} {path}: {content.decode()}')
        if process.fails(self.cloud.profile.unanswered):
            return Answer()
        return Answer(status, headers, json.loads(content) if content else None)

    # -- the verbs --

    def post(self, count: int, ttl: int = LONG, delay: int = 0, size: int = 0) -> Answer:
        bodies = range(self.shared.posts, self.shared.posts + count)
        self.shared.posts += count
        values = self.values(bodies)
        sure = self.sure(values)
        numbers = {value: self.history.invoke('post', value=value, ttl=ttl + delay, delay=delay, worker=self.name)
                   for value in values}
        answer = self.call('POST', '/messages', {'messages': [
            {'body': {'value': body, 'padding': 'x' * size}, 'ttl': ttl, 'delay': delay} for body in bodies]})
        stored = [path.rpartition('/')[2] for path in (answer.content or {}).get('resources', ())]
        if answer.phase == 'ok':
            self.shared.posted.update((value, message_id) for value, message_id in zip(
                values, stored * (len(values) // count), strict=True) if value in sure)
            if ttl < LONG:
                self.shared.ended.update(values)
        for value, number in numbers.items():
            phase = answer.phase if value in sure or answer.phase == 'fail' else 'info'
            self.history.answer(number, phase, status=answer.status)
        return answer

    def values(self, bodies: range) -> list[Any]:
        """What the history calls the messages of these bodies."""
        return list(bodies)

    def sure(self, values: list[Any]) -> Collection[Any]:
        """Those that have to come if they are answered."""
        return values

    def value(self, body: dict[str, Any]) -> Any:
        """What the history calls a message that came."""
        return body['value']

    def held(self, answer: Answer) -> list[Held]:
        return [Held(message['id'], self.value(message['body']))
                for message in (answer.content or {}).get('messages', ())]

    def claim(self, limit: int, ttl: int, grace: int = 0, wait: int = 0) -> tuple[str, list[Held]]:
        """The claim's id and its messages, none of them if there were none or no answer came."""
        number = self.history.invoke('claim', ttl=ttl, limit=limit, worker=self.name)
        answer = self.call('POST', '/claims', {'ttl': ttl, 'grace': grace}, limit=limit, wait=wait)
        held = self.held(answer)
        receipt = answer.headers['location'].rpartition('/')[2] if held else ''
        self.history.answer(number, answer.phase, status=answer.status, messages=[
            {'value': each.value, 'receipt': receipt} for each in held])
        return receipt, held

    def pop(self, limit: int) -> Answer:
        number = self.history.invoke('pop', limit=limit, worker=self.name)
        answer = self.call('DELETE', '/messages', pop=limit)
        values = [each.value for each in self.held(answer)]
        self.shared.ended.update(values)
        self.history.answer(number, answer.phase, status=answer.status,
                            messages=[{'value': value} for value in values])
        return answer

    def ack(self, receipt: str, held: Held) -> Answer:
        return self._end([held], receipt, lambda: self.call('DELETE', f'/messages/{held.id}', claim_id=receipt))

    def ack_all(self, receipt: str, held: list[Held]) -> Answer:
        return self._end(held, receipt, lambda: self.call(
            'DELETE', '/messages', ids=','.join(each.id for each in held), claim_ids=receipt))

    def delete(self, held: list[Held]) -> Answer:
        """Delete messages without a receipt. A single one must not be claimed."""
        if len(held) == 1:
            return self._end(held, '', lambda: self.call('DELETE', f'/messages/{held[0].id}'))
        return self._end(held, '', lambda: self.call('DELETE', '/messages', ids=','.join(each.id for each in held)))

    def _end(self, held: list[Held], receipt: str, call: Callable[[], Answer]) -> Answer:
        said = {'receipt': receipt} if receipt else {}
        numbers = [self.history.invoke('ack', value=each.value, worker=self.name, **said) for each in held]
        answer = call()
        # A batch that was refused may have been done in part.
        phase = 'info' if len(held) > 1 and answer.phase == 'fail' else answer.phase
        if phase == 'ok':
            self.shared.ended.update(each.value for each in held)
        for number in numbers:
            self.history.answer(number, phase, status=answer.status)
        return answer

    def renew(self, receipt: str, ttl: int) -> Answer:
        number = self.history.invoke('renew', receipt=receipt, ttl=ttl, worker=self.name)
        answer = self.call('PATCH', f'/claims/{receipt}', {'ttl': ttl, 'grace': 0})
        self.history.answer(number, answer.phase, status=answer.status)
        return answer

    def release(self, receipt: str) -> Answer:
        number = self.history.invoke('release', receipt=receipt, worker=self.name)
        answer = self.call('DELETE', f'/claims/{receipt}')
        self.history.answer(number, answer.phase, status=answer.status)
        return answer

    def empty(self, call: Callable[[], Answer]) -> None:
        """Purge or delete the queue: to the history, the end of every message there is."""
        before = sorted(self.shared.posted)
        profile = self.cloud.profile
        others = sorted(set(range(self.shared.posts)) - set(before))
        numbers = {value: self._invoke_end(value) for value in (*before, *others)}
        if self.shared.emptied is None:
            self.shared.emptied = self.shared.posts
        answer = call()
        self.sleep(RECORD_SECONDS)  # so long another proxy may go on as before
        for value in range(self.shared.posts):
            # Of what was posted meanwhile, nobody knows whether it came before or after.
            certain = value in before and answer.phase == 'ok' and not (profile.skew or profile.stale_records)
            self.history.answer(numbers.get(value) or self._invoke_end(value), 'ok' if certain else 'info')

    def _invoke_end(self, value: int) -> int:
        return self.history.invoke('ack', value=value, worker=self.name)


# -- what they do with them ------------------------------------------------------------------------

def produce(client: Client, count: int) -> None:
    """Post that many messages, a few at a time."""
    chance = client.chance
    client.shared.producers += 1
    while count > 0 and client.goes_on:
        batch = min(count, chance.choice((1, 1, 2, 3)))
        count -= batch
        client.post(batch, ttl=SHORT if client.likely(0.05) else LONG,
                    delay=chance.randint(1, 5) if client.likely(0.1) else 0,
                    size=5000 if client.likely(0.1) else 0)
        client.sleep(chance.expovariate(1 / 1.5))
    client.shared.producers -= 1


def work(client: Client) -> None:
    """Claim messages and deal with them in every way there is, well and badly."""
    chance = client.chance
    while client.goes_on:
        if client.likely(0.05):
            client.pop(chance.randint(1, 2))
            continue
        ttl = chance.choice((4, 10, 10, 20))
        begun = client.cloud.hub.now
        receipt, held = client.claim(chance.randint(1, 4), ttl, grace=chance.choice((0, 60)),
                                     wait=5 if client.likely(0.1) else 0)
        if not held and client.shared.idle:
            # The janitor takes its time, and what it does must not bring anything back.
            if not client.cloud.profile.janitor:
                return
            client.sleep(chance.uniform(0, 30))
        if not held:
            client.sleep(chance.uniform(0, 5))
            continue
        deal = chance.choices((_finish, _renew, _extend, _give_back, _be_late, _forget), (45, 15, 10, 10, 10, 10))[0]
        deal(client, receipt, held, begun + ttl)


def cling(client: Client) -> None:
    """Claim what there is as soon as it is there, and renew it at the very last moment."""
    chance = client.chance
    while client.goes_on and not client.shared.idle:
        begun = client.cloud.hub.now
        receipt, held = client.claim(chance.randint(1, 2), 4)
        if not held:
            client.sleep(chance.uniform(0, 0.4))
            continue
        client.sleep(max(0, begun + 4 - client.cloud.hub.now - chance.uniform(0, 0.15)))
        if client.renew(receipt, 4).phase == 'ok':
            client.sleep(chance.uniform(0, 3))
        if client.likely(0.4):
            for each in held:
                client.ack(receipt, each)


def _finish(client: Client, receipt: str, held: list[Held], until: float) -> None:
    client.sleep(client.chance.uniform(0, 2))
    if client.likely(0.2):
        client.ack_all(receipt, held)
        return
    for each in held:
        client.ack(receipt, each)


def _renew(client: Client, receipt: str, held: list[Held], until: float) -> None:
    """Renew as late as can be, or not so late."""
    rest = until - client.cloud.hub.now
    client.sleep(max(0, client.chance.choice((rest - 0.1, rest - 0.05, rest - 0.3, rest * client.chance.random()))))
    # Never to less than it was: a renewal that is refused may still have made the claim shorter.
    rest = max(0, until - client.cloud.hub.now)
    if client.renew(receipt, ceil(rest) + client.chance.choice((1, 4, 10))).phase == 'ok':
        _finish(client, receipt, held, until)


def _extend(client: Client, receipt: str, held: list[Held], until: float) -> None:
    """The work turns out to be long."""
    if client.renew(receipt, 40).phase == 'ok':
        client.sleep(client.chance.uniform(5, 30))
        _finish(client, receipt, held, until)


def _give_back(client: Client, receipt: str, held: list[Held], until: float) -> None:
    if len(held) > 1 and client.likely(0.5):
        client.ack(receipt, held[0])
    client.release(receipt)


def _be_late(client: Client, receipt: str, held: list[Held], until: float) -> None:
    """Ack when the lease is over, or just about to be."""
    client.sleep(max(0, until - client.cloud.hub.now) + client.chance.choice((-0.1, 0, 0.1, 1, 4)))
    for each in held:
        client.ack(receipt, each)


def _forget(client: Client, receipt: str, held: list[Held], until: float) -> None:
    """The worker dies; another one takes its place some time later."""
    client.sleep(client.chance.uniform(0, 5))


def read(client: Client) -> None:
    """Follow the queue with a marker, as a subscriber does; nothing may be shown twice."""
    marker, shown = '', set()
    while client.goes_on and not client.shared.idle:
        answer = client.call('GET', '/messages', echo='true', include_claimed='true', limit=4,
                             **({'marker': marker} if marker else {}))
        values = [each.value for each in client.held(answer)]
        client.shared.trouble += [f'{client.name} was shown message {value} twice'
                                  for value in values if value in shown]
        shown.update(values)
        if values:
            marker = dict(parse_qsl(urlsplit(answer.content['links'][0]['href']).query))['marker']
        else:
            client.sleep(client.chance.uniform(1, 6))


def delete_some(client: Client, times: int) -> None:
    """Delete what was posted, whether somebody holds it or not."""
    for _ in range(times):
        client.sleep(client.chance.expovariate(1 / 8))
        known = sorted(client.shared.posted.items())
        if known and client.goes_on:
            client.delete([Held(message_id, value) for value, message_id in client.chance.sample(
                known, min(len(known), client.chance.choice((1, 1, 2))))])


def empty_sometimes(client: Client, times: int) -> None:
    """Purge the queue, or delete it and perhaps create it again at once."""
    for _ in range(times):
        client.sleep(client.chance.uniform(3, 20))
        if client.likely(0.5):
            client.empty(lambda: client.call('POST', '/purge', {'resource_types': ['messages']}))
        else:
            client.empty(lambda: client.call('DELETE', ''))
            if client.likely(0.7):
                client.call('PUT', '', {})


def grow(client: Client, times: int) -> None:
    """Give the queue more shards, again and again; a queue that was deleted and created meanwhile begins anew."""
    shards = 2
    for _ in range(times):
        client.sleep(client.chance.uniform(1, 20))
        shards += client.chance.randint(0, 3)
        answer = client.call('PATCH', '', [{'op': 'replace', 'path': '/metadata/_shards', 'value': shards}],
                             media_type=PATCH)
        if answer.phase == 'ok' and answer.content['_shards'] < shards:
            client.shared.trouble.append(f'{client.name} was told of {answer.content["_shards"]} shards, not {shards}')


def clean(client: Client, every: float) -> None:
    """Run the janitor again and again."""
    while client.goes_on:
        client.sleep(client.chance.uniform(0.5, 1.5) * every)
        client.cloud.sweep()


def everywhere(client: Client) -> Iterator[None]:
    """Once per queue and process: what the client does then is about that queue and goes through that process."""
    for queue in client.shared.queues:
        for number in range(len(client.cloud.processes)):
            client.queue, client.via = queue, number
            yield


def drain(client: Client, quiet: float, most: float, janitor: bool, between: Callable[[], None] | None) -> bool:
    """Take and ack everything until nothing has come for ``quiet`` seconds; False if that takes more than ``most``."""
    cloud = client.cloud
    began = empty_since = cloud.hub.now
    while cloud.hub.now - empty_since < quiet:
        if cloud.hub.now - began > most:
            return False
        for _ in everywhere(client):
            receipt, held = client.claim(20, 120)
            while held:
                empty_since = cloud.hub.now
                for each in held:
                    client.ack(receipt, each)
                receipt, held = client.claim(20, 120)
        if janitor:
            cloud.sweep()  # what was posted to an old generation comes back by it
        if between:
            between()
        client.sleep(quiet / 3)
    return True
