"""One end of a WebSocket session: its wire, the frames that it sends, and what it was told.

Client or provider alike. What passes between two of them is decided elsewhere.
"""

from __future__ import annotations

import os

import trio

from appliance.core import websocket as ws
from appliance.core.realtime import Side
from appliance.wire import Wire, Woken

BUSY_S = 0.001


class Lost(Exception):  # noqa: N818 - a signal
    """A peer's connection has ended, or does not move."""

    def __init__(self, peer: Peer, *, stalled: bool = False) -> None:
        super().__init__()
        self.peer = peer
        self.stalled = stalled


class Peer:
    """One end of a session: its wire, the frames that it sends, and what it was told."""

    __slots__ = (
        "closed",
        "code",
        "early",
        "heard_s",
        "length",
        "opcode",
        "parts",
        "pinged_s",
        "reader",
        "reading",
        "side",
        "token",
        "told",
        "torn",
        "turn",
        "wire",
    )  # fmt: skip

    def __init__(self, side: Side, wire: Wire, early: bytes, message_bytes_max: int) -> None:
        self.side: Side = side
        self.wire = wire
        self.early = early
        self.reader = ws.FrameReader(masked=side == "client", message_bytes_max=message_bytes_max)
        self.turn = trio.Lock()  # who may write to it; held while a frame is on its way
        self.token = os.urandom(8)  # of our pings: their answers are for us
        self.heard_s = self.pinged_s = trio.current_time()
        self.reading = False  # we wait for it, and nobody else keeps us
        self.closed = False  # it has sent a Close frame, or is gone
        self.code = ws.NO_CODE  # with this
        self.told = False  # it was sent one, or cannot be
        self.torn = False  # a frame to it was begun and cannot be ended
        # of its message on the way
        self.opcode = 0
        self.length = 0
        self.parts: list[bytes] = []

    async def recv(self) -> bytes:
        """Some bytes; b"" when it is gone."""
        self.heard_s, self.reading = trio.current_time(), True
        try:
            while self.wire.sock.fileno() >= 0:
                try:
                    return await self.wire.recv()
                except Woken:  # because the client is gone: reading from it shows that as well
                    continue
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            return b""
        finally:
            self.reading = False
        return b""

    async def send(self, data: bytes, limit_s: float) -> None:
        """Only for who has its `turn`. Raises Lost."""
        with trio.move_on_after(limit_s):
            try:
                while True:
                    try:
                        await self.wire.send_all(data)
                    except trio.BusyResourceError:  # TLS answers something of its own
                        await trio.sleep(BUSY_S)
                    else:
                        return
            except Woken:
                self.torn = True
                raise
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                self.torn = True
                raise Lost(self) from None
        self.torn = True
        raise Lost(self, stalled=True)

    def frame(self, opcode: int, payload: bytes) -> bytes:
        """A frame of ours to it."""
        return ws.frame(opcode, payload, os.urandom(4) if self.side == "target" else b"")
