"""The Cluster class: what tests, benches and fault injection do with it."""

import os
import socket
import sys
import time

import pytest
from swift.common.ring import RingBuilder
from swiftclient import ClientException, Connection

from swiftqueue.cluster import Cluster, ClusterError
from swiftqueue.cluster.site import Site, Spec, hold_port, read_layout

LIMIT = 60  # seconds, for what takes a few

FAKE_MEMCACHED = """#!{python}
import sys
if sys.argv[1:] == ['-V']:
    sys.exit(print('memcached 1.6.18'))
import eventlet
eventlet.monkey_patch()
import socket
from swiftqueue.cluster import memcache
port = int(sys.argv[sys.argv.index('-p') + 1])
memcache.serve(socket.create_server(('127.0.0.1', port)), memcache.Store())
"""


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    """Three nodes, two proxies, no daemons but those that a test runs."""
    with Cluster(tmp_path_factory.mktemp('cluster') / 'odd %d {name}', nodes=3, proxies=2,
                 daemons=False) as cluster:
        yield cluster


def connect(cluster, proxy=0):
    return Connection(f'{cluster.urls[proxy]}/auth/v1.0', 'test:tester', 'testing', retries=0)


def wait_until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def logs_in(cluster):
    """Does a token work? Tokens are in the cache."""
    try:
        return connect(cluster).get_account()
    except ClientException:
        return False


def files_of(cluster, node):
    return {path for path in cluster.device(node).rglob('*') if path.is_file()}


def names(listing):
    return [row['name'] for row in listing[1]]


@pytest.mark.parametrize('xattrs', [True, False])
def test_data_survives_a_restart_with_and_without_extended_attributes(tmp_path, xattrs):
    data = tmp_path / 'var'
    with Cluster(data, xattrs=xattrs) as cluster:
        connection = connect(cluster)
        connection.put_container('c')
        connection.put_object('c', 'kept', 'first version')
        connection.put_object('c', 'kept', 'second version', headers={'X-Object-Meta-Is': 'put'})
        connection.post_object('c', 'kept', {'X-Object-Meta-Is': 'posted'})
        connection.put_object('c', 'gone', 'soon')
        connection.delete_object('c', 'gone')
        files = [path for path in cluster.device(1).rglob('*.data')]
    assert files and all(bool(os.listxattr(path)) == xattrs for path in files)
    with Cluster(data, xattrs=xattrs) as cluster:
        connection = connect(cluster)
        assert names(connection.get_container('c')) == ['kept']
        headers, body = connection.get_object('c', 'kept')
        assert (headers['x-object-meta-is'], body) == ('posted', b'second version')
        with pytest.raises(ClientException, match='404'):
            connection.get_object('c', 'gone')
        connection.put_object('c', 'new', 'third')
        assert connection.get_object('c', 'new')[1] == b'third'


def test_where_metadata_is_kept_is_a_matter_of_the_data_not_of_the_run(tmp_path):
    with Site(Spec(tmp_path / 'var', port=0, xattrs=False)):
        pass
    with Site(Spec(tmp_path / 'var', port=0)) as site:
        assert not read_layout(site.data).xattrs


def test_data_of_another_number_of_replicas_is_refused(tmp_path):
    with Site(Spec(tmp_path / 'var', nodes=2, port=0)):
        pass
    with pytest.raises(ClusterError, match='--nodes 2 --replicas 2'):
        Cluster(tmp_path / 'var', nodes=2, replicas=1).__enter__()


def test_what_a_cluster_wrote_one_process_more_or_less_does_not_matter(tmp_path):
    with Cluster(tmp_path / 'var') as cluster:
        connect(cluster).put_container('c')
    with Cluster(tmp_path / 'var', proxies=2, daemons=False) as cluster:
        assert names(connect(cluster, 1).get_account()) == ['c']


def test_each_node_is_a_zone_with_a_replica_of_everything(cluster):
    connect(cluster).put_container('zones')
    connect(cluster).put_object('zones', 'o', 'hello')
    for node in (1, 2, 3):
        assert list(cluster.device(node).glob('containers/**/*.db'))
        assert list(cluster.device(node).glob('objects/**/*.data'))


def test_a_killed_server_refuses_connections_and_comes_back_on_its_port(cluster):
    server = cluster.process('object', 2)
    server.kill()
    assert not server.alive
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(('127.0.0.1', server.port))
    connection = connect(cluster)
    connection.put_container('survives')
    connection.put_object('survives', 'o', 'hello')
    assert connection.get_object('survives', 'o')[1] == b'hello'
    server.start()
    socket.create_connection(('127.0.0.1', server.port)).close()


def test_a_server_that_is_asked_to_end_does_and_comes_back_under_another_program(cluster, tmp_path):
    server, seen = cluster.process('account', 3), tmp_path / 'seen'
    server.terminate()
    assert not server.alive
    server.python = ['-c', f'open({str(seen)!r}, "w").close(); import runpy; runpy.run_module("swiftqueue.cluster")']
    server.start()
    assert seen.exists()
    socket.create_connection(('127.0.0.1', server.port)).close()


