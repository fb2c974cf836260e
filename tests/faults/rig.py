"""The cluster that faults are tried on, and how it is put in order again."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from faults.skewed_clock import OFFSET
from swiftqueue.cluster import Cluster, Process

HERE = Path(__file__).parent
NODES = (1, 2, 3)
OPTIONS = {'min_claim_ttl': '1', 'min_claim_grace': '0', 'min_message_ttl': '1'}


class NoEffect(Exception):
    """The fault could not be seen, so surviving it proves nothing."""


def require(truth: object, what: str) -> None:
    """Raises NoEffect unless ``what`` is so."""
    if not truth:
        raise NoEffect(f'not so: {what}')


class Rig:
    """A cluster of three nodes, three replicas and two proxies whose clocks can be set. A context manager.

    ``auth``: requests have to be signed or to carry a token. ``options`` are those of the queue filter.
    """

    def __init__(self, *, embedded_cache: bool = False, auth: bool = False, **options: object):
        self.folder = Path(tempfile.mkdtemp(prefix='swiftqueue-faults-'))
        self.cluster = Cluster(self.folder / 'cluster', nodes=3, proxies=2, auth=auth, daemons=False,
                               options=OPTIONS | options, embedded_cache=embedded_cache, part_power=5)
        self.keep = False  # the folder, with histories and logs
        self._running = ExitStack()

    def __enter__(self) -> Rig:
        self._running.callback(self._clean_up)
        with ExitStack() as undo:
            undo.callback(self._running.close)
            self._running.enter_context(self.cluster)
            for proxy in self.proxies:
                proxy.kill()
                self.set_clock(proxy, 0)
                proxy.python = [str(HERE / 'skewed_clock.py'), str(self._clock(proxy))]
                proxy.spawn()
            for proxy in self.proxies:
                proxy.wait_ready()
            undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        self.keep = self.keep or kind is not None
        self._running.close()

    def _clean_up(self) -> None:
        if self.keep:
            print(f'histories and logs are in {self.folder}')
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def cache_name(self) -> str:
        return self.cluster.cache_name.removesuffix(' (found on PATH)')

    @property
    def proxies(self) -> list[Process]:
        return [self.cluster.process('proxy', number) for number in (1, 2)]

    def set_clock(self, proxy: Process, offset: float) -> None:
        """Have the proxy believe that it is ``offset`` seconds later than it is."""
        with open(self._clock(proxy), 'r+b' if self._clock(proxy).exists() else 'wb') as file:
            file.write(OFFSET.pack(offset))  # in place: the proxy has the file mapped, and must never find it empty

    def _clock(self, proxy: Process) -> Path:
        return self.cluster.data / f'{proxy.name}.clock'

    def servers(self, *kinds: str) -> list[Process]:
        return [self.cluster.process(kind, node) for kind in kinds for node in NODES]

    def repair(self) -> None:
        """Everything runs again, and at the right time."""
        for proxy in self.proxies:
            if self._clock(proxy).read_bytes() != OFFSET.pack(0):
                # A new process, because this one may shun servers until an instant that is far away now.
                proxy.kill()
                self.set_clock(proxy, 0)
        dead = [process for process in self.cluster.processes if not process.alive]
        for process in self.cluster.processes:
            process.spawn() if process in dead else process.cont()
        for process in dead:
            process.wait_ready()
