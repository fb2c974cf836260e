"""The janitor against the in-memory Swift: claims and messages that are done with, and its passes.

Every rule that keeps something has a test in which it is all that does.
"""

import pytest
from janitors import (
    HOUR,
    MINUTE,
    ModelReplicas,
    a_world,
    ack,
    acked,
    bodies,
    claim,
    clean_sweep,
    containers,
    delete,
    is_peek,
    janitor_of,
    meanwhile,
    post,
    post_late,
    purge,
    stored,
    sweep,
    swift_of,
)
from model_swift.objects import deleted_row
from swift.common.utils import Timestamp
from world import ACCOUNT

from swiftqueue import janitor
from swiftqueue.errors import Unavailable
from swiftqueue.janitor import Ages, queues_of
from swiftqueue.model import NewMessage
from swiftqueue.names import (
    CLAIM,
    GENERATION,
    ClaimState,
    claim_name,
    message_name,
    queue_container,
)

SETTLED = Ages().settled


def released_and_deleted(world, body='a'):
    """A message deleted long after its claim was over."""
    made = post(world, body)
    world.queue().claims.release(claim(world).id)
    world.tick(10 * MINUTE)
    world.queue().messages.delete(made)
    return made


# -- claims whose message is gone ------------------------------------------------------------------

def test_the_claims_of_acked_messages_are_removed():
    world = a_world()
    acked(world, 3)
    world.tick(5 * MINUTE)
    assert clean_sweep(world).claims == 3
    assert not world.swift.rows(ACCOUNT, containers(world, 'claims')[0])
    assert clean_sweep(world).claims == 0


def test_a_claim_stays_for_a_minute_after_its_message_was_deleted():
    world = a_world()
    released_and_deleted(world)
    world.tick(59)
    assert clean_sweep(world).claims == 0
    world.tick(2)
    assert clean_sweep(world).claims == 1


def test_a_claim_stays_while_it_runs_and_a_minute_longer():
    world = a_world()
    post(world, 'a')
    ack(world, claim(world, ttl=300))
    world.tick(300 + 50)
    assert clean_sweep(world).claims == 0
    world.tick(20)
    assert clean_sweep(world).claims == 1


def test_a_claim_that_was_released_is_not_waited_for():
    world = a_world()
    made = post(world, 'a')
    world.queue().claims.release(claim(world, ttl=HOUR).id)
    world.tick()
    world.queue().messages.delete(made)
    world.tick(2 * MINUTE)
    assert clean_sweep(world).claims == 1


def test_the_claims_of_messages_that_wait_are_kept():
    world = a_world()
    post(world, 'claimed once', 'claimed again')
    world.queue().claims.release(claim(world).id)
    claim(world, 1)
    world.tick(10 * MINUTE)
    assert clean_sweep(world).claims == 0
    assert clean_sweep(world, replicas=Mute(world.swift)).queues == 1  # nor is any replica told of them
    assert claim(world).messages[0].deliveries == 3


@pytest.mark.parametrize('late', range(3))
def test_before_a_claim_goes_no_replica_lists_its_message_any_more(late):
    world = a_world(cache=False)
    made = post(world, 'a')
    held = claim(world)
    world.swift.lagging = {late}
    ack(world, held)
    world.tick(HOUR)
    world.swift.first_replica = (late + 1) % 3
    container = containers(world, 'messages')[0]
    assert world.swift.replica_listing(late, ACCOUNT, container) == [message_name(made[0])]
    assert clean_sweep(world).claims == 1
    assert world.swift.replica_listing(late, ACCOUNT, container) == []
    world.swift.first_replica = late
    assert claim(world, proxy=1) is None


def test_a_replica_that_hears_of_a_message_when_its_claim_is_gone_does_not_list_it():
    """It missed the post and the ack, and the post is what it hears of first."""
    world = a_world(cache=False)
    container = containers(world, 'messages')[0]
    world.swift.lagging = {1}
    made = acked(world)
    row = {'name': message_name(made[0]), 'created_at': Timestamp(world.clock() - 1).internal, 'deleted': 0, 'size': 1,
           'content_type': 'application/json', 'etag': 'etag'}
    world.tick(HOUR)
    assert clean_sweep(world).claims == 1
    world.swift.container_replicas(ACCOUNT, container)[1].merge_row(row)
    assert world.swift.replica_listing(1, ACCOUNT, container) == []


