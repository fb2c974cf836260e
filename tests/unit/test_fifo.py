"""FIFO queues: order within groups, deduplication, and what becomes of both under faults."""

import pytest
from janitors import ModelReplicas, clean_sweep, stored
from world import World

from swiftqueue.errors import Invalid, MessageNotFound, ReceiptExpired, ReceiptInvalid, TooLarge, Unavailable
from swiftqueue.fifo import WINDOW, Fifo
from swiftqueue.ids import available_at, sequence_number
from swiftqueue.majorities import Pages, new_row
from swiftqueue.model import NewMessage
from swiftqueue.names import Envelope, message_name, messages_container
from swiftqueue.swift import Swift

SENT, MESSAGES = '\x00sent\x00', '\x00messages\x00'


@pytest.fixture
def world():
    world = World()
    create(world)
    yield world
    world.swift.assert_no_leaks()


def create(world, **attributes):
    world.queue().create({'_fifo': True, '_content_deduplication': True, **attributes})
    world.tick()


def send(world, group, *bodies, proxy=0, **fields):
    """Post them in one request; what became of each."""
    world.tick()
    return world.queue(proxy=proxy).messages.post([NewMessage(body, group=group, **fields) for body in bodies])


def post(world, group, *bodies, **options):
    posted = send(world, group, *bodies, **options)
    assert [each.error for each in posted] == [None] * len(bodies)
    return [each.id for each in posted]


def receive(world, limit=10, ttl=30, proxy=0, **options):
    world.tick()
    return world.queue(proxy=proxy).single_claims.create_each(limit, ttl, **options)


def ack(world, *claims, proxy=0):
    for claim in claims:
        world.tick()
        assert world.queue(proxy=proxy).single_claims.ack_one(claim.id)


def change(world, claim, ttl, proxy=0):
    world.tick()
    return world.queue(proxy=proxy).single_claims.renew_one(claim.id, ttl)


def bodies(claims):
    return [claim.messages[0].body for claim in claims]


def drain(world, proxy=0):
    """Everything, in the order in which it comes."""
    found = []
    while claims := receive(world, proxy=proxy):
        found += bodies(claims)
        ack(world, *claims, proxy=proxy)
    return found


# -- groups ----------------------------------------------------------------------------------------

def test_several_of_a_group_come_at_once_and_in_order(world):
    post(world, 'a', *range(5))
    assert bodies(receive(world, 3)) == [0, 1, 2]
    assert receive(world, proxy=0) == receive(world, proxy=1) == []


def test_a_receive_takes_as_few_groups_as_it_can(world):
    for group in 'abc':
        post(world, group, *(f'{group}{number}' for number in range(3)))
    assert bodies(receive(world, 4)) == ['a0', 'a1', 'a2', 'b0']
    assert bodies(receive(world, proxy=1)) == ['c0', 'c1', 'c2']
    assert receive(world) == []


def test_a_group_goes_on_when_all_of_it_is_acked(world):
    post(world, 'a', *range(3))
    first, second = receive(world, 2)
    ack(world, second)
    assert receive(world, proxy=1) == []
    ack(world, first)
    assert bodies(receive(world, proxy=1)) == [2]


def test_a_group_whose_claim_ran_out_begins_again(world):
    post(world, 'a', *range(3))
    first, _ = receive(world, 2)
    ack(world, first)
    world.tick(31)
    assert bodies(receive(world, proxy=1)) == [1, 2]


@pytest.mark.parametrize('proxy', [0, 1])
@pytest.mark.parametrize('lagging', [set(), {0}, {0, 1, 2}])
def test_what_was_given_back_waits_for_its_mates(world, proxy, lagging):
    post(world, 'a', *range(3))
    world.swift.lagging = lagging
    claims = receive(world, 2, ttl=300)
    change(world, claims[0], 0)
    for seconds in (3, 31, 3):
        world.tick(seconds)
        assert receive(world, proxy=proxy) == []
    ack(world, claims[1])
    world.tick(3)
    assert bodies(receive(world, proxy=proxy)) == [0, 2]


