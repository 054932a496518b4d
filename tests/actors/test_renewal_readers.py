"""Whoever asks while a deletion has the database made anew: it is empty for a while."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
import trio
import trio.lowlevel

from appliance.actors.ingest import Ingest
from appliance.actors.ingest_parts import IngestOptions
from appliance.assembly_hooks import query_of
from appliance.control_commands import run_copy, run_query
from appliance.log import Log
from appliance.services import RecordsOf
from storage.frames import Position
from tests.actors.hooks_kit import InlineTables
from tests.actors.ingest_kit import House, append, running
from tests.actors.webhooks_kit import Bench

COUNT = "SELECT count(*) FROM requests"
ROWS = 600
# Filled again in several steps: it can be met half full.
SLICES = IngestOptions(rows_max=100)


class Real:
    """Records as webhooks see them: of a real database that is made anew, asked as the server has
    it asked."""

    def __init__(self, ingest: Ingest, query: Any) -> None:
        self._ingest, self.query = ingest, query

    @property
    def position(self) -> Position:
        return self._ingest.position

    async def wait_past(self, position: Position) -> None:
        await self._ingest.wait_past(position)


async def filled(house: House) -> None:
    for start in range(0, ROWS, 100):
        append(house.journal, *range(start, start + 100))
        await house.settled()


async def renewing(house: House, when: str, nursery: trio.Nursery) -> None:
    """Returns in the very step in which it is closed, or open and empty."""
    nursery.start_soon(house.ingest.renew)
    while house.ingest.analytics is not None:
        await trio.lowlevel.checkpoint()
    while when == "filling" and house.ingest.analytics is None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("when", ["closed", "filling"])
async def test_who_concludes_from_what_is_not_there_waits(tmp_path: Path, when: str) -> None:
    path = tmp_path / "analytics.duckdb"
    async with running(tmp_path, options=SLICES) as house, trio.open_nursery() as nursery:
        await filled(house)
        await renewing(house, when, nursery)
        found: list[Any] = []

        async def take(_: object, rows: list[Any]) -> None:
            found.extend(rows)

        region: Any = SimpleNamespace(ingest=house.ingest)
        await run_query(region, COUNT, (), take, whole=True)
        assert found == [(ROWS,)]
        await renewing(house, when, nursery)
        await run_copy(region, COUNT, (), path.with_suffix(".parquet"))
    assert duckdb.sql(f"FROM '{path.with_suffix('.parquet')}'").fetchall() == [(ROWS,)]


@pytest.mark.parametrize("when", ["closed", "filling"])
async def test_webhooks_miss_nothing(tmp_path: Path, when: str) -> None:
    tables = InlineTables(tmp_path)
    async with running(tmp_path, options=SLICES) as house:
        bench = Bench(tables)
        region: Any = SimpleNamespace(ingest=house.ingest)
        records = RecordsOf({"us": region}, Log())
        bench.ingest = Real(house.ingest, query_of(records, "us"))  # type: ignore[assignment]
        bench.actor = bench._new()
        bench.add("a")
        await filled(house)
        async with trio.open_nursery() as nursery:
            await renewing(house, when, nursery)
            async with bench.running():
                with trio.fail_after(30):
                    while len(bench.deliveries()) < ROWS:  # noqa: ASYNC110 - of a table
                        await trio.sleep(0.01)
        assert "dropped" not in bench.states()
    tables.close()
