"""What the manual loggers send (backend.md 3.1 to 3.3): read leniently, refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.ask_types import NOTHING_ASKED
from appliance.core.derive import derive
from appliance.core.log_message import read_message
from appliance.core.log_record import Maker, MakerOf, read_log, text_type, typed_problems
from appliance.core.logged import Logged, asks_of, meta_headers, status_facts, time_us
from appliance.core.usage_types import Priced, Usage
from appliance.errors import Refusal
from storage.rows import BODY_COLUMNS, REQUEST_COLUMNS

CUSTOM = MakerOf(Maker("CUSTOM"), lambda name: Maker(name.upper()))
OPENAI = MakerOf(Maker("OPENAI", "openai", "openai"))
START_US = 1_788_000_000_120_000


def body(**changes: Any) -> bytes:
    value: dict[str, Any] = {
        "providerRequest": {
            "url": "custom-model-nopath",
            "json": {"model": "local-qwen", "messages": [{"role": "user", "content": "ping"}]},
            "meta": {"Helicone-Session-Id": "s-17", "Helicone-Property-Team": "blue"},
        },
        "providerResponse": {"status": 200, "headers": {}, "json": {"id": "r-1"}},
        "timing": {
            "startTime": {"seconds": 1788000000, "milliseconds": 120},
            "endTime": {"seconds": 1788000001, "milliseconds": 20},
            "timeToFirstToken": 180,
        },
    }
    for path, change in changes.items():
        holder = value
        *above, last = path.split("__")
        for name in above:
            holder = holder[name]
        if change is ...:
            del holder[last]
        else:
            holder[last] = change
    return json.dumps(value).encode()


def price(provider: str, model: str, usage: Usage, at_us: int) -> Priced:
    if usage.cost_pico is not None:
        return Priced(usage.cost_pico, "provider", "v")
    return Priced(None, "none", "v")


def row_of(told: Logged) -> dict[str, Any]:
    """The row as ingest will have it."""
    meta = {
        "exchange_id": bytes(16), "created_at_us": 5, "request_bytes": len(told.request),
        "response_bytes": len(told.response), **told.facts,
    }  # fmt: skip
    request, texts = derive(
        meta, told.request, told.response, org=bytes(16), position=(1, 2), price=price
    )
    row = {name: value for (name, _), value in zip(REQUEST_COLUMNS, request, strict=True)}
    return row | {name: value for (name, _), value in zip(BODY_COLUMNS, texts, strict=True)}


def test_a_usual_log() -> None:
    told = read_log(body(), CUSTOM)
    row = row_of(told)
    assert (row["provider"], row["model"], row["source"], row["step"]) == (
        "CUSTOM", "local-qwen", "log", None,
    )  # fmt: skip
    assert row["request_created_at"] == START_US
    assert (row["latency_ms"], row["time_to_first_token_ms"]) == (900, 180)
    assert (row["status"], row["http_status"], row["outcome"]) == (200, 200, "complete")
    assert json.loads(row["request"])["model"] == "local-qwen"
    assert json.loads(row["response"]) == {"id": "r-1"}
    assert row["target_url"] == row["request_path"] == "custom-model-nopath"
    asks = asks_of(told.meta, {}, NOTHING_ASKED)
    assert (asks.session_id, asks.properties["team"]) == ("s-17", "blue")


NDJSON = (
    '{"choices":[{"delta":{"content":"po"}}]}\n'
    '{"choices":[{"delta":{"content":"ng"}}],"usage":{"prompt_tokens":4,"completion_tokens":2}}'
)
SSE = (
    'event: x\ndata: {"model":"m","choices":[{"delta":{"content":"po"}}]}\n\n'
    'data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2,"cost":0.25}}\n\n'
    "data: [DONE]\n\n"
)


@pytest.mark.parametrize(
    ("text", "kind", "tokens", "cost"),
    [
        (NDJSON, "application/x-ndjson", (4, 2), None),
        (SSE, "text/event-stream", (4, 2), 250_000_000_000),
        ("Traceback (most recent call last):\n  boom\n" + NDJSON, "application/x-ndjson",
         (4, 2), None),
        ("Traceback\n" + SSE, "text/event-stream", (4, 2), 250_000_000_000),
        ('{"usage":{"prompt_tokens":4,"completion_tokens":2}}', "application/json", (4, 2), None),
    ],
)  # fmt: skip
def test_streams_give_usage_and_keep_their_text(
    text: str, kind: str, tokens: tuple[int, int], cost: int | None
) -> None:
    told = read_log(body(providerResponse={"status": 200, "textBody": text}), CUSTOM)
    row = row_of(told)
    assert row["response_type"] == kind
    assert (row["prompt_tokens"], row["completion_tokens"]) == tokens
    assert row["usage_source"] == "provider"
    assert row["cost_pico"] == cost
    assert (row["status"], row["outcome"]) == (200, "complete")
    assert row["response"] == text


@pytest.mark.parametrize("text", ["plain words", "[draft] a list", "{not json", "a\nb\n{", "🙂"])
def test_text_is_kept_as_text(text: str) -> None:
    row = row_of(read_log(body(providerResponse={"status": 200, "textBody": text}), CUSTOM))
    assert (row["response"], row["response_type"]) == (text, "text/plain")
    assert (row["status"], row["outcome"], row["derive_error"]) == (200, "complete", None)


def test_text_wins_over_json_only_when_there_is_some() -> None:
    both = {"status": 200, "json": {"a": 1}, "textBody": "b"}
    assert read_log(body(providerResponse=both), CUSTOM).response == b"b"
    for empty in ("", None):
        both["textBody"] = empty
        assert json.loads(read_log(body(providerResponse=both), CUSTOM).response) == {"a": 1}


def test_chunks_beside_the_reply_are_read() -> None:
    chunks = [json.loads(line) for line in NDJSON.splitlines()]
    told = read_log(body(providerResponse__json={"streamed_data": chunks}), OPENAI)
    row = row_of(told)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (4, 2)


@pytest.mark.parametrize(
    ("status", "outcome", "shown"),
    [
        (-3, "client_gone", -3), (-2, "timeout_total", -2), (-4, "refused", -4),
        (-100, "cut", -100), (-7, "cut", -100), (500, "complete", 500), (0, "complete", 0),
        (429, "complete", 429),
    ],
)  # fmt: skip
def test_statuses(status: int, outcome: str, shown: int) -> None:
    row = row_of(read_log(body(providerResponse__status=status), CUSTOM))
    assert (row["status"], row["outcome"]) == (shown, outcome)


@pytest.mark.parametrize(
    ("asked", "model", "step"),
    [
        ({"_type": "tool", "toolName": "search"}, "tool:search", "tool"),
        ({"_type": "tool"}, "tool:unknown", "tool"),
        ({"_type": "vector_db", "operation": "query"}, "vector_db", "vector_db"),
        ({"_type": "data", "name": "rows"}, "data:rows", "data"),
    ],
)
def test_steps_are_no_calls_of_a_model(asked: Any, model: str, step: str) -> None:
    told = read_log(
        body(providerRequest__json=asked, providerResponse__json={"model": "x", "result": 1}),
        CUSTOM,
    )
    row = row_of(told)
    assert (row["model"], row["step"]) == (model, step)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (None, None)


@pytest.mark.parametrize(
    ("cost", "pico"),
    [
        (0.000123, 123_000_000), (2, 2 * 10**12), ("0.5", 5 * 10**11), (1e-12, 1), (0, 0),
        (None, None), ("much", None), (-1, None), ({}, None),
    ],
)  # fmt: skip
def test_a_declared_cost_counts(cost: object, pico: int | None) -> None:
    row = row_of(read_log(body(providerResponse__cost=cost), CUSTOM))
    assert row["cost_pico"] == pico
    assert row["price_source"] == ("none" if pico is None else "provider")


@pytest.mark.parametrize("first", [None, 0])
def test_no_first_token(first: object) -> None:
    row = row_of(read_log(body(timing__timeToFirstToken=first), CUSTOM))
    assert row["time_to_first_token_ms"] is None


def test_without_timing_the_time_is_ours() -> None:
    for told in (body(timing=...), body(timing=None), body(timing={})):
        facts = read_log(told, CUSTOM).facts
        assert "created_at_us" not in facts
        assert "duration_us" not in facts


@pytest.mark.parametrize(
    "start",
    [
        "2026-08-29T10:40:00.120Z", "2026-08-29T12:40:00.120+02:00", "1788000000120",
        1788000000120, 1788000000.12, "1788000000.120", {"seconds": 1788000000.12},
    ],
)  # fmt: skip
def test_times_of_every_form(start: object) -> None:
    assert time_us(start) == START_US


@pytest.mark.parametrize(
    "bad", ["soon", {}, [], True, -1, {"seconds": -5}, {"seconds": "1"}, 10**20, "9" * 30, 1e400]
)
def test_what_is_no_time(bad: object) -> None:
    assert time_us(bad) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"providerRequest": ...}, "providerRequest"),
        ({"providerRequest": 5}, "providerRequest"),
        ({"providerRequest__json": ...}, "providerRequest.json"),
        ({"providerRequest__json": [1]}, "providerRequest.json"),
        ({"providerRequest__json": "text"}, "providerRequest.json"),
        ({"providerRequest__url": 5}, "providerRequest.url"),
        ({"providerRequest__meta": []}, "providerRequest.meta"),
        ({"providerRequest__meta": {"Helicone-User-Id": "x" * 70_000}}, "providerRequest.meta"),
        ({"providerResponse": ...}, "providerResponse"),
        ({"providerResponse__status": ...}, "providerResponse.status"),
        ({"providerResponse__status": "200"}, "providerResponse.status"),
        ({"providerResponse__status": True}, "providerResponse.status"),
        ({"providerResponse__status": 1e300}, "providerResponse.status"),
        ({"providerResponse__status": 10**9}, "providerResponse.status"),
        ({"providerResponse__textBody": {}}, "providerResponse.textBody"),
        ({"timing": []}, "timing"),
        ({"timing__startTime": "soon"}, "timing.startTime"),
        ({"timing__endTime": {"seconds": 1787999999, "milliseconds": 0}}, "timing.endTime"),
        ({"timing__endTime": {"seconds": -1, "milliseconds": 0}}, "timing.endTime"),
        ({"timing__timeToFirstToken": "1"}, "timing.timeToFirstToken"),
        ({"timing__timeToFirstToken": -1}, "timing.timeToFirstToken"),
        ({"provider": 5}, "provider"),
    ],
)
def test_refusals_name_the_field(changes: dict[str, Any], field: str) -> None:
    data = body(**changes)
    with pytest.raises(Refusal) as refused:
        read_log(data, CUSTOM)
    assert refused.value.status == 400
    assert refused.value.message.startswith(f"{field}: ")
    if "x" * 50 not in str(changes):
        assert field in {name for name, _ in typed_problems(data)}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"5", b"null", b"\xff", b"[" * 5000])
def test_what_is_no_object(data: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        read_log(data, CUSTOM)
    assert (refused.value.status, refused.value.message[:5]) == (400, "body:")
    assert typed_problems(data) == [("body", "expected a JSON object")]


def test_what_nearly_is_json_is_read() -> None:
    """NaN, half of a surrogate pair, a status with a fraction of nothing."""
    data = body().replace(b'"ping"', b'"\\ud83d", "n": NaN').replace(b"200", b"200.0", 1)
    told = read_log(data, CUSTOM)
    assert told.facts["http_status"] == 200
    assert b"ping" not in told.request
    assert row_of(told)["derive_error"] is None


def test_secrets_of_a_url_are_not_kept() -> None:
    url = "https://ada:secret@llm.example/v1/x?key=AIzaSyA-0123456789abcdefghijklmnopqrstu&a=b"
    told = read_log(body(providerRequest__url=url), CUSTOM)
    assert told.facts["target_url"].startswith("https://llm.example/v1/x?key=")
    assert "secret" not in str(told.facts)
    assert "AIza" not in str(told.facts)
    assert told.facts["path"].startswith("/v1/x?")


def test_who_made_it() -> None:
    assert read_log(body(provider="GROQ"), CUSTOM).facts["provider"] == "GROQ"
    assert read_log(body(provider="GROQ"), OPENAI).facts["provider"] == "OPENAI"
    assert read_log(body(), OPENAI).facts["gateway_provider"] == "openai"


def test_features_of_the_proxy_mean_nothing_here() -> None:
    """A bad one must not cost the record."""
    found = meta_headers(
        {
            "Helicone-Cache-Bucket-Max-Size": "99", "Helicone-Fallbacks": "x",
            "Helicone-Prompt-Mode": "x", "Authorization": "Bearer k", "Helicone-User-Id": 7,
            "Helicone-Property-Deep": {"a": [1]}, "Helicone-Property-None": None,
        }
    )  # fmt: skip
    assert found == {b"helicone-user-id": b"7", b"helicone-property-deep": b'{"a":[1]}'}


def test_headers_win_over_meta() -> None:
    told = read_log(body(), CUSTOM)
    asks = asks_of(told.meta, {b"helicone-session-id": b"s-18", b"accept": b"x"}, NOTHING_ASKED)
    assert (asks.session_id, asks.properties["team"]) == ("s-18", "blue")


def test_a_message_of_helicones_own_gateways() -> None:
    value = {
        "authorization": "Bearer x",
        "heliconeMeta": {"modelOverride": "m-2", "posthogApiKey": "ph"},
        "log": {
            "request": {
                "id": "0190a5b0-1111-7222-8333-123456789abc", "userId": "ada", "isStream": True,
                "properties": {"Team": "blue", "Helicone-Session-Id": "s-1"},
                "provider": "OPENAI", "path": "/v1/chat/completions",
                "targetUrl": "https://api.openai.com/v1/chat/completions?key=AIzaSyA-0123456789abc",
                "requestCreatedAt": "2026-08-29T10:40:00.120Z", "bodySize": 12,
            },
            "response": {
                "status": 200, "delayMs": 900, "timeToFirstToken": 180, "promptTokens": 7,
                "completionTokens": 3, "promptAudioTokens": 2, "cost": 0.5, "model": "m-1",
                "bodySize": 30,
            },
        },
    }  # fmt: skip
    told = read_message(json.dumps(value).encode(), CUSTOM)
    asks = asks_of(told.meta, {}, NOTHING_ASKED)
    row = row_of(told._replace(facts={**told.facts, **asks.facts}))
    assert (asks.user_id, asks.session_id, asks.posthog_key) == ("ada", "s-1", "ph")
    assert asks.request_id == "0190a5b0-1111-7222-8333-123456789abc"
    assert asks.properties["team"] == "blue"
    assert (row["model"], row["response_model"]) == ("m-2", None)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (7, 3)
    assert row["cost_pico"] == 5 * 10**11
    assert (row["request_created_at"], row["latency_ms"]) == (START_US, 900)
    assert row["is_stream"] is True
    assert "AIza" not in str(told.facts)
    for part in ("request", "response"):
        broken = json.loads(json.dumps(value))
        del broken["log"][part]
        with pytest.raises(Refusal, match=f"log.{part}"):
            read_message(json.dumps(broken).encode(), CUSTOM)


def none_but_refused(read: Callable[..., Logged], data: bytes) -> Logged | None:
    try:
        return read(data, CUSTOM)
    except Refusal as refusal:
        status = refusal.status
    assert status == 400
    return None


@settings(max_examples=200, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["providerRequest", "providerResponse", "json", "meta", "status", "timing",
                         "startTime", "textBody", "log", "request", "response", "usage", "cost",
                         "heliconeMeta", "properties", "delayMs", "userId"]), inner, max_size=5),
    max_leaves=20,
), st.booleans())  # fmt: skip
def test_nothing_that_a_stranger_sends_raises_anything_else(value: Any, good: bool) -> None:
    data = json.dumps(value).encode()
    if good and isinstance(value, dict):
        data = json.dumps({**json.loads(body()), **value}).encode()
    for read in (read_log, read_message):
        told = none_but_refused(read, data)
        if told is not None:
            asks_of(told.meta, {}, NOTHING_ASKED)
            assert row_of(told)["provider"]
    typed_problems(data)


def test_kinds_of_text_and_statuses_are_bounded_words() -> None:
    assert text_type(b"") == "text/plain"
    assert text_type(b"{}\n{}") == "application/x-ndjson"
    assert status_facts(200) == {"outcome": "complete", "http_status": 200}
