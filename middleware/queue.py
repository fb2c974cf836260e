"""The filter ``queue`` of the Swift proxy: the doors that stand right of authentication.

See ``etc/proxy-server.conf-sample`` for its place and its options.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from typing import Any

from swift.common import utils
from swift.common.registry import register_swift_info

from swiftqueue import __version__, policies
from swiftqueue.limits import Options
from swiftqueue.majorities import Majorities
from swiftqueue.object_servers import Primaries, Whereabouts
from swiftqueue.queues import Engine
from swiftqueue.swift import encrypts

from . import burrow, locality, sqs_door, zaqar
from .pipeline import check_place, final_app

# What a client can make use of; how the service works inside is nobody's business.
_PUBLIC = ('max_queues_per_page', 'max_messages_per_page', 'max_messages_per_claim_or_pop', 'max_queue_metadata',
           'max_messages_post_size', 'min_message_ttl', 'max_message_ttl', 'max_message_delay', 'min_claim_ttl',
           'max_claim_ttl', 'min_claim_grace', 'max_claim_grace', 'max_shards', 'max_wait',
           'max_subscriptions_per_page', 'max_subscriptions')


class QueueFilter:
    """Answers the paths of Messaging and Burrow, and what the filter ``sqsapi`` has claimed; lets all else pass."""

    serves_sqs = True

    def __init__(self, app: Callable, engine: Engine, logger: Any):
        self.app = app
        self.engine = engine
        self.door = zaqar.door(app, engine, logger)
        self._at_root = zaqar.paths_at_root(engine.options)
        self.burrow = burrow.door(app, engine, logger)
        self.sqs = sqs_door.Door(app, engine, logger)
        self._pipeline_of_proxy: list[Any] | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        if sqs_door.SIGNED in environ:
            return self.sqs(environ, locality.telling(environ, start_response))
        path = environ.get('PATH_INFO', '')
        door, within = self.burrow, burrow.path_within(environ.get('HTTP_HOST', ''), path, self.engine.options)
        if within is None:
            door, within = self.door, zaqar.path_within(path, self._at_root)
        if within is None:
            return self.app(environ, start_response)
        environ['swift.leave_relative_location'] = True
        environ = {**environ, 'PATH_INFO': within}
        return door(environ, locality.telling(environ, start_response))

    @property
    def _pipeline(self) -> list[Any] | None:
        return self._pipeline_of_proxy

    @_pipeline.setter
    def _pipeline(self, pipeline: list[Any]) -> None:
        """Swift's loader sets this on every filter once all are loaded: the moment to look around."""
        check_place(pipeline, self, anonymous=self.engine.options.allow_anonymous)
        self._pipeline_of_proxy = pipeline


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Callable], QueueFilter]:
    """For paste. Raises ValueError, which stops the proxy, for options it does not know or that have bad values."""
    conf = {name: value for name, value in local_conf.items() if not name.startswith('__')}
    options = Options.from_conf(conf)
    key = receipt_key(options)
    logger = utils.get_logger({**global_conf, **local_conf}, log_route='queue')
    if options.ephemeral_policy and policies.open_policy(options.ephemeral_policy) is None:
        logger.warning('swiftqueue: ephemeral_policy = %s is no storage policy that takes new containers, so '
                       'no message will be ephemeral', options.ephemeral_policy)
    register_swift_info('swiftqueue', version=__version__, apis=_apis(options),
                        **{name: getattr(options, name) for name in _PUBLIC})

    def queue_filter(app: Callable) -> QueueFilter:
        engine = Engine(options, key, encrypted=encrypts(app), primaries=_primaries(app, options),
                        majorities=_majorities(app), locate=_whereabouts(app), statistics=logger.update_stats)
        return QueueFilter(app, engine, logger)

    return queue_filter


def _apis(options: Options) -> list[str]:
    return [f'messaging-v{each}' for each in options.api_versions] + ['burrow-v1.0'] * options.burrow


def _primaries(app: Callable, options: Options) -> Primaries | None:
    """For asking object servers without a proxy-server in between; None where that is not possible or not wanted."""
    object_ring = getattr(final_app(app), 'get_object_ring', None)
    return Primaries(object_ring) if object_ring and options.direct_reads else None


def _whereabouts(app: Callable) -> Whereabouts | None:
    """For telling which messages are near; None where nobody has the rings."""
    object_ring = getattr(final_app(app), 'get_object_ring', None)
    return Whereabouts(object_ring) if object_ring else None


def _majorities(app: Callable) -> Majorities | None:
    """For asking container servers one by one, as FIFO queues need it; None where that is not possible."""
    ring = getattr(final_app(app), 'container_ring', None)
    return Majorities(ring) if ring else None


def receipt_key(options: Options) -> bytes:
    """The key that signs receipts: the same in every proxy of a cluster.

    Without the option it comes from what swift.conf keeps secret for the cluster anyway. Raises ValueError if
    there is neither.
    """
    if options.receipt_key:
        return options.receipt_key.encode()
    try:
        utils.validate_hash_conf()
    except (utils.InvalidHashPathConfigError, OSError):
        raise ValueError('swiftqueue: there is no swift.conf with a hash path prefix or suffix to make a key of; '
                         'set the option receipt_key') from None
    secret = utils.HASH_PATH_PREFIX + b'\0' + utils.HASH_PATH_SUFFIX
    return hmac.digest(secret, b'swiftqueue receipts', 'sha256')
