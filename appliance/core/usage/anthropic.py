"""Usage as Anthropic writes it: counts that are net of each other, in a stream spread over two
events, and the count_tokens endpoint (`backend.md 5.2`, row Anthropic)."""

from appliance.core.usage.counts import Documents, Raw, Reading, count, mapping
from appliance.core.usage_types import Usage

STREAM_EVENTS = ("message_start", "message_delta")


def read(documents: Documents) -> Reading | None:
    merged, complete = _merge(documents)
    if merged is None:
        return _count_tokens(documents)
    return Reading(tokens_of(merged), complete)


def tokens_of(raw: Raw) -> Usage:
    split = mapping(raw.get("cache_creation"))
    write_1h = count(split.get("ephemeral_1h_input_tokens"))
    # Without the split, or beyond it, the flat count is of the default kind, 5 minutes.
    flat = count(raw.get("cache_creation_input_tokens"))
    write_5m = max(count(split.get("ephemeral_5m_input_tokens")), flat - write_1h)
    output = count(raw.get("output_tokens"))
    thinking = count(mapping(raw.get("output_tokens_details")).get("thinking_tokens"))
    return Usage(
        input=count(raw.get("input_tokens")),
        output=output - thinking if thinking <= output else output,
        cached_input=count(raw.get("cache_read_input_tokens")),
        write_5m=write_5m,
        write_1h=write_1h,
        thinking=thinking,
        web_search=count(mapping(raw.get("server_tool_use")).get("web_search_requests")),
    )


def is_anthropic(raw: Raw) -> bool:
    return "input_tokens" in raw or "cache_read_input_tokens" in raw or "output_tokens" in raw


def _merge(documents: Documents) -> tuple[Raw | None, bool]:
    """The usage of a message; of a stream, message_start overlaid by what later events say."""
    merged: dict[str, object] = {}
    complete = True
    for document in documents:
        if type(document) is not dict:
            continue
        kind = document.get("type")
        if kind == "message_start":
            usage = mapping(mapping(document.get("message")).get("usage"))
            complete = False
        else:
            usage = document.get("usage") or {}
            if type(usage) is not dict or not usage:
                continue
            complete = complete or kind == "message_delta"
        if is_anthropic(usage):
            # Later events repeat counts; a zero there does not undo what an earlier one said.
            merged.update({name: value for name, value in usage.items() if value})
    return merged or None, complete


def _count_tokens(documents: Documents) -> Reading | None:
    """`{"input_tokens": 12}` at the root: counted, not processed, and free of charge."""
    if len(documents) == 1 and type(documents[0]) is dict and "input_tokens" in documents[0]:
        tokens = count(documents[0]["input_tokens"])
        return Reading(Usage(input=tokens, requests=0, cost_pico=0))
    return None
