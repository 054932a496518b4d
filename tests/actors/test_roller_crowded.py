"""The roller where memory fills: what goes before its time, and what it waits for."""

from dataclasses import replace
from pathlib import Path

import pytest

from storage import analytics
from storage.analytics import AnalyticsFailed
from storage.segment import segment_numbers, segments
from tests.actors.roller_kit import NOW_S, QUICK, House
from tests.storage.lake_kit import (
    KEYS,
    exchange,
    write_segment,
)


@pytest.mark.parametrize("what", ["bodies", "rows"])
async def test_what_fills_the_memory_goes_long_before_it_fills_a_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    """Bodies of an encrypted region, whose hot rows lie there; many rows of any."""
    keys = KEYS if what == "bodies" else None
    size = 9 * 2**20 if what == "bodies" else 1
    if what == "rows":
        monkeypatch.setattr(analytics, "HOT_ROWS_MAX", 3)
    patient = replace(QUICK, roll_bytes=2**30, roll_bytes_encrypted=2**30, roll_age_s=1e9)
    write_segment(tmp_path, [exchange(1)], keys=keys, closed=False)
    house = House(tmp_path, keys=keys, options=patient)
    assert house.analytics is not None
    await house.roller._look()  # what is little waits as ever
    assert (segment_numbers(tmp_path), house.rotated) == ([1], 0)

    large = [exchange(n, response="a" * size) for n in (2, 3)]
    write_segment(tmp_path, large, keys=keys, closed=False)
    write_segment(tmp_path, [exchange(4)], keys=keys, closed=False)
    assert sum(one.bytes for one in segments(tmp_path)) < 2**20
    house.ingest()
    assert house.analytics.is_crowded
    await house.roller._look()  # which were closed before are enough
    assert (segment_numbers(tmp_path), house.rotated) == ([3], 0)
    assert not house.analytics.is_crowded
    assert len(house.ids()) == 4


@pytest.mark.parametrize(("rows", "closes"), [(2, 0), (3, 1)])
async def test_the_segment_that_is_written_is_closed_where_no_other_can_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, closes: int
):
    """Many rows of small calls, all in one segment: the roll comes once the journal closed it."""
    monkeypatch.setattr(analytics, "HOT_ROWS_MAX", 3)
    write_segment(tmp_path, [exchange(n) for n in range(rows)], closed=False)
    house = House(tmp_path, options=replace(QUICK, roll_bytes=2**30, roll_age_s=1e9))
    await house.roller._look()
    assert (segment_numbers(tmp_path), house.rotated) == ([1], closes)


async def test_while_a_roll_cannot_be_shown_no_more_segments_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is in the lake, so nothing waits; and the rows are hot still."""
    monkeypatch.setattr(analytics, "HOT_ROWS_MAX", 3)
    write_segment(tmp_path, [exchange(n) for n in range(5)])
    write_segment(tmp_path, [exchange(9)], closed=False)
    house = House(tmp_path, options=replace(QUICK, roll_bytes=2**30, roll_age_s=1e9))
    assert house.analytics is not None
    plain = house.analytics.swap_lake

    def fails(*_: object, **__: object) -> None:
        raise AnalyticsFailed("Out of Memory Error", damaged=False)

    monkeypatch.setattr(house.analytics, "swap_lake", fails)
    for _ in range(3):
        with pytest.raises(AnalyticsFailed):
            await house.roller._look()
    assert house.lake.manifest.upto_segment == 1
    assert house.analytics.is_crowded
    assert house.rotated == 0
    monkeypatch.setattr(house.analytics, "swap_lake", plain)
    await house.roller._look()
    assert (house.rotated, house.analytics.is_crowded) == (0, False)


async def test_what_is_recorded_does_not_wait_until_all_is_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two days with two rolls each; what comes in while the first is merged is rolled then."""
    house = House(tmp_path, options=replace(QUICK, roll_bytes=1))
    for number in range(4):
        at_us = 1_772_323_200_000_000 + number // 2 * 86_400_000_000 + number
        write_segment(tmp_path, [exchange(number, recorded_at_us=at_us)])
        house.ingest()
        assert await house.roller.roll_now() == 1
    assert len(house.lake.manifest.of("requests")) == 4
    seen: list[tuple[int, int]] = []
    plain = house.roller._roll_all

    async def looks(*, force: bool) -> int:
        seen.append((len(house.lake.manifest.of("requests")), house.lake.manifest.upto_segment))
        if len(seen) == 1:
            at_us = int(NOW_S * 1e6)
            write_segment(tmp_path, [exchange(10, recorded_at_us=at_us)])
            house.ingest()
        return await plain(force=force)

    monkeypatch.setattr(house.roller, "_roll_all", looks)
    await house.roller.keep_now()
    assert seen == [(3, 4), (3, 5)]
    assert len(house.lake.manifest.of("requests")) == 3
    assert len(house.ids()) == 5
