"""Messages that their senders name: such a message keeps its place when it is sent again, and its name finds it.

A name is an object of its own, the *pointer*: it holds the id of a message. Whoever sends a message under a new name
creates the pointer first, on the same condition as a claim is made, and then stores the message under that id. Sent
again, the message is overwritten where it is. So there is one message for each name, whoever sends at the same time:

* Two senders of a new name: one of them creates the pointer, the other one overwrites what it leads to.
* A sender that died in between has left a pointer to nothing. The next one waits a moment for the message, and then has
  it point to a new id, but not before a tombstone lies where the old one leads; so a sender who was only slow stores
  nothing, and begins anew.
* A message that was deleted, acked or has expired leaves a pointer to nothing, too. The janitor removes it by and by.
* Overwriting carries an instant right after that of the message which was read, so it never undoes a deletion. It ends
  whatever claim there is by one of its own, so that no receipt for what was there before is good for what is there
  now. A claimer reads such a message after it has claimed it, and who overwrites it looks for claims after that.

Hidden is what a claim holds. Who knows a message's name may hide, show and delete it, whoever holds it. Unlike other
claims these do not keep a message beyond its ttl.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from swiftqueue import accounts, ids
from swiftqueue.attributes import max_message_size
from swiftqueue.claim_objects import ClaimObjects
from swiftqueue.claims import POP_TTL
from swiftqueue.errors import Invalid, MessageNotFound, QueueError, QueueNotFound, QuotaExceeded, Unavailable
from swiftqueue.head import Entry
from swiftqueue.limits import check_integer, check_size
from swiftqueue.model import Message, NewMessage
from swiftqueue.names import (
    POINTS_TO,
    ClaimState,
    Envelope,
    Record,
    claim_name,
    claims_container,
    message_name,
    parse_envelope,
    pointer_content,
    pointer_headers,
    pointer_name,
)
from swiftqueue.receipts import TOKEN, Receipt
from swiftqueue.single_claims import SingleClaims
from swiftqueue.swift import TICK, GenerationGone, Response

if TYPE_CHECKING:
    from swiftqueue.queues import Account, Queue

MOST = 1000  # messages or queues that one request shows, changes or deletes
MAX_NAME = 255  # bytes of a message's name
ENDLESS = 2 ** 31 - 1  # seconds for which a message lives that has no ttl
_TRIES = 5
_AGAIN = 0.05  # seconds until we look again at what somebody else is doing
_LOOKS = 40


@dataclass(frozen=True)
class Selection:
    """Which messages of a queue: those ``after`` a message, up to a ``limit``, the ``hidden`` ones too or not.

    ``wait`` is for how many seconds to wait for the first one.
    """

    after: str = ''  # the message's name; of one that is not there, from the beginning
    limit: int | None = None
    hidden: bool = False
    wait: int = 0


@dataclass(frozen=True)
class _Pointer:
    """Where a name leads, and since when. Not ``sure``: somebody else may have created one at the same time."""

    id: str
    written_at: float
    sure: bool = True


class NamedMessages(SingleClaims):
    """The messages of a queue by the names that their senders gave them, on behalf of one request.

    A message without a name goes by its id. All verbs raise Invalid, QueueNotFound, Unauthorized, Forbidden and
    Unavailable.
    """

    # -- one message --

    def put(self, name: str, message: NewMessage) -> bool:
        """Send a message, in the place of the one of that name if there is one; whether there was none.

        The queue is created if need be. The message's delay is for how many seconds it is hidden; a ttl of 0 has no
        end. Raises TooLarge, QuotaExceeded.
        """
        self.queue.allow('write')
        _check_name(name)
        self._times(message.ttl, message.delay)

        def put(record: Record) -> bool:
            return self._put(record, name, message)
        try:
            return self.queue.with_generation(put)
        except QueueNotFound:
            self.queue.create()
        try:
            return self.queue.with_generation(put)
        except QueueNotFound:
            raise Unavailable('The queue has just been created and cannot be seen yet.') from None

    def get(self, name: str) -> Message:
        """The message, hidden or not. Raises MessageNotFound."""
        self.queue.allow('read')

        def get(record: Record) -> Message:
            message_id = self._id_of(record, name)
            envelope, _ = self._read(record, message_id)
            delivery, claim = self.queue.messages.last_claim(record, message_id)
            return self.queue.messages.message(message_id, envelope, claim, delivery)
        return self.queue.with_generation(get)

    def change(self, name: str, ttl: int | None = None, hide: int | None = None) -> Message:
        """Set what is not None, from now on, whoever holds the message. A hide of 0 gives it back.

        Raises MessageNotFound.
        """
        self.queue.allow('write')
        ttl, hide = self._times(ttl, hide)
        return self.queue.with_generation(lambda record: self._change(record, self._id_of(record, name), ttl, hide))

    def delete(self, name: str) -> Message:
        """Delete the message, whoever holds it; as it was. Raises MessageNotFound."""
        self.queue.allow('write')
        return self.queue.with_generation(lambda record: self._delete(record, self._id_of(record, name)))

    # -- many --

    def list(self, which: Selection) -> list[Message]:
        """Messages in the order in which they were sent first."""
        self.queue.allow('read')
        after = self.queue.with_generation(lambda record: self._place(record, which.after)) if which.after else ''
        return self.queue.messages.list(
            limit=self._most(which), include_claimed=which.hidden, include_delayed=which.hidden,
            show_claims=True, wait=self._patience(which), after=after, most=MOST).items

    def change_many(self, which: Selection, ttl: int | None = None, hide: int | None = None) -> list[Message]:
        """:meth:`change` of all that are selected. To hide what is not hidden goes to one caller only: a claim."""
        self.queue.allow('write')
        ttl, hide = self._times(ttl, hide)
        if not hide or which.hidden or which.after:
            alone = bool(hide) and not which.hidden
            return self._each(which, lambda record, message: self._change(record, message.id, ttl, hide, alone=alone))

        def claim(record: Record) -> list[Message]:
            found = self._claim_all(record, self._most(which), hide)
            if ttl is None:
                return found
            return self._attempt_all(lambda message: self._change(record, message.id, ttl, None), found)
        return self.engine.waiting.take(
            self.queue, lambda: self.queue.with_generation(claim), self._patience(which), self._most(which),
            undo=lambda found: [self.release(message.claim_id) for message in found]) or []

    def delete_many(self, which: Selection) -> list[Message]:
        """:meth:`delete` of all that are selected. What is not hidden goes to one caller only."""
        self.queue.allow('write')
        if which.hidden:
            return self._each(which, lambda record, message: self._delete(record, message.id))
        if which.after:
            def take(record: Record, message: Message) -> Message:
                self._change(record, message.id, None, POP_TTL, alone=True)
                return self._delete(record, message.id)
            return self._each(which, take)

        def pop(record: Record) -> list[Message]:
            found = self._claim_all(record, self._most(which), POP_TTL)
            errors = self.queue.messages.remove_all(record, [message.id for message in found])
            for message, error in zip(found, errors, strict=True):
                if error:
                    self.swift.logger.warning('swiftqueue: popped message %s will come again: %s', message.id, error)
            return [replace(message, held_until=0) for message in found]
        return self.engine.waiting.take(
            self.queue, lambda: self.queue.with_generation(pop), self._patience(which), self._most(which)) or []

    # -- checks --

    def _times(self, ttl: int | None, hide: int | None) -> tuple[int | None, int | None]:
        if hide is not None:
            check_integer('hide', hide, 0, self.engine.options.max_claim_ttl)
        if ttl is not None:
            check_integer('ttl', ttl, 0, ENDLESS)
            ttl = check_integer('ttl', ttl or ENDLESS, 1, self.engine.options.max_named_message_ttl)
        return ttl, hide

    def _most(self, which: Selection) -> int:
        return MOST if which.limit is None else min(MOST, check_integer('limit', which.limit, 1, ENDLESS))

    def _patience(self, which: Selection) -> int:
        return min(check_integer('wait', which.wait, 0, ENDLESS), self.engine.options.max_wait)

    # -- where names lead --

    def _look_up(self, record: Record, name: str) -> _Pointer | None:
        there = self.swift.head_newest(claims_container(self.queue.name, record.generation), pointer_name(name))
        return there and _pointer(there)

    def _id_of(self, record: Record, name: str) -> str:
        """The id of the message of that name, be it there or not. Raises MessageNotFound."""
        _check_name(name)
        pointer = self._look_up(record, name)
        if pointer is None and not ids.is_id(name):
            raise MessageNotFound('There is no such message.')
        return pointer.id if pointer else name

    def _place(self, record: Record, name: str) -> str:
        """The id behind which a listing begins that goes on after the message; '' if that is not there."""
        try:
            message_id = self._id_of(record, name)
            self._read(record, message_id)
        except (Invalid, MessageNotFound):
            return ''
        return message_id

    def _point(self, record: Record, name: str, lost: _Pointer | None) -> tuple[_Pointer, bool]:
        """The pointer of that name, and whether it is a new one of ours. ``lost`` is one that leads to nothing."""
        container, object_name = claims_container(self.queue.name, record.generation), pointer_name(name)
        gate_name = f'{object_name} {lost.id if lost else ""}'
        entered_at = self.engine.monotonic()
        gate = self.swift.cache.enter_gate(container, gate_name, self.engine.options.gate_seconds)
        if gate is False:
            return self._await_other(record, name, lost), False
        try:
            ours = self._write_pointer(record, container, object_name, name, lost)
        except QueueError:
            self.swift.cache.open_gate(container, gate_name)
            raise
        if ours and gate and self.engine.monotonic() - entered_at <= self.engine.options.confirm_limit:
            return ours, True
        there = self._await_other(record, name, lost)
        return (replace(ours, sure=False), True) if ours and there.id == ours.id else (there, False)

    def _write_pointer(self, record: Record, container: str, object_name: str, name: str,
                       lost: _Pointer | None) -> _Pointer | None:
        """Ours, None if somebody else's is there. What leads to nothing is deleted first, and nothing newer."""
        first = self.engine.random_bits(32) if record.shards > 1 else 0
        message_id, now = self.engine.ids.new(0, first % record.shards), self.engine.clock()
        content = pointer_content(name, message_id)
        headers = pointer_headers(content, message_id)
        if lost:
            now = max(now, lost.written_at + 2 * TICK)
            self.swift.delete(self.queue.shards(record).messages(lost.id), message_name(lost.id), now)
            self.queue.head(record).forget(lost.id, now)
            self.swift.delete_as_of(container, object_name, lost.written_at + TICK)
        status = self.swift.create(container, object_name, content, headers, now)
        if status == 404:
            raise GenerationGone(container)
        if status == 413:
            raise QuotaExceeded('The quota of this account is used up.')
        if status not in (201, 202, 412):
            raise Unavailable(f'Swift answered {status} to a name.')
        return _Pointer(message_id, now) if status == 201 else None

    def _await_other(self, record: Record, name: str, lost: _Pointer | None) -> _Pointer:
        for _ in range(_LOOKS):
            there = self._look_up(record, name)
            if there and (lost is None or there.id != lost.id):
                return there
            self.engine.sleep(_AGAIN)
        raise Unavailable('Somebody else is sending a message of this name.')

    # -- sending --

    def _put(self, record: Record, name: str, message: NewMessage) -> bool:
        if record.fifo:
            raise Invalid('A FIFO queue takes no messages with names of their own.')
        check_size('The message', message.size, max_message_size(record.attributes, self.engine.options))
        own = record.attributes.get
        ttl, hide = self._times(
            (own('_default_message_ttl') or self.engine.options.default_named_message_ttl)
            if message.ttl is None else message.ttl,
            (own('_default_message_delay') or 0) if message.delay is None else message.delay)
        lost = None
        for _ in range(_TRIES):
            pointer, new = self._point(record, name, lost)
            now = self.engine.clock()
            envelope = Envelope(message.body, created_at=now, ttl=ttl, delay=0, expires_at=now + ttl,
                                attributes=message.attributes or {}, name=name)
            store = self._store_first if new else self._overwrite
            stored = store(record, pointer, envelope, hide)
            if not pointer.sure and self._await_other(record, name, None).id != pointer.id:
                self.queue.messages.remove(record, pointer.id)  # there is another one, to which the name leads
            elif stored:
                if record.subscribed_at:
                    self.queue.subscriptions.publish(record, ((pointer.id, replace(stored, name='')),))
                self.queue.ring()
                return new
            else:
                lost = None if new else pointer
        raise Unavailable('Others send and delete messages of this name all the time.')

    def _store_first(self, record: Record, pointer: _Pointer, envelope: Envelope, hide: int) -> Envelope | None:
        """What was stored; None if somebody else has taken the name over, because we were so slow."""
        if hide:
            envelope = replace(envelope, claims_before=1)
            self._start_over(record, pointer.id, 0, hide)
        stored = self._store(record, pointer.id, envelope, pointer.written_at)
        return envelope if stored or self._is_there(record, pointer.id) else None

    def _overwrite(self, record: Record, pointer: _Pointer, envelope: Envelope, hide: int) -> Envelope | None:
        """What was stored; None if the message is gone."""
        there = self._await_message(record, pointer)
        if there is None:
            return None
        last, _ = self.queue.messages.last_claim(record, pointer.id)
        if last or hide:
            envelope = replace(envelope, claims_before=last + 1)
        if self._replace(record, pointer.id, envelope, there):
            self._start_over(record, pointer.id, last, hide)
            return envelope
        return envelope if self._is_there(record, pointer.id) else None

    def _await_message(self, record: Record, pointer: _Pointer) -> Response | None:
        """The message that a pointer leads to; None if it is gone, or its sender has taken too long to store it."""
        container, name = self.queue.shards(record).messages(pointer.id), message_name(pointer.id)
        for _ in range(_LOOKS):
            try:
                return self._read(record, pointer.id)[1]
            except MessageNotFound:
                pass
            if self.engine.clock() - pointer.written_at > self.engine.options.confirm_limit:
                break
            there = self.swift.request('HEAD', container, name, headers={'X-Newest': 'true'})
            if there.status == 404 and there.timestamp:
                break  # a tombstone lies there
            self.engine.sleep(_AGAIN)
        return None

    def _replace(self, record: Record, message_id: str, envelope: Envelope, there: Response) -> bool:
        """Whether the message is stored in the place of what was read, which nobody has deleted or replaced since.

        It carries an instant before that of any deletion, and another one than who does the same will take.
        """
        timestamp = there.timestamp + (1 + self.engine.random_bits(6)) * TICK
        return self._store(record, message_id, envelope, timestamp, there.written_at)

    def _store(self, record: Record, message_id: str, envelope: Envelope, timestamp: float, *others: float) -> bool:
        """Whether it is stored: not where there is something newer than a try of ours and what we know of."""
        return self.queue.messages.store(record, message_id, envelope, timestamp, mine=lambda there: any(
            abs(there.written_at - each) < TICK / 2 for each in (timestamp, *others)))

    def _is_there(self, record: Record, message_id: str) -> bool:
        """Whether somebody who sent at the same time has overwritten at once what we could not store."""
        try:
            self._read(record, message_id)
        except MessageNotFound:
            return False
        return True

    def _start_over(self, record: Record, message_id: str, last: int, hide: int) -> None:
        """End all claims of the message, the last of which has that number or a later one, by one that hides it."""
        objects = ClaimObjects(self.queue, record)
        for _ in range(_TRIES):
            last = objects.last(message_id, last)
            if not (last or hide):
                return
            container, name = objects.container(message_id), claim_name(message_id, last + 1)
            gate, now = self.swift.cache.enter_gate(container, name, self.engine.options.gate_seconds), \
                self.engine.clock()
            receipt = Receipt(message_id, last + 1, self.engine.token_bytes(TOKEN))
            state = ClaimState(receipt.core, hide, 0, renewed_at=now, expires_at=now + hide, keep_until=0,
                               released=not hide, members=((message_id, last + 1, 0),))
            status = gate is not False and objects.create(message_id, last + 1, state, now)
            if status == 201:
                for delivery, there in objects.open(message_id, last):
                    objects.release(message_id, delivery, there)
                self.queue.head(record).learn(message_id, last + 1, state)
                return
            if gate:
                self.swift.cache.open_gate(container, name)
            self.engine.sleep(_AGAIN)
        raise Unavailable('Others claim the message all the time.')

    # -- changing --

    def _read(self, record: Record, message_id: str) -> tuple[Envelope, Response]:
        """Raises MessageNotFound."""
        there = self.swift.get_newest(self.queue.shards(record).messages(message_id), message_name(message_id))
        envelope = there and parse_envelope(json.loads(there.body))
        if envelope is None or self._is_over(record, message_id, envelope):
            raise MessageNotFound('There is no such message.')
        return envelope, there

    def _is_over(self, record: Record, message_id: str, envelope: Envelope) -> bool:
        if self.engine.clock() < envelope.expires_at:
            return False
        _, claim = self.queue.messages.last_claim(record, message_id)
        return claim is None or self.engine.clock() >= claim.keep_until

    def _change(self, record: Record, message_id: str, ttl: int | None, hide: int | None, *,
                alone: bool = False) -> Message:
        """``alone``: not if somebody holds the message. Raises MessageNotFound."""
        envelope, there = self._read(record, message_id)
        if ttl is not None:
            envelope = replace(envelope, ttl=ttl, expires_at=self.engine.clock() + ttl)
        if hide is None:
            delivery, claim = self.queue.messages.last_claim(record, message_id)
        else:
            delivery, claim = self._hide(record, message_id, envelope, hide, alone)
        if ttl is not None and not self._replace(record, message_id, envelope, there):
            raise MessageNotFound('There is no such message any more, or another one of its name.')
        if hide == 0 or ttl is not None:
            self.queue.ring()
        return self.queue.messages.message(message_id, envelope, claim, delivery)

    def _hide(self, record: Record, message_id: str, envelope: Envelope, seconds: int, alone: bool,
              ) -> tuple[int, ClaimState | None]:
        """The message's last claim, which now ends then."""
        objects = ClaimObjects(self.queue, record)
        for _ in range(_TRIES):
            now = self.engine.clock()
            listed, _ = self.queue.messages.last_claim(record, message_id)
            last = objects.last(message_id, listed)
            claims = objects.open(message_id, last)
            live = next((delivery for delivery, there in claims if there.live(now)), 0)
            if live and alone:
                raise MessageNotFound('Somebody else has the message.')
            if not seconds:
                for delivery, there in claims:
                    objects.release(message_id, delivery, there)
                return last, None
            if live:
                old = objects.read_whole(message_id, live)
                new = old and replace(old, ttl=seconds, renewed_at=now, expires_at=now + seconds)
                if new and self._renew_one(record, (message_id, live, 0), old, new):
                    return live, new
            elif state := self._claim_one(record, Entry(message_id, envelope, last, listed_at=now), seconds):
                return last + 1, state
            self.engine.sleep(_AGAIN)
        raise Unavailable('Others claim the message all the time.')

    def _claim_one(self, record: Record, entry: Entry, seconds: int) -> ClaimState | None:
        """The entry's next claim, if it is ours."""
        attempt = self._enter(record, entry, 0)
        return attempt and self._win_each(record, [attempt], seconds, self.engine.clock(), {}) and attempt.state

    def _delete(self, record: Record, message_id: str) -> Message:
        envelope, _ = self._read(record, message_id)
        delivery, claim = self.queue.messages.last_claim(record, message_id)
        self.queue.messages.remove(record, message_id)
        if not envelope.name:  # others read nothing before a first claim
            ClaimObjects(self.queue, record).forestall(message_id)
        return self.queue.messages.message(message_id, envelope, claim, delivery)

    # -- many --

    def _claim_all(self, record: Record, limit: int, seconds: int) -> list[Message]:
        """Up to so many, the oldest first, each by a claim of its own."""
        found: list[Message] = []
        most = self.engine.options.max_messages_per_claim_or_pop
        while len(found) < limit:
            try:
                claims = self._create_each(record, min(most, limit - len(found)), seconds, keep=False)
            except QueueError:
                if not found:
                    raise
                break
            if not claims:
                break
            found += [claim.messages[0] for claim in claims]
        return found

    def _each(self, which: Selection, act: Callable[[Record, Message], Message]) -> list[Message]:
        """What ``act`` makes of those of the selected that it does not find gone."""
        deadline = self.engine.monotonic() + self._patience(which)
        while True:
            left = max(0, int(deadline - self.engine.monotonic()))
            selected = self.list(replace(which, wait=left))
            found = self.queue.with_generation(
                lambda record: self._attempt_all(lambda message: act(record, message), selected))  # noqa: B023
            if found or self.engine.monotonic() >= deadline or not selected:
                return found
            self.engine.sleep(_AGAIN)

    def _attempt_all(self, act: Callable[[Message], Message], messages: list[Message]) -> list[Message]:
        """What ``act`` makes of each but those that are gone. Raises what went wrong if that is all there is."""
        def attempt(message: Message) -> Message | QueueError:
            try:
                return act(message)
            except QueueError as error:
                return error
        results = self.swift.at_most(attempt, messages)
        found = [each for each in results if isinstance(each, Message)]
        errors = [each for each in results if isinstance(each, QueueError) and not isinstance(each, MessageNotFound)]
        if errors and not found:
            raise errors[0]
        return found


