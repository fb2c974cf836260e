"""What a new user does in the first five minutes, as the README has it."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

from user import User

from swiftqueue.cluster import Cluster

README = Path(__file__).parents[2] / 'README.rst'


def block_after(text: str) -> str:
    """The literal block of the README that follows the text."""
    rest = README.read_text().partition(text)[2].partition('::\n\n')[2]
    return textwrap.dedent(re.split(r'\n(?=\S)', rest)[0])


def test_the_first_steps_of_the_readme_work(url, tester):
    script = block_after('First steps\n').replace('URL=http://127.0.0.1:8080', f'URL={url}')
    ran = subprocess.run(['sh', '-e', '-c', script], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, '')
    assert re.findall(r' (\d{3})$', ran.stdout, re.MULTILINE) == ['201', '201', '201', '204']
    assert tester.request('GET', '/v2/queues/jobs/stats').json()['messages']['total'] == 0


def test_the_python_of_the_readme_works(url, tester, capsys):
    script = block_after('The same in Python').replace('http://127.0.0.1:8080', url)
    exec(compile(script, str(README), 'exec'), {'TOKEN': tester.token})
    assert capsys.readouterr().out == "{'job': 1}\n"
    assert tester.request('GET', '/v2/queues/jobs/stats').json()['messages']['total'] == 0


def test_queues_messages_and_claims_are_there_after_a_restart(tmp_path):
    with Cluster(tmp_path) as running:
        user = User(running.urls[0], 'test:tester')
        user.request('PUT', '/v2/queues/jobs', json={'colour': 'red'})
        user.request('POST', '/v2/queues/jobs/messages', json={'messages': [{'body': 'held'}, {'body': 'free'}]})
        held, = user.request('POST', '/v2/queues/jobs/claims?limit=1', json={'ttl': 300}).json()['messages']
    with Cluster(tmp_path) as running:
        user = User(running.urls[0], 'test:tester')
        assert user.request('GET', '/v2/queues/jobs').json()['colour'] == 'red'
        free, = user.request('POST', '/v2/queues/jobs/claims', json={'ttl': 300, 'grace': 60}).json()['messages']
        assert (held['body'], free['body']) == ('held', 'free')
        assert user.request('DELETE', held['href']).status_code == 204
        assert user.request('GET', '/v2/queues/jobs/stats').json()['messages']['total'] == 1
