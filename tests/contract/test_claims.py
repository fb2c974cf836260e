"""How a message goes to one worker, whatever the door."""

import pytest
from clients import Refused


def bodies(held):
    return [each.body for each in held]


def test_a_claim_takes_the_oldest(door):
    door.create('jobs')
    door.post('jobs', *range(5))
    assert bodies(door.claim('jobs', limit=2)) == [0, 1]
    assert bodies(door.claim('jobs', limit=2)) == [2, 3]
    assert bodies(door.claim('jobs', limit=2)) == [4]
    assert door.claim('jobs') == []


def test_no_message_goes_to_two_workers_on_two_proxies(door, other):
    door.create('jobs')
    for start in range(0, 100, 20):
        door.post('jobs', *range(start, start + 20))
    seen = []
    while True:
        taken = bodies(door.claim('jobs', limit=3)) + bodies(other.claim('jobs', limit=5))
        if not taken:
            break
        seen += taken
    assert sorted(seen) == list(range(100))


def test_a_claimed_message_is_hidden_from_readers_who_do_not_ask_for_it(door, other):
    door.create('jobs')
    door.post('jobs', 'a', 'b')
    other.claim('jobs', limit=1)
    assert door.list('jobs')[0] == ['b']
    assert door.list('jobs', include_claimed=True)[0] == ['a', 'b']


def test_an_acked_message_never_comes_back(door, other):
    door.create('jobs')
    door.post('jobs', 'a')
    held, = door.claim('jobs')
    other.ack('jobs', held)
    door.world.clock.advance(100)
    assert door.claim('jobs') == []
    assert other.claim('jobs') == []
    assert door.counts('jobs') == (0, 0)


@pytest.mark.otherwise_in('burrow', because='what is not there cannot be deleted')
def test_acking_twice_is_fine(door, other):
    door.create('jobs')
    door.post('jobs', 'a')
    held, = door.claim('jobs')
    door.ack('jobs', held)
    other.ack('jobs', held)
    assert door.counts('jobs') == (0, 0)


@pytest.mark.otherwise_in('burrow', because='a message that is gone is not found')
def test_each_message_of_a_claim_is_acked_by_itself(door):
    door.create('jobs')
    door.post('jobs', 'a', 'b', 'c')
    held = door.claim('jobs')
    door.ack('jobs', held[1])
    assert door.held('jobs', held[0].claim_id) == ['a', 'c']
    door.world.clock.advance(61)
    assert bodies(door.claim('jobs')) == ['a', 'c']


def test_a_claim_that_runs_out_gives_the_message_back(door, other):
    door.create('jobs')
    door.post('jobs', 'a')
    first, = door.claim('jobs', ttl=60)
    door.world.clock.advance(59)
    assert other.claim('jobs') == []
    door.world.clock.advance(1.1)
    second, = other.claim('jobs')
    assert second.id == first.id


@pytest.mark.otherwise_in('burrow', because='whoever knows its id may delete a message')
@pytest.mark.otherwise_in('sqs', because='what comes too late is no error, and changes nothing')
def test_a_claim_that_ran_out_is_refused(door, other):
    door.create('jobs')
    door.post('jobs', 'a')
    first, = door.claim('jobs')
    door.world.clock.advance(61)
    with pytest.raises(Refused):
        door.held('jobs', first.claim_id)
    second, = other.claim('jobs')
    with pytest.raises(Refused):
        door.ack('jobs', first)
    with pytest.raises(Refused):
        door.renew('jobs', first.claim_id)
    door.release('jobs', first.claim_id)
    assert door.claim('jobs') == []
    other.ack('jobs', second)


def test_renewing_moves_the_end(door, other):
    door.create('jobs')
    door.post('jobs', 'a', 'b')
    held = door.claim('jobs')
    door.world.clock.advance(50)
    other.renew('jobs', held[0].claim_id, ttl=60)
    door.world.clock.advance(59)
    assert other.claim('jobs') == []
    assert door.claim('jobs') == []
    assert door.held('jobs', held[0].claim_id) == ['a', 'b']
    door.world.clock.advance(1.1)
    assert bodies(other.claim('jobs')) == ['a', 'b']


@pytest.mark.otherwise_in('burrow', because='whoever knows its id may delete a message')
@pytest.mark.otherwise_in('sqs', because='a handle deletes until the message is received again')
def test_releasing_gives_all_messages_back_at_once(door, other):
    door.create('jobs')
    door.post('jobs', 'a', 'b')
    held = door.claim('jobs')
    door.release('jobs', held[0].claim_id)
    with pytest.raises(Refused):
        door.ack('jobs', held[1])
    assert bodies(other.claim('jobs')) == ['a', 'b']


@pytest.mark.otherwise_in('burrow', because='whoever knows its id may show a message')
def test_releasing_twice_does_not_take_the_message_from_the_next_holder(door, other):
    door.create('jobs')
    door.post('jobs', 'a')
    held, = door.claim('jobs')
    door.release('jobs', held.claim_id)
    again, = other.claim('jobs')
    door.release('jobs', held.claim_id)
    assert door.claim('jobs') == []
    other.ack('jobs', again)


