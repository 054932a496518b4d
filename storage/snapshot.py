"""A copy of the hot rows in Parquet, for another process: the database's own file can be open in
one alone. What came since the last copy is added to it; after a roll, a deletion or a replacement
it is made anew.

The files have no name. Where the root is encrypted they lie in memory, else in its `tmp`.
"""
# ruff: noqa: S608 - names put into SQL are constants of ours, numbers are formatted

import base64
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from storage.analytics import Analytics
from storage.frames import Position
from storage.manifest import LakeView
from storage.query import Moment
from storage.sandbox_wire import Hot, LakeFiles
from storage.schema import STORE, hot

# Beyond so many files it is made anew as one; texts as at most half as many as they may have. All
# together are fewer than a socket passes on (`sandbox_wire.FILES_MAX`).
FILES_MAX: Final = 24
BODY_FILES_MAX: Final = 160
# Texts of one file: 2,048 rows come together at least, whatever they have. More only where there
# would be too many files.
BODY_FILE_BYTES: Final = 16 * 2**20
# And of one of its row groups: DuckDB writes it from memory.
GROUP_BYTES: Final = 4 * 2**20
GROUP_ROWS: Final = 20_480
GROUP_ROWS_MIN: Final = 2048
# Rows whose texts are measured together: a hundred thousand rows are four hundred numbers.
MEASURED_ROWS: Final = 256
IN_MEMORY_BYTES_MAX: Final = 256 * 2**20
START: Final = Position(0, 0)


class SnapshotTooLarge(Exception):  # noqa: N818
    """The hot rows of an encrypted root do not fit into memory a second time."""


@dataclass(slots=True)
class _Piece:
    """Rows of one table that go into a file of their own, and how many of them a row group has."""

    where: str
    group_rows: int = GROUP_ROWS


@dataclass(slots=True)
class _Copy:
    """What is copied of one table: all before `upto`."""

    files: list[int] = field(default_factory=list)
    upto: Position = START

    def drop(self) -> None:
        for descriptor in self.files:
            with suppress(OSError):
                os.close(descriptor)
        self.files, self.upto = [], START


@dataclass(slots=True)
class Taken:
    """For one query: the lake's files, and `descriptors` that belong to whoever asked. The lake is
    held until `let_go`."""

    lake: LakeFiles | None
    hot: Hot
    descriptors: list[int]
    analytics: Analytics

    def let_go(self) -> None:
        """Descriptors and lake. Safe to call twice."""
        self.analytics.let_go(id(self))
        descriptors, self.descriptors = self.descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)


