"""Tools and the choice between them, from chat bodies to Bedrock's Converse API."""

from appliance.providers.dialects.bedrock_blocks import SERVICE
from appliance.providers.dialects.common import (
    Json,
    check_part,
    list_at,
    object_at,
    refused,
    text_at,
)

TOOL_FIELDS = frozenset({"type", "function", "cache_control"})
FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict", "cache_control"})
WORDS = ("auto", "none", "required")


def put_tools(chat: Json, body: Json, *, has_calls: bool) -> None:
    """Set `toolConfig`. Converse wants the tools told that the messages speak of."""
    tools = [
        _tool(value, f"tools[{number}]")
        for number, value in enumerate(list_at(chat.get("tools") or [], "tools"))
    ]
    choice, allowed = _choice(chat.get("tool_choice"))
    if allowed is not None:
        # The model sees the allowed ones alone: that is what the list is for.
        tools = [tool for tool in tools if tool["toolSpec"]["name"] in allowed]
    if choice is None:
        if has_calls:
            raise refused("tool_choice", f"{SERVICE} cannot forbid tools that were used before")
        return
    if not tools:
        if has_calls:
            raise refused("tools", f"{SERVICE} must be told the tools that were used before")
        if "auto" not in choice:
            raise refused("tool_choice", "it asks for a tool, but there are no tools")
        return
    body["toolConfig"] = {"tools": tools}
    if chat.get("tool_choice") is not None:
        body["toolConfig"]["toolChoice"] = choice


def _tool(value: object, where: str) -> Json:
    tool = object_at(value, where)
    kind = tool.get("type")
    if kind != "function":
        raise refused(f"{where}.type", f"{SERVICE} takes function tools, not {kind}")
    check_part(tool, TOOL_FIELDS, where, SERVICE)
    place = f"{where}.function"
    function = object_at(tool.get("function"), place)
    check_part(function, FUNCTION_FIELDS, place, SERVICE)
    found: Json = {"name": text_at(function, "name", place)}
    if function.get("description"):
        found["description"] = text_at(function, "description", place)
    schema = object_at(function.get("parameters") or {}, f"{place}.parameters")
    found["inputSchema"] = {"json": {"type": "object", "properties": {}} | schema}
    if function.get("strict"):
        found["strict"] = True
    return {"toolSpec": found}


def _choice(choice: object) -> tuple[Json | None, set[str] | None]:
    """Converse's choice, None where no tool may be used, and the names that may be where there is
    a list."""
    if choice is None or choice == "auto":
        return {"auto": {}}, None
    if type(choice) is str:
        if choice not in WORDS:
            raise refused("tool_choice", "one of auto, none, required, or an object")
        return ({"any": {}} if choice == "required" else None), None
    raw = object_at(choice, "tool_choice")
    kind = raw.get("type")
    if kind == "function":
        function = object_at(raw.get("function"), "tool_choice.function")
        return {"tool": {"name": text_at(function, "name", "tool_choice.function")}}, None
    if kind != "allowed_tools":
        raise refused("tool_choice.type", f"{SERVICE} cannot be made to use {kind}")
    where = "tool_choice.allowed_tools"
    allowed = object_at(raw.get("allowed_tools"), where)
    names = set()
    for number, tool in enumerate(list_at(allowed.get("tools"), f"{where}.tools")):
        place = f"{where}.tools[{number}]"
        function = object_at(object_at(tool, place).get("function"), f"{place}.function")
        names.add(text_at(function, "name", f"{place}.function"))
    mode = allowed.get("mode")
    if mode not in ("auto", "required"):
        raise refused(f"{where}.mode", "one of auto, required")
    return ({"any": {}} if mode == "required" else {"auto": {}}), names
