"""Proxy keys: their text, their limits, and whom they serve (proxy.md 1.7)."""

from __future__ import annotations

import pytest

from appliance.actors.rate_limiter import RateLimiter
from appliance.core.keys import KeyInfo, parse_key
from appliance.core.proxy_keys import StandIn, check_stand_in, generate_proxy_key, limits_of
from appliance.errors import Refusal

ORG, OTHER = b"a" * 16, b"b" * 16
PROXY_ID = "123e4567-e89b-42d3-a456-426614174000"
US = 1_000_000
STAND_IN = StandIn(ORG, PROXY_ID, "k1", "openai", limits_of(["2;w=60", "5;w=60;u=cents"]))


@pytest.mark.parametrize("region", ["us", "eu"])
def test_the_text_has_the_shape_that_stands_in(region: str) -> None:
    text = generate_proxy_key(PROXY_ID, region=region)
    shape = parse_key(text)
    assert shape is not None
    assert (shape.kind, shape.stand_in, shape.region) == ("proxy", True, region)
    assert text.endswith(PROXY_ID)
    assert generate_proxy_key(PROXY_ID, region=region) != text


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (["x"], "limit: policy"),
        (["1;w=1"], "limit: window"),
        (["1;w=60;s=user"], "its own segment"),
        (["1;w=60", "2;w=120"], "two of them count request"),
    ],
)
def test_limits_that_cannot_be(limits: list[str], why: str) -> None:
    with pytest.raises(Refusal, match=why) as refusal:
        limits_of(limits)
    assert (refusal.value.status, refusal.value.code) == (400, "limit_invalid")


def test_limits_count_each_proxy_key_alone(tmp_path) -> None:  # type: ignore[no-untyped-def]
    limiter = RateLimiter(tmp_path, b"s" * 32)
    other = StandIn(ORG, "another", "k1", "openai", STAND_IN.policies)

    def passes(one: StandIn) -> bool:
        verdicts = []
        for policy in one.policies:
            key = limiter.key(one.org, policy, "user", one.properties)
            assert key is not None
            verdicts.append(limiter.check(key, policy, US))
        return not any(verdict.limited for verdict in verdicts)

    assert [passes(STAND_IN) for _ in range(3)] == [True, True, False]
    assert passes(other)
    cents = other.policies[1]
    key = limiter.key(ORG, cents, "", other.properties)
    assert key is not None
    limiter.charge_cents(key, cents, 5 * 10**10, US)
    assert not passes(other)


def test_it_serves_its_organisation_and_its_provider() -> None:
    assert check_stand_in(STAND_IN, "openai", None) is STAND_IN
    assert check_stand_in(STAND_IN, "openai", KeyInfo(ORG, "x", "rw")) is STAND_IN
    for stand_in, provider, info, code in (
        (None, "openai", None, "stand_in_unknown"),
        (STAND_IN, "openai", KeyInfo(OTHER, "x", "rw"), "stand_in_unknown"),
        (STAND_IN, "anthropic", None, "stand_in_elsewhere"),
        (STAND_IN, "", None, "stand_in_elsewhere"),
    ):
        with pytest.raises(Refusal) as refusal:
            check_stand_in(stand_in, provider, info)
        assert (refusal.value.status, refusal.value.code) == (401, code)
        assert not refusal.value.message.endswith("not of .")
