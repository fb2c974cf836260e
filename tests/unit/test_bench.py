"""What ``make bench`` makes of its measurements."""

import json
import math
from collections import Counter
from xml.etree import ElementTree

import pytest
from bench import report
from bench.chart import chart
from bench.load import Answer, Sample, Unexpected, parse
from bench.operations import GROUPS, MEASURES, Ground, chosen, claim_and_ack, empty_poll, pop_10
from bench.results import FILTER_SHARE, TARGETS, Row, filter_share, judged, quantile, ratio, rows
from bench.rounds import Setting, Taken
from bench.stage import Stage


def a_setting(**rates):
    """With these rates in its rounds, one second and one operation each."""
    setting = Setting(Stage([], {}), GROUPS, 8, 256, 1, print)
    for name, values in rates.items():
        setting.taken[name.replace('_', ' ')] = [
            Taken(Sample(seconds=1, rate=rate, operations=1, messages=10, latencies=[rate / 1000]),
                  Counter(PUT=10, GET=5), Counter(proxy=2.0)) for rate in values]
    return setting


@pytest.mark.parametrize(('share', 'expected'), [(0.5, 50), (0.99, 99), (1, 100), (0, 1), (0.005, 1)])
def test_a_quantile_is_a_value_that_was_measured(share, expected):
    assert quantile(range(100, 0, -1), share) == expected


def test_there_is_no_quantile_of_nothing():
    assert quantile([], 0.5) is None


def test_a_ratio_is_taken_within_rounds_so_that_a_slow_round_does_not_count():
    assert ratio([10, 1, 12], [20, 2, 20]) == 0.5
    assert ratio([10, 1, 12], []) is None
    assert ratio([10], [0]) is None


def test_a_row_has_medians_of_rounds_and_costs_per_message():
    row, = (row for row in rows(a_setting(raw_PUT=[50, 60, 40], post_1=[25, 90, 20])) if row.name == 'post 1')
    assert (row.rate, row.ratio, row.p50, row.p99) == (25, 0.5, 0.025, 0.09)
    assert (row.requests, row.methods, row.cpu['proxy']) == (1.5, {'PUT': 1, 'GET': 0.5}, 0.2)


def test_targets_are_judged_where_there_are_figures():
    table = rows(a_setting(raw_PUT=[100], post_1=[94], post_10=[110]))
    verdicts = {target.name: target.met(value) for target, value in judged(table, 0.3)}
    assert verdicts == {'post 1': False, 'post 10': True, FILTER_SHARE: False}


def test_every_target_is_about_something_measured_beside_raw_swift():
    for target in TARGETS:
        assert target.name == FILTER_SHARE or MEASURES[MEASURES[target.name].beside].raw


def test_the_filters_share_is_that_of_the_middle_round():
    setting = a_setting()
    assert filter_share(setting) is None
    setting.zones = [Counter({'queue': share, 'swift PUT': 1.5, 'swift GET': 0.5, 'hub': 9})
                     for share in (0.2, 0.6, 0.4)]
    assert filter_share(setting) == 0.2


def test_a_chosen_measure_brings_the_raw_one_beside_it():
    def names(*wanted, raw=True):
        return [measure.name for group in chosen(wanted, raw) for measure in group]
    assert names('post 1') == ['raw PUT', 'post 1']
    assert names('post 1', raw=False) == ['post 1']
    assert names() == list(MEASURES)
    with pytest.raises(ValueError, match="'post 3'"):
        names('post 3')


def test_a_post_has_as_many_bodies_of_that_size_as_it_says():
    body = Ground(8, 300).messages(3)
    assert body.count(b'x' * 300) == 3 and body.count(b'x') == 900


# -- services that give one message to two clients -------------------------------------------------

def played(operation, *answers):
    """What the operation returns when its requests are answered so."""
    try:
        next(operation)
        for answer in answers:
            operation.send(answer)
    except StopIteration as end:
        return end.value
    raise AssertionError('it asks for more')


def answered(status, *ids):
    messages = [{'id': each, 'href': f'/v2/queues/q/messages/{each}?claim_id=c'} for each in ids]
    return Answer(status, {}, json.dumps({'messages': messages}).encode())


