"""What was said in a call, from a span's attributes and events, in OpenAI's form of a chat.

Four families of names: OpenTelemetry's own (old, and the newer ones with parts), Traceloop's,
OpenInference's, and the Vercel SDK's. Pure; whatever does not fit is left where it was.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from appliance.core.json_reader import read_json, write_json
from appliance.core.otlp_wire import Event, Span

Message = dict[str, Any]

MESSAGES_MAX: Final = 4_096
# `<prefix><number>.<rest>` of Traceloop, old and new, and of OpenInference.
PROMPT_PREFIXES: Final = ("gen_ai.prompt.", "llm.prompts.", "llm.input_messages.")
COMPLETION_PREFIXES: Final = ("gen_ai.completion.", "llm.completions.", "llm.output_messages.")
NUMBERED_PREFIXES: Final = (*PROMPT_PREFIXES, *COMPLETION_PREFIXES)
INDEX: Final = re.compile(r"([0-9]{1,4})\.(.+)")
# Names of whole conversations as JSON, the newest first.
INPUT_LISTS: Final = ("gen_ai.input.messages", "ai.prompt.messages", "gen_ai.prompt")
OUTPUT_LISTS: Final = ("gen_ai.output.messages", "gen_ai.completion")
INPUT_TEXTS: Final = ("input.value", "traceloop.entity.input", "ai.prompt", "llm.prompts")
OUTPUT_TEXTS: Final = ("output.value", "traceloop.entity.output", "ai.response.text")
EVENT_ROLES: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE_EVENT: Final = "gen_ai.choice"
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"


class Numbered:
    """Attributes of numbered messages, gathered by number."""

    __slots__ = ("asked", "said")

    def __init__(self) -> None:
        self.asked: dict[int, Message] = {}
        self.said: dict[int, Message] = {}

    def take(self, key: str, value: object) -> bool:
        """Whether this attribute is part of a message."""
        for prefixes, into in (
            (PROMPT_PREFIXES, self.asked), (COMPLETION_PREFIXES, self.said),
        ):  # fmt: skip
            for prefix in prefixes:
                if key.startswith(prefix):
                    found = INDEX.fullmatch(key, len(prefix))
                    if found is None or len(into) >= MESSAGES_MAX:
                        return False
                    into.setdefault(int(found[1]), {})[found[2]] = value
                    return True
        return False


def conversation(
    span: Span, numbered: Numbered, left: dict[str, Any]
) -> tuple[list[Message], list[Message]]:
    """Messages that were sent, and those that came back (`finish_reason` beside them). Attributes
    that were used are taken out of `left`."""
    attributes: Mapping[str, Any] = span.attributes
    taken: set[str] = set()
    asked = [_numbered(numbered.asked[number]) for number in sorted(numbered.asked)]
    said = [_numbered(numbered.said[number]) for number in sorted(numbered.said)]
    details = [event.attributes for event in span.events if event.name == DETAILS_EVENT]
    asked = asked or _lists(attributes, INPUT_LISTS, taken, "user")
    said = said or _lists(attributes, OUTPUT_LISTS, taken, "assistant")
    for more in details:
        asked = asked or _lists(more, INPUT_LISTS, set(), "user")
        said = said or _lists(more, OUTPUT_LISTS, set(), "assistant")
    if not asked or not said:
        by_event = _events(span.events)
        asked, said = asked or by_event[0], said or by_event[1]
    system = _system(attributes, taken)
    if system and not any(message.get("role") == "system" for message in asked):
        asked = [system, *asked]
    asked = asked or _texts(attributes, INPUT_TEXTS, taken, "user")
    said = said or _vercel(attributes, taken)
    said = said or _texts(attributes, OUTPUT_TEXTS, taken, "assistant")
    for name in taken:
        left.pop(name, None)
    return asked[:MESSAGES_MAX], said[:MESSAGES_MAX]


def document(value: object) -> Any:  # noqa: ANN401 - JSON
    """What JSON text says; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        read, problem = read_json(value.encode("utf-8", "replace"))
        if not problem:
            return read
    return value


# -- one message, in each form ---------------------------------------------------------------------


def _numbered(parts: Mapping[str, Any]) -> Message:
    """`role`, `content`, `tool_calls.0.name`, … ; OpenInference writes `message.` before each."""
    plain = {key.removeprefix("message."): value for key, value in parts.items()}
    message: Message = {"role": str(plain.get("role") or "")}
    content = plain.get("content")
    pieces = _indexed(plain, "contents.")
    if content is None and pieces:
        content = [_piece(piece) for piece in pieces]
    message["content"] = _content(document(content))
    calls = [_call(call) for call in _indexed(plain, "tool_calls.")]
    if "function_call_name" in plain:
        calls.append(
            _made_call("", plain["function_call_name"], plain.get("function_call_arguments_json"))
        )
    if calls:
        message["tool_calls"] = calls
    for name in ("tool_call_id", "name", "finish_reason", "reasoning"):
        if plain.get(name) is not None:
            message[name] = plain[name]
    return message


