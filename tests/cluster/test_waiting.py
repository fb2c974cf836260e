"""Waiting on a real Swift with two proxies: who is woken, by whom, and what it costs."""

import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from configparser import RawConfigParser
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from swiftqueue.cluster import Cluster
from swiftqueue.cluster.serving import answers

WAIT = 20  # seconds, as long as may be: who is woken by a message answers long before
LIMIT = 60  # seconds, for what takes a few


class Client:
    """One connection to one proxy."""

    def __init__(self, url):
        address = urlsplit(url)
        self.connection = HTTPConnection(address.hostname, address.port, timeout=LIMIT)
        self.headers = {'Client-ID': str(uuid.uuid4()), 'X-Project-Id': 'test', 'Content-Type': 'application/json'}

    def send(self, method, path, body=None):
        sent = b'' if body is None else json.dumps(body).encode()
        self.connection.request(method, f'/v2/queues{path}', sent, self.headers)

    def receive(self):
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status < 300, content
        return json.loads(content) if content else None

    def ask(self, method, path, body=None):
        self.send(method, path, body)
        return self.receive()

    def post(self, queue, *sent):
        self.ask('POST', f'/{queue}/messages', {'messages': [{'body': body, 'ttl': 300} for body in sent]})

    def close(self):
        self.connection.close()


class Waiter(threading.Thread):
    """A client that waits, in a thread of its own."""

    def __init__(self, url, method, path):
        super().__init__(daemon=True)
        self.client = Client(url)
        self.answer = None
        self.client.send(method, path, {} if method == 'POST' else None)
        self.start()

    def run(self):
        self.answer = self.client.receive()
        self.seconds = time.monotonic() - self.began
        self.client.close()

    def start(self):
        self.began = time.monotonic()
        super().start()

    def bodies(self):
        """What it got; that must be long before it would have had to answer anyway."""
        self.join(LIMIT)
        assert self.answer and self.seconds < WAIT - 1
        return [message['body'] for message in self.answer['messages']]


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    """Without authentication, because tokens are in the cache, which some of these tests stop."""
    with Cluster(tmp_path_factory.mktemp('waiting'), nodes=3, proxies=2, auth=False, daemons=False,
                 verbose=True) as cluster:
        yield cluster


@pytest.fixture(params=['memcached', 'none'])
def any_cache(request, cluster):
    if request.param == 'none':
        cluster.cache.kill()
    yield
    if request.param == 'none':
        cluster.cache.start()


@pytest.fixture
def queue(cluster):
    name = f'q-{uuid.uuid4().hex[:8]}'
    Client(cluster.urls[0]).ask('PUT', f'/{name}', {})
    return name


def until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def requests(cluster, proxy, part):
    """How many sub-requests of that proxy's queues have this in their path."""
    lines = cluster.process('proxy', proxy).log.read_text().splitlines()
    return len([line for line in lines if ' MQ ' in line and part in line])


def listed(cluster, queue):
    """How often the second proxy has listed the queue: somebody waits there once it has."""
    return requests(cluster, 2, f'%2500messages%2500{queue}%2500')


WAITS = [('POST', 'claims?limit=1&'), ('DELETE', 'messages?pop=1&'), ('GET', 'messages?')]


@pytest.mark.usefixtures('any_cache')
@pytest.mark.parametrize('method, path', WAITS)
def test_a_post_through_one_proxy_wakes_who_waits_at_the_other(cluster, queue, method, path):
    waiter = Waiter(cluster.urls[1], method, f'/{queue}/{path}wait={WAIT}')
    until(lambda: listed(cluster, queue))
    Client(cluster.urls[0]).post(queue, 'wake up')
    assert waiter.bodies() == ['wake up']


@pytest.mark.usefixtures('any_cache')
def test_a_queue_that_is_not_there_yet_is_waited_for(cluster):
    name = f'q-{uuid.uuid4().hex[:8]}'
    waiter = Waiter(cluster.urls[1], 'POST', f'/{name}/claims?wait={WAIT}')
    until(lambda: requests(cluster, 2, f'%2500queue%2500{name}'))
    Client(cluster.urls[0]).post(name, 'first')  # creates it
    assert waiter.bodies() == ['first']


