"""A real Swift with the queue filter, for the whole session, and what every test needs to talk to it."""

from __future__ import annotations

import uuid

import pytest
import requests
from zaqarclient.queues import client as zaqar

from swiftqueue.cluster import Cluster


@pytest.fixture(scope='session')
def cluster(tmp_path_factory):
    options = {'min_claim_ttl': '1', 'min_message_ttl': '1', 'min_claim_grace': '0', 'signed_url_key': 'secret'}
    with Cluster(tmp_path_factory.mktemp('cluster'), options=options) as running:
        yield running


@pytest.fixture(scope='session')
def url(cluster):
    return cluster.urls[0]


class User:
    """Somebody with a token, and plain HTTP in their name."""

    def __init__(self, url: str, name: str, key: str = 'testing'):
        answer = requests.get(f'{url}/auth/v1.0', headers={'X-Auth-User': name, 'X-Auth-Key': key}, timeout=30)
        answer.raise_for_status()
        self.url = url
        self.token = answer.headers['X-Auth-Token']
        self.storage_url = answer.headers['X-Storage-Url']
        self.headers = {'X-Auth-Token': self.token, 'Client-ID': str(uuid.uuid4())}

    def request(self, method: str, path: str, **request) -> requests.Response:
        headers = self.headers | request.pop('headers', {})
        return requests.request(method, self.url + path, headers=headers, timeout=30, allow_redirects=False, **request)

    def messaging(self, project: str = '', client_id: str | None = None) -> zaqar.Client:
        """A python-zaqarclient with this user's token."""
        options = {'os_auth_token': self.token, 'os_project_id': project or self.storage_url.rsplit('/', 1)[1]}
        return zaqar.Client(self.url, version=2, conf={
            'auth_opts': {'backend': 'keystone', 'options': options},
            'client_uuid': client_id or str(uuid.uuid4())})


@pytest.fixture(scope='session')
def tester(url):
    """The administrator of AUTH_test."""
    return User(url, 'test:tester')


@pytest.fixture(scope='session')
def stranger(url):
    """The administrator of another account."""
    return User(url, 'test2:tester2', 'testing2')


@pytest.fixture(scope='session')
def guest(url):
    """A user of AUTH_test without rights of its own."""
    return User(url, 'test:tester3', 'testing3')


@pytest.fixture
def name():
    """A queue name that no other test uses."""
    return f'q-{uuid.uuid4().hex[:12]}'
