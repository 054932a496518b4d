"""A chat body as a request to OpenAI's Responses API (`proxy.md 11.6`, the other way round).

Pure. Messages become items; what Responses cannot express is refused by name.
"""

from collections.abc import Callable

from appliance.providers.dialects.common import (
    Json,
    ModelFacts,
    arguments_text,
    call_id,
    check_fields,
    check_part,
    digest,
    failed_result,
    list_at,
    object_at,
    reasoning_details,
    refused,
    string,
    text_at,
)
from appliance.providers.dialects.responses_tools import put_tools

SERVICE = "OpenAI's Responses API"
COPIED = (
    "temperature", "top_p", "parallel_tool_calls", "metadata", "service_tier", "user",
    "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
    "moderation",
)  # fmt: skip
# Breakpoints need not be told: this API caches by itself. A budget is told by the effort beside it.
KNOWN = frozenset({
    "messages", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "tools",
    "tool_choice", "response_format", "verbosity", "reasoning_effort", "reasoning_options",
    "disable_reasoning", "store", "logprobs", "top_logprobs", "web_search_options", "plugins",
    "cache_control", *COPIED,
})  # fmt: skip
MESSAGE_FIELDS = frozenset({"role", "content", "cache_control"})
TOOL_FIELDS = frozenset({*MESSAGE_FIELDS, "tool_call_id", "name", "is_error"})
ASSISTANT_FIELDS = frozenset({
    *MESSAGE_FIELDS, "tool_calls", "refusal", "reasoning", "reasoning_content",
    "reasoning_details", "annotations",
})  # fmt: skip
MARKS = ("cache_control", "prompt_cache_breakpoint")
TEXT_FIELDS = frozenset({"type", "text", "annotations", "logprobs", *MARKS})
IMAGE_FIELDS = frozenset({"type", "image_url", *MARKS})
FILE_FIELDS = frozenset({"type", "file", *MARKS})
FILE_NAMES = ("file_data", "file_id", "file_url", "filename")
ENCRYPTED_REASONING = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"


def request_from_chat(chat: Json, *, model: ModelFacts, stream: bool) -> Json:
    check_fields(chat, KNOWN, SERVICE)
    items = _items(list_at(chat.get("messages"), "messages"))
    # A chat is not kept at the provider unless it says so; here the default is the other.
    body: Json = {"model": model.provider_model_id, "input": items}
    body["store"] = bool(chat.get("store"))
    for name in COPIED:
        if chat.get(name) is not None:
            body[name] = chat[name]
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens")
    if limit is not None:
        body["max_output_tokens"] = limit
    put_tools(chat, body)
    _put_text(chat, body)
    include = _put_reasoning(chat, body)
    if chat.get("logprobs"):
        include.append(LOGPROBS)
        body["top_logprobs"] = chat.get("top_logprobs") or 0
    elif chat.get("top_logprobs"):
        raise refused("top_logprobs", "set logprobs to true with it")
    if include:
        body["include"] = include
    if stream:
        body["stream"] = True
        options = object_at(chat.get("stream_options") or {}, "stream_options")
        if options.get("include_obfuscation") is not None:
            body["stream_options"] = {"include_obfuscation": options["include_obfuscation"]}
    return body


def _items(messages: list[object]) -> list[Json]:
    items: list[Json] = []
    custom: set[str] = set()
    for number, value in enumerate(messages):
        where = f"messages[{number}]"
        message = object_at(value, where)
        role = message.get("role")
        if role == "tool":
            items.append(_result(message, where, custom))
        elif role == "assistant":
            items += _assistant(message, where, custom)
        elif role in ("user", "system", "developer"):
            check_part(message, MESSAGE_FIELDS, where, SERVICE)
            content = _input(message.get("content"), f"{where}.content")
            items.append({"type": "message", "role": role, "content": content})
        else:
            raise refused(f"{where}.role", f"{SERVICE} has no role {role}")
    return items


def _input(content: object, where: str) -> str | list[Json]:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = []
    for number, value in enumerate(list_at(content, where)):
        place = f"{where}[{number}]"
        part = object_at(value, place)
        kind = part.get("type")
        translate = PARTS.get(string(kind))
        if translate is None:
            raise refused(f"{place}.type", f"{SERVICE} takes text, images and files, not {kind}")
        found = translate(part, place)
        if part.get("prompt_cache_breakpoint") is not None:
            found["prompt_cache_breakpoint"] = part["prompt_cache_breakpoint"]
        parts.append(found)
    return parts


def _text(part: Json, where: str) -> Json:
    check_part(part, TEXT_FIELDS, where, SERVICE)
    return {"type": "input_text", "text": text_at(part, "text", where)}


def _image(part: Json, where: str) -> Json:
    check_part(part, IMAGE_FIELDS, where, SERVICE)
    image = part.get("image_url")
    if type(image) is str:
        return {"type": "input_image", "image_url": image, "detail": "auto"}
    place = f"{where}.image_url"
    raw = object_at(image, place)
    detail = raw.get("detail") or "auto"
    return {"type": "input_image", "image_url": text_at(raw, "url", place), "detail": detail}


