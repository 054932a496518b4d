"""Replies as they arrive from a provider, in pieces of any size, and requests as they leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from appliance.errors import UpstreamFailed
from appliance.exchange import Body, Watch
from appliance.upstream.http1 import Stale, UpstreamConnection, UpstreamReply, send_request
from appliance.wire import Woken
from tests.fakes.memory_lane import MemoryWire

OK = b"HTTP/1.1 200 OK\r\n"


def split(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def reply_of(pieces: list[bytes], *, used: int = 1) -> UpstreamReply:
    connection = UpstreamConnection("key", MemoryWire(pieces))
    connection.used = used
    return UpstreamReply(connection)


async def whole(reply: UpstreamReply, method: bytes = b"POST") -> bytes:
    while not await reply.read_head(method, complete=True):
        pass
    body = b""
    while not reply.done:
        body += await reply.piece()
    return body


CHUNKS = b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n"
# reply, method, body, whether the connection may be used again
GOOD: dict[str, tuple[bytes, bytes, bytes, bool]] = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", b"POST", b"hello", True),
    "empty": (OK + b"Content-Length: 0\r\n\r\n", b"POST", b"", True),
    "chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"\r\n", b"POST",
                b"hello world", True),
    "chunked, trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"X-A: 1\r\n\r\n",
                          b"POST", b"hello world", True),
    "until close": (OK + b"\r\nhello", b"POST", b"hello", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"POST", b"hello", False),
    "HTTP/1.0, length": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"POST", b"hello",
                         False),
    "close": (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"POST", b"hello",
              False),
    "HEAD": (OK + b"Content-Length: 5\r\n\r\n", b"HEAD", b"", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"POST", b"", True),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"GET", b"", True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"POST", b"hello", True),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK
                    + b"Content-Length: 5\r\n\r\nhello", b"POST", b"hello", True),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("name", GOOD)
async def test_replies(name: str, size: int) -> None:
    data, method, body, reusable = GOOD[name]
    reply = reply_of(split(data, size))
    assert await whole(reply, method) == body
    assert reply.reusable is reusable
    assert reply.status in (200, 204, 304)
    if name == "chunked, trailers":
        assert reply.trailers == [(b"X-A", b"1")]


async def test_headers_are_kept_as_they_came() -> None:
    head = b"Set-Cookie: a=1\r\nset-cookie: b=2\r\nX-Odd: caf\xe9\r\nX-Empty:\r\nContent-Length: 0"
    reply = reply_of([b"HTTP/1.1 429 Slow Down\r\n" + head + b"\r\n\r\n"])
    await whole(reply)
    assert (reply.status, reply.reason) == (429, b"Slow Down")
    assert reply.headers == [
        (b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"X-Odd", b"caf\xe9"),
        (b"X-Empty", b""), (b"Content-Length", b"0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "behind", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"x", b"\r\n"]
)
@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 5\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
async def test_more_than_a_reply_ends_the_connection(data: bytes, behind: bytes) -> None:
    reply = reply_of([data + behind])
    assert b"evil" not in await whole(reply)
    assert not reply.reusable


BAD: dict[str, tuple[bytes, str, bytes]] = {
    "closed before the head": (b"", "cut", b""),
    "closed inside the head": (OK + b"Content-Le", "cut", b""),
    "shorter than its length": (OK + b"Content-Length: 10\r\n\r\nhello", "cut", b"hello"),
    "closed inside a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nA\r\nhello", "cut",
                              b"hello"),
    "no last chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "cut", b"hello"),
    "no end of trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n", "cut", b""),
    "not a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", "malformed",
                    b"hello"),
    "two lengths": (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "malformed", b""),
    "the same length twice": (
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "malformed", b"",
    ),
    "length and chunked": (
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"\r\n",
        "malformed", b"",
    ),
    "signed length": (OK + b"Content-Length: +5\r\n\r\nhello", "malformed", b""),
    "unasked coding": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "malformed", b""),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello\r\n\r\n", "malformed", b""),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "malformed", b""),
    "null in a value": (OK + b"X-A: a\x00b\r\n\r\n", "malformed", b""),
    "switching protocols": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "malformed",
                            b""),
    "a head without an end": (OK + b"X-A: 1\r\n" * 50_000, "malformed", b""),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("name", BAD)
async def test_broken_replies(name: str, size: int) -> None:
    data, outcome, good = BAD[name]
    if size == 1 and len(data) > 10_000:
        size = 5000
    reply = reply_of(split(data, size))
    body = b""
    with pytest.raises(UpstreamFailed) as raised:  # noqa: PT012 - whichever step it is
        await reply.read_head(b"POST", complete=True)
        while True:
            body += await reply.piece()
            assert not reply.done
    assert raised.value.name == outcome
    assert body == good
    assert not reply.done


async def test_only_a_used_connection_without_a_byte_is_stale() -> None:
    with pytest.raises(Stale):
        await reply_of([], used=2).read_head(b"POST", complete=True)
    with pytest.raises(UpstreamFailed):
        await reply_of([b"H"], used=2).read_head(b"POST", complete=True)
    with pytest.raises(UpstreamFailed):
        await reply_of([], used=1).read_head(b"POST", complete=True)


async def test_an_unfinished_request_leaves_the_connection_unusable() -> None:
    reply = reply_of([OK + b"Content-Length: 0\r\n\r\n"])
    await reply.read_head(b"POST", complete=False)
    assert reply.done
    assert not reply.reusable


# -- requests ------------------------------------------------------------------------------------


class PiecesOnDisk:
    """Stands for a spilled body."""

    length = 6

    async def pieces(self) -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"


class BreakingWire(MemoryWire):
    """Fails, or is woken, at its second send."""

    def __init__(self, error: BaseException) -> None:
        super().__init__([])
        self.error = error

    async def send_all(self, data: bytes) -> None:
        if self.sent:
            raise self.error
        self.sent.append(data)


TRAILERS = [(b"X-Sum", b"1")]
BODIES: list[tuple[Body, bytes]] = [
    (Body(), b""),
    (Body(b"abcdef", None, 6), b"abcdef"),
    (Body(b"", PiecesOnDisk(), 6), b"abcdef"),
    (Body(b"abcdef", None, 6, TRAILERS), b"6\r\nabcdef\r\n0\r\nX-Sum: 1\r\n\r\n"),
    (Body(b"", None, 0, TRAILERS), b"0\r\nX-Sum: 1\r\n\r\n"),
    (Body(b"", PiecesOnDisk(), 6, TRAILERS),
     b"3\r\nabc\r\n3\r\ndef\r\n0\r\nX-Sum: 1\r\n\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "sent"), BODIES)
async def test_requests(body: Body, sent: bytes) -> None:
    wire = MemoryWire([])
    connection = UpstreamConnection("key", wire)
    watch = Watch(None)
    assert await send_request(connection, b"HEAD|", body, watch) is True
    assert b"".join(wire.sent) == b"HEAD|" + sent
    assert connection.used == 1
    assert watch.sending is False


@pytest.mark.parametrize("error", [Woken(), BrokenPipeError()])
async def test_a_reply_may_come_while_the_body_is_sent(error: Any) -> None:
    """Woken without a reason of the Watch's, or broken: the caller looks for the reply."""
    connection = UpstreamConnection("key", BreakingWire(error))
    body = Body(b"", PiecesOnDisk(), 6)
    assert await send_request(connection, b"HEAD|", body, Watch(None)) is False


