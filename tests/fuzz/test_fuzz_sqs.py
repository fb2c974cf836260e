"""Requests of Amazon SQS that are signed well and say anything: no failure of ours, and nothing of another account."""

import json
import logging
import math

import aws
import pytest
from fuzz.effort import examples
from hypothesis import given
from hypothesis import strategies as st
from world import World

from swiftqueue.middleware.queue import QueueFilter
from swiftqueue.middleware.sqs_table import ACTIONS, List, Map, Struct
from swiftqueue.model import NewMessage
from swiftqueue.swift import SERVICE_ACCOUNT

LOGGER = logging.Logger('swiftqueue')
ACCOUNT_ID, STRANGER_ID = '111122223333', '444455556666'
ARN = f'arn:aws:sqs:us-east-1:{ACCOUNT_ID}:jobs'

texts = st.one_of(
    st.sampled_from([
        '', 'jobs', 'none', f'http://cloud/{ACCOUNT_ID}/jobs', f'http://cloud/{STRANGER_ID}/jobs',
        f'/{ACCOUNT_ID}/jobs/',
        'jobs.fifo', '..', 'x' * 81, ARN, 'All', '.*', 'VisibilityTimeout', 'Policy', 'RedrivePolicy', 'QueueArn', '0',
        '60', '-1', '99999999999999999999', 'true', json.dumps({'deadLetterTargetArn': ARN, 'maxReceiveCount': 1}),
        '{"redrivePermission": "denyAll"}', '{"Statement": []}', '[]', 'String', 'Number', 'Binary.x', 'AA==', '\x00',
        '\r\n', '<&">', '\ud800', '\ufffe', 'SendMessage', '123456789012', 'AWSTraceHeader', 'am9icw==']),
    st.text(max_size=20))
numbers = st.one_of(st.sampled_from([0, 1, 10, 11, 20, 30, 43200, 43201, -1, 2 ** 63 - 1, 2 ** 70]), st.integers())
junk = st.one_of(st.none(), st.booleans(), numbers, st.floats(), texts, st.lists(texts, max_size=2),
                 st.dictionaries(texts, texts, max_size=2))


def values(shape):
    """Of the right type mostly."""
    if isinstance(shape, Struct):
        members = {name: values(member) for name, member in shape.members.items()}
        needed = {name: members.pop(name) for name in shape.required}
        right = st.fixed_dictionaries(needed, optional=members)
    elif isinstance(shape, List):
        right = st.lists(values(shape.of), max_size=11)
    elif isinstance(shape, Map):
        right = st.dictionaries(texts, values(shape.of), max_size=3)
    else:
        right = numbers if shape.kind == 'integer' else texts
    return st.one_of(right, right, right, right, right, right, junk)


def requests_of(action):
    takes = ACTIONS[action].takes
    given = st.one_of(values(takes), st.dictionaries(texts, junk, max_size=3))
    if 'QueueUrl' in takes.members:  # else nearly none would find a queue
        given = given.map(lambda document: document if not isinstance(document, dict) or document.get('QueueUrl') == ''
                          else document | {'QueueUrl': 'jobs'})
    return st.tuples(st.just(action), given)


@pytest.fixture(scope='module')
def world():
    world = World()
    world.queue().create()
    world.queue(account='AUTH_other').create()
    world.queue(account='AUTH_other').messages.post([NewMessage('not for you')])
    return world


def client_of(world, protocol):
    app = aws.pipeline(QueueFilter(world.swift, world.engines[0], LOGGER), LOGGER,
                       account_ids={'AUTH_test': ACCOUNT_ID, 'AUTH_other': STRANGER_ID})
    return aws.PROTOCOLS[protocol](app, environ={'swift.cache': world.cache, 'swift.trans_id': 'tx'})


