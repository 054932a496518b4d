"""The tables of provider keys, in the state store: the migration that makes them, nothing else."""

import sqlite3
import uuid

TABLES = (
    # `sealed` is empty from when the base URL was changed until the secret is entered again.
    """
    CREATE TABLE provider_keys (
      id TEXT PRIMARY KEY, org BLOB NOT NULL CHECK (length(org) = 16),
      provider TEXT NOT NULL CHECK (length(provider) BETWEEN 1 AND 64), name TEXT NOT NULL,
      auth_type TEXT NOT NULL CHECK (auth_type IN ('key', 'session_token')),
      byok_enabled INTEGER NOT NULL CHECK (byok_enabled IN (0, 1)),
      base_url TEXT NOT NULL, config TEXT NOT NULL,
      key_epoch INTEGER NOT NULL, sealed BLOB NOT NULL,
      created_at_us INTEGER NOT NULL, entered_at_us INTEGER NOT NULL,
      UNIQUE (org, provider, name)
    ) STRICT
    """,
    # The text of a proxy key is kept nowhere, as that of an API key.
    """
    CREATE TABLE proxy_keys (
      id TEXT PRIMARY KEY, org BLOB NOT NULL CHECK (length(org) = 16),
      provider_key_id TEXT NOT NULL REFERENCES provider_keys (id) ON DELETE CASCADE,
      name TEXT NOT NULL, key_hash TEXT NOT NULL UNIQUE CHECK (length(key_hash) = 64),
      policies TEXT NOT NULL, created_at_us INTEGER NOT NULL
    ) STRICT
    """,
    # Raised by each change of either. The lineage tells this file's life from another one's.
    """
    CREATE TABLE provider_keys_version (
      one INTEGER PRIMARY KEY CHECK (one = 1), lineage TEXT NOT NULL, version INTEGER NOT NULL
    ) STRICT
    """,
)


def m003_provider_keys(connection: sqlite3.Connection) -> None:
    for table in TABLES:
        connection.execute(table)
    connection.execute("INSERT INTO provider_keys_version VALUES (1, ?, 0)", (uuid.uuid4().hex,))
