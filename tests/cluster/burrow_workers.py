"""Workers of Burrow on every proxy."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import requests
from exclusive import session

WORKERS = 16


class Workers:
    """They have a queue of their own, and one connection each; every other one uses the second proxy."""

    def __init__(self, urls: list[str]):
        self.queue = f'/burrow/v1.0/AUTH_test/burrow-{uuid.uuid4().hex[:8]}'
        self.urls = urls
        token = session(urls[0]).headers['X-Auth-Token']
        self.local = threading.local()
        self.headers = {'X-Auth-Token': token}

    def ask(self, worker: int, method: str, path: str = '', **params) -> requests.Response:
        opened = self.local.__dict__.setdefault('session', requests.Session())
        answer = opened.request(method, f'{self.urls[worker % len(self.urls)]}{self.queue}{path}', params=params,
                                headers=self.headers, data=b'%d' % worker if method == 'PUT' else None, timeout=60)
        assert answer.status_code in (200, 201, 204, 404), answer.text
        return answer

    def each(self, work, items) -> list:
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(work, items))

    def put(self, names: list[str]) -> None:
        """Each through both proxies at the same time; one of the two must be told that it is new."""
        both = [(name, worker) for name in names for worker in (0, 1)]
        answers = self.each(lambda put: self.ask(put[1], 'PUT', f'/{put[0]}', ttl=3600), both)
        for (first, second), name in zip(zip(answers[::2], answers[1::2], strict=True), names, strict=True):
            assert sorted((first.status_code, second.status_code)) == [201, 204], name

    def take_all(self, method: str, **params) -> list[str]:
        """The ids of all that the workers were given, until there is nothing more."""
        def work(worker: int) -> list[str]:
            given = []
            while (answer := self.ask(worker, method, detail='id', **params)).status_code == 200:
                given += answer.json()
            return given
        return [name for given in self.each(work, range(WORKERS)) for name in given]
