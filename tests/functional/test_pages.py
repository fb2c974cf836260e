"""What stands in the pages on sharing and on request and reply, run as it stands there."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path
from threading import Thread

PAGES = Path(__file__).parents[2] / 'doc' / 'source'


def blocks(page: str, url: str) -> list[tuple[str, str]]:
    """The page's literal blocks: their language, '' for a shell, and what they say, at another address."""
    text = (PAGES / f'{page}.rst').read_text().replace('http://127.0.0.1:8080', url)
    return [(language, textwrap.dedent(block)) for language, block in
            re.findall(r'(?:\.\. code-block:: (\w+)|::)\n\n((?:    .*\n|\n)+)', text)]


def statuses(*shell: str) -> list[str]:
    """Of the last block's requests, once all blocks have run in one shell."""
    ran = subprocess.run(['sh', '-e', '-c', '\n'.join([*shell[:-1], 'echo ----', shell[-1]])],
                         capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, '')
    return re.findall(r' (\d{3})$', ran.stdout.partition('----')[2], re.MULTILINE)


def promised(shell: str) -> list[str]:
    return re.findall(r'# (\d{3})$', shell, re.MULTILINE)


def test_the_page_on_sharing(url, tester):
    (_, give), (_, sqs), (_, take), (_, signed) = blocks('sharing', url)
    assert statuses(give) == promised(give) != []
    defined = {'TOKEN': tester.token}
    exec(sqs, defined)
    assert {message['Body'] for message in defined['received']} == {'hello'}
    setup = give.partition('\n\n')[0]
    assert statuses(setup, take) == promised(take) == ['200', '403']
    exec(signed, defined)
    assert (defined['sent'].status_code, defined['refused'].status_code) == (201, 404)


def test_the_page_on_request_and_reply(url, tester):
    (_, code), = blocks('request-reply', url)
    defined = {'TOKEN': tester.token}
    exec(code, defined)
    client, server = defined['Client'](), defined['Server'](str.upper)
    assert tester.request('GET', f'/v2/queues/{client.replies}').json()['_idle_expiry'] == 300
    defined['send'](client.session, client.replies, {'correlation_id': 'another', 'reply': 'late'})
    defined['send'](client.session, 'requests', {'correlation_id': 'x', 'reply_to': 'elsewhere', 'request': 'x'})
    serving = Thread(target=lambda: [server.serve_once() for _ in range(3)])
    serving.start()
    try:
        assert [client.call(request) for request in ('one', 'two')] == ['ONE', 'TWO']
    finally:
        serving.join()
    for queue in ('requests', client.replies):
        assert tester.request('GET', f'/v2/queues/{queue}/stats').json()['messages']['total'] == 0
