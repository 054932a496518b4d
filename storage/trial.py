"""An upgrade, tried: what this version would make of a root's files, done to copies of them.

Nothing of the root is written, locked for writing or made. SQLite is copied whole, since its steps
may touch every row. Of the analytics database the shape alone is taken: what an upgrade does to it
are columns and views, which cost the same over no rows. Everything blocks.
"""

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from storage.analytics import Analytics
from storage.analytics_place import Place, connect
from storage.directory import FORMAT_VERSION
from storage.state import State, translated

STATE: Final = "state.sqlite"
DATABASE: Final = "analytics.duckdb"
# What a query over a running server's database, or over a file of it, gives its shape.
COLUMNS_OF: Final = (
    "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = '{}' "
    "AND table_name IN (SELECT table_name FROM duckdb_tables() WHERE database_name = '{}') "
    "ORDER BY table_name, column_index"
)
MEMORY_BYTES: Final = 256 * 2**20
Shape = Mapping[str, Mapping[str, str]]  # tables, their columns, the type of each


class TrialFailed(Exception):  # noqa: N818 - an answer
    """One line that says why this version could not go on from these files."""


@dataclass(frozen=True, slots=True)
class StateTrial:
    """What was done to the copy. `grown_bytes`: the disk that it took meanwhile, at most."""

    steps: Sequence[tuple[str, float]]
    added: Sequence[str]
    seconds: float
    grown_bytes: int


@dataclass(frozen=True, slots=True)
class DatabaseTrial:
    """What was done to an empty database of the same shape."""

    added: Sequence[str]
    seconds: float


def format_of(root: Path) -> int:
    """The format of a directory that this version can open. Raises TrialFailed for any other, and
    where there is none."""
    try:
        found = int((root / "FORMAT").read_text())
    except FileNotFoundError:
        raise TrialFailed(f"{root} has no FORMAT file: there is no data directory") from None
    except (OSError, ValueError):
        raise TrialFailed(f"{root / 'FORMAT'} holds no version number") from None
    if not 1 <= found <= FORMAT_VERSION:
        raise TrialFailed(
            f"{root} has format {found}, made by a newer version; this one knows {FORMAT_VERSION}"
        )
    return found


def copy_state(root: Path, target: Path) -> None:
    """The state as of one moment, beside a server that runs on it or not. SQLite itself copies it
    only where somebody has it open: of a closed one, its own reading would make files beside it.
    Raises OSError, StateBroken."""
    with translated(root / STATE), _unless_used(root) as closed:
        if closed:
            for tail in ("", "-wal"):
                if (root / (STATE + tail)).exists():
                    shutil.copyfile(root / (STATE + tail), target.with_name(target.name + tail))
            return
        with (
            closing(sqlite3.connect(f"{(root / STATE).as_uri()}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)


@contextmanager
def _unless_used(root: Path) -> Iterator[bool]:
    """Whether nobody uses the directory; then nobody begins to meanwhile."""
    try:
        descriptor = os.open(root / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # nobody ever has: it was restored, or copied
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def try_state(copy: Path, region: str) -> StateTrial:
    """Bring a copy forward as the start would, and look whether it is whole then. Raises
    StateBroken, TrialFailed."""
    with translated(copy):
        before, bytes_before = _tables_of(copy), _bytes_of(copy)
    steps: list[tuple[str, float]] = []
    began_s = time.monotonic()
    state = State.open(copy, region=region, noted=lambda name, took_s: steps.append((name, took_s)))
    seconds = time.monotonic() - began_s
    try:
        with translated(copy):
            found = state.read(_faults)
        grown = _bytes_of(copy) - bytes_before
    finally:
        state.close()
    if found:
        raise TrialFailed(f"the state is not whole after the upgrade: {found[0]}")
    with translated(copy):
        added = _added(before, _tables_of(copy))
    return StateTrial(steps, added, seconds, max(0, grown))


def _faults(connection: sqlite3.Connection) -> list[str]:
    whole = [row[0] for row in connection.execute("PRAGMA integrity_check(1)") if row[0] != "ok"]
    lost = [f"a row of {row[0]} points nowhere" for row in connection.execute(
        "PRAGMA foreign_key_check")]  # fmt: skip
    return whole + lost


def _tables_of(path: Path) -> Shape:
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        shape = "SELECT name, type FROM pragma_table_info(?)"
        return {
            name: dict(connection.execute(shape, (name,)).fetchall())
            for (name,) in names
            if name != "migrations"
        }


def _bytes_of(path: Path) -> int:
    files = (path.with_name(path.name + tail) for tail in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def shape_of(rows: Iterable[Sequence[str]]) -> Shape:
    """Of what COLUMNS_OF gave."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


def shape_of_file(path: Path) -> Shape:
    """Of a database that nobody has open. Raises TrialFailed where it cannot be read: the start
    would make it anew."""
    place = Place(None, True, MEMORY_BYTES, 1, None, None)
    name = str(path).replace("'", "''")
    try:
        with connect(place) as connection:
            connection.execute(f"ATTACH '{name}' AS old (READ_ONLY)")
            return shape_of(connection.execute(COLUMNS_OF.format("old", "old")).fetchall())
    except duckdb.Error as error:
        raise TrialFailed(str(error).splitlines()[0]) from None


def try_database(shape: Shape, path: Path) -> DatabaseTrial:
    """Make an empty database of this shape and open it as the start would. Raises AnalyticsFailed,
    TrialFailed."""
    try:
        with connect(Place(None, True, MEMORY_BYTES, 1, None, None)) as connection:
            connection.execute(f"ATTACH '{path}' AS old")
            for table, columns in shape.items():
                listed = ", ".join(f"{_named(name)} {kind}" for name, kind in columns.items())
                connection.execute(f"CREATE TABLE old.{_named(table)} ({listed})")
    except duckdb.Error as error:
        raise TrialFailed(str(error).splitlines()[0]) from None
    began_s = time.monotonic()
    opened = Analytics.open(path, memory_bytes_max=MEMORY_BYTES, threads=1, lake=None)
    opened.close()
    return DatabaseTrial(_added(shape, shape_of_file(path)), time.monotonic() - began_s)


def _named(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _added(before: Shape, after: Shape) -> list[str]:
    """Tables and columns that were not there, in words."""
    tables = [f"table {name}" for name in sorted(after.keys() - before.keys())]
    columns = [
        f"column {table}.{column}"
        for table in sorted(after.keys() & before.keys())
        for column in after[table]
        if column not in before[table]
    ]
    return tables + columns
