"""Tools between chat bodies, where a function is nested, and Responses, where it is flat."""

from appliance.providers.dialects.common import (
    Json,
    check_part,
    list_at,
    object_at,
    refused,
    string,
    text_at,
)

SERVICE = "OpenAI's Responses API"
CHAT = "Chat Completions"
WORDS = ("auto", "none", "required")
FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict", "cache_control"})
CUSTOM_FIELDS = frozenset({"name", "description", "format"})
FLAT_FIELDS = frozenset({"type", "name", "description", "parameters", "strict"})
FLAT_CUSTOM_FIELDS = frozenset({"type", *CUSTOM_FIELDS})
SEARCH_FIELDS = frozenset({
    "type", "filters", "search_context_size", "user_location", "external_web_access",
})  # fmt: skip
PLUGIN_FIELDS = frozenset({"id", "enabled", "allowed_domains", "user_location"})
NEUTRAL_FLAGS = ("async", "defer_loading")


def put_tools(chat: Json, body: Json) -> None:
    """Set `tools` and `tool_choice` of a Responses body."""
    tools = []
    for number, tool in enumerate(list_at(chat.get("tools") or [], "tools")):
        tools.append(_flat(object_at(tool, f"tools[{number}]"), f"tools[{number}]"))
    search = _search(chat)
    if search is not None:
        tools.append(search)
    if tools:
        body["tools"] = tools
    choice = chat.get("tool_choice")
    if choice is not None:
        body["tool_choice"] = choice if choice in WORDS else _flat_choice(choice)


def put_chat_tools(body: Json, chat: Json) -> None:
    """Set `tools`, `tool_choice` and `web_search_options` of a chat body."""
    tools = []
    for number, value in enumerate(list_at(body.get("tools") or [], "tools")):
        where = f"tools[{number}]"
        tool = object_at(value, where)
        kind = string(tool.get("type"))
        if kind.startswith("web_search"):
            chat["web_search_options"] = _search_options(tool, where)
        else:
            tools.append(_nested(tool, kind, where))
    if tools:
        chat["tools"] = tools
    choice = body.get("tool_choice")
    if choice is not None:
        chat["tool_choice"] = choice if choice in WORDS else _nested_choice(choice)


def _flat(tool: Json, where: str) -> Json:
    kind = tool.get("type")
    if kind == "custom":
        custom = object_at(tool.get("custom"), f"{where}.custom")
        check_part(custom, CUSTOM_FIELDS, f"{where}.custom", SERVICE)
        return {"type": "custom", **custom, **_flat_format(custom)}
    if kind != "function":
        raise refused(f"{where}.type", f"one of function, custom, not {kind}")
    place = f"{where}.function"
    function = object_at(tool.get("function"), place)
    check_part(function, FUNCTION_FIELDS, place, SERVICE)
    flat: Json = {"type": "function", "name": text_at(function, "name", place)}
    if function.get("description") is not None:
        flat["description"] = function["description"]
    flat["parameters"] = function.get("parameters") or {"type": "object", "properties": {}}
    # Said in any case: what it means to say nothing differs between the two.
    flat["strict"] = bool(function.get("strict"))
    return flat


def _flat_format(custom: Json) -> Json:
    """A grammar is nested in chat bodies."""
    given = custom.get("format")
    if type(given) is dict and given.get("type") == "grammar" and "grammar" in given:
        return {"format": {"type": "grammar", **object_at(given["grammar"], "format.grammar")}}
    return {}


def _nested(tool: Json, kind: str, where: str) -> Json:
    tool = {name: value for name, value in tool.items() if name not in NEUTRAL_FLAGS or value}
    if kind == "custom":
        check_part(tool, FLAT_CUSTOM_FIELDS, where, CHAT)
        custom = {name: value for name, value in tool.items() if name != "type"}
        given = custom.get("format")
        if type(given) is dict and given.get("type") == "grammar":
            grammar = {name: value for name, value in given.items() if name != "type"}
            custom["format"] = {"type": "grammar", "grammar": grammar}
        return {"type": "custom", "custom": custom}
    if kind != "function":
        raise refused(f"{where}.type", f"{CHAT} has function, custom and web_search, not {kind}")
    check_part(tool, FLAT_FIELDS, where, CHAT)
    text_at(tool, "name", where)
    function = {n: value for n, value in tool.items() if n != "type" and value is not None}
    return {"type": "function", "function": function}


def _flat_choice(choice: object) -> Json:
    raw = object_at(choice, "tool_choice")
    kind = raw.get("type")
    if kind in ("function", "custom"):
        where = f"tool_choice.{kind}"
        return {"type": kind, "name": text_at(object_at(raw.get(kind), where), "name", where)}
    if kind == "allowed_tools":
        where = "tool_choice.allowed_tools"
        allowed = object_at(raw.get("allowed_tools"), where)
        tools = list_at(allowed.get("tools"), f"{where}.tools")
        flat = [_flat_choice(tool) for tool in tools]
        return {"type": "allowed_tools", "mode": allowed.get("mode", "auto"), "tools": flat}
    raise refused("tool_choice.type", "one of function, custom, allowed_tools")


def _nested_choice(choice: object) -> Json:
    raw = object_at(choice, "tool_choice")
    kind = raw.get("type")
    if kind in ("function", "custom"):
        return {"type": kind, str(kind): {"name": text_at(raw, "name", "tool_choice")}}
    if kind == "allowed_tools":
        tools = list_at(raw.get("tools"), "tool_choice.tools")
        nested = {"mode": raw.get("mode", "auto"), "tools": [_nested_choice(t) for t in tools]}
        return {"type": "allowed_tools", "allowed_tools": nested}
    raise refused("tool_choice.type", f"{CHAT} has function, custom and allowed_tools")


def _search(chat: Json) -> Json | None:
    """The service's own search, asked for by the `web` plugin or by the chat option."""
    options = chat.get("web_search_options")
    if options is not None:
        given = object_at(options, "web_search_options")
        check_part(given, SEARCH_FIELDS, "web_search_options", SERVICE)
        search: Json = {"type": "web_search", **given}
        location = given.get("user_location")
        if type(location) is dict and type(location.get("approximate")) is dict:
            search["user_location"] = {"type": "approximate", **location["approximate"]}
        return search
    for number, plugin in enumerate(list_at(chat.get("plugins") or [], "plugins")):
        where = f"plugins[{number}]"
        if object_at(plugin, where).get("id") != "web":
            raise refused(f"{where}.id", f"{SERVICE} has the plugin web alone")
        check_part(plugin, PLUGIN_FIELDS, where, SERVICE)
        search = {"type": "web_search"}
        if plugin.get("allowed_domains") is not None:
            search["filters"] = {"allowed_domains": plugin["allowed_domains"]}
        if plugin.get("user_location") is not None:
            search["user_location"] = plugin["user_location"]
        return search
    return None


def _search_options(tool: Json, where: str) -> Json:
    check_part(tool, SEARCH_FIELDS, where, CHAT)
    options = {name: tool[name] for name in ("search_context_size", "filters") if tool.get(name)}
    location = tool.get("user_location")
    if location is not None:
        raw = object_at(location, f"{where}.user_location")
        near = {name: value for name, value in raw.items() if name != "type" and value is not None}
        options["user_location"] = {"type": "approximate", "approximate": near}
    if tool.get("external_web_access") is False:
        raise refused(f"{where}.external_web_access", f"{CHAT} cannot express this; leave it out")
    return options
