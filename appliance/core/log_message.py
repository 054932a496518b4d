"""The message of `POST /v1/log/request` (proxy.md 9.1), as Helicone's own gateways send it.

Pure. Its bodies lie in a store that is not ours, so there are none: what it counts and costs is
what it says.
"""

from collections.abc import Mapping
from typing import Any, Final

from appliance.core.json_reader import read_json
from appliance.core.log_record import URL_CHARACTERS_MAX, USER, MakerOf
from appliance.core.logged import (
    DURATION_US_MAX,
    SOURCE_LOG,
    Logged,
    meta_headers,
    plain_text,
    status_facts,
    time_us,
)
from appliance.core.urls import scrub
from appliance.core.usage.counts import cost_pico, count, mapping
from appliance.errors import Refusal

# Counts of the message, as the record keeps them.
TOKENS: Final = {
    "promptTokens": "input",
    "completionTokens": "output",
    "promptCacheReadTokens": "cached_input",
    "promptCacheWriteTokens": "write_5m",
    "reasoningTokens": "thinking",
}
STATUS_MAX: Final = 999


def read_message(data: bytes, maker_of: MakerOf) -> Logged:
    """One message. Raises Refusal 400 that names the field."""
    value, problem = read_json(data)
    if problem or not isinstance(value, dict):
        raise Refusal(400, "log_invalid", "body: expected a JSON object with log and heliconeMeta")
    log = value.get("log")
    request, response = mapping(mapping(log).get("request")), mapping(mapping(log).get("response"))
    if not request:
        raise Refusal(400, "log_invalid", "log.request: expected an object")
    if not response:
        raise Refusal(400, "log_invalid", "log.response: expected an object")
    status = response.get("status")
    if type(status) is not int or abs(status) > STATUS_MAX:
        raise Refusal(400, "log_invalid", "log.response.status: expected a whole number")
    maker = maker_of(_text(request, "provider"))
    facts: dict[str, Any] = {
        "source": SOURCE_LOG,
        "method": "POST",
        "path": _url(request, "path"),
        "target_url": _url(request, "targetUrl"),
        "provider": maker.name,
        **status_facts(status),
        **_times(request, response),
        **_counted(response),
    }
    if maker.provider_id:
        facts["gateway_provider"], facts["dialect"] = maker.provider_id, maker.dialect
    if request.get("isStream") is True:
        facts["stream_asked"] = True
    for key, name in (("requestReferrer", "referrer"), ("countryCode", "country_code")):
        if text := _text(request, key):
            facts[name] = text
    if isinstance(request.get("threat"), bool):
        facts["threat"] = request["threat"]
    for key, name in (("bodySize", "request_bytes"), ("bodySize", "response_bytes")):
        side = request if name == "request_bytes" else response
        facts[name] = count(side.get(key))
    return Logged(facts, b"", b"", _meta(request, mapping(value.get("heliconeMeta"))))


def _text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key)
    return value[:URL_CHARACTERS_MAX] if isinstance(value, str) else ""


def _url(holder: Mapping[str, Any], key: str) -> str:
    return scrub(USER.sub("://", _text(holder, key)))


def _times(request: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    created = time_us(request.get("requestCreatedAt"))
    if created is not None:
        found["created_at_us"] = created
    for key, name in (("delayMs", "duration_us"), ("timeToFirstToken", "ttfb_us")):
        value: Any = response.get(key)
        if type(value) in (int, float) and 0 < value * 1000 <= DURATION_US_MAX:
            found[name] = int(value * 1000)
    return found


def _counted(response: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    usage: dict[str, Any] = {
        name: count(response[key]) for key, name in TOKENS.items() if response.get(key) is not None
    }
    for side, key in (("input", "promptAudioTokens"), ("output", "completionAudioTokens")):
        if audio := count(response.get(key)):
            parts = usage.setdefault("audio", [0, 0, 0])
            parts[0 if side == "input" else 2] = audio
            usage[side] = max(0, usage.get(side, 0) - audio)
    if usage:
        found["usage"] = {**usage, "source": "provider"}
    cost = cost_pico(response.get("cost"))
    if cost is not None:
        found["declared_cost_pico"] = cost
    if model := _text(response, "model"):
        found["model"] = model
    return found


def _meta(request: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Properties and the rest of what a client has said, as the headers they came in."""
    found: dict[str, Any] = {
        f"helicone-property-{name}": plain_text(value)
        for name, value in mapping(request.get("properties")).items()
    }
    for name in ("helicone-session-id", "helicone-session-path", "helicone-session-name"):
        if (value := found.pop(f"helicone-property-{name.title()}", None)) is not None:
            found[name] = value
    for key, name in (
        ("id", "helicone-request-id"), ("userId", "helicone-user-id"),
        ("promptId", "helicone-prompt-id"), ("promptVersion", "helicone-prompt-version"),
    ):  # fmt: skip
        found[name] = request.get(key) or None
    found["helicone-model-override"] = meta.get("modelOverride")
    for key, name in (
        ("posthogApiKey", "helicone-posthog-key"), ("posthogHost", "helicone-posthog-host"),
        ("stripeCustomerId", "x-stripe-customer-id"),
    ):  # fmt: skip
        found[name] = meta.get(key)
    if meta.get("promptId"):
        found["helicone-prompt-id"] = meta["promptId"]
    return meta_headers(found)
