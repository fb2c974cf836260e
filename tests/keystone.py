"""Keystone's HTTP interface, as far as checking signatures needs it: a real server on this machine."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from keystoneclient.contrib.ec2.utils import Ec2Signer  # what Keystone itself computes signatures with

DOMAIN = {'id': 'default', 'name': 'Default'}
SERVICE_TOKEN = 'token-of-the-service'


class Keystone:
    """``keys`` are access key: (secret, user, project, roles). ``asked`` are methods and paths."""

    def __init__(self):
        self.keys: dict[str, tuple[str, str, str, list[str]]] = {}
        self.asked: list[str] = []
        self.broken: tuple[int, bytes] | None = None  # what it answers if somebody has it check a signature
        self.server = ThreadingHTTPServer(('127.0.0.1', 0), type('Handler', (_Handler,), {'keystone': self}))
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.01})
        self.thread.start()

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.server.server_port}/v3'

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def count(self, part: str) -> int:
        return sum(part in each for each in self.asked)

    def answer(self, method: str, path: str, headers: Any, body: Any) -> tuple[int, Any, dict[str, str]]:
        if method == 'GET' and path in ('/v3', '/v3/'):
            return 200, {'version': {'id': 'v3.14', 'status': 'stable', 'links': [
                {'rel': 'self', 'href': self.url}]}}, {}
        if path == '/v3/auth/tokens':
            identity = body['auth']['identity']['password']['user']
            if (identity['name'], identity['password']) != ('swift', 'service secret'):
                return 401, {}, {}
            endpoints = [{'interface': each, 'url': self.url, 'region': 'r', 'region_id': 'r', 'id': each}
                         for each in ('public', 'internal', 'admin')]
            token = self.token('swift', 'service', ['service']) | {'catalog': [
                {'type': 'identity', 'name': 'keystone', 'id': 'i', 'endpoints': endpoints}]}
            return 201, {'token': token}, {'X-Subject-Token': SERVICE_TOKEN}
        if headers.get('X-Auth-Token') != SERVICE_TOKEN:
            return 401, {'error': {'message': 'The request you have made requires authentication.'}}, {}
        if path == '/v3/ec2tokens':
            return self.ec2tokens(body['credentials'])
        _, _, _, user, _, _, access = path.split('/')
        secret, owner, project, _ = self.keys[access]
        assert owner == user
        return 200, {'credential': {'access': access, 'secret': secret, 'user_id': user, 'tenant_id': project}}, {}

    def ec2tokens(self, credentials: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if self.broken:
            return *self.broken, {}
        secret, user, project, roles = self.keys.get(credentials['access'], (None, '', '', []))
        if secret is None or Ec2Signer(secret).generate(credentials) != credentials['signature']:
            return 401, {'error': {'message': 'The request you have made requires authentication.'}}, {}
        return 200, {'token': self.token(user, project, roles)}, {'X-Subject-Token': 'x'}

    def token(self, user: str, project: str, roles: list[str]) -> dict[str, Any]:
        return {'user': {'id': user, 'name': user, 'domain': DOMAIN}, 'methods': ['ec2credential'],
                'project': {'id': project, 'name': project, 'domain': DOMAIN},
                'issued_at': '2020-01-01T00:00:00.000000Z', 'expires_at': '2099-01-01T00:00:00.000000Z',
                'roles': [{'id': role, 'name': role} for role in roles]}


class _Handler(BaseHTTPRequestHandler):
    keystone: Keystone

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self.keystone.asked.append(f'{self.command} {self.path}')
        status, value, headers = self.keystone.answer(self.command, self.path, self.headers, json.loads(body or 'null'))
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**headers, 'Content-Type': 'application/json', 'Content-Length': str(len(content))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer

    def log_message(self, *arguments: Any) -> None: ...
