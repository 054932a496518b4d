"""A client that speaks Anthropic's Messages API: what it reads of chat replies and streams."""

import json

import anthropic
import pytest

from appliance.errors import UpstreamFailed
from appliance.providers.dialects import anthropic as dialect
from tests.providers.dialects import samples
from tests.providers.dialects.official import (
    anthropic_client,
    chat_stream,
    every_cut,
    message_of,
    message_stream,
    translated,
)

CALLS = [
    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}},
    {"index": 0, "function": {"arguments": '{"a":'}},
    {"index": 0, "function": {"arguments": " 1}"}},
    {"index": 1, "id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
]
CHUNKS = samples.chunks(
    ({"role": "assistant", "content": ""}, None),
    ({"reasoning": "Let me "}, None),
    ({"reasoning_content": "see."}, None),
    ({"content": "Größe: "}, None),
    ({"content": "12 € 😀"}, None),
    *[({"tool_calls": [call]}, None) for call in CALLS],
    ({}, "tool_calls"),
    usage={
        "prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70,
        "prompt_tokens_details": {"cached_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
)  # fmt: skip


def reply(**message):
    return reply_with(message)


def reply_with(message, **choice):
    choice = {"index": 0, "finish_reason": "stop", "message": message, **choice}
    return dialect.reply_from_chat({"id": "chatcmpl-1", "model": "m", "choices": [choice]})


def test_a_reply_with_everything_in_it():
    message = dialect.reply_from_chat(samples.CHAT)
    expected = json.loads(json.dumps(samples.MESSAGE))
    del expected["content"][3]  # what ran at the provider stays there
    expected["content"][2]["citations"][0]["encrypted_index"] = ""
    assert message == {**expected, "id": "msg_1"}
    message_of(message)


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": None}, []),
        ({"content": "a"}, [{"type": "text", "text": "a"}]),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
         [{"type": "text", "text": "ab"}]),
        ({"content": None, "refusal": "No."}, [{"type": "text", "text": "No."}]),
        ({"content": "a", "reasoning_content": "T"},
         [{"type": "thinking", "thinking": "T", "signature": ""}, {"type": "text", "text": "a"}]),
        ({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]},
         [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]),
        ({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{cut"}}]},
         [{"type": "tool_use", "id": "c", "name": "f", "input": {"INVALID_JSON": "{cut"}}]),
    ],
)  # fmt: skip
def test_messages(message, content):
    assert reply(**message)["content"] == content
    message_of(reply(**message))


CALL = {"id": "c", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("choice", "message", "reason"),
    [
        ({"finish_reason": "stop"}, {}, "end_turn"),
        ({"finish_reason": "stop"}, {"tool_calls": [CALL]}, "tool_use"),
        ({"finish_reason": "stop"}, {"refusal": "No."}, "refusal"),
        ({"finish_reason": "length"}, {}, "max_tokens"),
        ({"finish_reason": "tool_calls"}, {}, "tool_use"),
        ({"finish_reason": "content_filter"}, {}, "refusal"),
        ({"finish_reason": "stop", "native_finish_reason": "pause_turn"}, {}, "pause_turn"),
        ({"finish_reason": "stop", "native_finish_reason": "STOP"}, {}, "end_turn"),
        (
            {"finish_reason": "length", "native_finish_reason": "model_context_window_exceeded"},
            {},
            "model_context_window_exceeded",
        ),
        ({"finish_reason": "odd"}, {}, "end_turn"),
        ({"finish_reason": None}, {}, "end_turn"),
    ],
)
def test_stop_reasons(choice, message, reason):
    assert reply_with(message, **choice)["stop_reason"] == reason


def test_the_stop_sequence_is_told():
    more = {"native_finish_reason": "stop_sequence", "stop_sequence": "END"}
    found = reply_with({"content": "a"}, **more)
    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, (0, 0, 0, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 4}, (9, 0, 0, 4)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}, (5, 0, 4, 0)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 40}}, (9, 0, 40, 0)),
        (
            {"prompt_tokens": 9,
             "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}},
            (2, 3, 4, 0),
        ),
    ],
)  # fmt: skip
def test_usage(usage, expected):
    found = dialect.reply_from_chat({"choices": [], "usage": usage})["usage"]
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    assert tuple(found[name] for name in (*names, "output_tokens")) == expected


