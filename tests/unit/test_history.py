"""The judge of histories: for each rule a history that breaks it, and one that just does not."""

import json
import math

import pytest

from swiftqueue.history import HistoryError, Operation, Recorder, check, operations, parse, quantile, story

NEVER = math.inf


def post(value, invoked_at, answered_at, phase='ok', ttl=3600):
    return Operation('post', invoked_at, phase, answered_at, value=value, ttl=ttl)


def claim(receipt, invoked_at, answered_at, *values, ttl=10, phase='ok'):
    return Operation('claim', invoked_at, phase, answered_at, ttl=ttl,
                     messages=[{'value': value, 'receipt': receipt} for value in values])


def pop(invoked_at, answered_at, *values, phase='ok', limit=1):
    return Operation('pop', invoked_at, phase, answered_at, limit=limit, messages=[{'value': each} for each in values])


def ack(value, receipt, invoked_at, answered_at, phase='ok'):
    return Operation('ack', invoked_at, phase, answered_at, value=value, receipt=receipt)


def renew(receipt, invoked_at, answered_at, ttl=10, phase='ok'):
    return Operation('renew', invoked_at, phase, answered_at, receipt=receipt, ttl=ttl)


def release(receipt, invoked_at, answered_at, phase='ok'):
    return Operation('release', invoked_at, phase, answered_at, receipt=receipt)


def drain(invoked_at=100, answered_at=200, phase='ok'):
    return Operation('drain', invoked_at, phase, answered_at)


def receipts(pairs):
    return [(pair.first.receipt, pair.second.receipt) for pair in pairs]


POSTED = post(7, 0, 1)
DONE = [POSTED, claim('a', 2, 3, 7), ack(7, 'a', 4, 5), drain()]


def test_a_message_posted_claimed_and_acked_is_all_right():
    verdict = check(DONE)
    assert verdict.valid and verdict.drained and not verdict.violations
    assert (verdict.duplicated, verdict.unexplained, verdict.overlaps) == ({}, [], [])


def test_only_what_was_answered_ok_counts_as_acknowledged_or_acked():
    verdict = check([*DONE, post(8, 0, 1, 'info'), post(9, 0, 1, 'fail'), ack(8, 'x', 4, 5, 'info'),
                     ack(8, 'x', 6, 7, 'fail'), claim('b', 4, 5)])
    assert (verdict.posts, verdict.acknowledged, verdict.deliveries, verdict.acks) == (3, 1, 1, 1)


# -- lost, expired, vanished, taken --

def test_an_acknowledged_message_that_never_came_is_lost():
    verdict = check([POSTED, drain()])
    assert verdict.lost == [7] and not verdict.valid


@pytest.mark.parametrize('phase', ['info', 'fail'])
def test_a_message_that_was_not_acknowledged_may_stay_away(phase):
    assert check([post(7, 0, 1, phase), drain()]).valid


@pytest.mark.parametrize('rest', [[], [drain(phase='info')], [drain(), drain(phase='info')]])
def test_before_the_queue_is_drained_nothing_is_lost_nor_vanished(rest):
    verdict = check([POSTED, post(8, 0, 1), claim('a', 2, 3, 8), *rest])
    assert verdict.valid and not verdict.drained


def test_a_message_that_may_have_expired_is_not_lost():
    verdict = check([post(7, 0, 1, ttl=200), post(8, 0, 1, ttl=201), drain(100, 200)])
    assert (verdict.expired, verdict.lost) == ([7], [8])


def test_a_message_that_was_deleted_without_a_receipt_need_not_come():
    assert check([POSTED, ack(7, '', 2, 3), drain()]).valid
    assert check([POSTED, ack(7, '', 2, 3, 'info'), drain()]).valid
    assert check([POSTED, ack(7, '', 2, 3, 'fail'), drain()]).lost == [7]
    # Nor does it use up what a pop without an answer may have taken.
    assert check([POSTED, ack(7, '', 2, 3), post(8, 0, 1), pop(4, 5, phase='info', limit=1), drain()]).valid