class Mute(ModelReplicas):
    """Replicas of which one cannot be told anything."""

    def mark_deleted(self, *arguments):
        raise Unavailable('one replica does not answer')


def test_claims_stay_while_a_replica_does_not_answer():
    world = a_world()
    acked(world)
    world.tick(HOUR)
    tally = sweep(world, replicas=Mute(world.swift))
    assert (tally.claims, tally.errors) == (0, 1)


def test_all_claims_of_a_message_go_and_the_last_one_last():
    world = a_world()
    made = post(world, 'a')
    for _ in range(2):
        world.queue().claims.release(claim(world).id)
    ack(world, claim(world))
    world.tick(10 * MINUTE)
    with world.swift.recording() as calls:
        assert clean_sweep(world).claims == 3
    assert [call.obj for call in calls if call.method == 'DELETE'] == [
        claim_name(made[0], n) for n in (1, 2, 3) for _ in range(world.swift.replicas)]


def test_when_the_removal_of_a_claim_fails_the_later_ones_stay():
    world = a_world()
    made = post(world, 'a')
    world.queue().claims.release(claim(world).id)
    ack(world, claim(world))
    world.tick(10 * MINUTE)
    world.swift.fail(('DELETE', claim_name(made[0], 1)), times=4)  # the first server, and the proxy
    assert sweep(world).errors == 1
    assert stored(world, 'claims') == [claim_name(made[0], 1), claim_name(made[0], 2)]
    assert clean_sweep(world).claims == 2


def test_an_expired_message_that_still_exists_keeps_its_claims():
    """Its 404 has an instant too, the one at which it was stored; taken for a tombstone's it would be old enough."""
    world = a_world()
    made = post(world, 'a', ttl=60)
    claim(world)
    world.tick(10 * MINUTE)
    _forget_row(world, made[0])
    assert clean_sweep(world).claims == 0


def _forget_row(world, message_id):
    """As if every replica of the container had lost the row of a message that exists."""
    for replica in world.swift.container_replicas(ACCOUNT, containers(world, 'messages')[0]):
        replica.merge_row(deleted_row(message_name(message_id), Timestamp(world.clock())))


def _forget_tombstones(world, message_id):
    """As if reclaimed."""
    for replica in world.swift.object_replicas(ACCOUNT, containers(world, 'messages')[0], message_name(message_id)):
        replica.tombstone = None


def test_where_the_tombstone_is_gone_the_claim_has_to_be_an_hour_old():
    world = a_world()
    made = acked(world)
    world.tick(HOUR - MINUTE)
    _forget_tombstones(world, made[0])
    assert clean_sweep(world).claims == 0
    world.tick(2 * MINUTE)
    assert clean_sweep(world).claims == 1


def test_a_claim_whose_row_says_nothing_is_judged_by_its_object():
    """An erasure-coded policy writes its own etags into rows."""
    world = a_world()
    made = post(world, 'a')[0]
    now = world.clock()
    state = ClaimState('core', 300, 60, now, now + 300, now + 360)
    swift, container = swift_of(world), containers(world, 'claims')[0]
    headers = {CLAIM: state.headers('')[CLAIM]}
    swift.request('PUT', container, claim_name(made, 1), body=state.content(), headers=headers)
    world.queue().messages.delete([made])
    world.tick(300)
    assert clean_sweep(world).claims == 0
    world.tick(MINUTE)
    assert clean_sweep(world).claims == 1


@pytest.mark.parametrize('page', [1, 2, 3, 5, 100])
def test_pages_of_any_size_find_the_same_claims(page):
    world = a_world()
    for number in range(3):
        made = post(world, f'twice {number}', f'once {number}')
        world.queue().claims.release(claim(world, 1).id)
        claimed = claim(world)
        world.tick()
        world.queue().claims.ack(made[0], claimed.id)
    world.tick(10 * MINUTE)
    assert clean_sweep(world, page=page).claims == 6
    assert [name[1:37] for name in stored(world, 'claims')] == [name[1:] for name in stored(world, 'messages')]


