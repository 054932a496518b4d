"""One call of a provider: a connection, the request out, the reply's head in.

One retry, and only on a reused connection that gave no byte of a reply (ARCHITECTURE 3, The pool).
Retries and fallbacks proper are other features.
"""

from __future__ import annotations

import time
from types import NoneType, TracebackType

from appliance import fence
from appliance.exchange import Aim, Attempt, Body, Exchange, Watch, monotonic
from appliance.upstream.http1 import Stale, UpstreamConnection, UpstreamReply, send_request
from appliance.upstream.pool import Pool


class Call:
    """`async with Call(x, aim, pool) as reply:`; on the way out the connection goes back to the
    pool when the reply was read to a clean end, and is closed at once otherwise.

    Raises UpstreamFailed, Refusal (an address that may not be dialled), Woken (deadline or client
    gone: the Watch knows), OSError (the client's side).

    Of two calls at once each has a `watch` of its own, and says nothing to the client before one is
    chosen (`adopt`); `body` is sent in place of the exchange's. A call that is made `aside`, of
    whoever judges the prompt, has no part in what the client is told.
    """

    __slots__ = (
        "_aim", "_aside", "_body", "_connection", "_pool", "_reply", "_started_s", "_watch", "_x",
        "attempt",
    )  # fmt: skip

    def __init__(
        self,
        x: Exchange,
        aim: Aim,
        pool: Pool,
        body: Body | None = None,
        watch: Watch | None = None,
        *,
        aside: bool = False,
    ) -> None:
        self._x = x
        self._aside = aside
        self._body = body
        self._watch = x.reply.watch if watch is None else watch
        self._aim = aim
        self._pool = pool
        self._connection: UpstreamConnection | None = None
        self._reply: UpstreamReply | None = None
        self._started_s = monotonic()
        self.attempt = Attempt(
            aim.record_url, aim.provider.record_name, started_at_us=time.time_ns() // 1000
        )
        x.attempts.append(self.attempt)

    async def __aenter__(self) -> UpstreamReply:
        try:
            self._reply = reply = await self._open()
        except BaseException as error:
            self.close()
            self.attempt.why_next = getattr(error, "name", "") or type(error).__name__
            raise
        self.attempt.status = status = reply.status
        if status == 401 and self._aim.denied is not None:
            fence.open_now(self._x, "keys", None, NoneType, self._aim.denied)
        if status == 429 or status == 503:
            self.attempt.retry_after = reply.first.get(b"retry-after", b"")
        return reply

    async def _open(self) -> UpstreamReply:
        x, aim = self._x, self._aim
        watch = self._watch
        connection = self._pool.take_idle(aim.key)
        while True:
            if connection is None:
                watch.enter("connect", aim.deadlines.connect_s + 1)
                connection = await self._pool.connect(aim.key, aim.deadlines.connect_s, watch)
            self._connection = connection
            watch.upstream = connection.wire
            watch.enter("first_byte", aim.deadlines.first_byte_s)
            try:
                body = self._body
                if body is None:
                    body = x.body if x.sent is None else x.sent
                complete = await send_request(connection, aim.head(body), body, watch)
                reply = UpstreamReply(connection, may_switch=aim.switches)
                while not await reply.read_head(x.head.method, complete=complete):
                    if watch is x.reply.watch and not self._aside:
                        await x.reply.informational(reply.status, reply.reason, reply.headers)
            except Stale:
                connection.close()
                connection = None
            else:
                return reply

    def adopt(self, watch: Watch) -> None:
        """This call was chosen: from now on this watch ends its waits."""
        self._watch = watch
        if self._connection is not None:
            watch.upstream = self._connection.wire

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back, or close it; never waits."""
        self.attempt.latency_us = int((monotonic() - self._started_s) * 1e6)
        self._watch.upstream = None
        connection, reply = self._connection, self._reply
        if connection is None:
            return
        if reply is not None and reply.done and reply.reusable:
            self._pool.give_back(connection)
        else:
            connection.close()
