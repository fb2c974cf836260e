"""A filter for the proxy's pipeline, for the bench alone: Swift requests counted, CPU time told apart.

It stands on both sides of the queue filter. The one on its right (``zone = swift``) counts what comes through. What it
knows can be read at :data:`bench.METER_PATH`; with ``?trace=on`` CPU time is told apart too, which costs some.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import greenlet
from eventlet import greenthread, hubs

from bench import METER_PATH

SOURCE = 'MQ'  # what the queue filter calls itself in its sub-requests

counts: Counter[str] = Counter()  # by method; of the queue's sub-requests


class Trace:
    """CPU seconds by zone: ``queue``, ``swift PUT`` and so on (right of it),
    ``server`` (left of it, HTTP too) and ``hub``.

    A green thread is in the zone of who spawned it, until it passes one of the filters.
    """

    def __init__(self) -> None:
        self.on = False
        self.seconds: Counter[str] = Counter()
        self._since = 0.0
        _inherit_zones()

    def start(self) -> None:
        hubs.get_hub().greenlet.bench_zone = 'hub'
        self.on, self._since = True, time.thread_time()
        greenlet.settrace(self._switched)

    def stop(self) -> None:
        self.on = False
        greenlet.settrace(None)

    def _switched(self, event: str, between: tuple[Any, Any]) -> None:
        self._charge(_zone(between[0]))

    def _charge(self, zone: str) -> None:
        now = time.thread_time()
        self.seconds[zone] += now - self._since
        self._since = now

    @contextmanager
    def inside(self, zone: str) -> Iterator[None]:
        """What the current green thread does in here is on behalf of ``zone``."""
        current = greenlet.getcurrent()
        outer = _zone(current)
        self._charge(outer)
        current.bench_zone = zone
        try:
            yield
        finally:
            self._charge(zone)
            current.bench_zone = outer


def _zone(thread: Any) -> str:
    return getattr(thread, 'bench_zone', 'server')


def _inherit_zones() -> None:
    plain = greenthread.GreenThread.__init__

    def init(self: Any, *arguments: Any) -> None:
        plain(self, *arguments)
        self.bench_zone = _zone(greenlet.getcurrent())
    greenthread.GreenThread.__init__ = init


trace = Trace()


class Meter:
    """The filter."""

    def __init__(self, app: Callable, zone: str):
        self.app = app
        self.zone = zone

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        if environ['PATH_INFO'] == METER_PATH:
            return _tell(environ, start_response)
        if self.zone == 'swift' and environ.get('swift.source') == SOURCE:
            counts[environ['REQUEST_METHOD']] += 1
        if not trace.on:
            return self.app(environ, start_response)
        zone = self.zone if self.zone == 'queue' else f'{self.zone} {environ["REQUEST_METHOD"]}'
        with trace.inside(zone):
            return _Chunks(self.app(environ, start_response), zone)


class _Chunks:
    """A response's body, produced on behalf of a zone."""

    def __init__(self, chunks: Iterable[bytes], zone: str):
        self.chunks = chunks
        self.rest = iter(chunks)
        self.zone = zone

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> bytes:
        with trace.inside(self.zone):
            return next(self.rest)

    def close(self) -> None:
        if hasattr(self.chunks, 'close'):
            with trace.inside(self.zone):
                self.chunks.close()


def _tell(environ: dict[str, Any], start_response: Callable) -> list[bytes]:
    query = environ.get('QUERY_STRING', '')
    if query == 'trace=on' and not trace.on:
        trace.start()
    elif query == 'trace=off' and trace.on:
        trace.stop()
    body = json.dumps({'counts': counts, 'cpu': trace.seconds}).encode('ascii')
    start_response('200 OK', [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))])
    return [body]


def filter_factory(global_conf: dict[str, str], **conf: str) -> Callable[[Callable], Meter]:
    """For paste. The option ``zone`` says where it stands."""
    return lambda app: Meter(app, conf['zone'])
