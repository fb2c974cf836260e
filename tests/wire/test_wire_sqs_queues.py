"""Amazon SQS: queues, their attributes, tags and permissions, in both protocols."""

import json

import pytest
from wire.sqs import ACCOUNT_ID, STRANGER_ID, Service

NO_QUEUE = (400, 'AWS.SimpleQueueService.NonExistentQueue')
BAD_VALUE, BAD_NAME = (400, 'InvalidAttributeValue'), (400, 'InvalidAttributeName')
BAD_PARAMETER, MISSING = (400, 'InvalidParameterValue'), (400, 'MissingParameter')


@pytest.fixture(params=['json', 'query'])
def sqs(request):
    return Service(request.param)


# -- create, find, delete --------------------------------------------------------------------------

def test_a_queue_is_created_found_and_deleted(sqs):
    assert sqs.create('jobs') == f'http://cloud/{ACCOUNT_ID}/jobs'
    assert sqs.call('GetQueueUrl', QueueName='jobs') == {'QueueUrl': sqs.url('jobs')}
    assert sqs.call('GetQueueUrl', QueueName='jobs', QueueOwnerAWSAccountId=ACCOUNT_ID) == {'QueueUrl': sqs.url('jobs')}
    assert sqs.call('DeleteQueue', QueueUrl=sqs.url()) == {}
    sqs.refuses(*NO_QUEUE, 'GetQueueUrl', QueueName='jobs')
    sqs.refuses(*NO_QUEUE, 'DeleteQueue', QueueUrl=sqs.url())


def test_a_new_standard_queue_has_the_attributes_of_amazons(sqs):
    url = sqs.create()
    shown = sqs.attributes(url)
    now = sqs.world.clock()
    assert abs(int(shown.pop('CreatedTimestamp')) - now) < 2
    assert abs(int(shown.pop('LastModifiedTimestamp')) - now) < 2
    assert shown == {
        'ApproximateNumberOfMessages': '0', 'ApproximateNumberOfMessagesDelayed': '0',
        'ApproximateNumberOfMessagesNotVisible': '0', 'DelaySeconds': '0', 'MaximumMessageSize': '1048576',
        'MessageRetentionPeriod': '345600', 'QueueArn': sqs.arn(), 'ReceiveMessageWaitTimeSeconds': '0',
        'SqsManagedSseEnabled': 'false', 'VisibilityTimeout': '30'}


def test_creating_again_is_fine_with_the_same_attributes_or_none(sqs):
    url = sqs.create(VisibilityTimeout=40, DelaySeconds=0)
    assert sqs.create() == url
    assert sqs.create(VisibilityTimeout=40) == url
    assert sqs.create(VisibilityTimeout=40, MessageRetentionPeriod=345600) == url
    sqs.refuses(400, 'QueueAlreadyExists', 'CreateQueue',
                'A queue already exists with the same name and a different value for attribute VisibilityTimeout',
                QueueName='jobs', Attributes={'VisibilityTimeout': '41'})
    assert sqs.attributes(url)['VisibilityTimeout'] == '40'


def test_a_deleted_queue_can_be_created_again_at_once(sqs):
    url = sqs.create()
    sqs.send(url, 'old')
    sqs.call('DeleteQueue', QueueUrl=url)
    sqs.create()
    assert sqs.receive(url) == []


@pytest.mark.parametrize('name', ['a', 'A-b_9', 'x' * 80])
def test_a_name_is_taken(sqs, name):
    sqs.create(name)
    assert sqs.call('ListQueues')['QueueUrls'] == [sqs.url(name)]


@pytest.mark.parametrize('name', ['x' * 81, 'a.b', 'a/b', 'a b', '../a', 'ü', 'a\n', '\x00'])
def test_a_name_is_refused(sqs, name):
    sqs.refuses(*BAD_PARAMETER, 'CreateQueue', 'Can only include alphanumeric', QueueName=name)
    sqs.refuses(*NO_QUEUE, 'GetQueueUrl', QueueName=name)


