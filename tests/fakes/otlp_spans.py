"""Spans as exporters send them: written here by hand, in both encodings, from one description."""

from __future__ import annotations

import json
import struct
from typing import Any

Span = dict[str, Any]
TRACE = "0af7651916cd43dd8448eb211c80319c"
T0_NS = 1_788_000_000_120_000_000


def span(name: str, number: int = 1, parent: int = 0, /, **attributes: Any) -> Span:
    """`__` in a name stands for a dot. Ids are made of the numbers."""
    return {
        "trace": TRACE,
        "id": f"{number:016x}",
        "parent": f"{parent:016x}" if parent else "",
        "name": name,
        "start": T0_NS,
        "end": T0_NS + 900_000_000,
        "attributes": {key.replace("__", "."): value for key, value in attributes.items()},
        "events": [],
        "status": 0,
        "message": "",
    }


def chat_span(number: int) -> Span:
    """A call of a chat model, about 2 KB, as OpenTelemetry's own instrumentation names things."""
    words = "Explain, please, how a benchmark is done. "
    made = span("chat gpt-4o", number + 1, 1 if number else 0)
    made["trace"] = f"{number // 10 + 1:032x}"
    made["attributes"] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.usage.input_tokens": 180,
        "gen_ai.usage.output_tokens": 170,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": words * 18,
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": words * 18,
        "gen_ai.completion.0.finish_reason": "stop",
    }
    return made


def as_json(spans: list[Span], resource: dict[str, Any] | None = None) -> bytes:
    """ExportTraceServiceRequest as OTLP's JSON."""
    return json.dumps(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": _json_pairs(resource or {})},
                    "scopeSpans": [{"scope": {"name": "s"}, "spans": list(map(_json_span, spans))}],
                }
            ]
        }
    ).encode()


def _json_span(made: Span) -> Any:
    found = {
        "traceId": made["trace"],
        "spanId": made["id"],
        "name": made["name"],
        "kind": 3,
        "startTimeUnixNano": str(made["start"]),
        "endTimeUnixNano": str(made["end"]),
        "attributes": _json_pairs(made["attributes"]),
        "events": [
            {"name": name, "timeUnixNano": str(at), "attributes": _json_pairs(attributes)}
            for name, at, attributes in made["events"]
        ],
        "status": {"code": made["status"], "message": made["message"]},
    }
    return found | ({"parentSpanId": made["parent"]} if made["parent"] else {})


def _json_pairs(attributes: dict[str, Any]) -> list[Any]:
    return [{"key": key, "value": _json_value(value)} for key, value in attributes.items()]


def _json_value(value: Any) -> Any:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_json_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _json_pairs(value)}}
    return {"stringValue": value}


def as_protobuf(spans: list[Span], resource: dict[str, Any] | None = None) -> bytes:
    """The same as protobuf."""
    scope = part(1, part(1, b"s")) + b"".join(part(2, _span(made)) for made in spans)
    return part(1, part(1, _pairs(1, resource or {})) + part(2, scope))


def part(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    found = bytearray()
    value &= (1 << 64) - 1
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _span(made: Span) -> bytes:
    out = part(1, bytes.fromhex(made["trace"])) + part(2, bytes.fromhex(made["id"]))
    out += part(4, bytes.fromhex(made["parent"])) + part(5, made["name"].encode())
    out += b"\x30\x03"
    out += b"\x39" + struct.pack("<Q", made["start"]) + b"\x41" + struct.pack("<Q", made["end"])
    out += _pairs(9, made["attributes"])
    for name, at, attributes in made["events"]:
        event = b"\x09" + struct.pack("<Q", at) + part(2, name.encode()) + _pairs(3, attributes)
        out += part(11, event)
    status = part(2, made["message"].encode()) + b"\x18" + varint(made["status"])
    return out + part(15, status)


def _pairs(number: int, attributes: dict[str, Any]) -> bytes:
    return b"".join(
        part(number, part(1, key.encode()) + part(2, _value(value)))
        for key, value in attributes.items()
    )


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\x10" + varint(value)
    if isinstance(value, int):
        return b"\x18" + varint(value)
    if isinstance(value, float):
        return b"\x21" + struct.pack("<d", value)
    if isinstance(value, list):
        return part(5, b"".join(part(1, _value(item)) for item in value))
    if isinstance(value, dict):
        return part(6, _pairs(1, value))
    return part(1, value.encode())
