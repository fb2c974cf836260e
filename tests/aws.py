"""What a client of Amazon SQS sends: requests signed by Signature Version 4, in either protocol.

Written from Amazon's description of the signature, so that it can contradict Swift's verifier.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import time
import xml.etree.ElementTree as xml
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from swift.common.middleware.s3api.s3api import S3ApiMiddleware
from swift.common.middleware.tempauth import TempAuth
from wire.transcript import Answer, no_syslog, send

from swiftqueue.middleware.sqs import SqsFilter
from swiftqueue.middleware.sqs_settings import Settings

HOST = 'cloud'
ALGORITHM = 'AWS4-HMAC-SHA256'
USERS = {'test:tester': 'secret .admin', 'test:guest': 'secret', 'other:stranger': 'secret .admin'}


class AwsError(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str, message: str, shape: str = ''):
        super().__init__(f'{status} {code}: {message}')
        self.status, self.code, self.message, self.shape = status, code, message, shape


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), 'sha256')


def signature(secret: str, stamp: str, scope: str, canonical: str) -> str:
    key = f'AWS4{secret}'.encode()
    for part in scope.split('/'):
        key = _hmac(key, part)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return _hmac(key, '\n'.join((ALGORITHM, stamp, scope, digest))).hex()


def canonical_request(method: str, path: str, query: dict[str, str], headers: dict[str, str], payload: str) -> str:
    fields = '&'.join(sorted(f'{quote(name, safe="-_.~")}={quote(value, safe="-_.~")}'
                             for name, value in query.items()))
    lines = [f'{name.lower()}:{value}\n' for name, value in sorted(headers.items(), key=lambda each: each[0].lower())]
    return '\n'.join((method, quote(path, safe='/-_.~'), fields, ''.join(lines), signed_headers(headers), payload))


def signed_headers(headers: dict[str, str]) -> str:
    return ';'.join(sorted(name.lower() for name in headers))


def stamp_of(instant: float | None = None) -> str:
    return time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(instant))


def header_signed(method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes, *,
                  key: str = 'test:tester', secret: str = 'secret', at: float | None = None,
                  region: str = 'us-east-1', service: str = 'sqs', payload: str | None = None) -> dict[str, str]:
    """The headers with those of the signature."""
    stamp = stamp_of(at)
    headers = headers | {'Host': HOST, 'X-Amz-Date': stamp}
    scope = f'{stamp[:8]}/{region}/{service}/aws4_request'
    canonical = canonical_request(method, path, query, headers, payload or hashlib.sha256(body).hexdigest())
    return headers | {'Authorization': f'{ALGORITHM} Credential={key}/{scope}, SignedHeaders='
                                       f'{signed_headers(headers)}, '
                                       f'Signature={signature(secret, stamp, scope, canonical)}'}


def query_signed(method: str, path: str, query: dict[str, str], body: bytes = b'', *, key: str = 'test:tester',
                 secret: str = 'secret', at: float | None = None, expires: Any = 60,
                 region: str = 'us-east-1') -> dict[str, str]:
    """The parameters with those of the signature; only the header Host is signed."""
    stamp = stamp_of(at)
    scope = f'{stamp[:8]}/{region}/sqs/aws4_request'
    query = query | {'X-Amz-Algorithm': ALGORITHM, 'X-Amz-Credential': f'{key}/{scope}', 'X-Amz-Date': stamp,
                     'X-Amz-Expires': str(expires), 'X-Amz-SignedHeaders': 'host'}
    canonical = canonical_request(method, path, query, {'Host': HOST}, hashlib.sha256(body).hexdigest())
    return query | {'X-Amz-Signature': signature(secret, stamp, scope, canonical)}


@cache
def _tempauth() -> TempAuth:
    with no_syslog():
        return TempAuth(None, {f'user_{name.replace(":", "_")}': groups for name, groups in USERS.items()})


@cache
def _s3api() -> S3ApiMiddleware:
    with no_syslog():
        return S3ApiMiddleware(None, {'log_name': 'test'})


def pipeline(queue: Callable, logger: Any, **settings: Any) -> Callable:
    """``sqsapi s3api tempauth`` before the filter ``queue``."""
    app = queue
    for filter_ in (_tempauth(), _s3api()):
        filter_ = copy.copy(filter_)
        filter_.app, app = app, filter_
    return SqsFilter(app, Settings(**settings), logger)


def md5_of_attributes(attributes: dict[str, dict[str, Any]]) -> str:
    """As the developer's guide describes it, of message attributes as a client gives them."""
    digest = hashlib.md5()
    for name, value in sorted(attributes.items()):
        binary = value['DataType'].startswith('Binary')
        data = value['BinaryValue'] if binary else value['StringValue'].encode()
        for each in (name.encode(), value['DataType'].encode()):
            digest.update(len(each).to_bytes(4, 'big') + each)
        digest.update((b'\2' if binary else b'\1') + len(data).to_bytes(4, 'big') + data)
    return digest.hexdigest()


# How the Query protocol says what JSON says, as the service's last model for it had it.
LISTS = {'AttributeNames': 'AttributeName', 'MessageAttributeNames': 'MessageAttributeName',
         'MessageSystemAttributeNames': 'MessageSystemAttributeName', 'TagKeys': 'TagKey', 'Actions': 'ActionName',
         'AWSAccountIds': 'AWSAccountId', 'StringListValues': 'StringListValue'}
MAPS = {'Attributes': ('Attribute', 'Name'), 'Tags': ('Tag', 'Key'), 'tags': ('Tag', 'Key'),
        'MessageAttributes': ('MessageAttribute', 'Name'),
        'MessageSystemAttributes': ('MessageSystemAttribute', 'Name')}


