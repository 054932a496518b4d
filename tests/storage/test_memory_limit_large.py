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
    """With nobody reading the limit is 48 MiB, and DuckDB takes no text of 30 MiB there."""
    analytics = opened(tmp_path / "analytics.duckdb", memory_bytes_max=300 * 2**20)
    try:
        analytics.ingest(batch_of(1, "small"), Position(1, 100))
        analytics.ingest(batch_of(2, "x" * SIZE), Position(1, 200))
        found = ask(analytics, "SELECT max(length(request)) FROM bodies")
    finally:
        analytics.close()
    assert found == [(SIZE,)]
