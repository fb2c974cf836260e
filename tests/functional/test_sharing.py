"""Who may do what with whose queue, through every door, across accounts, on a real Swift with tempauth."""

from __future__ import annotations

import json
import re
import time
from itertools import product

import aws
import pytest
import requests
from aws import AwsError
from wire.transcript import Answer

from swiftqueue.accounts import number_of

OWNER = 'AUTH_test'
PATCH = {'Content-Type': 'application/openstack-messaging-v2.0-json-patch'}
ID, CLAIM = '01a3185c-5001-7fff-a0b8-b998f728b4c0', '-'.join(['AAAA'] * 4)

# What a request needs, and its status where it is granted. There is no such id; the queue is empty at first.
VERBS = {
    '2': [
        ('GET /queues/{q}', None, 'read', 200), ('GET /queues/{q}/stats', None, 'read', 200),
        ('GET /queues/{q}/messages', None, 'read', 200), ('GET /queues/{q}/messages?ids={id}', None, 'read', 404),
        ('GET /queues/{q}/messages/{id}', None, 'read', 404),
        ('POST /queues/{q}/messages', {'messages': [{'body': 1, 'delay': 900}]}, 'write', 201),
        ('POST /queues/{q}/claims', {'ttl': 60, 'grace': 60}, 'write', 204),
        ('GET /queues/{q}/claims/{claim}', None, 'write', 404),
        ('PATCH /queues/{q}/claims/{claim}', {'ttl': 60}, 'write', 404),
        ('DELETE /queues/{q}/claims/{claim}', None, 'write', 204),
        ('DELETE /queues/{q}/messages/{id}', None, 'write', 204),
        ('DELETE /queues/{q}/messages/{id}?claim_id={claim}', None, 'write', 400),
        ('DELETE /queues/{q}/messages?ids={id}', None, 'write', 204),
        ('DELETE /queues/{q}/messages?pop=1', None, 'write', 200),
        ('GET /queues', None, 'owner', 200), ('PUT /queues/{q}', {}, 'owner', 204),
        ('PATCH /queues/{q}', [{'op': 'add', 'path': '/metadata/a', 'value': 1}], 'owner', 200),
        ('POST /queues/{q}/share', {}, 'owner', 200), ('GET /queues/{q}/subscriptions', None, 'owner', 200),
        ('POST /queues/{q}/subscriptions', {'subscriber': 'queue://x'}, 'owner', 201),
        ('POST /queues/{q}/purge', {}, 'owner', 204), ('DELETE /queues/{q}', None, 'owner', 204)],
    '1.1': [
        ('GET /queues/{q}/stats', None, 'read', 200), ('GET /queues/{q}/messages', None, 'read', 200),
        ('GET /queues/{q}/messages/{id}', None, 'read', 404),
        ('POST /queues/{q}/messages', {'messages': [{'body': 1, 'ttl': 60}]}, 'write', 201),
        ('POST /queues/{q}/claims', {'ttl': 60, 'grace': 60}, 'write', 201),
        ('PATCH /queues/{q}/claims/{claim}', {'ttl': 60}, 'write', 404),
        ('DELETE /queues/{q}/claims/{claim}', None, 'write', 204),
        ('DELETE /queues/{q}/messages/{id}', None, 'write', 204),
        ('DELETE /queues/{q}/messages?pop=1', None, 'write', 200),
        ('GET /queues', None, 'owner', 200), ('PUT /queues/{q}', {}, 'owner', 204),
        ('DELETE /queues/{q}', None, 'owner', 204)],
    '1': [
        ('GET /queues/{q}', None, 'read', 204), ('GET /queues/{q}/stats', None, 'read', 200),
        ('GET /queues/{q}/metadata', None, 'read', 200), ('GET /queues/{q}/messages', None, 'read', 204),
        ('GET /queues/{q}/messages/{id}', None, 'read', 404),
        ('POST /queues/{q}/messages', [{'body': 1, 'ttl': 60}], 'write', 201),
        ('POST /queues/{q}/claims', {'ttl': 60, 'grace': 60}, 'write', 201),
        ('PATCH /queues/{q}/claims/{claim}', {'ttl': 60}, 'write', 404),
        ('DELETE /queues/{q}/claims/{claim}', None, 'write', 204),
        ('DELETE /queues/{q}/messages/{id}', None, 'write', 204),
        ('DELETE /queues/{q}/messages?ids={id}', None, 'write', 204),
        ('GET /queues', None, 'owner', 200), ('PUT /queues/{q}', None, 'owner', 204),
        ('PUT /queues/{q}/metadata', {}, 'owner', 204), ('DELETE /queues/{q}', None, 'owner', 204)],
    'burrow': [
        ('GET /{q}', None, 'read', 404), ('GET /{q}/m', None, 'read', 404),
        ('PUT /{q}/m?hide=600', b'x', 'write', 201), ('POST /{q}/m?ttl=600', None, 'write', 204),
        ('POST /{q}?hide=60', None, 'write', 404), ('DELETE /{q}', None, 'write', 404),
        ('DELETE /{q}/m', None, 'write', 204), ('POST /{q}?match_hidden=true&hide=60', None, 'read write', 404),
        ('GET ', None, 'owner', 404), ('DELETE ', None, 'owner', 404)],
    'sqs': [
        ('GetQueueUrl', {}, 'read', 200), ('GetQueueAttributes', {'AttributeNames': ['All']}, 'read', 200),
        ('ListQueueTags', {}, 'read', 200),
        ('SendMessage', {'MessageBody': 'x', 'DelaySeconds': 900}, 'write', 200),
        ('SendMessageBatch', {'Entries': [{'Id': '1', 'MessageBody': 'x', 'DelaySeconds': 900}]}, 'write', 200),
        ('ReceiveMessage', {}, 'write', 200),
        ('DeleteMessage', {'ReceiptHandle': CLAIM}, 'write', 'ReceiptHandleIsInvalid'),
        ('DeleteMessageBatch', {'Entries': [{'Id': '1', 'ReceiptHandle': CLAIM}]}, 'write', 200),
        ('ChangeMessageVisibility', {'ReceiptHandle': CLAIM, 'VisibilityTimeout': 1}, 'write',
         'ReceiptHandleIsInvalid'),
        ('ListDeadLetterSourceQueues', {}, 'owner', 200),
        ('SetQueueAttributes', {'Attributes': {'DelaySeconds': '1'}}, 'owner', 200),
        ('TagQueue', {'Tags': {'a': 'b'}}, 'owner', 200), ('UntagQueue', {'TagKeys': ['a']}, 'owner', 200),
        ('AddPermission', {'Label': 'a', 'AWSAccountIds': ['111122223333'], 'Actions': ['*']}, 'owner', 200),
        ('RemovePermission', {'Label': 'a'}, 'owner', 200), ('PurgeQueue', {}, 'owner', 200),
        ('DeleteQueue', {}, 'owner', 200)],
}
ROOTS = {'2': '/v2', '1.1': '/v1.1', '1': '/messaging/v1', 'burrow': f'/burrow/v1.0/{OWNER}'}


