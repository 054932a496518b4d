"""The fast lane: HTTP/1.1 on one connection, request after request, straight onto the pipeline.

It reads heads and bodies under limits and deadlines, and writes replies out. What a request means
is decided elsewhere (`routes.py`, `pipeline.py`).
"""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING

from appliance.core.chunked import ChunkedDecoder
from appliance.core.credentials import forward_headers
from appliance.core.framing import Framing
from appliance.door.head import HeadError, find_end, opening, parse_head, without_empty_lines
from appliance.door.visit import Visit
from appliance.errors import Refusal
from appliance.exchange import Body, Exchange, Headers, Watch
from appliance.wire import Wire, Woken

if TYPE_CHECKING:
    import trio

    from appliance.door.listener import Door

# Up to here a request body stays in memory; above it is spilled to a file and sent on from there.
BODY_MEMORY_BYTES_MAX = 1024 * 1024
# After an early refusal so much of the rest is read and thrown away, so that the client gets to
# read the reply instead of a reset.
LINGER_BYTES_MAX = 256 * 1024
LINGER_S = 2.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class HandOver(Exception):  # noqa: N818 - not a fault: the full lane goes on with these bytes
    """The next request is not for the fast lane."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data


class FastConnection:
    """One client connection in the fast lane. It is the ReplySide of its current exchange."""

    __slots__ = (
        "_chunked", "_clean", "_close_delimited", "_continue_due", "_framing", "_keep",
        "_no_body", "_version", "client_address", "data", "door", "scheme", "unread", "watch",
        "wire",
    )  # fmt: skip

    def __init__(
        self, door: Door, wire: Wire, watch: Watch, data: bytes, scheme: bytes, address: str
    ) -> None:
        self.door = door
        self.wire = wire
        self.watch = watch
        self.data = data
        self.scheme = scheme
        self.client_address = address
        self._framing = Framing("none", 0, True)
        self._keep = False
        self._clean = True
        self._chunked = False
        self._close_delimited = False
        self._continue_due = False
        self._no_body = False
        self._version = "1.1"
        self.unread = False

    async def serve(self) -> None:
        """Serve until the connection ends. Raises HandOver when the next request is not ours."""
        visit: Visit | None = None
        keep = True
        while keep:
            try:
                end = await self._read_head()
                if end < 0:
                    return
                raw, rest = self.data[:end], self.data[end:]
                framing = visit.again(raw) if visit is not None else None
                if visit is None or framing is None:
                    visit = self._visit(raw, visit)
                    framing = visit.framing
            except HeadError as error:
                await self._refuse_malformed(error)
                return
            if visit.route.lane == "full":
                raise HandOver(self.data)
            self.data = rest
            keep = await self._one(visit, framing)

    def _visit(self, raw: bytes, before: Visit | None) -> Visit:
        visit = before.like(raw) if before is not None else None
        if visit is not None:
            return visit
        head, framing, keep = parse_head(
            raw, scheme=self.scheme, client_address=self.client_address
        )
        if b"upgrade" in head.first:
            head = opening(head)
        return Visit(raw, head, framing, keep, self.door.route(head))

    async def _one(self, visit: Visit, framing: Framing) -> bool:
        head = visit.head
        self._framing = framing
        self._keep = visit.keep and not self.door.draining
        self._version = head.version
        self._clean = False
        self._no_body = head.method == b"HEAD"
        self.unread = framing.kind != "none"
        self._continue_due = b"expect" in head.first and (
            head.first[b"expect"].lower() == b"100-continue"
            and self.unread
            and head.version == "1.1"  # RFC 9110 10.1.1: older clients do not wait for it
        )
        watch = self.watch
        watch.in_flight = True
        try:
            await self.door.handle(Exchange(head, self, visit.route, visit.facts))
        finally:
            watch.in_flight = False
            watch.upstream = None
            watch.expired = ""
            watch.rest()
        if self._clean and self.unread:
            await self._linger()
            return False
        return self._clean and self._keep and not (watch.gone or self.door.draining)

    async def _read_head(self) -> int:
        """Read until a whole head lies in `data`. -1: the peer is done, or took too long."""
        limits = self.door.deadlines
        scanned = 0
        self.watch.total_s = float("inf")
        while True:
            if self.data.startswith(b"\r\n"):
                self.data = without_empty_lines(self.data)
            if self.data:
                end = find_end(self.data, scanned)
                if end > 0:
                    self.watch.rest()
                    return end
                if not scanned:
                    self.watch.enter("head", limits.client_head_s)
                scanned = len(self.data)
            else:
                self.watch.enter("idle", limits.client_idle_s)
            try:
                more = await self.wire.recv()
            except (OSError, Woken):
                return -1
            if not more:
                return -1
            self.data += more

    async def _refuse_malformed(self, error: HeadError) -> None:
        self.door.log.warning("malformed", status=error.status, reason=error.text)
        text = (error.text + "\n").encode()
        self._version, self._keep, self._no_body = "1.1", False, False
        try:
            await self.start(
                error.status,
                b"",
                [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", b"%d" % len(text)),
                ],
                len(text),
                text,
                last=True,
            )
            await self._linger()
        except (OSError, Woken):
            return

    async def _linger(self) -> None:
        """Half-close and read a little on: a reset would take the reply from the client."""
        try:
            self.wire.sock.shutdown(socket.SHUT_WR)
            self.watch.enter("linger", LINGER_S)
            read = 0
            while read < LINGER_BYTES_MAX:
                data = await self.wire.recv()
                if not data:
                    return
                read += len(data)
        except (OSError, Woken):
            return

    # -- ReplySide: the request body -----------------------------------------------------------

    async def read_body(self, x: Exchange) -> None:
        """Read the body into `x.body`: memory up to 1 MiB, above that a spill file.

        Raises Refusal 413 over `body_bytes_max`, 400 when malformed, 408 when too slow.
        """
        if self._framing.kind == "none":
            return
        if self._framing.kind == "length" and len(self.data) >= self._framing.length:
            length = self._framing.length
            if length > self.door.body_bytes_max:
                raise self._too_large()
            x.body = Body(self.data[:length], None, length)
            self.data = self.data[length:]
            self.unread = False
            return
        await self._read_slow_body(x)

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            "body_too_large",
            f"The request body is over body_bytes_max ({self.door.body_bytes_max} bytes). "
            "Send less, or raise body_bytes_max.",
        )

    async def _read_slow_body(self, x: Exchange) -> None:
        if self._framing.kind == "length" and self._framing.length > self.door.body_bytes_max:
            raise self._too_large()
        if self._continue_due and not self.data:
            await self.wire.send_all(CONTINUE)
        sink = self.door.body_sink(x.region)
        try:
            trailers = await self._pump(sink)
        except BaseException:
            sink.abort()
            raise
        # Trailers are header lines to whoever merges them: no key of ours, no second length.
        x.body = await sink.close(forward_headers(trailers, x.found_key))
        self.unread = False

    async def _pump(self, sink: object) -> Headers:
        decoder = ChunkedDecoder() if self._framing.kind == "chunked" else None
        left = self._framing.length
        total = 0
        data, self.data = self.data, b""
        while True:
            if decoder is None:
                piece, self.data = data[:left], data[left:]
                left -= len(piece)
                done = left == 0
            else:
                piece = decoder.feed(data)
                if decoder.error:
                    raise Refusal(400, "malformed_body", f"Malformed chunked body: {decoder.error}")
                done = decoder.done
                self.data = decoder.leftover if done else b""
            total += len(piece)
            if total > self.door.body_bytes_max:
                raise self._too_large()
            await sink.write(piece)  # type: ignore[attr-defined]
            if done:
                return decoder.trailers if decoder else []
            data = await self._more_body()

    async def _more_body(self) -> bytes:
        self.watch.enter("body", self.door.deadlines.client_body_s)
        try:
            data = await self.wire.recv()
        except Woken:
            if self.watch.gone:
                raise ConnectionResetError("client gone") from None
            raise Refusal(
                408,
                "body_too_slow",
                "The request body came too slowly: see [deadlines] client_body.",
            ) from None
        if not data:
            raise ConnectionResetError("client closed inside its request body")
        return data

    # -- ReplySide: the reply ------------------------------------------------------------------

    async def informational(self, status: int, reason: bytes, headers: Headers) -> None:
        """Pass on a 1xx head to clients that know them (HTTP/1.1)."""
        if self._version == "1.1":
            await self._send(head_bytes(status, reason, headers) + b"\r\n")

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
        """Send the head with the first piece, in one write; with `last` the end as well."""
        out = [head_bytes(status, reason, headers)]
        bare = self._no_body or status in (204, 304) or status < 200
        self._chunked = length is None and not bare and self._version == "1.1"
        self._close_delimited = length is None and not bare and not self._chunked
        if self._chunked:
            out.append(b"transfer-encoding: chunked\r\n")
        if self._close_delimited or self.unread or self.door.draining:
            self._keep = False
        if not self._keep:
            out.append(b"connection: close\r\n")
        out.append(b"\r\n")
        if piece and not bare:
            out.append(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
        if last:
            self._end(out, trailers)
        data = b"".join(out)
        if last and self._keep and self.wire.takes_soon(len(data)):
            self.wire.send_soon(data)
        else:
            await self._send(data)

    async def write(self, piece: bytes) -> None:
        """Send one piece of the body."""
        await self._send(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)

    async def finish(self, piece: bytes, trailers: Headers) -> None:
        """Send the last piece and the end."""
        out = []
        if piece:
            out.append(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
        self._end(out, trailers)
        if out:
            await self._send(b"".join(out))

    def _end(self, out: list[bytes], trailers: Headers | None) -> None:
        if self._chunked:
            out.append(b"0\r\n")
            out.extend(b"%b: %b\r\n" % field for field in trailers or ())
            out.append(b"\r\n")
        self._clean = True

    async def _send(self, data: bytes) -> None:
        watch = self.watch
        phase, deadline_s = watch.phase, watch.deadline_s
        watch.enter("client_write", self.door.deadlines.client_write_s)
        await self.wire.send_all(data)
        watch.phase, watch.deadline_s = phase, deadline_s

    async def switch(self, headers: Headers) -> tuple[Wire, bytes, trio.Event]:
        """Answer 101, after which this is no HTTP any more: the wire, what the client has sent
        already, and the event of the server's end."""
        await self._send(head_bytes(101, b"Switching Protocols", headers) + b"\r\n")
        self._clean = self._keep = False
        data, self.data = self.data, b""
        return self.wire, data, self.door.drain_begun

    def abandon(self) -> None:
        """The reply was cut: the connection ends without a clean end."""
        self._clean = False
        self._keep = False
        if self._close_delimited:
            self.wire.abort()  # here an ordinary close would be a clean end


def head_bytes(status: int, reason: bytes, headers: Headers) -> bytes:
    """Status line and header lines, without the empty line."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, reason or REASONS.get(status, b"Unknown"))]
    lines.extend([b"%b: %b\r\n" % field for field in headers])
    return b"".join(lines)
