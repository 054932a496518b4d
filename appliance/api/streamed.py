"""A reply that is made while it is sent: piece by piece, as fast as its client takes it.

Whether its client is still there is watched by `while_there.py`: sends to one that left succeed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from appliance.errors import Refusal

Write = Callable[[bytes], Awaitable[None]]
Body = Callable[[Write], Awaitable[None]]

# Of one kind of stream at once, for all clients; each may hold a page of rows.
STREAMS_MAX: Final = 16


class Streams:
    """Counts the streams of one kind that are open."""

    def __init__(self, streams_max: int = STREAMS_MAX) -> None:
        self._streams_max = streams_max
        self.open = 0

    def check(self) -> None:
        """Raises Refusal 503 when there are enough."""
        if self.open >= self._streams_max:
            raise Refusal(
                503, "streams_busy", f"There are {self.open} such streams already. Try again.",
                headers={"Retry-After": "5"},
            )  # fmt: skip


class Streamed(Response):
    """`body` is called with `write`, which waits for the client. It ends with the client; an error
    of the body leaves the reply without its end, so that nobody takes a part for the whole."""

    def __init__(
        self,
        streams: Streams,
        body: Body,
        *,
        media_type: str,
        headers: Mapping[str, str],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        """`close` is called at the end, whatever it was."""
        super().__init__(None, 200, dict(headers), media_type)
        del self.headers["content-length"]
        self._streams = streams
        self._body = body
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        self._streams.open += 1
        try:
            await send({
                "type": "http.response.start", "status": self.status_code,
                "headers": self.raw_headers,
            })  # fmt: skip
            await self._body(partial(_write, send))
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._streams.open -= 1
            self._close()


async def _write(send: Send, data: bytes) -> None:
    if data:
        await send({"type": "http.response.body", "body": data, "more_body": True})
