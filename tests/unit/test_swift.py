"""Sub-requests: what they carry, what counts as success, and what becomes of failures."""

import logging
import re
from functools import partial

import eventlet
import pytest
from model_swift import ModelSwift
from swift.common.middleware.acl import clean_acl
from swift.common.middleware.tempauth import filter_factory
from swift.common.middleware.tempurl import authorize_same_account
from swift.common.swob import HTTPForbidden, HTTPNotFound, HTTPUnauthorized, Request
from swift.common.utils import Timestamp

from swiftqueue.errors import Forbidden, Invalid, QuotaExceeded, Unauthorized, Unavailable
from swiftqueue.object_servers import Replica, Replicas
from swiftqueue.swift import GenerationGone, Swift

ACCOUNT = 'AUTH_test'
BOX = '\x00box'
NAME = '\x00name'
NEVER = float('inf')


@pytest.fixture
def model():
    model = ModelSwift()
    yield model
    model.assert_no_leaks()


@pytest.fixture
def swift(model):
    swift = make(model)
    swift.put_container(BOX)
    model.calls.clear()
    return swift


def make(app, environ=None, clock=None, **fields):
    return Swift(app, environ or {}, ACCOUNT, logger=logging.getLogger('swiftqueue'),
                 clock=clock or getattr(app, 'clock', lambda: 1_800_000_000.0), **fields)


def every_verb(app, environ=None):
    def clock():  # each request at its own instant
        app.clock.advance(0.001)
        return app.clock()
    swift = make(app, environ, clock)
    swift.put_container(BOX, {'X-Container-Sysmeta-A': '1'})
    swift.post_container(BOX, {'X-Container-Sysmeta-A': '2'})
    swift.head_container(BOX)
    swift.store(BOX, NAME, b'1', {'X-Delete-At': '1900000000'}, swift.clock())
    swift.create(BOX, NAME + '2', b'2', {}, swift.clock())
    swift.extend(BOX, NAME, 1_900_000_001)
    swift.get(BOX, NAME)
    swift.head_newest(BOX, NAME)
    swift.listing(BOX, prefix='\x00', marker='\x00a', end_marker='\x00z')
    swift.listing()
    swift.delete(BOX, NAME)
    swift.delete_container(BOX)


# -- what a sub-request carries -------------------------------------------------------------------

CLIENT_HEADERS = '''
    ACCEPT ACCESS_CONTROL_REQUEST_METHOD AUTHORIZATION CLIENT_ID CONTENT_TYPE COOKIE DATE EXPECT
    HOST IF_MATCH IF_MODIFIED_SINCE IF_NONE_MATCH ORIGIN RANGE REFERER TE TRANSFER_ENCODING
    USER_AGENT X_AUTH_TOKEN X_BACKEND_CONTAINER_UPDATE_OVERRIDE_ETAG X_BACKEND_OPEN_EXPIRED
    X_BACKEND_RECORD_TYPE X_BACKEND_REPLICATION X_BACKEND_STORAGE_POLICY_INDEX X_CONTAINER_READ
    X_CONTAINER_META_QUOTA_BYTES X_CONTAINER_SYSMETA_SWIFTQUEUE_GENERATION X_COPY_FROM
    X_DELETE_AFTER X_DELETE_AT X_IF_DELETE_AT X_NEWEST X_OBJECT_MANIFEST X_OBJECT_META_COLOUR
    X_OBJECT_SYSMETA_ANY X_PROJECT_ID X_ROLES X_SERVICE_TOKEN X_STORAGE_POLICY X_SYMLINK_TARGET
    X_TIMESTAMP X_USER_ID'''.split()
CLIENT_ENVIRON = '''
    CONTENT_LENGTH CONTENT_TYPE HTTPS PATH_INFO QUERY_STRING RAW_PATH_INFO REMOTE_USER
    REQUEST_METHOD keystone.identity keystone.token_info swift.authorize swift.authorize_override
    swift.clean_acl swift.shard_listing_history swift.source swift_owner swift_sync_key swob.ACL
    wsgi.input'''.split()
