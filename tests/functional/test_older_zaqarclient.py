"""Messaging v1.1 and v1 with the last python-zaqarclient that speaks them, against a real Swift."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = Path(sys.prefix) / 'zaqarclient-3'
PROGRAM = Path(__file__).with_name('older_zaqarclient.py')


@pytest.mark.skipif(not CLIENT.exists(), reason='"make test" installs python-zaqarclient 3 beside the other')
@pytest.mark.parametrize('version, below', [('1', '/messaging'), ('1.1', '')])
def test_the_whole_life_of_a_queue(tester, url, name, version, below):
    project = tester.storage_url.rsplit('/', 1)[1]
    ended = subprocess.run(
        [sys.executable, PROGRAM, url + below, version, tester.token, project, name],
        env=os.environ | {'PYTHONPATH': str(CLIENT)}, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr


def test_a_newer_client_finds_v2_below_the_same_path(tester, name):
    """So that one endpoint in the catalogue is enough."""
    queue = tester.messaging(below='/messaging').queue(name, force_create=True)
    queue.post([{'body': number, 'ttl': 300} for number in range(3)])
    assert [message.body for message in queue.messages(echo=True, limit=2).stream()] == [0, 1, 2]
    queue.delete()
