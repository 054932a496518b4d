"""Filters that somebody saved, by organisation."""

import sqlite3
import uuid
from dataclasses import dataclass
from typing import Final

from storage.state import now_us

FILTERS_MAX: Final = 500  # of an organisation
COLUMNS: Final = "id, name, filter, created_at_us, updated_at_us"


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """`filter` is JSON."""

    id: str
    name: str
    filter: str
    created_at_us: int
    updated_at_us: int


def list_filters(connection: sqlite3.Connection, organization_id: str) -> list[SavedFilter]:
    """The newest first."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM saved_filters WHERE organization_id = ? "  # noqa: S608
        "ORDER BY created_at_us DESC, id",
        (organization_id,),
    )
    return [SavedFilter(*row) for row in rows]


def find_filter(
    connection: sqlite3.Connection, organization_id: str, filter_id: str
) -> SavedFilter | None:
    row = connection.execute(
        f"SELECT {COLUMNS} FROM saved_filters WHERE id = ? AND organization_id = ?",  # noqa: S608
        (filter_id, organization_id),
    ).fetchone()
    return SavedFilter(*row) if row else None


def add_filter(
    connection: sqlite3.Connection, organization_id: str, name: str, text: str
) -> SavedFilter:
    """Raises ValueError for one too many."""
    count = connection.execute(
        "SELECT count(*) FROM saved_filters WHERE organization_id = ?", (organization_id,)
    ).fetchone()[0]
    if count >= FILTERS_MAX:
        raise ValueError(f"at most {FILTERS_MAX} filters are kept: remove one first")
    at_us = now_us()
    row = SavedFilter(str(uuid.uuid4()), name, text, at_us, at_us)
    connection.execute(
        "INSERT INTO saved_filters VALUES (?, ?, ?, ?, ?, ?)",
        (row.id, organization_id, name, text, at_us, at_us),
    )
    return row


def change_filter(
    connection: sqlite3.Connection, organization_id: str, filter_id: str, name: str, text: str
) -> bool:
    return connection.execute(
        "UPDATE saved_filters SET name = ?, filter = ?, updated_at_us = ? "
        "WHERE id = ? AND organization_id = ?",
        (name, text, now_us(), filter_id, organization_id),
    ).rowcount > 0  # fmt: skip


def drop_filter(connection: sqlite3.Connection, organization_id: str, filter_id: str) -> bool:
    return connection.execute(
        "DELETE FROM saved_filters WHERE id = ? AND organization_id = ?",
        (filter_id, organization_id),
    ).rowcount > 0  # fmt: skip
