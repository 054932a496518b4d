"""Chat replies and errors as Anthropic's Messages API writes them, for clients that speak it.

Whoever answered, the client reads blocks: thoughts, text, calls; counts net of what a cache gave.
"""

from appliance.core.json_reader import read_json
from appliance.core.usage.counts import count
from appliance.providers.dialects.common import (
    Json,
    content_text,
    mapping,
    own_call_id,
    reasoning_details,
    reasoning_text,
    string,
)
from appliance.providers.dialects.common_errors import STATUS_TYPES, error_in_200, parts_of

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
ERROR_TYPES = frozenset({
    "invalid_request_error", "authentication_error", "billing_error", "permission_error",
    "not_found_error", "request_too_large", "rate_limit_error", "timeout_error", "api_error",
    "overloaded_error",
})  # fmt: skip
# Arguments that are no JSON object still reach the client, under the name that Anthropic's
# documentation gives them.
INVALID_INPUT = "INVALID_JSON"
NATIVE_REASONS = ("stop_sequence", "pause_turn")
TIERS = {"default": "standard", "priority": "priority"}


def reply_from_chat(chat: Json) -> Json:
    choices = chat.get("choices")
    if chat.get("error") and not choices:
        raise error_in_200(chat)
    choice = mapping(choices[0] if type(choices) is list and choices else None)
    message = mapping(choice.get("message"))
    has_calls = bool(message.get("tool_calls"))
    return {
        "id": message_id(chat),
        "type": "message",
        "role": "assistant",
        "model": string(chat.get("model")),
        "content": _blocks(message, string(chat.get("id"))),
        **stop(choice, has_refused=bool(message.get("refusal")), has_calls=has_calls),
        "usage": usage_from_chat(mapping(chat.get("usage")), chat.get("service_tier")),
    }


def message_id(chat: Json) -> str:
    id = string(chat.get("id"))
    return id if id.startswith("msg_") else "msg_" + id.removeprefix("chatcmpl-")


def stop(choice: Json, *, has_refused: bool, has_calls: bool) -> Json:
    """Why the reply ended: Anthropic's own word where the choice carries it. Clients run tools when
    told so, and some services say `stop` after a call."""
    reason = STOP_REASONS.get(string(choice.get("finish_reason")), "end_turn")
    if reason == "end_turn":
        native = choice.get("native_finish_reason")
        if native in NATIVE_REASONS:
            reason = string(native)
        elif has_calls:
            reason = "tool_use"
        elif has_refused:
            reason = "refusal"
    elif choice.get("native_finish_reason") == "model_context_window_exceeded":
        reason = "model_context_window_exceeded"
    return {"stop_reason": reason, "stop_sequence": choice.get("stop_sequence")}


def usage_from_chat(usage: Json, tier: object = None) -> Json:
    """Anthropic's counts: `input_tokens` is without what a cache gave or took."""
    details = mapping(usage.get("prompt_tokens_details"))
    prompt = count(usage.get("prompt_tokens"))
    cached, writes = count(details.get("cached_tokens")), count(details.get("cache_write_tokens"))
    # A part larger than its whole was not counted in it.
    fresh = prompt - cached if cached <= prompt else prompt
    fresh = fresh - writes if writes <= fresh else fresh
    found: Json = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": writes,
        "cache_read_input_tokens": cached,
        "output_tokens": count(usage.get("completion_tokens")),
    }
    split = mapping(details.get("cache_write_details"))
    write_1h = count(split.get("write_1h_tokens"))
    if writes:
        found["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(0, writes - write_1h),
            "ephemeral_1h_input_tokens": write_1h,
        }
    thinking = count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    if thinking:
        found["output_tokens_details"] = {"thinking_tokens": thinking}
    server = mapping(usage.get("server_tool_use"))
    if server:
        found["server_tool_use"] = {
            "web_search_requests": count(server.get("web_search_requests")),
            "web_fetch_requests": count(server.get("web_fetch_requests")),
        }
    if tier in TIERS:
        found["service_tier"] = TIERS[tier]
    return found


def citations(annotations: object) -> list[Json]:
    """What a text cites, as Anthropic writes results of a web search."""
    found = []
    for value in annotations if type(annotations) is list else ():
        cited = mapping(mapping(value).get("url_citation"))
        if cited:
            found.append({
                "type": "web_search_result_location",
                "url": string(cited.get("url")),
                "title": string(cited.get("title")),
                "cited_text": string(cited.get("content")),
                "encrypted_index": "",
            })  # fmt: skip
    return found


def thought(detail: Json) -> Json:
    """A signed thought as its block."""
    if type(detail.get("data")) is str:
        return {"type": "redacted_thinking", "data": detail["data"]}
    return {
        "type": "thinking",
        "thinking": string(detail.get("thinking")),
        "signature": string(detail.get("signature")),
    }


def error_from_chat(status: int, body: Json) -> tuple[int, Json]:
    """The status stays; the type is Anthropic's word for it."""
    parts = parts_of(body)
    # Other services say `invalid_request_error` of most things: the status says more.
    kind = STATUS_TYPES.get(status, "")
    if kind in ("", "invalid_request_error") and parts.type in ERROR_TYPES:
        kind = parts.type
    kind = kind or ("api_error" if status >= 500 else "invalid_request_error")
    message = parts.message or f"The provider answered {status} and said no more."
    return status, {"type": "error", "error": {"type": kind, "message": message}}


def _blocks(message: Json, reply_id: str) -> list[Json]:
    blocks = [thought(detail) for detail in reasoning_details(message)]
    if not blocks:
        text = reasoning_text(message)
        if text:
            blocks.append(thought({"thinking": text}))
    text = content_text(message.get("content")) + string(message.get("refusal"))
    if text:
        block: Json = {"type": "text", "text": text}
        cited = citations(message.get("annotations"))
        if cited:
            block["citations"] = cited
        blocks.append(block)
    calls = message.get("tool_calls")
    for number, value in enumerate(calls if type(calls) is list else ()):
        call = mapping(value)
        blocks.append(_tool_use(call, own_call_id(call, number, reply_id)))
    return blocks


def _tool_use(call: Json, id: str) -> Json:
    function = mapping(call.get("function"))
    arguments = string(function.get("arguments"))
    value: object = {}
    if arguments:
        value, problem = read_json(arguments.encode("utf-8", "replace"))
        if problem or type(value) is not dict:
            value = {INVALID_INPUT: arguments}
    return {
        "type": "tool_use",
        "id": id,
        "name": string(function.get("name")),
        "input": value,
    }
