"""Frames of the journal against blobs, rows and ledger: the part of `verify` that derives again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import msgspec

from storage.analytics import Analytics
from storage.batch import FrameRows
from storage.blobs import Blobs, BlobUnreadable
from storage.frames import (
    KIND_EXCHANGE,
    PART_BLOB,
    Frame,
    Part,
    PartDamaged,
    Position,
    decode_exchange,
    unpack,
)
from storage.lake import Lake
from storage.reader import read_frames
from storage.rows import BODY_COLUMNS, REQUEST_COLUMNS
from storage.segment import segment_numbers, segment_path
from storage.vault import VaultError
from storage.verify_ledger import FILE as LEDGER
from storage.verify_ledger import LedgerCheck

DeriveFrame = Callable[[Frame], FrameRows]
Progress = Callable[[int], None]

FINDINGS_MAX = 1_000
COMPARED_AT_ONCE = 200
# What is compared between a frame derived again and its row, besides the bodies.
COMPARED = ("model", "status", "prompt_tokens", "completion_tokens", "usage_source", "user_id")

_REQUEST_NAMES = [name for name, _ in REQUEST_COLUMNS]
_BODY_NAMES = [name for name, _ in BODY_COLUMNS]


_VALUES = f"{', '.join(f'r.{name}' for name in COMPARED)}, b.request, b.response"
IN_PLACE = (  # names are ours
    f"SELECT r.exchange_id, r.segment, r.frame_offset, {_VALUES}"  # noqa: S608
    " FROM hot_requests AS r LEFT JOIN hot_bodies AS b ON b.exchange_id = r.exchange_id"
    " AND b.segment = $1 AND b.frame_offset BETWEEN $2 AND $3"
    " WHERE r.segment = $1 AND r.frame_offset BETWEEN $2 AND $3"
)
# Each side is narrowed by itself: a join takes all of its right side into memory, bodies too.
_WANTED = "WHERE exchange_id IN $1::UUID[]"
ANYWHERE = (
    f"SELECT f.exchange_id, f.segment, f.frame_offset, {_VALUES}"  # noqa: S608
    f" FROM (FROM frames {_WANTED}) AS f JOIN (FROM requests {_WANTED}) AS r USING (exchange_id)"
    f" LEFT JOIN (FROM bodies {_WANTED}) AS b USING (exchange_id)"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`file` is relative to the root."""

    file: str
    what: str


@dataclass
class Report:
    """Counts of what was looked at, and what is wrong with which file. `torn_tails`: segments that
    end in part of a frame, as a disk that was full leaves them, which is no damage."""

    segments: int = 0
    torn_tails: int = 0
    frames: int = 0
    exchanges: int = 0
    blobs: int = 0
    parquet_files: int = 0
    parquet_rows: int = 0
    hot_rows: int = 0
    holds: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return not self.findings

    def add(self, file: str, what: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(file, what))


