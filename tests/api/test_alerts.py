from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from storage import alert_tables as table
from tests.api.kit import ORG, House

AS_OTHER = ((b"authorization", b"Bearer other"),)
AS_READER = ((b"authorization", b"Bearer reader"),)
AS_BOTH = ((b"authorization", b"Bearer both"),)
SLACK = "https://hooks.slack.com/services/T0/B0/abcdefgh"
GOOD: dict[str, Any] = {
    "name": "Spend", "metric": "cost", "threshold": 0.5, "aggregation": None, "percentile": None,
    "grouping": None, "grouping_is_property": None, "time_window": "300000",
    "emails": ["a@b.example"], "slack_channels": [SLACK], "minimum_request_count": 3,
    "filter": {"type": "all"},
}  # fmt: skip
NONE = "1f0e3a52-0b6e-4c3a-9d7a-3f2f5f5d8a11"


async def create(house: House, **more: Any) -> str:
    reply = await house.post("/v1/alert/create", {**GOOD, **more})
    assert reply.status == 200, reply.body
    made: str = reply.json["data"]
    return made


async def alerts(house: House, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await house.get("/v1/alert/query", **options)).json["data"][
        "alerts"
    ]
    return found


async def test_create_query_change_and_remove(house: House):
    made = await house.post("/v1/alert/create", GOOD)
    # Nothing would be mailed, and it is said at once.
    assert made.json["warnings"] == ["no mail server"]
    alert_id = made.json["data"]
    (shown,) = await alerts(house)
    assert shown.pop("created_at") == shown.pop("updated_at")
    assert shown == {
        **GOOD, "id": alert_id, "grouping_is_property": False, "status": "resolved",
        "is_active": True, "cooldown": "300000",
        "slack_channels": ["https://hooks.slack.com/…efgh"], "webhooks": [],
        "warnings": ["no mail server"],
    }  # fmt: skip
    assert b"T0/B0" not in house.last.body
    stored = (await house.tables["us"].read(partial(table.alerts_of, org=ORG)))[0]
    assert SLACK.encode() in stored.sealed
    house.notices.has_mail = True
    change = {
        "threshold": 2, "name": "Spend!", "slack_channels": shown["slack_channels"],
        "webhooks": ["http://lan.example/x"], "grouping": "team", "grouping_is_property": True,
    }  # fmt: skip
    changed = await house.ask("PATCH", f"/v1/alert/{alert_id}", json.dumps(change).encode())
    assert changed.status == 200
    row = changed.json["data"]
    assert (row["threshold"], row["name"], row["grouping"]) == (2, "Spend!", "team")
    assert (row["warnings"], row["minimum_request_count"]) == ([], 3)
    stored = (await house.tables["us"].read(partial(table.alerts_of, org=ORG)))[0]
    assert SLACK.encode() in stored.sealed
    assert b"http://lan.example/x" in stored.sealed
    assert await alerts(house) == [row]
    assert (await house.ask("DELETE", f"/v1/alert/{alert_id}")).json == {
        "data": None,
        "error": None,
    }
    assert (await house.ask("DELETE", f"/v1/alert/{alert_id}")).status == 404
    assert await alerts(house) == []


async def test_a_paused_one_is_over_and_can_go_on(house: House):
    alert_id = await create(house)
    begun = table.Incident(NONE, alert_id, "Spend", "cost", 5, None, "triggered", "0.70", "[]")
    (row,) = await house.tables["us"].read(partial(table.alerts_of, org=ORG))
    note = partial(
        table.note_status, alert=row, status="triggered", below_since_us=None, begun=begun,
        ended_at_us=None,
    )  # fmt: skip
    assert await house.tables["us"].write(note)
    reply = await house.ask("PATCH", f"/v1/alert/{alert_id}", b'{"is_active": false}')
    assert (reply.json["data"]["is_active"], reply.json["data"]["status"]) == (False, "resolved")
    assert await alerts(house) == [reply.json["data"]]
    (incident,) = (await house.get("/v1/alert/query")).json["data"]["history"]
    assert (incident["status"], incident["alert_end_time"] is None) == ("resolved", False)
    # An evaluation that was under way meanwhile changes nothing.
    assert not await house.tables["us"].write(note)
    reply = await house.ask("PATCH", f"/v1/alert/{alert_id}", b'{"is_active": true}')
    assert reply.json["data"]["is_active"] is True
    await create(house, is_active=False)
    assert sorted(one["is_active"] for one in await alerts(house)) == [False, True]


