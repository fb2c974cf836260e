"""The janitor as a daemon: which queues it looks at, when, and how fast.

Like Swift's container daemons it runs on the nodes that hold container databases, and finds queues by looking at those.
The primary nodes of a container take turns, each counting for itself; so they share the work without a word between
them, and a dead node delays it until the next one's turn and no longer.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from eventlet import Timeout, hubs, sleep
from swift.common import constraints, storage_policy, utils
from swift.common.daemon import Daemon, run_daemon
from swift.common.internal_client import InternalClient
from swift.common.ring import Ring
from swift.common.ring.utils import is_local_device
from swift.container.backend import DATADIR, ContainerBroker

from swiftqueue import accounts
from swiftqueue.errors import QueueError
from swiftqueue.janitor import Ages, Janitor, Tally, queues_of
from swiftqueue.janitor_replicas import DirectReplicas
from swiftqueue.limits import daemon_number
from swiftqueue.names import queue_container, queue_of
from swiftqueue.object_servers import Primaries
from swiftqueue.swift import Swift

SECTION = 'swiftqueue-janitor'
IDLE = 3600  # seconds between two looks at a container that is empty

NUMBERS = {  # option: default and least value
    'interval': (60, 1),
    'retention': (60, 60),
    'requests_per_second': (200, 0),
}

_FOREIGN = float('inf')  # stands for the last look at a container that is not ours: there will be no other


class JanitorDaemon(Daemon):
    """The janitor of one node, from the section ``swiftqueue-janitor`` of a configuration file.

    ``ages`` go before what the section says. Raises ValueError for a bad option.
    """

    def __init__(self, conf: dict[str, str], *, ages: Ages | None = None, dry_run: bool = False,
                 say: Callable[[str], None] | None = None, log_to_console: bool = False):
        self.conf = conf
        self.interval, retention, rate = (
            daemon_number(conf, name, *bounds, 'janitor') for name, bounds in NUMBERS.items())
        client = InternalClient(
            conf.get('internal_client_conf_path') or conf['__file__'], 'Swift Queue Janitor', 1,
            global_conf={'log_name': f'{conf.get("log_name", SECTION)}-ic'})
        self._app = client.app
        self._primaries = Primaries(client.get_object_ring)
        self._dry_run = dry_run
        self._listed: set[str] = set()  # accounts whose entries in the list of all this daemon has written
        # After the client's loggers, which would share the console: nobody wants to see every request there.
        self.logger = utils.get_logger(conf, log_to_console=log_to_console, log_route=SECTION)
        self._databases = Databases(
            [root.strip() for root in conf.get('devices', '/srv/node').split(',')],
            utils.config_true_value(conf.get('mount_check', 'true')), client.container_ring,
            utils.whataremyips(conf.get('ring_ip') or conf.get('bind_ip')), self.logger)
        self._janitor = Janitor(
            self._swift, DirectReplicas(client.container_ring, client.get_object_ring), self.logger,
            ages=ages or Ages(retention), dry_run=dry_run, pace=utils.EventletRateLimiter(rate).wait,
            say=say or self.logger.debug)

    def run_once(self, accounts: Iterable[str] = (), *, thorough: bool = False) -> Tally:
        """One pass over all queues that this node knows of, or over those of the accounts."""
        queues = self._in_accounts(accounts) if accounts else self._databases.queues()
        return self._janitor.sweep(self._with_accounts(queues), thorough=thorough)

    def run_forever(self) -> None:
        """Pass after pass, each over the queues whose turn with this node it is."""
        turn = random.randrange(1000)
        sleep(random.uniform(0, self.interval))
        while True:
            began, unfinished = time.monotonic(), 0
            try:
                tally = self._pass(turn)
                unfinished = tally.unfinished
                self.logger.info('swiftqueue: %s', tally)
            except (Exception, Timeout):
                self.logger.exception('swiftqueue: a pass failed; the next one comes')
            turn += 1
            if not unfinished:
                sleep(max(0, self.interval - (time.monotonic() - began)))

    def _pass(self, turn: int) -> Tally:
        """What the last pass left unfinished has its turn again: the other nodes may not get to it for minutes.

        So have queues that may have been idle for too long, since empty ones are hardly looked at.
        """
        idle = [queue for queue, idle_at in self._janitor.idle_at.items() if idle_at <= time.time()]
        return self._janitor.sweep(chain(
            self._janitor.unfinished, idle, self._with_accounts(self._databases.queues(turn))))

    def _with_accounts(self, queues: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """The queues; their accounts are put on the list of all before. See accounts.py."""
        for account, queue in queues:
            if account not in self._listed and not self._dry_run:
                try:
                    accounts.add(self._swift(account))
                    self._listed.add(account)
                except QueueError as error:
                    self.logger.warning('swiftqueue: %s cannot be put on the list of accounts: %s', account, error)
            yield account, queue

    def _swift(self, account: str) -> Swift:
        return Swift(self._app, {}, account, logger=self.logger, primaries=self._primaries)

    def _in_accounts(self, accounts: Iterable[str]) -> Iterator[tuple[str, str]]:
        for account in accounts:
            yield from queues_of(self._swift(account))


class Databases:
    """The container databases on this node's devices, as a way to find queues."""

    def __init__(self, roots: list[str], mount_check: bool, ring: Ring, my_ips: list[str], logger: logging.Logger):
        self.roots = roots
        self.mount_check = mount_check
        self.ring = ring
        self.my_ips = my_ips
        self.logger = logger
        # When each container was last looked into, by its hash. A hash stands for one name for ever, so that the many
        # databases that are not ours need to be opened only once.
        self._looked_at: dict[bytes, float] = {}

    def queues(self, turn: int | None = None) -> Iterator[tuple[str, str]]:
        """(account, queue), each once. With a turn: those that are this node's in that turn and not idle."""
        seen: set[tuple[str, str]] = set()
        looked_at: dict[bytes, float] = {}
        for root in self.roots:
            for path, device, _ in utils.audit_location_generator(
                    root, DATADIR, '.db', mount_check=self.mount_check, logger=self.logger):
                key = bytes.fromhex(Path(path).parent.name)
                looked_at.setdefault(key, self._looked_at.get(key, 0))
                if looked_at[key] == _FOREIGN:
                    continue
                sleep()  # others in this process have work too
                info = self._read(path)
                name = info and queue_of(info['container'])
                if info and (not name or info['container'] == queue_container(name)):  # a record leaves nothing behind
                    looked_at[key] = _FOREIGN
                elif info and (turn is None or self._is_due(info, device, turn, looked_at[key])):
                    looked_at[key] = time.monotonic()
                    queue = info['account'], name
                    if queue not in seen:
                        seen.add(queue)
                        yield queue
        self._looked_at = looked_at

    def _read(self, path: str) -> dict[str, Any] | None:
        """What the database says of its container; None if that is deleted or cannot be read."""
        try:
            info, deleted = ContainerBroker(path, logger=self.logger).get_info_is_deleted()
        except (sqlite3.Error, OSError, Timeout) as error:
            self.logger.warning('swiftqueue: cannot read %s: %s', path, error)
            return None
        return None if deleted else info

    def _is_due(self, info: dict[str, Any], device: str, turn: int, looked_at: float) -> bool:
        _, nodes = self.ring.get_nodes(info['account'], info['container'])
        node = nodes[turn % len(nodes)]
        if node['device'] != device or not is_local_device(self.my_ips, None, node['ip'], node['port']):
            return False
        return info['object_count'] > 0 or not looked_at or time.monotonic() - looked_at >= IDLE


