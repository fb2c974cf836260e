"""Claims of one message each, for protocols in which every delivery has a receipt of its own.

The claim objects and the protocol are those of claims.py. Two things are allowed here that a claim of several messages
does not allow: a ttl of 0, and an ack after the claim ran out, if the message was given to nobody else since.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, takewhile

from swiftqueue import ids
from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.claims import NEWS, ROUNDS, Attempt, Claims
from swiftqueue.dead_letters import is_dead
from swiftqueue.errors import ClaimNotFound, MessageClaimed, MessageNotFound, ReceiptExpired, Unavailable
from swiftqueue.head import Entry
from swiftqueue.limits import check_integer
from swiftqueue.locality import count_near
from swiftqueue.model import Claim
from swiftqueue.names import ClaimState, Record
from swiftqueue.receipts import TOKEN, Receipt, verify

Mates = dict[str, tuple[tuple[str, int], ...]]  # by message: see ClaimState

_HOLD = 60  # seconds for which a late ack holds the message again while it deletes it


class SingleClaims(Claims):
    """The claims of a queue, on behalf of one request."""

    def create_each(self, limit: int, ttl: int | None = None, *, wait: int | None = None,
                    attempt: str = '') -> list[Claim]:
        """Claim up to ``limit`` messages, oldest first, each by a claim of its own.

        ``ttl`` and ``wait`` (both in seconds) of None are the queue's defaults. Fewer are claimed, and the wait is
        shorter, where the operator's limits say so. From a FIFO queue there may be several messages of one group, in
        order; then whoever repeats his ``attempt`` is given the same claims again. Raises Invalid, QueueNotFound,
        Unauthorized, Forbidden, Unavailable.
        """
        self.queue.allow('write')
        options, attributes = self.engine.options, self.queue.record().attributes
        limit = min(check_integer('limit', limit, 1, 1000), options.max_messages_per_claim_or_pop)
        if ttl is None:
            ttl = min(attributes.get('_default_claim_ttl', options.default_claim_ttl), options.max_claim_ttl)
        check_integer('ttl', ttl, 0, options.max_claim_ttl)
        wait = min(attributes.get('_default_wait') or 0 if wait is None else wait, options.max_wait)
        if attempt and (again := self._repeated(attempt, ttl)):
            return again
        claims = self.engine.waiting.take(
            self.queue, lambda: self.queue.with_generation(lambda record: self._create_each(record, limit, ttl)),
            wait, limit, undo=self._give_back) or []
        if attempt and claims:
            self._remember(attempt, claims)
        return claims

    def _create_each(self, record: Record, limit: int, ttl: int, *, keep: bool = True) -> list[Claim]:
        """``keep``: whether the messages outlive their claims."""
        failure = None
        for _ in range(ROUNDS):
            attempts, now = self._admitted(record, limit, ttl if keep else 0, runs=True), self.engine.clock()
            if not attempts:
                break
            won = self._win_runs(record, attempts, limit, ttl, now) if record.fifo else \
                self._win_each(record, attempts, ttl, now, {})
            if won:
                count_near(self.queue, record, [each.entry for each in won])
                return [self._claim(each.state, [self.queue.messages.message(
                    each.entry.id, each.envelope, each.state, each.delivery)]) for each in won]
            failure = next((each.error for each in attempts if each.error), failure)
        if failure:
            raise Unavailable(f'No message could be claimed: {failure}')
        return []

    def _win_each(self, record: Record, attempts: list[Attempt], ttl: int, now: float, mates: Mates) -> list[Attempt]:
        """Those of the attempts whose claims are ours now."""
        def state_of(attempt: Attempt) -> ClaimState:
            receipt = Receipt(attempt.entry.id, attempt.delivery, self.engine.token_bytes(TOKEN))
            return ClaimState(receipt.core, ttl, 0, renewed_at=now, expires_at=now + ttl, keep_until=0,
                              members=(attempt.member,), mates=mates.get(attempt.entry.id, ()))
        self._try_all(record, attempts, state_of)
        return [each for each in attempts if each.state]

    def _win_runs(self, record: Record, firsts: list[Attempt], limit: int, ttl: int, now: float) -> list[Attempt]:
        """The first messages of some groups, and up to the limit of what follows them.

        Once the first one is ours nobody else tries for those that follow. None is had whose forerunner is not.
        """
        head, room = self.queue.head(record), limit - len(firsts)
        following: dict[str, list[Entry]] = {}
        mates: Mates = {}
        for first in firsts:
            entries = list(takewhile(lambda entry: not is_dead(record, entry),
                                     head.following(first.entry, now, room)))
            room -= len(entries)
            following[first.entry.id] = entries
            run = tuple((entry.id, entry.delivery + 1) for entry in (first.entry, *entries))
            mates |= dict.fromkeys((each for each, _ in run), run if entries else ())
        runs = [[first] for first in self._win_each(record, firsts, ttl, now, mates)]
        for run in runs:
            for entry in following[run[0].entry.id]:
                # The claim of the first one names the others, so it must be these deliveries.
                attempt = (entry.id, entry.delivery + 1) in mates[entry.id] and self._enter(record, entry, ttl)
                if not attempt:
                    break
                run.append(attempt)
        self._win_each(record, [attempt for run in runs for attempt in run[1:]], ttl, now, mates)
        for run in runs:
            had = len(list(takewhile(lambda attempt: attempt.state, run)))
            for attempt in run[had:]:
                if attempt.state:
                    self._let_go(record, attempt, attempt.state)
            del run[had:]
        return list(chain.from_iterable(runs))

    def _repeated(self, attempt: str, ttl: int) -> list[Claim]:
        """The claims that the attempt was answered with, from now on; none if any of them was touched since."""
        def claim(record: Record) -> list[Claim]:
            claims = []
            for claim_id, renewed_at in self.swift.cache.attempt(self.queue.name, attempt) or ():
                claim = self._get(record, claim_id)
                if claim.renewed_at != renewed_at or not claim.messages:
                    return []
                claims.append(claim)
            for number, claim in enumerate(claims):
                if ttl:
                    self._renew(record, claim.id, ttl, 0)
                    claims[number] = self._get(record, claim.id)
            return claims
        try:
            claims = self.queue.with_generation(claim)
        except ClaimNotFound:
            return []
        if claims:
            self._remember(attempt, claims)
        return claims

    def _remember(self, attempt: str, claims: list[Claim]) -> None:
        self.swift.cache.set_attempt(self.queue.name, attempt, [(claim.id, claim.renewed_at) for claim in claims])

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

        Where the claim ran out or was released, the message is deleted unless it was delivered again since; in a FIFO
        queue ReceiptExpired is raised. Raises ReceiptInvalid for what this queue never signed, and the usual.
        """
        self.queue.allow('write')
        return self.queue.with_generation(lambda record: self._ack_one(record, self._receipt(claim_id)))

    def _ack_one(self, record: Record, receipt: Receipt) -> bool:
        message_id, delivery = receipt.message_id, receipt.delivery
        objects, messages = ClaimObjects(self.queue, record), self.queue.messages
        there = objects.read(message_id, delivery)
        if there is None or there.claim != receipt.core:
            if any(messages.read(record, each, newest=True) for each in record.called(message_id)):
                if record.fifo:
                    raise ReceiptExpired('The receipt has expired.')
                return False
            if ids.available_at(message_id) < record.begun_at + NEWS:
                for each in record.called(message_id):
                    messages.remove(record, each)  # of the generation before, perhaps: see Claims._ack
            return True
        now = self.engine.clock()
        if record.fifo and not there.live(now):
            if messages.read(record, message_id, newest=True):
                raise ReceiptExpired('The receipt has expired.')
            return True
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
        any more, or in a FIFO queue if the claim is over, and the usual.
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
            return self._over_already(record)
        try:
            if ttl:
                self._renew(record, claim_id, ttl, 0)
            else:
                self._release_all(record, claim_id)
        except ClaimNotFound:
            return self._over_already(record)
        return True

    def _over_already(self, record: Record) -> bool:
        if record.fifo:
            raise MessageNotFound('The claim is over.')
        return False

    def _receipt(self, claim_id: str) -> Receipt:
        return verify(self.engine.key, *self.queue.key, claim_id)
