"""The full lane: hands a connection, with the bytes already read, to Hypercorn.

Hypercorn brings HTTP/1.1 in full, HTTP/2 and the ASGI app. LLM traffic that arrives here is
answered by the same pipeline; over HTTP/1.1 with `Connection: close`, so that it comes back in the
fast lane. Hypercorn is known here and in `http2.py`, nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, cast

import trio
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HypercornConfig
from hypercorn.events import Event, Updated
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from appliance.core.framing import FramingError, request_framing
from appliance.door import http2
from appliance.door.asgi_reply import AsgiLimits, AsgiReply
from appliance.door.guard import Guard
from appliance.door.head import HEAD_BYTES_MAX, HTTP2_PREFACE
from appliance.door.own_app import serve_own
from appliance.door.sweeper import Sweeper
from appliance.exchange import Exchange, Head, Watch
from appliance.wire import Wire, Woken

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAMS_MAX = 100
HTTP2_FRAME_BYTES_MAX = 16384


class WireStream:
    """A Wire as the trio stream that Hypercorn expects; what was read already comes first.

    A client that takes nothing for `write_s` is cut: Hypercorn itself would wait for ever, and
    shielded.
    """

    def __init__(self, wire: Wire, data: bytes, write_s: float) -> None:
        self._wire = wire
        self._data = data
        self._guard = None if speaks_http2(wire, data) else Guard()
        self._write_s = write_s
        self.socket = wire.sock

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Some bytes; b"" at the end, which is where a malformed message begins."""
        if self._guard is None:
            return await self._receive()
        while not self._guard.fault:
            data = await self._receive()
            if not data:
                return b""
            passed = self._guard.feed(data)
            if passed:
                return passed
        return b""

    async def _receive(self) -> bytes:
        if self._data:
            data, self._data = self._data, b""
            await trio.lowlevel.checkpoint()
            return data
        if self.socket.fileno() < 0:  # Hypercorn reads on after it has closed
            raise trio.ClosedResourceError("closed")
        try:
            return await self._wire.recv()
        except Woken:
            raise trio.ClosedResourceError("woken") from None
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from None

    async def send_all(self, data: bytes) -> None:
        """Send with back-pressure, for `write_s` at most."""
        try:
            with trio.move_on_after(self._write_s):
                await self._wire.send_all(bytes(data))
                return
        except (OSError, Woken) as error:
            raise trio.BrokenResourceError(str(error)) from None
        self._wire.close()
        raise trio.BrokenResourceError("the client reads too slowly")

    async def aclose(self) -> None:
        """Close at once."""
        self._wire.close()
        await trio.lowlevel.checkpoint()


def speaks_http2(wire: Wire, data: bytes) -> bool:
    """By agreement over TLS, or by its preface, which the listener has read whole."""
    return getattr(wire, "alpn", None) == "h2" or data.startswith(HTTP2_PREFACE)


class TlsWireStream(WireStream):
    """The same over TLS, which the listener has set up: Hypercorn asks for these names."""

    @property
    def transport_stream(self) -> WireStream:
        """Where Hypercorn looks for the socket."""
        return self

    async def do_handshake(self) -> None:
        """Done already."""
        await trio.lowlevel.checkpoint()

    def selected_alpn_protocol(self) -> str | None:
        """`h2` or `http/1.1`."""
        alpn: str | None = getattr(self._wire, "alpn", None)
        return alpn or "http/1.1"


class Connection(TCPServer):
    """Hypercorn's connection, which ends when its client has ended it. Its own would rest in the
    idle time (75 s) if the client went in the moment between a reply and the next request."""

    _ended = False

    async def _read_data(self) -> None:
        await super()._read_data()
        self._ended = True
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        """Whatever the protocol wants: to write, to close, to rest."""
        if self._ended and isinstance(event, Updated):
            await self._close()
            return
        await super().protocol_send(event)


class FullLane:
    """Runs Hypercorn on single connections. `app` is the ASGI app of REST and UI."""

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
        self._body_sink = body_sink
        self._body_bytes_max = body_bytes_max
        self._body_s = write_s
        self._sweeper: Sweeper | None = None
        self._state: dict[str, Any] = {}
        self._config = hypercorn_config(idle_s)
        self._context = WorkerContext(None)
        self._wrapped = ASGIWrapper(cast(Any, self._dispatch))  # its types are Hypercorn's own
        http2.install()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The app's lifespan: started before the first connection, shut down after the last."""
        lifespan = Lifespan(self._wrapped, self._config, self._state)
        # Cancelled together with its app, this task could not tell the app that it is the end.
        guard = trio.CancelScope(shield=True)

        async def guarded(*, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128
            with guard:
                await lifespan.handle_lifespan(task_status=task_status)

        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(guarded)
                await lifespan.wait_for_startup()
                task_status.started()
                await trio.sleep_forever()
            finally:
                with trio.move_on_after(2, shield=True), suppress(trio.ClosedResourceError):
                    await lifespan.wait_for_shutdown()
                guard.cancel()

    def join(self, sweeper: Sweeper, body_s: float) -> None:
        """Deadlines of exchanges are kept by this sweeper; a body may rest for `body_s`."""
        self._sweeper = sweeper
        self._body_s = body_s

    async def drain(self) -> None:
        """End idle connections now, the others after their reply."""
        await self._context.terminated.set()

    async def serve(self, wire: Wire, data: bytes, watch: Watch, scheme: bytes) -> None:
        """Go on with one connection until it ends."""
        watch.rest()
        kind = TlsWireStream if scheme == b"https" else WireStream
        stream = kind(wire, data, self._write_s)
        await Connection(self._wrapped, self._config, self._context, self._state, stream).run()  # type: ignore[arg-type]

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
                await reset_stream(send)


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


async def reset_stream(send: Any) -> None:  # noqa: ANN401 - Hypercorn's own objects
    """Cut one stream of HTTP/2, after what was written to it has left. Hypercorn itself leaves the
    stream of an app that ends too early open for ever, and has no call for this; over HTTP/1.1 it
    closes the connection, as it should."""
    stream = send.__self__
    protocol = stream.send.__self__
    buffer = protocol.stream_buffers.get(stream.stream_id)
    if buffer is None:
        return
    await buffer.drain()
    with suppress(ProtocolError):  # the client may have reset it first
        protocol.connection.reset_stream(stream.stream_id, ErrorCodes.INTERNAL_ERROR)
        await protocol._flush()


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


def hypercorn_config(idle_s: float) -> HypercornConfig:
    """Every limit that matters, set rather than left to a default (STYLE 3)."""
    config = HypercornConfig()
    config.keep_alive_timeout = idle_s
    config.keep_alive_max_requests = 1_000_000_000
    config.max_requests = None
    config.read_timeout = None
    config.h11_max_incomplete_size = HEAD_BYTES_MAX
    config.h2_max_concurrent_streams = STREAMS_MAX
    config.h2_max_header_list_size = HEAD_BYTES_MAX
    config.h2_max_inbound_frame_size = HTTP2_FRAME_BYTES_MAX
    config.include_server_header = False
    config.include_date_header = True
    config.server_names = []
    config.errorlog = logging.getLogger("appliance.full_lane")
    config.accesslog = None
    config.alt_svc_headers = []
    return config
