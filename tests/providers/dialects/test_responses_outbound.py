"""A client that speaks OpenAI's Responses API: what it reads of chat replies and streams."""

import json

import pytest

from appliance.errors import UpstreamFailed
from appliance.providers.dialects import responses as dialect
from tests.providers.dialects import responses_samples
from tests.providers.dialects import samples as anthropic_samples
from tests.providers.dialects.official import (
    every_cut,
    response_events,
    response_of,
    response_stream,
    translated,
)
from tests.providers.dialects.samples import chunks

CALLS = [
    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}},
    {"index": 0, "function": {"arguments": '{"a":'}},
    {"index": 0, "function": {"arguments": " 1}"}},
    {"index": 1, "id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
]
USAGE = {
    "prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 5},
}  # fmt: skip
CHUNKS = chunks(
    ({"role": "assistant", "content": ""}, None),
    ({"reasoning": "Let me "}, None),
    ({"reasoning": "see."}, None),
    ({"content": "Größe: "}, None),
    ({"content": "12 € 😀"}, None),
    *[({"tool_calls": [call]}, None) for call in CALLS],
    (
        {
            "reasoning_details": [{"thinking": "Let me see.", "signature": "s"}],
            "annotations": [anthropic_samples.ANNOTATION],
        },
        "tool_calls",
    ),
    usage=USAGE,
)
EXPECTED_USAGE = {
    "input_tokens": 50, "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
    "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 70,
}  # fmt: skip
REQUEST = {
    "model": "gpt-5", "input": "x", "instructions": "S", "temperature": 0.5,
    "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
    "tool_choice": "required", "metadata": {"a": "b"}, "parallel_tool_calls": False,
    "text": {"format": {"type": "text"}, "verbosity": "low"}, "max_output_tokens": 99,
}  # fmt: skip


def reply(message, finish_reason="stop", **choice):
    choice = {"index": 0, "finish_reason": finish_reason, "message": message, **choice}
    chat = {"id": "chatcmpl-9", "created": 7, "model": "m", "choices": [choice], "usage": USAGE}
    found = dialect.reply_from_chat(chat)
    response_of(found)
    return found


