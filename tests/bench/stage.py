"""What is put under load: a cluster of its own with the meter in its pipeline, or somebody's endpoint."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import requests

from bench import METER_PATH
from bench.load import Client
from bench.operations import CLIENT_ID
from swiftqueue.cluster import Cluster
from swiftqueue.cluster.config import PIPELINE

EMPTY: Mapping = MappingProxyType({})
TICK = 1 / os.sysconf('SC_CLK_TCK')  # of the CPU times in /proc, in seconds
_SETTLING, _LOOK = 10, 0.5  # seconds
_IDLE = 0.3  # of one CPU; daemons always do something
# Ten messages of 64 KB in one post are more than the default allows.
OPTIONS = {'max_messages_post_size': str(2 ** 20)}
SETTINGS = {'proxy': {
    'pipeline:main': {'pipeline': PIPELINE.replace(' queue ', ' meter-queue queue meter-swift ')},
    'filter:meter-queue': {'paste.filter_factory': 'bench.meter:filter_factory', 'zone': 'queue'},
    'filter:meter-swift': {'paste.filter_factory': 'bench.meter:filter_factory', 'zone': 'swift'},
}}


@dataclass(frozen=True)
class Stage:
    """``account`` is the path of the user's Swift account, '' where there is no raw Swift to measure."""

    urls: list[str]
    headers: Mapping[str, str]
    account: str = ''
    cluster: Cluster | None = None

    @contextmanager
    def connected(self, number: int) -> Iterator[list[Client]]:
        """That many clients, spread over all proxies."""
        clients = [Client(self.urls[each % len(self.urls)], each, self.headers) for each in range(number)]
        try:
            yield clients
        finally:
            for client in clients:
                client.close()

    def cpu(self) -> Counter[str]:
        """CPU seconds spent so far: by the proxies, the storage servers, the daemons, the cache."""
        seconds: Counter[str] = Counter()
        for name, spent in self.cpu_by_process().items():
            kind = name.partition('-')[0]
            seconds['storage' if kind in ('account', 'container', 'object') else kind] += spent
        return seconds

    def settle(self) -> None:
        """Wait until the cluster is done with what was asked of it, or for as long as that may take at most."""
        until = time.monotonic() + _SETTLING
        before = sum(self.cpu().values())
        while self.cluster and time.monotonic() < until:
            time.sleep(_LOOK)
            now = sum(self.cpu().values())
            if now - before < _IDLE * _LOOK:
                return
            before = now

    def cpu_by_process(self) -> Counter[str]:
        """CPU seconds spent so far by each process of the cluster."""
        seconds: Counter[str] = Counter()
        for process in self.cluster.processes if self.cluster else []:
            # After the name, which may hold anything, come the state and then numbers.
            fields = Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2].split()
            seconds[process.name] = (int(fields[11]) + int(fields[12])) * TICK
        return seconds

    def requests(self, trace: str = '') -> tuple[Counter[str], Counter[str]]:
        """The queue's Swift requests by method, and CPU seconds by zone: see :mod:`bench.meter`."""
        counts: Counter[str] = Counter()
        zones: Counter[str] = Counter()
        for url in self.urls if self.cluster else []:
            told = requests.get(url + METER_PATH, headers=self.headers, params={'trace': trace} if trace else {},
                                timeout=30).json()
            counts.update(told['counts'])
            zones.update(told['cpu'])
        return counts, zones


@contextmanager
def own_cluster(folder: Path, proxies: int = 1, *, daemons: bool = True,
                settings: Mapping[str, Mapping[str, Mapping[str, str]]] = EMPTY,
                options: Mapping[str, str] = EMPTY, replicas: int = 3) -> Iterator[Stage]:
    """Three nodes, each server a process of its own."""
    before = os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = str(Path(__file__).parents[1])  # where the proxies find the meter
    try:
        with Cluster(folder, nodes=3, replicas=replicas, proxies=proxies, daemons=daemons,
                     options=OPTIONS | dict(options), settings=SETTINGS | dict(settings)) as cluster:
            headers, storage_url = log_in(cluster.urls[0], 'test:tester', 'testing')
            account = '/' + storage_url.split('/', 3)[3]
            yield Stage(cluster.urls, headers, account, cluster)
    finally:
        if before is None:
            del os.environ['PYTHONPATH']
        else:
            os.environ['PYTHONPATH'] = before


def log_in(url: str, user: str, key: str) -> tuple[dict[str, str], str]:
    """The headers that name the user from now on, and the storage URL. Raises requests.RequestException."""
    answer = requests.get(f'{url}/auth/v1.0', headers={'X-Auth-User': user, 'X-Auth-Key': key}, timeout=30)
    answer.raise_for_status()
    return said(answer.headers['X-Auth-Token']), answer.headers['X-Storage-Url']


def said(token: str = '', project: str = '') -> dict[str, str]:
    """The headers of every request."""
    headers = {'Client-ID': CLIENT_ID, 'Content-Type': 'application/json',
               'Accept': 'application/json'}
    return headers | ({'X-Auth-Token': token} if token else {}) | ({'X-Project-Id': project} if project else {})
