"""Runs the tables of `rate_limit` through what the pipeline asks of the limiter, in its order."""

from pathlib import Path

import pytest

from appliance.actors.rate_limiter import RateLimiter
from appliance.core.money import pico_of_usd
from appliance.core.rate_choice import policy_of, ranked
from appliance.core.rate_policy import Policy, PolicyInvalid, parse_policy
from appliance.core.rate_reply import (
    NOT_APPLIED_POLICY,
    NOT_APPLIED_SEGMENT,
    rate_refusal,
    unchecked_headers,
    verdict_headers,
)
from appliance.core.rate_segment import user_of_body
from appliance.exchange import Headers
from tests.scenarios.rate_limit import SCENARIOS, Call, Scenario

T0_US = 1_800_000_000_000_000
PREFIX = "Helicone-RateLimit-"


def answer(
    limiter: RateLimiter, stored: tuple[Policy, ...], call: Call
) -> tuple[int, Headers, str]:
    """Status, headers, and what was not applied."""
    now_us = T0_US + round(call.at_s * 1_000_000)
    user_id = call.user or user_of_body(call.body)
    try:
        policy = policy_of(
            call.policy, stored, key_is_limited=call.limited_key, user_id=user_id,
            properties=call.properties,
        )  # fmt: skip
    except PolicyInvalid:
        return 200, [], NOT_APPLIED_POLICY
    if policy is None:
        return 200, [], ""
    key = limiter.key(call.org, policy, user_id, call.properties)
    if key is None:
        return 200, unchecked_headers(policy), NOT_APPLIED_SEGMENT
    verdict = limiter.check(key, policy, now_us)
    if verdict.limited:
        refusal = rate_refusal(verdict)
        assert refusal.headers["X-Helicone-Error"] == "rate_limited"
        return refusal.status, verdict_headers(verdict), ""
    limiter.charge_cents(key, policy, pico_of_usd(call.cost_usd), now_us)
    return 200, verdict_headers(verdict), ""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_rate_limits(scenario: Scenario, tmp_path: Path) -> None:
    limiter = RateLimiter(tmp_path, b"s" * 32)
    stored = ranked(parse_policy(text) for text in scenario.stored)
    for number, call in enumerate(scenario.calls):
        replies = [answer(limiter, stored, call) for _ in range(call.times)]
        statuses = [status for status, _, _ in replies]
        wanted = call.statuses if len(call.statuses) > 1 else call.statuses * call.times
        assert statuses == list(wanted), number
        _, headers, not_applied = replies[-1]
        assert not_applied == call.not_applied, number
        if call.headers is not None:
            found = {name.decode(): value.decode() for name, value in headers}
            assert found == {PREFIX + name: value for name, value in call.headers.items()}, number
