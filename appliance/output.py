"""How results are written: table, csv, json, ndjson, parquet. Takes rows as they travel over the
control socket (`control_wire.py`), whether a server or this process answered.

What comes from data is never obeyed by a terminal nor run by a spreadsheet (field.md B20).
"""

import base64
import csv
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from appliance.column_types import ColumnType, parse_type, visible, write_json
from appliance.control_wire import Columns
from storage.result_file import distinct_names

if TYPE_CHECKING:
    from rich.console import Console

FORMATS = ("table", "csv", "json", "ndjson", "parquet")
FETCH_ROWS = 1000
TABLE_ROWS_MAX = 1000
CELL_CHARACTERS_MAX = 500
COLUMN_CHARACTERS_MIN = 9  # narrower columns are no longer read: the row is turned upright
FORMULA = ("=", "+", "-", "@", "\t", "\r")
NUMBERS = ("integer", "exact", "float")
Rows = Iterator[Sequence[Any]]


class OutputError(Exception):
    """The result cannot be written there, in that form; one line for a person."""


class ResultRows(Protocol):
    """Rows that are still coming, a server's or our own; `ending` is known after the last."""

    @property
    def columns(self) -> Columns: ...

    @property
    def ending(self) -> dict[str, Any]: ...

    def fetch(self, rows_max: int) -> list[list[Any]]: ...


def all_rows(result: ResultRows) -> Iterator[list[Any]]:
    while part := result.fetch(FETCH_ROWS):
        yield from part


def write_result(columns: Columns, rows: Rows, form: str, output: Path | None) -> None:
    """Write a whole result to a file, or to standard output where `output` is None."""
    if form == "parquet":
        _write_parquet(columns, rows, output)
        return
    terminal = output is None and sys.stdout.isatty()
    write = {"csv": _write_csv, "json": _write_json, "ndjson": _write_ndjson}.get(form)
    if terminal and form == "csv":
        write = _write_csv_visibly
    if write is None and terminal:
        _write_rich(columns, rows)
        return
    with open_output(output) as stream:
        text = io.TextIOWrapper(
            stream, encoding="utf-8", errors="backslashreplace", newline="", write_through=False
        )
        try:
            (write or _write_plain)(columns, rows, text)
            text.flush()
        finally:
            text.detach()


