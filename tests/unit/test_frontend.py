"""The part of a door that is the same for all: requests in, answers out."""

import logging
from io import BytesIO

import eventlet
import pytest

from swiftqueue.errors import Forbidden, Invalid, TooLarge
from swiftqueue.middleware import frontend
from swiftqueue.middleware.frontend import (
    MAX_DEPTH,
    Answer,
    BadBody,
    Frontend,
    MethodNotAllowed,
    Request,
    UnknownPath,
    parse_json,
)


def request(method='GET', path='/', query='', body=b'', **environ):
    return Request({'REQUEST_METHOD': method, 'PATH_INFO': path, 'QUERY_STRING': query, 'wsgi.input': BytesIO(body),
                    'CONTENT_LENGTH': str(len(body)), **environ})


# -- JSON ------------------------------------------------------------------------------------------

@pytest.mark.parametrize('text, value', [
    (b'{"a": [1, -2.5, null, true, "\xc3\xbc\\u00fc"]}', {'a': [1, -2.5, None, True, 'üü']}),
    (b' [] ', []),
    (b'9223372036854775807', 2 ** 63 - 1),
    (b'-9223372036854775808', -2 ** 63),
    (b'{"a": 1, "a": 2}', {'a': 2}),
    (b'[' * MAX_DEPTH + b']' * MAX_DEPTH, eval('[' * MAX_DEPTH + ']' * MAX_DEPTH)),
])
def test_json_is_read(text, value):
    assert parse_json(text) == value


@pytest.mark.parametrize('text', [
    b'', b'{', b'nul', b'"\xff"', b'\xef\xbb\xbf{}', '{}'.encode('utf-16'), b'NaN', b'[Infinity]', b'-Infinity',
    b'1e400', b'-1e400', b'9223372036854775808', b'-9223372036854775809', b'1' * 5000, b'[' * 100000, b'{"a":' * 100000,
    b'[' * (MAX_DEPTH + 1) + b']' * (MAX_DEPTH + 1), b'{} {}', b'{"a": 1,}', b"{'a': 1}",
], ids=lambda text: repr(text[:20]))
def test_what_is_not_quite_json_is_refused(text):
    with pytest.raises(BadBody):
        parse_json(text)


def test_a_body_of_the_wrong_kind_is_refused():
    with pytest.raises(BadBody, match='must be a JSON object'):
        request(body=b'[]').json(100, dict)
    with pytest.raises(BadBody, match='must be a JSON array'):
        request(body=b'{}').json(100, list)


def test_only_an_empty_body_is_the_default():
    assert request().json(100, dict, default={}) == {}
    assert request(body=b'{"a": 1}').json(100, dict, default={}) == {'a': 1}
    with pytest.raises(BadBody):
        request().json(100, dict)
    with pytest.raises(BadBody):
        request(body=b' ').json(100, dict, default={})


# -- bodies ----------------------------------------------------------------------------------------

def test_a_body_up_to_the_limit_is_read_once():
    both = request(body=b'x' * 10)
    assert both.body(10) == both.body(10) == b'x' * 10
    with pytest.raises(TooLarge):
        request(body=b'x' * 11).body(10)


@pytest.mark.parametrize('length', ['2 ', ' 2', '2\t'])
def test_blanks_around_a_length_do_not_count(length):
    assert request(body=b'{}', CONTENT_LENGTH=length).body(100) == b'{}'


@pytest.mark.parametrize('length', ['-1', 'x', '1_0', '٣', '1.0', '+2', '2,2', '0x2', '9' * 20, '9' * 5000])
def test_a_length_that_is_no_number_is_refused(length):
    with pytest.raises(Invalid):
        request(body=b'x', CONTENT_LENGTH=length).body(10)


@pytest.mark.parametrize('error', [OSError('gone'), ValueError('bad chunk')])
def test_a_client_that_hangs_up_is_not_our_fault(error):
    class Broken:
        def read(self, size):
            raise error

    with pytest.raises(BadBody, match='broke off'):
        request(CONTENT_LENGTH='5', **{'wsgi.input': Broken()}).body(10)


def test_the_time_for_a_body_ends_with_the_body(monkeypatch):
    monkeypatch.setattr(frontend, 'BODY_SECONDS', 0.001)
    assert request(body=b'x').body(10) == b'x'
    eventlet.sleep(0.005)


