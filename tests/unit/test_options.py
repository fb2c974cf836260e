"""The sample configuration tells of every option, truly, and a proxy starts with it."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from swiftqueue.limits import OptionError, Options
from swiftqueue.middleware.queue import QueueFilter
from swiftqueue.middleware.sqs import SqsFilter
from swiftqueue.middleware.sqs_settings import Settings

SAMPLE = Path(__file__).parents[2] / 'etc' / 'proxy-server.conf-sample'


def section():
    return SAMPLE.read_text().partition('[filter:queue]\n')[2]


def documented():
    """Options and the values that the sample shows as their defaults."""
    return dict(re.findall(r'^# (\w+) =[ ]?(.*)$', section(), re.MULTILINE))


def test_every_option_is_documented_and_no_other():
    assert set(documented()) == {option.name for option in fields(Options)}


def test_the_documented_defaults_are_the_defaults():
    for name, text in documented().items():
        assert getattr(Options.from_conf({name: text}), name) == getattr(Options(), name), name


def test_the_options_of_sqsapi_are_documented_with_their_defaults():
    text = SAMPLE.read_text().partition('[filter:sqsapi]\n')[2].partition('[filter:')[0]
    shown = dict(re.findall(r'^# (\w+) =[ ]?(.*)$', text, re.MULTILINE))
    assert set(shown) == {'regions', 'account_ids', 'url_scheme'}
    assert Settings.from_conf(shown) == Settings()


def test_every_option_or_group_of_options_has_its_explanation():
    for block in section().split('\n\n'):
        lines = block.splitlines()
        options = [line for line in lines if re.match(r'# \w+ =', line)]
        if options:
            assert lines.index(options[0]) > 0, block


@pytest.fixture
def swift_dir(rings, tmp_path):
    conf = tmp_path / 'proxy-server.conf'
    conf.write_text(SAMPLE.read_text().replace('swift_dir = /etc/swift', f'swift_dir = {rings}'))
    return conf


def test_a_proxy_starts_with_the_sample(swift_dir, load):
    proxy = load(swift_dir)
    [ours] = [each for each in proxy._pipeline if isinstance(each, QueueFilter)]
    assert ours.engine.options == Options()
    assert not ours.engine.encrypted
    [sqs] = [each for each in proxy._pipeline if isinstance(each, SqsFilter)]
    assert sqs.settings == Settings()


def test_a_proxy_does_not_start_with_an_option_nobody_knows(swift_dir, load):
    swift_dir.write_text(swift_dir.read_text() + '\nmax_messages = 3\n')
    with pytest.raises(OptionError, match="unknown option 'max_messages'"):
        load(swift_dir)


@pytest.mark.parametrize('name, text', [
    ('max_messages_per_page', 'many'), ('max_messages_per_page', '0'), ('max_messages_per_page', '1001'),
    ('head_seconds', 'nan'), ('head_seconds', '-1'), ('allow_anonymous', 'perhaps'), ('client_id_uuid_safe', 'on'),
    ('locality', 'here'), ('min_claim_ttl', '301'), ('confirm_limit', '31')])
def test_a_proxy_does_not_start_with_a_bad_value(swift_dir, load, name, text):
    swift_dir.write_text(swift_dir.read_text() + f'\n{name} = {text}\n')
    with pytest.raises(OptionError, match=name):
        load(swift_dir)
