"""Run with a boto3 of the time before JSON: the life of messages by the Query protocol. Prints what it found."""

import hashlib
import json
import sys

import boto3
import botocore
from botocore.exceptions import ClientError

url, name = sys.argv[1:]
sqs = boto3.client('sqs', endpoint_url=url)
assert sqs.meta.service_model.protocol == 'query'
stranger = boto3.client('sqs', endpoint_url=url, aws_access_key_id='test:tester', aws_secret_access_key='wrong')


def md5(data):
    return hashlib.md5(data).hexdigest()


def refused(call, **parameters):
    try:
        call(**parameters)
    except ClientError as error:
        answer = error.response
        assert answer['Error']['Type'] == 'Sender' and answer['ResponseMetadata']['RequestId']
        return [type(error).__name__, answer['Error']['Code'], answer['ResponseMetadata']['HTTPStatusCode']]
    raise AssertionError('it was not refused')


queue = sqs.create_queue(QueueName=name, Attributes={'VisibilityTimeout': '45'}, tags={'team': 'a b'})['QueueUrl']
attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=['All'])['Attributes']
assert attributes['VisibilityTimeout'] == '45'
assert sqs.list_queue_tags(QueueUrl=queue)['Tags'] == {'team': 'a b'}
assert sqs.list_queues(QueueNamePrefix=name)['QueueUrls'] == [queue]

body = 'ünïcödé "<&>" \U0001f600\r\n\t'
given = {'text': {'DataType': 'String', 'StringValue': 'ü\r\n'},
         'number': {'DataType': 'Number.int', 'StringValue': '7'},
         'data': {'DataType': 'Binary', 'BinaryValue': b'\0\xff'}}
sent = sqs.send_message(QueueUrl=queue, MessageBody=body, MessageAttributes=given)
assert sent['MD5OfMessageBody'] == md5(body.encode())
message, = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5, AttributeNames=['All'],
                               MessageAttributeNames=['All'])['Messages']
assert (message['MessageId'], message['Body'], message['MessageAttributes']) == (sent['MessageId'], body, given)
assert (message['MD5OfBody'], message['MD5OfMessageAttributes']) == (
    sent['MD5OfMessageBody'], sent['MD5OfMessageAttributes'])
assert message['Attributes']['ApproximateReceiveCount'] == '1'
sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message['ReceiptHandle'], VisibilityTimeout=0)
again, = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)['Messages']
sqs.delete_message(QueueUrl=queue, ReceiptHandle=again['ReceiptHandle'])
assert 'Messages' not in sqs.receive_message(QueueUrl=queue)

done = sqs.send_message_batch(QueueUrl=queue, Entries=[
    {'Id': 'good', 'MessageBody': 'x'}, {'Id': 'bad', 'MessageBody': '\x01'}])
assert [each['MD5OfMessageBody'] for each in done['Successful']] == [md5(b'x')]
message, = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)['Messages']
deleted = sqs.delete_message_batch(QueueUrl=queue, Entries=[{'Id': 'a', 'ReceiptHandle': message['ReceiptHandle']}])
assert deleted['Successful'] == [{'Id': 'a'}]

print(json.dumps({
    'version': botocore.__version__,
    'md5 of attributes': sent['MD5OfMessageAttributes'],
    'failed': [[each['Id'], each['Code'], each['SenderFault']] for each in done['Failed']],
    'no queue': refused(sqs.send_message, QueueUrl=queue + '-none', MessageBody='x'),
    'handle': refused(sqs.delete_message, QueueUrl=queue, ReceiptHandle='garbage'),
    'contents': refused(sqs.send_message, QueueUrl=queue, MessageBody='\x01'),
    'batch': refused(sqs.send_message_batch, QueueUrl=queue, Entries=[]),
    'most': refused(sqs.receive_message, QueueUrl=queue, MaxNumberOfMessages=11),
    'exists': refused(sqs.create_queue, QueueName=name, Attributes={'DelaySeconds': '7'}),
    'stranger': refused(stranger.list_queues),
}))
sqs.delete_queue(QueueUrl=queue)
