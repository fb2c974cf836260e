"""Zaqar with its own Swift driver, on the same kind of cluster as ``make bench`` starts, to be compared with.

    python3 -m venv /tmp/zaqar
    /tmp/zaqar/bin/pip install zaqar gunicorn
    .venv/bin/python tests/bench/zaqar.py --zaqar /tmp/zaqar

runs it on 127.0.0.1 until Ctrl-C. What it needs besides Swift is there too: a stand-in for Keystone, from which the
driver learns where Swift is, and a management store in SQLite. Zaqar itself asks nobody for a token.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from swiftqueue.cluster import Cluster, ClusterError

HOST = '127.0.0.1'
START_LIMIT = 60  # seconds
PING = {'Client-ID': '3381af92-2b9e-11e3-b191-71861300734c', 'X-Project-Id': 'demo'}

CONFIGURATION = """\
[DEFAULT]
log_file = {folder}/zaqar.log

[drivers]
management_store = sqlalchemy
message_store = swift

[drivers:management_store:sqlalchemy]
uri = sqlite:///{folder}/zaqar.sqlite

[drivers:message_store:swift]
auth_url = {keystone}
uri = swift://zaqar:secret@/service
"""

# zaqar-sql-db-manage would do, but for its migrations, which only MySQL understands.
TABLES = """\
import sys
from sqlalchemy import create_engine
from zaqar.storage.sqlalchemy.tables import metadata
metadata.create_all(create_engine(sys.argv[1]))
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the folder is removed in any case
    try:
        with tempfile.TemporaryDirectory(prefix='swiftqueue-zaqar-') as name:
            folder = Path(name)
            with (Cluster(folder / 'swift', nodes=3, replicas=3, auth=False) as cluster,
                  keystone(f'{cluster.urls[0]}/v1/AUTH_zaqar') as auth_url,
                  _zaqar(arguments, folder, auth_url) as url):
                print(f'Zaqar is ready at {url}, its Swift at {cluster.urls[0]}; Ctrl-C stops both', flush=True)
                signal.pause()
    except (ClusterError, OSError) as error:
        print(f'zaqar: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='zaqar.py', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--zaqar', type=Path, required=True, metavar='DIR',
                        help='virtual environment with zaqar and gunicorn')
    parser.add_argument('--port', type=int, default=8888, metavar='N', help='default: %(default)s')
    parser.add_argument('--workers', type=int, default=4, metavar='N', help='processes (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=8, metavar='N', help='of each (default: %(default)s)')
    return parser.parse_args(argv)


@contextmanager
def keystone(storage_url: str) -> Iterator[str]:
    """As much of Keystone as says, to whoever asks, that Swift is there; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, {'version': {
                'id': 'v3.14', 'status': 'stable', 'links': [{'rel': 'self', 'href': address}]}})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get('Content-Length', 0)))
            self.answer(201, _token(storage_url))

        def answer(self, status: int, content: dict) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header('X-Subject-Token', 'token')
            self.send_header('Content-Type', 'application/json')
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        address = f'http://{HOST}:{server.server_port}/v3'
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield address
        finally:
            server.shutdown()


def _token(storage_url: str) -> dict:
    domain = {'id': 'default', 'name': 'Default'}
    return {'token': {
        'methods': ['password'],
        'user': {'id': 'zaqar', 'name': 'zaqar', 'domain': domain},
        'project': {'id': 'service', 'name': 'service', 'domain': domain},
        'roles': [{'id': 'service', 'name': 'service'}],
        'issued_at': '2000-01-01T00:00:00.000000Z',
        'expires_at': '2999-01-01T00:00:00.000000Z',
        'catalog': [{'id': 'swift', 'name': 'swift', 'type': 'object-store', 'endpoints': [
            {'id': 'public', 'interface': 'public', 'region': 'RegionOne', 'region_id': 'RegionOne',
             'url': storage_url}]}],
    }}


@contextmanager
def _zaqar(arguments: argparse.Namespace, folder: Path, auth_url: str) -> Iterator[str]:
    """Zaqar's address. Raises ClusterError if it does not start."""
    # Where oslo.config looks: an application that is served by another program takes no arguments.
    conf = folder / '.zaqar' / 'zaqar.conf'
    conf.parent.mkdir()
    conf.write_text(CONFIGURATION.format(folder=folder, keystone=auth_url))
    programs = arguments.zaqar.absolute() / 'bin'
    url = f'http://{HOST}:{arguments.port}'
    with open(folder / 'output', 'wb') as output:
        how = {'cwd': folder, 'env': os.environ | {'HOME': str(folder)}, 'stdin': subprocess.DEVNULL,
               'stdout': output, 'stderr': output}
        if subprocess.run([programs / 'python', '-c', TABLES, f'sqlite:///{folder}/zaqar.sqlite'], **how).returncode:
            raise ClusterError(f'no tables for Zaqar: {_last_words(folder)}')
        server = subprocess.Popen(
            [programs / 'gunicorn', '--bind', f'{HOST}:{arguments.port}', '--workers', str(arguments.workers),
             '--threads', str(arguments.threads), '--keep-alive', '60', 'zaqar.transport.wsgi.app:app'],
            start_new_session=True, **how)  # Ctrl-C is for this process only
        try:
            _wait_for(url, server, folder)
            yield url
        finally:
            server.send_signal(signal.SIGQUIT)  # without waiting for connections that are kept open
            server.wait()


def _wait_for(url: str, server: subprocess.Popen, folder: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(f'{url}/v2/ping', headers=PING, timeout=5).status_code == 204:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise ClusterError(f'Zaqar did not start: {_last_words(folder)}')


def _last_words(folder: Path) -> str:
    lines = (folder / 'output').read_text(errors='replace').split('\n')
    return '\n'.join(lines[-20:]).strip() or 'it left no word'


if __name__ == '__main__':
    sys.exit(main())
