"""Burrow v1.0 as its clients see it. The numbers are those of the criteria that were set for it, 1 to 28."""

import itertools
import json
import random

import pytest
from wire.burrow import Burrow

DEFAULT = 600  # seconds that a message lives
ALL = {'match_hidden': 'true'}


@pytest.fixture
def burrow(wire):
    return Burrow(wire)


def put_all(burrow, *names, queue='/q', **params):
    for name in names:
        assert burrow.put(f'{queue}/{name}', name.encode(), **params) == 201


def shown(answer):
    assert answer.status == 200, answer
    return json.loads(answer.body)


def during_sleep(wire, after, act):
    """Have something happen while a request waits; the instants of beginning and happening."""
    began, sleep = wire.clock.now, wire.engine.sleep

    def act_and_sleep(seconds):
        if wire.clock.now - began >= after:
            wire.engine.sleep = sleep
            act()
        sleep(seconds)
    wire.engine.sleep = act_and_sleep
    return began


def test_1_versions(wire):
    answer = wire.request('GET /burrow/', user=None)
    assert (answer.status, answer.json) == (200, ['v1.0'])
    assert answer.headers['Content-Type'].startswith('application/json')


def test_2_create(burrow):
    answer = burrow.ask('PUT', '/q/m', b'body')
    assert (answer.status, answer.body, answer.headers['Content-Length']) == (201, b'', '0')
    assert burrow.ids('GET', '') == ['q']


def test_3_overwriting_keeps_the_place_and_nothing_else(wire, burrow):
    put_all(burrow, 'a', 'b', 'c', ttl=100)
    wire.clock.advance(50)
    assert burrow.ids('POST', '/q', limit=1, hide=60) == ['a']
    again = burrow.ask('PUT', '/q/a', b'new')
    assert (again.status, again.body, again.headers['Content-Length']) == (204, b'', '0')
    assert shown(burrow.get('/q', **ALL)) == [
        {'id': 'a', 'ttl': DEFAULT, 'hide': 0, 'body': 'new'},
        {'id': 'b', 'ttl': 50, 'hide': 0, 'body': 'b'},
        {'id': 'c', 'ttl': 50, 'hide': 0, 'body': 'c'}]
    assert burrow.put('/q/b', b'', ttl=200, hide=30) == 204
    wire.clock.advance(60)
    assert [(each['id'], each['ttl']) for each in shown(burrow.get('/q'))] == [('a', DEFAULT - 60), ('b', 140)]


@pytest.mark.parametrize('ttl, least, most', [(None, DEFAULT - 1, DEFAULT), (0, 0, 0), (1000, 999, 1000)])
def test_4_ttl(wire, burrow, ttl, least, most):
    burrow.put('/q/m', **({} if ttl is None else {'ttl': ttl}))
    assert least <= shown(burrow.get('/q/m'))['ttl'] <= most
    if ttl == 0:
        wire.clock.advance(10 * 365 * 86400)
        wire.tokens.clear()  # they have a ttl, too
        assert shown(burrow.get('/q')) == [{'id': 'm', 'ttl': 0, 'hide': 0, 'body': 'body'}]


def test_5_a_list_is_in_the_order_of_sending(burrow):
    names = [f'm{number}' for number in random.Random(5).sample(range(100), 30)]
    put_all(burrow, *names)
    assert shown(burrow.get('/q')) == [{'id': name, 'ttl': DEFAULT, 'hide': 0, 'body': name} for name in names]


@pytest.mark.parametrize('method', ['GET', 'POST', 'DELETE'])
def test_6_empty_is_not_found(burrow, method):
    burrow.put('/emptied/m')
    assert burrow.delete('/emptied/m').status == 204
    for path in ('/emptied', '/never', '/emptied/m', '/never/m') + ('',) * (method != 'POST'):
        answer = burrow.ask(method, path)
        assert answer.status == 404, path
        assert answer.headers['Content-Type'].startswith('text/plain') and answer.body


ONE = {
    'none': (204, None, b''),
    'id': (200, 'application/octet-stream', b'm'),
    'attributes': (200, 'application/json', {'id': 'm', 'ttl': 100, 'hide': 0}),
    'body': (200, 'application/octet-stream', b'body'),
    'all': (200, 'application/json', {'id': 'm', 'ttl': 100, 'hide': 0, 'body': 'body'}),
}
MANY = {
    'none': (204, None, b''),
    'id': (200, 'application/json', ['m']),
    'attributes': (200, 'application/json', [ONE['attributes'][2]]),
    'body': (200, 'application/json', ['body']),
    'all': (200, 'application/json', [ONE['all'][2]]),
}


