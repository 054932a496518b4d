"""The response cache of one region: a memory tier that answers at once, and a disk tier behind it
that outlives restarts (`proxy.md 4`).

Fails open: a lookup that cannot be answered is a miss, a reply that cannot be kept is passed on.
Only `forget` insists. What is fit to be kept and under which key is decided in `core/cache_*.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

import trio

from appliance.actors.cache_collect import CollectBudget, Collecting
from appliance.actors.cache_disk import SLICE, DiskTier, OnDisk, wall_us
from appliance.actors.cache_flights import Flights
from appliance.actors.cache_memory import MemoryTier, Wanted
from appliance.core.cache_control import pick
from appliance.core.cache_entry import ENTRY_BYTES_MAX, Entry
from appliance.core.cache_key import slot_of
from storage.cache_store import CacheStore


class Hit(NamedTuple):
    """An answer, and which bucket it lay in."""

    entry: Entry
    bucket: int


class ResponseCache:
    """Of `memory_bytes_max`, half is for replies that are kept, a quarter for those still coming,
    an eighth each for what waits for the disk and for the map of what is on it. Without a store the
    memory tier is all there is; `run` keeps the disk tier going."""

    def __init__(
        self,
        memory_bytes_max: int,
        store: CacheStore | None = None,
        *,
        coalesce: bool = False,
        now_us: Callable[[], int] = wall_us,
        draw: Callable[[], float] = random.random,
    ) -> None:
        eighth = memory_bytes_max // 8
        self._memory = MemoryTier(eighth * 4)
        self._collecting = CollectBudget(eighth * 2)
        self._disk = DiskTier(store, eighth, eighth, now_us) if store is not None else None
        self._draw = draw
        self._closing = trio.Event()
        self.flights = Flights() if coalesce else None
        self.hits_memory = 0
        self.hits_disk = 0
        self.misses = 0
        self.saved = 0
        self.unsaved = 0

    def lookup(self, key: bytes, buckets: int, now_us: int) -> Hit | OnDisk | None:
        """The answer, or where it is if that is the disk (`fetch` it), or None. All buckets must be
        filled; then one is drawn (`proxy.md 4.2`). Never waits."""
        if buckets > 1:
            for bucket in range(buckets):
                if self._where(slot_of(key, bucket), now_us) is None:
                    self.misses += 1
                    return None
        bucket = pick(buckets, self._draw)
        slot = slot_of(key, bucket)
        found = self._where(slot, now_us) if buckets > 0 else None
        if found is None:
            self.misses += 1
            return None
        if isinstance(found, int):
            return OnDisk(slot, bucket, found)
        self.hits_memory += 1
        return Hit(found, bucket)

    async def fetch(self, found: OnDisk, now_us: int) -> Hit | None:
        """Get it from the disk. None, a miss, when that cannot be had in time."""
        assert self._disk is not None, "who knows a place has a disk"
        entry: Entry | None = None
        if await self._disk.is_read(found.slot):
            entry = self._memory.get(found.slot, now_us)
        if entry is None:
            entry = await self._disk.read(found, now_us)
            if entry is None:
                self.misses += 1
                return None
            self._memory.put(found.slot, entry)
        self.hits_disk += 1
        return Hit(entry, found.bucket)

    def save(self, key: bytes, entry: Entry, buckets: int, now_us: int) -> bool:
        """Keep it in the first free bucket, to be found at once. False when there is none, or no
        room for it."""
        kept = False
        if entry.expires_at_us > now_us and entry.held_bytes <= ENTRY_BYTES_MAX:
            for bucket in range(buckets):
                slot = slot_of(key, bucket)
                if self._where(slot, now_us) is None:
                    kept = self._memory.put(slot, entry)
                    if self._disk is not None:
                        kept = self._disk.enqueue(slot, entry) or kept
                    break
        if kept:
            self.saved += 1
        else:
            self.unsaved += 1
        return kept

    def collect(self) -> Collecting:
        """For the pieces of a reply that may be saved; to be released however it ends."""
        return Collecting(self._collecting)

    async def forget(self, org: bytes | None, exchange_ids: Wanted = None) -> int:
        """Drop what these exchanges left, or all of an organisation, in memory and on disk; gives
        how many. Raises OSError when the disk does not take it: call it again then."""
        assert org is not None or exchange_ids is not None, "nothing given selects nothing"
        gone = await self._forget_in_memory(org, exchange_ids)
        if self._disk is not None:
            gone |= await self._disk.forget(org, exchange_ids)
            # What a read on its way has brought up meanwhile.
            gone |= await self._forget_in_memory(org, exchange_ids)
        return len(gone)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the disk tier going until `close`."""
        if self._disk is not None:
            await self._disk.run(task_status=task_status)
        else:
            task_status.started()
            await self._closing.wait()

    async def flush(self) -> bool:
        """What was saved is on disk when this returns True."""
        return self._disk is None or await self._disk.flush()

    def close(self) -> None:
        """`run` writes what waits, and ends."""
        self._closing.set()
        if self._disk is not None:
            self._disk.close()

    @property
    def inbox(self) -> int:
        """Entries that wait for the disk."""
        return self._disk.waiting if self._disk is not None else 0

    @property
    def trouble(self) -> str:
        """`failing`, as the supervisor asks it."""
        return self.failing

    @property
    def failing(self) -> str:
        """Why the disk tier does not work at the moment, or ""."""
        return self._disk.failing if self._disk is not None else ""

    def gauges(self) -> dict[str, int]:
        """Sizes and counts as they are now."""
        found = {
            "hits_memory": self.hits_memory,
            "hits_disk": self.hits_disk,
            "misses": self.misses,
            "saved": self.saved,
            "unsaved": self.unsaved,
            "memory_bytes": self._memory.held_bytes,
            "memory_entries": len(self._memory),
            "memory_evicted": self._memory.evicted,
            "collecting_bytes": self._collecting.held_bytes,
            "collecting_refused": self._collecting.refused,
            "followed": self.flights.followed if self.flights is not None else 0,
        }
        return found | (self._disk.gauges() if self._disk is not None else {})

    def _where(self, slot: bytes, now_us: int) -> Entry | int | None:
        """The entry of a slot, or its place on disk."""
        entry = self._memory.get(slot, now_us)
        if entry is not None or self._disk is None:
            return entry
        return self._disk.where(slot, now_us)

    async def _forget_in_memory(self, org: bytes | None, exchange_ids: Wanted) -> set[bytes]:
        gone: set[bytes] = set()
        for at, slot in enumerate(self._memory.slots()):
            if self._memory.drop_if(slot, org, exchange_ids):
                gone.add(slot)
            if at % SLICE == SLICE - 1:
                await trio.lowlevel.checkpoint()
        return gone
