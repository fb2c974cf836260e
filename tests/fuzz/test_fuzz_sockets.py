"""Bytes on a socket: where one request ends and the next begins, whatever the client says of it."""

from __future__ import annotations

import re
import socket

import eventlet
import pytest
import requests
from eventlet import wsgi
from eventlet.green import socket as green_socket
from fuzz.effort import examples
from hypothesis import given
from hypothesis import strategies as st
from swift.common.http_protocol import SwiftHttpProtocol
from swift.common.utils import NullLogger
from wire.conftest import CLIENT_ID, Wire

from swiftqueue.middleware import frontend

LIMIT = 20  # seconds, for what takes a moment
JOBS = '/v2/queues/jobs'
POST = b'{"messages": [{"body": 1}]}'
LARGE = 300_000  # bytes; more than a post may have


@pytest.fixture(scope='module')
def place(cluster):
    """(host, port, headers of somebody who may do everything)."""
    url = cluster.urls[0]
    token = requests.get(f'{url}/auth/v1.0', headers={'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'},
                         timeout=LIMIT).headers['X-Auth-Token']
    host, _, port = url.removeprefix('http://').partition(':')
    requests.put(f'{url}{JOBS}', headers={'X-Auth-Token': token, 'Client-ID': CLIENT_ID}, timeout=LIMIT)
    return host, int(port), headers_of(token)


def headers_of(token):
    return f'Host: cloud\r\nX-Auth-Token: {token}\r\nClient-ID: {CLIENT_ID}\r\n'


def line(place, request, *more, body=b'', end='\r\n'):
    """The bytes of a request; ``more`` are further headers."""
    return f'{request} HTTP/1.1\r\n{place[2]}{"".join(f"{each}{end}" for each in more)}\r\n'.encode('latin-1') + body


def sized(place, request, body):
    return line(place, request, f'Content-Length: {len(body)}', body=body)


def chunked(place, request, body):
    return line(place, request, 'Transfer-Encoding: chunked', body=body)


def exchange(place, data):
    """All that comes back for these bytes, after which the client has nothing more to say."""
    with socket.create_connection(place[:2], timeout=LIMIT) as client:
        received = b''
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(65536):
                received += chunk
        except OSError as error:
            # Anything but a timeout: the server has closed, with something of ours unread.
            assert not isinstance(error, TimeoutError), received
        return received


def statuses(received):
    return [int(status) for status in re.findall(rb'HTTP/1\.[01] (\d{3})', received)]


def ping(place):
    return line(place, 'GET /v2/ping')


