"""One call of a provider: a connection, the request out, the reply's head in.

One retry, and only on a reused connection that gave no byte of a reply (ARCHITECTURE 3, The pool).
Retries and fallbacks proper are other features.
"""

from __future__ import annotations

import time
from types import TracebackType

from appliance.exchange import Aim, Attempt, Exchange, monotonic
from appliance.upstream.http1 import Stale, UpstreamConnection, UpstreamReply, send_request
from appliance.upstream.pool import Pool


class Call:
    """`async with Call(x, aim, pool) as reply:`; on the way out the connection goes back to the
    pool when the reply was read to a clean end, and is closed at once otherwise.

    Raises UpstreamFailed, Refusal (an address that may not be dialled), Woken (deadline or client
    gone: the Watch knows), OSError (the client's side).
    """

    __slots__ = ("_aim", "_attempt", "_connection", "_pool", "_reply", "_started_s", "_x")

    def __init__(self, x: Exchange, aim: Aim, pool: Pool) -> None:
        self._x = x
        self._aim = aim
        self._pool = pool
        self._connection: UpstreamConnection | None = None
        self._reply: UpstreamReply | None = None
        self._started_s = monotonic()
        self._attempt = Attempt(
            aim.record_url, aim.provider.record_name, started_at_us=time.time_ns() // 1000
        )
        x.attempts.append(self._attempt)

    async def __aenter__(self) -> UpstreamReply:
        try:
            self._reply = reply = await self._open()
        except BaseException as error:
            self._end()
            self._attempt.why_next = getattr(error, "name", "") or type(error).__name__
            raise
        self._attempt.status = reply.status
        return reply

    async def _open(self) -> UpstreamReply:
        x, aim = self._x, self._aim
        watch = x.reply.watch
        connection = self._pool.take_idle(aim.key)
        while True:
            if connection is None:
                watch.enter("connect", aim.deadlines.connect_s + 1)
                connection = await self._pool.connect(aim.key, aim.deadlines.connect_s, watch)
            self._connection = connection
            watch.upstream = connection.wire
            watch.enter("first_byte", aim.deadlines.first_byte_s)
            try:
                body = x.body if x.sent is None else x.sent
                complete = await send_request(connection, aim.head(body), body, watch)
                reply = UpstreamReply(connection, may_switch=aim.switches)
                while not await reply.read_head(x.head.method, complete=complete):
                    await x.reply.informational(reply.status, reply.reason, reply.headers)
            except Stale:
                connection.close()
                connection = None
            else:
                return reply

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._attempt.latency_us = int((monotonic() - self._started_s) * 1e6)
        self._x.reply.watch.upstream = None
        connection, reply = self._connection, self._reply
        if connection is None:
            return
        if reply is not None and reply.done and reply.reusable:
            self._pool.give_back(connection)
        else:
            connection.close()
