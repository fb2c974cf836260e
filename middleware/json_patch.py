"""The three operations of a JSON Patch (RFC 6902) that Messaging v2 knows, on ``/metadata/KEY``."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from swiftqueue.errors import AttributeNotFound

from .frontend import BadBody

_POINTER = re.compile(r'/metadata/((?:[^/~]|~[01])+)', re.DOTALL)


@dataclass(frozen=True)
class Operation:
    op: str
    key: str
    value: Any = None


def parse(patch: list[Any]) -> list[Operation]:
    """Raises :class:`BadBody`."""
    return [_parse_one(each) for each in patch]


def _parse_one(each: Any) -> Operation:
    if not isinstance(each, dict):
        raise BadBody('Operations must be JSON objects.')
    op, path = each.get('op'), each.get('path')
    if op not in ('add', 'replace', 'remove'):
        raise BadBody('op must be one of add, replace, remove.')
    match = _POINTER.fullmatch(path) if isinstance(path, str) else None
    if match is None:
        raise BadBody('path must be /metadata/ and a key, with ~0 for ~ and ~1 for /.')
    if op != 'remove' and 'value' not in each:
        raise BadBody(f'The operation {op} needs a value.')
    key = match.group(1).replace('~1', '/').replace('~0', '~')
    return Operation(op, key, each.get('value'))


def apply(operations: list[Operation], attributes: dict[str, Any], reserved: Container[str]) -> dict[str, Any]:
    """The attributes after all operations. Raises AttributeNotFound for what cannot be replaced or removed.

    A reserved attribute always exists; removing it sets it back to its default.
    """
    changed = dict(attributes)
    for operation in operations:
        if operation.op != 'add' and operation.key not in changed and operation.key not in reserved:
            raise AttributeNotFound(f'There is no {operation.key} to {operation.op}.')
        if operation.op == 'remove':
            changed.pop(operation.key, None)
        else:
            changed[operation.key] = operation.value
    return changed
