"""The only file that talks to Swift: sub-requests into the rest of the proxy pipeline, and authorization.

Three of Swift's habits shape it. A PUT answered 202 was *not* stored, because some replica holds something newer: only
201 is success. X-Timestamp is ours to set, so all tries of one operation carry one instant and cannot undo what came
later. And If-None-Match: * is checked before the write, not with it, so a 201 proves less than it seems to (claims.py).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

from eventlet import GreenPile, Timeout
from swift.common.http import is_success
from swift.common.middleware.crypto.encrypter import Encrypter
from swift.common.swob import Request, str_to_wsgi
from swift.common.utils import Timestamp
from swift.common.wsgi import make_pre_authed_env
from swift.proxy.controllers.base import get_container_info

from swiftqueue import policies
from swiftqueue.cache import Cache
from swiftqueue.errors import Forbidden, Invalid, QueueError, QuotaExceeded, Unauthorized, Unavailable
from swiftqueue.majorities import Majorities, Row, deleted_row, new_row
from swiftqueue.names import ROW
from swiftqueue.object_servers import Replicas

TICK = 0.00001  # the resolution of Swift's timestamps, in seconds
SERVICE_ACCOUNT = '.swiftqueue'  # no tenant's account begins with a dot
LISTING_LIMIT = 10000  # Swift's own bound on one listing
_TRIES = 3

# What a sub-request may inherit of the client's request. No header of the client is in it.
_INHERITED = ('SERVER_NAME', 'SERVER_PORT', 'SERVER_PROTOCOL', 'swift.base_labels', 'swift.cache',
              'swift.trans_id')
# What Swift takes for granted of a request, for callers such as the janitor that have none.
_DEFAULTS = {'SERVER_NAME': 'localhost', 'SERVER_PORT': '80', 'SERVER_PROTOCOL': 'HTTP/1.1'}


class GenerationGone(QueueError):
    """The container is not there: the caller's record of the queue is out of date."""


@dataclass(frozen=True)
class Response:
    """Swift's answer, read to its end. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def timestamp(self) -> float:
        """Instant of the object or tombstone that Swift spoke of; 0 if it did not say."""
        return self._instant('x-backend-timestamp') or self._instant('x-timestamp')

    @property
    def written_at(self) -> float:
        """As :attr:`timestamp`, but a POST does not count."""
        return self._instant('x-backend-data-timestamp') or self.timestamp

    @property
    def untouched(self) -> bool:
        """Whether no POST has moved the object's expiry since it was stored; storing it again keeps what one does."""
        return self.headers.get('x-backend-data-timestamp') == self.headers.get('x-backend-timestamp')

    @property
    def deleted_at(self) -> float:
        """Instant at which the container was last deleted; 0 if never."""
        return self._instant('x-backend-delete-timestamp')

    def _instant(self, header: str) -> float:
        return float(self.headers.get(header, '0').partition('_')[0])


