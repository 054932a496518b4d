"""Figures, sessions, users and budgets at a real server: what was called is what they say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a word"}]}
ADA = {"Helicone-User-Id": "ada", "Helicone-Property-App": "search"}


def post(appliance: Appliance, path: str, body: dict[str, Any] | None = None) -> Any:
    reply = appliance.call(path, body or {"filter": "all"})
    assert reply.status == 200, (path, reply.body)
    return reply.json["data"]


def get(appliance: Appliance, path: str) -> Any:
    reply = appliance.call(path, method="GET")
    assert reply.status == 200, (path, reply.body)
    return reply.json["data"]


def test_what_was_called_is_what_the_figures_say(tmp_path: Path, provider: Provider) -> None:
    appliance = Appliance(tmp_path, provider)
    with appliance:
        for number in range(3):
            session = {"Helicone-Session-Id": "s 1", "Helicone-Session-Path": f"/a/{number}"}
            assert appliance.call(CHAT, ASK, ADA | session).status == 200
        assert appliance.call(CHAT, ASK).status == 200
        now = datetime.now(UTC)
        span = {"start": (now - timedelta(hours=2)).isoformat(), "end": now.isoformat()}
        chart = {"timeFilter": span, "dbIncrement": "hour"}
        assert post(appliance, "/v1/metrics/totalRequests") == 4
        assert (
            sum(row["count"] for row in post(appliance, "/v1/metrics/requestOverTime", chart)) == 4
        )
        (model,) = post(appliance, "/v1/metrics/models")
        assert model["total_requests"] == 4
        (user,) = post(appliance, "/v1/user/query")
        assert (user["user_id"], user["count"]) == ("ada", 3)
        (session,) = post(appliance, "/v1/session/query", {"search": ""})
        assert (session["session_id"], session["total_requests"]) == ("s 1", 3)
        tree = get(appliance, "/v1/session/s%201/tree")
        assert [node["path"] for node in tree["tree"]["children"][0]["children"]] == [
            "/a/0", "/a/1", "/a/2",
        ]  # fmt: skip
        tagged = appliance.call("/v1/session/s%201/tag", {"tag": "kept"})
        assert tagged.status == 200
        assert "app" in [row["property"].lower() for row in post(appliance, "/v1/property/query")]
        (status,) = get(appliance, "/v1/public/status/provider")
        assert status["metrics"]["requests"] == 4
        costs = appliance.call("/api/llm-costs?model=gpt-4o", method="GET").json
        assert costs["metadata"]["total_models"] > 0
        assert get(appliance, "/v1/public/model-registry/models")["total"] > 0
        assert get(appliance, "/v1/budgets") == []
        appliance.command("budgets.set", scope="user", period="day", limit="5")
        (budget,) = get(appliance, "/v1/budgets")
        assert (budget["scope"], budget["limit_usd"]) == ("user", "5")
        appliance.restart()
        assert get(appliance, "/v1/session/s%201/tag") == "kept"
        schema = appliance.call("/download/swagger.json", method="GET")
        assert "/v1/session/{session_id}/tree" in json.loads(schema.body)["paths"]
