"""What a queue is, whatever the door."""

import pytest
from clients import Refused


@pytest.mark.otherwise_in('sqs', because='other attributes for the same name are an error')
def test_a_queue_is_created_once(door, other):
    assert door.create('jobs', colour='red') is True
    assert other.create('jobs', colour='blue') is False
    assert other.attributes('jobs')['colour'] == 'red'


@pytest.mark.otherwise_in('sqs', because='a queue that it creates has the defaults of Amazon SQS')
@pytest.mark.otherwise_in('messaging-v1.1', 'messaging-v1', because='defaults are not shown')
def test_unset_attributes_have_defaults(door):
    door.create('jobs')
    attributes = door.attributes('jobs')
    attributes.pop('_shards', None)  # it is shown where the operator wants several
    assert attributes == {
        '_max_messages_post_size': 262144, '_default_message_ttl': 3600, '_default_message_delay': 0,
        '_dead_letter_queue': None, '_dead_letter_queue_messages_ttl': None, '_max_claim_count': None,
        '_enable_encrypt_messages': False}


@pytest.mark.otherwise_in('messaging-v1', because='every message brings its ttl')
def test_a_changed_attribute_is_seen_through_another_proxy(door, other):
    door.create('jobs')
    other.post('jobs', 'warms the other proxy')
    door.set_attribute('jobs', '_default_message_ttl', 120)
    other.post('jobs', 'short')
    door.world.clock.advance(121)
    assert door.list('jobs')[0] == ['warms the other proxy']


@pytest.mark.otherwise_in('sqs', because='its tags are short')
def test_large_metadata_survives(door, other):
    text = ''.join(f'{number:04x}' for number in range(14000))
    door.create('jobs', text=text)
    assert other.attributes('jobs')['text'] == text


@pytest.mark.otherwise_in('sqs', because='its names have no dots, and its tokens are opaque')
def test_queues_are_listed_in_order_and_pages(door):
    for name in ('c', 'a', 'b.1', 'd'):
        door.create(name)
    assert door.queues() == ['a', 'b.1', 'c', 'd']
    assert door.queues(limit=2) == ['a', 'b.1']
    assert door.queues(marker='b.1', limit=2) == ['c', 'd']


def test_a_deleted_queue_is_gone_with_its_messages(door, other):
    door.create('jobs')
    door.post('jobs', 'old')
    other.delete_queue('jobs')
    assert door.queues() == []
    assert door.create('jobs') is True
    assert door.list('jobs')[0] == []
    assert door.claim('jobs') == []


def test_deleting_a_queue_twice_is_fine(door):
    door.create('jobs')
    door.delete_queue('jobs')
    door.delete_queue('jobs')
    assert door.queues() == []


def test_a_post_after_a_delete_and_create_through_another_proxy_is_seen(door, other):
    door.create('jobs')
    door.post('jobs', 'old')
    other.delete_queue('jobs')
    other.create('jobs')
    door.post('jobs', 'new')
    assert other.list('jobs')[0] == ['new']


def test_a_purge_drops_free_claimed_and_delayed_messages(door, other):
    door.create('jobs')
    door.post('jobs', 'free', 'claimed')
    door.post('jobs', 'delayed', delay=30)
    held, = door.claim('jobs', limit=1)
    other.purge('jobs')
    assert door.counts('jobs') == (0, 0)
    with pytest.raises(Refused):
        door.renew('jobs', held.claim_id)
    door.world.clock.advance(61)
    assert door.claim('jobs') == []


def test_a_post_after_a_purge_through_another_proxy_is_seen(door, other):
    door.create('jobs')
    door.post('jobs', 'old')
    other.purge('jobs')
    door.post('jobs', 'new')
    assert [held.body for held in other.claim('jobs')] == ['new']


def test_one_queue_does_not_see_another(door):
    door.create('a')
    door.create('b')
    door.post('a', 'for a')
    assert door.claim('b') == []
    assert door.list('b')[0] == []


def test_counts(door):
    door.create('jobs')
    assert door.counts('jobs') == (0, 0)
    door.post('jobs', 1, 2, 3)
    door.claim('jobs', limit=2)
    assert door.counts('jobs') == (3, 2)
    door.world.clock.advance(61)
    assert door.counts('jobs') == (3, 0)
