"""A FIFO queue on three nodes, with boto3 through two proxies at once."""

import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config

from swiftqueue.cluster import Cluster

GROUPS = [f'group-{number}' for number in range(20)]
POSTERS, WORKERS, ROUNDS = 2, 16, 2  # 80 messages
LIMIT = 120  # seconds, for what takes a few


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('cluster'), nodes=3, proxies=2, daemons=False) as cluster:
        yield cluster


@pytest.fixture(scope='module')
def clients(cluster):
    return [boto3.client('sqs', endpoint_url=url, region_name='us-east-1', aws_access_key_id='test:tester',
                         aws_secret_access_key='testing',
                         config=Config(retries={'max_attempts': 0}, read_timeout=60, max_pool_connections=WORKERS))
            for url in cluster.urls]


@pytest.fixture
def queue(clients):
    return clients[0].create_queue(QueueName='lines.fifo', Attributes={
        'FifoQueue': 'true', 'ContentBasedDeduplication': 'true', 'VisibilityTimeout': '60'})['QueueUrl']


def test_sixteen_workers_and_twenty_groups_on_two_proxies(clients, queue):
    numbers, received, lock = {}, defaultdict(list), threading.Lock()
    until = time.monotonic() + LIMIT

    def post(poster):
        for turn in range(ROUNDS):
            for place in range(len(GROUPS)):
                group = GROUPS[(place + 4 * poster) % len(GROUPS)]
                sent = clients[(poster + turn) % 2].send_message(
                    QueueUrl=queue, MessageGroupId=group, MessageBody=f'{group} {poster} {turn}')
                numbers[group, poster, turn] = sent['SequenceNumber']

    def work(worker):
        sqs = clients[worker % 2]
        while len(numbers) < POSTERS * ROUNDS * len(GROUPS) or sum(map(len, received.values())) < len(numbers):
            assert time.monotonic() < until
            messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=3, WaitTimeSeconds=1,
                                           MessageSystemAttributeNames=['All']).get('Messages', [])
            with lock:
                for message in messages:
                    assert message['Attributes']['ApproximateReceiveCount'] == '1'
                    received[message['Attributes']['MessageGroupId']].append(
                        (message['Attributes']['SequenceNumber'], message['Body']))
            for message in messages:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message['ReceiptHandle'])

    with ThreadPoolExecutor(POSTERS + WORKERS) as pool:
        for done in [*(pool.submit(post, number) for number in range(POSTERS)),
                     *(pool.submit(work, number) for number in range(WORKERS))]:
            done.result()
    assert {group: sorted(given) for group, given in received.items()} == received
    assert {(body, number) for given in received.values() for number, body in given} == {
        (f'{group} {poster} {turn}', number) for (group, poster, turn), number in numbers.items()}
    for group in GROUPS:
        for poster in range(POSTERS):
            assert numbers[group, poster, 0] < numbers[group, poster, 1]


def test_a_duplicate_through_the_other_proxy_and_after_the_delete(clients, queue):
    sent = [sqs.send_message(QueueUrl=queue, MessageGroupId='g', MessageBody='once') for sqs in clients]
    message, = clients[1].receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)['Messages']
    clients[1].delete_message(QueueUrl=queue, ReceiptHandle=message['ReceiptHandle'])
    sent.append(clients[0].send_message(QueueUrl=queue, MessageGroupId='g', MessageBody='once'))
    assert {(each['MessageId'], each['SequenceNumber']) for each in sent} == {
        (message['MessageId'], sent[0]['SequenceNumber'])}
    assert 'Messages' not in clients[0].receive_message(QueueUrl=queue, WaitTimeSeconds=1)
