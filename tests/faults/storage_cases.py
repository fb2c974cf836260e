"""Faults of storage servers, disks and databases."""

from __future__ import annotations

import uuid
from collections import Counter
from functools import partial

import requests

from faults.injections import (
    FULL,
    async_pending,
    bury_the_head,
    configured,
    databases,
    forget_unsynced_rows,
    frozen,
    killed,
    locked,
    relayed,
    rows,
    start,
    unmounted,
)
from faults.rig import NODES, require
from faults.trial import ACCOUNT, Case, Trial

ALL = ('post', 'claim', 'ack')


def kill_one_object_server(trial: Trial) -> None:
    with killed(trial.cluster.process('object', 2)), trial.window(*ALL):
        trial.wait()


def kill_two_object_servers(trial: Trial) -> None:
    with killed(trial.cluster.process('object', 2), trial.cluster.process('object', 3)):
        trial.wait(1)  # what was under way may still succeed
        with trial.window(must_not=('post', 'claim')):
            trial.wait()


def rows_held_back(trial: Trial, update_timeout: int, kill_after: float) -> None:
    """Container servers hang, objects are stored, and everything loses power before the rows are anywhere."""
    cluster, patient = trial.cluster, {'app:proxy-server': {'node_timeout': '10'}}
    slow = {'app:object-server': {'container_update_timeout': str(update_timeout)}}
    with configured(cluster, trial.rig.proxies, patient), configured(cluster, trial.rig.servers('object'), slow):
        client = trial.client(proxy=1)  # one that knows the queue
        require(client.post(trial.values(2)).phase == 'ok', 'posts succeed before')
        with frozen(*trial.rig.servers('container')):
            values = trial.values(10)
            answer = client.post(values)
            trial.saw(f'{len(values)} posts were answered {answer.status} while all container servers hung')
            require(answer.phase == 'ok', 'posts are acknowledged while container servers hang')
            trial.wait(kill_after)
            for server in trial.rig.servers('object', 'container'):
                server.kill()
        start(*trial.rig.servers('object', 'container'))


def no_row_is_lost(trial: Trial) -> None:
    rows_held_back(trial, update_timeout=5, kill_after=0)


def rows_are_lost(trial: Trial) -> None:
    rows_held_back(trial, update_timeout=1, kill_after=0.5)


def freeze_one_object_server(trial: Trial) -> None:
    with frozen(trial.cluster.process('object', 2)), trial.window(*ALL):
        trial.wait()


def freeze_one_container_server(trial: Trial) -> None:
    with frozen(trial.cluster.process('container', 2)), trial.window(*ALL):
        trial.wait()
    require(waiting := async_pending(trial.cluster), 'rows are left to the updater')
    trial.saw(f'{waiting} rows were left to the updater')


def kill_all_container_servers(trial: Trial) -> None:
    with killed(*trial.rig.servers('container')):
        trial.wait(3)  # what was listed before serves for a while
        with trial.window(must_not=('claim',)) as window:
            trial.wait()

    empty = [each for each in trial.history() if each.op == 'claim' and each.phase == 'ok' and not each.messages
             and window.began < each.invoked_at < window.ended]
    trial.holds(not empty, f'no claimer is told that the queue is empty ({len(empty)} were)')


def kill_all_account_servers(trial: Trial) -> None:
    url = f'{trial.cluster.urls[0]}/v2/queues/{trial.queue}-2'
    with killed(*trial.rig.servers('account')), trial.window(*ALL):
        trial.wait()
        trial.saw(f'creating a queue was answered {_create(url)}')
    trial.until(lambda: _create(url) in (201, 204), 30, 'queues can be created again')


def _create(url: str) -> int:
    return requests.put(url, headers={'X-Project-Id': ACCOUNT, 'Client-ID': str(uuid.uuid4())}, timeout=60).status_code


def listings_from_a_stale_replica(trial: Trial) -> None:
    containers = trial.rig.servers('container')
    with killed(containers[2]):
        trial.wait()
    with killed(*containers[:2]), trial.window(name='listings by it alone'):
        paths = databases(trial.cluster, trial.queue, 'messages')
        trial.wait()
        fresh, _, stale = (rows(path) for path in paths)
        require(fresh ^ stale, 'the replicas differ')
        trial.saw(f'its listing differed in {len(fresh ^ stale)} messages')


def power_loss(trial: Trial) -> None:
    client = trial.client()
    for _ in range(5):
        require(client.post(trial.values(8)).phase == 'ok', 'posts succeed before')
    for process in trial.cluster.processes:
        process.kill()
    require(files := forget_unsynced_rows(trial.cluster), 'there are rows that were not synced')
    trial.saw(f'{files} files of unsynced rows were gone')


def unmount_one_disk(trial: Trial) -> None:
    with unmounted(trial.cluster, 2), trial.window(*ALL):
        port = trial.cluster.process('object', 2).port
        answer = requests.get(f'http://127.0.0.1:{port}/d2/0/a/c/o', timeout=5)
        require(answer.status_code == 507, 'the server answers 507')
        trial.wait()


