"""Webhooks in the state store: the receivers, how far the journal was looked through for them, and
what is to be delivered or was.

A delivery names its exchange and holds nothing of it: what is deleted is not sent any more, and
nothing has to be looked for here. HMAC keys are sealed before they come here.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from storage.frames import Position

WEBHOOKS_MAX: Final = 50  # of an organisation
WAITING_MAX: Final = 10_000  # deliveries of a webhook; beyond it the oldest go
KEPT_MAX: Final = 1_000  # ended deliveries of a webhook, for its log
OVERFLOW: Final = "more than 10000 were waiting: the oldest are given up"
INACTIVE: Final = "the webhook was switched off"

COLUMNS: Final = (
    "id, org, destination, sample_percent, filters, include_data, is_active, sealed, key_hint, "
    "since_segment, since_offset, created_at_us, updated_at_us"
)
DELIVERY_COLUMNS: Final = (
    "id, webhook_id, exchange_id, request_id, state, attempts, created_at_us, next_at_us, "
    "last_at_us, status, error, duration_ms"
)
STATES: Final = ("waiting", "delivered", "failed", "dropped")

TABLES: Final = (
    """
    CREATE TABLE webhooks (
      id TEXT PRIMARY KEY, org BLOB NOT NULL CHECK (length(org) = 16), destination TEXT NOT NULL,
      sample_percent REAL NOT NULL, filters TEXT NOT NULL, include_data INTEGER NOT NULL,
      is_active INTEGER NOT NULL, sealed BLOB NOT NULL, key_hint TEXT NOT NULL,
      since_segment INTEGER NOT NULL, since_offset INTEGER NOT NULL,
      created_at_us INTEGER NOT NULL, updated_at_us INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX webhooks_of_org ON webhooks (org)",
    """
    CREATE TABLE webhook_feed (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      segment INTEGER NOT NULL, frame_offset INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE webhook_deliveries (
      id TEXT PRIMARY KEY, webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
      exchange_id BLOB NOT NULL CHECK (length(exchange_id) = 16), request_id TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed', 'dropped')),
      attempts INTEGER NOT NULL, created_at_us INTEGER NOT NULL, next_at_us INTEGER NOT NULL,
      last_at_us INTEGER, status INTEGER, error TEXT NOT NULL, duration_ms REAL
    ) STRICT
    """,
    "CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, state, next_at_us)",
    "CREATE INDEX webhook_deliveries_of ON webhook_deliveries (exchange_id)",
    "CREATE INDEX webhook_deliveries_log ON webhook_deliveries (webhook_id, created_at_us, id)",
)  # fmt: skip


def m051_webhooks(connection: sqlite3.Connection) -> None:
    for statement in TABLES:
        connection.execute(statement)


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """`filters` is JSON. What was recorded before `since` is none of its business."""

    id: str
    org: bytes
    destination: str
    sample_percent: float
    filters: str
    include_data: bool
    is_active: bool
    sealed: bytes = field(repr=False)
    key_hint: str = ""
    since: Position = Position(0, 0)  # noqa: RUF009 - a tuple
    created_at_us: int = 0
    updated_at_us: int = 0


class Delivery(NamedTuple):
    """What is to be sent, or was. Times in microseconds since the epoch."""

    id: str
    webhook_id: str
    exchange_id: bytes
    request_id: str
    state: str
    attempts: int
    created_at_us: int
    next_at_us: int
    last_at_us: int | None
    status: int | None
    error: str
    duration_ms: float | None


class Outcome(NamedTuple):
    """What became of one attempt."""

    id: str
    state: str
    next_at_us: int
    last_at_us: int
    status: int | None
    error: str
    duration_ms: float | None


def _webhook(values: Sequence[Any]) -> WebhookRow:
    key, org, destination, percent, filters, data, active, *rest = values
    sealed, hint, segment, offset, created, updated = rest
    return WebhookRow(
        key, org, destination, percent, filters, bool(data), bool(active), sealed, hint,
        Position(segment, offset), created, updated,
    )  # fmt: skip


