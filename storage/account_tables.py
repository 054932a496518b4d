"""The tables of people: who they are, where they belong, how they are signed in; and the log of
administrative acts. Said once here, as migrations; `accounts.py` and `audit.py` use them.
"""

import sqlite3
from typing import Final

AUDIT_ROWS_MAX: Final = 1_000_000


def m006_accounts(connection: sqlite3.Connection) -> None:
    """A session and a link are known by the SHA-256 of their token: the file opens neither."""
    connection.execute(
        "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, "
        "password TEXT NOT NULL, created_at_us INTEGER NOT NULL, signed_in_at_us INTEGER) STRICT"
    )
    connection.execute(
        "CREATE TABLE members (organization_id TEXT NOT NULL REFERENCES organizations (id), "
        "user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE, "
        "role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')), "
        "created_at_us INTEGER NOT NULL, PRIMARY KEY (organization_id, user_id)) STRICT"
    )
    connection.execute("CREATE INDEX members_of_user ON members (user_id)")
    connection.execute(
        "CREATE TABLE sessions (token_hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
        "user_id TEXT REFERENCES users (id) ON DELETE CASCADE, key_hash TEXT NOT NULL, "
        "organization_id TEXT NOT NULL REFERENCES organizations (id), "
        "created_at_us INTEGER NOT NULL, seen_at_us INTEGER NOT NULL, "
        "expires_at_us INTEGER NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL) STRICT"
    )
    connection.execute("CREATE INDEX sessions_of_user ON sessions (user_id)")
    connection.execute(
        "CREATE TABLE sign_in_links (token_hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
        "kind TEXT NOT NULL CHECK (kind IN ('first', 'reset', 'invite')), email TEXT NOT NULL, "
        "organization_id TEXT NOT NULL REFERENCES organizations (id), role TEXT NOT NULL, "
        "created_at_us INTEGER NOT NULL, expires_at_us INTEGER NOT NULL, "
        "created_by TEXT NOT NULL) STRICT"
    )


def m007_audit(connection: sqlite3.Connection) -> None:
    """Append-only by the file's own rules: rows are not changed, and only the oldest go, when there
    are more than may be kept."""
    connection.execute(
        "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, "
        "organization_id TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, "
        "target TEXT NOT NULL, detail TEXT NOT NULL, address TEXT NOT NULL) STRICT"
    )
    connection.execute("CREATE INDEX audit_of_organization ON audit (organization_id, id)")
    connection.execute(
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END"
    )
    connection.execute(
        "CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit "  # noqa: S608 - a number of ours
        f"WHEN OLD.id > (SELECT max(id) FROM audit) - {AUDIT_ROWS_MAX} "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END"
    )
