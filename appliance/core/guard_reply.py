"""What the checks of a prompt answer and ask: refusals, and the words of two endpoints (proxy.md
7.1, 7.2). Pure.
"""

import json
from typing import Any, Final

import msgspec

from appliance.errors import Refusal

THREAT: Final = "PROMPT_THREAT_DETECTED"
FLAGGED: Final = "PROMPT_FLAGGED_FOR_MODERATION"
# A model of this kind answers with one word, and a list of categories behind it.
VERDICT_TOKENS_MAX: Final = 64
MODEL_CHARACTERS_MAX: Final = 32 * 1024


def threat_refusal(request_id: str) -> Refusal:
    """An explicit no of the guard; the record keeps an empty object for the reply."""
    message = "The prompt looks like an attempt to talk the model out of its rules."
    details = f"Request {request_id} was not sent to the provider."
    return _refusal(THREAT, message, details, b"{}")


def flagged_refusal(request_id: str) -> Refusal:
    """An explicit no of the provider's moderation."""
    message = "The provider's moderation flagged the prompt."
    details = f"Request {request_id} was not sent to the provider's model."
    return _refusal(FLAGGED, message, details, None)


def _refusal(code: str, message: str, details: str, recorded: bytes | None) -> Refusal:
    body = {"success": False, "error": {"code": code, "message": message, "details": details}}
    return Refusal(400, code, message, body=msgspec.json.encode(body), recorded=recorded)


def moderation_body(content: Any) -> bytes:  # noqa: ANN401 - JSON
    """The request to /v1/moderations."""
    return _written({"input": content})


def is_flagged(reply: bytes) -> bool | None:
    """What the moderation endpoint says; None where that cannot be told."""
    try:
        results = msgspec.json.decode(reply, type=_Moderated).results
    except (msgspec.MsgspecError, RecursionError):
        return None
    return any(result.flagged for result in results) if results else None


def model_body(model: str, text: str) -> bytes:
    """The request to a model that judges prompts. The middle of a long text is left out."""
    if len(text) > MODEL_CHARACTERS_MAX:
        half = MODEL_CHARACTERS_MAX // 2
        text = f"{text[:half]}\n{text[-half:]}"
    return _written({
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        "max_tokens": VERDICT_TOKENS_MAX,
    })  # fmt: skip


def is_unsafe(reply: bytes) -> bool | None:
    """What the model says: `safe`, or `unsafe` and why; None where it says something else."""
    try:
        choices = msgspec.json.decode(reply, type=_Chat).choices
    except (msgspec.MsgspecError, RecursionError):
        return None
    words = choices[0].message.content.lower().split() if choices else []
    return {"unsafe": True, "safe": False}.get(words[0]) if words else None


def _written(value: object) -> bytes:
    """JSON for somebody who reads: half of a surrogate pair, which no prompt may hide behind, is a
    question mark."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


class _Result(msgspec.Struct):
    flagged: bool


class _Moderated(msgspec.Struct):
    results: list[_Result]


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Chat(msgspec.Struct):
    choices: list[_Choice]
