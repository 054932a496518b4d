"""Columns as PyArrow reads them: the hand-built structures against an independent reader."""

import math
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.arrow_block import Block
from storage.columns import shape_of
from storage.rows import ATTEMPT_TYPE, TABLES

TEXT = st.one_of(st.sampled_from(["", "gpt-4o", "ü", "\x00"]), st.text(max_size=8))
OF_KIND: dict[str, st.SearchStrategy[Any]] = {
    "UUID": st.binary(min_size=16, max_size=16),
    "VARCHAR": TEXT,
    "BLOB": st.binary(max_size=5),
    "TIMESTAMP": st.integers(0, 2**52),
    "BIGINT": st.integers(-(2**63), 2**63 - 1),
    "INTEGER": st.integers(-(2**31), 2**31 - 1),
    "DOUBLE": st.floats(allow_nan=False),
    "BOOLEAN": st.booleans(),
    "MAP(VARCHAR, VARCHAR)": st.dictionaries(TEXT, st.none() | TEXT, max_size=3),
    "VARCHAR[]": st.lists(st.none() | TEXT, max_size=3),
    ATTEMPT_TYPE: st.lists(
        st.fixed_dictionaries({"target": TEXT}, optional={"status": st.integers(0, 999)}),
        max_size=3,
    ),
}


def read_back(table: str, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    block = Block(table, rows)
    for _ in block.steps():
        pass
    batch = pa.record_batch(block)
    batch.validate(full=True)
    found: list[dict[str, Any]] = batch.to_pylist()
    return found


def plain(got: Any, kind: str) -> Any:
    """As it went in: PyArrow has types of its own for some."""
    if got is None:
        return None
    if kind == "UUID":
        return got.bytes if isinstance(got, UUID) else got
    if kind == "TIMESTAMP":
        return (got - datetime(1970, 1, 1)) // datetime.resolution
    if kind.startswith("MAP"):
        return dict(got)
    if kind == ATTEMPT_TYPE:
        return [{k: v for k, v in attempt.items() if v is not None} for attempt in got]
    return got


@pytest.mark.parametrize("table", ["requests", "edits", "deletions"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_rows_hold_is_read_back(table: str, data: st.DataObject) -> None:
    columns = TABLES[table]
    row = st.tuples(*(st.none() | OF_KIND[kind] for _, kind in columns))
    rows = data.draw(st.lists(row, min_size=1, max_size=12))
    for given_row, found in zip(rows, read_back(table, rows), strict=True):
        for value, (name, kind) in zip(given_row, columns, strict=True):
            assert plain(found[name], kind) == value, name


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (
            "UUID",
            [UUID(int=1), str(UUID(int=2)), "no", b"short", None, 5],
            [bytes(15) + b"\x01", bytes(15) + b"\x02", None, None, None, None],
        ),
        ("TIMESTAMP", [datetime(1970, 1, 1, 0, 0, 1), None], [1_000_000, None]),
        ("TIMESTAMP", [datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC), 3, "x"], [2_000_000, 3, None]),
        ("INTEGER", [2**31, -1, None, "1", 1.5, True], [None, -1, None, None, None, 1]),
        ("DOUBLE", [1, None, 10**400, "x", math.inf], [1.0, None, None, None, math.inf]),
        ("VARCHAR", [b"raw", 7, None, "\udc80", "é"], ["raw", "7", None, "?", "é"]),
        ("VARCHAR", [b"same", b"same"], ["same", "same"]),
        ("VARCHAR", [None, None], [None, None]),
        ("BOOLEAN", [1, 0, None, "yes"], [True, False, None, True]),
    ],
)
def test_other_forms_are_taken_and_misfits_become_null(
    kind: str, values: list[Any], expected: list[Any]
) -> None:
    column = shape_of("c", kind).build(values)
    numbers = [number for number, (name, of) in enumerate(TABLES["requests"]) if of == kind]
    rows = []
    for value in values:
        row: list[Any] = [None] * len(TABLES["requests"])
        row[numbers[0]] = value
        rows.append(tuple(row))
    name = TABLES["requests"][numbers[0]][0]
    found = [row[name] for row in read_back("requests", rows)]
    assert [plain(value, kind) for value in found] == expected
    assert column.nulls == expected.count(None)