def over_http(protocol, url):
    """A client of Amazon SQS whose requests go to a real server."""
    class OverHttp(protocol):
        def post(self, path, headers, body):
            signed = aws.header_signed('POST', path, {}, headers, body, **self.signing)
            answer = requests.post(url + path, headers=signed, data=body, timeout=30)
            self.answer = Answer(answer.status_code, answer.headers, answer.content)
            return self.answer
    return OverHttp


class Caller:
    """A user at a door to the queues of ``OWNER``."""

    def __init__(self, user, door):
        self.user, self.door = user, door
        if door in aws.PROTOCOLS:
            self.sqs = over_http(aws.PROTOCOLS[door], user.url)(None, key=user.name, secret=user.key)

    @property
    def verbs(self):
        return VERBS['sqs' if self.door in aws.PROTOCOLS else self.door]

    def ask(self, verb, sent, queue):
        """The status, or the code of what no status tells; and the body."""
        if self.door in aws.PROTOCOLS:
            return self._ask_sqs(verb, sent, queue)
        method, _, path = verb.format(q=queue, id=ID, claim=CLAIM).partition(' ')
        body = sent if isinstance(sent, bytes) or sent is None else json.dumps(sent)
        headers = {'X-Project-Id': OWNER} if self.door != 'burrow' else {}
        if body and not isinstance(sent, bytes):
            headers |= PATCH if method == 'PATCH' and 'claims' not in path else {'Content-Type': 'application/json'}
        answer = self.user.request(method, ROOTS[self.door] + path, data=body, headers=headers)
        return answer.status_code, answer.text

    def _ask_sqs(self, action, given, queue):
        where = {'QueueName': queue, 'QueueOwnerAWSAccountId': number_of(OWNER)} if action == 'GetQueueUrl' else {
            'QueueUrl': f'{self.user.url}/{number_of(OWNER)}/{queue}'}
        try:
            self.sqs(action, **where | given)
        except AwsError as error:
            return 403 if error.code == 'AccessDenied' else error.code, str(error)
        return 200, ''


