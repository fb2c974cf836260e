"""When a webhook that failed is tried again: the phases of Messaging v2's ``_retry_policy``.

=====================  ==========================================  =================================================
phase                  tries                                       seconds before each
=====================  ==========================================  =================================================
at once                ``retries_with_no_delay``                   0
short                  ``minimum_delay_retries``                   ``minimum_delay``
backoff                :data:`BACKOFF`                             from ``minimum_delay`` up to ``maximum_delay``
long                   ``maximum_delay_retries``                   ``maximum_delay``
=====================  ==========================================  =================================================

>>> [delay({'retry_backoff_function': 'geometric'}, tries) for tries in (1, 4, 7, 16, 17, 20)]
[0, 5, 6, 25, 30, None]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BACKOFF = 10  # tries of the third phase
MOST = 100  # of any other, whatever a policy says

_DEFAULTS = {'retries_with_no_delay': 3, 'minimum_delay_retries': 3, 'minimum_delay': 5, 'maximum_delay': 30,
             'maximum_delay_retries': 3}

# Of the least and the most delay and the part of the way, above 0 and below 1.
_FUNCTIONS: dict[str, Callable[[float, float, float], float]] = {
    'linear': lambda least, most, part: least + (most - least) * part,
    'arithmetic': lambda least, most, part: least + (most - least) * part * (1 + part) / 2,
    'geometric': lambda least, most, part: least * (most / least) ** part,
    'exponential': lambda least, most, part: min(most, least * 2 ** (part * (BACKOFF + 1))),
}


def policy_of(subscriptions: dict[str, Any], queues: dict[str, Any]) -> dict[str, Any]:
    """The policy that counts, of those in a subscription's options and in its queue's attributes."""
    if subscriptions.get('ignore_subscription_override') or queues.get('ignore_subscription_override'):
        return queues
    return subscriptions or queues


def delay(policy: dict[str, Any], tries: int) -> int | None:
    """Seconds to wait after so many tries that failed; None if that were enough."""
    policy = _DEFAULTS | policy
    least, most = policy['minimum_delay'], max(policy['minimum_delay'], policy['maximum_delay'])
    function = _FUNCTIONS[policy.get('retry_backoff_function', 'linear')]
    for count, seconds in (
            (policy['retries_with_no_delay'], lambda number: 0),
            (policy['minimum_delay_retries'], lambda number: least),
            (BACKOFF, lambda number: function(max(least, 1), max(most, 1), number / (BACKOFF + 1))),
            (policy['maximum_delay_retries'], lambda number: most)):
        if tries <= min(count, MOST):
            return round(seconds(tries))
        tries -= min(count, MOST)
    return None
