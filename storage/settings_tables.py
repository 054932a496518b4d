"""Tables of settings beside keys: names of rate limits, saved filters, deletions asked for."""

import sqlite3


def m008_rate_policy_names(connection: sqlite3.Connection) -> None:
    """What people call a rate limit, and when it was changed last. NULL: never."""
    connection.execute("ALTER TABLE rate_policies ADD COLUMN name TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE rate_policies ADD COLUMN updated_at_us INTEGER")


def m009_saved_filters(connection: sqlite3.Connection) -> None:
    """`filter` is JSON as the UI wrote it (backend.md 2.4)."""
    connection.execute(
        "CREATE TABLE saved_filters (id TEXT PRIMARY KEY, "
        "organization_id TEXT NOT NULL REFERENCES organizations (id), name TEXT NOT NULL, "
        "filter TEXT NOT NULL, created_at_us INTEGER NOT NULL, updated_at_us INTEGER NOT NULL) "
        "STRICT"
    )
    connection.execute(
        "CREATE INDEX saved_filters_of_organization ON saved_filters (organization_id)"
    )


def m010_erasures(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE erasures (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL, "
        "kind TEXT NOT NULL CHECK (kind IN ('request', 'session', 'user', 'organization')), "
        "subject TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('waiting', 'done')), "
        "found INTEGER NOT NULL, asked_by TEXT NOT NULL, created_at_us INTEGER NOT NULL, "
        "done_at_us INTEGER) STRICT"
    )
    connection.execute(
        "CREATE INDEX erasures_of_organization ON erasures (organization_id, created_at_us)"
    )


def m059_erasures_of_spans(connection: sqlite3.Connection) -> None:
    """A kind more; SQLite changes what a column may hold by a new table alone."""
    connection.execute("ALTER TABLE erasures RENAME TO erasures_before")
    connection.execute("DROP INDEX erasures_of_organization")
    connection.execute(
        "CREATE TABLE erasures (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL, "
        "kind TEXT NOT NULL CHECK (kind IN "
        "('request', 'session', 'user', 'organization', 'span')), "
        "subject TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('waiting', 'done')), "
        "found INTEGER NOT NULL, asked_by TEXT NOT NULL, created_at_us INTEGER NOT NULL, "
        "done_at_us INTEGER) STRICT"
    )
    connection.execute("INSERT INTO erasures SELECT * FROM erasures_before")
    connection.execute("DROP TABLE erasures_before")
    connection.execute(
        "CREATE INDEX erasures_of_organization ON erasures (organization_id, created_at_us)"
    )
