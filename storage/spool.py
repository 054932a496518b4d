"""The journal's state and what changes it without waiting: append, hold back, give up a segment.

Everything here runs on the loop and is atomic. `journal.py` adds the tasks that write, fsync,
rotate and recover.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Literal, NamedTuple

import trio

from storage.backlog import ENTRY_OVERHEAD_BYTES, Entry, Held, entry_bytes, rewritten, trim
from storage.disk import Disk
from storage.frames import PAYLOAD_BYTES_MAX, Position
from storage.trouble import SLOW, Trouble
from storage.writer import SegmentWriter

HISTOGRAM_BUCKETS = 24  # bucket n counts calls under 2**n microseconds, the last all above


@dataclass(frozen=True)
class JournalOptions:
    durability: Literal["normal", "strict"] = "normal"
    segment_bytes_max: int = 64 * 1024 * 1024  # closed by the first group commit above it
    backlog_bytes_max: int = 64 * 1024 * 1024  # unwritten and unsynced frames in memory
    sync_interval_s: float = 0.05
    slow_write_s: float = 0.02
    slow_sync_s: float = 0.25
    reserve_bytes: int = 32 * 1024 * 1024
    reply_wait_s: float = 0.02
    strict_wait_s: float = 30.0  # then a strict reply leaves as late: none hangs for ever


@dataclass
class JournalStats:
    """Counts since the start; backlog and unsynced are of this moment. Of all writes to the
    journal, and of all fsyncs: how many took less than 2**n microseconds, and how long together.
    """

    frames: int = 0
    bytes: int = 0
    syncs: int = 0
    failures: int = 0
    rewritten: int = 0
    late_records: int = 0
    bodies_dropped: int = 0
    records_dropped: int = 0
    unsynced_bytes: int = 0
    backlog_bytes: int = 0
    backlog_frames: int = 0
    write_us: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_BUCKETS)
    sync_us: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_BUCKETS)
    write_total_s: float = 0.0
    sync_total_s: float = 0.0


class Ticket(NamedTuple):
    """A reply that should wait: hand it to `settle`. `is_written`: only for the fsync; the frame
    ends where the journal does."""

    sequence: int
    is_written: bool = False


class Spool:
    """One segment to write to, older ones on their way out, and frames held in memory."""

    def __init__(
        self,
        directory: Path,
        *,
        options: JournalOptions,
        clock: Callable[[], float],
        disk: Disk,
        number: int,
    ) -> None:
        self._directory = directory
        self._options = options
        self._clock = clock
        self._disk = disk
        self._strict = options.durability == "strict"
        self._held_bytes_unchecked = options.backlog_bytes_max // 4  # four lists, hence
        self._stats = JournalStats()
        self._trouble = Trouble()

        self._segment: SegmentWriter | None = None
        self._retired: list[SegmentWriter] = []  # full: await their last fsync and the footer
        self._given_up: list[SegmentWriter] = []  # failed: await the closing of their descriptor
        # All that earlier processes left counts; what comes has the next number.
        self._last_written = self._synced = Position(number + 1, 0)

        self._sequence = 0
        self._late_sequence = 0
        self._trouble_sequence = 0  # the last frame there was when something failed
        self._queue = Held()
        self._inflight: list[Entry] = []  # with the writing thread
        self._threaded = False
        self._quick_writes = 0
        self._sync_began_s = inf
        self._is_dirty = False
        self._space_wanted = False

        self._dirty = trio.Event()
        self._work = trio.Event()
        self._settled = trio.lowlevel.ParkingLot()

    def append(self, kind: int, org: bytes, payload: bytes, flags: int = 0) -> Ticket | None:
        """Never raises for disk trouble, never blocks but for one write to the page cache.

        None: the frame is in the page cache and nobody need wait.
        """
        assert 0 < len(payload) <= PAYLOAD_BYTES_MAX, "the caller spills what is larger"
        assert len(org) == 16, "an organisation is 16 bytes"
        self._sequence = sequence = self._sequence + 1
        self._stats.bytes += len(payload)
        entry = (sequence, kind, flags, org, payload)
        segment = self._segment
        began_s = self._clock()
        sync_is_slow = began_s - self._sync_began_s > self._options.slow_sync_s
        if self._threaded or sync_is_slow or segment is None:
            return self._enqueue(entry)
        try:
            segment.write(kind, flags, org, payload)
        except OSError as error:
            self._give_up(segment, error)
            return self._enqueue(rewritten(entry))
        unsynced = segment.unsynced
        unsynced.full.append(entry)
        unsynced.bytes += len(payload) + ENTRY_OVERHEAD_BYTES
        took_s = self._clock() - began_s
        self._stats.write_us[min(int(took_s * 1e6).bit_length(), HISTOGRAM_BUCKETS - 1)] += 1
        self._stats.write_total_s += took_s
        if took_s > self._options.slow_write_s:
            self._go_threaded()
        if not self._is_dirty:
            self._make_dirty()
        if unsynced.bytes > self._held_bytes_unchecked:
            self._trim()
        return Ticket(sequence, is_written=True) if self._strict else None

    @property
    def written(self) -> Position:
        """First byte after the last frame in the page cache."""
        segment = self._segment
        return self._last_written if segment is None else Position(segment.number, segment.end)

    @property
    def holds_back(self) -> bool:
        """Whether frames wait in memory for a slow or failing disk."""
        return not self._is_written(self._sequence)

    @property
    def synced(self) -> Position:
        """First byte after the last frame that an fsync covers; never goes back."""
        return self._synced

    @property
    def degraded(self) -> str | None:
        """`journal;reason=<word>` while records are not safe as promised."""
        reason = self._trouble.reason
        late = self._late_sequence
        if reason is None and late and not self._is_written(late):
            reason = SLOW  # replies have left before their records were written
        return None if reason is None else f"journal;reason={reason}"

    @property
    def stats(self) -> JournalStats:
        stats = self._stats
        queued = sum(map(entry_bytes, self._inflight))
        stats.backlog_bytes = self._queue.bytes + queued
        stats.backlog_frames = len(self._queue) + len(self._inflight)
        stats.unsynced_bytes = sum(h.bytes for h in self._held_lists()) + queued
        stats.frames = self._sequence
        return stats

    def _enqueue(self, entry: Entry) -> Ticket:
        if not self._threaded:
            self._go_threaded()
        self._queue.add(entry)
        self._trim()
        self._work.set()
        return Ticket(entry[0])

    def _go_threaded(self) -> None:
        self._threaded = True
        self._quick_writes = 0

    def _make_dirty(self) -> None:
        self._is_dirty = True
        self._dirty.set()

    def _give_up(self, segment: SegmentWriter, error: OSError) -> None:
        """That file is never written or synced again; its unsynced frames go into the queue."""
        if segment.failed:
            return
        segment.failed = True
        self._fail(error)
        if segment is self._segment:
            self._last_written = self.written
            self._segment = None
        else:
            self._retired.remove(segment)
        self._given_up.append(segment)
        self._make_dirty()  # the next commit closes it
        for held in (segment.syncing, segment.unsynced):
            entries = held.take_all()
            self._stats.rewritten += len(entries)
            self._stats.bodies_dropped += held.bodies_dropped
            self._stats.records_dropped += held.records_dropped
            self._queue.put_back(map(rewritten, entries))
        segment.syncing, segment.unsynced = Held(), Held()
        self._go_threaded()
        self._work.set()

    def _fail(self, error: OSError) -> None:
        self._stats.failures += 1
        self._trouble_sequence = self._sequence
        self._trouble.failed(error, self._clock())
        self._space_wanted |= self._trouble.is_no_space
        self._settled.unpark_all()

    def _trim(self) -> None:
        """Copies of what lies in the page cache go first: they matter only if an fsync fails."""
        queue = self._queue
        bodies, records = queue.bodies_dropped, queue.records_dropped
        inflight_bytes = sum(map(entry_bytes, self._inflight))
        trim(list(self._held_lists()), self._options.backlog_bytes_max - inflight_bytes)
        self._stats.bodies_dropped += queue.bodies_dropped - bodies
        self._stats.records_dropped += queue.records_dropped - records

    def _held_lists(self) -> Iterator[Held]:
        yield from self._unsynced_lists()
        yield self._queue

    def _unsynced_lists(self) -> Iterator[Held]:
        current = [self._segment] if self._segment is not None else []
        for segment in (*self._retired, *current):
            yield segment.syncing
            yield segment.unsynced

    def _is_written(self, sequence: int) -> bool:
        """Whether the frame has left memory (or was dropped, which the counts say)."""
        queued = self._queue.first_sequence()
        if self._inflight and sequence >= self._inflight[0][0]:
            return False
        return queued is None or sequence < queued

    def _is_synced(self, sequence: int) -> bool:
        firsts = (held.first_sequence() for held in self._unsynced_lists())
        return self._is_written(sequence) and all(f is None or sequence < f for f in firsts)
