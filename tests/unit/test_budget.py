"""What each operation may cost in Swift requests: section "What each step costs" of the architecture page."""

from itertools import cycle

import eventlet
import pytest
from world import World

from swiftqueue.errors import Unavailable
from swiftqueue.locality import Claimer
from swiftqueue.model import NewMessage, Place
from swiftqueue.named import Selection
from swiftqueue.names import ClaimState, Envelope, claim_name, message_name


@pytest.fixture
def world():
    world = World()
    world.queue().create()
    world.queue().record()
    world.tick()
    return world


@pytest.fixture
def spent(world):
    """A function: the methods that the calls inside it cost, as 'GET x2 PUT'."""
    def measure(act):
        with world.swift.recording() as calls:
            result = act()
        methods = [call.method for call in calls]
        return result, {method: methods.count(method) for method in sorted(set(methods))}
    return measure


def post(world, count):
    return world.queue().messages.post([NewMessage('x' * 256) for _ in range(count)])


def test_post(world, spent):
    _, one = spent(lambda: post(world, 1))
    _, ten = spent(lambda: post(world, 10))
    assert (one, ten) == ({'PUT': 1}, {'PUT': 10})


def test_list(world, spent):
    post(world, 20)
    _, cost = spent(lambda: world.queue().messages.list(limit=20))
    assert cost == {'GET': 2}
    _, cost = spent(lambda: world.queue().messages.list(limit=20, include_claimed=True))
    assert cost == {'GET': 1}


def test_claim(world, spent):
    post(world, 20)
    _, cold = spent(lambda: world.queue().claims.create(10))
    assert cold == {'GET': 2, 'PUT': 10}
    _, warm = spent(lambda: world.queue().claims.create(10))
    assert warm == {'PUT': 10}


def test_claim_of_near_messages(world, spent):
    """No dearer: the policy of a container is at hand where it was just listed, which the model does not do."""
    post(world, 20)
    zones = cycle((1, 2))
    world.engines[0].locate = lambda *path: [(1, next(zones))]
    infocache = {}

    def claim():
        queue = world.queue(**{'swift.infocache': infocache})
        queue.account.claimer = Claimer(Place(1, 2))
        assert queue.claims.create(5)
        return queue.account.claimer
    queue = world.queue(**{'swift.infocache': infocache})
    queue.swift.policy(queue.shards(queue.record()).containers()[0])
    claimer, cold = spent(claim)
    assert cold == {'GET': 2, 'PUT': 5} and claimer.local
    _, warm = spent(claim)
    assert warm == {'PUT': 5}


IN_FRONT = 700  # of no use to a claimer


def put_rows(world, messages, claimed):
    """That many messages by their rows alone, each with a claim that runs or none."""
    queue, now = world.queue(), world.clock()
    record, state = queue.record(), ClaimState('core', 3600, 0, now, now + 3600, now + 3660)
    for _ in range(messages):
        message_id = world.engines[0].ids.new()
        envelope = Envelope('x', now, 60, 0, now + 60, 'me')
        queue.swift.store(queue.shards(record).messages(message_id), message_name(message_id), b'',
                          envelope.row('etag', 4096), now)
        if claimed:
            queue.swift.store(queue.shards(record).claims(message_id), claim_name(message_id, 1), b'',
                              state.headers('etag'), now)


@pytest.mark.parametrize('claimed', [True, False], ids=['in flight', 'expired'])
def test_a_long_head_of_the_queue_costs_the_first_claim_alone(world, spent, claimed):
    put_rows(world, IN_FRONT, claimed)
    world.tick(61)
    posted = {message.id for message in post(world, 4)}
    found = []

    def claim():
        found.extend(message.id for message in world.queue().claims.create(1).messages)

    def look_back():
        for _ in range(3):
            eventlet.sleep()
    world.queue().record()
    # Of messages, and of claims, listings of 50, 200, 400 and what is left.
    assert spent(claim)[1] == {'GET': 2 * 4, 'PUT': 1}
    assert spent(look_back)[1] == {}
    for beside in ({'GET': 2}, {}, {'GET': 2}):  # every five seconds, when the claim is answered
        world.tick(2.5)
        assert spent(claim)[1] == {'GET': 2, 'HEAD': 1, 'PUT': 1}  # as from an empty queue
        assert spent(look_back)[1] == beside
    assert set(found) == posted


