"""The AI gateway: the official SDKs call models by name, whoever serves them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from appliance.core.model_grammar import parse_models
from appliance.providers.price_data import open_book
from appliance.providers.registry import ModelRegistry, card_of
from appliance.providers.table import ProviderTable
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider
from tests.fakes.provider_openai import TEXT
from tests.fakes.raw_client import Reply

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
CLAUDE = "claude-sonnet-4-6"
SAY: Any = [{"role": "user", "content": "Say hello."}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
FOUND = {"OPENAI_API_KEY": "sk-env-openai", "ANTHROPIC_API_KEY": "sk-env-anthropic"}


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    directory = tmp_path_factory.mktemp("gateway")
    with Appliance(directory, provider, environ=FOUND, lends=True) as appliance:
        yield appliance


@pytest.fixture
def client(gateway: Appliance, provider: Provider) -> Iterator[openai.OpenAI]:
    provider.clear()
    with openai.OpenAI(api_key=KEY, base_url=gateway.url + "/v1", max_retries=0) as client:
        yield client


def newest(appliance: Appliance) -> dict[str, Any]:
    sql = "SELECT * FROM requests ORDER BY recorded_at DESC, exchange_id DESC LIMIT 1"
    return appliance.query(sql)[0]


def post(appliance: Appliance, path: str, body: dict[str, Any] | bytes, **headers: str) -> Reply:
    return appliance.call(path, body, {"Authorization": f"Bearer {KEY}", **headers})


def test_every_listed_model_is_known(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert len(names) == len(set(names)) > 100
    assert {"gpt-4o", "claude-4.5-sonnet"} <= set(names)


def test_every_served_name_routes_and_has_limits_and_a_price(gateway: Appliance) -> None:
    """The names as the server says them, each through the gateway's own grammar to its rows."""
    table = ProviderTable.built_in()
    registry, book = ModelRegistry(table), open_book([])
    now_us = time.time_ns() // 1000
    served = [
        entry["id"]
        for path in ("/v1/models", "/v1/models/multimodal")
        for entry in models_at(gateway, path)["data"]
    ]
    assert len(served) > 150
    for name in served:
        (item,) = parse_models(name, registry).items
        offered = [one for one in registry.offers(item) if not one.explicit]
        assert offered, name
        for one in offered:
            row = table.rows[one.provider]
            place = one.provider, one.provider_model_id
            assert row.base_url or row.id == "azure", name
            assert one.context_tokens > 0, name
            assert one.max_output_tokens > 0, name
            assert book.card(*place, now_us) or card_of(*place), name


def models_at(appliance: Appliance, path: str, host: str = "localhost") -> dict[str, Any]:
    with appliance.client() as raw:
        raw.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        reply = raw.reply()
    assert reply.status == 200
    found: dict[str, Any] = reply.json
    assert found["object"] == "list"
    return found


@pytest.mark.parametrize("path", ["/v1/models", "/ai/v1/models", "/models", "/ai/models"])
def test_the_lists_need_no_key(gateway: Appliance, path: str) -> None:
    every = models_at(gateway, path)["data"]
    some = models_at(gateway, f"{path}/multimodal")["data"]
    assert 40 < len(some) < len(every)
    assert [entry for entry in every if entry in some] == some
    names = {entry["id"] for entry in some}
    assert {"gpt-4o", "claude-4.5-sonnet", "gemini-2.5-pro", "gpt-image-1"} <= names
    assert not {"gpt-oss-120b", "o3-mini", "deepseek-reasoner"} & names


def test_the_lists_on_the_gateways_own_host(gateway: Appliance) -> None:
    host = "ai-gateway.localhost"
    some = models_at(gateway, "/v1/models/multimodal", host)["data"]
    assert some == models_at(gateway, "/v1/models/multimodal")["data"]
    assert len(some) < len(models_at(gateway, "/v1/models", host)["data"])


def test_one_model_of_openais_is_still_asked_of_openai(
    gateway: Appliance, provider: Provider
) -> None:
    provider.clear()
    gateway.call("/v1/gateway/oai/v1/models/multimodal", method="GET")
    assert provider.received[-1].target == b"/v1/models/multimodal"


