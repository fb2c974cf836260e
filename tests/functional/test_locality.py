"""Claims in three zones of a real Swift that has one replica of everything."""

import pytest
from user import User

from swiftqueue.cluster import Cluster

COUNT, LIMIT = 80, 5  # so many messages that each zone has some more than are claimed there


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('zones'), nodes=3, replicas=1, daemons=False) as running:
        yield running


def bodies_on(cluster, node):
    return b''.join(path.read_bytes() for path in cluster.device(node).glob('objects/**/*.data'))


def test_a_worker_in_each_zone_is_given_what_lies_there(cluster):
    tester = User(cluster.urls[0], 'test:tester')
    for first in range(0, COUNT, 20):
        answer = tester.request('POST', '/v2/queues/jobs/messages', json={'messages': [
            {'ttl': 300, 'body': f'message {number}.'} for number in range(first, first + 20)]})
        assert answer.status_code == 201, answer.text
    claimed = []
    for zone in (1, 2, 3):
        answer = tester.request('POST', f'/v2/queues/jobs/claims?limit={LIMIT}', headers={
            'X-Queue-Locality': f'r1z{zone}'})
        assert answer.status_code == 201, answer.text
        assert answer.headers['X-Queue-Local'] == f'{LIMIT}/{LIMIT}'
        bodies = [message['body'] for message in answer.json()['messages']]
        there = bodies_on(cluster, zone)
        assert all(body.encode() in there for body in bodies)
        claimed += bodies
    assert len(set(claimed)) == 3 * LIMIT
    elsewhere = tester.request('POST', '/v2/queues/jobs/claims', headers={'X-Queue-Locality': 'r2'})
    assert elsewhere.headers['X-Queue-Local'] == '0/10'