def main(arguments: argparse.Namespace) -> int:
    """Run ``swiftqueue janitor``; the exit status, 1 if anything went wrong.

    ``arguments`` has ``conf``, ``once`` (otherwise it runs for ever), ``accounts``, ``dry_run`` and ``verbose``.
    """
    try:
        if arguments.accounts and not arguments.once:
            raise ValueError('accounts can be named with --once only')
        conf = utils.readconf(arguments.conf, SECTION)
        if utils.set_swift_dir(conf.get('swift_dir')):
            constraints.reload_constraints()
            storage_policy.reload_storage_policies()
        if arguments.once:
            return _run_once(conf, arguments)
        run_daemon(partial(JanitorDaemon, dry_run=arguments.dry_run), arguments.conf, SECTION,
                   verbose=arguments.verbose)
    except (ValueError, LookupError, OSError, QueueError) as error:
        print(f'swiftqueue: {error}', file=sys.stderr)
        return 1
    return 0


def _run_once(conf: dict[str, str], arguments: argparse.Namespace) -> int:
    utils.monkey_patch()
    hubs.use_hub(utils.get_hub())
    if os.geteuid() == 0:
        # Looking into a database leaves lock files beside it, and they have to be the servers'.
        user = conf.get('user', 'swift')
        try:
            utils.drop_privileges(user)
        except KeyError:
            raise ValueError(f'there is no user {user!r}: option user names the one that Swift runs as') from None
    daemon = JanitorDaemon(conf, dry_run=arguments.dry_run, log_to_console=True,
                           say=print if arguments.verbose or arguments.dry_run else None)
    tally = daemon.run_once(arguments.accounts, thorough=True)
    print(tally)
    return 1 if tally.errors else 0
