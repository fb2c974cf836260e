"""What every door does alike: find the handler of a request, call it, write its answer.

A door brings its routes, a function that makes of a request what its handlers take first, and one that renders errors.
Handlers return an :class:`Answer` or raise; nothing of the engine's rules is decided here.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from eventlet import Timeout
from eventlet.wsgi import ChunkReadError
from swift.common.swob import wsgi_to_str

from swiftqueue.errors import Invalid, NotFound, QueueError, TooLarge, Unavailable
from swiftqueue.limits import FALSE, TRUE

BODY_SECONDS = 30  # for a whole body, however slowly it trickles in
_DIGITS = 20  # characters of a 64-bit integer
MAX_DEPTH = 100  # of nested JSON: what is stored must also be readable deeper down the stack

Handler = Callable[..., 'Answer']
Routes = Mapping[str, Mapping[str, Handler]]  # path template: method: handler


class UnknownPath(NotFound):
    """No route has this path."""


class MethodNotAllowed(QueueError):
    """The path is known, the method is not one of its own."""

    def __init__(self, allowed: Iterable[str]):
        super().__init__('The method is not allowed here.')
        self.allowed = ', '.join(sorted(allowed))


class BadBody(Invalid):
    """The request's body is not the JSON that was asked for."""


class SlowBody(QueueError):
    """The body took too long to arrive."""


class UnsupportedType(QueueError):
    """The Content-Type is not the one this method takes."""


class NotAcceptable(QueueError):
    """The client does not take what the door could answer."""


@dataclass(frozen=True)
class Answer:
    """``content`` becomes JSON, unless it is bytes; None leaves the body empty."""

    status: int = 200
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Request:
    """A WSGI request as handlers read it. Whatever is wrong with it raises Invalid."""

    def __init__(self, environ: dict[str, Any]):
        self.environ = environ
        self.method: str = environ['REQUEST_METHOD']
        # Decoded once by the server. What is not ASCII in it fits no route and no name.
        self.path: str = environ.get('PATH_INFO', '')
        self._body: bytes | None = None

    def header(self, name: str) -> str | None:
        """The header's value; bytes that are no UTF-8 become lone surrogates, which no check lets through."""
        value = self.environ.get('HTTP_' + name.upper().replace('-', '_'))
        return None if value is None else wsgi_to_str(value)

    @property
    def media_type(self) -> str:
        """The Content-Type as it was sent."""
        return self.environ.get('CONTENT_TYPE') or ''

    @property
    def has_body(self) -> bool:
        return self._content_length != 0

    @property
    def _content_length(self) -> int | None:
        """None for a chunked body, whose length nobody knows."""
        coding = self.environ.get('HTTP_TRANSFER_ENCODING', '').strip().lower()
        if coding == 'chunked':
            return None
        if coding:
            raise Invalid('The only Transfer-Encoding of bodies is chunked.')  # the server has read no body then
        text = (self.environ.get('CONTENT_LENGTH') or '0').strip()
        if not (text.isascii() and text.isdigit() and len(text) < _DIGITS):
            raise Invalid('Content-Length is not a number.')
        return int(text)

    # -- the query string --

    @cached_property
    def params(self) -> dict[str, str]:
        """The query parameters that are not empty; one that is repeated counts as a list."""
        params: dict[str, str] = {}
        for name, value in parse_qsl(self.environ.get('QUERY_STRING', '')):
            params[name] = f'{params[name]},{value}' if name in params else value
        return params

    def integer(self, name: str) -> int | None:
        text = self.params.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.removeprefix('-').isdigit() and len(text) < _DIGITS):
            raise Invalid(f'{name} must be an integer.')
        return int(text)

    def boolean(self, name: str) -> bool:
        """False if it is not there."""
        text = self.params.get(name, 'false').lower()
        if text not in TRUE + FALSE:
            raise Invalid(f'{name} must be true or false.')
        return text in TRUE

    def strings(self, name: str) -> list[str] | None:
        """The parts of a comma-separated list."""
        text = self.params.get(name)
        return None if text is None else [part for part in text.split(',') if part]

    # -- the body --

    def body(self, limit: int) -> bytes:
        """All of the body. Raises TooLarge past ``limit`` bytes without reading on, SlowBody, BadBody."""
        if self._body is None:
            self._body = self._read(limit)
        return self._body

    def _read(self, limit: int) -> bytes:
        expected = self._content_length
        too_large = TooLarge(f'The request body is larger than {limit} bytes.')
        if expected is not None and expected > limit:
            raise too_large
        most = limit + 1 if expected is None else expected
        chunks, size = [], 0
        timeout = Timeout(BODY_SECONDS)
        try:
            while size < most and (chunk := self.environ['wsgi.input'].read(most - size)):
                chunks.append(chunk)
                size += len(chunk)
        except Timeout as expired:
            if expired is not timeout:
                raise
            self._give_up_connection()
            raise SlowBody(f'The request body took longer than {BODY_SECONDS} seconds.') from None
        except (OSError, ValueError):
            self._give_up_connection()
            raise BadBody('The request body broke off.') from None
        finally:
            timeout.cancel()
        if size > limit:
            raise too_large
        if expected is not None and size < expected:
            raise BadBody('The request body broke off.')
        return b''.join(chunks)

    def _give_up_connection(self) -> None:
        """Have the server close the connection after the answer.

        A read that was interrupted has lost what it had, so nobody knows any more where the next request begins.
        """
        stream = self.environ.get('eventlet.input')
        if stream is not None:
            stream.discard = _fail_to_discard  # which the server does before it reads the next request

    def json(self, limit: int, kind: type, *, default: Any = None) -> Any:
        """The body as a ``kind`` (dict or list); an empty body is the default, if there is one."""
        text = self.body(limit)
        if not text and default is not None:
            return default
        value = parse_json(text)
        if not isinstance(value, kind):
            raise BadBody(f'The request body must be a JSON {"object" if kind is dict else "array"}.')
        return value


