"""The disk tier of the response cache while the program runs: what waits to be written, the map of
what was, reading in time, writing in batches, sweeping.

Fails open but for `forget`: a disk that fails or is slow means misses, and is tried again.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import trio

from appliance.actors.cache_index import INDEX_ENTRY_BYTES, CacheIndex
from appliance.actors.cache_memory import Wanted, is_of
from appliance.core.cache_entry import Entry, decode_entry, encode_entry
from storage.cache_segment import CacheUnreadable
from storage.cache_store import CacheStore, Record

T = TypeVar("T")

READ_LIMIT_S = 2.0  # for a look at the disk (`proxy.md 4.2`)
READ_THREADS = 4
# A disk that did not answer in time is not asked again for so long.
REST_S = 10.0
GATHER_S = 0.1  # replies are written together
BATCH_BYTES = 4 * 1024 * 1024
SWEEP_S = 60.0
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0
SLICE = 1000  # entries looked at before others have their turn


class OnDisk(NamedTuple):
    """There is an answer, and where it lies."""

    slot: bytes
    bucket: int
    place: int


def wall_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


class DiskTier:
    """Entries by slot. `where` and `enqueue` never wait."""

    def __init__(
        self,
        store: CacheStore,
        pending_bytes_max: int,
        index_bytes_max: int,
        now_us: Callable[[], int] = wall_us,
    ) -> None:
        self._store = store
        self._index = CacheIndex()
        self._entries_max = max(1, index_bytes_max // INDEX_ENTRY_BYTES)
        self._now_us = now_us
        # Waiting to be written, and found by lookups until it is.
        self._pending: dict[bytes, Entry] = {}
        self._pending_bytes = 0
        self._pending_bytes_max = pending_bytes_max
        self._reading: dict[bytes, trio.Event] = {}
        self._readers = trio.CapacityLimiter(READ_THREADS)
        self._writers = trio.CapacityLimiter(1)
        self._changing = trio.Lock()  # who changes what is on disk
        self._work = trio.Event()
        self._closing = trio.Event()
        self._rest_until_s = 0.0
        self._loaded = False
        self.failing = ""
        self.failures = 0
        self.unwritten = 0

    def where(self, slot: bytes, now_us: int) -> Entry | int | None:
        """An entry that waits to be written, the place of one that was, or None."""
        waiting = self._pending.get(slot)
        if waiting is not None and waiting.expires_at_us > now_us:
            return waiting
        return self._index.get(slot, now_us)

    def enqueue(self, slot: bytes, entry: Entry) -> bool:
        """To be written. False, and counted, where too much waits already."""
        self._dequeue(slot)
        if self._pending_bytes + entry.held_bytes > self._pending_bytes_max:
            self.unwritten += 1
            return False
        self._pending[slot] = entry
        self._pending_bytes += entry.held_bytes
        self._work.set()
        return True

    async def read(self, found: OnDisk, now_us: int) -> Entry | None:
        """The entry that lies there, or None when it cannot be had in time. Whoever wants the same
        waits for the first: `is_read` tells."""
        done = trio.Event()
        first = self._reading.setdefault(found.slot, done) is done
        try:
            entry = await self._read_in_time(found)
        finally:
            if first:
                del self._reading[found.slot]
            done.set()
        if entry is not None and entry.expires_at_us > now_us:
            # Forgotten or dropped meanwhile, it is not given to anyone.
            return entry if self._index.holds(found.slot, found.place) else None
        return None

    async def is_read(self, slot: bytes) -> bool:
        """Wait for who reads this one right now. False when nobody does, or not in time."""
        reading = self._reading.get(slot)
        if reading is None:
            return False
        with trio.move_on_after(READ_LIMIT_S):
            await reading.wait()
        return reading.is_set()

    async def forget(self, org: bytes | None, exchange_ids: Wanted) -> set[bytes]:
        """Drop what these exchanges left, or all of an organisation; overwritten on disk when this
        returns the slots. Raises OSError when that cannot be promised."""
        async with self._changing:
            gone = set()
            for slot, entry in list(self._pending.items()):
                if is_of(entry, org, exchange_ids):
                    self._dequeue(slot)
                    gone.add(slot)
            if not self._loaded:
                await self._load()
            found = await self._in_thread(self._store.find, org, exchange_ids)
            for at, (slot, place) in enumerate(found):
                if self._index.remove(slot, place):
                    gone.add(slot)
                if at % SLICE == SLICE - 1:
                    await trio.lowlevel.checkpoint()
            await self._in_thread(self._store.erase, [place for _, place in found])
        return gone

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load what is on disk, then write and sweep, until `close`. Nobody waits for it."""
        task_status.started()
        self._loaded = False
        pause_s = RETRY_FIRST_S
        while not self._closing.is_set():
            if await self.flush():
                pause_s = RETRY_FIRST_S
                with trio.move_on_after(SWEEP_S):
                    await self._work.wait()
                await self._pause(GATHER_S)
            else:
                await self._pause(pause_s)
                pause_s = min(pause_s * 2, RETRY_MAX_S)
        await self.flush()
        await self._in_thread(self._store.close)

    async def flush(self) -> bool:
        """Write what waits, drop what is over. False: the disk fails, and `failing` says why."""
        async with self._changing:
            self._work = trio.Event()
            try:
                if not self._loaded:
                    await self._load()
                while self._pending:
                    await self._write_batch()
                await self._sweep()
            except OSError as error:
                await self._fail(error)
                return False
        self.failing = ""
        return True

    def close(self) -> None:
        """`run` writes what waits, and ends."""
        self._closing.set()
        self._work.set()

    @property
    def waiting(self) -> int:
        """Entries that are not on disk yet."""
        return len(self._pending)

    def gauges(self) -> dict[str, int]:
        """Sizes and counts as they are now."""
        return {
            "disk_bytes": self._store.held_bytes,
            "disk_entries": len(self._index),
            "pending_bytes": self._pending_bytes,
            "unwritten": self.unwritten,
            "failures": self.failures,
        }

    async def _pause(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._closing.wait()

    def _dequeue(self, slot: bytes) -> None:
        entry = self._pending.pop(slot, None)
        if entry is not None:
            self._pending_bytes -= entry.held_bytes

    async def _read_in_time(self, found: OnDisk) -> Entry | None:
        if trio.current_time() < self._rest_until_s:
            return None
        entry: Entry | None = None
        try:
            with trio.move_on_after(READ_LIMIT_S) as limit:
                # Left behind, the thread keeps its place among the readers: that bounds them.
                entry = await trio.to_thread.run_sync(
                    read_entry, self._store, found, limiter=self._readers, abandon_on_cancel=True
                )
        except (CacheUnreadable, OSError):
            self.failures += 1
        if limit.cancelled_caught:
            self.failures += 1
            self._rest_until_s = trio.current_time() + REST_S
        elif entry is None:
            self._index.remove(found.slot, found.place)
        return entry

    async def _load(self) -> None:
        """Learn anew what is on disk."""
        numbers = await self._in_thread(self._store.open)
        self._index.clear()
        for number in numbers:
            found = await self._in_thread(self._store.scan, number)
            self._index.add_file(number)
            for at, (slot, place) in enumerate(found):
                self._index.put(slot, place)
                if at % SLICE == SLICE - 1:
                    await trio.lowlevel.checkpoint()
        self._loaded = True

    async def _write_batch(self) -> None:
        batch: list[tuple[bytes, Entry]] = []
        size = 0
        for slot, entry in self._pending.items():
            batch.append((slot, entry))
            size += entry.held_bytes
            if size > BATCH_BYTES:
                break
        places = await self._in_thread(write_entries, self._store, batch)
        for (slot, entry), place in zip(batch, places, strict=True):
            if self._pending.get(slot) is entry:
                self._dequeue(slot)
            if place is None:
                self.unwritten += 1
            else:
                self._index.put(slot, place)
        self._note_dropped()

    async def _sweep(self) -> None:
        """Drop files of which all is over, and the oldest while there are too many entries."""
        for number in self._index.idle_files(self._now_us() // 1_000_000):
            await self._in_thread(self._store.drop, number)
        self._note_dropped()
        while len(self._index) > self._entries_max:
            await self._in_thread(self._store.drop, self._index.oldest_file())
            self._note_dropped()

    def _note_dropped(self) -> None:
        for number in self._store.take_dropped():
            self._index.drop_file(number)

    async def _fail(self, error: OSError) -> None:
        self.failing = error.strerror or str(error)
        self.failures += 1
        if error.errno == errno.ENOSPC:  # the cache makes room before others have none
            try:
                await self._in_thread(self._store.shrink)
            except OSError:
                self.failures += 1
        self._note_dropped()

    async def _in_thread(self, work: Callable[..., T], *given: object) -> T:
        return await trio.to_thread.run_sync(work, *given, limiter=self._writers)


def read_entry(store: CacheStore, found: OnDisk) -> Entry | None:
    """Blocking. Raises CacheUnreadable, OSError."""
    return decode_entry(store.read(found.slot, found.place))


def write_entries(store: CacheStore, batch: list[tuple[bytes, Entry]]) -> list[int | None]:
    """Blocking. Raises OSError."""
    records = []
    for slot, entry in batch:
        expires_s = -(-entry.expires_at_us // 1_000_000)
        record = Record(slot, entry.org, entry.exchange_id, expires_s, encode_entry(entry))
        records.append(record)
    return store.write(records)
