"""What a client sees of a rate limit: the verdict's headers and the refusal (proxy.md 3.1, 5.4).

Pure. One place for the words that the record and `Helicone-Not-Applied` use, too.
"""

from typing import Final, NamedTuple

from appliance.core.rate_policy import GLOBAL, USER, Policy
from appliance.errors import Refusal
from appliance.exchange import Headers

REPLY_LIMIT: Final = b"Helicone-RateLimit-Limit"
REPLY_REMAINING: Final = b"Helicone-RateLimit-Remaining"
REPLY_POLICY: Final = b"Helicone-RateLimit-Policy"
REPLY_RESET: Final = b"Helicone-RateLimit-Reset"
REPLY_X_ERROR: Final = "X-Helicone-Error"

CODE: Final = "rate_limited"
# The property that marks a refusal on its record (proxy.md 5.4).
PROPERTY_STATUS: Final = "Helicone-Rate-Limit-Status"
STATUS_LIMITED: Final = "bucket_rate_limited"
# What `not_applied` says of a request that passed unchecked.
NOT_APPLIED_POLICY: Final = "ratelimit-policy;reason=policy-invalid"
NOT_APPLIED_SEGMENT: Final = "ratelimit-policy;reason=segment-missing"
NOT_APPLIED_UNKNOWN: Final = "ratelimit-policy;reason=key-unknown"
NOT_APPLIED_MOCKED: Final = "ratelimit-policy;reason=mocked"
NOT_APPLIED_UNREADABLE: Final = "ratelimit-policy;reason=policies-unreadable"


class Verdict(NamedTuple):
    """What the limiter says of one request. `remaining` and `reset_s` are of its bucket, after."""

    limited: bool
    remaining: int
    reset_s: int
    policy: Policy

    @property
    def limit(self) -> str:
        """The quota as a number."""
        return self.policy.limit.decode()

    @property
    def policy_text(self) -> str:
        """The policy in its canonical form."""
        return self.policy.text.decode()


def verdict_headers(verdict: Verdict) -> Headers:
    """The headers of a reply whose policy was evaluated, passed or refused."""
    policy = verdict.policy
    headers = [
        (REPLY_LIMIT, policy.limit),
        (REPLY_REMAINING, b"%d" % verdict.remaining),
        (REPLY_POLICY, policy.text),
    ]
    if verdict.reset_s > 0:
        headers.append((REPLY_RESET, b"%d" % verdict.reset_s))
    return headers


def unchecked_headers(policy: Policy) -> Headers:
    """The header of a reply whose policy was understood, and could not be evaluated."""
    return [(REPLY_POLICY, policy.text)]


def rate_refusal(verdict: Verdict) -> Refusal:
    """The 429. The verdict's headers go out with every reply, so with this one: not given here."""
    policy = verdict.policy
    unit = "cents" if policy.unit == "cents" else "requests"
    message = (
        f"Rate limit reached: {verdict.limit} {unit} in {policy.window_s} seconds"
        f"{_scope(policy)} (policy {verdict.policy_text}). The limit is free again in full in "
        f"{verdict.reset_s} seconds. See Helicone-RateLimit-Policy in the manual, under /docs."
    )
    return Refusal(429, CODE, message, headers={REPLY_X_ERROR: CODE})


def _scope(policy: Policy) -> str:
    if policy.segment == GLOBAL:
        return ""
    if policy.segment == USER:
        return " for each user"
    return f" for each value of the property {policy.segment}"
