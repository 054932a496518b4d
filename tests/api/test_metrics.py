"""Figures and charts: one meaning each, every span there, steps and other organisations not."""

from decimal import Decimal
from typing import Any

import pytest

from tests.api.kit import T0_US, House, request_row
from tests.storage.analytics_rows import edit_row, edits_of

HOUR_US = 3_600_000_000
DAY = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
OTHER = ((b"authorization", b"Bearer other"),)


def call(number: int, *, hour: float = 0, **changes: Any) -> tuple[Any, ...]:
    given = {
        "latency_ms": 100.0, "cost_pico": 10**12, "prompt_tokens": 10, "completion_tokens": 4,
        "reasoning_tokens": 1, "user_id": "ada", **changes,
    }  # fmt: skip
    return request_row(number, request_created_at=T0_US + int(hour * HOUR_US), **given)


def fill(house: House) -> None:
    """Hour 0: two calls, one an error. Hour 2: a stream, a threat, a hit of the cache. And a step,
    and a call of the day after."""
    nothing: dict[str, Any] = {"prompt_tokens": None, "completion_tokens": None}
    house.add(
        call(1),
        call(2, hour=0.5, status=500, cost_pico=None, latency_ms=300.0, user_id="bob", **nothing),
        call(3, hour=2, is_stream=True, time_to_first_token_ms=50.0, user_id=None, status=201),
        call(4, hour=2.2, status=-4, threat=True, cost_pico=0, user_id="", provider="ANTHROPIC"),
        call(5, hour=2.9, outcome="cache_hit", cost_pico=0, saved_cost_pico=5 * 10**11,
             saved_latency_ms=70.0, cache_reference_id=b"\x40" + (1).to_bytes(15, "big"),
             time_to_first_token_ms=0.0),
        call(6, hour=2, model="tool:search", step="tool", latency_ms=9000.0, cost_pico=7 * 10**12),
        call(7, hour=24, status=404),
    )  # fmt: skip


async def value(house: House, name: str, **body: Any) -> Any:
    reply = await house.post(f"/v1/metrics/{name}", {"filter": "all", "timeFilter": DAY, **body})
    assert reply.status == 200, reply.body
    return reply.json["data"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("totalRequests", 5),
        ("requestCount", 5),
        ("totalCost", 2),
        ("averageLatency", 140),
        ("averageTimeToFirstToken", 50),
        ("totalThreats", 1),
        ("activeUsers", 2),
    ],
)
async def test_figures(house: House, name: str, expected: float) -> None:
    fill(house)
    assert await value(house, name) == expected
    reply = await house.post(f"/v1/metrics/{name}", {"filter": "all"}, headers=OTHER)
    assert reply.json["data"] == 0


async def test_the_summary_says_the_same(house: House) -> None:
    fill(house)
    found = await value(house, "summary")
    for name in ("totalRequests", "totalCost", "averageLatency", "totalThreats", "activeUsers"):
        assert found[name] == await value(house, name)
    assert (found["totalErrors"], found["errorRate"], found["unpriced"]) == (1, 0.2, 1)
    assert (found["cacheHits"], found["costSaved"]) == (1, 0.5)
    assert found["totalTokens"] == found["promptTokens"] + found["completionTokens"] + found[
        "reasoningTokens"
    ]  # fmt: skip
    tokens = await value(house, "averageTokensPerRequest")
    assert tokens == {
        "average_prompt_tokens_per_response": 10,
        "average_completion_tokens_per_response": 4,
        "average_total_tokens_per_response": 15,
    }


@pytest.mark.parametrize(
    ("name", "field", "hours"),
    [
        ("requestOverTime", "count", {0: 2, 2: 3}),
        ("errorOverTime", "count", {0: 1}),
        ("costOverTime", "cost", {0: 1, 2: 1}),
        ("tokensOverTime", "prompt_tokens", {0: 10, 2: 30}),
        ("latencyOverTime", "duration", {0: 200, 2: 100}),
        ("timeToFirstToken", "ttft", {2: 50}),
        ("usersOverTime", "count", {0: 2, 2: 1}),
        ("threatsOverTime", "count", {2: 1}),
    ],
)
async def test_series_have_every_hour(
    house: House, name: str, field: str, hours: dict[int, float]
) -> None:
    fill(house)
    rows = await value(house, name, dbIncrement="hour")
    assert [row["time"] for row in rows] == [f"2026-01-01T{h:02}:00:00.000Z" for h in range(24)]
    assert {h: row[field] for h, row in enumerate(rows) if row[field]} == hours


