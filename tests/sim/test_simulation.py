"""Simulations of every kind keep the promises, and those with a protection taken out do not."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from janitors import ModelObjects
from sim.profiles import PROFILES
from sim.simulation import simulate

from swiftqueue import claims, head, queues
from swiftqueue.cache import Cache
from swiftqueue.claims import Claims
from swiftqueue.fifo import Fifo
from swiftqueue.history import check, parse
from swiftqueue.messages import Messages
from swiftqueue.shards import Shards
from swiftqueue.single_claims import SingleClaims
from swiftqueue.subscriptions import Subscriptions
from swiftqueue.swift import Swift

RUN = Path(__file__).with_name('run.py')


def run(*arguments, **environ):
    return subprocess.run([sys.executable, str(RUN), *map(str, arguments)], env=os.environ | environ,
                          capture_output=True, text=True, check=False)


def first_failure(profile, seeds, *kinds):
    """The report of the first seed that breaks a promise, one of these `kinds` if any are named."""
    for report in (simulate(seed, profile) for seed in range(seeds)):
        broken = {kind for kind, _ in report.problems}
        if broken & set(kinds) if kinds else broken:
            return report
    return None


def test_some_hundred_seeds_of_every_profile():
    done = run('--seeds', 18 * len(PROFILES), '--brief')
    assert (done.returncode, done.stderr) == (0, '')
    numbers = dict(line.rsplit(None, 1) for line in done.stdout.splitlines()[:-1])
    assert {int(numbers[f'seeds of {name}']) for name in PROFILES} == {18}
    # They are not about nothing.
    assert int(numbers['deliveries']) > int(numbers['messages']) > 1000
    assert int(numbers['delivered again']) > 500 and int(numbers['acks']) > 1000


@pytest.mark.parametrize('seed', [3, 12])  # one with crashes, one with everything
def test_a_seed_does_the_same_in_every_process(seed, tmp_path):
    histories = [simulate(seed).history(), simulate(seed).history()]
    for number in ('0', '1'):
        run('--seed', seed, '--history', tmp_path / number, PYTHONHASHSEED=number)
        histories.append((tmp_path / number).read_text())
    assert histories[0].count('\n') > 50
    assert len(set(histories)) == 1
    assert simulate(seed + len(PROFILES)).history() != histories[0]


# -- traps: a simulation that finds nothing proves nothing -----------------------------------------

def test_without_the_gate_and_the_confirmation_two_workers_hold_one_message(monkeypatch):
    monkeypatch.setattr(Cache, 'enter_gate', lambda *args: None)
    monkeypatch.setattr(Claims, '_is_ours', lambda *args: True)
    report = first_failure(None, 100, 'overlaps')
    assert f'seed {report.seed}, profile {report.profile.name}' in report.story()
    # The history alone shows it, to whoever replays it.
    again = check(parse(report.history().splitlines()), skew=report.profile.skew, overlaps_fatal=True)
    assert json.dumps(again.violations) == json.dumps(report.verdict.violations)


def test_whoever_takes_202_for_success_is_told_of_renewals_that_were_not_stored(monkeypatch):
    skewed = replace(PROFILES['skew'], exclusive=True)  # the judgement allows for the skew
    assert not first_failure(skewed, 40)
    ask = Swift._retried

    def credulous(self, method, container, name='', **request):
        response = ask(self, method, container, name, **request)
        return replace(response, status=201) if response.status == 202 and method == 'PUT' else response
    monkeypatch.setattr(Swift, '_retried', credulous)
    assert first_failure(skewed, 40, 'ack refused', 'overlaps')


def test_without_the_fence_a_receipt_is_good_after_a_later_delivery(monkeypatch):
    monkeypatch.setattr(Claims, '_supersede', lambda *args: True)
    assert first_failure(PROFILES['far skew'], 40, 'stale acks')


def test_where_every_message_is_taken_for_gone_acked_ones_come_back(monkeypatch):
    monkeypatch.setattr(ModelObjects, 'deleted_at', lambda *args: 1.0)
    assert first_failure(PROFILES['shunning'], 80, 'returned')


def test_whoever_believes_a_single_server_hands_out_what_was_acked():
    assert first_failure(replace(PROFILES['shunning'], direct=0), 80, 'returned', 'overlaps')


def test_an_ack_that_does_not_look_takes_the_message_from_whoever_has_it_now(monkeypatch):
    def careless(self, record, receipt):
        self.queue.messages.remove(record, receipt.message_id)
        return True
    monkeypatch.setattr(SingleClaims, '_ack_one', careless)
    assert first_failure(PROFILES['singly'], 40, 'stale acks')


def test_whoever_reads_before_he_claims_hands_out_what_was_acked_meanwhile(monkeypatch):
    monkeypatch.setattr(claims, '_may_be_read_early', lambda attempt: True)
    assert first_failure(PROFILES['long bodies'], 40, 'returned')


def test_what_is_before_a_page_and_never_looked_at_is_not_delivered(monkeypatch):
    monkeypatch.setattr(head, '_begin_anew', lambda page, source: setattr(page, 'hinted', False))
    monkeypatch.setattr(queues, 'look_back', lambda page, source: setattr(page, 'looked_at', source.monotonic()))
    assert first_failure(PROFILES['long queue'], 20, 'vanished', 'the queue cannot be drained')


# -- traps for FIFO queues -------------------------------------------------------------------------

def test_with_listings_of_one_replica_a_late_message_is_passed_over(monkeypatch):
    page = Shards.page
    monkeypatch.setattr(Shards, 'page', lambda self, *args: page(replace(self, fifo=False), *args))
    monkeypatch.setattr(Swift, 'show', lambda *args: None)
    assert first_failure(PROFILES['fifo'], 40, 'out of order')


def test_with_ids_by_the_clock_alone_a_slow_one_puts_its_messages_first(monkeypatch):
    monkeypatch.setattr(Fifo, '_last', lambda self, record: '')
    assert first_failure(PROFILES['fifo storm'], 40, 'out of order')


def test_whoever_looks_at_no_claims_of_mates_has_two_of_a_group_in_flight(monkeypatch):
    monkeypatch.setattr(Claims, '_held_mate', lambda *args, **options: None)
    assert first_failure(PROFILES['fifo'], 100, 'two of a group in flight')


def test_without_a_registration_a_repeated_post_is_another_message(monkeypatch):
    monkeypatch.setattr(Fifo, '_register', lambda self, record, name, ours: ours)
    assert first_failure(PROFILES['fifo'], 20, 'two messages of one deduplication id')


# -- traps for subscribers -------------------------------------------------------------------------

def test_where_rows_are_late_and_nobody_minds_a_new_subscriber_misses_posts(monkeypatch):
    monkeypatch.setattr(Subscriptions, '_show', lambda *args: None)
    assert first_failure(replace(PROFILES['fan-out'], lag=0.9), 10, 'lost')


def test_a_copy_that_is_written_later_than_its_message_comes_back_after_an_ack(monkeypatch):
    store = Messages.store

    def late(self, record, message_id, envelope, timestamp, *, mine=None):
        return store(self, record, message_id, envelope, self.engine.clock() if mine else timestamp, mine=mine)
    monkeypatch.setattr(Messages, 'store', late)
    assert first_failure(PROFILES['fan-out'], 20, 'returned')
