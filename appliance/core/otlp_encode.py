"""Exchanges as OpenTelemetry's spans, in protobuf: what a collector is sent.

Pure. Names are those of the semantic conventions for generative AI, and `helicone.…` for what has
none. Ids follow from the exchange's own, so that one which is sent twice is the same span.
"""

from collections.abc import Iterable, Mapping
from struct import pack
from typing import Any, Final

from appliance.core.money import PICO_PER_USD

SPAN_KIND_CLIENT: Final = 3
STATUS_ERROR: Final = 2
TEXT_BYTES_MAX: Final = 16 * 1024
BODY_BYTES_MAX: Final = 64 * 1024
OPERATIONS: Final = (
    ("embeddings", "embeddings"),
    ("images", "image_generation"),
    ("/completions", "chat"),
)


def export_request(spans: Iterable[bytes], version: str) -> bytes:
    """An ExportTraceServiceRequest of spans that are encoded already."""
    resource = _pairs(1, {"service.name": "helicone-appliance", "service.version": version})
    scope = _part(1, _part(1, b"helicone-appliance"))
    return _part(1, _part(1, resource) + _part(2, scope + b"".join(spans)))


def span_of(row: Mapping[str, Any], bodies: tuple[str, str] | None = None) -> bytes:
    """One span, as a field of ScopeSpans. `row` is one of `requests` as it is derived."""
    exchange_id: bytes = row["exchange_id"]
    start_us = row.get("request_created_at") or 0
    end_us = row.get("response_created_at") or start_us
    attributes = attributes_of(row)
    if bodies is not None:
        for name, text in (("input.value", bodies[0]), ("output.value", bodies[1])):
            attributes[name] = text.encode("utf-8", "replace")[:BODY_BYTES_MAX]
    out = _part(1, _identity(row.get("trace_id"), 16) or exchange_id)
    out += _part(2, exchange_id[8:])
    if parent := _identity(row.get("parent_span_id"), 8):
        out += _part(4, parent)
    out += _part(5, name_of(row).encode("utf-8", "replace")) + b"\x30%c" % SPAN_KIND_CLIENT
    out += pack("<BQ", 0x39, start_us * 1000) + pack("<BQ", 0x41, end_us * 1000)
    out += _pairs(9, attributes)
    if _failed(row):
        why = str(row.get("error") or row.get("outcome") or "")
        out += _part(15, _part(2, why.encode("utf-8", "replace")) + b"\x18%c" % STATUS_ERROR)
    return _part(2, out)


def name_of(row: Mapping[str, Any]) -> str:
    """`{operation} {model}`."""
    model = row.get("model") or "unknown"
    return model if row.get("step") else f"{operation_of(row)} {model}"


def operation_of(row: Mapping[str, Any]) -> str:
    """By the step, else by the path that was called."""
    if row.get("step") == "tool":
        return "execute_tool"
    path = row.get("request_path") or ""
    return next((name for part, name in OPERATIONS if part in path), "chat")


def attributes_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of an exchange, but for its bodies."""
    get = row.get
    cost = get("cost_pico")
    first_ms = get("time_to_first_token_ms")
    organization = get("organization_id")
    found: dict[str, Any] = {
        "gen_ai.operation.name": operation_of(row),
        "gen_ai.provider.name": get("gateway_provider") or (get("provider") or "").lower(),
        "gen_ai.request.model": get("request_model"),
        "gen_ai.response.model": get("response_model") or get("model"),
        "gen_ai.usage.input_tokens": _sum(
            row, "prompt_tokens", "prompt_cache_read_tokens", "prompt_cache_write_tokens"
        ),
        "gen_ai.usage.output_tokens": _sum(row, "completion_tokens", "reasoning_tokens"),
        "gen_ai.usage.cache_read.input_tokens": get("prompt_cache_read_tokens") or None,
        "gen_ai.usage.cache_creation.input_tokens": get("prompt_cache_write_tokens") or None,
        "gen_ai.usage.cost": None if cost is None else cost / PICO_PER_USD,
        "gen_ai.response.time_to_first_chunk": None if first_ms is None else first_ms / 1000,
        "http.response.status_code": get("http_status"),
        "user.id": get("user_id"),
        "session.id": get("session_id"),
        "helicone.session.path": get("session_path"),
        "helicone.session.name": get("session_name"),
        "helicone.request_id": _uuid(get("request_id")),
        "helicone.organization_id": _uuid(organization),
        "helicone.status": get("status"),
        "helicone.outcome": get("outcome"),
        "helicone.cached": True if get("cached_exchange_id") else None,
        "helicone.prompt_id": get("prompt_id"),
        "error.type": (get("error") or get("outcome")) if _failed(row) else None,
    }
    for name, value in (get("properties") or {}).items():
        found[f"helicone.property.{name}"] = value
    return {name: value for name, value in found.items() if value not in (None, "")}


def _failed(row: Mapping[str, Any]) -> bool:
    status = row.get("status")
    return row.get("outcome") not in ("complete", "cache_hit", "mock") or (
        status is not None and not 0 <= status < 400
    )


def _sum(row: Mapping[str, Any], *names: str) -> int | None:
    values = [row.get(name) for name in names]
    return None if values[0] is None else sum(value or 0 for value in values)


def _uuid(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _identity(text: str | None, size: int) -> bytes:
    try:
        raw = bytes.fromhex(text or "")
    except ValueError:
        return b""
    return raw if len(raw) == size else b""


def _pairs(number: int, attributes: Mapping[str, Any]) -> bytes:
    return b"".join(
        _part(number, _part(1, name.encode("utf-8", "replace")) + _part(2, _value(value)))
        for name, value in attributes.items()
    )


def _value(value: Any) -> bytes:  # noqa: ANN401 - AnyValue
    if isinstance(value, bool):
        return b"\x10%c" % value
    if isinstance(value, int):
        return b"\x18" + _varint(value)
    if isinstance(value, float):
        return pack("<Bd", 0x21, value)
    if isinstance(value, bytes):
        return _part(1, value.decode("utf-8", "ignore").encode())  # a cut may be inside a letter
    return _part(1, str(value).encode("utf-8", "replace")[:TEXT_BYTES_MAX])


def _part(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    if value < 0x80:
        return bytes((value,))
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