def test_a_mate_that_is_renewed_late_keeps_the_group(world):
    post(world, 'a', 0, 1)
    claims = receive(world)
    world.tick(29)
    change(world, claims[1], 30)
    world.tick(5)
    assert receive(world, proxy=1) == []
    world.tick(30)
    again = receive(world, proxy=1)
    assert bodies(again) == [0, 1]
    with pytest.raises(ReceiptInvalid):
        ack(world, claims[1])


def test_messages_without_envelopes_in_their_rows_are_in_line(world):
    post(world, 'a', *range(3))
    post(world, 'b', *range(3, 6))
    shards = world.queue().shards(world.queue().record())
    for replica in world.swift.container_replicas('AUTH_test', shards.messages('0' * 36)):
        for name in replica.names():
            replica._rows[name]['etag'] = 'plain'
            replica._shown.pop(name, None)
    assert bodies(receive(world, 2)) == [0, 1]
    assert bodies(receive(world, 10)) == [3, 4, 5]


def test_through_another_door_one_of_each_group_is_had(world):
    post(world, 'a', 0, 1)
    post(world, 'b', 2, 3)
    claim = world.queue().claims.create(10)
    assert [message.body for message in claim.messages] == [0, 2]
    assert world.queue(proxy=1).claims.create(10) is None
    assert [message.body for message in claim.messages] == [0, 2]
    for message in claim.messages:
        world.queue().claims.ack(message.id, claim.id)
    assert [message.body for message in world.queue(proxy=1).claims.pop(10)] == [1, 3]


def test_the_delay_is_the_queues_of_today(world):
    world.queue().configure(lambda attributes: attributes | {'_default_message_delay': 60})
    post(world, 'a', 0)
    assert receive(world) == []
    assert world.queue().stats().delayed == 1
    world.tick(2)
    world.queue().configure(lambda attributes: attributes | {'_default_message_delay': 0})
    world.tick(2)
    assert bodies(receive(world)) == [0]


def test_what_expires_in_line_lets_the_next_one_through(world):
    post(world, 'a', 0, ttl=60)
    post(world, 'a', 1, ttl=600)
    world.tick(62)
    assert bodies(receive(world)) == [1]


def test_what_expires_while_it_is_held_keeps_its_group(world):
    post(world, 'a', 0, ttl=60)
    post(world, 'a', 1, ttl=600)
    world.swift.lagging = {0, 1, 2}
    held, = receive(world, 1, ttl=300)
    world.tick(100)
    assert receive(world, proxy=1) == []
    ack(world, held)
    world.tick(3)
    assert bodies(receive(world, proxy=1)) == [1]


def test_dead_letters_leave_the_line_in_order(world):
    world.queue('dead').create({'_fifo': True})
    world.queue().configure(lambda attributes: attributes | {'_dead_letter_queue': 'dead', '_max_claim_count': 1})
    world.tick(3)
    post(world, 'a', *range(3))
    receive(world, 2)
    world.tick(31)
    assert bodies(receive(world, proxy=1)) == [2]
    world.tick()
    dead = world.queue('dead').single_claims.create_each(10, 30)
    assert bodies(dead) == [0, 1]
    assert {claim.messages[0].group for claim in dead} == {'a'}


# -- receipts and attempts -------------------------------------------------------------------------

def test_a_receipt_is_of_no_use_when_its_time_is_over(world):
    post(world, 'a', 0)
    held, = receive(world)
    world.tick(31)
    for act in (lambda: world.queue().single_claims.ack_one(held.id), lambda: ack(world, held, proxy=1)):
        with pytest.raises(ReceiptExpired):
            act()
    with pytest.raises(MessageNotFound):
        change(world, held, 30)
    again, = receive(world, proxy=1)
    ack(world, again)
    ack(world, held, again)  # what is gone is gone