DOORS = [*ROOTS, *aws.PROTOCOLS]


@pytest.fixture
def share(tester, name):
    """A function that has the queue of this test be there, with these ACLs and no others."""
    def share(read='', write=''):
        tester.request('PUT', f'/v2/queues/{name}', json={})
        answer = tester.request('PATCH', f'/v2/queues/{name}', headers=PATCH, json=[
            {'op': 'add', 'path': f'/metadata/_{right}_acl', 'value': acl}
            for right, acl in (('read', read), ('write', write))])
        assert answer.status_code == 200, answer.text
    return share


@pytest.mark.parametrize('granted', ['read', 'write', 'read write'])
@pytest.mark.parametrize('door', DOORS)
def test_each_verb_needs_its_right(share, stranger, name, door, granted):
    share(**{right: 'test2:tester2' for right in granted.split()})
    caller = Caller(stranger, door)
    for verb, sent, needed, expected in caller.verbs:
        allowed = set(needed.split()) <= set(granted.split())
        status, text = caller.ask(verb, sent, name)
        assert status == (expected if allowed else 403), (verb, text)


@pytest.mark.parametrize('door', DOORS)
def test_the_owner_may_do_all_of_it(share, tester, name, door):
    share()
    caller = Caller(tester, door)
    for verb, sent, _, expected in caller.verbs:
        if not verb.endswith(' '):  # of the whole account, where others have queues, too
            status, text = caller.ask(verb, sent, name)
            assert status == expected, (verb, text)


@pytest.mark.parametrize('who, door', [*(('stranger', door) for door in DOORS), ('guest', '2'), ('guest', 'burrow')])
def test_who_has_no_right_does_not_learn_whether_the_queue_is_there(share, request, name, door, who):
    share(read='somebody', write='somebody')
    caller = Caller(request.getfixturevalue(who), door)
    for verb, sent, _, _ in caller.verbs:
        there, missing = (caller.ask(verb, sent, queue) for queue in (name, f'x{name[1:]}'))
        assert there[0] == missing[0] == 403
        assert there[1] == missing[1], verb


# What an ACL says, and whom it lets in, with tempauth.
ACLS = [('test2:tester2', 'stranger'), ('test2', 'stranger plain'), ('AUTH_test2', 'stranger'), ('test2:*', ''),
        ('test:tester3', 'guest'), ('test', 'guest'), ('somebody, test2:plain', 'plain'), ('.r:*', ''),
        ('.r:*,.rlistings', ''), ('.r:example.com,.rlistings', ''), ('.r:*,test2:plain', 'plain')]


