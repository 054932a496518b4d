"""News that this server sends of its own (alerts, reports), until they are sent, and for a while
after. Where they go is sealed before it comes here: addresses of Slack are secrets."""

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

WAITING_MAX: Final = 1_000  # beyond it the oldest go
KEPT_MAX: Final = 500
COLUMNS: Final = "id, org, channel, sealed, subject, body, attempts"


class Notice(NamedTuple):
    """`body` is text of a mail, or JSON. One whose id is known is not sent again."""

    id: str
    org: bytes
    channel: str
    sealed: bytes
    subject: str
    body: str
    attempts: int = 0


class Sent(NamedTuple):
    """What became of one attempt."""

    id: str
    state: str
    next_at_us: int
    last_at_us: int
    error: str


def m052_notices(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE notices (id TEXT PRIMARY KEY, org BLOB NOT NULL CHECK (length(org) = 16), "
        "channel TEXT NOT NULL CHECK (channel IN ('email', 'slack', 'webhook')), "
        "sealed BLOB NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL, "
        "state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed', 'dropped')), "
        "attempts INTEGER NOT NULL, created_at_us INTEGER NOT NULL, next_at_us INTEGER NOT NULL, "
        "last_at_us INTEGER, error TEXT NOT NULL) STRICT"
    )
    connection.execute("CREATE INDEX notices_due ON notices (state, next_at_us)")


def add_notices(connection: sqlite3.Connection, notices: Iterable[Notice], now_us: int) -> None:
    """To be sent as soon as may be."""
    connection.executemany(
        "INSERT INTO notices VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?, ?, ?, NULL, '') "
        "ON CONFLICT DO NOTHING",
        [(*notice, now_us, now_us) for notice in notices],
    )
    connection.execute(
        "UPDATE notices SET state = 'dropped', error = 'too many were waiting' WHERE id IN (SELECT "
        "id FROM notices WHERE state = 'waiting' ORDER BY created_at_us DESC LIMIT -1 OFFSET ?)",
        (WAITING_MAX,),
    )
    connection.execute(
        "DELETE FROM notices WHERE id IN (SELECT id FROM notices WHERE state <> 'waiting' "
        "ORDER BY created_at_us DESC LIMIT -1 OFFSET ?)",
        (KEPT_MAX,),
    )


def due_notices(
    connection: sqlite3.Connection, now_us: int, limit: int
) -> tuple[list[Notice], int | None]:
    """The oldest first, and when the next one after them is due."""
    rows = connection.execute(
        f"SELECT {COLUMNS}, next_at_us FROM notices WHERE state = 'waiting' "  # noqa: S608
        "ORDER BY next_at_us, id LIMIT ?",
        (limit + 1,),
    ).fetchall()
    due = [Notice(*row[:-1]) for row in rows if row[-1] <= now_us][:limit]
    rest = rows[len(due) :]
    return due, rest[0][-1] if rest else None


def note_sent(connection: sqlite3.Connection, sent: Iterable[Sent]) -> None:
    """What is sent or given up keeps no text."""
    connection.executemany(
        "UPDATE notices SET state = ?, attempts = attempts + 1, next_at_us = ?, last_at_us = ?, "
        "error = ?, body = CASE WHEN ? = 'waiting' THEN body ELSE '' END WHERE id = ?",
        [(*one[1:], one.state, one.id) for one in sent],
    )
