"""Amazon SQS with the verbs of the contract suite.

What Amazon SQS does not have (reading without receiving, deleting without a handle, popping) is asked of the engine:
then the test also shows that a message of one door is the same one in another.
"""

from __future__ import annotations

import json
import logging
import uuid
from typing import Any

import aws
from clients import EngineClient, Held, Refused
from world import World

from swiftqueue.middleware.queue import QueueFilter

LOGGER = logging.getLogger('swiftqueue')
ACCOUNT_ID = '111122223333'
BATCH = 10  # messages in one request
_NAMES = {'_default_message_ttl': 'MessageRetentionPeriod', '_default_message_delay': 'DelaySeconds'}


class SqsClient(EngineClient):
    """Bodies travel as JSON text, since Amazon SQS takes nothing but text that is not empty."""

    protocol = ''

    def __init__(self, world: World, proxy: int = 0):
        super().__init__(world, proxy)
        app = aws.pipeline(QueueFilter(world.swift, world.engines[proxy], LOGGER), LOGGER,
                           account_ids={'AUTH_test': ACCOUNT_ID})
        self.client = aws.PROTOCOLS[self.protocol](
            app, environ={'swift.cache': world.cache, 'swift.trans_id': 'tx'})
        if not hasattr(world, 'received_together'):
            world.received_together = {}  # handle: all those of the same claim, for every client of this world

    def _ask(self, action: str, queue: str = '', **parameters: Any) -> dict[str, Any]:
        self.world.tick()
        where = {'QueueUrl': f'http://cloud/{ACCOUNT_ID}/{queue}'} if queue else {}
        try:
            return self.client(action, **where, **parameters)
        except aws.AwsError as error:
            assert error.status < 500, error
            raise Refused(str(error)) from error

    def _batch(self, action: str, queue: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The results, in the order of the entries."""
        done = []
        for start in range(0, len(entries), BATCH):
            answer = self._ask(action, queue, Entries=[
                {'Id': str(number), **entry} for number, entry in enumerate(entries[start:start + BATCH])])
            if answer.get('Failed'):
                raise Refused(str(answer['Failed']))
            done += answer['Successful']
        return done

    # -- queues --

    def create(self, queue: str, **attributes: Any) -> bool:
        """Always as if new: it does not say."""
        self._ask('CreateQueue', QueueName=queue)
        dead = attributes.pop('_dead_letter_queue', None)
        count, ttl = attributes.pop('_max_claim_count', None), attributes.pop('_dead_letter_queue_messages_ttl', None)
        if dead:
            self._ask('CreateQueue', QueueName=dead)
            if ttl:
                self.set_attribute(dead, '_default_message_ttl', ttl)
            self._set(queue, 'RedrivePolicy', json.dumps({
                'deadLetterTargetArn': f'arn:aws:sqs:us-east-1:{ACCOUNT_ID}:{dead}', 'maxReceiveCount': count}))
        for name, value in attributes.items():
            self.set_attribute(queue, name, value)
        return True

    def _set(self, queue: str, name: str, text: str) -> None:
        self._ask('SetQueueAttributes', queue, Attributes={name: text})

    def delete_queue(self, queue: str) -> None:
        """One that is not there is an error of Amazon SQS's."""
        try:
            self._ask('DeleteQueue', queue)
        except Refused as error:
            assert 'NonExistentQueue' in str(error)

    def purge(self, queue: str) -> None:
        self._ask('PurgeQueue', queue)

    def queues(self, marker: str = '', limit: int | None = None) -> list[str]:
        return [url.rsplit('/', 1)[1] for url in self._ask('ListQueues').get('QueueUrls', [])]

    def set_attribute(self, queue: str, name: str, value: Any) -> None:
        self._set(queue, _NAMES[name], str(value))

    def counts(self, queue: str) -> tuple[int, int]:
        shown = self._ask('GetQueueAttributes', queue, AttributeNames=['All'])['Attributes']
        free, claimed, delayed = (int(shown[f'ApproximateNumberOfMessages{kind}'])
                                  for kind in ('', 'NotVisible', 'Delayed'))
        return free + claimed + delayed, claimed

    # -- messages --

    def post(self, queue: str, *bodies: Any, ttl: int | None = None, delay: int | None = None,
             client: str = 'client') -> list[str]:
        """A ttl is the queue's for as long as it takes; the sender is always the same."""
        before = self._ask('GetQueueAttributes', queue, AttributeNames=['MessageRetentionPeriod'])['Attributes']
        if ttl is not None:
            self.set_attribute(queue, '_default_message_ttl', ttl)
        fields = {} if delay is None else {'DelaySeconds': delay}
        sent = self._batch('SendMessageBatch', queue, [
            {'MessageBody': json.dumps(body), **fields} for body in bodies])
        if ttl is not None:
            self._set(queue, 'MessageRetentionPeriod', before['MessageRetentionPeriod'])
        return [each['MessageId'] for each in sent]

    def create_fifo(self, queue: str) -> None:
        self._ask('CreateQueue', QueueName=queue, Attributes={'FifoQueue': 'true'})

    def send(self, queue: str, group: str, body: Any, deduplication: str | None = None) -> str:
        return self._ask('SendMessage', queue, MessageBody=json.dumps(body), MessageGroupId=group,
                         MessageDeduplicationId=deduplication or str(uuid.uuid4()))['MessageId']

    def list(self, *args: Any, **options: Any) -> tuple[list[Any], str | None]:
        bodies, marker = super().list(*args, **options)
        return [json.loads(body) for body in bodies], marker

    def get(self, queue: str, *ids: str) -> list[Any]:
        return [json.loads(body) for body in super().get(queue, *ids)]

    def pop(self, queue: str, limit: int = 10) -> list[Any]:
        return [json.loads(body) for body in super().pop(queue, limit)]

    # -- claims --

    def claim(self, queue: str, limit: int = 10, ttl: int = 60, grace: int = 60) -> list[Held]:
        messages: list[dict[str, Any]] = []
        while len(messages) < limit:
            found = self._ask('ReceiveMessage', queue, VisibilityTimeout=ttl,
                              MaxNumberOfMessages=min(BATCH, limit - len(messages))).get('Messages', [])
            messages += found
            if not found:
                break
        handles = [message['ReceiptHandle'] for message in messages]
        self.world.received_together.update(dict.fromkeys(handles, handles))
        return [Held(message['MessageId'], json.loads(message['Body']), message['ReceiptHandle'])
                for message in messages]

    def _together(self, claim_id: str) -> list[str]:
        return self.world.received_together.get(claim_id, [claim_id])

    def held(self, queue: str, claim_id: str) -> list[Any]:
        held = super().held
        return [json.loads(body) for handle in self._together(claim_id) for body in held(queue, handle)]

    def _change(self, queue: str, claim_id: str, seconds: int) -> None:
        self._batch('ChangeMessageVisibilityBatch', queue, [
            {'ReceiptHandle': handle, 'VisibilityTimeout': seconds} for handle in self._together(claim_id)])

    def renew(self, queue: str, claim_id: str, ttl: int = 60) -> None:
        self._change(queue, claim_id, ttl)

    def release(self, queue: str, claim_id: str) -> None:
        self._change(queue, claim_id, 0)

    def ack(self, queue: str, held: Held) -> None:
        self._ask('DeleteMessage', queue, ReceiptHandle=held.claim_id)


class SqsJsonClient(SqsClient):
    protocol = 'json'


class SqsQueryClient(SqsClient):
    protocol = 'query'
