"""A state store as an earlier version left it: `older_state.py FILE NAME KEY` makes one in which
the migration NAME was the last, with the API key KEY of the default organisation in it."""

from __future__ import annotations

import hashlib
import sqlite3
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from storage.state import (
    DEFAULT_ORGANIZATION_ID,
    DEFAULT_ORGANIZATION_NAME,
    MIGRATIONS,
    now_us,
)

LAST = "m002_ledger"  # the oldest that was told apart from the first


def make(file: Path, key: str, last: str = LAST) -> int:
    """How many migrations are to come. Raises FileExistsError, and ValueError for a name that is
    none."""
    names = [step.__name__ for step in MIGRATIONS]
    count = names.index(last) + 1
    if file.exists():
        raise FileExistsError(file)
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at_us INTEGER NOT NULL) STRICT"
    )
    for step in MIGRATIONS[:count]:
        step(connection)
        connection.execute("INSERT INTO migrations VALUES (?, ?)", (step.__name__, now_us()))
    connection.execute(
        "INSERT INTO organizations VALUES (?, ?, 'us', '', ?)",
        (DEFAULT_ORGANIZATION_ID, DEFAULT_ORGANIZATION_NAME, now_us()),
    )
    connection.execute(
        "INSERT INTO api_keys VALUES (?, ?, 'older', ?, 'rw', 'us', '', ?, NULL)",
        (
            str(uuid.uuid4()), DEFAULT_ORGANIZATION_ID,
            hashlib.sha256(f"Bearer {key}".encode()).hexdigest(), now_us(),
        ),
    )  # fmt: skip
    connection.close()
    return len(names) - count


def mark_later(file: Path) -> None:
    """As if a version after this one had migrated it."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("INSERT INTO migrations VALUES ('m999_later', ?)", (now_us(),))
    connection.close()


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), sys.argv[3], sys.argv[2]), "migrations to come")
