"""SIGKILL at random moments: every frame that was acknowledged is read back exactly once."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.frames import FLAG_REWRITTEN
from tests.storage.journal_kit import KEYS, frames

ROUNDS = 5

WRITER = """
import os, sys, trio
from pathlib import Path
from storage.frames import KIND_SCORE
from storage.journal import Journal, JournalOptions
from tests.storage.journal_kit import KEYS, ORG

async def main(root, first, keys):
    options = JournalOptions(segment_bytes_max=200_000, reserve_bytes=0)
    journal = Journal.open(root, region="us", options=options, keyring=keys)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        for number in range(first, 1 << 40):
            ticket = journal.append(KIND_SCORE, ORG, b"%012d" % number * (1 + number % 90))
            late = -1
            while ticket is not None and late != journal.stats.late_records:  # a slow moment
                late = journal.stats.late_records
                await journal.settle(ticket)
            os.write(1, b"%d\\n" % number)
            await trio.sleep(0)

trio.run(main, Path(sys.argv[1]), int(sys.argv[2]), KEYS if sys.argv[3] == "sealed" else None)
"""


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "sealed"])
def test_what_was_acknowledged_survives_a_kill_exactly_once(tmp_path: Path, keys: object) -> None:
    seed = int(os.environ.get("KILL_SEED", 1))  # the moments; what the disk does then varies
    moments = random.Random(seed)
    acknowledged: list[int] = []
    first = 0
    for _ in range(ROUNDS if keys is None else 2):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(first)]
        process = subprocess.Popen(
            [*command, "plain" if keys is None else "sealed"], stdout=subprocess.PIPE
        )
        last = first + moments.randrange(50, 4000)
        with process:
            try:
                for line in process.stdout:
                    acknowledged.append(int(line))
                    if acknowledged[-1] >= last:
                        break
            finally:
                process.kill()
            acknowledged += [int(line) for line in process.stdout if line.endswith(b"\n")]
        assert process.returncode == -signal.SIGKILL
        first = acknowledged[-1] + 2  # the one after it may be there without having been told
    damages: list[object] = []
    found = frames(tmp_path, keys, damages)
    numbers = [int(frame.payload[:12]) for frame in found if not frame.flags & FLAG_REWRITTEN]
    assert len(numbers) == len(set(numbers))
    assert set(acknowledged) <= set(numbers)
    assert len(numbers) - len(acknowledged) <= ROUNDS
    assert all(
        f.payload == b"%012d" % n * (1 + n % 90) for f, n in zip(found, numbers, strict=True)
    )
    assert [damage for damage in damages if damage.reason != "tail"] == []
