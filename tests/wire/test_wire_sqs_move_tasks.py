"""Amazon SQS: move tasks, in both protocols."""

import base64
import json

import eventlet
import pytest
from wire.sqs import STRANGER_ID, Service

BAD_PARAMETER, MISSING = (400, 'InvalidParameterValue'), (400, 'MissingParameter')
NOT_FOUND = (404, 'ResourceNotFoundException')
ONE_ACTIVE = ('There is already a task running. Only one active task is allowed for a source queue arn at a given '
              'time.')


class Mover(Service):
    """A service with the queue ``jobs``, whose dead letters go to ``dead``."""

    def __init__(self, protocol: str):
        super().__init__(protocol)
        self.create('dead')
        self.feed('jobs')

    def feed(self, name):
        """Make it a queue whose messages are dead letters after one delivery."""
        policy = json.dumps({'deadLetterTargetArn': self.arn('dead'), 'maxReceiveCount': 1})
        self.create(name, RedrivePolicy=policy, VisibilityTimeout=0)

    def kill(self, name, *bodies):
        """Have dead letters of that queue."""
        self.send(self.url(name), *bodies)
        for _ in range(2):
            self.receive(self.url(name))
            self.world.clock.advance(2)

    def start(self, **given):
        return self.call('StartMessageMoveTask', **{'SourceArn': self.arn('dead')} | given)['TaskHandle']

    def tasks(self, **given):
        found = self.call('ListMessageMoveTasks', **{'SourceArn': self.arn('dead')} | given).get('Results', [])
        return [{name: int(value) if str(value).isdigit() else value for name, value in task.items()} for task in found]

    def work(self):
        """Until no task is at work."""
        while any(engine.movers for engine in self.world.engines):
            eventlet.sleep(0)

    def bodies(self, name):
        self.world.clock.advance(2)
        return sorted(message['Body'] for message in self.receive(self.url(name), VisibilityTimeout=30))


@pytest.fixture(params=['json', 'query'])
def sqs(request):
    return Mover(request.param)


def test_dead_letters_go_back_to_where_they_came_from(sqs):
    sqs.feed('other')
    sqs.kill('jobs', 'a', 'b')
    sqs.kill('other', 'c')
    assert sqs.counts(sqs.url('dead')) == (3, 0, 0)
    handle = sqs.start()
    assert json.loads(base64.b64decode(handle))['sourceArn'] == sqs.arn('dead')
    task, = sqs.tasks()
    assert abs(task.pop('StartedTimestamp') / 1000 - sqs.world.clock()) < 2
    assert task == {'TaskHandle': handle, 'Status': 'RUNNING', 'SourceArn': sqs.arn('dead'),
                    'ApproximateNumberOfMessagesMoved': 0, 'ApproximateNumberOfMessagesToMove': 3}
    sqs.work()
    task, = sqs.tasks()
    del task['StartedTimestamp']
    assert task == {'Status': 'COMPLETED', 'SourceArn': sqs.arn('dead'), 'ApproximateNumberOfMessagesMoved': 3,
                    'ApproximateNumberOfMessagesToMove': 3}
    assert (sqs.bodies('jobs'), sqs.bodies('other'), sqs.bodies('dead')) == (['a', 'b'], ['c'], [])


def test_they_go_where_they_are_sent(sqs):
    sqs.create('third')
    sqs.kill('jobs', 'a')
    sqs.send(sqs.url('dead'), 'direct')
    sqs.world.clock.advance(1)
    sqs.start(DestinationArn=sqs.arn('third'), MaxNumberOfMessagesPerSecond=5)
    task, = sqs.tasks()
    assert (task['DestinationArn'], task['MaxNumberOfMessagesPerSecond']) == (sqs.arn('third'), 5)
    sqs.work()
    assert sqs.bodies('third') == ['a', 'direct']
    assert sqs.bodies('jobs') == sqs.bodies('dead') == []


def test_what_is_moved_begins_anew(sqs):
    sent = sqs.send(sqs.url('jobs'), 'a', MessageAttributes={'colour': {'DataType': 'String', 'StringValue': 'red'}})
    sqs.kill('jobs')
    sqs.world.clock.advance(1000)
    sqs.start()
    sqs.work()
    sqs.world.clock.advance(2)
    message, = sqs.receive(sqs.url('jobs'), AttributeNames=['All'], MessageAttributeNames=['All'])
    assert message['MessageId'] not in sent
    assert message['MessageAttributes']['colour']['StringValue'] == 'red'
    shown = message['Attributes']
    assert shown['ApproximateReceiveCount'] == '1' and 'DeadLetterQueueSourceArn' not in shown
    assert abs(int(shown['SentTimestamp']) / 1000 - sqs.world.clock()) < 10
    sqs.world.clock.advance(2)
    assert sqs.receive(sqs.url('jobs')) == []  # dead once more
    again, = sqs.receive(sqs.url('dead'), AttributeNames=['All'])
    assert (again['Body'], again['Attributes']['DeadLetterQueueSourceArn']) == ('a', sqs.arn('jobs'))


