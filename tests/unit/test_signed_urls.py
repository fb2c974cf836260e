"""Signed URLs: the exact signature, and what it does not let through."""

import hashlib
import hmac

import pytest

from swiftqueue.errors import Invalid
from swiftqueue.middleware.signed_urls import NotSigned, share, sign, verify

NOW = 1_800_000_000
PATH = '/v2/queues/jobs/messages'


def signature(paths, methods, project, expires, key=b'key'):
    """As the protocol has it: a backslash and an n between the parts."""
    return hmac.new(key, b'\\n'.join(part.encode() for part in (paths, methods, project, expires)),
                    hashlib.sha256).hexdigest()


def headers(paths=PATH, methods='GET', expires='2030-01-01T00:00:00', project='p', **more):
    return {'URL-Paths': paths, 'URL-Methods': methods, 'URL-Expires': expires,
            'URL-Signature': signature(paths, methods, project, expires)} | more


def test_the_signature_is_the_one_that_clients_compute():
    url = share({'paths': ['messages', 'claims'], 'methods': ['POST', 'GET'], 'expires': '2030-01-01T00:00:00'},
                'jobs', 'p', 'key', NOW)
    assert url['signature'] == signature(
        '/v2/queues/jobs/claims,/v2/queues/jobs/messages', 'GET,POST', 'p', '2030-01-01T00:00:00')


def test_what_is_given_out_is_taken_back():
    url = sign('key', [PATH], ['GET'], 'p', NOW + 1)
    sent = headers(expires=url['expires']) | {'URL-Signature': url['signature']}
    verify(sent.get, 'GET', PATH, 'p', 'key', NOW)
    verify(sent.get, 'GET', PATH + '/some-id', 'p', 'key', NOW)
    with pytest.raises(NotSigned):
        verify(sent.get, 'GET', PATH, 'p', 'key', NOW + 1)


@pytest.mark.parametrize('paths', ['', '/', '/v2/queues', '/v2/queues/', '.', '.*', 'messages',
                                   '/v2/queues/.*/messages', PATH + '/', PATH[:-1], 'x' + PATH, '/v2/queues/job'])
def test_a_signed_path_is_no_pattern_and_no_part_of_a_name(paths):
    with pytest.raises(NotSigned):
        verify(headers(paths).get, 'GET', PATH, 'p', 'key', NOW)


@pytest.mark.parametrize('method', ['get', 'PUT', '', 'GE', 'GET,PUT'])
def test_a_method_that_is_not_signed_is_refused(method):
    with pytest.raises(NotSigned):
        verify(headers().get, method, PATH, 'p', 'key', NOW)


def test_parts_cannot_be_moved_over_the_separator():
    """The owner of the project ``x\\nvictim`` signs for himself what would read as the victim's."""
    own = signature(PATH, 'GET', 'x\\nvictim', '2030-01-01T00:00:00')
    forged = headers(methods='GET\\nx', project='victim')
    assert forged['URL-Signature'] == own
    for methods in ('GET\\nx', 'DELETE,GET\\nx'):
        forged = headers(methods=methods, project='victim')
        for method in ('GET', 'DELETE', 'GET\\nx'):
            with pytest.raises(NotSigned):
                verify(forged.get, method, PATH, 'victim', 'key', NOW)
    with pytest.raises(NotSigned):
        verify(headers(project='x\\nvictim').get, 'GET', PATH, 'x\\nvictim', 'key', NOW)


def test_an_empty_key_signs_nothing():
    expires = '2030-01-01T00:00:00'
    forged = headers() | {'URL-Signature': signature(PATH, 'GET', 'p', expires, key=b'')}
    with pytest.raises(NotSigned):
        verify(forged.get, 'GET', PATH, 'p', '', NOW)
    with pytest.raises(Invalid):
        share({}, 'jobs', 'p', '', NOW)


def test_a_fraction_of_a_second_that_nobody_signed_does_not_count():
    url = sign('key', [PATH], ['GET'], 'p', NOW + 1)
    sent = headers(expires=url['expires']) | {'URL-Expires': url['expires'] + '.999999'}
    verify(sent.get, 'GET', PATH, 'p', 'key', NOW + 0.9)
    with pytest.raises(NotSigned):
        verify(sent.get, 'GET', PATH, 'p', 'key', NOW + 1.5)


def test_an_expiry_that_could_not_be_written_again_is_refused():
    with pytest.raises(Invalid):
        share({'expires': '9999-12-31T23:59:59-01:00'}, 'jobs', 'p', 'key', NOW)
    assert share({'expires': '9999-12-31T23:59:59'}, 'jobs', 'p', 'key', NOW)['expires'] == '9999-12-31T23:59:59'
