"""The notifier's options: documented, and refused where they are bad."""

import re
from pathlib import Path

import pytest

from swiftqueue.notifier_daemon import NUMBERS, NotifierDaemon

SAMPLE = Path(__file__).parents[2] / 'etc' / 'swiftqueue-notifier.conf-sample'
NETWORKS = {'allowed_networks', 'denied_networks'}


def test_the_sample_documents_every_option_with_its_default():
    section = SAMPLE.read_text().partition('[swiftqueue-notifier]\n')[2].partition('\n[')[0]
    shown = dict(re.findall(r'^# (\w+) = ?(.*)$', section, re.MULTILINE))
    assert set(shown) == {*NUMBERS, *NETWORKS, 'internal_client_conf_path'}
    assert {name: float(shown[name]) for name in NUMBERS} == {name: default for name, (default, _) in NUMBERS.items()}


@pytest.mark.parametrize('name, text', [
    ('interval', '0'), ('interval', 'often'), ('interval', 'nan'), ('workers', '0'), ('webhook_timeout', 'inf'),
    ('allowed_networks', '10.0.0.1/8'), ('allowed_networks', 'example.com'), ('denied_networks', '10.0.0.0/33')])
def test_a_bad_option_is_named(name, text):
    with pytest.raises(ValueError, match=name):
        NotifierDaemon({name: text})
