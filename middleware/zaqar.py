"""The door of OpenStack Messaging (Zaqar): its paths, its errors, and what every request must bring.

:mod:`zaqar_versions` says what each version has; :mod:`zaqar_queues` and :mod:`zaqar_messages` hold most handlers.
Where this API and Zaqar differ, and why, is told in ``doc/source/messaging-v2.rst`` and ``messaging-v1.rst``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from swiftqueue.errors import (
    AttributeNotFound,
    Forbidden,
    Invalid,
    MessageClaimed,
    NotFound,
    PolicyTaken,
    PoolInUse,
    QuotaExceeded,
    ReceiptInvalid,
    SubscriptionExists,
    Unauthorized,
    Unavailable,
)
from swiftqueue.limits import Options
from swiftqueue.queues import Engine

from . import connection, identity, locality, signed_urls
from .frontend import (
    Answer,
    BadBody,
    Frontend,
    MethodNotAllowed,
    NotAcceptable,
    Request,
    SlowBody,
    UnsupportedType,
)
from .zaqar_call import Call, Version, read_client_id
from .zaqar_service import RETRY_AFTER, versions
from .zaqar_versions import VERSIONS

MOUNT = '/messaging'  # below which everything is where a server of Zaqar's has it at its root
_OF_SWIFT = ('1',)  # versions whose paths at the root are Swift's

_MEDIA = ('application/json', 'application/json-home', 'application/*', '*/*')


# The status and title of every error, looked up along its class's bases. python-zaqarclient takes any status but 400,
# 401, 403, 404, 409, 500 and 503 for a success, so nothing that may happen to it has another one.
ERRORS: dict[type, tuple[int, str]] = {
    BadBody: (400, 'Invalid request body'),
    Invalid: (400, 'Invalid API request'),
    ReceiptInvalid: (400, 'Invalid API request'),
    Unauthorized: (401, 'Unauthorized'),
    Forbidden: (403, 'Not authorized'),
    MessageClaimed: (403, 'Not authorized'),
    PoolInUse: (403, 'Pool in use'),
    QuotaExceeded: (403, 'Quota exceeded'),
    NotFound: (404, 'Not found'),
    MethodNotAllowed: (405, 'Method not allowed'),
    NotAcceptable: (406, 'Not acceptable'),
    SubscriptionExists: (409, 'Resource conflict'),
    SlowBody: (408, 'Request timeout'),
    AttributeNotFound: (409, 'Resource conflict'),
    PolicyTaken: (409, 'Resource conflict'),
    UnsupportedType: (415, 'Unsupported media type'),
    Unavailable: (503, 'Service temporarily unavailable'),
    BaseException: (500, 'Internal server error'),
}


def render(error: BaseException) -> Answer:
    """The answer that tells of an error."""
    status, title = next(ERRORS[base] for base in type(error).__mro__ if base in ERRORS)
    description, headers = str(error), {}
    if status == 500:
        description = 'The server failed. The log of the proxy tells more under the id of this request.'
    elif status == 503:
        description += ' Please try again in a few seconds.'
        headers['Retry-After'] = str(RETRY_AFTER)
    elif status == 401:
        headers['Www-Authenticate'] = 'Swift realm="swiftqueue"'
    elif isinstance(error, MethodNotAllowed):
        headers['Allow'] = error.allowed
    return Answer(status, {'title': title, 'description': description}, headers)


def door(app: Callable, engine: Engine, logger: logging.Logger) -> Frontend:
    """The WSGI app for paths as :func:`path_within` gives them; ``app`` is the rest of the pipeline."""
    on = {version.path: version for version in _on(engine.options)}
    told = versions((version, MOUNT + path if version.id in _OF_SWIFT else path) for path, version in on.items())
    routes = {'/': dict.fromkeys(('GET', 'HEAD'), lambda call: told)}
    routes |= {path + below: methods for path, version in on.items() for below, methods in version.routes.items()}

    def begin(request: Request) -> Call | None:
        if request.path == '/':
            return None
        environ, options = request.environ, engine.options
        signed, asked = request.header('URL-Signature') is not None, False
        if signed:
            project, asked = _signed_project(request, engine)
        else:
            project = identity.project_of(environ, request.header('X-Project-Id'), options)
        account = identity.account_of(environ, project, options)
        if signed:
            identity.allow_everything(environ)
        _check_media(request)
        version = on[_first(request.path)]
        if version.always_client_id:
            read_client_id(request, options)
        given_up = partial(connection.given_up, environ)
        account = engine.account(app, environ, account, logger, given_up,
                                 locality.claimer_of(request, environ, options))
        return Call(request, engine, account, project, version, signed=signed, asked=asked)

    return Frontend(routes, begin, render, logger)


def paths_at_root(options: Options) -> frozenset[str]:
    """The first parts of paths that are the door's, beside ``/messaging``."""
    return frozenset({'/'} | {version.path for version in _on(options) if version.id not in _OF_SWIFT})


def path_within(path: str, at_root: frozenset[str]) -> str | None:
    """The path as the door knows it; None for one that is not the door's."""
    first = _first(path)
    if first == MOUNT:
        return path.removeprefix(MOUNT) or '/'
    return path if first in at_root and (first != '/' or path == '/') else None


def _on(options: Options) -> list[Version]:
    return [VERSIONS[number] for number in options.api_versions]


def _first(path: str) -> str:
    return '/'.join(path.split('/', 2)[:2])


def _signed_project(request: Request, engine: Engine) -> tuple[str, bool]:
    """The project that the request's signature is about, and whether a webhook was sent it. Raises NotSigned.

    Keystone's filter removes X-Project-Id from requests without a token, hence the other header.
    """
    project = request.header('X-Project-Id') or request.header('URL-Project') or ''

    def verify(key: str) -> None:
        signed_urls.verify(request.header, request.method, request.path, project, key, engine.clock())
    if request.path.endswith('/confirm'):
        with suppress(signed_urls.NotSigned):
            verify(signed_urls.confirmation_key(engine.key))
            return project, True
    verify(engine.options.signed_url_key)
    return project, False


def _check_media(request: Request) -> None:
    if request.has_body and request.media_type.partition(';')[0].strip().lower() \
            == 'application/x-www-form-urlencoded':
        raise Invalid('Invalid Content-Type: this API takes JSON.')
    accept = request.header('Accept')
    if accept and not _admits_json(accept):
        raise NotAcceptable('This API answers in JSON.')


def _admits_json(accept: str) -> bool:
    """What the most telling of the header's entries says."""
    admitted = {}
    for entry in accept.split(','):
        media, *parameters = (part.strip().lower() for part in entry.split(';'))
        admitted[media] = not any(_is_zero(each) for each in parameters)
    return next((admitted[media] for media in _MEDIA if media in admitted), False)


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition('=')
    return name.strip() == 'q' and value.strip().strip('0') in ('', '.')
