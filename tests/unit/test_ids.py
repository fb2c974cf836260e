"""Message ids: their layout, their order and the instants they stand for."""

import random
import uuid

import pytest
from model_swift import Clock

from swiftqueue.ids import TICKS, Ids, available_at, floor, in_shard, is_id, shard_of

NOW = 1_800_000_000.0


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.mark.parametrize('low', [0, 2 ** 62 - 1])
def test_an_id_has_the_layout_of_a_uuid_of_version_7(clock, low):
    text = Ids(clock, lambda bits: low).new()
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == NOW * 1000  # 48 bits of milliseconds lead
    assert parsed.int & (2 ** 62 - 1) == low >> 7 << 7


def test_ids_rise_while_the_clock_stands_still(clock):
    source = Ids(clock)
    made = [source.new() for _ in range(10_000)]  # more than the ticks of a millisecond
    assert made == sorted(set(made))
    assert available_at(made[-1]) - NOW == pytest.approx(10_000 / TICKS, rel=0, abs=2 / TICKS)


def test_ids_rise_whatever_their_shards(clock):
    source = Ids(clock)
    shards = random.Random(1).choices(range(65), k=1000)
    made = [source.new(shard=shard) for shard in shards]
    assert made == sorted(set(made))
    assert [shard_of(each) for each in made] == shards
    assert all(is_id(each) for each in made)


def test_an_id_in_another_shard_is_the_same_for_the_rest():
    assert in_shard('01a3185c-5000-7abc-9def-0123456789ab', 0) == '01a3185c-5000-7abc-9def-012345678980'
    assert in_shard('01a3185c-5000-7abc-9def-0123456789ab', 63) == '01a3185c-5000-7abc-9def-0123456789bf'
    assert in_shard('01a3185c-5000-7abc-9def-0123456789ab', 64) == '01a3185c-5000-7abc-9def-0123456789c0'
    assert [shard_of(in_shard('01a3185c-5000-7abc-9def-012345678900', shard)) for shard in range(65)] == [*range(65)]


def test_ids_rise_when_the_clock_is_set_back_a_little(clock):
    source = Ids(clock)
    made = [source.new()]
    clock.advance(-1)
    made += [source.new() for _ in range(100)]
    clock.advance(2)
    made.append(source.new())
    assert made == sorted(set(made))


def test_a_clock_that_was_an_hour_ahead_does_not_hold_messages_back_for_an_hour(clock):
    source = Ids(clock)
    source.new()
    clock.advance(-3600)
    assert available_at(source.new()) == pytest.approx(clock(), rel=0, abs=2 / TICKS)


def test_ids_follow_a_clock_that_goes_on(clock):
    source = Ids(clock)
    for _ in range(100):
        clock.advance(0.01)
        assert available_at(source.new()) == pytest.approx(clock(), rel=0, abs=2 / TICKS)


def test_ids_from_two_sources_differ_at_one_instant(clock):
    assert Ids(clock).new() != Ids(clock).new()


def test_a_delayed_id_sorts_where_its_message_becomes_available(clock):
    source = Ids(clock)
    late, later, now = source.new(delay=30), source.new(delay=900), source.new()
    clock.advance(29.999)
    before = source.new()
    clock.advance(0.002)
    after = source.new()
    assert sorted([late, later, now, before, after]) == [now, before, late, after, later]
    assert available_at(late) == pytest.approx(NOW + 30, rel=0, abs=2 / TICKS)


def test_a_delay_does_not_push_the_ids_that_follow(clock):
    source = Ids(clock)
    source.new(delay=900)
    assert available_at(source.new()) == pytest.approx(NOW, rel=0, abs=2 / TICKS)


def test_floors_and_ids_agree_about_every_instant():
    chance = random.Random(7)
    for _ in range(5000):
        instant = chance.uniform(0, 2_100_000_000)
        at = Ids(lambda: instant, chance.getrandbits).new()  # noqa: B023
        assert is_id(floor(instant))
        assert floor(instant) <= at < floor(instant + 2 / TICKS)
        assert available_at(at) == available_at(floor(instant))
        assert available_at(at) == pytest.approx(instant, rel=0, abs=1.5 / TICKS)


def test_floors_are_in_the_order_of_their_instants():
    chance = random.Random(8)
    instants = sorted(NOW + chance.uniform(0, 0.01) for _ in range(2000))
    floors = [floor(instant) for instant in instants]
    assert floors == sorted(floors)
    assert len(set(floors)) > 1900  # finer than a millisecond


def test_the_floor_of_an_instant_before_the_epoch_is_the_first_id():
    assert floor(-1) == floor(0) == '00000000-0000-7000-8000-000000000000'


GOOD = '01a3185c-5000-7abc-9def-0123456789ab'


@pytest.mark.parametrize('text', [
    GOOD, GOOD.replace('9def', '8def'), GOOD.replace('9def', 'bdef')])
def test_an_id_is_known_as_one(text):
    assert is_id(text)


@pytest.mark.parametrize('text', [
    '', GOOD.upper(), GOOD + '\n', '\n' + GOOD, ' ' + GOOD, GOOD + '0', GOOD[:-1],
    GOOD.replace('-', ''), '{' + GOOD + '}', 'urn:uuid:' + GOOD, GOOD.replace('-7', '-4'),
    GOOD.replace('-9', '-7'), GOOD.replace('-9', '-c'), GOOD.replace('0', 'g'),
    GOOD.replace('0', '\u0660'), GOOD.replace('-', '/'), GOOD + '\x00', '../' + GOOD[3:]])
def test_nothing_else_is_taken_for_an_id(text):
    assert not is_id(text)
