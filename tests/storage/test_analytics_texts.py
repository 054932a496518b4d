"""Texts of all sizes pass through the writer's memory, and can be read with a reader's."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from appliance.actors.ingest_parts import IngestOptions
from storage.analytics import AnalyticsFailed
from storage.analytics_failure import writing
from storage.batch import Batch
from storage.frames import Position
from tests.storage.analytics_rows import ask, body_row, opened, request_row

KIB = 1024
MIB = 1024 * KIB


def text(size: int) -> str:
    """Of a size, never the same twice, ending in `end`."""
    return os.urandom(size // 2 - 2).hex() + "end."


def batch_of(first: int, rows: int, size: int) -> Batch:
    batch = Batch()
    for number in range(first, first + rows):
        request = request_row(number, frame_offset=number)
        texts = {"request": text(size), "response": text(size)}
        batch.add_exchange(request, body_row(number, frame_offset=number, **texts), 0)
    return batch


# Bytes a side, rows a batch, batches. The many are what the checkpoint's joining of row groups took
# too much memory for: 2,880 of 8 KiB, 440 of 40.
# Bodies up to here need no reader's memory in batches of this size, larger ones may.
SURELY_FITS = 10 * KIB
TEXTS = [(8 * KIB, 60, 50), (40 * KIB, 20, 30), (62 * KIB, 40, 16)]
# Bytes a side of which whole batches did not fit, some of them in commits of 4 MiB.
LARGE = [66 * KIB, 75 * KIB, 140 * KIB, 160 * KIB, 400 * KIB, MIB]


@pytest.mark.parametrize(("size", "rows", "batches"), TEXTS)
def test_texts_of_all_sizes_go_in_batch_after_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, rows: int, batches: int
) -> None:
    asked = 0

    def counted(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1

    with monkeypatch.context() as patched:
        if size < SURELY_FITS:
            patched.setattr("storage.memory_limit.MemoryLimit.make_room", counted)
        analytics = opened(tmp_path / "analytics.duckdb")
        for number in range(batches):
            analytics.ingest(batch_of(number * rows, rows, size), Position(1, number + 1))
    assert asked == 0, "the writer managed with its own memory"
    assert not analytics._memory._is_raised
    try:
        count = rows * batches
        sql = "SELECT count(*), sum(length(response)) FROM bodies WHERE request LIKE '%end.'"
        assert ask(analytics, sql) == [(count, count * size)]
    finally:
        analytics.close()


@pytest.mark.parametrize("size", LARGE)
def test_whole_batches_of_large_texts_fit_and_their_room_is_given_back(
    tmp_path: Path, size: int
) -> None:
    rows, batches = IngestOptions().text_bytes_max // (2 * size) + 1, 8
    analytics = opened(tmp_path / "analytics.duckdb")
    try:
        for number in range(batches):
            analytics.ingest(batch_of(number * rows, rows, size), Position(1, number + 1))
            assert not analytics._memory._is_raised
        sql = "SELECT count(*), sum(length(response)) FROM bodies WHERE request LIKE '%end.'"
        assert ask(analytics, sql) == [(rows * batches, rows * batches * size)]
    finally:
        analytics.close()


SPAN = {
    "source": "otlp",
    "step": "tool",
    "session_id": "",
    "trace_id": "",
    "span_id": "",
    "parent_span_id": "",
}


@pytest.mark.parametrize("span", [{}, SPAN], ids=["proxied", "spans"])
@pytest.mark.parametrize("size", [200, KIB, 2 * KIB, 8 * KIB, 20 * KIB, 85 * KIB, 120 * KIB])
def test_whole_batches_that_are_hard_to_compress_get_a_readers_memory_where_they_need_it(
    tmp_path: Path, size: int, span: dict[str, str]
) -> None:
    """What a proxy at its top speed hands over: replies of one size, 5 MiB of them at once; and
    spans, each with ids that no other has."""
    options = IngestOptions()
    rows, batches = min(options.text_bytes_max // (size + 200) + 1, options.rows_max), 10
    analytics = opened(tmp_path / "analytics.duckdb")
    try:
        for number in range(batches):
            batch = Batch()
            for at in range(number * rows, (number + 1) * rows):
                texts = {"request": text(200), "response": text(size)}
                body = body_row(at, frame_offset=at, **texts)
                ids = {name: value or os.urandom(16).hex() for name, value in span.items()}
                batch.add_exchange(request_row(at, frame_offset=at, **ids), body, 0)
            analytics.ingest(batch, Position(1, number + 1))
            assert not analytics._memory._is_raised
        sql = "SELECT count(*), sum(length(response)) FROM bodies WHERE request LIKE '%end.'"
        assert ask(analytics, sql) == [(rows * batches, rows * batches * size)]
        assert analytics.position == Position(1, batches)
    finally:
        analytics.close()


@pytest.mark.parametrize(("rows", "batches"), [(1, 3)])
def test_the_largest_bodies_that_are_kept(tmp_path: Path, rows: int, batches: int) -> None:
    """32 MiB a side (`record_bytes_max`), with what DuckDB has of 1 GiB; and small ones after."""
    analytics = opened(
        tmp_path / "analytics.duckdb", memory_bytes_max=300 * MIB, temporary=tmp_path / "tmp"
    )
    try:
        for number in range(batches):
            analytics.ingest(batch_of(number, rows, 32 * MIB), Position(1, number + 1))
        analytics.ingest(batch_of(batches, 500, KIB), Position(1, batches + 1))
        assert ask(analytics, "SELECT count(*) FROM bodies WHERE request LIKE '%end.'") == [
            (batches + 500,)
        ]
    finally:
        analytics.close()


def test_row_groups_without_rows_are_dropped(tmp_path: Path) -> None:
    """Though those that are left are not joined."""
    analytics = opened(tmp_path / "analytics.duckdb")
    try:
        for number in range(20):
            analytics.ingest(batch_of(number * 100, 100, 16 * KIB), Position(1, number + 1))
        analytics._run("CHECKPOINT store")
        size = "sum(used_blocks * block_size) FROM pragma_database_size()"
        ((full,),) = ask(analytics, f"SELECT {size}")
        analytics._run("DELETE FROM store.hot_bodies WHERE frame_offset < 1600")
        analytics._run("CHECKPOINT store")
        ((rest,),) = ask(analytics, f"SELECT {size}")
        assert full > 60 * MIB
        assert rest < full * 0.5
    finally:
        analytics.close()


@pytest.mark.parametrize(
    "words",
    [
        "TransactionContext Error: Failed to commit: Checkpoint failed for database \"store\". The"
        " database has been invalidated. Original error: could not allocate block of size 404.0 KiB"
        " (47.6 MiB/48.0 MiB used)",
        "IO Error: Transaction COMMIT succeeded and is durable, but the autocheckpoint failed."
        " Original error: failed to pin block of size 256.0 KiB (47.7 MiB/48.0 MiB used)",
        "Out of Memory Error: could not allocate block of size 32.0 MiB",
    ],
)  # fmt: skip
def test_too_little_memory_is_not_the_files_fault(words: str) -> None:
    with pytest.raises(AnalyticsFailed) as failed, writing():
        raise duckdb.Error(words)
    assert not failed.value.damaged
