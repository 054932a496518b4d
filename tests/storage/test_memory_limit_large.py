"""A large text needs more memory than writing is given otherwise."""

from pathlib import Path

from storage.batch import Batch
from storage.frames import Position
from tests.storage.analytics_rows import ask, body_row, opened, request_row

SIZE = 30 * 2**20


def batch_of(number: int, text: str) -> Batch:
    batch = Batch()
    row = request_row(number, segment=1, frame_offset=number)
    body = body_row(number, segment=1, frame_offset=number, request=text, response=text)
    batch.add_exchange(row, body, 0)
    return batch


def test_a_large_text_is_taken_though_nobody_reads(tmp_path: Path) -> None:
    """With nobody reading the limit is 24 MiB, and DuckDB takes no text of 30 MiB there."""
    analytics = opened(tmp_path / "analytics.duckdb", memory_bytes_max=300 * 2**20)
    try:
        analytics.ingest(batch_of(1, "small"), Position(1, 100))
        analytics.ingest(batch_of(2, "x" * SIZE), Position(1, 200))
        found = ask(analytics, "SELECT max(length(request)) FROM bodies")
    finally:
        analytics.close()
    assert found == [(SIZE,)]


def test_a_row_beyond_the_databases_memory_goes_in_without_its_text(tmp_path: Path) -> None:
    """Written all the same, it would lie in the log of writes, and the file would never open."""
    path = tmp_path / "analytics.duckdb"
    analytics = opened(path, memory_bytes_max=45 * 2**20)
    try:
        batch = Batch(analytics.row_bytes_max)
        for number, size in ((1, 10), (2, 16 * 2**20), (3, 10)):
            row = request_row(number, segment=1, frame_offset=number)
            text = "x" * size
            body = body_row(number, segment=1, frame_offset=number, request=text, response="")
            batch.add_exchange(row, body, 0)
        analytics.ingest(batch, Position(1, 400))
        found = ask(
            analytics,
            "SELECT length(request), derive_error IS NOT NULL FROM requests "
            "JOIN bodies USING (request_id)",
        )
    finally:
        analytics.close()
    assert sorted(found) == [(0, True), (10, False), (10, False)]
    opened(path, memory_bytes_max=45 * 2**20).close()