async def test_a_deadline_while_sending_is_a_deadline() -> None:
    connection = UpstreamConnection("key", BreakingWire(Woken()))
    watch = Watch(None)
    watch.expired = "total"
    with pytest.raises(Woken):
        await send_request(connection, b"HEAD|", Body(b"", PiecesOnDisk(), 6), watch)


async def test_a_used_connection_that_breaks_while_sending_is_stale() -> None:
    wire = BreakingWire(BrokenPipeError())
    wire.sent.append(b"an earlier request")
    connection = UpstreamConnection("key", wire)
    connection.used = 1
    body = Body(b"x", None, 1)
    assert await send_request(connection, b"HEAD|", body, Watch(None)) is False
    with pytest.raises(Stale):  # unless a reply came before it broke
        await UpstreamReply(connection).read_head(b"POST", complete=False)


async def test_a_hint_is_a_byte_of_the_reply() -> None:
    """The provider was at work: asked again on another connection, it would do it twice."""
    reply = reply_of([b"HTTP/1.1 103 Early Hints\r\n\r\n"], used=2)
    with pytest.raises(UpstreamFailed, match="connection lost before the reply"):
        await whole(reply)


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 099 Odd\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n" * 33 + OK + b"\r\n"]
)
async def test_heads_before_the_head_have_bounds(data: bytes) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        await whole(reply_of([data]))
    assert caught.value.name == "malformed"
