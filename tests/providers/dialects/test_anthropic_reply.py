"""Anthropic's replies, streams and errors as chat clients read them (`proxy.md 11.2`)."""

import json

import openai
import pytest

from appliance.errors import UpstreamFailed
from appliance.providers.dialects.anthropic import StreamToChat, error_to_chat, reply_to_chat
from tests.providers.dialects import samples
from tests.providers.dialects.official import (
    chat_of,
    chat_stream,
    every_cut,
    openai_client,
    translated,
)

HEAD = {"model": "claude-sonnet-4-5", "created": 7, "id": "chatcmpl-1"}


def stream() -> StreamToChat:
    return StreamToChat(**HEAD)


def reply(**changes):
    return reply_to_chat({**samples.MESSAGE, **changes}, **HEAD)


def test_a_reply_with_everything_in_it():
    assert reply() == samples.CHAT
    chat_of(reply())


def test_text_blocks_are_one_text_and_citations_know_their_place():
    document = {"type": "page_location", "cited_text": "c", "document_title": "D"}
    content = [
        {"type": "text", "text": "One. "},
        {"type": "text", "text": "Two.", "citations": [document]},
    ]
    message = reply(content=content)["choices"][0]["message"]
    assert message["content"] == "One. Two."
    cited = {"url": "", "title": "D", "content": "c", "start_index": 5, "end_index": 9}
    assert message["annotations"] == [{"type": "url_citation", "url_citation": cited}]


def test_no_text_is_null():
    assert reply(content=[])["choices"][0]["message"]["content"] is None


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason", "native"),
    [
        ("end_turn", "stop", None),
        ("max_tokens", "length", None),
        ("tool_use", "tool_calls", None),
        ("refusal", "content_filter", None),
        ("stop_sequence", "stop", "stop_sequence"),
        ("pause_turn", "stop", "pause_turn"),
        ("model_context_window_exceeded", "length", "model_context_window_exceeded"),
        ("something_new", "stop", None),
        (None, "stop", None),
    ],
)
def test_finish_reasons(stop_reason, finish_reason, native):
    choice = reply(stop_reason=stop_reason)["choices"][0]
    assert (choice["finish_reason"], choice.get("native_finish_reason")) == (finish_reason, native)
    source = samples.MESSAGE_STREAM.replace(
        b'"stop_reason": "tool_use"', b'"stop_reason": %s' % json.dumps(stop_reason or "x").encode()
    )
    choice = chat_stream(translated(stream(), source))["choices"][0]
    assert choice["finish_reason"] == finish_reason


def test_a_refusal_says_why_where_anthropic_does():
    details = {"type": "refusal", "category": "bio", "explanation": "Not this."}
    chat = reply(stop_reason="refusal", stop_details=details)
    assert chat["choices"][0]["message"]["refusal"] == "Not this."


def test_usage_without_a_cache_has_no_details():
    usage = reply(usage={"input_tokens": 3, "output_tokens": 4})["usage"]
    assert usage == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_the_tier_is_told():
    assert reply(usage={"service_tier": "standard"})["service_tier"] == "default"
    assert "service_tier" not in reply(usage={"service_tier": "batch"})


