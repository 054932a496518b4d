"""Whether what an organisation says in its playground is recorded."""

import sqlite3


def m055_playground(connection: sqlite3.Connection) -> None:
    """An organisation without a row has said nothing: it is."""
    connection.execute(
        "CREATE TABLE playground_settings (organization_id TEXT PRIMARY KEY "
        "REFERENCES organizations (id), recorded INTEGER NOT NULL CHECK (recorded IN (0, 1))) "
        "STRICT"
    )


def records_playground(connection: sqlite3.Connection, organization_id: str) -> bool:
    row = connection.execute(
        "SELECT recorded FROM playground_settings WHERE organization_id = ?", (organization_id,)
    ).fetchone()
    return row is None or bool(row[0])


def record_playground(connection: sqlite3.Connection, organization_id: str, recorded: bool) -> None:
    connection.execute(
        "INSERT INTO playground_settings VALUES (?, ?) "
        "ON CONFLICT (organization_id) DO UPDATE SET recorded = excluded.recorded",
        (organization_id, int(recorded)),
    )
