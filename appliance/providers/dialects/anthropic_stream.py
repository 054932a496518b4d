"""Anthropic's stream of events as chat chunks, written as they come (`proxy.md 11.2`).

`[DONE]` follows `message_stop` and nothing else: a stream that was cut ends without it, one that
broke ends with an error event.
"""

from collections.abc import Callable

from appliance.providers.dialects.anthropic_reply import (
    Collected,
    annotation,
    finish,
    refusal_text,
    tier_of,
    usage_to_chat,
)
from appliance.providers.dialects.common import Json, mapping, string, to_json
from appliance.providers.dialects.common_errors import ErrorParts, chat_error, parts_of
from appliance.providers.dialects.common_stream import DONE, ChunkWriter, JsonEvents, error_event

# The status that an error within a stream would have had (Anthropic's documentation of errors).
ERROR_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class StreamToChat:
    """`error` is the error that ended the stream, `error_status` its status; `is_done` that the
    provider said its last word."""

    __slots__ = (
        "_block",
        "_calls",
        "_characters",
        "_cited",
        "_collected",
        "_events",
        "_index",
        "_places",
        "_signature",
        "_silent",
        "_thoughts",
        "_usage",
        "_write",
        "error",
        "error_status",
        "is_done",
    )

    def __init__(self, *, model: str, created: int, id: str) -> None:
        self._events = JsonEvents()
        self._write = ChunkWriter(id=id, model=model, created=created)
        self._collected = Collected()
        # Of the block that is open: how it began, what its deltas brought.
        self._block: Json = {}
        self._characters = 0
        self._cited: list[object] = []
        self._signature = ""
        self._thoughts: list[str] = []
        self._index = -1
        self._places: dict[int, Json | tuple[int, int]] = {}  # of blocks that are over
        self._calls: dict[int, int] = {}  # index of the block -> number of the call
        self._silent: dict[int, str] = {}  # calls without a piece so far, and what they began with
        self._usage: Json = {}
        self.error: Json | None = None
        self.error_status = 0
        self.is_done = False

    def feed(self, data: bytes) -> bytes:
        return self.feed_events(self._events.feed(data))

    def finish(self) -> bytes:
        return self.feed_events(self._events.finish())

    def feed_events(self, events: list[Json | None]) -> bytes:
        """The same for events that came in other frames (`proxy.md 11.2`, Bedrock)."""
        out = []
        for event in events:
            if event is None or self.is_done or self.error is not None:
                continue
            take = TAKERS.get(string(event.get("type")))
            if take is not None:
                out.append(take(self, event))
        if self._events.broken and not self.is_done and self.error is None:
            out.append(self._fail(ErrorParts(self._events.broken, "api_error", "malformed_stream")))
        return b"".join(out)

    def _fail(self, parts: ErrorParts) -> bytes:
        self.error_status = ERROR_STATUS.get(parts.type, 500)
        self.error = chat_error(self.error_status, parts)
        return error_event(self.error)

    def _take_error(self, event: Json) -> bytes:
        return self._fail(parts_of(event))

    def _take_start(self, event: Json) -> bytes:
        self._usage.update(mapping(mapping(event.get("message")).get("usage")))
        return self._write.delta({"role": "assistant", "content": ""})

    def _take_block(self, event: Json) -> bytes:
        """A block begins; some services put all of it into its beginning."""
        self._block = block = mapping(event.get("content_block"))
        self._index = index_of(event)
        self._cited = []
        self._thoughts = []
        self._signature = string(block.get("signature"))
        self._characters = 0
        kind = block.get("type")
        if kind == "tool_use":
            number = self._calls[self._index] = len(self._calls)
            self._silent[number] = to_json(block.get("input") or {})
            return self._write.tool_call(number, string(block.get("id")), string(block.get("name")))
        if kind == "text":
            return self._take_text(string(block.get("text")))
        if kind == "thinking":
            return self._take_thought(string(block.get("thinking")))
        return b""

    def _take_delta(self, event: Json) -> bytes:
        delta = mapping(event.get("delta"))
        kind = delta.get("type")
        if kind == "text_delta":
            return self._take_text(string(delta.get("text")))
        if kind == "input_json_delta":
            return self._take_arguments(index_of(event), string(delta.get("partial_json")))
        if kind == "thinking_delta":
            return self._take_thought(string(delta.get("thinking")))
        if not self._block or index_of(event) != self._index:
            self._take_late(index_of(event), delta)
        elif kind == "signature_delta":
            self._signature += string(delta.get("signature"))
        elif kind == "citations_delta":
            self._cited.append(delta.get("citation"))
        return b""

    def _take_text(self, text: str) -> bytes:
        self._characters += len(text)
        return self._write.content(text) if text else b""

    def _take_thought(self, thought: str) -> bytes:
        self._thoughts.append(thought)
        return self._write.reasoning(thought) if thought else b""

    def _take_arguments(self, index: int, piece: str) -> bytes:
        number = self._calls.get(index)
        if number is None or not piece:
            return b""
        self._silent.pop(number, None)
        return self._write.arguments(number, piece)

    def _take_late(self, index: int, delta: Json) -> None:
        """Signatures and citations for a block that is over: gateways behind which a chat stream
        runs learn of them at its end."""
        place = self._places.get(index)
        if isinstance(place, tuple):
            citation = delta.get("citation")
            if type(citation) is dict:
                self._collected.annotations.append(annotation(citation, *place))
        elif place is not None and delta.get("signature"):
            place["signature"] = string(delta["signature"])

    def _take_block_end(self, event: Json) -> bytes:
        block, self._block = self._block, {}
        collected = self._collected
        kind = block.get("type")
        if kind == "text":
            given = block.get("citations")
            cited = self._cited if type(given) is not list else given + self._cited
            start = collected.text_characters
            collected.cite(cited, self._characters)
            self._places[self._index] = (start, collected.text_characters)
        elif kind == "thinking":
            thinking = "".join(self._thoughts)
            collected.think({**block, "thinking": thinking, "signature": self._signature})
            self._places[self._index] = collected.details[-1]
        else:
            collected.think(block)
        return b""

    def _take_message_delta(self, event: Json) -> bytes:
        usage = event.get("usage")
        if type(usage) is dict:
            # Counts are repeated as totals; a zero or null does not undo what was said before.
            self._usage.update({name: value for name, value in usage.items() if value})
        delta = mapping(event.get("delta"))
        if not delta.get("stop_reason"):
            return b""
        last: Json = {}
        self._collected.put(last)
        last.pop("reasoning", None)  # it went out piece by piece
        finish_reason, more = finish(delta)
        text = refusal_text(delta)
        if finish_reason == "content_filter" and text is not None:
            last["refusal"] = text
        return self._end_silent() + self._write.delta(last, finish_reason, **more)

    def _end_silent(self) -> bytes:
        """Calls that came without input, or with all of it at their beginning."""
        out = [self._write.arguments(*call) for call in self._silent.items()]
        self._silent.clear()
        return b"".join(out)

    def _take_stop(self, event: Json) -> bytes:
        self.is_done = True
        tier = tier_of(self._usage)
        more = {"service_tier": tier} if tier else {}
        last = self._write.usage(usage_to_chat(self._usage), **more) + DONE
        return self._end_silent() + last


def index_of(event: Json) -> int:
    """Which block an event is about."""
    index = event.get("index")
    return index if type(index) is int else -1


TAKERS: dict[str, Callable[[StreamToChat, Json], bytes]] = {
    "message_start": StreamToChat._take_start,
    "content_block_start": StreamToChat._take_block,
    "content_block_delta": StreamToChat._take_delta,
    "content_block_stop": StreamToChat._take_block_end,
    "message_delta": StreamToChat._take_message_delta,
    "message_stop": StreamToChat._take_stop,
    "error": StreamToChat._take_error,
}
