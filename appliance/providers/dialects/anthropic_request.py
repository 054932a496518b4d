"""A chat body as a request to Anthropic's Messages API (`proxy.md 11.1`).

Pure. What Messages cannot express is refused by name, never dropped.
"""

from appliance.providers.dialects.anthropic_blocks import (
    SERVICE,
    blocks_from_parts,
    cache_mark,
    text_block,
)
from appliance.providers.dialects.anthropic_context import management_from_editing
from appliance.providers.dialects.anthropic_tools import put_tools
from appliance.providers.dialects.common import (
    Json,
    ModelFacts,
    arguments_object,
    arguments_text,
    check_fields,
    check_part,
    digest,
    list_at,
    object_at,
    reasoning_details,
    reasoning_text,
    refused,
    string,
    text_at,
)

MAX_TOKENS_DEFAULT = 4096
THINKING_TOKENS_MIN = 1024
VERSION = "2023-06-01"
COPIED = ("temperature", "top_p", "top_k", "thinking", "cache_control")
KNOWN = frozenset({
    "messages", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop",
    "tools", "tool_choice", "parallel_tool_calls", "plugins", "web_search_options",
    "response_format", "reasoning_effort", "reasoning_options", "disable_reasoning",
    "safety_identifier", "prompt_cache_key", "prompt_cache_options", "user", "metadata",
    "service_tier", "context_editing", *COPIED,
})  # fmt: skip
MESSAGE_FIELDS = frozenset({"role", "content", "cache_control"})
TOOL_FIELDS = frozenset({*MESSAGE_FIELDS, "tool_call_id", "name", "is_error"})
# What a client sends back of a reply: notes about the text are not a part of what was said.
ASSISTANT_FIELDS = frozenset({
    *MESSAGE_FIELDS, "tool_calls", "refusal", "reasoning", "reasoning_content",
    "reasoning_details", "annotations",
})  # fmt: skip
# `extra_content` is what Google signed: nobody else can read it.
CALL_FIELDS = frozenset({"id", "type", "function", "index", "cache_control", "extra_content"})
TIERS = {"auto": "auto", "default": "standard_only"}
UNMARKABLE = ("thinking", "redacted_thinking")
DEFAULT_MARK = {"type": "ephemeral"}


def request_from_chat(chat: Json, *, model: ModelFacts, stream: bool) -> Json:
    check_fields(chat, KNOWN, SERVICE)
    system, turns = _turns(list_at(chat.get("messages"), "messages"))
    if not turns:
        raise refused("messages", "at least one message that is no system message is needed")
    max_tokens = _max_tokens(chat, model)
    body: Json = {"model": model.provider_model_id, "max_tokens": max_tokens, "messages": turns}
    if system:
        body["system"] = system
    for name in COPIED:
        if chat.get(name) is not None:
            body[name] = chat[name]
    if chat.get("stop"):
        stop = chat["stop"]
        body["stop_sequences"] = [stop] if type(stop) is str else stop
    put_tools(chat, body)
    _put_thinking(chat, body, max_tokens)
    _put_rest(chat, body)
    if stream:
        body["stream"] = True
    if chat.get("cache_control") is None and not _is_marked(body) and not _is_explicit(chat):
        _mark_last(turns)
    return body


def headers_for(body: Json) -> dict[str, str]:
    """What a Messages body needs beside the key."""
    headers = {"anthropic-version": VERSION}
    betas = []
    if "context_management" in body:
        betas.append("context-management-2025-06-27")
    if any(block.get("source", {}).get("type") == "file" for block in _blocks(body)):
        betas.append("files-api-2025-04-14")
    if betas:
        headers["anthropic-beta"] = ",".join(betas)
    return headers


def without_cache_control(body: Json) -> Json:
    """For hosts that do not take it (`proxy.md 11.1`, Bedrock). Changes the body it is given."""
    body.pop("cache_control", None)
    for tool in body.get("tools", ()):
        tool.pop("cache_control", None)
    for block in _blocks(body):
        block.pop("cache_control", None)
    return body


