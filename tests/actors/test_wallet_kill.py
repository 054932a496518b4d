"""SIGKILL at seeded moments: every hold that was given is there once, and is charged once.

The child holds and settles over many tasks at once. As the recorder does, it writes a call's frame
(hold, cost) before it settles. What it says on its output has been given to a caller.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.actors.wallet_kit import ORG, USD, audit, rows, running

ROUNDS = 6
INPUT_PICO = 1_000
CHILD = """
import os, random, sys
from pathlib import Path
import trio
from tests.actors.wallet_kit import Rig, credits_call, held

async def call(rig, frames, choose):
    while True:
        hold = await held(rig, credits_call(50_000, input_pico=1_000))
        os.write(1, b"%s\\n" % hold.id.hex().encode())
        for _ in range(choose.randint(0, 5)):
            await trio.lowlevel.checkpoint()
        cost = choose.randint(0, 50_000)
        os.write(frames, b"%s %d\\n" % (hold.id.hex().encode(), cost))
        await trio.lowlevel.checkpoint()
        rig.wallet.settle(hold, cost)

async def main(folder, seed):
    choose = random.Random(seed)
    frames = os.open(folder / "frames", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    rig = Rig(folder / "state.sqlite")
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.wallet.run)
        os.write(1, b"ready\\n")
        for _ in range(20):
            nursery.start_soon(call, rig, frames, choose)

trio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
"""


def told_until_killed(folder: Path, seed: int, wanted: int) -> list[str]:
    """What a child told, whole lines only; it is killed once it has told enough."""
    command = [sys.executable, "-c", CHILD, str(folder), str(seed)]
    told = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        out: IO[bytes] | None = process.stdout
        assert out is not None
        assert out.readline() == b"ready\n"
        for line in out:
            if line.endswith(b"\n"):
                told.append(line.decode().strip())
            if len(told) == wanted:
                process.kill()
    assert process.returncode == -signal.SIGKILL
    return told


def frames_of(folder: Path) -> dict[str, int]:
    """Hold → cost, of the frames that are whole."""
    path = folder / "frames"
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1].splitlines()
    return {hold: int(cost) for hold, cost in (line.split() for line in whole)}


@pytest.mark.timeout(120)
async def test_no_hold_is_lost_or_doubled(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    seed = int(os.environ.get("KILL_SEED", 1))  # the moments; what the disk has then varies
    moments = random.Random(seed)
    async with running(path, usd=1000):
        pass
    told: set[str] = set()
    for number in range(ROUNDS):
        told.update(told_until_killed(tmp_path, seed + number, moments.randint(1, 1500)))
        frames = frames_of(tmp_path)
        async with running(path) as rig:
            left = {row[0].hex() for row in rows(path, "SELECT id FROM ledger_holds")}
            await rig.wallet.recover((bytes.fromhex(hold), cost) for hold, cost in frames.items())
            charged = {flag["hold_id"] for flag in await rig.desk.flags(10_000)}
            assert left - frames.keys() <= charged
            assert rig.desk.state(ORG).held == 0
            assert rig.spent() == sum(frames.values()) + INPUT_PICO * len(charged)
            assert rig.desk.state(ORG).balance == 1000 * USD - rig.spent()
    ends = rows(
        path, "SELECT id, sum(posted_pico) FROM ledger_transfers WHERE kind < 4 GROUP BY id"
    )
    posted = {hold_id.hex(): cost for hold_id, cost in ends}
    # Each one that was given or has a frame, at its cost; and no more than were under way besides.
    assert posted == frames | dict.fromkeys(charged, INPUT_PICO)
    assert told <= posted.keys()
    assert len(posted) - len(told) <= 20 * ROUNDS
    assert audit(path) == ([], 0)
