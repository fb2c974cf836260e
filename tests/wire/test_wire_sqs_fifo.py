"""Amazon SQS: FIFO queues, in both protocols."""

import hashlib
import json

import pytest
from wire.sqs import Service

NO_QUEUE = (400, 'AWS.SimpleQueueService.NonExistentQueue')
BAD_PARAMETER, MISSING = (400, 'InvalidParameterValue'), (400, 'MissingParameter')
BAD_NAME, BAD_VALUE = (400, 'InvalidAttributeName'), (400, 'InvalidAttributeValue')
FIFO = {'FifoQueue': 'true'}
DEFAULTS = {'FifoQueue': 'true', 'ContentBasedDeduplication': 'false', 'DeduplicationScope': 'queue',
            'FifoThroughputLimit': 'perQueue'}


@pytest.fixture(params=['json', 'query'])
def sqs(request):
    return Service(request.param)


@pytest.fixture
def url(sqs):
    return sqs.create('jobs.fifo', **FIFO)


def send(sqs, url, body='x', group='g', **fields):
    return sqs.call('SendMessage', QueueUrl=url, MessageBody=body, MessageGroupId=group, **fields)


def bodies(messages):
    return [message['Body'] for message in messages]


# -- queues ----------------------------------------------------------------------------------------

def test_creating_one(sqs):
    url = sqs.create('jobs.fifo', **FIFO)
    assert url.endswith('/jobs.fifo') and sqs.create('jobs.fifo', **FIFO) == url
    assert sqs.attributes(url, *DEFAULTS) == DEFAULTS
    assert DEFAULTS.items() <= sqs.attributes(url).items()
    assert sqs.call('ListQueues')['QueueUrls'] == [url]
    assert sqs.call('GetQueueUrl', QueueName='jobs.fifo')['QueueUrl'] == url
    sqs.refuses(400, 'QueueAlreadyExists', 'CreateQueue', 'ContentBasedDeduplication', QueueName='jobs.fifo',
                Attributes={**FIFO, 'ContentBasedDeduplication': 'true'})


@pytest.mark.parametrize('name, attributes, text', [
    ('jobs.fifo', {}, '1 to 80 in length'), ('jobs', FIFO, 'must end with .fifo'),
    ('.fifo', FIFO, 'must end with .fifo'), ('x' * 76 + '.fifo', FIFO, '1 to 80'), ('a.b.fifo', FIFO, '1 to 80')])
def test_a_name_tells_what_it_is(sqs, name, attributes, text):
    sqs.refuses(*BAD_PARAMETER, 'CreateQueue', text, QueueName=name, Attributes=attributes)
    assert sqs.call('ListQueues') == {}


def test_a_long_name(sqs):
    assert sqs.create('x' * 75 + '.fifo', **FIFO)


@pytest.mark.parametrize('name, value', [
    ('ContentBasedDeduplication', 'yes'), ('DeduplicationScope', 'group'), ('FifoThroughputLimit', 'perMessageGroup')])
def test_values_that_are_refused(sqs, url, name, value):
    sqs.refuses(*BAD_VALUE, 'SetQueueAttributes', name, QueueUrl=url, Attributes={name: value})
    sqs.refuses(*BAD_VALUE, 'CreateQueue', name, QueueName='other.fifo', Attributes={**FIFO, name: value})


def test_changing_attributes(sqs, url):
    sqs.refuses(*BAD_VALUE, 'SetQueueAttributes', QueueUrl=url,
                Attributes={'FifoThroughputLimit': 'perMessageGroupId'})
    changed = {'FifoQueue': 'true', 'ContentBasedDeduplication': 'true', 'DeduplicationScope': 'messageGroup',
               'FifoThroughputLimit': 'perMessageGroupId'}
    sqs.call('SetQueueAttributes', QueueUrl=url, Attributes=changed)
    assert sqs.attributes(url, *changed) == changed
    sqs.refuses(*BAD_VALUE, 'SetQueueAttributes', 'Modifying queue type is not supported.', QueueUrl=url,
                Attributes={'FifoQueue': 'false'})
    plain = sqs.create()
    for action, given in (('SetQueueAttributes', {'QueueUrl': plain}), ('CreateQueue', {'QueueName': 'new'})):
        for value in ('true', 'false')[action == 'CreateQueue':]:
            sqs.refuses(*BAD_NAME, action, 'Unknown Attribute FifoQueue.', Attributes={'FifoQueue': value}, **given)


