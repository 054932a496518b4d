"""A million exchanges: group-by over hot rows and over the lake, then a kill with 100,000 that are
in the journal alone, and start, memory and idle connections after it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from bench_memory import STARTS, Watch, started, tell_idle, tell_memory, tell_starts
from bench_report import Report
from bench_rig import program, quiet, resident_mb, start_nginx
from compiled import ROOT

NOT_INGESTED = 100_000
GROUP_BY = (
    "SELECT model, count(*) AS calls, sum(cost_usd) AS cost,"
    " quantile_cont(latency_ms, 0.95) AS p95 FROM requests GROUP BY 1"
)
TRIES = 5
CATCH_UP_S = 900.0
RESTED_S = 25.0  # the roller looks every ten seconds
BUSY_US = 40_000  # in a tenth of a second; what a server at rest looks after takes 20,000


def million(folder: Path, args: Namespace, report: Report) -> None:
    report.heading(f"a directory of {args.exchanges:,} exchanges")
    data = folder / "data"
    folder.mkdir(parents=True)
    made = args.filled or data
    if not made.exists():
        fill(made, args.exchanges, report)
        ingest_offline(made, args, report)
    if made != data:
        shutil.copytree(made, data, ignore=shutil.ignore_patterns("*.sock"))
    upstream = start_nginx(folder / "up")
    try:
        group_by(folder, upstream.url, data, args, report)
        fill_and_kill(data, report)
        after_the_kill(folder, upstream.url, data, args, report)
    finally:
        upstream.stop()


def fill(data: Path, count: int, report: Report) -> None:
    began_s = time.monotonic()
    with open(os.devnull, "wb") as nothing:
        subprocess.run(
            [ROOT / "scripts" / "fill", str(count), str(data)], check=True, stderr=nothing
        )
    report.note(f"filled in {time.monotonic() - began_s:.0f} s")


def ingest_offline(data: Path, args: Namespace, report: Report) -> None:
    """So all rows are hot: a server would roll them meanwhile."""
    command, environ = program(plain=args.plain)
    began_s = time.monotonic()
    subprocess.run(
        [*command, "query", "SELECT count(*) FROM requests", "--data-dir", str(data)],
        check=True, stdout=subprocess.DEVNULL, cwd=data, env=environ,
    )  # fmt: skip
    report.note(f"ingested by `query` in {time.monotonic() - began_s:.0f} s")


def group_by(folder: Path, upstream_url: str, data: Path, args: Namespace, report: Report) -> None:
    server, _ = started(folder / "ours", upstream_url, args, data)
    try:
        tell_query(data, report, "hot")
        with Watch(server.pid) as watch:
            took_s = quiet(server.pid, for_s=RESTED_S, limit_s=CATCH_UP_S, busy_us=BUSY_US)
            control(data, "roll", region="us")
        report.note(
            f"rolled in {took_s:.0f} s; meanwhile at most {max(watch.samples):.0f} MB resident"
        )
        tell_query(data, report, "cold")
    finally:
        server.kill()


def tell_query(data: Path, report: Report, which: str) -> None:
    """Through the control socket, as `query` asks; the first is told too."""
    took = []
    for _ in range(TRIES):
        began_s = time.monotonic()
        rows = control(data, "query", sql=GROUP_BY, region="us")
        took.append(time.monotonic() - began_s)
    calls = sum(row[1] for row in rows)
    report.note(f"{which}: {calls:,} rows in " + ", ".join(f"{s:.3f}" for s in took) + " s")
    report.figure(f"group-by over {calls:,} rows, {which}", max(took), "s", at_most=1.0)


def control(data: Path, command: str, **arguments: str) -> list[list[Any]]:
    """Ask the server that holds the directory."""
    sys.path.insert(0, str(ROOT))
    from appliance.control_client import ControlClient

    client = ControlClient.connect(data)
    if client is None:
        raise SystemExit("nobody serves the directory")
    with client:
        return [
            row
            for reply in client.replies(command, arguments)
            if reply.get("kind") == "rows"
            for row in reply["rows"]
        ]


def fill_and_kill(data: Path, report: Report) -> None:
    """More exchanges; their writer is killed in the middle of it."""
    command = [str(ROOT / "scripts" / "fill"), str(10 * NOT_INGESTED), str(data), "--seed", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            written = int(line.partition(" of ")[0].replace(",", ""))
            if written >= NOT_INGESTED:
                process.kill()
                break
    report.note(f"killed after {written:,} more that nobody ingested")


def after_the_kill(
    folder: Path, upstream_url: str, data: Path, args: Namespace, report: Report
) -> None:
    where = "after a kill"
    starts = []
    for number in range(STARTS):
        server, start = started(folder / "ours", upstream_url, args, data)
        starts.append(start)
        if number < STARTS - 1:
            server.kill()
    tell_starts(report, where, starts)
    try:
        with Watch(server.pid) as watch:
            caught_up_s = quiet(server.pid, for_s=RESTED_S, limit_s=CATCH_UP_S, busy_us=BUSY_US)
        report.note(
            f"caught up in {caught_up_s:.0f} s, meanwhile at most {max(watch.samples):.0f} MB"
            f" resident; then {resident_mb(server.pid):.0f}"
        )
        tell_memory(folder, server, args, report, where, looks=1)
        tell_idle(server, report, where)
    finally:
        server.stop()
