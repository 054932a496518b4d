"""The response cache in the AI gateway: answers are kept as the provider gave them, and put into
the words of whoever asks (proxy.md 4, 6.10)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
FOUND = {"OPENAI_API_KEY": "sk-env-openai", "ANTHROPIC_API_KEY": "sk-env-anthropic"}
MODELS = ["gpt-4o", "claude-sonnet-4-6"]
ON = {"Helicone-Cache-Enabled": "true"}


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    directory = tmp_path_factory.mktemp("gateway-cache")
    with Appliance(directory, provider, environ=FOUND, lends=True) as appliance:
        yield appliance


@pytest.fixture
def text(provider: Provider) -> str:
    """What no other test has asked."""
    provider.clear()
    return secrets.token_hex(8)


def ask(
    appliance: Appliance, text: str, model: str, *, path: str = "/v1/chat/completions",
    key: str = KEY, headers: dict[str, str] = ON, **body: Any,
) -> Reply:  # fmt: skip
    sent = {"model": model, "messages": [{"role": "user", "content": text}], **body}
    return appliance.call(path, sent, {"Authorization": f"Bearer {key}", **headers})


def told(reply: Reply) -> bytes | None:
    return reply.first("helicone-cache")


@pytest.mark.parametrize("model", MODELS)
def test_the_second_answer_is_the_first_ones(
    gateway: Appliance, provider: Provider, text: str, model: str
) -> None:
    first, second = (ask(gateway, text, model, max_tokens=9) for _ in range(2))
    assert (told(first), told(second)) == (b"MISS", b"HIT")
    assert len(provider.received) == 1
    assert second.status == 200
    assert second.first("helicone-not-applied") is None
    said, again = first.json, second.json
    for mapped in (said, again):  # ours are made anew where a reply is translated
        mapped.pop("id"), mapped.pop("created")
    assert again == said
    row = gateway.row(second.id)
    assert (row["outcome"], row["attempts"], row["http_status"]) == ("cache_hit", [], 200)
    assert float(row["cost_usd"]) == 0
    assert row["prompt_tokens"] in (0, None)
    assert row["cache_reference_id"] == first.id
    spent = gateway.row(first.id)["cost_usd"]
    assert float(spent) > 0
    assert row["saved_cost_usd"] == spent
    kept = [gateway.body(one.id)["response"] for one in (first, second)]
    assert kept[0] == kept[1]  # what the provider said


@pytest.mark.parametrize("model", MODELS)
def test_streams_are_put_into_words_again(
    gateway: Appliance, provider: Provider, text: str, model: str
) -> None:
    first, second = (ask(gateway, text, model, max_tokens=9, stream=True) for _ in range(2))
    assert (told(first), told(second)) == (b"MISS", b"HIT")
    assert len(provider.received) == 1
    assert spoken(second) == spoken(first) != ""
    assert second.body.endswith(b"data: [DONE]\n\n")
    assert all(frame.endswith(b"\n\n") for frame in second.frames if frame)
    row = gateway.row(second.id)
    assert (row["outcome"], row["is_stream"]) == ("cache_hit", True)
    assert row["saved_cost_usd"] == gateway.row(first.id)["cost_usd"] is not None


def spoken(reply: Reply) -> str:
    events = [json.loads(line[6:]) for line in reply.body.split(b"\n") if line[:7] == b"data: {"]
    return "".join(
        choice["delta"].get("content") or "" for event in events for choice in event["choices"]
    )


def test_what_is_asked_in_other_words_is_another_question(
    gateway: Appliance, provider: Provider, text: str
) -> None:
    """Body for body the same: as what it is read, and for which model, decides too."""
    model = MODELS[1]
    for path in ("/v1/chat/completions", "/v1/messages"):
        assert told(ask(gateway, text, model, path=path, max_tokens=9)) == b"MISS"
        assert told(ask(gateway, text, model, path=path, max_tokens=9)) == b"HIT"
    assert len(provider.received) == 2


def test_one_of_a_list_has_the_answer_of_its_own_call(
    gateway: Appliance, provider: Provider, text: str
) -> None:
    models = f"fake-error-500/openai,{MODELS[1]}"
    first, second = (ask(gateway, text, models, max_tokens=9) for _ in range(2))
    assert (told(first), told(second)) == (b"MISS", b"HIT")
    assert first.json["model"] == second.json["model"] == MODELS[1]
    # The first was called again: its answer was none that is kept.
    assert len(provider.received) == 3
    row = gateway.row(second.id)
    assert [attempt["status"] for attempt in row["attempts"]] == [500]
    assert row["provider"] == "ANTHROPIC"


def test_both_sdks_are_answered(gateway: Appliance, provider: Provider, text: str) -> None:
    asked: Any = [{"role": "user", "content": text}]
    with openai.OpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", default_headers=ON) as client:
        heard = {
            client.chat.completions.create(model=MODELS[1], messages=asked)
            .choices[0]
            .message.content
            for _ in range(2)
        }
    assert len(heard) == 1
    assert len(provider.received) == 1
    with anthropic.Anthropic(api_key=KEY, base_url=gateway.url, default_headers=ON) as client:
        for _ in range(2):
            with client.messages.stream(model="gpt-4o", max_tokens=9, messages=asked) as stream:
                assert "".join(stream.text_stream)
    assert len(provider.received) == 2


def test_errors_and_half_the_cache(gateway: Appliance, provider: Provider, text: str) -> None:
    for _ in range(2):
        reply = ask(gateway, text, "fake-error-400/openai")
        assert (reply.status, told(reply)) == (400, b"MISS")
    assert len(provider.received) == 2
    saving, reading = {"Helicone-Cache-Save": "true"}, {"Helicone-Cache-Read": "true"}
    assert told(ask(gateway, text, "gpt-4o", headers=reading)) == b"MISS"
    assert told(ask(gateway, text, "gpt-4o", headers=saving)) is None
    assert told(ask(gateway, text, "gpt-4o", headers=reading)) == b"HIT"
    assert len(provider.received) == 4


def test_a_hit_takes_no_token(gateway: Appliance, text: str) -> None:
    limited = {**ON, "Helicone-RateLimit-Policy": "1;w=3600;s=user", "Helicone-User-Id": text}
    assert told(ask(gateway, text, "gpt-4o", headers=limited)) == b"MISS"
    for _ in range(3):
        assert told(ask(gateway, text, "gpt-4o", headers=limited)) == b"HIT"
    refused = ask(gateway, text + "?", "gpt-4o", headers=limited)
    assert (refused.status, refused.json["error"]["code"]) == (429, "rate_limited")


def test_embeddings_are_kept(gateway: Appliance, provider: Provider, text: str) -> None:
    body = {"model": "text-embedding-3-small/openai", "input": text}
    replies = [
        gateway.call("/v1/embeddings", body, {"Authorization": f"Bearer {KEY}", **ON})
        for _ in range(2)
    ]
    assert [told(reply) for reply in replies] == [b"MISS", b"HIT"]
    assert replies[0].body == replies[1].body
    assert len(provider.received) == 1
