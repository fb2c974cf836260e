"""Burrow v1.0 with the verbs of the contract suite.

A claim of Burrow's has no id, only its messages have; so whoever knows one of them holds it. What Burrow does not have
(attributes of queues, counts, purging) is asked of the engine.
"""

from __future__ import annotations

import json
import logging
import uuid
from typing import Any
from urllib.parse import quote

from clients import EngineClient, Held, Refused
from swift.common.swob import Request
from world import World

from swiftqueue.middleware.queue import QueueFilter


class BurrowClient(EngineClient):
    """Bodies travel as JSON text, and every message has a name by chance."""

    def __init__(self, world: World, proxy: int = 0):
        super().__init__(world, proxy)
        self.filter = QueueFilter(world.swift, world.engines[proxy], logging.getLogger('swiftqueue'))
        if not hasattr(world, 'hidden_together'):
            world.hidden_together = {}  # id: all those of the same request, for every client of this world

    def _ask(self, method: str, path: str, body: bytes = b'', **params: Any) -> Any:
        """The JSON of the answer, None for an empty one or if there is nothing."""
        self.world.tick()
        query = '&'.join(f'{name}={value}' for name, value in params.items() if value is not None)
        request = Request.blank(f'/burrow/v1.0/AUTH_test{path}?{query}', method=method, environ={
            'REMOTE_USER': 'test,test:tester,AUTH_test', 'swift.authorize': lambda request: None,
            'swift.cache': self.world.cache})
        if body:
            request.body = body
        answer = request.get_response(self.filter)
        assert answer.status_int < 500, answer.body
        if answer.status_int == 404:
            return None
        if answer.status_int >= 400:
            raise Refused(f'{answer.status} {answer.body!r}')
        return json.loads(answer.body) if answer.body else {}

    def _ask_one(self, method: str, queue: str, message_id: str, **params: Any) -> Any:
        answer = self._ask(method, f'/{queue}/{quote(message_id, safe="")}', **params)
        if answer is None:
            raise Refused('404')
        return answer

    def post(self, queue: str, *bodies: Any, ttl: int | None = None, delay: int | None = None,
             client: str = 'client') -> list[str]:
        names = [uuid.uuid4().hex for _ in bodies]
        for name, body in zip(names, bodies, strict=True):
            self._ask('PUT', f'/{queue}/{name}', json.dumps(body).encode(), ttl=ttl, hide=delay)
        return [self._queue(queue).named.get(name).id for name in names]

    def list(self, queue: str, marker: str | None = None, limit: int | None = None, *,
             without_client: str | None = None, include_claimed: bool = False,
             include_delayed: bool = False) -> tuple[list[Any], str | None]:
        messages = self._ask('GET', f'/{queue}', marker=marker, limit=limit,
                             match_hidden='true' if include_claimed or include_delayed else None) or []
        return [json.loads(each['body']) for each in messages], messages[-1]['id'] if messages else marker

    def get(self, queue: str, *ids: str) -> list[Any]:
        found = [self._ask('GET', f'/{queue}/{each}') for each in ids]
        return [json.loads(each['body']) for each in found if each]

    def claim(self, queue: str, limit: int = 10, ttl: int = 60, grace: int = 60) -> list[Held]:
        messages = self._ask('POST', f'/{queue}', limit=limit, hide=ttl, detail='all') or []
        ids = [each['id'] for each in messages]
        self.world.hidden_together.update(dict.fromkeys(ids, ids))
        return [Held(self._queue(queue).named.get(each['id']).id, json.loads(each['body']), each['id'])
                for each in messages]

    def _together(self, claim_id: str) -> list[str]:
        return self.world.hidden_together.get(claim_id, [claim_id])

    def held(self, queue: str, claim_id: str) -> list[Any]:
        messages = [self._ask_one('GET', queue, each) for each in self._together(claim_id)]
        return [json.loads(each['body']) for each in messages if each['hide']]

    def renew(self, queue: str, claim_id: str, ttl: int = 60) -> None:
        for each in self._together(claim_id):
            self._ask_one('POST', queue, each, hide=ttl)

    def release(self, queue: str, claim_id: str) -> None:
        for each in self._together(claim_id):
            self._ask_one('POST', queue, each, hide=0)

    def ack(self, queue: str, held: Held) -> None:
        self._ask_one('DELETE', queue, held.claim_id)

    def delete(self, queue: str, message_id: str) -> None:
        self._ask_one('DELETE', queue, message_id)

    def pop(self, queue: str, limit: int = 10) -> list[Any]:
        return [json.loads(each['body']) for each in self._ask('DELETE', f'/{queue}', limit=limit, detail='all') or []]