def queues_with_messages(account: Account, marker: str = '', limit: int | None = None) -> list[str]:
    """Names of the queues that hold a message, hidden or not, after ``marker``; from the first if that is none of them.

    Raises Invalid, Unauthorized, Forbidden, Unavailable.
    """
    account.swift.authorize('GET', '')
    limit = MOST if limit is None else min(MOST, check_integer('limit', limit, 1, ENDLESS))
    if marker and not _holds_any(account, marker):
        marker = ''
    found: list[str] = []
    while len(found) < limit:
        page = account.queues(marker, MOST, most=MOST)
        names = [info.name for info in page.items]
        held = account.swift.at_most(lambda name: _holds_any(account, name), names)
        found += [name for name, holds in zip(names, held, strict=True) if holds]
        if not page.marker:
            break
        marker = page.marker
    return found[:limit]


def accounts_with_messages(account: Account, marker: str = '', limit: int | None = None) -> list[str]:
    """Names of all accounts that hold a message, as far as they are listed, after ``marker`` as with queues.

    ``account`` is any: its request must be one that may look into all. Raises as :func:`queues_with_messages`.
    """
    limit = MOST if limit is None else min(MOST, check_integer('limit', limit, 1, ENDLESS))
    if marker and not accounts.is_listed(account.swift, marker):
        marker = ''
    holding = (name for name in accounts.listed(account.swift, marker)
               if queues_with_messages(account.other(name), limit=1))
    return list(islice(holding, limit))


def end_queue(queue: Queue) -> None:
    """Have the queue hold nothing any more. What somebody has set of it stays, if anything.

    Raises Unauthorized, Forbidden, Unavailable.
    """
    try:
        record = queue.record()
        if record.attributes or record.subscribed_at:
            queue.purge()
        else:
            queue.delete()
    except QueueNotFound:
        pass


def _holds_any(account: Account, name: str) -> bool:
    try:
        return bool(account.queue(name).named.list(Selection(limit=1, hidden=True)))
    except (Invalid, QueueNotFound):
        return False


def _check_name(name: str) -> None:
    try:
        size = len(name.encode('utf-8'))
    except UnicodeEncodeError:
        raise Invalid('The name of a message must be UTF-8.') from None
    if not 1 <= size <= MAX_NAME:
        raise Invalid(f'The name of a message has 1 to {MAX_NAME} bytes.')


def _pointer(there: Response) -> _Pointer:
    return _Pointer(there.headers[POINTS_TO.lower()], there.timestamp)
