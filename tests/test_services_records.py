"""Who reads waits for the newest, but not while whole batches are on their way anyway."""

from dataclasses import dataclass, field
from typing import Any

from appliance.services import BUSY_FRAMES, RecordsOf


@dataclass
class FakeIngest:
    lag_frames: int
    analytics: Any = True
    stale_by_ms: float = 400
    waited: list[float] = field(default_factory=list)

    async def caught_up(self, timeout_s: float) -> float | None:
        self.waited.append(timeout_s)
        return None


@dataclass
class FakeRegion:
    ingest: FakeIngest


async def answer(ingest: FakeIngest) -> float | None:
    records = RecordsOf({"us": FakeRegion(ingest)}, None)  # type: ignore[arg-type, dict-item]
    return await records.caught_up("us")


async def test_a_reader_waits_while_little_is_under_way() -> None:
    ingest = FakeIngest(BUSY_FRAMES - 1)
    assert await answer(ingest) is None
    assert ingest.waited == [1.0]


async def test_a_reader_is_told_how_old_the_answer_is_while_much_is() -> None:
    ingest = FakeIngest(BUSY_FRAMES)
    assert await answer(ingest) == 400
    assert ingest.waited == []


async def test_a_database_that_is_being_opened_is_waited_for() -> None:
    ingest = FakeIngest(BUSY_FRAMES, analytics=None)
    assert await answer(ingest) is None
    assert ingest.waited
