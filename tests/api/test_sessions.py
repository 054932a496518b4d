"""Sessions, users and properties: groups of requests, narrowed by what they are and their sums."""

from typing import Any

import pytest

from tests.api.kit import T0_US, House, request_id, request_row

SECOND_US = 1_000_000
OTHER = ((b"authorization", b"Bearer other"),)
TABLE = "sessions_request_response_rmt"
START_MS = T0_US // 1000


def call(number: int, session: str | None, second: float = 0, **changes: Any) -> tuple[Any, ...]:
    begin = T0_US + int(second * SECOND_US)
    given = {
        "session_id": session, "session_name": "agent", "user_id": "ada", "latency_ms": 500.0,
        "cost_pico": 10**11, "request_created_at": begin,
        "response_created_at": begin + SECOND_US // 2, "session_path": "/", **changes,
    }  # fmt: skip
    return request_row(number, **given)


def fill(house: House) -> None:
    """s1: three calls and a step over 10 seconds; s2: one dear call; one call without a session."""
    house.add(
        call(1, "s1", 0, session_path="/plan"),
        call(2, "s1", 2, session_path="/plan/step", status=500, user_id="bob"),
        call(
            3, "s1", 4, session_path="/plan/step/", model="tool:search", step="tool", cost_pico=None
        ),
        call(4, "s1", 10, session_path="/done"),
        call(5, "s2", 3600, session_name="triage", cost_pico=9 * 10**11, user_id="eve"),
        call(6, None, 5),
    )


async def sessions(house: House, **body: Any) -> list[dict[str, Any]]:
    reply = await house.post("/v1/session/query", {"search": "", "filter": "all", **body})
    assert reply.status == 200, reply.body
    rows: list[dict[str, Any]] = reply.json["data"]
    return rows


async def test_a_session_is_its_requests(house: House) -> None:
    fill(house)
    last, first = await sessions(house)
    assert last["session_id"] == "s2"
    assert first == {
        "session_id": "s1",
        "session_name": "agent",
        "created_at": "2026-01-01T00:00:00.000Z",
        "latest_request_created_at": "2026-01-01T00:00:10.000Z",
        "avg_latency": 500,
        "total_cost": 0.3,
        "total_requests": 3,  # the step is none
        "prompt_tokens": 40,
        "completion_tokens": 20,
        "total_tokens": 64,
        "duration_ms": 10_500,
        "errors": 1,
        "user_ids": ["ada", "bob"],
    }
    reply = await house.post("/v1/session/query", {}, headers=OTHER)
    assert reply.json["data"] == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"search": "TRI"}, ["s2"]),
        ({"search": "S1"}, ["s1"]),
        ({"nameEquals": "agent"}, ["s1"]),
        ({"timeFilter": {"startTimeUnixMs": START_MS + 60_000}}, ["s2"]),
        ({"timeFilter": {"startTimeUnixMs": START_MS, "endTimeUnixMs": START_MS + 60_000}}, ["s1"]),
        ({"limit": 1}, ["s2"]),
        ({"limit": 1, "offset": 1}, ["s1"]),
        ({"filter": {TABLE: {"session_total_cost": {"gt": 0.5}}}}, ["s2"]),
        ({"filter": {TABLE: {"session_total_requests": {"gte": 3}}}}, ["s1"]),
        ({"filter": {TABLE: {"session_session_id": {"contains": "2"}}}}, ["s2"]),
        ({"filter": {TABLE: {"session_created_at": {"lt": "2026-01-01T00:30:00Z"}}}}, ["s1"]),
        ({"filter": {TABLE: {"session_tag": {"equals": "good"}}}}, ["s1"]),
        ({"filter": {TABLE: {"session_tag": {"not-equals": "good"}}}}, ["s2"]),
        # Of requests: those rows alone make the sums.
        ({"filter": {"left": {"request_response_rmt": {"user_id": {"equals": "bob"}}},
                     "operator": "and",
                     "right": {TABLE: {"session_total_requests": {"equals": 1}}}}}, ["s1"]),
        ({"filter": {"type": "and", "expressions": [
            {"type": "condition", "field": {"table": TABLE, "column": "session_total_cost"},
             "operator": "lt", "value": 0.5},
            {"type": "condition", "field": {"column": "status"}, "operator": "gte", "value": 1},
        ]}}, ["s1"]),
        ({"filter": {"left": {TABLE: {"session_total_cost": {"gt": 0.5}}}, "operator": "or",
                     "right": {TABLE: {"session_total_requests": {"gt": 2}}}}}, ["s2", "s1"]),
    ],
)  # fmt: skip
async def test_sessions_narrowed(house: House, body: dict[str, Any], expected: list[str]) -> None:
    fill(house)
    assert (await house.post("/v1/session/s1/tag", {"tag": "good"})).status == 200
    assert [row["session_id"] for row in await sessions(house, **body)] == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"filter": {"left": {TABLE: {"session_total_cost": {"gt": 1}}}, "operator": "or",
                     "right": {"request_response_rmt": {"status": {"equals": 1}}}}},
         'filter: conditions on requests and on groups'),
        ({"filter": {TABLE: {"nothing": {"gt": 1}}}}, f"filter.expressions.0.{TABLE}.nothing:"),
        ({"filter": {"nothing": {}}}, "filter.expressions.0.nothing: there is no such table"),
        ({"filter": 5}, "filter.expressions.0: expected an object"),
        ({"search": 5}, "search: expected a text"),
        ({"limit": 2000}, "limit: expected"),
        ({"timeFilter": {"startTimeUnixMs": "x"}}, "startTimeUnixMs: expected"),
        ({"filter": {"left": {}}}, "filter"),
    ],
)  # fmt: skip
async def test_bad_input_names_the_field(house: House, body: dict[str, Any], words: str) -> None:
    reply = await house.post("/v1/session/query", body)
    assert (reply.status, reply.json["error"][: len(words)]) == (422, words)


