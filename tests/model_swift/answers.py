"""How a proxy makes one answer out of the answers of its replicas."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from swift.common.utils import Timestamp

from .stamps import ZERO, stamp


@dataclass(frozen=True)
class Answer:
    """What one storage server says, before the proxy has made up its mind."""

    status: int
    headers: Mapping = field(default_factory=dict)
    body: bytes = b''

    @property
    def good(self) -> bool:
        return 200 <= self.status < 400

    def without_body(self) -> 'Answer':
        return Answer(self.status, {key: value for key, value in self.headers.items()
                                    if key not in ('Content-Type', 'Content-Length')})

    @property
    def timestamp(self) -> Timestamp:
        """The age of what was found (or of its tombstone); zero where nothing is known."""
        for name in ('X-Backend-Data-Timestamp', 'X-Backend-Timestamp'):
            if name in self.headers:
                return stamp(self.headers[name])
        return ZERO


UNAVAILABLE = Answer(503)


def quorum_size(replicas: int) -> int:
    return (replicas + 1) // 2


def best_response(answers: list[Answer], overrides: Mapping | None = None,
                  quorum: int | None = None) -> Answer:
    """The highest status of the first class (2xx, 3xx, 4xx) that has a quorum, else 503.

    Overrides change statuses for the counting only, and only where there was no quorum
    without them: a DELETE counts 404 as 204 there.
    """
    quorum = quorum or quorum_size(len(answers))
    for changes in ({}, overrides or {}):
        counted = [changes.get(answer.status, answer.status) for answer in answers]
        for lowest in (200, 300, 400):
            in_class = [answer for answer, status in zip(answers, counted, strict=True)
                        if lowest <= status < lowest + 100]
            real = [answer for answer in in_class if answer.status not in changes]
            if real and len(in_class) >= quorum:
                return max(real, key=lambda answer: answer.status)
    return UNAVAILABLE


def read_replicas(indexes: Iterable[int], ask: Callable[[int], Answer | None], *, newest: bool,
                  heed_tombstones: bool, unproven_misses: int) -> Answer:
    """Ask one replica after the other until one has it, or all of them for X-Newest.

    One that gives None has not answered.

    A 404 without a timestamp proves little (the replica may be new to its place), so the
    proxy leaves the first `unproven_misses` of them out. With `heed_tombstones`, data older
    than a tombstone seen on the way counts as deleted.
    """
    answers: list[Answer] = []
    sources: list[Answer] = []
    deleted_at = ZERO
    for index in indexes:
        answer = ask(index)
        if answer is None:
            continue
        if answer.good:
            if answer.timestamp >= deleted_at:
                answers.append(answer)
                sources.append(answer)
                if not newest:
                    break
            continue
        if answer.status == 404:
            if not answer.timestamp and unproven_misses:
                unproven_misses -= 1
                continue
            if heed_tombstones:
                deleted_at = max(deleted_at, answer.timestamp)
        answers.append(answer)
    sources = [source for source in sources if source.timestamp >= deleted_at]
    if sources:
        return max(reversed(sources), key=lambda source: source.timestamp)
    # Where a tombstone has overruled the data, the data's own 200 still takes part in the
    # vote and may win it: a 200 without a body.
    return best_response([answer.without_body() for answer in answers])
