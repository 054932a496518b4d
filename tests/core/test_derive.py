"""Frames to rows: the columns in order, what they say, and that nothing a stranger sends raises."""

import base64
import gzip
import json

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.derive import derive, summarise
from appliance.core.facts import status_of
from appliance.core.usage_types import Priced, Usage
from storage.rows import BODY_COLUMNS, REQUEST_COLUMNS

ORG = b"\x02" * 16
EXCHANGE = bytes(range(16))
REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Count to three, please."}]}
REPLY = {
    "model": "gpt-4o-2024-08-06",
    "choices": [{"message": {"role": "assistant", "content": "one two three"}}],
    "usage": {
        "prompt_tokens": 30,
        "completion_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 4},
    },
}
META = {
    "exchange_id": EXCHANGE,
    "request_id": "0190a5b0-1111-7222-8333-123456789abc",
    "created_at_us": 1_767_225_600_000_000,
    "recorded_at_us": 1_767_225_600_300_000,
    "duration_us": 250_500,
    "ttfb_us": 90_250,
    "method": "POST",
    "path": "/v1/chat/completions",
    "target_url": "https://api.openai.com/v1/chat/completions",
    "provider": "OPENAI",
    "gateway_provider": "openai",
    "dialect": "openai",
    "http_status": 200,
    "outcome": "complete",
    "request_type": "application/json",
    "response_type": "application/json",
    "request_bytes": 80,
    "response_bytes": 300,
    "user_id": "ada",
    "session_id": "s-1",
    "session_path": "/plan",
    "session_name": "agent",
    "properties": {"tenant": "acme", "Helicone-Session-Id": "s-1", "__proto__": "x"},
    "key_id": "k-1",
    "not_applied": ["cache;reason=large"],
    "attempts": [
        {
            "target": "https://api.openai.com",
            "provider": "openai",
            "model": None,
            "status": 200,
            "started_at_us": 1_767_225_600_001_000,
            "latency_us": 240_000,
            "why_next": None,
        }
    ],
}


def price(provider: str, model: str, usage: Usage, at_us: int) -> Priced:
    """1 µUSD a token; knows two models."""
    if usage.cost_pico is not None:
        return Priced(usage.cost_pico, "provider", "v1")
    if model not in ("gpt-4o", "gpt-4o-2024-08-06", "claude-x"):
        return Priced(None, "none", "v1")
    return Priced((usage.input + usage.output) * 10**6, "test", "v1")


def rows(request=REQUEST, reply=REPLY, *, priced=price, **meta):
    packed = [
        body if isinstance(body, bytes) else json.dumps(body).encode() for body in (request, reply)
    ]
    derived = derive({**META, **meta}, *packed, org=ORG, position=(3, 4096), price=priced)
    names = [name for name, _ in REQUEST_COLUMNS], [name for name, _ in BODY_COLUMNS]
    assert [len(row) for row in derived] == [len(columns) for columns in names]
    return tuple(
        dict(zip(columns, row, strict=True)) for columns, row in zip(names, derived, strict=True)
    )


def sse(*events) -> bytes:
    lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return lines.encode() + b"data: [DONE]\n\n"


STREAMED = {"response_type": "text/event-stream", "stream_asked": True}
DELTAS = [
    {"model": "gpt-4o-2024-08-06", "choices": [{"delta": {"content": f" word{i}"}}]}
    for i in range(20)
]


