"""The rate limiter over restarts: counts outlive them, whatever became of the file or the disk."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from appliance.actors import rate_limiter as module
from appliance.actors.rate_limiter import FILE_NAME, RateLimiter
from appliance.core.rate_snapshot import MAGIC
from storage.disk import Disk
from tests.actors.rate_limiter_kit import (
    CENT,
    CENTS,
    PER_USER,
    T0,
    Clock,
    S,
    key_of,
    left,
    maker,
    passed,
)  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[..., RateLimiter]:
    return maker(tmp_path, clock)


async def started(limiter: RateLimiter, nursery: trio.Nursery) -> RateLimiter:
    await nursery.start(limiter.run)
    return limiter


async def until(done: Callable[[], bool]) -> None:
    """Turns of the loop: what is awaited is done by a thread."""
    with trio.fail_after(20):
        while not done():
            await trio.lowlevel.checkpoint()


async def test_a_restart_forgets_nothing(make: Callable[..., RateLimiter], clock: Clock) -> None:
    async with trio.open_nursery() as nursery:
        limiter = await started(make(), nursery)
        assert limiter.stats.lost == ""
        assert passed(limiter, PER_USER, 60, "ann") == 60
        limiter.charge_cents(key_of(limiter, CENTS), CENTS, 25 * CENT + 1, T0)
        limiter.close()
    kept = sorted(limiter._buckets)
    async with trio.open_nursery() as nursery:
        limiter = await started(make(), nursery)
        assert sorted(limiter._buckets) == kept
        assert limiter.stats.lost == ""
        # 90 s have passed meanwhile: 2.5 requests
        assert passed(limiter, PER_USER, 100, "ann", T0 + 90 * S) == 42
        assert limiter.look(key_of(limiter, CENTS), CENTS, T0).reset_s == 9001
        limiter.close()


async def test_a_killed_process_loses_at_most_the_last_second(
    make: Callable[..., RateLimiter], tmp_path: Path
) -> None:
    """What lies in the file while the limiter runs is what a killed process leaves."""
    path = tmp_path / FILE_NAME
    sizes = set()
    async with trio.open_nursery() as nursery:
        limiter = await started(make(save_s=0.001), nursery)
        for calls in (60, 10, 5):
            assert passed(limiter, PER_USER, calls, "ann") == calls
            await until(lambda: not limiter._changed and limiter._file_rows is not None)
            sizes.add(path.stat().st_size)
            again = make()
            again.load(path.read_bytes())
            assert left(again, PER_USER, "ann") == left(limiter, PER_USER, "ann")
        nursery.cancel_scope.cancel()
    assert len(sizes) == 3, "changes are added"


async def test_a_cancelled_limiter_saves_too(
    make: Callable[..., RateLimiter], tmp_path: Path
) -> None:
    async with trio.open_nursery() as nursery:
        limiter = await started(make(), nursery)
        passed(limiter, PER_USER, 60, "ann")
        nursery.cancel_scope.cancel()
    again = make()
    again.load((tmp_path / FILE_NAME).read_bytes())
    assert left(again, PER_USER, "ann") == 40


async def test_a_save_that_is_cancelled_midway_is_made_good(
    make: Callable[..., RateLimiter], tmp_path: Path
) -> None:
    limiter = make()
    passed(limiter, PER_USER, 10, "ann")
    await limiter.save()
    passed(limiter, PER_USER, 10, "ann")
    with trio.CancelScope() as scope:
        scope.cancel()
        await limiter.save()
    assert scope.cancelled_caught
    await limiter.save()
    again = make()
    again.load((tmp_path / FILE_NAME).read_bytes())
    assert left(again, PER_USER, "ann") == 80


async def test_nothing_is_written_when_nothing_changed(
    make: Callable[..., RateLimiter], tmp_path: Path
) -> None:
    path = tmp_path / FILE_NAME
    limiter = make()
    await limiter.save(sync=True)
    assert not path.exists()
    passed(limiter, PER_USER, 100, "ann")
    await limiter.save()
    size = path.stat().st_size
    assert passed(limiter, PER_USER, 50, "ann") == 0  # refusals change nothing
    for sync in (False, True):
        await limiter.save(sync=sync)
        assert path.stat().st_size == size


async def test_names_of_users_are_not_on_the_disk(
    make: Callable[..., RateLimiter], tmp_path: Path
) -> None:
    limiter = make()
    passed(limiter, PER_USER, 1, "ann@example.com")
    await limiter.save()
    data = (tmp_path / FILE_NAME).read_bytes()
    assert data.startswith(MAGIC)
    assert b"ann" not in data
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0
    assert os.listdir(tmp_path) == [FILE_NAME]


async def test_a_file_that_has_grown_long_is_written_anew(
    make: Callable[..., RateLimiter], tmp_path: Path
) -> None:
    limiter = make(slack_rows=3)
    sizes = []
    for _ in range(20):
        passed(limiter, PER_USER, 1, "ann")
        await limiter.save()
        sizes.append((tmp_path / FILE_NAME).stat().st_size)
    assert sizes == sorted(sizes[:6]) + sorted(sizes[6:12]) + sorted(sizes[12:18]) + sizes[18:]
    assert len(set(sizes)) == 6
    again = make()
    again.load((tmp_path / FILE_NAME).read_bytes())
    assert left(again, PER_USER, "ann") == 80


async def saved_by(limiter: RateLimiter) -> None:
    passed(limiter, PER_USER, 60, "ann")
    await limiter.save()
    passed(limiter, PER_USER, 20, "bob")
    await limiter.save()


@pytest.mark.parametrize(
    ("damage", "ann", "bob", "says"),
    [
        (lambda data: data[:-1], 40, 100, "torn"),
        (lambda data: data + b"\0" * 4096, 40, 80, "torn"),
        (lambda data: data[:-1] + b"\xff", 40, 100, "torn"),
        (lambda data: data[: len(MAGIC) + 5], 100, 100, "torn"),
        (lambda data: b"SQLite format 3\0" + data, 100, 100, "foreign"),
        (lambda data: b"\0" * len(data), 100, 100, "foreign"),
        (lambda data: b"", 100, 100, ""),
    ],
)
async def test_torn_and_foreign_files_are_survived(
    make: Callable[..., RateLimiter], tmp_path: Path, damage: Callable[[bytes], bytes], ann: int,
    bob: int, says: str,
) -> None:  # fmt: skip
    await saved_by(make())
    path = tmp_path / FILE_NAME
    path.write_bytes(damage(path.read_bytes()))
    async with trio.open_nursery() as nursery:
        limiter = await started(make(), nursery)
        assert says in limiter.stats.lost
        assert [left(limiter, PER_USER, user) for user in ("ann", "bob")] == [ann, bob]
        passed(limiter, PER_USER, 1, "cyd")
        limiter.close()
    # What was wrong is gone with the next save: nothing was added behind it.
    async with trio.open_nursery() as nursery:
        limiter = await started(make(), nursery)
        assert limiter.stats.lost == ""
        assert [left(limiter, PER_USER, user) for user in ("ann", "bob", "cyd")] == [ann, bob, 99]
        limiter.close()


async def test_a_file_that_cannot_be_read_is_survived(
    make: Callable[..., RateLimiter], tmp_path: Path
) -> None:
    (tmp_path / FILE_NAME).mkdir()
    async with trio.open_nursery() as nursery:
        limiter = await started(make(save_s=0.001), nursery)
        assert "directory" in limiter.stats.lost
        assert passed(limiter, PER_USER, 200, "ann") == 100
        await until(lambda: bool(limiter.stats.error))
        (tmp_path / FILE_NAME).rmdir()
        limiter.close()
    assert limiter.stats.error == ""
    again = make()
    again.load((tmp_path / FILE_NAME).read_bytes())
    assert left(again, PER_USER, "ann") == 0


class BadDisk(Disk):
    """Fails, or writes short, as long as it is told to."""

    def __init__(self) -> None:
        self.failing = False
        self.short = False
        self.synced = 0
        self.hold: threading.Event | None = None

    def write(self, descriptor: int, data: bytes | bytearray) -> int:
        if self.hold is not None:
            self.hold.wait(60)
        if self.failing:
            raise OSError(28, "No space left on device")
        return super().write(descriptor, data[: len(data) // 2] if self.short else data)

    def fsync(self, descriptor: int) -> None:
        self.synced += 1
        super().fsync(descriptor)


@pytest.mark.parametrize("fault", ["failing", "short"])
async def test_a_broken_disk_stops_no_limit_and_is_made_good(
    make: Callable[..., RateLimiter], tmp_path: Path, fault: str
) -> None:
    disk = BadDisk()
    limiter = make(disk=disk)
    await saved_by(limiter)
    setattr(disk, fault, True)
    for number in range(3):
        assert passed(limiter, PER_USER, 10, "ann") == 10
        await limiter.save()
        assert limiter.stats.failures == number + 1
        assert limiter.stats.error
    # What was saved before can still be read.
    again = make()
    again.load((tmp_path / FILE_NAME).read_bytes())
    assert left(again, PER_USER, "bob") == 80
    setattr(disk, fault, False)
    await limiter.save()
    assert limiter.stats.error == ""
    again = make()
    again.load((tmp_path / FILE_NAME).read_bytes())
    assert again.stats.lost == ""
    assert [left(again, PER_USER, user) for user in ("ann", "bob")] == [10, 80]


async def test_a_file_that_was_taken_away_is_written_anew(
    make: Callable[..., RateLimiter], tmp_path: Path
) -> None:
    limiter = make()
    await saved_by(limiter)
    (tmp_path / FILE_NAME).unlink()
    passed(limiter, PER_USER, 1, "cyd")
    await limiter.save()
    assert limiter.stats.failures == 1
    await limiter.save()
    again = make()
    again.load((tmp_path / FILE_NAME).read_bytes())
    assert [left(again, PER_USER, user) for user in ("ann", "bob", "cyd")] == [40, 80, 99]


async def test_the_last_save_is_on_the_disk(make: Callable[..., RateLimiter]) -> None:
    disk = BadDisk()
    limiter = make(disk=disk)
    await saved_by(limiter)
    whole = disk.synced
    await limiter.save(sync=True)
    assert disk.synced == whole + 1, "what was handed to the system is synced, without a change"
    await limiter.save(sync=True)
    assert disk.synced == whole + 1


async def test_a_disk_that_hangs_does_not_hold_up_the_end(
    make: Callable[..., RateLimiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.05)
    disk = BadDisk()
    disk.hold = threading.Event()
    limiter = make(disk=disk)
    passed(limiter, PER_USER, 1, "ann")
    try:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                await started(limiter, nursery)
                limiter.close()
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
    finally:
        disk.hold.set()
    assert not limiter._loaded or limiter._file_rows is None


def test_what_is_here_counts_more_than_what_is_loaded(make: Callable[..., RateLimiter]) -> None:
    old, new = make(), make()
    passed(old, PER_USER, 10, "ann")
    passed(old, PER_USER, 10, "bob")
    passed(new, PER_USER, 50, "ann")
    new.load(old.snapshot())
    assert [left(new, PER_USER, user) for user in ("ann", "bob")] == [50, 90]
    assert sorted(new._order) == sorted(new._buckets)


def test_no_more_is_loaded_than_there_may_be(make: Callable[..., RateLimiter]) -> None:
    old = make()
    for number in range(50):
        passed(old, PER_USER, 1, f"user-{number}")
    new = make(buckets_max=10)
    new.load(old.snapshot())
    assert len(new) == 10


def test_a_snapshot_from_the_future_refuses_nobody_for_long(
    make: Callable[..., RateLimiter],
) -> None:
    """The clock was a year ahead when it was taken: nothing is refilled at once, and then all."""
    old, new = make(), make()
    later = T0 + 31_536_000 * S
    passed(old, PER_USER, 100, "ann", later)
    new.load(old.snapshot())
    assert passed(new, PER_USER, 1, "ann", T0) == 0
    assert passed(new, PER_USER, 100, "ann", T0 + 36 * S) == 1


async def test_what_died_starts_again_with_what_it_had(
    make: Callable[..., RateLimiter], clock: Clock
) -> None:
    """Started again by its supervisor, it neither forgets nor takes older counts from the file."""
    limiter = make(save_s=0.001)
    await saved_by(limiter)
    passed(limiter, PER_USER, 10, "ann")
    clock.broken = True  # what sweeping asks first
    with pytest.RaisesGroup(RuntimeError):
        async with trio.open_nursery() as nursery:
            await started(limiter, nursery)
            await trio.sleep_forever()
    clock.broken = False
    async with trio.open_nursery() as nursery:
        await started(limiter, nursery)
        assert left(limiter, PER_USER, "ann") == 30
        limiter.close()
