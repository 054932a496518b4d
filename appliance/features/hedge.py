"""A call beside which a second one begins when the first takes long; the client gets one reply.

A race of two calls of different targets. The first good reply wins, the other call is closed at
once and stays on the record as an attempt. Only for bodies in memory: both send it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import trio

from appliance.core.router_verdict import goes_on
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import Aim, Attempt, Body, Exchange, Watch
from appliance.upstream.http1 import UpstreamReply
from appliance.upstream.pool import ScopeWake
from appliance.wire import Woken

LOST = "hedge_lost"


class CallLike(Protocol):
    """`features/call.py`."""

    attempt: Attempt

    async def __aenter__(self) -> UpstreamReply:
        """The reply's head."""

    def close(self) -> None:
        """Give the connection back, or close it; never waits."""

    def adopt(self, watch: Watch) -> None:
        """From now on this watch ends its waits."""


# Makes the call of one target, with a watch of its own.
MakeCall = Callable[[Aim, Body | None, Watch], CallLike]


class Racing(Protocol):
    """What the router wants to know (`features/route_by.py`)."""

    def raced(self, loser: Attempt | None, *, spare_won: bool) -> None:
        """The race is over. `loser` is the other call, None where the spare was never called."""


@dataclass(slots=True)
class Spare:
    """The target that is called beside the first."""

    aim: Aim
    body: Body


@dataclass(slots=True)
class _Runner:
    call: CallLike
    reply: UpstreamReply | None = None
    error: UpstreamFailed | Refusal | Woken | None = None
    is_over: bool = False


class Race:
    """`async with Race(…) as reply:`, in a Call's place. Raises what a Call raises: where no call
    wins, what the last one that ended says."""

    def __init__(
        self,
        x: Exchange,
        make_call: MakeCall,
        after_s: float,
        find_spare: Callable[[], Awaitable[Spare | None]],
        router: Racing,
    ) -> None:
        self._x = x
        self._make_call = make_call
        self._after_s = after_s
        self._find_spare = find_spare
        self._router = router
        self._runners: list[_Runner] = []
        self._spare: Spare | None = None
        self._won: _Runner | None = None
        self._ended = trio.Event()

    async def __aenter__(self) -> UpstreamReply:
        x = self._x
        watch, aim = x.reply.watch, x.aim
        assert aim is not None, "aimed before"
        limits = aim.deadlines
        watch.enter("first_byte", self._after_s + limits.connect_s + 1 + limits.first_byte_s)
        try:
            async with trio.open_nursery() as nursery:
                watch.upstream = ScopeWake(nursery.cancel_scope)
                nursery.start_soon(self._run, self._runner(aim, None), nursery.cancel_scope)
                with trio.move_on_after(self._after_s):
                    await self._ended.wait()
                if not self._runners[0].is_over:
                    await self._start_spare(nursery)
        except BaseException:
            if self._won is not None:
                self._close(self._won)
            raise
        finally:
            watch.upstream = None
            self._settle()
        won = self._won
        if won is None:
            raise Woken
        if won.reply is None:
            assert won.error is not None, "it ended with a reply or without"
            raise won.error
        won.call.adopt(watch)
        return won.reply

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._won is not None:
            self._won.call.close()

    async def _start_spare(self, nursery: trio.Nursery) -> None:
        self._spare = spare = await self._find_spare()
        if spare is not None and self._won is None:
            runner = self._runner(spare.aim, spare.body)
            nursery.start_soon(self._run, runner, nursery.cancel_scope)

    def _runner(self, aim: Aim, body: Body | None) -> _Runner:
        runner = _Runner(self._make_call(aim, body, Watch(None)))
        self._runners.append(runner)
        return runner

    async def _run(self, runner: _Runner, scope: trio.CancelScope) -> None:
        """One call, up to its reply's head. What it raises is kept: nothing leaves the nursery."""
        try:
            runner.reply = await runner.call.__aenter__()
        except (UpstreamFailed, Refusal, Woken) as error:
            runner.error = error
        runner.is_over = True
        self._ended.set()
        if self._won is not None:  # the other one was first, in this very turn of the loop
            self._close(runner)
            return
        good = runner.reply is not None and not goes_on(runner.reply.status)
        if good or all(one.is_over for one in self._runners):
            self._won = runner
            scope.cancel("the race is decided")
        else:  # the other one may do better
            self._close(runner)

    def _close(self, runner: _Runner) -> None:
        if runner.reply is not None:  # else it has closed itself
            runner.call.close()

    def _settle(self) -> None:
        """The reply that goes on belongs to the last attempt of the record."""
        x = self._x
        if not self._runners:
            return
        spare_won = len(self._runners) == 2 and self._won is self._runners[1]
        winner = self._runners[1 if spare_won else 0]
        loser = self._runners[0 if spare_won else -1]
        last = winner.call.attempt
        x.attempts = [one for one in x.attempts if one is not last] + [last]
        lost = loser.call.attempt if loser is not winner else None
        if lost is not None and not lost.why_next:
            lost.why_next = f"status_{lost.status}"
        elif lost is not None and lost.why_next == "Cancelled":
            lost.why_next = LOST
        self._router.raced(lost, spare_won=spare_won)
        if spare_won:
            assert self._spare is not None, "it was called"
            x.aim = self._spare.aim
