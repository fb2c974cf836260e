"""The filter ``sqsapi`` of the Swift proxy: it finds the requests that are Amazon SQS's among all others.

It stands left of s3api, which would take every request with a Signature Version 4 for its own, and hence left of the
auth filter. So it only looks at the signature's form and hands it to the auth filter in the way s3api does; the action
is the business of the filter ``queue``, which stands right of authentication. See ``doc/source/sqs.rst``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from swift.common import utils
from swift.common.registry import register_swift_info

from swiftqueue.errors import QueueError

from . import sqs_signature
from .frontend import Request
from .pipeline import check_place_of_sqs
from .sqs_door import SIGNED, send_error
from .sqs_format import FORM, TARGET
from .sqs_settings import Settings

_QUEUE_PATH = re.compile(r'/[0-9]{12}/[^/]+/?')


class SqsFilter:
    """Claims requests of Amazon SQS and lets all else pass untouched."""

    claims_sqs = True

    def __init__(self, app: Callable, settings: Settings, logger: Any):
        self.app = app
        self.settings = settings
        self.logger = logger
        self._pipeline_of_proxy: list[Any] | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        request = Request(environ)
        if not is_for_us(request):
            return self.app(environ, start_response)
        try:
            passed_on = sqs_signature.read(request, self.settings, SIGNED)
        except QueueError as error:
            return send_error(error, environ, request, b'', start_response)
        # The log of the request names who claims to have sent it, unless the auth filter knows better.
        passed_on['swift.access_logging'] = environ.setdefault('swift.access_logging', {})
        passed_on['swift.access_logging'].setdefault('user_id', passed_on[SIGNED].access_key[:128])
        return self.app(passed_on, start_response)

    @property
    def _pipeline(self) -> list[Any] | None:
        return self._pipeline_of_proxy

    @_pipeline.setter
    def _pipeline(self, pipeline: list[Any]) -> None:
        """Swift's loader sets this on every filter once all are loaded: the moment to look around."""
        check_place_of_sqs(pipeline, self)
        self._pipeline_of_proxy = pipeline


def is_for_us(request: Request) -> bool:
    """Whether a request is one of Amazon SQS, signed for it or not signed at all."""
    if request.path != '/' and not _QUEUE_PATH.fullmatch(request.path) or request.method not in ('GET', 'POST'):
        return False
    credential = sqs_signature.credential_of(request)
    if credential is not None:
        return sqs_signature.is_ours(credential) and (
            request.method == 'POST' or request.path != '/' or _has_action(request))
    if request.header('Authorization') is not None:
        return False
    if request.method == 'POST':
        target = request.header('X-Amz-Target') or ''
        media = request.media_type.partition(';')[0].strip().lower()
        return target.startswith(TARGET) or media == FORM or _has_action(request)
    return _has_action(request)


def _has_action(request: Request) -> bool:
    return 'Action' in parse_qs(request.environ.get('QUERY_STRING', ''))


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Callable], SqsFilter]:
    """For paste. Raises ValueError, which stops the proxy, for options it does not know or that have bad values."""
    settings = Settings.from_conf({name: value for name, value in local_conf.items() if not name.startswith('__')})
    logger = utils.get_logger({**global_conf, **local_conf}, log_route='sqsapi')
    register_swift_info('sqsapi', protocols=['aws-json-1.0', 'query'])
    return lambda app: SqsFilter(app, settings, logger)
