"""A failing disk: the file is given up, nothing is lost that memory holds, recovery by itself."""

import errno
import os
from pathlib import Path

import pytest
import trio

from storage.frames import (
    FLAG_REWRITTEN,
    FLAG_SUPERSEDES,
    KIND_EXCHANGE,
    KIND_SCORE,
    BodyPacker,
    decode_exchange,
    encode_exchange,
)
from storage.reader import Damage
from storage.vault import SegmentKeys
from tests.storage.journal_kit import (
    BROKEN,
    KEYS,
    NO_SPACE,
    ORG,
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

FIRST = "00000001.seg"


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch) -> None:
    monkeypatch.setattr("storage.trouble.RETRY_FIRST_S", 0.002)
    monkeypatch.setattr("storage.journal.UPKEEP_S", 0.002)


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "sealed"])
@pytest.mark.parametrize("fault", [BROKEN, NO_SPACE, 0, 1, 20, 40], ids=str)
async def test_after_a_failed_write_that_file_is_left_alone(
    tmp_path: Path, fault: OSError | int, keys: SegmentKeys | None
) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk, keyring=keys) as journal:
        journal.append(KIND_SCORE, ORG, b"before, synced")
        await synced(journal)
        disk.hold.clear()
        journal.append(KIND_SCORE, ORG, b"before, not synced")
        disk.fail_write = lambda name: fault if name == FIRST else None
        ticket = journal.append(KIND_SCORE, ORG, b"the one that failed")
        at_failure = len(disk.touched(FIRST))
        word = "io_error" if fault is BROKEN else "no_space"  # as of a write that is cut short
        assert journal.degraded == f"journal;reason={word}"
        disk.hold.set()
        assert ticket is not None
        await journal.settle(ticket)
        journal.append(KIND_SCORE, ORG, b"after")
        await until(lambda: journal.degraded is None)
        # An fsync that was out already may be seen; no write, and no later fsync.
        assert disk.touched(FIRST)[at_failure:] in ([], ["fsync"])
        assert (journal.stats.failures, journal.stats.rewritten >= 1) == (1, True)
    damages: list[Damage] = []
    found = frames(tmp_path, keys, damages)
    assert [f.payload for f in found] == [
        b"before, synced", b"before, not synced",
        b"before, not synced", b"the one that failed", b"after",
    ]  # fmt: skip
    assert [f.flags for f in found] == [0, 0, FLAG_REWRITTEN, FLAG_REWRITTEN, 0]
    assert [f.position.segment for f in found] == [1, 1, 2, 2, 2]
    assert [d.reason for d in damages] == (["tail"] if fault in (1, 20, 40) else [])


async def test_after_a_failed_fsync_that_file_is_left_alone(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk) as journal:
        journal.append(KIND_SCORE, ORG, b"synced")
        await synced(journal)
        place = journal.synced
        disk.calls.clear()
        disk.fail_fsync = lambda name: BROKEN if name == FIRST else None
        journal.append(KIND_SCORE, ORG, b"x")
        journal.append(KIND_EXCHANGE, ORG, b"y", FLAG_SUPERSEDES)
        await until(lambda: journal.stats.rewritten == 2)
        journal.append(KIND_SCORE, ORG, b"z")
        await until(lambda: journal.degraded is None)
        assert disk.touched(FIRST) == ["write", "write", "fsync"]
        assert journal.synced > place
    assert [(f.payload, f.flags, f.position.segment) for f in frames(tmp_path)] == [
        (b"synced", 0, 1), (b"x", 0, 1), (b"y", FLAG_SUPERSEDES, 1),
        (b"x", FLAG_REWRITTEN, 2), (b"y", FLAG_SUPERSEDES, 2), (b"z", 0, 2),
    ]  # fmt: skip


async def test_a_failed_fsync_of_the_folder_counts_as_one_of_the_file(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk) as journal:
        disk.fail_fsync = lambda name: BROKEN if name == "journal" else None
        journal.append(KIND_SCORE, ORG, b"x")
        await until(lambda: journal.stats.failures > 1)
        disk.fail_fsync = lambda name: None
        await synced(journal)
    assert {f.payload for f in frames(tmp_path)} == {b"x"}


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.EIO, "io_error"),
        (errno.ENOSPC, "no_space"),
        (errno.EDQUOT, "no_space"),
        (errno.EROFS, "read_only"),
        (errno.EFBIG, "io_error"),
    ],
)
async def test_the_reason_is_a_fixed_word_and_goes_with_the_trouble(
    tmp_path: Path, number: int, word: str
) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk, reply_wait_s=0.001) as journal:
        broken = OSError(number, "x")
        disk.fail_write = disk.fail_open = lambda name: broken
        ticket = journal.append(KIND_SCORE, ORG, b"x")
        assert journal.degraded == f"journal;reason={word}"
        await journal.settle(ticket)
        assert journal.stats.late_records == 1
        await until(lambda: journal.stats.failures >= 4)  # it tries again by itself
        disk.fail_write = disk.fail_open = lambda name: None
        await until(lambda: journal.degraded is None)
        assert journal.synced == journal.written
    assert payloads(tmp_path) == [b"x"]


