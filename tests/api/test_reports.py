from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from storage import report_tables as table
from tests.api.kit import ORG, House

AS_OTHER = ((b"authorization", b"Bearer other"),)
AS_READER = ((b"authorization", b"Bearer reader"),)
SLACK = "https://hooks.slack.com/services/T0/B0/abcdefgh"
GOOD: dict[str, Any] = {"emails": ["a@b.example"], "slack_channels": [SLACK]}
NONE = "1f0e3a52-0b6e-4c3a-9d7a-3f2f5f5d8a11"


async def create(house: House, **more: Any) -> dict[str, Any]:
    reply = await house.post("/v1/reports", {**GOOD, **more})
    assert reply.status == 200, reply.body
    made: dict[str, Any] = reply.json["data"]
    return made


async def test_create_list_change_try_and_remove(house: House):
    made = await create(house)
    assert (made["frequency"], made["is_active"], made["name"]) == ("weekly", True, "LLM calls")
    assert made["slack_channels"] == ["https://hooks.slack.com/…efgh"]
    assert made["warnings"] == ["no mail server"]
    assert (await house.get("/v1/reports")).json["data"] == [made]
    assert b"T0/B0" not in house.last.body
    path = f"/v1/reports/{made['id']}"
    change = {"frequency": "monthly", "is_active": False, "slack_channels": made["slack_channels"]}
    changed = (await house.ask("PATCH", path, json.dumps(change).encode())).json["data"]
    assert (changed["frequency"], changed["is_active"]) == ("monthly", False)
    (stored,) = await house.tables["us"].read(partial(table.reports_of, org=ORG))
    assert SLACK.encode() in stored.sealed
    assert (changed["created_at"], stored.is_active) == (made["created_at"], False)
    due = partial(table.due_reports, frequency="monthly")
    assert await house.tables["us"].read(due) == []
    tried = await house.post(f"{path}/test", {})
    assert tried.json["data"] == {"messages": 1, "warnings": ["no mail server"]}
    assert house.notices.changes == ["us"]
    queued = await house.tables["us"].read(lambda c: c.execute("SELECT id FROM notices").fetchall())
    assert queued == [("n0",)]
    assert (await house.ask("DELETE", path)).json == {"data": None, "error": None}
    assert (await house.ask("DELETE", path)).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "emails"),
        ({"emails": ["x"]}, "emails.0"),
        ({**GOOD, "frequency": "hourly"}, "frequency"),
        ({**GOOD, "frequency": ["daily"]}, "frequency"),
        ({**GOOD, "frequency": None}, "frequency"),
        ({**GOOD, "is_active": "no"}, "is_active"),
        ({**GOOD, "name": "a\nb"}, "name"),
        ({**GOOD, "webhooks": ["http://a.example"]}, "webhooks.0"),
    ],
)
async def test_bad_input_names_the_field(house: House, body: dict[str, Any], field: str):
    reply = await house.post("/v1/reports", body)
    assert (reply.status, reply.json["error"].split(": ")[0]) == (422, field)
    assert (await house.get("/v1/reports")).json["data"] == []


async def test_those_of_others_are_not_there_and_readers_change_nothing(house: House):
    path = f"/v1/reports/{(await create(house))['id']}"
    paths = [("PATCH", path), ("DELETE", path), ("POST", f"{path}/test")]
    for method, one in paths:
        assert (await house.ask(method, one, b"{}", headers=AS_OTHER)).status == 404
        assert (
            await house.ask(method, one.replace(path, f"/v1/reports/{NONE}"), b"{}")
        ).status == 404
        assert (await house.ask(method, one.replace(path, "/v1/reports/x"), b"{}")).status == 422
    house.access.open = False
    assert (await house.get("/v1/reports", headers=AS_READER)).status == 200
    for method, one in [*paths, ("POST", "/v1/reports")]:
        assert (await house.ask(method, one, b"{}", headers=AS_READER)).status == 403
    assert len((await house.get("/v1/reports", headers=AS_READER)).json["data"]) == 1


async def test_no_more_than_so_many(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table, "REPORTS_MAX", 1)
    made = await create(house)
    assert (await house.post("/v1/reports", GOOD)).status == 409
    assert (await house.ask("PATCH", f"/v1/reports/{made['id']}", b"{}")).status == 200
