"""The relay of a WebSocket, once the provider has switched to it: frames pass as they came, both
ways, with back-pressure; messages are read as they pass and recorded (proxy.md 1.6).

What frames mean is in `core/websocket.py`, what is kept of them in `core/realtime.py`. Pings and
close codes of either side reach the other; ours come between whole frames only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import trio

from appliance import fence
from appliance.actors.recorder import Capture, Recorder, SessionBody
from appliance.core import realtime as lines
from appliance.core import websocket as ws
from appliance.core.usage import realtime as usage
from appliance.core.usage import usage_to_map
from appliance.errors import UpstreamFailed
from appliance.exchange import NEVER_S, Body, Exchange, monotonic
from appliance.upstream.http1 import UpstreamReply
from appliance.upstream.websocket import Lost, Peer
from appliance.wire import Woken

RECORD_S = 15.0
# RFC 6455 5.5.2: a ping keeps the connection and shows whether somebody is there.
PING_S = 20.0
SILENT_S = 60.0
# How long a peer may take to answer a Close frame, or to take one.
CLOSE_S = 3.0
TICK_S = 1.0
# What has gathered of a session leaves memory when it is recorded: the next record names the file.
UNLOAD_BYTES = 64 * 1024
GOOD_CODES = frozenset((ws.NORMAL, ws.GOING_AWAY, ws.NO_CODE))
UPGRADE = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
REASONS = {
    ws.TOO_BIG: "a message over message_bytes_max",
    ws.PROTOCOL_ERROR: "a frame against RFC 6455",
    ws.GOING_AWAY: "the server is shutting down",
    ws.FAILED: "the provider's connection was lost",
}
ERRORS = {ws.TOO_BIG: "message_too_large", ws.PROTOCOL_ERROR: "websocket_malformed"}


class SessionTap(Protocol):
    """The record in the making."""

    capture: Capture

    def add(self, piece: bytes) -> None:
        """Something of the provider's was seen."""

    def interim(self) -> None:
        """Record what was seen so far."""

    async def seal(self, outcome: str) -> None:
        """Record it as ended."""


async def converse(
    x: Exchange, reply: UpstreamReply, tap: SessionTap, recorder: Recorder, message_bytes_max: int
) -> None:
    """Pass on the provider's switch, and relay until one side has ended the session. Raises
    UpstreamFailed for a switch that is none, OSError when the client has gone."""
    check_switch(x, reply)
    assert x.aim is not None, "aimed before"
    watch = x.reply.watch
    watch.rest()
    watch.total_s, watch.drain_s = NEVER_S, 0.0
    note_missed(x)
    body = recorder.session_body(x.region, keep=not x.asks.omit_request)
    x.body = Body(b"", body, 0)
    x.session = {"dialect": lines.DIALECT, "request_type": lines.JSON_TYPE}
    x.http_status, x.response_type, x.response_coding = 101, lines.JSON_TYPE, ""
    x.started = True
    side: Any = x.reply  # of the fast lane: routing lets no other come here
    wire, early, draining = await side.switch([*UPGRADE, *reply.end_to_end(), *x.reply_headers])
    client = Peer("client", wire, early, message_bytes_max)
    target = Peer("target", reply.wire, reply.take_rest(), message_bytes_max)
    session = Session(x, tap, body, client, target, x.aim.deadlines.client_write_s)
    try:
        await session.run(draining)
    finally:
        session.tell_usage()


def check_switch(x: Exchange, reply: UpstreamReply) -> None:
    """The provider's half of the handshake (RFC 6455, 4.1). Raises UpstreamFailed."""
    key = x.head.first.get(b"sec-websocket-key", b"").strip()
    first = reply.first
    if first.get(b"upgrade", b"").strip().lower() != b"websocket":
        raise UpstreamFailed("malformed", "the provider switched to what is no WebSocket")
    if first.get(b"sec-websocket-accept", b"").strip() != ws.accept_of(key):
        raise UpstreamFailed("malformed", "the provider's Sec-WebSocket-Accept is wrong")
    if lines.EXTENSIONS in first:
        raise UpstreamFailed("malformed", "the provider chose an extension that nobody offered")


def note_missed(x: Exchange) -> None:
    """What was asked for and means nothing for a WebSocket."""
    asks = x.asks
    for asked, feature in (
        (asks.cache_read or asks.cache_save, "cache"),
        (asks.stream_force_format, "stream-force-format"),
        (bool(asks.token_limit_handler), "token-limit"),
    ):
        if asked:
            fence.note(x, f"{feature};reason=websocket")


