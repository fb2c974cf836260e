"""What came of faults: as lines for a terminal, and as a table in the documentation."""

from __future__ import annotations

import datetime
import os
import re
from importlib.metadata import version
from pathlib import Path

from faults.trial import Outcome

PAGE = Path(__file__).parents[2] / 'doc' / 'source' / 'reliability.rst'
BEGIN, END = '.. The table begins; tests/faults/report.py writes it.', '.. The table ends.'

COLUMNS = (  # title, width
    ('', 4), ('fault', 22), ('posts (unclear)', 8), ('deliveries', 8), ('again (unexplained)', 8), ('overlaps', 6),
    ('lost', 5), ('stale acks', 5), ('errors that clients saw', 14), ('what was seen', 30), ('promises', 10))


def as_text(outcome: Outcome) -> str:
    """For a terminal."""
    case, verdict = outcome.case, outcome.verdict
    lines = [f'{"BROKEN" if outcome.problems else "held"}: {case.number} {case.title} ({outcome.seconds:.0f} s)',
             f'posted {verdict.acknowledged} (and {_unclear(outcome)} unclear), deliveries {verdict.deliveries}, '
             f'lost {len(verdict.lost)}, vanished {len(verdict.vanished)}, returned {len(verdict.returned)}, '
             f'stale acks {len(verdict.stale_acks)}, again {_again(outcome)} ({len(verdict.unexplained)} unexplained), '
             f'overlaps {len(verdict.overlaps)}', f'errors: {_errors(outcome)}', *outcome.facts,
             *(f'!! {problem}' for problem in outcome.problems), *(f'| {line}' for line in outcome.stories)]
    return '\n    '.join(lines)


def write(outcomes: list[tuple[str, Outcome]], command: str, page: Path = PAGE) -> None:
    """Put the table into the page. Each outcome comes with the name of the cache it was got with."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f'{before}{BEGIN}\n\n{_table(outcomes, command)}\n{END}{after}')


def _table(outcomes: list[tuple[str, Outcome]], command: str) -> str:
    caches = list(dict.fromkeys(cache for cache, _ in outcomes))
    lines = [f'Run on {datetime.date.today()} with ``{command}``: {os.cpu_count()} cores, Swift {version("swift")}, '
             f'cache: {caches[0]}.', '', '.. list-table::', '   :header-rows: 1',
             f'   :widths: {" ".join(str(width) for _, width in COLUMNS)}', '']
    rows = [[title for title, _ in COLUMNS], *(_row(outcome, cache if cache != caches[0] else '')
                                               for cache, outcome in outcomes)]
    for row in rows:
        lines += [f'   {"-" if number else "* -"} {cell}'.rstrip() if not number else f'     - {cell}'.rstrip()
                  for number, cell in enumerate(row)]
    return '\n'.join(lines) + '\n'


def _row(outcome: Outcome, cache: str) -> list[str]:
    case, verdict = outcome.case, outcome.verdict
    return [_plain(cell) for cell in (
        case.number, case.title + (f' (cache: {cache})' if cache else ''),
        f'{verdict.acknowledged} ({_unclear(outcome)})', verdict.deliveries,
        f'{_again(outcome)} ({len(verdict.unexplained)})', len(verdict.overlaps),
        len(verdict.lost) + len(verdict.vanished), len(verdict.stale_acks), _errors(outcome),
        '; '.join(outcome.facts), f'BROKEN: {"; ".join(outcome.problems)}' if outcome.problems
        else f'{case.promises} held')]


def _plain(cell: object) -> str:
    """Text that no markup is in."""
    return re.sub(r'([\\*`|_])', r'\\\1', str(cell))


def _unclear(outcome: Outcome) -> int:
    return outcome.verdict.posts - outcome.verdict.acknowledged


def _again(outcome: Outcome) -> int:
    return sum(outcome.verdict.duplicated.values())


def _errors(outcome: Outcome) -> str:
    """What nobody could count on: 5xx and lost connections. Refusals are answers."""
    return ', '.join(f'{op} {status}: {times}' for (op, status), times in sorted(outcome.errors.items(), key=str)
                     if op != 'drain' and (isinstance(status, str) or status >= 500)) or 'none'
