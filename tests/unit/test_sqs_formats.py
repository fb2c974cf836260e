"""Amazon SQS: what both protocols look like to the byte, the table of errors, and the MD5 of attributes."""

import json
import re

import pytest
from aws import md5_of_attributes

from swiftqueue import errors
from swiftqueue.middleware import sqs_message_attributes as attributes
from swiftqueue.middleware.frontend import Request, SlowBody
from swiftqueue.middleware.sqs_door import HANDLERS
from swiftqueue.middleware.sqs_errors import KINDS, SqsError, translated
from swiftqueue.middleware.sqs_format import Json, Query, clean, dialect_of
from swiftqueue.middleware.sqs_settings import Settings
from swiftqueue.middleware.sqs_table import ACTIONS, List, Map, Struct

LEGACY = 'AWS.SimpleQueueService.'


def request(path='/', **environ):
    return Request({'REQUEST_METHOD': 'POST', 'PATH_INFO': path, 'QUERY_STRING': '', **environ})


def json_of(action, body, **headers):
    return Json(request(HTTP_X_AMZ_TARGET=f'AmazonSQS.{action}', **headers), body)


def query_of(body, path='/', query=''):
    return Query(request(path, QUERY_STRING=query, CONTENT_TYPE='application/x-www-form-urlencoded'), body.encode())


# -- requests --------------------------------------------------------------------------------------

# (action, parameters, JSON, form): as botocore writes the first and its last model for it the second.
REQUESTS = [
    ('ListQueues', {}, '{}', 'Action=ListQueues&Version=2012-11-05'),
    ('CreateQueue', {'QueueName': 'q', 'Attributes': {'DelaySeconds': '5', 'Policy': ''}, 'tags': {'k': 'v'}},
     '{"QueueName": "q", "Attributes": {"DelaySeconds": "5", "Policy": ""}, "tags": {"k": "v"}}',
     'Action=CreateQueue&QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&Attribute.2.Name=Policy'
     '&Attribute.2.Value=&Tag.1.Key=k&Tag.1.Value=v'),
    ('ReceiveMessage', {'QueueUrl': 'u', 'AttributeNames': ['All'], 'MessageAttributeNames': ['a', 'b.*'],
                        'MaxNumberOfMessages': 10, 'WaitTimeSeconds': 0},
     '{"QueueUrl": "u", "AttributeNames": ["All"], "MessageAttributeNames": ["a", "b.*"], "MaxNumberOfMessages": 10, '
     '"WaitTimeSeconds": 0}',
     'Action=ReceiveMessage&QueueUrl=u&AttributeName.1=All&MessageAttributeName.1=a&MessageAttributeName.2=b.%2A'
     '&MaxNumberOfMessages=10&WaitTimeSeconds=0'),
    ('SendMessage', {'QueueUrl': 'u', 'MessageBody': 'ü&=+', 'MessageAttributes': {
        'x': {'DataType': 'Binary', 'BinaryValue': b'\x00\xff'}}},
     '{"QueueUrl": "u", "MessageBody": "\\u00fc&=+", "MessageAttributes": {"x": {"DataType": "Binary", '
     '"BinaryValue": "AP8="}}}',
     'Action=SendMessage&QueueUrl=u&MessageBody=%C3%BC%26%3D%2B&MessageAttribute.1.Name=x'
     '&MessageAttribute.1.Value.DataType=Binary&MessageAttribute.1.Value.BinaryValue=AP8%3D'),
    ('DeleteMessageBatch', {'QueueUrl': 'u', 'Entries': [{'Id': 'a', 'ReceiptHandle': 'r'},
                                                         {'Id': 'b', 'ReceiptHandle': 's'}]},
     '{"QueueUrl": "u", "Entries": [{"Id": "a", "ReceiptHandle": "r"}, {"Id": "b", "ReceiptHandle": "s"}]}',
     'Action=DeleteMessageBatch&QueueUrl=u&DeleteMessageBatchRequestEntry.2.Id=b'
     '&DeleteMessageBatchRequestEntry.2.ReceiptHandle=s&DeleteMessageBatchRequestEntry.1.Id=a'
     '&DeleteMessageBatchRequestEntry.1.ReceiptHandle=r'),
    ('AddPermission', {'QueueUrl': 'u', 'Label': 'l', 'AWSAccountIds': ['1'], 'Actions': ['SendMessage']},
     '{"QueueUrl": "u", "Label": "l", "AWSAccountIds": ["1"], "Actions": ["SendMessage"]}',
     'Action=AddPermission&QueueUrl=u&Label=l&AWSAccountId.1=1&ActionName.1=SendMessage'),
    ('UntagQueue', {'QueueUrl': 'u', 'TagKeys': ['a', 'b']}, '{"QueueUrl": "u", "TagKeys": ["a", "b"], "New": 1}',
     'Action=UntagQueue&QueueUrl=u&TagKey.1=a&TagKey.2=b&New=1'),
]


