r"""Every name and format that swiftqueue stores in Swift. Nothing else knows them.

All containers are in the tenant's account and in Swift's reserved namespace: parts joined by NUL bytes, led by one.

============================================  ==================================================
container                                     holds
============================================  ==================================================
``\0queue\0NAME``                             no objects; the queue's record, as sysmeta
``\0messages\0NAME\0GENERATION\0SHARD``       ``\0ID``: one object per message
``\0claims\0NAME\0GENERATION\0SHARD``         ``\0ID\0NNNNNNNNN``: one object per delivery, from 1
the same, shard 0                             ``\0name-HASH\0000000001``: the message that its sender named so
``\0claims\0NAME\0GENERATION\00``             ``\0move\0NNNNNNNNN``: one object per move task, from 1;
                                              ``\0move-cancel\0NNNNNNNNN``: that task is to stop
``\0published\0NAME\0BORN``                   ``\0subscription\0ID``: one object per subscription;
                                              ``\0post\0ID``: what is yet to be brought to subscribers
``\0sent\0NAME\0GENERATION\0SHARD``           FIFO queues: ``\0HASH``: one object per deduplication id
============================================  ==================================================

Two kinds of queues are not among a tenant's queues, and have a NAME that no queue can have: ``topic:NAME``, and
``webhook:ID`` of what is yet to be sent for a subscription. Their records are in ``\0topic\0NAME`` and
``\0webhook\0ID``. BORN tells a queue from an earlier one of its name.

What operators define for all accounts is in an account that no client can reach, ``.swiftqueue``: an object for each
pool in the container ``pools``, and for each flavor in ``flavors``. There too, in ``subscribed``, is an empty object
``ACCOUNT/QUEUE`` for each queue that anybody subscribes to; ``accounts`` is told of in accounts.py.

A *row* is what a container listing shows of an object. Its etag carries, after the real one, what a reader would
otherwise have to GET: ``<md5>; mq=<base64url of JSON>``.

>>> messages_container('jobs', 'g1')
'\x00messages\x00jobs\x00g1\x000'
>>> parse_container(messages_container('jobs', 'g1'))
('messages', 'jobs', 'g1', 0)
>>> queue_container('topic:news')
'\x00topic\x00news'
>>> parse_container(queue_container('topic:news'))
('queue', 'topic:news', '', 0)
>>> claim_name('ID', 2)
'\x00ID\x00000000002'
>>> parse_claim(claim_name('ID', 2))
('ID', 2)
>>> parse_claim(task_name(2))  # of the same form
('move', 2)
>>> claim_name('ffffffff-ffff-7fff-bfff-ffffffffffff', 1) < CLAIMS_END < task_name(1)
True
>>> decode_row(encode_row('abc', {'x': 1}))
{'x': 1}
>>> decode_row('d41d8cd98f00b204e9800998ecf8427e') is None
True
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from swiftqueue import ids
from swiftqueue.errors import TooLarge
from swiftqueue.model import Subscription

NUL = '\x00'
TOPIC = 'topic:'
WEBHOOK = 'webhook:'

POOLS = 'pools'
FLAVORS = 'flavors'
SOURCES = 'subscribed'

GENERATION = 'X-Container-Sysmeta-Swiftqueue-Generation'
WRITTEN = 'X-Container-Sysmeta-Swiftqueue-Written'
ATTRIBUTES = 'X-Container-Sysmeta-Swiftqueue-Attributes-'
SHARDS = 'X-Container-Sysmeta-Swiftqueue-Shards-'
EPHEMERAL = 'X-Container-Sysmeta-Swiftqueue-Ephemeral'
PLACEMENT = 'X-Container-Sysmeta-Swiftqueue-Placement'
ENDED = 'X-Container-Sysmeta-Swiftqueue-Ended'
MOVING = 'X-Container-Sysmeta-Swiftqueue-Moving'
SUBSCRIBED = 'X-Container-Sysmeta-Swiftqueue-Subscribed'
IDLE = 'X-Container-Sysmeta-Swiftqueue-Idle'
CLAIM = 'X-Object-Sysmeta-Swiftqueue-Claim'
POINTS_TO = 'X-Object-Sysmeta-Swiftqueue-Points-To'
# Two ways to say what an object's row shows. The first may be large, but is lost where encryption says something
# itself, and has to come behind the body where an erasure-coded policy does. The second is stored with the object, so
# it must be small, and wins always.
ROW = 'X-Backend-Container-Update-Override-Etag'
KEPT_ROW = 'X-Object-Sysmeta-Container-Update-Override-Etag'

# Attributes are spread over header lines that Swift accepts (8192 bytes each, 65536 in all).
_LINES = 7
_LINE = 7500

_SHARDS = frozenset(map(str, range(ids.EPHEMERAL + 1)))
_KINDS = {'queue': '', 'topic': TOPIC, 'webhook': WEBHOOK}  # of records: what their queues' names begin with


def _join(*parts: str) -> str:
    return NUL + NUL.join(parts)


def queue_container(queue: str = '') -> str:
    """The container of the queue's record; without a queue, or only its kind, the prefix of all of them."""
    kind, marked, name = queue.partition(':')
    return _join(kind, name) if marked else _join('queue', queue)


