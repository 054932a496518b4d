"""TLS on a wire, for both sides: an SSL object between two memory buffers, and nothing more.

A round trip of 1 KB costs 35 us of CPU here, 52 with trio.SSLStream. Knows bytes only.
"""

import socket
import ssl
from contextlib import suppress

import trio

from appliance.wire import Wire

RECORD_OVERHEAD_BYTES = 1024  # much more than it is
SEND_BYTES_MAX = 65536  # encrypted at a time, so that large bodies are not held twice


class TlsWire:
    """A Wire over another Wire (plain, or TLS to a proxy). `handshake` comes first.

    `truncated`: the peer's end of stream was not announced by TLS; where only the end of the
    connection tells the end of a body, such a body may have been cut by anybody.
    """

    __slots__ = (
        "_broken",
        "_early",
        "_ended",
        "_fault",
        "_in",
        "_inner",
        "_out",
        "_sending",
        "_tls",
        "sock",
        "truncated",
    )

    sock: socket.socket

    def __init__(
        self,
        inner: Wire,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        server_side: bool = False,
    ) -> None:
        self._inner = inner
        self.sock = inner.sock
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._in, self._out, server_side=server_side, server_hostname=server_hostname
        )
        self._sending = False
        self._broken = True  # until the handshake is through
        self._early = b""  # found by `peek`, given by the next recv
        self._ended = False
        self._fault: ssl.SSLError | None = None
        self.truncated = False

    @property
    def alpn(self) -> str | None:
        """The protocol agreed on, if any."""
        return self._tls.selected_alpn_protocol()

    @property
    def version(self) -> str | None:
        """`TLSv1.3` or `TLSv1.2`."""
        return self._tls.version()

    async def handshake(self) -> None:
        """Raises ssl.SSLError, OSError, Woken. No time limit: the caller keeps it."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                # The peer should learn why; if even that fails, the first error is the news.
                self._say(self._out.read())
                raise
            else:
                break
        self._broken = False
        await self._flush()

    async def recv(self) -> bytes:
        """Some bytes: one record, or as many as have arrived."""
        if self._early:
            return self._take_early()
        if not self._in.pending and not self._tls.pending():
            if self._fault is not None:
                raise self._fault
            if self._ended:
                return b""
            await self._fill()
        while True:
            try:
                data = self._tls.read(SEND_BYTES_MAX)
            except ssl.SSLWantReadError:
                # Session tickets and key updates are records without data.
                await self._flush()
                await self._fill()
                continue
            except ssl.SSLZeroReturnError:
                self._ended = True
                return b""
            except ssl.SSLError as error:
                if not is_cut(error):
                    raise
                self._ended = self.truncated = True
                return b""
            return self._with_following(data) if self._in.pending else data

    async def send_all(self, data: bytes) -> None:
        """Encrypt and send. One sender at a time; a receiver may run beside it."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this connection")
        if self._broken:
            raise BrokenPipeError("an earlier send on this connection did not finish")
        # What the wire below did not take is lost to us: only a whole send leaves TLS usable.
        self._sending = self._broken = True
        try:
            if len(data) <= SEND_BYTES_MAX:
                await self._send_piece(data)
            else:
                view = memoryview(data)
                for at in range(0, len(data), SEND_BYTES_MAX):
                    await self._send_piece(view[at : at + SEND_BYTES_MAX])
            self._broken = False
        finally:
            self._sending = False

    def takes_soon(self, size: int) -> bool:
        """Where nothing else is on its way out."""
        if self._sending or self._broken or self._out.pending:
            return False
        return self._inner.takes_soon(size + RECORD_OVERHEAD_BYTES)

    def send_soon(self, data: bytes) -> None:
        """See Wire. `takes_soon` has said yes."""
        self._tls.write(data)
        self._inner.send_soon(self._out.read())

    def wake(self) -> None:
        """End the wait that is going on, if any, with Woken."""
        self._inner.wake()

    def is_fresh(self) -> bool:
        """Open, with nothing unasked on it. Tickets that came late are taken in and forgiven."""
        return not self._broken and not self.peek()

    def peek(self) -> bool:
        """Whether `recv` would answer at once, with data, the end or an error. Takes in records
        without data, for which the socket looks readable. Not while another task is in `recv`."""
        if self._early or self._ended or self._fault is not None:
            return True
        try:
            self._fill_nowait()
        except OSError:
            return True
        try:
            self._early = self._tls.read(SEND_BYTES_MAX)
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            if is_cut(error):
                self._ended = self.truncated = True
            else:
                self._fault = error
        return True

    def close(self) -> None:
        """Close at once; a healthy connection is told so if its socket takes the few bytes."""
        if not self._broken and self.sock.fileno() >= 0:
            self._broken = True
            # It wants the peer's goodbye, for which nobody waits.
            with suppress(ssl.SSLError, ValueError):
                self._tls.unwrap()
            self._say(self._out.read())
        self._inner.close()

    def abort(self) -> None:
        """Close with a reset, and without the goodbye that would make it a clean end."""
        self._broken = True
        self._inner.abort()

    async def _fill(self) -> None:
        data = await self._inner.recv()
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _fill_nowait(self) -> None:
        if isinstance(self._inner, TlsWire):
            if not self._inner.peek():
                return
            data = self._inner._take_early()
        else:
            try:
                data = self.sock.recv(SEND_BYTES_MAX)
            except BlockingIOError:
                return
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _take_early(self) -> bytes:
        data, self._early = self._early, b""
        return data

    async def _flush(self) -> None:
        # A task that is sending takes along what reading has produced; two would mix records.
        if not self._out.pending or self._sending:
            return
        was_broken = self._broken
        self._sending = self._broken = True
        try:
            await self._inner.send_all(self._out.read())
            self._broken = was_broken
        finally:
            self._sending = False

    async def _send_piece(self, piece: bytes | memoryview) -> None:
        written = self._tls.write(piece)
        while written < len(piece):
            written += self._tls.write(piece[written:])
        while self._out.pending:
            await self._inner.send_all(self._out.read())

    def _with_following(self, data: bytes) -> bytes:
        """Join the records that came along, at most one fill of the buffer."""
        pieces = [data]
        try:
            while self._in.pending:
                pieces.append(self._tls.read(SEND_BYTES_MAX))
        except ssl.SSLWantReadError:
            pass  # half a record
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            # What was good before it goes out first; the next recv raises.
            self._fault = error
        return b"".join(pieces)

    def _say(self, last_words: bytes) -> None:
        if not last_words or isinstance(self._inner, TlsWire):
            return
        try:
            self.sock.send(last_words)
        except OSError:
            return


def is_cut(error: ssl.SSLError) -> bool:
    """Whether the connection ended without TLS having announced it. Python before 3.11.4 has no
    exception of its own for what OpenSSL 3 says then."""
    return isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING"
