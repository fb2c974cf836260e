"""How the janitor asks object servers one by one: what it makes of answers, and what it leaves to Swift."""

import math

import pytest
from janitors import (
    HOUR,
    MINUTE,
    ModelReplicas,
    a_world,
    ack,
    acked,
    claim,
    clean_sweep,
    containers,
    post,
    stored,
    sweep,
    swift_of,
)
from local_servers import Ring, servers, tell  # noqa: F401 (a fixture)
from model_swift.objects import make_data_file
from swift.common.utils import Timestamp
from world import ACCOUNT

from swiftqueue.errors import Unavailable
from swiftqueue.janitor_replicas import DirectObjects, DirectReplicas
from swiftqueue.names import claim_name, message_name, parse_container
from swiftqueue.object_servers import Servers

# -- what the janitor makes of them, on the model --------------------------------------------------


def proxied(calls, *methods):
    """Those of the calls that went through the proxy."""
    return [call for call in calls if call.method in methods and call.obj and call.swift_source]


def test_where_all_servers_answer_no_object_is_asked_for_through_the_proxy():
    world = a_world()
    acked(world, 5)
    world.tick(HOUR)
    with world.swift.recording() as calls:
        assert clean_sweep(world).claims == 5
    assert not proxied(calls, 'HEAD', 'GET', 'DELETE')
    container = containers(world, 'claims')[0]
    assert [world.swift.replica_listing(index, ACCOUNT, container) for index in range(3)] == [[], [], []]
    assert not stored(world, 'claims')


def test_a_late_row_of_a_claim_does_not_show_what_is_deleted():
    world = a_world()
    world.swift.lagging = {1}
    acked(world)
    world.swift.lagging = set()
    world.tick(HOUR)
    world.swift.first_replica = 0
    assert clean_sweep(world).claims == 1
    assert world.swift.deliver_rows() == 0
    assert world.swift.replica_listing(1, ACCOUNT, containers(world, 'claims')[0]) == []


@pytest.mark.parametrize('silent', range(3))
def test_with_an_object_server_down_the_proxy_does_the_work(silent):
    world = a_world(cache=False)
    acked(world, 2)
    world.tick(HOUR)
    world.swift.down_objects = {silent}
    with world.swift.recording() as calls:
        assert clean_sweep(world).claims == 2
    assert len(proxied(calls, 'HEAD')) >= 2 and len(proxied(calls, 'DELETE')) == 2
    world.swift.heal()
    world.swift.replicate()
    world.swift.deliver_rows()
    assert not stored(world, 'claims')
    assert claim(world, proxy=1) is None
    assert clean_sweep(world).claims == 0


@pytest.mark.parametrize('status', [507, 503, 409])
@pytest.mark.parametrize('server', range(3))
def test_what_one_object_server_refuses_is_deleted_through_the_proxy(status, server):
    world = a_world()
    made = acked(world, 2)
    world.tick(HOUR)
    refused = claim_name(made[0], 1)
    world.swift.fail(('DELETE', refused), status, skip=server)
    with world.swift.recording() as calls:
        assert clean_sweep(world).claims == 2
    assert [call.obj for call in proxied(calls, 'DELETE')] == [refused]
    assert not stored(world, 'claims')
    assert not world.swift.rows(ACCOUNT, containers(world, 'claims')[0])


def test_what_cannot_be_deleted_keeps_its_row_and_the_others_lose_theirs():
    world = a_world()
    made = acked(world, 3)
    world.tick(HOUR)
    world.swift.fail(('DELETE', claim_name(made[1], 1)), times=4)  # the first server, and the proxy
    tally = sweep(world)
    assert (tally.claims, tally.errors) == (2, 1)
    left = [claim_name(made[1], 1)]
    assert [row['name'] for row in world.swift.rows(ACCOUNT, containers(world, 'claims')[0])] == left
    assert stored(world, 'claims') == left
    assert clean_sweep(world).claims == 1


def test_a_server_that_deletes_long_after_it_was_asked_to_does_no_harm():
    world = a_world(cache=False)
    acked(world)
    world.tick(HOUR)
    late = ModelReplicas(world.swift, lambda what, replica: 30 * (what == 'write' and replica == 1))
    assert clean_sweep(world, replicas=late).claims == 1
    world.tick(MINUTE)
    assert claim(world, proxy=1) is None
    world.swift.replicate()
    assert not stored(world, 'claims')
    assert not world.swift.rows(ACCOUNT, containers(world, 'claims')[0])