def messages_container(queue: str, generation: str | None = None, shard: int = 0) -> str:
    """The container of one shard's messages; without a generation, the prefix of all of the queue's."""
    if generation is None:
        return _join('messages', queue, '')
    return _join('messages', queue, generation, str(shard))


def claims_container(queue: str, generation: str, shard: int = 0) -> str:
    return _join('claims', queue, generation, str(shard))


def sent_container(queue: str, generation: str | None = None) -> str:
    """The container of what a FIFO queue was sent lately; without a generation, the prefix of all of the queue's."""
    return _join('sent', queue, '') if generation is None else _join('sent', queue, generation, '0')


def sent_name(scope: str, deduplication: str) -> str:
    return _join(hashlib.sha256(f'{scope}\x00{deduplication}'.encode('utf-8', 'surrogatepass')).hexdigest())


def parse_container(container: str) -> tuple[str, str, str, int] | None:
    """(kind, queue, generation, shard) of a container of ours, '' for no generation; None for any other."""
    parts = container.split(NUL)
    if len(parts) == 3 and parts[0] == '' and parts[1] in _KINDS:
        return 'queue', _KINDS[parts[1]] + parts[2], '', 0
    if len(parts) == 5 and parts[0] == '' and parts[1] in ('messages', 'claims', 'sent') and parts[4] in _SHARDS:
        return parts[1], parts[2], parts[3], int(parts[4])
    return None


def published_container(queue: str, born: str = '') -> str:
    """Subscriptions of a queue and what is posted for them; without ``born``, the prefix of all of the name."""
    return _join('published', queue, born)


def parse_published(container: str) -> tuple[str, str] | None:
    """(queue, born) of a container of subscriptions; None for any other."""
    parts = container.split(NUL)
    return (parts[2], parts[3]) if len(parts) == 4 and parts[:2] == ['', 'published'] else None


def queue_of(container: str) -> str | None:
    """The queue that has any container of ours; None for a container of others."""
    found = parse_container(container)
    published = parse_published(container)
    return found[1] if found else published and published[0]


def subscription_name(subscription_id: str = '') -> str:
    return _join('subscription', subscription_id)


def post_name(post_id: str = '') -> str:
    return _join('post', post_id)


def has_rows_that_matter(container: str) -> bool:
    """Whether it is one of a queue's with objects that are found by their rows; others are asked for by name."""
    found = parse_container(container)
    return found is not None and found[0] != 'sent' or parse_published(container) is not None


def parse_source(name: str) -> tuple[str, str]:
    """(account, queue) of an object that says that the queue has subscribers."""
    account, _, queue = name.partition('/')
    return account, queue


def describe(container: str, name: str) -> tuple[str, str]:
    """What kind of thing that is found by its row an object is, and which one."""
    parsed = parse_container(container)
    if parsed is None:
        kind, _, found = name.removeprefix(NUL).rpartition(NUL)
        return f'{kind or "source"}s', f'{kind} {found}' if kind else 'that it has subscribers'
    if parsed[0] == 'messages':
        return 'messages', f'message {parse_message(name)}'
    message_id, delivery = parse_claim(name)
    return 'claims', f'claim {delivery} of message {message_id}'


def row_etag(container: str, content: bytes, etag: str, limit: int) -> str:
    """What the row of an object with that content shows, where nothing of that is kept with the object."""
    if parse_published(container):
        return row_of(content, etag, limit).get(ROW, etag)
    if parse_container(container):
        row, = parse_envelope(json.loads(content)).row(etag, limit).values()
        return row
    return etag


def message_name(message_id: str) -> str:
    return _join(message_id)


