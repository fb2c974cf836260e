"""Claim objects: reading and writing what one delivery of one message says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING

from swiftqueue.names import (
    CLAIM,
    ClaimState,
    Record,
    claim_name,
    claims_container,
    parse_claim_header,
    parse_claim_state,
)
from swiftqueue.swift import Response

if TYPE_CHECKING:
    from swiftqueue.queues import Queue


@dataclass(frozen=True)
class ClaimObjects:
    """Those of one generation of a queue. Reads ask every replica: a row or one replica may be late."""

    queue: Queue
    record: Record

    @property
    def container(self) -> str:
        return claims_container(self.queue.name, self.record.generation)

    def read(self, message_id: str, delivery: int) -> ClaimState | None:
        """The claim without its members; None if there is no such delivery. Raises Unavailable."""
        response = self.queue.swift.get(self.container, claim_name(message_id, delivery), newest=True, method='HEAD')
        return response and _state(response)

    def read_whole(self, message_id: str, delivery: int) -> ClaimState | None:
        """The claim with its members. Raises Unavailable."""
        response = self.queue.swift.get(self.container, claim_name(message_id, delivery), newest=True)
        return response and parse_claim_state(json.loads(response.body))

    def create(self, message_id: str, delivery: int, state: ClaimState, timestamp: float) -> int:
        """The status of one conditional PUT. A 201 alone does not make the claim ours: see claims.py."""
        return self.queue.swift.create(self.container, claim_name(message_id, delivery), state.content(),
                                       _headers(state), timestamp)

    def write(self, message_id: str, delivery: int, state: ClaimState, owner: str) -> bool:
        """Overwrite an object of the claim ``owner``; False if it is another's by now. Raises Unavailable."""
        written = self.queue.swift.store(
            self.container, claim_name(message_id, delivery), state.content(), _headers(state),
            self.queue.engine.clock(), mine=lambda response: _state(response).claim == owner)
        if written:
            self.queue.head(self.record).learn(message_id, delivery, state)
        return written

    def release(self, message_id: str, delivery: int, state: ClaimState) -> None:
        """Say that the claim is over, if it is still the one of ``state``. Raises Unavailable."""
        self.write(message_id, delivery, state.release(), state.claim)


def _headers(state: ClaimState) -> dict[str, str]:
    return state.headers(md5(state.content(), usedforsecurity=False).hexdigest())


def _state(response: Response) -> ClaimState:
    return parse_claim_header(response.headers[CLAIM.lower()])
