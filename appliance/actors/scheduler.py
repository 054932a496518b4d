"""Runs jobs at moments of the clock on the wall: what a cron daemon does beside other servers.

What a job does is its own business; when it is due is decided in `core/schedule.py`. The moment
that a job was last run for is kept in the state store: a restart misses none and repeats none.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from appliance.actors.tables import Tables
from appliance.core.schedule import Schedule, turn
from appliance.errors import Refusal
from appliance.log import Log
from storage.schedule_tables import put_served, read_served

# The clock may jump while we sleep, and a suspended machine's monotonic clock stands still.
LOOK_S: Final = 20.0
RETRY_S: Final = 60.0
STORE_RETRY_S: Final = 5.0  # a store that could not be used costs little to ask again
LEAST_S: Final = 0.001
WORDS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Job:
    """`work` gets the moment it stands for, and may be called again for the same one after it has
    failed or the process was killed. One that is not `kept` is run often enough that a restart need
    not know what it missed: so no disk is woken each minute."""

    name: str
    schedule: Schedule
    work: Callable[[int], Awaitable[None]]
    kept: bool = True


class Scheduler:
    """An actor. A job that fails is told in the log and tried again a minute later; the others go
    on. No job is run beside itself."""

    def __init__(
        self,
        tables: Tables,
        jobs: Sequence[Job],
        log: Log,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._jobs = tuple(jobs)
        self._log = log
        self._clock = clock
        self._closing = trio.Event()
        self._failing: dict[str, str] = {}
        self._running = 0

    @property
    def inbox(self) -> int:
        """Jobs at work."""
        return self._running

    @property
    def trouble(self) -> str:
        """Jobs that failed when they were last run."""
        return "; ".join(f"{name}: {why}" for name, why in self._failing.items())

    def close(self) -> None:
        """Begin no job any more; those at work are cut off, and run again after the next start."""
        self._closing.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `close`."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            for job in self._jobs:
                nursery.start_soon(self._keep, job)
            await self._closing.wait()
            nursery.cancel_scope.cancel("the scheduler is closed")

    async def _keep(self, job: Job) -> None:
        served_s: int | None = None
        known = not job.kept
        while True:
            try:
                if not known:
                    served_s, known = await self._read(job), True
                served_s = await self._serve(job, served_s)
                self._failing.pop(job.name, None)
                now_s = self._clock()
                wait_s = min(max(job.schedule.following(now_s) - now_s, LEAST_S), LOOK_S)
            except (
                Refusal
            ) as refusal:  # most often the state store's, which has a log line of its own
                self._failing[job.name] = refusal.message
                wait_s = STORE_RETRY_S
            except Exception as error:
                self._failing[job.name] = f"{type(error).__name__}: {error}"[:WORDS_MAX]
                self._log.failure(f"job-{job.name}", self._failing[job.name])
                wait_s = RETRY_S
            await trio.sleep(wait_s)

    async def _serve(self, job: Job, served_s: int | None) -> int:
        """The moment that is served by now."""
        now = turn(job.schedule, served_s, self._clock())
        if now.run:
            self._running += 1
            try:
                await job.work(now.due_s)
            finally:
                self._running -= 1
        if now.kept_s != served_s and job.kept:
            await self._tables.write(partial(put_served, job=job.name, served_s=now.kept_s))
        return now.kept_s

    async def _read(self, job: Job) -> int | None:
        return (await self._tables.read(read_served)).get(job.name)
