"""``swiftqueue fsck``: find what no listing shows though it should, and write its row again.

Swift finds an object by its whole name only, so the names of lost ones are to be had where the objects are: on the
disks. This looks at those of one node, reads nothing but names there, and writes to the container servers.
"""

from __future__ import annotations

import argparse
import configparser
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from eventlet import GreenPool, hubs
from swift.common import constraints, storage_policy, utils
from swift.common.exceptions import DiskFileError, DiskFileNotExist
from swift.obj import diskfile

from swiftqueue.errors import QueueError, Unavailable
from swiftqueue.limits import check_queue_name
from swiftqueue.names import TOPIC, describe
from swiftqueue.rows import Fate, Place, Rows, reclaim_age

CONF = '/etc/swift/object-server.conf'
AT_ONCE = 10  # objects that are looked after at once

Found = dict[tuple[str, str, int], set[str]]  # account, container and storage policy: names of objects


@dataclass
class Report:
    """What one run found. ``problems`` are things that could not be looked at."""

    say: Callable[[str], None]
    seen: Counter[str] = field(default_factory=Counter)  # objects, by their kind
    fates: Counter[Fate] = field(default_factory=Counter)
    problems: int = 0

    def problem(self, words: str) -> None:
        self.problems += 1
        self.say(words)

    @property
    def clean(self) -> bool:
        """Whether nothing is missing any more, as far as can be told from here."""
        return not (self.problems or self.fates[Fate.MISSING] or self.fates[Fate.OLD])

    def __str__(self) -> str:
        seen, fates = self.seen, self.fates
        return (f'{seen["messages"]} messages and {seen["claims"]} claims seen, {seen["posts"]} posts for '
                f'{seen["subscriptions"]} subscriptions; rows written again: {fates[Fate.RESTORED]}; '
                f'rows still missing: {fates[Fate.MISSING] + fates[Fate.OLD]}; left without a row: '
                f'{fates[Fate.DELETED]} acked or deleted, {fates[Fate.EXPIRED]} expired, {fates[Fate.OVER]} '
                f'of generations that are over; problems: {self.problems}')


@dataclass(frozen=True)
class Disks:
    """Where one configuration of an object server has its devices."""

    devices: str
    mount_check: bool
    swift_dir: str
    reclaim_age: float


def read_conf(path: str) -> Disks:
    """Raises ValueError or OSError for a file that is not an object server's configuration."""
    try:
        conf = utils.readconf(path, 'app:object-server')
    except configparser.Error as error:
        raise ValueError(' '.join(str(error).split())) from None
    return Disks(conf.get('devices', '/srv/node'), utils.config_true_value(conf.get('mount_check', 'true')),
                 conf.get('swift_dir', '/etc/swift'), reclaim_age(path))


def find(disks: Disks, report: Report) -> Iterator[tuple[Place, int]]:
    """All that is found by its row on the devices, and the storage policy of each. Raises OSError."""
    os.listdir(disks.devices)  # or a folder that is not there would pass for an empty one
    skipped: dict[str, list[str]] = {}
    for policy in storage_policy.POLICIES:
        for path, _, _ in utils.audit_location_generator(
                disks.devices, diskfile.get_data_dir(policy), '.data', mount_check=disks.mount_check,
                error_counter=skipped):
            try:
                place = Place(*utils.split_path(diskfile.read_metadata(path)['name'], 3, 3, True))
            except DiskFileNotExist:
                continue  # deleted just now
            except (DiskFileError, EOFError, KeyError, ValueError) as error:
                if os.path.exists(path) and not os.access(path, os.R_OK):
                    raise PermissionError(
                        f'{path} must not be read; only root and the user that Swift runs as can look here') from None
                report.problem(f'{path} cannot be read: {error or "no metadata"}')
                continue
            if place.queue:
                yield place, int(policy)
    for reason, what in skipped.items():
        for each in sorted(set(what)):
            report.problem(f'{reason.partition("_")[0]}: {each}')


def check(rows: Rows, found: Found, report: Report) -> None:
    """Look after what was found: write what rows are missing, and say so."""
    for (account, container, policy), names in sorted(found.items()):
        described = {name: describe(container, name) for name in names}
        report.seen.update(kind for kind, _ in described.values())
        try:
            lost = rows.unlisted(account, container, names)
            if lost and not rows.is_current(account, container):
                report.fates[Fate.OVER] += len(lost)
                continue
        except Unavailable as error:
            kinds = ' and '.join(sorted({kind for kind, _ in described.values()}))
            report.problem(f'{_queue(account, container, min(names))}: {len(names)} {kinds} cannot be checked: {error}')
            continue

        def attempt(name: str) -> Fate | Unavailable:
            try:
                return rows.restore(Place(account, container, name), policy)  # noqa: B023
            except Unavailable as error:
                return error

        for name, fate in zip(lost, GreenPool(AT_ONCE).imap(attempt, lost), strict=True):
            subject = f'{_queue(account, container, name)}: {described[name][1]}'
            if isinstance(fate, Unavailable):
                report.problem(f'{subject}: its row is missing, but {fate}')
                continue
            report.fates[fate] += 1
            if fate in (Fate.RESTORED, Fate.MISSING, Fate.OLD):
                report.say(f'{subject}: {fate.value}')


def _queue(*place: str) -> str:
    return '/'.join(Place(*place).queue)


def main(arguments: argparse.Namespace, xattr: Any = None) -> int:
    """Run ``swiftqueue fsck``; the exit status, 1 if anything is still missing or could not be looked at.

    ``arguments`` has ``conf``, ``account``, ``queue``, ``dry_run`` and ``include_old``. ``xattr`` stands in for
    extended attributes.
    """
    if xattr:
        diskfile.xattr = xattr
    report = Report(print)
    try:
        disks = [read_conf(str(path)) for path in arguments.conf]
        utils.monkey_patch()
        hubs.use_hub(utils.get_hub())
        utils.set_swift_dir(disks[0].swift_dir)
        constraints.reload_constraints()
        storage_policy.reload_storage_policies()
        rows = Rows(disks[0].swift_dir, dry_run=arguments.dry_run, reclaim_age=float('inf')
                    if arguments.include_old else min(each.reclaim_age for each in disks))
        _check_names(rows, arguments.account, arguments.queue)
        found: Found = defaultdict(set)
        for each in disks:
            for place, policy in find(each, report):
                account, queue = place.queue
                if arguments.account in (None, account) and arguments.queue in (None, queue):
                    found[place.account, place.container, policy].add(place.name)
        check(rows, found, report)
    except (ValueError, LookupError, OSError, QueueError) as error:
        print(f'swiftqueue: {error}', file=sys.stderr)
        return 1
    print(report)
    return 0 if report.clean else 1


def _check_names(rows: Rows, account: str | None, queue: str | None) -> None:
    """Raises ValueError for an account or a queue that does not exist, QueueError if it cannot be known."""
    if account is not None and ('/' in account or not rows.has_account(account)):
        raise ValueError(f'there is no account {account!r}')
    if queue is None:
        return
    check_queue_name(queue.removeprefix(TOPIC))
    if not rows.has_queue(account, queue):
        raise ValueError(f'there is no queue {queue!r} in {account}')
