"""The app over real rings of keys, in one state store of two organisations."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from appliance.actors.key_ring import KeyRing
from appliance.actors.key_rings import KeyRings
from appliance.services_settings import SettingsOf
from storage.state import State
from tests.actors.provider_keys_kit import Home
from tests.api.kit import ORG, OTHER_ORG, House, Reply

MINE, THEIRS = str(UUID(bytes=ORG)), str(UUID(bytes=OTHER_ORG))
SECRET = "sk-planted-7f3a9c-0123456789"
SECOND = "planted-second-half-4d21"


class Office:
    """Asks as whoever holds one of the keys of `kit.KEYS`."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        state = State.open(self.home.state)
        for number, org in enumerate((MINE, THEIRS)):
            state.add_organization(f"org {number}", organization_id=org)
        state.close()
        self.rings = KeyRings({"us": KeyRing(partial(State.open, self.home.state))})
        self.providers = self.home.ring()
        settings = SettingsOf(self.rings, {"us": self.providers}, 30, None)
        self.house = House(settings=settings, directory=folder)
        self.house.access.open = False
        self.said = b""

    async def ask(self, method: str, path: str, body: Any = None, *, who: str = "both") -> Reply:
        data = b"" if body is None else json.dumps(body).encode()
        headers = ((b"authorization", f"Bearer {who}".encode()),)
        reply = await self.house.ask(method, path, data, headers=headers)
        self.said += reply.body
        return reply

    async def acts(self, who: str = "both") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.ask("GET", "/v1/appliance/audit", who=who)).json[
            "data"
        ]
        return rows


@asynccontextmanager
async def office(folder: Path) -> AsyncIterator[Office]:
    made = Office(folder)
    await made.rings.load()
    await made.providers.check()
    try:
        yield made
    finally:
        await made.rings.close()
        await made.house.tables["us"].close()
        made.house.close()
