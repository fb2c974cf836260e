"""Messages that their senders name: one message for each name, whoever sends, claims and deletes at the same time."""

import io

import eventlet
import pytest
from janitors import janitor_of, swift_of
from place import Place
from sim.hub import run
from world import ACCOUNT, World

from swiftqueue.errors import Invalid, MessageClaimed, MessageNotFound, ReceiptInvalid, Unavailable
from swiftqueue.janitor import queues_of
from swiftqueue.model import NewMessage
from swiftqueue.named import Selection
from swiftqueue.names import pointer_name

HIDDEN = Selection(hidden=True)


@pytest.fixture
def world():
    world = World(min_claim_ttl=1)
    yield world
    world.swift.assert_no_leaks()


def named(world, proxy=0):
    world.tick()
    return world.queue(proxy=proxy).named


def put(world, name, body, proxy=0, **fields):
    return named(world, proxy).put(name, NewMessage(body, **fields))


def bodies(world, proxy=0, which=HIDDEN):
    return [(each.name, each.body) for each in named(world, proxy).list(which)]


def is_of(environ, method, what):
    return environ['REQUEST_METHOD'] == method and f'/\x00{what}' in environ['PATH_INFO']


class Died(BaseException):
    """The proxy is no more."""


def dying(world, method, what, *, after=False):
    """The next request of that kind is the last one of its proxy: before it is made, or right after."""
    app = world.swift.__class__.__call__
    left = [1]

    class Dying(world.swift.__class__):
        def __call__(self, environ, start_response):
            if left and is_of(environ, method, what):
                left.clear()
                if after:
                    list(app(self, environ, start_response))
                raise Died
            return app(self, environ, start_response)
    world.swift.__class__ = Dying


# -- senders ---------------------------------------------------------------------------------------

@pytest.mark.parametrize('cache', [True, False])
@pytest.mark.parametrize('senders', [2, 6])
@pytest.mark.parametrize('seed', range(4))
def test_many_send_a_new_name_at_once(cache, senders, seed):
    """Also where Swift tells several of them that they have created the pointer."""
    def main(hub):
        place = Place(hub, proxies=2, cache=cache)
        place.create()
        hub.chance.seed(seed)
        threads = []
        for number in range(senders):
            threads.append(eventlet.spawn(place.queue(proxy=number % 2).named.put, 'm', NewMessage(number)))
            place.sleep(hub.chance.random() / 100)
        new = [thread.wait() for thread in threads]
        place.sleep(2)
        assert sum(new) == 1
        listed, = place.queue().named.list(HIDDEN)
        assert listed.name == 'm'
        assert place.queue(proxy=1).named.delete('m').body == listed.body
        place.sleep(2)
        assert place.queue().named.list(HIDDEN) == []
    run(f'{cache} {senders} {seed}', main)


@pytest.mark.parametrize('method, what, after', [
    ('PUT', 'claims', False), ('PUT', 'claims', True), ('PUT', 'messages', False), ('PUT', 'messages', True)])
def test_a_sender_that_dies_half_way_has_sent_all_or_nothing(world, method, what, after):
    put(world, 'first', 1)
    dying(world, method, what, after=after)
    with pytest.raises(Died):
        put(world, 'm', 2)
    whole = [('m', 2)] if (what, after) == ('messages', True) else []
    assert bodies(world, 1) == [('first', 1), *whole]
    world.clock.advance(31)  # the gate of the dead
    put(world, 'last', 3)
    assert put(world, 'm', 4, 1) is not whole
    assert sorted(bodies(world)) == [('first', 1), ('last', 3), ('m', 4)]
    assert named(world).get('m').body == 4


@pytest.mark.parametrize('hide', [0, 50])
@pytest.mark.parametrize('method, what, after', [('PUT', 'messages', False), ('PUT', 'messages', True),
                                                 ('PUT', 'claims', False)])
def test_a_sender_that_dies_while_it_overwrites_loses_nothing(world, hide, method, what, after):
    put(world, 'm', 'old')
    claim = world.queue().single_claims.create_each(1, 100)
    assert claim
    dying(world, method, what, after=after)
    with pytest.raises(Died):
        put(world, 'm', 'new', delay=hide)
    assert len(bodies(world, 1)) == 1
    world.clock.advance(31)
    assert put(world, 'm', 'newer', 1) is False
    assert bodies(world, 1, Selection()) == [('m', 'newer')]


