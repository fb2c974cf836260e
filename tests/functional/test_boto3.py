"""Amazon SQS with boto3, against a real Swift with tempauth; S3 and Messaging v2 beside it."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from urllib.parse import urlencode

import boto3
import pytest
import requests
from aws import unfolded, xml
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

REGION = 'us-east-1'


@pytest.fixture(scope='session')
def client_of(url):
    """Make a boto3 client in somebody's name."""
    def make(service='sqs', key='test:tester', secret='testing', **config):
        return boto3.client(service, endpoint_url=url, region_name=REGION, aws_access_key_id=key,
                            aws_secret_access_key=secret,
                            config=Config(retries={'max_attempts': 0}, read_timeout=30, **config))
    return make


@pytest.fixture(scope='session')
def sqs(client_of):
    return client_of()


@pytest.fixture
def queue(sqs, name):
    url = sqs.create_queue(QueueName=name)['QueueUrl']
    yield url
    sqs.delete_queue(QueueUrl=url)


def receive(sqs, queue, most=10, wait=5, **options):
    return sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=most, WaitTimeSeconds=wait,
                               **options).get('Messages', [])


def drain(sqs, queue, count):
    """Receive and delete that many messages; their bodies."""
    found = []
    while len(found) < count:
        messages = receive(sqs, queue)
        assert messages, found
        found += [message['Body'] for message in messages]
        sqs.delete_message_batch(QueueUrl=queue, Entries=[
            {'Id': str(number), 'ReceiptHandle': message['ReceiptHandle']} for number, message in enumerate(messages)])
    return found


def refused(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    answer = raised.value.response
    return answer['ResponseMetadata']['HTTPStatusCode'], answer['Error']['Code'], raised.value


def counts(sqs, queue):
    shown = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=['All'])['Attributes']
    return tuple(int(shown[f'ApproximateNumberOfMessages{kind}']) for kind in ('', 'NotVisible', 'Delayed'))


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


# -- queues ----------------------------------------------------------------------------------------

def test_a_queue_lives_and_dies(sqs, name):
    queue = sqs.create_queue(QueueName=name, Attributes={'VisibilityTimeout': '45'}, tags={'team': 'a'})['QueueUrl']
    assert sqs.get_queue_url(QueueName=name)['QueueUrl'] == queue
    assert queue in sqs.list_queues(QueueNamePrefix=name)['QueueUrls']
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={'DelaySeconds': '1'})
    shown = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=['All'])['Attributes']
    assert (shown['VisibilityTimeout'], shown['DelaySeconds'], shown['QueueArn'].rsplit(':', 1)[1]) == ('45', '1', name)
    assert abs(int(shown['CreatedTimestamp']) - time.time()) < 60
    sqs.tag_queue(QueueUrl=queue, Tags={'colour': 'red'})
    sqs.untag_queue(QueueUrl=queue, TagKeys=['team'])
    assert sqs.list_queue_tags(QueueUrl=queue)['Tags'] == {'colour': 'red'}
    sqs.add_permission(QueueUrl=queue, Label='x', AWSAccountIds=['123456789012'], Actions=['SendMessage'])
    sqs.remove_permission(QueueUrl=queue, Label='x')
    sqs.delete_queue(QueueUrl=queue)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=name)


def test_queues_are_paged(sqs, name):
    queues = [sqs.create_queue(QueueName=f'{name}-{number}')['QueueUrl'] for number in range(5)]
    pages = list(sqs.get_paginator('list_queues').paginate(QueueNamePrefix=name, PaginationConfig={'PageSize': 2}))
    assert [len(page['QueueUrls']) for page in pages] == [2, 2, 1]
    assert [url for page in pages for url in page['QueueUrls']] == queues
    for queue in queues:
        sqs.delete_queue(QueueUrl=queue)


def test_a_purge(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody='x')
    sqs.purge_queue(QueueUrl=queue)
    assert counts(sqs, queue) == (0, 0, 0)
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress):
        sqs.purge_queue(QueueUrl=queue)


# -- messages --------------------------------------------------------------------------------------

