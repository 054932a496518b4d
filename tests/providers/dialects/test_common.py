"""What the dialects share: errors of any shape, usage as chat writes it, events as JSON, ids."""

from itertools import pairwise

import pytest

from appliance.core.sse import EVENT_BYTES_MAX
from appliance.core.usage.openai import tokens_of
from appliance.core.usage_types import Modality, Usage
from appliance.errors import Refusal
from appliance.providers.dialects.common import (
    call_id,
    check_fields,
    data_uri,
    encode,
    failed_result,
    reasoning_text,
)
from appliance.providers.dialects.common_errors import (
    MESSAGE_CHARACTERS_MAX,
    ErrorParts,
    chat_error,
    error_parts,
)
from appliance.providers.dialects.common_stream import ChunkWriter, JsonEvents
from appliance.providers.dialects.common_usage import chat_usage


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error":{"message":"m","type":"t","code":"c","param":"p"}}',
         ErrorParts("m", "t", "c", "p")),
        (b'{"error":{"message":"m","code":400,"status":"INVALID_ARGUMENT"}}',
         ErrorParts("m", "", "400")),
        (b'{"error":"m"}', ErrorParts("m")),
        (b'{"message":"m"}', ErrorParts("m")),
        (b'{"detail":"m"}', ErrorParts("m")),
        (b'{"detail":{"message":"m"}}', ErrorParts("m")),
        (b'{"detail":[{"msg":"m"}]}', ErrorParts("m")),
        (b'[{"error":{"message":"m"}}]', ErrorParts("m")),
        (b'"m"', ErrorParts("m")),
        (b" plain text \n", ErrorParts("plain text")),
        (b"\xff\xfe", ErrorParts("\ufffd\ufffd")),
        (b"{}", ErrorParts("")),
        (b"null", ErrorParts("")),
        (b'{"error":{"message":{"a":1},"type":[],"code":{},"param":7}}', ErrorParts("")),
    ],
)  # fmt: skip
def test_errors_of_any_shape(body, expected):
    assert error_parts(body) == expected


def test_long_errors_are_cut():
    text = error_parts(b"x" * 100_000).message
    assert text == "x" * MESSAGE_CHARACTERS_MAX + "…"


@pytest.mark.parametrize(
    ("status", "parts", "expected"),
    [
        (418, ErrorParts("m"), ("invalid_request_error", None)),
        (503, ErrorParts("m"), ("server_error", None)),
        (429, ErrorParts("m"), ("rate_limit_error", None)),
        (400, ErrorParts("This model's maximum context length is 9"),
         ("invalid_request_error", "context_length_exceeded")),
        (400, ErrorParts("Stopped by the content filter"),
         ("invalid_request_error", "content_filter")),
        (500, ErrorParts("maximum context length"), ("server_error", None)),
        (400, ErrorParts("prompt is too long", "t", "own_code"), ("t", "own_code")),
    ],
)  # fmt: skip
def test_types_and_codes(status, parts, expected):
    error = chat_error(status, parts)["error"]
    assert (error["type"], error["code"]) == expected
    assert error["message"] == parts.message


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input=5, output=7),
        Usage(input=5, cached_input=100, output=7, thinking=3),
        Usage(input=5, output=7, audio=Modality(10, 4, 6), image=Modality(2, 0, 0)),
        Usage(input=0, cached_input=9, output=0, image=Modality(0, 0, 50)),
    ],
)
def test_usage_is_read_as_it_was_written(usage):
    written = chat_usage(usage)
    assert tokens_of(written, {}) == usage
    assert written["total_tokens"] == written["prompt_tokens"] + written["completion_tokens"]


def test_what_a_cache_took_is_part_of_the_prompt():
    written = chat_usage(Usage(input=5, write_5m=20, write_1h=10, output=1, web_search=2))
    assert (written["prompt_tokens"], written["total_tokens"]) == (35, 36)
    assert written["prompt_tokens_details"]["cache_write_tokens"] == 30
    assert written["server_tool_use"] == {"web_search_requests": 2}


def test_events_as_json():
    events = JsonEvents()
    first = b': ping\n\ndata: {"a":1}\n\ndata:{"b":\ndata: 2}\n\ndata:\n\ndata: [DONE]\n\n'
    assert events.feed(first) == [{"a": 1}, {"b": 2}, None]
    assert events.feed(b'data: {"c"') == []
    assert events.finish() == []
    assert events.broken == ""


def test_an_event_beyond_the_bound_breaks_the_stream():
    before, after = b'data: {"a":1}\n\n', b'data: {"b":1}\n\n'
    large = b"data: " + b"x" * (EVENT_BYTES_MAX + 1) + b"\n\n"
    whole = before + large + after
    for cuts in ([], [20], [2**20], [len(whole) - 5], [2**20, len(whole) - len(after)]):
        events = JsonEvents()
        edges = [0, *cuts, len(whole)]
        found = [events.feed(whole[start:end]) for start, end in pairwise(edges)]
        assert [event for some in found for event in some] == [{"a": 1}]
        assert "16 MiB" in events.broken
        assert events.feed(after) == []


def test_chunks_hold_any_text():
    write = ChunkWriter(id='i"d', model="m", created=1)
    assert b'"content":"a\\"\\n\xc3\xa4"' in write.content('a"\nä')
    assert write.usage({"total_tokens": 1}).endswith(
        b'"choices":[],"usage":{"total_tokens":1}}\n\n'
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.test/b.png", None),
        ("data:image/png;base64,AA==", ("image/png", "AA==")),
        ("DATA:Image/PNG;name=x;BASE64,AA==", ("image/png", "AA==")),
    ],
)
def test_data_uris(url, expected):
    assert data_uri(url, "x") == expected


@pytest.mark.parametrize("url", ["data:image/png,AA", "data:image/png;base64"])
def test_data_uris_that_are_none(url):
    with pytest.raises(Refusal, match=r"^x: "):
        data_uri(url, "x")


def test_ids_of_calls_are_short_and_always_the_same():
    assert call_id("c" * 40) == "c" * 40
    assert len(call_id("c" * 41)) <= 40
    assert call_id("c" * 41) == call_id("c" * 41) != call_id("c" * 42)


def test_small_helpers():
    assert failed_result("Error: x") == "Error: x"
    assert failed_result("x") == "Error: x"
    assert reasoning_text({"reasoning": None, "reasoning_content": "T"}) == "T"
    check_fields({"a": None, "n": 1, "b": 2}, frozenset({"b"}), "It")
    with pytest.raises(Refusal, match=r"^n: It cannot"):
        check_fields({"n": 3}, frozenset(), "It")


def test_half_a_surrogate_pair_stays_an_escape() -> None:
    assert encode({"text": "\ud83d!"}) == b'{"text":"\\ud83d!"}'
    assert encode({"text": "é"}) == '{"text":"é"}'.encode()
