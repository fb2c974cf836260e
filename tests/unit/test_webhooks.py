"""Requests to webhooks: real ones, to servers on this machine that behave badly, and where none may go."""

import datetime
import json
import ssl

import eventlet
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from eventlet.green import ssl as green_ssl

from swiftqueue import retries
from swiftqueue.model import Subscription
from swiftqueue.webhooks import Networks, NotSent, Sender, look_up, parse_networks

HERE = Networks(allowed=parse_networks('127.0.0.0/8'))
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'


class Receiver:
    """Reads one request after the other, and answers with bytes that are made by ``answer``."""

    def __init__(self, answer, wrap=lambda connection: connection):
        self.answer, self.wrap = answer, wrap
        self.requests = []
        self.listener = eventlet.listen(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.thread = eventlet.spawn(self.serve)

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            try:
                connection = self.wrap(connection)
                with connection.makefile('rb') as file:
                    lines = []
                    while (line := file.readline()) not in (b'\r\n', b''):
                        lines.append(line.decode().rstrip('\r\n'))
                    headers = dict(line.split(': ', 1) for line in lines[1:])
                    self.requests.append((lines[0], headers, file.read(int(headers['content-length']))))
                for chunk in self.answer():
                    connection.sendall(chunk)
            except OSError:
                pass
            finally:
                connection.close()

    def close(self):
        self.thread.kill()
        self.listener.close()


@pytest.fixture
def receive():
    receivers = []

    def start(*answer, **options):
        receivers.append(Receiver(answer[0] if callable(answer[0]) else lambda: answer, **options))
        return receivers[-1]
    yield start
    for receiver in receivers:
        receiver.close()


def to(url, **options):
    return Subscription('id', url, 60, 0, True, options)


def send(receiver, path='/hook', scheme='http', sender=None, **options):
    sender = sender or Sender(HERE, seconds=2, look_up=lambda host, port: ['127.0.0.1'])
    sender.send(to(f'{scheme}://hooks.example.com:{receiver.port}{path}', **options), {'body': 'ü', 'n': 1})


def test_what_is_sent(receive):
    receiver = receive(OK)
    send(receiver, '//a/b?c=d#e')
    (line, headers, body), = receiver.requests
    assert line == 'POST //a/b?c=d HTTP/1.1'
    assert headers['host'] == f'hooks.example.com:{receiver.port}'
    assert headers['content-type'] == 'application/json'
    assert json.loads(body) == {'body': 'ü', 'n': 1}


def test_a_subscriber_can_have_it_in_its_own_form(receive):
    receiver = receive(OK)
    send(receiver, '', post_headers={'Content-type': 'application/vnd.x+json', 'X-Token': 't'},
         post_data='{"text": "$zaqar_message$", "also": 1}')
    (line, headers, body), = receiver.requests
    assert line == 'POST / HTTP/1.1'
    assert (headers['content-type'], headers['x-token']) == ('application/vnd.x+json', 't')
    assert json.loads(body) == {'text': {'body': 'ü', 'n': 1}, 'also': 1}


@pytest.mark.parametrize('status', [200, 201, 204, 299])
def test_what_counts_as_taken(receive, status):
    send(receive(f'HTTP/1.1 {status} X\r\n\r\n'.encode()))


@pytest.mark.parametrize('answer', [
    *(f'HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1/\r\n\r\n'.encode()
      for status in (301, 302, 307, 308, 400, 404, 410, 429, 500, 503)),
    b'', b'\r\n\r\n', b'nonsense\r\n\r\n', b'HTTP/1.1 2000 X\r\n\r\n', b'HTTP/1.1 -1 X\r\n\r\n',
    b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 100000 + b'\r\n\r\n', b'HTTP/1.1 200 OK\r\n' + b'X: y\r\n' * 100000])
def test_what_does_not_count_as_taken(receive, answer):
    receiver = receive(answer)
    with pytest.raises(NotSent):
        send(receiver)
    assert len(receiver.requests) == 1


def test_of_a_huge_answer_nothing_is_read(receive):
    def answer():
        yield b'HTTP/1.1 200 OK\r\n\r\n'
        while True:
            yield b'x' * 2 ** 20
    send(receive(answer))


@pytest.mark.parametrize('begin', [b'', b'HTTP/1.1 200 OK\r\nX: '])
def test_an_answer_that_trickles_in_is_given_up(receive, begin):
    def answer():
        yield begin
        while True:
            eventlet.sleep(0.02)
            yield b'x'
    sender = Sender(HERE, seconds=0.3, look_up=lambda host, port: ['127.0.0.1'])
    with pytest.raises(NotSent, match='within 0.3 seconds'):
        send(receive(answer), sender=sender)


def test_a_host_with_an_address_that_is_dead(receive):
    receiver = receive(OK)
    send(receiver, sender=Sender(HERE, seconds=2, look_up=lambda host, port: ['127.0.0.3', '127.0.0.1']))
    assert len(receiver.requests) == 1


def test_where_nobody_listens(receive):
    receiver = receive(OK)
    receiver.close()
    with pytest.raises(NotSent):
        send(receiver)


# -- TLS -------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    """A file with a key and a certificate for hooks.example.com that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'hooks.example.com')])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(
        1).not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1)).add_extension(
        x509.SubjectAlternativeName([x509.DNSName('hooks.example.com')]), False).sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp('tls') / 'both.pem'
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return path


