"""Writes or fsyncs of the journal that take a second: clients do not notice after the first."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.storage_kit import (
    Traffic,
    injected,
    metric,
    needs_root,
    needs_strace,
    reasons,
    segment_files,
    wait_healthy,
)
from tests.fakes.appliance import IMPATIENT, Appliance
from tests.fakes.provider import Provider

pytestmark = [needs_root, needs_strace]
COUNT = 40


@pytest.fixture
def served(tmp_path: Path, provider: Provider) -> Iterator[Appliance]:
    """A server with its own directory."""
    with Appliance(tmp_path, provider, program=IMPATIENT) as appliance:
        yield appliance


def timed(traffic: Traffic, **options: object) -> list[float]:
    """Milliseconds of each of some requests, sorted."""
    found = []
    for _ in range(COUNT):
        began_s = time.perf_counter()
        traffic.send(**options)
        found.append((time.perf_counter() - began_s) * 1000)
    return sorted(found)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("calls", ["write", "fsync,fdatasync"])
def test_slow(served: Appliance, calls: str, stream: bool) -> None:
    traffic = Traffic(served)
    traffic.send(3)
    files = segment_files(served)
    with injected(served.pid, f"{calls}:delay_enter=1", *files):  # what being traced costs
        usual = timed(traffic, stream=stream)
    with injected(served.pid, f"{calls}:delay_enter=1000000", *files):
        traffic.send()
        slow = timed(traffic, stream=stream)
        # 25 ms are promised; the slower half may be the machine's doing.
        assert statistics.median_low(slow[: COUNT // 2]) <= statistics.median(usual) + 25
        assert statistics.median(slow) <= statistics.median(usual) + 50
        assert slow[COUNT * 95 // 100] <= usual[COUNT * 95 // 100] + 150
        late = metric(served, "journal_late_records_total")
        if calls == "write":
            assert late > COUNT / 2
            assert reasons(served)["journal"] == "journal;reason=slow"
        else:  # what is in the page cache is not late: it survives the process
            assert late == 0
    wait_healthy(served)
    assert traffic.send().first("helicone-degraded") is None
    assert metric(served, "journal_records_dropped_total") == 0
    traffic.check()
