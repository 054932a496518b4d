"""Which replies may be given to others: whole, good, 200 (`proxy.md 4.4`, 4.5; field.md)."""

import gzip
import json
from typing import Any

import pytest

from appliance.core.asks import parse_asks
from appliance.core.cache_control import pick, reads, saves, why_unfit

JSON = "application/json"
ON = {"helicone-cache-enabled": "true"}
SSE = "text/event-stream; charset=utf-8"


def sse(*events: Any, done: bool = True) -> bytes:
    data = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    return data + (b"data: [DONE]\n\n" if done else b"")


def named(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in events
    )


def chat(reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": "x"}, "finish_reason": reason}], **more}


def gemini(reason: str | None = None) -> dict[str, Any]:
    found = {"content": {"parts": [{"text": "x"}]}}
    return {"candidates": [found | ({"finishReason": reason} if reason else {})]}


START: dict[str, Any] = {"type": "message_start", "message": {"usage": {}}}
DELTA: dict[str, Any] = {"type": "content_block_delta", "delta": {"text": "x"}}
STOPPING: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
STOP: dict[str, Any] = {"type": "message_stop"}
CREATED: dict[str, Any] = {"type": "response.created", "response": {"error": None}}
TEXT: dict[str, Any] = {"type": "response.output_text.delta", "delta": "x"}
COMPLETED: dict[str, Any] = {"type": "response.completed", "response": {"error": None}}
FAILED: dict[str, Any] = {"type": "response.failed", "response": {"error": {"code": "x"}}}
ERROR: dict[str, Any] = {"error": {"message": "overloaded", "type": "server_error"}}
USAGE: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 1}}
MESSAGE: dict[str, Any] = {"type": "message", "content": [{"type": "text", "text": "x"}]}
RESPONSE: dict[str, Any] = {"object": "response", "error": None, "output": [{"type": "message"}]}


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (JSON, as_json({"choices": [{"message": {"content": "x"}}]}), ""),
        (JSON, as_json(MESSAGE), ""),
        (JSON, as_json(RESPONSE), ""),
        (JSON, as_json({"data": [{"embedding": [0.5]}], "error": None}), ""),
        (JSON, as_json({"choices": [{"message": {"content": '{"error": {"code": 1}}'}}]}), ""),
        (JSON, b"", ""),
        (JSON, b"  " + as_json({"data": [1]}), ""),
        (JSON, as_json([gemini(), gemini("STOP")]), ""),
        (JSON, as_json([gemini(), gemini()]), "incomplete"),
        (JSON, as_json(ERROR), "error"),
        (JSON, as_json({"error": "quota"}), "error"),
        (JSON, as_json({"type": "error", "error": {"type": "overloaded_error"}}), "error"),
        (JSON, as_json({"object": "response", "error": {"code": "x"}, "output": []}), "error"),
        (JSON, as_json({**ERROR, "data": []}), "error"),
        (JSON, b'{"choices": [', "malformed"),
        (JSON, b"<html>", "malformed"),
        (JSON, b'{"a": 1} trailing', "malformed"),
        ("audio/mpeg", b"{\x00\xff", ""),
        ("image/png", b"\x89PNG", ""),
        ("text/plain", b"what was said", ""),
        ("text/plain", b'{"error":"\xff"}', "error"),
        ("application/x-ndjson", b'{"done":false}\n{"done":true}\n', ""),
        ("application/x-ndjson", b'{"done":false}\n{"done":false}\n', "incomplete"),
        ("application/x-ndjson", b'{"done":false}\n{"error":"out of memory"}\n', "error"),
        (SSE, sse(chat(), chat("stop")), ""),
        (SSE, sse(chat(), chat("stop"), USAGE, done=False), ""),
        (SSE, sse(chat(), chat(), done=False), "incomplete"),
        (SSE, sse(chat(), ERROR), "error"),
        (SSE, sse(chat(), ERROR, chat("stop")), "error"),
        (SSE, sse(chat()) [:-20], "malformed"),
        (SSE, sse(gemini(), gemini("STOP"), done=False), ""),
        (SSE, sse(gemini(), gemini(), done=False), "incomplete"),
        (SSE, named(START, DELTA, STOPPING, STOP), ""),
        (SSE, named(START, DELTA, STOPPING), "incomplete"),
        (SSE, named(START, DELTA, {"type": "error", "error": {"type": "api_error"}}), "error"),
        (SSE, named(CREATED, TEXT, COMPLETED), ""),
        (SSE, named(CREATED, TEXT), "incomplete"),
        (SSE, named(CREATED, FAILED), "error"),
        (SSE, sse({"anything": 1}, done=False), ""),
        (SSE, b": ping\n\n", "incomplete"),
        (SSE, b"", "incomplete"),
    ],
)  # fmt: skip
def test_bodies(kind: str, body: bytes, expected: str) -> None:
    assert why_unfit(200, "complete", kind, "", "openai", body) == expected


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini", "bedrock", ""])
def test_streams_name_their_own_dialect(dialect: str) -> None:
    for body in (sse(chat("stop")), named(START, STOP), named(CREATED, COMPLETED)):
        assert why_unfit(200, "complete", SSE, "", dialect, body) == ""


