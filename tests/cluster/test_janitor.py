"""The janitor on a real Swift: what it removes and what it leaves, also when a container server lags."""

import getpass
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path

import pytest
from real_swift import RealSwift
from user import User

from swiftqueue import ids
from swiftqueue.cluster import Cluster
from swiftqueue.names import (
    IDLE,
    NUL,
    Envelope,
    claims_container,
    message_name,
    messages_container,
    parse_container,
    queue_container,
)

SAMPLE = Path(__file__).parents[2] / 'etc' / 'swiftqueue-janitor.conf-sample'
PROGRAM = str(Path(sys.executable).with_name('swiftqueue'))
ACCOUNT = 'AUTH_test'
LIMIT = 60  # seconds, for what takes a few


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    """Three nodes, one proxy, no daemons but those that a test runs."""
    options = {'min_claim_ttl': '1', 'min_claim_grace': '0', 'min_message_ttl': '1'}
    with Cluster(tmp_path_factory.mktemp('cluster'), nodes=3, daemons=False, options=options) as cluster:
        yield cluster


@pytest.fixture(scope='module')
def conf(cluster):
    """The sample, with what an operator has to change."""
    changes = {
        'swift_dir = /etc/swift': f'swift_dir = {cluster.data / "etc"}',
        'user = swift': f'user = {getpass.getuser()}',
        '# devices = /srv/node': 'devices = ' + ', '.join(str(cluster.device(node).parent) for node in (1, 2, 3)),
        '# mount_check = true': 'mount_check = false',
        '# requests_per_second = 200': 'requests_per_second = 0',
    }
    text = SAMPLE.read_text()
    for line, changed in changes.items():
        assert f'\n{line}\n' in text
        text = text.replace(f'\n{line}\n', f'\n{changed}\n')
    path = cluster.data / 'janitor.conf'
    path.write_text(text)
    return path


@pytest.fixture
def user(cluster):
    return User(cluster.urls[0], 'test:tester')


@pytest.fixture
def swift(cluster):
    with RealSwift(cluster.data / 'etc') as swift:
        yield swift


def rows(swift, container=''):
    path = f'/v1/{ACCOUNT}' + (f'/{container}' if container else '')
    status, _, body = swift.send('GET', path, {'X-Backend-Allow-Reserved-Names': 'true'}, None,
                                 {'format': 'json', 'prefix': NUL})
    assert status == 200
    return [row['name'] for row in json.loads(body)]


def containers(swift, queue):
    return [name for name in rows(swift) if parse_container(name)[1] == queue]


def generation(swift, queue):
    """The only one that there is."""
    generation, = {parse_container(name)[2] for name in containers(swift, queue)} - {''}
    return generation


def command(conf, *arguments):
    return subprocess.run([PROGRAM, 'janitor', '--once', str(conf), *arguments],
                          capture_output=True, text=True, timeout=LIMIT)


