"""Chat chunks as the events of a Responses stream, in the order that OpenAI's SDKs expect
(`proxy.md 11.6`).

`response.completed` or `response.incomplete` follows `[DONE]` and nothing else; an error in the
chunks becomes `response.failed`.
"""

from appliance.providers.dialects.common import Json, mapping, reasoning_details, string
from appliance.providers.dialects.common_errors import parts_of
from appliance.providers.dialects.common_stream import JsonEvents, named_event
from appliance.providers.dialects.responses_outbound import (
    annotations_of,
    call_item,
    image_part,
    item_status,
    put_end,
    reasoning_item,
    response_head,
    sign,
    usage_from_chat,
)

ERROR_CODES = {
    "rate_limit_error": "rate_limit_exceeded",
    "rate_limit_exceeded": "rate_limit_exceeded",
}
# Where a call is in the output, its item, the pieces of its input.
Call = tuple[int, Json, list[str]]


class StreamFromChat:
    """`is_done` is true when the stream ended honestly, `error` the error that broke it."""

    __slots__ = (
        "_called",
        "_calls",
        "_events",
        "_finish_reason",
        "_item",
        "_item_at",
        "_messages",
        "_open_calls",
        "_out",
        "_part",
        "_pieces",
        "_request",
        "_response",
        "_sequence",
        "_text",
        "_text_place",
        "_thoughts",
        "_tier",
        "_usage",
        "error",
        "is_done",
    )

    def __init__(self, *, request: Json | None = None) -> None:
        """`request` is the client's body: a response repeats its settings."""
        self._request = request or {}
        self._events = JsonEvents()
        self._out: list[bytes] = []
        self._sequence = 0
        self._response: Json = {}
        self._item: Json = {}  # the reasoning or message item that is open
        self._item_at = 0
        self._part: Json = {}  # and its open part
        self._pieces: list[str] = []
        self._text: Json = {}  # the latest text, which citations at the end belong to
        self._text_place: Json = {}
        self._thoughts: list[Json] = []
        self._messages = 0
        self._calls: dict[int, Call] = {}
        self._called = 0
        self._open_calls: list[Call] = []
        self._finish_reason = ""
        self._usage: Json = {}
        self._tier: object = None
        self.error: Json | None = None
        self.is_done = False

    def feed(self, data: bytes) -> bytes:
        return self._translate(self._events.feed(data))

    def finish(self) -> bytes:
        return self._translate(self._events.finish())

    def _translate(self, events: list[Json | None]) -> bytes:
        for event in events:
            if self.is_done or self.error is not None:
                break
            if event is None:
                self._end()
            elif event.get("error"):
                self._fail(event)
            else:
                self._take(event)
        if self._events.broken and not self.is_done and self.error is None:
            self._fail({"error": {"message": self._events.broken}})
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _emit(self, name: str, fields: Json) -> None:
        event = {"type": name, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        self._out.append(named_event(name, event))

    def _begin(self, chunk: Json) -> None:
        self._response = response_head(chunk, self._request)
        self._emit("response.created", {"response": self._response})
        self._emit("response.in_progress", {"response": self._response})

    def _take(self, chunk: Json) -> None:
        if type(chunk.get("usage")) is dict:
            self._usage = chunk["usage"]
        if not self._response:
            if not (chunk.get("id") or chunk.get("choices")):
                return  # Azure's word about the prompt comes before the reply has a name
            self._begin(chunk)
        self._tier = chunk.get("service_tier") or self._tier
        choices = chunk.get("choices")
        for choice in choices if type(choices) is list else ():
            if type(choice) is dict and choice.get("index", 0) == 0:
                self._take_delta(mapping(choice.get("delta")), mapping(choice.get("logprobs")))
                self._finish_reason = string(choice.get("finish_reason")) or self._finish_reason

    def _take_delta(self, delta: Json, logprobs: Json) -> None:
        text = string(delta.get("reasoning")) or string(delta.get("reasoning_content"))
        if text:
            self._take_thought(text)
        text = string(delta.get("content"))
        if text:
            self._take_text(text, logprobs.get("content") or [])
        text = string(delta.get("refusal"))
        if text:
            self._open_part("refusal")
            self._pieces.append(text)
            self._emit("response.refusal.delta", {**self._place(), "delta": text})
        for annotation in annotations_of(delta):
            self._annotate(annotation)
        images = delta.get("images")
        for image in images if type(images) is list else ():
            self._open_part("output_image", image_part(image))
        if delta.get("reasoning_details"):
            self._sign_all(reasoning_details(delta))
        calls = delta.get("tool_calls")
        for call in calls if type(calls) is list else ():
            self._take_call(mapping(call))

    def _add(self, item: Json) -> int:
        """An item begins; it stays in the response's output, where its end completes it."""
        output: list[Json] = self._response["output"]
        output.append(item)
        at = len(output) - 1
        self._emit("response.output_item.added", {"output_index": at, "item": item})
        return at

    def _place(self) -> Json:
        """Where the open part is."""
        item = self._item
        place = {"item_id": item["id"], "output_index": self._item_at}
        if item["type"] == "reasoning":
            place["summary_index"] = len(item["summary"])
        else:
            place["content_index"] = len(item["content"])
        return place

    def _take_thought(self, text: str) -> None:
        if self._item.get("type") != "reasoning":
            self._close_all()
            id = f"rs_{self._response['id']}_{len(self._thoughts)}"
            self._item = {"id": id, "type": "reasoning", "summary": [], "status": "in_progress"}
            self._thoughts.append(self._item)
            self._item_at = self._add(self._item)
            self._part = {"type": "summary_text", "text": ""}
            self._emit(
                "response.reasoning_summary_part.added", {**self._place(), "part": self._part}
            )
        self._pieces.append(text)
        self._emit("response.reasoning_summary_text.delta", {**self._place(), "delta": text})

    def _take_text(self, text: str, logprobs: list[Json]) -> None:
        self._open_part("output_text")
        self._pieces.append(text)
        if logprobs:
            self._part.setdefault("logprobs", []).extend(logprobs)
        self._emit(
            "response.output_text.delta", {**self._place(), "delta": text, "logprobs": logprobs}
        )

    def _open_part(self, kind: str, part: Json | None = None) -> None:
        if self._item.get("type") != "message":
            self._close_all()
            id = f"msg_{self._response['id']}"
            id = f"{id}_{self._messages}" if self._messages else id
            self._messages += 1
            self._item = {
                "id": id, "type": "message", "status": "in_progress", "role": "assistant",
                "content": [],
            }  # fmt: skip
            self._item_at = self._add(self._item)
        if part is None and self._part.get("type") == kind:
            return
        self._close_part()
        if part is None:
            part = {"type": "refusal", "refusal": ""}
            if kind == "output_text":
                part = {"type": "output_text", "text": "", "annotations": []}
        self._part = part
        place = self._place()
        if kind == "output_text":
            self._text, self._text_place = part, place
        self._emit("response.content_part.added", {**place, "part": part})

    def _annotate(self, annotation: Json) -> None:
        if not self._text:
            self._open_part("output_text")
        listed: list[Json] = self._text["annotations"]
        fields = {**self._text_place, "annotation_index": len(listed), "annotation": annotation}
        listed.append(annotation)
        self._emit("response.output_text.annotation.added", fields)

    def _sign_all(self, details: list[Json]) -> None:
        """Signatures come at the end of chat streams, in the order of the thoughts: the response
        that completes the stream carries them. A thought not shown is an item of its own."""
        thoughts = iter(list(self._thoughts))
        for detail in details:
            thought = None if "data" in detail else next(thoughts, None)
            if thought is not None:
                sign(thought, detail)
                continue
            self._close_all()
            id = f"rs_{self._response['id']}_{len(self._thoughts)}"
            self._item = reasoning_item(id, detail, "in_progress")
            self._thoughts.append(self._item)
            self._item_at = self._add(self._item)

    def _take_call(self, call: Json) -> None:
        number = call.get("index", 0)
        number = number if type(number) is int else 0
        id = string(call.get("id"))
        known = self._calls.get(number)
        # Some services give all calls one number, or none: then the id tells them apart.
        if known is None or (id and id != known[1]["call_id"]):
            self._close_item()
            called = self._called
            self._called += 1
            item = call_item(self._response["id"], called, call, "in_progress")
            first = "arguments" if item["type"] == "function_call" else "input"
            known = self._calls[number] = (self._add({**item, first: ""}), item, [])
            self._open_calls.append(known)
            self._piece(known, item[first])
            return
        function = mapping(call.get("function")) or mapping(call.get("custom"))
        self._piece(known, string(function.get("arguments")) or string(function.get("input")))

    def _piece(self, call: Call, text: str) -> None:
        if not text:
            return
        at, item, pieces = call
        pieces.append(text)
        name = (
            "function_call_arguments"
            if item["type"] == "function_call"
            else "custom_tool_call_input"
        )
        self._emit(
            f"response.{name}.delta", {"item_id": item["id"], "output_index": at, "delta": text}
        )

    def _close_part(self) -> None:
        part = self._part
        if not part:
            return
        text = "".join(self._pieces)
        place = self._place()
        kind = part["type"]
        if kind == "summary_text":
            part["text"] = text
            self._emit("response.reasoning_summary_text.done", {**place, "text": text})
            self._emit("response.reasoning_summary_part.done", {**place, "part": part})
            self._item["summary"].append(part)
        else:
            if kind == "output_text":
                part["text"] = text
                done = {**place, "text": text, "logprobs": part.get("logprobs", [])}
                self._emit("response.output_text.done", done)
            elif kind == "refusal":
                part["refusal"] = text
                self._emit("response.refusal.done", {**place, "refusal": text})
            self._emit("response.content_part.done", {**place, "part": part})
            self._item["content"].append(part)
        self._part = {}
        self._pieces = []

    def _close_item(self) -> None:
        if not self._item:
            return
        self._close_part()
        item = self._item
        item["status"] = "completed"
        self._emit("response.output_item.done", {"output_index": self._item_at, "item": item})
        self._item = {}

    def _close_calls(self) -> None:
        """Pieces of calls may be mixed: all are open until something else is said."""
        for at, item, pieces in self._open_calls:
            self._close_call(at, item, "".join(pieces))
        self._open_calls.clear()

    def _close_call(self, at: int, item: Json, text: str) -> None:
        place = {"item_id": item["id"], "output_index": at}
        if item["type"] == "function_call":
            item["arguments"] = text
            item["status"] = "completed"
            self._emit("response.function_call_arguments.done", {**place, "arguments": text})
        else:
            item["input"] = text
            self._emit("response.custom_tool_call_input.done", {**place, "input": text})
        self._response["output"][at] = item
        self._emit("response.output_item.done", {"output_index": at, "item": item})

    def _close_all(self) -> None:
        self._close_item()
        self._close_calls()

    def _end(self) -> None:
        if not self._response:
            self._begin({})
        self._close_all()
        response = self._response
        put_end(response, self._finish_reason)
        response["usage"] = usage_from_chat(self._usage)
        if self._tier:
            response["service_tier"] = self._tier
        if item_status(response) == "incomplete" and "status" in last_item(response):
            last_item(response)["status"] = "incomplete"
        self.is_done = True
        self._emit(f"response.{response['status']}", {"response": response})

    def _fail(self, event: Json) -> None:
        parts = parts_of(event)
        if not self._response:
            self._begin({})
        code = ERROR_CODES.get(parts.code or "") or ERROR_CODES.get(parts.type, "server_error")
        self.error = {"code": code, "message": parts.message or "The provider's stream failed."}
        self._response["status"] = "failed"
        self._response["error"] = self.error
        self._emit("response.failed", {"response": self._response})


def last_item(response: Json) -> Json:
    output: list[Json] = response["output"]
    return output[-1] if output else {}
