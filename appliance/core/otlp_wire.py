"""OpenTelemetry's traces as they travel in protobuf, read into spans (`otlp_json.py`: in JSON).

Pure, and in steps: a reader is a generator, so that whoever calls decides when others get their
turn. Bounded by the bytes of the request, by spans, and by what one span may hold.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from appliance.core.protobuf import (
    BYTES,
    FIXED64,
    VARINT,
    ProtobufError,
    double,
    fields,
    signed,
    varint,
)

SPANS_MAX: Final = 20_000
# Of one span: what is beyond is counted in `dropped` and left out. Traceloop has a handful for each
# message of a chat, so a long one has a thousand.
ATTRIBUTES_MAX: Final = 4_096
EVENTS_MAX: Final = 1_024
DEPTH_MAX: Final = 32
STATUS_ERROR: Final = 2

Attributes = dict[str, Any]


class OtlpError(Exception):
    """The request is no trace; the text names the field."""


class TooManySpansError(OtlpError):
    """More than `SPANS_MAX` in one request."""


@dataclass(slots=True)
class Event:
    name: str = ""
    at_ns: int = 0
    attributes: Attributes = field(default_factory=dict)


@dataclass(slots=True)
class Span:
    """Ids are lower-case hexadecimal, "" where there is none. `resource` is shared."""

    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    name: str = ""
    kind: int = 0
    start_ns: int = 0
    end_ns: int = 0
    status: int = 0
    message: str = ""
    scope: str = ""
    attributes: Attributes = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    resource: Attributes = field(default_factory=dict)
    dropped: int = 0


# -- protobuf: opentelemetry/proto/trace/v1/trace.proto ------------------------------------------


def protobuf_spans(data: bytes) -> Iterator[Span]:
    """ExportTraceServiceRequest, or TracesData, which is the same on the wire. Raises OtlpError."""
    count = 0
    try:
        for number, kind, at, end in fields(data, 0, len(data)):
            if number == 1 and kind == BYTES:
                for span in _resource_spans(data, at, end):
                    count += 1
                    if count > SPANS_MAX:
                        raise TooManySpansError(f"more than {SPANS_MAX} spans in one request")
                    yield span
    except (ProtobufError, IndexError) as error:
        raise OtlpError(f"body: not a protobuf of traces: {error}") from None


def _resource_spans(data: bytes, at: int, end: int) -> Iterator[Span]:
    resource: Attributes = {}
    scopes = []
    for number, kind, begin, stop in fields(data, at, end):
        if kind == BYTES and number == 1:
            for inner, form, first, last in fields(data, begin, stop):
                if inner == 1 and form == BYTES and len(resource) < ATTRIBUTES_MAX:
                    _put(resource, data, first, last)
        elif kind == BYTES and number == 2:
            scopes.append((begin, stop))
    for begin, stop in scopes:
        name = ""
        spans = []
        for number, kind, first, last in fields(data, begin, stop):
            if kind == BYTES and number == 1:
                name = _scope_name(data, first, last)
            elif kind == BYTES and number == 2:
                spans.append((first, last))
        for first, last in spans:
            yield _span(data, first, last, resource, name)


def _scope_name(data: bytes, at: int, end: int) -> str:
    for number, kind, begin, stop in fields(data, at, end):
        if number == 1 and kind == BYTES:
            return _text(data[begin:stop])
    return ""


def _span(data: bytes, at: int, end: int, resource: Attributes, scope: str) -> Span:
    span = Span(resource=resource, scope=scope)
    attributes = span.attributes
    for number, kind, value, stop in fields(data, at, end):
        if kind == BYTES:
            if number == 9:
                if len(attributes) < ATTRIBUTES_MAX:
                    _put(attributes, data, value, stop)
                else:
                    span.dropped += 1
            elif number == 1:
                span.trace_id = data[value:stop].hex()
            elif number == 2:
                span.span_id = data[value:stop].hex()
            elif number == 4:
                span.parent_id = no_zeros(data[value:stop].hex())
            elif number == 5:
                span.name = _text(data[value:stop])
            elif number == 11:
                if len(span.events) < EVENTS_MAX:
                    span.events.append(_event(data, value, stop))
                else:
                    span.dropped += 1
            elif number == 15:
                _status(span, data, value, stop)
        elif number == 7 and kind == FIXED64:
            span.start_ns = value
        elif number == 8 and kind == FIXED64:
            span.end_ns = value
        elif number == 6 and kind == VARINT:
            span.kind = value
    return span


def _event(data: bytes, at: int, end: int) -> Event:
    event = Event()
    for number, kind, value, stop in fields(data, at, end):
        if number == 1 and kind == FIXED64:
            event.at_ns = value
        elif number == 2 and kind == BYTES:
            event.name = _text(data[value:stop])
        elif number == 3 and kind == BYTES and len(event.attributes) < ATTRIBUTES_MAX:
            _put(event.attributes, data, value, stop)
    return event


def _status(span: Span, data: bytes, at: int, end: int) -> None:
    for number, kind, value, stop in fields(data, at, end):
        if number == 2 and kind == BYTES:
            span.message = _text(data[value:stop])
        elif number == 3 and kind == VARINT:
            span.status = value


def _put(into: Attributes, data: bytes, at: int, end: int) -> None:
    """One KeyValue. Nearly all are a short key before text or a number: those are read at once,
    which takes a fifth of the time."""
    if end - at > 4 and data[at] == 0x0A and data[at + 1] < 0x80:
        middle = at + 2 + data[at + 1]
        if middle + 3 < end and data[middle] == 0x12:
            size, begin = data[middle + 1], middle + 2
            if size >= 0x80:
                size, begin = varint(data, middle + 1)
            if begin + size == end and begin + 1 < end:
                form, first = data[begin], begin + 1
                if form == 0x0A:
                    length = data[first]
                    first += 1
                    if length >= 0x80:
                        length, first = varint(data, first - 1)
                    if first + length == end:
                        into[_text(data[at + 2 : middle])] = _text(data[first:end])
                        return
                elif form == 0x18:
                    number, after = varint(data, first)
                    if after == end:
                        into[_text(data[at + 2 : middle])] = signed(number)
                        return
    _put_slowly(into, data, at, end)


def _put_slowly(into: Attributes, data: bytes, at: int, end: int) -> None:
    key, found = "", None
    for number, kind, begin, stop in fields(data, at, end):
        if kind == BYTES:
            if number == 1:
                key = _text(data[begin:stop])
            elif number == 2:
                found = _any(data, begin, stop, 0)
    into[key] = found


def _any(data: bytes, at: int, end: int, depth: int) -> Any:  # noqa: ANN401 - AnyValue
    if depth > DEPTH_MAX:
        raise OtlpError("attributes: nested too deeply")
    found: Any = None
    for number, kind, value, stop in fields(data, at, end):
        if kind == BYTES:
            if number == 1:
                found = _text(data[value:stop])
            elif number == 5:
                found = [
                    _any(data, first, last, depth + 1)
                    for inner, form, first, last in fields(data, value, stop)
                    if inner == 1 and form == BYTES
                ]
            elif number == 6:
                found = _key_values(data, value, stop, depth)
            elif number == 7:
                found = base64.b64encode(data[value:stop]).decode("ascii")
        elif number == 2 and kind == VARINT:
            found = bool(value)
        elif number == 3 and kind == VARINT:
            found = signed(value)
        elif number == 4 and kind == FIXED64:
            found = double(value)
    return found


def _key_values(data: bytes, at: int, end: int, depth: int) -> Attributes:
    found: Attributes = {}
    for number, kind, begin, stop in fields(data, at, end):
        if number != 1 or kind != BYTES:
            continue
        key, value = "", None
        for inner, form, first, last in fields(data, begin, stop):
            if inner == 1 and form == BYTES:
                key = _text(data[first:last])
            elif inner == 2 and form == BYTES:
                value = _any(data, first, last, depth + 1)
        found[key] = value
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def no_zeros(identity: str) -> str:
    return identity if identity.strip("0") else ""