@contextmanager
def open_output(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears under its name only when it is whole. What is no
    file, a device or a FIFO, is written to as it is: a rename would put a file in its place."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        if is_no_file(path):
            with path.open("wb") as stream:
                yield stream
        else:
            with _passing(Path(os.path.realpath(path))) as stream:  # a link stays one
                yield stream
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None


def is_no_file(path: Path) -> bool:
    """Whether something else lies there."""
    return os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113 - never raise


@contextmanager
def _passing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place at the end, or goes on a failure. It is open to
    nobody to whom the one before it was closed."""
    passing = path.with_name(f".{path.name}.{os.getpid()}.partial")
    mode = stat.S_IMODE(path.stat().st_mode) & 0o777 if path.exists() else 0o666
    passing.unlink(missing_ok=True)  # of a process that had our number
    try:
        with os.fdopen(os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
        passing.replace(path)
    finally:
        passing.unlink(missing_ok=True)


# One writer per form.


def _write_csv(
    columns: Columns, rows: Rows, stream: io.TextIOWrapper, shown: Callable[[str], str] = str
) -> None:
    made = [parse_type(kind) for _, kind in columns]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([shown(_guarded(name)) for name, _ in columns])
    for row in rows:
        cells = (cell_text(kind, value) for kind, value in zip(made, row, strict=True))
        writer.writerow(
            shown(_guarded(cell) if kind.kind not in NUMBERS else cell)
            for kind, cell in zip(made, cells, strict=True)
        )


def _write_csv_visibly(columns: Columns, rows: Rows, stream: io.TextIOWrapper) -> None:
    _write_csv(columns, rows, stream, visible)


def _write_json(columns: Columns, rows: Rows, stream: io.TextIOWrapper) -> None:
    write = row_json(columns)
    before = "[\n"
    for row in rows:
        stream.write(before + write(row))
        before = ",\n"
    stream.write("[]\n" if before == "[\n" else "\n]\n")


def _write_ndjson(columns: Columns, rows: Rows, stream: io.TextIOWrapper) -> None:
    write = row_json(columns)
    for row in rows:
        stream.write(write(row) + "\n")


def _write_plain(columns: Columns, rows: Rows, stream: io.TextIOWrapper) -> None:
    """Tab-separated lines, one a row, for pipes: what would break a line is written out."""
    made = [parse_type(kind) for _, kind in columns]
    stream.write("\t".join(visible(name) for name, _ in columns) + "\n")
    for row in rows:
        cells = (visible(cell_text(kind, value)) for kind, value in zip(made, row, strict=True))
        stream.write("\t".join(cells) + "\n")


def _write_rich(columns: Columns, rows: Rows) -> None:
    from itertools import islice

    from rich.console import Console

    console = Console(highlight=False)
    shown = list(islice(rows, TABLE_ROWS_MAX))
    if len(columns) * COLUMN_CHARACTERS_MIN > console.width and shown:
        _print_upright(console, columns, shown)
    else:
        _print_table(console, columns, shown)
    if next(rows, None) is not None:
        note = f"only the first {TABLE_ROWS_MAX} rows are shown; --format csv gives all"
        print(note, file=sys.stderr)


def _print_table(console: "Console", columns: Columns, rows: list[Sequence[Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    made = [parse_type(kind) for _, kind in columns]
    table = Table(header_style="bold")
    for (name, _), kind in zip(columns, made, strict=True):
        right = kind.kind in NUMBERS
        table.add_column(Text(visible(name)), justify="right" if right else "left")
    for row in rows:
        table.add_row(
            *(
                Text("NULL", style="dim") if value is None else Text(_short(kind, value))
                for kind, value in zip(made, row, strict=True)
            )
        )
    console.print(table)


def _print_upright(console: "Console", columns: Columns, rows: list[Sequence[Any]]) -> None:
    """Too many columns for the width: one line a value."""
    from rich.text import Text

    made = [parse_type(kind) for _, kind in columns]
    width = max(len(visible(name)) for name, _ in columns)
    for number, row in enumerate(rows, 1):
        console.print(Text(f"row {number}", style="bold"))
        for (name, _), kind, value in zip(columns, made, row, strict=True):
            line = Text(f"  {visible(name):<{width}}  ")
            line.append(*(("NULL", "dim") if value is None else (_short(kind, value), "")))
            console.print(line)


def _write_parquet(columns: Columns, rows: Rows, output: Path | None) -> None:
    if output is None and sys.stdout.isatty():
        raise OutputError("parquet is binary: give --output FILE, or pipe it")
    # Imported here: DuckDB and PyArrow take 200 ms.
    from storage.result_file import write_parquet

    made = [parse_type(kind) for _, kind in columns]
    cells = (
        [_parquet_cell(kind, value) for kind, value in zip(made, row, strict=True)] for row in rows
    )
    # Through a pipe, which DuckDB opens by its name: it goes wherever other forms do, and what a
    # region holds lies on no other disk on its way.
    with open_output(output) as stream:
        reading, writing = os.pipe()
        with ThreadPoolExecutor(1) as threads:
            passed_on = threads.submit(_pass_on, reading, stream)
            try:
                write_parquet(Path(f"/dev/fd/{writing}"), columns, cells)
            finally:
                os.close(writing)
                if (error := passed_on.exception()) is not None:
                    raise error  # it cannot be written: that, and not what DuckDB says of it


def _pass_on(reading: int, stream: BinaryIO) -> None:
    with open(reading, "rb") as pipe:
        while piece := pipe.read(1 << 20):
            stream.write(piece)
    stream.flush()


# Cells.


def cell_text(kind: ColumnType, value: Any) -> str:  # noqa: ANN401 - a cell is anything
    """A cell as plain text: NULL is empty, nested values are JSON, binary is base64."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return write_json(kind, value)
    return repr(value) if isinstance(value, float) else str(value)


def _parquet_cell(kind: ColumnType, value: Any) -> str | bytes | None:  # noqa: ANN401
    if value is None or isinstance(value, bytes):
        return value
    return cell_text(kind, value)


def _short(kind: ColumnType, value: Any) -> str:  # noqa: ANN401
    text = visible(cell_text(kind, value))
    return text if len(text) <= CELL_CHARACTERS_MAX else text[:CELL_CHARACTERS_MAX] + "…"


def _guarded(cell: str) -> str:
    """A spreadsheet runs what begins like a formula; an apostrophe makes it text."""
    return "'" + cell if cell.startswith(FORMULA) else cell


def row_json(columns: Columns) -> Callable[[Sequence[Any]], str]:
    names = distinct_names([name for name, _ in columns])
    made = [
        (write_json(ColumnType("text"), name), parse_type(kind))
        for name, (_, kind) in zip(names, columns, strict=True)
    ]

    def write(row: Sequence[Any]) -> str:
        pairs = (
            f"{name}: {write_json(kind, value)}"
            for (name, kind), value in zip(made, row, strict=True)
        )
        return "{" + ", ".join(pairs) + "}"

    return write