def _blocks(body: Json) -> list[Json]:
    """Every block of a body, those within results of tools included."""
    found: list[Json] = []
    contents = [body.get("system"), *(turn["content"] for turn in body["messages"])]
    while contents:
        content = contents.pop()
        if type(content) is list:
            found += content
            contents += [block.get("content") for block in content if "content" in block]
    return found


def _turns(messages: list[object]) -> tuple[str | list[Json], list[Json]]:
    """The system prompt and the turns; answers of tools that follow each other are one turn."""
    system: list[Json] = []
    turns: list[Json] = []
    results: list[Json] = []
    plain = True
    for number, value in enumerate(messages):
        where = f"messages[{number}]"
        message = object_at(value, where)
        role = message.get("role")
        if role == "tool":
            if not results:
                turns.append({"role": "user", "content": results})
            results.append(_result(message, where))
            continue
        if role == "system" or role == "developer":
            check_part(message, MESSAGE_FIELDS, where, SERVICE)
            content = _content(message, where)
            plain = plain and type(content) is str
            if isinstance(content, list):
                system += content
            elif content:
                system.append(text_block(content))
            continue
        results = []
        if role == "user":
            check_part(message, MESSAGE_FIELDS, where, SERVICE)
            turns.append({"role": "user", "content": _content(message, where)})
        elif role == "assistant":
            said = _assistant(message, where)
            if said:
                turns.append({"role": "assistant", "content": said})
        else:
            raise refused(f"{where}.role", f"{SERVICE} has no role {role}")
    if plain and len(system) == 1:
        return system[0]["text"], turns
    return system, turns


def _content(message: Json, where: str) -> str | list[Json]:
    """Text stays text, unless a cache breakpoint makes a block of it."""
    content = message.get("content")
    if type(content) is str:
        if message.get("cache_control") is None or not content:
            return content
        blocks = [text_block(content)]
    elif content is None:
        return ""
    else:
        blocks = blocks_from_parts(content, f"{where}.content")
    _mark(blocks, cache_mark(message, where))
    return blocks


def _mark(blocks: list[Json], mark: Json | None) -> None:
    if mark is not None and blocks and blocks[-1]["type"] not in UNMARKABLE:
        blocks[-1].setdefault("cache_control", mark)


def _result(message: Json, where: str) -> Json:
    check_part(message, TOOL_FIELDS, where, SERVICE)
    result: Json = {
        "type": "tool_result",
        "tool_use_id": tool_id(text_at(message, "tool_call_id", where)),
    }
    content = message.get("content")
    if content is not None and type(content) is not str:
        content = blocks_from_parts(content, f"{where}.content")
    if content:
        result["content"] = content
    if message.get("is_error"):
        result["is_error"] = True
    mark = cache_mark(message, where)
    if mark is not None:
        result["cache_control"] = mark
    return result


def _assistant(message: Json, where: str) -> str | list[Json]:
    """Thoughts, then text, then calls (`proxy.md 11.1`)."""
    check_part(message, ASSISTANT_FIELDS, where, SERVICE)
    content = message.get("content")
    calls = message.get("tool_calls")
    blocks = _thoughts(message)
    if type(content) is str:
        if not (blocks or calls or message.get("cache_control") or message.get("refusal")):
            return content
        if content:
            blocks.append(text_block(content))
    elif content is not None:
        blocks += blocks_from_parts(content, f"{where}.content")
    if message.get("refusal"):
        blocks.append(text_block(text_at(message, "refusal", where)))
    if calls:
        for number, call in enumerate(list_at(calls, f"{where}.tool_calls")):
            blocks.append(_call(call, f"{where}.tool_calls[{number}]"))
    _mark(blocks, cache_mark(message, where))
    return blocks


def _thoughts(message: Json) -> list[Json]:
    blocks = []
    for detail in reasoning_details(message):
        if type(detail.get("data")) is str:
            blocks.append({"type": "redacted_thinking", "data": detail["data"]})
        else:
            thinking, signature = string(detail.get("thinking")), string(detail.get("signature"))
            blocks.append({"type": "thinking", "thinking": thinking, "signature": signature})
    if not blocks:
        text = reasoning_text(message)
        if text:
            blocks.append({"type": "thinking", "thinking": text, "signature": ""})
    return blocks