def test_what_must_be_given(sqs):
    sqs.refuses(*MISSING, 'CreateQueue', 'The request must contain the parameter QueueName.')
    sqs.refuses(*MISSING, 'CreateQueue', QueueName='')
    sqs.refuses(*MISSING, 'GetQueueUrl', 'QueueName')
    for action in ('DeleteQueue', 'GetQueueAttributes', 'PurgeQueue', 'ListQueueTags', 'ReceiveMessage'):
        sqs.refuses(*MISSING, action, 'The request must contain the parameter QueueUrl.')




# -- addresses -------------------------------------------------------------------------------------

@pytest.mark.parametrize('url', ['http://cloud/{id}/jobs', 'https://elsewhere:1234/{id}/jobs', '/{id}/jobs', 'jobs'])
def test_a_queue_is_known_by_its_account_and_name(sqs, url):
    sqs.create()
    sqs.call('SendMessage', QueueUrl=url.format(id=ACCOUNT_ID), MessageBody='x')
    assert sqs.counts(sqs.url()) == (1, 0, 0)


@pytest.mark.parametrize('url', ['http://cloud/jobs', 'http://cloud/123/jobs', 'http://cloud/a/b/c', '/', '//', 'http://',
                                 'http://cloud/{id}/jobs/x', 'http://[', '?', 'ftp://cloud/{id}/jobs', '\x00/'])
def test_an_address_that_is_none_is_refused(sqs, url):
    sqs.create()
    error = None
    try:
        sqs.call('SendMessage', QueueUrl=url.format(id=ACCOUNT_ID), MessageBody='x')
    except Exception as raised:
        error = raised
    assert (error.status, error.code) in ((404, 'InvalidAddress'), NO_QUEUE)
    assert sqs.counts(sqs.url()) == (0, 0, 0)


def test_queues_of_other_accounts_are_out_of_reach(sqs):
    sqs.create()
    stranger = Service(sqs.protocol, sqs.world)
    stranger.client = stranger.client_of(key='other:stranger')
    stranger.create('theirs')
    for name in ('theirs', 'jobs', 'none'):
        url = f'http://cloud/{STRANGER_ID}/{name}'
        sqs.refuses(403, 'AccessDenied', 'SendMessage', QueueUrl=url, MessageBody='x')
    sqs.refuses(403, 'AccessDenied', 'GetQueueUrl', QueueName='theirs', QueueOwnerAWSAccountId=STRANGER_ID)
    stranger.refuses(403, 'AccessDenied', 'DeleteQueue', QueueUrl=sqs.url())
    stranger.refuses(*NO_QUEUE, 'DeleteQueue', QueueUrl='jobs')


# -- attributes ------------------------------------------------------------------------------------

RANGES = {'VisibilityTimeout': (0, 43200), 'DelaySeconds': (0, 900), 'MessageRetentionPeriod': (60, 1209600),
          'MaximumMessageSize': (1024, 1048576), 'ReceiveMessageWaitTimeSeconds': (0, 20)}


@pytest.mark.parametrize('name', RANGES)
def test_a_number_may_be_from_its_least_to_its_most(sqs, name):
    url = sqs.create()
    least, most = RANGES[name]
    for value in (least, most):
        sqs.call('SetQueueAttributes', QueueUrl=url, Attributes={name: str(value)})
        assert sqs.attributes(url, name) == {name: str(value)}
        sqs.create(f'q{value}', **{name: value})
        assert sqs.attributes(sqs.url(f'q{value}'), name) == {name: str(value)}
    for value in (least - 1, most + 1, 'x', '', '1.5', '9' * 30, '٣'):
        sqs.refuses(*BAD_VALUE, 'SetQueueAttributes', f'Invalid value for the parameter {name}.',
                    QueueUrl=url, Attributes={name: str(value)})
        sqs.refuses(*BAD_VALUE, 'CreateQueue', QueueName='bad', Attributes={name: str(value)})
    assert sqs.attributes(url, name) == {name: str(most)}
    sqs.refuses(*NO_QUEUE, 'GetQueueUrl', QueueName='bad')


@pytest.mark.parametrize('name', ['Foobar', '', 'FifoQueue', 'ContentBasedDeduplication', 'QueueArn',
                                  'ApproximateNumberOfMessages', 'All', '_read_acl'])
