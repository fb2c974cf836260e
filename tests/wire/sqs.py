"""Amazon SQS in a pipeline of Swift's own filters, over a Swift in memory."""

from __future__ import annotations

import logging
from typing import Any

import aws
from world import World

from swiftqueue.middleware.queue import QueueFilter

LOGGER = logging.getLogger('swiftqueue')
ACCOUNT_ID = '111122223333'
STRANGER_ID = '444455556666'


class Service:
    """One proxy. ``call`` speaks one of the protocols in the tester's name."""

    def __init__(self, protocol: str = 'json', world: World | None = None, proxy: int = 0, **settings: Any):
        self.world = world or World(proxies=2)
        self.filter = QueueFilter(self.world.swift, self.world.engines[proxy], LOGGER)
        account_ids = {'AUTH_test': ACCOUNT_ID, 'AUTH_other': STRANGER_ID}
        self.app = aws.pipeline(self.filter, LOGGER, **{'account_ids': account_ids} | settings)
        self.environ = {'swift.cache': self.world.cache, 'swift.trans_id': 'tx0123456789'}
        self.protocol = protocol
        self.client = self.client_of()

    def client_of(self, protocol: str = '', **signing: Any) -> Any:
        return aws.PROTOCOLS[protocol or self.protocol](self.app, environ=self.environ, **signing)

    def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        self.world.tick()  # no two requests at one instant, as in life
        result = self.client(action, **parameters)
        self.world.swift.assert_no_leaks()
        return result

    def create(self, name: str = 'jobs', **attributes: Any) -> str:
        """The URL of a new queue."""
        given = {key: str(value) for key, value in attributes.items()}
        return self.call('CreateQueue', QueueName=name, **{'Attributes': given} if given else {})['QueueUrl']

    def url(self, name: str = 'jobs') -> str:
        return f'http://cloud/{ACCOUNT_ID}/{name}'

    def arn(self, name: str = 'jobs') -> str:
        return f'arn:aws:sqs:us-east-1:{ACCOUNT_ID}:{name}'

    def attributes(self, url: str, *names: str) -> dict[str, str]:
        shown = self.call('GetQueueAttributes', QueueUrl=url, AttributeNames=list(names or ['All']))
        return shown.get('Attributes', {})

    def send(self, url: str, *bodies: str, **fields: Any) -> list[str]:
        return [self.call('SendMessage', QueueUrl=url, MessageBody=body, **fields)['MessageId'] for body in bodies]

    def receive(self, url: str, most: int = 10, **fields: Any) -> list[dict[str, Any]]:
        return self.call('ReceiveMessage', QueueUrl=url, MaxNumberOfMessages=most, **fields).get('Messages', [])

    def counts(self, url: str) -> tuple[int, int, int]:
        """Visible, in flight, delayed."""
        found = self.attributes(url, 'ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible',
                                'ApproximateNumberOfMessagesDelayed')
        return tuple(int(found[f'ApproximateNumberOfMessages{kind}']) for kind in ('', 'NotVisible', 'Delayed'))

    def refuses(self, status: int, code: str, action: str, text: str = '', **parameters: Any) -> aws.AwsError:
        """The error that the action has to end with."""
        try:
            result = self.call(action, **parameters)
        except aws.AwsError as error:
            assert (error.status, error.code) == (status, code), error
            assert text in error.message, error
            return error
        raise AssertionError(f'{action} was not refused: {result}')
