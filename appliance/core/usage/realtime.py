"""Usage of a WebSocket session: the sum over its responses. Each `response.done` counts what it
alone has used, in OpenAI's words: text and audio, cached and not."""

from dataclasses import fields
from typing import Any

from appliance.core.realtime import USAGE_EVENTS
from appliance.core.usage import openai
from appliance.core.usage.counts import Documents, Reading, mapping
from appliance.core.usage_types import Modality, Usage

NUMBERS = ("input", "output", "cached_input", "write_5m", "write_1h", "thinking", "web_search")
MODALITIES = ("audio", "image", "video", "file")
NOTHING = Usage()


def read(documents: Documents) -> Reading | None:
    """None: a response was begun, and none has said what it used."""
    total, begun, counted = NOTHING, False, False
    for document in documents:
        used = usage_of(document)
        if used is not None:
            total, counted = plus(total, used), True
        elif type(document) is dict and document.get("type") == "response.created":
            begun = True
    return None if begun and not counted else Reading(total)


def usage_of(document: object) -> Usage | None:
    """What an event says of its response's usage, if it does."""
    event = mapping(document)
    kind = event.get("type")
    if type(kind) is not str or kind not in USAGE_EVENTS:
        return None
    response = mapping(event.get("response"))
    usage = mapping(response.get("usage"))
    return openai.tokens_of(usage, response) if usage else None


def plus(one: Usage, other: Usage) -> Usage:
    """Both together; as one request, since the session is one."""
    costs = [usage.cost_pico for usage in (one, other) if usage.cost_pico is not None]
    both: dict[str, Any] = {name: getattr(one, name) + getattr(other, name) for name in NUMBERS}
    both |= {name: _both(getattr(one, name), getattr(other, name)) for name in MODALITIES}
    return Usage(**both, cost_pico=sum(costs) if costs else None)


def _both(one: Modality | None, other: Modality | None) -> Modality | None:
    if one is None or other is None:
        return one or other
    return Modality(
        *(getattr(one, item.name) + getattr(other, item.name) for item in fields(Modality))
    )
