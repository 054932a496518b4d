"""What a collector is sent: read back with the reader of our own intake."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.core.otlp_encode import export_request, span_of
from appliance.core.otlp_span import logged_span
from appliance.core.otlp_wire import Span, protobuf_spans

EXCHANGE = bytes(range(16))
ROW: dict[str, Any] = {
    "exchange_id": EXCHANGE, "request_id": bytes(16), "organization_id": b"\x01" * 16,
    "request_created_at": 1_788_000_000_120_000, "response_created_at": 1_788_000_001_020_000,
    "provider": "OPENAI", "gateway_provider": "openai", "model": "gpt-4o-2024", "status": 200,
    "request_model": "gpt-4o", "response_model": "gpt-4o-2024", "http_status": 200,
    "outcome": "complete", "prompt_tokens": 10, "prompt_cache_read_tokens": 60,
    "prompt_cache_write_tokens": 30, "completion_tokens": 30, "reasoning_tokens": 20,
    "cost_pico": 5 * 10**11, "time_to_first_token_ms": 250.0, "user_id": "ada",
    "session_id": "s-1", "session_path": "/plan", "properties": {"Tier": "göld", "n": "1"},
    "request_path": "/v1/chat/completions", "error": None,
}  # fmt: skip


def sent(bodies: tuple[str, str] | None = None, **changes: Any) -> Span:
    (span,) = protobuf_spans(export_request([span_of({**ROW, **changes}, bodies)], "1.2.3"))
    return span


def test_a_call() -> None:
    span = sent()
    assert (span.trace_id, span.span_id) == (EXCHANGE.hex(), EXCHANGE[8:].hex())
    assert (span.parent_id, span.name, span.kind, span.status) == ("", "chat gpt-4o-2024", 3, 0)
    assert (span.end_ns - span.start_ns, span.start_ns // 1000) == (
        900_000_000, ROW["request_created_at"],
    )  # fmt: skip
    assert span.resource == {"service.name": "helicone-appliance", "service.version": "1.2.3"}
    attributes = span.attributes
    assert attributes["gen_ai.usage.input_tokens"] == 100
    assert attributes["gen_ai.usage.output_tokens"] == 50
    assert attributes["gen_ai.usage.cost"] == 0.5
    assert attributes["gen_ai.response.time_to_first_chunk"] == 0.25
    assert attributes["helicone.property.Tier"] == "göld"
    assert attributes["helicone.request_id"] == "00000000-0000-0000-0000-000000000000"
    assert "error.type" not in attributes
    assert "input.value" not in attributes


def test_what_was_sent_means_the_same_to_a_reader() -> None:
    told = logged_span(sent(), lambda name: None)
    assert told.facts["usage"] == {
        "input": 10, "cached_input": 60, "write_5m": 30, "output": 50, "thinking": 0,
        "source": "provider",
    }  # fmt: skip
    assert told.facts["declared_cost_pico"] == ROW["cost_pico"]
    assert told.facts["ttfb_us"] == 250_000
    assert told.meta[b"helicone-user-id"] == b"ada"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"outcome": "cut", "status": -100, "http_status": 200}, "cut"),
        ({"status": 429, "http_status": 429}, "complete"),
        ({"outcome": "refused", "status": 403, "error": "key_read_only"}, "key_read_only"),
    ],
)
def test_failures(changes: dict[str, Any], why: str) -> None:
    span = sent(**changes)
    assert (span.status, span.message, span.attributes["error.type"]) == (2, why, why)


def test_a_cached_answer_and_unknown_things() -> None:
    span = sent(outcome="cache_hit", cached_exchange_id=bytes(16), cost_pico=None,
                prompt_tokens=None, time_to_first_token_ms=None, properties=None)  # fmt: skip
    assert (span.status, span.attributes["helicone.cached"]) == (0, True)
    assert "gen_ai.usage.input_tokens" not in span.attributes
    assert "gen_ai.usage.cost" not in span.attributes


def test_a_step_of_a_trace_keeps_its_place() -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
    span = sent(trace_id=trace, parent_span_id=parent, step="tool", model="tool:look")
    assert (span.trace_id, span.parent_id, span.name) == (trace, parent, "tool:look")
    assert span.attributes["gen_ai.operation.name"] == "execute_tool"
    assert sent(trace_id="nonsense").trace_id == EXCHANGE.hex()


def test_bodies_only_when_asked_and_cut_between_letters() -> None:
    span = sent(("{}", "ü" * 100_000))
    assert span.attributes["input.value"] == "{}"
    text = span.attributes["output.value"]
    assert set(text) == {"ü"}
    assert len(text.encode()) <= 64 * 1024
