"""The analytics database: what goes in comes out, once, exactly, and survives."""

import contextlib
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from storage import analytics as analytics_module
from storage import closing
from storage.analytics import Analytics, AnalyticsFailed, set_aside
from storage.batch import Batch
from storage.frames import FLAG_REWRITTEN, FLAG_SUPERSEDES, Position
from storage.query import QueryCancelled
from tests.storage.analytics_rows import (
    T0_US,
    ask,
    batch_of,
    body_row,
    edit_row,
    edits_of,
    exchange_id,
    opened,
    request_row,
)

COUNTS = "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM bodies)"


@pytest.fixture
def analytics(tmp_path: Path):
    opened_one = opened(tmp_path / "analytics.duckdb")
    yield opened_one
    opened_one.close()


def test_rows_come_back_as_they_went_in(analytics: Analytics) -> None:
    analytics.ingest(batch_of([3]), Position(1, 400))
    sql = (
        "SELECT exchange_id::VARCHAR, epoch_us(request_created_at), model, status, latency_ms,"
        " total_tokens, properties, is_stream, not_applied, user_id, scores, feedback,"
        " attempts[1].cost_usd, attempts[1].why_next FROM requests"
    )
    assert ask(analytics, sql) == [(
        "01990000-0000-0000-0000-000000000003", 1_767_225_600_000_003, "claude-sonnet-4", 200,
        0.375, 16, {"Environment": "prod", "N": "3"}, False, [], None, {}, None,
        Decimal("0.000000000007"), None,
    )]  # fmt: skip
    sql = "SELECT request, response, request_type, response_type FROM bodies"
    assert ask(analytics, sql) == [("question 3", "answer 3 ü", "application/json", None)]


def test_the_views_hide_what_is_ours(analytics: Analytics) -> None:
    columns = [row[0] for row in ask(analytics, "DESCRIBE requests")]
    assert {"cost_usd", "total_tokens", "scores", "properties", "feedback"} <= set(columns)
    assert not {"segment", "frame_offset", "cost_pico"} & set(columns)
    frames = ask(analytics, "DESCRIBE frames")
    assert [row[0] for row in frames][-2:] == ["segment", "frame_offset"]


@pytest.mark.parametrize(
    "costs",
    [
        [1] * 3_000,
        [2**62, 1, -(2**62), 2**62],
        [None, 10**12, 333_333_333_333],
        [None, None],
    ],
)
def test_sums_of_money_are_exact(analytics: Analytics, costs: list[int | None]) -> None:
    batch = Batch()
    for number, cost in enumerate(costs):
        batch.add_exchange(request_row(number, cost_pico=cost), body_row(number), 0)
    analytics.ingest(batch, Position(1, 1))
    known = [cost for cost in costs if cost is not None]
    expected = Decimal(sum(known)).scaleb(-12) if known else None
    assert ask(analytics, "SELECT sum(cost_usd) FROM requests") == [(expected,)]
    assert ask(analytics, "SELECT typeof(cost_usd) FROM requests LIMIT 1") == [("DECIMAL(38,12)",)]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("status", 2**40, None),
        ("status", "200", None),
        ("latency_ms", "fast", None),
        ("request_id", "not an id", None),
        ("model", "a\x00b", "a\x00b"),
        ("model", "\ud800 lone", "? lone"),
        ("model", 7, "7"),
        ("properties", {"k": None, 1: 2}, {"k": None, "1": "2"}),
        ("properties", None, None),
        ("not_applied", None, None),
        ("not_applied", ["cache;reason=off"], ["cache;reason=off"]),
    ],
)
def test_a_value_that_does_not_fit_stops_nothing(
    analytics: Analytics, column: str, value: Any, expected: Any
) -> None:
    batch = batch_of([1])
    batch.add_exchange(request_row(2, **{column: value}), body_row(2), 0)
    analytics.ingest(batch, Position(1, 1))
    assert ask(analytics, f"SELECT {column} FROM requests WHERE latency_ms = 0.125")
    where = "exchange_id = $1::UUID"
    assert ask(analytics, f"SELECT {column} FROM requests WHERE {where}", exchange_id(2).hex()) == [
        (expected,)
    ]


