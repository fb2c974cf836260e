"""Servers on this machine that stand for storage servers: they answer what they are told to."""

import eventlet
import pytest
from eventlet import wsgi


class Server:
    """Knows what it was asked, and sent. ``headers`` and ``body`` are its answer, besides the status ``answer``.

    It answers when ``before_answer`` has returned.
    """

    def __init__(self, number):
        self.before_answer = lambda: None
        self.answer, self.headers, self.body, self.asked, self.sent, self.ports = 204, {}, b'', [], [], set()
        self.socket = eventlet.listen(('127.0.0.1', 0))
        self.node = {'ip': '127.0.0.1', 'port': self.socket.getsockname()[1], 'device': f'sd{number}'}
        self.start()

    def start(self):
        self.thread = eventlet.spawn(wsgi.server, self.socket, self, log_output=False)

    def restart(self):
        """Close all connections and begin anew."""
        self.stop()
        self.socket = eventlet.listen(('127.0.0.1', self.node['port']), reuse_addr=True)
        self.start()

    def stop(self):
        self.thread.kill()
        self.socket.close()

    def __call__(self, environ, start_response):
        self.asked.append(environ)
        self.sent.append(environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0)))
        self.ports.add(environ['REMOTE_PORT'])
        self.before_answer()
        if self.answer == 'late':
            eventlet.sleep(5)
        start_response(f'{self.answer} ', list(self.headers.items()))
        return [self.body] if self.body else []


class Ring:
    def __init__(self, servers):
        self.servers = servers

    def get_nodes(self, *path):
        return 7, [server.node for server in self.servers]


@pytest.fixture
def servers():
    servers = [Server(number) for number in range(3)]
    yield servers
    for server in servers:
        server.stop()


def tell(servers, *answers):
    for server, answer in zip(servers, answers, strict=True):
        server.answer = answer
