"""Subscriptions: what is kept of them, who may make them, and what a post costs with and without."""

import pytest
from notifiers import HOOK, Webhooks, a_world, bodies, post, run, subscribe

from swiftqueue.errors import Forbidden, Invalid, QueueNotFound, SubscriptionExists, SubscriptionNotFound

DAY = 86400


@pytest.fixture
def world():
    return a_world()


@pytest.fixture
def subscriptions(world):
    return world.queue().subscriptions


def test_a_subscription_is_shown_as_it_was_made(world, subscriptions):
    made = subscribe(world, HOOK, confirm=False, ttl=100, options={'post_headers': {'X-Colour': 'red'}})
    world.tick(10)
    there = subscriptions.get(made)
    assert (there.id, there.subscriber, there.ttl, there.confirmed) == (made, HOOK, 100, False)
    assert there.options == {'post_headers': {'X-Colour': 'red'}}
    assert subscriptions.list().items == [there]


def test_the_same_subscriber_is_the_same_subscription_until_it_is_confirmed(world, subscriptions):
    made = subscribe(world, HOOK, confirm=False)
    assert subscribe(world, HOOK) == made
    with pytest.raises(SubscriptionExists):
        subscribe(world, HOOK)
    assert len(subscriptions.list().items) == 1


def test_two_who_subscribe_the_same_at_once_make_one_subscription(world, subscriptions, monkeypatch):
    subscribe(world, 'queue://other')
    made = []
    monkeypatch.setattr(subscriptions, '_check_number', lambda record: made.append(
        world.queue(proxy=1).subscriptions.create('queue://copy')))
    assert subscriptions.create('queue://copy') == made[0]
    assert len(subscriptions.list().items) == 2


def test_a_subscription_ends_with_its_ttl_and_can_be_made_again(world, subscriptions):
    made = subscribe(world, 'queue://copy', ttl=60)
    world.tick(61)
    assert subscriptions.list().items == []
    for verb in (subscriptions.get, lambda each: subscriptions.update(each, ttl=100)):
        with pytest.raises(SubscriptionNotFound):
            verb(made)
    subscribe(world, 'queue://copy')
    assert len(subscriptions.list().items) == 1


def test_a_change_of_the_ttl_begins_it_anew(world, subscriptions):
    made = subscribe(world, 'queue://copy', ttl=60)
    world.tick(50)
    subscriptions.update(made, ttl=70)
    world.tick(60)
    assert subscriptions.get(made).ttl == 70
    subscriptions.update(made, options={'post_data': 'x'})
    assert subscriptions.get(made).options == {'post_data': 'x'}
    world.tick(11)
    with pytest.raises(SubscriptionNotFound):
        subscriptions.get(made)


def test_another_webhook_has_to_confirm_anew(world, subscriptions):
    made = subscribe(world, HOOK)
    subscriptions.update(made, subscriber=HOOK)
    assert subscriptions.get(made).confirmed
    subscriptions.update(made, subscriber=HOOK + '/b')
    assert not subscriptions.get(made).confirmed
    other = subscribe(world, HOOK, confirm=False)
    assert other != made
    for each, subscriber in ((other, HOOK + '/b'), (made, HOOK)):
        with pytest.raises(SubscriptionExists):
            subscriptions.update(each, subscriber=subscriber)


def test_nobody_but_the_subscriber_can_confirm_a_webhook(world, subscriptions):
    made = subscribe(world, HOOK, confirm=False)
    with pytest.raises(Forbidden):
        subscriptions.confirm(made, True)
    subscriptions.confirm(made, True, proven=True)
    world.tick()
    subscriptions.confirm(made, False)
    assert not subscriptions.get(made).confirmed


def test_an_operator_can_do_without_confirmations():
    world = a_world(confirm_webhooks=False)
    assert world.queue().subscriptions.get(subscribe(world, HOOK, confirm=False)).confirmed


def test_a_subscription_that_is_deleted_is_gone_with_what_was_to_be_sent(world, subscriptions):
    made = subscribe(world, HOOK, confirm=False)
    assert any('webhook' in name for name in world.swift.containers('AUTH_test'))
    world.tick()
    subscriptions.delete(made)
    subscriptions.delete(made)
    subscriptions.delete('../x')
    assert world.queue().account.webhook(made).read_record() is None
    with pytest.raises(SubscriptionNotFound):
        subscriptions.get(made)


