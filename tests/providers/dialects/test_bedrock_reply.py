"""Converse's replies, streams and errors as chat clients read them."""

import copy
import json

import openai
import pytest

from appliance.errors import UpstreamFailed
from appliance.providers.dialects.bedrock import StreamToChat, error_to_chat, reply_to_chat
from tests.providers.dialects import bedrock_samples as samples
from tests.providers.dialects.official import (
    chat_of,
    chat_stream,
    every_cut,
    openai_client,
    translated,
)

HEAD = {"model": "nova", "created": 7, "id": "chatcmpl-1"}


def stream() -> StreamToChat:
    return StreamToChat(**HEAD)


def reply(**changes):
    return reply_to_chat({**copy.deepcopy(samples.REPLY), **changes}, **HEAD)


def said(*blocks):
    return {"message": {"role": "assistant", "content": list(blocks)}}


def test_a_reply_with_everything_in_it():
    assert reply() == samples.CHAT
    chat_of(reply())


def test_no_text_is_null():
    message = reply(output=said())["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": None}


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason", "native"),
    [
        ("end_turn", "stop", None),
        ("stop_sequence", "stop", "stop_sequence"),
        ("max_tokens", "length", None),
        ("model_context_window_exceeded", "length", "model_context_window_exceeded"),
        ("tool_use", "tool_calls", None),
        ("guardrail_intervened", "content_filter", "guardrail_intervened"),
        ("content_filtered", "content_filter", "content_filtered"),
        ("malformed_tool_use", "stop", "malformed_tool_use"),
        (None, "stop", None),
    ],
)
def test_finish_reasons(stop_reason, finish_reason, native):
    found = reply(stopReason=stop_reason, output=said({"text": "a"}))["choices"][0]
    assert (found["finish_reason"], found.get("native_finish_reason")) == (finish_reason, native)
    events = [
        samples.EVENTS[0], samples.delta(0, text="a"), samples.stop(0),
        ("messageStop", {"stopReason": stop_reason}), samples.EVENTS[-1],
    ]  # fmt: skip
    source = b"".join(samples.event(*one) for one in events)
    assert chat_stream(translated(stream(), source))["choices"][0]["finish_reason"] == finish_reason


def test_calls_end_as_calls_whatever_the_word():
    assert reply(stopReason="end_turn")["choices"][0]["finish_reason"] == "tool_calls"


def test_tiers_are_told_where_chat_has_a_word():
    assert reply(serviceTier={"type": "flex"})["service_tier"] == "flex"
    assert "service_tier" not in reply(serviceTier={"type": "reserved"})


def test_a_stream_says_what_the_reply_says():
    final = chat_stream(translated(stream(), samples.STREAM))
    message = final["choices"][0]["message"]
    for one in message["tool_calls"]:
        one["function"].pop("parsed_arguments", None)
        one.pop("index", None)
    for name, value in samples.CHAT_MESSAGE.items():
        assert message.get(name) == value, name
    assert final["choices"][0]["finish_reason"] == "tool_calls"
    assert final["usage"] == samples.CHAT_USAGE
    assert b'"service_tier":"default"' in translated(stream(), samples.STREAM)


def test_any_cut_of_the_bytes_gives_the_same_chunks():
    whole = translated(stream(), samples.STREAM)
    assert set(every_cut(stream, samples.STREAM, step=5)) == {whole}


def test_each_write_is_whole_events_and_the_end_is_told_at_once():
    source = stream()
    out = source.feed(samples.STREAM)
    assert out.endswith(b"\n\ndata: [DONE]\n\n")
    assert source.is_done
    assert source.finish() == b""
    assert all(part.startswith(b"data: ") for part in out.split(b"\n\n")[:-1])


STOPPED = len(samples.EVENTS) - 1


@pytest.mark.parametrize("events", range(STOPPED))
@pytest.mark.parametrize("tail", [b"", samples.STREAM[:20]])
def test_a_stream_that_was_cut_never_claims_its_end(events, tail):
    source = stream()
    cut = b"".join(samples.event(*one) for one in samples.EVENTS[:events])
    out = translated(source, cut + tail)
    assert b"[DONE]" not in out
    assert (source.is_done, source.error) == (False, None)


