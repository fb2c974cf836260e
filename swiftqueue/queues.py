"""Accounts and queues: what exists, with which attributes, in which generation.

A queue exists while its record container does. Its messages live in the containers of one *generation*; purging or
re-creating the queue names a new one, and the old containers are the janitor's.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import eventlet
from eventlet.semaphore import Semaphore

from swiftqueue import accounts, ephemeral, idle, policies
from swiftqueue import attributes as queue_attributes
from swiftqueue.attributes import EPHEMERAL, FIFO, FLAVOR, SHARDS
from swiftqueue.claims import Claims
from swiftqueue.errors import Forbidden, Invalid, QueueError, QueueNotFound, Unavailable
from swiftqueue.flavors import Definition, Flavors
from swiftqueue.head import KNOWN_SECONDS, Head, Source, look_back
from swiftqueue.ids import Ids
from swiftqueue.limits import Options, check_integer, check_queue_name, check_size
from swiftqueue.locality import Claimer, nearness
from swiftqueue.majorities import Majorities
from swiftqueue.messages import Messages
from swiftqueue.model import Page, QueueInfo, Stats
from swiftqueue.move_tasks import MoveTasks
from swiftqueue.named import NamedMessages
from swiftqueue.names import (
    ENDED,
    IDLE,
    SUBSCRIBED,
    TOPIC,
    WEBHOOK,
    Placement,
    Record,
    messages_container,
    parse_container,
    parse_record,
    published_container,
    queue_container,
    to_json,
)
from swiftqueue.object_servers import Replicas
from swiftqueue.pages import Pages
from swiftqueue.receipts import sign
from swiftqueue.shards import Shards
from swiftqueue.single_claims import SingleClaims
from swiftqueue.subscriptions import Subscriptions
from swiftqueue.swift import LISTING_LIMIT, TICK, GenerationGone, Swift
from swiftqueue.waiting import Waiting

RECORD_SECONDS = 2  # how long a worker may act on a record it has read
_EARLY = 0.2  # seconds before that, when one request reads it anew
EPOCH_SECONDS = 0.1  # how long without asking whether it has changed; so who changes it answers no sooner
_CACHED_QUEUES = 10000
_INFO_SECONDS = 2  # Swift itself keeps them for sixty
_PAGES = 10  # of names that are looked through for one page of queues
_LOOKS, _AGAIN = 40, 0.05  # at a queue that somebody else is creating, and the seconds in between
_LATER = 0.2  # seconds, for work that a request is not to wait for
_FILTERED = 100  # queues on one of them, where every record has to be read

READ, WRITE, OWNER = 'read', 'write', 'owner'
_METHODS = {READ: 'GET', WRITE: 'PUT', OWNER: 'PUT'}

Result = TypeVar('Result')


class Engine:
    """What one proxy process knows and all its requests share. Time and chance come in from outside."""

    def __init__(self, options: Options, key: bytes, *, encrypted: bool = False,
                 clock: Callable[[], float] = time.time,
                 monotonic: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = eventlet.sleep,
                 random_bits: Callable[[int], int] = secrets.randbits,
                 token_bytes: Callable[[int], bytes] = secrets.token_bytes,
                 primaries: Callable[..., Replicas | None] | None = None, majorities: Majorities | None = None,
                 locate: Callable[[int, str, str, str], Collection[tuple[int, int]]] | None = None,
                 statistics: Callable[[str, int], Any] = lambda name, number: None):
        self.options = options
        self.key = key  # signs receipts
        self.encrypted = encrypted  # objects are encrypted below us, so rows must not show bodies
        self.clock = clock
        self.monotonic = monotonic
        self.token_bytes = token_bytes
        self.random_bits = random_bits
        self.primaries = primaries
        self.majorities = majorities
        self.locate = locate  # see object_servers.Whereabouts
        self.statistics = statistics  # adds to a counter
        self.ids = Ids(clock, random_bits)
        self.sleep = sleep
        self.waiting = Waiting(self)
        self.pages = Pages(options.head_seconds, monotonic)
        self.records: OrderedDict[tuple[str, str], _CachedRecord] = OrderedDict()
        self.reading: WeakValueDictionary[tuple[str, str], Semaphore] = WeakValueDictionary()
        self.heads: OrderedDict[tuple[str, str, str], Head] = OrderedDict()
        self.movers: set[tuple[str, str]] = set()  # queues whose messages this process moves
        self.moves_looked_at: dict[tuple[str, str], float] = {}  # when this process looked at others' work
        self.definitions: dict[tuple[str, str], tuple[Definition, float]] = {}  # see flavors.Definitions.recent
        self._infos: dict[str, Any] = {}
        self._infos_since = -math.inf  # on the monotonic clock

    def infocache(self) -> dict[str, Any]:
        """What Swift has learned of accounts and containers in sub-requests of the last seconds."""
        now = self.monotonic()
        if now - self._infos_since >= _INFO_SECONDS:
            self._infos, self._infos_since = {}, now
        return self._infos

    def account(self, app: Callable, environ: dict[str, Any], name: str, logger: logging.Logger,
                given_up: Callable[[], bool] = lambda: False, claimer: Claimer | None = None) -> Account:
        """The account of that name, on behalf of the request of ``environ``; ``app`` is the rest of the pipeline."""
        swift = Swift(app, environ, name, logger=logger, clock=self.clock, at_once=self.options.subrequests,
                      infocache=self.infocache(), primaries=self.primaries, majorities=self.majorities)
        return Account(self, swift, given_up, claimer)

    @property
    def inline_limit(self) -> int:
        """Bytes of a row that carries a body. With encryption none does: a container database is not encrypted."""
        return 0 if self.encrypted else self.options.inline_limit


@dataclass
class _CachedRecord:
    record: Record
    read_at: float  # on the monotonic clock
    epoch: str | None
    epoch_at: float  # when that was the queue's, on the monotonic clock


class Account:
    """The queues of one account, on behalf of one request.

    ``given_up`` says whether nobody is there any more to hear the answer of a request that waits. ``claimer`` is who
    asks for messages, if it is known where he is.
    """

    def __init__(self, engine: Engine, swift: Swift, given_up: Callable[[], bool] = lambda: False,
                 claimer: Claimer | None = None):
        self.engine = engine
        self.swift = swift
        self.given_up = given_up
        self.claimer = claimer

    def detached(self) -> Account:
        """The same account, for work that goes on when the request is over."""
        return self.engine.account(self.swift.app, self.swift.inherited, self.swift.account, self.swift.logger)

    def other(self, name: str) -> Account:
        """Another account, on behalf of the same request."""
        return self.engine.account(self.swift.app, self.swift.environ, name, self.swift.logger, self.given_up,
                                   self.claimer)

    def queue(self, name: str) -> Queue:
        """The queue of that name, whether it exists or not. Raises Invalid for a name that none can have."""
        return Queue(self, check_queue_name(name))

    def topic(self, name: str) -> Queue:
        """The topic of that name: a queue beside the queues. Raises as :meth:`queue`."""
        return Queue(self, TOPIC + check_queue_name(name))

    def webhook(self, subscription_id: str) -> Queue:
        """The queue of what is yet to be sent to a webhook: nobody's but the notifier's."""
        return Queue(self, WEBHOOK + subscription_id)

    def queues(self, marker: str = '', limit: int | None = None, *, detailed: bool = False,
               name: str = '', metadata: dict[str, str] | None = None, prefix: str = '',
               most: int | None = None, topics: bool = False) -> Page:
        """A page of queues, or topics, in order of names, after ``marker``; ``most`` is the most ``limit`` may be.

        ``name`` keeps those whose name contains it, ``prefix`` those whose name begins with it, ``metadata`` those
        whose attributes have these values (compared as text). A page that is cut short, because few of many queues
        are of that kind, has a marker too. Raises Invalid, Unauthorized, Forbidden, Unavailable.
        """
        self.swift.authorize('GET', '')
        most = self.engine.options.max_queues_per_page if most is None else most
        limit = min(10, most) if limit is None else check_integer('limit', limit, 1, most)
        found: list[QueueInfo] = []
        step = _FILTERED if metadata else 10 * _FILTERED if name else limit
        for _ in range(_PAGES):
            names = self._names(marker, step, prefix, topics)
            if not names:
                return Page(found)
            marker = names[-1]
            kept = [each for each in names if name in each]
            infos = [QueueInfo(each, {}) for each in kept]
            if detailed or metadata:
                infos = [info for info in self.swift.at_most(partial(self._info, topics), kept) if info]
            found += [info for info in infos if all(
                _as_text(info.attributes.get(key)) == value for key, value in (metadata or {}).items())]
            if len(found) >= limit:
                return Page(found[:limit], found[limit - 1].name)
        return Page(found, marker)

    def count(self, *, topics: bool = False) -> int:
        """How many queues, or topics, there are. Raises Unauthorized, Forbidden, Unavailable."""
        self.swift.authorize('GET', '')
        total, marker = 0, ''
        while names := self._names(marker, 10000, topics=topics):
            total, marker = total + len(names), names[-1]
        return total

    def _names(self, marker: str, limit: int, prefix: str = '', topics: bool = False) -> list[str]:
        kind = TOPIC if topics else ''
        rows = self.swift.listing(prefix=queue_container(kind + prefix), limit=limit,
                                  marker=queue_container(kind + marker) if marker else '')
        return [parsed[1].removeprefix(kind) for row in rows if (parsed := parse_container(row['name']))]

    def _info(self, topics: bool, name: str) -> QueueInfo | None:
        queue = (self.topic if topics else self.queue)(name)
        record = queue.read_record()
        return record and QueueInfo(name, queue.shown(record))


class Queue:
    """One queue, on behalf of one request. Its messages and claims hang on it."""

    def __init__(self, account: Account, name: str):
        self.account = account
        self.engine = account.engine
        self.swift = account.swift
        self.name = name
        self.key = (self.swift.account, name)
        self._deleted_at = 0.0  # of the last queue of this name, as far as Swift remembers
        self._marked_at = 0.0  # as of when the janitor gave it up, if it is still there
        self.messages = Messages(self)
        self.claims = Claims(self)
        self.single_claims = SingleClaims(self)
        self.named = NamedMessages(self)
        self.move_tasks = MoveTasks(self)
        self.subscriptions = Subscriptions(self)

    # -- rights --

    def allow(self, right: str) -> None:
        """Raises Unauthorized or Forbidden unless the account or the queue's ACL grants the right."""
        try:
            self.swift.authorize(_METHODS[right], self.name)
        except QueueError:
            acl = None
            if right != OWNER:
                try:
                    acl = self.record().attributes.get(f'_{right}_acl')
                except QueueNotFound:
                    pass  # who may not see the account does not learn what is in it
            if not acl:
                raise
            self.swift.authorize(_METHODS[right], self.name, acl)

    # -- the record --

    def read_record(self) -> Record | None:
        """The record as Swift has it now; None if there is no such queue."""
        engine = self.engine
        epoch_at, epoch = engine.monotonic(), self._epoch()
        read_at = engine.monotonic()
        response = self.swift.head_container(queue_container(self.name))
        record = parse_record(response.headers) if response.status == 204 else None
        if record and record.subscribed_at < _subscribed_at(epoch):  # by a replica that has missed it
            record = replace(record, subscribed_at=_subscribed_at(epoch))
        self._deleted_at = response.deleted_at
        self._marked_at = idle.marked_at(response.headers)
        if record is None:
            engine.records.pop(self.key, None)
        else:
            engine.records[self.key] = _CachedRecord(record, read_at, epoch, epoch_at)
            while len(engine.records) > _CACHED_QUEUES:
                engine.records.popitem(last=False)
            if record.moving:
                self.move_tasks.notice()
        return record

    def record(self, seconds: float = RECORD_SECONDS) -> Record:
        """The record, at most that old. Raises QueueNotFound, Unavailable.

        One of many requests reads it for all. It does so before it has to, and the others go on meanwhile; else all of
        them would wait every time.
        """
        record = self.recent_record(seconds)
        if record and not self._is_older(seconds - _EARLY):
            return record
        reading = self.engine.reading.setdefault(self.key, Semaphore())
        if record is None or not reading.locked():
            with reading:
                try:
                    record = self.recent_record(seconds - _EARLY) or self.read_record()
                except Unavailable:
                    record = self.recent_record(seconds)
                    if record is None:
                        raise
        if record is None:
            raise QueueNotFound(f'There is no queue {self.name}.')
        return record

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO queue. Raises QueueNotFound, Unavailable."""
        return self.record().fifo

    def recent_record(self, seconds: float = RECORD_SECONDS) -> Record | None:
        """The record if this worker has read it within so many seconds and it has not changed since."""
        if self._is_older(seconds):
            return None
        cached, now = self.engine.records[self.key], self.engine.monotonic()
        if now - cached.epoch_at >= EPOCH_SECONDS:
            if cached.epoch != self._epoch():
                return None
            cached.epoch_at = now
        return cached.record

    def _is_older(self, seconds: float) -> bool:
        cached = self.engine.records.get(self.key)
        return cached is None or self.engine.monotonic() - cached.read_at >= seconds

    def _epoch(self) -> str | None:
        """Changes with the record, where memcached carries the news between proxies; see :func:`_subscribed_at`."""
        return self.swift.cache.epoch(self.name)

    def _changed(self, subscribed_at: float = 0, *, known: bool = True) -> None:
        """Have all proxies read the record anew: those that share a memcached do when this returns.

        ``known``: some may have read it, or that of a queue of the same name, before.
        """
        self.engine.records.pop(self.key, None)
        told = self.swift.cache.set_epoch(self.name, f'{self.engine.token_bytes(8).hex()} {subscribed_at:.5f}')
        if told and known:
            self.engine.sleep(1.5 * EPOCH_SECONDS)  # more, as clocks do not go at quite the same pace

    def with_generation(self, work: Callable[[Record], Result], seconds: float = RECORD_SECONDS,
                        record: Record | None = None) -> Result:
        """``work`` on this record or the current one, at most that old, and once more if it was out of date.

        If it was not, the generation may lack some shards, because the queue was purged while it grew; then once more
        with these.
        """
        record = idle.use(self, record or self.record(seconds))
        try:
            return work(record)
        except GenerationGone:
            self.engine.records.pop(self.key, None)
        try:
            current = self.record()
            return work(current)
        except GenerationGone:
            pass
        try:
            self._complete(current)
            return work(current)
        except GenerationGone:
            raise Unavailable('The queue is being changed.') from None

    def _complete(self, record: Record) -> None:
        """Make the containers of the record that are not there, if others are. Raises Unavailable.

        What the account lists is there, whatever a container server says while others are down: a new container in its
        place would be an empty one. And where none is, the record is out of date. Raises GenerationGone then.
        """
        containers = self.shards(record).containers()
        listed = {name for prefix in {container.rpartition('\x00')[0] for container in containers}
                  for name in self._containers(prefix)}
        missing = [container for container in containers if container not in listed]
        if not missing or len(missing) == len(containers):
            raise GenerationGone(record.generation)
        self._put_containers(record, missing)

    def _containers(self, prefix: str) -> list[str]:
        """Those that the account lists. Raises Unavailable."""
        return [row['name'] for rows in self.swift.pages(prefix=prefix, limit=LISTING_LIMIT) for row in rows]

    # -- verbs --

    def create(self, attributes: dict[str, Any] | None = None) -> bool:
        """Whether the queue is new; one that exists is left as it is.

        Raises Invalid, TooLarge, QuotaExceeded, Unauthorized, Forbidden, Unavailable.
        """
        self.allow(OWNER)
        return self.ensure(attributes or {})

    def ensure(self, attributes: dict[str, Any], placement: Placement | None = None) -> bool:
        """:meth:`create` for the engine's own need of a queue, such as a dead-letter queue.

        It is put where ``placement`` says, unless a flavor says where.
        """
        options, shards = self.engine.options, None
        self._check(attributes, options)
        if name := attributes.get(FLAVOR):
            flavor, placement = Flavors(self.engine, self.swift).place(name)
            options, shards = options.within(flavor.limits), flavor.shards
            attributes = {EPHEMERAL: True, **attributes} if flavor.ephemeral else attributes
            self._check(attributes, options)
        if self.read_record():
            return False
        # Two who create it at once would each begin a generation, and what is posted to one of them be late.
        gate = queue_container(self.name), f'create {self._deleted_at}'
        if self.swift.cache.enter_gate(*gate, self.engine.options.gate_seconds) is False and self._await_record():
            return False
        try:
            return self._create(dict(attributes), options, shards, placement or Placement())
        except QueueError:
            self.swift.cache.open_gate(*gate)
            raise

    def _await_record(self) -> bool:
        """Whether somebody else has created the queue; not if he takes long over it."""
        for _ in range(_LOOKS):
            if self.read_record():
                return True
            self.engine.sleep(_AGAIN)
        return False

    def _create(self, attributes: dict[str, Any], options: Options, shards: int | None, placement: Placement) -> bool:
        now = max(self.engine.clock(), self._deleted_at + TICK, self._marked_at + TICK)
        shards = attributes.pop(SHARDS, None) or (1 if attributes.get(FIFO) else shards or options.default_shards)
        record = Record(self._new_generation(), 0, now, attributes, shards, placement=placement)
        headers = record.headers()  # may be too large: then nothing is stored
        self._begin(record)
        self._list_if_shared(attributes)
        if self._marked_at:
            self.swift.delete_container(queue_container(self.name), self._marked_at)
        new = self.swift.put_container(queue_container(self.name), headers, now)
        self._changed(known=bool(self._deleted_at or self._marked_at or not new))
        return new

    def attributes(self) -> dict[str, Any]:
        """All attributes, defaults filled in. Raises QueueNotFound, Unauthorized, Forbidden, Unavailable."""
        self.allow(READ)
        record = self.read_record()
        if record is None:
            raise QueueNotFound(f'There is no queue {self.name}.')
        return self.shown(record)

    def describe(self) -> QueueInfo:
        """:meth:`attributes`, and when the queue was created, changed and purged. Raises the same."""
        self.allow(READ)
        record = self.read_record()
        if record is None:
            raise QueueNotFound(f'There is no queue {self.name}.')
        return QueueInfo(self.name, self.shown(record), record.created_at or record.begun_at,
                         record.written_at, record.purged_at)

    def configure(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Store what ``change`` makes of the attributes (those set, without defaults).

        Two changes at once: the later one stands, but a queue never gets fewer shards. Returns and raises as
        :meth:`attributes`, and Invalid.
        """
        self.allow(OWNER)
        record = self.read_record()
        if record is None:
            raise QueueNotFound(f'There is no queue {self.name}.')
        reserved = queue_attributes.defaults(self.engine.options)
        attributes = {name: value for name, value in change(record.attributes | {SHARDS: record.shards}).items()
                      if value is not None or name not in reserved}
        if attributes.get(FLAVOR) != record.attributes.get(FLAVOR):
            raise Invalid('The flavor of a queue is settled when it is created.')
        shards = self._check_growth(record, attributes.pop(SHARDS, None))
        if bool(attributes.get(FIFO)) != record.fifo:
            raise Invalid('Whether a queue is a FIFO queue cannot be changed.')
        self._check(attributes, self.options(record))
        changed = replace(record, attributes=attributes, shards=shards, written_at=self._after(record))
        headers = changed.attribute_headers()
        self._list_if_shared(attributes)
        if shards > record.shards:
            changed = self.placed(changed)
            self._begin(changed, record)
            headers |= changed.shard_headers(record.shards) | changed.placement.headers()
        self.write_headers(headers, changed.written_at)
        return self.shown(changed)

    def _list_if_shared(self, attributes: dict[str, Any]) -> None:
        """Others may know the account by its number alone. Raises Unavailable."""
        if any(attributes.get(f'_{right}_acl') for right in (READ, WRITE)):
            accounts.add(self.swift)

    def _check_growth(self, record: Record, shards: Any) -> int:
        """How many shards the queue is to have; as many as now for None. Raises Invalid."""
        if shards is None:
            return record.shards
        check_integer(SHARDS, shards, 1, 1 if record.fifo else max(record.shards, self.options(record).max_shards))
        if shards < record.shards:
            raise Invalid(f'The queue has {record.shards} shards already, and can only get more.')
        return shards

    def stats(self) -> Stats:
        """Counts, exact as far as listings are. Raises QueueNotFound, Unauthorized, Forbidden, Unavailable."""
        self.allow(READ)
        return self.messages.stats()

    def purge(self) -> None:
        """Drop every message and claim there is now. Raises QueueNotFound and the usual."""
        self.allow(OWNER)
        record = self.read_record()
        if record is None:
            raise QueueNotFound(f'There is no queue {self.name}.')
        fresh = self.placed(replace(
            record, generation=self._new_generation(), purged_at=self.engine.clock(),
            written_at=self._after(record), created_at=record.created_at or record.begun_at,
            ephemeral=ephemeral.policy_of(record)))
        self._begin(fresh)
        self.write_headers(fresh.generation_headers() | fresh.placement.headers() | fresh.ephemeral_headers(),
                           fresh.written_at)
        self.ring()

    def delete(self) -> None:
        """Delete the queue and all in it; none of that name is fine too.

        The messages containers are marked before the record goes, because the janitor removes nothing for
        want of a record: a replica that lost the record must not cost the messages.
        """
        self.allow(OWNER)
        record = self.read_record()
        if record is not None:
            ended = {ENDED: f'{self.engine.clock():.5f}'}
            # The account's listing may be late, so the record's own generation does not depend on it.
            containers = {messages_container(self.name, record.generation, shard) for shard in record.shard_numbers}
            containers |= set(self._containers(messages_container(self.name)))
            if record.subscribed_at:
                containers.add(published_container(self.name, record.born))
            self.swift.at_most(lambda container: self.swift.post_container(container, ended), sorted(containers))
            if not self.swift.delete_container(queue_container(self.name), self._after(record)):
                raise Unavailable('The queue was changed while it was deleted.')
            self._changed()
        elif self._marked_at:
            self.swift.delete_container(queue_container(self.name), self._marked_at)

    def head(self, record: Record) -> Head:
        """What this worker knows of the queue's oldest messages."""
        heads, key, now = self.engine.heads, (*self.key, record.generation), self.engine.monotonic()
        kept = KNOWN_SECONDS + self.engine.options.locality_patience  # who is passed over has a turn, however few come
        while heads and now - next(iter(heads.values())).used_at > kept:
            heads.popitem(last=False)
        head = heads.setdefault(key, Head())
        head.used_at = now
        heads.move_to_end(key)
        return head

    def source(self, record: Record, **options: Any) -> Source:
        """Where the queue's pages come from; ``options`` are more fields of the source."""
        engine = self.engine
        return Source(self.shards(record), engine.options.head_seconds, engine.options.gate_seconds,
                      lambda: self.swift.cache.bell(self.name), engine.clock, engine.monotonic,
                      queue_delay=record.attributes.get('_default_message_delay') or 0,
                      read=lambda message_id: self.messages.read(record, message_id, newest=True),
                      near=nearness(self, record) if engine.options.locality_patience else None,
                      patience=engine.options.locality_patience,
                      look_back=lambda head: eventlet.spawn_n(self.detached()._look_back, record, head),
                      start=lambda: self.swift.cache.start(self.name, record.generation),
                      tell_start=lambda message_id: self.swift.cache.set_start(
                          self.name, record.generation, message_id),
                      **options)

    def _look_back(self, record: Record, head: Head) -> None:
        """In a green thread of its own, when the claim that set it off is answered."""
        self.engine.sleep(_LATER)
        try:
            look_back(head, self.source(record))
        except GenerationGone:
            pass  # and the head with it
        except QueueError as error:
            self.swift.logger.warning('swiftqueue: the head of %s cannot be listed: %s', self.name, error)

    def shards(self, record: Record) -> Shards:
        """The containers of the record's generation."""
        return Shards(self.swift, self.name, record.generation, record.shard_numbers, record.fifo)

    def placed(self, record: Record) -> Record:
        """The record with a placement for new containers: its own, while the policies in it take any.

        Else what its flavor says today. Raises Invalid if that says nothing, Unavailable.
        """
        place = record.placement
        if all(each is None or policies.name_of(each) is not None for each in (place.messages, place.claims)):
            return record
        name = record.attributes.get(FLAVOR)
        if not name:
            raise Invalid('The storage policy of this queue is deprecated, and the queue has no flavor to say another.')
        _, today = Flavors(self.engine, self.swift).place(name)
        return replace(record, placement=replace(today, limits=place.limits))

    def options(self, record: Record) -> Options:
        """The operator's choices for this queue."""
        return self.engine.options.within(record.placement.limits)

    def ring(self) -> None:
        """Tell whoever looks for messages of this queue, or waits for them, to look again."""
        cached = self.engine.records.get(self.key)
        if cached:
            self.head(cached.record).ring()
        self.swift.cache.ring_bell(self.name, self.engine.token_bytes(8).hex())
        self.engine.waiting.ring(self.key)

    def sign(self, core: str) -> str:
        """The claim id to give out for a stored claim."""
        return sign(self.engine.key, *self.key, core)

    # -- inside --

    def _new_generation(self) -> str:
        return f'{int(self.engine.clock() * 1000):011x}-{self.engine.token_bytes(4).hex()}'

    def _begin(self, record: Record, before: Record | None = None) -> None:
        """The generation's containers but those of the record before, before the record says that they exist."""
        there = self.shards(before).containers() if before else ()
        self._put_containers(record, [each for each in self.shards(record).containers() if each not in there])

    def _put_containers(self, record: Record, containers: list[str]) -> None:
        self.swift.at_most(lambda container: self.swift.put_container(
            container, policy=record.policy(container)), containers)

    def _after(self, record: Record) -> float:
        """An instant that Swift takes for later than the record, also if a faster clock wrote it."""
        return max(self.engine.clock(), record.written_at + TICK, record.used_at + TICK)

    def detached(self) -> Queue:
        """The same queue, for work that goes on when the request is over."""
        return Queue(self.account.detached(), self.name)

    def hint_at_move(self, task_id: str) -> None:
        """Have the record say that there is that move task, or none for ''. Raises QueueNotFound, Unavailable."""
        record = self.read_record()
        if record is None:
            raise QueueNotFound(f'There is no queue {self.name}.')
        hinted = replace(record, moving=task_id, written_at=self._after(record))
        self.write_headers(hinted.moving_headers(), hinted.written_at)

    def make_place(self, policy: int) -> Record | None:
        """The record with a shard for ephemeral messages, in that storage policy if there was none.

        None if there is no such queue. Raises QueueNotFound, QuotaExceeded, Unavailable.
        """
        record = self.read_record()
        if record is None or record.ephemeral is not None:
            return record
        placed = replace(record, ephemeral=policy, written_at=self._after(record))
        self._begin(placed, record)
        self.write_headers(placed.ephemeral_headers(), placed.written_at)
        return placed

    def write_headers(self, headers: dict[str, str], timestamp: float) -> None:
        """Change the record, which is a use of the queue. Raises QueueNotFound, Unavailable."""
        if not self.swift.post_container(queue_container(self.name), {IDLE: ''} | headers, timestamp):
            raise QueueNotFound(f'There is no queue {self.name}.')
        subscribed_at = _subscribed_at(self._epoch())
        if SUBSCRIBED in headers and timestamp > subscribed_at:
            subscribed_at = float(headers[SUBSCRIBED] or 0)
        self._changed(subscribed_at)

    def _check(self, attributes: dict[str, Any], options: Options) -> None:
        if not isinstance(attributes, dict):
            raise Invalid('Queue metadata must be an object.')
        check_size('Queue metadata', len(to_json(attributes)), options.max_queue_metadata)
        queue_attributes.check(attributes, self.name, options, encrypted=self.engine.encrypted)
        if attributes.get(FIFO) and self.name.startswith(TOPIC):
            raise Invalid('A topic keeps no order.')
        if attributes.get(FIFO) and not self.engine.majorities:
            raise Invalid('There are no FIFO queues here: this process cannot ask container servers.')
        for right in ('read', 'write'):
            self.swift.check_acl(right, attributes.get(f'_{right}_acl'))

    def shown(self, record: Record) -> dict[str, Any]:
        """The attributes as the caller may see them: only who may change a queue sees who else may use it."""
        shown = queue_attributes.effective(record.attributes, self.options(record), record.shards)
        try:
            self.swift.authorize('PUT', self.name)
        except Forbidden:
            shown = {name: value for name, value in shown.items() if name not in ('_read_acl', '_write_acl')}
        return shown


def _subscribed_at(epoch: str | None) -> float:
    """What the epoch tells of the record: a post must not pass over subscribers because one replica has missed them."""
    return float((epoch or '').partition(' ')[2] or 0)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode('ascii')
