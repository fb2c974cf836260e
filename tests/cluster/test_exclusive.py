"""One message, one worker, on three nodes and through two proxies."""

import pytest
from amazon import workers
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
