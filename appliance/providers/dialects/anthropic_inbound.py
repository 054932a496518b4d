"""A request to Anthropic's Messages API, as a client sends it, as a chat body.

Pure. Each block finds its place in Chat Completions or in one of the gateway's extra fields; what
has none is refused by name.
"""

from collections.abc import Callable

from appliance.providers.dialects.anthropic_context import editing_from_management
from appliance.providers.dialects.common import (
    Json,
    check_fields,
    check_part,
    list_at,
    object_at,
    refused,
    string,
    text_at,
    to_json,
)

SERVICE = "Chat Completions"
KNOWN = frozenset({
    "model", "messages", "max_tokens", "system", "stop_sequences", "stream", "temperature", "top_p",
    "top_k", "thinking", "output_config", "tools", "tool_choice", "metadata", "service_tier",
    "cache_control", "context_management",
})  # fmt: skip
COPIED = ("model", "temperature", "top_p", "top_k", "cache_control")
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
TIERS = {"auto": "auto", "standard_only": "default"}
# How much thinking a budget asks for, in the words of chat bodies; the budget itself goes with it.
EFFORTS = ((4096, "low"), (16384, "medium"))
EFFORT_DEFAULT = "high"  # Anthropic's own, where a client leaves it to the model
EFFORT_WORDS = frozenset({"low", "medium", "high", "xhigh", "max"})
TEXT_FIELDS = frozenset({"type", "text", "cache_control", "citations"})
TOOL_FIELDS = frozenset({
    "type", "name", "description", "input_schema", "cache_control", "strict",
    "eager_input_streaming",
})  # fmt: skip
SEARCH_FIELDS = frozenset({
    "type", "name", "max_uses", "allowed_domains", "blocked_domains", "user_location",
    "cache_control",
})  # fmt: skip
DOCUMENT_EXTRAS = ("citations", "context")


def request_to_chat(body: Json) -> Json:
    check_fields(body, KNOWN, SERVICE)
    text_at(body, "model", "")
    chat: Json = {"messages": _messages(body)}
    for name in COPIED:
        if body.get(name) is not None:
            chat[name] = body[name]
    limit = body.get("max_tokens")
    if type(limit) is not int or limit < 1:
        raise refused("max_tokens", "a whole number of tokens above 0 is needed")
    chat["max_tokens"] = limit
    if body.get("stop_sequences"):
        chat["stop"] = body["stop_sequences"]
    if body.get("stream"):
        chat["stream"] = True
        chat["stream_options"] = {"include_usage": True}
    _put_tools(body, chat)
    _put_thinking(body, chat)
    _put_rest(body, chat)
    return chat


def _messages(body: Json) -> list[Json]:
    messages: list[Json] = []
    if body.get("system"):
        prompt = _texts(body["system"], "system")
        messages.append({"role": "system", "content": prompt})
    for number, value in enumerate(list_at(body.get("messages"), "messages")):
        where = f"messages[{number}]"
        message = object_at(value, where)
        check_part(message, frozenset({"role", "content"}), where, SERVICE)
        role, content = message.get("role"), message.get("content")
        place = f"{where}.content"
        if role == "user":
            messages += _user(content, place)
        elif role == "assistant":
            messages.append(_assistant(content, place))
        elif role == "system":
            messages.append({"role": "system", "content": _texts(content, place)})
        else:
            raise refused(f"{where}.role", f"one of user, assistant, system, not {role}")
    return messages


def _texts(content: object, where: str) -> str | list[Json]:
    if isinstance(content, str):
        return content
    parts = [_part(block, f"{where}[{at}]") for at, block in enumerate(list_at(content, where))]
    for at, part in enumerate(parts):
        if part["type"] != "text":
            raise refused(f"{where}[{at}].type", "only text is possible here")
    return parts


def _user(content: object, where: str) -> list[Json]:
    """One message; results of tools become messages of their own, in front of it."""
    if type(content) is str:
        return [{"role": "user", "content": content}]
    results: list[Json] = []
    parts: list[Json] = []
    for number, value in enumerate(list_at(content, where)):
        place = f"{where}[{number}]"
        block = object_at(value, place)
        if block.get("type") == "tool_result":
            results.append(_result(block, place))
        else:
            parts.append(_part(block, place))
    if parts or not results:
        results.append({"role": "user", "content": parts})
    return results


