"""``swiftqueue notifier`` as operators run it, on three nodes: killed, started again, a container server down."""

import getpass
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from receiver import Receiver, confirmation, wait_until
from user import User

from swiftqueue.cluster import Cluster

SAMPLE = Path(__file__).parents[2] / 'etc' / 'swiftqueue-notifier.conf-sample'
PROGRAM = str(Path(sys.executable).with_name('swiftqueue'))


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('cluster'), nodes=3, daemons=False) as cluster:
        yield cluster


@pytest.fixture(scope='module')
def conf(cluster):
    """The sample, with what an operator has to change."""
    changes = {
        'swift_dir = /etc/swift': f'swift_dir = {cluster.data / "etc"}',
        'user = swift': f'user = {getpass.getuser()}',
        '# interval = 5': 'interval = 1',
        '# webhook_timeout = 10': 'webhook_timeout = 1',
        '# allowed_networks =': 'allowed_networks = 127.0.0.1/32',
    }
    text = SAMPLE.read_text()
    for line, changed in changes.items():
        assert f'\n{line}\n' in text
        text = text.replace(f'\n{line}\n', f'\n{changed}\n')
    path = cluster.data / 'notifier.conf'
    path.write_text(text)
    return path


@pytest.fixture
def notifier(conf):
    """Starts one; gives a function that kills it as the kernel would."""
    processes = []

    def start():
        process = subprocess.Popen([PROGRAM, 'notifier', '--daemon', str(conf)], start_new_session=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        processes.append(process)

        def kill():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return kill
    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_what_is_under_way_outlives_a_restart(cluster, notifier, receiver):
    user = User(cluster.urls[0], 'test:tester')

    def request(method, path, **content):
        answer = user.request(method, f'/v2/{path}', json=content)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def post(*sent):
        request('POST', 'topics/news/messages', messages=[{'body': body} for body in sent])

    def copied():
        return [each['body'] for each in user.request('GET', '/v2/queues/copy/messages?echo=true').json()['messages']]

    policy = {'retries_with_no_delay': 0, 'minimum_delay': 2, 'maximum_delay': 12}
    request('POST', 'topics/news/subscriptions', subscriber='queue://copy')
    request('POST', 'topics/news/subscriptions', subscriber=f'{receiver.url}/hook', options={'_retry_policy': policy})
    kill = notifier()
    headers, body = confirmation(wait_until(lambda: receiver.question('/hook')))
    assert requests.put(user.url + headers['URL-Paths'], json=body, headers=headers | user.headers,
                        timeout=30).status_code == 204
    receiver.down.add('/hook')
    post('a')
    wait_until(lambda: len(receiver.notifications('/hook')) > 1)
    kill()
    receiver.down.clear()
    post('b', 'c')  # while nobody is there to bring it
    cluster.process('container-1').kill()
    post('d')
    notifier()
    wait_until(lambda: sorted(set(receiver.taken['/hook'][1:])) == ['a', 'b', 'c', 'd'])
    wait_until(lambda: copied() == ['a', 'b', 'c', 'd'])
