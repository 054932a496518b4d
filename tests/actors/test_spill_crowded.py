"""Many request bodies that come in at once: together they hold a bounded number of bytes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from appliance.actors.spill import RequestSink
from appliance.actors.spill_budget import SpillBudget
from appliance.errors import Refusal
from storage.blobs import Blobs, BlobWriter

KIB = 1024
PIECE = bytes(64 * KIB)
ROUNDS = 10


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    (tmp_path / "tmp").mkdir()
    return Blobs(tmp_path, None)


def counts(budget: SpillBudget) -> tuple[int, int, int]:
    return budget.coming_bytes, budget.held_bytes, budget.used_bytes


async def test_the_first_stay_in_memory_and_the_others_go_to_disk(blobs: Blobs) -> None:
    budget = SpillBudget(coming_bytes_max=1024 * KIB)
    sinks = [RequestSink(blobs, budget, 2**20) for _ in range(20)]
    for _ in range(ROUNDS):
        for sink in sinks:
            await sink.write(PIECE)
        assert budget.coming_bytes <= 1024 * KIB + len(PIECE)
    assert budget.used_bytes > 0
    bodies = [await sink.close([]) for sink in sinks]
    assert {body.length for body in bodies} == {ROUNDS * len(PIECE)}
    assert budget.coming_bytes == 0
    for body in bodies:
        if body.spill is not None:
            body.spill.close()
    assert counts(budget) == (0, 0, 0)


async def test_alone_a_body_stays_in_memory(blobs: Blobs) -> None:
    budget = SpillBudget()
    sink = RequestSink(blobs, budget, 2**20)
    for _ in range(ROUNDS):
        await sink.write(PIECE)
    assert budget.coming_bytes == ROUNDS * len(PIECE)
    assert (await sink.close([])).data == PIECE * ROUNDS
    assert counts(budget) == (0, 0, 0)


@pytest.mark.parametrize("crowded", [True, False])
@pytest.mark.parametrize("disk_fails", [True, False])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("pieces", [0, 1, 3, 40])
async def test_every_way_out_gives_everything_back(
    blobs: Blobs,
    monkeypatch: pytest.MonkeyPatch,
    crowded: bool,
    disk_fails: bool,
    closed: bool,
    pieces: int,
) -> None:
    def append(self: BlobWriter, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    if disk_fails:
        monkeypatch.setattr(BlobWriter, "_append", append)
    budget = SpillBudget(
        held_bytes_max=30 * len(PIECE), coming_bytes_max=100 * KIB if crowded else 2**30
    )
    sink = RequestSink(blobs, budget, 2**20)
    body = None
    with suppress(Refusal):
        for _ in range(pieces):
            await sink.write(PIECE)
        if closed:
            body = await sink.close([])
    if body is None:
        sink.abort()
    elif body.spill is not None:
        body.spill.close()
    assert counts(budget) == (0, 0, 0)
