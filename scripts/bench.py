"""The benchmark of the fast lane, side by side with nginx. See `scripts/bench --help`."""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from bench_rig import (
    Load,
    Running,
    cpu_us,
    nginx_worker,
    resident_mb,
    run_wrk,
    start_appliance,
    start_nginx,
)

PATH = "/v1/gateway/oai/v1/chat/completions"
EVERYTHING = {
    "Helicone-User-Id": "user-17",
    "Helicone-Property-Tenant": "acme",
    "Helicone-Property-Feature": "search",
}


def one_round(
    folder: Path,
    who: Running,
    path: str,
    pid: int,
    args: argparse.Namespace,
    headers: dict[str, str],
    connections: int,
) -> tuple[Load, float]:
    """One wrk round: its report and the CPU of the process per request, in microseconds."""
    before = cpu_us(pid)
    load = run_wrk(
        folder, who.url + path, connections=connections, seconds=args.seconds, headers=headers
    )
    time.sleep(args.settle)
    return load, (cpu_us(pid) - before) / max(1, load.requests)


def requests_part(folder: Path, args: argparse.Namespace) -> None:
    """nginx direct, nginx proxy_pass and the appliance, interleaved."""
    upstream = start_nginx(folder / "up")
    port = int(upstream.url.rpartition(":")[2])
    floor = start_nginx(folder / "floor", proxy_to=port)
    began = time.monotonic()
    ours = start_appliance(folder / "ours", upstream.url, *args.option)
    print(f"start to ready: {time.monotonic() - began:.2f} s")
    contenders = [
        ("upstream alone", upstream, "/v1/chat/completions", nginx_worker(upstream.pid), {}),
        ("nginx proxy_pass", floor, "/v1/chat/completions", nginx_worker(floor.pid), {}),
        ("appliance", ours, PATH, ours.pid, EVERYTHING),
    ]
    try:
        for connections in args.connections:
            figures: dict[str, list[tuple[Load, float]]] = {name: [] for name, *_ in contenders}
            for _ in range(args.rounds):
                for name, who, path, pid, headers in contenders:
                    figures[name].append(
                        one_round(folder, who, path, pid, args, headers, connections)
                    )
            report(figures, connections)
        print(f"appliance resident: {resident_mb(ours.pid):.0f} MiB")
    finally:
        for _, who, *_ in contenders:
            who.stop()


def report(figures: dict[str, list[tuple[Load, float]]], connections: int) -> None:
    """Medians over the rounds, and the ratio to the floor."""
    floor = statistics.median(load.per_s for load, _ in figures["nginx proxy_pass"])
    print(
        f"\n{connections} connections"
        + " " * 12
        + "req/s   ratio   p50 ms   p99 ms  CPU us/req  errors"
    )
    for name, rounds in figures.items():
        per_s = statistics.median(load.per_s for load, _ in rounds)
        print(
            f"{name:20s} {per_s:12.0f} {per_s / floor:7.2f}"
            f" {statistics.median(load.p50_ms for load, _ in rounds):8.2f}"
            f" {statistics.median(load.p99_ms for load, _ in rounds):8.2f}"
            f" {statistics.median(cpu for _, cpu in rounds):11.0f}"
            f" {sum(load.errors for load, _ in rounds):7d}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="length of a round")
    parser.add_argument("--settle", type=float, default=0.5, help="pause before CPU is read")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--option", action="append", default=[], help="passed on to serve")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        requests_part(folder, args)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
