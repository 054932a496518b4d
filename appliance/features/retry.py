"""Calling the same target again (proxy.md 6.1): asked for by header, never once a byte of a reply
has reached the client. Which results are final is decided in `core/retry.py`. Open: what breaks in
here makes the call that was made the last one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from types import NoneType

import trio

from appliance import fence
from appliance.core.retry import RetryPolicy, next_wait_s, policy_of
from appliance.errors import UpstreamFailed
from appliance.exchange import Exchange, Watch
from appliance.upstream.http1 import UpstreamReply
from appliance.wire import Woken

RETRIES = "retries"
RETRY_AFTER = b"retry-after"
# More than any wait: the phase is ended by the pause itself, by the total or by a client who left.
PHASE_S = 3601.0


class Retrying:
    """The calls of one exchange to one target. Made for every exchange; with no policy it says no
    at once."""

    __slots__ = ("_calls", "_dice", "_policy", "_wait_s", "_x")

    def __init__(self, x: Exchange, dice: Callable[[], float] = random.random) -> None:
        """Raises Refusal 400 for waits that contradict each other."""
        self._x = x
        self._policy: RetryPolicy | None = policy_of(x.asks) if x.asks.retry_enabled else None
        self._dice = dice
        self._calls = 0
        self._wait_s = 0.0

    def after(self, reply: UpstreamReply) -> bool:
        """Whether this reply is given up for another call."""
        if self._policy is None:
            return False
        return self._again(self._policy, reply.status, reply.first.get(RETRY_AFTER, b""))

    def after_failure(self, failure: UpstreamFailed) -> bool:
        """Whether a call that brought no reply is made again."""
        if self._policy is None or not failure.retryable:
            return False
        return self._again(self._policy, None, b"")

    def _again(self, policy: RetryPolicy, status: int | None, retry_after: bytes) -> bool:
        x = self._x
        self._calls += 1
        wait_s = next_wait_s(
            policy,
            self._calls,
            status,
            dice=self._dice(),
            now_us=time.time_ns() // 1000,
            retry_after=retry_after,
            byte_sent=x.started or x.reply.watch.gone,
        )
        if wait_s is None:
            return False
        self._wait_s = wait_s
        if status is not None and x.attempts:
            x.attempts[-1].why_next = f"status_{status}"
        return True

    @property
    def wait_s(self) -> float:
        """How long that is."""
        return self._wait_s

    async def wait(self) -> None:
        """Let the time pass that the policy, or the provider, asks for. Raises Woken when a
        deadline passes or the client leaves meanwhile."""
        await rest(self._x.reply.watch, self._wait_s)


class _Pause:
    """What the sweeper wakes instead of a connection."""

    __slots__ = ("woken",)

    def __init__(self) -> None:
        self.woken = trio.Event()

    def wake(self) -> None:
        self.woken.set()


async def rest(watch: Watch, wait_s: float) -> None:
    """Wait without a connection to the provider. Raises Woken."""
    resting = _Pause()
    watch.upstream = resting
    watch.enter("retry", PHASE_S)
    try:
        with trio.move_on_after(wait_s):
            await resting.woken.wait()
    finally:
        watch.upstream = None
    if resting.woken.is_set() or watch.gone:
        raise Woken


def retrying_of(x: Exchange) -> Retrying | None:
    """What decides on another call of a target, where that was asked for."""
    if not x.asks.retry_enabled:
        return None
    return fence.open_now(x, RETRIES, None, Retrying, Retrying, x)


def again(x: Exchange, retrying: Retrying | None, seen: UpstreamReply | UpstreamFailed) -> bool:
    """Whether the call is made once more after this. Open: it is final."""
    if retrying is None:
        return False
    decide = retrying.after_failure if isinstance(seen, UpstreamFailed) else retrying.after
    return fence.open_now(x, RETRIES, False, bool, decide, seen)


async def pause(x: Exchange, retrying: Retrying | None) -> None:
    """Before that call. Raises Woken."""
    assert retrying is not None, "who else decides"
    limit_s = retrying.wait_s + fence.OPEN_S
    await fence.open_within(x, RETRIES, limit_s, None, NoneType, retrying.wait())
