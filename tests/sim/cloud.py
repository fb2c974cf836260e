"""The cloud of a simulation: proxy processes with the real filter, over one Swift and one memcached of models.

Whatever a process asks of them is a step that takes time, so that others run in between, and may go wrong.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from io import BytesIO
from math import log
from typing import Any
from zlib import crc32

import eventlet
from eventlet import greenpool
from janitors import ModelReplicas
from model_swift import Direct, ModelCache, ModelMajorities, ModelPrimaries, ModelSwift
from swift.common.exceptions import MemcacheConnectionError

from swiftqueue.errors import Unavailable
from swiftqueue.janitor import Janitor, queues_of
from swiftqueue.limits import Options
from swiftqueue.locality import Claimer
from swiftqueue.middleware.queue import QueueFilter
from swiftqueue.model import Place, Subscription
from swiftqueue.notifier import Notifier
from swiftqueue.object_servers import Replicas
from swiftqueue.queues import Account, Engine, Queue
from swiftqueue.swift import Swift

from .hub import Hub
from .profiles import CALM, Profile

ACCOUNT = 'AUTH_test'
KEY = b'a key that every proxy of the cloud knows'
OPTIONS = Options(min_message_ttl=1, min_claim_ttl=1, min_claim_grace=0, confirm_webhooks=False)
PLACES = None, Place(1, 1), Place(1, 2)  # where a process and its clients are, if anybody knows
AT_ALL = 0.5  # chance that a step takes any time; it is cheaper if it does not
JANITOR_DIES = 0.1  # chance that a pass of the janitor does not come to its end
greenpool.DEBUG = False  # or each green thread of a dead process says so on the terminal
LONGEST_READ, SHORT_READ = 25, 5  # seconds, with servers that come late and without
FREEZE = 0.001  # a frozen process that goes on at the very instant when it is to


def locate(policy: int, account: str, container: str, name: str) -> list[tuple[int, int]]:
    """One of three zones: as if there were no replicas elsewhere."""
    return [(1, 1 + crc32(name.encode()) % 3)]


class Crashed(BaseException):
    """The process is no more. No handler of the code under test may catch this."""


class Errors(logging.Handler):
    """Collects what the code under test logs as an error: nothing that happens here should be one to it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


