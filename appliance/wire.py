"""A connection's bytes, both sides: sockets without the layers of trio's streams.

The fast lane owns its waiting: a task waits in `recv` or `send_all` and nowhere else, and
whoever keeps deadlines ends that wait with `wake`. It knows nothing of HTTP.
"""

from __future__ import annotations

import select
import socket
import struct
from contextlib import suppress
from typing import Final, Protocol, cast

import outcome
import trio

RECV_BYTES_MAX = 65536
# A peer that always has a full buffer ready must not keep the loop to itself.
RUSH_MAX = 8
# A socket whose peer has taken all that went before has room for as much.
SOON_BYTES_MAX = 16 * 1024
SOON_MAX = 16
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing resets
HAS_EPOLL: Final = hasattr(select, "epoll")
WATCHED = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET if HAS_EPOLL else 0
OVER = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR if HAS_EPOLL else 0

wait_readable = trio.lowlevel.wait_readable
wait_writable = trio.lowlevel.wait_writable
wait_task_rescheduled = trio.lowlevel.wait_task_rescheduled
current_task = trio.lowlevel.current_task
reschedule = trio.lowlevel.reschedule


class Woken(Exception):  # noqa: N818 - a signal, not a fault
    """The wait was ended by `wake`: ask the Watch why."""


class Wire(Protocol):
    """What the lanes need of a connection. `sock` is for TCP_INFO and options only."""

    sock: socket.socket

    async def recv(self) -> bytes:
        """Some bytes, b"" at the end. Raises OSError when broken, Woken when woken."""

    async def send_all(self, data: bytes) -> None:
        """Send it all, with back-pressure. Raises like `recv`."""

    def takes_soon(self, size: int) -> bool:
        """Whether `send_soon` may be called with so many bytes, until the next `await`."""

    def send_soon(self, data: bytes) -> None:
        """Send it at the end of the loop's turn, with what others have to send: the last bytes of
        a message, after which the connection stays and `recv` comes next. A failure shows there."""

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


class Readiness:
    """Tells the wires of one loop when they can be read, each socket registered once, by edges.

    Trio registers a socket anew for every wait, which took a tenth of what a request costs. Here
    one task waits, with trio's own means, for this epoll alone.

    What several connections send in one turn goes out in one go: a peer that sleeps is woken by
    the first message and finds the others. Waking it is half of what sending costs.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wires: dict[int, PlainWire] = {}
        self._soon: list[PlainWire] = []
        self.crowd = 0  # wires that had something to read when last looked at

    def soon(self, wire: PlainWire) -> None:
        """Let it send what it holds, now or at the end of the turn."""
        self._soon.append(wire)
        if len(self._soon) >= SOON_MAX:
            self.flush()

    def flush(self) -> None:
        """All that waits for the end of the turn. Never raises."""
        if self._soon:
            wires, self._soon = self._soon, []
            for wire in wires:
                wire.flush()

    async def run(self) -> None:
        """A system task of the loop."""
        try:
            while True:
                await wait_readable(self._epoll.fileno())
                found = self._epoll.poll(0)
                self.crowd = len(found)
                for descriptor, events in found:
                    wire = self._wires.get(descriptor)
                    if wire is not None:
                        wire.note(events)
        finally:
            self._epoll.close()

    def add(self, wire: PlainWire) -> None:
        descriptor = wire.sock.fileno()
        self._epoll.register(descriptor, WATCHED)
        self._wires[descriptor] = wire

    def remove(self, wire: PlainWire) -> None:
        """Before its socket is closed: another may get its number at once."""
        descriptor = wire.sock.fileno()
        if self._wires.get(descriptor) is wire:
            del self._wires[descriptor]
            # Closed by the end of the loop, or the socket was: nothing is told any more.
            with suppress(ValueError, OSError):
                self._epoll.unregister(descriptor)


class _EndOfTurn:
    """Trio's word for it: after all tasks that could run have run."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def before_io_wait(self, timeout: float) -> None:
        self._readiness.flush()


_of_this_run: trio.lowlevel.RunVar[Readiness] = trio.lowlevel.RunVar("readiness")


def _readiness() -> Readiness:
    try:
        return _of_this_run.get()
    except LookupError:
        made = Readiness()
        _of_this_run.set(made)
        trio.lowlevel.spawn_system_task(made.run)
        trio.lowlevel.add_instrument(cast("trio.abc.Instrument", _EndOfTurn(made)))
        return made


