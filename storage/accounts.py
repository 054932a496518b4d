"""People, the organisations they belong to, and how they are signed in: rows of the state store.

Each function does one thing on an open connection, inside whatever transaction the caller has
begun. Tokens are never stored: a session is found by the SHA-256 of its own.
"""

import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any, Final

from storage.sign_in_links import drop_links_for, drop_links_of, token_hash
from storage.state import now_us

USERS_MAX: Final = 10_000
MEMBERS_MAX: Final = 1_000  # of an organisation
SESSIONS_MAX: Final = 50_000
SESSIONS_PER_USER_MAX: Final = 50
ORGANIZATIONS_MAX: Final = 10_000
SEEN_EVERY_US: Final = 300 * 1_000_000  # a session's last use is noted that often
USER_COLUMNS: Final = "id, email, name, password, created_at_us, signed_in_at_us"
SESSION_COLUMNS: Final = (
    "s.id, s.user_id, s.key_hash, s.organization_id, s.created_at_us, s.seen_at_us, "
    "s.expires_at_us, s.address, s.agent"
)


@dataclass(frozen=True, slots=True)
class User:
    """A person. `password` is a PHC string of Argon2id, or "" where none was set yet."""

    id: str
    email: str
    name: str
    password: str
    created_at_us: int
    signed_in_at_us: int | None = None

    def __repr__(self) -> str:
        return f"User({self.id!r})"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in: a user with the role of this moment, or whoever holds a key."""

    id: str
    user_id: str | None
    key_hash: str
    organization_id: str
    created_at_us: int
    seen_at_us: int
    expires_at_us: int
    address: str
    agent: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """What is shown of an organisation."""

    id: str
    name: str
    region: str
    created_at_us: int


# -- users


def count_users(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("SELECT count(*) FROM users").fetchone()[0]
    return found


def user_by_email(connection: sqlite3.Connection, email: str) -> User | None:
    """By the address in lower case."""
    return _user(connection, "email", email)


def user_by_id(connection: sqlite3.Connection, user_id: str) -> User | None:
    return _user(connection, "id", user_id)


def _user(connection: sqlite3.Connection, column: str, value: str) -> User | None:
    row = connection.execute(
        f"SELECT {USER_COLUMNS} FROM users WHERE {column} = ?",  # noqa: S608 - a name of ours
        (value,),
    ).fetchone()
    return User(*row) if row else None


def add_user(connection: sqlite3.Connection, email: str, name: str, password: str = "") -> User:
    """Raises ValueError for an address that is known, or one too many."""
    if count_users(connection) >= USERS_MAX:
        raise ValueError(f"at most {USERS_MAX} users are kept")
    if user_by_email(connection, email) is not None:
        raise ValueError("there is a user of this address already")
    user = User(str(uuid.uuid4()), email, name, password, now_us())
    connection.execute(
        f"INSERT INTO users ({USER_COLUMNS}) VALUES (?, ?, ?, ?, ?, NULL)",  # noqa: S608
        (user.id, user.email, user.name, user.password, user.created_at_us),
    )
    return user


def set_password(connection: sqlite3.Connection, user: User, password: str) -> None:
    """Links that would set another one are worth nothing any more."""
    connection.execute("UPDATE users SET password = ? WHERE id = ?", (password, user.id))
    drop_links_for(connection, user.email, "reset")


def set_name(connection: sqlite3.Connection, user_id: str, name: str) -> None:
    connection.execute("UPDATE users SET name = ? WHERE id = ?", (name, user_id))


def drop_user(connection: sqlite3.Connection, user: User) -> None:
    """With the memberships, sessions and links."""
    connection.execute("DELETE FROM sign_in_links WHERE email = ?", (user.email,))
    connection.execute("DELETE FROM users WHERE id = ?", (user.id,))


def list_users(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """All of them with their organisations, oldest first; never a password."""
    rows = connection.execute(
        "SELECT u.id, u.email, u.name, u.password <> '', u.created_at_us, u.signed_in_at_us, "
        "coalesce((SELECT group_concat(o.name || ' (' || m.role || ')', ', ') FROM members m "
        "JOIN organizations o ON o.id = m.organization_id WHERE m.user_id = u.id), '') "
        "FROM users u ORDER BY u.created_at_us, u.id"
    )
    names = ("id", "email", "name", "has_password", "created_at_us", "signed_in_at_us",
             "organizations")  # fmt: skip
    return [dict(zip(names, row, strict=True)) for row in rows]


# -- members


def role_in(connection: sqlite3.Connection, organization_id: str, user_id: str) -> str:
    """The role of a user in an organisation, "" where there is none."""
    row = connection.execute(
        "SELECT role FROM members WHERE organization_id = ? AND user_id = ?",
        (organization_id, user_id),
    ).fetchone()
    return str(row[0]) if row else ""


def put_member(
    connection: sqlite3.Connection, organization_id: str, user_id: str, role: str
) -> None:
    """Make somebody a member, or change the role. Raises ValueError where that would leave the
    organisation without an owner, and for one too many."""
    now = role_in(connection, organization_id, user_id)
    if now == "owner" and role != "owner":
        _check_owner_left(connection, organization_id, user_id)
    if now and role not in (now, "owner"):
        drop_links_of(connection, organization_id, user_id)
    if not now:
        count = connection.execute(
            "SELECT count(*) FROM members WHERE organization_id = ?", (organization_id,)
        ).fetchone()[0]
        if count >= MEMBERS_MAX:
            raise ValueError(f"an organisation has at most {MEMBERS_MAX} members")
    connection.execute(
        "INSERT INTO members VALUES (?, ?, ?, ?) "
        "ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role",
        (organization_id, user_id, role, now_us()),
    )


def drop_member(connection: sqlite3.Connection, organization_id: str, user_id: str) -> bool:
    """Whether there was one. Sessions in that organisation end with it, and invitations to it that
    this member made. Raises ValueError for the last owner."""
    if role_in(connection, organization_id, user_id) == "owner":
        _check_owner_left(connection, organization_id, user_id)
    drop_links_of(connection, organization_id, user_id)
    connection.execute(
        "DELETE FROM sessions WHERE organization_id = ? AND user_id = ?",
        (organization_id, user_id),
    )
    return connection.execute(
        "DELETE FROM members WHERE organization_id = ? AND user_id = ?", (organization_id, user_id)
    ).rowcount > 0  # fmt: skip


def _check_owner_left(connection: sqlite3.Connection, organization_id: str, but: str) -> None:
    other = connection.execute(
        "SELECT 1 FROM members WHERE organization_id = ? AND role = 'owner' AND user_id <> ?",
        (organization_id, but),
    ).fetchone()
    if other is None:
        raise ValueError("the last owner stays: make somebody else an owner first")


def list_members(connection: sqlite3.Connection, organization_id: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT u.id, u.email, u.name, m.role, m.created_at_us, u.signed_in_at_us FROM members m "
        "JOIN users u ON u.id = m.user_id WHERE m.organization_id = ? "
        "ORDER BY m.created_at_us, u.id",
        (organization_id,),
    )
    names = ("id", "email", "name", "role", "created_at_us", "signed_in_at_us")
    return [dict(zip(names, row, strict=True)) for row in rows]


def organizations_of(connection: sqlite3.Connection, user_id: str) -> list[tuple[str, str]]:
    """Ids of the organisations with the user's role in each, the oldest membership first."""
    rows = connection.execute(
        "SELECT organization_id, role FROM members WHERE user_id = ? "
        "ORDER BY created_at_us, organization_id",
        (user_id,),
    )
    return [(str(org), str(role)) for org, role in rows]


