"""``swiftqueue stress`` against a small service that keeps its promises, and against ones that do not."""

import argparse
import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, urlsplit

import pytest

from swiftqueue import cli, history, stress, stress_load
from swiftqueue.stress_load import CannotRun, Plan, body_of, value_of

LIMIT = 30  # seconds, for what takes none


@dataclass
class Message:
    id: int
    body: object
    receipt: str = ''
    until: float = 0
    grants: int = 0
    acks: int = 0


@dataclass
class Service:
    """One queue of Messaging v2. ``wrong``: what it does wrong; where that is about posts, with the first one."""

    wrong: str = ''
    info: dict | None = None
    existed: bool = False
    messages: list[Message] = field(default_factory=list)
    numbers: count = field(default_factory=count)
    token: str = 'token'
    posted: bool = False
    requests: list[tuple[str, str]] = field(default_factory=list)  # method and path
    headers: list[dict[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, method, path, query, body, headers):
        """Status, content and headers."""
        with self.changed:
            self.requests.append((method, path))
            self.headers.append(headers)
            if path == '/info':
                return (404, None) if self.info is None else (200, self.info)
            if path == '/auth/v1.0':
                return (401, None) if self.wrong == 'knows nobody' else (200, None, {'X-Auth-Token': self.token})
            if headers.get('X-Auth-Token', self.token) != self.token:
                return 401, None
            what = path.removeprefix('/v2/queues/').split('/')[1:]
            verb = '_'.join([method.lower(), *what[:1]])
            return getattr(self, verb)(what[-1] if what else '', query, body)

    def put(self, name, query, body):
        return (204 if self.existed else 201), None

    def delete(self, name, query, body):
        return 204, None

    def get_stats(self, name, query, body):
        return 200, {'messages': {'total': len(self.messages)}}

    def post_messages(self, name, query, body):
        if self.wrong == 'refuses':
            return 403, {'description': 'No.'}
        wrong, self.posted = '' if self.posted else self.wrong, True
        if wrong == 'forgets tokens':
            self.token = 'another token'
        for message in body['messages'][wrong == 'loses one':]:
            self.messages.append(Message(next(self.numbers), message['body']))
        status = {'fails after all': 503, 'hangs up': None, 'talks nonsense': 'nonsense'}.get(wrong, 201)
        return status, {'resources': []}

    def post_claims(self, name, query, body):
        if self.wrong == 'never claims' or self.wrong == 'claims no more' and self.messages:
            return 503, {'description': 'Busy.'}
        now, receipt = time.monotonic(), f'r{next(self.numbers)}'
        free = [message for message in self.messages if message.until <= now][:int(query['limit'][0])]
        for message in free:
            message.grants, message.receipt, message.until = message.grants + 1, receipt, now + body['ttl']
            if self.wrong == 'hands out twice' and message.grants == 1:
                message.until = now
        self.changed.notify_all()
        if not free:
            return 204, None
        shown = [{'id': str(message.id), 'body': message.body} for message in free]
        if self.wrong == 'garbles':
            shown[0]['body'] = shown[0]['body'][:-1]
        return 201, {'messages': shown}, {'Location': f'/v2/queues/q/claims/{receipt}'}

    def delete_messages(self, message_id, query, body):
        message = next((each for each in self.messages if str(each.id) == message_id), None)
        if message is None:
            return 204, None
        if self.wrong == 'refuses an ack':
            self.wrong = ''
            return 403, None
        if self.wrong == 'hands out twice':
            self.changed.wait_for(lambda: message.grants > 1, LIMIT)
        elif message.receipt != query['claim_id'][0] or message.until <= time.monotonic():
            return 400, None
        message.acks += 1
        if self.wrong == 'returns' and message.acks == 1:
            message.until = 0
        elif message in self.messages:
            self.messages.remove(message)
        return 204, None

    def patch_claims(self, receipt, query, body):
        return self._set(receipt, body['ttl'])

    def delete_claims(self, receipt, query, body):
        return self._set(receipt, 0)

    def _set(self, receipt, ttl):
        now = time.monotonic()
        held = [message for message in self.messages if message.receipt == receipt and message.until > now]
        for message in held:
            message.until = now + ttl
        return (204 if held or ttl == 0 else 404), None


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def __init__(self, service, *args):
        self.service = service
        super().__init__(*args)

    def handle_any(self):
        url, length = urlsplit(self.path), int(self.headers.get('Content-Length', 0))
        body = json.loads(self.rfile.read(length)) if length else None
        status, content, *more = self.service.answer(
            self.command, url.path, parse_qs(url.query), body, dict(self.headers))
        if status is None:
            self.close_connection = True
            return
        payload = b'' if content is None else json.dumps(content).encode()
        if status == 'nonsense':
            status, payload = 201, payload[1:]
        self.send_response(status)
        for name, value in [*(each for headers in more for each in headers.items()), ('Content-Length', len(payload))]:
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any

    def log_message(self, *args):
        pass


@contextmanager
def serving(service):
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, service)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_port}'
        finally:
            server.shutdown()
            thread.join()


