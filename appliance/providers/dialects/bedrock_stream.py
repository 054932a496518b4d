"""Bedrock's ConverseStream as chat chunks: binary frames in, events out, whatever way the bytes are
cut.

`[DONE]` follows the stop event: its usage comes right after, and a body that ends between the two
has said all but that.
"""

from collections.abc import Callable
from typing import Final

from appliance.core.eventstream import EventStreamSplitter, Message
from appliance.core.json_reader import read_json
from appliance.core.usage.bedrock import converse
from appliance.providers.dialects.anthropic_reply import Collected
from appliance.providers.dialects.bedrock_reply import citation_of, finish, tier_of
from appliance.providers.dialects.common import Json, mapping, string
from appliance.providers.dialects.common_errors import ErrorParts, chat_error
from appliance.providers.dialects.common_stream import DONE, ChunkWriter, error_event
from appliance.providers.dialects.common_usage import chat_usage

DAMAGED: Final = "the provider's stream holds a frame that is damaged"
NOT_JSON: Final = "the provider's stream holds an event that is not JSON"
# The status that an exception within a stream would have had.
EXCEPTIONS: Final = {
    "throttlingexception": 429,
    "validationexception": 400,
    "accessdeniedexception": 403,
    "resourcenotfoundexception": 404,
    "modeltimeoutexception": 408,
    "modelstreamerrorexception": 424,
    "internalserverexception": 500,
    "serviceunavailableexception": 503,
}
STATUS_DEFAULT: Final = 500


class Frames:
    """Frames of a stream as named JSON objects. `broken` says why no more come."""

    __slots__ = ("_splitter", "broken")

    def __init__(self) -> None:
        self._splitter = EventStreamSplitter()
        self.broken = ""

    def feed(self, data: bytes) -> list[tuple[str, Json]]:
        found: list[tuple[str, Json]] = []
        if self.broken:
            return found
        for message in self._splitter.feed(data):
            name = name_of(message)
            value, problem = read_json(message.payload)
            if problem or type(value) is not dict:
                self.broken = NOT_JSON
                return found
            found.append((name, value))
        if self._splitter.problem:
            self.broken = DAMAGED
        return found

    def is_whole(self) -> bool:
        """At the end of the bytes: whether no frame is unfinished."""
        return not self.broken and not self._splitter.finish()


def name_of(message: Message) -> str:
    """The event's type, or the exception's with a mark before it."""
    headers = message.headers
    if headers.get(":message-type", "event") == "event":
        return headers.get(":event-type", "")
    return "!" + (headers.get(":exception-type") or headers.get(":error-code") or "exception")


def exception_parts(name: str, value: Json) -> tuple[int, ErrorParts]:
    """What an exception's frame says, and the status that it would have had."""
    word = name.removeprefix("!")
    status = EXCEPTIONS.get(word.lower(), STATUS_DEFAULT)
    message = string(value.get("message")) or string(value.get("originalMessage"))
    return status, ErrorParts(message or word, code=word)


