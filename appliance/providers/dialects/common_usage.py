"""Usage as Chat Completions writes it, made of what any dialect counted (`proxy.md 11.5`).

Totals include their parts: `prompt_tokens` is the whole prompt, with what a cache gave or took.
"""

from appliance.core.usage_types import Modality, Usage
from appliance.providers.dialects.common import Json


def chat_usage(usage: Usage) -> Json:
    cached, writes = usage.cached_input, usage.write_5m + usage.write_1h
    prompt = usage.input + cached + writes
    completion = usage.output + usage.thinking
    prompt_parts: Json = {}
    completion_parts: Json = {}
    if cached or writes:
        prompt_parts = {"cached_tokens": cached, "audio_tokens": 0, "cache_write_tokens": writes}
        prompt_parts["cache_write_details"] = {
            "write_5m_tokens": usage.write_5m,
            "write_1h_tokens": usage.write_1h,
        }
    if usage.thinking:
        completion_parts["reasoning_tokens"] = usage.thinking
    for name, part in (
        ("audio_tokens", usage.audio),
        ("image_tokens", usage.image),
        ("video_tokens", usage.video),
        ("file_tokens", usage.file),
    ):
        if part is not None:
            prompt += part.input + part.cached_input
            completion += part.output
            _add_part(name, part, prompt_parts, completion_parts)
    whole: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if prompt_parts:
        whole["prompt_tokens_details"] = prompt_parts
    if completion_parts:
        whole["completion_tokens_details"] = completion_parts
    if usage.web_search:
        whole["server_tool_use"] = {"web_search_requests": usage.web_search}
    return whole


def _add_part(name: str, part: Modality, prompt_parts: Json, completion_parts: Json) -> None:
    """A modality's share of the totals; its cached share is in `cached_tokens` too."""
    if part.input or part.cached_input:
        prompt_parts[name] = part.input + part.cached_input
    if part.cached_input:
        prompt_parts["cached_tokens"] = prompt_parts.get("cached_tokens", 0) + part.cached_input
        prompt_parts.setdefault("cached_tokens_details", {})[name] = part.cached_input
    if part.output:
        completion_parts[name] = part.output