def test_an_attempt_that_is_repeated_gets_the_same_again(world):
    post(world, 'a', *range(3))
    first = receive(world, 2, attempt='x')
    assert [claim.id for claim in receive(world, 2, attempt='x', proxy=1)] == [claim.id for claim in first]
    assert receive(world, 2, attempt='y') == []
    world.tick(20)
    assert len(receive(world, 2, attempt='x')) == 2
    world.tick(20)  # from the repetition on, not from the first time
    assert receive(world, 2, proxy=1) == []
    ack(world, first[0])
    assert receive(world, 2, attempt='x') == []


# -- posts -----------------------------------------------------------------------------------------

def test_what_a_post_must_have(world):
    for message in (NewMessage('x'), NewMessage('x', group='g', delay=1)):
        with pytest.raises(Invalid):
            world.queue().messages.post([NewMessage('y', group='g'), message])
    world.queue('ids').create({'_fifo': True})
    with pytest.raises(Invalid):
        world.queue('ids').messages.post([NewMessage('x', group='g')])
    assert world.queue().stats().total == 0


def test_a_queue_stays_what_it_is(world):
    world.queue('plain').create()
    for queue, value in (('plain', True), ('jobs', False), ('jobs', None)):
        with pytest.raises(Invalid):
            world.queue(queue).configure(lambda attributes: attributes | {'_fifo': value})  # noqa: B023
    with pytest.raises(Invalid):
        world.queue().configure(lambda attributes: attributes | {'_shards': 2})
    with pytest.raises(Invalid):
        world.queue('wide').create({'_fifo': True, '_shards': 2})
    assert World(default_shards=4).queue('one').create({'_fifo': True})


def test_a_process_that_cannot_ask_container_servers_has_no_fifo_queues(world):
    world.engines[0].majorities = None
    with pytest.raises(Invalid):
        world.queue('other').create({'_fifo': True})
    assert [type(each.error) for each in send(world, 'a', 1)] == [Unavailable]
    with pytest.raises(Unavailable):
        receive(world)


@pytest.mark.parametrize('skew', [-3600, -3, 3, 3600])
def test_order_and_numbers_do_not_depend_on_clocks(world, skew):
    world.engines[1].ids.clock = world.engines[1].clock = lambda: world.clock() + skew
    ids = [post(world, 'a', number, proxy=number % 2, ttl=10000)[0] for number in range(8)]
    assert ids == sorted(ids)
    numbers = [sequence_number(each) for each in ids]
    assert numbers == sorted(set(numbers)) and {len(number) for number in numbers} == {20}
    assert drain(world) == list(range(8))


@pytest.mark.parametrize('skew', [-30, 30])
def test_order_does_not_depend_on_memcached(skew):
    world = World(cache=False)
    create(world)
    world.engines[1].ids.clock = lambda: world.clock() + skew
    for number in range(8):
        post(world, 'a', number, proxy=number % 2)
    assert drain(world, proxy=1) == list(range(8))


def test_numbers_rise_although_all_is_gone(world):
    world.engines[1].ids.clock = lambda: world.clock() + 5
    first, = post(world, 'a', 0, proxy=1)
    assert drain(world) == [0]
    second, = post(world, 'a', 1)
    assert sequence_number(first) < sequence_number(second)


@pytest.mark.parametrize('lagging', [{0}, {0, 1}, {0, 1, 2}])
def test_order_does_not_depend_on_rows_that_come_late(world, lagging):
    world.swift.lagging = lagging  # but those that we write ourselves
    post(world, 'a', *range(3))
    post(world, 'a', 3, proxy=1)
    assert bodies(receive(world, proxy=1)) == [0, 1, 2, 3]