def test_a_slow_sender_whose_name_was_taken_over_does_not_send_twice(world):
    put(world, 'm', 'old')
    named(world).delete('m')
    pending = []
    app = type(world.swift).__call__

    class Slow(type(world.swift)):
        def __call__(self, environ, start_response):
            if is_of(environ, 'PUT', 'messages') and not pending:
                pending.append(True)
                world.clock.advance(40)
                assert put(world, 'm', 'other', 1) is True  # in between, by somebody who finds a pointer to nothing
            return app(self, environ, start_response)
    world.swift.__class__ = Slow
    assert put(world, 'm', 'slow') is False
    assert bodies(world, 1) == [('m', 'slow')]


def test_a_deleted_name_sent_again_goes_to_the_end(world):
    for name in 'abc':
        put(world, name, 1)
    named(world).delete('a')
    with pytest.raises(MessageNotFound):
        named(world, 1).delete('a')
    assert put(world, 'a', 2, 1) is True
    assert bodies(world) == [('b', 1), ('c', 1), ('a', 2)]


def test_who_is_about_to_store_a_message_is_waited_for(world):
    """It is stored between two looks of who overwrites it."""
    late = []
    app = type(world.swift).__call__

    class Racing(type(world.swift)):
        def __call__(self, environ, start_response):
            if is_of(environ, 'PUT', 'messages') and not late:
                late.append((dict(environ), environ['wsgi.input'].read()))
                late.append(put(world, 'm', 'second', 1))
                environ['wsgi.input'].seek(0)
            elif is_of(environ, 'HEAD', 'messages') and len(late) == 1:
                first, body = late[0]
                late.insert(0, list(app(self, first | {'wsgi.input': io.BytesIO(body)}, start_response)))
            return app(self, environ, start_response)
    world.queue().create()
    world.swift.__class__ = Racing
    assert put(world, 'm', 'first') is True
    assert late[-1] is False
    assert bodies(world) == [('m', 'second')]


@pytest.mark.parametrize('method, what', [('GET', 'claims'), ('PUT', 'messages')])
def test_overwriting_never_undoes_a_deletion(world, method, what):
    """The deletion comes between the overwriter's look at the message and its write."""
    put(world, 'm', 'old')
    deleted = []
    app = type(world.swift).__call__

    class Racing(type(world.swift)):
        def __call__(self, environ, start_response):
            if is_of(environ, method, what) and not deleted:
                deleted.append(None)
                deleted.append(named(world, 1).delete('m').body)
                world.tick()
            return app(self, environ, start_response)
    world.swift.__class__ = Racing
    assert put(world, 'm', 'new') is True
    assert deleted == [None, 'old']
    assert bodies(world) == [('m', 'new')]
    assert world.queue(proxy=1).claims.pop(10)[0].body == 'new'
    world.clock.advance(2)
    assert bodies(world) == []


def test_several_shards():
    world = World(default_shards=3)
    names = [f'm{number}' for number in range(30)]
    for name in names:
        put(world, name, 1)
    assert [name for name, _ in bodies(world, 1)] == names
    assert {each.name for each in named(world).delete_many(Selection())} == set(names)


def test_a_fifo_queue_takes_none(world):
    world.queue('jobs.fifo').create({'_fifo': True})
    with pytest.raises(Invalid):
        world.queue('jobs.fifo').named.put('m', NewMessage(1))


# -- claimers --------------------------------------------------------------------------------------

def test_who_claims_with_an_old_page_gets_what_was_sent_last():
    world = World(cache=False)
    put(world, 'first', 1)
    put(world, 'm', 'old')
    for body in (1, 'new'):
        claim, = world.queue(proxy=1).single_claims.create_each(1, 60)
        assert claim.messages[0].body == body
        put(world, 'm', 'new')


def test_no_receipt_for_what_was_there_before_deletes_what_is_there_now(world):
    put(world, 'm', 'old')
    single, = world.queue(proxy=1).single_claims.create_each(1, 60)
    put(world, 'm', 'new')
    assert world.queue(proxy=1).single_claims.ack_one(single.id) is False
    claim = world.queue().claims.create(10, 60)
    put(world, 'm', 'newest')
    with pytest.raises((ReceiptInvalid, MessageClaimed)):
        world.queue(proxy=1).claims.ack(claim.messages[0].id, claim.id)
    assert bodies(world, 1, Selection()) == [('m', 'newest')]


def test_overwriting_starts_the_count_of_deliveries_anew(world):
    world.queue().create({'_dead_letter_queue': 'dead', '_max_claim_count': 2})
    put(world, 'm', 1)
    for _ in range(3):
        for _ in range(2):
            claim, = world.queue().single_claims.create_each(1, 5)
            assert claim.messages[0].body == 1
            world.clock.advance(6)
        assert put(world, 'm', 1) is False
    assert [each.deliveries for each in named(world).list(HIDDEN)] == [0]


