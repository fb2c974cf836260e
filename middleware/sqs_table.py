"""The actions of Amazon SQS: what each takes and gives, from which both protocols are read and written.

The names are those of the JSON protocol. Where the Query protocol says it otherwise, the shape knows: a list or a map
is flattened there under a name of its own (``AttributeNames`` is ``AttributeName.1``, ``AttributeName.2``, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scalar:
    """``kind`` is ``string``, ``integer``, ``boolean`` (in answers only) or ``blob`` (bytes)."""

    kind: str


@dataclass(frozen=True)
class List:
    of: Shape
    query: str


@dataclass(frozen=True)
class Map:
    of: Shape
    query: str
    key: str = 'Name'
    value: str = 'Value'


@dataclass(frozen=True)
class Struct:
    """``required`` are members that must be there."""

    members: Mapping[str, Shape]
    required: tuple[str, ...] = field(default=())


Shape = Scalar | List | Map | Struct

STRING, INTEGER, BOOLEAN, BLOB = (Scalar(kind) for kind in ('string', 'integer', 'boolean', 'blob'))


@dataclass(frozen=True)
class Action:
    """``gives`` of None: the action has no output."""

    takes: Struct
    gives: Struct | None = None


def _takes(required: str = '', **members: Shape) -> Struct:
    return Struct(members, tuple(required.split()))


def _gives(**members: Shape) -> Struct:
    return Struct(members)


_ATTRIBUTES = Map(STRING, 'Attribute')
_TAGS = Map(STRING, 'Tag', 'Key')
_VALUE = Struct({'StringValue': STRING, 'BinaryValue': BLOB, 'StringListValues': List(STRING, 'StringListValue'),
                 'BinaryListValues': List(BLOB, 'BinaryListValue'), 'DataType': STRING})
_MESSAGE_ATTRIBUTES = Map(_VALUE, 'MessageAttribute')
_MESSAGE = {
    'MessageBody': STRING, 'DelaySeconds': INTEGER, 'MessageAttributes': _MESSAGE_ATTRIBUTES,
    'MessageSystemAttributes': Map(_VALUE, 'MessageSystemAttribute'),
    'MessageDeduplicationId': STRING, 'MessageGroupId': STRING}
_SENT = {'MessageId': STRING, 'MD5OfMessageBody': STRING, 'MD5OfMessageAttributes': STRING,
         'MD5OfMessageSystemAttributes': STRING, 'SequenceNumber': STRING}
_RECEIVED = Struct({
    'MessageId': STRING, 'ReceiptHandle': STRING, 'MD5OfBody': STRING, 'Body': STRING, 'Attributes': _ATTRIBUTES,
    'MD5OfMessageAttributes': STRING, 'MessageAttributes': _MESSAGE_ATTRIBUTES})
_MOVE_TASK = Struct({
    'TaskHandle': STRING, 'Status': STRING, 'SourceArn': STRING, 'DestinationArn': STRING,
    'MaxNumberOfMessagesPerSecond': INTEGER, 'ApproximateNumberOfMessagesMoved': INTEGER,
    'ApproximateNumberOfMessagesToMove': INTEGER, 'FailureReason': STRING, 'StartedTimestamp': INTEGER})


def _entries(name: str, required: str, **members: Shape) -> List:
    return List(Struct({'Id': STRING, **members}, ('Id', *required.split())), name)


def _batch(result: str, **members: Shape) -> Struct:
    failed = Struct({'Id': STRING, 'SenderFault': BOOLEAN, 'Code': STRING, 'Message': STRING})
    return _gives(Successful=List(Struct({'Id': STRING, **members}), result),
                  Failed=List(failed, 'BatchResultErrorEntry'))


ACTIONS: dict[str, Action] = {
    'AddPermission': Action(_takes(
        'QueueUrl Label', QueueUrl=STRING, Label=STRING, AWSAccountIds=List(STRING, 'AWSAccountId'),
        Actions=List(STRING, 'ActionName'))),
    'CancelMessageMoveTask': Action(
        _takes('TaskHandle', TaskHandle=STRING), _gives(ApproximateNumberOfMessagesMoved=INTEGER)),
    'ChangeMessageVisibility': Action(_takes(
        'QueueUrl ReceiptHandle VisibilityTimeout', QueueUrl=STRING, ReceiptHandle=STRING,
        VisibilityTimeout=INTEGER)),
    'ChangeMessageVisibilityBatch': Action(
        _takes('QueueUrl', QueueUrl=STRING, Entries=_entries(
            'ChangeMessageVisibilityBatchRequestEntry', 'ReceiptHandle', ReceiptHandle=STRING,
            VisibilityTimeout=INTEGER)),
        _batch('ChangeMessageVisibilityBatchResultEntry')),
    'CreateQueue': Action(
        _takes('QueueName', QueueName=STRING, Attributes=_ATTRIBUTES, tags=_TAGS), _gives(QueueUrl=STRING)),
    'DeleteMessage': Action(_takes('QueueUrl ReceiptHandle', QueueUrl=STRING, ReceiptHandle=STRING)),
    'DeleteMessageBatch': Action(
        _takes('QueueUrl', QueueUrl=STRING, Entries=_entries(
            'DeleteMessageBatchRequestEntry', 'ReceiptHandle', ReceiptHandle=STRING)),
        _batch('DeleteMessageBatchResultEntry')),
    'DeleteQueue': Action(_takes('QueueUrl', QueueUrl=STRING)),
    'GetQueueAttributes': Action(
        _takes('QueueUrl', QueueUrl=STRING, AttributeNames=List(STRING, 'AttributeName')),
        _gives(Attributes=_ATTRIBUTES)),
    'GetQueueUrl': Action(
        _takes('QueueName', QueueName=STRING, QueueOwnerAWSAccountId=STRING), _gives(QueueUrl=STRING)),
    'ListDeadLetterSourceQueues': Action(
        _takes('QueueUrl', QueueUrl=STRING, MaxResults=INTEGER, NextToken=STRING),
        _gives(queueUrls=List(STRING, 'QueueUrl'), NextToken=STRING)),
    'ListMessageMoveTasks': Action(
        _takes('SourceArn', SourceArn=STRING, MaxResults=INTEGER),
        _gives(Results=List(_MOVE_TASK, 'ListMessageMoveTasksResultEntry'))),
    'ListQueueTags': Action(_takes('QueueUrl', QueueUrl=STRING), _gives(Tags=_TAGS)),
    'ListQueues': Action(
        _takes(QueueNamePrefix=STRING, MaxResults=INTEGER, NextToken=STRING),
        _gives(QueueUrls=List(STRING, 'QueueUrl'), NextToken=STRING)),
    'PurgeQueue': Action(_takes('QueueUrl', QueueUrl=STRING)),
    'ReceiveMessage': Action(
        _takes('QueueUrl', QueueUrl=STRING, AttributeNames=List(STRING, 'AttributeName'),
               MessageSystemAttributeNames=List(STRING, 'MessageSystemAttributeName'),
               MessageAttributeNames=List(STRING, 'MessageAttributeName'), MaxNumberOfMessages=INTEGER,
               VisibilityTimeout=INTEGER, WaitTimeSeconds=INTEGER, ReceiveRequestAttemptId=STRING),
        _gives(Messages=List(_RECEIVED, 'Message'))),
    'RemovePermission': Action(_takes('QueueUrl Label', QueueUrl=STRING, Label=STRING)),
    'SendMessage': Action(_takes('QueueUrl MessageBody', QueueUrl=STRING, **_MESSAGE), _gives(**_SENT)),
    'SendMessageBatch': Action(
        _takes('QueueUrl', QueueUrl=STRING,
               Entries=_entries('SendMessageBatchRequestEntry', 'MessageBody', **_MESSAGE)),
        _batch('SendMessageBatchResultEntry', **_SENT)),
    'SetQueueAttributes': Action(_takes('QueueUrl Attributes', QueueUrl=STRING, Attributes=_ATTRIBUTES)),
    'StartMessageMoveTask': Action(
        _takes('SourceArn', SourceArn=STRING, DestinationArn=STRING, MaxNumberOfMessagesPerSecond=INTEGER),
        _gives(TaskHandle=STRING)),
    'TagQueue': Action(_takes('QueueUrl Tags', QueueUrl=STRING, Tags=_TAGS)),
    'UntagQueue': Action(_takes('QueueUrl TagKeys', QueueUrl=STRING, TagKeys=List(STRING, 'TagKey'))),
}
