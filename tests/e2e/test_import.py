"""`import`: rows of others become calls like any, with a server and without one, once however often
they come."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import run, until
from tests.fakes.appliance import Appliance

ID = "0190a5b0-1111-4222-8333-{:012d}"
KEY = "sk-helicone-" + "-".join(["abcdefg"] * 4)


def helicone(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "request_id": ID.format(number), "request_created_at": "2026-08-29T10:40:00.120Z",
        "response_created_at": "2026-08-29T10:40:01.020Z", "delay_ms": 900,
        "request_body": {"model": "gpt-4o", "n": number}, "response_body": {"answer": number},
        "request_path": "/v1/chat/completions", "request_user_id": "ada", "model": "gpt-4o",
        "request_properties": {"Tier": "gold", "Helicone-Session-Id": "s-1"},
        "response_status": 200, "provider": "OPENAI", "prompt_tokens": 4, "completion_tokens": 2,
        "time_to_first_token": 180, "cost": 0.00003,
        "target_url": "https://api.openai.com/v1/chat/completions", **changes,
    }  # fmt: skip


LITELLM = {
    "request_id": "chatcmpl-1", "call_type": "acompletion", "spend": 0.5, "prompt_tokens": 7,
    "completion_tokens": 3, "total_tokens": 10, "startTime": "2026-08-29T10:40:00.120000",
    "endTime": "2026-08-29T10:40:01.020000", "model": "gpt-4o", "custom_llm_provider": "openai",
    "user": "ada", "request_tags": '["night"]', "messages": '[{"role":"user","content":"ping"}]',
    "response": '{"choices":[]}', "team_id": "t-1",
}  # fmt: skip
LANGFUSE = {
    "id": "00f067aa0ba902b7", "traceId": "0af7651916cd43dd8448eb211c80319c", "type": "GENERATION",
    "name": "answer", "startTime": "2026-08-29T10:40:00.120Z",
    "endTime": "2026-08-29T10:40:01.020Z", "model": "gpt-4o",
    "input": [{"role": "user", "content": "ping"}], "output": {"content": "pong"},
    "usageDetails": {"input": 7, "output": 3}, "totalCost": 0.5, "sessionId": "s-1",
    "userId": "ada", "metadata": {"shop": "books"}, "level": "DEFAULT",
}  # fmt: skip


def written(directory: Path, rows: list[Any], name: str = "rows.jsonl") -> Path:
    path = directory / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def imported(appliance: Appliance, *arguments: str, code: int = 0, **environ: str) -> Any:
    done = run(
        appliance.directory, "import", *arguments, "--json", "--config", str(appliance.config),
        "--data-dir", str(appliance.data), environ=environ,
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.mark.parametrize("live", [True, False], ids=["served", "offline"])
def test_rows_become_calls_once_however_often_they_come(tmp_path: Path, live: bool) -> None:
    file = written(tmp_path, [helicone(n) for n in range(450)])
    with Appliance(tmp_path / "a") as appliance:
        if not live:
            assert appliance.stop() == 0
        assert imported(appliance, str(file))["taken"] == 450
        assert imported(appliance, str(file))["taken"] == 450
        assert imported(appliance, str(file), "--skip", "440")["taken"] == 10
        (found,) = appliance.query("SELECT count(*) AS n FROM requests")
        assert found["n"] == 450
        row = appliance.rows(ID.format(7))[0]
        assert (row["model"], row["provider"], row["status"]) == ("gpt-4o", "OPENAI", 200)
        assert (row["prompt_tokens"], row["completion_tokens"]) == (4, 2)
        assert float(row["cost_usd"]) == 0.00003
        assert (row["source"], row["user_id"], row["session_id"]) == ("import", "ada", "s-1")
        assert (row["latency_ms"], row["properties"]["Tier"]) == (900, "gold")
        assert str(row["request_created_at"]).startswith(
            ("2026-08-29T10:40:00.12", "2026-08-29 10:40:00.12")
        )
        body = appliance.body(ID.format(7))
        assert json.loads(body["request"]) == {"model": "gpt-4o", "n": 7}
        assert json.loads(body["response"]) == {"answer": 7}
        if not live:
            appliance.start()


def test_csv_and_large_bodies(tmp_path: Path) -> None:
    row = helicone(1, response_body={"long": "x" * 600_000})
    file = tmp_path / "rows.csv"
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, row)
        writer.writeheader()
        writer.writerow({k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()})
    with Appliance(tmp_path / "a") as appliance:
        assert imported(appliance, str(file))["taken"] == 1
        found = appliance.row(ID.format(1))
        assert (found["prompt_tokens"], found["properties"]["Tier"]) == (4, "gold")
        assert len(json.loads(appliance.body(ID.format(1))["response"])["long"]) == 600_000


def test_spend_logs_of_litellm_and_observations_of_langfuse(tmp_path: Path) -> None:
    tool = {**LANGFUSE, "id": "x-2", "type": "TOOL", "name": "look", "level": "ERROR"}
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"data": [LITELLM, LANGFUSE, tool]}))
    with Appliance(tmp_path / "a") as appliance:
        assert imported(appliance, str(file))["taken"] == 3
        rows = appliance.query(
            "SELECT * FROM requests ORDER BY step NULLS FIRST, trace_id NULLS FIRST"
        )
        one, two, step = rows
        for row in (one, two):
            assert (row["model"], row["prompt_tokens"], row["completion_tokens"]) == (
                "gpt-4o",
                7,
                3,
            )
            assert (float(row["cost_usd"]), row["latency_ms"], row["user_id"]) == (0.5, 900, "ada")
        assert (one["provider"], one["properties"]["tag-night"]) == ("OPENAI", "true")
        assert (two["trace_id"], two["span_id"]) == (LANGFUSE["traceId"], LANGFUSE["id"])
        assert two["properties"]["shop"] == "books"
        assert (step["step"], step["model"], step["status"]) == ("tool", "tool:look", 500)


def test_rows_that_are_none_are_counted_and_named(tmp_path: Path) -> None:
    file = written(tmp_path, [{"a": 1}, helicone(1), helicone(2, request_created_at="soon")])
    with Appliance(tmp_path / "a") as appliance:
        told = imported(appliance, str(file), code=1)
        assert (told["taken"], told["refused"]) == (1, 2)
        assert "no row of Helicone's export" in told["first_refused"]
        (tmp_path / "bad.jsonl").write_text('{"a": 1}\n{')
        assert "line 2 is not JSON" in imported(appliance, str(tmp_path / "bad.jsonl"), code=1)
        assert "name a FILE" in imported(appliance, code=2)


def test_from_a_helicone_that_runs(tmp_path: Path) -> None:
    """Ours stands in for it: count, pages, bodies."""
    config = f'access = "keys"\nbootstrap_key = "{KEY}"\n'
    with Appliance(tmp_path / "a", config=config) as there, Appliance(tmp_path / "b") as here:
        file = written(tmp_path, [helicone(n) for n in range(600)])
        imported(there, str(file))
        key, every = {"Authorization": f"Bearer {KEY}"}, {"filter": "all"}
        count = "/v1/request/count/query"
        until(lambda: there.call(count, every, key).json["data"] == 600)
        told = imported(here, "--url", there.url, HELICONE_API_KEY=KEY)
        assert told["taken"] == 600
        rows = "SELECT request_id, response FROM bodies ORDER BY request_id"
        assert here.query(rows) == there.query(rows)
        assert "401" in imported(here, "--url", there.url, code=1)


def test_what_lies_in_the_lake_is_known_too(tmp_path: Path) -> None:
    file = written(tmp_path, [helicone(n) for n in range(30)])
    with Appliance(tmp_path / "a") as appliance:
        for _ in range(3):
            imported(appliance, str(file))
            assert appliance.command("roll")["ok"]
        (found,) = appliance.query("SELECT count(*) AS n FROM requests")
        assert found["n"] == 30
        assert appliance.command("verify")["ok"]
