"""Usage on Bedrock: Claude as Anthropic writes it, Converse in camel case, other families in words
of their own, and the invocation metrics that end every stream (`backend.md 5.2`, row Bedrock)."""

from appliance.core.usage import anthropic
from appliance.core.usage.counts import Documents, Raw, Reading, count, first_count, mapping
from appliance.core.usage_types import Usage

METRICS = "amazon-bedrock-invocationMetrics"


def read(documents: Documents) -> Reading | None:
    for document in reversed(documents):
        usage = mapping(mapping(document).get("usage"))
        if "inputTokens" in usage or "outputTokens" in usage:
            return Reading(converse(usage))
    claude = anthropic.read(documents)
    if claude is not None and claude.complete:
        return claude
    return _metrics(documents) or claude or _families(documents)


def converse(raw: Raw) -> Usage:
    """Converse and Nova: the input count is net of cache reads and writes."""
    write_1h = 0
    details = raw.get("cacheDetails")
    for detail in details if type(details) is list else ():
        if mapping(detail).get("ttl") == "1h":
            write_1h += count(mapping(detail).get("inputTokens"))
    writes = first_count(raw, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    return Usage(
        input=count(raw.get("inputTokens")),
        output=count(raw.get("outputTokens")),
        cached_input=first_count(raw, "cacheReadInputTokens", "cacheReadInputTokenCount"),
        write_5m=max(0, writes - write_1h),
        write_1h=write_1h,
    )


def _metrics(documents: Documents) -> Reading | None:
    for document in reversed(documents):
        raw = mapping(mapping(document).get(METRICS))
        if raw:
            usage = Usage(
                input=count(raw.get("inputTokenCount")),
                output=count(raw.get("outputTokenCount")),
                cached_input=count(raw.get("cacheReadInputTokenCount")),
                write_5m=count(raw.get("cacheWriteInputTokenCount")),
            )
            return Reading(usage)
    return None


def _families(documents: Documents) -> Reading | None:
    """Llama and Titan, whose replies count at the root."""
    prompt = output = 0
    for document in documents:
        raw = mapping(document)
        prompt = count(raw.get("prompt_token_count")) or prompt
        output = count(raw.get("generation_token_count")) or output
        if "inputTextTokenCount" in raw:
            prompt = count(raw["inputTextTokenCount"])
            results = raw.get("results")
            if type(results) is list:
                output = sum(count(mapping(result).get("tokenCount")) for result in results)
            else:
                output = count(raw.get("totalOutputTextTokenCount"))
    return Reading(Usage(input=prompt, output=output)) if prompt or output else None
