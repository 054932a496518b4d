"""A frame becomes rows: one of `requests`, one of `bodies`, in the order of the stored columns.

Pure: what was seen goes in, what it means comes out, so that rows can be derived again whenever a
price or a parser changes (ARCHITECTURE 5). The column lists live in storage; a test compares. Ids
are their 16 bytes, times integer microseconds, as storage takes them cheapest.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from appliance.core.decoding import Decoded
from appliance.core.facts import Facts, read_facts, summarise
from appliance.core.price_place import priced_as
from appliance.core.usage import usage_from_map, usage_to_map
from appliance.core.usage_types import Priced, Usage

__all__ = [
    "Bill",
    "Derived",
    "LostBill",
    "PriceOf",
    "bill_of",
    "derive",
    "lost_bill_of",
    "summarise",
]

PriceOf = Callable[[str, str, Usage, int], Priced]
BIGINT_MAX = 2**63 - 1
TIME_US_MAX = 253_402_300_799_999_999  # the end of the year 9999
NOTHING = Priced(None, "none", "")
FREE = Priced(0, "none", "")

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Derived(NamedTuple):
    request: tuple[Any, ...]
    body: tuple[Any, ...]


def derive(
    meta: dict[str, Any],
    request: bytes,
    response: bytes,
    *,
    org: bytes,
    position: tuple[int, int],
    price: PriceOf,
) -> Derived:
    facts = read_facts(meta, request, response)
    priced = _price(meta, facts, price)
    exchange_id: bytes = meta["exchange_id"]
    ids = (exchange_id, _request_id(meta.get("request_id"), exchange_id), org)
    return Derived(
        (*ids, *_request_row(meta, facts, priced, price), *position),
        (*ids, *_body_columns(meta, facts, request, response), *position),
    )


def cost_of(meta: dict[str, Any], request: bytes, response: bytes, *, price: PriceOf) -> int | None:
    """What one exchange has cost, in pico-USD, where that cannot wait for its row; None when no
    price is known."""
    return _price(meta, read_facts(meta, request, response), price).cost_pico


class Bill(NamedTuple):
    """What an exchange has cost, in pico-USD, None where that cannot be told; and how long the
    answer was, by the provider's own count, 0 where it did not say."""

    cost_pico: int | None
    output_tokens: int


def bill_of(meta: dict[str, Any], request: bytes, response: bytes, *, price: PriceOf) -> Bill:
    """The bill of one exchange, as its row will show it."""
    facts = read_facts(meta, request, response)
    usage, told = facts.usage, facts.usage_source == "provider"
    output = usage.output + usage.thinking if usage is not None and told else 0
    return Bill(_price(meta, facts, price).cost_pico, output)


class LostBill(NamedTuple):
    """What a call has used and cost whose reply is not the record's; None where it is not known."""

    usage: dict[str, object] | None
    cost_pico: int | None


def lost_bill_of(meta: dict[str, Any], request: bytes, response: bytes, price: PriceOf) -> LostBill:
    """For the attempt's part of the record, by the metadata that a record of its own would have."""
    facts = read_facts(meta, request, response)
    cost_pico = _price(meta, facts, price).cost_pico
    if facts.usage is None:
        return LostBill(None, cost_pico)
    return LostBill({**usage_to_map(facts.usage), "source": facts.usage_source}, cost_pico)


def _request_id(text: str | None, exchange_id: bytes | None) -> bytes | None:
    """The client's id; ours where it gave none that is a UUID (field.md B18)."""
    if text and _UUID.fullmatch(text):
        return bytes.fromhex(text.replace("-", ""))
    return exchange_id


def _time(value_us: int | None) -> int | None:
    """Microseconds that a TIMESTAMP column can show."""
    return None if value_us is None else min(max(0, value_us), TIME_US_MAX)


