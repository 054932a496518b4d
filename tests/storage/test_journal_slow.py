"""A slow disk: replies wait little, records are late but not lost, and it goes back when quick."""

from pathlib import Path

import pytest
import trio
import trio.lowlevel

from storage.drain import QUICK_WRITES_TO_RETURN
from storage.frames import KIND_SCORE
from storage.journal import Journal, Ticket
from tests.storage.journal_kit import ORG, Clock, FaultyDisk, payloads, running, until


class SlowDisk(FaultyDisk):
    """Every write takes `seconds` by the journal's clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.seconds = 0.0

    def write(self, descriptor: int, data: bytes | bytearray) -> int:
        self.clock.now_s += self.seconds
        return super().write(descriptor, data)


async def appended(journal: Journal, payload: bytes) -> bool:
    """Whether it had to wait for a thread."""
    ticket = journal.append(KIND_SCORE, ORG, payload)
    if ticket is not None:
        with trio.fail_after(30):
            while not journal._is_written(ticket.sequence):
                await trio.lowlevel.checkpoint()
    return ticket is not None


async def waits_until_direct(journal: Journal) -> int:
    """How many appends waited for a thread before one did not."""
    count = 0
    with trio.fail_after(30):
        while await appended(journal, b"quick"):
            count += 1
    return count


@pytest.mark.parametrize(("seconds", "moves"), [(0.019, False), (0.021, True)])
async def test_a_slow_write_moves_writing_to_a_thread(
    tmp_path: Path, seconds: float, moves: bool
) -> None:
    clock = Clock()
    disk = SlowDisk(clock)
    async with running(tmp_path, disk, clock=clock) as journal:
        disk.seconds = seconds
        assert journal.append(KIND_SCORE, ORG, b"the slow one") is None  # it is written
        disk.seconds = 0.0
        assert (journal.append(KIND_SCORE, ORG, b"next") is not None) is moves
    assert payloads(tmp_path) == [b"the slow one", b"next"]


async def test_it_moves_back_after_quick_writes_only(tmp_path: Path) -> None:
    clock = Clock()
    disk = SlowDisk(clock)
    async with running(tmp_path, disk, clock=clock) as journal:
        disk.seconds = 1.0
        journal.append(KIND_SCORE, ORG, b"slow")
        for _ in range(QUICK_WRITES_TO_RETURN * 2):
            assert await appended(journal, b"still slow")
        disk.seconds = 0.001
        assert await waits_until_direct(journal) >= QUICK_WRITES_TO_RETURN
        assert journal.append(KIND_SCORE, ORG, b"direct") is None
        assert journal.stats.late_records == 0
        assert journal.degraded is None
    assert payloads(tmp_path)[-1] == b"direct"


async def test_an_fsync_that_is_out_for_long_moves_writing_to_a_thread(tmp_path: Path) -> None:
    clock = Clock()
    disk = FaultyDisk()
    async with running(tmp_path, disk, clock=clock) as journal:
        await until(lambda: journal.stats.syncs)
        disk.hold.clear()
        disk.calls.clear()
        assert journal.append(KIND_SCORE, ORG, b"1") is None
        await until(lambda: disk.calls[-1][0] == "fsync")
        clock.now_s += 0.2
        assert journal.append(KIND_SCORE, ORG, b"2") is None
        clock.now_s += 0.1
        assert await appended(journal, b"3")  # written by a thread, with the fsync still out
        disk.hold.set()
        assert await waits_until_direct(journal) >= QUICK_WRITES_TO_RETURN
    assert payloads(tmp_path)[:3] == [b"1", b"2", b"3"]


async def test_a_reply_waits_no_longer_than_told_and_its_record_is_late(tmp_path: Path) -> None:
    clock = Clock()
    disk = SlowDisk(clock)
    async with running(tmp_path, disk, clock=clock, reply_wait_s=0.02) as journal:
        disk.seconds = 1.0
        journal.append(KIND_SCORE, ORG, b"slow")
        disk.hold_write.clear()
        began_s = trio.current_time()
        for number in range(3):
            ticket = journal.append(KIND_SCORE, ORG, b"late %d" % number)
            await journal.settle(ticket)
        waited_s = trio.current_time() - began_s
        assert 0.06 <= waited_s < 5
        assert journal.stats.late_records == 3
        assert journal.stats.backlog_frames == 3
        assert journal.degraded == "journal;reason=slow"
        disk.hold_write.set()
        await until(lambda: journal.degraded is None)
    assert payloads(tmp_path) == [b"slow", b"late 0", b"late 1", b"late 2"]


async def test_a_reply_that_settles_in_time_is_not_late(tmp_path: Path) -> None:
    clock = Clock()
    disk = SlowDisk(clock)
    async with running(tmp_path, disk, clock=clock, reply_wait_s=5) as journal:
        disk.seconds = 1.0
        journal.append(KIND_SCORE, ORG, b"slow")
        disk.hold_write.clear()
        ticket = journal.append(KIND_SCORE, ORG, b"x")
        assert isinstance(ticket, Ticket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.settle, ticket)
            await trio.testing.wait_all_tasks_blocked()
            disk.hold_write.set()
        assert journal.stats.late_records == 0


async def test_rotation_goes_on_while_a_thread_writes(tmp_path: Path) -> None:
    clock = Clock()
    disk = SlowDisk(clock)
    async with running(tmp_path, disk, clock=clock, segment_bytes_max=2000) as journal:
        disk.seconds = 1.0
        expected = [b"%03d" % number * 100 for number in range(40)]
        for payload in expected:
            await appended(journal, payload)
        await journal.rotate()
        assert journal.written.segment > 5
    assert payloads(tmp_path) == expected


async def test_a_batch_is_written_at_one_go(tmp_path: Path) -> None:
    clock = Clock()
    disk = SlowDisk(clock)
    async with running(tmp_path, disk, clock=clock) as journal:
        disk.seconds = 1.0
        journal.append(KIND_SCORE, ORG, b"slow")
        await until(lambda: journal.synced == journal.written)
        disk.calls.clear()
        expected = [b"%d" % number for number in range(2000)]
        for payload in expected:
            journal.append(KIND_SCORE, ORG, payload)
        await until(lambda: journal._is_written(journal._sequence))
        assert disk.touched("00000001.seg").count("write") == 1
    assert payloads(tmp_path) == [b"slow", *expected]
