"""Requests for what was recorded take turns: an answer may hold a page of bodies several times over
(rows, encoded, joined), and is held until its client has taken it.

It bounds what a reader with a key can make this process hold; who may read is the guard's business.
"""

from typing import Final

import trio
from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.api.reply import error_reply
from appliance.api.services import Operations
from appliance.errors import Refusal

READS_AT_ONCE: Final = 4  # as many as there are threads that read for them
WAIT_S: Final = 15.0
# User SQL runs elsewhere, for half a minute at most, and its actor bounds how much of it waits.
OWN_TURNS: Final = ("/v1/helicone-sql/",)
# Streams go on for as long as their client likes, hold a page at a time, and have counts of their
# own (`streamed.py`); so has the playground, which waits for a provider.
STREAMS: Final = frozenset(("/v1/request/live", "/v1/export", "/v1/playground/generate"))


class Turns:
    """Middleware. Whoever waits longer than `WAIT_S` is asked to come back."""

    def __init__(self, app: ASGIApp, operations: Operations) -> None:
        self._app = app
        self._operations = operations
        self._room = trio.CapacityLimiter(READS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path = scope["path"] if scope["type"] == "http" else ""
        if not path.startswith("/v1/") or path.startswith(OWN_TURNS) or path in STREAMS:
            await self._app(scope, receive, send)
            return
        turn = object()  # a task may serve several requests
        with trio.move_on_after(WAIT_S) as waiting:
            await self._room.acquire_on_behalf_of(turn)
        if waiting.cancelled_caught:
            refusal = Refusal(503, "reads_busy", "Too many requests read at once. Try again.")
            self._operations.refused(refusal)
            await error_reply(503, refusal.message, {"Retry-After": "1"})(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._room.release_on_behalf_of(turn)
