"""Queues on a real Swift: what storage shows of them, who may use them, and Swift itself beside them."""

import time
import uuid

import pytest
import requests
import swiftclient


def wait_for(condition, seconds=20):
    """Until the condition holds; its last value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def post(user, name, *bodies, **fields):
    answer = user.request('POST', f'/v2/queues/{name}/messages',
                          json={'messages': [{'body': body, 'ttl': 300, **fields} for body in bodies]})
    assert answer.status_code == 201, answer.text
    return answer.json()['resources']


def claim(user, name, **fields):
    answer = user.request('POST', f'/v2/queues/{name}/claims', json={'ttl': 60, 'grace': 60, **fields})
    assert answer.status_code in (201, 204), answer.text
    return answer.json()['messages'] if answer.status_code == 201 else []


# -- Swift beside the queues -----------------------------------------------------------------------

@pytest.fixture
def storage(tester):
    return swiftclient.Connection(preauthurl=tester.storage_url, preauthtoken=tester.token, retries=0)


def test_swift_works_through_the_same_proxy(storage, guest, tester):
    storage.put_container('photos')
    storage.put_object('photos', 'a/b.jpg', b'data', headers={'X-Object-Meta-Colour': 'red'})
    headers, body = storage.get_object('photos', 'a/b.jpg')
    assert (body, headers['x-object-meta-colour']) == (b'data', 'red')
    assert [row['name'] for row in storage.get_container('photos')[1]] == ['a/b.jpg']
    address = f'{tester.storage_url}/photos/a/b.jpg'
    theirs = {'X-Auth-Token': guest.token}
    assert requests.get(address, headers=theirs, timeout=30).status_code == 403
    storage.post_container('photos', {'X-Container-Read': 'test:tester3'})
    assert requests.get(address, headers=theirs, timeout=30).content == b'data'
    storage.delete_object('photos', 'a/b.jpg')
    storage.delete_container('photos')


def test_queue_containers_are_out_of_sight_and_out_of_reach(storage, tester, name):
    tester.request('PUT', f'/v2/queues/{name}')
    post(tester, name, 'hidden')
    listed = [row['name'] for row in storage.get_account(full_listing=True)[1]]
    assert not [each for each in listed if name in each or each.startswith('\x00')]
    for container in (f'%00queue%00{name}', f'%00messages%00{name}'):
        answer = requests.get(f'{tester.storage_url}/{container}', headers={
            'X-Auth-Token': tester.token, 'X-Backend-Allow-Reserved-Names': 'true'}, timeout=30)
        assert answer.status_code == 412


def test_queues_count_as_usage_of_the_account(stranger, name):
    """In the account that no other test leaves much in: what these deleted could go from the sum meanwhile."""
    def used():
        answer = requests.head(stranger.storage_url, headers={'X-Auth-Token': stranger.token}, timeout=30)
        return int(answer.headers['X-Account-Bytes-Used'])
    before = used()
    post(stranger, name, 'x' * 200000)
    assert wait_for(lambda: used() >= before + 150000)


def test_info_names_us(url):
    info = requests.get(f'{url}/info', timeout=30).json()['swiftqueue']
    assert info['version']
    assert info['max_messages_post_size'] == 262144


# -- what only a real Swift shows ------------------------------------------------------------------

def test_large_and_small_bodies_come_back(tester, name):
    bodies = ['small', 'x' * 3000, 'y' * 4100, 'z' * 60000, '\x00\r\n; mq=', 'ü' * 700]
    post(tester, name, *bodies)
    listed = tester.request('GET', f'/v2/queues/{name}/messages?echo=true').json()['messages']
    assert [message['body'] for message in listed] == bodies
    assert [message['body'] for message in claim(tester, name)] == bodies


def test_a_claim_runs_out_and_the_message_comes_back(tester, name):
    post(tester, name, 'again')
    first, = claim(tester, name, ttl=1, grace=0)
    assert claim(tester, name) == []
    second, = wait_for(lambda: claim(tester, name))
    assert second['href'] != first['href']
    assert tester.request('DELETE', first['href']).status_code == 403
    assert tester.request('DELETE', second['href']).status_code == 204
    assert tester.request('GET', f'/v2/queues/{name}/stats').json()['messages']['total'] == 0


def test_a_message_expires(tester, name):
    resource, = post(tester, name, 'short', ttl=1)
    assert wait_for(lambda: tester.request('GET', resource).status_code == 404)
    assert tester.request('GET', f'/v2/queues/{name}/messages?echo=true').json()['messages'] == []


def test_a_message_outlives_its_ttl_under_a_claim(tester, name):
    resource, = post(tester, name, 'kept', ttl=2)
    held, = claim(tester, name, ttl=30, grace=30)
    created = time.monotonic()
    assert wait_for(lambda: time.monotonic() - created > 4)
    assert tester.request('GET', resource).json()['body'] == 'kept'
    assert tester.request('DELETE', held['href']).status_code == 204


def test_a_delayed_message(tester, name):
    post(tester, name, 'later', delay=1)
    assert claim(tester, name) == []
    assert [message['body'] for message in wait_for(lambda: claim(tester, name))] == ['later']


def test_a_claim_can_wait(tester, name):
    tester.request('PUT', f'/v2/queues/{name}')
    post(tester, name, 'later', delay=1)
    answer = tester.request('POST', f'/v2/queues/{name}/claims?wait=15', json={'ttl': 60, 'grace': 60})
    assert [message['body'] for message in answer.json()['messages']] == ['later']


# -- rights ----------------------------------------------------------------------------------------

def test_another_account_sees_nothing_of_ours(tester, stranger, name):
    post(tester, name, 'ours')
    assert stranger.request('GET', f'/v2/queues/{name}/messages?echo=true').json()['messages'] == []
    for project in ('AUTH_test', 'test'):
        theirs = {'X-Project-Id': project}
        for method, path in (('GET', ''), ('PUT', ''), ('DELETE', ''), ('GET', '/stats'), ('GET', '/messages'),
                             ('POST', '/claims'), ('DELETE', '/messages?pop=1'), ('POST', '/purge')):
            answer = stranger.request(method, f'/v2/queues/{name}{path}', headers=theirs)
            assert answer.status_code == 403, (method, path, answer.text)
    assert len(claim(tester, name)) == 1


def test_a_user_without_rights_is_refused_and_an_acl_lets_it_in(tester, guest, name):
    tester.request('PUT', f'/v2/queues/{name}')
    assert guest.request('GET', f'/v2/queues/{name}/messages').status_code == 403
    assert guest.request('POST', f'/v2/queues/{name}/messages', json={'messages': [{'body': 1}]}).status_code == 403
    assert guest.request('GET', f'/v2/queues/no-{name}/messages').status_code == 403
    patch = [{'op': 'add', 'path': '/metadata/_write_acl', 'value': 'test:tester3'}]
    answer = tester.request('PATCH', f'/v2/queues/{name}', json=patch, headers={
        'Content-Type': 'application/openstack-messaging-v2.0-json-patch'})
    assert answer.status_code == 200, answer.text
    post(guest, name, 'from the guest')
    assert guest.request('GET', f'/v2/queues/{name}/stats').status_code == 403
    assert guest.request('DELETE', f'/v2/queues/{name}').status_code == 403


@pytest.mark.parametrize('headers', [{}, {'X-Auth-Token': 'AUTH_tkwrong'}, {'X-Auth-Token': 'x'}])
def test_without_a_good_token_there_is_nothing(url, headers):
    headers = headers | {'Client-ID': str(uuid.uuid4()), 'X-Project-Id': 'AUTH_test'}
    for path in ('/v2/queues', '/v2/queues/x', '/v2/queues/x/messages'):
        assert requests.get(url + path, headers=headers, timeout=30).status_code == 401


@pytest.mark.parametrize('bad', ['a%2Fb', '..', '%00', 'a%0D%0Ab', 'a%20b', '%C3%BC', 'a%3Fb', 'x' * 81, 'a%5Cb'])
def test_bad_names_are_refused(tester, bad):
    answer = requests.Session()
    prepared = requests.Request('PUT', 'http://x/', headers=tester.headers).prepare()
    prepared.url = f'{tester.url}/v2/queues/{bad}'
    assert answer.send(prepared, timeout=30).status_code in (400, 404, 412)
