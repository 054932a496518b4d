"""Rate limits: one token per client request, taken before the first call (proxy.md 5).

Fails open: only a clear "no" of the limiter refuses. What could not be applied is told in a header,
on the record and in the metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from appliance import fence
from appliance.core.derive import PriceOf, cost_of
from appliance.core.rate_choice import counts_users, policy_of
from appliance.core.rate_policy import Policy, PolicyInvalid
from appliance.core.rate_reply import (
    NOT_APPLIED_MOCKED,
    NOT_APPLIED_POLICY,
    NOT_APPLIED_SEGMENT,
    NOT_APPLIED_UNKNOWN,
    NOT_APPLIED_UNREADABLE,
    PROPERTY_STATUS,
    STATUS_LIMITED,
    Verdict,
    rate_refusal,
    unchecked_headers,
    verdict_headers,
)
from appliance.core.rate_segment import BucketKey, user_of_body
from appliance.exchange import Exchange

RATE_LIMIT = "ratelimit-policy"
NO_POLICIES: Sequence[Policy] = ()


class StoredPolicies(Protocol):
    """What is asked of the state of all regions."""

    def policies(self, region: str, org: bytes) -> Sequence[Policy] | None:
        """An organisation's policies as they are tried; None when they cannot be told."""


class Limiter(Protocol):
    """What is asked of a region's limiter."""

    def key(
        self, org: bytes, policy: Policy, user_id: str, properties: Mapping[str, str]
    ) -> BucketKey | None:
        """The bucket of a request; None when it has no value for the policy's segment."""

    def check(self, key: BucketKey, policy: Policy, now_us: int) -> Verdict:
        """Whether the request passes; what it takes is taken."""

    def charge_cents(self, key: BucketKey, policy: Policy, cost_pico: int, now_us: int) -> None:
        """What a call has cost."""


class Captured(Protocol):
    """The reply's body."""

    async def whole(self) -> bytes:
        """All that was kept of it."""


class Costed(Protocol):
    """The record in the making, of which the cost is asked."""

    @property
    def capture(self) -> Captured: ...

    def facts(self) -> dict[str, Any]:
        """Its metadata."""


@dataclass(slots=True)
class Limits:
    """What the pipeline asks. `failed` counts a limiter that broke."""

    by_region: Mapping[str, Limiter]
    stored: StoredPolicies
    failed: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """The bucket that a request was counted in, for its cost."""

    limiter: Limiter
    key: BucketKey
    policy: Policy


def limit(x: Exchange, limits: Limits) -> bool:
    """Count the request against its policy, if one applies; once, whichever target comes to it
    first. True: that is done with. Raises Refusal 429."""
    if x.counted or not (x.asks.rate_limit_policy or x.stand_in is not None or x.identity.limited):
        return True
    x.counted = True
    try:
        verdict = _check_all(x, limits)
    except Exception as error:  # open: a limiter that breaks refuses nobody
        limits.failed()
        fence.broke(x, RATE_LIMIT, error)
        return True
    if verdict is None:
        return True
    x.reply_headers += verdict_headers(verdict)
    if verdict.limited:
        x.marks = {**(x.marks or {}), PROPERTY_STATUS: STATUS_LIMITED}
        raise rate_refusal(verdict)
    return True


def unlimited(x: Exchange, limits: Limits) -> bool:
    """A mocked reply takes no token, as one from the cache does not: nobody is called. Whoever has
    a limit is told so. True: that is done with."""
    if not (x.asks.rate_limit_policy or x.stand_in is not None or x.identity.limited):
        return True
    own = x.stand_in is not None and x.stand_in.policies
    if x.asks.rate_limit_policy or own or _stored(x, limits):
        fence.note(x, NOT_APPLIED_MOCKED)
    return True


def _check_all(x: Exchange, limits: Limits) -> Verdict | None:
    """Against the proxy key's own limits, then the policy that the request names, or that its
    organisation has for keys of the `-rl-` shape: the first that says no, else the last."""
    limiter = limits.by_region[x.region]
    verdict: Verdict | None = None
    if x.stand_in is not None:
        properties = x.stand_in.properties
        for policy in x.stand_in.policies:
            key = limiter.key(x.org, policy, "", properties)
            assert key is not None, "its segment is always there"
            verdict = limiter.check(key, policy, time.time_ns() // 1000)
            if verdict.limited:
                return verdict
            x.taken.append(Taken(limiter, key, policy))
    stored = _stored(x, limits)
    if x.asks.rate_limit_policy or stored:
        found = _check(x, limiter, stored)
        if found is not None:
            taken, verdict = found
            x.taken.append(taken)
    return verdict


def _stored(x: Exchange, limits: Limits) -> Sequence[Policy]:
    """The organisation's policies, where they count: the key is one of theirs, and the request
    names no policy, which would replace them (proxy.md 5.5). Open: what cannot be known of them is
    told, and limits nobody."""
    if x.asks.rate_limit_policy or not x.identity.limited:
        return NO_POLICIES
    if not x.identity.key_id and not x.identity.failed_open:
        fence.note(x, NOT_APPLIED_UNKNOWN)
        return NO_POLICIES
    stored = None if x.identity.failed_open else limits.stored.policies(x.region, x.org)
    if stored is None:
        limits.failed()
        fence.note(x, NOT_APPLIED_UNREADABLE)
        return NO_POLICIES
    return stored


def _check(x: Exchange, limiter: Limiter, stored: Sequence[Policy]) -> tuple[Taken, Verdict] | None:
    asks = x.asks
    user_id = asks.user_id
    try:
        if not user_id and counts_users(asks.rate_limit_policy, stored):
            user_id = user_of_body(x.body.data)
        policy = policy_of(
            asks.rate_limit_policy, stored, key_is_limited=True, user_id=user_id,
            properties=asks.properties,
        )  # fmt: skip
    except PolicyInvalid:
        fence.note(x, NOT_APPLIED_POLICY)
        return None
    if policy is None:
        return None
    key = limiter.key(x.org, policy, user_id, asks.properties)
    if key is None:
        x.reply_headers += unchecked_headers(policy)
        fence.note(x, NOT_APPLIED_SEGMENT)
        return None
    verdict = limiter.check(key, policy, time.time_ns() // 1000)
    return Taken(limiter, key, policy), verdict


def owes(x: Exchange) -> bool:
    """Whether a bucket that counts cents is due: not for a reply that was cut, or came from the
    cache."""
    if not x.taken or x.outcome != "complete":
        return False
    return any(taken.policy.unit == "cents" for taken in x.taken)


async def charge(x: Exchange, tap: Costed, price: PriceOf) -> bool:
    """Count what the call has cost. True: that is done with."""
    due: list[Taken] = [taken for taken in x.taken if taken.policy.unit == "cents"]
    cost_pico = cost_of(tap.facts(), x.body.data, await tap.capture.whole(), price=price)
    if cost_pico:
        for taken in due:
            taken.limiter.charge_cents(taken.key, taken.policy, cost_pico, time.time_ns() // 1000)
    return True
