from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from appliance.api.services_webhooks import Tried
from storage import webhook_tables as table
from storage.frames import Position
from tests.api.kit import ORG, House

AS_OTHER = ((b"authorization", b"Bearer other"),)
AS_READER = ((b"authorization", b"Bearer reader"),)
AS_WRITER = ((b"authorization", b"Bearer writer"),)
AS_BOTH = ((b"authorization", b"Bearer both"),)
GOOD = {
    "destination": "https://hooks.example.com/in?t=1",
    "config": {"sampleRate": 12.5, "propertyFilters": [{"key": "env", "value": "prod"}]},
    "includeData": False,
}
NONE = "1f0e3a52-0b6e-4c3a-9d7a-3f2f5f5d8a11"


async def create(house: House, **more: Any) -> dict[str, Any]:
    reply = await house.post("/v1/webhooks", {**GOOD, **more})
    assert reply.status == 200, reply.body
    made: dict[str, Any] = reply.json["data"]
    return made


async def deliver(house: House, webhook_id: str, *numbers: int) -> None:
    """As the feed puts them in, each a second after the other."""
    for number in numbers:
        wanted = [(f"{NONE[:-4]}{number:04}", webhook_id, bytes([number] * 16), NONE)]
        await house.tables["us"].write(
            partial(table.feed, wanted=wanted, upto=Position(1, number), now_us=number * 10**6)
        )


async def test_create_list_change_and_remove(house: House):
    made = await create(house)
    assert len(bytes.fromhex(made["hmac_key"])) == 32
    assert made["hmac_key_hint"] == "…" + made["hmac_key"][-4:]
    assert made["config"] == {
        "sampleRate": 12.5,
        "propertyFilters": [{"key": "env", "value": "prod"}],
        "includeData": False,
    }
    assert (made["version"], made["is_active"]) == ("2024-10-22", True)
    stored = (await house.tables["us"].read(partial(table.webhooks_of, org=ORG)))[0]
    assert stored.sealed == f"us {made['id']} {made['hmac_key']}".encode()
    assert stored.since == house.webhooks.position
    listed = await house.get("/v1/webhooks")
    # No stored secret comes out again.
    assert made["hmac_key"].encode() not in listed.body
    assert listed.json["data"] == [{k: v for k, v in made.items() if k != "hmac_key"}]
    path = f"/v1/webhooks/{made['id']}"
    changed = await house.ask("PATCH", path, b'{"config":{"sampleRate":50},"includeData":true}')
    assert changed.json["data"]["config"] == {
        "sampleRate": 50,
        "propertyFilters": [{"key": "env", "value": "prod"}],
        "includeData": True,
    }
    assert "hmac_key" not in changed.json["data"]
    turned = (await house.ask("PATCH", path, b'{"rotateHmacKey":true}')).json["data"]
    assert turned["hmac_key"] != made["hmac_key"]
    (stored,) = await house.tables["us"].read(partial(table.webhooks_of, org=ORG))
    assert stored.sealed.endswith(turned["hmac_key"].encode())
    house.webhooks.position = Position(2, 7)
    await house.ask("PATCH", path, b'{"isActive":false}')
    assert (await house.ask("PATCH", path, b'{"isActive":true}')).json["data"]["is_active"]
    (stored,) = await house.tables["us"].read(partial(table.webhooks_of, org=ORG))
    assert stored.since == Position(2, 7)
    assert (await house.ask("DELETE", path)).json == {"data": None, "error": None}
    assert (await house.ask("DELETE", path)).status == 404
    assert (await house.get("/v1/webhooks")).json["data"] == []
    assert house.webhooks.changes == ["us"] * 6


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "destination"),
        ({"destination": "http://a.example"}, "destination"),
        ({"destination": "https://127.0.0.2/"}, "destination"),
        ({"destination": ["https://a.example"]}, "destination"),
        ({"config": []}, "config"),
        ({"config": {"sampleRate": 101}}, "config.sampleRate"),
        ({"config": {"sampleRate": -0.1}}, "config.sampleRate"),
        ({"config": {"sampleRate": "50"}}, "config.sampleRate"),
        ({"config": {"sampleRate": True}}, "config.sampleRate"),
        ({"config": {"propertyFilters": {}}}, "config.propertyFilters"),
        ({"config": {"propertyFilters": [{}] * 51}}, "config.propertyFilters"),
        ({"config": {"propertyFilters": ["a"]}}, "config.propertyFilters.0"),
        ({"config": {"propertyFilters": [{"key": "a"}]}}, "config.propertyFilters.0.value"),
        ({"config": {"propertyFilters": [{"key": 1}]}}, "config.propertyFilters.0.key"),
        ({"includeData": "yes"}, "includeData"),
        ({"config": {"includeData": 1}}, "includeData"),
        ({"isActive": 1}, "isActive"),
    ],
)  # fmt: skip
async def test_bad_input_names_the_field(house: House, body: dict[str, Any], field: str):
    if body:
        body = {"destination": "https://a.example", **body}
    reply = await house.post("/v1/webhooks", body)
    assert (reply.status, reply.json["data"]) == (422, None)
    assert reply.json["error"].startswith(f"{field}: ")
    assert (await house.get("/v1/webhooks")).json["data"] == []


async def test_zero_is_a_sample_rate_and_a_host_of_the_list_may_be_private(house: House):
    made = await create(house, destination="http://lan.example/x", config={"sampleRate": 0})
    assert made["config"]["sampleRate"] == 0
    assert made["destination"] == "http://lan.example/x"