async def test_every_setting_can_be_changed_alone(house: House):
    """And what is not given stays; null takes back to what is usual."""
    alert_id = await create(house)
    (before,) = await alerts(house)
    changes: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"name": "Other"}, {}), ({"threshold": 3}, {}), ({"metric": "latency"}, {}),
        ({"aggregation": "percentile", "percentile": 95}, {}), ({"time_window": "60000"}, {}),
        ({"cooldown": "0"}, {}), ({"cooldown": None}, {"cooldown": "300000"}),
        ({"minimum_request_count": None}, {"minimum_request_count": 0}),
        ({"grouping": "team", "grouping_is_property": True}, {}), ({"grouping_is_property": None,
          "grouping": "model"}, {"grouping_is_property": False, "grouping": "model"}),
        ({"filter": {"request_response_rmt": {"model": {"equals": "m"}}}}, {}),
        ({"filter": None}, {"filter": "all"}), ({"emails": ["x@y.example"]}, {}),
        ({"webhooks": ["http://lan.example/x"]}, {"webhooks": None}), ({"is_active": False}, {}),
    ]  # fmt: skip
    for given, differs in changes:
        data = json.dumps(given).encode()
        row = (await house.ask("PATCH", f"/v1/alert/{alert_id}", data)).json["data"]
        wanted = {**before, **given, **differs}
        ignored = {"updated_at", "warnings", *(n for n, v in differs.items() if v is None)}
        assert {n: v for n, v in row.items() if n not in ignored} == {
            n: v for n, v in wanted.items() if n not in ignored
        }
        assert await alerts(house) == [row]
        before = row


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"is_active": "no"}, "is_active"),
        ({"cooldown": "soon"}, "cooldown"),
        ({"name": None}, "name"),
        ({"metric": None}, "metric"),
        ({"threshold": None}, "threshold"),
        ({"time_window": None}, "time_window"),
        ({"name": " "}, "name"),
        ({"aggregation": "median"}, "aggregation"),
        ({"emails": ["nobody"]}, "emails.0"),
        ({"emails": [], "slack_channels": []}, "emails"),
        ({"slack_channels": ["#ops"]}, "slack_channels.0"),
        ({"webhooks": ["http://a.example"]}, "webhooks.0"),
        ({"webhooks": ["https://127.0.0.1/"]}, "webhooks.0"),
        ({"webhooks": ["https://hooks.slack.com/…efgh"]}, "webhooks.0"),
        ({"filter": {"type": "condition"}}, "filter.field"),
    ],
)
async def test_bad_input_names_the_field(house: House, more: dict[str, Any], field: str):
    reply = await house.post("/v1/alert/create", {**GOOD, **more})
    assert (reply.status, reply.json["error"].split(": ")[0]) == (422, field)
    assert await alerts(house) == []


async def test_a_change_that_is_wrong_changes_nothing(house: House):
    alert_id = await create(house)
    before = await alerts(house)
    reply = await house.ask("PATCH", f"/v1/alert/{alert_id}", b'{"name":"x","threshold":0}')
    assert (reply.status, reply.json["error"].split(": ")[0]) == (422, "threshold")
    assert await alerts(house) == before


async def test_the_history_in_pages(house: House):
    alert_id = await create(house)
    (row,) = await house.tables["us"].read(partial(table.alerts_of, org=ORG))

    def begin(number: int) -> Any:
        incident = table.Incident(
            f"i{number}", alert_id, "Spend", "cost", number * 10**6, None, "triggered", "1.00", "[]"
        )
        ended = number * 10**6 + 500_000

        def write(connection: Any) -> None:
            table.note_status(connection, row, "resolved", None, incident, ended)

        return write

    for number in range(5):
        await house.tables["us"].write(begin(number))
    page = (await house.get("/v1/alert/query?historyPage=1&historyPageSize=2")).json["data"]
    assert [one["id"] for one in page["history"]] == ["i2", "i1"]
    assert page["historyTotalCount"] == 5
    assert page["history"][0] == {
        "id": "i2", "alert_id": alert_id, "alert_name": "Spend", "alert_metric": "cost",
        "org_id": "00000000-0000-0000-0000-000000000001", "status": "resolved",
        "triggered_value": "1.00", "alert_start_time": "1970-01-01T00:00:02.000Z",
        "alert_end_time": "1970-01-01T00:00:02.500Z", "groups": [],
    }  # fmt: skip
    others = (await house.get("/v1/alert/query", headers=AS_OTHER)).json["data"]
    assert others == {"alerts": [], "history": [], "historyTotalCount": 0}
    for query in ("historyPage=-1", "historyPageSize=0", "historyPageSize=1001"):
        assert (await house.get(f"/v1/alert/query?{query}")).status == 422


async def test_those_of_others_are_not_there_and_readers_change_nothing(house: House):
    alert_id = await create(house)
    for method in ("PATCH", "DELETE"):
        for key, headers in ((alert_id, AS_OTHER), (NONE, ())):
            reply = await house.ask(method, f"/v1/alert/{key}", b"{}", headers=headers)
            assert reply.status == 404
        assert (await house.ask(method, "/v1/alert/none", b"{}")).status == 422
    assert len(await alerts(house)) == 1
    house.access.open = False
    assert len(await alerts(house, headers=AS_READER)) == 1
    for method, path in (
        ("POST", "/v1/alert/create"), ("PATCH", f"/v1/alert/{alert_id}"),
        ("DELETE", f"/v1/alert/{alert_id}"),
    ):  # fmt: skip
        assert (await house.ask(method, path, b"{}", headers=AS_READER)).status == 403
        assert (await house.ask(method, path, b"{}")).status == 401
    assert (await house.ask("DELETE", f"/v1/alert/{alert_id}", headers=AS_BOTH)).status == 200


async def test_no_more_than_so_many(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table, "ALERTS_MAX", 1)
    await create(house)
    assert (await house.post("/v1/alert/create", GOOD)).status == 409
    assert (await house.post("/v1/alert/create", GOOD, headers=AS_OTHER)).status == 200