@pytest.mark.parametrize('action, parameters, document, form', REQUESTS, ids=[each[0] for each in REQUESTS])
def test_both_protocols_say_the_same(action, parameters, document, form):
    takes = ACTIONS[action].takes
    spoken = json_of(action, document.encode())
    assert (spoken.action, spoken.parameters(takes)) == (action, parameters)
    spoken = query_of(form)
    assert (spoken.action, spoken.parameters(takes)) == (action, parameters)
    by_url = query_of('', query=form)
    assert (by_url.action, by_url.parameters(takes)) == (action, parameters)


def test_items_of_a_form_are_in_the_order_of_their_numbers():
    form = 'Action=UntagQueue&QueueUrl=u&' + '&'.join(f'TagKey.{number}=k{number}' for number in (10, 2, 1, 33))
    assert query_of(form).parameters(ACTIONS['UntagQueue'].takes)['TagKeys'] == ['k1', 'k2', 'k10', 'k33']


@pytest.mark.parametrize('environ, dialect', [
    ({'HTTP_X_AMZ_TARGET': 'AmazonSQS.ListQueues'}, Json), ({'CONTENT_TYPE': 'application/x-amz-json-1.0'}, Json),
    ({'CONTENT_TYPE': 'application/x-www-form-urlencoded'}, Query), ({}, Query)])
def test_the_protocol_shows(environ, dialect):
    assert type(dialect_of(request(**environ))) is dialect


# -- answers ---------------------------------------------------------------------------------------

MESSAGE = {'MessageId': 'i', 'ReceiptHandle': 'r', 'MD5OfBody': 'm', 'Body': '"<a>&\r\n\x00', 'Attributes': {'A': '1'},
           'MD5OfMessageAttributes': None,
           'MessageAttributes': {'x': {'DataType': 'Binary', 'BinaryValue': b'\x00\xff'}}}
XML = ('<?xml version="1.0"?>\n<{0}Response xmlns="http://queue.amazonaws.com/doc/2012-11-05/">{1}'
       '<ResponseMetadata><RequestId>tx</RequestId></ResponseMetadata></{0}Response>\n')

