"""Messaging v2: waiting, as clients see it, some of them over real connections."""

import socket
import time

import eventlet
import pytest
from eventlet import wsgi
from eventlet.green import socket as green_socket
from swift.common.http_protocol import SwiftHttpProtocol
from wire.transcript import send

from swiftqueue.middleware.connection import given_up

MESSAGES = '/v2/queues/jobs/messages'
CLAIMS = '/v2/queues/jobs/claims'
NONE = {'messages': [], 'links': []}
LIMIT = 30  # seconds, for what takes a moment

WAITS = [
    (f'POST {CLAIMS}?wait=', 204, None),
    (f'GET {MESSAGES}?echo=1&wait=', 200, NONE),
    (f'DELETE {MESSAGES}?pop=3&wait=', 200, {'messages': []}),
]


@pytest.mark.parametrize('create', [True, False])
@pytest.mark.parametrize('line, status, nothing', WAITS)
def test_an_answer_comes_when_the_time_is_over(wire, line, status, nothing, create):
    if create:
        wire.request('PUT /v2/queues/jobs')
    began = wire.clock.now
    answer = wire.request(f'{line}3')
    assert (answer.status, answer.json) == (status, nothing)
    assert 3 <= wire.clock.now - began < 3.3


@pytest.mark.parametrize('line, status, nothing', WAITS)
def test_an_answer_comes_when_there_is_a_message(wire, line, status, nothing):
    began, sleep = wire.clock.now, wire.engine.sleep

    def post_and_sleep(seconds):
        if wire.clock.now - began > 2:
            wire.engine.sleep = sleep
            wire.request(f'POST {MESSAGES}', {'messages': [{'body': 'late'}]})
        sleep(seconds)

    wire.engine.sleep = post_and_sleep
    [message] = wire.request(f'{line}10').json['messages']
    assert message['body'] == 'late'
    assert 2 < wire.clock.now - began < 3


@pytest.mark.parametrize('line, status, nothing', WAITS)
@pytest.mark.parametrize('wait', ['21', '-1', '1.5', 'x'])
def test_nobody_waits_longer_than_the_operator_allows(wire, line, status, nothing, wait):
    answer = wire.request(line + wait)
    assert (answer.status, answer.json['title']) == (400, 'Invalid API request')
    assert answer.json['description'].startswith('wait must be an integer')


@pytest.mark.parametrize('line, status, nothing', WAITS)
def test_the_operator_may_forbid_it(make_wire, line, status, nothing):
    wire = make_wire(max_wait=0)
    assert wire.request(f'{line}1').status == 400
    assert wire.request(f'{line}0').status == status


@pytest.mark.parametrize('line, status, nothing', WAITS)
def test_past_the_cap_the_answer_comes_at_once(make_wire, line, status, nothing):
    wire = make_wire(max_waiters_per_account=0)
    began = wire.clock.now
    assert wire.request(f'{line}10').status == status
    assert wire.clock.now - began < 0.1


@pytest.mark.parametrize('line, status, nothing', WAITS)
def test_who_has_no_right_is_refused_at_once(wire, line, status, nothing):
    wire.request('PUT /v2/queues/jobs')
    began = wire.clock.now
    assert wire.request(f'{line}10', user='guest').status == 403
    assert wire.clock.now - began < 0.1


def test_info_tells_how_long_one_may_wait_and_the_home_document_where(wire):
    resources = wire.request('GET /v2').json['resources']
    for name in ('rel/messages', 'rel/messages_delete', 'rel/post_claim'):
        assert 'wait' in resources[name]['href-template']


# -- over real connections -------------------------------------------------------------------------

class Server:
    """Eventlet's server with Swift's protocol, on a socket of its own."""

    def __init__(self, app):
        self.listener = eventlet.listen(('127.0.0.1', 0))
        self.address = self.listener.getsockname()
        self.thread = eventlet.spawn(self._serve, app)

    def _serve(self, app):
        try:
            wsgi.server(self.listener, app, protocol=SwiftHttpProtocol, log_output=False, debug=False)
        except OSError:
            pass  # the listening socket was shut down: Swift too takes this for the end

    def connect(self):
        return green_socket.create_connection(self.address)

    def close(self):
        """As a worker of Swift's proxy does it on SIGHUP."""
        eventlet.greenio.shutdown_safe(self.listener)

    def kill(self):
        self.thread.kill()
        self.listener.close()


@pytest.fixture
def serve():
    servers = []

    def start(app):
        servers.append(Server(app))
        return servers[-1]
    yield start
    for server in servers:
        server.kill()


