"""A light HTTP client for many connections in one thread, and operations in a closed loop over them.

An operation is a generator: it yields requests, is sent the answers, and returns how many messages it has handled.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 300  # seconds without any answer to any client; Zaqar takes a minute to delete a queue that is not empty
MOST_FAILURES = 100  # after which a measurement ends


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: bytes = b''
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Unexpected(Exception):
    """An answer that the operation cannot go on with; the text says which."""


Operation = Generator[Request, Answer, 'int | None']


class Client:
    """One connection that is kept open, and the operation that is under way on it.

    ``headers`` go with each request, after those of its own.
    """

    def __init__(self, url: str, number: int, headers: Mapping[str, str]):
        address = urlsplit(url)
        self.number = number
        self._address = (address.hostname, address.port or 80)
        self._prefix = address.path.rstrip('/')
        self._common = {'Host': address.netloc, **headers}
        self._sent = b''  # the request under way, to be said again once if the server had hung up
        self._again_said = False
        self._out = memoryview(b'')
        self._in = bytearray()
        self._method = ''
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.create_connection(self._address, timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def close(self) -> None:
        self.socket.close()

    @property
    def writing(self) -> bool:
        return bool(self._out)

    def send(self, request: Request) -> None:
        """Begin to send; call :meth:`flush` while :attr:`writing`."""
        lines = [f'{request.method} {self._prefix}{request.path} HTTP/1.1']
        lines += [f'{name}: {value}' for name, value in (self._common | {**request.headers}).items()]
        if request.body or request.method in ('PUT', 'POST', 'PATCH'):
            lines.append(f'Content-Length: {len(request.body)}')
        self._sent = '\r\n'.join([*lines, '', '']).encode('latin-1') + request.body
        self._method = request.method
        self._again_said = False
        self._out = memoryview(self._sent)
        self.flush()

    def flush(self) -> None:
        """Send what there is room for. Raises Unexpected."""
        try:
            self._out = self._out[self.socket.send(self._out):]
        except BlockingIOError:
            pass
        except OSError:
            self._again()

    def receive(self) -> Answer | None:
        """The answer, once it is here as a whole. Raises Unexpected."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return None
        except OSError:
            data = b''
        if not data:
            self._again()
            return None
        self._in += data
        answer, used = parse(self._in, self._method)
        if answer:
            del self._in[:used]
            if answer.headers.get('connection', '').lower() == 'close':
                self.close()
                self._connect()
        return answer

    def _again(self) -> None:
        """The server hung up. If nothing has come yet, the connection had been idle and the request was not read."""
        begun, self._in = bool(self._in), bytearray()
        self.close()
        self._connect()
        if begun or self._again_said:
            raise Unexpected('the connection broke off')
        self._again_said = True
        self._out = memoryview(self._sent)


def parse(data: bytearray, method: str) -> tuple[Answer | None, int]:
    """The answer at the start of ``data`` and its length; None while it is not complete."""
    end = data.find(b'\r\n\r\n')
    if end < 0:
        return None, 0
    first, *lines = bytes(data[:end]).decode('latin-1').split('\r\n')
    status = int(first.split(' ', 2)[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(':') for line in lines)}
    start = end + 4
    if method == 'HEAD' or status in (204, 304):
        return Answer(status, headers, b''), start
    if headers.get('transfer-encoding', '').lower() == 'chunked':
        return _parse_chunked(data, start, status, headers)
    length = int(headers.get('content-length', 0))
    if len(data) < start + length:
        return None, 0
    return Answer(status, headers, bytes(data[start:start + length])), start + length


def _parse_chunked(data: bytearray, at: int, status: int, headers: dict[str, str]) -> tuple[Answer | None, int]:
    chunks = []
    while (end := data.find(b'\r\n', at)) >= 0:
        size = int(bytes(data[at:end]).partition(b';')[0], 16)
        at = end + 2 + size + 2
        if len(data) < at:
            break
        if size == 0:
            return Answer(status, headers, b''.join(chunks)), at
        chunks.append(bytes(data[end + 2:end + 2 + size]))
    return None, 0


# -- many operations -------------------------------------------------------------------------------

