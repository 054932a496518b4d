"""State in SQLite: organisations, the hashes of API keys, rate limits. Blocking; one caller at a
time.

It knows nothing of HTTP and never sees the text of a key. Every change is durable when the method
returns (WAL, synchronous FULL), and what is removed is overwritten (secure_delete).
"""

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from storage.account_tables import m006_accounts, m007_audit
from storage.alert_tables import m053_alerts, m057_alerts_paused, m058_alert_cooldown
from storage.analysis_tables import m040_analysis
from storage.dataset_tables import m025_datasets, m056_dataset_ages
from storage.export_tables import m030_export_positions
from storage.hql_tables import m020_saved_queries
from storage.ledger_tables import m002_ledger, m004_payments
from storage.notice_tables import m052_notices
from storage.playground import m055_playground
from storage.prompt_tables import m021_prompts
from storage.provider_key_tables import m003_provider_keys
from storage.rate_policies import (
    RatePolicyRow,
    drop_policy,
    m005_rate_policies,
    put_policy,
    read_policies,
)
from storage.report_tables import m054_reports
from storage.schedule_tables import m050_schedule
from storage.settings_tables import (
    m008_rate_policy_names,
    m009_saved_filters,
    m010_erasures,
    m059_erasures_of_spans,
)
from storage.webhook_tables import m051_webhooks

T = TypeVar("T")
Noted = Callable[[str, float], None]

DEFAULT_ORGANIZATION_ID: Final = "00000000-0000-4000-8000-000000000001"
DEFAULT_ORGANIZATION_NAME: Final = "Default"
BUSY_TIMEOUT_MS: Final = 5000
PERMISSIONS: Final = ("rw", "r", "w")


class StateBroken(Exception):  # noqa: N818 - a condition that callers handle
    """The file cannot be read or written; the text says what and where."""


class StateTooNew(StateBroken):
    """The file was written by a later version."""


