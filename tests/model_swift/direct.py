"""The short way into the model: what our filters ask of Swift, without the checks of what a client might ask.

A simulation makes thousands of requests a second. Most of the time of one that goes through `ModelSwift` itself is
spent on headers of which our filters send and read only a few. Both ways lead to the same servers.
"""

from collections.abc import Callable, Iterable
from functools import cache, partial
from urllib.parse import parse_qsl

from swift.common.swob import wsgi_to_str

from . import container_servers, object_servers
from .answers import Answer
from .containers import names_between
from .objects import DataFile, make_data_file, put_row
from .routing import Target
from .stamps import Stamp, stamp
from .storage import Visit, answers_at_once

WRITES = ('PUT', 'POST', 'DELETE')
FROM_ENVIRON = {'CONTENT_TYPE': 'Content-Type', 'CONTENT_LENGTH': 'Content-Length'}
STATUS_LINES = {status: f'{status} ' for status in range(200, 600)}


class Direct:
    """A WSGI app: the model behind a proxy with its own clock.

    It authorizes nothing, and takes requests that swiftqueue makes, not any that a client could.
    """

    def __init__(self, model, clock: Callable[[], float], visit: Visit = answers_at_once) -> None:
        self.model = model
        self.clock = clock
        self.visit = visit

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        answer = self.answer(environ)
        start_response(STATUS_LINES[answer.status], list(answer.headers.items()))
        return [answer.body]

    def answer(self, environ: dict) -> Answer:
        self.model.catch_up()
        parts = wsgi_to_str(environ['PATH_INFO']).split('/', 4)[2:]
        target = Target(*parts, *[None] * (3 - len(parts)))
        kind, method = target.kind, environ['REQUEST_METHOD']
        headers = {name: value for key, value in environ.items() if (name := _header(key))}
        handler = HANDLERS[kind, method]
        if kind == 'object' and not container_servers.exists(self.model, target).good:
            return Answer(404)
        answer = handler(self, target, self._timestamp(method, headers), headers, environ)
        return answer.without_body() if method == 'HEAD' else answer

    def _timestamp(self, method: str, headers: dict[str, str]) -> Stamp:
        if 'X-Timestamp' in headers:
            return stamp(headers['X-Timestamp'])
        return Stamp(self.model.new_time(self.clock()) if method in WRITES else self.clock())


@cache
def _header(key: str) -> str | None:
    """The name of the header that a key of the environ holds, if it does."""
    if key.startswith('HTTP_'):
        return key[5:].replace('_', '-').title()
    return FROM_ENVIRON.get(key)


def _params(environ: dict) -> dict[str, str]:
    return dict(parse_qsl(environ.get('QUERY_STRING', '')))


def _names(params: dict[str, str]) -> tuple[str, str, str, int]:
    return (params.get('marker', ''), params.get('end_marker', ''), params.get('prefix', ''),
            int(params.get('limit', 10000)))


def _read_account(proxy: Direct, target: Target, at: Stamp, headers: dict, environ: dict) -> Answer:
    listing = None
    if environ['REQUEST_METHOD'] == 'GET':
        def listing(containers: dict) -> list[dict]:
            return [{'name': name, 'last_modified': containers[name].put_timestamp.isoformat}
                    for name in names_between(list(containers), *_names(_params(environ)), False, True)]
    return container_servers.read_account(proxy.model, target.account, proxy.visit, listing)


def _read_container(proxy: Direct, target: Target, at: Stamp, headers: dict, environ: dict) -> Answer:
    listing = None
    if environ['REQUEST_METHOD'] == 'GET':
        def listing(replica) -> list[dict]:
            return [replica.row(name) for name in replica.names(*_names(_params(environ)))]
    if not container_servers.account_exists(proxy.model, target.account):
        return Answer(404)
    return container_servers.read_container(proxy.model, target, proxy.visit, listing)


def _write_container(write: Callable, proxy: Direct, target: Target, at: Stamp, headers: dict,
                     environ: dict) -> Answer:
    sysmeta = {name: value for name, value in headers.items() if name.startswith('X-Container-Sysmeta-')}
    return write(proxy.model, target, at, proxy.visit, sysmeta)


def _delete_container(proxy: Direct, target: Target, at: Stamp, headers: dict, environ: dict) -> Answer:
    return container_servers.delete_container(proxy.model, target, at, proxy.visit)


def _read_object(proxy: Direct, target: Target, at: Stamp, headers: dict, environ: dict) -> Answer:
    return object_servers.read(
        proxy.model, target, at, proxy.visit, newest='X-Newest' in headers,
        open_expired='X-Backend-Open-Expired' in headers)


def _put_object(proxy: Direct, target: Target, at: Stamp, headers: dict, environ: dict) -> Answer:
    def make() -> tuple[DataFile, dict]:
        data = make_data_file(at, environ['wsgi.input'].read(), headers)
        return data, put_row(target.obj, data, headers)
    return object_servers.put(proxy.model, target, at, proxy.visit, make, only_if_absent='If-None-Match' in headers)


def _post_object(proxy: Direct, target: Target, at: Stamp, headers: dict, environ: dict) -> Answer:
    return object_servers.post(proxy.model, target, at, proxy.visit,
                               {name: value for name, value in headers.items() if name != 'Content-Type'})


def _delete_object(proxy: Direct, target: Target, at: Stamp, headers: dict, environ: dict) -> Answer:
    return object_servers.delete(proxy.model, target, at, proxy.visit)


HANDLERS = {
    ('account', 'GET'): _read_account,
    ('account', 'HEAD'): _read_account,
    ('container', 'GET'): _read_container,
    ('container', 'HEAD'): _read_container,
    ('container', 'PUT'): partial(_write_container, container_servers.put_container),
    ('container', 'POST'): partial(_write_container, container_servers.post_container),
    ('container', 'DELETE'): _delete_container,
    ('object', 'GET'): _read_object,
    ('object', 'HEAD'): _read_object,
    ('object', 'PUT'): _put_object,
    ('object', 'POST'): _post_object,
    ('object', 'DELETE'): _delete_object,
}
