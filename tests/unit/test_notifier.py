"""The notifier on a Swift in memory: who is given what, also when it dies half-way or servers are down."""

import pytest
from janitors import DAY, ModelReplicas, janitor_of
from notifiers import HOOK, Webhooks, a_world, bodies, notifier_of, post, run, subscribe, swift_of, topic

from swiftqueue import sources
from swiftqueue.errors import QueueError, SubscriptionExists, Unavailable
from swiftqueue.fanout import Fanout
from swiftqueue.janitor import queues_of
from swiftqueue.model import NewMessage
from swiftqueue.names import SUBSCRIBED, post_name
from swiftqueue.webhooks import CONFIRMATION, NotSent


@pytest.fixture
def world():
    return a_world()


@pytest.fixture
def hooks():
    return Webhooks()


class Died(BaseException):
    """Somebody pulled the plug."""


def posts(world):
    return [name for _, name in world.swift.live_objects('AUTH_test') if name.startswith(post_name())]


def test_every_subscriber_is_given_every_message_and_the_queue_keeps_it(world, hooks):
    subscribe(world, 'queue://one')
    subscribe(world, 'queue://two')
    subscribe(world, HOOK)
    subscribe(world, HOOK + '/unconfirmed', confirm=False)
    post(world.queue(), 'a', {'b': 1})
    run(world, hooks)
    for name in ('jobs', 'one', 'two'):
        assert bodies(world, name) == ['a', {'b': 1}]
    assert hooks.bodies() == ['a', {'b': 1}]
    assert hooks.bodies(HOOK + '/unconfirmed') == []
    assert posts(world) == []


def test_what_happens_to_the_queues_own_messages_matters_to_no_subscriber(world):
    subscribe(world, 'queue://copy')
    post(world.queue(), 'a')
    assert [message.body for message in world.queue().claims.pop()] == ['a']
    world.queue().purge()
    run(world)
    assert bodies(world, 'copy') == ['a']


def test_a_topic_publishes_and_is_not_a_queue(world, hooks):
    news = topic(world, 'jobs')
    news.create({'colour': 'red'})
    world.tick()
    news.subscriptions.create('queue://copy')
    world.tick()
    post(news, 'a')
    run(world, hooks)
    assert bodies(world, 'copy') == ['a']
    assert bodies(world, 'jobs') == []
    account = world.queue().account
    assert [info.name for info in account.queues().items] == ['copy', 'jobs']
    assert [(info.name, info.attributes['colour']) for info in account.queues(topics=True, detailed=True).items] == [
        ('jobs', 'red')]
    assert (account.count(), account.count(topics=True)) == (2, 1)


def test_a_copy_is_given_to_nobody_further(world):
    world.queue('two').create()
    subscribe(world, 'queue://two')
    subscribe(world, 'queue://jobs', 'two')
    post(world.queue(), 'a')
    for _ in range(3):
        run(world)
    assert bodies(world, 'two') == bodies(world, 'jobs') == ['a']


def test_copies_keep_ttl_and_delay_and_do_not_come_back_when_they_are_done_with(world):
    subscribe(world, 'queue://copy')
    post(world.queue(), 'a', ttl=100, delay=20)
    run(world)
    target = world.queue('copy')
    assert target.claims.create() is None
    world.tick(20)
    claim = target.claims.create()
    assert [message.ttl for message in claim.messages] == [100]
    target.claims.ack(claim.messages[0].id, claim.id)
    world.tick(100)
    assert bodies(world, 'copy') == []


def fifo(world, **attributes):
    world.queue('line').create({'_fifo': True, **attributes})
    subscribe(world, 'queue://line')
    return world.queue('line')


def take(queue):
    """All that is there, one after the other."""
    taken = []
    while claim := queue.claims.create():
        for message in claim.messages:
            taken.append((message.body, message.group))
            queue.claims.ack(message.id, claim.id)
    return taken


def test_a_copy_in_a_fifo_queue_keeps_its_group_or_has_that_of_its_queue(world):
    line = fifo(world)
    post(world.queue(), 'a')
    post(world.queue(), 'b', 'c', group='red')
    run(world)
    assert sorted(take(line)) == [('a', 'jobs'), ('b', 'red'), ('c', 'red')]