def claim_name(message_id: str, delivery: int) -> str:
    return _join(message_id, f'{delivery:09d}')


# All claims are before this in a listing; move tasks and the names of messages come after it.
CLAIMS_END = NUL + 'g'
TASKS = _join('move', '')


def task_name(number: int) -> str:
    return claim_name('move', number)


def cancel_name(number: int) -> str:
    return claim_name('move-cancel', number)


_NAMED = 'name-'
NAMED, NAMED_END = NUL + _NAMED, NUL + 'name.'  # right before and right behind all of them in a listing


def pointer_name(name: str) -> str:
    """The object that leads from the name that a sender chose to his message, of the form of a claim's."""
    return claim_name(_NAMED + hashlib.sha256(name.encode('utf-8')).hexdigest(), 1)


def pointer_content(name: str, message_id: str) -> bytes:
    return to_json({'name': name, 'id': message_id})


def pointer_headers(content: bytes, message_id: str) -> dict[str, str]:
    """For the row, and for a HEAD of the object."""
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return {KEPT_ROW: encode_row(etag, {'id': message_id}), POINTS_TO: message_id}


def parse_message(name: str) -> str:
    """The id of the message object of that name."""
    return name[1:]


def parse_claim(name: str) -> tuple[str, int]:
    """(message id, delivery number) of the claim object of that name."""
    _, message_id, delivery = name.split(NUL)
    return message_id, int(delivery)


# -- rows ------------------------------------------------------------------------------------------

def to_json(value: Any) -> bytes:
    """Compact ASCII JSON, so that whatever a client wrote can travel in a header."""
    return json.dumps(value, separators=(',', ':')).encode('ascii')


def encode_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode('ascii')


def decode_text(text: str) -> bytes:
    """Raises ValueError for anything that :func:`encode_text` does not write."""
    data = base64.b64decode(text + '=' * (-len(text) % 4), altchars=b'-_', validate=True)
    if encode_text(data) != text:
        raise ValueError('not canonical base64')
    return data


def encode_row(etag: str, value: dict[str, Any]) -> str:
    return f'{etag}; mq={encode_text(to_json(value))}'


def decode_row(etag: str) -> dict[str, Any] | None:
    """What the row carries; None where Swift, an erasure-coded policy or encryption wrote it plain."""
    _, found, text = etag.partition('; mq=')
    if not found:
        return None
    return json.loads(decode_text(text.partition(';')[0]))


# -- the message's envelope ------------------------------------------------------------------------

@dataclass(frozen=True)
class Envelope:
    """A message as stored: the object's content, and its row if it fits. ``delay`` is in the id's time too.

    ``claims_before`` is the number of its last claim in this queue before it was moved here; its deliveries count
    from there. ``source`` is the queue from which it was moved as a dead letter, and ``deliveries_before`` the number
    of its deliveries until then. ``name`` is what its sender calls it; such a message may change, see named.py.
    """

    body: Any
    created_at: float
    ttl: int
    delay: int
    expires_at: float
    client_id: str = ''
    attributes: dict[str, Any] = field(default_factory=dict)
    claims_before: int = 0
    source: str = ''
    deliveries_before: int = 0
    group: str = ''
    deduplication: str = ''
    name: str = ''
    complete: bool = True  # False: a row whose body did not fit

    def content(self) -> bytes:
        return to_json(self._json())

    def row(self, etag: str, limit: int) -> dict[str, str]:
        """The header for the row, without what its sender wrote if that takes more than ``limit`` bytes."""
        row = encode_row(etag, self._json())
        if len(row) <= limit:
            return {ROW: row}
        small = {key: value for key, value in self._json().items()
                 if key not in ('body', 'attributes', 'name')}
        return {KEPT_ROW: encode_row(etag, small)}

    def _json(self) -> dict[str, Any]:
        value = {'body': self.body, 'created_at': self.created_at, 'ttl': self.ttl, 'delay': self.delay,
                 'expires_at': self.expires_at, 'client_id': self.client_id}
        if self.attributes:
            value['attributes'] = self.attributes
        for name in ('claims_before', 'source', 'deliveries_before', 'group', 'deduplication', 'name'):
            if getattr(self, name):
                value[name] = getattr(self, name)
        return value