def test_dead_letters_go_to_a_queue_of_the_same_type(sqs, url):
    plain, dead = sqs.create(), sqs.create('dead.fifo', **FIFO)
    for source, target in ((url, 'jobs'), (plain, 'dead.fifo')):
        sqs.refuses(*BAD_PARAMETER, 'SetQueueAttributes', 'same type', QueueUrl=source, Attributes={
            'RedrivePolicy': json.dumps({'deadLetterTargetArn': sqs.arn(target), 'maxReceiveCount': 1})})
    sqs.call('SetQueueAttributes', QueueUrl=url, Attributes={'RedrivePolicy': json.dumps(
        {'deadLetterTargetArn': sqs.arn('dead.fifo'), 'maxReceiveCount': 1})})
    sent = [send(sqs, url, body, MessageDeduplicationId=body) for body in 'ab']
    sqs.receive(url, 1, VisibilityTimeout=10)
    sqs.world.clock.advance(11)
    assert bodies(sqs.receive(url)) == ['b']
    message, = sqs.receive(dead, MessageSystemAttributeNames=['All'])
    assert (message['Body'], message['MessageId']) == ('a', sent[0]['MessageId'])
    assert message['Attributes']['DeadLetterQueueSourceArn'] == sqs.arn('jobs.fifo')
    assert message['Attributes']['MessageGroupId'] == 'g'
    assert message['Attributes']['SequenceNumber'] == sent[0]['SequenceNumber']
    assert sqs.call('ListDeadLetterSourceQueues', QueueUrl=dead)['queueUrls'] == [url]


# -- messages --------------------------------------------------------------------------------------

def test_the_life_of_a_message(sqs, url):
    first, second = (send(sqs, url, body, MessageDeduplicationId=f'd{body}') for body in 'xy')
    assert len(first['SequenceNumber']) == 20 and first['SequenceNumber'].isdigit()
    assert first['SequenceNumber'] < second['SequenceNumber']
    messages = sqs.receive(url, AttributeNames=['SequenceNumber', 'MessageGroupId', 'MessageDeduplicationId'])
    assert [message['Attributes'] for message in messages] == [
        {'SequenceNumber': sent['SequenceNumber'], 'MessageGroupId': 'g', 'MessageDeduplicationId': f'd{body}'}
        for sent, body in ((first, 'x'), (second, 'y'))]
    for message in messages:
        sqs.call('DeleteMessage', QueueUrl=url, ReceiptHandle=message['ReceiptHandle'])
    assert sqs.counts(url) == (0, 0, 0)
    assert send(sqs, url, 'other', MessageDeduplicationId='dx')['MessageId'] == first['MessageId']
    assert sqs.receive(url) == []


def test_deduplication_by_content(sqs):
    url = sqs.create('jobs.fifo', ContentBasedDeduplication='true', **FIFO)
    sent = [send(sqs, url, 'x', group, MessageAttributes={'a': {'DataType': 'String', 'StringValue': group}})
            for group in 'gh']
    assert sent[0]['MessageId'] == sent[1]['MessageId'] != send(sqs, url, 'x', MessageDeduplicationId='d')['MessageId']
    first, _ = sqs.receive(url, AttributeNames=['All'])
    assert first['Attributes']['MessageDeduplicationId'] == hashlib.sha256(b'x').hexdigest()
    assert first['Attributes']['MessageGroupId'] == 'g'


def test_what_a_message_must_have(sqs, url):
    sqs.refuses(*MISSING, 'SendMessage', 'The request must contain the parameter MessageGroupId.', QueueUrl=url,
                MessageBody='x', MessageDeduplicationId='d')
    sqs.refuses(*BAD_PARAMETER, 'SendMessage', 'The queue should either have ContentBasedDeduplication enabled or '
                'MessageDeduplicationId provided explicitly', QueueUrl=url, MessageBody='x', MessageGroupId='g')
    sqs.refuses(*BAD_PARAMETER, 'SendMessage', 'not valid for this queue type', QueueUrl=url, MessageBody='x',
                MessageGroupId='g', MessageDeduplicationId='d', DelaySeconds=1)
    assert send(sqs, url, MessageDeduplicationId='d', DelaySeconds=0)['MessageId']


