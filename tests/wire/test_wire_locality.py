"""X-Queue-Locality, through every door: what is near comes first and is told, and a bad one is refused."""

import pytest
from wire.sqs import LOGGER, Service

from swiftqueue.limits import check_place
from swiftqueue.model import NewMessage
from swiftqueue.names import message_name

CLAIM = {'ttl': 60, 'grace': 60}
BURROW = '/burrow/v1.0/AUTH_test/jobs?limit=1&detail=body'
TAKES = {  # how to take one message through a door: the request, and the number of the message in its answer
    'v2 claim': ('POST /v2/queues/jobs/claims?limit=1', {}, lambda got: got['messages'][0]['body']),
    'v2 pop': ('DELETE /v2/queues/jobs/messages?pop=1', None, lambda got: got['messages'][0]['body']),
    'v1.1 claim': ('POST /v1.1/queues/jobs/claims?limit=1', CLAIM, lambda got: got['messages'][0]['body']),
    'v1.1 pop': ('DELETE /v1.1/queues/jobs/messages?pop=1', None, lambda got: got['messages'][0]['body']),
    'v1 claim': ('POST /messaging/v1/queues/jobs/claims?limit=1', CLAIM, lambda got: got[0]['body']),
    'burrow get and hide': (f'POST {BURROW}&hide=60', None, lambda got: int(got[0])),
    'burrow get and delete': (f'DELETE {BURROW}', None, lambda got: int(got[0])),
}


def fill(engine, queue):
    """Three messages in zone 1, and one in zone 2."""
    queue.create()
    posted = queue.messages.post([NewMessage(number) for number in range(4)])
    zones = dict(zip((message_name(each.id) for each in posted), (1, 1, 1, 2), strict=True))
    engine.locate = lambda policy, account, container, name: [(1, zones[name])]


@pytest.fixture
def filled(make_wire):
    def make(**options):
        wire = make_wire(api_versions=('2', '1.1', '1'), **options)
        account = wire.engine.account(wire.swift, {'swift.cache': wire.cache}, 'AUTH_test', LOGGER)
        fill(wire.engine, account.queue('jobs'))
        return wire
    return make


@pytest.mark.parametrize('take', TAKES)
def test_what_is_near_is_taken_first_and_told(filled, take):
    line, sent, number = TAKES[take]
    wire = filled()
    answers = [wire.request(line, sent, headers=headers) for headers in (
        {'X-Queue-Locality': 'r1z2'}, {'X-Queue-Locality': 'r1z2'}, {})]
    assert [number(answer.json) for answer in answers] == [3, 0, 1]
    assert [answer.headers.get('X-Queue-Local') for answer in answers] == ['1/1', '0/1', None]


@pytest.mark.parametrize('take', TAKES)
@pytest.mark.parametrize('text', ['here', '', 'r1z2=100'])
def test_what_is_no_place_is_refused(filled, take, text):
    line, sent, _ = TAKES[take]
    answer = filled().request(line, sent, headers={'X-Queue-Locality': text})
    assert answer.status == 400
    told = answer.body.decode() if 'burrow' in take else answer.json['description']
    assert 'r1z2' in told and 'X-Queue-Local' not in answer.headers


def test_who_may_not_ask_is_told_so_before_anything_else(filled):
    line, sent, _ = TAKES['v2 claim']
    assert filled().request(line, sent, user=None, headers={'X-Queue-Locality': 'here'}).status == 401


def test_the_proxy_may_say_where_its_clients_are(filled):
    wire = filled(locality=check_place('r1z2'))
    line, sent, number = TAKES['v2 claim']
    assert number(wire.request(line, sent).json) == 3
    elsewhere = wire.request(line + '0', sent, headers={'X-Queue-Locality': 'r1z1'})
    assert elsewhere.headers['X-Queue-Local'] == '3/3'
    assert 'X-Queue-Local' not in wire.request(line, sent).headers  # there was nothing


@pytest.mark.parametrize('protocol', ['json', 'query'])
def test_amazons_clients_may_say_it_too(protocol):
    service = Service(protocol)
    fill(service.world.engines[0], service.world.queue())
    url = service.url()
    service.environ['HTTP_X_QUEUE_LOCALITY'] = 'r1z2'
    assert [message['Body'] for message in service.receive(url, 2)] == ['3', '0']
    assert service.client.answer.headers['X-Queue-Local'] == '1/2'
    service.environ['HTTP_X_QUEUE_LOCALITY'] = 'here'
    service.refuses(400, 'InvalidParameterValue', 'ReceiveMessage', 'r1z2', QueueUrl=url)
