"""Amazon SQS: messages, one by one and in batches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import md5
from typing import Any

from swiftqueue.errors import MessageNotFound, QueueError, ReceiptExpired, ReceiptInvalid, TooLarge
from swiftqueue.ids import sequence_number
from swiftqueue.model import Claim, Message, NewMessage
from swiftqueue.queues import Queue

from . import sqs_message_attributes as message_attributes
from .sqs_call import Call
from .sqs_errors import SqsError, invalid_value, missing, translated
from .sqs_format import clean, is_clean

MAX_DELAY, MAX_VISIBILITY, MAX_WAIT = 900, 43200, 20  # seconds
MAX_BATCH = 10  # entries
MAX_BATCH_SIZE = 1048576  # bytes
_SENDER = 64  # characters that a message keeps of its sender's name
_ENTRY_ID = re.compile('[A-Za-z0-9_-]{1,80}')
_ID = re.compile('[!-~]{1,128}')

Given = dict[str, Any]


def _checked(value: int | None, name: str, least: int, most: int, reason: str) -> int | None:
    if value is not None and not least <= value <= most:
        raise invalid_value(value, name, reason)
    return value


# -- send ------------------------------------------------------------------------------------------

def send_message(call: Call, given: Given) -> Given:
    queue = call.queue(given['QueueUrl'])
    queue.allow('write')
    posted, = queue.messages.post([_new(given, fifo=queue.fifo)], _sender(call))
    if isinstance(posted.error, TooLarge):
        raise SqsError('InvalidParameterValue', 'One or more parameters are invalid. Reason: Message must be shorter '
                                                f'than {posted.error.most} bytes.')
    if posted.error:
        raise posted.error
    return _sent(given, posted.id, fifo=queue.fifo)


def send_message_batch(call: Call, given: Given) -> Given:
    queue, entries = call.queue(given['QueueUrl']), _entries(given, 'SendMessageBatchRequestEntry')
    queue.allow('write')
    fifo = queue.fifo
    for entry in entries if fifo else ():
        _check_fifo(entry)
    size = sum(_size(entry) for entry in entries)
    if size > MAX_BATCH_SIZE:
        raise SqsError('BatchRequestTooLong', f'Batch requests cannot be longer than {MAX_BATCH_SIZE} bytes. You have '
                                              f'sent {size} bytes.')
    outcome: dict[str, Given | QueueError] = {}
    messages: dict[str, NewMessage] = {}
    for entry in entries:
        try:
            messages[entry['Id']] = _new(entry, fifo=fifo)
        except SqsError as error:
            outcome[entry['Id']] = error
    posted = queue.messages.post(list(messages.values()), _sender(call)) if messages else []
    by_id = {entry['Id']: entry for entry in entries}
    for entry_id, each in zip(messages, posted, strict=True):
        if isinstance(each.error, TooLarge):
            outcome[entry_id] = SqsError('InvalidParameterValue', 'One or more parameters cannot be validated. Reason: '
                                                                  f'Message must be shorter than {each.error.most} '
                                                                  'bytes.')
        else:
            outcome[entry_id] = each.error or _sent(by_id[entry_id], each.id, fifo=fifo)
    return _results(entries, outcome)


def _new(given: Given, *, fifo: bool) -> NewMessage:
    """The message to post. Raises SqsError."""
    body = given.get('MessageBody')
    if not body:
        raise missing('MessageBody')
    if not is_clean(body):
        raise SqsError('InvalidMessageContents',
                       'Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | '
                       '#xE000 to #xFFFD | #x10000 to #x10FFFF')
    delay = _checked(given.get('DelaySeconds'), 'DelaySeconds', 0, MAX_DELAY,
                     f'DelaySeconds must be >= 0 and <= {MAX_DELAY}.')
    if fifo and given.get('MessageGroupId') is None:
        raise missing('MessageGroupId')
    for name in ('DelaySeconds',) if fifo else ('MessageDeduplicationId',):
        if given.get(name) not in (None, 0):
            raise invalid_value(given[name], name,
                                'The request include parameter that is not valid for this queue type')
    for name in ('MessageGroupId', 'MessageDeduplicationId'):
        _check_id(given.get(name), name)
    kept = message_attributes.kept(given.get('MessageAttributes', {}), given.get('MessageSystemAttributes', {}))
    return NewMessage(body, delay=delay, attributes=kept, size=_size(given), group=given.get('MessageGroupId') or '',
                      deduplication=given.get('MessageDeduplicationId') or '')


def _check_id(value: str | None, name: str) -> None:
    if value is not None and not _ID.fullmatch(value):
        raise invalid_value(value, name, f'{name} can only include alphanumeric and punctuation characters. 1 to 128 '
                                         'in length.')


def _check_fifo(given: Given) -> None:
    """Raises SqsError for what makes a whole batch fail, other than in a message of its own."""
    if given.get('MessageGroupId') is None:
        raise SqsError('InvalidParameterValue', 'The request must contain the parameter MessageGroupId.')


def _size(given: Given) -> int:
    """What counts as the message's size, in bytes."""
    return len(given.get('MessageBody', '').encode('utf-8', 'surrogatepass')) \
        + message_attributes.size(given.get('MessageAttributes', {}))


