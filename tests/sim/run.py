"""Run simulations: ``make sim SEEDS=10000``; or one, every step of it: ``python tests/sim/run.py --seed 42 --show``."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
import warnings
from collections import Counter
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])
warnings.filterwarnings('ignore', message='(?s).*Eventlet is deprecated')

from sim import profiles  # noqa: E402
from sim.simulation import Report, simulate  # noqa: E402

PROFILES = {**profiles.PROFILES, **profiles.EXTRA}


def main() -> int:
    parser = argparse.ArgumentParser(description='Simulations of queues on an in-memory Swift.')
    parser.add_argument('--seeds', type=int, default=1000, help='how many, from --first on')
    parser.add_argument('--first', type=int, default=0)
    parser.add_argument('--seed', type=int, help='only this one')
    parser.add_argument('--profile', choices=list(PROFILES), help='instead of the one that the seed picks')
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='processes')
    parser.add_argument('--show', action='store_true', help='with --seed: every step')
    parser.add_argument('--history', help='with --seed: write the history to this file')
    parser.add_argument('--brief', action='store_true', help='of failures, only what they are')
    parser.add_argument('--most', type=int, default=10, help='stop after that many failures')
    options = parser.parse_args()
    profile = PROFILES.get(options.profile)
    if options.seed is not None:
        return _one(simulate(options.seed, profile, traced=options.show), options)
    return _many(options, profile)


def _one(report: Report, options: argparse.Namespace) -> int:
    if options.show:
        print('\n'.join(report.trace))
    if options.history:
        Path(options.history).write_text(report.history())
    print(report.verdict)
    print(report.story())
    return bool(report.problems)


def _many(options: argparse.Namespace, profile: object) -> int:
    seeds = range(options.first, options.first + options.seeds)
    began, failures, counts = time.monotonic(), 0, Counter()
    # A process is replaced now and then, since simulations leave some memory behind.
    with multiprocessing.Pool(options.jobs, gc.disable, maxtasksperchild=500) as pool:
        for report in pool.imap_unordered(partial(_brief, profile=profile), seeds, chunksize=5):
            seed, name, problems, text, numbers = report
            counts.update(numbers)
            counts[f'seeds of {name}'] += 1
            if problems:
                failures += 1
                counts[f'failures of {name}'] += 1
                print('\n'.join(line for line in text.splitlines() if line[:4].strip()) if options.brief else text,
                      flush=True)
                if failures >= options.most:
                    print(f'stopped after {failures} failures')
                    break
    seconds = time.monotonic() - began
    done = sum(number for name, number in counts.items() if name.startswith('seeds of'))
    print('\n'.join(f'{name:28} {number}' for name, number in sorted(counts.items())))
    print(f'{done} seeds in {seconds:.0f} s, {done / seconds:.1f} a second; {failures} failed')
    return bool(failures)


def _brief(seed: int, profile: object) -> tuple:
    """What is left of a report that travels between processes."""
    report = simulate(seed, profile)
    if seed % 50 == 0:
        gc.collect()  # now and then is a quarter faster than as often as Python would
    verdict = report.verdict
    return seed, report.profile.name, len(report.problems), report.story() if report.problems else '', {
        'requests': report.requests, 'messages': verdict.posts, 'deliveries': verdict.deliveries,
        'delivered again': sum(verdict.duplicated.values()), 'acks': verdict.acks,
        f'overlaps in {report.profile.name}': len(verdict.overlaps)}


if __name__ == '__main__':
    sys.exit(main())