def test_the_life_of_a_message(sqs, queue):
    body = 'ünïcödé "<&>" \U0001f600\r\n'
    given = {'text': {'DataType': 'String', 'StringValue': 'ü'},
             'data': {'DataType': 'Binary', 'BinaryValue': b'\0\xff'}}
    sent = sqs.send_message(QueueUrl=queue, MessageBody=body, MessageAttributes=given)
    assert sent['MD5OfMessageBody'] == hashlib.md5(body.encode()).hexdigest()
    message, = receive(sqs, queue, MessageAttributeNames=['All'], MessageSystemAttributeNames=['All'])
    assert (message['MessageId'], message['Body'], message['MessageAttributes']) == (sent['MessageId'], body, given)
    assert message['MD5OfMessageAttributes'] == sent['MD5OfMessageAttributes']
    assert message['Attributes']['ApproximateReceiveCount'] == '1'
    assert counts(sqs, queue) == (0, 1, 0)
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message['ReceiptHandle'], VisibilityTimeout=0)
    again, = receive(sqs, queue, MessageSystemAttributeNames=['ApproximateReceiveCount'])
    assert again['Attributes'] == {'ApproximateReceiveCount': '2'}
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=again['ReceiptHandle'])
    assert counts(sqs, queue) == (0, 0, 0)


@pytest.mark.parametrize('size', [1, 3000, 5000, 262145, 1048576])
def test_sizes(sqs, queue, size):
    body = 'x' * size
    sqs.send_message(QueueUrl=queue, MessageBody=body)
    assert drain(sqs, queue, 1) == [body]


def test_what_is_larger_is_refused(sqs, queue):
    assert refused(sqs.send_message, QueueUrl=queue, MessageBody='x' * 1048577)[:2] == (400, 'InvalidParameterValue')


def test_batches(sqs, queue):
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=[
        {'Id': f'e{number}', 'MessageBody': str(number)} for number in range(10)])
    assert len(sent['Successful']) == 10 and 'Failed' not in sent
    assert sorted(drain(sqs, queue, 10), key=int) == [str(number) for number in range(10)]
    bad = sqs.delete_message_batch(QueueUrl=queue, Entries=[{'Id': 'a', 'ReceiptHandle': 'garbage'}])
    assert [(each['Id'], each['Code'], each['SenderFault']) for each in bad['Failed']] == [
        ('a', 'ReceiptHandleIsInvalid', True)]


def test_a_receive_waits_for_a_message(sqs, client_of, queue):
    def later():
        time.sleep(1)  # the receiver is waiting by then
        client_of().send_message(QueueUrl=queue, MessageBody='at last')
    began = time.monotonic()
    sender = threading.Thread(target=later)
    sender.start()
    assert [message['Body'] for message in receive(sqs, queue, wait=20)] == ['at last']
    assert time.monotonic() - began < 15
    sender.join()


def test_a_delayed_message(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody='later', DelaySeconds=1)
    assert counts(sqs, queue)[2] == 1
    assert [message['Body'] for message in receive(sqs, queue, wait=20)] == ['later']


def test_a_handle_whose_time_is_over_still_deletes(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody='slow')
    message, = receive(sqs, queue, VisibilityTimeout=0)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message['ReceiptHandle'])
    assert counts(sqs, queue) == (0, 0, 0)


def test_dead_letters(sqs, queue, name):
    dead = sqs.create_queue(QueueName=f'{name}-dead')['QueueUrl']
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=['QueueArn'])['Attributes']['QueueArn']
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={
        'RedrivePolicy': json.dumps({'deadLetterTargetArn': arn, 'maxReceiveCount': 2}), 'VisibilityTimeout': '0'})
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)['queueUrls'] == [queue]
    sqs.send_message(QueueUrl=queue, MessageBody='poison')
    for _ in range(2):
        assert len(receive(sqs, queue)) == 1
    assert receive(sqs, queue, wait=0) == []
    message, = receive(sqs, dead, MessageSystemAttributeNames=['All'])
    assert message['Body'] == 'poison'
    assert message['Attributes']['DeadLetterQueueSourceArn'].rsplit(':', 1)[1] == name
    assert message['Attributes']['ApproximateReceiveCount'] == '3'
    sqs.delete_queue(QueueUrl=dead)


