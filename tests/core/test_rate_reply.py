"""What a client sees of a rate limit (proxy.md 3.1, 5.4)."""

import pytest

from appliance.core.rate_policy import parse_policy
from appliance.core.rate_reply import Verdict, rate_refusal, unchecked_headers, verdict_headers


def test_the_headers_of_a_verdict() -> None:
    verdict = Verdict(False, 7, 36, parse_policy("10.50;w=060;u=CENTS;s=Plan"))
    assert verdict_headers(verdict) == [
        (b"Helicone-RateLimit-Limit", b"10.5"),
        (b"Helicone-RateLimit-Remaining", b"7"),
        (b"Helicone-RateLimit-Policy", b"10.5;w=60;u=cents;s=plan"),
        (b"Helicone-RateLimit-Reset", b"36"),
    ]
    assert (verdict.limit, verdict.policy_text) == ("10.5", "10.5;w=60;u=cents;s=plan")


def test_no_reset_when_the_bucket_is_full() -> None:
    names = [name for name, _ in verdict_headers(Verdict(False, 10, 0, parse_policy("10;w=60")))]
    assert names == [
        b"Helicone-RateLimit-Limit", b"Helicone-RateLimit-Remaining", b"Helicone-RateLimit-Policy",
    ]  # fmt: skip


def test_a_policy_that_could_not_be_evaluated_is_named_alone() -> None:
    assert unchecked_headers(parse_policy("10;w=60;s=user")) == [
        (b"Helicone-RateLimit-Policy", b"10;w=60;s=user")
    ]


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("100;w=60", "100 requests in 60 seconds (policy 100;w=60)"),
        ("0.5;w=3600;u=cents", "0.5 cents in 3600 seconds (policy"),
        ("100;w=60;s=user", "100 requests in 60 seconds for each user (policy"),
        ("100;w=60;s=Plan", "for each value of the property plan (policy"),
    ],
)
def test_the_refusal(policy: str, says: str) -> None:
    refusal = rate_refusal(Verdict(True, 0, 42, parse_policy(policy)))
    assert (refusal.status, refusal.code, refusal.outcome) == (429, "rate_limited", "refused")
    assert refusal.headers == {"X-Helicone-Error": "rate_limited"}
    assert says in refusal.message
    assert "42 seconds" in refusal.message
    assert "Helicone-RateLimit-Policy in the manual" in refusal.message
