"""Keys, providers' keys, rate limits and saved filters over REST: each change holds for the next
request, is written down, and no stored secret is told."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.core.keys import hash_key
from appliance.core.provider_credentials import Secret as Stored
from tests.api.kit import ORG, OTHER_ORG, request_row
from tests.api.office_kit import SECOND, SECRET, Office, office
from tests.api.wallet_kit import till

KEYS, PROVIDER_KEYS = "/v1/api-keys", "/v1/api-keys/provider-keys"
LIMITS, FILTER = "/v1/rate-limits", "/v1/filter"
RULE = {"name": "all", "quota": 100, "window_seconds": 3600, "unit": "requests", "segment": "user"}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path) as made:
        yield made


# -- the organisation's own keys


async def test_a_key_works_until_it_is_revoked(desk: Office) -> None:
    made = (await desk.ask("POST", KEYS, {"api_key_name": "laptop"})).json
    info = desk.rings.lookup(hash_key(made["apiKey"]))
    assert info is not None
    assert (info.org, info.permission) == (ORG, "rw")
    assert made["hashedKey"] == hash_key(made["apiKey"])
    [row] = (await desk.ask("GET", KEYS)).json["data"]
    assert (row["id"], row["api_key_name"]) == (made["id"], "laptop")
    assert made["apiKey"] not in json.dumps(row)
    renamed = await desk.ask("PATCH", f"{KEYS}/{made['id']}", {"api_key_name": "desktop"})
    assert renamed.status == 200
    assert (await desk.ask("GET", KEYS)).json["data"][0]["api_key_name"] == "desktop"
    assert (await desk.ask("DELETE", f"{KEYS}/{made['id']}")).status == 200
    assert desk.rings.lookup(hash_key(made["apiKey"])) is None
    assert (await desk.ask("DELETE", f"{KEYS}/{made['id']}")).status == 404
    acts = await desk.acts()
    assert [act["action"] for act in acts] == ["key.revoke", "key.rename", "key.create"]
    assert all(act["actor"] == "key:k2" and act["target"] == made["id"] for act in acts)
    assert made["apiKey"] not in json.dumps(acts)


async def test_when_a_key_was_used_last_and_how_often(desk: Office) -> None:
    made = [(await desk.ask("POST", KEYS, {"api_key_name": n})).json["id"] for n in "abc"]
    now_us = time.time_ns() // 1000
    day_us = 86_400_000_000

    def call(number: int, key_id: str, days_ago: float, org: bytes = ORG) -> tuple[Any, ...]:
        at_us = now_us - int(days_ago * day_us)
        return request_row(
            number,
            organization_id=org,
            api_key_id=key_id,
            request_created_at=at_us,
            recorded_at=at_us,
        )

    desk.house.add(
        call(1, made[0], 1), call(2, made[0], 29), call(3, made[0], 31), call(4, made[1], 90),
        call(5, made[1], 1, OTHER_ORG), call(6, "of nobody", 1),
    )  # fmt: skip
    rows = {row["id"]: row for row in (await desk.ask("GET", f"{KEYS}/usage")).json["data"]}
    assert [rows[one]["calls_30d"] for one in made] == [2, 0, 0]
    assert rows[made[2]]["last_used_at"] is None
    for key_id, days in ((made[0], 1), (made[1], 90)):
        last = datetime.fromisoformat(rows[key_id]["last_used_at"])
        assert abs(last.timestamp() - (now_us - days * day_us) / 1e6) < 0.01
    assert (await desk.ask("GET", f"{KEYS}/usage", who="other")).json["data"] == []
    assert (await desk.ask("GET", f"{KEYS}/usage", who="writer")).status == 403


@pytest.mark.parametrize("permission", ["rw", "r", "w"])
async def test_what_a_key_may_is_what_was_asked(desk: Office, permission: str) -> None:
    body = {"api_key_name": "k", "key_permissions": permission, "rate_limited": True}
    made = (await desk.ask("POST", KEYS, body)).json
    info = desk.rings.lookup(hash_key(made["apiKey"]))
    assert info is not None
    assert info.permission == permission
    assert made["apiKey"].startswith("pk-" if permission == "w" else "sk-")
    assert "-rl-" in made["apiKey"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "api_key_name"),
        ({"api_key_name": ""}, 422, "api_key_name"),
        ({"api_key_name": "a\nb"}, 400, "name"),
        ({"api_key_name": "k", "key_permissions": "x"}, 422, "key_permissions"),
        ({"api_key_name": "k", "key_permissions": ["r"]}, 422, "key_permissions"),
        ({"api_key_name": "k", "rate_limited": 1}, 422, "rate_limited"),
    ],
)
async def test_what_is_no_key(desk: Office, body: Any, status: int, field: str) -> None:
    reply = await desk.ask("POST", KEYS, body)
    assert reply.status == status
    assert reply.json["error"].startswith(f"{field}: ")
    assert len(desk.rings.by_region["us"]) == 0
    assert await desk.acts() == []


# -- providers' keys


async def stored(desk: Office, **more: Any) -> dict[str, Any]:
    body = {"providerName": "openai", "providerKeyName": "main", "providerKey": SECRET, **more}
    reply = await desk.ask("POST", "/v1/api-keys/provider-key", body)
    assert reply.status == 200, reply.body
    made: dict[str, Any] = reply.json
    return made


async def test_a_provider_key_is_used_and_never_told(desk: Office) -> None:
    made = await stored(desk)
    found = await desk.providers.load(ORG, "openai")
    assert found is not None
    assert found.secret == Stored(SECRET)
    for path in (PROVIDER_KEYS, f"/v1/api-keys/provider-key/{made['id']}", "/v1/vault/keys",
                 f"/v1/vault/key/{made['id']}"):  # fmt: skip
        assert (await desk.ask("GET", path)).status == 200
    aws = {"providerName": "bedrock", "providerKey": "AKIA0123456789", "providerSecretKey": SECOND,
           "config": {"region": "us-east-1"}}  # fmt: skip
    assert (await desk.ask("POST", "/v1/api-keys/provider-key", aws)).status == 200
    await desk.acts()
    assert SECRET.encode() not in desk.said
    assert SECOND.encode() not in desk.said
    removed = await desk.ask("DELETE", f"/v1/api-keys/provider-key/{made['id']}")
    assert removed.status == 200
    assert await desk.providers.load(ORG, "openai") is None


async def test_another_base_url_takes_the_secret_out_of_use(desk: Office) -> None:
    made = await stored(desk)
    path = f"/v1/api-keys/provider-key/{made['id']}"
    changed = (await desk.ask("PATCH", path, {"base_url": "https://evil.example"})).json
    assert changed["needs_key"] is True
    found = await desk.providers.load(ORG, "openai")
    assert found is not None
    assert found.secret is None
    again = (await desk.ask("PATCH", path, {"providerKey": "sk-another-0123456789"})).json
    assert (again["needs_key"], again["base_url"]) == (False, "https://evil.example")
    both = {"base_url": "https://good.example", "providerKey": "sk-third-0123456789"}
    assert (await desk.ask("PATCH", path, both)).json["needs_key"] is False
    # Azure's place is among its settings.
    azure = await stored(
        desk, providerName="azure", config={"resourceName": "mine", "deploymentName": "d"}
    )
    place = f"/v1/api-keys/provider-key/{azure['id']}"
    moved = await desk.ask("PATCH", place, {"config": {"resourceName": "theirs"}})
    assert moved.json["needs_key"] is True
    actions = [act["action"] for act in await desk.acts()]
    assert actions.count("provider-key.change") == 4
    assert b"sk-another" not in desk.said


async def test_what_is_given_alone_is_changed(desk: Office) -> None:
    made = await stored(desk)
    path = f"/v1/api-keys/provider-key/{made['id']}"
    changed = (await desk.ask("PATCH", path, {"byokEnabled": False})).json
    assert changed == {**made, "byok_enabled": False}
    assert (await desk.ask("PATCH", path, {"providerKeyName": "other"})).json["needs_key"] is False


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "providerName"), ({"providerName": "openai"}, "providerKey"),
        ({"providerName": "nobody", "providerKey": "x"}, "provider"),
        ({"providerName": 7, "providerKey": "x"}, "providerName"),
        ({"providerName": "openai", "providerKey": "a b"}, "key"),
        ({"providerName": "openai", "providerKey": "x", "config": []}, "config"),
        ({"providerName": "openai", "providerKey": "x", "byokEnabled": "yes"}, "byokEnabled"),
        ({"providerName": "openai", "providerKey": SECRET, "authType": "x"}, "auth type"),
        ({"providerName": "openai", "providerKey": SECRET, "base_url": "x"}, "base"),
    ],
)  # fmt: skip
async def test_what_is_no_provider_key(desk: Office, body: Any, field: str) -> None:
    reply = await desk.ask("POST", "/v1/api-keys/provider-key", body)
    assert reply.status in (400, 422)
    assert reply.json["error"].lower().startswith(field.lower()), reply.json
    assert SECRET not in reply.json["error"]


async def test_the_older_api_is_about_the_same_keys(desk: Office) -> None:
    made = (await desk.ask("POST", "/v1/vault/add", {"provider": "openai", "key": SECRET})).json
    key_id = made["data"]["id"]
    [row] = (await desk.ask("GET", "/v1/vault/keys")).json["data"]
    assert (row["id"], row["provider_key"]) == (key_id, None)
    update = f"/v1/vault/update/{key_id}"
    assert (
        await desk.ask("PATCH", update, {"key": "sk-new-0123456789", "name": "n"})
    ).status == 200
    found = await desk.providers.load(ORG, "openai")
    assert found is not None
    assert found.secret == Stored("sk-new-0123456789")
    reply = await desk.ask("PATCH", update, {"active": False})
    assert (reply.status, reply.json["error"].partition(":")[0]) == (422, "active")


async def test_a_proxy_key_stands_in_until_it_is_removed(desk: Office) -> None:
    made = await stored(desk)
    body = {"providerKeyId": made["id"], "proxyKeyName": "p", "limits": ["5;w=60"]}
    proxy = (await desk.ask("POST", "/v1/api-keys/proxy-key", body)).json
    found = await desk.providers.stand_in(proxy["proxyKey"])
    assert found is not None
    [row] = (await desk.ask("GET", "/v1/api-keys/proxy-keys")).json
    assert (row["id"], row["limits"]) == (proxy["proxyKeyId"], ["5;w=60"])
    path = f"/v1/api-keys/proxy-key/{proxy['proxyKeyId']}"
    assert (await desk.ask("DELETE", path, who="other")).status == 404
    assert (await desk.ask("DELETE", path)).status == 200
    assert await desk.providers.stand_in(proxy["proxyKey"]) is None
    for wrong in ({"providerKeyId": "x"}, {"limits": "5;w=60"}, {"limits": [7]},
                  {"limits": ["5"]}, {"proxyKeyName": ""}):  # fmt: skip
        assert (await desk.ask("POST", "/v1/api-keys/proxy-key", {**body, **wrong})).status in (
            400,
            422,
        ), wrong


# -- rate limits


async def test_a_rate_limit_counts_from_the_next_request_on(desk: Office) -> None:
    made = (await desk.ask("POST", LIMITS, RULE)).json["data"]
    assert made["policy"] == "100;w=3600;s=user"
    assert {name: made[name] for name in RULE} == RULE
    policies = desk.rings.policies("us", ORG)
    assert policies is not None
    assert [policy.text for policy in policies] == [b"100;w=3600;s=user"]
    path = f"{LIMITS}/{made['id']}"
    changed = (
        await desk.ask("PUT", path, {"quota": 0.5, "unit": "cents", "segment": "global"})
    ).json
    assert changed["data"]["id"] == made["id"]
    assert changed["data"]["policy"] == "0.5;w=3600;u=cents"
    assert changed["data"]["name"] == "all"
    policies = desk.rings.policies("us", ORG)
    assert policies is not None
    assert [policy.text for policy in policies] == [b"0.5;w=3600;u=cents"]
    assert (await desk.ask("GET", path)).json["data"] == changed["data"]
    assert desk.rings.policies("us", OTHER_ORG) == ()
    assert (await desk.ask("DELETE", path)).status == 200
    assert desk.rings.policies("us", ORG) == ()
    assert [act["action"] for act in await desk.acts()] == [
        "rate-limit.remove", "rate-limit.change", "rate-limit.create",
    ]  # fmt: skip


async def test_no_rate_limit_goes_without_a_word(desk: Office) -> None:
    first = (await desk.ask("POST", LIMITS, RULE)).json["data"]
    assert (await desk.ask("POST", LIMITS, {**RULE, "quota": 7})).status == 409
    second = (await desk.ask("POST", LIMITS, {**RULE, "segment": "global"})).json["data"]
    moved = await desk.ask("PUT", f"{LIMITS}/{second['id']}", {"segment": "user"})
    assert moved.status == 409
    rows = (await desk.ask("GET", LIMITS)).json["data"]
    assert [row["id"] for row in rows] == [first["id"], second["id"]]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"), ({"quota": 0}, "quota"), ({"quota": "9"}, "quota"),
        ({"quota": True}, "quota"), ({"quota": 1e40}, "quota"), ({"window_seconds": 59}, "window_"),
        ({"window_seconds": 60.5}, "window_"), ({"unit": "tokens"}, "unit"), ({"unit": []}, "unit"),
        ({"segment": "a b"}, "segment"), ({"segment": "x;u=cents"}, "segment"),
        ({"segment": 7}, "segment"),
    ],
)  # fmt: skip
async def test_what_is_no_rate_limit(desk: Office, changes: Any, field: str) -> None:
    reply = await desk.ask("POST", LIMITS, {**RULE, **changes})
    assert reply.status == 422
    assert reply.json["error"].startswith(field)
    assert (await desk.ask("GET", LIMITS)).json["data"] == []


# -- saved filters


async def test_a_filter_is_kept_as_it_came(desk: Office) -> None:
    tree = {"type": "and", "expressions": [{"type": "condition", "value": 1.5}, "ä"]}
    made = (await desk.ask("POST", FILTER, {"name": "mine", "filter": tree})).json["data"]
    path = f"{FILTER}/{made['id']}"
    row = (await desk.ask("GET", path)).json["data"]
    assert (row["name"], row["filter"]) == ("mine", tree)
    assert [row] == (await desk.ask("GET", FILTER)).json["data"]
    for change, expected in (
        ({"name": "ours"}, ("ours", tree)),
        ({"filters": {"name": "page", "filter": "all"}}, ("page", "all")),
    ):
        assert (await desk.ask("PATCH", path, change)).status == 200
        row = (await desk.ask("GET", path)).json["data"]
        assert (row["name"], row["filter"]) == expected
    assert (await desk.ask("DELETE", path)).status == 200
    assert (await desk.ask("GET", path)).status == 404


async def test_a_filter_with_a_number_that_is_none_of_ours_gets_another_name(desk: Office) -> None:
    made = await desk.house.ask(
        "POST",
        FILTER,
        b'{"name": "n", "filter": 1e400}',
        headers=((b"authorization", b"Bearer both"),),
    )
    path = f"{FILTER}/{made.json['data']['id']}"
    assert (await desk.ask("PATCH", path, {"name": "ours"})).status == 200
    assert b'"name":"ours","filter":1E+400' in (await desk.ask("GET", path)).body


@pytest.mark.parametrize(
    "body",
    [
        {}, {"name": "x"}, {"name": "", "filter": "all"}, {"name": "x", "filter": None},
        {"name": "x", "filter": "y" * 70_000}, {"name": 7, "filter": "all"},
    ],
)  # fmt: skip
async def test_what_is_no_filter(desk: Office, body: Any) -> None:
    assert (await desk.ask("POST", FILTER, body)).status == 422
    assert (await desk.ask("GET", FILTER)).json["data"] == []


# -- who may, and credits


async def test_a_key_that_reads_changes_nothing(desk: Office) -> None:
    made = await stored(desk)
    calls = [
        ("POST", KEYS, {"api_key_name": "k"}),
        ("POST", LIMITS, RULE),
        ("POST", FILTER, {"name": "x", "filter": "all"}),
        ("PATCH", f"/v1/api-keys/provider-key/{made['id']}", {"byokEnabled": False}),
        ("DELETE", f"/v1/api-keys/provider-key/{made['id']}", None),
        ("POST", "/v1/vault/add", {"provider": "openai", "key": SECRET}),
    ]
    for call in calls:
        for who in ("reader", "writer"):
            assert (await desk.ask(*call, who=who)).status == 403, (who, call)
    assert [act["action"] for act in await desk.acts()] == ["provider-key.add"]


async def test_credits_are_the_wallet(tmp_path: Path) -> None:
    async with till(tmp_path) as wallet:
        headers = ((b"authorization", b"Bearer both"),)
        state = (await wallet.house.get("/v1/credits/balance", headers=headers)).json["data"]
        assert state == {"totalCreditsPurchased": 0, "balance": 0}
        spent = (await wallet.house.get("/v1/credits/totalSpend", headers=headers)).json["data"]
        assert spent == {"totalSpend": 0}
        paid = await wallet.house.get("/v1/credits/payments?page=0&pageSize=5", headers=headers)
        assert paid.json["data"] == {"purchases": [], "total": 0, "page": 0, "pageSize": 5}
        for path in ("invoices", "discounts"):
            assert (await wallet.house.get(f"/v1/credits/{path}", headers=headers)).json[
                "data"
            ] == []
        path = "/v1/credits/spend/breakdown?timeRange="
        assert (await wallet.house.get(path + "7d", headers=headers)).json["data"]["models"] == []
        for wrong in (
            path + "1y",
            "/v1/credits/payments?pageSize=101",
            "/v1/credits/payments?page=-1",
        ):
            assert (await wallet.house.get(wrong, headers=headers)).status == 422