def test_a_message_whose_claims_answer_was_lost_must_come_all_the_same():
    assert check([POSTED, claim('', 2, 3, phase='info'), drain()]).lost == [7]


@pytest.mark.parametrize('acks', [[], [ack(7, 'a', 14, 15, 'fail')]])
def test_a_message_that_nobody_acked_must_come_again(acks):
    verdict = check([POSTED, claim('a', 2, 3, 7), *acks, drain()])
    assert verdict.vanished == [7] and not verdict.valid


def test_a_message_that_may_have_been_stored_must_not_vanish_once_it_was_seen():
    assert check([post(7, 0, 1, 'info'), claim('a', 2, 3, 7), drain()]).vanished == [7]


@pytest.mark.parametrize('end', [[ack(7, 'a', 4, 5, 'info')], [ack(7, 'a', 4, NEVER, 'info')], [pop(4, 5, 7)]])
def test_a_message_that_may_have_been_acked_has_not_vanished(end):
    assert check([POSTED, claim('a', 2, 3, 7), *end, drain()]).valid


def test_a_message_that_was_seen_may_expire_too():
    verdict = check([post(7, 0, 1, ttl=100), claim('a', 2, 3, 7), drain(100, 200)])
    assert verdict.valid and verdict.expired == [7]


def test_a_pop_without_an_answer_may_have_taken_as_many_as_it_asked_for():
    messages = [POSTED, post(8, 0, 1), claim('a', 2, 3, 8)]
    verdict = check([*messages, pop(4, 5, phase='info', limit=2), drain()])
    assert verdict.valid and sorted(verdict.taken) == [7, 8]
    verdict = check([*messages, pop(4, 5, phase='info', limit=1), pop(4, 5, phase='fail'), drain()])
    assert (verdict.lost, verdict.vanished, verdict.taken) == ([7], [8], [])


# -- unexpected, recovered, duplicated --

@pytest.mark.parametrize('posts', [[], [post(7, 0, 1, 'fail')]])
def test_what_nobody_posted_is_unexpected(posts):
    verdict = check([*posts, claim('a', 2, 3, 7), ack(7, 'a', 4, 5), drain()])
    assert verdict.unexpected == [7] and not verdict.valid and not verdict.recovered


def test_a_post_that_nobody_knew_about_and_that_comes_is_recovered():
    verdict = check([post(7, 0, 1, 'info'), claim('a', 2, 3, 7), ack(7, 'a', 4, 5), drain()])
    assert verdict.valid and verdict.recovered == [7]


def test_deliveries_beyond_the_first_are_counted_for_each_message():
    verdict = check([POSTED, post(8, 0, 1), claim('a', 2, 3, 7, 8), claim('b', 13, 14, 7), claim('c', 25, 26, 7),
                     ack(7, 'c', 27, 28), ack(8, 'a', 4, 5), drain()])
    assert verdict.valid and verdict.duplicated == {7: 2}


# -- returned --

def test_a_message_claimed_after_its_ack_was_answered_has_returned():
    verdict = check([*DONE, claim('b', 5.1, 6, 7)])
    assert verdict.returned == [7] and not verdict.valid


def test_a_claim_that_began_before_the_acks_answer_may_have_come_first():
    assert check([*DONE, claim('b', 5, 14, 7)]).returned == []


def test_the_first_ack_counts_not_the_last():
    assert check([*DONE, claim('b', 5.1, 6, 7), ack(7, 'b', 7, 8)]).returned == [7]


@pytest.mark.parametrize('phase', ['info', 'fail'])
def test_a_message_may_come_again_after_an_ack_that_was_not_answered_ok(phase):
    verdict = check([POSTED, claim('a', 2, 3, 7), ack(7, 'a', 4, 5, phase),
                     claim('b', 13, 14, 7), ack(7, 'b', 15, 16), drain()])
    assert verdict.valid and verdict.duplicated == {7: 1} and not verdict.unexplained


# -- stale acks --

REGRANTED = [POSTED, claim('a', 2, 3, 7), claim('b', 13, 14, 7)]


