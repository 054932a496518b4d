"""Provider keys and proxy keys in the state store's file, sealed before they come here.

Blocking. A connection for each call: it sees the file as it lies there now, and waits no longer
than it is told to. Knows nothing of what is inside a seal.
"""

import re
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from storage.state import StateBroken

READ_WAIT_MS: Final = 200
WRITE_WAIT_MS: Final = 2000
# `id` is last: it alone never changes.
KEY_COLUMNS: Final = (
    "org, provider, name, auth_type, byok_enabled, base_url, config, key_epoch, sealed, "
    "created_at_us, entered_at_us, id"
)
PROXY_COLUMNS: Final = "org, provider_key_id, name, key_hash, policies, created_at_us, id"


class Stamp(NamedTuple):
    """Which state of which file's life: equal ones have equal rows."""

    lineage: str
    version: int


@dataclass(frozen=True, slots=True)
class ProviderKeyRow:
    """A provider's key on file. `base_url`: the only place it may go to; "" is the provider's own
    address. `sealed` is empty while it has to be entered again. `config` is JSON."""

    org: bytes
    provider: str
    name: str
    auth_type: str
    byok_enabled: bool
    base_url: str
    config: str
    key_epoch: int
    sealed: bytes = field(repr=False)
    created_at_us: int
    entered_at_us: int
    id: str

    @property
    def disabled(self) -> bool:
        """Whether the secret has to be entered again."""
        return not self.sealed


@dataclass(frozen=True, slots=True)
class ProxyKeyRow:
    """A key that stands in for a provider's, by its hash. `policies`: its limits, one a line."""

    org: bytes
    provider_key_id: str
    name: str
    key_hash: str
    policies: str
    created_at_us: int
    id: str


@dataclass(frozen=True, slots=True)
class KeyBook:
    """All keys of a region, as they were at one moment. Oldest first."""

    stamp: Stamp
    keys: tuple[ProviderKeyRow, ...] = ()
    proxies: tuple[ProxyKeyRow, ...] = ()


class ProviderKeyStore:
    """The tables, by the path of the file. Every method may raise StateBroken; those that change
    something give everything as it is afterwards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Never makes the file: one that is missing is for whoever opens the state store.
        self._uri = f"file:{quote(str(path))}?mode=rw"

    def stamp(self) -> Stamp:
        """Which state the file is in."""
        with self._connection(READ_WAIT_MS) as connection:
            return _stamp(connection)

    def read(self) -> KeyBook:
        """Everything."""
        with self._connection(READ_WAIT_MS) as connection:
            connection.execute("BEGIN")
            return _read(connection)

    def put(self, row: ProviderKeyRow) -> KeyBook:
        """A new key, or a known one as it is now. Raises ValueError for an organisation that is
        not on file, or a name that another key of the same provider has."""

        def work(connection: sqlite3.Connection) -> None:
            org_id = str(uuid.UUID(bytes=row.org))
            known = "SELECT 1 FROM organizations WHERE id = ?"
            if connection.execute(known, (org_id,)).fetchone() is None:
                raise ValueError(f"there is no organisation {org_id}")
            _put(connection, row)

        return self._changed(work)

    def put_all(self, rows: Sequence[ProviderKeyRow], instead_of: Sequence[bytes]) -> KeyBook:
        """Known keys as they are now, but for those whose seal is not the one given any more."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "UPDATE provider_keys SET sealed = ?, key_epoch = ? WHERE id = ? AND sealed = ?",
                [
                    (row.sealed, row.key_epoch, row.id, old)
                    for row, old in zip(rows, instead_of, strict=True)
                ],
            )

        return self._changed(work)

    def drop(self, key_id: str) -> KeyBook:
        """Remove a key, and the proxy keys that stand in for it."""
        return self._changed(
            lambda connection: connection.execute(
                "DELETE FROM provider_keys WHERE id = ?", (key_id,)
            )
        )

    def empty(self, key_ids: Iterable[str]) -> KeyBook:
        """Overwrite the secrets of keys, which stay on file."""
        rows = [(key_id,) for key_id in key_ids]
        return self._changed(
            lambda connection: connection.executemany(
                "UPDATE provider_keys SET sealed = x'' WHERE id = ?", rows
            )
        )

    def put_proxy(self, row: ProxyKeyRow) -> KeyBook:
        """A new proxy key."""
        return self._changed(lambda connection: _put_proxy(connection, row))

    def drop_proxy(self, proxy_id: str) -> KeyBook:
        """Remove a proxy key."""
        return self._changed(
            lambda connection: connection.execute(
                "DELETE FROM proxy_keys WHERE id = ?", (proxy_id,)
            )
        )

    def restore(self, book: KeyBook) -> KeyBook:
        """Everything as it was in a later state than the file's own."""
        with self._connection(WRITE_WAIT_MS) as connection, _transaction(connection):
            connection.execute("DELETE FROM proxy_keys")
            connection.execute("DELETE FROM provider_keys")
            for row in book.keys:
                _put(connection, row)
            for proxy in book.proxies:
                _put_proxy(connection, proxy)
            connection.execute(
                "UPDATE provider_keys_version SET lineage = ?, version = ?", book.stamp
            )
        return book

    def _changed(self, work: Callable[[sqlite3.Connection], object]) -> KeyBook:
        with self._connection(WRITE_WAIT_MS) as connection, _transaction(connection):
            work(connection)
            connection.execute("UPDATE provider_keys_version SET version = version + 1")
            return _read(connection)

    @contextmanager
    def _connection(self, wait_ms: int) -> Iterator[sqlite3.Connection]:
        """SQLite's errors end here: a rule that was broken is a ValueError."""
        try:
            connection = sqlite3.connect(self._uri, uri=True, isolation_level=None)
            try:
                for pragma in (
                    f"busy_timeout = {wait_ms}", "synchronous = FULL", "secure_delete = ON",
                    "foreign_keys = ON", "trusted_schema = OFF",
                ):  # fmt: skip
                    connection.execute(f"PRAGMA {pragma}")
                yield connection
            finally:
                connection.close()
        except sqlite3.IntegrityError as error:
            raise ValueError(str(error)) from None
        except (sqlite3.Error, OSError, OverflowError, TypeError) as error:
            # A TypeError: rows of a damaged file that are not what the tables allow.
            raise StateBroken(f"{self.path}: {error}") from error


