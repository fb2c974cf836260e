"""Behind Swift's encryption filter no body may be readable on disk, in objects or in container databases."""

from __future__ import annotations

import base64

import pytest
from user import User

from swiftqueue.cluster import Cluster
from swiftqueue.cluster.config import PIPELINE

SECRET = 'a body that nobody may read on the disk'
NAME = 'a name that nobody may read there'


@pytest.fixture(scope='module')
def encrypting(tmp_path_factory):
    pipeline = PIPELINE.replace('proxy-logging proxy-server', 'keymaster encryption proxy-logging proxy-server')
    settings = {'proxy': {
        'pipeline:main': {'pipeline': pipeline},
        'filter:keymaster': {'use': 'egg:swift#keymaster',
                             'encryption_root_secret': base64.b64encode(b'0' * 32).decode()},
        'filter:encryption': {'use': 'egg:swift#encryption'}}}
    with Cluster(tmp_path_factory.mktemp('encrypting'), settings=settings) as running:
        yield running


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

    forms = [form for secret in (SECRET, NAME) for form in (secret.encode(), *(
        base64.b64encode(b'x' * shift + secret.encode())[4:-4] for shift in range(3)))]
    files = [path for path in encrypting.device(1).rglob('*') if path.is_file()]
    assert any(path.suffix in ('.db', '.pending', '.data') for path in files)
    assert not [path for path in files for form in forms if form in path.read_bytes()]