def _result(block: Json, where: str) -> Json:
    known = frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"})
    check_part(block, known, where, SERVICE)
    content = block.get("content")
    if content is None:
        content = ""
    elif type(content) is not str:
        place = f"{where}.content"
        parts = list_at(content, place)
        content = [_part(part, f"{place}[{number}]") for number, part in enumerate(parts)]
    message: Json = {
        "role": "tool",
        "tool_call_id": text_at(block, "tool_use_id", where),
        "content": content,
    }
    if block.get("is_error"):
        message["is_error"] = True
    return _marked(message, block)


def _assistant(content: object, where: str) -> Json:
    if type(content) is str:
        return {"role": "assistant", "content": content}
    parts: list[Json] = []
    calls: list[Json] = []
    details: list[Json] = []
    for number, value in enumerate(list_at(content, where)):
        place = f"{where}[{number}]"
        block = object_at(value, place)
        kind = block.get("type")
        if kind == "tool_use":
            calls.append(_call(block, place))
        elif kind == "thinking":
            thinking = text_at(block, "thinking", place)
            details.append({"thinking": thinking, "signature": string(block.get("signature"))})
        elif kind == "redacted_thinking":
            details.append({"data": text_at(block, "data", place)})
        else:
            parts.append(_part(block, place))
    message: Json = {"role": "assistant", "content": _joined(parts)}
    if calls:
        message["tool_calls"] = calls
    if details:
        message["reasoning"] = "".join(detail.get("thinking", "") for detail in details)
        message["reasoning_details"] = details
    return message


