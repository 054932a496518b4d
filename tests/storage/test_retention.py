"""Retention by age and by bytes, and days merged into one file per table."""

import itertools
from pathlib import Path

import pytest

from storage import retention
from storage.frames import KIND_SCORE
from storage.lake import Lake
from storage.roll import roll
from storage.vault import SegmentKeys
from tests.storage.lake_kit import (
    DAY_US,
    KEYS,
    START_US,
    Derive,
    exchange,
    lake_rows,
    open_lake,
    score,
    write_segment,
)

HOUR_US = DAY_US // 24


def filled(root: Path, days: int, per_day: int = 4, keys: SegmentKeys | None = None) -> Lake:
    """One roll a quarter of a day, one exchange an hour and a half."""
    lake = open_lake(root, keys)
    number = 0
    for _ in range(days * per_day):
        payloads = []
        for _ in range(4):
            payloads.append(exchange(number, START_US + number * DAY_US // (per_day * 4)))
            number += 1
        segment = write_segment(root, payloads, keys=keys)
        roll(lake, Derive(root), upto=segment)
        lake.tidy(lake.manifest.generation)
    return lake


def _times(lake: Lake) -> list[int]:
    rows = lake_rows(lake, "requests", "epoch_us(recorded_at) AS at")
    return [row[0] for row in rows]


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_a_passed_day_becomes_one_file_per_table(tmp_path: Path, keys: SegmentKeys | None):
    lake = filled(tmp_path, 3, keys=keys)
    before = lake_rows(lake, "bodies", "*"), lake_rows(lake, "requests", "*")
    assert len(lake.manifest.of("bodies")) == 12
    replaced = retention.merge_days(lake, now_us=START_US + 2 * DAY_US + HOUR_US)
    assert replaced == 8
    files = lake.manifest.of("bodies")
    assert [file.span for file in files] == [(1, 4), (5, 8), (9, 9), (10, 10), (11, 11), (12, 12)]
    assert (lake_rows(lake, "bodies", "*"), lake_rows(lake, "requests", "*")) == before
    assert retention.merge_days(lake, now_us=START_US + 2 * DAY_US + HOUR_US) == 0
    lake.tidy(lake.manifest.generation)
    assert len(list((tmp_path / "lake" / "bodies").iterdir())) == 6


def test_a_merged_day_is_merged_once(tmp_path: Path):
    """Also when a table had rows in one of its rolls only."""
    lake = open_lake(tmp_path)
    for part in range(3):
        edits = [(KIND_SCORE, 0, score(1, 0.5))] if part == 1 else []
        write_segment(tmp_path, [exchange(part), *edits])
        roll(lake, Derive(tmp_path), upto=part + 1)
        lake.tidy(lake.manifest.generation)
    now_us = START_US + 2 * DAY_US
    assert retention.merge_days(lake, now_us=now_us) == 3
    generation = lake.manifest.generation
    assert [file.span for file in lake.manifest.files] == [(2, 2), (1, 3), (1, 3)]
    assert retention.merge_days(lake, now_us=now_us) == 0
    assert lake.manifest.generation == generation
    # by bytes: edits go with the exchanges that they belong to, not before them
    assert retention.retain(lake, now_us=now_us, bytes_max=1).files == 3
    assert lake.manifest.files == ()


def test_small_groups_of_today_are_joined_once_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each costs whoever reads; those that are large by now are left until the day is over."""
    lake = filled(tmp_path, 1)
    before = lake_rows(lake, "bodies", "*")
    now_us = START_US + DAY_US - 1
    assert retention.merge_days(lake, now_us=now_us) == 0
    monkeypatch.setattr(retention, "SOON_GROUPS", 4)
    monkeypatch.setattr(retention, "SOON_BYTES_MAX", 1)
    assert retention.merge_days(lake, now_us=now_us) == 0
    monkeypatch.setattr(retention, "SOON_BYTES_MAX", 2**20)
    assert retention.merge_days(lake, now_us=now_us) == 4
    assert [file.span for file in lake.manifest.of("bodies")] == [(1, 4)]
    assert lake_rows(lake, "bodies", "*") == before


def test_one_run_at_a_time(tmp_path: Path):
    lake = filled(tmp_path, 3)
    now_us = START_US + 9 * DAY_US
    assert [retention.merge_days(lake, now_us=now_us, runs_max=1) for _ in range(4)] == [4, 4, 4, 0]


def test_merging_stops_at_a_size(tmp_path: Path):
    lake = filled(tmp_path, 1)
    size = max(
        sum(file.bytes for file in lake.manifest.files if file.span == (n, n)) for n in (1, 2, 3, 4)
    )
    retention.merge_days(lake, now_us=START_US + 9 * DAY_US, bytes_max=2 * size)
    assert [file.span for file in lake.manifest.of("requests")] == [(1, 2), (3, 4)]


@pytest.mark.parametrize("merged", [False, True])
def test_by_age_drops_whole_files_and_rewrites_the_boundary(tmp_path: Path, merged: bool):
    lake = filled(tmp_path, 3)
    now_us = START_US + 3 * DAY_US
    if merged:
        retention.merge_days(lake, now_us=now_us)
    result = retention.retain(lake, now_us=now_us, days=1.8, slack_us=0)
    cutoff = now_us - int(1.8 * DAY_US)
    assert result.rows == 48 - len(_times(lake)) > 16
    assert min(_times(lake)) >= cutoff
    assert len(_times(lake)) == sum(
        START_US + n * DAY_US // 16 + 500_000 >= cutoff for n in range(48)
    )
    assert lake_rows(lake, "bodies", "count(*)") == [(len(_times(lake)),)]
    assert min(file.recorded_min_us for file in lake.manifest.files) >= cutoff
    assert retention.retain(lake, now_us=now_us, days=1.8, slack_us=0).bytes == 0


def test_a_file_a_little_too_old_is_left(tmp_path: Path):
    lake = filled(tmp_path, 2)
    now_us = START_US + 2 * DAY_US
    retention.merge_days(lake, now_us=now_us)
    assert retention.retain(lake, now_us=now_us, days=1.8).rows == 0
    assert retention.retain(lake, now_us=now_us, days=1.5).rows == 8


def test_by_bytes_the_oldest_go_until_the_root_fits(tmp_path: Path):
    lake = filled(tmp_path, 3)
    total = retention.root_bytes(lake)
    result = retention.retain(lake, now_us=START_US, bytes_max=total * 2 // 3)
    assert retention.root_bytes(lake) <= total * 2 // 3
    assert result.short_bytes == 0
    assert result.rows < 30
    times = _times(lake)
    assert times == sorted(START_US + n * DAY_US // 16 + 500_000 for n in range(48))[-len(times) :]
    assert lake_rows(lake, "bodies", "count(*)") == [(len(times),)]


def test_by_bytes_a_single_large_file_is_cut(tmp_path: Path):
    # texts that do not compress, so that sizes follow rows
    payloads = [
        exchange(n, request="".join(chr(33 + (n * k * k + k) % 90) for k in range(4000)))
        for n in range(1, 41)
    ]
    write_segment(tmp_path, payloads)
    lake = open_lake(tmp_path)
    roll(lake, Derive(tmp_path), upto=1)
    lake.tidy(1)
    total = retention.root_bytes(lake)
    result = retention.retain(lake, now_us=START_US, bytes_max=total * 7 // 10)
    assert 5 <= result.rows <= 25
    kept = lake_rows(lake, "requests", "properties['number']::INTEGER AS n")
    assert [row[0] for row in kept] == list(range(result.rows + 1, 41))
    assert lake_rows(lake, "bodies", "count(*)") == [(len(kept),)]


def test_what_lies_outside_the_lake_is_counted_and_said(tmp_path: Path):
    lake = filled(tmp_path, 1)
    (tmp_path / "analytics.duckdb").write_bytes(bytes(2_000_000))
    result = retention.retain(lake, now_us=START_US, bytes_max=1_000_000)
    assert lake.manifest.files == ()
    assert result.short_bytes > 900_000


def test_within_limits_nothing_happens(tmp_path: Path):
    lake = filled(tmp_path, 1)
    generation = lake.manifest.generation
    limits = {"days": 30.0, "bytes_max": 10**9}
    assert retention.retain(lake, now_us=START_US + DAY_US, **limits).bytes == 0
    assert lake.manifest.generation == generation


def test_a_crash_at_any_step_leaves_whole_days(tmp_path: Path):
    class Died(Exception):  # noqa: N818
        pass

    for number in itertools.count():
        root = tmp_path / str(number)
        lake = filled(root, 1, per_day=2)
        count = itertools.count()

        def step(name: str, count: itertools.count = count, number: int = number) -> None:
            if next(count) == number:
                raise Died(name)

        try:
            retention.merge_days(lake, now_us=START_US + 2 * DAY_US, step=step)
            finished = True
        except Died:
            finished = False
        lake = open_lake(root)
        lake.sweep_orphans()
        assert lake_rows(lake, "requests", "count(DISTINCT exchange_id), count(*)") == [(8, 8)]
        assert lake_rows(lake, "bodies", "count(*)") == [(8,)]
        if finished:
            break
    assert len(lake.manifest.of("requests")) == 1
