"""A fault in the middle of a load, and what came of it.

A trial: load begins; when it runs well, the case injects its fault; the fault is repaired; the load goes on until
posts, claims and acks succeed again; Swift's daemons pass twice; the queue is drained; the history is judged.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from faults.injections import relayed_proxies
from faults.relay import Relay
from faults.rig import NoEffect, Rig, require
from swiftqueue.cluster import ClusterError
from swiftqueue.history import Operation, Verdict, check, parse, quantile, story
from swiftqueue.stress import prepare
from swiftqueue.stress_load import Access, CannotRun, Client, Connection, Plan, Run, produce, work

ACCOUNT = 'AUTH_faults'
DAEMONS = ('object-updater', 'container-replicator', 'object-replicator')
BASELINE = 10  # acks before anything is injected
STEADY = 2  # seconds of load after the repair, at least
BACK = 30  # seconds after the repair within which everything has to work again
DRAIN = 150  # seconds, at most


@dataclass(frozen=True)
class Case:
    """One fault. ``inject`` does it, under load unless ``quiet``; what it returns is called after the drain."""

    number: str  # in the table of faults
    title: str  # what is injected
    promises: str  # which must hold
    inject: Callable[[Trial], Callable[[], None] | None]
    overlaps: bool = False  # two holders of one message are counted; otherwise they break a promise
    quiet: bool = False  # no load but what inject makes itself
    cache: bool = False  # worth trying with every kind of cache
    relays: bool = False  # clients speak to the proxies through relays
    rows_lost: bool = False  # only fsck can bring back what is lost
    lasting: bool = False  # the fault is repaired only when the queue is drained
    auth: bool = False  # on a cluster where users log in
    attributes: dict[str, Any] = field(default_factory=dict)  # of the queue
    company: Callable[[Trial], AbstractContextManager] = nullcontext  # around the load
    produce: Callable[[Run, int], None] = produce
    work: Callable[[Run, int], None] = work
    judge: Callable[[Trial, list[Operation]], None] = lambda trial, history: None  # more than the checker does
    daemons: tuple[str, ...] = ()  # to be run besides Swift's
    plan: dict[str, Any] = field(default_factory=dict)  # what is special about its load


@dataclass
class Window:
    """A stretch of time; ``must`` and ``must_not`` are operations that have to succeed in it, or never."""

    name: str
    began: float
    ended: float = 0
    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What a trial showed. ``problems`` is empty if all that was promised held."""

    case: Case
    seed: int
    verdict: Verdict
    errors: Counter[tuple[str, int | str]]
    facts: list[str]
    problems: list[str]
    seconds: float
    stories: list[str] = field(default_factory=list)


