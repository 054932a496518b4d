"""Replies, streams and errors of the Responses API as chat clients read them."""

import openai
import pytest

from appliance.errors import UpstreamFailed
from appliance.providers.dialects.responses import StreamToChat, error_to_chat, reply_to_chat
from tests.providers.dialects import responses_samples as samples
from tests.providers.dialects.official import (
    chat_of,
    chat_stream,
    every_cut,
    openai_client,
    translated,
)
from tests.providers.dialects.samples import sse

HEAD = {"model": "gpt-5", "created": 7, "id": "chatcmpl-1"}
# The SDK that puts streams together knows no custom calls in chunks.
WITHOUT_CUSTOM = [event for event in samples.EVENTS if event.get("output_index") != 3]


def stream() -> StreamToChat:
    return StreamToChat(**HEAD)


def reply(**changes):
    return reply_to_chat({**samples.REPLY, **changes}, **HEAD)


def test_a_reply_with_everything_in_it():
    assert reply() == samples.CHAT
    chat_of(reply())


@pytest.mark.parametrize(
    ("changes", "finish_reason"),
    [
        ({"output": []}, "stop"),
        ({}, "tool_calls"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
        ),
    ],
)
def test_finish_reasons(changes, finish_reason):
    assert reply(**changes)["choices"][0]["finish_reason"] == finish_reason


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]},
            {"content": None, "refusal": "No."},
        ),
        (
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "T"}]},
            {"reasoning": "T", "reasoning_details": [{"thinking": "T", "signature": ""}]},
        ),
        (
            {"type": "image_generation_call", "result": "AAAA"},
            {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        ),
        ({"type": "web_search_call", "id": "ws", "status": "completed"}, {"content": None}),
    ],
)
def test_items(item, expected):
    message = reply(output=[item])["choices"][0]["message"]
    assert {name: message[name] for name in expected} == expected


def test_citations_know_their_place_in_the_whole_text():
    part = {"type": "output_text", "text": "One. ", "annotations": []}
    cited = {**samples.CITED, "start_index": 1, "end_index": 3}
    content = [part, {**part, "text": "Two.", "annotations": [cited]}]
    chat = reply(output=[{"type": "message", "content": content}])
    found = chat["choices"][0]["message"]["annotations"][0]["url_citation"]
    assert (found["start_index"], found["end_index"]) == (6, 8)


def test_logprobs_and_the_tier_are_carried():
    logprobs = [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]
    text = {"type": "output_text", "text": "a", "annotations": [], "logprobs": logprobs}
    chat = reply(output=[{"type": "message", "content": [text]}], service_tier="flex")
    assert chat["choices"][0]["logprobs"] == {"content": logprobs, "refusal": None}
    assert chat["service_tier"] == "flex"
    chat_of(chat)


def test_a_stream_says_what_the_reply_says():
    final = chat_stream(translated(stream(), sse(*WITHOUT_CUSTOM)))
    message = final["choices"][0]["message"]
    for name in ("content", "reasoning", "reasoning_details", "annotations"):
        assert message[name] == samples.CHAT_MESSAGE[name], name
    call = message["tool_calls"][0]
    assert (call["id"], call["function"]["name"]) == ("call_1", "weather")
    assert call["function"]["arguments"] == '{"city":"Berlin"}'
    assert final["choices"][0]["finish_reason"] == "tool_calls"
    assert final["usage"] == samples.CHAT_USAGE


def test_custom_calls_in_a_stream():
    out = translated(stream(), samples.STREAM)
    first = b'{"index":1,"id":"call_2","type":"custom","custom":{"name":"shell","input":""}}'
    assert first in out
    assert b'{"index":1,"custom":{"input":"ls"}}' in out
    assert out.endswith(b"data: [DONE]\n\n")


def test_arguments_that_come_at_once():
    pieces = ("response.function_call_arguments.delta",)
    events = [event for event in WITHOUT_CUSTOM if event["type"] not in pieces]
    message = chat_stream(translated(stream(), sse(*events)))["choices"][0]["message"]
    assert message["tool_calls"][0]["function"]["arguments"] == '{"city":"Berlin"}'


def test_a_refusal_in_a_stream():
    refusal = {"type": "response.refusal.delta", "output_index": 1, "content_index": 0,
               "delta": "No."}  # fmt: skip
    out = translated(stream(), sse(samples.EVENTS[0], refusal, samples.EVENTS[-1]))
    assert chat_stream(out)["choices"][0]["message"]["refusal"] == "No."


def test_a_stream_that_was_cut_short_by_its_limit():
    response = {**samples.REPLY, "incomplete_details": {"reason": "max_output_tokens"}}
    last = {"type": "response.incomplete", "response": response}
    out = translated(stream(), sse(samples.EVENTS[0], last))
    assert chat_stream(out)["choices"][0]["finish_reason"] == "length"


def test_any_cut_of_the_bytes_gives_the_same_chunks():
    whole = translated(stream(), samples.STREAM)
    assert set(every_cut(stream, samples.STREAM, step=3)) == {whole}


@pytest.mark.parametrize("events", range(1, len(samples.EVENTS)))
def test_a_stream_that_was_cut_never_claims_its_end(events):
    source = stream()
    assert b"[DONE]" not in translated(source, sse(*samples.EVENTS[:events]) + b"event: resp")
    assert not source.is_done


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "Slow down"}, 429),
        (
            {"type": "response.failed", "response": {
                "status": "failed", "error": {"code": "server_error", "message": "Slow down"}}},
            500,
        ),
        ({"type": "error", "code": "invalid_prompt", "message": "Slow down"}, 400),
    ],
)  # fmt: skip
def test_an_error_in_the_stream_reaches_the_client(event, status):
    source = stream()
    out = translated(source, sse(*samples.EVENTS[:4], event, *samples.EVENTS[4:]))
    assert (source.error_status, b"[DONE]" in out) == (status, False)
    with pytest.raises(openai.APIError, match="Slow down"):
        list(openai_client(out).chat.completions.create(model="m", messages=[], stream=True))


def test_what_is_no_json_breaks_the_stream_in_words():
    source = stream()
    out = translated(source, sse(*samples.EVENTS[:4]) + b"data: oops\n\n" + samples.STREAM)
    assert b'"code":"malformed_stream"' in out
    assert (source.error_status, b"[DONE]" in out) == (500, False)


def test_errors_keep_their_status():
    body = b'{"error":{"message":"m","type":"invalid_request_error","param":"model","code":"c"}}'
    error = {"message": "m", "type": "invalid_request_error", "param": "model", "code": "c"}
    assert error_to_chat(404, body) == (404, {"error": error})


def test_a_failed_reply_is_no_reply():
    with pytest.raises(UpstreamFailed, match="Oops"):
        reply(status="failed", error={"code": "server_error", "message": "Oops"})


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, [None], [7], {"type": 7}])
def test_odd_values_of_a_provider_break_nothing(odd):
    chat_of(reply(output=odd, usage=odd, incomplete_details=odd))
    for item in samples.REPLY["output"]:
        for name in item:
            chat_of(reply(output=[{**item, name: odd}]))
    for name in ("item", "response", "delta", "output_index", "annotation", "logprobs"):
        for event in samples.EVENTS:
            assert translated(stream(), sse({**event, name: odd}, *samples.EVENTS))
