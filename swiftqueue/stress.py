"""``swiftqueue stress``: put a queue service under load, drain the queue, and judge what it answered."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import requests

from swiftqueue.history import QUANTILES, Operation, Verdict, check, parse, quantile, story
from swiftqueue.stress_load import MESSAGE_TTL, TIMEOUT, Access, Answer, CannotRun, Connection, Plan, Run, produce, work

SHOWN = 3  # messages whose story is told, for each broken promise

DESCRIPTION = """\
Put a queue service under load, drain the queue, and judge whether the service
kept its promises: nothing lost, nothing back after its ack, no ack with a
receipt that is no longer good. For any service that speaks Messaging v2.
"""

EPILOG = """\
exit status:
  0  no promise was broken
  1  a promise was broken; the log and the queue are kept
  2  it could not run, or the queue could not be drained
"""

_OPTIONS: tuple[tuple[str, type, str | None, Any, str], ...] = (  # name, type, metavar, default, help
    ('user', str, 'U', 'test:tester', 'for a token from /auth/v1.0'),
    ('key', str, 'K', 'testing', 'of the user'),
    ('token', str, 'T', None, 'a token, instead of user and key'),
    ('project', str, 'P', None, 'X-Project-Id: whose queue it is'),
    ('queue', str, 'NAME', None, 'default: a new one, deleted afterwards'),
    ('producers', int, 'N', 2, 'threads that post'),
    ('workers', int, 'N', 8, 'threads that claim and ack'),
    ('seconds', float, 'S', 30, 'of load'),
    ('crash-rate', float, 'P', 0.05, 'of claims whose worker dies'),
    ('claim-ttl', int, 'T', None, 'in seconds; default: the least that /info allows, or 60'),
    ('claim-limit', int, 'L', 10, 'messages in a claim'),
    ('batch', int, 'B', 10, 'messages in a post'),
    ('size', int, 'BYTES', 100, 'of a message'),
    ('settle', float, 'S', 60, 'seconds to wait for a missing message when the last lease has run out'),
    ('seed', int, 'S', None, 'of the fates of workers'),
    ('log', Path, 'FILE', None, 'for the history, as JSON lines'),
)
_FLAGS = (
    ('no-auth', 'no token, just --project'),
    ('no-delete-queue', 'keep the queue'),
    ('overlaps-fatal', 'two holders of one message at once are a broken promise too'),
)


def describe(commands: argparse._SubParsersAction) -> None:
    """Add the sub-command."""
    parser = commands.add_parser('stress', help='put a queue service under load and judge it', epilog=EPILOG,
                                 description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--endpoint', action='append', required=True, metavar='URL', dest='endpoints',
                        help='of a proxy, such as http://127.0.0.1:8080; may be given more than once')
    for name, kind, metavar, default, text in _OPTIONS:
        parser.add_argument(f'--{name}', type=kind, metavar=metavar, default=default,
                            help=text if default is None else f'{text} (default: %(default)s)')
    for name, text in _FLAGS:
        parser.add_argument(f'--{name}', action='store_true', help=text)
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Run ``swiftqueue stress``; its exit status is returned."""
    try:
        main = Connection(_plan(arguments), _access(arguments))
        with main.session:
            return _command(arguments, main)
    except (CannotRun, OSError) as error:
        print(f'swiftqueue: {error}', file=sys.stderr)
        return 2


def _command(arguments: argparse.Namespace, main: Connection) -> int:
    plan, created = main.plan, prepare(main)
    path = arguments.log or Path(tempfile.gettempdir(), f'{plan.queue}.jsonl')
    with open(path, 'w', 1) as log:
        run = Run(plan, main.access, log)
        print(f'swiftqueue: queue {plan.queue} at {" ".join(plan.endpoints)}: {plan.producers} producers, '
              f'{plan.workers} workers, claims of {plan.claim_ttl} s, seed {plan.seed}', flush=True)
        loaded_at = load_and_drain(run, _say())
    with open(path) as lines:
        history = parse(lines)
    verdict = check(history, overlaps_fatal=arguments.overlaps_fatal)
    print(figures(history, loaded_at), verdict, sep='\n')
    for (op, status), times in sorted(run.errors.items(), key=str):
        print(f'  {op} answered {status or "nothing clear"}: {times}')
    strange = _tell(verdict, path)
    if arguments.log or strange:
        print(f'swiftqueue: the history is in {path}')
    else:
        path.unlink()
    if created and verdict.valid and not arguments.no_delete_queue:
        main.send('DELETE', '')
    if verdict.valid and not (verdict.drained and verdict.acknowledged):
        raise CannotRun('the queue could not be drained' if verdict.acknowledged else 'nothing could be posted')
    return 0 if verdict.valid else 1


def _tell(verdict: Verdict, log: Path) -> bool:
    """Print the stories of messages that something is wrong about; whether there are any."""
    told = {'unexplained': [pair.value for pair in verdict.unexplained],
            'overlaps': [pair.value for pair in verdict.overlaps], **verdict.violations}
    for name, values in told.items():
        for value in list(dict.fromkeys(values))[:SHOWN]:
            with open(log) as lines:
                print(f'{name}: message {value}', *story(lines, value), sep='\n  ')
    return any(told.values())


