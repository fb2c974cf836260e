"""Behind Swift's encryption filter no body may be readable on disk, in objects or in container databases."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from amazon.service import client
from receiver import wait_until
from user import User

from swiftqueue.cluster import Cluster
from swiftqueue.cluster.config import PIPELINE

JANITOR = Path(__file__).parents[1] / 'cluster' / 'hasty_janitor.py'
SECRET = 'a body that nobody may read on the disk'
NAME = 'a name that nobody may read there'


@pytest.fixture(scope='module')
def encrypting(tmp_path_factory):
    keys = {'filter:keymaster': {'use': 'egg:swift#keymaster',
                                 'encryption_root_secret': base64.b64encode(b'0' * 32).decode()},
            'filter:encryption': {'use': 'egg:swift#encryption'}}
    proxy = PIPELINE.replace('proxy-logging proxy-server', 'keymaster encryption proxy-logging proxy-server')
    daemon = 'catch_errors cache keymaster encryption proxy-server'
    settings = {name: keys | {'pipeline:main': {'pipeline': pipeline}} for name, pipeline in (
        ('proxy', proxy), ('swiftqueue-notifier', daemon), ('swiftqueue-janitor', daemon))}
    options = {'min_claim_ttl': '1', 'min_claim_grace': '0'}
    with Cluster(tmp_path_factory.mktemp('encrypting'), settings=settings, options=options) as running:
        yield running


def readable(encrypting):
    """Files on the disk in which a secret can be read."""
    forms = [form for secret in (SECRET, NAME) for form in (secret.encode(), *(
        base64.b64encode(b'x' * shift + secret.encode())[4:-4] for shift in range(3)))]
    files = [path for path in encrypting.device(1).rglob('*') if path.is_file()]
    assert any(path.suffix in ('.db', '.pending', '.data') for path in files)
    return [path for path in files for form in forms if form in path.read_bytes()]


def bodies(user, queue):
    listed = user.request('GET', f'/v2/queues/{queue}/messages?echo=true&include_claimed=true')
    return [message['body'] for message in listed.json()['messages']]


def test_bodies_are_encrypted_and_come_back(encrypting):
    user = User(encrypting.urls[0], 'test:tester')
    queue = '/v2/queues/secrets'
    posted = user.request('POST', f'{queue}/messages', json={'messages': [{'body': SECRET}, {'body': 'second'}]})
    assert posted.status_code == 201, posted.text
    listed = user.request('GET', f'{queue}/messages?echo=true').json()['messages']
    assert [message['body'] for message in listed] == [SECRET, 'second']
    held = user.request('POST', f'{queue}/claims', json={'ttl': 60, 'grace': 60}).json()['messages']
    assert [message['body'] for message in held] == [SECRET, 'second']
    stats = user.request('GET', f'{queue}/stats').json()['messages']
    assert (stats['total'], stats['claimed']) == (2, 2)
    assert user.request('DELETE', held[0]['href']).status_code == 204
    assert user.request('GET', f'{queue}/stats').json()['messages']['total'] == 1

    named = '/burrow/v1.0/AUTH_test/named'
    assert [user.request('PUT', f'{named}/{NAME}', data=data).status_code for data in ('', SECRET)] == [201, 204]
    shown, = user.request('GET', named).json()
    assert (shown['id'], shown['body']) == (NAME, SECRET)
    assert user.request('POST', f'{named}?hide=60&detail=body').json() == [SECRET]
    assert not readable(encrypting)


def test_so_are_messages_of_amazon_sqs(encrypting):
    sqs = client(encrypting.urls[0])
    url = sqs.create_queue(QueueName='sqs')['QueueUrl']
    attributes = {'a': {'DataType': 'String', 'StringValue': SECRET}}
    sqs.send_message(QueueUrl=url, MessageBody=SECRET, MessageAttributes=attributes)
    received, = sqs.receive_message(QueueUrl=url, MessageAttributeNames=['All'])['Messages']
    assert (received['Body'], received['MessageAttributes']) == (SECRET, attributes)
    assert not readable(encrypting)


def test_so_are_copies_for_subscribers_and_dead_letters(encrypting):
    user = User(encrypting.urls[0], 'test:tester')
    source = '/v2/queues/source'
    user.request('PUT', source, json={'_max_claim_count': 1, '_dead_letter_queue': 'dead'})
    answer = user.request('POST', f'{source}/subscriptions', json={'subscriber': 'queue://copy'})
    assert answer.status_code == 201, answer.text
    assert user.request('POST', f'{source}/messages', json={'messages': [{'body': SECRET}]}).status_code == 201
    assert wait_until(lambda: bodies(user, 'copy')) == [SECRET]
    claim = user.request('POST', f'{source}/claims', json={'ttl': 60, 'grace': 0})
    assert user.request('DELETE', claim.headers['Location']).status_code == 204

    def dead():
        assert user.request('POST', f'{source}/claims', json={'ttl': 60, 'grace': 0}).status_code == 204
        return bodies(user, 'dead')
    assert wait_until(dead) == [SECRET]
    popped = user.request('DELETE', '/v2/queues/dead/messages?pop=1').json()['messages']
    assert [message['body'] for message in popped] == [SECRET]
    assert not readable(encrypting)


def test_the_janitor_cleans_behind_encryption(encrypting):
    user = User(encrypting.urls[0], 'test:tester')
    queue = '/v2/queues/cleaned'
    user.request('POST', f'{queue}/messages', json={'messages': [{'body': SECRET} for _ in range(3)]})
    held = user.request('POST', f'{queue}/claims?limit=2', json={'ttl': 1, 'grace': 0}).json()['messages']
    for message in held:
        assert user.request('DELETE', message['href']).status_code == 204

    def removed():
        done = subprocess.run([sys.executable, str(JANITOR), str(encrypting.data / 'etc' / 'swiftqueue-janitor.conf')],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        tally = json.loads(done.stdout)
        assert tally['errors'] == 0
        return tally['claims']
    assert wait_until(removed)
    assert bodies(user, 'cleaned') == [SECRET]
    assert not readable(encrypting)
