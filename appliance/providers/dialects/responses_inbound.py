"""A request to OpenAI's Responses API, as a client sends it, as a chat body (`proxy.md 11.6`).

Pure. Items become messages; what lives at OpenAI alone (earlier responses, stored prompts, tools
that run there) is refused by name.
"""

from collections.abc import Callable

from appliance.providers.dialects.common import (
    Json,
    call_id,
    check_fields,
    check_part,
    list_at,
    object_at,
    refused,
    string,
    text_at,
)
from appliance.providers.dialects.responses_reply import thought_text
from appliance.providers.dialects.responses_tools import CHAT, put_chat_tools

# Thoughts that their maker does not show, marked so that they are told apart on the way back.
REDACTED = "redacted_thinking:"
COPIED = (
    "model", "temperature", "top_p", "top_k", "parallel_tool_calls", "metadata", "store",
    "service_tier", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "moderation", "reasoning_options", "context_editing",
    "image_generation",
)  # fmt: skip
KNOWN = frozenset({
    "input", "instructions", "max_output_tokens", "stream", "stream_options", "tools",
    "tool_choice", "text", "reasoning", "include", "top_logprobs", *COPIED,
})  # fmt: skip
EFFORTS = {"minimal": "low"}
LOGPROBS = "message.output_text.logprobs"
INCLUDED = frozenset({LOGPROBS, "reasoning.encrypted_content", "message.input_image.image_url"})
REASONING_FIELDS = frozenset({"effort", "summary", "generate_summary", "context"})
# An item that comes back from an earlier reply has an id and a state, which say nothing new.
ITEM_FIELDS = frozenset({"type", "id", "status"})
MESSAGE_FIELDS = frozenset({"role", "content", "phase", *ITEM_FIELDS})
CALL_FIELDS = frozenset({"call_id", "name", "arguments", "input", *ITEM_FIELDS})
OUTPUT_FIELDS = frozenset({"call_id", "name", "output", *ITEM_FIELDS})
PART_FIELDS = frozenset({
    "type", "text", "refusal", "annotations", "logprobs", "image_url", "detail", "input_audio",
    "prompt_cache_breakpoint", "cache_control",
})  # fmt: skip
ROLES = {"user": "user", "system": "system", "developer": "system", "assistant": "assistant"}


def request_to_chat(body: Json) -> Json:
    check_fields(body, KNOWN, CHAT)
    text_at(body, "model", "")
    chat: Json = {"messages": _messages(body)}
    for name in COPIED:
        if body.get(name) is not None:
            chat[name] = body[name]
    if body.get("max_output_tokens") is not None:
        chat["max_tokens"] = body["max_output_tokens"]
    if body.get("stream"):
        chat["stream"] = True
        chat["stream_options"] = {"include_usage": True}
    put_chat_tools(body, chat)
    _put_reasoning(object_at(body.get("reasoning") or {}, "reasoning"), chat)
    _put_text(object_at(body.get("text") or {}, "text"), chat)
    _put_logprobs(body, chat)
    return chat


def _messages(body: Json) -> list[Json]:
    messages: list[Json] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": text_at(body, "instructions", "")})
    given = body.get("input")
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
        return messages
    turn = Turn(messages)
    for number, value in enumerate(list_at(given, "input")):
        where = f"input[{number}]"
        item = object_at(value, where)
        kind = item.get("type") or ("message" if "role" in item else None)
        take = ITEMS.get(string(kind))
        if take is None:
            raise refused(f"{where}.type", f"{CHAT} has nothing for {kind}; leave it out")
        take(turn, item, where)
    turn.end()
    return messages


class Turn:
    """The assistant's turn that is being put together: thoughts, text and calls come as items of
    their own."""

    __slots__ = ("_details", "_message", "_messages")

    def __init__(self, messages: list[Json]) -> None:
        self._messages = messages
        self._message: Json | None = None
        self._details: list[Json] = []

    def think(self, detail: Json) -> None:
        """A thought comes before what it is about: it begins a turn, unless one has only begun."""
        if self._message is not None:
            self.end()
        self._details.append(detail)

    def say(self, content: str | list[Json]) -> None:
        if self._message is not None and (self._message["content"] is not None):
            self.end()
        self._open()["content"] = content

    def call(self, call: Json) -> None:
        self._open().setdefault("tool_calls", []).append(call)

    def put(self, message: Json) -> None:
        """A message of anyone else."""
        self.end()
        self._messages.append(message)

    def end(self) -> None:
        if self._details and self._message is None:
            self._open()
        message = self._message
        if message is not None:
            if message["content"] is None and "tool_calls" not in message:
                message["content"] = ""
            self._messages.append(message)
        self._message = None

    def _open(self) -> Json:
        if self._message is None:
            self._message = {"role": "assistant", "content": None}
        if self._details:
            texts = [detail["thinking"] for detail in self._details if detail.get("thinking")]
            if texts:
                self._message["reasoning"] = "\n\n".join(texts)
            self._message["reasoning_details"] = self._details
            self._details = []
        return self._message


def _take_message(turn: Turn, item: Json, where: str) -> None:
    check_part(item, MESSAGE_FIELDS, where, CHAT)
    role = ROLES.get(string(item.get("role")))
    if role is None:
        raise refused(f"{where}.role", f"one of {', '.join(ROLES)}")
    content = _content(item.get("content"), f"{where}.content")
    if role == "assistant":
        turn.say(_said(content))
    else:
        turn.put({"role": role, "content": content})


