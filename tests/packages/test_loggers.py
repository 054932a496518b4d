"""The real packages of Helicone's users, with only their host changed: what they send is taken, and
is on record as they meant it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.appliance import Appliance, Row
from tests.fakes.provider import Provider
from tests.fakes.provider_openai import TEXT
from tests.packages.kit import needs_node, needs_python, run

KEY = "sk-helicone-" + "-".join(["abcdefg"] * 4)
KEYED = f'access = "keys"\nbootstrap_key = "{KEY}"\n'
# What the fake streams: its words without the spaces between them.
STREAMED = TEXT.replace(" ", "")
# 4 tokens in at $2.50 and 2 out at $10 per million.
COST = Decimal("0.00003")


@pytest.fixture
def keyed(tmp_path: Path, provider: Provider) -> Any:
    with Appliance(tmp_path / "appliance", provider, config=KEYED) as appliance:
        yield appliance


def cases(appliance: Appliance) -> dict[str, Row]:
    """Rows with their bodies, by the property that names the case."""
    rows = appliance.query("SELECT * FROM requests JOIN bodies USING (exchange_id)")
    return {row["properties"]["case"]: row for row in rows}


def check(rows: dict[str, Row], name: str, **wanted: Any) -> Row:
    row = rows[name]
    found = {key: row[key] for key in wanted}
    assert found == wanted, name
    assert (row["source"], row["derive_error"], row["user_id"]) == ("log", None, "ada")
    assert row["session_id"] == "s-1"
    return row


@needs_python
@pytest.mark.parametrize("prefix", ["", "/v1/gateway", "/v1/trace"])
def test_the_manual_logger_of_python(keyed: Appliance, tmp_path: Path, prefix: str) -> None:
    assert run(tmp_path, "manual_logger.py", keyed.url + prefix, KEY) == "done"
    rows = cases(keyed)
    assert len(rows) == 10
    # Jawn's own path takes a log without a provider for OpenAI's (backend.md 3.2).
    other = "OPENAI" if prefix == "/v1/trace" else "CUSTOM"
    for name, provider in (("None", other), ("openai", "OPENAI"), ("anthropic", "ANTHROPIC")):
        row = check(rows, f"dict-{name}", provider=provider, model="gpt-4o", status=200,
                    prompt_tokens=4, completion_tokens=2, step=None)  # fmt: skip
        assert json.loads(row["response"])["choices"][0]["message"]["content"] == "pong"
    assert Decimal(rows["dict-openai"]["cost_usd"]) == COST
    check(rows, "tool", step="tool", model="tool:look", prompt_tokens=None)
    check(rows, "vector", step="vector_db", model="vector_db")
    check(rows, "text", response="plain words", latency_ms=900, status=200,
          session_path="/text")  # fmt: skip
    check(rows, "sse", prompt_tokens=4, completion_tokens=2, time_to_first_token_ms=180.5,
          is_stream=True, provider="OPENAI")  # fmt: skip
    check(rows, "chunks", prompt_tokens=4, completion_tokens=2, usage_source="provider")
    assert "ValueError: it broke" in check(rows, "error", status=200)["response"]
    check(rows, "cancelled", status=200)  # it always says 200 (backend.md 3.3)


@needs_node
def test_the_manual_logger_of_javascript(keyed: Appliance, tmp_path: Path) -> None:
    assert run(tmp_path, "manual_logger.mjs", f"{keyed.url}/custom/v1/log", KEY) == "done"
    rows = cases(keyed)
    assert len(rows) == 13
    for name, provider in (("undefined", "CUSTOM"), ("OPENAI", "OPENAI"),
                           ("ANTHROPIC", "ANTHROPIC"), ("GOOGLE", "GOOGLE")):  # fmt: skip
        check(rows, f"dict-{name}", provider=provider, model="gpt-4o", prompt_tokens=4)
    check(rows, "tool", step="tool", model="tool:look")
    check(rows, "vector", step="vector_db", model="vector_db")
    check(rows, "data", step="data", model="data:rows")
    check(rows, "text", response="plain words", status=200)
    for name in ("sse", "sse-operation", "chunks"):
        check(rows, name, prompt_tokens=4, completion_tokens=2, status=200, is_stream=True)
    check(rows, "error", status=500)
    check(rows, "cancelled", status=-3, outcome="client_gone", latency_ms=900)


@needs_python
def test_a_wrong_key_is_told(keyed: Appliance, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not on file"):
        run(tmp_path, "manual_logger.py", keyed.url, KEY.replace("g", "h"))
    assert keyed.query("SELECT * FROM requests") == []


@needs_python
def test_the_async_logger_of_python(keyed: Appliance, provider: Provider, tmp_path: Path) -> None:
    traces, model = f"{keyed.url}/v1/trace/log-python", f"{provider.url}/v1"
    told = run(tmp_path, "async_logger.py", traces, model, KEY)
    assert told == {"text": TEXT, "streamed": STREAMED}
    rows = keyed.query("SELECT * FROM requests ORDER BY request_created_at")
    assert len(rows) == 2
    for row, is_stream in zip(rows, (False, True), strict=True):
        assert (row["provider"], row["model"], row["step"]) == ("OPENAI", "gpt-4o", None)
        # This Traceloop keeps no counts of a stream: they are estimated, and marked so.
        counted = (row["prompt_tokens"], row["completion_tokens"], row["usage_source"])
        assert counted == ((10, 10, "estimated") if is_stream else (19, 11, "provider"))
        assert (row["user_id"], row["session_id"], row["session_path"]) == ("ada", "s-1", "/plan")
        assert row["properties"]["Tier"] == "gold"
        assert (row["source"], len(row["trace_id"]), len(row["span_id"])) == ("otlp", 32, 16)
        assert row["is_stream"] is is_stream
        body = keyed.body(row["request_id"])
        assert json.loads(body["request"])["messages"][0]["content"] == "Say hello."
        message = json.loads(body["response"])["choices"][0]["message"]
        assert message["role"] == "assistant"
        assert message["content"] == (STREAMED if is_stream else TEXT)


@needs_python
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_sdk_of_opentelemetry(keyed: Appliance, tmp_path: Path, compression: str) -> None:
    told = run(tmp_path, "otel_sdk.py", f"{keyed.url}/v1/traces", compression, KEY)
    assert told["results"] == [True]
    rows = {row["session_path"]: row for row in keyed.query("SELECT * FROM requests")}
    assert {row["session_id"] for row in rows.values()} == {told["trace_id"]}
    assert {row["session_name"] for row in rows.values()} == {"shop"}
    root = rows["/checkout"]
    call = rows["/checkout/chat gpt-4o"]
    tool = rows["/checkout/execute_tool look"]
    assert (root["step"], root["parent_span_id"]) == ("data", None)
    assert call["parent_span_id"] == tool["parent_span_id"] == root["span_id"]
    assert (call["prompt_tokens"], Decimal(call["cost_usd"])) == (4, COST)
    assert (tool["step"], tool["model"], tool["status"]) == ("tool", "tool:look", 500)
    error = json.loads(keyed.body(tool["request_id"])["response"])["error"]
    assert error == {"message": "nothing there", "type": "LookupError"}


@needs_python
def test_the_sdk_of_opentelemetry_without_a_key(keyed: Appliance, tmp_path: Path) -> None:
    told = run(tmp_path, "otel_sdk.py", f"{keyed.url}/v1/traces", "none", "sk-helicone-none")
    assert told["results"] == [False]


@needs_python
def test_the_callback_of_litellm(keyed: Appliance, provider: Provider, tmp_path: Path) -> None:
    assert run(tmp_path, "litellm_callback.py", keyed.url, f"{provider.url}/v1", KEY) == TEXT
    (row,) = keyed.query("SELECT * FROM requests JOIN bodies USING (exchange_id)")
    assert (row["provider"], row["model"], row["source"]) == ("OPENAI", "gpt-4o", "log")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (19, 11)
    assert (row["user_id"], row["properties"]["tier"]) == ("ada", "gold")
    assert KEY not in json.dumps(row)


@needs_node
@pytest.mark.parametrize("prefix", ["", "/ai"])
def test_the_provider_of_vercels_sdk(provider: Provider, tmp_path: Path, prefix: str) -> None:
    """Through the gateway, not beside it: it calls `{base}/v1/chat/completions`."""
    environ = {"OPENAI_API_KEY": "sk-provider"}
    directory = tmp_path / "appliance"
    with Appliance(directory, provider, config=KEYED, environ=environ, lends=True) as appliance:
        told = run(tmp_path, "ai_sdk.mjs", appliance.url + prefix, KEY)
        assert (told["text"], told["streamed"]) == (TEXT, STREAMED)
        rows = appliance.query("SELECT * FROM requests ORDER BY request_created_at")
        assert [row["is_stream"] for row in rows] == [False, True]
        for row in rows:
            assert (row["status"], row["source"], row["user_id"]) == (200, None, "ada")
            assert (row["session_id"], row["session_path"]) == ("s-1", "/plan")
            assert row["session_name"] == "agent"
            assert row["properties"]["tier"] == "gold"