class Cloud:
    """Everything behind the clients' requests. ``profile`` may be changed at any time."""

    def __init__(self, hub: Hub, seed: object, profile: Profile, processes: int, trace: Callable[..., None]):
        self.hub = hub
        self.profile = profile
        self.trace = trace
        self.chance = random.Random(f'{seed} cloud')
        self.places = random.Random(f'{seed} places')
        self.swift = ModelSwift(clock=lambda: hub.now, seed=self.chance.getrandbits(32))
        self.swift.lag_chance, self.swift.lag_seconds = profile.lag, profile.lag_seconds
        self.caches = [ModelCache(clock=lambda: hub.now) for _ in range(2)]  # the second one for those cut off
        self.errors = Errors()
        self.logger = logging.Logger('swiftqueue')
        self.logger.addHandler(self.errors)
        self.janitors = 0
        self.missed, self.missed_until = 0, 0.0  # the replica that last left reads without an answer
        self.hushed = False  # whether one is to do so alone
        skews = [0, *(self.chance.choice(profile.skews) for _ in range(processes - 1))]
        self.processes = [Process(self, f'proxy {number}', skew) for number, skew in enumerate(skews)]

    def restart(self, process: Process) -> None:
        """Kill the process and start another one in its place."""
        process.alive = False
        self.processes[self.processes.index(process)] = Process(self, process.name, process.skew)

    def may_miss(self, replica: int) -> bool:
        """Whether that replica may leave any read without an answer. One of them may, for a minute each.

        If two of three do not answer one read, the third one's word stands for all. So no other one may as long as a
        read may be under way that this one has not answered.
        """
        if self.hushed or int(self.hub.now / 60) % self.swift.replicas != replica or self._others_wait(replica):
            return False
        self._note_missed(replica)
        return True

    def silence(self, silent: set[int], replica: int, seconds: float) -> None:
        """Have that replica answer nothing for so long, once nobody waits for another one."""
        self.hushed = True
        while self._others_wait(replica):
            self.hub.pause(self.missed_until - self.hub.now)
        silent.add(replica)
        self.hub.pause(seconds)
        silent.discard(replica)
        self._note_missed(replica)
        self.hushed = False

    def _others_wait(self, replica: int) -> bool:
        return replica != self.missed and self.hub.now < self.missed_until

    def _note_missed(self, replica: int) -> None:
        self.missed, self.missed_until = replica, self.hub.now + (LONGEST_READ if self.profile.late else SHORT_READ)

    def calm(self) -> None:
        """Let nothing go wrong any more. What has gone wrong is repaired by :meth:`repair`."""
        self.profile = CALM
        self.swift.heal()
        self.swift.lag_chance = 0
        for process in self.processes:
            process.cache, process.frozen_until, process.shunned = self.caches[0], 0, set()
        for cache in self.caches:
            cache.down = False

    def repair(self) -> None:
        """What Swift's daemons do when all servers are up."""
        self.swift.deliver_rows()
        self.swift.replicate()

    def sweep(self, thorough: bool = False) -> None:
        """One pass of the janitor, which is a process of its own; unless it is thorough it may die half-way."""
        self.janitors += 1
        janitor = Process(self, f'janitor {self.janitors}', 0)
        if not thorough and self.chance.random() < JANITOR_DIES:
            eventlet.spawn_after(self.chance.uniform(0, 2), setattr, janitor, 'alive', False)

        def swift(account: str) -> Swift:
            return Swift(janitor.swift, {}, account, logger=self.logger, clock=janitor.clock,
                         primaries=janitor.engine.primaries)
        try:
            queues = queues_of(swift(ACCOUNT))
            Janitor(swift, ModelReplicas(self.swift, janitor.visit), self.logger).sweep(queues, thorough=thorough)
        except (Unavailable, Crashed):
            return


    def notifier(self, name: str, send: Callable[[Subscription, Any], None]) -> tuple[Process, Notifier]:
        """A new notifier, which is a process of its own; its look may end with the process."""
        process = Process(self, name, 0)
        process.engine.primaries = process.primaries

        def swift(account: str) -> Swift:
            return Swift(process.swift, {'swift.cache': Memcache(process)}, account, logger=self.logger,
                         clock=process.clock, infocache=process.engine.infocache(), primaries=process.primaries,
                         majorities=process.engine.majorities)
        return process, Notifier(process.engine, swift, ModelReplicas(self.swift, process.visit), send, self.logger)

    def look(self, notifier: Notifier) -> None:
        try:
            notifier.run_once()
        except (Unavailable, Crashed):
            return