def _plan(arguments: argparse.Namespace) -> Plan:
    """Raises CannotRun."""
    endpoints = tuple(url.rstrip('/') for url in arguments.endpoints)
    try:
        limits = requests.get(f'{endpoints[0]}/info', timeout=TIMEOUT).json()['swiftqueue']
    except (requests.JSONDecodeError, KeyError, TypeError):
        limits = {}
    except requests.RequestException as error:
        raise CannotRun(f'no answer from {endpoints[0]}: {error}') from None
    chosen = {name: value for name, value in vars(arguments).items()
              if name in Plan.__dataclass_fields__ and value is not None}
    plan = Plan(**{
        'queue': f'stress-{uuid.uuid4().hex[:12]}', 'seed': random.randrange(2 ** 32),
        'claim_ttl': limits.get('min_claim_ttl', 60), 'claim_grace': limits.get('min_claim_grace', 60),
        'message_ttl': min(MESSAGE_TTL, limits.get('max_message_ttl', MESSAGE_TTL)),
        **chosen, 'endpoints': endpoints})
    plan.check()
    return plan


def _access(arguments: argparse.Namespace) -> Access:
    """Raises CannotRun."""
    project = arguments.project or ('demo' if arguments.no_auth else None)
    headers = {'X-Project-Id': project, 'X-Auth-Token': arguments.token}
    access = Access(arguments.endpoints[0].rstrip('/'),
                    '' if arguments.token or arguments.no_auth else arguments.user, arguments.key,
                    {name: value for name, value in headers.items() if value})
    access.log_in()
    return access


# -- the course of a run ---------------------------------------------------------------------------

def prepare(connection: Connection) -> bool:
    """See to it that there is a queue, and that it is empty; whether it is new. Raises CannotRun."""
    plan = connection.plan
    created = _must(connection.send('PUT', '')).status == 201
    if not created:
        total = _must(connection.send('GET', '/stats')).content['messages']['total']
        if total:
            raise CannotRun(f'the queue {plan.queue} has {total} messages of its own')
    for _ in plan.endpoints:
        _must(connection.send('POST', '/claims', connection.lease(), limit=plan.claim_limit))
    return created


def _must(answer: Answer) -> Answer:
    if answer.phase != 'ok':
        said = answer.content.get('description', '') if isinstance(answer.content, dict) else ''
        raise CannotRun(f'the service answered {answer.status}: {said}' if said
                        else f'the service answered {answer.status}')
    return answer


def load_and_drain(run: Run, say: Callable[[str, bool], None]) -> float:
    """Do what the plan says and give the instant when the load ended. Ctrl-C ends the load, and then the drain."""
    plan = run.plan
    with ThreadPoolExecutor(plan.producers + plan.workers) as pool:
        try:
            threads = [pool.submit(produce, run, number) for number in range(plan.producers)]
            threads += [pool.submit(work, run, number) for number in range(plan.workers)]
            end = time.monotonic() + plan.seconds
            with suppress(KeyboardInterrupt):
                _watch(run, threads, 'load', lambda: time.monotonic() >= end, say)
            run.loading, loaded_at = False, time.monotonic()
            number = run.recorder.invoke('drain', worker='main')
            bound = loaded_at + 10 * plan.seconds + 5 * (plan.claim_ttl + plan.settle)
            with suppress(KeyboardInterrupt):
                _watch(run, threads, 'drain', lambda: run.quiet or time.monotonic() >= bound, say)
            run.recorder.answer(number, 'ok' if run.quiet else 'info')
        finally:
            run.loading, run.over = False, True
    for thread in threads:
        thread.result()
    return loaded_at


def _watch(run: Run, threads: list[Future], stage: str, enough: Callable[[], bool],
           say: Callable[[str, bool], None]) -> None:
    began = time.monotonic()
    for turn in count():
        done = enough() or any(thread.done() and thread.exception() for thread in threads)
        if turn % 10 == 0 or done:
            counts = run.counts
            say(f'{stage} {time.monotonic() - began:4.0f} s: posted {counts["post ok"]}, '
                f'delivered {counts["deliveries"]}, acked {counts["ack ok"]}, not acked {len(run.owed)}, '
                f'errors {sum(run.errors.values())}', done)
        if done:
            return
        time.sleep(0.1)


def _say(every: float = 5) -> Callable[[str, bool], None]:
    """For progress: one line that changes on a terminal, else a line every few seconds."""
    last = -every

    def say(text: str, final: bool) -> None:
        nonlocal last
        if sys.stdout.isatty():
            print(f'\r{text:<79}', end='\n' if final else '', flush=True)
        elif final or time.monotonic() - last >= every:
            last = time.monotonic()
            print(text, flush=True)
    return say


def figures(history: list[Operation], loaded_at: float) -> str:
    """A table of how fast what was answered ok; rates are those under load."""
    began = min(operation.invoked_at for operation in history)
    kinds = {'post': [], 'claim': [], 'empty claim': [], 'ack': []}
    for each in history:
        kind = 'empty claim' if each.op == 'claim' and not each.messages else each.op
        if each.phase == 'ok' and kind in kinds:
            kinds[kind].append(each)
    lines = [f'{"":12}{"count":>8}{"per s":>8}' + ''.join(f'{name:>10}' for name, _ in QUANTILES)]
    for kind, done in kinds.items():
        times = sorted(each.answered_at - each.invoked_at for each in done)
        rate = sum(each.answered_at <= loaded_at for each in done) / (loaded_at - began)
        lines.append(f'{kind:12}{len(done):8}{rate:8.1f}' + ''.join(
            f'{quantile(times, part) * 1000:7.0f} ms' if times else f'{"-":>10}' for _, part in QUANTILES))
    return '\n'.join(lines)
