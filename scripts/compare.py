"""Other proxies and this program, in one run on one machine, against the same fake provider: nginx,
LiteLLM, Portkey's gateway, mitmproxy. Rounds of all take turns; medians count. Each is checked to
forward really before it is measured.

`--install` fetches what is compared from PyPI and npm, `--write` makes the manual's page of what
was measured (`ui/manual/benchmarks.md`). Needs nginx, wrk and, for Portkey, node.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench_rig import cpu_us, nginx_worker, quiet, resident_mb, run_wrk, start_nginx
from bench_stream import PACE_MS, PACED_CHUNKS, read_paced, start_upstream
from compare_contenders import ALL, DIRECT, Contender, Start, appliance, check, install
from compare_page import Row, table, write

ROOT = Path(__file__).parents[1]
CONNECTIONS = 16
WARM_S = 2.0
BUSY_LOAD = 0.5
BUSY = (
    ". **The machine was busy with other work: a trial run, whose figures are worse than they "
    "would be and say nothing of one beside the other**"
)


@dataclass
class Found:
    """What the rounds of one contender gave. Latencies are what it adds to the provider alone, in
    the same round; CPU is in microseconds, its helpers' too."""

    per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    added_p50_ms: list[float] = field(default_factory=list)
    added_p99_ms: list[float] = field(default_factory=list)
    chunk_ms: list[float] = field(default_factory=list)
    chunk_cpu_us: list[float] = field(default_factory=list)
    resident_mb: float = 0.0
    errors: int = 0


def main() -> int:
    """Parse, measure, tell."""
    parser = argparse.ArgumentParser(
        prog="scripts/compare", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("names", nargs="*", metavar="name", help=f"who (default all): {', '.join(ALL)}")
    add("--tools", type=Path, default=ROOT / ".compare", help="where they are installed")
    add("--install", action="store_true", help="fetch them first")
    add("--rounds", type=int, default=5, help="whose median counts (default 5)")
    add("--seconds", type=float, default=5.0, help="length of a round (default 5)")
    add("--plain", action="store_true", help="the sources as they are, not compiled")
    add("--write", action="store_true", help="make the manual's page")
    args = parser.parse_args()
    if unknown := set(args.names) - set(ALL):
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    if args.install:
        install(args.tools)
    folder, load = Path(tempfile.mkdtemp(prefix="compare-")), os.getloadavg()[0]
    try:
        rows = measured(folder, args)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(table(rows)))
    if args.write:
        write(
            ROOT / "ui" / "manual" / "benchmarks.md", rows, machine(load), args.rounds, args.seconds
        )
    return 1 if any(row.errors for row in rows) else 0


def measured(folder: Path, args: argparse.Namespace) -> list[Row]:
    """Whole replies first, then streams: another provider, so all start anew."""
    names = args.names or list(ALL)
    starts = {**ALL, "appliance": partial(appliance, plain=args.plain)}
    found = {name: Found() for name in names}
    with ExitStack() as stack:
        upstream = start_nginx(folder / "provider")
        stack.callback(upstream.stop)
        line_up = started(stack, folder / "whole", args.tools, names, upstream.url, starts)
        for who in line_up.values():
            check(who)
            print(f"{who.name} {who.version} forwards", flush=True)
        for number in range(args.rounds + 1):
            one_round(folder, upstream.url, line_up, found, args.seconds, counts=number > 0)
        for name, who in line_up.items():
            found[name].resident_mb = sum(map(resident_mb, family(pid_of(name, who))))
    with ExitStack() as stack:
        provider = start_upstream(PACED_CHUNKS, PACE_MS)
        stack.callback(provider.stop)
        streaming = started(stack, folder / "streams", args.tools, names, provider.url, starts)
        for number in range(args.rounds + 1):
            one_paced(provider.url, streaming, found, args.seconds, counts=number > 0)
    return [row_of(line_up[name], found[name]) for name in names]


