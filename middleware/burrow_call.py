"""What the handlers of Burrow v1.0 share: the parameters that a request may have."""

from __future__ import annotations

from dataclasses import dataclass

from swift.common.swob import wsgi_to_str

from swiftqueue.errors import Invalid
from swiftqueue.named import Selection
from swiftqueue.queues import Account, Queue

from .frontend import Answer, Request

QUEUE_DETAILS = ('none', 'id', 'all')
MESSAGE_DETAILS = ('none', 'id', 'attributes', 'body', 'all')


@dataclass(frozen=True)
class Call:
    """A request past all checks that have nothing to do with what it wants."""

    request: Request
    account: Account

    def queue(self, name: str) -> Queue:
        return self.account.queue(wsgi_to_str(name))

    def detail(self, known: tuple[str, ...], default: str) -> str:
        """How much is to be shown. Raises Invalid, with nothing but the bad value for a text."""
        detail = self.request.params.get('detail', default)
        if detail not in known:
            raise Invalid(detail)
        return detail

    @property
    def selection(self) -> Selection:
        request = self.request
        return Selection(request.params.get('marker', ''), request.integer('limit'),
                         request.params.get('match_hidden', '').lower() == 'true', request.integer('wait') or 0)

    def nothing(self) -> Answer:
        """Burrow's own clients fail at an answer without a Content-Length."""
        return Answer(204, headers={'Content-Length': '0'})
