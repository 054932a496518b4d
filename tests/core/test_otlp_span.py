"""Spans become records: the names of each instrumentation, steps, sessions, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.core.derive import derive
from appliance.core.log_record import Maker
from appliance.core.otlp_span import logged_span, step_of
from appliance.core.otlp_tree import places
from appliance.core.otlp_wire import Span, protobuf_spans
from appliance.core.usage_types import Priced, Usage
from storage.rows import REQUEST_COLUMNS
from tests.fakes.otlp_spans import T0_NS, TRACE, as_protobuf, span

KNOWN = {
    "openai": Maker("OPENAI", "openai", "openai"),
    "anthropic": Maker("ANTHROPIC", "anthropic", "anthropic"),
    "bedrock": Maker("AWS", "bedrock", "bedrock"),
    "azure": Maker("AZURE", "azure", "openai"),
    "vertex-ai": Maker("GOOGLE", "vertex", "vertex"),
}


def read(made: dict[str, Any], resource: dict[str, Any] | None = None) -> Span:
    (found,) = protobuf_spans(as_protobuf([made], resource))
    return found


def price(provider: str, model: str, usage: Usage, at_us: int) -> Priced:
    return Priced(None, "none", "v")


class Row(dict[str, Any]):
    request: Any
    response: Any
    meta: dict[bytes, bytes]


def row(made: dict[str, Any], resource: dict[str, Any] | None = None) -> Row:
    told = logged_span(read(made, resource), KNOWN.get)
    values, _ = derive(
        {"exchange_id": bytes(16), **told.facts}, told.request, told.response, org=bytes(16),
        position=(1, 2), price=price,
    )  # fmt: skip
    found = Row({name: value for (name, _), value in zip(REQUEST_COLUMNS, values, strict=True)})
    found.request, found.response = json.loads(told.request), json.loads(told.response)
    found.meta = dict(told.meta)
    return found


MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "ping"}]
ANSWER = {"role": "assistant", "content": "pong"}
OLD = {  # Traceloop until 2025, and OpenTelemetry before events
    "gen_ai.system": "OpenAI", "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06", "llm.request.type": "chat",
    "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "Be kind.",
    "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": "ping",
    "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "pong",
    "gen_ai.completion.0.finish_reason": "stop", "gen_ai.usage.prompt_tokens": 11,
    "gen_ai.usage.completion_tokens": 5, "llm.usage.total_tokens": 16,
}  # fmt: skip
NEW = {  # OpenTelemetry 1.37 and later
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.system_instructions": '[{"type": "text", "content": "Be kind."}]',
    "gen_ai.input.messages":
        '[{"role": "user", "parts": [{"type": "text", "content": "ping"}]}]',
    "gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "pong"}'
        '], "finish_reason": "stop"}]',
    "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 5,
}  # fmt: skip
INFERENCE = {  # OpenInference
    "openinference.span.kind": "LLM", "llm.provider": "openai",
    "llm.model_name": "gpt-4o-2024-08-06",
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "Be kind.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.contents.0.message_content.type": "text",
    "llm.input_messages.1.message.contents.0.message_content.text": "ping",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "pong",
    "llm.token_count.prompt": 11, "llm.token_count.completion": 5, "llm.token_count.total": 16,
    "input.value": "{}", "output.value": "{}",
}  # fmt: skip
VERCEL = {
    "ai.operationId": "ai.generateText.doGenerate", "ai.model.provider": "openai.chat",
    "ai.model.id": "gpt-4o", "ai.response.model": "gpt-4o-2024-08-06",
    "ai.prompt.messages": '[{"role": "system", "content": "Be kind."},'
        ' {"role": "user", "content": [{"type": "text", "text": "ping"}]}]',
    "ai.response.text": "pong", "ai.usage.promptTokens": 11, "ai.usage.completionTokens": 5,
}  # fmt: skip


@pytest.mark.parametrize(
    "attributes", [OLD, NEW, INFERENCE, VERCEL], ids=["old", "new", "oi", "ai"]
)
def test_a_chat_in_the_words_of_each(attributes: dict[str, Any]) -> None:
    made = span("chat")
    made["attributes"] = attributes
    found = row(made)
    assert (found["provider"], found["gateway_provider"]) == ("OPENAI", "openai")
    assert (found["model"], found["step"]) == ("gpt-4o-2024-08-06", None)
    assert (found["prompt_tokens"], found["completion_tokens"]) == (11, 5)
    assert found.request["messages"] == MESSAGES
    (choice,) = found.response["choices"]
    assert choice["message"] == ANSWER
    assert (found["latency_ms"], found["request_created_at"]) == (900, T0_NS // 1000)
    assert (found["status"], found["outcome"], found["source"]) == (200, "complete", "otlp")
    assert (found["trace_id"], found["span_id"]) == (TRACE, f"{1:016x}")
    assert found["parent_span_id"] is None


def test_a_chat_in_events() -> None:
    made = span("chat", gen_ai__system="openai", gen_ai__request__model="gpt-4o",
                gen_ai__operation__name="chat")  # fmt: skip
    made["events"] = [
        ("gen_ai.system.message", 1, {"content": "Be kind."}),
        ("gen_ai.user.message", 2, {"content": "ping"}),
        ("gen_ai.choice", 3, {"index": 0, "finish_reason": "stop",
                              "message": {"role": "assistant", "content": "pong"}}),
    ]  # fmt: skip
    found = row(made)
    assert found.request["messages"] == MESSAGES
    assert found.response["choices"][0] == {
        "index": 0, "message": ANSWER, "finish_reason": "stop",
    }  # fmt: skip
    made["events"] = [
        ("gen_ai.client.inference.operation.details", 1,
         {"gen_ai.input.messages": NEW["gen_ai.input.messages"],
          "gen_ai.output.messages": NEW["gen_ai.output.messages"]}),
    ]  # fmt: skip
    found = row(made)
    assert found.request["messages"] == MESSAGES[1:]
    assert found.response["choices"][0]["message"] == ANSWER


def test_calls_of_tools() -> None:
    wanted = [{"id": "c1", "type": "function",
               "function": {"name": "look", "arguments": '{"q":"x"}'}}]  # fmt: skip
    for attributes in (
        {"gen_ai.completion.0.tool_calls.0.id": "c1",
         "gen_ai.completion.0.tool_calls.0.name": "look",
         "gen_ai.completion.0.tool_calls.0.arguments": '{"q":"x"}'},
        {"gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"tool_call","id":"c1",'
         '"name":"look","arguments":{"q":"x"}}]}]'},
        {"llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
         "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "look",
         "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"q":"x"}'},
        {"ai.response.toolCalls":
         '[{"toolCallId":"c1","toolName":"look","input":{"q":"x"}}]'},
    ):  # fmt: skip
        made = span("chat", gen_ai__request__model="m")
        made["attributes"].update(attributes)
        assert row(made).response["choices"][0]["message"]["tool_calls"] == wanted


def test_counts_include_their_parts() -> None:
    made = span("chat", gen_ai__system="anthropic", gen_ai__request__model="claude",
                gen_ai__usage__input_tokens=100, gen_ai__usage__output_tokens=50,
                gen_ai__usage__cache_read__input_tokens=60,
                gen_ai__usage__cache_creation__input_tokens=30,
                gen_ai__usage__reasoning__output_tokens=20)  # fmt: skip
    found = row(made)
    assert [found[name] for name in (
        "prompt_tokens", "prompt_cache_read_tokens", "prompt_cache_write_tokens",
        "completion_tokens", "reasoning_tokens")] == [10, 60, 30, 30, 20]  # fmt: skip
    assert found["usage_source"] == "provider"
    made["attributes"]["gen_ai.usage.cost"] = 0.5
    assert row(made)["cost_pico"] == 5 * 10**11


@pytest.mark.parametrize(
    ("name", "provider", "gateway"),
    [
        ("OpenAI", "OPENAI", "openai"), ("aws.bedrock", "AWS", "bedrock"),
        ("AWS_Bedrock", "AWS_BEDROCK", None), ("az.ai.openai", "AZURE", "azure"),
        ("vertex_ai", "GOOGLE", "vertex"), ("anthropic.messages", "ANTHROPIC", "anthropic"),
        ("Langchain", "LANGCHAIN", None), ("", "CUSTOM", None),
    ],
)  # fmt: skip
def test_providers(name: str, provider: str, gateway: str | None) -> None:
    found = row(span("chat", gen_ai__system=name, gen_ai__request__model="m"))
    assert (found["provider"], found["gateway_provider"]) == (provider, gateway)


@pytest.mark.parametrize(
    ("attributes", "step", "model"),
    [
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}, "tool",
         "tool:look"),
        ({"traceloop.span.kind": "tool", "traceloop.entity.name": "look"}, "tool", "tool:look"),
        ({"openinference.span.kind": "TOOL", "tool.name": "look"}, "tool", "tool:look"),
        ({"ai.operationId": "ai.toolCall", "ai.toolCall.name": "look"}, "tool", "tool:look"),
        ({"openinference.span.kind": "RETRIEVER"}, "vector_db", "vector_db"),
        ({"gen_ai.operation.name": "retrieval"}, "vector_db", "vector_db"),
        ({"db.system": "pinecone"}, "vector_db", "vector_db"),
        ({"db.system": "postgresql", "db.vector.query.top_k": 3}, "vector_db", "vector_db"),
        ({"db.system": "postgresql"}, "data", "data:work"),
        ({"traceloop.span.kind": "workflow"}, "data", "data:work"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"}, "data",
         "data:work"),
        ({"ai.operationId": "ai.generateText", "ai.model.id": "m"}, "data", "data:work"),
        ({"http.request.method": "GET"}, "data", "data:work"),
        ({}, "data", "data:work"),
        ({"openinference.span.kind": "EMBEDDING", "embedding.model_name": "e"}, None, "e"),
        ({"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "e"}, None, "e"),
        ({"gen_ai.usage.input_tokens": 3}, None, None),
    ],
)  # fmt: skip
def test_what_a_span_is(attributes: dict[str, Any], step: str | None, model: str) -> None:
    made = span("work")
    made["attributes"] = attributes
    assert step_of(read(made)) == step
    found = row(made)
    assert (found["step"], found["model"]) == (step, model)
    if step is not None:
        assert (found["prompt_tokens"], found["cost_pico"]) == (None, None)


def test_a_step_keeps_what_went_in_and_out() -> None:
    made = span("look", traceloop__span__kind="tool", traceloop__entity__name="look",
                traceloop__entity__input='{"q": "x"}', traceloop__entity__output="[1, 2]",
                more=5)  # fmt: skip
    found = row(made)
    assert (found.request["_type"], found.request["input"]) == ("tool", {"q": "x"})
    assert (found.response["output"], found.response["status"]) == ([1, 2], "success")
    assert found.request["otel"]["attributes"]["more"] == 5
    assert found.request["otel"]["name"] == "look"


def test_association_properties() -> None:
    prefix = "traceloop.association.properties."
    made = span("chat", gen_ai__request__model="m", llm__user="not this one")
    made["attributes"] |= {
        prefix + "Helicone-User-Id": "ada", prefix + "Helicone-Session-Id": "s-1",
        prefix + "Helicone-Session-Path": "/plan", prefix + "Helicone-Property-UserTier": "gold",
        prefix + "tenant": "acme", "ai.telemetry.metadata.shop": "books",
        prefix + "flag": True,
    }  # fmt: skip
    told = logged_span(read(made, {"service.name": "shop"}), KNOWN.get)
    assert told.meta == {
        b"helicone-user-id": b"ada", b"helicone-session-id": b"s-1",
        b"helicone-session-path": b"/plan",
    }  # fmt: skip
    assert told.facts["properties"] == {
        "UserTier": "gold", "tenant": "acme", "shop": "books", "flag": "true",
        "service.name": "shop",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["user.id", "enduser.id", "llm.user"])
def test_users(name: str) -> None:
    made = span("chat", session__id="s-2")
    made["attributes"][name] = "ada"
    assert row(made).meta == {b"helicone-user-id": b"ada", b"helicone-session-id": b"s-2"}


def test_errors() -> None:
    made = span("chat", gen_ai__request__model="m")
    made["status"], made["message"] = 2, "boom"
    made["events"] = [("exception", 5, {"exception.message": "too many", "exception.type": "E"})]
    found = row(made)
    assert found["status"] == 500
    assert found.response == {"error": {"message": "too many", "type": "E"}}
    made["attributes"]["http.response.status_code"] = 429
    assert row(made)["status"] == 429
    made = span("look", traceloop__span__kind="tool")
    made["status"], made["message"] = 2, "boom"
    found = row(made)
    assert (found["status"], found.response["status"]) == (500, "error")
    assert found.response["error"]["message"] == "boom"


@pytest.mark.parametrize(
    "told",
    [
        {"gen_ai.response.time_to_first_chunk": 0.25}, {"ai.response.msToFirstChunk": 250},
        {"event": "First Token Stream Event"}, {"event": "gen_ai.first_token"},
    ],
)  # fmt: skip
def test_first_tokens(told: dict[str, Any]) -> None:
    made = span("chat", gen_ai__request__model="m")
    if "event" in told:
        made["events"] = [(told["event"], T0_NS + 250_000_000, {})]
    else:
        made["attributes"].update(told)
    assert row(made)["time_to_first_token_ms"] == 250


def test_streams_and_settings() -> None:
    made = span("chat", gen_ai__request__model="m", gen_ai__is_streaming=True,
                gen_ai__request__temperature=0.0, llm__request__type="chat",
                gen_ai__request__max_tokens=9)  # fmt: skip
    found = row(made)
    assert found["is_stream"] is True
    assert (found.request["temperature"], found.request["max_tokens"]) == (0.0, 9)


def spans_of(*made: dict[str, Any], resource: dict[str, Any] | None = None) -> list[Span]:
    return list(protobuf_spans(as_protobuf(list(made), resource)))


def test_a_trace_is_a_session_and_its_tree_the_path() -> None:
    spans = spans_of(
        span("call", 3, 2, gen_ai__request__model="m"), span("plan/step", 2, 1),
        span("agent", 1), span("other", 4, 1), resource={"service.name": "shop"},
    )  # fmt: skip
    found = places(spans, [step_of(one) for one in spans])
    assert [place.path for place in found] == [
        "/agent/plan_step/call", "/agent/plan_step", "/agent", "/agent/other",
    ]  # fmt: skip
    assert {place.session_id for place in found} == {TRACE}
    assert {place.name for place in found} == {"shop"}


def test_one_call_alone_is_no_session() -> None:
    spans = spans_of(span("call", 3, gen_ai__request__model="m"))
    (place,) = places(spans, [None])
    assert place.session_id == ""


def test_where_the_parent_comes_later_traceloop_knows_the_way() -> None:
    spans = spans_of(
        span("call", 3, 2, gen_ai__request__model="m", traceloop__workflow__name="joke",
             traceloop__entity__path="write.rhyme"),
        span("call", 5, 4, gen_ai__request__model="m"),
    )  # fmt: skip
    found = places(spans, [None, None])
    assert [place.path for place in found] == ["/joke/write/rhyme/call", "/call"]
    assert [place.name for place in found] == ["joke", "call"]


def test_a_ring_of_parents_ends() -> None:
    spans = spans_of(span("a", 1, 2), span("b", 2, 1), span("c", 3, 3))
    found = places(spans, ["data"] * 3)
    assert [place.path for place in found] == ["/b/a", "/a/b", "/c"]