def test_a_stream_put_together():
    final = message_stream(translated(dialect.StreamFromChat(model="claude"), CHUNKS))
    assert final["model"] == "claude"
    assert final["content"] == [
        {"type": "thinking", "thinking": "Let me see.", "signature": ""},
        {"type": "text", "text": "Größe: 12 € 😀"},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
    ]
    assert final["stop_reason"] == "tool_use"
    usage = final["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (10, 40)
    assert (usage["output_tokens"], usage["output_tokens_details"]) == (20, {"thinking_tokens": 5})


def events_of(out: bytes):
    found = []
    for part in out.decode().split("\n\n")[:-1]:
        name, data = part.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def test_the_order_of_events():
    events = events_of(translated(dialect.StreamFromChat(), CHUNKS))
    names = [event["type"] for event in events]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names[-2:] == ["message_delta", "message_stop"]
    assert names.count("ping") == 1
    is_open = -1
    for event in events:
        if event["type"] == "content_block_start":
            assert is_open < 0
            is_open = event["index"]
        elif event["type"] == "content_block_delta":
            assert event["index"] == is_open
        elif event["type"] == "content_block_stop":
            assert event["index"] == is_open
            is_open = -1
    starts = [event["index"] for event in events if event["type"] == "content_block_start"]
    assert starts == [0, 1, 2, 3]


def test_any_cut_of_the_bytes_gives_the_same_events():
    whole = translated(dialect.StreamFromChat(), CHUNKS)
    assert set(every_cut(dialect.StreamFromChat, CHUNKS)) == {whole}


def test_mixed_pieces_of_calls_reach_their_own_call():
    pieces = [CALLS[0], CALLS[3], CALLS[1], CALLS[2]]
    source = samples.chunks(*[({"tool_calls": [piece]}, None) for piece in pieces], usage=None)
    content = message_stream(translated(dialect.StreamFromChat(), source))["content"]
    assert [block["input"] for block in content] == [{"a": 1}, {}]
    back = dialect.StreamToChat(model="m", created=7, id="chatcmpl-1")
    calls = chat_stream(translated(back, translated(dialect.StreamFromChat(), source)))
    calls = calls["choices"][0]["message"]["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"a": 1}, {}]


def test_calls_under_one_number_are_told_apart_by_their_ids():
    pieces = [CALLS[0], CALLS[1], CALLS[2], {**CALLS[3], "index": 0}]
    pieces += [{"id": "call_2", "function": {"arguments": " "}}]
    source = samples.chunks(*[({"tool_calls": [piece]}, None) for piece in pieces], usage=None)
    content = message_stream(translated(dialect.StreamFromChat(), source))["content"]
    assert [(block["id"], block["input"]) for block in content] == [
        ("call_1", {"a": 1}), ("call_2", {}),
    ]  # fmt: skip


def test_calls_without_an_id_get_one():
    nameless = [{"function": {"name": "f", "arguments": "{}"}} for _ in range(2)]
    ids = [block["id"] for block in reply(tool_calls=nameless)["content"]]
    assert len(set(ids)) == 2
    assert all(ids)
    source = samples.chunks(({"tool_calls": [{"index": 0, **nameless[0]}]}, None), usage=None)
    assert message_stream(translated(dialect.StreamFromChat(), source))["content"][0]["id"]


def test_a_chunk_before_the_reply_has_a_name():
    first = b'data: {"id":"","choices":[],"prompt_filter_results":[]}\n\n'
    whole = translated(dialect.StreamFromChat(), CHUNKS)
    assert translated(dialect.StreamFromChat(), first + CHUNKS) == whole


def test_signatures_and_citations_come_late_and_find_their_block():
    source = samples.chunks(
        ({"reasoning": "T"}, None),
        ({"content": "a"}, None),
        ({"tool_calls": [CALLS[3]]}, None),
        (
            {"reasoning_details": [{"data": "d"}, {"thinking": "T", "signature": "s"}],
             "annotations": [samples.ANNOTATION]},
            "stop",
        ),
        usage=None,
    )  # fmt: skip
    content = message_stream(translated(dialect.StreamFromChat(), source))["content"]
    assert content[0] == {"type": "thinking", "thinking": "T", "signature": "s"}
    assert content[1]["citations"][0]["url"] == "https://example.com/a"
    assert content[3] == {"type": "redacted_thinking", "data": "d"}


def test_a_refusal():
    source = samples.chunks(({"refusal": "No."}, None), ({}, "stop"), usage=None)
    final = message_stream(translated(dialect.StreamFromChat(), source))
    assert final["content"] == [{"type": "text", "text": "No."}]
    assert final["stop_reason"] == "refusal"


def test_nothing_said_is_still_a_message():
    final = message_stream(translated(dialect.StreamFromChat(), b"data: [DONE]\n\n"))
    assert final["content"] == []


@pytest.mark.parametrize("chunks", range(1, CHUNKS.count(b"\n\n")))
def test_a_stream_that_was_cut_never_claims_its_end(chunks):
    source = b"\n\n".join(CHUNKS.split(b"\n\n")[:chunks]) + b'\n\ndata: {"cho'
    stream = dialect.StreamFromChat()
    out = translated(stream, source)
    assert b"message_stop" not in out
    assert (b"message_delta" in out) == (b'"tool_calls"}' in source)
    assert not stream.is_done


def test_an_error_in_the_stream_reaches_the_client():
    error = b'data: {"error":{"message":"Slow down","type":"rate_limit_error","code":null}}\n\n'
    stream = dialect.StreamFromChat()
    out = translated(stream, CHUNKS.replace(b"data: [DONE]\n\n", error))
    assert b"message_stop" not in out
    assert stream.error == {
        "type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"},
    }  # fmt: skip
    with pytest.raises(anthropic.APIStatusError, match="Slow down"):
        list(anthropic_client(out).messages.create(
            model="m", max_tokens=1, messages=[], stream=True))  # fmt: skip


def test_what_is_no_json_breaks_the_stream_in_words():
    stream = dialect.StreamFromChat()
    out = translated(stream, CHUNKS[: CHUNKS.index(b"data: [DONE]")] + b"data: {oops\n\n" + CHUNKS)
    assert out.count(b"event: error") == 1
    assert out.endswith(b'"the provider\'s stream holds an event that is not JSON"}}\n\n')


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"error": {"message": "m", "type": "requests"}}, "rate_limit_error"),
        (400, {"error": {"message": "m", "type": "invalid_request_error"}},
         "invalid_request_error"),
        (401, {"error": {"message": "m", "type": "invalid_request_error"}},
         "authentication_error"),
        (500, {"error": {"message": "m", "type": "overloaded_error"}}, "overloaded_error"),
        (404, {"error": {"message": "m"}}, "not_found_error"),
        (503, {"error": {"message": "m"}}, "api_error"),
        (418, {"message": "m"}, "invalid_request_error"),
        (529, {}, "overloaded_error"),
    ],
)  # fmt: skip
def test_errors(status, body, kind):
    found_status, found = dialect.error_from_chat(status, body)
    assert (found_status, found["type"], found["error"]["type"]) == (status, "error", kind)
    client = anthropic_client(json.dumps(found).encode(), status=status, kind="application/json")
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(model="m", max_tokens=1, messages=[])
    assert caught.value.status_code == status


def test_an_error_in_a_200_is_no_reply():
    with pytest.raises(UpstreamFailed, match="Oops"):
        dialect.reply_from_chat({"error": {"message": "Oops"}})


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, [None], [7], {"index": "x"}])
def test_odd_values_of_a_provider_break_nothing(odd):
    message_of(dialect.reply_from_chat({"choices": odd, "usage": odd, "id": odd}))
    message_of(dialect.reply_from_chat({"choices": [{"message": odd, "finish_reason": odd}]}))
    for name in samples.CHAT_MESSAGE:
        message_of(reply(**{**samples.CHAT_MESSAGE, name: odd}))
        source = samples.chunks(({**samples.CHAT_MESSAGE, name: odd}, None), usage=None)
        streamed = message_stream(translated(dialect.StreamFromChat(), source))
        assert streamed["type"] == "message"
