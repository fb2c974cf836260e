"""Requests to webhooks: what is in them, and how they are kept out of the operator's own network.

Tenants say where to send them, so nothing about the other side can be trusted. A host's addresses are looked up once,
refused if one of them is not in the public internet, and that very address is connected to: a name that means another
address at the next look gains nothing. Redirects are answers like any other, the whole request has a deadline, and of
the answer only the status is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from eventlet import Timeout, tpool
from eventlet.green import socket, ssl
from eventlet.green.httplib import HTTPConnection, HTTPException
from eventlet.patcher import original

from swiftqueue.model import Subscription
from swiftqueue.names import TOPIC, Envelope, to_json

NOTIFICATION, CONFIRMATION = 'Notification', 'SubscriptionConfirmation'
SECONDS = 10  # from the look at the name to the status

Network = IPv4Network | IPv6Network

# What is not in the public internet, by the registries of special addresses. Of IPv6 only 2000::/3 is, which leaves
# out what carries an IPv4 address (::ffff:0:0/96, 64:ff9b::/96); within it, 2002::/16 and 2001::/32 carry one too.
_SPECIAL = tuple(map(ip_network, (
    '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24',
    '192.0.2.0/24', '192.31.196.0/24', '192.52.193.0/24', '192.88.99.0/24', '192.168.0.0/16', '192.175.48.0/24',
    '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/3',
    '::/3', '2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20', '4000::/2', '8000::/1')))


class NotSent(Exception):
    """The webhook was not reached, or did not say that it has what was sent; the text says why."""


def notification(queue: str, message_id: str, envelope: Envelope) -> Envelope:
    """The message as a webhook is sent it."""
    return replace(envelope, attributes={}, body={
        'Message_Type': NOTIFICATION, 'id': message_id, 'queue_name': queue.removeprefix(TOPIC),
        'body': envelope.body, 'ttl': envelope.ttl})


def content_of(subscription: Subscription, body: Any) -> bytes:
    """What is sent: the body as JSON, in its place within what the subscriber wants around it."""
    text = to_json(body).decode('ascii')
    return subscription.options.get('post_data', '"$zaqar_message$"').replace('"$zaqar_message$"', text).encode()


@dataclass(frozen=True)
class Networks:
    """Where webhooks may be. ``allowed`` goes before ``denied``, and that before what the internet is."""

    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()

    def admit(self, address: str) -> bool:
        ip = ip_address(address)
        return _within(ip, self.allowed) or not _within(ip, self.denied + _SPECIAL)


def _within(ip: Any, networks: Iterable[Network]) -> bool:
    return any(ip.version == network.version and ip in network for network in networks)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks separated by commas. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(',') if part.strip())


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, asked for in a real thread: a slow name server must stop nobody. Raises OSError."""
    real = original('socket')
    found = tpool.execute(real.getaddrinfo, host, port, type=real.SOCK_STREAM)
    return list(dict.fromkeys(each[4][0] for each in found))


class Sender:
    """Sends to webhooks that are in ``networks``."""

    def __init__(self, networks: Networks, *, seconds: float = SECONDS,
                 look_up: Callable[[str, int], list[str]] = look_up):
        self.networks = networks
        self.seconds = seconds
        self.look_up = look_up
        self.tls = ssl.create_default_context()

    def send(self, subscription: Subscription, body: Any) -> None:
        """Send the body as JSON. Raises NotSent unless the answer's status is 2xx."""
        try:
            with Timeout(self.seconds):
                status = self._post(subscription, content_of(subscription, body))
        except Timeout:
            raise NotSent(f'no answer within {self.seconds} seconds') from None
        except (OSError, HTTPException, ValueError) as error:
            raise NotSent(f'{type(error).__name__}: {error}') from None
        if not 200 <= status < 300:
            raise NotSent(f'the answer was {status}')

    def _post(self, subscription: Subscription, content: bytes) -> int:
        url = urlsplit(subscription.subscriber)
        port = url.port or (443 if url.scheme == 'https' else 80)
        addresses = self.look_up(url.hostname, port)
        if not addresses or not all(map(self.networks.admit, addresses)):
            raise NotSent(f'{url.hostname} is not an address that webhooks may have')
        headers = {'content-type': 'application/json', 'user-agent': 'swiftqueue'}
        headers |= {name.lower(): value for name, value in subscription.options.get('post_headers', {}).items()}
        headers |= {'host': url.netloc, 'content-length': str(len(content)), 'connection': 'close'}
        connection = HTTPConnection(url.hostname, port)
        # Given a socket, the connection never looks up a name itself, nor goes by way of a proxy.
        connection.sock = self._connect(addresses, port)
        try:
            if url.scheme == 'https':
                connection.sock = self.tls.wrap_socket(connection.sock, server_hostname=url.hostname)
            connection.request('POST', (url.path or '/') + (f'?{url.query}' if url.query else ''), content, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _connect(self, addresses: list[str], port: int) -> Any:
        """A socket to the first address that can be reached. Raises OSError."""
        for address in addresses[:-1]:
            try:
                return socket.create_connection((address, port), timeout=self.seconds / len(addresses))
            except OSError:
                pass
        return socket.create_connection((addresses[-1], port))

