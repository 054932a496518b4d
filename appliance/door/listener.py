"""The one port: accepts, reads the first request head, and gives the connection to its lane.

Connection limits, the sweeper and draining live here. What the lanes do is theirs.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import trio

from appliance.door.head import HTTP2_PREFACE
from appliance.door.http1 import FastConnection, HandOver
from appliance.door.sweeper import Sweeper
from appliance.exchange import Exchange, Head, Watch, monotonic
from appliance.log import Log
from appliance.wire import PlainWire, Wire, Woken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.config import Deadlines
    from appliance.door.tls import ServerTls

BACKLOG = 4096
ACCEPT_PAUSE_S = 0.1
KEEPALIVE_IDLE_S = 60
KEEPALIVE_INTERVAL_S = 15
KEEPALIVE_PROBES = 4
# A client that takes nothing for so long is cut by the kernel: Hypercorn would wait for ever.
USER_TIMEOUT_MS = 90_000
# At the end, for a client that has connected and not yet sent its request's head.
LATE_HEAD_S = 1.0


class FullLane(Protocol):
    """The lane of everything that is not LLM traffic over HTTP/1.1."""

    async def serve(self, wire: Wire, data: bytes, watch: Watch, scheme: bytes) -> None:
        """Go on with a connection from which `data` has been read already."""

    def join(self, sweeper: Sweeper, body_s: float) -> None:
        """Let the listener's sweeper keep the deadlines of this lane's exchanges."""


class Door:
    """What a lane needs to know of the house, and the house's connections."""

    def __init__(
        self,
        *,
        handle: Callable[[Exchange], Awaitable[None]],
        route: Callable[[Head], Any],
        full: FullLane,
        body_sink: Callable[[str], Any],
        deadlines: Deadlines,
        body_bytes_max: int,
        connections_max: int,
        log: Log,
    ) -> None:
        self.handle = handle
        self.route = route
        self.full = full
        self.body_sink = body_sink
        self.deadlines = deadlines
        self.body_bytes_max = body_bytes_max
        self.connections_max = connections_max
        self.log = log
        self.draining = False
        self.drain_begun = trio.Event()  # for those whose requests have no end of their own
        self.sweeper = Sweeper()
        full.join(self.sweeper, deadlines.client_body_s)
        self._closed = trio.lowlevel.ParkingLot()
        self.accepted = 0
        self.refused = 0

    async def serve_listener(
        self, listener: socket.socket, tls: ServerTls | None, nursery: trio.Nursery
    ) -> None:
        """Accept until cancelled. Out of descriptors or connections: pause, never die."""
        listener.setblocking(False)
        while True:
            await trio.lowlevel.wait_readable(listener)
            while True:
                try:
                    sock, address = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    self.log.error("accept", reason=str(error))
                    await trio.sleep(ACCEPT_PAUSE_S)
                    break
                if len(self.sweeper.watches) >= self.connections_max:
                    self.refused += 1
                    refuse(sock)
                    continue
                self.accepted += 1
                nursery.start_soon(self.connection, sock, address, tls)

    async def connection(self, sock: socket.socket, address: object, tls: ServerTls | None) -> None:
        """One client connection, from its first byte to its end."""
        tune(sock)
        wire: Wire = PlainWire(sock)
        watch = Watch(wire)
        host = address[0] if isinstance(address, tuple) else ""
        with self._kept(watch, wire), trio.CancelScope() as scope:
            watch.cut_off = scope.cancel
            scheme = b"http"
            try:
                if tls is not None:
                    scheme = b"https"
                    watch.enter("head", self.deadlines.client_head_s)
                    wire = await tls.wrap(wire)
                    watch.client = wire
                    if wire.alpn == "h2":
                        await self.full.serve(wire, b"", watch, scheme)
                        return
                await self._lanes(wire, watch, scheme, host)
            except (OSError, Woken):
                pass
            except Exception as error:  # a bug ends its own connection and no other
                self.log.bug("connection", error)
            finally:
                wire.close()

    async def _lanes(self, wire: Wire, watch: Watch, scheme: bytes, host: str) -> None:
        watch.enter("head", self.deadlines.client_head_s)
        data = await wire.recv()
        while data and len(data) < len(HTTP2_PREFACE) and HTTP2_PREFACE.startswith(data):
            more = await wire.recv()
            if not more:
                return
            data += more
        if not data:
            return
        if data.startswith(HTTP2_PREFACE):
            await self.full.serve(wire, data, watch, scheme)
            return
        lane = FastConnection(self, wire, watch, data, scheme, host)
        try:
            await lane.serve()
        except HandOver as over:
            watch.rest()
            await self.full.serve(wire, over.data, watch, scheme)

    @contextmanager
    def _kept(self, watch: Watch, wire: Wire) -> Iterator[None]:
        self.sweeper.watches[watch] = wire
        try:
            yield
        finally:
            del self.sweeper.watches[watch]
            self._closed.unpark_all()

    def drain(self) -> None:
        """Stop keeping connections alive: idle ones end now, busy ones after their reply, and those
        that have only begun have a moment to say what they want."""
        self.draining = True
        self.drain_begun.set()
        for watch in list(self.sweeper.watches):
            if watch.phase == "idle":
                watch.expire()
                watch.deadline_s = 0.0  # and again by the sweeper, until it has been heard
            elif watch.phase == "head":  # its request is on the way: it was accepted
                watch.deadline_s = min(watch.deadline_s, monotonic() + LATE_HEAD_S)

    async def emptied(self) -> None:
        """Wait until no client is connected."""
        while self.sweeper.watches:
            await self._closed.park()

    @property
    def connections(self) -> int:
        """Open client connections."""
        return len(self.sweeper.watches)


def tune(sock: socket.socket) -> None:
    """Options of every accepted or dialled socket."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def refuse(sock: socket.socket) -> None:
    """Too many connections: say so, without waiting for anything."""
    sock.setblocking(False)
    body = b"connections_max reached: try again, or raise it.\n"
    try:
        sock.send(
            b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n"
            b"content-type: text/plain\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
    except OSError:
        return
    finally:
        sock.close()
