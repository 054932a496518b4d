"""Reading queries: what may be asked, how pages come, how one is stopped."""

import threading
from pathlib import Path

import pytest

from storage.analytics import Analytics
from storage.frames import Position
from storage.query import QueryCancelled, QueryFailed
from tests.storage.analytics_rows import ask, batch_of, opened

ENDLESS = "SELECT count(*) FROM range(100000000000) a, range(100000) b WHERE a.range + b.range = -1"


@pytest.fixture
def analytics():
    in_memory = opened(None)
    in_memory.ingest(batch_of(range(5)), Position(1, 500))
    yield in_memory
    in_memory.close()


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT count(*) FROM requests", 1),
        ("WITH a AS (SELECT 1) FROM a", 1),
        ("FROM requests", 5),
        ("VALUES (1), (2)", 2),
        ("DESCRIBE bodies", 8),
        ("SHOW TABLES", 13),
        ("SUMMARIZE SELECT 1 AS a", 1),
        ("EXPLAIN SELECT 1", 1),
        ("EXPLAIN ANALYZE SELECT 1", 1),
        ("explain (FORMAT JSON) select 1", 1),
        ("SELECT 1; ", 1),
    ],
)
def test_reading_statements_are_answered(analytics: Analytics, sql: str, rows: int) -> None:
    assert len(ask(analytics, sql)) == rows


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM hot_requests",
        "INSERT INTO ingest_state VALUES (1, 1, 1)",
        "CREATE TABLE t (a INTEGER)",
        "CREATE TEMP TABLE t (a INTEGER)",
        "DROP VIEW requests",
        "COPY requests TO '/tmp/never.csv'",
        "SET threads = 1",
        "PRAGMA version",
        "CALL pragma_version()",
        "ATTACH ':memory:' AS other",
        "INSTALL httpfs",
        "BEGIN",
        "CHECKPOINT",
        "EXPLAIN ANALYZE DELETE FROM hot_requests",
        "EXPLAIN ANALYZE COPY requests TO '/tmp/never.csv'",
        "/* x */ EXPLAIN ANALYZE DELETE FROM hot_requests",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW requests",
        "",
        "SELEC 1",
    ],
)
def test_anything_else_is_refused_before_it_runs(analytics: Analytics, sql: str) -> None:
    with pytest.raises(QueryFailed):
        analytics.query(sql)
    assert ask(analytics, "SELECT count(*) FROM requests") == [(5,)]
    assert not Path("/tmp/never.csv").exists()


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT nope FROM requests", "nope"),
        ("SELECT * FROM analytics", "analytics"),  # a Python variable, not a table
        ("SELECT 'x'::INTEGER", "x"),
        ("SELECT $1", "parameter"),
    ],
)
def test_a_failing_query_says_why(analytics: Analytics, sql: str, words: str) -> None:
    with pytest.raises(QueryFailed, match=words):
        ask(analytics, sql)


def test_columns_have_duckdb_types_and_times_are_utc(analytics: Analytics) -> None:
    sql = "SELECT cost_usd, properties, recorded_at, exchange_id, now() AS n FROM requests"
    with analytics.query(sql) as query:
        assert query.columns == [
            ("cost_usd", "DECIMAL(38,12)"),
            ("properties", "MAP(VARCHAR, VARCHAR)"),
            ("recorded_at", "TIMESTAMP"),
            ("exchange_id", "UUID"),
            ("n", "TIMESTAMP WITH TIME ZONE"),
        ]
    assert ask(analytics, "SELECT current_setting('TimeZone')") == [("UTC",)]


def test_rows_come_in_pages_and_stop_at_the_limit(analytics: Analytics) -> None:
    with analytics.query("SELECT * FROM range($1)", [500]) as query:
        assert [len(query.fetch()) for _ in range(4)] == [200, 200, 100, 0]
    with analytics.query("FROM range(500)") as query:
        assert [row[0] for row in query.fetch(3)] == [0, 1, 2]
    for limit, lengths, truncated in (
        (250, [200, 50, 0], True), (500, [200, 200, 100, 0], False), (0, [0, 0], True),
    ):  # fmt: skip
        with analytics.query("FROM range(500)", limit=limit) as query:
            assert [len(query.fetch()) for _ in lengths] == lengths
            assert query.truncated is truncated


def test_wide_rows_come_in_smaller_pages(analytics: Analytics) -> None:
    wide = ", ".join(f"{n} AS c{n}" for n in range(100))
    with analytics.query(f"SELECT {wide} FROM range(500)") as query:
        assert len(query.fetch()) == 40


def test_a_running_query_is_stopped_from_another_thread(analytics: Analytics) -> None:
    query = analytics.query(ENDLESS)
    stop = threading.Timer(0.05, query.interrupt)
    stop.start()
    with pytest.raises(QueryCancelled):
        query.fetch()
    stop.join()
    query.close()
    query.interrupt()
    assert ask(analytics, "SELECT 1") == [(1,)]


def test_a_query_stopped_before_it_runs_does_not_run(analytics: Analytics) -> None:
    with analytics.query(ENDLESS) as query:
        query.interrupt()
        with pytest.raises(QueryCancelled):
            query.fetch()


def test_a_query_sees_one_state_while_rows_come_in(analytics: Analytics) -> None:
    with analytics.query("SELECT exchange_id FROM requests") as query:
        assert len(query.fetch(2)) == 2
        analytics.ingest(batch_of(range(10, 300)), Position(1, 900))
        rest = []
        while page := query.fetch():
            rest += page
        assert len(rest) == 3
    assert ask(analytics, "SELECT count(*) FROM requests") == [(295,)]


def test_closing_the_database_stops_its_queries() -> None:
    analytics = opened(None)
    query = analytics.query("SELECT * FROM range(1000)")
    query.fetch()
    analytics.close()
    with pytest.raises(QueryCancelled):
        query.fetch()
    query.close()