# What is sent before a ping on the same connection, and the statuses that come back.
FRAMED = {
    'two requests': (lambda place: ping(place), [204, 204]),
    'an answer without a body': (lambda place: line(place, f'DELETE {JOBS}/claims/x'), [204, 204]),
    'the head of an answer': (lambda place: line(place, f'HEAD {JOBS}'), [405, 204]),
    'a body that is read': (lambda place: sized(place, f'POST {JOBS}/messages', POST), [201, 204]),
    'a body for a path that is not there': (lambda place: sized(place, f'POST {JOBS}/nothing', POST), [404, 204]),
    'a body that nobody asked for': (lambda place: sized(place, f'GET {JOBS}', POST), [200, 204]),
    'a body that is too large': (lambda place: sized(place, f'POST {JOBS}/messages', b'x' * LARGE), [400, 204]),
    'a body of somebody unknown': (lambda place: sized((*place[:2], ''), f'POST {JOBS}/messages', POST), [401, 204]),
    'no body and no length': (lambda place: line(place, f'POST {JOBS}/claims?limit=1'), [201, 204]),
    'chunks': (lambda place: chunked(place, f'POST {JOBS}/messages', b'9\r\n' + POST[:9] + b'\r\n%x;a=b\r\n' % (
        len(POST) - 9) + POST[9:] + b'\r\n0\r\nTrailer: x\r\n\r\n'), [201, 204]),
    'chunks for a path that is not there': (lambda place: chunked(
        place, f'POST {JOBS}/nothing', b'5\r\nhello\r\n0\r\n\r\n'), [404, 204]),
    'chunks that are too much': (lambda place: chunked(
        place, f'POST {JOBS}/messages', b'%x\r\n%b\r\n0\r\n\r\n' % (LARGE, b'x' * LARGE)), [400, 204]),
    'a length with a blank': (lambda place: line(
        place, f'POST {JOBS}/messages', f'Content-Length: {len(POST)} ', body=POST), [201, 204]),
    'a client that asks before it sends': (lambda place: line(
        place, f'POST {JOBS}/messages', 'Expect: 100-continue', f'Content-Length: {len(POST)}', body=POST),
        [100, 201, 204]),
    # From here on nobody can know where the next request begins, so there is none.
    'a client that asks in vain': (lambda place: line(
        place, f'POST {JOBS}/messages', 'Expect: 100-continue', f'Content-Length: {LARGE}'), [400]),
    'a chunk of no size': (lambda place: chunked(place, f'POST {JOBS}/messages', b'zz\r\n{}\r\n0\r\n\r\n'), [400]),
    'a chunk of negative size': (lambda place: chunked(
        place, f'POST {JOBS}/messages', b'-2\r\n{}\r\n0\r\n\r\n'), [400]),
    'a blank line before the chunk': (lambda place: chunked(
        place, f'POST {JOBS}/messages', b'\r\n2\r\n{}\r\n0\r\n\r\n'), [400]),
    'a chunk that ends early': (lambda place: chunked(place, f'POST {JOBS}/messages', b'ffffffffff\r\n{}'), [400]),
    'a length that is too long': (lambda place: line(
        place, f'POST {JOBS}/messages', 'Content-Length: 1000', body=POST), [400]),
    'a negative length': (lambda place: line(place, f'PUT {JOBS}', 'Content-Length: -1'), [400]),
    'a length of many digits': (lambda place: line(place, f'PUT {JOBS}', f'Content-Length: {"9" * 5000}'), [400]),
    'a header that is too long': (lambda place: line(place, f'GET {JOBS}', 'X-Long: ' + 'x' * 9000), [400]),
    'too many headers': (lambda place: line(place, f'GET {JOBS}', *['X-Long: ' + 'x' * 8000] * 9), [400]),
    'a target that is too long': (lambda place: line(place, f'GET {JOBS}?{"x" * 9000}'), [414]),
}


@pytest.mark.parametrize('name', FRAMED)
def test_requests_on_one_connection_are_told_apart(place, name):
    before, expected = FRAMED[name]
    if name == 'no body and no length':
        exchange(place, sized(place, f'POST {JOBS}/messages', POST))
    received = statuses(exchange(place, before(place) + ping(place)))
    # Who closes with something unread may take back an answer that is on its way.
    assert received == expected or received == [] and expected[-1] != 204


ODD = [
    ('Content-Length: 2', 'Content-Length: 4'), ('Content-Length: 2', 'Transfer-Encoding: chunked'),
    ('Transfer-Encoding: gzip, chunked',), ('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
    ('Transfer-Encoding: \x0bchunked',), ('Content-Length: +2',), ('Content-Length: 1_0',), ('Content-Length : 2',),
    ('Content-Length: 2\r', 'X: y'), (' folded: x',), (': no name',), ('no colon',), ('Client-ID: \x00',),
    ('X-Project-Id: test\rX-Evil: 1',), ('X-Project-Id: test\x0bX-Evil: 1',), ('X-Trans-Id-Extra: a\rX-Evil: 1',),
    ('Connection: close',), ('Expect: 200-maybe',), ('Range: bytes=0-0',), ('X-Backend-Allow-Reserved-Names: true',)]


@pytest.mark.parametrize('headers', ODD, ids=ascii)
@pytest.mark.parametrize('end', ['\r\n', '\n'])
def test_odd_headers_neither_break_the_server_nor_get_into_the_answer(place, headers, end):
    received = exchange(place, line(place, f'PUT {JOBS}', *headers, body=b'{}', end=end) + ping(place))
    assert statuses(received)
    assert all(status < 500 for status in statuses(received))
    assert not re.search(rb'^x-evil', received, re.IGNORECASE | re.MULTILINE)
    assert b'Traceback' not in received
    assert statuses(exchange(place, ping(place))) == [204]


PIECES = [b'\r\n', b'\n', b'\r', b'\x00', b' ', b':', b'\r\n\r\n', b'0\r\n\r\n', b'%00', b'%0d%0a', b'x' * 9000,
          b'\xff']
# What is done to the bytes of a good request: (where, in parts of a thousand; bytes to leave out; bytes to put in).
changes = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 4), st.binary(max_size=4) | st.sampled_from(PIECES)),
                   min_size=1, max_size=3)