def test_an_attribute_that_cannot_be_set(sqs, name):
    url = sqs.create()
    sqs.refuses(*BAD_NAME, 'SetQueueAttributes', f'Unknown Attribute {name}.', QueueUrl=url, Attributes={name: 'false'})
    sqs.refuses(*BAD_NAME, 'CreateQueue', QueueName='other', Attributes={name: 'false'})


@pytest.mark.parametrize('name', ['DeduplicationScope', 'FifoThroughputLimit'])
def test_attributes_of_fifo_queues(sqs, name):
    sqs.refuses(*BAD_VALUE, 'CreateQueue', f'You can specify the {name} only when FifoQueue is set to true.',
                QueueName='jobs', Attributes={name: 'queue'})
    assert sqs.attributes(sqs.create(), name) == {}


def test_asking_for_attributes(sqs):
    url = sqs.create()
    assert sqs.call('GetQueueAttributes', QueueUrl=url) == {}
    assert sqs.attributes(url, 'QueueArn', 'DelaySeconds') == {'QueueArn': sqs.arn(), 'DelaySeconds': '0'}
    assert sqs.attributes(url, 'Policy', 'RedrivePolicy', 'FifoQueue', 'KmsMasterKeyId') == {}
    sqs.refuses(*BAD_NAME, 'GetQueueAttributes', 'Unknown Attribute Foobar.', QueueUrl=url,
                AttributeNames=['All', 'Foobar'])
    sqs.refuses(*NO_QUEUE, 'GetQueueAttributes', QueueUrl='none', AttributeNames=['All'])


def test_counts(sqs):
    url = sqs.create()
    sqs.send(url, 'a', 'b', 'c')
    sqs.send(url, 'later', DelaySeconds=60)
    assert sqs.counts(url) == (3, 0, 1)
    sqs.receive(url, 2)
    assert sqs.counts(url) == (1, 2, 1)
    sqs.world.clock.advance(61)
    assert sqs.counts(url) == (4, 0, 0)


def test_setting_changes_nothing_else(sqs):
    url = sqs.create(VisibilityTimeout=40)
    sqs.world.clock.advance(100)
    before = sqs.attributes(url)
    sqs.call('SetQueueAttributes', QueueUrl=url, Attributes={'DelaySeconds': '5', 'ReceiveMessageWaitTimeSeconds': '1'})
    after = sqs.attributes(url)
    assert int(after.pop('LastModifiedTimestamp')) >= int(before.pop('LastModifiedTimestamp')) + 100
    assert after == before | {'DelaySeconds': '5', 'ReceiveMessageWaitTimeSeconds': '1'}
    sqs.refuses(*NO_QUEUE, 'SetQueueAttributes', QueueUrl='none', Attributes={'DelaySeconds': '5'})
    sqs.refuses(*MISSING, 'SetQueueAttributes', 'Attributes', QueueUrl=url)


def test_what_is_beyond_the_operators_limits_is_an_error_of_the_caller(sqs):
    service = Service(sqs.protocol, type(sqs.world)(max_message_ttl=7200, max_claim_ttl=3600))
    url = service.create()
    assert service.attributes(url, 'MessageRetentionPeriod') == {'MessageRetentionPeriod': '7200'}
    service.refuses(*BAD_VALUE, 'SetQueueAttributes', QueueUrl=url, Attributes={'MessageRetentionPeriod': '7201'})
    service.refuses(*BAD_VALUE, 'CreateQueue', QueueName='other', Attributes={'VisibilityTimeout': '3601'})


def test_encryption_is_the_clusters(sqs):
    url = sqs.create(SqsManagedSseEnabled='false', KmsMasterKeyId='')
    assert sqs.attributes(url, 'SqsManagedSseEnabled') == {'SqsManagedSseEnabled': 'false'}
    for bad in ({'SqsManagedSseEnabled': 'true'}, {'SqsManagedSseEnabled': 'yes'}, {'KmsMasterKeyId': 'alias/aws/sqs'},
                {'KmsDataKeyReusePeriodSeconds': '300'}):
        sqs.refuses(*BAD_VALUE, 'SetQueueAttributes', QueueUrl=url, Attributes=bad)


# -- dead letters ----------------------------------------------------------------------------------

def redrive(arn, count=3):
    return {'RedrivePolicy': json.dumps({'deadLetterTargetArn': arn, 'maxReceiveCount': count})}


