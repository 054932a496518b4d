"""Two organisations behind one app: one where everything has something planted, and one that asks.

What is planted holds a word or a secret that no answer to the other organisation may have in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from appliance.core.ledger_credits import CreditState
from appliance.core.passwords import hash_password
from appliance.errors import Refusal
from storage import accounts as book
from storage.sign_in_links import add_link
from tests.api.kit import ORG, number_of, request_id, request_row
from tests.api.office_kit import MINE, SECOND, SECRET, THEIRS, Office, office
from tests.storage.analytics_rows import body_row

WORD = "Zanzibar"
BUDGET = "0b0b0b0b-0000-4000-8000-000000000001"
PASSWORD = "an Owl at Midnight"


class OwnWallets:
    """Tells of the caller's own wallet alone; whoever asks for another one made a mistake."""

    def __init__(self) -> None:
        self.asked: set[bytes] = set()

    def check_admin(self, authorization: bytes | None, address: str) -> None:
        raise Refusal(401, "admin_key_wrong", "no")

    async def state(self, account: Any) -> Any:
        self.asked.add(account.org)
        return CreditState(0, 0, 0, 0, 0, 0, (), ()), []

    async def page(self, account: Any, table: str, page: int, size: int) -> Any:
        self.asked.add(account.org)
        return [], 0

    async def budgets(self, account: Any) -> Any:
        self.asked.add(account.org)
        return []

    async def drop_budget(self, account: Any, budget_id: str) -> Any:
        self.asked.add(account.org)
        if (account.org, budget_id) != (ORG, BUDGET):
            return None
        told = {"scope": "user", "value": WORD, "period": "day", "limit_usd": "1"}
        return {"id": BUDGET, **told}

    def webhook_secret(self) -> str:
        raise Refusal(500, "webhook_closed", "no")