# -- sessions


def add_session(
    connection: sqlite3.Connection,
    token: str,
    *,
    user_id: str | None,
    key_hash: str,
    organization_id: str,
    lasts_us: int,
    address: str,
    agent: str,
) -> str:
    """Sign somebody in; gives the session's id. The oldest of too many goes."""
    at_us = now_us()
    connection.execute("DELETE FROM sessions WHERE expires_at_us <= ?", (at_us,))
    session_id = str(uuid.uuid4())
    connection.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (token_hash(token), session_id, user_id, key_hash, organization_id, at_us, at_us,
         at_us + lasts_us, address, agent),
    )  # fmt: skip
    mine, value = ("user_id = ?", user_id) if user_id else ("key_hash = ?", key_hash)
    for where, given, most in ((mine, [value], SESSIONS_PER_USER_MAX), ("1", [], SESSIONS_MAX)):
        connection.execute(
            "DELETE FROM sessions WHERE token_hash IN (SELECT token_hash FROM sessions "  # noqa: S608
            f"WHERE {where} ORDER BY seen_at_us DESC, id LIMIT -1 OFFSET {most})",
            given,
        )
    if user_id:
        connection.execute("UPDATE users SET signed_in_at_us = ? WHERE id = ?", (at_us, user_id))
    return session_id


