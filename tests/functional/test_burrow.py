"""Burrow v1.0 on a real Swift: what depends on the server and the connection, and the patterns of its page."""

from __future__ import annotations

import http.client
import random
import re
import textwrap
from pathlib import Path

import pytest
import requests

PAGE = Path(__file__).parents[2] / 'doc' / 'source' / 'burrow.rst'
HOST = 'burrow.example'  # as in conftest.py


@pytest.fixture
def ask(tester, name):
    """A request for the queue of this test, or what is in it."""
    def ask(method, path='', data=None, **params):
        return tester.request(method, f'/burrow/v1.0/AUTH_test/{name}{path}', data=data, params=params)
    return ask


def test_a_message_from_its_beginning_to_its_end(ask, tester, name):
    assert ask('GET').status_code == 404
    assert ask('PUT', '/a', b'old').status_code == 201
    assert ask('PUT', '/b', b'b', ttl=0).status_code == 201
    assert ask('PUT', '/hidden', b'x', hide=50).status_code == 201
    assert ask('PUT', '/a', b'new').status_code == 204
    assert [(each['id'], each['body'], each['ttl'] > 0) for each in ask('GET').json()] == [
        ('a', 'new', True), ('b', 'b', False)]
    assert ask('POST', limit=1, hide=60, detail='id').json() == ['a']
    assert ask('POST', '/a', ttl=100, hide=0, detail='attributes').json() == {'id': 'a', 'ttl': 100, 'hide': 0}
    assert ask('GET', marker='a', detail='id').json() == ['b']
    assert ask('DELETE', detail='id').json() == ['a', 'b']
    assert ask('GET').status_code == 404
    assert ask('PUT', '/a', b'again').status_code == 201
    assert ask('GET', match_hidden='true', detail='id').json() == ['hidden', 'a']
    assert name in tester.request('GET', '/burrow/v1.0/AUTH_test').json()
    assert ask('DELETE', '/hidden').status_code == ask('DELETE', '/a').status_code == 204
    assert ask('DELETE', '/a').status_code == 404
    queues = tester.request('GET', '/burrow/v1.0/test')
    assert queues.status_code == 404 or name not in queues.json()


def test_18_ttl(ask):
    ask('PUT', '/m', b'x', ttl=1)
    assert ask('GET', wait=0).status_code == 200
    ask('PUT', '/other', b'x', hide=2)
    assert ask('GET', marker='m', wait=10, detail='id').json() in (['other'], ['other', 'm'])
    assert ask('GET', '/m').status_code == 404


def test_21_and_22_any_bytes_in_pieces_of_any_size(ask):
    body = random.Random(0).randbytes(65536)
    chunks = (body[start:start + 1000] for start in range(0, len(body), 1000))
    assert ask('PUT', '/m', chunks).status_code == 201
    shown = ask('GET', '/m', detail='body')
    assert (shown.content, shown.headers['Content-Type']) == (body, 'application/octet-stream')
    assert ask('GET').json()[0]['encoding'] == 'base64'


def test_24_tokens(ask, stranger, guest, url, name):
    ask('PUT', '/m', b'x')
    path = f'/burrow/v1.0/AUTH_test/{name}'
    for method in ('GET', 'POST', 'DELETE'):
        assert requests.request(method, url + path, timeout=30).status_code == 401
        assert stranger.request(method, path).status_code == guest.request(method, path).status_code == 403
    assert ask('GET', detail='id').json() == ['m']


def test_25_a_client_that_knows_a_host_and_a_port(url, tester, name):
    """It puts the version at the root, quotes nothing and reads as many bytes as the Content-Length says."""
    connection = http.client.HTTPConnection(url.removeprefix('http://'), timeout=30)

    def ask(method, path, body=None):
        connection.putrequest(method, path, skip_host=True)
        connection.putheader('Host', HOST)
        connection.putheader('X-Auth-Token', tester.token)
        if body is not None:
            connection.putheader('Content-Length', str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        length = int(answer.getheader('content-length'))
        content = answer.read()
        assert len(content) == length
        return answer.status, content
    queue = f'/v1.0/AUTH_test/{name}'
    assert ask('GET', '/')[0] == 200
    assert ask('PUT', f'{queue}/m:1', b'body')[0] == 201
    assert ask('PUT', f'{queue}/m:1', b'body')[0] == 204
    assert ask('GET', f'{queue}/m:1?detail=none') == ask('POST', f'{queue}?hide=0') == (204, b'')
    assert ask('GET', f'{queue}?detail=id') == (200, b'["m:1"]')
    assert ask('DELETE', f'{queue}/m:1?detail=body') == (200, b'body')
    assert ask('DELETE', queue)[0] == 404


# -- the patterns of the page ----------------------------------------------------------------------

@pytest.fixture
def run(url, tester):
    """The code of a section of the page, run; what it has defined."""
    def run(title):
        section = PAGE.read_text().partition(f'\n{title}\n{"-" * len(title)}\n')[2]
        code = re.search(r'code-block:: python\n\n((?:    .*\n|\n)+)', section)[1]
        defined = {'TOKEN': tester.token}
        exec(textwrap.dedent(code).replace('http://127.0.0.1:8080', url), defined)
        return defined
    return run


def test_the_work_queue_of_the_page(run):
    defined, done = run('Work queue'), []
    for number in range(3):
        defined['send'](f'job-{number}', b'%d' % number)

    def work(job_id, body):
        defined['still_at_it'](job_id)
        done.append((job_id, body))
    while defined['work_once'](work, wait=0):
        pass
    assert done == [('job-0', '0'), ('job-1', '1'), ('job-2', '2')]


def test_the_fast_queue_of_the_page(run, tester):
    take_some = run('Fast queue')['take_some']
    for number in range(3):
        tester.request('PUT', f'/burrow/v1.0/AUTH_test/fast/{number}', data=b'x')
    assert [message['id'] for message in take_some(wait=0)] == ['0', '1', '2']
    assert take_some(wait=0) == []


def test_the_multicast_of_the_page(run, tester):
    defined = run('Multicast')
    readers, seen = [defined['Reader'](), defined['Reader']()], [[], []]
    for number in range(4):
        tester.request('PUT', f'/burrow/v1.0/AUTH_test/news/{number}', data=b'x')
        for reader, messages in zip(readers, seen, strict=True):
            if number % 2 or reader is readers[0]:
                messages += [message['id'] for message in reader.read(wait=5)]
    assert seen == [['0', '1', '2', '3']] * 2