@pytest.mark.parametrize('acl, whom', ACLS, ids=[acl for acl, _ in ACLS])
def test_whom_an_acl_lets_in(share, stranger, guest, plain, url, name, acl, whom):
    share(read=acl)
    headers = {'X-Project-Id': OWNER, 'Referer': 'http://example.com/'}
    path = f'/v2/queues/{name}/messages'
    let_in = [who for who, user in (('stranger', stranger), ('guest', guest), ('plain', plain))
              if user.request('GET', path, headers=headers).status_code == 200]
    assert sorted(let_in) == sorted(whom.split())
    nobody = requests.get(url + path, headers=headers | {'Client-ID': stranger.headers['Client-ID']}, timeout=30)
    assert nobody.status_code == 401


def test_referers_cannot_be_given_the_right_to_write(tester, name):
    assert tester.request('PUT', f'/v2/queues/{name}', json={'_write_acl': '.r:*'}).status_code == 400


@pytest.mark.parametrize('door', DOORS)
def test_a_right_that_is_taken_away_is_gone_with_the_next_request(share, stranger, name, door):
    caller = Caller(stranger, door)
    (see, looks), (change, changes) = ([(verb, sent) for verb, sent, needed, _ in caller.verbs if needed == right][0]
                                       for right in ('read', 'write'))
    for _ in range(2):
        share('test2:tester2', 'test2:tester2')
        assert caller.ask(see, looks, name)[0] != 403 and caller.ask(change, changes, name)[0] != 403
        share()
        assert caller.ask(see, looks, name)[0] == caller.ask(change, changes, name)[0] == 403


def test_one_account_sends_and_another_one_works(share, tester, stranger, plain, name):
    """Through three doors, from the first message to the last."""
    share(write='test2')
    queue = f'{stranger.url}/{number_of(OWNER)}/{name}'
    sender, worker = Caller(plain, 'json').sqs, Caller(stranger, '2')
    for number in range(3):
        sender('SendMessage', QueueUrl=queue, MessageBody=f'job {number}')
    headers = {'X-Project-Id': OWNER}
    held = worker.user.request('POST', f'/v2/queues/{name}/claims?limit=1', json={'ttl': 60}, headers=headers).json()
    assert [message['body'] for message in held['messages']] == ['job 0']
    done, = held['messages']
    assert worker.user.request('DELETE', done['href'], headers=headers).status_code == 204
    one, = sender('ReceiveMessage', QueueUrl=queue)['Messages']
    sender('DeleteMessage', QueueUrl=queue, ReceiptHandle=one['ReceiptHandle'])
    last = stranger.request('POST', f'/burrow/v1.0/{OWNER}/{name}?hide=60&detail=body').json()
    assert (one['Body'], last) == ('job 1', ['job 2'])
    stats = tester.request('GET', f'/v2/queues/{name}/stats').json()['messages']
    assert (stats['total'], stats['claimed']) == (1, 1)
    share()
    taken = stranger.request('DELETE', f'/v2/queues/{name}/messages?pop=1', headers=headers)
    assert taken.status_code == 403


def test_an_acl_of_the_whole_account_counts_too(tester, stranger, name, share):
    """Tempauth's own: who may write into all containers of an account may do all with its queues."""
    share()
    theirs = {'X-Project-Id': OWNER}

    def statuses():
        return [stranger.request(method, path, headers=theirs, json=sent).status_code for method, path, sent in (
            ('GET', f'/v2/queues/{name}/messages', None),
            ('POST', f'/v2/queues/{name}/messages', {'messages': [{'body': 1}]}),
            ('PUT', f'/v2/queues/{name}', {}))]

    def grant(acl):
        answer = requests.post(tester.storage_url, timeout=30, headers={
            'X-Auth-Token': tester.token, 'X-Account-Access-Control': json.dumps(acl) if acl else ''})
        assert answer.status_code == 204, answer.text
    try:
        grant({'read-only': ['test2:tester2']})
        assert wait_for(statuses, [200, 403, 403])
        grant({'read-write': ['test2:tester2']})
        assert wait_for(statuses, [200, 201, 204])
    finally:
        grant(None)
    assert wait_for(statuses, [403, 403, 403])


