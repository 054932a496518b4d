"""Brings an analytics database up to the journal's end, for commands that run without a server.

Blocking. The journal is only read: a torn tail stays where it is, for the next server to judge.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.actors.frame_rows import FrameDeriver
from storage.analytics import Analytics
from storage.batch import Batch
from storage.frames import Position
from storage.reader import OnDamage, read_frames
from storage.segment import segment_numbers, segment_path
from storage.vault import SegmentKeys

ROWS_MAX = 2_000
TEXT_BYTES_MAX = 4 * 2**20


@dataclass(frozen=True)
class CaughtUp:
    frames: int
    derive_errors: int


def catch_up(
    analytics: Analytics,
    root: Path,
    deriver: FrameDeriver,
    *,
    keys: SegmentKeys | None = None,
    on_damage: OnDamage | None = None,
    on_progress: Callable[[int], None] | None = None,
    read_only: bool = False,
) -> CaughtUp:
    """Ingests every whole frame after `analytics.position`. After a kill the answer is complete,
    without a restart of the server. Raises AnalyticsFailed, OSError, VaultError."""
    if not read_only:
        _sync_tail(root, analytics.position)
    batch = Batch(analytics.row_bytes_max)
    end = analytics.position
    for frame in read_frames(root, end, keys=keys, on_damage=on_damage):
        batch.add(deriver(frame), frame.flags)
        end = frame.end
        if len(batch) >= ROWS_MAX or batch.text_bytes >= TEXT_BYTES_MAX:
            analytics.ingest(batch, end)
            batch = Batch(analytics.row_bytes_max)
            if on_progress is not None:
                on_progress(deriver.counts.frames)
    if end > analytics.position:
        analytics.ingest(batch, end)
    return CaughtUp(deriver.counts.frames, deriver.counts.derive_errors)


def _sync_tail(root: Path, start: Position) -> None:
    """DuckDB must not know what a power cut could still take from the journal."""
    for number in segment_numbers(root):
        if number >= start.segment:
            descriptor = os.open(segment_path(root, number), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
