"""A WebSocket session as it is asked for, kept, read and priced."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from appliance.core.derive import derive, summarise
from appliance.core.realtime import as_usual, documents_of, line_of, messages_of, sent_fields
from appliance.core.usage import realtime
from appliance.core.usage_types import Modality, Priced, Usage
from appliance.core.websocket import BINARY, TEXT
from storage.rows import BODY_COLUMNS, REQUEST_COLUMNS

AT_US = 1_767_225_600_123_456
HELICONE = b"sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
DONE = {
    "type": "response.done",
    "response": {
        "object": "realtime.response",
        "usage": {
            "total_tokens": 253,
            "input_tokens": 132,
            "output_tokens": 121,
            "input_token_details": {
                "text_tokens": 119,
                "audio_tokens": 13,
                "image_tokens": 0,
                "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4},
            },
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        },
    },
}
USED = Usage(59, 30, 60, audio=Modality(9, 4, 91))
CREATED = {"type": "session.created", "session": {"model": "gpt-realtime", "voice": "x"}}


def lines(*events: Any, side: Any = "target") -> bytes:
    return b"".join(
        line_of(side, TEXT, data, len(data), AT_US)
        for data in (json.dumps(event).encode() for event in events)
    )


def test_a_line_is_the_originals_message() -> None:
    data = b'{"type": "session.update",\r\n "session": {}}'
    assert json.loads(line_of("client", TEXT, data, len(data), AT_US)) == {
        "type": "message",
        "from": "client",
        "timestamp": "2026-01-01T00:00:00.123Z",
        "content": {"type": "session.update", "session": {}},
    }


@pytest.mark.parametrize(
    ("opcode", "payload", "length", "content"),
    [
        (TEXT, b"no JSON\n", 8, "no JSON\n"),
        (TEXT, b'{"a":1} {"b":2}', 15, '{"a":1} {"b":2}'),
        (TEXT, b'"\xff"', 3, '"\ufffd"'),
        (TEXT, b"[" * 100_000, 100_000, "[" * 100_000),
        (TEXT, b"", 0, ""),
        (BINARY, b"\x00\n", 2, base64.b64encode(b"\x00\n").decode()),
        (TEXT, b'{"a":', 70_000, '{"a":'),
    ],
)
def test_any_message_is_one_line(opcode: int, payload: bytes, length: int, content: str) -> None:
    line = line_of("target", opcode, payload, length, AT_US)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    value = json.loads(line)
    assert value["content"] == content
    assert value["type"] == ("message" if opcode == TEXT else "binary")
    assert value.get("bytes") == (length if length > len(payload) else None)
    assert documents_of(line) == []


def test_a_side_is_shown_as_messages_also_when_its_middle_is_gone() -> None:
    kept = lines(CREATED, DONE, DONE)
    cut = kept[:300] + kept[-200:]
    assert [item["content"] for item in json.loads(messages_of(kept))["messages"]] == [
        CREATED, DONE, DONE,
    ]  # fmt: skip
    assert len(json.loads(messages_of(cut))["messages"]) == 1
    assert documents_of(cut) == [CREATED]
    assert json.loads(messages_of(b"")) == {"messages": []}


def test_usage_is_the_sum_over_the_responses() -> None:
    assert realtime.usage_of(DONE) == USED
    reading = realtime.read([CREATED, DONE, {"type": "response.created"}, DONE, 7, None])
    assert reading is not None
    assert reading.usage == Usage(118, 60, 120, audio=Modality(18, 8, 182))
    quiet = realtime.read([CREATED])
    assert quiet is not None
    assert quiet.usage == Usage()
    assert realtime.read([CREATED, {"type": "response.created"}]) is None


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.done"},
        {"type": "response.done", "response": {"usage": None}},
        {"type": "response.done", "response": 3},
        {"type": ["response.done"]},
        {"type": "x", "response": {"usage": {"input_tokens": 9}}},
    ],
)
def test_odd_events_have_no_usage(event: Any) -> None:
    assert realtime.usage_of(event) is None
    assert realtime.read([event, DONE]) == realtime.read([DONE])


def row_of(meta: dict[str, Any], request: bytes, response: bytes) -> dict[str, Any]:
    asked = []

    def price(provider: str, model: str, usage: Usage, at_us: int) -> Priced:
        asked.append((provider, model, usage))
        return Priced(5, "test", "1")

    base = {
        "exchange_id": bytes(16), "dialect": "realtime", "gateway_provider": "openai",
        "path": "/v1/realtime?model=gpt-realtime-mini", "method": "GET", "http_status": 101,
        "outcome": "complete", "request_type": "application/json",
        "response_type": "application/json", "created_at_us": AT_US,
    }  # fmt: skip
    made = derive({**base, **meta}, request, response, org=bytes(16), position=(1, 2), price=price)
    row = dict(zip([name for name, _ in REQUEST_COLUMNS], made.request, strict=True))
    row.update(zip([name for name, _ in BODY_COLUMNS], made.body, strict=True))
    row["asked"] = asked
    return row


def test_a_row() -> None:
    row = row_of({}, lines({"type": "response.create"}, side="client"), lines(CREATED, DONE))
    assert (row["status"], row["http_status"], row["outcome"]) == (200, 101, "complete")
    assert (row["model"], row["request_model"]) == ("gpt-realtime", "gpt-realtime-mini")
    assert row["asked"] == [("openai", "gpt-realtime", USED)]
    assert (row["cost_pico"], row["usage_source"]) == (5, "provider")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (68, 121)
    assert json.loads(row["request"])["messages"][0]["from"] == "client"
    assert json.loads(row["response"])["messages"][1]["content"] == DONE


def test_an_error_event_does_not_end_a_session_and_a_lost_client_neither_its_status() -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    row = row_of({"outcome": "client_gone"}, b"", lines(error, DONE))
    assert (row["status"], row["outcome"]) == (200, "client_gone")
    assert row["model"] == "gpt-realtime-mini"
    assert row["cost_pico"] == 5


def test_usage_that_was_read_at_once_is_not_read_again() -> None:
    meta = {"usage": {"input": 900, "audio": [1, 2, 3], "source": "provider"}}
    row = row_of(meta, b"", lines(CREATED, DONE))
    assert row["asked"][0][2] == Usage(900, audio=Modality(1, 2, 3))
    told = summarise({"dialect": "realtime", "path": "", **meta}, b"", lines(CREATED))
    assert told["usage"] == {"input": 900, "audio": [1, 2, 3], "source": "provider"}
    assert told["model"] == "gpt-realtime"


PROTOCOL = b"Sec-WebSocket-Protocol"


@pytest.mark.parametrize(
    ("headers", "usual"),
    [
        ([(PROTOCOL, b"realtime")], [(PROTOCOL, b"realtime")]),
        (
            [(PROTOCOL, b"realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1")],
            [
                (PROTOCOL, b"realtime, openai-beta.realtime-v1"),
                (b"Authorization", b"Bearer sk-1"),
            ],
        ),
        ([(PROTOCOL, b"openai-insecure-api-key.sk-1")], [(b"Authorization", b"Bearer sk-1")]),
        (
            [(b"authorization", b"Bearer sk-2"), (PROTOCOL, b"a, openai-insecure-api-key.sk-1")],
            [(b"authorization", b"Bearer sk-2"), (PROTOCOL, b"a")],
        ),
        (
            [(b"authorization", b"Bearer sk-2"),
             (PROTOCOL, b"a,openai-insecure-api-key." + HELICONE)],
            [(b"authorization", b"Bearer sk-2, Bearer " + HELICONE), (PROTOCOL, b"a")],
        ),
        (
            [(b"Helicone-Target-URL", b"WSS://a.b/c"), (b"x", b"wss://q")],
            [(b"Helicone-Target-URL", b"https://a.b/c"), (b"x", b"wss://q")],
        ),
        ([(b"Helicone-OpenAI-Api-Base", b"ws://a")], [(b"Helicone-OpenAI-Api-Base", b"http://a")]),
    ],
)  # fmt: skip
def test_an_upgrade_is_read_as_any_request(headers: Any, usual: Any) -> None:
    assert as_usual(headers) == usual
    assert (as_usual(headers) is headers) is (headers == usual)


UPGRADE = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
BETA = (b"OpenAI-Beta", b"realtime=v1")


@pytest.mark.parametrize(
    ("provider", "path", "headers", "sent"),
    [
        ("openai", b"/v1/realtime?model=gpt-4o-realtime-preview", [], [BETA]),
        ("openai", b"/v1/realtime?a=1&model=gpt-4o-realtime-preview-2024-12-17&b=2", [], [BETA]),
        ("openai", b"/v1/realtime?model=gpt-realtime", [], []),
        ("openai", b"/v1/realtime?model=gpt-realtime&x=a-preview", [], []),
        ("openai", b"/v1/realtime?model=a-preview", [(b"openai-beta", b"x")], []),
        ("openai", b"/v1/realtime?model=a-preview", [(PROTOCOL, b"openai-beta.realtime-v1")], []),
        ("openai", b"/v1/responses?model=a-preview", [], []),
        ("groq", b"/v1/realtime?model=a-preview", [], []),
    ],
)  # fmt: skip
def test_the_beta_is_asked_for_previews_that_came_without(
    provider: str, path: bytes, headers: Any, sent: Any
) -> None:
    assert sent_fields(headers, provider, path) == [*headers, *sent, *UPGRADE]


def test_no_extension_is_offered() -> None:
    fields = [(b"Sec-WebSocket-Extensions", b"permessage-deflate"), (b"a", b"b")]
    assert sent_fields(fields, "x", b"/") == [(b"a", b"b"), *UPGRADE]


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ([(b"Authorization", b"Bearer k")], [(b"api-key", b"k")]),
        ([(b"Authorization", b"Bearer eyJ0.e30.x")], [(b"Authorization", b"Bearer eyJ0.e30.x")]),
        (
            [(b"api-key", b"a"), (b"Authorization", b"Bearer k")],
            [(b"api-key", b"a"), (b"Authorization", b"Bearer k")],
        ),
    ],
)
def test_azure_takes_keys_in_a_line_of_their_own(fields: Any, sent: Any) -> None:
    assert sent_fields(fields, "azure", b"/openai/realtime") == [*sent, *UPGRADE]
