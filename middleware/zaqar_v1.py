"""Messaging v1: the handlers that are its own, most of them v2's with another form of what goes in or comes out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from swiftqueue.errors import Invalid, MessageNotFound

from . import zaqar_messages, zaqar_queues, zaqar_service
from .frontend import Answer, BadBody, Handler
from .zaqar_call import SMALL_BODY, Attributes, Call

_SHOWN_LOCATION = re.compile('[!-~]{1,4096}')  # any other one is too long, or no URI


def located(handler: Handler) -> Handler:
    """The handler, whose answers say in Content-Location of what they speak."""
    def handle(call: Call, *names: str) -> Answer:
        answer, query = handler(call, *names), call.request.environ.get('QUERY_STRING')
        where = quote(call.request.path) + (f'?{query}' if query else '')
        if not _SHOWN_LOCATION.fullmatch(where):
            return answer
        return replace(answer, headers={**answer.headers, 'Content-Location': where})
    return handle


def _unless_empty(answer: Answer) -> Answer:
    return answer if any(answer.content.values()) else Answer(204)


def _check_fields(call: Call, *names: str) -> None:
    if not set(names).issubset(call.request.json(SMALL_BODY, dict)):
        raise BadBody(f'The request body must have {" and ".join(names)}.')


def get_health(call: Call) -> Answer:
    answer = zaqar_service.get_health(call)
    return Answer(204) if answer.status == 200 else answer


# -- queues ----------------------------------------------------------------------------------------

def list_queues(call: Call) -> Answer:
    return _unless_empty(zaqar_queues.list_queues(call))


def create_queue(call: Call, name: str) -> Answer:
    """A body is not looked at: metadata has a resource of its own."""
    new = call.account.queue(name).create()
    return Answer(201 if new else 204, headers={'Location': call.href(name)})


def find_queue(call: Call, name: str) -> Answer:
    call.account.queue(name).attributes()
    return Answer(204)


def get_metadata(call: Call, name: str) -> Answer:
    return Answer(200, call.version.metadata(call.account.queue(name).attributes(), call.options))


def put_metadata(call: Call, name: str) -> Answer:
    """In the place of all the tenant's own. What other APIs have set for the engine stays."""
    queue = call.account.queue(name)
    metadata: dict[str, Any] = call.request.json(call.options.max_queue_metadata, dict)
    if any(_is_reserved(key) for key in metadata):
        raise Invalid('Metadata whose names begin with an underscore cannot be set in this version of the API.')
    queue.configure(lambda current: {
        key: value for key, value in current.items() if _is_reserved(key)} | metadata)
    return Answer(204, headers={'Location': call.href(name, 'metadata')})


def own_metadata(attributes: Attributes, options: Any) -> Attributes:
    """What this version can set."""
    return {key: value for key, value in attributes.items() if not _is_reserved(key)}


def _is_reserved(key: str) -> bool:
    return key.startswith('_')


# -- messages and claims ---------------------------------------------------------------------------

def post_messages(call: Call, name: str) -> Answer:
    answer = zaqar_messages.post_messages(call, name)
    return replace(answer, content=answer.content | {'partial': answer.status != 201})


def get_messages(call: Call, name: str) -> Answer:
    try:
        answer = zaqar_messages.get_messages(call, name)
    except MessageNotFound:
        return Answer(204)
    return answer if 'ids' in call.request.params else _unless_empty(answer)


def delete_messages(call: Call, name: str) -> Answer:
    if 'ids' not in call.request.params:
        raise Invalid('ids is missing: messages are deleted by id.')
    return zaqar_messages.delete_messages(call, name)


def create_claim(call: Call, name: str) -> Answer:
    _check_fields(call, 'ttl', 'grace')
    return zaqar_messages.create_claim(call, name)


def renew_claim(call: Call, name: str, claim_id: str) -> Answer:
    _check_fields(call, 'ttl')
    return zaqar_messages.renew_claim(call, name, claim_id)
