"""Object servers, asked one by one over kept connections, with no proxy-server in between.

A read of all replicas through Swift's proxy opens a connection to each of them, and to as many handoffs, one after the
other. Where all primaries answer, the same can be had for less than half of that. Whatever is not as it should be is
left to Swift.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any

from eventlet import Timeout
from swift.common.bufferedhttp import BufferedHTTPConnection
from swift.common.ring import Ring
from swift.common.storage_policy import POLICIES, REPL_POLICY
from swift.common.utils import Timestamp, quote

ANSWER_SECONDS = 1  # that a server may take before it is Swift's turn
SHUN_SECONDS = 10  # for which a server that failed is not asked again
_MOST_IDLE = 20  # connections kept to one server
_IDLE_SECONDS = 30  # for which they are kept; servers close theirs after a minute

Node = dict[str, Any]


class Servers:
    """Connections to object servers. One that fails is not asked again for ``shun_seconds``."""

    def __init__(self, answer_seconds: float, shun_seconds: float, monotonic: Callable[[], float] = time.monotonic):
        self._answer_seconds = answer_seconds
        self._shun_seconds = shun_seconds
        self._monotonic = monotonic
        self._idle: dict[tuple[str, int], list[tuple[float, BufferedHTTPConnection]]] = defaultdict(list)
        self._shunned: dict[tuple[str, int, str], float] = {}  # until when, by device

    def ask_all(self, ring: Ring, method: str, account: str, container: str, name: str, headers: Mapping[str, str],
                wanted: set[int]) -> list[HTTPResponse]:
        """What all primaries of the object answer; nothing unless each answers with a status that is wanted."""
        partition, nodes = ring.get_nodes(account, container, name)
        now = self._monotonic()
        if any(self._shunned.get(_device(node), 0) > now for node in nodes):
            return []
        answers = []
        for node in nodes:
            path = quote(f'/{node["device"]}/{partition}/{account}/{container}/{name}')
            answer = self._ask(node, method, path, headers)
            if answer is None or answer.status not in wanted:
                return []
            answers.append(answer)
        return answers

    def _ask(self, node: Node, method: str, path: str, headers: Mapping[str, str]) -> HTTPResponse | None:
        """The answer, None if there is none or it is an error of the server or its device."""
        address, response = (node['ip'], node['port']), None
        try:
            with Timeout(self._answer_seconds):
                if kept := self._kept(address):
                    try:
                        response = self._try(address, kept, method, path, headers)
                    except (OSError, HTTPException):
                        pass  # the server may have closed it, or been restarted
                if response is None:
                    response = self._try(address, BufferedHTTPConnection(*address), method, path, headers)
        except (OSError, HTTPException, Timeout):
            response = None
        if response is None or response.status >= 500:
            self._shunned[_device(node)] = self._monotonic() + self._shun_seconds
            return None
        return response

    def _kept(self, address: tuple[str, int]) -> BufferedHTTPConnection | None:
        idle, now = self._idle[address], self._monotonic()
        while idle:
            since, connection = idle.pop()
            if now - since < _IDLE_SECONDS:
                return connection
            connection.close()
        return None

    def _try(self, address: tuple[str, int], connection: BufferedHTTPConnection, method: str, path: str,
             headers: Mapping[str, str]) -> HTTPResponse:
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            response.read()
        except BaseException:  # a Timeout is one, and half an answer must not be taken for the next
            connection.close()
            raise
        idle = self._idle[address]
        if len(idle) < _MOST_IDLE:
            idle.append((self._monotonic(), connection))
        else:
            connection.close()
        return response

    def close(self) -> None:
        for idle in self._idle.values():
            for _, connection in idle:
                connection.close()


def _device(node: Node) -> tuple[str, int, str]:
    return node['ip'], node['port'], node['device']


class NewestHeaders:
    """What the newest replica of an object says, for all requests of a proxy process.

    ``object_ring`` gives the ring of a storage policy by its index.
    """

    def __init__(self, object_ring: Callable[[int], Ring]):
        self._object_ring = object_ring
        self._servers = Servers(ANSWER_SECONDS, SHUN_SECONDS)

    def __call__(self, policy: int, account: str, container: str, name: str, trans_id: str,
                 ) -> dict[str, str] | None:
        """The headers, names in lower case; None unless all primaries have the object and agree on the newest."""
        if POLICIES.get_by_index(policy).policy_type != REPL_POLICY:
            return None
        answers = self._servers.ask_all(
            self._object_ring(policy), 'HEAD', account, container, name, {
                'X-Backend-Storage-Policy-Index': str(policy), 'X-Backend-Allow-Reserved-Names': 'true',
                'X-Timestamp': Timestamp.now().internal, 'X-Trans-Id': trans_id, 'User-Agent': 'swiftqueue'}, {200})
        return newest([{key.lower(): value for key, value in answer.getheaders()} for answer in answers])


def newest(replicas: list[dict[str, str]]) -> dict[str, str] | None:
    """The headers of the newest; None if there are none, or if two that are equally new are not the same."""
    if not replicas:
        return None
    instants = [Timestamp(headers['x-backend-timestamp']) for headers in replicas]
    latest = [headers for headers, instant in zip(replicas, instants, strict=True) if instant == max(instants)]
    return latest[0] if len({headers.get('etag') for headers in latest}) == 1 else None
