"""FIFO queues, whichever door they are used through; Messaging v2 cannot post to them, but takes its turn."""

import pytest

pytestmark = [pytest.mark.otherwise_in('3 shards'),  # a FIFO queue has one
              pytest.mark.otherwise_in('burrow', because='a FIFO queue takes no names')]


@pytest.fixture
def queue(door):
    door.create_fifo('lines.fifo')
    return 'lines.fifo'


def bodies(held):
    return [each.body for each in held]


def take_all(door, queue):
    """The bodies of everything, in the order in which it comes."""
    found = []
    while held := door.claim(queue):
        found += bodies(held)
        for each in held:
            door.ack(queue, each)
    return found


def test_a_group_is_delivered_in_order_whoever_posted(door, other, queue):
    for number in range(6):
        (door, other)[number % 2].send(queue, 'a', number)
    assert take_all(other, queue) == list(range(6))


def test_a_group_in_flight_gives_nothing_more_and_others_go_on(door, other, queue):
    for number in range(3):
        door.send(queue, 'a', number)
    held = door.claim(queue, 1)
    assert bodies(held) == [0]
    assert other.claim(queue) == door.claim(queue) == []
    door.send(queue, 'b', 'b')
    assert bodies(other.claim(queue)) == ['b']
    door.ack(queue, held[0])
    assert bodies(other.claim(queue, 1)) == [1]


def test_a_claim_that_ran_out_brings_the_group_back_from_there(door, other, queue, world):
    for number in range(2):
        door.send(queue, 'a', number)
    assert bodies(door.claim(queue, 1, ttl=60)) == [0]
    world.clock.advance(61)
    assert bodies(other.claim(queue, 1)) == [0]


def test_a_duplicate_is_one_message_also_after_its_end(door, other, queue, world):
    first = door.send(queue, 'a', 'x', deduplication='1')
    assert other.send(queue, 'a', 'y', deduplication='1') == first
    assert take_all(door, queue) == ['x']
    assert other.send(queue, 'a', 'x', deduplication='1') == first
    assert door.claim(queue) == []
    world.clock.advance(301)
    assert other.send(queue, 'a', 'x', deduplication='1') != first
    assert take_all(door, queue) == ['x']