def test_a_dead_letter_has_no_name_any_more(world):
    world.queue().create({'_dead_letter_queue': 'dead', '_max_claim_count': 1})
    put(world, 'm', 1)
    named(world).change_many(Selection(), hide=5)
    world.clock.advance(6)
    assert named(world).change_many(Selection(), hide=5) == []
    dead, = world.queue('dead').named.list(HIDDEN)
    assert (dead.name, dead.body) == ('', 1)
    assert world.queue('dead').named.delete(dead.id).body == 1
    assert put(world, 'm', 2) is True


def test_what_other_doors_posted_goes_by_its_id(world):
    world.queue().create()
    world.tick()
    posted, = world.queue().messages.post([NewMessage('x')])
    assert named(world).get(posted.id).body == 'x'
    assert named(world, 1).change(posted.id, hide=20).held_until > world.clock()
    assert world.queue().claims.create(10, 60) is None
    claim = None
    named(world).change(posted.id, hide=0)
    claim = world.queue(proxy=1).claims.create(10, 60)
    assert [message.id for message in claim.messages] == [posted.id]
    named(world).change(posted.id, hide=30)  # the holder's claim ends earlier, and is his still
    world.queue(proxy=1).claims.ack(posted.id, claim.id)
    with pytest.raises(MessageNotFound):
        named(world).delete(posted.id)


def test_a_name_that_was_taken_back_by_its_holder_is_free(world):
    put(world, 'm', 1)
    claim = world.queue(proxy=1).claims.create(10, 60)
    world.queue(proxy=1).claims.ack(claim.messages[0].id, claim.id)
    with pytest.raises(MessageNotFound):
        named(world).get('m')
    assert put(world, 'm', 2) is True
    assert bodies(world) == [('m', 2)]


def test_subscribers_are_given_each_version(world):
    world.queue().create()
    world.queue('copy').create()
    world.queue().subscriptions.create('queue://copy')
    world.tick()
    put(world, 'm', 1)
    posts = [name for container, name in world.swift.live_objects('AUTH_test') if 'publish' in container]
    assert len(posts) >= 2  # the subscription, and what is to be brought to it


@pytest.mark.parametrize('verb, workers, limit', [('change_many', 16, 1), ('delete_many', 16, 10)])
def test_11_and_13_each_message_goes_to_one_of_many(verb, workers, limit):
    def main(hub):
        place = Place(hub, proxies=2)
        place.create()
        names = [f'm{number}' for number in range(100)]
        for name in names:
            place.queue().named.put(name, NewMessage(name))
        given = []

        def work(proxy):
            options = {'hide': 60} if verb == 'change_many' else {}
            while found := getattr(place.queue(proxy=proxy).named, verb)(Selection(limit=limit), **options):
                given.extend(each.name for each in found)
        threads = [eventlet.spawn(work, number % 2) for number in range(workers)]
        for thread in threads:
            thread.wait()
        assert sorted(given) == sorted(names)
    run(verb, main)


def test_17_one_message_for_many_who_wait():
    def main(hub):
        place = Place(hub, proxies=2)
        place.create()
        ended = []

        def wait(proxy):
            found = place.queue(proxy=proxy).named.change_many(Selection(limit=1, wait=5), hide=60)
            ended.append((bool(found), round(hub.now - began)))
        began = hub.now
        threads = [eventlet.spawn(wait, number % 2) for number in range(10)]
        place.sleep(1)
        place.queue().named.put('m', NewMessage(1))
        for thread in threads:
            thread.wait()
        assert sorted(ended) == [(False, 5)] * 9 + [(True, 1)]
    run('waiters', main)


@pytest.mark.parametrize('cache', [True, False])
@pytest.mark.parametrize('seed', range(6))
def test_by_chance(cache, seed):
    """Senders, claimers and deleters at a few names: what was sent last is there, unless it was taken since."""
    def main(hub):
        place = Place(hub, proxies=2, cache=cache)
        place.create()
        hub.chance.seed(seed)
        sent, taken = [], []  # (name, number, began, ended)

        def send(worker):
            for turn in range(6):
                name, number, began = hub.chance.choice('ab'), worker * 100 + turn, hub.now
                try:
                    place.queue(proxy=worker % 2).named.put(name, NewMessage(number))
                    sent.append((name, number, began, hub.now))
                except Unavailable:
                    sent.append((name, number, began, float('inf')))
                place.sleep(hub.chance.random() / 5)

        def take(worker):
            for turn in range(6):
                began = hub.now
                if turn % 2:
                    found = place.queue(proxy=worker % 2).named.delete_many(Selection(limit=1))
                else:
                    try:
                        found = [place.queue(proxy=worker % 2).named.delete(hub.chance.choice('ab'))]
                    except MessageNotFound:
                        found = []
                taken.extend((each.name, each.body, began, hub.now) for each in found)
                place.sleep(hub.chance.random() / 3)
        threads = [eventlet.spawn(work, number) for number in range(4) for work in (send, take)]
        for thread in threads:
            thread.wait()
        place.sleep(35)  # whatever held a gate
        left = place.queue().named.list(HIDDEN)
        names = [each.name for each in left]
        assert len(set(names)) == len(names)
        for name in 'ab':
            last = max((began for each, _, began, ended in sent if each == name and ended < float('inf')), default=None)
            late = [number for each, number, _, ended in sent if each == name and last is not None and ended >= last]
            there = [each.body for each in left if each.name == name]
            deleted_late = any(each == name and last is not None and ended >= last for each, _, _, ended in taken)
            assert there and there[0] in late or deleted_late or last is None, (name, there, late)
            for number in there:
                assert place.queue(proxy=1).named.delete(name).body == number
        place.sleep(2)
        assert place.queue().named.list(HIDDEN) == []
    run(f'{cache} {seed}', main)