OURS = {
    'Content-Length', 'Content-Type', 'Host', 'If-None-Match', 'User-Agent', 'X-Delete-At',
    'X-Backend-Allow-Reserved-Names', 'X-Backend-Record-Type', 'X-Container-Sysmeta-A',
    'X-Newest', 'X-Timestamp'}


def watched(app, seen):
    """The app, with a copy of each environ it is called with in ``seen``."""
    def watch(environ, start_response):
        seen.append(dict(environ))
        return app(environ, start_response)
    watch.clock = app.clock
    return watch


def test_nothing_of_the_clients_request_leaks_into_a_subrequest(model):
    environ = {f'HTTP_{name}': 'leak' for name in CLIENT_HEADERS}
    environ |= dict.fromkeys(CLIENT_ENVIRON, 'leak')
    seen = []
    every_verb(watched(model, seen), environ)
    assert len(seen) > 10
    for each in seen:
        assert not [key for key, value in each.items() if 'leak' in str(value)]
    for call in model.calls:
        assert set(call.headers) <= OURS


def test_a_subrequest_inherits_what_logs_and_caches_need(model):
    inherited = {'swift.trans_id': 'tx1', 'swift.infocache': {}, 'swift.cache': object(),
                 'swift.base_labels': {}}
    seen = []
    make(watched(model, seen), inherited).listing()
    assert all(seen[0][key] is value for key, value in inherited.items())


def test_every_subrequest_says_that_it_is_ours_and_stays_in_the_account(model):
    every_verb(model)
    assert {call.swift_source for call in model.calls} == {'MQ'}
    assert {call.account for call in model.calls} == {ACCOUNT}


def test_subrequests_are_authorized_beforehand(model):
    seen = []
    denied = {'swift.authorize': lambda request: HTTPForbidden(request=request)}
    every_verb(watched(model, seen), denied)
    assert all(each['swift.authorize'](None) is None for each in seen)


@pytest.mark.parametrize('name', [
    'a?b', 'a#b', 'a%b', 'a%2Fb', 'a%00', 'a b', 'a&limit=1', 'a;b', 'ü', '\U0001f600', '..', '.',
    'a\nb', 'a//b', '"', "'", '\\', '+', 'x' * 200])
def test_any_name_reaches_its_own_object(swift, model, name):
    assert swift.store(BOX, '\x00' + name, b'here', {}, model.clock())
    assert swift.get(BOX, '\x00' + name).body == b'here'
    assert swift.listing(BOX, marker='\x00', end_marker='\x01')[0]['name'] == '\x00' + name
    assert {call.obj for call in model.calls if call.obj} == {'\x00' + name}
    assert [call.query for call in model.calls if call.obj] == ['', '']
    assert swift.get(BOX, '\x00a') is None


@pytest.mark.parametrize('marker', ['\x00a&limit=1', '\x00a?b', '\x00%41', '\x00ü#', '\x00a+b c'])
def test_any_marker_is_taken_as_it_is(swift, model, marker):
    for name in (marker, marker + '1'):
        swift.store(BOX, name, b'', {}, model.clock())
    assert [row['name'] for row in swift.listing(BOX, marker=marker)] == [marker + '1']
    assert [row['name'] for row in swift.listing(BOX, end_marker=marker + '1')] == [marker]
    assert len(swift.listing(BOX, prefix=marker)) == 2


def test_a_timestamp_is_written_as_swift_writes_it(swift, model):
    swift.store(BOX, NAME, b'', {}, 1_700_000_000.123456)
    stamp = model.calls[-1].headers['X-Timestamp']
    assert re.fullmatch(r'\d{10}\.\d{5}', stamp) and float(stamp) == pytest.approx(
        1_700_000_000.12346, rel=0, abs=0.00001)
    swift.store(BOX, NAME + '2', b'', {}, 7.5)
    assert model.calls[-1].headers['X-Timestamp'] == '0000000007.50000'


def test_objects_are_json_and_their_body_is_sent_whole(swift, model):
    body = bytes(range(256)) * 1000
    swift.store(BOX, NAME, body, {}, model.clock())
    assert model.calls[-1].headers['Content-Type'] == 'application/json'
    assert model.calls[-1].headers['Content-Length'] == '256000'
    assert swift.get(BOX, NAME).body == body


# -- what counts as success -----------------------------------------------------------------------