def test_a_reply_with_everything_in_it():
    found = dialect.reply_from_chat(anthropic_samples.CHAT, request=REQUEST)
    response_of(found)
    assert (found["id"], found["object"], found["status"]) == (
        "chatcmpl-1", "response", "completed",
    )  # fmt: skip
    assert (found["created_at"], found["model"]) == (7, "claude-sonnet-4-5")
    cited = anthropic_samples.ANNOTATION["url_citation"]
    assert found["output"] == [
        {"id": "rs_chatcmpl-1_0", "type": "reasoning", "status": "completed",
         "summary": [{"type": "summary_text", "text": "Let me see."}],
         "encrypted_content": "c2ln"},
        {"id": "rs_chatcmpl-1_1", "type": "reasoning", "status": "completed", "summary": [],
         "encrypted_content": "redacted_thinking:cmVk"},
        {"id": "msg_chatcmpl-1", "type": "message", "status": "completed", "role": "assistant",
         "content": [{"type": "output_text", "text": anthropic_samples.TEXT,
                      "annotations": [{"type": "url_citation", **cited}]}]},
        {"id": "fn_chatcmpl-1_0", "type": "function_call", "status": "completed",
         "call_id": "toolu_1", "name": "weather", "arguments": '{"city":"Berlin"}'},
        {"id": "fn_chatcmpl-1_1", "type": "function_call", "status": "completed",
         "call_id": "toolu_2", "name": "now", "arguments": "{}"},
    ]  # fmt: skip
    usage = found["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (142, 42, 184)
    assert usage["input_tokens_details"]["cache_write_tokens"] == 30
    assert usage["server_tool_use"] == {"web_search_requests": 1}
    for name in set(REQUEST) - {"model", "input"}:
        assert found[name] == REQUEST[name], name


@pytest.mark.parametrize(
    ("message", "output"),
    [
        ({"content": None}, []),
        ({"content": None, "refusal": "No."},
         [{"id": "msg_chatcmpl-9", "type": "message", "status": "completed", "role": "assistant",
           "content": [{"type": "refusal", "refusal": "No."}]}]),
        ({"reasoning_content": "T"},
         [{"id": "rs_chatcmpl-9_0", "type": "reasoning", "status": "completed",
           "summary": [{"type": "summary_text", "text": "T"}]}]),
        ({"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "n", "input": "i"}}]},
         [{"id": "fn_chatcmpl-9_0", "type": "custom_tool_call", "call_id": "c", "name": "n",
           "input": "i"}]),
    ],
)  # fmt: skip
def test_messages(message, output):
    assert reply(message)["output"] == output


def test_images_are_parts_of_the_message():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    chat = {"id": "c", "choices": [{"message": {"content": "a", "images": [image]}}]}
    parts = dialect.reply_from_chat(chat)["output"][0]["content"]
    assert parts[1] == {"type": "output_image", "image_url": "data:image/png;base64,AA"}


def test_logprobs():
    logprobs = [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]
    found = reply({"content": "a"}, logprobs={"content": logprobs})
    assert found["output"][0]["content"][0]["logprobs"] == logprobs


@pytest.mark.parametrize(
    ("finish_reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        (None, "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_how_it_ended(finish_reason, status, details):
    found = reply({"content": "a"}, finish_reason)
    assert (found["status"], found["incomplete_details"]) == (status, details)
    assert found["output"][0]["status"] == status
    source = chunks(({"content": "a"}, finish_reason), usage=None)
    last = response_events(translated(dialect.StreamFromChat(), source))[-1]
    assert last.type == f"response.{status}"
    assert last.response.status == status
    assert last.response.output[0].status == status


def test_a_stream_put_together():
    final = response_stream(translated(dialect.StreamFromChat(request=REQUEST), CHUNKS))
    output = final["output"]
    assert [item["type"] for item in output] == [
        "reasoning", "message", "function_call", "function_call",
    ]  # fmt: skip
    assert output[0]["summary"][0]["text"] == "Let me see."
    assert output[0]["encrypted_content"] == "s"
    part = output[1]["content"][0]
    assert part["text"] == "Größe: 12 € 😀"
    assert part["annotations"][0]["url"] == "https://example.com/a"
    assert [(call["call_id"], call["name"]) for call in output[2:]] == [
        ("call_1", "f"), ("call_2", "g"),
    ]  # fmt: skip
    assert [json.loads(call["arguments"]) for call in output[2:]] == [{"a": 1}, {}]
    assert {item.get("status") for item in output} == {"completed"}
    assert final["usage"] == EXPECTED_USAGE
    assert (final["status"], final["id"], final["created_at"]) == ("completed", "chatcmpl-9", 7)
    assert (final["instructions"], final["tool_choice"]) == ("S", "required")


def test_the_order_of_events():
    events = response_events(translated(dialect.StreamFromChat(), CHUNKS))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    names = [event.type.removeprefix("response.") for event in events]
    assert names == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added",
        "reasoning_summary_text.delta", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "output_item.added", "function_call_arguments.delta",
        "output_text.annotation.added",
        "function_call_arguments.done", "output_item.done",
        "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [event.output_index for event in events if event.type.endswith("item.added")] == [
        0, 1, 2, 3,
    ]  # fmt: skip
    done = next(event for event in events if event.type == "response.output_text.done")
    assert done.text == "Größe: 12 € 😀"


def test_any_cut_of_the_bytes_gives_the_same_events():
    whole = translated(dialect.StreamFromChat(), CHUNKS)
    assert set(every_cut(dialect.StreamFromChat, CHUNKS, step=2)) == {whole}


def test_mixed_pieces_of_calls_reach_their_own_call():
    pieces = [CALLS[0], CALLS[3], CALLS[1], CALLS[2]]
    source = chunks(*[({"tool_calls": [piece]}, None) for piece in pieces], usage=USAGE)
    output = response_stream(translated(dialect.StreamFromChat(), source))["output"]
    assert [json.loads(call["arguments"]) for call in output] == [{"a": 1}, {}]


def test_calls_under_one_number_are_told_apart_by_their_ids():
    pieces = [CALLS[0], CALLS[1], CALLS[2], {**CALLS[3], "index": 0}]
    source = chunks(*[({"tool_calls": [piece]}, None) for piece in pieces], usage=USAGE)
    output = response_stream(translated(dialect.StreamFromChat(), source))["output"]
    assert [(call["call_id"], call["arguments"]) for call in output] == [
        ("call_1", '{"a": 1}'), ("call_2", "{}"),
    ]  # fmt: skip


def test_calls_without_an_id_get_one():
    nameless = [{"function": {"name": "f", "arguments": "{}"}} for _ in range(2)]
    ids = [item["call_id"] for item in reply({"tool_calls": nameless})["output"]]
    assert len(set(ids)) == 2
    assert all(ids)


def test_a_chunk_before_the_reply_has_a_name():
    first = b'data: {"id":"","choices":[],"prompt_filter_results":[]}\n\n'
    whole = translated(dialect.StreamFromChat(), CHUNKS)
    assert translated(dialect.StreamFromChat(), first + CHUNKS) == whole


def test_everything_a_stream_can_say_in_any_order():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    custom = {"index": 1, "id": "c", "type": "custom", "custom": {"name": "sh", "input": "l"}}
    source = chunks(
        ({"tool_calls": [CALLS[0]]}, None),
        ({"content": "a"}, None),
        ({"refusal": "No."}, None),
        ({"reasoning": "T"}, None),
        ({"content": "b"}, None),
        ({"tool_calls": [custom]}, None),
        ({"tool_calls": [{"index": 1, "custom": {"input": "s"}}]}, None),
        ({"images": [image]}, None),
        ({"reasoning_details": [{"data": "d"}, {"thinking": "T", "signature": "s"}]}, "stop"),
        usage=USAGE,
    )
    out = translated(dialect.StreamFromChat(), source)
    output = json.loads(out.split(b"data: ")[-1])["response"]["output"]
    said = [(item["type"], item["id"]) for item in output]
    assert said == [
        ("function_call", "fn_chatcmpl-9_0"),
        ("message", "msg_chatcmpl-9"),
        ("reasoning", "rs_chatcmpl-9_0"),
        ("message", "msg_chatcmpl-9_1"),
        ("custom_tool_call", "fn_chatcmpl-9_1"),
        ("message", "msg_chatcmpl-9_2"),
        ("reasoning", "rs_chatcmpl-9_1"),
    ]
    assert [part["type"] for part in output[1]["content"]] == ["output_text", "refusal"]
    assert output[2]["encrypted_content"] == "s"
    assert output[4]["input"] == "ls"
    assert output[5]["content"][0]["type"] == "output_image"
    assert output[6]["encrypted_content"] == "redacted_thinking:d"


@pytest.mark.parametrize("kept", range(1, CHUNKS.count(b"\n\n")))
def test_a_stream_that_was_cut_never_claims_its_end(kept):
    source = b"\n\n".join(CHUNKS.split(b"\n\n")[:kept]) + b'\n\ndata: {"cho'
    stream = dialect.StreamFromChat()
    out = translated(stream, source)
    assert b"response.completed" not in out
    assert not stream.is_done


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "m", "type": "rate_limit_error", "code": None}, "rate_limit_exceeded"),
        ({"message": "m", "type": "x", "code": "rate_limit_exceeded"}, "rate_limit_exceeded"),
        ({"message": "m", "type": "api_error"}, "server_error"),
    ],
)
def test_an_error_in_the_stream_reaches_the_client(error, code):
    event = f"data: {json.dumps({'error': error})}\n\n".encode()
    stream = dialect.StreamFromChat()
    out = translated(stream, CHUNKS.replace(b"data: [DONE]\n\n", event))
    last = response_events(out)[-1]
    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert (last.response.error.code, last.response.error.message) == (code, "m")
    assert stream.error == {"code": code, "message": "m"}


