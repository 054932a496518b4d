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
    wait_until,
)
from tests.fakes.appliance import IMPATIENT, Appliance
from tests.fakes.patience import soonest
from tests.fakes.provider import Provider

pytestmark = [needs_root, needs_strace]
COUNT = 40
SLOW = "journal;reason=slow"


@pytest.fixture
def served(tmp_path: Path, provider: Provider) -> Iterator[Appliance]:
    """A server with its own directory."""
    with Appliance(tmp_path, provider, program=IMPATIENT) as appliance:
        yield appliance


def median_s(traffic: Traffic, **options: object) -> float:
    """Of some requests."""
    found = []
    for _ in range(COUNT):
        began_s = time.perf_counter()
        traffic.send(**options)
        found.append(time.perf_counter() - began_s)
    return statistics.median(found)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("calls", ["write", "fsync,fdatasync"])
def test_slow(served: Appliance, calls: str, stream: bool) -> None:
    traffic = Traffic(served)
    traffic.send(3)
    files = segment_files(served)
    with injected(served.pid, f"{calls}:delay_enter=1", *files):  # what being traced costs
        usual_s = median_s(traffic, stream=stream)
    with injected(served.pid, f"{calls}:delay_enter=1000000", *files):
        traffic.send()
        soonest(lambda: median_s(traffic, stream=stream), usual_s + 0.025)
        late = metric(served, "journal_late_records_total")
        if calls == "write":
            assert late > COUNT / 2
            wait_until(lambda: traffic.send() and reasons(served).get("journal") == SLOW)
        else:  # what is in the page cache is not late: it survives the process
            assert late == 0
    wait_healthy(served)
    assert traffic.send().first("helicone-degraded") is None
    assert metric(served, "journal_records_dropped_total") == 0
    traffic.check()
