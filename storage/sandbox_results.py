"""The rows of a query as bytes: JSON objects, CSV, a JSON array or Parquet; bounded in rows and
bytes, made as they are fetched. For the sandbox process, where nobody else waits for the
interpreter.
"""

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import duckdb
import msgspec

from storage.result_file import distinct_names
from storage.sandbox_wire import Done, Job

PAGE_ROWS: Final = 500
PIECE_BYTES: Final = 256 * 1024
GROUP_ROWS: Final = 8192
WHOLE_MAX: Final = 2**63
# Parquet has no type for these; HUGEINT would be written as a float and lose digits.
_AS_TEXT: Final = (
    "UHUGEINT", "BIGNUM", "BIT", "UNION", "VARIANT", "INTERVAL", '"NULL"', "GEOMETRY",
)  # fmt: skip

_encode = msgspec.json.Encoder(decimal_format="number").encode
Writer = Callable[[bytes], None]
Row = Sequence[Any]


class TooMuch(Exception):  # noqa: N818 - whoever asked is told
    """More rows or bytes than a job may give."""


def write_result(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    job: Job,
    say: Writer,
    *,
    is_limited: bool,
    output: int | None,
) -> Done:
    """Runs the query, which was checked. `output`: an empty file, for Parquet alone, that the
    connection may write to. Raises TooMuch, and what DuckDB raises."""
    if output is not None:
        return _write_parquet(connection, sql, job, say, output)
    connection.execute(sql)
    columns = _columns(connection.description or [])
    names = [name for name, _ in columns]
    found = _Rows(connection, job, is_limited=is_limited)
    pieces = {"rows": _objects, "json": _document, "csv": _csv}[job.form](names, found)
    size = 0
    waiting = bytearray()
    for piece in pieces:
        size += len(piece)
        if size > job.bytes_max:
            raise TooMuch(f"more than {job.bytes_max} bytes")
        waiting += piece
        if len(waiting) >= PIECE_BYTES:
            say(bytes(waiting))
            waiting.clear()
    if waiting:
        say(bytes(waiting))
    return Done(found.count, size, columns, found.truncated)


def _columns(described: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Name and type of each, names as rows have them."""
    names = distinct_names([column[0] for column in described])
    return [[name, str(column[1])] for name, column in zip(names, described, strict=True)]


class _Rows:
    """Iterates over rows, counts them, and stops where the job says."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, job: Job, *, is_limited: bool
    ) -> None:
        self.count = 0
        self.truncated = False
        self._connection = connection
        self._most = job.rows_max
        self._usual = None if is_limited else job.rows_usual

    def __iter__(self) -> Iterator[Row]:
        while page := self._connection.fetchmany(PAGE_ROWS):
            for row in page:
                if self._usual is not None and self.count == self._usual:
                    self.truncated = True
                    return
                if self.count == self._most:
                    raise TooMuch(f"more than {self._most} rows")
                self.count += 1
                yield row


def _objects(names: list[str], rows: _Rows) -> Iterator[bytes]:
    """Without brackets around them."""
    for row in rows:
        comma = b"," if rows.count > 1 else b""
        yield comma + _encode(dict(zip(names, map(plain, row), strict=True)))


def _document(names: list[str], rows: _Rows) -> Iterator[bytes]:
    yield b"["
    yield from _objects(names, rows)
    yield b"]\n"


def _csv(names: list[str], rows: _Rows) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        yield text.getvalue().encode("utf-8", "replace")
        text.seek(0)
        text.truncate()
    if text.tell():
        yield text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:  # noqa: ANN401 - whatever DuckDB gives
    """Nested values as JSON."""
    value = plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _encode(value).decode() if isinstance(value, dict | list) else value


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever DuckDB gives
    """As JSON can carry it. Times are UTC and say so; bytes become base64."""
    if value is None or isinstance(value, str | bool | float | bytes | Decimal):
        if isinstance(value, Decimal):
            return value.normalize() if value.is_finite() else None
        return value
    if isinstance(value, int):
        return value if -WHOLE_MAX <= value < WHOLE_MAX else Decimal(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, UUID | date | time | timedelta):
        return str(value)
    return str(value)


def _write_parquet(
    connection: duckdb.DuckDBPyConnection, sql: str, job: Job, say: Writer, output: int
) -> Done:
    described = connection.execute(f"SELECT * FROM (\n{sql}\n) LIMIT 0").description or []  # noqa: S608
    columns = _columns(described)
    names = [name for name, _ in columns]
    shown = ", ".join(
        f"{_cast(f'c{number}', kind)} AS {_quoted(names[number])}"
        for number, (_, kind) in enumerate(columns)
    )
    inner = ", ".join(f"c{number}" for number in range(len(columns)))
    try:
        connection.execute(
            f"COPY (SELECT {shown} FROM (\n{sql}\n) AS found({inner}) LIMIT {job.rows_max + 1:d})"  # noqa: S608
            f" TO '/proc/self/fd/{output}' (FORMAT parquet, COMPRESSION zstd,"
            f" ROW_GROUP_SIZE {GROUP_ROWS}, USE_TMP_FILE false)"
        )
    except duckdb.IOException as error:
        if os.fstat(output).st_size < job.bytes_max // 2:
            raise
        raise TooMuch(f"more than {job.bytes_max} bytes") from error
    counted = connection.fetchone()
    rows = int(counted[0]) if counted else 0
    size = os.fstat(output).st_size
    if rows > job.rows_max:
        raise TooMuch(f"more than {job.rows_max} rows")
    if size > job.bytes_max:
        raise TooMuch(f"more than {job.bytes_max} bytes")
    for start in range(0, size, PIECE_BYTES):
        say(os.pread(output, PIECE_BYTES, start))
    return Done(rows, size, columns)


def _cast(cell: str, kind: str) -> str:
    if kind.startswith(_AS_TEXT):
        return f"CAST({cell} AS VARCHAR)"
    return f"CAST({cell} AS DECIMAL(38, 0))" if kind == "HUGEINT" else cell


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