def test_a_stream_says_what_the_reply_says():
    final = chat_stream(translated(stream(), samples.MESSAGE_STREAM))
    message = final["choices"][0]["message"]
    expected = {**samples.CHAT_MESSAGE, "refusal": None}
    for call in message["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    arguments = [json.loads(call["function"].pop("arguments")) for call in message["tool_calls"]]
    assert arguments == [{"city": "Berlin"}, {}]
    for name in ("content", "reasoning", "reasoning_details", "annotations", "role"):
        assert message[name] == expected[name], name
    assert [call["id"] for call in message["tool_calls"]] == ["toolu_1", "toolu_2"]
    assert final["choices"][0]["finish_reason"] == "tool_calls"
    assert final["usage"] == samples.CHAT_USAGE
    assert final["system_fingerprint"] == ""


def test_later_counts_overlay_the_first_ones_but_a_zero_undoes_nothing():
    last = {**samples.MESSAGE_EVENTS[-2], "usage": {
        "input_tokens": 0, "cache_read_input_tokens": None, "output_tokens": 42}}  # fmt: skip
    events = [*samples.MESSAGE_EVENTS[:-2], last, samples.MESSAGE_EVENTS[-1]]
    usage = chat_stream(translated(stream(), samples.sse(*events)))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (142, 42)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 100


def test_each_write_is_whole_events_and_the_end_is_told_at_once():
    source = stream()
    out = source.feed(samples.MESSAGE_STREAM)
    assert out.endswith(b"\n\ndata: [DONE]\n\n")
    assert source.is_done
    assert source.finish() == b""
    assert all(part.startswith(b"data: ") for part in out.split(b"\n\n")[:-1])


def test_any_cut_of_the_bytes_gives_the_same_chunks():
    whole = translated(stream(), samples.MESSAGE_STREAM)
    assert set(every_cut(stream, samples.MESSAGE_STREAM)) == {whole}


@pytest.mark.parametrize("events", range(1, len(samples.MESSAGE_EVENTS)))
def test_a_stream_that_was_cut_never_claims_its_end(events):
    source = stream()
    out = translated(source, samples.sse(*samples.MESSAGE_EVENTS[:events]) + b"event: message_st")
    assert b"[DONE]" not in out
    assert not source.is_done
    assert source.error is None


def test_the_last_event_needs_no_blank_line():
    assert translated(stream(), samples.MESSAGE_STREAM[:-2]).endswith(b"data: [DONE]\n\n")


def test_an_error_in_the_stream_reaches_the_client():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    source = stream()
    events = [*samples.MESSAGE_EVENTS[:5], error, *samples.MESSAGE_EVENTS[5:]]
    out = translated(source, samples.sse(*events))
    assert b"[DONE]" not in out
    assert (source.error_status, source.is_done) == (529, False)
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(openai_client(out).chat.completions.create(model="m", messages=[], stream=True))


@pytest.mark.parametrize("junk", [b"data: {half\n\n", b"data: [1]\n\n", b'event: x\ndata: "a"\n\n'])
def test_what_is_no_json_breaks_the_stream_in_words(junk):
    source = stream()
    out = source.feed(samples.sse(*samples.MESSAGE_EVENTS[:4]) + junk)
    assert b'"code":"malformed_stream"' in out
    assert source.feed(samples.sse(*samples.MESSAGE_EVENTS[4:])) + source.finish() == b""


def test_a_block_that_begins_with_all_its_content():
    events = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1,
         "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
        {"type": "message_stop"},
    ]  # fmt: skip
    message = chat_stream(translated(stream(), samples.sse(*events)))["choices"][0]["message"]
    assert message["content"] == "a"
    assert message["tool_calls"][0]["function"]["arguments"] == '{"a":1}'


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            529,
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            {"message": "Overloaded", "type": "overloaded_error", "param": None, "code": None},
        ),
        (
            400,
            b'{"type":"error","error":{"type":"invalid_request_error",'
            b'"message":"prompt is too long: 201000 tokens > 200000 maximum"}}',
            {
                "message": "prompt is too long: 201000 tokens > 200000 maximum",
                "type": "invalid_request_error", "param": None, "code": "context_length_exceeded",
            },
        ),
        (
            400,
            b'{"error":{"type":"invalid_request_error",'
            b'"message":"Output blocked by content filtering policy"}}',
            {
                "message": "Output blocked by content filtering policy",
                "type": "invalid_request_error", "param": None, "code": "content_filter",
            },
        ),
        (
            502,
            b"<html>bad gateway</html>",
            {
                "message": "<html>bad gateway</html>", "type": "server_error", "param": None,
                "code": None,
            },
        ),
        (
            429,
            b"",
            {
                "message": "The provider answered 429 and said no more.",
                "type": "rate_limit_error", "param": None, "code": None,
            },
        ),
    ],
)  # fmt: skip
def test_errors_keep_their_status(status, body, expected):
    assert error_to_chat(status, body) == (status, {"error": expected})


def test_an_error_in_a_200_is_no_reply():
    body = {"type": "error", "error": {"type": "api_error", "message": "Oops"}}
    with pytest.raises(UpstreamFailed, match="Oops"):
        reply_to_chat(body, **HEAD)


ODD = [None, 7, "x", [], {}, [None], [7], {"type": 7}, {"type": "text", "text": 7}]


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_of_a_provider_break_nothing(odd):
    chat_of(reply_to_chat({"content": odd, "usage": odd, "stop_reason": odd}, **HEAD))
    chat_of(reply_to_chat({"content": [odd], "stop_details": odd}, **HEAD))
    for name in ("message", "content_block", "delta", "usage", "error", "index"):
        for event in samples.MESSAGE_EVENTS:
            events = [samples.MESSAGE_EVENTS[7], {**event, name: odd}, *samples.MESSAGE_EVENTS[6:]]
            assert translated(stream(), samples.sse(*events))
