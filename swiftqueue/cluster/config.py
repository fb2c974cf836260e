"""The configuration of every process, written anew at each start for operators to look at."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from configparser import RawConfigParser
from typing import TYPE_CHECKING

from swiftqueue.cluster.daemons import DAEMONS

if TYPE_CHECKING:
    from swiftqueue.cluster.site import Site

STORAGE = ('account', 'container', 'object')

Sections = dict[str, dict[str, str]]

# The order of Swift's own sample; the queue filter is right of authentication, and those for Amazon's clients are left.
_SIGNED = 'sqsapi s3api tempauth'
PIPELINE = ('catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk tempurl '
            f'{_SIGNED} copy queue container-quotas account-quotas slo dlo versioned_writes symlink '
            'proxy-logging proxy-server')

USERS = {  # account and user: key and groups
    'admin_admin': 'admin .admin .reseller_admin',
    'test_tester': 'testing .admin',
    'test2_tester2': 'testing2 .admin',
    'test_tester3': 'testing3',
}

_FILTERS = {  # section: entry point, where the two differ
    'cache': 'egg:swift#memcache',
    'container-quotas': 'egg:swift#container_quotas',
    'account-quotas': 'egg:swift#account_quotas',
    'proxy-logging': 'egg:swift#proxy_logging',
    'queue': 'egg:swiftqueue#queue',
    'sqsapi': 'egg:swiftqueue#sqsapi',
}


def write(site: Site) -> None:
    """Write ``etc/``, but for swift.conf and the rings. Files of an earlier, larger cluster go."""
    for old in site.etc.glob('*-[0-9]*.conf'):
        old.unlink()
    _write(site, 'memcache', {'memcache': {
        'memcache_servers': f'127.0.0.1:{site.ports["cache"]}',
        'memcache_max_connections': '10',
        # A cache that hangs is given up after three failures, or each request would wait for it many times over; and
        # one that comes back is used again soon, for until then nobody's token is known.
        'error_suppression_limit': '2',
        'error_suppression_interval': '4',
        'io_timeout': '0.5',
    }})
    for name in site.servers:
        kind = name.partition('-')[0]
        _write(site, name, _proxy(site, name) if kind == 'proxy' else _storage(site, name))
    for conf in {daemon.conf for daemon in DAEMONS} - set(STORAGE):
        _write(site, conf, _internal_client(site, conf))


def _write(site: Site, name: str, sections: Mapping[str, Mapping[str, str]]) -> None:
    parser = RawConfigParser(default_section='unused')
    parser.optionxform = str
    parser.read_dict(sections)
    parser.read_dict(site.spec.settings.get(re.sub(r'-\d+$', '', name), {}))
    with open(site.conf(name), 'w') as file:
        parser.write(file)


def _defaults(site: Site, name: str) -> dict[str, str]:
    return {
        'swift_dir': str(site.etc),
        'log_name': name,
        'log_level': 'INFO' if site.spec.verbose else 'WARNING',
        'recon_cache_path': str(site.data / 'recon'),
    }


def _proxy(site: Site, name: str) -> Sections:
    spec = site.spec
    pipeline = PIPELINE if spec.auth else PIPELINE.replace(f' {_SIGNED}', '')
    app = {
        'use': 'egg:swift#proxy',
        'account_autocreate': 'true',
        'conn_timeout': '0.5',
        'node_timeout': '10',
        # There is no other node to turn to, so do not shun this one for long.
        'error_suppression_interval': '1',
    }
    if spec.nodes > 1:
        app |= {
            'node_timeout': '3',
            'recoverable_node_timeout': '1',
            'concurrent_gets': 'on',
            'concurrency_timeout': '0.1',
            'error_suppression_interval': '10',
        }
    sections = {
        'DEFAULT': _defaults(site, name) | {
            'bind_ip': spec.host,
            'bind_port': str(site.ports[name]),
        },
        'pipeline:main': {'pipeline': pipeline},
        'app:proxy-server': app,
    }
    for filter_name in set(pipeline.split()) - {'proxy-server'}:
        use = _FILTERS.get(filter_name, f'egg:swift#{filter_name}')
        sections[f'filter:{filter_name}'] = {'use': use}
    sections['filter:versioned_writes']['allow_object_versioning'] = 'true'
    sections['filter:tempurl']['allowed_digests'] = 'sha256 sha512'
    sections['filter:queue']['api_versions'] = '2 1.1 1'
    sections['filter:queue'] |= {option: str(value) for option, value in spec.options.items()}
    if spec.auth:
        sections['filter:tempauth'] |= {f'user_{user}': key for user, key in USERS.items()}
    else:
        sections['filter:queue']['allow_anonymous'] = 'true'
    return sections


def _storage(site: Site, name: str) -> Sections:
    kind, _, number = name.partition('-')
    device = site.device(int(number))
    sections = {
        'DEFAULT': _defaults(site, name) | {
            'bind_ip': '127.0.0.1',
            'bind_port': str(site.ports[name]),
            'devices': str(device.parent),
            'mount_check': 'false',
            'disable_fallocate': 'true',
            'fallocate_reserve': '0',
            'db_preallocation': 'off',
        },
        'pipeline:main': {'pipeline': f'healthcheck {kind}-server'},
        'filter:healthcheck': {'use': 'egg:swift#healthcheck'},
        f'app:{kind}-server': {'use': f'egg:swift#{kind}'},
    }
    if kind == 'object':
        # Longer than a container server may take to answer: by default a 201 can go out before
        # either the listing or an async_pending file has the new object.
        sections['app:object-server']['container_update_timeout'] = '5'
    sections |= _daemons(kind)
    if site.spec.nodes > 1:
        # Every disk is on this machine: what Swift would send to an rsync server is copied.
        root = str(site.data).replace('{', '{{').replace('}', '}}')
        sections['DEFAULT']['rsync_module'] = root + '/node{zone}'
    return sections


def _daemons(conf: str) -> Sections:
    return {daemon.name: {'interval': str(daemon.interval), **daemon.options}
            for daemon in DAEMONS if daemon.conf == conf}


def _internal_client(site: Site, name: str) -> Sections:
    """For a daemon that is one for all nodes and works through a proxy of its own."""
    disks = [str(site.device(node).parent) for node in range(1, site.spec.nodes + 1)]
    return _daemons(name) | {
        'DEFAULT': _defaults(site, name) | {
            'bind_ip': '127.0.0.1',
            'devices': ','.join(disks),
            'mount_check': 'false',
            'user': getpass.getuser(),
        },
        'pipeline:main': {'pipeline': 'catch_errors cache proxy-server'},
        'filter:catch_errors': {'use': 'egg:swift#catch_errors'},
        'filter:cache': {'use': 'egg:swift#memcache'},
        'app:proxy-server': {'use': 'egg:swift#proxy', 'account_autocreate': 'true'},
    }