# -- the janitor -----------------------------------------------------------------------------------

def pointers(world):
    return [name for _, name in world.swift.live_objects('AUTH_test') if name.startswith('\x00name-')]


def sweep(world):
    return janitor_of(world).sweep(queues_of(swift_of(world)), thorough=True)


def test_the_janitor_forgets_names_of_messages_that_are_gone(world):
    for name in ('kept', 'deleted', 'acked', 'expired'):
        put(world, name, 1, ttl=100 if name == 'expired' else 0)
    named(world).delete('deleted')
    held = world.queue().claims.create(2, 60)
    world.queue().claims.ack(held.messages[1].id, held.id)
    assert held.messages[1].name == 'acked'
    sweep(world)
    assert len(pointers(world)) == 4  # somebody may be about to use them
    world.clock.advance(1000)
    for _ in range(2):  # the first pass removes expired messages
        assert sweep(world).errors == 0
    assert pointers(world) == [pointer_name('kept')]
    assert [put(world, name, 2) for name in ('kept', 'deleted', 'acked', 'expired')] == [False, True, True, True]
    assert len(bodies(world)) == 4


def test_a_name_that_is_used_again_while_the_janitor_looks_stays(world):
    put(world, 'm', 1)
    named(world).delete('m')
    world.clock.advance(1000)
    app, again = type(world.swift).__call__, []

    class Racing(type(world.swift)):
        def __call__(self, environ, start_response):
            if is_of(environ, 'DELETE', 'claims') and pointer_name('m') in environ['PATH_INFO'] and not again:
                again.append(True)
                again.append(put(world, 'm', 2))
            return app(self, environ, start_response)
    world.swift.__class__ = Racing
    sweep(world)
    assert again == [True, True]
    assert named(world, 1).delete('m').body == 2


@pytest.mark.parametrize('name', ['', 'x' * 256, '\udcff'])
def test_bad_names(world, name):
    with pytest.raises(Invalid):
        put(world, name, 1)


@pytest.mark.parametrize('taken', [False, True])
def test_a_name_goes_along_into_the_next_generation(world, taken):
    """A proxy that has not heard of a purge sends to the generation before; the janitor moves the message."""
    put(world, 'warm', 1)
    queue = named(world).queue
    old = queue.record()
    world.tick()
    named(world, 1).queue.purge()
    world.tick()
    assert queue.named._put(old, 'm', NewMessage('late')) is True
    if taken:
        assert put(world, 'm', 'newer', 1) is True
    world.clock.advance(100)
    sweep(world)
    assert sorted(bodies(world)) == ([('', 'late'), ('m', 'newer')] if taken else [('m', 'late')])
    assert put(world, 'm', 'last') is False
    assert sorted(bodies(world))[-1] == ('m', 'last')


def test_two_proxies_that_create_a_queue_at_once_make_one_generation():
    def main(hub):
        place = Place(hub, proxies=2)
        threads = [eventlet.spawn(place.queue(proxy=number % 2).create) for number in range(6)]
        assert sorted(thread.wait() for thread in threads) == [False] * 5 + [True]
        assert len([name for name in place.swift.containers(ACCOUNT) if 'messages' in name]) == 1
    run('creating', main)


def test_two_proxies_create_a_queue_by_sending_at_once():
    def main(hub):
        place = Place(hub, proxies=2)
        threads = [eventlet.spawn(place.queue(proxy=number % 2).named.put, f'm{number}', NewMessage(number))
                   for number in range(6)]
        assert [thread.wait() for thread in threads] == [True] * 6
        place.sleep(2)
        assert sorted(each.body for each in place.queue().named.list(HIDDEN)) == list(range(6))
    run('creating', main)
