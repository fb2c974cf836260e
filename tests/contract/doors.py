"""The ways to a queue: through each protocol, and to the engine itself."""

from burrow_client import BurrowClient
from clients import EngineClient, MessagingClient
from older_clients import MessagingV1Client, MessagingV11Client
from sqs_client import SqsJsonClient, SqsQueryClient

PROTOCOLS = {'messaging-v2': MessagingClient, 'messaging-v1.1': MessagingV11Client, 'messaging-v1': MessagingV1Client,
             'sqs-json': SqsJsonClient, 'sqs-query': SqsQueryClient, 'burrow': BurrowClient}

# A client's class, and how many shards every queue has.
DOORS = {'engine': (EngineClient, 1), '3 shards': (EngineClient, 3),
         **{name: (client, 1) for name, client in PROTOCOLS.items()}}

OPTIONS = {'api_versions': ('2', '1.1', '1')}
