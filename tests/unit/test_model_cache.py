"""The in-memory memcached behaves as Swift's client makes a real one look."""

import pytest
from model_swift import Clock, ModelCache
from swift.common.exceptions import MemcacheConnectionError


@pytest.fixture
def clock():
    return Clock()


def test_a_key_of_the_cache_lives_as_long_as_was_said(clock):
    cache = ModelCache(clock)
    cache.set('key', [1], time=5)
    assert cache.incr('count', time=5) == 1
    clock.advance(4)
    assert cache.get('key') == [1] and cache.incr('count', time=5) == 2
    clock.advance(1)
    assert cache.get('key') is None and cache.incr('count') == 1


def test_less_than_a_second_in_the_cache_is_for_ever(clock):
    cache = ModelCache(clock)
    cache.set('key', 1, time=0.5)
    clock.advance(10 ** 6)
    assert cache.get('key') == 1
    cache.wipe()
    assert cache.get('key') is None


def test_a_cache_that_is_down_loses_writes_and_refuses_to_count(clock):
    cache = ModelCache(clock)
    cache.set('key', 1)
    cache.down = True
    cache.set('key', 2)
    cache.delete('key')
    assert cache.get('key') is None and cache.get_multi(['key'], 'key') is None
    for refused in (lambda: cache.incr('n'), lambda: cache.decr('n'),
                    lambda: cache.get('key', raise_on_error=True),
                    lambda: cache.set('key', 2, raise_on_error=True)):
        with pytest.raises(MemcacheConnectionError):
            refused()
    cache.down = False
    assert cache.get('key') == 1


def test_a_count_is_read_back_as_bytes(clock):
    cache = ModelCache(clock)
    cache.incr('n', 5)
    assert cache.get('n') == b'5' and cache.get_multi(['n', 'm'], 'n') == [b'5', None]


def test_with_several_servers_get_multi_misses_what_lies_on_the_others(clock):
    cache = ModelCache(clock, servers=2)
    keys = [str(number) for number in range(20)]
    for key in keys:
        cache.incr(key)
    found = cache.get_multi(keys, 'together')
    assert None in found and b'1' in found
    assert all(cache.get(key) == b'1' for key in keys)
