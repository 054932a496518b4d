"""Reads the journal up to its last fsync, derives rows and puts them into DuckDB.

It has no inbox: the journal is the queue, and the position stored with the rows says where to go
on. So nothing is lost whatever fails here, and the proxy never waits for it.
"""

import logging
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from appliance.actors.batch_helper import BatchHelper, BatchHelperEnded
from appliance.actors.batch_wire import Ask
from appliance.actors.frame_rows import Exchange, FrameDeriver, weight_of
from appliance.actors.ingest_parts import (
    IngestOptions,
    IngestStats,
    JournalTail,
    Turn,
    bytes_between,
    warm,
)
from storage.analytics import Analytics, AnalyticsFailed
from storage.batch import Batch, FrameRows
from storage.frames import Position
from storage.reader import Damage, read_frames
from storage.vault import SegmentKeys
from storage.writing_room import ROOM_BYTES_USUAL

log = logging.getLogger(__name__)
T = TypeVar("T")


class Ingest:
    """Owns the region's `Analytics`: opens it, feeds it, opens it again when it fails.

    `analytics` is None while there is none to ask. `open_analytics`, `rebuild` and `remove` block;
    `rebuild` sets a damaged file aside and `remove` deletes one, after which opening makes a new
    one whose position is where the lake ends, so that the journal's frames follow by themselves.
    """

    def __init__(
        self,
        journal: JournalTail,
        root: Path,
        deriver: FrameDeriver,
        *,
        open_analytics: Callable[[], Analytics],
        rebuild: Callable[[], None],
        remove: Callable[[], None] = lambda: None,
        helper: BatchHelper | None = None,
        keys: SegmentKeys | None = None,
        options: IngestOptions | None = None,
        prepare: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`prepare` is called once, in a thread, before rows are derived in this process."""
        self.analytics: Analytics | None = None
        self.position = Position(0, 0)
        self.stats = IngestStats()
        self._journal = journal
        self._root = root
        self._deriver = deriver
        self._open_analytics = open_analytics
        self._rebuild = rebuild
        self._remove = remove
        self._helper = helper
        self._keys = keys
        self._options = options or IngestOptions()
        self._prepare: Callable[[], None] | None = prepare
        self._clock = clock
        self._limiter = trio.CapacityLimiter(1)
        self._waiting = trio.CancelScope()
        self._gathering = trio.CancelScope()
        self._wanted = Position(0, 0)  # so far somebody waits for it
        self._progress = trio.Event()
        self._closing = False
        self._renewal: trio.Event | None = None  # set once the old database is gone
        self._failed_in_a_row = 0
        self._rebuilt_at: Position | None = None
        self._row_bytes_max = 0  # the database's word
        self._room_from_bytes = ROOM_BYTES_USUAL  # learned from a batch that did not fit
        self._out_of_memory = 0  # times, at the position where it is
        self._woken_at: float | None = None  # since when there is something left to do
        self._recorded_at = -math.inf  # of the newest exchange that is in
        self._had = journal.written  # how much was known before, here or by another process
        self._first_segment = journal.written.segment  # older frames are not the journal's count
        self._gathered_frames = 0
        self._taken_frames = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `close`. Started before DuckDB is open: serving does not wait for it."""
        task_status.started()
        try:
            while not await self._life():
                if self._closing:
                    return
                if self._renewal is None or not await self._removed(self._renewal):
                    await self._back_off()
        finally:
            if self._renewal is not None:
                self._renewal.set()
            if self._helper is not None:
                self._helper.close()
            # bounded: a checkpoint of at most 8 MiB of log, and replies do not wait for it
            with trio.move_on_after(self._options.close_s, shield=True):
                await self._close_analytics()

    async def caught_up(self, timeout_s: float) -> float | None:
        """Waits until every exchange that ended before this call is in. None when it is, else by
        how many milliseconds the answer may be stale."""
        goal = self._journal.written
        if self.analytics is not None and self.analytics.broken:
            self._waiting.cancel("the database is to be opened again")
        elif self.analytics is not None and self.position >= goal:
            return None
        self._behind()
        self._hasten()
        with trio.move_on_after(timeout_s):
            while self.analytics is None or self.analytics.broken or self.position < goal:
                await self._progress.wait()
            return None
        return self.stale_by_ms

    async def wait_past(self, position: Position) -> None:
        """Until the database holds more than up to there, or this is closed."""
        while self.position <= position and not self._closing:
            await self._progress.wait()

    async def wait_advanced(self) -> None:
        """Until more is in than was at this call, or the database was opened anew."""
        await self._progress.wait()

    async def renew(self) -> None:
        """Make the database anew from lake and journal; returns when it holds all that it held.
        Readers find none meanwhile. After a deletion: DuckDB leaves old bytes in its file. Raises
        AnalyticsFailed where this ends before the old one is gone."""
        goal = self._journal.written
        if self._renewal is None:
            self._renewal = trio.Event()
        renewal = self._renewal
        self._hasten()
        self._waiting.cancel("the database is to be made anew")
        if not self._closing:
            await renewal.wait()
        if self._renewal is renewal:
            raise AnalyticsFailed("the server ends before the database is made anew", damaged=False)
        while not self._closing and (self.analytics is None or self.position < goal):
            self._hasten()
            await self._progress.wait()

    def close(self) -> None:
        """`run` takes in what is fsynced, closes the database and returns."""
        self._closing = True
        self._hasten()
        self._progress.set()
        self._progress = trio.Event()  # one look of each who waits, not one after the other
        self._waiting.cancel("closing")

    @property
    def closing(self) -> bool:
        """Whether `close` was called: a database that is not open will not be."""
        return self._closing

    @property
    def lag_s(self) -> float:
        """The age of the newest exchange that may be missing."""
        if self._woken_at is None:
            return 0.0
        return max(0.0, self._clock() - max(self._woken_at, self._recorded_at))

    @property
    def stale_by_ms(self) -> float:
        """The same for an answer that lacks something: at least one, whatever the clock says."""
        return max(1.0, self.lag_s * 1000)

    @property
    def restoring(self) -> bool:
        """Whether the database lacks what it had, as after a deletion or a start: that something is
        not in it says nothing then."""
        return self.analytics is None or self.position < self._had

    @property
    def lag_frames(self) -> int:
        """Frames of this process that are not in yet."""
        return max(0, self._journal.stats.frames - self._taken_frames)

    # -- one opening of the database to its next failure

    async def _life(self) -> bool:
        """True when it ended because of `close`."""
        try:
            self.analytics = analytics = await self._in_thread(self._open_analytics)
            self._row_bytes_max = analytics.row_bytes_max
            analytics.room_from_bytes = self._room_from_bytes
            if self._helper is not None:
                self._helper.forget()
            self._advanced(analytics.position)
            while self._renewal is None and await self._frames_to_come(analytics):
                batch, end = await self._gather(self.position)
                if len(batch):
                    await self._in_thread(analytics.ingest, batch, end)
                    self.stats.batches += 1
                else:
                    analytics.pass_over(end)
                self._failed_in_a_row, self.stats.error = 0, None
                self._advanced(end)
        except Exception as error:
            self._failed_in_a_row += 1
            self.stats.failures += 1
            words = f"{type(error).__name__}: {error}".splitlines()[0]
            if words != self.stats.error:
                log.warning("ingest stands still and will try again: %s", words)
            self.stats.error = words
            failed = error if isinstance(error, AnalyticsFailed) else None
            if failed is not None and failed.wants_memory and not self._has_learned():
                self._out_of_memory += 1
            await self._after_failure(failed is not None and failed.damaged)
            return False
        return self._renewal is None

    def _has_learned(self) -> bool:
        """Whether the next batch of this size gets a reader's memory, which this one had not."""
        known = self._room_from_bytes
        if self.analytics is not None:
            self._room_from_bytes = self.analytics.room_from_bytes
        return self._room_from_bytes < known

    async def _removed(self, renewal: trio.Event) -> bool:
        """Whether the old database is out of the way."""
        await self._close_analytics()
        try:
            await self._in_thread(self._remove)
        except OSError as error:
            self._failed_in_a_row += 1
            self.stats.error = f"the database could not be removed: {error}"
            return False
        self._renewal = None
        renewal.set()
        return True

    async def _after_failure(self, damaged: bool) -> None:
        was_open = self.analytics is not None
        proven = self.analytics is not None and self.analytics.damaged
        await self._close_analytics()
        self.stats.reopened += 1
        if not proven and (not damaged or self._failed_in_a_row < self._options.rebuild_after):
            return
        if (again := self._rebuilt_at == self.position) and was_open:
            return  # a new file did not help: keep trying, do not fill the quarantine
        try:
            # What was made anew and cannot be opened holds nothing: the disk failed meanwhile.
            await self._in_thread(self._remove if again else self._rebuild)
        except OSError as error:
            log.warning("the damaged database could not be set aside: %s", error)
            return
        self.stats.rebuilt += not again
        self._rebuilt_at = self.position

    async def _back_off(self) -> None:
        doubled = self._options.retry_first_s * 2 ** min(self._failed_in_a_row - 1, 20)
        with trio.CancelScope() as self._waiting:
            await trio.sleep(min(doubled, self._options.retry_max_s))

    async def _close_analytics(self) -> None:
        analytics, self.analytics = self.analytics, None
        if analytics is not None:
            await self._in_thread(analytics.close)

    async def _frames_to_come(self, analytics: Analytics) -> bool:
        """Waits for some, and a while for a batch of them; False when closing and there are none.
        A batch of fewer rows goes through DuckDB's log and is written twice."""
        if self._journal.synced <= self.position:
            self._failed_in_a_row, self.stats.error = 0, None
            if self._journal.written <= self.position:
                self._woken_at = None
                if self._helper is not None:
                    self._helper.rest()
            with trio.CancelScope() as self._waiting:
                if self._closing or self._renewal is not None:
                    return False
                await self._journal.wait_synced_past(self.position)
            self._behind()
        if not (self._closing or analytics.broken or self.position < self._wanted):
            with trio.move_on_after(self._options.gather_s) as self._gathering:
                while not self._is_enough():
                    await self._journal.wait_synced_past(self._journal.synced)
        if analytics.broken:
            raise AnalyticsFailed("the database was invalidated", damaged=analytics.damaged)
        return self._journal.synced > self.position or not self._closing

    def _is_enough(self) -> bool:
        behind = bytes_between(self._root, self.position, self._journal.synced)
        options = self._options
        return self.lag_frames >= options.rows_max or behind >= options.text_bytes_max

    def _hasten(self) -> None:
        """Somebody waits for what is there."""
        self._wanted = self._journal.written
        self._gathering.cancel("somebody waits for it")

    async def _gather(self, start: Position) -> tuple[Batch, Position]:
        """The next batch. A large backlog and large records are the helper's: on the loop they
        would cost those who are served."""
        goal = self._journal.synced
        if self._helper is None:
            return await self._gather_here(start, goal)
        few = bytes_between(self._root, start, goal) < self._options.helper_bytes
        if few and not self._helper.is_ahead(start):
            batch, end = await self._gather_here(start, goal)
            if end > start or start >= goal:
                return batch, end
        try:
            return await self._gather_there(self._helper, start, goal)
        except (BatchHelperEnded, OSError) as error:
            log.warning("ingest goes on without its helper process: %s", error)
            return await self._gather_here(start, goal, alone=error)

    async def _gather_there(
        self, helper: BatchHelper, start: Position, goal: Position
    ) -> tuple[Batch, Position]:
        """Raises BatchHelperEnded (twice in a row), OSError (there is none to be had)."""
        options = self._options
        ask = Ask(
            start,
            goal,
            rows_max=1 if self._out_of_memory else options.rows_max,
            text_bytes_max=options.text_bytes_max,
            large_bytes=options.large_bytes,
            bare=self._out_of_memory >= options.bare_after,
            first_segment=self._first_segment,
            row_bytes_max=self._row_bytes_max,
            hurry=self.position < self._wanted or self.lag_s > options.hurry_from_s,
        )
        try:
            gathered, batch = await self._in_thread(helper.gather, ask)
        except BatchHelperEnded:  # it may have rested, and was ending
            gathered, batch = await self._in_thread(helper.gather, ask)
        self._deriver.counts.add(gathered.counts)
        self._gathered_frames += gathered.counted
        if gathered.recorded_at_us:
            self._recorded_at = gathered.recorded_at_us / 1e6
        for damage in gathered.damages:
            self._damaged(Damage(damage.segment, damage.offset, damage.bytes, damage.reason))
        return batch, Position(*gathered.end)

    async def _gather_here(
        self, start: Position, goal: Position, *, alone: Exception | None = None
    ) -> tuple[Batch, Position]:
        """Ends before a large record, so that it is the helper's; `alone`: why there is none. Then
        one that has ended it loses its bodies, or it would end the server too."""
        batch, end, options = Batch(self._row_bytes_max), start, self._options
        turn = Turn(options.slice_s)
        # Read on the loop: what was just written is in the page cache, and Python work in a second
        # thread would cost every request more than the reading does.
        await self._in_thread(warm, self._root, start)
        if self._prepare is not None:
            prepare, self._prepare = self._prepare, None
            await self._in_thread(prepare)
        for frame in read_frames(
            self._root, start, upto=goal, keys=self._keys, on_damage=self._damaged
        ):
            opened = self._deriver.opened(frame)
            weight = weight_of(opened)
            large = self._helper is not None and weight >= options.large_bytes
            if (large and (alone is None or len(batch))) or (
                len(batch) and weight >= options.text_bytes_max
            ):
                # Read again, for a batch of its own: joined with others its text would be copied.
                self._deriver.counts.frames -= 1
                break
            if large and isinstance(opened, Exchange) and isinstance(alone, BatchHelperEnded):
                rows = self._deriver.derived(opened, failed=alone)
            else:
                rows = await self._rows_of(opened)
            if self._out_of_memory >= options.bare_after and weight >= options.large_bytes:
                rows = self._deriver.without_bodies(rows, MemoryError("too large for the database"))
            batch.add(rows, frame.flags)
            end = frame.end
            self._gathered_frames += frame.position.segment >= self._first_segment
            await turn.over()
            # Out of memory: one by one, until it is past the one that is too large.
            if large or self._out_of_memory or options.is_full(batch):
                break
        else:
            end = goal
        for _ in batch.pack():
            await turn.over()
        return batch, end

    async def _rows_of(self, opened: Exchange | FrameRows) -> FrameRows:
        if isinstance(opened, FrameRows):
            return opened
        recorded_at_us = opened.meta.get("recorded_at_us")
        if isinstance(recorded_at_us, int):
            self._recorded_at = recorded_at_us / 1e6
        try:
            if opened.body_bytes <= self._options.aside_bytes and not opened.in_blobs:
                bodies = self._deriver.bodies(opened)
            else:
                bodies = await self._in_thread(self._deriver.bodies, opened)
        except Exception as error:
            return self._deriver.derived(opened, failed=error)
        return self._deriver.derived(opened, *bodies)

    def _behind(self) -> None:
        if self._woken_at is None:
            self._woken_at = self._clock()

    def _damaged(self, damage: Damage) -> None:
        self.stats.damages += 1
        log.warning("unreadable bytes in the journal: %s", damage)

    def _advanced(self, position: Position) -> None:
        if position > self.position:  # what is read a second time after a failure counts once
            self._taken_frames += self._gathered_frames
            self._out_of_memory = 0
        if position >= self._journal.written:
            self._taken_frames = self._journal.stats.frames
        self._gathered_frames = 0
        self.position = position
        self._had = max(self._had, position)
        self._progress.set()
        self._progress = trio.Event()

    async def _in_thread(self, call: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(partial(call, *arguments), limiter=self._limiter)