PLAIN_ROW = {
    "exchange_id": EXCHANGE,
    "request_id": bytes.fromhex("0190a5b01111722283331234567" + "89abc"),
    "organization_id": ORG,
    "request_created_at": 1_767_225_600_000_000,
    "response_created_at": 1_767_225_600_250_500,
    "recorded_at": 1_767_225_600_300_000,
    "provider": "OPENAI",
    "gateway_provider": "openai",
    "model": "gpt-4o-2024-08-06",
    "request_model": "gpt-4o",
    "response_model": "gpt-4o-2024-08-06",
    "model_override": None,
    "status": 200,
    "http_status": 200,
    "outcome": "complete",
    "error": None,
    "latency_ms": 250.5,
    "time_to_first_token_ms": None,
    "prompt_tokens": 10,
    "completion_tokens": 8,
    "prompt_cache_read_tokens": 20,
    "prompt_cache_write_tokens": 0,
    "prompt_cache_write_1h_tokens": 0,
    "prompt_audio_tokens": 0,
    "completion_audio_tokens": 0,
    "reasoning_tokens": 4,
    "usage_detail": None,
    "usage_source": "provider",
    "cost_pico": 18_000_000,
    "price_source": "test",
    "price_version": "v1",
    "user_id": "ada",
    "session_id": "s-1",
    "session_path": "/plan",
    "session_name": "agent",
    "properties": META["properties"],
    "prompt_id": None,
    "prompt_version": None,
    "method": "POST",
    "request_path": "/v1/chat/completions",
    "target_url": "https://api.openai.com/v1/chat/completions",
    "request_referrer": None,
    "country_code": None,
    "api_key_id": "k-1",
    "is_stream": False,
    "truncated": False,
    "request_bytes": 80,
    "response_bytes": 300,
    "attempts": [
        {
            "target": "https://api.openai.com",
            "provider": "openai",
            "model": "gpt-4o-2024-08-06",
            "status": 200,
            "started_at": 1_767_225_600_001_000,
            "latency_ms": 240.0,
            "cost_pico": 18_000_000,
            "why_next": None,
        }
    ],
    "not_applied": ["cache;reason=large"],
    "cache_enabled": False,
    "cache_reference_id": None,
    "cached_exchange_id": None,
    "saved_latency_ms": None,
    "saved_cost_pico": None,
    "threat": None,
    **dict.fromkeys(("source", "step", "trace_id", "span_id", "parent_span_id")),
    "derive_error": None,
    "segment": 3,
    "frame_offset": 4096,
}


def test_every_column_of_a_plain_exchange():
    row, body = rows()
    assert row == PLAIN_ROW
    assert body == {
        "exchange_id": EXCHANGE,
        "request_id": row["request_id"],
        "organization_id": ORG,
        "request": json.dumps(REQUEST),
        "response": json.dumps(REPLY),
        "request_type": "application/json",
        "response_type": "application/json",
        "prompt_template": None,
        "segment": 3,
        "frame_offset": 4096,
    }


@pytest.mark.parametrize(
    ("outcome", "http_status", "error", "status"),
    [
        ("complete", 200, None, 200),
        ("complete", 404, None, 404),
        ("complete", None, None, None),
        ("cache_hit", 200, None, 200),
        ("refused", 429, "rate_limited", 429),
        ("refused", 400, "threat", -4),
        ("client_gone", 200, None, -3),
        ("client_gone", None, None, -3),
        ("client_stalled", 200, None, -3),
        ("timeout_total", 200, None, -2),
        ("timeout_total", 504, None, -2),
        ("cut", 200, None, -100),
        ("malformed", 200, None, -100),
        ("stalled", 200, None, -100),
        ("timeout_gap", 200, None, -100),
        ("timeout_first_byte", 504, None, 504),
        ("connect_failed", 502, None, 502),
        ("error_in_200", 200, None, 500),
    ],
)
def test_status(outcome, http_status, error, status):
    assert status_of(outcome, http_status, error) == status


@pytest.mark.parametrize(
    ("reply", "meta", "outcome", "status"),
    [
        ({"error": {"message": "no"}}, {}, "error_in_200", 500),
        ({"error": {"message": "no"}}, {"http_status": 400}, "complete", 400),
        ({"error": {"message": "no"}}, {"outcome": "cut"}, "cut", -100),
        (b'{"a":', {}, "malformed", -100),
        (b"", {}, "complete", 200),
        (b'{"a":', {"response_truncated": True}, "complete", 200),
        (sse({"type": "error", "error": {"type": "x"}}), STREAMED, "error_in_200", 500),
        (b'data: {"a":\n\ndata: [DONE]\n\n', STREAMED, "malformed", -100),
        (sse(*DELTAS), STREAMED, "complete", 200),
        (gzip.compress(b"{}", mtime=0)[:-9], {"response_coding": "gzip"}, "malformed", -100),
        (b"ID3\x04\xff\xfe", {"response_type": "audio/mpeg"}, "complete", 200),
    ],
)
def test_the_body_refines_the_outcome(reply, meta, outcome, status):
    row, _ = rows(reply=reply, **meta)
    assert (row["outcome"], row["status"]) == (outcome, status)


