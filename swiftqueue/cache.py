"""What proxies tell each other through memcached: gates, bells, epochs and where head pages begin.

All of it is a hint. The cache may be absent, down, wiped or split; then the slower, surer way decides.
"""

from __future__ import annotations

import hashlib
from typing import Any

from swift.common.exceptions import MemcacheConnectionError

_BELLS = 'swiftqueue-bells'  # stands for the memcached server that has all bells, so that one request reads many
_BELL_SECONDS = 3600
_LAST_SECONDS = 86400
_START_SECONDS = 86400  # longer than a claim, so that what it holds is passed over
_ATTEMPT_SECONDS = 300
_EPOCH_SECONDS = 86400  # longer than a container server is down, and any worker acts on a record it has read


class Cache:
    """The proxy's cache, for one account. ``ring`` is Swift's MemcacheRing or None."""

    def __init__(self, ring: Any, account: str):
        self.ring = ring
        self.account = account

    def _key(self, kind: str, *parts: Any) -> str:
        name = '\x00'.join((self.account, *map(str, parts)))
        return f'swiftqueue-{kind}/{hashlib.sha256(name.encode()).hexdigest()}'

    def _incr(self, key: str, seconds: int) -> int | None:
        if self.ring is None:
            return None
        try:
            return self.ring.incr(key, time=seconds)
        except MemcacheConnectionError:
            return None

    def enter_gate(self, container: str, name: str, seconds: int) -> bool | None:
        """True to exactly one caller until ``seconds`` have passed, None if nobody can tell."""
        count = self._incr(self._key('gate', container, name), seconds)
        return None if count is None else count == 1

    def open_gate(self, container: str, name: str) -> None:
        """Let the next one in before the time is over."""
        if self.ring is not None:
            self.ring.delete(self._key('gate', container, name))

    def ring_bell(self, queue: str, token: str) -> None:
        """Tell other proxies that the queue may have something for a claimer; no two rings have one token."""
        if self.ring is not None:
            self.ring.set_multi({self.bell_key(queue): token}, _BELLS, time=_BELL_SECONDS)

    def bell(self, queue: str) -> Any:
        """Changes when somebody rings; None if nobody can tell."""
        bells = self.bells([self.bell_key(queue)])
        return bells and bells[0]

    def bell_key(self, queue: str) -> str:
        """What :meth:`bells` calls the queue's bell, in any account."""
        return self._key('bell', queue)

    def bells(self, keys: list[str]) -> list[Any] | None:
        """What many bells show, in one request; None if nobody can tell."""
        return self.ring.get_multi(keys, _BELLS) if self.ring is not None else None

    def set_last(self, queue: str, message_id: str) -> None:
        """Tell other proxies of a message that was stored in a FIFO queue, perhaps the last one."""
        if self.ring is not None:
            self.ring.set(self._key('last', queue), message_id, time=_LAST_SECONDS)

    def last(self, queue: str) -> str | None:
        """The message that was told of last; None if nobody can tell."""
        return self.ring.get(self._key('last', queue)) if self.ring is not None else None

    def set_start(self, queue: str, generation: str, message_id: str) -> None:
        """Tell other proxies that up to this message there was nothing for a claimer."""
        if self.ring is not None:
            self.ring.set(self._key('start', queue, generation), message_id, time=_START_SECONDS)

    def start(self, queue: str, generation: str) -> str:
        """The message that was told of last; '' if nobody can tell."""
        return (self.ring.get(self._key('start', queue, generation)) if self.ring is not None else None) or ''

    def set_attempt(self, queue: str, attempt: str, claims: list[Any]) -> None:
        """Note what an attempt to receive was answered with."""
        if self.ring is not None:
            self.ring.set(self._key('attempt', queue, attempt), claims, time=_ATTEMPT_SECONDS)

    def attempt(self, queue: str, attempt: str) -> list[Any] | None:
        """What was noted of an attempt; None if nobody can tell."""
        return self.ring.get(self._key('attempt', queue, attempt)) if self.ring is not None else None

    def set_epoch(self, queue: str, epoch: str) -> bool:
        """Tell other proxies that the queue's record has changed; whether there is a cache to tell them."""
        if self.ring is None:
            return False
        self.ring.set(self._key('epoch', queue), epoch, time=_EPOCH_SECONDS)
        return True

    def epoch(self, queue: str) -> str | None:
        """Changes with the queue's record; None if nobody can tell."""
        return self.ring.get(self._key('epoch', queue)) if self.ring is not None else None
