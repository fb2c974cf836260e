"""Amazon SQS: whose requests are whose, signatures, and what is no request at all."""

import io
import json
import time

import aws
import pytest
from wire.sqs import ACCOUNT_ID, LOGGER, Service
from wire.transcript import send
from world import World

from swiftqueue.middleware.frontend import MAX_DEPTH
from swiftqueue.middleware.sqs import SqsFilter
from swiftqueue.middleware.sqs_settings import Settings

NOW = 1_900_000_000.0
JSON = {'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': 'AmazonSQS.ListQueues'}
FORM = {'Content-Type': 'application/x-www-form-urlencoded'}
MISMATCH = (403, 'SignatureDoesNotMatch')


def dated(signing):
    """With the instant itself where the signing only says how many seconds from now it is."""
    at = {'at': time.time() + signing['in_seconds']} if 'in_seconds' in signing else {}
    return {name: value for name, value in signing.items() if name != 'in_seconds'} | at


@pytest.fixture(params=['json', 'query'])
def sqs(request):
    return Service(request.param)


def code_of(answer):
    """(status, code) of an error, whatever the protocol."""
    if answer.headers['Content-Type'] == 'text/xml':
        return answer.status, answer.body.partition(b'<Code>')[2].partition(b'</Code>')[0].decode()
    return answer.status, answer.headers['x-amzn-query-error'].partition(';')[0]


# -- credentials -----------------------------------------------------------------------------------

