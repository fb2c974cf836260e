"""Where in the proxy's pipeline the filters may stand. Of ``queue``:

======================================  =========================  ==================================================
filter                                  has to be                  because otherwise
======================================  =========================  ==================================================
gatekeeper                              left                       a client's own X-Backend headers would reach Swift
cache                                   left                       proxies could not tell each other of claims
authentication                          left                       nobody would know who asks
keymaster and encryption                right                      messages would be stored in plain text
======================================  =========================  ==================================================

And of ``sqsapi``:

======================================  =========================  ==================================================
s3api                                   right                      it would take every signed request for its own
authentication                          right                      nobody would check the signature
queue                                   right                      nobody would serve the request
======================================  =========================  ==================================================

And of ``sqstoken``, without which keystoneauth could not serve a signed request:

======================================  =========================  ==================================================
sqsapi                                  left                       there would be no signatures to check
authtoken                               left                       it would remove what sqstoken found out
s3token                                 right                      it would refuse the signature
keystoneauth                            right                      it would not know who asks
======================================  =========================  ==================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swift.common.middleware.crypto.decrypter import Decrypter
from swift.common.middleware.crypto.encrypter import Encrypter
from swift.common.middleware.crypto.keymaster import BaseKeyMaster
from swift.common.middleware.gatekeeper import GatekeeperMiddleware
from swift.common.middleware.keystoneauth import KeystoneAuth
from swift.common.middleware.memcache import MemcacheMiddleware
from swift.common.middleware.s3api.s3api import S3ApiMiddleware

from swiftqueue.swift import chain

_CRYPTO = (BaseKeyMaster, Decrypter, Encrypter)


def final_app(app: Callable) -> Any:
    """What is at the end of the pipeline: in a proxy, Swift's proxy-server."""
    *_, last = chain(app)
    return last


def check_place(pipeline: list[Any], ours: Any, *, anonymous: bool) -> None:
    """Raises ValueError, which stops the proxy, if the filter ``ours`` cannot work at its place."""
    at = next(number for number, each in enumerate(pipeline) if each is ours)
    left, right = pipeline[:at], pipeline[at + 1:]
    if any(_authenticates(each) for each in right):
        raise _misplaced('has to be right of the auth filter: there it learns who asks')
    if not anonymous and not any(_authenticates(each) for each in left):
        raise _misplaced('needs an auth filter, such as tempauth or keystoneauth, on its left; to serve everybody '
                         'who can reach the proxy, set its option allow_anonymous')
    if any(isinstance(each, _CRYPTO) for each in left):
        raise _misplaced('has to be left of keymaster and encryption, or messages would be stored unencrypted')
    for kind, name in ((GatekeeperMiddleware, 'gatekeeper'), (MemcacheMiddleware, 'cache')):
        if not any(isinstance(each, kind) for each in left):
            raise _misplaced(f'has to be right of {name}')


def check_place_of_sqs(pipeline: list[Any], ours: Any) -> None:
    """Raises ValueError, which stops the proxy, if the filter ``ours`` cannot work at its place."""
    at = next(number for number, each in enumerate(pipeline) if each is ours)
    left, right = pipeline[:at], pipeline[at + 1:]
    if any(isinstance(each, S3ApiMiddleware) for each in left):
        raise _misplaced('has to be left of s3api', 'sqsapi')
    if not any(_authenticates(each) for each in right):
        raise _misplaced('needs an auth filter on its right', 'sqsapi')
    auth = [each for each in right if _authenticates(each)]
    if all(isinstance(each, KeystoneAuth) for each in auth) and not any(_checks_sqs(each) for each in right):
        raise _misplaced('needs the filter sqstoken on its right, since keystoneauth checks no signatures', 'sqsapi')
    if not any(getattr(each, 'serves_sqs', False) for each in right):
        raise _misplaced('needs the filter queue on its right', 'sqsapi')


def check_place_of_token(pipeline: list[Any], ours: Any) -> None:
    """Raises ValueError, which stops the proxy, if the filter ``ours`` cannot work at its place."""
    at = next(number for number, each in enumerate(pipeline) if each is ours)
    left, right = pipeline[:at], pipeline[at + 1:]
    if not any(getattr(each, 'claims_sqs', False) for each in left):
        raise _misplaced('has to be right of sqsapi', 'sqstoken')
    if any(_is_from('swift.common.middleware.s3api.s3token', each) for each in left):
        raise _misplaced('has to be left of s3token', 'sqstoken')
    if not any(isinstance(each, KeystoneAuth) for each in right):
        raise _misplaced('has to be left of keystoneauth', 'sqstoken')
    if any(_is_from('keystonemiddleware.auth_token', each) for each in right):
        raise _misplaced('has to be right of authtoken', 'sqstoken')


def _is_from(module: str, filter_: Any) -> bool:
    """For filters that cannot be imported where there is nothing of Keystone."""
    return type(filter_).__module__ == module


def _checks_sqs(filter_: Any) -> bool:
    return getattr(filter_, 'checks_sqs', False)


def _authenticates(filter_: Any) -> bool:
    return callable(getattr(filter_, 'authorize', None))


def _misplaced(what: str, which: str = 'queue') -> ValueError:
    return ValueError(f'swiftqueue: check the order of the pipeline: the filter {which} {what}.')
