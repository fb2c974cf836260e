"""Three of Swift's daemons, fitted to a cluster that lives on one machine and forks nothing."""

from __future__ import annotations

import os
import shutil

from swift.account import replicator as account
from swift.container import replicator as container
from swift.obj import updater


class ObjectUpdater(updater.ObjectUpdater):
    """Visits its disks itself. Swift's forks for each, and the copy would serve requests too."""

    def _process_devices(self, devices: list[str]) -> None:
        for device in devices:
            self.object_sweep(os.path.join(self.devices, device))


class _Copies:
    """Copies a whole database to its new place; Swift's own calls rsync."""

    def _rsync_file(self, broker, remote_file, whole_file=True, different_region=False) -> bool:
        shutil.copyfile(broker.db_file, remote_file)
        return True


class AccountReplicator(_Copies, account.AccountReplicator):
    """Brings the replicas of account databases together."""


class ContainerReplicator(_Copies, container.ContainerReplicator):
    """Brings the replicas of container databases together."""
