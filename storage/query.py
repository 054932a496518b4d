"""One reading query: a cursor of its own, a read-only transaction, rows in pages.

Everything blocks except `interrupt`, which any thread may call at any time.
"""

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from storage.frames import Position
from storage.schema import STORE, ViewState

T = TypeVar("T")

PAGE_ROWS_MAX = 200
# Rows become Python objects with the GIL held: about 0.1 µs a value, so half a millisecond a page.
PAGE_VALUES_MAX = 4_000
# A query whose database is closed is interrupted, and lets go of its cursor well before this.
END_WAIT_S = 5.0
END_POLL_S = 0.002
READING = frozenset(("SELECT", "EXPLAIN"))


class QueryCancelled(Exception):  # noqa: N818 - an outcome, not a fault
    """`interrupt` was called."""


class QueryFailed(Exception):  # noqa: N818 - most often the asker's fault
    """DuckDB's words for whoever asked."""


class Reading:
    """A cursor in use: interrupted by anybody, closed by whoever works with it."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, on_close: Callable[["Reading"], None]
    ) -> None:
        self.failure: duckdb.Error | None = None
        self._cursor = cursor
        self._on_close = on_close
        self._interrupted = False
        self._closed = False

    def interrupt(self) -> None:
        """Stops it, running or not yet; calling again does no harm."""
        self._interrupted = True
        if not self._closed:
            with contextlib.suppress(duckdb.Error):  # closed meanwhile
                self._cursor.interrupt()

    def end(self) -> None:
        """For whoever closes the database, in any thread: while a cursor is held its file stays
        open, and would be written to once more when the cursor goes."""
        until_s = time.monotonic() + END_WAIT_S
        while not self._closed and time.monotonic() < until_s:
            self.interrupt()
            try:
                self.close()
            except duckdb.Error:  # it is busy until the interruption takes effect
                time.sleep(END_POLL_S)

    @property
    def closed(self) -> bool:
        """Whether its cursor was given back."""
        return self._closed

    def close(self) -> None:
        """Ends the transaction. By the thread that fetches."""
        if not self._closed:
            self._cursor.close()
            self._closed = True
            self._on_close(self)

    def _guarded(self, call: Callable[[], T]) -> T:
        if self._interrupted:
            raise QueryCancelled
        with translated():
            try:
                return call()
            except duckdb.Error as error:
                if self._interrupted:
                    raise QueryCancelled from error
                self.failure = error
                raise


class Query(Reading):
    """Made by `Analytics.query`. Runs at the first look at `columns` or `fetch`."""

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        statement: duckdb.Statement,
        parameters: Sequence[Any],
        *,
        limit: int | None,
        on_close: Callable[[Reading], None],
        narrow: Callable[[duckdb.DuckDBPyConnection], duckdb.Statement | None] | None = None,
    ) -> None:
        """`narrow` gives a better statement, within the transaction; None: there is none."""
        super().__init__(cursor, on_close)
        self.truncated = False
        self.ended = False  # no more rows come
        self._narrow = narrow
        self._statement = statement
        self._parameters = list(parameters)
        self._left = limit
        self._columns: list[tuple[str, str]] | None = None

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Name and DuckDB type of each column."""
        if self._columns is None:
            self._guarded(self._execute)
            described = self._cursor.description or []
            self._columns = [(str(column[0]), str(column[1])) for column in described]
        return self._columns

    def _execute(self) -> None:
        statement = self._statement
        if self._narrow is not None:
            statement = self._narrow(self._cursor) or statement
        self._cursor.execute(statement, self._parameters or None)

    def fetch(self, rows_max: int = PAGE_ROWS_MAX) -> list[tuple[Any, ...]]:
        """The next rows, at most `rows_max` and at most a page; an empty list is the end."""
        page = PAGE_VALUES_MAX // max(1, len(self.columns))
        wanted = min(rows_max, PAGE_ROWS_MAX, max(10, page))
        if self._left is not None:
            # one more is asked for, to know whether the limit cut anything off
            wanted = min(wanted, self._left + 1)
        rows: list[tuple[Any, ...]] = self._guarded(lambda: self._cursor.fetchmany(wanted))
        self.ended = len(rows) < wanted
        if self._left is None:
            return rows
        if len(rows) > self._left:
            rows, self.truncated = rows[: self._left], True
        self._left -= len(rows)
        return rows

    def __enter__(self) -> "Query":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Moment(Reading):
    """Everything as it was at one moment, for whoever copies it. Made by `Analytics.moment`."""

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        views: ViewState,
        position: Position,
        edition: int,
        on_close: Callable[[Reading], None],
    ) -> None:
        super().__init__(cursor, on_close)
        self.views = views
        self.position = position
        self.edition = edition

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement that is ours. Raises QueryFailed, QueryCancelled."""
        given = list(parameters) or None
        return self._guarded(lambda: self._cursor.execute(sql, given).fetchall())

    def __enter__(self) -> "Moment":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class translated:  # noqa: N801 - used as a statement
    """DuckDB's exceptions become ours; the only place where readers meet them."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, duckdb.InterruptException):
            raise QueryCancelled from error
        if isinstance(error, duckdb.Error):
            raise QueryFailed(str(error)) from error


def is_fatal(error: BaseException) -> bool:
    """After one of these DuckDB refuses everything until the database is opened again."""
    return isinstance(error, duckdb.InternalException | duckdb.FatalException)


def reading_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """The one statement of `sql` if it only reads, else QueryFailed."""
    with translated():
        statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryFailed(f"expected one statement, found {len(statements)}")
    kind = statements[0].type.name
    if kind not in READING:
        raise QueryFailed(f"only statements that read are allowed here, not {kind}")
    if kind == "EXPLAIN":
        # EXPLAIN ANALYZE runs what it explains
        inner = re.sub(r"(?is)^\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", "", sql)
        if inner == sql:
            raise QueryFailed("EXPLAIN must come first")
        reading_statement(connection, inner)
    return statements[0]


def copying_statement(
    connection: duckdb.DuckDBPyConnection, sql: str, path: Path
) -> duckdb.Statement:
    """What writes the rows of `sql`, which was checked to only read, into a Parquet file."""
    target = str(path).replace("'", "''")
    copy = f"COPY ({sql}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)"
    with translated():
        (statement,) = connection.extract_statements(copy)
    return statement


def begin_reading(cursor: duckdb.DuckDBPyConnection) -> None:
    """A cursor inherits neither the catalog in use nor a transaction's mode."""
    with translated():
        cursor.execute(f"USE {STORE}")
        cursor.execute("BEGIN TRANSACTION READ ONLY")
