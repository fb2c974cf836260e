"""What a simulation's history says about the promises: the checker of histories, and what it cannot know."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from swiftqueue.history import Operation, Verdict

from .clients import SHORT, Shared
from .lines import check_lines
from .profiles import Profile

Problem = tuple[str, Any]  # what it is, and the message's value


def judge(history: list[Operation], verdict: Verdict, profile: Profile, shared: Shared) -> list[Problem]:
    """All that is wrong with a history."""
    history = sorted(history, key=attrgetter('answered_at'))
    problems = [*_broken_promises(history, verdict, profile, shared), *_late(history, profile.skew)]
    if profile.exclusive and not profile.purges:
        problems += _refused(history, profile.skew)
    if profile.fifo:
        problems += check_lines(history, shared, skew=profile.skew, exclusive=profile.exclusive)
    return problems


def _broken_promises(history: list[Operation], verdict: Verdict, profile: Profile, shared: Shared) -> Iterator[Problem]:
    """The checker's findings, without those that have a reason it does not know."""
    posts = {each.value: each for each in history if each.op == 'post'}
    first_acks: dict[Any, Operation] = {}
    for each in history:
        if each.op == 'ack' and each.phase == 'ok':
            first_acks.setdefault(each.value, each)
    last_claims = {message['value']: each.invoked_at for each in history for message in each.messages}
    leases = _leases(history)

    def excused(name: str, value: Any) -> bool:
        if name in ('lost', 'vanished'):
            # Posted to a deleted queue by a proxy that saw a stale record of it.
            return profile.stale_records and shared.emptied is not None and value >= shared.emptied
        if name == 'returned':
            ack = first_acks[value]
            # To ack what has expired is no error, and whether it has is a matter of clocks.
            expired = ack.answered_at > posts[value].invoked_at + posts[value].ttl - profile.skew
            # A deduplication id that was registered twice, because memcached had forgotten, is two messages.
            if profile.fifo and not profile.exclusive and len(shared.ids[value]) > 1:
                return True
            # Nor is it one to ack what has gone to the dead-letter queue because the claim ran out.
            buried = len(shared.queues) > 1 and ack.answered_at > leases.get(ack.receipt, 0) - profile.skew
            return expired or buried
        if name == 'stale acks':
            # An ack to a queue that the message has left for the dead-letter queue does nothing, and is no error:
            # then the message came again, unless it expired there.
            acked_at = first_acks[value].answered_at
            return len(shared.queues) > 1 and (acked_at < last_claims[value] or posts[value].ttl <= SHORT + 5)
        return False

    for name, values in verdict.violations.items():
        for value in values:
            if not excused(name, value):
                yield 'deleted, returned' if name == 'returned' and not first_acks[value].receipt else name, value


def _leases(history: list[Operation]) -> dict[str, float]:
    """Until when the holder of each claim may believe in it; 0 where a verb got no answer that would tell."""
    until: dict[str, float] = {}
    for each in sorted(history, key=attrgetter('invoked_at')):
        if each.op == 'claim' and each.messages:
            until[each.messages[0]['receipt']] = each.invoked_at + each.ttl
        elif each.op == 'renew' and each.phase == 'ok' and each.receipt in until:
            until[each.receipt] = each.invoked_at + each.ttl
        elif each.op in ('renew', 'release') and each.receipt in until:
            until[each.receipt] = 0
    return until


def _refused(history: list[Operation], skew: float) -> Iterator[Problem]:
    """Acks that were refused although the claim had surely not run out."""
    leases = _leases(history)
    for each in history:
        if each.op == 'ack' and each.phase == 'fail' and each.answered_at < leases.get(each.receipt, 0) - skew:
            yield 'ack refused', each.value


def _late(history: list[Operation], skew: float) -> Iterator[Problem]:
    """First deliveries of what had expired. A claim may keep a message longer, also one that nobody heard of."""
    if any(each.op in ('claim', 'pop') and each.phase == 'info' for each in history):
        return
    posts = {each.value: each for each in history if each.op == 'post'}
    seen = set()
    for each in history:
        for message in each.messages:
            value = message['value']
            if value not in seen and each.invoked_at > posts[value].answered_at + posts[value].ttl + skew + 1:
                yield 'delivered after its ttl', value
            seen.add(value)
