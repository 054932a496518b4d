"""Start, memory and idle connections: here of a fresh directory, bench_million has a large one."""

from __future__ import annotations

import http.client
import re
import statistics
import threading
import time
import urllib.request
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

from bench_report import Report, median
from bench_requests import EVERYTHING, OURS
from bench_rig import (
    CHAT_REQUEST,
    Running,
    cpu_us,
    free_port,
    quiet,
    resident_mb,
    run_wrk,
    start_appliance,
    start_nginx,
)

STARTS = 5
IDLE = 1000
LOOKS = 3
SAMPLE_S = 0.1
STEP_S = 5.0
LAG = re.compile(r'^helicone_appliance_ingest_lag_frames\{region="us"\} (\S+)$', re.MULTILINE)
LAG_S_MAX = 120.0
KEY = {"Authorization": "Bearer sk-provider-0123456789abcdef", "Content-Type": "application/json"}


def fresh(folder: Path, args: Namespace, report: Report) -> None:
    report.heading("a fresh directory: start, memory, idle connections")
    upstream = start_nginx(folder / "up")
    try:
        starts = []
        for number in range(STARTS):
            server, start = started(folder / f"start-{number}", upstream.url, args)
            starts.append(start)
            server.stop()
        tell_starts(report, "fresh directory", starts)
        server, _ = started(folder / "ours", upstream.url, args)
        try:
            tell_memory(folder, server, args, report, "fresh directory", looks=LOOKS)
            tell_idle(server, report, "fresh directory")
        finally:
            server.stop()
    finally:
        upstream.stop()


@dataclass(frozen=True)
class Start:
    """From the start of the process to the first 200 of a proxied call."""

    seconds: float
    cpu_seconds: float


def started(
    folder: Path, upstream_url: str, args: Namespace, data: Path | None = None
) -> tuple[Running, Start]:
    port = free_port()
    began_s = time.monotonic()
    server = start_appliance(
        folder, upstream_url, *args.option, plain=args.plain, data=data, port=port
    )
    while not answers(port):
        if server.process.poll() is not None or time.monotonic() > began_s + 60:
            raise SystemExit("the appliance did not start")
        time.sleep(0.005)
    return server, Start(time.monotonic() - began_s, cpu_us(server.pid) / 1e6)


def answers(port: int) -> bool:
    try:
        return call(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) == 200
    except OSError:
        return False


def call(connection: http.client.HTTPConnection) -> int:
    """One proxied call; the connection stays open."""
    connection.request("POST", OURS, CHAT_REQUEST, {**KEY, **EVERYTHING})
    reply = connection.getresponse()
    reply.read()
    return reply.status


def tell_starts(report: Report, where: str, starts: list[Start]) -> None:
    report.note("first 200 after " + ", ".join(f"{start.seconds:.3f}" for start in starts) + " s")
    report.figure(
        f"{where}: start to first 200", median(starts, lambda s: s.seconds), "s", at_most=1.0
    )
    report.figure(
        f"{where}: CPU of the start to first 200", median(starts, lambda s: s.cpu_seconds), "s"
    )


@dataclass
class Watch:
    """Samples of a process' memory while something else goes on."""

    pid: int
    samples: list[float] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.samples.append(resident_mb(self.pid))


def ingested(server: Running) -> float:
    """Waits until all that was recorded has its row; seconds that took."""
    began_s = time.monotonic()
    while True:
        with urllib.request.urlopen(server.url + "/metrics", timeout=10) as reply:
            found = LAG.search(reply.read().decode())
        if found is None:
            raise SystemExit("/metrics does not tell how far ingest is behind")
        took_s = time.monotonic() - began_s
        if float(found[1]) == 0:
            return took_s
        if took_s > LAG_S_MAX:
            raise SystemExit(f"ingest was still {found[1]} exchanges behind after {took_s:.0f} s")
        time.sleep(0.05)


def tell_memory(
    folder: Path, server: Running, args: Namespace, report: Report, where: str, *, looks: int
) -> None:
    """What it holds after the start, and after each `--requests` more."""
    quiet(server.pid)
    report.figure(f"{where}: resident after the start", resident_mb(server.pid), "MB")
    total, rest = 0, []
    for look in range(1, looks + 1):
        with Watch(server.pid) as watch:
            while total < look * args.requests:
                load = run_wrk(
                    folder, server.url + OURS, connections=16, seconds=STEP_S, headers=EVERYTHING
                )
                total += load.requests
        quiet(server.pid)
        rest.append(resident_mb(server.pid))
        report.note(
            f"{total:,} requests: {rest[-1]:.1f} MB at rest; under load"
            f" {statistics.median(watch.samples):.1f}, at most {max(watch.samples):.1f}"
        )
        report.figure(
            f"{where}: resident after {look * args.requests:,} requests", rest[-1], "MB",
            at_most=150,
        )  # fmt: skip
    if looks > 1:
        report.figure(f"{where}: growth from the first to the last", rest[-1] - rest[0], "MB")
    # Last, because asking for metrics loads what proxying does not need.
    run_wrk(folder, server.url + OURS, connections=16, seconds=STEP_S, headers=EVERYTHING)
    behind_s = ingested(server)
    report.figure(f"{where}: ingest done after the load ended", behind_s, "s", at_most=2.0)


def tell_idle(server: Running, report: Report, where: str) -> None:
    """Each connection has made a call before it idles."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    before = resident_mb(server.pid)
    connections = [http.client.HTTPConnection(host, int(port), timeout=30) for _ in range(IDLE)]
    try:
        if any(call(connection) != 200 for connection in connections):
            raise SystemExit("a call was refused")
        quiet(server.pid)
        more = resident_mb(server.pid) - before
    finally:
        for connection in connections:
            connection.close()
    report.figure(f"{where}: {IDLE:,} idle connections more", more, "MB", at_most=40)
