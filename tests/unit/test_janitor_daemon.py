"""Which queues the janitor of a node looks at: container databases on its devices, and whose turn it is."""

import argparse
import logging
import re
from pathlib import Path

import pytest
from swift.common.utils import Timestamp, hash_path, storage_directory
from swift.container.backend import ContainerBroker

from swiftqueue import janitor_daemon
from swiftqueue.janitor_daemon import NUMBERS, Databases, JanitorDaemon, main
from swiftqueue.names import claims_container, messages_container, queue_container

ACCOUNT = 'AUTH_test'
LOGGER = logging.getLogger('swiftqueue')
NODES = [{'ip': '10.0.0.1', 'port': 6201, 'device': f'sd{number}'} for number in range(3)]


class Ring:
    """Every container has its replicas on the same three devices."""

    def get_nodes(self, account, container):
        return 0, NODES


@pytest.fixture
def root(tmp_path):
    return tmp_path / 'node'


@pytest.fixture
def databases(root):
    return Databases([str(root)], False, Ring(), ['10.0.0.1'], LOGGER)


def create(root, container, device='sd0', account=ACCOUNT, objects=0):
    key = hash_path(account, container)
    path = root / device / storage_directory('containers', 0, key) / f'{key}.db'
    path.parent.mkdir(parents=True)
    broker = ContainerBroker(str(path), account=account, container=container)
    broker.initialize(Timestamp.now().internal, 0)
    for number in range(objects):
        broker.put_object(f'\x00{number}', Timestamp.now().internal, 0, 'text/plain', 'etag')
    return broker


def test_a_queue_is_found_once_however_many_containers_and_devices_it_is_on(root, databases):
    for device in ('sd0', 'sd1'):
        for generation in ('g1', 'g2'):
            create(root, messages_container('jobs', generation), device)
            create(root, claims_container('jobs', generation), device)
    create(root, messages_container('jobs', 'g1'), account='AUTH_other')
    assert sorted(databases.queues()) == [('AUTH_other', 'jobs'), (ACCOUNT, 'jobs')]


def test_several_folders_of_devices_are_looked_through(root, tmp_path):
    create(root, messages_container('one', 'g'))
    create(tmp_path / 'other', messages_container('two', 'g'))
    databases = Databases([str(root), str(tmp_path / 'other'), str(tmp_path / 'none')], False, Ring(), [], LOGGER)
    assert sorted(queue for _, queue in databases.queues()) == ['one', 'two']


def test_devices_that_should_be_mounted_and_are_not_are_passed_over(root):
    create(root, messages_container('jobs', 'g'))
    assert not list(Databases([str(root)], True, Ring(), [], LOGGER).queues())


def test_a_record_alone_and_other_containers_are_no_reason_to_look(root, databases):
    for container in ('photos', '\x00versions\x00photos', queue_container('jobs')):
        create(root, container)
    assert not list(databases.queues())


def test_other_containers_are_opened_only_once(root, databases, caplog):
    broker = create(root, 'photos')
    create(root, messages_container('jobs', 'g'))
    assert list(databases.queues()) == [(ACCOUNT, 'jobs')]
    with open(broker.db_file, 'wb') as file:
        file.write(b'cannot be opened any more' * 100)
    assert list(databases.queues()) == [(ACCOUNT, 'jobs')]
    assert 'cannot read' not in caplog.text


def test_a_deleted_container_is_no_reason_to_look(root, databases):
    create(root, messages_container('jobs', 'g')).delete_db(Timestamp.now().internal)
    assert not list(databases.queues())


def test_a_database_that_cannot_be_read_does_not_hide_the_others(root, databases, caplog):
    broken = create(root, messages_container('broken', 'g'))
    with open(broken.db_file, 'wb') as file:
        file.write(b'garbage' * 1000)
    create(root, messages_container('jobs', 'g'))
    assert list(databases.queues()) == [(ACCOUNT, 'jobs')]
    assert 'cannot read' in caplog.text