def _said(content: str | list[Json]) -> str | list[Json]:
    """An assistant's text is one string, as every service takes it."""
    if isinstance(content, str):
        return content
    if all(part["type"] == "text" and len(part) == 2 for part in content):
        return "".join(part["text"] for part in content)
    return content


def _take_call(turn: Turn, item: Json, where: str) -> None:
    check_part(item, CALL_FIELDS, where, CHAT)
    function = {"name": text_at(item, "name", where), "arguments": string(item.get("arguments"))}
    id = call_id(text_at(item, "call_id", where))
    turn.call({"id": id, "type": "function", "function": function})


def _take_custom_call(turn: Turn, item: Json, where: str) -> None:
    check_part(item, CALL_FIELDS, where, CHAT)
    custom = {"name": text_at(item, "name", where), "input": text_at(item, "input", where)}
    id = call_id(text_at(item, "call_id", where))
    turn.call({"id": id, "type": "custom", "custom": custom})


def _take_output(turn: Turn, item: Json, where: str) -> None:
    check_part(item, OUTPUT_FIELDS, where, CHAT)
    id = call_id(text_at(item, "call_id", where))
    content = _content(item.get("output"), f"{where}.output")
    turn.put({"role": "tool", "tool_call_id": id, "content": content})


def _take_reasoning(turn: Turn, item: Json, where: str) -> None:
    signature = string(item.get("encrypted_content"))
    if signature.startswith(REDACTED):
        turn.think({"data": signature.removeprefix(REDACTED)})
        return
    detail: Json = {"thinking": thought_text(item), "signature": signature}
    if item.get("id"):
        detail["id"] = item["id"]
    turn.think(detail)


ITEMS: dict[str, Callable[[Turn, Json, str], None]] = {
    "message": _take_message,
    "function_call": _take_call,
    "function_call_output": _take_output,
    "custom_tool_call": _take_custom_call,
    "custom_tool_call_output": _take_output,
    "reasoning": _take_reasoning,
}


def _content(content: object, where: str) -> str | list[Json]:
    if isinstance(content, str):
        return content
    parts = []
    for number, value in enumerate(list_at(content, where)):
        place = f"{where}[{number}]"
        part = object_at(value, place)
        kind = part.get("type")
        translate = PARTS.get(string(kind))
        if translate is None:
            raise refused(f"{place}.type", f"{CHAT} has nothing for {kind}")
        if kind != "input_file":
            check_part(part, PART_FIELDS, place, CHAT)
        found = translate(part, place)
        for name in ("prompt_cache_breakpoint", "cache_control"):
            if part.get(name) is not None:
                found[name] = part[name]
        parts.append(found)
    return parts


def _text(part: Json, where: str) -> Json:
    return {"type": "text", "text": text_at(part, "text", where)}


def _refusal(part: Json, where: str) -> Json:
    return {"type": "refusal", "refusal": text_at(part, "refusal", where)}


def _image(part: Json, where: str) -> Json:
    url = part.get("image_url")
    if type(url) is dict:
        url = url.get("url")
    if type(url) is not str:
        raise refused(f"{where}.image_url", f"{CHAT} takes images as an address or a data URI")
    image = {"url": url}
    if part.get("detail") not in (None, "auto"):
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _file(part: Json, where: str) -> Json:
    names = ("file_data", "file_id", "file_url", "filename")
    known = frozenset({"type", "detail", "prompt_cache_breakpoint", "cache_control", *names})
    check_part(part, known, where, CHAT)
    file = {name: part[name] for name in names if part.get(name) is not None}
    return {"type": "file", "file": file}


def _audio(part: Json, where: str) -> Json:
    audio = object_at(part.get("input_audio"), f"{where}.input_audio")
    return {"type": "input_audio", "input_audio": audio}


PARTS: dict[str, Callable[[Json, str], Json]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "summary_text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "output_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}


def _put_reasoning(reasoning: Json, chat: Json) -> None:
    # A summary is what the gateway's `reasoning` field is: asked for or not, it is given.
    if reasoning.get("mode") not in (None, "standard"):
        raise refused("reasoning.mode", f"{CHAT} has the standard mode alone")
    known = REASONING_FIELDS | {"mode"}
    check_part(reasoning, known, "reasoning", CHAT)
    if reasoning.get("effort") is not None:
        effort = text_at(reasoning, "effort", "reasoning")
        chat["reasoning_effort"] = EFFORTS.get(effort, effort)


def _put_text(text: Json, chat: Json) -> None:
    check_part(text, frozenset({"format", "verbosity"}), "text", CHAT)
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    if text.get("format") is None:
        return
    given = object_at(text["format"], "text.format")
    if given.get("type") == "json_schema":
        schema = {name: value for name, value in given.items() if name != "type"}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif given.get("type") != "text":
        chat["response_format"] = given


def _put_logprobs(body: Json, chat: Json) -> None:
    include = list_at(body.get("include") or [], "include")
    for number, name in enumerate(include):
        if string(name) not in INCLUDED:
            raise refused(f"include[{number}]", f"{CHAT} has no {name}; leave it out")
    if body.get("top_logprobs") or LOGPROBS in include:
        chat["logprobs"] = True
        if body.get("top_logprobs"):
            chat["top_logprobs"] = body["top_logprobs"]
