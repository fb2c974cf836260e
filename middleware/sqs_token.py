"""The filter ``sqstoken`` of the Swift proxy: it has Keystone check the signatures of Amazon SQS.

It is for Amazon SQS what Swift's s3token is for S3, has that filter's options, and stands between ``sqsapi`` and
keystoneauth. Keystone's interface for S3 refuses other services, so the one for EC2 is asked, which computes the
signature itself and so is told what was signed. With credentials for Keystone in its options, the filter also fetches
the secret of an access key, and for a minute or so it needs no Keystone for that key: a cache shared with s3token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, quote

import requests
from swift.common.middleware.s3api.s3token import S3Token, parse_v3_response
from swift.common.swob import Request as SwobRequest
from swift.common.swob import str_to_wsgi, wsgi_to_bytes
from swift.common.utils import cache_from_env

from swiftqueue.errors import QueueError, Unavailable

from .pipeline import check_place_of_token
from .sqs_door import SIGNED, send_error
from .sqs_errors import SqsError
from .sqs_signature import SignedRequest

_AWAY = 'Keystone does not answer.'

Identity = tuple[dict[str, str], dict[str, Any]]  # headers for keystoneauth, and the project


class SqsToken(S3Token):
    """Says of each request of Amazon SQS whose it is; lets all else pass untouched."""

    checks_sqs = True

    def __init__(self, app: Callable, conf: dict[str, str]):
        super().__init__(app, {'log_name': 'sqstoken'} | conf)
        self.app = app
        self._request_uri = self._request_uri.removesuffix('/s3tokens') + '/ec2tokens'
        self._pipeline_of_proxy: list[Any] | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        signed: SignedRequest | None = environ.get(SIGNED)
        if signed is None:
            return self.app(environ, start_response)
        try:
            headers, project = self._identify(environ, signed)
        except QueueError as error:
            return send_error(error, environ, signed.request, signed.body, start_response)
        del environ['s3api.auth_details']  # s3token, if it comes next, has nothing to do
        SwobRequest(environ).headers.update(headers)
        # Of this keystoneauth wants to know the version, and s3token whether there is one.
        environ['keystone.token_info'] = {'token': {}}
        environ['PATH_INFO'] = str_to_wsgi(f'/v1/{self._reseller_prefix}{project["id"]}')
        return self.app(environ, start_response)

    def _identify(self, environ: dict[str, Any], signed: SignedRequest) -> Identity:
        """Raises SqsError if the signature is not good, Unavailable."""
        details = environ['s3api.auth_details']
        cache = cache_from_env(environ) if self._secret_cache_duration else None
        cached = cache.get(_cache_key(signed)) if cache else None
        if cached:
            headers, *_, project, secret = cached
            if details['check_signature'](secret):
                return headers, project
        headers, project = self._ask_keystone(signed, details, known=bool(cached))
        secret = cache and self._fetch_secret(headers['X-User-Id'], signed.access_key)
        if secret:
            cache.set(_cache_key(signed), (headers, project, secret), time=self._secret_cache_duration)
        signed.verified = True
        return headers, project

    def _ask_keystone(self, signed: SignedRequest, details: dict[str, Any], *, known: bool) -> Identity:
        """Raises SqsError if Keystone refuses the signature, or cannot check it; Unavailable."""
        credentials = _credentials(signed, details)
        try:
            service = self.keystoneclient.session.get_auth_headers() if self.keystoneclient else {}
            answer = requests.post(self._request_uri, json={'credentials': credentials}, headers=service,
                                   verify=self._verify, timeout=self._timeout)
        except Exception as error:  # whatever the plugin for our own token raises
            raise Unavailable(f'{_AWAY} {type(error).__name__}') from None
        if answer.status_code == 401 and known:
            raise SqsError('SignatureDoesNotMatch', 'The request signature we calculated does not match the signature '
                                                    'you provided. Check your secret key and signing method.')
        if answer.status_code == 401:
            raise SqsError('InvalidClientTokenId', 'The access key is unknown, or the request was signed with another '
                                                   'secret key than its own.')
        try:
            if answer.status_code != 200:
                raise ValueError
            return parse_v3_response(answer.json())
        except (ValueError, KeyError, TypeError):
            self._logger.warning('sqstoken: Keystone answered %d', answer.status_code)
            raise Unavailable('Keystone answers what nobody understands.') from None

    def _fetch_secret(self, user_id: str, access_key: str) -> str | None:
        """None if Keystone does not tell; then the next request is validated by Keystone again."""
        try:
            return self.keystoneclient.ec2.get(user_id=user_id, access=access_key).secret
        except Exception as error:
            self._logger.warning('sqstoken: Keystone does not tell the secret of %s: %s', access_key, error)
            return None

    @property
    def _pipeline(self) -> list[Any] | None:
        return self._pipeline_of_proxy

    @_pipeline.setter
    def _pipeline(self, pipeline: list[Any]) -> None:
        """Swift's loader sets this on every filter once all are loaded: the moment to look around."""
        check_place_of_token(pipeline, self)
        self._pipeline_of_proxy = pipeline


def _cache_key(signed: SignedRequest) -> str:
    return f's3secret/{signed.access_key}'


def _credentials(signed: SignedRequest, details: dict[str, Any]) -> dict[str, Any]:
    """What Keystone has to know to compute the signature.

    It passes over the query string of a POST, and of two parameters with one name it is told only one. What nobody
    would have checked must not be served, so these raise SqsError.
    """
    environ = signed.request.environ
    pairs = parse_qsl(environ.get('QUERY_STRING', ''), keep_blank_values=True)
    params = dict(pairs)
    if len(params) < len(pairs) or pairs and signed.request.method == 'POST':
        raise SqsError('SignatureDoesNotMatch', 'Keystone cannot check the signature of a POST with a query string, or '
                                                'of parameters that are repeated.')
    params.pop('X-Amz-Signature', None)
    headers = {name.removeprefix('HTTP_').replace('_', '-').title(): signed.request.header(name.removeprefix('HTTP_'))
               for name in environ if name.startswith('HTTP_')}
    headers['Content-Type'] = signed.request.media_type
    return {'access': signed.access_key, 'signature': details['signature'], 'host': headers.get('Host', ''),
            'verb': signed.request.method, 'path': quote(wsgi_to_bytes(signed.request.path), safe='/-_.~'),
            'params': params, 'headers': headers, 'body_hash': hashlib.sha256(signed.body).hexdigest()}


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Callable], SqsToken]:
    """For paste. Raises ValueError, which stops the proxy, for options with bad values."""
    return lambda app: SqsToken(app, global_conf | local_conf)
