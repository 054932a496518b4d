"""Rate limits in memory: a bucket per organisation, segment and unit (proxy.md 5). Plain calls.

The task saves what has changed each second, so that a restart forgets nothing, and sweeps buckets
that nobody would miss. Every failure here fails open: whoever calls lets the request pass when
`check` raises, and says so; with a broken disk limits go on in memory.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import trio

from appliance.core.bucket import (
    Bucket,
    charge,
    full_at_us,
    full_bucket,
    has_any,
    heed_clock,
    is_idle,
    refill,
    remaining,
    reset_s,
    take,
)
from appliance.core.rate_policy import Policy
from appliance.core.rate_reply import Verdict
from appliance.core.rate_segment import BucketKey, bucket_key, bucket_text, segment_value
from appliance.core.rate_snapshot import (
    BLOCK,
    BLOCK_ROWS_MAX,
    MAGIC,
    ROW,
    Block,
    encode_block,
    read_blocks,
)
from storage.disk import Disk

log = logging.getLogger(__name__)
T = TypeVar("T")

FILE_NAME: Final = "rate_limits"
BUCKETS_MAX: Final = 1_000_000
# What one takes in memory: itself, its key, its places in the maps and among the changed ones.
BUCKET_BYTES: Final = 400
# At the bound a new bucket takes the place of a full one, or of the fullest of so many.
CANDIDATES: Final = 8
SAVE_S: Final = 1.0
# A tick looks at this part of the buckets.
SWEEP_TICKS: Final = 60
# Blocks written in one go; the file holds so many rows beyond twice the buckets before it is
# written anew.
WRITE_BLOCKS: Final = 20
SLACK_ROWS: Final = 20_000
CLOSE_S: Final = 5.0
# Each row in a block of its own, and a second's changes on top: a larger file is none of ours.
FILE_BYTES_MAX: Final = 3 * (BUCKETS_MAX + SLACK_ROWS) * (BLOCK.size + ROW.size)


@dataclass(slots=True)
class LimiterStats:
    """Counts since the start. `error`: why the last save failed; `lost`: why what was saved before
    the start was forgotten, in part or whole. Both "" when all is well."""

    refused: int = 0
    evicted: int = 0
    swept: int = 0
    lost: str = ""
    failures: int = 0
    error: str = ""


class RateLimiter:
    """One region's limits. `directory` is the region's root, `secret` makes its keys."""

    def __init__(
        self,
        directory: Path,
        secret: bytes,
        *,
        buckets_max: int = BUCKETS_MAX,
        save_s: float = SAVE_S,
        slack_rows: int = SLACK_ROWS,
        disk: Disk | None = None,
        clock_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.stats = LimiterStats()
        self._secret = secret
        self._buckets_max = buckets_max
        self._save_s = save_s
        self._slack_rows = slack_rows
        self._clock_us = clock_us
        self._file = _File(directory / FILE_NAME, disk or Disk())
        self._limiter = trio.CapacityLimiter(1)
        self._buckets: dict[BucketKey, Bucket] = {}
        # The same keys, those looked at longest ago first: where sweeping and saving go on.
        self._order: deque[BucketKey] = deque()
        self._changed: set[BucketKey] = set()
        # In the file, those overwritten by later ones included. None: it must be written anew.
        self._file_rows: int | None = None
        self._unsynced = False
        self._loaded = False
        self._closing = False
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._buckets)

    @property
    def inbox(self) -> int:
        """Buckets that changed since they were last saved."""
        return len(self._changed)

    @property
    def trouble(self) -> str:
        """Why counts would not outlive a restart, or ""."""
        return self.stats.error

    # -- what requests call; nothing here waits

    def key(
        self, org: bytes, policy: Policy, user_id: str, properties: Mapping[str, str]
    ) -> BucketKey | None:
        """The bucket of a request; None when it has no value for the policy's segment."""
        value = segment_value(policy, user_id, properties)
        return None if value is None else bucket_key(bucket_text(org, policy, value), self._secret)

    def check(self, key: BucketKey, policy: Policy, now_us: int) -> Verdict:
        """Once for each client request, before the call: `request` takes one, `cents` asks whether
        anything is left. `now_us` is the time of this call, not of the request's arrival."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._add(key, full_bucket(policy, now_us))
        if policy.unit == "cents":
            allowed = has_any(bucket, policy, now_us)
        else:
            allowed = take(bucket, policy, policy.one, now_us)
            if allowed:
                self._changed.add(key)
        if not allowed:
            self.stats.refused += 1
        return Verdict(not allowed, remaining(bucket, policy), reset_s(bucket), policy)

    def charge_cents(self, key: BucketKey, policy: Policy, cost_pico: int, now_us: int) -> None:
        """What a call has cost, in pico-USD, once its reply is complete; not for cache hits and
        refused requests, nor for units other than cents."""
        if policy.unit != "cents":
            return
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._add(key, full_bucket(policy, now_us))
        charge(bucket, policy, cost_pico, now_us)
        self._changed.add(key)

    def look(self, key: BucketKey, policy: Policy, now_us: int) -> Verdict:
        """What `check` would say now; takes nothing and keeps nothing."""
        found = self._buckets.get(key)
        bucket = full_bucket(policy, now_us)
        if found is not None:
            bucket = Bucket(found.level, found.rest, found.capacity, found.window_us, found.at_us)
        refill(bucket, policy, now_us)
        limited = bucket.level < (policy.one if policy.unit == "request" else 1)
        return Verdict(limited, remaining(bucket, policy), reset_s(bucket), policy)

    def _add(self, key: BucketKey, bucket: Bucket) -> Bucket:
        if len(self._buckets) >= self._buckets_max:
            self._make_room()
        self._buckets[key] = bucket
        self._order.append(key)
        return bucket

    def _make_room(self) -> None:
        """Full ones go first, else the one that is full soonest: forgetting it gives least away."""
        order, buckets = self._order, self._buckets
        chosen = order.popleft()
        soonest_us = full_at_us(buckets[chosen])
        for _ in range(min(CANDIDATES - 1, len(order))):
            other = order.popleft()
            full_us = full_at_us(buckets[other])
            if full_us < soonest_us:
                chosen, other, soonest_us = other, chosen, full_us
            order.append(other)
        del buckets[chosen]
        self.stats.evicted += 1

    # -- what lasts

    def snapshot(self) -> bytes:
        """All buckets as bytes, at once: for small numbers, the task saves in pieces."""
        return MAGIC + b"".join(self._blocks())

    def load(self, data: bytes) -> None:
        """Take in a snapshot beside what is here already, which counts more."""
        live = frozenset(self._buckets)
        for block in read_blocks(data):
            self._restore(block, live)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load, then save and sweep each second until `close`. Saves exactly at the end."""
        if not self._loaded:
            await self._load_file()
        task_status.started()
        try:
            while not self._closing:
                with trio.move_on_after(self._save_s):
                    await self._wake.wait()
                await self.save()
                await self.sweep()
        finally:
            # Bounded: a disk that hangs costs the last second of counts, not the shutdown.
            with trio.move_on_after(CLOSE_S, shield=True):
                await self.save(sync=True)

    def close(self) -> None:
        """`run` saves and returns."""
        self._closing = True
        self._wake.set()

    async def save(self, *, sync: bool = False) -> None:
        """Write what has changed since the last time, or everything where the file is not good or
        has grown long. With `sync` it is on the disk when this returns, else in the system's hands:
        a killed process loses nothing that was saved, a power cut the last half minute."""
        changed, self._changed = self._changed, set()
        rows = self._file_rows
        # Until this has worked, whether it fails or is cancelled, nothing is known of the file.
        self._file_rows = None
        try:
            if rows is None or rows > 2 * len(self) + self._slack_rows:
                if rows is not None or self._buckets:
                    self._file_rows = await self._save_all()
            elif changed or (sync and self._unsynced):
                self._file_rows = rows + await self._save_some(changed, sync=sync)
            else:
                self._file_rows = rows
        except OSError as error:
            self.stats.failures += 1
            if not self.stats.error:
                log.warning("rate limits are not saved: %s", error)
            self.stats.error = str(error)
        else:
            self.stats.error = ""

    async def sweep(self) -> None:
        """Look at the next share of the buckets, and forget those that are idle and full."""
        now_us = self._clock_us()
        order, buckets = self._order, self._buckets
        share = -(-len(order) // SWEEP_TICKS)
        for number in range(1, share + 1):
            if number % BLOCK_ROWS_MAX == 0:
                await trio.lowlevel.checkpoint()
            key = order.popleft()
            bucket = buckets[key]
            heed_clock(bucket, now_us)
            if is_idle(bucket, now_us):
                del buckets[key]
                self.stats.swept += 1
            else:
                order.append(key)

    def _blocks(self) -> Iterator[bytes]:
        """Every bucket, by blocks. Between two of them anything may happen: what comes or changes
        meanwhile is among the changed ones."""
        order, buckets = self._order, self._buckets
        left = len(order)
        while left > 0:
            rows = []
            for _ in range(min(left, BLOCK_ROWS_MAX, len(order))):
                key = order[0]
                order.rotate(-1)
                rows.append((key, buckets[key]))
            left -= BLOCK_ROWS_MAX
            yield encode_block(rows)

    async def _save_all(self) -> int:
        rows = len(self)
        await self._in_thread(self._file.begin)
        pieces = []
        for block in self._blocks():
            pieces.append(block)
            if len(pieces) == WRITE_BLOCKS:
                data, pieces = b"".join(pieces), []
                await self._in_thread(partial(self._file.add, data))
            await trio.lowlevel.checkpoint()
        await self._in_thread(partial(self._file.finish, b"".join(pieces)))
        self._unsynced = False
        return rows

    async def _save_some(self, changed: set[BucketKey], *, sync: bool) -> int:
        keys, buckets = list(changed), self._buckets
        pieces = []
        for start in range(0, len(keys), BLOCK_ROWS_MAX):
            stop = start + BLOCK_ROWS_MAX
            rows = [(key, buckets[key]) for key in keys[start:stop] if key in buckets]
            pieces.append(encode_block(rows))
            await trio.lowlevel.checkpoint()
        await self._in_thread(partial(self._file.append, b"".join(pieces), sync=sync))
        self._unsynced = not sync
        return len(keys)

    async def _load_file(self) -> None:
        """Fails open: what cannot be read is forgotten, and written anew."""
        live = frozenset(self._buckets)
        rows = 0
        try:
            data = await self._in_thread(self._file.read)
        except FileNotFoundError:
            data = b""
        except OSError as error:
            data = b""
            self.stats.lost = str(error)
        for block in read_blocks(data) if data else ():
            self._restore(block, live)
            rows += len(block.rows)
            await trio.lowlevel.checkpoint()
        self._loaded = True
        if self.stats.lost:
            log.warning("rate limits of before the start are lost: %s", self.stats.lost)
        elif data:
            self._file_rows = rows

    def _restore(self, block: Block, live: frozenset[BucketKey]) -> None:
        if block.wrong:
            self.stats.lost = f"{FILE_NAME} is {block.wrong} at byte {block.end}"
        for key, bucket in block.rows:
            if key not in self._buckets:
                self._add(key, bucket)
            elif key not in live:
                self._buckets[key] = bucket

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # An abandoned write still holds the limiter's one token: nothing writes beside it.
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)


