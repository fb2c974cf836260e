"""The command line: for each sub-command, a function that describes it and one that runs it."""

from __future__ import annotations

import argparse
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from swiftqueue import __version__, stress
from swiftqueue.cluster import Cluster, ClusterError, Spec, serving
from swiftqueue.cluster.site import LOOPBACK, Site, read_layout
from swiftqueue.cluster.xattrs import Sidecars

_SERVE_DESCRIPTION = """\
Run a complete Swift with queues on this machine: proxy, account, container
and object servers. It needs neither root nor memcached nor rsync. Ctrl-C
stops it; the data stays for the next run.
"""

_SERVE_EPILOG = """\
examples:
  swiftqueue serve
      a complete Swift with queues, in one process
  swiftqueue serve --nodes 3 --proxies 2
      three replicas in three zones, each server a process of its own
  swiftqueue serve --policies
      with the storage policies "replicated", "coded" and "single" besides the default
      one, for flavors of queues
  swiftqueue serve --set max_message_ttl=86400 --set default_message_ttl=600
      with other limits
  swiftqueue serve --no-auth
      no tokens: a request says in X-Project-Id which account it means

users, each with its key:
  test:tester testing        owner of the account AUTH_test
  test2:tester2 testing2     owner of the account AUTH_test2
  test:tester3 testing3      no rights of its own in AUTH_test
  admin:admin admin          operator: may define flavors and pools
"""


_JANITOR_DESCRIPTION = """\
Remove what queues leave behind in Swift: claims whose messages are gone,
messages that expired, and everything of purged and deleted queues. To be run
on every node with container databases. More than one at a time does no harm.
"""

_NOTIFIER_DESCRIPTION = """\
Bring what is posted to queues and topics to those who subscribe to them: to
other queues, and by HTTP to webhooks. Any number of them may run, on any
nodes that reach the storage servers and, for webhooks, the internet.
"""

_FSCK_DESCRIPTION = """\
Find messages and claims that exist but that no listing shows, so that nobody
is given them, also what waits for subscribers, and write their listing rows
again. It looks at the disks of this machine and has to be run on every node
with an object server, while Swift runs. What was acked, expired, purged or
deleted does not come back.
"""

_FSCK_EPILOG = """\
exit status:
  0  nothing is missing any more
  1  something still is, or could not be looked at, or it could not run

examples:
  swiftqueue fsck
      everything on the disks of this node
  swiftqueue fsck --dry-run AUTH_test jobs
      what is missing of one queue
  swiftqueue fsck --data var
      everything in the data directory of "swiftqueue serve", while that runs
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command; its exit status is returned."""
    parser = argparse.ArgumentParser(
        prog='swiftqueue', description='A queue service inside OpenStack Swift.')
    parser.add_argument('--version', action='version', version=f'swiftqueue {__version__}')
    commands = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
    _describe_serve(commands)
    _describe_janitor(commands)
    _describe_notifier(commands)
    _describe_fsck(commands)
    stress.describe(commands)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except ClusterError as error:
        print(f'swiftqueue: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _describe_serve(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'serve', help='run a complete Swift with queues on this machine',
        description=_SERVE_DESCRIPTION, epilog=_SERVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--host', default=LOOPBACK, metavar='ADDRESS',
                        help='where the proxies listen (default: %(default)s)')
    parser.add_argument('--port', type=int, default=8080, metavar='N',
                        help='port of the first proxy (default: %(default)s), the others follow; '
                             '0: any')
    parser.add_argument('--data', type=Path, default=Path('var'), metavar='DIR',
                        help='where everything is kept between runs (default: ./%(default)s)')
    parser.add_argument('--nodes', type=int, metavar='N',
                        help='storage nodes, each with servers, zone and disk (default: 1)')
    parser.add_argument('--replicas', type=int, metavar='R',
                        help='copies of everything (default: one for each node, up to 3)')
    parser.add_argument('--proxies', type=int, default=1, metavar='P',
                        help='proxy servers (default: %(default)s)')
    parser.add_argument('--policies', action='store_true',
                        help='with three more storage policies: a replicated one, an erasure-coded one, and one of a '
                             'single replica; DIR keeps them')
    parser.add_argument('--no-auth', action='store_false', dest='auth',
                        help='for development: trust whoever connects, on loopback only')
    parser.add_argument('--set', action='append', default=[], dest='options', metavar='NAME=VALUE',
                        help='an option of the queue filter; may be given more than once')
    parser.add_argument('--verbose', action='store_true',
                        help='log every request and more, to DIR/log')
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    if arguments.replicas is not None and arguments.nodes is None:
        raise ClusterError('--replicas needs --nodes')
    spec = Spec(
        data=arguments.data, nodes=1 if arguments.nodes is None else arguments.nodes,
        replicas=arguments.replicas, proxies=arguments.proxies, auth=arguments.auth,
        host=arguments.host, port=arguments.port, verbose=arguments.verbose, policies=arguments.policies,
        options=dict(_option(text) for text in arguments.options))
    spec.check()
    return _serve_in_this_process(spec) if spec.one_process else _serve_in_processes(spec)


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition('=')
    if not equals:
        raise ClusterError(f'--set wants NAME=VALUE, not {text!r}')
    return name.strip(), value.strip()


