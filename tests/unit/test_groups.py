"""Fair queues: message groups on queues that are no FIFO queues."""

import pytest
from world import World

from swiftqueue.model import NewMessage


@pytest.fixture
def world():
    world = World(max_messages_per_claim_or_pop=100)
    world.queue().create()
    world.tick()
    yield world
    world.swift.assert_no_leaks()


def post(world, group, count):
    posted = world.queue().messages.post([NewMessage(f'{group}{number}', group=group) for number in range(count)])
    assert not [each for each in posted if each.error]
    world.tick()


def receive(world, limit=10, proxy=0):
    world.tick()
    return [claim.messages[0] for claim in world.queue(proxy=proxy).single_claims.create_each(limit, 600)]


def groups(messages):
    return [message.group for message in messages]


def test_a_quiet_group_does_not_wait_for_a_noisy_one(world):
    post(world, 'noisy', 1000)
    receive(world)
    post(world, 'quiet', 10)
    found = []
    for _ in range(4):
        world.tick(3)
        with world.swift.recording() as calls:
            found += receive(world)
        assert len([call for call in calls if call.method == 'GET']) == 2  # a page and its claims
    quiet = [message.body for message in found if message.group == 'quiet']
    assert quiet == [f'quiet{number}' for number in range(10)]
    assert found[9].group == 'quiet'  # the noisy one has ten in flight already


def test_each_group_gets_as_much(world):
    for group, count in (('a', 50), ('b', 30), ('c', 5)):
        post(world, group, count)
    receive(world, 1)
    world.tick(3)
    found = receive(world, 30)
    assert [groups(found).count(group) for group in 'abc'] == [12, 13, 5]
    assert [message.body for message in found if message.group == 'a'] == [f'a{number}' for number in range(1, 13)]


def test_another_proxy_sees_who_has_much_in_flight(world):
    post(world, 'a', 20)
    receive(world, 10)
    post(world, 'b', 5)
    world.tick(3)
    assert groups(receive(world, 5, proxy=1)) == ['b'] * 5


def test_those_of_no_group_stay_in_their_order_and_are_one_group(world):
    post(world, '', 5)
    assert [message.body for message in receive(world, 3)] == ['0', '1', '2']
    post(world, 'a', 5)
    world.tick(3)
    assert groups(receive(world, 4)) == ['a', 'a', 'a', '']


def test_a_large_message_has_its_group_too(world):
    world.queue().messages.post([NewMessage('x' * 100000, group='a')])
    post(world, 'b', 1)
    world.tick(3)
    assert groups(receive(world, 1)) == ['a']
    assert groups(receive(world, 1)) == ['b']
