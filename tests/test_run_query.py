"""Who asks gets all rows or is told so, also when the database is closed under them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.actors.ingest_parts import IngestStats
from appliance.control_commands import PAGE_ROWS, run_query
from appliance.errors import Refusal
from storage.analytics import Analytics
from tests.storage.analytics_rows import opened

ROWS = 3 * PAGE_ROWS
MANY = f"SELECT range FROM range({ROWS})"


@dataclass
class OneDatabase:
    """What a query needs of ingest: a database, opened again once it was closed."""

    path: Path
    stale_by_ms: float | None = None
    analytics: Analytics | None = None
    waited: int = 0
    closing: bool = False
    stats: IngestStats = field(default_factory=IngestStats)

    async def wait_advanced(self) -> None:
        """It is opened meanwhile."""
        await trio.lowlevel.checkpoint()
        self.analytics = opened(self.path)

    async def caught_up(self, _timeout_s: float) -> float | None:
        self.waited += 1
        self.analytics = opened(self.path)
        return self.stale_by_ms


@dataclass
class Region:
    ingest: OneDatabase
    rows: list[Any] = field(default_factory=list)

    async def ask(self, on_page: Callable[[], Any]) -> None:
        async def take(_columns: object, rows: list[tuple[Any, ...]]) -> None:
            self.rows += rows
            await trio.to_thread.run_sync(on_page)

        await run_query(self, MANY, (), take)  # type: ignore[arg-type]


@pytest.fixture
def region(tmp_path: Path) -> Region:
    path = tmp_path / "analytics.duckdb"
    return Region(OneDatabase(path, analytics=opened(path)))


async def test_all_pages(region: Region) -> None:
    await region.ask(lambda: None)
    assert len(region.rows) == ROWS


async def test_right_after_the_start(region: Region) -> None:
    """The database is open a moment later than the door."""
    region.ingest.analytics = None
    await region.ask(lambda: None)
    assert len(region.rows) == ROWS


@pytest.mark.parametrize("why", ["broken", "closing"])
async def test_one_that_does_not_open_is_not_waited_for(region: Region, why: str) -> None:
    region.ingest.analytics = None
    if why == "closing":
        region.ingest.closing = True
    else:
        region.ingest.stats.error = "IOException: No space left on device"
    with pytest.raises(Refusal) as caught:
        await region.ask(lambda: None)
    assert (caught.value.status, caught.value.code) == (503, "analytics_closed")


async def test_closed_between_two_pages(region: Region) -> None:
    assert region.ingest.analytics is not None
    with pytest.raises(Refusal) as caught:
        await region.ask(region.ingest.analytics.close)
    assert (caught.value.status, caught.value.code) == (503, "analytics_closed")
    assert len(region.rows) == PAGE_ROWS


@pytest.mark.parametrize("stale_by_ms", [None, 7.0])
async def test_closed_before_the_first_page(
    region: Region, monkeypatch: pytest.MonkeyPatch, stale_by_ms: float | None
) -> None:
    """It is asked once more, if what was there before is there again."""
    first = region.ingest.analytics
    assert first is not None
    really, region.ingest.stale_by_ms = first.query, stale_by_ms

    def query(*arguments: Any, **options: Any) -> Any:
        found = really(*arguments, **options)
        first.close()
        return found

    monkeypatch.setattr(first, "query", query)
    if stale_by_ms is None:
        await region.ask(lambda: None)
        assert len(region.rows) == ROWS
    else:
        with pytest.raises(Refusal) as caught:
            await region.ask(lambda: None)
        assert (caught.value.code, region.rows) == ("analytics_closed", [])
    assert region.ingest.waited == 1