def _indexed(parts: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for key, value in parts.items():
        if key.startswith(prefix) and (match := INDEX.fullmatch(key, len(prefix))) is not None:
            name = match[2].removeprefix("tool_call.").removeprefix("message_content.")
            found.setdefault(int(match[1]), {})[name] = value
    return [found[number] for number in sorted(found)]


def _piece(piece: Mapping[str, Any]) -> dict[str, Any]:
    kind = piece.get("type") or "text"
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": piece.get("image.image.url")}}
    return {"type": kind, "text": piece.get("text") or ""}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    return _made_call(
        call.get("id") or "",
        call.get("function.name") or call.get("name"),
        call.get("function.arguments") or call.get("arguments"),
    )


def _made_call(identity: object, name: object, arguments: object) -> dict[str, Any]:
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else write_json(arguments).decode("utf-8")
    function = {"name": str(name or ""), "arguments": arguments}
    return {"id": str(identity), "type": "function", "function": function}


def _content(value: object) -> object:
    """Text where all of it is text."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        texts = [item.get("text") for item in value if item.get("type") in ("text", None)]
        if len(texts) == len(value) and all(isinstance(text, str) for text in texts):
            return "".join(texts)
    return value


def _lists(
    attributes: Mapping[str, Any], names: Iterable[str], taken: set[str], role: str
) -> list[Message]:
    for name in names:
        value = document(attributes.get(name))
        if isinstance(value, dict) and isinstance(value.get("messages"), list):
            value = value["messages"]
        if isinstance(value, list) and value:
            taken.add(name)
            return [_listed(item, role) for item in value]
        if isinstance(value, str) and value:
            taken.add(name)
            return [{"role": role, "content": value}]
    return []


def _listed(item: object, role: str) -> Message:
    """A message of a list: with `parts` (OpenTelemetry), or in a provider's own form."""
    if not isinstance(item, dict):
        return {"role": role, "content": item}
    message: Message = {"role": str(item.get("role") or role)}
    parts = item.get("parts")
    if not isinstance(parts, list):
        found = {**item, **message}
        found["content"] = _content(item.get("content"))
        return found
    texts: list[Any] = []
    calls = []
    for part in parts:
        if not isinstance(part, dict):
            continue
        kind = part.get("type")
        if kind == "text":
            texts.append({"type": "text", "text": part.get("content") or part.get("text") or ""})
        elif kind == "tool_call":
            calls.append(_made_call(part.get("id") or "", part.get("name"), part.get("arguments")))
        elif kind == "tool_call_response":
            message["tool_call_id"] = str(part.get("id") or "")
            answer = part.get("response", part.get("result"))
            text = answer if isinstance(answer, str) else write_json(answer).decode("utf-8")
            texts.append({"type": "text", "text": text})
        else:
            texts.append(part)
    message["content"] = _content(texts) if texts else None
    if calls:
        message["tool_calls"] = calls
    if item.get("finish_reason"):
        message["finish_reason"] = item["finish_reason"]
    return message


def _system(attributes: Mapping[str, Any], taken: set[str]) -> Message | None:
    value = document(attributes.get("gen_ai.system_instructions"))
    if not value:
        return None
    taken.add("gen_ai.system_instructions")
    if isinstance(value, list):
        texts = [str(part.get("content") or "") for part in value if isinstance(part, dict)]
        return {"role": "system", "content": "\n".join(texts)}
    return {"role": "system", "content": value}


def _texts(
    attributes: Mapping[str, Any], names: Iterable[str], taken: set[str], role: str
) -> list[Message]:
    for name in names:
        value = attributes.get(name)
        if value not in (None, "", []):
            taken.add(name)
            found = document(value)
            inner = found.get("messages") if isinstance(found, dict) else None
            if isinstance(inner, list) and inner:
                return [_listed(item, role) for item in inner]
            return [{"role": role, "content": found if isinstance(found, str) else value}]
    return []


def _vercel(attributes: Mapping[str, Any], taken: set[str]) -> list[Message]:
    """`ai.response.text` and `ai.response.toolCalls`."""
    text, calls = attributes.get("ai.response.text"), attributes.get("ai.response.toolCalls")
    made = document(calls)
    if not isinstance(made, list) or not made:
        return []
    taken.update(("ai.response.text", "ai.response.toolCalls"))
    return [
        {
            "role": "assistant",
            "content": text,
            "tool_calls": [
                _made_call(
                    call.get("toolCallId") or "",
                    call.get("toolName"),
                    call.get("input", call.get("args")),
                )
                for call in made
                if isinstance(call, dict)
            ],
        }
    ]


def _events(events: Iterable[Event]) -> tuple[list[Message], list[Message]]:
    """A message each, as OpenTelemetry's events once had them."""
    asked: list[Message] = []
    said: list[Message] = []
    for event in events:
        body = event.attributes
        role = EVENT_ROLES.get(event.name)
        if role is not None:
            asked.append(_of_event(body, str(body.get("role") or role)))
        elif event.name == CHOICE_EVENT:
            inner = document(body.get("message"))
            message = _of_event(inner if isinstance(inner, dict) else body, "assistant")
            if isinstance(inner, str) and not message.get("content"):
                message["content"] = inner
            if body.get("finish_reason"):
                message["finish_reason"] = body["finish_reason"]
            said.append(message)
        elif event.name == "gen_ai.content.prompt":
            asked += _lists(body, INPUT_LISTS, set(), "user")
        elif event.name == "gen_ai.content.completion":
            said += _lists(body, OUTPUT_LISTS, set(), "assistant")
    return asked, said


def _of_event(body: Mapping[str, Any], role: str) -> Message:
    message: Message = {"role": role, "content": _content(document(body.get("content")))}
    calls = document(body.get("tool_calls"))
    if isinstance(calls, list) and calls:
        message["tool_calls"] = calls
    if body.get("id"):
        message["tool_call_id"] = body["id"]
    return message
