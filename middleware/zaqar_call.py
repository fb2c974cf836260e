"""What the handlers of Messaging v2 share: the request's call, links and waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from swiftqueue.errors import QueueNotFound
from swiftqueue.limits import Options, check_integer
from swiftqueue.queues import Account, Engine

from .frontend import Request

_PAUSE = 0.25  # seconds between two looks of a request that waits

Result = TypeVar('Result')


@dataclass(frozen=True)
class Call:
    """A request past all checks that have nothing to do with what it wants."""

    request: Request
    engine: Engine
    account: Account
    project: str
    client_id: str

    @property
    def options(self) -> Options:
        return self.engine.options

    def next_link(self, path: str, marker: str) -> dict[str, str]:
        """The link to the page after this one, with the parameters of this one."""
        return {'rel': 'next', 'href': f'{path}?{urlencode(self.request.params | {"marker": marker})}'}

    def wait_for(self, look: Callable[[], Result | None]) -> Result | None:
        """What ``look`` finds, tried until the request's ``wait`` is over; a missing queue may still be created."""
        seconds = check_integer('wait', self.request.integer('wait') or 0, 0, self.options.max_wait)
        deadline = self.engine.monotonic() + seconds
        while True:
            try:
                found = look()
            except QueueNotFound:
                found = None
            rest = deadline - self.engine.monotonic()
            if found is not None or rest <= 0:
                return found
            self.engine.sleep(min(_PAUSE, rest))
