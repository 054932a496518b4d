"""A WebSocket session as it is asked for and as it is kept (proxy.md 1.6).

Each side is kept as lines, one message a line, so that a session can be recorded while it goes on;
whoever reads it gets `{"messages": […]}`, as the original shows it. Pure.
"""

import base64
import re
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import unquote_to_bytes

import msgspec

from appliance.core import headers as names
from appliance.core.credentials import LOOKS_OURS, Headers
from appliance.core.keys import parse_key
from appliance.core.websocket import TEXT

Side = Literal["client", "target"]
Fields = dict[bytes, bytes]

DIALECT: Final = "realtime"
JSON_TYPE: Final = "application/json"
PROTOCOL: Final = b"sec-websocket-protocol"
EXTENSIONS: Final = b"sec-websocket-extensions"
BETA: Final = b"openai-beta"
# How browsers, which cannot set header lines, hand over a key and ask for the beta.
KEY_PROTOCOL: Final = b"openai-insecure-api-key."
BETA_PROTOCOL: Final = b"openai-beta."
# Of these events a response's usage is read: Realtime, and Responses over a WebSocket.
USAGE_EVENTS: Final = frozenset({"response.done", "response.completed", "response.incomplete"})
USAGE_WORDS: Final = tuple(f'"{name}"'.encode() for name in sorted(USAGE_EVENTS))
# A longer message is passed on whole and kept as its begin.
KEPT_BYTES_MAX: Final = 1024 * 1024
_PREVIEW: Final = re.compile(rb"[?&]model=[^&]*-preview(?:-[^&]*)?(?:&|$)")
_SCHEMES: Final = {b"wss:": b"https:", b"ws:": b"http:"}


class _Line(msgspec.Struct):
    """One message of either side, in the original's words."""

    type: str
    source: Side = msgspec.field(name="from")
    timestamp: str
    content: msgspec.Raw | str
    # Of what was too long to be kept: how long it was.
    bytes: int | msgspec.UnsetType = msgspec.UNSET


_encode = msgspec.json.Encoder().encode
_raw = msgspec.json.Decoder(msgspec.Raw).decode
_decode = msgspec.json.Decoder().decode


def line_of(side: Side, opcode: int, payload: bytes, length: int, at_us: int) -> bytes:
    """The line of a message, with its end. `payload` may be the begin of `length` bytes."""
    time = datetime.fromtimestamp(at_us // 1000 / 1000, UTC).isoformat(timespec="milliseconds")
    kind = "message" if opcode == TEXT else "binary"
    line = _Line(kind, side, time.removesuffix("+00:00") + "Z", _content(opcode, payload, length))
    if length > len(payload):
        line.bytes = length
    return _encode(line) + b"\n"


def _content(opcode: int, payload: bytes, length: int) -> msgspec.Raw | str:
    if opcode != TEXT:
        return base64.b64encode(payload).decode("ascii")
    if length == len(payload):
        try:
            _raw(payload)
            payload.decode()
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        else:
            # Line ends in JSON stand between its parts, never inside a string.
            return msgspec.Raw(payload.replace(b"\r", b" ").replace(b"\n", b" "))
    return payload.decode("utf-8", "replace")


def may_have_usage(payload: bytes) -> bool:
    """Whether it is worth while to parse this message of a provider for its usage."""
    return any(word in payload for word in USAGE_WORDS)


def document_of(payload: bytes) -> Any:  # noqa: ANN401 - any JSON
    """A message's JSON; None for what is none."""
    try:
        return _decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def documents_of(kept: bytes) -> list[dict[str, Any]]:
    """The JSON objects among the messages of one side, from its lines. What was cut at the seam of
    a begin and a tail is passed over."""
    found = []
    for line in kept.split(b"\n"):
        value = document_of(line)
        content = value.get("content") if type(value) is dict else None
        if type(content) is dict:
            found.append(content)
    return found


def messages_of(kept: bytes) -> bytes:
    """What is shown of one side: `{"messages": […]}`."""
    lines = []
    for line in kept.split(b"\n"):
        try:
            _raw(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        lines.append(line)
    return b'{"messages":[' + b",".join(lines) + b"]}"


# -- how it is asked for -----------------------------------------------------------------------


def as_usual(headers: Headers) -> Headers:
    """The header lines of an upgrade as a request of another kind would have them: a key among the
    sub-protocols is in Authorization, a target is https instead of wss. The same list if nothing
    had to be changed."""
    changed = [_http_target(field) for field in headers]
    kept: Headers = []
    key = b""
    for name, value in changed:
        if name.lower() != PROTOCOL or KEY_PROTOCOL not in value:
            kept.append((name, value))
            continue
        offers = [offer.strip() for offer in value.split(b",")]
        keys = [offer for offer in offers if offer.startswith(KEY_PROTOCOL)]
        rest = [offer for offer in offers if offer not in keys]
        if rest:
            kept.append((name, b", ".join(rest)))
        if keys and not key:
            key = keys[0][len(KEY_PROTOCOL) :]
    if not key:
        return changed if changed != headers else headers
    for at, (name, value) in enumerate(kept):
        if name.lower() == names.AUTHORIZATION and value.strip():
            # A Helicone key beside the provider's; of two keys of the provider's the first counts.
            if _is_ours(key):
                kept[at] = (name, value + b", Bearer " + key)
            return kept
    return [*kept, (b"Authorization", b"Bearer " + key)]


def _http_target(field: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = field
    if name.lower() in (names.TARGET_URL, names.OPENAI_API_BASE):
        scheme, slashes, rest = value.strip().partition(b"//")
        if scheme.lower() in _SCHEMES:
            return name, _SCHEMES[scheme.lower()] + slashes + rest
    return field


def _is_ours(key: bytes) -> bool:
    text = key.decode("latin-1")
    return text.startswith(LOOKS_OURS) or parse_key(text) is not None


def sent_fields(headers: Headers, provider_id: str, path: bytes) -> Headers:
    """The header lines of an upgrade that a provider is sent. No extension is offered: messages
    pass as they are, and have to be read (permessage-deflate would hide them)."""
    fields = [field for field in headers if field[0].lower() != EXTENSIONS]
    if provider_id == "openai" and _lacks_beta(fields, path):
        fields.append((b"OpenAI-Beta", b"realtime=v1"))
    if provider_id == "azure":
        fields = _with_api_key(fields)
    return [*fields, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]


def _lacks_beta(fields: Headers, path: bytes) -> bool:
    """Previews are spoken to in the beta's words; the models after them refuse it."""
    if b"/realtime" not in path or _PREVIEW.search(unquote_to_bytes(path)) is None:
        return False
    for name, value in fields:
        lowered = name.lower()
        if lowered == BETA or (lowered == PROTOCOL and BETA_PROTOCOL in value):
            return False
    return True


def _with_api_key(fields: Headers) -> Headers:
    """Azure takes keys in `api-key` (proxy.md 1.6); Entra's tokens, which are JWTs, stay."""
    if any(name.lower() == names.API_KEY for name, _ in fields):
        return fields
    return [
        (b"api-key", value[7:].strip())
        if name.lower() == names.AUTHORIZATION
        and value[:7].lower() == b"bearer "
        and not value[7:].lstrip().startswith(b"eyJ")
        else (name, value)
        for name, value in fields
    ]
