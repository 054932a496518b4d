"""What people say of groups of requests: a session's tag, properties that lists leave out.

Works over an open connection of the state store (`state_tables.py`).
"""

import sqlite3
from typing import Final

TAGS_MAX: Final = 50_000  # of one organisation
HIDDEN_MAX: Final = 10_000


def m040_analysis(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE session_tags (organization_id TEXT NOT NULL, session_id TEXT NOT NULL, "
        "tag TEXT NOT NULL, set_at_us INTEGER NOT NULL, PRIMARY KEY (organization_id, session_id)) "
        "STRICT, WITHOUT ROWID"
    )
    connection.execute(
        "CREATE TABLE hidden_properties (organization_id TEXT NOT NULL, key TEXT NOT NULL, "
        "hidden_at_us INTEGER NOT NULL, PRIMARY KEY (organization_id, key)) STRICT, WITHOUT ROWID"
    )


def read_tag(connection: sqlite3.Connection, org: str, session_id: str) -> str | None:
    """A session's tag."""
    row = connection.execute(
        "SELECT tag FROM session_tags WHERE organization_id = ? AND session_id = ?",
        (org, session_id),
    ).fetchone()
    return None if row is None else str(row[0])


def read_tags(connection: sqlite3.Connection, org: str) -> list[tuple[str, str]]:
    """All sessions that have one, with it."""
    return connection.execute(
        "SELECT session_id, tag FROM session_tags WHERE organization_id = ? LIMIT ?",
        (org, TAGS_MAX),
    ).fetchall()


def put_tag(
    connection: sqlite3.Connection, org: str, session_id: str, tag: str, now_us: int
) -> None:
    """Set it; an empty one takes it away. Raises ValueError when there are too many."""
    key = (org, session_id)
    if not tag:
        connection.execute(
            "DELETE FROM session_tags WHERE organization_id = ? AND session_id = ?", key
        )
        return
    count = connection.execute(
        "SELECT count(*) FROM session_tags WHERE organization_id = ?", (org,)
    ).fetchone()[0]
    if count >= TAGS_MAX and read_tag(connection, *key) is None:
        raise ValueError(f"tag: at most {TAGS_MAX} sessions of one organisation have one")
    connection.execute(
        "INSERT INTO session_tags VALUES (?, ?, ?, ?) ON CONFLICT (organization_id, session_id) "
        "DO UPDATE SET tag = excluded.tag, set_at_us = excluded.set_at_us",
        (*key, tag, now_us),
    )


def read_hidden(connection: sqlite3.Connection, org: str) -> list[str]:
    """The names that lists leave out, in their order."""
    rows = connection.execute(
        "SELECT key FROM hidden_properties WHERE organization_id = ? ORDER BY key", (org,)
    )
    return [row[0] for row in rows]


def hide(connection: sqlite3.Connection, org: str, key: str, now_us: int) -> None:
    """Leave it out. Raises ValueError when there are too many."""
    if len(read_hidden(connection, org)) >= HIDDEN_MAX:
        raise ValueError(f"key: at most {HIDDEN_MAX} properties can be hidden")
    connection.execute(
        "INSERT INTO hidden_properties VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (org, key, now_us)
    )


def restore(connection: sqlite3.Connection, org: str, key: str) -> None:
    """Show it again."""
    connection.execute(
        "DELETE FROM hidden_properties WHERE organization_id = ? AND key = ?", (org, key)
    )
