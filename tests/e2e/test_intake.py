"""Logs that are sent to the running program: acknowledged is on record, in its own region, before
and after a kill, on either lane."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.appliance import Appliance
from tests.fakes.http2_client import Http2Client
from tests.fakes.otlp_spans import TRACE, as_json, as_protobuf, chat_span, span
from tests.fakes.raw_client import RawClient

EU_KEY = "sk-helicone-eu-abcdefg-hijklmn-opqrstu-vwxyzab"
STREAM = (
    '{"choices":[{"delta":{"content":"po"}}]}\n'
    '{"choices":[{"delta":{"content":"ng"}}],"usage":{"prompt_tokens":4,"completion_tokens":2}}'
)


def log(text: str = STREAM, **request: Any) -> dict[str, Any]:
    return {
        "providerRequest": {
            "url": "custom-model-nopath",
            "json": {"model": "gpt-4o", "stream": True, **request},
            "meta": {"Helicone-Session-Id": "s-17", "Helicone-Property-Team": "blue"},
        },
        "providerResponse": {"status": 200, "headers": {}, "json": {}, "textBody": text},
        "timing": {
            "startTime": {"seconds": 1788000000, "milliseconds": 120},
            "endTime": {"seconds": 1788000001, "milliseconds": 20},
            "timeToFirstToken": 180,
        },
    }


def test_a_log_has_the_row_of_a_call(tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance:
        reply = appliance.call("/oai/v1/log", log())
        assert (reply.status, reply.body) == (200, b"ok")
        row = appliance.row(reply.id)
        assert (row["provider"], row["model"], row["source"]) == ("OPENAI", "gpt-4o", "log")
        assert (row["prompt_tokens"], row["completion_tokens"]) == (4, 2)
        assert float(row["cost_usd"]) > 0
        assert (row["latency_ms"], row["time_to_first_token_ms"]) == (900, 180)
        assert (row["session_id"], row["properties"]["team"]) == ("s-17", "blue")
        assert row["request_created_at"].startswith("2026-08-29T10:40:00.12")
        assert appliance.body(reply.id)["response"] == STREAM
        # And as the REST API shows it, at once.
        reply = appliance.call("/custom/v1/log", log("words"))
        one = appliance.call(f"/v1/request/{reply.id}?includeBody=true", None, method="GET")
        assert one.json["data"]["response_body"] == "words"


@pytest.mark.parametrize("durability", ["normal", "strict"])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, durability: str) -> None:
    with Appliance(tmp_path, config=f'durability = "{durability}"\n') as appliance:
        with RawClient(appliance.url) as client:
            ids = [client.call("/custom/v1/log", log(f"answer {n}")).id for n in range(200)]
        appliance.restart()
        found = {row["id"] for row in appliance.query("SELECT request_id AS id FROM requests")}
        assert found == set(ids)
        texts = {row["t"] for row in appliance.query("SELECT response AS t FROM bodies")}
        assert texts == {f"answer {n}" for n in range(200)}


@pytest.mark.parametrize("kib", [200, 700, 3000, 9000])
def test_large_logs_are_kept_whole(tmp_path: Path, kib: int) -> None:
    text = "".join(f"{n:07d} " for n in range(kib * 1024 // 8))
    with Appliance(tmp_path) as appliance:
        reply = appliance.call("/custom/v1/log", log(text, prompt="p" * 300_000))
        assert reply.status == 200
        row, body = appliance.row(reply.id), appliance.body(reply.id)
        assert (row["derive_error"], row["truncated"]) == (None, False)
        assert body["response"] == text
        assert json.loads(body["request"])["prompt"] == "p" * 300_000
        too_large = appliance.call("/custom/v1/log", log("x" * 11 * 2**20))
        assert too_large.status == 413
        assert "intake_bytes_max" in too_large.json["error"]
        assert appliance.call("/custom/v1/log", log()).status == 200


def test_a_log_lies_in_its_region_alone(tmp_path: Path) -> None:
    with Appliance(tmp_path, config=f'eu_data_dir = "{tmp_path}/europe"\n') as appliance:
        key = {"Authorization": f"Bearer {EU_KEY}"}
        reply = appliance.call("/custom/v1/log", log("a planted word: gnocchi"), key)
        assert reply.status == 200
        found = appliance.call(f"/v1/request/{reply.id}?includeBody=1", None, key, method="GET")
        assert "gnocchi" in found.json["data"]["response_body"]
        assert appliance.rows(reply.id) == []
    assert b"gnocchi" not in b"".join(
        path.read_bytes() for path in appliance.data.rglob("*") if path.is_file()
    )


def test_over_http_2(tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance, Http2Client(appliance.url) as client:
        reply = client.call("/custom/v1/log", json.dumps(log()).encode())
        assert (reply.status, reply.body) == (200, b"ok")
        assert appliance.row(reply.id)["source"] == "log"


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_spans_have_rows_and_a_session(tmp_path: Path, encoding: str) -> None:
    spans = [
        span("agent", 1),
        span("look", 2, 1, traceloop__span__kind="tool"),
        *[chat_span(number) | {"trace": TRACE, "parent": f"{1:016x}"} for number in range(9, 12)],
    ]
    write, kind = (as_json, "json") if encoding == "json" else (as_protobuf, "x-protobuf")
    with Appliance(tmp_path) as appliance:
        headers = {"Content-Type": f"application/{kind}"}
        reply = appliance.call("/v1/traces", write(spans), headers)
        assert reply.status == 200
        appliance.restart()
        rows = appliance.query("SELECT * FROM requests ORDER BY span_id")
        assert [row["session_path"] for row in rows] == [
            "/agent", "/agent/look", *["/agent/chat gpt-4o"] * 3,
        ]  # fmt: skip
        assert {row["session_id"] for row in rows} == {row["trace_id"] for row in rows} == {TRACE}
        assert [row["step"] for row in rows] == ["data", "tool", None, None, None]
        assert [row["prompt_tokens"] for row in rows] == [None, None, 180, 180, 180]
        assert all(float(row["cost_usd"]) > 0 for row in rows[2:])
        assert [row["derive_error"] for row in rows] == [None] * 5