def clean(conf, *arguments):
    """What a hasty pass over the devices of all nodes did."""
    done = subprocess.run([sys.executable, str(Path(__file__).with_name('hasty_janitor.py')), str(conf), *arguments],
                          capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def post(user, queue, count):
    path = f'/v2/queues/{queue}'
    assert user.request('PUT', path).status_code in (201, 204)
    answer = user.request('POST', f'{path}/messages', json={
        'messages': [{'body': number, 'ttl': 300} for number in range(count)]})
    assert answer.status_code == 201


def claim(user, queue, count):
    """Messages to be acked: the ttl leaves a slow machine time for that."""
    answer = user.request('POST', f'/v2/queues/{queue}/claims?limit={count}', json={'ttl': 5, 'grace': 0})
    assert answer.status_code == 201
    assert len(answer.json()['messages']) == count
    return answer.json()['messages'], answer.headers['Location']


def wait_for_the_end(user, claim_url):
    wait_until(lambda: user.request('GET', claim_url).status_code == 404)


def ack(user, messages):
    for message in messages:
        assert user.request('DELETE', message['href']).status_code == 204


@contextmanager
def killed(*servers):
    for server in servers:
        server.kill()
    try:
        yield
    finally:
        for server in servers:
            server.start()


def test_nothing_is_left_of_acked_messages_and_nothing_at_all_of_a_deleted_queue(conf, user, swift):
    post(user, 'jobs', 5)
    messages, _ = claim(user, 'jobs', 5)
    ack(user, messages)
    claims = claims_container('jobs', generation(swift, 'jobs'))
    assert len(rows(swift, claims)) == 5

    # With no retention what counts is that the claims have run out, and that Swift knows when the messages went:
    # a claim without a tombstone would have to be an hour old.
    wait_until(lambda: clean(conf)['errors'] == 0 and not rows(swift, claims))

    post(user, 'jobs', 3)
    claim(user, 'jobs', 1)
    assert user.request('DELETE', '/v2/queues/jobs').status_code == 204
    wait_until(lambda: clean(conf)['errors'] == 0 and not containers(swift, 'jobs'))


def test_an_operator_cannot_have_it_wait_less_than_a_minute(conf, user, swift, tmp_path):
    post(user, 'patience', 2)
    messages, claim_url = claim(user, 'patience', 2)
    ack(user, messages)
    wait_for_the_end(user, claim_url)
    done = command(conf, ACCOUNT)
    assert done.returncode == 0
    assert 'GET /v1' not in done.stderr  # what the proxy would log
    assert '0 claims, 0 messages, 0 containers' in done.stdout
    assert len(rows(swift, claims_container('patience', generation(swift, 'patience')))) == 2

    hasty = tmp_path / 'hasty.conf'
    hasty.write_text(conf.read_text().replace('# retention = 60', 'retention = 59'))
    done = command(hasty, ACCOUNT)
    assert done.returncode == 1
    assert "'retention'" in done.stderr


def test_a_dry_run_says_what_it_would_do(conf, user, swift):
    post(user, 'rehearsal', 1)
    before = generation(swift, 'rehearsal')
    assert user.request('POST', '/v2/queues/rehearsal/purge').status_code == 204
    done = command(conf, ACCOUNT, '--dry-run')
    assert done.returncode == 0
    assert f'{ACCOUNT}/rehearsal: delete message' in done.stdout
    assert len(rows(swift, messages_container('rehearsal', before))) == 1


def test_a_container_server_that_missed_an_ack_is_told_before_the_claim_goes(cluster, conf, user, swift):
    post(user, 'lag', 1)
    messages, claim_url = claim(user, 'lag', 1)
    claims, container = (name('lag', generation(swift, 'lag')) for name in (claims_container, messages_container))
    server, *others = (cluster.process('container', number) for number in (2, 1, 3))

    def listed_by_server():
        with killed(*others):
            return rows(swift, container)

    with killed(server):
        ack(user, messages)
        wait_for_the_end(user, claim_url)
        assert clean(conf)['errors'] > 0
        assert len(rows(swift, claims)) == 1
    assert len(listed_by_server()) == 1
    wait_until(lambda: clean(conf)['errors'] == 0 and not rows(swift, claims))
    assert listed_by_server() == []


def test_claims_go_while_an_object_server_is_down(cluster, conf, user, swift):
    post(user, 'degraded', 5)
    messages, _ = claim(user, 'degraded', 5)
    ack(user, messages)
    claims = claims_container('degraded', generation(swift, 'degraded'))
    server = cluster.process('object', 2)
    server.kill()
    try:
        wait_until(lambda: clean(conf)['errors'] == 0 and not rows(swift, claims))
    finally:
        server.start()
    assert clean(conf)['claims'] == 0


def test_a_message_posted_to_the_old_generation_after_a_purge_is_moved_and_can_be_claimed(conf, user, swift):
    post(user, 'late', 1)
    old = messages_container('late', generation(swift, 'late'))
    assert user.request('POST', '/v2/queues/late/purge').status_code == 204
    now = time.time()
    envelope = Envelope({'came': 'late'}, now, 300, 0, now + 300)
    row = envelope.row(md5(envelope.content(), usedforsecurity=False).hexdigest(), 4096)
    status, _, _ = swift.send('PUT', f'/v1/{ACCOUNT}/{old}/{message_name(ids.floor(now))}', {
        'X-Backend-Allow-Reserved-Names': 'true', 'X-Delete-At': str(int(now) + 301), **row}, envelope.content(), None)
    assert status == 201
    assert clean(conf)['moved'] == 1
    assert old not in containers(swift, 'late')
    (message,), _ = claim(user, 'late', 1)
    assert message['body'] == {'came': 'late'}


def test_a_queue_that_nobody_uses_is_given_up_and_then_deleted(cluster, conf, swift):
    other, account = User(cluster.urls[0], 'test2:tester2', 'testing2'), 'AUTH_test2'

    def queues():
        """What is listed, and whether it is a queue to who asks for it."""
        listed = other.request('GET', '/v2/queues').json()['queues']
        detailed = other.request('GET', '/v2/queues?detailed=true').json()['queues']
        return [each['name'] for each in listed], [each['name'] for each in detailed]

    def change(value, timestamp):
        status, _, _ = swift.send('POST', f'/v1/{account}/{queue_container("replies")}', {
            'X-Backend-Allow-Reserved-Names': 'true', 'X-Timestamp': f'{timestamp:016.5f}', IDLE: value}, None, {})
        assert status == 204
    began = time.time()
    other.request('PUT', '/v2/queues/replies', json={'_idle_expiry': 120})
    posted = other.request('POST', '/v2/queues/replies/messages', json={'messages': [{'body': 1, 'ttl': 300}]}).json()
    assert clean(conf, '130', account)['errors'] == 0
    assert queues() == (['replies'], ['replies'])
    assert account in User(cluster.urls[0], 'admin:admin', 'admin').request('GET', '/burrow/v1.0').json()
    assert other.request('DELETE', posted['resources'][0]).status_code == 204
    wait_until(lambda: clean(conf, '200', account)['errors'] == 0 and queues() == (['replies'], []))
    # What is later takes the mark away, whichever arrives first.
    change('', time.time())
    assert queues() == (['replies'], ['replies'])
    change('1', began + 1)
    assert queues() == (['replies'], ['replies'])
    wait_until(lambda: clean(conf, '300', account)['errors'] == 0 and queues() == ([], []))
    assert other.request('PUT', '/v2/queues/replies', json={}).status_code == 201
    assert queues() == (['replies'], ['replies'])


def test_the_daemon_makes_pass_after_pass(conf, user, swift, tmp_path):
    fast = tmp_path / 'fast.conf'
    fast.write_text(conf.read_text().replace('# interval = 60', 'interval = 1'))
    daemon = subprocess.Popen([PROGRAM, 'janitor', '--daemon', str(fast)], start_new_session=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        post(user, 'daily', 2)
        for _ in range(2):
            current = max(parse_container(name)[2] for name in containers(swift, 'daily'))
            post(user, 'daily', 2)
            assert user.request('POST', '/v2/queues/daily/purge').status_code == 204
            wait_until(lambda: not rows(swift, messages_container('daily', current)))  # noqa: B023
        assert daemon.poll() is None
    finally:
        daemon.terminate()
        daemon.wait(LIMIT)