@pytest.mark.parametrize("base", ["/v1", "/ai/v1", "/ai"])
def test_a_model_of_openai(gateway: Appliance, provider: Provider, base: str) -> None:
    with openai.OpenAI(api_key=KEY, base_url=gateway.url + base, max_retries=0) as client:
        reply = client.chat.completions.create(model="gpt-4o", messages=SAY)
    assert reply.choices[0].message.content
    assert reply.usage is not None
    received = provider.received[-1]
    assert received.target == b"/v1/chat/completions"
    assert received.first(b"authorization") == b"Bearer sk-env-openai"
    assert KEY.encode() not in received.head
    row = newest(gateway)
    assert (row["provider"], row["model"], row["http_status"]) == ("OPENAI", "gpt-4o", 200)
    assert row["prompt_tokens"] == reply.usage.prompt_tokens
    assert Decimal(row["cost_usd"]) > 0


def test_a_model_of_anthropic_in_openais_words(
    client: openai.OpenAI, gateway: Appliance, provider: Provider
) -> None:
    reply = client.chat.completions.create(model=CLAUDE, messages=SAY, max_tokens=100)
    received = provider.received[-1]
    assert received.target == b"/v1/messages"
    assert received.first(b"x-api-key") == b"sk-env-anthropic"
    assert received.first(b"authorization") is None
    assert received.first(b"anthropic-version")
    assert received.json["max_tokens"] == 100
    assert reply.object == "chat.completion"
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    row = newest(gateway)
    assert (row["provider"], row["outcome"]) == ("ANTHROPIC", "complete")
    assert row["completion_tokens"] == reply.usage.completion_tokens > 0
    assert Decimal(row["cost_usd"]) > 0
    body = gateway.body(row["request_id"])
    assert json.loads(body["request"])["messages"] == SAY  # what the client sent
    assert json.loads(body["response"])["type"] == "message"  # what the provider said


@pytest.mark.parametrize("model", ["gpt-4o", CLAUDE])
def test_streams(client: openai.OpenAI, gateway: Appliance, model: str) -> None:
    stream = client.chat.completions.create(
        model=model, messages=SAY, stream=True, stream_options={"include_usage": True}
    )
    text, usage, reasons = "", None, []
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert text == TEXT.replace(" ", "")  # as the fake cuts it
    assert reasons == ["stop"]
    assert usage is not None
    row = newest(gateway)
    assert row["is_stream"] is True
    assert row["completion_tokens"] == usage.completion_tokens


def test_a_stream_is_written_in_whole_events(gateway: Appliance) -> None:
    for model in ("gpt-4o", CLAUDE):
        body = {"model": model, "messages": SAY, "stream": True, "max_tokens": 9}
        reply = post(gateway, "/v1/chat/completions", body)
        assert reply.status == 200
        frames = [frame for frame in reply.frames if frame]
        assert frames
        assert all(frame.startswith(b"data: ") and frame.endswith(b"\n\n") for frame in frames)
        assert reply.body.endswith(b"data: [DONE]\n\n")


def test_tools_come_back_in_openais_words(client: openai.OpenAI) -> None:
    for model in ("gpt-4o", CLAUDE):
        reply = client.chat.completions.create(
            model=model, messages=SAY, tools=TOOLS, tool_choice="required"
        )
        (call,) = reply.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert call.function.name == "get_weather"
        assert isinstance(json.loads(call.function.arguments), dict)
        assert reply.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("model", ["gpt-4o", CLAUDE])
def test_the_responses_api(client: openai.OpenAI, model: str) -> None:
    reply = client.responses.create(model=model, input="Say hello.")
    assert reply.output_text
    assert reply.status == "completed"
    kinds = [event.type for event in client.responses.create(model=model, input="Hi", stream=True)]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


@pytest.mark.parametrize("model", ["gpt-4o", CLAUDE])
def test_the_messages_api_with_the_anthropic_sdk(
    gateway: Appliance, provider: Provider, model: str
) -> None:
    with anthropic.Anthropic(api_key=KEY, base_url=gateway.url, max_retries=0) as client:
        reply = client.messages.create(model=model, max_tokens=50, messages=SAY)
        assert reply.type == "message"
        assert reply.content[0].type == "text"
        assert reply.content[0].text == TEXT
        assert reply.stop_reason == "end_turn"
        with client.messages.stream(model=model, max_tokens=50, messages=SAY) as stream:
            assert "".join(stream.text_stream) == TEXT.replace(" ", "")
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(
                model=model, max_tokens=5, messages=SAY, extra_headers={"x-fake": "fake-error-429"}
            )
    assert caught.value.status_code == 429
    assert caught.value.body["type"] == "error"  # type: ignore[index]


