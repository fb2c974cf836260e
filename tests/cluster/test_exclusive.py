"""One message, one worker, on three nodes and through two proxies."""

from exclusive import run

from swiftqueue.cluster import Cluster


def test_every_message_goes_to_one_worker(tmp_path):
    with Cluster(tmp_path, nodes=3, replicas=3, proxies=2) as cluster:
        outcome = run(cluster.urls, messages=500, workers=16)
    assert (outcome.lost, outcome.duplicates, outcome.problems) == (0, 0, [])