def test_rows_and_position_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "analytics.duckdb"
    first = opened(path)
    assert first.position == Position(0, 0)
    first.ingest(batch_of(range(10)), Position(1, 1000))
    first.close()
    second = opened(path)
    assert second.position == Position(1, 1000)
    assert ask(second, COUNTS) == [(10, 10)]
    second.close()


def test_how_many_rows_are_hot_is_known_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes memory until the lake has it."""
    monkeypatch.setattr(analytics_module, "HOT_ROWS_MAX", 3)
    path = tmp_path / "a.duckdb"
    for count, crowded in ((2, False), (1, True)):
        analytics = opened(path)
        analytics.ingest(batch_of([crowded * 2 + n for n in range(count)]), Position(1, 1))
        assert analytics.is_crowded == crowded
        analytics.close()
    again = opened(path)
    assert again.is_crowded
    again.close()


def test_a_failed_batch_leaves_nothing_behind(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(position: Position) -> None:
        raise duckdb.IOException("No space left on device")

    batch = edits_of(edit_row(1, "score", "s", 1.0))
    batch.add_exchange(request_row(1), body_row(1), 0)
    with monkeypatch.context() as patch:
        patch.setattr(analytics, "_note_position", failing)
        with pytest.raises(AnalyticsFailed, match="No space left") as caught:
            analytics.ingest(batch, Position(1, 200))
    assert not caught.value.damaged
    assert (analytics.position, ask(analytics, COUNTS)) == (Position(0, 0), [(0, 0)])
    analytics.ingest(batch, Position(1, 200))
    assert ask(analytics, "SELECT scores FROM requests") == [({"s": 1.0},)]


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        # (frames of the first batch, of the second), each (number, flags, model)
        ([(1, 0, "a")], [(1, FLAG_REWRITTEN, "b")], {1: "a"}),
        ([(1, 0, "a"), (1, FLAG_REWRITTEN, "b")], [], {1: "a"}),
        ([(1, 0, "a"), (1, 0, "b")], [], {1: "a"}),
        ([], [(1, FLAG_REWRITTEN, "b"), (2, 0, "c")], {1: "b", 2: "c"}),
        ([(1, 0, "a"), (2, 0, "a")], [(1, FLAG_SUPERSEDES, "b")], {1: "b", 2: "a"}),
        ([(1, 0, "a"), (1, FLAG_SUPERSEDES, "b")], [], {1: "b"}),
        ([], [(1, FLAG_SUPERSEDES, "b")], {1: "b"}),
        ([(1, 0, "a")], [(1, FLAG_SUPERSEDES | FLAG_REWRITTEN, "b")], {1: "b"}),
        ([], [(1, FLAG_REWRITTEN, "a"), (1, FLAG_SUPERSEDES, "b")], {1: "b"}),
    ],
)
def test_doubles_are_dropped_and_replacements_replace(
    analytics: Analytics, first: Any, then: Any, expected: dict[int, str]
) -> None:
    for end, frames in enumerate((first, then), start=1):
        batch = Batch()
        for number, flags, model in frames:
            batch.add_exchange(request_row(number, model=model), body_row(number), flags)
        analytics.ingest(batch, Position(1, end))
    rows = ask(analytics, "SELECT exchange_id::VARCHAR, model FROM requests")
    assert sorted(rows) == sorted(
        (f"01990000-0000-0000-0000-{number:012x}", model) for number, model in expected.items()
    )
    assert ask(analytics, COUNTS) == [(len(expected), len(expected))]


def test_edits_show_and_the_newest_wins(analytics: Analytics) -> None:
    analytics.ingest(batch_of([1, 2, 3]), Position(1, 1))
    assert ask(analytics, "SELECT DISTINCT scores, feedback FROM requests") == [({}, None)]
    analytics.ingest(
        edits_of(
            # As the journal has them: the clock may have stepped back in between.
            edit_row(1, "score", "good", 0.25, at=5, offset=5),
            edit_row(1, "score", "good", 0.75, at=5, segment=2),
            edit_row(1, "score", "good", 0.5, at=7, offset=7),
            edit_row(1, "score", "gone", 1.0, at=2, offset=1),
            edit_row(1, "score", "gone", None, at=1, offset=2),
            edit_row(1, "property", "Environment", "dev"),
            edit_row(1, "property", "New", "x"),
            edit_row(2, "property", "Environment", None),
            edit_row(2, "feedback", "feedback", 1.0, at=1),
            edit_row(2, "feedback", "feedback", 0.0, at=1, offset=9),
            edit_row(77, "score", "before its exchange", 1.0),
        ),
        Position(1, 2),
    )
    assert ask(
        analytics, "SELECT scores, properties, feedback FROM requests ORDER BY exchange_id"
    ) == [
        ({"good": 0.75}, {"Environment": "dev", "N": "1", "New": "x"}, None),
        ({}, {"N": "2"}, False),
        ({}, {"Environment": "prod", "N": "3"}, None),
    ]
    analytics.ingest(batch_of([77]), Position(1, 3))
    sql = "SELECT scores['before its exchange'] FROM requests WHERE properties['N'] = '77'"
    assert ask(analytics, sql) == [(1.0,)]


COSTS = (
    "SELECT cost_usd::VARCHAR, recorded_cost_usd::VARCHAR, price_source, price_version,"
    " epoch_us(repriced_at) - {} FROM {} ORDER BY exchange_id"
)


@pytest.mark.parametrize("view", ["requests", "costed_requests"])
def test_the_newest_correction_of_a_cost_counts(analytics: Analytics, view: str) -> None:
    analytics.ingest(
        batch_of([1, 2, 3], price_source="overlay", price_version="v1"), Position(1, 1)
    )
    sql = COSTS.format(T0_US, view)
    before = ask(analytics, sql)
    assert before[0] == ("0.000001000001", "0.000001000001", "overlay", "v1", None)
    analytics.ingest(
        edits_of(
            edit_row(1, "cost", "", "9 user:9 v9", at=5),
            edit_row(1, "cost", "", "9223372036854775807 user:1 v2", at=9),
            edit_row(1, "cost", "", "7 user:7 v7", at=7),
            edit_row(2, "cost", "", "no number", at=9),
        ),
        Position(1, 2),
    )
    corrected, unread, kept = ask(analytics, sql)
    assert corrected == ("9223372.036854775807", "0.000001000001", "user:1", "v2", 9)
    assert (unread[:4], kept) == (before[1][:4], before[2])
    # What was corrected is no score and no property, and one who wants ids alone does not pay.
    assert ask(analytics, "SELECT DISTINCT scores, feedback FROM requests") == [({}, None)]
    (plan,) = ask(analytics, "EXPLAIN SELECT exchange_id FROM unedited_requests")
    assert "hot_edits" not in plan[1]
    (plan,) = ask(analytics, f"EXPLAIN SELECT cost_usd FROM {view}")
    assert "hot_edits" in plan[1]


def test_corrections_show_after_a_restart_and_beside_scores(tmp_path: Path) -> None:
    first = opened(tmp_path / "a.duckdb")
    first.ingest(batch_of([1, 2]), Position(1, 1))
    first.ingest(edits_of(edit_row(1, "cost", "", "5 user:1 v")), Position(1, 2))
    first.close()
    second = opened(tmp_path / "a.duckdb")
    sql = "SELECT cost_usd::VARCHAR, scores FROM requests ORDER BY exchange_id"
    assert ask(second, sql) == [("0.000000000005", {}), ("0.000001000002", {})]
    second.ingest(edits_of(edit_row(2, "score", "s", 2.0)), Position(1, 3))
    assert ask(second, sql) == [("0.000000000005", {}), ("0.000001000002", {"s": 2.0})]
    second.close()


def test_edits_show_after_a_restart(tmp_path: Path) -> None:
    first = opened(tmp_path / "a.duckdb")
    first.ingest(batch_of([1]), Position(1, 1))
    first.ingest(edits_of(edit_row(1, "score", "s", 2.0)), Position(1, 2))
    first.close()
    second = opened(tmp_path / "a.duckdb")
    assert ask(second, "SELECT scores FROM requests") == [({"s": 2.0},)]
    second.close()


def test_memory_is_kept_for_readers_and_given_back_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limit() -> str:
        (row,) = analytics._run("SELECT current_setting('memory_limit')").fetchall()
        return str(row[0])

    analytics = opened(tmp_path / "a.duckdb")
    analytics.ingest(batch_of([1]), Position(1, 1))
    assert limit() == "16.0 MiB"
    with analytics.query("FROM requests") as query:
        assert limit() == "128.0 MiB"
        monkeypatch.setattr("storage.memory_limit.KEEP_FOR_READERS_S", 0.0)
        analytics.ingest(batch_of([2]), Position(1, 2))
        assert limit() == "128.0 MiB"
        query.fetch()
    analytics.ingest(batch_of([3]), Position(1, 3))
    assert limit() == "16.0 MiB"
    analytics.query("FROM requests").close()
    analytics.rest()
    assert limit() == "16.0 MiB"
    analytics.close()


def test_memory_for_writing_much_is_given_back_at_once(tmp_path: Path) -> None:
    """What is written in the next seconds would fill it, with blocks that nobody reads."""

    def state() -> tuple[str, int]:
        (row,) = analytics._run(
            "SELECT current_setting('memory_limit'), (SELECT sum(memory_usage_bytes)"
            " FROM duckdb_memory() WHERE tag = 'BASE_TABLE')"
        ).fetchall()
        return row

    analytics = opened(tmp_path / "a.duckdb")
    for number in range(20):
        analytics.ingest(batch_of(range(number * 50, number * 50 + 50)), Position(1, number + 1))
        analytics._run("CHECKPOINT store")  # each leaves row groups of its own
    assert state()[0] == "16.0 MiB"
    analytics.hide([exchange_id(number) for number in range(0, 1000, 2)])
    limit, used_after = state()
    assert limit == "16.0 MiB"
    assert used_after < 16 * 2**20  # the limit itself
    analytics.close()


def test_memory_is_not_taken_from_who_writes(tmp_path: Path) -> None:
    analytics = opened(tmp_path / "a.duckdb")
    with analytics._transaction(room=True):
        analytics.rest()
        (row,) = analytics._run("SELECT current_setting('memory_limit')").fetchall()
        assert row == ("128.0 MiB",)
    analytics.close()
    analytics.rest()


KILLED = """
import os, sys
from pathlib import Path
from storage.frames import Position
from tests.storage.analytics_rows import batch_of, opened
analytics = opened(Path(sys.argv[1]))
analytics.ingest(batch_of(range(5)), Position(1, 500))
if len(sys.argv) > 2:
    print("open", flush=True)
    sys.stdin.read()
