"""A root with a journal of known exchanges, and the smallest deriver that can tell them apart."""

import datetime
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from storage import disk, frames
from storage.batch import FrameRows
from storage.blobs import Blobs, BlobUnreadable
from storage.frames import Frame, Part, Position
from storage.lake import Lake
from storage.reader import read_frames
from storage.rows import BODY_COLUMNS, REQUEST_COLUMNS
from storage.segment import segment_numbers
from storage.vault import SegmentKeys
from storage.writer import SegmentWriter

ORG = bytes(range(16))
OTHER_ORG = bytes(range(16, 32))
DELETION_KEY = b"k" * 32
DAY_US = 86_400_000_000
START_US = int(datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC).timestamp()) * 1_000_000
KEYS = SegmentKeys(2, {1: b"1" * 32, 2: b"2" * 32})


def exchange_id(number: int, at_us: int = START_US) -> bytes:
    """A UUIDv7 of that time."""
    random = hashlib.sha256(number.to_bytes(8, "big")).digest()
    head = (at_us // 1000).to_bytes(6, "big")
    tail = bytes([0x70 | random[0] & 15, random[1], 0x80 | random[2] & 63]) + random[3:10]
    return head + tail


def exchange(number: int, at_us: int | None = None, **changes: Any) -> bytes:
    """The payload of exchange `number`; `request` and `response` are its bodies."""
    at_us = START_US + number * 1_000_000 if at_us is None else at_us
    request = changes.pop("request", f"request {number}")
    response = changes.pop("response", f"response {number}")
    blob = changes.pop("blob", None)
    meta = {
        "exchange_id": exchange_id(number, at_us),
        "request_id": f"00000000-0000-4000-8000-{number:012d}",
        "created_at_us": at_us,
        "recorded_at_us": at_us + 500_000,
        "user_id": f"user {number % 3}",
        "session_id": f"session {number % 5}",
        "properties": {"number": str(number)},
        "attempts": [{"target": "t", "status": 200, "started_at_us": at_us}],
        **changes,
    }
    packer = frames.BodyPacker()
    parts: list[Part] = packer.pack(response.encode())
    if blob is not None:
        parts = [[1, blob, 0, len(response), len(response), ""]]
    return frames.encode_exchange(meta, packer.pack(request.encode()), parts)


def score(number: int, value: float, at_us: int = START_US) -> bytes:
    edit = {"name": "quality", "value": value, "edited_at_us": at_us, "request_id": None}
    return msgspec.msgpack.encode({**edit, "exchange_id": exchange_id(number, at_us)})


def write_segment(
    root: Path,
    payloads: Iterable[bytes | tuple[int, int, bytes]],
    *,
    keys: SegmentKeys | None = None,
    closed: bool = True,
    org: bytes = ORG,
) -> int:
    """One more segment; an entry is an exchange's payload or (kind, flags, payload)."""
    (root / "journal").mkdir(parents=True, exist_ok=True)
    number = max(segment_numbers(root), default=Lake.open(root).manifest.upto_segment) + 1
    writer = SegmentWriter.prepare(root, disk.Disk(), number=number, region="us", keys=keys)
    writer.publish()
    for entry in payloads:
        kind, flags, payload = (
            entry if isinstance(entry, tuple) else (frames.KIND_EXCHANGE, 0, entry)
        )
        writer.write(kind, flags, org, payload)
    writer.begin_sync()
    writer.sync(last=closed)
    writer.abandon()
    return number


class Derive:
    """Rows from frames; `root` is where blobs lie."""

    def __init__(self, root: Path, keys: SegmentKeys | None = None) -> None:
        self._blobs = Blobs(root, keys)

    def __call__(self, frame: Frame) -> FrameRows:
        if frame.kind == frames.KIND_EXCHANGE:
            return self._exchange(frame)
        if frame.kind == frames.KIND_ERASED:
            return FrameRows()
        content = msgspec.msgpack.decode(frame.payload)
        if frame.kind == frames.KIND_DELETION:
            found = content["exchange_hash"], content["deleted_at_us"]
            return FrameRows(deletions=[(frame.org, *found, *frame.position)])
        if "name" not in content:
            return FrameRows(unreadable=True)
        row = (
            frame.org, content["exchange_id"], content["request_id"], "score", content["name"],
            None, content["value"], content["edited_at_us"], *frame.position,
        )  # fmt: skip
        return FrameRows(edits=[row])

    def _exchange(self, frame: Frame) -> FrameRows:
        meta, *bodies = frames.decode_exchange(frame.payload)
        request, response = map(self._text, bodies)
        at = {"segment": frame.position.segment, "frame_offset": frame.position.offset}
        known = meta | at | {
            "organization_id": frame.org,
            "request_created_at": meta["created_at_us"],
            "recorded_at": meta["recorded_at_us"],
            "request_bytes": len(request),
            "response_bytes": len(response),
            "attempts": [
                {"target": a["target"], "status": a["status"], "started_at": a["started_at_us"]}
                for a in meta["attempts"]
            ],
        }  # fmt: skip
        texts = known | {"request": request, "response": response, "request_type": "text/plain"}
        return FrameRows(
            tuple(known.get(name) for name, _ in REQUEST_COLUMNS),
            tuple(texts.get(name) for name, _ in BODY_COLUMNS),
        )

    def _text(self, parts: list[Part]) -> str:
        try:
            return frames.unpack(parts, self._blobs.read).decode("utf-8", "replace")
        except BlobUnreadable:
            return ""  # the record stays, as ingest has it


def make_blob(root: Path, text: str, keys: SegmentKeys | None = None) -> str:
    """A blob of that text; its name."""
    for folder in ("blobs", "tmp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    blobs = Blobs(root, keys)
    writer = blobs.create()
    writer.write(text.encode())
    blob = writer.finish()
    blobs.sync()
    return blob.name


def open_lake(root: Path, keys: SegmentKeys | None = None) -> Lake:
    return Lake.open(root, keys=keys, deletion_key=DELETION_KEY)


def journal(root: Path, keys: SegmentKeys | None = None) -> Iterator[Frame]:
    return read_frames(root, Position(0, 0), keys=keys)


def lake_rows(lake: Lake, table: str, columns: str) -> list[tuple[Any, ...]]:
    """What DuckDB sees of a table, ordered."""
    import duckdb

    view = lake.view
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        for statement in view.key_statements():
            connection.execute(statement)
        sql = f"SELECT {columns} FROM ({view.source(table)}) ORDER BY ALL"
        found: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
        return found


def all_bytes(root: Path) -> bytes:
    """Every byte of every file of the directory."""
    return b"\0".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())
