"""Time as the tests decide it."""


class Clock:
    """A clock that moves only when told to; calling it gives seconds since the epoch."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Move on by some seconds (backwards if negative) and give the new time."""
        self.now += seconds
        return self.now
