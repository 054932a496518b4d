"""A copy of the hot rows in Parquet, for another process: the database's own file can be open in
one alone. What came since the last copy is added to it; after a roll, a deletion or a replacement
it is made anew.

The files have no name. Where the root is encrypted they lie in memory, else in its `tmp`.
"""
# ruff: noqa: S608 - names put into SQL are constants of ours, numbers are formatted

import base64
import os
import tempfile
from collections.abc import Iterator
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

# Beyond so many files it is made anew as one.
FILES_MAX: Final = 24
BODY_FILES_MAX: Final = 64
# Texts of one file: DuckDB writes it from memory, 2,048 rows together at least.
BODY_FILE_BYTES: Final = 16 * 2**20
GROUP_ROWS: Final = 20_480
IN_MEMORY_BYTES_MAX: Final = 256 * 2**20
START: Final = Position(0, 0)


class SnapshotTooLarge(Exception):  # noqa: N818
    """The hot rows of an encrypted root do not fit into memory a second time."""


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
        if len(copy.files) >= (BODY_FILES_MAX if table == "bodies" else FILES_MAX):
            copy.drop()
        if copy.upto >= moment.position:
            return
        since = _at_least(copy.upto)
        ranges = _ranges(moment, since) if table == "bodies" else iter((since,))
        for where in ranges:
            sql = f"SELECT * FROM {hot(table)} WHERE {where}"
            if descriptor := self._copied(moment, sql):
                copy.files.append(descriptor)
        copy.upto = moment.position

    def _copied(self, moment: Moment, sql: str) -> int | None:
        """A descriptor of a file with these rows; None where there are none."""
        if not moment.run(f"SELECT 1 FROM ({sql}) LIMIT 1"):
            return None
        descriptor = self._new_file()
        try:
            moment.run(
                f"COPY ({sql}) TO '/proc/self/fd/{descriptor}' (FORMAT parquet, COMPRESSION zstd,"
                f" ROW_GROUP_SIZE {GROUP_ROWS}, USE_TMP_FILE false)"
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
            superseded="superseded" in files,
            hidden="hidden" in files,
            has_bodies=bodies,
        )
        taken = Taken(lake_files(lake) if lake else None, marks, descriptors, analytics)
        if lake is not None:
            analytics.hold_lake(id(taken), lake.generation)
        return taken


def _ranges(moment: Moment, since: str) -> Iterator[str]:
    """Conditions that each choose so many bodies as one file may have."""
    rows = moment.run(
        "SELECT min((segment, frame_offset)), max((segment, frame_offset)) FROM ("
        "SELECT segment, frame_offset, sum(coalesce(strlen(request), 0)"
        " + coalesce(strlen(response), 0)) OVER (ORDER BY segment, frame_offset) AS bytes"
        f" FROM {hot('bodies')} WHERE {since}) GROUP BY bytes // {BODY_FILE_BYTES:d}"
    )
    for first, last in rows:
        if first[0] == last[0]:
            yield f"segment = {first[0]:d} AND frame_offset BETWEEN {first[1]:d} AND {last[1]:d}"
        else:
            after = Position(last[0], last[1] + 1)
            yield f"{_at_least(Position(*first))} AND NOT {_at_least(after)}"


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
