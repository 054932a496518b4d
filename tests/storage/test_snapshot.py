"""Hot rows as another process gets them, and what user SQL makes of them and of the lake."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pyarrow.parquet
import pytest

from storage import sandbox, snapshot
from storage.analytics import Analytics
from storage.batch import Batch
from storage.frames import FLAG_SUPERSEDES, Position
from storage.sandbox_wire import DATA, DONE, HEAD, NEEDS_BODIES, REFUSED, Job
from storage.snapshot import HotSnapshot, SnapshotTooLarge
from tests.storage.analytics_rows import (
    ORG,
    batch_of,
    body_row,
    edit_row,
    edits_of,
    exchange_id,
    lake_of,
    opened,
    request_row,
)

OTHER = bytes(15) + b"\x02"
MIB = 2**20


@pytest.fixture
def analytics(tmp_path: Path) -> Iterator[Analytics]:
    analytics = opened(tmp_path / "a.duckdb")
    yield analytics
    analytics.close()


@pytest.fixture(params=["disk", "memory"])
def hot(request: Any, tmp_path: Path) -> Iterator[HotSnapshot]:
    kept = HotSnapshot(tmp_path if request.param == "disk" else None)
    yield kept
    kept.drop()


def answer(
    analytics: Analytics, hot: HotSnapshot, sql: str, *, org: bytes = ORG, **changes: Any
) -> tuple[bytes, Any]:
    """The kind of the last frame, and rows or what was said."""
    for bodies in (False, True):
        taken = hot.take(analytics, bodies=bodies)
        values = {"form": "rows", "rows_max": 1000, "bytes_max": 10**6, **changes}
        job = Job(sql, str(UUID(bytes=org)), lake=taken.lake, hot=taken.hot, **values)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            try:
                sandbox.serve(theirs, job, taken.descriptors)
            except sandbox.Gone:
                pass
            finally:
                taken.let_go()
            theirs.close()
            kind, data = frames(ours)
        if kind != NEEDS_BODIES:
            return kind, data
    raise AssertionError


def frames(channel: socket.socket) -> tuple[bytes, Any]:
    data = b""
    with channel.makefile("rb") as stream:
        while head := stream.read(HEAD.size):
            kind, size = HEAD.unpack(head)
            if kind != DATA:
                return kind, data if kind == DONE else json.loads(stream.read(size) or b"null")
            data += stream.read(size)
    raise AssertionError


def rows(analytics: Analytics, hot: HotSnapshot, sql: str, **options: Any) -> list[dict[str, Any]]:
    kind, data = answer(analytics, hot, sql, **options)
    assert kind == DONE, data
    found: list[dict[str, Any]] = json.loads(b"[" + data + b"]")
    return found


def numbers(analytics: Analytics, hot: HotSnapshot, **options: Any) -> list[int]:
    sql = (
        "SELECT size_bytes AS n, properties['N'] AS p FROM request_response_rmt ORDER BY n LIMIT 99"
    )
    return [int(row["p"]) for row in rows(analytics, hot, sql, **options)]


def test_what_comes_later_is_added(analytics: Analytics, hot: HotSnapshot) -> None:
    assert numbers(analytics, hot) == []
    analytics.ingest(batch_of(range(3)), Position(1, 300))
    first = hot.take(analytics, bodies=True)
    first.let_go()
    analytics.ingest(batch_of(range(3, 5)), Position(1, 500))
    second = hot.take(analytics, bodies=True)
    assert [len(second.hot.files[table]) for table in ("requests", "bodies")] == [2, 2]
    second.let_go()
    assert sorted(numbers(analytics, hot)) == [0, 1, 2, 3, 4]
    third = hot.take(analytics, bodies=False)
    assert len(third.hot.files["requests"]) == 2, "nothing came, so nothing was copied"
    third.let_go()


def test_it_is_made_anew_as_one_when_there_are_many(analytics: Analytics, hot: HotSnapshot) -> None:
    for number in range(snapshot.FILES_MAX + 1):
        analytics.ingest(batch_of([number]), Position(1, number * 100 + 100))
        taken = hot.take(analytics, bodies=False)
        taken.let_go()
    assert len(taken.hot.files["requests"]) == 1
    assert len(numbers(analytics, hot)) == snapshot.FILES_MAX + 1


def test_bodies_lie_in_files_of_a_bounded_size(
    analytics: Analytics, hot: HotSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "BODY_FILE_BYTES", 100)
    analytics.ingest(batch_of(range(20)), Position(1, 2000))
    analytics.ingest(batch_of(range(20, 30), segment=2), Position(2, 3000))
    taken = hot.take(analytics, bodies=True)
    assert len(taken.hot.files["bodies"]) >= 6
    taken.let_go()
    found = rows(analytics, hot, "SELECT request_body AS b FROM request_response_rmt LIMIT 99")
    assert sorted(row["b"] for row in found) == sorted(f"question {n}" for n in range(30))


# Bytes a side, rows a batch, batches, and the database's memory: some times as much is hot.
HOT = [
    (1000, 2048, 32, 64 * MIB),
    (20 * 1024, 100, 20, 48 * MIB),
    (100 * 1024, 26, 20, 64 * MIB),
]


@pytest.mark.parametrize(("size", "rows", "batches", "limit"), HOT)
def test_bodies_need_bounded_memory_however_many_are_hot(
    tmp_path: Path, size: int, rows: int, batches: int, limit: int
) -> None:
    """A window over the lengths of all hot texts once kept every block of them in memory, and a
    hundred thousand recent calls made every query over bodies fail."""
    analytics = opened(tmp_path / "a.duckdb", memory_bytes_max=limit)
    hot = HotSnapshot(tmp_path)
    try:
        assert 2 * size * rows * batches > limit * 5 // 4
        for number in range(batches):
            batch = texts_of(range(number * rows, (number + 1) * rows), size)
            analytics.ingest(batch, Position(1, (number + 1) * rows * 100))
        taken = hot.take(analytics, bodies=True)
        found = [
            pyarrow.parquet.read_table(f"/proc/self/fd/{taken.descriptors[number]}")["frame_offset"]
            for number in taken.hot.files["bodies"]
        ]
        assert max(map(len, found)) * 2 * size <= snapshot.BODY_FILE_BYTES
        places = sorted(place for column in found for place in column.to_pylist())
        assert places == [number * 100 for number in range(rows * batches)]
        taken.let_go()
    finally:
        hot.drop()
        analytics.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM request_response_rmt ORDER BY request_created_at DESC LIMIT 3",
        "SELECT request_body, response_body FROM request_response_rmt WHERE request_id IN"
        " (SELECT request_id FROM request_response_rmt ORDER BY cost DESC LIMIT 3)",
        "SELECT b.* FROM bodies AS b JOIN requests AS r USING (exchange_id)"
        " ORDER BY latency_ms DESC LIMIT 3",
    ],
)
def test_a_query_over_bodies_does_not_hold_them_all(
    large: tuple[Analytics, HotSnapshot], monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    """Joins held every text rather than every row: the newest with their bodies were refused from
    some hundred megabytes on."""
    monkeypatch.setattr(sandbox, "DUCKDB_BYTES_MAX", 64 * MIB)
    assert len(rows(*large, sql)) == 3


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Analytics, HotSnapshot]]:
    """80 MiB of texts."""
    folder = tmp_path_factory.mktemp("large")
    analytics, hot = opened(folder / "a.duckdb"), HotSnapshot(folder)
    for number in range(20):
        batch = texts_of(range(number * 256, (number + 1) * 256), 8 * 1024)
        analytics.ingest(batch, Position(1, (number + 1) * 25_600))
    yield analytics, hot
    hot.drop()
    analytics.close()


def texts_of(numbers: range, size: int) -> Batch:
    """Rows whose texts of `size` have hardly anything in common."""
    batch = Batch()
    random = Random(numbers.start)
    for number in numbers:
        texts = (random.randbytes(size // 2).hex() for _ in range(2))
        body = body_row(number, **dict(zip(("request", "response"), texts, strict=True)))
        batch.add_exchange(request_row(number), body, 0)
    return batch


def test_files_of_bodies_are_never_more_than_a_job_may_have(
    analytics: Analytics, hot: HotSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is, and however it came: then they are larger."""
    monkeypatch.setattr(snapshot, "BODY_FILE_BYTES", 100)
    monkeypatch.setattr(snapshot, "BODY_FILES_MAX", 16)
    for number in range(12):
        span = range(number * 30, number * 30 + 30)
        analytics.ingest(batch_of(span), Position(1, span.stop * 100))
        taken = hot.take(analytics, bodies=True)
        assert len(taken.hot.files["bodies"]) <= 16
        taken.let_go()
    found = rows(
        analytics, hot,
        "SELECT count(*) AS a, count(DISTINCT request_body) AS b FROM request_response_rmt",
    )  # fmt: skip
    assert found == [{"a": 360, "b": 360}]


