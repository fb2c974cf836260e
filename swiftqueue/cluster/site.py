"""Where one cluster lives: its data directory, its addresses and its locks.

The names in the data directory are all that the processes of a cluster need to find each other::

    layout.json     what can never change, because the data depends on it
    lock            held by whoever runs the cluster
    etc/            swift.conf (written once), rings, a configuration file for each server
    log/            a log for each process
    recon/          what Swift's daemons say about their passes
    node1/d1, ...   the disks, one for each node; with storage policies, node1/d1-2, ... too
    metadata/       object metadata, where the file system has no extended attributes
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import json
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from swiftqueue.cluster import config
from swiftqueue.cluster.xattrs import Sidecars

LOOPBACK = '127.0.0.1'
FRAGMENTS = 4  # of an object in the policy "coded": any two of them are enough to read it, and three to write it

# What ``policies`` adds to swift.conf: one of each kind, beside the default that all else is in, and a cheap one.
_POLICIES = '''
[storage-policy:1]
name = replicated

[storage-policy:2]
name = coded
policy_type = erasure_coding
ec_type = liberasurecode_rs_vand
ec_num_data_fragments = 2
ec_num_parity_fragments = 2

[storage-policy:3]
name = single
'''
_OPTION = re.compile(r'[a-z][a-z0-9_]*')


class ClusterError(Exception):
    """The cluster cannot run as asked; the text is one line that says why."""


@dataclass(frozen=True)
class Spec:
    """What to run. ``nodes`` and ``replicas`` (by default, up to 3) belong to the data; the rest
    may change from run to run.

    ``options`` are options of the queue filter. ``settings`` go over the generated configuration
    files, by kind of server: ``{'object': {'app:object-server': {'slow': '2'}}}``. Without
    ``xattrs``, object metadata is kept in files of its own even where there are extended
    attributes. ``part_power``, of the rings, counts for a new data directory only. ``policies``:
    three storage policies besides the default one, which a data directory then keeps for ever.
    """

    data: Path
    nodes: int = 1
    replicas: int | None = None
    proxies: int = 1
    auth: bool = True
    host: str = LOOPBACK
    port: int = 8080
    options: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    daemons: bool = True
    verbose: bool = False
    xattrs: bool = True
    part_power: int = 8
    policies: bool = False

    def __post_init__(self) -> None:
        if self.replicas is None:
            object.__setattr__(self, 'replicas', min(self.nodes, 3))

    @property
    def one_process(self) -> bool:
        return self.nodes == self.proxies == 1

    def check(self) -> None:
        """:raises ClusterError: what was asked for makes no sense."""
        for name in ('nodes', 'replicas', 'proxies'):
            if getattr(self, name) < 1:
                raise ClusterError(f'{name} must be at least 1')
        if self.replicas > self.nodes:
            raise ClusterError(f'{self.replicas} replicas need as many nodes, not {self.nodes}')
        if not 0 <= self.port <= 65536 - self.proxies:
            raise ClusterError(f'port {self.port} is out of range')
        if not self.auth and not _is_loopback(self.host):
            raise ClusterError(f'without authentication {self.host} is too open: only a loopback '
                               'address will do')
        for name, value in self.options.items():
            if name == 'use' or not _OPTION.fullmatch(name) or not str(value).isprintable():
                raise ClusterError(f'{name!r} = {value!r} is no option of the queue filter')


@dataclass(frozen=True)
class Layout:
    """What of a cluster can never change, because its data depends on it."""

    nodes: int
    replicas: int
    xattrs: bool


def read_layout(data: Path) -> Layout:
    """:raises ClusterError: the file does not say."""
    try:
        return Layout(**json.loads((data / 'layout.json').read_text()))
    except (ValueError, TypeError):
        raise ClusterError(f'{data / "layout.json"} is damaged') from None


class Site:
    """A spec made ready to run: locked, laid out, configured, its ports set aside.

    A context manager. Ports are held by sockets that are bound but do not listen: nobody else
    gets them, connections are refused as by a dead server, and a dead server can come back.

    :raises ClusterError: on entering, when it cannot run; nothing is held then.
    """

    def __init__(self, spec: Spec):
        spec.check()
        self.spec = spec
        self.data = Path(os.path.abspath(spec.data))
        self.ports: dict[str, int] = {}
        self._held = ExitStack()

    def __enter__(self) -> Site:
        with ExitStack() as undo:
            undo.callback(self._held.close)
            try:
                self._lay_out()
                self._reserve_ports()
                self._write_rings()
                config.write(self)
            except OSError as error:
                raise ClusterError(
                    f'cannot use {error.filename or self.data}: {error.strerror}') from None
            undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._held.close()

    @property
    def etc(self) -> Path:
        return self.data / 'etc'

    @property
    def servers(self) -> list[str]:
        """Names of all servers, such as ``object-2``; storage first."""
        counts = dict.fromkeys(config.STORAGE, self.spec.nodes) | {'proxy': self.spec.proxies}
        return [f'{kind}-{number}'
                for kind, count in counts.items() for number in range(1, count + 1)]

    @property
    def urls(self) -> list[str]:
        """One per proxy, as a client on this machine would say it."""
        host = {'0.0.0.0': LOOPBACK, '::': '::1'}.get(self.spec.host, self.spec.host)
        host = f'[{host}]' if ':' in host else host
        return [f'http://{host}:{self.ports[name]}'
                for name in self.servers if name.startswith('proxy')]

    @property
    def parts(self) -> list[str]:
        """Names of all that runs, in the order to start it if one process is everything."""
        return ['cache', *self.servers, *(['daemons'] if self.spec.daemons else [])]

    def conf(self, name: str) -> Path:
        return self.etc / f'{name}.conf'

    def log(self, name: str) -> Path:
        return self.data / 'log' / f'{name}.log'

    def device(self, node: int, disk: int = 1) -> Path:
        return self.data / f'node{node}' / (f'd{node}' if disk == 1 else f'd{node}-{disk}')

    @property
    def has_policies(self) -> bool:
        return '[storage-policy:1]' in (self.etc / 'swift.conf').read_text()

    @property
    def disks_for_fragments(self) -> int:
        """How many each node needs, for no two fragments of an object to be on one."""
        return -(-FRAGMENTS // self.spec.nodes)

    def _lay_out(self) -> None:
        layout_file = self.data / 'layout.json'
        self.data.mkdir(parents=True, exist_ok=True)
        if not layout_file.exists() and set(os.listdir(self.data)) - {'lock'}:
            raise ClusterError(f'{self.data} is neither empty nor the data of a cluster')
        lock = self._held.enter_context(open(self.data / 'lock', 'w'))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError(f'{self.data} is in use by another cluster') from None
        if layout_file.exists():
            self._check_layout(read_layout(self.data))
        else:
            layout = Layout(self.spec.nodes, self.spec.replicas,
                            self.spec.xattrs and has_xattrs(self.data))
            layout_file.write_text(json.dumps(asdict(layout)))
        for folder in [self.etc, self.data / 'log', self.data / 'recon']:
            folder.mkdir(parents=True, exist_ok=True)
        if not (self.etc / 'swift.conf').exists():
            self._write_swift_conf()
        if self.spec.policies and not self.has_policies:
            with open(self.etc / 'swift.conf', 'a') as file:
                file.write(_POLICIES)
        devices = [self.device(node, disk) for node in range(1, self.spec.nodes + 1)
                   for disk in range(1, (self.disks_for_fragments if self.has_policies else 1) + 1)]
        for folder in devices:
            folder.mkdir(parents=True, exist_ok=True)
        if not read_layout(self.data).xattrs:
            Sidecars(self.data / 'metadata').sweep(devices)

    def _check_layout(self, layout: Layout) -> None:
        if (layout.nodes, layout.replicas) != (self.spec.nodes, self.spec.replicas):
            raise ClusterError(
                f'{self.data} was laid out with --nodes {layout.nodes} --replicas '
                f'{layout.replicas}: say so again, or choose another data directory')
        if layout.xattrs and not (self.spec.xattrs and has_xattrs(self.data)):
            raise ClusterError(f'{self.data} was filled where there are extended attributes, and '
                               'cannot do without')

    def _write_swift_conf(self) -> None:
        # These two decide where everything lies: other values would lose what is stored.
        (self.etc / 'swift.conf').write_text(
            '[swift-hash]\n'
            f'swift_hash_path_prefix = {secrets.token_hex(16)}\n'
            f'swift_hash_path_suffix = {secrets.token_hex(16)}\n\n'
            '[storage-policy:0]\nname = Policy-0\ndefault = yes\n')

    def _reserve_ports(self) -> None:
        # Proxies first: theirs may be given, and must not go to another that takes any.
        for name in [*reversed(self.servers), 'cache']:
            kind, _, number = name.partition('-')
            host, port = LOOPBACK, 0
            if kind == 'proxy':
                host = self.spec.host
                port = self.spec.port and self.spec.port + int(number) - 1
            try:
                holder = self._held.enter_context(hold_port(host, port))
            except OSError as error:
                what = 'it is taken' if error.errno == errno.EADDRINUSE else error.strerror
                raise ClusterError(f'cannot listen on {host} port {port}: {what}') from None
            self.ports[name] = holder.getsockname()[1]

    def _write_rings(self) -> None:
        for kind in config.STORAGE:
            self._write_ring(kind, self.spec.replicas)
        if self.has_policies:
            self._write_ring('object-1', self.spec.replicas)
            self._write_ring('object-2', FRAGMENTS, self.disks_for_fragments)
            self._write_ring('object-3', 1)

    def _write_ring(self, name: str, replicas: int, disks: int = 1) -> None:
        from swift.common.ring import RingBuilder
        builder_file = str(self.etc / f'{name}.builder')
        if os.path.exists(builder_file):
            builder = RingBuilder.load(builder_file)
        else:
            builder = RingBuilder(self.spec.part_power, replicas, 0)
            for node in range(1, self.spec.nodes + 1):
                for disk in range(1, disks + 1):
                    builder.add_dev({'region': 1, 'zone': node, 'ip': LOOPBACK, 'port': 0,
                                     'device': self.device(node, disk).name, 'weight': 100.0})
            builder.rebalance()
        for device in builder.devs:
            port = self.ports[f'{name.partition("-")[0]}-{device["zone"]}']
            device['port'] = device['replication_port'] = port
        builder.save(builder_file)
        builder.get_ring().save(str(self.etc / f'{name}.ring.gz'))


def has_xattrs(folder: Path) -> bool:
    """Does the file system of ``folder`` keep user extended attributes?"""
    with tempfile.TemporaryFile(dir=folder) as probe:
        try:
            os.setxattr(probe.fileno(), 'user.swiftqueue', b'probe')
        except OSError:
            return False
    return True


def hold_port(host: str, port: int) -> socket.socket:
    """A socket bound to ``port``, 0 for any: only who reuses addresses can listen there.

    :raises OSError: the port is taken, or there is no such address.
    """
    holder = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
    try:
        # A given port is reused from the start, or a server that has just ended would seem to
        # hold it for a minute; any other only once it is ours, or two could be given the same.
        if port:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, port))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        holder.close()
        raise
    return holder


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'