def _fail_to_discard() -> None:
    raise ChunkReadError('the request body was not read to its end')


def parse_json(text: bytes) -> Any:
    """The JSON value. Raises :class:`BadBody` for what no JSON parser elsewhere might read as we do."""
    try:
        value = json.loads(text.decode('utf-8'), parse_int=_integer, parse_float=_number, parse_constant=_number)
    except (ValueError, RecursionError) as error:
        raise BadBody(f'The request body is not valid JSON: {error}') from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for each in level for child in _children(each)]
        if not level:
            return value
    raise BadBody(f'The request body is nested more than {MAX_DEPTH} levels deep.')


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _integer(text: str) -> int:
    # Digits are counted first: making a number of very many takes time that grows with their square.
    if len(text) > _DIGITS or not -2 ** 63 <= (value := int(text)) < 2 ** 63:
        raise ValueError('an integer does not fit into 64 bits')
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f'{text[:20]} is out of range')
    return value


class Frontend:
    """A WSGI app of one door.

    ``begin`` makes of a request what handlers take before the variable parts of their path. ``render`` makes an
    answer of an exception: a QueueError, or anything else for a fault of our own.
    """

    def __init__(self, routes: Routes, begin: Callable[[Request], Any],
                 render: Callable[[BaseException], Answer], logger: logging.Logger):
        self.routes = [(template.split('/'), methods) for template, methods in routes.items()]
        self.begin = begin
        self.render = render
        self.logger = logger

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> list[bytes]:
        request = Request(environ)
        try:
            handler, names = self._match(request)
            answer = handler(self.begin(request), *names)
        except QueueError as error:
            if isinstance(error, Unavailable):
                self._log(self.logger.warning, request, error)
            answer = self.render(error)
        except (Exception, Timeout) as error:
            self._log(self.logger.exception, request, error)
            answer = self.render(error)
        return _send(answer, request, start_response)

    def _log(self, write: Callable, request: Request, error: BaseException) -> None:
        write('swiftqueue: %s %r (%s): %s', request.method, request.path,
              request.environ.get('swift.trans_id', '-'), error)

    def _match(self, request: Request) -> tuple[Handler, list[str]]:
        parts = request.path.split('/')
        if len(parts) > 2 and parts[-2:] != ['', ''] and parts[-1] == '':
            parts.pop()  # one slash at the end changes nothing
        for template, methods in self.routes:
            names = _names(template, parts)
            if names is not None:
                if request.method not in methods:
                    raise MethodNotAllowed(methods)
                return methods[request.method], names
        raise UnknownPath('There is nothing at this path.')


def _names(template: list[str], parts: list[str]) -> list[str] | None:
    """What stands for the template's ``{...}``; None if the path is another one."""
    if len(template) != len(parts):
        return None
    names = []
    for expected, part in zip(template, parts, strict=True):
        if expected.startswith('{') and part:
            names.append(part)
        elif expected != part:
            return None
    return names


def _send(answer: Answer, request: Request, start_response: Callable) -> list[bytes]:
    """Written without swob or webob, which would make Location absolute."""
    content = b'' if answer.content is None else answer.content
    body = content if isinstance(content, bytes) else json.dumps(content).encode('ascii')
    headers = {**answer.headers}
    if answer.status != HTTPStatus.NO_CONTENT:
        headers.setdefault('Content-Type', 'application/json; charset=UTF-8')
        headers['Content-Length'] = str(len(body))
    start_response(f'{answer.status} {HTTPStatus(answer.status).phrase}', list(headers.items()))
    return [] if request.method == 'HEAD' else [body]
