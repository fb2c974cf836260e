"""The door of OpenStack Messaging v2 (Zaqar): routes, errors, and what every request must bring.

:mod:`zaqar_queues` and :mod:`zaqar_messages` hold the handlers. Where this API and Zaqar differ, and why, is told in
``doc/source/messaging-v2.rst``.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from swiftqueue.errors import (
    AttributeNotFound,
    Forbidden,
    Invalid,
    MessageClaimed,
    NotFound,
    QuotaExceeded,
    ReceiptInvalid,
    Unauthorized,
    Unavailable,
)
from swiftqueue.queues import Engine

from . import connection, identity, signed_urls, zaqar_messages, zaqar_queues
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
from .zaqar_call import Call

RETRY_AFTER = 5  # seconds

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
    QuotaExceeded: (403, 'Quota exceeded'),
    NotFound: (404, 'Not found'),
    MethodNotAllowed: (405, 'Method not allowed'),
    NotAcceptable: (406, 'Not acceptable'),
    SlowBody: (408, 'Request timeout'),
    AttributeNotFound: (409, 'Resource conflict'),
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
    """The WSGI app for ``/`` and ``/v2``; ``app`` is the rest of the pipeline."""
    def begin(request: Request) -> Call | None:
        if request.path == '/':
            return None
        environ, options = request.environ, engine.options
        signed = request.header('URL-Signature') is not None
        project = _signed_project(request, engine) if signed \
            else identity.project_of(environ, request.header('X-Project-Id'), options)
        account = identity.account_of(environ, project, options)
        if signed:
            identity.allow_everything(environ)
        _check_media(request)
        client_id = _client_id(request, options.client_id_uuid_safe)
        given_up = partial(connection.given_up, environ)
        return Call(request, engine, engine.account(app, environ, account, logger, given_up), project, client_id)

    return Frontend(ROUTES, begin, render, logger)


def _signed_project(request: Request, engine: Engine) -> str:
    """The project that the request's signature is about. Raises NotSigned.

    Keystone's filter removes X-Project-Id from requests without a token, hence the other header.
    """
    project = request.header('X-Project-Id') or request.header('URL-Project') or ''
    signed_urls.verify(request.header, request.method, request.path, project,
                       engine.options.signed_url_key, engine.clock())
    return project


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


def _client_id(request: Request, safe: str) -> str:
    """The Client-ID, a UUID in its usual form if it must be one. Raises Invalid."""
    text = request.header('Client-ID')
    if not text:
        raise Invalid('The header Client-ID is missing.')
    if safe == 'off':
        if not 10 <= len(text) <= 36 or not text.isprintable():
            raise Invalid('The header Client-ID must have 10 to 36 printable characters.')
        return text
    try:
        value = uuid.UUID(text)
    except ValueError:
        value = None
    if value is None or value.hex != text.replace('-', '').lower():
        raise Invalid('Wrong UUID value in the header Client-ID.')
    return str(value)


# -- about the service itself ----------------------------------------------------------------------

def list_versions(call: None) -> Answer:
    return Answer(300, {'versions': [{
        'id': '2',
        'status': 'CURRENT',
        'updated': '2014-9-24T04:06:47Z',
        'media-types': [{'base': 'application/json',
                         'type': 'application/vnd.openstack.messaging-v2+json'}],
        'links': [{'href': '/v2/', 'rel': 'self'}],
    }]})


def get_home(call: Call) -> Answer:
    return Answer(200, HOME, {'Content-Type': 'application/json-home', 'Cache-Control': 'max-age=86400'})


def ping(call: Call) -> Answer:
    return Answer(204)


def get_health(call: Call) -> Answer:
    """Whether the caller's account can be read: the shortest request that reaches the storage nodes."""
    try:
        call.account.queues(limit=1)
    except Unavailable:
        return Answer(503, {'storage_reachable': False}, {'Retry-After': str(RETRY_AFTER)})
    return Answer(200, {'storage_reachable': True})


_QUEUE = '/v2/queues/{queue_name}'

