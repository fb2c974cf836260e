"""Every option of the filter, its default, and the checks that the doors share.

The table in :class:`Options` is the only place that knows an option's name, type and default;
``etc/proxy-server.conf-sample`` describes each and a test holds the two together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from swiftqueue.errors import Invalid, TooLarge
from swiftqueue.ids import SHARDS
from swiftqueue.model import Place

TRUE = ('true', '1', 'yes', 'on', 't', 'y')
FALSE = ('false', '0', 'no', 'off', 'f', 'n')

# Swift refuses header lines over 8192 bytes, and such a row would never arrive.
MAX_INLINE = 7500

_QUEUE = re.compile(r'[A-Za-z0-9_.-]{1,80}')
_PLACE = re.compile(r'r([0-9]{1,9})(?:z([0-9]{1,9}))?')


class OptionError(ValueError):
    """An option of the filter is unknown or has a bad value; the text names it."""


def _integer(least: int, most: int):
    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError(f'not within {least} to {most}')
        return value
    return parse


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise ValueError('not within 0 to 3600 seconds')
    return value


def _boolean(text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError('neither true nor false')


def _one_of(*words: str):
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError('not one of ' + ', '.join(words))
        return text
    return parse


def _some_of(*words: str):
    def parse(text: str) -> tuple[str, ...]:
        given = text.replace(',', ' ').split()
        if not given or not set(given) <= set(words):
            raise ValueError('not some of ' + ', '.join(words))
        return tuple(word for word in words if word in given)
    return parse


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.lower().replace(',', ' ').split())


def _place(text: str) -> Place | None:
    try:
        return check_place(text) if text else None
    except Invalid as error:
        raise ValueError(error) from None


def _option(default: Any, parse: Any) -> Any:
    return field(default=default, metadata={'parse': parse})


_BIG = 2 ** 31 - 1


@dataclass(frozen=True)
class Options:
    """The operator's choices. Durations are seconds, sizes bytes."""

    api_versions: tuple[str, ...] = _option(('2',), _some_of('2', '1.1', '1'))
    burrow: bool = _option(True, _boolean)
    burrow_hosts: tuple[str, ...] = _option((), _words)
    max_queues_per_page: int = _option(20, _integer(1, 1000))
    max_subscriptions_per_page: int = _option(20, _integer(1, 1000))
    max_subscriptions: int = _option(1000, _integer(0, 100000))
    max_messages_per_page: int = _option(20, _integer(1, 1000))
    max_messages_per_claim_or_pop: int = _option(20, _integer(1, 100))
    max_queue_metadata: int = _option(65536, _integer(1024, 65536))
    max_messages_post_size: int = _option(262144, _integer(1024, 64 * 2 ** 20))
    max_message_size: int = _option(1048576, _integer(1024, 2 ** 20))
    min_message_ttl: int = _option(60, _integer(1, _BIG))
    max_message_ttl: int = _option(1209600, _integer(1, _BIG))
    default_message_ttl: int = _option(3600, _integer(1, _BIG))
    default_named_message_ttl: int = _option(600, _integer(0, _BIG))
    max_named_message_ttl: int = _option(_BIG, _integer(1, _BIG))
    max_message_delay: int = _option(900, _integer(0, _BIG))
    default_message_delay: int = _option(0, _integer(0, _BIG))
    min_claim_ttl: int = _option(60, _integer(1, _BIG))
    max_claim_ttl: int = _option(43200, _integer(1, _BIG))
    default_claim_ttl: int = _option(300, _integer(1, _BIG))
    min_claim_grace: int = _option(60, _integer(0, _BIG))
    max_claim_grace: int = _option(43200, _integer(0, _BIG))
    default_claim_grace: int = _option(60, _integer(0, _BIG))
    default_shards: int = _option(1, _integer(1, SHARDS))
    max_shards: int = _option(SHARDS, _integer(1, SHARDS))
    ephemeral_policy: str = _option('', str)
    max_wait: int = _option(20, _integer(0, 60))
    max_waiters_per_worker: int = _option(500, _integer(0, 100000))
    max_waiters_per_account: int = _option(250, _integer(0, 100000))
    inline_limit: int = _option(4096, _integer(0, MAX_INLINE))
    head_seconds: float = _option(1.0, _seconds)
    gate_seconds: int = _option(30, _integer(5, 300))
    confirm_limit: float = _option(10.0, _seconds)
    subrequests: int = _option(10, _integer(1, 100))
    confirm_webhooks: bool = _option(True, _boolean)
    direct_reads: bool = _option(True, _boolean)
    locality: Place | None = _option(None, _place)
    locality_patience: float = _option(5.0, _seconds)
    receipt_key: str = _option('', str)
    signed_url_key: str = _option('', str)
    message_delete_with_claim_id: bool = _option(False, _boolean)
    enable_checksum: bool = _option(False, _boolean)
    client_id_uuid_safe: str = _option('strict', _one_of('strict', 'off'))
    reseller_prefix: str = _option('AUTH', str)
    admin_role: str = _option('', str)
    allow_anonymous: bool = _option(False, _boolean)

    @classmethod
    def from_conf(cls, conf: dict[str, str]) -> Options:
        """Options from the filter's section. Raises :class:`OptionError` with the option's name."""
        known = {option.name: option for option in fields(cls)}
        values = {}
        for name, text in conf.items():
            if name not in known:
                raise OptionError(f'swiftqueue: unknown option {name!r}')
            try:
                values[name] = known[name].metadata['parse'](str(text).strip())
            except ValueError as error:
                raise OptionError(f'swiftqueue: bad value for option {name!r}: {text!r} '
                                  f'({error})') from None
        options = cls(**values)
        options._check_order()
        return options

    def within(self, limits: dict[str, int]) -> Options:
        """These options where a flavor narrows some: see :data:`FLAVOR_LIMITS`."""
        if not limits:
            return self
        narrow = replace(self, **{name: min(getattr(self, name), value) for name, value in limits.items()})
        return replace(narrow, default_message_ttl=min(self.default_message_ttl, narrow.max_message_ttl),
                       default_message_delay=min(self.default_message_delay, narrow.max_message_delay),
                       default_shards=min(self.default_shards, narrow.max_shards))

    def _check_order(self) -> None:
        for low, high in (('min_message_ttl', 'default_message_ttl'),
                          ('default_message_ttl', 'max_message_ttl'),
                          ('default_named_message_ttl', 'max_named_message_ttl'),
                          ('default_message_delay', 'max_message_delay'),
                          ('min_claim_ttl', 'default_claim_ttl'),
                          ('default_claim_ttl', 'max_claim_ttl'),
                          ('min_claim_grace', 'default_claim_grace'),
                          ('default_claim_grace', 'max_claim_grace'),
                          ('default_shards', 'max_shards'),
                          ('confirm_limit', 'gate_seconds')):
            if getattr(self, low) > getattr(self, high):
                raise OptionError(f'swiftqueue: option {low!r} is greater than {high!r}')


