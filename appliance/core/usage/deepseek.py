"""Usage on DeepSeek: the prompt comes as cache hits and misses (`backend.md 5.2`, row DeepSeek)."""

from appliance.core.usage import openai
from appliance.core.usage.counts import Documents, Reading, count, find_usage, less
from appliance.core.usage_types import Usage


def read(documents: Documents) -> Reading | None:
    raw, _ = find_usage(documents)
    if "prompt_cache_hit_tokens" not in raw and "prompt_cache_miss_tokens" not in raw:
        return openai.read(documents) if "prompt_tokens" in raw else None
    hit, miss = raw.get("prompt_cache_hit_tokens"), raw.get("prompt_cache_miss_tokens")
    prompt = count(raw.get("prompt_tokens"))
    # Either count follows from the other when one is missing.
    cached = count(hit) if hit is not None else max(0, prompt - count(miss))
    completion = count(raw.get("completion_tokens"))
    details = openai.details(raw, openai.COMPLETION_DETAILS)
    reasoning = count(details.get("reasoning_tokens"))
    usage = Usage(
        input=count(miss) if miss is not None else less(prompt, cached),
        output=less(completion, reasoning),
        cached_input=cached,
        thinking=reasoning,
    )
    return Reading(usage)