def test_the_next_model_answers_when_the_first_does_not(
    client: openai.OpenAI, gateway: Appliance, provider: Provider
) -> None:
    reply = client.chat.completions.create(model=f"fake-error-500/openai,{CLAUDE}", messages=SAY)
    assert reply.model == CLAUDE
    row = newest(gateway)
    assert [(one["provider"], one["status"], one["why_next"]) for one in row["attempts"]] == [
        ("OPENAI", 500, "status_500"), ("ANTHROPIC", 200, ""),
    ]  # fmt: skip
    assert (row["provider"], row["request_model"]) == ("ANTHROPIC", CLAUDE)


@pytest.mark.parametrize(
    ("path", "model", "name"),
    [
        ("/chat/completions", "gpt-4o", "gpt-4o"),
        ("/chat/completions", "gpt-4o/openai", "gpt-4o"),
        ("/chat/completions", " openai/gpt-4o:online ,nosuch/xai", "gpt-4o"),
        ("/chat/completions", "gpt-4o,!anthropic", "gpt-4o"),
        ("/chat/completions", "fake-error-503/openai,fake-error-400/openai", "fake-error-400"),
        ("/embeddings", "text-embedding-3-small/openai", "text-embedding-3-small"),
        ("/chat/completions", "grok-4/xai", "grok-4/xai"),  # nothing was asked
    ],
)
def test_the_record_names_the_model_and_not_how_it_was_written(
    gateway: Appliance, path: str, model: str, name: str
) -> None:
    body = {"model": model, "messages": SAY, "input": "hello"}
    post(gateway, f"/v1{path}", body)
    row = newest(gateway)
    assert row["request_model"] == name
    assert json.loads(gateway.body(row["request_id"])["request"])["model"] == model


def test_all_failed_says_why_each_did(client: openai.OpenAI, gateway: Appliance) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(
            model="fake-error-503/openai,fake-error-400/openai", messages=SAY
        )
    assert caught.value.status_code == 503
    error = caught.value.response.json()["error"]
    assert [detail["statusCode"] for detail in error["details"]] == [503, 400]
    assert error["details"][0]["source"] == "fake-error-503/openai/byok"
    assert newest(gateway)["http_status"] == 503


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"model": "nosuch-model", "messages": SAY}, 400, "'nosuch-model' is no known model"),
        ({"messages": SAY}, 400, "no model"),
        ({"model": 7, "messages": SAY}, 400, "not a string"),
        ({"model": "gpt-4o,!nobody", "messages": SAY}, 400, "'!nobody'"),
        ({"model": "grok-4/xai", "messages": SAY}, 400, "no key for xai"),
        (b"[1]", 400, "no JSON object"),
        ({"model": CLAUDE, "messages": SAY, "logit_bias": {"1": 1}}, 400, "logit_bias"),
    ],
)
def test_what_cannot_be_asked(
    gateway: Appliance, provider: Provider, body: dict[str, Any] | bytes, status: int, says: str
) -> None:
    provider.clear()
    reply = post(gateway, "/v1/chat/completions", body)
    assert reply.status == status
    assert says in reply.json["error"]["message"]
    assert not provider.received
    assert newest(gateway)["http_status"] == status


