"""What can go wrong, in the queue's own words.

The engine raises these and nothing else; each door owns one table from them to its wire errors. Errors are coarse on
purpose: there is a class of its own only where a caller would act differently.
"""


class QueueError(Exception):
    """Root of everything the engine raises."""


class Unauthorized(QueueError):
    """The request carries no credentials that the cluster knows."""


class Forbidden(QueueError):
    """The credentials are good, the right is missing."""


class NotFound(QueueError):
    """What was asked for does not exist."""


class QueueNotFound(NotFound):
    """No queue of that name in this account."""


class MessageNotFound(NotFound):
    """No such message: never posted, acked, or past its ttl."""


class ClaimNotFound(NotFound):
    """No such claim: forged, released, or run out."""


class SubscriptionNotFound(NotFound):
    """No such subscription: never made, deleted, or past its ttl."""


class SubscriptionExists(QueueError):
    """Another subscription of the queue has this subscriber, and it is confirmed."""


class DefinitionNotFound(NotFound):
    """The operator has defined no such pool or flavor."""


class AttributeNotFound(NotFound):
    """The queue has no attribute of that name."""


class MoveTaskNotFound(NotFound):
    """The queue has no move task of that id."""


class MoveTaskOver(QueueError):
    """The move task has come to its end already, or is being cancelled."""


class MoveTaskRunning(QueueError):
    """The messages of the queue are being moved already."""


class NoDeadLetterQueue(QueueError):
    """No queue sends its dead letters here, so they cannot be moved back from here."""


class PoolInUse(QueueError):
    """A flavor has the pool, so it cannot go."""


class PolicyTaken(QueueError):
    """Another pool has the storage policy already."""


class MessageClaimed(QueueError):
    """Somebody holds a claim on the message, and the caller did not show it."""


class ReceiptInvalid(QueueError):
    """The receipt is forged, stale, released, or of another message."""


class ReceiptExpired(ReceiptInvalid):
    """The receipt was good, and its time is over; in a FIFO queue it is of no use then."""


class Invalid(QueueError):
    """The caller sent something that no retry will make right."""


class TooLarge(Invalid):
    """More bytes than a limit allows, which is ``most`` where that is known."""

    def __init__(self, what: str, most: int = 0):
        super().__init__(what)
        self.most = most


class QuotaExceeded(QueueError):
    """The account or container quota of the cluster refuses more data."""


class Unavailable(QueueError):
    """The cluster could not do it now; the same request may work in a moment."""
