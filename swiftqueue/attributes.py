"""The attributes of a queue that mean something to the engine. Any other name is the tenant's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swiftqueue.errors import Invalid
from swiftqueue.limits import Options, check_definition_name, check_integer, check_queue_name

FLAVOR = '_flavor'  # settled when the queue is created
SHARDS = '_shards'  # kept in the record by itself, since it only ever grows
FIFO = '_fifo'  # for good: a queue is made with it or without
EPHEMERAL = '_ephemeral'  # whether messages are that do not say it themselves
IDLE_EXPIRY = '_idle_expiry'  # seconds; the janitor deletes the queue that nobody has used for so long

_BACKOFFS = ('linear', 'arithmetic', 'geometric', 'exponential')
_RETRY_INTEGERS = ('retries_with_no_delay', 'minimum_delay_retries', 'minimum_delay', 'maximum_delay',
                   'maximum_delay_retries')


def _integer(least: str | int, most: str | int) -> Callable:
    """Bounds are numbers, or names of the options that hold them."""
    def check(name: str, value: Any, options: Options) -> None:
        low, high = (getattr(options, bound) if isinstance(bound, str) else bound for bound in (least, most))
        check_integer(name, value, low, high)
    return check


def _boolean(name: str, value: Any, options: Options) -> None:
    if not isinstance(value, bool):
        raise Invalid(f'{name} must be true or false.')


def _queue_name(name: str, value: Any, options: Options) -> None:
    try:
        check_queue_name(value)
    except Invalid as error:
        raise Invalid(f'{name}: {error}') from None


def check_retry_policy(name: str, value: Any, options: Options) -> None:
    """Raises Invalid unless retries.py can keep to the policy."""
    if not isinstance(value, dict):
        raise Invalid(f'{name} must be an object.')
    for key, entry in value.items():
        if key in _RETRY_INTEGERS:
            check_integer(f'{name}.{key}', entry, 0, 2 ** 31)
        elif key == 'retry_backoff_function':
            if entry not in _BACKOFFS:
                raise Invalid(f'{name}.{key} must be one of {", ".join(_BACKOFFS)}.')
        elif key == 'ignore_subscription_override':
            _boolean(f'{name}.{key}', entry, options)
        else:
            raise Invalid(f'{name} has no field {key!r}.')
    low, high = value.get('minimum_delay'), value.get('maximum_delay')
    if low is not None and high is not None and high - low < 10:
        raise Invalid(f'{name}.maximum_delay must be at least 10 seconds more than minimum_delay.')


def _acl(name: str, value: Any, options: Options) -> None:
    # Swift's own parser has the last word; this only keeps the value one short line.
    if not isinstance(value, str) or len(value) > 1024 or not value.isprintable():
        raise Invalid(f'{name} must be a container ACL of at most 1024 printable characters.')


def _flavor(name: str, value: Any, options: Options) -> None:
    try:
        check_definition_name(value)
    except Invalid:
        raise Invalid(f'There is no flavor {value!r}.') from None


def _tags(name: str, value: Any, options: Options) -> None:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise Invalid(f'{name} must be an object of strings.')


def _policy(name: str, value: Any, options: Options) -> None:
    if not isinstance(value, dict):
        raise Invalid(f'{name} must be an object.')


def _dead_letters_from(name: str, value: Any, options: Options) -> None:
    if not isinstance(value, list):
        raise Invalid(f'{name} must be a list of queues.')
    for queue in value:
        _queue_name(name, queue, options)


def _one_of(*words: str) -> Callable:
    def check(name: str, value: Any, options: Options) -> None:
        if value not in words:
            raise Invalid(f'{name} must be one of {", ".join(words)}.')
    return check


_CHECKS: dict[str, Callable[[str, Any, Options], None]] = {
    '_max_messages_post_size': _integer(1, 'max_messages_post_size'),
    '_default_message_ttl': _integer('min_message_ttl', 'max_message_ttl'),
    '_default_message_delay': _integer(0, 'max_message_delay'),
    '_dead_letter_queue': _queue_name,
    '_dead_letter_queue_messages_ttl': _integer('min_message_ttl', 'max_message_ttl'),
    '_max_claim_count': _integer(1, 999_999),
    '_enable_encrypt_messages': _boolean,
    '_retry_policy': check_retry_policy,
    '_read_acl': _acl,
    '_write_acl': _acl,
    FLAVOR: _flavor,
    SHARDS: _integer(1, 'max_shards'),
    '_max_message_size': _integer(1, 'max_message_size'),
    '_default_claim_ttl': _integer(0, 'max_claim_ttl'),
    '_default_wait': _integer(0, 60),
    '_dead_letters_from': _dead_letters_from,
    '_tags': _tags,
    '_policy': _policy,
    FIFO: _boolean,
    EPHEMERAL: _boolean,
    IDLE_EXPIRY: _integer(120, 2 ** 31 - 1),  # see idle.py for what needs some of it
    '_content_deduplication': _boolean,
    '_deduplication_scope': _one_of('queue', 'group'),
    '_throughput_limit': _one_of('queue', 'group'),
}


def defaults(options: Options) -> dict[str, Any]:
    """The attributes that every queue has, with the values they take when not set."""
    return {
        '_max_messages_post_size': options.max_messages_post_size,
        '_default_message_ttl': options.default_message_ttl,
        '_default_message_delay': options.default_message_delay,
        '_dead_letter_queue': None,
        '_dead_letter_queue_messages_ttl': None,
        '_max_claim_count': None,
        '_enable_encrypt_messages': False,
    }


def effective(attributes: dict[str, Any], options: Options, shards: int | None = None) -> dict[str, Any]:
    """The attributes as a reader sees them: what is unset or empty falls back to its default.

    ``shards`` is how many the queue has, the default for None; a single one is not shown.
    """
    filled = dict(attributes)
    if (shards := shards or options.default_shards) > 1:
        filled[SHARDS] = shards
    for name, default in defaults(options).items():
        filled[name] = filled.get(name) or default
    return filled


def max_message_size(attributes: dict[str, Any], options: Options) -> int:
    """The most bytes of one message in a queue with these attributes."""
    return (attributes.get('_max_message_size') or attributes.get('_max_messages_post_size')
            or options.max_messages_post_size)


def check(attributes: dict[str, Any], queue: str, options: Options, *, encrypted: bool) -> None:
    """Raises :class:`Invalid` for a value that the engine could not keep to. None means unset."""
    for name, value in attributes.items():
        if value is not None and name in _CHECKS:
            _CHECKS[name](name, value, options)
    if attributes.get(FIFO) and (attributes.get(SHARDS) or 1) > 1:
        raise Invalid('A FIFO queue has one shard.')
    if attributes.get('_throughput_limit') == 'group' and attributes.get('_deduplication_scope') != 'group':
        raise Invalid('A throughput limit per group needs the scope of deduplication to be the group.')
    if attributes.get('_dead_letter_queue') == queue:
        raise Invalid('A queue cannot be its own dead-letter queue.')
    if attributes.get('_enable_encrypt_messages') and not encrypted:
        raise Invalid('This cluster does not encrypt objects, so messages cannot be encrypted.')
