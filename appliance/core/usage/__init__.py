"""Usage of a reply, whatever dialect it speaks: one file per dialect, chosen by the provider, then
by the dialect, then by the shape of what is there (`backend.md 5.2`)."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from appliance.core.realtime import DIALECT
from appliance.core.usage import (
    anthropic,
    bedrock,
    cohere,
    deepseek,
    gemini,
    generic,
    groq,
    openai,
    openrouter,
    realtime,
    xai,
)
from appliance.core.usage.counts import Documents, Raw, Reading, count
from appliance.core.usage_types import Modality, Usage

__all__ = ["DIALECT", "Reading", "read_usage", "usage_from_map", "usage_to_map"]

Reader = Callable[[Documents], Reading | None]

READERS: dict[str, Reader] = {
    "anthropic": anthropic.read,
    "aws": bedrock.read,
    "bedrock": bedrock.read,
    "cohere": cohere.read,
    "deepseek": deepseek.read,
    "gemini": gemini.read,
    "google": gemini.read,
    "google-ai-studio": gemini.read,
    "groq": groq.read,
    "openai": openai.read,
    "openrouter": openrouter.read,
    "vertex": gemini.read,
    "x": xai.read,
    "xai": xai.read,
}
MODALITIES = ("audio", "image", "video", "file")
NUMBERS = tuple(
    field.name for field in fields(Usage) if field.name not in (*MODALITIES, "requests")
)


def read_usage(provider: str, dialect: str, documents: Documents) -> Reading | None:
    """`provider` is the gateway's id in lower case. None: the reply says nothing of its usage."""
    if not documents:
        return None
    if dialect == DIALECT:
        return realtime.read(documents)
    reader = READERS.get(provider) or READERS.get(dialect) or generic.read
    return reader(documents) or (generic.read(documents) if reader is not generic.read else None)


def usage_to_map(usage: Usage) -> dict[str, object]:
    """For the record, where bodies are not kept: only what is there."""
    found: dict[str, object] = {
        name: value for name in NUMBERS if (value := getattr(usage, name)) not in (0, None)
    }
    if usage.cost_pico == 0:
        found["cost_pico"] = 0
    if usage.requests != 1:
        found["requests"] = usage.requests
    for name in MODALITIES:
        modality = getattr(usage, name)
        if modality is not None:
            found[name] = [modality.input, modality.cached_input, modality.output]
    return found


def usage_from_map(raw: Raw) -> Usage:
    values: dict[str, Any] = {name: count(raw[name]) for name in NUMBERS if name in raw}
    if "requests" in raw:
        values["requests"] = count(raw["requests"])
    if type(raw.get("cost_pico")) is int:
        values["cost_pico"] = raw["cost_pico"]  # pico-USD outgrow the bound of counts
    for name in MODALITIES:
        parts = raw.get(name)
        if isinstance(parts, list) and len(parts) == 3:
            values[name] = Modality(*(count(part) for part in parts))
    return Usage(**values)
