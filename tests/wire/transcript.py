"""Transcripts: what is sent and what must come back, as tables that read like a session with curl.

A step is ``(request line, what is sent, status, what is received)``, with headers to send as a fifth part where they
matter, or a number of seconds that pass. What is received is compared whole, with some headers if it is a pair; None
is an empty body, ``ANY`` is whatever. ``keep('name')`` takes a value out of an answer, and ``$name`` puts it into
anything that comes later.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from string import Template
from typing import Any
from unittest.mock import patch
from wsgiref.validate import validator

from swift.common.utils import logs


class Whatever:
    def __repr__(self) -> str:
        return 'ANY'


ANY = Whatever()


@dataclass(frozen=True)
class keep:
    """Takes out the first group of the pattern, which the whole value must match."""

    name: str
    pattern: str = '(.*)'


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


def send(app: Any, line: str, sent: Any = None, headers: Mapping[str, str] | None = None, **environ: Any) -> Answer:
    """One request; ``sent`` is JSON unless it is bytes. ``environ`` overrides what the line says."""
    method, _, target = line.partition(' ')
    path, _, query = target.partition('?')
    body = sent if isinstance(sent, bytes) else b'' if sent is None else json.dumps(sent).encode()
    variables = {
        'REQUEST_METHOD': method, 'SCRIPT_NAME': '', 'PATH_INFO': path, 'QUERY_STRING': query,
        'SERVER_NAME': 'cloud', 'SERVER_PORT': '80', 'SERVER_PROTOCOL': 'HTTP/1.1', 'REMOTE_ADDR': '192.0.2.1',
        'wsgi.version': (1, 0), 'wsgi.url_scheme': 'http', 'wsgi.input': BytesIO(body), 'wsgi.errors': BytesIO(),
        'wsgi.multithread': False, 'wsgi.multiprocess': False, 'wsgi.run_once': False,
    }
    if body:
        variables['CONTENT_LENGTH'] = str(len(body))
    for name, value in (headers or {}).items():
        key = name.upper().replace('-', '_')
        variables[key if key in ('CONTENT_TYPE', 'CONTENT_LENGTH') else f'HTTP_{key}'] = value
    variables |= environ
    variables['wsgi.errors'] = _Text()
    answer: list[Any] = []

    def start_response(status, response_headers, exc_info=None):
        answer[:] = [int(status.split(' ', 1)[0]), dict(response_headers)]

    chunks = validator(app)(variables, start_response)
    try:
        content = b''.join(chunks)
    finally:
        chunks.close()
    return Answer(answer[0], answer[1], content)


class _Text:
    """The stream for errors that WSGI asks for."""

    def write(self, text: str) -> None: ...
    def writelines(self, lines: list[str]) -> None: ...
    def flush(self) -> None: ...


def no_syslog() -> Any:
    """While this is entered, Swift's loggers open no sockets."""
    return patch.object(logs, 'ThreadSafeSysLogHandler', lambda **options: logging.NullHandler())


def play(wire: Any, steps: list[Any], user: str = 'tester') -> None:
    """Go through a transcript."""
    kept: dict[str, str] = {}
    for step in steps:
        if isinstance(step, (int, float)):
            wire.clock.advance(step)
            continue
        line, sent, status, received, *headers = step
        answer = wire.request(_fill(line, kept), _fill(sent, kept), user=user,
                              headers=_fill(headers[0], kept) if headers else None)
        assert answer.status == status, f'{line}: {answer.status} {answer.body!r}'
        content, expected_headers = received if isinstance(received, tuple) else (received, {})
        _compare(content, answer.json, kept, line)
        for name, value in expected_headers.items():
            _compare(value, answer.headers.get(name), kept, f'{line}: {name}')


def _fill(value: Any, kept: dict[str, str]) -> Any:
    if isinstance(value, str):
        return Template(value).safe_substitute(kept)
    if isinstance(value, dict):
        return {_fill(key, kept): _fill(each, kept) for key, each in value.items()}
    if isinstance(value, list):
        return [_fill(each, kept) for each in value]
    return value


def _compare(expected: Any, actual: Any, kept: dict[str, str], where: str) -> None:
    if expected is ANY:
        return
    if isinstance(expected, keep):
        match = re.fullmatch(_fill(expected.pattern, kept), actual, re.DOTALL)
        assert match, f'{where}: {actual!r} is not like {expected.pattern!r}'
        kept[expected.name] = match.group(1)
    elif isinstance(expected, dict) and isinstance(actual, dict):
        assert sorted(expected) == sorted(actual), f'{where}: keys {sorted(actual)}'
        for key, value in expected.items():
            _compare(value, actual[key], kept, f'{where}: {key}')
    elif isinstance(expected, list) and isinstance(actual, list):
        assert len(expected) == len(actual), f'{where}: {actual!r}'
        for number, value in enumerate(expected):
            _compare(value, actual[number], kept, f'{where}: {number}')
    else:
        assert _fill(expected, kept) == actual, where