class Trial:
    """One case at work on a rig. What cases call is public."""

    def __init__(self, rig: Rig, case: Case, run: Run, seconds: float, passes: int, relays: list[Relay]):
        self.rig, self.case, self.run, self.relays = rig, case, run, relays
        self.seconds, self.passes = seconds, passes
        self.cluster = rig.cluster
        self.queue = run.plan.queue
        self.facts: list[str] = []
        self.problems: list[str] = []
        self.windows: list[Window] = []
        self.patience = 60  # seconds by which a window may last longer, for what has to succeed in it
        self.amend: Callable[[list[Operation]], None] = lambda history: None
        self.threads: list[Future] = []

    # -- for cases --

    def wait(self, seconds: float | None = None) -> None:
        """Let ``seconds`` pass, by default those of a fault."""
        deadline = time.monotonic() + (self.seconds if seconds is None else seconds)
        while (left := deadline - time.monotonic()) > 0:
            self._check_threads()
            time.sleep(min(left, 0.1))

    def until(self, condition: Callable[[], Any], limit: float, what: str) -> None:
        """Wait for something that shows the fault. Raises NoEffect."""
        deadline = time.monotonic() + limit
        while not condition():
            self._check_threads()
            require(time.monotonic() < deadline, what)
            time.sleep(0.01)

    def saw(self, fact: str) -> None:
        self.facts.append(fact)

    def holds(self, truth: Any, promise: str) -> None:
        if not truth:
            self.problems.append(f'not so: {promise}')

    @contextmanager
    def window(self, *must: str, name: str = 'meanwhile', must_not: tuple[str, ...] = ()) -> Iterator[Window]:
        window = Window(name, time.monotonic(), must=must, must_not=must_not)
        yield window
        deadline = time.monotonic() + self.patience
        while must and not self._is_done(window) and time.monotonic() < deadline:
            time.sleep(0.5)
        window.ended = time.monotonic()
        self.windows.append(window)

    def _is_done(self, window: Window) -> bool:
        """Whether all has succeeded that has to in the window, for which a slow machine may need longer."""
        try:
            history = self.history()
        except ValueError:  # the last line is being written
            return False
        done = _done(replace(window, ended=time.monotonic()), history)
        return all(done[op] for op in window.must)

    def client(self, name: str = 'case', proxy: int | None = None, **plan: Any) -> Client:
        """A client whose doings go into the history. ``plan`` is what it does otherwise than others."""
        client = Client(self.run, name, 0)
        if proxy:
            plan['endpoints'] = self.run.plan.endpoints[proxy - 1:proxy]
        Connection.__init__(client, replace(self.run.plan, **plan), self.run.access)
        return client

    def values(self, count: int) -> list[int]:
        return [next(self.run.values) for _ in range(count)]

    def history(self) -> list[Operation]:
        with open(self.run.log.name) as lines:
            return parse(lines)

    def total(self) -> int:
        """How many messages listings show."""
        answer = self.client().send('GET', '/stats')
        require(answer.phase == 'ok', 'messages can be counted')
        return answer.content['messages']['total']

    # -- the course --

    def _check_threads(self) -> None:
        for thread in self.threads:
            if thread.done():
                thread.result()

    def course(self) -> Callable[[], None] | None:
        run, plan, afterwards = self.run, self.run.plan, None
        with ThreadPoolExecutor(plan.producers + plan.workers) as pool:
            try:
                if not self.case.quiet:
                    self.threads = [pool.submit(self.case.produce, run, number) for number in range(plan.producers)]
                    self._begin_work(pool)
                    self.until(lambda: run.counts['ack ok'] >= BASELINE, 60, 'messages are delivered without faults')
                try:
                    afterwards = self.case.inject(self)
                except NoEffect as error:
                    self.problems.append(f'the fault had no effect: {error}')
                if not self.case.lasting:
                    self.rig.repair()
                if not self.case.quiet:
                    self._recover()
                run.loading = False
                if daemons := (*self.passes * DAEMONS, *self.case.daemons):
                    self.cluster.run_daemons_once(*daemons)
                if self.case.rows_lost:
                    self._restore_rows()
                if self.case.quiet:
                    self._begin_work(pool)
                self._drain()
            finally:
                run.loading, run.over = False, True
        self._check_threads()
        return afterwards

    def _begin_work(self, pool: ThreadPoolExecutor) -> None:
        self.threads += [pool.submit(self.case.work, self.run, number) for number in range(self.run.plan.workers)]

    def _recover(self) -> None:
        """Go on until a post, a claim and an ack that began after the repair have succeeded."""
        began, done, wanted = time.monotonic(), set(), {'post', 'claim', 'ack'}
        while not wanted <= done and time.monotonic() < began + BACK:
            self.wait(0.5)
            done = {each.op for each in self.history() if each.invoked_at > began and each.phase == 'ok'
                    and (each.op != 'claim' or each.messages)}
        self.holds(wanted <= done, f'all works again {BACK} s after the repair (only {sorted(done)})')
        if (took := time.monotonic() - began) > STEADY:
            self.saw(f'back to normal {took:.0f} s after the repair')
        self.wait(STEADY - took)

    def _drain(self) -> None:
        run = self.run
        # Of a post whose answer was unclear nobody has to wait for, unless somebody has seen the message.
        history = self.history()
        seen = {message['value'] for each in history if each.op == 'claim' for message in each.messages}
        run.owed -= {each.value for each in history if each.op == 'post' and each.phase == 'info'} - seen
        number = run.recorder.invoke('drain', worker='main')
        run.disturbed_at, deadline = time.monotonic(), time.monotonic() + DRAIN
        while not run.quiet and time.monotonic() < deadline:
            self._check_threads()
            time.sleep(0.1)
        run.recorder.answer(number, 'ok' if run.quiet else 'info')

    def _restore_rows(self) -> None:
        """Have ``swiftqueue fsck`` find what no listing shows."""
        before = self.total()
        fsck = subprocess.run([sys.executable, '-c', 'import sys; from swiftqueue.cli import main; sys.exit(main())',
                               'fsck', '--data', str(self.cluster.data), ACCOUNT], capture_output=True, text=True)
        self.holds(fsck.returncode == 0, f'fsck succeeds: {(fsck.stdout + fsck.stderr)[-300:]}')
        acknowledged = sum(each.op == 'post' and each.phase == 'ok' for each in self.history())
        require(before < acknowledged, 'listings lack messages')
        self.saw(f'listings showed {before} of {acknowledged} messages, and {self.total()} after fsck')

    # -- the judgement --

    def outcome(self, began: float) -> Outcome:
        """Judge the history."""
        history = self.history()
        for window in self.windows:
            self._judge_window(window, history)
        self.amend(history)
        self.case.judge(self, history)
        verdict = check(history, overlaps_fatal=not self.case.overlaps)
        broken = verdict.violations
        self.problems += [f'{len(values)} {name}' for name, values in broken.items()]
        if not verdict.drained:
            self.problems.append(f'not drained after {DRAIN} s')
        if not verdict.deliveries:
            self.problems.append('nothing was delivered, so nothing was checked')
        stories = []
        strange = {} if self.case.overlaps else {'unexplained': [pair.value for pair in verdict.unexplained]}
        for name, values in (strange | broken).items():
            for value in list(dict.fromkeys(values))[:2]:
                with open(self.run.log.name) as lines:
                    stories += [f'{name}: message {value}', *story(lines, value)]
        return Outcome(self.case, self.run.plan.seed, verdict, self.run.errors, self.facts, self.problems,
                       time.monotonic() - began, stories)

    def _judge_window(self, window: Window, history: list[Operation]) -> None:
        inside = [each for each in history if window.began <= each.invoked_at <= window.ended]
        done = _done(window, history)
        taken = sum(len(claim.messages) for claim in done['claim'])
        errors = sum(each.phase == 'info' for each in inside)
        times = sorted(each.answered_at - each.invoked_at for each in inside if each.phase == 'ok')
        self.saw(f'{window.name} ({window.ended - window.began:.0f} s): {len(done["post"])} posted, {taken} delivered, '
                 f'{len(done["ack"])} acked, {errors} errors'
                 + (f', 99 % of what succeeded within {quantile(times, 0.99):.1f} s' if times else ''))
        for op in window.must:
            self.holds(done[op], f'{window.name}: some {op} succeeds')
        for op in window.must_not:
            self.holds(not done[op], f'{window.name}: no {op} succeeds')


