"""Container servers, asked one by one, so that a majority of a container's replicas is heard.

Through Swift's proxy a listing is one random replica's view, and a row that an object server could not bring to a
container server comes later. What has to be in order cannot live with that. Rows that were written to a majority of the
replicas are in what a majority lists, whoever reads: any two majorities have a replica in common.

A row of an object server waits in a file beside the database, which a listing may pass over while it is locked. A row
that is merged is in the database before the server answers.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from swift.common.ring import Ring
from swift.common.utils import Timestamp

from swiftqueue.object_servers import SHUN_SECONDS, Servers

ANSWER_SECONDS = 5  # that a server may take before it is taken for silent
_GOOD = {200, 202, 204}

Row = dict[str, Any]


@dataclass(frozen=True)
class Pages:
    """What those replicas of a container list that answer, as they were asked one after the other.

    ``absent`` of all have no such container.
    """

    found: tuple[list[Row], ...]
    absent: int
    replicas: int

    @property
    def is_majority(self) -> bool:
        return 2 * len(self.found) > self.replicas

    def merged(self, limit: int, *, reverse: bool = False) -> tuple[list[Row], bool]:
        """All rows that any of them lists, in order, and whether there are no more.

        A row is ``doubtful`` if not all of them list it: its object may have been deleted. It is ``early`` if the first
        one does not: that may have been asked before the row was written, and so may lack what was written before it.
        Whoever gave as many rows as were asked for may have more, so the page ends where the first of these ended.
        """
        rows = {row['name']: row for page in self.found for row in page}
        names = sorted(rows, reverse=reverse)
        ends = [names.index(page[-1]['name']) for page in self.found if len(page) >= limit]
        seen = Counter(row['name'] for page in self.found for row in page)
        first = {row['name'] for page in self.found[:1] for row in page}
        return [rows[name] | {'doubtful': seen[name] < len(self.found), 'early': name not in first}
                for name in (names[:min(ends) + 1] if ends else names)], not ends


class Majorities:
    """Those of containers' replicas, for all requests of a proxy process."""

    def __init__(self, ring: Ring):
        self._ring = ring
        self._servers = Servers(ANSWER_SECONDS, SHUN_SECONDS)

    def listing(self, account: str, container: str, trans_id: str, **bounds: Any) -> Pages:
        """Pages of as many replicas as make a majority, if so many answer; ``bounds`` are those of a listing."""
        query = urlencode({'format': 'json'} | {key: value for key, value in bounds.items() if value})
        answers, replicas = self._servers.ask_most(
            self._ring, 'GET', account, container, _headers(trans_id), _GOOD, query=query)
        return Pages(tuple(json.loads(answer.content) if answer.status == 200 else []
                           for answer in answers if answer.status in _GOOD),
                     sum(answer.status == 404 for answer in answers), replicas)

    def merge(self, policy: int, account: str, container: str, rows: list[Row], trans_id: str) -> bool:
        """Whether a majority of the replicas has these rows now, or newer ones."""
        body = json.dumps([row | {'storage_policy_index': policy} for row in rows]).encode('ascii')
        answers, replicas = self._servers.ask_most(
            self._ring, 'UPDATE', account, container,
            _headers(trans_id) | {'X-Backend-Storage-Policy-Index': str(policy), 'Content-Length': str(len(body))},
            _GOOD, body=body, all_healthy=True)
        return 2 * sum(answer.status in _GOOD for answer in answers) > replicas


def new_row(name: str, etag: str, size: int, timestamp: float) -> Row:
    """The row of an object as an object server writes it."""
    return {'name': name, 'created_at': _instant(timestamp), 'size': size,
            'content_type': 'application/json', 'etag': etag, 'deleted': 0}


def deleted_row(name: str, timestamp: float) -> Row:
    """What stands for the row of an object that was deleted then."""
    return {'name': name, 'created_at': _instant(timestamp), 'size': 0,
            'content_type': 'application/deleted', 'etag': 'noetag', 'deleted': 1}


def _instant(timestamp: float) -> str:
    """As sub-requests write it: by a tick more the row would be as late as its own deletion."""
    return f'{timestamp:016.5f}'


def _headers(trans_id: str) -> dict[str, str]:
    return {'X-Timestamp': Timestamp.now().internal, 'X-Trans-Id': trans_id, 'User-Agent': 'swiftqueue',
            'X-Backend-Allow-Reserved-Names': 'true', 'X-Backend-Record-Type': 'object'}
