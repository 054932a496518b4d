"""The ledger in the state store's file: one transaction per group of changes, synchronous FULL.

Blocking; one caller at a time, others read with connections of their own. It stores what it is told
and checks that no hold is resolved twice; what the numbers mean is decided elsewhere.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from storage.ledger_fold import check, fold
from storage.state import BUSY_TIMEOUT_MS, State, StateBroken

# number, id, until_us, debits pending and posted, credits pending and posted
AccountRow = tuple[int, str, int | None, str, str, str, str]
# hold id, leg, organisation, debit, credit, amount, worst, input, made_at_us, segment, offset
HoldRow = tuple[bytes, int, bytes, int, int, int, int, int, int, int, int]
# id, step, leg, kind, debit, credit, held, posted, at_us
TransferRow = tuple[bytes, int, int, int, int, int, int, int, int]
# event id, organisation, kind, amount, reference, transfer id, at_us
EventRow = tuple[str, bytes, str, int, str, bytes, int]
# intent, charge id, customer, organisation, credits, total in cents, returned in cents, at_us
PaymentRow = tuple[str, str, str, bytes, int, int, int, int]

FLAGS_MAX: Final = 10_000
PAGE_ROWS_MAX: Final = 1_000
# Rows go in by so many at a time: SQLite gives up the interpreter's lock once per statement, and a
# busy loop takes its time to give it back.
CHUNKS: Final = (256, 32, 4, 1)

ACCOUNT_COLUMNS: Final = (
    "number, id, until_us, debits_pending, debits_posted, credits_pending, credits_posted"
)
ACCOUNTS: Final = (
    f"INSERT INTO ledger_accounts ({ACCOUNT_COLUMNS}) VALUES ",  # noqa: S608
    " ON CONFLICT (number) DO UPDATE SET debits_pending = excluded.debits_pending, "
    "debits_posted = excluded.debits_posted, credits_pending = excluded.credits_pending, "
    "credits_posted = excluded.credits_posted",
)
HOLDS: Final = ("INSERT INTO ledger_holds VALUES ", "")
TRANSFERS: Final = ("INSERT INTO ledger_transfers VALUES ", "")
RESOLVING_KINDS: Final = (1, 2)
# What is stored beside accounts, by name.
NOTES: Final = {
    "event": "INSERT INTO ledger_events VALUES (?, ?, ?, ?, ?, ?, ?)",
    "line": "INSERT INTO ledger_lines VALUES (?, ?) "
    "ON CONFLICT (org) DO UPDATE SET limit_pico = excluded.limit_pico",
    "dispute": "INSERT INTO ledger_disputes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET status = excluded.status, event_id = excluded.event_id",
    "disallow": "INSERT INTO ledger_disallowed VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    "allow": "DELETE FROM ledger_disallowed WHERE org = ? AND provider = ? AND model = ?",
    "budget": "INSERT INTO ledger_budgets VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET limit_pico = excluded.limit_pico",
    "drop_budget": "DELETE FROM ledger_budgets WHERE id = ?",
    "payment": "INSERT INTO ledger_payments VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
    "returned": "UPDATE ledger_payments SET returned_cents = ? WHERE intent = ?",
    "flag": "INSERT INTO ledger_flags (at_us, org, kind, hold_id, amount_pico, detail) "
    "VALUES (?, ?, ?, ?, ?, ?)",
}
# What was posted for a hold, leg by leg; a release posts nothing.
CHARGED: Final = (
    "SELECT sum(posted_pico) FROM ledger_transfers WHERE id = ? AND kind <= 3 GROUP BY leg"
)
SPAN: Final = (
    "SELECT (SELECT min(id) FROM ledger_transfers), (SELECT max(id) FROM ledger_transfers),"
    " (SELECT max(id) FROM ledger_holds)"
)
# The administration's names (`internals.md 2.8`) → what is read for them, the newest first.
PAGES: Final = {
    "credit_purchases": "SELECT lower(hex(transfer_id)) AS id, at_us AS created_at_us, "
    "CASE kind WHEN 'top_up' THEN amount_pico ELSE -amount_pico END AS credits_pico, "
    "event_id AS reference_id, kind, reference AS reason "
    "FROM ledger_events WHERE org = ? ORDER BY at_us DESC, event_id",
    "processed_webhook_events": "SELECT event_id AS id, at_us AS processed_at_us "
    "FROM ledger_events WHERE org = ? ORDER BY at_us DESC, event_id",
    "escrows": "SELECT lower(hex(ledger_holds.id)) AS id, amount_pico, "
    "made_at_us AS created_at_us FROM ledger_holds "
    "JOIN ledger_accounts ON number = debit AND ledger_accounts.id = 'credits/' || lower(hex(org)) "
    "WHERE org = ? ORDER BY ledger_holds.id DESC",
    "aggregated_debits": "SELECT credits_posted AS debits_pico FROM ledger_accounts "
    "WHERE id = 'spent/' || lower(hex(?))",
    "disallow_list": "SELECT request_id AS helicone_request_id, at_us AS created_at_us, provider, "
    "model FROM ledger_disallowed WHERE org = ? ORDER BY at_us DESC, provider, model",
    "disputes": "SELECT id, charge_id, amount_pico, currency, reason, status, event_id, "
    "created_at_us FROM ledger_disputes WHERE org = ? ORDER BY created_at_us DESC, id",
}


@dataclass(slots=True)
class LedgerBatch:
    """Changes that are stored together or not at all."""

    accounts: Sequence[AccountRow] = ()
    holds: Sequence[HoldRow] = ()
    resolved: Sequence[bytes] = ()
    transfers: Sequence[TransferRow] = ()
    notes: Sequence[tuple[str, tuple[Any, ...]]] = ()


@dataclass(slots=True)
class LedgerRows:
    """The ledger as it lies in the file; accounts of a time that is over only where needed."""

    accounts: list[AccountRow] = field(default_factory=list)
    holds: list[HoldRow] = field(default_factory=list)
    next_number: int = 1
    lines: list[tuple[bytes, int]] = field(default_factory=list)
    disputes: list[tuple[Any, ...]] = field(default_factory=list)
    disallowed: list[tuple[bytes, str, str]] = field(default_factory=list)
    budgets: list[tuple[Any, ...]] = field(default_factory=list)


class Fates(NamedTuple):
    """Of the holds that were asked for: what was posted for those that are resolved, in pico-USD
    (one amount where all legs agree), and those that are open. Of all holds there are: the oldest
    id and the newest, which begin with their time; empty where there is none."""

    charged: dict[bytes, set[int]]
    still_open: set[bytes]
    oldest: bytes
    newest: bytes


class LedgerStore:
    """A connection of its own, in one thread at a time. Every method may raise StateBroken."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def open(cls, path: Path, *, region: str = "us") -> "LedgerStore":
        """Open the state store's file, making it when it is not there."""
        if not path.exists():
            State.open(path, region=region).close()
        with _translated(path):
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                if not _has_tables(connection):
                    State.open(path, region=region).close()
                for pragma in (
                    f"busy_timeout = {BUSY_TIMEOUT_MS}", "journal_mode = WAL",
                    "synchronous = FULL", "secure_delete = ON", "foreign_keys = ON",
                    "trusted_schema = OFF",
                ):  # fmt: skip
                    connection.execute(f"PRAGMA {pragma}")
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    @classmethod
    def open_to_read(cls, path: Path) -> "LedgerStore":
        """Open a file that is there, beside whoever writes to it: nothing can be changed."""
        with _translated(path):
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None,
                check_same_thread=False,
            )  # fmt: skip
            try:
                for pragma in (
                    f"busy_timeout = {BUSY_TIMEOUT_MS}", "query_only = ON", "trusted_schema = OFF",
                ):  # fmt: skip
                    connection.execute(f"PRAGMA {pragma}")
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    def close(self) -> None:
        """Safe to call twice."""
        self._connection.close()

    def commit(self, batch: LedgerBatch) -> None:
        """All of it is on the disk when this returns, or none of it is there."""
        with self._transaction() as connection:
            _insert(connection, ACCOUNTS, batch.accounts)
            _insert(connection, HOLDS, batch.holds)
            gone = _delete(connection, batch.resolved)
            due = sum(row[3] in RESOLVING_KINDS for row in batch.transfers)
            if gone != due:
                raise StateBroken(f"{self.path}: {due} holds to resolve, {gone} are open")
            _insert(connection, TRANSFERS, batch.transfers)
            has_flags = False
            for what, values in batch.notes:
                connection.execute(NOTES[what], values)
                has_flags |= what == "flag"
            if has_flags:
                connection.execute(
                    "DELETE FROM ledger_flags "
                    "WHERE number <= (SELECT max(number) FROM ledger_flags) - ?",
                    (FLAGS_MAX,),
                )

    def load(self, now_us: int) -> LedgerRows:
        """What is needed to go on."""
        with self._reading() as connection:
            rows = connection.execute
            needed = (
                f"SELECT {ACCOUNT_COLUMNS} FROM ledger_accounts "  # noqa: S608
                "WHERE until_us IS NULL OR until_us > ? OR number IN "
                "(SELECT debit FROM ledger_holds UNION SELECT credit FROM ledger_holds)"
            )
            last = rows("SELECT coalesce(max(number), 0) FROM ledger_accounts").fetchone()[0]
            return LedgerRows(
                accounts=rows(needed, (now_us,)).fetchall(),
                holds=rows("SELECT * FROM ledger_holds ORDER BY id, leg").fetchall(),
                next_number=last + 1,
                lines=rows("SELECT * FROM ledger_lines").fetchall(),
                disputes=rows("SELECT * FROM ledger_disputes").fetchall(),
                disallowed=rows("SELECT org, provider, model FROM ledger_disallowed").fetchall(),
                budgets=rows("SELECT * FROM ledger_budgets").fetchall(),
            )

    def event(self, event_id: str) -> EventRow | None:
        """What came under this id."""
        sql = "SELECT * FROM ledger_events WHERE event_id = ?"
        found: EventRow | None = self._one(sql, event_id)
        return found

    def knows_object(self, org: bytes, kind: str, reference: str) -> bool:
        """Whether something of this kind was told before, under whatever event."""
        sql = "SELECT 1 FROM ledger_events WHERE org = ? AND kind = ? AND reference = ?"
        return self._one(sql, org, kind, reference) is not None

    def payment(self, intent: str, charge_id: str = "") -> PaymentRow | None:
        """A payment by its intent, else by its charge; "" finds none."""
        sql = "SELECT * FROM ledger_payments WHERE {0} = ? AND {0} <> ''"
        found: PaymentRow | None = self._one(sql.format("intent"), intent)
        if found is None:
            found = self._one(sql.format("charge_id"), charge_id)
        return found

    def payers(self, customer: str) -> list[bytes]:
        """For whom this customer has paid, two at most; "" for nobody."""
        sql = (
            "SELECT DISTINCT org FROM ledger_payments WHERE customer = ? AND customer <> '' LIMIT 2"
        )
        with self._reading() as connection:
            return [org for (org,) in connection.execute(sql, (customer,))]

    def dispute(self, dispute_id: str) -> tuple[Any, ...] | None:
        """A dispute, open or not."""
        sql = "SELECT * FROM ledger_disputes WHERE id = ?"
        found: tuple[Any, ...] | None = self._one(sql, dispute_id)
        return found

    def flags(self, rows_max: int = 100) -> list[dict[str, Any]]:
        """What somebody should look at, the newest first."""
        with self._reading() as connection:
            return _dicts(
                connection.execute(
                    "SELECT at_us, lower(hex(org)) AS org, kind, lower(hex(hold_id)) AS hold_id, "
                    "amount_pico, detail FROM ledger_flags ORDER BY number DESC LIMIT ?",
                    (rows_max,),
                )
            )

    def page(self, table: str, org: bytes, page: int = 0, size: int = 50) -> list[dict[str, Any]]:
        """A page of one of PAGES. Raises ValueError for another name or size."""
        if table not in PAGES:
            raise ValueError(f"table: {table!r} is none of {', '.join(PAGES)}")
        if page < 0 or not 1 <= size <= PAGE_ROWS_MAX:
            raise ValueError(f"page: 0 or more; pageSize: 1 to {PAGE_ROWS_MAX}")
        with self._reading() as connection:
            return _dicts(
                connection.execute(f"{PAGES[table]} LIMIT ? OFFSET ?", (org, size, page * size))
            )

    def total(self, table: str, org: bytes) -> int:
        """How many rows that table has for an organisation. Raises ValueError."""
        if table not in PAGES:
            raise ValueError(f"table: {table!r} is none of {', '.join(PAGES)}")
        found = self._one(f"SELECT count(*) FROM ({PAGES[table]})", org)  # noqa: S608
        assert found is not None, "a count has one row"
        number: int = found[0]
        return number

    def fold(self, before_us: int, now_us: int) -> bool:
        """Let some transfers go that are older, or all too many. True: there may be more."""
        with self._transaction() as connection:
            return fold(connection, before_us, now_us)

    def check(self) -> list[str]:
        """Replay the log: what does not add up, in words. Nothing when all is well."""
        with self._reading() as connection:
            return check(connection)

    @property
    def is_made(self) -> bool:
        """Whether the file has a ledger: a state of an older program has none yet."""
        with self._reading() as connection:
            return _has_tables(connection)

    def fates(self, hold_ids: Iterable[bytes]) -> Fates:
        """What became of these holds, as of one moment."""
        charged: dict[bytes, set[int]] = {}
        still_open: set[bytes] = set()
        with self._reading() as connection:
            ask = connection.execute
            for hold_id in hold_ids:
                if legs := ask(CHARGED, (hold_id,)).fetchall():
                    charged[hold_id] = {posted for (posted,) in legs}
                elif ask("SELECT 1 FROM ledger_holds WHERE id = ?", (hold_id,)).fetchone():
                    still_open.add(hold_id)
            oldest, newest, newest_open = ask(SPAN).fetchone()
        return Fates(charged, still_open, oldest or b"", max(newest or b"", newest_open or b""))

    def _one(self, sql: str, *values: object) -> Any:  # noqa: ANN401 - a row of whatever is asked
        with self._reading() as connection:
            return connection.execute(sql, values).fetchone()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """What is read belongs together."""
        with _translated(self.path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._end("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._end("ROLLBACK")
                raise

    def _end(self, how: str) -> None:
        if self._connection.in_transaction:
            self._connection.execute(how)


def _insert(
    connection: sqlite3.Connection, words: tuple[str, str], rows: Sequence[tuple[Any, ...]]
) -> None:
    start = 0
    for chunk in CHUNKS:
        while len(rows) - start >= chunk:
            values = [value for row in rows[start : start + chunk] for value in row]
            connection.execute(_insertion(words, chunk, len(rows[start])), values)
            start += chunk


@cache
def _insertion(words: tuple[str, str], rows: int, columns: int) -> str:
    """One of a dozen."""
    marks = ", ".join([f"({', '.join('?' * columns)})"] * rows)
    return f"{words[0]}{marks}{words[1]}"


def _delete(connection: sqlite3.Connection, hold_ids: Sequence[bytes]) -> int:
    start = gone = 0
    for chunk in CHUNKS:
        while len(hold_ids) - start >= chunk:
            gone += connection.execute(
                f"DELETE FROM ledger_holds WHERE id IN ({', '.join('?' * chunk)})",  # noqa: S608
                hold_ids[start : start + chunk],
            ).rowcount
            start += chunk
    return gone


def _dicts(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _has_tables(connection: sqlite3.Connection) -> bool:
    found: Iterable[Any] = connection.execute(
        "SELECT 1 FROM sqlite_schema WHERE name = 'ledger_payments'"
    )
    return any(found)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """SQLite's errors end here. A rule of the tables that was broken is a ledger that cannot be
    relied upon, like any other."""
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError, UnicodeError) as error:
        raise StateBroken(f"{path}: {error}") from error
