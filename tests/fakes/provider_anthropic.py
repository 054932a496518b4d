"""What Anthropic sends: messages buffered and streamed with their `event:` lines, tools, errors."""

from __future__ import annotations

from typing import Any

from tests.fakes.provider_openai import TEXT, compact

TOOL_USE = {
    "type": "tool_use",
    "id": "toolu_fake",
    "name": "get_weather",
    "input": {"city": "Paris"},
}
USAGE = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 14,
    "service_tier": "standard",
}
ERRORS = {
    400: ("invalid_request_error", "max_tokens: field required"),
    401: ("authentication_error", "invalid x-api-key"),
    404: ("not_found_error", "model: unknown"),
    429: ("rate_limit_error", "Number of request tokens has exceeded your rate limit"),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}


def error(status: int) -> bytes:
    kind, message = ERRORS[status]
    return compact({"type": "error", "error": {"type": kind, "message": message}})


def message(asked: dict[str, Any]) -> bytes:
    content: list[dict[str, Any]] = [{"type": "text", "text": TEXT}]
    reason = "end_turn"
    if asked.get("tools"):
        content.append(TOOL_USE)
        reason = "tool_use"
    return compact(
        {
            "model": asked.get("model"),
            "id": "msg_fake",
            "type": "message",
            "role": "assistant",
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": USAGE,
        }
    )


def message_events(asked: dict[str, Any]) -> list[bytes]:
    """The events of a streamed message, `message_stop` last."""
    start: dict[str, Any] = {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": asked.get("model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**USAGE, "output_tokens": 1},
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    for word in TEXT.split(" "):
        delta = {"type": "text_delta", "text": word}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    events.append({"type": "content_block_stop", "index": 0})
    reason = "end_turn"
    if asked.get("tools"):
        reason = "tool_use"
        block = {**TOOL_USE, "input": {}}
        events.append({"type": "content_block_start", "index": 1, "content_block": block})
        for piece in ("", '{"city": "Par', 'is"}'):
            delta = {"type": "input_json_delta", "partial_json": piece}
            events.append({"type": "content_block_delta", "index": 1, "delta": delta})
        events.append({"type": "content_block_stop", "index": 1})
    end = {"stop_reason": reason, "stop_sequence": None}
    events += [
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 14}},
        {"type": "message_stop"},
    ]
    return [event(document) for document in events]


def event(document: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(document["type"]).encode(), compact(document))
