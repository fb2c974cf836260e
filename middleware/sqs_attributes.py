"""The attributes of a queue, as Amazon SQS has them and as the engine keeps them.

Each attribute that can be set is read from its text into engine attributes, and written as text from those. A queue
that was made through another door has them all, with what the engine's defaults come to.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swiftqueue.attributes import max_message_size
from swiftqueue.errors import QueueNotFound
from swiftqueue.model import QueueInfo, Stats
from swiftqueue.queues import Queue

from .frontend import BadBody, parse_json
from .sqs_call import FIFO, Call
from .sqs_errors import SqsError, invalid_value
from .sqs_format import is_clean

MAX_POLICY = 8192  # bytes
_MAX_STATEMENTS = 20
_MAX_SOURCES = 10
_DIGITS = 10

Kept = dict[str, Any]  # the engine's attributes


def invalid(name: str, reason: str = '') -> SqsError:
    return SqsError('InvalidAttributeValue', f'Invalid value for the parameter {name}.'
                                             + (f' Reason: {reason}' if reason else ''))


def unknown(name: str) -> SqsError:
    return SqsError('InvalidAttributeName', f'Unknown Attribute {name}.')


@dataclass(frozen=True)
class Settable:
    """``read`` makes engine attributes of a text; ``show`` gives the text, None for an attribute that is not there."""

    read: Callable[[Call, Queue, str], Kept]
    show: Callable[[Call, Kept], str | None]
    fifo: bool = False  # of FIFO queues alone


# -- numbers ---------------------------------------------------------------------------------------

def _number(name: str, kept: str, least: int, most: int, shown: Callable[[Call, Kept], int]) -> Settable:
    def read(call: Call, queue: Queue, text: str) -> Kept:
        if not (text.isascii() and text.isdigit() and len(text) < _DIGITS and least <= int(text) <= most):
            raise invalid(name, f'Must be an integer from {least} to {most}.')
        return {kept: int(text)}
    return Settable(read, lambda call, attributes: str(shown(call, attributes)))


def _visibility(call: Call, kept: Kept) -> int:
    ttl = kept.get('_default_claim_ttl')
    return call.options.default_claim_ttl if ttl is None else ttl


# -- dead letters ----------------------------------------------------------------------------------

def _document(name: str, text: str) -> dict[str, Any]:
    """Raises SqsError unless the text is a JSON object."""
    try:
        value = parse_json(text.encode('utf-8', 'surrogatepass'))
    except BadBody:
        value = None
    if not isinstance(value, dict):
        raise invalid_value(text, name, 'It is not a JSON object.')
    return value


def _read_redrive(call: Call, queue: Queue, text: str) -> Kept:
    if not text:
        return dict.fromkeys(('_dead_letter_queue', '_max_claim_count', '_dead_letter_queue_messages_ttl'))

    def refuse(reason: str) -> SqsError:
        return invalid_value(text, 'RedrivePolicy', reason)
    policy = _document('RedrivePolicy', text)
    for name in ('deadLetterTargetArn', 'maxReceiveCount'):
        if name not in policy:
            raise refuse(f'Redrive policy does not contain mandatory attribute: {name}.')
    arn, count = policy['deadLetterTargetArn'], str(policy['maxReceiveCount'])
    if not (count.isascii() and count.isdigit() and len(count) < _DIGITS and 1 <= int(count) <= 1000):
        raise refuse(f'Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive.')
    target = call.name_of(arn) if isinstance(arn, str) else None
    if target is None:
        raise refuse('Dead letter target must be a queue of this account and region.')
    if queue.name.endswith(FIFO) != target.endswith(FIFO):
        raise refuse('Dead-letter queue must be same type of queue as the source.')
    try:
        info = call.queue_named(target).describe()
    except (QueueNotFound, SqsError):
        raise refuse('Dead letter target does not exist.') from None
    sources = info.attributes.get('_dead_letters_from')
    if sources is not None and queue.name not in sources:
        raise refuse('The dead letter target does not take messages of this queue.')
    return {'_dead_letter_queue': target, '_max_claim_count': int(count),
            '_dead_letter_queue_messages_ttl': info.attributes['_default_message_ttl']}


def _show_redrive(call: Call, kept: Kept) -> str | None:
    if not kept.get('_dead_letter_queue') or not kept.get('_max_claim_count'):
        return None
    return _compact({'deadLetterTargetArn': call.arn(kept['_dead_letter_queue']),
                     'maxReceiveCount': kept['_max_claim_count']})


def _read_redrive_allow(call: Call, queue: Queue, text: str) -> Kept:
    if not text:
        return {'_dead_letters_from': None}

    def refuse(reason: str) -> SqsError:
        return invalid_value(text, 'RedriveAllowPolicy', reason)
    policy = _document('RedriveAllowPolicy', text)
    permission, arns = policy.get('redrivePermission'), policy.get('sourceQueueArns')
    if permission not in ('allowAll', 'denyAll', 'byQueue'):
        raise refuse('redrivePermission must be allowAll, denyAll or byQueue.')
    if (arns is not None) != (permission == 'byQueue'):
        raise refuse('sourceQueueArns belongs to byQueue, and to nothing else.')
    if permission != 'byQueue':
        return {'_dead_letters_from': None if permission == 'allowAll' else []}
    if not isinstance(arns, list) or not 1 <= len(arns) <= _MAX_SOURCES:
        raise refuse(f'sourceQueueArns must be a list of 1 to {_MAX_SOURCES} queues.')
    names = [call.name_of(arn) if isinstance(arn, str) else None for arn in arns]
    if None in names:
        raise refuse('Every one of sourceQueueArns must be a queue of this account and region.')
    return {'_dead_letters_from': names}


def _show_redrive_allow(call: Call, kept: Kept) -> str | None:
    sources = kept.get('_dead_letters_from')
    if sources is None:
        return None
    if not sources:
        return _compact({'redrivePermission': 'denyAll'})
    return _compact({'redrivePermission': 'byQueue', 'sourceQueueArns': [call.arn(name) for name in sources]})


# -- the policy ------------------------------------------------------------------------------------

def _read_policy(call: Call, queue: Queue, text: str) -> Kept:
    if not text:
        return {'_policy': None}
    policy = _document('Policy', text)
    check_policy(policy)
    return {'_policy': policy}


def check_policy(policy: dict[str, Any]) -> None:
    """Raises SqsError unless it is within the limits. Nothing in it is acted on: rights are Swift's."""
    statements = policy.get('Statement')
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not all(isinstance(each, dict) for each in statements):
        raise invalid('Policy', 'It must have a Statement.')
    if len(statements) > _MAX_STATEMENTS:
        raise SqsError('OverLimit', f'{len(statements)} statements were found, maximum allowed is {_MAX_STATEMENTS}.')
    if len(_compact(policy)) > MAX_POLICY:
        raise invalid('Policy', f'It must not be longer than {MAX_POLICY} bytes.')


