"""Decides when closed segments move into the lake, and has the helper process do it.

It owns the order of a change: the helper writes files and manifest, then the queries' views are
swapped, then what was replaced is removed. A failure anywhere is retried; the next start finishes
what was left. Nothing here imports PyArrow.
"""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import trio

from appliance.actors.lake_helper import Helper, HelperFailed, HelperProcess, Message
from appliance.actors.lake_jobs import as_json, packed_keys, rollable, to_bytes, to_text, within
from appliance.actors.roller_options import RollerOptions, RollerStats
from storage.analytics import Analytics, AnalyticsFailed
from storage.frames import KIND_DELETION, Position
from storage.lake import Lake, Tidied, intent
from storage.manifest import ManifestDamaged
from storage.segment import SegmentInfo, segments

log = logging.getLogger(__name__)
T = TypeVar("T")

SHRINK_BYTES = 32 * 2**20
SHRINK_TAIL_BYTES = 32 * 2**20
FAILURES = (HelperFailed, AnalyticsFailed, ManifestDamaged, OSError)


class JournalEnd(Protocol):
    """What the roller needs of the journal."""

    @property
    def written(self) -> Position: ...
    @property
    def degraded(self) -> str | None: ...
    def append(self, kind: int, org: bytes, payload: bytes, flags: int = 0) -> object: ...
    async def wait_synced_past(self, position: Position) -> None: ...
    async def rotate(self) -> None: ...


class Hot(Protocol):
    """Who owns the hot rows (ingest). `analytics` is None while the database is not open."""

    @property
    def analytics(self) -> Analytics | None: ...


ForgetCached = Callable[[frozenset[bytes] | None], Awaitable[object]]
RetainCopies = Callable[[int], Awaitable[object]]


class DeletionRefused(Exception):  # noqa: N818 - an answer
    """The intent could not be made safe: nothing was deleted."""


