"""Real limits: a small file system that is full, and a kernel that cuts writes short."""

import subprocess
import sys
from pathlib import Path

import pytest

from storage.reader import Damage
from tests.storage.journal_kit import frames, names, payloads

FILLER = """
import sys, trio
from pathlib import Path
from tests.storage.journal_kit import ORG, running, until
from storage.frames import KIND_SCORE

async def main(root):
    async with running(root, reserve_bytes=1 << 20, reply_wait_s=0.002) as journal:
        number = 0
        while journal.degraded is None or number % 500:
            ticket = journal.append(KIND_SCORE, ORG, b"%08d" % number * 100)
            if journal.degraded is None:
                print(number, flush=True)
            number += 1
            await trio.lowlevel.checkpoint()
            if ticket:
                await journal.settle(ticket)
        print("degraded", journal.degraded, flush=True)
        (root / "ballast").unlink()
        with trio.fail_after(30):
            while journal.degraded:
                await trio.sleep(0.01)
        print("recovered", number, journal.stats.records_dropped, flush=True)

trio.run(main, Path(sys.argv[1]))
"""


def mounted(folder: Path, size: str) -> bool:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    if not mounted(disk, "10m"):
        pytest.skip("no right to mount a small file system")
    try:
        (disk / "ballast").write_bytes(bytes(4 << 20))
        done = subprocess.run(
            [sys.executable, "-c", FILLER, str(disk)],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        *healthy, degraded, recovered = done.stdout.splitlines()
        assert degraded == "degraded journal;reason=no_space"
        total = int(recovered.split()[1])
        assert recovered == f"recovered {total} 0"
        assert total > len(healthy) > 1000
        stored = {int(payload[:8]) for payload in payloads(disk)}
        assert stored == set(range(total))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


LIMITED = """
import resource, signal, sys, trio
from pathlib import Path
from tests.storage.journal_kit import ORG, running, synced
from storage.frames import KIND_SCORE

async def main(root):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 100_000))
    async with running(root) as journal:
        for number in range(300):
            journal.append(KIND_SCORE, ORG, b"%08d" % number * 100)
            await trio.sleep(0)
        await synced(journal)

trio.run(main, Path(sys.argv[1]))
"""


def test_a_write_that_the_kernel_cuts_short(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], timeout=60, check=True)
    damages: list[Damage] = []
    stored = [int(f.payload[:8]) for f in frames(tmp_path, damages=damages)]
    assert set(stored) == set(range(300))
    assert {damage.reason for damage in damages} == {"tail"}
    assert len(names(tmp_path)) >= 5
