"""What is measured: raw Swift and the queue, as operations of one client, and what stands beside what."""

from __future__ import annotations

import json
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bench.load import Answer, Client, Operation, Request, Unexpected

TTL = 3600  # seconds, of messages and raw objects alike
CLAIM = json.dumps({'ttl': 300, 'grace': 60}).encode()
CLAIM_SIZE = 256  # bytes; about what a claim object holds
PAGE = 20
CLIENT_ID = '3381af92-2b9e-11e3-b191-71861300734c'


@dataclass
class Ground:
    """Where one setting (clients, size) is measured, and what lies ready there.

    ``account`` is the path of the Swift account, '' if there is no raw Swift to compare with. ``shards`` are those of
    its queues.
    """

    clients: int
    size: int
    account: str = ''
    shards: int = 1
    name: str = field(default_factory=lambda: f'bench-{uuid.uuid4().hex[:8]}')
    objects: deque[str] = field(default_factory=deque)  # paths of those that were PUT with X-Delete-At
    waiting: int = 0  # messages in the queue to be claimed
    handled: set[str] = field(default_factory=set)  # ids of messages that were acked or popped
    in_vain: int = 0  # deliveries whose acks were refused, or that had been handled already
    held: dict[int, str] = field(default_factory=dict)  # by client: the path of a claim to be renewed
    numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.content = b'x' * self.size
        self.claim_content = b'x' * CLAIM_SIZE

    def queue(self, kind: str = 'work') -> str:
        """The path of one of the setting's queues."""
        return f'/v2/queues/{self.name}-{kind}'

    def container(self, kind: str = 'objects') -> str:
        return f'{self.account}/{self.name}-{kind}'

    def handle(self, delivered: int, ids: Sequence[str]) -> int:
        """Of the delivered messages these were acked or popped; how many had not been before.

        A service may give one message to two clients, but that is the work of one.
        """
        before = len(self.handled)
        self.handled.update(ids)
        fresh = len(self.handled) - before
        self.waiting -= fresh
        self.in_vain += delivered - fresh
        return fresh

    def messages(self, number: int) -> bytes:
        """The body of a post."""
        return json.dumps({'messages': [{'ttl': TTL, 'body': 'x' * self.size}] * number}).encode()


def ask(method: str, path: str, *statuses: int, body: bytes = b'', headers: Mapping[str, str] | None = None,
        ) -> Operation:
    """One request; its answer. Raises Unexpected for any other status."""
    answer: Answer = yield Request(method, path, body, headers or {})
    if answer.status not in statuses:
        what = method + (' /v2' if path.startswith('/v2/') else '')
        raise Unexpected(f'{what} answered {answer.status} {answer.body[:100].decode("latin-1")}')
    return answer


# -- raw Swift -------------------------------------------------------------------------------------

def raw_put(ground: Ground, client: Client) -> Operation:
    path = f'{ground.container()}/{next(ground.numbers):09d}'
    yield from ask('PUT', path, 201, body=ground.content, headers={'X-Delete-At': str(int(time.time()) + TTL)})
    ground.objects.append(path)
    return 1


def raw_conditional_put(ground: Ground, client: Client) -> Operation:
    path = f'{ground.container("claims")}/{next(ground.numbers):09d}'
    yield from ask('PUT', path, 201, body=ground.claim_content, headers={'If-None-Match': '*'})
    return 1


def raw_get(ground: Ground, client: Client) -> Operation:
    ground.objects.rotate(-1)
    yield from ask('GET', ground.objects[0], 200)
    return 1


def raw_listing(ground: Ground, client: Client) -> Operation:
    yield from ask('GET', f'{ground.container()}?format=json&limit={PAGE}', 200)
    return 1


def raw_delete(ground: Ground, client: Client) -> Operation:
    if not ground.objects:
        raise Unexpected('there is nothing left to delete')
    yield from ask('DELETE', ground.objects.popleft(), 204)
    return 1


def raw_pair(ground: Ground, client: Client) -> Operation:
    """What a claim and an ack cannot do without."""
    yield from raw_conditional_put(ground, client)
    yield from raw_delete(ground, client)
    return 1


def raw_life(ground: Ground, client: Client) -> Operation:
    """What a message cannot do without, ten times."""
    for _ in range(10):
        yield from raw_put(ground, client)
    for _ in range(10):
        yield from raw_pair(ground, client)
    return 10


# -- the queue -------------------------------------------------------------------------------------

def post(ground: Ground, client: Client, number: int = 1, kind: str = 'work') -> Operation:
    yield from ask('POST', f'{ground.queue(kind)}/messages', 201, body=ground.messages(number))
    if kind == 'work':
        ground.waiting += number
    return number


def post_10(ground: Ground, client: Client) -> Operation:
    return (yield from post(ground, client, 10))


def list_page(ground: Ground, client: Client, query: str = '') -> Operation:
    answer = yield from ask('GET', f'{ground.queue("list")}/messages?limit={PAGE}&echo=true{query}', 200)
    return len(answer.json()['messages'])


def list_all(ground: Ground, client: Client) -> Operation:
    return (yield from list_page(ground, client, '&include_claimed=true'))


def claim(ground: Ground, client: Client, number: int = 1, kind: str = 'work') -> Operation:
    """The claim's answer. If there was nothing to claim, None, or from some services a claim of no messages."""
    answer = yield from ask('POST', f'{ground.queue(kind)}/claims?limit={number}', 201, 204, body=CLAIM)
    return answer if answer.status == 201 else None


def claim_and_ack(ground: Ground, client: Client, number: int = 1) -> Operation:
    answer = yield from claim(ground, client, number)
    messages = answer.json()['messages'] if answer else []
    acked = []
    for message in messages:
        # Refused is an ack of what another client has claimed meanwhile.
        if (yield from ask('DELETE', message['href'], 204, 400, 403)).status == 204:
            acked.append(message['id'])
    return ground.handle(len(messages), acked)


