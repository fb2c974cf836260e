"""A client of Burrow over the filter in memory, with the verbs of Burrow's own."""

from __future__ import annotations

import json
from typing import Any


class Burrow:
    """One account's queues. An answer that is no success is returned as it is, as every other one."""

    def __init__(self, wire: Any, account: str = 'AUTH_test', user: str | None = 'tester', prefix: str = '/burrow'):
        self.wire = wire
        self.root = f'{prefix}/v1.0'
        self.account = account
        self.user = user

    def ask(self, method: str, path: str = '', body: bytes | None = None, **params: Any) -> Any:
        """``path`` is below the account; ``params`` are those of the query."""
        query = '&'.join(f'{name}={value}' for name, value in params.items())
        line = f'{method} {self.root}/{self.account}{path}' + (f'?{query}' if query else '')
        return self.wire.request(line, body, user=self.user, headers={'Client-ID': None})

    def put(self, path: str, body: bytes = b'body', **params: Any) -> int:
        return self.ask('PUT', path, body, **params).status

    def get(self, path: str, **params: Any) -> Any:
        return self.ask('GET', path, **params)

    def post(self, path: str, **params: Any) -> Any:
        return self.ask('POST', path, **params)

    def delete(self, path: str, **params: Any) -> Any:
        return self.ask('DELETE', path, **params)

    def ids(self, method: str, path: str = '/q', **params: Any) -> list[str]:
        """The ids in an answer, none for 404."""
        answer = self.ask(method, path, **params | {'detail': 'id'})
        if answer.status == 404:
            return []
        assert answer.status == 200, answer
        return json.loads(answer.body)
