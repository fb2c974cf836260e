"""A queue in use, late rows, purges and two janitors, in any order: nothing acked comes back, nothing is lost."""

import random

import pytest
from janitors import a_world, clean_sweep, containers, stored

from swiftqueue.errors import MessageClaimed, ReceiptInvalid
from swiftqueue.janitor import Ages
from swiftqueue.model import NewMessage

STEPS = 250


class Life:
    """One history of a queue, and what its users may expect of it."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.world = a_world(seed=seed, cache=seed % 2 == 0)
        self.world.swift.lag_chance, self.world.swift.lag_seconds = 0.3, 600
        self.waiting = set()  # posted, neither acked nor purged
        self.acked = set()
        self.held = []  # message id, claim id

    def queue(self):
        self.world.tick()
        return self.world.queue(proxy=self.chance.randrange(2))

    def post(self):
        batch = [NewMessage('x' * self.chance.choice((10, 20000)), ttl=10 ** 6) for _ in range(3)]
        self.waiting |= {one.id for one in self.queue().messages.post(batch)}

    def claim(self):
        made = self.queue().claims.create(self.chance.randint(1, 5), 60, 60)
        for message in made.messages if made else []:
            assert message.id in self.waiting
            self.held.append((message.id, made.id))
        return made

    def ack(self):
        if self.held:
            message_id, claim_id = self.held.pop(self.chance.randrange(len(self.held)))
            try:
                self.queue().claims.ack(message_id, claim_id)
            except (ReceiptInvalid, MessageClaimed):
                return  # it ran out
            self.waiting.discard(message_id)
            self.acked.add(message_id)

    def release(self):
        if self.held:
            _, claim_id = self.held.pop()
            self.queue().claims.release(claim_id)

    def purge(self):
        self.queue().purge()
        self.world.tick(3)  # until every proxy has heard of it
        self.waiting.clear()
        self.held.clear()

    def sweep(self):
        clean_sweep(self.world, page=self.chance.choice((1, 3, 100)))

    def two_sweeps(self):
        def other(call):
            self.world.swift.on_commit = None
            self.sweep()
        self.world.swift.on_commit = other
        self.sweep()
        self.world.swift.on_commit = None

    def wait(self):
        self.world.tick(self.chance.choice((1, 30, 70)))


@pytest.mark.parametrize('seed', range(6))
def test_nothing_acked_comes_back_nothing_is_lost_and_nothing_is_left(seed):
    life = Life(seed)
    deeds = [life.post, life.claim, life.claim, life.ack, life.ack, life.ack, life.release, life.sweep,
             life.two_sweeps, life.wait, life.wait]
    for _ in range(STEPS):
        life.chance.choice(deeds if life.chance.random() > 0.005 else [life.purge])()
    assert life.acked

    life.world.swift.lag_chance = 0
    life.world.tick(700)
    life.held.clear()
    for _ in range(5):
        while life.claim():
            while life.held:
                life.ack()
        life.world.tick(70)  # what a claimer did not get it leaves alone for a moment
    assert not life.waiting
    life.world.tick(Ages().settled)
    life.sweep()
    assert stored(life.world, 'messages') == stored(life.world, 'claims') == []
    assert len(containers(life.world, 'messages')) == len(containers(life.world, 'claims')) == 1
