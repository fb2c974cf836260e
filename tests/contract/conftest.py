"""Every contract test runs through each door, and must leave nothing behind in Swift."""

import pytest
from clients import EngineClient, MessagingClient
from world import World

DOORS = {'engine': EngineClient, 'messaging-v2': MessagingClient}


@pytest.fixture
def world():
    world = World()
    yield world
    world.swift.assert_no_leaks()


@pytest.fixture(params=DOORS)
def door(request, world):
    """The first proxy's client."""
    return DOORS[request.param](world, 0)


@pytest.fixture
def other(door, world):
    """A client of the same kind, through another proxy."""
    return type(door)(world, 1)
