"""Amazon SQS: messages and batches, in both protocols."""

import hashlib
import json

import pytest
from wire.sqs import Service

from swiftqueue.model import NewMessage

NO_QUEUE = (400, 'AWS.SimpleQueueService.NonExistentQueue')
BAD_PARAMETER, MISSING = (400, 'InvalidParameterValue'), (400, 'MissingParameter')
BAD_CONTENTS, BAD_HANDLE = (400, 'InvalidMessageContents'), (400, 'ReceiptHandleIsInvalid')
LEGACY = 'AWS.SimpleQueueService.'

THERE = {'Hello': {'DataType': 'String', 'StringValue': 'There'}}
BODIES = ['x', ' ', '\r', '\n\t\r\n', '"<&>\'', 'ünïcödé \U0001f600', '\ud7ff\ue000\ufffd\U0010ffff', '; mq=x', ']]>',
          '&#13;', 'y' * 5000]


@pytest.fixture(params=['json', 'query'])
def sqs(request):
    return Service(request.param)


@pytest.fixture
def url(sqs):
    return sqs.create()


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def bodies(messages):
    return [message['Body'] for message in messages]


# -- send and receive ------------------------------------------------------------------------------

def test_the_life_of_a_message(sqs, url):
    sent = sqs.call('SendMessage', QueueUrl=url, MessageBody='hello')
    assert sent == {'MessageId': sent['MessageId'], 'MD5OfMessageBody': md5('hello')}
    message, = sqs.receive(url)
    assert message == {'MessageId': sent['MessageId'], 'ReceiptHandle': message['ReceiptHandle'], 'Body': 'hello',
                       'MD5OfBody': md5('hello')}
    assert sqs.receive(url) == []
    assert sqs.call('DeleteMessage', QueueUrl=url, ReceiptHandle=message['ReceiptHandle']) == {}
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.parametrize('body', BODIES)
def test_a_body_arrives_as_it_was_sent(sqs, url, body):
    sent = sqs.call('SendMessage', QueueUrl=url, MessageBody=body)
    message, = sqs.receive(url)
    assert message['Body'] == body
    assert message['MD5OfBody'] == sent['MD5OfMessageBody'] == md5(body)


@pytest.mark.parametrize('body', ['\x00', 'a\x08', '\x0b', '\x1f', '\ufffe', '\uffff'])
def test_a_body_that_xml_cannot_carry_is_refused(sqs, url, body):
    sqs.refuses(*BAD_CONTENTS, 'SendMessage', '#x9 | #xA | #xD', QueueUrl=url, MessageBody=body)
    assert sqs.counts(url) == (0, 0, 0)


def test_half_a_surrogate_is_refused():
    sqs = Service('json')
    sqs.refuses(*BAD_CONTENTS, 'SendMessage', QueueUrl=sqs.create(), MessageBody='\ud800')


def test_what_must_be_given(sqs, url):
    sqs.refuses(*MISSING, 'SendMessage', 'The request must contain the parameter MessageBody.', QueueUrl=url)
    sqs.refuses(*MISSING, 'SendMessage', 'MessageBody', QueueUrl=url, MessageBody='')
    sqs.refuses(*MISSING, 'DeleteMessage', 'ReceiptHandle', QueueUrl=url)
    sqs.refuses(*MISSING, 'ChangeMessageVisibility', 'ReceiptHandle', QueueUrl=url, VisibilityTimeout=1)
    sqs.refuses(*MISSING, 'ChangeMessageVisibility', 'VisibilityTimeout', QueueUrl=url, ReceiptHandle='x')


def test_without_a_queue_there_is_no_message(sqs):
    for action, given in (('SendMessage', {'MessageBody': 'x'}), ('ReceiveMessage', {}),
                          ('DeleteMessage', {'ReceiptHandle': 'x'}),
                          ('ChangeMessageVisibility', {'ReceiptHandle': 'x', 'VisibilityTimeout': 1}),
                          ('SendMessageBatch', {'Entries': [{'Id': 'a', 'MessageBody': 'x'}]}),
                          ('DeleteMessageBatch', {'Entries': [{'Id': 'a', 'ReceiptHandle': 'x'}]})):
        sqs.refuses(*NO_QUEUE, action, 'The specified queue does not exist', QueueUrl=sqs.url('none'), **given)


