"""What was asked of a queue and what it answered, as a log, and whether the queue kept its promises.

Each line of the log is one event as JSON. An operation has two: its invocation, taken before the request leaves, and
its answer, taken after it is complete. An operation without an answer may or may not have been done.

===============  ===========================  =========================================================================
key              on                           meaning
===============  ===========================  =========================================================================
``id``           every event                  number of the operation, the same in its invocation and its answer
``phase``        every event                  ``invoke``, then ``ok`` (done), ``fail`` (surely not done) or ``info``
                                              (nobody knows: a timeout, a 5xx, a lost reply)
``time``         every event                  seconds on one clock; equal times prove nothing, so it should always rise
``op``           ``invoke``                   ``post``, ``claim``, ``pop``, ``ack``, ``renew``, ``release`` or ``drain``
``value``        ``invoke`` of post, ack      the message, named by its payload; no two posts have the same
``ttl``          ``invoke`` of post, claim,   seconds
                 renew
``limit``        ``invoke`` of pop            how many messages at most
``receipt``      ``invoke`` of ack, renew,    the claim that is meant
                 release
``messages``     ``ok`` of claim, pop         a list of ``{"value": ..., "receipt": ...}``; a pop has no receipts
===============  ===========================  =========================================================================

All other keys (``worker``, ``status``, ``message_id`` ...) are for people. A batch is one operation per message. A
``drain`` is answered ok when claims have come back empty after the last lease has run out; only then can a message that
never came be called lost.
"""

from __future__ import annotations

import json
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain, count
from operator import attrgetter
from typing import Any

OPERATIONS = ('post', 'claim', 'pop', 'ack', 'renew', 'release', 'drain')
_SAID = ('value', 'ttl', 'limit', 'receipt', 'messages')


class HistoryError(ValueError):
    """The log is not one of a history; the text says where."""


class Recorder:
    """Writes a history. ``write`` gets each event as a dict; threads may share a recorder."""

    def __init__(self, clock: Callable[[], float], write: Callable[[dict[str, Any]], None]):
        self._clock = clock
        self._write = write
        self._numbers = count(1)
        self._lock = threading.Lock()

    def invoke(self, op: str, **said: Any) -> int:
        """The operation is about to begin; its number is for :meth:`answer`."""
        with self._lock:
            number = next(self._numbers)
            self._write({'id': number, 'op': op, 'phase': 'invoke', 'time': self._clock(), **said})
        return number

    def answer(self, number: int, phase: str, **said: Any) -> None:
        with self._lock:
            self._write({'id': number, 'phase': phase, 'time': self._clock(), **said})


@dataclass(slots=True)
class Operation:
    """An invocation and its answer, if it has one."""

    op: str
    invoked_at: float
    phase: str = 'info'
    answered_at: float = math.inf
    value: Any = None
    ttl: float = 0
    limit: int = 0
    receipt: str = ''
    messages: list[dict[str, Any]] = field(default_factory=list)


def parse(lines: Iterable[str]) -> list[Operation]:
    """The operations of a log, in the order of their invocations. Raises HistoryError."""
    return operations(json.loads(line) for line in lines)


def operations(events: Iterable[dict[str, Any]]) -> list[Operation]:
    """The operations that the events tell of, in the order of their invocations. Raises HistoryError."""
    found: dict[int, Operation] = {}
    for event in events:
        try:
            _note(found, event)
        except KeyError as error:
            raise HistoryError(f'without {error}: {event}') from None
    posted = [operation.value for operation in found.values() if operation.op == 'post']
    if len(set(posted)) < len(posted):
        raise HistoryError('two posts of one value')
    return list(found.values())


def _note(found: dict[int, Operation], event: dict[str, Any]) -> None:
    number, phase, time = event['id'], event['phase'], event['time']
    said = {key: event[key] for key in _SAID if key in event}
    if phase == 'invoke':
        if number in found or event['op'] not in OPERATIONS:
            raise HistoryError(f'a bad or repeated invocation: {event}')
        found[number] = Operation(event['op'], time, **said)
    else:
        operation = found.get(number)
        if phase not in ('ok', 'fail', 'info') or operation is None or operation.answered_at < math.inf:
            raise HistoryError(f'a bad or repeated answer, or one to nothing: {event}')
        operation.phase, operation.answered_at = phase, time
        for key, what in said.items():
            setattr(operation, key, what)


@dataclass(frozen=True, slots=True)
class Grant:
    """One delivery of one message. ``until``: the earliest that its lease can have run out or been released."""

    value: Any
    receipt: str
    invoked_at: float
    answered_at: float
    until: float
    held_until: float  # the same, or earlier because an ack was sent


@dataclass(frozen=True)
class Pair:
    """Two deliveries of one message that should not both have been; the second was answered later."""

    value: Any
    first: Grant
    second: Grant


