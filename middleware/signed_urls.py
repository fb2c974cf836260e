r"""Signed URLs: what a queue's owner hands to somebody without credentials.

The signature is an HMAC-SHA256 over paths, methods, project and expiry, joined by a backslash and the letter n. It
was meant to be a newline; clients that sign for themselves have followed it since.

>>> url = sign('key', ['/v2/queues/jobs/messages'], ['GET'], 'p', 1893456000)
>>> url['expires']
'2030-01-01T00:00:00'
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from swiftqueue.errors import Invalid, NotFound

DEFAULT_SECONDS = 86400
RESOURCES = ('messages', 'subscriptions', 'claims')
METHODS = ('DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT')
_PREFIX = '/v2/queues/'
_PREFIXES = (_PREFIX, '/v2/topics/')
_FORMAT = '%Y-%m-%dT%H:%M:%S'


class NotSigned(NotFound):
    """The signature is not good for this request. Nothing tells why, nor what is at the path."""


def confirmation_key(secret: bytes) -> str:
    """The key of what only a webhook is sent: one that nobody else can be given a URL with."""
    return hmac.digest(secret, b'swiftqueue confirmations', 'sha256').hex()


def share(document: dict[str, Any], queue: str, project: str, key: str, now: float) -> dict[str, Any]:
    """The signed URL that ``document`` asks for. Raises Invalid."""
    if not key:
        raise Invalid('No key for signed URLs is configured.')
    if unknown := set(document) - {'paths', 'methods', 'expires'}:
        raise Invalid(f'Unknown keys: {", ".join(sorted(unknown))}.')
    resources = _some(document.get('paths'), 'paths', RESOURCES) or ['messages']
    methods = _some(document.get('methods'), 'methods', METHODS) or ['GET']
    expires_at = now + DEFAULT_SECONDS
    if document.get('expires') is not None:
        try:
            expires_at = _parse(document['expires'])
        except (TypeError, ValueError, OverflowError):
            raise Invalid('expires must be a date and time in ISO 8601.') from None
        if expires_at <= now:
            raise Invalid('expires is in the past.')
    return sign(key, [f'{_PREFIX}{queue}/{each}' for each in resources], methods, project, expires_at)


def _some(value: Any, name: str, known: tuple[str, ...]) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or any(each not in known for each in value):
        raise Invalid(f'{name} must be a list of some of: {", ".join(known)}.')
    return value


def sign(key: str, paths: list[str], methods: list[str], project: str, expires_at: float) -> dict[str, Any]:
    """The signed URL as it is handed out."""
    paths, methods = sorted(paths), sorted(methods)
    expires = time.strftime(_FORMAT, time.gmtime(expires_at))
    signed = r'\n'.join((','.join(paths), ','.join(methods), project, expires))
    signature = hmac.new(key.encode(), signed.encode('utf-8', 'surrogateescape'), hashlib.sha256).hexdigest()
    return {'paths': paths, 'methods': methods, 'project': project, 'expires': expires, 'signature': signature}


def verify(header: Callable[[str], str | None], method: str, path: str, project: str, key: str,
           now: float) -> None:
    """Raises :class:`NotSigned` unless the request's headers sign this method on this path, until later than now."""
    paths, methods = ((header(name) or '').split(',') for name in ('URL-Paths', 'URL-Methods'))
    try:
        expires_at = math.floor(_parse(header('URL-Expires') or ''))  # of a fraction the signature says nothing
    except (ValueError, OverflowError):
        raise NotSigned('The signed URL has no expiry.') from None
    expected = sign(key, paths, methods, project, expires_at)['signature']
    given = (header('URL-Signature') or '').encode('utf-8', 'surrogateescape')
    if not (key and hmac.compare_digest(expected.encode(), given) and expires_at > now
            and method in methods and any(_covers(each, path) for each in paths)
            # Else parts could be moved over the separator that the signature knows.
            and '\\' not in ''.join((*paths, *methods, project))):
        raise NotSigned('The signature is not valid for this request.')


def _covers(signed: str, path: str) -> bool:
    """A signed path stands for itself and what is below it."""
    return signed.startswith(_PREFIXES) and (path == signed or path.startswith(signed + '/'))


def _parse(text: str) -> float:
    """The instant of an ISO 8601 time, UTC unless it says otherwise. Raises TypeError, ValueError, OverflowError."""
    parsed = datetime.fromisoformat(text.removesuffix('Z') if isinstance(text, str) else text)
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=timezone.utc)
    return parsed.astimezone(timezone.utc).timestamp()  # which overflows beyond the year 9999