def _sender(call: Call) -> str:
    return call.signed.access_key[:_SENDER]


def _sent(given: Given, message_id: str, *, fifo: bool) -> Given:
    return {'MessageId': message_id, 'SequenceNumber': sequence_number(message_id) if fifo else None,
            'MD5OfMessageBody': _md5(given['MessageBody']),
            'MD5OfMessageAttributes': message_attributes.digest(given.get('MessageAttributes')),
            'MD5OfMessageSystemAttributes': message_attributes.digest(given.get('MessageSystemAttributes'))}


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


# -- receive ---------------------------------------------------------------------------------------

def receive_message(call: Call, given: Given) -> Given:
    queue = call.queue(given['QueueUrl'])
    queue.allow('write')
    limit = _checked(given.get('MaxNumberOfMessages', 1), 'MaxNumberOfMessages', 1, MAX_BATCH,
                     f'Must be between 1 and {MAX_BATCH}, if provided.')
    ttl = _checked(given.get('VisibilityTimeout'), 'VisibilityTimeout', 0, MAX_VISIBILITY,
                   f'Must be >= 0 and <= {MAX_VISIBILITY}, if provided.')
    wait = _checked(given.get('WaitTimeSeconds'), 'WaitTimeSeconds', 0, MAX_WAIT,
                    f'Must be >= 0 and <= {MAX_WAIT}, if provided.')
    system = {*given.get('AttributeNames', []), *given.get('MessageSystemAttributeNames', [])}
    for name in sorted(system - {'All'}):
        if name not in _SYSTEM:
            raise SqsError('InvalidAttributeName', f'Unknown Attribute {name}.')
    attempt = given.get('ReceiveRequestAttemptId') if queue.fifo else None
    _check_id(attempt, 'ReceiveRequestAttemptId')
    claims = queue.single_claims.create_each(limit, ttl, wait=wait, attempt=attempt or '')
    names = given.get('MessageAttributeNames', [])
    return {'Messages': [_received(call, queue, claim, system, names) for claim in claims]}


def _received(call: Call, queue: Queue, claim: Claim, system: set[str], names: list[str]) -> Given:
    message, = claim.messages
    body = message.body if isinstance(message.body, str) else json.dumps(message.body, separators=(',', ':'))
    body = clean(body)
    shown = {'MessageId': message.id, 'ReceiptHandle': claim.id, 'Body': body, 'MD5OfBody': _md5(body)}
    shown['Attributes'] = {name: text for name in (_SYSTEM if 'All' in system else sorted(system & set(_SYSTEM)))
                           if (text := _SYSTEM[name](call, queue, claim, message)) is not None}
    chosen = message_attributes.chosen(message.attributes, names)
    return shown | {'MessageAttributes': chosen, 'MD5OfMessageAttributes': message_attributes.digest(chosen)}


def _milliseconds(instant: float) -> str:
    return str(int(instant * 1000))


_SYSTEM: dict[str, Callable[[Call, Queue, Claim, Message], str | None]] = {
    'SenderId': lambda call, queue, claim, message: message.client_id,
    'SentTimestamp': lambda call, queue, claim, message: _milliseconds(message.created_at),
    'ApproximateReceiveCount':
        lambda call, queue, claim, message: str(message.deliveries_before + message.deliveries),
    'ApproximateFirstReceiveTimestamp':
        lambda call, queue, claim, message: _milliseconds(queue.single_claims.first_claimed_at(claim)),
    'AWSTraceHeader': lambda call, queue, claim, message: message_attributes.trace_header(message.attributes),
    'MessageGroupId': lambda call, queue, claim, message: message.group or None,
    'MessageDeduplicationId': lambda call, queue, claim, message: message.deduplication or None,
    'SequenceNumber':
        lambda call, queue, claim, message: sequence_number(message.id) if message.deduplication else None,
    'DeadLetterQueueSourceArn':
        lambda call, queue, claim, message: call.arn(message.source) if message.source else None,
}


