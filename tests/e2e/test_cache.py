"""The response cache over the running program (proxy.md 4): hits, what is told and recorded."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_retries import GOOD, answer, series
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

ON = {"helicone-cache-enabled": "true"}
PRICED = b'{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":0}}'


@pytest.fixture
def text() -> str:
    """What no other test has asked."""
    return secrets.token_hex(8)


def ask(appliance: Appliance, text: str, *, stream: bool = False, **headers: Any) -> Reply:
    body: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    if stream:
        body["stream"] = True
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return appliance.call(CHAT, body, {**ON, **named})


def told(reply: Reply) -> bytes | None:
    return reply.first("helicone-cache")


def test_the_second_answer_is_the_first_ones(
    appliance: Appliance, provider: Provider, text: str
) -> None:
    name = provider.add(f"cached-{text}", answer(200, PRICED, b"x-request-id: req_1"))
    first, second = (ask(appliance, text, x_fake=name) for _ in range(2))
    assert (told(first), told(second)) == (b"MISS", b"HIT")
    assert len(provider.all(name)) == 1
    assert (second.status, second.body) == (200, first.body)
    assert second.first("x-request-id") == b"req_1"
    assert second.first("helicone-cache-bucket-idx") == b"0"
    assert int(second.first("helicone-cache-latency") or -1) >= 0
    assert second.id != first.id
    row = appliance.row(second.id)
    assert (row["outcome"], row["attempts"]) == ("cache_hit", [])
    assert float(row["cost_usd"]) == 0
    assert row["cache_reference_id"] == first.id
    assert float(row["saved_cost_usd"]) == pytest.approx(0.0025)
    assert row["cache_enabled"] is True
    assert row["prompt_tokens"] in (0, None)
    assert appliance.body(second.id)["response"] == PRICED.decode()


@pytest.mark.parametrize("force", [False, True])
def test_streams_are_replayed_chunk_by_chunk(appliance: Appliance, text: str, force: bool) -> None:
    more: dict[str, Any] = {"helicone-stream-force-format": "true"} if force else {}
    paced = {"x_fake": "fake-paced-10", **more}
    first, second = (ask(appliance, text, stream=True, **paced) for _ in range(2))
    assert (told(first), told(second)) == (b"MISS", b"HIT")
    assert second.frames == first.frames
    assert len(second.frames) > 1
    assert second.body.endswith(b"data: [DONE]\n\n")
    assert appliance.row(second.id)["is_stream"] is True


@pytest.mark.parametrize("status", [400, 500])
def test_only_good_replies_are_kept(
    appliance: Appliance, provider: Provider, text: str, status: int
) -> None:
    name = series(provider, f"bad-{text}", status, 200)
    replies = [ask(appliance, text, x_fake=name) for _ in range(3)]
    assert [reply.status for reply in replies] == [status, 200, 200]
    assert [told(reply) for reply in replies] == [b"MISS", b"MISS", b"HIT"]


def test_a_stream_that_was_cut_is_not_kept(appliance: Appliance, text: str) -> None:
    replies = [ask(appliance, text, stream=True, x_fake="fake-cut-after-3") for _ in range(2)]
    assert [told(reply) for reply in replies] == [b"MISS", b"MISS"]
    assert [reply.end for reply in replies] == ["cut", "cut"]


def test_a_hit_takes_no_token(appliance: Appliance, text: str) -> None:
    limits: dict[str, Any] = {
        "helicone-ratelimit-policy": "1;w=3600;s=user",
        "helicone-user-id": text,
    }
    first, second = (ask(appliance, text, **limits) for _ in range(2))
    assert (first.status, second.status, told(second)) == (200, 200, b"HIT")
    assert ask(appliance, text + "!", **limits).status == 429


def test_callers_do_not_share(appliance: Appliance, text: str) -> None:
    first = ask(appliance, text, authorization="Bearer one")
    second = ask(appliance, text, authorization="Bearer two")
    assert (told(first), told(second)) == (b"MISS", b"MISS")


def test_halves(appliance: Appliance, text: str) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    save = {"helicone-cache-save": "true"}
    read = {"helicone-cache-read": "true"}
    assert told(appliance.call(CHAT, body, read)) == b"MISS"
    assert told(appliance.call(CHAT, body, save)) is None
    assert told(appliance.call(CHAT, body, read)) == b"HIT"


def test_a_head_without_a_body_from_the_cache(appliance: Appliance, text: str) -> None:
    """A reply to the same request over HTTP/1.0 and kept alive comes from the same entry."""
    name = f"kept-{text}"
    appliance_reply = ask(appliance, text, helicone_cache_seed=name)
    with appliance.client() as client:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        headers = {**ON, "helicone-cache-seed": name}
        replies = [client.call(CHAT, body, headers) for _ in range(3)]
    assert [told(reply) for reply in replies] == [b"HIT"] * 3
    assert {reply.body for reply in replies} == {appliance_reply.body}


def test_it_outlives_a_restart(tmp_path: Path, provider: Provider, text: str) -> None:
    name = provider.add(f"again-{text}", answer(200, GOOD))
    with Appliance(tmp_path, provider) as appliance:
        assert told(ask(appliance, text, x_fake=name)) == b"MISS"
        assert appliance.stop() == 0
        appliance.start()
        reply = ask(appliance, text, x_fake=name)
        while told(reply) == b"MISS" and len(provider.all(name)) < 50:  # read in the background
            reply = ask(appliance, text, x_fake=name)
        assert (told(reply), reply.body) == (b"HIT", GOOD)
