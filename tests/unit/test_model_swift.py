"""The in-memory Swift does what the design fears of the real one, and what tests need of it.

That it answers single requests as the real one does is tested against the real one.
"""

import json
import random

import pytest
from model_swift import Clock, ModelSwift, ReplicaDown, send
from swift.common.swob import HTTPForbidden, Request
from swift.common.utils import Timestamp
from swift.common.wsgi import make_pre_authed_request

NEW = {'If-None-Match': '*'}
NEWEST = {'X-Newest': 'true'}
RESERVED = {'X-Backend-Allow-Reserved-Names': 'true'}


@pytest.fixture
def swift():
    swift = ModelSwift()
    swift.request('PUT', '/v1/a/c')
    yield swift
    swift.assert_no_leaks()


def status(swift, method, path='/v1/a/c/o', headers=None, **rest):
    return swift.request(method, path, headers, **rest).status_int


def names(swift, path='/v1/a/c', **query):
    listing = swift.request('GET', path, RESERVED, query=query)
    assert listing.status_int == 200
    return [row['name'] for row in json.loads(listing.body)]


# Time

def test_two_writes_never_get_the_same_time(swift):
    assert status(swift, 'PUT') == 201
    assert status(swift, 'DELETE') == 204
    assert status(swift, 'PUT') == 201


def test_a_proxy_with_a_slow_clock_cannot_overwrite(swift):
    slow = Clock(swift.clock() - 30)
    assert status(swift, 'PUT', body=b'new') == 201
    assert send(swift.at(slow), 'PUT', '/v1/a/c/o', body=b'old').status_int == 202
    assert send(swift.at(slow), 'DELETE', '/v1/a/c/o').status_int == 409
    assert swift.request('GET', '/v1/a/c/o').body == b'new'


def test_x_timestamp_is_the_senders_to_set_and_makes_a_second_put_void(swift):
    stamp = Timestamp(swift.clock() + 3).internal
    assert [status(swift, 'PUT', headers={'X-Timestamp': stamp}) for _ in '12'] == [201, 202]
    assert swift.request('HEAD', '/v1/a/c/o').headers['X-Timestamp'] == stamp


def test_of_two_changes_to_a_container_the_newer_stays(swift):
    for at, value in ((5, 'newer'), (4, 'older')):
        status(swift, 'POST', '/v1/a/c', {'X-Container-Sysmeta-A': value, 'X-Timestamp': str(
            swift.clock() + at)})
    assert swift.request('HEAD', '/v1/a/c').headers['X-Container-Sysmeta-A'] == 'newer'


def test_an_object_expires_when_the_clock_gets_there(swift):
    assert status(swift, 'PUT', headers={'X-Delete-After': '10'}) == 201
    swift.clock.advance(9)
    assert (status(swift, 'GET'), swift.live_objects('a')) == (200, [('c', 'o')])
    swift.clock.advance(1)
    assert (status(swift, 'GET'), swift.live_objects('a')) == (404, [])
    assert names(swift) == ['o']


def test_a_conditional_put_takes_the_place_of_what_has_expired(swift):
    status(swift, 'PUT', headers={'X-Delete-After': '10'})
    assert status(swift, 'PUT', headers=NEW) == 412
    swift.clock.advance(10)
    assert status(swift, 'PUT', headers=NEW) == 201


def test_the_expirer_removes_rows_of_what_has_expired_and_only_of_that(swift):
    for name, seconds in (('short', '10'), ('long', '20')):
        status(swift, 'PUT', f'/v1/a/c/{name}', {'X-Delete-After': seconds})
    swift.clock.advance(10)
    with swift.recording() as calls:
        swift.run_expirer()
    assert calls == []
    assert names(swift) == ['long']


# Races

def test_a_conditional_put_in_the_gap_of_another_wins_too(swift):
    def run_another(call):
        swift.on_commit = None
        statuses.append(status(swift, 'PUT', headers=NEW, body=b'second'))

    statuses = []
    swift.on_commit = run_another
    statuses.append(status(swift, 'PUT', headers=NEW, body=b'first'))
    assert statuses == [201, 201]
    assert swift.request('GET', '/v1/a/c/o', NEWEST).body == b'second'
    assert swift.rows('a', 'c')[0]['hash'] == swift.request('HEAD', '/v1/a/c/o').etag