async def test_retries_back_off(tmp_path: Path) -> None:
    disk, clock = FaultyDisk(), Clock()
    async with running(tmp_path, disk, clock=clock) as journal:
        disk.fail_write = disk.fail_open = lambda name: BROKEN
        journal.append(KIND_SCORE, ORG, b"x")
        delays = []
        for failures in range(2, 8):  # the first is tried again at once
            await until(lambda wanted=failures: journal._trouble.failures == wanted)
            delays.append(journal._trouble.retry_at_s - clock.now_s)
            clock.now_s = journal._trouble.retry_at_s
        assert delays == pytest.approx([0.002 * 2**n for n in range(6)])
        disk.fail_write = disk.fail_open = lambda name: None
        clock.now_s += 1


async def test_strict_replies_do_not_hang_on_a_dead_disk(tmp_path: Path) -> None:
    disk = FaultyDisk()
    options = {"durability": "strict", "reply_wait_s": 0.01}
    async with running(tmp_path, disk, **options) as journal:
        disk.fail_write = disk.fail_fsync = disk.fail_open = lambda name: BROKEN
        with trio.fail_after(30):
            await journal.settle(journal.append(KIND_SCORE, ORG, b"x"))
        assert journal.stats.late_records == 1
        disk.fail_write = disk.fail_fsync = disk.fail_open = lambda name: None
        await until(lambda: journal.degraded is None)
    assert b"x" in payloads(tmp_path)


async def test_the_reserve_goes_at_the_first_enospc_and_comes_back(tmp_path: Path) -> None:
    disk = FaultyDisk()
    reserve = tmp_path / "journal" / "reserve"
    async with running(tmp_path, disk, reserve_bytes=1 << 20) as journal:
        assert reserve.stat().st_size == 1 << 20
        disk.free = 0

        def full(name: str) -> OSError | None:
            return NO_SPACE if reserve.exists() else None

        disk.fail_write = full
        ticket = journal.append(KIND_SCORE, ORG, b"written into the reserve's room")
        await until(lambda: journal._is_synced(ticket.sequence))
        assert not reserve.exists()
        assert journal.degraded == "journal;reason=no_space"  # still, without a reserve
        disk.fail_write = lambda name: None
        disk.free = 2 << 20
        await until(lambda: journal.degraded is None)
        assert reserve.stat().st_size == 1 << 20
    assert payloads(tmp_path) == [b"written into the reserve's room"]


async def test_no_room_for_a_reserve_at_the_start_is_said(tmp_path: Path) -> None:
    disk = FaultyDisk()
    disk.free = 100
    async with running(tmp_path, disk, reserve_bytes=1 << 20) as journal:
        assert journal.degraded == "journal;reason=no_space"
        assert journal.append(KIND_SCORE, ORG, b"x") is None
        disk.free = 1 << 30
        await until(lambda: journal.degraded is None)


async def test_the_backlog_loses_bodies_first_then_records_and_counts_both(tmp_path: Path) -> None:
    disk = FaultyDisk()
    body = BodyPacker().pack(os.urandom(2000))
    async with running(tmp_path, disk, backlog_bytes_max=20_000, reply_wait_s=0) as journal:
        disk.fail_write = disk.fail_open = lambda name: NO_SPACE
        for number in range(30):
            meta = {"exchange_id": bytes([number] * 16)}
            journal.append(KIND_EXCHANGE, ORG, encode_exchange(meta, body, body))
            assert journal.stats.backlog_bytes <= 20_000
        assert journal.stats.bodies_dropped >= 20
        assert journal.stats.records_dropped == 0
        for _ in range(100):
            journal.append(KIND_SCORE, ORG, bytes(100))
            assert journal.stats.backlog_bytes <= 20_000
        dropped = journal.stats.records_dropped
        assert journal.stats.bodies_dropped == 30
        assert dropped > 50
        disk.fail_write = disk.fail_open = lambda name: None
        await until(lambda: journal.degraded is None)
    found = frames(tmp_path)
    assert len(found) == 130 - dropped
    exchanges = [decode_exchange(f.payload) for f in found if f.kind == KIND_EXCHANGE]
    assert all(meta["degraded"] and not request for meta, request, _ in exchanges)


