"""Usage by its shape, for providers we have no row for and replies in another dialect than the
provider's own (Messages at an OpenAI-like service, chat at Google)."""

from appliance.core.usage import anthropic, bedrock, cohere, gemini, groq, openai
from appliance.core.usage.counts import Documents, Reading, count, find_usage, mapping
from appliance.core.usage_types import Usage

EVENTS_LOOKED_AT = 8  # streams count at their end; Anthropic's begin with the first half of it


def read(documents: Documents) -> Reading | None:
    last = documents[-EVENTS_LOOKED_AT:]
    return (
        gemini.read(last)
        or _by_usage(last, documents)
        or cohere.read(last)
        or _root(last)
        or _choices(last)
        or anthropic.read(documents)
    )


def _by_usage(last: Documents, documents: Documents) -> Reading | None:
    raw, holder = find_usage(last)
    if "prompt_tokens" in raw:
        return groq.read(last)
    if "inputTokens" in raw or "outputTokens" in raw:
        return bedrock.read(last)
    if "billed_units" in raw:
        return cohere.read(last)
    kind = str(holder.get("type", ""))
    if kind.startswith("message") or "cache_read_input_tokens" in raw:
        return anthropic.read(documents)
    if openai.is_openai(raw, holder):
        return openai.read(last)
    return groq.read(last) or (bedrock.read(documents) if len(documents) <= 1 else None)


def _root(documents: Documents) -> Reading | None:
    """Ollama, which counts at the root of its last line."""
    for document in reversed(documents):
        root = mapping(document)
        if "prompt_eval_count" in root or "eval_count" in root:
            prompt, output = count(root.get("prompt_eval_count")), count(root.get("eval_count"))
            return Reading(Usage(input=prompt, output=output))
        if "metrics" in root and type(root["metrics"]) is list:
            return _llama(root["metrics"])
    return None


def _llama(metrics: list[object]) -> Reading | None:
    """Meta's own API: a list of named measurements."""
    values = {str(mapping(item).get("metric")): mapping(item).get("value") for item in metrics}
    prompt = count(values.get("num_prompt_tokens"))
    output = count(values.get("num_completion_tokens"))
    return Reading(Usage(input=prompt, output=output)) if prompt or output else None


def _choices(documents: Documents) -> Reading | None:
    """Moonshot, which puts a stream's usage inside the last choice."""
    for document in reversed(documents):
        choices = mapping(document).get("choices")
        if type(choices) is list and choices:
            raw = mapping(mapping(choices[0]).get("usage"))
            if openai.is_openai(raw, {}):
                return Reading(openai.tokens_of(raw, {}))
    return None
