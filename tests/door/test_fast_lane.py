"""The fast lane over real sockets, with a pipeline of the test's own behind it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from appliance.config_options import Deadlines
from appliance.door.listener import Door
from appliance.exchange import Body, Exchange, Head, Headers, Watch
from appliance.wire import Wire

Handle = Callable[[Exchange], Awaitable[None]]
OK = [(b"content-length", b"2")]


@dataclass
class Route:
    lane: str = "llm"


@dataclass
class MemoryLog:
    lines: list[str] = field(default_factory=list)

    def warning(self, event: str, **facts: object) -> None:
        self.lines.append(event)

    def error(self, event: str, **facts: object) -> None:
        self.lines.append(event)

    def bug(self, event: str, error: BaseException) -> None:
        self.lines.append(f"bug {error}")


class MemorySink:
    """A body in memory, in the pieces in which it came."""

    made: list[MemorySink]

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.aborted = False

    async def write(self, piece: bytes) -> None:
        self.pieces.append(piece)
        await trio.lowlevel.checkpoint()

    async def close(self, trailers: Headers) -> Body:
        data = b"".join(self.pieces)
        return Body(data, None, len(data), trailers)

    def abort(self) -> None:
        self.aborted = True


class OtherLane:
    """Stands for the full lane: says what it was given."""

    def __init__(self) -> None:
        self.given: list[bytes] = []

    def join(self, sweeper: object, body_s: float) -> None:
        pass

    async def serve(self, wire: Wire, data: bytes, watch: Watch, scheme: bytes) -> None:
        self.given.append(data)
        await wire.send_all(b"full lane: %d bytes" % len(data))


class House:
    """A door on a free port."""

    def __init__(self, handle: Handle, nursery: trio.Nursery, **options: Any) -> None:
        self.log = MemoryLog()
        self.full = OtherLane()
        self.sinks: list[MemorySink] = []
        given: dict[str, Any] = {
            "deadlines": Deadlines(),
            "body_bytes_max": 1 << 20,
            "connections_max": 100,
            **options,
        }
        self.door = Door(
            handle=handle,
            route=self.route,
            full=self.full,
            body_sink=self.sink,
            log=self.log,
            **given,
        )
        self.listener = socket.create_server(("127.0.0.1", 0))
        nursery.start_soon(self.door.sweeper.run)
        nursery.start_soon(self.door.serve_listener, self.listener, None, nursery)

    def route(self, head: Head) -> Route:
        return Route("full" if head.target.startswith(b"/ui") else "llm")

    def sink(self, region: str) -> MemorySink:
        self.sinks.append(MemorySink())
        return self.sinks[-1]

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.listener.getsockname()[1])


@asynccontextmanager
async def house_of(handle: Handle, **options: Any) -> AsyncIterator[House]:
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            house = House(handle, nursery, **options)
            try:
                yield house
            finally:
                house.listener.close()
                nursery.cancel_scope.cancel()


async def answer(x: Exchange) -> None:
    """Reads the body and says `ok`."""
    await x.reply.read_body(x)
    await x.reply.start(200, b"", OK, 2, b"ok", last=True)


async def read_all(stream: trio.SocketStream) -> bytes:
    data = b""
    while piece := await stream.receive_some():
        data += piece
    return data


async def read_until(stream: trio.SocketStream, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = await stream.receive_some()
        assert piece, data
        data += piece
    return data


def post(body: bytes, *lines: bytes, target: bytes = b"/v1/x") -> bytes:
    head = [b"POST %b HTTP/1.1" % target, b"Host: a", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


async def test_requests_one_after_another() -> None:
    seen: list[bytes] = []

    async def handle(x: Exchange) -> None:
        await answer(x)
        seen.append(x.body.data)

    async with house_of(handle) as house, await house.connect() as stream:
        for body in (b"one", b"", b"three" * 1000):
            await stream.send_all(post(body))
            reply = await read_until(stream, b"\r\n\r\nok")
            assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"close" not in reply
        await stream.send_all(post(b"four") + post(b"five", b"Connection: close"))
        assert (await read_all(stream)).count(b"\r\n\r\nok") == 2
    assert seen == [b"one", b"", b"three" * 1000, b"four", b"five"]


async def test_hand_over_gives_every_byte() -> None:
    behind = b"GET /ui HTTP/1.1\r\nHost: a\r\n\r\nand what came after"
    async with house_of(answer) as house, await house.connect() as stream:
        await stream.send_all(post(b"x") + behind)
        said = await read_all(stream)
    assert said.endswith(b"full lane: %d bytes" % len(behind))
    assert house.full.given == [behind]


async def test_http_2_preface_in_pieces() -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    async with house_of(answer) as house, await house.connect() as stream:
        for at in range(len(preface)):
            await stream.send_all(preface[at : at + 1])
        await read_all(stream)
    assert house.full.given == [preface]


async def test_a_bug_ends_its_connection_and_no_other() -> None:
    async def handle(x: Exchange) -> None:
        if x.head.target == b"/bug":
            raise KeyError("bug")
        await answer(x)

    async with house_of(handle) as house:
        async with await house.connect() as good, await house.connect() as bad:
            await bad.send_all(post(b"", target=b"/bug"))
            assert await read_all(bad) == b""
            await good.send_all(post(b"x"))
            await read_until(good, b"\r\n\r\nok")
        assert house.log.lines == ["bug 'bug'"]


async def test_100_continue_only_when_the_body_is_asked_for() -> None:
    asked = trio.Event()

    async def handle(x: Exchange) -> None:
        await asked.wait()
        await answer(x)

    async with house_of(handle) as house, await house.connect() as stream:
        await stream.send_all(post(b"body", b"Expect: 100-continue")[:-4])
        with trio.move_on_after(0.1) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught
        asked.set()
        assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send_all(b"body")
        await read_until(stream, b"\r\n\r\nok")


async def test_a_reply_before_the_body_was_read_closes_and_is_readable() -> None:
    """What is still sent is read and thrown away: a reset would take the reply from the client."""

    async def handle(x: Exchange) -> None:
        await x.reply.start(401, b"", OK, 2, b"no", last=True)

    async with house_of(handle) as house, await house.connect() as stream:
        await stream.send_all(post(b"x" * 200_000))
        said = await read_all(stream)
    assert said.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"connection: close\r\n" in said
    assert said.endswith(b"no")


@pytest.mark.parametrize("chunked", [False, True])
async def test_too_large(chunked: bool) -> None:
    refused: list[int] = []

    async def handle(x: Exchange) -> None:
        try:
            await x.reply.read_body(x)
        except Exception as error:
            refused.append(error.status)  # type: ignore[attr-defined]
            await x.reply.start(413, b"", OK, 2, b"no", last=True)

    async with house_of(handle, body_bytes_max=1000) as house, await house.connect() as stream:
        if chunked:
            head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            await stream.send_all(head + b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n")
        else:
            await stream.send_all(post(b"x" * 1001, b"Expect: 100-continue"))
        assert (await read_all(stream)).startswith(b"HTTP/1.1 413 ")
        assert refused == [413]
        assert all(sink.aborted for sink in house.sinks)


async def test_heads_of_head_requests_and_bare_statuses_have_no_body() -> None:
    async def handle(x: Exchange) -> None:
        status = int(x.head.target[1:])
        await x.reply.start(status, b"Fine", [], None, b"body", last=True)

    async with house_of(handle) as house, await house.connect() as stream:
        await stream.send_all(b"HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await read_until(stream, b"\r\n\r\n") == b"HTTP/1.1 200 Fine\r\n\r\n"
        for status in (b"204", b"304"):
            await stream.send_all(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % status)
            assert (await read_until(stream, b"\r\n\r\n")).endswith(b" Fine\r\n\r\n")


async def test_streams_are_chunked_with_trailers() -> None:
    async def handle(x: Exchange) -> None:
        await x.reply.start(200, b"", [], None, b"one")
        await x.reply.write(b"two")
        await x.reply.finish(b"three", [(b"X-Sum", b"abc")])

    async with house_of(handle) as house, await house.connect() as stream:
        await stream.send_all(post(b""))
        said = await read_until(stream, b"\r\n0\r\nX-Sum: abc\r\n\r\n")
    assert said.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\nX-Sum: abc\r\n\r\n")


async def test_an_abandoned_reply_has_no_clean_end() -> None:
    async def handle(x: Exchange) -> None:
        await x.reply.start(200, b"", [], None, b"one")
        x.reply.abandon()

    async with house_of(handle) as house, await house.connect() as stream:
        await stream.send_all(post(b""))
        assert (await read_all(stream)).endswith(b"\r\n\r\n3\r\none\r\n")


async def test_clients_that_have_gone_are_noticed() -> None:
    """The sweeper asks the kernel; nobody reads from the client meanwhile."""
    arrived, woken = trio.Event(), trio.Event()

    class Waiting:
        def wake(self) -> None:
            woken.set()

    async def handle(x: Exchange) -> None:
        x.reply.watch.upstream = Waiting()
        arrived.set()
        await woken.wait()
        assert x.reply.watch.gone

    async with house_of(handle) as house:
        async with await house.connect() as stream:
            await stream.send_all(post(b""))
            await arrived.wait()
        with trio.fail_after(30):
            await woken.wait()


SHORT = Deadlines(client_head_s=0.1, client_idle_s=0.1, client_body_s=0.1)


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHo", post(b"x")])
async def test_idle_connections_and_unfinished_heads_end(sent: bytes) -> None:
    async with house_of(answer, deadlines=SHORT) as house, await house.connect() as stream:
        if sent:
            await stream.send_all(sent)
        await read_all(stream)
        assert house.log.lines == []


async def test_draining_ends_idle_connections_and_lets_busy_ones_finish() -> None:
    arrived, go = trio.Event(), trio.Event()

    async def handle(x: Exchange) -> None:
        arrived.set()
        await go.wait()
        await answer(x)

    async with (
        house_of(handle) as house,
        await house.connect() as idle,
        await house.connect() as busy,
    ):
        await busy.send_all(post(b"x"))
        await arrived.wait()
        house.door.drain()
        assert await read_all(idle) == b""
        go.set()
        said = await read_all(busy)
        assert said.endswith(b"\r\n\r\nok")


async def test_too_many_connections_are_told_so() -> None:
    async with house_of(answer, connections_max=1) as house:
        async with await house.connect() as first:
            await first.send_all(post(b"x"))
            await read_until(first, b"\r\n\r\nok")
            async with await house.connect() as second:
                said = await read_all(second)
            assert said.startswith(b"HTTP/1.1 503 ")
            assert b"connections_max" in said
        assert house.door.refused == 1
