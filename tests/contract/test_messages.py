"""What happens to a message that nobody claims, whatever the door."""

import pytest
from clients import Refused

BODIES = [
    None, True, 0, -1.5, '', 'text', 'ünïcödé \U0001f600', '\x00\r\n', [], {}, {'nested': [{'deep': None}]},
    9223372036854775807, '; mq=x, "quoted"', 'x' * 5000]


def test_bodies_come_back_as_posted(door):
    door.create('jobs')
    for body in BODIES:
        door.post('jobs', body)
    assert door.list('jobs', limit=20)[0] == BODIES
    assert [held.body for held in door.claim('jobs', limit=20)] == BODIES


def test_messages_are_listed_oldest_first(door, other):
    door.create('jobs')
    for number in range(10):
        (door, other)[number % 2].post('jobs', number)
    assert door.list('jobs')[0] == list(range(10))


def test_a_batch_keeps_its_order(door):
    door.create('jobs')
    ids = door.post('jobs', *range(30))
    assert len(set(ids)) == 30
    assert door.list('jobs', limit=20)[0] == list(range(20))


def test_every_reader_has_its_own_marker(door):
    door.create('jobs')
    door.post('jobs', 1, 2, 3)
    first, marker = door.list('jobs', limit=2)
    assert first == [1, 2]
    assert door.list('jobs', marker)[0] == [3]
    assert door.list('jobs')[0] == [1, 2, 3]


def test_a_marker_at_the_end_shows_what_is_posted_later(door):
    door.create('jobs')
    door.post('jobs', 1)
    _, marker = door.list('jobs')
    bodies, marker = door.list('jobs', marker)
    assert bodies == []
    door.world.clock.advance(100)
    door.post('jobs', 2)
    assert door.list('jobs', marker)[0] == [2]


def test_paging_shows_every_message_once(door):
    door.create('jobs')
    for start in range(0, 60, 10):
        door.post('jobs', *range(start, start + 10))
        door.world.clock.advance(7)
    seen, marker = [], None
    while True:
        bodies, marker = door.list('jobs', marker, limit=7)
        if not bodies:
            break
        seen += bodies
    assert seen == list(range(60))


@pytest.mark.otherwise_in('burrow', because='nobody says who he is')
@pytest.mark.otherwise_in('sqs', because='the client of a message is who signed it')
def test_a_reader_can_leave_out_its_own(door):
    door.create('jobs')
    door.post('jobs', 'mine', client='me')
    door.post('jobs', 'yours', client='you')
    assert door.list('jobs', without_client='me')[0] == ['yours']
    assert door.list('jobs')[0] == ['mine', 'yours']


def test_an_expired_message_is_never_seen_again(door):
    door.create('jobs')
    ids = door.post('jobs', 'short', ttl=60)
    door.post('jobs', 'long', ttl=600)
    door.world.clock.advance(60)
    assert door.list('jobs')[0] == ['long']
    assert door.get('jobs', *ids) == []
    assert door.counts('jobs') == (1, 0)
    assert [held.body for held in door.claim('jobs')] == ['long']


@pytest.mark.otherwise_in('burrow', because='a hidden message keeps its place')
def test_a_delayed_message_appears_when_its_time_has_come(door):
    door.create('jobs')
    door.post('jobs', 'later', delay=30)
    door.post('jobs', 'now')
    assert door.list('jobs')[0] == ['now']
    assert door.list('jobs', include_delayed=True)[0] == ['now', 'later']
    assert [held.body for held in door.claim('jobs')] == ['now']
    door.world.clock.advance(29)
    assert door.claim('jobs') == []
    door.world.clock.advance(1)
    assert [held.body for held in door.claim('jobs')] == ['later']


@pytest.mark.otherwise_in('burrow', because='a hidden message keeps its place')
def test_a_delayed_message_shows_up_behind_the_marker_of_who_read_before(door):
    door.create('jobs')
    door.post('jobs', 'later', delay=30)
    door.post('jobs', 'now')
    _, marker = door.list('jobs')
    door.world.clock.advance(31)
    assert door.list('jobs', marker)[0] == ['later']


@pytest.mark.otherwise_in('burrow', because='a ttl begins at once')
def test_the_ttl_of_a_delayed_message_starts_when_it_appears(door):
    door.create('jobs')
    door.post('jobs', 'later', delay=100, ttl=60)
    door.world.clock.advance(130)
    assert door.list('jobs')[0] == ['later']
    door.world.clock.advance(31)
    assert door.list('jobs')[0] == []


@pytest.mark.otherwise_in('burrow', because='a ttl begins at once')
@pytest.mark.otherwise_in('messaging-v1', because='every message brings its ttl')
def test_the_queue_may_set_ttl_and_delay(door):
    door.create('jobs', _default_message_ttl=100, _default_message_delay=10)
    door.post('jobs', 'defaults')
    assert door.list('jobs')[0] == []
    door.world.clock.advance(10.1)
    assert door.list('jobs')[0] == ['defaults']
    door.world.clock.advance(100)
    assert door.list('jobs')[0] == []


def test_messages_by_id(door):
    door.create('jobs')
    ids = door.post('jobs', 'a', 'b', 'c')
    assert door.get('jobs', ids[2], ids[0]) == ['c', 'a']


def test_a_deleted_message_is_gone_everywhere_at_once(door, other):
    door.create('jobs')
    first, second = door.post('jobs', 'a', 'b')
    assert other.list('jobs')[0] == ['a', 'b']
    held = other.claim('jobs', limit=1)  # so that the other proxy has the whole page at hand
    assert [each.body for each in held] == ['a']
    door.delete('jobs', second)
    assert other.claim('jobs') == []
    assert door.get('jobs', second) == []


@pytest.mark.otherwise_in('burrow', because='whoever knows its id may delete a message')
def test_a_claimed_message_cannot_be_deleted_without_its_claim(door, other):
    door.create('jobs')
    message_id, = door.post('jobs', 'a')
    held, = other.claim('jobs')
    with pytest.raises(Refused):
        door.delete('jobs', message_id)
    other.ack('jobs', held)
    assert door.get('jobs', message_id) == []


def test_deleting_many_takes_claimed_ones_too(door):
    door.create('jobs')
    ids = door.post('jobs', 'a', 'b', 'c')
    door.claim('jobs', limit=1)
    door.delete_many('jobs', ids[0], ids[1], 'no-such-id')
    assert door.list('jobs', include_claimed=True)[0] == ['c']