async def test_days_are_those_of_the_readers_zone(house: House) -> None:
    """In Berlin (-60) the day of 2026-01-02 begins an hour before midnight in UTC."""
    house.add(call(1, hour=22.5), call(2, hour=23.5))
    for minutes, expected in (
        (0, {"2026-01-01T00:00:00.000Z": 2}),
        (-60, {"2025-12-31T23:00:00.000Z": 1, "2026-01-01T23:00:00.000Z": 1}),
    ):
        rows = await value(house, "requestOverTime", dbIncrement="day", timeZoneDifference=minutes)
        assert {row["time"]: row["count"] for row in rows} == expected


async def test_statuses_quantiles_and_groups(house: House) -> None:
    fill(house)
    rows = await value(house, "requestStatusOverTime", dbIncrement="day")
    assert {row["status"]: row["count"] for row in rows} == {200: 2, 500: 1, 201: 1, -4: 1}
    (row,) = await value(house, "quantiles", dbIncrement="day", metric="latency")
    assert (row["p75"], row["p99"]) == (100, 292)
    rows = await value(house, "models")
    assert {row["model"] for row in rows} == {"gpt-4o", "claude-sonnet-4"}
    assert sum(Decimal(str(row["cost"])) for row in rows) == 2
    assert set(rows[0]) == {
        "model", "total_requests", "total_completion_tokens", "total_prompt_token",
        "total_tokens", "cost",
    }  # fmt: skip
    assert await value(house, "country") == [{"country": "", "total_requests": 5}]
    reply = await house.post("/v1/providers", {"timeFilter": DAY})
    assert reply.json["data"] == [
        {"provider": "OPENAI", "total_requests": 4}, {"provider": "ANTHROPIC", "total_requests": 1},
    ]  # fmt: skip


async def test_filters_narrow_figures(house: House) -> None:
    fill(house)
    leaf = {"request_response_rmt": {"user_id": {"equals": "ada"}}}
    assert await value(house, "totalRequests", filter=leaf) == 2


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("nothing", {}, "metric: expected one of"),
        ("requestOverTime", {"timeFilter": None}, "timeFilter: is required"),
        ("requestOverTime", {"timeFilter": {"end": DAY["end"]}}, "timeFilter.start: is required"),
        ("requestOverTime", {"dbIncrement": "second"}, "dbIncrement: expected one of"),
        ("requestOverTime", {"timeZoneDifference": 1441}, "timeZoneDifference: expected whole"),
        ("requestOverTime", {"timeFilter": {"start": "2000-01-01", "end": "2026-01-01"},
                             "dbIncrement": "min"}, "dbIncrement: more than"),
        ("totalCost", {"timeFilter": {"start": DAY["end"], "end": DAY["start"]}}, "timeFilter.end"),
        ("usersOverTime", {"timeFilter": {"start": "0001-01-01", "end": "0001-01-01"}},
         "timeFilter.start: expected a year"),
        ("usersOverTime", {"timeFilter": {"start": "9999-12-31", "end": "9999-12-31T23:59:59Z"}},
         "timeFilter.start: expected a year"),
        ("totalCost", {"timeFilter": {"start": "soon"}}, "timeFilter.start: expected a time"),
        ("totalCost", {"timeFilter": {"startTimeUnixMs": -1}}, "startTimeUnixMs: expected"),
        ("totalCost", {"filter": {"nothing": {}}}, "filter.nothing: there is no such table"),
        ("quantiles", {"metric": "request_id"}, "metric: expected one of"),
        ("models", {"limit": 1001}, "limit: expected"),
    ],
)  # fmt: skip
async def test_bad_input_names_the_field(house: House, name: str, body: Any, words: str) -> None:
    reply = await house.post(f"/v1/metrics/{name}", {"timeFilter": DAY, **body})
    assert (reply.status, reply.json["error"][: len(words)]) == (422, words)


async def test_what_the_cache_saved(house: House) -> None:
    fill(house)
    reply = await house.post("/v1/cache/metrics", {"timeFilter": DAY})
    assert reply.json["data"] == {
        "total_requests": 5, "total_hits": 1, "hit_rate": 0.2, "time_saved_ms": 70,
        "cost_saved": 0.5,
    }  # fmt: skip
    rows = (await house.post("/v1/cache/over-time", {"timeFilter": DAY})).json["data"]
    assert [row["count"] for row in rows] == [0, 0, 1] + [0] * 21
    (row,) = (await house.post("/v1/cache/top-requests", {"timeFilter": DAY})).json["data"]
    assert (row["hits"], row["cost_saved"]) == (1, 0.5)
    assert row["request_id"].endswith("000001")


async def test_what_rate_limits_stopped(house: House) -> None:
    limited = {"Helicone-Rate-Limit-Status": "bucket_rate_limited"}
    house.add(
        call(1), call(2, properties=limited, status=429),
        call(3, hour=3, properties=limited, status=429),
        call(4, hour=3, properties=limited, status=429, user_id=None),
    )  # fmt: skip
    data = (await house.post("/v1/rate-limits/blocked", {"timeFilter": DAY})).json["data"]
    assert (data["total"], data["users"]) == (3, 1)
    assert [row["count"] for row in data["over_time"][:4]] == [1, 0, 0, 2]
    assert data["by_user"] == [{"user_id": "ada", "count": 2}, {"user_id": "", "count": 1}]


