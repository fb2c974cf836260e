"""Markers of message listings: opaque to clients, and proof against rows that arrive late.

A row may show up in a listing after rows that sort behind it. So a marker is a *floor*, an instant at and below which
nothing is looked at again, and the messages above it that were already given out or passed over. The floor keeps a few
seconds behind the present, as long as that takes no more than :data:`MOST` messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swiftqueue import ids
from swiftqueue.names import decode_text, encode_text

WINDOW = 10  # seconds that a row may be late
MOST = 100  # messages above the floor in one marker
_FLOOR = 16  # hexadecimal digits of an id that are its time
_SHORT = 20  # digits that stand for an id: its time and a little of what is random in it


@dataclass(frozen=True)
class Marker:
    """Both parts are digits of ids, so they compare as ids do."""

    floor: str = ''
    seen: frozenset[str] = frozenset()

    @property
    def start(self) -> str:
        """What sorts right behind every id at the floor; '' for the start of the queue."""
        if not self.floor:
            return ''
        digits = self.floor + 'f' * (32 - _FLOOR)
        return '-'.join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def has(self, message_id: str) -> bool:
        """Whether a reader with this marker is done with that message."""
        return message_id <= self.start or _short(message_id) in self.seen

    def after(self, done: Iterable[str], now: float, up_to: str = '') -> Marker:
        """The marker of a reader that is now done with these ids too, and has looked no further than ``up_to``."""
        known = sorted(self.seen | {_short(each) for each in done})
        settled = _short(ids.floor(now - WINDOW))
        if up_to:
            settled = min(settled, _short(up_to))
        late = [each for each in known if each > settled]
        if len(late) > MOST:
            # Forget the oldest, which a late row may then hide behind; but of what is delayed rather the latest,
            # which is shown again then: the floor must not pass what is yet to be posted.
            present = [each for each in late if each <= _short(ids.floor(now))]
            late = late[min(len(late) - MOST, len(present)):][:MOST]
        early = [each for each in known if not late or each < late[0]]
        return Marker(max(self.floor, early[-1][:_FLOOR]) if early else self.floor, frozenset(late))

    def __str__(self) -> str:
        return encode_text(bytes.fromhex((self.floor or '0' * _FLOOR) + ''.join(sorted(self.seen))))

    @classmethod
    def parse(cls, text: str | None) -> Marker | None:
        """The marker, the first one for no text; None for a text that is no marker."""
        if not text:
            return cls()
        try:
            digits = decode_text(text).hex()
        except ValueError:
            return None
        floor, seen = digits[:_FLOOR], digits[_FLOOR:]
        if len(floor) < _FLOOR or len(seen) % _SHORT:
            return None
        return cls(floor if floor.strip('0') else '',
                   frozenset(seen[at:at + _SHORT] for at in range(0, len(seen), _SHORT)))


@dataclass(frozen=True)
class Behind:
    """The place of a reader whose marker is a message, for protocols that know no other: late rows are lost on him."""

    start: str = ''  # the message's id
    seen = frozenset()

    def has(self, message_id: str) -> bool:
        return message_id <= self.start

    def after(self, done: Iterable[str], now: float, up_to: str = '') -> str:
        return ''


def _short(message_id: str) -> str:
    digits = message_id.replace('-', '')
    return digits[:_FLOOR] + digits[_FLOOR - _SHORT - 2:-2]  # the shard comes last