def test_dead_letters_are_moved_back(sqs, queue, name):
    dead = sqs.create_queue(QueueName=f'{name}-dead')['QueueUrl']
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=['QueueArn'])['Attributes']['QueueArn']
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={
        'RedrivePolicy': json.dumps({'deadLetterTargetArn': arn, 'maxReceiveCount': 1}), 'VisibilityTimeout': '0'})
    sqs.send_message_batch(QueueUrl=queue, Entries=[{'Id': str(each), 'MessageBody': str(each)} for each in range(6)])
    until(lambda: not receive(sqs, queue, wait=0) and counts(sqs, dead)[0] == 6)

    def task():
        return sqs.list_message_move_tasks(SourceArn=arn)['Results'][0]
    with pytest.raises(sqs.exceptions.ResourceNotFoundException):
        sqs.start_message_move_task(SourceArn=arn + '-none')
    handle = sqs.start_message_move_task(SourceArn=arn, MaxNumberOfMessagesPerSecond=1)['TaskHandle']
    shown = task()
    assert (shown['Status'], shown['TaskHandle'], shown['ApproximateNumberOfMessagesToMove']) == ('RUNNING', handle, 6)
    assert refused(sqs.start_message_move_task, SourceArn=arn)[:2] == (400, 'InvalidParameterValue')
    sqs.cancel_message_move_task(TaskHandle=handle)
    until(lambda: task()['Status'] == 'CANCELLED')
    moved = task()['ApproximateNumberOfMessagesMoved']
    assert moved < 6 and counts(sqs, dead)[0] == 6 - moved
    sqs.start_message_move_task(SourceArn=arn)
    until(lambda: task()['Status'] == 'COMPLETED')
    assert task()['ApproximateNumberOfMessagesMoved'] == 6 - moved
    assert sorted(drain(sqs, queue, 6)) == [str(each) for each in range(6)]
    assert counts(sqs, dead) == (0, 0, 0)
    sqs.delete_queue(QueueUrl=dead)


def test_dead_letters_of_a_fifo_queue_are_moved_back_in_order(sqs, name):
    dead = sqs.create_queue(QueueName=f'{name}-dead.fifo', Attributes={'FifoQueue': 'true'})['QueueUrl']
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=['QueueArn'])['Attributes']['QueueArn']

    def policy(most):
        return json.dumps({'deadLetterTargetArn': arn, 'maxReceiveCount': most})

    queue = sqs.create_queue(QueueName=f'{name}.fifo', Attributes={
        'FifoQueue': 'true', 'VisibilityTimeout': '0', 'RedrivePolicy': policy(1)})['QueueUrl']
    sent = [f'{group}{number}' for number in range(4) for group in 'ab']
    sqs.send_message_batch(QueueUrl=queue, Entries=[
        {'Id': body, 'MessageBody': body, 'MessageGroupId': body[0], 'MessageDeduplicationId': body} for body in sent])
    until(lambda: not receive(sqs, queue, wait=0) and counts(sqs, dead)[0] == len(sent))
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={'VisibilityTimeout': '60', 'RedrivePolicy': policy(9)})
    sqs.start_message_move_task(SourceArn=arn)
    until(lambda: sqs.list_message_move_tasks(SourceArn=arn)['Results'][0]['Status'] == 'COMPLETED')
    found = drain(sqs, queue, len(sent))
    assert [[body for body in found if body[0] == group] for group in 'ab'] == [
        [body for body in sent if body[0] == group] for group in 'ab']
    assert counts(sqs, dead) == (0, 0, 0)
    sqs.delete_queue(QueueUrl=dead)
    sqs.delete_queue(QueueUrl=queue)


# -- errors and rights -----------------------------------------------------------------------------