def _call(value: object, where: str) -> Json:
    call = object_at(value, where)
    kind = call.get("type", "function")
    if kind != "function":
        raise refused(f"{where}.type", f"{SERVICE} takes calls of functions, not {kind}")
    check_part(call, CALL_FIELDS, where, SERVICE)
    place = f"{where}.function"
    function = object_at(call.get("function"), place)
    block = {
        "type": "tool_use",
        "id": tool_id(text_at(call, "id", where)),
        "name": text_at(function, "name", place),
        "input": arguments_object(arguments_text(function, place), f"{place}.arguments"),
    }
    mark = cache_mark(call, where)
    if mark is not None:
        block["cache_control"] = mark
    return block


def tool_id(text: str) -> str:
    """Anthropic takes letters, digits, _ and - in ids; another id becomes one, always the same."""
    bare = text.replace("_", "").replace("-", "")
    if bare.isalnum() and bare.isascii():
        return text
    return "toolu_" + digest(text)


def _max_tokens(chat: Json, model: ModelFacts) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        value = chat.get(name)
        if value is not None:
            if type(value) is not int or value < 1:
                raise refused(name, "a whole number of tokens above 0 is needed")
            return value
    return model.max_output_tokens or MAX_TOKENS_DEFAULT


def _put_thinking(chat: Json, body: Json, max_tokens: int) -> None:
    effort = chat.get("reasoning_effort")
    options = object_at(chat.get("reasoning_options") or {}, "reasoning_options")
    if "thinking" in body:
        return  # in Anthropic's own words
    if effort == "none" or chat.get("disable_reasoning"):
        body["thinking"] = {"type": "disabled"}
        return
    budget = options.get("budget_tokens")
    if effort is None and budget is None:
        return
    if budget is None:
        budget = max(THINKING_TOKENS_MIN, max_tokens // 2)
        name = "reasoning_effort"
    else:
        name = "reasoning_options.budget_tokens"
    if type(budget) is not int or budget < THINKING_TOKENS_MIN or budget >= max_tokens:
        raise refused(
            name,
            f"thinking takes from {THINKING_TOKENS_MIN} tokens up, and fewer than the "
            f"{max_tokens} of max_completion_tokens",
        )
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    body["temperature"] = 1  # the only one that Anthropic takes with thinking


def _put_rest(chat: Json, body: Json) -> None:
    if chat.get("response_format") is not None:
        _put_format(object_at(chat["response_format"], "response_format"), body)
    metadata = object_at(chat.get("metadata") or {}, "metadata")
    check_part(metadata, frozenset({"user_id"}), "metadata", SERVICE)
    user = chat.get("safety_identifier") or chat.get("prompt_cache_key") or chat.get("user")
    user = user or metadata.get("user_id")
    if user:
        body["metadata"] = {"user_id": user}
    tier = chat.get("service_tier")
    if tier is not None:
        if string(tier) not in TIERS:
            raise refused("service_tier", f"{SERVICE} has auto and default")
        body["service_tier"] = TIERS[tier]
    if chat.get("context_editing") is not None:
        management = management_from_editing(chat["context_editing"])
        if management is not None:
            body["context_management"] = management


def _put_format(given: Json, body: Json) -> None:
    kind = given.get("type")
    if kind == "json_schema":
        where = "response_format.json_schema"
        named = object_at(given.get("json_schema"), where)
        schema = object_at(named.get("schema"), f"{where}.schema")
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif kind != "text":
        raise refused("response_format.type", f"{SERVICE} has text and json_schema, not {kind}")


def _is_explicit(chat: Json) -> bool:
    """OpenAI's option by which a client says that it sets all breakpoints itself."""
    options = object_at(chat.get("prompt_cache_options") or {}, "prompt_cache_options")
    return options.get("mode") == "explicit"


def _is_marked(body: Json) -> bool:
    if any("cache_control" in tool for tool in body.get("tools", ())):
        return True
    return any("cache_control" in block for block in _blocks(body))


def _mark_last(turns: list[Json]) -> None:
    """The breakpoint for clients that set none: what was said so far is cached for 5 minutes."""
    last = turns[-1]
    if type(last["content"]) is str:
        if not last["content"]:
            return
        last["content"] = [text_block(last["content"])]
    _mark(last["content"], DEFAULT_MARK)
