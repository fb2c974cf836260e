"""What it takes to load a proxy as ``swift-init`` does, but for its sockets."""

import logging

import pytest
from swift.common import utils
from swift.common.ring import RingBuilder
from swift.common.utils import logs
from swift.common.wsgi import loadapp


@pytest.fixture(scope='session')
def rings(tmp_path_factory):
    """A directory with rings of one device each."""
    directory = tmp_path_factory.mktemp('swift')
    for kind in ('account', 'container', 'object'):
        builder = RingBuilder(2, 1, 0)
        builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'weight': 1, 'ip': '127.0.0.1', 'port': 1, 'device': 'd',
                         'replication_ip': '127.0.0.1', 'replication_port': 1})
        builder.rebalance()
        builder.get_ring().save(str(directory / f'{kind}.ring.gz'))
    return directory


@pytest.fixture
def quiet(monkeypatch):
    """Loggers that open no sockets, and a cluster's secret."""
    monkeypatch.setattr(logs, 'ThreadSafeSysLogHandler', lambda *args, **options: logging.NullHandler())
    monkeypatch.setattr(utils, 'HASH_PATH_PREFIX', b'prefix')
    monkeypatch.setattr(utils, 'HASH_PATH_SUFFIX', b'suffix')


@pytest.fixture
def load(quiet):
    """Load a proxy from its configuration file."""
    return lambda conf: loadapp(str(conf))