def test_a_202_is_never_taken_for_stored(swift, model):
    swift.store(BOX, NAME, b'old', {}, model.clock())
    model.fail(('PUT', BOX), 202, times=NEVER)
    with pytest.raises(Unavailable):
        swift.store(BOX, NAME, b'new', {}, model.clock())
    assert len([call for call in model.calls if call.method == 'PUT']) < 10
    with pytest.raises(Unavailable):
        swift.store(BOX, NAME + '2', b'new', {}, model.clock())
    assert swift.create(BOX, NAME, b'new', {}, model.clock()) == 202


def test_a_write_that_landed_in_part_is_not_taken_for_deleted(model, swift):
    """The one replica that has it is silent when Swift is asked what became of it."""
    def commit_on_one_replica(call):
        model.down_objects = {1, 2}
        model.on_commit = None

    def app(environ, start_response):
        if environ['REQUEST_METHOD'] == 'HEAD':
            model.down_objects = {0}
        elif puts:
            model.down_objects = set()
        puts.append(environ['REQUEST_METHOD'])
        return model(environ, start_response)
    puts = []
    model.on_commit = commit_on_one_replica
    with pytest.raises(Unavailable):
        make(app, clock=model.clock).store(BOX, NAME, b'', {}, model.clock())


def test_what_was_deleted_later_is_not_stored_again(swift, model):
    began = model.clock()
    swift.store(BOX, NAME, b'first', {}, began)
    model.clock.advance(1)
    swift.delete(BOX, NAME)
    assert swift.store(BOX, NAME, b'first', {}, began) is False
    assert swift.create(BOX, NAME, b'first', {}, began) == 202
    assert model.live_objects(ACCOUNT) == []


def test_what_a_faster_clock_wrote_is_overwritten_only_by_its_owner(swift, model):
    swift.store(BOX, NAME, b'theirs', {}, model.clock() + 30)
    assert swift.store(BOX, NAME, b'mine', {}, model.clock(), mine=lambda there: False) is False
    assert swift.get(BOX, NAME).body == b'theirs'
    assert swift.store(BOX, NAME, b'mine', {}, model.clock(), mine=lambda there: True) is True
    assert swift.get(BOX, NAME).body == b'mine'


def test_a_conditional_put_loses_to_what_is_there(swift, model):
    assert swift.create(BOX, NAME, b'first', {}, model.clock()) == 201
    model.clock.advance(1)
    assert swift.create(BOX, NAME, b'second', {}, model.clock()) == 412
    assert swift.get(BOX, NAME).body == b'first'


def test_a_quota_says_so(swift, model):
    model.fail(('PUT', BOX), 413, times=NEVER)
    with pytest.raises(QuotaExceeded):
        swift.store(BOX, NAME, b'', {}, model.clock())
    with pytest.raises(QuotaExceeded):
        swift.put_container(BOX)


def test_a_container_that_is_not_there_is_a_generation_that_is_gone(swift, model):
    with pytest.raises(GenerationGone):
        swift.store('\x00other', NAME, b'', {}, model.clock())
    with pytest.raises(GenerationGone):
        swift.listing('\x00other')
    assert swift.get('\x00other', NAME) is None
    assert swift.head_container('\x00other').status == 404
    assert swift.post_container('\x00other', {}) is False
    assert swift.delete_container('\x00other') is True


def test_a_container_is_new_once_and_stays_while_something_is_in_it(swift, model):
    assert swift.put_container('\x00other') is True
    assert swift.put_container('\x00other') is False
    swift.store(BOX, NAME, b'', {}, model.clock())
    model.clock.advance(1)
    assert swift.delete_container(BOX) is False
    swift.delete(BOX, NAME)
    model.clock.advance(1)
    assert swift.delete_container(BOX) is True


def test_an_account_without_anything_lists_nothing():
    assert make(ModelSwift(account_autocreate=False)).listing() == []


# -- failures and tries ---------------------------------------------------------------------------

