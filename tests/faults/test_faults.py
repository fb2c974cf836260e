"""A few faults, shorter than in ``make faults``; and the harness itself has to fail when it should."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from faults import report
from faults.company_cases import GROUPS, keeps_order
from faults.injections import write_rows
from faults.proxy_cases import cache_killed, kill_proxy_in_claim
from faults.rig import Rig, require
from faults.storage_cases import freeze_one_object_server, kill_one_object_server
from faults.trial import Case, Outcome, Trial, attempt
from swiftqueue.history import Operation
from swiftqueue.names import message_name

BRIEF = {'claim_ttl': 3, 'settle': 2}  # seconds, as all here


@pytest.fixture(scope='module')
def rig():
    with Rig(gate_seconds=10) as rig:
        yield rig


def brief(rig: Rig, inject: Callable, seconds: float = 3, passes: int = 0, **case) -> Outcome:
    return attempt(rig, Case('T', inject.__name__, '', inject, **case), 1, seconds, passes, **BRIEF)


@pytest.mark.parametrize(('inject', 'seconds', 'case'), [
    (kill_one_object_server, 3, {}),
    (freeze_one_object_server, 7, {'overlaps': True}),  # longer than a proxy waits for it
    (cache_killed, 3, {'overlaps': True}),
    (kill_proxy_in_claim, 0, {'quiet': True, 'plan': {'settle': 12}}),  # longer than a gate is shut
])
def test_what_is_promised_holds(rig, inject, seconds, case):
    outcome = brief(rig, inject, seconds, passes=1, **case)
    assert outcome.problems == [], report.as_text(outcome)
    assert outcome.verdict.acknowledged and outcome.facts


def test_a_message_that_is_removed_behind_the_queues_back_is_a_loss(rig):
    def remove_rows(trial: Trial) -> None:
        client = trial.client()
        client.post(trial.values(3))
        messages = client.send('GET', '/messages', echo='true').content['messages']
        write_rows(rig.cluster, trial.queue, [message_name(each['id']) for each in messages[:2]], time.time())
    outcome = brief(rig, remove_rows, quiet=True)
    assert (len(outcome.verdict.lost), outcome.problems) == (2, ['2 lost'])


@pytest.mark.parametrize(('counted', 'problems'), [(False, ['3 overlaps']), (True, [])])
def test_two_holders_at_once_break_a_promise_unless_they_are_to_be_counted(rig, counted, problems):
    def claim_twice(trial: Trial) -> None:
        first, second = (trial.client(proxy=number, claim_ttl=60) for number in (1, 2))
        first.post(trial.values(3))
        require(len(first.claim(3)) == 3, 'messages are claimed')
        rig.set_clock(rig.proxies[1], 100)
        for message in second.claim(3):
            second.ack(message)
    outcome = brief(rig, claim_twice, quiet=True, overlaps=counted)
    assert (len(outcome.verdict.overlaps), outcome.problems) == (3, problems)


def test_a_fault_without_effect_and_a_load_without_deliveries_prove_nothing(rig):
    def nothing(trial: Trial) -> None:
        require(trial.case.number == 'F1', 'this is F1')
    assert brief(rig, nothing, quiet=True).problems == [
        'the fault had no effect: not so: this is F1', 'nothing was delivered, so nothing was checked']


def test_what_has_to_succeed_in_a_window_is_looked_for(rig):
    def stand_still(trial: Trial) -> None:
        trial.patience = 0
        with trial.window('post', must_not=('ack',)):
            trial.client().post(trial.values(1))
        with trial.window('claim', must_not=('post',), name='then'):
            trial.client().post(trial.values(1))
    assert brief(rig, stand_still, quiet=True).problems == [
        'not so: then: some claim succeeds', 'not so: then: no post succeeds']


@pytest.mark.parametrize(('second', 'problems'), [(GROUPS, ['out of order: message 6']), (1, [])])
def test_what_is_delivered_before_an_earlier_message_of_its_group_breaks_a_promise(second, problems):
    history = [Operation('post', at, 'ok', at + 1, value, ttl=100) for at, value in ((0, 0), (2, second))]
    history.append(Operation('claim', 5, 'ok', 6, ttl=10, messages=[
        {'value': second, 'receipt': 'r', 'message_id': 'i'}]))
    trial = SimpleNamespace(problems=[], saw=lambda fact: None)
    keeps_order(trial, history)
    assert trial.problems == problems
