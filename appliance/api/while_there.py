"""What only reads ends with its client: a search that nobody waits for any more is interrupted.

What changes something goes on to its end, whoever has gone: it must not stop half way.
"""

from __future__ import annotations

import re
from typing import Final

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.api.paths import PERMISSIONS
from appliance.errors import Refusal


def _pattern(method: str, *permissions: str) -> re.Pattern[str]:
    """The paths of these permissions, each `{name}` a segment."""
    paths = (
        "[^/]+".join(re.escape(part) for part in re.split(r"\{[^}]*\}", path))
        for (verb, path), permission in PERMISSIONS.items()
        if verb == method and permission in permissions
    )
    return re.compile("|".join(paths))


# A signed POST is what Stripe says of payments: it is no reading.
ONLY_READS: Final = {"GET": _pattern("GET", "read", "signed"), "POST": _pattern("POST", "read")}


class WhileThere:
    """Middleware: cancels the app once its client has gone, in what only reads."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or not _only_reads(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            watch = _Watch(receive, nursery)
            if scope["method"] == "GET":
                watch.begin()
            try:
                await self._app(scope, watch.receive, watch.sending(send))
            except Exception as error:  # none may cross the nursery: it would come out as a group
                failure = error
            nursery.cancel_scope.cancel()
        failure = failure or watch.failure
        if failure is not None:
            raise failure


def _only_reads(method: str, path: str) -> bool:
    pattern = ONLY_READS.get(method)
    return pattern is not None and pattern.fullmatch(path) is not None


class _Watch:
    """Hands the body over; behind its end nothing comes but the client's."""

    failure: Exception | None = None

    def __init__(self, receive: Receive, nursery: trio.Nursery) -> None:
        self._receive = receive
        self._nursery = nursery
        self._begun = False
        self._ended = False

    def sending(self, send: Send) -> Send:
        """ASGI, for the app. With the last of a reply its end is told to whoever receives: that is
        no client that has gone, and what the door does behind it must not be cut short."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._ended = True
            await send(message)

        return sent

    async def receive(self) -> Message:
        """ASGI, for the app."""
        if self._begun:
            await trio.sleep_forever()  # the client's end cancels the app
        message = await self._receive()
        if not message.get("more_body", False):
            self.begin()
        return message

    def begin(self) -> None:
        """Nobody reads a body any more."""
        self._begun = True
        self._nursery.start_soon(self._until_gone)

    async def _until_gone(self) -> None:
        try:
            while not await self._is_gone():
                pass
        except Exception as error:  # the door's word for a client that left inside its request
            self.failure = error
        if not self._ended:
            self._nursery.cancel_scope.cancel("the client has gone")

    async def _is_gone(self) -> bool:
        try:
            return bool((await self._receive())["type"] == "http.disconnect")
        except Refusal:  # of a body that comes too slowly: nobody here waits for one
            return False