def _done(window: Window, history: list[Operation]) -> dict[str, list[Operation]]:
    """What was begun in the window and succeeded, by operation."""
    return {op: [each for each in history if each.op == op and each.phase == 'ok' and (op != 'claim' or each.messages)
                 and window.began <= each.invoked_at <= window.ended] for op in ('post', 'claim', 'ack')}


def attempt(rig: Rig, case: Case, seed: int, seconds: float, passes: int = 2, **special: Any) -> Outcome:
    """Try one case.

    ``seconds`` is how long a fault lasts, ``passes`` how often Swift's daemons run afterwards, ``special`` what is
    different in the plan of the load.
    """
    began = time.monotonic()
    rig.repair()
    with ExitStack() as closing:
        urls = rig.cluster.urls
        relays = closing.enter_context(relayed_proxies(rig, seed)) if case.relays else []
        if relays:
            urls = [f'http://127.0.0.1:{relay.port}' for relay in relays]
        plan = Plan(**{
            'endpoints': tuple(urls), 'queue': f'{case.number.lower()}-{uuid.uuid4().hex[:8]}', 'seed': seed,
            'producers': 1, 'workers': 6, 'batch': 2, 'claim_limit': 4, 'claim_ttl': 8, 'settle': 25,
            **special, **case.plan})
        access = Access(urls[0], 'test:tester', 'testing') if case.auth else Access(headers={'X-Project-Id': ACCOUNT})
        access.log_in()
        log = closing.enter_context(open(rig.folder / f'{plan.queue}.jsonl', 'w', 1))
        _prepare(plan, access, case.attributes)
        trial = Trial(rig, case, Run(plan, access, log), seconds, passes, relays)
        try:
            with case.company(trial):
                if afterwards := trial.course():
                    afterwards()
        except (NoEffect, CannotRun, ClusterError) as error:
            trial.problems.append(f'the trial broke off: {error}')
        return trial.outcome(began)


def _prepare(plan: Plan, access: Access, attributes: dict[str, Any]) -> None:
    """Make the queue, as soon as the proxies have forgotten the last fault."""
    deadline = time.monotonic() + BACK
    while True:
        try:
            connection = Connection(plan, access)
            connection.send('PUT', '', attributes)  # what comes of it, the next one says
            prepare(connection)
            return
        except CannotRun:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
