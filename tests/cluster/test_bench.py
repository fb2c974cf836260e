"""``make bench`` on a cluster of its own, as short as can be."""

import json

import pytest
from bench import deep
from bench.__main__ import main


@pytest.fixture(scope='module')
def figures(tmp_path_factory):
    file = tmp_path_factory.mktemp('bench') / 'figures.json'
    assert main(['--clients', '2', '--sizes', '256', '--rounds', '1', '--seconds', '0.1', '--json', str(file),
                 '--only', 'post 1,list 20 with claimed,claim 1 + ack']) == 0
    return json.loads(file.read_text())


def test_raw_swift_and_the_queue_are_measured_side_by_side(figures):
    assert [row['name'] for row in figures['rows']] == [
        'raw PUT', 'post 1', 'raw GET', 'list 20 with claimed', 'raw pair', 'claim 1 + ack']
    for row in figures['rows']:
        assert row['failures'] == {} and row['rate'] > 0 and row['p50'] <= row['p99']
        assert (row['ratio'] is None) == row['name'].startswith('raw ')


def test_swift_requests_are_those_of_the_queue(figures):
    methods = {row['name']: row['methods'] for row in figures['rows']}
    assert methods['raw PUT'] == methods['raw pair'] == {}
    assert methods['post 1']['PUT'] == 1
    assert methods['claim 1 + ack']['PUT'] >= 1 and methods['claim 1 + ack']['DELETE'] == 1


def test_one_worker_looks_through_what_is_at_the_head_of_a_queue_for_all(tmp_path, monkeypatch):
    for name in ('FIRST_TRIES', 'COLD_TRIES', 'ROUNDS', 'WARM_SECONDS', 'PAUSE'):
        monkeypatch.setattr(deep, name, 1)
    monkeypatch.setattr(deep, 'cases', lambda long, cases=deep.cases: [
        case for case in cases(long) if case.name.startswith(('almost', '300 in flight', '3000 expired'))])
    assert main(['--deep', '--rows', '3000', '--json', str(tmp_path / 'deep.json')]) == 0
    almost_empty, *long = json.loads((tmp_path / 'deep.json').read_text())
    assert len(long) == 2
    least = float(almost_empty['first requests'])
    for queue in long:
        assert queue['found nothing'] == '0'
        assert float(queue['very first requests']) > least + 2
        assert float(queue['first requests']) <= least + 2  # a look at what is before its page, and that comes later
