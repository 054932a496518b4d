"""A client of WebSocket sessions: trio-websocket, over TCP or TLS."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from tests.certificates import Authority
from tests.fakes.appliance import OAI, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider, Received
from tests.fakes.tls_client import trusting

CA = Authority()
REALTIME = OAI + "/realtime?model=gpt-realtime"
Lines = list[tuple[bytes, bytes]]


@asynccontextmanager
async def session(
    appliance: Appliance, path: str = REALTIME, lines: Lines | None = None, **options: Any
) -> AsyncIterator[WebSocketConnection]:
    """A client's session; closed at the end, if it is still open."""
    given = [(b"Authorization", b"Bearer sk-own")] if lines is None else lines
    scheme, _, place = appliance.url.partition("://")
    host, port = place.split(":")
    with trio.fail_after(PATIENCE_S):
        stream: trio.abc.Stream = await trio.open_tcp_stream(host, int(port))
        if scheme == "https":
            stream = trio.SSLStream(stream, trusting(CA), server_hostname=host)
        async with stream, trio.open_nursery() as nursery:
            socket = await wrap_client_stream(
                nursery, stream, place, path, extra_headers=given, **options
            )
            try:
                yield socket
            finally:
                await socket.aclose()
                nursery.cancel_scope.cancel()


async def rejected(appliance: Appliance, lines: Lines) -> ConnectionRejected:
    """How the opening of a session is refused."""
    try:
        async with session(appliance, lines=lines):
            raise AssertionError("it was opened")
    except* ConnectionRejected as group:
        found = group.exceptions[0]
    assert isinstance(found, ConnectionRejected)
    return found


async def say(socket: WebSocketConnection, kind: str, /, **more: Any) -> None:
    await socket.send_message(json.dumps({"type": kind, **more}))


async def hear(socket: WebSocketConnection) -> Any:
    return json.loads(await socket.get_message())


async def until(socket: WebSocketConnection, kind: str) -> Any:
    while (event := await hear(socket))["type"] != kind:
        pass
    return event


async def end_of(socket: WebSocketConnection) -> Any:
    """How the other side ends it."""
    try:
        while True:
            await socket.get_message()
    except ConnectionClosed as closed:
        return closed.reason


def id_of(socket: WebSocketConnection) -> str:
    lines = {bytes(name).lower(): bytes(value) for name, value in socket.handshake_headers}
    return lines[b"helicone-id"].decode()


def newest(provider: Provider) -> Received:
    return provider.received[-1]


async def gone(request: Received) -> None:
    """Wait until the provider's connection has ended."""
    assert await trio.to_thread.run_sync(request.closed.wait, PATIENCE_S)