def test_errors_are_those_that_boto3_knows(sqs, queue):
    none = queue + '-none'
    status, code, error = refused(sqs.send_message, QueueUrl=none, MessageBody='x')
    assert (status, code) == (400, 'AWS.SimpleQueueService.NonExistentQueue')
    assert isinstance(error, sqs.exceptions.QueueDoesNotExist)
    for exception, call, given in (
            (sqs.exceptions.ReceiptHandleIsInvalid, sqs.delete_message, {'ReceiptHandle': 'x'}),
            (sqs.exceptions.EmptyBatchRequest, sqs.send_message_batch, {'Entries': []}),
            (sqs.exceptions.InvalidAttributeName, sqs.get_queue_attributes, {'AttributeNames': ['Foobar']}),
            (sqs.exceptions.InvalidMessageContents, sqs.send_message, {'MessageBody': '\x01'})):
        with pytest.raises(exception):
            call(QueueUrl=queue, **given)
    with pytest.raises(sqs.exceptions.QueueNameExists):
        sqs.create_queue(QueueName=queue.rsplit('/', 1)[1], Attributes={'DelaySeconds': '7'})
    with pytest.raises(sqs.exceptions.UnsupportedOperation):
        sqs.send_message(QueueUrl=queue, MessageBody='x', MessageAttributes={
            'a': {'DataType': 'String', 'StringListValues': ['x']}})


@pytest.mark.parametrize('key, secret, code', [
    ('test:tester', 'wrong', 'SignatureDoesNotMatch'), ('test:nobody', 'testing', 'InvalidClientTokenId'),
    ('test:tester3', 'testing3', 'AccessDenied')])
def test_who_may_not(client_of, queue, key, secret, code):
    other = client_of(key=key, secret=secret)
    for call, given in ((other.list_queues, {}), (other.send_message, {'QueueUrl': queue, 'MessageBody': 'x'}),
                        (other.receive_message, {'QueueUrl': queue}), (other.delete_queue, {'QueueUrl': queue})):
        assert refused(call, **given)[:2] == (403, code)


def test_another_account_has_queues_of_its_own(client_of, sqs, queue, name):
    other = client_of(key='test2:tester2', secret='testing2')
    assert refused(other.get_queue_url, QueueName=name)[1] == 'AWS.SimpleQueueService.NonExistentQueue'
    assert refused(other.send_message, QueueUrl=queue, MessageBody='x')[:2] == (403, 'AccessDenied')
    theirs = other.create_queue(QueueName=name)['QueueUrl']
    assert theirs != queue
    other.send_message(QueueUrl=theirs, MessageBody='theirs')
    assert receive(sqs, queue, wait=0) == []
    other.delete_queue(QueueUrl=theirs)


# -- the Query protocol, signed by botocore --------------------------------------------------------

CREDENTIALS = Credentials('test:tester', 'testing')


def query(url, action, **fields):
    request = AWSRequest('POST', url, data=urlencode({'Action': action, 'Version': '2012-11-05', **fields}),
                         headers={'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8'})
    SigV4Auth(CREDENTIALS, 'sqs', REGION).add_auth(request)
    prepared = request.prepare()
    return requests.request('POST', prepared.url, data=prepared.body, headers=dict(prepared.headers), timeout=30)


def parsed(action, answer):
    root = xml.fromstring(answer.content)
    for element in root.iter():
        element.tag = element.tag.rpartition('}')[2]
    return unfolded(action, root.find(f'{action}Result'))


def test_the_query_protocol(queue, sqs):
    body = 'ü "<&>"\r\n'
    sent = parsed('SendMessage', query(queue, 'SendMessage', MessageBody=body))
    assert sent['MD5OfMessageBody'] == hashlib.md5(body.encode()).hexdigest()
    message, = parsed('ReceiveMessage', query(queue, 'ReceiveMessage', WaitTimeSeconds=5))['Messages']
    assert (message['Body'], message['MessageId']) == (body, sent['MessageId'])
    assert query(queue, 'DeleteMessage', ReceiptHandle=message['ReceiptHandle']).status_code == 200
    assert counts(sqs, queue) == (0, 0, 0)
    answer = query(queue + 'x', 'PurgeQueue')
    assert answer.status_code == 400 and b'<Code>AWS.SimpleQueueService.NonExistentQueue</Code>' in answer.content