class HotSnapshot:
    """One caller at a time; everything blocks."""

    def __init__(self, directory: Path | None) -> None:
        """`directory`: where the files lie; None for memory."""
        self._directory = directory
        # A copy lives for seconds: half the work of zstd counts for more than its size.
        self._compression = "zstd" if directory is None else "lz4_raw"
        self._copies = {table: _Copy() for table in ("requests", "edits", "bodies")}
        self._edition = -1
        self._of: Analytics | None = None

    def take(self, analytics: Analytics, *, bodies: bool) -> Taken:
        """As of now. Raises QueryFailed, QueryCancelled, SnapshotTooLarge, OSError."""
        with analytics.moment() as moment:
            if self._of is not analytics or self._edition != moment.edition:
                self.drop()
                self._of, self._edition = analytics, moment.edition
            for table in ("requests", "edits", "bodies") if bodies else ("requests", "edits"):
                self._bring_up(moment, table)
            return self._taken(analytics, moment, bodies=bodies)

    def drop(self) -> None:
        """Give the files back."""
        for copy in self._copies.values():
            copy.drop()
        self._of, self._edition = None, -1

    def _bring_up(self, moment: Moment, table: str) -> None:
        copy = self._copies[table]
        if copy.upto >= moment.position:
            return
        pieces = _pieces(moment, table, copy.upto)
        most = BODY_FILES_MAX if table == "bodies" else FILES_MAX
        if copy.files and len(copy.files) + len(pieces) > most:
            copy.drop()
            pieces = _pieces(moment, table, START)
        try:
            for piece in pieces:
                sql = f"SELECT * FROM {hot(table)} WHERE {piece.where}"
                if descriptor := self._copied(moment, sql, piece.group_rows):
                    copy.files.append(descriptor)
        except BaseException:
            copy.drop()  # or the next try would copy the first pieces twice
            raise
        copy.upto = moment.position

    def _copied(self, moment: Moment, sql: str, group_rows: int = GROUP_ROWS) -> int | None:
        """A descriptor of a file with these rows; None where there are none."""
        if not moment.run(f"SELECT 1 FROM ({sql}) LIMIT 1"):
            return None
        descriptor = self._new_file()
        try:
            moment.run(
                f"COPY ({sql}) TO '/proc/self/fd/{descriptor}'"
                f" (FORMAT parquet, COMPRESSION {self._compression},"
                f" ROW_GROUP_SIZE {group_rows:d}, USE_TMP_FILE false)"
            )
            if self._directory is None:
                self._check_size(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _new_file(self) -> int:
        if self._directory is None:
            return os.memfd_create("hot rows")
        with tempfile.TemporaryFile(dir=self._directory) as file:
            return os.dup(file.fileno())

    def _check_size(self, descriptor: int) -> None:
        files = [descriptor, *(name for copy in self._copies.values() for name in copy.files)]
        if sum(os.fstat(file).st_size for file in files) > IN_MEMORY_BYTES_MAX:
            raise SnapshotTooLarge

    def _taken(self, analytics: Analytics, moment: Moment, *, bodies: bool) -> Taken:
        descriptors: list[int] = []
        files: dict[str, list[int]] = {}

        def give(table: str, descriptor: int, *, own: bool = False) -> None:
            files.setdefault(table, []).append(len(descriptors))
            descriptors.append(descriptor if own else os.dup(descriptor))

        views = moment.views
        try:
            for table, copy in self._copies.items():
                if table != "bodies" or bodies:
                    for descriptor in copy.files:
                        give(table, descriptor)
            for table, is_used in (("hidden", views.hidden), ("superseded", views.superseded)):
                if is_used and (found := self._copied(moment, f"SELECT * FROM {STORE}.{table}")):
                    give(table, found, own=True)
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        lake = views.lake
        marks = Hot(
            files,
            edited=views.edited,
            repriced=views.repriced,
            superseded="superseded" in files,
            hidden="hidden" in files,
            has_bodies=bodies,
        )
        taken = Taken(lake_files(lake) if lake else None, marks, descriptors, analytics)
        if lake is not None:
            analytics.hold_lake(id(taken), lake.generation)
        return taken


def _pieces(moment: Moment, table: str, since: Position) -> list[_Piece]:
    """What came since then."""
    where = _at_least(since)
    if table != "bodies":
        return [_Piece(where)]
    measured = _measured(moment, where)
    total = sum(size for _, _, size in measured)
    most = max(BODY_FILE_BYTES, total * 4 // BODY_FILES_MAX)
    return [_piece(run, where) for run in _runs(_fine(moment, where, measured, most), most)]


# First and last row, and how many bytes of text they have.
_Run = tuple[int, int, int]


def _measured(moment: Moment, where: str, rows: int = MEASURED_ROWS) -> list[_Run]:
    """In the order of the table. A sum for each few rows, and nothing that sorts: a window over the
    texts' lengths keeps every block with text in memory until it is done."""
    found = moment.run(
        "SELECT min(rowid), max(rowid),"
        " sum(coalesce(strlen(request), 0) + coalesce(strlen(response), 0))::BIGINT"
        f" FROM {hot('bodies')} WHERE {where} GROUP BY rowid // {rows:d}"
    )
    return sorted((first, last, size) for first, last, size in found)


def _fine(moment: Moment, where: str, measured: list[_Run], most: int) -> Iterator[_Run]:
    """The same, where a few rows are too much for one file row by row."""
    for first, last, size in measured:
        if size <= most or first == last:
            yield first, last, size
        else:
            yield from _measured(moment, f"{_between(first, last)} AND {where}", 1)


def _runs(measured: Iterable[_Run], most: int) -> Iterator[_Run]:
    """Joined to no more bytes than that, if one row does not have more."""
    run: _Run | None = None
    for first, last, size in measured:
        if run is not None and run[2] + size <= most:
            run = run[0], last, run[2] + size
            continue
        if run is not None:
            yield run
        run = first, last, size
    if run is not None:
        yield run


def _piece(run: _Run, where: str) -> _Piece:
    first, last, size = run
    rows = (last - first + 1) * GROUP_BYTES // max(size, 1)
    group_rows = min(max(rows, GROUP_ROWS_MIN), GROUP_ROWS)
    return _Piece(f"{_between(first, last)} AND {where}", group_rows)


def _between(first: int, last: int) -> str:
    """By the row's number, which is its own within a moment: places in the journal need not come
    in order."""
    return f"rowid BETWEEN {first:d} AND {last:d}"


def _at_least(place: Position) -> str:
    """In a form that lets whole blocks be passed over."""
    segment, offset = place
    return f"(segment > {segment:d} OR segment = {segment:d} AND frame_offset >= {offset:d})"


def lake_files(lake: LakeView) -> LakeFiles:
    """As a job carries it."""
    return LakeFiles(
        lake.generation,
        lake.upto_segment,
        {table: [str(path) for path in paths] for table, paths in lake.files.items()},
        {str(path): epoch for path, epoch in lake.epochs.items()},
        {str(path): version for path, version in lake.versions.items()},
        {str(epoch): base64.b64encode(key).decode() for epoch, key in lake.keys.items()},
    )
