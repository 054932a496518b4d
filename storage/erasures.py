"""Deletions that somebody asked for: what is to go, until it is gone, and that it went.

What identifies the subject is kept only as long as it is needed to find it; afterwards its place is
empty, and the file is overwritten there (secure_delete). Other small tables lose their rows by the
names of their columns, so that a table that comes later is reached as well.
"""

import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from storage.state import DEFAULT_ORGANIZATION_ID, now_us

Kind = Literal["request", "session", "user", "organization", "span"]

KINDS: Final[tuple[Kind, ...]] = ("request", "session", "user", "organization", "span")
WAITING_MAX: Final = 1000  # of a region
KEPT_MAX: Final = 10_000
BATCH: Final = 500
COLUMNS: Final = (
    "id, organization_id, kind, subject, state, found, asked_by, created_at_us, done_at_us"
)
# In which columns a table names a request.
REQUEST_COLUMNS: Final = ("request_id", "origin_request_id", "helicone_request_id")
# In which a table has the hash of a user or a session (dataset_copies.subject_mark).
MARK_COLUMNS: Final = ("user_mark", "session_mark")
# These say what was done and hold no text of a call, or are changed by their own store alone.
LEFT: Final = (
    "audit", "erasures", "migrations", "provider_keys", "proxy_keys", "provider_keys_version",
)  # fmt: skip
# The books stay, apart from labels that name a request.
LEDGER: Final = "ledger_"
OWNERS: Final = frozenset({"organization_id", "org"})


@dataclass(frozen=True, slots=True)
class Erasure:
    """`state` is waiting or done; `found` counts exchanges."""

    id: str
    organization_id: str
    kind: Kind
    subject: str
    state: str
    found: int
    asked_by: str
    created_at_us: int
    done_at_us: int | None


def ask(
    connection: sqlite3.Connection, organization_id: str, kind: Kind, subject: str, asked_by: str
) -> Erasure:
    """Put down what is to go; the same thing that waits already is not put down again. Raises
    ValueError when too many wait."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM erasures WHERE organization_id = ? AND kind = ? AND subject = ? "  # noqa: S608
        "AND state = 'waiting'",
        (organization_id, kind, subject),
    ).fetchone()
    if row is not None:
        return Erasure(*row)
    count = connection.execute("SELECT count(*) FROM erasures WHERE state = 'waiting'").fetchone()
    if count[0] >= WAITING_MAX:
        raise ValueError(f"{WAITING_MAX} deletions wait to be carried out: ask again later")
    connection.execute(
        "DELETE FROM erasures WHERE id IN (SELECT id FROM erasures WHERE state = 'done' "
        "ORDER BY created_at_us DESC, id LIMIT -1 OFFSET ?)",
        (KEPT_MAX,),
    )
    asked = Erasure(
        str(uuid.uuid4()), organization_id, kind, subject, "waiting", 0, asked_by, now_us(), None
    )
    connection.execute(
        f"INSERT INTO erasures ({COLUMNS}) VALUES (?, ?, ?, ?, 'waiting', 0, ?, ?, NULL)",  # noqa: S608
        (asked.id, organization_id, kind, subject, asked_by, asked.created_at_us),
    )
    return asked


def waiting(connection: sqlite3.Connection) -> list[Erasure]:
    """The oldest first."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM erasures WHERE state = 'waiting' ORDER BY created_at_us, id"  # noqa: S608
    )
    return [Erasure(*row) for row in rows]


