"""Budgets over REST: set, changed and removed at real desks, by whoever may configure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.core.budgets import BUDGETS_MAX
from tests.actors.wallet_kit import USD, held, own_call
from tests.api.kit import ORG, Reply
from tests.api.wallet_kit import Till, till

BUDGETS = "/v1/budgets"


async def ask(one: Till, method: str, path: str, body: Any = None, who: str = "both") -> Reply:
    one.house.access.open = False
    data = b"" if body is None else json.dumps(body).encode()
    headers = ((b"authorization", f"Bearer {who}".encode()),)
    return await one.house.ask(method, path, data, headers=headers)


async def listed(one: Till, who: str = "both") -> Any:
    return (await ask(one, "GET", BUDGETS, who=who)).json["data"]


async def test_a_budget_is_set_changed_and_removed(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        reply = await ask(one, "POST", BUDGETS, {"scope": "user", "limit_usd": "5.000000000001"})
        assert reply.status == 200, reply.body
        made = reply.json["data"]
        assert {name: made[name] for name in made if name != "id"} == {
            "scope": "user", "value": "*", "period": "month", "limit_usd": "5.000000000001",
        }  # fmt: skip
        team = {"scope": "property:Team", "value": "a", "period": "day", "limit_usd": 0.1}
        named = (await ask(one, "POST", BUDGETS, team)).json["data"]
        assert (named["scope"], named["limit_usd"]) == ("property:team", "0.1")
        # The same scope, value and period: changed, not another one.
        again = await ask(one, "POST", BUDGETS, {**team, "limit_usd": 2})
        assert again.json["data"] == {**named, "limit_usd": "2"}
        found = {row["id"]: row for row in await listed(one)}
        assert found[made["id"]].pop("begins_anew").endswith("-01T00:00:00Z")
        assert found[made["id"]] == {
            **made,
            "spent_usd": "0",
            "held_usd": "0",
            "each": True,
            "values": 0,
        }
        assert found[named["id"]]["each"] is False
        assert len(found) == 2
        gone = await ask(one, "DELETE", f"{BUDGETS}/{made['id'].upper()}")
        assert (gone.status, gone.json["data"]) == (200, None)
        assert [row["id"] for row in await listed(one)] == [named["id"]]
        again = await ask(one, "DELETE", f"{BUDGETS}/{made['id']}")
        assert (again.status, again.json["data"]) == (404, None)


async def test_one_of_another_organisation_is_none(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        mine = (await ask(one, "POST", BUDGETS, {"scope": "key", "limit_usd": 1})).json["data"]
        reply = await ask(one, "DELETE", f"{BUDGETS}/{mine['id']}", who="other")
        assert reply.status == 404
        theirs = await ask(one, "POST", BUDGETS, {"scope": "key", "limit_usd": 9}, who="other")
        assert theirs.json["data"]["id"] != mine["id"]
        assert [row["limit_usd"] for row in await listed(one)] == ["1"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "scope: expected text, and it is required"),
        ({"scope": "org"}, "scope: expected key, user, or property:NAME"),
        ({"scope": "property: "}, "scope: expected key, user, or property:NAME"),
        ({"scope": "user:ada"}, "scope: expected key, user, or property:NAME"),
        ({"scope": "user", "period": "year"}, "period: expected one of day, week, month"),
        ({"scope": "user", "value": 7}, "value: expected text"),
        ({"scope": "user", "limit_usd": None}, "limit_usd: None is not a number, in USD"),
        ({"scope": "user", "limit_usd": "-1"}, "limit_usd: expected 0 to 9000000 USD"),
        ({"scope": "user", "limit_usd": "1e-13"}, "limit_usd: 1e-13 has more than 12 decimal"),
        ({"scope": "user", "value": "x" * 2000}, "value: at most"),
    ],
)
async def test_what_is_wrong_is_named(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    async with till(tmp_path) as one:
        body = given if "limit_usd" in given or not given else {"limit_usd": 1, **given}
        reply = await ask(one, "POST", BUDGETS, body)
        assert reply.status == 422, reply.body
        assert reply.json["error"].startswith(says), reply.body
        assert await listed(one) == []


async def test_there_are_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.actors.wallet_desk.BUDGETS_MAX", 1)
    assert BUDGETS_MAX == 1000
    async with till(tmp_path) as one:
        assert (await ask(one, "POST", BUDGETS, {"scope": "key", "limit_usd": 1})).status == 200
        reply = await ask(one, "POST", BUDGETS, {"scope": "user", "limit_usd": 1})
        assert reply.status == 422
        assert reply.json["error"] == "budgets: at most 1 of one organisation"


async def test_of_many_values_those_that_spent_most_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.commands_wallet.VALUES_MAX", 2)
    async with till(tmp_path) as one:
        await ask(one, "POST", BUDGETS, {"scope": "user", "limit_usd": 100})
        for user, usd in (("ann", 1), ("ben", 3), ("cy", 2)):
            wanted = replace(own_call(usd, usd, user=user), org=ORG)
            one.rigs["us"].wallet.settle(await held(one.rigs["us"], wanted), usd * USD)
        rows = await listed(one)
        assert [(row["value"], row["values"]) for row in rows] == [("ben", 3), ("cy", 3)]


async def test_who_reads_may_not_set_and_it_is_written_down(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        reply = await ask(one, "POST", BUDGETS, {"scope": "key", "limit_usd": 1}, who="reader")
        assert reply.status == 403
        made = await ask(one, "POST", BUDGETS, {"scope": "key", "limit_usd": 1})
        await ask(one, "DELETE", f"{BUDGETS}/{made.json['data']['id']}")
        acts = (await ask(one, "GET", "/v1/appliance/audit")).json["data"]
        assert [(act["action"], act["detail"]["limit_usd"]) for act in acts] == [
            ("budgets.remove", "1"), ("budgets.set", "1"),
        ]  # fmt: skip
        assert acts[0]["target"] == made.json["data"]["id"]


async def test_while_the_ledger_is_down(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        made = (await ask(one, "POST", BUDGETS, {"scope": "key", "limit_usd": 1})).json["data"]
        one.rigs["us"].trouble.append("before")
        body = {"scope": "user", "limit_usd": 1}
        assert (await ask(one, "POST", BUDGETS, body)).status == 503
        await one.rigs["us"].up()
        one.rigs["us"].trouble.append("before")
        assert (await ask(one, "DELETE", f"{BUDGETS}/{made['id']}")).status == 503
        await one.rigs["us"].up()
        assert [row["id"] for row in await listed(one)] == [made["id"]]
