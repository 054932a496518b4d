"""How far the journal has been handed on: one row for each that reads behind it."""

import sqlite3

from storage.frames import Position


def m030_export_positions(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE export_positions (name TEXT PRIMARY KEY, segment INTEGER NOT NULL,"
        " frame_offset INTEGER NOT NULL) STRICT"
    )


def read_position(connection: sqlite3.Connection, name: str) -> Position | None:
    """None: it has never been said."""
    row = connection.execute(
        "SELECT segment, frame_offset FROM export_positions WHERE name = ?", (name,)
    ).fetchone()
    return None if row is None else Position(*row)


def write_position(connection: sqlite3.Connection, name: str, position: Position) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO export_positions VALUES (?, ?, ?)", (name, *position)
    )