@pytest.mark.parametrize(
    ("status", "outcome", "expected"),
    [
        (200, "complete", ""), (201, "complete", "status"), (204, "complete", "status"),
        (206, "complete", "status"), (304, "complete", "status"), (400, "complete", "status"),
        (500, "complete", "status"), (200, "client_gone", "incomplete"),
        (200, "cut", "incomplete"), (200, "stalled", "incomplete"), (200, "", "incomplete"),
        (200, "cache_hit", "incomplete"), (200, "mock", "incomplete"),
    ],
)  # fmt: skip
def test_only_complete_200s(status: int, outcome: str, expected: str) -> None:
    assert why_unfit(status, outcome, JSON, "", "openai", b'{"data": [1]}') == expected


@pytest.mark.parametrize(
    ("coding", "body", "expected"),
    [
        ("gzip", gzip.compress(b'{"data":[1]}', mtime=0), ""),
        ("gzip", gzip.compress(as_json(ERROR), mtime=0), "error"),
        ("gzip", gzip.compress(b'{"data":[1]}', mtime=0)[:-3], "coding"),
        ("gzip", b'{"data":[1]}', "coding"),
        ("snappy", b"x", "coding"),
        ("identity", b'{"data":[1]}', ""),
    ],
)
def test_codings(coding: str, body: bytes, expected: str) -> None:
    assert why_unfit(200, "complete", JSON, coding, "openai", body) == expected


@pytest.mark.parametrize(
    ("headers", "read", "save"),
    [
        ({}, False, False),
        ({"helicone-cache-enabled": "true"}, True, True),
        ({"helicone-cache-enabled": "TRUE"}, True, True),
        ({"helicone-cache-enabled": "false"}, False, False),
        ({"helicone-cache-enabled": "yes"}, False, False),
        ({"helicone-cache-save": "true"}, False, True),
        ({"helicone-cache-read": "True"}, True, False),
        ({**ON, "helicone-cache-bucket-max-size": "20"}, True, True),
        ({**ON, "helicone-cache-bucket-max-size": "0"}, False, False),
        ({**ON, "helicone-cache-bucket-max-size": "x"}, False, False),
        ({**ON, "cache-control": "max-age=0"}, True, False),
        ({**ON, "cache-control": "max-age=1"}, True, True),
        ({**ON, "cache-control": "no-store"}, True, True),
        ({**ON, "cache-control": "s-maxage=0, max-age=9"}, True, False),
        ({**ON, "cache-control": "x-s-maxage=0"}, True, True),
    ],
)
def test_halves(headers: dict[str, str], read: bool, save: bool) -> None:
    asks = parse_asks({name.encode(): value.encode() for name, value in headers.items()})
    assert (reads(asks), saves(asks)) == (read, save)


@pytest.mark.parametrize(
    ("buckets", "drawn", "bucket"),
    [(1, 0.99, 0), (3, 0.0, 0), (3, 0.34, 1), (3, 0.999999, 2), (20, 0.95, 19), (0, 0.9, 0)],
)
def test_a_bucket_is_drawn(buckets: int, drawn: float, bucket: int) -> None:
    assert pick(buckets, lambda: drawn) == bucket


def test_each_bucket_is_as_likely() -> None:
    drawn = [pick(4, lambda at=at: at / 1000) for at in range(1000)]  # type: ignore[misc]
    assert [drawn.count(bucket) for bucket in range(4)] == [250] * 4
