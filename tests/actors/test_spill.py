"""Bodies that leave memory, and what becomes of them when the disk takes none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.actors.spill import HeldBody, RequestSink, Spill
from appliance.actors.spill_budget import SpillBudget
from appliance.errors import Refusal
from storage.blobs import Blobs, BlobWriter
from storage.vault import SegmentKeys

MIB = 1024 * 1024
PIECE = bytes(range(256)) * 1024
KEYS = SegmentKeys(1, {1: bytes(32)})


@pytest.fixture(params=[None, KEYS], ids=["plain", "sealed"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    (tmp_path / "tmp").mkdir()
    return Blobs(tmp_path, request.param)


def failing_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """The disk takes so many writes, half of the next, and nothing more."""
    append, count = BlobWriter._append, 0

    def limited(self: BlobWriter, data: bytes) -> None:
        nonlocal count
        count += 1
        if count > writes:
            append(self, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        append(self, data)

    monkeypatch.setattr(BlobWriter, "_append", limited)


async def all_of(body: Any) -> bytes:
    return b"".join([piece async for piece in body.spill.pieces()])


async def test_kept(blobs: Blobs) -> None:
    budget = SpillBudget()
    sink = RequestSink(blobs, budget, 32 * MIB)
    for _ in range(12):
        await sink.write(PIECE)
    body = await sink.close([])
    assert isinstance(body.spill, Spill)
    assert (body.length, budget.used_bytes) == (3 * MIB, 3 * MIB)
    assert await all_of(body) == PIECE * 12
    [part] = body.spill.parts({})
    body.spill.close()
    assert blobs.read(str(part[1])) == PIECE * 12
    assert (budget.used_bytes, budget.held_bytes) == (0, 0)


@pytest.mark.parametrize("writes", [0, 1, 2, 4])
async def test_held_in_memory_where_the_disk_fails(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, writes: int
) -> None:
    failing_after(monkeypatch, writes)
    budget = SpillBudget()
    sink = RequestSink(blobs, budget, 32 * MIB)
    for _ in range(12):
        await sink.write(PIECE)
    body = await sink.close([])
    assert isinstance(body.spill, HeldBody)
    assert await all_of(body) == PIECE * 12
    assert body.spill.begin(10) == PIECE[:10]
    assert (budget.used_bytes, budget.held_bytes) == (0, 3 * MIB)
    facts: dict[str, Any] = {"not_applied": ["cache;reason=x"]}
    assert body.spill.parts(facts) == []
    assert facts["not_applied"] == ["cache;reason=x", "bodies;reason=disk"]
    body.spill.close()
    assert budget.held_bytes == 0
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_memory_is_bounded(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_after(monkeypatch, 0)
    budget = SpillBudget(held_bytes_max=2 * MIB)
    sink = RequestSink(blobs, budget, 32 * MIB)
    for _ in range(8):
        await sink.write(PIECE)
    with pytest.raises(Refusal, match="memory is used up"):
        await sink.write(PIECE)
    sink.abort()
    assert (budget.used_bytes, budget.held_bytes) == (0, 0)


async def test_the_kept_part_does_not_fit(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body itself was taken by the disk, its head and tail are not: it is sent, unkept."""
    budget = SpillBudget()
    sink = RequestSink(blobs, budget, MIB)
    for _ in range(12):
        await sink.write(PIECE)
    writes = 0 if blobs._keys is None else 1  # the header of a sealed one
    await sink._flush()
    failing_after(monkeypatch, writes)
    body = await sink.close([])
    facts: dict[str, Any] = {}
    assert body.spill.parts(facts) == []
    assert facts["not_applied"] == ["bodies;reason=disk"]
    assert facts["request_truncated"] is True
    assert len(facts["request_sha256"]) == 32
    body.spill.close()