def test_a_redrive_policy_is_kept_and_removed(sqs):
    sqs.create('dead')
    for number, count in enumerate((3, '1000')):
        url = sqs.create(f'jobs{number}', **redrive(sqs.arn('dead'), count))
        assert json.loads(sqs.attributes(url)['RedrivePolicy']) == {
            'deadLetterTargetArn': sqs.arn('dead'), 'maxReceiveCount': int(count)}
        assert sqs.create(f'jobs{number}', **redrive(sqs.arn('dead'), int(count))) == url
        sqs.call('SetQueueAttributes', QueueUrl=url, Attributes={'RedrivePolicy': ''})
        assert 'RedrivePolicy' not in sqs.attributes(url)


@pytest.mark.parametrize('policy, reason', [
    ('x', 'JSON'), ('[]', 'JSON'), ('7', 'JSON'), ('{"deadLetterTargetArn": NaN}', 'JSON'),
    ('{}', 'mandatory attribute: deadLetterTargetArn'),
    ('{"deadLetterTargetArn": "DEAD"}', 'Redrive policy does not contain mandatory attribute: maxReceiveCount.'),
    ('{"deadLetterTargetArn": "DEAD", "maxReceiveCount": 0}',
     'Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive.'),
    ('{"deadLetterTargetArn": "DEAD", "maxReceiveCount": 1001}', 'maxReceiveCount: 1001'),
    ('{"deadLetterTargetArn": "DEAD", "maxReceiveCount": true}', 'maxReceiveCount'),
    ('{"deadLetterTargetArn": "DEAD", "maxReceiveCount": [1]}', 'maxReceiveCount'),
    ('{"deadLetterTargetArn": 7, "maxReceiveCount": 1}', 'Dead letter target'),
    ('{"deadLetterTargetArn": "DEADx", "maxReceiveCount": 1}', 'Dead letter target does not exist.'),
    ('{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:444455556666:dead", "maxReceiveCount": 1}', 'account'),
    ('{"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:111122223333:dead", "maxReceiveCount": 1}', 'region'),
    ('{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:111122223333:a/b", "maxReceiveCount": 1}', 'not exist'),
])
def test_a_redrive_policy_is_refused(sqs, policy, reason):
    sqs.create('dead')
    policy = policy.replace('DEAD', sqs.arn('dead'))
    sqs.refuses(*BAD_PARAMETER, 'CreateQueue', reason, QueueName='jobs', Attributes={'RedrivePolicy': policy})


def test_a_queue_may_say_whose_dead_letters_it_takes(sqs):
    dead = sqs.create('dead')

    def allow(**policy):
        sqs.call('SetQueueAttributes', QueueUrl=dead, Attributes={'RedriveAllowPolicy': json.dumps(policy)})
        return sqs.attributes(dead).get('RedriveAllowPolicy')
    assert allow(redrivePermission='allowAll') is None
    sqs.create('a', **redrive(sqs.arn('dead')))
    assert json.loads(allow(redrivePermission='denyAll')) == {'redrivePermission': 'denyAll'}
    sqs.refuses(*BAD_PARAMETER, 'CreateQueue', 'does not take', QueueName='b', Attributes=redrive(sqs.arn('dead')))
    by_queue = {'redrivePermission': 'byQueue', 'sourceQueueArns': [sqs.arn('b'), sqs.arn('c')]}
    assert json.loads(allow(**by_queue)) == by_queue
    sqs.create('b', **redrive(sqs.arn('dead')))
    sqs.refuses(*BAD_PARAMETER, 'CreateQueue', 'does not take', QueueName='d', Attributes=redrive(sqs.arn('dead')))
    sqs.call('SetQueueAttributes', QueueUrl=dead, Attributes={'RedriveAllowPolicy': ''})
    sqs.create('d', **redrive(sqs.arn('dead')))


@pytest.mark.parametrize('policy', [
    'x', '[]', '{}', '{"redrivePermission": "some"}', '{"redrivePermission": "byQueue"}',
    '{"redrivePermission": "byQueue", "sourceQueueArns": []}',
    '{"redrivePermission": "byQueue", "sourceQueueArns": "a"}',
    '{"redrivePermission": "byQueue", "sourceQueueArns": [7]}',
    '{"redrivePermission": "denyAll", "sourceQueueArns": []}',
    json.dumps({'redrivePermission': 'byQueue', 'sourceQueueArns': ['arn:aws:sqs:us-east-1:111122223333:q'] * 11})])
