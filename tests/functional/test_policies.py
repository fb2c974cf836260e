"""Flavors and pools on a real Swift with a replicated and an erasure-coded storage policy besides the default one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import requests
from lost_rows import databases, lose, rows
from user import User

from swiftqueue.cluster import Cluster
from swiftqueue.ids import EPHEMERAL
from swiftqueue.names import decode_row

PATCH = {'Content-Type': 'application/openstack-messaging-v2.0-json-patch'}
PROGRAM = str(Path(sys.executable).with_name('swiftqueue'))
HASTY_JANITOR = Path(__file__).parents[1] / 'cluster' / 'hasty_janitor.py'
LIMIT = 60  # seconds, for what takes a few
DEFAULT, REPLICATED, CODED, SINGLE = range(4)
LARGE = 'x' * 9000  # too large for a row


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    options = {'min_claim_ttl': '1', 'min_message_ttl': '1', 'min_claim_grace': '0', 'ephemeral_policy': 'single'}
    with Cluster(tmp_path_factory.mktemp('policies'), options=options, policies=True, daemons=False) as running:
        yield running


@pytest.fixture(scope='module')
def tester(cluster):
    return User(cluster.urls[0], 'test:tester')


@pytest.fixture(scope='module')
def operator(cluster):
    """With a pool for each policy, and a flavor for each use of them."""
    user = User(cluster.urls[0], 'admin:admin', 'admin')
    for policy in ('replicated', 'coded'):
        define(user, f'/v2/pools/{policy}', {'uri': f'swift://{policy}', 'weight': 1})
    define(user, '/v2/flavors/coded', {'pool_list': ['coded'], 'shards': 2})
    define(user, '/v2/flavors/mixed', {'pool_list': ['coded'], 'claims_pool': 'replicated'})
    return user


def define(user, path, definition):
    answer = user.request('PUT', path, json=definition)
    assert (answer.status_code, answer.headers.get('Location')) == (201, path), answer.text


def create(user, name, **metadata):
    answer = user.request('PUT', f'/v2/queues/{name}', json=metadata)
    assert answer.status_code == 201, answer.text


def post(user, name, *bodies, ttl=300, **fields):
    messages = [{'body': body, 'ttl': ttl, **fields} for body in bodies]
    answer = user.request('POST', f'/v2/queues/{name}/messages', json={'messages': messages})
    assert answer.status_code == 201, answer.text
    return answer.json()['resources']


def listed(user, name):
    answer = user.request('GET', f'/v2/queues/{name}/messages?echo=true&include_claimed=true&limit=20')
    assert answer.status_code == 200
    return [message['body'] for message in answer.json()['messages']]


def claim(user, name, count=20, ttl=60):
    answer = user.request('POST', f'/v2/queues/{name}/claims?limit={count}', json={'ttl': ttl, 'grace': 60})
    assert answer.status_code in (201, 204), answer.text
    return (answer.json()['messages'], answer.headers['Location']) if answer.status_code == 201 else ([], None)


def grow(user, name, shards):
    return user.request('PATCH', f'/v2/queues/{name}', headers=PATCH,
                        json=[{'op': 'add', 'path': '/metadata/_shards', 'value': shards}])


def places(cluster, name):
    """(kind, shard, policy) of every container of the queue, from the databases on the disks."""
    found = set()
    for _, broker in databases(cluster, name):
        info = broker.get_info()
        if info['status_changed_at'] and not broker.is_deleted():
            _, kind, _, _, shard = info['container'].split('\0')
            found.add((kind, int(shard), info['storage_policy_index']))
    return found


def janitor(cluster):
    """What a pass did that waited for nothing."""
    done = subprocess.run([sys.executable, str(HASTY_JANITOR), str(cluster.data / 'etc' / 'swiftqueue-janitor.conf')],
                          capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_whole_life_of_a_queue_in_an_erasure_coded_policy(cluster, operator, tester, name):
    queue = f'/v2/queues/{name}'
    create(tester, name, _flavor='coded', _dead_letter_queue=f'{name}-dead', _max_claim_count=2)
    expected = {(kind, shard, policy) for shard in (0, 1) for kind, policy in (('messages', CODED), ('claims', CODED))}
    assert places(cluster, name) == expected

    posted = post(tester, name, 1, LARGE, 3, 4)
    assert listed(tester, name) == [1, LARGE, 3, 4]
    assert tester.request('GET', posted[1]).json()['body'] == LARGE
    held, where = claim(tester, name, 3, ttl=60)
    assert [message['body'] for message in held] == [1, LARGE, 3]
    assert tester.request('PATCH', where, json={'ttl': 10, 'grace': 60}).status_code == 204
    assert tester.request('GET', where).json()['ttl'] == 10
    assert tester.request('DELETE', posted[0]).status_code == 403
    for message in held[:2]:
        assert tester.request('DELETE', message['href']).status_code == 204
    assert listed(tester, name) == [3, 4]
    assert tester.request('DELETE', where).status_code == 204
    assert tester.request('GET', f'{queue}/stats').json()['messages']['total'] == 2

    # The second delivery of each is the last.
    held, where = claim(tester, name, ttl=10)
    assert [(message['body'], message['claim_count']) for message in held] == [(3, 2), (4, 1)]
    assert tester.request('DELETE', held[1]['href']).status_code == 204
    assert tester.request('DELETE', where).status_code == 204
    wait_until(lambda: claim(tester, name) == ([], None) and listed(tester, f'{name}-dead') == [3])
    assert places(cluster, f'{name}-dead') == {('messages', 0, CODED), ('claims', 0, CODED)}

    answer = grow(tester, name, 3)
    assert (answer.status_code, answer.json()['_shards']) == (200, 3), answer.text
    expected |= {('messages', 2, CODED), ('claims', 2, CODED)}
    assert places(cluster, name) == expected

    # All that is left are the three claims of the dead letter, the last of which it was moved under, for a minute.
    wait_until(lambda: janitor(cluster)['errors'] == 0 and sum(
        broker.get_info()['object_count'] for _, broker in databases(cluster, name)) == 3)

    post(tester, name, *range(6))
    lose(cluster, name, live_only=True)
    done = subprocess.run([PROGRAM, 'fsck', '--data', str(cluster.data), 'AUTH_test', name],
                          capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, 'rows written again: 9' in done.stdout) == (0, True), done.stdout + done.stderr
    assert listed(tester, name) == list(range(6))

    assert tester.request('POST', f'{queue}/purge').status_code == 204
    assert listed(tester, name) == []
    post(tester, name, 'after')
    assert listed(tester, name) == ['after']
    wait_until(lambda: janitor(cluster)['errors'] == 0 and len(places(cluster, name)) == 6)
    assert places(cluster, name) == expected

    assert tester.request('DELETE', queue).status_code == 204
    wait_until(lambda: janitor(cluster)['errors'] == 0 and not places(cluster, name))


def test_claims_may_be_in_another_policy_than_their_messages(cluster, operator, tester, name):
    create(tester, name, _flavor='mixed')
    post(tester, name, 1, LARGE)
    held, where = claim(tester, name)
    assert [message['body'] for message in held] == [1, LARGE]
    assert tester.request('DELETE', held[0]['href']).status_code == 204
    assert tester.request('DELETE', where).status_code == 204
    assert [message['body'] for message in claim(tester, name)[0]] == [LARGE]
    assert grow(tester, name, 2).status_code == 200
    assert tester.request('POST', f'/v2/queues/{name}/purge').status_code == 204
    assert places(cluster, name) == {
        (kind, shard, policy) for shard in (0, 1) for kind, policy in (('messages', CODED), ('claims', REPLICATED))}


def test_small_messages_are_in_the_rows_of_an_erasure_coded_policy_too(cluster, operator, tester, name):
    create(tester, name, _flavor='coded', _shards=1)
    post(tester, name, 'small', LARGE)
    found = rows(cluster, name, kinds=['messages'])
    assert [sorted('body' in decode_row(row[4]) for row in each) for each in found.values()] == [[False, True]]


def test_dead_letters_may_go_to_a_queue_in_another_policy(cluster, operator, tester, name):
    dead = f'{name}-dead'
    create(tester, dead)
    create(tester, name, _flavor='coded', _dead_letter_queue=dead, _max_claim_count=1)
    post(tester, name, 'job')
    assert tester.request('DELETE', claim(tester, name)[1]).status_code == 204
    wait_until(lambda: claim(tester, name) == ([], None) and listed(tester, dead) == ['job'])
    assert places(cluster, dead) == {('messages', 0, DEFAULT), ('claims', 0, DEFAULT)}
    held, _ = claim(tester, dead)
    assert tester.request('DELETE', held[0]['href']).status_code == 204


@pytest.mark.parametrize('of_source, of_target', [({'_flavor': 'mixed'}, {}), ({}, {'_flavor': 'coded'})])
def test_subscribers_and_what_they_subscribe_to_may_be_in_any_policies(
        cluster, operator, tester, name, of_source, of_target):
    copy = f'{name}-copy'
    create(tester, name, **of_source)
    create(tester, copy, **of_target)
    answer = tester.request('POST', f'/v2/queues/{name}/subscriptions', json={'subscriber': f'queue://{copy}'})
    assert answer.status_code == 201, answer.text
    post(tester, name, 1, 2)
    post(tester, name, LARGE)
    assert listed(tester, name) == [1, 2, LARGE]
    lose(cluster, name, kinds=['published'])
    done = subprocess.run([PROGRAM, 'fsck', '--data', str(cluster.data), 'AUTH_test', name],
                          capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, 'rows written again: 3' in done.stdout) == (0, True), done.stdout + done.stderr
    cluster.run_daemons_once('swiftqueue-notifier')
    assert listed(tester, copy) == [1, 2, LARGE]
    assert ('messages', 0, CODED if of_target else DEFAULT) in places(cluster, copy)
    held, _ = claim(tester, copy)
    for message in held:
        assert tester.request('DELETE', message['href']).status_code == 204
    cluster.run_daemons_once('swiftqueue-notifier')
    assert listed(tester, copy) == []


@pytest.mark.parametrize('flavor', ['nothing', '', 7, 'coded/../x'])
def test_an_unknown_flavor_is_refused_and_nothing_is_created(cluster, operator, tester, name, flavor):
    answer = tester.request('PUT', f'/v2/queues/{name}', json={'_flavor': flavor})
    assert (answer.status_code, 'There is no flavor' in answer.json()['description']) == (400, True)
    assert tester.request('GET', f'/v2/queues?name={name}').json()['queues'] == []
    assert places(cluster, name) == set()


def test_only_operators_define_flavors_and_no_client_can_reach_where_they_are(cluster, operator, tester):
    for path in ('/v2/pools', '/v2/flavors', '/v2/pools/coded', '/v2/flavors/coded'):
        assert tester.request('GET', path).status_code == 403
        nobody = requests.get(cluster.urls[0] + path, headers={'Client-ID': str(uuid.uuid4())}, timeout=30)
        assert nobody.status_code == 401
    assert tester.request('PUT', '/v2/pools/mine', json={'uri': 'swift://Policy-0', 'weight': 1}).status_code == 403
    for user in (tester, operator):
        for path in ('', '/pools', '/pools/coded'):
            assert user.request('GET', f'/v1/.swiftqueue{path}').status_code == 403


def files(cluster, policy):
    """How many objects the disks have in the policy, each replica counted."""
    return len(list(cluster.data.glob(f'node*/*/objects{f"-{policy}" if policy else ""}/**/*.data')))


def test_ephemeral_messages_are_in_the_policy_that_the_operator_names_for_them(cluster, operator, tester, name):
    ordinary = {('messages', 0, DEFAULT), ('claims', 0, DEFAULT)}
    both = ordinary | {('messages', EPHEMERAL, SINGLE), ('claims', EPHEMERAL, SINGLE)}
    create(tester, name)
    post(tester, name, 1)
    assert places(cluster, name) == ordinary
    before = files(cluster, DEFAULT)
    post(tester, name, 2, LARGE, ephemeral=True)
    assert (places(cluster, name), files(cluster, SINGLE), files(cluster, DEFAULT)) == (both, 2, before)
    post(tester, name, 4)
    assert listed(tester, name) == [1, 2, LARGE, 4]
    held, where = claim(tester, name, 3)
    assert [message['body'] for message in held] == [1, 2, LARGE]
    assert (files(cluster, SINGLE), files(cluster, DEFAULT)) == (4, before + 2)
    assert tester.request('DELETE', held[0]['href']).status_code == 204
    assert tester.request('DELETE', held[1]['href']).status_code == 204
    assert tester.request('DELETE', where).status_code == 204

    for disk in cluster.data.glob(f'node*/*/objects-{SINGLE}'):  # it is lost, and an empty one takes its place
        shutil.rmtree(disk)
    post(tester, name, 5, ephemeral=True)
    assert [message['body'] for message in claim(tester, name)[0]] == [4, 5]
    assert tester.request('POST', f'/v2/queues/{name}/purge').status_code == 204
    assert listed(tester, name) == []
    assert tester.request('DELETE', f'/v2/queues/{name}').status_code == 204
    wait_until(lambda: janitor(cluster)['errors'] == 0 and not places(cluster, name))


def test_the_clients_of_zaqar_define_flavors(operator, tester, name):
    client = operator.messaging()
    client.pool('default', uri='swift://Policy-0', weight=10)
    flavor = client.flavor(name, pool_list=['default'])
    assert flavor.get()['pool_list'] == ['default']
    assert name in [each.name for each in client.flavors()]
    assert sorted(each.name for each in client.pools()) == ['coded', 'default', 'replicated']
    tester.messaging().queue(f'{name}-q', metadata={'_flavor': name})
    flavor.update({'pool_list': ['coded']})
    assert client.flavor(name, auto_create=False).get()['pool_list'] == ['coded']
    flavor.delete()
    client.pool('default', auto_create=False).delete()


def test_a_queue_leaves_a_deprecated_policy_when_it_gets_new_containers_if_its_flavor_says_where(
        cluster, operator, tester, name):
    """The last test: the policy stays deprecated."""
    for queue, flavor in ((name, 'old'), (f'{name}-stays', 'older')):
        define(operator, f'/v2/flavors/{flavor}', {'pool_list': ['replicated']})
        create(tester, queue, _flavor=flavor)
        post(tester, queue, 1)
    swift_conf = cluster.data / 'etc' / 'swift.conf'
    text = swift_conf.read_text()
    swift_conf.write_text(text.replace('name = replicated\n', 'name = replicated\ndeprecated = yes\n'))
    process = cluster.process('swift')
    process.terminate()
    process.start()
    tester, operator = User(tester.url, 'test:tester'), User(operator.url, 'admin:admin', 'admin')
    assert listed(tester, name) == [1]
    post(tester, name, 2)
    held, _ = claim(tester, name)
    assert [message['body'] for message in held] == [1, 2]
    for path in (f'{name}-new', f'{name}-other'):
        assert tester.request('PUT', f'/v2/queues/{path}', json={'_flavor': 'old'}).status_code == 400
        assert places(cluster, path) == set()
    assert tester.request('PUT', f'/v2/queues/{name}-claims', json={'_flavor': 'mixed'}).status_code == 400
    answer = operator.request('PUT', '/v2/pools/again', json={'uri': 'swift://replicated', 'weight': 1})
    assert answer.status_code == 400, answer.text

    assert operator.request('PATCH', '/v2/flavors/old', json={'pool_list': ['replicated', 'coded']}).status_code == 200
    old = {('messages', 0, REPLICATED), ('claims', 0, REPLICATED)}
    assert grow(tester, name, 2).status_code == 200
    assert places(cluster, name) == old | {('messages', 1, CODED), ('claims', 1, CODED)}
    assert tester.request('POST', f'/v2/queues/{name}/purge').status_code == 204
    assert places(cluster, name) >= {(kind, shard, CODED) for kind in ('messages', 'claims') for shard in (0, 1)}
    post(tester, name, 3)
    assert listed(tester, name) == [3]

    for change in (lambda: grow(tester, f'{name}-stays', 2),
                   lambda: tester.request('POST', f'/v2/queues/{name}-stays/purge')):
        assert change().status_code == 400
    assert (listed(tester, f'{name}-stays'), places(cluster, f'{name}-stays')) == ([1], old)
    assert tester.request('DELETE', f'/v2/queues/{name}-stays').status_code == 204
