"""Somebody who uses a real Swift."""

from __future__ import annotations

import uuid

import requests
from zaqarclient.queues import client as zaqar


class User:
    """Somebody with a token, and plain HTTP in their name."""

    def __init__(self, url: str, name: str, key: str = 'testing'):
        answer = requests.get(f'{url}/auth/v1.0', headers={'X-Auth-User': name, 'X-Auth-Key': key}, timeout=30)
        answer.raise_for_status()
        self.url, self.name, self.key = url, name, key
        self.token = answer.headers['X-Auth-Token']
        self.storage_url = answer.headers['X-Storage-Url']
        self.headers = {'X-Auth-Token': self.token, 'Client-ID': str(uuid.uuid4())}

    def request(self, method: str, path: str, **request) -> requests.Response:
        headers = self.headers | request.pop('headers', {})
        return requests.request(method, self.url + path, headers=headers, timeout=30, allow_redirects=False, **request)

    def messaging(self, project: str = '', client_id: str | None = None, below: str = '') -> zaqar.Client:
        """A python-zaqarclient with this user's token."""
        options = {'os_auth_token': self.token, 'os_project_id': project or self.storage_url.rsplit('/', 1)[1]}
        return zaqar.Client(self.url + below, version=2, conf={
            'auth_opts': {'backend': 'keystone', 'options': options},
            'client_uuid': client_id or str(uuid.uuid4())})
