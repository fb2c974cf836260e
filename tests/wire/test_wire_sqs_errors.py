"""Amazon SQS: what clients know of errors: each one provoked in both protocols, with code, status, header, shape."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aws import AwsError
from wire.sqs import STRANGER_ID, Service
from wire.transcript import send

SQS, CORAL, LEGACY = 'com.amazonaws.sqs#', 'com.amazon.coral.service#', 'AWS.SimpleQueueService.'


@dataclass(frozen=True)
class Case:
    """``given`` are parameters besides the URL of the queue ``jobs``, or make them from the service."""

    shape: str
    code: str
    status: int
    action: str
    given: dict[str, Any] | Callable[[Service], dict[str, Any]] = field(default_factory=dict)
    signing: dict[str, Any] = field(default_factory=dict)
    before: Callable[[Service], Any] = lambda sqs: None


def of_sqs(name: str, status: int, action: str, *given: Any, code: str = '', **more: Any) -> Case:
    return Case(SQS + name, code or name, status, action, *given, **more)


def of_legacy(name: str, action: str, *given: Any, status: int = 400, **more: Any) -> Case:
    return of_sqs(name, status, action, *given, code=LEGACY + name, **more)


def coral(name: str, code: str, status: int, action: str, *given: Any, **more: Any) -> Case:
    return Case(CORAL + name, code, status, action, *given, **more)


def entries(*ids: str, body: str = 'x') -> dict[str, Any]:
    return {'Entries': [{'Id': each, 'MessageBody': body} for each in ids]}


def statements(count: int) -> dict[str, Any]:
    return {'Attributes': {'Policy': json.dumps({'Statement': [{'Sid': str(number)} for number in range(count)]})}}


CASES = [
    of_sqs('QueueDoesNotExist', 400, 'DeleteQueue', lambda sqs: {'QueueUrl': sqs.url('none')},
           code=f'{LEGACY}NonExistentQueue'),
    of_sqs('QueueNameExists', 400, 'CreateQueue', {'QueueName': 'jobs', 'Attributes': {'DelaySeconds': '7'}},
           code='QueueAlreadyExists'),
    of_legacy('BatchEntryIdsNotDistinct', 'SendMessageBatch', entries('a', 'a')),
    of_legacy('BatchRequestTooLong', 'SendMessageBatch', entries('a', 'b', body='x' * 600_000)),
    of_legacy('EmptyBatchRequest', 'SendMessageBatch'),
    of_legacy('InvalidBatchEntryId', 'SendMessageBatch', entries('a b')),
    of_legacy('TooManyEntriesInBatchRequest', 'SendMessageBatch', entries(*map(str, range(11)))),
    of_legacy('UnsupportedOperation', 'SendMessage', {'MessageBody': 'x', 'MessageAttributes': {
        'x': {'DataType': 'String', 'StringListValues': ['y']}}}),
    of_legacy('PurgeQueueInProgress', 'PurgeQueue', status=403,
              before=lambda sqs: sqs.call('PurgeQueue', QueueUrl=sqs.url())),
    of_sqs('OverLimit', 403, 'SetQueueAttributes', statements(21)),
    of_sqs('InvalidAttributeName', 400, 'GetQueueAttributes', {'AttributeNames': ['Foobar']}),
    of_sqs('InvalidAttributeValue', 400, 'SetQueueAttributes', {'Attributes': {'DelaySeconds': '901'}}),
    of_sqs('InvalidMessageContents', 400, 'SendMessage', {'MessageBody': '\x01'}),
    of_sqs('ReceiptHandleIsInvalid', 400, 'DeleteMessage', {'ReceiptHandle': 'garbage'}),
    of_sqs('ResourceNotFoundException', 404, 'ListMessageMoveTasks', lambda sqs: {'SourceArn': sqs.arn('none')}),
    of_sqs('InvalidAddress', 404, 'PurgeQueue', {'QueueUrl': 'ftp://cloud/jobs'}),
    coral('InvalidParameterValueException', 'InvalidParameterValue', 400, 'ReceiveMessage',
          {'MaxNumberOfMessages': 11}),
    coral('MissingRequiredParameterException', 'MissingParameter', 400, 'SendMessage'),
    coral('AccessDeniedException', 'AccessDenied', 403, 'PurgeQueue', {'QueueUrl': f'http://cloud/{STRANGER_ID}/jobs'}),
    coral('UnknownOperationException', 'InvalidAction', 400, 'FooBar'),
    coral('UnrecognizedClientException', 'InvalidClientTokenId', 403, 'ListQueues', signing={'key': 'test:nobody'}),
    coral('InvalidSignatureException', 'SignatureDoesNotMatch', 403, 'ListQueues', signing={'secret': 'wrong'}),
    coral('RequestExpiredException', 'RequestExpired', 403, 'ListQueues', signing={'at': time.time() - 901}),
]


def provoked(sqs: Service, case: Case) -> AwsError:
    sqs.create()
    case.before(sqs)
    given = case.given(sqs) if callable(case.given) else case.given
    where = {} if case.action in ('CreateQueue', 'ListQueues') else {'QueueUrl': sqs.url()}
    if case.signing:
        sqs.client = sqs.client_of(**case.signing)
    with pytest.raises(AwsError) as raised:
        sqs.call(case.action, **where | given)
    return raised.value


@pytest.mark.parametrize('protocol', ['json', 'query'])
@pytest.mark.parametrize('case', CASES, ids=lambda case: case.code)
def test_an_error(case, protocol):
    """The client checks the header, and the elements of XML."""
    sqs = Service(protocol)
    error = provoked(sqs, case)
    assert (error.status, error.code) == (case.status, case.code)
    if protocol == 'json':
        assert error.shape == case.shape
        assert set(json.loads(sqs.client.answer.body)) == {'__type', 'message'}
    assert error.message


@pytest.mark.parametrize('protocol', ['json', 'query'])
def test_an_error_of_one_entry_has_the_code_of_queries_and_says_whose_fault_it_is(protocol):
    sqs = Service(protocol)
    url = sqs.create(MaximumMessageSize=1024)
    answer = sqs.call('SendMessageBatch', QueueUrl=url, Entries=[
        {'Id': 'long', 'MessageBody': 'x' * 1025}, {'Id': 'good', 'MessageBody': 'x'},
        {'Id': 'bad', 'MessageBody': '\x01'}, {'Id': 'late', 'MessageBody': 'x', 'DelaySeconds': 901}])
    assert [each['Id'] for each in answer['Successful']] == ['good']
    assert {each['Id']: (each['Code'], each['SenderFault']) for each in answer['Failed']} == {
        'long': ('InvalidParameterValue', True), 'bad': ('InvalidMessageContents', True),
        'late': ('InvalidParameterValue', True)}


@pytest.mark.parametrize('headers, body', [
    ({'X-Amz-Target': 'AmazonSQS.ListQueues', 'Content-Type': 'application/x-amz-json-1.0'}, b'{}'),
    ({'Content-Type': 'application/x-www-form-urlencoded'}, b'Action=ListQueues')])
def test_a_request_without_a_signature(headers, body):
    answer = send(Service().app, 'POST /', body, headers | {'Host': 'cloud'})
    assert answer.status == 403
    if 'X-Amz-Target' in headers:
        assert answer.headers['x-amzn-query-error'] == 'MissingAuthenticationToken;Sender'
        assert json.loads(answer.body)['__type'] == f'{CORAL}MissingAuthenticationTokenException'
    else:
        assert b'<Type>Sender</Type><Code>MissingAuthenticationToken</Code>' in answer.body