def _file(part: Json, where: str) -> Json:
    check_part(part, FILE_FIELDS, where, SERVICE)
    place = f"{where}.file"
    file = object_at(part.get("file"), place)
    check_part(file, frozenset(FILE_NAMES), place, SERVICE)
    given = {name: file[name] for name in FILE_NAMES if file.get(name) is not None}
    return {"type": "input_file", **given}


PARTS: dict[str, Callable[[Json, str], Json]] = {
    "text": _text,
    "image_url": _image,
    "file": _file,
}


def _result(message: Json, where: str, custom: set[str]) -> Json:
    check_part(message, TOOL_FIELDS, where, SERVICE)
    id = call_id(text_at(message, "tool_call_id", where))
    output = _input(message.get("content"), f"{where}.content")
    if message.get("is_error"):
        if isinstance(output, str):
            output = failed_result(output)
        else:
            output.insert(0, {"type": "input_text", "text": "Error:"})
    kind = "custom_tool_call_output" if id in custom else "function_call_output"
    return {"type": kind, "call_id": id, "output": output}


def _assistant(message: Json, where: str, custom: set[str]) -> list[Json]:
    """Thoughts, text, calls: an item each."""
    check_part(message, ASSISTANT_FIELDS, where, SERVICE)
    items = _thoughts(message)
    content = _said(message, where)
    if content:
        items.append({"type": "message", "role": "assistant", "content": content})
    calls = message.get("tool_calls")
    for number, value in enumerate(list_at(calls or [], f"{where}.tool_calls")):
        item = _call(object_at(value, f"{where}.tool_calls[{number}]"), where, number)
        if item["type"] == "custom_tool_call":
            custom.add(item["call_id"])
        items.append(item)
    return items


def _said(message: Json, where: str) -> list[Json]:
    found: list[Json] = []
    content = message.get("content")
    if type(content) is str:
        if content:
            found.append({"type": "output_text", "text": content, "annotations": []})
    elif content is not None:
        for number, value in enumerate(list_at(content, f"{where}.content")):
            place = f"{where}.content[{number}]"
            part = object_at(value, place)
            if part.get("type") == "refusal":
                found.append({"type": "refusal", "refusal": text_at(part, "refusal", place)})
            elif part.get("type") == "text":
                check_part(part, TEXT_FIELDS, place, SERVICE)
                text = text_at(part, "text", place)
                found.append({"type": "output_text", "text": text, "annotations": []})
            else:
                raise refused(f"{place}.type", "an assistant's parts are text and refusal")
    if message.get("refusal"):
        found.append({"type": "refusal", "refusal": text_at(message, "refusal", where)})
    return found


def _thoughts(message: Json) -> list[Json]:
    """Signed thoughts go back to who made them. Others are not told: the service takes no thought
    for its own that it did not sign."""
    items = []
    for detail in reasoning_details(message):
        signature = string(detail.get("signature"))
        if signature:
            text = string(detail.get("thinking"))
            summary = [{"type": "summary_text", "text": text}] if text else []
            id = string(detail.get("id")) or "rs_" + digest(signature)
            items.append({
                "type": "reasoning", "id": id, "summary": summary, "encrypted_content": signature,
            })  # fmt: skip
    return items


def _call(call: Json, where: str, number: int) -> Json:
    place = f"{where}.tool_calls[{number}]"
    id = call_id(text_at(call, "id", place))
    kind = call.get("type", "function")
    if kind == "custom":
        custom = object_at(call.get("custom"), f"{place}.custom")
        name, text = text_at(custom, "name", place), text_at(custom, "input", place)
        return {"type": "custom_tool_call", "call_id": id, "name": name, "input": text}
    if kind != "function":
        raise refused(f"{place}.type", f"{SERVICE} takes calls of functions, not {kind}")
    function = object_at(call.get("function"), f"{place}.function")
    return {
        "type": "function_call",
        "call_id": id,
        "name": text_at(function, "name", f"{place}.function"),
        "arguments": arguments_text(function, f"{place}.function") or "{}",
    }


def _put_text(chat: Json, body: Json) -> None:
    text: Json = {}
    if chat.get("response_format") is not None:
        given = object_at(chat["response_format"], "response_format")
        if given.get("type") == "json_schema":
            schema = object_at(given.get("json_schema"), "response_format.json_schema")
            text["format"] = {"type": "json_schema", **schema}
        else:
            text["format"] = given
    if chat.get("verbosity") is not None:
        text["verbosity"] = chat["verbosity"]
    if text:
        body["text"] = text


def _put_reasoning(chat: Json, body: Json) -> list[str]:
    """Set the effort; what is to be included so that thoughts can be sent back."""
    effort = "none" if chat.get("disable_reasoning") else chat.get("reasoning_effort")
    if effort is None:
        if chat.get("reasoning_options"):
            raise refused("reasoning_options", f"{SERVICE} has no budgets; set reasoning_effort")
        return []
    body["reasoning"] = {"effort": effort}
    return [] if effort == "none" else [ENCRYPTED_REASONING]