def ask(world, ask_for):
    """Whatever is answered must be well-formed, and no fault of ours."""
    world.tick()
    world.queue().ensure({})  # it may just have been deleted
    calls = len(world.swift.calls)
    try:
        answer = ask_for()
    except aws.AwsError as error:
        assert error.status < 500, error
        answer = {}
    for call in world.swift.calls[calls:]:  # of others, only whether they are there and share the queue
        assert call.account == 'AUTH_test' or (call.account, call.method) == ('AUTH_other', 'HEAD') \
            or (call.account, call.method, call.container) == (SERVICE_ACCOUNT, 'GET', 'accounts')
    assert 'not for you' not in str(answer)
    world.swift.assert_no_leaks()


def is_waiting(document):
    """A real client may wait; here it would take the test's time."""
    return isinstance(document, dict) and document.get('WaitTimeSeconds')


@examples(150)
@given(st.sampled_from(sorted(ACTIONS)).flatmap(requests_of))
def test_no_json_breaks_down(world, request):
    action, document = request
    if is_waiting(document):
        document = document | {'WaitTimeSeconds': 0}
    client = client_of(world, 'json')
    ask(world, lambda: client.ask(f'AmazonSQS.{action}', json.dumps(document).encode()))


def leaves(value, prefix):
    """A form's fields for any document; lists and maps are numbered from 1 on."""
    if isinstance(value, dict):
        for number, (name, each) in enumerate(value.items(), 1):
            yield from leaves(each, f'{prefix}.{name}' if prefix else name)
            yield from leaves(each, f'{prefix}.{number}.Value')
            yield f'{prefix}.{number}.Name', name
    elif isinstance(value, list):
        for number, each in enumerate(value, 1):
            yield from leaves(each, f'{prefix}.{number}')
    elif value is not None and not (isinstance(value, float) and math.isnan(value)):
        yield prefix, str(value)


@examples(150)
@given(st.sampled_from(sorted(ACTIONS)).flatmap(requests_of))
def test_no_form_breaks_down(world, request):
    action, document = request
    document = document if isinstance(document, dict) else {}
    if is_waiting(document):
        document = document | {'WaitTimeSeconds': 0}
    try:
        fields = aws.flattened(action, document)
    except (AttributeError, TypeError):
        fields = dict(leaves(document, ''))  # it is not of the right form
    client = client_of(world, 'query')
    ask(world, lambda: client.ask(action, {name: text for name, text in fields.items() if name}))


@examples(150)
@given(st.binary(max_size=200), st.sampled_from(['json', 'query']), st.sampled_from(sorted(ACTIONS)))
def test_no_bytes_break_down(world, body, protocol, action):
    client = client_of(world, protocol)
    headers = {'Content-Type': 'application/x-www-form-urlencoded'}
    if protocol == 'json':
        headers = {'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': f'AmazonSQS.{action}'}
    assert client.post('/', headers, body).status < 500


@examples(150)
@given(st.sampled_from(['Authorization', 'X-Amz-Date', 'X-Amz-Target', 'Host', 'X-Amz-Content-SHA256', 'Content-Type']),
       st.one_of(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0xff), max_size=60), st.sampled_from([
           aws.ALGORITHM, f'{aws.ALGORITHM} ',
           f'{aws.ALGORITHM} Credential=test:tester/20300101/us-east-1/sqs/aws4_request',
           f'{aws.ALGORITHM} Credential=\xff/20300101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=x',
           f'{aws.ALGORITHM} Credential=a/20300101/\xff/sqs/aws4_request, SignedHeaders=;;, Signature=\xff',
           '99999999T999999Z', '00000000T000000Z', '20300230T000000Z'])))
def test_no_header_breaks_in_or_down(world, name, value):
    body = b'{"QueueName": "broken-in"}'
    headers = aws.header_signed('POST', '/', {}, {
        'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': 'AmazonSQS.CreateQueue'}, body)
    client = client_of(world, 'json')
    if headers.get(name, '').strip() == value.strip() or name == 'X-Amz-Content-SHA256':
        return  # it is not signed, or the same
    answer = aws.send(client.app, 'POST /', body, headers | {name: value}, **client.environ)
    assert 400 <= answer.status < 500
    assert world.swift.containers('AUTH_test') == [
        each for each in world.swift.containers('AUTH_test') if 'broken-in' not in each]