def test_the_certificate_has_to_be_the_hosts(receive, certificate):
    context = green_ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver = receive(OK, wrap=lambda connection: context.wrap_socket(connection, server_side=True))
    with pytest.raises(NotSent, match='CERTIFICATE_VERIFY_FAILED'):
        send(receiver, scheme='https')
    assert receiver.requests == []
    sender = Sender(HERE, seconds=5, look_up=lambda host, port: ['127.0.0.1'])
    sender.tls.load_verify_locations(certificate)
    send(receiver, scheme='https', sender=sender)
    assert len(receiver.requests) == 1
    with pytest.raises(NotSent, match='CERTIFICATE_VERIFY_FAILED'):
        sender.send(to(f'https://other.example.com:{receiver.port}/'), {})
    assert len(receiver.requests) == 1


# -- where webhooks may be -------------------------------------------------------------------------

@pytest.mark.parametrize('address', [
    '0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '127.8.8.8', '169.254.169.254', '172.16.0.1', '172.31.255.255',
    '192.0.0.170', '192.0.2.1', '192.88.99.1', '192.168.0.1', '198.18.0.1', '198.19.255.255', '203.0.113.9',
    '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255',
    '::', '::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::127.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::1', '100::1',
    '2001::1', '2001:db8::1', '2002:7f00:1::', '3fff::1', 'fc00::1', 'fd12::1', 'fe80::1', 'fe80::1%eth0', 'fec0::1',
    'ff02::1', '5f00::1'])
def test_networks_that_are_not_public(address):
    assert not Networks().admit(address)


def test_no_request_goes_where_one_of_the_addresses_is_not_public(receive):
    receiver = receive(OK)
    found = []
    sender = Sender(Networks(), look_up=lambda host, port: found)
    for addresses in (['127.0.0.1'], ['8.8.8.8', '127.0.0.1'], ['127.0.0.1', '8.8.8.8'], []):
        found[:] = addresses
        with pytest.raises(NotSent, match='not an address that webhooks may have'):
            send(receiver, sender=sender)
    assert receiver.requests == []


@pytest.mark.parametrize('address', ['8.8.8.8', '1.1.1.1', '172.15.0.1', '172.32.0.1', '192.169.0.1', '223.255.255.1',
                                     '2001:4860:4860::8888', '2a00:1450::1', '2606:4700::1111'])
def test_public_addresses_are_open_unless_the_operator_says_otherwise(address):
    assert Networks().admit(address)
    assert not Networks(denied=parse_networks('0.0.0.0/0, ::/0')).admit(address)


def test_what_is_allowed_goes_before_what_is_denied():
    networks = Networks(parse_networks('10.1.0.0/16'), parse_networks('10.0.0.0/8,8.0.0.0/8'))
    assert networks.admit('10.1.2.3')
    assert not networks.admit('10.2.2.3')
    assert not networks.admit('8.8.8.8')


def test_the_address_that_was_looked_at_is_the_one_that_is_used(receive):
    receiver = receive(OK)
    answers = [['127.0.0.1'], ['127.0.0.2']]  # what a name server that is up to something may say

    def rebind(host, port):
        return answers.pop(0)
    send(receiver, sender=Sender(Networks(parse_networks('127.0.0.1/32')), look_up=rebind))
    assert len(receiver.requests) == 1 and len(answers) == 1
    with pytest.raises(NotSent):
        send(receiver, sender=Sender(Networks(parse_networks('127.0.0.1/32')), look_up=rebind))


def test_no_way_to_write_an_address_gets_around(receive):
    receiver, sender = receive(OK), Sender(Networks())
    for host in ('127.0.0.1', '127.1', '2130706433', '0x7f.0.0.1', '017700000001', 'localhost', '[::1]'):
        with pytest.raises(NotSent):
            sender.send(to(f'http://{host}:{receiver.port}/'), {})
    assert receiver.requests == []


def test_addresses_are_looked_up():
    assert '127.0.0.1' in look_up('localhost', 80) + look_up('127.0.0.1', 80)


# -- retry policies --------------------------------------------------------------------------------

def delays(**policy):
    found = []
    while (delay := retries.delay(policy, len(found) + 1)) is not None:
        found.append(delay)
    return found


def test_the_phases_of_the_default_policy():
    assert delays() == [0, 0, 0, 5, 5, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 30, 30]


@pytest.mark.parametrize('function', ['linear', 'arithmetic', 'geometric', 'exponential'])
@pytest.mark.parametrize('least, most', [(0, 10), (5, 30), (1, 10000)])
def test_backoff_grows_from_the_least_to_the_most(function, least, most):
    found = delays(retry_backoff_function=function, minimum_delay=least, maximum_delay=most, retries_with_no_delay=0,
                   minimum_delay_retries=0, maximum_delay_retries=0)
    assert len(found) == retries.BACKOFF
    assert found == sorted(found) and least <= found[0] and found[-1] <= most
    assert len(set(found)) > 2


def test_a_policy_cannot_ask_for_more_than_so_many_tries():
    assert delays(retries_with_no_delay=2 ** 31, minimum_delay_retries=0, maximum_delay_retries=0).count(0) == 100


def test_which_policy_counts():
    queues, subscriptions = {'minimum_delay': 1}, {'minimum_delay': 2}
    assert retries.policy_of({}, queues) == queues
    assert retries.policy_of(subscriptions, queues) == subscriptions
    insisting = queues | {'ignore_subscription_override': True}
    assert retries.policy_of(subscriptions, insisting) == insisting
