"""An exchange of the full lane: ASGI's receive and send as the client's side of the pipeline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import trio

from appliance.errors import Refusal
from appliance.exchange import Exchange, Headers, Watch
from appliance.wire import Woken

Message = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class AsgiLimits:
    """What a client of this lane may send and how slowly it may read and write."""

    body_bytes_max: int
    body_s: float
    write_s: float


class AsgiReply:
    """ReplySide over ASGI. While the pipeline works, one task waits for the client to go."""

    def __init__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        body_sink: Callable[[str], Any],
        limits: AsgiLimits,
    ) -> None:
        self.watch = Watch(None)
        self._receive = receive
        self._asgi_send = send
        self._body_sink = body_sink
        self._limits = limits
        self._trailers = "http.response.trailers" in (scope.get("extensions") or {})
        self._close = scope["http_version"].startswith("1")
        self._more = True
        self.cut = False

    async def serve(
        self,
        nursery: trio.Nursery,
        handle: Callable[[Exchange], Awaitable[None]],
        x: Exchange,
    ) -> None:
        """Run the pipeline for one exchange; the caller's nursery holds the watch on the client.
        `cut` says afterwards that the reply has no clean end."""
        self._nursery = nursery
        self.watch.in_flight = True
        try:
            await handle(x)
        finally:
            self.watch.in_flight = False
            nursery.cancel_scope.cancel()

    async def _watch_client(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.watch.hang_up()
                return

    async def read_body(self, x: Exchange) -> None:
        """Read the body into `x.body`. Raises Refusal 413 over `body_bytes_max`."""
        length = x.head.first.get(b"content-length", b"0")
        if int(length) > self._limits.body_bytes_max:  # digits: the head was checked
            raise self._too_large()
        sink = self._body_sink(x.region)
        total = 0
        try:
            while self._more:
                message = await self._receive_soon()
                if message["type"] == "http.disconnect":
                    self.watch.gone = True
                    raise ConnectionResetError("client closed inside its request body")
                piece = message.get("body", b"")
                total += len(piece)
                if total > self._limits.body_bytes_max:
                    raise self._too_large()
                await sink.write(piece)
                self._more = message.get("more_body", False)
        except BaseException:
            sink.abort()
            raise
        x.body = await sink.close([])
        self._nursery.start_soon(self._watch_client)

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            "body_too_large",
            f"The request body is over body_bytes_max ({self._limits.body_bytes_max} bytes). "
            "Send less, or raise body_bytes_max.",
        )

    async def _receive_soon(self) -> Message:
        with trio.move_on_after(self._limits.body_s):
            return await self._receive()
        raise Refusal(
            408, "body_too_slow", "The request body came too slowly: see [deadlines] client_body."
        )

    async def informational(self, status: int, reason: bytes, headers: Headers) -> None:
        """ASGI has no place for 1xx heads."""

    async def start(
        self,
        status: int,
        reason: bytes,
        headers: Headers,
        length: int | None,
        piece: bytes,
        *,
        last: bool = False,
        trailers: Headers | None = None,
    ) -> None:
        """Send the head and the first piece, with `last` the end too."""
        lowered = [(name.lower(), value) for name, value in headers]
        if self._close:
            lowered.append((b"connection", b"close"))
        announced = bool(trailers) or any(name == b"trailer" for name, _ in lowered)
        self._trailers = trail = self._trailers and announced
        await self._send(
            {"type": "http.response.start", "status": status, "headers": lowered, "trailers": trail}
        )
        if last:
            await self.finish(piece, trailers or [])
        elif piece:
            await self.write(piece)

    async def write(self, piece: bytes) -> None:
        """Send one piece."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def finish(self, piece: bytes, trailers: Headers) -> None:
        """Send the last piece and the end."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": False})
        if self._trailers:
            lowered = [(name.lower(), value) for name, value in trailers]
            await self._send({"type": "http.response.trailers", "headers": lowered})

    async def _send(self, message: Message) -> None:
        with trio.move_on_after(self._limits.write_s):
            await self._asgi_send(message)
            return
        self.watch.expired = "client_write"
        raise Woken

    def abandon(self) -> None:
        """The reply was cut."""
        self.cut = True
