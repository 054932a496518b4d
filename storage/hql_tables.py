"""Saved queries of the state store: SQL under a name that is unique in its organisation."""

import sqlite3
import time
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

SAVED_MAX: Final = 1000


class SavedQuery(NamedTuple):
    id: str
    organization_id: str
    name: str
    sql: str
    created_at_us: int
    updated_at_us: int


class NameTaken(ValueError):  # noqa: N818 - whoever asked is told
    """Another query of the organisation has this name."""


class TooManySaved(ValueError):  # noqa: N818 - whoever asked is told
    """The organisation has `SAVED_MAX` already."""


def m020_saved_queries(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE saved_queries (id TEXT PRIMARY KEY, "
        "organization_id TEXT NOT NULL, name TEXT NOT NULL, "
        "sql TEXT NOT NULL, created_at_us INTEGER NOT NULL, updated_at_us INTEGER NOT NULL, "
        "UNIQUE (organization_id, name)) STRICT"
    )


def saved_queries(connection: sqlite3.Connection, org: str) -> list[SavedQuery]:
    """The newest change first."""
    rows = connection.execute(
        "SELECT * FROM saved_queries WHERE organization_id = ? ORDER BY updated_at_us DESC, id",
        (org,),
    )
    return [SavedQuery(*row) for row in rows]


def saved_query(connection: sqlite3.Connection, org: str, query_id: str) -> SavedQuery | None:
    row = connection.execute(
        "SELECT * FROM saved_queries WHERE organization_id = ? AND id = ?", (org, query_id)
    ).fetchone()
    return SavedQuery(*row) if row else None


def add_query(connection: sqlite3.Connection, org: str, name: str, sql: str) -> SavedQuery:
    """Raises NameTaken, TooManySaved."""
    count = connection.execute(
        "SELECT count(*) FROM saved_queries WHERE organization_id = ?", (org,)
    ).fetchone()[0]
    if count >= SAVED_MAX:
        raise TooManySaved(f"at most {SAVED_MAX} queries are saved")
    now = time.time_ns() // 1000
    row = SavedQuery(str(uuid.uuid4()), org, name, sql, now, now)
    _check_name(connection, row)
    connection.execute("INSERT INTO saved_queries VALUES (?, ?, ?, ?, ?, ?)", row)
    return row


def change_query(
    connection: sqlite3.Connection, org: str, query_id: str, name: str, sql: str
) -> SavedQuery | None:
    """None when there is none such. Raises NameTaken."""
    found = saved_query(connection, org, query_id)
    if found is None:
        return None
    row = found._replace(name=name, sql=sql, updated_at_us=time.time_ns() // 1000)
    _check_name(connection, row)
    connection.execute(
        "UPDATE saved_queries SET name = ?, sql = ?, updated_at_us = ? WHERE id = ?",
        (row.name, row.sql, row.updated_at_us, row.id),
    )
    return row


def drop_queries(connection: sqlite3.Connection, org: str, ids: Sequence[str]) -> int:
    """How many there were."""
    return sum(
        connection.execute(
            "DELETE FROM saved_queries WHERE organization_id = ? AND id = ?", (org, query_id)
        ).rowcount
        for query_id in ids
    )


def _check_name(connection: sqlite3.Connection, row: SavedQuery) -> None:
    taken = connection.execute(
        "SELECT 1 FROM saved_queries WHERE organization_id = ? AND name = ? AND id <> ?",
        (row.organization_id, row.name, row.id),
    ).fetchone()
    if taken:
        raise NameTaken(row.name)