async def test_sums_names_and_histograms(house: House) -> None:
    fill(house)
    reply = await house.post("/v1/session/count", {"search": ""})
    assert reply.json["data"] == {
        "count": 2, "total_cost": 1.2, "avg_cost": 0.6, "avg_latency": 500, "avg_requests": 2,
    }  # fmt: skip
    span = {"startTimeUnixMs": START_MS}
    reply = await house.post("/v1/session/name/query", {"nameContains": "", "timeFilter": span})
    assert [(row["name"], row["session_count"]) for row in reply.json["data"]] == [
        ("triage", 1), ("agent", 1),
    ]  # fmt: skip
    reply = await house.post("/v1/session/metrics/query", {"nameContains": "", "pSize": "p99.9"})
    data = reply.json["data"]
    assert data["average"]["session_cost"] == [{"average": 0.6}]
    assert [row["value"] for row in data["session_count"]][:1] == [1]
    for quartile in (True, False):
        reply = await house.post("/v1/session/metrics/query", {"useInterquartile": quartile})
        assert reply.status == 200
    reply = await house.post("/v1/session/metrics/query", {"pSize": "p1"})
    assert reply.json["error"].startswith("pSize: expected one of")
    empty = await house.post("/v1/session/metrics/query", {}, headers=OTHER)
    assert empty.json["data"]["session_cost"] == []


async def test_the_tree_of_a_session(house: House) -> None:
    fill(house)
    data = (await house.get("/v1/session/s1/tree")).json["data"]
    assert (data["total_requests"], data["errors"], data["total_cost"]) == (3, 1, 0.3)
    assert (data["duration_ms"], data["truncated"]) == (10_500, False)
    plan, done = data["tree"]["children"]
    (step,) = plan["children"]
    assert [plan["path"], step["path"], done["path"]] == ["/plan", "/plan/step", "/done"]
    assert (plan["errors"], plan["cost"], plan["request_count"]) == (
        1,
        0.2,
        2,
    )  # with what is below
    assert [row["step"] for row in step["requests"]] == [False, True]
    assert plan["requests"][0]["request_id"] == request_id(1)
    assert (step["created_at"], step["ended_at"]) == (
        "2026-01-01T00:00:02.000Z", "2026-01-01T00:00:04.500Z",
    )  # fmt: skip
    assert (await house.get("/v1/session/s1/tree", headers=OTHER)).status == 404
    assert (await house.get("/v1/session/nothing/tree")).status == 404


async def test_deep_paths_and_many_rows_are_bounded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.api import sessions as module

    house.add(call(1, "deep", session_path="/x" * 5000), call(2, "deep", 1), call(3, "deep", 2))
    monkeypatch.setattr(module, "TREE_ROWS_MAX", 2)
    data = (await house.get("/v1/session/deep/tree")).json["data"]
    assert (data["truncated"], data["total_requests"]) == (True, 2)


async def test_a_tag_and_a_thumb_for_a_session(house: House) -> None:
    fill(house)
    assert (await house.get("/v1/session/s1/tag")).json["data"] is None
    for tag in ("first", "second"):
        assert (await house.post("/v1/session/s1/tag", {"tag": tag})).status == 200
    assert (await house.get("/v1/session/s1/tag")).json["data"] == "second"
    assert (await house.get("/v1/session/s1/tag", headers=OTHER)).json["data"] is None
    assert (await house.post("/v1/session/s1/tag", {"tag": "x"}, headers=OTHER)).status == 404
    assert (await house.post("/v1/session/s1/tag", {"tag": ""})).status == 200
    assert (await house.get("/v1/session/s1/tag")).json["data"] is None
    assert (await house.post("/v1/session/s1/tag", {})).status == 422
    assert (await house.post("/v1/session/s1/feedback", {"rating": False})).status == 200
    row = (await house.get(f"/v1/request/{request_id(1)}")).json["data"]
    assert row["properties"]["Helicone-Session-Feedback"] == "0"
    reply = await house.post("/v1/session/s1/feedback", {"rating": True}, headers=OTHER)
    assert reply.status == 404