def test_what_is_no_json_breaks_the_stream_in_words():
    stream = dialect.StreamFromChat()
    out = translated(stream, CHUNKS[: CHUNKS.index(b"data: [DONE]")] + b"data: {oops\n\n" + CHUNKS)
    last = response_events(out)[-1]
    assert last.response.error.message == "the provider's stream holds an event that is not JSON"


def test_nothing_said_is_still_a_response():
    assert (
        response_stream(translated(dialect.StreamFromChat(), b"data: [DONE]\n\n"))["output"] == []
    )


def test_errors_look_as_in_chat():
    body = {"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}
    assert dialect.error_from_chat(404, body) == (404, body)


def test_an_error_in_a_200_is_no_reply():
    with pytest.raises(UpstreamFailed, match="Oops"):
        dialect.reply_from_chat({"error": {"message": "Oops"}})


def test_responses_to_chat_to_responses_says_the_same():
    chat = dialect.reply_to_chat(responses_samples.REPLY, model="gpt-5", created=7, id="1")
    found = dialect.reply_from_chat(chat)
    assert [item["type"] for item in found["output"]] == [
        item["type"] for item in responses_samples.REPLY["output"]
    ]
    assert found["usage"] == responses_samples.USAGE
    stream = dialect.StreamToChat(model="gpt-5", created=7, id="1")
    out = translated(dialect.StreamFromChat(), translated(stream, responses_samples.STREAM))
    streamed = json.loads(out.split(b"data: ")[-1])["response"]
    for item in streamed["output"]:
        if item["type"] == "reasoning":
            item["summary"] = found["output"][0]["summary"]
    assert streamed["output"] == found["output"]


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, [None], [7], {"index": "x"}])
def test_odd_values_of_a_provider_break_nothing(odd):
    response_of(dialect.reply_from_chat({"choices": odd, "usage": odd, "id": odd}))
    for name in anthropic_samples.CHAT_MESSAGE:
        message = {**anthropic_samples.CHAT_MESSAGE, name: odd}
        reply(message)
        source = chunks((message, None), usage=None)
        assert translated(dialect.StreamFromChat(), source)
