"""Streams and bodies as the providers write them, for tests of every direction."""

import json
from typing import Any


def sse(*events: dict[str, Any], named: bool = True) -> bytes:
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        lines.append(f"{name}data: {json.dumps(event)}\n\n")
    return "".join(lines).encode()


def chunks(*deltas: tuple[dict[str, Any], str | None], usage: dict[str, Any] | None) -> bytes:
    """A chat stream; each delta with its finish reason."""
    head = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 7, "model": "gpt-5"}
    events = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in deltas
    ]
    if usage is not None:
        events.append({**head, "choices": [], "usage": usage})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return body.encode() + b"data: [DONE]\n\n"


MESSAGE_USAGE = {
    "input_tokens": 12,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
    "output_tokens": 1,
}
CITATION = {
    "type": "web_search_result_location",
    "url": "https://example.com/a",
    "title": "A page",
    "cited_text": "as it is written",
    "encrypted_index": "abc",
}
MESSAGE_EVENTS: tuple[dict[str, Any], ...] = (
    {
        "type": "message_start",
        "message": {
            "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": [], "stop_reason": None, "stop_sequence": None, "usage": MESSAGE_USAGE,
        },
    },
    {"type": "content_block_start", "index": 0,
     "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0,
     "delta": {"type": "thinking_delta", "thinking": "Let me "}},
    {"type": "content_block_delta", "index": 0,
     "delta": {"type": "thinking_delta", "thinking": "see."}},
    {"type": "content_block_delta", "index": 0,
     "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1,
     "content_block": {"type": "redacted_thinking", "data": "cmVk"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 2,
     "delta": {"type": "text_delta", "text": "Größe: 12 €, "}},
    {"type": "content_block_delta", "index": 2,
     "delta": {"type": "citations_delta", "citation": CITATION}},
    {"type": "content_block_delta", "index": 2,
     "delta": {"type": "text_delta", "text": "says\na page. 😀"}},
    {"type": "content_block_stop", "index": 2},
    {"type": "content_block_start", "index": 3,
     "content_block": {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}}},
    {"type": "content_block_delta", "index": 3,
     "delta": {"type": "input_json_delta", "partial_json": "{\"query\":\"x\"}"}},
    {"type": "content_block_stop", "index": 3},
    {"type": "content_block_start", "index": 4,
     "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}},
    {"type": "content_block_delta", "index": 4,
     "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 4,
     "delta": {"type": "input_json_delta", "partial_json": "{\"city\": \"Ber"}},
    {"type": "content_block_delta", "index": 4,
     "delta": {"type": "input_json_delta", "partial_json": "lin\"}"}},
    {"type": "content_block_stop", "index": 4},
    {"type": "content_block_start", "index": 5,
     "content_block": {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}},
    {"type": "content_block_stop", "index": 5},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None},
     "usage": {"output_tokens": 42, "output_tokens_details": {"thinking_tokens": 20},
               "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}}},
    {"type": "message_stop"},
)  # fmt: skip
MESSAGE_STREAM = sse(*MESSAGE_EVENTS)
TEXT = "Größe: 12 €, says\na page. 😀"
MESSAGE: dict[str, Any] = {
    "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
    "content": [
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "cmVk"},
        {"type": "text", "text": TEXT, "citations": [CITATION]},
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Berlin"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use", "stop_sequence": None,
    "usage": {
        **MESSAGE_USAGE, "output_tokens": 42, "output_tokens_details": {"thinking_tokens": 20},
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
    },
}  # fmt: skip

CHAT_USAGE = {
    "prompt_tokens": 142, "completion_tokens": 42, "total_tokens": 184,
    "prompt_tokens_details": {
        "cached_tokens": 100, "audio_tokens": 0, "cache_write_tokens": 30,
        "cache_write_details": {"write_5m_tokens": 20, "write_1h_tokens": 10},
    },
    "completion_tokens_details": {"reasoning_tokens": 20},
    "server_tool_use": {"web_search_requests": 1},
}  # fmt: skip
ANNOTATION = {
    "type": "url_citation",
    "url_citation": {
        "url": "https://example.com/a", "title": "A page", "content": "as it is written",
        "start_index": 0, "end_index": len(TEXT),
    },
}  # fmt: skip
CHAT_MESSAGE: dict[str, Any] = {
    "role": "assistant", "content": TEXT, "refusal": None, "reasoning": "Let me see.",
    "reasoning_details": [
        {"thinking": "Let me see.", "signature": "c2ln"}, {"data": "cmVk"},
    ],
    "annotations": [ANNOTATION],
    "tool_calls": [
        {"id": "toolu_1", "type": "function",
         "function": {"name": "weather", "arguments": "{\"city\":\"Berlin\"}"}},
        {"id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ],
}  # fmt: skip
CHAT: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "claude-sonnet-4-5",
    "choices": [{"index": 0, "message": CHAT_MESSAGE, "logprobs": None,
                 "finish_reason": "tool_calls"}],
    "usage": CHAT_USAGE,
}  # fmt: skip
