"""Gemini's replies, streams and errors as chat clients read them (`proxy.md 11.4`)."""

import copy
import json

import openai
import pytest

from appliance.errors import UpstreamFailed
from appliance.providers.dialects.gemini import StreamToChat, error_to_chat, reply_to_chat
from tests.providers.dialects import gemini_samples as samples
from tests.providers.dialects.official import (
    chat_of,
    chat_stream,
    every_cut,
    openai_client,
    translated,
)

HEAD = {"model": "gemini-3", "created": 7, "id": "chatcmpl-1"}


def stream() -> StreamToChat:
    return StreamToChat(**HEAD)


def reply(**candidate):
    changed = copy.deepcopy(samples.REPLY)
    changed["candidates"][0].update(candidate)
    return reply_to_chat(changed, **HEAD)


def choice(**candidate):
    return reply(**candidate)["choices"][0]


def said(*parts):
    return {"content": {"role": "model", "parts": list(parts)}}


def test_a_reply_with_everything_in_it():
    assert reply() == samples.CHAT
    chat_of(reply())


def test_ids_of_calls_are_the_same_whenever_they_are_read():
    """By the provider's id of the reply, or ours where it has none."""
    ids = [[call["id"] for call in reply_to_chat(samples.REPLY, model="m", created=9, id=id)
            ["choices"][0]["message"]["tool_calls"]] for id in ("one", "two")]  # fmt: skip
    assert ids[0] == ids[1] == [samples.CALL_ID, "fc-2"]
    nameless = {**samples.REPLY, "responseId": None}
    found = {reply_to_chat(nameless, model="m", created=9, id=id)["choices"][0]["message"]
             ["tool_calls"][0]["id"] for id in ("one", "two")}  # fmt: skip
    assert len(found) == 2


def test_no_text_is_null():
    assert choice(**said())["message"]["content"] is None


@pytest.mark.parametrize(
    ("finish_reason", "expected", "native"),
    [
        ("STOP", "stop", None),
        ("MAX_TOKENS", "length", None),
        ("SAFETY", "content_filter", "SAFETY"),
        ("RECITATION", "content_filter", "RECITATION"),
        ("BLOCKLIST", "content_filter", "BLOCKLIST"),
        ("PROHIBITED_CONTENT", "content_filter", "PROHIBITED_CONTENT"),
        ("SPII", "content_filter", "SPII"),
        ("IMAGE_SAFETY", "content_filter", "IMAGE_SAFETY"),
        ("MALFORMED_FUNCTION_CALL", "stop", "MALFORMED_FUNCTION_CALL"),
        ("OTHER", "stop", "OTHER"),
        ("SOMETHING_NEW", "stop", "SOMETHING_NEW"),
        (None, "stop", None),
        ("FINISH_REASON_UNSPECIFIED", "stop", None),
    ],
)
def test_finish_reasons(finish_reason, expected, native):
    found = choice(**said({"text": "a"}), finishReason=finish_reason)
    assert (found["finish_reason"], found.get("native_finish_reason")) == (expected, native)
    if found["finish_reason"] and finish_reason not in (None, "FINISH_REASON_UNSPECIFIED"):
        source = samples.sse(samples.event({"text": "a"}, finishReason=finish_reason))
        assert chat_stream(translated(stream(), source))["choices"][0]["finish_reason"] == expected


@pytest.mark.parametrize(
    ("finish_reason", "expected"),
    [("STOP", "tool_calls"), ("OTHER", "tool_calls"), ("FUNCTION_CALL", "tool_calls"),
     ("MAX_TOKENS", "length"), ("SAFETY", "content_filter")],
)  # fmt: skip
def test_calls_end_as_calls_unless_something_else_ended_them(finish_reason, expected):
    call = {"functionCall": {"name": "f", "args": {}}}
    assert choice(**said(call), finishReason=finish_reason)["finish_reason"] == expected


def test_a_filter_says_why_where_google_does():
    found = choice(finishReason="SAFETY", finishMessage="Not this.")
    assert found["message"]["refusal"] == "Not this."
    assert choice(finishReason="STOP", finishMessage="Fine.")["message"]["refusal"] is None


def test_a_prompt_that_was_blocked():
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "Never."},
        "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
    }
    chat = reply_to_chat(blocked, **HEAD)
    (found,) = chat["choices"]
    assert (found["finish_reason"], found["message"]["refusal"]) == ("content_filter", "Never.")
    assert found["native_finish_reason"] == "PROHIBITED_CONTENT"
    assert chat["usage"]["prompt_tokens"] == 4
    chat_of(chat)
    final = chat_stream(translated(stream(), samples.sse(blocked)))
    assert final["choices"][0]["finish_reason"] == "content_filter"
    assert final["choices"][0]["message"]["refusal"] == "Never."


def test_no_candidates_are_one_empty_choice():
    (found,) = reply_to_chat({"usageMetadata": {}}, **HEAD)["choices"]
    assert (found["message"]["content"], found["finish_reason"]) == (None, "stop")


