"""Messaging v2: subscriptions to queues and topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swiftqueue.errors import Forbidden, Invalid, QueueNotFound, Unavailable
from swiftqueue.model import Page, Subscription
from swiftqueue.queues import OWNER
from swiftqueue.subscriptions import CONFIRM_SECONDS
from swiftqueue.webhooks import CONFIRMATION

from . import signed_urls
from .frontend import Answer, BadBody
from .zaqar_call import SMALL_BODY, Call
from .zaqar_messages import age_of

_FIELDS = ('subscriber', 'ttl', 'options')


def list_subscriptions(call: Call, name: str) -> Answer:
    request = call.request
    limit = request.integer('limit')
    try:
        page = call.place(name).subscriptions.list(request.params.get('marker', ''), limit)
    except QueueNotFound:
        page = Page([])
    content: dict[str, Any] = {'subscriptions': [_show(call, name, each) for each in page.items], 'links': []}
    if page.marker:
        content['links'] = [call.next_link(call.href(name, 'subscriptions'), page.marker)]
    return Answer(200, content)


def _show(call: Call, name: str, subscription: Subscription) -> dict[str, Any]:
    # python-zaqarclient makes an object of it and fails on any key that it does not know.
    return {'id': subscription.id, 'source': name, 'subscriber': subscription.subscriber, 'ttl': subscription.ttl,
            'age': age_of(call, subscription.renewed_at), 'options': subscription.options,
            'confirmed': subscription.confirmed}


def create_subscription(call: Call, name: str) -> Answer:
    queue = call.place(name)
    queue.allow(OWNER)
    wanted = _wanted(call)
    if wanted.get('subscriber') is None:
        raise BadBody('A subscription needs a subscriber.')

    def create() -> str:
        return queue.subscriptions.create(**wanted, ask=_question(call, name))
    try:
        subscription_id = create()
    except QueueNotFound:
        queue.create()
        try:
            subscription_id = create()
        except QueueNotFound:
            raise Unavailable(f'{name} has just been created and cannot be seen yet.') from None
    return Answer(201, {'subscription_id': subscription_id},
                  {'Location': call.href(name, 'subscriptions', subscription_id)})


def _wanted(call: Call) -> dict[str, Any]:
    document = call.request.json(SMALL_BODY, dict)
    if unknown := set(document) - set(_FIELDS):
        raise BadBody(f'A subscription has no {", ".join(sorted(unknown))}.')
    if call.signed and str(document.get('subscriber')).startswith('queue:'):
        raise Forbidden('A signed URL gives no rights to another queue.')
    return document


def _question(call: Call, name: str) -> Callable[[str], dict[str, Any]]:
    """What a webhook is sent first: a signed URL, which it need only use."""
    def question(subscription_id: str) -> dict[str, Any]:
        path = call.href(name, 'subscriptions', subscription_id, 'confirm')
        signed = signed_urls.sign(signed_urls.confirmation_key(call.engine.key), [path], ['PUT'], call.project,
                                  call.engine.clock() + CONFIRM_SECONDS)
        return {
            'Message_Type': CONFIRMATION,
            'Message': f'Somebody asks that what is posted to {name} be sent here. To have that, send the '
                       'SubscribeBody by PUT to the path in URL-Paths of the Messaging service, with the values '
                       'whose names begin with URL or X as headers. Otherwise do nothing.',
            'queue_name': name,
            'subscription_id': subscription_id,
            'URL-Signature': signed['signature'],
            'URL-Methods': signed['methods'][0],
            'URL-Paths': signed['paths'][0],
            'URL-Expires': signed['expires'],
            'X-Project-ID': signed['project'],
            'SubscribeBody': {'confirmed': True},
            'UnsubscribeBody': {'confirmed': False},
        }
    if not call.project.isprintable() or '\\' in call.project:  # no signature of such a project would be taken
        raise Invalid('Webhooks cannot be asked in the name of this project.')
    return question


def get_subscription(call: Call, name: str, subscription_id: str) -> Answer:
    return Answer(200, _show(call, name, call.place(name).subscriptions.get(subscription_id)))


def patch_subscription(call: Call, name: str, subscription_id: str) -> Answer:
    queue = call.place(name)
    queue.allow(OWNER)
    wanted = _wanted(call)
    if not any(value is not None for value in wanted.values()):
        raise BadBody(f'There is nothing to change: give one of {", ".join(_FIELDS)}.')
    queue.subscriptions.update(subscription_id, **wanted, ask=_question(call, name))
    return Answer(204)


def delete_subscription(call: Call, name: str, subscription_id: str) -> Answer:
    call.place(name).subscriptions.delete(subscription_id)
    return Answer(204)


def confirm_subscription(call: Call, name: str, subscription_id: str) -> Answer:
    queue = call.place(name)
    queue.allow(OWNER)
    confirmed = call.request.json(SMALL_BODY, dict).get('confirmed')
    if not isinstance(confirmed, bool):
        raise BadBody('confirmed must be true or false.')
    queue.subscriptions.confirm(subscription_id, confirmed, proven=call.asked)
    return Answer(204)
