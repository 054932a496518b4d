"""The wallet's administration: names and numbers as Helicone's, over real desks."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.api.openapi_wallet import PAGE
from appliance.api.wallet_rows import TABLES
from appliance.core.keys import DEFAULT_ORGANIZATION
from tests.actors.wallet_kit import CENT, USD, held
from tests.actors.wallet_kit import credits_call as call_of
from tests.api.kit import ORG
from tests.api.wallet_kit import ADMIN, ADMIN_KEY, Till, till

READER = ((b"authorization", b"Bearer reader"),)
DEFAULT = str(uuid.UUID(bytes=DEFAULT_ORGANIZATION))
FIELDS = {
    "balance", "effectiveBalance", "totalEscrow", "totalDebits", "totalCredits", "creditLine",
    "disallowList", "disputeStatus", "activeDisputes",
}  # fmt: skip


async def hold(one: Till, org: str, pico: int) -> Any:
    return await held(one.rigs["us"], replace(call_of(pico), org=uuid.UUID(org).bytes))


async def test_a_wallet_in_cents_exact(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        acme = one.org("acme")
        made = await one.modify(acme, amount=500)
        assert made.status == 200, made.body
        assert made.json["applied"] is True
        open_hold = await hold(one, acme, 2 * CENT)
        paid = await hold(one, acme, 3 * CENT)
        one.rigs["us"].wallet.settle(paid, 1_234_567_890_1)
        reply = await one.admin("GET", f"/admin/wallet/{acme}/state")
        found = json.loads(reply.body, parse_float=str)
        assert set(found) == FIELDS
        assert found == {
            "balance": "498.7654321099", "effectiveBalance": "496.7654321099", "totalEscrow": 2,
            "totalDebits": "1.2345678901", "totalCredits": 500, "creditLine": 0,
            "disallowList": [], "disputeStatus": "active", "activeDisputes": [],
        }  # fmt: skip
        total = await one.admin("GET", f"/wallet/credits/total?orgId={acme}")
        assert total.json == {"totalCredits": 500}
        one.rigs["us"].wallet.release(open_hold)


async def test_the_organisations_own_key_sees_its_own_wallet(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        house, org = one.house, str(uuid.UUID(bytes=ORG))
        house.access.open = False
        assert await one.rigs["us"].desk.top_up(ORG, 5 * USD, "evt")
        reply = await house.get("/wallet/state", headers=READER)
        assert (reply.status, reply.json["balance"]) == (200, 500)
        other = await house.get("/wallet/state", headers=((b"authorization", b"Bearer other"),))
        assert other.json["balance"] == 0
        writer = ((b"authorization", b"Bearer writer"),)
        assert (await house.get("/wallet/state", headers=writer)).status == 403
        assert (await house.get("/wallet/state")).status == 401
        # An administrator's key is no organisation's, and the other way round.
        assert (await house.get("/wallet/state", headers=ADMIN)).status == 401
        reply = await one.admin("GET", f"/admin/wallet/{org}/state", headers=READER)
        assert reply.status == 401


async def test_a_debit_takes_what_is_free_and_no_more(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        acme = one.org("acme")
        await one.modify(acme, amount=500)
        open_hold = await hold(one, acme, 2 * USD)
        refused = await one.modify(acme, type="debit", amount="300.0000000001", referenceId="r2")
        assert refused.status == 400
        assert refused.json["error"].startswith("amount: $3.000000000001 is more than the $3 ")
        assert (await one.state(acme))["effectiveBalance"] == 300
        done = await one.modify(acme, type="debit", amount="300", referenceId="r2")
        assert (done.status, done.json["effectiveBalance"]) == (200, 0)
        one.rigs["us"].wallet.release(open_hold)


async def test_a_reference_counts_once_and_stands_for_one_thing(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        acme, other = one.org("acme"), one.org("other")
        assert (await one.modify(acme)).json["applied"] is True
        again = await one.modify(acme)
        assert (again.status, again.json["applied"], again.json["balance"]) == (200, False, 500)
        for org, changes in ((acme, {"amount": 501}), (acme, {"type": "debit"}), (other, {})):
            refused = await one.modify(org, **changes)
            assert refused.status == 409, refused.body
            assert refused.json["error"].startswith("referenceId:")
        assert (await one.state(acme))["balance"] == 500
        assert (await one.state(other))["balance"] == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": None}, "amount"), ({"amount": 0}, "amount"), ({"amount": -1}, "amount"),
        ({"amount": "much"}, "amount"), ({"amount": True}, "amount"), ({"amount": []}, "amount"),
        ({"amount": "0.00000000001"}, "amount"), ({"amount": "1e-11"}, "amount"),
        ({"amount": "1e999999999"}, "amount"), ({"amount": "NaN"}, "amount"),
        ({"amount": 10**15}, "amount"),
        ({"type": None}, "type"), ({"type": "gift"}, "type"), ({"type": 1}, "type"),
        ({"reason": None}, "reason"), ({"reason": "  "}, "reason"), ({"reason": 5}, "reason"),
        ({"reason": "x" * 257}, "reason"), ({"reason": "x" * 250, "adminUserId": "u" * 9},
                                            "reason"),
        ({"referenceId": None}, "referenceId"), ({"referenceId": ""}, "referenceId"),
        ({"referenceId": "r" * 257}, "referenceId"), ({"referenceId": {}}, "referenceId"),
        ({"referenceId": "a\0b"}, "referenceId"), ({"adminUserId": 5}, "adminUserId"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named_and_changes_nothing(
    tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    async with till(tmp_path) as one:
        refused = await one.modify(DEFAULT, **changes)
        assert refused.status == 400, refused.body
        assert refused.json["error"].startswith(f"{field}:"), refused.json
        assert (await one.state(DEFAULT))["totalCredits"] == 0


async def test_amounts_are_never_a_doubles(tmp_path: Path) -> None:
    """Written as a JSON number, a double would make another one of it."""
    async with till(tmp_path) as one:
        data = (
            b'{"amount": 90071992547.4099301, "type": "credit", "reason": "r", "referenceId": "a"}'
        )
        path = f"/admin/wallet/{DEFAULT}/modify-balance"
        reply = await one.house.ask("POST", path, data, headers=ADMIN)
        assert (reply.status, reply.json["error"][:7]) == (400, "amount:")  # nine million at most
        data = data.replace(b"90071992547.4099301", b"800000000.0000000001")
        reply = await one.house.ask("POST", path, data, headers=ADMIN)
        assert b'"balance":800000000.0000000001' in reply.body
        assert one.rigs["us"].desk.state(DEFAULT_ORGANIZATION).balance == 8_000_000 * USD + 1


async def test_tables_have_helicones_names_and_columns(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        acme = one.org("acme")
        await one.modify(acme, adminUserId="ann")
        await one.modify(acme, type="debit", amount=1, referenceId="ref_2")
        open_hold = await hold(one, acme, 2 * CENT)
        settled = await hold(one, acme, 2 * CENT)
        one.rigs["us"].wallet.settle(settled, CENT)
        one.rigs["us"].wallet.disallow(uuid.UUID(acme).bytes, "openai", "gpt-x", "req_1")
        await one.rigs["us"].wallet.stored()

        async def page(table: str, query: str = "") -> Any:
            reply = await one.admin("GET", f"/admin/wallet/{acme}/tables/{table}{query}")
            assert reply.status == 200, reply.body
            return reply.json

        now = one.rigs["us"].now_us // 1000
        purchases = await page("credit_purchases")
        head = {name: value for name, value in purchases.items() if name != "data"}
        assert head == {
            "tableName": "credit_purchases", "orgId": acme, "page": 0, "pageSize": 50, "total": 2,
        }  # fmt: skip
        ids = [uuid.UUID(row.pop("id")) for row in purchases["data"]]
        assert len(set(ids)) == 2
        assert purchases["data"] == [
            {"created_at": now, "credits": 500 * CENT, "reference_id": "ref_1", "type": "top_up",
             "reason": "a gift (by ann)"},
            {"created_at": now, "credits": -CENT, "reference_id": "ref_2", "type": "debit",
             "reason": "a gift"},
        ]  # fmt: skip
        assert (await page("processed_webhook_events"))["data"] == [
            {"id": "ref_1", "processed_at": now}, {"id": "ref_2", "processed_at": now},
        ]  # fmt: skip
        assert (await page("escrows"))["data"] == [
            {"id": str(uuid.UUID(bytes=open_hold.id)), "amount": 2 * CENT, "created_at": now,
             "request_id": None},
        ]  # fmt: skip
        assert (await page("aggregated_debits"))["data"] == [
            {"org_id": acme, "debits": CENT, "updated_at": None, "ch_last_checked_at": None,
             "ch_last_value": None},
        ]  # fmt: skip
        assert (await page("disallow_list"))["data"] == [
            {"helicone_request_id": "req_1", "created_at": now, "provider": "openai",
             "model": "gpt-x"},
        ]  # fmt: skip
        assert (await page("disputes"))["data"] == []
        second = await page("credit_purchases", "?page=1&pageSize=1")
        assert [row["reference_id"] for row in second["data"]] == ["ref_2"]
        assert (second["page"], second["pageSize"], second["total"]) == (1, 1, 2)
        one.rigs["us"].wallet.release(open_hold)


@pytest.mark.parametrize(
    ("query", "page", "size"),
    [
        ("", 0, 50), ("?page=x&pageSize=y", 0, 50), ("?page=&pageSize=", 0, 50),
        ("?page=NaN&pageSize=null", 0, 50), ("?page=-3&pageSize=-3", 0, 1),
        ("?page=2&pageSize=0", 2, 50), ("?page=2.9&pageSize=7up", 2, 7),
        ("?pageSize=1001", 0, 1000), (f"?page={'9' * 40}", 10**9, 50),
    ],
)  # fmt: skip
async def test_a_page_that_is_no_number_is_the_first(
    tmp_path: Path, query: str, page: int, size: int
) -> None:
    async with till(tmp_path) as one:
        reply = await one.admin("GET", f"/admin/wallet/{DEFAULT}/tables/escrows{query}")
        assert (reply.status, reply.json["page"], reply.json["pageSize"]) == (200, page, size)


@pytest.mark.parametrize("table", ["alert_state", "organizations", "ledger_events", "x' OR 1=1"])
async def test_other_tables_are_refused(tmp_path: Path, table: str) -> None:
    async with till(tmp_path) as one:
        reply = await one.admin("GET", f"/admin/wallet/{DEFAULT}/tables/{table}")
        assert reply.status == 400
        assert reply.json["error"].startswith("table:")


async def test_the_disallow_list(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        one.rigs["us"].wallet.disallow(DEFAULT_ORGANIZATION, "openai", "gpt-x", "req_1")
        await one.rigs["us"].wallet.stored()
        assert (await one.state(DEFAULT))["disallowList"] == [
            {"helicone_request_id": "req_1", "provider": "openai", "model": "gpt-x"}
        ]
        path = f"/admin/wallet/{DEFAULT}/disallow-list"
        for body, field in (({}, "provider"), ({"provider": "openai"}, "model"),
                            ({"provider": 5, "model": "m"}, "provider")):  # fmt: skip
            reply = await one.admin("DELETE", path, body)
            assert (reply.status, reply.json["error"].partition(":")[0]) == (400, field)
        for applied in (True, False):
            gone = await one.admin("DELETE", path, {"provider": "openai", "model": "gpt-x"})
            assert (gone.status, gone.json["disallowList"]) == (200, [])
            assert gone.json["applied"] is applied


async def test_whose_wallet_it_is(tmp_path: Path) -> None:
    async with till(tmp_path, "us", "eu") as one:
        ours, theirs = one.org("ours"), one.org("theirs", "eu")
        for org in (ours, theirs):
            assert (await one.modify(org, referenceId=org)).status == 200
        assert one.rigs["eu"].desk.state(uuid.UUID(theirs).bytes).balance == 5 * USD
        assert one.rigs["us"].desk.state(uuid.UUID(theirs).bytes).balance == 0
        path = "/admin/wallet/{}/state?region={}"
        # The default organisation is in both, and has a wallet in each.
        await one.rigs["eu"].desk.top_up(DEFAULT_ORGANIZATION, USD, "evt")
        for region, balance in (("", 0), ("us", 0), ("eu", 100)):
            reply = await one.admin("GET", path.format(DEFAULT, region))
            assert reply.json["balance"] == balance
        for org, region, status, field in (
            (ours, "eu", 404, "org"), (ours, "mars", 400, "region"), ("acme", "", 400, "org"),
            (str(uuid.uuid4()), "", 404, "org"),
        ):  # fmt: skip
            reply = await one.admin("GET", path.format(org, region))
            assert (reply.status, reply.json["error"].partition(":")[0]) == (status, field)
        missing = await one.admin("GET", "/wallet/credits/total")
        assert (missing.status, missing.json["error"][:6]) == (400, "orgId:")


@pytest.mark.parametrize("key", [None, "", "Bearer wrong", ADMIN_KEY[:-1]])
async def test_nobody_else_administers(tmp_path: Path, key: str | None) -> None:
    async with till(tmp_path) as one:
        headers = () if key is None else ((b"authorization", key.encode()),)
        for method, path in (
            ("GET", f"/admin/wallet/{DEFAULT}/state"),
            ("GET", f"/admin/wallet/{DEFAULT}/tables/escrows"),
            ("POST", f"/admin/wallet/{DEFAULT}/modify-balance"),
            ("DELETE", f"/admin/wallet/{DEFAULT}/disallow-list"),
            ("GET", f"/wallet/credits/total?orgId={DEFAULT}"),
        ):
            reply = await one.admin(method, path, {"amount": 5}, headers=headers)
            assert reply.status == 401
            assert "admin_key" in reply.json["error"]
            assert ADMIN_KEY not in reply.body.decode()


async def test_without_a_key_it_is_closed_and_says_which_option_to_set(tmp_path: Path) -> None:
    async with till(tmp_path, admin_key=None) as one:
        reply = await one.admin("GET", f"/admin/wallet/{DEFAULT}/state")
        assert reply.status == 500
        assert "set admin_key" in reply.json["error"]


async def test_guessing_ends(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        path = f"/admin/wallet/{DEFAULT}/state"
        wrong = ((b"authorization", b"Bearer wrong"),)
        seen = {(await one.admin("GET", path, headers=wrong)).status for _ in range(20)}
        assert seen == {401, 429}
        assert (await one.admin("GET", path)).status == 429
        assert (await one.admin("GET", path, client="192.0.2.1")).status == 200


async def test_while_the_ledger_is_down(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        await one.modify(DEFAULT)
        one.rigs["us"].trouble.append("before")
        down = await one.modify(DEFAULT, referenceId="ref_2")
        assert down.status == 503
        assert int(down.headers[b"retry-after"]) > 0
        await one.rigs["us"].up()
        assert (await one.modify(DEFAULT, referenceId="ref_2")).json["balance"] == 1000


async def test_the_log_tells_of_changes(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        await one.modify(DEFAULT, amount="12.5")
        (line,) = one.log.lines
        assert all(word in line for word in (DEFAULT, "credit", "0.125"))
        assert ADMIN_KEY not in line


async def test_the_schema_knows_them(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        paths = (await one.house.get("/download/swagger.json")).json["paths"]
        assert set(paths["/admin/wallet/{org}/modify-balance"]) == {"post"}
        assert set(paths["/admin/wallet/{org}/disallow-list"]) == {"delete"}
        for path in ("/wallet/state", "/wallet/credits/total", "/admin/wallet/{org}/state"):
            assert set(paths[path]) == {"get"}
        assert set(paths["/stripe/webhook"]) == {"post"}
    (table,) = [p for p in PAGE["openapi_extra"]["parameters"] if p["name"] == "table"]
    assert table["schema"]["enum"] == list(TABLES)
