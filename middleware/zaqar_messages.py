"""Messaging: messages and claims, as v2 has them; what the older versions have otherwise is in their table."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from swiftqueue.errors import (
    Invalid,
    MessageClaimed,
    MessageNotFound,
    QueueError,
    QueueNotFound,
    ReceiptInvalid,
    Unavailable,
)
from swiftqueue.limits import check_integer
from swiftqueue.model import Message, NewMessage, Page, Posted
from swiftqueue.queues import Queue

from .frontend import Answer, BadBody
from .zaqar_call import SMALL_BODY, Call

_IDS_IN_LOCATION = 100  # so that the header stays well below the 8192 bytes that everybody takes


def message_href(call: Call, queue: str, message: Message) -> str:
    """The path of a message, with the claim that holds it."""
    return call.href(queue, 'messages', message.id) + (f'?claim_id={message.claim_id}' if message.claim_id else '')


def age_of(call: Call, instant: float) -> int:
    """Whole seconds since then."""
    return max(0, int(call.engine.clock() - instant))


def _show(call: Call, queue: str, message: Message) -> dict[str, Any]:
    # python-zaqarclient fails on any key that it does not know.
    shown = {'id': message.id, 'href': message_href(call, queue, message), 'ttl': message.ttl,
             'age': age_of(call, message.created_at), 'body': message.body}
    if call.options.enable_checksum:
        digest = hashlib.md5(json.dumps(message.body).encode('ascii'), usedforsecurity=False).hexdigest()
        shown['checksum'] = f'MD5:{digest}'
    return call.version.of_message(shown)


def _show_claimed(call: Call, queue: str, message: Message) -> dict[str, Any]:
    return _show(call, queue, message) | call.version.of_message({'claim_count': message.deliveries})


def _in_envelope(call: Call, messages: list[dict[str, Any]]) -> Any:
    return {'messages': messages} if call.version.enveloped else messages


# -- messages --------------------------------------------------------------------------------------

def post_messages(call: Call, name: str) -> Answer:
    queue, most = call.place(name), call.options.max_messages_post_size
    messages = _parse_messages(call, most)
    size = len(call.request.body(most))
    try:
        posted = queue.messages.post(messages, call.client_id, size=size)
    except QueueNotFound:
        if not call.version.lazy_queues:
            raise
        queue.create()
        try:
            posted = queue.messages.post(messages, call.client_id, size=size)
        except QueueNotFound:
            raise Unavailable('The queue has just been created and cannot be seen yet.') from None
    stored = [each.id for each in posted if each.error is None]
    resources = [call.href(name, 'messages', message_id) for message_id in stored]
    if len(stored) < len(posted):
        return _tell_failure(posted, resources)
    location = call.href(name, 'messages')
    if len(stored) <= min(call.options.max_messages_per_page, _IDS_IN_LOCATION):  # more could not be asked for
        location += f'?ids={",".join(stored)}'
    return Answer(201, {'resources': resources}, {'Location': location})


def _parse_messages(call: Call, most: int) -> list[NewMessage]:
    version = call.version
    if version.enveloped:
        messages = call.request.json(most, dict).get('messages')
    else:
        messages = call.request.json(most, list)
    if not isinstance(messages, list) or not messages:
        raise BadBody('The request body must bring a list of messages that is not empty.')
    if not all(isinstance(each, dict) and version.needed.issubset(each) for each in messages):
        raise BadBody(f'Every message must be an object with {" and ".join(sorted(version.needed))}.')
    return [NewMessage(**{name: each[name] for name in version.taken if name in each}) for each in messages]


def _tell_failure(posted: list[Posted], resources: list[str]) -> Answer:
    """A batch of which not all was stored never looks like success, and says what was."""
    error = next(each.error for each in posted if each.error)
    if not resources:
        raise error
    return Answer(503, {
        'title': 'Service temporarily unavailable',
        'description': f'{len(resources)} of {len(posted)} messages were stored: {error}',
        'resources': resources,
    })


def get_messages(call: Call, name: str) -> Answer:
    queue, request = call.place(name), call.request
    ids = request.strings('ids')
    if ids is not None:
        return _get_some(call, queue, _check_number(call, 'ids', ids))
    client_id = call.client_id
    limit, echo = request.integer('limit'), request.boolean('echo')
    include = {key: request.boolean(key) for key in ('include_claimed', 'include_delayed')}
    try:
        page = queue.messages.list(request.params.get('marker'), limit, client_id=None if echo else client_id,
                                   wait=call.wait, **include)
    except QueueNotFound:
        page = Page([])
    if not page.items:
        return Answer(200, {'messages': [], 'links': []})
    return Answer(200, {'messages': [_show(call, name, message) for message in page.items],
                        'links': [call.next_link(call.href(name, 'messages'), page.marker)]})


def _get_some(call: Call, queue: Queue, ids: list[str]) -> Answer:
    messages = queue.messages.get(ids)
    if not messages:
        raise MessageNotFound('None of these messages is there.')
    return Answer(200, _in_envelope(call, [_show(call, queue.name, message) for message in messages]))


def _check_number(call: Call, what: str, ids: list[str]) -> list[str]:
    check_integer(f'The number of {what}', len(ids), 1, call.options.max_messages_per_page)
    return ids


def get_message(call: Call, name: str, message_id: str) -> Answer:
    messages = call.place(name).messages.get([message_id])
    if not messages:
        raise MessageNotFound('There is no such message.')
    return Answer(200, _show(call, name, messages[0]))


def delete_message(call: Call, name: str, message_id: str) -> Answer:
    queue, claim_id = call.place(name), call.request.params.get('claim_id')
    if call.options.message_delete_with_claim_id and not claim_id:
        raise Invalid('Messages can only be deleted with the id of their claim.')
    try:
        if claim_id:
            queue.claims.ack(message_id, claim_id)
        else:
            queue.messages.delete_unclaimed(message_id)
    except QueueNotFound:
        pass
    return Answer(204)


def delete_messages(call: Call, name: str) -> Answer:
    queue, request = call.place(name), call.request
    ids, pop = request.strings('ids'), request.integer('pop')
    if (ids is None) == (pop is None):
        raise Invalid('Exactly one of ids and pop is needed.')
    try:
        if ids is None:
            messages = queue.claims.pop(pop, wait=call.wait)
            return Answer(200, {'messages': [_show_popped(call, name, message) for message in messages]})
        _delete_some(call, queue, _check_number(call, 'ids', ids))
    except QueueNotFound:
        if ids is None:
            return Answer(200, {'messages': []})
    return Answer(204)


def _show_popped(call: Call, name: str, message: Message) -> dict[str, Any]:
    shown = _show_claimed(call, name, message) | call.version.of_message({'claim_id': message.claim_id})
    del shown['href']  # there is nothing at it any more
    return shown


def _delete_some(call: Call, queue: Queue, ids: list[str]) -> None:
    claim_ids = call.request.strings('claim_ids')
    if claim_ids:
        _ack_some(queue, ids, _check_number(call, 'claim_ids', claim_ids))
    elif call.options.message_delete_with_claim_id:
        raise Invalid('Messages can only be deleted with claim_ids, the ids of their claims.')
    else:
        queue.messages.delete(ids)


def _ack_some(queue: Queue, ids: list[str], claim_ids: list[str]) -> None:
    """Ack all that the claims hold, then raise what was said against another one."""
    refusals = queue.swift.at_most(lambda message_id: _ack_with_any(queue, message_id, claim_ids), ids)
    for refusal in refusals:
        if refusal:
            raise refusal


def _ack_with_any(queue: Queue, message_id: str, claim_ids: list[str]) -> QueueError | None:
    refusal = None
    for claim_id in list(claim_ids):
        try:
            queue.claims.ack(message_id, claim_id)
        except (MessageClaimed, ReceiptInvalid) as error:
            refusal = error
        else:
            claim_ids.remove(claim_id)
            claim_ids.insert(0, claim_id)  # most likely it holds the next message too
            return None
    return refusal


# -- claims ----------------------------------------------------------------------------------------

def create_claim(call: Call, name: str) -> Answer:
    queue, request = call.place(name), call.request
    wanted = request.json(SMALL_BODY, dict, default={})
    limit = request.integer('limit')
    try:
        claim = queue.claims.create(limit, wanted.get('ttl'), wanted.get('grace'), wait=call.wait)
    except QueueNotFound:
        claim = None
    if claim is None:
        return Answer(204)
    return Answer(201, _in_envelope(call, [_show_claimed(call, name, message) for message in claim.messages]),
                  {'Location': call.href(name, 'claims', claim.id)})


def get_claim(call: Call, name: str, claim_id: str) -> Answer:
    claim = call.place(name).claims.get(claim_id)
    return Answer(200, {
        'age': age_of(call, claim.renewed_at),
        'ttl': claim.ttl,
        'grace': claim.grace,
        'href': call.href(name, 'claims', claim.id),
        'messages': [_show_claimed(call, name, message) for message in claim.messages],
    })


def renew_claim(call: Call, name: str, claim_id: str) -> Answer:
    queue = call.place(name)
    wanted = call.request.json(SMALL_BODY, dict)
    queue.claims.renew(claim_id, wanted.get('ttl'), wanted.get('grace'))
    return Answer(204)


def release_claim(call: Call, name: str, claim_id: str) -> Answer:
    try:
        call.place(name).claims.release(claim_id)
    except QueueNotFound:
        pass
    return Answer(204)
