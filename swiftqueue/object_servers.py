"""Storage servers, asked one by one over kept connections, with no proxy-server in between.

For object servers there are two reasons for that; for container servers see majorities.py. A read of all
replicas through Swift's proxy opens a connection to each of them, and to as many handoffs, one after the other; where
all primaries have the object, the same can be had for less than half of that. And such a read is content with any one
replica that answers, be it one that missed a delete, and does not tell.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from eventlet import Timeout
from swift.common.bufferedhttp import BufferedHTTPConnection
from swift.common.ring import Ring
from swift.common.utils import Timestamp, quorum_size, quote

from swiftqueue import policies
from swiftqueue.direct import Node

ANSWER_SECONDS = 1  # that a server may take before it is Swift's turn
PATIENCE_SECONDS = 5  # that it may take where there is no quorum without it
SHUN_SECONDS = 10  # for which a server that failed is not asked again
_MOST_IDLE = 20  # connections kept to one server
_IDLE_SECONDS = 30  # for which they are kept; servers close theirs after a minute


@dataclass(frozen=True)
class _Request:
    """What several servers are asked; the path begins with the partition."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ''
    body: bytes = b''

    def send(self, connection: BufferedHTTPConnection, node: Node) -> None:
        path = quote(f'/{node["device"]}{self.path}') + (f'?{self.query}' if self.query else '')
        connection.request(self.method, path, self.body or None, self.headers)


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
        nodes, path = _primaries(ring, account, container, name)
        if any(map(self._is_shunned, nodes)):
            return []
        request, answers = _Request(method, path, headers), []
        for node in nodes:
            answer = self._ask(node, request, self._answer_seconds)
            if answer is None or answer.status not in wanted:
                return []
            answers.append(answer)
        return answers

    def ask_each(self, ring: Ring, method: str, account: str, container: str, name: str, headers: Mapping[str, str],
                 *, coded: bool = False) -> tuple[list[HTTPResponse], int]:
        """What the primaries of the object answer, and how many there are.

        Those that fail, or did a while ago, are waited for only as long as fewer than a quorum have answered.
        """
        nodes, path = _primaries(ring, account, container, name)
        request, answers = _Request(method, path, headers), {}
        # All are at it before the first answer is waited for: on a busy machine each of them takes its time.
        begun = {number: self._begin(node, request)
                 for number, node in enumerate(nodes) if not self._is_shunned(node)}
        for number, connection in begun.items():
            if answer := self._ask(nodes[number], request, self._answer_seconds, connection):
                answers[number] = answer
        for number, node in enumerate(nodes):
            if len(answers) >= _quorum(len(nodes), coded):
                break
            if number not in answers and (answer := self._ask(node, request, PATIENCE_SECONDS)):
                answers[number] = answer
        return list(answers.values()), len(nodes)

    def ask_most(self, ring: Ring, method: str, account: str, container: str, headers: Mapping[str, str],
                 good: set[int], *, query: str = '', body: bytes = b'', all_healthy: bool = False,
                 ) -> tuple[list[HTTPResponse], int]:
        """What primaries of the container answer, asked in any order until more than half of all gave a good answer.

        And how many there are. ``all_healthy``: the others are asked too, unless they failed lately.
        """
        nodes, path = _primaries(ring, account, container)
        request = _Request(method, path, headers, query, body)
        answers: list[HTTPResponse] = []
        for node in sorted(random.sample(nodes, len(nodes)), key=self._is_shunned):
            enough = 2 * sum(answer.status in good for answer in answers) > len(nodes)
            if enough and (not all_healthy or self._is_shunned(node)):
                break
            if answer := self._ask(node, request, self._answer_seconds):
                answers.append(answer)
        return answers, len(nodes)

    def _is_shunned(self, node: Node) -> bool:
        return self._shunned.get(_device(node), 0) > self._monotonic()

    def _ask(self, node: Node, request: _Request, seconds: float, begun: BufferedHTTPConnection | None = None,
             ) -> HTTPResponse | None:
        """The answer, None if there is none or it is an error of the server or its device."""
        response = None
        try:
            with Timeout(seconds):
                if kept := begun or self._begin(node, request):
                    try:
                        response = self._receive(node, kept)
                    except (OSError, HTTPException):
                        pass  # the server may have closed it, or been restarted
                if response is None:
                    fresh = BufferedHTTPConnection(*_address(node))
                    request.send(fresh, node)
                    response = self._receive(node, fresh)
        except (OSError, HTTPException, Timeout):
            response = None
        if response is None or response.status >= 500:
            self._shunned[_device(node)] = self._monotonic() + self._shun_seconds
            return None
        return response

    def _begin(self, node: Node, request: _Request) -> BufferedHTTPConnection | None:
        """A kept connection on which the request is under way now, if one could take it."""
        if kept := self._kept(_address(node)):
            try:
                request.send(kept, node)
                return kept
            except (OSError, HTTPException):
                kept.close()
        return None

    def _kept(self, address: tuple[str, int]) -> BufferedHTTPConnection | None:
        idle, now = self._idle[address], self._monotonic()
        while idle:
            since, connection = idle.pop()
            if now - since < _IDLE_SECONDS:
                return connection
            connection.close()
        return None

    def _receive(self, node: Node, connection: BufferedHTTPConnection) -> HTTPResponse:
        try:
            response = connection.getresponse()
            response.content = response.read()
        except BaseException:  # a Timeout is one, and half an answer must not be taken for the next
            connection.close()
            raise
        idle = self._idle[_address(node)]
        if len(idle) < _MOST_IDLE:
            idle.append((self._monotonic(), connection))
        else:
            connection.close()
        return response

    def close(self) -> None:
        for idle in self._idle.values():
            for _, connection in idle:
                connection.close()


