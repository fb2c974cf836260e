"""The two protocols of Amazon SQS, JSON 1.0 and Query, both made from the table of actions.

A dialect reads the action and its parameters from a request, and writes its result or an error. It decides nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .frontend import BadBody, Request, parse_json
from .sqs_errors import SqsError, invalid_value, missing
from .sqs_table import Action, List, Map, Scalar, Shape, Struct

TARGET = 'AmazonSQS.'
FORM = 'application/x-www-form-urlencoded'
_JSON = 'application/x-amz-json-1.0'
_XMLNS = 'http://queue.amazonaws.com/doc/2012-11-05/'
_MOST_FIELDS = 5000  # of a form: ten entries of ten attributes have some four hundred
_MOST_QUOTES = 10000  # of JSON, around its strings
_MOST_OUTSIDE = 65536  # bytes of JSON outside of its strings
_DEPTH = 8  # parts of a form's field name
_DIGITS = 19
_BAD = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
_IN_QUERY = {'QueueDoesNotExist': 'The specified queue does not exist for this wsdl version.'}
_QUOTED = {'"': '&quot;', '\r': '&#xD;'}  # clients compare the MD5 of what their parser makes of it

Written = tuple[int, dict[str, str], bytes]


def clean(text: str) -> str:
    """The text with a replacement character for whatever neither XML nor Amazon SQS can carry."""
    return _BAD.sub('\ufffd', text)


def is_clean(text: str) -> bool:
    return not _BAD.search(text)


class Json:
    """AWS JSON 1.0: the action is in a header, the parameters are the body."""

    def __init__(self, request: Request, body: bytes):
        self.request = request
        self.body = body

    @property
    def action(self) -> str:
        """Raises SqsError."""
        target = self.request.header('X-Amz-Target') or ''
        if not target.startswith(TARGET):
            raise SqsError('InvalidAction', 'The header X-Amz-Target names no action of this service.')
        return target.removeprefix(TARGET)

    def parameters(self, takes: Struct) -> dict[str, Any]:
        """Those that were given. Raises SqsError."""
        # Of what is large only strings are allowed, or a parser would take many bytes for each one of the body.
        plain = self.body.replace(b'\\\\', b'').replace(b'\\"', b'')
        if plain.count(b'"') > _MOST_QUOTES or sum(map(len, plain.split(b'"')[::2])) > _MOST_OUTSIDE:
            raise SqsError('Serialization', 'The request has too many parts.')
        try:
            value = parse_json(self.body or b'{}')
        except BadBody as error:
            raise SqsError('Serialization', str(error)) from None
        return _from_json(takes, value, '')

    def result(self, name: str, action: Action, result: dict[str, Any], request_id: str) -> Written:
        body = json.dumps(_to_json(action.gives, result)).encode('ascii') if action.gives else b''
        return 200, self._headers(request_id), body

    def error(self, error: SqsError, request_id: str) -> Written:
        kind, status = error.kind, error.kind.status
        if kind.shape.startswith('com.amazonaws') and status in (403, 404) \
                and self.request.header('x-amzn-query-mode') != 'true':
            status = 400  # as for the clients that came before that header
        body = json.dumps({'__type': kind.shape, 'message': clean(str(error))}).encode('ascii')
        return status, self._headers(request_id) | {'x-amzn-query-error': f'{kind.code};{kind.fault}'}, body

    def _headers(self, request_id: str) -> dict[str, str]:
        return {'Content-Type': _JSON, 'x-amzn-RequestId': request_id}


def _from_json(shape: Shape, value: Any, where: str) -> Any:
    if isinstance(shape, Struct):
        members = value if isinstance(value, dict) else _refuse(where, 'an object')
        given = {name: members[name] for name in shape.members if members.get(name) is not None}
        _check_required(shape, given, where)
        return {name: _from_json(shape.members[name], each, _inside(where, name)) for name, each in given.items()}
    if isinstance(shape, List):
        items = value if isinstance(value, list) else _refuse(where, 'a list')
        return [_from_json(shape.of, each, f'{where}.{number}') for number, each in enumerate(items, 1)]
    if isinstance(shape, Map):
        entries = value if isinstance(value, dict) else _refuse(where, 'an object')
        return {key: _from_json(shape.of, each, _inside(where, key)) for key, each in entries.items()}
    if shape.kind == 'integer':
        return value if isinstance(value, int) and not isinstance(value, bool) else _refuse(where, 'an integer')
    if not isinstance(value, str):
        _refuse(where, 'a string')
    return _decoded(value, where) if shape.kind == 'blob' else value


def _refuse(where: str, wanted: str) -> Any:
    raise SqsError('Serialization', f'{where or "The request"} must be {wanted}.')


def _inside(where: str, name: str) -> str:
    return f'{where}.{name}' if where else name


def _check_required(shape: Struct, given: dict[str, Any], where: str) -> None:
    for name in shape.required:
        if given.get(name) in (None, ''):
            raise missing(_inside(where, name))


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid_value(text, where, 'It is not base64.') from None


def _to_json(shape: Shape, value: Any) -> Any:
    """What is empty is left out, as SQS does."""
    if isinstance(shape, Struct):
        return {name: _to_json(each, value[name]) for name, each in shape.members.items()
                if value.get(name) not in (None, [], {})}
    if isinstance(shape, List):
        return [_to_json(shape.of, each) for each in value]
    if isinstance(shape, Map):
        return {key: _to_json(shape.of, each) for key, each in value.items()}
    return base64.b64encode(value).decode('ascii') if shape.kind == 'blob' else value


class Query:
    """The Query protocol: everything is in the fields of a form, or of the URL; answers are XML."""

    def __init__(self, request: Request, body: bytes):
        self.request = request
        self.body = body

    @cached_property
    def _fields(self) -> dict[str, str]:
        texts = [self.request.environ.get('QUERY_STRING', '')]
        if self.request.media_type.partition(';')[0].strip().lower() == FORM:
            texts.append(self.body.decode('latin-1'))
        fields: dict[str, str] = {}
        try:
            for text in texts:
                fields |= parse_qsl(text, keep_blank_values=True, errors='strict', max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise SqsError('Serialization', 'The request is no form in UTF-8, or has too many fields.') from None
        return fields

    @property
    def action(self) -> str:
        """Raises SqsError."""
        action = self._fields.get('Action')
        if action is None and self.request.path != '/':
            raise SqsError('UnknownOperation', 'The request names no action.')
        if not action:
            raise SqsError('MissingAction', 'The request must contain the parameter Action.')
        if self.request.path != '/' and action in ('CreateQueue', 'ListQueues'):
            raise SqsError('InvalidAction', f'The action {action} is not valid for this endpoint.')
        return action

    def parameters(self, takes: Struct) -> dict[str, Any]:
        """Those that were given; a queue URL that was asked is one of them. Raises SqsError."""
        tree: dict[str, Any] = {}
        fields = self._fields
        if self.request.path != '/' and 'QueueUrl' in takes.members:
            fields = {'QueueUrl': self.request.path} | fields
        for name, text in fields.items():
            parts, branch = name.split('.', _DEPTH), tree
            if all(parts):
                for part in parts:
                    branch = branch.setdefault(part, {})
                branch[''] = text
        return _from_tree(takes, tree, '')

    def result(self, name: str, action: Action, result: dict[str, Any], request_id: str) -> Written:
        content = _element(f'{name}Result', ''.join(_to_xml(action.gives, result))) if action.gives else ''
        content += _element('ResponseMetadata', _element('RequestId', _text(request_id)))
        return 200, self._headers(request_id), _document(f'{name}Response', content)

    def error(self, error: SqsError, request_id: str) -> Written:
        kind = error.kind
        if error.name == 'UnknownOperation':
            return kind.status, self._headers(request_id), b'<UnknownOperationException/>\n'
        content = _element('Error', _element('Type', kind.fault) + _element('Code', kind.code)
                           + _element('Message', _text(_IN_QUERY.get(error.name, str(error)))) + '<Detail/>')
        return kind.status, self._headers(request_id), _document(
            'ErrorResponse', content + _element('RequestId', _text(request_id)))

    def _headers(self, request_id: str) -> dict[str, str]:
        return {'Content-Type': 'text/xml', 'x-amzn-RequestId': request_id}


def _from_tree(shape: Shape, tree: dict[str, Any], where: str) -> Any:
    if isinstance(shape, Struct):
        given = {}
        for name, member in shape.members.items():
            key = member.query if isinstance(member, (List, Map)) else name
            if key in tree:
                given[name] = _from_tree(member, tree[key], _inside(where, key))
        _check_required(shape, given, where)
        return given
    if isinstance(shape, List):
        return [_from_tree(shape.of, tree[number], f'{where}.{number}') for number in _numbers(tree)]
    if isinstance(shape, Map):
        found = {}
        for number in _numbers(tree):
            entry, here = tree[number], f'{where}.{number}'
            if '' not in entry.get(shape.key, {}):
                raise missing(f'{here}.{shape.key}')
            if shape.value not in entry:
                raise missing(f'{here}.{shape.value}')
            found[entry[shape.key]['']] = _from_tree(shape.of, entry[shape.value], f'{here}.{shape.value}')
        return found
    text = tree.get('', '')
    if shape.kind == 'integer':
        if not (text.isascii() and text.removeprefix('-').isdigit() and len(text) < _DIGITS):
            raise invalid_value(text, where, 'Must be an integer.')
        return int(text)
    return _decoded(text, where) if shape.kind == 'blob' else text


def _numbers(tree: dict[str, Any]) -> list[str]:
    numbers = [key for key in tree if key.isascii() and key.isdigit() and len(key) < _DIGITS]
    return sorted(numbers, key=int)


def _to_xml(shape: Struct, value: dict[str, Any]) -> Iterator[str]:
    for name, member in shape.members.items():
        each = value.get(name)
        if each is None:
            continue
        if isinstance(member, List):
            yield from (_element(member.query, _content(member.of, item)) for item in each)
        elif isinstance(member, Map):
            yield from (_element(member.query, _element(member.key, _text(key))
                                 + _element(member.value, _content(member.of, item))) for key, item in each.items())
        else:
            yield _element(name, _content(member, each))


def _content(shape: Scalar | Struct, value: Any) -> str:
    if isinstance(shape, Struct):
        return ''.join(_to_xml(shape, value))
    if shape.kind == 'blob':
        return base64.b64encode(value).decode('ascii')
    if shape.kind == 'boolean':
        return 'true' if value else 'false'
    return _text(str(value))


def _element(name: str, content: str) -> str:
    return f'<{name}>{content}</{name}>'


def _text(text: str) -> str:
    return escape(clean(text), _QUOTED)


def _document(name: str, content: str) -> bytes:
    return f'<?xml version="1.0"?>\n<{name} xmlns="{_XMLNS}">{content}</{name}>\n'.encode()


def dialect_of(request: Request, body: bytes = b'') -> Json | Query:
    """The protocol that the client speaks."""
    speaks_json = request.header('X-Amz-Target') is not None \
        or request.media_type.startswith('application/x-amz-json')
    return (Json if speaks_json else Query)(request, body)