WRITES = {
    'PUT object': lambda swift: swift.store(BOX, '\x00new', b'new', {}, swift.clock()),
    'POST object': lambda swift: swift.extend(BOX, NAME, 1_900_000_000),
    'DELETE object': lambda swift: swift.delete(BOX, NAME),
    'PUT container': lambda swift: swift.put_container('\x00other'),
    'POST container': lambda swift: swift.post_container(BOX, {'X-Container-Sysmeta-A': '1'}),
    'DELETE container': lambda swift: swift.delete_container('\x00empty')}


@pytest.fixture
def filled(swift, model):
    swift.store(BOX, NAME, b'old', {}, model.clock())
    swift.put_container('\x00empty')
    model.clock.advance(1)
    model.calls.clear()
    return swift


def of(kind):
    method = kind.split()[0]
    return lambda call: call.method == method


@pytest.mark.parametrize('kind', WRITES)
def test_a_write_is_tried_again_under_the_same_timestamp(filled, model, kind):
    fault = model.fail(of(kind), 'timeout', times=2)  # each lets ten seconds pass
    began = model.clock()
    assert WRITES[kind](filled) is not False
    assert fault.hits == 2 and model.clock() > began
    stamps = {call.headers['X-Timestamp'] for call in model.calls}
    assert stamps == {f'{began:.5f}'}


@pytest.mark.parametrize('kind', WRITES)
def test_a_write_that_keeps_failing_is_given_up(filled, model, kind):
    model.fail(of(kind), 503, times=NEVER)
    with pytest.raises(Unavailable):
        WRITES[kind](filled)
    assert 1 < len(model.calls) < 10


@pytest.mark.parametrize('kind', WRITES)
@pytest.mark.parametrize('lost', [1, 2])
def test_a_write_whose_answer_was_lost_is_done_once(filled, model, kind, lost):
    fault = model.fail(of(kind), 503, times=lost, after_work=True)
    WRITES[kind](filled)
    assert fault.hits == lost
    there = {name: filled.get(BOX, name) for name in (NAME, '\x00new')}
    assert (there[NAME] is None) == (kind == 'DELETE object')
    assert (there['\x00new'] is None) == (kind != 'PUT object')
    assert ('\x00other' in model.containers(ACCOUNT)) == (kind == 'PUT container')
    assert ('\x00empty' in model.containers(ACCOUNT)) == (kind != 'DELETE container')


def test_a_full_disk_is_not_tried_again(swift, model):
    model.fail(('PUT', NAME), 507, times=NEVER)
    with pytest.raises(Unavailable):
        swift.store(BOX, NAME, b'', {}, model.clock())
    assert len(model.calls) == 1


READS = [Swift.get_newest, Swift.head_newest]


def telling(model, *found):
    """A client of Swift whose object servers say this."""
    swift = make(model, primaries=lambda *asked: Replicas(tuple(found), 3))
    swift.put_container(BOX)
    return swift


def replica(status, instant=0):
    return Replica(status, {'x-backend-timestamp': Timestamp(instant).internal, 'etag': 'theirs'} if instant else {})


@pytest.mark.parametrize('read', READS)
def test_without_a_quorum_of_object_servers_nothing_is_known(model, read):
    swift = telling(model, replica(404))
    with pytest.raises(Unavailable):
        read(swift, BOX, NAME)
    swift.store(BOX, NAME, b'body', {}, model.clock())
    with pytest.raises(Unavailable):
        read(swift, BOX, NAME)


@pytest.mark.parametrize('read', READS)
def test_a_tombstone_that_swift_did_not_see_counts(model, read):
    swift = telling(model, replica(200, model.clock()), replica(404, model.clock() + 1))
    swift.store(BOX, NAME, b'body', {}, model.clock())
    assert read(swift, BOX, NAME) is None


@pytest.mark.parametrize('read', READS)
def test_where_swift_sees_more_than_the_primaries_it_is_right(model, read):
    swift = telling(model, replica(200, 1), replica(404, 2))
    swift.store(BOX, NAME, b'body', {}, model.clock())
    assert read(swift, BOX, NAME).timestamp == model.clock()


def test_newer_headers_than_swift_shows_are_taken_and_a_newer_body_is_waited_for(model):
    swift = telling(model, replica(404), replica(200, model.clock() + 1))
    swift.store(BOX, NAME, b'body', {}, model.clock())
    assert swift.head_newest(BOX, NAME).headers['etag'] == 'theirs'
    with pytest.raises(Unavailable):
        swift.get_newest(BOX, NAME)
    swift.request('DELETE', BOX, NAME, timestamp=model.clock() + 0.1)  # Swift says 404, but of something older
    assert swift.head_newest(BOX, NAME).headers['etag'] == 'theirs'