@pytest.mark.parametrize('signing, status, code', [
    ({'secret': 'wrong'}, *MISMATCH), ({'secret': ''}, *MISMATCH),
    ({'key': 'test:nobody'}, 403, 'InvalidClientTokenId'), ({'key': 'AKIAIOSFODNN7'}, 403, 'InvalidClientTokenId'),
    ({'key': 'test:nobody', 'secret': ''}, 403, 'InvalidClientTokenId'),
    ({'key': 't\xc3\xa9st:\xe2\x82\xac'}, 403, 'InvalidClientTokenId'), ({'key': '\xff'}, 403, 'IncompleteSignature'),
    ({'in_seconds': -1000}, 403, 'RequestExpired'), ({'in_seconds': 1000}, 403, 'RequestExpired'),
    ({'key': ''}, 403, 'IncompleteSignature'),
    ({'key': 'x' * 300}, 403, 'IncompleteSignature'), ({'region': ''}, 403, 'IncompleteSignature'),
    ({'region': 'us east'}, 403, 'IncompleteSignature'), ({'payload': 'UNSIGNED-PAYLOAD'}, *MISMATCH),
    ({'payload': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'}, *MISMATCH)])
def test_a_signature_that_is_no_good_does_nothing(sqs, signing, status, code):
    sqs.create()
    before = len(sqs.world.swift.calls)
    sqs.client = sqs.client_of(**dated(signing))
    sqs.refuses(status, code, 'DeleteQueue', QueueUrl=sqs.url())
    assert len(sqs.world.swift.calls) == before


@pytest.mark.parametrize('signing', [{'in_seconds': -800}, {'in_seconds': 800}, {'region': 'eu-west-1'},
                                     {'region': 'somewhere'}])
def test_a_signature_that_is_good(sqs, signing):
    sqs.client = sqs.client_of(**dated(signing))
    region = signing.get('region', 'us-east-1')
    assert sqs.attributes(sqs.create(), 'QueueArn') == {'QueueArn': f'arn:aws:sqs:{region}:{ACCOUNT_ID}:jobs'}


def test_regions_may_be_limited(sqs):
    limited = Service(sqs.protocol, regions=frozenset(['eu-west-1', 'eu-west-2']))
    limited.refuses(*MISMATCH, 'ListQueues', 'region')
    limited.client = limited.client_of(region='eu-west-2')
    assert limited.call('ListQueues') == {}


def test_who_has_no_right_can_do_nothing(sqs):
    url = sqs.create()
    sqs.send(url, 'secret')
    handle = sqs.receive(url)[0]['ReceiptHandle']
    sqs.client = sqs.client_of(key='test:guest')
    entry = {'Id': 'a', 'ReceiptHandle': handle}
    for action, given in (
            ('SendMessage', {'MessageBody': 'x'}), ('ReceiveMessage', {}), ('DeleteMessage', {'ReceiptHandle': handle}),
            ('ChangeMessageVisibility', {'ReceiptHandle': handle, 'VisibilityTimeout': 0}), ('PurgeQueue', {}),
            ('SendMessageBatch', {'Entries': [{'Id': 'a', 'MessageBody': 'x'}]}),
            ('DeleteMessageBatch', {'Entries': [entry]}),
            ('ChangeMessageVisibilityBatch', {'Entries': [entry | {'VisibilityTimeout': 0}]}),
            ('SetQueueAttributes', {'Attributes': {'DelaySeconds': '1'}}), ('DeleteQueue', {}), ('ListQueueTags', {}),
            ('GetQueueAttributes', {'AttributeNames': ['All']}), ('TagQueue', {'Tags': {'a': 'b'}}),
            ('UntagQueue', {'TagKeys': ['a']}), ('ListDeadLetterSourceQueues', {}),
            ('AddPermission', {'Label': 'a', 'AWSAccountIds': ['123456789012'], 'Actions': ['*']}),
            ('RemovePermission', {'Label': 'a'})):
        sqs.refuses(403, 'AccessDenied', action, QueueUrl=url, **given)
        sqs.refuses(403, 'AccessDenied', action, QueueUrl=sqs.url('none'), **given)
    sqs.refuses(403, 'AccessDenied', 'ListQueues')
    sqs.refuses(403, 'AccessDenied', 'CreateQueue', QueueName='mine')
    sqs.refuses(403, 'AccessDenied', 'GetQueueUrl', QueueName='jobs')
    sqs.client = sqs.client_of()
    assert sqs.counts(url) == (0, 1, 0)


def test_an_acl_lets_others_of_the_account_in(sqs):
    url = sqs.create()
    sqs.world.queue().configure(lambda attributes: attributes | {'_write_acl': 'test:guest'})
    owner, sqs.client = sqs.client, sqs.client_of(key='test:guest')
    sqs.send(url, 'mine')
    message, = sqs.receive(url)
    sqs.call('DeleteMessage', QueueUrl=url, ReceiptHandle=message['ReceiptHandle'])
    sqs.refuses(403, 'AccessDenied', 'DeleteQueue', QueueUrl=url)
    sqs.client = owner
    assert sqs.counts(url) == (0, 0, 0)


def test_a_token_beside_a_bad_signature_helps_nobody():
    sqs = Service()
    token = send(sqs.app, 'GET /auth/v1.0', headers={'X-Auth-User': 'test:tester', 'X-Auth-Key': 'secret'},
                 **sqs.environ).headers['X-Auth-Token']
    headers = aws.header_signed('POST', '/', {}, JSON, b'{}', secret='wrong') | {'X-Auth-Token': token}
    assert code_of(send(sqs.app, 'POST /', b'{}', headers, **sqs.environ)) == MISMATCH


# -- what is signed --------------------------------------------------------------------------------

def post(sqs, headers, body, path='/', query='', **environ):
    return send(sqs.app, f'POST {path}{query}', body, headers, **sqs.environ | environ)


def test_a_body_that_was_changed_is_refused():
    sqs = Service()
    headers = aws.header_signed('POST', '/', {}, JSON, b'{"MaxResults": 1}')
    assert post(sqs, headers, b'{"MaxResults": 1}').status == 200
    assert code_of(post(sqs, headers, b'{"MaxResults": 2}')) == MISMATCH
    assert code_of(post(sqs, headers, b'')) == MISMATCH


def raw(app, headers):
    """The app as it is called by eventlet, which also tells the headers as they came."""
    return lambda environ, start_response: app(environ | {'headers_raw': [*headers.items()]}, start_response)


@pytest.mark.parametrize('claimed', ['UNSIGNED-PAYLOAD', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', 'e3b0c44298fc1c14'])
def test_a_header_does_not_say_what_the_body_is(claimed):
    sqs = Service()
    body = b'{"MaxResults": 1}'
    with_header = JSON | {'X-Amz-Content-SHA256': claimed}
    headers = aws.header_signed('POST', '/', {}, with_header, body, payload=claimed)
    sqs.app = raw(sqs.app, headers)
    assert code_of(post(sqs, headers, body)) == MISMATCH
    honest = aws.header_signed('POST', '/', {}, with_header, body)
    sqs = Service()
    sqs.app = raw(sqs.app, honest)
    assert post(sqs, honest, body).status == 200
    assert code_of(post(sqs, honest, b'{"MaxResults": 2}')) == MISMATCH


@pytest.mark.parametrize('change', [{'X-Amz-Target': 'AmazonSQS.DeleteQueue'}, {'Host': 'elsewhere'},
                                    {'X-Amz-Date': ''}])
def test_a_header_that_was_changed_is_refused(change):
    sqs = Service()
    if 'X-Amz-Date' in change:
        change = {'X-Amz-Date': aws.stamp_of(time.time() - 60)}
    headers = aws.header_signed('POST', '/', {}, JSON, b'{}')
    assert code_of(post(sqs, headers | change, b'{}')) == MISMATCH


def test_the_action_must_be_signed():
    sqs = Service()
    headers = aws.header_signed('POST', '/', {}, {}, b'{}')
    answer = post(sqs, headers | JSON, b'{}')
    assert code_of(answer) == MISMATCH and 'x-amz-target' in json.loads(answer.body)['message']


def test_a_path_or_query_that_was_changed_is_refused():
    sqs = Service('query')
    sqs.create()
    body = b'Action=PurgeQueue'
    headers = aws.header_signed('POST', f'/{ACCOUNT_ID}/jobs', {}, FORM, body)
    assert code_of(post(sqs, headers, body, f'/{ACCOUNT_ID}/other')) == MISMATCH
    assert code_of(post(sqs, headers, body, f'/{ACCOUNT_ID}/jobs', '?Action=DeleteQueue')) == MISMATCH
    assert post(sqs, headers, body, f'/{ACCOUNT_ID}/jobs').status == 200


def test_a_chunked_body_is_signed_as_a_whole():
    sqs = Service()

    class Chunks(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 5))
    body = b'{"QueueName": "jobs"}'
    headers = aws.header_signed('POST', '/', {}, JSON | {'X-Amz-Target': 'AmazonSQS.CreateQueue'}, body)
    chunked = {'HTTP_TRANSFER_ENCODING': 'chunked', 'CONTENT_LENGTH': ''}
    answer = post(sqs, headers, b'', **chunked, **{'wsgi.input': Chunks(body)})
    assert (answer.status, sqs.call('ListQueues')) == (200, {'QueueUrls': [sqs.url()]})
    assert code_of(post(sqs, headers, b'', **chunked, **{'wsgi.input': Chunks(body + b' ')})) == MISMATCH


# -- signed URLs -----------------------------------------------------------------------------------

def test_a_signed_url_is_good_for_its_time():
    sqs = Service('query')
    url = sqs.create()
    client = sqs.client
    client.get('SendMessage', {'QueueUrl': url, 'MessageBody': 'ü &+%'})
    client.get('SendMessage', {'MessageBody': 'to the path'}, path=f'/{ACCOUNT_ID}/jobs')
    client.get('ListQueues', {}, at=time.time() - 3000, expires=3600)
    assert [message['Body'] for message in sqs.receive(url)] == ['ü &+%', 'to the path']


@pytest.mark.parametrize('signing, status, code', [
    ({'secret': 'wrong'}, *MISMATCH), ({'key': 'nobody'}, 403, 'InvalidClientTokenId'),
    ({'in_seconds': -100, 'expires': 60}, 403, 'RequestExpired'),
    ({'in_seconds': 1000, 'expires': 604800}, 403, 'RequestExpired'),
    ({'expires': 604801}, 403, 'IncompleteSignature'), ({'expires': -1}, 403, 'IncompleteSignature'),
    ({'expires': 'x'}, 403, 'IncompleteSignature'), ({'expires': ''}, 403, 'IncompleteSignature'),
    ({'expires': '9' * 5000}, 403, 'IncompleteSignature')])
def test_a_signed_url_that_is_no_good(signing, status, code):
    with pytest.raises(aws.AwsError) as raised:
        Service('query').client.get('ListQueues', {}, **dated(signing))
    assert (raised.value.status, raised.value.code) == (status, code)


def test_a_request_signed_twice_is_refused():
    sqs = Service('query')
    body = b'Action=ListQueues'
    query = '?' + aws.urlencode(aws.query_signed('POST', '/', {}, body))
    headers = aws.header_signed('POST', '/', {}, FORM, body, key='other:stranger')
    assert code_of(post(sqs, headers, body, '/', query)) == (403, 'IncompleteSignature')


def test_a_url_can_sign_a_post_with_its_body():
    sqs = Service('query')
    body = b'Action=CreateQueue&QueueName=jobs'
    query = '?' + aws.urlencode(aws.query_signed('POST', '/', {}, body))
    headers = FORM | {'Host': aws.HOST}
    assert post(sqs, headers, body, '/', query).status == 200
    assert code_of(post(sqs, headers, body + b'2', '/', query)) == MISMATCH


# -- which requests are ours -----------------------------------------------------------------------

class Next:
    """Whatever stands right of the filter; it remembers what passed untouched."""

    def __init__(self):
        self.passed = []

    def __call__(self, environ, start_response):
        self.passed.append(environ)
        start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '0')])
        return [b'']


SCOPE = f'{aws.ALGORITHM} Credential=key/20300101/us-east-1/%s/aws4_request, SignedHeaders=host, Signature=0'
SQS, S3 = {'Authorization': SCOPE % 'sqs'}, {'Authorization': SCOPE % 's3'}
QUEUE = f'/{ACCOUNT_ID}/jobs'


@pytest.mark.parametrize('line, headers', [
    ('POST /', S3), ('GET /', S3), ('GET /bucket/object', S3), (f'PUT {QUEUE}', S3), (f'GET {QUEUE}?Action=x', S3),
    ('GET /', SQS), ('PUT /', SQS), (f'DELETE {QUEUE}', SQS), ('POST /v1/AUTH_test', SQS), ('POST /bucket/object', SQS),
    ('GET /?X-Amz-Credential=key/20300101/us-east-1/s3/aws4_request&Action=x', {}), ('GET /', {}), ('POST /', {}),
    (f'GET {QUEUE}', {}), ('POST /v2/queues', {}), ('GET /v1/AUTH_test?Action=x', {}), ('GET /info', {}),
    ('POST /', {'Authorization': 'AWS key:signature', **FORM}), ('POST /', {'Authorization': 'Bearer x', **JSON}),
    ('POST /', {'X-Amz-Target': 'DynamoDB.ListTables'}), ('POST /bucket', FORM), ('OPTIONS /?Action=x', {}),
    ('GET /', {'Authorization': SCOPE % 'sns'}), ('POST /', {'Authorization': f'{aws.ALGORITHM} x'})])
def test_all_else_passes_untouched(line, headers):
    app = Next()
    environ = {'REMOTE_USER': 'somebody'}
    answer = send(SqsFilter(app, Settings(), LOGGER), line, headers=headers, **environ)
    assert answer.status == 200
    passed, = app.passed
    assert passed['PATH_INFO'] == line.split()[1].partition('?')[0]
    assert not [key for key in passed if key.startswith('s3api') or key.startswith('swiftqueue')]
    for name, value in headers.items():
        key = name.upper().replace('-', '_')
        assert passed[key if key == 'CONTENT_TYPE' else f'HTTP_{key}'] == value


@pytest.mark.parametrize('line, headers', [
    ('POST /', JSON), ('POST /', FORM), ('GET /?Action=ListQueues', {}), (f'GET {QUEUE}?Action=PurgeQueue', {}),
    (f'POST {QUEUE}', FORM), ('POST /?Action=ListQueues', {}),
    ('POST /', {'Content-Type': 'Application/X-WWW-Form-Urlencoded; charset=utf-8'})])
def test_a_request_that_is_not_signed_is_told_so(line, headers):
    app = Next()
    answer = send(SqsFilter(app, Settings(), LOGGER), line, headers=headers)
    assert code_of(answer) == (403, 'MissingAuthenticationToken')
    assert not app.passed


def test_the_auth_filter_sees_nothing_of_the_client_but_the_signature():
    app = Next()
    headers = {'X-Auth-Token': 't', 'X-Service-Token': 't', 'X-Storage-Token': 't', 'X-Backend-X': 'x',
               'X-Timestamp': '1', 'X-Container-Sync-Auth': 'x', 'X-Identity-Status': 'Confirmed', 'X-Roles': 'admin',
               'User-Agent': 'me',
               'X-Copy-From': '/a/b', 'X-Project-Id': 'other', 'X-Amz-Security-Token': 'x'}
    body = b'Action=ListQueues'
    environ = {'swift.cache': object(), 'swift.trans_id': 'tx', 'swift.access_logging': {}, 'REMOTE_USER': 'root',
               'swift.authorize': lambda request: None, 'swift.authorize_override': True}
    sent = aws.header_signed('POST', '/', {}, FORM | headers, body, key='a:b')
    send(raw(SqsFilter(app, Settings(), LOGGER), sent), 'POST /', body, sent, **environ)
    passed, = app.passed
    assert {key for key in passed if key.startswith('HTTP_')} == {'HTTP_HOST', 'HTTP_USER_AGENT'}
    assert (passed['PATH_INFO'], passed['REQUEST_METHOD'], passed['QUERY_STRING'], passed['CONTENT_TYPE'],
            passed['CONTENT_LENGTH']) == ('/v1/a:b', 'POST', '', '', '0')
    assert passed['wsgi.input'].read() == b'' and 'headers_raw' not in passed
    assert not {'REMOTE_USER', 'swift.authorize', 'swift.authorize_override'} & set(passed)
    assert (passed['swift.cache'], passed['swift.trans_id']) == (environ['swift.cache'], 'tx')
    assert environ['swift.access_logging'] == {'user_id': 'a:b'}
    details = passed['s3api.auth_details']
    assert details['access_key'] == 'a:b' and details['string_to_sign'].startswith(b'AWS4-HMAC-SHA256\n')
    assert details['check_signature']('secret') is True and details['check_signature']('other') is False


# -- what is no request ----------------------------------------------------------------------------

@pytest.mark.parametrize('body', [
    b'', b'{}', b'[]', b'null', b'7', b'"x"', b'{', b'\xff', b'{"QueueName": 7}', b'{"QueueName": ["x"]}',
    b'{"QueueName": "x", "Attributes": []}', b'{"QueueName": "x", "Attributes": {"a": {}}}', b'{"QueueName": NaN}',
    b'{"QueueName": "x", "tags": "y"}', b'[' * 5000, b'{"a":' * (MAX_DEPTH + 1) + b'1' + b'}' * (MAX_DEPTH + 1),
    b'{"QueueName": ' + b'9' * 10000 + b'}', b'{"QueueName": null}', b'\xef\xbb\xbf{}',
    b'{"AttributeNames": [' + b'"",' * 6000 + b'""]}', b'[' + b'[],' * 30000 + b'[]]', b' ' * 70000 + b'{}'])
def test_json_that_is_none_is_refused(body):
    sqs = Service()
    with pytest.raises(aws.AwsError) as raised:
        sqs.client.ask('AmazonSQS.CreateQueue', body)
    error = raised.value
    assert (error.status, error.shape) in (
        (400, 'com.amazon.coral.service#SerializationException'),
        (400, 'com.amazon.coral.service#MissingRequiredParameterException'))
    assert sqs.call('ListQueues') == {}


def test_a_body_full_of_quotes_and_backslashes_is_no_trouble():
    sqs = Service()
    url = sqs.create()
    body = '"\\"{[,' * 50000 + '\\'
    sqs.send(url, body)
    assert sqs.receive(url)[0]['Body'] == body


@pytest.mark.parametrize('given', [{'MaxNumberOfMessages': '1'}, {'MaxNumberOfMessages': 1.5},
                                   {'MaxNumberOfMessages': True}, {'AttributeNames': 'All'}, {'AttributeNames': [7]},
                                   {'AttributeNames': {'a': 'b'}}, {'MessageAttributeNames': [None]}])
def test_json_of_another_type_is_refused(given):
    sqs = Service()
    url = sqs.create()
    error = sqs.refuses(400, 'MalformedQueryString', 'ReceiveMessage', QueueUrl=url, **given)
    assert error.shape == 'com.amazon.coral.service#SerializationException'


@pytest.mark.parametrize('target', [
    'AmazonSQS.', 'AmazonSQS.FooBar', 'AmazonSQS.createqueue', 'AmazonSQS.__init__', 'x', ''])
def test_an_action_that_is_none_in_json(target):
    with pytest.raises(aws.AwsError) as raised:
        Service().client.ask(target, b'{}')
    assert (raised.value.status, raised.value.shape) == (400, 'com.amazon.coral.service#UnknownOperationException')


@pytest.mark.parametrize('action', ['FooBar', 'createqueue', 'ü', '<x>'])
def test_an_action_that_is_none_in_a_query(action):
    with pytest.raises(aws.AwsError) as raised:
        Service('query').client.ask(action, {})
    assert (raised.value.status, raised.value.code) == (400, 'InvalidAction')
    assert raised.value.message == f'The action {action} is not valid for this endpoint.'


def test_a_query_without_an_action():
    sqs = Service('query')
    for body in (b'', b'Action=', b'x=y'):
        assert code_of(sqs.client.post('/', FORM, body)) == (400, 'MissingAction')
    query = aws.urlencode(aws.query_signed('GET', QUEUE, {}))
    answer = send(sqs.app, f'GET {QUEUE}?{query}', headers={'Host': aws.HOST}, **sqs.environ)
    assert (answer.status, answer.body) == (404, b'<UnknownOperationException/>\n')


@pytest.mark.parametrize('action, fields', [('ListQueues', {}), ('CreateQueue', {'QueueName': 'x'})])
def test_actions_that_are_not_about_a_queue_have_no_place_at_one(action, fields):
    with pytest.raises(aws.AwsError) as raised:
        Service('query').client.ask(action, fields, path=QUEUE)
    assert (raised.value.status, raised.value.code) == (400, 'InvalidAction')


def test_the_url_of_a_queue_stands_for_the_parameter_and_the_parameter_stands_above_it():
    sqs = Service('query')
    for name in ('jobs', 'other'):
        sqs.create(name)
    sqs.client.ask('SendMessage', {'MessageBody': 'x'}, path=QUEUE)
    sqs.client.ask('SendMessage', {'MessageBody': 'y', 'QueueUrl': sqs.url('other')}, path=QUEUE)
    assert sqs.counts(sqs.url('jobs')) == sqs.counts(sqs.url('other')) == (1, 0, 0)


@pytest.mark.parametrize('fields', [
    {'Attribute.1.Name': 'DelaySeconds'}, {'Attribute.1.Value': '1'}, {'Attribute.1': 'DelaySeconds'}])
def test_a_query_with_half_an_entry_is_refused(fields):
    with pytest.raises(aws.AwsError) as raised:
        Service('query').client.ask('CreateQueue', {'QueueName': 'x'} | fields)
    assert (raised.value.status, raised.value.code) == (400, 'MissingParameter')


@pytest.mark.parametrize('body', [
    b'Action=CreateQueue&QueueName=%FF', b'Action=CreateQueue&QueueName=\xff', b'&'.join([b'a=b'] * 6000)])
def test_a_query_that_is_no_form_is_refused(body):
    assert code_of(Service('query').client.post('/', FORM, body)) in (
        (400, 'MalformedQueryString'), (400, 'InvalidParameterValue'))


@pytest.mark.parametrize('body', [
    b'Action=CreateQueue&QueueName=x&QueueName..y=z&QueueName.=z&.=a&..=b&=c',
    b'Action=CreateQueue&QueueName=x&Attribute=7',
    b'Action=CreateQueue&QueueName=x&Attribute.x.Name=a&Attribute.-1.Name=a&' + b'.'.join([b'a'] * 3000) + b'=1',
    b'QueueName=x&Action.1=y&Action=CreateQueue'])
def test_fields_that_mean_nothing_are_passed_over(body):
    sqs = Service('query')
    assert sqs.client.post('/', FORM, body).status == 200
    assert sqs.call('ListQueues') == {'QueueUrls': [sqs.url('x')]}


@pytest.mark.parametrize('number', ['x', '', '1.0', '9' * 30, '١'])
def test_a_query_with_a_number_that_is_none(number):
    sqs = Service('query')
    url = sqs.create()
    sqs.refuses(400, 'InvalidParameterValue', 'ReceiveMessage', QueueUrl=url, MaxNumberOfMessages=number)


def test_a_body_that_breaks_off_or_is_too_large():
    sqs = Service()
    headers = aws.header_signed('POST', '/', {}, JSON, b'{}')
    assert post(sqs, headers, b'{}', CONTENT_LENGTH='10').status == 400
    answer = post(sqs, headers, b'{}', CONTENT_LENGTH=str(10 ** 9))
    assert code_of(answer) == (413, 'RequestEntityTooLarge')


def test_the_status_for_clients_that_know_nothing_of_query_codes():
    sqs = Service()
    url = sqs.create()
    sqs.call('PurgeQueue', QueueUrl=url)
    body = json.dumps({'QueueUrl': url}).encode()
    for mode, status in (({'x-amzn-query-mode': 'true'}, 403), ({}, 400)):
        answer = sqs.client.post('/', JSON | {'X-Amz-Target': 'AmazonSQS.PurgeQueue'} | mode, body)
        assert answer.status == status
        assert answer.headers['x-amzn-query-error'] == 'AWS.SimpleQueueService.PurgeQueueInProgress;Sender'
        assert json.loads(answer.body)['__type'] == 'com.amazonaws.sqs#PurgeQueueInProgress'


def test_a_fault_of_our_own_shows_nothing_of_itself(sqs, monkeypatch):
    def fail(self):
        raise RuntimeError('internal detail')
    url = sqs.create()
    monkeypatch.setattr('swiftqueue.queues.Queue.describe', fail)
    error = sqs.refuses(500, 'InternalError', 'DeleteQueue', QueueUrl=url)
    assert 'detail' not in error.message


def test_a_url_names_the_host_and_scheme_of_the_request():
    sqs = Service()
    sqs.client.environ = sqs.environ | {'wsgi.url_scheme': 'https'}
    assert sqs.create() == f'https://cloud/{ACCOUNT_ID}/jobs'
    behind_tls = Service(world=sqs.world, scheme='https')
    assert behind_tls.call('GetQueueUrl', QueueName='jobs')['QueueUrl'] == f'https://cloud/{ACCOUNT_ID}/jobs'


def test_a_receive_waits(sqs):
    world = World()
    service = Service(sqs.protocol, world)
    url = service.create(ReceiveMessageWaitTimeSeconds=20)
    before = world.clock()
    assert service.receive(url, WaitTimeSeconds=0) == []
    assert world.clock() - before < 1
    service.send(url, 'later', DelaySeconds=3)
    assert [message['Body'] for message in service.receive(url)] == ['later']
    assert 2 < world.clock() - before < 5
