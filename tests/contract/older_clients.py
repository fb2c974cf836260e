"""Messaging v1.1 and v1 with the verbs of the contract suite. What a version does not have is asked of v2."""

from __future__ import annotations

from typing import Any

from clients import Held, MessagingClient
from world import World


class MessagingV11Client(MessagingClient):
    path = '/v1.1'

    def __init__(self, world: World, proxy: int = 0):
        super().__init__(world, proxy)
        self.newer = MessagingClient(world, proxy)

    def purge(self, queue: str) -> None:
        self.newer.purge(queue)

    def set_attribute(self, queue: str, name: str, value: Any) -> None:
        self.newer.set_attribute(queue, name, value)

    def post(self, queue: str, *bodies: Any, delay: int | None = None, **options: Any) -> list[str]:
        if delay is not None:
            return self.newer.post(queue, *bodies, delay=delay, **options)
        return super().post(queue, *bodies, **options)

    def list(self, *args: Any, include_delayed: bool = False, **options: Any) -> tuple[list[Any], str | None]:
        if include_delayed:
            return self.newer.list(*args, include_delayed=True, **options)
        return super().list(*args, **options)


class MessagingV1Client(MessagingV11Client):
    path = '/messaging/v1'

    def create(self, queue: str, **attributes: Any) -> bool:
        self._ask('PUT', f'/{queue}')
        new = self.status == 201
        if new and attributes:
            self._ask('PUT', f'/{queue}/metadata', {
                name: value for name, value in attributes.items() if not name.startswith('_')})
            for name in attributes:
                if name.startswith('_'):
                    self.set_attribute(queue, name, attributes[name])
        return new

    def attributes(self, queue: str) -> dict[str, Any]:
        return self._ask('GET', f'/{queue}/metadata')

    def queues(self, marker: str = '', limit: int | None = None) -> list[str]:
        query = f'?marker={marker}' + (f'&limit={limit}' if limit else '')
        listing = self._ask('GET', query)
        return [queue['name'] for queue in listing['queues']] if listing else []

    def _new_messages(self, messages: list[dict[str, Any]]) -> Any:
        return [{'ttl': 3600} | message for message in messages]

    def _page(self, answer: Any) -> dict[str, Any]:
        return answer or {'messages': [], 'links': []}

    def get(self, queue: str, *ids: str) -> list[Any]:
        return [message['body'] for message in self._ask('GET', f'/{queue}/messages?ids={",".join(ids)}') or []]

    def claim(self, queue: str, limit: int = 10, ttl: int = 60, grace: int = 60) -> list[Held]:
        claim = self._ask('POST', f'/{queue}/claims?limit={limit}', {'ttl': ttl, 'grace': grace})
        hrefs = [(message['href'].rpartition('/')[2].split('?claim_id='), message['body']) for message in claim or []]
        return [Held(message_id, body, claim_id) for (message_id, claim_id), body in hrefs]

    def pop(self, queue: str, limit: int = 10) -> list[Any]:
        return self.newer.pop(queue, limit)
