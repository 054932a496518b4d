"""Entries, a cache over a folder, and a store that can be held up or made to fail."""

import threading
from pathlib import Path
from typing import Any

from appliance.actors.cache_disk import OnDisk
from appliance.actors.response_cache import Hit, ResponseCache
from appliance.core.cache_entry import Entry, make_entry
from storage.cache_store import CacheStore
from storage.vault import SegmentKeys

ORG = b"o" * 16
OTHER_ORG = b"p" * 16
NOW_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
MIB = 1024 * 1024


def key_of(name: object) -> bytes:
    return str(name).encode().rjust(16, b"k")


KEY = key_of("a")


def entry(body: bytes = b"an answer", **other: Any) -> Entry:
    given = {
        "org": ORG, "exchange_id": b"e" * 16, "request_id": "r-1", "created_at_us": NOW_US,
        "age_s": 60, "latency_ms": 12, "headers": [(b"content-type", b"text/plain")],
        "chunks": [body], "has_length": True,
    }  # fmt: skip
    return make_entry(**{**given, **other})


class HeldStore(CacheStore):
    """All that it does waits for `go` and fails with `error` if there is one; reads wait for
    `go_reading` too, when they have read."""

    def __init__(self, folder: Path, bytes_max: int = 64 * MIB, **other: Any) -> None:
        super().__init__(folder, bytes_max, free_bytes_min=0, **other)
        self.go = threading.Event()
        self.go.set()
        self.go_reading = threading.Event()
        self.go_reading.set()
        self.error: OSError | None = None
        self.reads = 0

    def read(self, slot: bytes, place: int) -> bytes:
        self.reads += 1
        data = super().read(slot, place)
        assert self.go_reading.wait(10)
        self._pass()
        return data

    def write(self, records: Any) -> list[int | None]:
        self._pass()
        return super().write(records)

    def find(self, *given: Any) -> Any:
        self._pass()
        return super().find(*given)

    def open(self) -> list[int]:
        self._pass()
        return super().open()

    def _pass(self) -> None:
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error


def cache_over(path: Path, **other: Any) -> tuple[ResponseCache, HeldStore]:
    """A cache whose disk tier is not running: `flush` does a round of it."""
    keys: SegmentKeys | None = other.pop("keys", None)
    given = {name: other.pop(name) for name in ("bytes_max", "segment_bytes_max") if name in other}
    store = HeldStore(path / "cache", keys=keys, **given)
    memory_bytes_max = other.pop("memory_bytes_max", 8 * MIB)
    return ResponseCache(memory_bytes_max, store, now_us=lambda: NOW_US, **other), store


def body_of(hit: object) -> bytes:
    assert isinstance(hit, Hit), hit
    return hit.entry.body


async def got(
    cache: ResponseCache, key: bytes = KEY, buckets: int = 1, now_us: int = NOW_US
) -> Any:
    """As the pipeline asks."""
    found = cache.lookup(key, buckets, now_us)
    return await cache.fetch(found, now_us) if isinstance(found, OnDisk) else found


async def reborn(path: Path, **other: Any) -> tuple[ResponseCache, HeldStore]:
    cache, store = cache_over(path, **other)
    assert await cache.flush()
    return cache, store


async def on_disk(path: Path) -> tuple[ResponseCache, HeldStore, OnDisk]:
    cache, _ = await reborn(path)
    cache.save(KEY, entry(), 1, NOW_US)
    await cache.flush()
    cache, store = await reborn(path)
    found = cache.lookup(KEY, 1, NOW_US)
    assert isinstance(found, OnDisk)
    return cache, store, found


def bodies(cache: ResponseCache, names: object = "abc", now_us: int = NOW_US) -> list[bytes | None]:
    found = [cache.lookup(key_of(name), 1, now_us) for name in names]  # type: ignore[attr-defined]
    return [hit.entry.body if isinstance(hit, Hit) else None for hit in found]