def test_an_ack_with_the_receipt_from_before_a_later_delivery_is_stale():
    verdict = check([*REGRANTED, ack(7, 'a', 14.1, 15)])
    assert verdict.stale_acks == [7] and not verdict.valid


@pytest.mark.parametrize('rest', [
    [ack(7, 'a', 14.1, 15, 'fail')],
    [ack(7, 'a', 14.1, 15, 'info')],
    [ack(7, 'a', 14, 15)],  # the later delivery may not have been answered
    [ack(7, 'b', 14.1, 15)],
    [ack(7, 'b', 15, 18), ack(7, 'a', 14.1, 15)],  # what is gone may be acked by anybody
    [ack(7, 'b', 14.1, NEVER, 'info'), ack(7, 'a', 15, 17)],
    [pop(15, 16, 7), ack(7, 'a', 17, 18)],
])
def test_acks_that_are_refused_or_right_or_too_late_to_matter_are_not_stale(rest):
    assert check([*REGRANTED, *rest]).stale_acks == []


@pytest.mark.parametrize('other', [ack(7, 'b', 14.1, 16, 'fail'), ack(7, 'b', 17.1, 18, 'info')])
def test_another_ack_excuses_a_stale_one_only_if_it_may_have_been_done_before(other):
    assert check([*REGRANTED, other, ack(7, 'a', 15, 17)]).stale_acks == [7]


def test_of_two_claims_at_one_time_nobody_knows_which_is_the_later_one():
    assert check([POSTED, claim('a', 2, 4, 7), claim('b', 4, 5, 7), ack(7, 'a', 6, 7)]).stale_acks == []


def test_what_has_expired_may_be_acked_by_anybody():
    claims = REGRANTED[1:]
    assert check([post(7, 0, 1, ttl=15), *claims, ack(7, 'a', 14.1, 15)]).valid
    assert not check([post(7, 0, 1, ttl=15.1), *claims, ack(7, 'a', 14.1, 15)]).valid


# -- overlapping holders, and deliveries that nothing explains --

def test_two_who_hold_a_message_at_one_instant_overlap():
    verdict = check([POSTED, claim('a', 2, 3, 7), claim('b', 4, 11.9, 7)])
    pair, = verdict.overlaps
    assert (pair.value, pair.first.receipt, pair.second.receipt) == (7, 'a', 'b')
    assert verdict.unexplained == [pair] and verdict.valid


def test_overlaps_are_fatal_on_demand():
    history = [POSTED, claim('a', 2, 3, 7), claim('b', 4, 11.9, 7)]
    assert check(history, overlaps_fatal=True).violations == {'overlaps': [7]}
    assert check(DONE, overlaps_fatal=True).valid


@pytest.mark.parametrize('between', [
    [claim('b', 4, 12, 7)],  # the first lease ends when its ttl has passed since its claim began, at the earliest
    [release('a', 4, 5), claim('b', 4, 5, 7)],
    [release('a', 4, 5, 'info'), claim('b', 6, 7, 7)],
    [release('a', 4, NEVER, 'info'), renew('a', 5, 6), claim('b', 6, 7, 7)],
    [renew('a', 4, 5, ttl=2), claim('b', 5, 6, 7)],
    [renew('a', 4, 5, ttl=2, phase='info'), claim('b', 5, 6, 7)],
    [renew('a', 4, 5, phase='info'), claim('b', 4, 12, 7)],
    [renew('a', 4, 5, ttl=1), renew('a', 5, 6, ttl=100), claim('b', 6, 7, 7)],  # the first may have been done last
    [renew('a', 4, 5, ttl=1, phase='info'), renew('a', 5, 6, ttl=100), claim('b', 6, 7, 7)],
])
def test_a_delivery_after_a_lease_that_may_have_ended_is_explained(between):
    verdict = check([POSTED, claim('a', 2, 3, 7), *between])
    assert verdict.unexplained == verdict.overlaps == [] and verdict.duplicated == {7: 1}


def test_a_pop_holds_nothing_but_must_not_take_what_is_held():
    assert check([POSTED, pop(2, 3, 7), claim('a', 4, 5, 7)]).unexplained == []
    verdict = check([POSTED, claim('a', 2, 3, 7), pop(4, 5, 7)])
    assert len(verdict.unexplained) == 1 and verdict.overlaps == []