async def test_scores_of_requests(house: House) -> None:
    house.add(call(1), call(2, hour=25))
    boolean = tuple(
        "boolean" if n == 5 else v for n, v in enumerate(edit_row(1, "score", "ok", 1.0))
    )
    house.analytics.ingest(
        edits_of(
            boolean, edit_row(1, "score", "q", 0.25), edit_row(2, "score", "q", 0.75),
            edit_row(2, "feedback", "feedback", 0.0),
        ),
        house.analytics.position,
    )  # fmt: skip
    names = ["helicone-score-feedback", "ok-hcone-bool", "q"]
    assert (await house.get("/v1/evals/scores")).json["data"] == names
    rows = (await house.post("/v1/evals/query", {"filter": "all"})).json["data"]
    assert [row["name"] for row in rows] == names
    q = rows[2]
    assert (q["averageScore"], q["minScore"], q["maxScore"], q["count"]) == (0.5, 0.25, 0.75, 2)
    assert q["overTime"] == [
        {"date": "2026-01-01T00:00:00.000Z", "count": 1},
        {"date": "2026-01-02T00:00:00.000Z", "count": 1},
    ]
    rows = (await house.post("/v1/evals/score-distributions/query", {})).json["data"]
    spread = {row["name"]: row["distribution"] for row in rows}["q"]
    assert [one["value"] for one in spread] == [1] + [0] * 8 + [1]
    body = {
        "timeFilter": {"start": DAY["start"], "end": "2026-01-03T00:00:00Z"},
        "dbIncrement": "day",
    }
    rows = (await house.post("/v1/dashboard/scores/query", body)).json["data"]
    assert [row["score_sum"] for row in rows if row["score_key"] == "q"] == [0.25, 0.75]
    reply = await house.get("/v1/evals/scores", headers=OTHER)
    assert reply.json["data"] == []


async def test_one_more_score_for_a_request(house: House) -> None:
    from tests.api.kit import request_id

    house.add(call(1))
    path = f"/v1/evals/{request_id(1)}"
    assert (await house.post(path, {"name": "new", "score": 0.5})).status == 200
    assert (await house.get("/v1/evals/scores")).json["data"] == ["new"]
    assert (await house.post(path, {"name": "new", "score": 0.5}, headers=OTHER)).status == 404
    assert (await house.post(path, {"name": "", "score": 1})).status == 422
    assert (await house.post(path, {"name": "x"})).json["error"].startswith("score: is required")


async def test_prices_and_models_as_public_pages_have_them(house: House) -> None:
    reply = await house.get("/api/llm-costs?provider=openai&model=gpt-4o-mini")
    rows = reply.json["data"]
    assert reply.json["metadata"]["total_models"] == len(rows) > 0
    assert {row["provider"] for row in rows} == {"OPENAI"}
    assert rows[0]["input_cost_per_1m"] > 0
    sheet = (await house.get("/api/llm-costs?format=csv")).body.decode().splitlines()
    assert sheet[0].startswith("provider,model,operator,input_cost_per_1m")
    assert len(sheet) > 100
    assert (await house.get("/api/llm-costs?format=xml")).status == 422
    data = (await house.get("/v1/public/model-registry/models")).json["data"]
    assert data["total"] == len(data["models"]) > 50
    assert "openai" in data["filters"]["providers"]


async def test_how_providers_are_doing(house: House) -> None:
    import time

    now = time.time_ns() // 1000
    house.add(
        *(request_row(n, request_created_at=now - HOUR_US, latency_ms=50.0) for n in range(4)),
        request_row(5, request_created_at=now - HOUR_US, status=500, latency_ms=50.0),
        request_row(6, request_created_at=now - 30 * HOUR_US, latency_ms=20.0),
    )
    (row,) = (await house.get("/v1/public/status/provider")).json["data"]
    assert row["providerName"] == "OPENAI"
    metrics = row["metrics"]
    assert (metrics["requests"], metrics["errorRate"], metrics["errorRateChange"]) == (5, 0.2, 0.2)
    assert metrics["latencyChangeMs"] == 30
    one = (await house.get("/v1/public/status/provider/openai?timeFrame=7d")).json["data"]
    assert one["metrics"]["requests"] == 6
    assert sum(span["requests"] for span in one["timeSeries"]) == 6
    assert (await house.get("/v1/public/status/provider/nobody")).status == 404
    assert (await house.get("/v1/public/status/provider", headers=OTHER)).json["data"] == []