class StreamToChat:
    """`error` is the error that ended the stream, `error_status` its status; `is_done` that the
    provider said its last word."""

    __slots__ = (
        "_calls",
        "_characters",
        "_cited",
        "_collected",
        "_frames",
        "_stopped",
        "_thoughts",
        "_write",
        "error",
        "error_status",
        "is_done",
    )

    def __init__(self, *, model: str, created: int, id: str) -> None:
        self._frames = Frames()
        self._write = ChunkWriter(id=id, model=model, created=created)
        self._collected = Collected()
        self._calls: dict[int, tuple[int, bool]] = {}  # block -> number, whether input came
        self._thoughts: dict[int, Json] = {}  # block -> its thought so far
        self._characters: dict[int, int] = {}  # block -> how much text
        self._cited: dict[int, list[Json]] = {}
        self._stopped = False
        self.error: Json | None = None
        self.error_status = 0
        self.is_done = False

    def feed(self, data: bytes) -> bytes:
        out = []
        for name, value in self._frames.feed(data):
            if self.is_done or self.error is not None:
                break
            if name.startswith("!"):
                out.append(self._fail(*exception_parts(name, value)))
                continue
            take = TAKERS.get(name)
            if take is not None:
                out.append(take(self, value))
        if self._frames.broken and not self.is_done and self.error is None:
            parts = ErrorParts(self._frames.broken, "api_error", "malformed_stream")
            out.append(self._fail(STATUS_DEFAULT, parts))
        return b"".join(out)

    def finish(self) -> bytes:
        if self._stopped and not self.is_done and self.error is None and self._frames.is_whole():
            self.is_done = True
            return DONE
        return b""

    def _fail(self, status: int, parts: ErrorParts) -> bytes:
        self.error_status = status
        self.error = chat_error(status, parts)
        return error_event(self.error)

    def _take_start(self, event: Json) -> bytes:
        return self._write.delta({"role": "assistant", "content": ""})

    def _take_block(self, event: Json) -> bytes:
        call = mapping(mapping(event.get("start")).get("toolUse"))
        if not call:
            return b""
        number = len(self._calls)
        self._calls[_index(event)] = number, False
        return self._write.tool_call(
            number, string(call.get("toolUseId")), string(call.get("name"))
        )

    def _take_delta(self, event: Json) -> bytes:
        index, delta = _index(event), mapping(event.get("delta"))
        text = string(delta.get("text"))
        if text:
            self._characters[index] = self._characters.get(index, 0) + len(text)
            return self._write.content(text)
        piece = string(mapping(delta.get("toolUse")).get("input"))
        if piece and index in self._calls:
            number = self._calls[index][0]
            self._calls[index] = number, True
            return self._write.arguments(number, piece)
        citation = mapping(delta.get("citation"))
        if citation:
            self._cited.setdefault(index, []).append(citation_of(citation))
        return self._take_thought(index, mapping(delta.get("reasoningContent")))

    def _take_thought(self, index: int, delta: Json) -> bytes:
        if not delta:
            return b""
        kept = self._thoughts.setdefault(index, {"text": [], "signature": "", "data": ""})
        kept["signature"] += string(delta.get("signature"))
        kept["data"] += string(delta.get("redactedContent"))
        text = string(delta.get("text"))
        if not text:
            return b""
        kept["text"].append(text)
        return self._write.reasoning(text)

    def _take_block_end(self, event: Json) -> bytes:
        index = _index(event)
        kept = self._thoughts.pop(index, None)
        if kept is not None and kept["data"]:
            self._collected.think({"type": "redacted_thinking", "data": kept["data"]})
        elif kept is not None:
            thinking = "".join(kept["text"])
            self._collected.think(
                {"type": "thinking", "thinking": thinking, "signature": kept["signature"]}
            )
        if index in self._characters:
            self._collected.cite(self._cited.pop(index, None), self._characters.pop(index))
        number, has_input = self._calls.get(index, (0, True))
        return b"" if has_input else self._write.arguments(number, "{}")

    def _take_stop(self, event: Json) -> bytes:
        self._stopped = True
        last: Json = {}
        self._collected.put(last)
        last.pop("reasoning", None)  # it went out piece by piece
        reason, more = finish(event, has_calls=bool(self._calls))
        return self._write.delta(last, reason, **more)

    def _take_metadata(self, event: Json) -> bytes:
        if not self._stopped:
            return b""
        self.is_done = True
        usage = chat_usage(converse(mapping(event.get("usage"))))
        return self._write.usage(usage, **tier_of(event)) + DONE


def _index(event: Json) -> int:
    """Which block an event is about."""
    index = event.get("contentBlockIndex")
    return index if type(index) is int else -1


TAKERS: dict[str, Callable[[StreamToChat, Json], bytes]] = {
    "messageStart": StreamToChat._take_start,
    "contentBlockStart": StreamToChat._take_block,
    "contentBlockDelta": StreamToChat._take_delta,
    "contentBlockStop": StreamToChat._take_block_end,
    "messageStop": StreamToChat._take_stop,
    "metadata": StreamToChat._take_metadata,
}
