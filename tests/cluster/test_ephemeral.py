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
        """Every other one is ephemeral."""
        answer = user.request('POST', f'{path}/messages', json={'messages': [
            {'body': [number, LARGE], 'ephemeral': number % 2 == 1} for number in numbers]})
        assert answer.status_code == 201, answer.text

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
            answer = user.request('POST', f'{path}/claims?limit=4', json={'ttl': 60, 'grace': 60})
            assert answer.status_code in (201, 204), answer.text
            for message in answer.json()['messages'] if answer.status_code == 201 else ():
                number = message['body'][0]
                status = user.request('DELETE', message['href']).status_code
                assert status == 204 or status == 503 and number % 2 == 1
                done.append(number)
    assert len(done) == len({*done})
