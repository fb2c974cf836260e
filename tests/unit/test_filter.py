"""The filter in the pipeline of a real proxy: its place, its key, what it lets pass."""

import logging
import socket
from uuid import UUID

import pytest
from model_swift import ModelSwift, send
from swift.common import utils
from swift.common.registry import get_swift_info

from swiftqueue.limits import Options
from swiftqueue.locality import LOCAL
from swiftqueue.middleware.queue import QueueFilter, filter_factory, receipt_key
from swiftqueue.queues import Engine

SECTIONS = """
[DEFAULT]
swift_dir = {rings}
[pipeline:main]
pipeline = {pipeline}
[app:proxy-server]
use = egg:swift#proxy
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
[filter:tempauth]
use = egg:swift#tempauth
[filter:keystoneauth]
use = egg:swift#keystoneauth
[filter:keymaster]
use = egg:swift#keymaster
encryption_root_secret = {secret}
[filter:encryption]
use = egg:swift#encryption
[filter:no-encryption]
use = egg:swift#encryption
disable_encryption = true
[filter:s3api]
use = egg:swift#s3api
[filter:sqsapi]
use = egg:swiftqueue#sqsapi
[filter:sqstoken]
paste.filter_factory = swiftqueue.middleware.sqs_token:filter_factory
auth_uri = http://127.0.0.1:1/v3
[filter:s3token]
use = egg:swift#s3token
auth_uri = http://127.0.0.1:1/v3
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
delay_auth_decision = true
[filter:queue]
use = egg:swiftqueue#queue
[filter:open-queue]
use = egg:swiftqueue#queue
allow_anonymous = yes
"""


@pytest.fixture
def proxy(rings, tmp_path, load):
    """Load a pipeline and give its queue filter."""
    def start(pipeline):
        conf = tmp_path / 'proxy-server.conf'
        conf.write_text(SECTIONS.format(rings=rings, pipeline=pipeline, secret='A' * 44))
        return next(each for each in load(conf)._pipeline if isinstance(each, QueueFilter))
    return start


@pytest.mark.parametrize('pipeline', [
    'catch_errors gatekeeper cache tempauth queue proxy-server',
    'catch_errors gatekeeper cache keystoneauth queue proxy-server',
    'catch_errors gatekeeper cache open-queue proxy-server',
    'catch_errors gatekeeper cache tempauth open-queue proxy-server',
    'cache tempauth queue proxy-server',  # Swift adds catch_errors and gatekeeper by itself
])
def test_the_filter_has_a_place(proxy, pipeline):
    assert not proxy(pipeline).engine.encrypted


@pytest.mark.parametrize('pipeline, complaint', [
    ('catch_errors gatekeeper cache queue tempauth proxy-server', 'right of the auth filter'),
    ('catch_errors gatekeeper cache tempauth queue keystoneauth proxy-server', 'right of the auth filter'),
    ('catch_errors gatekeeper cache open-queue tempauth proxy-server', 'right of the auth filter'),
    ('catch_errors gatekeeper cache queue proxy-server', 'needs an auth filter'),
    ('catch_errors gatekeeper tempauth queue cache proxy-server', 'right of cache'),
    ('catch_errors gatekeeper tempauth queue proxy-server', 'right of cache'),
    ('catch_errors cache tempauth queue gatekeeper proxy-server', 'right of gatekeeper'),
    ('catch_errors gatekeeper cache tempauth keymaster encryption queue proxy-server', 'left of keymaster'),
    ('catch_errors gatekeeper cache tempauth keymaster queue encryption proxy-server', 'left of keymaster'),
])
def test_a_proxy_with_the_filter_in_a_wrong_place_does_not_start(proxy, pipeline, complaint):
    with pytest.raises(ValueError, match=f'swiftqueue: .* the filter queue .*{complaint}'):
        proxy(pipeline)


def test_a_proxy_with_the_filter_behind_the_app_does_not_start(proxy):
    with pytest.raises(LookupError, match="'queue'"):
        proxy('catch_errors gatekeeper cache tempauth proxy-server queue')