async def test_no_more_than_so_many(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table, "WEBHOOKS_MAX", 2)
    await create(house)
    await create(house)
    assert (await house.post("/v1/webhooks", GOOD)).status == 409
    # Each organisation has its own.
    assert (await house.post("/v1/webhooks", GOOD, headers=AS_OTHER)).status == 200


async def test_the_log_of_deliveries(house: House):
    made = await create(house)
    path = f"/v1/webhooks/{made['id']}/deliveries"
    await deliver(house, made["id"], *range(1, 8))
    first = (await house.get(f"{path}?limit=3")).json["data"]
    assert [row["created_at"][17:19] for row in first["deliveries"]] == ["07", "06", "05"]
    assert first["deliveries"][0] == {
        "id": f"{NONE[:-4]}0007", "request_id": NONE, "state": "waiting", "attempts": 0,
        "created_at": "1970-01-01T00:00:07.000Z", "next_attempt_at": "1970-01-01T00:00:07.000Z",
        "last_attempt_at": None, "status": None, "error": None, "duration_ms": None,
    }  # fmt: skip
    second = (await house.get(f"{path}?limit=3&cursor={first['next_cursor']}")).json["data"]
    third = (await house.get(f"{path}?limit=3&cursor={second['next_cursor']}")).json["data"]
    assert [row["created_at"][17:19] for row in third["deliveries"]] == ["01"]
    assert third["next_cursor"] is None
    outcome = table.Outcome(f"{NONE[:-4]}0002", "failed", 0, 9_000_000, 500, "answered 500", 33.0)
    await house.tables["us"].write(partial(table.note_outcomes, outcomes=[outcome]))
    (failed,) = (await house.get(f"{path}?state=failed")).json["data"]["deliveries"]
    assert (failed["status"], failed["error"], failed["attempts"]) == (500, "answered 500", 1)
    assert (failed["next_attempt_at"], failed["duration_ms"]) == (None, 33.0)
    again = await house.post(f"{path}/{failed['id']}/replay", {})
    assert (again.status, again.json["data"]["state"], again.json["data"]["attempts"]) == (
        200, "waiting", 0,
    )  # fmt: skip
    assert house.webhooks.changes == ["us", "us"]
    assert (await house.get(f"{path}?state=failed")).json["data"]["deliveries"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=501", "limit"), ("limit=x", "limit"), ("state=gone", "state"),
        ("cursor=x", "cursor"), ("cursor=%C3%BC", "cursor"), ("cursor=MTIz", "cursor"),
    ],
)  # fmt: skip
async def test_bad_parameters_are_named(house: House, query: str, field: str):
    made = await create(house)
    reply = await house.get(f"/v1/webhooks/{made['id']}/deliveries?{query}")
    assert (reply.status, reply.json["error"].split(":")[0]) == (422, field)


async def test_a_test_says_what_came_of_it(house: House):
    made = await create(house)
    path = f"/v1/webhooks/{made['id']}/test"
    assert (await house.post(path, {})).json["data"] == {
        "success": True, "message": "delivered", "status": 200, "duration_ms": 12.5,
    }  # fmt: skip
    house.webhooks.tried = Tried(None, "no answer within 10 s", 10_000.0)
    assert (await house.post(path, b"")).json["data"] == {
        "success": False, "message": "no answer within 10 s", "status": None,
        "duration_ms": 10000.0,
    }  # fmt: skip


def paths(webhook_id: str) -> list[tuple[str, str]]:
    one = f"/v1/webhooks/{webhook_id}"
    return [
        ("PATCH", one), ("DELETE", one), ("POST", f"{one}/test"), ("GET", f"{one}/deliveries"),
        ("POST", f"{one}/deliveries/{NONE}/replay"),
    ]  # fmt: skip


async def test_those_of_others_are_not_there(house: House):
    made = await create(house)
    await deliver(house, made["id"], 1)
    assert (await house.get("/v1/webhooks", headers=AS_OTHER)).json["data"] == []
    for method, path in [*paths(made["id"]), *paths(NONE)]:
        headers = AS_OTHER if NONE not in path.split("/")[3] else ()
        reply = await house.ask(method, path, b"{}", headers=headers)
        assert (reply.status, method, path) == (404, method, path)
    assert [row["id"] for row in (await house.get("/v1/webhooks")).json["data"]] == [made["id"]]
    for method, path in paths("none"):
        assert (await house.ask(method, path, b"{}")).status == 422


async def test_who_may_read_sees_and_changes_nothing(house: House):
    house.access.open = False
    made = (await house.post("/v1/webhooks", GOOD, headers=AS_BOTH)).json["data"]
    allowed = [("GET", "/v1/webhooks"), ("GET", f"/v1/webhooks/{made['id']}/deliveries")]
    for method, path in [*paths(made["id"]), ("GET", "/v1/webhooks"), ("POST", "/v1/webhooks")]:
        as_reader = await house.ask(method, path, b"{}", headers=AS_READER)
        assert as_reader.status == (200 if (method, path) in allowed else 403), (method, path)
        assert (await house.ask(method, path, b"{}", headers=AS_WRITER)).status == 403
        assert (await house.ask(method, path, b"{}")).status == 401


async def test_a_delivery_that_is_not_there_and_a_webhook_that_is_off(house: House):
    made = await create(house, isActive=False)
    path = f"/v1/webhooks/{made['id']}"
    assert (await house.post(f"{path}/deliveries/{NONE}/replay", {})).status == 409
    await house.ask("PATCH", path, b'{"isActive":true}')
    assert (await house.post(f"{path}/deliveries/{NONE}/replay", {})).status == 404
