"""Usage on OpenRouter: it declares the cost, which is the price; tokens are for analytics
(`backend.md 5.2`, row OpenRouter)."""

from dataclasses import replace

from appliance.core.usage import openai
from appliance.core.usage.counts import Documents, Raw, Reading, cost_pico, find_usage, mapping


def read(documents: Documents) -> Reading | None:
    raw, holder = find_usage(documents)
    if not openai.is_openai(raw, holder):
        return None
    usage = openai.tokens_of(raw, holder)
    # Its prompt count is the whole prompt: what was written to a cache is part of it.
    writes = usage.write_5m + usage.write_1h
    if 0 < writes <= usage.input:
        usage = replace(usage, input=usage.input - writes)
    return Reading(replace(usage, cost_pico=declared_cost(raw)))


def declared_cost(raw: Raw) -> int | None:
    """`cost`, else what the upstream provider charged for it, else the parts of that."""
    cost = cost_pico(raw.get("cost"))
    if cost:
        return cost
    details = mapping(raw.get("cost_details"))
    upstream = cost_pico(details.get("upstream_inference_cost"))
    if upstream is not None:
        return upstream
    parts = [
        cost_pico(details.get(f"upstream_inference_{name}_cost"))
        for name in ("prompt", "completions")
    ]
    known = [part for part in parts if part is not None]
    return sum(known) if known else cost