@pytest.mark.parametrize('value', ['', 'a b', 'ü', 'x' * 129, '\x00'])
def test_ids_that_are_refused(sqs, url, value):
    for name in ('MessageGroupId', 'MessageDeduplicationId'):
        sqs.refuses(*BAD_PARAMETER, 'SendMessage', name, QueueUrl=url, MessageBody='x',
                    **{'MessageGroupId': 'g', 'MessageDeduplicationId': 'd', name: value})
    sqs.refuses(*BAD_PARAMETER, 'ReceiveMessage', 'ReceiveRequestAttemptId', QueueUrl=url,
                ReceiveRequestAttemptId=value)


def test_batches(sqs, url):
    def entries():
        return [{'Id': str(number), 'MessageBody': f'body {number}', 'MessageGroupId': 'g',
                 'MessageDeduplicationId': str(number)} for number in range(3)]
    for name, text in (('MessageGroupId', 'MessageGroupId'), ('MessageDeduplicationId', 'ContentBasedDeduplication')):
        given = entries()
        del given[1][name]
        sqs.refuses(*BAD_PARAMETER, 'SendMessageBatch', text, QueueUrl=url, Entries=given)
    assert sqs.counts(url) == (0, 0, 0)
    given = entries()
    given[1]['DelaySeconds'] = 5
    answer = sqs.call('SendMessageBatch', QueueUrl=url, Entries=given)
    assert [each['Id'] for each in answer['Successful']] == ['0', '2']
    assert [(each['Id'], each['Code']) for each in answer['Failed']] == [('1', 'InvalidParameterValue')]
    numbers = [each['SequenceNumber'] for each in answer['Successful']]
    assert numbers == sorted(numbers)
    assert bodies(sqs.receive(url)) == ['body 0', 'body 2']


def test_the_delay_is_the_queues(sqs, url):
    sqs.call('SetQueueAttributes', QueueUrl=url, Attributes={'DelaySeconds': '60'})
    send(sqs, url, MessageDeduplicationId='d')
    assert sqs.receive(url) == []
    assert sqs.counts(url) == (0, 0, 1)
    sqs.call('SetQueueAttributes', QueueUrl=url, Attributes={'DelaySeconds': '0'})
    sqs.world.clock.advance(3)
    assert bodies(sqs.receive(url)) == ['x']


def test_a_handle_whose_time_is_over(sqs, url):
    send(sqs, url, MessageDeduplicationId='d')
    message, = sqs.receive(url, VisibilityTimeout=10)
    sqs.world.clock.advance(11)
    handle = message['ReceiptHandle']
    sqs.refuses(*BAD_PARAMETER, 'DeleteMessage', 'Reason: The receipt handle has expired.', QueueUrl=url,
                ReceiptHandle=handle)
    failed, = sqs.call('DeleteMessageBatch', QueueUrl=url, Entries=[{'Id': '1', 'ReceiptHandle': handle}])['Failed']
    assert (failed['Code'], failed['SenderFault']) == ('InvalidParameterValue', True)
    sqs.refuses(*BAD_PARAMETER, 'ChangeMessageVisibility', 'not available for visibility timeout change', QueueUrl=url,
                ReceiptHandle=handle, VisibilityTimeout=10)
    again, = sqs.receive(url)
    for each in (again['ReceiptHandle'], again['ReceiptHandle'], handle):
        assert sqs.call('DeleteMessage', QueueUrl=url, ReceiptHandle=each) == {}


def test_an_attempt_that_is_repeated(sqs, url):
    for body in 'abc':
        send(sqs, url, body, MessageDeduplicationId=body)
    first = sqs.receive(url, 2, ReceiveRequestAttemptId='one')
    assert bodies(first) == ['a', 'b']
    assert sqs.receive(url, 2, ReceiveRequestAttemptId='one') == first
    assert sqs.receive(url, 2, ReceiveRequestAttemptId='two') == []


def test_purging_forgets_deduplication_ids(sqs, url):
    sent = send(sqs, url, MessageDeduplicationId='d')
    sqs.call('PurgeQueue', QueueUrl=url)
    again = send(sqs, url, MessageDeduplicationId='d')
    assert again['SequenceNumber'] > sent['SequenceNumber']
    assert bodies(sqs.receive(url)) == ['x']
