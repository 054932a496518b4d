"""Alerts in the state store, with what has become of them."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

ALERTS_MAX: Final = 100  # of an organisation
HISTORY_MAX: Final = 1_000  # rows kept of an alert

COLUMNS: Final = (
    "id, org, name, metric, threshold, aggregation, percentile, grouping, grouping_is_property, "
    "window_ms, requests_min, filter, emails, sealed, status, below_since_us, created_at_us, "
    "updated_at_us, is_active, cooldown_ms"
)
HISTORY: Final = (
    "id, alert_id, alert_name, alert_metric, started_at_us, ended_at_us, status, triggered_value, "
    "groups"
)


@dataclass(frozen=True, slots=True)
class AlertRow:
    """`threshold` and `percentile` are decimal numbers as text, `filter`, `emails` JSON; `sealed`
    has the channels whose addresses are secrets. `cooldown_ms`: for so long it is below its
    threshold before it is over."""

    id: str
    org: bytes
    name: str
    metric: str
    threshold: str
    aggregation: str | None
    percentile: str | None
    grouping: str | None
    grouping_is_property: bool
    window_ms: int
    requests_min: int
    filter: str
    emails: str
    sealed: bytes = field(repr=False)
    status: str = "resolved"
    below_since_us: int | None = None
    created_at_us: int = 0
    updated_at_us: int = 0
    is_active: bool = True
    cooldown_ms: int = 300_000


class Incident(NamedTuple):
    """A time for which an alert was triggered. `groups` is JSON."""

    id: str
    alert_id: str
    alert_name: str
    alert_metric: str
    started_at_us: int
    ended_at_us: int | None
    status: str
    triggered_value: str
    groups: str


def m053_alerts(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE alerts (id TEXT PRIMARY KEY, org BLOB NOT NULL CHECK (length(org) = 16), "
        "name TEXT NOT NULL, metric TEXT NOT NULL, threshold TEXT NOT NULL, aggregation TEXT, "
        "percentile TEXT, grouping TEXT, grouping_is_property INTEGER NOT NULL, "
        "window_ms INTEGER NOT NULL, requests_min INTEGER NOT NULL, filter TEXT NOT NULL, "
        "emails TEXT NOT NULL, sealed BLOB NOT NULL, "
        "status TEXT NOT NULL CHECK (status IN ('resolved', 'triggered')), "
        "below_since_us INTEGER, created_at_us INTEGER NOT NULL, updated_at_us INTEGER NOT NULL"
        ") STRICT"
    )
    connection.execute("CREATE INDEX alerts_of_org ON alerts (org)")
    connection.execute(
        "CREATE TABLE alert_history (id TEXT PRIMARY KEY, "
        "alert_id TEXT NOT NULL REFERENCES alerts (id) ON DELETE CASCADE, "
        "alert_name TEXT NOT NULL, alert_metric TEXT NOT NULL, started_at_us INTEGER NOT NULL, "
        "ended_at_us INTEGER, status TEXT NOT NULL CHECK (status IN ('resolved', 'triggered')), "
        "triggered_value TEXT NOT NULL, groups TEXT NOT NULL) STRICT"
    )
    connection.execute("CREATE INDEX alert_history_of ON alert_history (alert_id, started_at_us)")
    # One that is open, of each alert.
    connection.execute(
        "CREATE UNIQUE INDEX alert_open ON alert_history (alert_id) WHERE ended_at_us IS NULL"
    )


def m057_alerts_paused(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE alerts ADD COLUMN is_active INTEGER NOT NULL DEFAULT 1")


def m058_alert_cooldown(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE alerts ADD COLUMN cooldown_ms INTEGER NOT NULL DEFAULT 300000")


def _alert(values: Sequence[Any]) -> AlertRow:
    named = dict(zip(COLUMNS.split(", "), values, strict=True))
    flags = {name: bool(named[name]) for name in ("grouping_is_property", "is_active")}
    return AlertRow(**{**named, **flags})


def all_alerts(connection: sqlite3.Connection) -> list[AlertRow]:
    """Of all organisations."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM alerts ORDER BY id")  # noqa: S608
    return [_alert(row) for row in rows]


def any_alerts(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM alerts)").fetchone()[0])


