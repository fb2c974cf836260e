"""Options and the checks that every door shares."""

from dataclasses import fields

import pytest

from swiftqueue.errors import Invalid, TooLarge
from swiftqueue.limits import (
    OptionError,
    Options,
    check_integer,
    check_queue_name,
    check_size,
)
from swiftqueue.model import Place

BIG = str(2 ** 31)
WORDS = ['', 'x', '1.5', '1 0', 'None', '0x10']
SWITCH = [*((text, True) for text in ('true', 'Yes', 'on', '1', 'T', 'y')),
          *((text, False) for text in ('false', 'No', 'off', '0', 'F', 'n'))]
NO_SWITCH = ['', '2', 'maybe', 'none', 'tru']

# option: values that are taken, with what becomes of them; values that are refused
OPTIONS = {
    'api_versions': ([('2', ('2',)), ('1 1.1, 2', ('2', '1.1', '1')), ('1.1', ('1.1',)), ('1,1', ('1',))],
                     ['', ',', 'v2', '2.0', '1 3', '2;1']),
    'burrow': (SWITCH, NO_SWITCH),
    'burrow_hosts': ([('', ()), ('a.example', ('a.example',)), ('A.example, b', ('a.example', 'b'))], []),
    'max_queues_per_page': ([('1', 1), ('1000', 1000)], [*WORDS, '0', '1001', '-1']),
    'max_messages_per_page': ([('1', 1), ('1000', 1000)], [*WORDS, '0', '1001']),
    'max_messages_per_claim_or_pop': ([('1', 1), ('100', 100)], [*WORDS, '0', '101']),
    'max_queue_metadata': ([('1024', 1024), ('65536', 65536)], [*WORDS, '1023', '65537']),
    'max_messages_post_size': ([('1024', 1024), ('67108864', 2 ** 26)],
                               [*WORDS, '1023', '67108865']),
    'max_message_size': ([('1024', 1024), ('1048576', 2 ** 20)], [*WORDS, '1023', '1048577']),
    'min_message_ttl': ([('1', 1), ('3600', 3600)], [*WORDS, '0', BIG]),
    'max_message_ttl': ([('3600', 3600), ('2147483647', 2 ** 31 - 1)], [*WORDS, '0', BIG]),
    'default_message_ttl': ([('60', 60), ('1209600', 1209600)], [*WORDS, '0', BIG]),
    'default_named_message_ttl': ([('0', 0), ('2147483647', 2 ** 31 - 1)], [*WORDS, '-1', BIG]),
    'max_named_message_ttl': ([('600', 600), ('2147483647', 2 ** 31 - 1)], [*WORDS, '0', BIG]),
    'max_message_delay': ([('0', 0), ('2147483647', 2 ** 31 - 1)], [*WORDS, '-1', BIG]),
    'default_message_delay': ([('0', 0), ('900', 900)], [*WORDS, '-1', BIG]),
    'min_claim_ttl': ([('1', 1), ('300', 300)], [*WORDS, '0', BIG]),
    'max_claim_ttl': ([('300', 300)], [*WORDS, '0', BIG]),
    'default_claim_ttl': ([('60', 60), ('43200', 43200)], [*WORDS, '0', BIG]),
    'min_claim_grace': ([('0', 0), ('60', 60)], [*WORDS, '-1', BIG]),
    'max_claim_grace': ([('60', 60)], [*WORDS, '-1', BIG]),
    'default_claim_grace': ([('60', 60), ('43200', 43200)], [*WORDS, '-1', BIG]),
    'default_shards': ([('1', 1), ('64', 64)], [*WORDS, '0', '65']),
    'max_shards': ([('1', 1), ('64', 64)], [*WORDS, '0', '65']),
    'ephemeral_policy': ([('', ''), ('cheap', 'cheap')], []),
    'max_subscriptions_per_page': ([('1', 1), ('1000', 1000)], [*WORDS, '0', '1001']),
    'max_subscriptions': ([('0', 0), ('100000', 100000)], [*WORDS, '-1', '100001']),
    'confirm_webhooks': (SWITCH, NO_SWITCH),
    'max_wait': ([('0', 0), ('60', 60)], [*WORDS, '-1', '61']),
    'max_waiters_per_worker': ([('0', 0), ('100000', 100000)], [*WORDS, '-1', '100001']),
    'max_waiters_per_account': ([('0', 0), ('100000', 100000)], [*WORDS, '-1', '100001']),
    'inline_limit': ([('0', 0), ('7500', 7500)], [*WORDS, '-1', '7501']),
    'head_seconds': ([('0', 0), ('0.25', 0.25), ('3600', 3600)],
                     ['', 'x', '-0.1', '3601', 'nan', 'inf']),
    'gate_seconds': ([('10', 10), ('300', 300)], [*WORDS, '4', '301']),
    'confirm_limit': ([('0', 0), ('0.5', 0.5), ('30', 30)], ['', 'x', '-1', 'nan', '1e9']),
    'subrequests': ([('1', 1), ('100', 100)], [*WORDS, '0', '101']),
    'direct_reads': (SWITCH, NO_SWITCH),
    'locality': ([('', None), ('r1', Place(1)), (' r1z2 ', Place(1, 2))], ['1', 'zone 1', 'r1z2=100']),
    'locality_patience': ([('0', 0), ('2.5', 2.5)], ['', 'x', '-1', 'nan', '1e9']),
    'receipt_key': ([('', ''), ('secret', 'secret'), ('  spaces  ', 'spaces')], []),
    'signed_url_key': ([('', ''), ('secret', 'secret')], []),
    'message_delete_with_claim_id': (SWITCH, NO_SWITCH),
    'enable_checksum': (SWITCH, NO_SWITCH),
    'client_id_uuid_safe': ([('strict', 'strict'), ('off', 'off')],
                            ['', 'Strict', 'true', 'none']),
    'reseller_prefix': ([('', ''), ('AUTH', 'AUTH'), ('SERVICE', 'SERVICE')], []),
    'admin_role': ([('', ''), ('admin', 'admin')], []),
    'allow_anonymous': (SWITCH, NO_SWITCH),
}


