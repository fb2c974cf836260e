"""The WSGI app: a proxy in front of the storage nodes."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import urlencode

from swift.common.header_key_dict import HeaderKeyDict
from swift.common.swob import (
    HTTPException,
    HTTPMethodNotAllowed,
    Request,
    Response,
    str_to_wsgi,
    wsgi_quote,
)
from swift.common.utils import Timestamp

from . import container_requests, object_requests
from .answers import UNAVAILABLE, Answer
from .clock import Clock
from .recording import Call, Fault, TrackedBody, make_matcher
from .routing import find_target, respond
from .stamps import ZERO, stamp
from .storage import Storage, Visit, answers_at_once

HANDLERS = {
    ('account', 'GET'): container_requests.read_account,
    ('account', 'HEAD'): container_requests.read_account,
    ('container', 'PUT'): container_requests.put_container,
    ('container', 'POST'): container_requests.post_container,
    ('container', 'GET'): container_requests.read_container,
    ('container', 'HEAD'): container_requests.read_container,
    ('container', 'DELETE'): container_requests.delete_container,
    ('object', 'PUT'): object_requests.put_object,
    ('object', 'POST'): object_requests.post_object,
    ('object', 'GET'): object_requests.read_object,
    ('object', 'HEAD'): object_requests.read_object,
    ('object', 'DELETE'): object_requests.delete_object,
}
TICK = 0.00001


class ModelSwift(Storage):
    """Swift in memory, from the proxy server on: what is to the right of our filters.

    It is called as a WSGI app; `request` is the short way to do so. Time comes from `clock`
    (seconds; a Clock unless given), chance from `seed`.

    `on_commit`, if set, is called with the Call between the check and the commit of every
    object write: all replicas have been asked, and none has stored anything yet. It may make
    further requests or switch to another green thread.

    Not modelled: handoff nodes, error limiting but for `shunned`, the proxy's container info cache (a
    container is looked up for every object request), erasure coding and objects of the
    same name in different policies, sharding, the expirer's queue, bulk UPDATE, account
    writes, COPY, large objects, versions, footers, delimiter listings. What an account says of
    its containers is always up to date.
    """

    def __init__(self, clock: Callable[[], float] | None = None, seed: int = 0,
                 replicas: int = 3, account_autocreate: bool = True,
                 policies: Sequence[str] = ('Policy-0',),
                 node_timeout: float = 10.0) -> None:
        super().__init__(clock or Clock(), random.Random(seed), replicas)
        self.account_autocreate = account_autocreate
        self.policies = list(policies)
        self.node_timeout = node_timeout
        self.on_commit: Callable[[Call], None] | None = None
        self.calls: list[Call] = []
        self._faults: list[Fault] = []
        self._open_bodies: list[TrackedBody] = []
        self._last_stamp = 0.0

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        req = Request(environ)
        call = Call.of(req)
        self.calls.append(call)
        fault = next((fault for fault in self._faults if fault.strikes(call)), None)
        if fault is None or fault.after_work:
            response = self._handle(req, call)
        if fault is not None:
            response = self._fail(req, fault)
        call.status = response.status_int
        chunks = response(environ, start_response)
        # Only now has a conditional or ranged request its final status.
        call.status = response.status_int
        body = TrackedBody(call, chunks)
        self._open_bodies = [other for other in self._open_bodies if not other.finished]
        self._open_bodies.append(body)
        return body

    def request(self, method: str, path: str, headers: Mapping | None = None,
                body: bytes | None = None, query: Mapping | None = None,
                **environ) -> Response:
        """Make a request and read its response; the path is not quoted."""
        return send(self, method, path, headers, body, query, **environ)

    def at(self, clock: Callable[[], float]) -> Callable:
        """The same Swift behind a proxy whose clock is another one."""
        def proxy(environ: dict, start_response: Callable) -> Iterable[bytes]:
            environ.setdefault('HTTP_X_TIMESTAMP', Timestamp(clock()).internal)
            return self(environ, start_response)
        return proxy

    def ask_object_server(self, replica: int, method: str, account: str, container: str, name: str,
                          at: float, visit: Visit = answers_at_once, *, open_expired: bool = False) -> Answer | None:
        """What one object server answers to HEAD or DELETE; None if it does not answer.

        There is no proxy in between, and no container is told. It is recorded as a call, and may be one that fails.
        """
        timestamp = stamp(Timestamp(at).internal)
        found = self.object_replicas(account, container, name)[replica]
        call = Call(method, f'/v1/{account}/{container}/{name}', '', HeaderKeyDict({'X-Timestamp': timestamp.internal}),
                    None)
        self.calls.append(call)

        def delete() -> Answer:
            answer, writes = found.check_delete(timestamp, None)
            if writes:
                found.delete(timestamp)
            return answer
        late = visit('ask' if method == 'HEAD' else 'write', replica)
        self.catch_up()
        if late and method == 'DELETE':
            self.postpone(late, lambda: replica in self.silent('objects') or delete())
        if late or replica in self.silent('objects'):
            return None
        fault = next((fault for fault in self._faults if fault.strikes(call)), None)
        if fault is not None:
            return Answer(fault.status)
        if method == 'HEAD':
            return found.read(timestamp, open_expired)
        if self.on_commit is not None:
            self.on_commit(call)
        return delete()

    @contextmanager
    def recording(self) -> Iterator[list[Call]]:
        """A list that has, when the block is left, the calls made in it."""
        start, calls = len(self.calls), []
        try:
            yield calls
        finally:
            calls.extend(self.calls[start:])

    def fail(self, match: Callable[[Call], bool] | tuple[str, str],
             status: int | str | BaseException = 503, times: float = 1, skip: int = 0,
             after_work: bool = False) -> Fault:
        """Make calls fail: after the first `skip` that match, the next `times` of them.

        `match` is a predicate on a Call, or a method and a part of the path. The status is
        a number; 'timeout', which lets `node_timeout` seconds pass and answers 503, as the
        proxy does when its nodes hang; or an exception to raise. With `after_work` the
        request is carried out and only its answer is lost.
        """
        fault = Fault(make_matcher(match), status, times, skip, after_work)
        self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Drop all faults and have every replica answer again; stored state stays."""
        self._faults.clear()
        for silent in (self.down, self.down_accounts, self.down_containers,
                       self.down_objects, self.shunned):
            silent.clear()

    def run_expirer(self) -> None:
        """Delete what has expired, as the object-expirer does; not recorded as calls."""
        now = self.clock()
        for (account, container, name), replicas in sorted(self._objects.items()):
            times = {replica.look(ZERO).delete_at for replica in replicas}
            for delete_at in sorted(time for time in times if 0 < float(time) <= now):
                req = _blank('DELETE', f'/v1/{account}/{container}/{name}', {
                    'X-If-Delete-At': delete_at.normal, 'X-Timestamp': delete_at.normal,
                    'X-Backend-Allow-Reserved-Names': 'true'}, None, None)
                self._handle(req, Call.of(req))

    def assert_no_leaks(self) -> None:
        """Complain about responses whose body was neither read to its end nor closed."""
        leaks = [f'{body.call.method} {body.call.path!r}' for body in self._open_bodies
                 if not body.finished]
        assert not leaks, f'response bodies left open: {leaks}'

    def create_account(self, account: str) -> None:
        self.account_names.add(account)

    def _handle(self, req: Request, call: Call) -> Response:
        self.catch_up()
        try:
            self._stamp(req)
            target = find_target(req)
            handler = HANDLERS.get((target.kind, req.method))
            if handler is None:
                return HTTPMethodNotAllowed(request=req)
            return handler(self, req, target, self._visit_of(call))
        except HTTPException as refusal:
            refusal.request = req
            return refusal

    def _visit_of(self, call: Call) -> Visit:
        if self.on_commit is None:
            return answers_at_once

        def visit(what: str, replica: int) -> float:
            if what == 'gap' and self.on_commit is not None:
                self.on_commit(call)
            return 0
        return visit

    def _stamp(self, req: Request) -> None:
        """Give the request the proxy's time; no two writes get the same one."""
        if 'X-Timestamp' not in req.headers:
            now = self.clock()
            if req.method not in ('GET', 'HEAD'):
                now = self.new_time(now)
            req.headers['X-Timestamp'] = Timestamp(now).internal
        req.ensure_x_timestamp()

    def new_time(self, now: float) -> float:
        """An instant for a write, later than all that it has given before."""
        self._last_stamp = max(now, self._last_stamp + TICK)
        return self._last_stamp

    def _fail(self, req: Request, fault: Fault) -> Response:
        if isinstance(fault.status, BaseException):
            raise fault.status
        if fault.status == 'timeout':
            if hasattr(self.clock, 'advance'):
                self.clock.advance(self.node_timeout)
            return respond(req, UNAVAILABLE)
        return respond(req, Answer(fault.status))


def send(app: Callable, method: str, path: str, headers: Mapping | None = None,
         body: bytes | None = None, query: Mapping | None = None, **environ) -> Response:
    """Make a request to any WSGI app and read its response; the path is not quoted."""
    response = _blank(method, path, headers, body, query, **environ).get_response(app)
    response.body  # noqa: B018 - reading it is the point
    return response


def _blank(method: str, path: str, headers: Mapping | None, body: bytes | None,
           query: Mapping | None, **environ) -> Request:
    if body is None and method == 'PUT':
        body = b''
    req = Request.blank(wsgi_quote(str_to_wsgi(path)), headers=headers, body=body,
                        environ={'REQUEST_METHOD': method, **environ})
    if query:
        req.query_string = urlencode(query)
    return req