def test_many_wait_for_the_price_of_one(cluster, queue):
    waiters = [Waiter(cluster.urls[1], 'POST', f'/{queue}/claims?limit=1&wait=10') for _ in range(30)]
    until(lambda: listed(cluster, queue))
    began = time.monotonic()
    for waiter in waiters:
        waiter.join(LIMIT)
        assert waiter.answer is None
    # One listing in two seconds, and those who came at the same time.
    assert listed(cluster, queue) <= (time.monotonic() - began) / 2 + 5


def test_each_message_goes_to_one_of_those_who_wait_at_both_proxies(cluster, queue):
    waiters = [Waiter(cluster.urls[number % 2], 'POST', f'/{queue}/claims?limit=1&wait={WAIT}')
               for number in range(10)]
    until(lambda: listed(cluster, queue))
    Client(cluster.urls[0]).post(queue, *range(10))
    assert sorted(body for waiter in waiters for body in waiter.bodies()) == list(range(10))


def test_a_client_that_hangs_up_gets_no_message(cluster, queue):
    gone = Client(cluster.urls[1])
    gone.send('POST', f'/{queue}/claims?wait={WAIT}', {})
    until(lambda: listed(cluster, queue))
    gone.connection.sock.shutdown(socket.SHUT_RDWR)
    gone.close()
    waiter = Waiter(cluster.urls[1], 'POST', f'/{queue}/claims?wait={WAIT}')
    Client(cluster.urls[0]).post(queue, 'for who is there')
    assert waiter.bodies() == ['for who is there']
    assert waiter.answer['messages'][0]['claim_count'] == 1


def test_a_crashed_proxy_breaks_the_connections_of_those_who_wait(cluster, queue):
    gone = Client(cluster.urls[1])
    gone.send('POST', f'/{queue}/claims?wait={WAIT}', {})
    until(lambda: listed(cluster, queue))
    process = cluster.process('proxy', 2)
    process.kill()
    with pytest.raises(OSError):
        gone.receive()
    process.start()
    waiter = Waiter(cluster.urls[1], 'POST', f'/{queue}/claims?wait={WAIT}')
    Client(cluster.urls[0]).post(queue, 'again')
    assert waiter.bodies() == ['again']


SERVE = 'import sys; from swift.common.wsgi import run_wsgi; sys.exit(run_wsgi(sys.argv[1], "proxy-server"))'


@pytest.fixture
def swift_proxy(cluster, tmp_path):
    """One more proxy, run as Swift itself runs it: with a worker that can be reloaded. (process, url)"""
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    conf = RawConfigParser(default_section='unused')
    conf.optionxform = str
    conf.read(cluster.conf('proxy', 1))
    conf['DEFAULT'].update(bind_port=str(port), workers='1', user=getpass.getuser())
    with open(tmp_path / 'proxy-server.conf', 'w') as file:
        conf.write(file)
    with subprocess.Popen([sys.executable, '-W', 'ignore', '-c', SERVE, file.name], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, start_new_session=True) as process:
        url = f'http://127.0.0.1:{port}'
        try:
            until(lambda: answers(url))
            yield process, url
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def children_of(process):
    return [int(each) for each in Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()]


def test_a_reloaded_proxy_lets_those_who_wait_go_at_once(cluster, queue, swift_proxy):
    process, url = swift_proxy
    worker, = children_of(process)
    Client(url).post(queue, 'taken')
    held = Client(url).ask('POST', f'/{queue}/claims', {})
    assert held['messages']
    waiter = Waiter(url, 'POST', f'/{queue}/claims?wait={WAIT}')
    waiter.join(3)
    assert waiter.is_alive()
    os.kill(worker, signal.SIGHUP)
    waiter.join(LIMIT)
    assert waiter.answer is None and waiter.seconds < WAIT - 5
    until(lambda: worker not in children_of(process))