def test_a_copy_that_failed_half_way_leaves_no_rows_behind(
    analytics: Analytics, hot: HotSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "BODY_FILE_BYTES", 100)
    analytics.ingest(batch_of(range(20)), Position(1, 2000))
    new_file, made = hot._new_file, 0

    def fails_later() -> int:
        nonlocal made
        made += 1
        if made == 4:
            raise OSError(errno.ENOSPC, "no space left")
        return new_file()

    with monkeypatch.context() as patched:
        patched.setattr(hot, "_new_file", fails_later)
        with pytest.raises(OSError, match="no space left"):
            hot.take(analytics, bodies=True)
    found = rows(analytics, hot, "SELECT count(request_body) AS n FROM request_response_rmt")
    assert found == [{"n": 20}]


def test_what_is_replaced_or_deleted_is_gone(analytics: Analytics, hot: HotSnapshot) -> None:
    analytics.ingest(batch_of(range(3)), Position(1, 300))
    assert len(numbers(analytics, hot)) == 3
    analytics.hide([exchange_id(1)])
    assert sorted(numbers(analytics, hot)) == [0, 2]
    again = batch_of([])
    again.add_exchange(
        request_row(2, frame_offset=900, properties={"N": "22"}), body_row(2), FLAG_SUPERSEDES
    )
    analytics.ingest(again, Position(1, 1000))
    assert sorted(numbers(analytics, hot)) == [0, 22]