# (action, result, JSON, what the XML has inside)
ANSWERS = [
    ('ReceiveMessage', {'Messages': []}, '{}', '<ReceiveMessageResult></ReceiveMessageResult>'),
    ('ReceiveMessage', {'Messages': [MESSAGE]},
     '{"Messages": [{"MessageId": "i", "ReceiptHandle": "r", "MD5OfBody": "m", "Body": "\\"<a>&\\r\\n\\u0000", '
     '"Attributes": {"A": "1"}, "MessageAttributes": {"x": {"BinaryValue": "AP8=", "DataType": "Binary"}}}]}',
     '<ReceiveMessageResult><Message><MessageId>i</MessageId><ReceiptHandle>r</ReceiptHandle><MD5OfBody>m</MD5OfBody>'
     '<Body>&quot;&lt;a&gt;&amp;&#xD;\n\ufffd</Body><Attribute><Name>A</Name><Value>1</Value></Attribute>'
     '<MessageAttribute><Name>x</Name><Value><BinaryValue>AP8=</BinaryValue><DataType>Binary</DataType></Value>'
     '</MessageAttribute></Message></ReceiveMessageResult>'),
    ('DeleteQueue', {}, '', ''),
    ('ListQueues', {'QueueUrls': ['a', 'b'], 'NextToken': None}, '{"QueueUrls": ["a", "b"]}',
     '<ListQueuesResult><QueueUrl>a</QueueUrl><QueueUrl>b</QueueUrl></ListQueuesResult>'),
    ('ListDeadLetterSourceQueues', {'queueUrls': ['a'], 'NextToken': 't'}, '{"queueUrls": ["a"], "NextToken": "t"}',
     '<ListDeadLetterSourceQueuesResult><QueueUrl>a</QueueUrl><NextToken>t</NextToken>'
     '</ListDeadLetterSourceQueuesResult>'),
    ('ListQueueTags', {'Tags': {'k': 'v'}}, '{"Tags": {"k": "v"}}',
     '<ListQueueTagsResult><Tag><Key>k</Key><Value>v</Value></Tag></ListQueueTagsResult>'),
    ('DeleteMessageBatch', {'Successful': [{'Id': 'a'}], 'Failed': [
        {'Id': 'b', 'SenderFault': True, 'Code': 'c', 'Message': 'm'}]},
     '{"Successful": [{"Id": "a"}], "Failed": [{"Id": "b", "SenderFault": true, "Code": "c", "Message": "m"}]}',
     '<DeleteMessageBatchResult><DeleteMessageBatchResultEntry><Id>a</Id></DeleteMessageBatchResultEntry>'
     '<BatchResultErrorEntry><Id>b</Id><SenderFault>true</SenderFault><Code>c</Code><Message>m</Message>'
     '</BatchResultErrorEntry></DeleteMessageBatchResult>'),
]


@pytest.mark.parametrize('action, result, document, inside', ANSWERS)
def test_a_result(action, result, document, inside):
    status, headers, body = json_of(action, b'').result(action, ACTIONS[action], result, 'tx')
    assert (status, body.decode()) == (200, document)
    assert headers == {'Content-Type': 'application/x-amz-json-1.0', 'x-amzn-RequestId': 'tx'}
    status, headers, body = query_of('').result(action, ACTIONS[action], result, 'tx')
    assert (status, body.decode()) == (200, XML.format(action, inside))
    assert headers == {'Content-Type': 'text/xml', 'x-amzn-RequestId': 'tx'}


def test_an_error():
    error = SqsError('InvalidBatchEntryId', 'There is no <entry>.')
    status, headers, body = json_of('x', b'').error(error, 'tx')
    assert (status, json.loads(body)) == (400, {'__type': 'com.amazonaws.sqs#InvalidBatchEntryId',
                                                'message': 'There is no <entry>.'})
    assert headers['x-amzn-query-error'] == 'AWS.SimpleQueueService.InvalidBatchEntryId;Sender'
    status, headers, body = query_of('').error(error, 'tx')
    assert (status, body) == (400, (
        b'<?xml version="1.0"?>\n<ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error>'
        b'<Type>Sender</Type><Code>AWS.SimpleQueueService.InvalidBatchEntryId</Code>'
        b'<Message>There is no &lt;entry&gt;.</Message><Detail/></Error><RequestId>tx</RequestId></ErrorResponse>\n'))


def test_a_queue_that_is_none_has_other_words_in_a_query():
    error = translated(errors.QueueNotFound('x'))
    assert json.loads(json_of('x', b'').error(error, 'tx')[2])['message'] == 'The specified queue does not exist.'
    assert b'<Message>The specified queue does not exist for this wsdl version.</Message>' \
        in query_of('').error(error, 'tx')[2]


