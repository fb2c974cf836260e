"""``swiftqueue stress`` against a real Swift."""

import pytest

from swiftqueue import cli, history
from swiftqueue.cluster import Cluster

OPTIONS = {'min_claim_ttl': '1', 'min_claim_grace': '0', 'min_message_ttl': '1'}


@pytest.fixture(scope='module')
def url(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('cluster'), nodes=1, options=OPTIONS) as cluster:
        yield cluster.urls[0]


def test_crashing_workers_lose_nothing(url, tmp_path, capsys):
    log = tmp_path / 'log'
    status = cli.main(['stress', '--endpoint', url, '--log', str(log), *(
        '--seconds 6 --producers 1 --workers 4 --crash-rate 0.1 --batch 5 --claim-limit 3 --claim-ttl 2').split()])
    verdict = history.check(history.parse(log.read_text().splitlines()))
    assert status == 0, capsys.readouterr().out
    assert verdict.drained and verdict.acknowledged and verdict.deliveries >= verdict.acknowledged
    assert (verdict.lost, verdict.vanished, verdict.unexplained, verdict.overlaps) == ([], [], [], [])


@pytest.mark.parametrize('options', [['--token', 'bogus'], ['--key', 'wrong'], ['--claim-ttl', '0'],
                                     ['--claim-limit', '1000'], ['--queue', 'not a name']])
def test_what_the_service_refuses_cannot_run(url, options, capsys):
    assert cli.main(['stress', '--endpoint', url, '--seconds', '0.1', *options]) == 2
    assert capsys.readouterr().err.startswith('swiftqueue: ')


def test_a_server_without_queues_cannot_be_put_under_load(url, capsys):
    assert cli.main(['stress', '--endpoint', f'{url}/elsewhere', '--token', 'any']) == 2
    assert 'the service answered 4' in capsys.readouterr().err