@pytest.mark.parametrize('pipeline', [
    'catch_errors gatekeeper cache sqsapi s3api tempauth queue proxy-server',
    'catch_errors gatekeeper cache sqsapi tempauth queue proxy-server',
    'catch_errors gatekeeper cache sqsapi tempauth open-queue proxy-server',
    'catch_errors gatekeeper cache sqsapi s3api tempauth keystoneauth queue proxy-server',
    'catch_errors gatekeeper cache authtoken sqsapi s3api sqstoken s3token keystoneauth queue proxy-server',
])
def test_the_filter_for_amazon_has_a_place(proxy, pipeline):
    assert proxy(pipeline).engine


@pytest.mark.parametrize('pipeline, complaint', [
    ('catch_errors gatekeeper cache s3api sqsapi tempauth queue proxy-server', 'left of s3api'),
    ('catch_errors gatekeeper cache s3api tempauth sqsapi queue proxy-server', 'left of s3api'),
    ('catch_errors gatekeeper cache tempauth sqsapi queue proxy-server', 'auth filter on its right'),
    ('catch_errors gatekeeper cache sqsapi open-queue proxy-server', 'auth filter on its right'),
    ('catch_errors gatekeeper cache sqsapi tempauth proxy-server', 'filter queue on its right'),
    ('catch_errors gatekeeper cache sqsapi s3api s3token keystoneauth queue proxy-server', 'needs the filter sqstoken'),
])
def test_a_proxy_with_the_filter_for_amazon_in_a_wrong_place_does_not_start(proxy, pipeline, complaint):
    with pytest.raises(ValueError, match=f'swiftqueue: .* the filter sqsapi .*{complaint}'):
        proxy(pipeline)


@pytest.mark.parametrize('pipeline, complaint', [
    ('sqstoken sqsapi keystoneauth', 'right of sqsapi'),
    ('sqsapi s3api s3token sqstoken keystoneauth', 'left of s3token'),
    ('sqsapi tempauth sqstoken', 'left of keystoneauth'),
    ('sqsapi sqstoken authtoken keystoneauth', 'right of authtoken'),
])
def test_a_proxy_with_the_filter_for_keystone_in_a_wrong_place_does_not_start(proxy, pipeline, complaint):
    with pytest.raises(ValueError, match=f'swiftqueue: .* the filter sqstoken .*{complaint}'):
        proxy(f'catch_errors gatekeeper cache {pipeline} queue proxy-server')


def test_encryption_on_the_right_is_noticed(proxy):
    left = 'catch_errors gatekeeper cache tempauth queue'
    assert proxy(f'{left} keymaster encryption proxy-server').engine.encrypted
    assert proxy(f'{left} keymaster encryption proxy-server').engine.inline_limit == 0
    assert not proxy(f'{left} keymaster no-encryption proxy-server').engine.encrypted


def test_encryption_is_noticed_without_swifts_loader(proxy):
    ours = proxy('catch_errors gatekeeper cache tempauth queue keymaster encryption proxy-server')
    again = filter_factory({}, receipt_key='k')(ours.app)
    assert again.engine.encrypted
    assert again._pipeline is None


def test_the_proxys_own_rings_tell_where_messages_are(proxy):
    ours = proxy('catch_errors gatekeeper cache tempauth queue proxy-server')
    assert ours.engine.locate(0, 'AUTH_test', 'c', 'o') == [(1, 1)]  # as the rings of these tests have one device
    assert filter_factory({}, receipt_key='k')(ModelSwift()).engine.locate is None


def test_deliveries_are_counted_in_statsd(quiet):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(('127.0.0.1', 0))
        statsd.settimeout(10)
        conf = {'log_statsd_host': '127.0.0.1', 'log_statsd_port': str(statsd.getsockname()[1])}
        filter_factory(conf, receipt_key='k')(ModelSwift()).engine.statistics(LOCAL, 3)
        assert statsd.recv(100) == b'swift.queue.deliveries.local:3|c'