def test_a_redrive_allow_policy_is_refused(sqs, policy):
    sqs.refuses(*BAD_PARAMETER, 'CreateQueue', 'RedriveAllowPolicy', QueueName='jobs',
                Attributes={'RedriveAllowPolicy': policy})


def test_who_sends_dead_letters_here(sqs):
    dead = sqs.create('dead')
    assert sqs.call('ListDeadLetterSourceQueues', QueueUrl=dead) == {}
    for name in 'abc':
        sqs.create(name, **redrive(sqs.arn('dead')))
    sqs.create('other')
    urls = [sqs.url(name) for name in 'abc']
    assert sqs.call('ListDeadLetterSourceQueues', QueueUrl=dead) == {'queueUrls': urls}
    page = sqs.call('ListDeadLetterSourceQueues', QueueUrl=dead, MaxResults=2)
    assert page['queueUrls'] == urls[:2]
    assert sqs.call('ListDeadLetterSourceQueues', QueueUrl=dead, MaxResults=2, NextToken=page['NextToken']) == {
        'queueUrls': urls[2:]}
    sqs.refuses(*NO_QUEUE, 'ListDeadLetterSourceQueues', QueueUrl='none')


# -- lists -----------------------------------------------------------------------------------------

def test_queues_are_listed_by_prefix_and_in_pages(sqs):
    assert sqs.call('ListQueues') == {}
    for name in ('a', 'b-1', 'b-2', 'b-3', 'c'):
        sqs.create(name)
    assert sqs.call('ListQueues')['QueueUrls'] == [sqs.url(name) for name in ('a', 'b-1', 'b-2', 'b-3', 'c')]
    assert sqs.call('ListQueues', QueueNamePrefix='b-')['QueueUrls'] == [sqs.url(f'b-{n}') for n in (1, 2, 3)]
    for prefix in ('x', 'b/', 'ü', '\x00', 'x' * 81):
        assert sqs.call('ListQueues', QueueNamePrefix=prefix) == {}
    seen, token = [], {}
    while True:
        page = sqs.call('ListQueues', QueueNamePrefix='b-', MaxResults=1, **token)
        seen += page['QueueUrls']
        if 'NextToken' not in page:
            break
        token = {'NextToken': page['NextToken']}
    assert seen == [sqs.url(f'b-{n}') for n in (1, 2, 3)]
    assert 'NextToken' not in sqs.call('ListQueues', MaxResults=1000)


def test_pages_have_bounds(sqs):
    for value in (0, 1001, -1):
        sqs.refuses(*BAD_PARAMETER, 'ListQueues', f'Value {value} for parameter MaxResults is invalid.',
                    MaxResults=value)
    for token in ('x', '!', 'AA==', 'ü', 'Li4vLi4=='):
        sqs.refuses(*BAD_PARAMETER, 'ListQueues', 'NextToken', NextToken=token)


def test_more_queues_than_a_page_of_messaging_v2(sqs):
    for number in range(30):
        sqs.world.queue(f'q{number:02}').create()
    assert len(sqs.call('ListQueues')['QueueUrls']) == 30


# -- purge -----------------------------------------------------------------------------------------

def test_a_purge_drops_everything_once_a_minute(sqs):
    url = sqs.create()
    sqs.send(url, 'free', 'held')
    sqs.send(url, 'later', DelaySeconds=10)
    sqs.receive(url, 1)
    assert sqs.call('PurgeQueue', QueueUrl=url) == {}
    assert sqs.counts(url) == (0, 0, 0)
    sqs.send(url, 'new')
    sqs.refuses(403, 'AWS.SimpleQueueService.PurgeQueueInProgress', 'PurgeQueue',
                'Only one PurgeQueue operation on jobs is allowed every 60 seconds.', QueueUrl=url)
    assert sqs.counts(url) == (1, 0, 0)
    sqs.world.clock.advance(61)
    sqs.call('PurgeQueue', QueueUrl=url)
    assert sqs.counts(url) == (0, 0, 0)
    sqs.refuses(*NO_QUEUE, 'PurgeQueue', QueueUrl='none')


