"""Statements about exchanges of a span: the same answers, from fewer files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from storage.analytics import Analytics
from storage.frames import FLAG_SUPERSEDES, Position
from storage.manifest import LakeView, Span
from storage.query import QueryFailed
from tests.storage.analytics_rows import (
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

FILES = range(4)
EACH = 10
HOT = range(40, 45)
ALL: Span = (T0_US, T0_US + 1000)
ROWS = "SELECT r.exchange_id, r.scores FROM requests AS r WHERE {} ORDER BY r.exchange_id"
TEXTS = "SELECT exchange_id, request FROM bodies WHERE exchange_id IN $1::UUID[] ORDER BY ALL"
CREATED = "r.request_created_at BETWEEN make_timestamp({}::BIGINT) AND make_timestamp({}::BIGINT)"


def lake(folder: Path, *numbers: range) -> LakeView:
    """A file of each table for each range, and what is known of their times."""
    views: list[LakeView] = []
    created: dict[Path, Span] = {}
    for number, rows in enumerate(numbers, 1):
        tables = {
            "requests": [request_row(n) for n in rows],
            "bodies": [body_row(n) for n in rows],
        }
        views.append(lake_of(folder, number, 1, tables))
        for paths in views[-1].files.values():
            created |= dict.fromkeys(paths, (T0_US + rows[0], T0_US + rows[-1]))
    files = {
        table: [path for view in views for path in view.files[table]] for table in views[0].files
    }
    return replace(views[-1], files=files, created=created)


def cold(folder: Path) -> LakeView:
    return lake(folder, *(range(number * EACH, (number + 1) * EACH) for number in FILES))


@pytest.fixture
def rolled(tmp_path: Path) -> Iterator[Analytics]:
    """Four files of ten exchanges each, and five hot ones."""
    analytics = opened(tmp_path / "analytics.duckdb")
    analytics.swap_lake(cold(tmp_path), drop_upto_segment=1)
    analytics.ingest(batch_of(HOT, segment=2), Position(2, 1000))
    yield analytics
    analytics.close()


def within(analytics: Analytics, sql: str, created: Span, *given: Any) -> list[tuple[Any, ...]]:
    with analytics.query(sql, given, created=created) as query:
        return query.fetch()


def ids(numbers: Any) -> list[str]:
    return [exchange_id(number).hex() for number in numbers]


def in_span(first: int, last: int) -> tuple[str, Span]:
    span = T0_US + first, T0_US + last
    return ROWS.format(CREATED.format(*span)), span


def test_the_same_rows_whatever_the_span(rolled: Analytics) -> None:
    dice = random.Random(7)
    for _ in range(30):
        first, last = sorted(dice.choices(range(-5, 60), k=2))
        sql, span = in_span(first, last)
        assert within(rolled, sql, span) == ask(rolled, sql)
        few = [n for n in range(45) if first <= n <= last]
        assert within(rolled, TEXTS, span, ids(few)) == ask(rolled, TEXTS, ids(few))
        assert len(within(rolled, TEXTS, span, ids(few))) == len(few)


def test_files_of_other_times_are_left_alone(tmp_path: Path, rolled: Analytics) -> None:
    """Nothing is left of them, and nobody notices."""
    for table in ("requests", "bodies"):
        for path in rolled._views.lake.files[table][:3]:  # type: ignore[union-attr]
            path.write_bytes(b"")
    sql, span = in_span(35, 42)
    assert len(within(rolled, sql, span)) == 8
    assert len(within(rolled, TEXTS, span, ids(range(35, 42)))) == 7
    with pytest.raises(QueryFailed):
        ask(rolled, sql)


def test_a_file_of_which_nothing_is_known_is_read(tmp_path: Path) -> None:
    view = cold(tmp_path)
    known = dict(list(view.created.items())[2:])
    with_gaps = replace(view, created=known)
    assert len(with_gaps.within((T0_US + 35, T0_US + 36)).files["requests"]) == 2
    assert with_gaps.within(ALL).files == view.files


def test_what_is_edited_replaced_or_deleted_shows(rolled: Analytics) -> None:
    sql, span = in_span(0, 60)
    before = within(rolled, sql, span)
    assert len(before) == 45
    rolled.ingest(edits_of(edit_row(12, "score", "good", 1.0)), Position(2, 2000))
    assert within(rolled, sql, span)[12][1] == {"good": 1.0}
    changed = batch_of([3], segment=3, flags=FLAG_SUPERSEDES, model="new")
    rolled.ingest(changed, Position(3, 100))
    rolled.hide([exchange_id(7)])
    after = within(rolled, sql, span)
    assert after == ask(rolled, sql)
    assert len(after) == 44


def test_what_a_statement_defines_itself_is_its_own(rolled: Analytics) -> None:
    sql = "WITH bodies AS NOT MATERIALIZED (SELECT 1 AS one) SELECT one FROM bodies"
    assert within(rolled, sql, ALL) == [(1,)]
    assert within(rolled, "SELECT count(*) FROM store.bodies", (0, 1)) == [(45,)]
    assert within(rolled, "SELECT count(*) FROM bodies", (0, 1)) == [(5,)]  # hot ones are read
    assert within(rolled, "SELECT count(bodies.request_id) FROM bodies", (0, 1)) == [(5,)]


def test_during_a_swap_every_row_is_seen_once(
    tmp_path: Path, rolled: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is about to be committed is noted already, and is not what a reader sees."""
    seen: list[int] = []
    sql, span = in_span(0, 60)
    plain = rolled._run

    def run(statement: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        if statement == "COMMIT":
            seen.append(len(within(rolled, sql, span)))
        done = plain(statement, parameters)
        if statement == "COMMIT":
            seen.append(len(within(rolled, sql, span)))
        return done

    more = lake(tmp_path / "next", *(range(n, n + EACH) for n in range(0, 40, EACH)), HOT)
    with monkeypatch.context() as patch:
        patch.setattr(rolled, "_run", run)
        rolled.swap_lake(replace(more, generation=9, upto_segment=2), drop_upto_segment=2)
    assert seen == [45, 45]
    assert len(within(rolled, sql, span)) == 45


def test_statements_are_parsed_once_and_few_are_kept(rolled: Analytics) -> None:
    for number in range(100):
        assert ask(rolled, f"SELECT {number}") == [(number,)]
    assert len(rolled._statements) <= 32
    sql = "SELECT count(*) FROM requests WHERE latency_ms < $1"
    assert [ask(rolled, sql, bound)[0][0] for bound in (0.5, 1, 5)] == [4, 8, 40]
    with pytest.raises(QueryFailed, match="not DELETE"):
        ask(rolled, "DELETE FROM hot_requests")