@pytest.mark.parametrize(
    ("meta", "request_body", "is_stream"),
    [
        ({}, {**REQUEST, "stream": True}, True),
        ({}, {**REQUEST, "stream": "yes"}, False),
        ({"stream_asked": True}, REQUEST, True),
        ({"path": "/v1beta/models/g:streamGenerateContent"}, {}, True),
        ({"path": "/v1beta/models/g:generateContent?alt=sse"}, {}, True),
        ({"path": "/model/m/invoke-with-response-stream"}, {}, True),
        ({"path": "/model/m/invoke"}, {}, False),
    ],
)
def test_streams_are_recognised(meta, request_body, is_stream):
    row, _ = rows(request=request_body, **meta)
    assert row["is_stream"] is is_stream
    assert row["time_to_first_token_ms"] == (90.25 if is_stream else None)


def test_a_stream_with_usage():
    usage = {"prompt_tokens": 9, "completion_tokens": 20}
    row, body = rows(reply=sse(*DELTAS, {"choices": [], "usage": usage}), **STREAMED)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (9, 20)
    assert row["usage_source"] == "provider"
    assert row["is_stream"] is True
    assert body["response"].startswith("data: ")


@pytest.mark.parametrize("outcome", ["complete", "cut", "client_gone", "timeout_gap"])
def test_a_stream_without_usage_is_estimated_and_priced(outcome):
    row, _ = rows(reply=sse(*DELTAS)[:-20], outcome=outcome, **STREAMED)
    assert row["usage_source"] == "estimated"
    assert 8 <= row["prompt_tokens"] <= 20
    assert 20 <= row["completion_tokens"] <= 60
    assert row["cost_pico"] == (row["prompt_tokens"] + row["completion_tokens"]) * 10**6


def test_half_an_anthropic_stream_keeps_its_input_and_estimates_its_output():
    start = {"type": "message_start", "message": {"model": "claude-x", "usage": {
        "input_tokens": 400, "cache_read_input_tokens": 50, "output_tokens": 1}}}  # fmt: skip
    texts = [
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": f" word{i}"}}
        for i in range(20)
    ]
    row, _ = rows(
        reply=sse(start, *texts).removesuffix(b"data: [DONE]\n\n"),
        outcome="client_gone",
        gateway_provider="anthropic",
        dialect="anthropic",
        **STREAMED,
    )
    assert (row["prompt_tokens"], row["prompt_cache_read_tokens"]) == (400, 50)
    assert 20 <= row["completion_tokens"] <= 70
    assert (row["usage_source"], row["status"], row["model"]) == ("estimated", -3, "claude-x")


@pytest.mark.parametrize(
    ("meta", "reply", "source", "cost"),
    [
        ({"outcome": "cache_hit"}, REPLY, "none", 0),
        ({"outcome": "mock"}, REPLY, "none", 0),
        ({"outcome": "refused", "http_status": 429}, {"error": "limit"}, "none", 0),
        ({"outcome": "connect_failed", "http_status": 502}, b"", "none", 0),
        ({"http_status": 500}, {"error": {"message": "x"}}, "none", 0),
        ({"outcome": "client_gone", "http_status": None, "attempts": []}, b"", "none", 0),
        ({"path": "/v1/audio/speech"}, b"", "none", None),
        ({}, {"model": "new", "usage": REPLY["usage"]}, "provider", None),
    ],
)  # fmt: skip
def test_what_was_not_used_costs_nothing_and_what_is_unknown_is_null(meta, reply, source, cost):
    request = {"model": "new-model", "input": "x"}
    row, _ = rows(request=request, reply=reply, **meta)
    assert (row["usage_source"], row["cost_pico"]) == (source, cost)


def test_a_client_that_left_before_the_first_byte_still_used_its_prompt():
    row, _ = rows(reply=b"", outcome="client_gone", http_status=None)
    assert row["usage_source"] == "estimated"
    assert row["prompt_tokens"] > 5
    assert row["completion_tokens"] == 0


