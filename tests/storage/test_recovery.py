"""Opening a journal that a process left behind: the torn tail, leftovers, damage further up."""

import os
from pathlib import Path

import pytest

from storage.disk import Disk
from storage.frames import KIND_SCORE
from storage.journal import Journal
from storage.manifest import Manifest, store
from storage.reader import Damage
from storage.segment import HEADER_BYTES, segment_path
from tests.storage.journal_kit import KEYS, ORG, FaultyDisk, frames, names, opened, payloads

PAYLOADS = [b"one", b"two two", b"three" * 9]


def left_behind(directory: Path, tail: bytes = b"", keys: object = None) -> Path:
    """A segment as a killed process leaves it: no footer, perhaps a piece of a frame."""
    journal = opened(directory, keyring=keys)
    for payload in PAYLOADS:
        journal.append(KIND_SCORE, ORG, payload)
    path = segment_path(directory, 1)
    with path.open("ab") as file:
        file.write(tail)
    return path


def quarantined(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (directory / "quarantine").glob("*")}


@pytest.mark.parametrize("keys", [None, KEYS])
@pytest.mark.parametrize(
    "tail", [b"\xa7", b"\xa7\x01\x01", b"x" * 500, bytes(4096), bytes(3 << 20)]
)
def test_a_torn_tail_is_cut_after_a_copy(tmp_path: Path, tail: bytes, keys: object) -> None:
    path = left_behind(tmp_path, tail, keys)
    size = path.stat().st_size
    journal = opened(tmp_path, keyring=keys)
    torn = journal.torn_tail
    assert torn is not None
    assert (torn.segment, torn.offset, torn.bytes) == (1, size - len(tail), len(tail))
    assert path.stat().st_size == torn.offset
    assert quarantined(tmp_path) == {f"00000001-{torn.offset}.torn": tail}
    assert torn.copy == tmp_path / "quarantine" / f"00000001-{torn.offset}.torn"
    damages: list[Damage] = []
    assert [f.payload for f in frames(tmp_path, keys, damages)] == PAYLOADS
    assert damages == []
    assert names(tmp_path) == ["00000001.seg", "00000002.seg"]


@pytest.mark.parametrize("cut", range(1, 80, 3))
def test_wherever_the_last_write_ended(tmp_path: Path, cut: int) -> None:
    path = left_behind(tmp_path)
    whole = path.read_bytes()
    os.truncate(path, len(whole) - cut)
    opened(tmp_path)
    kept = payloads(tmp_path)
    assert kept == PAYLOADS[: len(kept)]
    assert len(kept) >= 1
    assert whole.startswith(path.read_bytes())
    assert sum(map(len, quarantined(tmp_path).values())) + path.stat().st_size == len(whole) - cut


def test_an_older_segment_is_never_cut(tmp_path: Path) -> None:
    path = left_behind(tmp_path, b"torn")
    segment_path(tmp_path, 2).write_bytes(path.read_bytes()[:HEADER_BYTES])
    before = path.read_bytes()
    journal = opened(tmp_path)
    assert path.read_bytes() == before
    assert journal.torn_tail is None
    assert quarantined(tmp_path) == {}
    damages: list[Damage] = []
    assert [f.payload for f in frames(tmp_path, damages=damages)] == PAYLOADS
    assert [(d.segment, d.bytes, d.reason) for d in damages] == [(1, 4, "tail")]


def test_damage_before_a_whole_frame_is_not_a_tail(tmp_path: Path) -> None:
    path = left_behind(tmp_path)
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 37] ^= 1
    path.write_bytes(data)
    assert opened(tmp_path).torn_tail is None
    assert path.read_bytes() == data
    assert payloads(tmp_path) == PAYLOADS[1:]


async def test_a_closed_segment_is_left_as_it_is(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(KIND_SCORE, ORG, b"x")
    await journal.close()
    before = segment_path(tmp_path, 1).read_bytes()
    assert opened(tmp_path).torn_tail is None
    assert segment_path(tmp_path, 1).read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"rubbish", bytes(200)])
def test_a_newest_segment_without_header_is_kept_and_passed(tmp_path: Path, content: bytes) -> None:
    left_behind(tmp_path)
    segment_path(tmp_path, 2).write_bytes(content)
    journal = opened(tmp_path)
    journal.append(KIND_SCORE, ORG, b"new")
    assert segment_path(tmp_path, 2).read_bytes() == content
    assert payloads(tmp_path) == [*PAYLOADS, b"new"]
    assert names(tmp_path)[-1] == "00000003.seg"


def test_half_made_files_are_cleared(tmp_path: Path) -> None:
    left_behind(tmp_path)
    (tmp_path / "journal" / "00000002.new").write_bytes(b"half a header")
    (tmp_path / "journal" / "highest.new").write_bytes(b"")
    opened(tmp_path)
    assert not list((tmp_path / "journal").glob("*.new"))


@pytest.mark.parametrize(("content", "expected"), [(b"41\n", 42), (b"", 2), (b"x", 2), (None, 2)])
def test_the_next_number(tmp_path: Path, content: bytes | None, expected: int) -> None:
    left_behind(tmp_path)
    highest = tmp_path / "journal" / "highest"
    highest.unlink() if content is None else highest.write_bytes(content)
    assert opened(tmp_path).written.segment == expected


USED = [
    ("lake/requests/00000003-00000040-00000007.parquet", b"", 41),
    ("lake/edits/00000040-00000040-00000007-1.parquet", b"", 41),
    ("lake/requests/else.parquet", b"", 2),
    ("quarantine/00000040.seg", b"", 41),
    ("quarantine/00000040-120.torn", b"", 41),
    ("quarantine/analytics.duckdb.40", b"", 2),
    ("lake/manifest.json", b"damaged", 2),
    ("lake/manifest.json", None, 41),
]


@pytest.mark.parametrize(("name", "content", "expected"), USED)
def test_without_that_file_no_number_comes_twice(
    tmp_path: Path, name: str, content: bytes | None, expected: int
) -> None:
    """A segment with the number of one that is in the lake would be dropped for it."""
    left_behind(tmp_path)
    (tmp_path / "journal" / "highest").unlink()
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        store(path.parent, Manifest(upto_segment=40))
    else:
        path.write_bytes(content)
    assert opened(tmp_path).written.segment == expected


def test_what_was_never_fsynced_is_before_it_counts_as_synced(tmp_path: Path) -> None:
    left_behind(tmp_path)
    disk = FaultyDisk()
    opened(tmp_path, disk)
    assert disk.calls[0] == ("fsync", "00000001.seg")


def test_no_room_for_the_copy_leaves_the_tail_uncut(tmp_path: Path) -> None:
    path = left_behind(tmp_path, b"torn")
    before = path.read_bytes()

    class NoQuarantine(Disk):
        def open(self, path: Path, flags: int) -> int:
            if path.suffix == ".torn":
                raise OSError(28, "no space")
            return super().open(path, flags)

    journal = Journal.open(tmp_path, region="us", disk=NoQuarantine())
    assert journal.degraded == "journal;reason=no_space"
    assert path.read_bytes() == before
    journal.append(KIND_SCORE, ORG, b"next")
    assert payloads(tmp_path) == [*PAYLOADS, b"next"]
