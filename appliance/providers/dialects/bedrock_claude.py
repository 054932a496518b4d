"""Claude on Bedrock: Anthropic's bodies by InvokeModel, its events in Amazon's frames
(`proxy.md 10.2, 11.1, 11.2`)."""

import base64
import binascii
from collections.abc import Mapping

from appliance.core.eventstream import EventStreamSplitter
from appliance.core.json_reader import read_json
from appliance.providers.dialects import anthropic, bedrock_address
from appliance.providers.dialects.anthropic import reply_to_chat, without_cache_control
from appliance.providers.dialects.bedrock_reply import error_to_chat
from appliance.providers.dialects.bedrock_stream import DAMAGED, exception_parts, name_of
from appliance.providers.dialects.common import (
    Json,
    ModelFacts,
    encode,
    list_at,
    mapping,
    refused,
    string,
)
from appliance.providers.dialects.common_errors import STATUS_TYPES

SERVICE = "Claude on Bedrock"
VERSION = "bedrock-2023-05-31"
# In the address, or in headers of Bedrock's own.
NOT_IN_BODY = frozenset({"model", "stream", "service_tier"})
CHUNK = "chunk"
SEARCHES = ("web_search_options", "plugins")

__all__ = [
    "StreamToChat",
    "body_from_messages",
    "error_to_chat",
    "reply_to_chat",
    "request_from_chat",
    "url_of",
]


def request_from_chat(chat: Json, *, model: ModelFacts, stream: bool) -> Json:
    for name in SEARCHES:
        if chat.get(name):
            raise refused(name, f"{SERVICE} has no search of its own; leave it out")
    for number, message in enumerate(list_at(chat.get("messages"), "messages")):
        content = mapping(message).get("content")
        for at, part in enumerate(content if type(content) is list else ()):
            _check_source(mapping(part), f"messages[{number}].content[{at}]")
    body = anthropic.request_from_chat(chat, model=model, stream=stream)
    return body_from_messages(without_cache_control(body))


def body_from_messages(body: Json) -> Json:
    """A Messages body, a client's own too, as Bedrock takes it; betas are named in it."""
    found = {"anthropic_version": VERSION} | {
        name: value for name, value in body.items() if name not in NOT_IN_BODY
    }
    betas = anthropic.headers_for(body).get("anthropic-beta")
    if betas and "anthropic_beta" not in found:
        found["anthropic_beta"] = betas.split(",")
    return found


def url_of(model_id: str, *, settings: Mapping[str, str], stream: bool, base_url: str = "") -> str:
    return bedrock_address.url_of(
        model_id, operation="invoke", settings=settings, stream=stream, base_url=base_url
    )


def _check_source(part: Json, where: str) -> None:
    """Bedrock fetches nothing and holds no files."""
    image = part.get("image_url")
    url = string(mapping(image).get("url")) or string(image)
    file = mapping(part.get("file"))
    source = mapping(part.get("source"))
    if url and url[:5].lower() != "data:":
        raise refused(f"{where}.image_url.url", f"{SERVICE} takes images inline: send a data URI")
    for name in ("file_url", "file_id"):
        if file.get(name) is not None and file.get("file_data") is None:
            raise refused(f"{where}.file.{name}", f"{SERVICE} takes files inline: give file_data")
    if source.get("type") in ("url", "file"):
        raise refused(f"{where}.source.type", f"{SERVICE} takes documents inline, as base64")


class StreamToChat:
    """Takes Anthropic's events out of their frames. `error`, `error_status` and `is_done` are those
    of the events."""

    __slots__ = ("_events", "_splitter")

    def __init__(self, *, model: str, created: int, id: str) -> None:
        self._splitter = EventStreamSplitter()
        self._events = anthropic.StreamToChat(model=model, created=created, id=id)

    @property
    def error(self) -> Json | None:
        return self._events.error

    @property
    def error_status(self) -> int:
        return self._events.error_status

    @property
    def is_done(self) -> bool:
        return self._events.is_done

    def feed(self, data: bytes) -> bytes:
        was_broken = bool(self._splitter.problem)
        lines = []
        for message in self._splitter.feed(data):
            name = name_of(message)
            if name != CHUNK and not name.startswith("!"):
                continue
            value, problem = read_json(message.payload)
            event = None if problem else _event_of(name, mapping(value))
            if event is None:
                event = _error_event("api_error", DAMAGED)
            lines.append(b"data: " + event + b"\n\n")
        if self._splitter.problem and not was_broken:
            lines.append(b"data: " + _error_event("api_error", DAMAGED) + b"\n\n")
        return self._events.feed(b"".join(lines))

    def finish(self) -> bytes:
        """Half a frame is a cut: what was in it is not known, and no end is made up."""
        return self._events.finish()


def _event_of(name: str, value: Json) -> bytes | None:
    """The JSON of Anthropic's event that a frame carries; None where it carries none."""
    if name.startswith("!"):
        status, parts = exception_parts(name, value)
        return _error_event(STATUS_TYPES.get(status, "api_error"), parts.message)
    try:
        data = base64.b64decode(string(value.get("bytes")), validate=True)
    except (binascii.Error, ValueError):
        return None
    # Line breaks lie between the tokens of JSON, and would end the line here.
    return data.replace(b"\r", b" ").replace(b"\n", b" ") or None


def _error_event(kind: str, message: str) -> bytes:
    return encode({"type": "error", "error": {"type": kind, "message": message}})