def test_models():
    row, _ = rows(model_override="mine")
    assert (row["model"], row["model_override"]) == ("mine", "mine")
    assert row["cost_pico"] is None, "the override is what is priced"
    row, _ = rows(reply={**REPLY, "model": "deployment-7"})
    assert (row["model"], row["cost_pico"]) == ("deployment-7", 18_000_000)
    row, _ = rows(request=b"", reply=b"", method="GET", path="/v1/models/gpt-4o")
    assert row["model"] == "gpt-4o"


def test_attempts_are_summed():
    first = {"target": "a", "cost_pico": 5, "status": 500}
    row, _ = rows(attempts=[first, *META["attempts"]])
    assert row["cost_pico"] == 18_000_005
    assert [attempt["cost_pico"] for attempt in row["attempts"]] == [5, 18_000_000]


def test_modalities_are_in_the_columns_and_in_the_detail():
    usage = {
        "prompt_tokens": 150,
        "completion_tokens": 80,
        "prompt_tokens_details": {"audio_tokens": 100},
        "completion_tokens_details": {"audio_tokens": 60},
    }
    row, _ = rows(reply={**REPLY, "usage": usage})
    assert (row["prompt_tokens"], row["completion_tokens"]) == (150, 80)
    assert (row["prompt_audio_tokens"], row["completion_audio_tokens"]) == (100, 60)
    assert json.loads(row["usage_detail"]) == {
        "input": 50, "output": 20, "audio": [100, 0, 60],
    }  # fmt: skip


def test_coded_bodies():
    plain = json.dumps(REPLY).encode()
    row, body = rows(
        request=brotli.compress(json.dumps(REQUEST).encode()),
        request_coding="br",
        reply=gzip.compress(plain),
        response_coding="gzip",
    )
    assert row["prompt_tokens"] == 10
    assert body["response"] == plain.decode()
    # A label that is wrong does no harm.
    row, body = rows(reply=plain, response_coding="gzip")
    assert (row["prompt_tokens"], body["response"]) == (10, plain.decode())
    assert row["not_applied"][-1] == "decoding-response;reason=wrong"
    bomb = gzip.compress(bytes(5_000_000))
    row, body = rows(reply=bomb, response_coding="gzip")
    assert row["not_applied"][-1] == "decoding-response;reason=bomb"
    assert base64.b64decode(body["response"]) == bomb
    assert body["response_type"] == "application/json;base64"


def test_binary_bodies_are_base64():
    _, body = rows(reply=b"\xff\x00", response_type=None)
    assert (body["response"], body["response_type"]) == ("/wA=", ";base64")


def test_omitted_bodies_and_what_was_read_of_them_at_once():
    packed = json.dumps(REQUEST).encode(), json.dumps(REPLY).encode()
    summary = summarise(META, *packed)
    assert summary == {
        "outcome": "complete",
        "stream_asked": False,
        "model": "gpt-4o-2024-08-06",
        "usage": {
            "input": 10,
            "output": 8,
            "cached_input": 20,
            "thinking": 4,
            "source": "provider",
        },
    }
    kept, _ = rows()
    row, body = rows(request=b"", reply=b"", omit_request=True, omit_response=True, **summary)
    for name in ("prompt_tokens", "completion_tokens", "cost_pico", "model", "usage_source"):
        assert row[name] == kept[name]
    assert body["request"] == body["response"] == '{"model":"gpt-4o-2024-08-06"}'
    _, body = rows(request=b"", omit_request=True)
    assert body["request"] == '{"model":"gpt-4o-2024-08-06"}'
    assert body["response"] == json.dumps(REPLY)


@pytest.mark.parametrize("request_id", ["", None, "None", "x" * 10_000, "0190a5b0-1111-7222-8333"])
def test_odd_request_ids_become_ours(request_id):
    row, _ = rows(request_id=request_id)
    assert row["request_id"] == EXCHANGE