def _show_policy(call: Call, kept: Kept) -> str | None:
    return _compact(kept['_policy']) if kept.get('_policy') else None


# -- encryption ------------------------------------------------------------------------------------

def _read_encryption(call: Call, queue: Queue, text: str) -> Kept:
    if text not in ('true', 'false'):
        raise invalid('SqsManagedSseEnabled', 'Must be true or false.')
    if text == 'true' and not call.engine.encrypted:
        raise invalid('SqsManagedSseEnabled', 'This cluster does not encrypt objects.')
    return {'_enable_encrypt_messages': text == 'true'}


def _show_encryption(call: Call, kept: Kept) -> str:
    return 'true' if call.engine.encrypted else 'false'


def _read_key(call: Call, queue: Queue, text: str) -> Kept:
    if text:
        raise invalid('KmsMasterKeyId', 'There is no key management service; encryption is the cluster\'s.')
    return {}


def _read_reuse(call: Call, queue: Queue, text: str) -> Kept:
    raise invalid('KmsDataKeyReusePeriodSeconds', 'There is no key management service.')


# -- FIFO queues -----------------------------------------------------------------------------------

def _of_fifo(name: str, kept: str, words: dict[str, Any]) -> Settable:
    """One that is shown as ``words`` say it, the first of them if it was not set."""
    def read(call: Call, queue: Queue, text: str) -> Kept:
        if text not in words:
            raise invalid(name, f'Must be one of {", ".join(words)}.')
        return {kept: words[text]}

    def show(call: Call, attributes: Kept) -> str | None:
        if not attributes.get('_fifo'):
            return None
        return next((word for word, value in words.items() if value == attributes.get(kept)), next(iter(words)))
    return Settable(read, show, fifo=True)


def _read_fifo(call: Call, queue: Queue, text: str) -> Kept:
    if text != 'true':
        raise invalid('FifoQueue', 'Modifying queue type is not supported.')
    return {'_fifo': True}


