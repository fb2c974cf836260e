"""``swiftqueue serve``, run as its users run it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from amazon import installed
from swiftclient import Connection

from swiftqueue import cli
from swiftqueue.cluster.site import Site, Spec, hold_port

SWIFTQUEUE = str(Path(sys.executable).with_name('swiftqueue'))
LIMIT = 30  # seconds, for what takes a few


@pytest.fixture
def data(tmp_path):
    return tmp_path / 'var'


@contextmanager
def serving(data, *options):
    """A running ``swiftqueue serve`` and all it printed until its hints were complete."""
    with subprocess.Popen([SWIFTQUEUE, 'serve', '--data', str(data), '--port', '0', *options],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            printed = []
            while not printed or not printed[-1].startswith('Ctrl-C'):
                printed.append(process.stdout.readline())
                assert printed[-1], 'it ended: ' + ''.join(printed)
            yield process, ''.join(printed)
        finally:
            process.kill()


def urls(printed):
    return re.search(r'^swiftqueue: ready at (.*)$', printed, re.MULTILINE)[1].split()


def processes_of(data):
    """Ids of all processes whose command line names the data directory, or that work in it, as a memcached does."""
    found = []
    for process in Path('/proc').glob('[0-9]*'):
        try:
            if str(data).encode() in (process / 'cmdline').read_bytes() or (process / 'cwd').readlink() == data:
                found.append(int(process.name))
        except OSError:
            pass  # it has just ended
    return found


def wait_until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def swift(url):
    return Connection(f'{url}/auth/v1.0', 'test:tester', 'testing', retries=0)


def two_free_ports():
    """The first of two, below those that the kernel gives to whoever asks for any."""
    for port in range(10000, 30000, 2):
        try:
            with hold_port('127.0.0.1', port), hold_port('127.0.0.1', port + 1):
                return port
        except OSError:
            pass


def failure(capsys, *options):
    """What a ``serve`` that cannot start prints; it must be one line."""
    assert cli.main(['serve', *options]) == 1
    line, rest = capsys.readouterr().err.split('\n', 1)
    assert line.startswith('swiftqueue: ') and not rest
    return line


def test_it_says_which_cache_it_uses_and_when_it_is_ready(data):
    with serving(data) as (_process, printed):
        assert 'cache: embedded' in printed
        url, = urls(printed)
        swift(url).put_container('c')


def test_the_data_is_there_again_in_the_next_run_which_may_have_more_storage_policies(data):
    with serving(data) as (_process, printed):
        connection = swift(*urls(printed))
        connection.put_container('c', headers={'X-Container-Meta-Colour': 'blue'})
        connection.put_object('c', 'o', 'hello', headers={'X-Object-Meta-Colour': 'red'})
    with serving(data, '--policies') as (_process, printed):
        connection = swift(*urls(printed))
        assert [each['name'] for each in connection.get_capabilities()['swift']['policies']] == [
            'Policy-0', 'replicated', 'coded', 'single']
        headers, rows = connection.get_container('c')
        assert headers['x-container-meta-colour'] == 'blue'
        assert [row['name'] for row in rows] == ['o']
        headers, body = connection.get_object('c', 'o')
        assert (headers['x-object-meta-colour'], body) == ('red', b'hello')


def test_it_says_where_object_metadata_is_when_not_in_extended_attributes(data):
    with Site(Spec(data, port=0, xattrs=False)):
        pass
    with serving(data) as (_process, printed):
        assert 'no extended attributes' in printed and str(data / 'metadata') in printed


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('options', [[], ['--nodes', '2']])
def test_a_signal_stops_everything_without_a_word(data, number, options):
    with serving(data, *options) as (process, _printed):
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
        assert processes_of(data) == []
        assert process.stdout.read() == ''


def test_no_process_outlives_a_killed_parent_not_even_a_frozen_one(data):
    with serving(data, '--nodes', '2') as (process, _printed):
        children = set(processes_of(data)) - {process.pid}
        assert len(children) == 9  # a cache, three servers for each node, a proxy, the daemons
        os.kill(min(children), signal.SIGSTOP)
        process.kill()
        wait_until(lambda: not processes_of(data))


def test_every_proxy_has_an_address_and_knows_the_tokens_of_the_others(data):
    with serving(data, '--proxies', '2') as (_process, printed):
        first, second = urls(printed)
        connection = swift(first)
        connection.put_container('c')
        token = connection.token
        other = Connection(preauthurl=f'{second}/v1/AUTH_test', preauthtoken=token, retries=0)
        assert [row['name'] for row in other.get_account()[1]] == ['c']


def test_the_proxies_take_consecutive_ports(data):
    port = two_free_ports()
    with serving(data, '--proxies', '2', '--port', str(port)) as (_process, printed):
        assert urls(printed) == [f'http://127.0.0.1:{port}', f'http://127.0.0.1:{port + 1}']


def test_a_crashed_server_is_reported_and_the_others_go_on(data):
    with serving(data, '--nodes', '2', '--replicas', '2') as (process, printed):
        os.kill(max(set(processes_of(data)) - {process.pid}), signal.SIGKILL)
        assert 'has ended' in process.stdout.readline()
        swift(*urls(printed)).put_container('c')


@pytest.mark.parametrize('options', [[], ['--no-auth']])
def test_the_first_steps_run_as_they_are_printed(data, options):
    with serving(data, *options) as (_process, printed):
        steps = re.findall(r'^  (.*)$', printed, re.MULTILINE)
        shell = subprocess.run(['/bin/sh', '-es'], input='\n'.join(steps), capture_output=True,
                               text=True, timeout=LIMIT)
    assert (shell.returncode, shell.stderr) == (0, '')
    assert len(steps) == (6 if options else 10)
    assert 'hello' in shell.stdout and shell.stdout.endswith(' 204\n')


def test_amazons_clients_need_nothing_but_the_lines_that_are_printed(data, tmp_path):
    program = 'import boto3; print(boto3.client("sqs").create_queue(QueueName="jobs")["QueueUrl"])'
    with serving(data) as (_process, printed):
        lines = re.findall(r'^  (.*\bAWS_.*)$', printed, re.MULTILINE)
        command = ['aws sqs get-queue-url --queue-name jobs --output text']
        answer = installed.run('sh', '-e', '-c', '\n'.join([*lines, f"python -c '{program}'", *command]),
                               env=installed.programs(tmp_path))
        assert re.fullmatch('(' + re.escape(*urls(printed)) + '/[0-9]{12}/jobs\n)\\1', answer)


def test_without_authentication_swift_itself_asks_for_no_token(data):
    with serving(data, '--no-auth') as (_process, printed):
        url, = urls(printed)
        anyone = Connection(preauthurl=f'{url}/v1/anyone', preauthtoken='none', retries=0)
        anyone.put_container('c')
        assert [row['name'] for row in anyone.get_account()[1]] == ['c']


@pytest.mark.parametrize('shape', [[], ['--nodes', '2']])
def test_a_bad_option_of_the_filter_is_named_and_nothing_keeps_running(data, shape):
    done = subprocess.run(
        [SWIFTQUEUE, 'serve', '--data', str(data), '--port', '0', '--set', 'nonsense=1', *shape],
        capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 1
    assert re.fullmatch(r'swiftqueue: .*nonsense.*\n', done.stderr)
    assert processes_of(data) == []


def test_a_port_that_is_taken_is_named(data, capsys):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = str(taken.getsockname()[1])
        line = failure(capsys, '--data', str(data), '--port', port)
    assert port in line and 'taken' in line


def test_data_of_another_layout_is_refused(data, capsys):
    with Site(Spec(data, nodes=2, port=0)):
        pass
    assert '--nodes 2 --replicas 2' in failure(capsys, '--data', str(data))


def test_data_in_use_is_refused(data, capsys):
    with Site(Spec(data, port=0)):
        assert 'in use' in failure(capsys, '--data', str(data))


def test_a_damaged_layout_is_refused(data, capsys):
    with Site(Spec(data, port=0)):
        (data / 'layout.json').write_text('')
    assert 'damaged' in failure(capsys, '--data', str(data))


def test_a_directory_with_other_things_in_it_is_refused_and_left_alone(tmp_path, capsys):
    (tmp_path / 'thesis.tex').write_text('chapter one')
    failure(capsys, '--data', str(tmp_path))
    assert os.listdir(tmp_path) == ['thesis.tex']


def test_a_data_directory_that_cannot_be_is_refused(tmp_path, capsys):
    (tmp_path / 'file').write_text('not a directory')
    assert 'Not a directory' in failure(capsys, '--data', str(tmp_path / 'file' / 'var'))


@pytest.mark.parametrize('options, problem', [
    (['--nodes', '2', '--replicas', '3'], '3 replicas'),
    (['--replicas', '1'], '--nodes'),
    (['--nodes', '0'], 'nodes'),
    (['--proxies', '-1'], 'proxies'),
    (['--port', '70000'], '70000'),
    (['--set', 'novalue'], 'novalue'),
    (['--set', 'use=egg:other'], 'use'),
    (['--set', 'a=b\n[filter:c]'], '[filter:c]'),
    (['--no-auth', '--host', '0.0.0.0'], '0.0.0.0'),
    (['--no-auth', '--host', '::'], '::'),
])
def test_what_makes_no_sense_is_refused_before_anything_is_made(data, capsys, options, problem):
    assert problem in failure(capsys, '--data', str(data), *options)
    assert not data.exists()
