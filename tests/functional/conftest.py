"""A real Swift with the queue filter, for the whole session, and what every test needs to talk to it."""

from __future__ import annotations

import uuid

import pytest
from user import User

from swiftqueue.cluster import Cluster


@pytest.fixture(scope='session')
def cluster(tmp_path_factory):
    options = {'min_claim_ttl': '1', 'min_message_ttl': '1', 'min_claim_grace': '0', 'signed_url_key': 'secret',
               'burrow_hosts': 'burrow.example'}
    notifier = {'swiftqueue-notifier': {'allowed_networks': '127.0.0.1/32', 'webhook_timeout': '1', 'interval': '1'}}
    proxy = {'filter:tempauth': {'user_test2_plain': 'plain'}}
    with Cluster(tmp_path_factory.mktemp('cluster'), options=options,
                 settings={'swiftqueue-notifier': notifier, 'proxy': proxy}) as running:
        yield running


@pytest.fixture(scope='session')
def url(cluster):
    return cluster.urls[0]


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


@pytest.fixture(scope='session')
def plain(url):
    """A user of that other account without rights in any."""
    return User(url, 'test2:plain', 'plain')


@pytest.fixture
def name():
    """A queue name that no other test uses."""
    return f'q-{uuid.uuid4().hex[:12]}'
