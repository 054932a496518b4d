"""A deletion concludes nothing from a database that does not have all requests."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from appliance.erasing import StoresOf
from appliance.errors import Refusal
from storage.analytics import Analytics
from storage.erasures import Erasure
from storage.frames import Position
from tests.storage.analytics_rows import ORG, batch_of, exchange_id, opened

ORG_ID = str(uuid.UUID(bytes=ORG))


@dataclass
class FakeIngest:
    analytics: Analytics
    stale_by_ms: float | None = None
    restoring: bool = False

    async def caught_up(self, _timeout_s: float) -> float | None:
        return self.stale_by_ms


class FakeJournal:
    """One whose records leave memory at once, or never."""

    stuck = False

    async def wait_written(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.stuck:
            await trio.sleep_forever()


@dataclass
class Region:
    ingest: FakeIngest
    journal: FakeJournal = field(default_factory=FakeJournal)
    found: list[Any] = field(default_factory=list)

    async def find(self, request_id: str) -> None:
        async def take(page: list[tuple[str, bytes]]) -> None:
            self.found += page

        row = Erasure("e", ORG_ID, "request", request_id, "waiting", 0, "open", 0, None)
        await self.stores.find(row, take)

    @property
    def stores(self) -> StoresOf:
        return StoresOf(self, None, None)  # type: ignore[arg-type]


@pytest.fixture
def region() -> Region:
    analytics = opened(None)
    analytics.ingest(batch_of((1, 2)), Position(1, 100))
    return Region(FakeIngest(analytics))


async def test_what_is_there_is_found(region: Region) -> None:
    await region.find(str(uuid.UUID(bytes=b"\x40" + (1).to_bytes(15, "big"))))
    assert [one for _, one in region.found] == [exchange_id(1)]
    assert await region.stores.kept(ORG_ID, [exchange_id(2), exchange_id(7)]) == {exchange_id(2)}


async def test_not_while_requests_may_be_missing(region: Region) -> None:
    region.ingest.stale_by_ms, region.ingest.restoring = 3.0, True
    with pytest.raises(Refusal, match="does not have all requests yet"):
        await region.find(str(uuid.UUID(bytes=exchange_id(7))))
    with pytest.raises(Refusal, match="made anew"):
        await region.stores.kept(ORG_ID, [exchange_id(7)])
    assert region.found == []


async def test_not_while_a_record_is_in_memory_alone(region: Region, autojump_clock: Any) -> None:
    """It would come to the disk after its deletion."""
    region.journal.stuck = True
    with pytest.raises(Refusal, match="does not have all requests yet"):
        await region.find(str(uuid.UUID(bytes=exchange_id(1))))
    assert region.found == []
