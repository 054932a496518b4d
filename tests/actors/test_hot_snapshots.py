"""Hot rows for user SQL, as the loop asks for them."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from appliance.actors.hot_snapshots import HotSnapshots, SnapshotFailed
from storage.analytics_place import NICE
from storage.frames import Position
from tests.storage.analytics_rows import batch_of, opened


async def test_copies_are_made_behind_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analytics = opened(tmp_path / "a.duckdb")
    snapshots = HotSnapshots(lambda: analytics, tmp_path)
    seen: list[int] = []
    take = snapshots._snapshot.take

    def noted(*arguments: Any, **named: Any) -> Any:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return take(*arguments, **named)

    monkeypatch.setattr(snapshots._snapshot, "take", noted)
    try:
        analytics.ingest(batch_of(range(3)), Position(1, 300))
        for _ in range(2):
            taken = await snapshots.take(bodies=True)
            assert set(taken.hot.files) == {"requests", "bodies"}
            taken.let_go()
        await snapshots.rest()
    finally:
        analytics.close()
    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert seen == [usual + NICE] * 2


async def test_what_cannot_be_copied_is_told(tmp_path: Path) -> None:
    with pytest.raises(SnapshotFailed, match="is being opened"):
        await HotSnapshots(lambda: None, tmp_path).take(bodies=False)
    analytics = opened(tmp_path / "a.duckdb")
    try:
        analytics.ingest(batch_of(range(3)), Position(1, 300))
        snapshots = HotSnapshots(lambda: analytics, tmp_path / "missing")
        with pytest.raises(SnapshotFailed, match="FileNotFoundError"):
            await snapshots.take(bodies=False)
    finally:
        analytics.close()
