"""``python -m bench``: what a queue costs beside raw Swift. See :mod:`bench` for the method."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import requests

from bench import chart, deep, operations, report, results, stage
from bench import janitor as janitor_bench
from bench import locality as locality_bench
from bench import shards as shards_bench
from bench.rounds import Setting
from swiftqueue.cluster import ClusterError

DOCUMENTS = Path(__file__).parents[2] / 'doc' / 'source'
TARGET_CLIENTS = 8  # what the targets are about; and the least size


@dataclass
class Outcome:
    """All that is to be told."""

    about: dict[str, str]
    rows: list[results.Row] = field(default_factory=list)
    judged: list[tuple[results.Target, float]] = field(default_factory=list)
    zones: dict[str, float] = field(default_factory=dict)  # CPU seconds of the proxy per message, by zone


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the cluster's folder is removed in any case
    began = time.monotonic()

    def say(what: str) -> None:
        print(f'{time.monotonic() - began:6.0f} s  {what}', file=sys.stderr, flush=True)

    try:
        if arguments.locality:
            return _finish(arguments, locality_bench.run(say))
        with _stage(arguments, say) as on:
            if arguments.deep:
                return _finish(arguments, deep.run(on, arguments.rows, say))
            if arguments.shards:
                return _finish(arguments, shards_bench.run(on, say))
            if arguments.janitor:
                return _finish(arguments, janitor_bench.run(on, arguments.acks, say))
            outcome = _compare(on, arguments, say)
    except (ClusterError, requests.RequestException, OSError, RuntimeError, ValueError) as error:
        print(f'bench: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    _tell(outcome)
    if arguments.json:
        arguments.json.write_text(json.dumps({
            'about': outcome.about, 'rows': [asdict(row) for row in outcome.rows],
            'proxy_cpu_of_a_life': outcome.zones,
            'targets': [asdict(target) | {'measured': value, 'met': target.met(value)}
                        for target, value in outcome.judged]}, indent=1) + '\n')
    if arguments.write:
        _write(outcome)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='make bench', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--clients', type=_numbers, default=[1, 8, 32], metavar='N,...', help='default: 1,8,32')
    parser.add_argument('--sizes', type=_numbers, default=[256, 4096, 65536], metavar='BYTES,...',
                        help='of a body (default: 256,4096,65536)')
    parser.add_argument('--only', type=_names, default=[], metavar='NAME,...',
                        help='measures to take, and the raw ones beside them')
    parser.add_argument('--rounds', type=int, default=3, metavar='N', help='default: %(default)s')
    parser.add_argument('--seconds', type=float, default=3, metavar='S',
                        help='that one measurement takes at least (default: %(default)s)')
    parser.add_argument('--proxies', type=int, default=1, metavar='N', help='default: %(default)s')
    parser.add_argument('--quick', action='store_true',
                        help='only to try it out: 8 clients, 256 bytes, one round, one second')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures there')
    parser.add_argument('--write', action='store_true', help='put tables and chart into the documents')
    parser.add_argument('--deep', action='store_true', help='instead: what a claim costs in long queues')
    parser.add_argument('--rows', type=int, default=100_000, metavar='N',
                        help='with --deep: messages of a long queue (default: %(default)s)')
    parser.add_argument('--shards', action='store_true',
                        help='instead: what the single writer of a container costs, and what shards change')
    parser.add_argument('--locality', action='store_true',
                        help='instead: how many messages are delivered where they have a replica')
    parser.add_argument('--janitor', action='store_true', help='instead: how fast a janitor removes claims')
    parser.add_argument('--acks', type=int, default=600, metavar='N',
                        help='with --janitor: acked messages to clean up after (default: %(default)s)')
    peer = parser.add_argument_group('another service', 'measures no raw Swift, and starts no cluster')
    peer.add_argument('--peer', metavar='URL', help='of a service that speaks Messaging v2')
    peer.add_argument('--user', metavar='U', help='for a token from URL/auth/v1.0')
    peer.add_argument('--key', metavar='K', help='of the user')
    peer.add_argument('--token', default='', metavar='T', help='instead of user and key')
    peer.add_argument('--project', default='', metavar='P', help='X-Project-Id')
    arguments = parser.parse_args(argv)
    if arguments.quick:
        arguments.clients, arguments.sizes, arguments.rounds, arguments.seconds = [TARGET_CLIENTS], [256], 1, 1
    if arguments.peer and (arguments.deep or arguments.janitor or arguments.shards or arguments.locality):
        parser.error('--deep, --janitor, --shards and --locality need a cluster of their own')
    return arguments


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(',')]


def _names(text: str) -> list[str]:
    return text.split(',')


@contextmanager
def _stage(arguments: argparse.Namespace, say: Callable[[str], None]) -> Iterator[stage.Stage]:
    if arguments.peer:
        url = arguments.peer.rstrip('/')
        headers = stage.said(arguments.token, arguments.project)
        if arguments.user:
            headers |= stage.log_in(url, arguments.user, arguments.key)[0]
        yield stage.Stage([url], headers)
        return
    say('starting a cluster')
    with tempfile.TemporaryDirectory(prefix='swiftqueue-bench-') as folder:
        # What is to be measured there are the leavings that the daemons would remove meanwhile.
        daemons = not (arguments.deep or arguments.janitor or arguments.shards)
        proxies = max(arguments.proxies, deep.PROXIES if arguments.deep else 1)
        own = stage.own_cluster(Path(folder), proxies, daemons=daemons,
                                **janitor_bench.CONFIGURATION if arguments.janitor else {})
        with own as on:
            yield on


def _compare(on: stage.Stage, arguments: argparse.Namespace, say: Callable[[str], None]) -> Outcome:
    outcome = Outcome(_about(arguments, on))
    groups = operations.chosen(arguments.only, raw=bool(on.account))
    for size in arguments.sizes:
        for clients in arguments.clients:
            where = f'{clients} clients, {size} bytes'
            setting = Setting(on, groups, clients, size, arguments.seconds,
                              lambda text, where=where: say(f'{where}: {text}'))
            say(f'{where}: getting ready')
            setting.prepare()
            judge = on.cluster is not None and clients == TARGET_CLIENTS and size == min(arguments.sizes)
            for number in range(arguments.rounds):
                setting.round(number)
                if judge and any(operations.MEASURES['life'] in group for group in groups):
                    setting.trace()
            setting.finish()
            rows = results.rows(setting)
            outcome.rows += rows
            if judge:
                outcome.judged = results.judged(rows, results.filter_share(setting))
                outcome.zones = results.zones(setting)
    return outcome


def _about(arguments: argparse.Namespace, on: stage.Stage) -> dict[str, str]:
    """Under which circumstances."""
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2 ** 30
    about = {
        'date': time.strftime('%Y-%m-%d', time.gmtime()),
        'machine': f'{os.cpu_count()} CPUs ({_cpu_model()}), {memory:.0f} GB of memory, {platform.system()} '
                   f'{platform.release()}',
        'versions': f'Python {platform.python_version()}, swiftqueue {version("swiftqueue")}, '
                    f'Swift {version("swift")}, eventlet {version("eventlet")}',
    }
    if on.cluster:
        about['cluster'] = f'3 nodes, 3 replicas, proxies: {arguments.proxies}, cache: {on.cluster.cache_name}'
    words = sys.argv[1:]
    about['command'] = f'make bench ARGS={shlex.quote(shlex.join(words))}' if words else 'make bench'
    return about


def _cpu_model() -> str:
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    return next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')), platform.machine())


def _tell(outcome: Outcome) -> None:
    for (size, clients), rows in _settings(outcome):
        print(f'\n{clients} clients, bodies of {size} bytes\n')
        print(report.text(report.table(rows)))
        for row in rows:
            for failure, times in row.failures.items():
                print(f'  {row.name}: {times} times: {failure}')
            if row.empty > len(rows):
                print(f'  {row.name}: {row.empty} times there was nothing to do')
            if row.in_vain:
                print(f'  {row.name}: {row.in_vain} deliveries in vain: acks refused, or messages handled twice')
    if outcome.judged:
        print(f'\n{TARGET_CLIENTS} clients, the smallest bodies\n')
        print(report.text(report.targets(outcome.judged)))
    if outcome.zones:
        print('proxy CPU ms per message from post to ack: ' + ', '.join(
            f'{zone} {report.number(1000 * seconds)}' for zone, seconds in outcome.zones.items()))


def _settings(outcome: Outcome) -> list[tuple[tuple[int, int], list[results.Row]]]:
    found: dict[tuple[int, int], list[results.Row]] = {}
    for row in outcome.rows:
        found.setdefault((row.size, row.clients), []).append(row)
    return list(found.items())


def _write(outcome: Outcome) -> None:
    """Into the documents: tables between the marks, and the chart."""
    lines = [f':{name}: {text if name != "command" else f"``{text}``"}' for name, text in outcome.about.items()]
    blocks = ['\n'.join(lines)]
    if outcome.judged:
        blocks.append(report.rst(report.targets(outcome.judged)))
    blocks.append('.. image:: performance.svg\n   :alt: rates of the queue over those of raw Swift')
    for (size, clients), rows in _settings(outcome):
        heading = f'{clients} clients, bodies of {size} bytes'
        blocks += [f'{heading}\n{"~" * len(heading)}', report.rst(report.table(rows))]
    page = DOCUMENTS / 'performance.rst'
    page.write_text(report.put_between(page.read_text(), '\n\n'.join(blocks)))
    (DOCUMENTS / 'performance.svg').write_text(_chart(outcome))


def _chart(outcome: Outcome) -> str:
    size = min(row.size for row in outcome.rows)
    clients = sorted({row.clients for row in outcome.rows})
    ratios = {(row.name, row.clients): row.ratio for row in outcome.rows if row.size == size}
    bars = {name: [ratios.get((name, each)) for each in clients] for name, measure in operations.MEASURES.items()
            if measure.beside}
    return chart.chart(f'Rates over those of raw Swift, bodies of {size} bytes', bars,
                       [f'{each} clients' for each in clients],
                       {target.name: target.wanted for target in results.TARGETS if target.name in bars})


def _finish(arguments: argparse.Namespace, cells: list[tuple[str, ...]]) -> int:
    print('\n' + report.text(cells))
    if arguments.json:
        head, *lines = cells
        arguments.json.write_text(json.dumps([dict(zip(head, line, strict=True)) for line in lines], indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
