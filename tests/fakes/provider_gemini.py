"""What Google sends for Gemini, on AI Studio and on Vertex: `generateContent` and
`streamGenerateContent?alt=sse`, and what it refuses.

Checked against the reference's fields: one that Google does not know is a 400, as there.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from tests.fakes.provider_mind import (
    SIGNATURE,
    Answer,
    Asked,
    Refused,
    answer,
    call_id,
    pieces,
)
from tests.fakes.provider_openai import compact, pretty
from tests.providers.dialects.gemini_types import GenerateContentRequest
from tests.providers.dialects.official import misfit

USAGE = {
    "promptTokenCount": 57, "candidatesTokenCount": 23, "totalTokenCount": 80,
    "cachedContentTokenCount": 40,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 57}],
    "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 23}],
}  # fmt: skip
THOUGHTS = 17
# As chat clients are told: what was thought is a part of what was said.
CHAT_USAGE = {"prompt_tokens": 57, "completion_tokens": 23, "total_tokens": 80, "cached": 40}
# Google's documented word for calls that its models did not make.
FOREIGN = "skip_thought_signature_validator"
WORDS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "Method doesn't allow unregistered callers."),
    404: ("NOT_FOUND", "models/unknown is not found for API version v1beta."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    500: ("INTERNAL", "An internal error has occurred."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
}
KINDS = {"image": "an image", "audio": "a sound", "application": "a file", "video": "a video"}


def error(status: int, message: str = "") -> bytes:
    word, usual = WORDS[status]
    details: list[dict[str, Any]] = []
    if word == "INVALID_ARGUMENT" and message.startswith("API key"):
        info = "type.googleapis.com/google.rpc.ErrorInfo"
        details = [{"@type": info, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]
    told = {"code": status, "message": message or usual, "status": word}
    return pretty({"error": {**told, "details": details} if details else told})


def error_event() -> bytes:
    """What follows the head of a stream that fails."""
    return b"data: " + compact({"error": {"code": 503, "message": WORDS[503][1],
                                          "status": "UNAVAILABLE"}}) + b"\r\n\r\n"  # fmt: skip


def reply(body: dict[str, Any], model: str) -> bytes:
    asked = understood(body, model)
    if "block me" in asked.text:
        return pretty(_blocked(model))
    found = answer(asked)
    candidate = {
        "content": {"role": "model", "parts": _parts(found)},
        "finishReason": "STOP",
        "index": 0,
    }
    return pretty({
        "candidates": [candidate], "usageMetadata": _usage(found), "modelVersion": model,
        "responseId": "resp-fake",
    })  # fmt: skip


def events(body: dict[str, Any], model: str) -> list[bytes]:
    """The events of a stream. Google writes no last one: the last candidate says why it ends."""
    asked = understood(body, model)
    if "block me" in asked.text:
        return [_event(_blocked(model))]
    found = answer(asked)
    steps: list[list[dict[str, Any]]] = [[part] for part in _streamed(found)]
    documents: list[dict[str, Any]] = []
    for number, parts in enumerate(steps):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
        usage: dict[str, Any] = {"promptTokenCount": 57, "totalTokenCount": 57}
        if number == len(steps) - 1:
            candidate["finishReason"] = "STOP"
            usage = _usage(found)
        documents.append({"candidates": [candidate], "usageMetadata": usage})
    return [_event({**one, "modelVersion": model, "responseId": "resp-fake"}) for one in documents]


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + compact(document) + b"\r\n\r\n"


def _usage(found: Answer) -> dict[str, Any]:
    if not found.thought:
        return USAGE
    total = USAGE["totalTokenCount"] + THOUGHTS  # type: ignore[operator]
    return {**USAGE, "thoughtsTokenCount": THOUGHTS, "totalTokenCount": total}


def _blocked(model: str) -> dict[str, Any]:
    feedback = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "It is not allowed."}
    return {
        "promptFeedback": feedback, "modelVersion": model, "responseId": "resp-fake",
        "usageMetadata": {"promptTokenCount": 57, "totalTokenCount": 57},
    }  # fmt: skip


def _parts(found: Answer) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if found.thought:
        parts.append({"text": found.thought, "thought": True})
    if found.text:
        parts.append({"text": found.text})
    parts += _calls(found)
    if found.thought and not found.calls:
        parts[-1]["thoughtSignature"] = SIGNATURE
    return parts


def _streamed(found: Answer) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if found.thought:
        parts += [{"text": piece, "thought": True} for piece in pieces(found.thought)]
    parts += [{"text": piece} for piece in pieces(found.text)]
    parts += _calls(found)
    if found.thought and not found.calls:
        parts.append({"text": "", "thoughtSignature": SIGNATURE})
    return parts


def _calls(found: Answer) -> list[dict[str, Any]]:
    """The first of parallel calls is signed, and the others are not."""
    parts: list[dict[str, Any]] = []
    for number, (name, arguments) in enumerate(found.calls):
        call = {"id": call_id(number), "name": name, "args": arguments}
        parts.append({"functionCall": call})
    if parts:
        parts[0]["thoughtSignature"] = SIGNATURE
    return parts


def understood(body: dict[str, Any], model: str) -> Asked:
    """What a request says. Raises Refused, as Google does."""
    problem = misfit(GenerateContentRequest, body, "body")
    if problem:
        raise Refused(400, f"Invalid JSON payload received. Unknown name: {problem}")
    asked = Asked()
    asked.system = " ".join(_text(part) for part in body.get("system_instruction", _NONE)["parts"])
    turns = body["contents"]
    if not turns or turns[0]["role"] != "user":
        raise Refused(400, "Please ensure that the first content has the role user.")
    called: list[dict[str, Any]] = []
    for turn in turns:
        called = _read_turn(turn, called, asked, model)
    if called:
        raise Refused(400, "Function calls are left without a response.")
    _read_tools(body, asked)
    _read_settings(body.get("generationConfig", {}), asked, model)
    return asked


_NONE: dict[str, Any] = {"parts": []}


def _read_turn(
    turn: dict[str, Any], called: list[dict[str, Any]], asked: Asked, model: str
) -> list[dict[str, Any]]:
    """Gives the calls that the next turn has to answer."""
    parts = turn["parts"]
    if not parts:
        raise Refused(400, "contents.parts must not be empty.")
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    results = [part["functionResponse"] for part in parts if "functionResponse" in part]
    if len(results) != len(called):
        raise Refused(
            400, "Please ensure that the number of function response parts is equal to the number "
            "of function call parts of the function call turn.",
        )  # fmt: skip
    asked.results = []
    for call, result in zip(called, results, strict=True):
        if result["name"] != call["name"] or result.get("id") != call.get("id"):
            raise Refused(400, "A function response is none of the function call before.")
        asked.results.append(f"{result['name']}={compact(result['response']).decode()}")
    for part in parts:
        _read_part(part, asked, turn["role"])
    first = next((part for part in parts if "functionCall" in part), None)
    if "gemini-3" in model and first is not None and "thoughtSignature" not in first:
        raise Refused(400, "Function call is missing a thought_signature in functionCall parts.")
    return calls


def _read_part(part: dict[str, Any], asked: Asked, role: str) -> None:
    known = {"text", "inlineData", "fileData", "functionCall", "functionResponse"} & set(part)
    if len(known) != 1:
        raise Refused(400, "contents.parts: exactly one of data is to be set.")
    signature = part.get("thoughtSignature")
    if signature not in (None, SIGNATURE, FOREIGN):
        raise Refused(400, "Corrupted thought signature.")
    asked.remembers = asked.remembers or signature == SIGNATURE
    if role == "user" and "text" in part:
        asked.text = part["text"]
    if "inlineData" in part:
        asked.media.append(_media(part["inlineData"]))
    if "fileData" in part:
        asked.media.append(part["fileData"]["fileUri"])


def _media(blob: dict[str, str]) -> str:
    try:
        size = len(base64.b64decode(blob["data"], validate=True))
    except (binascii.Error, ValueError):
        raise Refused(400, "Base64 decoding failed.") from None
    kind = blob["mimeType"].partition("/")[0]
    if kind not in KINDS or not size:
        raise Refused(400, f"Unsupported MIME type: {blob['mimeType']}")
    return f"{blob['mimeType']} of {size} bytes"


def _read_tools(body: dict[str, Any], asked: Asked) -> None:
    for tool in body.get("tools", ()):
        asked.tools += [one["name"] for one in tool.get("functionDeclarations", ())]
    config = body.get("toolConfig", {}).get("functionCallingConfig", {})
    mode, allowed = config.get("mode", "AUTO"), config.get("allowedFunctionNames")
    if allowed is not None and mode not in ("ANY", "VALIDATED"):
        raise Refused(400, "allowed_function_names should be set only when mode is ANY.")
    if config and not asked.tools:
        raise Refused(400, "Function calling config is set without function_declarations.")
    unknown = set(allowed or ()) - set(asked.tools)
    if unknown:
        raise Refused(400, f"allowed_function_names has no declaration: {unknown}")
    asked.choice = {"AUTO": "auto", "VALIDATED": "auto", "NONE": "none", "ANY": "required"}[mode]
    if allowed:
        asked.choice = allowed[0]


def _read_settings(settings: dict[str, Any], asked: Asked, model: str) -> None:
    thinking = settings.get("thinkingConfig", {})
    if "thinkingLevel" in thinking and ("gemini-3" not in model or "thinkingBudget" in thinking):
        raise Refused(400, "Thinking level is not supported for this model.")
    if "gemini-2.5-pro" in model and thinking.get("thinkingBudget") == 0:
        raise Refused(400, "Budget 0 is invalid. This model only works in thinking mode.")
    if settings.get("maxOutputTokens", 1) < 1:
        raise Refused(400, "max_output_tokens must be positive.")
    asked.thinks = bool(thinking.get("includeThoughts"))


def _text(part: dict[str, Any]) -> str:
    if "text" not in part:
        raise Refused(400, "system_instruction takes text alone.")
    return str(part["text"])
