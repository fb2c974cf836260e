"""One client for each way to a queue, all with the same verbs, so that one suite holds for every door.

A client raises :class:`Refused` where the service said no to something that the caller must not do.
"""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from swift.common.swob import Request
from world import World

from swiftqueue.errors import ClaimNotFound, Invalid, MessageClaimed, QueueNotFound, ReceiptInvalid
from swiftqueue.middleware.queue import QueueFilter
from swiftqueue.model import NewMessage


class Refused(Exception):
    """The service said no."""


@dataclass(frozen=True)
class Held:
    """A message in somebody's hands."""

    id: str
    body: Any
    claim_id: str


class EngineClient:
    """Straight to the engine."""

    def __init__(self, world: World, proxy: int = 0):
        self.world = world
        self.proxy = proxy

    def _queue(self, queue: str):
        self.world.tick()  # no two requests at one instant, as in life
        return self.world.queue(queue, self.proxy)

    def create(self, queue: str, **attributes: Any) -> bool:
        return self._queue(queue).create(attributes)

    def delete_queue(self, queue: str) -> None:
        self._queue(queue).delete()

    def purge(self, queue: str) -> None:
        self._queue(queue).purge()

    def queues(self, marker: str = '', limit: int | None = None) -> list[str]:
        return [info.name for info in self._queue('any').account.queues(marker, limit).items]

    def attributes(self, queue: str) -> dict[str, Any]:
        return self._queue(queue).attributes()

    def set_attribute(self, queue: str, name: str, value: Any) -> None:
        self._queue(queue).configure(lambda attributes: attributes | {name: value})

    def post(self, queue: str, *bodies: Any, ttl: int | None = None, delay: int | None = None,
             client: str = 'client') -> list[str]:
        posted = self._queue(queue).messages.post([NewMessage(body, ttl, delay) for body in bodies], client)
        assert not [one for one in posted if one.error]
        return [one.id for one in posted]

    def create_fifo(self, queue: str) -> None:
        self._queue(queue).create({'_fifo': True})

    def send(self, queue: str, group: str, body: Any, deduplication: str | None = None) -> str:
        """Post to a FIFO queue; the message's id. Without a deduplication id it is no duplicate of any other one."""
        message = NewMessage(body, group=group, deduplication=deduplication or str(uuid.uuid4()))
        posted, = self._queue(queue).messages.post([message])
        assert not posted.error
        return posted.id

    def list(self, queue: str, marker: str | None = None, limit: int | None = None, *,
             without_client: str | None = None, include_claimed: bool = False,
             include_delayed: bool = False) -> tuple[list[Any], str | None]:
        page = self._queue(queue).messages.list(
            marker, limit, client_id=without_client, include_claimed=include_claimed,
            include_delayed=include_delayed)
        return [message.body for message in page.items], page.marker

    def get(self, queue: str, *ids: str) -> list[Any]:
        return [message.body for message in self._queue(queue).messages.get(list(ids))]

    def claim(self, queue: str, limit: int = 10, ttl: int = 60, grace: int = 60) -> list[Held]:
        claim = self._queue(queue).claims.create(limit, ttl, grace)
        return [Held(message.id, message.body, claim.id) for message in claim.messages] if claim else []

    def held(self, queue: str, claim_id: str) -> list[Any]:
        with refusals():
            return [message.body for message in self._queue(queue).claims.get(claim_id).messages]

    def renew(self, queue: str, claim_id: str, ttl: int = 60) -> None:
        with refusals():
            self._queue(queue).claims.renew(claim_id, ttl)

    def release(self, queue: str, claim_id: str) -> None:
        self._queue(queue).claims.release(claim_id)

    def ack(self, queue: str, held: Held) -> None:
        with refusals():
            self._queue(queue).claims.ack(held.id, held.claim_id)

    def delete(self, queue: str, message_id: str) -> None:
        with refusals():
            self._queue(queue).messages.delete_unclaimed(message_id)

    def delete_many(self, queue: str, *ids: str) -> None:
        self._queue(queue).messages.delete(list(ids))

    def pop(self, queue: str, limit: int = 10) -> list[Any]:
        return [message.body for message in self._queue(queue).claims.pop(limit)]

    def counts(self, queue: str) -> tuple[int, int]:
        """(all, claimed)"""
        stats = self._queue(queue).stats()
        return stats.total, stats.claimed


