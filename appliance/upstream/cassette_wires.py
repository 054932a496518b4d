"""Connections that are none, or not only one: what a replay sends, and a wire that is listened to.

A wire here carries one call: it never looks fresh, so the pool makes another for the next one, and
its `dial` is asked for each. Knows no cassette: it takes bytes and functions.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NoReturn

import trio

from appliance.errors import Refusal
from appliance.wire import Wire, Woken

REQUEST_BYTES_MAX = 32 * 1024 * 1024
Pieces = list[tuple[float, bytes]]


def _closed_socket() -> socket.socket:
    sock = socket.socket()
    sock.close()
    return sock


NO_SOCKET = _closed_socket()


class _OneCall:
    """What both kinds have in common."""

    sock: socket.socket

    def __init__(self) -> None:
        self.request = bytearray()

    def keep(self, data: bytes) -> None:
        """Part of the request. Raises Refusal 413."""
        if len(self.request) + len(data) > REQUEST_BYTES_MAX:
            raise Refusal(
                413, "cassette_request_too_large",
                "A request that is recorded or replayed has at most 32 MiB.",
            )  # fmt: skip
        self.request += data

    def takes_soon(self, size: int) -> bool:
        return False

    def send_soon(self, data: bytes) -> NoReturn:
        raise AssertionError("it takes nothing soon")

    def is_fresh(self) -> bool:
        return False


class PlayedWire(_OneCall):
    """Answers from `play`, which gets the whole request and gives pieces with the seconds to wait
    before each; then the connection is closed. What `play` raises is raised by `recv`."""

    def __init__(self, play: Callable[[bytes], Pieces]) -> None:
        super().__init__()
        self.sock = NO_SOCKET
        self._play = play
        self._pieces: Pieces | None = None
        self._scope: trio.CancelScope | None = None
        self._is_closed = False

    async def recv(self) -> bytes:
        if self._pieces is None:
            self._pieces = self._play(bytes(self.request))[::-1]
        wait_s, piece = self._pieces.pop() if self._pieces else (0.0, b"")
        await self._wait(wait_s)
        return piece

    async def _wait(self, wait_s: float) -> None:
        """Also without a wait others have their turn, so that pieces go out one by one."""
        if self._is_closed:
            raise Woken
        self._scope = trio.CancelScope()
        try:
            with self._scope:
                await trio.sleep(wait_s)
        finally:
            woken, self._scope = self._scope.cancelled_caught, None
        if woken:
            raise Woken

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.keep(data)

    def wake(self) -> None:
        if self._scope is not None:
            self._scope.cancel("deadline or client gone")

    def peek(self) -> bool:
        return bool(self._pieces)

    def close(self) -> None:
        self._is_closed = True
        self.wake()

    def abort(self) -> None:
        self.close()


class HeardWire(_OneCall):
    """A real wire with somebody who listens. `first_sent` may change the request's head;
    `heard(data)` is told of each piece of the reply, b"" for its end, and may hold it up or cut it;
    `closed()` once, when we close it."""

    def __init__(
        self,
        inner: Wire,
        first_sent: Callable[[bytes], bytes],
        heard: Callable[[bytes], bytes],
        closed: Callable[[], None],
        *,
        delay_s: float = 0.0,
    ) -> None:
        super().__init__()
        self.sock = inner.sock
        self._inner = inner
        self._first_sent = first_sent
        self._heard = heard
        self._closed: Callable[[], None] | None = closed
        self._pause = PlayedWire(lambda _: [(delay_s, b"")]) if delay_s else None
        self.is_cut = False  # whatever else the other side sends

    async def recv(self) -> bytes:
        if self.is_cut:
            await trio.lowlevel.checkpoint()
            return b""
        if self._pause is not None:
            await self._pause.recv()
            self._pause = None
        try:
            data = await self._inner.recv()
        except (OSError, trio.BrokenResourceError):
            self._heard(b"")
            raise
        return self._heard(data)

    async def send_all(self, data: bytes) -> None:
        begins = not self.request
        self.keep(data)
        await self._inner.send_all(self._first_sent(data) if begins else data)

    def wake(self) -> None:
        if self._pause is not None:
            self._pause.wake()
        self._inner.wake()

    def peek(self) -> bool:
        return self._inner.peek()

    def close(self) -> None:
        told, self._closed = self._closed, None
        if told is not None:
            told()
        if self._pause is not None:
            self._pause.close()
        self._inner.close()

    def abort(self) -> None:
        self.close()