def test_a_copy_comes_behind_what_is_in_a_fifo_queue_whenever_it_was_posted(world):
    line = fifo(world)
    posted = post(world.queue(), 'early')
    world.tick(20)
    late = NewMessage('late', group='jobs', deduplication='one')
    assert not line.messages.post([late])[0].error
    assert posted[0] < line.messages.list().items[0].id
    world.tick(3)
    run(world)
    assert [body for body, _ in take(line)] == ['late', 'early']


def test_a_copy_in_a_fifo_queue_ends_when_its_message_does(world):
    line = fifo(world)
    post(world.queue(), 'a', ttl=100)
    world.tick(70)
    run(world)
    assert 1 <= line.messages.list().items[0].ttl <= 30
    world.tick(40)
    assert take(line) == []


def test_a_fifo_queue_is_given_a_delayed_message_when_it_is_due_and_its_neighbours_with_it(world):
    line = fifo(world)
    post(world.queue(), 'a', 'b', delay=20)
    for bodies_now in ([], ['a', 'b'], []):
        run(world)
        assert [body for body, _ in take(line)] == bodies_now
        world.tick(20)
    assert posts(world) == []


@pytest.mark.parametrize('number', range(24))
def test_a_post_that_is_brought_again_is_in_a_fifo_queue_once(world, number):
    line = fifo(world)
    post(world.queue(), 'a', 'b')
    dies_at(world, Webhooks(), number, after_work=True)
    world.tick(40)
    taken = take(line)
    world.tick(40)
    run(world, proxy=0)
    assert taken + take(line) == [('a', 'jobs'), ('b', 'jobs')]
    assert posts(world) == []


def test_a_message_that_expired_is_given_to_nobody(world, hooks):
    subscribe(world, HOOK)
    post(world.queue(), 'a', ttl=60)
    world.tick(61)
    run(world, hooks)
    assert hooks.bodies() == []


def test_a_subscriber_that_cannot_be_reached_keeps_no_other_waiting(world):
    subscribe(world, 'queue://bad')
    subscribe(world, 'queue://good')
    world.queue('bad').ensure({})
    post(world.queue(), 'a')
    post(world.queue(), 'b')
    world.swift.fail(('PUT', '\x00messages\x00bad'), 503, times=1000)
    run(world)
    assert bodies(world, 'good') == ['a', 'b']
    assert len(posts(world)) == 2
    with world.swift.recording() as calls:
        run(world)
    assert not [call for call in calls if 'good' in call.container and call.method == 'PUT']
    assert len([call for call in calls if 'bad' in call.container and call.method == 'PUT']) <= 6
    world.swift.heal()
    run(world)
    assert bodies(world, 'bad') == bodies(world, 'good') == ['a', 'b']
    assert posts(world) == []


def test_what_expired_for_who_could_not_be_reached_is_forgotten(world):
    subscribe(world, 'queue://bad')
    world.queue('bad').ensure({})
    world.swift.fail(('PUT', '\x00messages\x00bad'), 503, times=1000)
    post(world.queue(), 'a', ttl=60)
    run(world)
    world.tick(70)
    run(world)
    published = next(name for name in world.swift.containers('AUTH_test') if 'published' in name)
    assert not [row for row in world.swift.rows('AUTH_test', published) if row['name'].startswith(post_name())]


def test_who_subscribed_is_given_what_is_posted_though_a_container_server_missed_it(world):
    subscribe(world, 'queue://old')
    world.swift.down_containers = {0}
    subscribe(world, 'queue://new')
    world.swift.down_containers = set()
    post(world.queue(), 'a')
    world.swift.first_replica = 0
    run(world)
    world.swift.first_replica = 1
    assert bodies(world, 'new') == bodies(world, 'old') == ['a']


