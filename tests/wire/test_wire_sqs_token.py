"""Amazon SQS with Keystone's keys: the filter sqstoken, Swift's own s3token and keystoneauth, and a Keystone."""

import json

import aws
import pytest
from keystone import Keystone
from swift.common.middleware.keystoneauth import KeystoneAuth
from swift.common.middleware.s3api.s3token import S3Token
from wire.sqs import LOGGER
from wire.transcript import no_syslog
from world import World

from swiftqueue.middleware.queue import QueueFilter
from swiftqueue.middleware.sqs import SqsFilter
from swiftqueue.middleware.sqs_settings import Settings
from swiftqueue.middleware.sqs_token import SqsToken

PROJECT, OTHER = 'f00' * 10 + 'aa', 'bad' * 10 + 'bb'
SERVICE = {'auth_type': 'password', 'username': 'swift', 'password': 'service secret', 'user_domain_id': 'default',
           'project_name': 'service', 'project_domain_id': 'default'}


@pytest.fixture(scope='module')
def server():
    server = Keystone()
    yield server
    server.stop()


@pytest.fixture
def keystone(server):
    server.keys = {'key1': ('secret', 'alice', PROJECT, ['swiftoperator']), 'key2': ('secret', 'bob', OTHER,
                            ['swiftoperator']),
                   'key3': ('secret', 'carol', PROJECT, ['nothing'])}
    server.asked.clear()
    server.broken = None
    return server


class Cloud:
    """A proxy whose users are Keystone's."""

    def __init__(self, keystone, protocol='json', **options):
        self.world, self.protocol = World(), protocol
        conf = {'auth_uri': keystone.url, 'auth_url': keystone.url, **SERVICE} | options
        with no_syslog():
            app = QueueFilter(self.world.swift, self.world.engines[0], LOGGER)
            app = S3Token(KeystoneAuth(app, {'operator_roles': 'swiftoperator'}), conf)
            self.app = SqsFilter(SqsToken(app, conf), Settings(), LOGGER)

    def client(self, key='key1', secret='secret', protocol='', **signing):
        return aws.PROTOCOLS[protocol or self.protocol](self.app, key=key, secret=secret, environ={
            'swift.cache': self.world.cache, 'swift.trans_id': 'tx'}, **signing)


@pytest.fixture(params=['json', 'query'])
def cloud(request, keystone):
    return Cloud(keystone, request.param)


def refused(status, code, call, *arguments, **parameters):
    with pytest.raises(aws.AwsError) as raised:
        call(*arguments, **parameters)
    assert (raised.value.status, raised.value.code) == (status, code), raised.value
    return raised.value


def test_a_key_of_keystone_is_served_in_its_projects_account(cloud, keystone):
    client = cloud.client()
    url = client('CreateQueue', QueueName='jobs')['QueueUrl']
    client('SendMessage', QueueUrl=url, MessageBody='ü', MessageAttributes={
        'a': {'DataType': 'String', 'StringValue': 'x'}})
    assert [message['Body'] for message in client('ReceiveMessage', QueueUrl=url)['Messages']] == ['ü']
    assert {call.account for call in cloud.world.swift.calls if call.swift_source == 'MQ'} == {f'AUTH_{PROJECT}'}
    assert cloud.client('key2')('ListQueues') == {}
    refused(403, 'AccessDenied', cloud.client('key3'), 'ListQueues')
    refused(403, 'AccessDenied', cloud.client('key2'), 'DeleteQueue', QueueUrl=url)


def test_keystone_is_asked_once_a_while(cloud, keystone):
    for _ in range(5):
        cloud.client()('ListQueues')
    assert (keystone.count('ec2tokens'), keystone.count('OS-EC2')) == (1, 1)
    cloud.world.clock.advance(61)
    cloud.client()('ListQueues')
    assert (keystone.count('ec2tokens'), keystone.count('OS-EC2'), keystone.count('auth/tokens')) == (2, 2, 1)
    assert keystone.count('s3tokens') == 0


def test_a_changed_secret_is_noticed(cloud, keystone):
    cloud.client()('ListQueues')
    keystone.keys['key1'] = ('new secret', *keystone.keys['key1'][1:])
    cloud.client(secret='new secret')('ListQueues')
    refused(403, 'SignatureDoesNotMatch', cloud.client(), 'ListQueues')


def test_without_a_cache_keystone_is_asked_each_time(keystone):
    for options in ({'secret_cache_duration': '0'}, {}):
        cloud = Cloud(keystone, **options)
        if not options:
            cloud.world.cache = None
        keystone.asked.clear()
        for _ in range(2):
            cloud.client()('ListQueues')
        refused(403, 'InvalidClientTokenId', cloud.client(secret='wrong'), 'ListQueues')
        assert (keystone.count('ec2tokens'), keystone.count('OS-EC2')) == (3, 0)


def test_keys_that_are_not_good(cloud, keystone):
    refused(403, 'InvalidClientTokenId', cloud.client('nobody'), 'ListQueues')
    refused(403, 'InvalidClientTokenId', cloud.client(secret='wrong'), 'ListQueues')  # Keystone does not tell
    cloud.client()('ListQueues')
    refused(403, 'SignatureDoesNotMatch', cloud.client(secret='wrong'), 'ListQueues')
    assert cloud.world.cache.get('s3secret/nobody') is None


