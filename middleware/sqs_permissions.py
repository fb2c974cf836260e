"""Amazon SQS: permissions, which are statements of a queue's Policy.

A policy is kept and shown, and nothing is granted or denied by it: who may do what is said by the account and by the
queue's ACLs, as for everything in Swift.
"""

from __future__ import annotations

import re
from typing import Any

from swiftqueue.queues import OWNER

from . import sqs_attributes
from .sqs_call import Call
from .sqs_errors import SqsError, invalid_value, missing

_LABEL = re.compile('[A-Za-z0-9_-]{1,80}')
_ACCOUNT = re.compile('[0-9]{12}')
_MAX_ACTIONS = 7
_ACTIONS = ('*', 'ChangeMessageVisibility', 'DeleteMessage', 'GetQueueAttributes', 'GetQueueUrl',
            'ListDeadLetterSourceQueues', 'PurgeQueue', 'ReceiveMessage', 'SendMessage')

Given = dict[str, Any]


def add_permission(call: Call, given: Given) -> None:
    queue, label = call.queue(given['QueueUrl']), _label(given)
    queue.allow(OWNER)
    accounts, actions = given.get('AWSAccountIds') or [], given.get('Actions') or []
    if not accounts:
        raise missing('AWSAccountIds')
    if not actions:
        raise missing('Actions')
    if len(actions) > _MAX_ACTIONS:
        raise SqsError('OverLimit', f'{len(actions)} Actions were found, maximum allowed is {_MAX_ACTIONS}.')
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            raise invalid_value(account, 'PrincipalId', 'Unable to verify.')
    for action in actions:
        if action not in _ACTIONS:
            raise invalid_value(f'SQS:{action}', 'ActionName', 'Please refer to the appropriate WSDL for a list of '
                                                               'valid actions.')
    principals = [f'arn:aws:iam::{account}:root' for account in accounts]
    statement = {'Sid': label, 'Effect': 'Allow', 'Principal': {'AWS': _alone(principals)},
                 'Action': _alone([f'SQS:{action}' for action in actions]), 'Resource': call.arn(queue.name)}

    def change(attributes: Given) -> Given:
        policy = attributes.get('_policy') or {
            'Version': '2008-10-17', 'Id': f'{call.arn(queue.name)}/SQSDefaultPolicy', 'Statement': []}
        statements = _statements(policy)
        if any(each.get('Sid') == label for each in statements):
            raise invalid_value(label, 'Label', 'Already exists.')
        policy = policy | {'Statement': [*statements, statement]}
        sqs_attributes.check_policy(policy)
        return attributes | {'_policy': policy}
    queue.configure(change)


def remove_permission(call: Call, given: Given) -> None:
    queue, label = call.queue(given['QueueUrl']), _label(given)

    def change(attributes: Given) -> Given:
        policy = attributes.get('_policy') or {}
        statements = _statements(policy)
        kept = [each for each in statements if each.get('Sid') != label]
        if len(kept) == len(statements):
            raise invalid_value(label, 'Label', "can't find label.")
        others = {name: value for name, value in attributes.items() if name != '_policy'}
        return others | ({'_policy': policy | {'Statement': kept}} if kept else {})
    queue.configure(change)


def _label(given: Given) -> str:
    if not _LABEL.fullmatch(given['Label']):
        raise invalid_value(given['Label'], 'Label', 'Must be alphanumeric characters, hyphens and underscores, 1 to '
                                                     '80 of them.')
    return given['Label']


def _statements(policy: Given) -> list[Given]:
    """Whatever the policy has of them; another door may have written it."""
    statements = policy.get('Statement') or []
    statements = [statements] if isinstance(statements, dict) else statements
    return [each for each in statements if isinstance(each, dict)] if isinstance(statements, list) else []


def _alone(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