def started(
    stack: ExitStack,
    folder: Path,
    tools: Path,
    names: Sequence[str],
    upstream: str,
    starts: Mapping[str, Start],
) -> dict[str, Contender]:
    """All of them, beside each other: those that are not asked do nothing."""
    line_up = {}
    for name in names:
        line_up[name] = starts[name](tools, folder / name, upstream)
        stack.callback(line_up[name].server.stop)
    return line_up


def one_round(
    folder: Path, direct: str, line_up: dict[str, Contender], found: dict[str, Found],
    seconds: float, *, counts: bool,
) -> None:  # fmt: skip
    """The provider alone at one connection, then each at sixteen and at one."""
    seconds = seconds if counts else WARM_S
    alone = run_wrk(folder, direct + DIRECT, connections=1, seconds=seconds, headers={})
    for name, who in line_up.items():
        pid, mine = pid_of(name, who), found[name]
        before = cpu_us(pid)
        load = run_wrk(
            folder, who.url, connections=CONNECTIONS, seconds=seconds, headers=who.headers
        )
        quiet(pid)
        used_us = cpu_us(pid) - before
        single = run_wrk(folder, who.url, connections=1, seconds=seconds, headers=who.headers)
        quiet(pid)
        mine.errors += load.errors + single.errors
        if counts:
            mine.per_s.append(load.per_s)
            mine.cpu_us.append(used_us / max(1, load.requests))
            mine.added_p50_ms.append(single.p50_ms - alone.p50_ms)
            mine.added_p99_ms.append(single.p99_ms - alone.p99_ms)
            print(f"{who.name:32s} {load.per_s:9,.0f} req/s {single.p50_ms:8.3f} ms", flush=True)


def one_paced(
    direct: str, line_up: dict[str, Contender], found: dict[str, Found], seconds: float, *,
    counts: bool,
) -> None:  # fmt: skip
    """Streams at the provider's pace: how much later a chunk comes than without a proxy."""
    seconds = seconds if counts else WARM_S
    alone = statistics.median(read_paced(direct + DIRECT, seconds, {})[0])
    for name, who in line_up.items():
        pid = pid_of(name, who)
        before = cpu_us(pid)
        try:
            transit_ms, _ = read_paced(who.url, seconds, who.headers)
        except (SystemExit, OSError) as error:
            print(f"{who.name}: {error}", flush=True)
            continue
        quiet(pid)
        if counts and transit_ms:
            found[name].chunk_ms.append(statistics.median(transit_ms) - alone)
            found[name].chunk_cpu_us.append((cpu_us(pid) - before) / len(transit_ms))
            print(f"{who.name:32s} {found[name].chunk_ms[-1]:8.3f} ms a chunk", flush=True)


def row_of(who: Contender, found: Found) -> Row:
    """The medians."""
    middle: Callable[[list[float]], float] = lambda values: statistics.median(values or [0.0])  # noqa: E731
    return Row(
        who.name, who.version, who.on, middle(found.per_s), middle(found.added_p50_ms),
        middle(found.added_p99_ms), middle(found.cpu_us), middle(found.chunk_ms),
        middle(found.chunk_cpu_us), found.resident_mb, found.errors,
    )  # fmt: skip


def pid_of(name: str, who: Contender) -> int:
    """The process that does the work; helpers are its children."""
    return nginx_worker(who.server.pid) if name == "nginx" else who.server.pid


def family(pid: int) -> list[int]:
    """A process and its helpers."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def machine(load: float) -> str:
    """What it ran on, and when. `load`: before the run began."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    at = datetime.now(UTC).strftime("%Y-%m-%d")
    told = (
        f"{at}, {os.cpu_count()} cores of {model}, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}; load before the run {load:.1f}"
    )
    return told + (BUSY if load > BUSY_LOAD else "")


if __name__ == "__main__":
    began_s = time.monotonic()
    code = main()
    print(f"{time.monotonic() - began_s:.0f} s")
    sys.exit(code)
