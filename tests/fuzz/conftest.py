"""What there is to attack: the filters over a Swift in memory, and a real Swift where bytes on a socket matter."""

from __future__ import annotations

import pytest
from fuzz.strategies import make_wire

from swiftqueue.cluster import Cluster


@pytest.fixture(scope='module')
def wire():
    """For tests that leave it as it is, or do not mind."""
    return make_wire()


@pytest.fixture(scope='session')
def cluster(tmp_path_factory):
    """Its clients have to say something every three seconds."""
    with Cluster(tmp_path_factory.mktemp('fuzz'), daemons=False,
                 settings={'proxy': {'DEFAULT': {'client_timeout': '3'}}}) as running:
        yield running