@pytest.mark.parametrize('between', [
    [renew('a', 4, 5), claim('b', 12.5, 13.9, 7)],
    [renew('a', 4, 5, phase='info'), claim('b', 4, 11.9, 7)],
    [renew('a', 4, 5, ttl=1, phase='fail'), claim('b', 4, 11.9, 7)],
    [renew('a', 4, 5, ttl=9, phase='info'), renew('a', 6, 7, ttl=9), claim('b', 6, 14.9, 7)],
    [renew('a', 4, 5, ttl=1), renew('a', 5.1, 6), claim('b', 8, 15, 7)],
    [release('a', 4, 5, 'fail'), claim('b', 6, 7, 7)],
    [release('a', 6.1, 7), claim('b', 5, 6, 7)],
    [release('x', 4, 5), claim('b', 6, 7, 7)],
])
def test_a_delivery_while_the_lease_surely_ran_is_an_overlap(between):
    verdict = check([POSTED, claim('a', 2, 3, 7), *between])
    assert len(verdict.overlaps) == len(verdict.unexplained) == 1


def test_a_message_of_a_claim_that_has_begun_to_be_acked_is_not_held_but_its_delivery_is_not_explained():
    """An ack frees nothing, so a delivery beside one is wrong whether the ack was done before or after."""
    verdict = check([POSTED, claim('a', 2, 3, 7), ack(7, 'a', 4, 6), claim('b', 3, 5, 7)])
    assert verdict.overlaps == [] and [pair.value for pair in verdict.unexplained] == [7]


def test_a_refused_ack_lets_nothing_go():
    assert check([POSTED, claim('a', 2, 3, 7), ack(7, 'a', 4, 6, 'fail'), claim('b', 3, 5, 7)]).overlaps


def test_a_reply_later_than_its_own_lease_holds_nothing_but_was_a_delivery():
    verdict = check([POSTED, claim('a', 2, 3, 7, ttl=100), claim('b', 4, 16, 7, ttl=10)])
    assert verdict.overlaps == [] and [pair.value for pair in verdict.unexplained] == [7]


def test_a_short_lease_between_does_not_hide_a_long_one():
    verdict = check([POSTED, claim('a', 2, 3, 7, ttl=100), claim('b', 4, 5, 7, ttl=2), claim('c', 20, 21, 7)])
    assert receipts(verdict.unexplained) == receipts(verdict.overlaps) == [('a', 'b'), ('a', 'c')]


def test_who_acks_holds_no_longer_but_its_lease_still_forbids_other_deliveries():
    verdict = check([POSTED, claim('a', 2, 3, 7, ttl=100), ack(7, 'a', 3.5, 9, 'info'), claim('b', 3, 4, 7),
                     claim('c', 3, 5, 7), claim('d', 20, 21, 7)])
    assert receipts(verdict.unexplained) == [('a', 'b'), ('a', 'c'), ('a', 'd')]
    assert receipts(verdict.overlaps) == [('b', 'c')]


def test_the_delivery_that_was_answered_first_may_have_been_granted_last():
    verdict = check([POSTED, claim('a', 2, 9, 7, ttl=100), claim('b', 3, 10, 7, ttl=6)])
    assert verdict.unexplained == verdict.overlaps == []


def test_clocks_may_differ_by_the_skew():
    history = [POSTED, claim('a', 2, 3, 7), claim('b', 4, 11.5, 7)]
    assert check(history, skew=0.5).overlaps == []
    assert check(history, skew=0.4).overlaps


# -- visibility, and how it reads --

def test_how_long_messages_took_to_be_delivered_is_known_for_those_that_were_acknowledged():
    verdict = check([POSTED, post(8, 0, 1, 'info'), post(9, 5, 8), claim('b', 1, 9, 7), claim('a', 2, 5, 7, 8, 9)])
    assert verdict.visible_after == [0, 4]


