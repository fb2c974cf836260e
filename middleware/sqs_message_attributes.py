"""Amazon SQS: the attributes of a message, their checks, their MD5, and how they are kept.

>>> digest({'Hello': {'DataType': 'String', 'StringValue': 'There'}})
'a311262e065454b75da111d535b8dacd'
"""

from __future__ import annotations

import base64
import re
from hashlib import md5
from typing import Any

from .sqs_errors import SqsError
from .sqs_format import is_clean

MAX_ATTRIBUTES = 10
TRACE = 'AWSTraceHeader'
_NAME = re.compile(r'(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)')
_TYPE = re.compile(r'(String|Number|Binary)(\..*)?')
_NUMBER = re.compile(r'[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?')
_LONGEST = 256  # characters of a type

Attributes = dict[str, dict[str, Any]]  # by name, as the wire has them; binary values are bytes


def kept(attributes: Attributes, system: Attributes) -> dict[str, Any]:
    """As a message keeps them. Raises SqsError for those that are not well-formed."""
    if len(attributes) > MAX_ATTRIBUTES:
        raise SqsError('InvalidParameterValue', f'Number of message attributes [{len(attributes)}] exceeds the allowed '
                                                f'maximum [{MAX_ATTRIBUTES}].')
    for name, value in attributes.items():
        _check(name, value)
    for name, value in system.items():
        if name != TRACE or value.get('DataType') != 'String':
            raise _refuse(f"Message system attribute '{name}' is not one that can be sent, or not a String.")
        _check(name, value)
    found = {'attributes': attributes, 'system': system}
    return {which: {name: _stored(value) for name, value in each.items()} for which, each in found.items() if each}


def _check(name: str, value: dict[str, Any]) -> None:
    if not _NAME.fullmatch(name):
        raise _refuse(f"The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, "
                      'underscore (_), hyphen (-), and period (.) characters. It must not start or end with a period, '
                      'have two in a row, or start with AWS. or Amazon.')
    if value.get('StringListValues') or value.get('BinaryListValues'):
        raise SqsError('UnsupportedOperation', 'Message attribute list values are not supported.')
    kind = value.get('DataType')
    if not kind:
        raise _refuse(f"The message attribute '{name}' must contain a non-empty attribute type.")
    match = _TYPE.fullmatch(kind)
    if match is None or len(kind) > _LONGEST or not is_clean(kind):
        raise _refuse(f"The message attribute '{name}' has an invalid message attribute type, the set of supported "
                      'type prefixes is Binary, Number, and String.')
    field = 'BinaryValue' if match[1] == 'Binary' else 'StringValue'
    other = 'StringValue' if field == 'BinaryValue' else 'BinaryValue'
    if not value.get(field) or value.get(other):
        raise _refuse(f"The message attribute '{name}' must contain a non-empty {field}, and nothing else, for the "
                      f"message attribute type '{match[1]}'.")
    if field == 'StringValue' and not is_clean(value[field]):
        raise SqsError('InvalidMessageContents', f"Invalid characters found in the message attribute '{name}'.")
    if match[1] == 'Number' and not _NUMBER.fullmatch(value[field]):
        raise _refuse(f"Can't cast the value of message attribute '{name}' to a number.")


def _refuse(text: str) -> SqsError:
    return SqsError('InvalidParameterValue', text)


def _stored(value: dict[str, Any]) -> dict[str, str]:
    if value.get('BinaryValue'):
        return {'type': value['DataType'], 'binary': base64.b64encode(value['BinaryValue']).decode('ascii')}
    return {'type': value['DataType'], 'string': value['StringValue']}


def _loaded(value: dict[str, str]) -> dict[str, Any]:
    if 'binary' in value:
        return {'DataType': value['type'], 'BinaryValue': base64.b64decode(value['binary'])}
    return {'DataType': value['type'], 'StringValue': value['string']}


def chosen(stored: dict[str, Any], names: list[str]) -> Attributes:
    """Those of a message's attributes that its receiver asked for, by name or as ``All``, ``.*``, ``*``, ``x.*``."""
    everything = {'All', '.*', '*'} & set(names)
    prefixes = tuple(name[:-2] for name in names if name.endswith('.*'))
    return {name: _loaded(value) for name, value in stored.get('attributes', {}).items()
            if everything or name in names or prefixes and name.startswith(prefixes)}


def trace_header(stored: dict[str, Any]) -> str | None:
    return stored.get('system', {}).get(TRACE, {}).get('string')


def size(attributes: Attributes) -> int:
    """What they add to the size of their message, in bytes."""
    total = 0
    for name, value in attributes.items():
        texts = (name, value.get('DataType') or '', value.get('StringValue') or '')
        total += sum(len(text.encode('utf-8', 'surrogatepass')) for text in texts)
        total += len(value.get('BinaryValue') or b'')
    return total


def digest(attributes: Attributes | None) -> str | None:
    """The MD5 by which clients check that attributes arrived as sent; None for no attributes."""
    if not attributes:
        return None
    parts = []
    for name in sorted(attributes):
        value = attributes[name]
        binary = value.get('BinaryValue')
        parts += [_measured(name.encode()), _measured(value['DataType'].encode()), b'\x02' if binary else b'\x01',
                  _measured(binary or value['StringValue'].encode())]
    return md5(b''.join(parts), usedforsecurity=False).hexdigest()


def _measured(data: bytes) -> bytes:
    return len(data).to_bytes(4, 'big') + data
