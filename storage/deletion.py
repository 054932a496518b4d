"""Exchanges deleted for good: frames erased in place, blobs unlinked, Parquet files rewritten.

Runs in the helper process. The intent is in the journal before anything is touched (a keyed hash
per exchange), so a deletion that was cut short is found and finished, and can be applied again to
what a backup brought back.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from storage.frames import (
    KIND_COST,
    KIND_DELETION,
    KIND_ERASED,
    KIND_EXCHANGE,
    KIND_FEEDBACK,
    KIND_PROPERTY,
    KIND_SCORE,
    PART_BLOB,
    Frame,
    Part,
    Position,
)
from storage.lake import Lake, exchange_hash, unlink_blobs
from storage.manifest import Applied, LakeFile, Step, no_step, unlink_all
from storage.parquet import ids_of, without_ids
from storage.reader import Damage, OnDamage, blank_damage, erase_frame, read_frames
from storage.rewrite import Edition, temporary_files
from storage.roll import deletion_hashes
from storage.segment import segment_numbers

CREATED = "request_created_at"
MATCHED = ["exchange_id", "organization_id", "user_id", "session_id", CREATED]
EDITS = frozenset((KIND_SCORE, KIND_FEEDBACK, KIND_PROPERTY, KIND_COST))

_meta_decoder = msgspec.msgpack.Decoder(tuple[dict[str, Any], list[Part], list[Part]])
_map_decoder = msgspec.msgpack.Decoder(dict[str, Any])


@dataclass(frozen=True)
class Selector:
    """What is asked for: everything that is given must hold. Nothing given selects nothing."""

    exchange_ids: frozenset[bytes] | None = None
    organization: bytes | None = None
    user_id: str | None = None
    session_id: str | None = None
    # When it was created, in microseconds since 1970; the end is not included.
    created_since_us: int | None = None
    created_until_us: int | None = None

    @property
    def is_empty(self) -> bool:
        given = (
            self.exchange_ids, self.organization, self.user_id, self.session_id,
            self.created_since_us, self.created_until_us,
        )  # fmt: skip
        return all(part is None for part in given)

    def matches(self, org: bytes, meta: dict[str, Any]) -> bool:
        return (
            (self.exchange_ids is None or meta.get("exchange_id") in self.exchange_ids)
            and self.organization in (None, org)
            and self.user_id in (None, meta.get("user_id"))
            and self.session_id in (None, meta.get("session_id"))
            and self._is_within(meta.get("created_at_us"))
        )

    def _is_within(self, created_at_us: object) -> bool:
        """What has no time is in no span."""
        since_us, until_us = self.created_since_us, self.created_until_us
        if since_us is None and until_us is None:
            return True
        return (
            isinstance(created_at_us, int)
            and (since_us is None or created_at_us >= since_us)
            and (until_us is None or created_at_us < until_us)
        )


@dataclass
class Deleted:
    """What a deletion found. `exchange_ids` are those it saw; erased frames have none."""

    exchange_ids: set[bytes] = field(default_factory=set)
    frames: int = 0
    blobs: int = 0
    rows: int = 0
    files: int = 0


def find(lake: Lake, selector: Selector) -> dict[bytes, bytes]:
    """The exchanges that are meant, with their organisations, in the journal and the lake."""
    if selector.is_empty:
        return {}
    found = {}
    for frame, meta, _ in _exchanges(lake, Position(0, 0)):
        if selector.matches(frame.org, meta):
            found[meta["exchange_id"]] = frame.org
    edition = Edition(lake)
    for file in lake.manifest.of("requests"):
        found.update(_matching(edition, file, selector))
    return found


def pending(lake: Lake) -> tuple[set[bytes], Applied]:
    """Hashes of deletions that were journaled and not carried out, and where they end."""
    hashes: set[bytes] = set()
    applied = lake.manifest.applied
    end = applied
    for frame in read_frames(lake.root, Position(*applied), keys=lake.keys):
        if frame.kind == KIND_DELETION:
            hashes.add(_map_decoder.decode(frame.payload)["exchange_hash"])
            end = Applied(*frame.end)
    return hashes, end


def apply(lake: Lake, step: Step = no_step) -> Deleted:
    """Carry out what is pending; repeated after a crash it finishes."""
    hashes, end = pending(lake)
    return _delete(lake, hashes, end, step)


def reapply(lake: Lake, more: Iterable[bytes] = (), step: Step = no_step) -> Deleted:
    """After a restore: carry out all deletions known here, and those of `more` (the hashes of the
    directory that was replaced)."""
    hashes, end = pending(lake)
    for frame in read_frames(lake.root, Position(0, 0), keys=lake.keys):
        if frame.kind == KIND_DELETION:
            hashes.add(_map_decoder.decode(frame.payload)["exchange_hash"])
    return _delete(lake, hashes | deletion_hashes(lake) | set(more), end, step)


def _delete(lake: Lake, hashes: set[bytes], end: Applied, step: Step) -> Deleted:
    result = Deleted()
    if not hashes:
        return result
    assert lake.deletion_key is not None, "hashes cannot be compared without their key"
    lake.begin_deletion()
    step("deletion begun")
    _erase_in_journal(lake, hashes, result, step)
    lake.empty_quarantine()
    step("quarantine emptied")
    unlink_all(temporary_files(lake.root))
    edition = Edition(lake, step)
    _erase_in_lake(lake, edition, hashes, result)
    step("files complete")
    edition.commit(applied=end)
    return result


def _erase_in_journal(lake: Lake, hashes: set[bytes], result: Deleted, step: Step) -> None:
    """Blobs first: an erased frame no longer says which were its own."""
    blobs: list[str] = []
    positions = []
    damages: list[Damage] = []
    for frame, exchange_id, names in _touched(lake, damages.append):
        if _hash(lake, exchange_id) in hashes:
            positions.append(frame.position)
            blobs += names
            result.exchange_ids.add(exchange_id)
    unlink_blobs(lake.root, blobs)
    result.blobs = len(blobs)
    step("blobs unlinked")
    for position in positions:
        erase_frame(lake.root, position, lake.keys)
        step("frame erased")
    result.frames = len(positions)
    newest = max(segment_numbers(lake.root), default=0)
    for damage in damages:
        # A write that was cut short leaves a piece of a frame, and nobody can tell of which. The
        # newest segment may be growing; what is sealed and does not open is no text anyway.
        if damage.reason in ("frame", "tail") and damage.segment != newest:
            blank_damage(lake.root, damage)
            step("damage blanked")


def _erase_in_lake(lake: Lake, edition: Edition, hashes: set[bytes], result: Deleted) -> None:
    """By id, then by file: a file without any of them is only looked at, not rewritten."""
    gone: set[bytes] = set()
    for table in ("requests", "edits"):
        for file in lake.manifest.of(table):
            gone |= {i for i in _ids(edition, file) if _hash(lake, i) in hashes}
    result.exchange_ids |= gone
    if not gone:
        return
    keep = without_ids(gone)
    for table in ("requests", "bodies", "edits"):
        for file in lake.manifest.of(table):
            dropped = edition.rewrite(file, keep)
            result.files += bool(dropped)
            result.rows += dropped


def _touched(lake: Lake, on_damage: OnDamage) -> Iterator[tuple[Frame, bytes, list[str]]]:
    """Every frame that belongs to an exchange, its id, and the blobs it names."""
    for frame in read_frames(lake.root, Position(0, 0), keys=lake.keys, on_damage=on_damage):
        if frame.kind in EDITS:
            found = _decoded(_map_decoder, frame.payload)
            if found is not None and isinstance(found.get("exchange_id"), bytes):
                yield frame, found["exchange_id"], []
        elif frame.kind == KIND_EXCHANGE:
            for _, meta, parts in _opened(frame):
                names = [part[1] for part in parts if part[0] == PART_BLOB]
                yield frame, meta["exchange_id"], names


def _exchanges(lake: Lake, start: Position) -> Iterator[tuple[Frame, dict[str, Any], list[Part]]]:
    for frame in read_frames(lake.root, start, keys=lake.keys):
        if frame.kind not in (KIND_ERASED, KIND_DELETION, *EDITS):
            yield from _opened(frame)


def _opened(frame: Frame) -> Iterator[tuple[Frame, dict[str, Any], list[Part]]]:
    decoded = _decoded(_meta_decoder, frame.payload)
    if decoded is not None and isinstance(decoded[0].get("exchange_id"), bytes):
        meta, request, response = decoded
        yield frame, meta, [*request, *response]


def _decoded(decoder: msgspec.msgpack.Decoder[Any], payload: bytes) -> Any:  # noqa: ANN401
    try:
        return decoder.decode(payload)
    except msgspec.MsgspecError:
        return None


def _ids(edition: Edition, file: LakeFile) -> Iterator[bytes]:
    reader = edition.reader(file)
    try:
        for group in reader.groups(["exchange_id"]):
            yield from (i for i in ids_of(group).to_pylist() if i is not None)
    finally:
        reader.close()


def _matching(
    edition: Edition, file: LakeFile, selector: Selector
) -> Iterator[tuple[bytes, bytes]]:
    wanted = pa.array(list(selector.exchange_ids or ()), pa.binary(16))
    reader = edition.reader(file)
    try:
        for group in reader.groups(MATCHED):
            group = _within(group, selector)
            if selector.exchange_ids is not None:
                group = group.filter(pc.is_in(ids_of(group), value_set=wanted))
            for name, value in (("user_id", selector.user_id), ("session_id", selector.session_id)):
                if value is not None:
                    group = group.filter(pc.equal(group.column(name), value))
            organizations = group.column("organization_id").to_pylist()
            for exchange_id, organization in zip(
                ids_of(group).to_pylist(), organizations, strict=True
            ):
                if selector.organization in (None, organization.bytes):
                    yield exchange_id, organization.bytes
    finally:
        reader.close()


def _within(group: pa.Table, selector: Selector) -> pa.Table:
    for compare, bound in (
        (pc.greater_equal, selector.created_since_us), (pc.less, selector.created_until_us),
    ):  # fmt: skip
        if bound is not None:
            group = group.filter(compare(group.column(CREATED).cast(pa.int64()), bound))
    return group


def _hash(lake: Lake, exchange_id: bytes) -> bytes:
    assert lake.deletion_key is not None
    return exchange_hash(lake.deletion_key, exchange_id)
