"""The cache: gates, bells, epochs and starts, and what is left of them when it fails."""

import pytest
from model_swift import Clock, ModelCache

from swiftqueue.cache import Cache

BOX, NAME = '\x00claims\x00jobs\x00g1\x000', '\x00id\x00000001'
ACCOUNT = 'AUTH_secret_tenant'


@pytest.fixture
def ring():
    return ModelCache(Clock())


@pytest.fixture
def caches(ring):
    """Two proxies with one memcached."""
    return Cache(ring, ACCOUNT), Cache(ring, ACCOUNT)


def test_a_gate_lets_one_in_until_its_time_is_over(ring, caches):
    one, other = caches
    assert one.enter_gate(BOX, NAME, 30) is True
    assert other.enter_gate(BOX, NAME, 30) is False
    ring.clock.advance(29)
    assert one.enter_gate(BOX, NAME, 30) is False  # and trying does not make it longer
    ring.clock.advance(1)
    assert other.enter_gate(BOX, NAME, 30) is True


def test_each_delivery_of_each_message_has_its_own_gate(ring, caches):
    one, other = caches
    assert one.enter_gate(BOX, NAME, 30) is True
    for container, name in ((BOX, '\x00id\x00000002'), (BOX, '\x00other\x00000001'),
                            (BOX.replace('g1', 'g2'), NAME), (BOX.replace('jobs', 'job'), NAME)):
        assert other.enter_gate(container, name, 30) is True
    assert Cache(ring, 'AUTH_other').enter_gate(BOX, NAME, 30) is True


def test_an_opened_gate_lets_the_next_one_in(caches):
    one, other = caches
    one.enter_gate(BOX, NAME, 30)
    one.open_gate(BOX, NAME)
    assert other.enter_gate(BOX, NAME, 30) is True


def test_a_wiped_cache_has_forgotten_its_gates(ring, caches):
    one, other = caches
    one.enter_gate(BOX, NAME, 30)
    ring.wipe()
    assert other.enter_gate(BOX, NAME, 30) is True


def test_a_bell_changes_for_everybody_when_somebody_rings(caches):
    one, other = caches
    seen = [one.bell('jobs')]
    for token, ringer in (('a', one), ('b', other), ('c', one)):
        ringer.ring_bell('jobs', token)
        seen.append(one.bell('jobs'))
        assert other.bell('jobs') == one.bell('jobs')
    assert len(set(seen)) == len(seen)


def test_many_bells_are_read_in_one_request_whichever_server_their_keys_would_be_on():
    ring = ModelCache(Clock(), servers=5)
    caches = [Cache(ring, f'AUTH_{number}') for number in range(10)]
    for cache in caches[1:]:
        cache.ring_bell('jobs', cache.account)
    assert caches[0].bells([cache.bell_key('jobs') for cache in caches]) == [
        None, *(cache.account for cache in caches[1:])]
    ring.down = True
    assert caches[0].bells([caches[1].bell_key('jobs')]) is None
    assert Cache(None, ACCOUNT).bells(['any']) is None


def test_one_queues_bell_and_epoch_are_not_anothers(ring, caches):
    one, _ = caches
    one.ring_bell('jobs', 'b1')
    one.set_epoch('jobs', 'e1')
    for other, queue in ((one, 'jobs2'), (Cache(ring, 'AUTH_other'), 'jobs')):
        assert other.bell(queue) is None and other.epoch(queue) is None


def test_an_epoch_is_what_was_set_last(ring, caches):
    one, other = caches
    assert one.epoch('jobs') is None
    one.set_epoch('jobs', 'e1')
    assert other.epoch('jobs') == 'e1'
    other.set_epoch('jobs', 'e2')
    assert one.epoch('jobs') == 'e2'
    ring.wipe()
    assert one.epoch('jobs') is None


def test_a_start_is_of_one_generation(ring, caches):
    one, other = caches
    assert one.start('jobs', 'g1') == ''
    one.set_start('jobs', 'g1', 'm1')
    one.set_start('jobs', 'g1', 'm2')
    assert other.start('jobs', 'g1') == 'm2'
    assert other.start('jobs', 'g2') == other.start('job', 'g1') == ''
    assert Cache(ring, 'AUTH_other').start('jobs', 'g1') == ''


def everything(cache):
    """What each call answers where nobody can tell."""
    cache.ring_bell('jobs', 'b1')
    cache.set_epoch('jobs', 'e1')
    cache.set_start('jobs', 'g1', 'm1')
    cache.open_gate(BOX, NAME)
    return cache.enter_gate(BOX, NAME, 30), cache.bell('jobs'), cache.epoch('jobs'), cache.start('jobs', 'g1')


def test_without_a_cache_nobody_can_tell():
    assert everything(Cache(None, ACCOUNT)) == (None, None, None, '')


def test_while_the_cache_is_down_nobody_can_tell(ring, caches):
    for cache in caches:
        cache.enter_gate(BOX, NAME, 30)
    ring.down = True
    assert everything(caches[0]) == (None, None, None, '')


def test_what_was_known_before_an_outage_still_holds_after_it(ring, caches):
    one, other = caches
    one.enter_gate(BOX, NAME, 30)
    ring.down = True
    assert other.enter_gate(BOX, NAME, 30) is None
    ring.down = False
    assert other.enter_gate(BOX, NAME, 30) is False


class Watched:
    """A memcached that shows which keys it was asked for."""

    def __init__(self, ring):
        self.ring = ring
        self.keys = set()

    def __getattr__(self, method):
        def call(keys, *values, **options):
            self.keys.update([keys] if isinstance(keys, str) else keys)
            return getattr(self.ring, method)(keys, *values, **options)
        return call


def test_keys_tell_nothing_and_fit_in_memcached(ring):
    watched = Watched(ring)
    cache = Cache(watched, ACCOUNT)
    everything(cache)
    assert len(watched.keys) == 4
    for key in watched.keys:
        assert key.startswith('swiftqueue-')
        assert len(key) <= 250 and key.isprintable() and ' ' not in key
        assert not [word for word in (ACCOUNT, 'secret', 'jobs', '\x00') if word in key]


def test_a_gate_a_bell_and_an_epoch_of_one_name_do_not_meet(ring):
    cache = Cache(ring, ACCOUNT)
    cache.enter_gate('jobs', '', 30)
    cache.ring_bell('jobs', 'b1')
    assert cache.epoch('jobs') is None
    cache.set_epoch('jobs', 'e1')
    assert cache.bell('jobs') not in (None, 'e1')


@pytest.mark.parametrize('account', ['AUTH_ünï', 'AUTH_\U0001f600', 'x' * 256])
def test_any_account_has_keys(ring, account):
    assert None not in everything(Cache(ring, account))