QUICK = Plan((), 'q', seconds=0.3, producers=2, workers=3, crash_rate=0.1, claim_ttl=0.3, claim_limit=2, batch=3,
             settle=0.3, seed=1)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the command on a service, with another plan than its own: its exit status."""
    def run(service, *options, plan=QUICK):
        with serving(service) as url:
            monkeypatch.setattr(stress, '_plan', lambda arguments: replace(plan, endpoints=(url,)))
            monkeypatch.setattr(stress_load, 'MARGIN', 0.1)
            monkeypatch.setattr(stress.tempfile, 'gettempdir', lambda: tmp_path)
            return cli.main(['stress', '--endpoint', url, *options])
    return run


DELETION = 'DELETE', '/v2/queues/q'


def test_a_service_that_keeps_its_promises_passes(run, capsys, tmp_path):
    service = Service()
    status, said = run(service), capsys.readouterr().out
    assert status == 0 and 'valid: no promise was broken' in said and 'lost 0' in said, said
    assert service.messages == [] and service.requests[-1] == DELETION
    assert list(tmp_path.iterdir()) == [], 'a log that nobody asked for'


def test_what_crashed_workers_leave_undone_comes_back(run, tmp_path):
    log = tmp_path / 'log'
    status = run(Service(), '--log', str(log), plan=replace(QUICK, crash_rate=0.5))
    verdict = history.check(history.parse(log.read_text().splitlines()))
    assert status == 0 and verdict.drained and verdict.duplicated and not verdict.unexplained
    assert verdict.acknowledged == len(verdict.visible_after) > 0


def test_a_refused_ack_says_nothing_of_the_rest_of_the_claim(run, monkeypatch, tmp_path):
    monkeypatch.setattr(stress_load, 'FATES', {'renew': 0.1})
    log = tmp_path / 'log'
    assert run(Service('refuses an ack'), '--log', str(log), plan=replace(QUICK, crash_rate=0)) == 0
    operations = history.parse(log.read_text().splitlines())
    delivered = sorted(message['value'] for each in operations for message in each.messages)
    assert delivered == sorted(each.value for each in operations if each.op == 'ack')
    assert len(delivered) > len(set(delivered))


@pytest.mark.parametrize('wrong, told', [('loses one', 'lost'), ('returns', 'returned'), ('garbles', 'unexpected')])
def test_a_service_that_breaks_a_promise_is_found_out(wrong, told, run, capsys, tmp_path):
    service = Service(wrong)
    status, said = run(service), capsys.readouterr().out
    assert status == 1, said
    assert re.search(rf'^BROKEN PROMISES: .*\d {told}', said, re.MULTILINE), said
    story = re.search(rf'^{told}: message .+\n((?:  .*\n)+)', said, re.MULTILINE)[1]
    assert all(json.loads(line)['phase'] for line in story.splitlines())
    log, = tmp_path.iterdir()
    assert f'the history is in {log}' in said and DELETION not in service.requests


def test_two_holders_at_once_are_counted_and_fatal_on_demand(run, capsys):
    plan = replace(QUICK, crash_rate=0, claim_ttl=3, seconds=2)  # in which two claims surely meet
    assert run(Service('hands out twice'), '--overlaps-fatal', plan=plan) == 1
    said = capsys.readouterr().out
    # It takes acks of the first holder too, and now and then the times prove it.
    assert re.search(r'^BROKEN PROMISES: (\d+ stale acks, )?[1-9]\d* overlaps$', said, re.MULTILINE), said
    assert re.search(r'^unexplained: message', said, re.MULTILINE), said


@pytest.mark.parametrize('wrong, answer', [
    ('fails after all', '503'), ('hangs up', 'ConnectionError'), ('talks nonsense', 'not JSON')])
def test_what_was_stored_although_its_answer_was_unclear_is_recovered(wrong, answer, run, capsys):
    status, said = run(Service(wrong)), capsys.readouterr().out
    assert status == 0 and re.search(r'recovered [1-9]', said) and f'post answered {answer}: ' in said, said


def test_a_token_that_the_service_has_forgotten_is_replaced(run, capsys):
    service = Service('forgets tokens')
    assert run(service) == 0 and 'answered 401' in capsys.readouterr().out
    assert service.headers[-1]['X-Auth-Token'] == 'another token'


@pytest.mark.parametrize('wrong, told', [
    ('knows nobody', 'test:tester got no token'), ('never claims', 'answered 503: Busy.'),
    ('refuses', 'nothing could be posted'), ('claims no more', 'could not be drained')])
def test_a_run_that_shows_nothing_is_no_success(wrong, told, run, capsys):
    assert run(Service(wrong), plan=replace(QUICK, seconds=0.1)) == 2
    assert told in capsys.readouterr().err


def test_a_queue_in_use_is_left_alone(run, capsys):
    service = Service(existed=True, messages=[Message(1, 'work')])
    assert run(service) == 2 and '1 messages of its own' in capsys.readouterr().err
    assert len(service.messages) == 1


@pytest.mark.parametrize('service, options', [(Service(existed=True), []), (Service(), ['--no-delete-queue'])])
def test_a_queue_that_is_not_ours_or_is_to_be_kept_is_not_deleted(service, options, run):
    assert run(service, *options) == 0
    assert DELETION not in service.requests


def test_without_authentication_only_the_project_is_named(run):
    service = Service()
    assert run(service, '--no-auth', '--project', 'mine') == 0
    assert not [headers for headers in service.headers if 'X-Auth-Token' in headers]
    assert {headers.get('X-Project-Id') for headers in service.headers} == {'mine'}


def test_a_given_token_is_used(run):
    service = Service(token='given')
    assert run(service, '--token', 'given') == 0
    assert ('GET', '/auth/v1.0') not in service.requests


def test_a_log_that_cannot_be_written_is_an_error(run, capsys, tmp_path):
    assert run(Service(), '--log', str(tmp_path / 'missing' / 'log')) == 2
    assert 'missing' in capsys.readouterr().err


def test_ctrl_c_ends_the_load_and_then_the_drain(run, monkeypatch, capsys):
    watch = stress._watch

    def interrupted(stages):
        def watch_until(running, threads, stage, enough, say):
            if stage not in stages:
                return watch(running, threads, stage, enough, say)
            watch(running, threads, stage, lambda: running.counts['deliveries'], say)
            raise KeyboardInterrupt
        return watch_until

    endless = replace(QUICK, seconds=3600)
    monkeypatch.setattr(stress, '_watch', interrupted(['load']))
    assert run(Service(), plan=endless) == 0
    monkeypatch.setattr(stress, '_watch', interrupted(['load', 'drain']))
    assert run(Service(), plan=endless) == 2
    assert 'could not be drained' in capsys.readouterr().err


def test_a_fault_of_ours_is_not_hidden(run, monkeypatch):
    monkeypatch.setattr(stress, 'produce', lambda run, number: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(Service(), plan=replace(QUICK, seconds=3600))


# -- what is to be done --

def plan_of(*options):
    parser = argparse.ArgumentParser()
    stress.describe(parser.add_subparsers())
    return stress._plan(parser.parse_args(['stress', *options]))


@pytest.mark.parametrize('info, claim_ttl, claim_grace, message_ttl', [
    (None, 60, 60, 3600), ({}, 60, 60, 3600), ([], 60, 60, 3600),
    ({'swiftqueue': {'min_claim_ttl': 5, 'min_claim_grace': 0, 'max_message_ttl': 600}}, 5, 0, 600)])
def test_durations_are_what_the_service_allows(info, claim_ttl, claim_grace, message_ttl):
    with serving(Service(info=info)) as url:
        plan = plan_of('--endpoint', url + '/')
        assert plan.endpoints == (url,)
        assert (plan.claim_ttl, plan.claim_grace, plan.message_ttl) == (claim_ttl, claim_grace, message_ttl)
        assert plan_of('--endpoint', url, '--claim-ttl', '7').claim_ttl == 7


def test_options_are_the_plan():
    with serving(Service()) as url:
        plan = plan_of(*f'--endpoint {url} --endpoint http://other --queue jobs --producers 3 --workers 4 --seconds 5 '
                       '--crash-rate 0.5 --batch 6 --claim-limit 7 --size 8 --seed 9 --settle 10'.split())
    assert plan == Plan((url, 'http://other'), 'jobs', 5, 3, 4, 0.5, claim_limit=7, batch=6, size=8, seed=9, settle=10)


@pytest.mark.parametrize('options', [
    ['--producers', '0'], ['--workers', '0'], ['--batch', '0'], ['--claim-limit', '0'],
    ['--crash-rate', '1.1'], ['--crash-rate', '-0.1']])
def test_impossible_plans_are_refused(options):
    with serving(Service()) as url, pytest.raises(CannotRun, match='at least one'):
        plan_of('--endpoint', url, *options)


@pytest.mark.parametrize('endpoint', ['http://127.0.0.1:1', 'nonsense'])
def test_nobody_there_is_an_error(endpoint, capsys):
    assert cli.main(['stress', '--endpoint', endpoint]) == 2
    assert f'no answer from {endpoint}' in capsys.readouterr().err


@pytest.mark.parametrize('size', [1, 3, 100])
def test_a_payload_names_its_message_and_shows_damage(size):
    body = body_of(123, size)
    assert value_of(body, size) == 123
    assert abs(len(body) - size) <= 4
    for damaged in (body[:-1], body + 'x', 'x' + body, '', {'n': 123}, None, 123, body_of(124, size) + body):
        assert isinstance(value_of(damaged, size), str)
