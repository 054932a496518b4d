"""Chat chunks as Anthropic's stream of events: one block after the other, each begun and ended.

`message_stop` follows `[DONE]` and nothing else. Counts come last in chat streams, so the message
begins with zeros and its end has the totals, which is what SDKs go by.
"""

from appliance.providers.dialects.anthropic_outbound import (
    citations,
    error_from_chat,
    message_id,
    stop,
    thought,
    usage_from_chat,
)
from appliance.providers.dialects.common import (
    Json,
    encode,
    mapping,
    own_call_id,
    reasoning_details,
    string,
)
from appliance.providers.dialects.common_stream import JsonEvents, named_event

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
STOPPED = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n'
)
ENDED = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
STARTED: Json = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


class StreamFromChat:
    """`is_done` is true when the stream ended honestly, `error` the error that broke it."""

    __slots__ = (
        "_called",
        "_calls",
        "_choice",
        "_events",
        "_has_refused",
        "_id",
        "_model",
        "_next",
        "_open",
        "_open_index",
        "_started",
        "_text_at",
        "_thoughts",
        "_tier",
        "_usage",
        "error",
        "is_done",
    )

    def __init__(self, *, model: str = "") -> None:
        """`model` is what the client asked for; without it the chunks' own name is told."""
        self._model = model
        self._events = JsonEvents()
        self._started = False
        self._id = ""
        self._next = 0
        self._open = ""  # the kind of the block that is open, with a call's number
        self._open_index = -1
        self._calls: dict[int, tuple[str, int]] = {}  # by number: id, index of the block
        self._called = 0
        self._thoughts: list[int] = []
        self._text_at = -1
        self._choice: Json = {}
        self._has_refused = False
        self._usage: Json = {}
        self._tier: object = None
        self.error: Json | None = None
        self.is_done = False

    def feed(self, data: bytes) -> bytes:
        return self._translate(self._events.feed(data))

    def finish(self) -> bytes:
        """A stream that ended without `[DONE]` gets no `message_stop`; why it stopped is told
        where it is known."""
        out = [self._translate(self._events.finish())]
        if not self.is_done and self.error is None and self._choice:
            self._end(out)
        return b"".join(out)

    def _translate(self, events: list[Json | None]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self.is_done or self.error is not None:
                break
            if event is None:
                self._begin(out, {})
                self._end(out)
                out.append(STOPPED)
                self.is_done = True
            elif event.get("error"):
                self._fail(out, event)
            else:
                self._take(out, event)
        if self._events.broken and not self.is_done and self.error is None:
            self._fail(out, {"error": {"type": "api_error", "message": self._events.broken}})
        return b"".join(out)

    def _fail(self, out: list[bytes], event: Json) -> None:
        _, self.error = error_from_chat(500, event)
        out.append(named_event("error", self.error))

    def _take(self, out: list[bytes], chunk: Json) -> None:
        if type(chunk.get("usage")) is dict:
            self._usage = chunk["usage"]
        if not (self._started or chunk.get("id") or chunk.get("choices")):
            return  # Azure's word about the prompt comes before the reply has a name
        self._begin(out, chunk)
        self._tier = chunk.get("service_tier") or self._tier
        choices = chunk.get("choices")
        for choice in choices if type(choices) is list else ():
            if type(choice) is not dict or choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta")
            if type(delta) is dict:
                self._take_delta(out, delta)
            if choice.get("finish_reason"):
                self._choice = choice

    def _begin(self, out: list[bytes], chunk: Json) -> None:
        if self._started:
            return
        self._started = True
        self._id = string(chunk.get("id"))
        usage = usage_from_chat(mapping(chunk.get("usage")))
        message: Json = {
            "id": message_id(chunk),
            "type": "message",
            "role": "assistant",
            "model": self._model or string(chunk.get("model")),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        out.append(named_event("message_start", {"type": "message_start", "message": message}))

    def _take_delta(self, out: list[bytes], delta: Json) -> None:
        thinking = string(delta.get("reasoning")) or string(delta.get("reasoning_content"))
        if thinking:
            self._piece(out, "thinking", {"type": "thinking_delta", "thinking": thinking})
        text = string(delta.get("content"))
        if text:
            self._piece(out, "text", {"type": "text_delta", "text": text})
        text = string(delta.get("refusal"))
        if text:
            self._has_refused = True
            self._piece(out, "text", {"type": "text_delta", "text": text})
        if delta.get("annotations"):
            for citation in citations(delta["annotations"]):
                self._cite(out, {"type": "citations_delta", "citation": citation})
        if delta.get("reasoning_details"):
            self._sign(out, reasoning_details(delta))
        calls = delta.get("tool_calls")
        for call in calls if type(calls) is list else ():
            if type(call) is dict:
                self._take_call(out, call)

    def _piece(self, out: list[bytes], kind: str, delta: Json) -> None:
        if self._open != kind:
            self._start(out, kind, STARTED[kind])
            if kind == "thinking":
                self._thoughts.append(self._open_index)
            else:
                self._text_at = self._open_index
        out.append(DELTA % (self._open_index, encode(delta)))

    def _cite(self, out: list[bytes], delta: Json) -> None:
        """Citations come at the end of chat streams, when the text they belong to may be over."""
        if self._text_at < 0:
            self._piece(out, "text", delta)
        else:
            out.append(DELTA % (self._text_at, encode(delta)))

    def _start(self, out: list[bytes], kind: str, block: Json) -> None:
        self._close(out)
        self._open, self._open_index = kind, self._next
        self._next += 1
        event = {"type": "content_block_start", "index": self._open_index, "content_block": block}
        out.append(named_event("content_block_start", event))
        if self._open_index == 0:
            out.append(PING)

    def _close(self, out: list[bytes]) -> None:
        if self._open:
            out.append(ENDED % self._open_index)
            self._open = ""

    def _take_call(self, out: list[bytes], call: Json) -> None:
        number = call.get("index", 0)
        number = number if type(number) is int else 0
        function = mapping(call.get("function"))
        id = string(call.get("id"))
        known = self._calls.get(number)
        # Some services give all calls one number, or none: then the id tells them apart.
        if known is None or (id and id != known[0]):
            block = {
                "type": "tool_use",
                "id": own_call_id(call, self._called, self._id),
                "name": string(function.get("name")),
                "input": {},
            }
            self._start(out, f"tool_use {self._called}", block)
            known = self._calls[number] = (id, self._open_index)
            self._called += 1
        piece = string(function.get("arguments"))
        if piece:
            # Pieces of calls may be mixed: each goes to its own block, also when that was closed.
            delta = {"type": "input_json_delta", "partial_json": piece}
            out.append(DELTA % (known[1], encode(delta)))

    def _sign(self, out: list[bytes], details: list[Json]) -> None:
        """Signatures come at the end of chat streams, in the order of the thoughts."""
        places = iter(self._thoughts)
        for detail in details:
            if "data" in detail:
                self._start(out, "redacted", thought(detail))
                continue
            at = next(places, None)
            if at is None:
                self._start(out, "signed", STARTED["thinking"])
                at = self._open_index
                delta = {"type": "thinking_delta", "thinking": string(detail.get("thinking"))}
                out.append(DELTA % (at, encode(delta)))
            if detail.get("signature"):
                signature = {"type": "signature_delta", "signature": detail["signature"]}
                out.append(DELTA % (at, encode(signature)))

    def _end(self, out: list[bytes]) -> None:
        self._close(out)
        event = {
            "type": "message_delta",
            "delta": stop(self._choice, has_refused=self._has_refused, has_calls=bool(self._calls)),
            "usage": usage_from_chat(self._usage, self._tier),
        }
        out.append(named_event("message_delta", event))
