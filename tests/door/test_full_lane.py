"""The full lane alone, over a socket pair: when it is loaded, exceptions, slow clients."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from appliance.door.asgi import FullLane
from appliance.door.asgi_hypercorn import Hypercorn
from appliance.door.own_app import Receive, Scope, Send
from appliance.door.route_types import Kind, Route
from appliance.errors import Refusal
from appliance.exchange import Exchange, Head, Watch
from appliance.wire import PlainWire

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class App:
    """An ASGI app that does what it is told."""

    def __init__(self, how: str = "") -> None:
        self.how = how
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.how == "raises first":
            raise RuntimeError("a bug")
        if self.how == "reads":
            try:
                while (await receive()).get("more_body"):
                    pass
            except Refusal as refusal:
                self.seen.append(refusal.code)
                body = refusal.code.encode()
                head = [(b"content-length", b"%d" % len(body))]
                await send({"type": START["type"], "status": refusal.status, "headers": head})
                await send({"type": "http.response.body", "body": body})
                return
        if self.how == "floods":
            await send({"type": START["type"], "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send(dict(START))
        if self.how == "raises inside":
            await send({"type": "http.response.body", "body": b"go", "more_body": True})
            raise RuntimeError("a bug")
        await send({"type": "http.response.body", "body": b"good"})


async def no_exchange(x: Exchange) -> None:
    raise AssertionError("not called")


def own(head: Head) -> Route:
    return Route(Kind.OWN, 1, "full")


@asynccontextmanager
async def lane(app: App) -> AsyncIterator[FullLane]:
    made = FullLane(
        app,
        handle=no_exchange,
        route=own,
        write_s=0.2,
        idle_s=5,
        body_sink=lambda region: None,
        body_bytes_max=1000,
    )
    with trio.fail_after(30):
        yield made


@asynccontextmanager
async def connection(made: FullLane, data: bytes = b"") -> AsyncIterator[trio.SocketStream]:
    """A client whose connection was handed over with `data`."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    ours, _ = listener.accept()
    listener.close()
    client.setblocking(False)
    wire = PlainWire(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.serve, wire, data, Watch(wire), b"http")
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
        async with stream:
            yield stream
        nursery.cancel_scope.cancel()
    wire.close()


async def read_all(stream: trio.SocketStream) -> bytes:
    data = b""
    async for piece in stream:
        data += piece
    return data


async def test_hypercorn_is_loaded_by_the_first_connections_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads: list[FullLane] = []
    load = FullLane._load

    def counted(made: FullLane) -> Hypercorn:
        loads.append(made)
        return load(made)

    monkeypatch.setattr(FullLane, "_load", counted)
    async with lane(App()) as made:
        assert not loads
        async with connection(made, GET) as one, connection(made, GET) as other:
            for client in (one, other):
                assert (await client.receive_some()).startswith(b"HTTP/1.1 200")
    assert len(loads) == 1


async def test_a_connection_that_waits_for_it_at_the_end_is_told_to_go() -> None:
    async with lane(App()) as made:
        await made.drain()
        async with connection(made, GET) as client:
            reply = await read_all(client)
    assert reply.startswith(b"HTTP/1.1 200")
    assert reply.endswith(b"good")


async def test_a_bug_before_the_reply_is_a_500_and_a_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with lane(App("raises first")) as made, connection(made, GET) as client:
        assert (await client.receive_some()).startswith(b"HTTP/1.1 500")
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [RuntimeError]


async def test_a_bug_inside_the_reply_cuts_it(caplog: pytest.LogCaptureFixture) -> None:
    async with lane(App("raises inside")) as made, connection(made, GET) as client:
        data = await read_all(client)
    assert data.endswith(b"\r\n\r\ngo")
    assert len(caplog.records) == 1


async def test_a_request_body_that_stops_coming_is_408(caplog: pytest.LogCaptureFixture) -> None:
    app = App("reads")
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
    async with lane(app) as made, connection(made, post) as client:
        assert (await client.receive_some()).startswith(b"HTTP/1.1 408")
    assert app.seen == ["body_too_slow"]
    assert not caplog.records


async def test_a_client_that_goes_inside_its_body_is_no_bug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
    async with lane(App("reads")) as made, connection(made, post) as client:
        await client.send_eof()
        await read_all(client)
    assert not caplog.records


async def test_a_client_that_reads_nothing_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []
    async with lane(App("floods")) as made:
        listener = socket.create_server(("127.0.0.1", 0))
        with socket.create_connection(listener.getsockname()) as client:
            ours, _ = listener.accept()
            wire = PlainWire(ours)
            with trio.fail_after(30):
                await made.serve(wire, GET, Watch(wire), b"http")
            ended.append("served")
            wire.close()
            client.close()
        listener.close()
    assert ended == ["served"]
    assert not caplog.records


async def test_drain_ends_idle_connections_at_once() -> None:
    async with lane(App()) as made, connection(made, GET) as client:
        reply = b""
        while not reply.endswith(b"good"):
            reply += await client.receive_some()
        await made.drain()
        assert await read_all(client) == b""