@pytest.mark.parametrize('method, default', [('GET', 'all'), ('POST', 'none'), ('DELETE', 'none')])
@pytest.mark.parametrize('path, table', [('/q/m', ONE), ('/q', MANY)])
def test_7_detail(burrow, method, default, path, table):
    for detail in (None, *table):
        burrow.put('/q/m', b'body', ttl=100)
        answer = burrow.ask(method, path, **({'detail': detail} if detail else {}))
        status, media, content = table[detail or default]
        assert answer.status == status
        assert answer.headers.get('Content-Type', '').partition(';')[0] == (media or '')
        assert (answer.body if isinstance(content, bytes) else answer.json) == content


@pytest.mark.parametrize('method', ['GET', 'POST', 'DELETE'])
@pytest.mark.parametrize('path', ['/q/m', '/q', ''])
def test_7_a_bad_detail_changes_nothing(burrow, method, path):
    if (method, path) == ('POST', ''):
        return
    burrow.put('/q/m', ttl=100)
    answer = burrow.ask(method, path, detail='bad', ttl=5, hide=5)
    assert (answer.status, answer.body) == (400, b'bad')
    assert shown(burrow.get('/q')) == [{'id': 'm', 'ttl': 100, 'hide': 0, 'body': 'body'}]


@pytest.mark.parametrize('detail, content', [('none', b''), ('id', ['q']), ('all', [{'id': 'q'}])])
def test_7_detail_of_queues(burrow, detail, content):
    for method in ('GET', 'DELETE'):
        burrow.put('/q/m')
        answer = burrow.ask(method, '', detail=detail)
        assert (answer.body if content == b'' else answer.json) == content
        assert answer.status == (204 if content == b'' else 200)


@pytest.mark.parametrize('method', ['GET', 'POST', 'DELETE'])
@pytest.mark.parametrize('params, expected', [
    ({'limit': 2}, 'ab'), ({'limit': 9}, 'abcd'), ({'marker': 'b'}, 'cd'), ({'marker': 'b', 'limit': 1}, 'c'),
    ({'marker': 'unknown'}, 'abcd'), ({'marker': 'deleted', 'limit': 1}, 'a'), ({'marker': 'd'}, '')])
def test_8_limit_and_marker(burrow, method, params, expected):
    put_all(burrow, 'a', 'b', 'deleted', 'c', 'd')
    burrow.delete('/q/deleted')
    for _ in range(2 if method == 'GET' else 1):
        assert burrow.ids(method, '/q', **params) == list(expected)
    assert burrow.ids('GET', '/q') == [each for each in 'abcd' if method != 'DELETE' or each not in expected]


@pytest.mark.parametrize('method', ['GET', 'DELETE'])
@pytest.mark.parametrize('params, expected', [
    ({'limit': 2}, 'ab'), ({'marker': 'b'}, 'cd'), ({'marker': 'b', 'limit': 1}, 'c'), ({'marker': 'unknown'}, 'abcd'),
    ({'marker': 'emptied'}, 'abcd'), ({'marker': 'd'}, '')])
def test_8_limit_and_marker_of_queues(burrow, method, params, expected):
    for queue in ('d', 'b', 'a', 'c', 'emptied'):
        burrow.put(f'/{queue}/m')
    burrow.delete('/emptied/m')
    assert burrow.ids(method, '', **params) == list(expected)
    assert burrow.ids('GET', '') == [each for each in 'abcd' if method != 'DELETE' or each not in expected]


def test_9_a_message_may_be_hidden_from_the_start(wire, burrow):
    put_all(burrow, 'first', 'later', hide=2)
    put_all(burrow, 'now')
    assert burrow.ids('GET', '/q') == ['now']
    assert burrow.ids('GET', '/q', **ALL) == ['first', 'later', 'now']
    assert shown(burrow.get('/q/later')) == {'id': 'later', 'ttl': DEFAULT, 'hide': 2, 'body': 'later'}
    wire.clock.advance(2)
    assert burrow.ids('GET', '/q') == ['first', 'later', 'now']


def test_10_hiding_is_a_claim(wire, burrow):
    put_all(burrow, 'a', 'b')
    for name in 'ab':
        message, = shown(burrow.post('/q', limit=1, hide=60, detail='all'))
        assert message == {'id': name, 'ttl': DEFAULT, 'hide': 60, 'body': name}
    assert burrow.post('/q', limit=1, hide=60, detail='all').status == 404
    wire.clock.advance(60)
    assert burrow.ids('POST', '/q', hide=60) == ['a', 'b']