async def test_users(house: House) -> None:
    fill(house)
    reply = await house.post("/v1/user/metrics/query", {"filter": "all", "offset": 0, "limit": 2})
    data = reply.json["data"]
    assert (data["count"], data["hasUsers"]) == (3, True)
    eve, ada = data["users"]
    assert (eve["user_id"], ada["user_id"]) == ("eve", "ada")
    assert (ada["total_requests"], ada["cost"], ada["active_for"]) == (3, 0.3, 1)
    assert ada["average_requests_per_day_active"] == 3
    assert ada["first_active"] == "2026-01-01T00:00:00.000Z"
    dear = {"users_view": {"user_cost": {"gt": 0.5}}}
    reply = await house.post("/v1/user/metrics/query", {"filter": dear})
    assert [row["user_id"] for row in reply.json["data"]["users"]] == ["eve"]
    reply = await house.post("/v1/user/metrics/query", {"sort": {"cost": "asc"}, "limit": 1})
    assert reply.json["data"]["users"][0]["user_id"] == "bob"
    reply = await house.post("/v1/user/metrics/query", {"sort": {"password": "asc"}})
    assert reply.status == 422
    reply = await house.post("/v1/user/metrics/query", {"offset": 10})
    assert reply.json["data"] == {"users": [], "count": 3, "hasUsers": True}
    reply = await house.post("/v1/user/metrics/query", {}, headers=OTHER)
    assert reply.json["data"] == {"users": [], "count": 0, "hasUsers": False}
    reply = await house.post("/v1/user/metrics-overview/query", {"pSize": "p99.9"})
    assert sum(row["value"] for row in reply.json["data"]["request_count"]) >= 2
    reply = await house.post("/v1/user/query", {"userIds": ["ada", "nobody"]})
    assert reply.json["data"] == [
        {"user_id": "ada", "prompt_tokens": 30, "completion_tokens": 15, "count": 3, "cost": 0.3}
    ]
    assert (await house.post("/v1/user/query", {"userIds": [5]})).status == 422
    late = {"startTimeUnixSeconds": START_MS // 1000 + 1800}
    reply = await house.post("/v1/user/query", {"timeFilter": late})
    assert [row["user_id"] for row in reply.json["data"]] == ["eve"]


async def test_properties(house: House) -> None:
    house.add(*(call(n, "s", n, properties={"Env": f"e{n // 2:02}", "N": "x"}) for n in range(26)))

    async def names(path: str = "/v1/property/query") -> list[str]:
        return [row["property"] for row in (await house.post(path, {})).json["data"]]

    assert await names() == ["Env", "N"]
    assert (await house.post("/v1/property/hide", {"key": "N"})).json["data"] == "ok"
    assert (await names(), await names("/v1/property/hidden/query")) == (["Env"], ["N"])
    assert (await house.post("/v1/property/restore", {"key": "N"})).status == 200
    assert (await names(), await names("/v1/property/hidden/query")) == (["Env", "N"], [])
    assert (await house.post("/v1/property/hide", {})).status == 422
    reply = await house.post("/v1/property/Env/search", {"searchTerm": "E1"})
    assert reply.json["data"] == ["e10", "e11", "e12"]
    reply = await house.post("/v1/property/Env/top-requests/query", {})
    rows = reply.json["data"]
    assert len(rows) == 11
    assert rows[0] == {"value": "e00", "count": 2}
    assert rows[-1] == {"value": "other", "count": 6}
    reply = await house.post("/v1/property/Env/top-costs/query", {})
    assert sum(row["cost"] for row in reply.json["data"]) == pytest.approx(2.6)
    span = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T02:00:00Z"}
    body = {"timeFilter": span, "propertyKey": "Env", "dbIncrement": "hour"}
    rows = (await house.post("/v1/property/properties/over-time", body)).json["data"]
    assert len(rows) == 22
    assert sum(row["count"] for row in rows) == 26
    assert rows[11]["count"] == 0
    reply = await house.post("/v1/property/query", {}, headers=OTHER)
    assert reply.json["data"] == []


async def test_who_only_reads_hides_nothing(house: House) -> None:
    house.access.open = False
    reader = ((b"authorization", b"Bearer reader"),)
    assert (await house.post("/v1/property/hide", {"key": "N"}, headers=reader)).status == 403
    assert (await house.post("/v1/property/query", {}, headers=reader)).status == 200
