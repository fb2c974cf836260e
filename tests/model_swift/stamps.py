"""Timestamps that are compared often."""

from functools import cached_property, lru_cache

from swift.common.utils import Timestamp


class Stamp(Timestamp):
    """A Swift timestamp that writes itself down once and not for every comparison."""

    @cached_property
    def internal(self) -> str:
        return Timestamp.internal.fget(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and self.internal == other.internal

    def __hash__(self) -> int:
        return hash(self.internal)

    def __lt__(self, other: Timestamp) -> bool:
        return self.internal < other.internal

    def __le__(self, other: Timestamp) -> bool:
        return self.internal <= other.internal

    def __gt__(self, other: Timestamp) -> bool:
        return self.internal > other.internal

    def __ge__(self, other: Timestamp) -> bool:
        return self.internal >= other.internal


@lru_cache(maxsize=4096)
def stamp(text: str) -> Stamp:
    """The timestamp of a header. Raises ValueError."""
    return Stamp(text)


ZERO = Stamp(0)
