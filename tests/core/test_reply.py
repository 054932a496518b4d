"""Bodies and streams as documents, whole, cut at every byte, sloppy and hostile."""

import json

import pytest

from appliance.core.reply import is_error_document, is_error_reply, read_reply
from appliance.core.usage import read_usage
from appliance.core.usage_types import Usage
from tests.core.test_eventstream import STREAM as BEDROCK_FRAMES
from tests.core.test_eventstream import chunk as bedrock_chunk
from tests.core.usage_shapes import ANTHROPIC_DELTA, ANTHROPIC_START, STREAMED

SSE = "text/event-stream; charset=utf-8"


def sse(*events, name=False, end="\n"):
    lines = []
    for event in events:
        if name:
            lines.append(f"event: {event['type']}{end}")
        lines.append(f"data: {json.dumps(event)}{end}{end}")
    return "".join(lines).encode()


CHAT_EVENTS = [
    {"model": "gpt-4o", "choices": [{"delta": {"content": 'He said "data: [DONE]"\n\n€'}}]},
    {"model": "gpt-4o", "choices": [{"delta": {}, "finish_reason": "stop"}]},
    {"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}},
]
CHAT = sse(*CHAT_EVENTS) + b"data: [DONE]\n\n"
RESPONSE = {"model": "gpt-5", "usage": {"input_tokens": 7, "output_tokens": 5}}
STREAMS = [
    ("openai", CHAT, Usage(7, 5)),
    ("groq", sse({"x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 5}}}), Usage(7, 5)),
    (
        "openai",
        sse(
            {"type": "response.created", "response": {"error": None}},
            {"type": "response.completed", "response": RESPONSE},
            name=True,
        ),
        Usage(7, 5),
    ),
    (
        "anthropic",
        sse(
            ANTHROPIC_START, {"type": "ping"}, ANTHROPIC_DELTA, {"type": "message_stop"}, name=True
        ),
        STREAMED,
    ),
    (
        "google-ai-studio",
        sse({"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5}}, end="\r\n"),
        Usage(7, 5),
    ),
]


@pytest.mark.parametrize(("provider", "stream", "usage"), STREAMS)
def test_a_stream_cut_at_any_byte_is_read_up_to_there(provider, stream, usage):
    whole = read_reply(stream, SSE, whole=True)
    assert not whole.malformed
    assert read_usage(provider, "openai", whole.documents).usage == usage
    for cut in range(len(stream)):
        reply = read_reply(stream[:cut], SSE, whole=False)
        assert list(reply.documents) == list(whole.documents)[: len(reply.documents)]
        reading = read_usage(provider, "openai", reply.documents)
        assert reading is None or not reading.complete or reading.usage == usage


def test_bedrock_frames_cut_at_any_byte():
    stream = bedrock_chunk(ANTHROPIC_START) + bedrock_chunk(ANTHROPIC_DELTA)
    kind = "application/vnd.amazon.eventstream"
    reply = read_reply(stream, kind, whole=True)
    assert read_usage("bedrock", "bedrock", reply.documents).usage == STREAMED
    assert not reply.malformed
    for cut in range(len(stream)):
        read_reply(stream[:cut], kind, whole=False)
    assert read_reply(BEDROCK_FRAMES[:-1], kind, whole=True).malformed


@pytest.mark.parametrize(
    "body",
    [
        CHAT.replace(b"\n", b"\r\n"),
        CHAT.replace(b"\n", b"\r"),
        CHAT.replace(b"data: ", b"data:"),
        b": comment\n\n" * 50 + CHAT,
        b"\xef\xbb\xbf" + CHAT,
        b"retry: 10\n\n" + CHAT,
        CHAT.rstrip(),
        CHAT.removesuffix(b"data: [DONE]\n\n"),
        CHAT + b"data: [DONE]\n\n",
        CHAT.replace(b'"choices"', b'\ndata: "choices"'),
        b"data: \n\n" + CHAT,
        b"data: ping\n\n" + CHAT,
        CHAT.replace(b"\n\n", b"\n\n: keep-alive\n\nevent: x\nid: 4\n"),
        CHAT.replace(b'"stop"', b"NaN"),
        CHAT.replace(b"data: {", b'data: {"a":1e400,"b":"\\ud800","b":2,'),
    ],
)  # fmt: skip
def test_sloppy_streams(body):
    reply = read_reply(body, SSE, whole=True)
    assert not reply.malformed
    assert reply.is_events
    assert read_usage("openai", "openai", reply.documents).usage == Usage(7, 5)


def test_kinds_are_told_by_label_and_by_look():
    line = b'{"done":false}\n{"done":true,"eval_count":3,"prompt_eval_count":2}\n'
    for kind in ("application/x-ndjson", "application/json", ""):
        reply = read_reply(line, kind, whole=True)
        assert len(reply.documents) == 2
        assert not reply.malformed
    assert read_reply(CHAT, "", whole=True).is_events
    assert read_reply(CHAT, "text/plain", whole=True).is_events
    gemini = b'[{"usageMetadata":{"promptTokenCount":1}}\n,\n{"usageMetadata":{}}]'
    assert len(read_reply(gemini, "application/json", whole=True).documents) == 2
    assert read_reply(b"", "application/json", whole=True) == ([], False, False, True)
    assert read_reply(b"plain words", "text/plain", whole=True).malformed is False
    assert read_reply(b"<html>", "application/json", whole=True).malformed
    assert read_reply(b"<html>", "application/json", whole=False).malformed is False
    assert read_reply(b'{"a":1', "", whole=True).malformed
    assert read_reply(b"[" * 100_000, "application/json", whole=True).malformed is False


def test_broken_json_in_a_stream_is_malformed_and_text_is_not():
    assert read_reply(b'data: {"a":\n\ndata: [DONE]\n\n', SSE, whole=True).malformed
    assert not read_reply(b"data: hello\n\ndata: [DONE]\n\n", SSE, whole=True).malformed
    assert read_reply(b'{"a":1}\n{"b":\n', "application/x-ndjson", whole=True).malformed


def test_a_body_without_its_middle_still_says_what_it_used():
    body = b'{"model":"m","choices":[{"text":"abc'
    body += b'xyz"}],"usage":{"prompt_tokens":7,"completion_tokens":5}'
    reply = read_reply(body, "application/json", whole=False)
    assert not reply.malformed
    assert read_usage("openai", "openai", reply.documents).usage == Usage(7, 5)


def test_declared_costs_keep_their_digits():
    body = sse({"a": 1}) + (
        b'data: {"usage":{"prompt_tokens":1,"cost":0.123456789012,'
        b'"cost_details":{"upstream_inference_cost":null}}}\n\n'
    )
    reply = read_reply(body, SSE, whole=True)
    assert read_usage("openrouter", "openai", reply.documents).usage.cost_pico == 123456789012


@pytest.mark.parametrize(
    ("document", "is_error"),
    [
        ({"error": {"message": "overloaded", "type": "server_error"}}, True),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, True),
        ({"error": "model not found"}, True),
        ({"error": {"code": 502, "message": "x"}, "choices": [{"finish_reason": "error"}]}, True),
        ({"type": "response.failed", "response": {}}, True),
        ({"object": "response", "error": {"code": "server_error"}, "output": []}, True),
        ({"object": "response", "error": None, "output": []}, False),
        ({"error": None, "choices": []}, False),
        ({"error": "", "a": 1}, False),
        ({"error": {}, "a": 1}, False),
        ({"content": "x", "error": {"message": "partial"}}, False),
        ({"choices": [{}], "error": "warning"}, False),
        ([], False),
        (None, False),
    ],
)
def test_error_objects(document, is_error):
    assert is_error_document(document) is is_error
    body = json.dumps(document).encode()
    assert is_error_reply(read_reply(body, "application/json", whole=True), body) is is_error


def test_error_events():
    body = CHAT + sse({"error": {"message": "gone"}})
    assert is_error_reply(read_reply(body, SSE, whole=True), body)
    assert not is_error_reply(read_reply(CHAT, SSE, whole=True), CHAT)