def test_a_change_does_not_bring_back_what_was_deleted_meanwhile(world, subscriptions):
    made = subscribe(world, 'queue://copy')
    world.swift.on_commit = lambda call: setattr(world.swift, 'on_commit', None) or (
        world.tick(), world.queue(proxy=1).subscriptions.delete(made))
    with pytest.raises(SubscriptionNotFound):
        subscriptions.update(made, ttl=500)
    assert subscriptions.list().items == []


def test_pages(world, subscriptions):
    made = sorted(subscribe(world, f'queue://q{number}') for number in range(5))
    first = subscriptions.list(limit=3)
    assert [each.id for each in first.items + subscriptions.list(first.marker).items] == made
    with pytest.raises(Invalid):
        subscriptions.list(limit=21)


@pytest.mark.parametrize('subscriber', [
    None, 5, '', 'jobs', 'queue://', 'queue://a/b', 'queue://a b', 'mailto:a@example.com', 'trust+https://example.com/',
    'ftp://example.com/', 'http://', 'http:///path', 'http://example.com:99999/', 'http://[::1/', 'http://example.com:0/',
    'http://user:key@example.com/', 'http://exa mple.com/', 'http://example.com/\r\nX: y', 'http://ex\xe4mple.com/',
    'http://example.com/' + 'x' * 2048])
def test_subscribers_that_are_refused(subscriptions, subscriber):
    with pytest.raises(Invalid):
        subscriptions.create(subscriber)


@pytest.mark.parametrize('fields', [
    {'ttl': 59}, {'ttl': '60'}, {'ttl': 2 ** 31}, {'options': []}, {'options': {'post_headers': {'Host': 'x'}}},
    {'options': {'post_headers': {'X-A': 'b\r\nc'}}}, {'options': {'post_headers': {'X A': 'b'}}},
    {'options': {'post_headers': {'X-A': 1}}}, {'options': {'post_headers': ['a']}}, {'options': {'post_data': 5}},
    {'options': {'_retry_policy': {'minimum_delay': 1, 'maximum_delay': 2}}}, {'options': {'x': 'y' * 16384}}])
def test_fields_that_are_refused(subscriptions, fields):
    with pytest.raises(Invalid):
        subscriptions.create(HOOK, **fields)
    assert subscriptions.list().items == []


def test_the_operator_says_how_many_there_may_be():
    world = a_world(max_subscriptions=2)
    for number in range(2):
        subscribe(world, f'queue://q{number}')
    with pytest.raises(Invalid):
        subscribe(world, 'queue://q2')


def test_a_webhook_is_asked_again_for_the_asking_but_not_in_a_rush(world):
    hooks = Webhooks()
    for pause in (1, 70, 1):
        subscribe(world, HOOK, confirm=False)
        run(world, hooks)
        world.tick(pause)
    assert len(hooks.sent) == 2


def test_options_too_large_for_a_row(world, subscriptions):
    made = subscribe(world, HOOK, options={'post_data': 'x' * 10000})
    assert subscriptions.list().items == [subscriptions.get(made)]


def test_a_queue_that_is_not_there_has_no_subscriptions(world):
    absent = world.queue('absent').subscriptions
    for verb in (lambda: absent.create(HOOK), absent.list, lambda: absent.get('x'), absent.delete_all):
        with pytest.raises(QueueNotFound):
            verb()
    absent.delete('x')


def test_what_a_post_costs(world):
    def cost():
        world.queue().record()
        with world.swift.recording() as calls:
            post(world.queue(), 1, 2, 3)
        return [call.method for call in calls]
    assert cost() == ['PUT'] * 3
    for number in range(5):
        subscribe(world, f'queue://q{number}')
    assert cost() == ['PUT'] * 4  # however many there are


def test_subscriptions_end_with_their_queue(world, subscriptions):
    subscribe(world, 'queue://copy')
    world.queue().delete()
    world.tick()
    world.queue().create()
    world.tick(3)
    assert subscriptions.list().items == []
    post(world.queue(), 'x')
    run(world)
    assert bodies(world, 'copy') == []


def test_subscriptions_outlive_a_purge_unless_they_are_purged(world, subscriptions):
    subscribe(world, 'queue://copy')
    world.queue().purge()
    world.tick()
    assert len(subscriptions.list().items) == 1
    subscriptions.delete_all()
    assert subscriptions.list().items == []
