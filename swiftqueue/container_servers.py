"""Containers as their servers themselves show them: one alone may lack rows for as long as it was down."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import Any, Protocol

from eventlet import GreenPile
from swift.common.direct_client import direct_get_container, direct_head_container
from swift.common.ring import Ring

from swiftqueue.direct import Node, answer
from swiftqueue.errors import Unavailable
from swiftqueue.swift import LISTING_LIMIT, modified_at

_SECONDS = 5  # for the answer of one server

Row = dict[str, Any]


class Containers(Protocol):
    """What each of a container's replicas says."""

    def headers(self, account: str, container: str) -> list[dict[str, str]]:
        """Of the container, names in lower case; empty from one that has none. Raises Unavailable unless all answer."""

    def listings(self, account: str, container: str, prefix: str) -> list[list[Row]]:
        """A whole listing, from each that answers; empty from one that has none. Raises Unavailable unless a quorum
        does."""


class ContainerServers:
    """:class:`Containers` of real servers."""

    def __init__(self, ring: Ring):
        self.ring = ring

    def headers(self, account: str, container: str) -> list[dict[str, str]]:
        partition, nodes = self.ring.get_nodes(account, container)
        answers = [answer(node, partial(direct_head_container, node, partition, account, container)) for node in nodes]
        return [{key.lower(): value for key, value in (headers or {}).items()} for headers in answers]

    def listings(self, account: str, container: str, prefix: str) -> list[list[Row]]:
        partition, nodes = self.ring.get_nodes(account, container)
        pile = GreenPile(len(nodes))
        for node in nodes:
            pile.spawn(self._list, node, partition, account, container, prefix)
        answers = [each for each in pile if each is not None]
        if len(answers) <= len(nodes) // 2:
            raise Unavailable('Too few container servers answer.')
        return answers

    def _list(self, node: Node, partition: int, account: str, container: str, prefix: str) -> list[Row] | None:
        rows: list[Row] = []
        try:
            while True:
                page = answer(node, partial(
                    direct_get_container, node, partition, account, container, prefix=prefix, limit=LISTING_LIMIT,
                    marker=rows[-1]['name'] if rows else None, conn_timeout=1, response_timeout=_SECONDS,
                    headers={'X-Backend-Record-Type': 'object'}))
                page = page[1] if page else []
                rows += page
                if len(page) < LISTING_LIMIT:
                    return rows
        except Unavailable:
            return None


def merge(listings: list[list[Row]]) -> tuple[list[Row], set[str]]:
    """The newest row of each name, and the names about which the listings do not agree."""
    newest: dict[str, Row] = {}
    for row in chain.from_iterable(listings):
        there = newest.setdefault(row['name'], row)
        if modified_at(row) > modified_at(there):
            newest[row['name']] = row
    agreed = set.intersection(*({(row['name'], row['last_modified']) for row in rows} for rows in listings))
    return [newest[name] for name in sorted(newest)], set(newest) - {name for name, _ in agreed}
