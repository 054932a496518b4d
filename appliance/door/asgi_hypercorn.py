"""Hypercorn on single connections: HTTP/1.1 in full and HTTP/2. Known here and in `http2.py`,
nowhere else; loaded by the first connection that needs it (`asgi.py`).
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, cast

import trio
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HypercornConfig
from hypercorn.events import Event, Updated
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from appliance.door import http2
from appliance.door.guard import Guard
from appliance.door.head import HEAD_BYTES_MAX, HTTP2_PREFACE
from appliance.wire import Wire, Woken

STREAMS_MAX = 100
HTTP2_FRAME_BYTES_MAX = 16384
# What a connection is handed over with is a request, or nearly: it gets its reply at the end too.
FIRST_REQUEST_S = 1.0


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

    @property
    def has_unread(self) -> bool:
        """Whether there is something to read that came before Hypercorn had it."""
        return bool(self._data)

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

    stream: WireStream  # type: ignore[assignment]
    _ended = False

    async def _read_data(self) -> None:
        await super()._read_data()
        self._ended = True
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        if self.stream.has_unread:
            await trio.sleep(FIRST_REQUEST_S)
        await super()._idle_timeout()

    async def protocol_send(self, event: Event) -> None:
        """Whatever the protocol wants: to write, to close, to rest."""
        if self._ended and isinstance(event, Updated):
            await self._close()
            return
        await super().protocol_send(event)


class Hypercorn:
    """Serves connections that are open already; each request goes to `app`, an ASGI app."""

    def __init__(self, app: Any, *, write_s: float, idle_s: float) -> None:  # noqa: ANN401 - Hypercorn has types of its own for it
        self._app = ASGIWrapper(cast(Any, app))
        self._write_s = write_s
        self._config = hypercorn_config(idle_s)
        self._context = WorkerContext(None)
        http2.install()

    async def drain(self) -> None:
        """End idle connections now, the others after their reply."""
        await self._context.terminated.set()

    async def serve(self, wire: Wire, data: bytes, scheme: bytes) -> None:
        """Go on with one connection until it ends."""
        kind = TlsWireStream if scheme == b"https" else WireStream
        stream = kind(wire, data, self._write_s)
        await Connection(self._app, self._config, self._context, {}, stream).run()  # type: ignore[arg-type]

    async def reset(self, send: Any) -> None:  # noqa: ANN401 - Hypercorn's own objects
        """Cut one stream of HTTP/2, after what was written to it has left. Hypercorn itself leaves
        the stream of an app that ends too early open for ever, and has no call for this; over
        HTTP/1.1 it closes the connection, as it should."""
        stream = send.__self__
        protocol = stream.send.__self__
        buffer = protocol.stream_buffers.get(stream.stream_id)
        if buffer is None:
            return
        await buffer.drain()
        with suppress(ProtocolError):  # the client may have reset it first
            protocol.connection.reset_stream(stream.stream_id, ErrorCodes.INTERNAL_ERROR)
            await protocol._flush()


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