def test_what_no_server_has_is_not_there(model):
    swift = telling(model, replica(404), replica(404))
    assert swift.get_newest(BOX, NAME) is None
    assert swift.head_newest(BOX, NAME) is None


def test_a_slow_clock_deletes_what_a_fast_one_wrote(model, swift):
    swift.store(BOX, NAME, b'', {}, model.clock() + 30)
    swift.delete(BOX, NAME)
    assert [call.status for call in model.calls if call.method == 'DELETE'] == [409, 204]
    assert swift.get_newest(BOX, NAME) is None
    assert model.live_objects(ACCOUNT) == []


def test_a_slow_clock_extends_what_a_fast_one_wrote(model, swift):
    began = int(model.clock())
    swift.store(BOX, NAME, b'body', {'X-Delete-At': str(began + 60)}, model.clock() + 30)
    assert swift.extend(BOX, NAME, began + 120) is True
    model.clock.advance(90)
    assert swift.get(BOX, NAME) is not None


def test_what_is_not_there_can_be_deleted_but_not_extended(swift):
    swift.delete(BOX, NAME)
    assert swift.extend(BOX, NAME, 1_900_000_000) is False


def _kind(failure):
    return type(failure).__name__ if isinstance(failure, BaseException) else str(failure)


FAILURES = [500, 502, 503, 504, 412, 'timeout', RuntimeError('below us'), OSError(),
            eventlet.Timeout(None)]


@pytest.mark.parametrize('failure', FAILURES, ids=_kind)
def test_a_read_that_failed_is_never_an_absence(swift, model, failure):
    model.fail(lambda call: call.method in ('GET', 'HEAD'), failure, times=NEVER)
    reads = [partial(swift.listing, BOX), swift.listing, partial(swift.get, BOX, NAME),
             partial(swift.head_newest, BOX, NAME),
             partial(swift.head_container, BOX)]
    for read in reads:
        with pytest.raises(Unavailable):
            read()


@pytest.mark.parametrize('failure', FAILURES[-3:], ids=_kind)
def test_a_failure_below_is_a_503_and_does_not_hide_the_rest_of_its_batch(swift, model, failure):
    model.fail(('PUT', '\x002'), failure, times=NEVER)
    statuses = swift.at_most(
        lambda name: swift.request('PUT', BOX, name, timestamp=model.clock()).status,
        ['\x001', '\x002', '\x003'])
    assert statuses == [201, 503, 201]


class Broken:
    """An answer whose body breaks off, or never comes."""

    def __init__(self, error):
        self.error = error
        self.closed = False

    def __call__(self, environ, start_response):
        start_response('200 OK', [('Content-Type', 'application/json')])
        return self

    def __iter__(self):
        yield b'[{"name": '
        raise self.error

    def close(self):
        self.closed = True


@pytest.mark.parametrize('error', [OSError('reset'), ValueError(), eventlet.Timeout(None)])
def test_an_answer_that_breaks_off_is_closed_and_counts_as_a_failure(error):
    app = Broken(error)
    with pytest.raises(Unavailable):
        make(app).listing(BOX)
    assert app.closed


def test_a_request_that_is_killed_stays_killed():
    app = Broken(eventlet.greenlet.GreenletExit())
    with pytest.raises(eventlet.greenlet.GreenletExit):
        make(app).request('GET', BOX)
    assert app.closed


@pytest.mark.parametrize('status', [200, 404, 412, 500])
def test_bodies_are_closed_whatever_the_answer(swift, model, status):
    swift.store(BOX, NAME, b'x' * 300_000, {}, model.clock())
    if status != 200:
        model.fail(('GET', NAME), status)
    assert swift.request('GET', BOX, NAME).status == status
    model.assert_no_leaks()


# -- several at once ------------------------------------------------------------------------------

