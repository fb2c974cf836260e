"""The life of a queue, its messages and claims with an older python-zaqarclient: ``URL VERSION TOKEN PROJECT QUEUE``.

A program of its own, because the test that runs it has a newer one.
"""

from __future__ import annotations

import sys
import uuid
from typing import Any

from zaqarclient.queues import client as zaqar
from zaqarclient.transport import errors


def refused(error: type[Exception], call: Any, *args: Any) -> bool:
    try:
        call(*args)
    except error:
        return True
    return False


def connect(url: str, version: float, token: str, project: str) -> zaqar.Client:
    options = {'os_auth_token': token, 'os_project_id': project}
    return zaqar.Client(url, version=version, conf={
        'auth_opts': {'backend': 'keystone', 'options': options}, 'client_uuid': str(uuid.uuid4())})


def queues_of_v1(client: zaqar.Client, name: str) -> None:
    queue = client.queue(name)
    assert queue.exists()
    assert queue.metadata(force_reload=True) == {}
    queue.metadata(new_meta={'colour': 'red'})
    assert queue.metadata(force_reload=True) == {'colour': 'red'}
    assert client.health()
    missing = client.queue(f'{name}-missing', auto_create=False)
    assert not missing.exists()
    assert refused(errors.ResourceNotFound, lambda: missing.stats)
    assert refused(errors.ResourceNotFound, missing.post, {'body': 1, 'ttl': 60})


def queues_of_v1_1(client: zaqar.Client, name: str) -> None:
    queue = client.queue(name)
    assert queue.metadata(force_reload=True) == {}
    assert queue.stats['messages']['total'] == 0
    assert client.health()
    queue.post({'body': 'first of all', 'ttl': 60})  # and so there is a queue
    assert [message.body for message in queue.pop(count=5)] == ['first of all']
    assert list(queue.pop()) == []


def messages(client: zaqar.Client, other: zaqar.Client, name: str) -> None:
    queue, same = client.queue(name), other.queue(name, auto_create=False)
    assert list(queue.messages(echo=True)) == []
    posted = queue.post([{'body': {'job': number}, 'ttl': 300} for number in range(12)])
    ids = [resource.rsplit('/', 1)[1] for resource in posted['resources']]
    assert name in [each.name for each in client.queues(limit=20, marker=name[:-1])]
    assert list(queue.messages()) == []
    bodies = [message.body for message in same.messages(limit=5).stream()]
    assert bodies == [{'job': number} for number in range(12)], bodies
    assert queue.message(ids[1]).body == {'job': 1}
    assert [message.body for message in queue.messages(ids[2], ids[0])] == [{'job': 2}, {'job': 0}]
    queue.message(ids[0]).delete()
    assert refused(errors.ResourceNotFound, queue.message, ids[0])
    queue.delete_messages(*ids[3:])
    assert [message._id for message in same.messages()] == ids[1:3]


def claims(client: zaqar.Client, other: zaqar.Client, name: str) -> None:
    """Of the two messages that are left."""
    queue, same = client.queue(name), other.queue(name, auto_create=False)
    claim = queue.claim(ttl=60, grace=60, limit=2)
    held = list(claim)
    assert [message.body['job'] for message in held] == [1, 2]
    assert list(same.claim(ttl=60, grace=60, limit=2)) == []
    assert queue.stats['messages']['claimed'] == 2
    without_claim = queue.message_module.Message(queue, 300, 0, None, href=held[0].href.partition('?')[0])
    assert refused(errors.ForbiddenError, without_claim.delete)
    held[0].delete()
    claim.update(ttl=100, grace=60)
    again = queue.claim(id=claim.id)
    assert [message.body['job'] for message in again] == [2]
    assert again.ttl == 100
    claim.delete()
    [last] = same.claim(ttl=60, grace=60, limit=2)
    last.delete()
    assert queue.stats['messages'] == {'claimed': 0, 'free': 0, 'total': 0}


def main(url: str, version: str, token: str, project: str, name: str) -> None:
    number = {'1': 1, '1.1': 1.1}[version]
    client, other = (connect(url, number, token, project) for _ in range(2))
    {'1': queues_of_v1, '1.1': queues_of_v1_1}[version](client, name)
    messages(client, other, name)
    claims(client, other, name)
    client.queue(name).delete()
    assert name not in [each.name for each in client.queues(limit=20, marker=name[:-1])]


main(*sys.argv[1:])
