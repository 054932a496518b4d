"""A state store of small tables without threads, and a clock on the wall that jumps when told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from appliance.errors import Refusal
from storage.state_tables import StateTables

NOON_S = 1_800_000_000.0  # a Friday, 08:00 in UTC


class InlineTables:
    """As `actors.tables.Tables`; autojump clocks do not wait for threads."""

    def __init__(self, directory: Path) -> None:
        self.tables = StateTables.open(directory / "state.sqlite")
        self.broken = False
        self.writes = 0

    async def read(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        self._check()
        return self.tables.read(work)

    async def write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        self._check()
        self.writes += 1
        return self.tables.write(work)

    def close(self) -> None:
        self.tables.close()

    def _check(self) -> None:
        if self.broken:
            raise Refusal(503, "state_broken", "The state store cannot be used.")


class WallClock:
    """Goes with trio's clock, plus what it jumped."""

    def __init__(self, start_s: float = NOON_S) -> None:
        self.start_s = start_s
        self.jumped_s = 0.0

    def __call__(self) -> float:
        return self.start_s + trio.current_time() + self.jumped_s
