"""Tables: for the terminal, and for the documents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bench.results import Row, Target

HEAD = ('', 'per s', 'to raw', 'p50 ms', 'p99 ms', 'Swift requests', 'proxy CPU ms', 'Swift CPU ms')
BEGIN, END = '.. begin of what make bench writes', '.. end of what make bench writes'


def table(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """The cells of a table, its head first. Requests and CPU time are per message."""
    return [HEAD, *(_cells(row) for row in rows)]


def _cells(row: Row) -> tuple[str, ...]:
    if not row.rate:
        return (row.name, 'refused' if row.failures else 'nothing', *[''] * (len(HEAD) - 2))
    storage = sum(row.cpu.get(kind, 0) for kind in ('storage', 'daemons', 'cache'))
    return (row.name, number(row.rate), number(row.ratio), number(1000 * row.p50), number(1000 * row.p99),
            '' if row.name.startswith('raw ') else number(row.requests),
            number(1000 * row.cpu['proxy']) if 'proxy' in row.cpu else '', number(1000 * storage) if storage else '')


def number(value: float | None) -> str:
    """Three digits are what the figures are good for.

    >>> number(0.8449), number(31.26), number(4127.3), number(None)
    ('0.845', '31.3', '4130', '')
    """
    if value is None or math.isnan(value):
        return ''
    if not value:
        return '0'
    rounded = float(f'{value:.3g}')
    return f'{rounded:.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}'


def targets(judged: Iterable[tuple[Target, float]]) -> list[tuple[str, ...]]:
    """The cells of the table of targets, its head first."""
    return [('target', 'wanted', 'measured', ''), *(
        (target.name, ('at most ' if target.most else 'at least ') + number(target.wanted), number(value),
         'met' if target.met(value) else 'missed') for target, value in judged)]


def text(cells: Sequence[Sequence[str]]) -> str:
    """A table for the terminal: names on the left, figures on the right."""
    widths = _widths(cells)
    return '\n'.join('  '.join(
        cell.rjust(width) if number else cell.ljust(width)
        for number, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip() for line in cells)


def rst(cells: Sequence[Sequence[str]]) -> str:
    """A simple table of reStructuredText."""
    widths = _widths(cells)
    rule = '  '.join('=' * width for width in widths)
    lines = ['  '.join((cell or ('\\' if not place else '')).ljust(width)
                       for place, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
             for line in cells]
    return '\n'.join([rule, lines[0], rule, *lines[1:], rule])


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(line[column]) for line in cells) or 1 for column in range(len(cells[0]))]


def put_between(document: str, block: str) -> str:
    """The document with the block between the two marks. Raises ValueError if they are not there."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError('the document has no place for figures')
    return f'{before}{BEGIN}\n\n{block.strip()}\n\n{END}{after}'