# -- tags ------------------------------------------------------------------------------------------

def test_tags_are_added_changed_and_removed(sqs):
    url = sqs.call('CreateQueue', QueueName='jobs', tags={'team': 'a', 'empty': ''})['QueueUrl']
    assert sqs.call('ListQueueTags', QueueUrl=url) == {'Tags': {'team': 'a', 'empty': ''}}
    sqs.call('TagQueue', QueueUrl=url, Tags={'team': 'b', 'Über <&>"': 'ß'})
    assert sqs.call('ListQueueTags', QueueUrl=url)['Tags'] == {'team': 'b', 'empty': '', 'Über <&>"': 'ß'}
    sqs.call('UntagQueue', QueueUrl=url, TagKeys=['team', 'empty', 'none'])
    assert sqs.call('ListQueueTags', QueueUrl=url)['Tags'] == {'Über <&>"': 'ß'}
    sqs.call('UntagQueue', QueueUrl=url, TagKeys=['Über <&>"'])
    assert sqs.call('ListQueueTags', QueueUrl=url) == {}


@pytest.mark.parametrize('tags', [{'': 'x'}, {'k' * 129: 'x'}, {'k': 'v' * 257}, {'aws:k': 'x'}, {'\x00': 'x'},
                                  {'k': '\x01'}, {f'k{number}': '' for number in range(51)}])
def test_tags_that_are_refused(sqs, tags):
    url = sqs.create()
    sqs.refuses(*BAD_PARAMETER, 'TagQueue', QueueUrl=url, Tags=tags)
    sqs.refuses(*BAD_PARAMETER, 'CreateQueue', QueueName='other', tags=tags)


def test_there_are_at_most_50_tags(sqs):
    url = sqs.create()
    sqs.call('TagQueue', QueueUrl=url, Tags={f'k{number}': '' for number in range(50)})
    sqs.refuses(*BAD_PARAMETER, 'TagQueue', 'Too many tags added for queue jobs.', QueueUrl=url, Tags={'more': ''})
    sqs.call('TagQueue', QueueUrl=url, Tags={'k1': 'changed'})
    for action, given in (('TagQueue', {'Tags': {'a': 'b'}}), ('UntagQueue', {'TagKeys': ['a']}),
                          ('ListQueueTags', {})):
        sqs.refuses(*NO_QUEUE, action, QueueUrl='none', **given)
    sqs.refuses(*MISSING, 'TagQueue', 'Tags', QueueUrl=url)
    sqs.refuses(*MISSING, 'UntagQueue', 'TagKeys', QueueUrl=url)


# -- permissions and policies ----------------------------------------------------------------------

def permission(label='share', accounts=('123456789012',), actions=('SendMessage',)):
    return {'Label': label, 'AWSAccountIds': list(accounts), 'Actions': list(actions)}


def test_permissions_are_statements_of_the_policy(sqs):
    url = sqs.create()
    sqs.call('AddPermission', QueueUrl=url, **permission())
    sqs.call('AddPermission', QueueUrl=url, **permission('both', ['123456789012', '210987654321'],
                                                         ['SendMessage', 'ReceiveMessage']))
    statements = json.loads(sqs.attributes(url)['Policy'])['Statement']
    assert statements == [
        {'Sid': 'share', 'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::123456789012:root'},
         'Action': 'SQS:SendMessage', 'Resource': sqs.arn()},
        {'Sid': 'both', 'Effect': 'Allow',
         'Principal': {'AWS': ['arn:aws:iam::123456789012:root', 'arn:aws:iam::210987654321:root']},
         'Action': ['SQS:SendMessage', 'SQS:ReceiveMessage'], 'Resource': sqs.arn()}]
    sqs.refuses(*BAD_PARAMETER, 'AddPermission', 'Value share for parameter Label is invalid. Reason: Already exists.',
                QueueUrl=url, **permission())
    sqs.call('RemovePermission', QueueUrl=url, Label='share')
    sqs.refuses(*BAD_PARAMETER, 'RemovePermission',
                "Value share for parameter Label is invalid. Reason: can't find label.", QueueUrl=url, Label='share')
    sqs.call('RemovePermission', QueueUrl=url, Label='both')
    assert 'Policy' not in sqs.attributes(url)