HOSTILE = [
    b"[" * 100_000,
    b'{"model":"\\ud800","messages":[{"content":NaN}],"x":1e400,"x":9' + b"9" * 5000 + b"}",
    b'\xef\xbb\xbf{"model":"m"}',
    b'{"usage":{"prompt_tokens":1E+999999,"completion_tokens":9999999999999999999999}}',
    b'{"usage":{"cost":1E+999999,"prompt_tokens":1}}',
    b'{"choices":{"a":1},"usage":[1],"model":{"a":1},"error":[]}',
    b'{"messages":' + b"[" * 900 + b"]" * 900 + b"}",
    b"data: {\n\n" * 1000,
    b"\x00" * 1000,
    b'{"usage":' * 300 + b"1" + b"}" * 300,
    b'{"messages":[{"type":{"a":1}}],"metrics":[{"metric":[]}],"message":{"type":{}},"type":{}}',
    b'{"tools":[{"function":{"name":[],"parameters":{"enum":[{}]}}}],"input":[[],{},1],"_type":{}}',
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "", None])
def test_hostile_bodies_survive(body, kind):
    for meta in ({}, {"outcome": "cut"}, {"response_coding": "br"}):
        row, _ = rows(request=body, reply=body, request_type=kind, response_type=kind, **meta)
        assert row["model"] is None or row["model"].encode()
        for name in ("prompt_tokens", "completion_tokens", "cost_pico"):
            assert row[name] is None or 0 <= row[name] < 2**63


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["usage", "model", "choices", "delta", "message", "content", "error", "type",
             "response", "prompt_tokens", "input_tokens", "usageMetadata", "meta", "messages",
             "tools", "role", "output", "prompt_tokens_details", "cached_tokens", "cost",
             "x_groq", "function"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(derandomize=True, max_examples=150, deadline=None)
@given(JSON, st.lists(JSON, max_size=3), st.sampled_from(["openai", "anthropic", "vertex", "groq",
       "bedrock", "xai", "deepseek", "openrouter", "cohere", "other"]))  # fmt: skip
def test_any_json_gives_a_row(request_value, events, provider):
    lines = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    for reply, kind in ((lines, "text/event-stream"), (json.dumps(events).encode(), "")):
        row, _ = rows(
            request=json.dumps(request_value).encode(),
            reply=reply,
            response_type=kind,
            gateway_provider=provider,
            dialect=provider,
            outcome="cut",
        )
        for name in ("prompt_tokens", "completion_tokens", "cost_pico"):
            assert row[name] is None or 0 <= row[name] < 2**63


def test_a_cached_answer_says_what_it_saved() -> None:
    other = "0c7c3a52-93a1-4bb0-b55f-60a9c6f4bd01"
    facts = {
        "outcome": "cache_hit", "cache_enabled": True, "cache_reference_id": other,
        "cached_exchange_id": b"e" * 16, "cached_latency_us": 1500, "saved_cost_pico": 7,
    }  # fmt: skip
    row, _ = rows(**facts)
    assert row["cost_pico"] == 0
    assert row["cache_reference_id"] == bytes.fromhex(other.replace("-", ""))
    assert (row["cached_exchange_id"], row["saved_latency_ms"]) == (b"e" * 16, 1.5)
    assert (row["saved_cost_pico"], row["cache_enabled"]) == (7, True)


@pytest.mark.parametrize("said", [True, False])
def test_what_the_guard_said(said: bool) -> None:
    row, _ = rows(outcome="refused", http_status=400, error="PROMPT_THREAT_DETECTED", threat=said)
    assert (row["threat"], row["status"], row["cost_pico"]) == (said, -4, 0)


def test_a_check_of_the_prompt_is_no_call_that_could_cost_anything() -> None:
    checked = {"target": "https://a/v1/moderations", "provider": "OPENAI", "why_next": "moderation"}
    called = {"target": "https://a/v1/chat/completions", "provider": "OPENAI", "why_next": ""}
    facts = {"outcome": "client_gone", "http_status": None}
    row, _ = rows(reply=b"", **facts, attempts=[checked])
    assert (row["usage_source"], row["prompt_tokens"]) == ("none", None)
    row, _ = rows(reply=b"", **facts, attempts=[checked, called])
    assert row["usage_source"] == "estimated"