async def test_copies_that_were_shrunk_count_when_they_are_needed(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk, backlog_bytes_max=10_000) as journal:
        disk.hold.clear()
        for _ in range(50):
            journal.append(KIND_SCORE, ORG, bytes(1000))
        assert journal.stats.records_dropped == 0
        disk.fail_fsync = lambda name: BROKEN if name == FIRST else None
        disk.hold.set()
        await until(lambda: journal.stats.rewritten and journal.degraded is None)
        assert journal.stats.records_dropped == 50 - journal.stats.rewritten > 40


@pytest.mark.parametrize("broken", [NO_SPACE, OSError(errno.EROFS, "read-only"), BROKEN])
async def test_a_bad_disk_at_the_start_is_no_reason_not_to_start(
    tmp_path: Path, broken: OSError
) -> None:
    opened(tmp_path).append(KIND_SCORE, ORG, b"earlier")
    disk = FaultyDisk()
    disk.fail_open = lambda name: broken
    async with running(tmp_path, disk) as journal:
        assert journal.degraded is not None
        assert journal.append(KIND_SCORE, ORG, b"x") is not None
        assert journal.synced.segment == 2  # what was there before can be ingested
        await until(lambda: journal.stats.failures >= 3)
        disk.fail_open = lambda name: None
        await until(lambda: journal.degraded is None)
    assert payloads(tmp_path) == [b"earlier", b"x"]


async def test_recovery_needs_no_traffic(tmp_path: Path) -> None:
    disk = FaultyDisk()
    disk.fail_open = lambda name: BROKEN
    async with running(tmp_path, disk) as journal:
        await until(lambda: journal.stats.failures >= 2)
        assert journal.degraded is not None
        disk.fail_open = lambda name: None
        await until(lambda: journal.degraded is None)
        journal.append(KIND_SCORE, ORG, b"x")
    assert payloads(tmp_path) == [b"x"]


async def test_tries_that_failed_leave_no_litter_on_a_full_disk(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk) as journal:
        journal.append(KIND_SCORE, ORG, b"before")
        await synced(journal)
        # Headers fit, frames are cut: each try leaves a segment that only doubles what waits.
        disk.fail_write = lambda name: 10 if name.endswith(".seg") else None
        journal.append(KIND_SCORE, ORG, b"x")
        await until(lambda: journal.stats.failures >= 5)
        await until(lambda: len(names(tmp_path)) <= 2)
        disk.fail_write = lambda name: None
        await until(lambda: journal.degraded is None)
    assert payloads(tmp_path) == [b"before", b"x"]
    assert names(tmp_path)[0] == FIRST
    assert len(names(tmp_path)) == 2


async def test_closing_tries_a_new_segment_when_the_last_fsync_fails(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk) as journal:
        await synced(journal)
        journal.append(KIND_SCORE, ORG, b"x")
        disk.fail_fsync = lambda name: BROKEN if name == FIRST else None
    assert [(f.payload, f.position.segment) for f in frames(tmp_path)] == [(b"x", 1), (b"x", 2)]


async def test_closing_on_a_dead_disk_ends(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with running(tmp_path, disk) as journal:
        disk.fail_write = disk.fail_fsync = disk.fail_open = lambda name: BROKEN
        journal.append(KIND_SCORE, ORG, b"x")
    assert journal.degraded == "journal;reason=io_error"
    assert journal.stats.backlog_frames == 1


async def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    disk = FaultyDisk()
    for fault in (BROKEN, 5, None):
        async with running(tmp_path / str(fault), disk, segment_bytes_max=500) as journal:
            for number in range(20):
                first = names(tmp_path / str(fault))[0]
                disk.fail_write = lambda n, f=fault, w=first: f if n == w else None
                journal.append(KIND_SCORE, ORG, bytes(100))
                if number % 5 == 0:
                    await synced(journal)
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # trio's own wake-up pair


@pytest.mark.parametrize("turn", range(1, 24))
async def test_whichever_call_fails_no_record_is_missing(tmp_path: Path, turn: int) -> None:
    """The n-th write or fsync of all fails once, wherever it falls."""
    disk = FaultyDisk()
    calls = 0

    def nth(name: str) -> OSError | None:
        nonlocal calls
        calls += 1
        return BROKEN if calls == turn else None

    disk.fail_write = disk.fail_fsync = nth
    expected = [b"%d" % number * 40 for number in range(12)]
    async with running(tmp_path, disk, segment_bytes_max=300) as journal:
        for number, payload in enumerate(expected):
            journal.append(KIND_SCORE, ORG, payload)
            if number % 3 == 0:
                await synced(journal)
        await synced(journal)
    seen: list[bytes] = []
    for frame in frames(tmp_path):
        if frame.payload in seen:
            assert frame.flags == FLAG_REWRITTEN
        else:
            seen.append(frame.payload)
    assert sorted(seen) == sorted(expected)
