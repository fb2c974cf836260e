"""Message ids: UUID version 7, whose time is when the message becomes available.

>>> available_at(floor(1700000000.25))
1700000000.25
>>> floor(1700000000) < floor(1700000000.001)
True
>>> is_id(floor(1700000000)), is_id('../etc/passwd')
(True, False)

>>> shard_of(in_shard(floor(1700000000), 5))
5

The 12 bits after the version hold the fraction of the millisecond, so a tick is 1/4096 ms and ids of one process rise
strictly, also within a millisecond and when its clock is set back a little. The last 7 bits are the number of the
message's shard, so whoever has an id knows the container, whatever he knows of the queue.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable

TICKS = 4096 * 1000  # per second
SHARDS = 64  # that a queue can have, numbered from 0
EPHEMERAL = SHARDS  # the one of ephemeral messages, which comes on top
_NUMBERS = 128  # that an id can tell apart
LEAD = 2  # seconds; a clock set back further starts anew, or messages would wait until it is here again
_ID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}')


class Ids:
    """The source of message ids of one process."""

    def __init__(self, clock: Callable[[], float] = time.time,
                 random_bits: Callable[[int], int] = secrets.randbits):
        self.clock = clock
        self.random_bits = random_bits
        self.last = 0

    def after(self, message_id: str) -> str:
        """An id whose time is now, or right behind that of the other one, should its clock be ahead of ours."""
        now = int(self.clock() * TICKS)
        return _format(max(now, _ticks(message_id) + 1) if message_id else now,
                       self.random_bits(62) // _NUMBERS * _NUMBERS)

    def new(self, delay: int = 0, shard: int = 0) -> str:
        """An id in that shard whose time is ``delay`` seconds from now; later calls with one delay sort later."""
        now = int(self.clock() * TICKS)
        self.last = now if self.last - now > TICKS * LEAD else max(self.last + 1, now)
        return _format(self.last + delay * TICKS, self.random_bits(62) // _NUMBERS * _NUMBERS + shard)


def is_id(text: str) -> bool:
    """Whether ``text`` is an id as :class:`Ids` writes them."""
    return bool(_ID.fullmatch(text))


def available_at(message_id: str) -> float:
    """The instant from which the message may be handed out."""
    return _ticks(message_id) / TICKS


def sequence_number(message_id: str) -> str:
    """Twenty digits that rise as ids do: those of its time, and four of what is random in it."""
    return f'{_ticks(message_id) * 10000 + (int(message_id[19:23], 16) & 0x3fff) // 2:020d}'


def shard_of(message_id: str) -> int:
    """The number of the shard that the message is in."""
    return int(message_id[-2:], 16) % _NUMBERS


def in_shard(message_id: str, shard: int) -> str:
    """The id that the message has in that shard."""
    return f'{message_id[:-2]}{int(message_id[-2:], 16) // _NUMBERS * _NUMBERS + shard:02x}'


def derived(message_id: str, salt: str) -> str:
    """Another id of the same time, in shard 0; always the same one for the same salt."""
    low = int.from_bytes(hashlib.sha256(f'{salt}\0{message_id}'.encode()).digest()[:8], 'big')
    digits = f'{1 << 63 | low % (1 << 62) // _NUMBERS * _NUMBERS:016x}'
    return f'{message_id[:18]}-{digits[:4]}-{digits[4:]}'


def floor(instant: float) -> str:
    """The smallest id of that instant: where a listing up to it ends."""
    return _format(max(0, int(instant * TICKS)), 0)


def _ticks(message_id: str) -> int:
    digits = message_id.replace('-', '')
    return int(digits[:12], 16) * 4096 + int(digits[13:16], 16)


def _format(ticks: int, low: int) -> str:
    milliseconds, fraction = divmod(ticks, 4096)
    digits = f'{milliseconds:012x}7{fraction:03x}{1 << 63 | low:016x}'
    return '-'.join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