def test_a_frozen_server_says_nothing_until_it_goes_on(cluster):
    server = cluster.process('account', 1)
    server.stop()
    with socket.create_connection(('127.0.0.1', server.port), timeout=0.2) as connection:
        connection.sendall(b'GET /healthcheck HTTP/1.0\r\n\r\n')
        with pytest.raises(TimeoutError):
            connection.recv(1)
        server.cont()
        connection.settimeout(LIMIT)
        assert connection.recv(100).startswith(b'HTTP/1.1 200')


def test_a_cache_that_comes_back_is_used_again(cluster):
    cluster.cache.kill()
    cluster.cache.start()
    wait_until(lambda: logs_in(cluster))


def test_a_server_reads_its_changed_configuration_at_its_next_start(cluster):
    server, conf = cluster.process('proxy', 2), cluster.conf('proxy', 2)
    text = conf.read_text()
    conf.write_text(text.replace('conn_timeout = 0.5', 'conn_timeout = soon'))
    server.kill()
    with pytest.raises(ClusterError, match="proxy-2 .*'soon'"):
        server.start()
    conf.write_text(text)
    server.start()
    assert connect(cluster, 1).get_account()


def test_replicators_bring_a_node_that_was_away_up_to_date(cluster):
    connection = connect(cluster)
    for kind in ('container', 'object'):
        cluster.process(kind, 3).kill()
    connection.put_container('away')
    connection.put_object('away', 'o', 'missed by node 3')
    before = files_of(cluster, 3)
    for kind in ('container', 'object'):
        cluster.process(kind, 3).start()
    cluster.run_daemons_once()
    came = files_of(cluster, 3) - before
    assert {path.suffix for path in came} >= {'.db', '.data'}


def test_the_updater_tells_the_containers_what_they_missed(cluster):
    connection = connect(cluster)
    connection.put_container('late')
    connection.put_object('late', 'early bird', 'here')
    for node in (1, 2, 3):
        cluster.process('container', node).kill()
    connection.put_object('late', 'o', 'the row comes later')
    for node in (1, 2, 3):
        cluster.process('container', node).start()
    cluster.run_daemons_once('account-replicator', 'container-replicator')
    assert 'o' not in names(connection.get_container('late'))
    cluster.run_daemons_once('object-updater')
    assert names(connection.get_container('late')) == ['early bird', 'o']


def test_the_daemons_drop_expired_objects_by_themselves(tmp_path):
    settings = {'object-expirer': {'object-expirer': {'interval': '1'}}}
    with Cluster(tmp_path / 'var', settings=settings) as cluster:
        connection = connect(cluster)
        connection.put_container('c')
        connection.put_object('c', 'o', 'not for long', headers={'X-Delete-After': '1'})
        assert names(connection.get_container('c')) == ['o']
        wait_until(lambda: not names(connection.get_container('c')))


def test_settings_go_over_the_configuration_of_a_kind_of_server(tmp_path):
    settings = {'object': {'app:object-server': {'container_update_timeout': '1'},
                           'DEFAULT': {'fallocate_reserve': '99%'}}}
    with Site(Spec(tmp_path / 'var', nodes=2, port=0, settings=settings)) as site:
        for name in ('object-1', 'object-2'):
            conf = site.conf(name).read_text()
            assert 'container_update_timeout = 1\n' in conf
            assert 'fallocate_reserve = 99%\n' in conf
        assert 'fallocate_reserve' not in site.conf('object-expirer').read_text()


@pytest.mark.parametrize('daemons', [True, False])
def test_the_daemons_can_be_left_out(tmp_path, daemons):
    site = Site(Spec(tmp_path / 'var', daemons=daemons))
    assert ('daemons' in site.parts) == daemons


def test_a_cluster_that_cannot_start_says_why_and_leaves_nothing(tmp_path):
    cluster = Cluster(tmp_path / 'var', options={'nonsense': '1'})
    with pytest.raises(ClusterError, match='nonsense'):
        cluster.__enter__()
    assert not any(process.alive for process in cluster.processes)
    with Site(Spec(tmp_path / 'var', port=0)):
        pass  # and nothing is locked


def test_a_memcached_on_the_path_is_used(tmp_path, monkeypatch):
    memcached = tmp_path / 'memcached'
    memcached.write_text(FAKE_MEMCACHED.format(python=sys.executable))
    memcached.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    with Cluster(tmp_path / 'var', proxies=2, daemons=False) as cluster:
        assert cluster.cache_name == 'memcached 1.6.18 (found on PATH)'
        connection = connect(cluster)
        connection.put_container('c')
        cluster.cache.kill()
        with pytest.raises(ClientException):
            connection.get_account()  # the tokens were in there
    assert Cluster(tmp_path / 'other', proxies=2, embedded_cache=True).cache_name == 'embedded'


@pytest.mark.parametrize('power', [4, 8])
def test_the_rings_have_as_many_partitions_as_asked_for(tmp_path, power):
    with Site(Spec(tmp_path / 'var', port=0, part_power=power)) as site:
        assert RingBuilder.load(str(site.etc / 'object.builder')).parts == 2 ** power


def test_two_clusters_are_never_given_the_same_port():
    with hold_port('127.0.0.1', 0) as held:
        port = held.getsockname()[1]
        with pytest.raises(OSError), socket.socket() as other:
            other.bind(('127.0.0.1', port))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(('127.0.0.1', port))
        with socket.create_server(('127.0.0.1', port)):
            socket.create_connection(('127.0.0.1', port)).close()
