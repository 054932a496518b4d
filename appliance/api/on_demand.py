"""The REST API, loaded at its first request: FastAPI and Pydantic take 0.2 s and 16 MB, and a
server that only proxies never needs them. Knows nothing of what it loads but where it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

from appliance.api.services import Services
from appliance.loading import OnDemand

if TYPE_CHECKING:
    from starlette.types import ASGIApp

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AppOnDemand:
    """An ASGI app. Its first requests wait for it together; other lanes go on."""

    def __init__(self, services: Services) -> None:
        self._app = OnDemand(partial(_load, services))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        app = await self._app()
        await app(scope, receive, send)


def _load(services: Services) -> ASGIApp:
    from appliance.api.app import create_app

    return create_app(services)
