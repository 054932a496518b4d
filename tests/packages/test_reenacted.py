"""Two of Helicone's programs that are no package to install, request by request as their sources
send them (backend.md 3.3): its exporter of traces for JavaScript, and its export command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.appliance import Appliance
from tests.fakes.otlp_spans import T0_NS, TRACE
from tests.packages.test_loggers import KEY, KEYED

AUTH = {"Authorization": f"Bearer {KEY}"}


def text(key: str, value: str) -> Any:
    return {"key": key, "value": {"stringValue": value}}


def number(key: str, value: int) -> Any:
    return {"key": key, "value": {"intValue": value}}


def traced(name: str) -> Any:
    """What OpenTelemetry's exporter for HTTP and JSON makes of a span of Traceloop's."""
    prefix = "traceloop.association.properties."
    return {
        "resourceSpans": [{
            "resource": {"attributes": [text("service.name", "node")], "droppedAttributesCount": 0},
            "scopeSpans": [{
                "scope": {"name": "@traceloop/instrumentation-openai", "version": "0.12.0"},
                "spans": [{
                    "traceId": TRACE, "spanId": "00f067aa0ba902b7", "name": name, "kind": 3,
                    "startTimeUnixNano": str(T0_NS), "endTimeUnixNano": str(T0_NS + 900_000_000),
                    "attributes": [
                        text("gen_ai.system", "OpenAI"), text("llm.request.type", "chat"),
                        text("gen_ai.request.model", "gpt-4o"),
                        text("gen_ai.response.model", "gpt-4o"),
                        text("gen_ai.prompt.0.role", "user"),
                        text("gen_ai.prompt.0.content", "ping"),
                        text("gen_ai.completion.0.role", "assistant"),
                        text("gen_ai.completion.0.content", "pong"),
                        text("gen_ai.completion.0.finish_reason", "stop"),
                        number("gen_ai.usage.prompt_tokens", 4),
                        number("gen_ai.usage.completion_tokens", 2),
                        number("llm.usage.total_tokens", 6),
                        text(prefix + "Helicone-Property-Tier", "gold"),
                        text(prefix + "Helicone-User-Id", "ada"),
                    ],
                    "droppedAttributesCount": 0, "events": [], "droppedEventsCount": 0,
                    "status": {"code": 1}, "links": [], "droppedLinksCount": 0, "flags": 257,
                }],
            }],
        }],
    }  # fmt: skip


def test_the_exporter_of_traces_for_javascript(tmp_path: Path) -> None:
    with Appliance(tmp_path, config=KEYED) as appliance:
        headers = {**AUTH, "Content-Type": "application/json"}
        reply = appliance.call("/v1/trace/log", traced("openai.chat"), headers)
        assert reply.status == 200
        (row,) = appliance.query("SELECT * FROM requests")
        assert (row["model"], row["prompt_tokens"], row["completion_tokens"]) == ("gpt-4o", 4, 2)
        assert (row["user_id"], row["properties"]["Tier"]) == ("ada", "gold")
        assert row["session_id"] is None  # one call alone


def created(operator: str, moment: str) -> Any:
    return {"request_response_rmt": {"request_created_at": {operator: moment}}}


def test_the_export_command(tmp_path: Path) -> None:
    """It counts, pages by offset, and reads bodies by their signed URL, else inline."""
    with Appliance(tmp_path, config=KEYED) as appliance:
        with appliance.client() as client:
            for at in range(25):
                client.call("/oai/v1/log", {
                    "providerRequest": {"url": "u", "json": {"model": "m", "n": at}, "meta": {}},
                    "providerResponse": {"status": 200, "headers": {}, "json": {"n": at}},
                    "timing": {"startTime": {"seconds": 1788000000 + at, "milliseconds": 0},
                               "endTime": {"seconds": 1788000000 + at, "milliseconds": 5}},
                }, AUTH)  # fmt: skip
        within = {
            "left": created("gte", "2026-08-01T00:00:00Z"),
            "operator": "and",
            "right": created("lte", "2026-09-01T00:00:00Z"),
        }
        counted = appliance.call("/v1/request/count/query", {"filter": within}, AUTH)
        assert (counted.json["data"], counted.json["error"]) == (25, None)
        found = []
        for offset in range(0, 30, 10):
            page = appliance.call(
                "/v1/request/query-clickhouse",
                {"filter": within, "limit": 10, "offset": offset,
                 "sort": {"created_at": "asc"}, "includeInputs": False},
                AUTH,
            ).json  # fmt: skip
            assert page["error"] is None
            found += page["data"]
        assert len({row["request_id"] for row in found}) == 25
        for at, row in enumerate(found):
            bodies = {"request": row["request_body"], "response": row["response_body"]}
            if url := row.get("signed_body_url"):
                parts = urlsplit(url)
                bodies = appliance.call(f"{parts.path}?{parts.query}", None, method="GET").json
            assert bodies == {"request": {"model": "m", "n": at}, "response": {"n": at}}
        assert KEY not in json.dumps(found)
