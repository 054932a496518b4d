"""Streams between dialects: the JSON of each event that comes in, the chunks that go out.

Any way of cutting the bytes gives the same events. What is no JSON or beyond the bound breaks the
stream, in words: nothing is skipped in silence.
"""

from appliance.core.json_reader import read_json
from appliance.core.sse import EVENT_BYTES_MAX, Event, SseSplitter
from appliance.providers.dialects.common import Json, encode

DONE = b"data: [DONE]\n\n"
DONE_DATA = b"[DONE]"
MALFORMED = "the provider's stream holds an event that is not JSON"
OVERSIZED = "the provider's stream holds an event above the limit of 16 MiB"


class JsonEvents:
    """Bytes in, the JSON object of each event out, None for `[DONE]`.

    `broken` is empty until an event cannot be read; then it says why, and no more comes out.
    """

    __slots__ = ("_pending_bytes", "_splitter", "broken")

    def __init__(self) -> None:
        self._splitter = SseSplitter()
        self._pending_bytes = 0  # at most so many belong to an event that has not ended
        self.broken = ""

    def feed(self, data: bytes) -> list[Json | None]:
        self._pending_bytes += len(data)
        if self._pending_bytes > EVENT_BYTES_MAX:
            return self._feed_lines(data)
        events = self._splitter.feed(data)
        if events:
            self._pending_bytes = len(data)
        return self._read(events, at_end=False)

    def _feed_lines(self, data: bytes) -> list[Json | None]:
        """Line by line, where one may be too much: nothing that follows it may come out."""
        found: list[Json | None] = []
        for line in data.splitlines(keepends=True):
            if self.broken:
                break
            found += self._read(self._splitter.feed(line), at_end=False)
        return found

    def finish(self) -> list[Json | None]:
        """What the end left without its blank line. Half an event is a cut, not a fault of form."""
        return self._read(self._splitter.finish(), at_end=True)

    def _read(self, events: list[Event], *, at_end: bool) -> list[Json | None]:
        found: list[Json | None] = []
        if self.broken:
            return found
        for event in events:
            data = event.data
            if data[:6] == DONE_DATA:
                found.append(None)
                continue
            if not data or data.isspace():
                continue
            value, problem = read_json(data)
            if not problem and type(value) is dict:
                found.append(value)
            elif not at_end:
                self.broken = MALFORMED
                return found
        if self._splitter.oversized:
            self.broken = OVERSIZED
        return found


class ChunkWriter:
    """Writes the chunks of one chat stream; what they have in common is encoded once."""

    __slots__ = ("_content", "_head", "_reasoning")

    def __init__(self, *, id: str, model: str, created: int) -> None:
        head = encode({
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "system_fingerprint": "",
        })  # fmt: skip
        self._head = b"data: " + head[:-1] + b',"choices":['
        choice = self._head + b'{"index":0,"delta":{'
        self._content = choice + b'"content":'
        self._reasoning = choice + b'"reasoning":'

    def content(self, text: str) -> bytes:
        return self._content + encode(text) + b'},"finish_reason":null}]}\n\n'

    def reasoning(self, text: str) -> bytes:
        return self._reasoning + encode(text) + b'},"finish_reason":null}]}\n\n'

    def delta(self, delta: Json, finish_reason: str | None = None, **more: object) -> bytes:
        """Any other piece of the message; `more` are further fields of the choice."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, **more}
        return self._head + encode(choice) + b"]}\n\n"

    def tool_call(self, index: int, id: str, name: str) -> bytes:
        """The first piece of a call; its arguments follow."""
        function = {"name": name, "arguments": ""}
        call = {"index": index, "id": id, "type": "function", "function": function}
        return self.delta({"tool_calls": [call]})

    def arguments(self, index: int, piece: str) -> bytes:
        return self.delta({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})

    def usage(self, usage: Json, **more: object) -> bytes:
        """The chunk without choices that carries the usage; `more` are further fields of it."""
        tail = encode({"usage": usage, **more})
        return self._head + b"]," + tail[1:] + b"\n\n"


def error_event(error: Json) -> bytes:
    """An error in a chat stream, as SDKs raise it: `{"error": {...}}`."""
    return b"data: " + encode(error) + b"\n\n"


def named_event(name: str, data: Json) -> bytes:
    """An event with its name on a line of its own, as Anthropic and Responses write them."""
    return b"event: " + name.encode() + b"\ndata: " + encode(data) + b"\n\n"