def test_a_delete_in_the_gap_of_a_put_beats_it(swift):
    def delete(call):
        swift.on_commit = None
        assert status(swift, 'DELETE') == 404

    swift.on_commit = delete
    assert status(swift, 'PUT') == 201
    assert status(swift, 'GET') == 404
    assert names(swift) == []


def test_whoever_waits_in_the_gap_is_told_for_which_write(swift):
    seen = []
    swift.on_commit = lambda call: seen.append((call.method, call.container, call.obj))
    status(swift, 'PUT')
    status(swift, 'GET')
    status(swift, 'DELETE')
    assert seen == [('PUT', 'c', 'o'), ('DELETE', 'c', 'o')]


def test_a_node_that_dies_in_the_gap_stores_nothing(swift):
    swift.on_commit = lambda call: swift.down.update({0, 1})
    assert status(swift, 'PUT', body=b'x') == 503
    swift.heal()
    swift.on_commit = None
    assert swift.request('GET', '/v1/a/c/o', NEWEST).body == b'x'
    assert status(swift, 'PUT', headers=NEW) == 412


# Replicas

def test_a_write_needs_two_of_three_nodes(swift):
    swift.down = {1}
    assert status(swift, 'PUT') == 201
    swift.down = {1, 2}
    assert status(swift, 'PUT', '/v1/a/c/p') == 503
    assert status(swift, 'PUT', '/v1/a/d') == 503
    swift.heal()
    assert swift.live_objects('a') == [('c', 'o')]


def test_a_single_node_cannot_say_what_never_was(swift):
    swift.down_objects = {0}
    assert status(swift, 'GET') == 404
    swift.down_objects = {0, 1}
    assert status(swift, 'GET') == 503
    assert status(swift, 'DELETE') == 503
    assert status(swift, 'GET') == 404


def test_a_read_is_of_one_replica_unless_the_newest_is_asked_for(swift):
    status(swift, 'PUT', body=b'old')
    swift.down_objects = {0}
    status(swift, 'PUT', body=b'new')
    swift.heal()
    swift.first_replica = 0
    assert swift.request('GET', '/v1/a/c/o').body == b'old'
    assert swift.request('GET', '/v1/a/c/o', NEWEST).body == b'new'
    swift.replicate()
    assert swift.request('GET', '/v1/a/c/o').body == b'new'


def test_a_conditional_put_is_refused_for_what_a_single_replica_has(swift):
    between = swift.at(Clock(swift.clock() + 5))
    status(swift, 'PUT')
    swift.clock.advance(10)
    swift.down_objects = {0}
    status(swift, 'DELETE')
    swift.heal()
    assert status(swift, 'PUT', headers=NEW) == 412
    assert send(between, 'PUT', '/v1/a/c/o', NEW).status_int == 412
    assert send(between, 'PUT', '/v1/a/c/o').status_int == 202


def test_the_newest_read_may_answer_200_without_a_body_after_a_failed_delete(swift):
    status(swift, 'PUT', body=b'body')
    swift.down_objects = {1, 2}
    assert status(swift, 'DELETE') == 503
    swift.heal()
    answers = {(answer.status_int, answer.body) for _ in range(50)
               if (answer := swift.request('GET', '/v1/a/c/o', NEWEST)).status_int != 404}
    assert answers == {(200, b'')}
    swift.replicate()
    assert status(swift, 'GET') == 404


def test_a_dead_object_server_costs_some_container_replica_its_row(swift):
    swift.down_objects = {0}
    for number in range(30):
        status(swift, 'PUT', f'/v1/a/c/{number:02}')
    listed = [swift.replica_listing(replica, 'a', 'c') for replica in range(3)]
    assert all(len(one) < 30 for one in listed)
    assert len(swift.rows('a', 'c')) == 30
    swift.replicate()
    assert all(len(swift.replica_listing(replica, 'a', 'c')) == 30 for replica in range(3))


