"""Both tiers together: buckets, restarts, and their bounds; the option of flying together."""

import os
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.actors import cache_flights
from appliance.actors.cache_disk import OnDisk
from appliance.actors.response_cache import Hit, ResponseCache
from appliance.core.cache_entry import ENTRY_BYTES_MAX
from storage.vault import SegmentKeys
from tests.actors.cache_kit import (
    KEY,
    MIB,
    NOW_US,
    ORG,
    SECOND_US,
    HeldStore,
    bodies,
    body_of,
    cache_over,
    entry,
    got,
    key_of,
    reborn,
)
from tests.storage.journal_kit import KEYS, until

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
    with trio.fail_after(30):
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
