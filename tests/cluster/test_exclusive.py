"""One message, one worker, on three nodes and through two proxies."""

import pytest
from amazon import workers
from burrow_workers import Workers
from exclusive import run

from swiftqueue.cluster import Cluster


@pytest.fixture(scope='module')
def urls(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp('cluster'), nodes=3, replicas=3, proxies=2) as cluster:
        yield cluster.urls


def test_every_message_goes_to_one_worker(urls):
    outcome = run(urls, messages=200, workers=16)
    assert (outcome.lost, outcome.duplicates, outcome.problems) == (0, 0, [])


def test_every_message_of_amazon_sqs_goes_to_one_worker(urls):
    outcome = workers.run(urls, messages=100, workers=16)
    assert not outcome.problems, outcome
    assert outcome.verdict.acks == 100


def test_every_message_of_burrow_goes_to_one_worker(urls):
    burrow, names = Workers(urls), [f'm{number}' for number in range(60)]
    burrow.put(names)
    assert sorted(burrow.take_all('POST', limit=1, hide=600)) == sorted(names)
    assert burrow.ask(0, 'POST', match_hidden='true', hide=0).status_code == 204
    assert sorted(burrow.take_all('DELETE', limit=10)) == sorted(names)
    assert burrow.ask(1, 'GET', match_hidden='true').status_code == 404