def flattened(action: str, parameters: Any, prefix: str = '') -> dict[str, str]:
    """The fields of a form for what JSON would carry."""
    fields: dict[str, str] = {}
    for name, value in parameters.items():
        if name in LISTS:
            fields |= {f'{prefix}{LISTS[name]}.{number}': text for number, text in enumerate(value, 1)}
        elif name in MAPS:
            field, key = MAPS[name]
            for number, (entry, each) in enumerate(value.items(), 1):
                fields[f'{prefix}{field}.{number}.{key}'] = entry
                fields |= flattened(action, {'Value': each}, f'{prefix}{field}.{number}.')
        elif name == 'Entries':
            for number, entry in enumerate(value, 1):
                fields |= flattened(action, entry, f'{action}RequestEntry.{number}.')
        elif isinstance(value, dict):
            fields |= flattened(action, value, f'{prefix}{name}.')
        else:
            fields[prefix + name] = str(value)
    return fields


def unfolded(action: str, element: xml.Element) -> dict[str, Any]:
    """What JSON would carry, of an element of the answer."""
    document: dict[str, Any] = {}
    for child in element:
        name, text = child.tag, child.text or ''
        if name in ('Attribute', 'Tag', 'MessageAttribute'):
            value = child.find('Value')
            key = child.findtext('Key' if name == 'Tag' else 'Name')
            document.setdefault(f'{name}s', {})[key] = unfolded(action, value) if len(value) else value.text or ''
        elif name == 'Message' and len(child):
            document.setdefault('Messages', []).append(unfolded(action, child))
        elif name == 'ListMessageMoveTasksResultEntry':
            document.setdefault('Results', []).append(unfolded(action, child))
        elif name.endswith('ResultEntry'):
            document.setdefault('Successful', []).append(unfolded(action, child))
        elif name == 'BatchResultErrorEntry':
            document.setdefault('Failed', []).append(unfolded(action, child))
        elif name == 'QueueUrl' and action.startswith('List'):
            document.setdefault('QueueUrls' if action == 'ListQueues' else 'queueUrls', []).append(text)
        elif name == 'SenderFault':
            document[name] = text == 'true'
        elif name != 'ResponseMetadata':
            document[name] = text
    return document


class Client:
    """A client in one of the protocols. Each call gives the result as JSON has it, or raises AwsError."""

    def __init__(self, app: Callable, *, environ: dict[str, Any] | None = None, **signing: Any):
        self.app = app
        self.environ = environ or {}
        self.signing = signing
        self.answer: Answer | None = None

    def post(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        headers = header_signed('POST', path, {}, headers, body, **self.signing)
        self.answer = send(self.app, f'POST {path}', body, headers, **self.environ)
        return self.answer

    def __call__(self, action: str, **parameters: Any) -> dict[str, Any]:
        raise NotImplementedError  # each protocol has its own form


class Json(Client):
    """AWS JSON 1.0."""

    def __call__(self, action: str, **parameters: Any) -> dict[str, Any]:
        return self.ask(f'AmazonSQS.{action}', json.dumps(parameters).encode())

    def ask(self, target: str, body: bytes, **headers: str) -> dict[str, Any]:
        answer = self.post('/', {'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': target,
                                 'x-amzn-query-mode': 'true'} | headers, body)
        assert answer.headers['Content-Type'] == 'application/x-amz-json-1.0'
        assert answer.headers['x-amzn-RequestId']
        document = json.loads(answer.body or b'{}')
        if answer.status != 200:
            code, _, fault = answer.headers['x-amzn-query-error'].partition(';')
            assert fault == ('Sender' if answer.status < 500 else 'Receiver')
            raise AwsError(answer.status, code, document['message'], document['__type'])
        return document


class Query(Client):
    """The Query protocol."""

    def __call__(self, action: str, **parameters: Any) -> dict[str, Any]:
        return self.ask(action, flattened(action, parameters))

    def ask(self, action: str, fields: dict[str, str], path: str = '/') -> dict[str, Any]:
        body = urlencode({'Action': action, 'Version': '2012-11-05'} | fields, errors='surrogatepass').encode()
        return self.parse(action, self.post(
            path, {'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8'}, body))

    def get(self, action: str, fields: dict[str, str], path: str = '/', **signing: Any) -> dict[str, Any]:
        """By a signed URL."""
        query = query_signed('GET', path, {'Action': action} | fields, **self.signing | signing)
        return self.parse(action, send(self.app, f'GET {path}?{urlencode(query)}', headers={'Host': HOST},
                                       **self.environ))

    def parse(self, action: str, answer: Answer) -> dict[str, Any]:
        self.answer = answer
        assert answer.headers['Content-Type'] == 'text/xml'
        root = xml.fromstring(answer.body)
        for element in root.iter():
            namespace, _, element.tag = element.tag.rpartition('}')
            assert namespace == '{http://queue.amazonaws.com/doc/2012-11-05/'
        if answer.status != 200:
            assert root.tag == 'ErrorResponse' and root.findtext('RequestId')
            assert root.findtext('Error/Type') == ('Sender' if answer.status < 500 else 'Receiver')
            raise AwsError(answer.status, root.findtext('Error/Code'), root.findtext('Error/Message'))
        assert root.tag == f'{action}Response'
        assert root.findtext('ResponseMetadata/RequestId')
        result = root.find(f'{action}Result')
        return unfolded(action, root if result is None else result)


PROTOCOLS = {'json': Json, 'query': Query}
