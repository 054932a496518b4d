"""HTTP/1.1 towards a provider, on one pooled connection: request out, reply in, piece by piece.

Reply bytes are handed on as they came; only the transfer coding is taken off. What a reply means
is not known here.
"""

from __future__ import annotations

import ssl
from contextlib import aclosing

import httptools
import trio

from appliance.core.chunked import ChunkedDecoder, encode_chunk, encode_last
from appliance.core.framing import (
    NO_BODY,
    Framing,
    FramingError,
    check_head,
    plain_response_framing,
    response_framing,
)
from appliance.errors import UpstreamFailed
from appliance.exchange import Body, Headers, Watch, monotonic
from appliance.upstream.tls import tls_failure_text
from appliance.wire import Wire, Woken

HEAD_BYTES_MAX = 262144
END = b"\r\n\r\n"
INFORMATIONAL_MAX = 32
# A body up to here fits the kernel's buffers: no reply can come while it is still being sent.
SURELY_TAKEN_BYTES = 64 * 1024


class Stale(Exception):  # noqa: N818 - asks for the one retry on a reused connection
    """The connection was closed by the provider before a byte of the reply."""


class _Sink:
    __slots__ = ("headers", "reason")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.reason = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_status(self, reason: bytes) -> None:
        self.reason += reason


class UpstreamConnection:
    """A connection to one origin. `used` counts the requests that it has carried."""

    __slots__ = ("born_s", "idle_since_s", "key", "used", "wire")

    def __init__(self, key: object, wire: Wire) -> None:
        self.key = key
        self.wire = wire
        self.born_s = monotonic()
        self.idle_since_s = self.born_s
        self.used = 0

    def close(self) -> None:
        """Close at once."""
        self.wire.close()


# Hop by hop (RFC 9110 7.6.1); `trailer` stays, since trailers are passed on.
NOT_PASSED = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te")
)
USUAL_CONNECTION = frozenset((b"", b"keep-alive", b"Keep-Alive", b"close"))