def test_12_extending_and_giving_back(wire, burrow):
    put_all(burrow, 'a', 'b')
    assert burrow.ids('POST', '/q', limit=1, hide=60) == ['a']
    wire.clock.advance(50)
    assert shown(burrow.post('/q/a', hide=60, detail='attributes')) == {'id': 'a', 'ttl': DEFAULT - 50, 'hide': 60}
    wire.clock.advance(50)
    assert burrow.ids('GET', '/q') == ['b']
    assert burrow.post('/q/a', hide=0).status == 204
    assert burrow.ids('GET', '/q') == ['a', 'b']
    assert burrow.ids('POST', '/q', limit=1, hide=60) == ['a']


@pytest.mark.parametrize('method, params', [('GET', {}), ('POST', {'hide': 60}), ('POST', {'ttl': 60}), ('DELETE', {})])
@pytest.mark.parametrize('exists', [True, False])
def test_14_waiting(wire, burrow, method, params, exists):
    if exists:
        burrow.put('/q/a')
        burrow.delete('/q/a')
    began = wire.clock.now
    assert burrow.ask(method, '/q', wait=10, **params).status == 404
    assert 10 <= wire.clock.now - began < 11
    began = during_sleep(wire, 2, lambda: burrow.put('/q/m'))
    assert burrow.ids(method, '/q', wait=10, **params) == ['m']
    assert 2 <= wire.clock.now - began < 3


def test_14_nobody_waits_longer_than_the_operator_allows(make_wire):
    wire = make_wire(max_wait=3)
    began = wire.clock.now
    assert Burrow(wire).get('/q', wait=60).status == 404
    assert 3 <= wire.clock.now - began < 3.5


def test_15_waiting_for_what_comes_after_a_marker(wire, burrow):
    put_all(burrow, 'a', 'b')
    during_sleep(wire, 2, lambda: burrow.put('/q/c'))
    assert burrow.ids('GET', '/q', marker='b', wait=10) == ['c']


@pytest.mark.parametrize('method, params', [('GET', {}), ('POST', {'hide': 60}), ('DELETE', {})])
def test_16_waiting_for_the_end_of_hiding(wire, burrow, method, params):
    burrow.put('/q/m', hide=2)
    began = wire.clock.now
    assert burrow.ids(method, '/q', wait=10, **params) == ['m']
    assert 1.9 <= wire.clock.now - began < 3.5


def test_16_waiting_for_somebody_to_give_a_message_back(wire, burrow):
    burrow.put('/q/m', hide=50)
    began = during_sleep(wire, 2, lambda: burrow.post('/q/m', hide=0))
    assert burrow.ids('GET', '/q', wait=10) == ['m']
    assert 2 <= wire.clock.now - began < 3.5


@pytest.mark.parametrize('params', [{}, {'hide': 60}])
def test_18_ttl(wire, burrow, params):
    burrow.put('/q/m', ttl=1, **params)
    burrow.put('/other/m')
    wire.clock.advance(2)
    assert burrow.get('/q', **ALL).status == burrow.get('/q/m').status == 404
    assert burrow.ids('GET', '') == ['other']


@pytest.mark.parametrize('path, params', [('/q', {}), ('/q', {'marker': 'z'}), ('/q', ALL), ('/q/m', {})])
def test_18_ttl_may_be_changed(wire, burrow, path, params):
    burrow.put('/q/m', ttl=100)
    assert burrow.post(path, ttl=50, **params).status == 204
    assert [each['ttl'] for each in shown(burrow.get('/q'))] == [50]
    burrow.post(path, ttl=0, **params)
    wire.clock.advance(1000)
    assert burrow.post(path, ttl=10, hide=5, detail='attributes', **params).status == 200
    assert shown(burrow.get('/q/m')) == {'id': 'm', 'ttl': 10, 'hide': 5, 'body': 'body'}
    wire.clock.advance(10)
    assert burrow.ids('GET', '') == []


def test_19_who_knows_the_id_may_change_and_delete_what_is_hidden(burrow):
    put_all(burrow, 'a', 'b')
    assert burrow.ids('POST', '/q', hide=60) == ['a', 'b']
    assert burrow.post('/q/a', ttl=5).status == 204
    assert burrow.delete('/q/a').status == 204
    assert burrow.get('/q/a').status == 404
    assert burrow.ids('GET', '/q', **ALL) == ['b']