class Process:
    """One proxy process: a filter, an engine and what it knows, on its own clock."""

    def __init__(self, cloud: Cloud, name: str, skew: float):
        self.cloud = cloud
        self.name = name
        self.skew = skew
        self.alive = True
        self.frozen_until = 0.0
        self.shunned: set[int] = set()  # object servers that this proxy does not ask when it reads
        self.cache = cloud.caches[0]
        chance = random.Random(cloud.chance.getrandbits(32))
        self.place = cloud.places.choice(PLACES)
        options = replace(OPTIONS, locality=self.place)
        if cloud.profile.long_bodies:
            options = replace(options, inline_limit=0)
        self.engine = Engine(options, KEY, clock=self.clock, monotonic=lambda: cloud.hub.now,
                             random_bits=chance.getrandbits, token_bytes=chance.randbytes,
                             primaries=self.primaries if chance.random() < cloud.profile.direct else None,
                             majorities=ModelMajorities(cloud.swift, self.visit), locate=locate)
        self.direct = Direct(cloud.swift, self.clock, self.visit)
        self.filter = QueueFilter(self.swift, self.engine, cloud.logger)

    def clock(self) -> float:
        return self.cloud.hub.now + self.skew

    # -- steps --

    def step(self) -> None:
        """Let time pass. Raises Crashed if the process did not live to its end."""
        cloud, profile = self.cloud, self.cloud.profile
        chance = cloud.hub.chance
        drawn = chance.random()
        if drawn < profile.slow:
            cloud.hub.pause(chance.uniform(0, profile.slow_seconds))
        elif drawn < profile.slow + AT_ALL:
            cloud.hub.pause(profile.step * -log(chance.random()))
        while cloud.hub.now < self.frozen_until:
            cloud.hub.pause(self.frozen_until - cloud.hub.now + FREEZE * chance.random())
        if not self.alive:
            raise Crashed(self.name)

    def visit(self, what: str, replica: int) -> float:
        """How late a storage server is; see `model_swift.storage.Visit`."""
        self.step()
        cloud, chance = self.cloud, self.cloud.hub.chance
        if what == 'read objects' and replica in self.shunned:
            return float('inf')
        if not cloud.profile.late or what == 'gap' or chance.random() >= cloud.profile.late:
            return 0
        if self._must_answer(what) and not cloud.may_miss(replica):
            return 0
        cloud.hub.pause(chance.choice((0.5, 10)))  # until the proxy gives up
        return chance.choice((float('inf'), chance.uniform(0, 5), chance.uniform(0, 60)))

    def _must_answer(self, what: str) -> bool:
        """Whether it is a read that a quorum of replicas has to answer, with nothing above that would make sure."""
        return what.startswith('read') and not (what == 'read objects' and self.engine.primaries)

    def fails(self, likely: float) -> bool:
        return bool(likely) and self.cloud.hub.chance.random() < likely

    def queue(self, name: str) -> Queue:
        """The queue as one request sees it that comes through no door."""
        swift = Swift(self.swift, {'swift.cache': Memcache(self)}, ACCOUNT, logger=self.cloud.logger, clock=self.clock,
                      infocache=self.engine.infocache(), primaries=self.engine.primaries,
                      majorities=self.engine.majorities)
        return Account(self.engine, swift, claimer=self.place and Claimer(self.place)).queue(name)

    # -- what the filter has to its right, and what clients call --

    def swift(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        self.step()
        answered: list[Any] = []
        refused = self.fails(self.cloud.profile.refused)
        chunks = () if refused else self.direct(environ, lambda *answer: answered.extend(answer))
        if refused or self.fails(self.cloud.profile.unanswered):
            outcome = 'refused' if refused else f'{answered[0]}, but unanswered'
            answered, chunks = ['503 ', []], [b'']
        else:
            outcome = answered[0]
        self.cloud.trace(self.name, environ['REQUEST_METHOD'], environ['PATH_INFO'], outcome,
                         environ.get('HTTP_X_TIMESTAMP', ''))
        start_response(*answered)
        return chunks

    def primaries(self, *asked: Any) -> Replicas:
        self.step()
        return ModelPrimaries(self.cloud.swift, self.visit)(*asked)

    def request(self, method: str, path: str, query: str = '', body: bytes = b'', media_type: str = 'application/json',
                ) -> tuple[int, dict[str, str], bytes]:
        """What a client hears: status, headers in lower case, body. Raises Crashed."""
        heard: list[Any] = []
        chunks = self.filter({
            'REQUEST_METHOD': method, 'PATH_INFO': f'/v2{path}', 'QUERY_STRING': query, 'SCRIPT_NAME': '',
            'SERVER_NAME': 'cloud', 'SERVER_PORT': '80', 'SERVER_PROTOCOL': 'HTTP/1.1', 'wsgi.url_scheme': 'http',
            'wsgi.input': BytesIO(body), 'CONTENT_LENGTH': str(len(body)), 'CONTENT_TYPE': media_type,
            'REMOTE_USER': 'test', 'HTTP_CLIENT_ID': '3381af92-2b9e-11e3-b191-71861300734c',
            'swift.cache': Memcache(self)}, lambda *answer: heard.extend(answer))
        return int(heard[0][:3]), {name.lower(): value for name, value in heard[1]}, b''.join(chunks)


class Memcache:
    """The process's connection to memcached, behind the interface of Swift's MemcacheRing."""

    def __init__(self, process: Process):
        self.process = process

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        process, profile = self.process, self.process.cloud.profile
        process.step()
        try:
            result = getattr(process.cache, name)(*args, **kwargs)
        except MemcacheConnectionError:
            result = MemcacheConnectionError('memcached is down')
        if name == 'incr' and process.fails(profile.forgetful):
            result = MemcacheConnectionError('the answer was lost')
        process.cloud.trace(process.name, name, args[0], result, '')
        if isinstance(result, MemcacheConnectionError):
            raise result
        return result

    def incr(self, key: str, **kwargs: Any) -> int:
        return self._call('incr', key, **kwargs)

    def get(self, key: str) -> Any:
        return self._call('get', key)

    def set(self, key: str, value: Any, **kwargs: Any) -> None:
        self._call('set', key, value, **kwargs)

    def delete(self, key: str) -> None:
        self._call('delete', key)

    def get_multi(self, keys: list[str], server_key: str) -> list[Any] | None:
        return self._call('get_multi', keys, server_key)

    def set_multi(self, mapping: dict[str, Any], server_key: str, **kwargs: Any) -> None:
        self._call('set_multi', mapping, server_key, **kwargs)