ROUTES = {
    '/': {'GET': list_versions, 'HEAD': list_versions},
    '/v2': {'GET': get_home},
    '/v2/ping': {'GET': ping, 'HEAD': ping},
    '/v2/health': {'GET': get_health},
    '/v2/queues': {'GET': zaqar_queues.list_queues},
    _QUEUE: {'PUT': zaqar_queues.create_queue, 'GET': zaqar_queues.get_queue,
             'PATCH': zaqar_queues.patch_queue, 'DELETE': zaqar_queues.delete_queue},
    f'{_QUEUE}/stats': {'GET': zaqar_queues.get_stats},
    f'{_QUEUE}/share': {'POST': zaqar_queues.share_queue},
    f'{_QUEUE}/purge': {'POST': zaqar_queues.purge_queue},
    f'{_QUEUE}/messages': {'POST': zaqar_messages.post_messages, 'GET': zaqar_messages.get_messages,
                           'DELETE': zaqar_messages.delete_messages},
    f'{_QUEUE}/messages/{{message_id}}': {'GET': zaqar_messages.get_message,
                                          'DELETE': zaqar_messages.delete_message},
    f'{_QUEUE}/claims': {'POST': zaqar_messages.create_claim},
    f'{_QUEUE}/claims/{{claim_id}}': {'GET': zaqar_messages.get_claim, 'PATCH': zaqar_messages.renew_claim,
                                      'DELETE': zaqar_messages.release_claim},
}


def _resource(path: str, allow: str, query: str = '', variables: str = '') -> dict[str, Any]:
    """One entry of the home document; ``variables`` says which parameters have their meaning under another name."""
    meanings = dict(pair.split('=') for pair in variables.split())
    names = [part[1:-1] for part in path.split('/') if part.startswith('{')] + query.split()
    hints: dict[str, Any] = {'allow': allow.split(), 'formats': {'application/json': {}}}
    if allow in ('POST', 'PATCH'):
        hints['accept-post'] = ['application/json']
    template = f'{path}{{?{",".join(query.split())}}}' if query else path
    resource = {'href-template': template, 'hints': hints}
    if names:
        resource['href-vars'] = {name: f'param/{meanings.get(name, name)}' for name in names}
    return resource


HOME = {'resources': {
    'rel/queues': _resource('/v2/queues', 'GET', 'marker limit detailed name with_count', 'limit=queue_limit'),
    'rel/queue': _resource(_QUEUE, 'GET PUT DELETE PATCH'),
    'rel/queue_stats': _resource(f'{_QUEUE}/stats', 'GET'),
    'rel/queue_share': _resource(f'{_QUEUE}/share', 'POST'),
    'rel/queue_purge': _resource(f'{_QUEUE}/purge', 'POST'),
    'rel/messages': _resource(f'{_QUEUE}/messages', 'GET', 'marker limit echo include_claimed include_delayed wait',
                              'limit=messages_limit'),
    'rel/post_messages': _resource(f'{_QUEUE}/messages', 'POST'),
    'rel/messages_delete': _resource(f'{_QUEUE}/messages', 'DELETE', 'ids claim_ids pop wait'),
    'rel/message_get': _resource(f'{_QUEUE}/messages/{{message_id}}', 'GET'),
    'rel/message_delete': _resource(f'{_QUEUE}/messages/{{message_id}}', 'DELETE', 'claim_id'),
    'rel/post_claim': _resource(f'{_QUEUE}/claims', 'POST', 'limit wait', 'limit=claim_limit'),
    'rel/claim': _resource(f'{_QUEUE}/claims/{{claim_id}}', 'GET'),
    'rel/patch_claim': _resource(f'{_QUEUE}/claims/{{claim_id}}', 'PATCH'),
    'rel/delete_claim': _resource(f'{_QUEUE}/claims/{{claim_id}}', 'DELETE'),
    'rel/ping': _resource('/v2/ping', 'GET'),
    'rel/health': _resource('/v2/health', 'GET'),
}}