def _request_row(
    meta: Mapping[str, Any], facts: Facts, priced: Priced, price: PriceOf
) -> tuple[Any, ...]:
    """The columns between the ids and the position."""
    get = meta.get
    created_at_us, duration_us, ttfb_us = get("created_at_us"), get("duration_us"), get("ttfb_us")
    ended_at_us = None
    if created_at_us is not None and duration_us is not None:
        ended_at_us = created_at_us + duration_us
    attempts, cost_pico = _attempts(get("attempts") or (), facts, priced.cost_pico)
    usage, usage_source = _shown_usage(get("attempts") or (), facts)
    not_applied = get("not_applied") or []
    saved_us = get("cached_latency_us")
    return (
        _time(created_at_us),
        _time(ended_at_us),
        _time(get("recorded_at_us")),
        get("provider"),
        get("gateway_provider"),
        facts.model,
        facts.request_model,
        facts.response_model,
        get("model_override"),
        facts.status,
        get("http_status"),
        facts.outcome,
        get("error"),
        None if duration_us is None else duration_us / 1000,
        # Streams only (proxy.md 8.5), and whatever a log says.
        ttfb_us / 1000 if ttfb_us is not None and (facts.is_stream or get("source")) else None,
        *_tokens(usage),
        usage_source,
        cost_pico,
        priced.source,
        priced.version,
        get("user_id"),
        get("session_id"),
        get("session_path"),
        get("session_name"),
        get("properties") or {},
        get("prompt_id"),
        get("prompt_version"),
        get("method"),
        get("path"),
        get("target_url"),
        get("referrer"),
        get("country_code"),
        get("key_id"),
        facts.is_stream,
        bool(get("request_truncated") or get("response_truncated")),
        get("request_bytes"),
        get("response_bytes"),
        attempts,
        [*not_applied, *facts.notes],
        bool(get("cache_enabled")),
        None if saved_us is None else _request_id(get("cache_reference_id"), exchange_id=None),
        get("cached_exchange_id"),
        None if saved_us is None else saved_us / 1000,
        None if saved_us is None else _saved_cost(meta, price),
        get("threat"),
        get("source"),
        facts.step,
        get("trace_id"),
        get("span_id"),
        get("parent_span_id"),
        None,
    )


def _saved_cost(meta: Mapping[str, Any], price: PriceOf) -> int | None:
    """What the answer would have cost once more (proxy.md 4.6): as known when it was saved, else by
    what it used."""
    known: int | None = meta.get("saved_cost_pico")
    saved = meta.get("saved")
    if known is not None or not isinstance(saved, dict):
        return known
    model, usage = saved.get("model"), saved.get("usage")
    if not isinstance(model, str) or not isinstance(usage, dict):
        return None
    provider = meta.get("gateway_provider") or (meta.get("provider") or "").lower()
    cost = price(provider, model, usage_from_map(usage), meta.get("created_at_us") or 0).cost_pico
    return None if cost is None or cost > BIGINT_MAX else cost


def _tokens(usage: Usage | None) -> tuple[int | str | None, ...]:
    """prompt, completion, cache read, cache write, 1 h write, audio in, audio out, reasoning,
    detail (`backend.md 4.1`: net of cache and reasoning, each with its modalities)."""
    if usage is None:
        return (None, None, 0, 0, 0, 0, 0, 0, None)
    prompt, completion, cached = usage.input, usage.output, usage.cached_input
    audio, audio_in, audio_out = usage.audio, 0, 0
    if audio is not None:
        audio_in, audio_out = audio.input, audio.output
    detail = None
    if audio or usage.image or usage.video or usage.file or _is_special(usage):
        for modality in (audio, usage.image, usage.video, usage.file):
            if modality is not None:
                prompt += modality.input
                cached += modality.cached_input
                completion += modality.output
        detail = msgspec.json.encode(usage_to_map(usage)).decode("ascii")
    return (
        prompt,
        completion,
        cached,
        usage.write_5m + usage.write_1h,
        usage.write_1h,
        audio_in,
        audio_out,
        usage.thinking,
        detail,
    )


def _is_special(usage: Usage) -> bool:
    """Something that no column holds."""
    return bool(usage.web_search) or usage.requests != 1 or usage.cost_pico is not None


