"""A bar chart as SVG: ratios to raw Swift, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_COLOURS = ('#9ecae1', '#3182bd', '#08519c', '#6baed6', '#08306b')
_BAR, _GAP, _LEFT, _WIDTH, _TOP = 12, 14, 170, 720, 56


def chart(title: str, bars: Mapping[str, Sequence[float | None]], series: Sequence[str],
          targets: Mapping[str, float]) -> str:
    """One group of bars for each name, one bar in it for each of the series; a mark where a target is."""
    values = [value for group in bars.values() for value in group if value] + list(targets.values())
    low = 10 ** math.floor(math.log10(min(values, default=0.1)))
    high = 10 ** math.ceil(math.log10(max(values, default=10)))
    high = max(high, 10 * low)

    def x(value: float) -> float:
        share = math.log10(value / low) / math.log10(high / low)
        return round(_LEFT + share * (_WIDTH - _LEFT - 60), 1)

    group = _BAR * len(series) + _GAP
    bottom = _TOP + group * len(bars)
    parts = [f'<text x="10" y="20" font-size="15">{escape(title)}</text>', *_legend(series)]
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        at = x(10 ** power)
        parts.append(f'<line x1="{at}" y1="{_TOP - 6}" x2="{at}" y2="{bottom}" stroke="#ccc"/>')
        parts.append(f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">{10.0 ** power:g}</text>')
    for place, (name, group_values) in enumerate(bars.items()):
        top = _TOP + place * group
        middle = top + _BAR * len(series) / 2
        parts.append(f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>')
        for number, value in enumerate(group_values):
            if value:
                y = top + number * _BAR
                parts.append(f'<rect x="{_LEFT}" y="{y}" width="{max(1, x(value) - _LEFT):.1f}" height="{_BAR - 2}" '
                             f'fill="{_COLOURS[number % len(_COLOURS)]}"/>')
                parts.append(f'<text x="{x(value) + 4}" y="{y + 9}" font-size="10">{value:.3g}</text>')
        if name in targets:
            at = x(targets[name])
            parts.append(f'<line x1="{at}" y1="{top - 3}" x2="{at}" y2="{top + _BAR * len(series)}" '
                         'stroke="#d62728" stroke-width="2"/>')
    height = bottom + 28
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">\n'
            f'<rect width="{_WIDTH}" height="{height}" fill="white"/>\n' + '\n'.join(parts) + '\n</svg>\n')


def _legend(series: Sequence[str]) -> list[str]:
    parts = []
    for number, name in enumerate(series):
        x = _LEFT + 130 * number
        parts.append(f'<rect x="{x}" y="30" width="12" height="12" fill="{_COLOURS[number % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{x + 18}" y="40">{escape(name)}</text>')
    x = _LEFT + 130 * len(series)
    parts.append(f'<line x1="{x}" y1="29" x2="{x}" y2="43" stroke="#d62728" stroke-width="2"/>')
    parts.append(f'<text x="{x + 8}" y="40">target</text>')
    return parts