def test_ack(world, spent):
    post(world, 2)
    claim = world.queue().claims.create(2)
    world.tick()
    for message in claim.messages:
        _, cost = spent(lambda: world.queue().claims.ack(message.id, claim.id))  # noqa: B023
        assert cost == {'DELETE': 1, 'HEAD': 1}


def test_delete_without_a_claim(world, spent):
    posted = post(world, 3)
    world.tick()
    _, cost = spent(lambda: world.queue().messages.delete_unclaimed(posted[0].id))
    assert cost == {'DELETE': 1, 'PUT': 1}
    _, cost = spent(lambda: world.queue().messages.delete([one.id for one in posted[1:]]))
    assert cost == {'DELETE': 2, 'PUT': 2}
    claimed, = post(world, 1)
    world.queue().claims.release(world.queue().claims.create(1).id)
    world.tick()
    _, cost = spent(lambda: world.queue().messages.delete_unclaimed(claimed.id))
    # There is no second claim, not even in an account that answers; the first one is over.
    assert cost == {'DELETE': 1, 'GET': 1, 'HEAD': 3, 'PUT': 1}


def test_claim_again(world, spent):
    post(world, 1)
    released = world.queue().claims.create(1)
    world.queue().claims.release(released.id)
    world.tick(5)
    world.queue().record()
    _, cost = spent(lambda: world.queue().claims.create(1, ttl=60))
    assert cost == {'GET': 3, 'PUT': 1}  # a page and the message
    world.tick(70)
    world.queue().record()
    _, cost = spent(lambda: world.queue().claims.create(1, ttl=60))
    # The claim that ran out and the one before are looked at twice, and it is ended.
    assert cost == {'GET': 3, 'HEAD': 4, 'PUT': 2}


def test_renew_and_release(world, spent):
    post(world, 10)
    claim = world.queue().claims.create(10)
    world.tick()
    _, cost = spent(lambda: world.queue().claims.renew(claim.id))
    assert cost == {'GET': 1, 'PUT': 10}
    world.tick()
    _, cost = spent(lambda: world.queue().claims.release(claim.id))
    assert cost == {'GET': 1, 'PUT': 10}


def test_single_claims(world, spent):
    post(world, 10)
    claims, cost = spent(lambda: world.queue().single_claims.create_each(10, 30))
    assert (len(claims), cost) == (10, {'GET': 2, 'PUT': 10})
    world.tick()
    _, cost = spent(lambda: world.queue().single_claims.ack_one(claims[0].id))
    assert cost == {'DELETE': 1, 'HEAD': 1}
    _, cost = spent(lambda: world.queue().single_claims.renew_one(claims[1].id, 60))
    assert cost == {'GET': 2, 'HEAD': 1, 'PUT': 1}  # the message may be gone
    world.tick(31)
    world.queue().record()
    _, cost = spent(lambda: world.queue().single_claims.ack_one(claims[2].id))
    # The claim is held again; there is no later one, not even in an account that answers.
    assert cost == {'DELETE': 1, 'HEAD': 4, 'PUT': 1}


def test_an_amazon_client_that_waits_costs_no_more_than_any_other(world, spent):
    def poll():
        assert world.queue().single_claims.create_each(10, 30, wait=20) == []
    _, cost = spent(poll)
    assert cost['GET'] <= 11 and cost.get('HEAD', 0) <= 2, cost


def test_pop(world, spent):
    post(world, 5)
    world.tick()
    _, cost = spent(lambda: world.queue().claims.pop(5))
    assert cost == {'DELETE': 5, 'GET': 2, 'PUT': 5}


def test_polling_an_empty_queue_costs_one_listing_in_two_seconds_however_many_poll(world, spent):
    def poll():
        for _ in range(19):
            for _ in range(50):
                assert world.queue().claims.create(1) is None
            world.tick(0.1)
    _, cost = spent(poll)
    assert cost == {'GET': 1, 'HEAD': 1}  # the queue's record, as before any other request


def test_stats(world, spent):
    post(world, 100)
    _, cost = spent(lambda: world.queue().stats())
    assert cost == {'GET': 2}


