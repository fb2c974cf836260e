"""Swift's background daemons, in modest form: a table, and loops that run them again and again.

They are green threads of one process, beside the servers when everything is one process. That
is safe because nothing here forks (``swift_daemons`` sees to it), and frugal: a process of
Swift takes some 60 MB, and Swift would start half a dozen for each node.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Daemon:
    """One background daemon, run every ``interval`` seconds or so.

    ``conf`` says whose configuration file has the daemon's section: a kind of storage server,
    then there is one such daemon for each node; or a file of its own, which configures an
    internal client too, then there is one in the cluster. ``factory`` makes, from that section,
    an object with a ``run_once`` method; with ``always``, also a ``run_forever`` method that keeps the interval itself.
    ``policies``: only where there is more than one of them.
    """

    name: str
    conf: str
    factory: str
    interval: int
    several_nodes: bool = False
    always: bool = False
    policies: bool = False
    options: dict[str, str] = field(default_factory=dict)


DAEMONS = (
    Daemon('object-updater', 'object', 'swiftqueue.cluster.swift_daemons:ObjectUpdater', 5,
           options={'objects_per_second': '5000'}),
    Daemon('container-updater', 'container', 'swift.container.updater:ContainerUpdater', 5,
           options={'containers_per_second': '5000'}),
    Daemon('object-expirer', 'object-expirer', 'swift.obj.expirer:ObjectExpirer', 10,
           options={'tasks_per_second': '500'}),
    Daemon('account-replicator', 'account',
           'swiftqueue.cluster.swift_daemons:AccountReplicator', 30, several_nodes=True),
    Daemon('container-replicator', 'container',
           'swiftqueue.cluster.swift_daemons:ContainerReplicator', 15, several_nodes=True,
           options={'databases_per_second': '500'}),
    # ssync goes through the object servers and needs no rsync.
    Daemon('object-replicator', 'object', 'swift.obj.replicator:ObjectReplicator', 30,
           several_nodes=True, options={'sync_method': 'ssync'}),
    Daemon('object-reconstructor', 'object', 'swift.obj.reconstructor:ObjectReconstructor', 30,
           several_nodes=True, policies=True),
    Daemon('swiftqueue-janitor', 'swiftqueue-janitor', 'swiftqueue.janitor_daemon:JanitorDaemon', 30),
    Daemon('swiftqueue-notifier', 'swiftqueue-notifier', 'swiftqueue.notifier_daemon:NotifierDaemon', 2, always=True),
)


def start(etc: Path) -> None:
    """Run every daemon for ever, each in a green thread."""
    import eventlet
    for daemon, conf in _places(etc):
        eventlet.spawn_n(_run_for_ever, daemon, conf)


def run_once(etc: Path, names: Sequence[str] = ()) -> None:
    """Run the named daemons, or all in the order of the table, one after the other on every node."""
    for name in names or [daemon.name for daemon in DAEMONS]:
        for daemon, conf in _places(etc):
            if daemon.name == name:
                _make(daemon, conf).run_once()


def _places(etc: Path) -> Iterator[tuple[Daemon, Path]]:
    several_nodes, policies = (etc / 'object-2.conf').exists(), (etc / 'object-2.ring.gz').exists()
    for daemon in DAEMONS:
        if (several_nodes or not daemon.several_nodes) and (policies or not daemon.policies):
            for conf in sorted([*etc.glob(f'{daemon.conf}-[0-9]*.conf'),
                                *etc.glob(f'{daemon.conf}.conf')]):
                yield daemon, conf


def _run_for_ever(daemon: Daemon, conf_file: Path) -> None:
    import eventlet
    from swift.common.utils import get_logger, readconf
    interval = float(readconf(str(conf_file), daemon.name)['interval'])
    logger = get_logger({}, daemon.name)
    instance = None
    while True:
        # Not all at once, and not in the way of whoever waits for the servers to be ready.
        eventlet.sleep(interval * random.uniform(0.5, 1.5))
        try:
            instance = instance or _make(daemon, conf_file)
            instance.run_forever() if daemon.always else instance.run_once()
        except (Exception, eventlet.Timeout):
            logger.exception('a pass failed; the next one comes')


def _make(daemon: Daemon, conf_file: Path) -> Any:
    from swift.common.utils import readconf
    module, _, name = daemon.factory.partition(':')
    return getattr(import_module(module), name)(readconf(str(conf_file), daemon.name))