def _serve_in_this_process(spec: Spec) -> int:
    with Site(spec) as site:
        _say_starting(spec, site.data, 'embedded')
        serving.start(site.data, 'swift', site.parts)
        if not serving.answers(site.urls[0]):
            raise ClusterError(f'no answer at {site.urls[0]}; {site.log("swift")} may say why')
        with serving.signals_caught() as wait:
            _say_ready(spec, site.data, site.urls)
            wait()
    return 0


def _serve_in_processes(spec: Spec) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cluster = Cluster(**vars(spec))
    _say_starting(spec, cluster.data, cluster.cache_name)
    try:
        with cluster, serving.signals_caught() as wait:
            _say_ready(spec, cluster.data, cluster.urls)
            ended = set()
            while not wait(0.5):
                for process in cluster.processes:
                    if not process.alive and process.name not in ended:
                        ended.add(process.name)
                        print(f'swiftqueue: {process.name} has ended, the others go on; '
                              f'its log is {process.log}', file=sys.stderr)
    except KeyboardInterrupt:  # while it started
        pass
    return 0


def _say_starting(spec: Spec, data: Path, cache: str) -> None:
    counts = ((spec.nodes, 'node'), (spec.replicas, 'replica'), (spec.proxies, 'proxy'))
    shape = ', '.join(f'{count} {_plural(noun, count)}' for count, noun in counts)
    print(f'swiftqueue: starting Swift with {shape}; cache: {cache}; data: {data}', flush=True)


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else {'proxy': 'proxies'}.get(noun, noun + 's')


def _say_ready(spec: Spec, data: Path, urls: list[str]) -> None:
    if not read_layout(data).xattrs:
        print(f'swiftqueue: no extended attributes here: object metadata is in {data}/metadata')
    print('swiftqueue: ready at', *urls)
    print(_first_steps(urls[0], spec.auth), flush=True)