class UpstreamReply:
    """The reply to one request: the head, then `piece` until `done`.

    `reusable` says, once done, whether the connection may carry another request. `switched`: the
    head was a 101 and what follows is not HTTP; `take_rest` gives what of it came along.
    """

    __slots__ = (
        "_connection", "_data", "_decoder", "_early", "_left", "_may_switch", "done", "first",
        "framing", "headers", "names", "reason", "reusable", "status", "switched", "trailers",
        "version",
    )  # fmt: skip

    def __init__(self, connection: UpstreamConnection, *, may_switch: bool = False) -> None:
        self._connection = connection
        self._may_switch = may_switch
        self.switched = False
        self._data = b""
        self._decoder: ChunkedDecoder | None = None
        self._left = 0
        self._early = 0
        self.status = 0
        self.reason = b""
        self.version = "1.1"
        self.headers: Headers = []
        self.names: list[bytes] = []
        self.first: dict[bytes, bytes] = {}
        self.trailers: Headers = []
        self.framing: Framing = NO_BODY
        self.done = False
        self.reusable = False

    async def read_head(self, method: bytes, *, complete: bool) -> bool:
        """Read one head; True when it is final, False when it was a 1xx.

        Raises Stale (nothing came on a reused connection), UpstreamFailed, Woken.
        """
        end = await self._head_end()
        data = self._data
        raw, self._data = data[:end], data[end:]
        sink = _Sink()
        parser = httptools.HttpResponseParser(sink)
        try:
            check_head(raw)
            parser.feed_data(raw)
            self.version = parser.get_http_version()
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise UpstreamFailed("malformed", f"malformed reply head: {error}") from None
        except FramingError as error:
            raise UpstreamFailed("malformed", f"malformed reply head: {error.text}") from None
        self.status = status = parser.get_status_code()
        self.reason = sink.reason
        self.headers = headers = sink.headers
        self.names = names = [field[0].lower() for field in headers]
        self.first = {name: field[1] for name, field in zip(names, headers, strict=True)}
        if status == 101 and self._may_switch:
            self.switched = True
            return True
        if status < 200:
            self._informational(status)
            return False
        self._frame(method, complete)
        return True

    def end_to_end(self) -> Headers:
        """The header lines that are meant for whoever the reply is passed on to."""
        first = self.first
        dropped: frozenset[bytes] | set[bytes] = NOT_PASSED
        connection = first.get(b"connection", b"")
        if connection not in USUAL_CONNECTION:
            dropped = NOT_PASSED | {token.strip() for token in connection.lower().split(b",")}
        if b"content-length" in first and self.framing.kind not in ("length", "none"):
            dropped = dropped | {b"content-length"}
        kept = zip(self.headers, self.names, strict=True)
        return [field for field, name in kept if name not in dropped]

    def _informational(self, status: int) -> None:
        if status < 100:
            raise UpstreamFailed("malformed", f"the provider answered with the status {status}")
        if status == 101:
            raise UpstreamFailed("malformed", "the provider switched protocols without being asked")
        self._early += 1
        if self._early > INFORMATIONAL_MAX:
            raise UpstreamFailed("malformed", "the provider sends 1xx heads without an end")

    async def _head_end(self) -> int:
        scanned = 0
        while True:
            end = self._data.find(END, max(0, scanned - 3))
            if end >= 0:
                return end + 4
            scanned = len(self._data)
            if scanned > HEAD_BYTES_MAX:
                raise UpstreamFailed("malformed", "the provider's reply head is too large")
            try:
                more = await self._connection.wire.recv()
            except ssl.SSLError as error:  # TLS 1.3: a missing client certificate shows only here
                raise self._lost(tls_failure_text(error, "the provider")) from None
            except (OSError, trio.BrokenResourceError) as error:
                raise self._lost(str(error)) from None
            if not more:
                raise self._lost("closed")
            self._data += more

    def _lost(self, reason: str) -> Stale | UpstreamFailed:
        if not (self._data or self._early) and self._connection.used > 1:
            return Stale()
        return UpstreamFailed("cut", f"connection lost before the reply: {reason}", retryable=True)

    def _frame(self, method: bytes, complete: bool) -> None:
        framing = None
        if self.version == "1.1":
            framing = plain_response_framing(self.first, len(self.names), method, self.status)
        if framing is None:
            try:
                framing = response_framing(self.version, method, self.status, self.headers)
            except FramingError as error:
                raise UpstreamFailed("malformed", error.text) from None
        self.framing = framing
        kind = self.framing.kind
        self.reusable = self.framing.reuse and complete
        if kind == "length":
            self._left = self.framing.length
        elif kind == "chunked":
            self._decoder = ChunkedDecoder()
        if kind == "none" or (kind == "length" and not self._left):
            self._finish()

    def _finish(self) -> None:
        self.done = True
        if self._data:
            self.reusable = False

    async def piece(self) -> bytes:
        """The next bytes of the body; may be empty; look at `done` after each.

        Raises UpstreamFailed("cut" or "malformed") when the reply breaks off, Woken when woken.
        """
        data = self._data
        self._data = b""
        if not data and (self._decoder is None or self._decoder.error is None):
            data = await self._recv_body()
        if self._decoder is not None:
            body = self._decoder.feed(data)
            # What was good before the fault is handed on first.
            if self._decoder.error and not body:
                raise UpstreamFailed("malformed", f"chunked reply: {self._decoder.error}")
            if self._decoder.done:
                self.trailers = self._decoder.trailers
                self._data = self._decoder.leftover
                self._finish()
            return body
        if self.framing.kind == "length":
            body = data[: self._left] if len(data) > self._left else data
            self._left -= len(body)
            if not self._left:
                self._data = data[len(body) :]
                self._finish()
            return body
        return data

    @property
    def wire(self) -> Wire:
        """The connection, for whoever goes on after a switch."""
        return self._connection.wire

    def take_rest(self) -> bytes:
        """What came behind the head of a switch."""
        data, self._data = self._data, b""
        return data

    def buffered(self) -> bool:
        """Whether body bytes came along with the head."""
        return bool(self._data)

    async def _recv_body(self) -> bytes:
        try:
            data = await self._connection.wire.recv()
        except (OSError, trio.BrokenResourceError) as error:
            raise UpstreamFailed("cut", f"the reply broke off: {error}") from None
        if data:
            return data
        if self.framing.kind == "until_close" and not getattr(
            self._connection.wire, "truncated", False
        ):
            self.done = True
            return b""
        raise UpstreamFailed("cut", "the provider closed the connection inside its reply")


async def send_request(
    connection: UpstreamConnection, head: bytes, body: Body, watch: Watch
) -> bool:
    """Send head and body. True when all of it went; False when the provider answers already.

    Raises UpstreamFailed, Woken.
    """
    connection.used += 1
    wire = connection.wire
    try:
        if body.spill is None:
            data = body.data
            if body.trailers:
                data = encode_chunk(data) + encode_last(body.trailers)
            watch.sending = len(data) > SURELY_TAKEN_BYTES
            data = head + data
            if wire.takes_soon(len(data)):
                wire.send_soon(data)
            else:
                await wire.send_all(data)
            return True
        watch.sending = True
        await wire.send_all(head)
        async with aclosing(body.spill.pieces()) as pieces:
            async for piece in pieces:
                await wire.send_all(encode_chunk(piece) if body.trailers else piece)
        if body.trailers:
            await wire.send_all(encode_last(body.trailers))
    except Woken:
        if watch.expired or watch.gone:
            raise
        return False
    except (OSError, trio.BrokenResourceError) as error:
        # A reply may have been sent before the connection went: the caller looks for it, and finds
        # out that it is stale if there is none.
        if connection.wire.sock.fileno() < 0:
            raise UpstreamFailed("cut", f"connection lost while sending: {error}") from None
        return False
    finally:
        watch.sending = False
    return True
