"""Object metadata in files of its own, driven the way Swift's disk files drive xattr."""

import errno
import os

import pytest
from swift.common.utils import link_fd_to_path

from swiftqueue.cluster.xattrs import Sidecars

FIRST, SECOND, CHECKSUM = (b'user.swift.metadata', b'user.swift.metadata1',
                           b'user.swift.metadata_checksum')


@pytest.fixture
def sidecars(tmp_path):
    return Sidecars(tmp_path / 'metadata')


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'')
    return path


def write(sidecars, file, first=b'1', second=b'2', checksum=b'3'):
    for name, value in ((FIRST, first), (SECOND, second), (CHECKSUM, checksum)):
        if value is not None:
            sidecars.setxattr(file, name, value)


def test_attributes_are_any_bytes(sidecars, file):
    write(sidecars, str(file), first=bytes(range(256)), second=b'\n"\\')
    assert sidecars.getxattr(str(file), FIRST) == bytes(range(256))
    assert sidecars.getxattr(str(file), SECOND) == b'\n"\\'


def test_a_file_is_the_same_by_path_by_descriptor_and_open(sidecars, file):
    with open(file, 'rb') as opened:
        write(sidecars, opened.fileno())
        assert sidecars.getxattr(opened, FIRST) == b'1'
    assert sidecars.getxattr(str(file), FIRST) == b'1'


def test_attributes_follow_a_file_that_gets_its_name_later(sidecars, tmp_path):
    unnamed = os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY)
    write(sidecars, unnamed)
    link_fd_to_path(unnamed, str(tmp_path / 'named'))
    os.close(unnamed)
    os.rename(tmp_path / 'named', tmp_path / 'renamed')
    assert sidecars.getxattr(str(tmp_path / 'renamed'), FIRST) == b'1'


def test_another_process_sees_them(sidecars, file, tmp_path):
    write(sidecars, str(file))
    assert Sidecars(tmp_path / 'metadata').getxattr(str(file), CHECKSUM) == b'3'


def test_nothing_is_inherited_from_an_earlier_file_with_the_same_inode(sidecars, file):
    write(sidecars, str(file))
    write(sidecars, str(file), first=b'new', second=None, checksum=None)
    assert sidecars.getxattr(str(file), FIRST) == b'new'
    for name in (SECOND, CHECKSUM):
        with pytest.raises(OSError) as error:
            sidecars.getxattr(str(file), name)
        assert error.value.errno == errno.ENODATA


def test_a_file_without_attributes_and_a_missing_file_are_told_apart(sidecars, file):
    with pytest.raises(OSError) as error:
        sidecars.getxattr(str(file), FIRST)
    assert error.value.errno == errno.ENODATA
    file.unlink()
    with pytest.raises(OSError) as error:
        sidecars.getxattr(str(file), FIRST)
    assert error.value.errno == errno.ENOENT


def test_a_file_of_another_file_system_is_refused(sidecars):
    with pytest.raises(OSError) as error:
        sidecars.setxattr('/proc/self/status', FIRST, b'1')
    assert error.value.errno == errno.ENOTSUP


def test_a_sweep_drops_only_what_belongs_to_no_file(sidecars, tmp_path):
    disk = tmp_path / 'disk'
    (disk / 'deep').mkdir(parents=True)
    kept, gone = disk / 'deep' / 'kept', disk / 'gone'
    for path in (kept, gone):
        path.write_bytes(b'')
        write(sidecars, str(path))
    gone.unlink()
    sidecars.sweep([disk])
    assert sidecars.getxattr(str(kept), FIRST) == b'1'
    assert len([path for path in (tmp_path / 'metadata').rglob('*') if path.is_file()]) == 1