def _price(meta: Mapping[str, Any], facts: Facts, price: PriceOf) -> Priced:
    """An unknown price is None. What was not used costs 0: no provider charges for it."""
    usage = facts.usage
    declared = meta.get("declared_cost_pico")
    if type(declared) is int:  # whoever logged the call has said what it cost
        return Priced(declared if declared <= BIGINT_MAX else None, "provider", "")
    if usage is None:
        status = facts.status
        used = status is not None and 200 <= status < 300
        return NOTHING if used and facts.outcome == "complete" else FREE
    provider = meta.get("gateway_provider") or (meta.get("provider") or "").lower()
    model = facts.model
    if model is None:
        return NOTHING if usage.cost_pico is None else Priced(usage.cost_pico, "provider", "")
    provider = priced_as(provider, meta.get("target_url") or "")
    at_us = meta.get("created_at_us") or 0
    priced = price(provider, model, usage, at_us)
    asked = facts.request_model
    if priced.cost_pico is None and asked and asked != model and not meta.get("model_override"):
        # Replies name snapshots and deployments that price lists may not know.
        again = price(provider, asked, usage, at_us)
        if again.cost_pico is not None:
            priced = again
    if priced.cost_pico is not None and priced.cost_pico > BIGINT_MAX:
        return Priced(None, priced.source, priced.version)
    return priced


def _attempts(
    attempts: Sequence[Mapping[str, Any]], facts: Facts, cost_pico: int | None
) -> tuple[list[dict[str, Any]], int | None]:
    """The list column, and the row's cost: the sum over its attempts. The reply that we have is
    the last attempt's, unless that one names its own cost."""
    rows: list[dict[str, Any]] = []
    total, last = cost_pico, len(attempts) - 1
    for index, attempt in enumerate(attempts):
        get = attempt.get
        own, latency_us = get("cost_pico"), get("latency_us")
        if index == last and own is None:
            own = cost_pico
        elif own is not None:
            total = own + (total or 0)
        rows.append(
            {
                "target": get("target"),
                "provider": get("provider"),
                "model": get("model") or (facts.model if index == last else None),
                "status": get("status"),
                "started_at": _time(get("started_at_us")),
                "latency_ms": None if latency_us is None else latency_us / 1000,
                "cost_pico": own,
                "why_next": get("why_next"),
            }
        )
    return rows, total


def _shown_usage(attempts: Sequence[Mapping[str, Any]], facts: Facts) -> tuple[Usage | None, str]:
    """The reply's own; where the client was given none, that of the last reply which broke off."""
    if facts.usage is None:
        for attempt in reversed(attempts):
            kept = attempt.get("usage")
            if type(kept) is dict:
                return usage_from_map(kept), str(kept.get("source") or "estimated")
    return facts.usage, facts.usage_source


def _body_columns(
    meta: Mapping[str, Any], facts: Facts, request: bytes, response: bytes
) -> tuple[str, str, str | None, str | None, str | None]:
    request_text, request_type = _text(facts.request, request, meta.get("request_type"))
    response_text, response_type = _text(facts.response, response, meta.get("response_type"))
    if meta.get("omit_request"):
        request_text = _omitted(facts.request_model or facts.model)
    if meta.get("omit_response"):
        response_text = _omitted(facts.response_model or facts.model)
    template = meta.get("prompt_template")
    return request_text, response_text, request_type, response_type, template


def _text(decoded: Decoded, raw: bytes, content_type: str | None) -> tuple[str, str | None]:
    """The body as text where it is UTF-8, else in base64 with a type that says so. A body whose
    coding could not be taken off is kept as it travelled."""
    data = decoded.data
    if decoded.problem and not data:
        data = raw
    try:
        return data.decode("utf-8"), content_type
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii"), f"{content_type or ''};base64"


def _omitted(model: str | None) -> str:
    """What stands for a body that was not to be kept (`proxy.md 7.3`)."""
    return msgspec.json.encode({"model": model} if model else {}).decode("utf-8")