class DiesBeforeRows(ModelReplicas):
    """The janitor dies when the claims are deleted and their rows are not."""

    def mark_deleted(self, account, container, deleted_at):
        if parse_container(container)[0] == 'claims':
            raise KeyboardInterrupt
        super().mark_deleted(account, container, deleted_at)


def test_a_janitor_that_dies_before_the_rows_are_gone_leaves_them_to_the_next():
    world = a_world(cache=False)
    acked(world, 3)
    world.tick(HOUR)
    with pytest.raises(KeyboardInterrupt):
        sweep(world, replicas=DiesBeforeRows(world.swift))
    container = containers(world, 'claims')[0]
    assert not stored(world, 'claims') and len(world.swift.rows(ACCOUNT, container)) == 3
    assert claim(world, proxy=1) is None
    assert clean_sweep(world).claims == 3
    assert not world.swift.rows(ACCOUNT, container)
    assert clean_sweep(world).claims == 0


class ThenWritten(ModelReplicas):
    """Somebody writes the claim again when it has been judged, before or after it is deleted."""

    def __init__(self, world, name, after):
        super().__init__(world.swift)
        self.world, self.name, self.after = world, name, after

    def mark_deleted(self, account, container, deleted_at):
        kind = parse_container(container)[0]
        if kind == ('claims' if self.after else 'messages'):
            self.world.tick()
            claims = containers(self.world, 'claims')[0]
            answer = swift_of(self.world).request('PUT', claims, self.name, body=b'{}')
            assert answer.status == 201
        super().mark_deleted(account, container, deleted_at)


@pytest.mark.parametrize('after', [False, True])
def test_a_claim_that_is_written_meanwhile_keeps_its_row_as_long_as_its_object(after):
    world = a_world()
    made = acked(world)
    world.tick(HOUR)
    name = claim_name(made[0], 1)
    world.tick(1)
    assert clean_sweep(world, replicas=ThenWritten(world, name, after)).claims == 1
    rows = [row['name'] for row in world.swift.rows(ACCOUNT, containers(world, 'claims')[0])]
    assert rows == stored(world, 'claims') == ([name] if after else [])
    assert claim(world) is None


def _store_again(world, message_id, replicas):
    """As if the message had come back under its id, only these replicas had heard of it, and no container."""
    container, name = containers(world, 'messages')[0], message_name(message_id)
    data = make_data_file(Timestamp(world.clock()), b'{}', {'Content-Type': 'application/json'})
    for index in replicas:
        world.swift.object_replicas(ACCOUNT, container, name)[index].put(data)


@pytest.mark.parametrize('missed', range(3))
def test_a_tombstone_on_one_replica_proves_nothing_while_another_has_the_message(missed):
    world = a_world()
    made = acked(world)
    world.tick(MINUTE)
    _store_again(world, made[0], {0, 1, 2} - {missed})
    world.tick(HOUR)
    assert clean_sweep(world).claims == 0
    assert stored(world, 'claims') == [claim_name(made[0], 1)]


def test_the_newest_tombstone_counts():
    """A delete whose retry reached one replica more, later."""
    world = a_world()
    made = acked(world)
    world.tick(HOUR)
    replica = world.swift.object_replicas(ACCOUNT, containers(world, 'messages')[0], message_name(made[0]))[2]
    replica.delete(Timestamp(world.clock() - MINUTE + 5))
    assert clean_sweep(world).claims == 0
    world.tick(10)
    assert clean_sweep(world).claims == 1


def test_an_object_server_that_missed_the_ack_is_overruled_by_the_newer_tombstone():
    world = a_world()
    made = post(world, 'a')
    held = claim(world)
    replica = world.swift.object_replicas(ACCOUNT, containers(world, 'messages')[0], message_name(made[0]))[0]
    data = replica.data
    ack(world, held)
    replica.tombstone = None
    replica.put(data)
    world.tick(HOUR)
    assert clean_sweep(world).claims == 1


# -- real requests ---------------------------------------------------------------------------------

