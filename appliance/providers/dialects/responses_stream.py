"""The events of a Responses stream as chat chunks, written as they come.

`[DONE]` follows `response.completed` or `response.incomplete` and nothing else.
"""

from collections.abc import Callable

from appliance.providers.dialects.common import Json, mapping, string
from appliance.providers.dialects.common_errors import ErrorParts, chat_error, parts_of
from appliance.providers.dialects.common_stream import DONE, ChunkWriter, JsonEvents, error_event
from appliance.providers.dialects.responses_reply import (
    PART_BREAK,
    Said,
    call_of,
    error_status,
    finish_reason,
    usage_to_chat,
)


class StreamToChat:
    """`error` is the error that ended the stream, `error_status` its status; `is_done` that the
    provider said its last word."""

    __slots__ = (
        "_calls",
        "_characters",
        "_events",
        "_has_thought",
        "_offsets",
        "_said",
        "_with_pieces",
        "_write",
        "error",
        "error_status",
        "is_done",
    )

    def __init__(self, *, model: str, created: int, id: str) -> None:
        self._events = JsonEvents()
        self._write = ChunkWriter(id=id, model=model, created=created)
        self._said = Said()
        self._calls: dict[int, int] = {}  # output index -> number of the call
        self._with_pieces: set[int] = set()
        self._characters = 0
        self._offsets: dict[tuple[int, int], int] = {}  # where a part's text begins in the whole
        self._has_thought = False
        self.error: Json | None = None
        self.error_status = 0
        self.is_done = False

    def feed(self, data: bytes) -> bytes:
        return self._translate(self._events.feed(data))

    def finish(self) -> bytes:
        return self._translate(self._events.finish())

    def _translate(self, events: list[Json | None]) -> bytes:
        out = []
        for event in events:
            if event is None or self.is_done or self.error is not None:
                continue
            take = TAKERS.get(string(event.get("type")))
            if take is not None:
                out.append(take(self, event))
        if self._events.broken and not self.is_done and self.error is None:
            out.append(self._fail(ErrorParts(self._events.broken, "", "malformed_stream")))
        return b"".join(out)

    def _fail(self, parts: ErrorParts) -> bytes:
        self.error_status = 500 if self._events.broken else error_status(parts.code)
        self.error = chat_error(self.error_status, parts)
        return error_event(self.error)

    def _take_error(self, event: Json) -> bytes:
        return self._fail(parts_of(event))

    def _take_failure(self, event: Json) -> bytes:
        return self._fail(parts_of(mapping(event.get("response"))))

    def _take_start(self, event: Json) -> bytes:
        return self._write.delta({"role": "assistant", "content": ""})

    def _take_item(self, event: Json) -> bytes:
        call = call_of(mapping(event.get("item")))
        at = event.get("output_index")
        if call is None or type(at) is not int:
            return b""
        number = self._calls[at] = len(self._calls)
        if call["type"] == "function":
            return self._write.tool_call(number, call["id"], call["function"]["name"])
        custom = {"name": call["custom"]["name"], "input": ""}
        piece = {"index": number, "id": call["id"], "type": "custom", "custom": custom}
        return self._write.delta({"tool_calls": [piece]})

    def _take_text(self, event: Json) -> bytes:
        text = string(event.get("delta"))
        self._offsets.setdefault(part_of(event), self._characters)
        self._characters += len(text)
        logprobs = event.get("logprobs")
        if logprobs:
            return self._write.delta({"content": text}, logprobs={"content": logprobs})
        return self._write.content(text) if text else b""

    def _take_refusal(self, event: Json) -> bytes:
        text = string(event.get("delta"))
        return self._write.delta({"refusal": text}) if text else b""

    def _take_thought(self, event: Json) -> bytes:
        text = string(event.get("delta"))
        if not text:
            return b""
        self._has_thought = True
        return self._write.reasoning(text)

    def _take_thought_part(self, event: Json) -> bytes:
        return self._write.reasoning(PART_BREAK) if self._has_thought else b""

    def _take_arguments(self, event: Json) -> bytes:
        return self._piece(event.get("output_index"), "arguments", string(event.get("delta")))

    def _take_custom_input(self, event: Json) -> bytes:
        return self._piece(event.get("output_index"), "input", string(event.get("delta")))

    def _piece(self, at: object, name: str, text: str) -> bytes:
        if type(at) is not int or at not in self._calls or not text:
            return b""
        self._with_pieces.add(at)
        number = self._calls[at]
        if name == "arguments":
            return self._write.arguments(number, text)
        return self._write.delta({"tool_calls": [{"index": number, "custom": {"input": text}}]})

    def _take_annotation(self, event: Json) -> bytes:
        offset = self._offsets.get(part_of(event), self._characters)
        self._said.annotate(mapping(event.get("annotation")), offset)
        return b""

    def _take_item_end(self, event: Json) -> bytes:
        """What is only known at the end of an item: signatures, images, arguments said at once."""
        item = mapping(event.get("item"))
        kind = item.get("type")
        if kind == "reasoning":
            self._said.take_reasoning(item)
        elif kind == "image_generation_call":
            self._said.take_image(item)
        elif kind == "search_results":
            self._said.take_results(item)
        elif part_of(event)[0] not in self._with_pieces:
            call = call_of(item)
            if call is not None:
                name = "arguments" if call["type"] == "function" else "input"
                return self._piece(event.get("output_index"), name, call[call["type"]][name])
        return b""

    def _sign(self, output: object) -> None:
        """Signatures that were not known when their item ended: gateways behind which a chat
        stream runs learn of them last."""
        unsigned = {string(d.get("id")): d for d in self._said.details if not d["signature"]}
        for item in output if unsigned and type(output) is list else ():
            if type(item) is dict and item.get("type") == "reasoning":
                detail = unsigned.get(string(item.get("id")))
                if detail is not None:
                    detail["signature"] = string(item.get("encrypted_content"))

    def _take_end(self, event: Json) -> bytes:
        self.is_done = True
        reply = mapping(event.get("response"))
        self._sign(reply.get("output"))
        last: Json = {}
        self._said.put_notes(last)
        reason = finish_reason(reply, has_calls=bool(self._calls))
        tier = reply.get("service_tier")
        more = {"service_tier": tier} if tier else {}
        usage = usage_to_chat(mapping(reply.get("usage")))
        return self._write.delta(last, reason) + self._write.usage(usage, **more) + DONE


def part_of(event: Json) -> tuple[int, int]:
    """Which item, and which part of it, an event is about."""
    item, part = event.get("output_index"), event.get("content_index")
    return item if type(item) is int else 0, part if type(part) is int else 0


TAKERS: dict[str, Callable[[StreamToChat, Json], bytes]] = {
    "response.created": StreamToChat._take_start,
    "response.output_item.added": StreamToChat._take_item,
    "response.output_text.delta": StreamToChat._take_text,
    "response.refusal.delta": StreamToChat._take_refusal,
    "response.reasoning_summary_text.delta": StreamToChat._take_thought,
    "response.reasoning_text.delta": StreamToChat._take_thought,
    "response.reasoning_summary_part.added": StreamToChat._take_thought_part,
    "response.function_call_arguments.delta": StreamToChat._take_arguments,
    "response.custom_tool_call_input.delta": StreamToChat._take_custom_input,
    "response.output_text.annotation.added": StreamToChat._take_annotation,
    "response.output_item.done": StreamToChat._take_item_end,
    "response.completed": StreamToChat._take_end,
    "response.incomplete": StreamToChat._take_end,
    "response.failed": StreamToChat._take_failure,
    "error": StreamToChat._take_error,
}
