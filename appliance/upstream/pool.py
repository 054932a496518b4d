"""Connections to providers, kept per origin and lent last in, first out.

The key is everything that must not be mixed: scheme, host, port, TLS settings, address policy,
outbound proxy and region (ARCHITECTURE 3, The pool). It knows nothing of requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import NamedTuple

import trio

from appliance.errors import UpstreamFailed
from appliance.exchange import Watch, monotonic
from appliance.upstream.http1 import UpstreamConnection
from appliance.wire import Wire, Woken

LIFETIME_S = 300.0
IDLE_S = 60.0
IDLE_PER_ORIGIN_MAX = 512
ORIGINS_MAX = 10_000


class PoolKey(NamedTuple):
    """What a connection may be reused for."""

    scheme: str
    host: str
    port: int
    settings: Hashable
    region: str


class ScopeWake:
    """Lets the Watch end what waits on more than one socket: a connect, a race, a purchase."""

    __slots__ = ("_scope",)

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope

    def wake(self) -> None:
        """Cancel it."""
        self._scope.cancel("deadline or client gone")


Dial = Callable[[PoolKey], Awaitable[Wire]]


class Pool:
    """LIFO pools by key. `dial` makes a connection; its errors are the caller's."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._idle: dict[PoolKey, deque[UpstreamConnection]] = {}
        self.dialled = 0
        self.reused = 0
        self.closing = False

    def troubles(self) -> Iterator[tuple[str, str]]:
        """What whoever dials for us cannot do, by name: one that records."""
        yield from getattr(self._dial, "troubles", tuple)()

    def idle_count(self) -> int:
        """Connections that wait for use (metrics)."""
        return sum(len(idle) for idle in self._idle.values())

    def take_idle(self, key: PoolKey) -> UpstreamConnection | None:
        """The most recently used idle connection that still looks alive."""
        idle = self._idle.get(key)
        if not idle:
            return None
        now_s = monotonic()
        while idle:
            connection = idle.pop()
            if (
                now_s - connection.born_s < LIFETIME_S
                and now_s - connection.idle_since_s < IDLE_S
                and connection.wire.is_fresh()
            ):
                self.reused += 1
                return connection
            connection.close()
        return None

    async def connect(self, key: PoolKey, limit_s: float, watch: Watch) -> UpstreamConnection:
        """A new connection. Raises UpstreamFailed (`connect_failed`, `timeout_connect`), Refusal,
        Woken when the client has gone meanwhile."""
        with trio.move_on_after(limit_s) as scope:
            watch.upstream = ScopeWake(scope)
            wire = await self._dial(key)
            self.dialled += 1
            return UpstreamConnection(key, wire)
        if watch.gone or watch.expired:
            raise Woken
        raise UpstreamFailed(
            "timeout_connect",
            f"no connection to {key.host}:{key.port} within {limit_s:g} s ([deadlines] connect)",
            retryable=True,
        )

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request, or close it where there are enough."""
        if self.closing:
            connection.close()
            return
        idle = self._idle.get(connection.key)  # type: ignore[call-overload]
        if idle is None:
            if len(self._idle) >= ORIGINS_MAX:
                self.sweep()
            idle = self._idle[connection.key] = deque()  # type: ignore[index]
        if len(idle) >= IDLE_PER_ORIGIN_MAX:
            idle.popleft().close()
        connection.idle_since_s = monotonic()
        idle.append(connection)

    def sweep(self) -> None:
        """Close what has idled or lived too long, and forget empty origins."""
        now_s = monotonic()
        for key in list(self._idle):
            idle = self._idle[key]
            while idle and (
                now_s - idle[0].idle_since_s > IDLE_S or now_s - idle[0].born_s > LIFETIME_S
            ):
                idle.popleft().close()
            if not idle:
                del self._idle[key]

    def close(self) -> None:
        """Close every idle connection; lent ones are closed as they come back."""
        self.closing = True
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()
