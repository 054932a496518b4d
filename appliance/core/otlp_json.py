"""OpenTelemetry's traces in JSON: the names of the protobuf in lowerCamelCase, ids in hexadecimal,
64-bit numbers as text. Read into the same spans, each when its turn comes."""

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from appliance.core.json_reader import read_json, write_json
from appliance.core.otlp_wire import (
    ATTRIBUTES_MAX,
    DEPTH_MAX,
    EVENTS_MAX,
    SPANS_MAX,
    STATUS_ERROR,
    Attributes,
    Event,
    OtlpError,
    Span,
    TooManySpansError,
    no_zeros,
)


class _Value(msgspec.Struct):
    stringValue: str | None = None  # noqa: N815 - as on the wire, like all below
    boolValue: bool | None = None  # noqa: N815
    intValue: int | str | None = None  # noqa: N815
    doubleValue: float | str | None = None  # noqa: N815
    arrayValue: Any = None  # noqa: N815
    kvlistValue: Any = None  # noqa: N815
    bytesValue: str | None = None  # noqa: N815


class _KeyValue(msgspec.Struct):
    key: str = ""
    value: _Value | None = None


class _JsonEvent(msgspec.Struct):
    timeUnixNano: int | str = 0  # noqa: N815
    name: str = ""
    attributes: list[_KeyValue] | None = None


class _JsonStatus(msgspec.Struct):
    message: str | None = None
    code: int | str | None = 0


class _JsonSpan(msgspec.Struct):
    traceId: str = ""  # noqa: N815
    spanId: str = ""  # noqa: N815
    parentSpanId: str | None = None  # noqa: N815
    name: str = ""
    kind: int | str | None = 0
    startTimeUnixNano: Any = 0  # noqa: N815
    endTimeUnixNano: Any = 0  # noqa: N815
    attributes: list[_KeyValue] | None = None
    events: list[_JsonEvent] | None = None
    status: _JsonStatus | None = None


class _JsonScope(msgspec.Struct):
    name: str | None = None


class _JsonScopeSpans(msgspec.Struct):
    scope: _JsonScope | None = None
    spans: list[msgspec.Raw] = []  # each is read when its turn comes


class _JsonResource(msgspec.Struct):
    attributes: list[_KeyValue] | None = None


class _JsonResourceSpans(msgspec.Struct):
    resource: _JsonResource | None = None
    scopeSpans: list[_JsonScopeSpans] = []  # noqa: N815


class _JsonTraces(msgspec.Struct):
    resourceSpans: list[_JsonResourceSpans]  # noqa: N815


_decode = msgspec.json.Decoder(_JsonTraces).decode
_decode_span = msgspec.json.Decoder(_JsonSpan).decode
_STATUS_NAMES: Final = {"STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": STATUS_ERROR}


def json_spans(data: bytes) -> Iterator[Span]:
    """The same from JSON. Raises OtlpError."""
    traces = _json_traces(data)
    count = 0
    for of_resource in traces.resourceSpans:
        resource = _attributes(of_resource.resource.attributes if of_resource.resource else None)
        for of_scope in of_resource.scopeSpans:
            scope = (of_scope.scope.name or "") if of_scope.scope else ""
            for span in of_scope.spans:
                count += 1
                if count > SPANS_MAX:
                    raise TooManySpansError(f"more than {SPANS_MAX} spans in one request")
                yield _json_span(_read_span(span), resource, scope)


def _json_traces(data: bytes) -> _JsonTraces:
    try:
        return _decode(data)
    except (msgspec.ValidationError, RecursionError) as error:
        raise OtlpError(f"body: {error}") from None
    except (msgspec.DecodeError, ValueError):
        pass
    value, problem = read_json(data)  # NaN and its like are JavaScript's, and are taken
    if problem:
        raise OtlpError(f"body: not JSON ({problem})")
    try:
        return _decode(write_json(value))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise OtlpError(f"body: {error}") from None