def test_claims_that_are_in_use_cost_a_listing_and_nothing_each():
    world = a_world()
    post(world, *range(20))
    claim(world, 20, ttl=HOUR)
    world.tick(10 * MINUTE)
    with world.swift.recording() as calls:
        clean_sweep(world)
    assert len(calls) < 10


def test_the_claims_of_messages_that_wait_cost_no_look_at_each():
    world = a_world()
    post(world, *range(20))
    claim(world, 20)
    world.tick(10 * MINUTE)
    with world.swift.recording() as calls:
        clean_sweep(world)
    assert 'HEAD' not in {call.method for call in calls}


def test_a_claim_that_was_changed_lately_costs_no_look_at_its_message():
    world = a_world()
    made = post(world, *range(20))
    world.queue().claims.release(claim(world, 20).id)
    world.queue().messages.delete(made)
    world.tick(MINUTE / 2)
    with world.swift.recording() as calls:
        clean_sweep(world)
    assert 'HEAD' not in {call.method for call in calls}


# -- messages that expired -------------------------------------------------------------------------

def test_the_rows_of_expired_messages_go_a_minute_after_their_expiry():
    world = a_world()
    post(world, 'short', ttl=60)
    post(world, 'long', ttl=HOUR)
    world.tick(115)
    assert clean_sweep(world).messages == 0
    world.tick(10)
    assert clean_sweep(world).messages == 1
    assert len(world.swift.rows(ACCOUNT, containers(world, 'messages')[0])) == 1
    assert bodies(world) == ['long']


def test_the_claims_of_an_expired_message_follow_it():
    world = a_world()
    post(world, 'a', ttl=60)
    claim(world)
    world.tick(5 * MINUTE)
    assert (clean_sweep(world).messages, len(stored(world, 'claims'))) == (1, 1)
    world.tick(2 * MINUTE)
    assert clean_sweep(world).claims == 1


def test_a_message_that_a_claim_keeps_is_not_removed_though_the_row_of_the_claim_is_late():
    world = a_world()
    post(world, 'a', ttl=60)
    world.swift.lagging = {0, 1, 2}
    held = claim(world, ttl=HOUR)
    world.tick(10 * MINUTE)
    assert clean_sweep(world).messages == 0
    ack(world, held)


def test_a_message_whose_row_says_nothing_is_removed_once_its_object_has_expired():
    """A claim that extends the message rewrites its row."""
    world = a_world()
    post(world, 'a', ttl=60)
    claim(world, ttl=HOUR)
    world.tick(HOUR)
    assert clean_sweep(world).messages == 0
    world.tick(5 * MINUTE)
    assert clean_sweep(world).messages == 1


def test_a_pass_looks_at_one_page_of_messages_and_the_next_pass_goes_on():
    world = a_world()
    post(world, *range(5), ttl=60)
    world.tick(10 * MINUTE)
    cleaner = janitor_of(world, page=2)
    assert [cleaner.sweep([(ACCOUNT, 'jobs')]).messages for _ in range(4)] == [2, 2, 1, 0]
    post(world, 'new', ttl=60)
    world.tick(10 * MINUTE)
    assert cleaner.sweep([(ACCOUNT, 'jobs')]).messages == 1


def test_messages_that_are_too_young_to_have_expired_are_not_even_listed():
    world = a_world()
    post(world, *range(20))
    world.tick(MINUTE / 2)
    with world.swift.recording() as calls:
        clean_sweep(world, page=2)
    assert len(calls) < 10


# -- passes ----------------------------------------------------------------------------------------

MARKINGS = 3  # rows marked at once in a messy world: of acked messages, of their claims, of claims before the purge


