"""Long polls of Amazon SQS, on simulated time: what they cost."""

from __future__ import annotations

import aws
import pytest
from place import Place, simulated

from swiftqueue.middleware.queue import QueueFilter

BUDGET = 1 + 20 / 2  # Swift requests in 20 s: a queue somebody waits on is listed at first, then once in two seconds


def receivers(place: Place, count: int, **parameters) -> list:
    """Clients that receive through the first proxy, one after the other."""
    app = aws.pipeline(QueueFilter(place.app, place.engines[0], place.logger), place.logger)
    sqs = aws.Json(app, environ={'swift.cache': place.cache, 'swift.trans_id': 'tx0123456789'})
    return [place.spawn(lambda: sqs('ReceiveMessage', QueueUrl='jobs', **parameters)) for _ in range(count)]


@pytest.mark.parametrize('count', [1, 20])
@pytest.mark.parametrize('cache', [True, False])
def test_a_receive_that_waits_on_an_empty_queue_costs_what_a_parked_waiter_costs(count, cache):
    @simulated(cache=cache)
    def measure(place):
        place.create()
        place.queue().record()
        before = len(place.swift.calls)
        waits = receivers(place, count, WaitTimeSeconds=20)
        assert [wait.thread.wait() for wait in waits] == [{}] * count
        assert all(20 <= wait.ended_at - wait.began_at < 21 for wait in waits)
        assert len(place.swift.calls) - before <= BUDGET
    measure()


@simulated()
def test_a_queue_may_say_how_long_its_receivers_wait(place):
    place.queue().create({'_default_wait': 20})
    before = len(place.swift.calls)
    wait, = receivers(place, 1)
    assert wait.thread.wait() == {}
    assert wait.ended_at - wait.began_at >= 20
    assert len(place.swift.calls) - before <= BUDGET + 1  # and the record
