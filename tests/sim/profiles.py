"""What may go wrong in a simulation. The seed picks one of these profiles, and decides when and where."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Profile:
    """Chances are per step (a message to a storage server, a sub-request, a word with memcached), times are seconds.

    ``exclusive``: nothing in it may let two workers hold one message at once.
    """

    name: str
    exclusive: bool = True
    skews: tuple[float, ...] = (0,)  # by how much the clock of a proxy may be wrong
    step: float = 0.01  # what a step takes on average
    slow: float = 0.002  # chance of a step that takes up to `slow_seconds`
    slow_seconds: float = 2
    lag: float = 0.3  # chance of a listing row that comes up to `lag_seconds` late
    lag_seconds: float = 8
    refused: float = 0  # chance of a sub-request that fails before it has done anything
    unanswered: float = 0  # chance of one that is done, and whose answer gets lost
    forgetful: float = 0  # chance of a word with memcached whose answer gets lost
    late: float = 0  # chance of a storage server that does what it should long after everybody has given up
    trouble: float = 0  # average time between two of these:
    troubles: tuple[str, ...] = ()
    janitor: bool = False
    purges: bool = False
    shards: int = 1  # that a queue has at first, or some less
    grows: bool = False  # the queue gets more of them meanwhile
    direct: float = 0.5  # chance that a process asks object servers itself
    fifo: bool = False  # a FIFO queue, and clients that know of message groups
    publishes: bool = False  # what is posted goes to subscribers
    singly: bool = False  # whether half of the workers claim each message by itself
    long_bodies: bool = False  # too long for rows
    page: int = 0  # messages of a head page, so that few are a long queue; 0 for as many as in real ones

    @property
    def stale_records(self) -> bool:
        """Whether a replica may miss that a queue was purged or deleted, and some proxies with it."""
        return self.late > 0 or any(trouble.startswith('silent') for trouble in self.troubles)

    @property
    def skew(self) -> float:
        """By how much any two clocks may differ."""
        return max(self.skews) - min(self.skews)


CALM = Profile('calm')
PROFILES = {profile.name: profile for profile in (
    CALM,
    replace(CALM, name='janitor', janitor=True, lag=0.4, lag_seconds=40),
    replace(CALM, name='failures', refused=0.02, unanswered=0.02, slow=0.01),
    replace(CALM, name='crashes', trouble=6, troubles=('crash',)),
    replace(CALM, name='silence', trouble=10, troubles=('silent node', 'silent objects', 'silent containers'),
            janitor=True),
    replace(CALM, name='shunning', trouble=2, troubles=('shunned', 'shunned', 'silent objects'), direct=1,
            janitor=True),
    replace(CALM, name='late', late=0.02, janitor=True),
    replace(CALM, name='purges', purges=True, janitor=True),
    replace(CALM, name='cache', exclusive=False, forgetful=0.01, trouble=4,
            troubles=('cache down', 'cache wiped', 'keys lost', 'cache split')),
    replace(CALM, name='skew', exclusive=False, skews=(0, -2, 2), janitor=True),
    replace(CALM, name='far skew', exclusive=False, skews=(0, -30, 30), janitor=True),
    replace(CALM, name='pauses', exclusive=False, trouble=15, troubles=('pause',), janitor=True),
    Profile('storm', exclusive=False, skews=(0, 0, -2, 2), slow=0.01, slow_seconds=15, refused=0.01, unanswered=0.01,
            forgetful=0.01, late=0.01, trouble=5, janitor=True, troubles=(
                'crash', 'silent node', 'silent objects', 'silent containers', 'cache down', 'cache wiped',
                'keys lost', 'cache split', 'pause')),
    replace(CALM, name='shards', shards=3, janitor=True, refused=0.01, unanswered=0.01),
    replace(CALM, name='growth', shards=2, grows=True, purges=True, janitor=True),
    replace(CALM, name='singly', singly=True, refused=0.01, unanswered=0.01, slow=0.01, trouble=8, troubles=('crash',),
            janitor=True),
    replace(CALM, name='fifo', fifo=True, refused=0.01, unanswered=0.01, slow=0.01, trouble=6, janitor=True,
            troubles=('crash', 'silent node', 'silent objects', 'silent containers')),
    Profile('fifo storm', fifo=True, exclusive=False, skews=(0, 0, -30, -2, 2, 30), slow=0.01, slow_seconds=15,
            refused=0.01, unanswered=0.01, forgetful=0.01, late=0.01, trouble=5, janitor=True, troubles=(
                'crash', 'silent node', 'silent objects', 'silent containers', 'cache down', 'cache wiped',
                'keys lost', 'cache split', 'pause')),
    replace(CALM, name='fan-out', publishes=True, refused=0.01, unanswered=0.01, slow=0.01, late=0.01, trouble=6,
            janitor=True, troubles=('crash', 'silent node', 'silent objects', 'silent containers')),
    replace(CALM, name='singly, far skew', singly=True, exclusive=False, skews=(0, -30, 30), late=0.01, janitor=True),
    replace(CALM, name='long queue', page=2, refused=0.01, unanswered=0.01, slow=0.01, trouble=6, troubles=('crash',),
            janitor=True),
    replace(CALM, name='long bodies', long_bodies=True, refused=0.01, unanswered=0.01, slow=0.01, late=0.01, trouble=6,
            troubles=('crash', 'silent node', 'silent objects'), janitor=True),
)}
# These run only when asked for. In the first one, replicas that miss a purge keep two generations alive for as long as
# they stay behind.
STALE_RECORDS = replace(PROFILES['purges'], name='stale records', trouble=10, troubles=('silent containers',))
SHARDED_STORM = replace(PROFILES['storm'], name='sharded storm', shards=3, grows=True)
FAN_OUT_STORM = replace(PROFILES['storm'], name='fan-out storm', publishes=True)
LONG_STORM = replace(PROFILES['storm'], name='long storm', page=2, long_bodies=True)
EXTRA = {profile.name: profile for profile in (STALE_RECORDS, SHARDED_STORM, FAN_OUT_STORM, LONG_STORM)}


def of_seed(seed: int) -> Profile:
    names = list(PROFILES)
    return PROFILES[names[seed % len(names)]]
