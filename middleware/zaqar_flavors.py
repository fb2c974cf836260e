"""Messaging v2, for operators: pools, which stand for storage policies, and the flavors of queues made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from swiftqueue.errors import Invalid
from swiftqueue.flavors import Definitions, Flavors, Pools
from swiftqueue.limits import check_definition_name
from swiftqueue.names import Flavor, Pool

from . import identity
from .frontend import Answer, BadBody
from .zaqar_call import Call

_SCHEME = 'swift://'  # of a pool's uri; behind it is the name of a storage policy
_MAX_BODY = 65536
_CAPABILITIES = ['CLAIMS', 'DURABILITY', 'AOD']  # of queues, in Zaqar's words

Fields = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """Pools, or flavors. ``keys``: what a body may have, and what the definition has for its value."""

    definitions: type[Definitions]
    make: Callable[..., Any]
    plural: str
    keys: dict[str, Callable[[Any], Fields]]
    required: tuple[str, ...]
    show: Callable[[Any, bool], Fields]

    def list(self, call: Call) -> Answer:
        definitions, request = self._definitions(call), call.request
        marker, detailed = request.params.get('marker', ''), request.boolean('detailed')
        page = definitions.page(check_definition_name(marker) if marker else '', request.integer('limit'))
        path = request.path.rstrip('/')
        shown = [self._shown(f'{path}/{name}', each, detailed) for name, each in page.items]
        return Answer(200, {self.plural: shown,
                            'links': [call.next_link(path, page.marker)] if page.marker else []})

    def get(self, call: Call, name: str) -> Answer:
        found = self._definitions(call).get(name)
        return Answer(200, self._shown(call.request.path, found, call.request.boolean('detailed')))

    def put(self, call: Call, name: str) -> Answer:
        definitions, document = self._definitions(call), call.request.json(_MAX_BODY, dict)
        if any(key not in document for key in self.required):
            raise BadBody(f'The request body must have {" and ".join(self.required)}.')
        definitions.put(name, self.make(**self._fields(document)))
        return Answer(201, headers={'Location': call.request.path.rstrip('/')})

    def patch(self, call: Call, name: str) -> Answer:
        definitions, document = self._definitions(call), call.request.json(_MAX_BODY, dict)
        if not document:
            raise BadBody(f'The request body must have some of {", ".join(self.keys)}.')
        changes = self._fields(document)
        changed = definitions.change(name, lambda there: replace(there, **changes))
        return Answer(200, self._shown(call.request.path, changed, detailed=True))

    def delete(self, call: Call, name: str) -> Answer:
        self._definitions(call).delete(name)
        return Answer(204)

    def _definitions(self, call: Call) -> Definitions:
        """Raises Forbidden for anybody but operators."""
        identity.check_operator(call.request.environ, call.options)
        return self.definitions(call.engine, call.account.swift)

    def _fields(self, document: Fields) -> Fields:
        fields: Fields = {}
        for key, value in document.items():
            if key not in self.keys:
                raise BadBody(f'The request body cannot have {key!r}, only {", ".join(self.keys)}.')
            fields |= self.keys[key](value)
        return fields

    def _shown(self, path: str, definition: Any, detailed: bool) -> Fields:
        href = path.rstrip('/')
        return {'href': href, 'name': href.rpartition('/')[2], **self.show(definition, detailed)}


def _as(field: str) -> Callable[[Any], Fields]:
    return lambda value: {field: value}


def _object(field: str) -> Callable[[Any], Fields]:
    return lambda value: {field: {} if value is None else value}


def _policy(uri: Any) -> Fields:
    if not isinstance(uri, str) or not uri.startswith(_SCHEME):
        raise Invalid(f'The uri of a pool is {_SCHEME} and the name of a storage policy.')
    return {'policy': uri.removeprefix(_SCHEME)}


def _no_flavor(flavor: Any) -> Fields:
    if flavor:
        raise Invalid('A pool is put into a flavor by the pool_list of the flavor.')
    return {}


def _show_pool(pool: Pool, detailed: bool) -> Fields:
    return {'uri': _SCHEME + pool.policy, 'weight': pool.weight} | ({'options': pool.options} if detailed else {})


def _show_flavor(flavor: Flavor, detailed: bool) -> Fields:
    able = [each for each in _CAPABILITIES if each != 'DURABILITY' or not flavor.ephemeral]
    shown = {'pool_list': flavor.pools, 'capabilities': able}
    optional = {'claims_pool': flavor.claims_pool, 'shards': flavor.shards, 'limits': flavor.limits,
                'ephemeral': flavor.ephemeral}
    return shown | {key: value for key, value in optional.items() if value}


_RESOURCES = (
    Resource(Pools, Pool, 'pools', {
        'uri': _policy,
        'weight': _as('weight'),
        'options': _object('options'),
        'flavor': _no_flavor,
    }, ('uri', 'weight'), _show_pool),
    Resource(Flavors, Flavor, 'flavors', {
        'pool_list': _as('pools'),
        'claims_pool': _as('claims_pool'),
        'shards': _as('shards'),
        'limits': _object('limits'),
        'ephemeral': lambda value: {'ephemeral': False if value is None else value},
        'capabilities': lambda value: {},  # they are what they are
    }, ('pool_list',), _show_flavor),
)

ROUTES = {path: methods for each in _RESOURCES for path, methods in (
    (f'/{each.plural}', {'GET': each.list}),
    (f'/{each.plural}/{{{each.plural[:-1]}_name}}',
     {'GET': each.get, 'PUT': each.put, 'PATCH': each.patch, 'DELETE': each.delete}),
)}
