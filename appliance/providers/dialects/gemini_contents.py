"""Chat messages as Gemini's contents: turns of user and model, calls and their results
(`proxy.md 11.3`).

A signature that Gemini gave goes back on the part it came with: newer models refuse a call that
comes back without it.
"""

import msgspec

from appliance.providers.dialects.common import (
    Json,
    arguments_object,
    arguments_text,
    check_part,
    list_at,
    mapping,
    object_at,
    reasoning_details,
    reasoning_text,
    refused,
    string,
    text_at,
)
from appliance.providers.dialects.gemini_parts import SERVICE, image_part, parts_from_content

# What Google documents for calls that its models did not make, as those of another provider
# earlier in the conversation.
NO_SIGNATURE = "skip_thought_signature_validator"
MESSAGE_FIELDS = frozenset({"role", "content", "cache_control"})
TOOL_FIELDS = frozenset({*MESSAGE_FIELDS, "tool_call_id", "name", "is_error"})
# What a client sends back of a reply: notes about the text are not a part of what was said.
ASSISTANT_FIELDS = frozenset({
    *MESSAGE_FIELDS, "tool_calls", "refusal", "reasoning", "reasoning_content",
    "reasoning_details", "annotations", "images",
})  # fmt: skip
# Strict: what is nearly JSON is text that a tool wrote.
decode = msgspec.json.Decoder().decode
CALL_FIELDS = frozenset({"id", "type", "function", "index", "cache_control", "extra_content"})


class Contents:
    """Reads messages one by one; `system` and `turns` are what Gemini is sent."""

    __slots__ = ("_calls", "_must_sign", "_results", "_vertex", "system", "turns")

    def __init__(self, *, must_sign: bool, vertex: bool) -> None:
        self._must_sign = must_sign
        self._vertex = vertex
        self._results: list[Json] = []  # of the calls that are answered just now
        self._calls: dict[str, tuple[int, str]] = {}  # id -> place in the order, name
        self.system: list[Json] = []
        self.turns: list[Json] = []

    def read(self, value: object, where: str) -> None:
        message = object_at(value, where)
        role = message.get("role")
        if role == "tool" or role == "function":
            self._read_result(message, where)
            return
        if role == "system" or role == "developer":
            check_part(message, MESSAGE_FIELDS, where, SERVICE)
            self.system += self._content(message, where)
            return
        self._results = []
        if role == "user":
            check_part(message, MESSAGE_FIELDS, where, SERVICE)
            self._turn("user", self._content(message, where))
        elif role == "assistant":
            self._turn("model", self._assistant(message, where))
        else:
            raise refused(f"{where}.role", f"{SERVICE} has no role {role}")

    def _turn(self, role: str, parts: list[Json]) -> None:
        if parts:
            self.turns.append({"role": role, "parts": parts})

    def _content(self, message: Json, where: str) -> list[Json]:
        return parts_from_content(message.get("content"), f"{where}.content", vertex=self._vertex)

    def _read_result(self, message: Json, where: str) -> None:
        """Results that follow each other are one turn, in the order of their calls."""
        check_part(message, TOOL_FIELDS, where, SERVICE)
        found: Json = {}
        name = message.get("name")
        if message.get("role") == "tool":
            id = text_at(message, "tool_call_id", where)
            if id not in self._calls and not name:
                raise refused(f"{where}.tool_call_id", "no call in the messages before has this id")
            found["id"] = id
            name = name or self._calls[id][1]
        found["name"] = name if type(name) is str and name else text_at(message, "name", where)
        found["response"] = _response(message)
        media = [part for part in self._content(message, where) if "text" not in part]
        if media:
            found["parts"] = media
        if not self._results:
            self.turns.append({"role": "user", "parts": self._results})
        self._results.append({"functionResponse": found})
        self._results.sort(key=self._place)

    def _place(self, part: Json) -> int:
        id = string(part["functionResponse"].get("id"))
        return self._calls[id][0] if id in self._calls else len(self._calls)

    def _assistant(self, message: Json, where: str) -> list[Json]:
        """Thoughts, then text, images and calls."""
        check_part(message, ASSISTANT_FIELDS, where, SERVICE)
        said = self._content(message, where)
        if message.get("refusal"):
            said.append({"text": text_at(message, "refusal", where)})
        images = list_at(message.get("images") or [], f"{where}.images")
        for number, value in enumerate(images):
            place = f"{where}.images[{number}]"
            image = object_at(value, place)
            said.append(_signed(image_part(image, place, self._vertex), image))
        calls = [
            self._call(value, f"{where}.tool_calls[{number}]")
            for number, value in enumerate(
                list_at(message.get("tool_calls") or [], f"{where}.tool_calls")
            )
        ]
        thoughts, spare = _thoughts(message, where, {_signature(part) for part in (*said, *calls)})
        if calls and not any(_signature(call) for call in calls):
            if spare:
                calls[0]["thoughtSignature"] = spare
                for thought in thoughts:
                    if _signature(thought) == spare:
                        del thought["thoughtSignature"]
            elif self._must_sign:
                calls[0]["thoughtSignature"] = NO_SIGNATURE
        return _seated(thoughts, said) + calls

    def _call(self, value: object, where: str) -> Json:
        call = object_at(value, where)
        kind = call.get("type", "function")
        if kind != "function":
            raise refused(f"{where}.type", f"{SERVICE} takes calls of functions, not {kind}")
        check_part(call, CALL_FIELDS, where, SERVICE)
        place = f"{where}.function"
        function = object_at(call.get("function"), place)
        id, name = text_at(call, "id", where), text_at(function, "name", place)
        self._calls[id] = len(self._calls), name
        arguments = arguments_object(arguments_text(function, place), f"{place}.arguments")
        return _signed({"functionCall": {"id": id, "name": name, "args": arguments}}, call)


