"""Which accounts have queues: a list in the service's own account, since Swift keeps none of its accounts.

An entry is an object ``NUMBER/ACCOUNT``. The janitor writes one for each account in which it finds a queue, and an
account is written at once when it gives others rights to a queue, since these may know it by its number alone.
Entries stay: an account without queues is one to who reads the list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from swiftqueue.swift import GenerationGone, Swift

_CONTAINER = 'accounts'


def number_of(account: str) -> str:
    """Twelve digits that stand for the account, made of its name."""
    return f'{int.from_bytes(hashlib.sha256(account.encode()).digest(), "big") % 10 ** 12:012d}'


def add(swift: Swift) -> None:
    """Have the account of ``swift`` listed. Raises Unavailable."""
    swift.service().enlist(_CONTAINER, _entry(swift.account))


def find(swift: Swift, number: str) -> str | None:
    """The listed account of that number; None if there is none, or more than one. Raises Unavailable."""
    try:
        rows = swift.service().listing(_CONTAINER, prefix=f'{number}/', limit=2)
    except GenerationGone:
        return None
    return rows[0]['name'].partition('/')[2] if len(rows) == 1 else None


def is_listed(swift: Swift, account: str) -> bool:
    """Raises Unavailable."""
    return swift.service().head_newest(_CONTAINER, _entry(account)) is not None


def listed(swift: Swift, after: str = '') -> Iterator[str]:
    """All accounts, in an order of their own, or those after that one. Raises Unavailable."""
    try:
        for rows in swift.service().pages(_CONTAINER, marker=_entry(after) if after else ''):
            yield from (row['name'].partition('/')[2] for row in rows)
    except GenerationGone:  # no janitor has been there yet
        return


def _entry(account: str) -> str:
    return f'{number_of(account)}/{account}'