def fill_disks(trial: Trial) -> None:
    servers, held = trial.rig.servers('object'), []
    holder = trial.client('holder', claim_ttl=120)
    trial.until(lambda: len(held) >= 9 or held.extend(holder.claim(9 - len(held))), 30, 'messages can be claimed')
    for count, must, must_not in ((1, ALL, ()), (2, (), ()), (3, (), ('post',))):
        with configured(trial.cluster, servers[:count], FULL):
            trial.wait(1)
            with trial.window(*must, name=f'{count} full', must_not=must_not):
                trial.wait(trial.seconds / 2)
                answers = Counter(holder.ack(held.pop()).status for _ in range(3))
            trial.saw(f'acks of what was claimed before were answered {dict(answers)}')


def slow_object_server(trial: Trial) -> None:
    with relayed(trial.cluster, trial.cluster.process('object', 2), trial.run.plan.seed) as relay:
        relay.delay = 0.5
        with trial.window(*ALL):
            trial.wait()


def lost_answers_of_storage(trial: Trial) -> None:
    """Every server is behind a relay, and the proxies do not shun whoever fails."""
    patient = {'app:proxy-server': {'error_suppression_limit': '1000000'}}
    one, two, three = trial.rig.servers('object')
    seed, cluster = trial.run.plan.seed, trial.cluster
    with configured(cluster, trial.rig.proxies, patient), relayed(cluster, one, seed) as first, \
            relayed(cluster, two, seed + 1) as second, relayed(cluster, three, seed + 2) as third:
        relays = (first, second, third)
        with trial.window(*ALL):
            for relay in relays:
                relay.loss = 0.3
            trial.wait()
        lost, answers = sum(each.lost for each in relays), sum(each.answers for each in relays)
        require(lost, 'answers got lost')
        trial.saw(f'{lost} of {answers} answers to writes got lost')


def late_rows(trial: Trial) -> None:
    """Again and again nobody is there to hear of rows, and no updater runs until the load is over."""
    for _ in range(3):
        with killed(*trial.rig.servers('container')):
            trial.wait(1.5)
        trial.wait(trial.seconds / 4)
    require(waiting := async_pending(trial.cluster), 'rows are left to the updater')
    trial.saw(f'{waiting} rows were left to the updater')


def lock_databases(trial: Trial) -> None:
    paths = databases(trial.cluster, trial.queue, 'messages') + databases(trial.cluster, trial.queue, 'claims')
    require(len(paths) == 2 * len(NODES), 'there are databases to lock')
    with locked(paths), trial.window('post'):
        trial.wait()


def buried_head(trial: Trial, count: int, deleted: bool) -> None:
    with trial.window(*ALL, name='before'):
        trial.wait(trial.seconds / 2)
    unbury = bury_the_head(trial.cluster, trial.queue, count, deleted=deleted)
    with trial.window('post', 'claim'):
        trial.wait()
    unbury()


CASES = (
    Case('F1', 'kill -9 of one object server', 'I1-I5, I7', kill_one_object_server),
    Case('F2', 'kill -9 of two object servers', 'I1-I5', kill_two_object_servers),
    Case('F3a', 'container servers hang, posts are acknowledged, then storage servers are killed; '
         'container_update_timeout is 5', 'I1', no_row_is_lost, quiet=True),
    Case('F3b', "the same with Swift's default container_update_timeout of 1", 'I1 after fsck', rows_are_lost,
         quiet=True, rows_lost=True),
    Case('F4', 'SIGSTOP of one object server', 'I1-I5, I7', freeze_one_object_server, overlaps=True),
    Case('F5', 'SIGSTOP of one container server', 'I1-I5, I7', freeze_one_container_server, overlaps=True),
    Case('F6', 'kill -9 of all container servers', 'I1-I5', kill_all_container_servers),
    Case('F7', 'kill -9 of all account servers', 'I1-I5', kill_all_account_servers),
    Case('F8', 'a container server is away, then all listings come from it', 'I1-I5', listings_from_a_stale_replica),
    Case('F9', 'power loss everywhere: rows that were not synced are gone', 'I1 after fsck', power_loss, quiet=True,
         rows_lost=True),
    Case('F10', 'a disk is not mounted (507)', 'I1-I5, I7', unmount_one_disk),
    Case('F12', 'one, two, three disks are full', 'I1-I5', fill_disks),
    Case('F13', 'one object server is 500 ms late', 'I1-I5, I7', slow_object_server, overlaps=True),
    Case('F14a', 'object servers do their work and 30 % of their answers get lost', 'I1-I5', lost_answers_of_storage),
    Case('F24', 'rows arrive late: container servers come and go, no updater runs', 'I1-I5', late_rows),
    Case('F27', 'the container databases are locked by somebody else', 'I1-I5', lock_databases, overlaps=True),
    Case('F29a', '10,000 rows of deleted messages at the head of the queue', 'I1-I5',
         partial(buried_head, count=10000, deleted=True)),
    Case('F29b', '5,000 rows of expired messages at the head of the queue', 'I1-I5',
         partial(buried_head, count=5000, deleted=False)),
)
