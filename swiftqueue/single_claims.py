"""Claims of one message each, for protocols in which every delivery has a receipt of its own.

The claim objects and the protocol are those of claims.py. Two things are allowed here that a claim of several messages
does not allow: a ttl of 0, and an ack after the claim ran out, if the message was given to nobody else since.
"""

from __future__ import annotations

from dataclasses import replace

from swiftqueue import ids
from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.claims import NEWS, ROUNDS, Claims
from swiftqueue.errors import ClaimNotFound, MessageClaimed, MessageNotFound, Unavailable
from swiftqueue.limits import check_integer
from swiftqueue.model import Claim
from swiftqueue.names import ClaimState, Record
from swiftqueue.receipts import TOKEN, Receipt, verify

_HOLD = 60  # seconds for which a late ack holds the message again while it deletes it


class SingleClaims(Claims):
    """The claims of a queue, on behalf of one request."""

    def create_each(self, limit: int, ttl: int | None = None, *, wait: int | None = None) -> list[Claim]:
        """Claim up to ``limit`` messages, oldest first, each by a claim of its own.

        ``ttl`` and ``wait`` (both in seconds) of None are the queue's defaults. Fewer are claimed, and the wait is
        shorter, where the operator's limits say so. Raises Invalid, QueueNotFound, Unauthorized, Forbidden,
        Unavailable.
        """
        self.queue.allow('write')
        options, attributes = self.engine.options, self.queue.record().attributes
        limit = min(check_integer('limit', limit, 1, 1000), options.max_messages_per_claim_or_pop)
        if ttl is None:
            ttl = min(attributes.get('_default_claim_ttl', options.default_claim_ttl), options.max_claim_ttl)
        check_integer('ttl', ttl, 0, options.max_claim_ttl)
        wait = min(attributes.get('_default_wait') or 0 if wait is None else wait, options.max_wait)
        return self.engine.waiting.take(
            self.queue, lambda: self.queue.with_generation(lambda record: self._create_each(record, limit, ttl)),
            wait, limit, undo=self._give_back) or []

    def _create_each(self, record: Record, limit: int, ttl: int) -> list[Claim]:
        failure = None
        for _ in range(ROUNDS):
            attempts, now = self._admitted(record, limit, ttl), self.engine.clock()
            if not attempts:
                break

            def claim(attempt, now=now) -> None:
                receipt = Receipt(attempt.entry.id, attempt.delivery, self.engine.token_bytes(TOKEN))
                self._try(record, ClaimState(receipt.core, ttl, 0, renewed_at=now, expires_at=now + ttl,
                                             keep_until=0, members=(attempt.member,)), attempt)
            self.swift.at_most(claim, attempts)
            if won := [each for each in attempts if each.state]:
                return [self._claim(each.state, [self.queue.messages.message(
                    each.entry.id, each.envelope, each.state, each.delivery)]) for each in won]
            failure = next((each.error for each in attempts if each.error), failure)
        if failure:
            raise Unavailable(f'No message could be claimed: {failure}')
        return []

    def _give_back(self, claims: list[Claim]) -> None:
        for claim in claims:
            self.release(claim.id)

    def first_claimed_at(self, claim: Claim) -> float:
        """When the message was first delivered in this queue, about: renewals of that claim count as its beginning.

        Raises QueueNotFound, Unavailable.
        """
        deliveries = claim.messages[0].deliveries
        if deliveries <= 1:
            return claim.renewed_at
        receipt = self._receipt(claim.id)

        def read(record: Record) -> float:
            first = ClaimObjects(self.queue, record).read(receipt.message_id, receipt.delivery - deliveries + 1)
            return first.renewed_at if first else claim.renewed_at
        return self.queue.with_generation(read)

    # -- the holder's verbs --

    def ack_one(self, claim_id: str) -> bool:
        """Delete the message that the claim id names; whether it is gone now.

        Where the claim ran out or was released, the message is deleted unless it was delivered again since. Raises
        ReceiptInvalid for what this queue never signed, and the usual.
        """
        self.queue.allow('write')
        return self.queue.with_generation(lambda record: self._ack_one(record, self._receipt(claim_id)))

    def _ack_one(self, record: Record, receipt: Receipt) -> bool:
        message_id, delivery = receipt.message_id, receipt.delivery
        objects, messages = ClaimObjects(self.queue, record), self.queue.messages
        there = objects.read(message_id, delivery)
        if there is None or there.claim != receipt.core:
            if any(messages.read(record, each, newest=True) for each in record.called(message_id)):
                return False
            if ids.available_at(message_id) < record.begun_at + NEWS:
                for each in record.called(message_id):
                    messages.remove(record, each)  # of the generation before, perhaps: see Claims._ack
            return True
        now = self.engine.clock()
        if there.released:
            if objects.successor(message_id, delivery):
                return False
            try:
                messages.delete_unclaimed(message_id)
            except MessageClaimed:
                return False
            return True
        if not there.live(now):
            # Hold it again first: a claimer who is about to take it sees that, or we see the claimer.
            member = message_id, delivery, 0
            held = replace(there, renewed_at=now, expires_at=now + _HOLD, members=(member,))
            if not self._renew_one(record, member, there, held):
                return False
        messages.remove(record, message_id)
        return True

    def renew_one(self, claim_id: str, ttl: int) -> bool:
        """Hide the message for ``ttl`` seconds from now; 0 gives it back. False if the claim is over already.

        Raises Invalid, ReceiptInvalid for what this queue never signed, MessageNotFound if there is no such message
        any more, and the usual.
        """
        self.queue.allow('write')
        check_integer('ttl', ttl, 0, self.engine.options.max_claim_ttl)
        return self.queue.with_generation(lambda record: self._renew_alone(record, claim_id, ttl))

    def _renew_alone(self, record: Record, claim_id: str, ttl: int) -> bool:
        receipt = self._receipt(claim_id)
        if self.queue.messages.read(record, receipt.message_id, newest=True) is None:
            raise MessageNotFound('There is no such message any more.')
        there = ClaimObjects(self.queue, record).read(receipt.message_id, receipt.delivery)
        if there is None or there.claim != receipt.core or not there.live(self.engine.clock()):
            return False
        try:
            if ttl:
                self._renew(record, claim_id, ttl, 0)
            else:
                self._release_all(record, claim_id)
        except ClaimNotFound:
            return False
        return True

    def _receipt(self, claim_id: str) -> Receipt:
        return verify(self.engine.key, *self.queue.key, claim_id)