def test_a_post_does_not_pass_over_subscribers_of_whom_a_container_server_has_not_heard(world):
    world.swift.down_containers = {0}
    subscribe(world, 'queue://copy')
    world.queue().configure(lambda attributes: attributes | {'colour': 'red'})
    world.swift.down_containers = set()
    world.swift.first_replica = 0
    for proxy in (0, 1):
        world.tick(3)
        post(world.queue(proxy=proxy), proxy)
    run(world)
    world.swift.first_replica = 1
    assert bodies(world, 'copy') == [0, 1]


def test_what_is_told_of_subscribers_ends_with_the_queue(world):
    subscribe(world, 'queue://copy')
    world.queue().delete()
    world.tick()
    world.queue().create()
    assert world.queue(proxy=1).record().subscribed_at == 0


def test_who_subscribed_is_given_what_is_posted_though_the_row_is_late_everywhere(world, hooks):
    subscribe(world, 'queue://other')
    world.swift.lag_chance = 1
    for subscriber in ('queue://copy', HOOK):
        subscribe(world, subscriber)
    world.swift.lag_chance = 0
    post(world.queue(), 'a')
    run(world, hooks)
    assert bodies(world, 'copy') == bodies(world, 'other') == hooks.bodies() == ['a']


def test_who_is_told_that_he_has_subscribed_is_listed(world):
    """Also if the one that did it was told that container servers are silent."""
    subscribe(world, 'queue://other')
    majorities, world.engines[0].majorities = world.engines[0].majorities, None
    world.swift.lag_chance = 1
    for error in (Unavailable, SubscriptionExists):
        with pytest.raises(error):
            subscribe(world, 'queue://copy')
        world.engines[0].majorities = majorities
    world.swift.lag_chance = 0
    post(world.queue(), 'a')
    run(world)
    assert bodies(world, 'copy') == ['a']


def test_too_few_container_servers_do_not_make_a_queue_without_subscribers(world):
    subscribe(world, 'queue://copy')
    post(world.queue(), 'a')
    notifier = notifier_of(world)
    notifier.containers.visit = lambda what, index: index  # only the first of them answers
    notifier.run_once()
    assert len(posts(world)) == 1
    run(world)
    assert bodies(world, 'copy') == ['a']


def test_who_subscribes_while_it_looks_is_given_what_is_posted_then(world):
    subscribe(world, 'queue://copy')
    notifier = notifier_of(world)

    def subscribe_and_post():
        subscribe(world, 'queue://late')
        post(world.queue(), 'a')
    before(notifier, lambda environ: 'published' in environ['PATH_INFO'], subscribe_and_post)
    notifier.run_once()
    world.tick(3)
    run(world)
    assert bodies(world, 'late') == bodies(world, 'copy') == ['a']


def before(notifier, matches, act):
    """Do that before the first request of the notifier that matches; the list is empty until then."""
    make, done = notifier.swift, []

    def swift(account):
        made = make(account)
        app = made.app

        def look(environ, start_response):
            if matches(environ) and not done:
                done.append(True)
                act()
            return app(environ, start_response)
        made.app = look
        return made
    notifier.swift = swift
    return done


@pytest.mark.parametrize('subscriber', ['queue://copy', HOOK])
def test_it_may_die_at_every_request(subscriber):
    """And before or after Swift has done what it was asked."""
    died_at = 0
    for after_work in (False, True):
        for number in range(200):
            world, hooks = a_world(), Webhooks()
            subscribe(world, subscriber)
            run(world, hooks)
            sent = ['a', 'b']
            post(world.queue(), *sent)
            if not dies_at(world, hooks, number, after_work):
                break
            died_at += 1
            world.tick(70)  # gates and claims of the dead one are over
            run(world, hooks, proxy=0)
            if subscriber == HOOK:
                assert sorted(set(hooks.bodies())) == sent, number
                assert len(hooks.bodies()) <= 4
            else:
                assert bodies(world, 'copy') == sent, number
                claim = world.queue('copy').claims.create()
                for message in claim.messages:
                    world.queue('copy').claims.ack(message.id, claim.id)
            assert posts(world) == []
    assert died_at > 10


