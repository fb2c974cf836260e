"""The attributes that the engine knows: which values they take, and what stands for none."""

import pytest

from swiftqueue.attributes import check, defaults, effective
from swiftqueue.errors import Invalid
from swiftqueue.limits import Options

OPTIONS = Options(min_message_ttl=60, max_message_ttl=1000, max_message_delay=900,
                  default_message_ttl=600, default_message_delay=5, max_messages_post_size=2000, max_shards=32)

RETRIES = {'retries_with_no_delay': 0, 'minimum_delay_retries': 1, 'minimum_delay': 5,
           'maximum_delay': 15, 'maximum_delay_retries': 3,
           'retry_backoff_function': 'geometric', 'ignore_subscription_override': True}

# attribute: values that are taken, values that are refused
RESERVED = {
    '_max_messages_post_size': ([1, 2000], [0, 2001, -1, '1', 1.5, True]),
    '_default_message_ttl': ([60, 1000], [59, 1001, 0, '60', 60.0, False]),
    '_default_message_delay': ([0, 900], [-1, 901, '0', True]),
    '_dead_letter_queue': (['dead', 'a.b-c_9'],
                           ['', 'a/b', '..', 'x' * 81, 'a\n', 7, True, ['dead']]),
    '_dead_letter_queue_messages_ttl': ([60, 1000], [59, 1001, 'x', True]),
    '_max_claim_count': ([1, 10, 999_999], [0, -1, 1_000_000, '10', True, 2.0]),
    '_enable_encrypt_messages': ([False], ['false', 0, 1, []]),
    '_retry_policy': (
        [{}, RETRIES, {'minimum_delay': 5}, {'maximum_delay': 5},
         *({'retry_backoff_function': word} for word in (
             'linear', 'arithmetic', 'geometric', 'exponential'))],
        [[], 'x', 7, {'unknown': 1}, {'minimum_delay': -1}, {'minimum_delay': '5'},
         {'minimum_delay': True}, {'retry_backoff_function': 'other'},
         {'retry_backoff_function': ['linear']}, {'ignore_subscription_override': 1},
         {'minimum_delay': 10, 'maximum_delay': 19}, {'minimum_delay': 20, 'maximum_delay': 10}]),
    '_read_acl': (['', 'other:bob', '*:bob,tenant:*', 'x' * 1024],
                  ['x' * 1025, 'a\r\nX-Evil: 1', 'a\x00', 7, ['a'], {'a': 1}]),
    '_write_acl': (['', 'other:bob'], ['x' * 1025, 'a\nb', False]),
    '_shards': ([1, 2, 32], [0, -1, 33, '2', 2.0, True]),
    '_flavor': (['gold'], ['', 'a/b', 'x' * 65, 7, {}]),
    '_max_message_size': ([1, 1048576], [0, 1048577, '1024', True]),
    '_default_claim_ttl': ([0, 43200], [-1, 43201, '30', True]),
    '_default_wait': ([0, 20, 60], [-1, 61, '20', False]),
    '_dead_letters_from': ([[], ['a', 'b']], ['a', {}, [7], ['a/b']]),
    '_tags': ([{}, {'a': 'b', '': ''}], [[], 'a', {'a': 7}]),
    '_policy': ([{}, {'Statement': []}], [[], '{}', 7]),
}


@pytest.mark.parametrize('name, value', [
    (name, value) for name, (good, _) in RESERVED.items() for value in [*good, None]])
def test_an_attribute_takes(name, value):
    check({name: value}, 'jobs', OPTIONS, encrypted=False)


@pytest.mark.parametrize('name, value', [
    (name, value) for name, (_, bad) in RESERVED.items() for value in bad])
def test_an_attribute_refuses(name, value):
    with pytest.raises(Invalid):
        check({'colour': 'red', name: value}, 'jobs', OPTIONS, encrypted=False)


@pytest.mark.parametrize('name', sorted(set(RESERVED) - {'_dead_letter_queue', '_flavor'}))
def test_a_refusal_names_the_attribute(name):
    with pytest.raises(Invalid, match=name):
        check({name: RESERVED[name][1][-1]}, 'jobs', OPTIONS, encrypted=False)


def test_every_attribute_with_a_default_is_in_the_table_above():
    assert set(defaults(OPTIONS)) <= set(RESERVED)


@pytest.mark.parametrize('value', [
    None, 'red', 7, True, [1], {'deep': [None]}, '\x00\r\n', 'x' * 5000])
def test_any_other_attribute_is_the_tenants_own(value):
    check({'colour': value, '_other': value, 'max_claim_count': value, '': value}, 'jobs',
          OPTIONS, encrypted=False)


def test_a_queue_is_not_its_own_dead_letter_queue():
    with pytest.raises(Invalid):
        check({'_dead_letter_queue': 'jobs'}, 'jobs', OPTIONS, encrypted=False)


def test_encryption_is_promised_only_where_there_is_some():
    with pytest.raises(Invalid):
        check({'_enable_encrypt_messages': True}, 'jobs', OPTIONS, encrypted=False)
    check({'_enable_encrypt_messages': True}, 'jobs', OPTIONS, encrypted=True)


@pytest.mark.parametrize('unset', [{}, dict.fromkeys(RESERVED), {'_default_message_ttl': 0}])
def test_unset_and_empty_values_fall_back_to_the_operators_defaults(unset):
    shown = effective(unset, OPTIONS)
    assert shown['_default_message_ttl'] == 600
    assert shown['_default_message_delay'] == 5
    assert shown['_max_messages_post_size'] == 2000
    assert shown['_enable_encrypt_messages'] is False
    assert shown['_dead_letter_queue'] is shown['_max_claim_count'] is None


def test_what_is_set_stands_beside_the_defaults():
    attributes = {'colour': 'red', '_default_message_ttl': 100}
    shown = effective(attributes, OPTIONS)
    assert (shown['colour'], shown['_default_message_ttl']) == ('red', 100)
    assert attributes == {'colour': 'red', '_default_message_ttl': 100}


def test_more_than_one_shard_is_shown():
    assert '_shards' not in effective({}, OPTIONS) | effective({}, OPTIONS, 1)
    assert effective({}, OPTIONS, 2)['_shards'] == 2
    assert effective({}, Options(default_shards=3))['_shards'] == 3
    assert '_shards' not in effective({}, Options(default_shards=3), 1)


def test_the_defaults_are_values_that_may_be_set():
    check(defaults(OPTIONS), 'jobs', OPTIONS, encrypted=False)
    check(defaults(Options()), 'jobs', Options(), encrypted=False)
