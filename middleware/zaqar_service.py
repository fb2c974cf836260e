"""Messaging: what the service says of itself."""

from __future__ import annotations

from collections.abc import Iterable

from swiftqueue.errors import Unavailable

from .frontend import Answer
from .zaqar_call import Call, Version

RETRY_AFTER = 5  # seconds


def versions(those: Iterable[tuple[Version, str]]) -> Answer:
    """The versions that are on, each with the path at which it is found."""
    return Answer(300, {'versions': [{
        'id': version.id,
        'status': version.status,
        'updated': version.updated,
        'media-types': [{'base': 'application/json',
                         'type': f'application/vnd.openstack.messaging-v{version.id.replace(".", "_")}+json'}],
        'links': [{'href': f'{path}/', 'rel': 'self'}],
    } for version, path in those]})


def get_home(call: Call) -> Answer:
    return Answer(200, call.version.home,
                  {'Content-Type': 'application/json-home', 'Cache-Control': 'max-age=86400'})


def ping(call: Call) -> Answer:
    return Answer(204)


def get_health(call: Call) -> Answer:
    """Whether the caller's account can be read: the shortest request that reaches the storage nodes."""
    try:
        call.account.queues(limit=1)
    except Unavailable:
        return Answer(503, {'storage_reachable': False}, {'Retry-After': str(RETRY_AFTER)})
    return Answer(200, {'storage_reachable': True})
