"""What was asked of the model, what shall go wrong, and which bodies were left open."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from swift.common.header_key_dict import HeaderKeyDict
from swift.common.swob import Request, wsgi_to_str


@dataclass
class Call:
    """One request to the model; the status is None until it has been answered."""

    method: str
    path: str
    query: str
    headers: HeaderKeyDict
    swift_source: str | None
    status: int | None = None

    @classmethod
    def of(cls, req: Request) -> 'Call':
        return cls(req.method, wsgi_to_str(req.path_info), req.query_string or '',
                   HeaderKeyDict(req.headers.items()), req.environ.get('swift.source'))

    @property
    def account(self) -> str:
        return self._part(2)

    @property
    def container(self) -> str:
        return self._part(3)

    @property
    def obj(self) -> str:
        return self._part(4)

    def _part(self, number: int) -> str:
        """A part of /v1/account/container/object, empty if the path ends before."""
        return (self.path.split('/', 4) + [''] * 4)[number]


@dataclass
class Fault:
    """One thing that goes wrong; `hits` says how often it has."""

    matches: Callable[[Call], bool]
    status: int | str | BaseException
    times: float
    skip: int
    after_work: bool
    seen: int = 0
    hits: int = 0

    def strikes(self, call: Call) -> bool:
        """Whether this call is one that fails; counts it."""
        if self.hits >= self.times or not self.matches(call):
            return False
        self.seen += 1
        if self.seen <= self.skip:
            return False
        self.hits += 1
        return True


def make_matcher(match: Callable[[Call], bool] | tuple[str, str]) -> Callable[[Call], bool]:
    if callable(match):
        return match
    method, part = match
    return lambda call: call.method == method and part in call.path


@dataclass(eq=False)
class TrackedBody:
    """A response body that knows whether somebody has read or closed it."""

    call: Call
    chunks: Iterable[bytes]
    finished: bool = False
    _iterator: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._iterator = iter(self.chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._iterator)
        except StopIteration:
            self.finished = True
            raise

    def close(self) -> None:
        self.finished = True
        if hasattr(self.chunks, 'close'):
            self.chunks.close()