def test_edits_are_joined(analytics: Analytics, hot: HotSnapshot) -> None:
    analytics.ingest(batch_of(range(2)), Position(1, 300))
    edits = (
        edit_row(1, "score", "taste", 0.5, offset=301),
        edit_row(1, "property", "N", "7", offset=302),
    )
    analytics.ingest(edits_of(*edits), Position(1, 400))
    found = rows(
        analytics, hot,
        "SELECT scores['taste'] AS s, properties['N'] AS n FROM request_response_rmt ORDER BY n",
    )  # fmt: skip
    assert found == [{"s": None, "n": "0"}, {"s": 0.5, "n": "7"}]


@pytest.mark.parametrize("key", [None, bytes(range(32))])
def test_hot_rows_and_the_lake_are_one_table(
    analytics: Analytics, hot: HotSnapshot, tmp_path: Path, key: bytes | None
) -> None:
    cold = {
        "requests": [request_row(n) for n in range(4)],
        "bodies": [body_row(n) for n in range(4)],
    }
    lake = lake_of(tmp_path / "lake", 1, 1, cold, key=key)
    analytics.ingest(batch_of(range(4)), Position(1, 400))
    analytics.ingest(batch_of(range(4, 6), segment=2), Position(2, 600))
    assert sorted(numbers(analytics, hot)) == list(range(6))
    analytics.swap_lake(lake, drop_upto_segment=1)
    assert sorted(numbers(analytics, hot)) == list(range(6))
    analytics.hide([exchange_id(0), exchange_id(5)])
    assert sorted(numbers(analytics, hot)) == [1, 2, 3, 4]
    found = rows(
        analytics, hot,
        "SELECT response_body AS r FROM request_response_rmt WHERE request_body = 'question 3'",
    )  # fmt: skip
    assert found == [{"r": "answer 3 ü"}]


