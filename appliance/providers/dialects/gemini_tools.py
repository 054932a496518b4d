"""Tools and the choice between them, from chat bodies to Gemini (`proxy.md 11.3`).

`required` is carried, which the original lost.
"""

from appliance.providers.dialects.common import (
    Json,
    check_part,
    list_at,
    object_at,
    refused,
    text_at,
)
from appliance.providers.dialects.gemini_parts import SERVICE
from appliance.providers.dialects.gemini_schema import put_schema

TOOL_FIELDS = frozenset({"type", "function", "cache_control"})
FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict", "cache_control"})
PLUGIN_FIELDS = frozenset({"id", "enabled"})
SEARCH_FIELDS = frozenset({"search_context_size"})
MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
# Calls that fit their schema, or text: what `strict` promises while the choice is free.
STRICT_MODE = "VALIDATED"


def put_tools(chat: Json, body: Json) -> None:
    """Set `tools` and `toolConfig` of the body."""
    declared: list[Json] = []
    is_strict = False
    for number, value in enumerate(list_at(chat.get("tools") or [], "tools")):
        function = _function(value, f"tools[{number}]")
        is_strict = is_strict or bool(function.get("strict"))
        declared.append(_declaration(function, f"tools[{number}].function"))
    mode, allowed = _choice(chat.get("tool_choice"))
    if allowed is not None and mode == "AUTO":
        # The model sees the allowed ones alone: that is what the list is for.
        declared = [one for one in declared if one["name"] in allowed]
    tools: list[Json] = [{"functionDeclarations": declared}] if declared else []
    if _wants_search(chat):
        tools.append({"googleSearch": {}})
    if tools:
        body["tools"] = tools
    if not declared:
        if mode == "ANY":
            raise refused("tool_choice", "it asks for a tool, but there are no tools")
        return
    if mode == "AUTO" and is_strict:
        mode = STRICT_MODE
    if mode != "AUTO" or chat.get("tool_choice") is not None:
        calling: Json = {"mode": mode}
        if allowed is not None and mode == "ANY":
            calling["allowedFunctionNames"] = allowed
        body["toolConfig"] = {"functionCallingConfig": calling}


def _function(value: object, where: str) -> Json:
    tool = object_at(value, where)
    kind = tool.get("type")
    if kind != "function":
        raise refused(f"{where}.type", f"{SERVICE} takes function tools, not {kind}")
    check_part(tool, TOOL_FIELDS, where, SERVICE)
    return object_at(tool.get("function"), f"{where}.function")


def _declaration(function: Json, where: str) -> Json:
    check_part(function, FUNCTION_FIELDS, where, SERVICE)
    found: Json = {"name": text_at(function, "name", where)}
    if function.get("description"):
        found["description"] = text_at(function, "description", where)
    schema = function.get("parameters")
    if schema is not None and not _is_empty(object_at(schema, f"{where}.parameters")):
        put_schema(found, schema, name="parameters", name_of_json="parametersJsonSchema")
    return found


def _is_empty(schema: Json) -> bool:
    """No parameters at all: no schema then, because Gemini takes no empty object."""
    return not schema.get("additionalProperties") and {
        "type", "properties", "required", "additionalProperties", "title", "description",
        "$schema",
    }.issuperset(schema) and not schema.get("properties")  # fmt: skip


def _wants_search(chat: Json) -> bool:
    """Google's own search, asked for by the `web` plugin or by OpenAI's option."""
    if chat.get("web_search_options") is not None:
        options = object_at(chat["web_search_options"], "web_search_options")
        check_part(options, SEARCH_FIELDS, "web_search_options", SERVICE)
        if options.get("search_context_size") not in (None, "medium"):
            where = "web_search_options.search_context_size"
            raise refused(where, f"{SERVICE} has one size, medium")
        return True
    for number, plugin in enumerate(list_at(chat.get("plugins") or [], "plugins")):
        where = f"plugins[{number}]"
        if object_at(plugin, where).get("id") != "web":
            raise refused(f"{where}.id", f"{SERVICE} has the plugin web alone")
        check_part(plugin, PLUGIN_FIELDS, where, SERVICE)
        if plugin.get("enabled") is not False:
            return True
    return False


def _choice(choice: object) -> tuple[str, list[str] | None]:
    """Gemini's mode, and the names that may be called where there is a list."""
    if choice is None:
        return "AUTO", None
    if type(choice) is str:
        if choice not in MODES:
            raise refused("tool_choice", "one of auto, none, required, or an object")
        return MODES[choice], None
    raw = object_at(choice, "tool_choice")
    kind = raw.get("type")
    if kind == "function":
        function = object_at(raw.get("function"), "tool_choice.function")
        return "ANY", [text_at(function, "name", "tool_choice.function")]
    if kind != "allowed_tools":
        raise refused("tool_choice.type", f"{SERVICE} cannot be made to use {kind}")
    where = "tool_choice.allowed_tools"
    allowed = object_at(raw.get("allowed_tools"), where)
    names = []
    for number, tool in enumerate(list_at(allowed.get("tools"), f"{where}.tools")):
        place = f"{where}.tools[{number}]"
        function = object_at(object_at(tool, place).get("function"), f"{place}.function")
        names.append(text_at(function, "name", f"{place}.function"))
    mode = allowed.get("mode")
    if mode not in ("auto", "required"):
        raise refused(f"{where}.mode", "one of auto, required")
    return MODES[mode], names
