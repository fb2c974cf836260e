"""The embedded memcached, through Swift's own client and over a bare socket."""

import io
import logging
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest
from swift.common.memcached import MemcacheRing

from swiftqueue.cluster.memcache import OVERHEAD, Store, converse

DAY = 86400

SERVER = """
import eventlet
eventlet.monkey_patch()
import socket
from swiftqueue.cluster import memcache
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
memcache.serve(listener, memcache.Store())
"""


class SwiftLogger(logging.Logger):
    def timing_since(self, *_args, **_kwargs):
        pass


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def say(clock):
    """Send bytes to a server whose clock the test owns; get its answers back."""
    store = Store(clock=clock)

    def say(request):
        return b''.join(converse(store, io.BytesIO(request)))
    return say


@pytest.fixture(scope='module')
def address():
    with subprocess.Popen([sys.executable, '-c', SERVER], stdout=subprocess.PIPE) as server:
        yield '127.0.0.1', int(server.stdout.readline())
        server.kill()


@pytest.fixture
def ring(address):
    host, port = address
    return MemcacheRing([f'{host}:{port}'], logger=SwiftLogger('memcache'))


@pytest.fixture
def connection(address):
    with socket.create_connection(address, timeout=5) as connection:
        yield connection


def test_swift_gets_back_what_it_set(ring):
    ring.set('key', {'some': ['json', 1]}, raise_on_error=True)
    assert ring.get('key', raise_on_error=True) == {'some': ['json', 1]}


def test_swift_misses_what_was_never_set_or_is_deleted(ring):
    ring.set('deleted', 1, raise_on_error=True)
    ring.delete('deleted')
    assert ring.get('deleted', raise_on_error=True) is None
    assert ring.get('never', raise_on_error=True) is None


def test_swift_sets_and_gets_many(ring):
    ring.set_multi({'one': 1, 'two': 'zwei'}, 'where')
    assert ring.get_multi(['two', 'three', 'one'], 'where') == ['zwei', None, 1]


def test_swift_gets_thousands_of_keys_at_once(ring):
    ring.set('last', 'there', raise_on_error=True)
    keys = [f'key {number}' for number in range(3000)] + ['last']
    assert ring.get_multi(keys, 'where') == [None] * 3000 + ['there']


def test_swift_counts_up_from_nothing_and_not_below_zero(ring):
    assert [ring.incr('counter', time=60) for _ in range(3)] == [1, 2, 3]
    assert ring.decr('counter', delta=2) == 1
    assert ring.decr('counter', delta=2) == 0


def test_exactly_one_of_many_clients_gets_the_first_count(address):
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address, timeout=5))
                   for _ in range(20)]
        for client in clients:
            client.sendall(b'add gate 0 30 1\r\n1\r\n')
        answers = sorted(client.recv(100) for client in clients)
    assert answers == [b'NOT_STORED\r\n'] * 19 + [b'STORED\r\n']


def test_swift_refreshes_a_counter_value_through_get(ring):
    ring.incr('bell', delta=7, time=30)
    assert int(ring.get('bell', raise_on_error=True)) == 7


def test_a_client_that_pipelines_gets_its_answers_in_order(connection):
    connection.sendall(b'set a 5 0 1\r\nx\r\nget a\r\nversion\r\nincr none 1\r\nquit\r\n')
    answer = connection.makefile('rb').read()
    assert answer.startswith(b'STORED\r\nVALUE a 5 1\r\nx\r\nEND\r\nVERSION ')
    assert answer.endswith(b'\r\nNOT_FOUND\r\n')


def test_a_client_that_vanishes_in_the_middle_disturbs_nobody(address, ring):
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(b'set half 0 0 1000\r\nonly this much')
    ring.set('other', 'fine', raise_on_error=True)
    assert ring.get('other', raise_on_error=True) == 'fine'
    assert ring.get('half', raise_on_error=True) is None


def test_values_are_any_bytes(say):
    value = bytes(range(256)) + b'\r\nEND\r\n'
    assert say(b'set k 0 0 %d\r\n%s\r\n' % (len(value), value)) == b'STORED\r\n'
    assert say(b'get k\r\n') == b'VALUE k 0 %d\r\n%s\r\nEND\r\n' % (len(value), value)


@pytest.mark.parametrize('command, stored', [(b'set', [True, True]), (b'add', [True, False]),
                                             (b'replace', [False, False])])
def test_each_storing_command_has_its_condition(say, command, stored):
    answers = say(b'%s k 0 0 1\r\nx\r\n' % command * 2)
    assert answers == b''.join(b'STORED\r\n' if done else b'NOT_STORED\r\n' for done in stored)


def test_cas_stores_only_over_the_version_that_was_read(say):
    say(b'set k 0 0 3\r\nold\r\n')
    unique = say(b'gets k\r\n').split()[4]
    assert say(b'cas k 0 0 3 %s\r\nnew\r\n' % unique) == b'STORED\r\n'
    assert say(b'cas k 0 0 4 %s\r\nlate\r\n' % unique) == b'EXISTS\r\n'
    assert say(b'cas none 0 0 4 %s\r\nlate\r\n' % unique) == b'NOT_FOUND\r\n'
    assert b'new' in say(b'get k\r\n')


def test_counters_wrap_at_64_bits(say):
    say(b'set k 0 0 20\r\n18446744073709551615\r\n')
    assert say(b'incr k 2\r\n') == b'1\r\n'