class _File:
    """The snapshot's file. Methods block, and raise OSError; none leaves a descriptor open."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._fresh = path.with_name(path.name + ".new")
        self._disk = disk

    def read(self) -> bytes:
        with open(self._path, "rb") as stream:
            return stream.read(FILE_BYTES_MAX)

    def append(self, data: bytes, *, sync: bool) -> None:
        """Behind what is there. A file that is gone is not made: it would have no begin."""
        self._write(self._path, os.O_APPEND, data, sync=sync)

    def begin(self) -> None:
        """A new file beside the old one."""
        self._write(self._fresh, os.O_CREAT | os.O_TRUNC, MAGIC, sync=False)

    def add(self, data: bytes) -> None:
        """More of the new file."""
        self._write(self._fresh, os.O_APPEND, data, sync=False)

    def finish(self, data: bytes) -> None:
        """The last of the new file; it takes the old one's place, at once and whole."""
        self._write(self._fresh, os.O_APPEND, data, sync=True)
        self._disk.rename(self._fresh, self._path)
        self._disk.sync_folder(self._path.parent)

    def _write(self, path: Path, flags: int, data: bytes, *, sync: bool) -> None:
        descriptor = self._disk.open(path, os.O_WRONLY | flags)
        try:
            self._disk.write_all(descriptor, data)
            if sync:
                self._disk.fsync(descriptor)
        finally:
            self._disk.close(descriptor)