@dataclass
class Verdict:
    """What a history shows. Lists name messages by their values. Everything is judged in favour of the queue:
    what the times of invocations and answers do not prove did not happen."""

    drained: bool  # else nothing is known about lost and vanished messages
    posts: int = 0
    acknowledged: int = 0  # posts answered ok
    deliveries: int = 0
    acks: int = 0  # answered ok
    overlaps_fatal: bool = False

    # What breaks a promise.
    lost: list[Any] = field(default_factory=list)  # acknowledged and never delivered
    vanished: list[Any] = field(default_factory=list)  # delivered, never acked, and never delivered again
    unexpected: list[Any] = field(default_factory=list)  # delivered although never posted, or refused
    returned: list[Any] = field(default_factory=list)  # claimed after an ack was answered ok
    stale_acks: list[Any] = field(default_factory=list)  # acked with a receipt from before a later delivery

    # What is counted. Delivery is at least once.
    recovered: list[Any] = field(default_factory=list)  # delivered although nobody knew whether they were stored
    expired: list[Any] = field(default_factory=list)  # not lost: their ttl may have run out
    taken: list[Any] = field(default_factory=list)  # not lost: pops whose answers got lost may have had them
    duplicated: dict[Any, int] = field(default_factory=dict)  # how often delivered again, for whatever reason
    unexplained: list[Pair] = field(default_factory=list)  # delivered again, and the first lease had surely not ended
    overlaps: list[Pair] = field(default_factory=list)  # surely two holders at one instant
    visible_after: list[float] = field(default_factory=list)  # seconds from a post's answer to delivery, sorted

    @property
    def violations(self) -> dict[str, list[Any]]:
        """The values of the messages about which a promise was broken, by promise."""
        found = {'lost': self.lost, 'vanished': self.vanished, 'unexpected': self.unexpected,
                 'returned': self.returned, 'stale acks': self.stale_acks}
        if self.overlaps_fatal:
            found['overlaps'] = [pair.value for pair in self.overlaps]
        return {name: values for name, values in found.items() if values}

    @property
    def valid(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        broken = ', '.join(f'{len(values)} {name}' for name, values in self.violations.items())
        again = sum(self.duplicated.values())
        at = ', '.join(f'{name} {_seconds(quantile(self.visible_after, part))}' for name, part in QUANTILES)
        return '\n'.join([
            f'BROKEN PROMISES: {broken}' if broken else 'valid: no promise was broken',
            *([] if self.drained else ['  not drained: whether messages were lost is not known']),
            f'  posted {self.posts}, acknowledged {self.acknowledged}, deliveries {self.deliveries}, acked {self.acks}',
            f'  lost {len(self.lost)}, vanished {len(self.vanished)}, unexpected {len(self.unexpected)}, '
            f'returned after an ack {len(self.returned)}, stale acks {len(self.stale_acks)}',
            f'  recovered {len(self.recovered)}, expired {len(self.expired)}, taken {len(self.taken)}, '
            f'delivered again {again}, unexplained {len(self.unexplained)}, overlapping holders {len(self.overlaps)}',
            f'  from a post\'s answer to its delivery: {at}'])


QUANTILES = (('50 %', 0.5), ('90 %', 0.9), ('99 %', 0.99), ('max', 1.0))


def quantile(ordered: list[float], part: float) -> float:
    """The least value that is not below ``part`` of all; NaN if there are none."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else math.nan


def _seconds(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.3f} s'


def check(history: Iterable[Operation], *, skew: float = 0, overlaps_fatal: bool = False) -> Verdict:
    """Judge a history. ``skew``: seconds that a lease may be short because clocks differ."""
    by_op = _by_op(history)
    drains = by_op['drain']
    posts = {post.value: post for post in by_op['post']}
    acks = _by_value(by_op['ack'])
    given_by_value = _by_value(_grants(by_op, acks, skew))
    verdict = Verdict(
        drained=bool(drains) and drains[-1].phase == 'ok', overlaps_fatal=overlaps_fatal, posts=len(posts),
        acknowledged=sum(post.phase == 'ok' for post in posts.values()),
        deliveries=sum(map(len, given_by_value.values())), acks=sum(ack.phase == 'ok' for ack in by_op['ack']))
    for value, given in given_by_value.items():
        if value not in posts or posts[value].phase == 'fail':
            verdict.unexpected.append(value)
        elif posts[value].phase == 'info':
            verdict.recovered.append(value)
        else:
            verdict.visible_after.append(max(0, given[0].answered_at - posts[value].answered_at))
        if len(given) > 1:
            verdict.duplicated[value] = len(given) - 1
        _judge_pairs(verdict, given)
        _judge_acks(verdict, value, posts.get(value), given, acks.get(value, []))
    verdict.visible_after.sort()
    if verdict.drained:
        _judge_drained(verdict, posts, given_by_value, acks, drains[-1].answered_at)
        _excuse(verdict, by_op['pop'])
    return verdict


def grants(history: Iterable[Operation], *, skew: float = 0) -> dict[Any, list[Grant]]:
    """All deliveries of each message, in the order of their answers."""
    by_op = _by_op(history)
    return _by_value(_grants(by_op, _by_value(by_op['ack']), skew))


def _by_op(history: Iterable[Operation]) -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        found[operation.op].append(operation)
    return found


def _by_value(things: Iterable[Any]) -> dict[Any, list[Any]]:
    """By message, in the order of their answers."""
    found = defaultdict(list)
    for thing in sorted(things, key=attrgetter('answered_at')):
        found[thing.value].append(thing)
    return dict(found)


def _grants(by_op: dict[str, list[Operation]], acks: dict[Any, list[Operation]], skew: float) -> Iterable[Grant]:
    verbs = defaultdict(list)
    for verb in chain(by_op['renew'], by_op['release']):
        verbs[verb.receipt].append(verb)
    for claim in chain(by_op['claim'], by_op['pop']):
        for message in claim.messages:
            value, receipt = message['value'], message.get('receipt', '')
            until = _earliest_end(claim, verbs[receipt] if receipt else []) - skew
            sent = [ack.invoked_at for ack in acks.get(value, []) if ack.receipt == receipt and ack.phase != 'fail']
            yield Grant(value, receipt, claim.invoked_at, claim.answered_at, until, min([until, *sent]))


def _earliest_end(claim: Operation, verbs: list[Operation]) -> float:
    """When the claim's lease may first have been over, but for acks. A pop promises no lease."""
    verbs = [verb for verb in verbs if verb.phase != 'fail']
    lasting = [claim, *(verb for verb in verbs if verb.op == 'renew')]
    last = max((each for each in lasting if each.phase == 'ok'), key=attrgetter('invoked_at'))
    # The last one that was surely done, and whatever may have been done after it.
    ends = [max(each.invoked_at, last.invoked_at) + each.ttl for each in lasting
            if each.phase == 'info' or each.answered_at >= last.invoked_at]
    return min([*ends, *(verb.invoked_at for verb in verbs if verb.op == 'release')])


def _judge_pairs(verdict: Verdict, given: list[Grant]) -> None:
    """Compare each delivery with the one before it that lasts longest."""
    leased = held = given[0]
    for grant in given[1:]:
        # Each was granted before its answer, so whichever was granted first still ran when the other one was.
        if leased.until > grant.answered_at and grant.until > leased.answered_at:
            verdict.unexplained.append(Pair(grant.value, leased, grant))
        if min(held.held_until, grant.until) > grant.answered_at:
            verdict.overlaps.append(Pair(grant.value, held, grant))
        leased = max(leased, grant, key=attrgetter('until'))
        held = max(held, grant, key=attrgetter('held_until'))


def _judge_acks(verdict: Verdict, value: Any, post: Operation | None, given: list[Grant],
                acks: list[Operation]) -> None:
    done_at = min((ack.answered_at for ack in acks if ack.phase == 'ok'), default=math.inf)
    verdict.returned.extend(value for grant in given if grant.invoked_at > done_at)
    expires_at = post.invoked_at + post.ttl if post else math.inf
    for ack in acks:
        own = next((grant for grant in given if ack.receipt and grant.receipt == ack.receipt), None)
        if own is None or ack.phase != 'ok' or ack.answered_at >= expires_at:
            continue
        later = [grant for grant in given if grant.invoked_at > own.answered_at
                 and grant.answered_at < ack.invoked_at and grant.receipt != own.receipt]
        # To ack what is gone already is no error, so who else may have made it go?
        others = any(other.receipt != ack.receipt and other.phase != 'fail' and other.invoked_at <= ack.answered_at
                     for other in acks)
        if later and not others and not any(grant.receipt == '' for grant in given):
            verdict.stale_acks.append(value)


def _judge_drained(verdict: Verdict, posts: dict[Any, Operation], grants: dict[Any, list[Grant]],
                   acks: dict[Any, list[Operation]], end: float) -> None:
    """Everything has had its chance to be delivered: what is left?"""
    for value, post in posts.items():
        given = grants.get(value)
        # One that was never delivered may have been deleted without a receipt.
        gone = any(ack.phase != 'fail' for ack in acks.get(value, [])) or (
            any(not each.receipt for each in given) if given else post.phase != 'ok')
        if not gone and post.invoked_at + post.ttl <= end:
            verdict.expired.append(value)
        elif not gone:
            (verdict.vanished if given else verdict.lost).append(value)


def _excuse(verdict: Verdict, pops: list[Operation]) -> None:
    """A pop whose answer got lost may have deleted messages, nobody knows which ones."""
    missing = verdict.lost + verdict.vanished
    if missing and len(missing) <= sum(pop.limit for pop in pops if pop.phase == 'info'):
        verdict.taken, verdict.lost, verdict.vanished = missing, [], []


def story(lines: Iterable[str], value: Any) -> list[str]:
    """Those lines of a log that are about one message, with all that was done to the claims that held it."""
    events = [json.loads(line) for line in lines]
    receipts = {message['receipt'] for event in events for message in event.get('messages', ())
                if message['value'] == value and message.get('receipt')}
    numbers = {event['id'] for event in events if (
        event['value'] == value if 'value' in event else event.get('receipt') in receipts
        or any(message['value'] == value for message in event.get('messages', ())))}
    return [json.dumps(event) for event in events if event['id'] in numbers]
