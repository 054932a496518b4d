"""People of two organisations who are signed in to the app of `kit.py`."""

from __future__ import annotations

import json
import secrets
import sqlite3
from typing import Any
from uuid import UUID

from appliance.core import passwords
from storage import accounts as book
from storage.audit import read_acts
from storage.sign_in_links import LinkKind, add_link
from tests.api.kit import ORG, OTHER_ORG, House, Reply

MINE, THEIRS = str(UUID(bytes=ORG)), str(UUID(bytes=OTHER_ORG))
PASSWORD = "correct horse battery"
Headers = tuple[tuple[bytes, bytes], ...]


class People:
    """Adds users, signs them in, asks as one of them."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.access.open = False
        self.cookies: dict[str, bytes] = {}
        self.csrf: dict[str, bytes] = {}
        self.ids: dict[str, str] = {}

    async def organizations(self) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for number, org in enumerate((MINE, THEIRS)):
                connection.execute(
                    "INSERT INTO organizations VALUES (?, ?, 'us', '', 1) ON CONFLICT DO NOTHING",
                    (org, f"org {number}"),
                )

        await self.house.tables["us"].write(work)

    async def add(self, who: str, role: str, org: str = MINE) -> str:
        """A user of this name with the usual password; their id."""
        await self.organizations()
        sealed = passwords.hash_password(PASSWORD)

        def work(connection: sqlite3.Connection) -> str:
            user = book.add_user(connection, f"{who}@example.com", who, sealed)
            book.put_member(connection, org, user.id, role)
            return user.id

        self.ids[who] = await self.house.tables["us"].write(work)
        return self.ids[who]

    async def link(self, kind: LinkKind, email: str, role: str, lasts_us: int = 10**9) -> str:
        """The token of a one-time link."""
        await self.organizations()
        token = secrets.token_urlsafe(32)
        await self.house.tables["us"].write(
            lambda connection: add_link(
                connection, token, kind, email=email, organization_id=MINE, role=role,
                lasts_us=lasts_us, created_by="test",
            )
        )  # fmt: skip
        return f"us.{token}"

    async def forget_password(self, who: str) -> None:
        """As `users reset` leaves somebody."""

        def work(connection: sqlite3.Connection) -> None:
            user = book.user_by_id(connection, self.ids[who])
            assert user is not None
            book.set_password(connection, user, "")

        await self.house.tables["us"].write(work)

    async def sign_in(self, who: str, role: str = "", org: str = MINE, **body: Any) -> Reply:
        """By password; made first where a role is said."""
        if role:
            await self.add(who, role, org)
        given = body or {"email": f"{who}@example.com", "password": PASSWORD}
        reply = await self.house.post("/v1/auth/sign-in", given)
        if reply.status == 200:
            self.keep(who, reply)
        return reply

    def keep(self, who: str, reply: Reply) -> None:
        """Be signed in by what an answer said."""
        self.cookies[who] = reply.headers[b"set-cookie"].partition(b";")[0]
        self.csrf[who] = reply.json["data"]["csrf_token"].encode()

    def headers(self, who: str, *, csrf: bool = True) -> Headers:
        found: Headers = ((b"cookie", self.cookies[who]),)
        return (*found, (b"x-csrf-token", self.csrf[who])) if csrf else found

    async def ask(
        self, who: str, method: str, path: str, body: Any = None, *, csrf: bool = True
    ) -> Reply:
        data = b"" if body is None else json.dumps(body).encode()
        return await self.house.ask(method, path, data, headers=self.headers(who, csrf=csrf))

    async def acts(self, org: str | None = MINE) -> list[dict[str, Any]]:
        """What was written down, the newest first."""
        return await self.house.tables["us"].read(lambda connection: read_acts(connection, org))