@dataclass
class Sample:
    """What one measurement gave. Instants are on the clock of ``time.perf_counter``, durations in seconds."""

    seconds: float = 0
    rate: float = 0  # messages per second
    operations: int = 0
    messages: int = 0
    empty: int = 0  # operations that handled no message
    latencies: list[float] = field(default_factory=list)  # of operations
    client_cpu: float = 0  # seconds that this process computed
    failures: Counter[str] = field(default_factory=Counter)


@dataclass
class _Loop:
    """One client's loop: the operation under way and what became of those before."""

    client: Client
    next: Callable[[Client], Operation | None]
    operation: Operation | None = None
    began_at: float = 0
    ended_at: float = 0
    messages: int = 0
    writing: bool = False


def repeat(clients: Sequence[Client], operation: Callable[[Client], Operation], *, seconds: float = 0,
           times: int = 1) -> Sample:
    """Have each client do the operation again and again: for ``seconds``, and ``times`` times at least.

    An operation that returns None does not count, neither its messages nor its latency: it is there for the load.
    One that fails is counted as a failure; then the client goes on with the next.
    """
    sample, done = Sample(), Counter()
    began = time.perf_counter()

    def following(client: Client) -> Operation | None:
        if done[client.number] >= times and time.perf_counter() - began >= seconds:
            return None
        done[client.number] += 1
        return operation(client)

    cpu = time.process_time()
    loops = [_Loop(client, following) for client in clients]
    _drive(loops, sample)
    sample.client_cpu = time.process_time() - cpu
    sample.seconds = time.perf_counter() - began
    sample.rate = sum(loop.messages / (loop.ended_at - began) for loop in loops if loop.messages)
    return sample


def _drive(loops: list[_Loop], sample: Sample) -> None:
    with selectors.DefaultSelector() as selector:
        for loop in loops:
            _begin(loop, sample)
            _go_on(loop, None, None, sample)
            if loop.operation:
                selector.register(loop.client.socket, selectors.EVENT_READ, loop)
                _watch(selector, loop)
        while selector.get_map():
            ready = selector.select(TIMEOUT)
            if not ready:
                raise TimeoutError(f'no answer for {TIMEOUT} seconds')
            for key, events in ready:
                loop, before = key.data, key.fileobj
                _step(loop, events, sample)
                if loop.operation is None or loop.client.socket is not before:
                    selector.unregister(before)
                    loop.writing = False
                    if loop.operation:
                        selector.register(loop.client.socket, selectors.EVENT_READ, loop)
                if loop.operation:
                    _watch(selector, loop)


def _watch(selector: selectors.BaseSelector, loop: _Loop) -> None:
    """Ask to be told when there is room to write, if there is something to write, and only then."""
    if loop.client.writing != loop.writing:
        loop.writing = loop.client.writing
        selector.modify(loop.client.socket, selectors.EVENT_READ | selectors.EVENT_WRITE * loop.writing, loop)


def _step(loop: _Loop, events: int, sample: Sample) -> None:
    answer, failure = None, None
    try:
        if events & selectors.EVENT_WRITE:
            loop.client.flush()
        if events & selectors.EVENT_READ:
            answer = loop.client.receive()
    except Unexpected as broken:
        failure = broken
    if answer or failure:
        _go_on(loop, answer, failure, sample)


def _go_on(loop: _Loop, answer: Answer | None, failure: Unexpected | None, sample: Sample) -> None:
    """Send the operation's next request, or the first one of the next operation."""
    while loop.operation:
        try:
            if failure:
                raise failure
            loop.client.send(loop.operation.send(answer))
            return
        except StopIteration as finished:
            _note(loop, finished.value, sample)
        except Unexpected as unexpected:
            sample.failures[str(unexpected)] += 1
        answer = failure = None
        _begin(loop, sample)


def _begin(loop: _Loop, sample: Sample) -> None:
    loop.operation = loop.next(loop.client) if sample.failures.total() < MOST_FAILURES else None
    loop.began_at = time.perf_counter()


def _note(loop: _Loop, messages: int | None, sample: Sample) -> None:
    if messages is not None:
        loop.ended_at = time.perf_counter()
        loop.messages += messages
        sample.operations += 1
        sample.messages += messages
        sample.empty += not messages
        sample.latencies.append(loop.ended_at - loop.began_at)