def parse_envelope(value: dict[str, Any]) -> Envelope:
    """The envelope from a message's content or row; keys that a later version adds are passed over."""
    return Envelope(
        body=value.get('body'), created_at=value['created_at'], ttl=value['ttl'],
        delay=value['delay'], expires_at=value['expires_at'], client_id=value['client_id'],
        attributes=value.get('attributes', {}), claims_before=value.get('claims_before', 0),
        source=value.get('source', ''), deliveries_before=value.get('deliveries_before', 0),
        group=value.get('group', ''), deduplication=value.get('deduplication', ''), name=value.get('name', ''),
        complete='body' in value)


# -- the claim -------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Move:
    """Where a message is being moved: the queue, and its id and ttl there. Whoever carries it out does the same."""

    queue: str
    id: str
    ttl: int


@dataclass(frozen=True)
class ClaimState:
    """One delivery of one message, as its claim object says.

    ``claim`` is the receipt of the whole claim without its signature; ``keep_until`` is how long the message is kept
    for the holder, whatever its ttl. ``members`` (only in the content of the object that the claim id names) are
    ``[message id, delivery number, instant at which the message object expires]``. ``move`` says that it is no
    delivery: the message is on its way into another queue, see moves.py.
    ``mates`` (only in the content, and only of a FIFO queue) are the deliveries of one group that were made at once,
    this one among them.
    """

    claim: str
    ttl: int
    grace: int
    renewed_at: float
    expires_at: float
    keep_until: float
    released: bool = False
    members: tuple[tuple[str, int, int], ...] = ()
    move: Move | None = None
    mates: tuple[tuple[str, int], ...] = ()

    def live(self, now: float) -> bool:
        return not self.released and now < self.expires_at

    def content(self) -> bytes:
        value = self._json() | {'members': [list(member) for member in self.members]}
        if self.mates:
            value['mates'] = [list(mate) for mate in self.mates]
        return to_json(value)

    def headers(self, etag: str) -> dict[str, str]:
        """For the row, and for a HEAD of the object."""
        return {KEPT_ROW: encode_row(etag, self._json()), CLAIM: encode_text(to_json(self._json()))}

    def release(self) -> ClaimState:
        return replace(self, released=True)

    def _json(self) -> dict[str, Any]:
        value = {'claim': self.claim, 'ttl': self.ttl, 'grace': self.grace,
                 'renewed_at': self.renewed_at, 'expires_at': self.expires_at,
                 'keep_until': self.keep_until, 'released': self.released}
        if self.move:
            value['move'] = [self.move.queue, self.move.id, self.move.ttl]
        return value


def parse_claim_state(value: dict[str, Any]) -> ClaimState:
    """The state from a claim's content, row or header."""
    return ClaimState(
        claim=value['claim'], ttl=value['ttl'], grace=value['grace'],
        renewed_at=value['renewed_at'], expires_at=value['expires_at'],
        keep_until=value['keep_until'], released=value['released'],
        members=tuple((member[0], member[1], member[2]) for member in value.get('members', ())),
        move=Move(*value['move']) if value.get('move') else None,
        mates=tuple((mate[0], mate[1]) for mate in value.get('mates', ())))


def parse_claim_header(text: str) -> ClaimState:
    return parse_claim_state(json.loads(decode_text(text)))


# -- the move task ---------------------------------------------------------------------------------

@dataclass(frozen=True)
class TaskState:
    """One task that moves the messages of a queue, as its object says.

    Without a ``destination`` each goes to its ``source``; a ``rate`` of 0 is none. ``worker`` is a token of the process
    that does the work, and others leave it alone until ``held_until``. ``status`` and ``failure`` are those of the
    model's MoveTask, but for ``cancelling``, which an object of its own tells.
    """

    id: str
    destination: str
    rate: int
    started_at: float
    to_move: int
    worker: str
    held_until: float
    moved: int = 0
    status: str = 'running'
    failure: str = ''

    def content(self) -> bytes:
        return to_json(asdict(self))


def parse_task(content: bytes) -> TaskState:
    """The task from its object; keys that a later version adds are passed over."""
    value = json.loads(content)
    return TaskState(**{each.name: value[each.name] for each in fields(TaskState)})


# -- pools and flavors -----------------------------------------------------------------------------

@dataclass(frozen=True)
class Pool:
    """A storage policy, by name, that queues may be put in, and its share where a flavor has several pools."""

    policy: str
    weight: int
    options: dict[str, Any] = field(default_factory=dict)  # kept for who defined it

    def content(self) -> bytes:
        return to_json(vars(self))


