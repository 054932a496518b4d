"""Datasets of the state store: their names, and rows with copies of what was said. A copy is packed
and sealed by whoever hands it in (`dataset_copies.py`); it
goes with the record of its request only where retention says so, or a deletion.
"""

import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

DATASETS_MAX: Final = 1_000  # of an organisation, as all of these
ROWS_MAX: Final = 100_000
STORED_BYTES_MAX: Final = 2**30
PAGE_ROWS: Final = 100
BATCH: Final = 500


class DatasetsFull(ValueError):  # noqa: N818 - whoever asked is told
    """A bound is reached."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """`meta` is JSON text."""

    id: str
    name: str
    meta: str
    created_at_us: int
    rows: int


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """What is told of a row."""

    id: str
    dataset_id: str
    origin_request_id: str
    created_at_us: int
    edited_at_us: int | None


@dataclass(frozen=True, slots=True)
class NewRow:
    """`marks`: hashes of the user and of the session, by which a deletion finds the copy when the
    request itself is gone; None where there was none."""

    id: str
    origin_request_id: str
    exchange_id: bytes
    user_mark: bytes | None
    session_mark: bytes | None
    recorded_at_us: int
    packed: bytes


@dataclass(frozen=True, slots=True)
class Copy:
    """A row with what it holds, and its place in the order of their coming."""

    number: int
    row: DatasetRow
    packed: bytes


_DATASET: Final = (
    "SELECT d.id, d.name, d.meta, d.created_at_us, (SELECT count(*) FROM dataset_rows AS r"
    " WHERE r.dataset_id = d.id) FROM datasets AS d WHERE d.organization_id = ?"
)
_ROW: Final = "id, dataset_id, origin_request_id, created_at_us, edited_at_us"
_MINE: Final = "organization_id = ? AND dataset_id = ?"


def m025_datasets(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE datasets (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL, "
        "name TEXT NOT NULL, meta TEXT NOT NULL, created_at_us INTEGER NOT NULL) STRICT"
    )
    connection.execute(
        "CREATE INDEX datasets_of ON datasets (organization_id, created_at_us)"
    )  # fmt: skip
    # What is long comes last: to tell of a row, its copy is not read.
    connection.execute(
        "CREATE TABLE dataset_rows (number INTEGER PRIMARY KEY AUTOINCREMENT, "
        "id TEXT NOT NULL UNIQUE, organization_id TEXT NOT NULL, "
        "dataset_id TEXT NOT NULL REFERENCES datasets (id) ON DELETE CASCADE, "
        "origin_request_id TEXT NOT NULL, exchange_id BLOB NOT NULL, user_mark BLOB, "
        "session_mark BLOB, created_at_us INTEGER NOT NULL, edited_at_us INTEGER, "
        "stored_bytes INTEGER NOT NULL, packed BLOB NOT NULL, "
        "UNIQUE (dataset_id, origin_request_id)) STRICT"
    )
    for column in ("origin_request_id", "user_mark", "session_mark", "stored_bytes"):
        connection.execute(
            f"CREATE INDEX dataset_rows_{column} ON dataset_rows (organization_id, {column})"
        )
    connection.execute("CREATE INDEX dataset_rows_exchange ON dataset_rows (exchange_id)")
    connection.execute("CREATE INDEX dataset_rows_number ON dataset_rows (dataset_id, number)")


def m056_dataset_ages(connection: sqlite3.Connection) -> None:
    """When the request of a row was recorded: retention counts from there. Of rows that are there
    already, the latest that it can have been."""
    connection.execute(
        "ALTER TABLE dataset_rows ADD COLUMN recorded_at_us INTEGER NOT NULL DEFAULT 0"
    )
    connection.execute("UPDATE dataset_rows SET recorded_at_us = created_at_us")
    connection.execute("CREATE INDEX dataset_rows_recorded ON dataset_rows (recorded_at_us)")


def add_dataset(connection: sqlite3.Connection, org: str, name: str, meta: str) -> str:
    """Its id. `meta` is JSON text. Raises DatasetsFull."""
    count = connection.execute("SELECT count(*) FROM datasets WHERE organization_id = ?", (org,))
    if count.fetchone()[0] >= DATASETS_MAX:
        raise DatasetsFull(f"at most {DATASETS_MAX} datasets are kept")
    dataset_id = str(uuid.uuid4())
    connection.execute(
        "INSERT INTO datasets VALUES (?, ?, ?, ?, ?)",
        (dataset_id, org, name, meta, _now_us()),
    )
    return dataset_id


def find_datasets(
    connection: sqlite3.Connection, org: str, ids: Sequence[str] | None = None
) -> list[Dataset]:
    """The newest first; those of `ids` alone where they are given."""
    if ids is None:
        rows = connection.execute(f"{_DATASET} ORDER BY created_at_us DESC, rowid DESC", (org,))
        return [Dataset(*row) for row in rows]
    found = [
        dataset for one in dict.fromkeys(ids) if (dataset := find_dataset(connection, org, one))
    ]
    return sorted(found, key=lambda dataset: -dataset.created_at_us)


def find_dataset(connection: sqlite3.Connection, org: str, dataset_id: str) -> Dataset | None:
    row = connection.execute(f"{_DATASET} AND d.id = ?", (org, dataset_id)).fetchone()
    return Dataset(*row) if row else None


def change_dataset(
    connection: sqlite3.Connection,
    org: str,
    dataset_id: str,
    name: str | None = None,
    meta: str | None = None,
) -> bool:
    """None leaves as it is; `meta` is JSON text. False: there is none such."""
    return bool(
        connection.execute(
            "UPDATE datasets SET name = coalesce(?, name), meta = coalesce(?, meta)"
            " WHERE organization_id = ? AND id = ?",
            (name, meta, org, dataset_id),
        ).rowcount
    )


def drop_dataset(connection: sqlite3.Connection, org: str, dataset_id: str) -> bool:
    """With its rows. False: there is none such."""
    return bool(
        connection.execute(
            "DELETE FROM datasets WHERE organization_id = ? AND id = ?", (org, dataset_id)
        ).rowcount
    )


def find_rows(
    connection: sqlite3.Connection, org: str, dataset_id: str, limit: int, offset: int
) -> list[DatasetRow]:
    """A page, the newest first."""
    rows = connection.execute(
        f"SELECT {_ROW} FROM dataset_rows WHERE {_MINE}"  # noqa: S608 - constants of ours
        " ORDER BY number DESC LIMIT ? OFFSET ?",
        (org, dataset_id, limit, offset),
    )
    return [DatasetRow(*row) for row in rows]


def copies_of(
    connection: sqlite3.Connection,
    org: str,
    dataset_id: str,
    row_ids: Sequence[str],
    bytes_max: int,
) -> dict[str, bytes]:
    """What the first of these rows hold, packed, in their order: as many as fit, one at least. Ids
    that are not the dataset's are left out."""
    found: dict[str, bytes] = {}
    held = 0
    for row_id in row_ids:
        row = connection.execute(
            f"SELECT packed FROM dataset_rows WHERE {_MINE} AND id = ?",  # noqa: S608 - the same
            (org, dataset_id, row_id),
        ).fetchone()
        if row is None:
            continue
        held += len(row[0])
        if found and held > bytes_max:
            break
        found[row_id] = bytes(row[0])
    return found