def claim_10_and_ack(ground: Ground, client: Client) -> Operation:
    return (yield from claim_and_ack(ground, client, 10))


def pop_10(ground: Ground, client: Client) -> Operation:
    answer = yield from ask('DELETE', f'{ground.queue()}/messages?pop=10', 200)
    popped = [message['id'] for message in answer.json()['messages']]
    return ground.handle(len(popped), popped)


def hold(ground: Ground, client: Client) -> Operation:
    """A claim to be renewed."""
    yield from post(ground, client, kind='held')
    answer = yield from claim(ground, client, kind='held')
    ground.held[client.number] = answer.headers['location'] if answer else ''
    return None


def renew(ground: Ground, client: Client) -> Operation:
    yield from ask('PATCH', ground.held[client.number], 204, body=CLAIM)
    return 1


def empty_poll(ground: Ground, client: Client) -> Operation:
    answer = yield from claim(ground, client, 10, kind='empty')
    if answer and answer.json()['messages']:
        raise Unexpected('a message in a queue that nobody has posted to')
    return 1


def mixed(ground: Ground, client: Client) -> Operation:
    """Producers and consumers, half of the clients each; one alone is both in turn. Counted is what is acked."""
    if client.number % 2 == 0:
        yield from post_10(ground, client)
        if ground.clients > 1:
            return None
    return (yield from claim_10_and_ack(ground, client))


def life(ground: Ground, client: Client) -> Operation:
    """Ten messages from post to ack; perhaps not the same ten."""
    for _ in range(10):
        yield from post(ground, client)
    acked = 0
    while acked < 10:
        acked += yield from claim_and_ack(ground, client, 10 - acked)
    return 10


# -- before and after -----------------------------------------------------------------------------

QUEUES = ('work', 'list', 'held', 'empty')


def create(ground: Ground, *kinds: str) -> Operation:
    for kind in kinds:
        yield from ask('PUT', ground.queue(kind), 201, 204,
                       body=json.dumps({'_shards': ground.shards}).encode() if ground.shards > 1 else b'')
    return None


def prepare(ground: Ground, client: Client) -> Operation:
    """Queues and containers, and a page to list."""
    yield from create(ground, *QUEUES)
    for kind in ('objects', 'claims') if ground.account else ():
        yield from ask('PUT', ground.container(kind), 201, 202)
    for _ in range(PAGE):
        yield from post(ground, client, kind='list')
    return None


def supply(ground: Ground, client: Client) -> Operation:
    """Messages to be claimed, as many in a post as any service takes."""
    return (yield from post(ground, client, max(1, min(10, 200_000 // ground.size))))


def clean(ground: Ground, client: Client) -> Operation:
    """Delete the queues."""
    for kind in QUEUES:
        yield from ask('DELETE', ground.queue(kind), 204)
    return None


# -- what stands beside what -----------------------------------------------------------------------

@dataclass(frozen=True)
class Measure:
    """One line of the table.

    ``beside`` is the raw measure that it is compared with. ``takes`` is how many objects or messages one operation
    uses up. ``first`` is done once by each client before the clock starts. ``unit`` is what a rate counts, per second.
    """

    name: str
    operation: Callable[[Ground, Client], Operation]
    beside: str = ''
    takes: int = 0
    first: Callable[[Ground, Client], Operation] | None = None
    unit: str = 'messages'

    @property
    def raw(self) -> bool:
        return self.name.startswith('raw ')


# Groups of what is compared with each other; within a round each is measured in one go.
Group = tuple[Measure, ...]
GROUPS: tuple[Group, ...] = (
    (Measure('raw PUT', raw_put, unit='objects'),
     Measure('post 1', post, 'raw PUT'),
     Measure('post 10', post_10, 'raw PUT')),
    (Measure('raw GET', raw_get, unit='objects'),
     Measure('list 20 with claimed', list_all, 'raw GET'),
     Measure('list 20', list_page, 'raw GET')),
    (Measure('raw listing', raw_listing, unit='listings'),
     Measure('empty poll', empty_poll, 'raw listing', unit='polls')),
    (Measure('raw pair', raw_pair, takes=1, unit='pairs'),
     Measure('claim 1 + ack', claim_and_ack, 'raw pair', takes=1),
     Measure('claim 10 + ack each', claim_10_and_ack, 'raw pair', takes=10),
     Measure('pop 10', pop_10, 'raw pair', takes=10)),
    (Measure('raw conditional PUT', raw_conditional_put, unit='objects'),
     Measure('renew', renew, 'raw conditional PUT', first=hold, unit='claims')),
    (Measure('raw DELETE', raw_delete, takes=1, unit='objects'),),
    (Measure('raw life', raw_life, unit='lives'),
     Measure('life', life, 'raw life', takes=10, unit='lives'),
     Measure('mixed', mixed, 'raw life', takes=10)),
)
MEASURES = {measure.name: measure for group in GROUPS for measure in group}


def chosen(names: Collection[str], raw: bool) -> list[Group]:
    """The groups with only these measures and what stands beside them; without names, with all.

    Without ``raw`` there are no raw ones among them. Raises ValueError for a name that there is not.
    """
    if unknown := set(names) - set(MEASURES):
        raise ValueError(f'there is no measure {min(unknown)!r}, only {", ".join(map(repr, MEASURES))}')
    wanted = set(names or MEASURES)
    wanted |= {MEASURES[name].beside for name in wanted}
    return [tuple(measure for measure in group if measure.name in wanted and (raw or not measure.raw))
            for group in GROUPS]
