"""The door of Amazon SQS: who asks, for which action, and how the answer is written.

It serves what the filter ``sqsapi`` has claimed, once the auth filter has seen it. The handlers are in
:mod:`sqs_queues`, :mod:`sqs_permissions`, :mod:`sqs_messages` and :mod:`sqs_move_tasks`; an action without one is not
offered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from eventlet import Timeout

from swiftqueue.errors import QueueError, Unauthorized, Unavailable
from swiftqueue.queues import Engine

from . import connection, identity, locality, sqs_messages, sqs_move_tasks, sqs_permissions, sqs_queues
from .frontend import Request
from .sqs_call import Call
from .sqs_errors import SqsError, translated
from .sqs_format import Json, Query, Written, dialect_of
from .sqs_signature import SignedRequest
from .sqs_table import ACTIONS

SIGNED = 'swiftqueue.sqs'  # in the environ: the request as it was signed

HANDLERS: dict[str, Callable[[Call, dict[str, Any]], dict[str, Any] | None]] = {
    'AddPermission': sqs_permissions.add_permission,
    'CancelMessageMoveTask': sqs_move_tasks.cancel_message_move_task,
    'ChangeMessageVisibility': sqs_messages.change_visibility,
    'ChangeMessageVisibilityBatch': sqs_messages.change_visibility_batch,
    'CreateQueue': sqs_queues.create_queue,
    'DeleteMessage': sqs_messages.delete_message,
    'DeleteMessageBatch': sqs_messages.delete_message_batch,
    'DeleteQueue': sqs_queues.delete_queue,
    'GetQueueAttributes': sqs_queues.get_queue_attributes,
    'GetQueueUrl': sqs_queues.get_queue_url,
    'ListDeadLetterSourceQueues': sqs_queues.list_dead_letter_source_queues,
    'ListMessageMoveTasks': sqs_move_tasks.list_message_move_tasks,
    'ListQueueTags': sqs_queues.list_queue_tags,
    'ListQueues': sqs_queues.list_queues,
    'PurgeQueue': sqs_queues.purge_queue,
    'ReceiveMessage': sqs_messages.receive_message,
    'RemovePermission': sqs_permissions.remove_permission,
    'SendMessage': sqs_messages.send_message,
    'SendMessageBatch': sqs_messages.send_message_batch,
    'SetQueueAttributes': sqs_queues.set_queue_attributes,
    'StartMessageMoveTask': sqs_move_tasks.start_message_move_task,
    'TagQueue': sqs_queues.tag_queue,
    'UntagQueue': sqs_queues.untag_queue,
}


class Door:
    """A WSGI app; ``app`` is the rest of the pipeline."""

    def __init__(self, app: Callable, engine: Engine, logger: logging.Logger):
        self.app = app
        self.engine = engine
        self.logger = logger

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> list[bytes]:
        signed: SignedRequest = environ[SIGNED]
        dialect, request_id = dialect_of(signed.request, signed.body), environ.get('swift.trans_id', '-')
        try:
            written = self._answer(environ, signed, dialect, request_id)
        except QueueError as error:
            if isinstance(error, Unavailable):
                self.logger.warning('swiftqueue: %s (%s): %s', signed.request.path, request_id, error)
            written = dialect.error(translated(error), request_id)
        except (Exception, Timeout) as error:
            self.logger.exception('swiftqueue: %s (%s): %s', signed.request.path, request_id, error)
            written = dialect.error(translated(error), request_id)
        return send(written, signed.request, start_response)

    def _answer(self, environ: dict[str, Any], signed: SignedRequest, dialect: Json | Query,
                request_id: str) -> Written:
        call = self._begin(environ, signed)
        name = dialect.action
        action, handle = ACTIONS.get(name), HANDLERS.get(name)
        if action is None:
            raise SqsError('InvalidAction', f'The action {name} is not valid for this endpoint.')
        if handle is None:
            raise SqsError('UnsupportedOperation', f'The action {name} is not offered here.')
        given = dialect.parameters(action.takes)
        result = handle(call.addressed(given), given)
        return dialect.result(name, action, result or {}, request_id)

    def _begin(self, environ: dict[str, Any], signed: SignedRequest) -> Call:
        """The call, once it is sure who makes it."""
        engine, options = self.engine, self.engine.options
        if signed.verified is False:
            raise SqsError('SignatureDoesNotMatch', 'The request signature we calculated does not match the signature '
                                                    'you provided. Check your secret key and signing method.')
        unknown = SqsError('InvalidClientTokenId', 'The security token included in the request is invalid.')
        if signed.verified is None:
            raise unknown  # whoever the environ speaks of, nobody has checked this signature
        try:
            project = identity.project_of(environ, None, options)
        except Unauthorized:
            raise unknown from None
        account = identity.account_of(environ, project, options)
        return Call(signed, engine, engine.account(self.app, environ, account, self.logger,
                                                   partial(connection.given_up, environ),
                                                   locality.claimer_of(signed.request, environ, options)))


def send_error(error: QueueError, environ: dict[str, Any], request: Request, body: bytes,
               start_response: Callable) -> list[bytes]:
    """What a filter answers in the place of the door."""
    written = dialect_of(request, body).error(translated(error), environ.get('swift.trans_id', '-'))
    return send(written, request, start_response)


def send(written: Written, request: Request, start_response: Callable) -> list[bytes]:
    status, headers, body = written
    start_response(f'{status} {HTTPStatus(status).phrase}',
                   [*headers.items(), ('Content-Length', str(len(body)))])
    return [body]
