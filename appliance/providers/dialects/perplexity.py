"""Perplexity's Agent API: chat bodies as its dialect of OpenAI's Responses, replies back.

Its chat endpoint ended on 2026-09-27 and answers 403 since. The Agent API refuses every field that
it does not know, searches only when told to, and has one model of its own: what were models are
presets of it (docs.perplexity.ai/docs/agent-api/migrate-from-sonar/how-to).
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from appliance.providers.dialects import responses
from appliance.providers.dialects.common import (
    Json,
    ModelFacts,
    check_fields,
    check_part,
    list_at,
    mapping,
    object_at,
    refused,
    string,
)
from appliance.providers.dialects.common_errors import error_in_200

PATH: Final = "/v1/responses"
SERVICE: Final = "Perplexity's Agent API"
# How hard it searches, by the name the model had. The model beside it stays Perplexity's own: a
# preset alone may mean anybody's, at anybody's price.
PRESETS: Final[Mapping[str, str]] = {
    "sonar-pro": "low", "sonar-reasoning": "low", "sonar-reasoning-pro": "low",
    "sonar-deep-research": "medium",
}  # fmt: skip
FILTERS: Final = (
    "search_domain_filter", "search_recency_filter", "search_after_date_filter",
    "search_before_date_filter", "last_updated_after_filter", "last_updated_before_filter",
)  # fmt: skip
OPTIONS: Final = frozenset({"search_context_size", "user_location"})
SEARCH: Final = frozenset({
    *FILTERS, "num_search_results", "disable_search", "web_search_options", "plugins",
})  # fmt: skip
COPIED: Final = frozenset({
    "messages", "model", "stream", "max_tokens", "max_completion_tokens", "tools", "tool_choice",
    "temperature", "top_p", "parallel_tool_calls", "metadata", "store", "reasoning_effort",
    "disable_reasoning",
})  # fmt: skip
# Said of a call but not of its answer: caches, labels, how a stream counts.
UNTOLD: Final = frozenset({
    "stream_options", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "cache_control",
})  # fmt: skip
KNOWN: Final = COPIED | UNTOLD | SEARCH | {"response_format", "language_preference"}
NEUTRAL: Final[Mapping[str, object]] = {
    "logprobs": False, "service_tier": "auto", "return_images": False,
    "return_related_questions": False,
}  # fmt: skip
PLUGIN: Final = frozenset({"id", "enabled", "allowed_domains", "blocked_domains", "user_location"})

StreamToChat = responses.StreamToChat
error_to_chat = responses.error_to_chat


class NamedModel(ModelFacts, Protocol):
    """The model's name in the registry says which preset is meant."""

    @property
    def model(self) -> str: ...


def request_from_chat(chat: Json, *, model: NamedModel, stream: bool) -> Json:
    """Raises Refusal 400 that names what cannot be said there."""
    told = {name: value for name, value in chat.items() if value != NEUTRAL.get(name, ...)}
    check_fields(told, KNOWN, SERVICE)
    plain = {name: value for name, value in told.items() if name in COPIED}
    body = responses.request_from_chat(plain, model=model, stream=stream)
    body.pop("include", None)  # there is nothing encrypted to give back
    if mapping(body.get("reasoning")).get("effort") == "none":
        del body["reasoning"]
    body["input"] = [item for item in map(_item, body["input"]) if item is not None]
    for name in ("response_format", "language_preference"):
        if told.get(name) is not None:
            body[name] = told[name]
    preset = PRESETS.get(model.model)
    if preset is not None:
        body["preset"] = preset
    _put_tools(body, told, preset)
    return body


def _item(item: Json) -> Json | None:
    """A message or a call without what this service would refuse in it."""
    kind = item["type"]
    if kind == "reasoning":
        return None
    if kind == "message":
        content = item["content"]
        if item["role"] == "assistant":
            content = "".join(string(part.get("text") or part.get("refusal")) for part in content)
        return {**item, "content": _parts(content)}
    if kind == "function_call_output":
        output = item["output"]
        if type(output) is list:
            output = "\n".join(string(part.get("text")) for part in _parts(output))
        return {**item, "output": output}
    if kind != "function_call":
        raise refused("messages", f"{SERVICE} takes calls of functions alone")
    return item


def _parts(content: Any) -> Any:  # noqa: ANN401 - a text or its parts
    if type(content) is not list:
        return content
    parts = []
    for part in content:
        if part["type"] == "input_file":
            raise refused("messages", f"{SERVICE} takes text and images, not files")
        parts.append({name: value for name, value in part.items() if name != "detail"})
    return parts


def _put_tools(body: Json, told: Json, preset: str | None) -> None:
    tools = body.pop("tools", [])
    for number, tool in enumerate(tools):
        if tool["type"] != "function":
            raise refused(f"tools[{number}].type", f"{SERVICE} has function, not {tool['type']}")
    choice = body.get("tool_choice")
    if type(choice) is dict:
        if choice.get("type") != "function":
            raise refused("tool_choice.type", f"{SERVICE} has function alone")
        body["tool_choice"] = {"name": choice["name"]}
    search = _search(told)
    if told.get("disable_search"):
        if preset is not None or search:
            raise refused("disable_search", "this call asks for a search: ask for sonar without")
    elif search or preset is None:
        tools.append({"type": "web_search", **search})
    if tools:
        body["tools"] = tools


def _search(told: Json) -> Json:
    """What was said of the search, as its tool has it."""
    filters = {name: told[name] for name in FILTERS if told.get(name) is not None}
    search: Json = {}
    if told.get("num_search_results") is not None:
        search["max_results"] = told["num_search_results"]
    options = object_at(told.get("web_search_options") or {}, "web_search_options")
    check_part(options, OPTIONS, "web_search_options", SERVICE)
    search |= {name: value for name, value in options.items() if value is not None}
    for number, value in enumerate(list_at(told.get("plugins") or [], "plugins")):
        plugin = object_at(value, f"plugins[{number}]")
        if plugin.get("id") != "web":
            raise refused(f"plugins[{number}].id", f"{SERVICE} has the plugin web alone")
        check_part(plugin, PLUGIN, f"plugins[{number}]", SERVICE)
        domains = [
            *(plugin.get("allowed_domains") or []),
            *(f"-{domain}" for domain in plugin.get("blocked_domains") or []),
        ]
        if domains:
            filters["search_domain_filter"] = domains
        if plugin.get("user_location") is not None:
            search["user_location"] = plugin["user_location"]
    location = search.get("user_location")
    if type(location) is dict:
        near = mapping(location.get("approximate")) or location
        search["user_location"] = {n: value for n, value in near.items() if n != "type"}
    if filters:
        search["filters"] = filters
    return search


def reply_to_chat(reply: Json, *, model: str, created: int, id: str) -> Json:
    """Raises UpstreamFailed for a run that failed or was cancelled: both come with status 200."""
    if reply.get("status") == "cancelled":
        raise error_in_200(reply)
    return responses.reply_to_chat(reply, model=model, created=created, id=id)