def _read_span(raw: msgspec.Raw) -> _JsonSpan:
    try:
        return _decode_span(raw)
    except (msgspec.ValidationError, RecursionError) as error:
        raise OtlpError(f"spans: {error}") from None
    except (msgspec.DecodeError, ValueError):
        pass
    value, problem = read_json(bytes(raw))
    try:
        return _decode_span(write_json(value))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise OtlpError(f"spans: {problem or error}") from None


def _json_span(given: _JsonSpan, resource: Attributes, scope: str) -> Span:
    attributes, events = given.attributes or [], given.events or []
    status = given.status
    code: Any = status.code if status is not None else 0
    return Span(
        _identity(given.traceId, 16),
        _identity(given.spanId, 8),
        no_zeros(_identity(given.parentSpanId or "", 8)),
        given.name,
        given.kind if isinstance(given.kind, int) else 0,
        _nanoseconds(given.startTimeUnixNano),
        _nanoseconds(given.endTimeUnixNano),
        _STATUS_NAMES.get(code, 0) if isinstance(code, str) else code or 0,
        (status.message or "") if status is not None else "",
        scope,
        _attributes(attributes),
        [
            Event(event.name, _nanoseconds(event.timeUnixNano), _attributes(event.attributes))
            for event in events[:EVENTS_MAX]
        ],
        resource,
        max(0, len(attributes) - ATTRIBUTES_MAX) + max(0, len(events) - EVENTS_MAX),
    )


def _identity(text: str, size: int) -> str:
    """Hexadecimal; some write base64, as protobuf's own JSON has bytes."""
    if len(text) == 2 * size:
        return text.lower()
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return raw.hex() if len(raw) == size else ""


def _nanoseconds(value: object) -> int:
    """A number, or its text; a pair of 32-bit halves, as older exporters of JavaScript write."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= 20:
        return int(value)
    if isinstance(value, int):
        return max(0, value)
    if isinstance(value, float):
        return int(value) if 0 <= value < 1 << 63 else 0
    if isinstance(value, dict):
        low, high = value.get("low"), value.get("high")
        if isinstance(low, int) and isinstance(high, int):
            return ((high & 0xFFFFFFFF) << 32) | (low & 0xFFFFFFFF)
    return 0


def _attributes(given: list[_KeyValue] | None) -> Attributes:
    found: Attributes = {}
    for item in (given or ())[:ATTRIBUTES_MAX]:
        value = item.value
        if value is None:
            found[item.key] = None
        elif value.stringValue is not None:
            found[item.key] = value.stringValue
        else:
            found[item.key] = _plain(value)
    return found


def _plain(value: _Value) -> Any:  # noqa: ANN401 - AnyValue
    if value.intValue is not None:
        return _integer(value.intValue)
    if value.boolValue is not None:
        return value.boolValue
    if value.doubleValue is not None:
        return _float(value.doubleValue)
    if value.arrayValue is not None or value.kvlistValue is not None:
        return _nested({"arrayValue": value.arrayValue, "kvlistValue": value.kvlistValue}, 0)
    return value.bytesValue


def _nested(value: object, depth: int) -> Any:  # noqa: ANN401 - AnyValue
    if not isinstance(value, dict) or depth > DEPTH_MAX:
        return None
    for name, found in value.items():
        if found is None:
            continue
        if name == "intValue":
            return _integer(found)
        if name == "doubleValue":
            return _float(found)
        inner = found.get("values") if isinstance(found, dict) else None
        if name == "arrayValue":
            return [_nested(item, depth + 1) for item in inner] if isinstance(inner, list) else []
        if name == "kvlistValue":
            return {
                str(item.get("key", "")): _nested(item.get("value"), depth + 1)
                for item in (inner if isinstance(inner, list) else ())
                if isinstance(item, dict)
            }
        return found
    return None


def _integer(value: object) -> int | None:
    if isinstance(value, str):
        digits = value[1:] if value[:1] == "-" else value
        return int(value) if digits.isdecimal() and len(digits) <= 20 else None
    return value if isinstance(value, int) else None


def _float(value: object) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) else None
