"""A provider of our own: raw sockets, real wire formats, every fault on request.

It runs in a thread with a trio loop of its own, so that blocking and async tests alike can call
it. What it answers is chosen by the `x-fake` header, else by a model named `fake-…`, else by the
path. It keeps what it received byte for byte.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from tests.fakes.patience import PATIENCE_S


@dataclass
class Received:
    """One request as it arrived. `closed` is set when its connection has gone."""

    connection: int
    number: int
    head: bytes
    raw_body: bytes = b""
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    closed_at_s: float = 0.0
    room: Any = None  # the session, where it became a WebSocket

    @property
    def method(self) -> bytes:
        return self.head.split(b" ", 1)[0]

    @property
    def target(self) -> bytes:
        return self.head.split(b" ", 2)[1]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        lines = self.head[:-4].split(b"\r\n")[1:]
        parted = [line.partition(b":") for line in lines]
        return [(name, value.strip(b" \t")) for name, _, value in parted]

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def first(self, name: bytes) -> bytes | None:
        return next(iter(self.values(name)), None)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Gone(Exception):  # noqa: N818 - a signal
    """The peer closed."""


class Talk:
    """One connection, as a script sees it."""

    def __init__(self, stream: trio.SocketStream, provider: Provider, number: int) -> None:
        self.stream = stream
        self.provider = provider
        self.connection = number
        self.data = b""
        self.request: Received
        self.keep = True

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def more(self) -> None:
        data = await self.stream.receive_some(65536)
        if not data:
            raise Gone
        self.data += data

    async def gate(self, name: str = "") -> None:
        """Wait until the test opens the gate."""
        gate = self.provider.gate_of(name or self.request.first(b"x-fake-gate") or b"")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            await gate.wait()
            nursery.cancel_scope.cancel()
        if not gate.is_set():
            raise Gone

    async def _watch(self, scope: trio.CancelScope) -> None:
        try:
            while data := await self.stream.receive_some(65536):
                self.data += data
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    async def read_until(self, mark: bytes) -> bytes:
        while mark not in self.data:
            await self.more()
        end = self.data.index(mark) + len(mark)
        taken, self.data = self.data[:end], self.data[end:]
        return taken

    async def read_exactly(self, size: int) -> bytes:
        parts = []
        while size > 0:
            if not self.data:
                await self.more()
            taken, self.data = self.data[:size], self.data[size:]
            size -= len(taken)
            parts.append(taken)
        return b"".join(parts)

    async def read_body(self) -> None:
        """Read the body of the request, keeping its framing too."""
        request = self.request
        if (request.first(b"transfer-encoding") or b"").lower() == b"chunked":
            await self._read_chunked()
        else:
            length = int(request.first(b"content-length") or 0)
            request.body = request.raw_body = await self.read_exactly(length)

    async def _read_chunked(self) -> None:
        request = self.request
        while True:
            line = await self.read_until(b"\r\n")
            request.raw_body += line
            size = int(line.split(b";")[0], 16)
            if not size:
                break
            piece = await self.read_exactly(size + 2)
            request.raw_body += piece
            request.body += piece[:-2]
        while (line := await self.read_until(b"\r\n")) != b"\r\n":
            request.raw_body += line
            name, _, value = line[:-2].partition(b":")
            request.trailers.append((name, value.strip()))

    def reset(self) -> None:
        """Close with a reset instead of an end."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()
        raise Gone

    def close(self) -> None:
        self.stream.socket.close()
        raise Gone

    async def wait_closed(self) -> None:
        """Return when the peer has closed."""
        try:
            while await self.stream.receive_some(65536):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        raise Gone


Script = Callable[[Talk], Awaitable[None]]


class Provider:
    """`with Provider() as provider:`; `provider.url` is its origin."""

    def __init__(self, port: int = 0) -> None:
        self.received: list[Received] = []
        self.scripts: dict[str, Script] = {}
        self.connections = 0
        self.open = 0
        self.errors: list[Exception] = []
        self.tokens: Any = None  # what Google's token endpoint has given out
        self._gates: dict[bytes, trio.Event] = {}
        self._port = port
        self._started = threading.Event()
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True, name="fake provider")

    def __enter__(self) -> Provider:
        self._thread.start()
        assert self._started.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(PATIENCE_S)
        if self.errors:
            raise ExceptionGroup("in scripts", self.errors)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, name: str, script: Script | bytes) -> str:
        """A script of the test's own, or the bytes to answer with. Gives the name for `x-fake`."""
        if isinstance(script, bytes):
            data = script

            async def script(talk: Talk) -> None:
                await talk.read_body()
                await talk.send(data)
                talk.keep = not ends_by_close(data)

        self.scripts[name] = script
        return name

    def open_gate(self, name: str) -> None:
        self._token.run_sync_soon(lambda: self.gate_of(name.encode()).set())

    def gate_of(self, name: str | bytes) -> trio.Event:
        key = name if isinstance(name, bytes) else name.encode()
        return self._gates.setdefault(key, trio.Event())

    def clear(self) -> None:
        self.received.clear()

    def find(self, mark: str | bytes, *, wait_s: float = PATIENCE_S) -> Received:
        """The newest request with `mark` in its head; waits for it to arrive."""
        sought = mark if isinstance(mark, bytes) else mark.encode()
        with self._arrived:
            assert self._arrived.wait_for(lambda: self._newest(sought) is not None, wait_s), mark
        found = self._newest(sought)
        assert found is not None
        return found

    def all(self, mark: str | bytes) -> list[Received]:
        sought = mark if isinstance(mark, bytes) else mark.encode()
        return [request for request in list(self.received) if sought in request.head]

    def _newest(self, mark: bytes) -> Received | None:
        return next((r for r in reversed(list(self.received)) if mark in r.head), None)

    def _run(self) -> None:
        trio.run(self._main)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        listeners = await trio.open_tcp_listeners(self._port, host="127.0.0.1", backlog=512)
        self.port = listeners[0].socket.getsockname()[1]
        with trio.CancelScope() as self._scope:
            self._started.set()
            await trio.serve_listeners(self._connection, listeners)

    async def _connection(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open += 1
        talk = Talk(stream, self, self.connections)
        mine: list[Received] = []
        try:
            while talk.keep:
                await self._one(talk, mine)
        except (Gone, trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        except Exception as error:
            self.errors.append(error)
        finally:
            self.open -= 1
            stream.socket.close()
            for request in mine:
                request.closed_at_s = time.monotonic()
                request.closed.set()

    async def _one(self, talk: Talk, mine: list[Received]) -> None:
        from tests.fakes.provider_scripts import choose

        head = await talk.read_until(b"\r\n\r\n")
        talk.request = Received(talk.connection, len(mine) + 1, head)
        mine.append(talk.request)
        with self._arrived:
            self.received.append(talk.request)
            self._arrived.notify_all()
        await (await choose(talk))(talk)


def ends_by_close(reply: bytes) -> bool:
    """Whether a reply without length or chunks needs the connection's end."""
    head = reply.partition(b"\r\n\r\n")[0].lower()
    framed = b"content-length:" in head or b"transfer-encoding:" in head
    bare = head.startswith((b"http/1.1 204", b"http/1.1 304"))
    return b"connection: close" in head or not (framed or bare)


if __name__ == "__main__":
    with Provider(18080) as running:
        print(running.url, flush=True)
        threading.Event().wait()
