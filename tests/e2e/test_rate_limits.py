"""Rate limits by header (proxy.md 5): who passes, what is told, what outlives a restart."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.storage_kit import wait_until
from tests.e2e.test_retries import answer, series
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
DEAR = b'{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000000,"completion_tokens":0}}'


def ask(appliance: Appliance, policy: str, user: str, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    limits = {"helicone-ratelimit-policy": policy, "helicone-user-id": user}
    return appliance.call(CHAT, ASK, {**limits, **named})


@pytest.fixture
def user() -> str:
    """One whom no other test has counted."""
    return secrets.token_hex(8)


def test_the_quota_and_what_is_told(appliance: Appliance, provider: Provider, user: str) -> None:
    policy = "2;w=3600;s=user"
    for left in (b"1", b"0"):
        reply = ask(appliance, policy, user)
        assert reply.status == 200
        assert reply.first("helicone-ratelimit-limit") == b"2"
        assert reply.first("helicone-ratelimit-remaining") == left
        assert reply.first("helicone-ratelimit-policy") == policy.encode()
    provider.clear()
    refused = ask(appliance, policy, user)
    assert (refused.status, refused.json["error"]["code"]) == (429, "rate_limited")
    assert refused.first("x-helicone-error") == b"rate_limited"
    assert 0 < int(refused.first("helicone-ratelimit-reset") or 0) <= 3600
    assert not provider.all(b"POST")
    assert ask(appliance, policy, user + "-other").status == 200
    row = appliance.row(refused.id)
    assert (row["http_status"], row["outcome"], row["attempts"]) == (429, "refused", [])
    assert row["properties"]["Helicone-Rate-Limit-Status"] == "bucket_rate_limited"


def test_one_token_for_a_request_however_often_it_is_called(
    appliance: Appliance, provider: Provider, user: str
) -> None:
    name = series(provider, f"limited-{user}", 500, 500, 200)
    again = {"helicone-retry-enabled": "true", "helicone-retry-min-timeout": "1"}
    reply = ask(appliance, "5;w=3600;s=user", user, x_fake=name, **again)
    assert (reply.status, reply.first("helicone-ratelimit-remaining")) == (200, b"4")


def test_exactly_the_quota_passes_at_once(appliance: Appliance, user: str) -> None:
    def many(_number: int) -> list[int]:
        with appliance.client() as client:
            headers = {"helicone-ratelimit-policy": "50;w=3600;s=user", "helicone-user-id": user}
            return [client.call(CHAT, ASK, headers).status for _ in range(15)]

    with ThreadPoolExecutor(8) as threads:
        found = [status for statuses in threads.map(many, range(8)) for status in statuses]
    assert (found.count(200), found.count(429)) == (50, 70)


def test_cents_are_charged_by_what_a_call_cost(
    appliance: Appliance, provider: Provider, user: str
) -> None:
    name = provider.add(f"dear-{user}", answer(200, DEAR))
    policy = "200;w=3600;u=cents;s=user"  # the call costs 2.50 USD
    first = ask(appliance, policy, user, x_fake=name)
    assert (first.status, first.first("helicone-ratelimit-remaining")) == (200, b"200")
    assert ask(appliance, policy, user, x_fake=name).status == 429


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("x", b"ratelimit-policy;reason=policy-invalid"),
        ("1;w=60;s=tenant", b"ratelimit-policy;reason=segment-missing"),
    ],
)
def test_what_cannot_be_applied_passes_and_is_told(
    appliance: Appliance, user: str, policy: str, told: bytes
) -> None:
    for _ in range(2):
        reply = ask(appliance, policy, user)
        assert reply.status == 200
        assert told in reply.values("helicone-not-applied")
    assert told.decode() in appliance.row(reply.id)["not_applied"]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_counts_outlive_a_restart(tmp_path: Path, provider: Provider, how: str) -> None:
    policy = "3;w=3600;s=user"
    with Appliance(tmp_path, provider) as appliance:
        for _ in range(2):
            assert ask(appliance, policy, "u").status == 200
        if how == "kill":
            wait_until(lambda: saved(appliance) > 0)
            appliance.kill()
        else:
            assert appliance.stop() == 0
        appliance.start()
        found = [ask(appliance, policy, "u").status for _ in range(3)]
        assert found == [200, 429, 429]


def saved(appliance: Appliance) -> int:
    path = appliance.data / "rate_limits"
    return path.stat().st_size if path.exists() else 0