class PlainWire:
    """Plain TCP on a non-blocking socket."""

    __slots__ = (
        "_has_edge",
        "_has_sent",
        "_is_over",
        "_readiness",
        "_rush",
        "_soon",
        "_unsent",
        "_waiting",
        "sock",
    )

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._rush = 0
        self._has_edge = False  # what came since the last time that all was read
        self._is_over = False
        self._waiting: trio.lowlevel.Task | None = None
        self._has_sent = False  # since the last `recv`
        self._soon = b""  # for the end of the turn
        self._unsent = b""  # what of it did not go: `recv` sends it first
        self._readiness = _readiness() if HAS_EPOLL else None
        if self._readiness is not None:
            self._readiness.add(self)

    def note(self, events: int) -> None:
        """An edge: there is something to read, or an end."""
        self._has_edge = True
        if events & OVER:
            self._is_over = True
        task = self._waiting
        if task is not None:
            self._waiting = None
            reschedule(task)

    async def recv(self) -> bytes:
        # After a short read the kernel's buffer is empty: asking it again at once is a wasted
        # call, waiting first is not. After a full one the reverse holds.
        must_wait = not 0 < self._rush < RUSH_MAX
        while True:
            if self._unsent:
                await self._send_rest()
            if must_wait:
                await self._wait()
                if self._unsent:
                    continue
                self._rush = 0
            try:
                data = self.sock.recv(RECV_BYTES_MAX)
            except BlockingIOError:
                self._has_edge = False
                must_wait = True
                continue
            self._has_sent = False
            if len(data) == RECV_BYTES_MAX:
                self._rush += 1
            else:
                self._rush = 0
                self._has_edge = self._is_over
            return data

    async def _wait(self) -> None:
        if self._readiness is None:
            try:
                await wait_readable(self.sock)
            except trio.ClosedResourceError:
                raise Woken from None
        elif self.sock.fileno() < 0:
            raise Woken
        elif self._has_edge:
            await trio.lowlevel.checkpoint()
        else:
            if self._waiting is not None:
                raise trio.BusyResourceError("another task reads this connection")
            self._waiting = current_task()
            await wait_task_rescheduled(self._give_up)

    def _give_up(self, _raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        self._waiting = None
        return trio.lowlevel.Abort.SUCCEEDED

    def takes_soon(self, size: int) -> bool:
        return (
            self._readiness is not None
            and self._readiness.crowd > 1
            and not self._has_sent
            and size <= SOON_BYTES_MAX
            and self.sock.fileno() >= 0
        )

    def send_soon(self, data: bytes) -> None:
        assert self._readiness is not None
        self._has_sent = True
        self._soon = data
        self._readiness.soon(self)

    def flush(self) -> None:
        """Send what `send_soon` took. What does not go wakes the task that waits in `recv`, and
        so does a failure: there it reads why."""
        data, self._soon = self._soon, b""
        if not data:
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.note(OVER)
            return
        if sent < len(data):
            self._unsent = data[sent:]
            task, self._waiting = self._waiting, None
            if task is not None:
                reschedule(task)

    async def _send_rest(self) -> None:
        data, self._unsent = self._unsent, b""
        await self.send_all(data)

    async def send_all(self, data: bytes) -> None:
        if self._soon:
            self.flush()
        if self._unsent:
            await self._send_rest()
        self._has_sent = True
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        view = memoryview(data)
        while sent < len(data):
            try:
                await wait_writable(self.sock)
            except trio.ClosedResourceError:
                raise Woken from None
            with suppress(BlockingIOError):
                sent += self.sock.send(view[sent:])

    def wake(self) -> None:
        task = self._waiting
        if task is not None:
            self._waiting = None
            reschedule(task, outcome.Error(Woken()))
        if self.sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self.sock)

    def is_fresh(self) -> bool:
        # As the loop last heard, a turn ago: what closes since shows as a stale connection does.
        return not (self.peek() if self._readiness is None else self._has_edge)

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
            if self._soon:
                self.flush()
            self.wake()
            if self._readiness is not None:
                self._readiness.remove(self)
            self.sock.close()

    def abort(self) -> None:
        self._soon = b""
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()
