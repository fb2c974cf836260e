"""What the processes of a cluster do: serve one of the WSGI servers or all, cache, run daemons."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from swiftqueue.cluster import daemons, memcache
from swiftqueue.cluster.site import ClusterError, read_layout
from swiftqueue.cluster.xattrs import Sidecars


def start(data: Path, name: str, parts: Sequence[str]) -> None:
    """Make this process one of the cluster at ``data``, doing what the names of parts say.

    Returns when its sockets listen; the work is done by green threads. The part ``daemons-once``,
    whose names of daemons follow, is done on return.

    :raises ClusterError: a server does not start, for a bad option perhaps.
    """
    _enter_swift(data, name)
    if parts[0] == 'daemons-once':
        daemons.run_once(data / 'etc', parts[1:])
        return
    for part in parts:
        if part == 'cache':
            _start_cache(data / 'etc')
        elif part == 'daemons':
            daemons.start(data / 'etc')
        else:
            _start_server(data / 'etc' / f'{part}.conf')


@contextmanager
def signals_caught() -> Iterator[Callable[..., bool]]:
    """SIGINT and SIGTERM do nothing but end the call of what this context gives.

    That takes for how many seconds to wait, by default for ever, and returns whether there was a signal.
    """
    # A handler that raised would raise in whichever green thread happens to run, and code in
    # there may swallow it. A socket wakes the one that waits, even while all others sleep.
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)

        def wait(seconds: float | None = None) -> bool:
            receiver.settimeout(seconds)
            try:
                return bool(receiver.recv(1))
            except TimeoutError:
                return False
        yield wait
        signal.set_wakeup_fd(-1)


def answers(url: str) -> bool:
    """Is there a server at ``url`` that answers a health check?"""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=5)
    try:
        connection.request('GET', '/healthcheck')
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _enter_swift(data: Path, name: str) -> None:
    from swift.common import constraints, storage_policy, utils
    utils.monkey_patch()
    import eventlet
    eventlet.hubs.use_hub(utils.get_hub())
    eventlet.debug.hub_exceptions(False)
    os.environ['TZ'] = 'UTC+0'  # like Swift itself
    time.tzset()
    _log_to(data / 'log' / f'{name}.log')
    utils.set_swift_dir(str(data / 'etc'))
    constraints.reload_constraints()
    storage_policy.reload_storage_policies()
    if not read_layout(data).xattrs:
        from swift.obj import diskfile
        diskfile.xattr = Sidecars(data / 'metadata')


def _log_to(path: Path) -> None:
    """Send to one file whatever Swift would send to syslog, and others to the terminal."""
    from swift.common.utils import logs

    class LogFile(logging.FileHandler):
        def createLock(self) -> None:
            # Green threads and real ones log here, and no lock of Python's serves both.
            self.lock = logs.NoopMutex()

        def setFormatter(self, _formatter: logging.Formatter | None) -> None:
            super().setFormatter(logs.SwiftLogFormatter(
                '%(asctime)s %(levelname)s %(server)s: %(message)s'))

    log_file = LogFile(path)
    log_file.setFormatter(None)
    logging.getLogger().addHandler(log_file)
    # Not every logger of Swift's is given the configuration, so log_custom_handlers in there
    # would miss some.
    logs.ThreadSafeSysLogHandler = lambda **_where: log_file


def _start_server(conf_file: Path) -> None:
    """Serve the app of a paste configuration, the way swift.common.wsgi.run_server does."""
    import eventlet
    from eventlet import wsgi
    from swift.common import constraints, utils
    from swift.common.http_protocol import SwiftHttpProtocol
    from swift.common.wsgi import RestrictedGreenPool, load_app_config, loadapp
    try:
        conf = load_app_config(str(conf_file))
        if utils.config_true_value(conf.get('disable_fallocate', 'no')):
            utils.disable_fallocate()
        if 'fallocate_reserve' in conf:
            utils.FALLOCATE_RESERVE, utils.FALLOCATE_IS_PERCENT = utils.config_fallocate_value(
                conf['fallocate_reserve'])
        app = loadapp(str(conf_file), global_conf={'log_name': conf_file.stem})
    except (ValueError, LookupError, ImportError, OSError) as error:
        reason = ' '.join(str(error).split())
        raise ClusterError(f'{conf_file.stem}: {reason}') from error
    warnings.filterwarnings('ignore', message='capitalize_response_headers is disabled')
    eventlet.spawn_n(
        wsgi.server, listen(conf['bind_ip'], int(conf['bind_port'])), app, utils.NullLogger(),
        custom_pool=RestrictedGreenPool(size=int(conf.get('max_clients', 1024))),
        protocol=SwiftHttpProtocol, socket_timeout=float(conf.get('client_timeout', 60)),
        capitalize_response_headers=False, url_length_limit=constraints.MAX_REQUEST_LINE)


def _start_cache(etc: Path) -> None:
    import eventlet
    conf = ConfigParser()
    conf.read(etc / 'memcache.conf')
    host, _, port = conf['memcache']['memcache_servers'].partition(':')
    eventlet.spawn_n(memcache.serve, listen(host, int(port)), memcache.Store())


def listen(host: str, port: int) -> socket.socket:
    """:raises ClusterError: the port is taken."""
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET, backlog=1024)
    except OSError as error:
        raise ClusterError(f'cannot listen on {host} port {port}: {error.strerror}') from None
    # Connections inherit both: no waiting for more to send, no clients that are long gone.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return listener
