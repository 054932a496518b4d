"""Which policy a request runs under: its own header's, else one of its organisation's
(proxy.md 5.5). Pure; reads no store.
"""

from collections.abc import Iterable, Mapping, Sequence

from appliance.core.rate_policy import GLOBAL, USER, Policy, parse_policy
from appliance.core.rate_segment import segment_value


def policy_of(
    header: str,
    org_policies: Sequence[Policy],
    *,
    key_is_limited: bool,
    user_id: str = "",
    properties: Mapping[str, str] | None = None,
) -> Policy | None:
    """The one policy that applies, or None. A header replaces what the organisation has stored,
    also when it is wrong: then PolicyInvalid is raised, and the request passes.

    `org_policies` are `ranked`, and apply to keys of the `-rl-` shape only. One whose segment has
    no value in this request is passed over: an empty property switches no limit off.
    """
    if header:
        return parse_policy(header)
    if not key_is_limited:
        return None
    known = properties or {}
    for policy in org_policies:
        if segment_value(policy, user_id, known) is not None:
            return policy
    return None


def counts_users(header: str, org_policies: Iterable[Policy]) -> bool:
    """Whether it matters who the user is. Raises PolicyInvalid."""
    policies = (parse_policy(header),) if header else org_policies
    return any(policy.segment == USER for policy in policies)


def ranked(policies: Iterable[Policy]) -> tuple[Policy, ...]:
    """Stored policies in the order they are tried: those of a property, of the user, of all; among
    equals the one that grants least in a minute. Done once, when they are loaded."""
    return tuple(sorted(policies, key=lambda policy: (_kind(policy), policy.per_minute)))


def _kind(policy: Policy) -> int:
    return 2 if policy.segment == GLOBAL else 1 if policy.segment == USER else 0