def with_seal(row: ProviderKeyRow, sealed: bytes, key_epoch: int) -> ProviderKeyRow:
    """The same key under another seal."""
    return replace(row, sealed=sealed, key_epoch=key_epoch)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _stamp(connection: sqlite3.Connection) -> Stamp:
    found = connection.execute("SELECT lineage, version FROM provider_keys_version").fetchone()
    if found is None or re.fullmatch(r"[0-9a-f]{32}", found[0]) is None or found[1] < 0:
        raise sqlite3.DatabaseError("provider_keys_version does not hold a version")
    return Stamp(*found)


def _read(connection: sqlite3.Connection) -> KeyBook:
    keys = connection.execute(
        f"SELECT {KEY_COLUMNS} FROM provider_keys ORDER BY created_at_us, id"  # noqa: S608
    )
    proxies = connection.execute(
        f"SELECT {PROXY_COLUMNS} FROM proxy_keys ORDER BY created_at_us, id"  # noqa: S608
    )
    return KeyBook(
        _stamp(connection),
        tuple(_key_row(row) for row in keys),
        tuple(ProxyKeyRow(*row) for row in proxies),
    )


def _key_row(values: tuple[Any, ...]) -> ProviderKeyRow:
    org, provider, name, auth_type, byok_enabled, *rest = values
    return ProviderKeyRow(org, provider, name, auth_type, bool(byok_enabled), *rest)


def _put(connection: sqlite3.Connection, row: ProviderKeyRow) -> None:
    connection.execute(
        f"INSERT INTO provider_keys ({KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name, auth_type = excluded.auth_type, "
        "byok_enabled = excluded.byok_enabled, base_url = excluded.base_url, "
        "config = excluded.config, key_epoch = excluded.key_epoch, sealed = excluded.sealed, "
        "entered_at_us = excluded.entered_at_us",
        (
            row.org, row.provider, row.name, row.auth_type, row.byok_enabled, row.base_url,
            row.config, row.key_epoch, row.sealed, row.created_at_us, row.entered_at_us, row.id,
        ),
    )  # fmt: skip


def _put_proxy(connection: sqlite3.Connection, row: ProxyKeyRow) -> None:
    connection.execute(
        f"INSERT INTO proxy_keys ({PROXY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            row.org, row.provider_key_id, row.name, row.key_hash, row.policies, row.created_at_us,
            row.id,
        ),
    )  # fmt: skip
