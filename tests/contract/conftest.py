"""Every contract test runs through each door, and must leave nothing behind in Swift."""

import pytest
from doors import DOORS, OPTIONS
from janitors import DAY, janitor_of, swift_of
from world import ACCOUNT, World

from swiftqueue.janitor import queues_of


def pytest_generate_tests(metafunc):
    """A test runs through every door but those that its marker ``otherwise_in`` names, with the reason."""
    if 'door' in metafunc.fixturenames:
        others = {door for mark in metafunc.definition.iter_markers('otherwise_in') for door in mark.args}
        metafunc.parametrize('setting', [name for name in DOORS if not {name, name.partition('-')[0]} & others],
                             indirect=True)


@pytest.fixture
def setting(request):
    return DOORS[request.param]


@pytest.fixture
def world(setting):
    world = World(default_shards=setting[1], **OPTIONS)
    yield world
    world.swift.assert_no_leaks()
    nothing_is_left(world)


def nothing_is_left(world: World) -> None:
    """When all has expired and the janitor was there, queues hold nothing; once they are deleted, nothing is there."""
    names = [info.name for info in world.queue('any').account.queues(limit=20).items]
    for step in ('expired', 'deleted'):
        if step == 'deleted':
            for name in names:
                world.tick()
                world.queue(name).delete()
        for _ in range(2):  # the first pass empties containers, a later one removes them
            world.clock.advance(30 * DAY)
            tally = janitor_of(world).sweep(queues_of(swift_of(world)), thorough=True)
            assert tally.errors == 0
        assert world.swift.live_objects(ACCOUNT) == []
    assert world.swift.containers(ACCOUNT) == []


@pytest.fixture
def door(setting, world):
    """The first proxy's client."""
    return setting[0](world, 0)


@pytest.fixture
def other(door, world):
    """A client of the same kind, through another proxy."""
    return type(door)(world, 1)
