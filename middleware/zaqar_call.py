"""What the handlers of Messaging share: the request's call, its version, links and waiting."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from swiftqueue.errors import Invalid
from swiftqueue.limits import Options
from swiftqueue.queues import Account, Engine, Queue

from .frontend import Request, Routes

SMALL_BODY = 65536  # bytes of a claim's parameters, or a subscription's

QUEUES, TOPICS = 'queues', 'topics'

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Version:
    """A version of the API: its requests, and what differs where it shares their handlers with others."""

    id: str  # as in its path
    status: str
    updated: str
    routes: Routes  # below its path
    home: Mapping[str, Any]
    needed: frozenset[str]  # what a message has to bring that is posted
    taken: frozenset[str]  # what is read of it
    shown: frozenset[str]  # what is told of a message
    metadata: Callable[[Attributes, Options], Attributes]  # what is told of a queue's attributes
    enveloped: bool = True  # messages stand in an object, not in a bare list
    lazy_queues: bool = True  # a queue comes into being by a post, and is empty before
    always_client_id: bool = True  # also where nothing depends on it

    @property
    def path(self) -> str:
        return f'/v{self.id}'

    def of_message(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Those of them that are told."""
        return {name: value for name, value in fields.items() if name in self.shown}


@dataclass(frozen=True)
class Call:
    """A request past all checks that have nothing to do with what it wants.

    ``kind`` is that of what the request's path names. A ``signed`` one came without credentials, an ``asked`` one is
    signed with what only a webhook was sent.
    """

    request: Request
    engine: Engine
    account: Account
    project: str
    version: Version
    kind: str = QUEUES
    signed: bool = False
    asked: bool = False

    def place(self, name: str) -> Queue:
        """The queue or topic of that name."""
        return (self.account.topic if self.kind == TOPICS else self.account.queue)(name)

    @property
    def options(self) -> Options:
        return self.engine.options

    @property
    def client_id(self) -> str:
        """Raises Invalid."""
        return read_client_id(self.request, self.options)

    def href(self, *parts: str) -> str:
        """The path of what is below the queues, or topics, in this version."""
        return '/'.join((f'{self.version.path}/{self.kind}', *parts))

    def next_link(self, path: str, marker: str) -> dict[str, str]:
        """The link to the page after this one, with the parameters of this one."""
        return {'rel': 'next', 'href': f'{path}?{urlencode(self.request.params | {"marker": marker})}'}

    @property
    def wait(self) -> int:
        """For how many seconds the request may wait for messages."""
        return self.request.integer('wait') or 0


def read_client_id(request: Request, options: Options) -> str:
    """The Client-ID, a UUID in its usual form if it must be one. Raises Invalid."""
    text = request.header('Client-ID')
    if not text:
        raise Invalid('The header Client-ID is missing.')
    if options.client_id_uuid_safe == 'off':
        if not 10 <= len(text) <= 36 or not text.isprintable():
            raise Invalid('The header Client-ID must have 10 to 36 printable characters.')
        return text
    try:
        value = uuid.UUID(text)
    except ValueError:
        value = None
    if value is None or value.hex != text.replace('-', '').lower():
        raise Invalid('Wrong UUID value in the header Client-ID.')
    return str(value)
