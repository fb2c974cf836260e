"""Object servers asked without a proxy-server in between, and what a quorum of them is good for."""

import eventlet
import pytest
from local_servers import Ring, servers, tell  # noqa: F401 (a fixture)
from swift.common.utils import quorum_size
from world import World

from swiftqueue import object_servers
from swiftqueue.errors import MessageClaimed, ReceiptInvalid
from swiftqueue.model import NewMessage
from swiftqueue.names import claims_container
from swiftqueue.object_servers import Primaries, Replica, Replicas, Servers


def data(instant, etag='', changed_at=None):
    return Replica(200, {'x-backend-data-timestamp': f'{instant:016.5f}', 'etag': etag or f'e{instant}',
                         'x-backend-timestamp': f'{changed_at or instant:016.5f}'})


def tombstone(instant):
    return Replica(404, {'x-backend-timestamp': f'{instant:016.5f}'})


NOTHING = Replica(404, {})


# -- which replica counts --------------------------------------------------------------------------

@pytest.mark.parametrize('found, etag', [
    ([data(1), data(3), data(2)], 'e3'),
    ([data(5), data(5)], 'e5'),
    ([data(5), data(5, 'other')], None),  # those equally new have to say the same
    ([data(5), data(5, 'other'), data(6)], 'e6'),
    ([data(1), NOTHING], None),
    ([data(3), tombstone(1)], None),
    ([], None)])
def test_the_newest_counts_at_once_where_all_have_the_object(found, etag):
    agreed = Replicas(tuple(found), max(1, len(found))).agreed
    assert (agreed and agreed['etag']) == etag


def test_all_means_all_primaries():
    assert Replicas((data(1), data(1)), 3).agreed is None


@pytest.mark.parametrize('found, newest', [
    ([NOTHING, data(1)], data(1)),
    ([data(1), tombstone(2)], tombstone(2)),
    ([tombstone(1), data(2)], data(2)),
    ([data(1, changed_at=9), tombstone(2)], tombstone(2)),  # a POST brings nothing back
    ([tombstone(1), data(1)], data(1))])  # not a tombstone: it has expired on one replica
def test_the_newest_is_a_put_or_a_delete(found, newest):
    assert Replicas(tuple(found), 3).newest == newest


