"""What must hold of every answer and every sub-request, whatever was sent. This is the only place that says so."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, unquote

from model_swift import Call
from wire.transcript import Answer

from swiftqueue.accounts import number_of
from swiftqueue.limits import check_queue_name
from swiftqueue.names import NUL, parse_container
from swiftqueue.swift import SERVICE_ACCOUNT

HEADER_LINE = 8192  # bytes that Swift and eventlet take of one
MOST_BODY = 262144  # of all limits of bodies, the largest
_CONTROL = re.compile(r'[\x00-\x1f\x7f]')
_OBJECT = re.compile(r'\x00[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\x00[0-9]{9})?')


@dataclass(frozen=True)
class Sent:
    """A request as it is on the wire: ``target`` and header values are latin-1, as WSGI has them."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b''
    user: str | None = 'tester'

    @property
    def path(self) -> str:
        return unquote(self.target.partition('?')[0], encoding='latin-1')

    @property
    def query(self) -> str:
        return self.target.partition('?')[2]

    @property
    def is_for_the_door(self) -> bool:
        return self.path == '/' or self.path.split('/')[1:2] in (['v2'], ['v1.1'], ['messaging'])


class Counted(BytesIO):
    """A body that knows how much of it was asked for."""

    asked = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None and size >= 0, 'a body was read without a bound'
        data = super().read(size)
        self.asked += len(data)
        return data


class Errors(logging.Handler):
    """Collects what is logged at error level."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def deliver(app: Callable, sent: Sent, **environ: Any) -> Answer:
    """The answer of a WSGI app, after the checks that need nothing else."""
    body = Counted(sent.body)
    variables = {
        'REQUEST_METHOD': sent.method, 'SCRIPT_NAME': '', 'PATH_INFO': sent.path, 'QUERY_STRING': sent.query,
        'SERVER_NAME': 'cloud', 'SERVER_PORT': '80', 'SERVER_PROTOCOL': 'HTTP/1.1', 'REMOTE_ADDR': '192.0.2.1',
        'wsgi.version': (1, 0), 'wsgi.url_scheme': 'http', 'wsgi.input': body, 'wsgi.errors': BytesIO(),
        'wsgi.multithread': False, 'wsgi.multiprocess': False, 'wsgi.run_once': False}
    if sent.body:
        variables['CONTENT_LENGTH'] = str(len(sent.body))
    for name, value in sent.headers.items():
        key = name.upper().replace('-', '_')
        variables[key if key in ('CONTENT_TYPE', 'CONTENT_LENGTH') else f'HTTP_{key}'] = value
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        assert not started, 'two answers'
        for name, value in headers:
            _check_header(name, value)
        started[:] = [int(status.split(' ', 1)[0]), dict(headers)]

    chunks = app(variables | environ, start_response)
    try:
        content = b''.join(chunks)
    finally:
        if hasattr(chunks, 'close'):
            chunks.close()
    assert body.asked <= MOST_BODY + 1, f'{body.asked} bytes of the body were read'
    return Answer(*started, content)


def ask(wire: Any, sent: Sent) -> Answer:
    """Send a request through the filters of ``wire`` (see tests/wire) and judge what comes of it."""
    wire.clock.advance(0.001)
    token = {'X-Auth-Token': wire.token(sent.user)} if sent.user else {}
    logger, errors = logging.getLogger('swiftqueue'), Errors()
    logger.addHandler(errors)
    try:
        with wire.swift.recording() as calls:
            answer = deliver(wire.app, Sent(sent.method, sent.target, token | sent.headers, sent.body),
                             **{'swift.cache': wire.cache})
    finally:
        logger.removeHandler(errors)
    wire.swift.assert_no_leaks()
    ours = [call for call in calls if call.swift_source == 'MQ']
    if not sent.is_for_the_door:
        assert not ours, 'a request that is none of ours made sub-requests'
        return answer
    assert not errors.texts, errors.texts
    judge(sent, answer)
    for call in ours:
        judge_call(sent, call)
    assert len(ours) <= bound(sent), f'{len(ours)} sub-requests'
    return answer


# -- the answer ------------------------------------------------------------------------------------

def judge(sent: Sent, answer: Answer) -> None:
    """No fault of ours, no trace of one, and errors of the shape that the protocol has."""
    assert answer.status < 500, answer
    assert b'Traceback' not in answer.body and b'.py' not in answer.body
    if sent.method == 'HEAD' or answer.status == 204 or answer.status == 201 and not answer.body:
        assert not answer.body
        return
    if answer.status == 401 and 'X-Auth-Token' in sent.headers:
        return  # that is the auth filter's own answer
    content = json.loads(answer.body.decode('ascii'), parse_constant=_no_constant)
    if answer.status >= 400:
        assert sorted(content) == ['description', 'title'], content
        assert all(isinstance(text, str) and text for text in content.values())
    if sent.user != 'stranger':
        assert b'not for you' not in answer.body


def _no_constant(text: str) -> None:
    raise AssertionError(f'{text} is not JSON')


def _check_header(name: str, value: str) -> None:
    assert isinstance(name, str) and isinstance(value, str)
    assert re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name), name
    value.encode('latin-1')
    assert not _CONTROL.search(value), (name, value)
    assert len(name) + len(value) + 2 < HEADER_LINE, name


# -- the sub-requests ------------------------------------------------------------------------------

OWN = {'tester': 'AUTH_test', 'guest': 'AUTH_test', 'stranger': 'AUTH_other', None: 'AUTH_test'}


def judge_call(sent: Sent, call: Call) -> None:
    """It stays in the caller's account, names only what the engine names, and has clean headers.

    Of an account that the client only claims to be allowed to use, nothing but a queue's record is looked at: its
    ACL may let the client in.
    """
    for name, value in call.headers.items():
        _check_header(name, value)
    assert call.query.isascii() and not _CONTROL.search(call.query)
    assert not _CONTROL.search(call.account) and call.account not in ('', '.', '..')
    if call.account == SERVICE_ACCOUNT:  # which lists who gives others a right
        assert (call.method, call.container) == ('PUT', 'accounts') and b'_acl' in sent.body
        assert call.obj in ('', f'{number_of(OWN[sent.user])}/{OWN[sent.user]}')
        return
    if call.container:
        parsed = parse_container(call.container)
        assert parsed, call.path
        check_queue_name(parsed[1])
    if call.obj:
        assert _OBJECT.fullmatch(call.obj), call.path
    assert call.path.count(NUL) <= 7
    if call.account != OWN[sent.user]:
        assert call.method == 'HEAD' and not call.obj, call
        assert any(name.lower() == 'x-project-id' for name in sent.headers)
    if sent.user == 'guest':
        assert call.method == 'HEAD', call


def bound(sent: Sent) -> int:
    """The most sub-requests that one request may cost on the small account of these tests.

    The parts are told in ``doc/source/security.rst``.
    """
    parts = sent.path.strip('/').split('/')
    params = dict(parse_qsl(sent.query))
    most = 12
    if sent.method == 'POST' and parts[-1] == 'messages':
        most += 2 * min(1000, sent.body.count(b'{'))
    elif sent.method == 'DELETE' and 'ids' in params:
        most += 4 * _count(params['ids']) * max(1, _count(params.get('claim_ids', '')))
    elif 'ids' in params:
        most += 2 * _count(params['ids'])
    elif parts[-1] in ('claims', 'messages') or 'claims' in parts:
        most += 8 * 20 + 20  # messages of a claim or a page; looks of one that waits
    elif parts[-1] == 'queues':
        most += 20
    return most


def _count(text: str) -> int:
    return min(20, text.count(',') + 1)