@pytest.mark.parametrize(
    ("parts", "details"),
    [
        (({"text": "T", "thought": True}, {"text": "a"}), [("T", "")]),
        (({"text": "T", "thought": True}, {"text": "a", "thoughtSignature": "s"}), [("T", "s")]),
        (({"text": "a", "thoughtSignature": "s"},), [("", "s")]),
        (({"text": "T", "thought": True, "thoughtSignature": "s"},
          {"text": "U", "thought": True}, {"text": "a"}), [("T", "s"), ("U", "")]),
        (({"text": "a"},), None),
    ],
)  # fmt: skip
def test_thoughts_and_their_signatures(parts, details):
    message = choice(**said(*parts))["message"]
    found = message.get("reasoning_details")
    expected = details and [{"thinking": text, "signature": sign} for text, sign in details]
    assert found == expected
    thoughts = "".join(part["text"] for part in parts if part.get("thought"))
    assert message.get("reasoning", "") == thoughts


def test_usage_without_details():
    usage = reply_to_chat(
        {**samples.REPLY, "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4}},
        **HEAD,
    )["usage"]
    assert usage == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


LOGPROBS = {
    "chosenCandidates": [{"token": "é", "tokenId": 5, "logProbability": -0.5}],
    "topCandidates": [{"candidates": [{"token": "e", "logProbability": -1.5}]}],
}
LIKELY = {
    "content": [{
        "token": "é", "logprob": -0.5, "bytes": [195, 169],
        "top_logprobs": [{"token": "e", "logprob": -1.5, "bytes": [101]}],
    }],
    "refusal": None,
}  # fmt: skip


def test_likelihoods():
    found = choice(**said({"text": "é"}), logprobsResult=LOGPROBS)
    assert found["logprobs"] == LIKELY
    source = samples.sse(samples.event({"text": "é"}, finishReason="STOP", logprobsResult=LOGPROBS))
    final = chat_stream(translated(stream(), source))
    assert final["choices"][0]["logprobs"]["content"] == LIKELY["content"]


def test_a_stream_says_what_the_reply_says():
    final = chat_stream(translated(stream(), samples.STREAM))
    message = final["choices"][0]["message"]
    expected = samples.CHAT_MESSAGE
    for call in message["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    for listed in (message["tool_calls"], message["images"]):
        for one in listed:
            one.pop("index", None)
    for name in expected:
        assert message.get(name) == expected[name], name
    assert final["choices"][0]["finish_reason"] == "tool_calls"
    assert final["usage"] == samples.CHAT_USAGE


def chunks(out: bytes):
    assert out.endswith(b"data: [DONE]\n\n")
    return [json.loads(line[6:]) for line in out.split(b"\n\n")[:-2]]


def test_the_order_of_the_chunks():
    first, *middle, last, usage = chunks(translated(stream(), samples.STREAM))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [next(iter(chunk["choices"][0]["delta"])) for chunk in middle] == [
        "reasoning", "reasoning", "content", "content", "tool_calls", "tool_calls", "images",
    ]  # fmt: skip
    assert {chunk["choices"][0]["finish_reason"] for chunk in (first, *middle)} == {None}
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    assert (usage["choices"], usage["usage"]) == ([], samples.CHAT_USAGE)


@pytest.mark.parametrize("numbered", [True, False])
def test_many_candidates_are_many_choices(numbered):
    one, two = ({"content": {"parts": [{"text": text}]}, "finishReason": "STOP",
                 **({"index": index} if numbered else {})}
                for index, text in enumerate("ab"))  # fmt: skip
    source = {"candidates": [one, two], "usageMetadata": samples.USAGE}
    found = reply_to_chat(source, **HEAD)["choices"]
    assert [(one["index"], one["message"]["content"]) for one in found] == [(0, "a"), (1, "b")]
    alone = {"candidates": [{**two, "index": 1}]}
    final = chat_stream(translated(stream(), samples.sse(alone, source)))
    assert [(one["index"], one["message"]["content"], one["finish_reason"])
            for one in final["choices"]] == [(0, "a", "stop"), (1, "bb", "stop")]  # fmt: skip


def test_each_write_is_whole_events_and_the_end_is_the_end_of_the_bytes():
    source = stream()
    out = source.feed(samples.STREAM)
    assert out.endswith(b"\n\n")
    assert b"[DONE]" not in out
    assert not source.is_done
    out = source.finish()
    assert out.endswith(b"data: [DONE]\n\n")
    assert source.is_done
    assert source.finish() == b""
    assert all(part.startswith(b"data: ") for part in out.split(b"\n\n")[:-1])


def test_a_reason_in_each_event_is_told_once():
    """Some models say STOP all the way."""
    events = [samples.event({"text": text}, finishReason="STOP") for text in "ab"]
    found = chunks(translated(stream(), samples.sse(*events)))
    assert [chunk["choices"][0]["finish_reason"] for chunk in found if chunk["choices"]] == [
        None, None, None, "stop",
    ]  # fmt: skip


def test_any_cut_of_the_bytes_gives_the_same_chunks():
    whole = translated(stream(), samples.STREAM)
    assert set(every_cut(stream, samples.STREAM, step=3)) == {whole}


@pytest.mark.parametrize("events", range(len(samples.EVENTS)))
@pytest.mark.parametrize("tail", [b"", b'data: {"candidates": [{"con'])
def test_a_stream_that_was_cut_never_claims_its_end(events, tail):
    source = stream()
    out = translated(source, samples.sse(*samples.EVENTS[:events]) + tail)
    assert b"[DONE]" not in out
    assert b'"finish_reason":"' not in out
    assert (source.is_done, source.error) == (False, None)


def test_one_of_two_candidates_without_an_end_is_a_cut():
    done = {"content": {"parts": [{"text": "a"}]}, "index": 0, "finishReason": "STOP"}
    open_one = {"content": {"parts": [{"text": "b"}]}, "index": 1}
    assert b"[DONE]" not in translated(stream(), samples.sse({"candidates": [done, open_one]}))


def test_the_last_event_needs_no_blank_line():
    assert translated(stream(), samples.STREAM[:-4]).endswith(b"data: [DONE]\n\n")


def test_an_error_in_the_stream_reaches_the_client():
    error = {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}
    source = stream()
    out = translated(source, samples.sse(*samples.EVENTS[:4], error, *samples.EVENTS[4:]))
    assert b"[DONE]" not in out
    assert (source.error_status, source.is_done) == (503, False)
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(openai_client(out).chat.completions.create(model="m", messages=[], stream=True))


@pytest.mark.parametrize("junk", [b"data: {half\n\n", b"data: [1]\n\n", b'data: "a"\n\n'])
def test_what_is_no_json_breaks_the_stream_in_words(junk):
    source = stream()
    out = source.feed(samples.sse(*samples.EVENTS[:4]) + junk)
    assert b'"code":"malformed_stream"' in out
    assert source.feed(samples.sse(*samples.EVENTS[4:])) + source.finish() == b""
    assert not source.is_done


def google(code, message, status, **more):
    return {"error": {"code": code, "message": message, "status": status, **more}}


TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            429, google(429, "Quota exceeded.", "RESOURCE_EXHAUSTED"),
            ("Quota exceeded.", "rate_limit_error", None, "RESOURCE_EXHAUSTED"),
        ),
        (
            403, [google(403, "No permission.", "PERMISSION_DENIED")],
            ("No permission.", "permission_error", None, "PERMISSION_DENIED"),
        ),
        (
            400, google(400, TOO_LONG, "INVALID_ARGUMENT"),
            (TOO_LONG, "invalid_request_error", None, "context_length_exceeded"),
        ),
        (
            400, google(400, "API key not valid.", "INVALID_ARGUMENT",
                        details=[{"reason": "API_KEY_INVALID"}]),
            ("API key not valid.", "invalid_request_error", None, "invalid_api_key"),
        ),
        (
            400, google(400, "Bad field.", "INVALID_ARGUMENT",
                        details=[{"fieldViolations": [{"field": "contents[0].parts"}]}]),
            ("Bad field.", "invalid_request_error", "contents[0].parts", "INVALID_ARGUMENT"),
        ),
        (
            503, google(503, "The model is overloaded.", "UNAVAILABLE"),
            ("The model is overloaded.", "server_error", None, "UNAVAILABLE"),
        ),
        (502, "<html>", ("<html>", "server_error", None, None)),
        (500, google(500, 7, 7, details=7),
         ("The provider answered 500 and said no more.", "server_error", None, None)),
    ],
)  # fmt: skip
def test_errors_keep_their_status(status, body, expected):
    raw = body if isinstance(body, str) else json.dumps(body)
    error = dict(zip(("message", "type", "param", "code"), expected, strict=True))
    assert error_to_chat(status, raw.encode()) == (status, {"error": error})