def test_a_task_is_cancelled(sqs):
    sqs.kill('jobs', *'abcdefgh')
    handle = sqs.start(MaxNumberOfMessagesPerSecond=1)
    for _ in range(3):
        eventlet.sleep(0)
    answer = sqs.call('CancelMessageMoveTask', TaskHandle=handle)
    moved = int(answer['ApproximateNumberOfMessagesMoved'])
    task, = sqs.tasks()
    assert task['Status'] == 'CANCELLING' and 'TaskHandle' not in task
    sqs.work()
    task, = sqs.tasks()
    assert task['Status'] == 'CANCELLED' and moved <= task['ApproximateNumberOfMessagesMoved'] < 8
    assert len(sqs.bodies('jobs')) == task['ApproximateNumberOfMessagesMoved']
    assert len(sqs.bodies('dead')) == 8 - task['ApproximateNumberOfMessagesMoved']
    sqs.refuses(*BAD_PARAMETER, 'CancelMessageMoveTask', 'Only active tasks', TaskHandle=handle)


def test_a_source_has_one_active_task(sqs):
    sqs.kill('jobs', *'abcdefgh')
    sqs.start(MaxNumberOfMessagesPerSecond=1)
    error = sqs.refuses(*BAD_PARAMETER, 'StartMessageMoveTask', SourceArn=sqs.arn('dead'))
    assert error.message == ONE_ACTIVE
    sqs.work()
    for _ in range(11):
        sqs.start()
        sqs.work()
    assert len(sqs.tasks()) == 1
    assert [task['Status'] for task in sqs.tasks(MaxResults=10)] == ['COMPLETED'] * 10
    starts = [task['StartedTimestamp'] for task in sqs.tasks(MaxResults=10)]
    assert starts == sorted(starts, reverse=True)


def test_messages_without_a_source_stay(sqs):
    sqs.kill('jobs', 'a')
    sqs.send(sqs.url('dead'), 'direct')
    sqs.world.clock.advance(1)
    sqs.start()
    sqs.work()
    task, = sqs.tasks()
    assert (task['Status'], task['FailureReason'], task['ApproximateNumberOfMessagesMoved']) == (
        'FAILED', 'CouldNotDetermineMessageSource', 1)
    assert (sqs.bodies('jobs'), sqs.bodies('dead')) == (['a'], ['direct'])


def test_fifo_queues(sqs):
    sqs.create('dead.fifo', FifoQueue='true')
    policy = json.dumps({'deadLetterTargetArn': sqs.arn('dead.fifo'), 'maxReceiveCount': 1})
    sqs.create('jobs.fifo', FifoQueue='true', RedrivePolicy=policy, VisibilityTimeout=0)
    for body in 'abc':
        sqs.send(sqs.url('jobs.fifo'), body, MessageGroupId='g', MessageDeduplicationId=f'only-{body}')
    sqs.kill('jobs.fifo')
    refused = sqs.refuses(*BAD_PARAMETER, 'StartMessageMoveTask', SourceArn=sqs.arn('dead.fifo'),
                          DestinationArn=sqs.arn('dead'))
    assert refused.message == 'Source queue and destination queue must be of the same type.'
    before = sqs.receive(sqs.url('dead.fifo'), AttributeNames=['All'], VisibilityTimeout=0)
    sqs.world.clock.advance(2)
    sqs.start(SourceArn=sqs.arn('dead.fifo'))
    sqs.work()
    sqs.world.clock.advance(2)
    after = sqs.receive(sqs.url('jobs.fifo'), AttributeNames=['All'])
    assert [message['Body'] for message in after] == [message['Body'] for message in before] == ['a', 'b', 'c']
    for old, new in zip(before, after, strict=True):
        assert (new['Attributes']['MessageGroupId'], new['Attributes']['MessageDeduplicationId']) == (
            'g', f'only-{new["Body"]}')
        assert new['MessageId'] != old['MessageId'] and new['Attributes']['ApproximateReceiveCount'] == '1'
        assert old['Attributes']['SequenceNumber'] < new['Attributes']['SequenceNumber']