def find_session(connection: sqlite3.Connection, token: str, idle_us: int) -> Session | None:
    """Whoever is signed in with this token at this moment: a user who is still a member."""
    row = connection.execute(
        f"SELECT {SESSION_COLUMNS}, coalesce(m.role, '') FROM sessions s "  # noqa: S608
        "LEFT JOIN members m "
        "ON m.user_id = s.user_id AND m.organization_id = s.organization_id "
        "WHERE s.token_hash = ?",
        (token_hash(token),),
    ).fetchone()
    if row is None:
        return None
    session = Session(*row)
    at_us = now_us()
    if at_us >= session.expires_at_us or at_us - session.seen_at_us > idle_us:
        return None
    return session if session.role or session.user_id is None else None


def touch_session(connection: sqlite3.Connection, session_id: str) -> None:
    """It was used now."""
    connection.execute("UPDATE sessions SET seen_at_us = ? WHERE id = ?", (now_us(), session_id))


def move_session(connection: sqlite3.Connection, session_id: str, organization_id: str) -> None:
    """Work in another organisation from now on."""
    connection.execute(
        "UPDATE sessions SET organization_id = ? WHERE id = ?", (organization_id, session_id)
    )


def list_sessions(connection: sqlite3.Connection, user_id: str) -> list[Session]:
    rows = connection.execute(
        f"SELECT {SESSION_COLUMNS} FROM sessions s WHERE s.user_id = ? "  # noqa: S608
        "ORDER BY s.seen_at_us DESC, s.id",
        (user_id,),
    )
    return [Session(*row) for row in rows]


def drop_session(connection: sqlite3.Connection, session_id: str, user_id: str | None) -> bool:
    """Whether there was one of this id, and of this user where one is named."""
    return connection.execute(
        "DELETE FROM sessions WHERE id = ?1 AND (?2 IS NULL OR user_id = ?2)",
        (session_id, user_id),
    ).rowcount > 0  # fmt: skip


def drop_sessions(connection: sqlite3.Connection, user_id: str, *, but: str = "") -> int:
    """Sign a user out everywhere, but for the session of this id."""
    return connection.execute(
        "DELETE FROM sessions WHERE user_id = ? AND id <> ?", (user_id, but)
    ).rowcount  # fmt: skip


# -- organisations


def organization(connection: sqlite3.Connection, organization_id: str) -> OrganizationRow | None:
    row = connection.execute(
        "SELECT id, name, region, created_at_us FROM organizations WHERE id = ?",
        (organization_id,),
    ).fetchone()
    return OrganizationRow(*row) if row else None


def add_organization(connection: sqlite3.Connection, name: str, region: str) -> OrganizationRow:
    """Raises ValueError for one too many."""
    count = connection.execute("SELECT count(*) FROM organizations").fetchone()[0]
    if count >= ORGANIZATIONS_MAX:
        raise ValueError(f"at most {ORGANIZATIONS_MAX} organisations are kept")
    row = OrganizationRow(str(uuid.uuid4()), name, region, now_us())
    connection.execute(
        "INSERT INTO organizations (id, name, region, stream_usage, created_at_us) "
        "VALUES (?, ?, ?, '', ?)",
        (row.id, row.name, row.region, row.created_at_us),
    )
    return row


def rename_organization(connection: sqlite3.Connection, organization_id: str, name: str) -> None:
    connection.execute("UPDATE organizations SET name = ? WHERE id = ?", (name, organization_id))
