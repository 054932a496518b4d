"""OpenAI's chat, strict, as OpenAI's own host and a deployment of Azure serve it.

Checked against the SDK's type of a request: a field that it does not have is a 400.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from openai.types.chat import completion_create_params as params

from tests.fakes.provider_mind import (
    THOUGHT,
    Answer,
    Asked,
    Refused,
    answer,
    call_id,
    pieces,
)
from tests.fakes.provider_openai import compact, pretty
from tests.providers.dialects.official import misfit

USAGE = {
    "prompt_tokens": 71, "completion_tokens": 33, "total_tokens": 104,
    "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}  # fmt: skip
CHAT_USAGE = {"prompt_tokens": 71, "completion_tokens": 33, "total_tokens": 104, "cached": 64}
SAFE = {
    kind: {"filtered": False, "severity": "safe"}
    for kind in ("hate", "self_harm", "sexual", "violence")
}
WORDS = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country", "Your account has no access."),
    404: ("invalid_request_error", "DeploymentNotFound", "The API deployment does not exist."),
    429: ("requests", "429", "Requests have exceeded the call rate limit of your tier."),
    500: ("server_error", None, "The server had an error."),
    503: ("server_error", None, "The engine is currently overloaded."),
}


def error(status: int, message: str = "") -> bytes:
    kind, code, usual = WORDS[status]
    told = {"message": message or usual, "type": kind, "param": None, "code": code}
    return pretty({"error": told})


def error_event() -> bytes:
    return b"data: " + compact({"error": {"message": "overloaded", "type": "server_error",
                                          "param": None, "code": None}}) + b"\n\n"  # fmt: skip


def reply(body: dict[str, Any], model: str) -> bytes:
    found = answer(understood(body))
    message: dict[str, Any] = {
        "role": "assistant", "content": found.text or None, "refusal": None, "annotations": [],
    }  # fmt: skip
    if found.calls:
        message["tool_calls"] = _calls(found)
    choice = {
        "index": 0, "message": message, "logprobs": None, "finish_reason": _reason(found),
        "content_filter_results": SAFE,
    }  # fmt: skip
    filtered = [{"prompt_index": 0, "content_filter_results": SAFE}]
    return pretty({
        **_head(model, "chat.completion"), "choices": [choice], "usage": _usage(found),
        "prompt_filter_results": filtered,
    })  # fmt: skip


def events(body: dict[str, Any], model: str) -> list[bytes]:
    """Azure begins with a chunk of no choice, and OpenAI's clients must bear it."""
    found = answer(understood(body))
    counted = (body.get("stream_options") or {}).get("include_usage")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": piece} for piece in pieces(found.text)]
    for number, call in enumerate(_calls(found)):
        function = call["function"]
        opened = {**call, "index": number, "function": {**function, "arguments": ""}}
        deltas.append({"tool_calls": [opened]})
        for piece in pieces(function["arguments"]):
            told = {"index": number, "function": {"arguments": piece}}
            deltas.append({"tool_calls": [told]})
    head = _head(model, "chat.completion.chunk")
    filtered = [{"prompt_index": 0, "content_filter_results": SAFE}]
    chunks: list[dict[str, Any]] = [{"choices": [], "prompt_filter_results": filtered}]
    chunks += [_chunk(delta, None) for delta in deltas]
    chunks.append(_chunk({}, _reason(found)))
    if counted:
        chunks.append({"choices": [], "usage": _usage(found)})
    told = [b"data: " + compact({**head, **chunk}) + b"\n\n" for chunk in chunks]
    return [*told, b"data: [DONE]\n\n"]


def _head(model: str, kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-fake", "object": kind, "created": 1764000000, "model": model,
        "system_fingerprint": "fp_fake",
    }  # fmt: skip


def _chunk(delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {"choices": [choice]}


def _usage(found: Answer) -> dict[str, Any]:
    thought = len(THOUGHT) // 4 if found.thought else 0
    details = USAGE["completion_tokens_details"]
    assert isinstance(details, dict)
    return {**USAGE, "completion_tokens_details": {**details, "reasoning_tokens": thought}}


def _reason(found: Answer) -> str:
    return "tool_calls" if found.calls else "stop"


def _calls(found: Answer) -> list[dict[str, Any]]:
    return [
        {
            "id": call_id(number), "type": "function",
            "function": {"name": name, "arguments": compact(arguments).decode()},
        }
        for number, (name, arguments) in enumerate(found.calls)
    ]  # fmt: skip


def understood(body: dict[str, Any]) -> Asked:
    """What a chat body says. Raises Refused, as OpenAI does."""
    kind: Any = params.CompletionCreateParamsStreaming if body.get("stream") else _WHOLE
    typed = {**body, "messages": [_sent_back(one) for one in body["messages"]]}
    problem = misfit(kind, typed, "body")
    if problem:
        raise Refused(400, f"Unrecognized request argument supplied: {problem}")
    if "stream_options" in body and not body.get("stream"):
        raise Refused(400, "The stream_options parameter is only allowed when stream is enabled.")
    asked = Asked()
    called: dict[str, str] = {}
    for message in body["messages"]:
        role = message["role"]
        if role == "tool":
            id = message["tool_call_id"]
            if id not in called:
                raise Refused(400, "messages with role 'tool' must follow a message with calls")
            asked.results.append(f"{called.pop(id)}={_text(message['content'])}")
            continue
        if called:
            raise Refused(400, f"tool_call_ids did not have response messages: {set(called)}")
        asked.results = []
        if role in ("system", "developer"):
            asked.system = _text(message["content"])
        elif role == "user":
            _read_user(message["content"], asked)
        called = {one["id"]: one["function"]["name"] for one in message.get("tool_calls", ())}
    _read_tools(body, asked)
    asked.thinks = body.get("reasoning_effort") not in (None, "none")
    return asked


def _sent_back(message: dict[str, Any]) -> dict[str, Any]:
    """The service takes a message of its own as it gave it, with what its type has not."""
    if message["role"] != "assistant":
        return message
    own = ("annotations", *(name for name in ("function_call", "audio") if not message.get(name)))
    return {name: value for name, value in message.items() if name not in own}


_WHOLE = params.CompletionCreateParamsNonStreaming


def _read_tools(body: dict[str, Any], asked: Asked) -> None:
    asked.tools = [tool["function"]["name"] for tool in body.get("tools", ())]
    choice = body.get("tool_choice", "auto")
    if "tool_choice" in body and not asked.tools:
        raise Refused(400, "tool_choice is only allowed when tools are specified.")
    asked.choice = choice if isinstance(choice, str) else choice["function"]["name"]


def _read_user(content: str | list[dict[str, Any]], asked: Asked) -> None:
    asked.text = _text(content)
    for part in content if isinstance(content, list) else ():
        if part["type"] == "image_url":
            asked.media.append(_media(part["image_url"]["url"]))


def _media(url: str) -> str:
    if not url.startswith("data:"):
        return url
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    try:
        return f"{kind} of {len(base64.b64decode(data, validate=True))} bytes"
    except (binascii.Error, ValueError):
        raise Refused(400, "Invalid image: not base64.") from None


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
