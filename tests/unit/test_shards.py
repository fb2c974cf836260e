"""Queues of several shards: pages out of all of them, growth, and what moves between queues."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from janitors import meanwhile
from world import ACCOUNT, World

from swiftqueue.errors import Invalid, Unavailable
from swiftqueue.ids import Ids, in_shard, shard_of
from swiftqueue.model import NewMessage
from swiftqueue.names import (
    claims_container,
    messages_container,
    parse_container,
    parse_message,
    queue_container,
)
from swiftqueue.queues import RECORD_SECONDS
from swiftqueue.shards import Shards

RECORD = queue_container('jobs')


# -- one page out of all shards --------------------------------------------------------------------

class Listings:
    """Containers that answer listings, and remember what they were asked for."""

    def __init__(self, shards):
        self.names = {messages_container('jobs', 'g', number): names for number, names in enumerate(shards)}
        self.asked = []
        self.rows = 0

    def listing(self, container, *, marker='', end_marker='', limit):
        self.asked.append((container, limit))
        found = [name for name in self.names[container] if marker < name and (not end_marker or name < end_marker)]
        self.rows += len(found[:limit])
        return [{'name': name} for name in found[:limit]]

    def at_most(self, function, items):
        return [function(item) for item in items]


def shards_of(lists):
    return Shards(Listings(lists), 'jobs', 'g', range(len(lists)))


def names_of(rows):
    return [row['name'] for row in rows]


@st.composite
def contents(draw):
    """What each shard holds: spread evenly, by chance, or one shard's after the other's."""
    shards = draw(st.integers(1, 8))
    how = draw(st.sampled_from(('even', 'chance', 'blocks')))
    names = [f'{number:04d}' for number in draw(st.lists(st.integers(0, 300), unique=True).map(sorted))]
    lists = [[] for _ in range(shards)]
    for place, name in enumerate(names):
        number = {'even': lambda place: place % shards, 'blocks': lambda place: place * shards // len(names),
                  'chance': lambda place: draw(st.integers(0, shards - 1))}[how](place)
        lists[number].append(name)
    return lists


@settings(deadline=None, max_examples=400)
@given(contents(), st.integers(1, 60), st.integers(0, 300), st.none() | st.integers(0, 301))
def test_a_page_is_the_beginning_of_what_there_is(lists, limit, marker, end):
    marker, end_marker = f'{marker:04d}', '' if end is None else f'{end:04d}'
    wanted = [name for name in sorted(sum(lists, [])) if name > marker and (not end_marker or name < end_marker)]
    shards = shards_of(lists)
    rows, complete = shards.page(limit, marker, end_marker)
    page = names_of(rows)
    assert page == wanted[:len(page)] and len(page) <= limit
    assert page == wanted if complete else page
    assert complete or len(lists) > 1 or len(page) == limit


@settings(deadline=None, max_examples=200)
@given(contents(), st.integers(1, 60))
def test_page_after_page_shows_everything_once(lists, limit):
    shards, found, complete = shards_of(lists), [], False
    while not complete:
        rows, complete = shards.page(limit, found[-1] if found else '')
        found += names_of(rows)
    assert found == sorted(sum(lists, []))


def test_a_single_shard_is_listed_once_and_as_it_always_was():
    names = [f'{number:04d}' for number in range(10)]
    for limit, complete in ((5, False), (10, False), (11, True)):
        shards = shards_of([names])
        rows, whole = shards.page(limit)
        assert (names_of(rows), whole) == (names[:limit], complete)
        assert shards.swift.asked == [(messages_container('jobs', 'g', 0), limit)]


def test_each_shard_is_asked_for_little_more_than_its_share():
    lists = [[f'{number:06d}' for number in range(shard, 6400, 64)] for shard in range(64)]
    shards = shards_of(lists)
    rows, complete = shards.page(200)
    assert (len(rows), complete) == (200, False)
    assert len(shards.swift.asked) == 64 and shards.swift.rows < 4 * 200


def test_a_backlog_in_one_shard_does_not_make_every_page_short():
    """As after growth: all that is old is in the first one."""
    old = [f'{number:06d}' for number in range(10_000)]
    shards = shards_of([old, *([f'{20_000 + shard:06d}'] for shard in range(1, 64))])
    rows, complete = shards.page(200)
    assert (names_of(rows), complete) == (old[:200], False)
    assert len(shards.swift.asked) == 65 and shards.swift.rows < 2 * 200


def test_shards_one_after_the_other_do_not_cost_more_than_a_few_rounds():
    lists = [[f'{1000 * shard + number:06d}' for number in range(1000)] for shard in range(64)]
    shards, found = shards_of(lists), []
    while len(found) < 2000:
        before = shards.swift.rows
        rows, complete = shards.page(200, found[-1] if found else '')
        assert rows and not complete and shards.swift.rows - before < 64 * 13 + 4 * 2 * 200
        found += names_of(rows)
    assert found == sorted(sum(lists, []))[:len(found)]


def test_a_shard_that_cannot_be_listed_is_not_an_empty_one():
    world = sharded(3)
    posted(world, *range(9))
    world.tick()
    for shard in range(3):
        world.swift.fail(lambda call: call.container.endswith(f'\x00{shard}'), 503, times=100)  # noqa: B023
        for verb in (lambda queue: queue.messages.list(), lambda queue: queue.stats(),
                     lambda queue: queue.claims.create(1)):
            with pytest.raises(Unavailable):
                verb(world.queue())
        world.swift.heal()
    assert len(listed(world)) == 9


# -- a queue of several shards ---------------------------------------------------------------------

def sharded(shards, cache=True, **options):
    world = World(cache=cache, **options)
    world.queue().create({'_shards': shards})
    world.tick()
    return world


def posted(world, *bodies, queue='jobs', proxy=0, **fields):
    world.tick()
    done = world.queue(queue, proxy).messages.post([NewMessage(body, **fields) for body in bodies])
    assert not [one.error for one in done if one.error]
    return [one.id for one in done]


def listed(world, queue='jobs', proxy=0, **options):
    return [message.body for message in world.queue(queue, proxy).messages.list(limit=20, **options).items]


def grow(world, shards, proxy=0, queue='jobs'):
    world.tick()
    return world.queue(queue, proxy).configure(lambda attributes: attributes | {'_shards': shards})


def rows_of(world, container):
    return [parse_message(row['name']) for row in world.swift.rows(ACCOUNT, container)]


def test_a_post_goes_round_the_shards():
    world = sharded(4)
    ids = posted(world, *range(20))
    assert [(shard_of(after) - shard_of(before)) % 4 for before, after in zip(ids, ids[1:], strict=False)] == [1] * 19
    generation = world.queue().record().generation
    for shard in range(4):
        assert rows_of(world, messages_container('jobs', generation, shard)) == [
            each for each in ids if shard_of(each) == shard]
    assert listed(world) == list(range(20))


def test_single_posts_do_not_all_go_to_one_shard():
    world = sharded(4)
    assert {shard_of(posted(world, number)[0]) for number in range(40)} == {0, 1, 2, 3}


def test_the_life_of_messages_in_several_shards():
    world = sharded(3)
    ids = posted(world, *range(12))
    world.tick()
    first = world.queue().claims.create(5)
    assert [message.body for message in first.messages] == list(range(5))  # of all shards, in order
    world.tick()
    assert listed(world) == list(range(5, 12))
    assert world.queue().stats().claimed == 5
    world.queue().claims.renew(first.id)
    assert [message.body for message in world.queue(proxy=1).claims.get(first.id).messages] == list(range(5))
    for message in first.messages[:4]:
        world.tick()
        world.queue(proxy=1).claims.ack(message.id, first.id)
    world.queue().claims.release(first.id)
    world.tick(3)
    assert [message.body for message in world.queue(proxy=1).messages.get(ids)] == list(range(4, 12))
    assert [message.body for message in world.queue(proxy=1).claims.create(2).messages] == [4, 5]
    world.tick()
    assert [message.body for message in world.queue().claims.pop(10)] == list(range(6, 12))
    generation = world.queue().record().generation
    for shard in range(3):
        claims = {row['name'][1:37] for row in world.swift.rows(ACCOUNT, claims_container('jobs', generation, shard))}
        assert claims == {each for each in ids if shard_of(each) == shard}


def test_markers_lead_through_all_shards():
    world = sharded(3)
    seen, marker = [], None
    for batch in range(4):
        posted(world, *range(10 * batch, 10 * batch + 10))
        for _ in range(3):
            world.tick()
            page = world.queue(proxy=batch % 2).messages.list(marker, 7)
            seen += [message.body for message in page.items]
            marker = page.marker
    assert seen == list(range(40))


def test_a_purge_empties_all_shards_and_a_deletion_marks_them():
    world = sharded(3)
    posted(world, *range(9))
    world.queue().purge()
    world.tick()
    assert listed(world) == [] and world.queue().record().shards == 3
    posted(world, *range(6))
    assert listed(world) == list(range(6))
    with world.swift.recording() as calls:
        world.queue().delete()
    marked = {call.container for call in calls if call.method == 'POST'}
    assert len(marked) == 6 == len([name for name in world.swift.containers(ACCOUNT)
                                    if parse_container(name)[0] == 'messages'])


def test_a_deletion_marks_all_shards_also_when_the_account_does_not_list_them():
    world = sharded(3)
    generation = world.queue().record().generation
    world.tick()
    listing = f'prefix={messages_container("jobs")}'.replace('\x00', '%00')
    world.swift.fail(lambda call: call.method == 'GET' and listing in call.query, 404, times=9)
    with world.swift.recording() as calls:
        world.queue().delete()
    assert {call.container for call in calls if call.method == 'POST'} == {
        messages_container('jobs', generation, shard) for shard in range(3)}


# -- growth ----------------------------------------------------------------------------------------

def test_a_queue_grows_and_what_was_there_stays_where_it_is():
    world = sharded(1)
    before = posted(world, *range(5))
    assert '_shards' not in world.queue().attributes()
    assert grow(world, 4)['_shards'] == 4
    world.tick()
    after = posted(world, *range(5, 13))
    assert {shard_of(each) for each in before} == {0} and {shard_of(each) for each in after} == {0, 1, 2, 3}
    assert listed(world) == listed(world, proxy=1) == list(range(13))
    assert world.queue(proxy=1).attributes()['_shards'] == 4
    claim = world.queue(proxy=1).claims.create(13)
    for message in claim.messages:
        world.tick()
        world.queue().claims.ack(message.id, claim.id)
    assert world.queue().stats().total == 0 and len(claim.messages) == 13


def test_the_containers_are_there_before_the_record_says_so():
    world = sharded(1)
    world.swift.fail(('PUT', messages_container('jobs', world.queue().record().generation, 2)), 503, times=10)
    with pytest.raises(Unavailable):
        grow(world, 4)
    assert world.queue(proxy=1).read_record().shards == 1
    world.swift.heal()
    assert grow(world, 4)['_shards'] == 4


def test_a_queue_does_not_shrink():
    world = sharded(4)
    for fewer in (1, 3):
        with pytest.raises(Invalid, match='has 4 shards already'):
            grow(world, fewer)
    assert grow(world, 4)['_shards'] == 4
    world.tick()
    changed = world.queue().configure(lambda attributes: {'colour': 'red'})  # without it, as after a removal
    assert (changed['_shards'], changed['colour']) == (4, 'red')
    world.tick()
    assert world.queue().configure(lambda attributes: {'_shards': None})['_shards'] == 4
    assert not world.queue().create({'_shards': 9})
    assert world.queue().attributes()['_shards'] == 4


@pytest.mark.parametrize('shards', [0, -1, 65, '2', 2.0, True, [2]])
def test_a_number_of_shards_that_cannot_be(shards):
    world = World()
    with pytest.raises(Invalid):
        world.queue().create({'_shards': shards})
    assert world.swift.containers(ACCOUNT) == []
    world.queue().create()
    with pytest.raises(Invalid):
        grow(world, shards)
    assert world.queue().read_record().shards == 1


def test_the_operator_says_how_many_shards_there_are_at_most_and_by_default():
    world = World(default_shards=2, max_shards=4)
    world.queue().create()
    assert world.queue().attributes()['_shards'] == 2
    for number in (5, 64):
        with pytest.raises(Invalid, match='1 to 4'):
            grow(world, number)
    assert grow(world, 4)['_shards'] == 4
    world.tick()
    less = World(max_shards=3)  # later, of the same cloud
    less.swift, less.clock = world.swift, world.clock
    assert less.queue().configure(lambda attributes: attributes | {'colour': 'red'})['_shards'] == 4


def test_two_proxies_that_change_a_queue_at_once_do_not_shrink_it():
    def is_write(call):
        return call.method == 'POST' and call.container == RECORD
    for act in (lambda world: grow(world, 2, proxy=1),
                lambda world: world.queue(proxy=1).configure(lambda attributes: {'colour': 'red'}),
                lambda world: world.queue(proxy=1).purge()):
        for late in (False, True):  # whose change comes last
            world = sharded(1)
            if late:
                meanwhile(world, is_write, lambda: grow(world, 8))  # noqa: B023
                act(world)
            else:
                meanwhile(world, is_write, lambda: act(world))  # noqa: B023
                grow(world, 8)
            assert world.queue().read_record().shards == 8


@pytest.fixture
def grown():
    """Proxy 1 has just read that the queue has one shard, and nobody tells it of the others."""
    world = sharded(1, cache=False)
    world.queue(proxy=1).record()
    grow(world, 4)
    world.tick()
    return world


def known_to(world, proxy):
    return world.engines[proxy].records[ACCOUNT, 'jobs'].record.shards


def test_who_has_not_heard_of_growth_finds_messages_by_their_ids(grown):
    ids = posted(grown, *range(8))
    held = grown.queue().claims.create(4)
    grown.tick()
    late = grown.queue(proxy=1)
    assert [message.body for message in late.messages.get(ids)] == list(range(8))
    late.claims.renew(held.id)
    for message in held.messages:
        grown.tick()
        late.claims.ack(message.id, held.id)
    late.messages.delete(ids[4:6])
    late.messages.delete_unclaimed(ids[6])
    assert known_to(grown, 1) == 1  # it was never told, and need not be
    grown.tick(10)
    assert listed(grown) == [7]


def test_who_has_not_heard_of_growth_posts_and_claims_in_the_shards_he_knows(grown):
    ids = posted(grown, *range(8))
    mine = posted(grown, 'mine', proxy=1)
    assert shard_of(mine[0]) == 0
    grown.tick()
    claim = grown.queue(proxy=1).claims.create(10)
    assert [message.id for message in claim.messages] == [each for each in ids if shard_of(each) == 0] + mine
    grown.tick(RECORD_SECONDS)
    assert len(grown.queue(proxy=1).claims.create(10).messages) == 6


@pytest.mark.parametrize('cache', [True, False])
def test_an_id_of_a_shard_that_is_not_there_is_one_of_no_message(cache):
    world = sharded(2, cache=cache)
    posted(world, 'x')
    held = world.queue().claims.create(1)
    world.tick()
    for shard in (2, 63, 64, 127):
        made_up = in_shard(Ids(world.clock).new(), shard)
        assert world.queue().messages.get([made_up]) == []
        world.queue().messages.delete([made_up])
        world.queue().messages.delete_unclaimed(made_up)
        world.queue().claims.ack(made_up, held.id)
    assert world.queue().stats().claimed == 1
    assert {parse_container(name)[3] for name in world.swift.containers(ACCOUNT)} == {0, 1}


# -- a generation that lacks some shards -----------------------------------------------------------

@pytest.fixture
def torn():
    """The queue was purged while it grew: the record names shards that the generation does not have."""
    world = sharded(2)
    posted(world, *range(4))
    meanwhile(world, lambda call: call.method == 'POST' and call.container == RECORD, lambda: grow(world, 4, proxy=1))
    world.queue().purge()
    world.tick()
    record = world.queue().read_record()
    assert record.shards == 4
    assert len([name for name in world.swift.containers(ACCOUNT) if record.generation in name]) == 4
    return world


VERBS = {
    'post': lambda queue: queue.messages.post([NewMessage(number) for number in range(4)]),
    'list': lambda queue: queue.messages.list().items,
    'stats': lambda queue: queue.stats().total,
    'claim': lambda queue: queue.claims.create(1),
    'wait': lambda queue: queue.claims.create(1, wait=1)}


@pytest.mark.parametrize('verb', VERBS)
def test_whoever_needs_the_missing_shards_makes_them(torn, verb):
    result = VERBS[verb](torn.queue(proxy=1))
    assert not any(one.error for one in result) if verb == 'post' else not result
    torn.tick(1)
    ids = posted(torn, *'abcdefgh')
    assert {shard_of(each) for each in ids} == {0, 1, 2, 3}
    torn.tick(3)
    assert set('abcdefgh') <= set(listed(torn))


def test_a_container_that_the_account_lists_is_not_made_again():
    """Its servers may be down; then an empty one in its place would hide the messages."""
    world = sharded(4)
    posted(world, *range(8))
    world.tick()
    hidden = messages_container('jobs', world.queue().record().generation, 2)
    world.swift.fail(lambda call: call.container == hidden and call.method == 'GET', 404, times=99)
    with world.swift.recording() as calls, pytest.raises(Unavailable):
        world.queue().messages.list()
    assert 'PUT' not in {call.method for call in calls}
    world.swift.heal()
    assert listed(world) == list(range(8))


def test_a_record_from_long_ago_does_not_bring_its_generation_back():
    world = sharded(2)
    for name in world.swift.containers(ACCOUNT):
        if parse_container(name)[0] != 'queue':
            assert world.queue().swift.delete_container(name)
    with pytest.raises(Unavailable):
        world.queue().messages.list()
    assert [parse_container(name)[0] for name in world.swift.containers(ACCOUNT)] == ['queue']


def test_missing_shards_that_cannot_be_made_are_no_empty_ones(torn):
    torn.swift.fail(lambda call: call.method == 'PUT', 503, times=99)
    with pytest.raises(Unavailable):
        torn.queue().messages.list()
    torn.swift.heal()
    assert listed(torn) == []


@pytest.mark.parametrize('seed', range(8))
def test_a_message_posted_while_the_queue_is_made_anew_with_fewer_shards_gets_a_place(seed):
    world = sharded(8, seed=seed)
    queue = world.queue()

    def anew():
        generation = queue.record().generation
        world.queue(proxy=1).delete()
        world.tick()
        for name in world.swift.containers(ACCOUNT):
            if generation in name:
                assert world.queue(proxy=1).swift.delete_container(name)
        world.tick()
        world.queue(proxy=1).create({'_shards': 2})
        world.tick()
    meanwhile(world, lambda call: call.method == 'PUT' and bool(call.obj), anew)
    done, = queue.messages.post([NewMessage('x')])
    assert done.error is None
    world.tick(3)
    assert listed(world) == ['x'] and shard_of(done.id) < 2
    assert len(world.queue().messages.get([done.id])) == 1


# -- dead letters ----------------------------------------------------------------------------------

def bury_all(world, proxy=0):
    """Let every claim run out, and somebody look for messages again."""
    world.tick(100)
    return world.queue(proxy=proxy).claims.create(20, 60, 0)


@pytest.mark.parametrize('target', [1, 2, 8])
def test_dead_letters_fit_into_any_queue(target):
    world = World(min_claim_grace=0)
    world.queue('dead').create({'_shards': target})
    world.queue().create({'_shards': 4, '_max_claim_count': 1, '_dead_letter_queue': 'dead'})
    ids = posted(world, *range(8), ttl=1000)
    world.tick()
    assert len(world.queue().claims.create(20, 60, 0).messages) == 8
    assert bury_all(world) is None
    world.tick(3)
    assert listed(world, 'dead') == list(range(8))
    letters = world.queue('dead').claims.create(20, 60, 0)
    assert [message.id for message in letters.messages] == [in_shard(each, 0) for each in ids]
    assert {message.deliveries for message in letters.messages} == {1}
    assert world.queue().stats().total == 0


def test_a_dead_letter_is_moved_once_even_if_its_new_queue_grows_between_two_tries():
    world = World(min_claim_grace=0)
    world.queue('dead').create()
    world.queue().create({'_shards': 4, '_max_claim_count': 1, '_dead_letter_queue': 'dead'})
    posted(world, *range(8), ttl=1000)
    world.tick()
    world.queue().claims.create(20, 60, 0)
    world.swift.fail(('DELETE', '\x00messages\x00jobs'), 503, times=999)
    assert bury_all(world) is None
    world.swift.heal()
    world.tick(3)
    assert len(listed(world, 'dead')) == 8 == world.queue().stats().total
    letters = world.queue('dead').claims.create(3)
    for message in letters.messages:
        world.tick()
        world.queue('dead').claims.ack(message.id, letters.id)
    grow(world, 8, queue='dead')
    assert bury_all(world, proxy=1) is None
    world.tick(3)
    assert world.queue().stats().total == 0
    assert listed(world, 'dead', include_claimed=True) == list(range(3, 8))  # nor does what was acked come back
