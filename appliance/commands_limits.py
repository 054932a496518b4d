"""What `limits set | list | remove | explain` do to one region: the first three to its state, the
last one to nothing. A running server calls these, a command without a server calls them itself.

Each takes the arguments as they travel, and gives plain values to print.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from appliance.commands_orgs import find_key, organization_id
from appliance.core.keys import parse_key
from appliance.core.rate_choice import ranked
from appliance.core.rate_explain import explain, is_shadowed, segment_name
from appliance.core.rate_policy import GLOBAL, Policy, PolicyInvalid, parse_policy
from appliance.core.rate_segment import BucketKey, segment_value
from appliance.errors import Refusal

if TYPE_CHECKING:
    from appliance.core.rate_reply import Verdict
    from storage.rate_policies import RatePolicyRow
    from storage.state import State

Arguments = Mapping[str, Any]
POLICIES_PER_ORGANIZATION_MAX = 50
POLICIES_MAX = 10_000  # of a region: all are in memory
PROPERTIES_MAX = 50


class Limiter(Protocol):
    """What is asked of a region's limiter."""

    def key(
        self, org: bytes, policy: Policy, user_id: str, properties: Mapping[str, str]
    ) -> BucketKey | None:
        """The bucket of a request."""

    def look(self, key: BucketKey, policy: Policy, now_us: int) -> "Verdict":
        """What it would say, without taking anything."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose request it would be. `limited`: with a key of the `-rl-` shape; `unknown`: with one
    that is not on file."""

    organization_id: str
    limited: bool
    unknown: bool = False


def set_limit(state: "State", given: Arguments) -> dict[str, Any]:
    """Store a policy; the one of the same segment and unit, which shares its bucket, goes."""
    from storage.rate_policies import RatePolicyRow
    from storage.state import now_us

    org = organization_id(state, given.get("org"))
    policy = _policy(given)
    known = state.rate_policies()
    theirs = [row for row in known if row.organization_id == org]
    replaced = [row for row in theirs if (row.segment, row.unit) == (policy.segment, policy.unit)]
    if not replaced and len(theirs) >= POLICIES_PER_ORGANIZATION_MAX:
        raise _full(f"{POLICIES_PER_ORGANIZATION_MAX} an organisation")
    if not replaced and len(known) >= POLICIES_MAX:
        raise _full(f"{POLICIES_MAX} a region")
    row = state.put_rate_policy(
        RatePolicyRow(
            str(uuid.uuid4()), org, policy.segment, policy.unit, policy.text.decode(), now_us()
        )
    )
    return shown(row) | {"replaced": replaced[0].policy if replaced else ""}


def list_limits(state: "State", given: Arguments) -> list[dict[str, Any]]:
    """The policies of an organisation in the order in which they are tried."""
    org = organization_id(state, given.get("org"))
    rows = [row for row in state.rate_policies() if row.organization_id == org]
    parsed = {row.id: policy for row in rows if (policy := _parsed(row)) is not None}
    order = ranked(parsed.values())
    places = {policy: place for place, policy in enumerate(order)}
    whole = len(parsed) == len(rows)

    def place(row: "RatePolicyRow") -> int:
        return places[parsed[row.id]] if row.id in parsed else len(rows)

    return [shown(row) | {"note": _note(parsed.get(row.id), order, whole=whole)}
            for row in sorted(rows, key=place)]  # fmt: skip


def remove_limit(state: "State", given: Arguments) -> dict[str, Any]:
    """Remove a policy, named by its id or its text."""
    org = organization_id(state, given.get("org"))
    wanted = str(given.get("policy", "")).strip()
    rows = [row for row in state.rate_policies() if row.organization_id == org]
    found = [row for row in rows if wanted in (row.id, row.policy)]
    if not found:
        text = _canonical(wanted)
        found = [row for row in rows if row.policy == text]
    if not found or not state.drop_rate_policy(found[0].id):
        raise Refusal(
            404, "limit_unknown",
            "the organisation has no stored policy of this id or text: limits list shows them",
        )  # fmt: skip
    return shown(found[0])


LIMIT_COMMANDS: dict[str, Callable[["State", Arguments], Any]] = {
    "limits.set": set_limit,
    "limits.list": list_limits,
    "limits.remove": remove_limit,
}


