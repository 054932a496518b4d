"""Every kind of damage to a file, and that all whole frames around it are still read."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from storage.disk import Disk
from storage.frames import KIND_ERASED, KIND_SCORE, Position
from storage.reader import (
    BLOCK_BYTES,
    Damage,
    FrameUnreadable,
    check_segment,
    erase_frame,
    read_frame,
    read_frames,
)
from storage.segment import FRAME_BYTES, HEADER_BYTES, segment_path
from storage.vault import SegmentKeys, VaultError
from storage.writer import SegmentWriter
from tests.storage.journal_kit import KEYS, ORG, START, frames

PAYLOADS = [b"one", b"two two", b"three" * 9, b"four", b"five!"]


def segment(
    directory: Path, payloads: list[bytes], number: int = 1, *, keys=None, close: bool = True
) -> Path:
    (directory / "journal").mkdir(exist_ok=True)
    writer = SegmentWriter.prepare(directory, Disk(), number=number, region="us", keys=keys)
    writer.publish()
    for payload in payloads:
        writer.write(KIND_SCORE, 0, ORG, payload)
    if close:
        writer.sync(last=True)
    writer.abandon()
    return segment_path(directory, number)


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def offsets(payloads: list[bytes]) -> list[int]:
    at, found = HEADER_BYTES, []
    for payload in payloads:
        found.append(at)
        at += FRAME_BYTES + len(payload)
    return [*found, at]


@pytest.mark.parametrize("keys", [None, KEYS])
def test_frames_come_back_with_their_places(tmp_path: Path, keys: SegmentKeys | None) -> None:
    segment(tmp_path, PAYLOADS, keys=keys)
    segment(tmp_path, [b"next"], 2, keys=keys)
    found = frames(tmp_path, keys)
    assert [frame.payload for frame in found] == [*PAYLOADS, b"next"]
    assert [frame.counter for frame in found] == [0, 1, 2, 3, 4, 0]
    assert {(frame.kind, frame.flags, frame.org) for frame in found} == {(KIND_SCORE, 0, ORG)}
    for frame in found:
        assert read_frame(tmp_path, frame.position, keys) == frame
    for before, after in pairwise(found[:5]):
        assert before.end == after.position


def test_any_part_can_be_read(tmp_path: Path) -> None:
    segment(tmp_path, PAYLOADS)
    segment(tmp_path, PAYLOADS, 4)
    found = frames(tmp_path)
    for start in range(10):
        for stop in range(start, 10):
            part = read_frames(tmp_path, found[start].position, upto=found[stop].position)
            assert list(part) == found[start:stop]


@pytest.mark.parametrize("length", [BLOCK_BYTES - FRAME_BYTES, BLOCK_BYTES, 3 * BLOCK_BYTES + 7])
def test_frames_larger_than_a_block(tmp_path: Path, length: int) -> None:
    payloads = [b"a", bytes(length), b"b" * 700_000, b"c" * 700_000, b"d"]
    segment(tmp_path, payloads)
    assert [frame.payload for frame in frames(tmp_path)] == payloads


@pytest.mark.parametrize("broken", range(5))
@pytest.mark.parametrize("byte", [0, 5, 9, 20, FRAME_BYTES])
def test_damage_costs_the_frame_it_hits(tmp_path: Path, broken: int, byte: int) -> None:
    path = segment(tmp_path, PAYLOADS)
    at = offsets(PAYLOADS)
    overwrite(path, at[broken] + byte, b"\xff\xff\xff")
    damages: list[Damage] = []
    found = frames(tmp_path, damages=damages)
    assert [f.payload for f in found] == PAYLOADS[:broken] + PAYLOADS[broken + 1 :]
    assert damages == [Damage(1, at[broken], at[broken + 1] - at[broken], "frame")]
    with pytest.raises(FrameUnreadable):
        read_frame(tmp_path, Position(1, at[broken]))
    check = check_segment(tmp_path, 1)
    assert (check.whole, check.frames, check.damages) == (False, 4, tuple(damages))


def test_a_page_of_zeros_is_skipped(tmp_path: Path) -> None:
    payloads = [bytes([65 + n]) * 1000 for n in range(10)]
    path = segment(tmp_path, payloads)
    at = offsets(payloads)
    overwrite(path, at[2] + 10, bytes(4096))
    damages: list[Damage] = []
    found = frames(tmp_path, damages=damages)
    assert [f.payload for f in found] == payloads[:2] + payloads[6:]
    assert [(d.offset, d.bytes) for d in damages] == [(at[2], at[6] - at[2])]


def test_a_search_crosses_blocks(tmp_path: Path) -> None:
    payloads = [b"a", bytes(2 * BLOCK_BYTES + 5), b"b"]
    path = segment(tmp_path, payloads)
    overwrite(path, offsets(payloads)[1], bytes(FRAME_BYTES))
    assert [f.payload for f in frames(tmp_path)] == [b"a", b"b"]


def test_nothing_inside_a_payload_is_taken_for_a_frame(tmp_path: Path) -> None:
    """A body may hold the very bytes of a frame; with its own frame rotten it stays a body."""
    inner = segment(tmp_path, [b"forged"], 9).read_bytes()[HEADER_BYTES:]
    payloads = [b"a", b"x" * 50 + inner * 3, b"b"]
    path = segment(tmp_path, payloads)
    overwrite(path, offsets(payloads)[1] + FRAME_BYTES, b"y")
    assert [f.payload for f in frames(tmp_path) if f.position.segment == 1] == [b"a", b"b"]
    overwrite(path, offsets(payloads)[1], bytes(FRAME_BYTES))  # now its header is gone too
    assert [f.payload for f in frames(tmp_path) if f.position.segment == 1] == [b"a", b"b"]


@pytest.mark.parametrize("cut", [1, 3, FRAME_BYTES, FRAME_BYTES + 4])
def test_a_torn_tail_is_damage_only_in_an_older_segment(tmp_path: Path, cut: int) -> None:
    path = segment(tmp_path, PAYLOADS, close=False)
    os.truncate(path, offsets(PAYLOADS)[-1] - cut)
    damages: list[Damage] = []
    assert [f.payload for f in frames(tmp_path, damages=damages)] == PAYLOADS[:4]
    assert damages == []
    segment(tmp_path, [b"next"], 2)
    assert [f.payload for f in frames(tmp_path, damages=damages)] == [*PAYLOADS[:4], b"next"]
    assert [(d.segment, d.offset, d.reason) for d in damages] == [(1, offsets(PAYLOADS)[4], "tail")]


def test_what_was_promised_and_is_missing_is_damage(tmp_path: Path) -> None:
    path = segment(tmp_path, PAYLOADS, close=False)
    at = offsets(PAYLOADS)
    overwrite(path, at[4] + FRAME_BYTES, b"X")
    damages: list[Damage] = []
    upto = Position(1, at[5])
    found = list(read_frames(tmp_path, START, upto=upto, on_damage=damages.append))
    assert [f.payload for f in found] == PAYLOADS[:4]
    assert [d.offset for d in damages] == [at[4]]


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(HEADER_BYTES)])
def test_a_segment_without_header_is_reported_and_passed(tmp_path: Path, content: bytes) -> None:
    segment(tmp_path, [b"x"]).write_bytes(content)
    segment(tmp_path, [b"next"], 2)
    damages: list[Damage] = []
    assert [f.payload for f in frames(tmp_path, damages=damages)] == [b"next"]
    assert damages == [Damage(1, 0, len(content), "header")]


def test_sealed_frames_need_their_key(tmp_path: Path) -> None:
    segment(tmp_path, PAYLOADS, keys=KEYS)
    with pytest.raises(VaultError, match="master_key"):
        frames(tmp_path)
    damages: list[Damage] = []
    assert frames(tmp_path, SegmentKeys(2, {2: b"x" * 32}), damages) == []
    assert {d.reason for d in damages} == {"sealed"}
    assert len(damages) == len(PAYLOADS)


@pytest.mark.parametrize("keys", [None, KEYS])
def test_erasing_leaves_the_frame_empty_and_the_segment_whole(
    tmp_path: Path, keys: SegmentKeys | None
) -> None:
    path = segment(tmp_path, PAYLOADS, keys=keys)
    before = frames(tmp_path, keys)
    erase_frame(tmp_path, before[2].position, keys)
    erase_frame(tmp_path, before[2].position, keys)
    after = frames(tmp_path, keys)
    assert [f.payload for f in after] == [b"" if n == 2 else p for n, p in enumerate(PAYLOADS)]
    assert (after[2].kind, after[2].position, after[2].end, after[2].org) == (
        KIND_ERASED, before[2].position, before[2].end, ORG,
    )  # fmt: skip
    assert read_frame(tmp_path, before[2].position, keys) == after[2]
    assert b"three" not in path.read_bytes()
    assert check_segment(tmp_path, 1).whole


def test_an_erasure_cut_short_is_finished_by_the_next(tmp_path: Path) -> None:
    path = segment(tmp_path, PAYLOADS)
    whole = path.read_bytes()
    place = frames(tmp_path)[2].position
    erase_frame(tmp_path, place)
    new_header = path.read_bytes()[place.offset : place.offset + FRAME_BYTES]
    path.write_bytes(whole)
    overwrite(path, place.offset, new_header)
    assert [f.payload for f in frames(tmp_path)] == PAYLOADS[:2] + PAYLOADS[3:]
    erase_frame(tmp_path, place)
    assert b"three" not in path.read_bytes()
    assert check_segment(tmp_path, 1).whole


@pytest.mark.parametrize(
    "place", [Position(1, HEADER_BYTES + 1), Position(1, 9999), Position(7, 64)]
)
def test_only_a_frame_can_be_erased(tmp_path: Path, place: Position) -> None:
    before = segment(tmp_path, PAYLOADS).read_bytes()
    with pytest.raises(FrameUnreadable):
        erase_frame(tmp_path, place)
    assert segment_path(tmp_path, 1).read_bytes() == before


def test_the_footer_notices_a_frame_that_is_gone(tmp_path: Path) -> None:
    path = segment(tmp_path, PAYLOADS)
    assert check_segment(tmp_path, 1).whole
    data, at = path.read_bytes(), offsets(PAYLOADS)
    path.write_bytes(data[: at[1]] + data[at[2] :])
    check = check_segment(tmp_path, 1)
    assert (check.whole, check.damages, check.frames) == (False, (), 4)
    assert check.footer is not None
    assert check.footer.frames == 5