def dies_at(world, hooks, number, after_work):
    """Whether a notifier came so far."""
    count = 0

    def app(environ, start_response):
        nonlocal count
        count += 1
        if count > number and not after_work:
            raise Died
        answer = world.swift(environ, start_response)
        if count > number:
            b''.join(answer)
            raise Died
        return answer
    notifier = notifier_of(world, hooks)
    make = notifier.swift

    def swift(account):
        made = make(account)
        made.app = app
        return made
    notifier.swift = swift
    world.tick()
    try:
        notifier.read_sources()
        for source in notifier.sources.values():
            notifier.webhooks.spawn_n = lambda work, key, *arguments: arguments[0](*arguments[1:])
            notifier._look_at(source)
    except Died:
        pass
    return count > number


def test_two_notifiers_at_once_write_the_same(world):
    subscribe(world, 'queue://copy')
    post(world.queue(), 'a')
    world.cache = None  # nothing keeps them apart
    world.swift.on_commit = lambda call: setattr(world.swift, 'on_commit', None) or run(world, proxy=0)
    run(world)
    assert bodies(world, 'copy') == ['a']


# -- webhooks --------------------------------------------------------------------------------------

def test_a_webhook_that_fails_is_tried_again_as_its_policy_says_also_after_a_restart(world, hooks):
    policy = {'retries_with_no_delay': 1, 'minimum_delay_retries': 2, 'minimum_delay': 10, 'maximum_delay': 100,
              'maximum_delay_retries': 1}
    subscribe(world, HOOK, options={'_retry_policy': policy}, ttl=DAY)
    run(world, hooks)
    hooks.down = {HOOK}
    hooks.tries = 0
    post(world.queue(), 'a', ttl=DAY)
    began, tried = world.clock(), []
    while world.clock() - began < 1500:
        before = hooks.tries
        run(world, hooks)
        tried += [world.clock() - began] * (hooks.tries - before)
        world.tick(2)
    waits = [later - earlier for earlier, later in zip(tried, tried[1:], strict=False)]
    assert len(tried) == 1 + 1 + 2 + 10 + 1
    assert waits[0] == 0
    for wait, least in zip(waits[1:], [10, 10, *(10 + 90 * n / 11 for n in range(1, 11)), 100], strict=True):
        assert least - 1 <= wait <= least + 11, waits


def test_who_has_not_confirmed_is_not_asked_as_often_as_a_policy_says(world, hooks):
    hooks.down = {HOOK}
    subscribe(world, HOOK, confirm=False, options={'_retry_policy': {'retries_with_no_delay': 50}})
    run(world, hooks)
    assert hooks.tries == 4


# Fails on the way of a post: nothing that was answered may be missing in the copy.
@pytest.mark.parametrize('status, after_work', [(500, False), (503, True), ('timeout', False), (404, False),
                                                (ConnectionError('broken'), False)])
def test_a_post_that_is_answered_comes_to_subscribers_whatever_fails(status, after_work):
    for number in range(20):
        world = a_world()
        subscribe(world, 'queue://copy')
        world.tick(3)
        fault = world.swift.fail(lambda call: True, status, times=3, skip=number, after_work=after_work)
        try:
            posted = world.queue().messages.post([NewMessage('a'), NewMessage('b')])
            answered = [body for body, one in zip('ab', posted, strict=True) if one.error is None]
        except QueueError:
            answered = []
        hits = fault.hits
        world.swift.heal()
        run(world)
        assert set(answered) <= set(bodies(world, 'copy'))
        if not hits:
            break
    assert number > 2
    assert answered == ['a', 'b']


def test_a_webhook_that_is_back_is_sent_what_it_missed(world, hooks):
    subscribe(world, HOOK)
    hooks.down = {HOOK}
    post(world.queue(), 'a')
    run(world, hooks)
    hooks.down = set()
    world.tick(30)
    run(world, hooks)
    assert hooks.bodies() == ['a']
    run(world, hooks)
    assert hooks.bodies() == ['a']


