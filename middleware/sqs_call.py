"""What the handlers of Amazon SQS share: the request's call, and how queues are named in URLs and ARNs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from swiftqueue import accounts
from swiftqueue.errors import Forbidden, Invalid
from swiftqueue.limits import Options, check_queue_name
from swiftqueue.queues import Account, Engine, Queue

from .sqs_errors import SqsError, no_queue
from .sqs_signature import SignedRequest

FIFO = '.fifo'
_ACCOUNT = re.compile('[0-9]{12}')
_URL = re.compile(f'(?:(?:https?://[^/]+)?/(?P<account>{_ACCOUNT.pattern})/)?(?P<name>[^/]+)/?')


@dataclass(frozen=True)
class Call:
    """A request whose signature is good. ``account`` is the queue's, which need not be the caller's."""

    signed: SignedRequest
    engine: Engine
    account: Account

    def addressed(self, given: dict[str, Any]) -> Call:
        """The same for the account that the parameters name, in a queue's URL or beside its name.

        What is not shared and what is not there look the same. Raises Forbidden, Unavailable.
        """
        match = _URL.fullmatch(given.get('QueueUrl') or '')
        number = given.get('QueueOwnerAWSAccountId') or match and match['account']
        if not number or number == self.account_id:
            return self
        settings = self.signed.settings
        name = settings.configured(number)
        if name is None and _ACCOUNT.fullmatch(number):
            name = accounts.find(self.account.swift, number)
        if name is None or settings.account_id(name) != number:
            raise Forbidden('There is no such account.')
        return replace(self, account=self.account.other(name))

    @property
    def options(self) -> Options:
        return self.engine.options

    @property
    def account_id(self) -> str:
        return self.signed.settings.account_id(self.account.swift.account)

    def queue(self, url: str) -> Queue:
        """The queue at a URL, or of that name. Raises SqsError."""
        match = _URL.fullmatch(url)
        if match is None:
            raise SqsError('InvalidAddress', f'The address {url} is not valid for this endpoint.')
        return self.queue_named(match['name'])

    def queue_named(self, name: str) -> Queue:
        """Raises SqsError for a name that no queue of this service has."""
        try:
            return self.account.queue(check_queue_name(name))
        except Invalid:
            raise no_queue() from None

    def url(self, name: str) -> str:
        """As the client can reach it: the host is that of the request."""
        environ = self.signed.request.environ
        host = environ.get('HTTP_HOST') or f'{environ["SERVER_NAME"]}:{environ["SERVER_PORT"]}'
        scheme = self.signed.settings.scheme or environ['wsgi.url_scheme']
        return f'{scheme}://{host}/{self.account_id}/{name}'

    def arn(self, name: str) -> str:
        return f'arn:aws:sqs:{self.signed.region}:{self.account_id}:{name}'

    def name_of(self, arn: str) -> str | None:
        """The name of the queue; None if the ARN is not of a queue in this account and region."""
        prefix, _, name = arn.rpartition(':')
        return name if arn == self.arn(name) and prefix else None
