"""A healthy disk: what is appended is there, in numbered, closed, synced segments."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from storage.disk import Disk
from storage.frames import FLAG_SUPERSEDES, KIND_EXCHANGE, KIND_SCORE, Position
from storage.journal import Journal, JournalRefused, Ticket, segments
from storage.reader import check_segment, read_frames
from storage.segment import HEADER_BYTES
from storage.vault import SegmentKeys, VaultError
from tests.storage.journal_kit import (
    KEYS,
    ORG,
    START,
    Clock,
    FaultyDisk,
    frames,
    names,
    opened,
    payloads,
    running,
    synced,
    until,
)


def test_an_append_is_readable_at_once_and_nobody_waits(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert journal.append(KIND_EXCHANGE, ORG, b"first") is None
    assert journal.append(KIND_SCORE, ORG, b"second", FLAG_SUPERSEDES) is None
    found = frames(tmp_path)
    assert [(f.kind, f.flags, f.payload) for f in found] == [
        (KIND_EXCHANGE, 0, b"first"), (KIND_SCORE, FLAG_SUPERSEDES, b"second"),
    ]  # fmt: skip
    assert journal.written == found[-1].end
    assert journal.synced == Position(1, HEADER_BYTES)
    assert journal.degraded is None


def everything(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("keys", [None, KEYS])
async def test_closing_leaves_a_synced_segment_with_a_footer(
    tmp_path: Path, keys: SegmentKeys | None
) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk, keyring=keys) as journal:
        for number in range(100):
            journal.append(KIND_SCORE, ORG, b"planted %d" % number)
    assert payloads(tmp_path, keys) == [b"planted %d" % number for number in range(100)]
    assert [(s.number, s.closed, s.key_epoch) for s in segments(tmp_path)] == [
        (1, True, 2 if keys else 0)
    ]
    check = check_segment(tmp_path, 1)
    assert (check.whole, check.frames) == (True, 100)
    assert disk.calls[-1] == ("fsync", "00000001.seg")
    assert (b"planted" in everything(tmp_path)) is (keys is None)


async def test_a_journal_that_never_ran_closes_as_well(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(KIND_SCORE, ORG, b"x")
    await journal.close()
    await journal.close()
    assert check_segment(tmp_path, 1).footer is not None
    assert journal.synced == journal.written


def test_a_process_appends_only_to_its_own_segments(tmp_path: Path) -> None:
    for payload in (b"one", b"two", b"three"):
        opened(tmp_path).append(KIND_SCORE, ORG, payload)
    assert names(tmp_path) == ["00000001.seg", "00000002.seg", "00000003.seg"]
    assert payloads(tmp_path) == [b"one", b"two", b"three"]


async def test_a_number_is_never_used_twice_even_when_all_segments_are_gone(tmp_path: Path) -> None:
    for expected in range(1, 4):
        journal = opened(tmp_path)
        assert names(tmp_path) == [f"{expected:08d}.seg"]
        await journal.close()
        (tmp_path / "journal" / f"{expected:08d}.seg").unlink()


def test_making_a_segment_syncs_its_header_its_number_and_its_folder(tmp_path: Path) -> None:
    disk = FaultyDisk()
    opened(tmp_path, disk)
    assert disk.calls == [
        ("write", "00000001.new"), ("fsync", "00000001.new"),
        ("write", "highest.new"), ("fsync", "highest.new"), ("fsync", "journal"),
    ]  # fmt: skip


async def test_frames_count_as_synced_only_behind_file_and_folder(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk) as journal:
        disk.calls.clear()
        journal.append(KIND_SCORE, ORG, b"x")
        await synced(journal)
        assert disk.calls[:3] == [
            ("write", "00000001.seg"), ("fsync", "journal"), ("fsync", "00000001.seg"),
        ]  # fmt: skip
        assert journal.synced == journal.written


async def test_group_commit_waits_at_most_the_interval(
    tmp_path: Path, autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first frame is synced at once, those of the next 50 ms together."""
    starts: list[float] = []
    async with running(tmp_path, sync_interval_s=0.05) as journal:

        async def inline(work: Callable, *arguments: object, **_: object) -> object:
            await trio.lowlevel.checkpoint()
            if work == journal._sync_all:
                starts.append(trio.current_time())
            return work(*arguments)

        monkeypatch.setattr(trio.to_thread, "run_sync", inline)
        await trio.sleep(1)
        starts.clear()
        for _ in range(200):
            journal.append(KIND_SCORE, ORG, b"x")
            await trio.sleep(0.001)
        gaps = [after - before for before, after in pairwise(starts)]
    assert len(gaps) == 3
    assert max(gaps) <= 0.0501


async def test_strict_waits_for_the_fsync_and_the_next_begins_at_once(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk, durability="strict", sync_interval_s=60) as journal:
        for _ in range(5):
            ticket = journal.append(KIND_SCORE, ORG, b"x")
            assert isinstance(ticket, Ticket)
            await journal.settle(ticket)
            assert journal.synced == journal.written
        disk.hold.clear()
        waiting = journal.append(KIND_SCORE, ORG, b"y")
        with trio.move_on_after(0.03) as scope:
            await journal.settle(waiting)
        assert scope.cancelled_caught
        disk.hold.set()
        await journal.settle(waiting)
        assert journal.stats.late_records == 0


async def test_a_strict_reply_hangs_for_no_longer_than_its_limit(tmp_path: Path) -> None:
    disk = FaultyDisk()
    options = {"durability": "strict", "strict_wait_s": 0.01, "reply_wait_s": 0.01}
    async with running(tmp_path, disk, **options) as journal:
        disk.hold.clear()
        await journal.settle(journal.append(KIND_SCORE, ORG, b"x"))
        assert journal.stats.late_records == 1
        disk.hold.set()