class Planted:
    """The office, ids of what lies in the first organisation, and the other's people."""

    def __init__(self, desk: Office) -> None:
        self.desk = desk
        self.ids = {"org": MINE, "request_id": request_id(1), "budget_id": BUDGET}
        self.wallets = OwnWallets()
        self.secrets = [SECRET, SECOND, PASSWORD]
        self.cookies: dict[str, tuple[tuple[bytes, bytes], ...]] = {}

    async def plant(self) -> None:
        """Something of everything."""
        desk = self.desk
        row = request_row(
            1, user_id=f"{WORD} user", properties={"p": WORD}, session_id="called-planted"
        )
        desk.house.add(row, bodies=(body_row(number_of(row), request=f'"{WORD} body"'),))
        made = (await desk.ask("POST", "/v1/api-keys", {"api_key_name": f"{WORD} key"})).json
        self.secrets.append(made["apiKey"])
        self.ids["key_id"] = made["id"]
        given = {"providerName": "openai", "providerKeyName": f"{WORD} p", "providerKey": SECRET}
        self.ids["provider_key_id"] = await self._made("/v1/api-keys/provider-key", given)
        given = {
            "providerName": "bedrock",
            "providerKey": "AKIAPLANTED",
            "providerSecretKey": SECOND,
        }
        await self._made("/v1/api-keys/provider-key", given)
        proxy = {"providerKeyId": self.ids["provider_key_id"], "proxyKeyName": f"{WORD} x"}
        found = (await desk.ask("POST", "/v1/api-keys/proxy-key", proxy)).json
        self.secrets.append(found["proxyKey"])
        self.ids["proxy_key_id"] = found["proxyKeyId"]
        rule = {"name": f"{WORD} rule", "quota": 5, "window_seconds": 60, "unit": "requests"}
        self.ids["rule_id"] = await self._made("/v1/rate-limits", rule)
        self.ids["filter_id"] = await self._made("/v1/filter", {"name": WORD, "filter": WORD})
        self.ids["called_session"], self.ids["called_user"] = "called-planted", f"{WORD} user"
        query = {"name": f"{WORD} query", "sql": "SELECT 1"}
        self.ids["query_id"] = await self._made("/v1/helicone-sql/saved-query", query)
        hook = {"destination": "https://lan.example/hook", "config": {}}
        self.ids["webhook_id"] = await self._made("/v1/webhooks", hook)
        channels = {"emails": [f"a@{WORD}.example"], "slack_channels": []}
        alert = {
            "name": f"{WORD} alert", "metric": "count", "threshold": 1, "time_window": "60000",
            "aggregation": None, **channels,
        }  # fmt: skip
        self.ids["alert_id"] = await self._made("/v1/alert/create", alert)
        report = {"name": f"{WORD} report", "frequency": "weekly", **channels}
        self.ids["report_id"] = await self._made("/v1/reports", report)
        given = {
            "name": f"{WORD} prompt", "tags": [WORD],
            "promptBody": {"model": "m", "messages": [{"role": "user", "content": WORD}]},
        }  # fmt: skip
        made = (await desk.ask("POST", "/v1/prompt-2025", given)).json["data"]
        self.ids["prompt_id"], self.ids["version_id"] = made["id"], made["versionId"]
        given = {"datasetName": f"{WORD} dataset", "requestIds": [self.ids["request_id"]]}
        made = (await desk.ask("POST", "/v1/helicone-dataset", given)).json["data"]
        self.ids["dataset_id"] = made["datasetId"]
        path = f"/v1/helicone-dataset/{self.ids['dataset_id']}/query"
        self.ids["row_id"] = (await desk.ask("POST", path, {})).json["data"][0]["id"]
        await self._people()

    async def _made(self, path: str, body: Any) -> str:
        reply = await self.desk.ask("POST", path, body)
        assert reply.status in (200, 201), (path, reply.body)
        found = reply.json.get("data", reply.json)
        found = found[0] if isinstance(found, list) else found
        return found if isinstance(found, str) else str(found["id"])

    async def _people(self) -> None:
        sealed = hash_password(PASSWORD)

        def work(connection: Any) -> None:
            owner = book.add_user(connection, f"{WORD}@example.com".lower(), WORD, sealed)
            book.put_member(connection, MINE, owner.id, "owner")
            self.ids["user_id"] = owner.id
            self.ids["session_id"] = book.add_session(
                connection, "planted", user_id=owner.id, key_hash="", organization_id=MINE,
                lasts_us=10**12, address="", agent=WORD,
            )  # fmt: skip
            self.ids["invite_id"] = add_link(
                connection, "planted", "invite", email=f"i@{WORD}.example".lower(),
                organization_id=MINE, role="viewer", lasts_us=10**12, created_by=owner.id,
            ).id  # fmt: skip
            for role in ("owner", "admin", "member", "viewer"):
                user = book.add_user(connection, f"{role}@example.com", role, sealed)
                book.put_member(connection, THEIRS, user.id, role)

        await self.desk.house.tables["us"].write(work)
        for role in ("owner", "admin", "member", "viewer"):
            body = {"email": f"{role}@example.com", "password": PASSWORD}
            reply = await self.desk.house.post("/v1/auth/sign-in", body)
            assert reply.status == 200, reply.body
            cookie = reply.headers[b"set-cookie"].partition(b";")[0]
            csrf = reply.json["data"]["csrf_token"].encode()
            self.cookies[role] = ((b"cookie", cookie), (b"x-csrf-token", csrf))

    def filled(self, value: Any) -> Any:
        """With the planted ids in it."""
        if isinstance(value, str):
            for name, planted in self.ids.items():
                value = value.replace("{" + name + "}", planted)
            return value
        if isinstance(value, dict):
            return {name: self.filled(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        return value


@asynccontextmanager
async def planted(folder: Path) -> AsyncIterator[Planted]:
    async with office(folder) as desk:
        made = Planted(desk)
        services = desk.house.app.state.services
        object.__setattr__(services, "wallets", made.wallets)
        await made.plant()
        yield made