def there_already(
    connection: sqlite3.Connection, org: str, dataset_id: str, request_ids: Sequence[str]
) -> set[str]:
    """Those of these requests that the dataset has."""
    found: set[str] = set()
    for some in _batches(request_ids):
        rows = connection.execute(
            f"SELECT origin_request_id FROM dataset_rows WHERE {_MINE}"  # noqa: S608 - the same
            f" AND origin_request_id IN ({_marks(some)})",
            (org, dataset_id, *some),
        )
        found.update(row[0] for row in rows)
    return found


def add_rows(
    connection: sqlite3.Connection, org: str, dataset_id: str, rows: Sequence[NewRow]
) -> None:
    """Requests that the dataset has already are left as they are. Raises DatasetsFull."""
    if not rows:
        return
    now = _now_us()
    for row in rows:
        connection.execute(
            "INSERT INTO dataset_rows (id, organization_id, dataset_id, origin_request_id, "
            "exchange_id, user_mark, session_mark, created_at_us, recorded_at_us, stored_bytes, "
            "packed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                row.id, org, dataset_id, row.origin_request_id, row.exchange_id, row.user_mark,
                row.session_mark, now, row.recorded_at_us, len(row.packed), row.packed,
            ),
        )  # fmt: skip
    check_room(connection, org)