async def test_segments_rotate_and_every_one_is_closed_and_whole(tmp_path: Path) -> None:
    expected = [b"%04d" % number * 50 for number in range(400)]
    async with running(tmp_path, segment_bytes_max=10_000) as journal:
        for payload in expected:
            assert journal.append(KIND_SCORE, ORG, payload) is None
            await trio.lowlevel.checkpoint()
            if len(expected) % 20 == 0:
                await synced(journal)
    assert payloads(tmp_path) == expected
    listed = segments(tmp_path)
    assert len(listed) > 5
    assert all(s.closed for s in listed)
    assert all(check_segment(tmp_path, s.number).footer for s in listed)
    assert all(check_segment(tmp_path, s.number).whole for s in listed)
    assert not list((tmp_path / "journal").glob("*.new"))


async def test_rotation_on_demand_closes_what_holds_frames(tmp_path: Path) -> None:
    async with running(tmp_path) as journal:
        await journal.rotate()
        assert names(tmp_path) == ["00000001.seg"]
        journal.append(KIND_SCORE, ORG, b"x")
        await journal.rotate()
        journal.append(KIND_SCORE, ORG, b"y")
        assert [s.closed for s in segments(tmp_path)] == [True, False]
        assert check_segment(tmp_path, 1).footer is not None
    assert payloads(tmp_path) == [b"x", b"y"]


async def test_readers_see_up_to_the_synced_position_and_are_woken(tmp_path: Path) -> None:
    async with running(tmp_path) as journal:
        place, seen = START, []
        for number in range(20):
            journal.append(KIND_SCORE, ORG, b"%d" % number)
            await journal.wait_synced_past(place)
            upto = journal.synced
            seen += [f.payload for f in read_frames(tmp_path, place, upto=upto)]
            place = upto
        await synced(journal)
        seen += [f.payload for f in read_frames(tmp_path, place, upto=journal.synced)]
    assert seen == [b"%d" % number for number in range(20)]


async def test_what_an_earlier_process_left_counts_as_synced(tmp_path: Path) -> None:
    opened(tmp_path).append(KIND_SCORE, ORG, b"x")
    journal = opened(tmp_path)
    assert [f.payload for f in read_frames(tmp_path, START, upto=journal.synced)] == [b"x"]


async def test_copies_in_memory_last_until_an_fsync_covers_them(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk) as journal:
        disk.hold.clear()
        journal.append(KIND_SCORE, ORG, bytes(1000))
        await until(lambda: disk.calls[-1][0] == "fsync")
        journal.append(KIND_SCORE, ORG, bytes(1000))
        assert 2000 < journal.stats.unsynced_bytes < 3000
        disk.hold.set()
        await synced(journal)
        assert journal.stats.unsynced_bytes == 0


async def test_copies_are_bounded_and_what_is_written_is_not_lost(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk, backlog_bytes_max=20_000) as journal:
        disk.hold.clear()
        for _ in range(100):
            journal.append(KIND_SCORE, ORG, bytes(1000))
            assert journal.stats.unsynced_bytes <= 20_000
        disk.hold.set()
        await synced(journal)
        assert (journal.stats.records_dropped, journal.degraded) == (0, None)
    assert len(frames(tmp_path)) == 100


async def test_blobs_are_synced_before_the_frames_that_name_them(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = Journal.open(
        tmp_path, region="us", disk=disk, before_sync=lambda: disk.calls.append(("blobs", ""))
    )
    journal.append(KIND_SCORE, ORG, b"x")
    disk.calls.clear()
    await journal.close()
    assert disk.calls[0] == ("blobs", "")


async def test_a_cancelled_run_can_still_be_closed(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        journal.append(KIND_SCORE, ORG, b"x")
        nursery.cancel_scope.cancel()
        await journal.close()
    assert check_segment(tmp_path, 1).footer is not None
    assert payloads(tmp_path) == [b"x"]


def test_another_region_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).append(KIND_SCORE, ORG, b"x")
    with pytest.raises(JournalRefused, match="holds region us, not eu"):
        Journal.open(tmp_path, region="eu")


def test_a_rotated_epoch_is_used_from_the_next_segment_on(tmp_path: Path) -> None:
    keys = SegmentKeys(1, {1: b"1" * 32})
    opened(tmp_path, keyring=keys).append(KIND_SCORE, ORG, b"old")
    keys.epochs[2], keys.current = b"2" * 32, 2
    opened(tmp_path, keyring=keys).append(KIND_SCORE, ORG, b"new")
    assert [s.key_epoch for s in segments(tmp_path)] == [1, 2]
    assert payloads(tmp_path, keys) == [b"old", b"new"]
    with pytest.raises(VaultError, match="no key of epoch 2"):
        payloads(tmp_path, SegmentKeys(1, {1: b"1" * 32}))


def test_figures(tmp_path: Path) -> None:
    clock = Clock()

    class Timed(Disk):
        def write(self, descriptor: int, data: bytes | bytearray) -> int:
            clock.now_s += 10e-6
            return super().write(descriptor, data)

    journal = opened(tmp_path, Timed(), clock=clock)
    for _ in range(3):
        journal.append(KIND_SCORE, ORG, b"12345")
    stats = journal.stats
    assert (stats.frames, stats.bytes, stats.failures) == (3, 15, 0)
    assert stats.write_us[4] == sum(stats.write_us) == 3  # each under 2**4 microseconds
