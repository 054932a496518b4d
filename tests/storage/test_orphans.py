"""Blobs without a record go; whatever might still be named stays."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.blobs import Blobs
from storage.frames import KIND_EXCHANGE
from storage.orphans import sweep_blobs
from storage.roll import roll
from storage.segment import segment_path
from storage.vault import SegmentKeys
from tests.storage.lake_kit import KEYS, Derive, exchange, make_blob, open_lake, write_segment


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_what_no_frame_names_goes(tmp_path: Path, keys: SegmentKeys | None) -> None:
    named, orphan, other = (make_blob(tmp_path, f"blob {n}", keys) for n in range(3))
    payloads = [exchange(1, response="blob 0", blob=named), exchange(2)]
    write_segment(tmp_path, payloads, keys=keys)
    write_segment(tmp_path, [exchange(3)], keys=keys, closed=False)
    lake = open_lake(tmp_path, keys)
    assert sweep_blobs(lake, []) == 0
    assert sweep_blobs(lake, [named, orphan, "../../journal/highest"]) == 2
    assert set(Blobs(tmp_path).names()) == {named, other}
    assert (tmp_path / "journal" / "highest").exists()


def test_what_a_roll_left_for_the_next_view_stays(tmp_path: Path) -> None:
    blob = make_blob(tmp_path, "a reply")
    write_segment(tmp_path, [exchange(1, response="a reply", blob=blob)])
    lake = open_lake(tmp_path)
    roll(lake, Derive(tmp_path), upto=1)
    segment_path(tmp_path, 1).unlink()
    assert sweep_blobs(lake, [blob]) == 0
    assert list(Blobs(tmp_path).names()) == [blob]


def _flip(root: Path) -> None:
    path = segment_path(root, 1)
    data = bytearray(path.read_bytes())
    data[-90] ^= 1
    path.write_bytes(data)


def _set_aside(root: Path) -> None:
    (root / "quarantine").mkdir()
    segment_path(root, 1).rename(root / "quarantine" / "00000001.seg")


def _unreadable(root: Path) -> None:
    write_segment(root, [(KIND_EXCHANGE, 0, b"\xc1")])


@pytest.mark.parametrize("harm", [_flip, _set_aside, _unreadable])
def test_while_a_frame_cannot_be_read_nothing_goes(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    blob = make_blob(tmp_path, "a reply")
    write_segment(tmp_path, [exchange(1, response="a reply", blob=blob)])
    write_segment(tmp_path, [exchange(2)])
    harm(tmp_path)
    assert sweep_blobs(open_lake(tmp_path), [blob]) == 0
    assert list(Blobs(tmp_path).names()) == [blob]
