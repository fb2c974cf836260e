"""Any sequence of verbs through two proxies, beside the simplest queue one can think of."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from fuzz.effort import examples
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from world import World

from swiftqueue.errors import ClaimNotFound, MessageClaimed, ReceiptInvalid
from swiftqueue.model import NewMessage

PAGE_SECONDS = 1  # for which a proxy uses a page of candidates
LIMITS = {'min_claim_ttl': 1, 'min_message_ttl': 1, 'min_claim_grace': 0, 'max_messages_per_page': 1000}
proxies = st.integers(0, 1)
ttls = st.sampled_from([1, 5, 30, 300])


@dataclass(eq=False)
class Held:
    """A claim that was given out."""

    id: str
    expires_at: float
    members: list[Item] = field(default_factory=list)

    def __repr__(self) -> str:
        return f'Held({self.members})'


@dataclass(eq=False)
class Item:
    """A message that was posted."""

    id: str
    body: int
    available_at: float
    expires_at: float
    gone: bool = False
    claim: Held | None = None
    deliveries: int = 0
    news_until: float = 0  # a proxy may not have heard yet that it can be claimed

    def __repr__(self) -> str:
        return f'Item({self.body})'

    def alive(self, now: float) -> bool:
        return not self.gone and now < self.expires_at

    def held(self, now: float) -> bool:
        return self.claim is not None and now < self.claim.expires_at

    def claimable(self, now: float) -> bool:
        return self.alive(now) and self.available_at <= now and not self.held(now)


class QueueMachine(RuleBasedStateMachine):
    """The oracle's whole knowledge is ``items``, in the order of their ids, and ``claims``."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Item] = []
        self.claims: list[Held] = []
        self.exists = True
        self.posted = 0
        self.deletion_news_until = 0.0

    @initialize(cache=st.booleans())
    def begin(self, cache):
        # Without memcached another proxy hears of news seconds later; then there is one proxy only.
        self.world = World(proxies=2 if cache else 1, cache=cache, **LIMITS)
        self.queue(0).create()
        self.post(0, 4, 300, 0)

    def queue(self, proxy):
        """The queue through that proxy, a moment later and not at the very moment when something ends."""
        self.world.tick(0.0007)
        while any(abs(instant - self.now) < 0.005 for instant in self.instants()):
            self.world.tick(0.011)
        return self.world.queue(proxy=proxy % len(self.world.engines))

    def instants(self):
        for item in self.items:
            yield from (item.available_at, item.expires_at)
        for claim in self.claims:
            yield claim.expires_at

    @property
    def now(self):
        return self.world.clock.now

    def expected(self, which):
        return sorted((item for item in self.items if which(item)), key=lambda item: item.id)

    # -- the queue --

    @precondition(lambda self: not self.exists)
    @rule(proxy=proxies)
    def create(self, proxy):
        assert self.queue(proxy).create() is True
        self.exists = True

    @precondition(lambda self: self.exists and len(self.items) > 8)
    @rule(proxy=proxies, purge=st.booleans())
    def empty(self, proxy, purge):
        queue = self.queue(proxy)
        queue.purge() if purge else queue.delete()
        self.exists = purge
        for item in self.items:
            item.gone = True
        for claim in self.claims:
            claim.expires_at = -math.inf

    @rule(seconds=st.sampled_from([0.13, 0.9, 2.03, 4.9, 31.7, 290.3]))
    def wait(self, seconds):
        self.world.tick(seconds)

    # -- messages --

    @precondition(lambda self: self.exists)
    @rule(proxy=proxies, count=st.integers(1, 3), ttl=ttls, delay=st.sampled_from([0, 0, 3, 40]))
    def post(self, proxy, count, ttl, delay):
        bodies = range(self.posted, self.posted + count)
        self.posted += count
        queue = self.queue(proxy)
        for body, posted in zip(bodies, queue.messages.post(
                [NewMessage(body, ttl, delay) for body in bodies]), strict=True):
            assert posted.error is None
            self.items.append(Item(posted.id, body, self.now + delay, self.now + delay + ttl))

    def list(self, proxy, claimed, delayed):
        page = self.queue(proxy).messages.list(limit=1000, include_claimed=claimed, include_delayed=delayed)
        now = self.now
        assert [message.body for message in page.items] == [item.body for item in self.expected(
            lambda item: item.alive(now) and (claimed or not item.held(now))
            and (delayed or item.available_at <= now))]

    def count(self, proxy):
        stats, now = self.queue(proxy).stats(), self.now
        alive = self.expected(lambda item: item.alive(now))
        assert (stats.total, stats.claimed, stats.delayed) == (
            len(alive), sum(item.held(now) for item in alive), sum(item.available_at > now for item in alive))

    def read(self, proxy, item):
        found = self.queue(proxy).messages.get([item.id])
        assert [(message.body, message.deliveries) for message in found] == (
            [(item.body, item.deliveries)] if item.alive(self.now) else [])

    def delete(self, queue, data):
        item = data.draw(st.sampled_from(self.items))
        if data.draw(st.booleans()):
            queue.messages.delete([item.id])
        elif item.alive(self.now) and item.held(self.now):
            with pytest.raises(MessageClaimed):
                queue.messages.delete_unclaimed(item.id)
            return
        else:
            queue.messages.delete_unclaimed(item.id)
        item.gone = True
        self.deletion_news_until = self.now + 2 * PAGE_SECONDS

    @precondition(lambda self: self.exists and self.items)
    @rule(proxy=proxies, how=st.integers(0, 5), data=st.data())
    def look(self, proxy, how, data):
        if how < 4:
            # For a second a page may be shown, whatever other proxies claimed or deleted meanwhile. And a bit, for
            # nothing should expire right at the end of it.
            self.world.tick(self.world.options.head_seconds + 0.003)
            self.list(proxy, how % 2 == 0, how < 2)
        elif how == 4:
            self.count(proxy)
        else:
            self.read(proxy, data.draw(st.sampled_from(self.items)))

    # -- claims --

    def taken(self, messages, limit):
        """The items of what was handed out: the oldest that nobody holds, each with its number of deliveries.

        A page of candidates that is enough serves for a second. So what has just been released may be passed over,
        and what has just been deleted may have had a place.
        """
        now = self.now
        claimable = self.expected(lambda item: item.claimable(now))
        bodies = [message.body for message in messages]
        taken = [item for item in claimable if item.body in bodies]
        assert [item.body for item in taken] == bodies
        most = min(limit, len(claimable))
        assert min(most, 1) <= len(taken) <= most and (len(taken) == most or now < self.deletion_news_until)
        passed_over = [item for item in claimable if item not in taken and taken and item.id < taken[-1].id]
        assert all(now < item.news_until for item in passed_over)
        for item in taken:
            item.deliveries += 1
        assert [message.deliveries for message in messages] == [item.deliveries for item in taken]
        return taken

    @precondition(lambda self: self.exists and any(item.alive(self.now) for item in self.items))
    @rule(proxy=proxies, data=st.data(), verb=st.sampled_from(['claim', 'claim', 'claim', 'claim', 'pop', 'delete']))
    def take(self, proxy, data, verb):
        getattr(self, verb)(self.queue(proxy), data)

    def claim(self, queue, data):
        limit, ttl, grace = data.draw(st.integers(1, 4)), data.draw(ttls), data.draw(st.sampled_from([0, 20]))
        claim = queue.claims.create(limit, ttl, grace)
        members = self.taken(claim.messages if claim else [], limit)
        if members:
            held = Held(claim.id, self.now + ttl, members)
            self.claims.append(held)
            for item in members:
                item.claim, item.expires_at = held, max(item.expires_at, self.now + ttl + grace)

    def pop(self, queue, data):
        limit = data.draw(st.integers(1, 4))
        for item in self.taken(queue.claims.pop(limit), limit):
            item.gone = True

    @precondition(lambda self: self.claims and self.exists)
    @rule(proxy=proxies, data=st.data(), verb=st.sampled_from(['renew', 'release', 'show', 'ack', 'ack', 'ack']))
    def hold(self, proxy, data, verb):
        """What a holder does, or somebody who has held."""
        getattr(self, verb)(data.draw(st.sampled_from(self.claims[-5:])), self.queue(proxy), data)

    def renew(self, held, queue, data):
        ttl, grace = data.draw(ttls), data.draw(st.sampled_from([0, 20]))
        if self.now >= held.expires_at:
            with pytest.raises(ClaimNotFound):
                queue.claims.renew(held.id, ttl, grace)
            return
        queue.claims.renew(held.id, ttl, grace)
        held.expires_at = self.now + ttl
        for item in held.members:
            item.expires_at = max(item.expires_at, self.now + ttl + grace)

    def release(self, held, queue, data):
        queue.claims.release(held.id)
        if self.now < held.expires_at:
            held.expires_at = -math.inf
            for item in held.members:
                item.news_until = self.now + PAGE_SECONDS

    def show(self, held, queue, data):
        if self.now >= held.expires_at:
            with pytest.raises(ClaimNotFound):
                queue.claims.get(held.id)
        else:
            assert [message.body for message in queue.claims.get(held.id).messages] == [
                item.body for item in held.members if not item.gone]

    def ack(self, held, queue, data):
        item = data.draw(st.sampled_from(data.draw(st.sampled_from([held.members, self.items[-8:]]))))
        if item.gone:
            queue.claims.ack(item.id, held.id)
        elif not item.alive(self.now):  # Swift keeps it to the end of the second
            with suppress(ReceiptInvalid):
                queue.claims.ack(item.id, held.id)
        elif item.claim is held and item.held(self.now):
            queue.claims.ack(item.id, held.id)
            item.gone = True
        else:
            with pytest.raises((MessageClaimed, ReceiptInvalid)):
                queue.claims.ack(item.id, held.id)

    # -- the end --

    def teardown(self):
        """Nothing was lost: when all claims have run out, what is alive is handed out, in order, and nothing else."""
        if not hasattr(self, 'world') or not self.exists:
            return
        for claim in self.claims:
            if claim.expires_at > self.now:
                self.queue(0).claims.release(claim.id)
                claim.expires_at = -math.inf
        self.world.tick(2.1)
        claim = self.queue(0).claims.create(20, 30, 0)
        self.taken(claim.messages if claim else [], 20)
        self.list(0, True, True)


QueueMachine.TestCase.settings = examples(120, stateful_step_count=50)
test_any_sequence_of_verbs = QueueMachine.TestCase