def active_webhooks(connection: sqlite3.Connection) -> list[WebhookRow]:
    """Those of all organisations."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM webhooks WHERE is_active ORDER BY id")  # noqa: S608
    return [_webhook(row) for row in rows]


def webhooks_of(connection: sqlite3.Connection, org: bytes) -> list[WebhookRow]:
    """Oldest first."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM webhooks WHERE org = ? ORDER BY created_at_us, id",  # noqa: S608
        (org,),
    )
    return [_webhook(row) for row in rows]


def find_webhook(connection: sqlite3.Connection, org: bytes, webhook_id: str) -> WebhookRow | None:
    row = connection.execute(
        f"SELECT {COLUMNS} FROM webhooks WHERE org = ? AND id = ?",  # noqa: S608
        (org, webhook_id),
    ).fetchone()
    return _webhook(row) if row else None


def add_webhook(connection: sqlite3.Connection, row: WebhookRow) -> bool:
    """False: the organisation has as many as it may."""
    (count,) = connection.execute(
        "SELECT count(*) FROM webhooks WHERE org = ?", (row.org,)
    ).fetchone()
    if count >= WEBHOOKS_MAX:
        return False
    connection.execute(
        f"INSERT INTO webhooks ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            row.id, row.org, row.destination, row.sample_percent, row.filters, row.include_data,
            row.is_active, row.sealed, row.key_hint, *row.since, row.created_at_us,
            row.updated_at_us,
        ),
    )  # fmt: skip
    return True


def change_webhook(connection: sqlite3.Connection, row: WebhookRow) -> None:
    """All but its organisation and when it was made. One that is switched off has nothing waiting
    any more."""
    connection.execute(
        "UPDATE webhooks SET destination = ?, sample_percent = ?, filters = ?, include_data = ?, "
        "is_active = ?, sealed = ?, key_hint = ?, since_segment = ?, since_offset = ?, "
        "updated_at_us = ? WHERE id = ? AND org = ?",
        (
            row.destination, row.sample_percent, row.filters, row.include_data, row.is_active,
            row.sealed, row.key_hint, *row.since, row.updated_at_us, row.id, row.org,
        ),
    )  # fmt: skip
    if not row.is_active:
        connection.execute(
            "UPDATE webhook_deliveries SET state = 'dropped', error = ? "
            "WHERE webhook_id = ? AND state = 'waiting'",
            (INACTIVE, row.id),
        )


def remove_webhook(connection: sqlite3.Connection, org: bytes, webhook_id: str) -> bool:
    """With its deliveries. False: there is none."""
    gone = connection.execute("DELETE FROM webhooks WHERE org = ? AND id = ?", (org, webhook_id))
    return gone.rowcount > 0


def read_feed(connection: sqlite3.Connection) -> Position:
    """So far the journal was looked through."""
    row = connection.execute("SELECT segment, frame_offset FROM webhook_feed").fetchone()
    return Position(*row) if row else Position(0, 0)


def feed(
    connection: sqlite3.Connection,
    wanted: Iterable[tuple[str, str, bytes, str]],
    upto: Position,
    now_us: int,
) -> int:
    """New deliveries (id, webhook, exchange, request) and the place up to which they are all, in
    one. A webhook that has gone meanwhile gets none. How many were given up for want of room."""
    rows = list(wanted)
    connection.executemany(
        "INSERT INTO webhook_deliveries "
        "SELECT ?, id, ?, ?, 'waiting', 0, ?, ?, NULL, NULL, '', NULL FROM webhooks "
        "WHERE id = ? AND is_active ON CONFLICT DO NOTHING",
        [(key, exchange, request, now_us, now_us, hook) for key, hook, exchange, request in rows],
    )
    connection.execute(
        "INSERT INTO webhook_feed VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET "
        "segment = excluded.segment, frame_offset = excluded.frame_offset",
        upto,
    )
    return sum(_bound(connection, hook) for hook in {hook for _, hook, *_ in rows})