def test_a_signed_url(url, queue, sqs):
    request = AWSRequest('GET', queue, params={'Action': 'SendMessage', 'MessageBody': 'by url & more'})
    SigV4QueryAuth(CREDENTIALS, 'sqs', REGION, expires=60).add_auth(request)
    signed = request.prepare().url
    assert requests.get(signed, timeout=30).status_code == 200
    assert requests.get(signed.replace('more', 'less'), timeout=30).status_code == 403
    assert drain(sqs, queue, 1) == ['by url & more']


def test_a_body_in_chunks(url, queue, sqs):
    body = json.dumps({'QueueUrl': queue, 'MessageBody': 'in chunks'}).encode()

    def send(chunks):
        request = AWSRequest('POST', url + '/', data=body, headers={
            'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': 'AmazonSQS.SendMessage'})
        SigV4Auth(CREDENTIALS, 'sqs', REGION).add_auth(request)
        return requests.post(url + '/', data=iter(chunks), headers=dict(request.headers), timeout=30).status_code
    assert send([body[:10], body[10:]]) == 200
    assert send([body[:10], body[10:], b' ']) == 403
    assert drain(sqs, queue, 1) == ['in chunks']


# -- beside it -------------------------------------------------------------------------------------

def test_s3_works_at_the_same_address(client_of, name):
    s3 = client_of('s3', s3={'addressing_style': 'path'})
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key='a/b c.txt', Body=b'hello', Metadata={'colour': 'red'})
    found = s3.get_object(Bucket=name, Key='a/b c.txt')
    assert (found['Body'].read(), found['Metadata']) == (b'hello', {'colour': 'red'})
    assert [each['Key'] for each in s3.list_objects_v2(Bucket=name)['Contents']] == ['a/b c.txt']
    assert name in [each['Name'] for each in s3.list_buckets()['Buckets']]
    link = s3.generate_presigned_url('get_object', {'Bucket': name, 'Key': 'a/b c.txt'})
    assert requests.get(link, timeout=30).content == b'hello'
    s3.delete_object(Bucket=name, Key='a/b c.txt')
    s3.delete_bucket(Bucket=name)
    assert refused(client_of('s3', secret='wrong').list_buckets)[:2] == (403, 'SignatureDoesNotMatch')


def test_buckets_and_queues_of_one_name_do_not_meet(client_of, sqs, queue, name):
    s3 = client_of('s3', s3={'addressing_style': 'path'})
    assert name not in [each['Name'] for each in s3.list_buckets()['Buckets']]
    account = queue.rsplit('/', 2)[1]
    s3.create_bucket(Bucket=account)
    s3.put_object(Bucket=account, Key=name, Body=b'an object at the address of a queue')
    assert s3.get_object(Bucket=account, Key=name)['Body'].read() == b'an object at the address of a queue'
    sqs.send_message(QueueUrl=queue, MessageBody='a message')
    assert drain(sqs, queue, 1) == ['a message']
    s3.delete_object(Bucket=account, Key=name)
    s3.delete_bucket(Bucket=account)


def test_messaging_v2_claims_what_amazon_sent(sqs, tester, queue, name):
    sent = sqs.send_message(QueueUrl=queue, MessageBody='hello')['MessageId']
    held, = tester.messaging().queue(name).claim(ttl=60, grace=60)
    assert (held.id, held.body) == (sent, 'hello')
    assert counts(sqs, queue) == (0, 1, 0)
    held.delete()
    assert counts(sqs, queue) == (0, 0, 0)


def test_amazon_receives_what_messaging_v2_posted(sqs, tester, queue, name):
    tester.messaging().queue(name).post([{'body': 'text', 'ttl': 300}, {'body': {'job': 1}, 'ttl': 300}])
    assert drain(sqs, queue, 2) == ['text', '{"job":1}']
    assert tester.request('GET', f'/v2/queues/{name}/stats').json()['messages']['total'] == 0


def test_swift_and_messaging_v2_work_as_before(url, tester, name):
    assert requests.get(f'{url}/', timeout=30).status_code == 300
    assert requests.get(f'{url}/info', timeout=30).json()['sqsapi']
    assert requests.post(f'{url}/', timeout=30).status_code == 405
    assert tester.request('PUT', f'/v2/queues/{name}').status_code == 201
    assert requests.head(tester.storage_url, headers={'X-Auth-Token': tester.token}, timeout=30).status_code == 204
