"""Bedrock's frames, Converse replies and streams as Amazon writes them."""

import base64
import json
import struct
import zlib
from typing import Any

from tests.providers.dialects.samples import MESSAGE_EVENTS

TEXT = "Größe: 12 €. 😀"


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One frame of the event-stream framing, by its specification."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )  # fmt: skip
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def event(name: str, value: dict[str, Any]) -> bytes:
    headers = {
        ":event-type": name, ":content-type": "application/json", ":message-type": "event",
    }  # fmt: skip
    return frame(headers, json.dumps({**value, "p": "abcdefghij"}).encode())


def exception(name: str, message: str) -> bytes:
    headers = {
        ":exception-type": name, ":content-type": "application/json",
        ":message-type": "exception",
    }  # fmt: skip
    return frame(headers, json.dumps({"message": message}).encode())


def chunk(value: dict[str, Any], **layout: Any) -> bytes:
    """One of Anthropic's events as InvokeModel sends it."""
    data = base64.b64encode(json.dumps(value, **layout).encode()).decode()
    return event("chunk", {"bytes": data})


CLAUDE_STREAM = b"".join(
    chunk(
        {**one, "amazon-bedrock-invocationMetrics": {"inputTokenCount": 12}}
        if one["type"] == "message_stop" else one
    )
    for one in MESSAGE_EVENTS
)  # fmt: skip

USAGE = {
    "inputTokens": 12, "outputTokens": 42, "totalTokens": 184, "cacheReadInputTokens": 100,
    "cacheWriteInputTokens": 30, "cacheDetails": [{"ttl": "1h", "inputTokens": 10}],
}  # fmt: skip
CHAT_USAGE = {
    "prompt_tokens": 142, "completion_tokens": 42, "total_tokens": 184,
    "prompt_tokens_details": {
        "cached_tokens": 100, "audio_tokens": 0, "cache_write_tokens": 30,
        "cache_write_details": {"write_5m_tokens": 20, "write_1h_tokens": 10},
    },
}  # fmt: skip
CITATION = {
    "title": "A page", "sourceContent": [{"text": "as it "}, {"text": "is written"}],
    "location": {"web": {"url": "https://example.com/a", "domain": "example.com"}},
}  # fmt: skip
ANNOTATION = {
    "type": "url_citation",
    "url_citation": {
        "url": "https://example.com/a", "title": "A page", "content": "as it is written",
        "start_index": 0, "end_index": len(TEXT),
    },
}  # fmt: skip


def delta(index: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": fields}


def stop(index: int) -> tuple[str, dict[str, Any]]:
    return "contentBlockStop", {"contentBlockIndex": index}


def call(index: int, id: str, name: str) -> tuple[str, dict[str, Any]]:
    start = {"toolUse": {"toolUseId": id, "name": name}}
    return "contentBlockStart", {"contentBlockIndex": index, "start": start}


EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("messageStart", {"role": "assistant"}),
    delta(0, reasoningContent={"text": "Let me "}),
    delta(0, reasoningContent={"text": "see."}),
    delta(0, reasoningContent={"signature": "c2ln"}),
    stop(0),
    delta(1, reasoningContent={"redactedContent": "cmVk"}),
    stop(1),
    delta(2, text=TEXT[:7]),
    delta(2, text=TEXT[7:]),
    delta(2, citation=CITATION),
    stop(2),
    call(3, "tooluse_1", "weather"),
    delta(3, toolUse={"input": '{"city":'}),
    delta(3, toolUse={"input": '"Berlin"}'}),
    stop(3),
    call(4, "tooluse_2", "now"),
    stop(4),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 9}, "serviceTier": {"type": "default"}}),
)
STREAM = b"".join(event(*one) for one in EVENTS)
REPLY: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [
        {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "cmVk"}},
        {"citationsContent": {"content": [{"text": TEXT[:7]}, {"text": TEXT[7:]}],
                              "citations": [CITATION]}},
        {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Berlin"}}},
        {"toolUse": {"toolUseId": "tooluse_2", "name": "now", "input": {}}},
    ]}},
    "stopReason": "tool_use", "usage": USAGE, "metrics": {"latencyMs": 9},
    "serviceTier": {"type": "default"},
}  # fmt: skip
CALLS = [
    {"id": "tooluse_1", "type": "function",
     "function": {"name": "weather", "arguments": '{"city":"Berlin"}'}},
    {"id": "tooluse_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
]  # fmt: skip
CHAT_MESSAGE: dict[str, Any] = {
    "role": "assistant", "content": TEXT, "refusal": None, "reasoning": "Let me see.",
    "reasoning_details": [{"thinking": "Let me see.", "signature": "c2ln"}, {"data": "cmVk"}],
    "annotations": [ANNOTATION], "tool_calls": CALLS,
}  # fmt: skip
CHAT: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "nova",
    "choices": [{"index": 0, "message": CHAT_MESSAGE, "logprobs": None,
                 "finish_reason": "tool_calls"}],
    "usage": CHAT_USAGE, "service_tier": "default",
}  # fmt: skip