@pytest.mark.parametrize('text, cleaned', [
    ('\t\n\r az\ud7ff\ue000\ufffd\U00010000\U0010ffff', None), ('\x00\x08\x0b\x0c\x1f', '\ufffd' * 5),
    ('\ud800\udfff\ufffe\uffff', '\ufffd' * 4)])
def test_what_xml_cannot_carry_is_replaced(text, cleaned):
    assert clean(text) == (text if cleaned is None else cleaned)


# -- the tables ------------------------------------------------------------------------------------

# Section 1.3 of Amazon's errors: shape, Query code, status.
REFERENCE = [
    ('QueueDoesNotExist', f'{LEGACY}NonExistentQueue', 400), ('QueueNameExists', 'QueueAlreadyExists', 400),
    *((name, LEGACY + name, 400) for name in (
        'BatchEntryIdsNotDistinct', 'BatchRequestTooLong', 'EmptyBatchRequest', 'InvalidBatchEntryId',
        'TooManyEntriesInBatchRequest', 'UnsupportedOperation')),
    ('PurgeQueueInProgress', f'{LEGACY}PurgeQueueInProgress', 403), ('OverLimit', 'OverLimit', 403),
    *((name, name, 400) for name in (
        'InvalidAttributeName', 'InvalidAttributeValue', 'InvalidMessageContents', 'ReceiptHandleIsInvalid')),
    ('InvalidParameterValueException', 'InvalidParameterValue', 400),
    ('MissingRequiredParameterException', 'MissingParameter', 400), ('AccessDeniedException', 'AccessDenied', 403),
    ('InvalidAddress', 'InvalidAddress', 404),
    *((shape, code, 403) for shape, code in (
        ('MissingAuthenticationTokenException', 'MissingAuthenticationToken'),
        ('UnrecognizedClientException', 'InvalidClientTokenId'),
        ('InvalidSignatureException', 'SignatureDoesNotMatch'))),
]


@pytest.mark.parametrize('shape, code, status', REFERENCE)
def test_the_table_of_errors_is_amazons(shape, code, status):
    found, = {(kind.code, kind.status) for kind in KINDS.values() if kind.shape.partition('#')[2] == shape}
    assert found == (code, status)


def test_every_error_has_a_name_a_code_and_a_blame():
    for kind in KINDS.values():
        assert re.fullmatch(r'com\.amazon(aws\.sqs|\.coral\.service)#[A-Za-z]+', kind.shape)
        assert re.fullmatch(r'[A-Za-z.]+', kind.code)
        assert kind.fault == ('Receiver' if kind.status >= 500 else 'Sender')


@pytest.mark.parametrize('error, code, status', [
    (errors.QueueNotFound('x'), f'{LEGACY}NonExistentQueue', 400), (errors.Forbidden('x'), 'AccessDenied', 403),
    (errors.ReceiptInvalid('x'), 'ReceiptHandleIsInvalid', 400), (errors.Invalid('x'), 'InvalidParameterValue', 400),
    (errors.QuotaExceeded('x'), 'OverLimit', 403), (errors.Unavailable('x'), 'ServiceUnavailable', 503),
    (errors.TooLarge('x'), 'RequestEntityTooLarge', 413), (SlowBody('x'), 'RequestTimeout', 408),
    (KeyError('x'), 'InternalError', 500), (errors.MessageClaimed('x'), 'InternalError', 500)])
def test_errors_of_the_engine_have_amazons_names(error, code, status):
    kind = translated(error).kind
    assert (kind.code, kind.status) == (code, status)


def test_all_23_actions_are_offered():
    assert len(ACTIONS) == 23
    assert set(HANDLERS) == set(ACTIONS)


