"""A connection's bytes, both sides: sockets without the layers of trio's streams.

The fast lane owns its waiting: a task waits in `recv` or `send_all` and nowhere else, and
whoever keeps deadlines ends that wait with `wake`. It knows nothing of HTTP.
"""

import socket
import struct
from contextlib import suppress
from typing import Protocol

import trio

RECV_BYTES_MAX = 65536
# A peer that always has a full buffer ready must not keep the loop to itself.
RUSH_MAX = 8
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing resets

wait_readable = trio.lowlevel.wait_readable
wait_writable = trio.lowlevel.wait_writable


class Woken(Exception):  # noqa: N818 - a signal, not a fault
    """The wait was ended by `wake`: ask the Watch why."""


class Wire(Protocol):
    """What the lanes need of a connection. `sock` is for TCP_INFO and options only."""

    sock: socket.socket

    async def recv(self) -> bytes:
        """Some bytes, b"" at the end. Raises OSError when broken, Woken when woken."""

    async def send_all(self, data: bytes) -> None:
        """Send it all, with back-pressure. Raises like `recv`."""

    def wake(self) -> None:
        """End the wait that is going on, if any, with Woken."""

    def is_fresh(self) -> bool:
        """Whether an idle connection still looks usable: open, and nothing unasked on it."""

    def peek(self) -> bool:
        """Whether `recv` would answer at once. Not while another task is in `recv`."""

    def close(self) -> None:
        """Close at once. Safe to call twice."""

    def abort(self) -> None:
        """Close so that the peer sees a reset: the end was none."""


class PlainWire:
    """Plain TCP on a non-blocking socket."""

    __slots__ = ("_rush", "sock")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._rush = 0

    async def recv(self) -> bytes:
        # After a short read the kernel's buffer is empty: asking it again at once is a wasted
        # call, waiting first is not. After a full one the reverse holds.
        must_wait = not 0 < self._rush < RUSH_MAX
        while True:
            if must_wait:
                try:
                    await wait_readable(self.sock)
                except trio.ClosedResourceError:
                    raise Woken from None
                self._rush = 0
            try:
                data = self.sock.recv(RECV_BYTES_MAX)
            except BlockingIOError:
                must_wait = True
                continue
            self._rush = self._rush + 1 if len(data) == RECV_BYTES_MAX else 0
            return data

    async def send_all(self, data: bytes) -> None:
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        while rest:
            try:
                await wait_writable(self.sock)
            except trio.ClosedResourceError:
                raise Woken from None
            try:
                rest = rest[self.sock.send(rest) :]
            except BlockingIOError:
                continue

    def wake(self) -> None:
        if self.sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self.sock)

    def is_fresh(self) -> bool:
        return not self.peek()

    def peek(self) -> bool:
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        if self.sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self.sock)
            self.sock.close()

    def abort(self) -> None:
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()
