"""Reports in the state store: who gets one, and how often."""

import sqlite3
from dataclasses import dataclass, field
from typing import Final

REPORTS_MAX: Final = 50  # of an organisation
COLUMNS: Final = "id, org, name, frequency, emails, sealed, is_active, created_at_us, updated_at_us"


@dataclass(frozen=True, slots=True)
class ReportRow:
    """`emails` is JSON; `sealed` has the channels whose addresses are secrets."""

    id: str
    org: bytes
    name: str
    frequency: str
    emails: str
    sealed: bytes = field(repr=False)
    is_active: bool = True
    created_at_us: int = 0
    updated_at_us: int = 0


def m054_reports(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE reports (id TEXT PRIMARY KEY, org BLOB NOT NULL CHECK (length(org) = 16), "
        "name TEXT NOT NULL, "
        "frequency TEXT NOT NULL CHECK (frequency IN ('daily', 'weekly', 'monthly')), "
        "emails TEXT NOT NULL, sealed BLOB NOT NULL, is_active INTEGER NOT NULL, "
        "created_at_us INTEGER NOT NULL, updated_at_us INTEGER NOT NULL) STRICT"
    )
    connection.execute("CREATE INDEX reports_of_org ON reports (org)")


def _report(values: tuple[object, ...]) -> ReportRow:
    named = dict(zip(COLUMNS.split(", "), values, strict=True))
    return ReportRow(**{**named, "is_active": bool(named["is_active"])})  # type: ignore[arg-type]


def due_reports(connection: sqlite3.Connection, frequency: str) -> list[ReportRow]:
    """The active ones of all organisations."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM reports WHERE frequency = ? AND is_active ORDER BY id",  # noqa: S608
        (frequency,),
    )
    return [_report(row) for row in rows]


def reports_of(connection: sqlite3.Connection, org: bytes) -> list[ReportRow]:
    """Oldest first."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM reports WHERE org = ? ORDER BY created_at_us, id",  # noqa: S608
        (org,),
    )
    return [_report(row) for row in rows]


def find_report(connection: sqlite3.Connection, org: bytes, report_id: str) -> ReportRow | None:
    row = connection.execute(
        f"SELECT {COLUMNS} FROM reports WHERE org = ? AND id = ?",  # noqa: S608
        (org, report_id),
    ).fetchone()
    return _report(row) if row else None


def put_report(connection: sqlite3.Connection, row: ReportRow) -> bool:
    """A new one, or in the place of that of its id. False: the organisation has as many as it
    may."""
    (others,) = connection.execute(
        "SELECT count(*) FROM reports WHERE org = ? AND id <> ?", (row.org, row.id)
    ).fetchone()
    if others >= REPORTS_MAX:
        return False
    values = [getattr(row, name) for name in COLUMNS.split(", ")]
    connection.execute(
        f"INSERT OR REPLACE INTO reports ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        values,
    )
    return True


def remove_report(connection: sqlite3.Connection, org: bytes, report_id: str) -> bool:
    """False: there is none."""
    gone = connection.execute("DELETE FROM reports WHERE org = ? AND id = ?", (org, report_id))
    return gone.rowcount > 0
