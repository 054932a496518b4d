"""The REST API, loaded at its first request: FastAPI and Pydantic take 0.2 s and 16 MB, and a
server that only proxies never needs them. Knows nothing of what it loads but where it is.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import trio

from appliance.api.services import Services

if TYPE_CHECKING:
    from starlette.types import ASGIApp

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# How long whoever loads may keep the interpreter from the loop: Python's own 5 ms would be felt by
# every call that is proxied meanwhile.
LOADING_SWITCH_S = 0.0005


class AppOnDemand:
    """An ASGI app. Its first requests wait for it together; other lanes go on."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._app: ASGIApp | None = None
        self._loading = trio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if self._app is None:
            async with self._loading:
                if self._app is None:
                    self._app = await trio.to_thread.run_sync(_load, self._services)
                    # It stays: the collector need not look at it, as at all that the start made.
                    gc.freeze()
        await self._app(scope, receive, send)


def _load(services: Services) -> ASGIApp:
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(LOADING_SWITCH_S)
    try:
        from appliance.api.app import create_app

        return create_app(services)
    finally:
        sys.setswitchinterval(usual_s)


async def _live(receive: Receive, send: Send) -> None:
    """The app has nothing to do at start and end; the server wants an answer all the same."""
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
