"""The watcher in Swift's own object auditor, on a real Swift whose container server has lost rows."""

import getpass
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lost_rows import lose, rows
from user import User

from swiftqueue.cluster import Cluster
from swiftqueue.cluster.site import read_layout

LIMIT = 60  # seconds
AUDITOR = {'watchers': 'swiftqueue#rows', 'files_per_second': '0', 'zero_byte_files_per_second': '1000'}
SECTION = 'object-auditor:watcher:swiftqueue#rows'


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    settings = {'object': {'DEFAULT': {'user': getpass.getuser()}, 'object-auditor': AUDITOR}}
    with Cluster(tmp_path_factory.mktemp('cluster'), daemons=False, settings=settings) as cluster:
        if not read_layout(cluster.data).xattrs:
            pytest.skip('the auditor wants extended attributes')
        yield cluster


@pytest.fixture
def user(cluster):
    return User(cluster.urls[0], 'test:tester')


def audit(cluster, tmp_path, **options):
    """What one pass of the auditor logs of the watcher, line by line."""
    conf = tmp_path / 'object-server.conf'
    conf.write_text('\n'.join([cluster.conf('object', 1).read_text().replace('log_level = WARNING', 'log_level = INFO'),
                               f'[{SECTION}]', *(f'{name} = {value}' for name, value in options.items())]))
    done = subprocess.run([sys.executable, str(Path(__file__).with_name('run_auditor.py')), str(cluster.data / 'etc'),
                           str(conf), 'once', '-v'], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    assert 'Traceback' not in done.stderr
    return re.findall(r'\[audit-watcher swiftqueue#rows\] (.*)', done.stderr)


def post(user, queue, *bodies):
    path = f'/v2/queues/{queue}'
    assert user.request('PUT', path).status_code in (201, 204)
    messages = [{'body': each, 'ttl': 300} for each in bodies]
    answer = user.request('POST', f'{path}/messages', json={'messages': messages})
    assert answer.status_code == 201


def listed(user, queue):
    answer = user.request('GET', f'/v2/queues/{queue}/messages?echo=true&include_claimed=true')
    return [message['body'] for message in answer.json()['messages']]


def test_the_auditor_brings_back_what_no_listing_shows_and_leaves_the_rest_alone(cluster, user, tmp_path):
    assert user.request('PUT', '/v1/AUTH_test/photos').status_code == 201
    assert user.request('PUT', '/v1/AUTH_test/photos/cat', data=b'meow').status_code == 201
    post(user, 'there', 0)
    post(user, 'purged', 1)
    assert user.request('POST', '/v2/queues/purged/purge').status_code == 204
    post(user, 'jobs', 2, 3)
    answer = user.request('POST', '/v2/queues/jobs/subscriptions', json={'subscriber': 'queue://copy'})
    assert answer.status_code == 201
    post(user, 'jobs', 4)
    kinds = ['messages', 'published', 'subscribed']
    before = rows(cluster, 'jobs', kinds=kinds)
    for queue in ('purged', 'jobs'):
        lose(cluster, queue, kinds=kinds)

    *_, end = audit(cluster, tmp_path)
    assert 'too young to say: 8' in end
    *lines, end = audit(cluster, tmp_path, grace_age='0', dry_run='true')
    assert len([line for line in lines if 'its row is missing' in line]) == 6
    assert 'its row is missing: 6;' in end
    assert not any(rows(cluster, 'jobs', kinds=kinds).values())

    *lines, end = audit(cluster, tmp_path, grace_age='0')
    assert len(lines) == 6 and all('jobs' in line and 'is there again' in line for line in lines)
    for counted in ('listed: 1;', 'is there again: 6;', 'of a generation that is over: 1;', 'cannot be checked: 0'):
        assert counted in end
    assert rows(cluster, 'jobs', kinds=kinds) == before
    assert listed(user, 'jobs') == [2, 3, 4]
    assert not any(rows(cluster, 'purged').values())


def test_trouble_is_counted_and_the_audit_goes_on(cluster, user, tmp_path):
    post(user, 'trouble', 1)
    cluster.process('container', 1).kill()
    try:
        *lines, end = audit(cluster, tmp_path, grace_age='0')
        assert lines and all('cannot be checked: ' in line for line in lines)
        assert end.endswith(f'cannot be checked: {len(lines)}')
    finally:
        cluster.process('container', 1).start()


