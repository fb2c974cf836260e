"""What can go wrong in Amazon SQS's words: one table of names, codes and statuses, and what the engine's errors are."""

from __future__ import annotations

from dataclasses import dataclass

from swiftqueue.errors import (
    Forbidden,
    Invalid,
    MoveTaskNotFound,
    MoveTaskOver,
    MoveTaskRunning,
    NoDeadLetterQueue,
    QueueError,
    QueueNotFound,
    QuotaExceeded,
    ReceiptInvalid,
    TooLarge,
    Unauthorized,
    Unavailable,
)

from .frontend import SlowBody

_SQS = 'com.amazonaws.sqs#'  # shapes of the service's model
_CORAL = 'com.amazon.coral.service#'  # those of Amazon's framework
_LEGACY = 'AWS.SimpleQueueService.'


@dataclass(frozen=True)
class Kind:
    """``shape`` is the JSON protocol's ``__type``, ``code`` the Query protocol's and that of failed batch entries."""

    shape: str
    code: str
    status: int

    @property
    def fault(self) -> str:
        return 'Sender' if self.status < 500 else 'Receiver'


def _same(name: str, status: int = 400) -> Kind:
    return Kind(_SQS + name, name, status)


def _legacy(name: str, status: int = 400) -> Kind:
    return Kind(_SQS + name, _LEGACY + name, status)


def _coral(shape: str, code: str, status: int = 400) -> Kind:
    return Kind(_CORAL + shape, code, status)


KINDS: dict[str, Kind] = {
    'QueueDoesNotExist': Kind(_SQS + 'QueueDoesNotExist', _LEGACY + 'NonExistentQueue', 400),
    'QueueNameExists': Kind(_SQS + 'QueueNameExists', 'QueueAlreadyExists', 400),
    **{name: _legacy(name) for name in (
        'BatchEntryIdsNotDistinct', 'BatchRequestTooLong', 'EmptyBatchRequest', 'InvalidBatchEntryId',
        'TooManyEntriesInBatchRequest', 'UnsupportedOperation')},
    'PurgeQueueInProgress': _legacy('PurgeQueueInProgress', 403),
    **{name: _same(name) for name in (
        'InvalidAttributeName', 'InvalidAttributeValue', 'InvalidMessageContents', 'ReceiptHandleIsInvalid')},
    'OverLimit': _same('OverLimit', 403),
    'InvalidAddress': _same('InvalidAddress', 404),
    'ResourceNotFound': _same('ResourceNotFoundException', 404),
    'InvalidParameterValue': _coral('InvalidParameterValueException', 'InvalidParameterValue'),
    'MissingParameter': _coral('MissingRequiredParameterException', 'MissingParameter'),
    'AccessDenied': _coral('AccessDeniedException', 'AccessDenied', 403),
    'MissingAction': _coral('MissingActionException', 'MissingAction'),
    'InvalidAction': _coral('UnknownOperationException', 'InvalidAction'),
    'UnknownOperation': _coral('UnknownOperationException', 'UnknownOperationException', 404),
    'Serialization': _coral('SerializationException', 'MalformedQueryString'),
    # -- of authentication --
    'MissingAuthenticationToken': _coral('MissingAuthenticationTokenException', 'MissingAuthenticationToken', 403),
    'IncompleteSignature': _coral('IncompleteSignatureException', 'IncompleteSignature', 403),
    'InvalidClientTokenId': _coral('UnrecognizedClientException', 'InvalidClientTokenId', 403),
    'SignatureDoesNotMatch': _coral('InvalidSignatureException', 'SignatureDoesNotMatch', 403),
    'RequestExpired': _coral('RequestExpiredException', 'RequestExpired', 403),
    # -- of the service --
    'RequestTooLarge': _coral('RequestEntityTooLargeException', 'RequestEntityTooLarge', 413),
    'RequestTimeout': _coral('RequestTimeoutException', 'RequestTimeout', 408),
    'InternalError': _coral('InternalFailure', 'InternalError', 500),
    'ServiceUnavailable': _coral('ServiceUnavailableException', 'ServiceUnavailable', 503),
}

# Looked up along the class's bases.
_OF_ENGINE: dict[type, str] = {
    QueueNotFound: 'QueueDoesNotExist',
    MoveTaskNotFound: 'ResourceNotFound',
    MoveTaskOver: 'InvalidParameterValue',
    MoveTaskRunning: 'InvalidParameterValue',
    NoDeadLetterQueue: 'InvalidParameterValue',
    ReceiptInvalid: 'ReceiptHandleIsInvalid',
    Forbidden: 'AccessDenied',
    Unauthorized: 'AccessDenied',
    QuotaExceeded: 'OverLimit',
    TooLarge: 'RequestTooLarge',
    SlowBody: 'RequestTimeout',
    Invalid: 'InvalidParameterValue',
    Unavailable: 'ServiceUnavailable',
    BaseException: 'InternalError',
}

_TEXTS = {
    'QueueDoesNotExist': 'The specified queue does not exist.',
    'AccessDenied': 'Access to the resource is denied.',
    'InternalError': 'We encountered an internal error. Please try again.',
}


class SqsError(QueueError):
    """An error of Amazon SQS; ``name`` is its key in :data:`KINDS`."""

    def __init__(self, name: str, text: str):
        super().__init__(text)
        self.name = name

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]


def invalid_value(value: object, parameter: str, reason: str) -> SqsError:
    """What SQS says of a parameter's value."""
    return SqsError('InvalidParameterValue', f'Value {value} for parameter {parameter} is invalid. Reason: {reason}')


def missing(parameter: str) -> SqsError:
    return SqsError('MissingParameter', f'The request must contain the parameter {parameter}.')


def no_queue() -> SqsError:
    return SqsError('QueueDoesNotExist', _TEXTS['QueueDoesNotExist'])


def translated(error: BaseException) -> SqsError:
    """The error as SQS would have it, whatever was raised."""
    if isinstance(error, SqsError):
        return error
    name = next(_OF_ENGINE[base] for base in type(error).__mro__ if base in _OF_ENGINE)
    return SqsError(name, _TEXTS.get(name) or str(error))