@pytest.mark.parametrize('broken', [(500, b'oops'), (403, b'{}'), (404, b'{}'), (200, b'{"token": {}}'), (200, b'[1]'),
                                    (200, b'x'), (300, b'')])
def test_a_keystone_that_fails(cloud, keystone, broken):
    keystone.broken = broken
    error = refused(503, 'ServiceUnavailable', cloud.client(), 'ListQueues')
    assert 'oops' not in error.message
    assert not cloud.world.swift.calls


def test_a_keystone_that_is_away(cloud, keystone):
    away = Keystone()
    there = Cloud(away, cloud.protocol)
    away.keys = keystone.keys
    there.client()('ListQueues')
    away.stop()
    there.client()('ListQueues')  # the secret is known for a while
    refused(403, 'InvalidClientTokenId', cloud.client('nobody'), 'ListQueues')
    refused(503, 'ServiceUnavailable', there.client('key2'), 'ListQueues')
    refused(503, 'ServiceUnavailable', there.client(secret='wrong'), 'ListQueues')
    there.world.clock.advance(61)
    refused(503, 'ServiceUnavailable', there.client(), 'ListQueues')


def test_a_service_that_keystone_does_not_know(keystone):
    refused(503, 'ServiceUnavailable', Cloud(keystone, password='wrong').client(), 'ListQueues')


def test_signed_urls(keystone):
    cloud = Cloud(keystone, 'query')
    client = cloud.client()
    client('CreateQueue', QueueName='jobs')
    for minutes in (0, 2):  # without the secret, and with it
        cloud.world.cache.delete('s3secret/key1') if not minutes else None
        assert client.get('GetQueueUrl', {'QueueName': 'jobs'})['QueueUrl'].endswith('/jobs')
    cloud.world.cache.delete('s3secret/key1')
    refused(403, 'InvalidClientTokenId', client.get, 'GetQueueUrl', {'QueueName': 'jobs'}, secret='wrong')


def test_what_keystone_would_not_check_is_not_served(keystone):
    """Somebody adds to a request that he has seen."""
    cloud = Cloud(keystone, 'query')
    cloud.client()('CreateQueue', QueueName='jobs')
    cloud.world.cache.delete('s3secret/key1')
    body = b'Action=ListQueues&Version=2012-11-05'
    headers = aws.header_signed('POST', '/', {}, {'Content-Type': 'application/x-www-form-urlencoded'}, body,
                                key='key1', secret='secret')
    answers = [aws.send(cloud.app, f'POST {path}', body, headers, **cloud.client().environ)
               for path in ('/', '/?QueueNamePrefix=x', '/?')]
    assert [answer.status for answer in answers] == [200, 403, 200]
    fields = aws.query_signed('GET', '/', {'Action': 'ListQueues', 'QueueNamePrefix': 'j'}, key='key1', secret='secret')
    query = aws.urlencode(fields)
    for tampered in (query, f'QueueNamePrefix=x&{query}', f'{query}&QueueNamePrefix=x'):
        cloud.world.cache.delete('s3secret/key1')
        answer = aws.send(cloud.app, f'GET /?{tampered}', headers={'Host': aws.HOST}, **cloud.client().environ)
        assert answer.status == (200 if tampered == query else 403)


def test_nobody_can_bring_an_identity_along(cloud, keystone):
    forged = {'HTTP_X_IDENTITY_STATUS': 'Confirmed', 'HTTP_X_PROJECT_ID': OTHER, 'HTTP_X_ROLES': 'admin',
              'HTTP_X_USER_ID': 'bob', 'keystone.token_info': {'token': {}}}
    client = cloud.client()
    client.environ |= forged
    client('CreateQueue', QueueName='jobs')
    assert {call.account for call in cloud.world.swift.calls if call.swift_source == 'MQ'} == {f'AUTH_{PROJECT}'}
    stranger = cloud.client('nobody')
    stranger.environ |= forged
    refused(403, 'InvalidClientTokenId', stranger, 'ListQueues')


def test_without_the_filter_nobody_is_served_whatever_the_request_says(keystone):
    world = World()
    with no_syslog():
        app = KeystoneAuth(QueueFilter(world.swift, world.engines[0], LOGGER), {'operator_roles': 'swiftoperator'})

    def identified(environ, start_response):  # as if somebody else had said whose request it is
        environ |= {'HTTP_X_IDENTITY_STATUS': 'Confirmed', 'HTTP_X_PROJECT_ID': PROJECT, 'HTTP_X_TENANT_ID': PROJECT,
                    'HTTP_X_USER_ID': 'alice', 'HTTP_X_ROLES': 'swiftoperator', 'keystone.token_info': {'token': {}},
                    'PATH_INFO': f'/v1/AUTH_{PROJECT}'}
        return app(environ, start_response)
    client = aws.Json(SqsFilter(identified, Settings(), LOGGER), environ={'swift.trans_id': 'tx'})
    refused(403, 'InvalidClientTokenId', client, 'ListQueues')


def test_other_requests_pass(keystone):
    passed = []

    def app(environ, start_response):
        passed.append(environ)
        start_response('204 No Content', [])
        return []
    with no_syslog():
        filter_ = SqsToken(app, {'auth_uri': keystone.url})
    answer = aws.send(filter_, 'GET /v1/AUTH_x', headers={'X-Auth-Token': 't', 'X-Roles': 'kept'})
    assert answer.status == 204 and passed[0]['HTTP_X_ROLES'] == 'kept'
    assert not json.dumps(keystone.asked).count('ec2tokens')
