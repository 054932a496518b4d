"""Tools and the choice between them, from chat bodies to Anthropic's Messages (`proxy.md 11.1`)."""

from appliance.providers.dialects.anthropic_blocks import SERVICE, cache_mark
from appliance.providers.dialects.common import (
    Json,
    check_part,
    list_at,
    object_at,
    refused,
    text_at,
)

WEB_SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}
SEARCH_OPTIONS = ("max_uses", "allowed_domains", "blocked_domains", "user_location")
TOOL_FIELDS = frozenset({"type", "function", "cache_control"})
FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict", "cache_control"})
PLUGIN_FIELDS = frozenset({"id", "enabled", *SEARCH_OPTIONS})
SEARCH_FIELDS = frozenset({"search_context_size", "user_location", "filters", "max_uses"})
LOCATION_FIELDS = ("city", "country", "region", "timezone")
WORDS = {"auto": "auto", "none": "none", "required": "any"}


def put_tools(chat: Json, body: Json) -> None:
    """Set `tools` and `tool_choice` of the body."""
    tools: list[Json] = []
    if chat.get("tools") is not None:
        for number, tool in enumerate(list_at(chat["tools"], "tools")):
            tools.append(_tool(tool, f"tools[{number}]"))
    search = _web_search(chat)
    if search is not None and all(tool["name"] != "web_search" for tool in tools):
        tools.append(search)
    choice = _choice(chat.get("tool_choice"))
    allowed = choice.pop("allowed", None) if choice else None
    if allowed is not None:
        # The model sees the allowed ones alone: that is what the list is for.
        tools = [tool for tool in tools if tool["name"] in allowed]
    if not tools:
        if choice and choice["type"] not in ("auto", "none"):
            raise refused("tool_choice", "it asks for a tool, but there are no tools")
        return
    body["tools"] = tools
    if chat.get("parallel_tool_calls") is False and (not choice or choice["type"] != "none"):
        choice = choice or {"type": "auto"}
        choice["disable_parallel_tool_use"] = True
    if choice:
        body["tool_choice"] = choice


def _tool(tool: object, where: str) -> Json:
    raw = object_at(tool, where)
    kind = raw.get("type")
    if kind != "function":
        raise refused(f"{where}.type", f"{SERVICE} takes function tools, not {kind}")
    check_part(raw, TOOL_FIELDS, where, SERVICE)
    place = f"{where}.function"
    function = object_at(raw.get("function"), place)
    name = text_at(function, "name", place)
    schema = function.get("parameters")
    if schema is not None:
        object_at(schema, f"{place}.parameters")
    if name == "web_search" and (not schema or not ("properties" in schema or "type" in schema)):
        # Without a schema it is no function of the client but the service's own search.
        check_part(schema or {}, frozenset(SEARCH_OPTIONS), f"{place}.parameters", SERVICE)
        return {**WEB_SEARCH, **(schema or {})}
    check_part(function, FUNCTION_FIELDS, place, SERVICE)
    found: Json = {"name": name}
    if function.get("description"):
        found["description"] = function["description"]
    found["input_schema"] = _input_schema(schema)
    if function.get("strict"):
        found["strict"] = True
    mark = cache_mark(raw, where) or cache_mark(function, place)
    if mark is not None:
        found["cache_control"] = mark
    return found


def _input_schema(schema: Json | None) -> Json:
    """Anthropic wants an object with its type said; definitions and the rest stay as they are."""
    if not schema:
        return {"type": "object", "properties": {}}
    if schema.get("type") == "object" and "properties" in schema:
        return schema
    return {"properties": {}, **schema, "type": "object"}


def _web_search(chat: Json) -> Json | None:
    """The service's own search, asked for by the `web` plugin or by OpenAI's option."""
    if chat.get("web_search_options") is not None:
        return _from_options(object_at(chat["web_search_options"], "web_search_options"))
    for number, plugin in enumerate(list_at(chat.get("plugins") or [], "plugins")):
        where = f"plugins[{number}]"
        if object_at(plugin, where).get("id") != "web":
            raise refused(f"{where}.id", f"{SERVICE} has the plugin web alone")
        check_part(plugin, PLUGIN_FIELDS, where, SERVICE)
        given = {name: plugin[name] for name in SEARCH_OPTIONS if plugin.get(name) is not None}
        return {**WEB_SEARCH, **given}
    return None


def _from_options(options: Json) -> Json:
    where = "web_search_options"
    check_part(options, SEARCH_FIELDS, where, SERVICE)
    if options.get("search_context_size") not in (None, "medium"):
        raise refused(f"{where}.search_context_size", f"{SERVICE} has one size, medium")
    search: Json = dict(WEB_SEARCH)
    filters = object_at(options.get("filters") or {}, f"{where}.filters")
    check_part(filters, frozenset(SEARCH_OPTIONS[1:3]), f"{where}.filters", SERVICE)
    search.update({name: value for name, value in filters.items() if value})
    if options.get("max_uses") is not None:
        search["max_uses"] = options["max_uses"]
    location = options.get("user_location")
    if location is not None:
        place = object_at(location, f"{where}.user_location")
        near = object_at(place.get("approximate") or place, f"{where}.user_location.approximate")
        found = {name: near[name] for name in LOCATION_FIELDS if near.get(name) is not None}
        search["user_location"] = {"type": "approximate", **found}
    return search


def _choice(choice: object) -> Json | None:
    """Anthropic's choice; `allowed` holds the names that may be used, where there is a list."""
    if choice is None:
        return None
    if type(choice) is str:
        if choice not in WORDS:
            raise refused("tool_choice", "one of auto, none, required, or an object")
        return {"type": WORDS[choice]}
    raw = object_at(choice, "tool_choice")
    kind = raw.get("type")
    if kind == "function":
        function = object_at(raw.get("function"), "tool_choice.function")
        return {"type": "tool", "name": text_at(function, "name", "tool_choice.function")}
    if kind == "allowed_tools":
        return _allowed(object_at(raw.get("allowed_tools"), "tool_choice.allowed_tools"))
    raise refused("tool_choice.type", f"{SERVICE} cannot be made to use {kind}")


def _allowed(raw: Json) -> Json:
    where = "tool_choice.allowed_tools"
    names = set()
    for number, tool in enumerate(list_at(raw.get("tools"), f"{where}.tools")):
        place = f"{where}.tools[{number}]"
        function = object_at(object_at(tool, place).get("function"), f"{place}.function")
        names.add(text_at(function, "name", f"{place}.function"))
    mode = raw.get("mode")
    if mode not in ("auto", "required"):
        raise refused(f"{where}.mode", "one of auto, required")
    return {"type": WORDS[mode], "allowed": names}