def test_a_replica_can_be_listed_alone(swift):
    swift.lagging = {1}
    for name in 'abc':
        status(swift, 'PUT', f'/v1/a/c/{name}')
    assert swift.replica_listing(0, 'a', 'c', marker='a', limit=1) == ['b']
    assert swift.replica_listing(0, 'a', 'c', end_marker='b') == ['a']
    assert swift.replica_listing(1, 'a', 'c') == []
    assert swift.replica_listing(0, 'a', 'none') == []
    swift.down = {0}
    with pytest.raises(ReplicaDown):
        swift.replica_listing(0, 'a', 'c')


def test_a_container_that_one_replica_lacks_is_there_and_becomes_whole(swift):
    swift.down_containers = {2}
    assert status(swift, 'PUT', '/v1/a/d', {'X-Container-Sysmeta-A': '1'}) == 201
    swift.heal()
    swift.first_replica = 2
    assert status(swift, 'PUT', '/v1/a/d/o') == 201
    assert swift.replica_listing(2, 'a', 'd') == []
    swift.replicate()
    assert swift.replica_listing(2, 'a', 'd') == ['o']
    assert swift.request('HEAD', '/v1/a/d').headers['X-Container-Sysmeta-A'] == '1'


def test_the_same_seed_gives_the_same_history():
    def history(seed):
        swift = ModelSwift(seed=seed)
        swift.lag_chance = 0.5
        swift.request('PUT', '/v1/a/c')
        for number in range(20):
            swift.request('PUT', f'/v1/a/c/{number:02}')
        return [names(swift) for _ in range(10)]

    assert history(1) == history(1)
    assert history(1) != history(2)


# Listings that lag

def test_rows_for_a_lagging_replica_wait_to_be_delivered(swift):
    swift.lagging = {0}
    swift.first_replica = 0
    status(swift, 'PUT')
    assert names(swift) == []
    assert [row['name'] for row in swift.rows('a', 'c')] == ['o']
    assert swift.deliver_rows() == 0
    assert names(swift) == ['o']


def test_a_late_row_of_a_put_does_not_bring_back_what_was_deleted(swift):
    swift.lagging = {0, 1, 2}
    status(swift, 'PUT')
    swift.lagging = set()
    status(swift, 'DELETE')
    swift.deliver_rows()
    assert names(swift) == [] and swift.rows('a', 'c') == []


def test_a_late_row_brings_back_a_deleted_container(swift):
    swift.lagging = {0, 1, 2}
    status(swift, 'PUT')
    assert status(swift, 'DELETE', '/v1/a/c') == 204
    assert status(swift, 'GET', '/v1/a/c') == 404
    assert [row['name'] for row in swift.rows('a', 'c')] == ['o']
    swift.deliver_rows()
    assert names(swift) == ['o']


def test_rows_arrive_when_their_time_has_come(swift):
    swift.lag_chance, swift.lag_seconds = 1.0, 5.0
    for number in range(10):
        status(swift, 'PUT', f'/v1/a/c/{number}')
    assert len(names(swift)) < 10
    swift.clock.advance(5)
    assert len(names(swift)) == 10


def test_rows_for_a_dead_container_server_wait_until_it_is_back(swift):
    swift.down_containers = {0}
    assert status(swift, 'PUT') == 201
    assert swift.deliver_rows() == 1
    swift.heal()
    assert swift.deliver_rows() == 0
    assert swift.replica_listing(0, 'a', 'c') == ['o']


# What a test may ask for

def test_calls_are_recorded_with_all_that_was_sent(swift):
    env = Request.blank('/v2/queues').environ
    with swift.recording() as calls:
        sub_request = make_pre_authed_request(
            env, 'PUT', '/v1/a/%00q%00x?a=b', headers={**RESERVED, 'X-Container-Sysmeta-A': '1'},
            swift_source='SQ')
        sub_request.get_response(swift).body  # noqa: B018
        status(swift, 'GET')
    call, other = calls
    assert (call.method, call.account, call.container, call.obj) == ('PUT', 'a', '\0q\0x', '')
    assert (call.query, call.swift_source, call.status) == ('a=b', 'SQ', 201)
    assert call.headers['X-Container-Sysmeta-A'] == '1'
    assert (other.path, other.status) == ('/v1/a/c/o', 404)


