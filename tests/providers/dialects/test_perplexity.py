"""Perplexity's Agent API between chat clients and its strict Responses (no chat since 2026-09-27).

Replies are as perplexityai/api-platform-developers documents them.
"""

import json
from typing import Any

import pytest

from appliance.core.attempts import Endpoint
from appliance.core.model_grammar import parse_models
from appliance.errors import Refusal, UpstreamFailed
from appliance.providers.dialects.mapping import (
    Inbound,
    ReplyMap,
    address_of,
    body_of,
    chat_of,
    extra_headers,
    is_same,
)
from appliance.providers.registry import ModelRegistry
from appliance.providers.table import ProviderTable

REGISTRY = ModelRegistry(ProviderTable.built_in())
SAY: list[Any] = [{"role": "user", "content": "How many?"}]
# All that its request may hold (references/request-mapping.md); anything else is a 400 there.
FIELDS = {
    "input", "model", "preset", "tools", "tool_choice", "stream", "max_output_tokens", "reasoning",
    "temperature", "top_p", "response_format", "parallel_tool_calls", "language_preference",
    "metadata", "store",
}  # fmt: skip
SEARCHED = {
    "type": "search_results",
    "queries": ["q"],
    "results": [
        {"id": 1, "url": "https://a.example/1", "title": "One", "snippet": "s", "source": "web"},
        {"id": 2, "url": "https://b.example/2", "title": "Two", "snippet": "s", "source": "web"},
    ],
}
SAID = {
    "type": "message", "id": "m", "role": "assistant", "status": "completed",
    "content": [{"type": "output_text", "text": "Seven [1][2].", "annotations": []}],
}  # fmt: skip
REPLY = {
    "id": "resp_1", "object": "response", "status": "completed", "model": "perplexity/sonar",
    "output": [SEARCHED, SAID],
    "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13},
}  # fmt: skip
IMAGE = "https://i.example/x"
CITED = ["https://a.example/1", "https://b.example/2"]


def endpoint_of(name: str = "sonar") -> Endpoint:
    (item,) = parse_models(name, REGISTRY).items
    (found,) = [one for one in REGISTRY.offers(item) if one.provider == "perplexity"]
    return found


def sent(name: str = "sonar", inbound: Inbound = "chat", **more: Any) -> dict[str, Any]:
    document = {"model": name, "messages": SAY, **more}
    stream = document.get("stream") is True
    chat = {**chat_of(inbound, document), "model": endpoint_of(name).provider_model_id}
    body = body_of(inbound, chat, endpoint_of(name), stream=stream)
    assert set(body) <= FIELDS
    json.dumps(body)
    return body


def test_where_it_goes() -> None:
    for name in ("sonar", "sonar-pro", "perplexity/a-model-of-tomorrow"):
        endpoint = endpoint_of(name)
        assert endpoint.wire_format == "responses"
        for inbound in ("chat", "messages", "responses"):
            assert not is_same(inbound, endpoint)
            address = address_of(inbound, endpoint, stream=False, settings={}, base_url="")
            assert (address.path, address.is_whole) == ("/v1/responses", False)
        assert extra_headers(endpoint, {}) == {}


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("sonar", None), ("sonar-pro", "low"), ("sonar-reasoning", "low"),
        ("sonar-reasoning-pro", "low"), ("sonar-deep-research", "medium"),
    ],
)  # fmt: skip
def test_every_name_is_a_preset_of_the_one_model(name: str, preset: str | None) -> None:
    body = sent(name)
    assert (body["model"], body.get("preset")) == ("perplexity/sonar", preset)
    # Without a preset nothing is searched unless the tool is there.
    assert body.get("tools") == (None if preset else [{"type": "web_search"}])
    assert not endpoint_of(name).pass_through, "nobody knows what a run costs at most"


def test_a_body_with_all_that_can_be_said() -> None:
    body = sent(
        messages=[
            {"role": "system", "content": "Short."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
                ],
            },
            {
                "role": "assistant",
                "content": "Wait.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "x"}]},
        ],
        max_tokens=50, temperature=0.2, stream=True, stream_options={"include_usage": True},
        user="u", reasoning_effort="low", response_format={"type": "json_object"},
        language_preference="de", search_domain_filter=["a.example", "-b.example"],
        search_recency_filter="week", num_search_results=3, return_images=False,
        web_search_options={
            "search_context_size": "high",
            "user_location": {"type": "approximate", "approximate": {"country": "DE"}},
        },
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
    )  # fmt: skip
    system, user, assistant, call, result = body["input"]
    assert system == {"type": "message", "role": "system", "content": "Short."}
    assert user["content"] == [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": IMAGE},
    ]
    assert assistant == {"type": "message", "role": "assistant", "content": "Wait."}
    assert (call["type"], call["call_id"], call["name"]) == ("function_call", "c1", "f")
    assert result == {"type": "function_call_output", "call_id": "c1", "output": "x"}
    assert (body["max_output_tokens"], body["reasoning"]) == (50, {"effort": "low"})
    assert body["response_format"] == {"type": "json_object"}
    function, search = body["tools"]
    assert (function["type"], function["name"]) == ("function", "f")
    assert search == {
        "type": "web_search", "max_results": 3, "search_context_size": "high",
        "user_location": {"country": "DE"},
        "filters": {
            "search_domain_filter": ["a.example", "-b.example"], "search_recency_filter": "week",
        },
    }  # fmt: skip
    assert body["tool_choice"] == {"name": "f"}


