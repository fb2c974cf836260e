"""What the handlers of Messaging v2 share: the request's call, links and waiting."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from swiftqueue.limits import Options
from swiftqueue.queues import Account, Engine

from .frontend import Request


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

    @property
    def wait(self) -> int:
        """For how many seconds the request may wait for messages."""
        return self.request.integer('wait') or 0
