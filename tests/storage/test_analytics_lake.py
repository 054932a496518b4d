"""Views over hot rows and the lake: a roll changes where rows lie, never what is answered."""

import hmac
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest

from storage.analytics import Analytics, AnalyticsFailed
from storage.batch import Batch
from storage.frames import FLAG_REWRITTEN, FLAG_SUPERSEDES, Position
from storage.manifest import LakeView
from storage.memory_limit import FOOTERS
from tests.storage.analytics_rows import (
    ORG,
    T0_US,
    ask,
    batch_of,
    body_row,
    edit_row,
    edits_of,
    exchange_id,
    lake_of,
    opened,
    request_row,
)

EVERYTHING = "FROM requests ORDER BY exchange_id"
BODIES = "FROM bodies ORDER BY exchange_id"
COUNTS = "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM bodies)"


def first_lake(folder: Path, numbers: range = range(6), key: bytes | None = None) -> LakeView:
    return lake_of(
        folder,
        1,
        1,
        {
            "requests": [request_row(number) for number in numbers],
            "bodies": [body_row(number) for number in numbers],
            "edits": [edit_row(2, "score", "old", 0.5)],
        },
        key=key,
    )


@pytest.fixture
def rolled(tmp_path: Path):
    """Segment 1 in the lake, segment 2 hot."""
    analytics = opened(tmp_path / "analytics.duckdb")
    analytics.ingest(batch_of(range(6)), Position(1, 1000))
    analytics.ingest(edits_of(edit_row(2, "score", "old", 0.5)), Position(1, 1100))
    analytics.ingest(batch_of([8, 9], segment=2), Position(2, 1000))
    analytics.swap_lake(first_lake(tmp_path), drop_upto_segment=1)
    yield analytics
    analytics.close()


def test_a_roll_changes_no_answer(tmp_path: Path) -> None:
    analytics = opened(tmp_path / "analytics.duckdb")
    analytics.ingest(batch_of(range(6)), Position(1, 1000))
    analytics.ingest(edits_of(edit_row(2, "score", "old", 0.5)), Position(1, 1100))
    analytics.ingest(batch_of([8, 9], segment=2), Position(2, 1000))
    before = ask(analytics, EVERYTHING), ask(analytics, BODIES)
    analytics.swap_lake(first_lake(tmp_path), drop_upto_segment=1)
    assert ask(analytics, "SELECT count(*) FROM hot_requests") == [(2,)]
    assert ask(analytics, "SELECT count(*) FROM hot_bodies") == [(2,)]
    assert ask(analytics, "SELECT count(*) FROM hot_edits") == [(0,)]
    assert (ask(analytics, EVERYTHING), ask(analytics, BODIES)) == before
    ids = [(row[0],) for row in before[0]]
    for view in ("unedited_requests", "oldest_requests"):
        assert ask(analytics, f"SELECT exchange_id FROM {view} ORDER BY exchange_id") == ids
    assert ask(analytics, "SELECT lake_generation FROM ingest_state") == [(1,)]
    assert analytics.position == Position(2, 1000)
    analytics.close()


@pytest.mark.parametrize(("most", "left"), [(0, False), (2**21, True)])
def test_footers_go_once_nobody_reads_and_there_are_many(
    rolled: Analytics, monkeypatch: pytest.MonkeyPatch, most: int, left: bool
) -> None:
    """They take more memory than DuckDB counts; what few files there are is opened at once."""
    monkeypatch.setattr("storage.memory_limit.KEEP_FOR_READERS_S", 0.0)
    monkeypatch.setattr("storage.memory_limit.FOOTERS_BYTES_MAX", most)
    monkeypatch.setattr("storage.memory_limit.LEAST_BYTES", 2**14)  # two files are a little more

    def footers() -> int:
        found = rolled._run(FOOTERS).fetchall()
        return int(found[0][0]) if found else 0

    before = ask(rolled, EVERYTHING)
    held = footers()
    assert held > 0
    rolled.rest()
    assert (footers() > held / 2) == left  # it stops where the limit is kept
    assert rolled._run("SELECT current_setting('memory_limit')").fetchall() == [("16.0 MiB",)]
    assert ask(rolled, EVERYTHING) == before


def test_a_roll_that_was_not_swapped_in_is_noticed_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "analytics.duckdb"
    first = opened(path)
    first.ingest(batch_of(range(6)), Position(1, 1000))
    first.ingest(batch_of([8], segment=2), Position(2, 900))
    first.close()
    second = opened(path, lake=first_lake(tmp_path))
    assert ask(second, COUNTS) == [(7, 7)]
    assert second.position == Position(2, 900)
    second.close()


