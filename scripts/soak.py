"""A mixed load for a given time, and what grows meanwhile: memory of the server beside what its
database keeps in its buffers (which has a limit, and fills it in hours), open files, bytes on disk
for each call that was recorded, and how long calls take (p50 and p99).

Each is a straight line through its samples (least squares), told with its 95 % interval. A slope
whose whole interval lies beyond its bound fails the run: exit code 1. On a busy machine, or in a
few minutes, intervals are wide and say little; they narrow with the run's length.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench_rig import resident_mb
from chaos_load import Weather, Worker
from soak_slope import Slope, slope_of, tenths

from tests.e2e.shop_kit import Shop
from tests.e2e.storage_kit import reasons
from tests.fakes.provider import Provider

WORKERS = 6
TOP_UP = "100000"
SAMPLE_S = 5.0
DATABASE_EACH = 6  # samples: it has to be asked
DATABASE = "SELECT coalesce(sum(memory_usage_bytes), 0)::BIGINT AS bytes FROM duckdb_memory()"
CALLS_MIN = 50  # of a sample, for a p99 that means something
# The start is not the long run: caches fill, the database reaches its limit: 60 MB in the
# first minutes. Of a run that is no longer than that, the slope of memory says nothing.
WARM_SHARE = 0.5
WARM_MAX_S = 1800.0
# Slopes an hour that are taken for a leak. In half a day each would be more than what the memory
# table of `config.py` leaves to chance, or what an operator would see on a chart.
BOUNDS = {
    "memory without the database": ("MB", 24.0),
    "open files": ("", 12.0),
    "disk for each call": ("KB", 2.0),
    "latency p50": ("ms", 4.0),
    "latency p99": ("ms", 40.0),
}


@dataclass
class Samples:
    """Times in seconds since the beginning, and what was seen then."""

    at_s: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in BOUNDS})
    seen: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in BOUNDS})
    helpers_mb: float = 0.0  # the most
    database_mb: float = 0.0  # the last

    def add(self, name: str, at_s: float, value: float) -> None:
        self.at_s[name].append(at_s)
        self.seen[name].append(value)

    def slopes(self, warm_s: float) -> dict[str, Slope | None]:
        """An hour, without what was seen before `warm_s`; None where too little was seen."""
        found = {}
        for name in BOUNDS:
            pairs = [
                (at_s / 3600, value)
                for at_s, value in zip(self.at_s[name], self.seen[name], strict=True)
                if at_s >= warm_s
            ]
            found[name] = slope_of(pairs)
        return found


def main() -> int:
    """Parse, run, tell. 1 where something grows."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--minutes", type=float, default=60.0, help="how long (default 60)")
    add("--seed", type=int, default=1, help="of the calls (default 1)")
    args = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        return run(directory, args.minutes * 60, args.seed)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run(directory: Path, seconds: float, seed: int) -> int:
    """One server, one load."""
    weather = Weather()
    with Provider() as provider:
        shop = Shop(directory, provider, program="appliance.cli")
        try:
            shop.top_up(TOP_UP, "paid once")
            workers = [
                Worker(shop, weather, seed * 1000 + number, keeps=False, writes=False)
                for number in range(WORKERS)
            ]
            for worker in workers:
                worker.start()
            weather.go.set()
            samples = sampled(shop, workers, seconds)
            trouble = reasons(shop.appliance)
        finally:
            weather.ended = True
            weather.go.set()
            for worker in workers:
                worker.join(60)
            shop.appliance.kill()
    wrong = [line for worker in workers for line in worker.seen.wrong]
    calls = sum(worker.seen.begun for worker in workers)
    print(f"{calls} calls in {seconds / 60:.1f} minutes, {len(wrong)} wrong")
    for line in wrong[:5]:
        print(f"  {line}")
    print(f"degraded at the end: {trouble or 'nothing'}")
    print(f"helpers had {samples.helpers_mb:.0f} MB at most, ", end="")
    print(f"the database {samples.database_mb:.0f} MB in its buffers at the end")
    grew = tell(samples, min(seconds * WARM_SHARE, WARM_MAX_S))
    return 1 if grew or wrong else 0


def sampled(shop: Shop, workers: list[Worker], seconds: float) -> Samples:
    """A look each SAMPLE_S."""
    samples, began_s = Samples(), time.monotonic()
    next_s = began_s + SAMPLE_S
    took_ms: list[float] = []
    first: tuple[int, int] | None = None
    while (now_s := time.monotonic()) < began_s + seconds:
        time.sleep(max(0.0, next_s - now_s))
        next_s += SAMPLE_S
        at_s = time.monotonic() - began_s
        shop.provider.clear()
        pid = shop.appliance.pid
        if len(samples.seen["open files"]) % DATABASE_EACH == 0:
            resident = resident_mb(pid)
            samples.database_mb = shop.appliance.query(DATABASE)[0]["bytes"] / 1e6
            samples.add("memory without the database", at_s, resident - samples.database_mb)
        samples.helpers_mb = max(samples.helpers_mb, helpers_mb(pid))
        samples.add("open files", at_s, open_files(pid))
        calls, bytes_now = sum(worker.seen.begun for worker in workers), disk_bytes(shop)
        first = first or (calls, bytes_now)
        if calls > first[0]:  # what a directory takes before anything is recorded counts for none
            per_call = (bytes_now - first[1]) / (calls - first[0])
            samples.add("disk for each call", at_s, per_call / 1e3)
        for worker in workers:
            some, worker.seen.took_s = worker.seen.took_s, []
            took_ms += [took_s * 1000 for _, took_s in some]
            worker.seen.paid.clear()
        if len(took_ms) >= CALLS_MIN:
            samples.add("latency p50", at_s, statistics.median(took_ms))
            samples.add("latency p99", at_s, statistics.quantiles(took_ms, n=100)[98])
            took_ms = []
    return samples


def helpers_mb(pid: int) -> float:
    """Resident memory of the helpers there are right now: they come and go, so no line is laid
    through it."""
    found = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found += sum(map(resident_mb, map(int, (task / "children").read_text().split())))
    return found


def open_files(pid: int) -> int:
    """Descriptors of the server itself."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def disk_bytes(shop: Shop) -> int:
    """What the directory takes on the disk."""
    taken = 0
    for folder, _, files in os.walk(shop.appliance.data):
        for name in files:
            try:
                taken += (Path(folder) / name).stat().st_blocks * 512
            except FileNotFoundError:
                continue  # it has just gone
    return taken


def tell(samples: Samples, warm_s: float) -> int:
    """The table; how many grow."""
    grew = 0
    print(f"{'slope an hour':32s} {'slope':>10s} {'95 % interval':>24s} {'bound':>8s}")
    for name, slope in samples.slopes(warm_s).items():
        unit, bound = BOUNDS[name]
        if slope is None:
            print(f"{name:32s} too few samples")
            continue
        grows = slope.low > bound
        grew += grows
        interval = f"{slope.low:+.2f} … {slope.high:+.2f}"
        values = samples.seen[name]
        print(
            f"{name:32s} {slope.per_hour:+10.2f} {interval:>24s} {bound:8.1f} {unit:2s} "
            f"{'GROWS' if grows else 'ok':5s} (first {values[0]:.1f}, last {values[-1]:.1f})"
        )
    print("means of the tenths of the run")
    for name, values in samples.seen.items():
        print(f"{name:32s} {' '.join(f'{mean:8.1f}' for mean in tenths(values))}")
    return grew


if __name__ == "__main__":
    sys.exit(main())