REQUESTS = [
    lambda place: ping(place), lambda place: line(place, f'GET {JOBS}/messages?limit=5&echo=true'),
    lambda place: sized(place, f'POST {JOBS}/messages', POST), lambda place: sized(place, f'PUT {JOBS}', b'{"a": 1}'),
    lambda place: chunked(place, f'POST {JOBS}/messages', b'%x\r\n' % len(POST) + POST + b'\r\n0\r\n\r\n'),
    lambda place: line(place, f'POST {JOBS}/messages', 'Expect: 100-continue', f'Content-Length: {len(POST)}',
                       body=POST)]


@examples(80)
@given(st.integers(0, len(REQUESTS) - 1), changes)
def test_no_bytes_break_the_server(place, number, changes):
    data = REQUESTS[number](place)
    for at, out, put_in in changes:
        at = len(data) * at // 1000
        data = data[:at] + put_in + data[at + out:]
    received = exchange(place, data + ping(place))
    assert all(status < 500 or status == 505 for status in statuses(received)), received
    assert b'Traceback' not in received


def test_whatever_came_before_nothing_was_logged_as_a_fault(cluster, place):
    exchange(place, ping(place))
    assert 'Traceback' not in cluster.process('proxy', 1).log.read_text(errors='replace')


# -- slow clients ----------------------------------------------------------------------------------

SLOW = ['GET', f'PUT {JOBS} HTTP/1.1\r\nHost:', 'body', 'chunks']


@pytest.mark.parametrize('how', SLOW)
def test_slow_clients_do_not_keep_others_waiting_and_are_let_go(place, how):
    """Those that say nothing for ``client_timeout`` seconds lose their connection."""
    begun = {'body': line(place, f'PUT {JOBS}', 'Content-Length: 1000', body=b'{'),
             'chunks': chunked(place, f'PUT {JOBS}', b'5\r\n{')}.get(how, how.encode())
    slow = [socket.create_connection(place[:2], timeout=LIMIT) for _ in range(50)]
    try:
        for client in slow:
            client.sendall(begun)
        for _ in range(20):
            assert statuses(exchange(place, sized(place, f'POST {JOBS}/messages', POST))) == [201]
        for client in slow:
            received = b''
            while chunk := client.recv(65536):  # a timeout here means that it was not let go
                received += chunk
            assert statuses(received) == ([400] if how in ('body', 'chunks') else [])
    finally:
        for client in slow:
            client.close()


@pytest.fixture
def served(monkeypatch):
    """The filters behind Swift's own server in this process, with little patience."""
    monkeypatch.setattr(frontend, 'BODY_SECONDS', 0.2)
    wire = Wire()
    listener = eventlet.listen(('127.0.0.1', 0))

    def app(environ, start_response):
        return wire.app(environ | {'swift.cache': wire.cache}, start_response)

    server = eventlet.spawn(wsgi.server, listener, app, NullLogger(), protocol=SwiftHttpProtocol,
                            socket_timeout=LIMIT, capitalize_response_headers=False)
    yield (*listener.getsockname()[:2], headers_of(wire.token('tester')))
    server.kill()
    listener.close()


def drip(place, opening, pieces):
    """What comes back for an opening and pieces of which each comes a little later than the one before."""
    with green_socket.create_connection(place[:2], timeout=LIMIT) as client:
        client.sendall(opening)
        received = b''
        try:
            for piece in pieces:
                eventlet.sleep(0.02)
                client.sendall(piece)
            while chunk := client.recv(65536):
                received += chunk
        except ConnectionError:
            pass
        return received


@pytest.mark.parametrize('begin', [
    lambda place: line(place, f'PUT {JOBS}', 'Content-Length: 1000', body=b' ' * 600),
    lambda place: chunked(place, f'PUT {JOBS}', b'258\r\n' + b' ' * 300)], ids=['length', 'chunks'])
def test_a_body_that_drips_is_given_up_and_no_request_is_taken_for_its_rest(served, begin):
    received = drip(served, begin(served), [b' '] * 9)
    assert statuses(received) in ([408], [])
    received = drip(served, begin(served), [b''] * 15 + [b' ' * 400 + ping(served)])
    assert statuses(received) in ([408], [])
    assert b'408' in drip(served, begin(served), [])
