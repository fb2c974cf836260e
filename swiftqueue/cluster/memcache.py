"""A small memcached for machines that have none: the text protocol, as far as Swift speaks it.

It answers get, gets, set, add, replace, cas, incr, decr, touch, delete, flush_all, version and
quit. Memory is bounded: what was used longest ago goes first.
"""

from __future__ import annotations

import re
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from swiftqueue import __version__

MAX_LINE = 2 ** 20  # bytes; a get may name thousands of keys
MAX_VALUE = 2 ** 20  # bytes
OVERHEAD = 100  # bytes an item takes beside its key and its value, about
LONGEST_DELTA = 30 * 86400  # seconds; an expiry time above that is an instant
_COUNTER_RANGE = 2 ** 64

_KEY = re.compile(rb'[^\x00-\x20\x7f]{1,250}')
_COUNTER = re.compile(rb'[0-9]{1,20}')


class Refused(Exception):
    """The client asked for what it cannot have; the text is the answer."""


@dataclass(frozen=True)
class Item:
    value: bytes
    flags: int
    expires_at: float | None
    unique: int


class Store:
    """The items, by key, in the order of their last use. ``limit`` is in bytes."""

    def __init__(self, limit: int = 64 * 2 ** 20, clock: Callable[[], float] = time.time):
        self._limit = limit
        self._clock = clock
        self._items: OrderedDict[bytes, Item] = OrderedDict()
        self._size = 0
        self._stored = 0

    def get(self, key: bytes) -> Item | None:
        item = self._items.get(key)
        if item is None:
            return None
        if item.expires_at is not None and item.expires_at <= self._clock():
            self.delete(key)
            return None
        self._items.move_to_end(key)
        return item

    def set(self, key: bytes, value: bytes, flags: int, expires_at: float | None) -> None:
        self.delete(key)
        self._stored += 1
        self._items[key] = Item(value, flags, expires_at, self._stored)
        self._size += len(key) + len(value) + OVERHEAD
        while self._size > self._limit:
            self.delete(next(iter(self._items)))

    def delete(self, key: bytes) -> None:
        item = self._items.pop(key, None)
        if item is not None:
            self._size -= len(key) + len(item.value) + OVERHEAD

    def clear(self) -> None:
        self._items.clear()
        self._size = 0

    def expiry(self, exptime: int) -> float | None:
        """The instant that an expiry time of the protocol means; None for never."""
        if exptime == 0:
            return None
        return exptime if exptime > LONGEST_DELTA else self._clock() + exptime


def converse(store: Store, requests: BinaryIO) -> Iterator[bytes]:
    """Read one client's requests to their end and yield what to answer."""
    while line := requests.readline(MAX_LINE):
        if not line.endswith(b'\n'):
            yield b'CLIENT_ERROR line too long\r\n'
            return
        verb, *arguments = line.split() or [b'']
        if verb == b'quit':
            return
        quiet = arguments[-1:] == [b'noreply']
        try:
            command = COMMANDS.get(verb)
            if command is None:
                raise Refused('ERROR')
            answer = command(store, arguments[:-1] if quiet else arguments, requests)
        except Refused as refusal:
            yield f'{refusal}\r\n'.encode()
        else:
            yield b'' if quiet else answer + b'\r\n'


def serve(listener: socket.socket, store: Store) -> None:
    """Answer clients for ever, each in a green thread of its own."""
    import eventlet

    def talk(client: socket.socket, _address: object) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with client.makefile('rb') as requests:
                for answer in converse(store, requests):
                    client.sendall(answer)
        except ConnectionError:
            pass  # the client is gone, and nothing of it is kept

    eventlet.serve(listener, talk, concurrency=4096)


def _get(store: Store, arguments: list[bytes], _requests: BinaryIO, unique=False) -> bytes:
    if not arguments:
        raise Refused('ERROR')
    answer = []
    for key in map(_key, arguments):
        if item := store.get(key):
            suffix = f' {item.unique}' if unique else ''
            answer.append(b'VALUE %s %d %d%s\r\n%s\r\n' % (
                key, item.flags, len(item.value), suffix.encode(), item.value))
    return b''.join(answer) + b'END'


def _gets(store: Store, arguments: list[bytes], requests: BinaryIO) -> bytes:
    return _get(store, arguments, requests, unique=True)


