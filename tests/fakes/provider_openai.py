"""What OpenAI sends: buffered and streamed chat with and without usage, tools, embeddings, errors,
the Responses API. Bodies as the service lays them out, spaces and all."""

from __future__ import annotations

import json
from typing import Any

TEXT = "Hello from the fake provider: naïve café ☕ 你好."
USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 11,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
TOOL_CALL = {
    "id": "call_abc123",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
}
ERRORS = {
    400: ("context_length_exceeded", "invalid_request_error", "This model's context is full."),
    401: ("invalid_api_key", "invalid_request_error", "Incorrect API key provided."),
    404: ("model_not_found", "invalid_request_error", "The model does not exist."),
    429: ("rate_limit_exceeded", "requests", "Rate limit reached for requests."),
    500: (None, "server_error", "The server had an error while processing your request."),
    503: (None, "server_error", "The engine is currently overloaded, please try again later."),
}


def pretty(document: Any) -> bytes:
    """JSON as the service writes it: indented, not ASCII."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def compact(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def error(status: int) -> bytes:
    code, kind, message = ERRORS[status]
    return pretty({"error": {"message": message, "type": kind, "param": None, "code": code}})


def chat(asked: dict[str, Any]) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": TEXT, "refusal": None}
    reason = "stop"
    if asked.get("tools"):
        message |= {"content": None, "tool_calls": [TOOL_CALL]}
        reason = "tool_calls"
    return pretty(
        {
            "id": "chatcmpl-Fake1",
            "object": "chat.completion",
            "created": 1764000000,
            "model": asked.get("model"),
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
            ],
            "usage": USAGE,
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
        }
    )


def chat_events(asked: dict[str, Any]) -> list[bytes]:
    """The events of a streamed chat, `[DONE]` last."""
    counted = bool((asked.get("stream_options") or {}).get("include_usage"))
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
    reason = "stop"
    if asked.get("tools"):
        reason = "tool_calls"
        function = TOOL_CALL["function"]
        assert isinstance(function, dict)
        call = {"index": 0, **TOOL_CALL, "function": {**function, "arguments": ""}}
        deltas = [{"role": "assistant", "content": None, "tool_calls": [call]}]
        for piece in ('{"city', '":"Par', 'is"}'):
            deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    else:
        deltas += [{"content": word} for word in TEXT.split(" ")]
    events = [_chunk(asked, delta, None, counted) for delta in deltas]
    events.append(_chunk(asked, {}, reason, counted))
    if counted:
        events.append(_chunk(asked, None, None, counted, USAGE))
    return [*events, b"data: [DONE]\n\n"]


def _chunk(
    asked: dict[str, Any],
    delta: dict[str, Any] | None,
    reason: str | None,
    counted: bool,
    usage: dict[str, Any] | None = None,
) -> bytes:
    choices = []
    if delta is not None:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
    document: dict[str, Any] = {
        "id": "chatcmpl-Fake1",
        "object": "chat.completion.chunk",
        "created": 1764000000,
        "model": asked.get("model"),
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
        "choices": choices,
    }
    if counted:
        document["usage"] = usage
    return b"data: " + compact(document) + b"\n\n"


def embeddings(asked: dict[str, Any]) -> bytes:
    texts = asked.get("input")
    count = len(texts) if isinstance(texts, list) else 1
    vector: Any = [0.0023, -0.0093, 0.015]
    if asked.get("encoding_format") == "base64":
        vector = "zcwMQM3MDEDNzAxA"
    data = [{"object": "embedding", "index": at, "embedding": vector} for at in range(count)]
    return pretty(
        {
            "object": "list",
            "data": data,
            "model": asked.get("model"),
            "usage": {"prompt_tokens": 8, "total_tokens": 8},
        }
    )


def moderation(asked: bytes) -> bytes:
    """Flags what says `fake-flagged`."""
    flagged = b"fake-flagged" in asked
    scores = {"harassment": 0.91 if flagged else 0.0001, "violence": 0.0003}
    result = {
        "flagged": flagged,
        "categories": {name: score > 0.5 for name, score in scores.items()},
        "category_scores": scores,
    }
    return pretty({"id": "modr-1", "model": "omni-moderation-latest", "results": [result]})


def models() -> bytes:
    rows = [{"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"}]
    return pretty({"object": "list", "data": rows})


RESPONSE_USAGE = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 48,
}


def response(asked: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    done = status == "completed"
    message = {
        "type": "message",
        "id": "msg_fake",
        "status": status,
        "role": "assistant",
        "content": [{"type": "output_text", "text": TEXT, "annotations": []}],
    }
    return {
        "id": "resp_fake",
        "object": "response",
        "created_at": 1764000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": asked.get("model"),
        "output": [message] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
        "usage": RESPONSE_USAGE if done else None,
    }


def response_events(asked: dict[str, Any]) -> list[bytes]:
    """The events of a streamed response, `response.completed` last."""
    place = {"item_id": "msg_fake", "output_index": 0, "content_index": 0}
    item = {"id": "msg_fake", "type": "message", "role": "assistant", "content": []}
    part = {"type": "output_text", "annotations": [], "text": ""}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": response(asked, "in_progress")}),
        ("response.in_progress", {"response": response(asked, "in_progress")}),
        (
            "response.output_item.added",
            {"output_index": 0, "item": {**item, "status": "in_progress"}},
        ),
        ("response.content_part.added", {**place, "part": part}),
    ]
    for word in TEXT.split(" "):
        events.append(("response.output_text.delta", {**place, "delta": word, "logprobs": []}))
    events += [
        ("response.output_text.done", {**place, "text": TEXT, "logprobs": []}),
        ("response.content_part.done", {**place, "part": {**part, "text": TEXT}}),
        (
            "response.output_item.done",
            {"output_index": 0, "item": response(asked)["output"][0]},
        ),
        ("response.completed", {"response": response(asked)}),
    ]
    return [
        b"event: %b\ndata: %b\n\n"
        % (name.encode(), compact({"type": name, "sequence_number": at, **rest}))
        for at, (name, rest) in enumerate(events)
    ]
