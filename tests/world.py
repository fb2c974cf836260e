"""A small cloud for tests: an in-memory Swift, a cache, a clock, and proxies with an engine each."""

from __future__ import annotations

import logging
import random

import eventlet
from model_swift import ModelCache, ModelMajorities, ModelPrimaries, ModelSwift

from swiftqueue.limits import Options
from swiftqueue.queues import Account, Engine, Queue
from swiftqueue.swift import Swift

ACCOUNT = 'AUTH_test'
KEY = b'a key that every proxy of the cloud knows'


class World:
    """``proxies`` engines over one Swift. Everything by chance comes from ``seed``.

    ``direct``: they ask object servers themselves where they can.
    """

    def __init__(self, proxies: int = 2, seed: int = 0, cache: bool = True, direct: bool = False, **options):
        self.swift = ModelSwift(seed=seed)
        self.clock = self.swift.clock
        self.cache = ModelCache(self.clock) if cache else None
        chance = random.Random(seed)
        self.options = Options(**options)
        self.engines = [
            Engine(self.options, KEY, clock=self.clock, monotonic=self.clock, sleep=self.sleep,
                   random_bits=chance.getrandbits, token_bytes=chance.randbytes,
                   primaries=ModelPrimaries(self.swift) if direct else None, majorities=ModelMajorities(self.swift))
            for _ in range(proxies)]

    def queue(self, name: str = 'jobs', proxy: int = 0, account: str = ACCOUNT, **environ) -> Queue:
        """The queue as one request through that proxy sees it."""
        engine = self.engines[proxy]
        swift = Swift(self.swift, {'swift.cache': self.cache, **environ}, account,
                      logger=logging.getLogger('swiftqueue'), clock=engine.clock, primaries=engine.primaries,
                      majorities=engine.majorities)
        return Account(engine, swift).queue(name)

    def tick(self, seconds: float = 0.001) -> None:
        self.clock.advance(seconds)

    def sleep(self, seconds: float) -> None:
        """That time passes, and others run."""
        self.clock.advance(seconds)
        eventlet.sleep(0)