def test_a_timeout_of_somebody_else_is_passed_on():
    timeout = eventlet.Timeout(None)

    class Slow:
        def read(self, size):
            raise timeout

    with pytest.raises(eventlet.Timeout) as raised:
        request(CONTENT_LENGTH='5', **{'wsgi.input': Slow()}).body(10)
    assert raised.value is timeout


# -- parameters ------------------------------------------------------------------------------------

def test_parameters_are_decoded_once():
    params = request(query='a=%2541&b=%C3%BC+x&c=&d&e=1&e=2').params
    assert params == {'a': '%41', 'b': 'ü x', 'e': '1,2'}


@pytest.mark.parametrize('text, value', [('7', 7), ('-7', -7), ('007', 7), ('', None)])
def test_integers_are_read(text, value):
    assert request(query=f'n={text}').integer('n') == value


@pytest.mark.parametrize('text', ['x', '1.0', '%2B1', '1_000', '0x1', '%D9%A3', '1%20', '-', '9' * 30, '1,2'])
def test_what_is_no_integer_is_refused(text):
    with pytest.raises(Invalid, match='n must be an integer'):
        request(query=f'n={text}').integer('n')


def test_lists_are_separated_by_commas():
    assert request(query='ids=a,b,,c').strings('ids') == ['a', 'b', 'c']
    assert request(query='ids=,').strings('ids') == []
    assert request().strings('ids') is None


def test_headers_are_utf_8():
    assert request(HTTP_X_PROJECT_ID='\xc3\xbc').header('X-Project-Id') == 'ü'
    assert request().header('X-Project-Id') is None


# -- routes ----------------------------------------------------------------------------------------

def call(method, path, routes=None, begin=lambda request: 'call'):
    """Status, headers and body of one request to a door whose errors are told by their class."""
    def handler(*arguments):
        return Answer(200, list(arguments))

    def render(error):
        return Answer(500, type(error).__name__)

    app = Frontend(routes or {'/': {'GET': handler}, '/a/{b}': {'GET': handler, 'HEAD': handler},
                              '/a/{b}/c/{d}': {'GET': handler}}, begin, render, logging.getLogger('swiftqueue'))
    answer = []
    body = app(request(method, path).environ, lambda status, headers: answer.extend((status, dict(headers))))
    return *answer, b''.join(body)


@pytest.mark.parametrize('path, names', [
    ('/', []), ('/a/x', ['x']), ('/a/x/', ['x']), ('/a/x/c/y', ['x', 'y']), ('/a/c', ['c']), ('/a/../c/.', ['..', '.']),
    ('/a/%2F', ['%2F']), ('/a/{b}', ['{b}'])])
def test_handlers_get_the_parts_of_the_path_as_they_are(path, names):
    status, _, body = call('GET', path)
    assert status == '200 OK'
    assert parse_json(body) == ['call', *names]


@pytest.mark.parametrize('path', ['', '/a', '/a/', '/a//', '/a//c/x', '//', '/b', '/a/x/c', '/a/x/y', '/a/x//'])
def test_other_paths_are_unknown(path):
    assert call('GET', path)[2] == b'"UnknownPath"'


def test_a_known_path_has_its_methods():
    assert call('PUT', '/a/x')[2] == b'"MethodNotAllowed"'
    assert MethodNotAllowed(['PUT', 'GET']).allowed == 'GET, PUT'
    assert issubclass(UnknownPath, Exception)


def test_an_answer_to_head_has_the_length_but_not_the_body():
    status, headers, body = call('HEAD', '/a/x')
    assert (status, body) == ('200 OK', b'')
    assert headers['Content-Length'] == str(len(call('GET', '/a/x')[2]))


@pytest.mark.parametrize('error', [Forbidden('no'), RuntimeError('oops'), eventlet.Timeout(None)])
def test_whatever_goes_wrong_is_answered(error):
    def begin(request):
        raise error

    status, headers, body = call('GET', '/', begin=begin)
    assert status.startswith('500')
    assert parse_json(body) == type(error).__name__


def test_an_empty_answer_has_no_type_and_no_length():
    status, headers, body = call('GET', '/', routes={'/': {'GET': lambda call: Answer(204)}})
    assert (status, headers, body) == ('204 No Content', {}, b'')
