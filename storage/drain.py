"""The half of the journal that writes from a thread: slow disks, failures, new segments.

Between the spool's state and the group commit of `journal.py`. State is changed on the loop only;
threads make system calls.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import trio

from storage.backlog import Entry, rewritten
from storage.directory import Reserve
from storage.disk import Disk
from storage.spool import HISTOGRAM_BUCKETS, JournalOptions, Spool
from storage.vault import SegmentKeys
from storage.writer import Encoded, SegmentWriter

BATCH_BYTES_MAX = 4 * 1024 * 1024
BATCH_SHRINK = 8  # a failed batch is followed by a smaller one: less room may be enough for it
SLICE_FRAMES = 256  # encoded at one go on the loop: well under 1 ms
QUICK_WRITES_TO_RETURN = 8

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class Drain(Spool):
    """Brings queued frames to disk, in order, one batch and one system call at a time."""

    def __init__(
        self,
        directory: Path,
        *,
        region: str,
        options: JournalOptions,
        keyring: SegmentKeys | None,
        clock: Callable[[], float],
        disk: Disk,
        number: int,
    ) -> None:
        super().__init__(directory, options=options, clock=clock, disk=disk, number=number)
        self._region = region
        self._keyring = keyring
        self._number = number
        self._reserve = Reserve(directory / "journal" / "reserve", options.reserve_bytes)
        self._reserve_is_out = False
        self._spare: SegmentWriter | None = None
        self._rotate_upto = 0
        self._last_sync_s = 0.0
        self._installed_number = 0
        self._batch_bytes = BATCH_BYTES_MAX
        self._write_limiter = trio.CapacityLimiter(1)
        self._prepare_limiter = trio.CapacityLimiter(1)  # in the order of numbers
        self._closing = trio.Event()
        self._may_abandon_threads = False

    async def _write_loop(self) -> None:
        while not self._closing.is_set():
            if self._is_idle():
                self._work = trio.Event()
                await self._work.wait()
                continue
            if self._space_wanted:
                await self._give_space()
            wait_s = self._trouble.retry_at_s - self._clock()
            if wait_s > 0:
                with trio.move_on_after(wait_s):
                    await self._closing.wait()
                continue
            await self._drain_once()
            if self._trouble.reason is not None:
                await self._until_covered()

    async def _until_covered(self) -> None:
        """In trouble each batch is fsynced before the next: what is safe is not written again."""
        segment = self._segment
        while segment is not None and segment is self._segment and not self._closing.is_set():
            if not len(segment.unsynced) and not len(segment.syncing):
                return
            await self._settled.park()

    def _is_idle(self) -> bool:
        segment = self._segment
        if not self._threaded:
            return True  # the loop writes, and rotation is the commit's work
        return segment is not None and not len(self._queue) and not self._rotation_due(segment)

    async def _drain_once(self) -> None:
        """One batch from the queue to the segment."""
        try:
            segment = await self._ready_segment()
        except OSError as error:
            self._fail(error)
            return
        batch = self._inflight = self._queue.take(self._batch_bytes)
        if not batch:
            return
        try:
            encoded = await self._encoded(segment, batch)
            if not segment.failed:  # an fsync may have failed meanwhile
                began_s, error_seen = self._clock(), None
                try:
                    await self._in_thread(self._write_limiter, segment.write_encoded, encoded)
                except OSError as error:
                    error_seen = error
                self._drained(segment, encoded, error_seen, self._clock() - began_s)
        finally:
            if self._inflight:
                self._queue.put_back(self._inflight)
                self._inflight = []

    def _drained(
        self, segment: SegmentWriter, encoded: Encoded, error: OSError | None, took_s: float
    ) -> None:
        if error is not None:
            self._give_up(segment, error)
        if segment.failed:
            self._batch_bytes = self._batch_bytes // BATCH_SHRINK + 1
            self._stats.rewritten += len(self._inflight)
            self._inflight = list(map(rewritten, self._inflight))  # put back by the caller
            return
        batch, self._inflight = self._inflight, []
        segment.wrote(encoded, batch)
        self._batch_bytes = min(BATCH_BYTES_MAX, self._batch_bytes * 2)
        count(self._stats.write_us, took_s)
        self._stats.write_total_s += took_s
        self._make_dirty()
        self._settled.unpark_all()
        slow = took_s > self._options.slow_write_s or self._sync_is_slow()
        self._quick_writes = 0 if slow else self._quick_writes + 1
        quick = self._quick_writes >= QUICK_WRITES_TO_RETURN and not self._trouble.failures
        if quick and not len(self._queue):
            self._threaded = False

    async def _encoded(self, segment: SegmentWriter, batch: list[Entry]) -> Encoded:
        encoded = segment.encode(batch[:SLICE_FRAMES])
        for start in range(SLICE_FRAMES, len(batch), SLICE_FRAMES):
            await trio.lowlevel.checkpoint()
            encoded = segment.encode(batch[start : start + SLICE_FRAMES], encoded)
        return encoded

    async def _ready_segment(self) -> SegmentWriter:
        """The segment to write to, a new one where the last is full or was given up."""
        segment = self._segment
        if segment is not None and not self._rotation_due(segment):
            return segment
        fresh, self._spare = self._spare, None
        if fresh is not None and fresh.number < self._installed_number:
            fresh.discard()
            fresh = None
        if fresh is None:
            fresh = await self._in_thread(
                self._prepare_limiter, self._prepared, self._next_number()
            )
        try:
            await self._in_thread(self._write_limiter, self._published, fresh)
        except BaseException:
            fresh.discard()
            raise
        self._install(fresh)
        return fresh

    async def _give_space(self) -> None:
        """The reserve goes at the first ENOSPC, so that what follows has room at once."""
        self._space_wanted = False
        with suppress(OSError):
            released = await self._in_thread(self._write_limiter, self._reserve.release)
            if released:
                self._reserve_is_out = True
                self._trouble.retry_at_s = 0.0

    def _rotation_due(self, segment: SegmentWriter) -> bool:
        full = segment.end >= self._options.segment_bytes_max
        return segment.frames > 0 and (full or segment.number <= self._rotate_upto)

    def _prepared(self, number: int) -> SegmentWriter:
        return SegmentWriter.prepare(
            self._directory, self._disk, number=number, region=self._region, keys=self._keyring
        )

    def _published(self, segment: SegmentWriter) -> SegmentWriter:
        try:
            segment.publish()
        except OSError:
            segment.discard()
            raise
        return segment

    def _install(self, segment: SegmentWriter) -> None:
        if self._segment is not None:
            self._retired.append(self._segment)
        self._segment = segment
        self._installed_number = segment.number
        segment.is_expendable = self._trouble.reason is not None
        self._make_dirty()

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _sync_is_slow(self) -> bool:
        out_s = self._clock() - self._sync_began_s
        return max(out_s, self._last_sync_s) > self._options.slow_sync_s

    async def _in_thread(
        self, limiter: trio.CapacityLimiter, work: Callable[[*Ts], T], *args: *Ts
    ) -> T:
        return await trio.to_thread.run_sync(
            work, *args, limiter=limiter, abandon_on_cancel=self._may_abandon_threads
        )


def count(histogram: list[int], took_s: float) -> None:
    histogram[min(int(took_s * 1e6).bit_length(), HISTOGRAM_BUCKETS - 1)] += 1