os._exit(9)
"""


def test_a_killed_process_loses_no_batch_and_its_log_is_read_from_read_only_media(
    tmp_path: Path,
) -> None:
    path = tmp_path / "analytics.duckdb"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)]).returncode == 9
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert before.keys() == {path.name, path.name + ".wal"}

    overlay = opened(path, read_only=True)
    assert (overlay.position, ask(overlay, COUNTS)) == (Position(1, 500), [(5, 5)])
    overlay.ingest(batch_of([4, 5], flags=FLAG_REWRITTEN), Position(1, 600))
    overlay.ingest(batch_of([0], flags=FLAG_SUPERSEDES, frame_offset=700), Position(1, 700))
    overlay.ingest(edits_of(edit_row(2, "score", "s", 1.0)), Position(1, 800))
    assert ask(overlay, COUNTS) == [(6, 6)]
    assert ask(overlay, "SELECT count(*) FROM requests WHERE scores['s'] = 1") == [(1,)]
    overlay.close()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before

    again = opened(path)
    assert (again.position, ask(again, COUNTS)) == (Position(1, 500), [(5, 5)])
    again.close()


def test_a_database_that_is_held_by_another_process_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "analytics.duckdb"
    command = [sys.executable, "-c", KILLED, str(path), "hold"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(AnalyticsFailed) as caught:
            opened(path)
        holder.communicate(b"")
    assert not caught.value.damaged


@pytest.mark.parametrize("content", [b"not a database" * 1000, b"", bytes(100_000)])
def test_a_damaged_file_is_named_so_and_set_aside(tmp_path: Path, content: bytes) -> None:
    path, quarantine = tmp_path / "analytics.duckdb", tmp_path / "quarantine"
    quarantine.mkdir()
    for expected in ("analytics.duckdb.0", "analytics.duckdb.1"):
        path.write_bytes(content)
        if content:
            with pytest.raises(AnalyticsFailed) as caught:
                opened(path)
            assert caught.value.damaged
        assert [moved.name for moved in set_aside(path, quarantine)] == [expected]
    fresh = opened(path)
    assert fresh.position == Position(0, 0)
    fresh.close()


def test_read_only_without_a_file_is_all_in_memory(tmp_path: Path) -> None:
    analytics = opened(tmp_path / "none.duckdb", read_only=True)
    analytics.ingest(batch_of([1]), Position(1, 100))
    assert ask(analytics, COUNTS) == [(1, 1)]
    analytics.close()
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_an_older_version_gets_its_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "analytics.duckdb"
    first = opened(path)
    first.ingest(batch_of([1]), Position(1, 1))
    first._run("DROP VIEW store.requests")
    first._run("ALTER TABLE store.hot_requests DROP COLUMN derive_error")
    first.close()
    second = opened(path)
    second.ingest(batch_of([2], derive_error="x"), Position(1, 2))
    sql = "SELECT derive_error FROM requests ORDER BY exchange_id"
    assert ask(second, sql) == [(None,), ("x",)]
    second.close()


LONG = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 7"


@pytest.mark.parametrize("locks", [True, False])
def test_a_database_that_is_at_work_is_closed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    """What rests or writes is waited for, a while; a file left open could not be opened again, and
    would be taken for a damaged one."""
    monkeypatch.setattr(closing, "WRITER_WAIT_S", 0.05)
    path = tmp_path / "a.duckdb"
    first = opened(path)
    first.ingest(batch_of([1]), Position(1, 100))
    ended: list[str] = []

    def work() -> None:
        with first._writing if locks else contextlib.nullcontext():
            while not ended:
                try:
                    first._run(LONG)
                except duckdb.Error as error:
                    if "busy" not in str(error):  # with the look whether this has begun
                        ended.append(str(error))

    worker = threading.Thread(target=work)
    worker.start()
    with contextlib.suppress(duckdb.Error):
        while True:
            first._run("SELECT 1")  # refused once the other has begun
            worker.join(0.001)
    first.close()
    worker.join(10)
    assert len(ended) == 1
    again = opened(path)
    assert again.position == Position(1, 100)
    again.close()


@pytest.mark.parametrize("kind", ["query", "moment"])
def test_a_reader_that_begins_during_the_closing_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """It has its cursor, and is in no list yet when readers are ended."""
    monkeypatch.setattr(closing, "WRITER_WAIT_S", 0.05)  # of a moment, which is made under its lock
    path = tmp_path / "a.duckdb"
    first = opened(path)
    plain = first._memory.make_room

    def close_meanwhile(cursor: duckdb.DuckDBPyConnection) -> None:
        plain(cursor)
        closer = threading.Thread(target=first.close)
        closer.start()
        closer.join()

    monkeypatch.setattr(first._memory, "make_room", close_meanwhile)
    with pytest.raises(QueryCancelled):
        first.query("SELECT 1") if kind == "query" else first.moment()
    assert not first.is_read
    opened(path).close()  # refused while a cursor holds the file


def test_a_file_that_is_still_open_here_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    first = opened(path)
    with pytest.raises(AnalyticsFailed, match="already attached") as failed:
        opened(path)
    assert not failed.value.damaged
    first.close()
    opened(path).close()