def test_20_deleting_many(burrow):
    put_all(burrow, 'a', 'b', 'c')
    burrow.ids('POST', '/q', limit=1, hide=60)
    assert burrow.ids('DELETE', '/q') == ['b', 'c']
    assert burrow.ids('DELETE', '/q') == []
    assert burrow.ids('DELETE', '/q', **ALL) == ['a']
    for queue in ('one', 'two'):
        put_all(burrow, 'a', 'b', queue=f'/{queue}')
        burrow.post(f'/{queue}', limit=1, hide=60)
    assert burrow.ids('DELETE', '') == ['one', 'two']
    assert burrow.get('').status == burrow.get('/one', **ALL).status == 404
    assert burrow.put('/one/a') == 201


def test_20_what_was_set_of_a_queue_stays(wire, burrow):
    wire.request('PUT /v2/queues/q', {'colour': 'red'})
    burrow.put('/q/m')
    assert burrow.delete('').status == 204
    assert burrow.get('/q', **ALL).status == 404
    assert wire.request('GET /v2/queues/q').json['colour'] == 'red'


@pytest.mark.parametrize('body', [b'', b'\x00', 'ünïcödé'.encode(), b'\xff', random.Random(0).randbytes(65536)])
def test_21_a_body_is_any_bytes(burrow, body):
    import base64
    burrow.put('/q/m', body)
    assert burrow.get('/q/m', detail='body').body == body
    message, = shown(burrow.get('/q'))
    text = message['body']
    assert (base64.b64decode(text) if message.get('encoding') == 'base64' else text.encode()) == body
    assert shown(burrow.get('/q', detail='body')) == [text]
    assert burrow.delete('/q/m', detail='body').body == body


@pytest.mark.parametrize('path, allowed', [
    ('/', 'GET'), ('/v1.0', 'DELETE, GET'), ('/v1.0/AUTH_test', 'DELETE, GET'),
    ('/v1.0/AUTH_test/q', 'DELETE, GET, POST'), ('/v1.0/AUTH_test/q/m', 'DELETE, GET, POST, PUT')])
def test_23_methods(wire, path, allowed):
    for method in {'GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'} - set(allowed.split(', ')):
        answer = wire.request(f'{method} /burrow{path}')
        assert (answer.status, answer.headers['Allow']) == (405, allowed)


@pytest.mark.parametrize('path', ['/v1.1', '/v1.0/AUTH_test/q/m/x', '/v1.0//q', '/nothing'])
def test_23_other_paths(wire, path):
    assert wire.request(f'GET /burrow{path}').status == 404


@pytest.mark.parametrize('name, bad', [
    *itertools.product(('limit', 'ttl', 'hide', 'wait'), ('x', '1.5', '-1', '9' * 30)), ('limit', '0'),
    ('hide', 43201)])
def test_23_bad_numbers(burrow, name, bad):
    assert burrow.put('/q/m') == 201
    if name in ('ttl', 'hide'):
        assert burrow.put('/q/new', **{name: bad}) == 400
        assert burrow.post('/q/m', **{name: bad}).status == 400
    assert burrow.post('/q', **{'hide': 5, name: bad}).status == 400
    assert shown(burrow.get('/q')) == [{'id': 'm', 'ttl': DEFAULT, 'hide': 0, 'body': 'body'}]


@pytest.mark.parametrize('name, status', [
    ('ü'.encode().decode('latin-1'), 201), ('a b%?', 201), ('x' * 255, 201), ('x' * 256, 400), ('\xff', 400)])
def test_23_names_of_messages(wire, burrow, name, status):
    answer = wire.request('PUT /burrow/v1.0/AUTH_test/q/', b'', PATH_INFO=f'/burrow/v1.0/AUTH_test/q/{name}')
    assert answer.status == status
    if status == 201:
        assert burrow.ids('GET', '/q') == [name.encode('latin-1').decode()]


def test_23_what_is_too_large_or_too_long(make_wire):
    wire = make_wire(max_message_size=2048, max_named_message_ttl=1000)
    burrow = Burrow(wire)
    assert (burrow.put('/q/m', b'x' * 2048), burrow.put('/q/n', b'x' * 2049)) == (201, 413)
    assert [burrow.put('/q/m', ttl=ttl) for ttl in (1000, 1001, 0)] == [204, 400, 400]