@pytest.mark.parametrize('destination', [True, False])
def test_a_queue_that_is_gone(sqs, destination):
    sqs.feed('third')
    sqs.kill('third', 'a', 'b')
    sqs.start(**{'DestinationArn': sqs.arn('third')} if destination else {})
    sqs.call('DeleteQueue', QueueUrl=sqs.url('third'))
    sqs.work()
    task, = sqs.tasks()
    assert (task['Status'], task['FailureReason'], task['ApproximateNumberOfMessagesMoved']) == (
        'FAILED', 'AWS.SimpleQueueService.NonExistentQueue', 0)
    assert sqs.bodies('dead') == ['a', 'b']


def test_what_must_be_given(sqs):
    sqs.refuses(*MISSING, 'StartMessageMoveTask', 'The request must contain the parameter SourceArn.')
    sqs.refuses(*MISSING, 'ListMessageMoveTasks', 'The request must contain the parameter SourceArn.')
    sqs.refuses(*MISSING, 'CancelMessageMoveTask', 'The request must contain the parameter TaskHandle.')


def test_what_starts_no_task(sqs):
    dead, none = sqs.arn('dead'), sqs.arn('none')

    def refuse(kind, text, **given):
        error = sqs.refuses(*kind, 'StartMessageMoveTask', **{'SourceArn': dead} | given)
        assert error.message == text
    for name in ('SourceArn', 'DestinationArn'):
        text = f"The resource that you specified for the {name} parameter doesn't exist."
        for arn in (none, f'arn:aws:sqs:us-east-1:{STRANGER_ID}:dead', dead.replace('us-east-1', 'eu-west-3'),
                    sqs.arn('a/b')):
            refuse(NOT_FOUND, text, **{name: arn})
        refuse(BAD_PARAMETER, f'You must use this format to specify the {name}: arn:<partition>:<service>:<region>:'
                              '<account-id>:<resource-id>', **{name: 'dead'})
    refuse(BAD_PARAMETER, 'Source queue must be configured as a Dead Letter Queue.', SourceArn=sqs.arn('jobs'))
    sqs.create('x.fifo', FifoQueue='true')
    refuse(BAD_PARAMETER, 'Source queue and destination queue must be of the same type.',
           DestinationArn=sqs.arn('x.fifo'))
    refuse(BAD_PARAMETER, 'Source queue arn and destination queue arn cannot be the same.', DestinationArn=dead)
    for rate in (0, 501, -1):
        refuse(BAD_PARAMETER, "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a "
                              "number that's between 1 and 500.", MaxNumberOfMessagesPerSecond=rate)
    assert sqs.tasks() == []
    sqs.refuses(*NOT_FOUND, 'ListMessageMoveTasks', SourceArn=none)
    for limit in (0, 11):
        sqs.refuses(*BAD_PARAMETER, 'ListMessageMoveTasks', 'MaxResults', SourceArn=dead, MaxResults=limit)


def handle_of(**value):
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_handles(sqs):
    task = '01900000-0000-7000-8000-000000000000'
    for handle in ('x', '%', 'ü', handle_of(), handle_of(taskId=task), handle_of(taskId=1, sourceArn=sqs.arn('dead')),
                   handle_of(taskId='x', sourceArn=sqs.arn('dead')), base64.b64encode(b'[' * 9).decode(),
                   base64.b64encode(b'\xff').decode()):
        error = sqs.refuses(*BAD_PARAMETER, 'CancelMessageMoveTask', TaskHandle=handle)
        assert error.message == 'Value for parameter TaskHandle is invalid.'
    unknown = handle_of(taskId=task, sourceArn=sqs.arn('dead'))
    error = sqs.refuses(*NOT_FOUND, 'CancelMessageMoveTask', TaskHandle=unknown)
    assert error.message == 'Task does not exist.'
    sqs.refuses(*NOT_FOUND, 'CancelMessageMoveTask', TaskHandle=handle_of(taskId=task, sourceArn=sqs.arn('none')))


def test_only_the_owner_may(sqs):
    sqs.kill('jobs', 'a')
    handle, owner = sqs.start(MaxNumberOfMessagesPerSecond=1), sqs.client
    for who in ('test:guest', 'other:stranger'):
        sqs.client = sqs.client_of(key=who)
        denied = (403, 'AccessDenied') if who == 'test:guest' else NOT_FOUND
        sqs.refuses(*denied, 'StartMessageMoveTask', SourceArn=sqs.arn('dead'))
        sqs.refuses(*denied, 'ListMessageMoveTasks', SourceArn=sqs.arn('dead'))
        sqs.refuses(*denied, 'CancelMessageMoveTask', TaskHandle=handle)
    sqs.client = owner
    sqs.work()
    assert sqs.tasks()[0]['Status'] == 'COMPLETED'
