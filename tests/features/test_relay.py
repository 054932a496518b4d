"""The relay: what is passed on, and that the record comes before the last byte."""

from __future__ import annotations

import pytest

from appliance.errors import UpstreamFailed
from appliance.features.relay import relay
from appliance.wire import Woken
from tests.features.reply_kit import Diary, exchange_of, reply_of

OK = b"HTTP/1.1 200 OK\r\n"
SSE = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"delta":{"content":"hello"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def relayed(pieces: list[bytes], diary: Diary | None = None, **options: bool) -> Diary:
    diary = diary or Diary()
    await relay(exchange_of(diary, **options), await reply_of(pieces), diary, 60.0)  # type: ignore[arg-type]
    return diary


async def test_a_whole_body_is_one_write_behind_its_record() -> None:
    diary = await relayed([OK + b"Content-Length: 5\r\n\r\nhello"])
    assert diary.events == ["seal", "start", "end"]
    assert diary.body == diary.seen == b"hello"


async def test_a_body_in_pieces_is_sealed_before_the_last() -> None:
    diary = await relayed([OK + b"Content-Length: 9\r\n\r\n", b"one", b"two", b"thr"])
    assert diary.events == ["start", "write", "seal", "end"]
    assert diary.body == b"onetwothr"


async def test_a_stream_is_sealed_before_its_terminal_event() -> None:
    diary = await relayed([SSE, chunk(EVENT), chunk(EVENT), chunk(DONE), END])
    assert diary.events == ["start", "write", "write", "seal", "write", "end"]
    assert diary.body == EVENT * 2 + DONE


async def test_a_terminal_event_in_two_pieces() -> None:
    diary = await relayed([SSE, chunk(EVENT), chunk(DONE[:9]), chunk(DONE[9:]), END])
    assert diary.events == ["start", "write", "write", "seal", "write", "end"]


async def test_all_of_a_stream_at_once() -> None:
    diary = await relayed([SSE + chunk(EVENT) + chunk(DONE) + END])
    assert diary.events == ["seal", "start", "end"]
    assert diary.body == EVENT + DONE


@pytest.mark.parametrize(
    ("rest", "name"), [([], "cut"), ([b"zz\r\n"], "malformed"), ([chunk(EVENT)], "cut")]
)
async def test_a_cut_stream_is_neither_sealed_nor_ended(rest: list[bytes], name: str) -> None:
    diary = Diary()
    with pytest.raises(UpstreamFailed) as raised:
        await relayed([SSE, chunk(EVENT), *rest], diary)
    assert raised.value.name == name
    assert "seal" not in diary.events
    assert "end" not in diary.events
    assert diary.body == diary.seen == EVENT * (1 + len(rest) * (name == "cut"))


async def test_trailers_and_until_close() -> None:
    trailed = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"x") + b"0\r\nX-A: 1\r\n\r\n"
    assert (await relayed([trailed])).trailers == [(b"X-A", b"1")]
    diary = await relayed([OK + b"\r\n", b"until", b"close"])
    assert (diary.body, diary.events[-2:]) == (b"untilclose", ["seal", "end"])


async def test_headers() -> None:
    head = (
        b"Set-Cookie: a\r\nset-cookie: b\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
        b"Keep-Alive: 5\r\nTE: x\r\nUpgrade: h2c\r\nTrailer: X-A\r\nX-Odd: caf\xe9\r\n"
    )
    diary = await relayed([OK + head + b"Content-Length: 0\r\n\r\n"])
    assert diary.headers == [
        (b"Set-Cookie", b"a"),
        (b"set-cookie", b"b"),
        (b"Trailer", b"X-A"),
        (b"X-Odd", b"caf\xe9"),
        (b"Content-Length", b"0"),
        (b"Helicone-Id", b"1"),
    ]


@pytest.mark.parametrize(("given", "told"), [(b"200", 200), (b"599", 599), (b"600", 500)])
async def test_status(given: bytes, told: int) -> None:
    diary = await relayed([b"HTTP/1.1 " + given + b" X\r\nContent-Length: 0\r\n\r\n"])
    assert diary.status == told


# -- stream-force-format -------------------------------------------------------------------------

SMALL = b'data: {"a":1}\n\n'


async def test_small_chunks_are_glued_and_none_is_lost() -> None:
    pieces = [SSE, *[chunk(SMALL)] * 7, chunk(DONE), END]
    diary = await relayed(pieces, glue=True)
    assert diary.body == SMALL * 7 + DONE
    # Four of fifteen bytes make one of at least fifty.
    assert diary.events == ["start", "write", "seal", "write", "end"]


async def test_what_was_held_goes_out_before_a_cut() -> None:
    diary = Diary()
    with pytest.raises(UpstreamFailed):
        await relayed([SSE, chunk(SMALL)], diary, glue=True)
    assert diary.body == SMALL


@pytest.mark.parametrize(
    ("expired", "gone", "held"),
    [("gap", False, SMALL), ("total", False, SMALL), ("client_write", False, b""), ("", True, b"")],
)
async def test_or_before_a_deadline_ends_it(expired: str, gone: bool, held: bytes) -> None:
    diary = Diary()
    reply = await reply_of([SSE, chunk(SMALL)])
    wire = reply._connection.wire
    first = wire.recv

    async def recv() -> bytes:
        data = await first()
        if not data:
            diary.watch.expired, diary.watch.gone = expired, gone
            raise Woken
        return data

    wire.recv = recv  # type: ignore[method-assign]
    with pytest.raises(Woken):
        await relay(exchange_of(diary, glue=True), reply, diary, 60.0)  # type: ignore[arg-type]
    assert (diary.body, diary.watch.expired) == (held, expired)


async def test_only_streams_of_events_are_glued() -> None:
    plain = OK + b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    diary = await relayed([plain, chunk(b"a"), chunk(b"b"), END], glue=True)
    assert diary.events == ["start", "write", "write", "seal", "end"]


# -- a client that goes --------------------------------------------------------------------------


@pytest.mark.parametrize("breaks_after", [0, 1])
async def test_a_broken_client_ends_the_relay(breaks_after: int) -> None:
    diary = Diary(breaks_after=breaks_after)
    with pytest.raises(BrokenPipeError):
        await relayed([SSE, chunk(EVENT), chunk(EVENT), chunk(DONE), END], diary)
    assert "seal" not in diary.events


@pytest.mark.parametrize("breaks_after", [0, 1])
async def test_or_the_reply_is_read_on_without_it(breaks_after: int) -> None:
    """`drain_s`: all is seen, nothing more is sent, and it does not count as complete."""
    diary = Diary(breaks_after=breaks_after, drain_s=5.0)
    await relayed([SSE, chunk(EVENT), chunk(EVENT), chunk(DONE), END], diary)
    assert diary.seen == EVENT * 2 + DONE
    assert diary.watch.gone
    assert "seal" not in diary.events
    assert "end" not in diary.events
