"""The provider's reply to the client: chunk by chunk, nothing between, and an honest end.

The record is written before the last byte leaves (ARCHITECTURE 3, Honest ends), so that a reply
which a client saw finished is on record whatever happens next.
"""

from __future__ import annotations

from appliance.core.force_format import Gluer
from appliance.core.terminal import TerminalScanner
from appliance.errors import UpstreamFailed
from appliance.exchange import NEVER_S, Exchange, Headers, TapLike, hung_up, monotonic
from appliance.upstream.http1 import UpstreamReply
from appliance.wire import Woken


def client_headers(reply: UpstreamReply, x: Exchange) -> Headers:
    """The provider's header lines, untouched and in order. Ours go after them, once it is known
    what they say."""
    first = reply.first
    value = first.get(b"content-type")
    if value is not None:
        x.response_type = value.decode("latin-1")
    value = first.get(b"content-encoding")
    if value is not None:
        x.response_coding = value.decode("latin-1")
    return reply.end_to_end()


async def relay(x: Exchange, reply: UpstreamReply, tap: TapLike, gap_s: float) -> None:
    """Pass the reply on to its end. Raises UpstreamFailed when it breaks off, Woken when woken,
    OSError when the client's connection is broken."""
    headers = client_headers(reply, x)
    kind = reply.framing.kind
    # Headers of a stream go at once; of a body of known length with its first bytes, in one write.
    streams = kind in ("chunked", "until_close")
    length = None if streams else reply.framing.length
    events = x.response_type.startswith("text/event-stream")
    scanner = TerminalScanner(x.dialect) if events else None
    gluer = Gluer() if x.asks.stream_force_format and events else None
    piece = b""
    x.reply.watch.enter("gap", gap_s)
    if not reply.done and (reply.buffered() or not streams):
        piece = await reply.piece()
        if piece:
            x.first_byte_s = monotonic()
            tap.add(piece)
    # What is no status for a client is told as 500 (`proxy.md 3.1`).
    status, reason = (reply.status, reply.reason) if 200 <= reply.status < 600 else (500, b"")
    x.http_status = status
    x.started = True
    if reply.done:
        await tap.seal("client_gone" if x.reply.watch.gone else "complete")
        headers += x.reply_headers
        await x.reply.start(
            status, reason, headers, length, piece, last=True, trailers=reply.trailers
        )
        return
    ended = scanner is not None and bool(piece) and scanner.feed(piece)
    if ended and not x.reply.watch.gone:
        await tap.seal("complete")
    if gluer is not None:
        piece = gluer.flush(piece) if ended else gluer.feed(piece)
    try:
        await x.reply.start(status, reason, headers + x.reply_headers, length, piece)
    except OSError:
        hung_up(x)
    try:
        await _pieces(x, reply, tap, gap_s, scanner, gluer)
    except (UpstreamFailed, Woken):
        if gluer is not None:
            await _let_go(x, gluer)  # noqa: ASYNC120 - what fails in there is the reason then
        raise


async def _let_go(x: Exchange, gluer: Gluer) -> None:
    """The reply breaks off: what was held of it goes out first, unless nobody is there to take it.
    A deadline that has passed is put aside meanwhile: it would end this write too."""
    watch = x.reply.watch
    if watch.gone or watch.expired not in ("", "gap", "total"):
        return
    expired, watch.expired, watch.total_s = watch.expired, "", NEVER_S
    await x.reply.write(gluer.flush(b""))
    watch.expired = expired


async def _pieces(
    x: Exchange,
    reply: UpstreamReply,
    tap: TapLike,
    gap_s: float,
    scanner: TerminalScanner | None,
    gluer: Gluer | None,
) -> None:
    """What comes after the first write. When the client has gone and `drain_s` is set, the reply
    is read on for its usage and sent nowhere."""
    watch = x.reply.watch
    while True:
        if not watch.gone:
            watch.enter("gap", gap_s)
        piece = await reply.piece()
        if piece:
            if not x.first_byte_s:
                x.first_byte_s = monotonic()
            tap.add(piece)
            if tap.heavy:
                await tap.unload()
        ended = scanner is not None and bool(piece) and scanner.feed(piece)
        if ended and not watch.gone:
            await tap.seal("complete")
        if watch.gone:
            if reply.done:
                return
            continue
        if reply.done:
            await tap.seal("complete")
            await x.reply.finish(gluer.flush(piece) if gluer else piece, reply.trailers)
            return
        if gluer is not None:
            piece = gluer.flush(piece) if ended else gluer.feed(piece)
        if piece:
            try:
                await x.reply.write(piece)
            except OSError:
                hung_up(x)
