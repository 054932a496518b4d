"""Requests as they end, to whoever listens: server-sent events (issue: `GET /v1/request/live`).

Each listener follows the database itself, by its own place in it: none can hold up another, and
nothing is kept for one that does not read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import trio
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_requests as openapi
from appliance.api.export_query import LIVE_START_SQL, live_statement
from appliance.api.fields import bounded
from appliance.api.permissions import identity_of
from appliance.api.reply import NO_STORE
from appliance.api.request_find import records_of
from appliance.api.request_rows import COLUMNS, NOT_ASKED, helicone_request, view_row
from appliance.api.services import Row, Services
from appliance.api.streamed import Streamed, Streams, Write

# A listener is told of so many at a time; where more came meanwhile, it hears that it missed some.
EVENTS_AT_ONCE: Final = 200
SLICE_ROWS: Final = 16
SLOW_S: Final = 5.0
QUIET_S: Final = 15.0
RECORDED_AT: Final = COLUMNS.index("recorded_at")
EXCHANGE_ID: Final = COLUMNS.index("exchange_id")
ALIVE: Final = b": alive\n\n"

_encode = msgspec.json.Encoder(decimal_format="number").encode

router = APIRouter(tags=["requests"], default_response_class=Response)


@router.get("/v1/request/live", **openapi.LIVE)
async def follow_requests(request: Request) -> Response:
    """Every request of the organisation that ends from now on, without bodies, as an event
    `request`; `user` and `session` narrow it. Where more end than are sent, an event `skipped` says
    so; a client that is too slow to read hears `dropped`, and the stream ends."""
    streams: Streams = request.app.state.live_streams
    streams.check()
    listener = Listener(request)
    await listener.begin()
    headers = {**NO_STORE, "X-Accel-Buffering": "no"}
    return Streamed(streams, listener.body, media_type="text/event-stream", headers=headers)


class Listener:
    """One listener's place, and what it wants to hear of."""

    def __init__(self, request: Request) -> None:
        self._services: Services = request.app.state.services
        self._records = records_of(request)
        self._identity = identity_of(request)
        self._user = bounded(request.query_params.get("user", ""), "user")
        self._session = bounded(request.query_params.get("session", ""), "session")
        self._after: tuple[datetime | None, UUID | None] = (None, None)

    async def begin(self) -> None:
        """What is there already is not told."""
        await self._records.caught_up(self._identity.region)
        found = await self._records.query(
            self._identity.region, LIVE_START_SQL, [self._identity.org.hex()]
        )
        if found.rows:
            self._after = found.rows[0]

    async def body(self, write: Write) -> None:
        """Until the client goes, or is too slow, or the server ends: it must not wait for those who
        only listen, and a browser asks again by itself."""
        await write(b"retry: 2000\n\n")
        region = self._identity.region
        while True:
            rows = await self._next()
            for start in range(0, len(rows), SLICE_ROWS):
                part = b"".join(event("request", shown(row)) for row in rows[start:][:SLICE_ROWS])
                if not await self._sent(write, part):
                    return
            if len(rows) == EVENTS_AT_ONCE and not await self._sent(write, await self._skip()):
                return
            if not rows:
                goes_on = await self._services.exports.changed(region, QUIET_S)
                if not goes_on or not await self._sent(write, ALIVE):
                    return

    async def _next(self) -> list[Row]:
        sql, parameters = live_statement(
            self._identity.org, self._after, self._user, self._session, EVENTS_AT_ONCE
        )
        rows = list((await self._records.query(self._identity.region, sql, parameters)).rows)
        if rows:
            self._after = rows[-1][RECORDED_AT], rows[-1][EXCHANGE_ID]
        return rows

    async def _skip(self) -> bytes:
        """Behind what came in one go: on to the newest, with a word."""
        before = self._after
        await self.begin()
        if self._after == before:
            return b""
        told = {"reason": "more ended than could be sent", "until": str(self._after[0])}
        return event("skipped", told)

    @staticmethod
    async def _sent(write: Write, data: bytes) -> bool:
        """False: it took so long that the client is too slow, and was told."""
        began_s = trio.current_time()
        await write(data)
        if trio.current_time() - began_s < SLOW_S:
            return True
        await write(event("dropped", {"reason": "this client reads too slowly"}))
        return False


def shown(row: Row) -> dict[str, Any]:
    """As lists show it, without its bodies."""
    return helicone_request(view_row(row), (NOT_ASKED, NOT_ASKED))


def event(name: str, data: dict[str, Any]) -> bytes:
    """One server-sent event; JSON has no line breaks in it."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data))