@pytest.mark.parametrize('at_once', [1, 3, 10])
def test_several_at_once_keep_their_order_and_their_bound(model, at_once):
    running, most = 0, 0

    def work(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(4 - number % 4):  # so that they end in another order than they began
            eventlet.sleep()
        running -= 1
        return number * 2
    assert make(model, at_once=at_once).at_most(work, iter(range(20))) == list(range(0, 40, 2))
    assert most == at_once


@pytest.mark.parametrize('count', [1, 5])
def test_an_error_of_one_of_several_is_raised(model, count):
    with pytest.raises(GenerationGone):
        make(model).at_most(lambda number: make(model).listing('\x00other'), range(count))


# -- authorization --------------------------------------------------------------------------------

@pytest.fixture
def anonymous(model):
    """What a request without credentials brings along, behind Swift's own auth filter."""
    auth = filter_factory({}, user_test_al='secret .admin')(model)
    return {'swift.authorize': auth.authorize, 'swift.clean_acl': clean_acl, 'SERVER_NAME': 'host',
            'SERVER_PORT': '80', 'REQUEST_METHOD': 'POST', 'PATH_INFO': '/v2/queues/jobs',
            'wsgi.url_scheme': 'http'}


def test_a_container_sync_key_opens_no_queue(anonymous):
    environ = anonymous | {'swift_sync_key': 'secret', 'HTTP_X_CONTAINER_SYNC_KEY': 'secret',
                           'HTTP_X_TIMESTAMP': '1800000000.00000'}
    container = Request(environ | {'PATH_INFO': '/v1/AUTH_test/jobs'})
    assert environ['swift.authorize'](container) is None  # a container it would open
    with pytest.raises(Unauthorized):
        make(None, environ).authorize('GET', 'jobs')


def test_a_temporary_url_opens_no_queue(anonymous):
    environ = anonymous | {
        'REMOTE_USER': '.wsgi.tempurl', 'swift.authorize': authorize_same_account(ACCOUNT),
        'swift.authorize_override': True}
    with pytest.raises((Forbidden, Unauthorized)):
        make(None, environ).authorize('GET', 'jobs')


def test_asking_leaves_the_request_as_it_was(anonymous):
    environ = anonymous | {'REMOTE_USER': 'test,test:al,AUTH_test', 'swob.ACL': 'x',
                           'HTTP_REFERER': 'http://example.com/'}
    before = dict(environ)
    make(None, environ).authorize('PUT', 'jobs', 'other:bob')
    assert environ == before


def test_the_auth_filter_is_asked_about_a_container_of_the_account():
    asked = []
    swift = make(None, {'swift.authorize': asked.append, 'PATH_INFO': '/v2/queues/x',
                        'QUERY_STRING': 'a=b', 'SCRIPT_NAME': '/prefix',
                        'REQUEST_METHOD': 'DELETE', 'HTTP_X_CONTAINER_READ': '.r:*',
                        'HTTP_REFERER': 'http://example.com/', 'swift_sync_key': 'secret'})
    swift.authorize('GET', 'jobs', 'x:y')
    request, = asked
    assert (request.method, request.path) == ('GET', '/v1/AUTH_test/jobs')
    assert not request.query_string
    assert request.acl == 'x:y' and not {'X-Container-Read', 'Referer'} & set(request.headers)
    assert 'swift_sync_key' not in request.environ


@pytest.mark.parametrize('answer, error', [
    (HTTPUnauthorized(), Unauthorized), (HTTPForbidden(), Forbidden), (HTTPNotFound(), Forbidden)])
def test_a_refusal_tells_missing_credentials_from_missing_rights(answer, error):
    with pytest.raises(error):
        make(None, {'swift.authorize': lambda request: answer}).authorize('GET', 'jobs')


def test_without_an_auth_filter_everybody_may():
    make(None).authorize('PUT', 'jobs')
    make(None).check_acl('write', 'whatever')


@pytest.mark.parametrize('right, acl', [('read', '.r:'), ('read', '.x:y'), ('write', '.r:*')])
def test_an_acl_that_swift_would_not_take_is_refused(anonymous, right, acl):
    with pytest.raises(Invalid):
        make(None, anonymous).check_acl(right, acl)
    make(None, anonymous).check_acl(right, 'other:bob')
    make(None, anonymous).check_acl(right, None)
