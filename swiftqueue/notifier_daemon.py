"""The notifier as a daemon: ``swiftqueue notifier``, from the section ``swiftqueue-notifier`` of a file."""

from __future__ import annotations

import argparse
import math
import sys
import time
from functools import partial
from typing import Any

from eventlet import Timeout, sleep
from swift.common import constraints, storage_policy, utils
from swift.common.daemon import Daemon, run_daemon
from swift.common.internal_client import InternalClient
from swift.common.middleware.memcache import MemcacheMiddleware

from swiftqueue.container_servers import ContainerServers
from swiftqueue.errors import QueueError
from swiftqueue.limits import Options, daemon_number
from swiftqueue.majorities import Majorities
from swiftqueue.notifier import Notifier
from swiftqueue.object_servers import Primaries
from swiftqueue.queues import Engine
from swiftqueue.swift import Swift, chain, encrypts
from swiftqueue.webhooks import Networks, Sender, parse_networks

SECTION = 'swiftqueue-notifier'
WATCH = 0.2  # seconds between two looks at the bells

_SPARE = 10  # seconds for the requests to Swift before and after one to a webhook

NUMBERS = {  # option: default and least value
    'interval': (5, 0.1),
    'workers': (100, 1),
    'webhook_timeout': (10, 0.1),
}


class NotifierDaemon(Daemon):
    """A notifier, from its section of a configuration file. Raises ValueError for a bad option."""

    def __init__(self, conf: dict[str, str]):
        self.conf = conf
        self.interval, workers, seconds = (
            daemon_number(conf, name, *bounds, 'notifier') for name, bounds in NUMBERS.items())
        networks = Networks(*(_networks(conf, name) for name in ('allowed_networks', 'denied_networks')))
        client = InternalClient(
            conf.get('internal_client_conf_path') or conf['__file__'], 'Swift Queue Notifier', 1,
            global_conf={'log_name': f'{conf.get("log_name", SECTION)}-ic'})
        self._app = client.app
        self._cache = next((each.memcache for each in chain(client.app) if isinstance(each, MemcacheMiddleware)), None)
        self.logger = utils.get_logger(conf, log_route=SECTION)
        # The key signs the claims on what is on its way to webhooks, which nobody else gets to see.
        self._engine = Engine(Options(), SECTION.encode(), encrypted=encrypts(client.app),
                              primaries=Primaries(client.get_object_ring),
                              majorities=Majorities(client.container_ring))
        sender = Sender(networks, seconds=seconds)
        self._notifier = Notifier(self._engine, self._swift, ContainerServers(client.container_ring), sender.send,
                                  self.logger, workers=int(workers), hold=math.ceil(seconds) + _SPARE)

    def run_once(self, *args: Any, **kwargs: Any) -> None:
        """One look at everything."""
        self._notifier.run_once()

    def run_forever(self, *args: Any, **kwargs: Any) -> None:
        """Look at what has rung at once, and at everything every so often."""
        looked_at = -math.inf
        while True:
            try:
                if time.monotonic() - looked_at >= self.interval:
                    looked_at = time.monotonic()
                    self._notifier.read_sources()
                    self._notifier.look()
                else:
                    self._notifier.look(rung=True)
            except (Exception, Timeout):
                self.logger.exception('swiftqueue: a look failed; the next one comes')
            sleep(WATCH)

    def _swift(self, account: str) -> Swift:
        return Swift(self._app, {'swift.cache': self._cache}, account, logger=self.logger,
                     infocache=self._engine.infocache(), primaries=self._engine.primaries,
                     majorities=self._engine.majorities)


def _networks(conf: dict[str, str], name: str) -> tuple:
    try:
        return parse_networks(conf.get(name, ''))
    except ValueError as error:
        raise ValueError(f'option {name!r} of the notifier: {error}') from None


def main(arguments: argparse.Namespace) -> int:
    """Run ``swiftqueue notifier``; the exit status. ``arguments`` has ``conf``, ``once`` and ``verbose``."""
    try:
        conf = utils.readconf(arguments.conf, SECTION)
        if utils.set_swift_dir(conf.get('swift_dir')):
            constraints.reload_constraints()
            storage_policy.reload_storage_policies()
        run_daemon(partial(NotifierDaemon), arguments.conf, SECTION, once=arguments.once, verbose=arguments.verbose)
    except (ValueError, LookupError, OSError, QueueError) as error:
        print(f'swiftqueue: {error}', file=sys.stderr)
        return 1
    return 0
