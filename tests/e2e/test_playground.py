"""The playground through a real server: its gateway, its records, its limits, and a client that
goes away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from appliance.core.sse import sse_events
from tests.fakes.appliance import Appliance
from tests.fakes.http2_client import Http2Client
from tests.fakes.provider import Provider
from tests.fakes.provider_openai import TEXT
from tests.fakes.raw_client import Reply

GENERATE = "/v1/playground/generate"
KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
SAY: dict[str, Any] = {"messages": [{"role": "user", "content": "Say hello."}]}
FOUND = {"OPENAI_API_KEY": "sk-env-openai"}


@pytest.fixture(scope="module")
def house(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    directory = tmp_path_factory.mktemp("playground")
    with Appliance(
        directory, provider, config='access = "keys"\nhttp2 = true\n', environ=FOUND, lends=True
    ) as appliance:
        yield appliance


@pytest.fixture(scope="module")
def key(house: Appliance) -> str:
    made: str = house.command("keys.create", name="playground")["key"]
    return made


def ask(house: Appliance, key: str, model: str = "gpt-4o", **more: Any) -> Reply:
    body = {**SAY, "model": model, **more}
    return house.call(GENERATE, body, {"Authorization": f"Bearer {key}"})


def test_it_is_a_call_like_any_other(house: Appliance, key: str, provider: Provider) -> None:
    provider.clear()
    reply = ask(house, key)
    assert reply.status == 200, reply.body
    assert reply.json["data"]["content"] == TEXT
    sent = provider.received[-1]
    assert sent.first(b"authorization") == b"Bearer sk-env-openai"
    assert "useAIGateway" not in sent.json
    row = house.row(reply.id)
    assert (row["status"], row["user_id"]) == (200, "helicone_playground")
    assert Decimal(row["cost_usd"]) > 0
    assert "Say hello." in house.body(reply.id)["request"]


def test_a_stream_is_passed_on(house: Appliance, key: str) -> None:
    reply = ask(house, key, stream=True)
    assert reply.first("content-type") == b"text/event-stream; charset=utf-8"
    assert (reply.end, reply.body.endswith(b"data: [DONE]\n\n")) == ("clean", True)
    text = ""
    for event in sse_events(reply.body):
        choices = json.loads(event.data)["choices"] if event.data != b"[DONE]" else []
        text += "".join(choice["delta"].get("content") or "" for choice in choices)
    assert text == "".join(TEXT.split())
    assert house.row(reply.id)["outcome"] == "complete"


def test_what_is_said_is_not_recorded_where_that_is_asked(house: Appliance, key: str) -> None:
    reply = ask(house, key, logRequest=False)
    assert reply.status == 200
    assert Decimal(house.row(reply.id)["cost_usd"]) > 0
    body = house.body(reply.id)
    assert (body["request"], "Say" in str(body), "Hello" in str(body)) == (
        '{"model":"gpt-4o"}', False, False,
    )  # fmt: skip


def test_nobody_calls_without_a_key_that_may(
    house: Appliance, key: str, provider: Provider
) -> None:
    asked = {"api_key_name": "reader", "key_permissions": "r"}
    reply = house.call("/v1/api-keys", asked, {"Authorization": f"Bearer {key}"})
    reader = reply.json["apiKey"]
    provider.clear()
    assert house.call(GENERATE, {**SAY, "model": "gpt-4o"}).status == 401
    assert ask(house, KEY).status == 401
    assert ask(house, reader).status == 403
    assert provider.received == []


def test_a_provider_s_error_keeps_its_status(house: Appliance, key: str) -> None:
    for stream in False, True:
        reply = ask(house, key, "fake-error-429/openai", stream=stream)
        assert reply.status == 429, reply.body
        assert reply.json["data"] is None
        assert reply.json["error"]
        assert house.row(reply.id)["status"] == 429


def test_nothing_is_made_up_for_a_stream_that_breaks_off(house: Appliance, key: str) -> None:
    reply = ask(house, key, "fake-cut-after-3/openai", stream=True)
    assert (reply.status, reply.end) == (200, "cut")
    assert b"[DONE]" not in reply.body
    assert house.row(reply.id)["outcome"] == "cut"


@pytest.mark.parametrize("stream", [False, True])
def test_the_provider_is_left_with_the_client(
    house: Appliance, key: str, provider: Provider, stream: bool
) -> None:
    provider.clear()
    model = "fake-stall-after-2/openai" if stream else "fake-stall/openai"
    with house.client() as client:
        headers = {"Authorization": f"Bearer {key}"}
        client.request(GENERATE, {**SAY, "model": model, "stream": stream}, headers)
        if stream:
            client.frame(client.head())
        sent = provider.find(b"/v1/chat/completions")
        assert not sent.closed.is_set()
    assert sent.closed.wait(10)
    sql = "SELECT outcome FROM requests ORDER BY recorded_at DESC, exchange_id DESC LIMIT 1"
    assert house.query(sql) == [{"outcome": "client_gone"}]


def test_a_limited_key_is_limited_here_too(house: Appliance) -> None:
    house.command("limits.set", policy="1;w=3600")
    made = house.command("keys.create", name="l", rate_limited=True)
    assert ask(house, made["key"]).status == 200
    assert ask(house, made["key"]).status == 429


def test_over_http2_such_a_stream_is_reset(house: Appliance, key: str) -> None:
    body = json.dumps({**SAY, "model": "fake-cut-after-3/openai", "stream": True}).encode()
    with Http2Client(house.url) as client:
        reply = client.call(GENERATE, body, {"authorization": f"Bearer {key}"})
    assert (reply.status, reply.end) == (200, "reset")
