"""Journal frames become rows: what ingest in the server and the offline commands have in common.

Decides nothing about files or DuckDB. No frame stops it: one that fails becomes a row that says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from storage.batch import FrameRows, Row
from storage.frames import (
    KIND_COST,
    KIND_DELETION,
    KIND_EXCHANGE,
    KIND_FEEDBACK,
    KIND_PROPERTY,
    KIND_SCORE,
    PART_BLOB,
    PART_INLINE,
    Frame,
    Part,
    decode_exchange,
)
from storage.rows import BODY_COLUMNS, REQUEST_COLUMNS

EDIT_KINDS = {
    KIND_SCORE: "score", KIND_FEEDBACK: "feedback", KIND_PROPERTY: "property", KIND_COST: "cost",
}  # fmt: skip
TEXTS = (KIND_PROPERTY, KIND_COST)  # their value is a text
ERROR_LENGTH_MAX = 300
# Of a coded body so much may become of each byte that it is treated as large (64 KiB of gzip often
# hold 1 MiB; the most that is taken off is 200 : 1).
CODED_WEIGHT = 32
# A body of this weight is not derived on the loop, nor in a thread beside it.
LARGE_BYTES = 256 * 1024

_ERROR = [name for name, _ in REQUEST_COLUMNS].index("derive_error")


class Derive(Protocol):
    def __call__(
        self,
        meta: dict[str, Any],
        request: bytes,
        response: bytes,
        *,
        org: bytes,
        position: tuple[int, int],
    ) -> tuple[Row, Row]: ...


class Exchange(NamedTuple):
    """A decoded frame whose bodies have not been looked at."""

    frame: Frame
    meta: dict[str, Any]
    request: list[Part]
    response: list[Part]

    @property
    def body_bytes(self) -> int:
        parts = (*self.request, *self.response)
        return sum(part[1] if part[0] == PART_INLINE else part[4] for part in parts)

    @property
    def in_blobs(self) -> bool:
        return any(part[0] == PART_BLOB for part in (*self.request, *self.response))


def weight_of(opened: Exchange | FrameRows) -> int:
    """For how many bytes of body a frame has to be taken."""
    if isinstance(opened, FrameRows):
        return 0
    coded = opened.meta.get("request_coding") or opened.meta.get("response_coding")
    return opened.body_bytes * (CODED_WEIGHT if coded else 1)


def weight_of_frame(frame: Frame) -> int:
    """The same for a frame that is still to be opened."""
    if frame.kind != KIND_EXCHANGE:
        return 0
    try:
        return weight_of(Exchange(frame, *decode_exchange(frame.payload)))
    except (msgspec.MsgspecError, ValueError):
        return 0


@dataclass
class RowCounts:
    """`unreadable` edits have no row that could say so; they are only counted."""

    frames: int = 0
    derive_errors: int = 0
    unreadable: int = 0

    def add(self, counts: Mapping[str, int]) -> None:
        """What another process has counted."""
        self.frames += counts.get("frames", 0)
        self.derive_errors += counts.get("derive_errors", 0)
        self.unreadable += counts.get("unreadable", 0)


@dataclass
class FrameDeriver:
    """Turns frames into rows. Calling it does all of one frame at once, blobs read and all; the
    server takes the steps apart so that large bodies are read elsewhere."""

    derive: Derive
    read_parts: Callable[[list[Part]], bytes]
    counts: RowCounts = field(default_factory=RowCounts)

    def __call__(self, frame: Frame) -> FrameRows:
        opened = self.opened(frame)
        if isinstance(opened, FrameRows):
            return opened
        try:
            request, response = self.bodies(opened)
        except Exception as error:
            return self.derived(opened, failed=error)
        return self.derived(opened, request, response)

    def opened(self, frame: Frame) -> Exchange | FrameRows:
        """An exchange that is still to be derived; rows of anything else."""
        self.counts.frames += 1
        try:
            if frame.kind == KIND_EXCHANGE:
                return Exchange(frame, *decode_exchange(frame.payload))
            if frame.kind in EDIT_KINDS:
                return FrameRows(edits=(_edit_row(frame),))
            if frame.kind == KIND_DELETION:
                return FrameRows(deletions=(_deletion_row(frame),))
            return FrameRows()
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            if frame.kind == KIND_EXCHANGE:
                return self._failed(frame, {}, error)
            self.counts.unreadable += 1
            return FrameRows(unreadable=True)

    def bodies(self, exchange: Exchange) -> tuple[bytes, bytes]:
        """Blocking when they lie in blobs. Raises what `read_parts` raises."""
        return self.read_parts(exchange.request), self.read_parts(exchange.response)

    def derived(
        self,
        exchange: Exchange,
        request: bytes = b"",
        response: bytes = b"",
        *,
        failed: Exception | None = None,
    ) -> FrameRows:
        """`failed`: why there are no bodies. It takes them, not the record: a row that says so
        still has everything that the metadata tells."""
        frame, meta = exchange.frame, exchange.meta
        try:
            row, body = self.derive(meta, request, response, org=frame.org, position=frame.position)
        except Exception as error:
            if failed is None and (request or response):
                return self.derived(exchange, failed=error)
            return self._failed(frame, meta, failed or error)
        if failed is not None:
            self.counts.derive_errors += 1
            row = (*row[:_ERROR], _words(failed), *row[_ERROR + 1 :])
        return FrameRows(row, body)

    def without_bodies(self, rows: FrameRows, error: Exception) -> FrameRows:
        """All of an exchange but its texts, which the database does not take."""
        if rows.request is None or rows.body is None:
            return rows
        self.counts.derive_errors += 1
        row = (*rows.request[:_ERROR], _words(error), *rows.request[_ERROR + 1 :])
        body = [
            "" if name in ("request", "response") else value
            for (name, _), value in zip(BODY_COLUMNS, rows.body, strict=True)
        ]
        return rows._replace(request=row, body=tuple(body))

    def _failed(self, frame: Frame, meta: dict[str, Any], error: Exception) -> FrameRows:
        """All that is known of an exchange that could not be derived even without its bodies."""
        self.counts.derive_errors += 1
        known: dict[str, Any] = {
            "exchange_id": _id_of(frame, meta),
            "request_id": meta.get("request_id"),
            "organization_id": frame.org,
            "request_created_at": meta.get("created_at_us"),
            "recorded_at": meta.get("recorded_at_us"),
            "provider": meta.get("provider"),
            "http_status": meta.get("http_status"),
            "outcome": meta.get("outcome"),
            "derive_error": _words(error),
            "segment": frame.position.segment,
            "frame_offset": frame.position.offset,
        }
        return FrameRows(
            tuple(known.get(name) for name, _ in REQUEST_COLUMNS),
            tuple(known.get(name) for name, _ in BODY_COLUMNS),
        )


def _edit_row(frame: Frame) -> Row:
    edit = msgspec.msgpack.decode(frame.payload)
    value = edit["value"]
    number = float(value) if frame.kind not in TEXTS and value is not None else None
    text = str(value) if frame.kind in TEXTS and value is not None else edit.get("text")
    return (
        frame.org, edit["exchange_id"], edit.get("request_id"), EDIT_KINDS[frame.kind],
        edit["name"], text, number, edit["edited_at_us"], *frame.position,
    )  # fmt: skip


def _deletion_row(frame: Frame) -> Row:
    deletion = msgspec.msgpack.decode(frame.payload)
    return frame.org, deletion["exchange_hash"], deletion["deleted_at_us"], *frame.position


def _id_of(frame: Frame, meta: dict[str, Any]) -> bytes:
    """The exchange's id, else one made of the frame's place: the same at every replay."""
    found = meta.get("exchange_id")
    if isinstance(found, bytes) and len(found) == 16:
        return found
    return frame.position.segment.to_bytes(8, "big") + frame.position.offset.to_bytes(8, "big")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:ERROR_LENGTH_MAX]
