"""The wire contract of OTLP (backend.md 3.5): both encodings on their paths, taken whole or refused
whole, answered as an OTLP receiver answers."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from appliance.core import otlp_wire
from tests.fakes.otlp_spans import as_json, as_protobuf, part, span
from tests.scenarios.test_intake import KEY, ORG, READ_KEY, lane, post, send

JSON, PROTOBUF = "application/json", "application/x-protobuf"
SPANS = [
    span("agent", 1),
    span("search", 2, 1, traceloop__span__kind="tool"),
    span("chat", 3, 1, gen_ai__system="openai", gen_ai__request__model="gpt-4o",
         gen_ai__prompt__0__content="ping", gen_ai__usage__input_tokens=3),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/v1/traces", JSON, as_json(SPANS)),
        ("/v1/traces", f"{JSON}; charset=utf-8", as_json(SPANS)),
        ("/v1/traces", PROTOBUF, as_protobuf(SPANS)),
        ("/v1/trace/log", JSON, as_json(SPANS)),
        ("/v1/trace/log", "", as_json(SPANS)),
        ("/v1/trace/log", PROTOBUF, as_protobuf(SPANS)),
        ("/v1/trace/log-python", PROTOBUF, as_protobuf(SPANS)),
        ("/v1/trace/log-python", JSON, as_protobuf(SPANS)),
        ("/v1/trace/log-python", "", as_protobuf(SPANS)),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
async def test_spans_are_on_record(path: str, kind: str, body: bytes, packed: bool) -> None:
    made = lane(access="keys")
    lines = [f"Content-Type: {kind}"] if kind else []
    if packed:
        body, lines = gzip.compress(body), [*lines, "Content-Encoding: gzip"]
    (answer,) = await send(made, post(path, body, *lines))
    assert answer.status == 200
    is_json = kind.startswith(JSON)
    assert answer.body == (b"{}" if is_json else b"")
    assert answer.headers["content-type"] == (JSON if is_json else PROTOBUF)
    records = made.store.records
    assert made.store.orgs == [ORG] * 3
    assert [record.get("step") for record in records] == ["data", "tool", None]
    assert [record["session_path"] for record in records] == [
        "/agent", "/agent/search", "/agent/chat",
    ]  # fmt: skip
    assert [record["parent_span_id"] for record in records] == [None, f"{1:016x}", f"{1:016x}"]
    assert len({record["request_id"] for record in records}) == 3
    assert {record["source"] for record in records} == {"otlp"}
    assert json.loads(records[2]["request"])["messages"][0]["content"] == "ping"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", JSON, 400), (b"[]", JSON, 400), (b"\xff\xff", PROTOBUF, 400),
        (as_protobuf(SPANS)[:-3], PROTOBUF, 400), (as_json(SPANS), "text/csv", 415),
        (as_json(SPANS), "", 415),
    ],
)  # fmt: skip
async def test_refused_whole_and_named(body: bytes, kind: str, status: int) -> None:
    made = lane(access="keys")
    (answer,) = await send(made, post("/v1/traces", body, f"Content-Type: {kind}"))
    assert answer.status == status
    assert made.store.records == []
    if kind == PROTOBUF:
        assert answer.headers["content-type"] == PROTOBUF
        assert answer.body.startswith(b"\x08\x03\x12")
    else:
        told = json.loads(answer.body)
        assert told["code"] == 3
        assert told["message"].startswith(("body: ", "content-type: "))


async def test_no_key_no_spans() -> None:
    made = lane(access="keys")
    for key, status in (("", 401), (READ_KEY, 403)):
        request = post("/v1/traces", as_protobuf(SPANS), f"Content-Type: {PROTOBUF}", key=key)
        (answer,) = await send(made, request)
        assert answer.status == status
        code = 16 if status == 401 else 7
        assert answer.body.startswith(b"\x08" + bytes([code]) + b"\x12")
    assert made.store.records == []


async def test_too_many_spans() -> None:
    made = lane(access="keys")
    many = as_protobuf(SPANS[:1] * (otlp_wire.SPANS_MAX + 1))
    request = post("/v1/traces", many, f"Content-Type: {PROTOBUF}")
    (answer,) = await send(made, request)
    assert (answer.status, made.store.records) == (413, [])
    assert b"more than 20000 spans" in answer.body


async def test_a_name_that_is_too_long_is_cut() -> None:
    prefix = "traceloop.association.properties."
    big: dict[str, Any] = {**SPANS[2], "attributes": {prefix + "Helicone-User-Id": "x" * 70_000}}
    made = lane(access="keys")
    request = post("/v1/traces", as_protobuf([SPANS[0], big]), f"Content-Type: {PROTOBUF}")
    (answer,) = await send(made, request)
    assert answer.status == 200
    assert made.store.records[1]["user_id"] == "x" * 512


async def test_headers_of_the_request_hold_for_all_spans_but_the_id() -> None:
    made = lane(access="keys")
    lines = (
        f"Content-Type: {JSON}", "Helicone-User-Id: ada", "Helicone-Property-Team: blue",
        "Helicone-Request-Id: 0190a5b0-1111-4222-8333-123456789abc",
    )  # fmt: skip
    (answer,) = await send(made, post("/v1/traces", as_json(SPANS), *lines))
    assert answer.status == 200
    records = made.store.records
    assert {record["user_id"] for record in records} == {"ada"}
    assert {record["properties"]["team"] for record in records} == {"blue"}
    assert len({record["request_id"] for record in records}) == 3


async def test_nothing_in_it_is_well() -> None:
    made = lane(access="keys")
    answers = await send(
        made,
        post("/v1/traces", b"", f"Content-Type: {PROTOBUF}"),
        post("/v1/traces", b'{"resourceSpans": []}', f"Content-Type: {JSON}"),
        post("/v1/traces", part(1, b""), f"Content-Type: {PROTOBUF}"),
    )
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert (made.store.records, KEY in str(answers)) == ([], False)
