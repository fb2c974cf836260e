"""``swiftqueue fsck`` on a real Swift whose container servers have lost rows."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lost_rows import dead, lose, rows
from swift.obj.diskfile import read_metadata
from user import User

from swiftqueue import cli
from swiftqueue.cluster import Cluster

PROGRAM = str(Path(sys.executable).with_name('swiftqueue'))
ACCOUNT = 'AUTH_test'
LIMIT = 60  # seconds, for what takes a few
OPTIONS = {'min_claim_ttl': '1', 'min_claim_grace': '0', 'min_message_ttl': '1'}


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    """Three nodes, one proxy, no daemons."""
    with Cluster(tmp_path_factory.mktemp('cluster'), nodes=3, daemons=False, options=OPTIONS) as cluster:
        yield cluster


@pytest.fixture
def user(cluster):
    return User(cluster.urls[0], 'test:tester')


def run(*arguments):
    return subprocess.run([PROGRAM, 'fsck', *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT)


def fsck(cluster, *arguments, status=0):
    done = run('--data', cluster.data, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def wait_until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def post(user, queue, *bodies, ttl=300):
    path = f'/v2/queues/{queue}'
    assert user.request('PUT', path).status_code in (201, 204)
    messages = [{'body': each, 'ttl': ttl} for each in bodies]
    answer = user.request('POST', f'{path}/messages', json={'messages': messages})
    assert answer.status_code == 201
    return [resource.rsplit('/', 1)[1] for resource in answer.json()['resources']]


def listed(user, queue):
    answer = user.request('GET', f'/v2/queues/{queue}/messages?echo=true&include_claimed=true&limit=20')
    assert answer.status_code == 200
    return [message['body'] for message in answer.json()['messages']]


def claim(user, queue, count, ttl=300):
    """Exactly so many messages, as soon as there are as many."""
    got = []

    def enough():
        answer = user.request('POST', f'/v2/queues/{queue}/claims?limit={count - len(got)}',
                              json={'ttl': ttl, 'grace': 60})
        assert answer.status_code in (201, 204)
        got.extend(answer.json()['messages'] if answer.status_code == 201 else [])
        return len(got) == count

    wait_until(enough)
    return got


def ack(user, *messages):
    for message in messages:
        assert user.request('DELETE', message['href']).status_code == 204


def delete(user, queue, message_id):
    assert user.request('DELETE', f'/v2/queues/{queue}/messages/{message_id}').status_code == 204


def test_lost_messages_are_delivered_once_and_acked_ones_do_not_return(cluster, user):
    large = 'x' * 9000
    post(user, 'jobs', 'done', 1, 2, large)
    ack(user, *claim(user, 'jobs', 1))
    before = rows(cluster, 'jobs')
    lose(cluster, 'jobs', live_only=True)
    assert listed(user, 'jobs') == []

    said = fsck(cluster, ACCOUNT, 'jobs')
    assert said.count('message') == 3 + 1 + 1 and 'rows written again: 4' in said  # three, a claim, and the summary
    assert rows(cluster, 'jobs') == before
    messages = claim(user, 'jobs', 3)
    assert [message['body'] for message in messages] == [1, 2, large]

    ack(user, *messages)
    lose(cluster, 'jobs')
    assert 'rows written again: 4' in fsck(cluster, ACCOUNT, 'jobs')  # the four claims
    assert listed(user, 'jobs') == []
    assert not any(rows(cluster, 'jobs', kinds=['messages']).values())


def test_a_row_is_as_it_was_also_after_a_claim_made_the_message_live_longer(cluster, user):
    post(user, 'long', 'job', ttl=60)
    claim(user, 'long', 1, ttl=300)
    before = rows(cluster, 'long')
    assert sum('+' in row[1] for found in before.values() for row in found) == 3  # changed, says each replica
    lose(cluster, 'long')
    fsck(cluster, ACCOUNT, 'long')
    assert rows(cluster, 'long') == before


def test_with_its_claims_back_a_message_is_delivered_under_the_next_number(cluster, user):
    post(user, 'count', 'job')
    claim(user, 'count', 1, ttl=1)
    claim(user, 'count', 1, ttl=1)
    before = rows(cluster, 'count')
    lose(cluster, 'count', kinds=['claims'])
    said = fsck(cluster, ACCOUNT, 'count')
    assert 'claim 1 of message' in said and 'claim 2 of message' in said
    assert rows(cluster, 'count') == before
    message, = claim(user, 'count', 1)
    assert message['claim_count'] == 3


def test_what_was_acked_does_not_come_back_from_a_server_that_missed_it(cluster, user):
    message_id, = post(user, 'stale', 'done')
    with dead(cluster.process('object', 1)):
        delete(user, 'stale', message_id)
    lose(cluster, 'stale')
    # Nothing but tombstones on the other servers tells now, so without those nothing can be said.
    with dead(cluster.process('object', 2), cluster.process('object', 3)):
        said = fsck(cluster, ACCOUNT, 'stale', status=1)
        assert message_id in said and 'cannot be asked' in said
    assert '1 acked or deleted' in fsck(cluster, ACCOUNT, 'stale')
    assert listed(user, 'stale') == []


def test_what_the_container_servers_know_to_be_deleted_does_not_come_back_either(cluster, user, tmp_path):
    message_id, = post(user, 'known', 'done')
    path = next(path for path in cluster.device(1).rglob('*.data')
                if message_id in read_metadata(str(path))['name'])
    path.rename(tmp_path / path.name)
    delete(user, 'known', message_id)
    for tombstone in cluster.data.glob(f'node*/*/{path.parent.relative_to(cluster.device(1))}/*.ts'):
        tombstone.unlink()  # reclaimed
    (tmp_path / path.name).rename(path)
    assert '1 acked or deleted' in fsck(cluster, ACCOUNT, 'known')
    assert listed(user, 'known') == []


def test_where_tombstones_may_have_been_reclaimed_somebody_has_to_decide(cluster, user, tmp_path):
    message_id, = post(user, 'old', 'job')
    lose(cluster, 'old')
    conf = tmp_path / 'object-server.conf'
    conf.write_text(cluster.conf('object', 1).read_text() + '\n[object-expirer]\nreclaim_age = 0\n')
    done = run('--conf', conf, ACCOUNT, 'old')
    assert done.returncode == 1
    assert f'{message_id}: its row is missing, but it is older than reclaim_age' in done.stdout
    assert listed(user, 'old') == []
    assert run('--conf', conf, '--include-old', ACCOUNT, 'old').returncode == 0
    wait_until(lambda: listed(user, 'old') == ['job'])


def test_purged_and_deleted_queues_are_not_revived(cluster, user):
    post(user, 'over', 'purged', 'too')
    claim(user, 'over', 1)
    assert user.request('POST', '/v2/queues/over/purge').status_code == 204
    post(user, 'over', 'new')
    lose(cluster, 'over')
    said = fsck(cluster, ACCOUNT, 'over')
    assert 'rows written again: 1;' in said and '3 of generations that are over' in said
    wait_until(lambda: listed(user, 'over') == ['new'])

    assert user.request('DELETE', '/v2/queues/over').status_code == 204
    lose(cluster, 'over')
    assert "no queue 'over'" in run('--data', cluster.data, ACCOUNT, 'over').stderr
    fsck(cluster, ACCOUNT)
    assert not any(rows(cluster, 'over').values())


def test_a_dry_run_changes_nothing_and_says_what_is_missing(cluster, user):
    gone, = post(user, 'rehearsal', 'job')
    lose(cluster, 'rehearsal')
    there, = post(user, 'rehearsal', 'another')
    before = rows(cluster, 'rehearsal')
    said = fsck(cluster, '--dry-run', ACCOUNT, 'rehearsal', status=1)
    assert f'{ACCOUNT}/rehearsal: message {gone}: its row is missing' in said and there not in said
    assert 'rows still missing: 1' in said
    assert rows(cluster, 'rehearsal') == before


def test_what_subscribers_wait_for_comes_to_them_whichever_row_was_lost(cluster, user):
    """The post, the subscription, and the list by which notifiers know of the queue."""
    large = 'x' * 9000
    for name in ('news', 'old'):
        for subscriber in ('queue://copy', 'queue://other'):
            answer = user.request('POST', f'/v2/topics/{name}/subscriptions', json={'subscriber': subscriber})
            assert answer.status_code == 201
        assert user.request('DELETE', f'/v2/topics/{name}/subscriptions/{answer.json()["subscription_id"]}').ok
        for body in ('a', large):
            assert user.request('POST', f'/v2/topics/{name}/messages', json={'messages': [{'body': body}]}).ok
    assert user.request('DELETE', '/v2/topics/old').status_code == 204
    before = rows(cluster, 'topic:news', kinds=['published'])
    for name in ('news', 'old'):
        lose(cluster, f'topic:{name}', kinds=['published', 'subscribed'])

    said = fsck(cluster, ACCOUNT, 'topic:news')
    assert said.count('topic:news: post ') == 2 and said.count('topic:news: subscription ') == 1
    assert f'{ACCOUNT}/topic:news: that it has subscribers: its row was missing and is there again' in said
    assert 'rows written again: 4;' in said
    again = rows(cluster, 'topic:news', kinds=['published'])
    assert again == {path: [row for row in found if not row[5]] for path, found in before.items()}
    fsck(cluster)
    assert not any(rows(cluster, 'topic:old', kinds=['published']).values())
    cluster.run_daemons_once('swiftqueue-notifier')
    wait_until(lambda: listed(user, 'copy') == ['a', large])


def test_expired_messages_stay_away(cluster, user):
    post(user, 'brief', 'job', ttl=1)
    lose(cluster, 'brief')
    wait_until(lambda: '1 expired' in run('--data', cluster.data, '--dry-run', ACCOUNT, 'brief').stdout)
    fsck(cluster, ACCOUNT, 'brief')
    assert not any(rows(cluster, 'brief').values())


def test_a_silent_container_server_stops_the_repair_but_not_the_check(cluster, user):
    post(user, 'silent', 'job')
    with dead(cluster.process('container', 3)):
        lose(cluster, 'silent')
        before = rows(cluster, 'silent')
        said = fsck(cluster, ACCOUNT, 'silent', status=1)
        assert f'{ACCOUNT}/silent: 1 messages cannot be checked: ' in said
        assert rows(cluster, 'silent') == before
    fsck(cluster, ACCOUNT, 'silent')
    wait_until(lambda: listed(user, 'silent') == ['job'])


def test_a_node_whose_disk_was_replaced_is_no_obstacle(cluster, user):
    """Its container database is not there yet; replication makes it."""
    post(user, 'replaced', 'job')
    lose(cluster, 'replaced')
    path = min(rows(cluster, 'replaced', kinds=['messages']))
    path.rename(path.with_suffix('.away'))
    fsck(cluster, ACCOUNT, 'replaced')
    assert [len(found) for found in rows(cluster, 'replaced', kinds=['messages']).values()] == [1, 1]


@pytest.mark.parametrize('arguments, problem', [
    (['--conf', '/nowhere/object-server.conf'], '/nowhere/object-server.conf'),
    (['--data', '/nowhere'], '/nowhere'),
    (['--conf', __file__], 'test_fsck.py'),
])
def test_without_a_configuration_it_says_which(capsys, arguments, problem):
    assert cli.main(['fsck', *arguments]) == 1
    line, rest = capsys.readouterr().err.split('\n', 1)
    assert line.startswith('swiftqueue: ') and problem in line and not rest


@pytest.mark.parametrize('arguments, problem', [
    (['AUTH_nobody'], "no account 'AUTH_nobody'"),
    ([ACCOUNT, 'nothing'], "no queue 'nothing'"),
])
def test_accounts_and_queues_that_are_not_there_are_named(cluster, arguments, problem):
    done = run('--data', cluster.data, *arguments)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith('swiftqueue: ') and problem in line


def test_devices_that_are_not_there_do_not_pass_for_empty_ones(cluster, tmp_path):
    conf = tmp_path / 'object-server.conf'
    conf.write_text(cluster.conf('object', 1).read_text().replace(str(cluster.device(1).parent), '/nowhere'))
    done = run('--conf', conf)
    assert done.returncode == 1 and '/nowhere' in done.stderr
    conf.write_text(cluster.conf('object', 1).read_text().replace('mount_check = false', 'mount_check = true'))
    done = run('--conf', conf)
    assert done.returncode == 1 and 'unmounted: d1' in done.stdout


def test_who_may_not_read_the_disks_is_told_so(cluster, tmp_path):
    """Swift's files are its user's alone."""
    mortal = []
    if os.geteuid() == 0:  # which may read anything, unless it gives that up
        mortal = ['setpriv', '--bounding-set=-dac_override,-dac_read_search']
        if not shutil.which('setpriv') or subprocess.run([*mortal, 'true']).returncode:
            pytest.skip('root may read everything')
    file = tmp_path / 'd1' / 'objects' / '1' / 'abc' / 'hash' / '1795200000.00000.data'
    file.parent.mkdir(parents=True)
    file.touch()
    file.chmod(0)
    conf = tmp_path / 'object-server.conf'
    conf.write_text(cluster.conf('object', 1).read_text().replace(str(cluster.device(1).parent), str(tmp_path)))
    done = subprocess.run([*mortal, PROGRAM, 'fsck', '--conf', str(conf)],
                          capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f'swiftqueue: {file} must not be read')


def test_it_works_on_what_serve_keeps_where_there_are_no_extended_attributes(tmp_path):
    with Cluster(tmp_path / 'var', daemons=False, xattrs=False) as cluster:
        user = User(cluster.urls[0], 'test:tester')
        post(user, 'jobs', 'job')
        lose(cluster, 'jobs')
        assert 'rows written again: 1' in fsck(cluster)
        wait_until(lambda: listed(user, 'jobs') == ['job'])
