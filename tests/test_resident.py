"""Memory that is given back: libraries lose their pages, and nothing else does."""

import ctypes
import sys
from pathlib import Path

import pytest

from appliance import resident
from appliance.resident import give_back, unchanged


def mapping(rights: str, name: str, anonymous: int = 0) -> str:
    return (
        f"7f0000001000-7f0000003000 {rights} 00000000 fe:00 1234                      {name}\n"
        f"Size:                  8 kB\nRss:                   8 kB\n"
        f"Anonymous:      {anonymous:>8} kB\nVmFlags: rd ex mr mw me\n"
    )


@pytest.mark.parametrize(
    ("smaps", "given"),
    [
        (mapping("r-xp", "/usr/lib/libm.so.6"), True),
        (mapping("r--p", "/usr/lib/_duckdb.cpython-311-x86_64-linux-gnu.so"), True),
        (mapping("r--p", "/usr/lib/with blank/libm.so"), True),
        # Relocated pages are in no file any more.
        (mapping("r--p", "/usr/lib/libm.so.6", anonymous=4), False),
        (mapping("rw-p", "/usr/lib/libm.so.6"), False),
        (mapping("r--s", "/usr/lib/libm.so.6"), False),
        # A file that somebody may unmap at any moment, and something else lies there.
        (mapping("r--p", "/var/lib/data.parquet"), False),
        (mapping("r--p", "/usr/lib/libm.so.6 (deleted)"), False),
        (mapping("r-xp", "[vdso]"), False),
        (mapping("rw-p", "[heap]", anonymous=8), False),
        (mapping("r--p", ""), False),
    ],
)
def test_which_mappings(smaps: str, given: bool) -> None:
    found = [place for place in unchanged(smaps.encode().splitlines(keepends=True)) if place]
    assert found == ([(0x7F0000001000, 0x2000)] if given else [])


def test_others_run_meanwhile() -> None:
    smaps = (mapping("r-xp", "/usr/lib/libm.so.6") * 100).encode().splitlines(keepends=True)
    turns = [place for place in unchanged(smaps) if place is None]
    assert len(turns) == len(smaps) // resident.SLICE_LINES


def file_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssFile:"):
            return int(line.split()[1])
    raise AssertionError


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_libraries_shrink_and_go_on_working() -> None:
    import duckdb

    ask = "SELECT sum(number) FROM range(1000) numbers(number)"
    with duckdb.connect() as connection:
        before = connection.execute(ask).fetchall()
        held_kib = file_kib()
        seen = await give_back(frozenset())
        assert file_kib() >= held_kib
        assert await give_back(seen) == seen
        assert file_kib() < held_kib // 2
        assert connection.execute(ask).fetchall() == before == [(499500,)]


async def test_only_what_was_there_at_the_last_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library on its way in has its begin mapped over its data."""
    advised: list[tuple[int, int]] = []
    monkeypatch.setattr(
        resident, "_madvise", lambda: lambda start, size, _: advised.append((start, size))
    )
    smaps = tmp_path / "smaps"
    smaps.write_text(mapping("r--p", "/usr/lib/libm.so.6").replace("3000 ", "9000 ", 1))
    loading = await give_back(frozenset(), smaps)
    smaps.write_text(mapping("r--p", "/usr/lib/libm.so.6"))
    loaded = await give_back(loading, smaps)
    assert advised == []
    assert await give_back(loaded, smaps) == loaded
    assert advised == [(0x7F0000001000, 0x2000)]


async def test_large_ones_go_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advised: list[tuple[int, int]] = []
    monkeypatch.setattr(
        resident, "_madvise", lambda: lambda start, size, _: advised.append((start, size))
    )
    monkeypatch.setattr(resident, "PIECE_BYTES", 0x1800)
    smaps = tmp_path / "smaps"
    smaps.write_text(mapping("r-xp", "/usr/lib/libm.so.6"))
    await give_back(await give_back(frozenset(), smaps), smaps)
    assert advised == [(0x7F0000001000, 0x1800), (0x7F0000002800, 0x800)]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc alone has it")
def test_the_heap_is_tamed(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, int]] = []

    class Library:
        @staticmethod
        def mallopt(option: int, value: int) -> int:
            said.append((option, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library)
    resident.tame_heap()
    assert said == [(-8, 2), (-3, 1 << 20), (-1, 2 << 20)]


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Library:
        def __getattr__(self, name: str) -> object:
            asked.append(name)
            raise AttributeError(name)

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())
    resident.tame_heap()
    assert asked == ["mallopt"]
