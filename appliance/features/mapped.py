"""A provider's reply in the client's own format: the whole, or event by event (proxy.md 6.10).

The record keeps what the provider said, and is written before the last byte leaves, as in
`relay.py`. Every write of a stream is one or more whole events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import trio

from appliance import fence
from appliance.core.decoding import decode_body
from appliance.core.terminal import TerminalScanner
from appliance.core.whole_events import WholeEvents
from appliance.errors import UpstreamFailed
from appliance.exchange import NEVER_S, Exchange, Headers, TapLike, hung_up, monotonic
from appliance.wire import Woken

if TYPE_CHECKING:
    from appliance.providers.dialects.mapping import ReplyMap

REPLY_BYTES_MAX = 32 * 1024 * 1024
# How long the beginning of an event waits for its end.
HELD_S = 0.05
STREAMS = ("text/event-stream", "application/vnd.amazon.eventstream")
EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
JSON = (b"content-type", b"application/json")
# They speak of the bytes that the provider sent.
OF_THE_BODY = frozenset((b"content-type", b"content-length", b"content-encoding", b"trailer"))
MAPPING = "gateway-mapping"
UNMAPPED = "gateway-mapping;reason=reply-not-understood"


class ProviderReply(Protocol):
    """What is asked of a provider's reply, or of a kept one."""

    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> bytes: ...
    @property
    def first(self) -> dict[bytes, bytes]: ...
    @property
    def done(self) -> bool: ...
    async def piece(self) -> bytes: ...
    def end_to_end(self) -> Headers: ...


async def relay_mapped(
    x: Exchange, reply: ProviderReply, tap: TapLike, gap_s: float, mapping: ReplyMap
) -> None:
    """Pass a good reply on in the client's format. Raises UpstreamFailed when it breaks off, or is
    an error though its status is none; Woken when woken; OSError when the client's side broke."""
    kind = reply.first.get(b"content-type", b"").decode("latin-1")
    x.response_type = kind
    x.response_coding = reply.first.get(b"content-encoding", b"").decode("latin-1")
    lowered = ((field, field[0].lower()) for field in reply.end_to_end())
    headers = [field for field, name in lowered if name not in OF_THE_BODY]
    x.reply.watch.enter("gap", gap_s)
    if kind.startswith(STREAMS) and not x.response_coding:
        await _stream(x, reply, tap, gap_s, mapping, headers)
    else:
        await _whole(x, reply, tap, gap_s, mapping, headers)


async def _whole(
    x: Exchange,
    reply: ProviderReply,
    tap: TapLike,
    gap_s: float,
    mapping: ReplyMap,
    headers: Headers,
) -> None:
    pieces: list[bytes] = []
    try:
        await _gather(x, reply, gap_s, pieces)
    except (UpstreamFailed, Woken):
        _ended_early(x, reply.status, b"".join(pieces), tap)
        raise
    data = b"".join(pieces)
    headers = [*headers, JSON]
    try:
        body = mapping.whole(decode_body(data, x.response_coding or None).data)
    except UpstreamFailed:
        raise
    except Exception as error:  # open: what is not understood is passed on as it came, and told
        if not isinstance(error, ValueError):
            fence.broke(x, MAPPING, error)
        kept = reply.end_to_end()
        body, headers = data, [field for field in kept if field[0].lower() != b"content-length"]
        fence.note(x, UNMAPPED)
    tap.add(data)
    if tap.heavy:
        await tap.unload()
    x.http_status = reply.status
    x.started = True
    await tap.seal("client_gone" if x.reply.watch.gone else "complete")
    headers = [*headers, (b"content-length", b"%d" % len(body)), *x.reply_headers]
    await x.reply.start(reply.status, reply.reason, headers, len(body), body, last=True)


async def _gather(x: Exchange, reply: ProviderReply, gap_s: float, pieces: list[bytes]) -> None:
    """The whole body, piece by piece. Raises UpstreamFailed, Woken."""
    size = 0
    while not reply.done:
        piece = await reply.piece()
        x.reply.watch.enter("gap", gap_s)
        if piece and not x.first_byte_s:
            x.first_byte_s = monotonic()
        pieces.append(piece)
        size += len(piece)
        if size > REPLY_BYTES_MAX:
            raise UpstreamFailed("malformed", "the reply is over 32 MiB: too large to be mapped")


def _ended_early(x: Exchange, status: int, data: bytes, tap: TapLike) -> None:
    """What was seen of it has been paid for: it is the record's body where the client has left, and
    no other reply follows; else it is billed by itself (features/cut_off.py)."""
    if x.reply.watch.gone:
        tap.add(data)
        x.http_status = status
    else:
        x.cut_off = status, data


async def _stream(
    x: Exchange,
    reply: ProviderReply,
    tap: TapLike,
    gap_s: float,
    mapping: ReplyMap,
    headers: Headers,
) -> None:
    watch = x.reply.watch
    whole = WholeEvents() if mapping.is_same else None
    held_until_s = NEVER_S
    scanner = TerminalScanner(x.dialect)
    x.http_status = reply.status
    x.started = True
    sent = [*headers, EVENTS, *x.reply_headers]
    try:
        await x.reply.start(reply.status, reply.reason, sent, None, b"")
    except OSError:
        hung_up(x)
    while True:
        if not watch.gone:
            watch.enter("gap", gap_s)
        piece = await _next(reply, held_until_s)
        if piece is None:
            assert whole is not None, "it holds something"
            held_until_s = NEVER_S
            await _write(x, whole.flush())
            continue
        if piece:
            if not x.first_byte_s:
                x.first_byte_s = monotonic()
            tap.add(piece)
            if tap.heavy:
                await tap.unload()
        ended = bool(piece) and scanner.feed(piece)
        if watch.gone:
            if reply.done:
                return
            continue
        out = whole.feed(piece) if whole is not None else _mapped(x, mapping.feed, piece)
        if whole is not None:
            if not whole.held:
                held_until_s = NEVER_S
            elif out or held_until_s == NEVER_S:  # another event has begun; else its wait goes on
                held_until_s = trio.current_time() + HELD_S
        # The last word may be wrapped (Bedrock): whoever has taken it out knows that it was said.
        if ended or reply.done or mapping.is_done:
            await tap.seal("complete")
        if reply.done:
            out += whole.flush() if whole is not None else _mapped(x, mapping.finish)
            await x.reply.finish(out, [])
            return
        if out:
            await _write(x, out)


def _mapped(x: Exchange, work: Callable[..., bytes], *piece: bytes) -> bytes:
    """A step of the mapping. Raises UpstreamFailed also for what it cannot make sense of: half of a
    stream has been said in one format, and cannot go on in another."""
    try:
        return work(*piece)
    except UpstreamFailed:
        raise
    except Exception as error:
        fence.broke(x, MAPPING, error)
        raise UpstreamFailed("malformed", "the reply's stream was not understood") from error


async def _next(reply: ProviderReply, until_s: float) -> bytes | None:
    """The next piece; None when the beginning of an event has waited for its end long enough."""
    if until_s == NEVER_S:
        return await reply.piece()
    with trio.move_on_at(until_s):
        return await reply.piece()
    return None


async def _write(x: Exchange, data: bytes) -> None:
    try:
        await x.reply.write(data)
    except OSError:
        hung_up(x)
