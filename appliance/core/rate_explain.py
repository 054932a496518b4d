"""Why a rate limit applies to a request, or why none does, in words for an operator.

Pure. What is decided is `rate_choice`'s; here it is only told (proxy.md 5.2, 5.5).
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from appliance.core.rate_choice import policy_of
from appliance.core.rate_policy import GLOBAL, USER, Policy, PolicyInvalid
from appliance.core.rate_reply import (
    NOT_APPLIED_POLICY,
    NOT_APPLIED_SEGMENT,
    NOT_APPLIED_UNREADABLE,
)
from appliance.core.rate_segment import segment_value

ORDER: Final = (
    "those of a property come first, then those of the user, then those of all; among equals the "
    "one that grants least in a minute"
)


class Explained(NamedTuple):
    """The policy that applies, if any; in which words, and what the reply would say was not
    applied."""

    policy: Policy | None
    source: str
    why: str
    not_applied: str = ""


def explain(
    header: str,
    stored: Sequence[Policy] | None,
    *,
    key_is_limited: bool,
    user_id: str,
    properties: Mapping[str, str],
) -> Explained:
    """What `features/limit.py` would do with such a request. `stored` is None where it cannot be
    read."""
    if header:
        return _of_header(header, user_id, properties)
    if not key_is_limited:
        why = "the key is not of the -rl- shape and the request names no policy: nothing limits it"
        return Explained(None, "none", why)
    if stored is None:
        why = "the stored policies cannot be read: the request passes, and its reply says so"
        return Explained(None, "none", why, NOT_APPLIED_UNREADABLE)
    if not stored:
        return Explained(None, "none", "the organisation has no stored policy: limits set adds one")
    policy = policy_of(
        "", stored, key_is_limited=True, user_id=user_id, properties=properties
    )  # fmt: skip
    if policy is None:
        wanted = ", ".join(sorted({f"of {segment_name(one)}" for one in stored}))
        why = f"each stored policy is {wanted}, and the request has no value for it"
        return Explained(None, "none", why)
    fitting = [one for one in stored if segment_value(one, user_id, properties) is not None]
    why = f"the only stored policy of {len(stored)} that fits this request"
    if len(fitting) > 1:
        why = f"the first of {len(fitting)} stored policies that fit this request: {ORDER}"
    return Explained(policy, "stored", why)


def segment_name(policy: Policy) -> str:
    """Whom a policy counts."""
    if policy.segment == GLOBAL:
        return "all"
    return "the user" if policy.segment == USER else f"the property {policy.segment}"


def is_shadowed(policy: Policy, stored: Sequence[Policy]) -> Policy | None:
    """The policy because of which this one never applies: of the same segment, and tried before."""
    first = next(one for one in stored if one.segment == policy.segment)
    return None if first == policy else first


def _of_header(header: str, user_id: str, properties: Mapping[str, str]) -> Explained:
    try:
        policy = policy_of(header, (), key_is_limited=True)
    except PolicyInvalid as error:
        why = f"the header is no policy ({error.message}): the request passes, its reply says so"
        return Explained(None, "header", why, NOT_APPLIED_POLICY)
    assert policy is not None, "a header was given"
    if segment_value(policy, user_id, properties) is None:
        why = (
            f"the header limits {segment_name(policy)}, of which the request has no value: it "
            "passes, and its reply says so"
        )
        return Explained(None, "header", why, NOT_APPLIED_SEGMENT)
    return Explained(policy, "header", "the request's header replaces all stored policies")
