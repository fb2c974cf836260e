"""Ephemeral messages of one replica each, on a real Swift of three nodes, one of which is lost for a while."""

import time

import pytest
from lost_rows import dead
from user import User

from swiftqueue.cluster import Cluster

LARGE = 'x' * 9000  # too large for a row
LIMIT = 60  # seconds, for what takes a few
OPTIONS = {'min_claim_ttl': '1', 'min_claim_grace': '0', 'ephemeral_policy': 'single'}


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('cluster'), nodes=3, policies=True, daemons=False, options=OPTIONS) as cluster:
        yield cluster


def test_a_lost_server_stops_neither_other_messages_nor_posts(cluster):
    user, path = User(cluster.urls[0], 'test:tester'), '/v2/queues/q'
    assert user.request('PUT', path).status_code == 201

    def post(*numbers):
        for number in numbers:  # every other one is ephemeral
            message = {'body': [number, LARGE], 'ephemeral': number % 2 == 1}
            assert user.request('POST', f'{path}/messages', json={'messages': [message]}).status_code == 201

    def claimed():
        """(number, href) of a message that is claimed for a second, None if none is to be had."""
        answer = user.request('POST', f'{path}/claims?limit=1', json={'ttl': 1, 'grace': 60})
        assert answer.status_code in (201, 204), answer.text
        return answer.json()['messages'][0] if answer.status_code == 201 else None

    post(*range(20))
    done = []
    with dead(cluster.process('object-2')):
        post(20, 21)
        answer = user.request('GET', f'{path}/messages?echo=true&limit=20')
        listed = [message['body'][0] for message in answer.json()['messages']]
        assert listed == sorted(listed) and {*range(0, 20, 2)} <= {*listed}
        deadline = time.monotonic() + LIMIT
        while {*range(0, 22, 2)} - {*done}:
            assert time.monotonic() < deadline
            if message := claimed():
                status = user.request('DELETE', message['href']).status_code
                if message['body'][0] % 2 == 0 or status == 204:
                    assert status == 204
                    done.append(message['body'][0])
    assert len(done) == len({*done})
