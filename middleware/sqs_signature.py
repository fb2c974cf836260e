"""Whose request it is, by its Signature Version 4: Swift's own verifier, with what Amazon SQS has otherwise than S3.

The service in the credential's scope is ``sqs``, any region may stand in it, and what is signed of the body is always
the hash of what came, whatever a header says of it.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from swift.common.middleware.s3api.s3request import SigCheckerV4, SigV4Mixin
from swift.common.middleware.s3api.s3response import ErrorResponse
from swift.common.swob import Request as SwobRequest
from swift.common.swob import str_to_wsgi

from .frontend import Request
from .sqs_errors import SqsError
from .sqs_settings import Settings

SKEW = 900  # seconds between the client's clock and ours
_ALGORITHM = 'AWS4-HMAC-SHA256'
_LONGEST = 604800  # seconds for which a signed URL may be good
_CREDENTIAL = re.compile(
    r'(?P<access_key>[^/\s]{1,256})/(?P<date>[0-9]{8})/(?P<region>[A-Za-z0-9-]{1,64})/sqs/aws4_request')
_STAMP = re.compile(r'[0-9]{8}T[0-9]{6}Z')
# What the request keeps of its headers on its way through the auth filter, and what else it loses: grants of others.
_KEPT = ('HTTP_HOST', 'HTTP_USER_AGENT')
_LOST = ('headers_raw', 'REMOTE_USER', 'swift.authorize', 'swift.authorize_override')


def credential_of(request: Request) -> str | None:
    """The credential that a request is signed with; None if it is not signed, or by another method."""
    scheme, _, fields = (request.header('Authorization') or '').partition(' ')
    if scheme == _ALGORITHM:
        return fields.partition('Credential=')[2].partition(',')[0].strip()
    if scheme:
        return None
    given = parse_qs(request.environ.get('QUERY_STRING', '')).get('X-Amz-Credential')
    return given[0] if given else None


def is_ours(credential: str) -> bool:
    """Whether a credential's scope names this service."""
    return credential.split('/')[3:4] == ['sqs']


class _Signed(SigV4Mixin, SwobRequest):
    """A request as Swift's verifier wants it."""

    def __init__(self, environ: dict[str, Any], credential: re.Match[str]):
        super().__init__(dict(environ))
        self.location = credential['region']
        self._signing_timestamp = None
        self._signed_headers: set[str] = set()
        parse = self._parse_query_authentication if self._is_query_auth else self._parse_header_authentication
        self.access_key, self.signature = parse()

    @property
    def scope(self) -> OrderedDict[str, str]:
        return OrderedDict(super().scope, service='sqs')

    @property
    def signed_headers(self) -> set[str]:
        return self._signed_headers

    @property
    def stamp(self) -> str:
        return self.params.get('X-Amz-Date', '') if self._is_query_auth else self.headers.get('X-Amz-Date', '')

    def seconds(self) -> int:
        """For how long it is good from its stamp on. Raises ValueError."""
        if not self._is_query_auth:
            return SKEW
        seconds = int(self.params.get('X-Amz-Expires', '')[:10])
        if not 0 <= seconds <= _LONGEST:
            raise ValueError
        return seconds


@dataclass
class SignedRequest:
    """A request of this service between the two filters. ``verified`` is None until its signature was checked."""

    request: Request
    body: bytes
    access_key: str
    region: str
    settings: Settings
    verified: bool | None = None

    def environ(self, signed: _Signed, key: str) -> dict[str, Any]:
        """What the auth filter sees: a request on the account of the access key, as s3api would make it.

        It carries neither a token nor any header that a filter in between could take for its own.
        """
        checker = SigCheckerV4(signed)

        def check(secret: str) -> bool:
            self.verified = checker.check_signature(secret)
            return self.verified

        environ = {name: value for name, value in self.request.environ.items()
                   if name in _KEPT or not name.startswith('HTTP_') and name not in _LOST}
        return environ | {
            'REQUEST_METHOD': 'POST', 'SCRIPT_NAME': '', 'PATH_INFO': f'/v1/{str_to_wsgi(self.access_key)}',
            'QUERY_STRING': '', 'CONTENT_TYPE': '', 'CONTENT_LENGTH': '0', 'wsgi.input': BytesIO(), key: self,
            's3api.auth_details': {
                'access_key': self.access_key, 'signature': signed.signature,
                'string_to_sign': checker.string_to_sign, 'check_signature': check}}


def read(request: Request, settings: Settings, key: str, clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """The request as it is passed on to the auth filter, with its :class:`SignedRequest` under ``key``.

    Raises SqsError for one that no secret could make good, and what reading its body raises.
    """
    text = credential_of(request)
    if text is None:
        raise SqsError('MissingAuthenticationToken', 'The request must contain a Signature Version 4.')
    credential = _CREDENTIAL.fullmatch(text)
    if credential is None or not credential['access_key'].isprintable():
        raise SqsError('IncompleteSignature', 'The credential must be KEY/DATE/REGION/sqs/aws4_request.')
    if settings.regions and credential['region'] not in settings.regions:
        raise SqsError('SignatureDoesNotMatch', f'Credential should be scoped to a valid region, not '
                                                f'{credential["region"]}.')
    try:
        signed = _Signed(request.environ, credential)
        if signed.access_key != credential['access_key']:
            raise SqsError('IncompleteSignature', 'A request is signed in a header or in its URL, not in both.')
        _check_form(request, signed)
        _check_time(signed, clock())
        body = request.body(settings.max_body)
        signed.headers['X-Amz-Content-SHA256'] = hashlib.sha256(body).hexdigest()
        ours = SignedRequest(request, body, signed.access_key, credential['region'], settings)
        return ours.environ(signed, key)
    except (ErrorResponse, UnicodeError):
        raise SqsError('IncompleteSignature', 'The signature of the request is not complete.') from None


def _check_form(request: Request, signed: _Signed) -> None:
    if not _STAMP.fullmatch(signed.stamp):
        raise SqsError('IncompleteSignature', 'A date in X-Amz-Date is needed, such as 20300131T235959Z.')
    needed = {'host'} | ({'x-amz-target'} if request.header('X-Amz-Target') is not None else set())
    if forgotten := sorted(needed - signed.signed_headers):
        raise SqsError('SignatureDoesNotMatch', f'The headers {", ".join(forgotten)} must be signed.')


def _check_time(signed: _Signed, now: float) -> None:
    signed_at = int(signed.signing_timestamp)
    try:
        seconds = signed.seconds()
    except ValueError:
        raise SqsError('IncompleteSignature', f'X-Amz-Expires must be from 0 to {_LONGEST}.') from None
    if not signed_at - SKEW <= now <= signed_at + seconds:
        current = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))
        raise SqsError('RequestExpired', f'The signature of {signed.stamp} is good for {seconds} seconds, and it is '
                                         f'{current} now.')
