"""Claim objects: reading and writing what one delivery of one message says."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import md5
from typing import TYPE_CHECKING

from swiftqueue.errors import Unavailable
from swiftqueue.names import (
    CLAIM,
    ClaimState,
    Record,
    claim_name,
    parse_claim_header,
    parse_claim_state,
)
from swiftqueue.swift import Response

if TYPE_CHECKING:
    from swiftqueue.queues import Queue


@dataclass(frozen=True)
class ClaimObjects:
    """Those of one generation of a queue. Reads are of the newest replica: a row or a replica may be late."""

    queue: Queue
    record: Record

    def container(self, message_id: str) -> str:
        return self.queue.shards(self.record).claims(message_id)

    def read(self, message_id: str, delivery: int) -> ClaimState | None:
        """The claim without its members; None if there is no such delivery. Raises Unavailable."""
        response = self.queue.swift.head_newest(self.container(message_id), claim_name(message_id, delivery))
        return response and _state(response)

    def read_whole(self, message_id: str, delivery: int) -> ClaimState | None:
        """The claim with its members. Raises Unavailable."""
        response = self.queue.swift.get_newest(self.container(message_id), claim_name(message_id, delivery))
        return response and parse_claim_state(json.loads(response.body))

    def create(self, message_id: str, delivery: int, state: ClaimState, timestamp: float) -> int:
        """The status of one conditional PUT. A 201 alone does not make the claim ours: see claims.py."""
        return self.queue.swift.create(self.container(message_id), claim_name(message_id, delivery), state.content(),
                                       _headers(state), timestamp)

    def forestall(self, message_id: str) -> bool:
        """Whether the message was never claimed; then nobody can claim it any more without reading it first.

        For that, claim 1 is created, and released from the start. A claimer who does the same at this instant may lose
        its claim to the next one; so keep claimers out by the gate, or delete the message first. Raises Unavailable.
        """
        now = self.queue.engine.clock()
        status = self.create(message_id, 1, ClaimState(
            claim='', ttl=0, grace=0, renewed_at=now, expires_at=now, keep_until=0, released=True), now)
        if status not in (201, 202, 404, 412):
            raise Unavailable(f'Swift answered {status} to a claim.')
        return status in (201, 404)  # 404: there is no such generation any more

    def last(self, message_id: str, delivery: int) -> int:
        """The number of the message's last delivery, which is this one or later. Raises Unavailable."""
        while self.read(message_id, delivery + 1):
            delivery += 1
        return delivery

    def successor(self, message_id: str, delivery: int) -> ClaimState | None:
        """The next claim of the message that is somebody's. Raises Unavailable."""
        there = self.read(message_id, delivery + 1)
        while there and not there.claim:
            delivery += 1
            there = self.read(message_id, delivery + 1)
        return there

    def open(self, message_id: str, delivery: int) -> list[tuple[int, ClaimState]]:
        """The claims of the message, from that delivery down to the last one that was released.

        Those before it were released, too. Any of the others may be live. Raises Unavailable.
        """
        found = []
        while delivery and (there := self.read(message_id, delivery)) and not there.released:
            found.append((delivery, there))
            delivery -= 1
        return found

    def write(self, message_id: str, delivery: int, state: ClaimState, owner: str) -> bool:
        """Overwrite an object of the claim ``owner``. Raises Unavailable.

        False if it is another's by now, or was released and ``state`` is not.
        """
        def mine(response: Response) -> bool:
            there = _state(response)
            return there.claim == owner and (state.released or not there.released)
        written = self.queue.swift.store(
            self.container(message_id), claim_name(message_id, delivery), state.content(), _headers(state),
            self.queue.engine.clock(), mine=mine)
        if written:
            self.queue.head(self.record).learn(message_id, delivery, state)
        return written

    def release(self, message_id: str, delivery: int, state: ClaimState) -> None:
        """Say that the claim is over, if it is still the one of ``state``. Raises Unavailable."""
        self.write(message_id, delivery, state.release(), state.claim)

    def disown(self, message_id: str, delivery: int, state: ClaimState, until: float) -> None:
        """Make the claim nobody's, which says nothing about those before it. Raises Unavailable."""
        self.write(message_id, delivery, replace(state, claim='', expires_at=until, members=(), move=None), state.claim)


def _headers(state: ClaimState) -> dict[str, str]:
    return state.headers(md5(state.content(), usedforsecurity=False).hexdigest())


def _state(response: Response) -> ClaimState:
    return parse_claim_header(response.headers[CLAIM.lower()])
