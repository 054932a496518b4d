"""Closed segments become Parquet files: every frame of every kind, in the order of exchange ids.

Runs in the helper process. Deriving is a callable that it is given; it must not know how.
"""

import base64
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from storage.batch import FrameRows
from storage.blobs import Blobs, BlobUnreadable
from storage.frames import (
    FLAG_REWRITTEN,
    FLAG_SUPERSEDES,
    KIND_DELETION,
    KIND_ERASED,
    KIND_EXCHANGE,
    PART_BLOB,
    Frame,
    Part,
    PartDamaged,
    Position,
    unpack,
)
from storage.lake import Lake, exchange_hash
from storage.manifest import LakeFile, Step, no_step
from storage.parquet import BATCH_ROWS, Keep, Mask, ids_of, raw_id
from storage.reader import Damage, read_frames
from storage.rewrite import Edition
from storage.rows import BODY_COLUMNS, REQUEST_COLUMNS, TABLES
from storage.segment import segment_numbers

Row = tuple[Any, ...]

# Rows wait in a window to be put in order: exchanges are journaled by their end and sorted by
# their start, so neighbours are rarely far apart. Two windows of text fit into a row group.
WINDOW_BYTES_MAX = 12 * 2**20
PROGRESS_FRAMES = 10_000


class DeletionPending(Exception):  # noqa: N818 - a state, not a fault
    """These segments hold a deletion that was not carried out: that comes first, because once
    they are gone nobody would find it."""


DeriveFrame = Callable[[Frame], FrameRows]
Progress = Callable[[int], None]


@dataclass
class Rolled:
    """What a roll did. `doubles` were frames written twice or replaced by later ones."""

    first: int
    last: int
    generation: int = 0
    frames: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    doubles: int = 0
    forgotten: int = 0
    damages: list[Damage] = field(default_factory=list)


def roll(
    lake: Lake,
    derive: DeriveFrame,
    *,
    upto: int,
    step: Step = no_step,
    progress: Progress = lambda frames: None,
) -> Rolled | None:
    """Move the segments after the lake's last and up to `upto` (all closed) into the lake.

    None when there is nothing to move. The segments are still there afterwards: the caller shows
    the new view to its readers, then calls `Lake.tidy`. Raises DeletionPending, OSError.
    """
    numbers = [n for n in segment_numbers(lake.root) if lake.manifest.upto_segment < n <= upto]
    if not numbers:
        return None
    edition = Edition(lake, step)
    work = _Roll(lake, edition, derive, Rolled(numbers[0], numbers[-1]))
    try:
        work.read(numbers, progress)
        work.finish()
    except BaseException:
        work.abandon()
        raise
    step("files complete")
    edition.commit(
        upto_segment=numbers[-1],
        blobs=work.blobs,
        damaged=sorted({damage.segment for damage in work.result.damages}),
    )
    work.result.generation = lake.manifest.generation
    return work.result