def shapes(shape):
    yield shape
    if isinstance(shape, Struct):
        for each in shape.members.values():
            yield from shapes(each)
    elif isinstance(shape, (List, Map)):
        yield from shapes(shape.of)


def test_the_table_fits_together():
    for action in ACTIONS.values():
        for shape in [*shapes(action.takes), *shapes(action.gives or Struct({}))]:
            if isinstance(shape, Struct):
                assert set(shape.required) <= set(shape.members)


# -- MD5 -------------------------------------------------------------------------------------------

def string(kind, text):
    return {'DataType': kind, 'StringValue': text}


@pytest.mark.parametrize('given, digest', [  # as Amazon has answered them
    ({'Hello': string('String', 'There')}, 'a311262e065454b75da111d535b8dacd'),
    ({'timestamp': string('Number', '1493147359900')}, '235c5c510d26fb653d073faed50ae77c'),
    ({'timestamp': string('Number', '1493147359901')}, '994258b45346a2cc3f9cbb611aa7af30'),
    ({'timestamp': string('Number.java.lang.Long', '1493147359900')}, '2e2e4876d8e0bd6b8c2c8f556831c349'),
    ({'SOME_Valid.attribute-Name': string('Number', '1493147359900')}, '36655e7e9d7c0e8479fa3f3f42247ae7'),
    ({'AWSTraceHeader': string('String', 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1')},
     '5ae4d5d7636402d80f4eb6d213245a88'),
    ({'sample-attribute': string('String', 'sample-value')}, '7c815262be77a62f56671125069ca888'),
    ({}, None), (None, None)])
def test_the_md5_of_attributes(given, digest):
    assert attributes.digest(given) == digest


def test_the_md5_goes_by_names_and_over_raw_bytes():
    given = {'b': {'DataType': 'Binary.x', 'BinaryValue': b'\x00\xff'}, 'a': string('String', 'ü')}
    expected = md5_of_attributes(given)
    assert attributes.digest(given) == attributes.digest(dict(reversed(given.items()))) == expected


def test_attributes_are_kept_so_that_json_can_carry_them():
    given = {'b': {'DataType': 'Binary', 'BinaryValue': b'\x00\xff'}, 's': string('String', 'x') | {'BinaryValue': b''}}
    kept = json.loads(json.dumps(attributes.kept(given, {})))
    assert attributes.chosen(kept, ['All']) == {'b': given['b'], 's': string('String', 'x')}


# -- the options -----------------------------------------------------------------------------------

def test_options():
    settings = Settings.from_conf({'regions': 'us-east-1, eu-west-1', 'url_scheme': 'https',
                                   'account_ids': 'AUTH_test:000000000001, a:b:123456789012'})
    assert settings == Settings(frozenset({'us-east-1', 'eu-west-1'}),
                                {'AUTH_test': '000000000001', 'a:b': '123456789012'}, 'https')
    assert Settings.from_conf({}) == Settings()


@pytest.mark.parametrize('conf', [
    {'region': 'x'}, {'url_scheme': 'ftp'}, {'regions': 'a b'}, {'account_ids': 'AUTH_test'},
    {'account_ids': 'AUTH_test:1'}, {'account_ids': ':123456789012'}, {'account_ids': 'a:123456789012,b:123456789012'}])
def test_options_that_are_refused(conf):
    with pytest.raises(ValueError, match='swiftqueue: '):
        Settings.from_conf(conf)


def test_account_ids_have_twelve_digits_and_stay_the_same():
    ids = {Settings().account_id(f'AUTH_{number}') for number in range(1000)}
    assert len(ids) == 1000 and all(re.fullmatch('[0-9]{12}', each) for each in ids)
    assert Settings().account_id('AUTH_1') == Settings(regions=frozenset('x')).account_id('AUTH_1')
    assert Settings(account_ids={'AUTH_1': '000000000007'}).account_id('AUTH_1') == '000000000007'