def test_purge_and_delete_do_not_grow_with_the_queue(world, spent):
    post(world, 100)
    _, full = spent(lambda: world.queue().purge())
    world.tick()
    _, empty = spent(lambda: world.queue().purge())
    assert full == empty == {'HEAD': 1, 'POST': 1, 'PUT': 2}
    world.tick()
    _, delete = spent(lambda: world.queue().delete())
    assert delete == {'DELETE': 1, 'GET': 1, 'HEAD': 1, 'POST': 3}  # one POST for each generation not yet cleaned


def test_a_failed_claim_costs_no_more_than_its_rounds(world, spent):
    post(world, 5)
    world.swift.fail(('PUT', '\x00claims\x00'), 503, times=1000)

    def attempt():
        with pytest.raises(Unavailable):
            world.queue().claims.create(5)
    _, cost = spent(attempt)
    # Each looks whether its PUT landed after all, and, as it finds nothing, whether the account answers.
    assert cost == {'GET': 2, 'HEAD': 10, 'PUT': 5}


def test_the_first_figures(world, spent, capsys):
    """The whole life of messages, as a table for whoever runs the tests."""
    claims = []
    figures = [(name, cost(spent(act)[1])) for name, act in (
        ('post 1', lambda: post(world, 1)),
        ('post 10', lambda: post(world, 10)),
        ('list 20', lambda: world.queue().messages.list(limit=20)),
        ('claim 10', lambda: claims.append(world.queue().claims.create(10))),
        ('ack', lambda: world.tick() or world.queue().claims.ack(claims[0].messages[0].id, claims[0].id)),
        ('claim the last one', lambda: world.queue().claims.create(1)),
        ('empty poll', lambda: world.queue().claims.create(1)))]
    with capsys.disabled():
        print('\n\nSwift requests')
        for name, requests in figures:
            print(f'  {name:20} {requests}')
    assert dict(figures) == {
        'post 1': '1 PUT', 'post 10': '10 PUT', 'list 20': '2 GET',
        'claim 10': '2 GET 10 PUT', 'ack': '1 DELETE 1 HEAD',
        'claim the last one': '1 PUT', 'empty poll': 'none'}


# -- a FIFO queue ----------------------------------------------------------------------------------

@pytest.fixture
def fifo():
    world = World()
    world.queue().create({'_fifo': True})
    world.queue().record()
    world.tick()
    return world


def asked_by(world, act):
    """What was asked of Swift, and of container servers directly."""
    before = world.engines[0].majorities.asked.copy()
    cost = spent_by(world, act)
    return cost, dict(world.engines[0].majorities.asked - before)


def test_what_a_fifo_queue_costs(fifo):
    world = fifo
    numbers = iter(range(1000))
    claims = []

    def send(*groups):
        def post():
            posted = world.queue().messages.post([
                NewMessage('x' * 256, group=group, deduplication=str(next(numbers))) for group in groups])
            assert not [each for each in posted if each.error]
        return post

    def receive(limit):
        return lambda: claims.extend(world.queue().single_claims.create_each(limit, 30))
    send('a')()  # Swift remembers what it was told of the containers
    # The deduplication id and the message; the last message's id before it, its row after it.
    assert asked_by(world, send('a')) == ({'PUT': 2}, {'listing': 1, 'merge': 1})
    assert asked_by(world, send(*'aaaaabbbbb')) == ({'PUT': 20}, {'listing': 10, 'merge': 10})
    world.tick(2)
    assert asked_by(world, receive(10)) == ({'GET': 1, 'HEAD': 1, 'PUT': 10}, {'listing': 1})
    world.tick()
    # Nobody waits for late rows, and the group goes on.
    assert asked_by(world, lambda: world.queue().single_claims.ack_one(claims[0].id)) == (
        {'DELETE': 1, 'HEAD': 1}, {'merge': 1})

    def duplicate():
        nonlocal numbers
        numbers = iter([0])  # the one that is gone
        send('a')()
    # One that is gone: what it stands for, and whether that was stored.
    assert asked_by(world, duplicate) == ({'GET': 2, 'HEAD': 3}, {'listing': 1})


