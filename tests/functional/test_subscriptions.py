"""Subscriptions and topics on a real Swift, with python-zaqarclient and webhooks that are real servers."""

import uuid

import pytest
import requests
from receiver import Receiver, confirmation, wait_until
from zaqarclient.transport import errors


@pytest.fixture(scope='module')
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def hook(receiver):
    """A path that no other test uses, which begins like that."""
    return lambda kind='/ok': f'{kind}-{uuid.uuid4().hex[:12]}'


def subscribe(user, place, subscriber, **fields):
    answer = user.request('POST', f'/v2/{place}/subscriptions', json={'subscriber': subscriber, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()['subscription_id']


def agree(user, receiver, *paths):
    """Have each confirm when it is asked to."""
    for path in paths:
        headers, body = confirmation(wait_until(lambda: receiver.question(path)))  # noqa: B023
        answer = requests.put(user.url + headers['URL-Paths'], json=body, timeout=30,
                              headers=headers | {'Client-ID': str(uuid.uuid4())})
        assert answer.status_code == 204, answer.text


def post(user, place, *sent):
    answer = user.request('POST', f'/v2/{place}/messages', json={'messages': [{'body': body} for body in sent]})
    assert answer.status_code == 201, answer.text


def bodies(user, place):
    answer = user.request('GET', f'/v2/{place}/messages?echo=true')
    return [message['body'] for message in answer.json()['messages']]


def test_the_life_of_a_subscription_with_the_client(tester, name):
    client = tester.messaging()
    made = client.subscription(name, subscriber='queue://copy', ttl=600, options={'a': 1})
    assert (made.subscriber, made.ttl, made.options, made.confirmed) == ('queue://copy', 600, {'a': 1}, True)
    with pytest.raises(errors.ConflictError):
        client.subscription(name, subscriber='queue://copy')
    made.update({'ttl': 700, 'subscriber': 'queue://other'})
    there = client.subscription(name, id=made.id)
    assert (there.ttl, there.subscriber) == (700, 'queue://other')
    other = client.subscription(name, subscriber='https://hooks.example.com/')
    assert not other.confirmed
    assert {each.id for each in client.subscriptions(name)} == {made.id, other.id}
    assert {each.id for page in [client.subscriptions(name, limit=1).stream()] for each in page} == {made.id, other.id}
    made.delete()
    other.delete()
    assert list(client.subscriptions(name)) == []
    with pytest.raises(errors.ResourceNotFound):
        client.subscription(name, id=made.id)


def test_a_message_comes_to_every_queue_that_subscribes(tester, name):
    for number in range(3):
        subscribe(tester, f'queues/{name}', f'queue://{name}-{number}')
    post(tester, f'queues/{name}', 'a', {'b': ['c']})
    popped = tester.request('DELETE', f'/v2/queues/{name}/messages?pop=2').json()['messages']
    assert [message['body'] for message in popped] == ['a', {'b': ['c']}]
    for number in range(3):
        wait_until(lambda: bodies(tester, f'queues/{name}-{number}') == ['a', {'b': ['c']}])  # noqa: B023
    claim = tester.request('POST', f'/v2/queues/{name}-0/claims', json={'ttl': 60, 'grace': 60}).json()
    for message in claim['messages']:
        assert tester.request('DELETE', message['href']).status_code == 204
    assert bodies(tester, f'queues/{name}-0') == []


def test_a_fifo_queue_is_given_copies_in_one_group(tester, name):
    assert tester.request('PUT', f'/v2/queues/{name}-line', json={'_fifo': True}).status_code == 201
    subscribe(tester, f'topics/{name}', f'queue://{name}-line')
    post(tester, f'topics/{name}', 'a', 'b')
    wait_until(lambda: bodies(tester, f'queues/{name}-line') == ['a', 'b'])
    path = f'/v2/queues/{name}-line/claims'
    for body in 'ab':  # in flight one by one
        message, = tester.request('POST', path, json={'ttl': 60, 'grace': 60}).json()['messages']
        assert message['body'] == body
        assert tester.request('POST', path, json={'ttl': 60, 'grace': 60}).status_code == 204
        assert tester.request('DELETE', message['href']).status_code == 204


def test_a_topic_publishes(tester, receiver, hook, name):
    path = hook()
    assert tester.request('PUT', f'/v2/topics/{name}').status_code == 201
    subscribe(tester, f'topics/{name}', f'queue://{name}')
    subscribe(tester, f'topics/{name}', receiver.url + path)
    agree(tester, receiver, path)
    post(tester, f'topics/{name}', 'news')
    wait_until(lambda: receiver.notifications(path) == ['news'])
    wait_until(lambda: bodies(tester, f'queues/{name}') == ['news'])
    assert bodies(tester, f'topics/{name}') == ['news']
    assert tester.request('DELETE', f'/v2/topics/{name}').status_code == 204


def test_a_webhook_that_is_down_for_a_while(tester, receiver, hook, name):
    path = hook()
    policy = {'minimum_delay': 1, 'maximum_delay': 11}
    made = subscribe(tester, f'queues/{name}', receiver.url + path, options={'_retry_policy': policy})
    agree(tester, receiver, path)
    receiver.down.add(path)
    post(tester, f'queues/{name}', 'a')
    wait_until(lambda: len(receiver.notifications(path)) >= 3)
    receiver.down.discard(path)
    post(tester, f'queues/{name}', 'b')
    wait_until(lambda: sorted(receiver.taken[path][1:]) == ['a', 'b'])  # the first was the question
    tester.request('DELETE', f'/v2/queues/{name}/subscriptions/{made}')


def test_bad_webhooks_keep_nobody_waiting_and_lead_nowhere(tester, receiver, hook, name):
    """The operator allows 127.0.0.1 and nothing else that is not public."""
    forbidden = Receiver('127.0.0.2')
    try:
        redirect, slow, huge, good = paths = [hook(kind) for kind in ('/redirect', '/slow', '/huge', '/ok')]
        for path in (redirect, slow, huge, good):
            subscribe(tester, f'queues/{name}', receiver.url + path)
        subscribe(tester, f'queues/{name}', forbidden.url + '/ok')
        agree(tester, receiver, *paths)
        post(tester, f'queues/{name}', 'a')
        post(tester, f'queues/{name}', 'b')
        for path in (good, huge):
            wait_until(lambda: sorted(receiver.notifications(path)) == ['a', 'b'])  # noqa: B023
        wait_until(lambda: len(receiver.notifications(redirect)) > 2)  # it is tried again
        wait_until(lambda: len(receiver.notifications(slow)) >= 1)  # whose answers are still awaited
        assert '/target' not in receiver.got
        assert forbidden.got == {}
        assert sorted(receiver.notifications(good)) == sorted(receiver.notifications(huge)) == ['a', 'b']
        assert tester.request('DELETE', f'/v2/queues/{name}').status_code == 204
    finally:
        forbidden.close()
