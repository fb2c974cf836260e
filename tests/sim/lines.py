"""Clients of a FIFO queue, and what their history says about order and deduplication.

A message has its value for its deduplication id. Who gets no answer to a post sends it again, as clients do, and some
send again what was answered long ago.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from swiftqueue.errors import QueueError
from swiftqueue.history import Grant, Operation, grants
from swiftqueue.model import NewMessage, Posted

from .clients import LONG, SHORT, Shared
from .cloud import Crashed
from .singles import SingleClient

GROUPS = ('red', 'green', 'blue')


class LineClient(SingleClient):
    """Its verbs, straight to the engine of any of the processes."""

    def send(self, values: list[int], group: str, ttl: int, size: int = 0) -> list[Posted | None]:
        """What became of each; None where nobody knows."""
        process = self.chance.choice(self.cloud.processes)
        self.cloud.trace(self.name, 'sends', values, group, process.name)
        try:
            posted = process.queue(self.queue).messages.post([
                NewMessage({'value': value, 'padding': 'x' * size}, ttl=ttl, group=group, deduplication=str(value))
                for value in values])
        except (Crashed, QueueError):
            posted = []
        if not posted or process.fails(self.cloud.profile.unanswered):
            return [None] * len(values)
        return [None if each.error else each for each in posted]

    def post_in_line(self, count: int, group: str, ttl: int, size: int) -> None:
        """Post that many messages at once, and again what was not answered."""
        values = list(range(self.shared.posts, self.shared.posts + count))
        self.shared.posts += count
        self.shared.lines.update(dict.fromkeys(values, group))
        self.shared.batches.append(values)
        numbers = {value: self.history.invoke('post', value=value, ttl=ttl, worker=self.name) for value in values}
        left, tries = values, 0
        while left and tries < 4:
            if tries:
                self.sleep(self.chance.choice((0, 1, 5)))
                self.shared.repeated.update(left)
            tries += 1
            for value, posted in zip(list(left), self.send(left, group, ttl, size), strict=True):
                if posted:
                    self.note(value, posted.id)
                    if ttl < LONG:
                        self.shared.ended.add(value)
                    self.history.answer(numbers.pop(value), 'ok')
            left = list(numbers)
        for number in numbers.values():
            self.history.answer(number, 'info')

    def note(self, value: int, message_id: str) -> None:
        self.shared.ids[value].add(message_id)
        self.shared.posted.setdefault(value, message_id)

    def receive(self, limit: int, ttl: int) -> list[Any]:
        held = super().receive(limit, ttl)
        for each in held:
            self.shared.ids[each.value].add(each.message_id)
        return held


def produce(client: LineClient, count: int) -> None:
    """Post that many messages in groups that others post to, too."""
    chance = client.chance
    client.shared.producers += 1
    while count > 0 and client.goes_on:
        batch = min(count, chance.choice((1, 1, 2, 3)))
        count -= batch
        client.post_in_line(batch, chance.choice(GROUPS), SHORT if client.likely(0.05) else LONG,
                            5000 if client.likely(0.1) else 0)
        if client.likely(0.2) and client.shared.posted:  # a duplicate, of whatever age
            value = chance.choice(sorted(client.shared.posted))
            for posted in client.send([value], client.shared.lines[value], LONG):
                if posted:
                    client.note(value, posted.id)
        client.sleep(chance.expovariate(1 / 1.5))
    client.shared.producers -= 1


# -- the checker -----------------------------------------------------------------------------------

def check_lines(history: list[Operation], shared: Shared, *, skew: float, exclusive: bool) -> Iterator[tuple[str, Any]]:
    """All that is wrong with order and deduplication."""
    posts = {each.value: each for each in history if each.op == 'post'}
    ends = _ends(history, posts, skew)
    claims = [each for each in history if each.op in ('claim', 'pop') and each.messages]
    before = _before(posts, shared)
    for claim in claims:
        values = [message['value'] for message in claim.messages]
        for place, value in enumerate(values):
            for earlier in before[value]:
                if earlier not in values[:place] and claim.answered_at < ends[earlier]:
                    yield 'out of order', value
    if exclusive:
        yield from _two_in_flight(history, claims, ends, shared, skew)
        yield from (('two messages of one deduplication id', value)
                    for value, ids in shared.ids.items() if len(ids) > 1)
        yield from _against_their_numbers(claims, ends, shared)


def _ends(history: list[Operation], posts: dict[int, Operation], skew: float) -> dict[int, float]:
    """Until when each message is there for sure."""
    ends = {value: post.invoked_at + post.ttl - skew - 1 for value, post in posts.items()}
    for each in history:
        if each.op == 'ack' and each.phase != 'fail' and each.value in ends:
            ends[each.value] = min(ends[each.value], each.invoked_at)
        if each.op == 'pop':
            for message in each.messages:
                ends[message['value']] = min(ends[message['value']], each.invoked_at)
    # A pop that got no answer may have had whatever is not seen again.
    last_seen = {message['value']: each.invoked_at for each in history for message in each.messages}
    for each in history:
        if each.op == 'pop' and each.phase == 'info':
            for value in ends:
                if last_seen.get(value, 0) < each.invoked_at:
                    ends[value] = min(ends[value], each.invoked_at)
    return ends


def _before(posts: dict[int, Operation], shared: Shared) -> dict[int, list[int]]:
    """Those of the same group that were acknowledged before the message was posted, or were before it in its batch."""
    before: dict[int, list[int]] = defaultdict(list)
    stored = [(value, post) for value, post in posts.items() if post.phase == 'ok']
    for value, post in posts.items():
        before[value] = [other for other, earlier in stored
                         if earlier.answered_at < post.invoked_at and shared.lines[other] == shared.lines[value]]
    for batch in shared.batches:
        for first, second in combinations(batch, 2):
            # Who had to send some of them again may have had the second one stored by the first try.
            if posts[first].phase == 'ok' and shared.repeated.isdisjoint(batch):
                before[second].append(first)
    return before


def _two_in_flight(history: list[Operation], claims: list[Operation], ends: dict[int, float], shared: Shared,
                   skew: float) -> Iterator[tuple[str, Any]]:
    """Also an ack that comes in time and takes long ends the message, whoever has it by then."""
    together = {message.get('receipt'): number for number, claim in enumerate(claims) for message in claim.messages}
    by_group: dict[str, list[Grant]] = defaultdict(list)
    for value, given in grants(history, skew=skew).items():
        by_group[shared.lines[value]] += [grant for grant in given if grant.receipt]
    for given in by_group.values():
        given.sort(key=lambda grant: grant.answered_at)
        for first, second in combinations(given, 2):
            if first.value != second.value and together[first.receipt] != together[second.receipt] \
                    and min(first.held_until, second.held_until, ends[first.value]) > second.answered_at:
                yield 'two of a group in flight', second.value


def _against_their_numbers(claims: list[Operation], ends: dict[int, float], shared: Shared,
                           ) -> Iterator[tuple[str, Any]]:
    """What was delivered before one with a smaller number, both having been posted in peace."""
    first: dict[int, Operation] = {}
    for claim in sorted(claims, key=lambda each: each.answered_at):
        for message in claim.messages:
            first.setdefault(message['value'], claim)
    for one, other in combinations(sorted(set(first) - shared.repeated), 2):
        if shared.lines[one] == shared.lines[other] and one in shared.posted and other in shared.posted:
            early, late = sorted((one, other), key=shared.posted.__getitem__)
            if first[late].answered_at < first[early].invoked_at and first[late].answered_at < ends[early]:
                yield 'against their sequence numbers', late