def wait_for(ask, expected):
    """Swift's own knowledge of an account is cached for a while."""
    deadline = time.monotonic() + 90
    while (found := ask()) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found == expected
    return True


# -- signed URLs -----------------------------------------------------------------------------------

SIGNED = {  # method and path below the queue: what is sent, the status
    ('GET', 'messages'): (None, 200), ('POST', 'messages'): ({'messages': [{'body': 1, 'delay': 900}]}, 201),
    ('DELETE', 'messages?pop=1'): (None, 200), ('DELETE', f'messages?ids={ID}'): (None, 204),
    ('GET', f'messages/{ID}'): (None, 404), ('DELETE', f'messages/{ID}'): (None, 204),
    ('POST', 'claims'): ({'ttl': 60}, 204), ('GET', f'claims/{CLAIM}'): (None, 404),
    ('PATCH', f'claims/{CLAIM}'): ({'ttl': 60}, 404), ('DELETE', f'claims/{CLAIM}'): (None, 204),
    ('GET', 'subscriptions'): (None, 200),
}


def signed(tester, name, **document):
    url = tester.request('POST', f'/v2/queues/{name}/share', json=document).json()
    return {'URL-Signature': url['signature'], 'URL-Expires': url['expires'], 'X-Project-Id': url['project'],
            'URL-Methods': ','.join(url['methods']), 'URL-Paths': ','.join(url['paths']),
            'Client-ID': tester.headers['Client-ID']}


def test_a_signed_url_opens_the_verbs_it_names_and_no_others(share, tester, stranger, url, name):
    """Whatever token comes along, it counts for nothing."""
    share()
    resources = {(method, re.match('[a-z]+', path)[0]) for method, path in SIGNED}
    for (method, resource), token in product(sorted(resources), ({}, {'X-Auth-Token': stranger.token})):
        grant = signed(tester, name, paths=[resource], methods=[method]) | token
        for (other, below), (sent, expected) in SIGNED.items():
            opened = other == method and below.startswith(resource)
            answer = requests.request(other, f'{url}/v2/queues/{name}/{below}', json=sent, headers=grant, timeout=30)
            assert answer.status_code == (expected if opened else 404), (method, resource, other, below)
            if not opened:
                assert 'signature' in answer.json()['description']


@pytest.mark.parametrize('changed', [
    {'URL-Paths': '/v2/queues/other/messages'}, {'URL-Methods': 'DELETE,GET'}, {'URL-Expires': '2100-01-01T00:00:00'},
    {'X-Project-Id': 'test2'}, {'X-Project-Id': 'AUTH_test2'}, {'URL-Signature': '0' * 64}], ids=str)
def test_a_signed_url_cannot_be_changed(share, tester, stranger, url, name, changed):
    share()
    grant = signed(tester, name)
    address = f'{url}/v2/queues/{name}/messages'
    assert requests.get(address, headers=grant, timeout=30).status_code == 200
    for token in ({}, {'X-Auth-Token': stranger.token}):
        assert requests.get(address, headers=grant | token | changed, timeout=30).status_code == 404


def test_a_signed_url_ends(share, tester, url, name):
    share()
    ends = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(time.time() + 2))
    grant, address = signed(tester, name, expires=ends), f'{url}/v2/queues/{name}/messages'
    assert requests.get(address, headers=grant, timeout=30).status_code == 200
    wait_for(lambda: requests.get(address, headers=grant, timeout=30).status_code, 404)