def test_counting_keeps_the_time_of_expiry(say, clock):
    say(b'add k 0 30 1\r\n1\r\n')
    clock.now += 29
    assert say(b'incr k 1\r\n') == b'2\r\n'
    clock.now += 1
    assert say(b'incr k 1\r\n') == b'NOT_FOUND\r\n'


def test_items_without_expiry_time_stay(say, clock):
    say(b'set k 0 0 1\r\nx\r\n')
    clock.now += 1000 * DAY
    assert say(b'get k\r\n') == b'VALUE k 0 1\r\nx\r\nEND\r\n'


def test_items_expire_after_their_seconds(say, clock):
    say(b'set k 0 %d 1\r\nx\r\n' % (30 * DAY))
    clock.now += 30 * DAY - 1
    assert say(b'get k\r\n') != b'END\r\n'
    clock.now += 1
    assert say(b'get k\r\n') == b'END\r\n'


def test_more_than_thirty_days_is_an_instant(say, clock):
    say(b'set k 0 %d 1\r\nx\r\n' % (clock.now + 31 * DAY))
    clock.now += 31 * DAY - 1
    assert say(b'get k\r\n') != b'END\r\n'
    clock.now += 1
    assert say(b'get k\r\n') == b'END\r\n'


def test_swift_may_ask_for_more_than_thirty_days(ring):
    ring.set('long', 'life', time=40 * DAY, raise_on_error=True)
    assert ring.get('long', raise_on_error=True) == 'life'


def test_a_negative_expiry_time_is_over_at_once(say):
    assert say(b'set k 0 -1 1\r\nx\r\nget k\r\n') == b'STORED\r\nEND\r\n'


def test_what_has_expired_can_be_added_again(say, clock):
    say(b'add k 0 10 1\r\nx\r\n')
    clock.now += 10
    assert say(b'add k 0 10 1\r\ny\r\n') == b'STORED\r\n'


def test_touch_moves_the_time_of_expiry(say, clock):
    say(b'set k 0 10 1\r\nx\r\n')
    assert say(b'touch k 100\r\n') == b'TOUCHED\r\n'
    assert say(b'touch none 100\r\n') == b'NOT_FOUND\r\n'
    clock.now += 99
    assert b'VALUE k' in say(b'get k\r\n')


def test_flush_all_leaves_nothing(say):
    assert say(b'set k 0 0 1\r\nx\r\nflush_all\r\nget k\r\n') == b'STORED\r\nOK\r\nEND\r\n'


def test_noreply_silences_success_only(say):
    assert say(b'set k 0 0 1 noreply\r\nx\r\nincr k 1 noreply\r\n').startswith(b'CLIENT_ERROR')
    assert say(b'delete k noreply\r\nget k\r\n') == b'END\r\n'


def test_what_was_used_longest_ago_goes_first_when_memory_is_full(clock):
    store = Store(limit=3 * (OVERHEAD + 1 + 10), clock=clock)
    for key in (b'a', b'b', b'c'):
        store.set(key, b'0123456789', 0, None)
    store.get(b'a')
    store.set(b'd', b'0123456789', 0, None)
    assert [key for key in (b'a', b'b', b'c', b'd') if store.get(key)] == [b'a', b'c', b'd']


def test_overwriting_and_deleting_give_memory_back(clock):
    store = Store(limit=2 * (OVERHEAD + 1 + 10), clock=clock)
    store.set(b'kept', b'', 0, None)
    for _ in range(100):
        store.set(b'a', b'0123456789', 0, None)
        store.delete(b'a')
        store.set(b'a', b'0123456789', 0, None)
    assert store.get(b'kept')


@pytest.mark.parametrize('request_, answer', [
    (b'nonsense\r\n', b'ERROR'),
    (b'\r\n', b'ERROR'),
    (b'get\r\n', b'ERROR'),
    (b'set k 0 0\r\n', b'ERROR'),
    (b'incr k\r\n', b'ERROR'),
    (b'get ' + b'k' * 251 + b'\r\n', b'CLIENT_ERROR'),
    (b'get k\x01\r\n', b'CLIENT_ERROR'),
    (b'set k 0 0 -1\r\n', b'CLIENT_ERROR'),
    (b'set k zero 0 1\r\n', b'CLIENT_ERROR'),
    (b'set k 0 0 1\r\nlong\r\n', b'CLIENT_ERROR'),
    (b'set k 0 0 9\r\nshort', b'CLIENT_ERROR'),
    (b'incr k -1\r\n', b'CLIENT_ERROR'),
    (b'set k 0 0 1\r\nx\r\nincr k 1\r\n', b'STORED\r\nCLIENT_ERROR'),
    (b'get ' + b'k ' * 2 ** 20 + b'\r\n', b'CLIENT_ERROR'),
])
def test_bad_requests_are_refused(say, request_, answer):
    assert say(request_).startswith(answer)


def test_a_value_over_a_megabyte_is_refused_and_what_it_replaces_forgotten(say):
    say(b'set k 0 0 3\r\nold\r\n')
    large = b'set k 0 0 %d\r\n%s\r\n' % (2 ** 20 + 1, bytes(2 ** 20 + 1))
    answer = say(large + b'get k\r\n')
    assert answer == b'SERVER_ERROR object too large for cache\r\nEND\r\n'