@pytest.mark.parametrize('silent', range(3))
def test_order_with_a_container_server_that_missed_something(world, silent):
    world.swift.down_containers = {silent}
    post(world, 'a', 0)
    world.swift.down_containers = set()
    post(world, 'a', 1)
    for other in range(3):
        world.swift.down_containers = {other}
        while not (claims := receive(world)):  # the one that missed it may be asked first
            world.tick(3)
        assert bodies(claims) == [0, 1]
        for claim in claims:
            change(world, claim, 0)
        world.tick(3)


def test_a_page_whose_replicas_were_asked_at_different_times(world):
    """The first one was asked before both messages were posted; the second one has missed the first message."""
    majority = world.engines[1].majorities
    page, posted = majority.listing, []

    def slow(*args, **bounds):
        world.swift.down_containers = {1, 2}
        early = page(*args, **bounds)
        world.swift.down_containers = {1}
        if not posted:
            posted.extend(post(world, 'a', 'first'))
        world.swift.down_containers = set()
        if len(posted) < 2:
            posted.extend(post(world, 'a', 'second'))
        world.swift.down_containers = {0, 2}
        late = page(*args, **bounds)
        world.swift.down_containers = set()
        return Pages(early.found + late.found, 0, 3)
    majority.listing = slow
    world.swift.lagging = {1}
    assert receive(world, proxy=1) == []
    assert len(posted) == 2
    majority.listing = page
    world.tick(3)
    found = []
    while not found:
        world.tick(3)
        found = bodies(receive(world, proxy=1))
    assert found == ['first', 'second']


@pytest.mark.parametrize('replicas', [[0], [0, 1, 2]])
def test_a_post_under_way_is_not_taken_for_gone_once_and_for_all(world, replicas):
    """Rows of a slow PUT are there before it is answered, and so before the message is there for everybody."""
    queue = world.queue()
    record, message_id = queue.record(), world.engines[0].ids.after('')
    container = queue.shards(record).messages(message_id)
    envelope = Envelope('slow', world.clock(), 600, 0, world.clock() + 600, group='a', attributes={'x': 'y' * 9000})
    row, = envelope.row('etag', 4096).values()
    for replica in replicas:
        world.swift.container_replicas('AUTH_test', container)[replica].merge_row(
            new_row(message_name(message_id), row, 1, world.clock()))
    post(world, 'a', 'quick')
    found = []
    for _ in range(6):  # some listings show the row, and some do not
        world.tick(3)
        found += bodies(receive(world, 1))
    assert found == ['quick']
    assert queue.messages.store(record, message_id, envelope, envelope.created_at)
    post(world, 'a', 'later')
    world.tick(31)
    assert bodies(receive(world)) == ['slow', 'quick', 'later']


def test_without_a_majority_of_container_servers_nothing_goes(world):
    post(world, 'a', 0)
    world.tick(3)
    world.swift.down_containers = {0, 1}
    with pytest.raises(Unavailable):
        receive(world)
    assert [type(each.error) for each in send(world, 'a', 1)] == [Unavailable]


def test_a_batch_ends_for_a_group_at_its_first_failure(world):
    world.swift.fail(('PUT', MESSAGES), 503, times=3, skip=1)
    posted = send(world, 'a', 0, 1, 2)
    assert [type(each.error) for each in posted] == [type(None), Unavailable, Unavailable]
    assert drain(world) == [0]
    post(world, 'a', 1, 2)
    assert drain(world) == [1, 2]


def test_what_can_never_be_posted_keeps_nothing_waiting(world):
    world.tick()
    posted = world.queue().messages.post([NewMessage(number, group='a', size=size)
                                          for number, size in enumerate((1, 2 ** 30, 1))])
    assert [type(each.error) for each in posted] == [type(None), TooLarge, type(None)]
    assert drain(world) == [0, 2]


