"""The storage servers as the janitor asks them: one by one, with no proxy in between.

A DELETE through a proxy costs an update of every container replica. Here only the object servers are asked, and all
rows of a batch go at once afterwards, with one request to each container replica.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any, Protocol

from eventlet import Timeout
from swift.common import utils
from swift.common.bufferedhttp import BufferedHTTPConnection, http_connect
from swift.common.direct_client import direct_head_container, gen_headers
from swift.common.exceptions import ClientException
from swift.common.ring import Ring

from swiftqueue.errors import Unavailable

_ANSWER_SECONDS = 20  # that a server may take

Node = dict[str, Any]


class Objects(Protocol):
    """A container's objects, each on all its primary replicas. Where one of those is not as it should be, ask Swift."""

    def deleted_at(self, name: str) -> float:
        """The instant of the newest tombstone; 0 unless every replica answers that it does not have the object."""

    def delete(self, name: str, instant: float) -> bool:
        """Whether it is now deleted on every replica, as of that instant; the container is not told."""


class Replicas(Protocol):
    """A container's replicas, each asked by itself. Unavailable is raised unless all of them answer."""

    def headers(self, account: str, container: str) -> list[dict[str, str]]:
        """What each says of the container, names in lower case; empty from one that has none."""

    def mark_deleted(self, account: str, container: str, deleted_at: dict[str, float]) -> None:
        """Have each know that these objects were deleted, and when: a row that comes late shows them no more."""

    def objects(self, account: str, container: str) -> AbstractContextManager[Objects]:
        """The container's objects, to be asked about one after the other."""


class DirectReplicas:
    """:class:`Replicas` of real servers.

    ``object_ring`` gives the ring of a storage policy by its index.
    """

    def __init__(self, ring: Ring, object_ring: Callable[[int], Ring]):
        self.ring = ring
        self.object_ring = object_ring

    def headers(self, account: str, container: str) -> list[dict[str, str]]:
        return [{key.lower(): value for key, value in (headers or {}).items()}
                for headers in self._ask(direct_head_container, account, container)]

    def mark_deleted(self, account: str, container: str, deleted_at: dict[str, float]) -> None:
        if None in self._ask(_mark_deleted, account, container, deleted_at):
            raise Unavailable('A replica has yet to hear of the container.')

    @contextmanager
    def objects(self, account: str, container: str) -> Iterator[DirectObjects]:
        policies = {headers.get('x-backend-storage-policy-index') for headers in self.headers(account, container)}
        if None in policies or len(policies) > 1:
            raise Unavailable('The replicas of the container do not agree on its storage policy.')
        policy = policies.pop()
        servers = _Servers({'X-Backend-Storage-Policy-Index': policy})
        try:
            yield DirectObjects(account, container, self.object_ring(int(policy)), servers)
        finally:
            servers.close()

    def _ask(self, question: Callable, account: str, container: str, *arguments: Any) -> list[Any]:
        partition, nodes = self.ring.get_nodes(account, container)
        return [_answer(partial(question, node, partition, account, container, *arguments), node)
                for node in nodes]


def _answer(question: Callable[[], Any], node: Node) -> Any:
    """What the node says; None if it has no such container."""
    try:
        return question()
    except ClientException as error:
        if error.http_status == 404:
            return None
        reason: Any = error
    except (OSError, HTTPException, Timeout) as error:
        reason = error
    raise Unavailable(f'Container server {node["ip"]}:{node["port"]} cannot be asked: {reason}')


def _mark_deleted(node: Node, partition: int, account: str, container: str, deleted_at: dict[str, float]) -> bool:
    """Merge rows of deleted objects into the replica's database, as the replicator would.

    Rows merge by timestamp, so what is newer stands.
    """
    head = direct_head_container(node, partition, account, container)
    policy = head['X-Backend-Storage-Policy-Index']
    rows = [{'name': name, 'created_at': utils.Timestamp(instant).internal, 'deleted': 1, 'size': 0,
             'content_type': 'application/deleted', 'etag': 'noetag', 'storage_policy_index': int(policy)}
            for name, instant in deleted_at.items()]
    body = json.dumps(rows).encode('ascii')
    headers = gen_headers({'X-Timestamp': utils.Timestamp.now().internal, 'X-Backend-Storage-Policy-Index': policy,
                           'Content-Length': str(len(body))})
    with Timeout(_ANSWER_SECONDS):
        connection = http_connect(node['ip'], node['port'], node['device'], partition, 'UPDATE',
                                  f'/{account}/{container}', headers=headers)
        connection.send(body)
        response = connection.getresponse()
        response.read()
    if response.status != 202:
        raise ClientException('UPDATE refused', http_status=response.status)
    return True


class DirectObjects:
    """:class:`Objects` of one container on real servers."""

    def __init__(self, account: str, container: str, ring: Ring, servers: _Servers):
        self.account = account
        self.container = container
        self.ring = ring
        self.servers = servers

    def deleted_at(self, name: str) -> float:
        # An expired object looks deleted, with its own instant for that of the tombstone; this tells them apart.
        answers = self._ask('HEAD', name, {'X-Backend-Open-Expired': 'true'}, {404})
        return max((float(utils.Timestamp(each.getheader('X-Backend-Timestamp', '0'))) for each in answers), default=0)

    def delete(self, name: str, instant: float) -> bool:
        # Where there is nothing to delete the answer is 404, and the tombstone is written all the same.
        return bool(self._ask('DELETE', name, {'X-Timestamp': utils.Timestamp(instant).internal}, {204, 404}))

    def _ask(self, method: str, name: str, headers: dict[str, str], wanted: set[int]) -> list[HTTPResponse]:
        """What all primaries answer; nothing unless each answers with a status that is wanted."""
        partition, nodes = self.ring.get_nodes(self.account, self.container, name)
        if any(self.servers.failed(node) for node in nodes):
            return []
        path, answers = f'/{partition}/{self.account}/{self.container}/{name}', []
        for node in nodes:
            answer = self.servers.ask(node, method, path, headers)
            if answer is None or answer.status not in wanted:
                return []
            answers.append(answer)
        return answers


class _Servers:
    """Connections to object servers, used for one request after the other. What fails once is not asked again."""

    def __init__(self, headers: dict[str, str]):
        self._headers = dict(gen_headers(headers))
        self._idle: dict[tuple[str, int], list[BufferedHTTPConnection]] = defaultdict(list)
        self._failed: set[tuple[str, int, str]] = set()

    def failed(self, node: Node) -> bool:
        return (node['ip'], node['port'], node['device']) in self._failed

    def ask(self, node: Node, method: str, path: str, headers: dict[str, str]) -> HTTPResponse | None:
        """The answer, None if there is none or it is an error of the server or its device."""
        address = node['ip'], node['port']
        connection = self._idle[address].pop() if self._idle[address] else BufferedHTTPConnection(*address)
        try:
            with Timeout(_ANSWER_SECONDS):
                connection.request(method, utils.quote(f'/{node["device"]}{path}'), headers=self._headers | headers)
                response = connection.getresponse()
                response.read()
        except (OSError, HTTPException, Timeout):
            connection.close()
            response = None
        else:
            self._idle[address].append(connection)
        if response is None or response.status >= 500:
            self._failed.add((*address, node['device']))
            return None
        return response

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
