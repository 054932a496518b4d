"""Both tiers together: buckets, restarts, a slow, full or broken disk, and forgetting."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from appliance.actors import cache_disk, cache_flights
from appliance.actors.cache_disk import OnDisk
from appliance.actors.response_cache import Hit, ResponseCache
from appliance.core.cache_entry import ENTRY_BYTES_MAX
from storage.cache_segment import CacheUnreadable
from storage.vault import SegmentKeys
from tests.actors.cache_kit import (
    MIB,
    NOW_US,
    ORG,
    OTHER_ORG,
    SECOND_US,
    HeldStore,
    cache_over,
    entry,
    key_of,
)
from tests.storage.journal_kit import KEYS, until

KEY = key_of("a")


def body_of(hit: object) -> bytes:
    assert isinstance(hit, Hit), hit
    return hit.entry.body


def bodies(cache: ResponseCache, names: object = "abc", now_us: int = NOW_US) -> list[bytes | None]:
    found = [cache.lookup(key_of(name), 1, now_us) for name in names]  # type: ignore[attr-defined]
    return [hit.entry.body if isinstance(hit, Hit) else None for hit in found]


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


# The memory tier alone


def test_a_hit_after_a_miss() -> None:
    cache = ResponseCache(8 * MIB)
    assert cache.lookup(KEY, 1, NOW_US) is None
    assert cache.save(KEY, entry(b"an answer"), 1, NOW_US)
    hit = cache.lookup(KEY, 1, NOW_US)
    assert (body_of(hit), hit.bucket) == (b"an answer", 0)  # type: ignore[union-attr]
    assert cache.lookup(KEY, 1, NOW_US + 60 * SECOND_US) is None
    gauges = cache.gauges()
    assert [gauges[name] for name in ("hits_memory", "misses", "saved")] == [1, 2, 1]


def test_a_filled_bucket_is_not_written_over() -> None:
    cache = ResponseCache(8 * MIB)
    assert cache.save(KEY, entry(b"first"), 1, NOW_US)
    assert not cache.save(KEY, entry(b"second"), 1, NOW_US)
    assert body_of(cache.lookup(KEY, 1, NOW_US)) == b"first"
    later_us = NOW_US + 61 * SECOND_US
    assert cache.save(KEY, entry(b"third", created_at_us=later_us), 1, later_us)
    assert body_of(cache.lookup(KEY, 1, later_us)) == b"third"
    assert cache.gauges()["unsaved"] == 1


@pytest.mark.parametrize("drawn", [0.0, 0.4, 0.99])
def test_so_many_buckets_are_so_many_misses(drawn: float) -> None:
    cache = ResponseCache(8 * MIB, draw=lambda: drawn)
    for at in range(3):
        assert cache.lookup(KEY, 3, NOW_US) is None
        assert cache.save(KEY, entry(b"%d" % at), 3, NOW_US)
    assert not cache.save(KEY, entry(b"too many"), 3, NOW_US)
    hit = cache.lookup(KEY, 3, NOW_US)
    assert isinstance(hit, Hit)
    assert hit.bucket == int(drawn * 3)
    assert body_of(hit) == b"%d" % hit.bucket


def test_a_bucket_that_is_over_makes_a_miss_and_is_filled_again() -> None:
    cache = ResponseCache(8 * MIB, draw=lambda: 0.5)
    for age_s in (60, 10, 60):
        cache.save(KEY, entry(age_s=age_s), 3, NOW_US)
    later_us = NOW_US + 11 * SECOND_US
    assert cache.lookup(KEY, 3, later_us) is None
    assert cache.save(KEY, entry(b"new", created_at_us=later_us), 3, later_us)
    assert body_of(cache.lookup(KEY, 3, later_us)) == b"new"


@pytest.mark.parametrize("buckets", [0, -1])
def test_no_number_of_buckets_is_always_a_miss(buckets: int) -> None:
    cache = ResponseCache(8 * MIB)
    assert not cache.save(KEY, entry(), buckets, NOW_US)
    cache.save(KEY, entry(), 1, NOW_US)
    assert cache.lookup(KEY, buckets, NOW_US) is None


@pytest.mark.parametrize(
    "other", [{"age_s": 0}, {"body": bytes(ENTRY_BYTES_MAX)}], ids=["age", "size"]
)
def test_what_is_over_or_too_large_is_not_kept(other: dict[str, Any]) -> None:
    cache = ResponseCache(1024 * MIB)
    assert not cache.save(KEY, entry(**other), 1, NOW_US)
    assert cache.lookup(KEY, 1, NOW_US) is None


def test_memory_is_bounded() -> None:
    cache = ResponseCache(MIB)
    for at in range(2000):
        cache.save(key_of(at), entry(b"x" * 2000), 1, NOW_US)
    gauges = cache.gauges()
    assert gauges["memory_bytes"] <= MIB // 2
    assert gauges["memory_entries"] + gauges["memory_evicted"] == 2000
    assert bodies(cache, [0, 1999]) == [None, b"x" * 2000]


async def test_without_a_store_it_runs_and_ends(nursery: trio.Nursery) -> None:
    cache = ResponseCache(8 * MIB)
    await nursery.start(cache.run)
    cache.save(KEY, entry(), 1, NOW_US)
    assert await cache.flush()
    assert await cache.forget(ORG) == 1
    assert cache.failing == ""
    cache.close()


# The disk behind it


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "sealed"])
async def test_it_outlives_a_restart(tmp_path: Path, keys: SegmentKeys | None) -> None:
    cache, _ = await reborn(tmp_path, keys=keys)
    made = entry(chunks=[b"data: 1\n\n", b"data: [DONE]\n\n"], has_length=False, cost_pico=7)
    cache.save(KEY, made, 1, NOW_US)
    assert await cache.flush()

    cache, store = await reborn(tmp_path, keys=keys)
    assert isinstance(cache.lookup(KEY, 1, NOW_US), OnDisk)
    hit = await got(cache)
    assert (hit.entry, hit.bucket) == (made, 0)
    assert body_of(cache.lookup(KEY, 1, NOW_US)) == made.body  # from memory now
    assert cache.lookup(key_of("b"), 1, NOW_US) is None
    assert store.reads == 1
    gauges = cache.gauges()
    assert [gauges[n] for n in ("hits_disk", "hits_memory", "misses", "disk_entries")] == [
        1,
        1,
        1,
        1,
    ]


async def test_running_it_writes_and_closing_it_loses_nothing(tmp_path: Path) -> None:
    cache, _ = cache_over(tmp_path)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(cache.run)
            cache.save(key_of("a"), entry(b"1"), 1, NOW_US)
            await until(lambda: cache.gauges()["disk_entries"] == 1)
            cache.save(key_of("b"), entry(b"2"), 1, NOW_US)
            cache.close()
    assert cache.gauges()["pending_bytes"] == 0
    cache, _ = await reborn(tmp_path)
    assert [body_of(await got(cache, key_of(name))) for name in "ab"] == [b"1", b"2"]


async def test_run_again_after_it_died(tmp_path: Path) -> None:
    cache, _ = cache_over(tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(cache.run)
        cache.save(KEY, entry(), 1, NOW_US)
        await until(lambda: cache.gauges()["disk_entries"] == 1)
        nursery.cancel_scope.cancel()
    assert body_of(cache.lookup(KEY, 1, NOW_US)) == b"an answer"
    async with trio.open_nursery() as nursery:
        await nursery.start(cache.run)
        cache.save(key_of("b"), entry(), 1, NOW_US)
        await until(lambda: cache.gauges()["disk_entries"] == 2)
        cache.close()


async def test_buckets_over_both_tiers(tmp_path: Path) -> None:
    cache, _ = await reborn(tmp_path)
    for at in range(3):
        cache.save(KEY, entry(b"%d" % at), 3, NOW_US)
    await cache.flush()
    draws = iter([0.0, 0.9, 0.0, 0.5])
    cache, store = await reborn(tmp_path, draw=lambda: next(draws))
    hits = [await got(cache, buckets=3) for _ in range(4)]
    assert [(body_of(hit), hit.bucket) for hit in hits] == [
        (b"0", 0), (b"2", 2), (b"0", 0), (b"1", 1),
    ]  # fmt: skip
    assert store.reads == 3
    assert not cache.save(KEY, entry(), 3, NOW_US)


async def test_what_memory_has_no_room_for_is_had_from_the_disk(tmp_path: Path) -> None:
    cache, _ = await reborn(tmp_path, memory_bytes_max=MIB)
    for at in range(400):
        assert cache.save(key_of(at), entry(os.urandom(2000)), 1, NOW_US)
        if at % 20 == 0:
            await cache.flush()
    await cache.flush()
    gauges = cache.gauges()
    assert gauges["memory_entries"] < 300
    assert gauges["unwritten"] == 0
    for at in range(400):
        assert await got(cache, key_of(at)) is not None
    large = entry(os.urandom(100_000))  # more than an eighth of the tier
    assert cache.save(KEY, large, 1, NOW_US)
    assert body_of(await got(cache)) == large.body  # while it waits
    await cache.flush()
    for _ in range(2):
        assert body_of(await got(cache)) == large.body


async def test_what_waits_for_the_disk_is_bounded(tmp_path: Path) -> None:
    cache, _ = await reborn(tmp_path, memory_bytes_max=MIB)
    for at in range(100):
        cache.save(key_of(at), entry(b"x" * 2000), 1, NOW_US)
    gauges = cache.gauges()
    assert 0 < gauges["pending_bytes"] <= MIB // 8
    assert gauges["unwritten"] > 0
    assert body_of(cache.lookup(key_of(99), 1, NOW_US)) == b"x" * 2000
    await cache.flush()
    assert cache.gauges()["pending_bytes"] == 0


async def test_the_disk_is_bounded(tmp_path: Path) -> None:
    bounds = {"bytes_max": 100_000, "segment_bytes_max": 10_000}
    cache, store = await reborn(tmp_path, **bounds)
    for at in range(100):
        cache.save(key_of(at), entry(os.urandom(3000)), 1, NOW_US)
        await cache.flush()
    assert store.held_bytes <= 100_000
    cache, _ = await reborn(tmp_path, **bounds)
    found = [await got(cache, key_of(at)) is not None for at in range(100)]
    assert found == [False] * (100 - sum(found)) + [True] * sum(found)
    assert 20 < sum(found) < 34
    assert cache.gauges()["disk_entries"] == sum(found)


async def test_the_map_of_the_disk_is_bounded(tmp_path: Path) -> None:
    cache, _ = await reborn(tmp_path, memory_bytes_max=64 * 1024, segment_bytes_max=1000)
    for at in range(100):
        cache.save(key_of(at), entry(b"x"), 1, NOW_US)
        await cache.flush()
    assert 20 < cache.gauges()["disk_entries"] <= 64 * 1024 // 8 // 168


async def test_files_go_when_all_in_them_is_over(tmp_path: Path) -> None:
    clock = [NOW_US]
    store = HeldStore(tmp_path / "cache", segment_bytes_max=500)
    cache = ResponseCache(8 * MIB, store, now_us=lambda: clock[0])
    for at, age_s in enumerate([10, 1000, 20]):
        cache.save(key_of(at), entry(os.urandom(500), age_s=age_s), 1, NOW_US)
        await cache.flush()
    assert len(list((tmp_path / "cache").iterdir())) == 3
    clock[0] += 30 * SECOND_US
    await cache.flush()
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert [await got(cache, key_of(at), now_us=clock[0]) is not None for at in range(3)] == [
        False, True, False,
    ]  # fmt: skip


async def test_a_torn_or_changed_file_is_a_miss(tmp_path: Path) -> None:
    cache, _ = await reborn(tmp_path)
    for name in "abc":
        cache.save(key_of(name), entry(os.urandom(300)), 1, NOW_US)
    await cache.flush()
    [path] = (tmp_path / "cache").iterdir()
    data = bytearray(path.read_bytes())
    data[200] ^= 1  # in the first reply
    path.write_bytes(data[:-1])
    cache, _ = await reborn(tmp_path)
    assert [await got(cache, key_of(name)) is not None for name in "abc"] == [False, True, False]
    gauges = cache.gauges()
    assert (gauges["failures"], gauges["disk_entries"], gauges["misses"]) == (1, 1, 2)
    assert cache.save(key_of("a"), entry(b"again"), 1, NOW_US)
    await cache.flush()
    cache, _ = await reborn(tmp_path)
    assert body_of(await got(cache, key_of("a"))) == b"again"


async def test_a_file_that_was_removed_is_a_miss(tmp_path: Path) -> None:
    cache, _ = await reborn(tmp_path)
    cache.save(KEY, entry(), 1, NOW_US)
    await cache.flush()
    cache, _ = await reborn(tmp_path)
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    assert await got(cache) is None
    assert cache.lookup(KEY, 1, NOW_US) is None


# A disk that fails, is full, or slow


async def test_a_disk_that_fails_costs_only_its_tier(tmp_path: Path) -> None:
    cache, store = await reborn(tmp_path)
    store.error = OSError(errno.EIO, "Input/output error")
    cache.save(KEY, entry(), 1, NOW_US)
    assert not await cache.flush()
    assert cache.failing == "Input/output error"
    assert body_of(cache.lookup(KEY, 1, NOW_US)) == b"an answer"
    store.error = None
    assert await cache.flush()
    assert cache.failing == ""
    cache, _ = await reborn(tmp_path)
    assert body_of(await got(cache)) == b"an answer"


async def test_a_disk_that_fails_from_the_start(tmp_path: Path) -> None:
    cache, store = cache_over(tmp_path)
    store.error = OSError(errno.EROFS, "Read-only file system")
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(cache.run)
            await until(lambda: cache.failing)
            cache.save(KEY, entry(), 1, NOW_US)
            assert body_of(cache.lookup(KEY, 1, NOW_US)) == b"an answer"
            store.error = None
            cache.close()  # does not wait for the next try
    assert cache.failing == ""
    cache, _ = await reborn(tmp_path)
    assert body_of(await got(cache)) == b"an answer"


async def test_tries_grow_rarer(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, store = cache_over(tmp_path)
    broken = OSError(errno.EIO, "broken")
    tried: list[float] = []

    async def pause(self: object, seconds: float) -> None:
        tried.append(seconds)
        if len(tried) in (9, 10):
            store.error = None if store.error else broken
            cache.save(key_of(len(tried)), entry(), 1, NOW_US)
        if len(tried) == 12:
            cache.close()
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(cache_disk.DiskTier, "_pause", pause)
    monkeypatch.setattr(cache_disk, "SWEEP_S", 0)
    store.error = broken
    await cache.run()
    assert tried == [1, 2, 4, 8, 16, 32, 60, 60, 60, cache_disk.GATHER_S, 1, 2]


async def test_a_full_disk_is_given_room(tmp_path: Path) -> None:
    cache, store = await reborn(tmp_path, segment_bytes_max=1000)
    for at in range(8):
        cache.save(key_of(at), entry(os.urandom(900)), 1, NOW_US)
        await cache.flush()
    store.error = OSError(errno.ENOSPC, "No space left on device")
    cache.save(key_of(8), entry(), 1, NOW_US)
    assert not await cache.flush()
    assert len(list((tmp_path / "cache").iterdir())) == 4
    assert cache.gauges()["disk_entries"] == 4
    store.error = None
    assert await cache.flush()
    assert cache.gauges()["disk_entries"] == 5


async def on_disk(path: Path) -> tuple[ResponseCache, HeldStore, OnDisk]:
    cache, _ = await reborn(path)
    cache.save(KEY, entry(), 1, NOW_US)
    await cache.flush()
    cache, store = await reborn(path)
    found = cache.lookup(KEY, 1, NOW_US)
    assert isinstance(found, OnDisk)
    return cache, store, found


async def test_a_slow_disk_is_a_miss_and_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_disk, "READ_LIMIT_S", 0.02)
    cache, store, found = await on_disk(tmp_path)
    store.go.clear()
    assert await cache.fetch(found, NOW_US) is None
    assert await cache.fetch(found, NOW_US) is None
    assert store.reads == 1  # the second was not even tried
    store.go.set()
    monkeypatch.setattr(cache_disk, "READ_LIMIT_S", 10)
    monkeypatch.setattr(cache._disk, "_rest_until_s", 0.0)
    assert body_of(await cache.fetch(found, NOW_US)) == b"an answer"


async def test_many_who_want_the_same_read_it_once(tmp_path: Path) -> None:
    cache, store, found = await on_disk(tmp_path)
    store.go.clear()
    hits: list[bytes] = []

    async def ask() -> None:
        hits.append(body_of(await cache.fetch(found, NOW_US)))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
        await until(lambda: store.reads)
        await wait_all_tasks_blocked()
        store.go.set()
    assert hits == [b"an answer"] * 20
    assert store.reads == 1


async def test_who_waits_for_a_read_that_fails_is_a_miss_too(tmp_path: Path) -> None:
    cache, store, found = await on_disk(tmp_path)
    store.error = OSError(errno.EIO, "broken")
    misses: list[object] = []

    async def ask() -> None:
        misses.append(await cache.fetch(found, NOW_US))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    assert misses == [None] * 3
    assert cache.lookup(KEY, 1, NOW_US) is None


async def test_a_cancelled_read_lets_the_next_one_read(tmp_path: Path) -> None:
    cache, store, found = await on_disk(tmp_path)
    store.go.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cache.fetch, found, NOW_US)
        await until(lambda: store.reads)
        nursery.cancel_scope.cancel()
    store.go.set()
    assert body_of(await cache.fetch(found, NOW_US)) == b"an answer"


# Forgetting


@pytest.mark.parametrize(
    ("org", "ids", "left"),
    [
        (ORG, None, "c"),
        (ORG, {b"1" * 16}, "bc"),
        (OTHER_ORG, None, "ab"),
        (None, {b"1" * 16}, "b"),
        (b"q" * 16, None, "abc"),
        (ORG, set(), "abc"),
    ],
)
@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "sealed"])
@pytest.mark.parametrize("written", ["in memory", "waiting", "written", "restarted"])
async def test_forgetting(
    tmp_path: Path, written: str, keys: SegmentKeys | None, org: bytes, ids: set[bytes], left: str
) -> None:
    cache, _ = await reborn(tmp_path, keys=keys)
    for name, of, number in (("a", ORG, b"1"), ("b", ORG, b"2"), ("c", OTHER_ORG, b"1")):
        made = entry(b"planted-" + name.encode(), org=of, exchange_id=number * 16)
        cache.save(key_of(name), made, 1, NOW_US)
    if written in ("written", "restarted"):
        await cache.flush()
    if written == "restarted":
        cache, _ = cache_over(tmp_path, keys=keys)  # it has not even looked at its disk yet
    assert await cache.forget(org, ids) == 3 - len(left)
    for _ in range(2):
        found = [name for name in "abc" if await got(cache, key_of(name)) is not None]
        assert found == list(left)
        await cache.flush()
        if keys is None:
            text = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
            assert [name for name in "abc" if b"planted-" + name.encode() in text] == list(left)
        cache, _ = await reborn(tmp_path, keys=keys)


@pytest.mark.parametrize("first", ["reader", "deletion"])
async def test_what_is_being_read_is_forgotten_too(tmp_path: Path, first: str) -> None:
    cache, store, found = await on_disk(tmp_path)
    store.go_reading.clear()
    if first == "reader":
        store.go.clear()
    got_back: list[object] = []

    async def ask() -> None:
        got_back.append(await cache.fetch(found, NOW_US))

    async def forget() -> None:
        assert await cache.forget(ORG) == 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await until(lambda: store.reads)
        if first == "reader":
            nursery.start_soon(forget)
            await wait_all_tasks_blocked()
        else:
            await forget()
        store.go_reading.set()
        store.go.set()
    assert first == "reader" or got_back == [None]
    assert await got(cache) is None
    assert cache.gauges()["memory_entries"] == 0
    with pytest.raises(CacheUnreadable):
        store.read(found.slot, found.place)


async def test_a_deletion_that_cannot_be_is_said(tmp_path: Path) -> None:
    cache, store, _ = await on_disk(tmp_path)
    store.error = OSError(errno.EIO, "broken")
    with pytest.raises(OSError, match="broken"):
        await cache.forget(ORG)
    store.error = None
    assert await cache.forget(ORG) == 1


# The option


async def test_identical_misses_fly_together() -> None:
    assert ResponseCache(8 * MIB).flights is None
    cache = ResponseCache(8 * MIB, coalesce=True)
    assert cache.flights is not None
    asked = 0
    answers: list[bytes] = []

    async def ask() -> None:
        nonlocal asked
        hit = cache.lookup(KEY, 1, NOW_US)
        assert hit is None
        joined = cache.flights.join(KEY)  # type: ignore[union-attr]
        if isinstance(joined, cache_flights.Lead):
            with joined:
                asked += 1
                await trio.testing.wait_all_tasks_blocked()
                made = entry(b"one for all")
                cache.save(KEY, made, 1, NOW_US)
                joined.land(made)
                answers.append(made.body)
        else:
            assert joined is not None
            landed = await joined.wait()
            assert landed is not None
            answers.append(landed.body)

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(ask)
    assert asked == 1
    assert answers == [b"one for all"] * 100
    assert cache.gauges()["followed"] == 99
