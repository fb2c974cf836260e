"""Queues: rights, the record and who has heard of it, clocks that differ, changes that fail."""

import random
import string

import pytest
from swift.common.middleware.acl import clean_acl
from swift.common.middleware.tempauth import filter_factory
from world import ACCOUNT, World

from swiftqueue.errors import (
    Forbidden,
    Invalid,
    QueueNotFound,
    QuotaExceeded,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from swiftqueue.model import NewMessage
from swiftqueue.names import ENDED, messages_container, parse_container, queue_container
from swiftqueue.queues import EPOCH_SECONDS, RECORD_SECONDS

RECORD = queue_container('jobs')
NOISE = ''.join(random.Random(1).choices(string.ascii_letters + string.digits, k=65000))  # hardly compresses


@pytest.fixture
def world():
    world = World()
    yield world
    world.swift.assert_no_leaks()


def post(world, *bodies, proxy=0):
    world.tick()
    posted = world.queue(proxy=proxy).messages.post([NewMessage(body) for body in bodies])
    world.tick()
    return [one.error for one in posted]


def listed(world, proxy=0):
    return [message.body for message in world.queue(proxy=proxy).messages.list(limit=20).items]


def set_clock(world, proxy, seconds):
    """Have the proxy's clock go wrong by some seconds."""
    engine = world.engines[proxy]
    engine.clock = engine.ids.clock = lambda: world.clock() + seconds


def generations(world):
    return {parse_container(name)[2] for name in world.swift.containers(ACCOUNT)} - {''}


# -- rights, by Swift's own auth filter -----------------------------------------------------------

OWNER = {'REMOTE_USER': 'test,test:al,AUTH_test'}
BOB = {'REMOTE_USER': 'other,other:bob,AUTH_other'}
NOBODY = {}

VERBS = {
    'read': [
        lambda queue: queue.stats(),
        lambda queue: queue.attributes(),
        lambda queue: queue.messages.list(),
        lambda queue: queue.messages.get([])],
    'write': [
        lambda queue: queue.messages.post([NewMessage('x')]),
        lambda queue: queue.messages.delete([]),
        lambda queue: queue.messages.delete_unclaimed('x'),
        lambda queue: queue.claims.create(1),
        lambda queue: queue.claims.pop(1),
        lambda queue: queue.claims.release('x')],
    'owner': [
        lambda queue: queue.create(),
        lambda queue: queue.configure(lambda attributes: attributes),
        lambda queue: queue.purge(),
        lambda queue: queue.delete()]}


@pytest.fixture
def ask(world):
    """A function: the queue on behalf of one of the above."""
    auth = filter_factory({}, user_test_al='x .admin', user_other_bob='x .admin')(world.swift)

    def queue(who, **more):
        world.tick()
        return world.queue(**{'swift.authorize': auth.authorize, 'swift.clean_acl': clean_acl,
                              **who, **more})
    return queue


@pytest.mark.parametrize('granted', ['read', 'write'])
@pytest.mark.parametrize('right', VERBS)
def test_an_acl_grants_its_own_right_and_no_other(world, ask, right, granted):
    ask(OWNER).create({f'_{granted}_acl': 'other:bob'})
    for verb in VERBS[right]:
        if right == granted:
            verb(ask(BOB))
        else:
            with pytest.raises(Forbidden):
                verb(ask(BOB))
        with pytest.raises(Unauthorized):
            verb(ask(NOBODY))


@pytest.mark.parametrize('right', VERBS)
def test_who_owns_the_account_has_every_right(ask, right):
    ask(OWNER).create()
    for verb in VERBS[right]:
        verb(ask(OWNER))


def test_who_has_no_right_leaves_no_trace(world, ask):
    ask(OWNER).create()
    with world.swift.recording() as calls:
        for verb in sum(VERBS.values(), []):
            with pytest.raises(Forbidden):
                verb(ask(BOB))
    assert {call.method for call in calls} <= {'HEAD'}


def test_only_the_owner_of_an_account_lists_its_queues(ask):
    ask(OWNER).create({'_read_acl': 'other:bob', '_write_acl': 'other:bob'})
    for who, error in ((BOB, Forbidden), (NOBODY, Unauthorized)):
        for act in (lambda account: account.queues(), lambda account: account.count()):
            with pytest.raises(error):
                act(ask(who).account)
    assert ask(OWNER).account.count() == 1


def test_a_stranger_cannot_tell_a_queue_from_none(ask):
    ask(OWNER).create()
    answers = set()
    for name in ('jobs', 'none'):
        with pytest.raises(Forbidden) as refusal:
            ask(BOB).account.queue(name).stats()
        answers.add(str(refusal.value).replace(name, ''))
    assert len(answers) == 1


@pytest.mark.parametrize('right', ['read', 'write'])
@pytest.mark.parametrize('acl', [
    'other:bob', 'x:y,other:bob', 'other', 'other:bob, x:y', 'x:y, other:bob'])
def test_an_acl_lets_in_who_is_in_it(ask, right, acl):
    ask(OWNER).create({f'_{right}_acl': acl})
    ask(BOB).allow(right)
    with pytest.raises(Unauthorized):
        ask(NOBODY).allow(right)


@pytest.mark.parametrize('acl', [
    None, '', 'x:y', 'other:bo', 'bob', '*', 'other:bob:x', ',', 'x:y,', ',x:y', 'x:y,,z:z', ' ',
    'x:y, ,z:z', 'x%2Cother:bob', '.r:*', '.r:*,.rlistings', '.rlistings,.r:*', '.rlistings',
    '%2Er:*,.rlistings', ' .r:*, .rlistings'])
def test_an_acl_keeps_out_who_is_not_in_it(ask, acl):
    ask(OWNER).create({'_read_acl': acl})
    for who, error in ((BOB, Forbidden), (NOBODY, Unauthorized)):
        with pytest.raises(error):
            ask(who, HTTP_REFERER='http://example.com/').allow('read')


@pytest.mark.parametrize('cache, seconds', [(True, 0), (False, RECORD_SECONDS)])
def test_a_right_that_is_taken_away_ends_on_all_proxies(cache, seconds):
    """Right then where memcached carries the news; else when what the other one has read is too old."""
    world = World(cache=cache)
    auth = filter_factory({}, user_test_al='x .admin', user_other_bob='x .admin')(world.swift)
    rights = {'swift.authorize': auth.authorize, 'swift.clean_acl': clean_acl}
    world.queue(**rights, **OWNER).create({'_write_acl': 'other:bob'})
    world.tick()
    world.queue(proxy=1, **rights, **BOB).claims.create(1)
    world.queue(proxy=0, **rights, **OWNER).configure(lambda attributes: {})
    world.tick(seconds)
    with pytest.raises(Forbidden):
        world.queue(proxy=1, **rights, **BOB).claims.create(1)


def test_no_attribute_makes_an_owner(ask):
    ask(OWNER).create({'_owner_acl': 'other:bob', '_acl': 'other:bob', 'read_acl': 'other:bob'})
    for right in VERBS:
        with pytest.raises(Forbidden):
            ask(BOB).allow(right)


def test_an_acl_that_swift_would_not_take_is_refused(ask):
    for attributes in ({'_read_acl': '.x:y'}, {'_write_acl': '.r:*'}):
        with pytest.raises(Invalid):
            ask(OWNER).create(attributes)
    ask(OWNER).create()
    with pytest.raises(Invalid):
        ask(OWNER).configure(lambda attributes: {'_read_acl': '.r:'})


def test_who_is_in_an_acl_does_not_see_it(ask):
    acls = {'_read_acl': 'other:bob', '_write_acl': 'x:y'}
    ask(OWNER).create({'colour': 'red', **acls})
    shown = ask(BOB).attributes()
    assert shown['colour'] == 'red' and not set(acls) & set(shown)
    assert acls.items() <= ask(OWNER).attributes().items()


def test_a_right_that_was_taken_away_is_gone_at_once(ask):
    ask(OWNER).create({'_write_acl': 'other:bob'})
    ask(BOB).messages.post([NewMessage('x')])
    ask(OWNER).configure(lambda attributes: {'_write_acl': None})
    with pytest.raises(Forbidden):
        ask(BOB).messages.post([NewMessage('x')])


# -- the record and who has heard of it -----------------------------------------------------------

CHANGES = {
    'a limit': (lambda queue: queue.configure(lambda attributes: {'_max_messages_post_size': 10}),
                lambda world: outcome(world, lambda queue: queue.messages.post(
                    [NewMessage('x')], size=11)), TooLarge),
    'a deletion': (lambda queue: queue.delete(),
                   lambda world: outcome(world, lambda queue: queue.stats()), QueueNotFound),
    'a purge': (lambda queue: queue.purge(), lambda world: listed(world), [])}


def outcome(world, act):
    try:
        act(world.queue())
    except (TooLarge, QueueNotFound) as error:
        return type(error)
    return None


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('cache', [True, False])
def test_a_change_through_another_proxy_is_heard_of(change, cache):
    change, look, expected = CHANGES[change]
    world = World(cache=cache)
    world.queue().create()
    post(world, 'x')
    assert look(world) != expected
    change(world.queue(proxy=1))
    if not cache:
        world.tick(RECORD_SECONDS)
    assert look(world) == expected


def test_a_record_is_read_once_as_long_as_nothing_changes(world):
    world.queue().create()
    with world.swift.recording() as calls:
        for _ in range(5):
            world.tick(RECORD_SECONDS / 5 - 0.01)
            world.queue().record()
    assert [call.method for call in calls] == ['HEAD']


def test_while_one_reads_the_record_others_go_on(world):
    world.queue().create()
    world.queue().record()
    world.tick(RECORD_SECONDS - 0.1)
    reader, others = world.queue(), []
    before(reader, 'HEAD', RECORD, lambda: others.append(world.queue().record()))
    with world.swift.recording() as calls:
        assert reader.record() == others[0]
    assert [call.method for call in calls] == ['HEAD']


def test_a_record_that_cannot_be_read_anew_serves_its_time(world):
    world.queue().create({'colour': 'red'})
    world.queue().record()
    world.swift.fail(('HEAD', RECORD), 503, times=2)
    world.tick(RECORD_SECONDS - 0.1)
    assert world.queue().record().attributes == {'colour': 'red'}
    world.tick(0.1)
    with pytest.raises(Unavailable):
        world.queue().record()
    assert world.queue().record().attributes == {'colour': 'red'}


def test_memcached_is_asked_for_changes_no_more_often_than_who_changes_waits(world, monkeypatch):
    world.queue().create()
    world.queue().record()
    asked = []
    get = world.cache.get
    monkeypatch.setattr(world.cache, 'get', lambda key: asked.append(key) or get(key))
    for _ in range(3):
        for _ in range(10):
            world.tick(EPOCH_SECONDS / 20)
            world.queue().record()
        world.tick(EPOCH_SECONDS / 2)
        world.queue().record()
    assert len(asked) == 3
    before = world.clock()
    world.queue().configure(lambda attributes: {'colour': 'red'})
    assert world.clock() - before > EPOCH_SECONDS


def test_who_creates_a_queue_waits_only_if_others_may_know_another_of_its_name(world):
    before = world.clock()
    world.queue().create()
    assert world.clock() == before
    world.queue().delete()
    before = world.clock()
    world.queue().create()
    assert world.clock() - before > EPOCH_SECONDS


def test_a_change_while_the_record_is_read_is_not_missed(world):
    world.queue().create()
    world.tick()
    reader = world.queue()
    before(reader, 'HEAD', RECORD, after_answer=lambda: world.queue(proxy=1).configure(
        lambda attributes: {'colour': 'red'}))
    reader.record()
    assert world.queue().record().attributes == {'colour': 'red'}


def test_an_outage_of_the_cache_costs_only_reads(world):
    world.queue().create()
    post(world, 'x')
    world.cache.down = True
    assert listed(world) == ['x']
    world.queue(proxy=1).purge()
    world.tick(RECORD_SECONDS)
    assert listed(world) == []
    world.cache.down = False
    assert post(world, 'y') == [None]
    assert listed(world, proxy=1) == ['y']


def before(queue, method, container, act=None, after_answer=None):
    """Have something happen right before, or right after, the queue's first such request."""
    app = queue.swift.app

    def between(environ, start_response):
        mine = (environ['REQUEST_METHOD'] == method
                and environ['PATH_INFO'].endswith('/' + container))
        if mine:
            queue.swift.app = app
            if act:
                act()
        answer = app(environ, start_response)
        if mine and after_answer:
            after_answer()
        return answer
    queue.swift.app = between


# -- changes at one moment and clocks that differ -------------------------------------------------

@pytest.mark.parametrize('skew', [-30, -0.001, 0, 0.001, 30])
def test_two_proxies_that_create_one_queue_at_once_end_with_one_generation(world, skew):
    set_clock(world, 1, skew)
    first = world.queue()
    news = []
    before(first, 'PUT', RECORD, lambda: news.append(world.queue(proxy=1).create({'by': 'other'})))
    news.append(first.create({'by': 'first'}))
    assert sorted(news) == [False, True]
    records = [world.queue(proxy=proxy).record() for proxy in (0, 1)]
    assert records[0] == records[1]
    assert post(world, 'a') + post(world, 'b', proxy=1) == [None, None]
    world.tick(60)  # the slower clock has reached what the faster one wrote
    assert sorted(listed(world)) == sorted(listed(world, proxy=1)) == ['a', 'b']


@pytest.mark.parametrize('skew', [1, 5])  # by the second one, the first creation is the one that stands
def test_a_creation_that_wins_late_is_heard_of_at_once(world, skew):
    set_clock(world, 0, skew)
    first = world.queue()

    def meanwhile():
        assert world.queue(proxy=1).create()
        assert post(world, 'early', proxy=1) == [None]
    before(first, 'PUT', RECORD, meanwhile)
    assert first.create() is False
    assert post(world, 'b', proxy=1) == [None]
    assert 'b' in listed(world)


@pytest.mark.parametrize('skew', [-3600, -30, -1])
def test_what_a_slow_clock_changes_is_changed(world, skew):
    set_clock(world, 1, skew)
    world.queue().create({'colour': 'red'})
    world.tick()
    shown = world.queue(proxy=1).configure(lambda attributes: {'colour': 'blue'})
    assert shown['colour'] == 'blue'
    assert world.queue().attributes()['colour'] == 'blue'
    post(world, 'x')
    world.queue(proxy=1).purge()
    assert listed(world) == []
    world.queue(proxy=1).delete()
    for proxy in (0, 1):
        with pytest.raises(QueueNotFound):
            world.queue(proxy=proxy).stats()
    assert world.queue(proxy=1).create({'colour': 'green'}) is True
    assert world.queue().attributes()['colour'] == 'green'
    world.queue(proxy=1).delete()
    assert world.queue().account.queues().items == []


def test_many_changes_within_one_tick_of_the_clock_all_count(world):
    for number in range(5):
        assert world.queue().create({'number': 0}) is True
        world.queue().configure(lambda attributes: {'number': number})  # noqa: B023
        assert world.queue(proxy=1).attributes()['number'] == number
        world.queue(proxy=1).delete()
        with pytest.raises(QueueNotFound):
            world.queue().attributes()


def test_of_two_changes_at_once_one_stands_whole(world):
    long = ''.join(f'{number:05d}' for number in range(8000))
    world.queue().create()
    world.tick()
    first = world.queue()
    before(first, 'POST', RECORD, lambda: world.queue(proxy=1).configure(
        lambda attributes: {'by': 'other', 'text': long}))
    first.configure(lambda attributes: {'by': 'first'})
    world.tick()
    shown = world.queue().attributes()
    assert (shown['by'], shown.get('text')) in (('first', None), ('other', long))


@pytest.mark.parametrize('first, second', [(0, 1), (1, 0)])
def test_a_purge_and_a_change_of_attributes_at_once_both_stand(world, first, second):
    acts = (lambda queue: queue.configure(lambda attributes: {'colour': 'red'}),
            lambda queue: queue.purge())
    world.queue().create()
    post(world, 'old')
    queue = world.queue()
    before(queue, 'POST', RECORD, lambda: acts[second](world.queue(proxy=1)))
    acts[first](queue)
    world.tick()
    assert world.queue().attributes()['colour'] == 'red'
    assert listed(world) == listed(world, proxy=1) == []
    post(world, 'new')
    assert listed(world) == listed(world, proxy=1) == ['new']


def test_attributes_that_are_unset_fall_back_to_their_defaults(world):
    world.queue().create({'_default_message_ttl': 100, 'colour': 'red'})
    world.tick()
    shown = world.queue().configure(lambda old: {**old, '_default_message_ttl': None})
    assert (shown['_default_message_ttl'], shown['colour']) == (3600, 'red')
    assert world.queue().record().attributes == {'colour': 'red'}


@pytest.mark.parametrize('act', [
    lambda queue: queue.attributes(), lambda queue: queue.stats(), lambda queue: queue.purge(),
    lambda queue: queue.configure(lambda attributes: {}),
    lambda queue: queue.messages.post([NewMessage('x')])])
def test_what_needs_a_queue_creates_none(world, act):
    with pytest.raises(QueueNotFound):
        act(world.queue())
    assert world.swift.containers(ACCOUNT) == []


@pytest.mark.parametrize('attributes, error', [
    ({'_max_claim_count': 0}, Invalid), ({'text': 'x' * 65536}, TooLarge), ('no object', Invalid),
    ({'noise': NOISE}, TooLarge),
    ({'_dead_letter_queue': 'jobs'}, Invalid)])
def test_bad_attributes_store_nothing(world, attributes, error):
    with pytest.raises(error):
        world.queue().create(attributes)
    assert world.swift.containers(ACCOUNT) == []


def test_a_bad_change_changes_nothing(world):
    world.queue().create({'colour': 'red'})
    world.tick()
    with pytest.raises(Invalid):
        world.queue().configure(lambda attributes: {'colour': 'blue', '_max_claim_count': 0})
    assert world.queue().record().attributes == {'colour': 'red'}


# -- changes that fail ----------------------------------------------------------------------------

def test_a_deletion_marks_the_messages_before_the_record_goes(world):
    world.queue().create()
    post(world, 'x')
    world.queue().purge()
    world.tick()
    with world.swift.recording() as calls:
        world.queue().delete()
    marked = [call.container for call in calls if call.method == 'POST' and ENDED in call.headers]
    everything = [name for name in world.swift.containers(ACCOUNT)
                  if name.startswith(messages_container('jobs'))]
    assert sorted(marked) == sorted(everything) and len(everything) == 2
    assert (calls[-1].method, calls[-1].container) == ('DELETE', RECORD)
    assert [call.method for call in calls].count('DELETE') == 1


def test_a_deletion_marks_no_other_queues_messages(world):
    for name in ('jobs', 'jobs2', 'job'):
        world.queue(name).create()
    world.tick()
    with world.swift.recording() as calls:
        world.queue().delete()
    posted = [call.container for call in calls if call.method == 'POST']
    assert {parse_container(name)[1] for name in posted} == {'jobs'}


def test_a_record_that_cannot_be_deleted_is_not_reported_as_deleted(world):
    world.queue().create()
    world.tick()
    for status in (503, 409):
        world.swift.fail(('DELETE', RECORD), status, times=3 if status == 503 else 1)
        with pytest.raises(Unavailable):
            world.queue().delete()
    assert world.queue(proxy=1).stats().total == 0
    world.queue().delete()
    with pytest.raises(QueueNotFound):
        world.queue(proxy=1).stats()


def there(world):
    return [info.name for info in world.queue(proxy=1).account.queues().items] == ['jobs']


# name: whether there is a queue before, the call, how to see that it was done
ACTS = {
    'create': (False, lambda queue: queue.create({'colour': 'blue'}), there),
    'configure': (True, lambda queue: queue.configure(lambda attributes: {'colour': 'blue'}),
                  lambda world: world.queue(proxy=1).attributes()['colour'] == 'blue'),
    'purge': (True, lambda queue: queue.purge(), lambda world: listed(world, proxy=1) == []),
    'delete': (True, lambda queue: queue.delete(), lambda world: not there(world))}


@pytest.mark.parametrize('name', ACTS)
@pytest.mark.parametrize('after_work', [False, True])
def test_whichever_request_fails_the_call_says_so_or_is_done(name, after_work):
    exists, act, done = ACTS[name]
    for skip in range(20):
        world = World()
        if exists:
            world.queue().create({'colour': 'red'})
            assert post(world, 'x') == [None]
        fault = world.swift.fail(lambda call: True, 503, times=3, skip=skip, after_work=after_work)
        try:
            act(world.queue())
        except Unavailable:
            assert fault.hits
            world.swift.heal()
            world.tick()
            act(world.queue())  # the same call once more
        world.swift.heal()
        world.tick()
        assert done(world)
        if not fault.hits:
            return
    pytest.fail(f'{name} takes too many requests')


def test_a_quota_that_is_used_up_says_so(world):
    world.swift.fail(('PUT', RECORD), 413, times=10)
    with pytest.raises(QuotaExceeded):
        world.queue().create()
    assert world.queue().account.queues().items == []
