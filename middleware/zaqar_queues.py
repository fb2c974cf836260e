"""Messaging: queues, their metadata, statistics, purging and sharing, as v2 has them."""

from __future__ import annotations

import time
from typing import Any

from swiftqueue import attributes as queue_attributes
from swiftqueue.errors import Invalid, QueueNotFound
from swiftqueue.limits import check_queue_name
from swiftqueue.model import Message, Stats
from swiftqueue.queues import OWNER

from . import json_patch, signed_urls
from .frontend import Answer, BadBody, UnsupportedType
from .zaqar_call import TOPICS, Call
from .zaqar_messages import age_of, message_href

PATCH_TYPE = 'application/openstack-messaging-v2.0-json-patch'

_PARAMETERS = ('marker', 'limit', 'detailed', 'name', 'with_count')  # any other one is a metadata filter


def list_queues(call: Call) -> Answer:
    request, params = call.request, call.request.params
    marker, detailed = params.get('marker', ''), request.boolean('detailed')
    with_count = request.boolean('with_count')
    page = call.account.queues(
        check_queue_name(marker) if marker else '', request.integer('limit'), detailed=detailed,
        name=params.get('name', ''), topics=call.kind == TOPICS,
        metadata={key: value for key, value in params.items() if key not in _PARAMETERS})
    queues: list[dict[str, Any]] = [{'name': info.name, 'href': call.href(info.name)} for info in page.items]
    if detailed:
        for queue, info in zip(queues, page.items, strict=True):
            queue['metadata'] = call.version.metadata(info.attributes, call.options)
    content: dict[str, Any] = {call.kind: queues, 'links': []}
    if after := page.marker or queues and queues[-1]['name']:
        content['links'] = [call.next_link(call.href(), after)]
    if with_count:
        content['count'] = call.account.count(topics=call.kind == TOPICS)
    return Answer(200, content)


def create_queue(call: Call, name: str) -> Answer:
    queue = call.place(name)
    metadata = call.request.json(call.options.max_queue_metadata, dict, default={})
    new = queue.create(metadata)
    return Answer(201 if new else 204, headers={'Location': call.href(name)})


def get_queue(call: Call, name: str) -> Answer:
    """Queues come into being when they are used, so one that is not there yet has the defaults."""
    try:
        attributes = call.place(name).attributes()
    except QueueNotFound:
        attributes = queue_attributes.effective({}, call.options)
    return Answer(200, call.version.metadata(attributes, call.options))


def patch_queue(call: Call, name: str) -> Answer:
    queue = call.place(name)
    if call.request.media_type != PATCH_TYPE:
        raise UnsupportedType(f'The Content-Type of a PATCH must be {PATCH_TYPE}.')
    operations = json_patch.parse(call.request.json(call.options.max_queue_metadata, list))
    reserved = {*queue_attributes.defaults(call.options), queue_attributes.SHARDS}
    return Answer(200, queue.configure(lambda current: json_patch.apply(operations, current, reserved)))


def delete_queue(call: Call, name: str) -> Answer:
    call.place(name).delete()
    return Answer(204)


def get_stats(call: Call, name: str) -> Answer:
    try:
        stats = call.place(name).stats()
    except QueueNotFound:
        if not call.version.lazy_queues:
            raise
        stats = Stats(0, 0, 0, None, None)
    counts: dict[str, Any] = {'claimed': stats.claimed, 'free': stats.total - stats.claimed, 'total': stats.total}
    for which in ('oldest', 'newest'):
        message = getattr(stats, which)
        if message:
            counts[which] = _age(call, name, message)
    return Answer(200, {'messages': counts})


def _age(call: Call, name: str, message: Message) -> dict[str, Any]:
    created = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(message.created_at))
    return {'age': age_of(call, message.created_at), 'created': created, 'href': message_href(call, name, message)}


def purge_queue(call: Call, name: str) -> Answer:
    queue = call.place(name)
    document = call.request.json(call.options.max_queue_metadata, dict, default={})
    types = document.get('resource_types', ['messages', 'subscriptions'])
    if set(document) - {'resource_types'} or not isinstance(types, list) \
            or any(each not in ('messages', 'subscriptions') for each in types):
        raise BadBody('A purge takes resource_types, a list of messages and subscriptions.')
    queue.allow(OWNER)
    try:
        if 'messages' in types:
            queue.purge()
        if 'subscriptions' in types:
            queue.subscriptions.delete_all()
    except QueueNotFound:
        pass
    return Answer(204)


def share_queue(call: Call, name: str) -> Answer:
    queue = call.place(name)
    document = call.request.json(call.options.max_queue_metadata, dict, default={})
    queue.allow(OWNER)
    if not call.project.isprintable() or '\\' in call.project:  # no signature of such a project would be taken
        raise Invalid('A project of this name cannot share queues.')
    return Answer(200, signed_urls.share(document, name, call.project, call.options.signed_url_key,
                                         call.engine.clock()))
