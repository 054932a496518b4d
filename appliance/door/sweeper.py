"""One task that keeps the deadlines of all connections and notices clients that have gone.

A timer or a cancel scope per wait would cost as much as the request (ARCHITECTURE 1); this costs a
look at each connection 20 times a second.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import trio

from appliance.exchange import Watch, monotonic

if TYPE_CHECKING:
    from appliance.wire import Wire

TICK_S = 0.05
# Linux tcp_states.h: the peer has closed its side, or the connection is gone.
TCP_CLOSE_WAIT = 8
TCP_CLOSE = 7
SLICE = 2000


class Sweeper:
    """Holds every connection's Watch with the wire of its client."""

    def __init__(self) -> None:
        self.watches: dict[Watch, Wire] = {}
        # Exchanges of the full lane, where many share a connection: only their deadlines.
        self.exchanges: set[Watch] = set()
        self.longest_stall_s = 0.0
        self.lag_s = 0.0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look at everything each 50 ms, until cancelled. Also measures how late the loop is."""
        task_status.started()
        due_s = monotonic() + TICK_S
        while True:
            await trio.sleep(max(0.0, due_s - monotonic()))
            now_s = monotonic()
            self.lag_s = now_s - due_s
            self.longest_stall_s = max(self.longest_stall_s, self.lag_s)
            await self.sweep(now_s)
            due_s = now_s + TICK_S

    def under_way(self) -> int:
        """How many calls are being answered."""
        return sum(watch.in_flight for watch in self.watches) + len(self.exchanges)

    async def sweep(self, now_s: float) -> None:
        """One round. Yields between slices, so that 10,000 idle connections stop nobody."""
        for number, (watch, wire) in enumerate(list(self.watches.items()), 1):
            if now_s > watch.deadline_s:
                watch.expire()
            elif watch.in_flight:
                look_at_client(watch, wire)
            if watch.sending:
                look_for_early_reply(watch)
            if number % SLICE == 0:
                await trio.lowlevel.checkpoint()
        for watch in list(self.exchanges):
            if now_s > watch.deadline_s:
                watch.expire()
            elif watch.gone:
                watch.hang_up()  # until it has been heard
            if watch.sending:
                look_for_early_reply(watch)


def look_at_client(watch: Watch, wire: Wire) -> None:
    """Ask the kernel whether the client is still there (0.7 us)."""
    try:
        state = wire.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        state = TCP_CLOSE
    if state in (TCP_CLOSE_WAIT, TCP_CLOSE):
        watch.hang_up()


def look_for_early_reply(watch: Watch) -> None:
    """While a large body is being sent: a reply that is already there ends the sending."""
    upstream = watch.upstream
    peek = getattr(upstream, "peek", None)
    if upstream is not None and peek is not None and peek():
        upstream.wake()