class refusals:
    """Turns the engine's refusals into :class:`Refused`."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, (ClaimNotFound, Invalid, MessageClaimed, QueueNotFound, ReceiptInvalid)):
            raise Refused(str(error)) from error


class MessagingClient:
    """Messaging v2 over WSGI, as a client on the network would speak it."""

    path = '/v2'

    def __init__(self, world: World, proxy: int = 0):
        self.world = world
        self.engine = EngineClient(world, proxy)
        self.filter = QueueFilter(world.swift, world.engines[proxy], logging.getLogger('swiftqueue'))

    def _ask(self, method: str, path: str, body: Any = None, client: str = '1', headers: dict | None = None) -> Any:
        """The JSON of the answer, None for an empty one."""
        self.world.tick()
        request = Request.blank(f'{self.path}/queues{path}', method=method, headers={
            'Client-ID': _uuid(client), 'Content-Type': 'application/json', **(headers or {})},
            environ={'REMOTE_USER': 'test,test:tester,AUTH_test', 'swift.authorize': lambda request: None,
                     'swift.cache': self.world.cache})
        if body is not None:
            request.body = json.dumps(body).encode()
        response = request.get_response(self.filter)
        if response.status_int in (400, 403, 404, 409):
            raise Refused(response.body)
        assert response.status_int < 300, response.body
        self.status = response.status_int
        return json.loads(response.body) if response.body else None

    def create(self, queue: str, **attributes: Any) -> bool:
        self._ask('PUT', f'/{queue}', attributes)
        return self.status == 201

    def create_fifo(self, queue: str) -> None:
        self.engine.create_fifo(queue)  # older versions know no attributes at a queue's creation

    def send(self, queue: str, group: str, body: Any, deduplication: str | None = None) -> str:
        """It knows no groups: a post without one is refused, and another door's is claimed."""
        try:
            self.post(queue, body)
        except Refused:
            return self.engine.send(queue, group, body, deduplication)
        raise AssertionError('posted without a group')

    def delete_queue(self, queue: str) -> None:
        self._ask('DELETE', f'/{queue}')

    def purge(self, queue: str) -> None:
        self._ask('POST', f'/{queue}/purge')

    def queues(self, marker: str = '', limit: int | None = None) -> list[str]:
        query = f'?marker={marker}' + (f'&limit={limit}' if limit else '')
        return [queue['name'] for queue in self._ask('GET', query)['queues']]

    def attributes(self, queue: str) -> dict[str, Any]:
        return self._ask('GET', f'/{queue}')

    def set_attribute(self, queue: str, name: str, value: Any) -> None:
        self._ask('PATCH', f'/{queue}', [{'op': 'replace', 'path': f'/metadata/{name}', 'value': value}],
                  headers={'Content-Type': 'application/openstack-messaging-v2.0-json-patch'})

    def post(self, queue: str, *bodies: Any, ttl: int | None = None, delay: int | None = None,
             client: str = 'client') -> list[str]:
        fields = {name: value for name, value in (('ttl', ttl), ('delay', delay)) if value is not None}
        posted = self._ask('POST', f'/{queue}/messages',
                           self._new_messages([{'body': body, **fields} for body in bodies]), client)
        return [resource.rsplit('/', 1)[1] for resource in posted['resources']]

    def _new_messages(self, messages: list[dict[str, Any]]) -> Any:
        return {'messages': messages}

    def list(self, queue: str, marker: str | None = None, limit: int | None = None, *,
             without_client: str | None = None, include_claimed: bool = False,
             include_delayed: bool = False) -> tuple[list[Any], str | None]:
        query = f'?echo={not without_client}&include_claimed={include_claimed}&include_delayed={include_delayed}'
        query += (f'&marker={marker}' if marker else '') + (f'&limit={limit}' if limit else '')
        page = self._page(self._ask('GET', f'/{queue}/messages{query}', client=without_client or 'reader'))
        following = [link['href'].partition('marker=')[2].partition('&')[0] for link in page['links']]
        return [message['body'] for message in page['messages']], following[0] if following else marker

    def _page(self, answer: Any) -> dict[str, Any]:
        return answer

    def get(self, queue: str, *ids: str) -> list[Any]:
        try:
            return [each['body'] for each in self._ask('GET', f'/{queue}/messages?ids={",".join(ids)}')['messages']]
        except Refused:
            return []

    def claim(self, queue: str, limit: int = 10, ttl: int = 60, grace: int = 60) -> list[Held]:
        claim = self._ask('POST', f'/{queue}/claims?limit={limit}', {'ttl': ttl, 'grace': grace})
        return [Held(message['id'], message['body'], message['href'].partition('claim_id=')[2])
                for message in claim['messages']] if claim else []

    def held(self, queue: str, claim_id: str) -> list[Any]:
        return [message['body'] for message in self._ask('GET', f'/{queue}/claims/{_quoted(claim_id)}')['messages']]

    def renew(self, queue: str, claim_id: str, ttl: int = 60) -> None:
        self._ask('PATCH', f'/{queue}/claims/{claim_id}', {'ttl': ttl})

    def release(self, queue: str, claim_id: str) -> None:
        self._ask('DELETE', f'/{queue}/claims/{claim_id}')

    def ack(self, queue: str, held: Held) -> None:
        self._ask('DELETE', f'/{queue}/messages/{held.id}?claim_id={_quoted(held.claim_id)}')

    def delete(self, queue: str, message_id: str) -> None:
        self._ask('DELETE', f'/{queue}/messages/{message_id}')

    def delete_many(self, queue: str, *ids: str) -> None:
        self._ask('DELETE', f'/{queue}/messages?ids={",".join(ids)}')

    def pop(self, queue: str, limit: int = 10) -> list[Any]:
        return [message['body'] for message in self._ask('DELETE', f'/{queue}/messages?pop={limit}')['messages']]

    def counts(self, queue: str) -> tuple[int, int]:
        messages = self._ask('GET', f'/{queue}/stats')['messages']
        return messages['total'], messages['claimed']


def _uuid(client: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, client))


def _quoted(text: str) -> str:
    return quote(text, safe='')
