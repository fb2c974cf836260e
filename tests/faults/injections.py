"""What can be done to a cluster, as context managers that undo it; and how to see that it was done."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from hashlib import md5
from pathlib import Path

from faults.relay import LOOPBACK, Relay
from faults.rig import NODES, Rig, require
from swiftqueue.cluster import Cluster, Process
from swiftqueue.cluster.site import hold_port
from swiftqueue.ids import Ids
from swiftqueue.names import Envelope, message_name, parse_container

Settings = dict[str, dict[str, str]]

FULL: Settings = {'DEFAULT': {'disable_fallocate': 'false', 'fallocate_reserve': '99%'}}


# -- servers -------------------------------------------------------------------------------------

@contextmanager
def killed(*servers: Process) -> Iterator[None]:
    """kill -9, and a start in the end."""
    for server in servers:
        server.kill()
    require(all(refuses(server.port) for server in servers), 'killed servers refuse connections')
    yield
    start(*servers)


@contextmanager
def frozen(*servers: Process) -> Iterator[None]:
    """SIGSTOP, and SIGCONT in the end."""
    for server in servers:
        server.stop()
    deadline = time.monotonic() + 5
    while not all(state(server) == 'T' for server in servers):
        require(time.monotonic() < deadline, 'frozen servers are stopped')
        time.sleep(0.01)
    yield
    for server in servers:
        server.cont()


def start(*servers: Process) -> None:
    for server in servers:
        server.spawn()
    for server in servers:
        server.wait_ready()


def refuses(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def state(server: Process) -> str:
    """What the kernel says of the process: T if it is frozen."""
    return Path(f'/proc/{server.pid}/stat').read_text().rpartition(')')[2].split()[0]


@contextmanager
def configured(cluster: Cluster, servers: list[Process], settings: Settings) -> Iterator[None]:
    """The servers run with other settings, by section; they are killed and started for that, twice."""
    try:
        with _edited(cluster, servers, settings):
            restart(*servers)
            yield
    finally:
        restart(*servers)


@contextmanager
def _edited(cluster: Cluster, servers: list[Process], settings: Settings) -> Iterator[None]:
    confs = [cluster.conf(*server.name.split('-')) for server in servers]
    before = [conf.read_text() for conf in confs]
    for conf in confs:
        parser = RawConfigParser(default_section='unused')
        parser.optionxform = str
        parser.read(conf)
        parser.read_dict(settings)
        with open(conf, 'w') as file:
            parser.write(file)
    try:
        yield
    finally:
        for conf, text in zip(confs, before, strict=True):
            conf.write_text(text)


def restart(*servers: Process) -> None:
    for server in servers:
        server.kill()
    start(*servers)


# -- disks ---------------------------------------------------------------------------------------

@contextmanager
def unmounted(cluster: Cluster, node: int) -> Iterator[None]:
    """The node's disk is not there: its servers answer 507."""
    device = cluster.device(node)
    away = device.with_name('away')
    device.rename(away)
    device.touch()  # or a server that was busy there would make the directory anew
    try:
        yield
    finally:
        device.unlink()
        away.rename(device)


def databases(cluster: Cluster, queue: str, kind: str, nodes: tuple[int, ...] = NODES) -> list[Path]:
    """The database files of the queue's messages or claims, one for each node."""
    return [path for node in nodes for path in cluster.device(node).glob('containers/**/*.db')
            if (parse_container(container_of(path)) or ())[:2] == (kind, queue)]


def container_of(database: Path) -> str:
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return connection.execute('SELECT container FROM container_stat').fetchone()[0]


def rows(database: Path) -> set[str]:
    """The names that the database lists, without what waits beside it to be merged."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return {name for name, in connection.execute('SELECT name FROM object WHERE deleted = 0')}


def unmerged(database: Path) -> int:
    """How many rows wait beside the database, since it was last read."""
    pending = Path(f'{database}.pending')
    return pending.read_bytes().count(b':') if pending.exists() else 0


@contextmanager
def locked(paths: list[Path]) -> Iterator[None]:
    """Somebody else writes to the databases and does not come to an end."""
    with ExitStack() as held:
        for path in paths:
            connection = held.enter_context(closing(sqlite3.connect(path, timeout=30, isolation_level=None)))
            connection.execute('BEGIN EXCLUSIVE')
        yield


def async_pending(cluster: Cluster) -> int:
    """How many rows object servers still have to tell container servers of."""
    return sum(1 for node in NODES for path in cluster.device(node).glob('async_pending*/*/*') if path.is_file())


def objects(cluster: Cluster) -> set[Path]:
    """The files of objects, on all disks together."""
    return {path for node in NODES for path in cluster.device(node).glob('objects/*/*/*/*.data')}


def forget_unsynced_rows(cluster: Cluster) -> int:
    """What a loss of power would do to rows that were answered for but not synced; how many files of them."""
    files = [path for node in NODES for path in cluster.device(node).glob('containers/**/*.db.pending')
             if path.stat().st_size]
    for path in files:
        path.unlink()
    return len(files)


# -- network and cache ---------------------------------------------------------------------------

@contextmanager
def relayed(cluster: Cluster, server: Process, seed: int) -> Iterator[Relay]:
    """A relay in the server's place. The server listens elsewhere, and is killed and started for that, twice."""
    with hold_port(LOOPBACK, 0) as holder:
        port = holder.getsockname()[1]
        try:
            with _edited(cluster, [server], {'DEFAULT': {'bind_port': str(port)}}):
                server.kill()
                with Relay(port, server.port, seed) as relay:
                    server.spawn()
                    while refuses(port):
                        time.sleep(0.02)
                    yield relay
        finally:
            restart(server)


@contextmanager
def relayed_proxies(rig: Rig, seed: int) -> Iterator[list[Relay]]:
    """A relay before each proxy."""
    with ExitStack() as held:
        yield [held.enter_context(Relay(proxy.port, seed=seed + number)) for number, proxy in enumerate(rig.proxies)]


def flush(cache: Process) -> None:
    with socket.create_connection((LOOPBACK, cache.port), timeout=5) as connection:
        connection.sendall(b'flush_all\r\n')
        require(connection.recv(100) == b'OK\r\n', 'the cache is flushed')


# -- rows ----------------------------------------------------------------------------------------

def bury_the_head(cluster: Cluster, queue: str, count: int, *, deleted: bool) -> Callable[[], None]:
    """Put rows before all messages of the queue: of deleted ones, or of ones that expired a minute ago.

    What is returned deletes them.
    """
    hour_ago = time.time() - 3600
    source = Ids(lambda: hour_ago)
    names = [message_name(source.new()) for _ in range(count)]
    row, = Envelope('old', hour_ago, 3540, 0, hour_ago + 3540).row(md5(b'old').hexdigest(), 4096).values()
    write_rows(cluster, queue, names, hour_ago, '' if deleted else row)
    return partial(write_rows, cluster, queue, names, hour_ago + 1)


def write_rows(cluster: Cluster, queue: str, names: list[str], instant: float, etag: str = '') -> None:
    """Write rows of messages into every database; without an etag they say that the messages are deleted."""
    from swift.common.utils import Timestamp
    from swift.container.backend import ContainerBroker
    for path in databases(cluster, queue, 'messages'):
        ContainerBroker(str(path)).merge_items([
            {'name': name, 'created_at': Timestamp(instant).internal, 'size': 0, 'deleted': int(not etag),
             'content_type': 'application/json', 'etag': etag or 'noetag', 'storage_policy_index': 0}
            for name in names])
