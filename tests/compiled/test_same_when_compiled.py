"""What mypyc makes something else of without a word. Each of these was a fault of the compiled
program while plain Python was right; `scripts/test-compiled` runs them against both.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from appliance.actors.metrics import Metrics
from storage import frames
from storage.disk import Disk
from storage.frames import KIND_SCORE, Position
from storage.reader import read_frames
from storage.writer import SegmentWriter

ORG = bytes(16)


def open_files(path: Path) -> int:
    links = Path("/proc/self/fd").iterdir()
    return sum(link.is_symlink() and link.readlink() == path for link in links)


def test_a_reader_that_is_left_in_the_middle_closes_its_file(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    writer = SegmentWriter.prepare(tmp_path, Disk(), number=1, region="us", keys=None)
    writer.publish()
    for _ in range(3):
        writer.write(KIND_SCORE, 0, ORG, b"x")
    writer.abandon()
    reading = read_frames(tmp_path, Position(0, 0))
    next(reading)
    [path] = (tmp_path / "journal").glob("*.seg")
    assert open_files(path) == 1
    del reading
    assert open_files(path) == 0


def test_no_two_threads_share_a_decompressor() -> None:
    found: list[Any] = []

    def use() -> None:
        found.append(frames._decompressor())
        assert frames._decompressor() is found[-1]

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is not found[1]


def test_large_counters_keep_their_digits() -> None:
    metrics = Metrics()
    metrics.count("things_total", 12_345_678_901)
    assert "helicone_appliance_things_total 12345678901\n" in metrics.render()
