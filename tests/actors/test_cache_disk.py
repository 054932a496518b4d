"""The disk tier when its disk fails, is full or slow, and when something is to be forgotten."""

import errno
import os
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from appliance.actors import cache_disk
from storage.cache_segment import CacheUnreadable
from storage.vault import SegmentKeys
from tests.actors.cache_kit import (
    KEY,
    NOW_US,
    ORG,
    OTHER_ORG,
    body_of,
    cache_over,
    entry,
    got,
    key_of,
    on_disk,
    reborn,
)
from tests.storage.journal_kit import KEYS, until


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
    with trio.fail_after(30):
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