@dataclass(frozen=True, slots=True)
class Organization:
    """One tenant."""

    id: str
    name: str
    region: str = "us"
    stream_usage: str = ""
    created_at_us: int = 0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key by its hash: hex SHA-256 of `Bearer <key>` (proxy.md 1.7). `limited`: whether its text
    has the `-rl-` shape; None where only the hash was ever seen."""

    id: str
    organization_id: str
    name: str
    key_hash: str
    permission: str = "rw"
    region: str = "us"
    stream_usage: str = ""
    created_at_us: int = 0
    revoked_at_us: int | None = None
    limited: bool | None = None


def m001_organizations_and_keys(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE organizations (id TEXT PRIMARY KEY, name TEXT NOT NULL, "
        "region TEXT NOT NULL, stream_usage TEXT NOT NULL, created_at_us INTEGER NOT NULL) STRICT"
    )
    connection.execute(
        "CREATE TABLE api_keys (id TEXT PRIMARY KEY, "
        "organization_id TEXT NOT NULL REFERENCES organizations (id), name TEXT NOT NULL, "
        "key_hash TEXT NOT NULL UNIQUE CHECK (length(key_hash) = 64), "
        "permission TEXT NOT NULL CHECK (permission IN ('rw', 'r', 'w')), region TEXT NOT NULL, "
        "stream_usage TEXT NOT NULL, created_at_us INTEGER NOT NULL, revoked_at_us INTEGER) STRICT"
    )


# In the order they are applied; never edited once released, only added to.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    m001_organizations_and_keys,
    m002_ledger,
    m003_provider_keys,
    m004_payments,
    m005_rate_policies,
    m006_accounts,
    m007_audit,
    m008_rate_policy_names,
    m009_saved_filters,
    m010_erasures,
    m020_saved_queries,
    m021_prompts,
    m025_datasets,
    m030_export_positions,
    m040_analysis,
    m050_schedule,
    m051_webhooks,
    m052_notices,
    m053_alerts,
    m054_reports,
    m055_playground,
    m056_dataset_ages,
    m057_alerts_paused,
    m058_alert_cooldown,
    m059_erasures_of_spans,
)


class State:
    """The open file. Methods may be called from any thread and wait for one another."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.path = path

    @classmethod
    def open(cls, path: Path, *, region: str = "us", noted: Noted = lambda *_: None) -> "State":
        """Open or create, migrate, and see that the default organisation is there. `noted` hears of
        each step that was applied, and how many seconds it took.

        Raises StateBroken; the file is then left as it was.
        """
        with translated(path):
            _create_private(path)
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                prepare(connection)
                _migrate(connection, path, noted)
                connection.execute(
                    "INSERT INTO organizations VALUES (?, ?, ?, '', ?) ON CONFLICT DO NOTHING",
                    (DEFAULT_ORGANIZATION_ID, DEFAULT_ORGANIZATION_NAME, region, now_us()),
                )
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    def close(self) -> None:
        """Close. Safe to call twice."""
        with self._lock:
            self._connection.close()

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` reads of the tables that other modules of this package know."""
        with self._reading() as connection:
            return work(connection)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` changes there, all or nothing."""
        with self._transaction() as connection:
            return work(connection)

    # -- organisations

    def add_organization(
        self, name: str, *, organization_id: str = "", region: str = "us", stream_usage: str = ""
    ) -> Organization:
        """A new tenant."""
        row = Organization(
            organization_id or str(uuid.uuid4()), name, region, stream_usage, now_us()
        )
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO organizations VALUES (?, ?, ?, ?, ?)",
                (row.id, row.name, row.region, row.stream_usage, row.created_at_us),
            )
        return row

    def organizations(self) -> list[Organization]:
        """All tenants, oldest first."""
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM organizations ORDER BY created_at_us, id")
            return [Organization(*row) for row in rows]

    # -- API keys

    def add_api_key(
        self,
        name: str,
        key_hash: str,
        *,
        organization_id: str = DEFAULT_ORGANIZATION_ID,
        permission: str = "rw",
        region: str = "us",
        stream_usage: str = "",
        limited: bool = False,
    ) -> ApiKey:
        """Put a new key on file. Raises ValueError when its hash is there already."""
        row = ApiKey(
            str(uuid.uuid4()), organization_id, name, key_hash, permission, region, stream_usage,
            now_us(), limited=limited,
        )  # fmt: skip
        if self.import_api_keys([row]) == 0:
            raise ValueError("this key is on file already")
        return row

    def import_api_keys(self, rows: Iterable[ApiKey]) -> int:
        """Put keys on file by their hashes, all or none; those there already stay as they are.

        Gives the number of new ones. Raises ValueError for a row that cannot be stored.
        """
        added = 0
        with self._transaction() as connection:
            for row in rows:
                cursor = connection.execute(
                    "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (key_hash) DO NOTHING",
                    (
                        row.id, row.organization_id, row.name, row.key_hash, row.permission,
                        row.region, row.stream_usage, row.created_at_us or now_us(),
                        row.revoked_at_us, row.limited,
                    ),
                )  # fmt: skip
                added += cursor.rowcount
        return added

    def api_keys(self, *, revoked: bool = False) -> list[ApiKey]:
        """Keys in use, oldest first; with `revoked` the others as well."""
        where = "" if revoked else "WHERE revoked_at_us IS NULL "
        with self._reading() as connection:
            rows = connection.execute(f"SELECT * FROM api_keys {where}ORDER BY created_at_us, id")  # noqa: S608
            return [_api_key(row) for row in rows]

    def rename_api_key(self, key_id: str, name: str) -> ApiKey | None:
        """Call a key in use something else. None when there is none such."""
        with self._transaction() as connection:
            row = connection.execute(
                "UPDATE api_keys SET name = ? WHERE id = ? AND revoked_at_us IS NULL RETURNING *",
                (name, key_id),
            ).fetchone()
        return _api_key(row) if row else None

    def revoke_api_key(self, key_id: str) -> ApiKey | None:
        """Take a key out of use, by its id. None when there is none such in use."""
        with self._transaction() as connection:
            row = connection.execute(
                "UPDATE api_keys SET revoked_at_us = ? WHERE id = ? AND revoked_at_us IS NULL "
                "RETURNING *",
                (now_us(), key_id),
            ).fetchone()
        return _api_key(row) if row else None

    # -- rate limits

    def rate_policies(self) -> list[RatePolicyRow]:
        """Those of all organisations, oldest first."""
        with self._reading() as connection:
            return read_policies(connection)

    def put_rate_policy(self, row: RatePolicyRow) -> RatePolicyRow:
        """Store one; it takes the place of that of the same segment and unit. Raises ValueError
        for an organisation that is not on file."""
        with self._transaction() as connection:
            return put_policy(connection, row)

    def drop_rate_policy(self, policy_id: str) -> bool:
        """Remove one, by its id. False when there is none."""
        with self._transaction() as connection:
            return drop_policy(connection, policy_id)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self.path):
            yield self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and on the disk when it ends."""
        with self._lock, translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _api_key(row: tuple[Any, ...]) -> ApiKey:
    limited = row[-1]
    return ApiKey(*(*row[:-1], None if limited is None else bool(limited)))


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def _create_private(path: Path) -> None:
    """Nobody else may read the file, nor those that SQLite lays beside it (they copy its mode).

    One that exists is not opened: closing it again would drop the locks that another connection of
    this process has on it.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def prepare(connection: sqlite3.Connection) -> None:
    """The settings of each connection to the file; a damaged one raises sqlite3.DatabaseError."""
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}", "journal_mode = WAL", "synchronous = FULL",
        "secure_delete = ON", "foreign_keys = ON", "trusted_schema = OFF",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def _migrate(connection: sqlite3.Connection, path: Path, noted: Noted) -> None:
    """Apply what is missing, each step with its own mark in one transaction."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations "
        "(name TEXT PRIMARY KEY, applied_at_us INTEGER NOT NULL) STRICT"
    )
    applied = _refuse_newer(connection, path)
    for step in MIGRATIONS:
        if step.__name__ in applied:
            continue
        began_s = time.monotonic()
        connection.execute("BEGIN IMMEDIATE")
        try:
            step(connection)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", (step.__name__, now_us()))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        noted(step.__name__, time.monotonic() - began_s)


def refuse_newer(path: Path) -> None:
    """Raises StateTooNew. A file that is missing or broken is for whoever opens it."""
    with suppress(sqlite3.Error):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
        try:
            _refuse_newer(connection, path)
        finally:
            connection.close()


def _refuse_newer(connection: sqlite3.Connection, path: Path) -> set[str]:
    """What was applied."""
    applied = {str(name) for (name,) in connection.execute("SELECT name FROM migrations")}
    newer = applied - {step.__name__ for step in MIGRATIONS}
    if newer:
        raise StateTooNew(f"{path} was written by a later version ({min(newer)})")
    return applied


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors end here: a rule of ours that was broken is a ValueError, the rest is a
    state that cannot be relied upon."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ValueError(str(error)) from None
    except (sqlite3.Error, OSError) as error:
        raise StateBroken(f"{path}: {error}") from error