def _quorum(primaries: int, coded: bool) -> int:
    """As many as Swift wants of a write; of fragments more than half, since it takes a delete for done with half."""
    return primaries // 2 + 1 if coded else quorum_size(primaries)


def _primaries(ring: Ring, account: str, container: str, name: str | None = None) -> tuple[list[Node], str]:
    """The nodes, and the path of the object, or of the container, on each device."""
    partition, nodes = ring.get_nodes(account, container, name)
    return nodes, '/'.join(filter(None, (f'/{partition}', account, container, name)))


def _address(node: Node) -> tuple[str, int]:
    return node['ip'], node['port']


def _device(node: Node) -> tuple[str, int, str]:
    return node['ip'], node['port'], node['device']


@dataclass(frozen=True)
class Replica:
    """What one primary says of an object. Header names are in lower case."""

    status: int  # 200, or 404 with or without a tombstone
    headers: dict[str, str]

    @property
    def written_at(self) -> Timestamp:
        """The instant of the PUT or DELETE; zero where the replica knows of neither."""
        return Timestamp(self.headers.get('x-backend-data-timestamp') or self.headers.get('x-backend-timestamp', 0))

    @property
    def etag(self) -> str | None:
        """That of the whole object, also where the replica is a fragment."""
        return self.headers.get('x-object-sysmeta-ec-etag') or self.headers.get('etag')


@dataclass(frozen=True)
class Replicas:
    """What those primaries of an object say that answer."""

    found: tuple[Replica, ...]
    primaries: int
    coded: bool = False  # each has a fragment of the object

    @property
    def is_quorum(self) -> bool:
        """Whether one of them, at least, heard of every write and delete that was acknowledged by primaries."""
        return len(self.found) >= _quorum(self.primaries, self.coded)

    @property
    def newest(self) -> Replica:
        """Data stands against a tombstone of the same instant: an expired object looks like one."""
        return max(self.found, key=lambda replica: (replica.written_at, replica.status == 200))

    @property
    def agreed(self) -> dict[str, str] | None:
        """The headers of the newest if every primary has the object, and those equally new are the same."""
        if len(self.found) < self.primaries or any(replica.status != 200 for replica in self.found):
            return None
        newest = self.newest
        same = {replica.etag for replica in self.found if replica.written_at == newest.written_at}
        return newest.headers if len(same) == 1 else None


class Whereabouts:
    """In which regions and zones the primaries of an object are, each as two numbers.

    ``object_ring`` gives the ring of a storage policy by its index; it is the proxy's own, and so is as new as that.
    """

    def __init__(self, object_ring: Callable[[int], Ring]):
        self._object_ring = object_ring

    def __call__(self, policy: int, account: str, container: str, name: str) -> list[tuple[int, int]]:
        _, nodes = self._object_ring(policy).get_nodes(account, container, name)
        return [(node['region'], node['zone']) for node in nodes]


class Primaries:
    """What the primaries of an object say, for all requests of a proxy process.

    ``object_ring`` gives the ring of a storage policy by its index.
    """

    def __init__(self, object_ring: Callable[[int], Ring]):
        self._object_ring = object_ring
        self._servers = Servers(ANSWER_SECONDS, SHUN_SECONDS)

    def __call__(self, policy: int, account: str, container: str, name: str, trans_id: str) -> Replicas:
        coded = policies.is_coded(policy)
        answers, primaries = self._servers.ask_each(
            self._object_ring(policy), 'HEAD', account, container, name, {
                'X-Backend-Storage-Policy-Index': str(policy), 'X-Backend-Allow-Reserved-Names': 'true',
                'X-Timestamp': Timestamp.now().internal, 'X-Trans-Id': trans_id, 'User-Agent': 'swiftqueue'},
            coded=coded)
        return Replicas(tuple(
            Replica(answer.status, {key.lower(): value for key, value in answer.getheaders()})
            for answer in answers if answer.status in (200, 404)), primaries, coded)
