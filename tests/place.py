"""A small cloud on simulated time, where many wait at once: see :mod:`sim.hub`."""

import logging
import logging.handlers
import random

import eventlet
from model_swift import ModelCache, ModelSwift
from sim.hub import run

from swiftqueue.limits import Options
from swiftqueue.model import NewMessage
from swiftqueue.queues import Account, Engine
from swiftqueue.swift import Swift
from swiftqueue.waiting import PAUSE, WATCH

ACCOUNT = 'AUTH_test'
STEP = 0.01  # seconds that a Swift request takes
BELL = WATCH + 0.2  # seconds within which a bell in another process is heard and answered
LOST = 3  # seconds within which what no bell told of is found


class Wait:
    """One client that waits, in a green thread of its own."""

    def __init__(self, place, ask):
        self.place = place
        self.began_at = self.ended_at = place.hub.now
        self.error = None
        self.here = True
        self.thread = eventlet.spawn(self._run, ask)

    def _run(self, ask):
        try:
            return ask()
        except Exception as error:
            self.error = error
        finally:
            self.ended_at = self.place.hub.now

    @property
    def over(self):
        return self.thread.dead

    def result(self):
        """Bodies of the messages; raises what the verb raised."""
        result = self.thread.wait()
        if self.error:
            raise self.error
        return bodies(result)


def is_claim(environ):
    """Whether a Swift request makes one."""
    return environ['REQUEST_METHOD'] == 'PUT' and '/\x00claims\x00' in environ['PATH_INFO']


def bodies(result):
    return [message.body for message in getattr(result, 'messages', getattr(result, 'items', result)) or []]


class Place:
    """Proxies over one Swift and one memcached."""

    def __init__(self, hub, proxies=2, cache=True, **options):
        def clock():
            return hub.now
        self.hub, self.clock = hub, clock
        self.swift = ModelSwift(clock=clock, seed=0)
        self.cache = ModelCache(clock) if cache else None
        self.logger = logging.Logger('swiftqueue')
        self.logger.addHandler(log := logging.handlers.BufferingHandler(1000))
        self.logged = log.buffer
        chance = random.Random(0)
        self.engines = [Engine(Options(min_claim_ttl=1, min_claim_grace=0, **options), b'key', clock=clock,
                               monotonic=clock, random_bits=chance.getrandbits, token_bytes=chance.randbytes)
                        for _ in range(proxies)]
        self.waits = []
        self.watch = lambda environ: None  # called before each Swift request

    def app(self, environ, start_response):
        self.hub.pause(STEP)
        self.watch(environ)
        return self.swift(environ, start_response)

    def queue(self, name='jobs', proxy=0, account=ACCOUNT, given_up=lambda: False, **environ):
        swift = Swift(self.app, {'swift.cache': self.cache, **environ}, account,
                      logger=self.logger, clock=self.clock)
        return Account(self.engines[proxy], swift, given_up).queue(name)

    def create(self, *names):
        for name in names or ['jobs']:
            self.queue(name).create()

    def post(self, *sent, proxy=0, name='jobs', client_id='poster', **fields):
        posted = self.queue(name, proxy).messages.post([NewMessage(body, **fields) for body in sent], client_id)
        assert not [each for each in posted if each.error]
        return [each.id for each in posted]

    def spawn(self, ask):
        """A client that has begun to wait before the next one does anything."""
        self.waits.append(Wait(self, ask))
        self.sleep(STEP / 10)
        return self.waits[-1]

    def claim(self, wait=20, limit=1, ttl=100, proxy=0, name='jobs', **environ):
        """A client that waits for work."""
        def ask():
            return self.queue(name, proxy, given_up=lambda: not waiter.here, **environ).claims.create(
                limit, ttl, 0, wait=wait)
        waiter = self.spawn(ask)
        return waiter

    def read(self, marker=None, wait=20, proxy=0, name='jobs', **options):
        """A client that waits for something to read."""
        return self.spawn(lambda: self.queue(name, proxy).messages.list(marker, wait=wait, **options))

    def sleep(self, seconds):
        self.hub.pause(seconds)

    def listings(self, since=0, name='messages'):
        return [call for call in self.swift.calls[since:]
                if call.method == 'GET' and call.container.startswith(f'\x00{name}\x00') and not call.obj]

    def nobody_waits(self):
        return all(not engine.waiting.lines and not engine.waiting.waiters.total() for engine in self.engines)


def simulated(**options):
    """The test runs on simulated time, in a Place with these options; when it is over, nobody may be left waiting."""
    def decorate(test):
        def main(hub):
            place = Place(hub, **options)
            test(place)
            for wait in place.waits:
                wait.thread.wait()
            place.sleep(PAUSE)
            assert place.nobody_waits()
            place.swift.assert_no_leaks()

        def wrapper():
            run(test.__name__, main)
        wrapper.__name__ = test.__name__
        return wrapper
    return decorate