def test_24_tokens(wire, burrow):
    burrow.put('/q/m')
    for method, path in itertools.product(('GET', 'POST', 'DELETE', 'PUT'), ('', '/q', '/q/m')):
        if (method, path) in (('POST', ''), ('PUT', ''), ('PUT', '/q')):
            continue
        wire.swift.calls.clear()
        assert Burrow(wire, user=None).ask(method, path).status == 401
        assert Burrow(wire, user='stranger').ask(method, path).status == 403
        assert Burrow(wire, user='guest').ask(method, path).status == 403
        assert wire.accounts_touched() <= {'AUTH_test'}
        assert all(call.method in ('GET', 'HEAD') for call in wire.swift.calls)
    assert burrow.ids('GET', '/q') == ['m']


def test_24_a_reader_may_read(wire, burrow):
    wire.request('PUT /v2/queues/q', {'_read_acl': 'test:guest'})
    burrow.put('/q/m')
    reader = Burrow(wire, user='guest')
    assert reader.get('/q').status == reader.get('/q/m').status == 200
    for method, path in (('POST', '/q'), ('POST', '/q/m'), ('DELETE', '/q'), ('DELETE', '/q/m'), ('PUT', '/q/m')):
        assert reader.ask(method, path, hide=5).status == 403
    assert burrow.ids('GET', '/q') == ['m']


def test_24_an_account_goes_by_its_project_too(wire, burrow):
    assert Burrow(wire, 'test').put('/q/m') == 201
    assert burrow.ids('GET', '') == ['q']


def test_25_below_a_host_of_its_own(make_wire):
    wire = make_wire(burrow_hosts=('burrow.example',))
    burrow = Burrow(wire, prefix='')
    wire.request = lambda *args, request=wire.request, **rest: request(*args, **rest, HTTP_HOST='Burrow.example:8080')
    assert wire.request('GET /').json == ['v1.0']
    assert burrow.put('/q/m') == 201
    assert burrow.put('/q/m') == 204
    assert burrow.ids('GET', '/q') == ['m']
    assert wire.request('GET /v2/queues').status == 404


def test_25_elsewhere_the_root_is_as_before(wire, burrow):
    assert wire.request('GET /').status == 300
    wire.request('GET /v1.0/AUTH_test/q')
    assert wire.swift.calls[-1].swift_source != 'MQ'


def test_25_the_operator_may_leave_it_out(make_wire):
    wire = make_wire(burrow=False, burrow_hosts=('cloud',))
    wire.request('GET /burrow/v1.0/AUTH_test')
    assert wire.accounts_touched() == set()


def test_26_multicast(wire, burrow):
    seen, markers = {'one': [], 'two': []}, {}
    for number in range(100):
        put_all(burrow, f'm{number}')
        wire.clock.advance(0.3)
        for reader, every in (('one', 3), ('two', 7)):
            if number % every == 0 or number == 99:
                new = burrow.ids('GET', '/q', **markers.get(reader, {}))
                seen[reader] += new
                markers[reader] = {'marker': new[-1]}
    assert seen['one'] == seen['two'] == [f'm{number}' for number in range(100)]


def test_27_many(burrow):
    names = [f'm{number}' for number in range(1000)]
    put_all(burrow, *names)
    assert burrow.ids('POST', '/q', hide=60) == names
    assert burrow.ids('DELETE', '/q') == []
    assert burrow.ids('DELETE', '/q', **ALL) == names


def test_a_reseller_admin_may_use_any_account(wire, burrow):
    assert Burrow(wire, user='operator').put('/q/m') == 201
    assert burrow.ids('GET', '/q') == ['m']


ODD = ['a', '\x00', '\xff', '..', ';', 'a' * 1000, '%2F', 'null', '01a3185c-5001-7fff-a0b8-b998f728b4c0']


@pytest.mark.parametrize('odd', ODD)
def test_nothing_odd_breaks_down(wire, burrow, odd):
    burrow.put('/q/m')
    for method in ('GET', 'PUT', 'POST', 'DELETE'):
        for path in (f'/{odd}', f'/AUTH_test/{odd}', f'/AUTH_test/q/{odd}', f'/AUTH_test/{odd}/{odd}'):
            answer = wire.request(f'{method} /', b'', PATH_INFO=f'/burrow/v1.0{path}',
                                  QUERY_STRING=f'marker={odd}&detail=all&match_hidden={odd}')
            assert answer.status < 500 or (answer.status, odd) == (501, '')
    for name in ('ttl', 'hide', 'limit', 'wait', 'detail'):
        answer = wire.request('POST /burrow/v1.0/AUTH_test/q', QUERY_STRING=f'{name}={odd}&hide=1')
        assert answer.status == 400 or (name, answer.status) == ('hide', 204)
