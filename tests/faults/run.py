"""``make faults``: faults on a real cluster, one after the other, and a table of what came of them."""

from __future__ import annotations

import argparse
import random
import sys
import time
import warnings
from collections.abc import Iterator

warnings.filterwarnings('ignore', message='(?s).*Eventlet is deprecated')

from faults import report  # noqa: E402
from faults.company_cases import CASES as COMPANY  # noqa: E402
from faults.proxy_cases import CASES as PROXY  # noqa: E402
from faults.rig import Rig  # noqa: E402
from faults.storage_cases import CASES as STORAGE  # noqa: E402
from faults.trial import Case, Outcome, attempt  # noqa: E402
from swiftqueue.cluster.processes import find_memcached  # noqa: E402

CASES = sorted((*STORAGE, *PROXY, *COMPANY), key=lambda case: (int(case.number[1:].rstrip('abcdef')), case.number))


def main() -> int:
    arguments = _arguments()
    began, outcomes = time.monotonic(), []
    for cache, outcome in _outcomes(arguments):
        outcomes.append((cache, outcome))
        print(report.as_text(outcome), flush=True)
    broken = [outcome.case.number for _, outcome in outcomes if outcome.problems]
    print(f'{len(outcomes)} cases in {time.monotonic() - began:.0f} s, seed {arguments.seed}; '
          f'broken: {", ".join(broken) or "none"}')
    if arguments.write:
        report.write(outcomes, f'make faults ARGS="--seed {arguments.seed} --write"')
    return 1 if broken else 0


def _outcomes(arguments: argparse.Namespace) -> Iterator[tuple[str, Outcome]]:
    """What came of each case, and with which cache: the memcached of this machine, then the embedded one."""
    wanted = arguments.only and arguments.only.upper().split(',')
    cases = [case for case in CASES if not wanted or _is_named(case, wanted)]
    has_memcached = find_memcached() is not None and not arguments.embedded
    for embedded in (False, True) if has_memcached else (True,):
        chosen = [case for case in cases if case.cache or not (embedded and has_memcached)]
        for auth in (False, True):
            if not any(case.auth is auth for case in chosen):
                continue
            with Rig(embedded_cache=embedded, auth=auth) as rig:
                for case in (each for each in chosen if each.auth is auth):
                    outcome = attempt(rig, case, arguments.seed, arguments.seconds)
                    rig.keep = rig.keep or bool(outcome.problems)
                    yield rig.cache_name, outcome


def _is_named(case: Case, wanted: list[str]) -> bool:
    number = case.number.upper()
    return number in wanted or number.rstrip('ABCDEF') in wanted


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='make faults', description=__doc__)
    parser.add_argument('--only', metavar='F5,F9', help='these cases; F20 is all of F20a, F20b ...')
    parser.add_argument('--seed', type=int, default=random.randrange(2 ** 32), help='of chance')
    parser.add_argument('--seconds', type=float, default=8, help='that a fault lasts (default: %(default)s)')
    parser.add_argument('--embedded', action='store_true', help='just the embedded cache, also where there is another')
    parser.add_argument('--write', action='store_true', help='put the table into doc/source/reliability.rst')
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error('the table is written with all cases')
    return arguments


if __name__ == '__main__':
    sys.exit(main())
