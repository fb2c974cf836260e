"""A watcher for Swift's object auditor: writes the rows again of what no listing shows though it should.

Swift's own way to look at every object of a node, again and again. Section of ``object-server.conf``:

==============  =======  ==========================================================================
option          default  meaning
==============  =======  ==========================================================================
``grace_age``   3600     seconds for which an object is left alone: its row may still be on its way
``dry_run``     false    only log what is missing
==============  =======  ==========================================================================
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

from swift.common.utils import Timestamp, config_true_value, non_negative_float, split_path
from swift.obj.diskfile import extract_policy

from swiftqueue.errors import QueueError
from swiftqueue.rows import Fate, Place, Rows, reclaim_age


class RowWatcher:
    """Made by the auditor for each of its passes. Raises ValueError for a bad option."""

    def __init__(self, conf: dict[str, Any], logger: logging.Logger):
        self.logger = logger
        self.grace_age = non_negative_float(conf.get('grace_age', 3600))
        self.rows = Rows(conf.get('swift_dir', '/etc/swift'), reclaim_age=reclaim_age(conf['__file__']),
                         dry_run=config_true_value(conf.get('dry_run', 'false')))
        self.looks = False
        self.fates: Counter[Fate] = Counter()
        self.young = self.unknown = 0

    def start(self, audit_type: str, **_: Any) -> None:
        """The auditor begins a pass. The one over empty files alone is not for us: the other sees these, too."""
        self.looks = audit_type != 'ZBF'
        self.fates.clear()
        self.young = self.unknown = 0

    def see_object(self, object_metadata: dict[str, Any], data_file_path: str, **_: Any) -> None:
        """Look after one object of this node."""
        if not self.looks:
            return
        place = Place(*split_path(object_metadata['name'], 3, 3, True))
        if not place.queue:
            return
        if time.time() - float(Timestamp(object_metadata['X-Timestamp'])) < self.grace_age:
            self.young += 1
            return
        try:
            fate = self._fate(place, int(extract_policy(data_file_path)))
        except QueueError as error:
            self.unknown += 1
            self.logger.warning('swiftqueue: %r cannot be checked: %s', '/'.join(place), error)
            return
        self.fates[fate] += 1
        if fate in (Fate.RESTORED, Fate.MISSING, Fate.OLD):
            self.logger.warning('swiftqueue: %r: %s', '/'.join(place), fate.value)

    def _fate(self, place: Place, policy: int) -> Fate:
        if self.rows.is_listed(place):
            return Fate.LISTED
        if not self.rows.is_current(place.account, place.container):
            return Fate.OVER
        return self.rows.restore(place, policy)

    def end(self, **_: Any) -> None:
        """The pass is over."""
        if self.looks:
            self.logger.info('swiftqueue: %s; too young to say: %d; cannot be checked: %d', '; '.join(
                f'{fate.value}: {self.fates[fate]}' for fate in Fate), self.young, self.unknown)
