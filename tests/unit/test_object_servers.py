"""Claims read from object servers without a proxy-server in between."""

import eventlet
import pytest
from local_servers import Ring, servers, tell  # noqa: F401 (a fixture)
from swift.common import storage_policy
from world import World

from swiftqueue import object_servers
from swiftqueue.errors import MessageClaimed, ReceiptInvalid
from swiftqueue.model import NewMessage
from swiftqueue.names import claims_container
from swiftqueue.object_servers import NewestHeaders, Servers, newest


def says(*instants):
    return [{'x-backend-timestamp': f'{instant:016.5f}', 'etag': f'e{instant}'} for instant in instants]


# -- which replica counts --------------------------------------------------------------------------

def test_the_newest_replica_counts():
    assert newest(says(1, 3, 2))['etag'] == 'e3'
    assert newest([]) is None


def test_replicas_that_are_equally_new_have_to_say_the_same():
    one, two = says(5, 5)
    assert newest([one, two]) == one
    assert newest([one, two | {'etag': 'other'}]) is None
    assert newest([one, two | {'etag': 'other'}, *says(6)])['etag'] == 'e6'


# -- real requests ---------------------------------------------------------------------------------

@pytest.fixture
def read(servers, monkeypatch):  # noqa: F811
    monkeypatch.setattr(object_servers, 'ANSWER_SECONDS', 0.2)
    for number, server in enumerate(servers):
        server.answer = 200
        server.headers = {'X-Backend-Timestamp': f'{100 + number:010d}.00000', 'Etag': f'e{number}'}
    ask = NewestHeaders(lambda policy: Ring(servers))
    return lambda: ask(0, 'AUTH_test', '\x00claims', '\x00a b', 'tx1')


def test_every_server_is_asked_and_the_newest_answer_taken(read, servers):  # noqa: F811
    assert read()['etag'] == 'e2'
    for server in servers:
        environ, = server.asked
        assert environ['REQUEST_METHOD'] == 'HEAD'
        assert environ['PATH_INFO'] == f'/{server.node["device"]}/7/AUTH_test/\x00claims/\x00a b'
        assert environ['HTTP_X_BACKEND_STORAGE_POLICY_INDEX'] == '0'
        assert environ['HTTP_X_BACKEND_ALLOW_RESERVED_NAMES'] == 'true'
        assert environ['HTTP_X_TRANS_ID'] == 'tx1'


@pytest.mark.parametrize('answers', [(200, 404, 200), (404, 404, 404), (200, 200, 507), (503, 200, 200),
                                     ('late', 200, 200)])
def test_unless_all_have_it_nothing_is_said(read, servers, answers):  # noqa: F811
    tell(servers, *answers)
    assert read() is None


def test_erasure_coded_objects_are_not_asked_for(read, servers, monkeypatch):  # noqa: F811
    policy = type('Policy', (), {'policy_type': storage_policy.EC_POLICY})
    monkeypatch.setattr(object_servers, 'POLICIES', type('Policies', (), {'get_by_index': lambda index: policy}))
    assert read() is None
    assert not any(server.asked for server in servers)


def test_connections_are_kept_and_one_that_was_closed_is_made_anew(read, servers):  # noqa: F811
    assert all(read() for _ in range(5))
    assert [len(server.ports) for server in servers] == [1, 1, 1]
    servers[1].restart()
    assert read()['etag'] == 'e2'
    assert read()['etag'] == 'e2'


def test_a_connection_that_was_idle_for_long_is_not_used(servers):  # noqa: F811
    now = [0.0]
    connections = Servers(5, 10, lambda: now[0])
    ask = lambda: connections.ask_all(Ring(servers), 'HEAD', 'a', 'c', 'o', {}, {204})  # noqa: E731
    assert len(ask()) == 3
    now[0] = 29
    assert len(ask()) == 3
    now[0] = 60
    assert len(ask()) == 3
    assert [len(server.ports) for server in servers] == [2, 2, 2]


def test_requests_at_once_have_connections_of_their_own(read, servers):  # noqa: F811
    assert [each.wait()['etag'] for each in [eventlet.spawn(read) for _ in range(5)]] == ['e2'] * 5


def test_a_server_that_failed_is_left_alone_for_a_while(servers):  # noqa: F811
    now = [0.0]
    connections = Servers(5, 10, lambda: now[0])
    ask = lambda: connections.ask_all(Ring(servers), 'HEAD', 'a', 'c', 'o', {}, {204})  # noqa: E731
    tell(servers, 204, 507, 204)
    assert ask() == []
    tell(servers, 204, 204, 204)
    assert ask() == []
    assert [len(server.asked) for server in servers] == [1, 1, 0]
    now[0] = 10
    assert len(ask()) == 3


# -- what the engine makes of it -------------------------------------------------------------------

@pytest.fixture
def world():
    world = World(direct=True)
    world.queue().create()
    world.queue().messages.post([NewMessage('a')])
    world.tick()
    return world


def through_swift(calls):
    return [call.method for call in calls if call.obj and call.swift_source]


def test_an_ack_asks_swift_for_nothing_but_the_delete(world):
    claim = world.queue().claims.create(1)
    world.tick()
    with world.swift.recording() as calls:
        world.queue().claims.ack(claim.messages[0].id, claim.id)
    assert through_swift(calls) == ['DELETE']


@pytest.mark.parametrize('silent', range(3))
def test_with_a_server_away_swift_is_asked(world, silent):
    claim = world.queue().claims.create(1)
    world.tick()
    world.swift.down_objects = {silent}
    with world.swift.recording() as calls:
        world.queue().claims.ack(claim.messages[0].id, claim.id)
    assert through_swift(calls) == ['HEAD', 'DELETE']


@pytest.mark.parametrize('stale', range(3))
def test_a_receipt_that_one_server_still_takes_for_good_is_refused(world, stale):
    claim = world.queue().claims.create(1)
    world.tick()
    world.swift.down_objects = {stale}
    world.queue(proxy=1).claims.release(claim.id)
    world.swift.heal()
    world.tick()
    with world.swift.recording() as calls, pytest.raises((ReceiptInvalid, MessageClaimed)):
        world.queue().claims.ack(claim.messages[0].id, claim.id)
    container = claims_container('jobs', world.queue().record().generation)
    assert not [call for call in calls if call.container == container and call.obj and call.method == 'HEAD'
                and call.swift_source]