class Swift:
    """Sub-requests on one account, authorized beforehand by :meth:`authorize`."""

    def __init__(self, app: Callable, environ: dict[str, Any], account: str, *,
                 logger: logging.Logger, clock: Callable[[], float] = time.time,
                 at_once: int = 10, infocache: dict[str, Any] | None = None,
                 primaries: Callable[..., Replicas | None] | None = None, majorities: Majorities | None = None):
        self.app = app
        self.environ = environ
        self.account = account
        self.logger = logger
        self.clock = clock
        self.at_once = at_once
        self.primaries = primaries  # see object_servers.Primaries
        self.majorities = majorities
        self.cache = Cache(environ.get('swift.cache'), account)
        self.inherited = {key: environ[key] for key in _INHERITED if key in environ}
        self._base = _DEFAULTS | self.inherited
        # What Swift knows of accounts and containers, so that it need not ask memcached before each sub-request.
        self._base['swift.infocache'] = environ.get('swift.infocache', {}) if infocache is None else infocache

    def service(self) -> Swift:
        """The same for the account in which the service keeps what is about all accounts."""
        return Swift(self.app, self.environ, SERVICE_ACCOUNT, logger=self.logger, clock=self.clock,
                     at_once=self.at_once, infocache=self._base['swift.infocache'], primaries=self.primaries)

    # -- one sub-request ---------------------------------------------------------------------------

    def request(self, method: str, container: str = '', name: str = '', *,
                headers: dict[str, str] | None = None, body: bytes = b'',
                params: dict[str, Any] | None = None, timestamp: float | None = None,
                footers: dict[str, str] | None = None) -> Response:
        """Swift's answer, whatever its status; a failure below becomes a 503.

        ``footers`` are headers that go to the object servers behind the body, with those that Swift adds there.
        """
        path = '/'.join(part for part in ('/v1', self.account, container, name) if part)
        environ = make_pre_authed_env(
            self._base, method, str_to_wsgi(path), agent='swiftqueue',
            query_string=urlencode(params or {}), swift_source='MQ')
        environ['wsgi.input'] = BytesIO(body)
        environ['swift.slo_override'] = True  # or that filter parses every listing and writes it again
        environ['CONTENT_LENGTH'] = str(len(body))
        environ['HTTP_X_BACKEND_ALLOW_RESERVED_NAMES'] = 'true'
        if name and method == 'PUT':
            environ['CONTENT_TYPE'] = 'application/json'
        if timestamp is not None:
            environ['HTTP_X_TIMESTAMP'] = f'{timestamp:016.5f}'
        for key, value in (headers or {}).items():
            environ['HTTP_' + key.upper().replace('-', '_')] = str(value)
        if footers:
            environ['swift.callback.update_footers'] = lambda others: others.update(footers)
        answer: list[Any] = []

        def start_response(status, response_headers, exc_info=None):
            answer[:] = [int(status.split(' ', 1)[0]),
                         {key.lower(): value for key, value in response_headers}]

        # The pipeline below us is foreign code, and one failed sub-request must not hide what
        # became of the others of its batch.
        try:
            chunks = self.app(environ, start_response)
            try:
                content = b''.join(chunks)
            finally:
                if hasattr(chunks, 'close'):
                    chunks.close()
        except (Exception, Timeout):
            self.logger.exception('swiftqueue: sub-request %s failed', method)
            return Response(503, {}, b'')
        return Response(answer[0], answer[1], content)

    def at_most(self, function: Callable, items: Iterable[Any]) -> list[Any]:
        """``function`` of each item, several at once, in the order of the items."""
        items = list(items)
        if len(items) < 2:
            return [function(item) for item in items]
        pile = GreenPile(min(self.at_once, len(items)))
        for item in items:
            pile.spawn(function, item)
        return list(pile)

    # -- containers --------------------------------------------------------------------------------

    def head_container(self, container: str) -> Response:
        """The container's headers: status 204, or 404 with what Swift remembers of one. Raises Unavailable."""
        response = self.request('HEAD', container)
        if not self._is_absent(response):
            _expect(response, 204)
        return response

    def put_container(self, container: str, headers: dict[str, str] | None = None,
                      timestamp: float | None = None, *, policy: int | None = None) -> bool:
        """Whether the container is new; ``policy`` is the index of its storage policy.

        Raises Unavailable, also if there is no such policy or it takes no new containers; QuotaExceeded.
        """
        if policy is not None:
            headers = {**(headers or {}), 'X-Storage-Policy': _policy_name(policy)}
        response = self._retried('PUT', container, headers=headers, timestamp=timestamp)
        _expect(response, 201, 202)
        return response.status == 201

    def post_container(self, container: str, headers: dict[str, str], timestamp: float | None = None) -> bool:
        """Whether there is such a container, with the headers set now. Raises Unavailable.

        Headers set under a later timestamp stay, and Swift does not say so.
        """
        response = self._retried('POST', container, headers=headers, timestamp=timestamp)
        if self._is_absent(response):
            return False
        _expect(response, 204)
        return True

    def delete_container(self, container: str, timestamp: float | None = None) -> bool:
        """Whether the container is gone now: False if something is in it, or was put there later.

        Raises Unavailable.
        """
        response = self._retried('DELETE', container, timestamp=timestamp)
        if not self._is_absent(response):
            _expect(response, 204, 409)
        return response.status != 409

    def listing(self, container: str = '', *, prefix: str = '', marker: str = '',
                end_marker: str = '', limit: int = LISTING_LIMIT) -> list[dict[str, Any]]:
        """One page of rows as one replica sees them. Raises GenerationGone, Unavailable."""
        params = {'format': 'json', 'limit': limit}
        params |= {key: value for key, value in
                   (('prefix', prefix), ('marker', marker), ('end_marker', end_marker)) if value}
        # Never sharded by Swift: this skips the proxy's look for shard ranges.
        headers = {'X-Backend-Record-Type': 'object'} if container else {}
        response = self.request('GET', container, params=params, headers=headers)
        if response.status == 404 and container:
            raise GenerationGone(container)
        if response.status in (204, 404):
            return []
        _expect(response, 200)
        return json.loads(response.body)

    def pages(self, container: str = '', *, prefix: str = '', marker: str = '', limit: int = 1000,
              ) -> Iterator[list[dict[str, Any]]]:
        """A whole listing, page by page; none of them is empty. Raises as :meth:`listing`."""
        while True:
            rows = self.listing(container, prefix=prefix, marker=marker, limit=limit)
            if rows:
                yield rows
            if len(rows) < limit:
                return
            marker = rows[-1]['name']

    def listing_of_most(self, container: str, *, limit: int, reverse: bool = False, marker: str = '',
                        end_marker: str = '') -> tuple[list[dict[str, Any]], bool]:
        """One page of rows as a majority of the replicas see them together, and whether there are no more.

        Every row of :meth:`show` is there. Raises GenerationGone, Unavailable.
        """
        pages = self.majorities and self.majorities.listing(
            self.account, container, self._base.get('swift.trans_id', ''), limit=limit,
            marker=marker, end_marker=end_marker, **({'reverse': 'true'} if reverse else {}))
        if pages and 2 * pages.absent > pages.replicas:
            raise GenerationGone(container)
        if not pages or not pages.is_majority:
            raise Unavailable('Too few container servers answer.')
        return pages.merged(limit, reverse=reverse)

    def show(self, container: str, name: str, etag: str, size: int, timestamp: float) -> None:
        """Write the row of an object that was stored, so that a majority of the container's replicas has it.

        Where something newer is known of the object, nothing changes. Raises Unavailable.
        """
        self._merge(container, new_row(name, etag, size, timestamp))

    def hide(self, container: str, name: str, timestamp: float) -> None:
        """Have a majority of the replicas know that the object was deleted. Raises Unavailable."""
        self._merge(container, deleted_row(name, timestamp))

    def _merge(self, container: str, row: Row) -> None:
        policy = self.policy(container) if self.majorities else None
        if policy is None or not self.majorities.merge(
                policy, self.account, container, [row], self._base.get('swift.trans_id', '')):
            raise Unavailable('Too few container servers answer.')

    # -- objects -----------------------------------------------------------------------------------

    def get(self, container: str, name: str) -> Response | None:
        """The object as some replica has it, None if there is none. Raises Unavailable."""
        return self._found('GET', self.request('GET', container, name))

    def get_newest(self, container: str, name: str) -> Response | None:
        """The object as the newest of its replicas has it, None if that is a tombstone.

        Raises Unavailable, also if so few of the primaries answer that none of them need have heard of the last
        write or delete.
        """
        return self._newest('GET', container, name, self._replicas(container, name))

    def head_newest(self, container: str, name: str) -> Response | None:
        """As :meth:`get_newest`, without a body. Where all primaries have the object, no other server is asked."""
        replicas = self._replicas(container, name)
        agreed = replicas.agreed if replicas else None
        return Response(200, agreed, b'') if agreed else self._newest('HEAD', container, name, replicas)

    def _replicas(self, container: str, name: str) -> Replicas | None:
        """What the object's primaries say; None where this process cannot ask them."""
        policy = self.policy(container) if self.primaries else None
        if policy is None:
            return None
        return self.primaries(policy, self.account, container, name, self._base.get('swift.trans_id', ''))

    def policy(self, container: str) -> int | None:
        """The index of the container's storage policy, None if Swift cannot tell; as a rule it has it at hand."""
        environ = self._base | {'PATH_INFO': str_to_wsgi(f'/v1/{self.account}/{container}'), 'SCRIPT_NAME': '',
                                'REQUEST_METHOD': 'HEAD', 'HTTP_X_BACKEND_ALLOW_RESERVED_NAMES': 'true'}
        info = get_container_info(environ, self.app, swift_source='MQ')
        return int(info['storage_policy']) if is_success(info['status']) else None

    def changed_at(self, container: str, name: str) -> float:
        """The instant of the object or of its tombstone; 0 if Swift knows of neither. Raises Unavailable."""
        response = self.request('HEAD', container, name, headers={'X-Newest': 'true'})
        _expect(response, 200, 404)
        self._is_absent(response)
        return response.timestamp

    def _newest(self, method: str, container: str, name: str, replicas: Replicas | None) -> Response | None:
        """Swift's answer, which takes in handoffs, unless a primary knows of something newer."""
        response = self.request(method, container, name, headers={'X-Newest': 'true'})
        found = self._found(method, response)
        if replicas is None:
            return found
        if not replicas.is_quorum:
            raise Unavailable('Too few object servers answer.')
        newest = replicas.newest
        if float(newest.written_at) <= response.written_at:
            return found
        if newest.status == 404:
            return None
        if method == 'GET':
            raise Unavailable('Swift does not show the newest replica.')
        return Response(200, newest.headers, b'')

    def _found(self, method: str, response: Response) -> Response | None:
        """The answer to a GET or HEAD of an object, None if there is none. Raises Unavailable."""
        if self._is_absent(response):
            return None
        _expect(response, 200)
        # No body means that a minority of the replicas has a newer tombstone: a delete that was not acknowledged.
        return response if response.body or method == 'HEAD' else None

    def create(self, container: str, name: str, content: bytes, headers: dict[str, str],
               timestamp: float) -> int:
        """One conditional PUT: 201, or 412 or 202 where something is or was there, or 5xx."""
        return self.request('PUT', container, name, body=content, timestamp=timestamp,
                            headers=headers | {'If-None-Match': '*'}).status

    def store(self, container: str, name: str, content: bytes, headers: dict[str, str],
              timestamp: float, *, mine: Callable[[Response], bool] | None = None) -> bool:
        """Store the object on a quorum of replicas.

        False if there is a newer tombstone, or something that ``mine`` (default: anything) does
        not own, so that nothing was stored. Raises GenerationGone, QuotaExceeded, Unavailable.
        """
        headers, footers = self._split(container, headers)
        for _ in range(_TRIES):
            response = self._retried('PUT', container, name, headers=headers, body=content,
                                     timestamp=timestamp, footers=footers)
            if response.status == 404:
                raise GenerationGone(container)
            if response.status != 202:
                _expect(response, 201)
                return True
            # A replica has this or something newer: an earlier try of ours that landed in part,
            # or a delete that came after it. One tick above what is there never passes a delete.
            there = self.request('HEAD', container, name, headers={'X-Newest': 'true'})
            _expect(there, 200, 404)
            if there.status == 404 and there.timestamp < timestamp:
                raise Unavailable('Swift holds something newer and does not show it.')
            if there.status == 404 or (mine and not mine(there)):
                return False
            timestamp = max(timestamp, there.timestamp) + TICK
        raise Unavailable('Swift keeps answering that the object was not stored.')

    def enlist(self, container: str, name: str) -> bool:
        """:meth:`store` for an object that says all by its name, in a container that is made if need be.

        Raises Unavailable.
        """
        now = self.clock()
        for _ in range(2):
            try:
                return self.store(container, name, b'', {}, now)
            except GenerationGone:
                self.put_container(container)
        raise Unavailable(f'The list {container} cannot be written.')

    def _split(self, container: str, headers: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and footers. What the row of an erasure-coded object shows, Swift says itself behind the body."""
        if ROW in headers and policies.any_coded():
            policy = self.policy(container)
            if policy is not None and policies.is_coded(policy):
                return {name: value for name, value in headers.items() if name != ROW}, {ROW: headers[ROW]}
        return headers, {}

    def extend(self, container: str, name: str, delete_at: int) -> bool:
        """Move the object's expiry; False if the object is gone. Raises Unavailable."""
        headers = {'X-Delete-At': str(delete_at)}
        response = self._retried('POST', container, name, headers=headers)
        if response.status == 409:  # a faster clock wrote it, or we did and did not hear of it
            there = self.head_newest(container, name)
            if there is None:
                return False
            response = self._retried('POST', container, name, headers=headers,
                                     timestamp=max(self.clock(), there.timestamp + TICK))
        if self._is_absent(response):
            return False
        _expect(response, 202)
        return True

    def delete(self, container: str, name: str, timestamp: float | None = None) -> float:
        """Delete the object, also if a faster clock wrote it; the instant as of which it is. Raises Unavailable."""
        timestamp = self.clock() if timestamp is None else timestamp
        response = self._retried('DELETE', container, name, timestamp=timestamp)
        if response.status == 409:
            there = self.head_newest(container, name)
            if there is None:
                return timestamp
            timestamp = max(self.clock(), there.timestamp + TICK)
            response = self._retried('DELETE', container, name, timestamp=timestamp)
        if not self._is_absent(response):
            _expect(response, 204)
        return timestamp

    def delete_as_of(self, container: str, name: str, timestamp: float) -> None:
        """Delete the object as it was at that instant; what was stored later stays. Raises Unavailable."""
        response = self._retried('DELETE', container, name, timestamp=timestamp)
        if not self._is_absent(response):
            _expect(response, 204, 409)

    def _is_absent(self, response: Response) -> bool:
        """Whether there is no such thing; while no account server answers, Swift says 404 of everything.

        Raises Unavailable then.
        """
        if response.status != 404:
            return False
        _expect(self.request('HEAD'), 200, 204, 404)
        return True

    def _retried(self, method: str, container: str, name: str = '', *,
                 timestamp: float | None = None, **request: Any) -> Response:
        """Tries with one timestamp, so that they are one operation to Swift."""
        timestamp = self.clock() if timestamp is None else timestamp
        for _ in range(_TRIES):
            response = self.request(method, container, name, timestamp=timestamp, **request)
            if response.status < 500 or response.status == 507:
                break
        return response

    # -- authorization -----------------------------------------------------------------------------

    def authorize(self, method: str, container: str, acl: str | None = None) -> None:
        """Ask the pipeline's auth filter, as Swift would for a container of this account.

        ``acl`` is a container ACL that may grant what the account's own rights do not; its referer
        grants are passed over. Raises Unauthorized or Forbidden.
        """
        user = self.environ.get('REMOTE_USER')
        if self.environ.get('swift.authorize_override') or isinstance(user, str) and user.startswith('.wsgi.'):
            raise Forbidden('Temporary URLs and the like are for single objects, not for queues.')
        ask = self.environ.get('swift.authorize')
        if ask is None:
            return
        environ = {key: value for key, value in self.environ.items()
                   if not key.startswith('HTTP_X_CONTAINER') and key not in _FOREIGN_GRANTS}
        environ |= {'REQUEST_METHOD': method, 'SCRIPT_NAME': '', 'QUERY_STRING': '',
                    'PATH_INFO': str_to_wsgi(f'/v1/{self.account}/{container}')}
        request = Request(environ)
        # An empty part would let in who has no name; decoding the parts here, a referer.
        parts = (part.strip() for part in (acl or '').split(','))
        request.acl = ','.join(part for part in parts if part and not part.startswith('.r:'))
        denied = ask(request)
        if denied is None:
            return
        if denied.status_int == 401:
            raise Unauthorized('Authentication is required.')
        raise Forbidden('The account does not grant this.')


    def check_acl(self, right: str, acl: str | None) -> None:
        """Raises Invalid unless the pipeline's auth filter takes ``acl`` for a container's read or write ACL."""
        clean = self.environ.get('swift.clean_acl')
        if clean and acl:
            try:
                clean(f'X-Container-{right.title()}', acl)
            except ValueError as error:
                raise Invalid(str(error)) from None


# Grants that are for one object of Swift's own API, never for a queue.
_FOREIGN_GRANTS = ('swift_sync_key', 'HTTP_REFERER')


def modified_at(row: dict[str, Any]) -> float:
    """When what a listing's row is about was stored, or a container created."""
    return float(Timestamp.from_isoformat(row['last_modified']))


def chain(app: Any) -> Iterator[Any]:
    """The app and all to the right of it in its pipeline; ``encryption`` alone is two of them."""
    while app is not None:
        yield app
        app = getattr(app, 'app', None)


def encrypts(app: Callable) -> bool:
    """Whether objects that are stored through ``app`` are encrypted on their way."""
    return any(isinstance(each, Encrypter) and not each.disable_encryption for each in chain(app))


def _policy_name(index: int) -> str:
    name = policies.name_of(index)
    if name is None:
        raise Unavailable(f'The storage policy with the index {index} takes no new containers.')
    return name


def _expect(response: Response, *statuses: int) -> None:
    if response.status in statuses:
        return
    if response.status == 413:
        raise QuotaExceeded('The quota of this account is used up.')
    raise Unavailable(f'Swift answered {response.status}.')
