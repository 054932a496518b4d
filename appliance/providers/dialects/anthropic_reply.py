"""Anthropic's replies and errors as Chat Completions (`proxy.md 11.2`).

Text, thoughts, calls and citations are carried; blocks of tools that ran at the provider are its
own affair. Counts are the whole prompt, with what a cache gave or took.
"""

from appliance.core.usage.anthropic import tokens_of
from appliance.providers.dialects.common import Json, string, to_json
from appliance.providers.dialects.common_errors import chat_error, error_in_200, error_parts
from appliance.providers.dialects.common_usage import chat_usage

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# Reasons that their chat word does not tell apart: the choice names them in a field beside it.
NATIVE_REASONS = frozenset({"stop_sequence", "model_context_window_exceeded", "pause_turn"})
TIERS = {"standard": "default", "priority": "priority"}


def reply_to_chat(reply: Json, *, model: str, created: int, id: str) -> Json:
    if reply.get("type") == "error":
        raise error_in_200(reply)
    collected = Collected()
    texts: list[str] = []
    calls: list[Json] = []
    for block in blocks_of(reply):
        kind = block.get("type")
        if kind == "text":
            text = string(block.get("text"))
            collected.cite(block.get("citations"), len(text))
            texts.append(text)
        elif kind == "tool_use":
            calls.append(_call(block))
        else:
            collected.think(block)
    message: Json = {"role": "assistant", "content": "".join(texts) or None, "refusal": None}
    collected.put(message)
    if calls:
        message["tool_calls"] = calls
    choice: Json = {"index": 0, "message": message, "logprobs": None}
    finish_reason, more = finish(reply)
    choice.update(finish_reason=finish_reason, **more)
    if finish_reason == "content_filter":
        message["refusal"] = refusal_text(reply)
    usage = reply.get("usage")
    chat: Json = {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": usage_to_chat(usage if type(usage) is dict else {}),
    }
    tier = tier_of(usage)
    if tier:
        chat["service_tier"] = tier
    return chat


class Collected:
    """What a message has beside its text and calls: thoughts with signatures, citations."""

    __slots__ = ("annotations", "details", "text_characters", "thoughts")

    def __init__(self) -> None:
        self.annotations: list[Json] = []
        self.details: list[Json] = []
        self.thoughts: list[str] = []
        self.text_characters = 0

    def think(self, block: Json) -> None:
        kind = block.get("type")
        if kind == "thinking":
            thinking, signature = string(block.get("thinking")), string(block.get("signature"))
            self.details.append({"thinking": thinking, "signature": signature})
            self.thoughts.append(thinking)
        elif kind == "redacted_thinking":
            self.details.append({"data": string(block.get("data"))})

    def cite(self, citations: object, characters: int) -> None:
        """The next text of the message is this long, and cites these."""
        start = self.text_characters
        self.text_characters += characters
        if type(citations) is list:
            for citation in citations:
                if type(citation) is dict:
                    self.annotations.append(annotation(citation, start, self.text_characters))

    def put(self, message: Json) -> None:
        if self.thoughts:
            message["reasoning"] = "".join(self.thoughts)
        if self.details:
            message["reasoning_details"] = self.details
        if self.annotations:
            message["annotations"] = self.annotations


def annotation(citation: Json, start: int, end: int) -> Json:
    """A citation of any kind as a chat annotation: documents have a title and no address."""
    found = {
        "url": string(citation.get("url")) or string(citation.get("source")),
        "title": string(citation.get("title")) or string(citation.get("document_title")),
        "content": string(citation.get("cited_text")),
        "start_index": start,
        "end_index": end,
    }
    return {"type": "url_citation", "url_citation": found}


def finish(source: Json) -> tuple[str, Json]:
    """The finish reason, and further fields of the choice where that word says less."""
    reason = source.get("stop_reason")
    more: Json = {}
    if string(reason) in NATIVE_REASONS:
        more["native_finish_reason"] = reason
        if source.get("stop_sequence") is not None:
            more["stop_sequence"] = source["stop_sequence"]
    return FINISH_REASONS.get(string(reason), "stop"), more


def refusal_text(source: Json) -> str | None:
    """Why Anthropic's classifier ended the reply, where it says so."""
    details = source.get("stop_details")
    text = details.get("explanation") if type(details) is dict else None
    return text if type(text) is str else None


def usage_to_chat(raw: Json) -> Json:
    usage = chat_usage(tokens_of(raw))
    server = raw.get("server_tool_use")
    if type(server) is dict and server.get("web_fetch_requests"):
        usage.setdefault("server_tool_use", {})["web_fetch_requests"] = server["web_fetch_requests"]
    return usage


def tier_of(usage: object) -> str | None:
    return TIERS.get(str(usage.get("service_tier"))) if type(usage) is dict else None


def error_to_chat(status: int, body: bytes) -> tuple[int, Json]:
    """Anthropic's error types are kept as they are; chat clients decide by the status."""
    return status, chat_error(status, error_parts(body))


def blocks_of(reply: Json) -> list[Json]:
    content = reply.get("content")
    if type(content) is not list:
        return []
    return [block for block in content if type(block) is dict]


def _call(block: Json) -> Json:
    function = {"name": string(block.get("name")), "arguments": to_json(block.get("input") or {})}
    return {"id": string(block.get("id")), "type": "function", "function": function}