class _Roll:
    """The state of one roll."""

    def __init__(self, lake: Lake, edition: Edition, derive: DeriveFrame, result: Rolled) -> None:
        self.result = result
        self.blobs: list[str] = []
        self._lake = lake
        self._edition = edition
        self._derive = derive
        self._blobs = Blobs(lake.root, lake.keys)
        self._writers = {table: edition.writer(table) for table in TABLES}
        self._window: list[tuple[bytes, Row, Row]] = []
        self._window_bytes = 0
        self._flagged: dict[bytes, _Claim] = {}
        self._others: dict[str, list[Row]] = {"edits": [], "deletions": []}
        self._forgotten = deletion_hashes(lake)

    def read(self, numbers: list[int], progress: Progress) -> None:
        start, end = Position(numbers[0], 0), Position(numbers[-1] + 1, 0)
        frames = read_frames(
            self._lake.root, start, upto=end, keys=self._lake.keys,
            on_damage=self.result.damages.append,
        )  # fmt: skip
        for frame in frames:
            self.result.frames += 1
            if frame.kind != KIND_ERASED:
                self._add(frame)
            if self.result.frames % PROGRESS_FRAMES == 0:
                progress(self.result.frames)

    def finish(self) -> None:
        self._emit(len(self._window))
        for table in self._others:
            self._emit_others(table)
        self.result.rows = {table: writer.rows_written for table, writer in self._writers.items()}
        span = self.result.first, self.result.last
        created = recorded = (0, 0)
        files = []
        for table, writer in self._writers.items():
            file = self._edition.add(writer, span, created, recorded)
            if file is None:
                continue
            files.append(file)
            if table == "requests":
                created = file.created_min_us, file.created_max_us
                recorded = file.recorded_min_us, file.recorded_max_us
        self._writers = {}
        self.result.bytes = sum(file.bytes for file in files)
        if self._flagged:
            self._settle_doubles(files)

    def abandon(self) -> None:
        for writer in self._writers.values():
            writer.abandon()

    def _add(self, frame: Frame) -> None:
        rows = self._derive(frame)
        if rows.unreadable:
            self._keep_aside(frame)
        if rows.request is not None and rows.body is not None:
            self._add_exchange(frame, rows.request, rows.body)
        edits = [row for row in rows.edits if not self._is_forgotten(raw_id(row[1]))]
        self.result.forgotten += len(rows.edits) - len(edits)
        for table, found in (("edits", edits), ("deletions", rows.deletions)):
            self._others[table].extend(found)
            if len(self._others[table]) >= BATCH_ROWS:
                self._emit_others(table)
        if frame.kind == KIND_DELETION:
            if frame.position >= self._lake.manifest.applied:
                raise DeletionPending
            self._forgotten.update(row[1] for row in rows.deletions)

    def _add_exchange(self, frame: Frame, request: Row, body: Row) -> None:
        exchange_id = raw_id(request[0])
        parts = _parts_of(frame)
        if self._is_forgotten(exchange_id):
            self.blobs += parts.blobs
            self.result.forgotten += 1
            return
        lost = False
        if request[_ERROR] is not None:
            body, lost = self._with_bodies(parts, body)
        if lost and self._has_bodies(parts):
            self._keep_aside(frame)
        else:
            self.blobs += parts.blobs
        if frame.flags & (FLAG_SUPERSEDES | FLAG_REWRITTEN):
            claim = self._flagged.setdefault(exchange_id, _Claim())
            if frame.flags & FLAG_SUPERSEDES and not lost:
                claim.winner = frame.position
        full = (*body, parts.meta)
        self._window.append((exchange_id, request, full))
        self._window_bytes += _text_bytes(full)
        if self._window_bytes > WINDOW_BYTES_MAX or len(self._window) >= 2 * BATCH_ROWS:
            self._emit(len(self._window) // 2)

    def _keep_aside(self, frame: Frame) -> None:
        """Its segment goes to quarantine instead of away: nothing may be lost by rolling."""
        length = frame.end.offset - frame.position.offset
        self.result.damages.append(Damage(*frame.position, length, "unreadable"))

    def _with_bodies(self, parts: "_Parts", body: Row) -> tuple[Row, bool]:
        """A row that could not be derived gets its bodies as they travelled: nothing else will
        have them when the segment is gone. True when they could not be read."""
        filled = list(body)
        for side, text, kind in (
            (parts.request, _REQUEST, _REQUEST_TYPE),
            (parts.response, _RESPONSE, _RESPONSE_TYPE),
        ):
            if filled[text] or not side:
                continue
            try:
                data = unpack(side, self._blobs.read)
            except (BlobUnreadable, PartDamaged, OSError):
                return body, True
            try:
                filled[text] = data.decode("utf-8")
            except UnicodeDecodeError:
                filled[text] = base64.b64encode(data).decode("ascii")
                filled[kind] = f"{filled[kind] or ''};base64"
        return tuple(filled), False

    def _has_bodies(self, parts: "_Parts") -> bool:
        """Whether there is anything left to be kept."""
        if any(part[0] != PART_BLOB for part in (*parts.request, *parts.response)):
            return True
        with contextlib.suppress(BlobUnreadable):
            return any(self._blobs.path(name).exists() for name in parts.blobs)
        return False

    def _emit(self, count: int) -> None:
        """Write the first `count` rows of the window in the order of their ids."""
        if not count:
            count = len(self._window)  # one row alone is larger than the window
        if not self._window:
            return
        self._window.sort(key=lambda row: row[0])
        chosen, self._window = self._window[:count], self._window[count:]
        self._writers["requests"].write_rows([request for _, request, _ in chosen])
        self._writers["bodies"].write_rows([body for _, _, body in chosen])
        self._window_bytes = sum(_text_bytes(body) for _, _, body in self._window)

    def _emit_others(self, table: str) -> None:
        if self._others[table]:
            self._writers[table].write_rows(self._others[table])
            self._others[table] = []

    def _is_forgotten(self, exchange_id: bytes) -> bool:
        """Deleted already: a frame that was held in memory meanwhile, or came with a backup."""
        if not self._forgotten or self._lake.deletion_key is None:
            return False
        return exchange_hash(self._lake.deletion_key, exchange_id) in self._forgotten

    def _settle_doubles(self, new: list[LakeFile]) -> None:
        """Of several frames of one exchange one row stays: the last that replaces, else the first.

        They may lie in this roll and in older files; all are looked at by id alone.
        """
        tables = ("requests", "bodies")
        older = [file for table in tables for file in self._lake.manifest.of(table)]
        ours = [file for file in new if file.table in tables]
        for file in (file for file in (*older, *ours) if file.table == "requests"):
            self._find_places(file)
        keep = self._winners()
        for file in (*older, *ours):
            dropped = self._edition.rewrite(file, keep)
            self.result.doubles += dropped if file.table == "requests" else 0

    def _find_places(self, file: LakeFile) -> None:
        wanted = pa.array(list(self._flagged), pa.binary(16))
        reader = self._edition.reader(file)
        try:
            for group in reader.groups(["exchange_id", "segment", "frame_offset"]):
                found = group.filter(pc.is_in(ids_of(group), value_set=wanted))
                for exchange_id, segment, offset in _places(found):
                    self._flagged[exchange_id].places.append(Position(segment, offset))
        finally:
            reader.close()

    def _winners(self) -> Keep:
        winners = {
            exchange_id: claim.winner or min(claim.places)
            for exchange_id, claim in self._flagged.items()
            if claim.places
        }
        wanted = pa.array(list(winners), pa.binary(16))

        def keep(group: pa.Table) -> Mask:
            touched = pc.is_in(ids_of(group), value_set=wanted)
            if not pc.any(touched).as_py():
                return pc.invert(touched)
            return pa.array(
                [
                    winners.get(exchange_id, place) == place
                    for exchange_id, *rest in _places(group)
                    for place in [Position(*rest)]
                ]
            )

        return keep


@dataclass
class _Claim:
    winner: Position | None = None
    places: list[Position] = field(default_factory=list)


def _places(group: pa.Table) -> Iterable[tuple[bytes, int, int]]:
    return zip(
        ids_of(group).to_pylist(),
        group.column("segment").to_pylist(),
        group.column("frame_offset").to_pylist(),
        strict=True,
    )


def deletion_hashes(lake: Lake) -> set[bytes]:
    """The hashes of everything that was deleted, as far as the lake knows."""
    found: set[bytes] = set()
    edition = Edition(lake)
    for file in lake.manifest.of("deletions"):
        reader = edition.reader(file)
        try:
            for group in reader.groups(["exchange_hash"]):
                found.update(group.column("exchange_hash").to_pylist())
        finally:
            reader.close()
    return found


class _Parts(NamedTuple):
    """What a frame holds: the metadata as it lies in it, and where the bodies are."""

    meta: bytes
    request: list[Part]
    response: list[Part]

    @property
    def blobs(self) -> list[str]:
        parts = (*self.request, *self.response)
        return [part[1] for part in parts if part[0] == PART_BLOB]


_parts_decoder = msgspec.msgpack.Decoder(tuple[msgspec.Raw, list[Part], list[Part]])
_ERROR = [name for name, _ in REQUEST_COLUMNS].index("derive_error")
_REQUEST, _RESPONSE, _REQUEST_TYPE, _RESPONSE_TYPE = (
    [name for name, _ in BODY_COLUMNS].index(name)
    for name in ("request", "response", "request_type", "response_type")
)


def _parts_of(frame: Frame) -> _Parts:
    assert frame.kind == KIND_EXCHANGE
    try:
        meta, request, response = _parts_decoder.decode(frame.payload)
    except msgspec.MsgspecError:
        # whatever it is: kept, so that a mended reader can try again
        return _Parts(frame.payload, [], [])
    return _Parts(bytes(meta), request, response)


def _text_bytes(body: Row) -> int:
    return len(body[_REQUEST] or "") + len(body[_RESPONSE] or "") + len(body[-1])