def test_who_posts_waits_for_the_one_before(world):
    fifo = Fifo(world.queue())
    record = world.queue().record()
    with fifo.turn(record, 'a'):
        began = world.clock()
        post(world, 'b', 0, proxy=1)
        assert world.clock() - began < 1
        post(world, 'a', 0, proxy=1)  # he seems to be dead
        assert world.clock() - began >= 10
    post(world, 'a', 1, proxy=1)


# -- deduplication ---------------------------------------------------------------------------------

@pytest.mark.parametrize('deleted', [False, True])
@pytest.mark.parametrize('wiped', [False, True])
def test_a_duplicate_is_the_message_that_it_repeats(world, deleted, wiped):
    first, = post(world, 'a', 'x')
    if deleted:
        assert drain(world) == ['x']
    if wiped:
        world.cache.wipe()
    world.tick(WINDOW - 5)
    assert post(world, 'a', 'x', proxy=1) == post(world, 'b', 'x') == [first]
    assert drain(world) == ([] if deleted else ['x'])
    world.tick(6)
    again, = post(world, 'a', 'x')
    assert again > first
    assert drain(world) == ['x']


def test_what_makes_a_duplicate(world):
    first, = post(world, 'a', 'x')
    other, = post(world, 'a', 'x', deduplication='1')
    assert first != other
    assert post(world, 'b', 'y', deduplication='1') == [other]
    assert post(world, 'a', 'x', 'x', 'z', 'x')[:2] == [first, first]
    assert drain(world) == ['x', 'x', 'z']


def test_where_the_group_is_the_scope(world):
    world.queue('groups').create({'_fifo': True, '_deduplication_scope': 'group'})
    posted = [world.queue('groups').messages.post([NewMessage('x', group=group, deduplication='1')])[0].id
              for group in ('a', 'b', 'a')]
    assert posted[0] == posted[2] != posted[1]


def test_a_purge_forgets(world):
    first, = post(world, 'a', 'x')
    world.tick()
    world.queue().purge()
    again, = post(world, 'a', 'x')
    assert sequence_number(first) < sequence_number(again)
    assert drain(world) == ['x']


def test_who_died_before_the_message_was_stored_is_replaced(world):
    world.swift.fail(('PUT', MESSAGES), 503, times=3)
    assert send(world, 'a', 'x')[0].error
    post(world, 'a', 'y')
    held, = receive(world)
    world.tick(40)
    post(world, 'a', 'x', proxy=1)
    assert post(world, 'a', 'x') == post(world, 'a', 'x', proxy=1)
    assert bodies(receive(world)) == ['y', 'x']  # not before what was received meanwhile


def test_who_died_after_the_message_was_stored_is_repeated(world):
    world.swift.down_containers = {0, 1}
    assert send(world, 'a', 'x')[0].error
    world.swift.down_containers = set()
    post(world, 'a', 'x')
    assert drain(world) == ['x']


@pytest.mark.parametrize('step', range(8))
def test_who_dies_while_he_takes_the_place_of_one_who_died(world, step, monkeypatch):
    """However far the second one came, the third one's answer is true: the message is there."""
    world.swift.lagging = {0, 1, 2}
    with monkeypatch.context() as patch:
        patch.setattr(world.engines[0].majorities, 'merge', lambda *args: False)
        assert send(world, 'a', 'x')[0].error  # stored, and listed nowhere
    world.tick(40)  # the keys of the first one are forgotten
    seen = []

    def die(call):
        seen.append(call.method)
        return len(seen) == step + 1
    world.swift.fail(die, KeyboardInterrupt())
    try:
        send(world, 'a', 'x')
    except KeyboardInterrupt:
        pass
    world.swift.heal()
    world.tick(40)
    post(world, 'a', 'x', proxy=1)
    found = drain(world)
    world.tick(3)
    assert {*found, *drain(world)} == {'x'}