def test_the_web_plugin_and_no_search_at_all() -> None:
    plugin = {"id": "web", "allowed_domains": ["a.example"], "blocked_domains": ["b.example"]}
    (search,) = sent("sonar-pro", plugins=[plugin])["tools"]
    assert search["filters"] == {"search_domain_filter": ["a.example", "-b.example"]}
    assert "tools" not in sent(disable_search=True)
    assert "reasoning" not in sent(disable_reasoning=True)


@pytest.mark.parametrize(
    ("name", "more", "field"),
    [
        ("sonar", {"stop": ["x"]}, "stop"),
        ("sonar", {"presence_penalty": 1}, "presence_penalty"),
        ("sonar", {"n": 2}, "n"),
        ("sonar", {"logprobs": True}, "logprobs"),
        ("sonar", {"return_images": True}, "return_images"),
        ("sonar", {"search_mode": "academic"}, "search_mode"),
        ("sonar", {"verbosity": "low"}, "verbosity"),
        ("sonar", {"service_tier": "flex"}, "service_tier"),
        ("sonar", {"web_search_options": {"search_type": "pro"}}, "web_search_options.search_type"),
        ("sonar-pro", {"disable_search": True}, "disable_search"),
        ("sonar", {"disable_search": True, "num_search_results": 2}, "disable_search"),
        ("sonar", {"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ("sonar", {"plugins": [{"id": "pdf"}]}, "plugins[0].id"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(
    name: str, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        sent(name, **more)
    assert refusal.value.status == 400
    assert field in refusal.value.message


def told(inbound: Inbound = "chat") -> ReplyMap:
    return ReplyMap(inbound, endpoint_of(), created=1, id="chatcmpl-x", request={"model": "sonar"})


def test_a_reply_with_its_pages() -> None:
    chat = json.loads(told().whole(json.dumps(REPLY).encode()))
    (choice,) = chat["choices"]
    assert choice["message"]["content"] == "Seven [1][2]."
    assert [one["url_citation"]["url"] for one in choice["message"]["annotations"]] == CITED
    assert choice["finish_reason"] == "stop"
    assert chat["usage"]["prompt_tokens"] == 9
    message = json.loads(told("messages").whole(json.dumps(REPLY).encode()))
    assert (message["type"], message["usage"]["output_tokens"]) == ("message", 4)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_failure_that_calls_itself_200(status: str) -> None:
    error = {"message": "The run broke off.", "type": "internal_error", "code": 500}
    body = {**REPLY, "status": status, "output": [], "error": error}
    with pytest.raises(UpstreamFailed):
        told().whole(json.dumps(body).encode())


def test_an_error_in_its_words() -> None:
    error = {"message": "No such field.", "type": "invalid_request", "code": 400, "param": "stop"}
    status, body = told().error(400, json.dumps({"error": error}).encode())
    assert status == 400
    assert json.loads(body)["error"]["message"] == "No such field."


EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
    {"type": "response.reasoning.search_queries", "queries": ["q"]},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "search_results"}},
    {"type": "response.output_item.done", "output_index": 0, "item": SEARCHED},
    {"type": "response.output_text.delta", "output_index": 1, "delta": "Seven "},
    {"type": "response.output_text.delta", "output_index": 1, "delta": "[1][2]."},
    {"type": "response.output_item.done", "output_index": 1, "item": SAID},
    {"type": "response.completed", "response": REPLY},
]
# Data lines alone, and no [DONE].
STREAM = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in EVENTS)


def chunks_of(stream: bytes, cut: int) -> list[Any]:
    reply = told()
    data = reply.feed(stream[:cut]) + reply.feed(stream[cut:]) + reply.finish()
    lines = [line[6:] for line in data.decode().split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_stream_cut_anywhere() -> None:
    whole = chunks_of(STREAM, 0)
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in whole if c["choices"])
    assert text == "Seven [1][2]."
    notes = [c["choices"][0]["delta"].get("annotations") for c in whole if c["choices"]]
    (cited,) = [note for note in notes if note]
    assert [one["url_citation"]["url"] for one in cited] == CITED
    assert whole[-1]["usage"] == {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    for cut in range(1, len(STREAM)):
        assert chunks_of(STREAM, cut) == whole