def _bound(connection: sqlite3.Connection, webhook_id: str) -> int:
    """Of what waits and of what has ended only so much is kept."""
    given_up = connection.execute(
        "UPDATE webhook_deliveries SET state = 'dropped', error = ? WHERE id IN (SELECT id FROM "
        "webhook_deliveries WHERE webhook_id = ? AND state = 'waiting' "
        "ORDER BY created_at_us DESC, id DESC LIMIT -1 OFFSET ?)",
        (OVERFLOW, webhook_id, WAITING_MAX),
    ).rowcount
    connection.execute(
        "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries "
        "WHERE webhook_id = ? AND state <> 'waiting' "
        "ORDER BY created_at_us DESC, id DESC LIMIT -1 OFFSET ?)",
        (webhook_id, KEPT_MAX),
    )
    return given_up


def note_outcomes(connection: sqlite3.Connection, outcomes: Iterable[Outcome]) -> None:
    """One that was removed or switched off meanwhile stays so."""
    connection.executemany(
        "UPDATE webhook_deliveries SET state = ?, attempts = attempts + 1, next_at_us = ?, "
        "last_at_us = ?, status = ?, error = ?, duration_ms = ? WHERE id = ? AND state = 'waiting'",
        [(o.state, *o[2:], o.id) for o in outcomes],
    )


def due_deliveries(
    connection: sqlite3.Connection, room: dict[str, int], now_us: int
) -> tuple[list[Delivery], int | None]:
    """Of each webhook as many as it has room for, and when the next one of any is due."""
    found: list[Delivery] = []
    coming: list[int] = []
    for webhook_id, rows_max in room.items():
        rows = connection.execute(
            f"SELECT {DELIVERY_COLUMNS} FROM webhook_deliveries WHERE webhook_id = ? "  # noqa: S608
            "AND state = 'waiting' ORDER BY next_at_us LIMIT ?",
            (webhook_id, rows_max + 1),
        ).fetchall()
        deliveries = [Delivery(*row) for row in rows]
        found += [row for row in deliveries if row.next_at_us <= now_us][:rows_max]
        coming += [row.next_at_us for row in deliveries if row.next_at_us > now_us][:1]
    return found, min(coming, default=None)


def count_waiting(connection: sqlite3.Connection) -> int:
    """Of all webhooks, those that are due and those that are tried again later."""
    row = connection.execute("SELECT count(*) FROM webhook_deliveries WHERE state = 'waiting'")
    found: int = row.fetchone()[0]
    return found


def deliveries_of(
    connection: sqlite3.Connection,
    webhook_id: str,
    state: str | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Delivery]:
    """The newest first; `before` is creation and id of the last one that was seen."""
    where, values = ["webhook_id = ?"], [webhook_id]
    if state is not None:
        where.append("state = ?")
        values.append(state)
    if before is not None:
        where.append("(created_at_us, id) < (?, ?)")
        values += before  # type: ignore[arg-type]
    rows = connection.execute(
        f"SELECT {DELIVERY_COLUMNS} FROM webhook_deliveries WHERE {' AND '.join(where)} "  # noqa: S608
        "ORDER BY created_at_us DESC, id DESC LIMIT ?",
        (*values, limit),
    )
    return [Delivery(*row) for row in rows]


def replay(
    connection: sqlite3.Connection, webhook_id: str, delivery_id: str, now_us: int
) -> Delivery | None:
    """Send it (again) as soon as may be, with as many attempts as a new one. None: no such one."""
    row = connection.execute(
        "UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, next_at_us = ? "  # noqa: S608
        f"WHERE webhook_id = ? AND id = ? RETURNING {DELIVERY_COLUMNS}",
        (now_us, webhook_id, delivery_id),
    ).fetchone()
    return Delivery(*row) if row else None


def forget_exchanges(connection: sqlite3.Connection, exchange_ids: frozenset[bytes] | None) -> None:
    """The ids of deleted exchanges go too. None: it is not known which they are, so all go that
    have ended; of those that wait the sender finds out."""
    if exchange_ids is None:
        connection.execute("DELETE FROM webhook_deliveries WHERE state <> 'waiting'")
        return
    connection.executemany(
        "DELETE FROM webhook_deliveries WHERE exchange_id = ?", [(key,) for key in exchange_ids]
    )
