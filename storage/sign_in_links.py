"""One-time links: for the first owner, for whoever is invited, for a new password. Rows of the
state store, as in `accounts.py`; a link is found by the SHA-256 of its token, which is not stored.

A link speaks for whoever made it, and for the password that it replaces: it goes when these do.
"""

import hashlib
import sqlite3
import uuid
from dataclasses import dataclass
from typing import Final, Literal

from storage.state import now_us

LINKS_MAX: Final = 10_000
LINK_COLUMNS: Final = (
    "id, kind, email, organization_id, role, created_at_us, expires_at_us, created_by"
)

LinkKind = Literal["first", "reset", "invite"]


@dataclass(frozen=True, slots=True)
class Link:
    """What a one-time link is for. `organization_id` and `role`: of whom it invites."""

    id: str
    kind: LinkKind
    email: str
    organization_id: str
    role: str
    created_at_us: int
    expires_at_us: int
    created_by: str


def token_hash(token: str) -> str:
    """Under what a token is kept."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def add_link(
    connection: sqlite3.Connection,
    token: str,
    kind: LinkKind,
    *,
    email: str,
    organization_id: str,
    role: str,
    lasts_us: int,
    created_by: str,
) -> Link:
    """Raises ValueError when too many wait to be used. A link of the same kind for the same
    person and organisation takes the older one's place."""
    at_us = now_us()
    connection.execute("DELETE FROM sign_in_links WHERE expires_at_us <= ?", (at_us,))
    connection.execute(
        "DELETE FROM sign_in_links WHERE kind = ? AND email = ? AND organization_id = ?",
        (kind, email, organization_id),
    )
    if connection.execute("SELECT count(*) FROM sign_in_links").fetchone()[0] >= LINKS_MAX:
        raise ValueError(f"at most {LINKS_MAX} links may wait to be used")
    link = Link(
        str(uuid.uuid4()), kind, email, organization_id, role, at_us, at_us + lasts_us, created_by
    )
    connection.execute(
        "INSERT INTO sign_in_links VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (token_hash(token), link.id, kind, email, organization_id, role, at_us,
         link.expires_at_us, created_by),
    )  # fmt: skip
    return link


def find_link(connection: sqlite3.Connection, token: str) -> Link | None:
    """What a link is for while it may be used; it is not used up by this."""
    row = connection.execute(
        f"SELECT {LINK_COLUMNS} FROM sign_in_links "  # noqa: S608
        "WHERE token_hash = ? AND expires_at_us > ?",
        (token_hash(token), now_us()),
    ).fetchone()
    return Link(*row) if row else None


def use_link(connection: sqlite3.Connection, token: str) -> Link | None:
    """The same, once."""
    link = find_link(connection, token)
    if link is not None:
        connection.execute("DELETE FROM sign_in_links WHERE id = ?", (link.id,))
    return link


def list_links(connection: sqlite3.Connection, organization_id: str) -> list[Link]:
    """Invitations that nobody has followed yet."""
    rows = connection.execute(
        f"SELECT {LINK_COLUMNS} FROM sign_in_links WHERE kind = 'invite' "  # noqa: S608
        "AND organization_id = ? AND expires_at_us > ? ORDER BY created_at_us, id",
        (organization_id, now_us()),
    )
    return [Link(*row) for row in rows]


def drop_link(connection: sqlite3.Connection, organization_id: str, link_id: str) -> bool:
    return connection.execute(
        "DELETE FROM sign_in_links WHERE id = ? AND organization_id = ? AND kind = 'invite'",
        (link_id, organization_id),
    ).rowcount > 0  # fmt: skip


def drop_links_for(connection: sqlite3.Connection, email: str, kind: LinkKind) -> None:
    """Those of a person: with another password, those that would set it again."""
    connection.execute("DELETE FROM sign_in_links WHERE email = ? AND kind = ?", (email, kind))


def drop_links_of(connection: sqlite3.Connection, organization_id: str, user_id: str) -> None:
    """The invitations that somebody made who may not make them any more: whoever was taken out must
    not come back by a link of his own."""
    connection.execute(
        "DELETE FROM sign_in_links WHERE kind = 'invite' AND organization_id = ? "
        "AND created_by = ?",
        (organization_id, user_id),
    )