@pytest.fixture
def objects(servers):  # noqa: F811
    connections = Servers(0.2, math.inf)
    yield DirectObjects('AUTH_test', '\x00claims', Ring(servers), '3', connections)
    connections.close()


def test_a_delete_goes_to_every_server_with_one_instant_and_the_policy(servers, objects):  # noqa: F811
    assert objects.delete('\x00a b', 1234.5)
    for server in servers:
        environ, = server.asked
        assert environ['REQUEST_METHOD'] == 'DELETE'
        assert environ['PATH_INFO'] == f'/{server.node["device"]}/7/AUTH_test/\x00claims/\x00a b'
        assert environ['HTTP_X_TIMESTAMP'] == '0000001234.50000'
        assert environ['HTTP_X_BACKEND_STORAGE_POLICY_INDEX'] == '3'
        assert environ['HTTP_X_BACKEND_ALLOW_RESERVED_NAMES'] == 'true'


def test_many_requests_share_a_connection(servers, objects):  # noqa: F811
    assert all(objects.delete(f'\x00{number}', 1) for number in range(20))
    assert [len(server.asked) for server in servers] == [20, 20, 20]
    assert [len(server.ports) for server in servers] == [1, 1, 1]


@pytest.mark.parametrize('answers, deleted', [
    ((204, 204, 204), True), ((204, 404, 204), True), ((404, 404, 404), True), ((409, 204, 204), False),
    ((204, 204, 507), False), ((204, 503, 204), False), ((202, 204, 204), False), ((204, 204, 412), False)])
def test_only_what_every_server_has_deleted_is_deleted(servers, objects, answers, deleted):  # noqa: F811
    tell(servers, *answers)
    assert objects.delete('\x00a', 1) is deleted


def test_a_server_that_is_not_there_or_too_slow_has_not_deleted(servers, objects):  # noqa: F811
    tell(servers, 204, 'late', 204)
    assert not objects.delete('\x00a', 1)
    servers[2].stop()
    other = DirectObjects('AUTH_test', '\x00claims', Ring(servers[::2]), '3', objects.servers)
    assert not other.delete('\x00b', 1)


def test_what_has_failed_is_not_asked_again_and_what_has_refused_is(servers, objects):  # noqa: F811
    tell(servers, 409, 204, 204)
    assert not objects.delete('\x00a', 1)
    tell(servers, 204, 507, 204)
    assert not objects.delete('\x00b', 1)
    tell(servers, 204, 204, 204)
    assert not objects.delete('\x00c', 1)
    assert [len(server.asked) for server in servers] == [2, 1, 0]


def test_a_message_is_gone_since_its_newest_tombstone(servers, objects):  # noqa: F811
    tell(servers, 404, 404, 404)
    for server, tombstone in zip(servers, ('0000000100.00000', '0000000200.50000'), strict=False):
        server.headers = {'X-Backend-Timestamp': tombstone}
    assert objects.deleted_at('\x00a') == 200.5
    assert {server.asked[0]['HTTP_X_BACKEND_OPEN_EXPIRED'] for server in servers} == {'true'}


@pytest.mark.parametrize('answers', [(404, 404, 200), (200, 404, 404), (404, 507, 404)])
def test_a_message_that_one_server_has_or_does_not_speak_of_is_not_gone(servers, objects, answers):  # noqa: F811
    tell(servers, *answers)
    for server in servers:
        server.headers = {'X-Backend-Timestamp': '0000000100.00000'}
    assert objects.deleted_at('\x00a') == 0


def test_without_a_tombstone_nothing_says_that_a_message_is_gone(servers, objects):  # noqa: F811
    tell(servers, 404, 404, 404)
    assert objects.deleted_at('\x00a') == 0


@pytest.mark.parametrize('policies', [('0', '0', '1'), ('0', '0', None)])
def test_objects_are_not_asked_for_while_the_containers_replicas_do_not_agree_on_the_policy(monkeypatch, policies):
    replicas = DirectReplicas(None, None)
    monkeypatch.setattr(replicas, 'headers', lambda account, container: [
        {'x-backend-storage-policy-index': policy} if policy else {} for policy in policies])
    with pytest.raises(Unavailable, match='storage policy'), replicas.objects('AUTH_test', 'c'):
        raise AssertionError