def test_a_claim_of_fresh_and_returned_messages_is_one_claim(door, other):
    door.create('jobs')
    door.post('jobs', 'returned')
    door.release('jobs', door.claim('jobs')[0].claim_id)
    door.post('jobs', 'fresh')
    held = other.claim('jobs')
    assert bodies(held) == ['returned', 'fresh']
    for each in held:
        door.ack('jobs', each)
    assert door.counts('jobs') == (0, 0)


@pytest.mark.parametrize('claim_id', ['', 'x', 'AAAA', '../..', 'a' * 500, '\x00', 'ü'])
def test_a_made_up_claim_is_refused(door, claim_id):
    door.create('jobs')
    message_id, = door.post('jobs', 'a')
    held, = door.claim('jobs')
    with pytest.raises(Refused):
        door.held('jobs', claim_id or 'none')
    with pytest.raises(Refused):
        door.ack('jobs', type(held)(message_id, 'a', claim_id or 'none'))
    assert door.counts('jobs') == (1, 1)


def test_a_claim_of_another_queue_is_refused(door):
    for name in ('a', 'b'):
        door.create(name)
        door.post(name, name)
    of_a, = door.claim('a')
    of_b, = door.claim('b')
    with pytest.raises(Refused):
        door.ack('b', type(of_b)(of_b.id, 'b', of_a.claim_id))
    assert door.counts('b') == (1, 1)


@pytest.mark.otherwise_in('burrow', because='whoever knows its id may delete a message')
@pytest.mark.otherwise_in('sqs', because='a handle names its message')
def test_a_claim_of_another_message_is_refused(door):
    door.create('jobs')
    door.post('jobs', 'a', 'b')
    first, = door.claim('jobs', limit=1)
    second, = door.claim('jobs', limit=1)
    with pytest.raises(Refused):
        door.ack('jobs', type(first)(first.id, 'a', second.claim_id))
    assert door.counts('jobs') == (2, 2)


@pytest.mark.otherwise_in('burrow', because='a hidden message ends with its ttl')
@pytest.mark.otherwise_in('sqs', because='there is no grace')
def test_a_claimed_message_outlives_its_ttl_by_the_grace(door, other):
    door.create('jobs')
    door.post('jobs', 'a', ttl=60)
    door.world.clock.advance(50)
    held, = door.claim('jobs', ttl=100, grace=60)
    door.world.clock.advance(90)
    assert door.held('jobs', held.claim_id) == ['a']
    door.world.clock.advance(20)
    again, = other.claim('jobs', ttl=60, grace=60)
    assert again.body == 'a'
    door.world.clock.advance(121)
    assert door.claim('jobs') == []
    assert door.counts('jobs') == (0, 0)


@pytest.mark.otherwise_in('burrow', because='a hidden message ends with its ttl')
def test_renewing_keeps_the_message_too(door):
    door.create('jobs')
    door.post('jobs', 'a', ttl=100)
    held, = door.claim('jobs', ttl=60)
    for _ in range(5):
        door.world.clock.advance(50)
        door.renew('jobs', held.claim_id, ttl=60)
    assert door.held('jobs', held.claim_id) == ['a']
    door.ack('jobs', held)
    assert door.counts('jobs') == (0, 0)


def test_popping_claims_and_deletes(door, other):
    door.create('jobs')
    door.post('jobs', 1, 2, 3)
    assert door.pop('jobs', limit=2) == [1, 2]
    assert other.pop('jobs') == [3]
    assert door.pop('jobs') == []
    door.world.clock.advance(100)
    assert other.pop('jobs') == []


def test_popping_leaves_claimed_messages_alone(door, other):
    door.create('jobs')
    door.post('jobs', 1, 2)
    door.claim('jobs', limit=1)
    assert other.pop('jobs') == [2]


def test_a_message_claimed_too_often_goes_to_the_dead_letter_queue(door, other):
    door.create('jobs', _max_claim_count=2, _dead_letter_queue='dead', _dead_letter_queue_messages_ttl=1000)
    door.post('jobs', 'poison', ttl=600)
    first, = door.claim('jobs')
    door.world.clock.advance(61)
    second, = other.claim('jobs')
    other.release('jobs', second.claim_id)
    assert door.claim('jobs') == []
    assert door.counts('jobs') == (0, 0)
    dead, = door.claim('dead')
    assert (dead.id, dead.body) == (first.id, 'poison')
    door.ack('dead', dead)
    assert door.counts('dead') == (0, 0)


def test_a_dead_letter_lives_as_long_as_its_queue_says(door):
    door.create('jobs', _max_claim_count=1, _dead_letter_queue='dead', _dead_letter_queue_messages_ttl=1000)
    door.post('jobs', 'poison', ttl=100)
    door.release('jobs', door.claim('jobs')[0].claim_id)
    assert door.claim('jobs') == []
    door.world.clock.advance(990)
    assert door.list('dead')[0] == ['poison']
    door.world.clock.advance(11)
    assert door.list('dead')[0] == []


def test_a_message_can_go_round_two_dead_letter_queues(door):
    door.create('a', _max_claim_count=1, _dead_letter_queue='b')
    door.create('b', _max_claim_count=1, _dead_letter_queue='a')
    door.post('a', 'restless')
    for queue, target in (('a', 'b'), ('b', 'a'), ('a', 'b'), ('b', 'a')):
        held, = door.claim(queue)
        door.release(queue, held.claim_id)
        assert door.claim(queue) == []
        assert door.list(target)[0] == ['restless']
        door.world.clock.advance(61)  # a worker does not look at what it has just removed