# -- delete, and change visibility -----------------------------------------------------------------

def delete_message(call: Call, given: Given) -> None:
    queue = call.queue(given['QueueUrl'])
    _delete(queue, given)


def delete_message_batch(call: Call, given: Given) -> Given:
    queue, entries = call.queue(given['QueueUrl']), _entries(given, 'DeleteMessageBatchRequestEntry')
    return _each(queue, entries, _delete)


def _delete(queue: Queue, given: Given) -> None:
    handle = given['ReceiptHandle']
    try:
        queue.single_claims.ack_one(handle)
    except ReceiptExpired:
        raise invalid_value(handle, 'ReceiptHandle', 'The receipt handle has expired.') from None
    except ReceiptInvalid:
        raise _bad_handle(handle) from None


def change_visibility(call: Call, given: Given) -> None:
    queue = call.queue(given['QueueUrl'])
    _change_visibility(queue, given)


def change_visibility_batch(call: Call, given: Given) -> Given:
    queue, entries = call.queue(given['QueueUrl']), _entries(given, 'ChangeMessageVisibilityBatchRequestEntry')
    return _each(queue, entries, _change_visibility)


def _change_visibility(queue: Queue, given: Given) -> None:
    handle, ttl = given['ReceiptHandle'], given.get('VisibilityTimeout')
    if ttl is None:
        raise missing('VisibilityTimeout')
    _checked(ttl, 'VisibilityTimeout', 0, MAX_VISIBILITY, f'VisibilityTimeout must be an integer between 0 and '
                                                          f'{MAX_VISIBILITY}')
    try:
        queue.single_claims.renew_one(handle, ttl)
    except ReceiptInvalid:
        raise _bad_handle(handle) from None
    except MessageNotFound:
        raise invalid_value(handle, 'ReceiptHandle', 'Message does not exist or is not available for visibility '
                                                     'timeout change.') from None


def _bad_handle(handle: str) -> SqsError:
    return SqsError('ReceiptHandleIsInvalid', f'The input receipt handle "{handle}" is not a valid receipt handle.')


# -- batches ---------------------------------------------------------------------------------------

def _entries(given: Given, name: str) -> list[Given]:
    """The entries of a batch. Raises SqsError for what makes the whole batch fail."""
    entries = given.get('Entries') or []
    if not entries:
        raise SqsError('EmptyBatchRequest', f'There should be at least one {name} in the request.')
    if len(entries) > MAX_BATCH:
        raise SqsError('TooManyEntriesInBatchRequest', f'Maximum number of entries per request are {MAX_BATCH}. You '
                                                       f'have sent {len(entries)}.')
    seen = set()
    for entry in entries:
        if not _ENTRY_ID.fullmatch(entry['Id']):
            raise SqsError('InvalidBatchEntryId', 'A batch entry id can only contain alphanumeric characters, hyphens '
                                                  'and underscores. It can be at most 80 letters long.')
        if entry['Id'] in seen:
            raise SqsError('BatchEntryIdsNotDistinct', f'Id {entry["Id"]} repeated.')
        seen.add(entry['Id'])
    return entries


def _each(queue: Queue, entries: list[Given], act: Callable[[Queue, Given], None]) -> Given:
    """Do it with every entry, several at once. Raises what concerns all of them."""
    queue.allow('write')
    queue.record()

    def attempt(entry: Given) -> Given | QueueError:
        try:
            act(queue, entry)
        except QueueError as error:
            return error
        return {}
    outcome = queue.swift.at_most(attempt, entries)
    return _results(entries, {entry['Id']: each for entry, each in zip(entries, outcome, strict=True)})


def _results(entries: list[Given], outcome: dict[str, Given | QueueError]) -> Given:
    succeeded, failed = [], []
    for entry in entries:
        entry_id, what = entry['Id'], outcome[entry['Id']]
        if isinstance(what, QueueError):
            error = translated(what)
            failed.append({'Id': entry_id, 'SenderFault': error.kind.fault == 'Sender', 'Code': error.kind.code,
                           'Message': str(error)})
        else:
            succeeded.append({'Id': entry_id} | what)
    return {'Successful': succeeded, 'Failed': failed}
