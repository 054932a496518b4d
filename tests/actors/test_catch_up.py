"""Commands without a server: the answer is complete after a kill, and nothing is cut."""

import sys
from pathlib import Path

import pytest
import trio

from appliance.actors.catch_up import CaughtUp, catch_up
from storage.frames import Position
from tests.actors.ingest_kit import COUNTS, append, deriver, open_journal, running
from tests.storage.analytics_rows import ask, opened

# Takes in 40 frames in batches of 10 and dies at a chosen moment of the third.
KILLED = """
import os, sys
from pathlib import Path
from storage.batch import Batch
from storage.reader import read_frames
from tests.actors.ingest_kit import deriver
from tests.storage.analytics_rows import opened

root, moment = Path(sys.argv[1]), sys.argv[2]
analytics = opened(root / "analytics.duckdb")
frames = list(read_frames(root, analytics.position))
make = deriver()

def dies(*arguments):
    os._exit(9)

for start in range(0, 40, 10):
    batch = Batch()
    for frame in frames[start:start + 10]:
        batch.add(make(frame), frame.flags)
    if start == 20 and moment == "before position":
        analytics._note_position = dies
    if start == 20 and moment == "before commit":
        analytics._show = dies
    analytics.ingest(batch, frames[start + 9].end)
    if start == 20:
        os._exit(9)
"""


async def write_journal(root: Path, count: int) -> None:
    async with running(root) as house:
        await house.settled()
        house.ingest.close()
        append(house.journal, *range(count))
    (root / "analytics.duckdb").unlink()


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("moment", ["before position", "before commit", "after commit"])
async def test_a_kill_at_any_moment_of_a_batch_loses_and_doubles_nothing(
    tmp_path: Path, moment: str
) -> None:
    await write_journal(tmp_path, 40)
    command = [sys.executable, "-c", KILLED, str(tmp_path), moment]
    assert (await trio.run_process(command, check=False)).returncode == 9
    analytics = opened(tmp_path / "analytics.duckdb")
    done = 30 if moment == "after commit" else 20
    assert ask(analytics, COUNTS) == [(done, done)]
    assert catch_up(analytics, tmp_path, deriver()) == CaughtUp(40 - done, 0)
    assert ask(analytics, COUNTS) == [(40, 40)]
    assert catch_up(analytics, tmp_path, deriver()) == CaughtUp(0, 0)
    analytics.close()


async def test_a_torn_tail_is_left_as_it_is(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    append(journal, *range(5))
    newest = max((tmp_path / "journal").glob("*.seg"))
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-3])
    analytics = opened(tmp_path / "analytics.duckdb")
    damages: list[object] = []
    found = catch_up(analytics, tmp_path, deriver(), on_damage=damages.append)
    assert (found.frames, ask(analytics, COUNTS), damages) == (4, [(4, 4)], [])
    assert newest.read_bytes() == whole[:-3]
    newest.write_bytes(whole)
    catch_up(analytics, tmp_path, deriver())
    assert ask(analytics, COUNTS) == [(5, 5)]
    analytics.close()
    await journal.close()


async def test_read_only_media_are_only_read(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        append(house.journal, *range(5))
        await house.settled()
        house.ingest.close()
        append(house.journal, *range(5, 8))
    before = contents(tmp_path)
    analytics = opened(tmp_path / "analytics.duckdb", read_only=True)
    position = analytics.position
    found = catch_up(analytics, tmp_path, deriver(), read_only=True)
    assert position > Position(0, 0)
    assert (found.frames, ask(analytics, COUNTS)) == (3, [(8, 8)])
    analytics.close()
    assert contents(tmp_path) == before


async def test_progress_is_told_by_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.actors.catch_up.ROWS_MAX", 10)
    await write_journal(tmp_path, 25)
    analytics = opened(None)
    told: list[int] = []
    catch_up(analytics, tmp_path, deriver(), on_progress=told.append)
    assert (told, ask(analytics, COUNTS)) == ([10, 20], [(25, 25)])
    analytics.close()
