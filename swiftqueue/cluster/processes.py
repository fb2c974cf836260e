"""A cluster whose servers are processes of their own, to be killed, frozen and started again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from swiftqueue.cluster import serving
from swiftqueue.cluster.site import LOOPBACK, ClusterError, Site, Spec

START_LIMIT = 30  # seconds


class Process:
    """One process of a cluster. Its log and its port are the same after each start."""

    def __init__(self, site: Site, name: str, work: list[str], spawner: ThreadPoolExecutor):
        self.name = name
        self.log = site.log(name)
        self.python = ['-m', 'swiftqueue.cluster']  # what Python runs; another program may go before it
        self._site = site
        self._spawner = spawner
        self._work = work  # what __main__ is told, after the parent
        self._child: subprocess.Popen | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def port(self) -> int:
        """Where it listens, on the loopback address unless it is a proxy."""
        return self._site.ports['proxy-1' if self.name == 'swift' else self.name]

    @property
    def alive(self) -> bool:
        """Is there a process? A frozen one counts."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start and wait until requests are accepted.

        :raises ClusterError: the process ended instead, or takes too long.
        """
        self.spawn()
        self.wait_ready()

    def spawn(self) -> None:
        """The first half of :meth:`start`, for starting many at a time."""
        with open(self.log, 'ab') as log:
            self._log_start = log.tell()
            # The kernel ties a child's life to the *thread* that started it, hence the spawner.
            # A session of its own keeps the child clear of the terminal's Ctrl-C.
            self._child = self._spawner.submit(
                subprocess.Popen,
                [sys.executable, *self.python, str(os.getpid()), *self._work],
                # Not from here: a module in this directory could pass for one of Python's.
                cwd=self._site.data, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True).result()

    def wait_ready(self) -> None:
        """The second half of :meth:`start`."""
        deadline = time.monotonic() + START_LIMIT
        while not self._accepts():
            if not self.alive:
                raise ClusterError(f'{self.name} did not start: {self.last_words()} '
                                   f'(see {self.log})')
            if time.monotonic() > deadline:
                self.kill()
                raise ClusterError(f'{self.name} was not ready after {START_LIMIT} seconds: '
                                   f'{self.last_words()} (see {self.log})')
            time.sleep(0.02)

    def wait(self) -> int:
        """Wait for the process to end by itself and return its exit status."""
        return self._child.wait()

    def kill(self) -> None:
        """End it at once, as a crash would. Starting it again is allowed."""
        self._child.kill()
        self._child.wait()

    def terminate(self) -> None:
        """Ask it to end, as an operator would, and wait until it has."""
        self._child.terminate()
        self._child.wait()

    def stop(self) -> None:
        """Freeze it: its connections stay open and silent until :meth:`cont`."""
        self._child.send_signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Let it go on."""
        self._child.send_signal(signal.SIGCONT)

    def last_words(self) -> str:
        """The last line that this start left in the log."""
        with open(self.log, errors='replace') as log:
            log.seek(self._log_start)
            lines = [line.strip() for line in log if line.strip()]
        return lines[-1].removeprefix(f'{self.name}: ') if lines else 'it left no word'

    def _accepts(self) -> bool:
        kind, _, number = self.name.partition('-')
        if kind == 'daemons':
            return self.alive
        if kind in ('proxy', 'swift'):
            return serving.answers(self._site.urls[int(number or 1) - 1])
        try:
            socket.create_connection((LOOPBACK, self.port), timeout=5).close()
        except OSError:
            return False
        return True


class Cluster:
    """A real Swift with the queue filter, in child processes. A context manager.

    ``Cluster(path)`` is one process that is everything, the same as ``swiftqueue serve``; with
    more ``nodes`` or ``proxies`` every server is a process of its own, and the cache is a memcached
    if there is one, unless it is to be the embedded one. The keywords are those of
    :class:`~swiftqueue.cluster.site.Spec`, but for the port: by default, any that are free.

    :raises ClusterError: on entering, when it cannot run; nothing is left running then.
    """

    def __init__(self, data: str | Path, *, port: int = 0, embedded_cache: bool = False, **spec: Any):
        self.spec = Spec(Path(data), port=port, **spec)
        self._site = Site(self.spec)
        self._memcached = None if self.spec.one_process or embedded_cache else find_memcached()
        self._processes: dict[str, Process] = {}
        self._running = ExitStack()

    def __enter__(self) -> Cluster:
        with ExitStack() as undo:
            undo.callback(self._running.close)
            self._running.enter_context(self._site)
            self._spawner = self._running.enter_context(ThreadPoolExecutor(1))
            self._running.callback(self._kill_all)
            self._processes = {name: self._process(name, parts) for name, parts in (
                [('swift', self._site.parts)] if self.spec.one_process
                else [(part, [part]) for part in self._site.parts])}
            for process in self._processes.values():
                process.spawn()
            for process in self._processes.values():
                process.wait_ready()
            undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._running.close()

    @property
    def urls(self) -> list[str]:
        """One address for each proxy."""
        return self._site.urls

    @property
    def cache_name(self) -> str:
        """Which cache this is, for people to read."""
        return f'{self._memcached[1]} (found on PATH)' if self._memcached else 'embedded'

    @property
    def cache(self) -> Process:
        return self.process('cache')

    @property
    def data(self) -> Path:
        return self._site.data

    @property
    def processes(self) -> list[Process]:
        return list(self._processes.values())

    def process(self, kind: str, number: int | None = None) -> Process:
        """``process('object', 2)``, ``process('cache')``, ``process('daemons')``; numbers are
        from 1. When one process is everything, that one."""
        if self.spec.one_process:
            return self._processes['swift']
        return self._processes[kind if number is None else f'{kind}-{number}']

    def conf(self, kind: str, number: int) -> Path:
        """The configuration file of one server; a change holds from that server's next start."""
        return self._site.conf(f'{kind}-{number}')

    def device(self, node: int) -> Path:
        """The directory that is the disk of a node; nodes are counted from 1."""
        return self._site.device(node)

    def run_daemons_once(self, *names: str) -> None:
        """Run background daemons, by default all, on each node once and wait for that.

        :raises ClusterError: one of them failed.
        """
        once = self._process('daemons-once', ['daemons-once', *names])
        once.spawn()
        if once.wait() != 0:
            raise ClusterError(f'a daemon failed: {once.last_words()}')

    def _process(self, name: str, parts: list[str]) -> Process:
        work = [str(self.data), name, *parts]
        if name == 'cache' and self._memcached:
            work = ['exec', self._memcached[0], '-l', LOOPBACK, '-U', '0',
                    '-p', str(self._site.ports['cache'])]
            if os.geteuid() == 0:
                work += ['-u', 'root']
        return Process(self._site, name, work, self._spawner)

    def _kill_all(self) -> None:
        # There is nothing to be gained from asking nicely: Swift keeps what it has acknowledged.
        for process in self._processes.values():
            if process.alive:
                process.kill()


def find_memcached() -> tuple[str, str] | None:
    """The path of an installed memcached and its name with version, such as memcached 1.6.18."""
    path = shutil.which('memcached')
    if path is None:
        return None
    version = subprocess.run([path, '-V'], capture_output=True, text=True).stdout
    return (path, version.strip()) if re.match(r'memcached \d', version) else None