def check_room(connection: sqlite3.Connection, org: str) -> None:
    """Within the transaction that added. Raises DatasetsFull."""
    count, stored = connection.execute(
        "SELECT count(*), coalesce(sum(stored_bytes), 0) FROM dataset_rows"
        " WHERE organization_id = ?",
        (org,),
    ).fetchone()
    if count > ROWS_MAX:
        raise DatasetsFull(f"at most {ROWS_MAX} rows are kept in all datasets")
    if stored > STORED_BYTES_MAX:
        raise DatasetsFull(f"at most {STORED_BYTES_MAX} bytes are kept in all datasets")


def drop_rows(
    connection: sqlite3.Connection, org: str, dataset_id: str, row_ids: Sequence[str]
) -> int:
    """How many there were."""
    gone = 0
    for some in _batches(row_ids):
        gone += connection.execute(
            f"DELETE FROM dataset_rows WHERE {_MINE} AND id IN ({_marks(some)})",  # noqa: S608
            (org, dataset_id, *some),
        ).rowcount
    return gone


def drop_aged(connection: sqlite3.Connection, before_us: int) -> int:
    """Copies of what was recorded before, of all organisations; how many. One that somebody has
    edited stays: what it says is that person's work, and no copy of the record any more."""
    return connection.execute(
        "DELETE FROM dataset_rows WHERE recorded_at_us < ? AND edited_at_us IS NULL", (before_us,)
    ).rowcount


def find_copy(
    connection: sqlite3.Connection, org: str, dataset_id: str, row_or_request_id: str
) -> Copy | None:
    """By the id of the row, else by that of the request that it is from."""
    row = connection.execute(
        f"SELECT number, {_ROW}, packed FROM dataset_rows WHERE {_MINE}"  # noqa: S608 - the same
        " AND (id = ? OR origin_request_id = ?) ORDER BY id = ? DESC LIMIT 1",
        (org, dataset_id, row_or_request_id, row_or_request_id, row_or_request_id),
    ).fetchone()
    return _copy(row) if row else None


def signed_copy(connection: sqlite3.Connection, row_id: str) -> bytes | None:
    """For whoever has a signed link to it."""
    row = connection.execute("SELECT packed FROM dataset_rows WHERE id = ?", (row_id,)).fetchone()
    return bytes(row[0]) if row else None


def put_copy(
    connection: sqlite3.Connection, org: str, row_id: str, old: bytes, packed: bytes
) -> bool:
    """In place of the old one. False: that is not there any more. Raises DatasetsFull."""
    changed = connection.execute(
        "UPDATE dataset_rows SET packed = ?, stored_bytes = ?, edited_at_us = ?"
        " WHERE organization_id = ? AND id = ? AND packed = ?",
        (packed, len(packed), _now_us(), org, row_id, old),
    ).rowcount
    if len(packed) > len(old):
        check_room(connection, org)
    return bool(changed)


def copies_after(
    connection: sqlite3.Connection, org: str, dataset_id: str, after: int, bytes_max: int
) -> list[Copy]:
    """The next ones behind a place, in the order of their coming: at least one where there is any,
    then as many as fit."""
    found: list[Copy] = []
    held = 0
    rows = connection.execute(
        f"SELECT number, {_ROW}, packed FROM dataset_rows WHERE {_MINE} AND number > ?"  # noqa: S608
        " ORDER BY number LIMIT ?",
        (org, dataset_id, after, PAGE_ROWS),
    )
    for row in rows:
        found.append(_copy(row))
        held += len(found[-1].packed)
        if held >= bytes_max:
            break
    return found


def _copy(row: Sequence[Any]) -> Copy:
    return Copy(row[0], DatasetRow(*row[1:-1]), bytes(row[-1]))


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _batches(values: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]


def _now_us() -> int:
    return time.time_ns() // 1000