def alerts_of(connection: sqlite3.Connection, org: bytes) -> list[AlertRow]:
    """The newest first."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM alerts WHERE org = ? ORDER BY created_at_us DESC, id",  # noqa: S608
        (org,),
    )
    return [_alert(row) for row in rows]


def find_alert(connection: sqlite3.Connection, org: bytes, alert_id: str) -> AlertRow | None:
    row = connection.execute(
        f"SELECT {COLUMNS} FROM alerts WHERE org = ? AND id = ?",  # noqa: S608
        (org, alert_id),
    ).fetchone()
    return _alert(row) if row else None


def _values(row: AlertRow) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in COLUMNS.split(", "))


def add_alert(connection: sqlite3.Connection, row: AlertRow) -> bool:
    """False: the organisation has as many as it may."""
    (count,) = connection.execute(
        "SELECT count(*) FROM alerts WHERE org = ?", (row.org,)
    ).fetchone()
    if count >= ALERTS_MAX:
        return False
    marks = ", ".join("?" * len(COLUMNS.split(", ")))
    connection.execute(f"INSERT INTO alerts ({COLUMNS}) VALUES ({marks})", _values(row))  # noqa: S608
    return True


def change_alert(connection: sqlite3.Connection, row: AlertRow) -> bool:
    """All but its organisation and what has become of it; what is paused is over, without news.
    False: it is gone."""
    names = [
        name
        for name in COLUMNS.split(", ")
        if name not in ("id", "org", "status", "below_since_us", "created_at_us")
    ]
    changed = connection.execute(
        f"UPDATE alerts SET {', '.join(f'{name} = ?' for name in names)} "  # noqa: S608
        "WHERE id = ? AND org = ?",
        (*(getattr(row, name) for name in names), row.id, row.org),
    )
    if changed.rowcount and not row.is_active:
        connection.execute(
            "UPDATE alerts SET status = 'resolved', below_since_us = NULL WHERE id = ?", (row.id,)
        )
        _end(connection, row.id, row.updated_at_us)
    return changed.rowcount > 0


def _end(connection: sqlite3.Connection, alert_id: str, now_us: int) -> None:
    connection.execute(
        "UPDATE alert_history SET status = 'resolved', ended_at_us = ? "
        "WHERE alert_id = ? AND ended_at_us IS NULL",
        (now_us, alert_id),
    )


def remove_alert(connection: sqlite3.Connection, org: bytes, alert_id: str) -> bool:
    """With its history."""
    gone = connection.execute("DELETE FROM alerts WHERE org = ? AND id = ?", (org, alert_id))
    return gone.rowcount > 0


def note_status(
    connection: sqlite3.Connection,
    alert: AlertRow,
    status: str,
    below_since_us: int | None,
    begun: Incident | None,
    ended_at_us: int | None,
) -> bool:
    """What an evaluation has found. False, and nothing changed, where the alert was removed, is
    paused, or has another status by now."""
    changed = connection.execute(
        "UPDATE alerts SET status = ?, below_since_us = ? "
        "WHERE id = ? AND status = ? AND is_active",
        (status, below_since_us, alert.id, alert.status),
    )
    if not changed.rowcount:
        return False
    if begun is not None:
        connection.execute(
            f"INSERT INTO alert_history ({HISTORY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            begun,
        )
        connection.execute(
            "DELETE FROM alert_history WHERE id IN (SELECT id FROM alert_history "
            "WHERE alert_id = ? ORDER BY started_at_us DESC, id LIMIT -1 OFFSET ?)",
            (alert.id, HISTORY_MAX),
        )
    if ended_at_us is not None:
        _end(connection, alert.id, ended_at_us)
    return True


def history_of(
    connection: sqlite3.Connection, org: bytes, limit: int, offset: int
) -> tuple[list[Incident], int]:
    """Of all alerts of an organisation, the newest first, and how many there are."""
    where = "alert_id IN (SELECT id FROM alerts WHERE org = ?)"
    rows = connection.execute(
        f"SELECT {HISTORY} FROM alert_history WHERE {where} "  # noqa: S608
        "ORDER BY started_at_us DESC, id LIMIT ? OFFSET ?",
        (org, limit, offset),
    ).fetchall()
    (count,) = connection.execute(
        f"SELECT count(*) FROM alert_history WHERE {where}",  # noqa: S608
        (org,),
    ).fetchone()
    return [Incident(*row) for row in rows], count