def test_a_call_can_be_made_to_fail_before_its_work_or_after_it(swift):
    swift.fail(('PUT', '/c/o'), 503)
    assert status(swift, 'PUT') == 503 and swift.live_objects('a') == []
    swift.fail(('PUT', '/c/o'), 500, after_work=True)
    assert status(swift, 'PUT') == 500 and swift.live_objects('a') == [('c', 'o')]
    assert status(swift, 'PUT') == 201


def test_the_third_call_can_be_the_one_that_fails(swift):
    fault = swift.fail(lambda call: call.account == 'a', 404, skip=2)
    assert [status(swift, 'PUT', f'/v1/a/c/{n}') for n in range(4)] == [201, 201, 404, 201]
    assert fault.hits == 1


def test_a_timeout_takes_its_time_and_answers_503(swift):
    before = swift.clock()
    swift.fail(('GET', ''), 'timeout')
    assert status(swift, 'GET', '/v1/a/c') == 503
    assert swift.clock() == before + 10


def test_a_fault_can_be_an_exception(swift):
    swift.fail(('GET', ''), ConnectionResetError())
    with pytest.raises(ConnectionResetError):
        status(swift, 'GET')


def test_a_body_that_is_neither_read_nor_closed_is_a_leak():
    swift = ModelSwift()
    response = Request.blank('/v1/a').get_response(swift)
    with pytest.raises(AssertionError, match="GET '/v1/a'"):
        swift.assert_no_leaks()
    response.app_iter.close()
    swift.assert_no_leaks()
    assert list(Request.blank('/v1/a').get_response(swift).app_iter) == [b'[]']
    swift.assert_no_leaks()


def test_what_is_left_in_an_account_can_be_seen(swift):
    status(swift, 'PUT', '/v1/a/\0q\0x', RESERVED)
    status(swift, 'PUT', '/v1/b/c')
    status(swift, 'PUT')
    assert swift.containers('a') == ['\0q\0x', 'c']
    assert swift.live_objects('a') == [('c', 'o')]
    status(swift, 'DELETE')
    status(swift, 'DELETE', '/v1/a/c')
    assert (swift.containers('a'), swift.live_objects('a')) == (['\0q\0x'], [])


def test_whoever_authorizes_has_the_last_word(swift):
    asked = []

    def forbid(req):
        asked.append(req.acl)
        return HTTPForbidden(request=req)

    owner = {'swift_owner': True}
    acls = {'X-Container-Read': 'readers', 'X-Container-Write': 'writers'}
    status(swift, 'POST', '/v1/a/c', acls, **owner)
    for method in ('GET', 'PUT'):
        assert status(swift, method, **{'swift.authorize': forbid}) == 403
    assert asked == ['readers', 'writers']
    assert 'X-Container-Read' in swift.request('HEAD', '/v1/a/c', **owner).headers
    assert 'X-Container-Read' not in swift.request('HEAD', '/v1/a/c').headers


def test_an_account_need_not_be_made_on_demand():
    swift = ModelSwift(account_autocreate=False)
    assert status(swift, 'GET', '/v1/a') == status(swift, 'PUT', '/v1/a/c') == 404
    swift.create_account('a')
    assert status(swift, 'PUT', '/v1/a/c') == 201


def test_a_container_keeps_its_storage_policy():
    swift = ModelSwift(policies=('gold', 'silver'))
    silver, gold = {'X-Storage-Policy': 'silver'}, {'X-Storage-Policy': 'gold'}
    assert status(swift, 'PUT', '/v1/a/c', silver) == 201
    assert status(swift, 'PUT', '/v1/a/c', gold) == 409
    assert status(swift, 'PUT', '/v1/a/d', {'X-Storage-Policy': 'tin'}) == 400
    assert swift.request('HEAD', '/v1/a/c').headers['X-Storage-Policy'] == 'silver'


def test_a_listing_is_sorted_and_limited_whatever_the_order_of_arrival(swift):
    wanted = [f'{number:03}' for number in range(200)]
    for name in random.Random(1).sample(wanted, 200):
        status(swift, 'PUT', f'/v1/a/c/{name}')
    assert names(swift) == wanted
    assert names(swift, marker='049', limit=3) == ['050', '051', '052']
    assert names(swift, reverse='true', limit=2) == ['199', '198']
    assert swift.request('HEAD', '/v1/a/c').headers['X-Container-Object-Count'] == '200'
