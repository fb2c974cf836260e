"""Burrow v1.0: messages.

A body is any bytes. UTF-8 is kept as text, as all other doors know it; all else is kept as base64, and the message's
attributes say so.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from swift.common.swob import wsgi_to_str

from swiftqueue.errors import MessageNotFound
from swiftqueue.model import Message, NewMessage
from swiftqueue.named import ENDLESS

from .burrow_call import MESSAGE_DETAILS, Call
from .frontend import Answer

_ENCODED = {'encoding': 'base64'}
_BYTES = {'Content-Type': 'application/octet-stream'}


def put_message(call: Call, account: str, queue: str, message: str) -> Answer:
    request = call.request
    queue = call.queue(queue)
    queue.allow('write')
    body = request.body(call.account.engine.options.max_message_size)
    new = queue.named.put(wsgi_to_str(message), _new_message(body, request.integer('ttl'), request.integer('hide')))
    return Answer(201) if new else call.nothing()


def get_message(call: Call, account: str, queue: str, message: str) -> Answer:
    detail = call.detail(MESSAGE_DETAILS, 'all')
    return _show_one(call, call.queue(queue).named.get(wsgi_to_str(message)), detail)


def change_message(call: Call, account: str, queue: str, message: str) -> Answer:
    detail = call.detail(MESSAGE_DETAILS, 'none')
    return _show_one(call, call.queue(queue).named.change(wsgi_to_str(message), **_times(call)), detail)


def delete_message(call: Call, account: str, queue: str, message: str) -> Answer:
    detail = call.detail(MESSAGE_DETAILS, 'none')
    return _show_one(call, call.queue(queue).named.delete(wsgi_to_str(message)), detail)


def list_messages(call: Call, account: str, queue: str) -> Answer:
    detail = call.detail(MESSAGE_DETAILS, 'all')
    return _show_many(call, call.queue(queue).named.list(call.selection), detail)


def change_messages(call: Call, account: str, queue: str) -> Answer:
    detail = call.detail(MESSAGE_DETAILS, 'none')
    return _show_many(call, call.queue(queue).named.change_many(call.selection, **_times(call)), detail)


def delete_messages(call: Call, account: str, queue: str) -> Answer:
    detail = call.detail(MESSAGE_DETAILS, 'none')
    return _show_many(call, call.queue(queue).named.delete_many(call.selection), detail)


def _times(call: Call) -> dict[str, int | None]:
    return {name: call.request.integer(name) for name in ('ttl', 'hide')}


def _new_message(body: bytes, ttl: int | None, hide: int | None) -> NewMessage:
    try:
        return NewMessage(body.decode('utf-8'), ttl, hide, size=len(body))
    except UnicodeDecodeError:
        return NewMessage(base64.b64encode(body).decode('ascii'), ttl, hide, _ENCODED, size=len(body))


# -- what is shown ---------------------------------------------------------------------------------

def _show_one(call: Call, message: Message, detail: str) -> Answer:
    if detail == 'none':
        return call.nothing()
    if detail == 'id':
        return Answer(200, _id(message).encode('utf-8'), _BYTES)
    if detail == 'body':
        return Answer(200, _bytes(message), _BYTES)
    return Answer(200, _DETAILS[detail](call, message))


def _show_many(call: Call, messages: list[Message], detail: str) -> Answer:
    if not messages:
        raise MessageNotFound('Message not found')
    if detail == 'none':
        return call.nothing()
    return Answer(200, [_DETAILS[detail](call, message) for message in messages])


def _id(message: Message) -> str:
    return message.name or message.id


def _text(message: Message) -> str:
    """Other doors take any JSON for a body."""
    return message.body if isinstance(message.body, str) else json.dumps(message.body)


def _is_encoded(message: Message) -> bool:
    return message.attributes.get('encoding') == _ENCODED['encoding']


def _bytes(message: Message) -> bytes:
    return base64.b64decode(message.body) if _is_encoded(message) else _text(message).encode('utf-8', 'surrogatepass')


def _attributes(call: Call, message: Message) -> dict[str, Any]:
    """Seconds that are left, of which 0 means that there is no end, or that it is not hidden."""
    now = call.account.engine.clock()
    ttl = 0 if message.ttl == ENDLESS else max(1, math.ceil(message.expires_at - now))
    return {'id': _id(message), 'ttl': ttl, 'hide': max(0, math.ceil(message.held_until - now))}


def _all(call: Call, message: Message) -> dict[str, Any]:
    shown = _attributes(call, message) | {'body': _text(message)}
    return shown | _ENCODED if _is_encoded(message) else shown


_DETAILS = {
    'id': lambda call, message: _id(message),
    'attributes': _attributes,
    'body': lambda call, message: _text(message),
    'all': _all,
}