@pytest.mark.parametrize(('named', 'told'), [('', 0), ('Policy-0', 0), ('misspelt', 1)])
def test_a_policy_for_ephemeral_messages_that_is_none_is_told_of(quiet, monkeypatch, caplog, named, told):
    monkeypatch.setattr(utils, 'get_logger', lambda *args, **options: logging.getLogger('a proxy'))
    filter_factory({}, receipt_key='k', ephemeral_policy=named)
    assert caplog.text.count('ephemeral_policy = misspelt') == told == len(caplog.records)


def test_the_loader_can_tell_swifts_other_filters_of_the_pipeline(proxy):
    ours = proxy('catch_errors gatekeeper cache tempauth queue proxy-server')
    assert ours in ours._pipeline


def test_the_proxy_tells_of_its_queues_but_no_secret(quiet):
    filter_factory({}, receipt_key='classified', signed_url_key='classified', max_wait='7', api_versions='1 2',
                   __name__='queue')
    info = get_swift_info()['swiftqueue']
    assert info['apis'] == ['messaging-v2', 'messaging-v1', 'burrow-v1.0']
    assert (info['max_wait'], info['max_messages_per_page']) == (7, 20)
    assert 'classified' not in str(info)
    assert not any('key' in name for name in info)


# -- the key of receipts ---------------------------------------------------------------------------

def key(monkeypatch, prefix, suffix, **options):
    monkeypatch.setattr(utils, 'HASH_PATH_PREFIX', prefix)
    monkeypatch.setattr(utils, 'HASH_PATH_SUFFIX', suffix)
    return receipt_key(Options(**options))


def test_all_proxies_of_a_cluster_have_one_key_and_each_cluster_its_own(monkeypatch):
    assert key(monkeypatch, b'a', b'b') == key(monkeypatch, b'a', b'b')
    keys = {key(monkeypatch, *each) for each in ((b'a', b'b'), (b'ab', b''), (b'', b'ab'), (b'b', b'a'), (b'a', b'c'))}
    assert len(keys) == 5
    assert all(len(each) == 32 and b'ab' not in each for each in keys)


def test_the_operator_may_set_the_key(monkeypatch):
    assert key(monkeypatch, b'a', b'b', receipt_key='mine') == key(monkeypatch, b'x', b'y', receipt_key='mine')


def test_without_any_secret_the_proxy_does_not_start(monkeypatch, tmp_path):
    monkeypatch.setattr(utils, 'SWIFT_CONF_FILE', str(tmp_path / 'swift.conf'))
    with pytest.raises(ValueError, match='receipt_key'):
        key(monkeypatch, b'', b'')
    (tmp_path / 'swift.conf').write_text('[swift-hash]\n')
    with pytest.raises(ValueError, match='receipt_key'):
        key(monkeypatch, b'', b'')
    (tmp_path / 'swift.conf').write_text('[swift-hash]\nswift_hash_path_suffix = x\n')
    assert key(monkeypatch, b'', b'') == key(monkeypatch, b'', b'x')


# -- what passes -----------------------------------------------------------------------------------

@pytest.fixture
def open_filter():
    swift = ModelSwift()
    engine = Engine(Options(allow_anonymous=True), b'key', clock=swift.clock, monotonic=swift.clock)
    return QueueFilter(swift, engine, logging.getLogger('swiftqueue'))


@pytest.mark.parametrize('path', ['/v1/AUTH_test/c', '/v1', '/v2x', '/v20/queues', '/info', '/v', '/V2/',
                                  '/x/v2/queues', '/v1/v2/queues'])
def test_what_is_not_for_queues_passes_untouched(open_filter, path):
    environ = {}

    def app(passed, start_response):
        environ.update(passed)
        start_response('200 OK', [])
        return [b'passed']

    open_filter.app = app
    response = send(open_filter, 'GET', path, headers={'X-Project-Id': 'p'})
    assert response.body == b'passed'
    assert environ['PATH_INFO'] == path
    assert 'swift.leave_relative_location' not in environ


def test_locations_stay_relative(open_filter):
    environ = {'swift.leave_relative_location': False}
    response = send(open_filter, 'PUT', '/v2/queues/jobs', headers={
        'X-Project-Id': 'p', 'Client-ID': str(UUID(int=1))}, **environ)
    assert response.headers['Location'] == '/v2/queues/jobs'
    assert response.environ['swift.leave_relative_location'] is True
