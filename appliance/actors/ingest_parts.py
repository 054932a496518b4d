"""What ingest is told, what it tells, and what it asks of the journal's files."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

from appliance.actors.frame_rows import LARGE_BYTES
from storage.batch import Batch
from storage.frames import Position
from storage.journal import JournalStats
from storage.segment import segment_path
from storage.writing_room import ROW_GROUP_ROWS

WARM_BYTES = 8 * 2**20


class JournalTail(Protocol):
    """What ingest needs of the journal."""

    @property
    def written(self) -> Position: ...
    @property
    def synced(self) -> Position: ...
    @property
    def stats(self) -> JournalStats: ...
    @property
    def holds_back(self) -> bool: ...
    async def wait_written(self) -> None: ...
    async def wait_synced_past(self, position: Position) -> None: ...


@dataclass(frozen=True)
class IngestOptions:
    """A statement costs 4 ms whatever it inserts, and what is no full batch is written twice:
    they gather, unless a reader waits."""

    rows_max: int = ROW_GROUP_ROWS
    text_bytes_max: int = 5 * 2**20  # of bodies in a batch; one larger body comes alone
    gather_s: float = 0.5
    hurry_from_s: float = 5.0  # behind by so much the helper takes its share of a busy machine
    helper_bytes: int = 256 * 1024  # so much of the journal, or more, goes to the helper process
    slice_s: float = 0.0008  # Python work between two turns of everybody else
    aside_bytes: int = 128 * 1024  # larger bodies are unpacked in the thread
    large_bytes: int = LARGE_BYTES  # and from here on the helper process derives them
    retry_first_s: float = 0.1
    retry_max_s: float = 5.0
    bare_after: int = 3  # failures for want of memory: then the record goes in without its bodies
    rebuild_after: int = 2  # failures in a row that blame the file
    close_s: float = 10.0

    def is_full(self, batch: Batch) -> bool:
        """Whether it goes in as it is, whoever comes next."""
        return len(batch) >= self.rows_max or batch.text_bytes >= self.text_bytes_max


@dataclass
class IngestStats:
    batches: int = 0
    reopened: int = 0
    rebuilt: int = 0
    damages: int = 0
    failures: int = 0
    error: str | None = None  # why it stands still, None while it works


def bytes_between(root: Path, start: Position, goal: Position) -> int:
    """Of the journal, at least. Of the segments between them only the first is looked at."""
    if start.segment == goal.segment:
        return goal.offset - start.offset
    with suppress(OSError):
        return segment_path(root, start.segment).stat().st_size - start.offset + goal.offset
    return goal.offset


def warm(root: Path, start: Position) -> None:
    """Have the kernel bring in what is read next, in case it was written long ago."""
    with suppress(OSError):
        descriptor = os.open(segment_path(root, start.segment), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, start.offset, WARM_BYTES, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)


class Turn:
    """Lets everybody else run once our slice is used up."""

    def __init__(self, slice_s: float) -> None:
        self._slice_s = slice_s
        self._until = time.perf_counter() + slice_s

    async def over(self) -> None:
        """To be called between two pieces of work."""
        if time.perf_counter() >= self._until:
            await trio.lowlevel.checkpoint()
            self._until = time.perf_counter() + self._slice_s
