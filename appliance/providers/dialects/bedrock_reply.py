"""Replies and errors of Bedrock's Converse API as Chat Completions. Counts are the whole prompt,
with what a cache gave or took."""

from typing import Final

from appliance.core.usage.bedrock import converse
from appliance.providers.dialects.anthropic_reply import Collected
from appliance.providers.dialects.common import Json, mapping, string, to_json
from appliance.providers.dialects.common_errors import chat_error, error_in_200, error_parts
from appliance.providers.dialects.common_usage import chat_usage

FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
# Reasons that their chat word says all of; the choice names any other in a field beside it.
PLAIN_REASONS: Final = ("end_turn", "tool_use", "max_tokens")
TIERS: Final = ("default", "priority", "flex")


def reply_to_chat(reply: Json, *, model: str, created: int, id: str) -> Json:
    message = mapping(mapping(reply.get("output")).get("message"))
    content = message.get("content")
    if not message and "stopReason" not in reply and string(reply.get("message")):
        raise error_in_200(reply)
    collected = Collected()
    texts: list[str] = []
    calls: list[Json] = []
    for value in content if type(content) is list else ():
        block = mapping(value)
        call = mapping(block.get("toolUse"))
        if call:
            calls.append(_call(call))
        elif "reasoningContent" in block:
            collected.think(thought_of(mapping(block["reasoningContent"])))
        else:
            texts.append(_text(block, collected))
    said: Json = {"role": "assistant", "content": "".join(texts) or None, "refusal": None}
    collected.put(said)
    if calls:
        said["tool_calls"] = calls
    finish_reason, more = finish(reply, has_calls=bool(calls))
    choice: Json = {"index": 0, "message": said, "logprobs": None}
    choice.update(finish_reason=finish_reason, **more)
    chat: Json = {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": chat_usage(converse(mapping(reply.get("usage")))),
    }
    return chat | tier_of(reply)


def finish(source: Json, *, has_calls: bool) -> tuple[str, Json]:
    """The finish reason, and further fields of the choice where that word says less."""
    reason = string(source.get("stopReason"))
    found = FINISH_REASONS.get(reason, "stop")
    if found == "stop" and has_calls:
        found = "tool_calls"
    return found, {} if not reason or reason in PLAIN_REASONS else {"native_finish_reason": reason}


def tier_of(source: Json) -> Json:
    tier = string(mapping(source.get("serviceTier")).get("type"))
    return {"service_tier": tier} if tier in TIERS else {}


def thought_of(raw: Json) -> Json:
    """A reasoning block in the form that Anthropic's blocks have."""
    redacted = string(raw.get("redactedContent"))
    if redacted:
        return {"type": "redacted_thinking", "data": redacted}
    text = mapping(raw.get("reasoningText"))
    return {
        "type": "thinking",
        "thinking": string(text.get("text")),
        "signature": string(text.get("signature")),
    }


def citation_of(raw: Json) -> Json:
    """A citation in the form that Anthropic's have."""
    sources = raw.get("sourceContent")
    cited = [string(mapping(one).get("text")) for one in (sources if type(sources) is list else ())]
    web = mapping(mapping(raw.get("location")).get("web"))
    return {
        "url": string(web.get("url")) or string(raw.get("source")),
        "title": string(raw.get("title")),
        "cited_text": "".join(cited),
    }


def _text(block: Json, collected: Collected) -> str:
    """The text of a block, and what it cites."""
    cited = mapping(block.get("citationsContent"))
    if not cited:
        text = string(block.get("text"))
        collected.cite(None, len(text))
        return text
    pieces, sources = cited.get("content"), cited.get("citations")
    text = "".join(
        string(mapping(one).get("text")) for one in (pieces if type(pieces) is list else ())
    )
    listed = sources if type(sources) is list else []
    collected.cite([citation_of(mapping(one)) for one in listed], len(text))
    return text


def _call(raw: Json) -> Json:
    function = {"name": string(raw.get("name")), "arguments": to_json(raw.get("input") or {})}
    return {"id": string(raw.get("toolUseId")), "type": "function", "function": function}


def error_to_chat(status: int, body: bytes) -> tuple[int, Json]:
    """Amazon's errors are a message; the name of the kind is in a header, or not at all."""
    return status, chat_error(status, error_parts(body))