class Waits:
    """An app that answers when nobody is there any more, or when it is told to."""

    def __init__(self):
        self.waiting = 0
        self.told = False
        self.ends = []

    def __call__(self, environ, start_response):
        self.waiting += 1
        deadline = time.monotonic() + LIMIT
        while not given_up(environ) and not self.told:
            assert time.monotonic() < deadline
            eventlet.sleep(0.01)
        self.ends.append(given_up(environ))
        start_response('200 OK', [('Content-Length', '2')])
        return [b'ok']


def until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        eventlet.sleep(0.01)


REQUEST = b'GET / HTTP/1.1\r\nHost: here\r\n\r\n'


@pytest.fixture
def app():
    return Waits()


@pytest.fixture
def client(serve, app):
    """A connection on which a request waits."""
    client = serve(app).connect()
    client.sendall(REQUEST)
    until(lambda: app.waiting)
    yield client
    client.close()


def test_a_client_that_closes_its_connection_is_noticed(app, client):
    client.close()
    until(lambda: app.ends)
    assert app.ends == [True]


def test_a_client_that_breaks_its_connection_is_noticed(app, client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')  # a reset instead of an end
    client.close()
    until(lambda: app.ends)
    assert app.ends == [True]


def test_a_client_that_has_sent_more_and_then_hung_up_is_noticed(app, client):
    client.sendall(REQUEST)
    client.close()
    until(lambda: app.ends)
    assert app.ends[0] is True


def test_a_client_that_is_there_is_not_taken_for_gone_whatever_it_has_sent(app, client):
    client.sendall(REQUEST)  # the next request, before this one is answered
    for _ in range(20):
        eventlet.sleep(0.01)
    assert app.ends == []
    app.told = True
    until(lambda: len(app.ends) == 2)
    assert app.ends == [False, False]
    received = b''
    while received.count(b'ok') < 2:
        received += client.recv(1000)
    assert received.count(b'200 OK') == 2


def test_a_server_that_is_about_to_stop_is_noticed(serve, app):
    server = serve(app)
    client = server.connect()
    client.sendall(REQUEST)
    until(lambda: app.waiting)
    server.close()
    until(lambda: app.ends)
    assert app.ends == [True]
    assert b'200 OK' in client.recv(1000)  # the client is there, and gets its answer


def test_where_there_is_no_connection_to_look_at_nobody_has_given_up():
    def app(environ, start_response):
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [str(given_up(environ)).encode()]
    assert send(app, 'GET /').body == b'False'


# -- the whole way ---------------------------------------------------------------------------------

def claim_request(wire, seconds=20):
    return (f'POST {CLAIMS}?wait={seconds} HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n'
            f'X-Auth-Token: {wire.token("tester")}\r\nClient-ID: 3381af92-2b9e-11e3-b191-71861300734c\r\n\r\n').encode()


@pytest.fixture
def waiting(wire, serve):
    """Two real connections on which a claim waits each, one after the other; time goes by as it does."""
    wire.request('PUT /v2/queues/jobs')
    wire.engine.sleep = lambda seconds: (wire.clock.advance(seconds), eventlet.sleep(0.01))

    def app(environ, start_response):
        return wire.app({**environ, 'swift.cache': wire.cache}, start_response)
    server = serve(app)
    clients = []
    for number in (1, 2):
        clients.append(server.connect())
        clients[-1].sendall(claim_request(wire))
        until(lambda number=number: wire.engine.waiting.waiters.total() == number)
    yield server, clients
    for client in clients:
        client.close()


def test_a_message_goes_to_who_is_still_there(wire, waiting):
    _server, (first, second) = waiting
    first.close()
    until(lambda: wire.engine.waiting.waiters.total() == 1)
    wire.request(f'POST {MESSAGES}', {'messages': [{'body': 'one'}]})
    answer = second.recv(10000)
    assert b'201 Created' in answer and b'"claim_count": 1' in answer
    assert wire.engine.waiting.waiters.total() == 0


def test_who_hangs_up_at_the_moment_of_the_post_costs_the_message_nothing(wire, waiting):
    _server, (first, second) = waiting
    first.close()
    wire.request(f'POST {MESSAGES}', {'messages': [{'body': 'one'}]})
    answer = second.recv(10000)
    assert b'201 Created' in answer and b'"body": "one"' in answer


def test_when_the_proxy_is_reloaded_who_waits_gets_an_empty_answer_at_once(wire, waiting):
    server, clients = waiting
    began = wire.clock.now
    server.close()
    for client in clients:
        assert b'204 No Content' in client.recv(10000)
    assert wire.clock.now - began < 3
    server.thread.wait()