SETTABLE: dict[str, Settable] = {
    'ContentBasedDeduplication': _of_fifo('ContentBasedDeduplication', '_content_deduplication',
                                          {'false': False, 'true': True}),
    'DeduplicationScope': _of_fifo('DeduplicationScope', '_deduplication_scope',
                                   {'queue': 'queue', 'messageGroup': 'group'}),
    'FifoQueue': Settable(_read_fifo, lambda call, kept: 'true' if kept.get('_fifo') else None, fifo=True),
    'FifoThroughputLimit': _of_fifo('FifoThroughputLimit', '_throughput_limit',
                                    {'perQueue': 'queue', 'perMessageGroupId': 'group'}),
    'DelaySeconds': _number('DelaySeconds', '_default_message_delay', 0, 900,
                            lambda call, kept: kept['_default_message_delay']),
    'KmsDataKeyReusePeriodSeconds': Settable(_read_reuse, lambda call, kept: None),
    'KmsMasterKeyId': Settable(_read_key, lambda call, kept: None),
    'MaximumMessageSize': _number('MaximumMessageSize', '_max_message_size', 1024, 1048576,
                                  lambda call, kept: max_message_size(kept, call.options)),
    'MessageRetentionPeriod': _number('MessageRetentionPeriod', '_default_message_ttl', 60, 1209600,
                                      lambda call, kept: kept['_default_message_ttl']),
    'Policy': Settable(_read_policy, _show_policy),
    'ReceiveMessageWaitTimeSeconds': _number('ReceiveMessageWaitTimeSeconds', '_default_wait', 0, 20,
                                             lambda call, kept: kept.get('_default_wait') or 0),
    'RedriveAllowPolicy': Settable(_read_redrive_allow, _show_redrive_allow),
    'RedrivePolicy': Settable(_read_redrive, _show_redrive),
    'SqsManagedSseEnabled': Settable(_read_encryption, _show_encryption),
    'VisibilityTimeout': _number('VisibilityTimeout', '_default_claim_ttl', 0, 43200, _visibility),
}

_OF_FIFO = ('DeduplicationScope', 'FifoThroughputLimit')

# What counting is needed for.
_COUNTS: dict[str, Callable[[Stats], int]] = {
    'ApproximateNumberOfMessages': lambda stats: stats.total - stats.claimed - stats.delayed,
    'ApproximateNumberOfMessagesDelayed': lambda stats: stats.delayed,
    'ApproximateNumberOfMessagesNotVisible': lambda stats: stats.claimed,
}
_FACTS: dict[str, Callable[[Call, QueueInfo], str]] = {
    'CreatedTimestamp': lambda call, info: str(int(info.created_at)),
    'LastModifiedTimestamp': lambda call, info: str(int(info.changed_at)),
    'QueueArn': lambda call, info: call.arn(info.name),
}


def defaults(call: Call) -> Kept:
    """The engine's attributes of a queue that Amazon SQS makes; the operator's limits stand above them."""
    options = call.options
    return {'_default_claim_ttl': min(30, options.max_claim_ttl),
            '_default_message_ttl': max(options.min_message_ttl, min(345600, options.max_message_ttl)),
            '_max_message_size': options.max_message_size}


def read(call: Call, queue: Queue, given: dict[str, str], *, fifo: bool) -> Kept:
    """The engine's attributes for those given, for a FIFO queue or another one. Raises SqsError."""
    kept: Kept = {}
    for name, text in given.items():
        if name in _OF_FIFO and not fifo:
            raise invalid(name, f'You can specify the {name} only when FifoQueue is set to true.')
        if name not in SETTABLE or SETTABLE[name].fifo and not fifo:
            raise unknown(name)
        if not is_clean(text):
            raise invalid(name)
        kept |= SETTABLE[name].read(call, queue, text)
    return kept


def show(call: Call, queue: Queue, names: list[str]) -> dict[str, str]:
    """Those attributes of a queue, as text. Raises SqsError for a name that no attribute has, and the usual."""
    for name in names:
        if name not in SETTABLE and name not in _COUNTS and name not in _FACTS and name != 'All':
            raise unknown(name)
    wanted = [*_COUNTS, *_FACTS, *SETTABLE] if 'All' in names else names
    info = queue.describe()
    stats = queue.stats() if any(name in _COUNTS for name in wanted) else None
    shown = {}
    for name in wanted:
        if name in SETTABLE:
            text = SETTABLE[name].show(call, info.attributes)
            if text is not None:
                shown[name] = text
        elif name in _FACTS:
            shown[name] = _FACTS[name](call, info)
        elif stats is not None and name in _COUNTS:
            shown[name] = str(_COUNTS[name](stats))
    return shown


def difference(call: Call, queue: Queue, kept: Kept, given: dict[str, str]) -> str | None:
    """The name of a given attribute that a queue with these engine attributes has otherwise."""
    for name, text in given.items():
        wanted = kept | SETTABLE[name].read(call, queue, text)
        if SETTABLE[name].show(call, wanted) != SETTABLE[name].show(call, kept):
            return name
    return None


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(',', ':'))
