"""A boto3 of 2023, which speaks the Query protocol, against a real Swift."""

from __future__ import annotations

import json
import sys

from amazon import installed
from aws import md5_of_attributes

DIGEST = md5_of_attributes({
    'text': {'DataType': 'String', 'StringValue': 'ü\r\n'},
    'number': {'DataType': 'Number.int', 'StringValue': '7'},
    'data': {'DataType': 'Binary', 'BinaryValue': b'\0\xff'}})


def test_the_query_protocol_of_an_old_boto3(url, name):
    env = installed.environment(url, PYTHONPATH=str(installed.OLD_BOTO3))
    found = json.loads(installed.run(sys.executable, installed.HERE / 'old_boto3.py', url, name, env=env))
    assert tuple(map(int, found.pop('version').split('.'))) < (1, 31, 81)
    legacy = 'AWS.SimpleQueueService.'
    assert found == {
        'md5 of attributes': DIGEST,
        'failed': [['bad', 'InvalidMessageContents', True]],
        'no queue': ['QueueDoesNotExist', f'{legacy}NonExistentQueue', 400],
        'handle': ['ReceiptHandleIsInvalid', 'ReceiptHandleIsInvalid', 400],
        'contents': ['InvalidMessageContents', 'InvalidMessageContents', 400],
        'batch': ['EmptyBatchRequest', f'{legacy}EmptyBatchRequest', 400],
        'most': ['ClientError', 'InvalidParameterValue', 400],
        'exists': ['QueueNameExists', 'QueueAlreadyExists', 400],
        'stranger': ['ClientError', 'SignatureDoesNotMatch', 403],
    }
