r"""Claims: how one message goes to one worker.

The states of a message, and what moves it between them; ``n`` is its delivery number::

                 create: PUT claim n+1 if none
      available ------------------------------> claimed (n+1) --- ack: DELETE message ---> gone
          ^                                       |    |  ^
          |            release: PUT released      |    |__| renew: PUT a later expiry
          |_______________________________________|
                 or the claim's ttl runs out             n+1 > maximum: to the dead-letter queue

A claim object is created once per delivery number with If-None-Match: *. Swift checks that condition some time before
it writes, so two overlapping writers can both be told 201. Hence three guards around the PUT:

* the *gate*, a counter in memcached, lets one writer through per delivery number;
* where the gate cannot speak, the object is read back from all replicas, and its token must be ours;
* a PUT that took longer than the confirm limit counts as lost, for the gate may have opened again.

The PUT carries the instant before the listing that made us try. So if the message was meanwhile acked and its claim
object removed by the janitor, the tombstone is newer and Swift refuses.

An expiring claim has one more race, with its own renewal. The claimer writes n+1 and then reads n; who renews late
writes n and then reads n+1. Whatever the order, at least one of them sees the other and steps back. A claimer that
steps back leaves n+1 as nobody's claim. One that goes on releases n before it delivers, so that every proxy refuses
the receipt of n from then on, whatever its clock says of the ttl. So claim n+1 says something about n only if n is
released; else, as where the claimer died half-way, both count.

A claim may also say that its message is being moved to another queue, see moves.py. Nobody claims such a message by the
next number, but to move it: who finds that claim run out carries the move out.

In a FIFO queue several messages of one group may be delivered at once, and then any of them may come back before the
others are done. As long as one of these, its *mates*, is held, it must not be delivered again. So a claimer looks at
them as it looks at the claim that ran out, and whoever renews late looks at those of the mates, too.

A message that was deleted without a claim must not be claimed from a late row either, and a first claim does not read
the message, or reads it before the claim is there. So such a delete creates claim 1 itself, released from the start:
see Messages.delete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from swiftqueue import ids
from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.dead_letters import bury, is_dead
from swiftqueue.errors import ClaimNotFound, MessageClaimed, QueueError, ReceiptInvalid, Unavailable
from swiftqueue.head import CLOCK_SKEW, Entry, take
from swiftqueue.limits import check_integer
from swiftqueue.locality import count_near
from swiftqueue.messages import delete_at
from swiftqueue.model import Claim, Message
from swiftqueue.moves import finish, is_moving
from swiftqueue.names import (
    ClaimState,
    Envelope,
    Move,
    Record,
    claim_name,
    message_name,
)
from swiftqueue.receipts import TOKEN, Receipt, verify

if TYPE_CHECKING:
    from swiftqueue.queues import Queue

POP_TTL = 60  # seconds after which a message comes back whose pop, or whose move to the dead letters, died half-way
_PASS_OVER = 1  # seconds for which a worker leaves a message alone that it did not get
_PUT_OFF = 5  # and all ephemeral ones, if Swift did not give it one
_MOST_BURIED = 100  # dead messages that one claimer moves before it makes do with what it has
NEWS = 10  # seconds after which every proxy has heard of a new generation
ROUNDS = 10  # tries with other messages before a claimer is told that nothing could be claimed


@dataclass
class Attempt:
    """One message on its way into a claim."""

    entry: Entry
    delivery: int
    gate: bool | None
    entered_at: float  # through the gate, on the monotonic clock
    keep_until: float
    state: ClaimState | None = None  # what its claim object says, once it is ours
    envelope: Envelope | None = None
    error: QueueError | None = None

    @property
    def member(self) -> tuple[str, int, int]:
        """As claim objects list it; 0 where the row did not tell when the message object expires."""
        known = self.entry.envelope
        return (self.entry.id, self.delivery,
                delete_at(max(known.expires_at, self.keep_until)) if known else 0)


class Claims:
    """The claims of a queue, on behalf of one request."""

    def __init__(self, queue: Queue):
        self.queue = queue
        self.engine = queue.engine
        self.swift = queue.swift

    # -- create --

    def create(self, limit: int | None = None, ttl: int | None = None,
               grace: int | None = None, *, wait: int = 0) -> Claim | None:
        """Claim up to ``limit`` messages, oldest first, for ``ttl`` seconds; None if there are none.

        The messages outlive the claim by ``grace`` seconds, whatever their own ttl. ``wait`` is for how many
        seconds to wait for the first message. Raises Invalid, QueueNotFound, Unauthorized, Forbidden, Unavailable.
        """
        self.queue.allow('write')
        limit = self._limit(limit)
        ttl, grace = self._durations(ttl, grace)
        return self.engine.waiting.take(
            self.queue, lambda: self.queue.with_generation(lambda record: self._create(record, limit, ttl, grace)),
            wait, limit, undo=lambda claim: self.release(claim.id))

    def pop(self, limit: int | None = None, *, wait: int = 0) -> list[Message]:
        """Claim and delete at once. What could not be deleted is handed out all the same, and comes again later.

        Raises as :meth:`create`.
        """
        self.queue.allow('write')
        limit = self._limit(limit)
        return self.engine.waiting.take(
            self.queue, lambda: self.queue.with_generation(lambda record: self._pop(record, limit)),
            wait, limit) or []

    def _pop(self, record: Record, limit: int) -> list[Message]:
        claim = self._create(record, limit, POP_TTL, 0)
        if claim is None:
            return []
        for message, error in zip(claim.messages, self.queue.messages.remove_all(
                record, [message.id for message in claim.messages]), strict=True):
            if error:
                self.swift.logger.warning('swiftqueue: popped message %s will come again: %s', message.id, error)
        return claim.messages

    def _limit(self, limit: int | None) -> int:
        most = self.engine.options.max_messages_per_claim_or_pop
        return min(10, most) if limit is None else check_integer('limit', limit, 1, most)

    def _durations(self, ttl: int | None, grace: int | None) -> tuple[int, int]:
        options = self.engine.options
        return (options.default_claim_ttl if ttl is None else check_integer(
                    'ttl', ttl, options.min_claim_ttl, options.max_claim_ttl),
                options.default_claim_grace if grace is None else check_integer(
                    'grace', grace, options.min_claim_grace, options.max_claim_grace))

    def _create(self, record: Record, limit: int, ttl: int, grace: int) -> Claim | None:
        failure = None
        for _ in range(ROUNDS):
            attempts = self._admitted(record, limit, ttl + grace)
            if not attempts:
                break
            first, now = attempts[0], self.engine.clock()
            receipt = Receipt(first.entry.id, first.delivery, self.engine.token_bytes(TOKEN),
                              mixed=any(each.delivery != first.delivery for each in attempts))
            state = ClaimState(receipt.core, ttl, grace, renewed_at=now, expires_at=now + ttl, keep_until=0,
                               members=tuple(each.member for each in attempts))
            self._try_all(record, attempts, lambda attempt: state)  # noqa: B023
            if won := [each for each in attempts if each.state]:
                try:
                    claim = self._settle(record, won, receipt)
                except QueueError:
                    for each in won:
                        self._let_go(record, each, each.state)
                    raise
                count_near(self.queue, record, [each.entry for each in won])
                return claim
            failure = next((each.error for each in attempts if each.error), failure)
        if failure:
            raise Unavailable(f'No message could be claimed: {failure}')
        return None

    def _admitted(self, record: Record, limit: int, seconds: int, *, runs: bool = False) -> list[Attempt]:
        """Up to ``limit`` candidates that nobody else is at, as far as the gate knows. ``runs`` is for :func:`take`."""
        head, source = self.queue.head(record), self.queue.source(record)
        admitted: list[Attempt] = []
        buried = 0
        # In a FIFO queue there may be fewer groups than that; to look for more would be to look through all of it.
        while len(admitted) < (1 if record.fifo else limit) and buried < _MOST_BURIED:
            try:
                entries = take(head, limit - len(admitted), source, runs=runs)
            except QueueError:
                if not admitted:
                    raise
                break  # those at hand are behind the gate already
            if not entries:
                break
            for entry in entries:
                if is_moving(entry) or is_dead(record, entry):
                    buried += 1
                    self._pass_over(entry)
                    if is_moving(entry):
                        finish(self.queue, record, entry)
                    else:
                        bury(self.queue, record, entry, partial(self._win_unseen, record, entry))
                elif record.fifo and self.engine.clock() >= entry.keep_until:
                    buried += 1
                    self.look_at_expired(record, entry)
                elif attempt := self._enter(record, entry, seconds):
                    admitted.append(attempt)
        return admitted

    def _enter(self, record: Record, entry: Entry, seconds: int) -> Attempt | None:
        """An attempt at the entry, None if somebody else makes one."""
        delivery, entered_at = entry.delivery + 1, self.engine.monotonic()
        gate = self.swift.cache.enter_gate(ClaimObjects(self.queue, record).container(entry.id),
                                           claim_name(entry.id, delivery), self.engine.options.gate_seconds)
        if gate is False:
            self._pass_over(entry)
            return None
        keep_until = max(self.engine.clock() + seconds, entry.claim.keep_until if entry.claim else 0)
        return Attempt(entry, delivery, gate, entered_at, keep_until)

    def look_at_expired(self, record: Record, entry: Entry) -> None:
        """Its group goes on once it is gone; while a claim that we have not heard of keeps it, the group waits."""
        self._pass_over(entry)
        try:
            entry.gone = entry.ended = self.queue.messages.read(record, entry.id, newest=True) is None
        except QueueError as error:
            self.swift.logger.warning('swiftqueue: message %s cannot be read: %s', entry.id, error)

    def win_to_move(self, record: Record, entry: Entry, move: Move) -> bool:
        """Whether the entry's next claim is ours and says where the message goes. Raises Unavailable."""
        name = claim_name(entry.id, entry.delivery + 1)
        gate = self.swift.cache.enter_gate(ClaimObjects(self.queue, record).container(entry.id), name,
                                           self.engine.options.gate_seconds)
        if is_dead(record, entry):
            gate = gate and None  # others may bury it, and they do not come through the gate
        return gate is not False and self._win_unseen(record, entry, gate, move)

    def _win_unseen(self, record: Record, entry: Entry, gate: bool | None = None, move: Move | None = None) -> bool:
        """Whether the entry's next claim is ours, which nobody will get to see. Raises Unavailable."""
        now, delivery = self.engine.clock(), entry.delivery + 1
        claim = Receipt(entry.id, delivery, self.engine.token_bytes(TOKEN), mixed=False).core
        state = ClaimState(claim, POP_TTL, 0, renewed_at=now, expires_at=now + POP_TTL, keep_until=0, move=move)
        won = self._win(record, Attempt(entry, delivery, gate, self.engine.monotonic(), 0), state)
        if won:
            entry.delivery, entry.claim = delivery, state
        return won

    def _try_all(self, record: Record, attempts: list[Attempt], state_of: Callable[[Attempt], ClaimState]) -> None:
        """Make each attempt's claim ours if it can be. Nothing is raised: one attempt must not hide the others."""
        room = 2 * len(attempts) <= self.swift.at_once
        self.swift.at_most(lambda each: self._try(record, state_of(each), each, room), attempts)

    def _win_and_read(self, record: Record, attempt: Attempt, state: ClaimState) -> bool:
        """:meth:`_win`, while the message is read."""
        won, attempt.envelope = self.swift.at_most(lambda act: act(), (
            partial(self._win, record, attempt, state), partial(self._read_early, record, attempt.entry.id)))
        return won

    def _read_early(self, record: Record, message_id: str) -> Envelope | None:
        """The message; None if it is to be read again when it is ours."""
        try:
            return self.queue.messages.read(record, message_id)
        except QueueError:
            return None

    def _try(self, record: Record, state: ClaimState, attempt: Attempt, room: bool) -> None:
        entry, state = attempt.entry, replace(state, keep_until=attempt.keep_until)
        try:
            win = self._win_and_read if room and _may_be_read_early(attempt) else self._win
            if win(record, attempt, state):
                entry.delivery, entry.claim = attempt.delivery, state
                attempt.state = state if self._prepare(record, attempt) else None
        except QueueError as error:
            attempt.error = error
            if entry.claim is state:
                self._let_go(record, attempt, state)
        if attempt.state:
            entry.busy_until = 0
            self.queue.head(record).note(entry, self.engine.clock())
        else:
            self._pass_over(entry)
            if attempt.error and record.may_lose(entry.id):
                self._put_off(record, attempt)

    def _put_off(self, record: Record, attempt: Attempt) -> None:
        """Leave all ephemeral messages alone for a while; others are had in their stead, and that is no error."""
        self.swift.logger.warning('swiftqueue: the ephemeral messages of %s are put off: %s',
                                  self.queue.name, attempt.error)
        self.queue.head(record).put_off(self.engine.clock() + _PUT_OFF)
        attempt.error = None

    def _let_go(self, record: Record, attempt: Attempt, state: ClaimState) -> None:
        """Give up what is ours and cannot be handed out; if even that fails, the claim runs out."""
        objects, message_id = ClaimObjects(self.queue, record), attempt.entry.id
        try:
            if self._is_ours(objects, message_id, attempt.delivery, state):
                objects.disown(message_id, attempt.delivery, state, self.engine.clock())
        except QueueError as error:
            self.swift.logger.warning('swiftqueue: message %s is held for nothing: %s', message_id, error)

    def _pass_over(self, entry: Entry) -> None:
        entry.busy_until = self.engine.clock() + _PASS_OVER

    def _win(self, record: Record, attempt: Attempt, state: ClaimState) -> bool:
        """Whether the claim object is now there and ours. Raises Unavailable."""
        objects, entry, delivery = ClaimObjects(self.queue, record), attempt.entry, attempt.delivery
        ran_out = entry.delivery > 0 and not (entry.claim and entry.claim.released)
        if ran_out and not self._over(objects, entry, and_moves=bool(record.fifo and state.move)):
            return False
        mates = self._mates(objects, entry) if record.fifo else []
        if self._held_mate(record, objects, mates):
            self.swift.cache.open_gate(objects.container(entry.id), claim_name(entry.id, delivery))
            return False
        status = objects.create(entry.id, delivery, state, entry.listed_at)
        if status in (202, 412):
            self._learn(objects, entry, delivery)
            return False
        if status != 201:
            if attempt.gate:  # nobody else can have written it, so what landed of it is ours
                self._let_go(record, attempt, state)
            self.swift.cache.open_gate(objects.container(entry.id), claim_name(entry.id, delivery))
            raise Unavailable(f'Swift answered {status} to a claim.')
        if self.engine.monotonic() - attempt.entered_at > self.engine.options.confirm_limit:
            return False
        if attempt.gate is None and not self._is_ours(objects, entry.id, delivery, state):
            return False
        return not (ran_out or mates) or self._supersede(record, attempt, state, mates, ran_out)

    def _mates(self, objects: ClaimObjects, entry: Entry) -> list[tuple[str, int]]:
        """What was delivered along with the entry, by its claims down to the last one that was released.

        Who released or ended that one had seen to those before it.
        """
        mates: dict[str, int] = {}
        delivery = entry.delivery
        while delivery and (there := objects.read_whole(entry.id, delivery)):
            mates |= {mate: number for mate, number in there.mates if mate != entry.id and mate not in mates}
            if there.released:
                break
            delivery -= 1
        return list(mates.items())

    def _held_mate(self, record: Record, objects: ClaimObjects, mates: list[tuple[str, int]], *,
                   end: bool = False) -> ClaimState | None:
        """The claim of a mate that is in flight; if there is none, ``end`` those that ran out."""
        ran_out = []
        for message_id, delivery in mates:
            there = objects.read_whole(message_id, delivery)
            if there is None or there.released:
                continue
            if not there.live(self.engine.clock()):
                ran_out.append((message_id, delivery, there))
            elif self.queue.messages.read(record, message_id, newest=True):
                return there
        for message_id, delivery, there in ran_out if end else ():
            objects.release(message_id, delivery, there)
        return None

    def _over(self, objects: ClaimObjects, entry: Entry, *, and_moves: bool) -> bool:
        """Whether nobody holds the entry, by the claim objects and not by a row that may be late.

        A move that was left half-done is over for whoever tries it anew, and for others when it is finished.
        """
        now = self.engine.clock()
        for _, there in objects.open(entry.id, entry.delivery):
            entry.claim = there
            if there.live(now) or there.move and not and_moves:
                return False
        return True

    def _supersede(self, record: Record, attempt: Attempt, state: ClaimState, mates: list[tuple[str, int]],
                   ran_out: bool) -> bool:
        """End what ran out before our claim came; False, and ours is nobody's, if it was renewed just now."""
        objects, entry, now = ClaimObjects(self.queue, record), attempt.entry, self.engine.clock()
        try:
            before = objects.open(entry.id, entry.delivery) if ran_out else []
            live = next((there for _, there in before if there.live(now)), None) \
                or self._held_mate(record, objects, mates, end=True)
            if live is None:
                for delivery, there in before:
                    objects.release(entry.id, delivery, there)
        except QueueError:
            objects.disown(entry.id, attempt.delivery, state, now)
            raise
        if live:
            objects.disown(entry.id, attempt.delivery, state, live.expires_at)
        return live is None

    def _is_ours(self, objects: ClaimObjects, message_id: str, delivery: int, state: ClaimState) -> bool:
        there = objects.read(message_id, delivery)
        return there is not None and there.claim == state.claim

    def _learn(self, objects: ClaimObjects, entry: Entry, delivery: int) -> None:
        """Somebody else's claim is there, or was; without its row we would run into it again and again."""
        there = objects.read(entry.id, delivery)
        if there is None:
            entry.gone = True  # the janitor removes a claim only after the ack
        else:
            entry.delivery, entry.claim = delivery, there

    def _prepare(self, record: Record, attempt: Attempt) -> bool:
        """Have the message itself at hand, for as long as the claim promises; False if it is gone."""
        entry, envelope = attempt.entry, attempt.entry.envelope
        newest = attempt.delivery > 1 or bool(envelope and envelope.name)
        if newest or not _shown(envelope):
            envelope = attempt.envelope or self.queue.messages.read(record, entry.id, newest=newest)
            if envelope and envelope.name and not newest:  # its sender may change it, and the row had not told
                envelope = self.queue.messages.read(record, entry.id, newest=True)
            if envelope and attempt.delivery == 1 and envelope.expires_at <= self.engine.clock():
                envelope = None  # Swift keeps it to the end of the second
        if envelope is not None and attempt.keep_until > envelope.expires_at \
                and not self._extend(record, entry.id, delete_at(attempt.keep_until)):
            envelope = None
        attempt.envelope, entry.gone = envelope, envelope is None
        return envelope is not None

    def _extend(self, record: Record, message_id: str, until: int) -> bool:
        return self.swift.extend(self.queue.shards(record).messages(message_id), message_name(message_id), until)

    def _settle(self, record: Record, won: list[Attempt], receipt: Receipt) -> Claim:
        """Make the stored claims say exactly who won what, where that is not what was tried."""
        first = won[0]
        final = replace(receipt, message_id=first.entry.id, delivery=first.delivery,
                        mixed=any(each.delivery != first.delivery for each in won))
        members = tuple(each.member for each in won)
        objects = ClaimObjects(self.queue, record)
        for each in won:
            wanted = replace(each.state, claim=final.core, members=members)
            if each.state.claim != wanted.claim or each is first and each.state.members != members:
                if not objects.write(each.entry.id, each.delivery, wanted, each.state.claim):
                    raise Unavailable('A claim was overwritten while it was made.')
                each.state = each.entry.claim = wanted
        return self._claim(first.state, [
            self.queue.messages.message(each.entry.id, each.envelope, each.state, each.delivery)
            for each in won])

    # -- the holder's verbs --

    def get(self, claim_id: str) -> Claim:
        """The claim and those of its messages that are not acked. Raises ClaimNotFound and the usual."""
        self.queue.allow('write')
        return self.queue.with_generation(lambda record: self._get(record, claim_id))

    def _get(self, record: Record, claim_id: str) -> Claim:
        state = self._named(record, claim_id)
        envelopes = self.swift.at_most(
            lambda member: self.queue.messages.read(record, member[0], newest=True), state.members)
        return self._claim(state, [
            self.queue.messages.message(message_id, envelope, state, delivery)
            for (message_id, delivery, _), envelope in zip(state.members, envelopes, strict=True) if envelope])

    def renew(self, claim_id: str, ttl: int | None = None, grace: int | None = None) -> None:
        """Let the claim run for ``ttl`` seconds from now. Raises Invalid, ClaimNotFound and the usual."""
        self.queue.allow('write')
        ttl, grace = self._durations(ttl, grace)
        self.queue.with_generation(lambda record: self._renew(record, claim_id, ttl, grace))

    def _renew(self, record: Record, claim_id: str, ttl: int, grace: int) -> None:
        old = self._named(record, claim_id)
        now = self.engine.clock()
        keep_until = max(old.keep_until, now + ttl + grace)
        members = self.swift.at_most(lambda member: self._keep(record, member, keep_until), old.members)
        new = replace(old, ttl=ttl, grace=grace, renewed_at=now, expires_at=now + ttl, keep_until=keep_until,
                      members=tuple(members))
        kept = self.swift.at_most(lambda member: self._renew_one(record, member, old, new), members)
        if not all(kept):
            raise ClaimNotFound('The claim ran out before it could be renewed.')

    def _keep(self, record: Record, member: tuple[str, int, int], keep_until: float) -> tuple[str, int, int]:
        """Have the message object outlive the claim; what is acked needs nothing."""
        message_id, delivery, until = member
        if not until:
            envelope = self.queue.messages.read(record, message_id, newest=True)
            until = delete_at(envelope.expires_at) if envelope else delete_at(keep_until)
        if until < delete_at(keep_until):
            until = delete_at(keep_until)
            self._extend(record, message_id, until)
        return message_id, delivery, until

    def _renew_one(self, record: Record, member: tuple[str, int, int], old: ClaimState, new: ClaimState) -> bool:
        objects, (message_id, delivery, _) = ClaimObjects(self.queue, record), member
        if not objects.write(message_id, delivery, new, old.claim):
            return False
        late = self.engine.clock() >= old.expires_at - CLOCK_SKEW
        # In this order: a claimer that ended ours may have given up its own by now, but not before it ended ours.
        if late and (objects.successor(message_id, delivery) or not self._holds(objects, message_id, delivery, old)
                     or any(objects.successor(*mate) for mate in old.mates if mate[0] != message_id)):
            objects.release(message_id, delivery, new)
            return False
        return True

    def _holds(self, objects: ClaimObjects, message_id: str, delivery: int, state: ClaimState) -> bool:
        there = objects.read(message_id, delivery)
        return there is not None and there.claim == state.claim and not there.released

    def release(self, claim_id: str) -> None:
        """Give the messages back at once; a claim that is over already is no error. Raises the usual."""
        self.queue.allow('write')
        self.queue.with_generation(lambda record: self._release_all(record, claim_id))

    def _release_all(self, record: Record, claim_id: str) -> None:
        try:
            state = self._named(record, claim_id)
        except ClaimNotFound:
            return
        objects = ClaimObjects(self.queue, record)
        # The one that the claim id names goes last: until then, the same call can be made again.
        named, *others = state.members
        self.swift.at_most(lambda member: objects.release(member[0], member[1], state), others)
        objects.release(named[0], named[1], state)
        self.queue.ring()

    def ack(self, message_id: str, claim_id: str) -> None:
        """The work is done: delete the message. One that is gone already is no error.

        Raises ReceiptInvalid if the claim is not, or no longer, one of this message; MessageClaimed if somebody
        else holds it; and the usual.
        """
        self.queue.allow('write')
        if ids.is_id(message_id):
            self.queue.with_generation(lambda record: self._ack(record, message_id, claim_id))

    def _ack(self, record: Record, message_id: str, claim_id: str) -> None:
        receipt = verify(self.engine.key, *self.queue.key, claim_id)
        delivery = receipt.delivery
        if receipt.mixed and receipt.message_id != message_id:
            # The claim's own object knows the number for sure; a row of this message's claim may be late.
            whole = ClaimObjects(self.queue, record).read_whole(receipt.message_id, delivery)
            members = whole.members if whole and whole.claim == receipt.core else ()
            delivery = next((number for member, number, _ in members if member == message_id), 0)
        there = ClaimObjects(self.queue, record).read(message_id, delivery) if delivery else None
        if there and there.claim == receipt.core and there.live(self.engine.clock()):
            self.queue.messages.remove(record, message_id)
            return
        for each in record.called(message_id):
            if self.queue.messages.read(record, each, newest=True):
                _, last = self.queue.messages.last_claim(record, each)
                if last and last.live(self.engine.clock()):
                    raise MessageClaimed('Another claim holds the message.')
                raise ReceiptInvalid('The claim does not hold this message, or holds it no longer.')
        if ids.available_at(message_id) < record.begun_at + NEWS:
            # It may have been claimed in the generation before, from where the janitor moves it here. Its tombstone
            # is newer than what is moved.
            for each in record.called(message_id):
                self.queue.messages.remove(record, each)

    def _named(self, record: Record, claim_id: str) -> ClaimState:
        """The state of a claim that runs, with its members. Raises ClaimNotFound."""
        try:
            receipt = verify(self.engine.key, *self.queue.key, claim_id)
        except ReceiptInvalid:
            raise ClaimNotFound('There is no such claim.') from None
        state = ClaimObjects(self.queue, record).read_whole(receipt.message_id, receipt.delivery)
        if state is None or state.claim != receipt.core or not state.live(self.engine.clock()):
            raise ClaimNotFound('There is no such claim, or it has run out.')
        return state

    def _claim(self, state: ClaimState, messages: list[Message]) -> Claim:
        return Claim(self.queue.sign(state.claim), state.ttl, state.grace, state.renewed_at, state.expires_at,
                     messages)


def _may_be_read_early(attempt: Attempt) -> bool:
    """Whether to read the message before its claim is there: in a first delivery a row is believed, which is older."""
    return attempt.delivery == 1 and not _shown(attempt.entry.envelope)


def _shown(envelope: Envelope | None) -> bool:
    """Whether the message's row shows all of it."""
    return envelope is not None and envelope.complete