class Session:
    """A WebSocket from its switch to its end."""

    def __init__(
        self,
        x: Exchange,
        tap: SessionTap,
        body: SessionBody,
        client: Peer,
        target: Peer,
        write_s: float,
    ) -> None:
        self._x = x
        self._tap = tap
        self._body = body
        self._client = client
        self._target = target
        self._write_s = write_s
        self._scope = trio.CancelScope()
        self._keeping = trio.Lock()  # bodies on their way to disk are not recorded meanwhile
        self._used = usage.NOTHING
        self._news = False
        self._recorded_s = trio.current_time()
        self._close_by_s = NEVER_S
        self._code = ws.NORMAL

    async def run(self, draining: trio.Event) -> None:
        """Relay until the session has ended. Raises nothing of the wires'."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._guarded, self._pump, self._client, self._target)
                nursery.start_soon(self._guarded, self._pump, self._target, self._client)
                nursery.start_soon(self._guarded, self._keep_time, draining)

    async def _guarded(self, work: Callable[..., Any], *arguments: object) -> None:
        try:
            await work(*arguments)
        except Lost as lost:
            await self._lost(lost.peer, stalled=lost.stalled)
        except Woken:  # while the provider kept us waiting, its client went
            await self._lost(self._client, stalled=False)

    # -- frames --------------------------------------------------------------------------------

    async def _pump(self, peer: Peer, other: Peer) -> None:
        """What one side says to the other, frame by frame, up to its Close."""
        holds = False
        data = peer.early
        try:
            while True:
                pieces = peer.reader.feed(data) if data else []
                passed = [piece.raw for piece in pieces if self._see(peer, piece)]
                await self._unload(peer)
                if peer.closed:
                    await self._closed_by(peer)
                if passed and not holds:
                    await other.turn.acquire()
                    holds = True
                if passed and not other.told:
                    await other.send(b"".join(passed), self._write_s)
                if holds and peer.reader.between_frames:
                    other.told = other.told or peer.closed
                    other.turn.release()
                    holds = False
                if peer.closed:
                    self._finish_if_closed()
                    return
                if peer.reader.problem:
                    await self._refuse(peer, other)
                    return
                data = await peer.recv()
                if not data:
                    break
        finally:
            if holds:
                other.torn = True
                other.turn.release()
        raise Lost(peer)

    def _see(self, peer: Peer, piece: ws.Piece) -> bool:
        """Take note of a piece; False if it is not for the other side."""
        if peer.closed:
            return False
        if piece.opcode == ws.CLOSE:
            peer.closed, peer.code = True, ws.close_code(piece.payload)
        elif piece.opcode == ws.PONG and piece.payload == peer.token:
            return False
        elif piece.opcode in ws.DATA:
            self._gather(peer, piece)
        return True

    def _gather(self, peer: Peer, piece: ws.Piece) -> None:
        """Of a message as much as is kept; when it is whole it goes on record."""
        if piece.opcode != ws.CONTINUATION:
            peer.opcode = piece.opcode
        room = lines.KEPT_BYTES_MAX - peer.length
        if room > 0:
            peer.parts.append(piece.payload[:room])
        peer.length += len(piece.payload)
        if not piece.ends:
            return
        payload, length = b"".join(peer.parts), peer.length
        peer.parts, peer.length = [], 0
        line = lines.line_of(peer.side, peer.opcode, payload, length, time.time_ns() // 1000)
        self._news = True
        if peer is self._client:
            self._body.capture.add(line)
            self._x.body.length += len(line)
            return
        if not self._x.first_byte_s:
            self._x.first_byte_s = monotonic()
        self._tap.add(line)
        if lines.may_have_usage(payload):
            used = usage.usage_of(lines.document_of(payload))
            if used is not None:
                self._used = usage.plus(self._used, used)

    async def _unload(self, peer: Peer, *, always: bool = False) -> None:
        capture = self._body.capture if peer is self._client else self._tap.capture
        if capture.heavy or (always and not capture.dropped and capture.held_bytes > UNLOAD_BYTES):
            async with self._keeping:
                await capture.unload()

    # -- ends ----------------------------------------------------------------------------------

    async def _closed_by(self, peer: Peer) -> None:
        """A Close frame is about to be passed on: the record comes first."""
        code = peer.code
        error = "" if code in GOOD_CODES else f"close_{code}_by_{peer.side}"
        await self._begin_close("complete", error, code)

    async def _refuse(self, peer: Peer, other: Peer) -> None:
        """A frame that is not passed on ends the session, on both sides with the same code. What
        still comes is read and dropped: a reset would take the Close frame from its sender."""
        code = peer.reader.problem
        await self._begin_close("cut", ERRORS[code], code)
        await self._tell(peer, code, REASONS[code])
        await self._tell(other, code, REASONS[code])
        while await peer.recv():
            pass
        raise Lost(peer)

    async def _lost(self, peer: Peer, *, stalled: bool) -> None:
        """A connection has ended, or does not move."""
        peer.closed = peer.told = True
        if peer is self._client and self._close_by_s == NEVER_S:
            self._x.outcome = "client_stalled" if stalled else "client_gone"
            self._x.reply.watch.gone = True
            self._scope.cancel()
            return
        await self._begin_close("stalled" if stalled else "cut", "provider_lost", ws.FAILED)
        other = self._client if peer is self._target else self._target
        await self._tell(other, self._code, REASONS.get(self._code, ""))
        self._finish_if_closed()

    async def _begin_close(self, outcome: str, error: str, code: int) -> None:
        """The session ends now, for this reason, unless it was ending already. It is on record
        before anybody is told."""
        if self._close_by_s != NEVER_S:
            return
        self._close_by_s = trio.current_time() + CLOSE_S
        self._code = code
        x = self._x
        x.outcome, x.error = outcome, error
        x.reply.watch.in_flight = False  # a client that has said its Close may go
        async with self._keeping:
            self.tell_usage()
            await self._tap.seal(outcome)

    async def _tell(self, peer: Peer, code: int, reason: str) -> None:
        """Send a Close frame, between two others; not to who was sent one."""
        with trio.move_on_after(CLOSE_S):
            async with peer.turn:
                if peer.torn:
                    peer.closed = True  # it can hear nothing any more, and is not waited for
                if peer.told or peer.torn:
                    return
                peer.told = True
                frame = peer.frame(ws.CLOSE, ws.close_payload(code, reason))
                try:
                    await peer.send(frame, self._write_s)
                except (Lost, Woken):
                    peer.closed = True

    def _finish_if_closed(self) -> None:
        if self._client.closed and self._target.closed:
            self._scope.cancel()

    # -- time ----------------------------------------------------------------------------------

    async def _keep_time(self, draining: trio.Event) -> None:
        """Records, pings, and ends that are due."""
        while True:
            with trio.move_on_after(TICK_S):
                if self._close_by_s == NEVER_S:
                    await draining.wait()
                else:
                    await trio.sleep_forever()
            now_s = trio.current_time()
            if now_s >= self._close_by_s:
                self._scope.cancel()
            elif self._close_by_s < NEVER_S:
                continue
            elif draining.is_set():
                await self._go_away()
            else:
                await self._record(now_s)
                await self._ping(self._client, now_s)
                await self._ping(self._target, now_s)

    async def _go_away(self) -> None:
        """The server ends: both sides are told at once, and have the grace time to answer."""
        await self._begin_close("cut", "shutdown", ws.GOING_AWAY)
        for peer in (self._client, self._target):
            await self._tell(peer, ws.GOING_AWAY, REASONS[ws.GOING_AWAY])

    async def _record(self, now_s: float) -> None:
        if not self._news or now_s - self._recorded_s < RECORD_S:
            return
        self._news, self._recorded_s = False, now_s
        await self._unload(self._client, always=True)
        await self._unload(self._target, always=True)
        async with self._keeping:
            if self._close_by_s == NEVER_S:
                self.tell_usage()
                self._tap.interim()

    async def _ping(self, peer: Peer, now_s: float) -> None:
        """Ask a peer that has been silent for a while; it is lost when it stays so. One that takes
        nothing cannot be asked: its time is that of the write."""
        if not peer.reading or now_s - peer.heard_s < PING_S:
            return
        if now_s - peer.heard_s >= SILENT_S and peer.pinged_s > peer.heard_s:
            await self._lost(peer, stalled=peer is self._target)
        elif now_s - peer.pinged_s >= PING_S and not (peer.turn.locked() or peer.told):
            peer.pinged_s = now_s
            async with peer.turn:
                await peer.send(peer.frame(ws.PING, peer.token), self._write_s)

    def tell_usage(self) -> None:
        """Where not all that was said is kept, what it has used is on record by itself."""
        x, capture = self._x, self._tap.capture
        if x.session is not None and (capture.truncated or capture.dropped or x.asks.omit_response):
            x.session["usage"] = {**usage_to_map(self._used), "source": "provider"}