def test_the_primary_nodes_of_a_container_take_turns(root, databases):
    create(root, messages_container('jobs', 'g'), 'sd1', objects=1)
    assert [len(list(databases.queues(turn))) for turn in range(6)] == [0, 1, 0, 0, 1, 0]


def test_a_device_of_the_same_name_on_another_node_is_not_ours(root):
    create(root, messages_container('jobs', 'g'), 'sd1', objects=1)
    databases = Databases([str(root)], False, Ring(), ['10.0.0.2'], LOGGER)
    assert not any(list(databases.queues(turn)) for turn in range(3))


def test_a_copy_on_a_node_that_is_not_a_primary_has_no_turn(root, databases):
    create(root, messages_container('jobs', 'g'), 'sd9', objects=1)
    assert not any(list(databases.queues(turn)) for turn in range(3))


def test_a_container_that_stays_empty_is_looked_into_once_an_hour(root, databases, monkeypatch):
    broker = create(root, messages_container('jobs', 'g'))
    found = [len(list(databases.queues(turn))) for turn in (0, 3, 6)]
    assert found == [1, 0, 0]
    monkeypatch.setattr(janitor_daemon, 'IDLE', 0)
    assert list(databases.queues(9))
    monkeypatch.undo()
    assert not list(databases.queues(12))
    broker.put_object('\x00a', Timestamp.now().internal, 0, 'text/plain', 'etag')
    assert list(databases.queues(15)) and list(databases.queues(18))


class Sweeper:
    """Leaves the first queue of every sweep unfinished."""

    unfinished = ()
    idle_at = {}

    def sweep(self, queues):
        queues = list(queues)
        self.unfinished = queues[:1]
        return queues


def test_what_was_left_unfinished_is_gone_on_with_whosever_turn_it_is(root, databases):
    create(root, messages_container('jobs', 'g'), 'sd1', objects=1)
    daemon = JanitorDaemon.__new__(JanitorDaemon)
    daemon._janitor, daemon._databases, daemon._listed = Sweeper(), databases, {ACCOUNT}
    assert [len(daemon._pass(turn)) for turn in range(4)] == [0, 1, 1, 1]


# -- options and the command -----------------------------------------------------------------------

@pytest.mark.parametrize('name, value', [
    ('retention', '59'), ('retention', 'nan'), ('retention', 'inf'), ('interval', '0'), ('interval', 'soon'),
    ('requests_per_second', '-1')])
def test_a_bad_option_is_named(name, value):
    with pytest.raises(ValueError, match=f"'{name}'.*'{value}'"):
        JanitorDaemon({name: value})


def test_the_sample_configuration_shows_the_defaults():
    sample = (Path(__file__).parents[2] / 'etc' / 'swiftqueue-janitor.conf-sample').read_text()
    shown = dict(re.findall(r'^# (\w+) = (\d+)$', sample, re.MULTILINE))
    assert shown == {name: str(default) for name, (default, _) in NUMBERS.items()}


def run(path, **changed):
    return main(argparse.Namespace(**{'conf': str(path), 'once': True, 'accounts': [], 'dry_run': False,
                                      'verbose': False, **changed}))


def test_a_configuration_that_is_not_there_is_said_in_one_line(tmp_path, capsys):
    assert run(tmp_path / 'none.conf') == 1
    assert capsys.readouterr().err == f'swiftqueue: Unable to read config from {tmp_path}/none.conf\n'


def test_a_configuration_without_the_section_is_said_in_one_line(tmp_path, capsys):
    path = tmp_path / 'janitor.conf'
    path.write_text('[DEFAULT]\n')
    assert run(path) == 1
    assert 'swiftqueue-janitor' in capsys.readouterr().err


def test_accounts_are_for_one_pass_only(tmp_path, capsys):
    assert run(tmp_path / 'any.conf', once=False, accounts=[ACCOUNT]) == 1
    assert '--once' in capsys.readouterr().err
