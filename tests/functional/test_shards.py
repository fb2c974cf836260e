"""A queue of several shards on a real Swift."""

PATCH = {'Content-Type': 'application/openstack-messaging-v2.0-json-patch'}
COUNT = 40


def numbers(messages):
    return [message['body'] for message in messages]


def read_all(user, name):
    """What a reader is shown, page by page, until nothing is left."""
    path, shown = f'/v2/queues/{name}/messages?echo=true&limit=7', []
    while True:
        answer = user.request('GET', path).json()
        if not answer['messages']:
            return shown
        shown += numbers(answer['messages'])
        path, = (link['href'] for link in answer['links'] if link['rel'] == 'next')


def post(user, name, bodies):
    messages = [{'body': body, 'ttl': 300} for body in bodies]
    answer = user.request('POST', f'/v2/queues/{name}/messages', json={'messages': messages})
    assert answer.status_code == 201, answer.text
    return answer.json()['resources']


def take_all(user, name):
    """Claim and ack until there is nothing more; what was taken, in order."""
    taken = []
    while True:
        answer = user.request('POST', f'/v2/queues/{name}/claims?limit=20', json={'ttl': 60, 'grace': 60})
        if answer.status_code == 204:
            return taken
        assert answer.status_code == 201, answer.text
        for message in answer.json()['messages']:
            assert user.request('DELETE', message['href']).status_code == 204
            taken.append(message['body'])


def total(user, name):
    return user.request('GET', f'/v2/queues/{name}/stats').json()['messages']['total']


def test_the_life_of_a_queue_of_several_shards(tester, name):
    queue = f'/v2/queues/{name}'
    assert tester.request('PUT', queue, json={'_shards': 4}).status_code == 201
    resources = post(tester, name, range(COUNT))
    assert {int(each[-2:], 16) % 64 for each in resources} == {0, 1, 2, 3}
    assert read_all(tester, name) == list(range(COUNT))
    assert total(tester, name) == COUNT
    assert take_all(tester, name) == list(range(COUNT))
    assert total(tester, name) == 0

    before = post(tester, name, range(COUNT))
    grow = [{'op': 'replace', 'path': '/metadata/_shards', 'value': 6}]
    answer = tester.request('PATCH', queue, json=grow, headers=PATCH)
    assert (answer.status_code, answer.json()['_shards']) == (200, 6), answer.text
    assert tester.request('GET', before[3]).json()['body'] == 3
    after = post(tester, name, range(COUNT, COUNT + 12))
    assert {int(each[-2:], 16) % 64 for each in after} == set(range(6))
    assert read_all(tester, name) == list(range(COUNT + 12))
    shrink = [{'op': 'replace', 'path': '/metadata/_shards', 'value': 3}]
    assert tester.request('PATCH', queue, json=shrink, headers=PATCH).status_code == 400

    assert tester.request('POST', f'{queue}/purge').status_code == 204
    assert (read_all(tester, name), take_all(tester, name), total(tester, name)) == ([], [], 0)
    post(tester, name, range(12))
    assert take_all(tester, name) == list(range(12))
    assert tester.request('DELETE', queue).status_code == 204
    assert '_shards' not in tester.request('GET', queue).json()