def test_the_lake_is_held_while_it_is_read(
    analytics: Analytics, hot: HotSnapshot, tmp_path: Path
) -> None:
    first = lake_of(tmp_path / "lake", 1, 1, {"requests": [request_row(1)]})
    analytics.swap_lake(first, drop_upto_segment=1)
    taken = hot.take(analytics, bodies=False)
    second = lake_of(tmp_path / "lake", 2, 2, {"requests": [request_row(2)]}, first)
    analytics.swap_lake(second, drop_upto_segment=2)
    assert analytics.oldest_generation == 1
    taken.let_go()
    taken.let_go()
    assert analytics.oldest_generation == 2


def test_another_organisations_rows_are_not_there(
    analytics: Analytics, hot: HotSnapshot, tmp_path: Path
) -> None:
    """Nor can they be felt: an expression that fails on one of them is never evaluated there."""
    secret = {"user_id": "their-secret", "organization_id": OTHER}
    lake = lake_of(tmp_path / "lake", 1, 1, {"requests": [request_row(1, **secret)]})
    analytics.swap_lake(lake, drop_upto_segment=1)
    mixed = batch_of(range(10, 14), segment=2, user_id="5")
    mixed.add_exchange(
        request_row(2, segment=2, **secret),
        body_row(2, segment=2, organization_id=OTHER, request="their body"), 0,
    )  # fmt: skip
    analytics.ingest(mixed, Position(2, 5000))
    for sql in (
        "SELECT count(*) AS n FROM {} WHERE CAST(user_id AS INTEGER) > 0",
        "SELECT count(*) AS n FROM {} WHERE CASE WHEN user_id LIKE 'their%'"
        " THEN CAST('boom' AS INTEGER) ELSE 1 END = 1",
        "SELECT count(*) AS n FROM (SELECT CAST(user_id AS INTEGER) AS u FROM {}) WHERE u > 0",
        "SELECT count(*) AS n FROM {} AS x JOIN {} AS y USING (request_id)"
        " WHERE CAST(y.user_id AS INTEGER) > 0",
    ):
        for table in ("request_response_rmt", "requests"):
            assert rows(analytics, hot, sql.format(table, table)) == [{"n": 4}]
    for sql in (
        "SELECT count(*) AS n FROM bodies WHERE CAST(split_part(request, ' ', 2) AS INTEGER) > 9",
        "SELECT count(*) AS n FROM request_response_rmt"
        " WHERE CAST(split_part(request_body, ' ', 2) AS INTEGER) > 9",
    ):
        assert rows(analytics, hot, sql) == [{"n": 4}]
    assert (
        rows(analytics, hot, "SELECT user_id AS u FROM requests", org=OTHER)
        == [{"u": "their-secret"}] * 2
    )
    kind, said = answer(analytics, hot, "SELECT organization_id FROM requests")
    assert (kind, said["code"]) == (REFUSED, "UNKNOWN_COLUMN")


@pytest.mark.parametrize(
    ("sql", "code", "words"),
    [
        ("SELECT nothing FROM requests", "UNKNOWN_COLUMN", "nothing"),
        ("SELECT CAST('x' AS INTEGER)", "EXECUTION_FAILED", "Could not convert"),
        ("SELECT upper(1, 2)", "SYNTAX_ERROR", "upper"),
        ("SELECT * FROM range(1001) LIMIT 2000", "RESULT_LIMIT_EXCEEDED", "1000 rows"),
        ("SELECT repeat('x', 2000000)", "RESULT_LIMIT_EXCEEDED", "1000000 bytes"),
        ("SELECT * FROM read_parquet('/x')", "INVALID_TABLE", "read_parquet"),
    ],
)
def test_errors_have_codes(
    analytics: Analytics, hot: HotSnapshot, sql: str, code: str, words: str
) -> None:
    kind, said = answer(analytics, hot, sql)
    assert (kind, said["code"]) == (REFUSED, code), said
    assert words in said["details"]