def a_messy_world():
    """One of everything that the janitor cleans."""
    world = a_world(cache=False)
    post(world, 'purged')
    claim(world)
    post_late(world, 'late')
    world.tick(3)
    acked(world, 2)
    post(world, 'expired', ttl=60)
    world.queue('gone').create()
    world.queue('gone').messages.post([NewMessage('a')])
    delete(world, 'gone')
    world.tick(SETTLED)
    return world


def test_a_dry_run_says_everything_and_writes_nothing():
    world, said = a_messy_world(), []
    with world.swift.recording() as calls:
        dry = clean_sweep(world, 'jobs', 'gone', dry_run=True, say=said.append)
    assert {call.method for call in calls} <= {'GET', 'HEAD'}
    wet = clean_sweep(world, 'jobs', 'gone')
    assert (dry.claims, dry.messages, dry.moved) == (wet.claims, wet.messages, wet.moved) == (3, 3, 1)
    assert len(said) == MARKINGS + dry.claims + dry.messages + dry.moved + dry.containers
    assert wet.containers == 4


def test_every_write_is_announced_and_waits_for_its_turn():
    world, turns, said = a_messy_world(), [], []
    with world.swift.recording() as calls:
        tally = clean_sweep(world, 'jobs', 'gone', pace=lambda: turns.append(1), say=said.append)
    done = tally.claims + tally.messages + tally.moved + tally.containers
    assert len(turns) == len(said) == MARKINGS + done
    writes = [call for call in calls if call.method not in ('GET', 'HEAD')]
    assert len(writes) == done + tally.moved + (world.swift.replicas - 1) * tally.claims


def test_a_queue_that_fails_does_not_stop_the_others(caplog):
    world = a_world()
    for name in ('first', 'last'):
        world.queue(name).create()
        world.queue(name).messages.post([NewMessage('a')])
        delete(world, name)
    world.tick(SETTLED)
    swift_of(world).post_container(queue_container('jobs'), {GENERATION: 'garbage'})
    world.swift.fail(lambda call: call.method == 'GET' and '\x00first\x00' in call.path, times=10)
    tally = sweep(world, 'first', 'jobs', 'last')
    assert (tally.queues, tally.errors, tally.messages) == (3, 2, 1)
    first, jobs = [entry for entry in caplog.records if entry.name == 'swiftqueue']
    assert f'{ACCOUNT}/first' in first.getMessage() and first.levelname == 'WARNING'
    assert f'{ACCOUNT}/jobs' in jobs.getMessage() and jobs.exc_info


def test_a_queue_with_very_much_to_do_waits_for_the_next_pass(monkeypatch):
    monkeypatch.setattr(janitor, 'WRITES', 4)
    world = a_world()
    post(world, *range(10))
    purge(world)
    cleaner = janitor_of(world, page=2)
    first = cleaner.sweep([(ACCOUNT, 'jobs')])
    assert (first.messages, first.unfinished, first.errors) == (4, 1, 0)
    assert cleaner.unfinished == [(ACCOUNT, 'jobs')]
    assert cleaner.sweep([(ACCOUNT, 'jobs')], thorough=True).messages == 6
    assert cleaner.unfinished == []


def test_the_tally_can_be_read():
    world = a_messy_world()
    assert str(clean_sweep(world, 'jobs', 'gone')).startswith(
        '2 queues seen; removed: 3 claims, 3 messages, 4 containers; moved: 1 messages; 0 queues unfinished; 0 errors')


def test_the_queues_of_an_account_are_those_of_which_anything_is_left():
    world = a_world()
    world.queue('gone').create()
    delete(world, 'gone')
    swift_of(world).put_container('not ours')
    swift_of(world).put_container('\x00versions\x00not ours')
    assert queues_of(swift_of(world)) == [(ACCOUNT, 'gone'), (ACCOUNT, 'jobs')]
    assert queues_of(swift_of(world, 'AUTH_other')) == []


def test_an_account_listing_that_is_out_of_date_is_no_error():
    world = a_world()
    purge(world)
    world.tick(SETTLED)
    others = meanwhile(world, is_peek, lambda: clean_sweep(world))
    clean_sweep(world)
    assert others[0].containers == 2
