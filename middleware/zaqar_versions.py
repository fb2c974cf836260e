"""What each version of Messaging has: its requests, its home document, and how it differs from v2.

A version is a row of :data:`VERSIONS`. Where it only leaves something out, or shapes it otherwise, the row says so and
the handlers are v2's; the few that v1 has for itself are in :mod:`zaqar_v1`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from swiftqueue.attributes import effective
from swiftqueue.limits import Options

from . import zaqar_flavors as flavors
from . import zaqar_messages as messages
from . import zaqar_queues as queues
from . import zaqar_service as service
from . import zaqar_subscriptions as subscriptions
from . import zaqar_v1 as v1
from .frontend import Answer, Handler, Routes
from .zaqar_call import TOPICS, Attributes, Call, Version
from .zaqar_v1 import located

_QUEUE = '/queues/{queue_name}'
_MESSAGE = f'{_QUEUE}/messages/{{message_id}}'
_CLAIM = f'{_QUEUE}/claims/{{claim_id}}'
_SUBSCRIPTION = f'{_QUEUE}/subscriptions/{{subscription_id}}'


def _taking(parameters: str, handler: Handler) -> Handler:
    """The handler, for which there are no other query parameters."""
    known = parameters.split()

    def handle(call: Call, *names: str) -> Answer:
        params = call.request.params
        call.request.params = {name: params[name] for name in known if name in params}
        return handler(call, *names)
    return handle


_ROUTES_2: Routes = {
    '': {'GET': service.get_home},
    '/ping': {'GET': service.ping, 'HEAD': service.ping},
    '/health': {'GET': service.get_health},
    '/queues': {'GET': queues.list_queues},
    _QUEUE: {'PUT': queues.create_queue, 'GET': queues.get_queue, 'PATCH': queues.patch_queue,
             'DELETE': queues.delete_queue},
    f'{_QUEUE}/stats': {'GET': queues.get_stats},
    f'{_QUEUE}/share': {'POST': queues.share_queue},
    f'{_QUEUE}/purge': {'POST': queues.purge_queue},
    f'{_QUEUE}/messages': {'POST': messages.post_messages, 'GET': messages.get_messages,
                           'DELETE': messages.delete_messages},
    _MESSAGE: {'GET': messages.get_message, 'DELETE': messages.delete_message},
    f'{_QUEUE}/claims': {'POST': messages.create_claim},
    _CLAIM: {'GET': messages.get_claim, 'PATCH': messages.renew_claim, 'DELETE': messages.release_claim},
    f'{_QUEUE}/subscriptions': {'GET': subscriptions.list_subscriptions, 'POST': subscriptions.create_subscription},
    _SUBSCRIPTION: {'GET': subscriptions.get_subscription, 'PATCH': subscriptions.patch_subscription,
                    'DELETE': subscriptions.delete_subscription},
    f'{_SUBSCRIPTION}/confirm': {'PUT': subscriptions.confirm_subscription},
    **flavors.ROUTES,
}


def _is_of_topics(path: str) -> bool:
    return path.startswith('/queues') and '/claims' not in path and not path.endswith('/share')


def _of_topics(path: str) -> str:
    return path.replace('/queues', '/topics').replace('queue_name', 'topic_name')


def _for_topics(handler: Handler) -> Handler:
    return lambda call, *names: handler(replace(call, kind=TOPICS), *names)


# Topics are queues without claims.
_ROUTES_2 |= {_of_topics(path): {method: _for_topics(handler) for method, handler in methods.items()}
              for path, methods in _ROUTES_2.items() if _is_of_topics(path)}

_ROUTES_1_1: Routes = {
    '': {'GET': service.get_home},
    '/ping': {'GET': service.ping, 'HEAD': service.ping},
    '/health': {'GET': service.get_health},
    '/queues': {'GET': _taking('marker limit detailed', queues.list_queues)},
    _QUEUE: {'PUT': queues.create_queue, 'GET': queues.get_queue, 'DELETE': queues.delete_queue},
    f'{_QUEUE}/stats': {'GET': queues.get_stats},
    f'{_QUEUE}/messages': {
        'POST': messages.post_messages,
        'GET': _taking('ids marker limit echo include_claimed wait', messages.get_messages),
        'DELETE': messages.delete_messages},
    _MESSAGE: _ROUTES_2[_MESSAGE],
    f'{_QUEUE}/claims': _ROUTES_2[f'{_QUEUE}/claims'],
    _CLAIM: _ROUTES_2[_CLAIM],
}

_ROUTES_1: Routes = {
    '': {'GET': service.get_home},
    '/health': {'GET': v1.get_health, 'HEAD': v1.get_health},
    '/queues': {'GET': located(_taking('marker limit detailed', v1.list_queues))},
    _QUEUE: {'PUT': v1.create_queue, 'GET': located(v1.find_queue), 'HEAD': located(v1.find_queue),
             'DELETE': queues.delete_queue},
    f'{_QUEUE}/metadata': {'GET': located(v1.get_metadata), 'PUT': v1.put_metadata},
    f'{_QUEUE}/stats': {'GET': located(queues.get_stats)},
    f'{_QUEUE}/messages': {
        'POST': v1.post_messages,
        'GET': located(_taking('ids marker limit echo include_claimed wait', v1.get_messages)),
        'DELETE': _taking('ids claim_ids', v1.delete_messages)},
    _MESSAGE: {'GET': located(messages.get_message), 'DELETE': messages.delete_message},
    f'{_QUEUE}/claims': {'POST': v1.create_claim},
    _CLAIM: {'GET': located(messages.get_claim), 'PATCH': v1.renew_claim, 'DELETE': messages.release_claim},
}


# -- home documents --------------------------------------------------------------------------------

# The relation: the path, the methods, the query parameters, and which of all these has its meaning under another name.
_Relations = dict[str, tuple[str, ...]]

_RELATIONS_2: _Relations = {
    'queues': ('/queues', 'GET', 'marker limit detailed name with_count', 'limit=queue_limit'),
    'queue': (_QUEUE, 'GET PUT DELETE PATCH'),
    'queue_stats': (f'{_QUEUE}/stats', 'GET'),
    'queue_share': (f'{_QUEUE}/share', 'POST'),
    'queue_purge': (f'{_QUEUE}/purge', 'POST'),
    'messages': (f'{_QUEUE}/messages', 'GET', 'marker limit echo include_claimed include_delayed wait',
                 'limit=messages_limit'),
    'post_messages': (f'{_QUEUE}/messages', 'POST'),
    'messages_delete': (f'{_QUEUE}/messages', 'DELETE', 'ids claim_ids pop wait'),
    'message_get': (_MESSAGE, 'GET'),
    'message_delete': (_MESSAGE, 'DELETE', 'claim_id'),
    'post_claim': (f'{_QUEUE}/claims', 'POST', 'limit wait', 'limit=claim_limit'),
    'claim': (_CLAIM, 'GET'),
    'patch_claim': (_CLAIM, 'PATCH'),
    'delete_claim': (_CLAIM, 'DELETE'),
    'ping': ('/ping', 'GET'),
    'health': ('/health', 'GET'),
}

_SUBSCRIBING: _Relations = {
    'subscriptions': (f'{_QUEUE}/subscriptions', 'GET', 'marker limit', 'limit=subscription_limit'),
    'post_subscription': (f'{_QUEUE}/subscriptions', 'POST'),
    'subscription': (_SUBSCRIPTION, 'GET PATCH DELETE'),
    'subscription_confirm': (f'{_SUBSCRIPTION}/confirm', 'PUT'),
}
_TOPICS: _Relations = {
    f'topic_{name}': (_of_topics(path), *rest)
    for name, (path, *rest) in (_RELATIONS_2 | _SUBSCRIBING).items() if _is_of_topics(path)}

_DEFINING: _Relations = {
    'pools': ('/pools', 'GET', 'marker limit detailed', 'limit=pool_limit'),
    'pool': ('/pools/{pool_name}', 'GET PUT PATCH DELETE'),
    'flavors': ('/flavors', 'GET', 'marker limit detailed', 'limit=flavor_limit'),
    'flavor': ('/flavors/{flavor_name}', 'GET PUT PATCH DELETE'),
}

_RELATIONS_1_1: _Relations = {
    **{name: relation for name, relation in _RELATIONS_2.items() if name not in ('queue_share', 'queue_purge')},
    'queues': ('/queues', 'GET', 'marker limit detailed', 'limit=queue_limit'),
    'queue': (_QUEUE, 'GET PUT DELETE'),
    'messages': (f'{_QUEUE}/messages', 'GET', 'marker limit echo include_claimed wait', 'limit=messages_limit'),
}

_RELATIONS_1: _Relations = {
    'queues': _RELATIONS_1_1['queues'],
    'queue': (_QUEUE, 'GET HEAD PUT DELETE'),
    'queue-metadata': (f'{_QUEUE}/metadata', 'GET PUT'),
    'queue-stats': (f'{_QUEUE}/stats', 'GET'),
    'messages': _RELATIONS_1_1['messages'],
    'post-messages': (f'{_QUEUE}/messages', 'POST'),
    'delete-messages': (f'{_QUEUE}/messages', 'DELETE', 'ids claim_ids'),
    'message': (_MESSAGE, 'GET'),
    'delete-message': (_MESSAGE, 'DELETE', 'claim_id'),
    'claim': (f'{_QUEUE}/claims', 'POST', 'limit wait', 'limit=claim_limit'),
    'claimed': (_CLAIM, 'GET PATCH DELETE'),
    'health': ('/health', 'GET'),
}


def _home(path: str, relations: _Relations) -> dict[str, Any]:
    return {'resources': {f'rel/{name}': _resource(path + below, *rest) for name, (below, *rest) in relations.items()}}


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


# -- the versions ----------------------------------------------------------------------------------

def _all_metadata(attributes: Attributes, options: Options) -> Attributes:
    return attributes


def _set_metadata(attributes: Attributes, options: Options) -> Attributes:
    """Without what every queue has that does not say otherwise."""
    unset = effective({}, options)
    return {name: value for name, value in attributes.items() if name not in unset or value != unset[name]}


VERSIONS = {version.id: version for version in (
    Version('2', 'CURRENT', '2014-9-24T04:06:47Z', _ROUTES_2,
            _home('/v2', _RELATIONS_2 | _SUBSCRIBING | _TOPICS | _DEFINING),
            needed=frozenset({'body'}), taken=frozenset({'body', 'ttl', 'delay', 'ephemeral'}),
            shown=frozenset({'id', 'href', 'ttl', 'age', 'body', 'checksum', 'claim_count', 'claim_id'}),
            metadata=_all_metadata),
    Version('1.1', 'DEPRECATED', '2014-9-24T04:06:47Z', _ROUTES_1_1, _home('/v1.1', _RELATIONS_1_1),
            needed=frozenset({'body'}), taken=frozenset({'body', 'ttl', 'ephemeral'}),
            shown=frozenset({'id', 'href', 'ttl', 'age', 'body', 'claim_id'}),
            metadata=_set_metadata),
    Version('1', 'DEPRECATED', '2014-9-11T17:47:05Z', _ROUTES_1, _home('/v1', _RELATIONS_1),
            needed=frozenset({'body', 'ttl'}), taken=frozenset({'body', 'ttl', 'ephemeral'}),
            shown=frozenset({'href', 'ttl', 'age', 'body'}),
            metadata=v1.own_metadata, enveloped=False, lazy_queues=False, always_client_id=False),
)}