@pytest.mark.parametrize('given, status, code', [
    (permission('a b'), *BAD_PARAMETER), (permission('x' * 81), *BAD_PARAMETER),
    (permission(accounts=['1']), *BAD_PARAMETER), (permission(actions=['Fly']), *BAD_PARAMETER),
    (permission(actions=['SendMessage'] * 8), 403, 'OverLimit'),
    (permission(accounts=[]), *MISSING), (permission(actions=[]), *MISSING), (permission(''), *MISSING)])
def test_permissions_that_are_refused(sqs, given, status, code):
    sqs.refuses(status, code, 'AddPermission', QueueUrl=sqs.create(), **given)


def test_a_policy_is_kept(sqs):
    url = sqs.create()
    policy = {'Version': '2012-10-17', 'Statement': [{'Sid': 'x', 'Effect': 'Allow', 'Principal': '*',
                                                      'Action': 'sqs:*', 'Resource': '*'}]}
    sqs.call('SetQueueAttributes', QueueUrl=url, Attributes={'Policy': json.dumps(policy)})
    assert json.loads(sqs.attributes(url)['Policy']) == policy
    sqs.call('SetQueueAttributes', QueueUrl=url, Attributes={'Policy': ''})
    assert 'Policy' not in sqs.attributes(url)


@pytest.mark.parametrize('policy, status, code', [
    ('x', *BAD_PARAMETER), ('[]', *BAD_PARAMETER), ('{}', *BAD_VALUE), ('{"Statement": 7}', *BAD_VALUE),
    ('{"Statement": [7]}', *BAD_VALUE), (json.dumps({'Statement': [{'Sid': 'x' * 8192}]}), *BAD_VALUE),
    (json.dumps({'Statement': [{}] * 21}), 403, 'OverLimit'), ('{"Statement": [], "x": "\x01"}', *BAD_VALUE)])
def test_a_policy_is_refused(sqs, policy, status, code):
    sqs.refuses(status, code, 'SetQueueAttributes', QueueUrl=sqs.create(), Attributes={'Policy': policy})


def test_a_policy_grants_nothing(sqs):
    url = sqs.create()
    sqs.call('AddPermission', QueueUrl=url, **permission(accounts=[STRANGER_ID], actions=['*']))
    stranger = Service(sqs.protocol, sqs.world)
    stranger.client = stranger.client_of(key='other:stranger')
    stranger.refuses(403, 'AccessDenied', 'SendMessage', QueueUrl=url, MessageBody='x')


# -- what another door has left --------------------------------------------------------------------

def test_a_queue_of_another_door_has_all_attributes(sqs):
    sqs.world.queue('jobs').create({'_default_message_ttl': 600, 'colour': 'red'})
    shown = sqs.attributes(sqs.url())
    assert shown['MessageRetentionPeriod'] == '600'
    assert shown['VisibilityTimeout'] == '300'
    assert shown['MaximumMessageSize'] == '262144'
    sqs.call('SetQueueAttributes', QueueUrl=sqs.url(), Attributes={'VisibilityTimeout': '30'})
    assert sqs.world.queue('jobs').attributes()['colour'] == 'red'


def test_whatever_another_door_wrote_is_no_failure(sqs):
    sqs.world.queue('jobs').create({'_tags': {'\x00': '\ud800'}, '_policy': {'Statement': 7, '\x01': []},
                                    '_dead_letters_from': ['a'], '_max_claim_count': 3})
    url = sqs.url()
    assert len(sqs.call('ListQueueTags', QueueUrl=url)['Tags']) == 1
    assert sqs.attributes(url)['Policy']
    sqs.call('AddPermission', QueueUrl=url, **permission())
    assert [each['Sid'] for each in json.loads(sqs.attributes(url)['Policy'])['Statement']] == ['share']


def test_names_that_amazon_does_not_know_are_listed_and_can_be_used(sqs):
    sqs.world.queue('a.b').create()
    sqs.world.queue('a.fifo').create()
    assert sqs.call('ListQueues')['QueueUrls'] == [sqs.url('a.b'), sqs.url('a.fifo')]
    sqs.send(sqs.url('a.b'), 'x')
