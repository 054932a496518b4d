"""Rows that other programs have exported become records: Helicone's requests, LiteLLM's spend logs,
Langfuse's observations. Pure; a row that is none of these is refused by name.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, Literal

from appliance.core.ask_types import NOTHING_ASKED
from appliance.core.json_reader import read_json, write_json
from appliance.core.log_record import USER, Maker
from appliance.core.logged import (
    DURATION_US_MAX,
    SOURCE_IMPORT,
    Logged,
    asks_of,
    meta_headers,
    plain_text,
    status_facts,
    time_us,
)
from appliance.core.otlp_span import maker_of
from appliance.core.urls import scrub
from appliance.core.usage.counts import cost_pico, count, mapping
from appliance.errors import Refusal

Kind = Literal["helicone", "litellm", "langfuse"]
HELICONE_TOKENS: Final = {
    "prompt_tokens": "input", "completion_tokens": "output",
    "prompt_cache_read_tokens": "cached_input", "prompt_cache_write_tokens": "write_5m",
    "reasoning_tokens": "thinking",
}  # fmt: skip
SESSION: Final = {
    "helicone-session-id": "helicone-session-id", "helicone-session-path": "helicone-session-path",
    "helicone-session-name": "helicone-session-name", "helicone-prompt-id": "helicone-prompt-id",
}  # fmt: skip
NO_MAKER: Final[dict[str, Maker]] = {}


def kind_of(row: Mapping[str, Any]) -> Kind:
    """Whose row it is. Raises Refusal 400."""
    if "request_id" in row and "request_created_at" in row:
        return "helicone"
    if "request_id" in row and "startTime" in row:
        return "litellm"
    if "id" in row and ("traceId" in row or "trace_id" in row):
        return "langfuse"
    raise Refusal(
        400, "import_unknown",
        "This is no row of Helicone's export (request_id, request_created_at), LiteLLM's spend "
        "logs (request_id, startTime) or Langfuse's observations (id, traceId).",
    )  # fmt: skip


def imported(row: Mapping[str, Any]) -> tuple[dict[str, Any], bytes, bytes]:
    """Metadata of the frame but for what the store adds, and both bodies. `import_id` is what makes
    the row the same when it comes again. Raises Refusal 400."""
    kind = kind_of(row)
    told = {"helicone": _helicone, "litellm": _litellm, "langfuse": _langfuse}[kind](row)
    asks = asks_of(told.meta, {}, NOTHING_ASKED)
    own = told.facts.pop("properties", {})
    facts = {
        "source": SOURCE_IMPORT, "method": "POST", "request_type": "application/json",
        "response_type": "application/json", "request_bytes": len(told.request),
        "response_bytes": len(told.response), **told.facts, **asks.facts,
        "properties": {**own, **asks.properties},
    }  # fmt: skip
    identity = str(row.get("request_id") or row.get("id") or "")
    if not identity:
        raise Refusal(400, "import_invalid", f"{kind}: a row without an id")
    facts["request_id"] = identity
    facts["import_id"] = f"{kind}:{identity}"
    return facts, told.request, told.response


def exchange_id_of(org: bytes, import_id: str, created_at_us: int) -> bytes:
    """A UUIDv7 of its time and of what it is: the same row has the same, whenever it comes."""
    digest = blake2b(org + import_id.encode("utf-8", "replace"), digest_size=10).digest()
    milliseconds = max(0, created_at_us) // 1000 & 0xFFFFFFFFFFFF
    return (
        milliseconds.to_bytes(6, "big")
        + bytes((0x70 | digest[0] & 0x0F, digest[1], 0x80 | digest[2] & 0x3F))
        + digest[3:]
    )


def _helicone(row: Mapping[str, Any]) -> Logged:
    get = row.get
    facts: dict[str, Any] = {
        **_provider(get("provider")),
        **status_facts(_whole(get("response_status"), 200)),
        **_times(get("request_created_at"), get("response_created_at"), get("delay_ms")),
        "path": scrub(str(get("request_path") or "")),
        "target_url": scrub(USER.sub("://", str(get("target_url") or ""))),
    }
    usage: dict[str, Any] = {
        name: count(_number(get(key))) for key, name in HELICONE_TOKENS.items()
        if get(key) not in (None, "")
    }  # fmt: skip
    if usage:
        facts["usage"] = {**usage, "source": "provider"}
    _cost(facts, get("costUSD") if get("costUSD") is not None else get("cost"))
    for key, name in (("country_code", "country_code"), ("request_referrer", "referrer")):
        if get(key):
            facts[name] = str(get(key))
    if get("model") and get("model") != "unknown":
        facts["model"] = str(get("model"))
    if first := _number(get("time_to_first_token")):
        facts["ttfb_us"] = int(first * 1000)
    headers: dict[str, Any] = {"helicone-user-id": get("request_user_id")}
    properties = {}
    for name, value in mapping(_json(get("request_properties") or get("properties"))).items():
        if name.lower() in SESSION:
            headers[SESSION[name.lower()]] = value
        else:
            properties[name] = plain_text(value)
    if get("model_override"):
        headers["helicone-model-override"] = get("model_override")
    facts["properties"] = properties
    return Logged(
        facts, _body(get("request_body")), _body(get("response_body")), meta_headers(headers)
    )


def _litellm(row: Mapping[str, Any]) -> Logged:
    get = row.get
    facts: dict[str, Any] = {
        **_provider(get("custom_llm_provider")),
        **status_facts(500 if get("status") in ("failure", "error") else 200),
        **_times(get("startTime"), get("endTime"), None),
        "path": str(get("call_type") or ""),
        "target_url": scrub(USER.sub("://", str(get("api_base") or ""))),
        "usage": {
            "input": count(_number(get("prompt_tokens"))),
            "output": count(_number(get("completion_tokens"))), "source": "provider",
        },
    }  # fmt: skip
    _cost(facts, get("spend"))
    model = str(get("model") or "")
    if model:
        facts["model"] = model
    tags = _json(get("request_tags"))
    properties = {f"tag-{tag}": "true" for tag in tags} if isinstance(tags, list) else {}
    for key in ("team_id", "end_user"):
        if get(key):
            properties[key] = str(get(key))
    facts["properties"] = properties
    asked = _json(get("proxy_server_request")) or {
        "model": model, "messages": _json(get("messages")),
    }  # fmt: skip
    headers = {
        "helicone-user-id": get("user") or get("end_user"),
        "helicone-session-id": get("session_id"),
    }
    return Logged(facts, write_json(asked), _body(get("response")), meta_headers(headers))


def _langfuse(row: Mapping[str, Any]) -> Logged:
    get = row.get
    is_call = get("type") in (None, "GENERATION", "EMBEDDING")
    failed = get("level") == "ERROR"
    model = get("model") or get("providedModelName")
    facts: dict[str, Any] = {
        **_provider(None),
        **status_facts(500 if failed else 200),
        **_times(get("startTime"), get("endTime"), None),
        "path": str(get("name") or ""),
        "trace_id": _hexadecimal(get("traceId") or get("trace_id"), 32),
        "span_id": _hexadecimal(get("id"), 16),
        "parent_span_id": _hexadecimal(get("parentObservationId"), 16),
    }
    request: dict[str, Any]
    if is_call:
        told = mapping(_json(get("usageDetails"))) or mapping(_json(get("usage")))
        prompt = _number(told.get("input", get("promptTokens")))
        completion = _number(told.get("output", get("completionTokens")))
        if prompt is not None or completion is not None:
            facts["usage"] = {
                "input": count(prompt), "output": count(completion), "source": "provider",
                "cached_input": count(_number(told.get("input_cached_tokens"))),
            }  # fmt: skip
        costs = mapping(_json(get("costDetails")))
        _cost(facts, get("totalCost") or get("calculatedTotalCost") or costs.get("total"))
        asked = _json(get("input"))
        messages = asked.get("messages") if isinstance(asked, dict) else asked
        request = {"model": model, "messages": messages, **mapping(_json(get("modelParameters")))}
        if model:
            facts["model"] = str(model)
    else:
        step = "tool" if get("type") == "TOOL" else "data"
        facts["step"] = step
        request = {"_type": step, "input": _json(get("input"))}
        request["toolName" if step == "tool" else "name"] = str(get("name") or "unknown")
    facts["properties"] = {
        name: plain_text(value) for name, value in mapping(_json(get("metadata"))).items()
    }
    headers = {"helicone-user-id": get("userId"), "helicone-session-id": get("sessionId")}
    return Logged(facts, write_json(request), _body(get("output")), meta_headers(headers))


def _provider(name: object) -> dict[str, str]:
    text = str(name or "")
    facts = {"provider": maker_of(text, NO_MAKER.get).name}
    if text:
        facts["gateway_provider"] = text.lower()
    return facts


def _times(start: object, end: object, delay_ms: object) -> dict[str, int]:
    begin = time_us(start)
    if begin is None:
        raise Refusal(400, "import_invalid", "a row without the time of its request")
    found = {"created_at_us": begin}
    ended, delay = time_us(end), _number(delay_ms)
    took_us = delay * 1000 if delay is not None else None if ended is None else ended - begin
    if took_us is not None and 0 <= took_us <= DURATION_US_MAX:
        found["duration_us"] = int(took_us)
    return found


def _cost(facts: dict[str, Any], value: object) -> None:
    cost = cost_pico(value)
    if cost is not None:
        facts["declared_cost_pico"] = cost


def _number(value: object) -> float | int | None:
    if isinstance(value, str):
        try:
            value = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            return None
    return value if type(value) in (int, float) else None  # type: ignore[return-value]


def _whole(value: object, otherwise: int) -> int:
    number = _number(value)
    return int(number) if number is not None and abs(number) <= 999 else otherwise


def _json(value: object) -> Any:  # noqa: ANN401 - JSON
    """What a column of CSV says, where it is JSON."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        read, problem = read_json(value.encode("utf-8", "replace"))
        if not problem:
            return read
    return value


def _body(value: object) -> bytes:
    if value is None or value == "":
        return b""
    return value.encode("utf-8", "replace") if isinstance(value, str) else write_json(value)


def _hexadecimal(value: object, digits: int) -> str | None:
    text = str(value or "").replace("-", "").lower()
    return text if len(text) == digits and set(text) <= set("0123456789abcdef") else None