def subject_of(state: "State", given: Arguments) -> Subject:
    """Whose request `limits explain` is about. Raises Refusal 400, 404, 409."""
    wanted = str(given.get("key") or "").strip()
    if not wanted:  # as with a key that has the organisation's limits
        return Subject(organization_id(state, given.get("org")), limited=True)
    if given.get("org"):
        raise Refusal(
            400, "key_and_org", "give a key or an organisation, not both: a key has one already"
        )
    shape = parse_key(wanted)
    if shape is not None and shape.stand_in:
        raise Refusal(
            400, "stand_in",
            "a proxy key has limits of its own beside these: proxy-keys list shows them",
        )  # fmt: skip
    row = find_key(state, wanted)
    if row is None:
        if shape is None:
            raise Refusal(404, "unknown_key", "no key in use has this id, name or text")
        return Subject(organization_id(state, ""), limited=shape.limited, unknown=True)
    limited = shape.limited if shape is not None else row.limited
    if limited is None:
        raise Refusal(
            400, "key_shape_unknown",
            "of this key only the hash is known, not whether it is of the -rl- shape: give its "
            "text instead of its name",
        )  # fmt: skip
    return Subject(row.organization_id, limited)


def explain_limit(
    limiter: Limiter,
    subject: Subject,
    stored: Sequence[Policy] | None,
    given: Arguments,
    now_us: int,
) -> dict[str, Any]:
    """Which policy a request would run under, why, and how its bucket stands. Takes nothing."""
    org = uuid.UUID(subject.organization_id).bytes
    user_id = str(given.get("user") or "")
    properties = _properties(given)
    header = str(given.get("policy") or "").strip()
    found = explain(
        header, stored, key_is_limited=subject.limited, user_id=user_id, properties=properties
    )
    why = found.why
    policy = found.policy
    if subject.unknown and subject.limited and not header:
        policy, why = None, "the key is not on file: no organisation's stored policies are its own"
    told: dict[str, Any] = {
        "organization_id": subject.organization_id,
        "policy": policy.text.decode() if policy is not None else "",
        "source": found.source if policy is not None or header else "none",
        "why": why,
        "not_applied": found.not_applied,
    }
    if policy is None:
        return told | {"passes": True}
    key = limiter.key(org, policy, user_id, properties)
    assert key is not None, "the policy applies, so its segment has a value"
    verdict = limiter.look(key, policy, now_us)
    return told | {
        "bucket": _bucket(policy, segment_value(policy, user_id, properties) or ""),
        "unit": policy.unit,
        "limit": verdict.limit,
        "remaining": verdict.remaining,
        "full_in_s": verdict.reset_s,
        "full_at": _time(now_us + verdict.reset_s * 1_000_000),
        "passes": not verdict.limited,
    }


def policies_in(state: "State", subject: Subject) -> Sequence[Policy] | None:
    """The organisation's policies as they are tried, straight from the state; None when one of
    them cannot be read."""
    rows = [row for row in state.rate_policies() if row.organization_id == subject.organization_id]
    parsed = [_parsed(row) for row in rows]
    known = [policy for policy in parsed if policy is not None]
    return ranked(known) if len(known) == len(parsed) else None


def shown(row: "RatePolicyRow") -> dict[str, Any]:
    """A stored policy as it is printed."""
    policy = _parsed(row)
    return {
        "id": row.id,
        "policy": row.policy,
        "counts": segment_name(policy) if policy is not None else "",
        "unit": row.unit,
        "organization_id": row.organization_id,
        "created_at": _time(row.created_at_us),
    }


def _note(policy: Policy | None, order: Sequence[Policy], *, whole: bool) -> str:
    if policy is None:
        return "is no policy: none of the organisation's is enforced until it is set anew"
    if not whole:
        return "not enforced: another one is no policy"
    other = is_shadowed(policy, order)
    return "" if other is None else f"never applies: {other.text.decode()} grants less"


def _policy(given: Arguments) -> Policy:
    try:
        return parse_policy(str(given.get("policy", "")))
    except PolicyInvalid as error:
        raise Refusal(400, "policy_invalid", f"policy: {error.message}") from None


def _parsed(row: "RatePolicyRow") -> Policy | None:
    try:
        return parse_policy(row.policy)
    except PolicyInvalid:
        return None


def _canonical(text: str) -> str:
    try:
        return parse_policy(text).text.decode()
    except PolicyInvalid:
        return ""


def _properties(given: Arguments) -> dict[str, str]:
    """Names in lower case, as those of requests are."""
    found = given.get("properties") or {}
    if not isinstance(found, Mapping) or len(found) > PROPERTIES_MAX:
        raise Refusal(
            400, "properties_invalid", f"properties: at most {PROPERTIES_MAX} names with values"
        )
    return {str(name).lower(): str(value) for name, value in found.items()}


def _bucket(policy: Policy, value: str) -> str:
    if policy.segment == GLOBAL:
        return "all of the organisation"
    return f"{segment_name(policy)} = {value}"


def _full(what: str) -> Refusal:
    return Refusal(409, "limits_full", f"at most {what} are kept: remove one first")


def _time(at_us: int) -> str:
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return at.isoformat().replace("+00:00", "Z")
