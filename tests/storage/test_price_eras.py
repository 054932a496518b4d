"""Which price lists are kept, for how long, and what becomes of the file when something fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storage.disk import Disk
from storage.frames import Position
from storage.price_eras import ERAS_MAX, NAME, Era, ErasUnreadable, read, take_up, with_era, write

ONE: list[dict[str, Any]] = [{"provider": "openai", "model": "a", "input": "1"}]
TWO: list[dict[str, Any]] = [{"provider": "openai", "model": "a", "input": "2"}]


def era(segment: int, prices: list[dict[str, Any]], since_us: int = 0) -> Era:
    return Era(Position(segment, 16), since_us, prices)


def test_the_first_holds_from_the_journals_begin(tmp_path: Path) -> None:
    assert take_up(tmp_path, ONE, Position(7, 900), 6) == [Era(Position(0, 0), 0, ONE)]
    assert read(tmp_path) == [Era(Position(0, 0), 0, ONE)]


def test_what_is_the_same_begins_nothing(tmp_path: Path) -> None:
    kept = take_up(tmp_path, ONE, Position(1, 16), 0)
    before = (tmp_path / NAME).stat()
    assert take_up(tmp_path, list(ONE), Position(5, 16), 4) == kept
    assert (tmp_path / NAME).stat().st_mtime_ns == before.st_mtime_ns


def test_those_whose_last_frame_is_in_the_lake_go(tmp_path: Path) -> None:
    eras = [era(0, ONE), era(3, TWO), era(5, ONE), era(9, TWO)]
    write(tmp_path, eras)
    assert read(tmp_path) == eras
    # Frames before (3, 16) may lie in segment 3 still: it has to be in the lake too.
    assert with_era(eras, era(9, TWO), 2)[0] == eras[0]
    assert with_era(eras, era(9, TWO), 3) == eras[1:]
    assert with_era(eras, era(10, ONE), 9) == [eras[3], era(10, ONE)]


def test_they_are_bounded() -> None:
    eras: list[Era] = []
    for number in range(3 * ERAS_MAX):
        eras = with_era(eras, era(number, [{"input": str(number)}]), 0)
    assert len(eras) == ERAS_MAX
    assert eras[-1].start.segment == 3 * ERAS_MAX - 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2, "eras": []}',
                                  '{"version": 1, "eras": [{"segment": 1}]}'])  # fmt: skip
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ErasUnreadable, match="move it away"):
        read(tmp_path)


def test_a_disk_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    class Full(Disk):
        def fsync(self, descriptor: int) -> None:
            raise OSError(28, "No space left on device")

    write(tmp_path, [era(0, ONE)])
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, [era(0, TWO)], Full())
    assert read(tmp_path) == [era(0, ONE)]