def _storing(wanted: Callable[[Item | None], bool]):
    """A command that stores if ``wanted`` says so of what is there."""
    def store_it(store: Store, arguments: list[bytes], requests: BinaryIO) -> bytes:
        key, flags, exptime, size = _arguments(arguments, 4)
        key, flags, exptime, size = _key(key), _number(flags), _number(exptime), _number(size)
        value = _value(store, key, size, requests)
        if not wanted(store.get(key)):
            return b'NOT_STORED'
        store.set(key, value, flags, store.expiry(exptime))
        return b'STORED'
    return store_it


def _cas(store: Store, arguments: list[bytes], requests: BinaryIO) -> bytes:
    *arguments, unique = _arguments(arguments, 5)
    unique = _number(unique)
    item = store.get(arguments[0])
    answer = _storing(lambda there: there is not None and there.unique == unique)(
        store, arguments, requests)
    if answer == b'STORED':
        return answer
    return b'EXISTS' if item else b'NOT_FOUND'


def _counting(step: Callable[[int, int], int]):
    def count(store: Store, arguments: list[bytes], _requests: BinaryIO) -> bytes:
        key, delta = _arguments(arguments, 2)
        if not _COUNTER.fullmatch(delta):
            raise Refused('CLIENT_ERROR invalid numeric delta argument')
        item = store.get(_key(key))
        if item is None:
            return b'NOT_FOUND'
        if not _COUNTER.fullmatch(item.value):
            raise Refused('CLIENT_ERROR cannot increment or decrement non-numeric value')
        value = b'%d' % step(int(item.value), int(delta))
        store.set(key, value, item.flags, item.expires_at)
        return value
    return count


def _touch(store: Store, arguments: list[bytes], _requests: BinaryIO) -> bytes:
    key, exptime = _arguments(arguments, 2)
    exptime = _number(exptime)
    item = store.get(_key(key))
    if item is None:
        return b'NOT_FOUND'
    store.set(key, item.value, item.flags, store.expiry(exptime))
    return b'TOUCHED'


def _delete(store: Store, arguments: list[bytes], _requests: BinaryIO) -> bytes:
    key, = _arguments(arguments, 1)
    if store.get(_key(key)) is None:
        return b'NOT_FOUND'
    store.delete(key)
    return b'DELETED'


def _flush_all(store: Store, arguments: list[bytes], _requests: BinaryIO) -> bytes:
    _arguments(arguments, 0)
    store.clear()
    return b'OK'


def _version(_store: Store, _arguments: list[bytes], _requests: BinaryIO) -> bytes:
    return f'VERSION {__version__} (embedded in swiftqueue)'.encode()


COMMANDS = {
    b'get': _get,
    b'gets': _gets,
    b'set': _storing(lambda there: True),
    b'add': _storing(lambda there: there is None),
    b'replace': _storing(lambda there: there is not None),
    b'cas': _cas,
    b'incr': _counting(lambda value, delta: (value + delta) % _COUNTER_RANGE),
    b'decr': _counting(lambda value, delta: max(value - delta, 0)),
    b'touch': _touch,
    b'delete': _delete,
    b'flush_all': _flush_all,
    b'version': _version,
}


def _arguments(arguments: list[bytes], count: int) -> list[bytes]:
    if len(arguments) != count:
        raise Refused('ERROR')
    return arguments


def _key(text: bytes) -> bytes:
    if not _KEY.fullmatch(text):
        raise Refused('CLIENT_ERROR bad key')
    return text


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise Refused('CLIENT_ERROR bad command line format') from None


def _value(store: Store, key: bytes, size: int, requests: BinaryIO) -> bytes:
    if size < 0:
        raise Refused('CLIENT_ERROR bad data chunk')
    if size > MAX_VALUE:
        while size > 0 and (rest := requests.read(min(size, MAX_VALUE))):
            size -= len(rest)
        requests.readline(MAX_LINE)
        # What was there is out of date, and the client thinks it is gone.
        store.delete(key)
        raise Refused('SERVER_ERROR object too large for cache')
    value = requests.read(size)
    if requests.readline(MAX_LINE) not in (b'\r\n', b'\n'):
        raise Refused('CLIENT_ERROR bad data chunk')
    return value
