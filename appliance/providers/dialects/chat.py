"""Chat bodies as OpenAI's own endpoint takes them: without the gateway's extra fields.

For bodies that were translated from another format. What a client wrote as chat itself is sent as
it is: services that speak chat differ in what else they take.
"""

from appliance.providers.dialects.common import (
    Json,
    content_text,
    failed_result,
    list_at,
    mapping,
    object_at,
    refused,
)

SERVICE = "OpenAI's Chat Completions"
# Hints, and thoughts that only their maker can use: the service does as well without them.
MESSAGE_EXTRAS = frozenset({
    "cache_control", "reasoning", "reasoning_content", "reasoning_details", "is_error",
})  # fmt: skip
BODY_EXTRAS = frozenset({"cache_control", "reasoning_options", "context_editing"})
# These ask for something: to leave them out would be to answer another question.
BODY_UNKNOWN = ("plugins", "thinking")
SEARCH_EXTRAS = ("filters", "max_uses")


def plain_chat(chat: Json) -> Json:
    """A body without extras; the one that was given where there are none. It is not changed."""
    for name in BODY_UNKNOWN:
        if chat.get(name):
            raise refused(name, f"{SERVICE} cannot express this; leave it out for this model")
    for name in SEARCH_EXTRAS:
        if mapping(chat.get("web_search_options")).get(name):
            raise refused(f"web_search_options.{name}", f"{SERVICE} has no such limit of a search")
    messages = list_at(chat.get("messages"), "messages")
    plain = _messages(messages)
    tools = chat.get("tools")
    bare = _bare_tools(tools) if type(tools) is list else tools
    if plain is messages and bare is tools and BODY_EXTRAS.isdisjoint(chat):
        return chat
    found = {name: value for name, value in chat.items() if name not in BODY_EXTRAS}
    found["messages"] = plain
    if tools is not None:
        found["tools"] = bare
    return found


def _messages(messages: list[object]) -> list[object]:
    plain: list[object] = []
    shown: list[Json] = []  # images of the tools that answer just now
    touched = False
    for number, value in enumerate(messages):
        message = object_at(value, f"messages[{number}]")
        role = message.get("role")
        if shown and role != "tool":
            plain.append({"role": "user", "content": shown})
            shown = []
        bare = _message(message, f"messages[{number}]")
        if role == "tool":
            bare = _result(message, bare, shown)
        plain.append(bare)
        touched = touched or bare is not message
    if shown:
        plain.append({"role": "user", "content": shown})
    return plain if touched else messages


def _message(message: Json, where: str) -> Json:
    content = message.get("content")
    parts = _parts(content, where) if type(content) is list else content
    if parts is content and MESSAGE_EXTRAS.isdisjoint(message):
        return message
    bare = {name: value for name, value in message.items() if name not in MESSAGE_EXTRAS}
    if "content" in bare:
        bare["content"] = parts
    if message.get("refusal") is None:
        bare.pop("refusal", None)
    return bare


def _parts(content: list[object], where: str) -> list[object]:
    if not any(_is_extra(part) for part in content):
        return content
    return [_part(part, f"{where}.content[{number}]") for number, part in enumerate(content)]


def _is_extra(part: object) -> bool:
    raw = mapping(part)
    return (
        "cache_control" in raw
        or raw.get("type") == "document"
        or "file_url" in mapping(raw.get("file"))
    )


def _part(value: object, where: str) -> Json:
    part = object_at(value, where)
    if part.get("type") == "document":
        raise refused(f"{where}.type", f"{SERVICE} has no documents; send a file or text")
    if "file_url" in mapping(part.get("file")):
        raise refused(f"{where}.file.file_url", f"{SERVICE} takes files as file_data or file_id")
    return {name: inner for name, inner in part.items() if name != "cache_control"}


def _result(message: Json, bare: Json, shown: list[Json]) -> Json:
    """Tools answer in text: images are shown after them, and that a tool failed is said."""
    content = bare.get("content")
    if type(content) is list:
        images = [part for part in content if mapping(part).get("type") != "text"]
        if images:
            shown += images
            rest = [part for part in content if mapping(part).get("type") == "text"]
            bare = {**bare, "content": rest or "The result is in the next message."}
    if message.get("is_error"):
        bare = {**bare, "content": failed_result(content_text(bare.get("content")))}
    return bare


def _bare_tools(tools: list[object]) -> list[object]:
    if not any("cache_control" in mapping(tool) for tool in tools):
        return tools
    return [
        {name: value for name, value in mapping(tool).items() if name != "cache_control"}
        for tool in tools
    ]
