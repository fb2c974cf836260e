"""The whole life of queues, messages, claims and pop with python-zaqarclient, against a real Swift."""

import pytest
import requests
from zaqarclient.transport import errors


@pytest.fixture
def client(tester):
    return tester.messaging()


@pytest.fixture
def queue(client, name):
    queue = client.queue(name, force_create=True)
    yield queue
    queue.delete()


def test_a_queue_lives_and_dies(client, name):
    queue = client.queue(name, force_create=True)
    assert [each.name for each in client.queues(name=name)[0]] == [name]
    assert queue.metadata()['_default_message_ttl'] == 3600
    queue.metadata(new_meta={'colour': 'red'})
    assert queue.metadata(force_reload=True)['colour'] == 'red'
    queue.metadata(new_meta={'colour': 'blue', 'size': 3})
    assert queue.metadata(force_reload=True)['size'] == 3
    queue.delete()
    assert list(client.queues(name=name)[0]) == []


def test_queues_are_counted_and_paged(client, name):
    queues = [client.queue(f'{name}-{number}', force_create=True) for number in range(3)]
    found, count = client.queues(limit=2, with_count=True, name=name)
    assert len(list(found)) == 2
    assert count >= 3
    for queue in queues:
        queue.delete()


def test_the_life_of_a_message(queue):
    posted = queue.post([{'body': {'job': number}, 'ttl': 300} for number in range(3)])
    assert len(posted['resources']) == 3
    assert [message.body for message in queue.messages(echo=True)] == [{'job': number} for number in range(3)]
    ids = [resource.rsplit('/', 1)[1] for resource in posted['resources']]
    assert queue.message(ids[1]).body == {'job': 1}
    assert [message.body for message in queue.messages(ids[0], ids[2])] == [{'job': 0}, {'job': 2}]
    queue.message(ids[0]).delete()
    queue.delete_messages(ids[1])
    assert [message.id for message in queue.messages(echo=True)] == [ids[2]]
    with pytest.raises(errors.ResourceNotFound):
        queue.message(ids[0])


def test_a_reader_does_not_see_its_own_messages_unless_it_asks(tester, queue):
    queue.post({'body': 'mine', 'ttl': 300})
    assert list(queue.messages()) == []
    other = tester.messaging().queue(queue.name)
    assert [message.body for message in other.messages()] == ['mine']


def test_messages_are_streamed_page_by_page(queue):
    queue.post([{'body': number, 'ttl': 300} for number in range(25)])
    assert [message.body for message in queue.messages(echo=True, limit=10).stream()] == list(range(25))


def test_claims(tester, queue):
    queue.post([{'body': number, 'ttl': 300} for number in range(5)])
    claim = queue.claim(ttl=60, grace=60, limit=3)
    held = list(claim)
    assert [message.body for message in held] == [0, 1, 2]
    assert queue.stats['messages']['claimed'] == 3
    assert queue.stats['messages']['free'] == 2
    other = tester.messaging().queue(queue.name)
    assert [message.body for message in other.claim(ttl=60, grace=60)] == [3, 4]
    assert list(other.claim(ttl=60, grace=60)) == []
    held[0].delete()
    claim.update(ttl=100, grace=60)
    again = queue.claim(id=claim.id)
    assert [message.body for message in again] == [1, 2]
    assert again.ttl == 100
    claim.delete()
    assert [message.body for message in other.claim(ttl=60, grace=60)] == [1, 2]


def test_a_message_that_is_claimed_needs_its_claim_to_be_deleted(queue):
    queue.post({'body': 'held', 'ttl': 300})
    held, = queue.claim(ttl=60, grace=60)
    with pytest.raises(errors.ForbiddenError):
        type(held)(queue, 300, 0, 'held', href=f'/v2/queues/{queue.name}/messages/{held.id}').delete()
    held.delete()


def test_pop(queue):
    queue.post([{'body': number, 'ttl': 300} for number in range(3)])
    assert [message.body for message in queue.pop(count=2)] == [0, 1]
    assert [message.body for message in queue.pop(count=2)] == [2]
    assert list(queue.pop()) == []


def test_purge(queue):
    queue.post([{'body': number, 'ttl': 300} for number in range(3)])
    queue.claim(ttl=60, grace=60, limit=1)
    queue.purge()
    assert queue.stats['messages'] == {'claimed': 0, 'free': 0, 'total': 0}


def test_a_signed_url_gives_just_what_it_says(tester, queue):
    queue.post({'body': 'shown', 'ttl': 300})
    signed = queue.signed_url(paths=['messages'], ttl_seconds=60, methods=['GET'])
    headers = {'URL-Signature': signed['signature'], 'URL-Expires': signed['expires'],
               'URL-Methods': ','.join(signed['methods']), 'URL-Paths': ','.join(signed['paths']),
               'X-Project-ID': signed['project'], 'Client-ID': '3381af92-2b9e-11e3-b191-71861300734c'}
    address = f'{tester.url}/v2/queues/{queue.name}/messages'
    shown = requests.get(address, headers=headers, timeout=30)
    assert [message['body'] for message in shown.json()['messages']] == ['shown']
    assert requests.post(address, headers=headers, json={'messages': [{'body': 1}]}, timeout=30).status_code == 404
    other = requests.get(f'{tester.url}/v2/queues/other/messages', headers=headers, timeout=30)
    assert other.status_code == 404


def test_ping(client):
    assert client.ping()
