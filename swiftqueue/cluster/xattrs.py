"""Object metadata in files of its own, for file systems without extended attributes.

Swift keeps an object's metadata in extended attributes of its file. Where there are none, this
stands in for the ``xattr`` module in ``swift.obj.diskfile``: a file's attributes are a file named
by its inode number. That holds for the unnamed files Swift writes first and survives renaming. It
does not survive copying: a backup of the data directory has other inodes.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import BinaryIO

_FIRST = b'user.swift.metadata'  # what Swift writes first, whenever it writes metadata
_LAST = b'user.swift.metadata_checksum'


File = int | str | BinaryIO


class Sidecars:
    """Drop-in for the ``xattr`` module, as far as Swift's disk files use it."""

    def __init__(self, folder: Path):
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._device = folder.stat().st_dev

    def setxattr(self, file: File, name: bytes, value: bytes) -> None:
        """:raises OSError: ENOTSUP for a file of another file system."""
        # The first write starts afresh: the inode may have belonged to a file that is gone.
        sidecar = self._sidecar(file)
        with open(sidecar, 'w' if name == _FIRST else 'a') as records:
            json.dump([name.decode('latin-1'), value.decode('latin-1')], records)
            records.write('\n')
            if name == _LAST:
                records.flush()
                os.fsync(records.fileno())

    def getxattr(self, file: File, name: bytes) -> bytes:
        """:raises OSError: ENODATA for a missing attribute, ENOENT for a missing file."""
        sidecar = self._sidecar(file)
        try:
            with open(sidecar) as records:
                attributes = dict(json.loads(record) for record in records)
            return attributes[name.decode('latin-1')].encode('latin-1')
        except (FileNotFoundError, KeyError):
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA)) from None

    def sweep(self, disks: list[Path]) -> None:
        """Drop the attributes of files that are no more. Only while no server runs."""
        alive = {entry.stat().st_ino for disk in disks for entry in disk.rglob('*')}
        for sidecar in self._folder.glob('*/*'):
            if int(sidecar.name) not in alive:
                sidecar.unlink()

    def _sidecar(self, file: File) -> Path:
        status = os.stat(file.fileno() if hasattr(file, 'fileno') else file)
        if status.st_dev != self._device:
            raise OSError(errno.ENOTSUP, 'on another file system than its metadata')
        sidecar = self._folder / f'{status.st_ino % 256:02x}' / str(status.st_ino)
        sidecar.parent.mkdir(exist_ok=True)
        return sidecar
