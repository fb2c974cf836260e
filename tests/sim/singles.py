"""Workers who claim each message by itself, as clients of Amazon SQS do, and who may ack after the claim is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swiftqueue.errors import MessageNotFound, QueueError, QueueNotFound, ReceiptInvalid
from swiftqueue.single_claims import SingleClaims

from .clients import Client
from .cloud import Crashed


@dataclass
class Single:
    """A message in a worker's hands, with a receipt of its own."""

    receipt: str
    value: int
    message_id: str


class SingleClient(Client):
    """Its verbs, straight to the engine of any of the processes."""

    def ask(self, act: Callable[[SingleClaims], Any]) -> tuple[str, Any]:
        """What the history calls the outcome, and the outcome."""
        process = self.chance.choice(self.cloud.processes)
        self.cloud.trace(self.name, 'asks', process.name)
        try:
            result = act(process.queue(self.queue).single_claims)
        except Crashed:
            return 'info', None
        except (QueueNotFound, ReceiptInvalid, MessageNotFound):
            return 'fail', None
        except QueueError:
            return 'info', None
        return ('info', None) if process.fails(self.cloud.profile.unanswered) else ('ok', result)

    def receive(self, limit: int, ttl: int) -> list[Single]:
        number = self.history.invoke('claim', ttl=ttl, limit=limit, worker=self.name)
        phase, claims = self.ask(lambda singles: singles.create_each(limit, ttl, wait=0))
        held = [Single(claim.id, claim.messages[0].body['value'], claim.messages[0].id) for claim in claims or ()]
        self.history.answer(number, phase, messages=[
            {'value': each.value, 'receipt': each.receipt} for each in held])
        return held

    def finish(self, single: Single) -> None:
        number = self.history.invoke('ack', value=single.value, receipt=single.receipt, worker=self.name)
        phase, gone = self.ask(lambda singles: singles.ack_one(single.receipt))
        if phase == 'ok' and not gone:
            phase = 'fail'
        if phase == 'ok':
            self.shared.ended.add(single.value)
        self.history.answer(number, phase)

    def hold(self, single: Single, ttl: int) -> bool:
        """Whether it is hidden for so long from now on; 0 gives it back."""
        said = {'ttl': ttl} if ttl else {}
        number = self.history.invoke('renew' if ttl else 'release', receipt=single.receipt, worker=self.name, **said)
        phase, done = self.ask(lambda singles: singles.renew_one(single.receipt, ttl))
        if phase == 'ok' and ttl and not done:
            phase = 'fail'
        self.history.answer(number, phase)
        return phase == 'ok'


def work(client: SingleClient) -> None:
    """Claim messages and deal with each in every way there is, well and badly."""
    chance = client.chance
    while client.goes_on:
        ttl = chance.choice((0, 4, 10, 10, 20))
        begun = client.cloud.hub.now
        held = client.receive(chance.randint(1, 4), ttl)
        if not held and client.shared.idle and not client.cloud.profile.janitor:
            return
        if not held:
            client.sleep(chance.uniform(0, 5))
        for each in held:
            deal = chance.choices((_finish, _be_late, _renew, _give_back, _forget), (40, 25, 15, 10, 10))[0]
            deal(client, each, begun + ttl)


def _finish(client: SingleClient, single: Single, until: float) -> None:
    client.sleep(client.chance.uniform(0, 1))
    client.finish(single)


def _be_late(client: SingleClient, single: Single, until: float) -> None:
    """Ack when the claim is over, or just about to be; whoever waits for the message is at it, too."""
    client.sleep(max(0, until - client.cloud.hub.now) + client.chance.choice((-0.1, -0.02, 0, 0.02, 0.1, 1, 4)))
    client.finish(single)


def _renew(client: SingleClient, single: Single, until: float) -> None:
    """As late as can be, or not so late."""
    rest = until - client.cloud.hub.now
    client.sleep(max(0, client.chance.choice((rest - 0.1, rest - 0.03, rest * client.chance.random()))))
    if client.hold(single, client.chance.choice((4, 10, 30))):
        client.sleep(client.chance.uniform(0, 5))
        client.finish(single)


def _give_back(client: SingleClient, single: Single, until: float) -> None:
    """And perhaps say afterwards that it was done."""
    client.hold(single, 0)
    if client.likely(0.5):
        client.sleep(client.chance.choice((0, 0.02, 0.1, 1)))
        client.finish(single)


def _forget(client: SingleClient, single: Single, until: float) -> None:
    """The worker dies; another one takes its place."""