def test_an_error_in_a_200_is_no_reply():
    with pytest.raises(UpstreamFailed, match="Oops"):
        reply_to_chat(google(500, "Oops", "INTERNAL"), **HEAD)


ODD = [None, 7, "x", [], {}, [None], [7], [{}], {"parts": 7}, {"parts": [7, {"text": 7}]}]
NAMES = ("candidates", "content", "finishReason", "groundingMetadata", "index", "promptFeedback",
         "usageMetadata", "responseId", "logprobsResult", "error", "finishMessage")  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_of_a_provider_break_nothing(odd):
    for name in NAMES:
        for base in (samples.REPLY, {}):
            whole = {**base, name: odd}
            candidate = {**samples.REPLY["candidates"][0], name: odd}
            if name != "error":
                chat_of(reply_to_chat(whole, **HEAD))
            chat_of(reply_to_chat({**samples.REPLY, "candidates": [candidate]}, **HEAD))
            translated(stream(), samples.sse(whole, {"candidates": [candidate]}))
    for name in ("groundingChunks", "groundingSupports"):
        reply(groundingMetadata={**samples.GROUNDING, name: odd})
    for name in ("text", "functionCall", "inlineData", "thought", "thoughtSignature"):
        chat_of(reply(**said({"text": "a", name: odd})))
    reply(logprobsResult={"chosenCandidates": odd, "topCandidates": odd})