def _joined(parts: list[Json]) -> str | list[Json] | None:
    """Text without cache breakpoints is one string, as every service takes it."""
    if not parts:
        return None
    if all(part["type"] == "text" and len(part) == 2 for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _call(block: Json, where: str) -> Json:
    check_part(
        block, frozenset({"type", "id", "name", "input", "cache_control", "caller"}), where, SERVICE
    )
    caller = block.get("caller")
    if caller is not None and object_at(caller, f"{where}.caller").get("type") != "direct":
        raise refused(f"{where}.caller", f"{SERVICE} knows calls by the model alone")
    arguments = object_at(block.get("input") or {}, f"{where}.input")
    function = {"name": text_at(block, "name", where), "arguments": to_json(arguments)}
    call = {"id": text_at(block, "id", where), "type": "function", "function": function}
    return _marked(call, block)


def _part(value: object, where: str) -> Json:
    block = object_at(value, where)
    kind = block.get("type")
    translate = PARTS.get(string(kind))
    if translate is None:
        raise refused(f"{where}.type", f"{SERVICE} has nothing for {kind}")
    return _marked(translate(block, where), block)


def _marked(part: Json, block: Json) -> Json:
    if block.get("cache_control") is not None:
        part["cache_control"] = block["cache_control"]
    return part


def _text(block: Json, where: str) -> Json:
    check_part(block, TEXT_FIELDS, where, SERVICE)
    return {"type": "text", "text": text_at(block, "text", where)}


def _image(block: Json, where: str) -> Json:
    check_part(block, frozenset({"type", "source", "cache_control"}), where, SERVICE)
    place = f"{where}.source"
    source = object_at(block.get("source"), place)
    kind = source.get("type")
    if kind == "base64":
        media_type, data = text_at(source, "media_type", place), text_at(source, "data", place)
        url = f"data:{media_type};base64,{data}"
    elif kind == "url":
        url = text_at(source, "url", place)
    else:
        raise refused(f"{place}.type", f"{SERVICE} takes images as base64 or url, not {kind}")
    return {"type": "image_url", "image_url": {"url": url}}


def _document(block: Json, where: str) -> Json:
    """A PDF is a file part, plain text is text; what asks for more stays a document part."""
    place = f"{where}.source"
    source = object_at(block.get("source"), place)
    kind = source.get("type")
    extra = any(block.get(name) for name in DOCUMENT_EXTRAS)
    if kind == "base64" and not extra:
        media_type, data = text_at(source, "media_type", place), text_at(source, "data", place)
        file: Json = {"file_data": f"data:{media_type};base64,{data}"}
    elif kind == "url" and not extra:
        file = {"file_url": text_at(source, "url", place)}
    elif kind == "file" and not extra:
        file = {"file_id": text_at(source, "file_id", place)}
    elif kind == "text" and not extra and not block.get("title"):
        return {"type": "text", "text": text_at(source, "data", place)}
    else:
        return {name: value for name, value in block.items() if name != "cache_control"}
    if block.get("title"):
        file["filename"] = text_at(block, "title", where)
    return {"type": "file", "file": file}


PARTS: dict[str, Callable[[Json, str], Json]] = {
    "text": _text,
    "image": _image,
    "document": _document,
}


def _put_tools(body: Json, chat: Json) -> None:
    functions: list[Json] = []
    plugins: list[Json] = []
    for number, value in enumerate(list_at(body.get("tools") or [], "tools")):
        where = f"tools[{number}]"
        tool = object_at(value, where)
        kind = tool.get("type")
        if kind is None or kind == "custom":
            functions.append(_function(tool, where))
        elif string(kind).startswith("web_search_"):
            check_part(tool, SEARCH_FIELDS, where, SERVICE)
            left_out = ("type", "name", "cache_control")
            given = {name: tool[name] for name in tool if name not in left_out}
            plugins.append({"id": "web", **given})
        else:
            raise refused(f"{where}.type", f"{SERVICE} has functions and web search, not {kind}")
    if functions:
        chat["tools"] = functions
    if plugins:
        chat["plugins"] = plugins
    if body.get("tool_choice") is not None:
        _put_choice(object_at(body["tool_choice"], "tool_choice"), chat)


def _function(tool: Json, where: str) -> Json:
    check_part(tool, TOOL_FIELDS, where, SERVICE)
    function: Json = {"name": text_at(tool, "name", where)}
    if tool.get("description"):
        function["description"] = tool["description"]
    function["parameters"] = object_at(tool.get("input_schema"), f"{where}.input_schema")
    if tool.get("strict"):
        function["strict"] = True
    return _marked({"type": "function", "function": function}, tool)


def _put_choice(choice: Json, chat: Json) -> None:
    kind = choice.get("type")
    if kind == "tool":
        name = text_at(choice, "name", "tool_choice")
        chat["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif string(kind) in CHOICES:
        chat["tool_choice"] = CHOICES[string(kind)]
    else:
        raise refused("tool_choice.type", "one of auto, any, tool, none")
    if choice.get("disable_parallel_tool_use"):
        chat["parallel_tool_calls"] = False


def _put_thinking(body: Json, chat: Json) -> None:
    config = object_at(body.get("output_config") or {}, "output_config")
    check_part(config, frozenset({"effort", "format"}), "output_config", SERVICE)
    effort = config.get("effort")
    if effort is not None and string(effort) not in EFFORT_WORDS:
        raise refused("output_config.effort", f"one of {', '.join(sorted(EFFORT_WORDS))}")
    thinking = object_at(body.get("thinking") or {}, "thinking")
    kind = thinking.get("type")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if type(budget) is not int:
            raise refused("thinking.budget_tokens", "a whole number of tokens is needed")
        chat["reasoning_options"] = {"budget_tokens": budget}
        effort = effort or _effort(budget)
    elif kind == "adaptive":
        effort = effort or EFFORT_DEFAULT
    elif kind == "disabled":
        effort = "none"
    elif kind is not None:
        raise refused("thinking.type", "one of enabled, adaptive, disabled")
    if effort is not None:
        chat["reasoning_effort"] = effort
    if config.get("format") is not None:
        _put_format(object_at(config["format"], "output_config.format"), chat)


def _effort(budget_tokens: int) -> str:
    return next((word for below, word in EFFORTS if budget_tokens < below), "high")


def _put_format(given: Json, chat: Json) -> None:
    if given.get("type") != "json_schema":
        raise refused("output_config.format.type", "this is json_schema")
    schema = object_at(given.get("schema"), "output_config.format.schema")
    named = {"name": "response", "schema": schema, "strict": True}
    chat["response_format"] = {"type": "json_schema", "json_schema": named}


def _put_rest(body: Json, chat: Json) -> None:
    metadata = object_at(body.get("metadata") or {}, "metadata")
    check_part(metadata, frozenset({"user_id"}), "metadata", SERVICE)
    if metadata.get("user_id"):
        chat["user"] = metadata["user_id"]
    tier = body.get("service_tier")
    if tier is not None:
        if string(tier) not in TIERS:
            raise refused("service_tier", "one of auto, standard_only")
        chat["service_tier"] = TIERS[tier]
    if body.get("context_management") is not None:
        chat["context_editing"] = editing_from_management(body["context_management"])
