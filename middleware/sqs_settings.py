"""The options of the filter ``sqsapi``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from swift.common.utils import list_from_csv

from swiftqueue.accounts import number_of

MAX_BODY = 4 * 2 ** 20  # bytes: a message of 1 MiB may take three times as much in a form, or escaped in JSON


@dataclass(frozen=True)
class Settings:
    """The operator's choices. No ``regions`` are all regions; ``scheme`` is for the URLs of queues."""

    regions: frozenset[str] = frozenset()
    account_ids: dict[str, str] = field(default_factory=dict)
    scheme: str = ''
    max_body: int = MAX_BODY

    @classmethod
    def from_conf(cls, conf: dict[str, str]) -> Settings:
        """Settings from the filter's section. Raises ValueError, which stops the proxy."""
        if unknown := sorted(set(conf) - {'regions', 'account_ids', 'url_scheme'}):
            raise ValueError(f'swiftqueue: unknown option {unknown[0]!r} of the filter sqsapi')
        scheme = conf.get('url_scheme', '').strip()
        if scheme not in ('', 'http', 'https'):
            raise ValueError(f'swiftqueue: url_scheme must be http or https, not {scheme!r}')
        regions = frozenset(list_from_csv(conf.get('regions', '')))
        if bad := [each for each in regions if not re.fullmatch('[A-Za-z0-9-]{1,64}', each)]:
            raise ValueError(f'swiftqueue: {bad[0]!r} in regions is not the name of a region')
        account_ids = {}
        for pair in list_from_csv(conf.get('account_ids', '')):
            account, _, number = pair.rpartition(':')
            if not account or not re.fullmatch('[0-9]{12}', number) or number in account_ids.values():
                raise ValueError(f'swiftqueue: {pair!r} in account_ids is not ACCOUNT:NUMBER, with a number of '
                                 'twelve digits that no other account has')
            account_ids[account] = number
        return cls(regions, account_ids, scheme)

    def account_id(self, account: str) -> str:
        """The twelve digits by which Amazon's clients know a Swift account."""
        return self.account_ids.get(account) or number_of(account)

    def configured(self, number: str) -> str | None:
        """The account that the operator gave this number."""
        return next((account for account, given in self.account_ids.items() if given == number), None)