def test_a_message_that_two_clients_get_is_handled_once():
    ground = Ground(2, 256, waiting=4)
    done, refused = Answer(204, {}, b''), Answer(403, {}, b'{}')
    assert played(claim_and_ack(ground, None, 3), answered(201, 'a', 'b', 'c'), done, refused, done) == 2
    assert played(claim_and_ack(ground, None, 2), answered(201, 'a', 'b'), done, done) == 1
    assert played(pop_10(ground, None), answered(200, 'c', 'd')) == 1
    assert (ground.waiting, ground.in_vain) == (0, 3)


@pytest.mark.parametrize('nothing', [Answer(204, {}, b''), answered(201)])
def test_an_empty_claim_is_an_answer_to_an_empty_poll(nothing):
    assert played(empty_poll(Ground(1, 256), None), nothing) == 1


def test_a_message_out_of_nowhere_is_not():
    with pytest.raises(Unexpected):
        played(empty_poll(Ground(1, 256), None), answered(201, 'a'))


# -- tables and chart ------------------------------------------------------------------------------

@pytest.mark.parametrize(('value', 'shown'), [
    (0.00045678, '0.000457'), (1, '1.00'), (99.96, '100'), (0.9996, '1.00'), (123456, '123000'), (0, '0'),
    (math.nan, ''), (None, '')])
def test_numbers_have_three_digits(value, shown):
    assert report.number(value) == shown


def test_a_refused_measure_has_no_figures():
    row = Row('post 10', 8, 65536, 0, 'messages', None, None, None, 0, {}, {}, 0, {'POST answered 400': 3})
    assert report.table([row])[1] == ('post 10', 'refused', *[''] * (len(report.HEAD) - 2))


def test_columns_of_a_table_stand_below_each_other():
    lines = report.text([('', 'rate'), ('a', '1'), ('long name', '1000')]).splitlines()
    assert lines == ['           rate', 'a             1', 'long name  1000']
    rule, head, rule_again, *body, last = report.rst([('', 'rate'), ('a', '1'), ('long', '1000')]).splitlines()
    assert rule == rule_again == last == '====  ===='
    assert head.split() == ['\\', 'rate'] and [line.split() for line in body] == [['a', '1'], ['long', '1000']]


def test_figures_go_between_the_marks_and_replace_what_was_there():
    document = f'before\n\n{report.BEGIN}\n\nold\n\n{report.END}\n\nafter\n'
    once = report.put_between(document, 'new')
    assert once == document.replace('old', 'new')
    assert report.put_between(once, 'newer') == document.replace('old', 'newer')
    with pytest.raises(ValueError, match='no place'):
        report.put_between('before\n', 'new')


def test_a_chart_is_well_formed_and_longer_bars_are_greater_ratios():
    svg = ElementTree.fromstring(chart('a < b & c', {'x': [0.5, None], 'y': [20, 0.4]}, ['one', 'two'], {'x': 0.9}))
    name = '{http://www.w3.org/2000/svg}'
    bars = [float(each.get('width')) for each in svg.iter(f'{name}rect') if each.get('height') == '10']
    assert len(bars) == 3 and bars[1] > bars[0] > bars[2]
    assert 'a < b & c' in [each.text for each in svg.iter(f'{name}text')]


# -- the client ------------------------------------------------------------------------------------

ANSWERS = {
    b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello': ('GET', b'hello'),
    b'HTTP/1.1 204 No Content\r\n\r\n': ('DELETE', b''),
    b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n': ('HEAD', b''),
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n': ('GET', b'abcde'),
}


@pytest.mark.parametrize('data', ANSWERS)
def test_an_answer_is_read_when_all_of_it_is_there_and_no_further(data):
    method, body = ANSWERS[data]
    for end in range(len(data)):
        assert parse(bytearray(data[:end]), method) == (None, 0)
    answer, used = parse(bytearray(data + b'HTTP/1.1 200 OK\r\n'), method)
    assert isinstance(answer, Answer) and (answer.body, used) == (body, len(data))
