"""REST and UI as the full lane calls them: a client may rest for so long inside its request, and a
reader for so long before our reply; neither is a fault of the app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import trio

from appliance.errors import Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientLeft(ConnectionError):  # noqa: N818 - a signal, not a fault
    """The client went inside its request, or takes nothing more of the reply."""


async def serve_own(
    app: AsgiApp, scope: Scope, receive: Receive, send: Send, *, body_s: float, write_s: float
) -> None:
    """Run the app for one request. What it raises is a bug of its own."""
    more = True

    async def receiving() -> Message:
        nonlocal more
        if not more:
            return await receive()
        with trio.move_on_after(body_s):
            message = await receive()
            more = message.get("more_body", False)
            if message["type"] == "http.disconnect":
                raise ClientLeft
            return message
        more = False
        raise Refusal(
            408, "body_too_slow", "The request body came too slowly: see [deadlines] client_body."
        )

    async def sending(message: Message) -> None:
        with trio.move_on_after(write_s):
            await send(message)
            return
        raise ClientLeft

    try:
        await app(scope, receiving, sending)
    except ClientLeft:
        return  # an app that ends before its reply does: the door cuts what was begun