class Roller:
    """One region's. Segments are rolled once they are closed and ingested."""

    def __init__(
        self,
        lake: Lake,
        journal: JournalEnd,
        hot: Hot,
        *,
        helper: Helper,
        rebuild_hot: Callable[[], Awaitable[None]] | None = None,
        forget_cached: ForgetCached | None = None,
        retain_copies: RetainCopies | None = None,
        job: Mapping[str, Any] | None = None,
        options: RollerOptions | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`rebuild_hot` makes a new database file after a deletion: DuckDB leaves old bytes in
        its file; `forget_cached` drops what deleted exchanges left in the response cache, of all
        exchanges for None; `retain_copies` applies retention to copies elsewhere, given the time in
        microseconds. `job` is added to every job (prices)."""
        self.stats = RollerStats()
        self._lake = lake
        self._journal = journal
        self._hot = hot
        self._helper = helper
        self._rebuild_hot = rebuild_hot
        self._forget_cached = forget_cached
        self._retain_copies = retain_copies
        self._options = options or RollerOptions()
        self._clock = clock
        self._one_change = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)
        self._waiting = trio.CancelScope()
        self._closing = False
        self._failed_in_a_row = 0
        self._kept_at_s: float | None = None
        self._shown = lake.manifest.generation
        self.deletions_are_finished = False
        self._old_blobs: list[str] = []
        self._job = {
            **(job or {}),
            "root": str(lake.root),
            "deletion_key": to_text(lake.deletion_key) if lake.deletion_key else None,
        }

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `close`. Whatever failed is tried again, ever later."""
        if self._lake.recovered:
            log.warning("the lake's manifest was made anew: %s", self._lake.recovered)
        await self._in_thread(self._lake.sweep_orphans)
        # All of them are of earlier processes: nothing is served before this has started.
        self._old_blobs = await self._in_thread(lambda: list(self._lake.blob_names()))
        task_status.started()
        wait_s = self._options.first_look_s
        while not await self._closed_within(wait_s):
            wait_s = self._options.look_s
            try:
                await self._look()
                self._failed_in_a_row, self.stats.error = 0, None
            except FAILURES as error:
                wait_s = self._failed(error)
                await self._clean_up()

    def close(self) -> None:
        """`run` returns after what it is doing; cancel it to end that too, without harm."""
        self._closing = True
        self._waiting.cancel("closing")

    async def roll_now(self) -> int:
        """Roll everything that is closed and ingested, due or not; how many segments went."""
        return await self._roll_all(force=True)

    async def keep_now(self) -> int:
        """Apply retention, due or not; how many exchanges were dropped."""
        return await self._keep()

    async def forget(self, selector: Mapping[str, Any]) -> int:
        """Delete exchanges for good: `exchange_ids` (list of bytes), `organization` (bytes),
        `user_id`, `session_id`, `created_since_us`, `created_until_us`, all that are given
        together. How many were found.

        Raises DeletionRefused, and what makes rolling fail. What is in the journal by then is
        finished by `run`.
        """
        async with self._one_change, self._helper.process() as process:
            await self._finish(process)
            found: dict[bytes, bytes] = {}

            def hear(message: Message) -> None:
                for exchange_id, org in message.get("found", ()):
                    found[to_bytes(exchange_id)] = to_bytes(org)

            await process.run(self._a_job("find", **as_json(selector)), hear)
            if found:
                self.deletions_are_finished = False  # until it is: a failure is taken up by `run`
                await self._announce(found)
                await self._hide(list(found))
                await self._delete(process, frozenset(found))
                self.deletions_are_finished = True
            return len(found)

    async def finish_deletions(self) -> None:
        """Those that were begun: nothing of them is left in any file. Raises as `forget` does."""
        if not self.deletions_are_finished:
            async with self._one_change, self._helper.process() as process:
                await self._finish(process)

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Nothing is rolled, deleted or dropped meanwhile."""
        async with self._one_change:
            yield

    @property
    def rolled_upto(self) -> int:
        """The last segment whose rows are the lake's."""
        return self._lake.manifest.upto_segment

    async def verify(self) -> Message:
        """The report of `storage.verify` over what lies in the directory, as a map. Not during a
        roll: it would find what is on its way missing."""
        async with self._one_change, self._helper.process() as process:
            return await process.run(self._a_job("verify"), _ignore)

    async def _closed_within(self, wait_s: float) -> bool:
        with trio.move_on_after(0 if self._closing else wait_s) as self._waiting:
            await trio.sleep_forever()
        return self._closing

    # -- one look at everything

    async def _look(self) -> None:
        await self.finish_deletions()
        if self._old_blobs:
            await self._sweep_blobs()
        await self._rotate_old()
        await self._roll_all(force=False)
        if self._kept_at_s is None or self._clock() - self._kept_at_s >= self._options.keep_s:
            await self._keep()
        async with self._one_change:
            await self._tidy()

    async def _clean_up(self) -> None:
        """After a failure: what it left takes room on a disk that may be full."""
        async with self._one_change:
            try:
                if await self._in_thread(self._lake.mend):
                    log.warning("the lake's manifest was lost or damaged; it is what it was")
                await self._in_thread(self._lake.sweep_orphans)
            except OSError as error:
                log.warning("what a failure left in the lake stays: %s", error)

    async def _finish(self, process: HelperProcess) -> None:
        """Deletions that a failure or a crash cut short: the lake's mark, or the journal, says so.
        What they were to delete cannot be found any more, so nobody else would finish them."""
        if self.deletions_are_finished:
            return
        if self._lake.deletion_key is not None:
            if await self._in_thread(lambda: self._lake.deletion_is_unfinished):
                await self._delete(process, hashes=[])
            elif (await process.run(self._a_job("pending"), _ignore))["count"]:
                await self._delete(process)
        self.deletions_are_finished = True

    async def _sweep_blobs(self) -> None:
        """Those that were kept without their record ever being written, by a process that died."""
        async with self._one_change, self._helper.process() as process:
            result = await process.run(self._a_job("sweep", blobs=self._old_blobs), _ignore)
        self._old_blobs = []
        if result["count"]:
            log.info("blobs without a record removed", extra={"blobs": result["count"]})

    async def _rotate_old(self) -> None:
        """A quiet journal would keep its segment open for ever: an hour is enough. And small calls,
        or bodies that compress well, fill the memory long before they fill a segment."""
        found = await self._in_thread(segments, self._lake.root)
        if not found or found[-1].closed:
            return
        # Crowded it stays until a roll is through: one segment is closed for it, not one a look.
        waits = any(one.number > self._lake.manifest.upto_segment for one in found[:-1])
        waits = waits or self._shown != self._lake.manifest.generation
        crowded = self._is_crowded() and not waits
        if crowded or self._age_s(found[-1]) >= self._options.roll_age_s:
            with trio.move_on_after(self._options.intent_s):
                await self._journal.rotate()

    async def _roll_all(self, *, force: bool) -> int:
        count = 0
        async with self._one_change:
            while (ready := await self._due(force=force)) and not self._closing:
                batch = within(ready, self._options.job_bytes_max)
                async with self._helper.process() as process:
                    hurry = force or len(batch) < len(ready) or self.stats.error is not None
                    hurry = hurry or self._is_crowded()  # a busy machine has no idle moment
                    await self._roll(process, batch[-1].number, hurry=hurry)
                count += len(batch)
        return count

    async def _due(self, *, force: bool) -> list[SegmentInfo]:
        """The segments to be rolled, oldest first."""
        found = await self._in_thread(segments, self._lake.root)
        analytics = self._hot.analytics
        if analytics is None or analytics.broken:
            return []
        ready = rollable(found, self._lake.manifest.upto_segment, analytics.position)
        return list(ready) if force or self._is_due(ready) else []

    def _is_crowded(self) -> bool:
        analytics = self._hot.analytics
        return analytics is not None and analytics.is_crowded

    def _is_due(self, ready: Sequence[SegmentInfo]) -> bool:
        options = self._options
        if ready and self._is_crowded():
            return True
        encrypted = self._lake.keys is not None
        enough = options.roll_bytes_encrypted if encrypted else options.roll_bytes
        if sum(segment.bytes for segment in ready) >= enough:
            return True
        return bool(ready) and self._age_s(ready[0]) >= options.roll_age_s

    async def _roll(self, process: HelperProcess, upto: int, *, hurry: bool) -> None:
        deleted: list[bytes] = []

        def hear(message: Message) -> None:
            self.stats.progress_frames = message.get("progress", self.stats.progress_frames)
            deleted.extend(map(to_bytes, message.get("deleted", ())))

        self.stats.progress_frames = 0
        result = await process.run(self._a_job("roll", upto=upto, hurry=hurry), hear)
        await self._hide(deleted)
        await self._show()
        if await self._in_thread(lambda: self._lake.deletion_is_unfinished):
            if self._forget_cached is not None:
                await self._forget_cached(None)
            await self._end_deletion()
        if result:
            self.stats.rolls += 1
            self.stats.rolled_frames += result["frames"]
            self.stats.rolled_bytes += result["bytes"]
            self.stats.damages += len(result["damages"])
            self.stats.rolled_at_s = self._clock()

    async def _keep(self) -> int:
        options = self._options
        limits = {"days": options.retention_days, "bytes_max": options.retention_bytes}
        now_us = int(self._clock() * 1e6)
        rows, merged = 0, True
        async with self._one_change:
            if options.retention_bytes is not None:
                await self._shrink()
        while merged:
            async with self._one_change, self._helper.process() as process:
                result = await process.run(self._a_job("keep", now_us=now_us, **limits), _ignore)
                await self._show()
            rows += result["rows"]
            merged = bool(result["merged"]) and not self._closing
            if merged:  # a day takes minutes: what is recorded meanwhile does not wait for all
                await self._roll_all(force=False)
        if self._retain_copies is not None:
            await self._retain_copies(now_us)
        self.stats.short_bytes = result["short_bytes"]
        self._kept_at_s = self._clock()
        return rows

    async def _shrink(self) -> None:
        """DuckDB's file keeps the size that its rows had before they were rolled: records would be
        dropped for it. It is made anew if nobody is reading and little is to be ingested again."""
        analytics = self._hot.analytics
        if self._rebuild_hot is None or analytics is None or analytics.broken or analytics.is_read:
            return
        written = self._journal.written
        tail = Position(written.segment, max(0, written.offset - SHRINK_TAIL_BYTES))
        if analytics.position < tail or self._lake.manifest.upto_segment < written.segment - 1:
            return
        if await self._in_thread(lambda: analytics.free_bytes) >= SHRINK_BYTES:
            await self._rebuild_hot()

    async def _announce(self, found: Mapping[bytes, bytes]) -> None:
        """Intents first, and on disk: what is touched afterwards can then be found again."""
        key = self._lake.deletion_key
        if key is None or self._journal.degraded is not None:
            raise DeletionRefused("the journal cannot promise it now")
        now_us = int(self._clock() * 1e6)
        for exchange_id, org in found.items():
            self._journal.append(KIND_DELETION, org, intent(key, exchange_id, now_us))
        end = self._journal.written
        with trio.move_on_after(self._options.intent_s) as scope:
            await self._journal.wait_synced_past(Position(end.segment, end.offset - 1))
        if scope.cancelled_caught or self._journal.degraded is not None:
            raise DeletionRefused("the journal could not be synced")

    async def _delete(
        self, process: HelperProcess, found: frozenset[bytes] | None = None, **more: object
    ) -> None:
        """`found`: those that it is about, None after a crash, when only their hashes are known.
        `hashes`: carry out all deletions ever known again, and these."""
        deleted: list[bytes] = []

        def hear(message: Message) -> None:
            deleted.extend(map(to_bytes, message.get("deleted", ())))

        await process.run(self._a_job("delete", **more), hear)
        await self._hide(deleted)
        if self._forget_cached is not None:
            await self._forget_cached(found)
        await self._show()
        await self._end_deletion()

    async def _end_deletion(self) -> None:
        """The database made anew is the last of it: until then the lake's mark stays, so that a
        crash does not leave the old bytes in its file."""
        if self._rebuild_hot is not None:
            await self._rebuild_hot()
        # A damaged one may have been set aside meanwhile.
        await self._in_thread(self._lake.empty_quarantine)
        await self._tidy()  # whoever still read the old files was ended with the old database
        # What a roll that failed had written so far is in no manifest, and was not rewritten.
        await self._in_thread(self._lake.sweep_orphans)
        await self._in_thread(self._lake.end_deletion)

    async def _hide(self, exchange_ids: list[bytes]) -> None:
        analytics = self._hot.analytics
        if exchange_ids and analytics is not None:
            await self._in_thread(analytics.hide, exchange_ids)

    async def _show(self) -> None:
        """The new files to the queries, then the old ones away."""
        await self._in_thread(self._lake.reload)
        await self._tidy()

    async def _tidy(self) -> None:
        analytics = self._hot.analytics
        if analytics is None or analytics.broken:
            return  # opened again it reads the newest manifest; removing waits until then
        if self._shown != self._lake.manifest.generation:
            view = self._lake.view
            swap = partial(analytics.swap_lake, view, drop_upto_segment=view.upto_segment)
            await self._in_thread(swap)
            self._shown = view.generation
        tidied = await self._in_thread(self._lake.tidy, analytics.oldest_generation)
        if tidied != Tidied():
            log.info("lake tidied", extra={"segments": tidied.segments, "files": tidied.files})

    def _failed(self, error: BaseException) -> float:
        self._failed_in_a_row += 1
        self.stats.failures += 1
        self.stats.error = f"{type(error).__name__}: {error}"
        options = self._options
        wait_s = options.retry_first_s * 2.0 ** min(self._failed_in_a_row - 1, 20)
        log.warning("the lake stands still: %s", self.stats.error)
        return min(options.retry_max_s, wait_s)

    def _age_s(self, segment: SegmentInfo) -> float:
        return self._clock() - segment.created_at_us / 1e6

    def work_by(self, job: Mapping[str, Any]) -> None:
        """From the next job on."""
        self._job |= job

    def _a_job(self, command: str, **arguments: object) -> Message:
        # keys anew each time: rotation adds to them
        keys = packed_keys(self._lake.keys)
        return {**self._job, "keys": keys, "command": command, **arguments}

    async def _in_thread(self, call: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(call, *arguments, limiter=self._limiter)


def _ignore(_message: Message) -> None:
    return None
