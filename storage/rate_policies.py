"""Rate limits of organisations in the state store: the table, and what is done to it.

A policy is a line of text here. Which text is one, and which of several applies, is decided
elsewhere. An organisation has one policy for each segment and unit, as they share a bucket
(proxy.md 5.2).
"""

import sqlite3
from dataclasses import dataclass

COLUMNS = "id, organization_id, segment, unit, policy, created_at_us, name, updated_at_us"


@dataclass(frozen=True, slots=True)
class RatePolicyRow:
    """One stored policy, in its canonical text. `segment` is "" for the whole organisation."""

    id: str
    organization_id: str
    segment: str
    unit: str
    policy: str
    created_at_us: int = 0
    name: str = ""
    updated_at_us: int | None = None


def m005_rate_policies(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE rate_policies (id TEXT PRIMARY KEY, "
        "organization_id TEXT NOT NULL REFERENCES organizations (id), segment TEXT NOT NULL, "
        "unit TEXT NOT NULL CHECK (unit IN ('request', 'cents')), policy TEXT NOT NULL, "
        "created_at_us INTEGER NOT NULL, UNIQUE (organization_id, segment, unit)) STRICT"
    )
    # Whether the text of a key has the `-rl-` shape. NULL: it was imported by its hash alone.
    connection.execute("ALTER TABLE api_keys ADD COLUMN limited INTEGER CHECK (limited IN (0, 1))")


def read_policies(connection: sqlite3.Connection) -> list[RatePolicyRow]:
    """All of them, oldest first."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM rate_policies ORDER BY created_at_us, id")  # noqa: S608
    return [RatePolicyRow(*row) for row in rows]


def put_policy(connection: sqlite3.Connection, row: RatePolicyRow) -> RatePolicyRow:
    """A new policy, or another one in the place of that of its segment and unit, which keeps its
    id."""
    found = connection.execute(
        f"INSERT INTO rate_policies ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
        "ON CONFLICT (organization_id, segment, unit) DO UPDATE SET policy = excluded.policy "
        f"RETURNING {COLUMNS}",
        (
            row.id,
            row.organization_id,
            row.segment,
            row.unit,
            row.policy,
            row.created_at_us,
            row.name,
            row.updated_at_us,
        ),
    ).fetchone()
    return RatePolicyRow(*found)


def drop_policy(connection: sqlite3.Connection, policy_id: str) -> bool:
    """Whether there was one of this id."""
    return connection.execute("DELETE FROM rate_policies WHERE id = ?", (policy_id,)).rowcount > 0
