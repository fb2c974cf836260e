"""The pages about clients of Amazon SQS: what stands in them is run as it stands there."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

import pytest
from amazon import celery_run, installed
from amazon.service import client

PAGES = Path(__file__).parents[2] / 'doc' / 'source' / 'sqs-clients'

# How a shell runs a block in another language.
RUN = {'': '{0}', 'python': "python - <<'END'\n{0}\nEND",
       'javascript': "cat >hello.mjs <<'END'\n{0}\nEND\nnode hello.mjs"}


def blocks(page: str, url: str) -> list[tuple[str, str]]:
    """The literal blocks of a page: their language, or '' for a shell, and what they say, at another address."""
    text = (PAGES / f'{page}.rst').read_text().replace('127.0.0.1:8080', url.removeprefix('http://'))
    found = re.findall(r'(?:\.\. code-block:: (\w+)|::)\n\n((?:    .*\n|\n)+)', text)
    return [(language, textwrap.dedent(block).strip()) for language, block in found]


@pytest.mark.parametrize('page, printed', [('aws-cli', r'\{\s*"MD5OfMessageBody": "\w+",\s*"MessageId": ".*"\s*\}\n'),
                                           ('boto3', 'hello\n'), ('javascript', 'hello\n')],
                         ids=['aws-cli', 'boto3', 'javascript'])
def test_what_a_page_says_works(url, tmp_path, page, printed):
    (tmp_path / 'node_modules').symlink_to(installed.NODE / 'node_modules')
    script = '\n'.join(RUN[language].format(block) for language, block in blocks(page, url))
    env = installed.programs(tmp_path)
    assert re.fullmatch(printed, installed.run('sh', '-e', '-c', script, env=env, cwd=tmp_path))


def test_what_the_page_of_celery_says_works(url, tmp_path):
    (_, tasks), (_, worker), (_, send), (_, predefined) = blocks('celery', url)
    env, log, sqs = installed.programs(tmp_path), tmp_path / 'log', client(url)

    def say(text):
        (tmp_path / 'tasks.py').write_text(text)
        installed.run('sh', '-e', '-c', send, env=env, cwd=tmp_path)
    say(tasks)
    address = sqs.get_queue_url(QueueName='celery-jobs')['QueueUrl']
    say(f'{tasks}\n' + re.sub(r'http://\S*/ACCOUNT/celery-jobs', address, predefined))
    say(tasks)
    with open(log, 'w') as written:
        running = subprocess.Popen(['sh', '-c', f'exec {worker}'], env=env, cwd=tmp_path, stdout=written,
                                   stderr=written, start_new_session=True)
    try:
        celery_run.wait_until(lambda: len(re.findall(r'\bhello$', log.read_text(), re.MULTILINE)) == 3)
    finally:
        celery_run.kill(running)
        sqs.delete_queue(QueueUrl=address)
