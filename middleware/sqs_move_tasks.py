"""Amazon SQS: tasks that move messages out of a dead-letter queue."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from swiftqueue.errors import MoveTaskNotFound, MoveTaskOver, MoveTaskRunning, NoDeadLetterQueue, QueueNotFound
from swiftqueue.ids import is_id
from swiftqueue.model import NO_DESTINATION, NO_SOURCE, MoveTask
from swiftqueue.move_tasks import KEPT, MOST_RATE
from swiftqueue.queues import Queue

from .frontend import BadBody, parse_json
from .sqs_call import Call
from .sqs_errors import SqsError, invalid_value

_ARN = re.compile('arn:[^:]*:[^:]*:[^:]*:[^:]*:.+')
_FAILURES = {'': None, NO_SOURCE: 'CouldNotDetermineMessageSource',
             NO_DESTINATION: 'AWS.SimpleQueueService.NonExistentQueue'}

Given = dict[str, Any]


def start_message_move_task(call: Call, given: Given) -> Given:
    rate = given.get('MaxNumberOfMessagesPerSecond')
    if rate is not None and not 1 <= rate <= MOST_RATE:
        raise _invalid('Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number '
                       f'that\'s between 1 and {MOST_RATE}.')
    source, destination = _queue(call, given, 'SourceArn'), given.get('DestinationArn')
    source.allow('owner')
    if destination is not None:
        if destination == given['SourceArn']:
            raise _invalid('Source queue arn and destination queue arn cannot be the same.')
        destination = _queue(call, given, 'DestinationArn').name
    try:
        task = source.move_tasks.start(destination or '', rate or 0)
    except NoDeadLetterQueue:
        raise _invalid('Source queue must be configured as a Dead Letter Queue.') from None
    except MoveTaskRunning:
        raise _invalid('There is already a task running. Only one active task is allowed for a source queue arn at a '
                       'given time.') from None
    return {'TaskHandle': _handle(task, given['SourceArn'])}


def list_message_move_tasks(call: Call, given: Given) -> Given:
    limit = given.get('MaxResults', 1)
    if not 1 <= limit <= KEPT:
        raise invalid_value(limit, 'MaxResults', f'MaxResults must be an integer between 1 and {KEPT}.')
    tasks = _queue(call, given, 'SourceArn').move_tasks.list(limit)
    return {'Results': [_shown(call, task, given['SourceArn']) for task in tasks]}


def cancel_message_move_task(call: Call, given: Given) -> Given:
    task_id, source = _parsed(given['TaskHandle'])
    queue = _queue(call, {'SourceArn': source}, 'SourceArn')
    try:
        task = queue.move_tasks.cancel(task_id)
    except MoveTaskNotFound:
        raise SqsError('ResourceNotFound', 'Task does not exist.') from None
    except MoveTaskOver:
        raise _invalid('Only active tasks can be cancelled.') from None
    return {'ApproximateNumberOfMessagesMoved': task.moved}


def _shown(call: Call, task: MoveTask, source: str) -> Given:
    return {'TaskHandle': _handle(task, source) if task.status == 'running' else None,
            'Status': task.status.upper(),
            'SourceArn': source,
            'DestinationArn': call.arn(task.destination) if task.destination else None,
            'MaxNumberOfMessagesPerSecond': task.rate or None,
            'ApproximateNumberOfMessagesMoved': task.moved,
            'ApproximateNumberOfMessagesToMove': task.to_move,
            'FailureReason': _FAILURES[task.failure],
            'StartedTimestamp': int(task.started_at * 1000)}


def _handle(task: MoveTask, source: str) -> str:
    """As Amazon's looks inside, which some clients rely on."""
    value = json.dumps({'taskId': task.id, 'sourceArn': source}, separators=(',', ':'))
    return base64.b64encode(value.encode()).decode()


def _parsed(handle: str) -> tuple[str, str]:
    """The task's id and the ARN of its source. Raises SqsError."""
    try:
        value = parse_json(base64.b64decode(handle, validate=True))
    except (ValueError, BadBody):
        value = None
    if not (isinstance(value, dict) and isinstance(value.get('sourceArn'), str)
            and isinstance(value.get('taskId'), str) and is_id(value['taskId'])):
        raise _invalid('Value for parameter TaskHandle is invalid.')
    return value['taskId'], value['sourceArn']


def _queue(call: Call, given: Given, name: str) -> Queue:
    """The queue of the ARN, which exists. Raises SqsError, and the usual."""
    arn = given[name]
    if not _ARN.fullmatch(arn):
        raise _invalid(f'You must use this format to specify the {name}: arn:<partition>:<service>:<region>:'
                       '<account-id>:<resource-id>')
    try:
        queue = call.queue_named(call.name_of(arn) or '')
        queue.describe()
    except (SqsError, QueueNotFound):
        raise SqsError('ResourceNotFound', f'The resource that you specified for the {name} parameter doesn\'t '
                                           'exist.') from None
    return queue


def _invalid(text: str) -> SqsError:
    return SqsError('InvalidParameterValue', text)