def test_who_is_told_of_a_failure_may_have_had_the_message_stored(world):
    world.swift.fail(('PUT', MESSAGES), 503, times=3, after_work=True)
    assert send(world, 'a', 'x')[0].error
    first, = receive(world)
    assert post(world, 'a', 'x') == [first.messages[0].id]
    ack(world, first)
    assert post(world, 'a', 'x', proxy=1) == [first.messages[0].id]
    assert drain(world) == []


def test_a_duplicate_of_what_is_being_deleted(world, monkeypatch):
    """A GET may find no body then, for a minority has the tombstone, and a HEAD may show the object still."""
    first, = post(world, 'a', 'x')
    container, get = world.queue().shards(world.queue().record()).messages(first), Swift.get_newest
    with monkeypatch.context() as patch:
        patch.setattr(Swift, 'get_newest', lambda self, where, name: None if where == container else get(
            self, where, name))
        assert post(world, 'a', 'x') == [first]
    assert drain(world) == ['x']


def test_a_registration_that_fails_can_be_repeated(world):
    world.swift.fail(('PUT', SENT), 503)
    assert send(world, 'a', 'x')[0].error
    post(world, 'a', 'x')
    assert drain(world) == ['x']


def test_a_registration_that_is_under_way_is_waited_for(world):
    """The one who is at it is at the gate already; here he died there."""
    container = next(name for name in world.swift.containers('AUTH_test') if name.startswith(SENT))
    posted = []

    def die(call):
        if call.method == 'PUT' and call.container == container and not posted:
            posted.append(call)
            return True
        return False
    world.swift.fail(die, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        send(world, 'a', 'x')
    world.cache.lose(lambda key: 'last' in key)
    post(world, 'a', 'x', proxy=1)
    assert drain(world) == ['x']


def test_without_memcached_a_duplicate_is_found_too():
    world = World(cache=False)
    create(world)
    assert post(world, 'a', 'x') == post(world, 'a', 'x', proxy=1)
    assert drain(world) == ['x']


# -- what is left behind ---------------------------------------------------------------------------

def test_the_janitor_forgets_deduplication_ids_when_they_have_expired(world):
    post(world, 'a', *range(3))
    drain(world)
    world.tick(100)
    clean_sweep(world)
    assert len(stored(world, 'sent')) == 3
    world.tick(WINDOW)
    clean_sweep(world)
    assert stored(world, 'sent') == []
    container, = (name for name in world.swift.containers('AUTH_test') if name.startswith(SENT))
    assert world.swift.rows('AUTH_test', container) == []


@pytest.mark.parametrize('end', ['purge', 'delete'])
def test_nothing_is_left_of_a_generation_that_is_over(world, end):
    post(world, 'a', *range(3))
    old = [name for name in world.swift.containers('AUTH_test') if '\x00sent\x00' in name]
    world.tick()
    getattr(world.queue(), end)()
    for _ in range(2):
        world.tick(100000)
        clean_sweep(world)
    assert not set(old) & set(world.swift.containers('AUTH_test'))
    if end == 'delete':
        assert world.swift.containers('AUTH_test') == []


def test_a_container_of_a_fifo_queue_that_is_missing_is_made_again(world):
    """A purge and a growth cannot meet here, but a container may have got lost."""
    record = world.queue().record()
    container = next(name for name in world.swift.containers('AUTH_test') if name.startswith(SENT))
    world.queue().swift.delete_container(container)
    world.tick(70)
    post(world, 'a', 0)
    assert container in world.swift.containers('AUTH_test')
    assert messages_container('jobs', record.generation) in world.swift.containers('AUTH_test')
    assert all(ModelReplicas(world.swift).headers('AUTH_test', container))


def test_ids_and_their_numbers():
    world = World()
    ids = world.engines[0].ids
    ahead = ids.after('')
    assert abs(available_at(ahead) - world.clock()) < 0.001
    for _ in range(50):
        following = ids.after(ahead)
        assert following > ahead and sequence_number(following) > sequence_number(ahead)
        ahead = following
