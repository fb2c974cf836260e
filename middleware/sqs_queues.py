"""Amazon SQS: queues, their attributes and tags."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from swiftqueue.errors import Invalid
from swiftqueue.queues import OWNER

from . import sqs_attributes
from .sqs_call import FIFO, Call
from .sqs_errors import SqsError, invalid_value, missing
from .sqs_format import is_clean

PAGE = 1000  # queues
_PURGE_PAUSE = 60  # seconds
_NAME = re.compile('[A-Za-z0-9_-]{1,80}')
_FIFO_NAME = re.compile(f'[A-Za-z0-9_-]{{1,{80 - len(FIFO)}}}{re.escape(FIFO)}')
_MAX_TAGS = 50
_MAX_KEY, _MAX_VALUE = 128, 256  # characters of a tag

Given = dict[str, Any]


def create_queue(call: Call, given: Given) -> Given:
    name, attributes = given['QueueName'], given.get('Attributes', {})
    fifo = attributes.get('FifoQueue') == 'true'
    if fifo and not _FIFO_NAME.fullmatch(name):
        raise SqsError('InvalidParameterValue', 'The name of a FIFO queue can only include alphanumeric characters, '
                                                'hyphens, or underscores, must end with .fifo suffix and be 1 to 80 '
                                                'in length.')
    if not fifo and not _NAME.fullmatch(name):
        raise SqsError('InvalidParameterValue', 'Can only include alphanumeric characters, hyphens, or underscores. '
                                                '1 to 80 in length')
    queue = call.account.queue(name)
    queue.allow(OWNER)
    wanted = sqs_attributes.defaults(call) | sqs_attributes.read(call, queue, attributes, fifo=fifo)
    tags = _checked_tags(name, given.get('tags', {}))
    if not _change(queue.create, wanted | ({'_tags': tags} if tags else {})):
        other = sqs_attributes.difference(call, queue, queue.describe().attributes, attributes)
        if other:
            raise SqsError('QueueNameExists', 'A queue already exists with the same name and a different value for '
                                              f'attribute {other}')
    return {'QueueUrl': call.url(name)}


def _change(change: Any, *arguments: Any) -> Any:
    """What the engine refuses of attributes that SQS would take is beyond the operator's limits."""
    try:
        return change(*arguments)
    except Invalid as error:
        raise SqsError('InvalidAttributeValue', str(error)) from None


def delete_queue(call: Call, given: Given) -> None:
    queue = call.queue(given['QueueUrl'])
    queue.allow(OWNER)
    queue.describe()
    queue.delete()


def get_queue_url(call: Call, given: Given) -> Given:
    queue = call.queue_named(given['QueueName'])
    queue.describe()
    return {'QueueUrl': call.url(queue.name)}


def get_queue_attributes(call: Call, given: Given) -> Given:
    queue = call.queue(given['QueueUrl'])
    return {'Attributes': sqs_attributes.show(call, queue, given.get('AttributeNames', []))}


def set_queue_attributes(call: Call, given: Given) -> None:
    queue = call.queue(given['QueueUrl'])
    queue.allow(OWNER)
    fifo = bool(queue.describe().attributes.get('_fifo'))
    kept = sqs_attributes.read(call, queue, given['Attributes'], fifo=fifo)
    _change(queue.configure, lambda attributes: _without_none(attributes | kept))


def _without_none(attributes: Given) -> Given:
    return {name: value for name, value in attributes.items() if value is not None}


def purge_queue(call: Call, given: Given) -> None:
    queue = call.queue(given['QueueUrl'])
    queue.allow(OWNER)
    if call.engine.clock() - queue.describe().purged_at < _PURGE_PAUSE:
        raise SqsError('PurgeQueueInProgress', f'Only one PurgeQueue operation on {queue.name} is allowed every '
                                               f'{_PURGE_PAUSE} seconds.')
    queue.purge()


# -- lists -----------------------------------------------------------------------------------------

def list_queues(call: Call, given: Given) -> Given:
    urls, token = _page(call, given, prefix=given.get('QueueNamePrefix', ''))
    return {'QueueUrls': urls, 'NextToken': token}


def list_dead_letter_source_queues(call: Call, given: Given) -> Given:
    queue = call.queue(given['QueueUrl'])
    queue.describe()
    urls, token = _page(call, given, metadata={'_dead_letter_queue': queue.name})
    return {'queueUrls': urls, 'NextToken': token}


def _page(call: Call, given: Given, **chosen: Any) -> tuple[list[str], str | None]:
    """URLs of queues, and the token of the page after them: only for who says how many a page may have."""
    limit = given.get('MaxResults')
    if limit is not None and not 1 <= limit <= PAGE:
        raise invalid_value(limit, 'MaxResults', f'MaxResults must be an integer between 1 and {PAGE}.')
    marker = _marker(given['NextToken']) if given.get('NextToken') else ''
    if not _is_prefix(chosen.get('prefix', '')):
        return [], None  # no queue's name begins like this
    names: list[str] = []
    most = limit or PAGE
    while len(names) < most:
        page = call.account.queues(marker, most - len(names), most=PAGE, **chosen)
        names += [info.name for info in page.items]
        marker = page.marker or ''
        if not marker:
            break
    more = limit and marker and call.account.queues(marker, 1, most=PAGE, **chosen).items
    token = base64.urlsafe_b64encode(marker.encode()).decode() if more else None
    return [call.url(name) for name in names], token


def _is_prefix(text: str) -> bool:
    return not text or re.fullmatch('[A-Za-z0-9_.-]{1,80}', text) is not None


def _marker(token: str) -> str:
    try:
        marker = base64.b64decode(token, altchars=b'-_', validate=True).decode('ascii')
    except (binascii.Error, ValueError):
        marker = ''
    if not marker or not _is_prefix(marker):
        raise invalid_value(token, 'NextToken', 'Invalid or expired next token.')
    return marker


# -- tags ------------------------------------------------------------------------------------------

def tag_queue(call: Call, given: Given) -> None:
    queue = call.queue(given['QueueUrl'])
    queue.allow(OWNER)
    queue.describe()
    tags = _checked_tags(queue.name, given['Tags'])
    if not tags:
        raise missing('Tags')

    def change(attributes: Given) -> Given:
        return attributes | {'_tags': _checked_tags(queue.name, (attributes.get('_tags') or {}) | tags)}
    queue.configure(change)


def _checked_tags(queue: str, tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > _MAX_TAGS:
        raise SqsError('InvalidParameterValue', f'Too many tags added for queue {queue}.')
    for key, value in tags.items():
        if not 1 <= len(key) <= _MAX_KEY or not is_clean(key) or key.startswith('aws:'):
            raise invalid_value(key, 'Tags', f'A key has 1 to {_MAX_KEY} characters and does not begin with aws:.')
        if len(value) > _MAX_VALUE or not is_clean(value):
            raise invalid_value(value, 'Tags', f'A value has at most {_MAX_VALUE} characters.')
    return tags


def untag_queue(call: Call, given: Given) -> None:
    queue, keys = call.queue(given['QueueUrl']), set(given['TagKeys'])

    def change(attributes: Given) -> Given:
        tags = attributes.get('_tags') or {}
        return attributes | {'_tags': {key: value for key, value in tags.items() if key not in keys}}
    queue.configure(change)


def list_queue_tags(call: Call, given: Given) -> Given:
    return {'Tags': call.queue(given['QueueUrl']).describe().attributes.get('_tags')}