def test_a_failed_swap_keeps_the_old_views(
    tmp_path: Path, rolled: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(views: Any) -> None:
        raise duckdb.IOException("Input/output error")

    before = ask(rolled, EVERYTHING)
    second = lake_of(tmp_path, 2, 2, {"requests": [request_row(8, segment=2)]})
    with monkeypatch.context() as patch:
        patch.setattr(rolled, "_create_views", failing)
        with pytest.raises(AnalyticsFailed):
            rolled.swap_lake(second, drop_upto_segment=2)
    assert ask(rolled, EVERYTHING) == before
    assert rolled.oldest_generation == 1


def test_a_query_in_progress_keeps_its_files(tmp_path: Path, rolled: Analytics) -> None:
    query = rolled.query("SELECT model FROM requests")
    assert query.columns == [("model", "VARCHAR")]
    older = first_lake(tmp_path)
    hot = [request_row(8, segment=2), request_row(9, segment=2)]
    rolled.swap_lake(lake_of(tmp_path, 2, 2, {"requests": hot}, older), drop_upto_segment=2)
    assert rolled.oldest_generation == 1
    assert len(query.fetch()) == 8
    query.close()
    assert rolled.oldest_generation == 2


def test_a_query_that_begins_during_a_swap_keeps_its_files(
    tmp_path: Path, rolled: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is about to be committed is not what it sees."""
    begun = []
    plain = rolled._run

    def run(sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        if sql == "COMMIT":
            begun.append(rolled.query("SELECT model FROM requests"))
            assert begun[0].columns
        return plain(sql, parameters)

    second = lake_of(tmp_path, 2, 2, {"requests": [request_row(8, segment=2)]})
    with monkeypatch.context() as patch:
        patch.setattr(rolled, "_run", run)
        rolled.swap_lake(second, drop_upto_segment=2)
    assert rolled.oldest_generation == 1
    assert len(begun[0].fetch()) == 8
    begun[0].close()
    assert rolled.oldest_generation == 2


def test_a_roll_that_was_not_swapped_in_shows_once_on_a_read_only_medium(tmp_path: Path) -> None:
    path = tmp_path / "analytics.duckdb"
    first = opened(path)
    first.ingest(batch_of(range(6)), Position(1, 1000))
    first.ingest(edits_of(edit_row(2, "score", "old", 0.5)), Position(1, 1100))
    first.ingest(batch_of([8], segment=2), Position(2, 900))
    before = ask(first, EVERYTHING)
    first.close()
    second = opened(path, lake=first_lake(tmp_path), read_only=True)
    assert ask(second, COUNTS) == [(7, 7)]
    assert ask(second, EVERYTHING) == before
    assert ask(second, "SELECT count(*) FROM frames") == [(7,)]
    second.close()


def test_doubles_of_rolled_rows_are_dropped(rolled: Analytics) -> None:
    rolled.ingest(batch_of([5, 10], segment=3, flags=FLAG_REWRITTEN), Position(3, 100))
    assert ask(rolled, COUNTS) == [(9, 9)]


def test_a_replacement_hides_the_rolled_row(tmp_path: Path, rolled: Analytics) -> None:
    rolled.ingest(batch_of([3], segment=3, flags=FLAG_SUPERSEDES, model="new"), Position(3, 100))
    where = "WHERE exchange_id = $1::UUID"
    sql = f"SELECT model FROM requests {where}"
    assert ask(rolled, sql, exchange_id(3).hex()) == [("new",)]
    assert ask(rolled, COUNTS) == [(8, 8)]
    # a roll of its segment settles it: the lake then holds the new row only
    old = [n for n in range(6) if n != 3]
    requests = [request_row(n) for n in old] + [request_row(3, segment=3, model="new")]
    bodies = [body_row(n) for n in old] + [body_row(3, segment=3)]
    requests += [request_row(n, segment=2) for n in (8, 9)]
    bodies += [body_row(n, segment=2) for n in (8, 9)]
    settled = lake_of(tmp_path, 2, 3, {"requests": requests, "bodies": bodies})
    rolled.swap_lake(settled, drop_upto_segment=3)
    assert ask(rolled, sql, exchange_id(3).hex()) == [("new",)]
    assert ask(rolled, COUNTS) == [(8, 8)]
    assert ask(rolled, "SELECT count(*) FROM superseded") == [(0,)]

    rebuilt = opened(None, lake=settled)
    assert rebuilt.position == Position(4, 0)
    assert ask(rebuilt, EVERYTHING) == ask(rolled, EVERYTHING)
    rebuilt.close()


def test_deleted_exchanges_are_gone_hot_and_cold(rolled: Analytics) -> None:
    rolled.hide([exchange_id(1), exchange_id(8)])
    rolled.hide([exchange_id(8)])
    assert ask(rolled, COUNTS) == [(6, 6)]
    assert ask(rolled, "SELECT count(*) FROM hot_requests") == [(1,)]
    assert ask(rolled, "SELECT count(*) FROM hidden") == [(2,)]


def test_deleted_ids_are_forgotten_when_the_lake_has_none_of_them(
    tmp_path: Path, rolled: Analytics
) -> None:
    rolled.hide([exchange_id(1), exchange_id(8)])
    rolled.swap_lake(first_lake(tmp_path), drop_upto_segment=1)
    assert ask(rolled, "SELECT exchange_id::VARCHAR FROM hidden") == [
        ("01990000-0000-0000-0000-000000000001",)
    ]
    rewritten = first_lake(tmp_path / "second", range(2, 6))
    rolled.swap_lake(rewritten, drop_upto_segment=1)
    assert ask(rolled, "SELECT count(*) FROM hidden") == [(0,)]
    assert ask(rolled, COUNTS) == [(5, 5)]


def test_a_deletion_in_the_journal_takes_effect_by_its_keyed_hash(tmp_path: Path) -> None:
    key = bytes(range(32))
    analytics = opened(tmp_path / "a.duckdb", lake=first_lake(tmp_path), deletion_key=key)
    batch = batch_of([8, 9], segment=2)
    for place, number in enumerate((1, 9, 77)):
        digest = hmac.digest(key, exchange_id(number), "sha256")
        batch.deletions.append((ORG, digest, T0_US, 2, place))
    analytics.ingest(batch, Position(2, 1000))
    assert ask(analytics, COUNTS) == [(6, 6)]
    analytics.close()


def test_edits_of_rolled_rows_show_with_later_ones(rolled: Analytics) -> None:
    later = edit_row(2, "score", "new", 1.5, segment=2)
    rolled.ingest(edits_of(later), Position(2, 2000))
    sql = "SELECT scores FROM requests WHERE exchange_id = $1::UUID"
    assert ask(rolled, sql, exchange_id(2).hex()) == [({"new": 1.5, "old": 0.5},)]


def test_in_memory_the_lake_is_read_and_the_rest_follows(tmp_path: Path) -> None:
    analytics = opened(None, lake=first_lake(tmp_path))
    assert analytics.position == Position(2, 0)
    analytics.ingest(batch_of([8], segment=2), Position(2, 900))
    assert ask(analytics, COUNTS) == [(7, 7)]
    analytics.close()


def test_an_encrypted_lake_is_read_by_every_cursor(tmp_path: Path) -> None:
    plain = opened(None, lake=first_lake(tmp_path / "plain"))
    sealed = opened(None, lake=first_lake(tmp_path / "sealed", key=bytes(range(32))))
    assert ask(sealed, EVERYTHING) == ask(plain, EVERYTHING)
    assert ask(sealed, BODIES) == ask(plain, BODIES)
    plain.close()
    sealed.close()


def test_a_lost_file_of_the_lake_is_not_blamed_on_the_database(tmp_path: Path) -> None:
    lake = first_lake(tmp_path)
    lake.files["bodies"][0].unlink()
    with pytest.raises(AnalyticsFailed, match="lake: ") as caught:
        opened(tmp_path / "analytics.duckdb", lake=lake)
    assert not caught.value.damaged


def test_room_of_rolled_rows_is_seen_at_once(tmp_path: Path) -> None:
    """Deleting them is in the log of writes only, and the file as large as before."""
    path = tmp_path / "analytics.duckdb"
    analytics = opened(path)
    for part in range(12):
        batch = Batch()
        for number in range(part * 250, (part + 1) * 250):
            text = random.Random(number).randbytes(4000).hex()
            batch.add_exchange(request_row(number), body_row(number, request=text), 0)
        analytics.ingest(batch, Position(1, 1000 + part))
    assert path.stat().st_size > 10 * 2**20
    analytics.swap_lake(first_lake(tmp_path), drop_upto_segment=1)
    free = analytics.free_bytes
    assert path.stat().st_size - free < 2 * 2**20
    analytics.close()
