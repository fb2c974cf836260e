"""Container servers asked without a proxy-server in between: what a majority of them is good for."""

import json

import pytest
from local_servers import Ring, servers, tell  # noqa: F401 (a fixture)

from swiftqueue import majorities
from swiftqueue.majorities import Majorities, Pages, deleted_row, new_row
from swiftqueue.swift import TICK


def rows(names):
    return [{'name': name} for name in names]


def merged(*pages, limit=10, **options):
    """Names, with marks where a row is doubtful, and where it is early, and whether there are no more."""
    found, complete = Pages(tuple(map(rows, pages)), 0, 3).merged(limit, **options)
    return ' '.join(row['name'] + '?' * row['doubtful'] + '!' * row['early'] for row in found), complete


# -- pages -----------------------------------------------------------------------------------------

@pytest.mark.parametrize('pages, limit, names, complete', [
    (['abc', 'abc'], 10, 'a b c', True),
    (['ac', 'bc'], 10, 'a? b?! c', True),
    (['', ''], 10, '', True),
    (['abc', 'abc'], 3, 'a b c', False),
    (['abd', 'abc'], 3, 'a b c?!', False),  # the second one may have d, too
    (['abc', 'cde'], 3, 'a? b? c', False),
    (['abc', 'a'], 3, 'a b? c?', False),
    (['abc'], 10, 'a b c', True)])
def test_a_page_has_what_any_of_them_lists_and_ends_where_one_might_go_on(pages, limit, names, complete):
    assert merged(*pages, limit=limit) == (names, complete)


def test_a_page_from_the_end():
    assert merged('dcb', 'dca', limit=3, reverse=True) == ('d c b?', False)
    assert merged('d', 'c', limit=1, reverse=True) == ('d?', False)


@pytest.mark.parametrize('replicas, enough', [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_is_more_than_half(replicas, enough):
    assert Pages(((),) * enough, 0, replicas).is_majority
    assert not Pages(((),) * (enough - 1), 1, replicas).is_majority


# -- asking the servers ----------------------------------------------------------------------------

@pytest.fixture
def three(servers, monkeypatch):  # noqa: F811
    monkeypatch.setattr(majorities, 'ANSWER_SECONDS', 0.5)
    return Majorities(Ring(servers))


def listing(three, **bounds):
    return three.listing('a', '\x00c', 'tx', limit=7, **bounds)


def show(servers, *pages):  # noqa: F811
    tell(servers, *[200] * len(pages))
    for server, names in zip(servers, pages, strict=True):
        server.body = json.dumps(rows(names)).encode()


def test_two_of_three_are_asked_for_a_page(three, servers):  # noqa: F811
    show(servers, 'ab', 'ab', 'ab')
    for _ in range(5):
        pages = listing(three, marker='\x00a', end_marker='', reverse='true')
        assert (pages.found, pages.absent, pages.replicas) == ((rows('ab'), rows('ab')), 0, 3)
    asked = [environ for server in servers for environ in server.asked]
    assert len(asked) == 10
    for environ in asked:
        assert environ['PATH_INFO'].endswith('/7/a/\x00c') and environ['HTTP_X_BACKEND_ALLOW_RESERVED_NAMES'] == 'true'
        assert sorted(environ['QUERY_STRING'].split('&')) == [
            'format=json', 'limit=7', 'marker=%00a', 'reverse=true']


@pytest.mark.parametrize('answers, found, absent', [
    ((200, 500, 200), 2, 0), ((204, 204, 'late'), 2, 0), ((404, 404, 404), 0, 3), ((200, 404, 404), 1, 2),
    ((500, 507, 200), 1, 0)])
def test_others_are_asked_where_one_does_not_answer(three, servers, answers, found, absent):  # noqa: F811
    show(servers, 'a', 'a', 'a')
    tell(servers, *answers)
    for server in servers:
        server.body = server.body if server.answer == 200 else b''
    pages = listing(three)
    assert (len(pages.found), pages.absent) == (found, absent)
    assert pages.is_majority == (found > 1)


def test_rows_are_written_to_all_and_a_majority_is_enough(three, servers):  # noqa: F811
    row = new_row('\x00n', 'etag', 5, 1700000000.5)

    def merge():
        return three.merge(1, 'a', '\x00c', [row], 'tx')
    tell(servers, 202, 202, 202)
    assert merge()
    for server in servers:
        assert server.asked[0]['REQUEST_METHOD'] == 'UPDATE'
        assert server.asked[0]['HTTP_X_BACKEND_STORAGE_POLICY_INDEX'] == '1'
        assert json.loads(server.sent[0]) == [{
            'name': '\x00n', 'created_at': '1700000000.50000', 'size': 5, 'content_type': 'application/json',
            'etag': 'etag', 'deleted': 0, 'storage_policy_index': 1}]
    tell(servers, 202, 500, 202)
    assert merge()
    tell(servers, 202, 202, 500)
    assert merge()  # the second one has just failed, and is asked since there is no majority without it
    tell(servers, 202, 404, 404)
    assert not merge()


@pytest.mark.parametrize('fraction', range(10))
def test_a_deleted_row_is_later_than_that_of_its_object(fraction):
    written_at = 1800000030.12815 + fraction / 1e6
    sent = f'{written_at:016.5f}'  # what a sub-request says of the object
    assert new_row('n', 'e', 1, written_at)['created_at'] == sent
    assert deleted_row('n', float(sent) + TICK)['created_at'] > sent
    assert deleted_row('n', 5)['deleted'] == 1
