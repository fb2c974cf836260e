"""Whether the workers of a FIFO queue would notice that its order is broken."""

from __future__ import annotations

import pytest
from amazon.workers import out_of_order

from swiftqueue.history import Operation

A0, A1, A2, B0 = (0, 0), (0, 1), (0, 2), (1, 0)


def claim(at, *values):
    return Operation('claim', at, 'ok', at + 1, messages=[{'value': value, 'receipt': f'{at}'} for value in values])


def ack(at, value):
    return Operation('ack', at, 'ok', at + 1, value=value)


@pytest.mark.parametrize('history, broken', [
    ([claim(0, A0), ack(2, A0), claim(4, A1)], []),
    ([claim(0, A0, A1), ack(2, A0), ack(3, A1), claim(5, A2)], []),  # together, and in order
    ([claim(0, A0), claim(2, B0)], []),  # groups are of no concern to each other
    ([claim(0, A0), claim(2, A0)], []),  # again, as it was not deleted
    ([claim(0, A0, B0), claim(2, A1)], [A1]),  # while one is in flight
    ([claim(0, A1), ack(2, A1), claim(4, A0)], [A1]),
    ([claim(0, A1, A0)], [A1]),
    ([claim(0, A0), ack(2, A0), claim(4, A2), ack(6, A2), claim(8, A1)], [A2]),  # one was left out
    ([claim(0, A0), claim(0.5, A1), ack(1, A0)], []),  # the order of the two may have been right
])
def test_an_order_is_judged(history, broken):
    assert out_of_order(history) == broken
