"""The registry as two of Helicone's public pages show it: prices, and models with providers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from appliance.providers.registry import REGISTRY, ModelRegistry, registry_lines

# Names of the page for rates of ours (`core/price_rows.py`): USD per million tokens, or for one.
COSTS: Final[Mapping[str, str]] = {
    "input_cost_per_1m": "input",
    "output_cost_per_1m": "output",
    "prompt_cache_write_per_1m": "write_5m",
    "prompt_cache_read_per_1m": "cached_input",
    "prompt_audio_per_1m": "audio_input",
    "completion_audio_per_1m": "audio_output",
    "per_call": "request_each",
}


def price_page() -> list[dict[str, Any]]:
    """A row for each model at each provider whose rates are known; those of the first tier."""
    found = []
    for line in registry_lines(REGISTRY):
        rates = rates_of(line)
        if "input" not in rates:
            continue
        row: dict[str, Any] = {
            "provider": line["provider"].upper(), "model": line["id"], "operator": "equals",
        }  # fmt: skip
        row |= {name: rates[rate] for name, rate in COSTS.items() if rate in rates}
        row.setdefault("output_cost_per_1m", Decimal(0))
        found.append(row)
    return found


def registry_page(registry: ModelRegistry) -> list[dict[str, Any]]:
    """Every model with where it is served."""
    lines: dict[str, list[dict[str, str]]] = {}
    for line in registry_lines(REGISTRY):
        lines.setdefault(line["model"], []).append(line)
    return [
        {
            "id": model.name,
            "name": model.name,
            "author": model.maker,
            "contextLength": max(one.context_tokens for one in model.endpoints),
            "maxOutput": max(one.max_output_tokens for one in model.endpoints),
            "inputModalities": sorted(model.inputs),
            "outputModalities": sorted(model.outputs),
            "endpoints": [_endpoint(line) for line in lines[model.name]],
        }
        for model in registry.models.values()
    ]


def rates_of(line: Mapping[str, str]) -> dict[str, Decimal]:
    """A line's rates by name."""
    parts = (part.partition("=") for part in line["rates"].split())
    return {name: Decimal(value) for name, _, value in parts}


def _endpoint(line: Mapping[str, str]) -> dict[str, Any]:
    rates = rates_of(line)
    return {
        "provider": line["provider"],
        "providerModelId": line["id"],
        "supportsPtb": line["credits"] == "yes",
        "pricing": {
            "prompt": rates.get("input"),
            "completion": rates.get("output"),
            "cacheRead": rates.get("cached_input"),
            "cacheWrite": rates.get("write_5m"),
        },
    }