def test_without_a_limit_the_usual_rows_come(analytics: Analytics, hot: HotSnapshot) -> None:
    assert len(rows(analytics, hot, "SELECT * FROM range(500)", rows_usual=100)) == 100
    assert len(rows(analytics, hot, "SELECT * FROM range(500) LIMIT 300", rows_usual=100)) == 300


def test_values_as_json_and_csv(analytics: Analytics, hot: HotSnapshot) -> None:
    sql = (
        "SELECT 170141183460469231731687303715884105727 AS huge, 1.50::DECIMAL(9,2) AS exact,"
        " TIMESTAMP '2026-01-02 03:04:05' AS made, now() - now() AS span, [1, NULL] AS list,"
        " {'a': DATE '2026-01-02'} AS part, MAP {1: 'x'} AS map, 'NaN'::DOUBLE AS nan,"
        " '\\xFF'::BLOB AS raw, true AS yes, NULL AS nothing, 'a,\"b' AS text, 1 AS one, 2 AS one"
    )
    (row,) = rows(analytics, hot, sql)
    assert row == {
        "huge": 2**127 - 1, "exact": 1.5, "made": "2026-01-02T03:04:05.000000Z",
        "span": "0:00:00", "list": [1, None], "part": {"a": "2026-01-02"}, "map": {"1": "x"},
        "nan": None, "raw": "/w==", "yes": True, "nothing": None, "text": 'a,"b', "one": 1,
        "one_1": 2,
    }  # fmt: skip
    kind, data = answer(analytics, hot, sql, form="csv")
    assert kind == DONE
    head, line = data.decode().splitlines()
    assert head.startswith("huge,exact,made,")
    assert line.startswith("170141183460469231731687303715884105727,1.5,2026-01-02T03:04:05")
    assert '"[1,null]"' in line


def test_parquet(analytics: Analytics, hot: HotSnapshot, tmp_path: Path) -> None:
    analytics.ingest(batch_of(range(5)), Position(1, 500))
    sql = "SELECT sum(cost) AS total, 1 AS a, 2 AS a FROM request_response_rmt -- said"
    kind, data = answer(analytics, hot, sql, form="parquet")
    assert kind == DONE, data
    path = tmp_path / "found.parquet"
    path.write_bytes(data)
    table = pyarrow.parquet.read_table(path)
    assert table.column_names == ["total", "a", "a_1"]
    assert str(table.schema.field("total").type) == "decimal128(38, 0)"
    kind, said = answer(analytics, hot, "SELECT * FROM range(1001)", form="parquet")
    assert (kind, said["code"]) == (REFUSED, "RESULT_LIMIT_EXCEEDED")


def test_cost_is_the_documented_integer(analytics: Analytics, hot: HotSnapshot) -> None:
    batch = batch_of([1], cost_pico=1_234_500_000)
    batch.add_exchange(request_row(2, cost_pico=None), body_row(2), 0)
    analytics.ingest(batch, Position(1, 500))
    found = rows(
        analytics, hot,
        "SELECT cost, cost_usd, provider_total_cost AS p FROM request_response_rmt ORDER BY cost",
    )  # fmt: skip
    assert found == [
        {"cost": 0, "cost_usd": None, "p": None},
        {"cost": 1_234_500, "cost_usd": 0.0012345, "p": 0.0012345},
    ]


def test_memory_is_bounded(analytics: Analytics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "IN_MEMORY_BYTES_MAX", 1000)
    analytics.ingest(batch_of(range(100)), Position(1, 10_000))
    hot = HotSnapshot(None)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SnapshotTooLarge):
        hot.take(analytics, bodies=True)
    hot.drop()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_nothing_is_left_open(analytics: Analytics, hot: HotSnapshot) -> None:
    analytics.ingest(batch_of(range(100)), Position(1, 10_000))
    numbers(analytics, hot)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        numbers(analytics, hot)
        answer(analytics, hot, "SELECT request_body FROM request_response_rmt", form="parquet")
    hot.drop()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert analytics.oldest_generation == 0
