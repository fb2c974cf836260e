"""A memcached that behaves, behind the interface of Swift's MemcacheRing."""

import json
from collections.abc import Callable, Iterable, Mapping
from hashlib import md5
from typing import Any

from swift.common.exceptions import MemcacheConnectionError

UNSIGNED = 2 ** 64


class ModelCache:
    """What `environ['swift.cache']` holds, on the tests' clock and without a server.

    With `down` set nothing is reachable: reads find nothing, writes vanish, `incr` and
    `decr` raise MemcacheConnectionError and `get_multi` gives None instead of a list.
    Several `servers` share the keys by hash, as a ring does: `get_multi` and `set_multi`
    go to the server of their `server_key`, not to those of the keys.

    Not modelled: eviction, size limits, and the failing of one server of several.
    """

    def __init__(self, clock: Callable[[], float], servers: int = 1) -> None:
        self.clock = clock
        self.down = False
        self._items: list[dict[str, tuple[bytes, bool, float]]] = [
            {} for _ in range(servers)]

    def wipe(self) -> None:
        """Forget everything, as a restart does."""
        for items in self._items:
            items.clear()

    def lose(self, which: Callable[[str], bool]) -> None:
        """Forget some keys, as a full cache does."""
        for items in self._items:
            for key in [key for key in items if which(key)]:
                del items[key]

    def set(self, key: str, value: Any, serialize: bool = True, time: float = 0,
            min_compress_len: int = 0, raise_on_error: bool = False) -> None:
        stored = _encode(value, serialize)
        if self._reachable(raise_on_error):
            self._store(self._server(key), key, stored, serialize, time)

    def get(self, key: str, raise_on_error: bool = False) -> Any:
        if not self._reachable(raise_on_error):
            return None
        return self._load(self._server(key), key)

    def delete(self, key: str, server_key: str | None = None) -> None:
        if self._reachable():
            self._server(server_key or key).pop(key, None)

    def incr(self, key: str, delta: int = 1, time: float = 0) -> int:
        """Add to a number and give the sum; a missing key is set, never below zero.

        Only the setting of a missing key takes the time to live.
        """
        self._reachable(raise_on_error=True)
        delta = int(delta)
        server = self._server(key)
        item = self._item(server, key)
        if item is None:
            number = max(delta, 0)
            self._store(server, key, str(number).encode(), False, time)
            return number
        stored, as_json, expires_at = item
        if not stored.strip().isdigit():
            raise MemcacheConnectionError('No memcached connections succeeded.')
        number = int(stored)
        number = (number + delta) % UNSIGNED if delta >= 0 else max(number + delta, 0)
        # A number that becomes shorter keeps its length on a real server: '10' -> '9 '.
        server[key] = (str(number).encode().ljust(len(stored)), as_json, expires_at)
        return number

    def decr(self, key: str, delta: int = 1, time: float = 0) -> int:
        return self.incr(key, delta=-delta, time=time)

    def set_multi(self, mapping: Mapping[str, Any], server_key: str, serialize: bool = True,
                  time: float = 0, min_compress_len: int = 0) -> None:
        stored = {key: _encode(value, serialize) for key, value in mapping.items()}
        if self._reachable():
            for key, value in stored.items():
                self._store(self._server(server_key), key, value, serialize, time)

    def get_multi(self, keys: Iterable[str], server_key: str) -> list[Any] | None:
        if not self._reachable():
            return None
        server = self._server(server_key)
        return [self._load(server, key) for key in keys]

    def _reachable(self, raise_on_error: bool = False) -> bool:
        if self.down and raise_on_error:
            raise MemcacheConnectionError('No memcached connections succeeded.')
        return not self.down

    def _server(self, key: str) -> dict:
        digest = md5(key.encode('utf-8'), usedforsecurity=False).digest()
        return self._items[digest[0] % len(self._items)]

    def _store(self, server: dict, key: str, stored: bytes, as_json: bool,
               time: float) -> None:
        # Fractions are cut off, and 0 is for ever: a time to live of 0.5 s never ends.
        ttl = int(time)
        expires_at = self.clock() + ttl if ttl else float('inf')
        server[key] = (stored, as_json, expires_at)

    def _item(self, server: dict, key: str) -> tuple[bytes, bool, float] | None:
        item = server.get(key)
        if item is not None and item[2] <= self.clock():
            del server[key]
            return None
        return item

    def _load(self, server: dict, key: str) -> Any:
        item = self._item(server, key)
        if item is None:
            return None
        stored, as_json, _ = item
        return json.loads(stored) if as_json else stored


def _encode(value: Any, serialize: bool) -> bytes:
    if serialize:
        if isinstance(value, bytes):
            value = value.decode('utf8')
        return json.dumps(value).encode('ascii')
    return value if isinstance(value, bytes) else str(value).encode('utf-8')