@pytest.mark.parametrize('part, value', [(0.5, 2), (0.51, 3), (0.99, 4), (1.0, 4), (0, 1)])
def test_a_quantile_is_one_of_the_values(part, value):
    assert quantile([1, 2, 3, 4], part) == value


def test_there_is_no_quantile_of_nothing():
    assert math.isnan(quantile([], 0.5))


def test_a_verdict_reads_well():
    good, bad = str(check(DONE)), str(check([*DONE, claim('b', 6, 7, 7), claim('c', 6, 7, 8)]))
    assert good.startswith('valid') and 'lost 0' in good and '50 % 2.000 s' in good and 'not drained' not in good
    assert bad.startswith('BROKEN PROMISES: 1 unexpected, 1 returned')
    assert 'not drained' in str(check([POSTED])) and '50 % -' in str(check([POSTED]))


# -- the log --

def record():
    """The same as DONE, but for the times."""
    lines, times = [], iter(range(100))
    recorder = Recorder(lambda: next(times), lambda event: lines.append(json.dumps(event)))
    posting = recorder.invoke('post', worker='p', value=7, ttl=3600)
    claiming = recorder.invoke('claim', worker='w', ttl=10)
    recorder.answer(posting, 'ok', status=201)
    recorder.answer(claiming, 'ok', messages=[{'value': 7, 'receipt': 'a', 'message_id': 'id'}])
    recorder.answer(recorder.invoke('ack', value=7, receipt='a', message_id='id'), 'ok')
    recorder.answer(recorder.invoke('renew', receipt='b', ttl=5), 'info', status=503)
    recorder.invoke('release', receipt='b')
    return lines


def test_what_is_recorded_can_be_read():
    posted, claimed, acked, renewed, released = parse(record())
    assert posted == post(7, 0, 2)
    assert (claimed.invoked_at, claimed.answered_at, claimed.messages[0]['receipt']) == (1, 3, 'a')
    assert acked == ack(7, 'a', 4, 5)
    assert renewed == renew('b', 6, 7, ttl=5, phase='info')
    assert released == release('b', 8, NEVER, 'info')


@pytest.mark.parametrize('events', [
    [{'id': 1, 'phase': 'ok', 'time': 1}],
    [{'id': 1, 'phase': 'invoke', 'op': 'list', 'time': 1}],
    [{'id': 1, 'phase': 'invoke', 'op': 'post', 'time': 1, 'value': 7}] * 2,
    [{'id': 1, 'phase': 'invoke', 'op': 'post', 'time': 1, 'value': 7},
     {'id': 2, 'phase': 'invoke', 'op': 'post', 'time': 1, 'value': 7}],
    [{'id': 1, 'phase': 'invoke', 'op': 'drain', 'time': 1}, {'id': 1, 'phase': 'done', 'time': 1}],
    [{'id': 1, 'phase': 'invoke', 'op': 'drain', 'time': 1}] + [{'id': 1, 'phase': 'ok', 'time': 1}] * 2,
    [{'id': 1, 'phase': 'invoke', 'time': 1}],
    [{'id': 1, 'phase': 'invoke', 'op': 'drain'}],
])
def test_what_cannot_be_a_history_is_refused(events):
    with pytest.raises(HistoryError):
        operations(events)


def test_the_story_of_a_message_has_its_claims_and_what_was_done_to_them():
    lines = record()
    others = [json.dumps(event) for event in (
        {'id': 70, 'op': 'post', 'phase': 'invoke', 'time': 50, 'value': 8},
        {'id': 71, 'op': 'claim', 'phase': 'invoke', 'time': 50},
        {'id': 71, 'phase': 'ok', 'time': 51, 'messages': [{'value': 8, 'receipt': 'c'}]},
        {'id': 73, 'op': 'ack', 'phase': 'invoke', 'time': 52, 'value': 8, 'receipt': 'a'})]
    renewed = json.dumps({'id': 72, 'op': 'renew', 'phase': 'invoke', 'time': 52, 'receipt': 'a', 'ttl': 10})
    assert story([*lines, *others, renewed], 7) == [*lines[:-3], renewed]
