"""The journal: append-only segments, one frame per fact, fsynced in groups.

`append` (spool.py) is called on the loop and writes there, into the page cache. The tasks here
fsync, rotate, write from a thread while the disk is slow, and recover after failures. State is
changed on the loop only; threads make system calls.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path

import trio

from storage.backlog import Held
from storage.disk import Disk
from storage.drain import Drain, count
from storage.frames import Position
from storage.reader import Damage, FrameUnreadable, erase_frame, read_frame, read_frames
from storage.recovery import JournalRefused, TornTail, highest_number, recover
from storage.segment import SegmentInfo, segments
from storage.spool import JournalOptions, JournalStats, Ticket
from storage.trouble import NO_SPACE
from storage.vault import SegmentKeys
from storage.writer import SegmentWriter

__all__ = [
    "Damage", "FrameUnreadable", "Journal", "JournalOptions", "JournalRefused", "JournalStats",
    "SegmentInfo", "Ticket", "TornTail", "erase_frame", "read_frame", "read_frames", "segments",
]  # fmt: skip

UPKEEP_S = 1.0  # how often a degraded journal looks whether it can recover
ROTATE_RETRY_S = 1.0
CLOSE_WAIT_S = 20.0
CLOSE_TRIES = 3


class Journal(Drain):
    """Opened by the one process that holds the root's lock; `directory` is the root."""

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
        before_sync: Callable[[], None] | None,
    ) -> None:
        super().__init__(
            directory, region=region, options=options, keyring=keyring, clock=clock, disk=disk,
            number=number,
        )  # fmt: skip
        self.torn_tail: TornTail | None = None
        self._before_sync = before_sync
        self._rotate_retry_at_s = -inf
        self._sync_limiter = trio.CapacityLimiter(1)
        self._is_run = False
        self._ended = trio.Event()

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        region: str,
        options: JournalOptions | None = None,
        keyring: SegmentKeys | None = None,
        clock: Callable[[], float] = time.perf_counter,
        disk: Disk | None = None,
        before_sync: Callable[[], None] | None = None,
    ) -> "Journal":
        """Blocking. A full or failing disk leaves a journal that is degraded, not an error.

        `before_sync` runs in the fsync's thread, before it: what frames refer to is synced first.
        Raises JournalRefused when the directory is another region's.
        """
        disk = disk or Disk()
        trouble: OSError | None = None
        torn = None
        try:
            torn = recover(directory, disk, region)
        except OSError as error:
            trouble = error  # an uncut tail is passed over by readers once a newer segment exists
        journal = cls(
            directory, region=region, options=options or JournalOptions(), keyring=keyring,
            clock=clock, disk=disk, number=highest_number(directory), before_sync=before_sync,
        )  # fmt: skip
        journal.torn_tail = torn
        journal._start(trouble)
        return journal

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Group commit, rotation, recovery; cancelled or `close` ends it."""
        assert not self._is_run, "a journal has one run"
        self._is_run = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_loop)
                nursery.start_soon(self._sync_loop)
                task_status.started()
        finally:
            self._ended.set()

    async def settle(self, ticket: Ticket) -> None:
        """Strict: until an fsync covers the frame. Slow or failing disk: at most `reply_wait_s`.

        Fails open: the reply leaves, the record is counted late and stays in memory.
        """
        sequence = ticket.sequence
        if self._strict:
            with trio.move_on_after(self._options.strict_wait_s):
                while not self._is_synced(sequence) and not self._trouble.failures:
                    await self._settled.park()
            if self._is_synced(sequence):
                return
        with trio.move_on_after(self._options.reply_wait_s):
            while not self._is_written(sequence):
                await self._settled.park()
        if self._strict or not self._is_written(sequence):
            self._stats.late_records += 1
            self._late_sequence = max(self._late_sequence, sequence)

    async def wait_written(self) -> None:
        """Until every frame that was appended before this call has left memory."""
        sequence = self._sequence
        while not self._is_written(sequence):
            await self._settled.park()

    async def wait_synced_past(self, position: Position) -> None:
        while self._synced <= position:
            await self._settled.park()

    async def rotate(self) -> None:
        """Closes the current segment if it holds frames; returns when it is closed or given up."""
        segment = self._segment
        if segment is None or not segment.frames:
            return
        self._rotate_upto = segment.number
        self._make_dirty()
        while not (segment.closed or segment.failed):
            await self._settled.park()

    async def close(self) -> None:
        """Writes what waits, final fsync, footer. Bounded: a dead disk does not hold us."""
        self._closing.set()
        self._dirty.set()
        self._work.set()
        self._settled.unpark_all()
        with trio.move_on_after(CLOSE_WAIT_S, shield=True):
            if self._is_run:
                await self._ended.wait()
            self._may_abandon_threads = True
            for _ in range(CLOSE_TRIES):
                await self._finish()
                if not self._retired and not len(self._queue):
                    break
            for segment in self._given_up:
                await self._in_thread(self._sync_limiter, segment.put_away)
        self._settled.unpark_all()

    def _start(self, trouble: OSError | None) -> None:
        try:
            free_bytes = self._disk.free_bytes(self._directory)
            self._reserve_is_out = not self._reserve.make(free_bytes)
            self._install(self._published(self._prepared(self._next_number())))
        except OSError as error:
            trouble = error
        if trouble is not None:
            self._fail(trouble)
        elif self._reserve_is_out:
            self._trouble.reason = NO_SPACE
        if self._segment is not None:
            self._synced = self.written
        else:
            self._go_threaded()

    async def _sync_loop(self) -> None:
        next_s = -inf
        while not self._closing.is_set():
            with trio.move_on_after(UPKEEP_S if self.degraded else inf):
                await self._dirty.wait()
            # Strict has callers that wait: the next fsync begins as soon as the last is done.
            if not self._strict:
                await trio.sleep_until(next_s)
            next_s = trio.current_time() + self._options.sync_interval_s
            await self._commit()

    async def _commit(self) -> None:
        self._is_dirty = False
        self._dirty = trio.Event()
        if self._segment is not None and self._rotation_due(self._segment):
            await self._rotate_now()
        jobs = [*self._retired, *([self._segment] if self._segment is not None else [])]
        last = len(self._retired)
        for segment in jobs:
            segment.begin_sync()
        closable: list[SegmentWriter] = []
        if not self._inflight:  # else the writing thread may still hold a descriptor
            closable, self._given_up = self._given_up, []
        failures = self._stats.failures
        covers_frames = any(len(segment.syncing) for segment in jobs)
        self._sync_began_s = began_s = self._clock()
        try:
            errors = await self._in_thread(self._sync_limiter, self._sync_all, jobs, last, closable)
        finally:
            self._sync_began_s = inf
        self._last_sync_s = self._clock() - began_s
        self._stats.syncs += 1
        count(self._stats.sync_us, self._last_sync_s)
        self._stats.sync_total_s += self._last_sync_s
        if self._sync_is_slow():
            self._go_threaded()
        for segment, error in zip(jobs, errors, strict=True):
            self._synced_one(segment, error)
        if jobs and self._stats.failures == failures:
            if covers_frames:
                self._trouble.failures = 0  # it gets on: no reason to wait between tries
            await self._recovered()
        self._settled.unpark_all()

    def _sync_all(
        self, jobs: list[SegmentWriter], last: int, closable: list[SegmentWriter]
    ) -> list[OSError | None]:
        """In the thread. The first `last` segments are done with and get their footer."""
        for segment in closable:
            segment.put_away()
        if self._before_sync is not None:
            self._before_sync()
        errors: list[OSError | None] = []
        for index, segment in enumerate(jobs):
            try:
                segment.sync(last=index < last)
                errors.append(None)
            except OSError as error:
                errors.append(error)
        return errors

    def _synced_one(self, segment: SegmentWriter, error: OSError | None) -> None:
        if error is not None:
            self._give_up(segment, error)
        if segment.failed:
            return
        segment.is_expendable &= not len(segment.syncing)
        segment.syncing = Held()
        self._synced = max(self._synced, Position(segment.number, segment.syncing_end))
        if segment.closed:
            self._retired.remove(segment)

    async def _recovered(self) -> None:
        """After good fsyncs: the trouble is over when all that it held up is on disk."""
        if self._segment is None or not self._is_synced(self._trouble_sequence):
            return
        self._trouble.failures = 0
        if self._trouble.reason is None:
            return
        if self._reserve_is_out:
            self._trouble.reason = NO_SPACE
            with suppress(OSError):
                made = await self._in_thread(self._sync_limiter, self._remake_reserve)
                self._reserve_is_out = not made
        self._end_trouble()

    def _end_trouble(self) -> None:
        if not self._reserve_is_out and not self._trouble.failures:
            if self._segment is not None:
                self._segment.is_expendable = False
            self._trouble.ended()

    def _remake_reserve(self) -> bool:
        return self._reserve.make(self._disk.free_bytes(self._directory))

    async def _rotate_now(self) -> None:
        """Makes the next segment in a thread while this one is written on, then swaps."""
        if self._threaded:
            self._work.set()  # the writing task rotates between two batches
            return
        if self._clock() < self._rotate_retry_at_s:
            return
        try:
            fresh = await self._in_thread(
                self._prepare_limiter, self._prepared, self._next_number()
            )
            self._swap_to(fresh)
        except OSError:
            # The segment in hand still takes frames; it grows until a new one can be made.
            self._rotate_retry_at_s = self._clock() + ROTATE_RETRY_S

    def _swap_to(self, fresh: SegmentWriter) -> None:
        if fresh.number < self._installed_number:
            fresh.discard()  # the writing task was quicker; numbers only rise
        elif self._threaded:  # since: the writing task swaps, after the batch it has in hand
            self._spare = fresh
            self._work.set()
        else:
            self._install(self._published(fresh))

    async def _finish(self) -> None:
        """One try to bring everything to disk and close it."""
        if self._spare is not None:
            self._spare.discard()
            self._spare = None
        if self._space_wanted:
            await self._give_space()
        failures = self._stats.failures
        while len(self._queue) and self._stats.failures == failures:
            await self._drain_once()
            if self._trouble.reason is not None:
                await self._commit()
        if self._segment is not None:
            self._last_written = self.written
            self._retired.append(self._segment)
            self._segment = None
        await self._commit()
