"""Traces in protobuf and JSON: the same spans, whatever the encoding, and nothing else raised."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core import otlp_wire
from appliance.core.otlp_json import json_spans
from appliance.core.otlp_reply import accepted, refused
from appliance.core.otlp_wire import OtlpError, Span, TooManySpansError, protobuf_spans
from tests.fakes.otlp_spans import T0_NS, TRACE, as_json, as_protobuf, chat_span, part, span

VALUES: dict[str, Any] = {
    "text": "ü " * 100,
    "long": "x" * 70_000,
    "empty": "",
    "yes": True,
    "no": False,
    "zero": 0,
    "small": 7,
    "large": 2**63 - 1,
    "negative": -(2**63),
    "fraction": 0.25,
    "list": ["a", 1, [True]],
    "map": {"a": {"b": [1.5, "c"]}},
    "nothing": [],
    "k" * 200: "a long key",
}


def both(spans: list[dict[str, Any]], resource: dict[str, Any] | None = None) -> list[Span]:
    """Read from both encodings, which must agree."""
    one = list(protobuf_spans(as_protobuf(spans, resource)))
    other = list(json_spans(as_json(spans, resource)))
    assert one == other
    return one


def test_every_kind_of_value() -> None:
    made = span("s", 2, 1)
    made["attributes"] = VALUES
    made["events"] = [("e", T0_NS + 5, VALUES), ("f", T0_NS + 6, {})]
    made["status"], made["message"] = 2, "it broke"
    (read,) = both([made], {"service.name": "shop", "n": 1})
    assert read.attributes == VALUES
    assert [(event.name, event.at_ns) for event in read.events] == [
        ("e", T0_NS + 5), ("f", T0_NS + 6),
    ]  # fmt: skip
    assert read.events[0].attributes == VALUES
    assert (read.trace_id, read.span_id, read.parent_id) == (TRACE, f"{2:016x}", f"{1:016x}")
    assert (read.start_ns, read.end_ns) == (T0_NS, T0_NS + 900_000_000)
    assert (read.status, read.message, read.name, read.scope) == (2, "it broke", "s", "s")
    assert read.resource == {"service.name": "shop", "n": 1}


def complaint(read: Callable[[bytes], Iterator[Span]], data: bytes) -> str:
    """What is wrong with it, or nothing."""
    try:
        list(read(data))
    except OtlpError as error:
        return str(error)
    return ""


def test_a_root_has_no_parent() -> None:
    made = span("s")
    assert both([made])[0].parent_id == ""
    made["parent"] = "0" * 16
    assert both([made])[0].parent_id == ""


def test_unknown_fields_and_packed_orders_are_passed_over() -> None:
    more = part(99, b"later") + b"\xf8\x07\x05" + b"\xf5\x07abcd" + b"\xf1\x07abcdefgh"
    data = as_protobuf([span("s", a="b")])
    assert list(protobuf_spans(more + data + more)) == list(protobuf_spans(data))
    assert list(protobuf_spans(data + data)) == 2 * list(protobuf_spans(data))
    assert list(protobuf_spans(b"")) == []


@pytest.mark.parametrize("seed", range(20))
def test_broken_protobuf_is_named(seed: int) -> None:
    print("seed", seed)
    choose = random.Random(seed)
    data = bytearray(as_protobuf([chat_span(n) for n in range(3)]))
    for _ in range(200):
        broken = bytearray(data[: choose.randrange(len(data))])
        for _ in range(choose.randrange(4)):
            if broken:
                broken[choose.randrange(len(broken))] = choose.randrange(256)
        words = complaint(protobuf_spans, bytes(broken))
        assert words.startswith(("body: ", "attributes: ")) or not words


def test_a_cut_is_seen_wherever_it_is() -> None:
    data = as_protobuf([span("s", a="b", c=1)])
    for end in range(1, len(data)):
        with pytest.raises(OtlpError):
            list(protobuf_spans(data[:end]))


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes(data: bytes) -> None:
    for read in (protobuf_spans, json_spans):
        assert complaint(read, data) is not None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b"{}", "resourceSpans"),
        (b'{"resourceSpans": 5}', "resourceSpans"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [5]}]}]}', "spans: "),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": 5}]}]}]}', "$.name"),
    ],
)
def test_broken_json_is_named(body: bytes, words: str) -> None:
    with pytest.raises(OtlpError) as failed:
        list(json_spans(body))
    assert words in str(failed.value)


def test_forms_of_json_that_exporters_write() -> None:
    value = json.loads(as_json([span("s", 2, 1)]))
    made = value["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    made["traceId"] = "CvdlGRbNQ92ESOshHIAxnA=="  # base64, as protobuf's own JSON has it
    made["startTimeUnixNano"] = {"low": T0_NS & 0xFFFFFFFF, "high": T0_NS >> 32}
    made["endTimeUnixNano"] = T0_NS + 1
    made["status"] = {"code": "STATUS_CODE_ERROR"}
    made["kind"] = "SPAN_KIND_CLIENT"
    made["attributes"] = [
        {"key": "a", "value": {"intValue": 5}}, {"key": "b", "value": {"doubleValue": "0.5"}},
        {"key": "c"}, {"key": "d", "value": None}, {"key": "e", "value": {}},
    ]  # fmt: skip
    (read,) = json_spans(json.dumps(value).encode())
    assert (read.trace_id, read.start_ns, read.end_ns) == (TRACE, T0_NS, T0_NS + 1)
    assert read.status == 2
    assert read.attributes == {"a": 5, "b": 0.5, "c": None, "d": None, "e": None}
    (read,) = json_spans(json.dumps(value).replace("0.5", "NaN").replace('"NaN"', "NaN").encode())
    assert read.attributes["a"] == 5


def test_depth_is_bounded() -> None:
    deep: Any = 1
    for _ in range(otlp_wire.DEPTH_MAX + 10):
        deep = [deep]
    made = span("s")
    made["attributes"] = {"deep": deep}
    with pytest.raises(OtlpError, match="nested too deeply"):
        list(protobuf_spans(as_protobuf([made])))
    assert list(json_spans(as_json([made])))


def test_numbers_are_bounded() -> None:
    names = [f"a{number}" for number in range(otlp_wire.ATTRIBUTES_MAX)]
    made = span("s", **dict.fromkeys([*names, "c", "d"], 1))
    made["events"] = [("e", number, {}) for number in range(otlp_wire.EVENTS_MAX + 1)]
    (read,) = both([made])
    assert (list(read.attributes), read.dropped) == (names, 3)
    assert len(read.events) == otlp_wire.EVENTS_MAX


def test_spans_are_bounded() -> None:
    many = [span("s")] * (otlp_wire.SPANS_MAX + 1)
    for reader, data in ((protobuf_spans, as_protobuf(many)), (json_spans, as_json(many))):
        with pytest.raises(TooManySpansError, match="more than 20000 spans"):
            list(reader(data))


def test_replies_come_in_the_requests_encoding() -> None:
    assert accepted(b"application/json; charset=utf-8") == (b"{}", "application/json")
    assert accepted(b"application/x-protobuf") == (b"", "application/x-protobuf")
    body, kind = refused(b"application/x-protobuf", 400, "é" * 100)
    assert kind == "application/x-protobuf"
    assert body == b"\x08\x03" + part(2, ("é" * 100).encode())
    body, kind = refused(b"application/json", 401, "no key")
    assert json.loads(body) == {"code": 16, "message": "no key", "error": "no key"}
