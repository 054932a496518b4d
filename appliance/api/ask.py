"""What the endpoints of figures have in common: read the body, wait for the newest, ask, answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request

from appliance.api.incoming import read_object
from appliance.api.permissions import identity_of
from appliance.api.request_find import records_of
from appliance.api.services import Row
from appliance.core.access import Identity


class Ask:
    """One request's view of what was recorded. `stale_by_ms` is for its answer."""

    def __init__(self, request: Request) -> None:
        self.identity: Identity = identity_of(request)
        self.stale_by_ms: float | None = None
        self._records = records_of(request)
        self._request = request
        self._waited = False

    @property
    def org(self) -> bytes:
        """Whose rows."""
        return self.identity.org

    async def body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        return await read_object(self._request)

    async def rows(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]:
        """All rows of a statement, after what had ended before has come in."""
        if not self._waited:
            self._waited = True
            self.stale_by_ms = await self._records.caught_up(self.identity.region)
        return (await self._records.query(self.identity.region, sql, parameters)).rows

    async def one(self, sql: str, parameters: Sequence[Any]) -> Row:
        """The only row."""
        return (await self.rows(sql, parameters))[0]


def maps(names: Sequence[str], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as objects."""
    return [dict(zip(names, row, strict=True)) for row in rows]