def _first_steps(url: str, auth: bool) -> str:
    """Lines for a POSIX shell, each complete in itself."""
    token, credentials, amazon = '', 'X-Project-Id: demo', ''
    if auth:
        token = ("  TOKEN=$(curl -sSfi -H 'X-Auth-User: test:tester' -H 'X-Auth-Key: testing' "
                 "$URL/auth/v1.0 | sed -n 's/^X-Auth-Token: *//p' | tr -d '\\r')\n")
        credentials = 'X-Auth-Token: $TOKEN'
        amazon = f"""
For clients of Amazon SQS and S3; the last line is for version 1 of the AWS CLI, which else asks Amazon:

  export AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=test:tester AWS_SECRET_ACCESS_KEY=testing
  aws() {{ command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }}
"""
    return f"""
First steps, line by line, in another shell:

  URL={url}
{token}\
  q() {{ curl -sSf -w ' %{{http_code}}\\n' -H "{credentials}" -H 'Client-ID: {uuid.uuid4()}' \
-H 'Content-Type: application/json' "$@"; }}
  q -X PUT $URL/v2/queues/jobs
  q $URL/v2/queues/jobs/messages -d '{{"messages": [{{"body": "hello", "ttl": 300}}]}}'
  CLAIM=$(q $URL/v2/queues/jobs/claims -d '{{"ttl": 300, "grace": 60}}'); echo "$CLAIM"
  q -X DELETE "$URL$(echo "$CLAIM" | sed -n 's/.*"href": *"\\([^"]*\\)".*/\\1/p')"
{amazon}
Ctrl-C stops it; the data stays."""


def _describe_janitor(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'janitor', help='remove what queues leave behind', description=_JANITOR_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument('--once', action='store_true', help='make one pass over everything, say what was done, and end')
    how.add_argument('--daemon', action='store_false', dest='once', help='make pass after pass')
    parser.add_argument('conf', metavar='CONF', help='configuration file with a section [swiftqueue-janitor]')
    parser.add_argument('accounts', nargs='*', metavar='ACCOUNT',
                        help='with --once: look at these accounts, not at the devices of this node')
    parser.add_argument('--dry-run', action='store_true', help='write nothing, but say what would be done')
    parser.add_argument('--verbose', action='store_true', help='say everything that is done')
    parser.set_defaults(run=_janitor)


def _janitor(arguments: argparse.Namespace) -> int:
    from swiftqueue import janitor_daemon  # Swift takes a while to load
    return janitor_daemon.main(arguments)


def _describe_notifier(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'notifier', help='bring messages to subscribers', description=_NOTIFIER_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument('--once', action='store_true', help='look at everything once, and end')
    how.add_argument('--daemon', action='store_false', dest='once', help='run for ever')
    parser.add_argument('conf', metavar='CONF', help='configuration file with a section [swiftqueue-notifier]')
    parser.add_argument('--verbose', action='store_true', help='log to the terminal too')
    parser.set_defaults(run=_notifier)


def _notifier(arguments: argparse.Namespace) -> int:
    from swiftqueue import notifier_daemon  # Swift takes a while to load
    return notifier_daemon.main(arguments)


def _describe_fsck(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'fsck', help='bring back messages that no listing shows', description=_FSCK_DESCRIPTION,
        epilog=_FSCK_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('account', nargs='?', metavar='ACCOUNT', help='default: all')
    parser.add_argument('queue', nargs='?', metavar='QUEUE', help='default: all of the account')
    where = parser.add_mutually_exclusive_group()
    where.add_argument('--conf', action='append', metavar='FILE',
                       help='configuration of an object server; may be given more than once '
                            '(default: /etc/swift/object-server.conf)')
    where.add_argument('--data', type=Path, metavar='DIR', help='data directory of "swiftqueue serve"')
    parser.add_argument('--dry-run', action='store_true', help='write nothing, but say what is missing')
    parser.add_argument('--include-old', action='store_true',
                        help="also what is older than Swift's reclaim_age: it may have been acked, and would be "
                             'delivered again')
    parser.set_defaults(run=_fsck)


def _fsck(arguments: argparse.Namespace) -> int:
    from swiftqueue import fsck  # Swift takes a while to load
    if arguments.data is None:
        arguments.conf = arguments.conf or [fsck.CONF]
        return fsck.main(arguments)
    try:
        xattrs = read_layout(arguments.data).xattrs
        arguments.conf = [path for path in (arguments.data / 'etc').iterdir() if path.match('object-[0-9]*.conf')]
        return fsck.main(arguments, None if xattrs else Sidecars(arguments.data / 'metadata'))
    except OSError as error:
        raise ClusterError(f'{error.filename}: {error.strerror}; is this the data of "swiftqueue serve"?') from None