def test_without_its_usage_a_stream_has_still_said_all():
    source = stream()
    cut = b"".join(samples.event(*one) for one in samples.EVENTS[:STOPPED])
    assert b"[DONE]" not in source.feed(cut)
    assert source.finish() == b"data: [DONE]\n\n"
    assert source.is_done
    # Half a frame more, and it was cut.
    source = stream()
    source.feed(cut + samples.STREAM[:20])
    assert source.finish() == b""


def test_a_call_without_input_has_an_empty_object():
    out = translated(stream(), samples.STREAM)
    pieces = [
        call["function"]["arguments"]
        for line in out.decode().split("\n\n")[:-2]
        for choice in json.loads(line[6:])["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]
    assert pieces == ["", '{"city":', '"Berlin"}', "", "{}"]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("throttlingException", 429),
        ("validationException", 400),
        ("modelStreamErrorException", 424),
        ("internalServerException", 500),
        ("serviceUnavailableException", 503),
        ("unheardOfException", 500),
    ],
)
def test_an_exception_reaches_the_client(name, status):
    source = stream()
    begin = b"".join(samples.event(*one) for one in samples.EVENTS[:8])
    out = translated(source, begin + samples.exception(name, "Too much.") + samples.STREAM)
    assert b"[DONE]" not in out
    assert (source.error_status, source.is_done) == (status, False)
    assert source.error["error"]["code"] == name
    with pytest.raises(openai.APIError, match="Too much"):
        list(openai_client(out).chat.completions.create(model="m", messages=[], stream=True))


def damaged() -> bytes:
    data = bytearray(samples.event(*samples.EVENTS[1]))
    data[-1] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    "junk",
    [
        damaged(),
        b"x" * 64,
        samples.frame({":event-type": "contentBlockDelta"}, b"{half"),
        samples.frame({":event-type": "contentBlockDelta"}, b"[1]"),
    ],
)
def test_a_damaged_frame_breaks_the_stream_in_words(junk):
    source = stream()
    out = source.feed(samples.event(*samples.EVENTS[0]) + junk)
    assert b'"code":"malformed_stream"' in out
    assert source.feed(samples.STREAM) + source.finish() == b""
    assert not source.is_done


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"message": "Malformed input request"},
         ("Malformed input request", "invalid_request_error", None)),
        (400, {"message": "Input is too long for requested model."},
         ("Input is too long for requested model.", "invalid_request_error",
          "context_length_exceeded")),
        (403, {"Message": "x", "message": "The security token is invalid."},
         ("The security token is invalid.", "permission_error", None)),
        (429, {"message": "Too many requests"}, ("Too many requests", "rate_limit_error", None)),
        (500, {}, ("The provider answered 500 and said no more.", "server_error", None)),
    ],
)  # fmt: skip
def test_errors_keep_their_status(status, body, expected):
    message, kind, code = expected
    error = {"message": message, "type": kind, "param": None, "code": code}
    assert error_to_chat(status, json.dumps(body).encode()) == (status, {"error": error})


def test_an_error_in_a_200_is_no_reply():
    with pytest.raises(UpstreamFailed, match="Oops"):
        reply_to_chat({"message": "Oops"}, **HEAD)


ODD = [None, 7, "x", [], {}, [None], [7], {"message": 7}, {"content": [7, {"toolUse": 7}]},
       {"text": 7}, {"usage": []}]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_of_a_provider_break_nothing(odd):
    for name in ("output", "stopReason", "usage", "serviceTier"):
        chat_of(reply(**{name: odd}))
    for name in ("text", "toolUse", "reasoningContent", "citationsContent"):
        chat_of(reply(output=said({name: odd}, odd)))
        for inner in ("text", "input", "signature", "content", "citations", "reasoningText"):
            chat_of(reply(output=said({name: {inner: odd}})))
    for name, value in samples.EVENTS:
        fields = ("delta", "start", "contentBlockIndex", "stopReason", "usage")
        events = [samples.event(name, {**value, field: odd}) for field in fields]
        assert translated(stream(), b"".join(events) + samples.STREAM)
    for field in ("text", "toolUse", "reasoningContent", "citation"):
        begin = samples.event(*samples.delta(0, **{field: odd})) + samples.event(*samples.stop(0))
        assert translated(stream(), begin + samples.STREAM).endswith(b"[DONE]\n\n")