@pytest.mark.parametrize('primaries, enough', [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_a_quorum_is_as_many_as_swift_wants_of_a_write(primaries, enough):
    assert Replicas((NOTHING,) * enough, primaries).is_quorum
    assert not Replicas((NOTHING,) * (enough - 1), primaries).is_quorum


# -- real requests ---------------------------------------------------------------------------------

@pytest.fixture
def read(servers, monkeypatch):  # noqa: F811
    monkeypatch.setattr(object_servers, 'ANSWER_SECONDS', 0.2)
    for number, server in enumerate(servers):
        server.answer = 200
        server.headers = {'X-Backend-Timestamp': f'{100 + number:010d}.00000', 'Etag': f'e{number}'}
    ask = Primaries(lambda policy: Ring(servers))
    return lambda: ask(0, 'AUTH_test', '\x00claims', '\x00a b', 'tx1')


def test_every_server_is_asked_and_the_newest_answer_taken(read, servers):  # noqa: F811
    assert read().agreed['etag'] == 'e2'
    for server in servers:
        environ, = server.asked
        assert environ['REQUEST_METHOD'] == 'HEAD'
        assert environ['PATH_INFO'] == f'/{server.node["device"]}/7/AUTH_test/\x00claims/\x00a b'
        assert environ['HTTP_X_BACKEND_STORAGE_POLICY_INDEX'] == '0'
        assert environ['HTTP_X_BACKEND_ALLOW_RESERVED_NAMES'] == 'true'
        assert environ['HTTP_X_TRANS_ID'] == 'tx1'


@pytest.mark.parametrize('answers, statuses', [
    ((200, 404, 200), [200, 404, 200]),
    ((200, 200, 507), [200, 200]),
    (('late', 200, 404), [200, 404]),
    ((503, 404, 507), [404])])
def test_only_what_tells_of_the_object_counts(read, servers, answers, statuses):  # noqa: F811
    tell(servers, *answers)
    replicas = read()
    assert [replica.status for replica in replicas.found] == statuses
    assert replicas.primaries == 3
    assert replicas.agreed is None


def test_a_server_that_failed_is_asked_again_only_for_a_quorum(read, servers):  # noqa: F811
    tell(servers, 200, 200, 507)
    assert len(read().found) == len(read().found) == 2
    assert [len(server.asked) for server in servers] == [2, 2, 1]
    tell(servers, 507, 200, 200)
    assert len(read().found) == 2
    assert [len(server.asked) for server in servers] == [4, 3, 2]  # the first one twice: others may only be slow


def test_slow_servers_are_waited_for_where_there_is_no_quorum_without_them(read, servers, monkeypatch):  # noqa: F811
    monkeypatch.setattr(object_servers, 'ANSWER_SECONDS', 0)
    tell(servers, 200, 200, 404)
    slow = Primaries(lambda policy: Ring(servers))
    assert slow(0, 'a', 'c', 'o', 'tx').is_quorum


def test_fragments_agree_although_each_has_an_etag_of_its_own():
    fragments = [Replica(200, {**data(5, f'piece {number}').headers, 'x-object-sysmeta-ec-etag': etag})
                 for number, etag in enumerate(['whole'] * 3 + ['other'])]
    assert Replicas(tuple(fragments[:3]), 3).agreed
    assert Replicas(tuple(fragments), 4).agreed is None


@pytest.mark.parametrize('fragments, needed', [(3, 2), (4, 3), (6, 4), (14, 8)])
def test_a_quorum_of_fragments_has_one_that_heard_of_an_acknowledged_delete(fragments, needed):
    assert needed + quorum_size(fragments) > fragments
    assert Replicas((data(1),) * needed, fragments, coded=True).is_quorum
    assert not Replicas((data(1),) * (needed - 1), fragments, coded=True).is_quorum


def test_connections_are_kept_and_one_that_was_closed_is_made_anew(read, servers):  # noqa: F811
    assert all(read().agreed for _ in range(5))
    assert [len(server.ports) for server in servers] == [1, 1, 1]
    servers[1].restart()
    assert read().agreed['etag'] == 'e2'
    assert read().agreed['etag'] == 'e2'


def test_all_servers_are_at_it_at_once(read, servers):  # noqa: F811
    assert read().agreed  # so that there are connections

    def others_are_asked():
        while any(len(server.asked) < 2 for server in servers):
            eventlet.sleep(0.001)
    for server in servers:
        server.before_answer = others_are_asked
    assert read().agreed['etag'] == 'e2'


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
    assert [each.wait().agreed['etag'] for each in [eventlet.spawn(read) for _ in range(5)]] == ['e2'] * 5


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


@pytest.fixture(params=[True, False], ids=['direct', 'through Swift'])
def missed(request):
    """A claim of which one server is about to miss what becomes of it, and the rows are late."""
    world = World(direct=request.param)
    world.queue().create()
    world.queue().messages.post([NewMessage('a')])
    world.tick()
    claim = world.queue().claims.create(1, ttl=60)
    world.swift.down_objects, world.swift.lagging = {2}, {0, 1, 2}

    def comes_again(seconds):
        """Whether a proxy that reads from that server alone hands it out so much later; direct ones need not."""
        world.swift.heal()
        world.tick(seconds)
        world.swift.shunned = {0, 1}
        return bool(world.queue(proxy=1).claims.create(1))
    return world, claim, comes_again, request.param


def test_what_was_acked_stays_so_for_a_proxy_that_reads_from_the_one_server_that_missed_it(missed):
    world, claim, comes_again, direct = missed
    world.tick()
    world.queue().claims.ack(claim.messages[0].id, claim.id)
    assert comes_again(100) is not direct  # which is what asking them directly is for


def test_a_claim_that_was_renewed_runs_for_a_proxy_that_reads_from_the_one_server_that_missed_it(missed):
    world, claim, comes_again, direct = missed
    world.tick(55)
    world.queue().claims.renew(claim.id, ttl=60)
    assert comes_again(10) is not direct
