"""The full lane: hands a connection, with the bytes already read, to Hypercorn.

Hypercorn brings HTTP/1.1 in full, HTTP/2 and the ASGI app. LLM traffic that arrives here is
answered by the same pipeline; over HTTP/1.1 with `Connection: close`, so that it comes back in the
fast lane. It is loaded by the first connection that comes here: a server that only proxies is ready
sooner without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import trio

from appliance.core.framing import FramingError, request_framing
from appliance.door.asgi_reply import AsgiLimits, AsgiReply
from appliance.door.own_app import serve_own
from appliance.door.sweeper import Sweeper
from appliance.exchange import Exchange, Head, Watch
from appliance.loading import OnDemand
from appliance.wire import Wire

if TYPE_CHECKING:
    from appliance.door.asgi_hypercorn import Hypercorn

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class FullLane:
    """Runs Hypercorn on single connections. `app` is the ASGI app of REST and UI: it is told of no
    start and no end."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        handle: Callable[[Exchange], Awaitable[None]],
        route: Callable[[Head], Any],
        write_s: float,
        idle_s: float,
        body_sink: Callable[[str], Any],
        body_bytes_max: int,
    ) -> None:
        self._app = app
        self.handle = handle
        self._route = route
        self._write_s = write_s
        self._idle_s = idle_s
        self._body_sink = body_sink
        self._body_bytes_max = body_bytes_max
        self._body_s = write_s
        self._sweeper: Sweeper | None = None
        self._lane = OnDemand(self._load)
        self._draining = False

    def _load(self) -> Hypercorn:
        from appliance.door.asgi_hypercorn import Hypercorn

        return Hypercorn(self._dispatch, write_s=self._write_s, idle_s=self._idle_s)

    def join(self, sweeper: Sweeper, body_s: float) -> None:
        """Deadlines of exchanges are kept by this sweeper; a body may rest for `body_s`."""
        self._sweeper = sweeper
        self._body_s = body_s

    async def drain(self) -> None:
        """End idle connections now, the others after their reply."""
        self._draining = True
        if self._lane.made is not None:
            await self._lane.made.drain()

    async def serve(self, wire: Wire, data: bytes, watch: Watch, scheme: bytes) -> None:
        """Go on with one connection until it ends."""
        watch.rest()
        lane = await self._lane()
        if self._draining:
            await lane.drain()
        await lane.serve(wire, data, scheme)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = head_of(scope)
        try:
            # The same rules as in the fast lane: no lane reads a message that another refuses.
            request_framing("1.1", head.method, head.headers, target=head.target)
        except FramingError as error:
            await refuse_malformed(send, error)
            return
        route = self._route(head)
        if route.lane == "full":
            await serve_own(
                self._app, scope, receive, send, body_s=self._body_s, write_s=self._write_s
            )
            return
        limits = AsgiLimits(self._body_bytes_max, self._body_s, self._write_s)
        reply = AsgiReply(scope, receive, send, self._body_sink, limits)
        exchanges = self._sweeper.exchanges if self._sweeper is not None else set()
        exchanges.add(reply.watch)
        try:
            async with trio.open_nursery() as nursery:
                reply.watch.cut_off = nursery.cancel_scope.cancel
                await reply.serve(nursery, self.handle, Exchange(head, reply, route))
        finally:
            exchanges.discard(reply.watch)
        if reply.cut and scope["http_version"] == "2":
            with trio.move_on_after(self._write_s):
                await (await self._lane()).reset(send)


async def refuse_malformed(send: Send, error: FramingError) -> None:
    """Answer a head that nobody should guess about."""
    text = (error.text + "\n").encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(text)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def head_of(scope: Scope) -> Head:
    """The request head, from an ASGI scope."""
    headers = list(scope["headers"])
    first: dict[bytes, bytes] = {}
    for name, value in reversed(headers):
        first[name.lower()] = value
    target = scope.get("raw_path") or scope["path"].encode()
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    client = scope.get("client")
    return Head(
        scope["method"].encode("ascii"),
        target,
        scope["http_version"],
        headers,
        first,
        scope["scheme"].encode("ascii"),
        client[0] if client else "",
    )
