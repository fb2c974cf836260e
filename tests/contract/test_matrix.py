"""A queue is one queue: what comes in through any door goes out through any other."""

from itertools import permutations

import pytest
from clients import Refused
from doors import PROTOCOLS


@pytest.fixture
def setting():
    """Of the world: any client, and one shard."""
    return None, 1


def shown(held):
    """Amazon SQS knows bodies that are text, and no other."""
    return [(each.id, str(each.body)) for each in held]


@pytest.mark.parametrize('one, other', permutations(PROTOCOLS, 2))
def test_what_is_posted_through_one_door_is_claimed_through_another(world, one, other):
    poster, claimer = PROTOCOLS[one](world, 0), PROTOCOLS[other](world, 1)
    poster.create('jobs')
    assert claimer.create('jobs') is ('sqs' in other)  # which does not say that the queue was there
    ids = poster.post('jobs', 1, 2, 3, ttl=600)
    assert claimer.queues() == ['jobs']
    (first,), (second,) = claimer.claim('jobs', limit=1), claimer.claim('jobs', limit=1)
    assert shown([first, second]) == [(ids[0], '1'), (ids[1], '2')]
    assert poster.counts('jobs') == claimer.counts('jobs') == (3, 2)
    claimer.ack('jobs', first)
    claimer.release('jobs', second.claim_id)
    again = poster.claim('jobs')
    assert shown(again) == [(ids[1], '2'), (ids[2], '3')]
    assert claimer.claim('jobs') == []
    with pytest.raises(Refused):
        claimer.ack('jobs', type(first)(first.id, first.body, 'made-up'))
    for each in again:
        poster.ack('jobs', each)
    assert poster.counts('jobs') == claimer.counts('jobs') == (0, 0)
    claimer.delete_queue('jobs')
    assert poster.queues() == []