def test_polling_a_fifo_queue_whose_groups_are_all_in_flight(fifo):
    for number in range(20):
        fifo.queue().messages.post([NewMessage('x', group=str(number % 4), deduplication=str(number))])
    assert len(fifo.queue().single_claims.create_each(20, 300)) == 20

    def poll():
        for _ in range(19):
            for _ in range(50):
                assert fifo.queue().single_claims.create_each(10, 30, wait=0) == []
            fifo.tick(0.1)
    fifo.tick(2)
    cost, direct = asked_by(fifo, poll)
    assert cost['GET'] + direct['listing'] <= 2 and cost.get('HEAD', 0) <= 1


# -- four shards -----------------------------------------------------------------------------------

@pytest.fixture
def sharded():
    world = World()
    world.queue().create({'_shards': 4})
    world.queue().record()
    world.tick()
    return world


def spent_by(world, act):
    with world.swift.recording() as calls:
        act()
    methods = [call.method for call in calls]
    return {method: methods.count(method) for method in sorted(set(methods))}


def test_what_four_shards_cost(sharded):
    world = sharded
    queue = world.queue
    claims = []
    assert spent_by(world, lambda: post(world, 20)) == {'PUT': 20}
    assert spent_by(world, lambda: queue().messages.list(limit=20)) == {'GET': 8}
    assert spent_by(world, lambda: queue().messages.list(limit=20, include_claimed=True)) == {'GET': 4}
    assert spent_by(world, lambda: queue().stats()) == {'GET': 8}
    assert spent_by(world, lambda: claims.append(queue().claims.create(10))) == {'GET': 8, 'PUT': 10}
    assert spent_by(world, lambda: claims.append(queue().claims.create(5))) == {'PUT': 5}
    world.tick()
    held, = claims[:1]
    assert spent_by(world, lambda: queue().claims.ack(held.messages[0].id, held.id)) == {'DELETE': 1, 'HEAD': 1}
    assert spent_by(world, lambda: queue().claims.renew(held.id)) == {'GET': 1, 'PUT': 10}
    assert spent_by(world, lambda: queue().messages.get([held.messages[1].id])) == {'GET': 2}
    assert spent_by(world, lambda: queue().messages.delete([claims[1].messages[0].id])) == {'DELETE': 1, 'PUT': 1}
    assert spent_by(world, lambda: queue().purge()) == {'HEAD': 1, 'POST': 1, 'PUT': 8}
    world.tick()
    assert spent_by(world, lambda: queue().delete()) == {'DELETE': 1, 'GET': 1, 'HEAD': 1, 'POST': 8}


def test_polling_an_empty_queue_of_four_shards(sharded):
    def poll():
        for _ in range(19):
            for _ in range(50):
                assert sharded.queue().claims.create(1) is None
            sharded.tick(0.1)
    assert spent_by(sharded, poll) == {'GET': 4, 'HEAD': 1}


def test_growth_costs_the_new_containers(world):
    def grow(shards):
        return lambda: world.queue().configure(lambda attributes: attributes | {'_shards': shards})
    assert spent_by(world, grow(4)) == {'HEAD': 1, 'POST': 1, 'PUT': 6}
    world.tick()
    assert spent_by(world, grow(4)) == {'HEAD': 1, 'POST': 1}
    assert spent_by(world, lambda: world.queue('new').create({'_shards': 4})) == {'HEAD': 2, 'PUT': 9}


def cost(methods):
    return ' '.join(f'{count} {method}' for method, count in methods.items()) or 'none'


def test_a_message_with_a_name(world, spent):
    """As on the page of Burrow."""
    def put(**fields):
        return world.queue().named.put('m', NewMessage('x' * 256, **fields))
    _, cost = spent(put)
    assert cost == {'PUT': 2}
    world.tick()
    _, cost = spent(put)
    # The second HEAD looks for a claim that no row tells of, and the third asks whether the account answers.
    assert cost == {'GET': 2, 'HEAD': 3, 'PUT': 1}
    world.tick()
    _, cost = spent(lambda: world.queue().named.change_many(Selection(limit=1), hide=60))
    assert cost == {'GET': 3, 'PUT': 1}
    world.tick()
    _, cost = spent(lambda: world.queue().named.change('m', hide=60))
    assert cost == {'GET': 3, 'HEAD': 4, 'PUT': 1}
    world.tick()
    _, cost = spent(lambda: world.queue().named.delete('m'))
    assert cost == {'DELETE': 1, 'GET': 2, 'HEAD': 1}
