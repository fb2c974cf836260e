"""Every action of Amazon SQS with the AWS CLI, against a real Swift."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time

import pytest
from amazon import installed


class Refused(Exception):
    """The CLI says that the service refused it."""


@pytest.fixture(scope='module')
def aws(url):
    """Call an action with options as keywords, of which those that are no text are JSON. Gives what it prints."""
    env = installed.environment(url, PYTHONPATH=str(installed.AWS_CLI))
    program = subprocess.Popen([sys.executable, installed.HERE / 'aws_cli.py'], env=env, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def call(action, **options):
        words = ['--endpoint-url', url, 'sqs', action]
        for name, value in options.items():
            words += [f'--{name.replace("_", "-")}', value if isinstance(value, str) else json.dumps(value)]
        program.stdin.write(json.dumps(words) + '\n')
        program.stdin.flush()
        status, out, err = json.loads(program.stdout.readline())
        if status:
            raise Refused(err)
        return json.loads(out) if out else None
    with program:
        yield call
        program.stdin.close()


def refused(code, action, aws, **options):
    with pytest.raises(Refused, match=rf'\({code}\)'):
        aws(action, **options)


def test_a_queue_and_its_messages(aws, name):
    url = aws('create-queue', queue_name=name, attributes={'VisibilityTimeout': '40'}, tags={'team': 'a'})['QueueUrl']
    queue = {'queue_url': url}
    assert aws('get-queue-url', queue_name=name) == {'QueueUrl': url}
    assert aws('list-queues', queue_name_prefix=name) == {'QueueUrls': [url]}
    aws('set-queue-attributes', attributes={'DelaySeconds': '0', 'MaximumMessageSize': '2048'}, **queue)
    shown = aws('get-queue-attributes', attribute_names=['All'], **queue)['Attributes']
    assert (shown['VisibilityTimeout'], shown['MaximumMessageSize']) == ('40', '2048')

    aws('tag-queue', tags={'colour': 'red', 'size': 'ü'}, **queue)
    aws('untag-queue', tag_keys=['colour'], **queue)
    assert aws('list-queue-tags', **queue) == {'Tags': {'size': 'ü', 'team': 'a'}}
    aws('add-permission', label='x', aws_account_ids=['123456789012'], actions=['SendMessage'], **queue)
    policy = json.loads(aws('get-queue-attributes', attribute_names=['Policy'], **queue)['Attributes']['Policy'])
    assert [statement['Sid'] for statement in policy['Statement']] == ['x']
    aws('remove-permission', label='x', **queue)
    assert aws('get-queue-attributes', attribute_names=['Policy'], **queue) is None

    given = {'text': {'DataType': 'String', 'StringValue': 'ü'}, 'data': {'DataType': 'Binary', 'BinaryValue': 'raw'}}
    sent = aws('send-message', message_body='hello "<&>"', message_attributes=given, **queue)
    assert sent['MD5OfMessageBody'] == hashlib.md5(b'hello "<&>"').hexdigest()
    message, = aws('receive-message', wait_time_seconds='5', message_attribute_names=['All'],
                   message_system_attribute_names=['All'], **queue)['Messages']
    assert (message['MessageId'], message['Body']) == (sent['MessageId'], 'hello "<&>"')
    given['data']['BinaryValue'] = 'cmF3'  # the CLI takes bytes as they are, and shows them in base64
    assert (message['MessageAttributes'], message['MD5OfMessageAttributes']) == (given, sent['MD5OfMessageAttributes'])
    assert message['Attributes']['ApproximateReceiveCount'] == '1'
    aws('change-message-visibility', receipt_handle=message['ReceiptHandle'], visibility_timeout='0', **queue)
    again, = aws('receive-message', wait_time_seconds='5', **queue)['Messages']
    aws('delete-message', receipt_handle=again['ReceiptHandle'], **queue)
    assert aws('receive-message', **queue) is None

    done = aws('send-message-batch', entries=[{'Id': 'a', 'MessageBody': '1'}, {'Id': 'b', 'MessageBody': 'x' * 2049},
                                              {'Id': 'c', 'MessageBody': '2'}], **queue)
    assert [each['Id'] for each in done['Successful']] == ['a', 'c']
    assert [(each['Id'], each['Code'], each['SenderFault']) for each in done['Failed']] == [
        ('b', 'InvalidParameterValue', True)]
    handles = {message['Body']: message['ReceiptHandle'] for message in aws(
        'receive-message', max_number_of_messages='10', wait_time_seconds='5', **queue)['Messages']}
    done = aws('change-message-visibility-batch', entries=[
        {'Id': 'a', 'ReceiptHandle': handles['1'], 'VisibilityTimeout': 60}], **queue)
    assert done == {'Successful': [{'Id': 'a'}]}
    done = aws('delete-message-batch', entries=[{'Id': 'a', 'ReceiptHandle': handles['1']},
                                                {'Id': 'x', 'ReceiptHandle': 'garbage'}], **queue)
    assert (done['Successful'], done['Failed'][0]['Code']) == ([{'Id': 'a'}], 'ReceiptHandleIsInvalid')

    aws('purge-queue', **queue)
    refused('AWS.SimpleQueueService.PurgeQueueInProgress', 'purge-queue', aws=aws, **queue)
    aws('delete-queue', **queue)
    refused('AWS.SimpleQueueService.NonExistentQueue', 'get-queue-url', aws=aws, queue_name=name)


def test_dead_letters_pages_and_move_tasks(aws, name):
    dead, *sources = (aws('create-queue', queue_name=f'{name}-{number}')['QueueUrl'] for number in range(3))
    arn = aws('get-queue-attributes', queue_url=dead, attribute_names=['QueueArn'])['Attributes']['QueueArn']
    for source in sources:
        aws('set-queue-attributes', queue_url=source, attributes={'RedrivePolicy': json.dumps(
            {'deadLetterTargetArn': arn, 'maxReceiveCount': '1'})})
    # The CLI goes on by itself with the token of each page.
    assert aws('list-dead-letter-source-queues', queue_url=dead, page_size='1') == {'queueUrls': sources}
    assert aws('list-queues', queue_name_prefix=name, page_size='1') == {'QueueUrls': [dead, *sources]}

    aws('send-message-batch', queue_url=dead, entries=[{'Id': str(each), 'MessageBody': 'x'} for each in range(10)])
    task = aws('start-message-move-task', source_arn=arn, destination_arn=f'{arn[:-1]}1',
               max_number_of_messages_per_second='1')['TaskHandle']
    message, = aws('receive-message', queue_url=sources[0], wait_time_seconds='20')['Messages']
    assert message['Body'] == 'x'
    aws('cancel-message-move-task', task_handle=task)
    deadline = time.monotonic() + 30
    while (shown := aws('list-message-move-tasks', source_arn=arn)['Results'][0])['Status'] != 'CANCELLED':
        assert time.monotonic() < deadline, shown
    assert 1 <= shown['ApproximateNumberOfMessagesMoved'] < 10
    refused('InvalidParameterValue', 'cancel-message-move-task', aws=aws, task_handle=task)
    for url in (dead, *sources):
        aws('delete-queue', queue_url=url)
