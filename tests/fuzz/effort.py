"""How long to look: a few hundred examples, always the same, or as many as ``make fuzz`` wants, by chance.

``FUZZ_SCALE`` multiplies the examples of every property. With it they are drawn by chance: from the seed that
``--hypothesis-seed`` gives, or from one that a failure tells.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SCALE = int(os.environ.get('FUZZ_SCALE') or 0)


def examples(number: int, **more: int) -> settings:
    """For a property that is worth this many examples, or steps as ``stateful_step_count``.

    Nothing is judged by the time it takes.
    """
    return settings(max_examples=number * max(1, SCALE), derandomize=not SCALE, deadline=None, database=None,
                    print_blob=True, suppress_health_check=list(HealthCheck), **more)
