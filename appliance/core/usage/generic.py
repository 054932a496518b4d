"""Usage by its shape, for providers we have no row for and replies in another dialect than the
provider's own (Messages at an OpenAI-like service, chat at Google)."""

from appliance.core.usage import anthropic, bedrock, cohere, gemini, groq, openai
from appliance.core.usage.counts import Documents, Reading, count, find_usage, mapping
from appliance.core.usage_types import Usage


def read(documents: Documents) -> Reading | None:
    return (
        gemini.read(documents)
        or _by_usage(documents)
        or cohere.read(documents)
        or _root(documents)
        or _choices(documents)
        or anthropic.read(documents)
    )


def _by_usage(documents: Documents) -> Reading | None:
    raw, holder = find_usage(documents)
    if "prompt_tokens" in raw:
        return groq.read(documents)
    if "inputTokens" in raw or "outputTokens" in raw:
        return bedrock.read(documents)
    if "billed_units" in raw:
        return cohere.read(documents)
    kind = str(holder.get("type", ""))
    if kind.startswith("message") or "cache_read_input_tokens" in raw:
        return anthropic.read(documents)
    if openai.is_openai(raw, holder):
        return openai.read(documents)
    return groq.read(documents) or bedrock.read(documents)


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
    values = {mapping(item).get("metric"): mapping(item).get("value") for item in metrics}
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