def test_other_methods(gateway: Appliance) -> None:
    with gateway.client() as raw:
        raw.send(b"PUT /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        reply = raw.reply()
    assert reply.status == 405
    assert reply.first("allow") == b"POST, GET"


def test_a_body_in_the_providers_own_format(gateway: Appliance, provider: Provider) -> None:
    body = {"model": CLAUDE, "max_tokens": 9, "messages": SAY}
    mapping = {"Helicone-Gateway-Body-Mapping": "NO_MAPPING"}
    reply = post(gateway, "/v1/chat/completions", body, **mapping)
    assert reply.status == 200
    assert reply.json["type"] == "message"
    assert provider.received[-1].target == b"/v1/messages"


@pytest.mark.parametrize("model", ["gpt-4o", CLAUDE])
def test_a_body_of_responses_on_the_path_of_chat(gateway: Appliance, model: str) -> None:
    body = {"model": model, "input": "Say hello."}
    reply = post(gateway, "/v1/chat/completions", body)
    assert (reply.status, reply.json["object"]) == (200, "response")
    refused = post(
        gateway, "/v1/chat/completions", body, **{"Helicone-Gateway-Body-Mapping": "OPENAI"}
    )
    assert (refused.status, refused.json["error"]["code"]) == (400, "messages_missing")
    assert "messages" in refused.json["error"]["message"]


def test_prompts_that_cannot_be_expanded_are_refused(
    gateway: Appliance, provider: Provider
) -> None:
    provider.clear()
    body = {"model": "gpt-4o", "messages": SAY}
    reply = post(gateway, "/v1/chat/completions", {**body, "prompt_id": "abc123"})
    assert (reply.status, reply.json["error"]["code"]) == (400, "prompt_unknown")
    for name in ("inputs", "environment", "version_id"):
        reply = post(gateway, "/v1/chat/completions", {**body, name: {}})
        assert (reply.status, reply.json["error"]["code"]) == (400, "prompt_id_missing")
        assert name in reply.json["error"]["message"]
    assert provider.received == []


def test_embeddings_go_to_the_named_provider(gateway: Appliance, provider: Provider) -> None:
    name = "text-embedding-3-small"
    body = {"model": f"{name}/openai", "input": "hello"}
    reply = post(gateway, "/v1/embeddings", body)
    assert reply.status == 200
    assert reply.json["data"][0]["embedding"]
    received = provider.received[-1]
    assert (received.target, received.json["model"]) == (
        b"/v1/embeddings",
        "text-embedding-3-small",
    )


def test_its_limit_is_taken_once_for_all_attempts(gateway: Appliance) -> None:
    policy = {"Helicone-RateLimit-Policy": "2;w=3600;s=gateway-test"}
    policy["Helicone-Property-gateway-test"] = "one"
    body = {"model": f"fake-error-500/openai,{CLAUDE}", "messages": SAY}
    statuses = [post(gateway, "/v1/chat/completions", body, **policy).status for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_a_stream_that_breaks_off_has_no_clean_end(gateway: Appliance) -> None:
    for model in ("gpt-4o", CLAUDE):
        body = {"model": model, "messages": SAY, "stream": True, "max_tokens": 9}
        reply = post(gateway, "/v1/chat/completions", body, **{"x-fake": "fake-cut-after-3"})
        assert reply.end != "clean"
        assert b"[DONE]" not in reply.body
        assert newest(gateway)["outcome"] == "cut"


def test_a_provider_of_the_configuration_needs_no_key(provider: Provider, tmp_path: Path) -> None:
    config = f'[providers.mine]\nbase_url = "{provider.url}/v1"\n'
    with Appliance(tmp_path, config=config) as appliance:
        reply = post(appliance, "/v1/chat/completions", {"model": "llama/mine", "messages": SAY})
        assert reply.status == 200
        assert provider.received[-1].first(b"authorization") is None
        assert newest(appliance)["gateway_provider"] == "mine"


@pytest.mark.parametrize("streams", [False, True])
def test_perplexity_is_asked_through_responses(
    provider: Provider, tmp_path: Path, streams: bool
) -> None:
    provider.clear()
    config = f'[providers.perplexity]\nbase_url = "{provider.url}"\n'
    found = {"PERPLEXITY_API_KEY": "key-env-perplexity"}
    with Appliance(tmp_path, environ=found, config=config) as appliance:
        with openai.OpenAI(api_key=KEY, base_url=appliance.url + "/v1", max_retries=0) as client:
            if streams:
                chunks = list(
                    client.chat.completions.create(model="sonar-pro", messages=SAY, stream=True)
                )
                text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            else:
                reply = client.chat.completions.create(model="sonar-pro", messages=SAY)
                text = reply.choices[0].message.content or ""
            with pytest.raises(openai.BadRequestError, match="presence_penalty"):
                client.chat.completions.create(model="sonar", messages=SAY, presence_penalty=1)
        assert text
        (received,) = provider.received
        assert received.target == b"/v1/responses"
        assert received.first(b"authorization") == b"Bearer key-env-perplexity"
        assert (received.json["model"], received.json["preset"]) == ("perplexity/sonar", "low")
        rows = appliance.query("SELECT * FROM requests WHERE http_status = 200")
        assert [(row["provider"], row["outcome"]) for row in rows] == [("PERPLEXITY", "complete")]
        assert rows[0]["completion_tokens"] > 0