@dataclass(frozen=True)
class Flavor:
    """What a queue of this flavor is made like: in one of these pools, with these limits.

    ``claims_pool`` is for the claims if they are to be elsewhere. ``limits`` are options, by name, that are narrower
    for these queues. ``ephemeral`` is what their messages are that do not say it themselves.
    """

    pools: list[str]
    claims_pool: str | None = None
    shards: int | None = None
    limits: dict[str, int] = field(default_factory=dict)
    ephemeral: bool = False

    def content(self) -> bytes:
        return to_json(vars(self))


def parse_definition(kind: type, content: bytes) -> Any:
    """The pool or flavor; keys that a later version adds are passed over."""
    known = {each.name for each in fields(kind)}
    return kind(**{key: value for key, value in json.loads(content).items() if key in known})


# -- the queue's record ----------------------------------------------------------------------------

@dataclass(frozen=True)
class Placement:
    """What a queue's flavor said when the queue was made.

    In which storage policies, by index, new containers are put; None is the cluster's default. And its limits.
    """

    messages: int | None = None
    claims: int | None = None
    limits: dict[str, int] = field(default_factory=dict)

    def policy(self, container: str) -> int | None:
        """That of a messages or claims container."""
        return self.messages if container.startswith(_join('messages', '')) else self.claims

    def headers(self) -> dict[str, str]:
        return {PLACEMENT: '' if self == Placement() else to_json(vars(self)).decode('ascii')}


@dataclass(frozen=True)
class Record:
    """A queue as its record container says.

    Messages posted before ``purged_at`` in any other generation are dead; later ones came through a proxy that had
    not heard of the change, and belong to this generation. It is 0 until the first purge: a queue that was created
    twice, by two proxies or because its record could not be seen, keeps all that was posted. ``written_at`` is the
    record's own timestamp, which the next change has to pass, whatever the clock of its proxy says. ``created_at`` is
    0 where it is that of the generation.

    ``shards`` only ever grows. So each number has a header of its own, and the largest there is counts: Swift keeps the
    later of each header, so nothing that is written at the same time can make it less.

    ``moving`` is the id of a move task that may have to be done: a hint, which can be wrong in both ways.
    ``subscribed_at`` is when somebody last subscribed to the queue, 0 if there can be no subscription.
    ``ephemeral`` is the index of the storage policy of the shard of ephemeral messages, None if there is no such shard.
    ``used_at`` is when the record was last written to, which users of a queue with an idle expiry do: see idle.py.
    """

    generation: str
    purged_at: float
    written_at: float
    attributes: dict[str, Any]
    shards: int = 1
    created_at: float = 0
    moving: str = ''
    subscribed_at: float = 0
    placement: Placement = Placement()
    ephemeral: int | None = None
    used_at: float = 0

    @property
    def born(self) -> str:
        """The same as long as the queue lives."""
        return f'{round((self.created_at or self.begun_at) * 1000):011x}'

    @property
    def begun_at(self) -> float:
        """When the generation was begun."""
        return int(self.generation.partition('-')[0], 16) / 1000

    @property
    def fifo(self) -> bool:
        """Whether messages of one group are delivered in order, and each only once."""
        return bool(self.attributes.get('_fifo'))

    @property
    def shard_numbers(self) -> list[int]:
        """Those of all shards; that of the ephemeral messages comes last."""
        return [*range(self.shards), *([] if self.ephemeral is None else [ids.EPHEMERAL])]

    def policy(self, container: str) -> int | None:
        """The index of the storage policy for a new container of the queue; None is the cluster's default."""
        _, _, _, shard = parse_container(container)
        return self.placement.policy(container) if shard < self.shards else self.ephemeral

    def may_lose(self, message_id: str) -> bool:
        """Whether the message is in the shard of the ephemeral ones."""
        return self.ephemeral is not None and ids.shard_of(message_id) == ids.EPHEMERAL

    def fit(self, message_id: str) -> str:
        """The id that a message of another generation takes here: its own, unless there is no such shard."""
        return message_id if ids.shard_of(message_id) in self.shard_numbers else ids.in_shard(message_id, 0)

    def called(self, message_id: str) -> list[str]:
        """The ids under which the message may be here, now or when the janitor has moved it here."""
        return list(dict.fromkeys((message_id, self.fit(message_id))))

    def headers(self) -> dict[str, str]:
        """The sysmeta headers that store the record. Raises TooLarge if the attributes do not fit."""
        return (self.generation_headers() | self.attribute_headers() | self.shard_headers()
                | self.placement.headers())

    def shard_headers(self, before: int = 1) -> dict[str, str]:
        """Those for more shards than ``before``. The number before may go, since a larger one comes with that."""
        return {f'{SHARDS}{number}': value for number, value in ((before, ''), (self.shards, 'y')) if number > 1}

    def ephemeral_headers(self) -> dict[str, str]:
        """Those that say in which policy the ephemeral messages are, if there is a shard for them."""
        return {EPHEMERAL: '' if self.ephemeral is None else str(self.ephemeral), WRITTEN: f'{self.written_at:.5f}'}

    def generation_headers(self) -> dict[str, str]:
        """Those for a purge. Swift keeps the later of each header, so a purge and a change of attributes can meet."""
        value = {'generation': self.generation, 'purged_at': self.purged_at}
        if self.created_at:
            value['created_at'] = self.created_at
        return {GENERATION: to_json(value).decode('ascii'), WRITTEN: f'{self.written_at:.5f}'}

    def moving_headers(self) -> dict[str, str]:
        """Those for a change of the hint."""
        return {MOVING: self.moving, WRITTEN: f'{self.written_at:.5f}'}

    def attribute_headers(self) -> dict[str, str]:
        """Those for a change of attributes."""
        text = encode_text(zlib.compress(to_json(self.attributes)))
        lines = [text[start:start + _LINE] for start in range(0, len(text), _LINE)]
        if len(lines) > _LINES:
            raise TooLarge(f'Queue metadata is larger than {_LINES * _LINE} bytes after compression.')
        lines += [''] * (_LINES - len(lines))  # an empty value removes what an earlier, longer record left
        return {WRITTEN: f'{self.written_at:.5f}',
                **{f'{ATTRIBUTES}{number}': line for number, line in enumerate(lines)}}


