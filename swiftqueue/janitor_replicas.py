"""The storage servers as the janitor asks them: one by one, with no proxy in between.

A DELETE through a proxy costs an update of every container replica. Here only the object servers are asked, and all
rows of a batch go at once afterwards, with one request to each container replica.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.client import HTTPResponse
from typing import Any, Protocol

from eventlet import Timeout
from swift.common import utils
from swift.common.bufferedhttp import http_connect
from swift.common.direct_client import direct_head_container, gen_headers
from swift.common.exceptions import ClientException
from swift.common.ring import Ring

from swiftqueue.container_servers import ContainerServers
from swiftqueue.direct import Node, answer
from swiftqueue.errors import Unavailable
from swiftqueue.object_servers import Servers

_ANSWER_SECONDS = 20  # that a server may take


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
        self.headers = ContainerServers(ring).headers

    def mark_deleted(self, account: str, container: str, deleted_at: dict[str, float]) -> None:
        if None in self._ask(_mark_deleted, account, container, deleted_at):
            raise Unavailable('A replica has yet to hear of the container.')

    @contextmanager
    def objects(self, account: str, container: str) -> Iterator[DirectObjects]:
        policies = {headers.get('x-backend-storage-policy-index') for headers in self.headers(account, container)}
        if None in policies or len(policies) > 1:
            raise Unavailable('The replicas of the container do not agree on its storage policy.')
        policy = policies.pop()
        servers = Servers(_ANSWER_SECONDS, math.inf)
        try:
            yield DirectObjects(account, container, self.object_ring(int(policy)), policy, servers)
        finally:
            servers.close()

    def _ask(self, question: Callable, account: str, container: str, *arguments: Any) -> list[Any]:
        partition, nodes = self.ring.get_nodes(account, container)
        return [answer(node, partial(question, node, partition, account, container, *arguments))
                for node in nodes]


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

    def __init__(self, account: str, container: str, ring: Ring, policy: str, servers: Servers):
        self.account = account
        self.container = container
        self.ring = ring
        self.servers = servers
        self._headers = dict(gen_headers({'X-Backend-Storage-Policy-Index': policy}))

    def deleted_at(self, name: str) -> float:
        # An expired object looks deleted, with its own instant for that of the tombstone; this tells them apart.
        answers = self._ask('HEAD', name, {'X-Backend-Open-Expired': 'true'}, {404})
        return max((float(utils.Timestamp(each.getheader('X-Backend-Timestamp', '0'))) for each in answers), default=0)

    def delete(self, name: str, instant: float) -> bool:
        # Where there is nothing to delete the answer is 404, and the tombstone is written all the same.
        return bool(self._ask('DELETE', name, {'X-Timestamp': utils.Timestamp(instant).internal}, {204, 404}))

    def _ask(self, method: str, name: str, headers: dict[str, str], wanted: set[int]) -> list[HTTPResponse]:
        return self.servers.ask_all(self.ring, method, self.account, self.container, name, self._headers | headers,
                                    wanted)