# What a flavor may limit, each an option, and the least it may be: a number, or the option that has it.
FLAVOR_LIMITS: dict[str, str | int] = {
    'max_messages_post_size': 1024,
    'max_message_size': 1024,
    'max_message_ttl': 'min_message_ttl',
    'max_message_delay': 0,
    'max_shards': 1,
}


def daemon_number(conf: Mapping[str, str], name: str, default: float, least: float, daemon: str) -> float:
    """A number in a daemon's section of a configuration file. Raises ValueError."""
    text = conf.get(name, default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise ValueError(f'option {name!r} of the {daemon} must be a number from {least} up, not {text!r}')
    return value


def check_queue_name(name: str) -> str:
    """The name itself. Raises :class:`Invalid` unless it is 1 to 80 of letters, digits, ``_``, ``-``, ``.``."""
    if not isinstance(name, str) or not _QUEUE.fullmatch(name) or name in ('.', '..'):
        raise Invalid('Queue names are 1 to 80 letters, digits, underscores, dashes and dots.')
    return name


def check_definition_name(name: str) -> str:
    """The name itself. Raises :class:`Invalid` unless it is 1 to 64 of what queue names may have."""
    if not isinstance(name, str) or not _QUEUE.fullmatch(name) or len(name) > 64 or name in ('.', '..'):
        raise Invalid('Names of pools and flavors are 1 to 64 letters, digits, underscores, dashes and dots.')
    return name


def check_place(text: str) -> Place:
    """A region as ``r1``, or a zone as ``r1z2``, in the way of Swift's own affinities. Raises :class:`Invalid`."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise Invalid('A locality is a region and perhaps a zone, such as r1 or r1z2.')
    region, zone = match.groups()
    return Place(int(region), None if zone is None else int(zone))


def check_integer(what: str, value: Any, least: int, most: int) -> int:
    """The value itself. Raises :class:`Invalid` unless it is an int (no bool) within least to most."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f'{what} must be an integer from {least} to {most}.')
    return value


def check_size(what: str, size: int, most: int) -> None:
    """Raises :class:`TooLarge` if ``size`` bytes are more than ``most``."""
    if size > most:
        raise TooLarge(f'{what} is larger than {most} bytes.', most)
