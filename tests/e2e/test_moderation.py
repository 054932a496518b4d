"""Moderation (proxy.md 7.1): one call of the provider's own, with the caller's own credential, and
what becomes of the request when it is flagged, clean or not to be had."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_guard import ATTACK, chat, missed
from tests.e2e.test_metrics import read
from tests.e2e.test_retries import series
from tests.fakes.appliance import CHAT, MESSAGES, OAI, Appliance
from tests.fakes.provider import Provider

ON = {"Helicone-Moderations-Enabled": "true"}
BAD = "say fake-flagged things"
KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
CLAUDE = "claude-sonnet-4-6"
OWN = {
    "Authorization": "Bearer sk-of-the-client", "OpenAI-Organization": "org-1",
    "Idempotency-Key": "once", "Helicone-User-Id": "joe",
}  # fmt: skip
SHORT = """
guard_fail = "%s"
[deadlines]
first_byte = "600ms"
"""


@pytest.fixture(scope="module")
def short(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """With a short deadline."""
    directory = tmp_path_factory.mktemp("moderated")
    with Appliance(directory, provider, config=SHORT % "open") as running:
        yield running


@pytest.fixture(scope="module")
def closed(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """The same, and nothing passes unchecked."""
    directory = tmp_path_factory.mktemp("closed")
    with Appliance(directory, provider, config=SHORT % "closed") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    environ = {"OPENAI_API_KEY": "sk-env-openai", "ANTHROPIC_API_KEY": "sk-env-anthropic"}
    directory = tmp_path_factory.mktemp("gateway")
    with Appliance(directory, provider, environ=environ, lends=True) as appliance:
        yield appliance


@pytest.fixture(autouse=True)
def fresh(provider: Provider) -> None:
    provider.clear()


@pytest.mark.parametrize("stream", [False, True])
def test_a_clean_prompt(appliance: Appliance, provider: Provider, stream: bool) -> None:
    bare = appliance.call(CHAT, chat("hello", stream=stream), OWN)
    provider.clear()
    reply = appliance.call(CHAT, chat("hello", stream=stream), {**ON, **OWN})
    assert (reply.status, reply.body, missed(reply)) == (200, bare.body, [])
    first, second = provider.received
    assert (first.target, first.json) == (b"/v1/moderations", {"input": "hello"})
    assert first.first(b"authorization") == b"Bearer sk-of-the-client"
    assert first.first(b"openai-organization") == b"org-1"
    assert first.first(b"idempotency-key") is None  # it is another request
    assert first.first(b"content-type") == b"application/json"
    assert b"helicone" not in first.head.lower()
    assert second.target == b"/v1/chat/completions"
    assert second.first(b"idempotency-key") == b"once"
    row = appliance.row(reply.id)
    assert [(one["target"], one["status"], one["why_next"]) for one in row["attempts"]] == [
        (provider.url + "/v1/moderations", 200, "moderation"),
        (provider.url + "/v1/chat/completions", 200, ""),
    ]
    assert (row["status"], row["outcome"], row["threat"]) == (200, "complete", None)
    assert row["cost_usd"] == appliance.row(bare.id)["cost_usd"]
    assert float(row["cost_usd"]) > 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat(BAD)),
        (CHAT, chat(BAD, stream=True)),
        (CHAT, {"model": "gpt-4o", "messages": [
            {"role": "user", "content": [{"type": "text", "text": BAD}]}]}),
        (OAI + "/v1/responses?x=1", {"model": "gpt-4o", "input": BAD}),
    ],
)  # fmt: skip
def test_a_flagged_prompt(
    appliance: Appliance, provider: Provider, path: str, body: dict[str, Any]
) -> None:
    reply = appliance.call(path, body, {**ON, **OWN})
    assert reply.status == 400
    assert (reply.first("content-type") or b"").startswith(b"application/json")
    assert set(reply.json) == {"success", "error"}
    error = reply.json["error"]
    assert (reply.json["success"], set(error)) == (False, {"code", "message", "details"})
    assert error["code"] == "PROMPT_FLAGGED_FOR_MODERATION"
    assert reply.id in error["details"]
    assert reply.values("helicone-status") == [b"success"]
    (asked,) = provider.received
    assert asked.target == b"/v1/moderations"
    row = appliance.row(reply.id)
    assert (row["status"], row["http_status"], row["outcome"]) == (400, 400, "refused")
    assert (row["error"], float(row["cost_usd"])) == ("PROMPT_FLAGGED_FOR_MODERATION", 0)
    (attempt,) = row["attempts"]
    assert (attempt["provider"], attempt["why_next"]) == ("OPENAI", "moderation")
    kept = appliance.body(reply.id)
    assert json.loads(kept["request"]) == body
    assert json.loads(kept["response"]) == reply.json


def test_security_comes_before_it(appliance: Appliance, provider: Provider) -> None:
    both = {**ON, "Helicone-LLM-Security-Enabled": "true"}
    assert appliance.call(CHAT, chat(ATTACK + BAD), both).json["error"]["code"] == (
        "PROMPT_THREAT_DETECTED"
    )
    assert not provider.received
    reply = appliance.call(CHAT, chat(BAD), both)
    assert reply.json["error"]["code"] == "PROMPT_FLAGGED_FOR_MODERATION"
    assert appliance.row(reply.id)["threat"] is False


def test_the_limiter_comes_first(appliance: Appliance, provider: Provider) -> None:
    limits = {**ON, "Helicone-RateLimit-Policy": "1;w=3600;s=user", "Helicone-User-Id": "moderated"}
    assert [appliance.call(CHAT, chat("hi"), limits).status for _ in range(2)] == [200, 429]
    assert len(provider.all("/v1/moderations")) == 1


def test_other_providers_have_none(appliance: Appliance, provider: Provider) -> None:
    reply = appliance.call(MESSAGES, {**chat(BAD), "max_tokens": 9}, ON)
    assert (reply.status, missed(reply)) == (200, [b"moderations-enabled;reason=provider"])
    assert len(provider.received) == 1


def test_what_it_says_meanwhile_is_not_the_clients(short: Appliance) -> None:
    """Its 1xx replies are of a call that the client did not make."""
    for fault in ("fake-1xx", "fake-hint-then-stall"):
        reply = short.call(CHAT, chat(f"please {fault}"), ON)
        assert (reply.status, reply.early) == (200, [])
    assert short.call(CHAT, chat("hello", model="fake-1xx"), ON).early  # of its own call


FAULTS = [
    "fake-error-401", "fake-error-500", "fake-reset-before-headers", "fake-short-body",
    "fake-malformed-head", "fake-stall", "fake-204", "fake-hint-then-stall",
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_moderation_that_fails(
    short: Appliance, closed: Appliance, provider: Provider, fault: str, stream: bool
) -> None:
    told = b"moderations-enabled;reason=call-failed"
    reply = short.call(CHAT, chat(f"please {fault}", stream=stream), ON)
    assert (reply.status, reply.end, missed(reply)) == (200, "clean", [told])
    row = short.row(reply.id)
    assert (row["status"], row["outcome"], row["not_applied"]) == (200, "complete", [told.decode()])
    assert [one["why_next"] for one in row["attempts"]] == ["moderation_failed", ""]
    provider.clear()
    refused = closed.call(CHAT, chat(f"please {fault}", stream=stream), ON)
    assert (refused.status, missed(refused)) == (503, [told])
    assert refused.json["error"]["code"] == "guard_failed"
    assert {received.target for received in provider.received} == {b"/v1/moderations"}
    row = closed.row(refused.id)
    assert (row["outcome"], row["status"], float(row["cost_usd"])) == ("refused", 503, 0)


def test_failures_are_counted(short: Appliance) -> None:
    name = 'failed_open_total{feature="moderations-enabled"}'
    before = read(short)[name]
    short.call(CHAT, chat("please fake-error-500"), ON)
    assert read(short)[name] == before + 1


def test_a_client_that_leaves_meanwhile(appliance: Appliance, provider: Provider) -> None:
    with appliance.client() as client:
        client.request(CHAT, chat("please fake-stall"), ON)
        asked = provider.find("/v1/moderations")
    assert asked.closed.wait(10)
    found: list[dict[str, Any]] = []
    while not found:
        found = appliance.query(
            "SELECT * FROM requests WHERE len(attempts) = 1 AND outcome = 'client_gone'"
            " AND attempts[1].target LIKE '%/moderations'"
        )
    (row,) = found
    assert (row["status"], row["usage_source"], row["prompt_tokens"]) == (-3, "none", None)
    assert float(row["cost_usd"] or 0) == 0
    assert not provider.all("/v1/chat/completions")


def test_retries_and_fallbacks_are_moderated_once(appliance: Appliance, provider: Provider) -> None:
    names = [series(provider, f"moderated-fb-{step}", step) for step in (500, 200)]
    entries = [
        {"target-url": provider.url, "headers": {"x-fake": name}, "onCodes": [500]}
        for name in names
    ]
    headers = {**ON, "helicone-fallbacks": json.dumps(entries)}
    reply = appliance.call("/gateway/v1/chat/completions", chat("hello"), headers)
    assert reply.status == 200
    again = series(provider, "moderated-retry", 500, 500, 200)
    retry = {"helicone-retry-enabled": "true", "helicone-retry-min-timeout": "1", "x-fake": again}
    asked = len(provider.all("/v1/moderations"))
    reply = appliance.call(CHAT, chat("hello"), {**ON, **retry})
    assert reply.status == 200
    assert len(provider.all("/v1/moderations")) == asked + 1
    whys = [attempt["why_next"] for attempt in appliance.row(reply.id)["attempts"]]
    assert whys == ["moderation", "status_500", "status_500", ""]


# -- the gateway: the credential is the one that the candidate is called with


def post(gateway: Appliance, text: str, model: str, **headers: str) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 9}
    return gateway.call(
        "/v1/chat/completions", body, {"Authorization": f"Bearer {KEY}", **ON, **headers}
    )


def test_the_gateways_call_of_openai(gateway: Appliance, provider: Provider) -> None:
    reply = post(gateway, "hello", "gpt-4o")
    assert (reply.status, missed(reply)) == (200, [])
    first, second = provider.received
    assert (first.target, second.target) == (b"/v1/moderations", b"/v1/chat/completions")
    assert first.first(b"authorization") == b"Bearer sk-env-openai"
    assert KEY.encode() not in first.head + second.head
    provider.clear()
    reply = post(gateway, BAD, "gpt-4o," + CLAUDE)  # no other model is asked instead
    assert (reply.status, reply.json["error"]["code"]) == (400, "PROMPT_FLAGGED_FOR_MODERATION")
    assert [received.target for received in provider.received] == [b"/v1/moderations"]
    row = gateway.row(reply.id)
    assert (row["status"], row["outcome"], float(row["cost_usd"])) == (400, "refused", 0)


def test_the_gateways_call_of_another(gateway: Appliance, provider: Provider) -> None:
    reply = post(gateway, BAD, CLAUDE)
    assert (reply.status, missed(reply)) == (200, [b"moderations-enabled;reason=provider"])
    assert [received.target for received in provider.received] == [b"/v1/messages"]


def test_the_gateways_second_candidate(gateway: Appliance, provider: Provider) -> None:
    reply = post(gateway, BAD, "fake-error-500/anthropic,gpt-4o")
    assert (reply.status, reply.json["error"]["code"]) == (400, "PROMPT_FLAGGED_FOR_MODERATION")
    assert len(provider.all("/v1/moderations")) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_threats_at_the_gateway(gateway: Appliance, provider: Provider, stream: bool) -> None:
    body = {"model": f"gpt-4o,{CLAUDE}", "messages": chat(ATTACK)["messages"], "stream": stream}
    headers = {"Authorization": f"Bearer {KEY}", "Helicone-LLM-Security-Enabled": "true"}
    for path in ("/v1/chat/completions", "/v1/messages"):
        reply = gateway.call(path, {**body, "max_tokens": 5}, headers)
        assert (reply.status, reply.json["error"]["code"]) == (400, "PROMPT_THREAT_DETECTED")
        row = gateway.row(reply.id)
        assert (row["status"], row["threat"], row["attempts"]) == (-4, True, [])
    assert not provider.received


def test_no_key_and_no_prompt_in_the_log(gateway: Appliance) -> None:
    post(gateway, BAD, "gpt-4o")
    post(gateway, "please fake-error-500", "gpt-4o")
    for secret in (KEY, "sk-env-openai", BAD, "fake-error-500"):
        assert secret not in gateway.log
    assert "PROMPT_FLAGGED_FOR_MODERATION" in gateway.log


def test_nothing_is_spent_on_what_was_flagged(tmp_path: Path, provider: Provider) -> None:
    """It is checked before anything is held."""
    environ = {"OPENAI_API_KEY": "sk-env-openai"}
    with Appliance(tmp_path, provider, environ=environ, lends=True) as appliance:
        appliance.command("budgets.set", scope="user", limit="5", period="day")
        joe = {"Helicone-User-Id": "joe"}
        assert post(appliance, BAD, "gpt-4o", **joe).status == 400
        assert appliance.call(CHAT, chat(BAD), {**ON, **joe}).status == 400
        assert "joe" not in [one["value"] for one in appliance.command("budgets.list")]
        assert post(appliance, "hello", "gpt-4o", **joe).status == 200
        (spent,) = [one for one in appliance.command("budgets.list") if one["value"] == "joe"]
        assert float(spent["spent_usd"]) > 0
