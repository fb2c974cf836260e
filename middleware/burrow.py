"""The door of Burrow v1.0, the queue service that was first proposed for OpenStack: routes, errors, and its accounts.

:mod:`burrow_call` reads what every request may say, :mod:`burrow_messages` holds the handlers of messages. Where this
API and Burrow differ, and why, is told in ``doc/source/burrow.rst``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from swift.common.swob import wsgi_to_str

from swiftqueue.errors import (
    Forbidden,
    Invalid,
    NotFound,
    QueueError,
    QueueNotFound,
    QuotaExceeded,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from swiftqueue.limits import Options
from swiftqueue.named import accounts_with_messages, end_queue, queues_with_messages
from swiftqueue.queues import OWNER, Engine

from . import burrow_messages, connection, identity, locality
from .burrow_call import QUEUE_DETAILS, Call
from .frontend import Answer, Frontend, MethodNotAllowed, Request, SlowBody

MOUNT = '/burrow'
VERSION = 'v1.0'
_TEXT = {'Content-Type': 'text/plain; charset=UTF-8'}


class NoSuchService(QueueError):
    """Burrow has it, and this door does not."""


# The status of every error, looked up along its class's bases. Burrow's own client knows 400 and 404; all else is the
# same to it.
ERRORS: dict[type, int] = {
    Invalid: 400,
    Unauthorized: 401,
    Forbidden: 403,
    QuotaExceeded: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    SlowBody: 408,
    TooLarge: 413,
    NoSuchService: 501,
    Unavailable: 503,
    BaseException: 500,
}


def render(error: BaseException) -> Answer:
    """The answer that tells of an error, in plain text."""
    status = next(ERRORS[base] for base in type(error).__mro__ if base in ERRORS)
    text, headers = str(error), dict(_TEXT)
    if status == 500:
        text = 'The server failed. The log of the proxy tells more under the id of this request.'
    elif status == 503:
        headers['Retry-After'] = '5'
    elif status == 401:
        headers['Www-Authenticate'] = 'Swift realm="swiftqueue"'
    elif isinstance(error, MethodNotAllowed):
        headers['Allow'] = error.allowed
    return Answer(status, text.encode('utf-8', 'replace'), headers)


def path_within(host: str, path: str, options: Options) -> str | None:
    """The path as the door knows it; None for one that is not the door's.

    Burrow's own clients know a host and a port and no path, so below a host that is theirs everything is the door's.
    """
    if not options.burrow:
        return None
    if host.partition(':')[0].lower() in options.burrow_hosts:
        return path
    if path == MOUNT or path.startswith(f'{MOUNT}/'):
        return path.removeprefix(MOUNT) or '/'
    return None


def door(app: Callable, engine: Engine, logger: logging.Logger) -> Frontend:
    """The WSGI app for paths as :func:`path_within` gives them; ``app`` is the rest of the pipeline."""
    def begin(request: Request) -> Call | None:
        if request.path == '/':
            return None
        environ, options = request.environ, engine.options
        named = ''.join(wsgi_to_str(request.path).split('/')[2:3])
        if not named and identity.is_anonymous(environ, options):
            named = 'nobody'  # what is about all accounts is about none
        project = identity.project_of(environ, named or None, options)
        account = engine.account(app, environ, identity.account_of(environ, project, options), logger,
                                 partial(connection.given_up, environ), locality.claimer_of(request, environ, options))
        return Call(request, account)

    return Frontend(ROUTES, begin, render, logger)


# -- accounts and queues -----------------------------------------------------------------------------

def list_versions(call: None) -> Answer:
    return Answer(200, [VERSION])


def list_accounts(call: Call) -> Answer:
    request, options = call.request, call.account.engine.options
    identity.check_operator(request.environ, options)
    detail, marker = call.detail(QUEUE_DETAILS, 'id'), request.params.get('marker')
    after = identity.account_of(request.environ, marker, options) if marker else ''
    identity.allow_everything(request.environ)  # whoever runs the cluster may look into all accounts
    names = accounts_with_messages(call.account, after, request.integer('limit'))
    if not names:
        raise NotFound('Account not found')
    return _show_names(call, names, detail)


def delete_accounts(call: Call) -> Answer:
    identity.check_operator(call.request.environ, call.account.engine.options)
    raise NoSuchService('The queues of all accounts cannot be deleted at once.')


def list_queues(call: Call, account: str) -> Answer:
    return _show_names(call, _queues(call), call.detail(QUEUE_DETAILS, 'id'))


def delete_queues(call: Call, account: str) -> Answer:
    detail = call.detail(QUEUE_DETAILS, 'none')
    call.account.queue('any').allow(OWNER)
    names = _queues(call)
    call.account.swift.at_most(lambda name: end_queue(call.account.queue(name)), names)
    return _show_names(call, names, detail)


def _queues(call: Call) -> list[str]:
    marker = call.request.params.get('marker', '')
    names = queues_with_messages(call.account, marker, call.request.integer('limit'))
    if not names:
        raise QueueNotFound('Queue not found')
    return names


def _show_names(call: Call, names: list[str], detail: str) -> Answer:
    if detail == 'none':
        return call.nothing()
    return Answer(200, names if detail == 'id' else [{'id': name} for name in names])


_PREFIX = f'/{VERSION}'

ROUTES = {
    '/': {'GET': list_versions},
    _PREFIX: {'GET': list_accounts, 'DELETE': delete_accounts},
    f'{_PREFIX}/{{account}}': {'GET': list_queues, 'DELETE': delete_queues},
    f'{_PREFIX}/{{account}}/{{queue}}': {
        'GET': burrow_messages.list_messages, 'POST': burrow_messages.change_messages,
        'DELETE': burrow_messages.delete_messages},
    f'{_PREFIX}/{{account}}/{{queue}}/{{message}}': {
        'PUT': burrow_messages.put_message, 'GET': burrow_messages.get_message,
        'POST': burrow_messages.change_message, 'DELETE': burrow_messages.delete_message},
}
