"""Replies to web pages of allowed origins get the headers that let those pages read them.

Whether a page may call at all is the guard's business; this only adds to what was answered.
"""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.api.services import Access


class PageHeaders:
    """Middleware; it touches nothing of requests that name no origin."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
            if b"origin" in headers:
                send = self._adding(headers, send)
        await self._app(scope, receive, send)

    def _adding(self, headers: dict[bytes, bytes], send: Send) -> Send:
        added: list[Any] = [
            (name.lower(), value)
            for name, value in self._access.page_headers(headers, headers.get(b"host", b""))
        ]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        return sending
