"""Swift's storage policies, as ``swift.conf`` of this machine has them.

What is stored names a policy by its index, as Swift itself does: names may change.
"""

from __future__ import annotations

from swift.common.storage_policy import EC_POLICY, POLICIES


def open_policy(name: str) -> int | None:
    """The index of the policy; None if there is none of that name, or it takes no new containers."""
    policy = POLICIES.get_by_name(name)
    return None if policy is None or policy.is_deprecated else int(policy)


def name_of(index: int) -> str | None:
    """The policy's name; None if there is none of that index, or it takes no new containers."""
    policy = POLICIES.get_by_index(index)
    return None if policy is None or policy.is_deprecated else policy.name


def any_coded() -> bool:
    """Whether any policy is erasure-coded."""
    return any(policy.policy_type == EC_POLICY for policy in POLICIES)


def is_coded(index: int) -> bool:
    policy = POLICIES.get_by_index(index)
    return policy is not None and policy.policy_type == EC_POLICY