def test_every_option_is_in_the_table_above():
    assert set(OPTIONS) == {option.name for option in fields(Options)}


@pytest.mark.parametrize('name, text, value', [
    (name, text, value) for name, (good, _) in OPTIONS.items() for text, value in good])
def test_an_option_takes(name, text, value):
    assert getattr(Options.from_conf({name: text}), name) == value


@pytest.mark.parametrize('name, text', [
    (name, text) for name, (_, bad) in OPTIONS.items() for text in bad])
def test_an_option_refuses_and_is_named(name, text):
    with pytest.raises(OptionError) as refusal:
        Options.from_conf({name: text})
    assert name in str(refusal.value) and repr(text) in str(refusal.value)


@pytest.mark.parametrize('name', [
    'max_message_tll', 'MAX_WAIT', '_check_order', 'from_conf', ''])
def test_an_unknown_option_is_named(name):
    with pytest.raises(OptionError) as refusal:
        Options.from_conf({name: '1'})
    assert repr(name) in str(refusal.value)


@pytest.mark.parametrize('low, high, text', [
    ('min_message_ttl', 'default_message_ttl', '3601'),
    ('default_message_ttl', 'max_message_ttl', '1209601'),
    ('default_message_delay', 'max_message_delay', '901'),
    ('min_claim_ttl', 'default_claim_ttl', '301'),
    ('default_claim_ttl', 'max_claim_ttl', '43201'),
    ('min_claim_grace', 'default_claim_grace', '61'),
    ('default_claim_grace', 'max_claim_grace', '43201'),
    ('confirm_limit', 'gate_seconds', '30.5')])
def test_options_that_contradict_each_other_are_both_named(low, high, text):
    with pytest.raises(OptionError) as refusal:
        Options.from_conf({low: text})
    assert repr(low) in str(refusal.value) and repr(high) in str(refusal.value)


def test_a_queue_has_by_default_no_more_shards_than_it_may():
    with pytest.raises(OptionError, match='default_shards.*max_shards'):
        Options.from_conf({'default_shards': '5', 'max_shards': '4'})
    assert Options.from_conf({'default_shards': '4', 'max_shards': '4'}).default_shards == 4


def test_nothing_set_means_the_defaults_and_they_agree_with_each_other():
    assert Options.from_conf({}) == Options()


def test_spaces_around_a_value_do_not_count():
    assert Options.from_conf({'max_wait': ' 7\t'}).max_wait == 7


@pytest.mark.parametrize('name', ['a', 'A-b_c.9', 'x' * 80, '...', '.a', '-', '_'])
def test_a_queue_name_is_taken(name):
    assert check_queue_name(name) == name


@pytest.mark.parametrize('name', [
    '', 'x' * 81, '.', '..', 'a/b', '/', '../a', 'a%2Fb', '%', 'a\\b', 'a\x00b', '\x00', 'a\n',
    '\na', 'a\r\nb', 'a b', ' a', 'a?b', 'a#b', 'a;b', 'a:b', 'a@b', '\u0661', '\uff41', 'ü',
    'e\u0301', '\ud800', '\u2024\u2024', None, 7, True, b'jobs', ['jobs'], {'a': 1}])
def test_a_queue_name_is_refused(name):
    with pytest.raises(Invalid):
        check_queue_name(name)


@pytest.mark.parametrize('value', [1, 5, 10])
def test_an_integer_is_taken_with_both_its_bounds(value):
    assert check_integer('limit', value, 1, 10) == value


@pytest.mark.parametrize('value', [
    0, 11, -1, True, False, 5.0, '5', None, [], {}, 10 ** 400, float('nan'), float('inf')])
def test_what_is_no_integer_within_the_bounds_is_refused_by_name(value):
    with pytest.raises(Invalid, match='limit.* 1 .* 10'):
        check_integer('limit', value, 1, 10)


def test_a_size_may_be_the_limit_and_no_more():
    check_size('The body', 10, 10)
    with pytest.raises(TooLarge, match='The body.* 10 '):
        check_size('The body', 11, 10)
