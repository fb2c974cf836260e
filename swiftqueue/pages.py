"""Pages that were listed a moment ago, shared by all readers of one process who read the same part of a queue.

A listing is one replica's view and a little late anyway, so for about a second it serves everybody, unless there is
news. However many follow a queue, it is then listed once a second and once after each post.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from eventlet.semaphore import Semaphore

from swiftqueue.head import Entry

_MOST = 256  # pages kept
_LARGE = 200  # entries; a larger page is not kept


@dataclass(frozen=True)
class Listed:
    """A page of entries as it was listed; whoever is given one must not change it."""

    entries: list[Entry]
    complete: bool  # nothing comes after them
    listed_at: float  # right before


@dataclass(frozen=True)
class _Kept:
    page: Listed
    since: float  # on the monotonic clock
    news: Any


class Pages:
    """Those of one process. A page is shown for ``seconds``."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]):
        self.seconds = seconds
        self.monotonic = monotonic
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()  # the oldest first
        self._listing: WeakValueDictionary[Hashable, Semaphore] = WeakValueDictionary()

    def get(self, key: Hashable, news: Callable[[], Any], listing: Callable[[], Listed]) -> Listed:
        """The page of that key, from ``listing`` if it is too old or ``news`` is not what it was then.

        Raises what ``listing`` raises.
        """
        page = self._recent(key, news)
        if page is None:
            with self._listing.setdefault(key, Semaphore()):  # one listing for all who ask meanwhile
                page = self._recent(key, news) or self._list(key, news, listing)
        return page

    def _recent(self, key: Hashable, news: Callable[[], Any]) -> Listed | None:
        kept = self._kept.get(key)
        if kept and self.monotonic() - kept.since < self.seconds and news() == kept.news:
            return kept.page
        return None

    def _list(self, key: Hashable, news: Callable[[], Any], listing: Callable[[], Listed]) -> Listed:
        since, heard = self.monotonic(), news()
        page = listing()
        self._kept.pop(key, None)
        if len(page.entries) <= _LARGE:
            self._kept[key] = _Kept(page, since, heard)
        while self._kept and (len(self._kept) > _MOST
                              or since - next(iter(self._kept.values())).since >= self.seconds):
            self._kept.popitem(last=False)
        return page
