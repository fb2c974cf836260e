"""Storage policies for tests on the Swift in memory."""

import pytest
from swift.common.storage_policy import StoragePolicy, StoragePolicyCollection

from swiftqueue import policies

NAMES = ('Policy-0', 'silver', 'gold', 'old')


def collection(*deprecated: str) -> StoragePolicyCollection:
    return StoragePolicyCollection([
        StoragePolicy(index, name, index == 0, name in deprecated) for index, name in enumerate(NAMES)])


@pytest.fixture
def deprecate(monkeypatch):
    """The policies of ``NAMES`` in place of those of swift.conf; call it with those that are to be deprecated."""
    def act(*names):
        monkeypatch.setattr(policies, 'POLICIES', collection(*names))
    act('old')
    return act
