"""One region's small tables (prompts, webhooks, datasets, saved queries, …) as the loop sees them:
work is done in a thread, one piece at a time, and what breaks becomes a Refusal.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import TypeVar

import trio

from appliance.errors import Refusal
from storage.state import StateBroken
from storage.state_tables import StateTables

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

WAITING_MAX = 256


class Tables:
    """Opened when first asked, and anew after it broke. It keeps nothing in memory."""

    def __init__(self, open_tables: Callable[[], StateTables]) -> None:
        self._open_tables = open_tables
        self._tables: StateTables | None = None
        self._limiter = trio.CapacityLimiter(1)
        self.failing = ""

    @property
    def waiting(self) -> int:
        """How many wait for the file, beside whoever uses it."""
        return self._limiter.statistics().tasks_waiting

    async def read(self, work: Work[T]) -> T:
        """What `work` reads, as of one moment. Raises Refusal 503, ValueError, and what `work`
        raises."""
        return await self._do(lambda tables: tables.read(work))

    async def write(self, work: Work[T]) -> T:
        """What `work` changes, in one transaction, on the disk when this returns; a cancelled
        caller waits for it. Raises Refusal 503, ValueError, and what `work` raises."""
        return await self._do(lambda tables: tables.write(work))

    async def close(self) -> None:
        """Close the file; whoever asks later opens it again."""
        tables, self._tables = self._tables, None
        if tables is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(tables.close, limiter=self._limiter)

    async def _do(self, work: Callable[[StateTables], T]) -> T:
        if self.waiting >= WAITING_MAX:
            raise Refusal(
                503, "state_busy", "The state store is busy: try again in a moment.",
                headers={"Retry-After": "1"},
            )  # fmt: skip
        try:
            result = await trio.to_thread.run_sync(self._open_and, work, limiter=self._limiter)
        except StateBroken as error:
            if not self.failing:
                log.warning("the state store cannot be used: %s", error)
            self.failing = str(error)
            raise Refusal(
                503, "state_broken", "The state store cannot be used; this server's log says why.",
                headers={"Retry-After": "30"},
            ) from error  # fmt: skip
        self.failing = ""
        return result

    def _open_and(self, work: Callable[[StateTables], T]) -> T:
        """In the thread: the limiter lets one in at a time."""
        tables = self._tables
        if tables is None:
            tables = self._tables = self._open_tables()
        try:
            return work(tables)
        except StateBroken:
            self._tables = None
            tables.close()
            raise
