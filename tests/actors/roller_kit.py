"""Hot rows, a journal that only remembers, and a roller with a real helper over a real root."""

from pathlib import Path
from typing import Any

import trio

from appliance.actors.lake_helper import Helper
from appliance.actors.roller import Roller
from appliance.actors.roller_options import RollerOptions
from storage.analytics import Analytics
from storage.batch import Batch
from storage.frames import Position
from storage.vault import SegmentKeys
from tests.actors.roll_helper_kit import command
from tests.storage.lake_kit import (
    Derive,
    journal,
    open_lake,
    write_segment,
)

NOW_S = 1_800_000_000.0
QUICK = RollerOptions(
    first_look_s=0.0, look_s=0.005, retry_first_s=0.005, retry_max_s=0.01, roll_bytes=1, intent_s=1
)


class House:
    """Hot rows, a journal that only remembers, and a roller over a real root."""

    def __init__(
        self,
        root: Path,
        mode: str = "well",
        *,
        keys: SegmentKeys | None = None,
        options: RollerOptions = QUICK,
        stall_s: float = 30.0,
    ) -> None:
        self.root = root
        self.keys = keys
        self.degraded: str | None = None
        self.rotated = 0
        self.rebuilt = 0
        self.forgotten: list[frozenset[bytes] | None] = []
        self.lake = open_lake(root, keys)
        self.analytics: Analytics | None = Analytics.open(
            None, memory_bytes_max=64 * 2**20, threads=1, lake=self.lake.view
        )
        self.helper = Helper(command(mode), stall_s=stall_s)
        self.roller = Roller(
            self.lake, self, self, helper=self.helper, rebuild_hot=self._rebuild, options=options,
            clock=lambda: NOW_S,
        )  # fmt: skip
        self.ingest()

    def ingest(self) -> None:
        assert self.analytics is not None
        batch, derive = Batch(), Derive(self.root, self.keys)
        end = self.analytics.position
        for frame in journal(self.root, self.keys):
            if frame.position >= self.analytics.position:
                batch.add(derive(frame), frame.flags)
                end = frame.end
        self.analytics.ingest(batch, end)

    def ids(self, table: str = "requests") -> list[bytes]:
        assert self.analytics is not None
        with self.analytics.query(f"SELECT exchange_id FROM {table} ORDER BY 1") as query:
            return [row[0].bytes for row in query.fetch(200)]

    async def _rebuild(self) -> None:
        self.rebuilt += 1

    async def forget_cached(self, found: frozenset[bytes] | None) -> None:
        self.forgotten.append(found)

    # the journal, as the roller sees it

    @property
    def written(self) -> Position:
        return max((frame.end for frame in journal(self.root, self.keys)), default=Position(0, 0))

    def append(self, kind: int, org: bytes, payload: bytes, flags: int = 0) -> None:
        write_segment(self.root, [(kind, flags, payload)], keys=self.keys, org=org)

    async def wait_synced_past(self, position: Position) -> None:
        await trio.lowlevel.checkpoint()

    async def rotate(self) -> None:
        self.rotated += 1

    async def until(self, nursery: trio.Nursery, done: Any) -> None:
        await nursery.start(self.roller.run)
        with trio.fail_after(20):
            while not done():  # noqa: ASYNC110 - files of another process are watched
                await trio.sleep(0.005)
        self.roller.close()