def _thoughts(message: Json, where: str, placed: set[str]) -> tuple[list[Json], str]:
    """Thought parts, and the last signature of theirs. `placed` are signatures that a call or an
    image of the message has on itself: they are not said twice."""
    thoughts: list[Json] = []
    spare = ""
    for number, detail in enumerate(reasoning_details(message)):
        if type(detail.get("data")) is str:
            place = f"{where}.reasoning_details[{number}].data"
            raise refused(place, f"{SERVICE} cannot read another provider's thoughts; leave it out")
        thought: Json = {"text": string(detail.get("thinking")), "thought": True}
        signature = string(detail.get("signature"))
        if signature and signature not in placed:
            thought["thoughtSignature"] = spare = signature
        if thought["text"] or "thoughtSignature" in thought:
            thoughts.append(thought)
    text = reasoning_text(message)
    if not thoughts and text:
        thoughts.append({"text": text, "thought": True})
    return thoughts, spare


def _seated(thoughts: list[Json], said: list[Json]) -> list[Json]:
    """A signature without a thought came on what was said, and goes back on it; what is left
    without either says nothing."""
    kept = []
    for thought in thoughts:
        signature = _signature(thought)
        free = next((part for part in reversed(said) if not _signature(part)), None)
        if not thought["text"] and signature and free is not None:
            free["thoughtSignature"] = signature
        elif thought["text"] or signature:
            kept.append(thought)
    return kept + said


def _signed(part: Json, raw: Json) -> Json:
    """The part with the signature that its chat form carries beside it."""
    google = mapping(mapping(raw.get("extra_content")).get("google"))
    signature = string(google.get("thought_signature"))
    if signature:
        part["thoughtSignature"] = signature
    return part


def _signature(part: Json) -> str:
    return string(part.get("thoughtSignature"))


def _response(message: Json) -> Json:
    """What a tool said as an object: JSON objects as they are, other JSON as `result`, text that
    is none as `raw`; what it said when it failed as `error`."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(string(mapping(part).get("text")) for part in content)
    text = string(content)
    try:
        value = decode(text)
    except (ValueError, RecursionError):
        return {"error" if message.get("is_error") else "raw": text}
    if message.get("is_error"):
        return {"error": value}
    return value if type(value) is dict else {"result": value}