def listed(connection: sqlite3.Connection, organization_id: str, limit: int) -> list[Erasure]:
    """The newest first."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM erasures WHERE organization_id = ? "  # noqa: S608
        "ORDER BY created_at_us DESC, id LIMIT ?",
        (organization_id, limit),
    )
    return [Erasure(*row) for row in rows]


def standing(
    connection: sqlite3.Connection, organization_id: str
) -> tuple[tuple[int, int], set[tuple[str, str]]]:
    """How many deletions were carried out, and what waits. Who copies something asks before he
    reads it and again where he writes it: else the copy might come behind the deletion."""
    count, last = connection.execute(
        "SELECT count(*), coalesce(max(done_at_us), 0) FROM erasures"
        " WHERE organization_id = ? AND state = 'done'",
        (organization_id,),
    ).fetchone()
    rows = connection.execute(
        "SELECT kind, subject FROM erasures WHERE organization_id = ? AND state = 'waiting'",
        (organization_id,),
    )
    return (count, last), {(str(row[0]), str(row[1])) for row in rows}


def done(connection: sqlite3.Connection, erasure_id: str, found: int) -> None:
    """It is carried out: whom it was about is forgotten too."""
    connection.execute(
        "UPDATE erasures SET state = 'done', found = ?, subject = '', done_at_us = ? WHERE id = ?",
        (found, now_us(), erasure_id),
    )


def erase_rows(
    connection: sqlite3.Connection,
    organization_id: str,
    requests: Sequence[tuple[str, bytes]],
    session_id: str = "",
    subject_marks: Sequence[bytes] = (),
) -> int:
    """Rows about these requests (ids, with those of their exchanges) and this session, in every
    small table that names one, and those that hold a mark of whom they are about; how many. A table
    that does not say whose its rows are is left alone: request ids are the clients' own, and may be
    those of another organisation too."""
    gone = 0
    wanted: list[tuple[str, Sequence[object]]] = [
        ("exchange_id", [exchange_id for _, exchange_id in requests]),
        *((column, [request_id for request_id, _ in requests]) for column in REQUEST_COLUMNS),
        ("session_id", [session_id] if session_id else []),
        *((column, subject_marks) for column in MARK_COLUMNS),
    ]
    for table, columns in _tables(connection, with_books=True):
        mine, org = _of_organization(connection, table, columns, organization_id)
        for column, values in wanted if org else ():
            if column not in columns:
                continue
            act = f'DELETE FROM "{table}"'  # noqa: S608 - a name of the schema
            if table.startswith(LEDGER):
                act = f'UPDATE "{table}" SET "{column}" = \'\''  # noqa: S608 - the same
            for some in _batches(values):
                marks = ", ".join("?" * len(some))
                gone += connection.execute(
                    f'{act} WHERE "{column}" IN ({marks}){mine}', (*some, *org)
                ).rowcount
    return gone


def copies_within(
    connection: sqlite3.Connection, organization_id: str, since_us: int | None, until_us: int
) -> list[bytes]:
    """The exchanges whose copies in datasets were recorded in this time."""
    rows = connection.execute(
        "SELECT DISTINCT exchange_id FROM dataset_rows WHERE organization_id = ?"
        " AND recorded_at_us >= ? AND recorded_at_us < ?",
        (organization_id, 0 if since_us is None else since_us, until_us),
    )
    return [row[0] for row in rows]


def erase_copies(
    connection: sqlite3.Connection, organization_id: str, exchange_ids: Sequence[bytes]
) -> int:
    """Copies in datasets of these exchanges; how many."""
    gone = 0
    for some in _batches(exchange_ids):
        marks = ", ".join("?" * len(some))
        gone += connection.execute(
            f"DELETE FROM dataset_rows WHERE organization_id = ? AND exchange_id IN ({marks})",  # noqa: S608
            (organization_id, *some),
        ).rowcount
    return gone


def erase_organization(connection: sqlite3.Connection, organization_id: str) -> int:
    """Every row of an organisation but the organisation itself, and what its books say; how many.
    People who belong to no other organisation go with it."""
    gone = 0
    people = [
        str(row[0])
        for row in connection.execute(
            "SELECT user_id FROM members m WHERE organization_id = ? AND NOT EXISTS (SELECT 1 FROM "
            "members o WHERE o.user_id = m.user_id AND o.organization_id <> m.organization_id)",
            (organization_id,),
        )
    ]
    connection.execute("PRAGMA defer_foreign_keys = ON")  # until the transaction ends
    # Those that say whose they are by the table above them go before that one.
    tables = sorted(_tables(connection), key=lambda found: bool(OWNERS & found[1]))
    for table, columns in tables:
        if table == "organizations":
            continue
        mine, org = _of_organization(connection, table, columns, organization_id)
        if org:
            gone += connection.execute(
                f'DELETE FROM "{table}" WHERE 1{mine}',  # noqa: S608
                org,
            ).rowcount
    for user_id in people:
        gone += connection.execute("DELETE FROM users WHERE id = ?", (user_id,)).rowcount
    connection.execute(
        "DELETE FROM organizations WHERE id = ? AND id <> ?",
        (organization_id, DEFAULT_ORGANIZATION_ID),
    )
    return gone


def _tables(
    connection: sqlite3.Connection, *, with_books: bool = False
) -> list[tuple[str, set[str]]]:
    names = [
        str(row[0])
        for row in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        if row[0] not in LEFT and (with_books or not str(row[0]).startswith(LEDGER))
    ]
    return [
        (name, {str(row[1]) for row in connection.execute(f'PRAGMA table_info("{name}")')})
        for name in names
    ]


def _of_organization(
    connection: sqlite3.Connection, table: str, columns: Iterable[str], organization_id: str
) -> tuple[str, tuple[object, ...]]:
    """The condition for rows of the organisation, and its value: by a column of the table's own,
    else by the table that it refers to. Nothing where neither says whose they are."""
    for column, value in (
        ("organization_id", organization_id), ("org", uuid.UUID(organization_id).bytes),
    ):  # fmt: skip
        if column in columns:
            return f' AND "{column}" = ?', (value,)
        for row in connection.execute(f'PRAGMA foreign_key_list("{table}")').fetchall():
            parent, here, there = row[2], row[3], row[4] or "id"
            named = connection.execute(f'PRAGMA table_info("{parent}")').fetchall()
            if column in {name[1] for name in named} and parent != "organizations":
                condition = (
                    f' AND "{here}" IN (SELECT "{there}" FROM "{parent}" '  # noqa: S608
                    f'WHERE "{column}" = ?)'
                )
                return condition, (value,)
    return "", ()


def _batches(values: Sequence[object]) -> Iterable[Sequence[object]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
