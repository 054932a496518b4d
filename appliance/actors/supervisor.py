"""The actors' nursery: each actor's task is started again, with back-off, when it dies.

An actor is a plain object whose methods are called directly; its task only keeps what lasts. While
the task is down the object still answers, and its callers fail open or closed as they say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import trio

from appliance.log import Log

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 30.0
# Up for so long, an actor that dies is a new trouble and not the old one.
PROVEN_S = 60.0
CLOSE_S = 10.0


class Actor(Protocol):
    """What is supervised."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Load, tell that it has started, and work until `close`. May be called again after it
        has failed."""

    def close(self) -> None:
        """Let `run` save what lasts and return."""

    @property
    def inbox(self) -> int:
        """How much waits to be done."""

    @property
    def trouble(self) -> str:
        """What does not work though the task runs, or ""."""


@dataclass(slots=True)
class Seat:
    """One actor and what became of it. `error`: why it last died."""

    name: str
    actor: Actor
    state: Literal["starting", "running", "down", "ended"] = "starting"
    restarts: int = 0
    error: str = ""


class Report(NamedTuple):
    """An actor as health, metrics and `status` show it. `trouble`: what does not work now;
    `last_error`: why it last died. Both may name files of this machine."""

    name: str
    state: str
    restarts: int
    inbox: int
    trouble: str
    last_error: str


class Supervisor:
    """Holds all actors of the process."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._closing = trio.Event()
        self._ended = trio.Event()
        self.seats: list[Seat] = []

    def add(self, name: str, actor: Actor) -> Seat:
        """Before `run`."""
        seat = Seat(name, actor)
        self.seats.append(seat)
        return seat

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `close`, and then until every actor has saved. Started when each actor has started
        or has failed to for the first time: a broken one does not keep the others from serving."""
        try:
            async with trio.open_nursery() as nursery:
                for seat in self.seats:
                    settled = trio.Event()
                    nursery.start_soon(self._keep, seat, settled)
                    await settled.wait()
                task_status.started()
        finally:
            self._ended.set()

    async def close(self) -> None:
        """Let all actors save and end. Bounded: one that hangs does not hold the shutdown."""
        self._closing.set()
        for seat in self.seats:
            seat.actor.close()
        with trio.move_on_after(CLOSE_S):
            await self._ended.wait()

    def troubles(self) -> Iterator[tuple[str, str]]:
        """Actors that are down or cannot do all they should, with the reason."""
        for seat in self.seats:
            why = seat.error if seat.state == "down" else seat.actor.trouble
            if why:
                yield seat.name, why

    def reports(self) -> list[Report]:
        """Every actor as it is now."""
        return [
            Report(
                seat.name, seat.state, seat.restarts, seat.actor.inbox, seat.actor.trouble,
                seat.error,
            )
            for seat in self.seats
        ]  # fmt: skip

    async def _keep(self, seat: Seat, settled: trio.Event) -> None:
        """`settled` once it has started, or has failed to."""
        in_a_row = 0
        while not self._closing.is_set():
            seat.state = "starting"
            began_s = trio.current_time()
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(seat.actor.run)
                    seat.state = "running"
                    settled.set()
                if self._closing.is_set():
                    break
                error: Exception = RuntimeError("ended without being told to")
            except Exception as caught:
                error = _first_of(caught)
            in_a_row = 0 if trio.current_time() - began_s > PROVEN_S else in_a_row + 1
            seat.state, seat.error = "down", f"{type(error).__name__}: {error}"
            seat.restarts += 1
            self._log.failure(f"actor-{seat.name}", seat.error)
            settled.set()
            with trio.move_on_after(min(FIRST_WAIT_S * 2 ** min(in_a_row, 20), LONGEST_WAIT_S)):
                await self._closing.wait()
        seat.state = "ended"
        settled.set()


def _first_of(error: Exception) -> Exception:
    """What a nursery has wrapped."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