def parse_record(headers: dict[str, str]) -> Record | None:
    """The record from a container's response headers (names in lower case); None if there is none any more."""
    generation = headers.get(GENERATION.lower())
    if not generation or headers.get(IDLE.lower()):
        return None
    value = json.loads(generation)
    text = ''.join(headers.get(f'{ATTRIBUTES}{number}'.lower(), '') for number in range(_LINES))
    return Record(generation=value['generation'], purged_at=value['purged_at'],
                  written_at=float(headers[WRITTEN.lower()]),
                  attributes=json.loads(zlib.decompress(decode_text(text))),
                  shards=max((number for number in range(1, ids.SHARDS + 1)
                              if headers.get(f'{SHARDS}{number}'.lower())), default=1),
                  created_at=value.get('created_at', 0), moving=headers.get(MOVING.lower(), ''),
                  subscribed_at=float(headers.get(SUBSCRIBED.lower()) or 0),
                  placement=Placement(**json.loads(headers.get(PLACEMENT.lower()) or '{}')),
                  ephemeral=int(headers[EPHEMERAL.lower()]) if headers.get(EPHEMERAL.lower()) else None,
                  used_at=float(headers.get('x-backend-put-timestamp') or 0))


# -- subscriptions and what is posted for them -----------------------------------------------------

def write_subscription(subscription: Subscription) -> bytes:
    return to_json({field.name: getattr(subscription, field.name) for field in fields(subscription)})


def parse_subscription(value: dict[str, Any]) -> Subscription:
    """From its object's content or row; keys that a later version adds are passed over."""
    return Subscription(**{field.name: value[field.name] for field in fields(Subscription) if field.name in value})


@dataclass(frozen=True)
class Post:
    """Messages that are yet to be brought to subscribers; ``to`` are the ids of those that are left, None for all."""

    messages: tuple[tuple[str, Envelope], ...]
    to: tuple[str, ...] | None = None

    @property
    def expires_at(self) -> float:
        return max(envelope.expires_at for _, envelope in self.messages)

    def content(self) -> bytes:
        return to_json({'messages': [[message_id, envelope._json()] for message_id, envelope in self.messages],
                        'to': self.to})


def parse_post(value: dict[str, Any]) -> Post:
    """From its object's content or row."""
    return Post(tuple((message_id, parse_envelope(envelope)) for message_id, envelope in value['messages']),
                None if value['to'] is None else tuple(value['to']))


def row_of(content: bytes, etag: str, limit: int) -> dict[str, str]:
    """The header for a row with all of the content; none if that would take more than ``limit`` bytes."""
    row = encode_row(etag, json.loads(content))
    return {ROW: row} if len(row) <= limit else {}
