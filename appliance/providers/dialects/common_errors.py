"""Errors between dialects: what a provider's error body says, and the shape that chat SDKs read.

The status stays what it was: SDKs decide by it whether to try again.
"""

from typing import NamedTuple

from appliance.core.json_reader import read_json
from appliance.errors import UpstreamFailed
from appliance.providers.dialects.common import Json

MESSAGE_CHARACTERS_MAX = 4096
STATUS_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# What services say when a prompt is larger than the model's context: clients look for one code.
TOO_LONG = (
    "prompt is too long",
    "input is too long",
    "context length",
    "context window",
    "context limit",
    "maximum context",
    "too many tokens",
    "exceeds the maximum number of tokens",
)
FILTERED = ("content filtering policy", "content filter", "content_filter", "content management")


class ErrorParts(NamedTuple):
    message: str
    type: str = ""
    code: str | None = None
    param: str | None = None


def error_parts(body: bytes) -> ErrorParts:
    """Who wrote it is seen by its shape: `error.message`, `message`, `detail`, `detail.message`,
    `detail[0].msg`, `[0].error.message`, or plain text (`proxy.md 6.6`)."""
    value, problem = read_json(body)
    if problem:
        return ErrorParts(_short(body[: 4 * MESSAGE_CHARACTERS_MAX].decode("utf-8", "replace")))
    return parts_of(value)


def parts_of(value: object) -> ErrorParts:
    """The same for a body that has been read."""
    if type(value) is list and value:
        value = value[0]
    if type(value) is str:
        return ErrorParts(_short(value))
    if type(value) is not dict:
        return ErrorParts("")
    for name in ("error", "detail", "errors"):
        inner = value.get(name)
        if type(inner) is list and inner:
            inner = inner[0]
        if type(inner) is str and inner:
            return ErrorParts(_short(inner))
        if type(inner) is dict:
            return _from_object(inner)
    return _from_object(value)


def error_in_200(reply: Json) -> UpstreamFailed:
    """A reply that came with a good status and says that it is none."""
    message = parts_of(reply).message or "The provider's reply says that it failed."
    return UpstreamFailed("error_in_200", message, retryable=True)


def chat_error(status: int, parts: ErrorParts) -> Json:
    """`{"error": {message, type, param, code}}`."""
    kind = parts.type or STATUS_TYPES.get(status, "")
    if not kind:
        kind = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": parts.message or f"The provider answered {status} and said no more.",
            "type": kind,
            "param": parts.param,
            "code": parts.code or _code(status, parts.message),
        }
    }


def _from_object(raw: Json) -> ErrorParts:
    message = raw.get("message") or raw.get("msg") or ""
    kind, code, param = raw.get("type"), raw.get("code"), raw.get("param")
    return ErrorParts(
        _short(message) if type(message) is str else "",
        kind if type(kind) is str else "",
        str(code) if type(code) is str or type(code) is int else None,
        param if type(param) is str else None,
    )


def _code(status: int, message: str) -> str | None:
    if status in (400, 413, 422):
        text = message.lower()
        if any(words in text for words in TOO_LONG):
            return "context_length_exceeded"
        if any(words in text for words in FILTERED):
            return "content_filter"
    return None


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= MESSAGE_CHARACTERS_MAX else text[:MESSAGE_CHARACTERS_MAX] + "…"