@pytest.mark.parametrize('size', [1024, 1048576])
def test_a_message_may_be_as_large_as_its_queue_says(sqs, size):
    url = sqs.create(MaximumMessageSize=size)
    counted = len('Hello' + 'String' + 'There')
    sqs.send(url, 'x' * size)
    sqs.send(url, 'x' * (size - counted), MessageAttributes=THERE)
    text = f'One or more parameters are invalid. Reason: Message must be shorter than {size} bytes.'
    sqs.refuses(*BAD_PARAMETER, 'SendMessage', text, QueueUrl=url, MessageBody='x' * (size + 1))
    sqs.refuses(*BAD_PARAMETER, 'SendMessage', text, QueueUrl=url, MessageBody='ü' * (size // 2 + 1))
    sqs.refuses(*BAD_PARAMETER, 'SendMessage', text, QueueUrl=url, MessageBody='x' * (size - counted + 1),
                MessageAttributes=THERE)
    assert sqs.counts(url) == (2, 0, 0)


def test_a_request_that_is_larger_than_any_message_is_not_read(sqs, url):
    sqs.refuses(413, 'RequestEntityTooLarge', 'SendMessage', QueueUrl=url, MessageBody='x' * (4 * 2 ** 20))


def test_delays(sqs):
    url = sqs.create(DelaySeconds=30, VisibilityTimeout=100)
    sqs.send(url, 'by the queue')
    sqs.send(url, 'at once', DelaySeconds=0)
    sqs.send(url, 'long', DelaySeconds=900)
    assert bodies(sqs.receive(url)) == ['at once']
    sqs.world.clock.advance(31)
    assert bodies(sqs.receive(url)) == ['by the queue']
    for value in (-1, 901):
        sqs.refuses(*BAD_PARAMETER, 'SendMessage', f'Value {value} for parameter DelaySeconds is invalid. Reason: '
                                                   'DelaySeconds must be >= 0 and <= 900.',
                    QueueUrl=url, MessageBody='x', DelaySeconds=value)


def test_retention(sqs):
    url = sqs.create(MessageRetentionPeriod=60)
    sqs.send(url, 'short')
    sqs.call('SetQueueAttributes', QueueUrl=url, Attributes={'MessageRetentionPeriod': '600'})
    sqs.send(url, 'long')
    sqs.world.clock.advance(61)
    assert bodies(sqs.receive(url)) == ['long']


def test_a_deduplication_id_is_for_fifo_queues(sqs, url):
    sqs.refuses(*BAD_PARAMETER, 'SendMessage', 'not valid for this queue type', QueueUrl=url, MessageBody='x',
                MessageDeduplicationId='d')


@pytest.mark.parametrize('group', ['', 'a b', 'ü', 'x' * 129, '\x00'])
def test_a_group_that_is_refused(sqs, url, group):
    sqs.refuses(*BAD_PARAMETER, 'SendMessage', 'MessageGroupId', QueueUrl=url, MessageBody='x', MessageGroupId=group)


# -- attributes of messages ------------------------------------------------------------------------

ATTRIBUTES = {
    'text': {'DataType': 'String', 'StringValue': 'ü "<&>"\r\n'},
    'number.of-things_': {'DataType': 'Number.float', 'StringValue': '-1.5e3'},
    'data': {'DataType': 'Binary.png', 'BinaryValue': 'AP8='},
    'x' * 256: {'DataType': 'String', 'StringValue': 'x'},
}


def test_attributes_arrive_as_they_were_sent(sqs, url):
    sent = sqs.call('SendMessage', QueueUrl=url, MessageBody='x', MessageAttributes=ATTRIBUTES)
    message, = sqs.receive(url, MessageAttributeNames=['All'], VisibilityTimeout=0)
    assert message['MessageAttributes'] == ATTRIBUTES
    assert message['MD5OfMessageAttributes'] == sent['MD5OfMessageAttributes']


@pytest.mark.parametrize('names, found', [
    (['All'], {'a', 'b', 'bar.one', 'bar.two'}), (['.*'], {'a', 'b', 'bar.one', 'bar.two'}),
    (['*'], {'a', 'b', 'bar.one', 'bar.two'}), (['bar.*'], {'bar.one', 'bar.two'}), (['a', 'none'], {'a'}),
    (['a', 'bar.*'], {'a', 'bar.one', 'bar.two'}), (['none'], set()), ([], set())])
def test_attributes_are_chosen_by_name(sqs, url, names, found):
    given = {name: {'DataType': 'String', 'StringValue': name} for name in ('a', 'b', 'bar.one', 'bar.two')}
    sqs.send(url, 'x', MessageAttributes=given)
    message, = sqs.receive(url, MessageAttributeNames=names)
    assert message.get('MessageAttributes', {}) == {name: given[name] for name in found}
    assert ('MD5OfMessageAttributes' in message) == bool(found)


def test_the_md5_is_of_the_attributes_that_were_asked_for(sqs, url):
    sqs.send(url, 'x', MessageAttributes=THERE | ATTRIBUTES)
    message, = sqs.receive(url, MessageAttributeNames=['Hello'])
    assert message['MD5OfMessageAttributes'] == 'a311262e065454b75da111d535b8dacd'


def attribute(**value):
    return {'a': value}


@pytest.mark.parametrize('attributes', [
    {f'a{number}': {'DataType': 'String', 'StringValue': 'x'} for number in range(11)},
    *({name: {'DataType': 'String', 'StringValue': 'x'}} for name in (
        'x' * 257, 'a b', 'ü', 'AWS.a', 'aws.a', 'Amazon.a', '.a', 'a.', 'a..b', 'a/b')),
    attribute(DataType='Integer', StringValue='1'), attribute(DataType='string', StringValue='x'),
    attribute(DataType='String'), attribute(DataType='String', StringValue=''), attribute(StringValue='x'),
    attribute(DataType='String', BinaryValue='AA=='), attribute(DataType='Binary', StringValue='x'),
    attribute(DataType='Binary', BinaryValue=''), attribute(DataType='Binary', BinaryValue='!'),
    attribute(DataType='String', StringValue='x', BinaryValue='AA=='), attribute(DataType='Number', StringValue='x'),
    attribute(DataType='Number', StringValue='1e'), attribute(DataType='String.' + 'x' * 256, StringValue='x')])
def test_attributes_that_are_refused(sqs, url, attributes):
    sqs.refuses(*BAD_PARAMETER, 'SendMessage', QueueUrl=url, MessageBody='x', MessageAttributes=attributes)


def test_attributes_that_xml_cannot_carry_are_refused(sqs, url):
    sqs.refuses(*BAD_CONTENTS, 'SendMessage', QueueUrl=url, MessageBody='x',
                MessageAttributes=attribute(DataType='String', StringValue='\x01'))


def test_lists_as_attributes_are_not_offered():
    sqs = Service('json')
    sqs.refuses(400, f'{LEGACY}UnsupportedOperation', 'SendMessage', QueueUrl=sqs.create(), MessageBody='x',
                MessageAttributes=attribute(DataType='String', StringListValues=['x']))


def test_system_attributes(sqs, url):
    trace = {'AWSTraceHeader': {'DataType': 'String', 'StringValue': 'Root=1-5759e988-bd862e3fe1be46a994272793'}}
    sent = sqs.call('SendMessage', QueueUrl=url, MessageBody='x', MessageSystemAttributes=trace, MessageGroupId='g!1')
    assert len(sent['MD5OfMessageSystemAttributes']) == 32 and 'MD5OfMessageAttributes' not in sent
    sent_at = sqs.world.clock() * 1000
    sqs.world.clock.advance(5)
    message, = sqs.receive(url, AttributeNames=['All'], VisibilityTimeout=0)
    first_at = sqs.world.clock() * 1000
    shown = message['Attributes']
    assert int(shown['SentTimestamp']) == pytest.approx(sent_at, abs=10)
    assert int(shown['ApproximateFirstReceiveTimestamp']) == pytest.approx(first_at, abs=10)
    assert {name: shown[name] for name in shown if 'Timestamp' not in name} == {
        'SenderId': 'test:tester', 'ApproximateReceiveCount': '1', 'MessageGroupId': 'g!1',
        'AWSTraceHeader': trace['AWSTraceHeader']['StringValue']}
    sqs.world.clock.advance(5)
    again, = sqs.receive(url, MessageSystemAttributeNames=['ApproximateReceiveCount', 'SentTimestamp'],
                         AttributeNames=['ApproximateFirstReceiveTimestamp', 'SequenceNumber'])
    assert again['Attributes'] == {'ApproximateReceiveCount': '2', 'SentTimestamp': shown['SentTimestamp'],
                                   'ApproximateFirstReceiveTimestamp': shown['ApproximateFirstReceiveTimestamp']}


@pytest.mark.parametrize('attributes', [
    {'Other': {'DataType': 'String', 'StringValue': 'x'}},
    {'AWSTraceHeader': {'DataType': 'Number', 'StringValue': '1'}},
    {'AWSTraceHeader': {'DataType': 'String', 'StringValue': ''}}])
def test_system_attributes_that_are_refused(sqs, url, attributes):
    sqs.refuses(*BAD_PARAMETER, 'SendMessage', QueueUrl=url, MessageBody='x', MessageSystemAttributes=attributes)


# -- receive ---------------------------------------------------------------------------------------

@pytest.mark.parametrize('given, text', [
    ({'MaxNumberOfMessages': 0}, 'Value 0 for parameter MaxNumberOfMessages is invalid. Reason: Must be between'),
    ({'MaxNumberOfMessages': 11}, 'Value 11 for parameter MaxNumberOfMessages is invalid.'),
    ({'VisibilityTimeout': -1}, 'Value -1 for parameter VisibilityTimeout is invalid.'),
    ({'VisibilityTimeout': 43201}, 'Value 43201'), ({'WaitTimeSeconds': 21}, 'Value 21 for parameter WaitTimeSeconds'),
    ({'WaitTimeSeconds': -1}, 'Value -1')])
def test_what_can_be_asked_of_a_receive(sqs, url, given, text):
    sqs.refuses(*BAD_PARAMETER, 'ReceiveMessage', text, QueueUrl=url, **given)


@pytest.mark.parametrize('name', ['Foobar', 'QueueArn', ''])
@pytest.mark.parametrize('which', ['AttributeNames', 'MessageSystemAttributeNames'])
def test_an_attribute_that_no_message_has(sqs, url, which, name):
    sqs.refuses(400, 'InvalidAttributeName', 'ReceiveMessage', f'Unknown Attribute {name}.', QueueUrl=url,
                **{which: ['All', name]})


def test_one_message_unless_asked_for_more(sqs, url):
    sqs.send(url, *'abcdefghijkl')
    assert bodies(sqs.call('ReceiveMessage', QueueUrl=url)['Messages']) == ['a']
    assert bodies(sqs.receive(url, 10)) == list('bcdefghijk')
    assert sqs.counts(url) == (1, 11, 0)


def test_the_attempt_id_of_fifo_queues_changes_nothing(sqs, url):
    sqs.send(url, 'x')
    assert bodies(sqs.receive(url, ReceiveRequestAttemptId='again')) == ['x']
    assert sqs.receive(url, ReceiveRequestAttemptId='again') == []


def test_the_visibility_is_the_queues_or_the_requests(sqs):
    url = sqs.create(VisibilityTimeout=10)
    sqs.send(url, 'x')
    for seconds, given in ((10, {}), (40, {'VisibilityTimeout': 40}), (10, {})):
        assert bodies(sqs.receive(url, **given)) == ['x']
        sqs.world.clock.advance(seconds - 0.5)
        assert sqs.receive(url) == []
        sqs.world.clock.advance(1)
    assert bodies(sqs.receive(url, VisibilityTimeout=0)) == ['x']
    assert bodies(sqs.receive(url, VisibilityTimeout=0)) == ['x']


def test_dead_letters(sqs):
    dead = sqs.create('dead')
    url = sqs.create(VisibilityTimeout=0, RedrivePolicy=json.dumps(
        {'deadLetterTargetArn': sqs.arn('dead'), 'maxReceiveCount': 2}))
    sent, = sqs.send(url, 'poison', MessageAttributes=THERE)
    for count in ('1', '2'):
        message, = sqs.receive(url, AttributeNames=['All'])
        assert message['Attributes']['ApproximateReceiveCount'] == count
        assert 'DeadLetterQueueSourceArn' not in message['Attributes']
    assert sqs.receive(url) == []
    buried, = sqs.receive(dead, AttributeNames=['All'], MessageAttributeNames=['All'])
    assert (buried['MessageId'], buried['Body'], buried['MessageAttributes']) == (sent, 'poison', THERE)
    assert buried['Attributes']['ApproximateReceiveCount'] == '3'
    assert buried['Attributes']['DeadLetterQueueSourceArn'] == sqs.arn()
    assert buried['Attributes']['SentTimestamp'] == message['Attributes']['SentTimestamp']
    sqs.call('DeleteMessage', QueueUrl=dead, ReceiptHandle=buried['ReceiptHandle'])
    assert sqs.counts(dead) == sqs.counts(url) == (0, 0, 0)


# -- delete, and change visibility -----------------------------------------------------------------

def test_deleting_again_is_fine(sqs, url):
    sqs.send(url, 'x')
    message, = sqs.receive(url)
    for _ in range(2):
        assert sqs.call('DeleteMessage', QueueUrl=url, ReceiptHandle=message['ReceiptHandle']) == {}


def test_an_old_handle_deletes_unless_the_message_was_received_again(sqs, url):
    sqs.send(url, 'a', 'b')
    old = sqs.receive(url)
    sqs.world.clock.advance(31)
    new, = sqs.receive(url, 1)
    for message in old:
        assert sqs.call('DeleteMessage', QueueUrl=url, ReceiptHandle=message['ReceiptHandle']) == {}
    assert sqs.counts(url) == (0, 1, 0)
    sqs.call('DeleteMessage', QueueUrl=url, ReceiptHandle=new['ReceiptHandle'])
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.parametrize('handle', ['garbage', 'ü', '<&"', '\x00', 'x' * 5000, 'AAAA'])
def test_a_handle_that_is_none_is_refused(sqs, url, handle):
    text = 'is not a valid receipt handle.'
    sqs.refuses(*BAD_HANDLE, 'DeleteMessage', text, QueueUrl=url, ReceiptHandle=handle)
    sqs.refuses(*BAD_HANDLE, 'ChangeMessageVisibility', text, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=1)


def test_the_handle_of_another_queue_is_refused(sqs, url):
    other = sqs.create('other')
    sqs.send(url, 'x')
    message, = sqs.receive(url)
    sqs.refuses(*BAD_HANDLE, 'DeleteMessage', QueueUrl=other, ReceiptHandle=message['ReceiptHandle'])
    assert sqs.counts(url) == (0, 1, 0)


def test_the_visibility_of_a_message_is_changed(sqs, url):
    sqs.send(url, 'longer', 'now')
    longer, now = (message['ReceiptHandle'] for message in sqs.receive(url))
    assert sqs.call('ChangeMessageVisibility', QueueUrl=url, ReceiptHandle=longer, VisibilityTimeout=100) == {}
    sqs.call('ChangeMessageVisibility', QueueUrl=url, ReceiptHandle=now, VisibilityTimeout=0)
    assert bodies(sqs.receive(url, VisibilityTimeout=1000)) == ['now']
    sqs.world.clock.advance(99)
    assert sqs.receive(url) == []
    sqs.world.clock.advance(1.1)
    assert bodies(sqs.receive(url)) == ['longer']
    for value in (-1, 43201):
        sqs.refuses(*BAD_PARAMETER, 'ChangeMessageVisibility', f'Value {value} for parameter VisibilityTimeout',
                    QueueUrl=url, ReceiptHandle=longer, VisibilityTimeout=value)


def test_changing_what_is_over_does_nothing_and_what_is_deleted_is_an_error(sqs, url):
    sqs.send(url, 'x')
    message, = sqs.receive(url)
    sqs.world.clock.advance(31)
    change = {'QueueUrl': url, 'ReceiptHandle': message['ReceiptHandle'], 'VisibilityTimeout': 100}
    assert sqs.call('ChangeMessageVisibility', **change) == {}
    again, = sqs.receive(url)
    sqs.call('DeleteMessage', QueueUrl=url, ReceiptHandle=again['ReceiptHandle'])
    sqs.refuses(*BAD_PARAMETER, 'ChangeMessageVisibility',
                'Message does not exist or is not available for visibility timeout change.', **change)


# -- batches ---------------------------------------------------------------------------------------

def entries(*bodies, **fields):
    return [{'Id': f'e{number}', 'MessageBody': body, **fields} for number, body in enumerate(bodies)]


def test_a_batch_is_sent_changed_and_deleted(sqs, url):
    sent = sqs.call('SendMessageBatch', QueueUrl=url, Entries=[
        {'Id': 'a', 'MessageBody': 'A', 'MessageAttributes': THERE},
        {'Id': 'b_-9', 'MessageBody': 'B', 'DelaySeconds': 60}])
    a, b = sent['Successful']
    assert a == {'Id': 'a', 'MessageId': a['MessageId'], 'MD5OfMessageBody': md5('A'),
                 'MD5OfMessageAttributes': 'a311262e065454b75da111d535b8dacd'}
    assert b == {'Id': 'b_-9', 'MessageId': b['MessageId'], 'MD5OfMessageBody': md5('B')}
    assert 'Failed' not in sent and sqs.counts(url) == (1, 0, 1)
    sqs.world.clock.advance(61)
    handles = [message['ReceiptHandle'] for message in sqs.receive(url)]
    changed = sqs.call('ChangeMessageVisibilityBatch', QueueUrl=url, Entries=[
        {'Id': 'x', 'ReceiptHandle': handles[0], 'VisibilityTimeout': 0},
        {'Id': 'y', 'ReceiptHandle': handles[1], 'VisibilityTimeout': 100},
        {'Id': 'z', 'ReceiptHandle': 'garbage', 'VisibilityTimeout': 1},
        {'Id': 'v', 'ReceiptHandle': handles[1], 'VisibilityTimeout': 43201}])
    assert changed['Successful'] == [{'Id': 'x'}, {'Id': 'y'}]
    assert [(each['Id'], each['Code'], each['SenderFault']) for each in changed['Failed']] == [
        ('z', 'ReceiptHandleIsInvalid', True), ('v', 'InvalidParameterValue', True)]
    assert sqs.counts(url) == (1, 1, 0)
    deleted = sqs.call('DeleteMessageBatch', QueueUrl=url, Entries=[
        {'Id': 'x', 'ReceiptHandle': handles[0]}, {'Id': 'y', 'ReceiptHandle': handles[1]},
        {'Id': 'z', 'ReceiptHandle': 'garbage'}])
    assert deleted['Successful'] == [{'Id': 'x'}, {'Id': 'y'}]
    assert [(each['Id'], each['Code']) for each in deleted['Failed']] == [('z', 'ReceiptHandleIsInvalid')]
    assert sqs.counts(url) == (0, 0, 0)


def test_one_bad_entry_fails_alone(sqs):
    url = sqs.create(MaximumMessageSize=1024)
    sent = sqs.call('SendMessageBatch', QueueUrl=url, Entries=[
        {'Id': 'good', 'MessageBody': 'x'}, {'Id': 'large', 'MessageBody': 'x' * 1025},
        {'Id': 'chars', 'MessageBody': '\x01'}, {'Id': 'delay', 'MessageBody': 'x', 'DelaySeconds': 901},
        {'Id': 'attribute', 'MessageBody': 'x', 'MessageAttributes': {'a b': THERE['Hello']}},
        {'Id': 'also', 'MessageBody': 'y' * 1024}])
    assert [each['Id'] for each in sent['Successful']] == ['good', 'also']
    assert [(each['Id'], each['Code'], each['SenderFault']) for each in sent['Failed']] == [
        ('large', 'InvalidParameterValue', True), ('chars', 'InvalidMessageContents', True),
        ('delay', 'InvalidParameterValue', True), ('attribute', 'InvalidParameterValue', True)]
    assert sent['Failed'][0]['Message'] == ('One or more parameters cannot be validated. Reason: Message must be '
                                            'shorter than 1024 bytes.')
    assert sorted(bodies(sqs.receive(url))) == ['x', 'y' * 1024]


def test_a_failure_of_the_cluster_is_told_per_entry(sqs, url):
    sqs.world.swift.fail(('PUT', '\x00messages\x00'), times=3)  # as often as a PUT is tried
    sent = sqs.call('SendMessageBatch', QueueUrl=url, Entries=entries('a'))
    failed, = sent['Failed']
    assert (failed['Id'], failed['Code'], failed['SenderFault']) == ('e0', 'ServiceUnavailable', False)
    assert 'Successful' not in sent
    sqs.world.swift.fail(('PUT', '\x00messages\x00'), times=3)
    sqs.refuses(503, 'ServiceUnavailable', 'SendMessage', QueueUrl=url, MessageBody='x')


WHOLE = [
    ('EmptyBatchRequest', 'There should be at least one', []),
    ('TooManyEntriesInBatchRequest', 'Maximum number of entries per request are 10. You have sent 11.',
     entries(*'abcdefghijk')),
    ('BatchEntryIdsNotDistinct', 'Id a repeated.', [{'Id': 'a', 'MessageBody': 'x'}] * 2),
    ('InvalidBatchEntryId', 'A batch entry id can only contain', [{'Id': 'a b', 'MessageBody': 'x'}]),
    ('InvalidBatchEntryId', 'A batch entry id', [{'Id': 'x' * 81, 'MessageBody': 'x'}]),
    ('BatchRequestTooLong', 'Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.',
     entries('x' * 1048576, 'y')),
]


@pytest.mark.parametrize('code, text, given', WHOLE, ids=[code for code, _, _ in WHOLE])
def test_what_makes_a_whole_batch_fail(sqs, url, code, text, given):
    sqs.refuses(400, LEGACY + code, 'SendMessageBatch', text, QueueUrl=url, Entries=given)
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.parametrize('action', ['DeleteMessageBatch', 'ChangeMessageVisibilityBatch'])
def test_what_makes_other_batches_fail(sqs, url, action):
    entry = {'ReceiptHandle': 'x', 'VisibilityTimeout': 1}
    for code, ids in (('EmptyBatchRequest', []), ('BatchEntryIdsNotDistinct', ['a', 'a']),
                      ('InvalidBatchEntryId', ['!']), ('TooManyEntriesInBatchRequest', list('abcdefghijk'))):
        sqs.refuses(400, LEGACY + code, action, QueueUrl=url, Entries=[{'Id': each, **entry} for each in ids])
    sqs.refuses(*MISSING, action, QueueUrl=url, Entries=[{'Id': 'a'}])
    sqs.refuses(*MISSING, action, QueueUrl=url, Entries=[{'ReceiptHandle': 'x'}])


def test_batches_may_have_ten_entries(sqs, url):
    assert len(sqs.call('SendMessageBatch', QueueUrl=url, Entries=entries(*'abcdefghij'))['Successful']) == 10


# -- one engine ------------------------------------------------------------------------------------

def test_what_amazon_sends_messaging_v2_claims(sqs, url):
    sent, = sqs.send(url, 'hello', MessageAttributes=THERE)
    claim = sqs.world.queue().claims.create(1)
    message, = claim.messages
    assert (message.id, message.body, message.client_id) == (sent, 'hello', 'test:tester')
    assert sqs.counts(url) == (0, 1, 0)
    sqs.world.queue().claims.ack(message.id, claim.id)
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.parametrize('body, text', [
    ('text', 'text'), ('', ''), ({'job': 1, 'ü': [None, True]}, '{"job":1,"\\u00fc":[null,true]}'), (7, '7'),
    (None, 'null'), ('a\x00b\ud800c', 'a\ufffdb\ufffdc')])
def test_what_messaging_v2_posts_amazon_receives(sqs, url, body, text):
    sqs.world.queue().messages.post([NewMessage(body)], 'a poster')
    message, = sqs.receive(url, AttributeNames=['SenderId'], MessageAttributeNames=['All'])
    assert (message['Body'], message['MD5OfBody'], message['Attributes']) == (text, md5(text), {'SenderId': 'a poster'})
    sqs.call('DeleteMessage', QueueUrl=url, ReceiptHandle=message['ReceiptHandle'])
    assert sqs.counts(url) == (0, 0, 0)