class FrameCheck:
    """Frames of the journal against blobs, rows and what was charged for them."""

    def __init__(
        self,
        lake: Lake,
        derive: DeriveFrame | None,
        analytics: Analytics | None,
        report: Report,
        progress: Progress,
        ledger: LedgerCheck,
    ) -> None:
        self._root = lake.root
        self._keys = lake.keys
        self._derive = derive
        self._analytics = analytics
        self._report = report
        self._progress = progress
        self._ledger = ledger
        self._blobs = Blobs(lake.root, lake.keys)
        self._start = Position(lake.manifest.upto_segment + 1, 0)
        self._damaged_blobs: set[str] = set()
        self._nameless = 0  # frames whose rows have ids that are made of their places
        self._with_row: set[bytes] = set()

    def check(self) -> None:
        upto = self._analytics.position if self._analytics is not None else None
        exchanges = self._exchanges(upto)
        while some := list(islice(exchanges, COMPARED_AT_ONCE)):
            self._report.exchanges += len(some)
            if self._analytics is not None and upto is not None:
                within = {i: frame for i, frame in some if frame.position < upto}
                self._compare(self._analytics, within)
            self._ledger.compare()
            self._progress(self._report.exchanges)
        self._report.holds = self._ledger.holds
        for complaint in self._ledger.complaints:
            self._report.add(LEDGER, complaint)
        if self._analytics is not None:
            self._check_segments_of_rows(self._analytics)
            self._check_superfluous_rows(self._analytics)

    def _exchanges(self, upto: Position | None) -> Iterator[tuple[bytes, Frame]]:
        """Those that are not in the lake yet; their blobs are looked at on the way."""
        for frame in read_frames(self._root, self._start, keys=self._keys):
            if frame.kind != KIND_EXCHANGE:
                continue
            try:
                meta, request, response = decode_exchange(frame.payload)
            except msgspec.MsgspecError:
                meta, request, response = {}, [], []  # kept as a row that says so
            self._check_parts(request, response)
            place = f"in segment {frame.position.segment} at {frame.position.offset}"
            self._ledger.note(meta, place)
            if isinstance(meta.get("exchange_id"), bytes):
                yield meta["exchange_id"], frame
            elif upto is not None and frame.position < upto:
                self._nameless += 1

    def _check_parts(self, *sides: list[Part]) -> None:
        for side in sides:
            names = [part[1] for part in side if part[0] == PART_BLOB]
            self._report.blobs += len(names)
            try:
                if names:
                    unpack(side, self._blobs.read)
            except (BlobUnreadable, PartDamaged, VaultError) as error:
                self._blame_blobs(names, str(error))

    def _blame_blobs(self, names: list[str], what: str) -> None:
        for name in names:
            if name not in self._damaged_blobs:
                self._damaged_blobs.add(name)
                self._report.add(f"blobs/{name[:2]}/{name}", what)

    def _compare(self, analytics: Analytics, frames: dict[bytes, Frame]) -> None:
        rows = self._rows(analytics, frames)
        for exchange_id, frame in frames.items():
            name = name_of(self._root, segment_path(self._root, frame.position.segment))
            row = rows.get(exchange_id)
            if row is not None and row[0] >= self._start:
                self._with_row.add(exchange_id)
            if row is None:
                self._report.add("analytics.duckdb", f"no row for the frame at {name} "
                                 f"{frame.position.offset}")  # fmt: skip
            elif self._derive is not None and row[0] == frame.position:
                self._compare_derived(self._derive(frame), frame, row[1])

    def _rows(
        self, analytics: Analytics, frames: dict[bytes, Frame]
    ) -> dict[bytes, tuple[Position, tuple[Any, ...]]]:
        """Nearly all lie in the hot tables in the order of their frames, where a few blocks hold
        them. The others, written twice or replaced, may lie anywhere: that reads all of the lake.
        """
        found: dict[bytes, tuple[Position, tuple[Any, ...]]] = {}
        for segment, some in groupby(frames.values(), lambda frame: frame.position.segment):
            offsets = [frame.position.offset for frame in some]
            found |= _fetched(analytics, IN_PLACE, [segment, min(offsets), max(offsets)])
        elsewhere = [
            exchange_id.hex()
            for exchange_id, frame in frames.items()
            if exchange_id not in found or found[exchange_id][0] != frame.position
        ]
        return found | _fetched(analytics, ANYWHERE, [elsewhere]) if elsewhere else found

    def _compare_derived(self, rows: FrameRows, frame: Frame, found: tuple[Any, ...]) -> None:
        if rows.request is None or rows.body is None:
            return
        wanted = [rows.request[_REQUEST_NAMES.index(name)] for name in COMPARED]
        wanted += [rows.body[_BODY_NAMES.index(name)] for name in ("request", "response")]
        names = (*COMPARED, "request", "response")
        differing = [
            name
            for name, a, b in zip(names, wanted, found, strict=True)
            if (a or None) != (b or None)
        ]
        if not differing:
            return
        _, request, response = decode_exchange(frame.payload)
        sides = {"request": request, "response": response}
        blobs = [part[1] for n in differing for part in sides.get(n, ()) if part[0] == PART_BLOB]
        if blobs:
            self._blame_blobs(blobs, "its text is not that of the row")
        else:
            place = f"segment {frame.position.segment} at {frame.position.offset}"
            what = f"differs from the frame ({place}) in {', '.join(differing)}"
            self._report.add("analytics.duckdb", what)

    def _check_segments_of_rows(self, analytics: Analytics) -> None:
        """A segment that rows came from and that is neither here nor in the lake was lost."""
        sql = f"SELECT DISTINCT segment FROM frames WHERE segment >= {self._start.segment:d}"  # noqa: S608
        present = set(segment_numbers(self._root))
        with analytics.query(sql) as query:
            while page := query.fetch():
                for (number,) in page:
                    if number not in present:
                        path = segment_path(self._root, number)
                        self._report.add(name_of(self._root, path), "missing, though it has rows")

    def _check_superfluous_rows(self, analytics: Analytics) -> None:
        """No exchange twice, hot or cold, and no hot row without a frame."""
        sql = (
            "SELECT count(*) FROM (SELECT exchange_id FROM frames WHERE exchange_id IS NOT NULL"
            " GROUP BY ALL HAVING count(*) > 1)"
        )
        with analytics.query(sql) as query:
            doubles = query.fetch()[0][0]
        if doubles:
            self._report.add("analytics.duckdb", f"{doubles} exchanges have more than one row")
        extra = self._report.hot_rows - len(self._with_row) - self._nameless
        if extra > 0 and not doubles:
            self._report.add("analytics.duckdb", f"{extra} rows without a frame")


def _fetched(
    analytics: Analytics, sql: str, parameters: list[Any]
) -> dict[bytes, tuple[Position, tuple[Any, ...]]]:
    found = {}
    with analytics.query(sql, parameters) as query:
        while page := query.fetch():
            for exchange_id, segment, offset, *values in page:
                if exchange_id is not None:
                    found[exchange_id.bytes] = Position(segment, offset), tuple(values)
    return found


def name_of(root: Path, path: Path) -> str:
    return str(path.relative_to(root))