def test_who_confirms_while_he_is_still_asked_is_given_what_is_posted_then(world, hooks):
    made = subscribe(world, HOOK, confirm=False)

    def send(subscription, body):
        if body['Message_Type'] != CONFIRMATION:
            hooks(subscription, body)
        elif not hooks.tries:
            hooks.tries = 1
            queue = world.queue()
            queue.subscriptions.confirm(made, True, proven=True)
            world.tick(3)
            post(queue, 'a')
            Fanout(queue, queue.read_record(), ModelReplicas(world.swift)).run()
            raise NotSent('it has gone down')
    run(world, send)
    for _ in range(2):
        world.tick(10)
        run(world, send)
    assert hooks.bodies() == ['a']


def test_what_is_on_its_way_to_who_unsubscribed_is_not_sent(world, hooks):
    made = subscribe(world, HOOK)
    run(world, hooks)
    hooks.down = {HOOK}
    post(world.queue(), 'a')
    run(world, hooks)
    world.queue().subscriptions.confirm(made, False)
    hooks.down = set()
    world.tick(30)
    run(world, hooks)
    assert hooks.bodies() == []


# -- the list of queues that are looked at ---------------------------------------------------------

def test_a_queue_that_nobody_subscribes_to_any_more_is_looked_at_no_more(world):
    made = subscribe(world, 'queue://copy')
    world.queue().subscriptions.delete(made)
    run(world)
    assert len(list(sources.listed(swift_of(world, '')))) == 1  # somebody may be about to subscribe
    world.tick(3700)
    run(world)
    assert list(sources.listed(swift_of(world, ''))) == []
    assert SUBSCRIBED.lower() not in {key.lower() for key in swift_of(world, 'AUTH_test').head_container(
        '\x00queue\x00jobs').headers}
    subscribe(world, 'queue://copy')
    post(world.queue(), 'a')
    run(world)
    assert bodies(world, 'copy') == ['a']


def test_somebody_may_subscribe_while_the_queue_is_taken_off_the_list(world):
    made = subscribe(world, 'queue://copy')
    world.queue().subscriptions.delete(made)
    world.tick(3700)
    world.engines[1].clock = lambda: world.clock() + 5
    notifier = notifier_of(world)
    done = before(notifier, lambda environ: environ['REQUEST_METHOD'] == 'POST',
                  lambda: subscribe(world, 'queue://copy'))
    notifier.run_once()
    assert done
    world.tick(3)
    post(world.queue(), 'a')
    run(world)
    assert bodies(world, 'copy') == ['a']


def test_a_queue_that_was_deleted_is_taken_off_the_list(world):
    subscribe(world, 'queue://copy')
    world.queue().delete()
    world.tick(3700)
    run(world)
    assert list(sources.listed(swift_of(world, ''))) == []


# -- the janitor -----------------------------------------------------------------------------------

def sweep(world):
    world.tick(DAY)
    tally = janitor_of(world).sweep(queues_of(swift_of(world, 'AUTH_test')), thorough=True)
    assert tally.errors == 0


def test_the_janitor_leaves_nothing_of_a_deleted_queue(world, hooks):
    subscribe(world, HOOK, ttl=100 * DAY)
    hooks.down = {HOOK}
    post(world.queue(), 'a', 'b', ttl=10 * DAY)
    run(world, hooks)
    post(world.queue(), 'c', ttl=10 * DAY)
    world.queue().delete()
    for _ in range(3):
        sweep(world)
    assert world.swift.live_objects('AUTH_test') == []
    assert world.swift.containers('AUTH_test') == []


def test_the_janitor_removes_subscriptions_that_ended_and_no_other(world, hooks):
    subscribe(world, HOOK, ttl=100)
    kept = subscribe(world, HOOK + '/kept', ttl=100 * DAY)
    post(world.queue(), 'a')
    run(world, hooks)
    for _ in range(3):
        sweep(world)
    published = [name for container, name in world.swift.live_objects('AUTH_test') if 'published' in container]
    assert [name[-36:] for name in published] == [kept]
    assert {name[-36:] for name in world.swift.containers('AUTH_test') if name.startswith('\x00webhook')} == {kept}
    assert [each.id for each in world.queue().subscriptions.list().items] == [kept]
